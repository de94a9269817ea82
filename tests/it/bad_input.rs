//! Invalid inputs with their exact responses. None of them is stored, and valid items beside them are not lost.

use serde_json::{Value, json};

use crate::{
    ingest::at,
    support::{Node, NodeConfig, ten_values},
};

const CHANNELS: &str = "Motor_RPM, Bearing_Temperature_C, Oil_Pressure_bar, Vibration_mm_s, Flow_Rate_L_min, \
                        Suction_Pressure_bar, Discharge_Pressure_bar, Motor_Current_A, Casing_Temperature_C, \
                        Ambient_Temperature_C";
const TIMES: &str = "a time with an offset, as 2026-03-09T10:14:33Z or 2026-03-09T11:14:33+01:00, or seconds, milliseconds, \
                     microseconds or nanoseconds since 1970, from 2000 to 2200";
const LOCAL: &str =
    "a time without its offset from UTC, so its hour is not known; add Z where it is UTC, or +01:00 and the like";
const IDS: &str = volute_plant::PumpId::ALLOWED;

/// The number of stored readings; 0 for an unknown pump.
fn stored(node: &Node) -> usize {
    let path = "/api/sensor-history?pump_id=pump-1";
    if node.get(path).status == 404 { 0 } else { node.all_items(path).len() }
}

#[test]
fn invalid_item_is_rejected_with_field_value_and_allowed_values() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    let table = [
        (
            json!({"pump_id": "pump\n1"}),
            "pump_id",
            json!("pump\n1"),
            "not a valid pump id: U+000A is a control character",
            IDS,
        ),
        (json!({"pump_id": ".."}), "pump_id", json!(".."), "not a valid pump id: it is reserved", IDS),
        (json!({"pump_id": 1}), "pump_id", json!(1), "not a valid pump id", IDS),
        (json!({"timestamp": "yesterday"}), "timestamp", json!("yesterday"), "not a time", TIMES),
        (json!({"timestamp": "2026-03-09T10:14:33"}), "timestamp", json!("2026-03-09T10:14:33"), LOCAL, TIMES),
        (json!({"timestamp": 17730512}), "timestamp", json!(17730512), "not a time", TIMES),
    ];
    for (changes, field, value, reason, allowed) in table {
        let response = node.post(&at(0, changes.clone()));
        let rejection = json!({
            "index": 0, "field": field, "value": value, "allowed": allowed,
            "message": format!("{field}: {reason}; allowed: {allowed}"),
        });
        let expected = json!({
            "accepted": 0, "duplicate": 0, "late": 0, "late_reason": null, "rejected": [rejection], "rejected_not_listed": 0, "send_again": [],
            "bad_channels": [], "bad_channels_not_listed": 0, "missing_channels": [], "missing_channels_not_listed": 0,
            "unknown_fields": [], "unknown_fields_not_listed": 0, "durable": true
        });
        assert_eq!((response.status, response.body), (400, expected), "{changes}");
    }
    let nothing = node.post(&json!({"pump_id": "pump-1"}));
    assert_eq!((nothing.status, &nothing.body["rejected"][0]["allowed"]), (400, &json!(CHANNELS)));
    assert_eq!(stored(&node), 0);
}

#[test]
fn future_times_and_indistinguishable_items_are_rejected() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    let response = node.post(&at(0, json!({"timestamp": "2199-01-01T00:00:00Z"})));
    assert_eq!(response.status, 400);
    let rejection = &response.body["rejected"][0];
    assert_eq!((&rejection["field"], &rejection["value"]), (&json!("timestamp"), &json!("2199-01-01T00:00:00.000Z")));
    assert!(rejection["allowed"].as_str().expect("text").starts_with("at most 30 s after the node's clock, "));

    let response = node.post(&json!([ten_values(), ten_values(), at(0, json!({}))]));
    assert_eq!((response.status, &response.body["accepted"]), (207, &json!(1)));
    for (place, index) in [(0, 0), (1, 1)] {
        let rejection = &response.body["rejected"][place];
        assert_eq!((&rejection["index"], &rejection["field"]), (&json!(index), &json!("timestamp")));
        let allowed = rejection["allowed"].as_str().expect("text");
        assert!(allowed.contains("only if no two have the same channel"), "{allowed}");
    }
    assert_eq!(stored(&node), 1);
}

#[test]
fn invalid_body_is_a_problem_response() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__SERVER__MAX_BODY_BYTES", "4096").node();
    let large = json!({"Motor_RPM": 1, "pump_id": "x".repeat(5000)}).to_string();
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    for (content_type, body, status) in [
        ("application/json", "{\"Motor_RPM\": NaNs}", 400),
        ("application/json", "{\"Motor_RPM\": 1480", 400),
        ("application/json", "", 400),
        ("application/json", "[]", 400),
        ("application/json", deep.as_str(), 400),
        ("text/csv", "Motor_RPM\n1480", 415),
        ("application/json", large.as_str(), 413),
    ] {
        let response = node.post_as(content_type, body);
        assert_eq!(response.status, status, "{body:.40}: {response:?}");
        assert_eq!(response.content_type, "application/problem+json");
        assert_eq!(response.body["status"], status);
        assert!(response.body["title"].is_string() && response.body["detail"].is_string(), "{response:?}");
    }
    assert_eq!(stored(&node), 0);
}

#[test]
fn unknown_pump_is_rejected_without_automatic_registration() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.clone().with_env("VOLUTE__INGEST__MAX_PUMPS", "1").node();
    assert_eq!(node.post(&ten_values()).status, 200);
    let response = node.post(&json!([at(0, json!({})), at(0, json!({"pump_id": "pump-2"}))]));
    assert_eq!((response.status, &response.body["rejected"][0]["index"]), (207, &json!(1)));
    assert_eq!(response.body["rejected"][0]["field"], "pump_id");
    node.kill();

    let node = start.with_env("VOLUTE__INGEST__AUTO_REGISTER", "off").node();
    assert_eq!(node.post(&at(1, json!({}))).status, 200, "pump-1 is registered");
    let response = node.post(&at(1, json!({"pump_id": "pump-9"})));
    assert_eq!((response.status, &response.body["rejected"][0]["value"]), (400, &json!("pump-9")));
    assert_eq!(node.get("/api/live-data?pump_id=pump-9").status, 404);
}

#[test]
fn post_larger_than_a_queue_is_rejected_completely() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let small = start
        .clone()
        .with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_READINGS_PER_PUMP", "10")
        .with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_READINGS", "12");
    let node = small.node();
    let items = |pump: &str, n: u32| (0..n).map(|s| at(s, json!({"pump_id": pump}))).collect::<Vec<Value>>();
    let many: Vec<Value> = (0..10_001).map(|n| json!({"ts": 1_773_051_273 + n, "Motor_RPM": n})).collect();
    let refused = node.post(&json!(many));
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.body["detail"].as_str().expect("text").contains("allowed: at most 10000"), "{refused:?}");
    assert_eq!(stored(&node), 0, "a rejected post leaves no trace");
    assert_eq!(node.get_ok("/api/pumps")["items"], json!([]));
    assert_eq!(node.post(&json!(items("pump-3", 11))).body["accepted"], 11, "in parts");
    let two = [items("pump-1", 8), items("pump-2", 8)].concat();
    assert_eq!(node.post(&json!(two)).status, 200, "larger than the limit, but nothing else is in flight");
    assert_eq!(node.post(&json!(items("pump-1", 10))).status, 200, "the permits are released");
}

#[test]
fn invalid_queries_name_the_parameter() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    for (path, field) in [
        ("/api/sensor-history?from=yesterday", "from"),
        ("/api/sensor-history?limit=0", "limit"),
        ("/api/sensor-history?channel=Torque", "channel"),
        ("/api/sensor-history?cursor=nonsense", "cursor"),
        ("/api/sensor-history?colour=red", "colour"),
        ("/api/anomaly-history?pump_id=a%0Ab", "pump_id"),
        ("/api/maintenance-events?status=open", "status"),
        ("/api/audit-log?action=dance", "action"),
    ] {
        let response = node.get(path);
        assert_eq!((response.status, response.content_type.as_str()), (400, "application/problem+json"), "{path}");
        assert_eq!(response.body["field"], field, "{path}: {response:?}");
    }
    assert_eq!(node.get("/api/nothing").status, 404);
}
