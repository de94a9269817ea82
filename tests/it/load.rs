//! Measurements of the node's edges, in a short form that checks the outcome, and a long form that measures.
//!
//! - `posters_and_streams_survive_half_open_requests`: posts with tokens and live streams, while many more clients hold
//!   requests open that they never finish. No connection of a poster or stream is cut off, and all descriptors come back.
//! - `tokens_cost_little`: the processor time per reading with tokens, and on a node without users, in interleaved pairs.
//!
//! `scripts/bench-edges` runs the long forms against a release build, and checks the times. The figures are in
//! `web/BENCHMARKS.md`. Everything is on loopback.

mod client;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet, time::Instant};
use volute_access::Role;

use crate::{
    access::{Client, Plant},
    support::{Node, skip, wait_until},
};
use client::{Half, Posted, hold_open, post_readings, read_stream};

/// The clients of one measurement.
struct Clients {
    /// Each posts one reading per second with a token of its own, on one connection.
    posters: usize,
    streams: usize,
    /// Each holds a request open, and connects again when the node has closed its connection.
    half_open: usize,
    time: Duration,
    /// The node's limit on descriptors.
    descriptors: u32,
}

fn is_long() -> bool {
    std::env::var_os("VOLUTE_LONG").is_some()
}

/// Whether times are checked: only with a release build on a quiet machine they say anything.
fn checks_times() -> bool {
    std::env::var_os("VOLUTE_CHECK_TIMES").is_some()
}

/// Adds a token for each of these pumps, with the right to register it.
fn add_tokens(admin: &Client<'_>, pumps: usize) -> Vec<String> {
    let add = |number: usize| {
        let new = json!({"name": format!("gateway-{number}"), "pumps": [format!("P-{number}")], "register": true});
        let added: Value = admin.json("POST", "/api/tokens", &new);
        format!("Authorization: Bearer {}\r\n", added["token"].as_str().expect("a token"))
    };
    (0..pumps).map(add).collect()
}

/// Returns the quantile of sorted times, in milliseconds.
fn quantile_ms(sorted: &[Duration], quantile: f64) -> f64 {
    let index = ((sorted.len() as f64 * quantile).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[index].as_secs_f64() * 1e3
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn posters_and_streams_survive_half_open_requests() {
    let clients = match is_long() {
        true => Clients {
            posters: 1_000,
            streams: 200,
            half_open: 10_000,
            time: Duration::from_secs(60),
            descriptors: 4_096,
        },
        false => Clients { posters: 40, streams: 10, half_open: 600, time: Duration::from_secs(4), descriptors: 512 },
    };
    let needed = (clients.posters + clients.streams + clients.half_open + 500) as u64;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < needed) {
        return skip(&format!("the limit on open files is {maximum:?}, and {needed} are needed"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("raised");
    let mut plant = Plant::new();
    let start = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never");
    plant.start = start.with_descriptors(clients.descriptors).with_log(&plant.data().with_extension("log"));
    let node = plant.start.node();
    let admin = plant.user(&node, "ada", Role::Admin);
    let tokens = add_tokens(&admin, clients.posters);
    let files = node.open_files();
    let (posted, attackers) = runtime().block_on(run(&node, &clients, tokens, &admin.credential));

    let mut latencies = posted.latencies;
    latencies.sort_unstable();
    let (p50, p99, max) = (quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99), quantile_ms(&latencies, 1.0));
    println!(
        "{} posts by {} posters, {} streams, {} half-open clients with {attackers} connections, {:?}, {} descriptors: \
         p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms",
        latencies.len(),
        clients.posters,
        clients.streams,
        clients.half_open,
        clients.time,
        clients.descriptors,
    );
    assert_eq!(posted.others, Vec::<u16>::new(), "every post was taken");
    assert!(latencies.len() >= clients.posters, "{}", latencies.len());
    assert!(attackers > clients.half_open / 4, "only {attackers} requests were held open");
    assert!(p99 < 250.0 || !checks_times(), "p99 {p99:.1} ms");
    wait_until("all descriptors come back", || {
        let open = node.open_files();
        // The store opens some files of its own while it works.
        if open <= files + 16 { Ok(()) } else { Err((files, open)) }
    });
    assert_eq!(admin.status("GET", "/api/pumps", None), 200);
}

/// Runs all clients for their time. Returns the posts of all posters, and the number of connections of half-open clients.
/// Panics if a poster or a stream is cut off.
async fn run(node: &Node, clients: &Clients, tokens: Vec<String>, cookie: &str) -> (Posted, usize) {
    let (address, ended) = (node.address().to_owned(), Arc::new(AtomicBool::new(false)));
    let mut streams = JoinSet::new();
    for _ in 0..clients.streams {
        streams.spawn(read_stream(address.clone(), cookie.to_owned(), Arc::clone(&ended)));
    }
    // The posters connect before the half-open clients take the connections that are left.
    let begin = Instant::now() + Duration::from_secs(1);
    let mut posters = JoinSet::new();
    let spread = Duration::from_secs(1).div_f64(clients.posters as f64);
    for (number, token) in tokens.into_iter().enumerate() {
        let first = begin + spread.mul_f64(number as f64);
        let pump = format!("P-{number}");
        posters.spawn(post_readings(address.clone(), token, pump, first, Duration::from_secs(1), clients.time));
    }
    tokio::time::sleep_until(begin + Duration::from_secs(1)).await;
    let mut attackers = JoinSet::new();
    for number in 0..clients.half_open {
        let half = [Half::Silent, Half::Head, Half::Body][number % 3];
        attackers.spawn(hold_open(address.clone(), half, Arc::clone(&ended)));
    }
    let mut posted = Posted::default();
    while let Some(part) = posters.join_next().await {
        let part = part.expect("a poster").expect("a poster was cut off");
        posted.latencies.extend(part.latencies);
        posted.others.extend(part.others);
    }
    ended.store(true, Ordering::Relaxed);
    while let Some(bytes) = streams.join_next().await {
        assert!(bytes.expect("a stream").expect("a stream was cut off") > 0);
    }
    let mut connections = 0;
    while let Some(held) = attackers.join_next().await {
        connections += held.expect("a client");
    }
    (posted, connections)
}

/// Returns the processor time of the node so far.
fn processor_time(node: &Node) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("Linux");
    let of_task = |task: std::fs::DirEntry| -> Option<u64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(of_task).sum())
}

/// Measures the processor time per reading of a new node, in microseconds.
fn processor_us_per_reading(with_tokens: bool, posters: usize, interval: Duration, time: Duration) -> f64 {
    let mut plant = Plant::new();
    let log = plant.data().with_extension("log");
    plant.start = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never").with_log(&log);
    let node = plant.start.node();
    // Without users the node is open, as it is in its first minute.
    let tokens = match with_tokens {
        true => add_tokens(&plant.user(&node, "ada", Role::Admin), posters),
        false => vec![String::new(); posters],
    };
    let runtime = runtime();
    let post = async |time: Duration| {
        let begin = Instant::now() + Duration::from_millis(100);
        let mut clients = JoinSet::new();
        for (number, token) in tokens.iter().cloned().enumerate() {
            let first = begin + interval.mul_f64(number as f64 / posters as f64);
            let pump = format!("P-{number}");
            clients.spawn(post_readings(node.address().to_owned(), token, pump, first, interval, time));
        }
        let mut readings = 0;
        while let Some(posted) = clients.join_next().await {
            let posted = posted.expect("a poster").expect("posted");
            assert_eq!(posted.others, Vec::<u16>::new());
            readings += posted.latencies.len();
        }
        readings
    };
    runtime.block_on(async {
        post(time / 4).await;
        let before = processor_time(&node);
        let readings = post(time).await;
        (processor_time(&node) - before).as_secs_f64() * 1e6 / readings as f64
    })
}

#[test]
fn tokens_cost_little() {
    let (pairs, posters, interval, time) = match is_long() {
        true => (5, 50, Duration::from_millis(50), Duration::from_secs(20)),
        false => (1, 8, Duration::from_millis(100), Duration::from_secs(1)),
    };
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        // The order alternates, so that a slow drift of the machine favours neither.
        let first_with = pair % 2 == 0;
        let first = processor_us_per_reading(first_with, posters, interval, time);
        let second = processor_us_per_reading(!first_with, posters, interval, time);
        let (with, without) = if first_with { (first, second) } else { (second, first) };
        println!(
            "with tokens {with:.1} us per reading, without users {without:.1} us: {:+.1} %",
            (with / without - 1.0) * 100.0
        );
        ratios.push(with / without);
    }
    ratios.sort_by(f64::total_cmp);
    let median = (ratios[ratios.len() / 2] - 1.0) * 100.0;
    println!("median of {pairs} pairs: {median:+.1} %");
    assert!(median <= 5.0 || !checks_times(), "{median:+.1} %");
}
