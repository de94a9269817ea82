//! One pump posting ten values and nothing else must simply work; and so must all the other ways to post.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Start, ten_values};

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The ten values at a time, with some of them changed.
pub fn at(second: u32, changes: Value) -> Value {
    let mut item = ten_values();
    item["timestamp"] = json!(format!("2026-03-09T10:{:02}:{:02}Z", second / 60, second % 60));
    for (key, value) in changes.as_object().expect("an object") {
        item[key] = value.clone();
    }
    item
}

#[test]
fn the_original_guides_body_is_stored_and_shown() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let answer = node.post(&ten_values());
    assert_eq!(answer.status, 200);
    let expected = json!({"accepted": 1, "duplicate": 0, "late": 0, "rejected": [], "rejected_not_listed": 0,
            "bad_channels": [], "bad_channels_not_listed": 0, "durable": true});
    assert_eq!(answer.body, expected);

    let history = node.ok("/api/sensor-history");
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(history["items"][0]["values"], ten_values());
    assert_eq!(history["items"][0]["quality"], json!({}));
    assert_eq!(history["items"][0]["pump_id"], "pump-1");
    assert_eq!(history["next_cursor"], Value::Null);

    let live = node.until("/api/live-data", |live| live["timestamp"].is_string());
    assert_eq!(live["timestamp"], history["items"][0]["timestamp"]);
    assert_eq!(live["channels"]["Motor_RPM"]["value"], 1480.0);
    assert_eq!(live["channels"]["Motor_RPM"]["state"], "ok");
    assert_eq!(live["status"], "UNKNOWN", "there is no model");
    assert!(live["age_ms"].as_i64().expect("an age") >= 0);
}

#[test]
fn arrays_and_lines_are_answered_item_by_item() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let answer = node.post(&json!([at(0, json!({})), at(1, json!({"Motor_RPM": "fast"})), at(2, json!({}))]));
    assert_eq!(answer.status, 207);
    assert_eq!((&answer.body["accepted"], answer.body["rejected"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(answer.body["rejected"][0]["index"], 1);
    assert_eq!(answer.body["rejected"][0]["field"], "Motor_RPM");

    let lines = format!("{}\n{{not json\n\n{}\n", at(3, json!({})), at(0, json!({})));
    let answer = node.post_as("application/x-ndjson", &lines);
    assert_eq!(answer.status, 207);
    assert_eq!((&answer.body["accepted"], &answer.body["duplicate"]), (&json!(1), &json!(1)));
    assert_eq!(answer.body["rejected"][0]["index"], 1);
    assert_eq!(node.all("/api/sensor-history?pump_id=pump-1").len(), 3);
}

#[test]
fn the_same_again_is_a_duplicate_and_other_values_are_refused() {
    let data = data();
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    let batch: Vec<Value> = (0..50).map(|second| at(second, json!({}))).collect();
    assert_eq!(node.post(&json!(batch)).body["accepted"], 50);
    assert_eq!(node.post(&json!(batch)).body["duplicate"], 50);
    assert!(node.terminate().success());

    let node = start.node();
    assert_eq!(node.post(&json!(batch)).body["duplicate"], 50, "a restart forgets nothing");
    let other = node.post(&at(7, json!({"Motor_RPM": 1.0})));
    assert_eq!(other.status, 400);
    assert_eq!(other.body["rejected"][0]["field"], "timestamp");
    assert_eq!(other.body["rejected"][0]["value"], "2026-03-09T10:00:07.000Z");
    let history = node.all("/api/sensor-history?from=2026-03-09T10:00:07Z&to=2026-03-09T10:00:08Z");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["values"]["Motor_RPM"], 1480.0, "the first stands");
}

#[test]
fn late_readings_are_stored_and_say_so() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    node.post(&at(10, json!({})));
    let answer = node.post(&json!([at(8, json!({})), at(7, json!({}))]));
    assert_eq!((&answer.body["accepted"], &answer.body["late"]), (&json!(1), &json!(1)));
    let history = node.all("/api/sensor-history?from=2026-03-09T10:00:00Z");
    let late: Vec<bool> = history.iter().map(|item| item["late"] == true).collect();
    assert_eq!(late, [true, false, false]);
}

#[test]
fn a_wild_sensor_is_kept_and_named() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let answer = node.post(&at(0, json!({"Bearing_Temperature_C": 5000.0, "Oil_Pressure_bar": null})));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["bad_channels"][0]["channel"], "Bearing_Temperature_C");
    assert_eq!(answer.body["bad_channels"][0]["value"], 5000.0);
    let item = &node.ok("/api/sensor-history")["items"][0];
    assert_eq!(item["values"]["Bearing_Temperature_C"], 5000.0);
    assert_eq!(item["values"]["Oil_Pressure_bar"], Value::Null);
    assert_eq!(item["quality"], json!({"Bearing_Temperature_C": "bad", "Oil_Pressure_bar": "missing"}));
}

#[test]
fn history_is_paged_in_both_directions() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let batch: Vec<Value> = (0..25).map(|second| at(second, json!({}))).collect();
    node.post(&json!(batch));
    let times = |items: Vec<Value>| {
        items.iter().map(|i| i["timestamp"].as_str().expect("a time").to_owned()).collect::<Vec<_>>()
    };
    let newest_first = times(node.all("/api/sensor-history?limit=10&pump_id=pump-1"));
    let mut oldest_first = times(node.all("/api/sensor-history?limit=7&from=2026-03-09T10:00:00Z&channel=Motor_RPM"));
    assert_eq!((oldest_first.len(), oldest_first[0].as_str()), (25, "2026-03-09T10:00:00.000Z"));
    oldest_first.reverse();
    assert_eq!(newest_first, oldest_first);
}
