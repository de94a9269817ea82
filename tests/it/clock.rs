//! The node's clock is wrong: nothing is deleted by it and nothing refused for good, the node says so, and it is over
//! when the clock is right again, or when somebody says that it is.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Answer, Node, Start, run, ten_values};

const DAY_MS: i64 = 86_400_000;
const HISTORY: &str = "/api/sensor-history?limit=10000";

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

fn item(at_ms: i64) -> Value {
    let mut item = ten_values();
    item["timestamp"] = json!(at_ms);
    item
}

/// A data directory with readings of the last ten seconds in its database.
fn with_history(start: &Start) -> Vec<Value> {
    let node = start.node();
    let from = now_ms() - 10_000;
    let items: Vec<Value> = (0..10).map(|n| item(from + n * 1000)).collect();
    assert_eq!(node.post(&json!(items)).body["accepted"], 10);
    let history = node.all(HISTORY);
    assert_eq!(history.len(), 10);
    assert!(node.terminate().success());
    history
}

/// Waits until the keeper has looked several times more: each time it sweeps, if it sweeps.
fn wait_for_looks(node: &Node) {
    let looks = |actors: &Value| {
        let keeper = actors["items"].as_array().into_iter().flatten().find(|actor| actor["id"] == "keeper");
        keeper.map(|keeper| keeper["last_progress"].clone()).filter(|last| !last.is_null())
    };
    let mut last = looks(&node.ok("/api/actors"));
    for _ in 0..3 {
        let seen = node.until("/api/actors", |actors| looks(actors) != last);
        last = looks(&seen);
    }
}

fn reason(node: &Node) -> String {
    let health = node.get("/readyz");
    let text = if health.status == 200 { &health.body["reason"] } else { &health.body["detail"] };
    text.as_str().unwrap_or_default().to_owned()
}

fn assert_doubted(node: &Node, status: u16, words: &str) {
    let health = node.get("/readyz");
    assert_eq!(health.status, status, "{health:?}");
    assert!(reason(node).contains(words), "{health:?}");
    let problems = node.ok("/api/store")["problems"].to_string();
    assert!(problems.contains(words), "the page's banner says so: {problems}");
}

fn assert_not_now(answer: &Answer) {
    assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("10")), "{answer:?}");
    assert_eq!(answer.body["type"], "urn:volute:problem:clock");
}

#[test]
fn a_clock_that_is_far_ahead_deletes_nothing_until_it_is_confirmed() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "400");
    let history = with_history(&start);
    let ahead = format!("clock=return({})", 500 * DAY_MS);
    let node = start.clone().with_env("FAILPOINTS", &ahead).node();
    wait_for_looks(&node);
    assert_eq!(node.all(HISTORY), history, "nothing is deleted");
    assert_doubted(&node, 200, "confirm-clock");
    assert_not_now(&node.post(&ten_values()));
    assert_not_now(&node.post(&item(now_ms())));
    let mut kept = item(now_ms() + 200 * DAY_MS);
    kept["pump_id"] = json!("other");
    assert_eq!(node.post(&kept).body["accepted"], 1, "what can be dated is taken");
    assert!(node.terminate().success());

    // The clock is set, and all is as before.
    let node = start.node();
    wait_for_looks(&node);
    assert_eq!(node.all(HISTORY), history);
    assert_eq!(node.ok("/readyz")["status"], "ready");
    assert_eq!(node.post(&ten_values()).body["accepted"], 1);

    // The same while it runs, and this time it is right.
    start.inject("clock", &format!("return({})", 500 * DAY_MS));
    wait_for_looks(&node);
    assert_doubted(&node, 200, "confirm-clock");
    assert_eq!(node.all(HISTORY).len(), 11);
    let said = run(&["confirm-clock", "--data-dir", start.data.to_str().expect("text")]);
    assert!(said.starts_with("confirmed: it is "), "{said}");
    assert_eq!(node.ok("/readyz")["status"], "ready");
    node.until(HISTORY, |page| page["items"].as_array().is_some_and(|items| items.is_empty()));
    assert_eq!(node.all("/api/sensor-history?pump_id=other&limit=10").len(), 1, "it is not too old");
    let noted = &node.ok("/api/audit-log?action=confirm-clock")["items"];
    assert_eq!((noted.as_array().map(Vec::len), &noted[0]["outcome"]), (Some(1), &json!("done")));
    assert!(node.terminate().success());

    // It is not asked again at the next start.
    let node = start.clone().with_env("FAILPOINTS", &ahead).node();
    assert_eq!(node.ok("/readyz")["status"], "ready");
}

#[test]
fn a_clock_that_is_behind_refuses_nothing_for_good_and_recovers_by_itself() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let history = with_history(&start);
    // No battery: it begins in 1970.
    let node = start.clone().with_env("FAILPOINTS", &format!("clock=return({})", -60 * 365 * DAY_MS)).node();
    assert_doubted(&node, 503, "before");
    let new = item(now_ms());
    assert_not_now(&node.post(&new));
    assert_not_now(&node.post(&ten_values()));
    assert_eq!(node.all(HISTORY), history);
    // The network's time comes.
    start.inject("clock", "off");
    assert_eq!(node.ok("/readyz")["status"], "ready");
    assert_eq!(node.post(&new).body["accepted"], 1);

    // A step back of a day while it runs; what the devices sent before is no matter of the clock.
    start.inject("clock", &format!("return({})", -DAY_MS));
    assert_doubted(&node, 503, "before");
    assert_not_now(&node.post(&json!([item(now_ms() - 2 * DAY_MS), item(now_ms() + 1)])));
    assert_eq!(node.post(&new).status, 503, "not even for what it has already");
    assert_eq!(node.post(&item(now_ms() - 2 * DAY_MS)).body["late"], 1);
    start.inject("clock", "off");
    assert_eq!(node.post(&new).body["duplicate"], 1);
    assert_eq!(node.ok("/readyz")["status"], "ready");
}

#[test]
fn a_new_node_in_1970_takes_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start =
        Start::new(&data, "centrifugal").with_env("FAILPOINTS", &format!("clock=return({})", -60 * 365 * DAY_MS));
    let node = start.node();
    assert_doubted(&node, 503, "before");
    assert_not_now(&node.post(&item(now_ms())));
    start.inject("clock", "off");
    assert_eq!(node.post(&item(now_ms())).body["accepted"], 1);
    assert_eq!(node.ok("/readyz")["status"], "ready");
}

#[test]
fn a_clock_that_is_some_days_ahead_for_a_while_deletes_next_to_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "1");
    let history = with_history(&start);
    // It may be right: the node may have been off for three days.
    let ahead = format!("clock=return({})", 3 * DAY_MS);
    let doubtful = start.clone().with_env("FAILPOINTS", &ahead);
    for _ in 0..2 {
        let node = doubtful.node();
        assert_eq!(node.ok("/readyz")["status"], "ready");
        wait_for_looks(&node);
        assert_eq!(node.all(HISTORY), history, "also after a restart");
        assert!(node.terminate().success());
    }
    let node = start.node();
    wait_for_looks(&node);
    assert_eq!(node.all(HISTORY), history);
}
