//! The writer: the thread that owns the newest segment. It writes and syncs groups of records, completes their
//! requests, creates new segments and deletes old ones.
//!
//! An example. The newest segment ends with record 41:
//!
//! 1. Two requests to append wait in the queue. The writer takes both as one group, numbers them 42 and 43, and writes
//!    them with one call and one sync. Then it completes both requests.
//! 2. A third request arrives during the sync, and is the next group.
//! 3. The segment is full now. So before this group is written, the writer creates the next segment, which begins with
//!    record 44. If there is no file descriptor for it, the writer continues in the full segment.
//! 4. The store releases all records below 30. Segments whose records are all below 30 are deleted, after waiting records
//!    are written.
//!
//! If the disk is full, the segment is truncated to what is durable, the group is refused, and the next group is tried
//! again. After any other failed write or sync nothing is written any more.

use std::{io, path::PathBuf, sync::Arc, time::Instant};

use crate::failpoints::fail_point;
use crate::{
    JournalError, JournalHealth, Seq,
    disk::{Disk, LogFile, is_full, is_shortage},
    format::{self, HEADER_BYTES, Header},
    queue::{AppendRequest, JournalState, Release, Shared},
    scan::Segment,
};

/// A write buffer with more capacity than this is freed after the group.
const MAX_RETAINED_BUFFER_BYTES: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Box<dyn Disk>,
    current: Option<OpenSegment>,
    /// The number of the next record.
    next: Seq,
    /// The time of the last release, or of opening the journal; Unix time in milliseconds.
    now_ms: i64,
    buffer: Vec<u8>,
    /// Whether the newest segment is full and a new one could not be created.
    rotation_overdue: bool,
}

/// The newest segment.
struct OpenSegment {
    file: Box<dyn LogFile>,
    path: PathBuf,
    /// The durable length, in bytes. Between groups it is the length of the file.
    bytes: u64,
}

/// Why a group was not written.
#[derive(Debug)]
enum WriteError {
    Full,
    OutOfResources(String),
    Failed(String),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Box<dyn Disk>, next: Seq, now_ms: i64) -> Self {
        Self { shared, disk, current: None, next, now_ms, buffer: Vec::new(), rotation_overdue: false }
    }

    /// Creates the segment for new records, or uses the newest one if it is empty and its first number is that of the
    /// next record. If the disk is full, or file descriptors or memory are short, the first append tries again.
    pub(super) fn start(&mut self, newest_is_empty: bool) -> Result<(), JournalError> {
        let newest = self.shared.state().segments.back().map(|segment| segment.first);
        if newest_is_empty && newest == Some(self.next) {
            let path = self.path(self.next);
            let file = self.disk.open(&path).map_err(|source| JournalError::Io { path: path.clone(), source })?;
            self.current = Some(OpenSegment { file, path, bytes: HEADER_BYTES as u64 });
            return Ok(());
        }
        match self.create_segment() {
            Ok(()) => {}
            Err(WriteError::Full) => self.set_health(JournalHealth::Full),
            Err(WriteError::OutOfResources(reason)) => self.set_health(JournalHealth::OutOfResources(reason)),
            Err(WriteError::Failed(reason)) => return Err(JournalError::Failed(reason)),
        }
        Ok(())
    }

    pub(super) fn run(mut self) {
        let _refuse_on_exit = RefuseOnExit(Arc::clone(&self.shared));
        while let Some(work) = self.shared.next_work() {
            if let Some(release) = work.release {
                self.apply_release(release);
            }
            if !work.group.is_empty() {
                self.commit(work.group);
            }
            // Deleting files is slow, so records are written first.
            if work.release.is_some() && !self.shared.has_failed() {
                self.delete_expired();
            }
        }
    }

    /// Makes a group durable and completes its requests, in order.
    fn commit(&mut self, group: Vec<AppendRequest>) {
        self.shared.state().writing_since = Some(Instant::now());
        let outcome = if self.shared.has_failed() { Err(None) } else { self.write_group(&group).map_err(Some) };
        self.shared.state().writing_since = None;
        match outcome {
            Ok(()) => self.acknowledge(group),
            Err(None) => refuse(group, || self.shared.failure()),
            Err(Some(WriteError::Full)) => {
                self.set_health(JournalHealth::Full);
                refuse(group, || JournalError::Full);
            }
            Err(Some(WriteError::OutOfResources(reason))) => {
                self.set_health(JournalHealth::OutOfResources(reason.clone()));
                refuse(group, || JournalError::OutOfResources(reason.clone()));
            }
            Err(Some(WriteError::Failed(reason))) => {
                self.fail(&reason);
                refuse(group, || JournalError::Failed(reason.clone()));
            }
        }
        if self.buffer.capacity() > MAX_RETAINED_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }

    fn acknowledge(&mut self, group: Vec<AppendRequest>) {
        let records = group.len() as u64;
        let bytes = self.current.as_ref().map_or(0, |current| current.bytes);
        {
            let mut state = self.shared.state();
            state.status.groups += 1;
            state.status.records += records;
            if let Some(newest) = state.segments.back_mut() {
                newest.bytes = bytes;
            }
        }
        self.set_health(JournalHealth::Good);
        let first = self.next;
        self.next = Seq(first.0 + records);
        self.shared.set_durable(self.next.before());
        for (number, append) in (first.0..).zip(group) {
            append.completion.complete(Ok(Seq(number)));
        }
    }

    fn write_group(&mut self, group: &[AppendRequest]) -> Result<(), WriteError> {
        if self.next.0.saturating_add(group.len() as u64) > Seq::MAX.0 {
            return Err(WriteError::Failed("its sequence numbers are used up".to_owned()));
        }
        self.buffer.clear();
        for (number, append) in (self.next.0..).zip(group) {
            format::push_record(&mut self.buffer, Seq(number), &append.payload);
        }
        match self.write() {
            Err(WriteError::Full) if self.make_room()? => self.write(),
            outcome => outcome,
        }
    }

    /// Writes and syncs the buffer.
    fn write(&mut self) -> Result<(), WriteError> {
        let segment_bytes = self.shared.settings.segment_bytes.max(HEADER_BYTES as u64 + 1);
        // A segment without a record is not rotated: the next one would have the same name.
        let needs_rotation = self.current.as_ref().is_none_or(|current| {
            let is_end_requested = current.bytes > HEADER_BYTES as u64 && fail_point("journal-end-segment").is_err();
            is_end_requested || current.bytes >= segment_bytes
        });
        if needs_rotation {
            self.rotate()?;
        }
        let Some(current) = &mut self.current else { return Err(WriteError::Failed("no segment is open".to_owned())) };
        if let Err(error) = current.file.write_all_at(&self.buffer, current.bytes) {
            let truncated = current.truncate_to_durable();
            let write_error = classify("cannot be written", &current.path, &error);
            return match (write_error, truncated) {
                (WriteError::Failed(reason), _) => Err(WriteError::Failed(reason)),
                (temporary, Ok(())) => Err(temporary),
                (_, Err(error)) => Err(fatal("cannot be cut back after a failed write", &current.path, &error)),
            };
        }
        if let Err(error) = timed_sync(&self.shared, current.file.as_ref()) {
            // Refused records should not be found at the next start. If this fails too, nothing more can be done.
            let _best_effort = current.truncate_to_durable();
            return Err(fatal("cannot be synced", &current.path, &error));
        }
        current.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Creates the next segment. If file descriptors or memory are short, continues in the current segment if one is
    /// open.
    fn rotate(&mut self) -> Result<(), WriteError> {
        match self.create_segment() {
            Err(WriteError::OutOfResources(reason)) if self.current.is_some() => {
                if !std::mem::replace(&mut self.rotation_overdue, true) {
                    tracing::warn!(
                        reason,
                        "no new journal segment can be created; the journal continues in the full one"
                    );
                }
                Ok(())
            }
            Ok(()) => {
                if std::mem::take(&mut self.rotation_overdue) {
                    tracing::info!("a new journal segment could be created again");
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a segment whose first record is the next one.
    fn create_segment(&mut self) -> Result<(), WriteError> {
        let path = self.path(self.next);
        let low_water = self.shared.state().status.low_water;
        let header = Header { first: self.next, low_water, created_ms: self.now_ms };
        let file = match self.disk.create(&path) {
            Ok(file) => file,
            Err(error) => return Err(classify("cannot be created", &path, &error)),
        };
        if let Err(error) = file.write_all_at(&header.to_bytes(), 0) {
            drop(file);
            let removed = self.disk.remove(&path);
            return match removed {
                Ok(()) => Err(classify("cannot be written", &path, &error)),
                Err(error) => Err(fatal("cannot be removed", &path, &error)),
            };
        }
        let synced = timed_sync(&self.shared, file.as_ref()).and_then(|()| self.disk.sync_dir());
        synced.map_err(|error| fatal("cannot be synced", &path, &error))?;
        let bytes = HEADER_BYTES as u64;
        let segment = Segment { first: self.next, bytes, created_ms: Some(self.now_ms) };
        self.shared.state().segments.push_back(segment);
        self.current = Some(OpenSegment { file, path, bytes });
        Ok(())
    }

    /// Deletes unneeded segments, oldest first, until they have freed enough space for the buffer. Returns whether any
    /// was deleted.
    fn make_room(&mut self) -> Result<bool, WriteError> {
        let needed_bytes = (self.buffer.len() + HEADER_BYTES) as u64;
        let mut freed_bytes = 0;
        while freed_bytes < needed_bytes {
            let oldest = unneeded_segments(&self.shared.state()).next();
            let Some(oldest) = oldest else { break };
            if !self.delete(oldest)? {
                break;
            }
            tracing::warn!(
                segment = oldest.first.0,
                bytes = oldest.bytes,
                "journal segment deleted because the disk is full"
            );
            freed_bytes += oldest.bytes;
        }
        Ok(freed_bytes > 0)
    }

    fn apply_release(&mut self, release: Release) {
        self.now_ms = release.now_ms;
        let low_water = release.low_water.min(self.next);
        let status = &mut self.shared.state().status;
        status.low_water = status.low_water.max(low_water);
    }

    /// Deletes the oldest unneeded segments while they exceed the age or the total size in the settings.
    fn delete_expired(&mut self) {
        while let Some(oldest) = self.expired() {
            match self.delete(oldest) {
                Ok(true) => tracing::info!(segment = oldest.first.0, bytes = oldest.bytes, "journal segment deleted"),
                Ok(false) => break,
                Err(WriteError::Full | WriteError::OutOfResources(_)) => break,
                Err(WriteError::Failed(reason)) => {
                    self.fail(&reason);
                    break;
                }
            }
        }
    }

    /// Returns the oldest segment if it is unneeded and exceeds the retention time, or all unneeded segments together
    /// exceed the maximum size.
    fn expired(&self) -> Option<Segment> {
        let state = self.shared.state();
        let oldest = unneeded_segments(&state).next()?;
        let bytes: u64 = unneeded_segments(&state).map(|segment| segment.bytes).sum();
        // The last record of a segment is as old as the next segment.
        let ended_ms = state.segments.iter().skip(1).find_map(|segment| segment.created_ms);
        let age_ms = self.now_ms.saturating_sub(ended_ms.unwrap_or(self.now_ms));
        let settings = &self.shared.settings;
        let is_expired = i128::from(age_ms) > settings.retention.as_millis().cast_signed();
        (is_expired || bytes > settings.retention_bytes).then_some(oldest)
    }

    /// Deletes the oldest segment. Returns false if it cannot be deleted now.
    fn delete(&mut self, oldest: Segment) -> Result<bool, WriteError> {
        let path = self.path(oldest.first);
        match self.disk.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %path.display(), error = %error, "journal segment cannot be deleted");
                return Ok(false);
            }
        }
        self.shared.state().segments.pop_front();
        self.disk.sync_dir().map_err(|error| fatal("its deletion cannot be synced", &path, &error))?;
        Ok(true)
    }

    /// Sets the health of the journal, and logs a change.
    fn set_health(&self, health: JournalHealth) {
        let dir = self.shared.dir.display();
        let before = std::mem::replace(&mut self.shared.state().status.health, health.clone());
        if before == health {
            return;
        }
        match health {
            JournalHealth::Good => tracing::info!(%dir, "the journal can be written again"),
            JournalHealth::Full => tracing::error!(%dir, "the journal's disk is full"),
            JournalHealth::OutOfResources(reason) => {
                tracing::error!(%dir, reason, "the journal cannot be written at the moment")
            }
            // Logged by `fail`.
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

impl OpenSegment {
    /// Truncates the file to its durable length.
    fn truncate_to_durable(&self) -> io::Result<()> {
        self.file.truncate(self.bytes)?;
        self.file.sync_data()
    }
}

/// Returns the segments whose records are all below the low-water mark, oldest first. Never returns the newest segment.
fn unneeded_segments(state: &JournalState) -> impl Iterator<Item = Segment> {
    let low_water = state.status.low_water;
    let successors = state.segments.iter().skip(1);
    state
        .segments
        .iter()
        .zip(successors)
        .take_while(move |(_, next)| next.first <= low_water)
        .map(|(segment, _)| *segment)
}

fn timed_sync(shared: &Shared, file: &dyn LogFile) -> io::Result<()> {
    let start = Instant::now();
    let outcome = file.sync_data();
    let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status = &mut shared.state().status;
    status.syncs += 1;
    status.sync_last_us = took_us;
    status.sync_total_us = status.sync_total_us.saturating_add(took_us);
    outcome
}

fn refuse(group: Vec<AppendRequest>, error: impl Fn() -> JournalError) {
    for append in group {
        append.completion.complete(Err(error()));
    }
}

fn classify(problem: &str, path: &std::path::Path, error: &io::Error) -> WriteError {
    if is_full(error) {
        WriteError::Full
    } else if is_shortage(error) {
        WriteError::OutOfResources(format!("{} {problem}: {error}", path.display()))
    } else {
        fatal(problem, path, error)
    }
}

fn fatal(problem: &str, path: &std::path::Path, error: &io::Error) -> WriteError {
    WriteError::Failed(format!("{} {problem}: {error}", path.display()))
}

/// Completes all waiting requests with an error when the thread ends, even by a panic.
struct RefuseOnExit(Arc<Shared>);

impl Drop for RefuseOnExit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The last group may have been written without a sync, so the journal counts as failed, as after a failed
            // sync.
            tracing::error!(dir = %self.0.dir.display(), "the journal's thread panicked");
            self.0.fail("its thread panicked; see the log");
        }
        self.0.refuse_remaining();
    }
}
