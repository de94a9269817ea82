//! Puts the engine together, and takes it apart stage by stage.

mod ground;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, Context};
use tokio::sync::{broadcast, oneshot};
use volute_anomaly::Model;
use volute_data::{AuditEntry, Document, Retention, Store, StoreError};
use volute_plant::{Clock, ClockState, Draft, Profile, PumpId, Rejection, TimeRules, Timestamp};
use volute_runtime::{
    ActorReport, ActorThread, DeadLetter, Mailbox, Message, RestartPolicy, SupervisionConfig, Supervisor, TrySendError,
};

use crate::{
    commissioning::Judging,
    counters::{Counters, LatencyQuantiles, Totals},
    gate::{CloseGate, Doors, GateActor, Post, Pumps, Room},
    keeper::{Disk, DrainKeeper, KeeperActor},
    live::{AskLive, Frame, LastShown, LiveActor, LivePump},
    maintenance::{Desk, DrainMaintenance, MaintenanceActor},
    node_clock::NodeClock,
    pump::PumpStaff,
    receipt::{Queue, Receipt, Refusal},
    recorder::{DrainRecorder, RecordRow, Recorder},
    refusals::SharedRefusals,
    settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings},
    storage::DiskOutlook,
};
use ground::Ground;

/// Among so many of a pump's newest readings the one that was shown last is looked for: more than come in the time within
/// which a reading is current, at one a second.
const LOOKED_THROUGH: usize = 100;
/// How many actors that are out of order are named in the node's health.
const FAILED_SHOWN: usize = 5;

/// New pumps that may wait for their places to be freed.
const WITHDRAWN: usize = 4096;

/// How long an order's answer waits for its note to be durable.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// What an engine is made of.
pub struct EngineParts {
    /// The kind of pump this node watches.
    pub profile: Profile,
    /// What scores their windows; without one, readings are stored and shown, and nothing is judged.
    pub model: Option<Model>,
    /// Where everything is kept.
    pub store: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What may come in.
    pub ingest: IngestSettings,
    /// How it is stored and scored.
    pub engine: EngineSettings,
    /// How pumps are commissioned.
    pub commissioning: CommissioningSettings,
    /// How it is shown.
    pub live: LiveSettings,
    /// How long what is stored is kept.
    pub retention: Retention,
}

/// The engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// What is stored could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored pump has other channels than the node's profile.
    #[error(
        "{pump} was recorded with the channels {stored}; the profile {profile} has {expected}; use another data directory"
    )]
    OtherChannels {
        /// The pump.
        pump: PumpId,
        /// Its channels.
        stored: String,
        /// The node's profile.
        profile: String,
        /// The profile's channels.
        expected: String,
    },
}

/// Whether the node can take readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// It can.
    pub ready: bool,
    /// If not, why not; if it can, what else is out of order.
    pub reason: Option<String>,
}

/// A running engine.
pub struct Engine {
    handle: EngineHandle,
    maintenance: Mailbox<MaintenanceActor>,
    keeper: Mailbox<KeeperActor>,
}

/// How the web reaches the engine. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct EngineHandle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) supervisor: Supervisor,
    profile: Profile,
    pub(crate) judging: Option<Judging>,
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    default_pump: PumpId,
    pub(crate) gate: Mailbox<GateActor>,
    pub(crate) staff: Arc<PumpStaff>,
    pub(crate) pumps: Pumps,
    /// Readings of one pump that may be on their way.
    pub(crate) burst: usize,
    /// For readings on their way.
    room: Room,
    recorder: Recorder,
    live: Mailbox<LiveActor>,
    listeners: broadcast::Sender<Arc<Frame>>,
    counters: Arc<Counters>,
    doors: Doors,
    disk: Disk,
    refusals: SharedRefusals,
    retention: Retention,
    /// How long something may be stuck before it is said to be.
    wedged_after: Duration,
    /// A pump that posts more often than that is stale after this.
    stale_after_ms: i64,
}

fn time_rules(ingest: &IngestSettings, retention: &Retention) -> TimeRules {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    TimeRules { ahead_ms: ms(ingest.max_ahead), current_ms: ms(ingest.current_within), kept_ms: ms(retention.readings) }
}

impl Engine {
    /// Starts every actor. Must be called within an actix system.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { profile, model, store, clock, ingest, engine, commissioning, live, retention } = parts;
        let stored = stored_pumps(&store, &profile)?;
        let doors = Doors::new(NodeClock::new(clock.clone(), store.clone(), retention.readings).await);
        let policy = RestartPolicy { restarts: engine.restarts, window: engine.restart_window };
        let config = SupervisionConfig { policy, stuck_after: engine.wedged_after };
        let wall = clock.clone();
        let supervisor = Supervisor::new(config, Arc::new(move || wall.now().into()));
        let (counters, disk, refusals) = Default::default();
        let ground = Ground { supervisor, profile, store, clock, counters, disk, refusals };

        let recorder = ground.recorder(&engine, ingest.max_in_flight_readings, &doors);
        let keeper = ground.keeper(retention, doors.clock.clone());
        let side = ground.supervisor.thread();
        let (listeners, _) = broadcast::channel(live.subscriber_frames);
        let stale_after_ms = engine.stale_after_intervals * ground.profile.interval_ms();
        let feed = ground.live(&side, engine.stale_after_intervals, live, &listeners);
        let maintenance = ground.maintenance(&side, &recorder);
        ground.metrics(&side, &recorder);
        let pool = ground.inference(&engine, model.as_ref());
        let judging = model.map(|model| ground.commissioning(model, &commissioning));

        let homes: Vec<Arc<ActorThread>> =
            (0..engine.inference_workers.max(1)).map(|_| ground.supervisor.thread()).collect();
        let gate = ground.gate_inbox();
        let staff = Arc::new(PumpStaff {
            profile: ground.profile.clone(),
            times: time_rules(&ingest, &retention),
            ingest: ingest.clone(),
            judging: judging.clone(),
            store: ground.store.clone(),
            counters: ground.counters.clone(),
            recorder: recorder.clone(),
            gate: gate.mailbox(WITHDRAWN),
            pool,
            live: feed.clone(),
            maintenance: Desk { mailbox: maintenance.clone(), counters: ground.counters.clone() },
            queued_windows_per_pump: engine.queued_windows_per_pump,
            supervisor: ground.supervisor.clone(),
            homes: homes.into(),
            next_home: AtomicUsize::new(0),
        });
        let (default_pump, burst) = (ingest.default_pump.clone(), ingest.burst_readings_per_pump);
        let pumps = ground.pumps(&staff, stored, burst);
        let (gate, room) = ground.gate(&gate, ingest, &staff, &pumps, &doors);
        ground.supervisor.watch();
        let Ground { supervisor, profile, store, clock, counters, disk, refusals } = ground;
        let inner = Inner {
            supervisor,
            profile,
            judging,
            store,
            clock,
            default_pump,
            gate,
            staff,
            pumps,
            burst,
            room,
            recorder,
            live: feed,
            listeners,
            counters,
            doors,
            disk,
            refusals,
            retention,
            wedged_after: engine.wedged_after,
            stale_after_ms,
        };
        Ok(Self { handle: EngineHandle(Arc::new(inner)), maintenance, keeper })
    }

    /// The way in.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Lets nothing more in, and brings what is under way to its end: readings, windows, events, records.
    ///
    /// Answers whether all of it ended within `limit`: one that does not end takes half of the time that is left, and the
    /// next has its turn. The store is still open afterwards.
    pub async fn drain(self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        let Inner { gate, recorder, supervisor, .. } = &*self.handle.0;
        let mut in_time = stage("gate, pumps and inference", left() / 2, barrier(gate, CloseGate)).await;
        in_time &= stage("maintenance", left() / 2, barrier(&self.maintenance, DrainMaintenance)).await;
        let recorded = async {
            // Orders come in no more.
            let counted = self.handle.0.refusals.lock().all();
            for entry in counted {
                let _ = recorder.results.send(RecordRow::Document(Document::of(&entry))).await;
            }
            barrier(&recorder.results, DrainRecorder).await;
        };
        in_time &= stage("recorder", left() / 2, recorded).await;
        in_time &= stage("keeper", left(), barrier(&self.keeper, DrainKeeper)).await;
        supervisor.stop();
        in_time
    }
}

impl EngineHandle {
    /// The kind of pump this node watches.
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// What is at rest.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What scores windows.
    pub fn model(&self) -> Option<&Model> {
        self.0.judging.as_ref().map(|judging| &judging.model)
    }

    /// Whose readings those without a `pump_id` are.
    pub fn default_pump(&self) -> &PumpId {
        &self.0.default_pump
    }

    /// Takes a post in: one entry per item, in order. The answer comes when all that was taken is durable. A client may
    /// register so many new pumps; none is the node itself, which may register any number.
    pub async fn ingest(
        &self,
        items: Vec<Result<Draft, Rejection>>,
        client: Option<IpAddr>,
    ) -> Result<Receipt, Refusal> {
        let (reply, answer) = oneshot::channel();
        let post = Post { items, received: self.0.clock.now(), since: Instant::now(), client, reply };
        match self.0.gate.try_send(post) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.unanswered())),
            Err(TrySendError::Full(_)) => {
                let full = Refusal::Busy { queue: Queue::Gate, retry_after_s: 1 };
                self.note_refusal(&full);
                Err(full)
            }
            Err(TrySendError::Closed) => Err(self.unanswered()),
        }
    }

    /// What is said of a post that the gate lost.
    fn unanswered(&self) -> Refusal {
        if self.is_closing() { Refusal::Stopping } else { Refusal::NotStored { retry_after_s: 1 } }
    }

    /// Whether the node is stopping.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.doors.closing.load(Ordering::Relaxed)
    }

    /// The latest of one pump; none if it has not been heard since the start.
    pub async fn live(&self, pump: &PumpId) -> Option<LivePump> {
        self.ask(Some(pump.clone())).await.pop()
    }

    /// The latest of every pump that has been heard since the start.
    pub async fn live_all(&self) -> Vec<LivePump> {
        self.ask(None).await
    }

    /// Frames from now on. A slow listener loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Frame>> {
        self.0.listeners.subscribe()
    }

    /// The node's time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// What was done since the start.
    pub fn totals(&self) -> Totals {
        self.0.counters.totals()
    }

    /// What was last seen of the disk; none before the first look.
    pub fn disk(&self) -> Option<DiskOutlook> {
        self.0.disk.outlook()
    }

    /// The stored reading that says how a pump was when it was last heard; none if nothing of it is stored.
    ///
    /// As on a live pump: of the current ones the last received, whatever its order. Where none of the newest is current,
    /// the newest by its own time.
    pub async fn last_shown(&self, pump: &PumpId) -> Result<Option<LastShown>, StoreError> {
        let readings = self.0.store.latest_readings(pump, LOOKED_THROUGH).await?.rows;
        Ok(LastShown::of(&readings, &self.0.staff.times, self.0.stale_after_ms))
    }

    /// How long what is stored is kept.
    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// Refuses, and counts that, where there is no room for another reading.
    pub fn check_room(&self) -> Result<(), Refusal> {
        if !self.0.room.is_full() || self.is_closing() {
            return Ok(());
        }
        let full = Refusal::Busy { queue: Queue::Node, retry_after_s: 1 };
        self.note_refusal(&full);
        Err(full)
    }

    /// Counts a post that was refused before it came here.
    pub fn note_refusal(&self, refusal: &Refusal) {
        self.0.counters.refuse(refusal);
    }

    /// Whether readings can be taken, and what is out of order.
    pub fn health(&self) -> Health {
        let not_ready = |reason: &str| Health { ready: false, reason: Some(reason.to_owned()) };
        if self.is_closing() {
            return not_ready("the node is stopping");
        }
        if self.0.doors.journal_failed.load(Ordering::Relaxed) {
            return not_ready("the journal has failed; the log says why; restart the node");
        }
        let (now, clock) = self.0.doors.clock.look();
        if let (ClockState::Behind { .. }, Some(reason)) = (clock, clock.reason(now)) {
            return not_ready(&reason);
        }
        let (failed, silent) = (self.0.supervisor.failed(), self.disk_is_silent());
        let ready = silent.is_none() && !failed.iter().any(|id| id == "gate" || id == "recorder");
        Health { ready, reason: silent.or_else(|| out_of_order(&failed)).or_else(|| clock.reason(now)) }
    }

    /// What is wrong with the node, besides what its store tells itself.
    pub fn troubles(&self) -> Vec<String> {
        let failed = out_of_order(&self.0.supervisor.failed());
        self.disk_is_silent().into_iter().chain(failed).chain(self.0.doors.clock.trouble()).collect()
    }

    /// A person says that the node's clock is right. Returns its time, or why it cannot be.
    pub fn confirm_clock(&self) -> Result<Timestamp, String> {
        self.0.doors.clock.confirm()
    }

    /// The journal's thread is stuck with the disk, and cannot be left behind as an actor's can.
    fn disk_is_silent(&self) -> Option<String> {
        let silent = self.0.store.journal_writing_for();
        let stuck = silent > self.0.wedged_after;
        stuck.then(|| format!("the journal's disk has not answered for {} s", silent.as_secs()))
    }

    /// How long readings and verdicts took to be durable since the start.
    pub fn latencies(&self) -> [LatencyQuantiles; 6] {
        self.0.counters.latencies.quantiles()
    }

    /// All actors, by their ids.
    pub fn actors(&self) -> Vec<ActorReport> {
        self.0.supervisor.reports()
    }

    /// Has one actor, or all of a stage, built anew, between two messages of each. Answers their ids; none if there is
    /// no such actor or stage.
    pub fn restart_actors(&self, name: &str) -> Vec<String> {
        self.0.supervisor.restart(name)
    }

    /// Notes what a person did, or was refused: in the log, and in the audit log of the store.
    ///
    /// Answers once it is durable, or else, where that takes long, once it is with the recorder, which loses nothing of
    /// it, be it restarted or out of order; where too much waits there, it waits for a place. Refusals that are repeated
    /// are counted, and noted together ([`crate::refusals`]); these return at once.
    pub async fn note_action(&self, entry: AuditEntry) {
        let Some(entry) = self.0.refusals.lock().note(entry, Instant::now()) else { return };
        let AuditEntry { at, who, action, object, outcome, detail } = &entry;
        tracing::info!(target: "audit", %at, who, action, object, outcome, detail, "asked by hand");
        let (action, object) = (action.clone(), object.clone());
        if self.0.recorder.results.send(RecordRow::Document(Document::of(&entry))).await.is_err() {
            return tracing::error!(action, object, "not in the audit log: the node is stopping");
        }
        if tokio::time::timeout(NOTE_PATIENCE, self.0.recorder.settled()).await.is_err() {
            tracing::warn!(action, object, "not durable yet in the audit log");
        }
    }

    /// The messages that broke an actor, newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.supervisor.dead_letters()
    }

    /// Answers when so many threads are stuck that the process should be started anew.
    pub async fn unrecoverable(&self) {
        self.0.supervisor.unrecoverable().await;
    }

    async fn ask(&self, pump: Option<PumpId>) -> Vec<LivePump> {
        let (reply, answer) = oneshot::channel();
        match self.0.live.send(AskLive { pump, reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

/// The registered pumps. A pump whose rows have other channels cannot be read by this node.
fn stored_pumps(store: &Store, profile: &Profile) -> Result<Vec<PumpId>, EngineError> {
    let expected: Vec<&str> = profile.channel_names().collect();
    let mut pumps = Vec::new();
    for record in store.pumps() {
        if record.channels != expected {
            return Err(EngineError::OtherChannels {
                pump: record.id,
                stored: record.channels.join(", "),
                profile: profile.name().to_owned(),
                expected: expected.join(", "),
            });
        }
        pumps.push(record.id);
    }
    Ok(pumps)
}

/// That these actors are.
fn out_of_order(failed: &[String]) -> Option<String> {
    let shown = failed.iter().take(FAILED_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if failed.len() > FAILED_SHOWN { " and others" } else { "" };
    let reason = format!("out of order after too many failures: {shown}{more}; see /api/actors and the log");
    (!failed.is_empty()).then_some(reason)
}

/// Waits for the end of a stage, and says how it came.
async fn stage(stage: &str, limit: Duration, end: impl Future<Output = ()>) -> bool {
    let in_time = tokio::time::timeout(limit, end).await.is_ok();
    match in_time {
        true => tracing::info!(stage, "drained"),
        false => tracing::warn!(stage, waited_ms = limit.as_millis(), "not drained in time"),
    }
    in_time
}

/// Sends a message that is answered when everything before it is done, and waits for the answer.
async fn barrier<A, M>(mailbox: &Mailbox<A>, message: impl Fn(oneshot::Sender<()>) -> M)
where
    A: Actor<Context = Context<A>> + actix::Handler<volute_runtime::Envelope<M>, Result = ()>,
    M: Message,
{
    loop {
        let (reply, done) = oneshot::channel();
        // An actor that is gone or out of order has nothing left to wait for; one that broke meanwhile is asked again.
        if mailbox.send(message(reply)).await.is_err() || done.await.is_ok() {
            return;
        }
    }
}
