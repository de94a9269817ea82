//! Posting: a body with ten values and nothing else, and all other forms.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{NodeConfig, field_sample, ten_values};

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The ten values at this second, with some of them changed.
pub fn at(second: u32, changes: Value) -> Value {
    let mut item = ten_values();
    item["timestamp"] = json!(format!("2026-03-09T10:{:02}:{:02}Z", second / 60, second % 60));
    for (key, value) in changes.as_object().expect("an object") {
        item[key] = value.clone();
    }
    item
}

#[test]
fn body_of_the_original_guide_is_stored_and_shown() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let response = node.post(&ten_values());
    assert_eq!(response.status, 200);
    let expected = json!({"accepted": 1, "duplicate": 0, "late": 0, "late_reason": null, "rejected": [], "rejected_not_listed": 0, "send_again": [],
            "bad_channels": [], "bad_channels_not_listed": 0, "missing_channels": [], "missing_channels_not_listed": 0,
            "unknown_fields": [], "unknown_fields_not_listed": 0, "durable": true});
    assert_eq!(response.body, expected);

    let history = node.get_ok("/api/sensor-history");
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(history["items"][0]["values"], ten_values());
    assert_eq!(history["items"][0]["quality"], json!({}));
    assert_eq!(history["items"][0]["pump_id"], "pump-1");
    assert_eq!(history["next_cursor"], Value::Null);

    let live = node.wait_until("/api/live-data", |live| live["timestamp"].is_string());
    assert_eq!(live["timestamp"], history["items"][0]["timestamp"]);
    assert_eq!(live["channels"]["Motor_RPM"]["value"], 1480.0);
    assert_eq!(live["channels"]["Motor_RPM"]["state"], "ok");
    assert_eq!(live["status"], "UNKNOWN", "there is no model");
    assert!(live["age_ms"].as_i64().expect("an age") >= 0);
}

#[test]
fn arrays_and_json_lines_are_answered_item_by_item() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let response = node.post(&json!([at(0, json!({})), at(1, json!({"timestamp": "soon"})), at(2, json!({}))]));
    assert_eq!(response.status, 207);
    assert_eq!((&response.body["accepted"], response.body["rejected"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(response.body["rejected"][0]["index"], 1);
    assert_eq!(response.body["rejected"][0]["field"], "timestamp");

    let lines = format!("{}\n{{not json\n\n{}\n", at(3, json!({})), at(0, json!({})));
    let response = node.post_as("application/x-ndjson", &lines);
    assert_eq!(response.status, 207);
    assert_eq!((&response.body["accepted"], &response.body["duplicate"]), (&json!(1), &json!(1)));
    assert_eq!(response.body["rejected"][0]["index"], 1);
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-1").len(), 3);
}

#[test]
fn repeated_item_is_a_duplicate_and_other_values_are_rejected() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let batch: Vec<Value> = (0..50).map(|second| at(second, json!({}))).collect();
    assert_eq!(node.post(&json!(batch)).body["accepted"], 50);
    assert_eq!(node.post(&json!(batch)).body["duplicate"], 50);
    assert!(node.terminate().success());

    let node = start.node();
    assert_eq!(node.post(&json!(batch)).body["duplicate"], 50, "a restart loses nothing");
    let other = node.post(&at(7, json!({"Motor_RPM": 1.0})));
    assert_eq!(other.status, 400);
    assert_eq!(other.body["rejected"][0]["field"], "timestamp");
    assert_eq!(other.body["rejected"][0]["value"], "2026-03-09T10:00:07.000Z");
    let history = node.all_items("/api/sensor-history?from=2026-03-09T10:00:07Z&to=2026-03-09T10:00:08Z");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["values"]["Motor_RPM"], 1480.0, "the first value is kept");
}

#[test]
fn late_readings_are_stored_and_counted() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    node.post(&at(10, json!({})));
    let response = node.post(&json!([at(8, json!({})), at(7, json!({}))]));
    assert_eq!((&response.body["accepted"], &response.body["late"]), (&json!(1), &json!(1)));
    let history = node.all_items("/api/sensor-history?from=2026-03-09T10:00:00Z");
    let late: Vec<bool> = history.iter().map(|item| item["late"] == true).collect();
    assert_eq!(late, [true, false, false]);
}

#[test]
fn implausible_value_is_stored_and_named() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let response = node.post(&at(0, json!({"Bearing_Temperature_C": 5000.0, "Oil_Pressure_bar": null})));
    assert_eq!(response.status, 200);
    assert_eq!(response.body["bad_channels"][0]["channel"], "Bearing_Temperature_C");
    assert_eq!(response.body["bad_channels"][0]["value"], 5000.0);
    let item = &node.get_ok("/api/sensor-history")["items"][0];
    assert_eq!(item["values"]["Bearing_Temperature_C"], 5000.0);
    assert_eq!(item["values"]["Oil_Pressure_bar"], Value::Null);
    assert_eq!(item["quality"], json!({"Bearing_Temperature_C": "bad", "Oil_Pressure_bar": "missing"}));
}

#[test]
fn bodies_of_known_gateways_are_accepted_and_ignored_fields_listed() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let vibration = |pump: &str| {
        node.all_items(&format!("/api/sensor-history?pump_id={pump}"))[0]["values"]["Vibration_mm_s"].clone()
    };
    if let Some(dead) = field_sample("03_one_dead_sensor_word.json") {
        let response = node.post_as("application/json", &dead);
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
        let missing = json!([{"index": 0, "channel": "Ambient_Temperature_C", "value": "Bad Input",
            "why": "text that is not a number"}]);
        assert_eq!(response.body["missing_channels"], missing);
        assert_eq!(vibration("P-1"), 2.1, "the other nine values are accepted");
        let item = &node.all_items("/api/sensor-history?pump_id=P-1")[0];
        assert_eq!(item["quality"], json!({"Ambient_Temperature_C": "missing"}));
    }
    if let Some(extra) = field_sample("04_extra_field.json") {
        let response = node.post_as("application/json", &extra.replace("P-1", "P-2"));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
        let unknown = json!([{"field": "quality", "count": 1, "index": 0, "value": "GOOD"}]);
        assert_eq!(response.body["unknown_fields"], unknown);
    }
    if let Some(float) = field_sample("05_time_ms_float.json") {
        let response = node.post_as("application/json", &float.replace("P-1", "P-3"));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
        assert_eq!(node.all_items("/api/sensor-history?pump_id=P-3")[0]["timestamp"], "2026-03-09T10:14:33.000Z");
    }

    // One body with a bare NaN, a BOM and the form of ThingsBoard. The items of the other pump are not affected.
    let body = "\u{feff}[{\"pump_id\": \"P-4\", \"ts\": 1773051273000, \"values\": {\"Motor_RPM\": NaN, \"vibration-mm-s\": \"2.5\"}},\n\
                {\"pump_id\": \"P-5\", \"ts\": 1773051273, \"Vibration_mm_s\": 2.6, \"note\": \"NaN\"},\n\
                {\"pump_id\": \"P-6\", \"ts\": 1773051273, \"Vibration_mm_s\": \"2,6\"}]";
    let response = node.post_as("application/json", body);
    assert_eq!((response.status, &response.body["accepted"]), (207, &json!(2)), "{response:?}");
    assert_eq!(response.body["missing_channels"][0]["value"], "NaN");
    assert_eq!(response.body["missing_channels"][1]["value"], "2,6");
    assert_eq!(
        (&response.body["rejected"][0]["index"], &response.body["rejected"][0]["field"]),
        (&json!(2), &json!(""))
    );
    assert_eq!((vibration("P-4"), vibration("P-5")), (json!(2.5), json!(2.6)));
}

#[test]
fn history_is_paged_in_both_directions() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let batch: Vec<Value> = (0..25).map(|second| at(second, json!({}))).collect();
    node.post(&json!(batch));
    let times = |items: Vec<Value>| {
        items.iter().map(|i| i["timestamp"].as_str().expect("a time").to_owned()).collect::<Vec<_>>()
    };
    let newest_first = times(node.all_items("/api/sensor-history?limit=10&pump_id=pump-1"));
    let mut oldest_first =
        times(node.all_items("/api/sensor-history?limit=7&from=2026-03-09T10:00:00Z&channel=Motor_RPM"));
    assert_eq!((oldest_first.len(), oldest_first[0].as_str()), (25, "2026-03-09T10:00:00.000Z"));
    oldest_first.reverse();
    assert_eq!(newest_first, oldest_first);
}
