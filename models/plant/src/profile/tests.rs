//! The allowed values of a profile at their bounds, and the small profiles of other tests.

use super::*;

/// Two channels, an interval of one second, one rule.
pub(crate) const SMALL: &str = r#"
    name = "small"
    title = "A pump for tests"
    interval_ms = 1000
    [[channels]]
    name = "Tb"
    quantity = "bearing_temperature"
    unit = "°C"
    plausible = [-40, 200]
    resolution = 0.1
    [[channels]]
    name = "Q"
    quantity = "flow"
    unit = "L/min"
    plausible = [0, 5000]
    resolution = 1
    [[rules]]
    name = "bearing-hot"
    title = "Bearing too hot"
    advice = "Check the lubrication."
    quantity = "bearing_temperature"
    above = 85
    severity = "high"
    cost = { amount = 15000, currency = "INR" }
"#;

/// Speed and current, an interval of one second, four seconds to settle.
pub(crate) const MOTOR: &str = r#"
    name = "motor"
    title = "A motor for tests"
    interval_ms = 1000
    settle_s = 4
    [[channels]]
    name = "n"
    quantity = "rotational_speed"
    unit = "rpm"
    plausible = [0, 6000]
    resolution = 1
    running_above = 300
    [[channels]]
    name = "I"
    quantity = "current"
    unit = "A"
    plausible = [0, 500]
    resolution = 0.1
    running_above = 5
"#;

/// A turbine-driven pump in a wet well with an hourly log: quantities of process plants, an interval of one hour, two
/// hours to settle.
pub(crate) const HOURLY: &str = r#"
    name = "hourly"
    title = "A pump with an hourly log"
    interval_ms = 3600000
    settle_s = 7200
    [[channels]]
    name = "P"
    quantity = "power"
    unit = "kW"
    plausible = [0, 2000]
    resolution = 1
    running_above = 20
    [[channels]]
    name = "M"
    quantity = "torque"
    unit = "N·m"
    plausible = [0, 9000]
    resolution = 1
    [[channels]]
    name = "To"
    quantity = "oil_temperature"
    unit = "°C"
    plausible = [-40, 150]
    resolution = 0.1
    [[channels]]
    name = "Tw"
    quantity = "temperature"
    unit = "°C"
    plausible = [-40, 250]
    resolution = 0.1
    [[channels]]
    name = "L"
    quantity = "level"
    unit = "m"
    plausible = [0, 12]
    resolution = 0.01
    [[channels]]
    name = "V"
    quantity = "valve_position"
    unit = "%"
    plausible = [0, 100]
    resolution = 0.1
    [[rules]]
    name = "winding-hot"
    title = "Winding too hot"
    advice = "Check the cooling."
    quantity = "temperature"
    above = 155
    severity = "high"
    cost = { amount = 15000, currency = "EUR" }
"#;

pub(crate) fn small() -> Profile {
    Profile::from_toml(SMALL).expect("the test profile is valid")
}

pub(crate) fn motor() -> Profile {
    Profile::from_toml(MOTOR).expect("the test profile is valid")
}

/// The motor, with a running limit for the speed only.
pub(crate) fn speed_only() -> Profile {
    Profile::from_toml(&MOTOR.replace("running_above = 5\n", "")).expect("the test profile is valid")
}

#[test]
fn quantities_of_a_process_plant_at_an_hour() {
    use Quantity::{Level, OilTemperature, Power, Temperature, Torque, ValvePosition};
    let profile = Profile::from_toml(HOURLY).expect("a profile");
    let quantities: Vec<Quantity> = profile.channels().iter().map(|channel| channel.quantity).collect();
    assert_eq!(quantities, [Power, Torque, OilTemperature, Temperature, Level, ValvePosition]);
    assert_eq!((profile.interval_ms(), profile.settle_ms()), (3_600_000, 7_200_000));
    assert_eq!(profile.rules()[0].quantity, Temperature);
    assert_eq!(MAX_SETTLE_STEPS, crate::WindowConfig::LEN as i64, "as many as a window has");
}

#[test]
fn a_model_depends_on_channels_and_interval_only() {
    let base = small();
    let hash_of = |from, to| Profile::from_toml(&SMALL.replace(from, to)).expect(to).hash().to_owned();
    assert_eq!(hash_of("above = 85", "above = 90"), base.hash());
    assert_eq!(hash_of("[0, 5000]", "[0, 6000]"), base.hash());
    assert_ne!(hash_of("interval_ms = 1000", "interval_ms = 5000"), base.hash());
    assert_ne!(hash_of("\"L/min\"", "\"m3/h\""), base.hash());
    assert_ne!(hash_of("\"Q\"", "\"Q2\""), base.hash());
    assert_ne!(hash_of("\"flow\"", "\"vibration\""), base.hash());
    let without = MOTOR.replace("running_above", "# ").replace("settle_s = 4", "");
    assert_eq!(Profile::from_toml(&without).expect("a profile").hash(), motor().hash());
}

/// Parses the text with its first `from`, which must exist, replaced.
fn changed(text: &str, from: &str, to: &str) -> Result<Profile, ProfileError> {
    assert!(text.contains(from), "{from} is not in the test's profile");
    Profile::from_toml(&text.replacen(from, to, 1))
}

/// The last allowed and the first refused value at each bound, and the key that the error names.
#[test]
fn every_value_has_its_bounds() {
    let (interval, settle) = ("interval_ms = 1000", "settle_s = 4");
    let (speed, range) = ("running_above = 300", "plausible = [0, 6000]");
    for (from, to, refused) in [
        (interval, "interval_ms = 99", Some("interval_ms")),
        (interval, "interval_ms = 100", None),
        (interval, "interval_ms = 86400000", None),
        (interval, "interval_ms = 86400001", Some("interval_ms")),
        (settle, "settle_s = 0", Some("settle_s")),
        (settle, "settle_s = 1", None),
        (settle, "settle_s = 3600", None),
        (settle, "settle_s = 3601", Some("settle_s")),
        ("interval_ms = 1000\n    settle_s = 4", "interval_ms = 3600000\nsettle_s = 108000", None),
        ("interval_ms = 1000\n    settle_s = 4", "interval_ms = 3600000\nsettle_s = 108001", Some("settle_s")),
        (range, "plausible = [6000, 0]", Some("channels.n.plausible")),
        (range, "plausible = [500, 500]", Some("channels.n.plausible")),
        (range, "plausible = [-inf, 6000]", Some("channels.n.plausible")),
        (range, "plausible = [0, inf]", Some("channels.n.plausible")),
        (range, "plausible = [nan, 6000]", Some("channels.n.plausible")),
        (range, "plausible = [0, nan]", Some("channels.n.plausible")),
        (range, "plausible = [-6000, 301]", None),
        ("resolution = 1\n", "resolution = 0\n", Some("channels.n.resolution")),
        ("resolution = 1\n", "resolution = -1\n", Some("channels.n.resolution")),
        ("resolution = 1\n", "resolution = inf\n", Some("channels.n.resolution")),
        ("resolution = 1\n", "resolution = nan\n", Some("channels.n.resolution")),
        ("resolution = 1\n", "resolution = 1e-9\n", None),
        (speed, "running_above = -1", Some("channels.n.running_above")),
        (speed, "running_above = 0", Some("channels.n.running_above")),
        (speed, "running_above = nan", Some("channels.n.running_above")),
        (speed, "running_above = 1e-9", None),
        (speed, "running_above = 5999.9", None),
        (speed, "running_above = 6000", Some("channels.n.running_above")),
        ("\"current\"", "\"voltage\"", Some("channels.I.running_above")),
        ("\"current\"", "\"torque\"", Some("channels.I.running_above")),
        ("\"current\"", "\"power\"", None),
        ("name = \"I\"", "name = \"n\"", Some("channels.n.name")),
        ("name = \"I\"", "name = \"\"", Some("channels..name")),
        ("name = \"I\"", "name = \"pump_id\"", Some("channels.pump_id.name")),
        ("name = \"I\"", "name = \"timestamp\"", Some("channels.timestamp.name")),
        ("name = \"I\"", "name = \"datetime\"", Some("channels.datetime.name")),
        ("name = \"I\"", "name = \"Profile\"", Some("channels.Profile.name")),
        ("name = \"I\"", "name = \"TS\"", Some("channels.TS.name")),
        (range, "plausible = [0, 6000]\nlimits = { high_alarm = 6000 }", None),
        (range, "plausible = [0, 6000]\nlimits = { high_alarm = 6001 }", Some("channels.n.limits.high_alarm")),
        (range, "plausible = [0, 6000]\nlimits = { high_alarm = nan }", Some("channels.n.limits.high_alarm")),
        (range, "plausible = [0, 6000]\nlimits = { high_alarm = inf }", Some("channels.n.limits.high_alarm")),
        (range, "plausible = [0, 6000]\nlimits = { low_alarm = -1 }", Some("channels.n.limits.low_alarm")),
        (
            range,
            "plausible = [0, 6000]\nlimits = { high_warning = 9, high_alarm = 8 }",
            Some("channels.n.limits.high_alarm"),
        ),
        (
            range,
            "plausible = [0, 6000]\nlimits = { low_alarm = 2, low_warning = 2, high_warning = 2, high_alarm = 2 }",
            None,
        ),
        ("name = \"I\"", "name = \"machine_status\"", Some("channels.machine_status.name")),
        ("unit =", "units =", Some("units")),
    ] {
        let message = changed(MOTOR, from, to).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), refused.is_some(), "{to}: {message:?}");
        let names_the_key = message.zip(refused).is_none_or(|(message, key)| message.contains(key));
        assert!(names_the_key, "{to} must name {refused:?}");
    }
}

#[test]
fn channels_are_the_same_only_with_the_same_units() {
    let other = |from, to| changed(SMALL, from, to).expect("valid");
    assert!(small().has_channels_of(&other("above = 85", "above = 90")));
    assert!(small().has_channels_of(&other("interval_ms = 1000", "interval_ms = 5000")));
    for (from, to) in [("\"L/min\"", "\"m3/h\""), ("\"Q\"", "\"Q2\""), ("\"flow\"", "\"vibration\"")] {
        assert!(!small().has_channels_of(&other(from, to)), "{to}");
    }
    assert!(!small().has_channels_of(&motor()));
}

#[test]
fn every_rule_has_a_unique_name_a_limit_and_a_channel() {
    let rules_section = &SMALL[SMALL.find("[[rules]]").expect("a rule")..];
    let twice = format!("{SMALL}{rules_section}");
    assert!(Profile::from_toml(&twice.replacen("bearing-hot", "other", 1)).is_ok(), "two rules of one quantity");
    let other_quantity =
        SMALL.replacen("quantity = \"bearing_temperature\"\n    above", "quantity = \"voltage\"\n    above", 1);
    for (text, key) in [
        (twice.clone(), "rules.bearing-hot.name"),
        (SMALL.replacen("bearing-hot", "", 1), "rules..name"),
        (SMALL.replacen("above = 85", "above = inf", 1), "rules.bearing-hot.above"),
        (SMALL.replacen("above = 85", "above = nan", 1), "rules.bearing-hot.above"),
        (other_quantity, "rules.bearing-hot.quantity"),
        (SMALL.replacen("Bearing too hot", "Bearing\\u001b[31m", 1), "rules.bearing-hot.title"),
        (SMALL.replacen("A pump for tests", "A pump\\nfor tests", 1), "title"),
        (SMALL.replacen("A pump for tests", &"x".repeat(121), 1), "title"),
        (SMALL.replacen("amount = 15000", "amount = -1", 1), "rules.bearing-hot.cost.amount"),
        (SMALL.replacen("amount = 15000", "amount = nan", 1), "rules.bearing-hot.cost.amount"),
        (
            format!("{SMALL}cost_if_it_fails = {{ amount = 1, currency = \"EUR\" }}"),
            "rules.bearing-hot.cost_if_it_fails.currency",
        ),
        (
            format!("{SMALL}cost_if_it_fails = {{ amount = -1, currency = \"INR\" }}"),
            "rules.bearing-hot.cost_if_it_fails.amount",
        ),
        (format!("{SMALL}failure_mode = \"\""), "rules.bearing-hot.failure_mode"),
        (format!("{SMALL}actions = [\"a\", \"\"]"), "rules.bearing-hot.actions[1]"),
        (
            format!("{SMALL}spare_parts = [{{ name = \"Seal\", quantity = 0 }}]"),
            "rules.bearing-hot.spare_parts[0].quantity",
        ),
        (format!("{SMALL}[[rules.levels]]\nseverity = \"high\"\nabove = 90"), "rules.bearing-hot.levels[0].severity"),
        (format!("{SMALL}[[rules.levels]]\nseverity = \"critical\"\nabove = 85"), "rules.bearing-hot.levels[0].above"),
        (
            format!("{SMALL}[[rules.levels]]\nseverity = \"critical\"\nabove = 90\nspare_parts = [{{ name = \"\" }}]"),
            "rules.bearing-hot.levels[0].spare_parts[0].name",
        ),
        ("name = \"x\"\ntitle = \"x\"\ninterval_ms = 1000\nchannels = []".to_owned(), "channels"),
    ] {
        let message = Profile::from_toml(&text).expect_err(key).to_string();
        assert!(message.starts_with(key), "{message} names {key}");
    }
}

#[test]
fn accessors_return_what_the_file_contains() {
    let motor = motor();
    assert_eq!((motor.name(), motor.title(), motor.interval_ms()), ("motor", "A motor for tests", 1000));
    assert_eq!((motor.settle_ms(), small().settle_ms()), (4_000, 60_000), "a minute by default");
    assert_eq!(motor.channel_names().collect::<Vec<_>>(), ["n", "I"]);
    assert_eq!((motor.index_of("n"), motor.index_of("I"), motor.index_of("i")), (Some(0), Some(1), None));
    assert_eq!((motor.rules().len(), small().rules().len()), (0, 1));
}

#[test]
fn both_ends_of_the_plausible_range_are_in_it() {
    let profile = small();
    let bearing = &profile.channels()[0];
    for (value, plausible) in [
        ((-40.0_f64).next_down(), false),
        (-40.0, true),
        (-0.0, true),
        (200.0, true),
        (200.0_f64.next_up(), false),
        (f64::NAN, false),
        (f64::INFINITY, false),
    ] {
        assert_eq!(bearing.is_plausible(value), plausible, "{value}");
    }
}

#[test]
fn a_drifted_zero_is_plausible_and_0_to_the_model() {
    let channel = |low: &str, high: &str| {
        let text = SMALL.replace("[0, 5000]", &format!("[{low}, {high}]"));
        Profile::from_toml(&text).expect("a profile").channels()[1].clone()
    };
    let (current, pressure, shifted) = (channel("0", "1200"), channel("-1.05", "25"), channel("0.5", "10"));
    for (channel, value, plausible, model_value) in [
        (&current, 0.0, true, 0.0),
        (&current, -0.0, true, 0.0),
        (&current, -0.1, true, 0.0),
        (&current, -15.0, true, 0.0),
        (&current, (-15.0_f64).next_down(), false, 0.0),
        (&current, -1200.0, false, 0.0),
        (&current, 0.1, true, 0.1),
        (&current, 1200.0, true, 1200.0),
        (&current, 1200.0_f64.next_up(), false, 1200.0_f64.next_up()),
        // A range that does not start at 0 has no zero band.
        (&pressure, -1.05, true, -1.05),
        (&pressure, -1.06, false, -1.05),
        (&shifted, 0.5, true, 0.5),
        (&shifted, 0.49, false, 0.5),
    ] {
        let sample = if plausible { Sample::Good(value) } else { Sample::Bad(value) };
        assert_eq!(channel.sample(value), sample, "{value} of {:?}: the raw value is kept", channel.plausible);
        assert_eq!(channel.model_value(value), model_value, "{value} of {:?}", channel.plausible);
    }
}

#[test]
fn a_profile_has_1_to_64_channels() {
    let (head, channel) = SMALL.split_once("[[channels]]").expect("channels");
    let channel = channel.split("[[").next().expect("one channel");
    for (count, allowed) in [(0, false), (1, true), (64, true), (65, false)] {
        let channels = |n: usize| format!("[[channels]]{}", channel.replace("\"Tb\"", &format!("\"T{n}\"")));
        let none = if count == 0 { "channels = []\n" } else { "" };
        let text = format!("{head}{none}{}", (0..count).map(channels).collect::<String>());
        match Profile::from_toml(&text) {
            Ok(profile) => assert!(allowed && profile.channels().len() == count, "{count}"),
            Err(refused) => assert!(!allowed && refused.to_string().contains("1 to 64 channels"), "{refused}"),
        }
    }
}

#[test]
fn another_interval_makes_another_hash_and_changes_nothing_else() {
    let profile = small();
    let minutes = profile.with_interval(60_000).expect("allowed");
    let text = SMALL.replace("interval_ms = 1000", "interval_ms = 60000");
    assert_eq!(minutes, Profile::from_toml(&text).expect("a profile"), "as if the file had this interval");
    assert_ne!(minutes.hash(), profile.hash());
    assert_eq!(minutes.with_interval(1_000), Some(profile.clone()));
    for (interval_ms, allowed) in [
        (0, false),
        (99, false),
        (100, true),
        (3_600_000, true),
        (86_400_000, true),
        (86_400_001, false),
        (i64::MAX, false),
    ] {
        let changed = profile.with_interval(interval_ms).map(|profile| profile.interval_ms());
        assert_eq!(changed, allowed.then_some(interval_ms), "no other interval is substituted");
    }
}

#[test]
fn a_stand_in_takes_every_number_and_is_not_the_profile() {
    let names = ["Motor_RPM".to_owned(), "Druck".to_owned()];
    let placeholder = Profile::placeholder("line", &names);
    assert!(placeholder.is_stand_in() && placeholder.channel_names().eq(["Motor_RPM", "Druck"]));
    for number in [f64::MIN, -1.0, 0.0, 1e300, f64::MAX] {
        assert_eq!(placeholder.channels()[1].sample(number), Sample::Good(number));
    }
    assert!(placeholder.rules().is_empty() && placeholder.channels()[0].limits == Limits::default());
    assert!(placeholder.is_same(&Profile::placeholder("line", &names)));
    assert!(placeholder.with_interval(5_000).is_some_and(|changed| changed.is_stand_in()));
}
