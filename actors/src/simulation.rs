//! Simulates pumps, or plays a recording: posts the readings to the same ingress as clients do.
//!
//! One simulation runs at a time; starting another replaces it. Every 100 ms the actor posts the readings that are due,
//! and it handles requests to start, stop and report progress. [`player`] decides which readings are due. The pumps are
//! commissioned in the background at the start ([`commission_plan`]), so their windows are scored soon. A recording
//! starts when its pump has been commissioned. Does not model the physics of a pump; see `volute-simulator`. Does not
//! decide whether a node may simulate; the caller creates this actor only if it may.

mod commission_plan;
mod fault_cycle;
pub(crate) mod plan;
mod player;
pub(crate) mod progress;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use volute_data::{PumpSettings, Row, StoreError};
use volute_plant::{Cadence, Draft, INTERVAL_RANGE_MS, PumpId, cadence::format_interval};
use volute_runtime::{ActorIdentity, Address, Envelope, Message};

use crate::{
    commissioning::errors::CommissionError,
    engine::handle::EngineHandle,
    protocol::{ingress::PostSender, live::LiveSimulationEnded},
    receipt::{IngestError, Receipt},
};
use commission_plan::CommissionPlan;
use plan::{Plan, Speed};
use player::Player;
use progress::SimulationProgress;

/// The interval at which due readings are posted.
const TICK: Duration = Duration::from_millis(100);
/// The maximum number of requests that wait in the actor's inbox.
const MAX_QUEUED_REQUESTS: usize = 256;

/// Why a simulation did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A recording cannot be played to a pump that has readings.
    #[error("{pump} has readings already; a recording is played to a pump that has none")]
    PumpHasReadings {
        /// The pump.
        pump: PumpId,
    },
    /// The first rows of the recording would be older than the retention of readings.
    #[error("the recording spans {span}, and the node keeps readings for {kept} (retention.readings_days)")]
    TooLong {
        /// From its first row to its last.
        span: String,
        /// How long readings are kept.
        kept: String,
    },
    /// The interval of the recording's rows is longer than the interval of a pump may be.
    #[error("the recording's rows come every {every}, and a pump's interval may be at most {most}")]
    TooSparse {
        /// The interval of the rows.
        every: String,
        /// The longest interval that a pump may have.
        most: String,
    },
    /// The pump's interval cannot be set.
    #[error(transparent)]
    Settings(#[from] CommissionError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Starts and stops simulations and reports their progress. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Simulation {
    engine: EngineHandle,
    commands: Address<SimulationActor>,
}

impl Simulation {
    /// Starts the actor, which plays nothing until [`Self::start`]. Must be called within an actix system.
    pub fn new(engine: EngineHandle) -> Self {
        let supervisor = &engine.0.supervisor;
        let role = ActorIdentity { id: "simulation".into(), kind: "simulation", stage: "simulation", subject: None };
        let inbox = supervisor.register(role, &supervisor.start_thread());
        let (of_actor, playback) = (engine.clone(), Arc::<Mutex<Playback>>::default());
        supervisor.start(&inbox, move |_| SimulationActor {
            engine: of_actor.clone(),
            playback: playback.clone(),
            posting: false,
        });
        let commands = inbox.address(MAX_QUEUED_REQUESTS);
        Self { engine, commands }
    }

    /// Plays a plan instead of the current one.
    pub async fn start(&self, plan: Plan, speed: Speed) -> Result<SimulationProgress, StartError> {
        let mut last = Vec::new();
        for pump in plan.pumps() {
            last.push(
                self.engine.store().latest_readings(&pump, 1).await?.into_complete()?.pop().map(|reading| reading.at),
            );
        }
        if let (Plan::Recording { pump, .. }, [Some(_)]) = (&plan, last.as_slice()) {
            return Err(StartError::PumpHasReadings { pump: pump.clone() });
        }
        if let Plan::Recording { pump, rows } = &plan {
            self.prepare(pump, rows).await?;
        }
        let (profile, now) = (self.engine.profile(), self.engine.now());
        let commission_plans = commission_plan::commission_plans(profile, &plan, now);
        let player = Player::new(profile, plan, speed, now, &last);
        self.request(|reply| Play { player, commission_plans, reply }).await.ok_or(StartError::Stopping)
    }

    /// Sets the interval of a recording's pump to that of the rows if they are sparser than the profile's interval.
    async fn prepare(&self, pump: &PumpId, rows: &[Row]) -> Result<(), StartError> {
        let times = || rows.iter().map(|row| row.at);
        let span_ms = times().max().zip(times().min()).map_or(0, |(last, first)| last.since_ms(first));
        let kept_ms = self.engine.0.context.timestamp_limits.max_age_ms;
        if span_ms >= kept_ms {
            let days = |ms: i64| format!("{:.1} days", ms as f64 / 86_400_000.0);
            return Err(StartError::TooLong { span: days(span_ms), kept: days(kept_ms) });
        }
        let settings = match Cadence::of(times()).sparser_than(self.engine.profile().interval_ms()) {
            Some(interval_ms) if !INTERVAL_RANGE_MS.contains(&interval_ms) => {
                let (every, most) = (format_interval(interval_ms), format_interval(*INTERVAL_RANGE_MS.end()));
                return Err(StartError::TooSparse { every, most });
            }
            Some(interval_ms) => {
                let why = format!("the recording's rows come every {}", format_interval(interval_ms));
                PumpSettings { interval_ms: Some(interval_ms), why, ..PumpSettings::default() }
            }
            None => PumpSettings::default(),
        };
        Ok(self.engine.prepare_recording(pump, settings).await?)
    }

    /// Stops the simulation. Readings that were sent stay stored.
    pub async fn stop(&self) -> SimulationProgress {
        self.request(StopPlaying).await.unwrap_or_default()
    }

    /// Returns what is played, and the progress.
    pub async fn progress(&self) -> SimulationProgress {
        self.request(GetProgress).await.unwrap_or_default()
    }

    /// Returns whether this pump is simulated at the moment.
    pub async fn plays(&self, pump: &PumpId) -> bool {
        self.progress().await.plays(pump)
    }

    async fn request<M>(
        &self,
        command: impl FnOnce(oneshot::Sender<SimulationProgress>) -> M,
    ) -> Option<SimulationProgress>
    where
        SimulationActor: Handler<Envelope<M>, Result = ()>,
        M: Message,
    {
        let (reply, response) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        response.await.ok()
    }
}

/// Plays another plan.
struct Play {
    player: Player,
    commission_plans: Vec<CommissionPlan>,
    reply: oneshot::Sender<SimulationProgress>,
}

/// Stops the simulation.
struct StopPlaying(oneshot::Sender<SimulationProgress>);

/// Requests the progress.
struct GetProgress(oneshot::Sender<SimulationProgress>);

impl Message for Play {}

impl Message for StopPlaying {}

impl Message for GetProgress {}

/// The state of the simulation. It outlives the actor.
#[derive(Default)]
struct Playback {
    player: Option<Player>,
    /// Readings that the ingress refused temporarily.
    unsent: Vec<Draft>,
    /// Counts the plans that were started.
    plan_number: u64,
    /// Pumps whose readings have ended, but of which the live feed has not been notified yet.
    ended: BTreeSet<PumpId>,
}

impl Playback {
    /// Marks the player's pumps as ended, except these.
    fn end(&mut self, except: &[PumpId]) {
        let pumps = self.player.iter().flat_map(Player::pumps);
        self.ended.extend(pumps.filter(|pump| !except.contains(pump)));
    }
}

/// The actor that plays a plan.
struct SimulationActor {
    engine: EngineHandle,
    playback: Arc<Mutex<Playback>>,
    /// Whether a post is in flight. The next one is sent after its response.
    posting: bool,
}

impl SimulationActor {
    fn progress(&self) -> SimulationProgress {
        self.playback().player.as_ref().map_or_else(SimulationProgress::default, Player::progress)
    }

    fn playback(&self) -> MutexGuard<'_, Playback> {
        self.playback.lock()
    }

    /// Starts the waiting player, unless another plan was started since this one.
    fn begin(&self, plan_number: u64) {
        let now = self.engine.now();
        let mut playback = self.playback();
        if playback.plan_number == plan_number
            && let Some(player) = &mut playback.player
        {
            player.begin(now);
        }
    }

    /// Notifies the live feed of the pumps whose readings have ended. Must not be called while a post is in flight,
    /// because the live feed may not have its readings yet.
    fn publish_ended(&self) {
        let live = &self.engine.0.context.live;
        // If the inbox is full, the next tick tries again.
        self.playback().ended.retain(|pump| live.try_send(LiveSimulationEnded(pump.clone())).is_err());
    }

    /// Posts the readings that are due.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.posting {
            return;
        }
        self.publish_ended();
        let drafts = {
            let mut playback = self.playback();
            match (std::mem::take(&mut playback.unsent), &mut playback.player) {
                (unsent, Some(player)) if unsent.is_empty() => player.due(self.engine.now()),
                (unsent, _) => unsent,
            }
        };
        if drafts.is_empty() {
            return;
        }
        self.posting = true;
        let (engine, items) = (self.engine.clone(), drafts.iter().cloned().map(Some).collect());
        let post = async move { engine.ingest(items, PostSender { client: None, may_register: true }).await };
        ctx.spawn(post.into_actor(self).map(|outcome, actor, _| actor.complete_post(outcome, drafts)));
    }

    fn complete_post(&mut self, outcome: Result<Receipt, IngestError>, drafts: Vec<Draft>) {
        self.posting = false;
        match outcome {
            Ok(receipt) => {
                if let Some(first) = receipt.rejected.first() {
                    let (count, message) = (receipt.rejected.len(), &first.rejection.message);
                    tracing::warn!(count, first = message, "simulated readings were rejected");
                }
                let mut playback = self.playback();
                if playback.player.as_ref().is_some_and(Player::is_over) {
                    playback.end(&[]);
                }
            }
            // Posted again at the next tick, before readings that become due meanwhile.
            Err(IngestError::Busy { .. } | IngestError::NotStored { .. } | IngestError::Clock { .. }) => {
                self.playback().unsent = drafts
            }
            Err(error) => {
                tracing::warn!(%error, "simulation stopped by an error");
                let mut playback = self.playback();
                playback.end(&[]);
                playback.player = None;
            }
        }
    }
}

/// Commissions the pumps whose baseline in use does not come from their plan, one after the other.
async fn commission(engine: EngineHandle, commission_plans: Vec<CommissionPlan>) {
    for CommissionPlan { pump, reason, readings } in commission_plans {
        let known = engine.baselines(&pump).await.ok();
        let in_use = known.and_then(|known| known.versions.into_iter().find(|v| Some(v.version) == known.in_use));
        if in_use.is_some_and(|version| version.reason == reason) {
            continue;
        }
        match engine.commission_with(&pump, reason, readings).await {
            Ok(_) => {}
            Err(CommissionError::NoModel | CommissionError::Stopping) => return,
            Err(error) => tracing::warn!(pump = pump.as_str(), %error, "simulated pump not commissioned"),
        }
    }
}

impl Actor for SimulationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // If an earlier incarnation waited for the commissioning, the wait ended with the incarnation, so the player
        // begins now.
        let plan_number = self.playback().plan_number;
        self.begin(plan_number);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<Envelope<Play>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Play>, ctx: &mut Self::Context) {
        let Play { mut player, commission_plans, reply } = message.into_inner();
        // A recording is played once, so it waits until its pump has a baseline.
        if player.is_recording() && !commission_plans.is_empty() {
            player.wait();
        }
        let number = {
            let mut playback = self.playback();
            let new: Vec<PumpId> = player.pumps().collect();
            playback.end(&new);
            playback.ended.retain(|pump| !new.contains(pump));
            (playback.player, playback.unsent) = (Some(player), Vec::new());
            playback.plan_number += 1;
            playback.plan_number
        };
        let learned = commission(self.engine.clone(), commission_plans).into_actor(self);
        ctx.spawn(learned.map(move |(), actor, _| actor.begin(number)));
        // The caller may be gone, here and in the other handlers.
        let _ = reply.send(self.progress());
    }
}

impl Handler<Envelope<StopPlaying>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<StopPlaying>, _: &mut Self::Context) {
        let StopPlaying(reply) = message.into_inner();
        {
            let mut playback = self.playback();
            playback.unsent.clear();
            playback.end(&[]);
            if let Some(player) = &mut playback.player {
                player.stop();
            }
        }
        let _ = reply.send(self.progress());
    }
}

impl Handler<Envelope<GetProgress>> for SimulationActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<GetProgress>, _: &mut Self::Context) {
        let GetProgress(reply) = message.into_inner();
        let _ = reply.send(self.progress());
    }
}
