//! Tests of the check of definitions.

use super::*;
use crate::{Priority, VibrationCategory, ZoneBoundary, testing::id};

const PROFILE: &str = r#"
    name = "p"
    title = "P"
    interval_ms = 20000
    [[channels]]
    name = "V"
    quantity = "vibration"
    unit = "mm/s"
    plausible = [0, 100]
    resolution = 0.01
    [[channels]]
    name = "T"
    quantity = "bearing_temperature"
    unit = "°C"
    plausible = [-40, 200]
    resolution = 0.1
"#;

fn profile() -> Profile {
    Profile::from_toml(PROFILE).expect("a profile")
}

fn of(condition: Condition) -> AlarmDefinition {
    AlarmDefinition::new(id("x"), "X", Priority::Low, condition)
}

fn hot(limit: f64) -> AlarmDefinition {
    of(Condition::High { channel: "T".into(), limit })
}

fn mistakes(definitions: &[AlarmDefinition]) -> Vec<String> {
    match ArmedAlarms::compile(&profile(), definitions) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn mistakes_name_field_value_and_what_is_allowed() {
    let t = || "T".to_owned();
    let rate = |limit_per_min, over_s| {
        of(Condition::RateOfChange { channel: t(), limit_per_min, over_s, direction: Direction::Either })
    };
    let zone = |channel: &str, power_kw| {
        of(Condition::VibrationZone {
            channel: channel.into(),
            category: VibrationCategory::I,
            power_kw,
            boundary: ZoneBoundary::BC,
        })
    };
    let expression =
        |text: &str, limit| of(Condition::Expression { expression: text.into(), when: Side::Above, limit });
    for (definition, expected) in [
        (hot(201.0), "condition.limit = \"201\"; allowed: a number within the channel's plausible range, -40 to 200"),
        (
            hot(f64::NAN),
            "condition.limit = \"NaN\"; allowed: a number within the channel's plausible range, -40 to 200",
        ),
        (of(Condition::LowLow { channel: "X".into(), limit: 1.0 }), "condition.channel = \"X\"; allowed: V, T"),
        (of(Condition::BadQuality { channel: "t".into() }), "condition.channel = \"t\"; allowed: V, T"),
        (rate(0.0, 60.0), "condition.limit_per_min = \"0\"; allowed: a number above 0"),
        (rate(1.0, 0.5), "condition.over_s = \"0.5\"; allowed: 1 to 86400"),
        (
            of(Condition::Deviation { channel: t(), limit_spreads: 100.5 }),
            "condition.limit_spreads = \"100.5\"; allowed: above 0, up to 100",
        ),
        (zone("T", 75.0), "condition.channel = \"T\"; allowed: a channel of the quantity vibration in mm/s"),
        (zone("V", -1.0), "condition.power_kw = \"-1\"; allowed: the rated power in kW, above 0"),
        (
            expression("T + ", 1.0),
            "condition.expression = \"T + \"; allowed: at character 5, instead of the end: a number, -, (, abs, min, \
             max, or one of the channels V, T",
        ),
        (expression("T", f64::INFINITY), "condition.limit = \"inf\"; allowed: a number"),
        (of(Condition::NoData { channel: None, after_s: 0.0 }), "condition.after_s = \"0\"; allowed: 1 to 2592000"),
        (
            of(Condition::NodeHealth { part: NodePart::Disk }),
            "condition.kind = \"node_health\"; allowed: any but node_health for a pump",
        ),
        (AlarmDefinition { on_delay_s: Some(-0.1), ..hot(1.0) }, "on_delay_s = \"-0.1\"; allowed: 0 to 86400"),
        (AlarmDefinition { off_delay_s: Some(86_401.0), ..hot(1.0) }, "off_delay_s = \"86401\"; allowed: 0 to 86400"),
        (AlarmDefinition { deadband: Some(f64::NAN), ..hot(1.0) }, "deadband = \"NaN\"; allowed: a number from 0"),
        (AlarmDefinition { title: " ".into(), ..hot(1.0) }, "title = \" \"; allowed: 1 to 120 characters in one line"),
        (
            AlarmDefinition { title: "a\nb".into(), ..hot(1.0) },
            "title = \"a\\nb\"; allowed: 1 to 120 characters in one line",
        ),
        (
            AlarmDefinition { explained_by: vec![id("y")], ..hot(1.0) },
            "explained_by = \"y\"; allowed: ids of other alarms of the pump",
        ),
        (
            AlarmDefinition { explained_by: vec![id("x")], ..hot(1.0) },
            "explained_by = \"x\"; allowed: no circle: an alarm must not explain itself, directly or through others",
        ),
    ] {
        assert_eq!(mistakes(&[definition]), [format!("alarms.x.{expected}")]);
    }
    let help = AlarmDefinition { help: "a".repeat(2_001), ..hot(1.0) };
    assert_eq!(mistakes(&[help])[0], format!("alarms.x.help = {:?}; allowed: at most 2000 characters", "a".repeat(60)));
    assert_eq!(mistakes(&[hot(1.0), hot(2.0)]), ["alarms.x.id = \"x\"; allowed: a unique id"]);
    let many: Vec<AlarmDefinition> = (0..501).map(|_| hot(1.0)).collect();
    assert_eq!(mistakes(&many), ["alarms = \"501\"; allowed: at most 500 alarms"]);
}

#[test]
fn all_mistakes_at_once() {
    let bad = AlarmDefinition { on_delay_s: Some(-1.0), title: String::new(), ..hot(999.0) };
    let other = AlarmDefinition { id: id("y"), explained_by: vec![id("z")], ..hot(1.0) };
    let fields: Vec<String> = mistakes(&[bad, other])
        .iter()
        .map(|mistake| mistake.split(" = ").next().expect("a field").to_owned())
        .collect();
    assert_eq!(fields, ["alarms.y.explained_by", "alarms.x.title", "alarms.x.on_delay_s", "alarms.x.condition.limit"]);
}

#[test]
fn what_explains_comes_first() {
    let definition = |name: &str, explained_by: &[&str]| AlarmDefinition {
        id: id(name),
        explained_by: explained_by.iter().map(|name| id(name)).collect(),
        ..hot(1.0)
    };
    let definitions =
        [definition("c", &["b", "a"]), definition("b", &["a"]), definition("a", &[]), definition("d", &[])];
    let armed = ArmedAlarms::compile(&profile(), &definitions).expect("armed");
    let explained: Vec<(&str, &[usize])> =
        armed.alarms().iter().map(|alarm| (alarm.id().as_str(), alarm.explains())).collect();
    assert_eq!(explained, [("a", &[2, 3][..]), ("d", &[]), ("b", &[3]), ("c", &[])]);
    assert_eq!((armed.index_of(&id("b")), armed.index_of(&id("e"))), (Some(2), None));
    let circle = [definition("a", &["b"]), definition("b", &["a"]), definition("c", &[])];
    assert_eq!(mistakes(&circle).len(), 2);
}

#[test]
fn what_is_given_goes_before_the_defaults() {
    let armed = |definition: AlarmDefinition| ArmedAlarms::compile(&profile(), &[definition]).expect("armed");
    let facts = |armed: &ArmedAlarms| {
        let alarm = &armed.alarms()[0];
        (alarm.limit(), alarm.deadband(), alarm.delays_ms(), alarm.holds_in)
    };
    assert_eq!(facts(&armed(hot(90.0))), (Some(90.0), 0.9, (60_000, 60_000), StateSet::ALL));
    let given = AlarmDefinition {
        on_delay_s: Some(0.0),
        off_delay_s: Some(1.5),
        deadband: Some(0.0),
        holds_in: Some(StateSet::POWERED),
        ..hot(90.0)
    };
    assert_eq!(facts(&armed(given)), (Some(90.0), 0.0, (0, 1_500), StateSet::POWERED));
    assert_eq!(armed(hot(90.0)).gap_ms(), 100_000, "five intervals");
}

#[test]
fn zone_and_node() {
    let zone = of(Condition::VibrationZone {
        channel: "V".into(),
        category: VibrationCategory::II,
        power_kw: 250.0,
        boundary: ZoneBoundary::CD,
    });
    let armed = ArmedAlarms::compile(&profile(), &[zone]).expect("armed");
    assert_eq!(armed.alarms()[0].limit(), Some(9.5));
    let node = of(Condition::NodeHealth { part: NodePart::Disk });
    ArmedAlarms::compile_for_node(&[node]).expect("armed");
    let mistakes = ArmedAlarms::compile_for_node(&[of(Condition::ModelAnomaly {})]).expect_err("refused");
    let expected = "alarms.x.condition.kind = \"a condition of a pump\"; allowed: node_health for an alarm of the node";
    assert_eq!(mistakes[0].to_string(), expected);
}

#[test]
fn a_deadband_leaves_the_value_room_to_go_back() {
    let with = |deadband: f64, condition: Condition| {
        mistakes(&[AlarmDefinition { deadband: Some(deadband), ..of(condition) }]).join("; ")
    };
    let t = || "T".to_owned();
    let high = || Condition::High { channel: t(), limit: 90.0 };
    let low = || Condition::LowLow { channel: t(), limit: 150.0 };
    let rate =
        || Condition::RateOfChange { channel: t(), limit_per_min: 5.0, over_s: 60.0, direction: Direction::Either };
    let deviation = || Condition::Deviation { channel: t(), limit_spreads: 8.0 };
    let sum = || Condition::Expression { expression: "T * 2".into(), when: Side::Above, limit: 1.0 };
    for (condition, most) in [(high(), 130.0), (low(), 50.0), (rate(), 5.0), (deviation(), 8.0)] {
        assert_eq!(with(most, condition.clone()), "", "{condition:?}");
        let refused = with(most + 0.5, condition.clone());
        let expected = format!("alarms.x.deadband = \"{}\"; allowed: 0 to {most}, so that", most + 0.5);
        assert!(refused.starts_with(&expected), "{condition:?}: {refused}");
    }
    assert_eq!(with(1e6, sum()), "", "an expression has no range");
}

#[test]
fn what_is_in_use_is_that_of_the_definition_or_of_the_quantity() {
    let armed = ArmedAlarms::compile(&profile(), &[hot(90.0)]).expect("valid");
    let used = armed.alarms()[0].in_use();
    assert_eq!((used.on_delay_s, used.off_delay_s, used.holds_in), (60.0, 60.0, StateSet::ALL));
    assert!((used.deadband - 0.9).abs() < 1e-9);
    let own = AlarmDefinition { on_delay_s: Some(1.5), deadband: Some(2.0), ..hot(90.0) };
    let armed = ArmedAlarms::compile(&profile(), &[own]).expect("valid");
    let used = armed.alarms()[0].in_use();
    assert_eq!((used.on_delay_s, used.off_delay_s, used.deadband), (1.5, 60.0, 2.0));
}
