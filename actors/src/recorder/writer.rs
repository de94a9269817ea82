//! What waits to be stored, and the writing of it, one record at a time. Both outlive the recorder's actor.
//!
//! What follows a record is done where the store tells of it, on the journal's thread; the actor is told only where
//! something waits for the next one. Deliberately absent: when there is enough for a record (the actor's).

use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use volute_data::{Batch, Document, PumpState, Store, StoreError, SystemMetrics, Uncommitted};
use volute_plant::{Clock, Detection, PumpId, Timestamp};
use volute_runtime::{ActorSlot, Message, ReplyTo};

use crate::{
    counters::{Counters, add},
    protocol::recorder::{RecordDetection, RecordReadings, RecordRemoval, Stored, Unstored},
};

/// How many detections outlive a store that fails: 100 pumps for quarter of an hour.
const MAX_KEPT_DETECTIONS: usize = 100_000;
/// Detections in one record.
const MAX_BATCH_DETECTIONS: usize = 2_000;
/// States in one record: a stop sends every pump's at once, and some kilobytes of each of 20,000 are too many.
const MAX_BATCH_STATES: usize = 1_000;

/// What outlives the actor: all that waits to be stored, and the record that is being written.
#[derive(Clone)]
pub(crate) struct Writer {
    pub store: Store,
    pub counters: Arc<Counters>,
    pub clock: Arc<dyn Clock>,
    /// Rows in one record.
    pub max_rows: usize,
    /// Raised for good when the journal fails: it may hold records that are not durable.
    pub failed: Arc<AtomicBool>,
    pub pending: Arc<Mutex<Pending>>,
    /// Tells the actor that a record has ended while something waits.
    pub written: ReplyTo<Written>,
    /// Where it is shown how much waits.
    pub shown: Arc<ActorSlot>,
}

/// A record has ended, and something waits for the next one.
pub(crate) struct Written {
    pub stored: bool,
}

impl Message for Written {
    const SURVIVES_FAILURE: bool = true;
}

/// What waits, in somebody's hands; how much it is then is shown.
pub(super) struct PendingGuard<'a> {
    pending: MutexGuard<'a, Pending>,
    shown: &'a ActorSlot,
}

/// What goes into one record.
struct Next {
    batch: Batch,
    told: Waiters,
}

/// Who wants to know of a record.
struct Waiters {
    /// Who waits for it, and since when.
    acks: Vec<(oneshot::Sender<Stored>, Instant)>,
    /// Likewise, of the detections.
    found: Vec<DetectionTimes>,
    /// The pump that is no more once the record is stored.
    removed: Option<PumpId>,
}

/// The record under way. However it ends, the next one can begin.
struct InFlightCommit {
    writer: Writer,
    stored: bool,
}

/// When a detection was made, and when the last reading of its window was received.
#[derive(Clone, Copy)]
struct DetectionTimes {
    since: Instant,
    received_at: Timestamp,
}

/// What waits to be stored.
#[derive(Default)]
pub(crate) struct Pending {
    pub(super) readings: VecDeque<Queued>,
    pub(super) rows: usize,
    pub(super) removals: VecDeque<RecordRemoval>,
    pub(super) results: Results,
    /// Waiters once nothing waits.
    pub(super) drains: Vec<oneshot::Sender<()>>,
    /// A record is being written, whoever had it begun: one at a time.
    under_way: bool,
    /// The life of the actor that attends to it; without one, what waits is written at once.
    attendant: Option<u64>,
}

/// Readings that wait.
pub(super) struct Queued {
    record: RecordReadings,
    /// So many of all detections that ever came have to be taken before it. A record without readings is there to tell that
    /// all before it is stored; detections have a bound of their own in a record, and would be overtaken.
    after: u64,
}

/// What must be stored in the end, whatever happens to one record.
#[derive(Default)]
pub(super) struct Results {
    detections: VecDeque<RecordDetection>,
    /// Detections that ever came.
    sent: u64,
    /// Maintenance events and audit entries, in the order in which they came.
    pub(super) documents: Vec<Document>,
    pub(super) metrics: Vec<SystemMetrics>,
    /// Of each pump the newest.
    states: BTreeMap<PumpId, PumpState>,
}

impl Writer {
    pub(super) fn pending(&self) -> PendingGuard<'_> {
        let pending = self.pending.lock();
        PendingGuard { pending, shown: &self.shown }
    }

    /// An actor's life attends to it from now on, and goes on with what an earlier one left.
    pub(super) fn attend(&self, incarnation: u64) {
        self.pending().attendant = Some(incarnation);
        self.begin();
    }

    /// That life is over: what was taken in is written at once, whenever the next one comes.
    pub(super) fn leave(&self, incarnation: u64) {
        if self.pending().attendant.take_if(|attendant| *attendant == incarnation).is_some() {
            self.begin();
        }
    }

    /// Begins the next record, unless one is under way or nothing waits.
    pub(super) fn begin(&self) {
        let Next { batch, told } = {
            let mut pending = self.pending();
            if pending.under_way || pending.is_done() {
                return;
            }
            pending.under_way = true;
            pending.take(self.max_rows)
        };
        let mut under_way = InFlightCommit { writer: self.clone(), stored: false };
        if is_empty(&batch) {
            // Somebody wanted to know that all before is stored.
            return under_way.end(Ok(()), told);
        }
        self.store.commit_then(batch, move |outcome| {
            add(&under_way.writer.counters.commits, usize::from(outcome.is_ok()));
            under_way.end(outcome, told);
        });
    }

    fn note_stored(&self, found: Vec<DetectionTimes>) {
        let (now, latencies) = (self.clock.now(), &self.counters.latencies);
        for DetectionTimes { since, received_at } in found {
            latencies.record.note(since.elapsed());
            let took_ms = u64::try_from(now.since_ms(received_at)).unwrap_or_default();
            latencies.detection.note(Duration::from_millis(took_ms));
        }
    }

    fn note_unstored(&self, Uncommitted { error, batch }: Uncommitted, found: Vec<DetectionTimes>) {
        tracing::error!(%error, readings = batch.readings.len(), "not stored");
        add(&self.counters.commit_failures, 1);
        let dropped = self.pending().results.put_back(batch, found);
        add(&self.counters.detections_dropped, dropped);
    }
}

impl Deref for PendingGuard<'_> {
    type Target = Pending;

    fn deref(&self) -> &Pending {
        &self.pending
    }
}

impl DerefMut for PendingGuard<'_> {
    fn deref_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

impl Drop for PendingGuard<'_> {
    fn drop(&mut self) {
        self.shown.metrics.held.store(self.pending.len(), Ordering::Relaxed);
    }
}

impl InFlightCommit {
    fn end(&mut self, outcome: Result<(), Uncommitted>, Waiters { acks, found, removed }: Waiters) {
        let stored = outcome.as_ref().copied().map_err(|not| Unstored::from(&not.error));
        if outcome.as_ref().is_err_and(|not| matches!(not.error, StoreError::Journal(_))) {
            // Before anybody is told: whoever asks the node's health then hears the same.
            self.writer.failed.store(true, Ordering::Relaxed);
        }
        if let (Ok(()), Some(pump)) = (stored, removed) {
            // Before the next record: rows of a pump that is not registered would be refused, and all others with them.
            self.writer.pending().forget(&pump);
        }
        for (ack, since) in acks {
            self.writer.counters.latencies.journal.note(since.elapsed());
            // Whoever asked may have gone.
            let _ = ack.send(stored);
        }
        match outcome {
            Ok(()) => self.writer.note_stored(found),
            Err(not) => self.writer.note_unstored(not, found),
        }
        self.stored = stored.is_ok();
    }
}

impl Drop for InFlightCommit {
    fn drop(&mut self) {
        let unattended = {
            let mut pending = self.writer.pending();
            pending.under_way = false;
            if pending.is_done() {
                return;
            }
            pending.attendant.is_none()
        };
        if !unattended {
            // Where one waits already, the actor will look; one that is gone has left, or is about to.
            let _ = self.writer.written.try_send(Written { stored: self.stored });
        } else if self.stored {
            self.writer.begin();
        }
    }
}

impl Pending {
    /// Whether nothing waits; whoever wants to know is told then.
    fn is_done(&mut self) -> bool {
        let empty = !self.is_waited_for() && self.results.is_empty();
        if empty {
            for drain in self.drains.drain(..) {
                let _ = drain.send(());
            }
        }
        empty
    }

    /// Takes readings in, to be stored after what came before.
    pub(super) fn queue(&mut self, record: RecordReadings) {
        let after = if record.readings.is_empty() { self.results.sent } else { 0 };
        self.rows += record.readings.len();
        self.readings.push_back(Queued { record, after });
    }

    /// How many messages' worth waits.
    fn len(&self) -> usize {
        self.readings.len() + self.removals.len() + self.results.len()
    }

    /// Somebody waits for something to be stored.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.readings.is_empty() || !self.removals.is_empty()
    }

    /// Drops what waits of a pump that is removed.
    fn forget(&mut self, pump: &PumpId) {
        self.readings.retain(|waiting| waiting.record.readings.first().is_none_or(|reading| reading.pump != *pump));
        self.rows = self.readings.iter().map(|waiting| waiting.record.readings.len()).sum();
        self.results.forget(pump);
    }

    /// A record is being written.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// The next record, and who wants to know of it.
    fn take(&mut self, max_rows: usize) -> Next {
        if let Some(RecordRemoval { pump, ack }) = self.removals.pop_front() {
            let batch = Batch { removals: vec![pump.clone()], ..Batch::default() };
            let told = Waiters { acks: vec![(ack, Instant::now())], found: Vec::new(), removed: Some(pump) };
            return Next { batch, told };
        }
        let (mut batch, found) = self.results.take();
        let mut acks = Vec::new();
        while let Some(Queued { record, after }) = self.readings.front()
            && *after <= self.results.taken()
            && (batch.readings.is_empty() || batch.readings.len() + record.readings.len() <= max_rows)
            && let Some(Queued { record: RecordReadings { readings, register, ack, since }, .. }) =
                self.readings.pop_front()
        {
            self.rows -= readings.len();
            batch.readings.extend(readings);
            let new = register.filter(|record| !batch.pumps.contains(record));
            batch.pumps.extend(new);
            acks.push((ack, since));
        }
        Next { batch, told: Waiters { acks, found, removed: None } }
    }
}

impl Results {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        let Self { detections, sent: _, documents, metrics, states } = self;
        detections.len() + documents.len() + metrics.len() + states.len()
    }

    pub(super) fn detections(&self) -> usize {
        self.detections.len()
    }

    /// How many of the detections that ever came do not wait.
    fn taken(&self) -> u64 {
        self.sent - self.detections.len() as u64
    }

    /// Drops what is of a pump that is removed.
    fn forget(&mut self, pump: &PumpId) {
        self.detections.retain(|found| found.detection.pump != *pump);
        self.documents.retain(|document| document.pump() != Some(pump));
        self.states.remove(pump);
    }

    /// A state that comes in takes its pump's older one's place.
    pub(super) fn remember(&mut self, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|known| known.at <= state.at) {
            self.states.insert(state.pump.clone(), state);
        }
    }

    /// One more; answers how many had to be given up for it.
    pub(super) fn add(&mut self, verdict: RecordDetection) -> usize {
        let full = self.detections.len() >= MAX_KEPT_DETECTIONS;
        if full {
            self.detections.pop_front();
        }
        self.detections.push_back(verdict);
        self.sent += 1;
        usize::from(full)
    }

    /// The next record's share. States wait for the last detection: they must not be stored before those that they hold.
    fn take(&mut self) -> (Batch, Vec<DetectionTimes>) {
        let n = self.detections.len().min(MAX_BATCH_DETECTIONS);
        let (detections, found): (Vec<Detection>, Vec<DetectionTimes>) = self
            .detections
            .drain(..n)
            .map(|RecordDetection { detection, received_at, since }| (detection, DetectionTimes { since, received_at }))
            .unzip();
        let states = match self.detections.is_empty() {
            true => {
                std::iter::from_fn(|| self.states.pop_first()).take(MAX_BATCH_STATES).map(|(_, state)| state).collect()
            }
            false => Vec::new(),
        };
        let batch = Batch {
            pumps: Vec::new(),
            readings: Vec::new(),
            detections,
            documents: std::mem::take(&mut self.documents),
            metrics: std::mem::take(&mut self.metrics),
            states,
            removals: Vec::new(),
        };
        (batch, found)
    }

    /// Back in front of what has come in since; answers how many detections had to be given up.
    fn put_back(&mut self, batch: Batch, found: Vec<DetectionTimes>) -> usize {
        // Who sent readings, with their pump's registration, or a removal was told, and tries again.
        let Batch { detections, documents, metrics, states, pumps: _, readings: _, removals: _ } = batch;
        self.documents.splice(..0, documents);
        self.metrics.splice(..0, metrics);
        // What has come in since is newer.
        for state in states {
            self.states.entry(state.pump.clone()).or_insert(state);
        }
        for (detection, DetectionTimes { since, received_at }) in detections.into_iter().zip(found).rev() {
            self.detections.push_front(RecordDetection { detection, received_at, since });
        }
        // The figures of a minute ago are worth less than the memory.
        let surplus_metrics = self.metrics.len().saturating_sub(60);
        self.metrics.drain(..surplus_metrics);
        let surplus = self.detections.len().saturating_sub(MAX_KEPT_DETECTIONS);
        self.detections.drain(..surplus);
        surplus
    }
}

fn is_empty(batch: &Batch) -> bool {
    let Batch { pumps, readings, detections, documents, metrics, states, removals } = batch;
    let results = pumps.is_empty() && documents.is_empty() && metrics.is_empty() && states.is_empty();
    results && removals.is_empty() && readings.is_empty() && detections.is_empty()
}

#[cfg(test)]
mod tests;
