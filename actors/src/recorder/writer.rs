//! The rows that wait to be stored, and the record in flight. Both outlive the recorder's actor.
//!
//! When the write of a record ends, the senders of its rows are notified on the journal's thread. The actor receives
//! [`RecordEnded`] only if rows wait for the next record. Does not decide when a record begins; see
//! [`super::RecorderActor`].

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
use volute_data::{Batch, CommitError, Document, PumpCheckpoint, Store, StoreError, SystemMetrics};
use volute_plant::{Clock, Detection, PumpId, Timestamp};
use volute_runtime::{ActorSlot, Message, Recipient};

use crate::{
    counters::{Counters, add},
    notifier::feed::NotificationFeed,
    protocol::recorder::{RecordDetection, RecordReadings, RecordRemoval, StoreFailure, StoreOutcome},
};

/// The maximum number of detections that wait while the journal fails, for example those of 100 pumps for 16 minutes at
/// one per second.
const MAX_PENDING_DETECTIONS: usize = 100_000;
/// The maximum number of detections in one record.
const MAX_BATCH_DETECTIONS: usize = 2_000;
/// The maximum number of checkpoints in one record. When the node stops, every pump sends one of some kilobytes. Those
/// of 20,000 pumps would be too large for one record.
const MAX_BATCH_CHECKPOINTS: usize = 1_000;

/// Writes records. Holds the waiting rows and the record in flight, which outlive the actor.
#[derive(Clone)]
pub(crate) struct Writer {
    pub store: Store,
    pub counters: Arc<Counters>,
    pub clock: Arc<dyn Clock>,
    /// The maximum number of readings in one record.
    pub max_rows: usize,
    /// Set permanently when the journal fails, because the journal may hold records that are not durable.
    pub journal_failed: Arc<AtomicBool>,
    pub pending: Arc<Mutex<Pending>>,
    /// Notifies the actor that a record has ended while rows wait.
    pub record_ended: Recipient<RecordEnded>,
    /// Receives the durable rows of which notifications are made.
    pub feed: NotificationFeed,
    /// The actor's slot, whose metrics show the number of waiting rows.
    pub slot: Arc<ActorSlot>,
}

/// A record has ended, and rows wait for the next one.
pub(crate) struct RecordEnded {
    /// Whether the record is durable.
    pub stored: bool,
}

impl Message for RecordEnded {
    const SURVIVES_FAILURE: bool = true;
}

/// Locked access to the waiting rows. Updates the metric of their number when it is dropped.
pub(super) struct PendingGuard<'a> {
    pending: MutexGuard<'a, Pending>,
    slot: &'a ActorSlot,
}

/// The content of one record, and its waiters.
struct NextRecord {
    batch: Batch,
    waiters: Waiters,
}

/// What has to be done when a record ends.
struct Waiters {
    /// The acknowledgments to send, and when the rows were sent.
    acks: Vec<(oneshot::Sender<StoreOutcome>, Instant)>,
    /// The times of the record's detections.
    detections: Vec<DetectionTimes>,
    /// The pump that the record removes.
    removed: Option<PumpId>,
}

/// The record in flight. Its drop allows the next record to begin, whether this one was stored or not.
struct InFlightCommit {
    writer: Writer,
    stored: bool,
}

/// When a detection was sent, and when the last reading of its window was received.
#[derive(Clone, Copy)]
struct DetectionTimes {
    sent_at: Instant,
    received_at: Timestamp,
}

/// The rows that wait to be stored.
#[derive(Default)]
pub(crate) struct Pending {
    pub(super) readings: VecDeque<Queued>,
    /// The number of waiting readings.
    pub(super) rows: usize,
    pub(super) removals: VecDeque<RecordRemoval>,
    pub(super) results: Results,
    /// Notified once no row waits.
    pub(super) drains: Vec<oneshot::Sender<()>>,
    /// Whether a record is being written. At most one is.
    in_flight: bool,
    /// The generation of the actor's incarnation that schedules records. Without one, waiting rows are written at once.
    attached: Option<u64>,
}

/// Readings of one message that wait.
pub(super) struct Queued {
    record: RecordReadings,
    /// The number of detections, counted since the start, that must be in records before this message is acknowledged.
    /// Zero if the message has readings. A message without readings is acknowledged once everything before it is
    /// stored; otherwise it could overtake detections that exceed the limit of one record.
    after_detections: u64,
}

/// Rows that stay until they are stored, even if a record fails.
#[derive(Default)]
pub(super) struct Results {
    detections: VecDeque<RecordDetection>,
    /// The number of detections received since the start.
    received_detections: u64,
    /// Maintenance events and audit entries, in the order of arrival.
    pub(super) documents: Vec<Document>,
    pub(super) metrics: Vec<SystemMetrics>,
    /// The newest checkpoint of each pump.
    checkpoints: BTreeMap<PumpId, PumpCheckpoint>,
}

impl Writer {
    pub(super) fn pending(&self) -> PendingGuard<'_> {
        let pending = self.pending.lock();
        PendingGuard { pending, slot: &self.slot }
    }

    /// Records that an incarnation of the actor schedules records from now on. Begins a record for rows that an earlier
    /// incarnation has left.
    pub(super) fn attach(&self, generation: u64) {
        self.pending().attached = Some(generation);
        self.begin();
    }

    /// Records that the incarnation has ended. Waiting rows are written at once, without waiting for the next
    /// incarnation.
    pub(super) fn detach(&self, generation: u64) {
        if self.pending().attached.take_if(|attached| *attached == generation).is_some() {
            self.begin();
        }
    }

    /// Begins the next record, unless one is in flight or no row waits.
    pub(super) fn begin(&self) {
        let NextRecord { batch, waiters } = {
            let mut pending = self.pending();
            if pending.in_flight || pending.notify_if_empty() {
                return;
            }
            pending.in_flight = true;
            pending.next_record(self.max_rows)
        };
        let mut commit = InFlightCommit { writer: self.clone(), stored: false };
        if is_empty(&batch) {
            // The batch has only messages without readings. They are acknowledged, because everything before them is
            // stored.
            return commit.finish(Ok(()), waiters);
        }
        let notable = self.feed.select(&batch.documents);
        self.store.commit_then(batch, move |outcome| {
            if outcome.is_ok() {
                let dropped = commit.writer.feed.put(notable);
                add(&commit.writer.counters.notification_rows_dropped, dropped);
            }
            add(&commit.writer.counters.commits, usize::from(outcome.is_ok()));
            commit.finish(outcome, waiters);
        });
    }

    fn record_latencies(&self, detections: Vec<DetectionTimes>) {
        let (now, latencies) = (self.clock.now(), &self.counters.latencies);
        for DetectionTimes { sent_at, received_at } in detections {
            latencies.detection_commit.record(sent_at.elapsed());
            let took_ms = u64::try_from(now.since_ms(received_at)).unwrap_or_default();
            latencies.detection_total.record(Duration::from_millis(took_ms));
        }
    }

    fn handle_failure(&self, CommitError { error, mut batch }: CommitError, mut detections: Vec<DetectionTimes>) {
        tracing::error!(%error, readings = batch.readings.len(), "a record was not stored");
        add(&self.counters.commit_failures, 1);
        if matches!(error, StoreError::InvalidRow { .. }) {
            let is_valid = |row: &Batch| match self.store.check(row) {
                Err(error @ StoreError::InvalidRow { .. }) => {
                    tracing::error!(%error, "a row was dropped");
                    false
                }
                _ => true,
            };
            let dropped = drop_invalid_rows(&mut batch, &mut detections, is_valid);
            add(&self.counters.invalid_rows_dropped, dropped);
        }
        let dropped = self.pending().results.put_back(batch, detections);
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
        self.slot.metrics.held.store(self.pending.len(), Ordering::Relaxed);
    }
}

impl InFlightCommit {
    /// Notifies the senders of the record's rows, and puts back rows of a failed record that must not be lost.
    fn finish(&mut self, outcome: Result<(), CommitError>, Waiters { acks, detections, removed }: Waiters) {
        let stored = outcome.as_ref().copied().map_err(|failure| StoreFailure::from(&failure.error));
        if outcome.as_ref().is_err_and(|failure| matches!(failure.error, StoreError::Journal(_))) {
            // Set before the acknowledgments, so that a client that then queries the node's health sees the failure.
            self.writer.journal_failed.store(true, Ordering::Relaxed);
        }
        if let (Ok(()), Some(pump)) = (stored, removed) {
            // Done before the next record begins. The store would refuse a whole record because of one row of an
            // unregistered pump.
            self.writer.pending().remove_pump(&pump);
        }
        for (ack, sent_at) in acks {
            self.writer.counters.latencies.reading_commit.record(sent_at.elapsed());
            // The sender may have stopped waiting.
            let _ = ack.send(stored);
        }
        match outcome {
            Ok(()) => self.writer.record_latencies(detections),
            Err(failure) => self.writer.handle_failure(failure, detections),
        }
        self.stored = stored.is_ok();
    }
}

impl Drop for InFlightCommit {
    fn drop(&mut self) {
        let is_attached = {
            let mut pending = self.writer.pending();
            pending.in_flight = false;
            if pending.notify_if_empty() {
                return;
            }
            pending.attached.is_some()
        };
        if is_attached {
            // If the inbox is full, the actor will handle an earlier notification. If the actor has ended, `detach`
            // begins the next record.
            let _ = self.writer.record_ended.try_send(RecordEnded { stored: self.stored });
        } else if self.stored {
            self.writer.begin();
        }
    }
}

impl Pending {
    /// Returns whether no row waits, and replies to the waiting drains then.
    fn notify_if_empty(&mut self) -> bool {
        let empty = !self.has_unacknowledged() && self.results.is_empty();
        if empty {
            for drain in self.drains.drain(..) {
                let _ = drain.send(());
            }
        }
        empty
    }

    /// Queues readings behind those that arrived before.
    pub(super) fn queue(&mut self, record: RecordReadings) {
        let after_detections = if record.readings.is_empty() { self.results.received_detections } else { 0 };
        self.rows += record.readings.len();
        self.readings.push_back(Queued { record, after_detections });
    }

    /// Returns the number of waiting messages.
    fn len(&self) -> usize {
        self.readings.len() + self.removals.len() + self.results.len()
    }

    /// Returns whether readings or removals wait, whose senders expect an acknowledgment.
    pub(super) fn has_unacknowledged(&self) -> bool {
        !self.readings.is_empty() || !self.removals.is_empty()
    }

    /// Drops the waiting rows of a removed pump.
    fn remove_pump(&mut self, pump: &PumpId) {
        self.readings.retain(|waiting| waiting.record.readings.first().is_none_or(|reading| reading.pump != *pump));
        self.rows = self.readings.iter().map(|waiting| waiting.record.readings.len()).sum();
        self.results.remove_pump(pump);
    }

    /// Returns whether a record is being written.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// Removes and returns the rows of the next record, and its waiters.
    fn next_record(&mut self, max_rows: usize) -> NextRecord {
        if let Some(RecordRemoval { pump, ack }) = self.removals.pop_front() {
            let batch = Batch { removals: vec![pump.clone()], ..Batch::default() };
            let waiters = Waiters { acks: vec![(ack, Instant::now())], detections: Vec::new(), removed: Some(pump) };
            return NextRecord { batch, waiters };
        }
        let (mut batch, detections) = self.results.take();
        let mut acks = Vec::new();
        while let Some(Queued { record, after_detections }) = self.readings.front()
            && *after_detections <= self.results.taken_detections()
            && (batch.readings.is_empty() || batch.readings.len() + record.readings.len() <= max_rows)
            && let Some(Queued { record: RecordReadings { readings, register, ack, sent_at }, .. }) =
                self.readings.pop_front()
        {
            self.rows -= readings.len();
            batch.readings.extend(readings);
            let registration = register.filter(|record| !batch.pumps.contains(record));
            batch.pumps.extend(registration);
            acks.push((ack, sent_at));
        }
        NextRecord { batch, waiters: Waiters { acks, detections, removed: None } }
    }
}

impl Results {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        let Self { detections, received_detections: _, documents, metrics, checkpoints } = self;
        detections.len() + documents.len() + metrics.len() + checkpoints.len()
    }

    pub(super) fn detections(&self) -> usize {
        self.detections.len()
    }

    /// Returns how many of the received detections do not wait any more.
    fn taken_detections(&self) -> u64 {
        self.received_detections - self.detections.len() as u64
    }

    /// Drops the rows of a removed pump.
    fn remove_pump(&mut self, pump: &PumpId) {
        self.detections.retain(|record| record.detection.pump != *pump);
        self.documents.retain(|document| document.pump() != Some(pump));
        self.checkpoints.remove(pump);
    }

    /// Adds a checkpoint, unless a newer one of the same pump waits. Replaces an older one.
    pub(super) fn add_checkpoint(&mut self, checkpoint: PumpCheckpoint) {
        if self.checkpoints.get(&checkpoint.pump).is_none_or(|known| known.at <= checkpoint.at) {
            self.checkpoints.insert(checkpoint.pump.clone(), checkpoint);
        }
    }

    /// Adds a detection. Returns how many had to be dropped for it.
    pub(super) fn add_detection(&mut self, record: RecordDetection) -> usize {
        let full = self.detections.len() >= MAX_PENDING_DETECTIONS;
        if full {
            self.detections.pop_front();
        }
        self.detections.push_back(record);
        self.received_detections += 1;
        usize::from(full)
    }

    /// Removes and returns the rows for the next record. Checkpoints wait until no detections wait, because a
    /// checkpoint must not be stored before the detections that it covers.
    fn take(&mut self) -> (Batch, Vec<DetectionTimes>) {
        let n = self.detections.len().min(MAX_BATCH_DETECTIONS);
        let (detections, times): (Vec<Detection>, Vec<DetectionTimes>) = self
            .detections
            .drain(..n)
            .map(|RecordDetection { detection, received_at, sent_at }| {
                (detection, DetectionTimes { sent_at, received_at })
            })
            .unzip();
        let checkpoints = match self.detections.is_empty() {
            true => std::iter::from_fn(|| self.checkpoints.pop_first())
                .take(MAX_BATCH_CHECKPOINTS)
                .map(|(_, checkpoint)| checkpoint)
                .collect(),
            false => Vec::new(),
        };
        let batch = Batch {
            pumps: Vec::new(),
            readings: Vec::new(),
            detections,
            documents: std::mem::take(&mut self.documents),
            metrics: std::mem::take(&mut self.metrics),
            checkpoints,
            removals: Vec::new(),
        };
        (batch, times)
    }

    /// Puts rows of a failed record back in front of later ones. Returns how many detections had to be dropped.
    fn put_back(&mut self, batch: Batch, times: Vec<DetectionTimes>) -> usize {
        // Readings, registrations and removals are not put back. Their senders were notified and try again.
        let Batch { detections, documents, metrics, checkpoints, pumps: _, readings: _, removals: _ } = batch;
        self.documents.splice(..0, documents);
        self.metrics.splice(..0, metrics);
        // A checkpoint that arrived in the meantime is newer, so it stays.
        for checkpoint in checkpoints {
            self.checkpoints.entry(checkpoint.pump.clone()).or_insert(checkpoint);
        }
        for (detection, DetectionTimes { sent_at, received_at }) in detections.into_iter().zip(times).rev() {
            self.detections.push_front(RecordDetection { detection, received_at, sent_at });
        }
        // Keeps at most 60 rows of metrics, to limit the memory.
        let surplus_metrics = self.metrics.len().saturating_sub(60);
        self.metrics.drain(..surplus_metrics);
        let surplus = self.detections.len().saturating_sub(MAX_PENDING_DETECTIONS);
        self.detections.drain(..surplus);
        surplus
    }
}

/// Drops the detections, documents and checkpoints that the store would refuse again. If they were put back, no later
/// record could be stored. Returns how many were dropped.
fn drop_invalid_rows(batch: &mut Batch, times: &mut Vec<DetectionTimes>, is_valid: impl Fn(&Batch) -> bool) -> usize {
    let before = batch.detections.len() + batch.documents.len() + batch.checkpoints.len();
    // Its registrations decide whether a row is valid.
    let pumps = std::mem::take(&mut batch.pumps);
    let mut alone = Batch { pumps, ..Batch::default() };
    let (detections, kept_times) = std::mem::take(&mut batch.detections)
        .into_iter()
        .zip(std::mem::take(times))
        .filter(|(detection, _)| {
            alone.detections = vec![detection.clone()];
            is_valid(&alone)
        })
        .unzip();
    (batch.detections, *times) = (detections, kept_times);
    alone.detections.clear();
    batch.documents.retain(|document| {
        alone.documents = vec![document.clone()];
        is_valid(&alone)
    });
    alone.documents.clear();
    batch.checkpoints.retain(|checkpoint| {
        alone.checkpoints = vec![checkpoint.clone()];
        is_valid(&alone)
    });
    before - batch.detections.len() - batch.documents.len() - batch.checkpoints.len()
}

fn is_empty(batch: &Batch) -> bool {
    let Batch { pumps, readings, detections, documents, metrics, checkpoints, removals } = batch;
    let results = pumps.is_empty() && documents.is_empty() && metrics.is_empty() && checkpoints.is_empty();
    results && removals.is_empty() && readings.is_empty() && detections.is_empty()
}

#[cfg(test)]
mod tests;
