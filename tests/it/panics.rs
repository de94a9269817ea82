//! Parts of the node break one after the other, by the thousand in the long form, under a steady load: nothing that was
//! acknowledged is lost, no verdict is there twice, all run again, and memory does not grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_on_normal},
    support::{EPOCH_MS, Node, Start, StopOnDrop, try_post, until},
};

const CLIENTS: usize = 4;
const PUMPS_OF_A_CLIENT: usize = 5;
/// Each client posts this many seconds of each of its pumps at a time,
const STEP: u32 = 5;
/// this often: 1,000 readings a second in all.
const EVERY: Duration = Duration::from_millis(100);
/// Windows that are scored together at most, and that one pump may have waiting at most: so many verdicts may be lost with an
/// actor that breaks, of the batch in hand and of the pump's own.
const BATCH: usize = 32;
const WAITING: usize = 32;
/// A pump's first readings have no window yet.
const FILLING: usize = 29;
/// Where each of these actors has its point, and whose it is.
const POINTS: [(&str, &str); 7] = [
    ("gate", "gate"),
    ("pump", "pump"),
    ("inference", "inference"),
    ("recorder", "recorder"),
    ("maintenance", "maintenance"),
    ("live", "live"),
    ("keeper-look", "keeper"),
];

/// Posts in the name of some pumps at a steady pace, and each post until it is acknowledged; answers how far it came.
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
        let items = (0..PUMPS_OF_A_CLIENT).flat_map(|pump| (second..second + STEP).map(move |at| item(pump, at)));
        let body = items.collect::<Value>().to_string();
        until("it is acknowledged", || {
            let answer = try_post(url, "application/json", &body).expect("the node is there");
            if answer.status == 200 && answer.body["durable"] == true {
                return Ok(());
            }
            assert!([429, 503].contains(&answer.status), "{answer:?}");
            again.fetch_add(1, Relaxed);
            Err(answer)
        });
        second += STEP;
        // The pace is the point: what is late is not made up for.
        thread::sleep((start + EVERY * (second / STEP)).saturating_duration_since(Instant::now()));
    }
    second
}

/// Failures of a kind of actor, and whether all of that kind run.
fn of_kind(node: &Node, kind: &str) -> (u64, bool) {
    let actors = node.ok("/api/actors");
    let items = actors["items"].as_array().expect("a list").iter().filter(|actor| actor["kind"] == kind);
    items.fold((0, true), |(failures, running), actor| {
        (failures + actor["failures"].as_u64().expect("a number"), running && actor["state"] == "running")
    })
}

/// Windows that no worker came to in time, as the node counts them.
fn skipped(node: &Node) -> usize {
    let overflows = node.ok("/api/actors")["overflows"].clone();
    let of_windows = |overflow: &&Value| overflow["queue"].as_str().is_some_and(|queue| queue.starts_with("windows"));
    let counts = overflows.as_array().expect("a list").iter().filter(of_windows).map(|overflow| &overflow["count"]);
    counts.map(|count| count.as_u64().expect("a count") as usize).sum()
}

/// Breaks an actor; answers how long it took at most until all of its kind ran again.
fn break_one(start: &Start, node: &Node, (point, kind): (&str, &str)) -> Duration {
    let (before, _) = of_kind(node, kind);
    start.inject(point, "1*panic(injected)");
    let mut unbroken = Instant::now();
    loop {
        let asked = Instant::now();
        let (failures, running) = of_kind(node, kind);
        if failures == before {
            unbroken = asked;
        } else if running {
            return unbroken.elapsed();
        }
        assert!(unbroken.elapsed() < Duration::from_secs(60), "{kind} never ran again");
    }
}

/// Every reading is stored once, and no verdict twice. Answers how many of both there are.
fn check(node: &Node, reached: &[u32]) -> (usize, usize) {
    let (mut readings, mut verdicts) = (0, 0);
    for (number, &seconds) in reached.iter().enumerate() {
        for pump in 0..PUMPS_OF_A_CLIENT {
            let times = |list: &str| {
                let path = format!("/api/{list}?pump_id=pump-{number}-{pump}&limit=10000&from=2026-01-01T00:00:00Z");
                let times: Vec<String> = node.all(&path).iter().map(|item| item["timestamp"].to_string()).collect();
                let distinct: BTreeSet<&String> = times.iter().collect();
                assert_eq!(distinct.len(), times.len(), "pump-{number}-{pump}: nothing twice in {list}");
                times.len()
            };
            let stored = times("sensor-history");
            assert_eq!(stored, seconds as usize, "pump-{number}-{pump}");
            (readings, verdicts) = (readings + stored, verdicts + times("anomaly-history"));
        }
    }
    (readings, verdicts)
}

#[test]
fn panics_one_after_the_other_under_a_steady_load() {
    let panics = if std::env::var_os("VOLUTE_LONG").is_some() { 1000 } else { 3 * POINTS.len() };
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start = Start::new(&data, "centrifugal").with_model(&model).with_env("VOLUTE__ENGINE__RESTARTS", "1000000");
    let start = start.with_env("VOLUTE__ENGINE__RESTART_WINDOW_S", "1");
    let start = start.with_env("VOLUTE__ENGINE__MAX_BATCH_WINDOWS", &BATCH.to_string());
    let start = start.with_env("VOLUTE__ENGINE__QUEUED_WINDOWS_PER_PUMP", &WAITING.to_string());
    let node = start.node();
    let (stop, again) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut slowest, mut memory) = (BTreeMap::<&str, Duration>::new(), Vec::new());
    let begun = Instant::now();
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
            let took = break_one(&start, &node, broken);
            let slowest = slowest.entry(broken.1).or_default();
            *slowest = took.max(*slowest);
            if number % (panics / 10).max(1) == 0 {
                memory.push(node.resident_mib());
            }
        }
        drop(clients_end);
        clients.into_iter().map(|client| client.join().expect("no client panicked")).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    node.until("/api/actors", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["state"] == "running"))
    });
    let failures: u64 =
        BTreeSet::from(POINTS.map(|(_, kind)| kind)).into_iter().map(|kind| of_kind(&node, kind).0).sum();
    assert_eq!(failures, panics as u64);
    node.until("/api/actors?stage=inference", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["queue_depth"] == 0))
    });
    let (readings, verdicts) = check(&node, &reached);
    let windows = readings - CLIENTS * PUMPS_OF_A_CLIENT * FILLING;
    let broken = of_kind(&node, "inference").0 + of_kind(&node, "pump").0;
    let lost = broken as usize * (BATCH + WAITING) + skipped(&node);
    assert!((windows.saturating_sub(lost)..=windows).contains(&verdicts), "{verdicts} verdicts on {windows} windows");
    assert!(node.terminate().success(), "an orderly end");
    check(&Start::new(&data, "centrifugal").node(), &reached);
    println!(
        "{panics} panics in {seconds:.0} s, {readings} readings ({:.0}/s), {verdicts} verdicts, {} posts again; \
         running again at the latest after {slowest:?}; resident MiB {memory:?}",
        readings as f64 / seconds,
        again.load(Relaxed)
    );
}
