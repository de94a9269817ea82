//! What the journal's handles and its writer share: the bounded queue, and what is known of the files.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    JournalError, JournalHealth, JournalSettings, JournalStatus, SegmentFile, Seq,
    format::{self, FRAME_BYTES, MAX_PAYLOAD_BYTES},
    scan::Segment,
};

/// A record that waits, and whom to tell what became of it.
pub(super) struct Append {
    pub payload: Vec<u8>,
    pub answer: Answer,
}

/// Told what became of a record. One that is dropped is told that the journal is closed.
pub(super) struct Answer(Option<Told>);

type Told = Box<dyn FnOnce(Result<Seq, JournalError>) + Send>;

/// What is no longer needed, and what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub low_water: Seq,
    pub now_ms: i64,
}

/// What the writer does next.
pub(super) struct Work {
    pub group: Vec<Append>,
    pub release: Option<Release>,
}

pub(super) struct Shared {
    pub dir: PathBuf,
    pub settings: JournalSettings,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// The highest number on disk.
    durable: AtomicU64,
    /// Nothing more is taken; the reason is in the facts.
    failed: AtomicBool,
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Append>,
    bytes: usize,
    release: Option<Release>,
    closed: bool,
    /// The writer waits to be woken.
    idle: bool,
}

/// What is known of the files, and what was done.
#[derive(Default)]
pub(super) struct Facts {
    /// Oldest first; the bytes of the newest are durable.
    pub segments: VecDeque<Segment>,
    /// Only the counts, the low water and the health are kept up here.
    pub status: JournalStatus,
    /// When the group that is being written went to the disk.
    pub writing_since: Option<Instant>,
}

impl Answer {
    pub(super) fn new(told: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// Whoever is told may panic; that is none of the journal's business.
    pub(super) fn tell(mut self, outcome: Result<Seq, JournalError>) {
        self.tell_once(outcome);
    }

    fn tell_once(&mut self, outcome: Result<Seq, JournalError>) {
        let Some(told) = self.0.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| told(outcome))).is_err() {
            tracing::error!("what was to follow a record panicked");
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.tell_once(Err(JournalError::Closed));
    }
}

impl Shared {
    pub(super) fn new(
        dir: &std::path::Path,
        settings: JournalSettings,
        segments: Vec<Segment>,
        low_water: Seq,
        next: Seq,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            settings,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            durable: AtomicU64::new(next.before().0),
            failed: AtomicBool::new(false),
            facts: Mutex::new(Facts {
                segments: segments.into(),
                status: JournalStatus { low_water, ..JournalStatus::default() },
                writing_since: None,
            }),
        }
    }

    /// Queues a record; one that is refused is told at once.
    pub(super) fn push(&self, append: Append) {
        let mut queue = lock(&self.queue);
        match self.refusal(&queue, append.payload.len()) {
            Some(error) => {
                drop(queue);
                append.answer.tell(Err(error));
            }
            None => {
                queue.bytes += append.payload.len();
                queue.waiting.push_back(append);
                self.wake(queue);
            }
        }
    }

    fn refusal(&self, queue: &Queue, bytes: usize) -> Option<JournalError> {
        if bytes > MAX_PAYLOAD_BYTES {
            return Some(JournalError::TooLarge { bytes, most: MAX_PAYLOAD_BYTES });
        }
        if self.has_failed() {
            return Some(self.failure());
        }
        if queue.closed {
            return Some(JournalError::Closed);
        }
        let fits = queue.waiting.len() < self.settings.queue_records
            && queue.bytes.saturating_add(bytes) <= self.settings.queue_bytes;
        (!fits && !queue.waiting.is_empty()).then_some(JournalError::Busy)
    }

    pub(super) fn release(&self, low_water: Seq, now_ms: i64) {
        let mut queue = lock(&self.queue);
        let low_water = queue.release.map_or(low_water, |release| release.low_water.max(low_water));
        queue.release = Some(Release { low_water, now_ms });
        self.wake(queue);
    }

    pub(super) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        self.wake(queue);
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        if std::mem::take(&mut queue.idle) {
            drop(queue);
            self.arrived.notify_one();
        }
    }

    /// Waits for work: all that is queued, up to one group. None when closed and done.
    pub(super) fn next_work(&self) -> Option<Work> {
        let mut queue = lock(&self.queue);
        while queue.waiting.is_empty() && queue.release.is_none() {
            if queue.closed {
                return None;
            }
            queue.idle = true;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle = false;
        let release = queue.release.take();
        let mut group = Vec::new();
        let mut bytes = 0usize;
        while let Some(append) = queue.waiting.front() {
            bytes = bytes.saturating_add(append.payload.len() + FRAME_BYTES);
            if bytes > self.settings.group_bytes && !group.is_empty() {
                break;
            }
            let Some(append) = queue.waiting.pop_front() else { break };
            queue.bytes -= append.payload.len();
            group.push(append);
        }
        Some(Work { group, release })
    }

    /// Refuses what still waits, and all that comes.
    pub(super) fn abandon(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.bytes = 0;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for append in waiting {
            append.answer.tell(Err(self.failure()));
        }
    }

    pub(super) fn durable_seq(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn set_durable(&self, seq: Seq) {
        self.durable.store(seq.0, Ordering::Release);
    }

    /// Nothing more is taken, for this reason.
    pub(super) fn fail(&self, reason: &str) {
        self.facts().status.health = JournalHealth::Failed(reason.to_owned());
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn failure(&self) -> JournalError {
        match &self.facts().status.health {
            JournalHealth::Failed(reason) => JournalError::Failed(reason.clone()),
            JournalHealth::Good | JournalHealth::Full | JournalHealth::Shortage(_) => JournalError::Closed,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    pub(super) fn status(&self) -> JournalStatus {
        let waiting_records = lock(&self.queue).waiting.len() as u64;
        let facts = self.facts();
        JournalStatus {
            durable_seq: self.durable_seq(),
            segments: facts.segments.len() as u64,
            bytes: facts.segments.iter().map(|segment| segment.bytes).sum(),
            waiting_records,
            writing_for: facts.writing_since.map_or(Duration::ZERO, |since| since.elapsed()),
            ..facts.status.clone()
        }
    }

    pub(super) fn segments_from(&self, low_water: Seq) -> Vec<SegmentFile> {
        let facts = self.facts();
        let behind = facts.segments.iter().map(|segment| segment.first).skip(1).map(Some).chain([None]);
        let needed = facts.segments.iter().zip(behind).filter(|(_, behind)| behind.is_none_or(|next| next > low_water));
        let file = |segment: &Segment| SegmentFile {
            path: self.dir.join(format::segment_name(segment.first)),
            durable_bytes: segment.bytes,
        };
        needed.map(|(segment, _)| file(segment)).collect()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
