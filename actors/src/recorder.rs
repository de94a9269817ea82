//! The recorder: groups what has to be stored into one record of the journal at a time, and says when it is durable.
//!
//! While a record is written, the next batch gathers. Readings whose record fails are refused, and their
//! clients try again; detections, events, the pumps' states and what people did are kept and tried again with the
//! next batch. A pump is registered in the record of its first readings, and removed in a record of its own. Of these only detections are ever given up, the oldest first, beyond [`MAX_KEPT_DETECTIONS`].
//!
//! A failure of the journal itself is final for the process: a record whose sync failed may be there and not
//! durable, so nothing that is read afterwards may be acknowledged. The gate refuses until the node is restarted.
//! A full disk is not final, and the database's failures do not come up here: see the keeper.
//!
//! What waits, and the record under way, are not the actor's own, so that nothing of it is lost with the actor.

mod writer;

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use tokio::sync::oneshot;
use volute_runtime::{Envelope, Mailbox};

use crate::{
    counters::add,
    protocol::recorder::{DrainRecorder, RecordDetection, RecordReadings, RecordRemoval, RecordRow},
};
pub(crate) use writer::{Writer, Written};

/// Readings wait for company only where the last ones came so many times their wait ago, or less.
const COMPANY: u32 = 4;
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

/// The actor.
pub(crate) struct RecorderActor {
    writer: Writer,
    linger: Duration,
    /// What waits does so for company, until then.
    lingering: Option<(Instant, SpawnHandle)>,
    /// When readings came last.
    last_readings: Option<Instant>,
    /// The number of this incarnation.
    incarnation: u64,
}

impl Recorder {
    /// How much waits to be stored, before the actor and with it.
    pub(crate) fn depth(&self) -> usize {
        self.readings.inbox_depth()
    }

    /// Waits until all that was sent before is stored, or refused. Only a pump's state may be stored later: it is as good as
    /// the one before it.
    pub(crate) async fn settled(&self) {
        loop {
            let (ack, answer) = oneshot::channel();
            // It takes its turn among the readings; an answer that is dropped says that the recorder broke meanwhile.
            match self
                .results
                .send(RecordReadings { readings: Vec::new(), register: None, ack, since: Instant::now() })
                .await
            {
                Ok(()) if answer.await.is_err() => {}
                _ => return,
            }
        }
    }
}

impl RecorderActor {
    pub(crate) fn new(writer: Writer, linger: Duration, incarnation: u64) -> Self {
        Self { writer, linger, lingering: None, last_readings: None, incarnation }
    }

    /// Something has come in that may wait so long for company.
    fn schedule_commit(&mut self, linger: Duration, ctx: &mut Context<Self>) {
        let (under_way, enough) = {
            let pending = self.writer.pending();
            (pending.is_under_way(), pending.rows + pending.results.detections() >= self.writer.max_rows)
        };
        if under_way {
            // Its end is told.
        } else if enough {
            self.begin(ctx);
        } else if self.lingering.is_none_or(|(until, _)| until > Instant::now() + linger) {
            self.wait_for_company(linger, ctx);
        }
    }

    /// Something has come in that nobody waits for. It puts off nothing, and does not hurry on what waits after a failure.
    fn schedule_idle_commit(&mut self, ctx: &mut Context<Self>) {
        if self.lingering.is_none() {
            self.schedule_commit(RESULTS_LINGER, ctx);
        }
    }

    fn wait_for_company(&mut self, time: Duration, ctx: &mut Context<Self>) {
        self.stop_waiting(ctx);
        let timer = ctx.run_later(time, |actor, ctx| actor.begin(ctx));
        self.lingering = Some((Instant::now() + time, timer));
    }

    fn stop_waiting(&mut self, ctx: &mut Context<Self>) {
        if let Some((_, timer)) = self.lingering.take() {
            ctx.cancel_future(timer);
        }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.stop_waiting(ctx);
        self.writer.begin();
    }
}

impl Drop for RecorderActor {
    fn drop(&mut self) {
        self.writer.leave(self.incarnation);
    }
}

impl Actor for RecorderActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.writer.attend(self.incarnation);
    }
}

impl Handler<Envelope<Written>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Written>, ctx: &mut Self::Context) {
        let Written { stored } = message.into_inner();
        let (readings, asked) = {
            let pending = self.writer.pending();
            (pending.is_waited_for(), !pending.drains.is_empty())
        };
        match stored {
            true if readings || asked => self.begin(ctx),
            true => self.schedule_idle_commit(ctx),
            false if readings => self.begin(ctx),
            false => self.wait_for_company(RETRY, ctx),
        }
    }
}

impl Handler<Envelope<RecordReadings>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordReadings>, ctx: &mut Self::Context) {
        let record = message.into_inner();
        self.writer.pending().queue(record);
        let now = Instant::now();
        let before = self.last_readings.replace(now);
        match before.is_some_and(|before| now < before + COMPANY * self.linger) {
            true => self.schedule_commit(self.linger, ctx),
            false => self.begin(ctx),
        }
    }
}

impl Handler<Envelope<RecordDetection>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordDetection>, ctx: &mut Self::Context) {
        let given_up = self.writer.pending().results.add(message.into_inner());
        add(&self.writer.counters.detections_dropped, given_up);
        self.schedule_idle_commit(ctx);
    }
}

impl Handler<Envelope<RecordRow>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordRow>, ctx: &mut Self::Context) {
        match message.into_inner() {
            RecordRow::Document(document) => self.writer.pending().results.documents.push(document),
            RecordRow::State(state) => self.writer.pending().results.remember(state),
            RecordRow::Metrics(metrics) => self.writer.pending().results.metrics.push(metrics),
        }
        self.schedule_idle_commit(ctx);
    }
}

impl Handler<Envelope<RecordRemoval>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordRemoval>, ctx: &mut Self::Context) {
        self.writer.pending().removals.push_back(message.into_inner());
        self.begin(ctx);
    }
}

impl Handler<Envelope<DrainRecorder>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainRecorder>, ctx: &mut Self::Context) {
        let DrainRecorder(reply) = message.into_inner();
        self.writer.pending().drains.push(reply);
        self.begin(ctx);
    }
}
