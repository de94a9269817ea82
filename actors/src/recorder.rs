//! The recorder: groups what has to be stored into one record of the journal at a time, and says when it is durable.
//!
//! While a record is written, the next batch gathers. Readings whose record fails are refused, and their
//! clients try again; detections, events, pumps with their states and what people did are kept and tried again with the
//! next batch. Of these only detections are ever given up, the oldest first, beyond [`MAX_KEPT_DETECTIONS`].
//!
//! A failure of the journal itself is final for the process: a record whose sync failed may be there and not
//! durable, so nothing that is read afterwards may be acknowledged. The gate refuses until the node is restarted.
//! A full disk is not final, and the database's failures do not come up here: see the keeper.
//!
//! What waits, and the record under way, are not the actor's own, so that nothing of it is lost with the actor.

mod writer;

use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::sync::oneshot;
use volute_data::{AuditEntry, PumpRecord, PumpState, StoreError, SystemMetrics};
use volute_plant::{Detection, MaintenanceEvent, PumpId, Reading, Timestamp};

pub(crate) use writer::Writer;

use crate::{
    counters::add,
    mailbox::{Letter, Mail, Mailbox},
    supervision::raise,
};

/// How long after a failure what was kept is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long what nobody waits for does without a record of its own: the next readings' takes it along.
const RESULTS_LINGER: Duration = Duration::from_millis(10);

/// The ways to the recorder: readings have a mailbox of their own, as large as their permits.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub readings: Mailbox<RecorderActor>,
    pub results: Mailbox<RecorderActor>,
}

/// A detection to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub detection: Detection,
    /// When the last reading of its window was received.
    pub heard: Timestamp,
    /// When it was sent.
    pub since: Instant,
}

/// Readings to be stored; `ack` says whether they are.
pub(crate) struct RecordReadings {
    pub readings: Vec<Reading>,
    pub ack: oneshot::Sender<Stored>,
    /// When they were sent.
    pub since: Instant,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing waits.
    Idle,
    /// Something waits for company, until then.
    Lingering { until: Instant, timer: SpawnHandle },
    /// A record is being written.
    Committing,
}

impl Letter for RecordReadings {
    fn pump(&self) -> Option<&PumpId> {
        self.readings.first().map(|reading| &reading.pump)
    }
}

impl Letter for Found {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.detection.pump)
    }
}

impl Letter for MaintenanceEvent {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.pump)
    }
}

impl Letter for AuditEntry {
    const KEPT: bool = true;
}

impl Letter for PumpRecord {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.id)
    }
}

impl Letter for PumpState {
    const KEPT: bool = true;

    fn pump(&self) -> Option<&PumpId> {
        Some(&self.pump)
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
            match self.results.deliver(RecordReadings { readings: Vec::new(), ack, since: Instant::now() }).await {
                Ok(()) if answer.await.is_err() => {}
                _ => return,
            }
        }
    }
}

impl RecorderActor {
    pub(crate) fn new(writer: Writer, linger: Duration) -> Self {
        Self { writer, linger, state: State::Idle, drains: Vec::new() }
    }

    /// Something has come in that may wait so long for company.
    fn stir(&mut self, linger: Duration, ctx: &mut Context<Self>) {
        match self.state {
            State::Committing => {}
            _ if self.is_enough() => self.commit(ctx),
            State::Lingering { until, .. } if until <= Instant::now() + linger => {}
            _ => self.wait_for_company(linger, ctx),
        }
    }

    /// As much waits as one record holds.
    fn is_enough(&self) -> bool {
        let pending = self.writer.pending();
        pending.rows + pending.results.detections() >= self.writer.max_rows
    }

    fn wait_for_company(&mut self, time: Duration, ctx: &mut Context<Self>) {
        self.stop_waiting(ctx);
        let timer = ctx.run_later(time, |actor, ctx| {
            if matches!(actor.state, State::Lingering { .. }) {
                actor.commit(ctx);
            }
        });
        self.state = State::Lingering { until: Instant::now() + time, timer };
    }

    fn stop_waiting(&self, ctx: &mut Context<Self>) {
        if let State::Lingering { timer, .. } = self.state {
            ctx.cancel_future(timer);
        }
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        self.stop_waiting(ctx);
        self.state = State::Committing;
        let record = self.writer.runtime.spawn(self.writer.clone().write());
        ctx.spawn(record.into_actor(self).map(|stored, actor, ctx| {
            actor.state = State::Idle;
            match stored {
                Ok(stored) => actor.go_on(stored, ctx),
                Err(broken) => raise(broken),
            }
        }));
    }

    fn go_on(&mut self, stored: bool, ctx: &mut Context<Self>) {
        let (readings, results) = {
            let pending = self.writer.pending();
            (!pending.readings.is_empty(), !pending.results.is_empty())
        };
        let asked = stored && results && (self.is_enough() || !self.drains.is_empty());
        if readings || asked {
            return self.commit(ctx);
        }
        if results {
            return self.wait_for_company(if stored { RESULTS_LINGER } else { RETRY }, ctx);
        }
        for drain in self.drains.drain(..) {
            let _ = drain.send(());
        }
    }
}

impl Drop for RecorderActor {
    /// What was taken in is written at once, whenever the next one comes.
    fn drop(&mut self) {
        let writer = self.writer.clone();
        if !writer.pending().is_empty() {
            drop(writer.runtime.clone().spawn(writer.write_all()));
        }
    }
}

impl Actor for RecorderActor {
    type Context = Context<Self>;

    /// Goes on with what an earlier one left, once what that one began is written.
    fn started(&mut self, ctx: &mut Self::Context) {
        self.commit(ctx);
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
        self.stir(self.linger, ctx);
    }
}

impl Handler<Mail<Found>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<Found>, ctx: &mut Self::Context) {
        let given_up = self.writer.pending().results.add(mail.open());
        add(&self.writer.counters.detections_dropped, given_up);
        self.stir(RESULTS_LINGER, ctx);
    }
}

impl Handler<Mail<MaintenanceEvent>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<MaintenanceEvent>, ctx: &mut Self::Context) {
        self.writer.pending().results.events.push(mail.open());
        self.stir(RESULTS_LINGER, ctx);
    }
}

impl Handler<Mail<AuditEntry>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<AuditEntry>, ctx: &mut Self::Context) {
        self.writer.pending().results.audit.push(mail.open());
        self.stir(RESULTS_LINGER, ctx);
    }
}

impl Handler<Mail<PumpRecord>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<PumpRecord>, ctx: &mut Self::Context) {
        self.writer.pending().results.pumps.push(mail.open());
        self.stir(RESULTS_LINGER, ctx);
    }
}

impl Handler<Mail<PumpState>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<PumpState>, ctx: &mut Self::Context) {
        self.writer.pending().results.remember(mail.open());
        self.stir(RESULTS_LINGER, ctx);
    }
}

impl Handler<Mail<SystemMetrics>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<SystemMetrics>, ctx: &mut Self::Context) {
        self.writer.pending().results.metrics.push(mail.open());
        self.stir(RESULTS_LINGER, ctx);
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
        if matches!(self.state, State::Lingering { .. }) {
            self.commit(ctx);
        }
    }
}
