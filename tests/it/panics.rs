//! Actors panic one after the other under a steady load, thousands of times with `VOLUTE_LONG`: no acknowledged reading
//! is lost, no detection is duplicated, all actors recover, and memory does not grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_on_normal},
    support::{EPOCH_MS, Node, NodeConfig, StopOnDrop, try_post, wait_until},
};

const CLIENTS: usize = 4;
const PUMPS_PER_CLIENT: usize = 5;
/// A post has the readings of this many seconds, of all pumps of its client.
const STEP_S: u32 = 5;
/// The interval between the posts of a client: 1,000 readings/s in total.
const POST_INTERVAL: Duration = Duration::from_millis(100);
/// The maximum number of windows scored together. A panic of a worker may lose the detections of one batch.
const BATCH: usize = 32;
/// The maximum number of pending windows of a pump. A panic of its actor may lose their detections.
const PENDING_WINDOWS: usize = 32;
/// The number of a pump's first readings that have no complete window.
const READINGS_WITHOUT_WINDOW: usize = 29;
/// The failpoints of actors, and the kind of actor that each belongs to.
const POINTS: [(&str, &str); 7] = [
    ("gate", "gate"),
    ("pump", "pump"),
    ("inference", "inference"),
    ("recorder", "recorder"),
    ("maintenance", "maintenance"),
    ("live", "live"),
    ("keeper-look", "keeper"),
];

/// Posts readings of some pumps at a steady rate, and repeats each post until it is acknowledged. Returns the number of
/// seconds posted.
fn client(url: &str, number: usize, stop: &AtomicBool, again: &AtomicU32) -> u32 {
    let start = Instant::now();
    let mut second = 0;
    while !stop.load(Relaxed) {
        let item = |pump: usize, second| {
            let mut item = normal(second);
            item["pump_id"] = json!(format!("pump-{number}-{pump}"));
            item["timestamp"] = json!(EPOCH_MS + u64::from(second) * 1000);
            item
        };
        let items = (0..PUMPS_PER_CLIENT).flat_map(|pump| (second..second + STEP_S).map(move |at| item(pump, at)));
        let body = items.collect::<Value>().to_string();
        wait_until("it is acknowledged", || {
            let response = try_post(url, "application/json", &body).expect("the node is there");
            if response.status == 200 && response.body["durable"] == true {
                return Ok(());
            }
            assert!([429, 503].contains(&response.status), "{response:?}");
            again.fetch_add(1, Relaxed);
            Err(response)
        });
        second += STEP_S;
        // Keeps the rate; delays are not made up for.
        thread::sleep((start + POST_INTERVAL * (second / STEP_S)).saturating_duration_since(Instant::now()));
    }
    second
}

/// Returns the failures of a kind of actor, and whether all actors of the kind are running.
fn actor_state(node: &Node, kind: &str) -> (u64, bool) {
    let actors = node.get_ok("/api/actors");
    let items = actors["items"].as_array().expect("a list").iter().filter(|actor| actor["kind"] == kind);
    items.fold((0, true), |(failures, running), actor| {
        (failures + actor["failures"].as_u64().expect("a number"), running && actor["state"] == "running")
    })
}

/// The number of windows that were not scored in time, as counted by the node.
fn skipped(node: &Node) -> usize {
    let overflows = node.get_ok("/api/actors")["overflows"].clone();
    let of_windows = |overflow: &&Value| overflow["queue"].as_str().is_some_and(|queue| queue.starts_with("windows"));
    let counts = overflows.as_array().expect("a list").iter().filter(of_windows).map(|overflow| &overflow["count"]);
    counts.map(|count| count.as_u64().expect("a count") as usize).sum()
}

/// Panics an actor. Returns the longest time until all actors of its kind were running again.
fn panic_one(start: &NodeConfig, node: &Node, (point, kind): (&str, &str)) -> Duration {
    let (before, _) = actor_state(node, kind);
    start.inject(point, "1*panic(injected)");
    let mut unbroken = Instant::now();
    loop {
        let requested = Instant::now();
        let (failures, running) = actor_state(node, kind);
        if failures == before {
            unbroken = requested;
        } else if running {
            return unbroken.elapsed();
        }
        assert!(unbroken.elapsed() < Duration::from_secs(60), "{kind} never ran again");
    }
}

/// Checks that each reading is stored once and no detection twice. Returns the numbers of both.
fn check(node: &Node, reached: &[u32]) -> (usize, usize) {
    let (mut readings, mut detections) = (0, 0);
    for (number, &seconds) in reached.iter().enumerate() {
        for pump in 0..PUMPS_PER_CLIENT {
            let times = |list: &str| {
                let path = format!("/api/{list}?pump_id=pump-{number}-{pump}&limit=10000&from=2026-01-01T00:00:00Z");
                let times: Vec<String> =
                    node.all_items(&path).iter().map(|item| item["timestamp"].to_string()).collect();
                let distinct: BTreeSet<&String> = times.iter().collect();
                assert_eq!(distinct.len(), times.len(), "pump-{number}-{pump}: nothing twice in {list}");
                times.len()
            };
            let stored = times("sensor-history");
            assert_eq!(stored, seconds as usize, "pump-{number}-{pump}");
            (readings, detections) = (readings + stored, detections + times("anomaly-history"));
        }
    }
    (readings, detections)
}

#[test]
fn panics_one_after_the_other_under_a_steady_load() {
    let panics = if std::env::var_os("VOLUTE_LONG").is_some() { 1000 } else { 3 * POINTS.len() };
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start =
        NodeConfig::new(&data, "centrifugal").with_model(&model).with_env("VOLUTE__ENGINE__RESTARTS", "1000000");
    let start = start.with_env("VOLUTE__ENGINE__RESTART_WINDOW_S", "1");
    let start = start.with_env("VOLUTE__ENGINE__MAX_BATCH_WINDOWS", &BATCH.to_string());
    let start = start.with_env("VOLUTE__ENGINE__QUEUED_WINDOWS_PER_PUMP", &PENDING_WINDOWS.to_string());
    let node = start.node();
    let (stop, again) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut slowest, mut memory) = (BTreeMap::<&str, Duration>::new(), Vec::new());
    let started = Instant::now();
    let reached: Vec<u32> = thread::scope(|scope| {
        let clients_end = StopOnDrop(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (url, stop, again) = (&node.url, &stop, &again);
                scope.spawn(move || client(url, number, stop, again))
            })
            .collect();
        for number in 0..panics {
            let broken = POINTS[number % POINTS.len()];
            let took = panic_one(&start, &node, broken);
            let slowest = slowest.entry(broken.1).or_default();
            *slowest = took.max(*slowest);
            if number % (panics / 10).max(1) == 0 {
                memory.push(node.resident_mib());
            }
        }
        drop(clients_end);
        clients.into_iter().map(|client| client.join().expect("no client panicked")).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    node.wait_until("/api/actors", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["state"] == "running"))
    });
    let failures: u64 =
        BTreeSet::from(POINTS.map(|(_, kind)| kind)).into_iter().map(|kind| actor_state(&node, kind).0).sum();
    assert_eq!(failures, panics as u64);
    node.wait_until("/api/actors?stage=inference", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["queue_depth"] == 0))
    });
    let (readings, detections) = check(&node, &reached);
    let windows = readings - CLIENTS * PUMPS_PER_CLIENT * READINGS_WITHOUT_WINDOW;
    let broken = actor_state(&node, "inference").0 + actor_state(&node, "pump").0;
    let lost = broken as usize * (BATCH + PENDING_WINDOWS) + skipped(&node);
    assert!(
        (windows.saturating_sub(lost)..=windows).contains(&detections),
        "{detections} detections on {windows} windows"
    );
    assert!(node.terminate().success(), "a clean exit");
    check(&NodeConfig::new(&data, "centrifugal").node(), &reached);
    println!(
        "{panics} panics in {seconds:.0} s, {readings} readings ({:.0}/s), {detections} detections, {} posts again; \
         running again at the latest after {slowest:?}; resident MiB {memory:?}",
        readings as f64 / seconds,
        again.load(Relaxed)
    );
}
