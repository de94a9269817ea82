//! The recorder: groups rows into records of the journal (group commit) and acknowledges them when they are durable.
//!
//! One record is written at a time. Meanwhile rows for the next record are collected. Readings wait up to the linger
//! time for others to share their record. An example, with a linger time of 1 ms:
//!
//! 1. At 0 ms pump A sends readings. No readings arrived in the 4 ms before, so a record with them begins at once.
//! 2. At 0.5 ms pump B sends readings, and pump A a detection. They wait, because a record is being written.
//! 3. At 2 ms the first record is durable: A's readings are acknowledged, and a record with B's readings and the
//!    detection begins. It is durable at 3 ms.
//! 4. At 4 ms pump C sends readings, 3.5 ms after those of B. A record with them begins 1 ms later, with the rows that
//!    arrive meanwhile, or earlier if it is full.
//!
//! If a record fails, its readings are refused, and their clients send them again. Detections, documents (maintenance
//! events and audit entries) and pumps' checkpoints stay and go into a later record. If records fail for a long time,
//! detections beyond 100,000 are dropped, the oldest first, and the node's metrics beyond 60 rows. A pump is registered
//! in the record of its first readings, and removed in a record of its own. A row that the store refuses as invalid is
//! dropped and counted, because it would keep every later record from being stored.
//!
//! After a failed sync of the journal, the record may be in the file but not durable, so nothing may be acknowledged
//! until the node is restarted, and the ingress refuses posts. A full disk is a temporary failure. Failures of the
//! database do not appear here; see the flusher.
//!
//! Waiting rows and the record in flight are held outside of the actor ([`Writer`]), so a failure of the actor loses no
//! rows.

mod writer;

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use tokio::sync::oneshot;
use volute_runtime::{Address, Envelope};

use crate::{
    counters::add,
    protocol::recorder::{
        DrainRecorder, RecordDetection, RecordReadings, RecordRemoval, RecordRow, StoreFailure, StoreOutcome,
    },
};
pub(crate) use writer::{RecordEnded, Writer};

/// Readings wait for others only if the previous ones arrived at most this many linger times ago.
const MAX_LINGER_GAP: u32 = 4;
/// The pause before rows of a failed record are written again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long rows without an acknowledgment wait to share the record of the next readings.
const RESULTS_LINGER: Duration = Duration::from_millis(10);

/// The recorder's addresses. Readings have an address of their own, whose capacity is the number of readings that may be
/// in flight.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub readings: Address<RecorderActor>,
    pub results: Address<RecorderActor>,
}

/// The actor.
pub(crate) struct RecorderActor {
    writer: Writer,
    linger: Duration,
    /// When the next record begins, and the timer for it; none if no timer runs.
    lingering: Option<(Instant, SpawnHandle)>,
    /// When readings arrived last.
    last_readings: Option<Instant>,
    /// The number of this incarnation.
    generation: u64,
}

impl Recorder {
    /// Returns the number of waiting messages and rows.
    pub(crate) fn depth(&self) -> usize {
        self.readings.inbox_depth()
    }

    /// Waits until all messages that were sent before are stored or refused. Pumps' checkpoints are an exception: they
    /// may be stored later, and until then a restart uses the previous checkpoint.
    pub(crate) async fn wait_until_stored(&self) {
        // If the acknowledgment is dropped, the recorder has failed, and the message is sent again.
        while let Some(stored) = self.send_barrier().await {
            if stored.await.is_ok() {
                return;
            }
        }
    }
}

impl Recorder {
    /// Waits until the rows that were sent before are durable. Returns an error if their record failed; they are then
    /// written again later.
    pub(crate) async fn stored(&self) -> StoreOutcome {
        match self.send_barrier().await {
            Some(stored) => stored.await.unwrap_or(Err(StoreFailure::Failed)),
            None => Err(StoreFailure::Failed),
        }
    }

    /// Sends a message without readings, which is acknowledged once everything before it is stored. None if the recorder
    /// has stopped.
    async fn send_barrier(&self) -> Option<oneshot::Receiver<StoreOutcome>> {
        let (ack, stored) = oneshot::channel();
        let barrier = RecordReadings { readings: Vec::new(), register: None, ack, sent_at: Instant::now() };
        self.results.send(barrier).await.ok().map(|()| stored)
    }
}

impl RecorderActor {
    pub(crate) fn new(writer: Writer, linger: Duration, generation: u64) -> Self {
        Self { writer, linger, lingering: None, last_readings: None, generation }
    }

    /// Schedules a record for new rows, which may wait for `linger`. A full record begins at once.
    fn schedule_commit(&mut self, linger: Duration, ctx: &mut Context<Self>) {
        let (in_flight, is_full) = {
            let pending = self.writer.pending();
            (pending.is_in_flight(), pending.rows + pending.results.detections() >= self.writer.max_rows)
        };
        if in_flight {
            // The actor receives `RecordEnded` when the record in flight ends.
        } else if is_full {
            self.begin(ctx);
        } else if self.lingering.is_none_or(|(until, _)| until > Instant::now() + linger) {
            self.begin_after(linger, ctx);
        }
    }

    /// Schedules a record for rows without an acknowledgment, unless a timer runs already.
    fn schedule_idle_commit(&mut self, ctx: &mut Context<Self>) {
        if self.lingering.is_none() {
            self.schedule_commit(RESULTS_LINGER, ctx);
        }
    }

    fn begin_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.cancel_timer(ctx);
        let timer = ctx.run_later(pause, |actor, ctx| actor.begin(ctx));
        self.lingering = Some((Instant::now() + pause, timer));
    }

    fn cancel_timer(&mut self, ctx: &mut Context<Self>) {
        if let Some((_, timer)) = self.lingering.take() {
            ctx.cancel_future(timer);
        }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.cancel_timer(ctx);
        self.writer.begin();
    }
}

impl Drop for RecorderActor {
    fn drop(&mut self) {
        self.writer.detach(self.generation);
    }
}

impl Actor for RecorderActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.writer.attach(self.generation);
    }
}

impl Handler<Envelope<RecordEnded>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordEnded>, ctx: &mut Self::Context) {
        let RecordEnded { stored } = message.into_inner();
        let (has_unacknowledged, is_draining) = {
            let pending = self.writer.pending();
            (pending.has_unacknowledged(), !pending.drains.is_empty())
        };
        match stored {
            true if has_unacknowledged || is_draining => self.begin(ctx),
            true => self.schedule_idle_commit(ctx),
            false if has_unacknowledged => self.begin(ctx),
            false => self.begin_after(RETRY_INTERVAL, ctx),
        }
    }
}

impl Handler<Envelope<RecordReadings>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordReadings>, ctx: &mut Self::Context) {
        let record = message.into_inner();
        self.writer.pending().queue(record);
        let now = Instant::now();
        let previous = self.last_readings.replace(now);
        match previous.is_some_and(|previous| now < previous + MAX_LINGER_GAP * self.linger) {
            true => self.schedule_commit(self.linger, ctx),
            false => self.begin(ctx),
        }
    }
}

impl Handler<Envelope<RecordDetection>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordDetection>, ctx: &mut Self::Context) {
        let dropped = self.writer.pending().results.add_detection(message.into_inner());
        add(&self.writer.counters.detections_dropped, dropped);
        self.schedule_idle_commit(ctx);
    }
}

impl Handler<Envelope<RecordRow>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RecordRow>, ctx: &mut Self::Context) {
        match message.into_inner() {
            RecordRow::Document(document) => self.writer.pending().results.documents.push(document),
            RecordRow::Documents(documents) => self.writer.pending().results.documents.extend(documents),
            RecordRow::Checkpoint(checkpoint) => self.writer.pending().results.add_checkpoint(checkpoint),
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
