//! A node with a wrong clock deletes nothing, rejects nothing permanently, and reports the clock, until the clock is
//! right again or a user confirms it.

use serde_json::{Value, json};

use crate::support::{Node, NodeConfig, Response, now_ms, run, ten_values};

const DAY_MS: i64 = 86_400_000;
const HISTORY: &str = "/api/sensor-history?limit=10000";

fn item(at_ms: i64) -> Value {
    let mut item = ten_values();
    item["timestamp"] = json!(at_ms);
    item
}

/// A data directory with readings of the last ten seconds in its database.
fn with_history(start: &NodeConfig) -> Vec<Value> {
    let node = start.node();
    let from = now_ms() - 10_000;
    let items: Vec<Value> = (0..10).map(|n| item(from + n * 1000)).collect();
    assert_eq!(node.post(&json!(items)).body["accepted"], 10);
    let history = node.all_items(HISTORY);
    assert_eq!(history.len(), 10);
    assert!(node.terminate().success());
    history
}

/// Waits for three more runs of the flusher. Each of them deletes expired data, unless deletion is suspended.
fn wait_for_flusher_runs(node: &Node) {
    let last_run = |actors: &Value| {
        let flusher = actors["items"].as_array().into_iter().flatten().find(|actor| actor["id"] == "keeper");
        flusher.map(|flusher| flusher["last_progress"].clone()).filter(|last| !last.is_null())
    };
    let mut last = last_run(&node.get_ok("/api/actors"));
    for _ in 0..3 {
        let seen = node.wait_until("/api/actors", |actors| last_run(actors) != last);
        last = last_run(&seen);
    }
}

fn reason(node: &Node) -> String {
    let health = node.get("/readyz");
    let text = if health.status == 200 { &health.body["reason"] } else { &health.body["detail"] };
    text.as_str().unwrap_or_default().to_owned()
}

fn assert_clock_reported(node: &Node, status: u16, words: &str) {
    let health = node.get("/readyz");
    assert_eq!(health.status, status, "{health:?}");
    assert!(reason(node).contains(words), "{health:?}");
    let problems = node.get_ok("/api/store")["problems"].to_string();
    assert!(problems.contains(words), "the problems name the clock: {problems}");
}

fn assert_deferred(response: &Response) {
    assert_eq!((response.status, response.retry_after.as_deref()), (503, Some("10")), "{response:?}");
    assert_eq!(response.body["type"], "urn:volute:problem:clock");
}

#[test]
fn clock_far_ahead_deletes_nothing_until_confirmed() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "400");
    let history = with_history(&start);
    let ahead = format!("clock=return({})", 500 * DAY_MS);
    let node = start.clone().with_env("FAILPOINTS", &ahead).node();
    wait_for_flusher_runs(&node);
    assert_eq!(node.all_items(HISTORY), history, "nothing is deleted");
    assert_clock_reported(&node, 200, "confirm-clock");
    assert_deferred(&node.post(&ten_values()));
    assert_deferred(&node.post(&item(now_ms())));
    let mut future = item(now_ms() + 200 * DAY_MS);
    future["pump_id"] = json!("other");
    assert_eq!(node.post(&future).body["accepted"], 1, "readings with a time are accepted");
    assert!(node.terminate().success());

    // The clock is set right, and the node works as before.
    let node = start.node();
    wait_for_flusher_runs(&node);
    assert_eq!(node.all_items(HISTORY), history);
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
    assert_eq!(node.post(&ten_values()).body["accepted"], 1);

    // The clock jumps while the node runs, and this time it is right.
    start.inject("clock", &format!("return({})", 500 * DAY_MS));
    wait_for_flusher_runs(&node);
    assert_clock_reported(&node, 200, "confirm-clock");
    assert_eq!(node.all_items(HISTORY).len(), 11);
    let printed = run(&["confirm-clock", "--data-dir", start.data.to_str().expect("text")]);
    assert!(printed.starts_with("confirmed: the time is "), "{printed}");
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
    node.wait_until(HISTORY, |page| page["items"].as_array().is_some_and(|items| items.is_empty()));
    assert_eq!(node.all_items("/api/sensor-history?pump_id=other&limit=10").len(), 1, "it is not too old");
    let noted = &node.get_ok("/api/audit-log?action=confirm-clock")["items"];
    assert_eq!((noted.as_array().map(Vec::len), &noted[0]["outcome"]), (Some(1), &json!("done")));
    assert!(node.terminate().success());

    // The next start needs no confirmation.
    let node = start.clone().with_env("FAILPOINTS", &ahead).node();
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
}

#[test]
fn clock_behind_rejects_nothing_permanently_and_recovers() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let history = with_history(&start);
    // A clock without a battery starts in 1970.
    let node = start.clone().with_env("FAILPOINTS", &format!("clock=return({})", -60 * 365 * DAY_MS)).node();
    assert_clock_reported(&node, 503, "before");
    let new = item(now_ms());
    assert_deferred(&node.post(&new));
    assert_deferred(&node.post(&ten_values()));
    assert_eq!(node.all_items(HISTORY), history);
    // The clock is set from the network.
    start.inject("clock", "off");
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
    assert_eq!(node.post(&new).body["accepted"], 1);

    // A step back by a day while the node runs. Readings sent before do not count against the clock.
    start.inject("clock", &format!("return({})", -DAY_MS));
    assert_clock_reported(&node, 503, "before");
    assert_deferred(&node.post(&json!([item(now_ms() - 2 * DAY_MS), item(now_ms() + 1)])));
    assert_eq!(node.post(&new).status, 503, "not even for stored readings");
    assert_eq!(node.post(&item(now_ms() - 2 * DAY_MS)).body["late"], 1);
    start.inject("clock", "off");
    assert_eq!(node.post(&new).body["duplicate"], 1);
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
}

#[test]
fn new_node_in_1970_accepts_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start =
        NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", &format!("clock=return({})", -60 * 365 * DAY_MS));
    let node = start.node();
    assert_clock_reported(&node, 503, "before");
    assert_deferred(&node.post(&item(now_ms())));
    start.inject("clock", "off");
    assert_eq!(node.post(&item(now_ms())).body["accepted"], 1);
    assert_eq!(node.get_ok("/readyz")["status"], "ready");
}

#[test]
fn clock_some_days_ahead_for_a_while_deletes_almost_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "1");
    let history = with_history(&start);
    // The clock may be right: the node may have been off for three days.
    let ahead = format!("clock=return({})", 3 * DAY_MS);
    let doubtful = start.clone().with_env("FAILPOINTS", &ahead);
    for _ in 0..2 {
        let node = doubtful.node();
        assert_eq!(node.get_ok("/readyz")["status"], "ready");
        wait_for_flusher_runs(&node);
        assert_eq!(node.all_items(HISTORY), history, "also after a restart");
        assert!(node.terminate().success());
    }
    let node = start.node();
    wait_for_flusher_runs(&node);
    assert_eq!(node.all_items(HISTORY), history);
}
