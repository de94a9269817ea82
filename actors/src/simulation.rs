//! The demo's pumps: made-up or recorded readings that come in through the same gate as posted ones.
//!
//! One simulation runs at a time; starting another takes its place. What is sent is the player's business
//! ([`player`]); here are its clock, its posts, and those who start, stop and ask. Its pumps are
//! commissioned in the background at its start ([`healthy`]), so that they are judged at once. Deliberately absent: the
//! physics (`volute-simulator`), and whether a node may simulate at all (who starts this actor decides).

mod fault_cycle;
mod healthy;
pub(crate) mod plan;
mod player;
pub(crate) mod progress;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use volute_data::{PumpSettings, Row, StoreError};
use volute_plant::{Cadence, Draft, INTERVALS_MS, PumpId, cadence::in_words};
use volute_runtime::{Envelope, Mailbox, Message, Role};

use crate::{
    commissioning::errors::CommissionRefusal,
    engine::handle::EngineHandle,
    protocol::live::LiveEnded,
    receipt::{Receipt, Refusal},
};
use healthy::Lesson;
use plan::{Plan, Speed};
use player::Player;
use progress::SimulationProgress;

/// How often it is looked what has come due.
const TICK: Duration = Duration::from_millis(100);
/// Questions and orders that may wait.
const ORDERS: usize = 256;

/// The simulation cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A recording cannot be played into a pump's own past.
    #[error("{pump} has readings already; a recording is played to a pump that has none")]
    PumpHasReadings {
        /// The pump.
        pump: PumpId,
    },
    /// Its first rows would be older than any reading that is kept.
    #[error("the recording spans {span}, and the node keeps readings for {kept} (retention.readings_days)")]
    TooLong {
        /// From its first row to its last.
        span: String,
        /// How long readings are kept.
        kept: String,
    },
    /// No pump may have the interval of its rows.
    #[error("the recording's rows come every {every}, and a pump's interval may be at most {most}")]
    TooSparse {
        /// The interval of the rows.
        every: String,
        /// The longest that a pump may have.
        most: String,
    },
    /// The pump cannot be told its interval.
    #[error(transparent)]
    Settings(#[from] CommissionRefusal),
    /// What is stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// How a simulation is started, stopped and looked at. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Simulation {
    engine: EngineHandle,
    orders: Mailbox<SimulationActor>,
}

impl Simulation {
    /// Starts the actor, which plays nothing yet. Must be called within an actix system.
    pub fn new(engine: EngineHandle) -> Self {
        let supervisor = &engine.0.supervisor;
        let role = Role { id: "simulation".into(), kind: "simulation", stage: "simulation", subject: None };
        let inbox = supervisor.register(role, &supervisor.thread());
        let (of_actor, played) = (engine.clone(), Arc::<Mutex<Played>>::default());
        supervisor.start(&inbox, move |_| SimulationActor {
            engine: of_actor.clone(),
            played: played.clone(),
            posting: false,
        });
        let orders = inbox.mailbox(ORDERS);
        Self { engine, orders }
    }

    /// Plays a plan from now on, in place of what is played.
    pub async fn start(&self, plan: Plan, speed: Speed) -> Result<SimulationProgress, StartError> {
        let mut last = Vec::new();
        for pump in plan.pumps() {
            last.push(self.engine.store().latest_readings(&pump, 1).await?.all()?.pop().map(|reading| reading.at));
        }
        if let (Plan::Recording { pump, .. }, [Some(_)]) = (&plan, last.as_slice()) {
            return Err(StartError::PumpHasReadings { pump: pump.clone() });
        }
        if let Plan::Recording { pump, rows } = &plan {
            self.prepare(pump, rows).await?;
        }
        let (profile, now) = (self.engine.profile(), self.engine.now());
        let lessons = healthy::lessons(profile, &plan, now);
        let player = Player::new(profile, plan, speed, now, &last);
        self.ask(|reply| Play { player, lessons, reply }).await.ok_or(StartError::Stopping)
    }

    /// Makes the windows of a recording's pump by the cadence of its rows, where they are sparser than the profile's.
    async fn prepare(&self, pump: &PumpId, rows: &[Row]) -> Result<(), StartError> {
        let times = || rows.iter().map(|row| row.at);
        let span_ms = times().max().zip(times().min()).map_or(0, |(last, first)| last.since_ms(first));
        let kept_ms = self.engine.0.context.times.kept_ms;
        if span_ms >= kept_ms {
            let days = |ms: i64| format!("{:.1} days", ms as f64 / 86_400_000.0);
            return Err(StartError::TooLong { span: days(span_ms), kept: days(kept_ms) });
        }
        let settings = match Cadence::of(times()).sparser_than(self.engine.profile().interval_ms()) {
            Some(interval_ms) if !INTERVALS_MS.contains(&interval_ms) => {
                let (every, most) = (in_words(interval_ms), in_words(*INTERVALS_MS.end()));
                return Err(StartError::TooSparse { every, most });
            }
            Some(interval_ms) => {
                let why = format!("the recording's rows come every {}", in_words(interval_ms));
                PumpSettings { interval_ms: Some(interval_ms), why, ..PumpSettings::default() }
            }
            None => PumpSettings::default(),
        };
        Ok(self.engine.prepare_recording(pump, settings).await?)
    }

    /// Sends nothing more. What was sent stays.
    pub async fn stop(&self) -> SimulationProgress {
        self.ask(StopPlaying).await.unwrap_or_default()
    }

    /// What is played, and how far.
    pub async fn progress(&self) -> SimulationProgress {
        self.ask(AskProgress).await.unwrap_or_default()
    }

    /// Whether it plays this pump now.
    pub async fn plays(&self, pump: &PumpId) -> bool {
        self.progress().await.plays(pump)
    }

    async fn ask<M>(&self, order: impl FnOnce(oneshot::Sender<SimulationProgress>) -> M) -> Option<SimulationProgress>
    where
        SimulationActor: Handler<Envelope<M>, Result = ()>,
        M: Message,
    {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Plays something else from now on.
struct Play {
    player: Player,
    lessons: Vec<Lesson>,
    reply: oneshot::Sender<SimulationProgress>,
}

/// Sends nothing more.
struct StopPlaying(oneshot::Sender<SimulationProgress>);

/// Somebody asks how far it is.
struct AskProgress(oneshot::Sender<SimulationProgress>);

impl Message for Play {}

impl Message for StopPlaying {}

impl Message for AskProgress {}

/// What is played; it outlives the actor.
#[derive(Default)]
struct Played {
    player: Option<Player>,
    /// What the gate refused for now.
    unsent: Vec<Draft>,
    /// Counts what was played.
    number: u64,
    /// Pumps whose readings have ended, of which the live feed does not know yet.
    ended: BTreeSet<PumpId>,
}

impl Played {
    /// Nothing more comes of these pumps.
    fn end(&mut self, keep: &[PumpId]) {
        let pumps = self.player.iter().flat_map(Player::pumps);
        self.ended.extend(pumps.filter(|pump| !keep.contains(pump)));
    }
}

/// The actor.
struct SimulationActor {
    engine: EngineHandle,
    played: Arc<Mutex<Played>>,
    /// A post is under way; the next waits for its answer.
    posting: bool,
}

impl SimulationActor {
    fn progress(&self) -> SimulationProgress {
        self.played().player.as_ref().map_or_else(SimulationProgress::default, Player::progress)
    }

    fn played(&self) -> MutexGuard<'_, Played> {
        self.played.lock()
    }

    /// What is played begins, if it is this and waits.
    fn begin(&self, number: u64) {
        let now = self.engine.now();
        let mut played = self.played();
        if played.number == number
            && let Some(player) = &mut played.player
        {
            player.begin(now);
        }
    }

    /// Has the live feed know whose readings have ended. Not while a post is under way, whose readings it may not have yet.
    fn tell_ended(&self) {
        let live = &self.engine.0.context.live;
        // Where there is no room, the next tick tries again.
        self.played().ended.retain(|pump| live.try_send(LiveEnded(pump.clone())).is_err());
    }

    /// Posts what has come due.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.posting {
            return;
        }
        self.tell_ended();
        let drafts = {
            let mut played = self.played();
            match (std::mem::take(&mut played.unsent), &mut played.player) {
                (unsent, Some(player)) if unsent.is_empty() => player.due(self.engine.now()),
                (unsent, _) => unsent,
            }
        };
        if drafts.is_empty() {
            return;
        }
        self.posting = true;
        let (engine, items) = (self.engine.clone(), drafts.iter().cloned().map(Some).collect());
        let post = async move { engine.ingest(items, None).await };
        ctx.spawn(post.into_actor(self).map(|answer, actor, _| actor.settle(answer, drafts)));
    }

    fn settle(&mut self, answer: Result<Receipt, Refusal>, drafts: Vec<Draft>) {
        self.posting = false;
        match answer {
            Ok(receipt) => {
                if let Some(first) = receipt.rejected.first() {
                    let (count, message) = (receipt.rejected.len(), &first.rejection.message);
                    tracing::warn!(count, first = message, "simulated readings were rejected");
                }
                let mut played = self.played();
                if played.player.as_ref().is_some_and(Player::is_over) {
                    played.end(&[]);
                }
            }
            // Sent again at the next tick: what has come due meanwhile waits behind it.
            Err(Refusal::Busy { .. } | Refusal::NotStored { .. } | Refusal::Clock { .. }) => {
                self.played().unsent = drafts
            }
            Err(error) => {
                tracing::warn!(%error, "the simulation ends");
                let mut played = self.played();
                played.end(&[]);
                played.player = None;
            }
        }
    }
}

/// Commissions those pumps that are not in use as they are planned, one after the other.
async fn commission(engine: EngineHandle, lessons: Vec<Lesson>) {
    for Lesson { pump, why, readings } in lessons {
        let known = engine.baselines(&pump).await.ok();
        let in_use = known.and_then(|known| known.versions.into_iter().find(|v| Some(v.version) == known.in_use));
        if in_use.is_some_and(|version| version.why == why) {
            continue;
        }
        match engine.commission_with(&pump, why, readings).await {
            Ok(_) => {}
            Err(CommissionRefusal::NoModel | CommissionRefusal::Stopping) => return,
            Err(error) => tracing::warn!(pump = pump.as_str(), %error, "simulated pump not commissioned"),
        }
    }
}

impl Actor for SimulationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Where an earlier life waited, what it waited for ended with it.
        let number = self.played().number;
        self.begin(number);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<Envelope<Play>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Play>, ctx: &mut Self::Context) {
        let Play { mut player, lessons, reply } = message.into_inner();
        // A recording is played once: it waits until its pump can be judged.
        if player.is_recording() && !lessons.is_empty() {
            player.wait();
        }
        let number = {
            let mut played = self.played();
            let new: Vec<PumpId> = player.pumps().collect();
            played.end(&new);
            played.ended.retain(|pump| !new.contains(pump));
            (played.player, played.unsent) = (Some(player), Vec::new());
            played.number += 1;
            played.number
        };
        let learned = commission(self.engine.clone(), lessons).into_actor(self);
        ctx.spawn(learned.map(move |(), actor, _| actor.begin(number)));
        // Whoever asked may have gone; so in the other handlers.
        let _ = reply.send(self.progress());
    }
}

impl Handler<Envelope<StopPlaying>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<StopPlaying>, _: &mut Self::Context) {
        let StopPlaying(reply) = message.into_inner();
        {
            let mut played = self.played();
            played.unsent.clear();
            played.end(&[]);
            if let Some(player) = &mut played.player {
                player.stop();
            }
        }
        let _ = reply.send(self.progress());
    }
}

impl Handler<Envelope<AskProgress>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<AskProgress>, _: &mut Self::Context) {
        let AskProgress(reply) = message.into_inner();
        let _ = reply.send(self.progress());
    }
}
