//! Restarts on request, of every kind of actor and under load: no thread is held, every post is answered, and nothing
//! that was acknowledged is lost.
//!
//! With `VOLUTE_LONG` it makes 10,000 restarts, and prints the longest silence: the longest that a post took to be answered,
//! and that one took to be acknowledged, which is after several tries where its pump or the recorder was restarted.

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
    support::{EPOCH_MS, Node, Start, ten_values, try_post},
};

/// Every stage of a node that plays no demo.
const STAGES: [&str; 9] =
    ["gate", "pumps", "recorder", "inference", "keeper", "live", "maintenance", "metrics", "commissioning"];
const PUMPS: [&str; 2] = ["pump-a", "pump-b"];
/// Readings in a post.
const BATCH: u64 = 5;

#[test]
fn restarts_on_request_hold_nobody_and_lose_nothing() {
    let restarts = if std::env::var_os("VOLUTE_LONG").is_some() { 10_000 } else { 300 };
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = Start::new(&data, "centrifugal").with_model(&model).node();
    let asked = AtomicUsize::new(0);
    let posted: Vec<Posted> = thread::scope(|scope| {
        let restarters = Arc::new([(); 2].map(|()| scope.spawn(|| restart_until(&node, &asked, restarts))));
        let posters = PUMPS.map(|pump| {
            let (node, restarters) = (&node, restarters.clone());
            // A restart that is refused ends its thread too, and fails the test at the end.
            scope.spawn(move || post_until(node, pump, || restarters.iter().all(ScopedJoinHandle::is_finished)))
        });
        posters.into_iter().map(|poster| poster.join().expect("every post is acknowledged")).collect()
    });
    println!("{restarts} restarts: {posted:?}");

    let actors = node.until("/api/actors", |actors| actors["items"].as_array().is_some_and(|all| all.iter().all(runs)));
    for actor in actors["items"].as_array().expect("a list") {
        assert_eq!(actor["failures"], 0, "a restart on request is no failure: {actor}");
        assert!(actor["restarts"].as_u64().is_some_and(|restarts| restarts > 0), "{actor}");
    }
    for (pump, Posted { readings, .. }) in PUMPS.iter().zip(&posted) {
        let path = format!("/api/sensor-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let stored = node.all(&path);
        let distinct: BTreeSet<&str> = stored.iter().filter_map(|item| item["timestamp"].as_str()).collect();
        assert_eq!((stored.len() as u64, distinct.len() as u64), (*readings, *readings), "{pump}");
    }
    assert!(node.terminate().success(), "an orderly end");
}

fn runs(actor: &Value) -> bool {
    actor["state"] == "running"
}

/// Restarts one stage after the other until so many actors were restarted in all.
fn restart_until(node: &Node, asked: &AtomicUsize, restarts: usize) {
    while asked.load(Relaxed) < restarts {
        for stage in STAGES {
            let answer = node.post_to(&format!("/api/actors/{stage}/restart"), "application/json", "");
            // The pumps are none before the first reading.
            let restarted = answer.body["restarted"].as_array().map_or(0, Vec::len);
            assert!(answer.status == 200 || stage == "pumps", "{answer:?}");
            asked.fetch_add(restarted, Relaxed);
        }
    }
}

/// What one pump has posted.
#[derive(Debug, Default)]
struct Posted {
    readings: u64,
    longest_until_answered: Duration,
    longest_until_acknowledged: Duration,
}

/// Posts a pump's readings, each post until it is acknowledged.
fn post_until(node: &Node, pump: &str, done: impl Fn() -> bool) -> Posted {
    let mut posted = Posted::default();
    while !done() {
        let items: Vec<Value> = (posted.readings..posted.readings + BATCH).map(|second| item(pump, second)).collect();
        let (body, begun) = (json!(items).to_string(), Instant::now());
        loop {
            let asked = Instant::now();
            let answer = try_post(&node.url, "application/json", &body).expect("the node is there");
            posted.longest_until_answered = posted.longest_until_answered.max(asked.elapsed());
            if answer.status == 200 && answer.body["durable"] == true {
                break;
            }
            assert!([429, 503].contains(&answer.status), "{answer:?}");
        }
        posted.longest_until_acknowledged = posted.longest_until_acknowledged.max(begun.elapsed());
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
