//! A log that was torn by a kill in the middle of a record is opened, written to, torn again, and opened again. Everything
//! that was acknowledged before either kill must be there.
//!
//! The published surrealkv 0.21.4 fails: it continues writing behind the torn record, treats the torn record as corruption
//! when it opens the log again, and cuts off everything that follows.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use surrealkv::{LSMIterator, Mode, Tree, TreeBuilder};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Number of transactions before the first kill, and after it.
const COMMITS: u64 = 6;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn open(dir: &Path) -> Tree {
    let builder = TreeBuilder::new().with_path(dir.to_owned()).with_max_memtable_size(1 << 20);
    builder.with_enable_vlog(true).with_vlog_value_threshold(4 << 10).build().expect("opened")
}

/// Returns a value. Every third is large enough to be stored apart from its key.
fn value(n: u64) -> Vec<u8> {
    vec![n as u8; if n.is_multiple_of(3) { 5_000 } else { 150 }]
}

/// Commits some transactions as SurrealDB does with `sync=every`, and returns the length of the log after each.
async fn commit(tree: &Tree, dir: &Path, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let mut ends = Vec::new();
    for n in numbers {
        let mut transaction = tree.begin().expect("begun");
        transaction.set(n.to_be_bytes().as_slice(), value(n).as_slice()).expect("set");
        transaction.commit().await.expect("committed");
        tree.flush_wal(true).expect("synced");
        ends.push(fs::metadata(log(dir)).expect("a log").len());
    }
    ends
}

/// Returns the stored keys, and checks their values.
fn numbers(tree: &Tree) -> Vec<u64> {
    let transaction = tree.begin_with_mode(Mode::ReadOnly).expect("begun");
    let mut rows = transaction.range(&[0_u8; 8][..], &[255_u8; 8][..]).expect("a range");
    let mut found = Vec::new();
    let mut more = rows.seek_first().expect("found");
    while more {
        let key = rows.key().user_key().try_into().expect("eight bytes");
        found.push(u64::from_be_bytes(key));
        assert_eq!(rows.value().expect("read"), value(u64::from_be_bytes(key)));
        more = rows.next().expect("read");
    }
    found
}

/// Returns the newest segment of the log.
fn log(dir: &Path) -> PathBuf {
    let path = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").path();
    let mut segments: Vec<PathBuf> = dir.join("wal").read_dir().expect("a log").map(path).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    segments.sort();
    segments.pop().expect("a segment")
}

/// Copies the files as they are now, which is what a kill would leave.
fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    copy_all(dir, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in from.read_dir().expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).expect("made");
            copy_all(&entry.path(), &to);
        } else if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), &to).expect("copied");
        }
    }
}

fn cut(file: &Path, bytes: u64) {
    fs::File::options().write(true).open(file).and_then(|file| file.set_len(bytes)).expect("cut");
}

#[test]
fn acknowledged_writes_survive_two_kills_in_the_middle_of_a_record() {
    runtime().block_on(async {
        let first = tempfile::tempdir().expect("a folder");
        let tree = open(first.path());
        let ends = commit(&tree, first.path(), 0..COMMITS).await;
        let last = ends.len() - 1;
        // The log is cut within and around the last record; with VOLUTE_LONG=1 at every byte.
        let step = if std::env::var_os("VOLUTE_LONG").is_some() { 1 } else { 5 };
        for at in (ends[last - 1] - 20..=ends[last]).step_by(step) {
            let whole = ends.iter().filter(|&&end| end <= at).count() as u64;
            let torn = killed(first.path());
            cut(&log(torn.path()), at);
            let again = open(torn.path());
            let kept = numbers(&again);
            assert!(kept.starts_with(&Vec::from_iter(0..whole)), "cut at {at}: {whole} were whole, {kept:?} are kept");
            let ends = commit(&again, torn.path(), 100..100 + COMMITS).await;
            for tear in [0, 7, 60] {
                let twice = killed(torn.path());
                cut(&log(twice.path()), ends[ends.len() - 1] - tear);
                let kept_after: Vec<u64> = kept.iter().copied().chain(100..99 + COMMITS).collect();
                let found = numbers(&open(twice.path()));
                assert!(found.starts_with(&kept_after), "cut at {at} and {tear} before the end: {found:?} are there");
            }
        }
    });
}
