//! Acknowledged readings are durable: clients record what was acknowledged while the node is killed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{EPOCH_MS, Node, NodeConfig, Random, ten_values, try_post, wait_until};

/// The acknowledged readings, by pump and time.
pub type Ledger = Arc<Mutex<BTreeSet<(String, u64)>>>;

/// The pumps whose readings are posted.
pub const PUMPS: [&str; 2] = ["pump-a", "pump-b"];

/// Posts batches of readings of one pump until `stop` is set, and records the acknowledged ones.
fn client(url: String, pump: String, next: Arc<AtomicU64>, ledger: Ledger, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let first = next.fetch_add(5, Ordering::Relaxed);
        let times: Vec<u64> = (first..first + 5).map(|n| EPOCH_MS + n * 1000).collect();
        let item = |at: &u64| {
            let mut item = ten_values();
            item["timestamp"] = json!(at);
            item["pump_id"] = json!(pump);
            item
        };
        let body = json!(times.iter().map(item).collect::<Vec<_>>()).to_string();
        // A killed or stopping node acknowledges nothing; `stop` is then set soon.
        let Some(response) = try_post(&url, "application/json", &body) else { continue };
        if response.status == 200 && response.body["durable"] == true {
            let mut ledger = ledger.lock().expect("no client panicked");
            ledger.extend(times.into_iter().map(|at| (pump.clone(), at)));
        }
    }
}

/// The running clients, one for each pump.
pub struct Load {
    clients: Vec<thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    pub fn start(node: &Node, next: &Arc<AtomicU64>, ledger: &Ledger) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = PUMPS.map(|pump| {
            let (url, next, ledger, stop) = (node.url.clone(), next.clone(), ledger.clone(), stop.clone());
            thread::spawn(move || client(url, pump.to_owned(), next, ledger, stop))
        });
        Self { clients: clients.into(), stop }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no client panicked");
        }
    }
}

pub fn until_acknowledged(ledger: &Ledger, n: usize) {
    wait_until("readings are acknowledged", || {
        let so_far = ledger.lock().expect("no client panicked").len();
        if so_far >= n { Ok(()) } else { Err(so_far) }
    });
}

/// Checks that each reading in the ledger is stored exactly once.
pub fn check(node: &Node, ledger: &Ledger) {
    check_from(node, ledger, EPOCH_MS);
}

/// Checks that each reading in the ledger from this time on is stored exactly once.
fn check_from(node: &Node, ledger: &Ledger, from_ms: u64) {
    for pump in PUMPS {
        let stored: Vec<u64> = node
            .all_items(&format!("/api/sensor-history?pump_id={pump}&limit=10000&from={from_ms}"))
            .iter()
            .map(|item: &Value| {
                let text = item["timestamp"].as_str().expect("a time");
                let time: volute_plant::Timestamp = text.parse().expect("a time");
                time.millis() as u64
            })
            .collect();
        let distinct: BTreeSet<u64> = stored.iter().copied().collect();
        assert_eq!(distinct.len(), stored.len(), "{pump}: nothing is stored twice");
        let ledger = ledger.lock().expect("no client panicked");
        let lost: Vec<_> =
            ledger.iter().filter(|(p, at)| p == pump && *at >= from_ms && !distinct.contains(at)).collect();
        assert!(lost.is_empty(), "{pump}: acknowledged and lost: {lost:?}");
    }
}

#[test]
fn kills_lose_no_acknowledged_reading() {
    let kills = if std::env::var_os("VOLUTE_LONG").is_some() { 1000 } else { 30 };
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let (ledger, next) = (Ledger::default(), Arc::new(AtomicU64::new(0)));
    let mut node = start.node();
    let mut slowest = Duration::ZERO;
    let mut random = Random(7);
    for kill in 0..kills {
        // Lost readings stay lost: new ones are checked each time, and all of them every hundred times and at the end.
        let from_ms = if kill % 100 == 0 { EPOCH_MS } else { EPOCH_MS + next.load(Ordering::Relaxed) * 1000 };
        let acknowledged = ledger.lock().expect("no client panicked").len();
        let load = Load::start(&node, &next, &ledger);
        until_acknowledged(&ledger, acknowledged + 10);
        // The moment must not depend on anything that the node does, so it depends on the time.
        thread::sleep(Duration::from_micros(u64::from(random.below(200_000))));
        node.kill();
        load.stop();
        let killed = Instant::now();
        node = start.node();
        node.get_ok("/readyz");
        slowest = slowest.max(killed.elapsed());
        check_from(&node, &ledger, from_ms);
    }
    check(&node, &ledger);
    let acknowledged = ledger.lock().expect("no client panicked").len();
    println!("{kills} kills, {acknowledged} readings acknowledged, ready again after {slowest:?} at the most");
    assert!(ledger.lock().expect("no client panicked").len() > 200);
}

#[test]
fn sigterm_drains_without_loss() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let (ledger, next) = (Ledger::default(), Arc::new(AtomicU64::new(0)));
    let node = start.node();
    let load = Load::start(&node, &next, &ledger);
    until_acknowledged(&ledger, 100);
    assert!(node.terminate().success(), "a clean exit");
    load.stop();
    check(&start.node(), &ledger);
}
