//! The actor of one pump: a shell around four state machines. The fourth, [`super::alarms`], is not in the drawing: every
//! durable reading and all alarm commands pass through it.
//!
//! ```text
//! ingress --SubmitReadings-->  admit  --RecordReadings-->  recorder
//!                                |  durable readings
//!                                v
//! pool <--Job--     detection_pipeline  --RecordDetection, LiveDetection, EvaluateLimits-->
//! pool --ScoreResult-->          ^
//!                                |  mode
//! commissioning <--CommissionJob, BaselineLearned-->  commission
//! ```
//!
//! The shell queries the store, sends the messages that the state machines decide on, and runs the timers. It decides
//! nothing itself. Commands to a pump are carried out in [`super::commands`].

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture};
use futures::{StreamExt, channel::mpsc};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, ResidualWindow, Score, ScoreInput, Scorer};
use volute_data::{AlarmRules, PumpRecord, PumpSettings, StoreError};
use volute_plant::{ClockFault, LookupResult, PlannedWork, PumpId, Reading, Window};
use volute_runtime::{Address, Envelope, Incarnation, Outbox, Recipient};

use super::{
    admit::{Admit, BacklogLimits, BacklogState, Batch, CompletedBatch},
    alarms::Alarms,
    commission::Commission,
    context::{PumpContext, actor_id},
    detection_pipeline::{DetectionPipeline, Effect, PipelineContext},
    device_cadence::DeviceCadence,
    recovery::{RecoveredState, StartMode, recover},
};
use crate::{
    commissioning::mode::{PumpMode, initial_mode},
    counters::{Counters, add},
    inference::pool::{Job, JobInputs},
    kind::PumpKind,
    protocol::{
        alarms::AlarmSummary,
        live::{LiveClockFault, LiveDetection, LiveNoDetection, NoDetectionReason},
        pump::{DrainPump, RetirePump, ScoreResult, SubmitReadings, WithdrawPump},
        recorder::{RecordDetection, RecordReadings, RecordRow, StoreFailure, StoreOutcome},
        rules::EvaluateLimits,
    },
};

/// An incarnation's numbers of windows and modes begin at its generation, shifted left by this many bits. So the numbers
/// of two incarnations differ, and a reply to an earlier one is recognized and ignored.
const GENERATION_SHIFT_BITS: u32 = 40;

/// A pump's newest reading is evaluated against the maintenance rules again after a restart if it was received in this time,
/// in milliseconds: a day. What is older was said before, or was imported.
const EVALUATED_AGAIN_WITHIN_MS: i64 = 86_400_000;

/// The actor of one pump.
pub(crate) struct PumpActor {
    pub(super) pump: PumpId,
    pub(super) kind: PumpKind,
    pub(super) context: Arc<PumpContext>,
    start: StartMode,
    /// The pump's registration until it is known to be stored. It is stored together with the first readings.
    pub(super) unregistered: Option<PumpRecord>,
    /// The settings of this pump.
    pub(super) settings: PumpSettings,
    pub(super) cadence: DeviceCadence,
    pub(super) admit: Admit,
    pub(super) pipeline: DetectionPipeline,
    pub(super) commission: Commission,
    pub(super) alarms: Alarms,
    /// The pump's own alarms; none if it has those of its profile.
    pub(super) alarm_rules: Option<AlarmRules>,
    /// Whether time passes for the alarms before the next regular tick.
    pub(super) alarm_tick_is_scheduled: bool,
    /// What the live feed shows of the alarms.
    pub(super) published_alarms: AlarmSummary,
    /// The clock fault that the live feed shows.
    published_clock: Option<ClockFault>,
    pub(super) addresses: PumpAddresses,
    scores: Recipient<ScoreResult>,
    /// Batches whose write is in flight, in order.
    commit_sender: mpsc::Sender<CommitGuard>,
    commit_receiver: Option<mpsc::Receiver<CommitGuard>>,
    /// The timer that ends the wait for missing readings when the pump is silent.
    flush_timer: Option<SpawnHandle>,
    /// The timer after which a backlog continues although the queue of windows has no room for its part.
    backlog_timer: Option<SpawnHandle>,
    drains: Vec<oneshot::Sender<()>>,
    /// Sends detections and checkpoints to the recorder, and readings to the maintenance actor.
    pub(super) outbox: Outbox,
    pub(super) incarnation: Incarnation<PumpActor>,
}

/// The arguments of a pump's actor.
pub(super) struct PumpActorArgs {
    pub pump: PumpId,
    pub kind: PumpKind,
    pub context: Arc<PumpContext>,
    pub addresses: PumpAddresses,
    pub start: StartMode,
    /// The registration of a pump that is new while the node is running.
    pub unregistered: Option<PumpRecord>,
    /// The maximum number of the pump's readings in flight.
    pub max_in_flight: usize,
    pub incarnation: Incarnation<PumpActor>,
}

/// The pump's own addresses, which it gives to other actors for their replies.
#[derive(Clone)]
pub(super) struct PumpAddresses {
    pub commands: Address<PumpActor>,
    pub scores: Address<PumpActor>,
}

/// A batch whose write is in flight.
pub(crate) struct Commit {
    batch: Batch,
    stored: Option<oneshot::Receiver<StoreOutcome>>,
}

/// Completes the batch's part of the response even if the pump's actor ends before the write. If this is dropped with a
/// commit inside, a separate task waits for the end of the write.
pub(crate) struct CommitGuard(Option<Commit>);

impl Commit {
    /// Waits for the end of the write. Returns at once for a batch without new readings.
    async fn wait(&mut self) -> StoreOutcome {
        match &mut self.stored {
            Some(stored) => stored.await.unwrap_or(Err(StoreFailure::Failed)),
            None => Ok(()),
        }
    }
}

impl CommitGuard {
    /// Waits for the end of the write. Cancel-safe.
    async fn wait(&mut self) -> StoreOutcome {
        match &mut self.0 {
            Some(commit) => commit.wait().await,
            None => Ok(()),
        }
    }
}

impl Drop for CommitGuard {
    fn drop(&mut self) {
        // Without a runtime, the part of the response is dropped too, and the response says that the readings may not
        // be stored.
        if let Some(mut commit) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let stored = commit.wait().await;
                commit.batch.complete_without_pump(stored);
            });
        }
    }
}

impl PumpActor {
    pub(super) fn new(args: PumpActorArgs) -> Self {
        let PumpActorArgs { pump, kind, context, addresses, start, unregistered, max_in_flight, incarnation } = args;
        let limits = BacklogLimits {
            timeout: context.ingest.backlog_timeout,
            max_pending_windows: context.queued_windows_per_pump,
        };
        let first_number = incarnation.generation << GENERATION_SHIFT_BITS;
        // The channel allocates only for batches that wait, which matters with many pumps.
        let (commit_sender, commit_receiver) = mpsc::channel(max_in_flight);
        Self {
            cadence: DeviceCadence::new(),
            admit: Admit::new(pump.clone(), &kind.profile, context.timestamp_limits, limits),
            pipeline: DetectionPipeline::new(
                pump.clone(),
                kind.profile.clone(),
                context.timestamp_limits,
                first_number,
            ),
            commission: Commission::new(first_number),
            alarms: Alarms::new(pump.clone()),
            alarm_rules: None,
            alarm_tick_is_scheduled: false,
            published_alarms: AlarmSummary::default(),
            settings: PumpSettings::default(),
            scores: addresses.scores.clone().into(),
            pump,
            kind,
            context,
            start,
            unregistered,
            published_clock: None,
            addresses,
            commit_sender,
            commit_receiver: Some(commit_receiver),
            flush_timer: None,
            backlog_timer: None,
            drains: Vec::new(),
            outbox: Outbox::default(),
            incarnation,
        }
    }

    /// Begins to work with the stored state.
    fn begin(&mut self, recovered: RecoveredState, ctx: &mut Context<Self>) {
        let RecoveredState { readings, baseline_status, settings, unread_until, checkpoint, alarms } = recovered;
        if let Some(until) = unread_until {
            self.admit.mark_unread_until(until);
        }
        if let Some(settings) = settings {
            self.apply_settings(settings, Vec::new());
        }
        for reading in &readings {
            self.admit.replay(reading);
            self.cadence.observe(reading);
        }
        let (now, limits) = (self.context.clock.now(), self.context.timestamp_limits);
        let was_current = |reading: &&Reading| {
            !reading.late && limits.is_current(reading) && now.since_ms(reading.received) <= EVALUATED_AGAIN_WITHIN_MS
        };
        let newest = readings.iter().rfind(was_current).cloned();
        self.pipeline.replay(readings.into_iter().filter(|reading| !reading.late).collect(), checkpoint);
        self.pipeline.set_initial_mode(initial_mode(
            self.kind.detection.as_ref(),
            self.pipeline.profile(),
            baseline_status,
        ));
        self.begin_alarms(alarms, ctx);
        // The node may have been killed before the rules saw this reading, and a silent pump sends no other. Of a pump whose
        // windows are scored, the next reading comes with a detection.
        if let (Some(reading), false) = (newest, matches!(self.pipeline.mode(), PumpMode::Detecting { .. })) {
            let reading = EvaluateLimits { reading, detection: None };
            self.context.maintenance.evaluate(reading, &self.outbox, ctx);
        }
        self.resume(ctx);
    }

    /// Decides on all submitted items that can be decided on now.
    pub(super) fn admit_next(&mut self, ctx: &mut Context<Self>) {
        loop {
            let (context, pump) = (&self.context, &self.pump);
            let accepts_past_minutes = || context.accepts_past_minutes(pump);
            let now = Instant::now();
            let state = BacklogState {
                now,
                pending_windows: self.pipeline.pending(),
                accepts_past_minutes: &accepts_past_minutes,
            };
            let Some((items, lookup)) = self.admit.next(self.pipeline.is_played(), state) else {
                return self.schedule_backlog(now, ctx);
            };
            if lookup.is_empty() {
                self.store(items, &LookupResult::default());
                continue;
            }
            let (store, pump) = (self.context.store.clone(), self.pump.clone());
            let lookup = async move { store.look_up(&pump, &lookup).await };
            // The actor handles no other message until the lookup has ended, so that items are decided on in the order
            // of arrival.
            let looked_up = lookup.into_actor(self).map(|outcome: Result<LookupResult, StoreError>, actor, ctx| {
                match outcome {
                    Ok(stored) => actor.store(items, &stored),
                    Err(error) => {
                        tracing::error!(pump = actor.pump.as_str(), %error, "lookup failed");
                        actor.admit.lookup_failed(items);
                    }
                }
                actor.admit_next(ctx);
            });
            ctx.wait(looked_up);
            return;
        }
    }

    /// Decides on items by the result of their lookup, and sends the new readings to the recorder.
    fn store(&mut self, items: SubmitReadings, lookup: &LookupResult) {
        let posted_at = items.posted_at;
        let batch = self.admit.decide(items, lookup);
        self.context.counters.latencies.admission.record(posted_at.elapsed());
        let stored = (!batch.readings.is_empty()).then(|| {
            let (ack, stored) = oneshot::channel();
            let (readings, register) = (batch.to_store(), self.unregistered.clone());
            let record = RecordReadings { readings, register, ack, sent_at: Instant::now() };
            // Permits bound this queue. If the recorder is gone, `ack` is dropped and the write counts as failed.
            let _ = self.context.recorder.readings.try_send(record);
            stored
        });
        let commit = CommitGuard(Some(Commit { batch, stored }));
        // Permits bound this queue too. A batch that does not fit completes when its guard is dropped.
        if self.commit_sender.try_send(commit).is_err() {
            self.admit.abandon_last();
        }
    }

    /// Completes a batch that is durable or whose write has failed.
    fn complete(&mut self, batch: Batch, stored: StoreOutcome, ctx: &mut Context<Self>) {
        let has_new = !batch.readings.is_empty();
        let CompletedBatch { readings, rejection, permits, response } = self.admit.complete(batch, stored);
        if stored.is_ok()
            && has_new
            && let Some(record) = self.unregistered.take()
        {
            tracing::info!(pump = self.pump.as_str(), profile = record.profile, "new pump");
            self.publish_alarms();
        }
        if !readings.is_empty() {
            self.take_durable(readings, ctx);
        }
        self.publish_clock();
        drop(permits);
        if self.unregistered.is_some() {
            // Sent before the response, so that the ingress has removed the pump when the client's next post arrives.
            // If the ingress's inbox is full, the next batch of the pump sends the message again.
            let _ = self.context.ingress.try_send(WithdrawPump { pump: self.pump.clone(), rejection });
        }
        drop(response);
        self.admit_next(ctx);
    }

    /// Passes durable readings to the detection pipeline.
    fn take_durable(&mut self, readings: Vec<volute_plant::AdmittedReading>, ctx: &mut Context<Self>) {
        let (mut effects, count) = (Vec::new(), readings.len());
        self.apply_planned_work(self.context.clock.now());
        let work = self.context.work.of(&self.pump).unwrap_or_default();
        for admitted in readings {
            self.cadence.observe(&admitted.reading);
            let context = pipeline_context(&self.context, &self.cadence, &work);
            // A later part of a reading is evaluated together with the parts before.
            let reading = admitted.whole.as_ref().unwrap_or(&admitted.reading).clone();
            self.pipeline.push_reading(admitted, context, &mut effects);
            self.alarms.evaluate(&reading, self.pipeline.is_played(), self.pipeline.operating_state());
        }
        add(&self.context.counters.evaluated, count);
        self.apply_alarms(ctx);
        self.apply_effects(effects, ctx);
        self.schedule_flush(ctx);
        self.update_cadence(ctx);
    }

    /// Carries out the pipeline's effects in order. Then continues the commissioning, pending drains and the backlog.
    pub(super) fn apply_effects(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            self.apply_effect(effect, ctx);
        }
        let next = self.commission.due(self.pipeline.mode());
        self.run_commission_action(next, ctx);
        self.reply_to_drains(ctx);
        // A backlog may have waited until windows were decided.
        self.admit_next(ctx);
    }

    fn apply_effect(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let counters = self.context.counters.clone();
        let Counters { live_dropped, score_failures, anomalies, .. } = &*counters;
        let shown = match effect {
            Effect::Show(reading) => self.context.live.try_send(reading).is_ok(),
            Effect::NoDetection(reason) => {
                let reason = match (reason, &self.kind.damage) {
                    (NoDetectionReason::NoModel, Some(damage)) => {
                        NoDetectionReason::DamagedProfile { reason: damage.clone() }
                    }
                    (reason, _) => reason,
                };
                self.context.live.try_send(LiveNoDetection { pump: self.pump.clone(), reason }).is_ok()
            }
            Effect::Score { seq, window, residuals, baseline } => {
                let Some(detection) = &self.kind.detection else { return };
                let (model, reply_to) = (detection.model.clone(), self.scores.clone());
                return self.context.pool.put(Job::new(
                    seq,
                    JobInputs { window, residuals, model, baseline },
                    reply_to,
                ));
            }
            Effect::ScoreLost => return add(score_failures, 1),
            Effect::Detected { detection, note, received_at, is_current } => {
                add(anomalies, usize::from(detection.is_anomaly));
                if is_current {
                    self.alarms.observe_model(detection.is_anomaly, self.context.clock.now());
                    self.apply_alarms(ctx);
                }
                let shown = !is_current
                    || self.context.live.try_send(LiveDetection { detection: detection.clone(), note }).is_ok();
                let record = RecordDetection { detection, received_at, sent_at: Instant::now() };
                self.outbox.send_or_suspend(&self.context.recorder.results, record, ctx);
                shown
            }
            Effect::Evaluate(reading) => return self.context.maintenance.evaluate(reading, &self.outbox, ctx),
            Effect::Checkpoint(state) => {
                let results = &self.context.recorder.results;
                return self.outbox.send_or_suspend(results, RecordRow::Checkpoint(state), ctx);
            }
        };
        add(live_dropped, usize::from(!shown));
    }

    /// Replies to drain requests once all windows are decided.
    fn reply_to_drains(&mut self, ctx: &mut Context<Self>) {
        if self.pipeline.pending() > 0 || self.drains.is_empty() {
            return;
        }
        let mut effects = Vec::new();
        self.pipeline.store_last_checkpoint(&mut effects);
        effects.into_iter().for_each(|effect| self.apply_effect(effect, ctx));
        self.store_last_alarm_checkpoint(ctx);
        for drain in mem::take(&mut self.drains) {
            let reply = async move {
                // The caller may be gone.
                let _ = drain.send(());
            };
            // Replies after the earlier detections, which may still wait for permits of the recorder's inbox.
            self.outbox.then(reply, ctx);
        }
    }

    /// Sends a changed clock fault to the live feed. Does nothing while nothing of the pump is stored, because the live
    /// feed does not show such a pump.
    fn publish_clock(&mut self) {
        let fault = self.admit.clock_fault();
        if fault == self.published_clock || self.unregistered.is_some() {
            return;
        }
        self.published_clock = fault;
        let clock = LiveClockFault { pump: self.pump.clone(), fault };
        add(&self.context.counters.live_dropped, usize::from(self.context.live.try_send(clock).is_err()));
    }

    /// Starts the timer that ends the wait for missing readings if the pump sends no more.
    fn schedule_flush(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.flush_timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(timeout_ms) = self.pipeline.missing_timeout_ms() else { return };
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
        self.flush_timer = Some(ctx.run_later(timeout, |actor, ctx| actor.flush(ctx)));
    }

    /// Starts the timer after which a backlog continues even if there is no room for its windows.
    fn schedule_backlog(&mut self, now: Instant, ctx: &mut Context<Self>) {
        if self.backlog_timer.is_some() {
            return;
        }
        let Some(wait) = self.admit.backlog_wait(now).filter(|wait| !wait.is_zero()) else { return };
        self.backlog_timer = Some(ctx.run_later(wait, |actor, ctx| {
            actor.backlog_timer = None;
            actor.admit_next(ctx);
        }));
    }

    /// Stops waiting for missing readings.
    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        let work = self.context.work.of(&self.pump).unwrap_or_default();
        self.pipeline.flush(pipeline_context(&self.context, &self.cadence, &work), &mut effects);
        self.apply_effects(effects, ctx);
    }

    /// Continues from the stored checkpoint if it belongs to the baseline in use.
    pub(super) fn restore(&mut self, ctx: &mut Context<Self>) {
        let Some(detection) = self.kind.detection.clone() else { return };
        let (mut effects, counters) = (Vec::new(), self.context.counters.clone());
        let mut scorer = None;
        let score = |baseline: &Baseline, window: &Window, residuals: Option<&ResidualWindow>| {
            let scorer = scorer.get_or_insert_with(|| Scorer::new(&detection.model));
            score_inline(scorer, &ScoreInput::of(window, baseline, residuals), &counters)
        };
        self.pipeline.restore(score, self.context.queued_windows_per_pump, &mut effects);
        self.apply_effects(effects, ctx);
    }
}

/// Returns the pipeline's inputs other than the reading.
fn pipeline_context<'a>(
    context: &PumpContext,
    cadence: &'a DeviceCadence,
    work: &'a [PlannedWork],
) -> PipelineContext<'a> {
    PipelineContext { now: Instant::now(), has_workers: !context.pool.is_failed(), cadence, work }
}

/// Scores a window from before the actor's start, on the actor's thread. None if it cannot be scored.
fn score_inline(scorer: &mut Scorer, input: &ScoreInput, counters: &Counters) -> Option<Score> {
    match scorer.score(&[*input]) {
        Ok(scores) => scores.iter().next(),
        Err(error) => {
            tracing::error!(%error, "scoring failed");
            add(&counters.score_failures, 1);
            None
        }
    }
}

impl Actor for PumpActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(commit_receiver) = self.commit_receiver.take() else { return };
        let in_order = commit_receiver.then(async |mut commit| {
            let stored = commit.wait().await;
            (commit, stored)
        });
        ctx.add_stream(in_order);
        let (context, pump, kind, start) = (self.context.clone(), self.pump.clone(), self.kind.clone(), self.start);
        let recovered = async move { recover(&context, &pump, &kind, start).await };
        ctx.wait(recovered.into_actor(self).map(|recovered, actor, ctx| match recovered {
            Ok(recovered) => actor.begin(recovered, ctx),
            Err(error) => actor.incarnation.fail(format!("the pump's stored state could not be read: {error}"), ctx),
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

impl StreamHandler<(CommitGuard, StoreOutcome)> for PumpActor {
    fn handle(&mut self, (mut commit, stored): (CommitGuard, StoreOutcome), ctx: &mut Self::Context) {
        if let Some(Commit { batch, .. }) = commit.0.take() {
            self.complete(batch, stored, ctx);
        }
    }

    /// Not called while the actor runs, because the actor holds a sender. The default implementation would stop the
    /// context.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Envelope<ScoreResult>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ScoreResult>, ctx: &mut Self::Context) {
        let ScoreResult { seq, score } = message.into_inner();
        let mut effects = Vec::new();
        self.pipeline.push_score(seq, score, Instant::now(), &mut effects);
        self.apply_effects(effects, ctx);
    }
}

impl Handler<Envelope<RetirePump>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RetirePump>, _: &mut Self::Context) {
        let RetirePump(reply) = message.into_inner();
        // Retiring the actor ends this incarnation, which then handles no further message.
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
