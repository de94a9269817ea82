//! The node is killed at chosen places, so that every stage is met: of a flush, of the journal's segments, of an opening, of
//! a backup, of a sweep. Nothing that was acknowledged is lost, and nothing is there twice.
//!
//! A kill at a random moment (`crash.rs`) seldom meets a flush: minutes are due a minute after they were opened, and a flush
//! takes some milliseconds. Here the process ends itself at a failpoint (`kill`, see `data/src/points.rs`), as by `kill -9`,
//! while clients post; and its clock is moved, so that what they post is due. One folder goes through all kills of a test,
//! so that what one leaves is what the next one finds.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use volute_data::{Range, Store, StoreSettings, list_backups, verify_backup};
use volute_plant::{Clock, SystemClock, Timestamp};

use crate::{
    crash::{Ledger, Load, PUMPS, check, until_acknowledged},
    support::{EPOCH_MS, Node, Start, output, run, ten_values, volute},
};

/// By so much the clock moves on, so that all minutes that were opened before are due.
const DUE_MS: u64 = 180_000;
/// The signal by which a process ends itself at once (abort).
const SIGABRT: i32 = 6;
const DAY_MS: i64 = 86_400_000;

/// A folder that outlives its nodes, and what they acknowledged.
struct Victim {
    folder: TempDir,
    start: Start,
    ledger: Ledger,
    next: Arc<AtomicU64>,
    ahead_ms: u64,
}

impl Victim {
    /// Its readings are of yesterday.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let start = Start::new(&folder, "centrifugal");
        let first = days_ago(1).millis().unsigned_abs().saturating_sub(EPOCH_MS) / 1000;
        Self { folder, start, ledger: Ledger::default(), next: Arc::new(AtomicU64::new(first)), ahead_ms: 0 }
    }

    /// How to start it with these faults, its clock where the last one's was.
    fn start(&self, faults: &str) -> Start {
        let faults = format!("clock=return({});{faults}", self.ahead_ms);
        self.start.clone().with_env("FAILPOINTS", &faults)
    }

    /// Posts until this many more readings are acknowledged, and goes on.
    fn post(&self, node: &Node, more: usize) -> Load {
        let so_far = self.ledger.lock().expect("no client panicked").len();
        let load = Load::start(node, &self.next, &self.ledger);
        until_acknowledged(&self.ledger, so_far + more);
        load
    }

    /// Everything that was posted so far is due from now on.
    fn make_due(&mut self) {
        self.move_clock(DUE_MS);
    }

    fn move_clock(&mut self, ms: u64) {
        self.ahead_ms += ms;
        // The node may have been killed by what was set before.
        let _told = self.start.try_inject("clock", &format!("return({})", self.ahead_ms));
    }

    /// Has the node that clients post to end at this point.
    fn kill_at(&self, point: &str, action: &str) {
        let _told = self.start.try_inject(point, action);
    }

    /// Has a node take readings, and write them into the database until it ends at this point.
    fn kill_in_a_flush(&mut self, point: &str, action: &str) {
        let node = self.start("").node();
        let load = self.post(&node, 100);
        self.kill_at(point, action);
        self.make_due();
        assert_killed(node, point);
        load.end();
    }

    /// Starts a node that ends while it opens its folder, at the pass of this point after so many.
    fn kill_while_opening(&self, point: &str, passes: usize) {
        let status = self.start(&format!("{point}={passes}*off->return(kill)")).ends();
        assert_eq!(status.signal(), Some(SIGABRT), "{point} is met while it opens");
    }

    /// All that was acknowledged is there once, as a new node sees it, and nothing is wrong with the store.
    fn check(&self, after: &str) {
        let node = self.start("").node();
        check(&node, &self.ledger);
        assert_eq!(node.ok("/api/store")["problems"], json!([]), "after a kill at {after}");
        node.kill();
    }

    /// All that was acknowledged is in the database, and its rollups count every reading once.
    fn check_rollups(&self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let now = SystemClock.now().plus_ms(DAY_MS);
            let store = Store::open(&self.start.data, &StoreSettings::default(), now).await.expect("opened");
            store.flush_all().await.expect("flushed");
            for pump in PUMPS {
                let pump = pump.parse().expect("a name");
                let stored = store.readings(&pump, &Range::default()).await.expect("read").all().expect("all").len();
                assert_eq!(store.counts(&pump).await.expect("counted").readings, stored as u64, "{pump}: counted");
                // By the minute, and by the hour.
                for points in [5_000, 100] {
                    let buckets =
                        store.buckets(&pump, (days_ago(3), now), points).await.expect("read").all().expect("all");
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
    assert_eq!(node.end().signal(), Some(SIGABRT), "{point} is met");
}

#[test]
fn kills_at_every_stage_of_a_flush_lose_and_double_nothing() {
    let mut victim = Victim::new();
    // The copy of the list of pumps is made after the first flush of one.
    for point in ["file-rename", "database-write", "database-written"] {
        victim.kill_in_a_flush(point, "return(kill)");
        victim.check(point);
    }
    // In the middle of the transaction, sooner and later.
    let moments = if std::env::var_os("VOLUTE_LONG").is_some() { 300 } else { 3 };
    for n in 1..=moments {
        let action = format!("return(kill {})", n * 30_000 / moments);
        victim.kill_in_a_flush("database-write", &action);
        victim.check(&action);
    }
    victim.check_rollups();
}

#[test]
fn kills_between_two_segments_of_the_journal_lose_nothing() {
    let mut victim = Victim::new();
    // What is not needed is not kept, so that segments are deleted, too.
    victim.start = victim.start.clone().with_env("VOLUTE__STORE__JOURNAL_KEEP_HOURS", "0.001");
    for point in ["journal-create", "journal-created", "journal-write", "journal-sync", "journal-sync-dir"] {
        let node = victim.start("").node();
        let load = victim.post(&node, 50);
        victim.start.inject("journal-end-segment", "return");
        victim.kill_at(point, "return(kill)");
        assert_killed(node, point);
        load.end();
        victim.check(point);
        // The first segment of a new node's own.
        let node = victim.start("").node();
        let load = victim.post(&node, 20);
        node.kill();
        load.end();
        victim.kill_while_opening(point, 0);
        victim.check(point);
    }
    for point in ["journal-remove", "journal-removed"] {
        victim.kill_in_a_flush(point, "return(kill)");
        victim.check(point);
    }
    // What is needed stays, though it is older than what is kept: half a minute later nothing of this is due yet.
    let node = victim.start("").node();
    victim.start.inject("journal-end-segment", "return");
    victim.post(&node, 50).end();
    victim.move_clock(30_000);
    let looks = |actors: &Value| actors["items"][0]["processed"].as_u64().expect("a count");
    let before = looks(&node.ok("/api/actors?stage=keeper"));
    node.until("/api/actors?stage=keeper", |actors| looks(actors) > before + 1);
    node.kill();
    victim.check("segments that are old and needed");
    victim.check_rollups();
}

#[test]
fn kills_while_a_node_opens_its_folder_lose_and_double_nothing() {
    let mut victim = Victim::new();
    // The database and the journal both have it: the transaction is done, and nobody learned of that.
    victim.kill_in_a_flush("database-written", "return(kill)");
    let stages = ["database-open", "database-opened", "journal-replay", "head-forget", "head-forgotten"];
    for point in stages {
        victim.kill_while_opening(point, 0);
    }
    victim.kill_while_opening("journal-replay", 5);
    victim.check("every stage of an opening");
    victim.check_rollups();
}

#[test]
fn kills_in_a_backup_lose_nothing_and_leave_none_that_is_not_whole() {
    let victim = Victim::new();
    let at = |name: &str| victim.folder.path().join(name);
    let (repository, restored) = (at("backups"), at("restored"));
    let words = ["backup", text(&repository), "--data-dir", text(&victim.start.data)];
    let backups = || if repository.exists() { list_backups(&repository).expect("listed") } else { Vec::new() };
    for (point, passes, complete) in [
        ("stage", 0, 0),
        ("staged", 0, 0),
        ("backup-file", 0, 0),
        ("backup-file", 3, 0),
        ("backup-rename", 0, 0),
        ("backup-renamed", 0, 1),
    ] {
        let node = victim.start("").node();
        let load = victim.post(&node, 50);
        victim.kill_at(point, &format!("{passes}*off->return(kill)"));
        assert!(!output(volute().args(words)).status.success(), "{point}: the command says that it was cut short");
        assert_killed(node, point);
        load.end();
        assert_eq!(backups().len(), complete, "{point}");
        victim.check(point);
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
    assert_eq!((left_over.count(), victim.start.data.join("staging").exists()), (0, false), "all is cleared away");
    run(&["restore", text(&repository), "--data-dir", text(&restored)]);
    check(&Start { data: restored, ..victim.start("") }.node(), &victim.ledger);
    victim.check_rollups();
}

/// What is too old goes, a day at a time; a kill before or after one takes nothing else with it.
#[test]
fn kills_in_a_sweep_take_nothing_that_is_not_too_old() {
    let mut victim = Victim::new();
    let node = victim.start("").node();
    let of_days_ago = |days| {
        let mut item = ten_values();
        (item["pump_id"], item["timestamp"]) = (json!("old"), json!(days_ago(days).millis()));
        item
    };
    let items: Value = [30, 29, 28, 27, 26, 3, 2, 1].into_iter().map(of_days_ago).collect();
    assert_eq!(node.post(&items).body["accepted"], json!(8));
    victim.post(&node, 50).end();
    victim.make_due();
    node.until("/api/store", |store| store["waiting"]["readings"] == 0);
    node.kill();

    let old = format!("/api/sensor-history?pump_id=old&limit=10000&from={}", days_ago(100).millis());
    let sweeping = |faults: &str| victim.start(faults).with_env("VOLUTE__RETENTION__READINGS_DAYS", "10").node();
    for (point, passes, left) in [("sweep", 0, 8), ("swept", 0, 7), ("sweep", 1, 6), ("swept", 1, 4)] {
        assert_killed(sweeping(&format!("{point}={passes}*off->return(kill)")), point);
        let node = victim.start("").node();
        assert_eq!(node.all(&old).len(), left, "{point}: a day is there, or it is gone");
        check(&node, &victim.ledger);
        node.kill();
    }
    let node = sweeping("");
    node.until(&old, |page| page["items"].as_array().is_some_and(|items| items.len() == 3));
    check(&node, &victim.ledger);
    node.kill();
    victim.check_rollups();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
