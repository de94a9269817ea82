//! The recorder: groups what has to be stored into one record of the journal at a time, and says when it is durable.
//!
//! While a record is written, the next batch gathers. Readings whose record fails are refused, and their
//! clients try again; detections, events, pumps and their states are kept and tried again with the next batch. Of these only
//! detections are ever given up, the oldest first, beyond [`MAX_KEPT_DETECTIONS`].
//!
//! A failure of the journal itself is final for the process: a record whose sync failed may be there and not
//! durable, so nothing that is read afterwards may be acknowledged. The gate refuses until the node is restarted.
//! A full disk is not final, and the database's failures do not come up here: see the keeper.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_data::{Batch, PumpRecord, PumpState, Store, StoreError, SystemMetrics};
use volute_plant::{Detection, MaintenanceEvent, PumpId, Reading};

use crate::{
    counters::{Counters, add},
    mailbox::{Mail, Mailbox, unbound},
    settings::EngineSettings,
};

/// How many detections outlive a store that fails: 100 pumps for quarter of an hour.
const MAX_KEPT_DETECTIONS: usize = 100_000;
/// Detections in one record.
const MAX_BATCH_DETECTIONS: usize = 2_000;
/// How long after a failure what was kept is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The ways to the recorder: readings have a mailbox of their own, as large as their permits.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub readings: Mailbox<RecorderActor>,
    pub results: Mailbox<RecorderActor>,
}

/// Readings to be stored; `ack` says whether they are.
pub(crate) struct RecordReadings {
    pub readings: Vec<Reading>,
    pub ack: oneshot::Sender<Stored>,
}

/// Whether readings are at rest.
pub(crate) type Stored = Result<(), Unstored>;

/// Why readings are not at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// The disk is full.
    DiskFull,
    /// Too much waits for the database.
    Backlog,
    /// Something failed; the log says what.
    Failed,
}

impl From<&StoreError> for Unstored {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::Backlog { .. } => Self::Backlog,
            _ => Self::Failed,
        }
    }
}

/// Answers once nothing waits to be stored.
pub(crate) struct DrainRecorder(pub oneshot::Sender<()>);

/// The actor.
pub(crate) struct RecorderActor {
    store: Store,
    counters: Arc<Counters>,
    max_rows: usize,
    linger: Duration,
    readings: VecDeque<RecordReadings>,
    waiting_rows: usize,
    results: Results,
    /// Raised for good when the journal fails: it may hold records that are not durable.
    failed: Arc<AtomicBool>,
    state: State,
    drains: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing waits.
    Idle,
    /// Something waits for company.
    Lingering,
    /// A record is being written.
    Committing,
}

/// What must be stored in the end, whatever happens to one record.
#[derive(Default)]
struct Results {
    pumps: Vec<PumpRecord>,
    detections: VecDeque<Detection>,
    events: Vec<MaintenanceEvent>,
    metrics: Vec<SystemMetrics>,
    /// Of each pump the newest.
    states: BTreeMap<PumpId, PumpState>,
}

impl RecorderActor {
    pub(crate) fn new(
        store: Store,
        counters: Arc<Counters>,
        settings: &EngineSettings,
        failed: Arc<AtomicBool>,
    ) -> Self {
        Self {
            store,
            counters,
            max_rows: settings.max_batch_readings,
            linger: settings.linger,
            failed,
            readings: VecDeque::new(),
            waiting_rows: 0,
            results: Results::default(),
            state: State::Idle,
            drains: Vec::new(),
        }
    }

    /// Something has come in.
    fn stir(&mut self, ctx: &mut Context<Self>) {
        match self.state {
            State::Committing => {}
            _ if self.waiting_rows >= self.max_rows => self.commit(ctx),
            State::Lingering => {}
            State::Idle => {
                self.state = State::Lingering;
                ctx.run_later(self.linger, |actor, ctx| {
                    if actor.state == State::Lingering {
                        actor.commit(ctx);
                    }
                });
            }
        }
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        let mut batch = self.results.take();
        let mut acks = Vec::new();
        while let Some(next) = self.readings.front()
            && (batch.readings.is_empty() || batch.readings.len() + next.readings.len() <= self.max_rows)
            && let Some(RecordReadings { readings, ack }) = self.readings.pop_front()
        {
            self.waiting_rows -= readings.len();
            batch.readings.extend(readings);
            acks.push(ack);
        }
        self.state = State::Committing;
        let store = self.store.clone();
        let record = async move {
            let outcome = store.commit(&batch).await;
            (batch, acks, outcome)
        };
        ctx.spawn(
            record
                .into_actor(self)
                .map(|(batch, acks, outcome), actor, ctx| actor.committed(batch, acks, outcome, ctx)),
        );
    }

    fn committed(
        &mut self,
        batch: Batch,
        acks: Vec<oneshot::Sender<Stored>>,
        outcome: Result<(), StoreError>,
        ctx: &mut Context<Self>,
    ) {
        self.state = State::Idle;
        let stored = outcome.as_ref().map(|_| ()).map_err(Unstored::from);
        for ack in acks {
            // Whoever asked may have gone.
            let _ = ack.send(stored);
        }
        match outcome {
            Ok(()) => add(&self.counters.commits, 1),
            Err(error) => {
                tracing::error!(%error, readings = batch.readings.len(), "not stored");
                if matches!(error, StoreError::Journal(_)) {
                    self.failed.store(true, Ordering::Relaxed);
                }
                add(&self.counters.commit_failures, 1);
                let dropped = self.results.put_back(batch);
                add(&self.counters.detections_dropped, dropped);
            }
        }
        self.go_on(stored.is_ok(), ctx);
    }

    fn go_on(&mut self, stored: bool, ctx: &mut Context<Self>) {
        if !self.readings.is_empty() || (stored && !self.results.is_empty()) {
            return self.commit(ctx);
        }
        if self.results.is_empty() {
            for drain in self.drains.drain(..) {
                let _ = drain.send(());
            }
            return;
        }
        self.state = State::Lingering;
        ctx.run_later(RETRY, |actor, ctx| {
            if actor.state == State::Lingering {
                actor.commit(ctx);
            }
        });
    }
}

impl Results {
    fn is_empty(&self) -> bool {
        self.pumps.is_empty()
            && self.detections.is_empty()
            && self.events.is_empty()
            && self.metrics.is_empty()
            && self.states.is_empty()
    }

    /// A state that comes in takes its pump's older one's place.
    fn remember(&mut self, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|known| known.at <= state.at) {
            self.states.insert(state.pump.clone(), state);
        }
    }

    /// The next record's share. States wait for the last detection: they must not be stored before those that they hold.
    fn take(&mut self) -> Batch {
        let n = self.detections.len().min(MAX_BATCH_DETECTIONS);
        let detections: Vec<Detection> = self.detections.drain(..n).collect();
        let all = self.detections.is_empty();
        Batch {
            pumps: std::mem::take(&mut self.pumps),
            readings: Vec::new(),
            detections,
            events: std::mem::take(&mut self.events),
            metrics: std::mem::take(&mut self.metrics),
            states: if all { std::mem::take(&mut self.states).into_values().collect() } else { Vec::new() },
        }
    }

    /// Back in front of what has come in since; answers how many detections had to be given up.
    fn put_back(&mut self, batch: Batch) -> usize {
        let Batch { pumps, detections, events, metrics, states, readings: _ } = batch;
        self.pumps.splice(..0, pumps);
        self.events.splice(..0, events);
        self.metrics.splice(..0, metrics);
        // What has come in since is newer.
        for state in states {
            self.states.entry(state.pump.clone()).or_insert(state);
        }
        for detection in detections.into_iter().rev() {
            self.detections.push_front(detection);
        }
        // The figures of a minute ago are worth less than the memory.
        let surplus_metrics = self.metrics.len().saturating_sub(60);
        self.metrics.drain(..surplus_metrics);
        let surplus = self.detections.len().saturating_sub(MAX_KEPT_DETECTIONS);
        self.detections.drain(..surplus);
        surplus
    }
}

impl Actor for RecorderActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
    }
}

impl Handler<Mail<RecordReadings>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<RecordReadings>, ctx: &mut Self::Context) {
        let record = mail.open();
        self.waiting_rows += record.readings.len();
        self.readings.push_back(record);
        self.stir(ctx);
    }
}

impl Handler<Mail<Detection>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<Detection>, ctx: &mut Self::Context) {
        if self.results.detections.len() >= MAX_KEPT_DETECTIONS {
            self.results.detections.pop_front();
            add(&self.counters.detections_dropped, 1);
        }
        self.results.detections.push_back(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<MaintenanceEvent>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<MaintenanceEvent>, ctx: &mut Self::Context) {
        self.results.events.push(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<PumpRecord>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<PumpRecord>, ctx: &mut Self::Context) {
        self.results.pumps.push(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<PumpState>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<PumpState>, ctx: &mut Self::Context) {
        self.results.remember(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<SystemMetrics>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<SystemMetrics>, ctx: &mut Self::Context) {
        self.results.metrics.push(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<DrainRecorder>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<DrainRecorder>, ctx: &mut Self::Context) {
        let DrainRecorder(reply) = mail.open();
        if self.state == State::Idle {
            let _ = reply.send(());
            return;
        }
        self.drains.push(reply);
        if self.state == State::Lingering {
            self.commit(ctx);
        }
    }
}

#[cfg(test)]
mod tests;
