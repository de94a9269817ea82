//! Database outages: the node continues to accept, show and score readings, history responses report how complete they
//! are, and all readings are in the database afterwards.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    ingest::at,
    support::{EPOCH_MS, Node, NodeConfig, ten_values},
};

const HISTORY: &str = "/api/sensor-history?from=2026-03-09T00:00:00Z&limit=10000";

fn post(node: &Node, seconds: std::ops::Range<u32>) {
    let items: Vec<Value> = seconds.clone().map(|second| at(second, json!({}))).collect();
    let response = node.post(&json!(items));
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(seconds.len())), "{response:?}");
    assert_eq!(response.body["durable"], true);
}

/// Checks that each second up to this one is stored exactly once.
fn assert_whole(node: &Node, seconds: usize) {
    let times: Vec<String> =
        node.all_items(HISTORY).iter().map(|item| item["timestamp"].as_str().expect("a time").to_owned()).collect();
    let expected: Vec<Value> = (0..seconds).map(|second| at(second as u32, json!({}))["timestamp"].clone()).collect();
    let expected: Vec<String> =
        expected.iter().map(|time| time.as_str().expect("text").replace('Z', ".000Z")).collect();
    assert_eq!(times, expected);
}

/// The failpoint that sets the clock of a node starting now to this second.
fn clock_at(second: u32) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    format!("clock=return({})", EPOCH_MS as i64 + i64::from(second) * 1000 - now)
}

#[test]
fn node_serves_without_a_database_that_opens() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_AHEAD_S", "600");
    let node = start.clone().with_env("FAILPOINTS", &clock_at(0)).node();
    post(&node, 0..50);
    assert_eq!(node.get_ok("/api/store")["state"], "ok");
    assert!(node.terminate().success());

    // The pump sends in real time: its readings are later than the start.
    let points = format!("{};database-open=return(broken on purpose)", clock_at(45));
    let node = start.clone().with_env("FAILPOINTS", &points).node();
    let store = node.get_ok("/api/store");
    assert_eq!(store["state"], "degraded");
    assert!(store["problems"][0].as_str().expect("text").contains("broken on purpose"), "{store}");
    node.get_ok("/readyz");
    post(&node, 50..100);
    node.wait_until("/api/live-data", |live| live["timestamp"] == "2026-03-09T10:01:39.000Z");
    let history = node.get_ok(HISTORY);
    assert_eq!(history["items"].as_array().map(Vec::len), Some(100), "the journal still has the first ones");
    assert!(history["incomplete"]["since"].is_string(), "{}", history["incomplete"]);
    assert!(history["incomplete"]["reason"].as_str().expect("text").contains("broken on purpose"));
    assert!(node.get_ok("/api/maintenance-events")["incomplete"]["reason"].is_string());
    assert_eq!(node.get_ok("/api/pumps")["items"][0]["pump_id"], "pump-1");
    assert_eq!(node.get("/api/sensor-history?pump_id=nobody").status, 404);
    node.kill();

    let node = start.node();
    assert_eq!(node.get_ok("/api/store")["state"], "ok");
    assert_whole(&node, 100);
    assert_eq!(node.get_ok(HISTORY).get("incomplete"), None);
    post(&node, 100..101);
}

#[test]
fn database_catches_up_after_an_outage() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "database-write=2*return(worn out)").node();
    post(&node, 0..20);
    let store = node.wait_until("/api/store", |store| store["state"] == "degraded");
    assert!(store["problems"][0].as_str().expect("text").contains("worn out"), "{store}");
    post(&node, 20..40);
    node.wait_until("/api/store", |store| store["state"] == "ok");
    post(&node, 40..60);
    assert_whole(&node, 60);
    assert!(node.terminate().success());
    let again = NodeConfig::new(&data, "centrifugal").node();
    assert_whole(&again, 60);
}

#[test]
fn slow_database_does_not_delay_posts() {
    let data = tempfile::tempdir().expect("a directory");
    // Each transaction takes longer than all posts here, and no post waits for one.
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "database-write=sleep(3000)").node();
    for second in 0..200 {
        post(&node, second..second + 1);
    }
    assert_eq!(node.get_ok("/api/store")["state"], "ok");
    assert_whole(&node, 200);
}

#[test]
fn posts_beyond_the_limit_during_a_disk_stall_get_a_retry_time() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_READINGS", "12");
    let node = start.node();
    start.inject("journal-sync", "pause");
    let items: Vec<Value> = (0..13).map(|s| at(s, json!({}))).collect();
    let response = thread::scope(|scope| {
        let first = scope.spawn(|| node.post(&json!(items)));
        node.wait_until("/api/actors", |actors| {
            let gate = actors["items"].as_array().into_iter().flatten().find(|actor| actor["id"] == "gate");
            gate.is_some_and(|gate| gate["processed"] == 1)
        });
        let second = node.post(&at(0, json!({"pump_id": "pump-2"})));
        assert_eq!((second.status, second.retry_after.as_deref()), (429, Some("1")), "{second:?}");
        assert_eq!(second.content_type, "application/problem+json");
        start.inject("journal-sync", "off");
        first.join().expect("a response")
    });
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(13)));
    assert_eq!(node.get_ok("/api/live-data")["totals"]["node"]["refused_node"], 1);
    let overflows = node.get_ok("/api/actors")["overflows"].clone();
    let of_node =
        json!({"queue": "readings of all pumps in flight", "when_full": "the post is refused with 429", "count": 1});
    assert!(overflows.as_array().is_some_and(|queues| queues.contains(&of_node)), "{overflows}");
    let pumps = node.get_ok("/api/pumps");
    assert_eq!(pumps["items"].as_array().map(Vec::len), Some(1), "a rejected post leaves no trace: {pumps}");
    assert_eq!(node.post(&at(0, json!({"pump_id": "pump-2"}))).status, 200, "there is room again");
}

#[test]
fn full_journal_recovers_and_failed_one_rejects_until_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    post(&node, 0..10);
    start.inject("journal-write", "return(full)");
    let refused = node.post(&at(10, json!({})));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (507, Some("10")), "{refused:?}");
    start.inject("journal-write", "off");
    post(&node, 10..20);
    start.inject("journal-sync", "1*return(worn out)");
    assert_eq!(node.post(&at(20, json!({}))).status, 503);
    let not_ready = node.get("/readyz");
    assert_eq!(not_ready.status, 503);
    assert!(not_ready.body["detail"].as_str().expect("text").contains("journal"), "{not_ready:?}");
    assert_eq!(node.post(&at(21, json!({}))).status, 503, "a failed sync is final");
    node.kill();
    let node = start.node();
    assert_whole(&node, 20);
    post(&node, 20..21);
}

/// With `VOLUTE_LONG` the outage has its full duration. Otherwise the same readings are posted as fast as possible.
#[test]
fn outage_of_10_minutes_at_1000_readings_per_second_is_caught_up() {
    const PUMPS: u64 = 100;
    let long = std::env::var_os("VOLUTE_LONG").is_some();
    let seconds: u64 = if long { 600 } else { 20 };
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    start.inject("database-write", "return(ten minutes of outage)");
    let (started, mut acknowledged) = (Instant::now(), 0);
    for turn in 0..seconds * 10 {
        // The last ten readings of ten pumps, 0.1 s after the previous ten.
        let item = |n: u64| {
            let mut item = ten_values();
            item["pump_id"] = json!(format!("pump-{}", (turn % 10) * 10 + n / 10));
            item["timestamp"] = json!(EPOCH_MS + (turn / 10 * 10 + n % 10) * 1000);
            item
        };
        let response = node.post(&(0..100).map(item).collect::<Value>());
        assert_eq!(response.status, 200, "{response:?}");
        acknowledged += response.body["accepted"].as_u64().expect("a number");
        let due = started + Duration::from_millis(100 * turn);
        if long {
            // Keeps the rate, as the outage must last.
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    assert_eq!(acknowledged, seconds * 1000);
    let store = node.wait_until("/api/store", |store| store["state"] == "degraded");
    assert!(store["waiting"]["readings"].as_u64() >= Some(acknowledged), "{store}");
    let mebibytes = store["waiting"]["bytes"].as_u64().expect("a number") >> 20;

    start.inject("database-write", "off");
    let started = Instant::now();
    // Due minutes are written at the next retry. The newest minutes are not due yet.
    node.wait_until("/api/store", |store| store["state"] == "ok");
    println!("{acknowledged} readings waited ({mebibytes} MiB); state ok after {:?}", started.elapsed());
    if long {
        node.wait_until("/api/store", |store| store["waiting"]["readings"].as_u64() < Some(acknowledged / 10));
        println!("caught up after {:?}", started.elapsed());
    }
    for pump in 0..PUMPS {
        let path = format!("/api/sensor-history?pump_id=pump-{pump}&from=2026-01-01T00:00:00Z&limit=10000");
        let times: Vec<Value> = node.all_items(&path).iter().map(|item| item["timestamp"].clone()).collect();
        assert_eq!(times.len() as u64, seconds * 10, "pump-{pump}");
        assert!(times.is_sorted_by(|a, b| a.as_str() < b.as_str()), "pump-{pump}: each once, in order");
    }
}
