//! A disk that fails: nothing is acknowledged falsely, and what was refused is not found again where that can be.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
};

use rustix::io::Errno;

use super::*;
use crate::{
    disk::LogFile,
    window::{ReadAt, Window},
};

/// What the disk does next; shared between the test and the disk.
#[derive(Clone, Default)]
struct Plan(Arc<Mutex<Faults>>);

#[derive(Default)]
struct Faults {
    /// Bytes that there is room for.
    room: Option<usize>,
    /// What a full disk says.
    full: Option<io::ErrorKind>,
    write: Option<io::ErrorKind>,
    /// What making a file says, and what a write says after half of it.
    create_errno: Option<Errno>,
    write_errno: Option<Errno>,
    sync: bool,
    sync_dir: bool,
    truncate: bool,
    remove: bool,
    /// A sync says that it has begun, and waits.
    gate: Option<(Sender<()>, Receiver<()>)>,
}

impl Plan {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock());
    }

    fn check(&self, fails: impl FnOnce(&Faults) -> bool) -> io::Result<()> {
        if fails(&self.0.lock()) { Err(io::Error::other("injected")) } else { Ok(()) }
    }

    /// How much of a write there is room for.
    fn take_room(&self, bytes: usize) -> usize {
        let mut faults = self.0.lock();
        let Some(room) = &mut faults.room else { return bytes };
        let fits = bytes.min(*room);
        *room -= fits;
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
        self.1.set(|faults| faults.room = faults.room.map(|room| room + usize::try_from(bytes).unwrap()));
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
        let fits = self.1.take_room(bytes.len());
        self.0.write_all_at(&bytes[..fits], offset)?;
        let full = self.1.0.lock().full.unwrap_or(io::ErrorKind::StorageFull);
        if fits < bytes.len() { Err(full.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let gate = self.1.0.lock().gate.take();
        if let Some((begun, go_on)) = gate {
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

/// The writer sits in a sync until the answer is sent or dropped.
fn hold(plan: &Plan) -> (Receiver<()>, Sender<()>) {
    let (begun, has_begun) = channel();
    let (go_on, wait) = channel();
    plan.set(|faults| faults.gate = Some((begun, wait)));
    (has_begun, go_on)
}

#[test]
fn what_arrives_during_a_sync_is_one_group_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, JournalSettings::default()).unwrap();
    let (has_begun, go_on) = hold(&plan);
    let first = journal.append(vec![0]);
    has_begun.recv().unwrap();
    let waiting: Vec<Appending> = (1..=50).map(|n| journal.append(vec![n])).collect();
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
        let (has_begun, go_on) = hold(&plan);
        let first = journal.append(vec![0]);
        has_begun.recv().unwrap();
        let waiting = sizes.map(|bytes| journal.append(vec![0; bytes]));
        go_on.send(()).unwrap();
        block_on(first).unwrap();
        let answers = waiting.map(block_on);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), taken, "{sizes:?}: {answers:?}");
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        assert!(refused.into_iter().all(|error| matches!(error, JournalError::Busy)));
    }
}

#[test]
fn a_failed_sync_is_final_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small()).unwrap();
    let good = append_each(&journal, [payload(1, 30), payload(2, 30)]);
    plan.set(|faults| faults.sync = true);
    let answers = append_all(&journal, (0..5).map(|n| payload(n, 10)));
    assert!(answers.iter().all(|answer| matches!(answer, Err(JournalError::Failed(_)))), "{answers:?}");
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
fn every_other_failure_is_final_too() {
    type Fault = fn(&mut Faults);
    let faults: [(&str, Fault); 4] = [
        ("write", |faults| faults.write = Some(io::ErrorKind::Other)),
        ("sync", |faults| faults.sync = true),
        ("sync_dir", |faults| faults.sync_dir = true),
        ("cut", |faults| (faults.room, faults.truncate) = (Some(50), true)),
    ];
    for (name, fault) in faults {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let journal = open_on(dir.path(), &plan, small()).unwrap();
        let good = append_each(&journal, (0..4).map(|n| payload(n, 70)));
        plan.set(fault);
        // The fifth fills the segment, if it can be written; the sixth needs a new one.
        let answers: Vec<_> = (0..3).map(|n| block_on(journal.append(payload(n, 70)))).collect();
        assert!(matches!(answers[2], Err(JournalError::Failed(_))), "{name}: {answers:?}");
        plan.set(|faults| *faults = Faults::default());
        assert!(matches!(block_on(journal.append(vec![1])), Err(JournalError::Failed(_))), "{name}");
        let acknowledged = 4 + answers.iter().filter(|answer| answer.is_ok()).count();
        journal.close();
        let (found, _) = inspect(dir.path(), None);
        assert_eq!(found[..4], good, "{name}");
        assert!(found.len() >= acknowledged, "{name}");
    }
}

#[test]
fn a_disk_full_at_any_byte_is_not_final() {
    for room in 0..700 {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let kind = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::WriteZero][room % 3];
        plan.set(|faults| (faults.room, faults.full) = (Some(room), Some(kind)));
        let journal = open_on(dir.path(), &plan, small()).unwrap();
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
                Err(error) => panic!("room for {room}: {error}"),
            }
        }
        assert!(refused > 0, "room for {room}");
        plan.set(|faults| faults.room = None);
        good.extend(append_each(&journal, [payload(7, 20), payload(8, 20)]));
        assert_eq!(journal.status().health, JournalHealth::Good);
        journal.close();
        let (found, recovery) = inspect(dir.path(), None);
        assert_eq!((found, recovery.damage), (good, vec![]), "room for {room}");
    }
}

#[test]
fn without_a_descriptor_for_a_new_segment_the_newest_is_written_on() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let journal = open_on(dir.path(), &plan, small()).unwrap();
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
fn a_lack_of_descriptors_at_the_start_and_of_memory_in_a_write_refuses_and_passes() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        plan.set(|faults| faults.create_errno = Some(errno));
        let journal = open_on(dir.path(), &plan, small()).unwrap();
        let refused = |journal: &Journal| {
            let refused = block_on(journal.append(payload(1, 90)));
            assert!(matches!(refused, Err(JournalError::Shortage(_))), "{errno}: {refused:?}");
            assert!(matches!(journal.status().health, JournalHealth::Shortage(_)), "{errno}");
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
fn a_full_disk_costs_first_what_is_kept_only_for_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small()).unwrap();
    let mut good = append_each(&journal, (0..20).map(|n| payload(n, 90)));
    let segments = journal.status().segments;
    assert_eq!(segments, 5);
    // The first two segments are not needed, but new.
    journal.release(Seq::new(10), 0);
    plan.set(|faults| faults.room = Some(10));
    good.extend(append_each(&journal, [payload(20, 90), payload(21, 90), payload(22, 90)]));
    assert_eq!(inspect(dir.path(), Some(Seq::new(9))).0, good[8..]);
    assert_eq!(inspect(dir.path(), Some(Seq::FIRST)).0, good[4..]);
    let answers: Vec<_> = (0..10).map(|n| block_on(journal.append(payload(n, 90)))).collect();
    assert!(matches!(answers[9], Err(JournalError::Full)), "{answers:?}");
    journal.close();
    let (found, recovery) = inspect(dir.path(), Some(Seq::new(9)));
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(found.len(), good.len() - 8 + acknowledged);
    assert_eq!(found[..good.len() - 8], good[8..]);
    assert_eq!(recovery.damage, []);
}

#[test]
fn a_segment_that_cannot_be_deleted_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small()).unwrap();
    append_each(&journal, (0..20).map(|n| payload(n, 90)));
    plan.set(|faults| faults.remove = true);
    journal.release(Seq::new(20), 2 * DAY_MS);
    append_each(&journal, [vec![1]]);
    assert!(journal.status().segments >= 5);
    plan.set(|faults| faults.remove = false);
    journal.release(Seq::new(20), 2 * DAY_MS);
    let shared = Arc::clone(&journal.open.shared);
    journal.close();
    assert!(shared.status().segments <= 2);
}

#[test]
fn a_failed_sync_while_opening_is_an_error() {
    let (dir, records) = filled();
    let plan = Plan::default();
    plan.set(|faults| faults.sync = true);
    assert!(open_on(dir.path(), &plan, small()).is_err());
    assert_eq!(open(dir.path(), None).1, records);
    // Also where no segment has to be made.
    assert!(open_on(dir.path(), &plan, small()).is_err());
    plan.set(|faults| (faults.sync, faults.sync_dir) = (false, true));
    assert!(open_on(dir.path(), &plan, small()).is_err());
}

#[test]
fn a_deletion_that_cannot_be_synced_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::default();
    let journal = open_on(dir.path(), &plan, small()).unwrap();
    let good = append_each(&journal, (0..6).map(|n| payload(n, 90)));
    plan.set(|faults| faults.sync_dir = true);
    journal.release(Seq::new(6), 2 * DAY_MS);
    let shared = Arc::clone(&journal.open.shared);
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
fn what_cannot_be_read_counts_as_zeros() {
    let bytes = payload(3, 3 << 20);
    let bad = (1 << 20) + 4096..(1 << 20) + 8192;
    let mut wanted = bytes.clone();
    wanted[bad.start..bad.end].fill(0);
    for step in [1000, 4096, 70_000, 3 << 20] {
        let file = BadBlock(bytes.clone(), bad.start as u64..bad.end as u64);
        let mut window = Window::new(file, bytes.len() as u64);
        for start in (0..bytes.len()).step_by(step) {
            let end = (start + step).min(bytes.len());
            assert!(window.get(start as u64, step) == &wanted[start..end], "{start} to {end}");
        }
    }
}
