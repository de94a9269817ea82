//! A pump's own part in its commissioning: keeps what it gathers, asks for the lesson, stores and uses what was learned.
//!
//! The pump is the one writer of its baselines, and handles nothing else while it writes, so what is stored and what it
//! goes by never part. Deliberately absent: the lesson itself ([`crate::commissioning`]).

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_anomaly::{Baseline, CommissioningError, Decider};
use volute_data::{CommissioningRecord, NewBaseline, PumpSettings, Store, StoreError};
use volute_plant::{DeviceClock, INTERVALS_MS, Profile, PumpId, Reading, WindowRules, Windower, cadence::in_words};
use volute_runtime::{BackOff, Envelope, Message, TrySendError};

use super::{PumpActor, Waiting, memory};
use crate::{
    commissioning::{
        Asker, CommissionRefusal, Judging, Learned, Lesson, LessonError, Material,
        footing::{Course, asked, footing, own_baseline, usable},
        gathering::{Gathering, needed_ms},
    },
    counters::add,
    live::LiveFeed,
};

/// How long after a lesson that failed, or for which there was no room, it is tried again.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_secs(5), longest: Duration::from_secs(600) };

/// An order for a pump, and where it is answered.
pub(crate) struct Command {
    pub order: Order,
    pub reply: oneshot::Sender<Result<(), CommissionRefusal>>,
}

impl Message for Command {}

/// What a pump can be told.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Learn anew, from the next reading on.
    Anew,
    /// Use this version; 0: what the model brings along.
    Use { version: u32 },
    /// Go by these settings of its own.
    Set { settings: PumpSettings, is_played: bool },
}

impl PumpActor {
    /// Goes on with a commissioning that was under way, or begins it.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.course, Course::Learning(_) | Course::Blind) {
            self.memory.forget();
        }
        match &self.course {
            Course::Learning(gathering) if gathering.due().is_some() => self.keep(ctx),
            Course::Learning(_) => self.ask_for_lesson(ctx),
            Course::Unread => self.retry(Self::find_footing, ctx),
            Course::Judged(_) => self.remember(ctx),
            Course::Blind => {}
        }
    }

    /// Reads what it goes by, where that could not be read before.
    fn find_footing(&mut self, ctx: &mut Context<Self>) {
        let (staff, pump) = (self.staff.clone(), self.pump.clone());
        let standing = async move {
            let settings = staff.store.pump_settings(&pump).await?;
            let standing = staff.store.standing(&pump).await?;
            Ok::<_, StoreError>((settings, standing, memory::state(&staff, &pump).await))
        };
        ctx.wait(standing.into_actor(self).map(|found, actor, ctx| match found {
            Ok((settings, standing, state)) => {
                actor.memory.find(state);
                if settings != actor.settings {
                    actor.go_by(settings, Vec::new());
                }
                actor.turn(footing(actor.staff.judging.as_ref(), &actor.profile, Some(standing)));
                actor.resume(ctx);
            }
            Err(_) => actor.retry(Self::find_footing, ctx),
        }));
    }

    /// Stores how far commissioning is, where that is due; once it is complete, asks for the lesson.
    pub(super) fn keep(&mut self, ctx: &mut Context<Self>) {
        let Course::Learning(gathering) = &self.course else { return };
        let Some(record) = gathering.due().cloned().filter(|_| !self.keeping) else { return };
        self.keeping = true;
        let (store, pump) = (self.staff.store.clone(), self.pump.clone());
        let note = async move { (store.note_commissioning(&pump, &record).await, record) };
        ctx.wait(note.into_actor(self).map(|(outcome, record), actor, ctx| actor.kept(outcome, record, ctx)));
    }

    fn kept(&mut self, outcome: Result<(), StoreError>, record: CommissioningRecord, ctx: &mut Context<Self>) {
        self.keeping = false;
        let Course::Learning(gathering) = &mut self.course else { return };
        match outcome {
            Ok(()) => {
                gathering.keep(record);
                // More may have come in meanwhile.
                if gathering.due().is_some() { self.keep(ctx) } else { self.ask_for_lesson(ctx) }
            }
            Err(error) => {
                gathering.fail("what was gathered could not be stored; it is tried again");
                self.note_failure(&error);
                self.retry(Self::keep, ctx);
            }
        }
    }

    /// Asks for the lesson if enough is gathered and none was asked for yet.
    fn ask_for_lesson(&mut self, ctx: &mut Context<Self>) {
        let (Course::Learning(gathering), Some(judging)) = (&self.course, &self.staff.judging) else { return };
        let Some((from, to)) = gathering.complete().filter(|_| self.asked_on != Some(self.course_number)) else {
            return;
        };
        let asker = Asker::Pump { course: self.course_number };
        let (why, material) = (gathering.why().to_owned(), Material::Stored(from, to));
        let lesson = Lesson::new(self.pump.clone(), why, material, self.orders.clone(), asker);
        match judging.lessons.try_send(lesson) {
            Ok(()) => self.asked_on = Some(self.course_number),
            Err(TrySendError::Full(lesson)) => {
                lesson.forget();
                add(&self.staff.counters.commissioning_deferred, 1);
                self.retry(Self::ask_for_lesson, ctx);
            }
            Err(TrySendError::Closed) => {}
        }
    }

    fn retry(&mut self, what: fn(&mut Self, &mut Context<Self>), ctx: &mut Context<Self>) {
        let course = self.course_number;
        self.retries += 1;
        let delay = BACK_OFF.pause(usize::try_from(self.retries).unwrap_or(usize::MAX), 0.0);
        ctx.run_later(delay, move |actor, ctx| {
            if actor.course_number == course {
                what(actor, ctx);
            }
        });
    }

    /// Deals with its windows in another way from now on. Those on their way were scaled for the old one: only their
    /// limits are looked at.
    fn turn(&mut self, course: Course) {
        self.course = course;
        self.memory.begin_anew();
        self.course_number += 1;
        self.retries = 0;
        for waiting in &mut self.windows {
            if let Waiting::Score { reading, .. } | Waiting::Scored { reading, .. } = waiting {
                *waiting = Waiting::Unjudged { reading: reading.clone() };
            }
        }
    }

    /// Stores a new baseline and uses it.
    fn adopt(&mut self, baseline: Baseline, new: NewBaseline, asker: Asker, ctx: &mut Context<Self>) {
        if baseline.interval_ms != Some(self.profile.interval_ms()) {
            return self.not_learned(LessonError::OtherInterval, asker, ctx);
        }
        let (store, pump) = (self.staff.store.clone(), self.pump.clone());
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
                actor.turn(Course::Judged(Decider::new(Arc::new(baseline))));
                actor.decide(ctx);
                if let Asker::Caller(reply) = asker {
                    // Whoever asked may have gone; so below.
                    let _ = reply.send(Ok(version));
                }
            }
            Err(error) => actor.not_learned(error.into(), asker, ctx),
        }));
    }

    fn not_learned(&mut self, error: LessonError, asker: Asker, ctx: &mut Context<Self>) {
        if let LessonError::Store(error) = &error {
            self.note_failure(error);
        }
        if let Asker::Caller(reply) = asker {
            let _ = reply.send(Err(error.into()));
            return;
        }
        self.asked_on = None;
        let Course::Learning(gathering) = &mut self.course else { return };
        let text = error.to_string();
        if let LessonError::Learning(CommissioningError::TooFew { .. }) = error {
            tracing::warn!(pump = self.pump.as_str(), error = text, "commissioning begins anew");
            gathering.start_over(&text);
            return self.keep(ctx);
        }
        tracing::warn!(pump = self.pump.as_str(), error = text, "commissioning failed and is tried again");
        gathering.fail("it failed and is tried again; the log says why");
        self.retry(Self::ask_for_lesson, ctx);
    }

    fn note_failure(&self, error: &StoreError) {
        tracing::error!(pump = self.pump.as_str(), %error, "the store failed");
    }

    fn learn_anew(&mut self, reply: oneshot::Sender<Result<(), CommissionRefusal>>, ctx: &mut Context<Self>) {
        let Some(judging) = &self.staff.judging else { return drop(reply.send(Err(CommissionRefusal::NoModel))) };
        let (store, pump) = (self.staff.store.clone(), self.pump.clone());
        let needed_ms = needed_ms(&self.profile, judging.running_ms);
        let note = async move { store.note_commissioning(&pump, &asked()).await };
        ctx.wait(note.into_actor(self).map(move |outcome, actor, ctx| {
            let answer = match outcome {
                Ok(()) => {
                    tracing::info!(pump = actor.pump.as_str(), "commissioned anew from now on");
                    actor.turn(Course::Learning(Gathering::stored(needed_ms, asked())));
                    actor.decide(ctx);
                    Ok(())
                }
                Err(error) => {
                    actor.note_failure(&error);
                    Err(error.into())
                }
            };
            let _ = reply.send(answer);
        }));
    }

    fn use_version(
        &mut self,
        version: u32,
        reply: oneshot::Sender<Result<(), CommissionRefusal>>,
        ctx: &mut Context<Self>,
    ) {
        let Some(judging) = self.staff.judging.clone() else {
            return drop(reply.send(Err(CommissionRefusal::NoModel)));
        };
        let (store, pump) = (self.staff.store.clone(), self.pump.clone());
        let profile = self.profile.clone();
        let put_back = async move { put_back(&store, &judging, &profile, &pump, version).await };
        ctx.wait(put_back.into_actor(self).map(move |outcome, actor, ctx| {
            let answer = outcome.map(|baseline| {
                tracing::info!(pump = actor.pump.as_str(), version, baseline = baseline.id, "baseline put back");
                actor.turn(Course::Judged(Decider::new(baseline)));
                actor.decide(ctx);
            });
            if let Err(CommissionRefusal::Store(error)) = &answer {
                actor.note_failure(error);
            }
            let _ = reply.send(answer);
        }));
    }
}

impl PumpActor {
    /// Stores settings of its own, and goes by them.
    pub(super) fn set(
        &mut self,
        settings: PumpSettings,
        reply: oneshot::Sender<Result<(), CommissionRefusal>>,
        ctx: &mut Context<Self>,
    ) {
        let (staff, pump) = (self.staff.clone(), self.pump.clone());
        let recall = WindowRules::recall_readings(&settings.apply(&staff.profile));
        let store = async move {
            staff.store.set_pump_settings(&pump, &settings).await?;
            let standing = staff.store.standing(&pump).await?;
            let readings = staff.store.latest_readings(&pump, recall).await?.rows;
            Ok::<_, StoreError>((settings, standing, readings))
        };
        ctx.wait(store.into_actor(self).map(move |outcome, actor, ctx| {
            let answer = match outcome {
                Ok((settings, standing, readings)) => {
                    tracing::info!(pump = actor.pump.as_str(), ?settings, "settings of its own");
                    // What waits for a missing reading had its place in the old steps.
                    let placed = actor.windower.flush();
                    actor.place(placed, ctx);
                    actor.go_by(settings, readings);
                    actor.turn(footing(actor.staff.judging.as_ref(), &actor.profile, Some(standing)));
                    actor.resume(ctx);
                    actor.decide(ctx);
                    // Whoever asked sees it at once, and not with the next reading.
                    actor.tell_feed();
                    Ok(())
                }
                Err(error) => {
                    actor.note_failure(&error);
                    Err(error.into())
                }
            };
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }));
    }

    /// Tells what its feed is like where that has changed. A pump for which nothing is learned yet takes on the interval that
    /// its readings come at, if they are too far apart for its profile's.
    pub(super) fn follow_feed(&mut self, ctx: &mut Context<Self>) {
        // A pump of which nothing is stored is not shown.
        if self.unregistered.is_some() || !self.feed.is_due(&self.profile) {
            return;
        }
        let nothing_learned = matches!(&self.course, Course::Learning(gathering) if gathering.is_slight(&self.profile));
        if let Some(interval_ms) = self.feed.sparse_ms(&self.profile).filter(|ms| INTERVALS_MS.contains(ms))
            && nothing_learned
            && self.settings.interval_ms.is_none()
        {
            let why = format!("its readings come every {}", in_words(interval_ms));
            let settings = PumpSettings { interval_ms: Some(interval_ms), why, ..self.settings.clone() };
            // Nobody asked; what comes of it is logged.
            self.set(settings, oneshot::channel().0, ctx);
            return;
        }
        self.tell_feed();
    }

    fn tell_feed(&mut self) {
        if self.unregistered.is_some() {
            return;
        }
        let own = self.settings.interval_ms.is_some();
        let feed = self.feed.state(&self.profile, own, self.windower.short_runs());
        if self.feed.told.as_ref() == Some(&feed) {
            return;
        }
        // Where there is no room it is told with a later reading.
        if self.staff.live.try_send(LiveFeed { pump: self.pump.clone(), feed: feed.clone() }).is_ok() {
            self.feed.told = Some(feed);
        }
    }

    /// Makes its windows by these settings from now on; the first of them of these readings, which are stored.
    pub(super) fn go_by(&mut self, settings: PumpSettings, readings: Vec<Reading>) {
        self.profile = settings.apply(&self.staff.profile);
        self.settings = settings;
        self.admission.change_profile(&self.profile);
        self.windower = Windower::new(&self.profile);
        for reading in readings.into_iter().filter(|reading| !reading.late) {
            self.windower.push(reading);
        }
    }
}

impl Handler<Envelope<Learned>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Learned>, ctx: &mut Self::Context) {
        let Learned { outcome, asker } = message.into_inner();
        if matches!(asker, Asker::Pump { course } if course != self.course_number) {
            // It has been told otherwise since it asked.
            return;
        }
        match outcome {
            Ok((baseline, new)) => self.adopt(baseline, new, asker, ctx),
            Err(error) => self.not_learned(error, asker, ctx),
        }
    }
}

impl Handler<Envelope<Command>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Command>, ctx: &mut Self::Context) {
        let Command { order, reply } = message.into_inner();
        match order {
            Order::Anew => self.learn_anew(reply, ctx),
            Order::Use { version } => self.use_version(version, reply, ctx),
            Order::Set { settings, is_played } => {
                if is_played {
                    self.is_played = true;
                    self.device_clock = DeviceClock::default();
                }
                self.set(settings, reply, ctx);
            }
        }
    }
}

/// Makes a stored version the one in use, if the node's network can use it.
async fn put_back(
    store: &Store,
    judging: &Judging,
    profile: &Profile,
    pump: &PumpId,
    version: u32,
) -> Result<Arc<Baseline>, CommissionRefusal> {
    let unknown = || CommissionRefusal::UnknownVersion { pump: pump.clone(), version };
    let baseline = if version == 0 {
        own_baseline(&judging.model, profile).cloned().ok_or_else(unknown)?
    } else {
        let record = store.baseline(pump, version).await?.ok_or_else(unknown)?;
        let usable = usable(&judging.model, profile, &record);
        Arc::new(usable.map_err(|why| CommissionRefusal::unusable(pump, version, &why))?)
    };
    store.use_baseline(pump, version).await?;
    Ok(baseline)
}
