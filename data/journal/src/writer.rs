//! The thread that owns the newest segment: writes, syncs, answers, begins new segments, deletes old ones.

use std::{io, path::PathBuf, sync::Arc, time::Instant};

use crate::points::reach;
use crate::{
    JournalError, JournalHealth, Seq,
    disk::{Disk, LogFile, is_full, is_shortage},
    format::{self, HEADER_BYTES, Header},
    queue::{Append, Facts, Release, Shared},
    scan::Segment,
};

/// A buffer that grew beyond this is given back.
const BUFFER_BYTES: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Box<dyn Disk>,
    current: Option<Current>,
    /// The next record's number.
    next: Seq,
    /// The latest time that anybody said.
    now_ms: i64,
    buffer: Vec<u8>,
    /// The newest segment should have had a successor, and could not.
    overdue: bool,
}

/// The newest segment.
struct Current {
    file: Box<dyn LogFile>,
    path: PathBuf,
    /// Durable; nothing is behind it between groups.
    bytes: u64,
}

/// Why a group was not written.
#[derive(Debug)]
enum Trouble {
    Full,
    Shortage(String),
    Failed(String),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Box<dyn Disk>, next: Seq, now_ms: i64) -> Self {
        Self { shared, disk, current: None, next, now_ms, buffer: Vec::new(), overdue: false }
    }

    /// Makes the segment that new records go to; an empty newest one serves, if the next number is its first. On a full
    /// disk, or without a file descriptor, the first append tries again.
    pub(super) fn begin(&mut self, newest_is_empty: bool) -> Result<(), JournalError> {
        let newest = self.shared.facts().segments.back().map(|segment| segment.first);
        if newest_is_empty && newest == Some(self.next) {
            let path = self.path(self.next);
            let file = self.disk.open(&path).map_err(|source| JournalError::Io { path: path.clone(), source })?;
            self.current = Some(Current { file, path, bytes: HEADER_BYTES as u64 });
            return Ok(());
        }
        match self.begin_segment() {
            Ok(()) => {}
            Err(Trouble::Full) => self.set_health(JournalHealth::Full),
            Err(Trouble::Shortage(reason)) => self.set_health(JournalHealth::Shortage(reason)),
            Err(Trouble::Failed(reason)) => return Err(JournalError::Failed(reason)),
        }
        Ok(())
    }

    pub(super) fn run(mut self) {
        let _refuse_the_rest = Abandon(Arc::clone(&self.shared));
        while let Some(work) = self.shared.next_work() {
            if let Some(release) = work.release {
                self.note(release);
            }
            if !work.group.is_empty() {
                self.commit(work.group);
            }
            // Deleting takes long; records go first.
            if work.release.is_some() && !self.shared.has_failed() {
                self.delete_expired();
            }
        }
    }

    /// Makes a group durable and answers it, in order.
    fn commit(&mut self, group: Vec<Append>) {
        self.shared.facts().writing_since = Some(Instant::now());
        let outcome = if self.shared.has_failed() { Err(None) } else { self.put(&group).map_err(Some) };
        self.shared.facts().writing_since = None;
        match outcome {
            Ok(()) => self.acknowledge(group),
            Err(None) => refuse(group, || self.shared.failure()),
            Err(Some(Trouble::Full)) => {
                self.set_health(JournalHealth::Full);
                refuse(group, || JournalError::Full);
            }
            Err(Some(Trouble::Shortage(reason))) => {
                self.set_health(JournalHealth::Shortage(reason.clone()));
                refuse(group, || JournalError::Shortage(reason.clone()));
            }
            Err(Some(Trouble::Failed(reason))) => {
                self.fail(&reason);
                refuse(group, || JournalError::Failed(reason.clone()));
            }
        }
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }

    fn acknowledge(&mut self, group: Vec<Append>) {
        let records = group.len() as u64;
        let bytes = self.current.as_ref().map_or(0, |current| current.bytes);
        {
            let mut facts = self.shared.facts();
            facts.status.groups += 1;
            facts.status.records += records;
            if let Some(newest) = facts.segments.back_mut() {
                newest.bytes = bytes;
            }
        }
        self.set_health(JournalHealth::Good);
        let first = self.next;
        self.next = Seq(first.0 + records);
        self.shared.set_durable(self.next.before());
        for (number, append) in (first.0..).zip(group) {
            append.answer.tell(Ok(Seq(number)));
        }
    }

    fn put(&mut self, group: &[Append]) -> Result<(), Trouble> {
        if self.next.0.saturating_add(group.len() as u64) > Seq::MAX.0 {
            return Err(Trouble::Failed("its sequence numbers are used up".to_owned()));
        }
        self.buffer.clear();
        for (number, append) in (self.next.0..).zip(group) {
            format::push_record(&mut self.buffer, Seq(number), &append.payload);
        }
        match self.write() {
            Err(Trouble::Full) if self.make_room()? => self.write(),
            outcome => outcome,
        }
    }

    /// Writes and syncs the buffer.
    fn write(&mut self) -> Result<(), Trouble> {
        let segment_bytes = self.shared.settings.segment_bytes.max(HEADER_BYTES as u64 + 1);
        // One without a record is not ended: its successor would have its name.
        let ends = self.current.as_ref().is_none_or(|current| {
            let asked = current.bytes > HEADER_BYTES as u64 && reach("journal-end-segment").is_err();
            asked || current.bytes >= segment_bytes
        });
        if ends {
            self.rotate()?;
        }
        let Some(current) = &mut self.current else { return Err(Trouble::Failed("no segment is open".to_owned())) };
        if let Err(error) = current.file.write_all_at(&self.buffer, current.bytes) {
            let cut = current.cut();
            let trouble = trouble("cannot be written", &current.path, &error);
            return match (trouble, cut) {
                (Trouble::Failed(reason), _) => Err(Trouble::Failed(reason)),
                (passing, Ok(())) => Err(passing),
                (_, Err(error)) => Err(failed("cannot be cut back after a failed write", &current.path, &error)),
            };
        }
        if let Err(error) = timed_sync(&self.shared, current.file.as_ref()) {
            // What was refused should not be found at the next start; whether this works cannot be relied on.
            let _best_effort = current.cut();
            return Err(failed("cannot be synced", &current.path, &error));
        }
        current.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Begins the next segment. Without a file descriptor for it the newest one is written on, since it is open.
    fn rotate(&mut self) -> Result<(), Trouble> {
        match self.begin_segment() {
            Err(Trouble::Shortage(reason)) if self.current.is_some() => {
                if !std::mem::replace(&mut self.overdue, true) {
                    tracing::warn!(reason, "the journal's newest segment is full and written on: no other can be made");
                }
                Ok(())
            }
            Ok(()) => {
                if std::mem::take(&mut self.overdue) {
                    tracing::info!("the journal has a new segment again");
                }
                Ok(())
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Begins a segment with the next number.
    fn begin_segment(&mut self) -> Result<(), Trouble> {
        let path = self.path(self.next);
        let low_water = self.shared.facts().status.low_water;
        let header = Header { first: self.next, low_water, created_ms: self.now_ms };
        let file = match self.disk.create(&path) {
            Ok(file) => file,
            Err(error) => return Err(trouble("cannot be made", &path, &error)),
        };
        if let Err(error) = file.write_all_at(&header.to_bytes(), 0) {
            drop(file);
            let removed = self.disk.remove(&path);
            return match removed {
                Ok(()) => Err(trouble("cannot be written", &path, &error)),
                Err(error) => Err(failed("cannot be removed", &path, &error)),
            };
        }
        let synced = timed_sync(&self.shared, file.as_ref()).and_then(|()| self.disk.sync_dir());
        synced.map_err(|error| failed("cannot be synced", &path, &error))?;
        let bytes = HEADER_BYTES as u64;
        let segment = Segment { first: self.next, bytes, created_ms: Some(self.now_ms) };
        self.shared.facts().segments.push_back(segment);
        self.current = Some(Current { file, path, bytes });
        Ok(())
    }

    /// Deletes segments that are kept only for their age, oldest first, until the buffer should fit. Answers whether
    /// anything was deleted.
    fn make_room(&mut self) -> Result<bool, Trouble> {
        let wanted = (self.buffer.len() + HEADER_BYTES) as u64;
        let mut freed = 0;
        while freed < wanted {
            let oldest = unneeded(&self.shared.facts()).next();
            let Some(oldest) = oldest else { break };
            if !self.delete(oldest)? {
                break;
            }
            tracing::warn!(segment = oldest.first.0, bytes = oldest.bytes, "journal segment deleted for room");
            freed += oldest.bytes;
        }
        Ok(freed > 0)
    }

    fn note(&mut self, release: Release) {
        self.now_ms = release.now_ms;
        let low_water = release.low_water.min(self.next);
        let status = &mut self.shared.facts().status;
        status.low_water = status.low_water.max(low_water);
    }

    /// Deletes what is neither needed nor to be kept.
    fn delete_expired(&mut self) {
        while let Some(oldest) = self.expired() {
            match self.delete(oldest) {
                Ok(true) => tracing::info!(segment = oldest.first.0, bytes = oldest.bytes, "journal segment deleted"),
                Ok(false) => break,
                Err(Trouble::Full | Trouble::Shortage(_)) => break,
                Err(Trouble::Failed(reason)) => {
                    self.fail(&reason);
                    break;
                }
            }
        }
    }

    /// The oldest segment, if it is no longer to be kept.
    fn expired(&self) -> Option<Segment> {
        let facts = self.shared.facts();
        let oldest = unneeded(&facts).next()?;
        let bytes: u64 = unneeded(&facts).map(|segment| segment.bytes).sum();
        // A segment's last record is as old as its successor.
        let ended_ms = facts.segments.iter().skip(1).find_map(|segment| segment.created_ms);
        let age_ms = self.now_ms.saturating_sub(ended_ms.unwrap_or(self.now_ms));
        let settings = &self.shared.settings;
        let is_old = i128::from(age_ms) > settings.keep.as_millis().cast_signed();
        (is_old || bytes > settings.keep_bytes).then_some(oldest)
    }

    /// Deletes the oldest segment; false where that is not possible now.
    fn delete(&mut self, oldest: Segment) -> Result<bool, Trouble> {
        let path = self.path(oldest.first);
        match self.disk.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %path.display(), error = %error, "journal segment cannot be deleted");
                return Ok(false);
            }
        }
        self.shared.facts().segments.pop_front();
        self.disk.sync_dir().map_err(|error| failed("its deletion cannot be synced", &path, &error))?;
        Ok(true)
    }

    /// Notes how the last group went, and logs what is new about it.
    fn set_health(&self, health: JournalHealth) {
        let dir = self.shared.dir.display();
        let before = std::mem::replace(&mut self.shared.facts().status.health, health.clone());
        if before == health {
            return;
        }
        match health {
            JournalHealth::Good => tracing::info!(%dir, "the journal can be written again"),
            JournalHealth::Full => tracing::error!(%dir, "the journal's disk is full"),
            JournalHealth::Shortage(reason) => tracing::error!(%dir, reason, "the journal cannot be written just now"),
            // Said where it fails.
            JournalHealth::Failed(_) => {}
        }
    }

    fn fail(&self, reason: &str) {
        tracing::error!(dir = %self.shared.dir.display(), reason, "the journal has failed");
        self.shared.fail(reason);
    }

    fn path(&self, first: Seq) -> PathBuf {
        self.shared.dir.join(format::segment_name(first))
    }
}

impl Current {
    /// Cuts off what is not durable.
    fn cut(&self) -> io::Result<()> {
        self.file.truncate(self.bytes)?;
        self.file.sync_data()
    }
}

/// The segments that hold nothing from the low water on, oldest first; never the newest.
fn unneeded(facts: &Facts) -> impl Iterator<Item = Segment> {
    let low_water = facts.status.low_water;
    let behind = facts.segments.iter().skip(1);
    facts.segments.iter().zip(behind).take_while(move |(_, next)| next.first <= low_water).map(|(segment, _)| *segment)
}

fn timed_sync(shared: &Shared, file: &dyn LogFile) -> io::Result<()> {
    let start = Instant::now();
    let outcome = file.sync_data();
    let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status = &mut shared.facts().status;
    status.syncs += 1;
    status.sync_last_us = took_us;
    status.sync_total_us = status.sync_total_us.saturating_add(took_us);
    outcome
}

fn refuse(group: Vec<Append>, error: impl Fn() -> JournalError) {
    for append in group {
        append.answer.tell(Err(error()));
    }
}

fn trouble(what: &str, path: &std::path::Path, error: &io::Error) -> Trouble {
    if is_full(error) {
        Trouble::Full
    } else if is_shortage(error) {
        Trouble::Shortage(format!("{} {what}: {error}", path.display()))
    } else {
        failed(what, path, error)
    }
}

fn failed(what: &str, path: &std::path::Path, error: &io::Error) -> Trouble {
    Trouble::Failed(format!("{} {what}: {error}", path.display()))
}

/// However the thread ends, nobody is left waiting.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What it had in hand may be on disk and not durable, as after a sync that failed.
            tracing::error!(dir = %self.0.dir.display(), "the journal's thread panicked");
            self.0.fail("its thread panicked; the log says where");
        }
        self.0.abandon();
    }
}
