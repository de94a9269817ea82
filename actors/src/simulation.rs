//! The demo's pumps: made-up or recorded readings that come in through the same gate as posted ones.
//!
//! One simulation runs at a time; starting another takes its place. What is sent is the player's business
//! ([`player`]); here are its clock, its posts, and those who start, stop and ask. Its pumps are
//! commissioned in the background at its start ([`healthy`]), so that they are judged at once. Deliberately absent: the
//! physics (`volute-simulator`), and whether a node may simulate at all (who starts this actor decides).

mod course;
mod healthy;
mod plan;
mod player;

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use actix_rt::Arbiter;
use tokio::sync::oneshot;
use volute_data::StoreError;
use volute_plant::{Draft, PumpId};

pub use plan::{Plan, PumpPlan, Speed};
pub use player::{Phase, PumpProgress, RecordingProgress, SimulationProgress, Source};

use crate::{
    commissioning::CommissionRefusal,
    engine::EngineHandle,
    mailbox::{Mail, Mailbox, unbound},
    receipt::{Receipt, Refusal},
};
use healthy::Lesson;
use player::Player;

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
        let actor = SimulationActor { engine: engine.clone(), player: None, unsent: Vec::new(), posting: false };
        let addr = SimulationActor::start_in_arbiter(&Arbiter::new().handle(), move |_| actor);
        Self { engine, orders: Mailbox::new(addr, ORDERS) }
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
        let (profile, now) = (self.engine.profile(), self.engine.now());
        let lessons = healthy::lessons(profile, &plan, now);
        let player = Player::new(profile, plan, speed, now, &last);
        self.ask(|reply| Play { player, lessons, reply }).await.ok_or(StartError::Stopping)
    }

    /// Sends nothing more. What was sent stays.
    pub async fn stop(&self) -> SimulationProgress {
        self.ask(StopPlaying).await.unwrap_or_default()
    }

    /// What is played, and how far.
    pub async fn progress(&self) -> SimulationProgress {
        self.ask(AskProgress).await.unwrap_or_default()
    }

    async fn ask<M>(&self, order: impl FnOnce(oneshot::Sender<SimulationProgress>) -> M) -> Option<SimulationProgress>
    where
        SimulationActor: Handler<Mail<M>, Result = ()>,
        M: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.orders.deliver(order(reply)).await.ok()?;
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

/// The actor.
struct SimulationActor {
    engine: EngineHandle,
    player: Option<Player>,
    /// What the gate refused for now.
    unsent: Vec<Draft>,
    /// A post is under way; the next waits for its answer.
    posting: bool,
}

impl SimulationActor {
    fn progress(&self) -> SimulationProgress {
        self.player.as_ref().map_or_else(SimulationProgress::default, Player::progress)
    }

    /// Posts what has come due.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.posting {
            return;
        }
        let mut drafts = std::mem::take(&mut self.unsent);
        if let (Some(player), true) = (&mut self.player, drafts.is_empty()) {
            drafts = player.due(self.engine.now());
        }
        if drafts.is_empty() {
            return;
        }
        self.posting = true;
        let (engine, items) = (self.engine.clone(), drafts.iter().cloned().map(Ok).collect());
        let post = async move { engine.ingest(items).await };
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
            }
            // Sent again at the next tick: what has come due meanwhile waits behind it.
            Err(Refusal::Busy { .. } | Refusal::NotStored { .. }) => self.unsent = drafts,
            Err(error) => {
                tracing::warn!(%error, "the simulation ends");
                self.player = None;
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
            Err(error) => tracing::warn!(%pump, %error, "simulated pump not commissioned"),
        }
    }
}

impl Actor for SimulationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<Mail<Play>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<Play>, ctx: &mut Self::Context) {
        let Play { player, lessons, reply } = mail.open();
        let commissioning = commission(self.engine.clone(), lessons);
        ctx.spawn(commissioning.into_actor(self).map(|(), _, _| ()));
        self.unsent.clear();
        self.player = Some(player);
        // Whoever asked may have gone; so in the other handlers.
        let _ = reply.send(self.progress());
    }
}

impl Handler<Mail<StopPlaying>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<StopPlaying>, _: &mut Self::Context) {
        let StopPlaying(reply) = mail.open();
        self.unsent.clear();
        if let Some(player) = &mut self.player {
            player.stop();
        }
        let _ = reply.send(self.progress());
    }
}

impl Handler<Mail<AskProgress>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<AskProgress>, _: &mut Self::Context) {
        let AskProgress(reply) = mail.open();
        let _ = reply.send(self.progress());
    }
}
