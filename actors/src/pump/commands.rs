//! The part of a pump's actor that manages its baseline and settings: stores the commissioning's progress, requests
//! baselines, and carries out commands.
//!
//! The pump's actor is the only writer of its baselines and handles no other message while it writes, so the stored
//! status and the mode in use never differ. [`super::commission`] decides what to do next; [`crate::commissioning`]
//! learns baselines.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, Decider};
use volute_data::{CommissioningRecord, PumpSettings, Store, StoreError};
use volute_plant::{INTERVAL_RANGE_MS, Profile, PumpId, Reading, WindowConfig, cadence::format_interval};
use volute_runtime::{Envelope, TrySendError};

use super::{actor::PumpActor, commission::NextAction, recovery};
use crate::{
    commissioning::{
        collection::{BaselineCollection, goal},
        errors::{CommissionError, LearnError},
        mode::{PumpMode, initial_mode, model_baseline, requested, usable_baseline},
    },
    counters::add,
    kind::DetectionContext,
    protocol::{
        commissioning::{BaselineLearned, CommissionJob, JobReply, LearnedBaseline, Requester, TrainingData},
        live::LiveCadenceChanged,
        pump::{PumpCommand, PumpRequest},
    },
};

/// Receives the result of a command.
type Reply = oneshot::Sender<Result<(), CommissionError>>;

impl PumpActor {
    /// Does what the current mode needs at the start, or after the mode was set.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        match self.pipeline.mode() {
            PumpMode::NoModel => self.pipeline.discard_checkpoint(),
            PumpMode::Learning(_) => {
                self.pipeline.discard_checkpoint();
                self.advance_commissioning(ctx);
            }
            PumpMode::BaselineNotLoaded => {
                let next = self.commission.mode_read_failed();
                self.run_commission_action(next, ctx);
            }
            PumpMode::Detecting { .. } => self.restore(ctx),
        }
    }

    /// Carries out the next action of the commissioning.
    pub(super) fn run_commission_action(&mut self, next: NextAction, ctx: &mut Context<Self>) {
        match next {
            NextAction::Idle => {}
            NextAction::Persist(record) => self.persist(record, ctx),
            NextAction::Request { from, to, reason, refines } => {
                self.request(reason, TrainingData::Stored { from, to, has_detections: refines }, ctx);
            }
            NextAction::Retry { after, mode_number } => {
                ctx.run_later(after, move |actor, ctx| {
                    if actor.commission.mode_number() == mode_number {
                        actor.advance_commissioning(ctx);
                    }
                });
            }
        }
    }

    fn advance_commissioning(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.pipeline.mode(), PumpMode::BaselineNotLoaded) {
            return self.retry_reading_mode(ctx);
        }
        let next = self.commission.next_action(self.pipeline.mode());
        self.run_commission_action(next, ctx);
    }

    /// Reads the settings and the baseline status again if they could not be read before.
    fn retry_reading_mode(&mut self, ctx: &mut Context<Self>) {
        let (context, pump, kind) = (self.context.clone(), self.pump.clone(), self.kind.clone());
        let read = async move {
            let settings = context.store.pump_settings(&pump).await?;
            let baseline_status = context.store.baseline_status(&pump).await?;
            Ok::<_, StoreError>((settings, baseline_status, recovery::checkpoint(&context, &pump, &kind).await))
        };
        ctx.wait(read.into_actor(self).map(|outcome, actor, ctx| match outcome {
            Ok((settings, baseline_status, state)) => {
                actor.pipeline.set_checkpoint(state);
                if settings != actor.settings {
                    actor.apply_settings(settings, Vec::new());
                }
                let mode = initial_mode(actor.kind.detection.as_ref(), actor.pipeline.profile(), Some(baseline_status));
                actor.set_mode(mode, ctx);
                actor.resume(ctx);
            }
            Err(_) => {
                let next = actor.commission.mode_read_failed();
                actor.run_commission_action(next, ctx);
            }
        }));
    }

    /// Stores the progress of the commissioning.
    fn persist(&mut self, record: CommissioningRecord, ctx: &mut Context<Self>) {
        let (store, pump) = (self.context.store.clone(), self.pump.clone());
        let save = async move { (store.save_commissioning(&pump, &record).await, record) };
        ctx.wait(save.into_actor(self).map(|(outcome, record), actor, ctx| {
            if let Err(error) = &outcome {
                actor.log_failure(error);
            }
            let next = actor.commission.persisted(actor.pipeline.mode_mut(), record, outcome.is_ok());
            actor.run_commission_action(next, ctx);
        }));
    }

    /// Requests a baseline from the commissioning actor.
    fn request(&mut self, reason: String, data: TrainingData, ctx: &mut Context<Self>) {
        let requester = Requester::Pump { mode: self.commission.mode_number() };
        let reply = JobReply::new(self.addresses.commands.clone().into(), requester);
        let job = CommissionJob { pump: self.pump.clone(), kind: self.kind.clone(), reason, data, reply };
        match self.context.commissioning.try_send(job) {
            Ok(()) => self.commission.requested(),
            Err(TrySendError::Full(job)) => {
                job.reply.cancel();
                add(&self.context.counters.commissioning_deferred, 1);
                let next = self.commission.deferred();
                self.run_commission_action(next, ctx);
            }
            Err(TrySendError::Closed) => {}
        }
    }

    /// Changes the mode.
    fn set_mode(&mut self, mode: PumpMode, ctx: &mut Context<Self>) {
        self.commission.mode_changed();
        let mut effects = Vec::new();
        self.pipeline.set_mode(mode, std::time::Instant::now(), &mut effects);
        self.set_alarm_baseline();
        self.apply_effects(effects, ctx);
    }

    /// Stores a new baseline and uses it.
    fn adopt(&mut self, learned: LearnedBaseline, requester: Requester, ctx: &mut Context<Self>) {
        let LearnedBaseline { decider, new } = learned;
        let baseline = decider.baseline().clone();
        if baseline.interval_ms != Some(self.pipeline.profile().interval_ms()) {
            return self.learning_failed(LearnError::IntervalChanged, requester, ctx);
        }
        let (store, pump) = (self.context.store.clone(), self.pump.clone());
        let add = async move { store.add_baseline(&pump, &new).await };
        ctx.wait(add.into_actor(self).map(move |outcome, actor, ctx| match outcome {
            Ok(version) => {
                tracing::info!(
                    pump = actor.pump.as_str(),
                    version,
                    baseline = baseline.id,
                    windows = baseline.learned.windows,
                    "commissioned"
                );
                actor.set_mode(PumpMode::detecting(decider), ctx);
                if let Requester::Caller(reply) = requester {
                    // The caller may be gone, here and below.
                    let _ = reply.send(Ok(version));
                }
            }
            Err(error) => actor.learning_failed(error.into(), requester, ctx),
        }));
    }

    fn learning_failed(&mut self, error: LearnError, requester: Requester, ctx: &mut Context<Self>) {
        if let LearnError::Store(error) = &error {
            self.log_failure(error);
        }
        if let Requester::Caller(reply) = requester {
            let _ = reply.send(Err(error.into()));
            return;
        }
        tracing::warn!(pump = self.pump.as_str(), %error, "learning the baseline failed; trying again");
        let next = self.commission.failed(self.pipeline.mode_mut(), &error);
        self.run_commission_action(next, ctx);
    }

    fn log_failure(&self, error: &StoreError) {
        tracing::error!(pump = self.pump.as_str(), %error, "store access failed");
    }

    fn recommission(&mut self, reply: Reply, ctx: &mut Context<Self>) {
        let Some(detection) = &self.kind.detection else { return drop(reply.send(Err(CommissionError::NoModel))) };
        let (store, pump) = (self.context.store.clone(), self.pump.clone());
        let goal = goal(self.pipeline.profile(), detection.how.detector, detection.running_ms);
        let save = async move { store.save_commissioning(&pump, &requested()).await };
        let then = move |outcome: Result<(), StoreError>, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.finish_command(reply, outcome.map_err(Into::into), ctx, |actor, (), ctx| {
                tracing::info!(pump = actor.pump.as_str(), "commissioning started anew");
                actor.set_mode(PumpMode::Learning(BaselineCollection::stored(goal, requested())), ctx);
            });
        };
        ctx.wait(save.into_actor(self).map(then));
    }

    fn use_version(&mut self, version: u32, reply: Reply, ctx: &mut Context<Self>) {
        let Some(detection) = self.kind.detection.clone() else {
            return drop(reply.send(Err(CommissionError::NoModel)));
        };
        let (store, pump, profile) = (self.context.store.clone(), self.pump.clone(), self.pipeline.profile().clone());
        let activated = async move { activate_version(&store, &detection, &profile, &pump, version).await };
        ctx.wait(activated.into_actor(self).map(move |outcome, actor, ctx| {
            actor.finish_command(reply, outcome, ctx, |actor, baseline, ctx| {
                tracing::info!(pump = actor.pump.as_str(), version, baseline = baseline.id, "baseline version in use");
                actor.set_mode(PumpMode::detecting(Decider::new(baseline)), ctx);
            });
        }));
    }

    /// Stores new settings and applies them.
    fn change_settings(&mut self, settings: PumpSettings, reply: Reply, ctx: &mut Context<Self>) {
        let (context, pump) = (self.context.clone(), self.pump.clone());
        let window_readings = WindowConfig::restore_readings(&settings.apply(&self.kind.profile));
        let store = async move {
            context.store.set_pump_settings(&pump, &settings).await?;
            let baseline_status = context.store.baseline_status(&pump).await?;
            let readings = context.store.latest_readings(&pump, window_readings).await?.rows;
            Ok::<_, StoreError>((settings, baseline_status, readings))
        };
        ctx.wait(store.into_actor(self).map(move |outcome, actor, ctx| {
            let outcome = outcome.map_err(CommissionError::from);
            actor.finish_command(reply, outcome, ctx, |actor, (settings, baseline_status, readings), ctx| {
                tracing::info!(pump = actor.pump.as_str(), ?settings, "settings changed");
                // Readings that wait for a missing one belong to steps of the old interval.
                actor.flush(ctx);
                actor.apply_settings(settings, readings);
                let mode = initial_mode(actor.kind.detection.as_ref(), actor.pipeline.profile(), Some(baseline_status));
                actor.set_mode(mode, ctx);
                actor.resume(ctx);
                // Published at once, so that the caller sees the change before the next reading.
                actor.publish_feed();
            });
        }));
    }

    /// Applies a command if the store's `outcome` is ok, and sends the result to the caller.
    fn finish_command<T>(
        &mut self,
        reply: Reply,
        outcome: Result<T, CommissionError>,
        ctx: &mut Context<Self>,
        apply: impl FnOnce(&mut Self, T, &mut Context<Self>),
    ) {
        if let Err(CommissionError::Store(error)) = &outcome {
            self.log_failure(error);
        }
        let result = outcome.map(|input| apply(self, input, ctx));
        // The caller may be gone.
        let _ = reply.send(result);
    }

    /// Publishes the cadence if it has changed. If the readings are too far apart for the profile's interval
    /// and less than one window of normal running was counted, sets the pump's own interval to that of its readings.
    pub(super) fn update_cadence(&mut self, ctx: &mut Context<Self>) {
        let profile = self.pipeline.profile();
        // The live feed does not show a pump of which nothing is stored.
        if self.unregistered.is_some() || !self.cadence.is_due(profile) {
            return;
        }
        let is_empty =
            matches!(self.pipeline.mode(), PumpMode::Learning(collection) if collection.is_below_one_window(profile));
        if let Some(interval_ms) = self.cadence.sparse_ms(profile).filter(|ms| INTERVAL_RANGE_MS.contains(ms))
            && is_empty
            && self.settings.interval_ms.is_none()
        {
            let why = format!("its readings come every {}", format_interval(interval_ms));
            let settings = PumpSettings { interval_ms: Some(interval_ms), why, ..self.settings.clone() };
            // No caller waits for this; the outcome is logged.
            self.change_settings(settings, oneshot::channel().0, ctx);
            return;
        }
        self.publish_feed();
    }

    fn publish_feed(&mut self) {
        if self.unregistered.is_some() {
            return;
        }
        let own = self.settings.interval_ms.is_some();
        let cadence = self.cadence.state(self.pipeline.profile(), own, self.pipeline.short_runs());
        if self.cadence.published.as_ref() == Some(&cadence) {
            return;
        }
        // If the inbox is full, the state is published with a later reading.
        if self.context.live.try_send(LiveCadenceChanged { pump: self.pump.clone(), cadence: cadence.clone() }).is_ok()
        {
            self.cadence.published = Some(cadence);
        }
    }

    /// Builds windows by these settings from now on, starting with these stored readings.
    pub(super) fn apply_settings(&mut self, settings: PumpSettings, readings: Vec<Reading>) {
        let profile = settings.apply(&self.kind.profile);
        self.settings = settings;
        self.admit.change_profile(&profile);
        self.pipeline.change_profile(profile, readings);
        self.rearm();
    }
}

impl Handler<Envelope<BaselineLearned>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<BaselineLearned>, ctx: &mut Self::Context) {
        let BaselineLearned { outcome, requester } = message.into_inner();
        if matches!(requester, Requester::Pump { mode } if mode != self.commission.mode_number()) {
            // The mode has changed since this was requested.
            return;
        }
        match outcome {
            Ok(learned) => self.adopt(learned, requester, ctx),
            Err(error) => self.learning_failed(error, requester, ctx),
        }
    }
}

impl Handler<Envelope<PumpRequest>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<PumpRequest>, ctx: &mut Self::Context) {
        let PumpRequest { command, reply } = message.into_inner();
        match command {
            PumpCommand::Recommission => self.recommission(reply, ctx),
            PumpCommand::ActivateVersion { version } => self.use_version(version, reply, ctx),
            PumpCommand::ChangeSettings { settings, is_played } => {
                if is_played {
                    self.pipeline.set_played();
                    self.admit.reset_clock();
                }
                self.change_settings(settings, reply, ctx);
            }
        }
    }
}

/// Puts a stored version into use if the model of the pump's kind can use it.
async fn activate_version(
    store: &Store,
    detection: &DetectionContext,
    profile: &Profile,
    pump: &PumpId,
    version: u32,
) -> Result<Arc<Baseline>, CommissionError> {
    let unknown = || CommissionError::UnknownVersion { pump: pump.clone(), version };
    let baseline = if version == 0 {
        model_baseline(&detection.model, profile).cloned().ok_or_else(unknown)?
    } else {
        let record = store.baseline(pump, version).await?.ok_or_else(unknown)?;
        let usable = usable_baseline(&detection.model, profile, &record);
        Arc::new(usable.map_err(|reason| CommissionError::unusable(pump, version, &reason))?)
    };
    store.activate_baseline(pump, version).await?;
    Ok(baseline)
}
