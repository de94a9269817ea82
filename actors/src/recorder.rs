//! The recorder: groups what has to be stored into one record of the journal at a time, and says when it is durable.
//!
//! While a record is written, the next batch gathers. Readings whose record fails are refused, and their
//! clients try again; detections, events and pumps are kept and tried again with the next batch. Of these only
//! detections are ever given up, the oldest first, beyond [`MAX_KEPT_DETECTIONS`].
//!
//! A failure of the journal itself is final for the process: a record whose sync failed may be there and not
//! durable, so nothing that is read afterwards may be acknowledged. The gate refuses until the node is restarted.
//! A full disk is not final, and the database's failures do not come up here: see the keeper.
//!
//! What waits, and the record under way, are not the actor's own, so that nothing of it is lost with the actor.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::{runtime::Handle, sync::oneshot};
use volute_data::{Batch, PumpRecord, Store, StoreError, SystemMetrics};
use volute_plant::{Detection, MaintenanceEvent, PumpId, Reading};

use crate::{
    counters::{Counters, add},
    mailbox::{Letter, Mail, Mailbox},
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
    writer: Writer,
    linger: Duration,
    state: State,
    drains: Vec<oneshot::Sender<()>>,
}

/// What outlives the actor: all that waits to be stored, and the record that is being written.
#[derive(Clone)]
pub(crate) struct Writer {
    pub store: Store,
    pub counters: Arc<Counters>,
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

/// What waits to be stored.
#[derive(Default)]
pub(crate) struct Pending {
    readings: VecDeque<RecordReadings>,
    rows: usize,
    results: Results,
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
}

impl Letter for RecordReadings {
    fn pump(&self) -> Option<&PumpId> {
        self.readings.first().map(|reading| &reading.pump)
    }
}

impl Letter for Detection {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.pump)
    }
}

impl Letter for MaintenanceEvent {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.pump)
    }
}

impl Letter for PumpRecord {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.id)
    }
}

impl Letter for SystemMetrics {
    const KEPT: bool = true;
}

impl Letter for DrainRecorder {}

impl Recorder {
    /// Waits until all that was sent before is stored, or refused.
    pub(crate) async fn settled(&self) {
        loop {
            let (ack, answer) = oneshot::channel();
            // It takes its turn among the readings; an answer that is dropped says that the recorder broke meanwhile.
            match self.results.deliver(RecordReadings { readings: Vec::new(), ack }).await {
                Ok(()) if answer.await.is_err() => {}
                _ => return,
            }
        }
    }
}

impl Writer {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits as one record; answers whether it is stored.
    async fn write(self) -> bool {
        let _turn = self.turn.lock().await;
        let (batch, acks) = self.pending().take(self.max_rows);
        let outcome = if is_empty(&batch) { Ok(()) } else { self.store.commit(&batch).await };
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
                let dropped = self.pending().results.put_back(batch);
                add(&self.counters.detections_dropped, dropped);
            }
        }
        stored.is_ok()
    }
}

impl Pending {
    /// The next record, and who wants to know of it.
    fn take(&mut self, max_rows: usize) -> (Batch, Vec<oneshot::Sender<Stored>>) {
        let mut batch = self.results.take();
        let mut acks = Vec::new();
        while let Some(next) = self.readings.front()
            && (batch.readings.is_empty() || batch.readings.len() + next.readings.len() <= max_rows)
            && let Some(RecordReadings { readings, ack }) = self.readings.pop_front()
        {
            self.rows -= readings.len();
            batch.readings.extend(readings);
            acks.push(ack);
        }
        (batch, acks)
    }
}

impl RecorderActor {
    pub(crate) fn new(writer: Writer, linger: Duration) -> Self {
        Self { writer, linger, state: State::Idle, drains: Vec::new() }
    }

    /// Something has come in.
    fn stir(&mut self, ctx: &mut Context<Self>) {
        match self.state {
            State::Committing => {}
            _ if self.writer.pending().rows >= self.writer.max_rows => self.commit(ctx),
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
        self.state = State::Committing;
        let record = self.writer.runtime.spawn(self.writer.clone().write());
        ctx.spawn(record.into_actor(self).map(|stored, actor, ctx| {
            actor.state = State::Idle;
            actor.go_on(stored.unwrap_or(false), ctx);
        }));
    }

    fn go_on(&mut self, stored: bool, ctx: &mut Context<Self>) {
        let (readings, results) = {
            let pending = self.writer.pending();
            (!pending.readings.is_empty(), !pending.results.is_empty())
        };
        if readings || (stored && results) {
            return self.commit(ctx);
        }
        if !results {
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

fn is_empty(batch: &Batch) -> bool {
    let Batch { pumps, readings, detections, events, metrics } = batch;
    pumps.is_empty() && readings.is_empty() && detections.is_empty() && events.is_empty() && metrics.is_empty()
}

impl Results {
    fn is_empty(&self) -> bool {
        self.pumps.is_empty() && self.detections.is_empty() && self.events.is_empty() && self.metrics.is_empty()
    }

    /// The next record's share.
    fn take(&mut self) -> Batch {
        let n = self.detections.len().min(MAX_BATCH_DETECTIONS);
        Batch {
            pumps: std::mem::take(&mut self.pumps),
            readings: Vec::new(),
            detections: self.detections.drain(..n).collect(),
            events: std::mem::take(&mut self.events),
            metrics: std::mem::take(&mut self.metrics),
        }
    }

    /// Back in front of what has come in since; answers how many detections had to be given up.
    fn put_back(&mut self, batch: Batch) -> usize {
        let Batch { pumps, detections, events, metrics, readings: _ } = batch;
        self.pumps.splice(..0, pumps);
        self.events.splice(..0, events);
        self.metrics.splice(..0, metrics);
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

    /// Goes on with what an earlier one left.
    fn started(&mut self, ctx: &mut Self::Context) {
        self.go_on(true, ctx);
    }
}

impl Handler<Mail<RecordReadings>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<RecordReadings>, ctx: &mut Self::Context) {
        let record = mail.open();
        {
            let mut pending = self.writer.pending();
            pending.rows += record.readings.len();
            pending.readings.push_back(record);
        }
        self.stir(ctx);
    }
}

impl Handler<Mail<Detection>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<Detection>, ctx: &mut Self::Context) {
        {
            let mut pending = self.writer.pending();
            if pending.results.detections.len() >= MAX_KEPT_DETECTIONS {
                pending.results.detections.pop_front();
                add(&self.writer.counters.detections_dropped, 1);
            }
            pending.results.detections.push_back(mail.open());
        }
        self.stir(ctx);
    }
}

impl Handler<Mail<MaintenanceEvent>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<MaintenanceEvent>, ctx: &mut Self::Context) {
        self.writer.pending().results.events.push(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<PumpRecord>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<PumpRecord>, ctx: &mut Self::Context) {
        self.writer.pending().results.pumps.push(mail.open());
        self.stir(ctx);
    }
}

impl Handler<Mail<SystemMetrics>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<SystemMetrics>, ctx: &mut Self::Context) {
        self.writer.pending().results.metrics.push(mail.open());
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
