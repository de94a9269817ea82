//! Kills the node at chosen failpoints: in each stage of a flush, between journal segments, while opening its folder,
//! in a backup, and while deleting expired data. No acknowledged reading is lost or stored twice.
//!
//! A kill at a random moment (`crash.rs`) rarely hits a flush: minutes are due 1 min after they were opened, and a
//! flush takes some milliseconds. Here the process kills itself at a failpoint (`kill`, see
//! `data/journal/src/failpoints.rs`), as with `kill -9`, while clients post. Its clock is moved so that the posted
//! readings are due. All kills of a test use the same folder, so that each start finds what the previous kill left.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use volute_data::{PageRange, Store, StoreSettings, list_backups, verify_backup};
use volute_plant::{Clock, SystemClock, Timestamp};

use crate::{
    crash::{Ledger, Load, PUMPS, check, until_acknowledged},
    support::{EPOCH_MS, Node, NodeConfig, output, run, ten_values, volute},
};

/// The clock is moved by this time so that all open minutes are due.
const DUE_MS: u64 = 180_000;
/// The signal of a process that aborts.
const SIGABRT: i32 = 6;
const DAY_MS: i64 = 86_400_000;

/// A data folder for a sequence of nodes, and the readings that they acknowledged.
struct KilledNodes {
    folder: TempDir,
    start: NodeConfig,
    ledger: Ledger,
    next: Arc<AtomicU64>,
    ahead_ms: u64,
}

impl KilledNodes {
    /// Begins with readings of yesterday.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let start = NodeConfig::new(&folder, "centrifugal");
        let first = days_ago(1).millis().unsigned_abs().saturating_sub(EPOCH_MS) / 1000;
        Self { folder, start, ledger: Ledger::default(), next: Arc::new(AtomicU64::new(first)), ahead_ms: 0 }
    }

    /// Returns the configuration of the next node with these failpoints, and with the clock of the last one.
    fn start(&self, faults: &str) -> NodeConfig {
        let faults = format!("clock=return({});{faults}", self.ahead_ms);
        self.start.clone().with_env("FAILPOINTS", &faults)
    }

    /// Posts until this many more readings are acknowledged. The clients continue to post.
    fn post(&self, node: &Node, more: usize) -> Load {
        let so_far = self.ledger.lock().expect("no client panicked").len();
        let load = Load::start(node, &self.next, &self.ledger);
        until_acknowledged(&self.ledger, so_far + more);
        load
    }

    /// Moves the clock so that all readings posted so far are due.
    fn make_due(&mut self) {
        self.move_clock(DUE_MS);
    }

    fn move_clock(&mut self, ms: u64) {
        self.ahead_ms += ms;
        // A failpoint set before may have killed the node.
        let _response = self.start.try_inject("clock", &format!("return({})", self.ahead_ms));
    }

    /// Kills a node at this failpoint while clients post to it.
    fn kill_at(&self, point: &str, action: &str) {
        let _response = self.start.try_inject(point, action);
    }

    /// Lets a node accept readings and flush them until this failpoint kills it.
    fn kill_in_a_flush(&mut self, point: &str, action: &str) {
        let node = self.start("").node();
        let load = self.post(&node, 100);
        self.kill_at(point, action);
        self.make_due();
        assert_killed(node, point);
        load.stop();
    }

    /// Starts a node that is killed while it opens its folder, after this many passes of the failpoint.
    fn kill_while_opening(&self, point: &str, passes: usize) {
        let status = self.start(&format!("{point}={passes}*off->return(kill)")).run_to_exit();
        assert_eq!(status.signal(), Some(SIGABRT), "{point} is reached while the folder is opened");
    }

    /// Starts a node, and checks that each acknowledged reading is stored once and that the store reports no problem.
    fn check(&self, after: &str) {
        let node = self.start("").node();
        check(&node, &self.ledger);
        assert_eq!(node.get_ok("/api/store")["problems"], json!([]), "after a kill at {after}");
        node.kill();
    }

    /// Flushes all readings, and checks that the rollups count each reading once.
    fn check_rollups(&self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let now = SystemClock.now().plus_ms(DAY_MS);
            let store = Store::open(&self.start.data, &StoreSettings::default(), now).await.expect("opened");
            store.flush_all().await.expect("flushed");
            for pump in PUMPS {
                let pump = pump.parse().expect("a name");
                let stored = store
                    .readings(&pump, &PageRange::default())
                    .await
                    .expect("read")
                    .into_complete()
                    .expect("all")
                    .len();
                assert_eq!(store.counts(&pump).await.expect("counted").readings, stored as u64, "{pump}: counted");
                // From rollups by minute, and by hour.
                for points in [5_000, 100] {
                    let buckets = store
                        .buckets(&pump, (days_ago(3), now), points)
                        .await
                        .expect("read")
                        .into_complete()
                        .expect("all");
                    let in_rollups: u64 = buckets.iter().map(|bucket| bucket.readings).sum();
                    assert_eq!(in_rollups, stored as u64, "{pump}: in {points} buckets");
                }
            }
            store.close().await.expect("closed");
        });
    }
}

fn days_ago(days: i64) -> Timestamp {
    SystemClock.now().plus_ms(-days * DAY_MS)
}

fn assert_killed(node: Node, point: &str) {
    assert_eq!(node.wait_for_exit().signal(), Some(SIGABRT), "{point} is reached");
}

#[test]
fn kills_in_every_stage_of_a_flush_lose_and_duplicate_nothing() {
    let mut nodes = KilledNodes::new();
    // The list of pumps is copied after the first flush of a pump.
    for point in ["file-rename", "database-write", "database-written"] {
        nodes.kill_in_a_flush(point, "return(kill)");
        nodes.check(point);
    }
    // Kills after different times within the transaction.
    let moments = if std::env::var_os("VOLUTE_LONG").is_some() { 300 } else { 3 };
    for n in 1..=moments {
        let action = format!("return(kill {})", n * 30_000 / moments);
        nodes.kill_in_a_flush("database-write", &action);
        nodes.check(&action);
    }
    nodes.check_rollups();
}

#[test]
fn kills_between_journal_segments_lose_nothing() {
    let mut nodes = KilledNodes::new();
    // Flushed segments are retained for 3.6 s only, so that segments are deleted as well.
    nodes.start = nodes.start.clone().with_env("VOLUTE__STORE__JOURNAL_KEEP_HOURS", "0.001");
    for point in ["journal-create", "journal-created", "journal-write", "journal-sync", "journal-sync-dir"] {
        let node = nodes.start("").node();
        let load = nodes.post(&node, 50);
        nodes.start.inject("journal-end-segment", "return");
        nodes.kill_at(point, "return(kill)");
        assert_killed(node, point);
        load.stop();
        nodes.check(point);
        // The next node is killed while it creates its first segment.
        let node = nodes.start("").node();
        let load = nodes.post(&node, 20);
        node.kill();
        load.stop();
        nodes.kill_while_opening(point, 0);
        nodes.check(point);
    }
    for point in ["journal-remove", "journal-removed"] {
        nodes.kill_in_a_flush(point, "return(kill)");
        nodes.check(point);
    }
    // Segments with unflushed readings are retained beyond the retention time. 30 s later their readings are not due yet.
    let node = nodes.start("").node();
    nodes.start.inject("journal-end-segment", "return");
    nodes.post(&node, 50).stop();
    nodes.move_clock(30_000);
    let runs = |actors: &Value| actors["items"][0]["processed"].as_u64().expect("a count");
    let before = runs(&node.get_ok("/api/actors?stage=keeper"));
    node.wait_until("/api/actors?stage=keeper", |actors| runs(actors) > before + 1);
    node.kill();
    nodes.check("segments that are old and needed");
    nodes.check_rollups();
}

#[test]
fn kills_while_opening_the_folder_lose_and_duplicate_nothing() {
    let mut nodes = KilledNodes::new();
    // The database and the journal both have the readings: the transaction was committed, but not recorded.
    nodes.kill_in_a_flush("database-written", "return(kill)");
    let stages = ["database-open", "database-opened", "journal-replay", "head-forget", "head-forgotten"];
    for point in stages {
        nodes.kill_while_opening(point, 0);
    }
    nodes.kill_while_opening("journal-replay", 5);
    nodes.check("every stage of an opening");
    nodes.check_rollups();
}

#[test]
fn kills_in_a_backup_lose_nothing_and_leave_no_incomplete_backup() {
    let nodes = KilledNodes::new();
    let at = |name: &str| nodes.folder.path().join(name);
    let (repository, restored) = (at("backups"), at("restored"));
    let words = ["backup", text(&repository), "--data-dir", text(&nodes.start.data)];
    let backups = || if repository.exists() { list_backups(&repository).expect("listed") } else { Vec::new() };
    for (point, passes, complete) in [
        ("stage", 0, 0),
        ("staged", 0, 0),
        ("backup-file", 0, 0),
        ("backup-file", 3, 0),
        ("backup-rename", 0, 0),
        ("backup-renamed", 0, 1),
    ] {
        let node = nodes.start("").node();
        let load = nodes.post(&node, 50);
        nodes.kill_at(point, &format!("{passes}*off->return(kill)"));
        assert!(!output(volute().args(words)).status.success(), "{point}: the command says that it was cut short");
        assert_killed(node, point);
        load.stop();
        assert_eq!(backups().len(), complete, "{point}");
        nodes.check(point);
    }
    run(&words);
    assert_eq!(backups().len(), 2);
    for backup in backups() {
        verify_backup(&backup.dir).expect("whole");
    }
    let left_over = repository
        .read_dir()
        .expect("read")
        .filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|ending| ending == "partial"));
    assert_eq!((left_over.count(), nodes.start.data.join("staging").exists()), (0, false), "all leftovers are removed");
    run(&["restore", text(&repository), "--data-dir", text(&restored)]);
    check(&NodeConfig { data: restored, ..nodes.start("") }.node(), &nodes.ledger);
    nodes.check_rollups();
}

/// Expired data is deleted a day at a time. A kill before or after a deletion removes nothing else.
#[test]
fn kills_while_deleting_expired_data_delete_nothing_else() {
    let mut nodes = KilledNodes::new();
    let node = nodes.start("").node();
    let of_days_ago = |days| {
        let mut item = ten_values();
        (item["pump_id"], item["timestamp"]) = (json!("old"), json!(days_ago(days).millis()));
        item
    };
    let items: Value = [30, 29, 28, 27, 26, 3, 2, 1].into_iter().map(of_days_ago).collect();
    assert_eq!(node.post(&items).body["accepted"], json!(8));
    nodes.post(&node, 50).stop();
    nodes.make_due();
    node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
    node.kill();

    let old = format!("/api/sensor-history?pump_id=old&limit=10000&from={}", days_ago(100).millis());
    let sweeping = |faults: &str| nodes.start(faults).with_env("VOLUTE__RETENTION__READINGS_DAYS", "10").node();
    for (point, passes, left) in [("sweep", 0, 8), ("swept", 0, 7), ("sweep", 1, 6), ("swept", 1, 4)] {
        assert_killed(sweeping(&format!("{point}={passes}*off->return(kill)")), point);
        let node = nodes.start("").node();
        assert_eq!(node.all_items(&old).len(), left, "{point}: a day is there, or it is gone");
        check(&node, &nodes.ledger);
        node.kill();
    }
    let node = sweeping("");
    node.wait_until(&old, |page| page["items"].as_array().is_some_and(|items| items.len() == 3));
    check(&node, &nodes.ledger);
    node.kill();
    nodes.check_rollups();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
