//! A node with a failed part: what keeps working, what is retained for the failed part, and what is reported.

use std::{io::Write, net::TcpStream, thread};

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_for, train_on_normal},
    support::{Node, NodeConfig, wait_until},
};

fn of(pump: &str, second: u32) -> Value {
    let mut item = normal(second);
    item["pump_id"] = json!(pump);
    item
}

fn hot(pump: &str, second: u32) -> Value {
    let mut item = of(pump, second);
    item["Bearing_Temperature_C"] = json!(120.0);
    item
}

fn post(node: &Node, items: Vec<Value>) {
    let response = node.post(&json!(items));
    assert_eq!(response.status, 200, "{response:?}");
}

fn assert_degraded(node: &Node, part: &str) {
    let health = node.get_ok("/readyz");
    assert_eq!(health["status"], "degraded");
    assert!(health["reason"].as_str().expect("a text").contains(part), "{health}");
    let problems = node.get_ok("/api/store")["problems"].to_string();
    assert!(problems.contains("too many failures") && problems.contains(part), "the problems name it: {problems}");
}

/// Checks that the pump is not called normal without a score, and that limits are evaluated without the model.
fn assert_limits_evaluated_without_scores(node: &Node) {
    let live = node.wait_until("/api/live-data?pump_id=P-1", |live| live["status"] == "UNKNOWN");
    assert!(live["status_reason"].as_str().expect("a reason").contains("could not be scored"), "{live}");
    let events = "/api/maintenance-events?pump_id=P-1&status=active";
    let events = node.wait_until(events, |events| events["items"].as_array().is_some_and(|events| !events.is_empty()));
    assert_eq!(events["items"][0]["peak_loss"], json!(null), "by the limit alone");
}

/// The detector `conditional` needs no score for a level that is off.
#[test]
fn levels_are_judged_if_every_window_fails_to_score() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_for(&data, "conditional");
    let node =
        NodeConfig::new(&data, "centrifugal").with_model(&model).with_env("FAILPOINTS", "score=panic(poison)").node();
    post(&node, (0..40).map(|second| of("P-1", second)).collect());
    node.wait_until("/api/live-data?pump_id=P-1", |live| live["status"] == "NORMAL");
    post(&node, (40..80).map(|second| hot("P-1", second)).collect());
    let live = node.wait_until("/api/live-data?pump_id=P-1", |live| live["status"] == "ANOMALY");
    assert!(live["loss"].as_f64() > live["threshold"].as_f64(), "{live}");
    let events = "/api/maintenance-events?pump_id=P-1&status=active";
    node.wait_until(events, |events| events["items"].as_array().is_some_and(|events| !events.is_empty()));
    assert!(node.terminate().success(), "a clean exit");
}

#[test]
fn limits_are_evaluated_if_every_window_fails_to_score() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node =
        NodeConfig::new(&data, "centrifugal").with_model(&model).with_env("FAILPOINTS", "score=panic(poison)").node();
    post(&node, (0..40).map(|second| of("P-1", second)).collect());
    post(&node, (40..80).map(|second| hot("P-1", second)).collect());
    assert_limits_evaluated_without_scores(&node);
    let totals = &node.get_ok("/api/live-data?pump_id=P-1")["totals"]["node"];
    assert_eq!(totals["scored"], 0);
    assert!(node.terminate().success(), "a clean exit");
}

#[test]
fn without_inference_limits_are_evaluated_and_the_node_stops_in_time() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start =
        NodeConfig::new(&data, "centrifugal").with_model(&model).with_env("FAILPOINTS", "inference=4*panic(broken)");
    let start = start.with_env("VOLUTE__ENGINE__RESTARTS", "1").with_env("VOLUTE__ENGINE__INFERENCE_WORKERS", "2");
    let node = start.node();
    // Each worker panics twice, after which both are down.
    let mut second = 0;
    node.wait_until("/api/actors?state=failed", |failed| {
        if failed["items"].as_array().is_some_and(|failed| failed.len() == 2) {
            return true;
        }
        post(&node, (second..second + 5).map(|second| of("P-1", second)).collect());
        second += 5;
        false
    });
    assert_degraded(&node, "inference/0");
    post(&node, (second..second + 40).map(|second| hot("P-1", second)).collect());
    assert_limits_evaluated_without_scores(&node);
    assert!(node.terminate().success(), "nothing waits for missing scores");
}

#[test]
fn alarms_wait_for_failed_maintenance() {
    let data = tempfile::tempdir().expect("a directory");
    let node =
        NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "maintenance=6*panic(broken for good)").node();
    post(&node, (0..10).map(|second| of("P-1", second)).collect());
    node.wait_until("/api/actors?state=failed", |failed| {
        failed["items"].as_array().is_some_and(|failed| failed.len() == 1)
    });
    assert_degraded(&node, "maintenance");
    post(&node, (10..70).map(|second| hot("P-1", second)).collect());
    post(&node, (70..200).map(|second| of("P-1", second)).collect());
    let last = node.get_ok("/api/actors?state=failed")["items"][0].clone();
    assert!(last["queue_depth"].as_u64() > Some(100), "its inputs are queued: {last}");
    assert_eq!(node.get_ok("/api/maintenance-events")["items"], json!([]));

    assert_eq!(node.post_to("/api/actors/maintenance/restart", "application/json", "").status, 200);
    let events = node.wait_until("/api/maintenance-events", |events| events["items"][0]["status"] == "resolved");
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    assert_eq!(node.get_ok("/readyz"), json!({"status": "ready"}));
}

#[test]
fn post_is_accepted_except_for_the_failed_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "pump=6*panic(broken for good)").node();
    node.assert_unavailable_until("/api/actors", &of("P-1", 0), |actors| actors.body["reason"].is_string());
    let response = node.post(&json!([of("P-2", 0), of("P-1", 0), of("P-3", 0)]));
    assert_eq!((response.status, &response.body["accepted"]), (207, &json!(2)), "{response:?}");
    let rejected = &response.body["rejected"];
    assert_eq!((rejected.as_array().map(Vec::len), &rejected[0]["index"]), (Some(1), &json!(1)), "{response:?}");
    assert!(rejected.to_string().contains("its actor has failed"), "{rejected}");
    for pump in ["P-2", "P-3"] {
        let path = format!("/api/sensor-history?pump_id={pump}&from=2026-01-01T00:00:00Z");
        assert_eq!(node.all_items(&path).len(), 1, "{pump}");
    }
    let refused = node.post(&json!([of("P-1", 0)]));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("10")), "nothing else is lost");
}

#[test]
fn panicked_journal_thread_is_reported_as_failed() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    post(&node, vec![of("P-1", 0)]);
    start.inject("journal-write", "1*panic(broken)");
    for second in 1..4 {
        assert_eq!(node.post(&json!([of("P-1", second)])).status, 503);
    }
    let health = node.get("/readyz");
    assert_eq!(health.status, 503);
    assert!(health.body["detail"].as_str().expect("a reason").contains("the journal has failed"), "{health:?}");
    assert!(node.get_ok("/api/store")["problems"].to_string().contains("its thread panicked"));
    drop(node);
    let stored = start.node().all_items("/api/sensor-history?pump_id=P-1&from=2026-01-01T00:00:00Z");
    assert_eq!(stored.len(), 1, "acknowledged readings are stored, rejected ones are not");
}

#[test]
fn unresponsive_disk_is_reported() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__ENGINE__STUCK_AFTER_S", "3");
    let node = start.node();
    start.inject("journal-sync", "pause");
    thread::scope(|scope| {
        // The disk has the first write, and the others wait.
        for pump in ["P-1", "P-2", "P-3"] {
            let node = &node;
            scope.spawn(move || post(node, vec![of(pump, 0)]));
        }
        wait_until("the unresponsive disk is reported", || {
            let health = node.get("/readyz");
            if health.body.to_string().contains("has not answered for") { Ok(()) } else { Err(health) }
        });
        node.wait_until("/api/actors?stage=recorder", |actors| actors["items"][0]["queue_depth"].as_u64() > Some(0));
        assert!(node.get_ok("/api/store")["problems"].to_string().contains("the journal's disk has not answered"));
        start.inject("journal-sync", "off");
    });
    wait_until("the node is ready again", || {
        let health = node.get("/readyz");
        if health.body["status"] == "ready" { Ok(()) } else { Err(health) }
    });
}

#[test]
fn command_is_in_the_audit_log_once_it_is_answered() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    for _ in 0..5 {
        assert_eq!(node.post_to("/api/actors/live/restart", "application/json", "").status, 200);
    }
    node.kill();
    assert_eq!(start.node().all_items("/api/audit-log?action=restart").len(), 5);
}

#[test]
fn timed_actors_show_their_progress() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    for kind in ["keeper", "metrics"] {
        node.wait_until(&format!("/api/actors?stage={kind}"), |actors| {
            let actor = &actors["items"][0];
            actor["processed"].as_u64() > Some(0) && actor["last_progress"].is_string() && actor["p50_ms"].is_number()
        });
    }
}

#[test]
fn unfinished_request_does_not_delay_the_drain() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__SERVER__SHUTDOWN_TIMEOUT_S", "10").node();
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut half = TcpStream::connect(address).expect("connected");
    half.write_all(b"POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[").expect("sent");
    post(&node, vec![of("P-1", 0)]);
    assert!(node.terminate().success(), "the engine is drained nevertheless");
}
