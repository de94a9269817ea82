//! Tests with a failing disk. A record is acknowledged only when it is durable. A refused record is not read later,
//! unless the disk also refuses to remove it.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
};

use rustix::io::Errno;

use super::*;
use crate::{
    disk::LogFile,
    window::{FileWindow, ReadAt},
};

/// The injected faults, shared between the test and the disk.
#[derive(Clone, Default)]
struct Plan(Arc<Mutex<Faults>>);

#[derive(Default)]
struct Faults {
    /// The free space of the disk, in bytes.
    free_bytes: Option<usize>,
    /// The error of a full disk.
    full_error: Option<io::ErrorKind>,
    write: Option<io::ErrorKind>,
    /// The error of creating a file, and the error of a write after half of its bytes.
    create_errno: Option<Errno>,
    write_errno: Option<Errno>,
    sync: bool,
    sync_dir: bool,
    truncate: bool,
    remove: bool,
    /// The next sync signals that it has begun, and waits.
    sync_gate: Option<(Sender<()>, Receiver<()>)>,
}

impl Plan {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock());
    }

    fn check(&self, fails: impl FnOnce(&Faults) -> bool) -> io::Result<()> {
        if fails(&self.0.lock()) { Err(io::Error::other("injected")) } else { Ok(()) }
    }

    /// Takes the space for a write and returns how many of its bytes fit.
    fn take_space(&self, bytes: usize) -> usize {
        let mut faults = self.0.lock();
        let Some(free_bytes) = &mut faults.free_bytes else { return bytes };
        let fits = bytes.min(*free_bytes);
        *free_bytes -= fits;
        fits
    }
}

struct FaultyDisk(RealDisk, Plan);

struct FaultyFile(Box<dyn LogFile>, Plan);

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        if let Some(errno) = self.1.0.lock().create_errno {
            return Err(errno.into());
        }
        Ok(Box::new(FaultyFile(self.0.create(path)?, self.1.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile(self.0.open(path)?, self.1.clone())))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.1.check(|faults| faults.remove)?;
        let bytes = fs::metadata(path)?.len();
        self.1.set(|faults| {
            faults.free_bytes = faults.free_bytes.map(|free_bytes| free_bytes + usize::try_from(bytes).unwrap())
        });
        self.0.remove(path)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.1.check(|faults| faults.sync_dir)?;
        self.0.sync_dir()
    }
}

impl LogFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(kind) = self.1.0.lock().write {
            self.0.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(kind.into());
        }
        if let Some(errno) = self.1.0.lock().write_errno {
            self.0.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(errno.into());
        }
        let fits = self.1.take_space(bytes.len());
        self.0.write_all_at(&bytes[..fits], offset)?;
        let full_error = self.1.0.lock().full_error.unwrap_or(io::ErrorKind::StorageFull);
        if fits < bytes.len() { Err(full_error.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let sync_gate = self.1.0.lock().sync_gate.take();
        if let Some((begun, go_on)) = sync_gate {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.1.check(|faults| faults.sync)?;
        self.0.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.1.check(|faults| faults.truncate)?;
        self.0.truncate(bytes)
    }
}

fn open_on(dir: &Path, plan: &Plan, settings: JournalSettings) -> Result<Journal, JournalError> {
    let disk = FaultyDisk(RealDisk::lock(dir).unwrap().unwrap(), plan.clone());
    Journal::open_on(Box::new(disk), dir, settings, None, 0, &mut |_, _| {}).map(|(journal, _)| journal)
}

/// Blocks the writer in its next sync until the returned sender is used or dropped. The receiver signals that it has
/// begun.
fn block_next_sync(plan: &Plan) -> (Receiver<()>, Sender<()>) {
    let (begun, has_begun) = channel();
    let (go_on, wait) = channel();
    plan.set(|faults| faults.sync_gate = Some((begun, wait)));
    (has_begun, go_on)
}

#[test]
fn records_that_arrive_during_a_sync_are_one_group_completed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, JournalSettings::default()).unwrap();
    let (has_begun, go_on) = block_next_sync(&plan);
    let first = journal.append(vec![0]);
    has_begun.recv().unwrap();
    let waiting: Vec<AppendFuture> = (1..=50).map(|n| journal.append(vec![n])).collect();
    assert_eq!(journal.durable_seq(), Seq::ZERO);
    assert_eq!(journal.status().waiting_records, 50);
    let before = journal.status().syncs;
    go_on.send(()).unwrap();
    assert_eq!(block_on(first).unwrap(), Seq::FIRST);
    for (seq, appending) in (2..).zip(waiting) {
        assert_eq!(block_on(appending).unwrap().get(), seq);
    }
    let status = journal.status();
    assert_eq!((status.groups, status.records, status.syncs - before), (2, 51, 2));
    assert_eq!(status.durable_seq, Seq::new(51));
}

#[test]
fn the_queue_is_bounded_in_records_and_in_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let settings = JournalSettings { queue_records: 3, queue_bytes: 100, ..JournalSettings::default() };
    let journal = open_on(dir.path(), &plan, settings).unwrap();
    for (sizes, taken) in [([1, 1, 1, 1], 3), ([60, 40, 1, 0], 3), ([200, 0, 0, 0], 1), ([99, 2, 1, 1], 2)] {
        let (has_begun, go_on) = block_next_sync(&plan);
        let first = journal.append(vec![0]);
        has_begun.recv().unwrap();
        let waiting = sizes.map(|bytes| journal.append(vec![0; bytes]));
        go_on.send(()).unwrap();
        block_on(first).unwrap();
        let outcomes = waiting.map(block_on);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), taken, "{sizes:?}: {outcomes:?}");
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(refused.into_iter().all(|error| matches!(error, JournalError::Busy)));
    }
}

#[test]
fn a_failed_sync_is_final_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
    let good = append_each(&journal, [payload(1, 30), payload(2, 30)]);
    plan.set(|faults| faults.sync = true);
    let outcomes = append_all(&journal, (0..5).map(|n| payload(n, 10)));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(JournalError::Failed(_)))), "{outcomes:?}");
    plan.set(|faults| faults.sync = false);
    let refused = block_on(journal.append(vec![1]));
    assert!(matches!(&refused, Err(JournalError::Failed(reason)) if reason.contains("injected")), "{refused:?}");
    assert!(matches!(journal.status().health, JournalHealth::Failed(_)));
    assert_eq!(journal.durable_seq(), Seq::new(2));
    journal.release(Seq::new(3), DAY_MS);
    journal.close();
    let (journal, found, recovery) = open(dir.path(), None);
    assert_eq!((found, recovery.damage), (good, vec![]));
    assert_eq!(block_on(journal.append(vec![1])).unwrap(), Seq::new(3));
}

#[test]
fn every_other_failure_is_final() {
    type Fault = fn(&mut Faults);
    let faults: [(&str, Fault); 4] = [
        ("write", |faults| faults.write = Some(io::ErrorKind::Other)),
        ("sync", |faults| faults.sync = true),
        ("sync_dir", |faults| faults.sync_dir = true),
        ("cut", |faults| (faults.free_bytes, faults.truncate) = (Some(50), true)),
    ];
    for (name, fault) in faults {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
        let good = append_each(&journal, (0..4).map(|n| payload(n, 70)));
        plan.set(fault);
        // The fifth record fills the segment, if it can be written; the sixth needs a new segment.
        let outcomes: Vec<_> = (0..3).map(|n| block_on(journal.append(payload(n, 70)))).collect();
        assert!(matches!(outcomes[2], Err(JournalError::Failed(_))), "{name}: {outcomes:?}");
        plan.set(|faults| *faults = Faults::default());
        assert!(matches!(block_on(journal.append(vec![1])), Err(JournalError::Failed(_))), "{name}");
        let acknowledged = 4 + outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        journal.close();
        let (found, _) = inspect(dir.path(), None);
        assert_eq!(found[..4], good, "{name}");
        assert!(found.len() >= acknowledged, "{name}");
    }
}

#[test]
fn a_disk_full_at_any_byte_is_not_final() {
    for free_bytes in 0..700 {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let kind = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::WriteZero][free_bytes % 3];
        plan.set(|faults| (faults.free_bytes, faults.full_error) = (Some(free_bytes), Some(kind)));
        let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
        let mut good: Records = Vec::new();
        let mut refused = 0;
        for n in 0..8 {
            let bytes = payload(n, 60 + usize::try_from(n).unwrap());
            match block_on(journal.append(bytes.clone())) {
                Ok(seq) => good.push((seq.get(), bytes)),
                Err(JournalError::Full) => {
                    refused += 1;
                    assert_eq!(journal.status().health, JournalHealth::Full);
                }
                Err(error) => panic!("room for {free_bytes}: {error}"),
            }
        }
        assert!(refused > 0, "room for {free_bytes}");
        plan.set(|faults| faults.free_bytes = None);
        good.extend(append_each(&journal, [payload(7, 20), payload(8, 20)]));
        assert_eq!(journal.status().health, JournalHealth::Good);
        journal.close();
        let (found, recovery) = inspect(dir.path(), None);
        assert_eq!((found, recovery.damage), (good, vec![]), "room for {free_bytes}");
    }
}

#[test]
fn without_a_descriptor_for_a_new_segment_the_full_one_is_continued() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
        let mut good = append_each(&journal, (0..4).map(|n| payload(n, 90)));
        let segments = journal.status().segments;
        plan.set(|faults| faults.create_errno = Some(errno));
        good.extend(append_each(&journal, (4..40).map(|n| payload(n, 90))));
        assert_eq!((journal.status().segments, journal.status().health), (segments, JournalHealth::Good), "{errno}");
        plan.set(|faults| faults.create_errno = None);
        good.extend(append_each(&journal, [payload(40, 90), payload(41, 90)]));
        assert_eq!(journal.status().segments, segments + 1, "{errno}: the overdue segment is made at once");
        journal.close();
        let (found, recovery) = inspect(dir.path(), None);
        assert_eq!((found, recovery.damage), (good, vec![]), "{errno}");
    }
}

#[test]
fn a_lack_of_descriptors_or_memory_is_temporary() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        plan.set(|faults| faults.create_errno = Some(errno));
        let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
        let refused = |journal: &Journal| {
            let refused = block_on(journal.append(payload(1, 90)));
            assert!(matches!(refused, Err(JournalError::OutOfResources(_))), "{errno}: {refused:?}");
            assert!(matches!(journal.status().health, JournalHealth::OutOfResources(_)), "{errno}");
        };
        refused(&journal);
        plan.set(|faults| faults.create_errno = None);
        let mut good = append_each(&journal, [payload(2, 90)]);
        assert_eq!(journal.status().health, JournalHealth::Good, "{errno}");
        plan.set(|faults| faults.write_errno = Some(errno));
        refused(&journal);
        plan.set(|faults| faults.write_errno = None);
        good.extend(append_each(&journal, (3..20).map(|n| payload(n, 90))));
        journal.close();
        let (found, recovery) = inspect(dir.path(), None);
        assert_eq!((found, recovery.damage), (good, vec![]), "{errno}: what was refused is not found again");
    }
}

#[test]
fn a_full_disk_deletes_unneeded_segments_first() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
    let mut good = append_each(&journal, (0..20).map(|n| payload(n, 90)));
    let segments = journal.status().segments;
    assert_eq!(segments, 5);
    // The first two segments are unneeded, but new.
    journal.release(Seq::new(10), 0);
    plan.set(|faults| faults.free_bytes = Some(10));
    good.extend(append_each(&journal, [payload(20, 90), payload(21, 90), payload(22, 90)]));
    assert_eq!(inspect(dir.path(), Some(Seq::new(9))).0, good[8..]);
    assert_eq!(inspect(dir.path(), Some(Seq::FIRST)).0, good[4..]);
    let outcomes: Vec<_> = (0..10).map(|n| block_on(journal.append(payload(n, 90)))).collect();
    assert!(matches!(outcomes[9], Err(JournalError::Full)), "{outcomes:?}");
    journal.close();
    let (found, recovery) = inspect(dir.path(), Some(Seq::new(9)));
    let acknowledged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(found.len(), good.len() - 8 + acknowledged);
    assert_eq!(found[..good.len() - 8], good[8..]);
    assert_eq!(recovery.damage, []);
}

#[test]
fn a_segment_that_cannot_be_deleted_is_not_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
    append_each(&journal, (0..20).map(|n| payload(n, 90)));
    plan.set(|faults| faults.remove = true);
    journal.release(Seq::new(20), 2 * DAY_MS);
    append_each(&journal, [vec![1]]);
    assert!(journal.status().segments >= 5);
    plan.set(|faults| faults.remove = false);
    journal.release(Seq::new(20), 2 * DAY_MS);
    let shared = Arc::clone(&journal.writer.shared);
    journal.close();
    assert!(shared.status().segments <= 2);
}

#[test]
fn a_failed_sync_while_opening_is_an_error() {
    let (dir, records) = filled_journal();
    let plan = Plan::default();
    plan.set(|faults| faults.sync = true);
    assert!(open_on(dir.path(), &plan, small_segments()).is_err());
    assert_eq!(open(dir.path(), None).1, records);
    // Opening also fails if no segment has to be created.
    assert!(open_on(dir.path(), &plan, small_segments()).is_err());
    plan.set(|faults| (faults.sync, faults.sync_dir) = (false, true));
    assert!(open_on(dir.path(), &plan, small_segments()).is_err());
}

#[test]
fn a_deletion_that_cannot_be_synced_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small_segments()).unwrap();
    let good = append_each(&journal, (0..6).map(|n| payload(n, 90)));
    plan.set(|faults| faults.sync_dir = true);
    journal.release(Seq::new(6), 2 * DAY_MS);
    let shared = Arc::clone(&journal.writer.shared);
    journal.close();
    assert!(matches!(shared.status().health, JournalHealth::Failed(_)));
    assert_eq!(inspect(dir.path(), Some(Seq::new(6))).0, good[5..]);
}

/// A file of which one block cannot be read.
struct BadBlock(Vec<u8>, std::ops::Range<u64>);

impl ReadAt for BadBlock {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = (offset + into.len() as u64).min(self.0.len() as u64);
        if offset < self.1.end && end > self.1.start {
            return Err(io::Error::other("injected"));
        }
        let from = &self.0[usize::try_from(offset).unwrap()..usize::try_from(end).unwrap()];
        into[..from.len()].copy_from_slice(from);
        Ok(from.len())
    }
}

#[test]
fn unreadable_blocks_are_read_as_zeros() {
    let bytes = payload(3, 3 << 20);
    let bad = (1 << 20) + 4096..(1 << 20) + 8192;
    let mut expected = bytes.clone();
    expected[bad.start..bad.end].fill(0);
    for step in [1000, 4096, 70_000, 3 << 20] {
        let file = BadBlock(bytes.clone(), bad.start as u64..bad.end as u64);
        let mut window = FileWindow::new(file, bytes.len() as u64);
        for start in (0..bytes.len()).step_by(step) {
            let end = (start + step).min(bytes.len());
            assert!(window.get(start as u64, step) == &expected[start..end], "{start} to {end}");
        }
    }
}
