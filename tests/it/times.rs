//! What a reading's time may be: unstamped readings get times that no reading has, whatever the clock does; what is too
//! old, or cannot be compared with what is stored, is said item by item; and readings scattered over the past are bounded.

use std::{
    collections::BTreeSet,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Node, PATIENCE, Start};

const HISTORY: &str = "/api/sensor-history?pump_id=pump-1&limit=10000&from=2000-01-01T00:00:00Z";
const MINUTE_MS: i64 = 60_000;

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

fn stamped(at_ms: i64, value: i64) -> Value {
    json!({"timestamp": at_ms, "Motor_RPM": value})
}

fn unstamped(value: i64) -> Value {
    json!({"Motor_RPM": value})
}

fn accept(node: &Node, items: &[Value]) {
    let answer = node.post(&json!(items));
    let taken = answer.body["accepted"].as_u64().zip(answer.body["late"].as_u64()).map(|(new, late)| new + late);
    assert_eq!((answer.status, taken), (200, Some(items.len() as u64)), "{answer:?}");
}

/// The values that are stored. Each was sent once.
fn values(node: &Node) -> BTreeSet<i64> {
    let items = node.all(HISTORY);
    let value = |item: &Value| item["values"]["Motor_RPM"].as_f64().expect("a number") as i64;
    let values: BTreeSet<i64> = items.iter().map(value).collect();
    assert_eq!(values.len(), items.len(), "none is there twice");
    values
}

/// Moves a node's clock on until all that waits is in the database.
fn flush(start: &Start, node: &Node, ahead_ms: i64) {
    start.inject("clock", &format!("return({ahead_ms})"));
    node.until("/api/store", |store| store["waiting"]["readings"] == 0);
}

#[test]
fn unstamped_readings_among_stamped_ones_ahead_of_the_clock_are_all_kept() {
    const STAMPED: i64 = 8_000;
    const UNSTAMPED: i64 = 200;
    let data = data();
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_AHEAD_S", "600");
    let node = start.node();
    let begin_ms = now_ms();
    // One for each millisecond of eight seconds that are still to come, and one after them.
    for from in (0..STAMPED).step_by(1000) {
        let items: Vec<Value> = (from..from + 1000).map(|n| stamped(begin_ms + 120_000 + n, n)).collect();
        accept(&node, &items);
    }
    accept(&node, &[stamped(begin_ms + 240_000, STAMPED)]);
    // The clock stands in the first of these seconds at each post.
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
    assert_eq!(node.ok("/api/store")["problems"], json!([]));
}

/// By less than ten minutes: after a longer step nothing is taken by the clock until it is confirmed.
#[test]
fn a_clock_that_steps_back_costs_no_unstamped_reading() {
    let data = data();
    let start = Start::new(&data, "centrifugal");
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
fn a_reading_older_than_the_node_keeps_them_is_rejected_and_says_so() {
    let data = data();
    let node = Start::new(&data, "centrifugal").with_env("VOLUTE__RETENTION__READINGS_DAYS", "2.5").node();
    let (kept_ms, old_ms) = (now_ms() - 59 * 60 * MINUTE_MS, now_ms() - 61 * 60 * MINUTE_MS);
    let answer = node.post(&json!([stamped(old_ms, 1), stamped(kept_ms, 2)]));
    assert_eq!((answer.status, &answer.body["accepted"]), (207, &json!(1)), "{answer:?}");
    let no = &answer.body["rejected"][0];
    assert_eq!((&no["index"], &no["field"], no.get("retry_after_s")), (&json!(0), &json!("timestamp"), None));
    let allowed = no["allowed"].as_str().expect("text");
    assert!(allowed.starts_with("not older than 2.5 days (retention.readings_days): "), "{allowed}");
    assert_eq!(values(&node), [2].into());
}

/// The items that were taken of a post, and when the others may be sent again.
fn taken(answer: &Answer) -> (u64, Vec<Value>) {
    let count = |name: &str| answer.body[name].as_u64().expect("a number");
    let rejected = answer.body["rejected"].as_array().expect("a list");
    (count("accepted") + count("late"), rejected.iter().map(|no| no["retry_after_s"].clone()).collect())
}

#[test]
fn while_the_database_cannot_be_read_only_what_needs_it_is_put_off() {
    let data = data();
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    accept(&node, &[stamped(now_ms(), 0)]);
    start.inject("database-read", "return(worn out)");
    let (old_ms, new_ms) = (now_ms() - 60 * MINUTE_MS, now_ms() + 1000);
    let answer = node.post(&json!([stamped(old_ms, 1), stamped(new_ms, 2)]));
    assert_eq!((answer.status, taken(&answer)), (207, (1, vec![json!(10)])), "{answer:?}");
    let no = &answer.body["rejected"][0];
    assert_eq!((&no["index"], &no["field"]), (&json!(0), &json!("timestamp")));
    assert!(no["allowed"].as_str().expect("text").contains("send this item again once the database answers"), "{no}");
    // What came since the start is in the head, and so is what did not come.
    let answer = node.post(&json!([stamped(new_ms, 2), stamped(new_ms - 1, 3)]));
    assert_eq!((answer.status, &answer.body["duplicate"], taken(&answer)), (200, &json!(1), (1, vec![])), "{answer:?}");
    let alone = node.post(&stamped(old_ms, 1));
    assert_eq!((alone.status, alone.retry_after.as_deref()), (503, Some("10")), "{alone:?}");
    assert_eq!(node.ok("/api/live-data")["totals"]["node"]["deferred"], 1, "in a post of which some was taken");
    start.inject("database-read", "off");
    node.until("/api/store", |store| store["state"] == "ok");
    let answer = node.post(&stamped(old_ms, 1));
    assert_eq!((answer.status, taken(&answer)), (200, (1, vec![])), "{answer:?}");
    assert_eq!(values(&node), (0..4).collect());
}

/// A start without the database does not take for new what may be stored, and takes what cannot be.
#[test]
fn a_start_without_the_database_acknowledges_nothing_that_it_would_drop() {
    for copy in [true, false] {
        let data = data();
        let start = Start::new(&data, "centrifugal");
        let node = start.node();
        let first_ms = now_ms();
        accept(&node, &[stamped(first_ms, 1), stamped(first_ms + 1000, 2)]);
        flush(&start, &node, 600_000);
        assert!(node.terminate().success());
        // A later segment of the journal, which does not hold them.
        assert!(start.node().terminate().success());
        if !copy {
            std::fs::remove_file(start.data.join("pumps")).expect("the copy of the list of pumps");
        }

        let node = start.clone().with_env("FAILPOINTS", "database-open=return(broken on purpose)").node();
        for (value, what) in [(7, "other values"), (1, "the same")] {
            let answer = node.post(&stamped(first_ms, value));
            assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("10")), "{what}: {answer:?}");
        }
        let live_ms = now_ms() + 2000;
        let answer = node.post(&json!([stamped(first_ms + 1000, 7), stamped(live_ms, 3)]));
        assert_eq!((answer.status, taken(&answer)), (207, (1, vec![json!(10)])), "a live pump goes on: {answer:?}");
        accept(&node, &[stamped(live_ms + 1000, 4)]);
        assert_eq!(node.post(&stamped(live_ms, 3)).body["duplicate"], 1);

        start.inject("database-open", "off");
        node.until("/api/store", |store| store["state"] == "ok");
        let answer = node.post(&stamped(first_ms, 7));
        assert_eq!((answer.status, &answer.body["rejected"][0]["retry_after_s"]), (400, &Value::Null), "{answer:?}");
        assert_eq!(node.post(&stamped(first_ms, 1)).body["duplicate"], 1);
        assert_eq!(values(&node), (1..5).collect());
    }
}

#[test]
fn readings_scattered_over_the_past_are_bounded_and_hold_up_nobody_else() {
    let data = data();
    let start = Start::new(&data, "centrifugal")
        .with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "100")
        .with_env("VOLUTE__INGEST__PAST_MINUTES", "140");
    let node = start.node();
    // None is written meanwhile.
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
    assert_eq!((mixed.status, &mixed.body["accepted"]), (207, &json!(1)), "a current one needs no room: {mixed:?}");
    assert_eq!(mixed.body["send_again"], json!([{"from": 0, "to": 0, "retry_after_s": 10}]), "{mixed:?}");
    assert_eq!(node.post(&scattered("pump-2", 0..40)).status, 200, "another pump has its own");
    assert_eq!(node.post(&scattered("pump-3", 0..1)).status, 429, "all together are bounded too");
    accept(&node, &[stamped(now_ms() + 1, 3)]);
    assert_eq!(node.ok("/api/live-data")["totals"]["node"]["refused_past_minutes"], 2);
    let pumps = node.ok("/api/pumps");
    assert_eq!(pumps["items"].as_array().map(Vec::len), Some(2), "a refused post leaves no trace: {pumps}");

    start.inject("database-write", "off");
    post_in_the_end(&node, &scattered("pump-1", 100..110));
    node.kill();
    let node = start.node();
    assert_eq!(node.all(HISTORY).len(), 110 + 4);
}

/// Posts again while the node is busy.
fn post_in_the_end(node: &Node, items: &Value) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = node.post(items);
        if answer.status == 200 {
            return;
        }
        assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("1")), "{answer:?}");
        assert!(Instant::now() < deadline, "it is never taken");
    }
}

/// The node's clock stands still: what makes room is that minutes of the past do not wait for their time.
#[test]
fn a_days_backlog_comes_in_with_some_patience() {
    let data = data();
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "200");
    let node = start.node();
    let begin_ms = now_ms() - 1500 * MINUTE_MS;
    let readings: Vec<Value> = (0..2 * 1440).map(|n| stamped(begin_ms + n * MINUTE_MS / 2, n)).collect();
    for items in readings.chunks(500) {
        post_in_the_end(&node, &json!(items));
    }
    assert_eq!(values(&node), (0..2 * 1440).collect());
    assert_eq!(node.ok("/api/store")["problems"], json!([]));
}
