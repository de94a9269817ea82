//! Scans concurrent with flushes and compactions: none may deadlock, and each sees whole transactions.
//!
//! With the published surrealkv 0.21.4 in place of this crate the test fails: a scan and a compaction wait for each other's
//! lock, and every later scan and commit waits for them. `VOLUTE_LONG=1` makes it twenty times as long.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use surrealkv::{LSMIterator, Mode, Tree, TreeBuilder};
use tokio::runtime::{Builder, Runtime};

/// Number of keys that one transaction writes, all with the same value.
const KEYS: u64 = 20;
/// Number of groups of such keys for each writer.
const GROUPS: u64 = 50;
const WRITERS: u64 = 2;
const SCANNERS: u64 = 6;
/// Number of transactions that each writer commits.
const COMMITS: u64 = 1_500;
/// Bytes that make a transaction large: a memtable holds about thirty transactions.
const PADDING: usize = 200;
/// The time without any progress that counts as a deadlock.
const STANDSTILL: Duration = Duration::from_secs(30);

/// The progress of the threads. They update it; the test reads it, and does not wait for a thread that is deadlocked.
#[derive(Default)]
struct Progress {
    commits: AtomicU64,
    scans: AtomicU64,
    writers_done: AtomicU64,
    scanners_done: AtomicU64,
}

fn tree(dir: &Path) -> Tree {
    TreeBuilder::new()
        .with_path(dir.to_owned())
        .with_max_memtable_size(256 << 10)
        .with_block_cache_capacity(1 << 20)
        .with_enable_vlog(true)
        .with_vlog_value_threshold(4 << 10)
        .build()
        .expect("opened")
}

fn key(writer: u64, group: u64, key: u64) -> Vec<u8> {
    format!("{writer:02}/{group:06}/{key:02}").into_bytes()
}

/// Writes one group after another, each in a transaction.
fn write(runtime: &Runtime, tree: &Tree, writer: u64, commits: u64, progress: &Progress) {
    for round in 0..commits {
        let group = (round * 31 + writer) % GROUPS;
        let value = [&round.to_be_bytes()[..], &[b'x'; PADDING]].concat();
        let committed = runtime.block_on(async {
            let mut transaction = tree.begin().expect("begun");
            for n in 0..KEYS {
                transaction.set(key(writer, group, n).as_slice(), value.as_slice()).expect("set");
            }
            transaction.commit().await
        });
        committed.expect("committed: no two threads write the same keys");
        progress.commits.fetch_add(1, Ordering::Relaxed);
    }
    progress.writers_done.fetch_add(1, Ordering::Relaxed);
}

/// Reads everything repeatedly. Every group must have all its keys with the same value.
fn scan(tree: &Tree, progress: &Progress) {
    while progress.writers_done.load(Ordering::Relaxed) < WRITERS {
        let transaction = tree.begin_with_mode(Mode::ReadOnly).expect("begun");
        let mut rows = transaction.range(&b"0"[..], &b"9"[..]).expect("a range");
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut more = rows.seek_first().expect("found");
        while more {
            found.push((rows.key().user_key().to_vec(), rows.value().expect("read").to_vec()));
            more = rows.next().expect("read");
        }
        assert_eq!(found.len() as u64 % KEYS, 0, "every transaction is there as a whole");
        for group in found.chunks(KEYS as usize) {
            let (first, last) = (&group[0], &group[group.len() - 1]);
            assert!(group.iter().all(|(_, value)| *value == first.1), "{:?}..{:?} is torn", first.0, last.0);
        }
        progress.scans.fetch_add(1, Ordering::Relaxed);
    }
    progress.scanners_done.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn scans_and_compactions_never_deadlock() {
    let commits = if std::env::var_os("VOLUTE_LONG").is_some() { 20 * COMMITS } else { COMMITS };
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Arc::new(Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime"));
    let tree = {
        let _entered = runtime.enter();
        Arc::new(tree(dir.path()))
    };
    let progress = Arc::new(Progress::default());
    for writer in 0..WRITERS {
        let (runtime, tree, progress) = (Arc::clone(&runtime), Arc::clone(&tree), Arc::clone(&progress));
        thread::spawn(move || write(&runtime, &tree, writer, commits, &progress));
    }
    for _ in 0..SCANNERS {
        let (tree, progress) = (Arc::clone(&tree), Arc::clone(&progress));
        thread::spawn(move || scan(&tree, &progress));
    }
    let counts = || (progress.commits.load(Ordering::Relaxed), progress.scans.load(Ordering::Relaxed));
    let (mut last, mut since) = (counts(), Instant::now());
    while progress.scanners_done.load(Ordering::Relaxed) < SCANNERS {
        thread::park_timeout(Duration::from_millis(100));
        if counts() != last {
            (last, since) = (counts(), Instant::now());
        } else if since.elapsed() > STANDSTILL {
            // The threads cannot be ended, and dropping the runtime would wait for them.
            std::mem::forget((runtime, tree));
            panic!("it stands still after {} commits and {} scans of {}", last.0, last.1, WRITERS * commits);
        }
    }
    assert_eq!(progress.commits.load(Ordering::Relaxed), WRITERS * commits);
    runtime.block_on(tree.close()).expect("closed");
    println!("{} commits, {} scans", last.0, last.1);
}
