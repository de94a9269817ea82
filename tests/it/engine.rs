//! Rules and episodes on a running node: one maintenance event for one fault, also over restarts.

use std::fmt::Write;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    ingest::at,
    support::{NodeConfig, run, ten_values},
};

/// A reading of a pump that runs normally: each channel oscillates by 1 % around its value.
pub fn normal(second: u32) -> Value {
    let mut item = at(second, json!({}));
    for (index, (channel, value)) in ten_values().as_object().expect("an object").iter().enumerate() {
        let phase = f64::from(second) / (7.0 + index as f64);
        let value = value.as_f64().expect("a number") * (1.0 + 0.01 * phase.sin());
        item[channel] = json!(value);
    }
    item
}

///
/// With the detector `fused`: it has one detection per whole window, which these tests count.
pub fn train_on_normal(data: &TempDir) -> std::path::PathBuf {
    train_for(data, "fused")
}

/// The same with another detector.
pub fn train_for(data: &TempDir, detector: &str) -> std::path::PathBuf {
    let channels: Vec<String> = ten_values().as_object().expect("an object").keys().cloned().collect();
    let mut csv = format!("timestamp,{},machine_status\n", channels.join(","));
    for second in 0..600 {
        let item = normal(second);
        let values: Vec<String> = channels.iter().map(|channel| item[channel].to_string()).collect();
        let time = item["timestamp"].as_str().expect("a time").trim_end_matches('Z').replace('T', " ");
        writeln!(csv, "{time},{},NORMAL", values.join(",")).expect("written");
    }
    let (path, model) = (data.path().join("normal.csv"), data.path().join("model"));
    std::fs::write(&path, csv).expect("written");
    let (path, out) = (path.to_str().expect("text"), model.to_str().expect("text"));
    run(&["train", "--csv", path, "--epochs", "10", "--detector", detector, "--out", out]);
    model
}

#[test]
fn hot_bearing_opens_one_event_not_one_for_each_window() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start = NodeConfig::new(&data, "centrifugal").with_model(&model);
    let node = start.node();
    let hot = |second: u32| {
        let mut item = normal(second);
        item["Bearing_Temperature_C"] = json!(95.0);
        item
    };
    let post = |node: &crate::support::Node, items: Vec<Value>| assert_eq!(node.post(&json!(items)).status, 200);

    post(&node, (0..20).map(normal).collect());
    let learning = node.wait_until("/api/live-data", |live| live["learning"]["have"] == 20);
    assert_eq!((&learning["status"], &learning["learning"]["need"]), (&json!("LEARNING"), &json!(30)));
    post(&node, (20..60).map(normal).collect());
    node.wait_until("/api/live-data", |live| live["totals"]["pump"]["scored"] == 31);
    assert_eq!(node.get_ok("/api/maintenance-events?status=active")["items"], json!([]));

    post(&node, (60..100).map(hot).collect());
    let live = node.wait_until("/api/live-data", |live| live["status"] == "ANOMALY");
    assert!(live["loss"].as_f64() > live["threshold"].as_f64(), "{live}");
    let active = "/api/maintenance-events?status=active";
    let events = node.wait_until(active, |events| events["items"].as_array().is_some_and(|items| !items.is_empty()));
    let event = events["items"][0].clone();
    assert_eq!(
        (&event["channel"], &event["limit"], &event["peak"]),
        (&json!("Bearing_Temperature_C"), &json!(85.0), &json!(95.0))
    );
    assert_eq!((&event["pump_id"], &event["cost"]["currency"]), (&json!("pump-1"), &json!("INR")));
    assert!(node.terminate().success());

    let node = start.node();
    post(&node, (100..140).map(hot).collect());
    node.wait_until("/api/live-data", |live| live["totals"]["pump"]["scored"] == 40);
    let events = node.get_ok("/api/maintenance-events");
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "one fault, one event: {events}");
    assert_eq!(events["items"][0]["opened_at"], event["opened_at"]);

    post(&node, (140..260).map(normal).collect());
    let resolved = node.wait_until("/api/maintenance-events?status=resolved", |events| {
        events["items"].as_array().is_some_and(|items| !items.is_empty())
    });
    assert_eq!(resolved["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(node.get_ok(active)["items"], json!([]));
}

#[test]
fn stopped_pump_is_off_and_its_limits_are_evaluated() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = NodeConfig::new(&data, "centrifugal").with_model(&model).node();
    let at_standstill = |second: u32| {
        let mut item = normal(second);
        (item["Motor_RPM"], item["Motor_Current_A"]) = (json!(0.0), json!(0.0));
        item
    };
    let post = |items: Vec<Value>| assert_eq!(node.post(&json!(items)).status, 200);

    post((0..40).map(normal).collect());
    node.wait_until("/api/live-data", |live| live["totals"]["pump"]["scored"] == 11);
    post((40..60).map(at_standstill).collect());
    let off = node.wait_until("/api/live-data", |live| live["status"] == "OFF");
    assert_eq!(off["totals"]["pump"]["scored"], 11, "nothing is scored: {off}");

    let mut hot = at_standstill(60);
    hot["Bearing_Temperature_C"] = json!(95.0);
    post(vec![hot]);
    let active = "/api/maintenance-events?status=active";
    let events = node.wait_until(active, |events| events["items"].as_array().is_some_and(|items| !items.is_empty()));
    let event = &events["items"][0];
    assert_eq!((&event["peak"], &event["peak_loss"], &event["model"]), (&json!(95.0), &Value::Null, &Value::Null));

    post((61..80).map(normal).collect());
    let starting = node.wait_until("/api/live-data", |live| live["status"] == "STARTING");
    assert_eq!(starting["is_anomaly"], false, "the last detection is from before: {starting}");
}

#[test]
fn model_of_another_profile_is_rejected_at_start() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let mut command = crate::support::volute();
    command.args(["serve", "--listen", "127.0.0.1:0", "--profile", "skab", "--data-dir"]);
    let output = command.arg(data.path().join("store")).arg("--model").arg(&model).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("profile"), "{message}");
}

/// A reading of a stopped pump whose zero points have drifted to these values.
fn stopped(pump: &str, second: u32, [rpm, current_a]: [f64; 2]) -> Value {
    let mut item = normal(second);
    item["pump_id"] = json!(pump);
    for (channel, value) in [
        ("Motor_RPM", rpm),
        ("Motor_Current_A", current_a),
        ("Flow_Rate_L_min", -3.5),
        ("Vibration_mm_s", -0.02),
        ("Oil_Pressure_bar", -0.01),
    ] {
        item[channel] = json!(value);
    }
    item
}

#[test]
fn stopped_pump_with_drifted_zeros_is_off() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = NodeConfig::new(&data, "centrifugal").with_model(&model).node();
    let runs = |pump: &str, second: u32| {
        let mut item = normal(second);
        item["pump_id"] = json!(pump);
        item
    };
    let post = |items: Vec<Value>| {
        let response = node.post(&json!(items));
        assert_eq!((response.status, &response.body["bad_channels"]), (200, &json!([])), "{response:?}");
    };
    for (pump, zero) in [("pump-a", [0.0, -0.1]), ("pump-b", [-0.4, -0.1]), ("pump-c", [-0.4, 0.0])] {
        let live = format!("/api/live-data?pump_id={pump}");
        let status = |status: &str, second: u32| {
            let shown = format!("2026-03-09T10:{:02}:{:02}.000Z", second / 60, second % 60);
            node.wait_until(&live, |live| live["status"] == status && live["timestamp"] == shown.as_str())
        };
        // The pump is at standstill first, so that its start is recognized: it is scored only after it has settled.
        post((0..10).map(|second| stopped(pump, second, zero)).collect());
        let off = status("OFF", 9);
        let current = &off["channels"]["Motor_Current_A"];
        assert_eq!((&current["value"], &current["quality"]), (&json!(zero[1]), &json!("good")), "shown as sent");
        post((10..100).map(|second| runs(pump, second)).collect());
        let starting = status("STARTING", 99);
        assert_eq!(starting["status_reason"].as_str().map(|reason| reason.contains("90")), Some(true), "{starting}");
        post((100..700).map(|second| runs(pump, second)).collect());
        node.wait_until(&live, |live| live["totals"]["pump"]["scored"] == 91);
        // Readings of a stopped pump are not scored.
        post((700..760).map(|second| stopped(pump, second, zero)).collect());
        status("OFF", 759);
        assert_eq!(node.get_ok(&live)["totals"]["pump"]["scored"], 91, "{pump}");
        let path = format!("/api/anomaly-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let detections = node.wait_until(&path, |page| page["items"].as_array().is_some_and(|all| all.len() == 91));
        let anomalies = detections["items"].as_array().expect("a list").iter().filter(|one| one["is_anomaly"] == true);
        assert_eq!(anomalies.count(), 0, "{pump}");
    }
}
