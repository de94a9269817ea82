//! What a pump's actor does about its baseline and its settings: stores how far commissioning is, requests baselines, and
//! carries out what people order.
//!
//! The pump is the one writer of its baselines, and handles nothing else while it writes, so what is stored and what it goes
//! by never part. What comes next is decided by [`super::commission`]; a baseline is learned by [`crate::commissioning`].

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, Decider};
use volute_data::{CommissioningRecord, NewBaseline, PumpSettings, Store, StoreError};
use volute_plant::{INTERVALS_MS, Profile, PumpId, Reading, WindowRules, cadence::in_words};
use volute_runtime::{Envelope, TrySendError};

use super::{actor::PumpActor, commission::Next, recovery};
use crate::{
    commissioning::{
        collection::{BaselineCollection, needed_ms},
        errors::{CommissionRefusal, LearnError},
        mode::{PumpMode, asked, initial_mode, own_baseline, usable},
    },
    counters::add,
    kind::DetectionContext,
    protocol::{
        commissioning::{BaselineLearned, CommissionJob, JobReply, Requester, TrainingData},
        live::LiveFeed,
        pump::{PumpCommand, PumpOrder},
    },
};

/// Where an order is answered.
type Reply = oneshot::Sender<Result<(), CommissionRefusal>>;

impl PumpActor {
    /// Goes on in the mode that it has begun with, or was set to.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        match self.judge.mode() {
            PumpMode::NoModel => self.judge.forget_checkpoint(),
            PumpMode::Learning(_) => {
                self.judge.forget_checkpoint();
                self.look(ctx);
            }
            PumpMode::Unread => {
                let next = self.commission.unread();
                self.go_on_commissioning(next, ctx);
            }
            PumpMode::Judged(_) => self.restore(ctx),
        }
    }

    /// Does what comes next in its commissioning.
    pub(super) fn go_on_commissioning(&mut self, next: Next, ctx: &mut Context<Self>) {
        match next {
            Next::Rest => {}
            Next::Persist(record) => self.persist(record, ctx),
            Next::Request { from, to, why } => self.request(why, TrainingData::Stored(from, to), ctx),
            Next::LookAgain { after, number } => {
                ctx.run_later(after, move |actor, ctx| {
                    if actor.commission.number() == number {
                        actor.look(ctx);
                    }
                });
            }
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.judge.mode(), PumpMode::Unread) {
            return self.read_mode(ctx);
        }
        let next = self.commission.look(self.judge.mode());
        self.go_on_commissioning(next, ctx);
    }

    /// Reads what it goes by, where that could not be read before.
    fn read_mode(&mut self, ctx: &mut Context<Self>) {
        let (context, pump, kind) = (self.context.clone(), self.pump.clone(), self.kind.clone());
        let read = async move {
            let settings = context.store.pump_settings(&pump).await?;
            let standing = context.store.standing(&pump).await?;
            Ok::<_, StoreError>((settings, standing, recovery::checkpoint(&context, &pump, &kind).await))
        };
        ctx.wait(read.into_actor(self).map(|found, actor, ctx| match found {
            Ok((settings, standing, state)) => {
                actor.judge.find_checkpoint(state);
                if settings != actor.settings {
                    actor.go_by(settings, Vec::new());
                }
                let mode = initial_mode(actor.kind.detection.as_ref(), actor.judge.profile(), Some(standing));
                actor.set_mode(mode, ctx);
                actor.resume(ctx);
            }
            Err(_) => {
                let next = actor.commission.unread();
                actor.go_on_commissioning(next, ctx);
            }
        }));
    }

    /// Stores how far commissioning is.
    fn persist(&mut self, record: CommissioningRecord, ctx: &mut Context<Self>) {
        let (store, pump) = (self.context.store.clone(), self.pump.clone());
        let note = async move { (store.note_commissioning(&pump, &record).await, record) };
        ctx.wait(note.into_actor(self).map(|(outcome, record), actor, ctx| {
            if let Err(error) = &outcome {
                actor.log_failure(error);
            }
            let next = actor.commission.persisted(actor.judge.mode_mut(), record, outcome.is_ok());
            actor.go_on_commissioning(next, ctx);
        }));
    }

    /// Requests a baseline.
    fn request(&mut self, why: String, data: TrainingData, ctx: &mut Context<Self>) {
        let requester = Requester::Pump { mode: self.commission.number() };
        let reply = JobReply::new(self.mailboxes.orders.clone().into(), requester);
        let job = CommissionJob { pump: self.pump.clone(), kind: self.kind.clone(), why, data, reply };
        match self.context.commissioning.try_send(job) {
            Ok(()) => self.commission.requested(),
            Err(TrySendError::Full(job)) => {
                job.reply.forget();
                add(&self.context.counters.commissioning_deferred, 1);
                let next = self.commission.deferred();
                self.go_on_commissioning(next, ctx);
            }
            Err(TrySendError::Closed) => {}
        }
    }

    /// Judges windows in another way from now on.
    fn set_mode(&mut self, mode: PumpMode, ctx: &mut Context<Self>) {
        self.commission.mode_changed();
        let mut effects = Vec::new();
        self.judge.set_mode(mode, std::time::Instant::now(), &mut effects);
        self.carry_out(effects, ctx);
    }

    /// Stores a new baseline and uses it.
    fn adopt(&mut self, baseline: Baseline, new: NewBaseline, requester: Requester, ctx: &mut Context<Self>) {
        if baseline.interval_ms != Some(self.judge.profile().interval_ms()) {
            return self.not_learned(LearnError::OtherInterval, requester, ctx);
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
                actor.set_mode(PumpMode::Judged(Decider::new(Arc::new(baseline))), ctx);
                if let Requester::Caller(reply) = requester {
                    // The caller may be gone; so below.
                    let _ = reply.send(Ok(version));
                }
            }
            Err(error) => actor.not_learned(error.into(), requester, ctx),
        }));
    }

    fn not_learned(&mut self, error: LearnError, requester: Requester, ctx: &mut Context<Self>) {
        if let LearnError::Store(error) = &error {
            self.log_failure(error);
        }
        if let Requester::Caller(reply) = requester {
            let _ = reply.send(Err(error.into()));
            return;
        }
        tracing::warn!(pump = self.pump.as_str(), %error, "not commissioned, and tried again");
        let next = self.commission.failed(self.judge.mode_mut(), &error);
        self.go_on_commissioning(next, ctx);
    }

    fn log_failure(&self, error: &StoreError) {
        tracing::error!(pump = self.pump.as_str(), %error, "the store failed");
    }

    fn learn_anew(&mut self, reply: Reply, ctx: &mut Context<Self>) {
        let Some(detection) = &self.kind.detection else { return drop(reply.send(Err(CommissionRefusal::NoModel))) };
        let (store, pump) = (self.context.store.clone(), self.pump.clone());
        let needed_ms = needed_ms(self.judge.profile(), detection.running_ms);
        let note = async move { store.note_commissioning(&pump, &asked()).await };
        let noted = move |outcome: Result<(), StoreError>, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.answer(reply, outcome.map_err(Into::into), ctx, |actor, (), ctx| {
                tracing::info!(pump = actor.pump.as_str(), "commissioned anew from now on");
                actor.set_mode(PumpMode::Learning(BaselineCollection::stored(needed_ms, asked())), ctx);
            });
        };
        ctx.wait(note.into_actor(self).map(noted));
    }

    fn use_version(&mut self, version: u32, reply: Reply, ctx: &mut Context<Self>) {
        let Some(detection) = self.kind.detection.clone() else {
            return drop(reply.send(Err(CommissionRefusal::NoModel)));
        };
        let (store, pump, profile) = (self.context.store.clone(), self.pump.clone(), self.judge.profile().clone());
        let put_back = async move { put_back(&store, &detection, &profile, &pump, version).await };
        ctx.wait(put_back.into_actor(self).map(move |outcome, actor, ctx| {
            actor.answer(reply, outcome, ctx, |actor, baseline, ctx| {
                tracing::info!(pump = actor.pump.as_str(), version, baseline = baseline.id, "baseline put back");
                actor.set_mode(PumpMode::Judged(Decider::new(baseline)), ctx);
            });
        }));
    }

    /// Stores settings of its own, and goes by them.
    fn set(&mut self, settings: PumpSettings, reply: Reply, ctx: &mut Context<Self>) {
        let (context, pump) = (self.context.clone(), self.pump.clone());
        let recall = WindowRules::recall_readings(&settings.apply(&self.kind.profile));
        let store = async move {
            context.store.set_pump_settings(&pump, &settings).await?;
            let standing = context.store.standing(&pump).await?;
            let readings = context.store.latest_readings(&pump, recall).await?.rows;
            Ok::<_, StoreError>((settings, standing, readings))
        };
        ctx.wait(store.into_actor(self).map(move |outcome, actor, ctx| {
            let outcome = outcome.map_err(CommissionRefusal::from);
            actor.answer(reply, outcome, ctx, |actor, (settings, standing, readings), ctx| {
                tracing::info!(pump = actor.pump.as_str(), ?settings, "settings of its own");
                // What waits for a missing reading had its place in the old steps.
                actor.flush(ctx);
                actor.go_by(settings, readings);
                let mode = initial_mode(actor.kind.detection.as_ref(), actor.judge.profile(), Some(standing));
                actor.set_mode(mode, ctx);
                actor.resume(ctx);
                // The caller sees it at once, and not with the next reading.
                actor.show_feed();
            });
        }));
    }

    /// Carries an order out where all that it needs was read or stored, and answers it.
    fn answer<T>(
        &mut self,
        reply: Reply,
        outcome: Result<T, CommissionRefusal>,
        ctx: &mut Context<Self>,
        carry_out: impl FnOnce(&mut Self, T, &mut Context<Self>),
    ) {
        if let Err(CommissionRefusal::Store(error)) = &outcome {
            self.log_failure(error);
        }
        let answer = outcome.map(|needed| carry_out(self, needed, ctx));
        // The caller may be gone.
        let _ = reply.send(answer);
    }

    /// Shows what its feed is like where that has changed. A pump for which nothing is learned yet takes on the interval that
    /// its readings come at, if they are too far apart for its profile's.
    pub(super) fn follow_feed(&mut self, ctx: &mut Context<Self>) {
        let profile = self.judge.profile();
        // A pump of which nothing is stored is not shown.
        if self.unregistered.is_some() || !self.feed.is_due(profile) {
            return;
        }
        let is_slight = matches!(self.judge.mode(), PumpMode::Learning(collection) if collection.is_slight(profile));
        if let Some(interval_ms) = self.feed.sparse_ms(profile).filter(|ms| INTERVALS_MS.contains(ms))
            && is_slight
            && self.settings.interval_ms.is_none()
        {
            let why = format!("its readings come every {}", in_words(interval_ms));
            let settings = PumpSettings { interval_ms: Some(interval_ms), why, ..self.settings.clone() };
            // Nobody asked; what comes of it is logged.
            self.set(settings, oneshot::channel().0, ctx);
            return;
        }
        self.show_feed();
    }

    fn show_feed(&mut self) {
        if self.unregistered.is_some() {
            return;
        }
        let own = self.settings.interval_ms.is_some();
        let feed = self.feed.state(self.judge.profile(), own, self.judge.short_runs());
        if self.feed.told.as_ref() == Some(&feed) {
            return;
        }
        // Where there is no room it is shown with a later reading.
        if self.context.live.try_send(LiveFeed { pump: self.pump.clone(), feed: feed.clone() }).is_ok() {
            self.feed.told = Some(feed);
        }
    }

    /// Makes its windows by these settings from now on; the first of them of these readings, which are stored.
    pub(super) fn go_by(&mut self, settings: PumpSettings, readings: Vec<Reading>) {
        let profile = settings.apply(&self.kind.profile);
        self.settings = settings;
        self.admit.change_profile(&profile);
        self.judge.change_profile(profile, readings);
    }
}

impl Handler<Envelope<BaselineLearned>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<BaselineLearned>, ctx: &mut Self::Context) {
        let BaselineLearned { outcome, requester } = message.into_inner();
        if matches!(requester, Requester::Pump { mode } if mode != self.commission.number()) {
            // It has been told otherwise since it requested this.
            return;
        }
        match outcome {
            Ok((baseline, new)) => self.adopt(baseline, new, requester, ctx),
            Err(error) => self.not_learned(error, requester, ctx),
        }
    }
}

impl Handler<Envelope<PumpCommand>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<PumpCommand>, ctx: &mut Self::Context) {
        let PumpCommand { order, reply } = message.into_inner();
        match order {
            PumpOrder::Anew => self.learn_anew(reply, ctx),
            PumpOrder::Use { version } => self.use_version(version, reply, ctx),
            PumpOrder::Set { settings, is_played } => {
                if is_played {
                    self.judge.is_played_from_now_on();
                    self.admit.forget_clock();
                }
                self.set(settings, reply, ctx);
            }
        }
    }
}

/// Makes a stored version the one in use, if the kind's network can use it.
async fn put_back(
    store: &Store,
    detection: &DetectionContext,
    profile: &Profile,
    pump: &PumpId,
    version: u32,
) -> Result<Arc<Baseline>, CommissionRefusal> {
    let unknown = || CommissionRefusal::UnknownVersion { pump: pump.clone(), version };
    let baseline = if version == 0 {
        own_baseline(&detection.model, profile).cloned().ok_or_else(unknown)?
    } else {
        let record = store.baseline(pump, version).await?.ok_or_else(unknown)?;
        let usable = usable(&detection.model, profile, &record);
        Arc::new(usable.map_err(|why| CommissionRefusal::unusable(pump, version, &why))?)
    };
    store.use_baseline(pump, version).await?;
    Ok(baseline)
}
