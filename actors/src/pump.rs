//! One pump: judges what is offered in its name, has it stored, keeps its window, and decides on its scores.
//!
//! Offers are stored concurrently but settled in the order in which they came, so the window sees readings
//! in the order of admission. Scores are decided in the order of their windows, whatever order the workers
//! finish in. Only what is current ([`volute_plant::TimeRules`]) is shown and held against limits, whatever its order; what is
//! older is windowed, scored and recorded by its own time, and raises nothing. The rules are the plant crate's; this is the shell. How a pump comes to its baseline is in `commissioning`,
//! and what outlives a restart in `memory`.

mod backlog;
mod commissioning;
mod feed;
mod memory;
mod staff;
mod waiting;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture};
use futures::{StreamExt, channel::mpsc};
use tokio::sync::oneshot;
use volute_anomaly::Score;
use volute_data::{PumpRecord, PumpSettings};
use volute_plant::{
    Admission, Admitted, ClockFault, Detection, DeviceClock, Draft, Judgement, LookupResult, NoWindow, Placed, Profile,
    PumpId, Reading, Rejection, Timestamp, Verdict, WindowRules, Windower,
};
use volute_runtime::{Envelope, Incarnation, Mailbox, Message, Outbox};

use backlog::Turns;
pub(crate) use commissioning::{Command, Order};
use feed::Feed;
use memory::{AtRest, Memory};
pub(crate) use staff::{PumpStaff, actor_id};
use staff::{Rest, Start};
use waiting::Waiting;

use crate::{
    commissioning::footing::{Course, footing},
    counters::add,
    gate::{LONG_RETRY_AFTER_S, Permit, Share, Withdraw},
    inference::Job,
    live::{Blind, LiveBlind, LiveClock, LiveDetection, LiveReading},
    maintenance::Look,
    recorder::{Found, RecordReadings, Stored, Unstored},
};

/// Orders for one pump that may wait.
const ORDERS: usize = 16;
/// How long a window waits for its score. One that is lost with a stuck worker must not hold up the others for ever.
const SCORE_PATIENCE: Duration = Duration::from_secs(120);
/// An actor's lives number their windows and courses apart, so that an answer to an earlier life means nothing.
const NUMBERS_OF_A_LIFE: u32 = 40;

/// Items of one pump, with the room they take up.
pub(crate) struct Offer {
    pub drafts: Vec<(usize, Draft)>,
    pub received: Timestamp,
    /// When its post came to the gate.
    pub since: Instant,
    pub permit: Arc<Permit>,
    pub answer: Share,
}

/// How an offer ended.
pub(crate) struct Settlement {
    /// By the items' places in the post.
    pub outcomes: Vec<(usize, Outcome)>,
    /// Whether everything that was not rejected is at rest.
    pub durable: Stored,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Accepted,
    Late,
    Duplicate,
    Rejected(Rejection),
    /// It could not be taken just now, and may be sent again after so many seconds.
    Deferred(Rejection, u64),
}

/// A window's score.
pub(crate) struct Judged {
    pub seq: u64,
    pub score: Result<Score, Unscored>,
}

/// Why a window has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unscored {
    /// It gave way to a newer one.
    Skipped,
    /// It broke the scoring, or whoever had it in hand.
    Failed,
}

/// Gives up waiting for missing readings, and answers once every window is decided.
pub(crate) struct Drain(pub oneshot::Sender<()>);

/// Ends the pump's actor for good. Everything that was sent to it before is done, and nothing after it will be.
pub(crate) struct Retire(pub oneshot::Sender<()>);

impl Message for Offer {}

impl Message for Retire {}

impl Message for Judged {}

impl Message for Drain {}

/// The actor.
pub(crate) struct PumpActor {
    pump: PumpId,
    staff: Arc<PumpStaff>,
    rest: Rest,
    /// Its registration, as long as it may not be stored: it goes with the readings.
    unregistered: Option<PumpRecord>,
    /// What was set for it alone, and its profile with that.
    settings: PumpSettings,
    profile: Profile,
    /// A demo plays a recording as its readings.
    is_played: bool,
    feed: Feed,
    admission: Admission,
    /// What its own clock shows, and what the live feed knows of that.
    device_clock: DeviceClock,
    told_clock: Option<ClockFault>,
    windower: Windower,
    /// The last verdict, for readings that have no window of their own.
    last_verdict: Option<Detection>,
    course: Course,
    memory: Memory,
    /// The number of the first window of this incarnation.
    begun_with: u64,
    /// Counts the courses: an answer to an earlier one is not for this one.
    course_number: u64,
    /// The course that a lesson was asked for.
    asked_on: Option<u64>,
    /// What was gathered is being stored.
    keeping: bool,
    /// Attempts of this course that failed.
    retries: u32,
    orders: Mailbox<PumpActor>,
    /// Offers that wait for their turn.
    turns: Turns,
    /// Offers whose commit is under way, in order.
    settling: mpsc::Sender<Orphanable>,
    settled: Option<mpsc::Receiver<Orphanable>>,
    offers: u64,
    /// Offers up to this one may hold duplicates of readings that were not stored after all.
    tainted_until: u64,
    /// Windows on their way, in order; the first has the number `first_seq`.
    windows: VecDeque<Waiting>,
    first_seq: u64,
    judged: Mailbox<PumpActor>,
    quiet: Option<SpawnHandle>,
    drains: Vec<oneshot::Sender<()>>,
    /// Detections and checkpoints for the recorder, and readings for maintenance.
    outbox: Outbox,
    incarnation: Incarnation<PumpActor>,
}

/// An offer on its way into the store.
pub(crate) struct Settling {
    number: u64,
    readings: Vec<Admitted>,
    outcomes: Vec<(usize, Outcome)>,
    stored: Option<oneshot::Receiver<Stored>>,
    permit: Arc<Permit>,
    answer: Share,
}

/// An offer on its way into the store, of a pump whose actor may end before it is there: it is answered all the same.
pub(crate) struct Orphanable(Option<Settling>);

impl Orphanable {
    /// Waits until it is stored, or is not. May be given up at any time.
    async fn stored(&mut self) -> Stored {
        match &mut self.0 {
            Some(settling) => settling.stored().await,
            None => Ok(()),
        }
    }
}

impl Drop for Orphanable {
    fn drop(&mut self) {
        // Where no runtime is left, its share is dropped with it: the client is told that it is not known.
        if let Some(settling) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(settling.settle_orphaned());
        }
    }
}

impl Settling {
    /// Waits until it is stored, or is not; an offer without new readings need not be.
    async fn stored(&mut self) -> Stored {
        match &mut self.stored {
            Some(stored) => stored.await.unwrap_or(Err(Unstored::Failed)),
            None => Ok(()),
        }
    }

    /// Answers without the actor. What it repeats may be an offer's that failed, which only the actor knew: then it is not
    /// known whether all is stored.
    async fn settle_orphaned(mut self) {
        let stored = self.stored().await;
        let durable = if repeats(&self.outcomes) { stored.and(Err(Unstored::Failed)) } else { stored };
        drop(self.permit);
        drop(self.answer.settle(Settlement { outcomes: self.outcomes, durable }));
    }
}

impl PumpActor {
    fn new(start: Start) -> Self {
        let Start { pump, staff, doors, rest, unregistered, burst, incarnation } = start;
        let admission = Admission::new(pump.clone(), &staff.profile, staff.times);
        let (profile, windower) = (staff.profile.clone(), Windower::new(&staff.profile));
        // It takes room for what waits only: there are many pumps.
        let (settling, settled) = mpsc::channel(burst);
        let numbers = incarnation.number << NUMBERS_OF_A_LIFE;
        let (memory, ..) = Memory::new(&pump, AtRest::nothing());
        Self {
            pump,
            staff,
            rest,
            unregistered,
            settings: PumpSettings::default(),
            profile,
            is_played: false,
            feed: Feed::new(),
            admission,
            device_clock: DeviceClock::default(),
            told_clock: None,
            windower,
            last_verdict: None,
            course: Course::Unread,
            memory,
            begun_with: numbers,
            course_number: numbers,
            asked_on: None,
            keeping: false,
            retries: 0,
            orders: doors.orders,
            turns: Turns::default(),
            settling,
            settled: Some(settled),
            offers: 0,
            tainted_until: 0,
            windows: VecDeque::new(),
            first_seq: numbers,
            judged: doors.judged,
            quiet: None,
            drains: Vec::new(),
            outbox: Outbox::default(),
            incarnation,
        }
    }

    /// Begins with what is at rest.
    fn recall(&mut self, at_rest: AtRest, ctx: &mut Context<Self>) {
        if let Some(until) = at_rest.unread_until {
            self.admission.recall_failed(until);
        }
        if let Some(settings) = at_rest.settings.clone() {
            self.go_by(settings, Vec::new());
        }
        let (mut memory, readings, standing) = Memory::new(&self.pump, at_rest);
        for reading in readings {
            self.admission.recall(&reading);
            self.feed.note(&reading);
            if !reading.late {
                memory.recall(self.windower.push(reading));
            }
        }
        self.memory = memory;
        self.course = footing(self.staff.judging.as_ref(), &self.profile, standing);
        self.resume(ctx);
    }

    /// Takes note of the times of a post. Those of a backlog say together what the clock shows. The times of a recording that
    /// is played are of the past, and no fault of a clock.
    fn observe_clock(&mut self, offer: &Offer) {
        if self.is_played {
            return;
        }
        let times = offer.drafts.iter().filter_map(|(_, draft)| draft.stamp.device());
        self.device_clock.observe(times, offer.received, &self.staff.times);
    }

    /// Judges an offer, given what the store says of it, and hands the new readings on to be stored.
    fn judge(&mut self, offer: Offer, stored: &LookupResult) {
        let Offer { drafts, received, since, permit, answer } = offer;
        let Judgement { verdicts, readings } = self.admission.judge(drafts, received, stored);
        let mut outcomes = Vec::with_capacity(verdicts.len());
        for (index, verdict) in verdicts {
            let outcome = match verdict {
                Verdict::New { late: false } => Outcome::Accepted,
                Verdict::New { late: true } => Outcome::Late,
                Verdict::Duplicate { .. } => Outcome::Duplicate,
                Verdict::Rejected(rejection) => Outcome::Rejected(rejection),
                Verdict::Undecided(rejection) => Outcome::Deferred(rejection, LONG_RETRY_AFTER_S),
            };
            outcomes.push((index, outcome));
        }
        self.staff.counters.latencies.gate.note(since.elapsed());
        let stored = (!readings.is_empty()).then(|| {
            let (ack, stored) = oneshot::channel();
            // Permits bound this queue; if the recorder is gone, the dropped `ack` says so.
            let _ = self.staff.recorder.readings.try_send(RecordReadings {
                readings: readings.iter().map(|admitted| admitted.reading.clone()).collect(),
                register: self.unregistered.clone(),
                ack,
                since: Instant::now(),
            });
            stored
        });
        self.offers += 1;
        let settling = Settling { number: self.offers, readings, outcomes, stored, permit, answer };
        // Permits bound this queue too; a refused entry is answered without the actor.
        if self.settling.try_send(Orphanable(Some(settling))).is_err() {
            self.turns.settled(self.offers, false);
        }
    }

    fn settle(&mut self, settling: Settling, stored: Stored, ctx: &mut Context<Self>) {
        let Settling { number, readings, outcomes, stored: _, permit, answer } = settling;
        for admitted in &readings {
            self.admission.settle(admitted.reading.at, stored.is_ok());
        }
        match stored {
            Err(_) => self.tainted_until = self.offers,
            Ok(()) if !readings.is_empty() => {
                if let Some(record) = self.unregistered.take() {
                    tracing::info!(pump = self.pump.as_str(), profile = record.profile, "new pump");
                }
            }
            Ok(()) => {}
        }
        let tainted = repeats(&outcomes) && number <= self.tainted_until;
        let durable = if tainted { stored.and(Err(Unstored::Failed)) } else { stored };
        let why = outcomes.iter().rev().find_map(|(_, outcome)| match outcome {
            Outcome::Rejected(rejection) if self.unregistered.is_some() => Some(rejection.clone()),
            _ => None,
        });
        // A failure from here on is the pump's, and not the client's.
        let answer = answer.settle(Settlement { outcomes, durable });
        if stored.is_ok() {
            self.take_in(readings, ctx);
        }
        self.tell_clock();
        self.turns.settled(number, durable.is_ok());
        drop(permit);
        if self.unregistered.is_some() {
            // Before the answer: whoever gets it finds the place free. Where there is no room, the next answer frees it.
            let _ = self.staff.gate.try_send(Withdraw { pump: self.pump.clone(), why });
        }
        drop(answer);
        self.go_on(ctx);
    }

    /// Durable readings: shown, put into the window, and held against their limits.
    fn take_in(&mut self, readings: Vec<Admitted>, ctx: &mut Context<Self>) {
        for Admitted { reading, whole } in readings {
            self.feed.note(&reading);
            let (heard, is_late, is_part) = (reading.received, reading.late, whole.is_some());
            let is_current = self.is_current(&reading);
            let shown = whole.unwrap_or_else(|| reading.clone());
            self.show(LiveReading { reading: shown, heard, is_current, is_late, is_part });
            if is_late {
                self.wait_unplaced(reading);
                self.decide(ctx);
            } else {
                self.put_into_window(reading, ctx);
            }
        }
        self.watch_quiet(ctx);
        self.follow_feed(ctx);
    }

    /// A reading in order. Where its time lies far behind all others, a new order has begun with it.
    fn put_into_window(&mut self, reading: Reading, ctx: &mut Context<Self>) {
        if self.windower.has_passed(reading.at) {
            let placed = self.windower.restart();
            self.place(placed, ctx);
            self.memory.begin_at_any_time();
        }
        if let Some(displaced) = self.windower.displaced_by(&reading) {
            self.wait_unplaced(displaced);
        }
        let placed = self.windower.push(reading);
        self.place(placed, ctx);
    }

    /// Whether a reading says how the pump is now. One of a recording that is played does, whatever its time.
    fn is_current(&self, reading: &Reading) -> bool {
        self.is_played || self.staff.times.is_current(reading)
    }

    /// A reading without a place in the window waits for its turn to be held against its limits, if it is current.
    fn wait_unplaced(&mut self, reading: Reading) {
        if self.is_current(&reading) {
            self.windows.push_back(Waiting::Unplaced { reading });
        }
    }

    /// Has the live feed know what is wrong with the pump's clock. A pump of which nothing is stored is not shown.
    fn tell_clock(&mut self) {
        let fault = self.device_clock.fault();
        if fault == self.told_clock || self.unregistered.is_some() {
            return;
        }
        self.told_clock = fault;
        if self.staff.live.try_send(LiveClock { pump: self.pump.clone(), fault }).is_err() {
            add(&self.staff.counters.live_dropped, 1);
        }
    }

    /// A pump that goes quiet before a missing reading was given up is not waited for for ever.
    fn watch_quiet(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.quiet.take() {
            ctx.cancel_future(timer);
        }
        if !self.windower.is_waiting() {
            return;
        }
        let rules = WindowRules::for_profile(&self.profile);
        let patience_ms = u64::try_from(rules.slack_steps * rules.interval_ms).unwrap_or_default();
        self.quiet = Some(ctx.run_later(Duration::from_millis(patience_ms), |actor, ctx| {
            let placed = actor.windower.flush();
            actor.place(placed, ctx);
        }));
    }

    fn place(&mut self, placed: Vec<Placed>, ctx: &mut Context<Self>) {
        let unscored = self.staff.pool.is_out_of_order();
        if unscored {
            self.expect_no_scores();
        }
        for Placed { reading, window } in placed {
            let waiting = match (window, &mut self.course) {
                (_, Course::Blind) => Waiting::Blind { reading, why: Blind::NoModel },
                (_, Course::Unread) => Waiting::Blind { reading, why: Blind::Unread },
                (Err(why @ (NoWindow::Filling { .. } | NoWindow::Missing { .. })), _) => {
                    let why = self.feed.starved(&self.profile).map_or_else(|| why.into(), |why| Blind::Starved { why });
                    Waiting::Blind { reading, why }
                }
                (Err(why), _) => Waiting::Blind { reading, why: why.into() },
                (Ok(window), Course::Learning(gathering)) => {
                    gathering.take(&self.profile, &window);
                    Waiting::Blind { reading, why: Blind::Learning(gathering.progress()) }
                }
                (Ok(window), Course::Judged(_)) if self.memory.holds(window.at) => continue,
                (Ok(_), Course::Judged(_)) if unscored => Waiting::Blind { reading, why: Blind::Unscored },
                (Ok(window), Course::Judged(decider)) => {
                    let seq = self.first_seq + self.windows.len() as u64;
                    let at = window.at;
                    let (baseline, judged) = (decider.baseline().clone(), self.judged.clone());
                    self.staff.pool.put(Job::new(seq, window, baseline, judged));
                    Waiting::Score { reading, at, since: Instant::now() }
                }
            };
            self.windows.push_back(waiting);
        }
        self.decide(ctx);
        self.keep(ctx);
    }

    /// Nobody is there to score what waits: its limits are looked at alone.
    fn expect_no_scores(&mut self) {
        for waiting in self.windows.iter_mut().filter(|waiting| matches!(waiting, Waiting::Score { .. })) {
            waiting.go_blind();
        }
    }

    /// Decides on every window whose turn has come.
    fn decide(&mut self, ctx: &mut Context<Self>) {
        while let Some(first) = self.windows.pop_front() {
            match first {
                Waiting::Score { reading, since, .. } if since.elapsed() > SCORE_PATIENCE => {
                    add(&self.staff.counters.score_failures, 1);
                    self.go_on_blind(reading, Blind::Unscored, ctx);
                }
                Waiting::Score { .. } => {
                    self.windows.push_front(first);
                    break;
                }
                Waiting::Scored { reading, at, score } => self.verdict(reading, at, &score, ctx),
                Waiting::Blind { reading, why } => self.go_on_blind(reading, why, ctx),
                Waiting::Unjudged { reading } => self.look(reading, None, ctx),
                Waiting::Unplaced { reading } => {
                    let near = self.verdict_near(reading.at);
                    self.look(reading, near, ctx);
                }
                Waiting::Taken => {}
            }
            self.first_seq += 1;
        }
        if self.windows.is_empty() && !self.drains.is_empty() {
            self.keep_memory(ctx);
            for drain in self.drains.drain(..) {
                let reply = async move {
                    // Whoever asked may have gone.
                    let _ = drain.send(());
                };
                // After what was decided, which may wait for room still.
                self.outbox.then(reply, ctx);
            }
        }
        // A backlog may have waited for this.
        self.go_on(ctx);
    }

    /// The last verdict, where it is of the same steps as this time.
    fn verdict_near(&self, at: Timestamp) -> Option<Detection> {
        let rules = WindowRules::for_profile(&self.profile);
        let near = |verdict: &&Detection| (rules.step(verdict.at) - rules.step(at)).abs() < rules.slack_steps;
        self.last_verdict.as_ref().filter(near).cloned()
    }

    fn go_on_blind(&mut self, reading: Reading, why: Blind, ctx: &mut Context<Self>) {
        let is_current = self.is_current(&reading);
        if is_current && self.staff.live.try_send(LiveBlind { pump: self.pump.clone(), why }).is_err() {
            add(&self.staff.counters.live_dropped, 1);
        }
        self.look(reading, None, ctx);
    }

    fn tell(&mut self, reading: Reading, detection: Detection, ctx: &mut Context<Self>) {
        add(&self.staff.counters.anomalies, usize::from(detection.is_anomaly));
        let is_current = self.is_current(&reading);
        if is_current && self.staff.live.try_send(LiveDetection(detection.clone())).is_err() {
            add(&self.staff.counters.live_dropped, 1);
        }
        self.last_verdict = Some(detection.clone());
        let found = Found { detection: detection.clone(), heard: reading.received, since: Instant::now() };
        self.outbox.send_or_suspend(&self.staff.recorder.results, found, ctx);
        self.look(reading, Some(detection), ctx);
    }

    /// Its limits are looked at whatever the model says of it, or if it says nothing. What is not current raises nothing.
    fn look(&mut self, reading: Reading, detection: Option<Detection>, ctx: &mut Context<Self>) {
        if self.is_current(&reading) {
            self.staff.maintenance.look(Look { reading, detection }, &self.outbox, ctx);
        }
    }
}

/// Whether some of it was sent before.
fn repeats(outcomes: &[(usize, Outcome)]) -> bool {
    outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Duplicate)
}

impl Actor for PumpActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(settled) = self.settled.take() else { return };
        let in_order = settled.then(async |mut settling| {
            let stored = settling.stored().await;
            (settling, stored)
        });
        ctx.add_stream(in_order);
        let (staff, pump, rest) = (self.staff.clone(), self.pump.clone(), self.rest);
        let at_rest = async move { staff.at_rest(&pump, rest).await };
        ctx.wait(at_rest.into_actor(self).map(|at_rest, actor, ctx| match at_rest {
            Ok(at_rest) => actor.recall(at_rest, ctx),
            Err(error) => actor.incarnation.fail(format!("what is stored of the pump could not be read: {error}"), ctx),
        }));
    }
}

impl Handler<Envelope<Offer>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Offer>, ctx: &mut Self::Context) {
        self.take_turn(message.into_inner(), ctx);
    }
}

impl StreamHandler<(Orphanable, Stored)> for PumpActor {
    fn handle(&mut self, (mut settling, stored): (Orphanable, Stored), ctx: &mut Self::Context) {
        if let Some(settling) = settling.0.take() {
            self.settle(settling, stored, ctx);
        }
    }

    /// Does not happen while the actor lives: it holds the sender itself. (By default this would stop the context.)
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Envelope<Judged>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Judged>, ctx: &mut Self::Context) {
        let Judged { seq, score } = message.into_inner();
        let place = seq.checked_sub(self.first_seq).and_then(|n| self.windows.get_mut(usize::try_from(n).ok()?));
        let Some(place @ Waiting::Score { .. }) = place else { return };
        match score {
            Ok(score) => place.is_scored(score),
            Err(Unscored::Failed) => place.go_blind(),
            Err(Unscored::Skipped) => place.is_skipped(),
        }
        self.decide(ctx);
    }
}

impl Handler<Envelope<Retire>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Retire>, _: &mut Self::Context) {
        let Retire(reply) = message.into_inner();
        // This life ends with this message: nothing of it runs any more.
        self.staff.supervisor.retire(&actor_id(&self.pump));
        let _ = reply.send(());
    }
}

impl Handler<Envelope<Drain>> for PumpActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Drain>, ctx: &mut Self::Context) {
        let Drain(reply) = message.into_inner();
        self.drains.push(reply);
        let placed = self.windower.flush();
        self.place(placed, ctx);
    }
}
