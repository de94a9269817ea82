//! Tests of the journal's public interface, and helpers for the other tests.

mod damage;
mod faults;
mod retention;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// One day in milliseconds.
const DAY_MS: i64 = 24 * 3600 * 1000;

type Records = Vec<(u64, Vec<u8>)>;

/// Segments that are full after a few records.
fn small_segments() -> JournalSettings {
    JournalSettings { segment_bytes: 400, ..JournalSettings::default() }
}

/// Returns pseudo-random bytes that depend on the seed and the length.
fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..bytes).map(|_| rng.next().to_le_bytes()[0]).collect()
}

/// A deterministic random number generator (xorshift).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Queues all records, then waits for all.
fn append_all(journal: &Journal, payloads: impl IntoIterator<Item = Vec<u8>>) -> Vec<Result<Seq, JournalError>> {
    let waiting: Vec<AppendFuture> = payloads.into_iter().map(|payload| journal.append(payload)).collect();
    waiting.into_iter().map(block_on).collect()
}

/// Appends the records one after the other, each in a group of its own.
fn append_each(journal: &Journal, payloads: impl IntoIterator<Item = Vec<u8>>) -> Records {
    let append = |payload: Vec<u8>| (block_on(journal.append(payload.clone())).unwrap().get(), payload);
    payloads.into_iter().map(append).collect()
}

fn open(dir: &Path, low_water: Option<Seq>) -> (Journal, Records, Recovery) {
    let mut records = Vec::new();
    let (journal, recovery) =
        Journal::open(dir, small_segments(), low_water, 0, |seq, bytes| records.push((seq.get(), bytes.to_vec())))
            .unwrap();
    (journal, records, recovery)
}

fn inspect(dir: &Path, low_water: Option<Seq>) -> (Records, Recovery) {
    let mut records = Vec::new();
    let recovery = inspect_journal(dir, low_water, |seq, bytes| records.push((seq.get(), bytes.to_vec()))).unwrap();
    (records, recovery)
}

/// Returns the paths of the segments, oldest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn copy(dir: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for path in files(dir) {
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Returns a closed journal with segments of a few records each. The last segment has records of different lengths.
fn filled_journal() -> (TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ..) = open(dir.path(), None);
    let mut records = append_each(&journal, (0..14).map(|n| payload(n, usize::try_from(n * 13).unwrap() % 170)));
    journal.close();
    let (journal, ..) = open(dir.path(), None);
    records.extend(append_each(&journal, [5, 0, 90, 1, 200].map(|bytes| payload(99, bytes))));
    journal.close();
    assert!(files(dir.path()).len() >= 5);
    (dir, records)
}

#[test]
fn appended_records_are_read_back() {
    let (dir, records) = filled_journal();
    let (journal, found, recovery) = open(dir.path(), Some(Seq::ZERO));
    assert_eq!(found, records);
    assert_eq!(recovery.damage, []);
    assert_eq!(recovery.records, 19);
    assert_eq!(recovery.next, Seq::new(20));
    assert_eq!(journal.durable_seq(), Seq::new(19));
    assert_eq!(block_on(journal.append(vec![1])).unwrap(), Seq::new(20));
}

#[test]
fn only_records_from_the_low_water_are_read() {
    let (dir, records) = filled_journal();
    for low_water in 0..=25 {
        let (found, recovery) = inspect(dir.path(), Some(Seq::new(low_water)));
        let expected: Records = records.iter().filter(|(seq, _)| *seq >= low_water).cloned().collect();
        assert_eq!(found, expected);
        assert_eq!(recovery.damage, []);
        assert_eq!(recovery.next, Seq::new(low_water.max(20)));
    }
}

#[test]
fn an_empty_journal_that_is_reopened_has_one_file() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let (journal, found, recovery) = open(&dir.path().join("a/b"), None);
        assert_eq!((found.len(), recovery.damage.len(), journal.status().segments), (0, 0, 1));
    }
    let (journal, ..) = open(&dir.path().join("a/b"), Some(Seq::new(77)));
    assert_eq!(block_on(journal.append(vec![])).unwrap(), Seq::new(77));
    drop(journal);
    let (_journal, found, recovery) = open(&dir.path().join("a/b"), None);
    assert_eq!((found, recovery.damage), (vec![(77, vec![])], vec![]));
}

#[test]
fn every_opening_after_records_creates_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=4 {
        let (journal, ..) = open(dir.path(), None);
        assert_eq!(files(dir.path()).len(), n);
        append_each(&journal, [vec![7]]);
    }
}

#[test]
fn a_folder_can_be_opened_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ..) = open(dir.path(), None);
    let again = Journal::open(dir.path(), small_segments(), None, 0, |_, _| {});
    assert!(matches!(again, Err(JournalError::InUse { .. })), "{again:?}");
    let clone = journal.clone();
    journal.close();
    assert!(matches!(block_on(clone.append(vec![1])), Err(JournalError::Closed)));
    open(dir.path(), None);
}

#[test]
fn an_oversized_record_is_refused_and_a_large_one_is_a_group_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { group_bytes: 100, queue_bytes: 1000, ..JournalSettings::default() };
    let (journal, _) = Journal::open(dir.path(), settings, None, 0, |_, _| {}).unwrap();
    let refused = block_on(journal.append(vec![0; (64 << 20) + 1]));
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })));
    let large = payload(1, 64 << 20);
    assert_eq!(block_on(journal.append(large.clone())).unwrap(), Seq::FIRST);
    append_each(&journal, [payload(2, 50)]);
    journal.close();
    let (found, recovery) = inspect(dir.path(), None);
    assert_eq!(found, [(1, large), (2, payload(2, 50))]);
    assert_eq!(recovery.damage, []);
}

#[test]
fn closing_and_dropping_write_waiting_records() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (journal, ..) = open(dir.path(), None);
        let waiting: Vec<AppendFuture> = (0..100).map(|n| journal.append(payload(n, 30))).collect();
        drop(journal);
        assert!(waiting.into_iter().all(|appending| block_on(appending).is_ok()));
    }
    assert_eq!(inspect(dir.path(), None).0.len(), 200);
}

#[test]
fn a_later_format_is_refused_rather_than_repaired() {
    let (dir, _) = filled_journal();
    let path = files(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..36]);
    bytes[36..40].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let refused = Journal::open(dir.path(), small_segments(), None, 0, |_, _| {});
    assert!(matches!(refused, Err(JournalError::Version { version: 2, .. })), "{refused:?}");
}

#[test]
fn a_backup_copies_the_durable_part() {
    let (dir, records) = filled_journal();
    let (journal, ..) = open(dir.path(), None);
    let mut records = records;
    records.extend(append_each(&journal, [payload(5, 40), payload(6, 41)]));
    for low_water in [0, 1, 7, 14, 19, 21] {
        let to = tempfile::tempdir().unwrap();
        for file in journal.segments_from(Seq::new(low_water)) {
            let bytes = fs::read(&file.path).unwrap();
            let durable = &bytes[..usize::try_from(file.durable_bytes).unwrap()];
            fs::write(to.path().join(file.path.file_name().unwrap()), durable).unwrap();
        }
        let (found, recovery) = inspect(to.path(), Some(Seq::new(low_water)));
        let expected: Records = records.iter().filter(|(seq, _)| *seq >= low_water).cloned().collect();
        assert_eq!((found, recovery.damage), (expected, vec![]));
    }
    assert_eq!(journal.segments_from(Seq::MAX).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn records_of_any_size_are_read_back(
        sizes in prop::collection::vec(prop_oneof![0..40usize, 0..5000usize, Just(300_000)], 0..40),
        segment_bytes in 1..20_000u64,
        group_bytes in 0..20_000usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let settings = JournalSettings { segment_bytes, group_bytes, ..JournalSettings::default() };
        let (journal, _) = Journal::open(dir.path(), settings, None, 0, |_, _| {}).unwrap();
        let expected: Records = (1..).zip(sizes.iter().map(|bytes| payload(*bytes as u64, *bytes))).collect();
        let outcomes = append_all(&journal, expected.iter().map(|(_, payload)| payload.clone()));
        for (outcome, (seq, _)) in outcomes.into_iter().zip(&expected) {
            prop_assert_eq!(outcome.unwrap().get(), *seq);
        }
        prop_assert_eq!(journal.status().records, expected.len() as u64);
        let on_disk: u64 = files(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        prop_assert_eq!(journal.status().bytes, on_disk);
        journal.close();
        let (found, recovery) = inspect(dir.path(), None);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(recovery.damage, vec![]);
    }
}
