//! What waits to be stored, and the writing of it, one record at a time. Both outlive the recorder's actor.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot};
use volute_data::{AuditEntry, Batch, PumpRecord, PumpState, Store, StoreError, SystemMetrics};
use volute_plant::{Clock, Detection, MaintenanceEvent, PumpId, Timestamp};

use super::{Found, RecordReadings, Stored, Unstored};
use crate::counters::{Counters, add};

/// How many detections outlive a store that fails: 100 pumps for quarter of an hour.
const MAX_KEPT_DETECTIONS: usize = 100_000;
/// Detections in one record.
const MAX_BATCH_DETECTIONS: usize = 2_000;
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
    /// One record is written at a time, whoever had it begun.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    /// Where records are written, so that one under way is not the actor's to lose.
    pub runtime: Handle,
}

/// What goes into one record.
struct Next {
    batch: Batch,
    /// Who waits for it, and since when.
    acks: Vec<(oneshot::Sender<Stored>, Instant)>,
    /// Likewise, of the detections.
    found: Vec<FoundAt>,
}

/// When a detection was made, and when the last reading of its window was received.
#[derive(Clone, Copy)]
struct FoundAt {
    since: Instant,
    heard: Timestamp,
}

/// What waits to be stored.
#[derive(Default)]
pub(crate) struct Pending {
    pub(super) readings: VecDeque<RecordReadings>,
    pub(super) rows: usize,
    pub(super) results: Results,
}

/// What must be stored in the end, whatever happens to one record.
#[derive(Default)]
pub(super) struct Results {
    pub(super) pumps: Vec<PumpRecord>,
    detections: VecDeque<Found>,
    pub(super) events: Vec<MaintenanceEvent>,
    pub(super) metrics: Vec<SystemMetrics>,
    pub(super) audit: Vec<AuditEntry>,
    /// Of each pump the newest.
    states: BTreeMap<PumpId, PumpState>,
}

impl Writer {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that waits, up to the first record that is not stored.
    pub(super) async fn write_all(self) {
        while !self.pending().is_empty() && self.clone().write().await {}
    }

    /// Writes what waits as one record; answers whether it is stored.
    pub(super) async fn write(self) -> bool {
        let _turn = self.turn.lock().await;
        let Next { batch, acks, found } = self.pending().take(self.max_rows);
        let empty = is_empty(&batch);
        let outcome = if empty { Ok(()) } else { self.store.commit(&batch).await };
        let stored = outcome.as_ref().map(|_| ()).map_err(Unstored::from);
        let latencies = &self.counters.latencies;
        for (ack, since) in acks {
            latencies.journal.note(since.elapsed());
            // Whoever asked may have gone.
            let _ = ack.send(stored);
        }
        match outcome {
            Ok(()) => {
                add(&self.counters.commits, usize::from(!empty));
                let now = self.clock.now();
                for FoundAt { since, heard } in found {
                    latencies.record.note(since.elapsed());
                    let took_ms = u64::try_from(now.since_ms(heard)).unwrap_or_default();
                    latencies.detection.note(Duration::from_millis(took_ms));
                }
            }
            Err(error) => {
                tracing::error!(%error, readings = batch.readings.len(), "not stored");
                if matches!(error, StoreError::Journal(_)) {
                    self.failed.store(true, Ordering::Relaxed);
                }
                add(&self.counters.commit_failures, 1);
                let dropped = self.pending().results.put_back(batch, found);
                add(&self.counters.detections_dropped, dropped);
            }
        }
        stored.is_ok()
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.results.is_empty()
    }

    /// The next record, and who wants to know of it.
    fn take(&mut self, max_rows: usize) -> Next {
        let (mut batch, found) = self.results.take();
        let mut acks = Vec::new();
        while let Some(next) = self.readings.front()
            && (batch.readings.is_empty() || batch.readings.len() + next.readings.len() <= max_rows)
            && let Some(RecordReadings { readings, ack, since }) = self.readings.pop_front()
        {
            self.rows -= readings.len();
            batch.readings.extend(readings);
            acks.push((ack, since));
        }
        Next { batch, acks, found }
    }
}

impl Results {
    pub(super) fn is_empty(&self) -> bool {
        self.pumps.is_empty()
            && self.detections.is_empty()
            && self.events.is_empty()
            && self.metrics.is_empty()
            && self.audit.is_empty()
            && self.states.is_empty()
    }

    pub(super) fn detections(&self) -> usize {
        self.detections.len()
    }

    /// A state that comes in takes its pump's older one's place.
    pub(super) fn remember(&mut self, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|known| known.at <= state.at) {
            self.states.insert(state.pump.clone(), state);
        }
    }

    /// One more; answers how many had to be given up for it.
    pub(super) fn add(&mut self, verdict: Found) -> usize {
        let full = self.detections.len() >= MAX_KEPT_DETECTIONS;
        if full {
            self.detections.pop_front();
        }
        self.detections.push_back(verdict);
        usize::from(full)
    }

    /// The next record's share. States wait for the last detection: they must not be stored before those that they hold.
    fn take(&mut self) -> (Batch, Vec<FoundAt>) {
        let n = self.detections.len().min(MAX_BATCH_DETECTIONS);
        let (detections, found): (Vec<Detection>, Vec<FoundAt>) = self
            .detections
            .drain(..n)
            .map(|Found { detection, heard, since }| (detection, FoundAt { since, heard }))
            .unzip();
        let all = self.detections.is_empty();
        let batch = Batch {
            pumps: std::mem::take(&mut self.pumps),
            readings: Vec::new(),
            detections,
            events: std::mem::take(&mut self.events),
            metrics: std::mem::take(&mut self.metrics),
            audit: std::mem::take(&mut self.audit),
            states: if all { std::mem::take(&mut self.states).into_values().collect() } else { Vec::new() },
        };
        (batch, found)
    }

    /// Back in front of what has come in since; answers how many detections had to be given up.
    fn put_back(&mut self, batch: Batch, found: Vec<FoundAt>) -> usize {
        let Batch { pumps, detections, events, metrics, states, audit, readings: _ } = batch;
        self.pumps.splice(..0, pumps);
        self.events.splice(..0, events);
        self.metrics.splice(..0, metrics);
        self.audit.splice(..0, audit);
        // What has come in since is newer.
        for state in states {
            self.states.entry(state.pump.clone()).or_insert(state);
        }
        for (detection, FoundAt { since, heard }) in detections.into_iter().zip(found).rev() {
            self.detections.push_front(Found { detection, heard, since });
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
    let Batch { pumps, readings, detections, events, metrics, states, audit } = batch;
    let results = pumps.is_empty() && events.is_empty() && metrics.is_empty() && states.is_empty();
    results && audit.is_empty() && readings.is_empty() && detections.is_empty()
}

#[cfg(test)]
mod tests;
