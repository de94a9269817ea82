//! One pump's actor: a shell around its three state machines.
//!
//! ```text
//! ingress --SubmitReadings-->  admit  --RecordReadings-->  recorder
//!                                |  durable readings
//!                                v
//! pool <--Job--              judge  --RecordDetection, LiveDetection, EvaluateLimits-->
//! pool --ScoreResult-->          ^
//!                                |  a mode
//! commissioning <--job-->   commission
//! ```
//!
//! The shell asks the store, sends what the machines have decided, and keeps the timers. It decides nothing itself. What
//! people order of a pump is in [`super::orders`].

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture};
use futures::{StreamExt, channel::mpsc};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, Model, Score, Scorer, Task};
use volute_data::{PumpRecord, PumpSettings, StoreError};
use volute_plant::{ClockFault, LookupResult, PumpId, Reading, Window};
use volute_runtime::{Envelope, Incarnation, Mailbox, Outbox, ReplyTo};

use super::{
    admit::{Admit, BacklogLimits, BacklogState, Batch, Completed},
    commission::Commission,
    context::{PumpContext, actor_id},
    feed::Feed,
    judge::{Effect, Judge, Surroundings},
    recovery::{RecoveredState, StartMode, recover},
};
use crate::{
    commissioning::mode::initial_mode,
    counters::{Counters, add},
    inference::pool::Job,
    kind::PumpKind,
    protocol::{
        live::{LiveClock, LiveDetection, LiveNotScored},
        pump::{DrainPump, RetirePump, ScoreResult, SubmitReadings, Withdraw},
        recorder::{RecordDetection, RecordReadings, RecordRow, Stored, Unstored},
    },
};

/// An actor's incarnations number their windows and modes apart, so that a reply to an earlier one means nothing.
const NUMBERS_OF_AN_INCARNATION: u32 = 40;

/// The actor.
pub(crate) struct PumpActor {
    pub(super) pump: PumpId,
    pub(super) kind: PumpKind,
    pub(super) context: Arc<PumpContext>,
    start: StartMode,
    /// Its registration, as long as it may not be stored: it goes with the readings.
    pub(super) unregistered: Option<PumpRecord>,
    /// What was set for it alone.
    pub(super) settings: PumpSettings,
    pub(super) feed: Feed,
    pub(super) admit: Admit,
    pub(super) judge: Judge,
    pub(super) commission: Commission,
    /// What the live feed knows of its clock.
    shown_clock: Option<ClockFault>,
    pub(super) mailboxes: PumpMailboxes,
    scores: ReplyTo<ScoreResult>,
    /// Batches whose commit is under way, in order.
    commits: mpsc::Sender<SelfCompleting>,
    committed: Option<mpsc::Receiver<SelfCompleting>>,
    /// Ends the wait for missing readings.
    quiet: Option<SpawnHandle>,
    /// Ends a backlog's wait for the scoring.
    backlog: Option<SpawnHandle>,
    drains: Vec<oneshot::Sender<()>>,
    /// Detections and checkpoints for the recorder, and readings for maintenance.
    outbox: Outbox,
    pub(super) incarnation: Incarnation<PumpActor>,
}

/// What a pump's actor is built of.
pub(super) struct PumpActorArgs {
    pub pump: PumpId,
    pub kind: PumpKind,
    pub context: Arc<PumpContext>,
    pub mailboxes: PumpMailboxes,
    pub start: StartMode,
    /// The registration of a pump that was new when the node was running already.
    pub unregistered: Option<PumpRecord>,
    /// Readings that may be on their way.
    pub burst: usize,
    pub incarnation: Incarnation<PumpActor>,
}

/// The ways to a pump that it hands out itself.
#[derive(Clone)]
pub(super) struct PumpMailboxes {
    pub orders: Mailbox<PumpActor>,
    pub scores: Mailbox<PumpActor>,
}

/// A batch on its way into the store.
pub(crate) struct Commit {
    batch: Batch,
    stored: Option<oneshot::Receiver<Stored>>,
}

/// A batch on its way into the store, of a pump whose actor may end before it is there: its part of the response is sent all
/// the same.
pub(crate) struct SelfCompleting(Option<Commit>);

impl Commit {
    /// Waits until it is stored, or is not; a batch without new readings need not be.
    async fn ended(&mut self) -> Stored {
        match &mut self.stored {
            Some(stored) => stored.await.unwrap_or(Err(Unstored::Failed)),
            None => Ok(()),
        }
    }
}

impl SelfCompleting {
    /// Waits until it is stored, or is not. May be given up at any time.
    async fn ended(&mut self) -> Stored {
        match &mut self.0 {
            Some(commit) => commit.ended().await,
            None => Ok(()),
        }
    }
}

impl Drop for SelfCompleting {
    fn drop(&mut self) {
        // Where no runtime is left, its part of the response is dropped with it: the client is told that it is not known.
        if let Some(mut commit) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let stored = commit.ended().await;
                commit.batch.complete_alone(stored);
            });
        }
    }
}

impl PumpActor {
    pub(super) fn new(args: PumpActorArgs) -> Self {
        let PumpActorArgs { pump, kind, context, mailboxes, start, unregistered, burst, incarnation } = args;
        let limits = BacklogLimits { answer: context.ingest.backlog_answer, windows: context.queued_windows_per_pump };
        let numbers = incarnation.number << NUMBERS_OF_AN_INCARNATION;
        // It takes room for what waits only: there are many pumps.
        let (commits, committed) = mpsc::channel(burst);
        Self {
            feed: Feed::new(),
            admit: Admit::new(pump.clone(), &kind.profile, context.times, limits),
            judge: Judge::new(pump.clone(), kind.profile.clone(), context.times, numbers),
            commission: Commission::new(numbers),
            settings: PumpSettings::default(),
            scores: mailboxes.scores.clone().into(),
            pump,
            kind,
            context,
            start,
            unregistered,
            shown_clock: None,
            mailboxes,
            commits,
            committed: Some(committed),
            quiet: None,
            backlog: None,
            drains: Vec::new(),
            outbox: Outbox::default(),
            incarnation,
        }
    }

    /// Begins with what is stored.
    fn begin(&mut self, recovered: RecoveredState, ctx: &mut Context<Self>) {
        let RecoveredState { readings, standing, settings, unread_until, checkpoint } = recovered;
        if let Some(until) = unread_until {
            self.admit.recall_failed(until);
        }
        if let Some(settings) = settings {
            self.go_by(settings, Vec::new());
        }
        for reading in &readings {
            self.admit.recall(reading);
            self.feed.note(reading);
        }
        self.judge.recall(readings.into_iter().filter(|reading| !reading.late).collect(), checkpoint);
        self.judge.begin_with(initial_mode(self.kind.detection.as_ref(), self.judge.profile(), standing));
        self.resume(ctx);
    }

    /// Judges all items whose turn has come.
    pub(super) fn admit_next(&mut self, ctx: &mut Context<Self>) {
        loop {
            let (context, pump) = (&self.context, &self.pump);
            let has_room_for_past = || context.has_room_for_past(pump);
            let now = Instant::now();
            let state = BacklogState { now, windows: self.judge.pending(), has_room_for_past: &has_room_for_past };
            let Some((items, lookup)) = self.admit.next(self.judge.is_played(), state) else {
                return self.watch_backlog(now, ctx);
            };
            if lookup.is_empty() {
                self.store(items, &LookupResult::default());
                continue;
            }
            let (store, pump) = (self.context.store.clone(), self.pump.clone());
            let lookup = async move { store.look_up(&pump, &lookup).await };
            // The actor handles nothing else until it knows: judging must follow the order of arrival.
            let found = lookup.into_actor(self).map(|found: Result<LookupResult, StoreError>, actor, ctx| {
                match found {
                    Ok(stored) => actor.store(items, &stored),
                    Err(error) => {
                        tracing::error!(pump = actor.pump.as_str(), %error, "lookup failed");
                        actor.admit.give_back(items);
                    }
                }
                actor.admit_next(ctx);
            });
            ctx.wait(found);
            return;
        }
    }

    /// Has the new ones among the items stored, given what the store says of them.
    fn store(&mut self, items: SubmitReadings, known: &LookupResult) {
        let since = items.since;
        let batch = self.admit.judge(items, known);
        self.context.counters.latencies.gate.note(since.elapsed());
        let stored = (!batch.readings.is_empty()).then(|| {
            let (ack, stored) = oneshot::channel();
            let (readings, register) = (batch.to_store(), self.unregistered.clone());
            let record = RecordReadings { readings, register, ack, since: Instant::now() };
            // Permits bound this queue; if the recorder is gone, the dropped `ack` says so.
            let _ = self.context.recorder.readings.try_send(record);
            stored
        });
        let commit = SelfCompleting(Some(Commit { batch, stored }));
        // Permits bound this queue too; a batch that is refused here completes by itself.
        if self.commits.try_send(commit).is_err() {
            self.admit.abandon_last();
        }
    }

    /// A batch is durable, or its write has failed.
    fn complete(&mut self, batch: Batch, stored: Stored, ctx: &mut Context<Self>) {
        let has_new = !batch.readings.is_empty();
        let Completed { readings, rejection, permit, response } = self.admit.complete(batch, stored);
        if stored.is_ok()
            && has_new
            && let Some(record) = self.unregistered.take()
        {
            tracing::info!(pump = self.pump.as_str(), profile = record.profile, "new pump");
        }
        if !readings.is_empty() {
            self.take_in(readings, ctx);
        }
        self.show_clock();
        drop(permit);
        if self.unregistered.is_some() {
            // Before the response: who gets it finds the place free. Where there is no room, the next response frees it.
            let _ = self.context.ingress.try_send(Withdraw { pump: self.pump.clone(), why: rejection });
        }
        drop(response);
        self.admit_next(ctx);
    }

    /// Durable readings go into the windows.
    fn take_in(&mut self, readings: Vec<volute_plant::Admitted>, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        for admitted in readings {
            self.feed.note(&admitted.reading);
            let world = surroundings(&self.context, &self.feed);
            self.judge.take(admitted, world, &mut effects);
        }
        self.carry_out(effects, ctx);
        self.watch_quiet(ctx);
        self.follow_feed(ctx);
    }

    /// Does what the judge has decided, in its order, and what follows from that.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            self.carry_out_one(effect, ctx);
        }
        let next = self.commission.due(self.judge.mode());
        self.go_on_commissioning(next, ctx);
        self.end_drains(ctx);
        // A backlog may have waited for this.
        self.admit_next(ctx);
    }

    fn carry_out_one(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let Counters { live_dropped, score_failures, anomalies, .. } = &*self.context.counters;
        let shown = match effect {
            Effect::Show(reading) => self.context.live.try_send(reading).is_ok(),
            Effect::NotScored(why) => {
                self.context.live.try_send(LiveNotScored { pump: self.pump.clone(), why }).is_ok()
            }
            Effect::Score { seq, window, baseline } => {
                let Some(detection) = &self.kind.detection else { return };
                let (model, reply_to) = (detection.model.clone(), self.scores.clone());
                return self.context.pool.put(Job::new(seq, window, model, baseline, reply_to));
            }
            Effect::ScoreLost => return add(score_failures, 1),
            Effect::Detected { detection, received_at, is_current } => {
                add(anomalies, usize::from(detection.is_anomaly));
                let shown = !is_current || self.context.live.try_send(LiveDetection(detection.clone())).is_ok();
                let record = RecordDetection { detection, received_at, since: Instant::now() };
                self.outbox.send_or_suspend(&self.context.recorder.results, record, ctx);
                shown
            }
            Effect::Evaluate(reading) => return self.context.maintenance.evaluate(reading, &self.outbox, ctx),
            Effect::Checkpoint(state) => {
                let results = &self.context.recorder.results;
                return self.outbox.send_or_suspend(results, RecordRow::State(state), ctx);
            }
        };
        add(live_dropped, usize::from(!shown));
    }

    /// Replies to those who wait until every window is decided, once they are.
    fn end_drains(&mut self, ctx: &mut Context<Self>) {
        if self.judge.pending() > 0 || self.drains.is_empty() {
            return;
        }
        let mut effects = Vec::new();
        self.judge.store_checkpoint(&mut effects);
        effects.into_iter().for_each(|effect| self.carry_out_one(effect, ctx));
        for drain in mem::take(&mut self.drains) {
            let reply = async move {
                // The caller may be gone.
                let _ = drain.send(());
            };
            // After what was decided, which may wait for room still.
            self.outbox.then(reply, ctx);
        }
    }

    /// Has the live feed know what is wrong with the pump's clock. A pump of which nothing is stored is not shown.
    fn show_clock(&mut self) {
        let fault = self.admit.clock_fault();
        if fault == self.shown_clock || self.unregistered.is_some() {
            return;
        }
        self.shown_clock = fault;
        let clock = LiveClock { pump: self.pump.clone(), fault };
        add(&self.context.counters.live_dropped, usize::from(self.context.live.try_send(clock).is_err()));
    }

    /// A pump that goes quiet before a missing reading was given up is not waited for for ever.
    fn watch_quiet(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.quiet.take() {
            ctx.cancel_future(timer);
        }
        let Some(patience_ms) = self.judge.waits_for_ms() else { return };
        let patience = Duration::from_millis(u64::try_from(patience_ms).unwrap_or_default());
        self.quiet = Some(ctx.run_later(patience, |actor, ctx| actor.flush(ctx)));
    }

    /// Where the scoring makes no room for a backlog's windows, it goes on without after a while.
    fn watch_backlog(&mut self, now: Instant, ctx: &mut Context<Self>) {
        if self.backlog.is_some() {
            return;
        }
        let Some(patience) = self.admit.patience(now).filter(|patience| !patience.is_zero()) else { return };
        self.backlog = Some(ctx.run_later(patience, |actor, ctx| {
            actor.backlog = None;
            actor.admit_next(ctx);
        }));
    }

    /// Missing readings are waited for no longer.
    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.judge.flush(surroundings(&self.context, &self.feed), &mut effects);
        self.carry_out(effects, ctx);
    }

    /// Goes on from the stored checkpoint, if it is of the baseline in use.
    pub(super) fn restore(&mut self, ctx: &mut Context<Self>) {
        let Some(detection) = self.kind.detection.clone() else { return };
        let (mut effects, counters) = (Vec::new(), self.context.counters.clone());
        let score = |baseline: &Baseline, windows| score_alone(&detection.model, baseline, windows, &counters);
        self.judge.restore(score, self.context.queued_windows_per_pump, &mut effects);
        self.carry_out(effects, ctx);
    }
}

/// What the judge has to know of the world.
fn surroundings<'a>(context: &PumpContext, feed: &'a Feed) -> Surroundings<'a> {
    Surroundings { now: Instant::now(), has_workers: !context.pool.is_out_of_order(), feed }
}

/// Scores windows of before the start; one that fails is skipped, as it was then.
fn score_alone(
    model: &Model,
    baseline: &Baseline,
    windows: Vec<(Reading, Window)>,
    counters: &Counters,
) -> Vec<(Reading, Score)> {
    if windows.is_empty() {
        return Vec::new();
    }
    let mut scorer = Scorer::new(model);
    let mut score = |window: &Window| match scorer.score(&[Task { window, scaler: &baseline.scaler }]) {
        Ok(scores) => scores.iter().next(),
        Err(error) => {
            tracing::error!(%error, "scoring failed");
            add(&counters.score_failures, 1);
            None
        }
    };
    windows.into_iter().filter_map(|(reading, window)| Some((reading, score(&window)?))).collect()
}

impl Actor for PumpActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(committed) = self.committed.take() else { return };
        let in_order = committed.then(async |mut commit| {
            let stored = commit.ended().await;
            (commit, stored)
        });
        ctx.add_stream(in_order);
        let (context, pump, kind, start) = (self.context.clone(), self.pump.clone(), self.kind.clone(), self.start);
        let recovered = async move { recover(&context, &pump, &kind, start).await };
        ctx.wait(recovered.into_actor(self).map(|recovered, actor, ctx| match recovered {
            Ok(recovered) => actor.begin(recovered, ctx),
            Err(error) => actor.incarnation.fail(format!("what is stored of the pump could not be read: {error}"), ctx),
        }));
    }
}

impl Handler<Envelope<SubmitReadings>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<SubmitReadings>, ctx: &mut Self::Context) {
        self.admit.submit(message.into_inner());
        self.admit_next(ctx);
    }
}

impl StreamHandler<(SelfCompleting, Stored)> for PumpActor {
    fn handle(&mut self, (mut commit, stored): (SelfCompleting, Stored), ctx: &mut Self::Context) {
        if let Some(Commit { batch, .. }) = commit.0.take() {
            self.complete(batch, stored, ctx);
        }
    }

    /// Does not happen while the actor lives: it holds the sender itself. (By default this would stop the context.)
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Envelope<ScoreResult>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ScoreResult>, ctx: &mut Self::Context) {
        let ScoreResult { seq, score } = message.into_inner();
        let mut effects = Vec::new();
        self.judge.score(seq, score, Instant::now(), &mut effects);
        self.carry_out(effects, ctx);
    }
}

impl Handler<Envelope<RetirePump>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RetirePump>, _: &mut Self::Context) {
        let RetirePump(reply) = message.into_inner();
        // This incarnation ends with this message: nothing of it runs any more.
        self.context.supervisor.retire(&actor_id(&self.pump));
        let _ = reply.send(());
    }
}

impl Handler<Envelope<DrainPump>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainPump>, ctx: &mut Self::Context) {
        let DrainPump(reply) = message.into_inner();
        self.drains.push(reply);
        self.flush(ctx);
    }
}
