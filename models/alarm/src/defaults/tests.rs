//! Tests of the defaults, also of the profiles that come with Volute.

use std::{fs, path::Path};

use super::*;
use crate::ArmedAlarms;

fn profile(name: &str) -> Profile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/profiles");
    let text = fs::read_to_string(folder.join(name)).expect("a profile's file");
    Profile::from_toml(&text).expect("a profile")
}

#[test]
fn every_profile_has_alarms_without_configuration() {
    for (name, count) in [("centrifugal.toml", 39), ("skab.toml", 18)] {
        let definitions = default_alarms(&profile(name));
        let armed = ArmedAlarms::compile(&profile(name), &definitions).expect(name);
        assert_eq!(armed.alarms().len(), count, "{name}");
    }
    assert_eq!(default_alarms(&Profile::placeholder("lost", &["A".into(), "a".into()])).len(), 6);
    let node = default_node_alarms();
    let ids: Vec<&str> = node.iter().map(|definition| definition.id.as_str()).collect();
    assert_eq!(ids, ["node-disk", "node-database", "node-journal", "node-actor"]);
    ArmedAlarms::compile_for_node(&node).expect("armed");
}

#[test]
fn alarms_of_a_channel_follow_from_its_limits() {
    let armed = ArmedAlarms::compile(&profile("centrifugal.toml"), &default_alarms(&profile("centrifugal.toml")))
        .expect("armed");
    let facts = |id: &str| {
        let index = armed.index_of(&AlarmId::from_text(id)).unwrap_or_else(|| panic!("{id}"));
        let alarm = &armed.alarms()[index];
        let explained: Vec<&str> = alarm.definition().explained_by.iter().map(AlarmId::as_str).collect();
        let deadband = (alarm.deadband() * 1e6).round() / 1e6;
        (alarm.limit(), deadband, alarm.delays_ms(), alarm.definition().priority, explained.join(" "))
    };
    let text = str::to_owned;
    for (id, expected) in [
        (
            "bearing-temperature-c-high",
            (Some(82.0), 0.82, (60_000, 60_000), Priority::Low, text("bearing-temperature-c-high-high")),
        ),
        ("bearing-temperature-c-high-high", (Some(93.0), 0.93, (20_000, 60_000), Priority::High, text(""))),
        ("vibration-mm-s-high-high", (Some(8.5), 0.425, (3_333, 30_000), Priority::High, text(""))),
        ("oil-pressure-bar-low-low", (Some(0.8), 0.02, (5_000, 15_000), Priority::High, text(""))),
        ("oil-pressure-bar-high", (Some(6.0), 0.12, (15_000, 15_000), Priority::Low, text(""))),
        (
            "suction-pressure-bar-low",
            (Some(-0.5), 0.02, (15_000, 15_000), Priority::Low, text("suction-pressure-bar-low-low")),
        ),
        ("suction-pressure-bar-low-low", (Some(-0.7), 0.02, (5_000, 15_000), Priority::Medium, text(""))),
        ("motor-rpm-high", (Some(3_600.0), 72.0, (5_000, 5_000), Priority::Low, text("motor-rpm-high-high"))),
        ("pump-stale", (None, 0.0, (0, 30_000), Priority::Medium, text(""))),
        ("flow-rate-l-min-no-data", (None, 0.0, (0, 30_000), Priority::Low, text("pump-stale"))),
        ("flow-rate-l-min-bad", (None, 0.0, (10_000, 60_000), Priority::Low, text(""))),
        ("model-anomaly", (None, 0.0, (0, 60_000), Priority::Low, text(""))),
    ] {
        assert_eq!(facts(id), expected, "{id}");
    }
    let holds = |id: &str| armed.alarms()[armed.index_of(&AlarmId::from_text(id)).expect(id)].holds_in;
    assert_eq!(holds("bearing-temperature-c-high"), StateSet::ALL);
    assert_eq!(holds("vibration-mm-s-high"), StateSet::POWERED);
    assert_eq!(holds("oil-pressure-bar-low"), StateSet::POWERED);
}

#[test]
fn other_limits_have_a_tenth_as_deadband() {
    let rate = Condition::RateOfChange {
        channel: "T".into(),
        limit_per_min: 5.0,
        over_s: 60.0,
        direction: crate::Direction::Either,
    };
    let expected = Defaults { on_delay_s: 0.0, off_delay_s: 60.0, deadband: 0.5, holds_in: StateSet::ALL };
    assert_eq!(defaults(&rate, None, 5.0), expected);
    let deviation = Condition::Deviation { channel: "T".into(), limit_spreads: 6.0 };
    assert_eq!(defaults(&deviation, None, -6.0).deadband, 0.6000000000000001);
}

#[test]
fn pump_is_stale_after_ten_intervals_or_its_shortest_hold() {
    let centrifugal = profile("centrifugal.toml");
    for (profile, expected) in [
        (centrifugal.clone(), 60.0),
        (centrifugal.with_interval(60_000).expect("allowed"), 600.0),
        (centrifugal.with_hold(900), 900.0),
        (centrifugal.with_channel_hold(0, 900), 60.0),
    ] {
        assert_eq!(stale_after_s(&profile), expected);
    }
    let held = default_alarms(&centrifugal.with_channel_hold(0, 900));
    let after = |id: &str| {
        let found = held.iter().find(|definition| definition.id.as_str() == id).expect("an alarm");
        match found.condition {
            Condition::NoData { after_s, .. } => after_s,
            _ => panic!("{found:?}"),
        }
    };
    assert_eq!((after("motor-rpm-no-data"), after("flow-rate-l-min-no-data")), (900.0, 60.0));
}
