//! The state shared by the journal's handles and its writer: the bounded queue, and the known segment files.

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

/// A waiting record and the callback for its outcome.
pub(super) struct AppendRequest {
    pub payload: Vec<u8>,
    pub completion: Completion,
}

/// The callback for the outcome of a record. If it is dropped, it is called with [`JournalError::Closed`].
pub(super) struct Completion(Option<CompletionFn>);

type CompletionFn = Box<dyn FnOnce(Result<Seq, JournalError>) + Send>;

/// A declaration that records below `low_water` are no longer needed, made at the time `now_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub low_water: Seq,
    pub now_ms: i64,
}

/// The next work of the writer.
pub(super) struct Work {
    pub group: Vec<AppendRequest>,
    pub release: Option<Release>,
}

pub(super) struct Shared {
    pub dir: PathBuf,
    pub settings: JournalSettings,
    queue: Mutex<Queue>,
    work_available: Condvar,
    /// The number of the last durable record.
    durable: AtomicU64,
    /// Whether all records are refused. The reason is in the status's health.
    failed: AtomicBool,
    state: Mutex<JournalState>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<AppendRequest>,
    bytes: usize,
    release: Option<Release>,
    closed: bool,
    /// Whether the writer waits on `work_available`.
    idle: bool,
}

/// The segment files and the counters of the journal.
#[derive(Default)]
pub(super) struct JournalState {
    /// Oldest first. The size of the newest one is that of its durable part.
    pub segments: VecDeque<Segment>,
    /// Only the counters, the low-water mark and the health are maintained in this value. [`Shared::status`] fills in
    /// the rest.
    pub status: JournalStatus,
    /// When the writer began to write the current group; none if it is not writing.
    pub writing_since: Option<Instant>,
}

impl Completion {
    pub(super) fn new(callback: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) -> Self {
        Self(Some(Box::new(callback)))
    }

    /// Calls the callback. A panic in it is logged and does not affect the journal.
    pub(super) fn complete(mut self, outcome: Result<Seq, JournalError>) {
        self.call(outcome);
    }

    fn call(&mut self, outcome: Result<Seq, JournalError>) {
        let Some(callback) = self.0.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| callback(outcome))).is_err() {
            tracing::error!("the callback of a journal record panicked");
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.call(Err(JournalError::Closed));
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
            work_available: Condvar::new(),
            durable: AtomicU64::new(next.before().0),
            failed: AtomicBool::new(false),
            state: Mutex::new(JournalState {
                segments: segments.into(),
                status: JournalStatus { low_water, ..JournalStatus::default() },
                writing_since: None,
            }),
        }
    }

    /// Queues a record, or completes it at once with an error if it is refused.
    pub(super) fn push(&self, append: AppendRequest) {
        let mut queue = lock(&self.queue);
        match self.reason_to_refuse(&queue, append.payload.len()) {
            Some(error) => {
                drop(queue);
                append.completion.complete(Err(error));
            }
            None => {
                queue.bytes += append.payload.len();
                queue.waiting.push_back(append);
                self.wake_writer(queue);
            }
        }
    }

    fn reason_to_refuse(&self, queue: &Queue, bytes: usize) -> Option<JournalError> {
        if bytes > MAX_PAYLOAD_BYTES {
            return Some(JournalError::TooLarge { bytes, max: MAX_PAYLOAD_BYTES });
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
        self.wake_writer(queue);
    }

    pub(super) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        self.wake_writer(queue);
    }

    fn wake_writer(&self, mut queue: MutexGuard<'_, Queue>) {
        if std::mem::take(&mut queue.idle) {
            drop(queue);
            self.work_available.notify_one();
        }
    }

    /// Waits for work and returns at most one group of the queued records. Returns none when the queue is closed and
    /// empty.
    pub(super) fn next_work(&self) -> Option<Work> {
        let mut queue = lock(&self.queue);
        while queue.waiting.is_empty() && queue.release.is_none() {
            if queue.closed {
                return None;
            }
            queue.idle = true;
            queue = self.work_available.wait(queue).unwrap_or_else(PoisonError::into_inner);
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

    /// Refuses the waiting records and all later ones.
    pub(super) fn refuse_remaining(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.bytes = 0;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for append in waiting {
            append.completion.complete(Err(self.failure()));
        }
    }

    pub(super) fn durable_seq(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn set_durable(&self, seq: Seq) {
        self.durable.store(seq.0, Ordering::Release);
    }

    /// Marks the journal as failed for this reason. All records are refused from now on.
    pub(super) fn fail(&self, reason: &str) {
        self.state().status.health = JournalHealth::Failed(reason.to_owned());
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn failure(&self) -> JournalError {
        match &self.state().status.health {
            JournalHealth::Failed(reason) => JournalError::Failed(reason.clone()),
            JournalHealth::Good | JournalHealth::Full | JournalHealth::OutOfResources(_) => JournalError::Closed,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, JournalState> {
        lock(&self.state)
    }

    pub(super) fn status(&self) -> JournalStatus {
        let waiting_records = lock(&self.queue).waiting.len() as u64;
        let state = self.state();
        JournalStatus {
            durable_seq: self.durable_seq(),
            segments: state.segments.len() as u64,
            bytes: state.segments.iter().map(|segment| segment.bytes).sum(),
            waiting_records,
            writing_for: state.writing_since.map_or(Duration::ZERO, |since| since.elapsed()),
            ..state.status.clone()
        }
    }

    pub(super) fn segments_from(&self, low_water: Seq) -> Vec<SegmentFile> {
        let state = self.state();
        let successors = state.segments.iter().map(|segment| segment.first).skip(1).map(Some).chain([None]);
        let needed = state
            .segments
            .iter()
            .zip(successors)
            .filter(|(_, successor)| successor.is_none_or(|next| next > low_water));
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
