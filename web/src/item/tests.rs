//! Which fields of an item are accepted, and which are ignored.

use proptest::prelude::*;
use serde_json::json;
use volute_actors::MAX_LISTED;
use volute_plant::ZERO_BAND;

use super::*;
use crate::channels::tests::profile as small;

fn fields(item: Value) -> Vec<(String, Value)> {
    match item {
        Value::Object(fields) => fields.into_iter().collect(),
        other => panic!("{other} is no object"),
    }
}

fn read(item: Value) -> (Result<Draft, InvalidValue>, IgnoredFields) {
    let mut ignored = IgnoredFields::default();
    (parse_item(&small(), 7, &fields(item), &mut ignored), ignored)
}

fn parse(item: Value) -> Result<Draft, InvalidValue> {
    read(item).0
}

#[test]
fn an_implausible_value_does_not_affect_other_channels() {
    let draft = parse(json!({"Tb": 900, "Q": 120.5})).expect("accepted");
    assert_eq!(&*draft.samples, &[Sample::Bad(900.0), Sample::Good(120.5)]);
    assert_eq!((draft.pump, draft.timestamp), (None, TimestampSource::Received));
}

#[test]
fn absent_and_null_are_missing() {
    let draft = parse(json!({"Tb": null, "Q": 1, "pump_id": "P-1", "timestamp": 1773051273000_i64}));
    let draft = draft.expect("accepted");
    assert_eq!(&*draft.samples, &[Sample::Missing, Sample::Good(1.0)]);
    assert!(matches!(draft.timestamp, TimestampSource::Device(at) if at.millis() == 1_773_051_273_000));
}

#[test]
fn errors_name_the_field_the_value_and_the_allowed_values() {
    let table = [
        (json!({"Tb": true}), "", json!({"Tb": true}), "Tb, Q"),
        (json!({"Torque": 5}), "", json!({"Torque": 5}), "Tb, Q"),
        (json!({"Tb": 1, "device": {"name": "P-1"}}), "device", json!({"name": "P-1"}), "1 to 64"),
        (json!({"Tb": 1, "pump_id": "NaN"}), "pump_id", json!("NaN"), "1 to 64"),
        (json!({"Tb": 1, "pump_id": "a\tb"}), "pump_id", json!("a\tb"), "1 to 64"),
        (json!({"Tb": 1, "pump_id": 7}), "pump_id", json!(7), "1 to 64"),
        (json!({"Tb": 1, "timestamp": "today"}), "timestamp", json!("today"), "with an offset"),
        (json!({"Tb": 1, "timestamp": 17730512}), "timestamp", json!(17730512), "milliseconds"),
        (json!({"Tb": 1, "ts": "10:14"}), "ts", json!("10:14"), "with an offset"),
        (json!({}), "", json!({}), "Tb, Q"),
        (json!({"Tb": null}), "", json!({"Tb": null}), "Tb, Q"),
    ];
    for (item, field, value, allowed) in table {
        let rejection = parse(item.clone()).expect_err(&item.to_string());
        assert_eq!((rejection.field.as_str(), &rejection.value), (field, &value), "{item}");
        assert!(rejection.allowed.contains(allowed), "{item}: {}", rejection.allowed);
        assert!(rejection.message.contains(&rejection.allowed) && rejection.message.contains(field), "{item}");
    }
}

#[test]
fn times_and_pump_ids_have_limits() {
    let ok = |item: Value| parse(item).is_ok();
    let year_2000 = 946_684_800_000_i64;
    let year_2200 = 7_258_118_400_000_i64;
    for (timestamp, allowed) in [
        (json!(year_2000), true),
        (json!(year_2000 - 1), false),
        (json!(year_2200 - 1), true),
        (json!(year_2200), false),
        (json!(1_773_051_273_000.5), true),
        (json!(u64::MAX), false),
        (json!("2000-01-01T00:00:00Z"), true),
        (json!("1999-12-31T23:59:59.999Z"), false),
        (json!("2199-12-31T23:59:59.999Z"), true),
        (json!("2200-01-01T00:00:00Z"), false),
        (json!("2026-03-09T10:14:33"), false),
        (json!(true), false),
        (json!(null), true),
    ] {
        assert_eq!(ok(json!({"Q": 1, "timestamp": timestamp})), allowed, "{timestamp}");
    }
    for (name, allowed) in [("P".repeat(64), true), ("P".repeat(65), false), (String::new(), false)] {
        assert_eq!(ok(json!({"Q": 1, "pump_id": name})), allowed, "{name:?}");
    }
    let unnamed = parse(json!({"Q": 1, "pump_id": null})).expect("accepted");
    assert_eq!((unnamed.pump, unnamed.timestamp, unnamed.timestamp.device()), (None, TimestampSource::Received, None));
}

#[test]
fn a_value_at_the_end_of_the_plausible_range_is_good_and_one_beyond_it_is_bad() {
    let profile = small();
    for (index, channel) in profile.channels().iter().enumerate() {
        let [low, high] = channel.plausible;
        // A range from zero includes the drift of the zero point.
        let low = if low == 0.0 { -ZERO_BAND * high } else { low };
        for (value, good) in [(low, true), (high, true), (low.next_down(), false), (high.next_up(), false)] {
            let draft = parse(json!({&channel.name: value})).expect("accepted");
            let expected = if good { Sample::Good(value) } else { Sample::Bad(value) };
            assert_eq!(draft.samples[index], expected, "{} {value}", channel.name);
            assert_eq!(draft.samples.iter().filter(|sample| sample.value().is_some()).count(), 1);
        }
    }
}

#[test]
fn a_value_that_is_not_a_number_is_missing_and_listed() {
    let not_numbers = [
        json!("NaN"),
        json!("nan"),
        json!("-Infinity"),
        json!("1e999"),
        json!("Bad Input"),
        json!("I/O Timeout"),
        json!("No Data"),
        json!("#VALUE!"),
        json!("---"),
        json!("hot"),
        json!(""),
        json!("  "),
        json!("61,5"),
        json!("1,234.5"),
        json!("1 234"),
        json!("61.5 °C"),
        json!("0x1F"),
        json!("٣"),
        json!("true"),
        json!(true),
        json!(false),
        json!([61.5]),
        json!({"value": 61.5, "quality": "BAD"}),
    ];
    for value in not_numbers {
        let (draft, ignored) = read(json!({"Tb": value, "Q": 120.5}));
        let draft = draft.expect("accepted");
        assert_eq!(&*draft.samples, &[Sample::Missing, Sample::Good(120.5)], "{value}");
        let listed = &ignored.non_numeric[..];
        assert!(
            matches!(listed, [ignored] if ignored.index == 7 && ignored.channel == "Tb" && ignored.value == value),
            "{listed:?}"
        );
        assert!(!listed[0].why.is_empty() && ignored.unknown.is_empty(), "{listed:?}");

        let (rejected, ignored) = read(json!({"Tb": value, "Q": null}));
        let message = rejected.expect_err("no channel has a number").message;
        assert!(message.contains(": Tb holds ") && message.contains("; allowed: Tb, Q"), "{message}");
        assert_eq!(ignored.non_numeric.len(), 1);
    }
    for (text, number) in
        [("61.5", 61.5), ("+61.5", 61.5), (" 61.5 ", 61.5), ("6.15e1", 61.5), ("-3", -3.0), ("7.", 7.0)]
    {
        let (draft, ignored) = read(json!({"Tb": text}));
        assert_eq!(draft.expect(text).samples[0], Sample::Good(number), "{text}");
        assert_eq!(ignored, IgnoredFields::default(), "{text}");
    }
    let (draft, ignored) = read(json!({"Tb": null, "Q": 1}));
    assert!(draft.is_ok() && ignored == IgnoredFields::default(), "null means that there is no value");
    for sentinel in [-9999.0, 32767.0, 65535.0] {
        let draft = parse(json!({"Tb": sentinel, "Q": sentinel.to_string()})).expect("accepted");
        assert_eq!(&*draft.samples, &[Sample::Bad(sentinel), Sample::Bad(sentinel)]);
    }
}

#[test]
fn channels_match_by_letters_and_digits_and_other_fields_are_listed() {
    for name in ["tb", "TB", "T-b", "T_B", "t b", " tb "] {
        let (draft, ignored) = read(json!({name: 20, "Q": 1}));
        assert_eq!(draft.expect(name).samples[0], Sample::Good(20.0), "{name}");
        assert_eq!(ignored, IgnoredFields::default(), "{name}");
    }
    for name in ["Tbb", "T.b", "T", "quality", "", "Q1", "pump_name", "t"] {
        let (draft, ignored) = read(json!({name: {"a": [1]}, "Q": 1}));
        assert_eq!(&*draft.expect(name).samples, &[Sample::Missing, Sample::Good(1.0)], "{name}");
        let expected = UnknownField { count: 1, index: 7, value: json!({"a": [1]}) };
        assert_eq!(ignored.unknown.get(name), Some(&expected), "{name}");
    }
    // The exact name takes precedence, whatever the order.
    for item in [vec![("tb", 1), ("Tb", 20)], vec![("Tb", 20), ("tb", 1)], vec![("tb", 20), ("TB", 1)]] {
        let fields: Vec<_> = item.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut ignored = IgnoredFields::default();
        let draft = parse_item(&small(), 0, &fields, &mut ignored).expect("accepted");
        assert_eq!((draft.samples[0], ignored.unknown.len()), (Sample::Good(20.0), 1), "{item:?}");
    }
    let twice = [("Tb".to_owned(), json!(1)), ("Tb".to_owned(), json!(1))];
    let twice = parse_item(&small(), 0, &twice, &mut IgnoredFields::default()).expect_err("twice");
    assert_eq!((twice.field.as_str(), twice.allowed.as_str()), ("Tb", "each field once"));
}

#[test]
fn the_pump_and_the_time_have_several_field_names() {
    let at = 1_773_051_273_000_i64;
    for (item, pump, unknown) in [
        (json!({"pump_id": "P", "ts": at}), "P", vec![]),
        (json!({"Pump-ID": "P", "Time": at}), "P", vec![]),
        (json!({"pumpId": "P", "datetime": "2026-03-09 10:14:33Z"}), "P", vec![]),
        (json!({"pump": "P", "TIMESTAMP": 1_773_051_273}), "P", vec![]),
        (json!({"device": "P", "timestamp": "1773051273000"}), "P", vec![]),
        (
            json!({"pump_id": "P", "device": "gateway-7", "pump": 7, "ts": at, "time": "now"}),
            "P",
            vec!["device", "pump", "time"],
        ),
        (json!({"pump_id": null, "device": "P", "timestamp": null, "ts": at}), "P", vec![]),
    ] {
        let mut item = item;
        item["Q"] = json!(1);
        let (draft, ignored) = read(item.clone());
        let draft = draft.expect("accepted");
        assert_eq!(draft.pump.as_ref().map(PumpId::as_str), Some(pump), "{item}");
        assert_eq!(draft.timestamp.device().map(Timestamp::millis), Some(at), "{item}");
        assert_eq!(ignored.unknown.keys().collect::<Vec<_>>(), unknown, "{item}");
    }
    let local = parse(json!({"Q": 1, "timestamp": "2026-03-09 10:14:33"})).expect_err("no offset");
    assert!(local.message.contains("without its offset") && local.message.contains("+01:00"), "{local:?}");
}

#[test]
fn ignored_fields_are_bounded() {
    let (long, mut ignored) = ("ü".repeat(10_000), IgnoredFields::default());
    for index in 0..3 * MAX_LISTED {
        let fields =
            [("Tb".to_owned(), json!(&long)), ("Q".to_owned(), json!(1)), (format!("{index}{long}"), json!([&long]))];
        parse_item(&small(), index, &fields, &mut ignored).expect("accepted");
        let again = [("Q".to_owned(), json!(1)), ("note".to_owned(), json!(index))];
        parse_item(&small(), index, &again, &mut ignored).expect("accepted");
    }
    assert_eq!((ignored.non_numeric.len(), ignored.non_numeric_unlisted), (MAX_LISTED, 2 * MAX_LISTED));
    assert_eq!((ignored.unknown.len(), ignored.unknown["note"].count), (MAX_LISTED, 3 * MAX_LISTED));
    assert_eq!(ignored.unknown_unlisted, 2 * MAX_LISTED + 1);
    assert!(ignored.non_numeric.iter().all(|ignored| ignored.value.as_str().is_some_and(|text| text.len() == 400)));
    assert!(ignored.unknown.iter().all(|(name, field)| name.len() < 500 && field.value.to_string().len() < 500));
}

proptest! {
    #[test]
    fn a_number_is_the_same_as_text(number in -40.0..200.0_f64) {
        let samples = |value: Value| parse(json!({"Tb": value})).expect("a number").samples;
        prop_assert_eq!(samples(json!(number)), samples(json!(number.to_string())));
    }
}

/// Two profiles, of which the first is the default.
struct TwoProfiles(Profile, Profile);

impl Profiles for TwoProfiles {
    fn of(&self, _: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        match named {
            None => Ok(self.0.clone()),
            Some(name) if name == self.1.name() => Ok(self.1.clone()),
            Some(name) => Err(UnfitProfile {
                allowed: "other".to_owned(),
                reason: format!("there is no profile {name}"),
                retry_after_s: None,
            }),
        }
    }

    fn default_pump(&self) -> &PumpId {
        self.0.default_pump()
    }

    fn knows(&self, pump: &PumpId) -> bool {
        self.0.knows(pump)
    }
}

#[test]
fn a_named_profile_applies_to_all_items_of_its_pump() {
    let other = "name = \"other\"\ntitle = \"Another\"\ninterval_ms = 1000\n[[channels]]\nname = \"X\"\n\
        quantity = \"flow\"\nunit = \"L/min\"\nplausible = [0, 500]\nresolution = 1\n";
    let all = TwoProfiles(small(), Profile::from_toml(other).expect("a profile"));
    let rejected = || Err("profile".to_owned());
    let table = [
        (json!({"pump_id": "A", "Tb": 40}), Ok("small")),
        (json!({"pump_id": "B", "X": 0}), Ok("other")),
        (json!({"pump_id": "B", "profile": "other", "X": 1}), Ok("other")),
        (json!({"pump_id": "B", "X": 2}), Ok("other")),
        (json!({"pump_id": "B", "profile": "small", "Tb": 3}), rejected()),
        (json!({"pump_id": "A", "Tb": 41}), Ok("small")),
        (json!({"pump_id": "C", "profile": "gear", "X": 1}), rejected()),
        (json!({"pump_id": "C", "profile": 7, "X": 1}), rejected()),
        (json!({"pump_id": 7, "profile": "gear", "X": 1}), rejected()),
        (json!({"X": 1, "PROFILE": "other"}), Ok("other")),
        (json!({"X": 1}), Ok("other")),
    ];
    let items: Vec<_> = table.iter().map(|(item, _)| fields(item.clone())).collect();
    let post = PostProfiles::new(&all, items.iter().filter_map(|item| profile_named_in(item)));
    for (fields, (item, expected)) in items.iter().zip(&table) {
        let draft = parse_item(&post, 0, fields, &mut IgnoredFields::default());
        let profile = draft.map(|draft| draft.profile.name().to_owned()).map_err(|rejection| rejection.field);
        assert_eq!(profile.as_deref().map_err(Clone::clone), *expected, "{item}");
    }
}
