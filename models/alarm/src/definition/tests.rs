//! Tests of the forms in TOML and JSON.

use super::*;

fn id(text: &str) -> AlarmId {
    text.try_into().expect("an id")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    alarms: Vec<AlarmDefinition>,
}

#[test]
fn whole_definition_in_toml_and_json() {
    let text = r#"
        [[alarms]]
        id = "bearing-hot"
        title = "Bearing hot"
        condition = { kind = "high", channel = "Bearing", limit = 93 }
        priority = "high"
        on_delay_s = 60
        off_delay_s = 30.5
        deadband = 1
        holds_in = ["running"]
        latching = true
        help = "Check the oil."
        explained_by = ["pump-stale"]
    "#;
    let condition = Condition::High { channel: "Bearing".into(), limit: 93.0 };
    let expected = AlarmDefinition {
        on_delay_s: Some(60.0),
        off_delay_s: Some(30.5),
        deadband: Some(1.0),
        holds_in: Some(vec!["running".to_owned()].try_into().expect("a set")),
        latching: true,
        help: "Check the oil.".into(),
        explained_by: vec![id("pump-stale")],
        ..AlarmDefinition::new(id("bearing-hot"), "Bearing hot", Priority::High, condition)
    };
    let file: File = toml::from_str(text).expect("TOML");
    assert_eq!(file.alarms, std::slice::from_ref(&expected));
    let json = serde_json::to_string(&expected).expect("JSON");
    assert_eq!(serde_json::from_str::<AlarmDefinition>(&json).expect("JSON"), expected);
}

#[test]
fn every_condition_has_a_form() {
    let channel = || "C".to_owned();
    for (json, expected) in [
        (r#"{"kind":"high","channel":"C","limit":1.5}"#, Condition::High { channel: channel(), limit: 1.5 }),
        (r#"{"kind":"high_high","channel":"C","limit":1.5}"#, Condition::HighHigh { channel: channel(), limit: 1.5 }),
        (r#"{"kind":"low","channel":"C","limit":1.5}"#, Condition::Low { channel: channel(), limit: 1.5 }),
        (r#"{"kind":"low_low","channel":"C","limit":1.5}"#, Condition::LowLow { channel: channel(), limit: 1.5 }),
        (
            r#"{"kind":"rate_of_change","channel":"C","limit_per_min":2.0,"over_s":60.0,"direction":"rising"}"#,
            Condition::RateOfChange {
                channel: channel(),
                limit_per_min: 2.0,
                over_s: 60.0,
                direction: Direction::Rising,
            },
        ),
        (
            r#"{"kind":"deviation","channel":"C","limit_spreads":6.0}"#,
            Condition::Deviation { channel: channel(), limit_spreads: 6.0 },
        ),
        (
            r#"{"kind":"expression","expression":"C - 1","when":"below","limit":0.5}"#,
            Condition::Expression { expression: "C - 1".into(), when: Side::Below, limit: 0.5 },
        ),
        (
            r#"{"kind":"vibration_zone","channel":"C","category":"II","power_kw":75.0,"boundary":"C/D"}"#,
            Condition::VibrationZone {
                channel: channel(),
                category: VibrationCategory::II,
                power_kw: 75.0,
                boundary: ZoneBoundary::CD,
            },
        ),
        (r#"{"kind":"no_data","after_s":60.0}"#, Condition::NoData { channel: None, after_s: 60.0 }),
        (
            r#"{"kind":"no_data","channel":"C","after_s":60.0}"#,
            Condition::NoData { channel: Some(channel()), after_s: 60.0 },
        ),
        (r#"{"kind":"bad_quality","channel":"C"}"#, Condition::BadQuality { channel: channel() }),
        (r#"{"kind":"model_anomaly"}"#, Condition::ModelAnomaly {}),
        (r#"{"kind":"node_health","part":"journal"}"#, Condition::NodeHealth { part: NodePart::Journal }),
    ] {
        assert_eq!(serde_json::from_str::<Condition>(json).expect(json), expected);
        assert_eq!(serde_json::to_string(&expected).expect("JSON"), json);
        let unknown = json.replacen('{', r#"{"colour":"red","#, 1);
        let error = serde_json::from_str::<Condition>(&unknown).expect_err("an unknown field").to_string();
        assert!(error.contains("colour"), "{error}");
    }
}

#[test]
fn mistakes_are_named() {
    let good = r#"{"id":"x","title":"X","condition":{"kind":"model_anomaly"},"priority":"low"}"#;
    serde_json::from_str::<AlarmDefinition>(good).expect(good);
    for (from, to, expected) in [
        (r#""x""#, r#""X Y""#, "id = \"X Y\"; allowed: 1 to 120 lower-case letters"),
        (r#""low""#, r#""urgent""#, "unknown variant `urgent`, expected one of `low`, `medium`, `high`, `critical`"),
        ("model_anomaly", "hot", "unknown variant `hot`, expected one of `high`, `high_high`"),
        (r#""title""#, r#""titel""#, "unknown field `titel`, expected one of `id`, `title`"),
        (r#""id""#, r#""holds_in":["on"],"id""#, "holds_in = \"on\"; allowed: one or more of off,"),
    ] {
        let text = good.replacen(from, to, 1);
        let error = serde_json::from_str::<AlarmDefinition>(&text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn definitions_of_the_documentation_are_valid() {
    let text = include_str!("../../../../docs/alarms.md");
    // Other examples are of the node's configuration.
    let mut examples = text.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let toml = examples.find(|example| example.contains("head-low")).expect("an example");
    let mut file: File = toml::from_str(toml).expect("TOML");
    let profile = include_str!("../../../../config/profiles/centrifugal.toml");
    let profile = volute_plant::Profile::from_toml(profile).expect("a profile");
    file.alarms.extend(crate::default_alarms(&profile));
    let armed = crate::ArmedAlarms::compile(&profile, &file.alarms).expect("armed");
    assert!(armed.index_of(&id("head-low")).is_some());
}
