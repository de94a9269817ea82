//! Times of readings: readings without a time get unique times, also when the clock is moved. Items that are too old, or
//! cannot be compared with stored readings, are rejected one by one. Readings scattered over the past are bounded.

use std::{collections::BTreeSet, time::Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, Response, TIMEOUT, now_ms};

const HISTORY: &str = "/api/sensor-history?pump_id=pump-1&limit=10000&from=2000-01-01T00:00:00Z";
const MINUTE_MS: i64 = 60_000;

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn stamped(at_ms: i64, value: i64) -> Value {
    json!({"timestamp": at_ms, "Motor_RPM": value})
}

fn unstamped(value: i64) -> Value {
    json!({"Motor_RPM": value})
}

fn accept(node: &Node, items: &[Value]) {
    let response = node.post(&json!(items));
    let taken = response.body["accepted"].as_u64().zip(response.body["late"].as_u64()).map(|(new, late)| new + late);
    assert_eq!((response.status, taken), (200, Some(items.len() as u64)), "{response:?}");
}

/// The stored values. Each was sent once.
fn values(node: &Node) -> BTreeSet<i64> {
    let items = node.all_items(HISTORY);
    let value = |item: &Value| item["values"]["Motor_RPM"].as_f64().expect("a number") as i64;
    let values: BTreeSet<i64> = items.iter().map(value).collect();
    assert_eq!(values.len(), items.len(), "no duplicates");
    values
}

/// Moves a node's clock until all readings are flushed to the database.
fn flush(start: &NodeConfig, node: &Node, ahead_ms: i64) {
    start.inject("clock", &format!("return({ahead_ms})"));
    node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
}

#[test]
fn unstamped_readings_among_stamped_future_ones_are_all_stored() {
    const STAMPED: i64 = 8_000;
    const UNSTAMPED: i64 = 200;
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_AHEAD_S", "600");
    let node = start.node();
    let begin_ms = now_ms();
    // Readings that are 2 min ahead: one for each millisecond of 8 s. A last one is 4 min ahead.
    for from in (0..STAMPED).step_by(1000) {
        let items: Vec<Value> = (from..from + 1000).map(|n| stamped(begin_ms + 120_000 + n, n)).collect();
        accept(&node, &items);
    }
    accept(&node, &[stamped(begin_ms + 240_000, STAMPED)]);
    // Before each post the node's clock is set to the first of these times, so all times after it are taken.
    for n in 0..UNSTAMPED {
        start.inject("clock", &format!("return({})", begin_ms + 120_000 - now_ms()));
        accept(&node, &[unstamped(STAMPED + 1 + n)]);
    }
    let all: BTreeSet<i64> = (0..STAMPED + 1 + UNSTAMPED).collect();
    assert_eq!(values(&node), all);
    node.kill();
    let node = start.node();
    assert_eq!(values(&node), all, "after a kill");
    flush(&start, &node, 600_000);
    assert_eq!(values(&node), all, "in the database");
    accept(&node, &[unstamped(-1)]);
    assert_eq!(node.get_ok("/api/store")["problems"], json!([]));
}

/// The step is less than 10 min: after a longer one the clock is not used until it is confirmed.
#[test]
fn clock_step_back_loses_no_unstamped_reading() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let mut sent = 0;
    for ahead_ms in [0, -2_000, 1_000, -400_000, -401_000, -500, 0] {
        start.inject("clock", &format!("return({ahead_ms})"));
        for _ in 0..150 {
            accept(&node, &[unstamped(sent)]);
            sent += 1;
        }
    }
    let all: BTreeSet<i64> = (0..sent).collect();
    assert_eq!(values(&node), all);
    node.kill();
    let node = start.node();
    assert_eq!(values(&node), all, "after a kill");
    flush(&start, &node, 600_000);
    assert_eq!(values(&node), all, "in the database");
}

#[test]
fn reading_older_than_the_retention_is_rejected_with_a_reason() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "2.5").node();
    let (kept_ms, old_ms) = (now_ms() - 59 * 60 * MINUTE_MS, now_ms() - 61 * 60 * MINUTE_MS);
    let response = node.post(&json!([stamped(old_ms, 1), stamped(kept_ms, 2)]));
    assert_eq!((response.status, &response.body["accepted"]), (207, &json!(1)), "{response:?}");
    let no = &response.body["rejected"][0];
    assert_eq!((&no["index"], &no["field"], no.get("retry_after_s")), (&json!(0), &json!("timestamp"), None));
    let allowed = no["allowed"].as_str().expect("text");
    assert!(allowed.starts_with("not older than 2.5 days (retention.readings_days): "), "{allowed}");
    assert_eq!(values(&node), [2].into());
}

/// The number of accepted items, and when the others may be sent again.
fn accepted(response: &Response) -> (u64, Vec<Value>) {
    let count = |name: &str| response.body[name].as_u64().expect("a number");
    let rejected = response.body["rejected"].as_array().expect("a list");
    (count("accepted") + count("late"), rejected.iter().map(|no| no["retry_after_s"].clone()).collect())
}

#[test]
fn only_items_that_need_the_database_are_deferred_during_an_outage() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    accept(&node, &[stamped(now_ms(), 0)]);
    start.inject("database-read", "return(worn out)");
    let (old_ms, new_ms) = (now_ms() - 60 * MINUTE_MS, now_ms() + 1000);
    let response = node.post(&json!([stamped(old_ms, 1), stamped(new_ms, 2)]));
    assert_eq!((response.status, accepted(&response)), (207, (1, vec![json!(10)])), "{response:?}");
    let no = &response.body["rejected"][0];
    assert_eq!((&no["index"], &no["field"]), (&json!(0), &json!("timestamp")));
    assert!(no["allowed"].as_str().expect("text").contains("send this item again once the database answers"), "{no}");
    // The node knows from memory which readings have arrived since its start.
    let response = node.post(&json!([stamped(new_ms, 2), stamped(new_ms - 1, 3)]));
    assert_eq!(
        (response.status, &response.body["duplicate"], accepted(&response)),
        (200, &json!(1), (1, vec![])),
        "{response:?}"
    );
    let alone = node.post(&stamped(old_ms, 1));
    assert_eq!((alone.status, alone.retry_after.as_deref()), (503, Some("10")), "{alone:?}");
    assert_eq!(node.get_ok("/api/live-data")["totals"]["node"]["deferred"], 1, "in a post that was partly accepted");
    start.inject("database-read", "off");
    node.wait_until("/api/store", |store| store["state"] == "ok");
    let response = node.post(&stamped(old_ms, 1));
    assert_eq!((response.status, accepted(&response)), (200, (1, vec![])), "{response:?}");
    assert_eq!(values(&node), (0..4).collect());
}

/// A node that starts without the database defers readings that may be stored already, and accepts readings that must be
/// new.
#[test]
fn start_without_the_database_acknowledges_only_new_readings() {
    for copy in [true, false] {
        let data = data();
        let start = NodeConfig::new(&data, "centrifugal");
        let node = start.node();
        let first_ms = now_ms();
        accept(&node, &[stamped(first_ms, 1), stamped(first_ms + 1000, 2)]);
        flush(&start, &node, 600_000);
        assert!(node.terminate().success());
        // Another start, so that the newest segment of the journal does not have these readings.
        assert!(start.node().terminate().success());
        if !copy {
            std::fs::remove_file(start.data.join("pumps")).expect("the copy of the list of pumps");
        }

        let node = start.clone().with_env("FAILPOINTS", "database-open=return(broken on purpose)").node();
        for (value, what) in [(7, "other values"), (1, "the same")] {
            let response = node.post(&stamped(first_ms, value));
            assert_eq!((response.status, response.retry_after.as_deref()), (503, Some("10")), "{what}: {response:?}");
        }
        let live_ms = now_ms() + 2000;
        let response = node.post(&json!([stamped(first_ms + 1000, 7), stamped(live_ms, 3)]));
        assert_eq!(
            (response.status, accepted(&response)),
            (207, (1, vec![json!(10)])),
            "a live pump is accepted: {response:?}"
        );
        accept(&node, &[stamped(live_ms + 1000, 4)]);
        assert_eq!(node.post(&stamped(live_ms, 3)).body["duplicate"], 1);

        start.inject("database-open", "off");
        node.wait_until("/api/store", |store| store["state"] == "ok");
        let response = node.post(&stamped(first_ms, 7));
        assert_eq!(
            (response.status, &response.body["rejected"][0]["retry_after_s"]),
            (400, &Value::Null),
            "{response:?}"
        );
        assert_eq!(node.post(&stamped(first_ms, 1)).body["duplicate"], 1);
        assert_eq!(values(&node), (1..5).collect());
    }
}

#[test]
fn scattered_past_readings_are_bounded_and_do_not_block_others() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "100")
        .with_env("VOLUTE__INGEST__PAST_MINUTES", "140");
    let node = start.node();
    // The database rejects all writes, so nothing is flushed.
    start.inject("database-write", "return(worn out)");
    let begin_ms = now_ms() - 5000 * MINUTE_MS;
    let scattered = |pump: &str, minutes: std::ops::Range<i64>| {
        let item = |n: i64| json!({"pump_id": pump, "timestamp": begin_ms + n * MINUTE_MS, "Motor_RPM": n});
        minutes.map(item).collect::<Value>()
    };
    for from in (0..100).step_by(10) {
        assert_eq!(node.post(&scattered("pump-1", from..from + 10)).status, 200);
    }
    let refused = node.post(&scattered("pump-1", 100..101));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("1")), "{refused:?}");
    assert!(refused.body["detail"].as_str().expect("text").contains("minutes of the past"), "{refused:?}");
    accept(&node, &[stamped(now_ms(), 1), stamped(now_ms() - 4 * MINUTE_MS, 2)]);
    let mixed = node.post(&json!([scattered("pump-1", 100..101)[0], stamped(now_ms() + 2, 4)]));
    assert_eq!(
        (mixed.status, &mixed.body["accepted"]),
        (207, &json!(1)),
        "a current reading is not limited: {mixed:?}"
    );
    assert_eq!(mixed.body["send_again"], json!([{"from": 0, "to": 0, "retry_after_s": 10}]), "{mixed:?}");
    assert_eq!(node.post(&scattered("pump-2", 0..40)).status, 200, "another pump has its own limit");
    assert_eq!(node.post(&scattered("pump-3", 0..1)).status, 429, "the total is bounded as well");
    accept(&node, &[stamped(now_ms() + 1, 3)]);
    assert_eq!(node.get_ok("/api/live-data")["totals"]["node"]["refused_past_minutes"], 2);
    let pumps = node.get_ok("/api/pumps");
    assert_eq!(pumps["items"].as_array().map(Vec::len), Some(2), "a rejected post leaves no trace: {pumps}");

    start.inject("database-write", "off");
    post_until_accepted(&node, &scattered("pump-1", 100..110));
    node.kill();
    let node = start.node();
    assert_eq!(node.all_items(HISTORY).len(), 110 + 4);
}

/// Repeats a post while the node is busy.
fn post_until_accepted(node: &Node, items: &Value) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let response = node.post(items);
        if response.status == 200 {
            return;
        }
        assert_eq!((response.status, response.retry_after.as_deref()), (429, Some("1")), "{response:?}");
        assert!(Instant::now() < deadline, "the post is not accepted");
    }
}

/// The node's clock stands still: past minutes are flushed without waiting until they are due, which makes room.
#[test]
fn backlog_of_a_day_is_accepted_after_retries() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "200");
    let node = start.node();
    let begin_ms = now_ms() - 1500 * MINUTE_MS;
    let readings: Vec<Value> = (0..2 * 1440).map(|n| stamped(begin_ms + n * MINUTE_MS / 2, n)).collect();
    for items in readings.chunks(500) {
        post_until_accepted(&node, &json!(items));
    }
    assert_eq!(values(&node), (0..2 * 1440).collect());
    assert_eq!(node.get_ok("/api/store")["problems"], json!([]));
}
