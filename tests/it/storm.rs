//! Restarts of all kinds of actors on request, under load: no thread is blocked, every post gets a response, and no
//! acknowledged reading is lost.
//!
//! With `VOLUTE_LONG` there are 10,000 restarts. The test prints the longest time until a post got a response, and the
//! longest time until it was acknowledged, which takes several tries if its pump or the recorder was restarted.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    engine::train_on_normal,
    support::{EPOCH_MS, Node, NodeConfig, ten_values, try_post},
};

/// All stages of a node that is not a demo.
const STAGES: [&str; 10] = [
    "gate",
    "pumps",
    "recorder",
    "inference",
    "keeper",
    "live",
    "maintenance",
    "node-alarms",
    "metrics",
    "commissioning",
];
const PUMPS: [&str; 2] = ["pump-a", "pump-b"];
/// The number of readings in a post.
const BATCH: u64 = 5;

#[test]
fn restarts_on_request_block_nothing_and_lose_nothing() {
    let restarts = if std::env::var_os("VOLUTE_LONG").is_some() { 10_000 } else { 300 };
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = NodeConfig::new(&data, "centrifugal").with_model(&model).node();
    let restarted = AtomicUsize::new(0);
    let posted: Vec<Posted> = thread::scope(|scope| {
        let restarters = Arc::new([(); 2].map(|()| scope.spawn(|| restart_until(&node, &restarted, restarts))));
        let posters = PUMPS.map(|pump| {
            let (node, restarters) = (&node, restarters.clone());
            // A rejected restart also ends its thread, and fails the test at the end.
            scope.spawn(move || post_until(node, pump, || restarters.iter().all(ScopedJoinHandle::is_finished)))
        });
        posters.into_iter().map(|poster| poster.join().expect("every post is acknowledged")).collect()
    });
    println!("{restarts} restarts: {posted:?}");

    let actors =
        node.wait_until("/api/actors", |actors| actors["items"].as_array().is_some_and(|all| all.iter().all(runs)));
    for actor in actors["items"].as_array().expect("a list") {
        assert_eq!(actor["failures"], 0, "a requested restart is not a failure: {actor}");
        assert!(actor["restarts"].as_u64().is_some_and(|restarts| restarts > 0), "{actor}");
    }
    for (pump, Posted { readings, .. }) in PUMPS.iter().zip(&posted) {
        let path = format!("/api/sensor-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let stored = node.all_items(&path);
        let distinct: BTreeSet<&str> = stored.iter().filter_map(|item| item["timestamp"].as_str()).collect();
        assert_eq!((stored.len() as u64, distinct.len() as u64), (*readings, *readings), "{pump}");
    }
    assert!(node.terminate().success(), "a clean exit");
}

fn runs(actor: &Value) -> bool {
    actor["state"] == "running"
}

/// Restarts one stage after the other until this many actors were restarted in total.
fn restart_until(node: &Node, total: &AtomicUsize, restarts: usize) {
    while total.load(Relaxed) < restarts {
        for stage in STAGES {
            let response = node.post_to(&format!("/api/actors/{stage}/restart"), "application/json", "");
            // There are no pumps before the first reading.
            let restarted = response.body["restarted"].as_array().map_or(0, Vec::len);
            assert!(response.status == 200 || stage == "pumps", "{response:?}");
            total.fetch_add(restarted, Relaxed);
        }
    }
}

/// The posts of one pump.
#[derive(Debug, Default)]
struct Posted {
    readings: u64,
    longest_until_answered: Duration,
    longest_until_acknowledged: Duration,
}

/// Posts a pump's readings, and repeats each post until it is acknowledged.
fn post_until(node: &Node, pump: &str, done: impl Fn() -> bool) -> Posted {
    let mut posted = Posted::default();
    while !done() {
        let items: Vec<Value> = (posted.readings..posted.readings + BATCH).map(|second| item(pump, second)).collect();
        let (body, started) = (json!(items).to_string(), Instant::now());
        loop {
            let sent = Instant::now();
            let response = try_post(&node.url, "application/json", &body).expect("the node is there");
            posted.longest_until_answered = posted.longest_until_answered.max(sent.elapsed());
            if response.status == 200 && response.body["durable"] == true {
                break;
            }
            assert!([429, 503].contains(&response.status), "{response:?}");
        }
        posted.longest_until_acknowledged = posted.longest_until_acknowledged.max(started.elapsed());
        posted.readings += BATCH;
    }
    posted
}

fn item(pump: &str, second: u64) -> Value {
    let mut item = ten_values();
    item["pump_id"] = json!(pump);
    item["timestamp"] = json!(EPOCH_MS + 1000 * second);
    item["Motor_RPM"] = json!(1480 + second % 7);
    item
}
