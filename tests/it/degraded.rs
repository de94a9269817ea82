//! A part of the node is out of order: what the others go on with, what is kept for it, and what is said.

use std::{io::Write, net::TcpStream, thread};

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, Start, until},
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
    let answer = node.post(&json!(items));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn assert_degraded(node: &Node, part: &str) {
    let health = node.ok("/readyz");
    assert_eq!(health["status"], "degraded");
    assert!(health["reason"].as_str().expect("it is told").contains(part), "{health}");
    let problems = node.ok("/api/store")["problems"].to_string();
    assert!(problems.contains("out of order") && problems.contains(part), "the page's banner says so: {problems}");
}

/// No verdict is no verdict of normal, and the limits are watched without the model.
fn assert_watched_without_scores(node: &Node) {
    let live = node.until("/api/live-data?pump_id=P-1", |live| live["status"] == "UNKNOWN");
    assert!(live["status_reason"].as_str().expect("a reason").contains("could not be scored"), "{live}");
    let events = "/api/maintenance-events?pump_id=P-1&status=active";
    let events = node.until(events, |events| events["items"].as_array().is_some_and(|events| !events.is_empty()));
    assert_eq!(events["items"][0]["peak_loss"], json!(null), "by the limit alone");
}

#[test]
fn windows_that_all_break_the_scoring_leave_the_limits_on_watch() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = Start::new(&data, "centrifugal").with_model(&model).with_env("FAILPOINTS", "score=panic(poison)").node();
    post(&node, (0..40).map(|second| of("P-1", second)).collect());
    post(&node, (40..80).map(|second| hot("P-1", second)).collect());
    assert_watched_without_scores(&node);
    let totals = &node.ok("/api/live-data?pump_id=P-1")["totals"]["node"];
    assert_eq!(totals["scored"], 0);
    assert!(node.terminate().success(), "an orderly end");
}

#[test]
fn without_inference_the_limits_are_watched_and_the_node_ends_in_time() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start = Start::new(&data, "centrifugal").with_model(&model).with_env("FAILPOINTS", "inference=4*panic(broken)");
    let start = start.with_env("VOLUTE__ENGINE__RESTARTS", "1").with_env("VOLUTE__ENGINE__INFERENCE_WORKERS", "2");
    let node = start.node();
    // Two panics each, and both are down.
    let mut second = 0;
    node.until("/api/actors?state=failed", |failed| {
        if failed["items"].as_array().is_some_and(|failed| failed.len() == 2) {
            return true;
        }
        post(&node, (second..second + 5).map(|second| of("P-1", second)).collect());
        second += 5;
        false
    });
    assert_degraded(&node, "inference/0");
    post(&node, (second..second + 40).map(|second| hot("P-1", second)).collect());
    assert_watched_without_scores(&node);
    assert!(node.terminate().success(), "nothing waits for scores that cannot come");
}

#[test]
fn alarms_wait_for_maintenance_that_is_out_of_order() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "maintenance=6*panic(broken for good)").node();
    post(&node, (0..10).map(|second| of("P-1", second)).collect());
    node.until("/api/actors?state=failed", |failed| failed["items"].as_array().is_some_and(|failed| failed.len() == 1));
    assert_degraded(&node, "maintenance");
    post(&node, (10..70).map(|second| hot("P-1", second)).collect());
    post(&node, (70..200).map(|second| of("P-1", second)).collect());
    let last = node.ok("/api/actors?state=failed")["items"][0].clone();
    assert!(last["queue_depth"].as_u64() > Some(100), "what it has to look at waits: {last}");
    assert_eq!(node.ok("/api/maintenance-events")["items"], json!([]));

    assert_eq!(node.post_to("/api/actors/maintenance/restart", "application/json", "").status, 200);
    let events = node.until("/api/maintenance-events", |events| events["items"][0]["status"] == "resolved");
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    assert_eq!(node.ok("/readyz"), json!({"status": "ready"}));
}

#[test]
fn a_post_goes_on_without_the_pump_that_is_down() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "pump=6*panic(broken for good)").node();
    node.refuses_until("/api/actors", &of("P-1", 0), |actors| actors.body["reason"].is_string());
    let answer = node.post(&json!([of("P-2", 0), of("P-1", 0), of("P-3", 0)]));
    assert_eq!((answer.status, &answer.body["accepted"]), (207, &json!(2)), "{answer:?}");
    let rejected = &answer.body["rejected"];
    assert_eq!((rejected.as_array().map(Vec::len), &rejected[0]["index"]), (Some(1), &json!(1)), "{answer:?}");
    assert!(rejected.to_string().contains("out of order"), "{rejected}");
    for pump in ["P-2", "P-3"] {
        let path = format!("/api/sensor-history?pump_id={pump}&from=2026-01-01T00:00:00Z");
        assert_eq!(node.all(&path).len(), 1, "{pump}");
    }
    let refused = node.post(&json!([of("P-1", 0)]));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("10")), "nothing else was in it");
}

#[test]
fn a_journal_whose_thread_panicked_is_said_to_have_failed() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    post(&node, vec![of("P-1", 0)]);
    start.inject("journal-write", "1*panic(broken)");
    for second in 1..4 {
        assert_eq!(node.post(&json!([of("P-1", second)])).status, 503);
    }
    let health = node.get("/readyz");
    assert_eq!(health.status, 503);
    assert!(health.body["detail"].as_str().expect("a reason").contains("the journal has failed"), "{health:?}");
    assert!(node.ok("/api/store")["problems"].to_string().contains("its thread panicked"));
    drop(node);
    let stored = start.node().all("/api/sensor-history?pump_id=P-1&from=2026-01-01T00:00:00Z");
    assert_eq!(stored.len(), 1, "what was acknowledged is there, what was refused is not");
}

#[test]
fn a_disk_that_does_not_answer_is_said_to_be_silent() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__ENGINE__WEDGED_AFTER_S", "3");
    let node = start.node();
    start.inject("journal-sync", "pause");
    thread::scope(|scope| {
        // The first is with the disk, and the others wait.
        for pump in ["P-1", "P-2", "P-3"] {
            let node = &node;
            scope.spawn(move || post(node, vec![of(pump, 0)]));
        }
        until("the silence is said", || {
            let health = node.get("/readyz");
            if health.body.to_string().contains("has not answered for") { Ok(()) } else { Err(health) }
        });
        node.until("/api/actors?stage=recorder", |actors| actors["items"][0]["queue_depth"].as_u64() > Some(0));
        assert!(node.ok("/api/store")["problems"].to_string().contains("the journal's disk has not answered"));
        start.inject("journal-sync", "off");
    });
    until("it is ready again", || {
        let health = node.get("/readyz");
        if health.body["status"] == "ready" { Ok(()) } else { Err(health) }
    });
}

#[test]
fn an_order_is_in_the_audit_log_when_it_is_answered() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    for _ in 0..5 {
        assert_eq!(node.post_to("/api/actors/live/restart", "application/json", "").status, 200);
    }
    node.kill();
    assert_eq!(start.node().all("/api/audit-log?action=restart").len(), 5);
}

#[test]
fn actors_that_go_by_the_clock_show_their_progress() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").node();
    for kind in ["keeper", "metrics"] {
        node.until(&format!("/api/actors?stage={kind}"), |actors| {
            let actor = &actors["items"][0];
            actor["processed"].as_u64() > Some(0) && actor["last_progress"].is_string() && actor["p50_ms"].is_number()
        });
    }
}

#[test]
fn a_request_that_does_not_end_does_not_take_the_time_of_the_drain() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("VOLUTE__SERVER__SHUTDOWN_TIMEOUT_S", "10").node();
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut half = TcpStream::connect(address).expect("connected");
    half.write_all(b"POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[").expect("sent");
    post(&node, vec![of("P-1", 0)]);
    assert!(node.terminate().success(), "the engine was drained all the same");
}
