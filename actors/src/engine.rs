//! Puts the engine together, and takes it apart stage by stage.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::{broadcast, oneshot};
use volute_anomaly::{Commissioning, Model, Scorer};
use volute_data::{EventFilter, Retention, Store, StoreError};
use volute_plant::{Clock, Draft, EventState, Profile, PumpId, Rejection, Timestamp};

use crate::{
    commissioning::{CommissioningActor, Judging, LESSONS, School, gathering},
    counters::{Counters, Totals},
    gate::{CloseGate, Doors, GateActor, Post, PumpHandle},
    inference::InferenceActor,
    inference_pool::{InferencePool, PoolLimits},
    keeper::{Disk, DrainKeeper, KeeperActor},
    live::{AskLive, Frame, LiveActor, LivePump},
    mailbox::{Mailbox, Undelivered},
    maintenance::{DrainMaintenance, MaintenanceActor},
    metrics::{Before, MetricsActor},
    pump::{AtRest, PumpStaff},
    receipt::{Receipt, Refusal},
    recorder::{DrainRecorder, Recorder, RecorderActor},
    settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings},
    storage::DiskOutlook,
};

/// Posts that may wait at the gate.
const GATE_POSTS: usize = 4096;
/// Messages that may wait for the live feed, for maintenance and for the recorder's results.
const RESULTS: usize = 65_536;

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
    /// If not, why not.
    pub reason: Option<String>,
}

/// A running engine.
pub struct Engine {
    handle: EngineHandle,
    recorder: Recorder,
    maintenance: Mailbox<MaintenanceActor>,
    keeper: Mailbox<KeeperActor>,
    arbiters: Vec<Arbiter>,
}

/// How the web reaches the engine. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct EngineHandle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    profile: Profile,
    pub(crate) judging: Option<Judging>,
    store: Store,
    clock: Arc<dyn Clock>,
    default_pump: PumpId,
    pub(crate) gate: Mailbox<GateActor>,
    live: Mailbox<LiveActor>,
    listeners: broadcast::Sender<Arc<Frame>>,
    counters: Arc<Counters>,
    doors: Doors,
    disk: Disk,
    retention: Retention,
}

impl Engine {
    /// Starts every actor. Must be called within an actix system.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { profile, model, store, clock, ingest, engine, commissioning, live, retention } = parts;
        let stored = stored_pumps(&store, &profile)?;
        let active = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
        // Without the database, of the standing events only those are known that wait for it.
        let standing = store.events(&active).await?.rows;
        let scorers = match &model {
            Some(model) => (0..engine.inference_workers).map(|_| Scorer::new(model)).collect(),
            None => Vec::new(),
        };

        let counters = Arc::new(Counters::default());
        let doors = Doors::default();
        let mut arbiters = Vec::new();

        let writer = RecorderActor::new(store.clone(), counters.clone(), &engine, doors.journal_failed.clone());
        let recorder = start_recorder(writer, &new_arbiter(&mut arbiters), ingest.max_in_flight_readings);
        let disk = Disk::default();
        let keeper = KeeperActor::new(store.clone(), clock.clone(), counters.clone(), retention, disk.clone());
        let keeper = start(&new_arbiter(&mut arbiters), keeper, 1);
        let side = new_arbiter(&mut arbiters);
        let (listeners, _) = broadcast::channel(live.subscriber_frames);
        let feed =
            LiveActor::new(profile.clone(), clock.clone(), engine.stale_after_intervals, &live, listeners.clone());
        let feed = start(&side, feed, RESULTS);
        let desk = MaintenanceActor::new(profile.clone(), recorder.results.clone(), counters.clone(), standing);
        let maintenance = start(&side, desk, RESULTS);
        let metrics = MetricsActor {
            clock: clock.clone(),
            counters: counters.clone(),
            recorder: recorder.clone(),
            store: store.clone(),
            disk: disk.clone(),
            before: Before::default(),
        };
        MetricsActor::start_in_arbiter(&side, move |_| metrics);

        let limits = PoolLimits {
            batch: engine.max_batch_windows,
            per_pump: engine.queued_windows_per_pump,
            in_all: engine.queued_windows,
        };
        let pool_room = engine.queued_windows + scorers.len();
        let pool = start(&new_arbiter(&mut arbiters), InferencePool::new(limits, counters.clone()), pool_room);
        for scorer in scorers {
            let worker = InferenceActor::new(scorer, pool.clone(), counters.clone());
            InferenceActor::start_in_arbiter(&new_arbiter(&mut arbiters), move |_| worker);
        }

        let judging = model.map(|model| {
            let how = Commissioning { detector: commissioning.detector, ..model.manifest().recipe.commissioning() };
            let running_ms = i64::try_from(commissioning.running.as_millis()).unwrap_or(i64::MAX);
            let needed_ms = gathering::needed_ms(&profile, running_ms);
            let (store, clock) = (store.clone(), clock.clone());
            let school = School { profile: profile.clone(), model: model.clone(), how, store, clock };
            let teacher = CommissioningActor { school: Arc::new(school), counters: counters.clone() };
            Judging { model, needed_ms, lessons: start(&new_arbiter(&mut arbiters), teacher, LESSONS) }
        });
        let homes: Vec<ArbiterHandle> =
            (0..engine.inference_workers.max(1)).map(|_| new_arbiter(&mut arbiters)).collect();
        let staff = PumpStaff {
            profile: profile.clone(),
            judging: judging.clone(),
            store: store.clone(),
            counters: counters.clone(),
            recorder: recorder.clone(),
            pool,
            live: feed.clone(),
            maintenance: maintenance.clone(),
            queued_windows_per_pump: engine.queued_windows_per_pump,
            arbiters: homes.into(),
            next_arbiter: Arc::new(AtomicUsize::new(0)),
        };
        let default_pump = ingest.default_pump.clone();
        let pumps = wake_pumps(&staff, stored, ingest.burst_readings_per_pump).await?;
        let gate = GateActor::new(ingest, staff, pumps, doors.clone());
        let gate = start(&new_arbiter(&mut arbiters), gate, GATE_POSTS);
        let inner = Inner {
            profile,
            judging,
            store,
            clock,
            default_pump,
            gate,
            live: feed,
            listeners,
            counters,
            doors,
            disk,
            retention,
        };
        Ok(Self { handle: EngineHandle(Arc::new(inner)), recorder, maintenance, keeper, arbiters })
    }

    /// The way in.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Lets nothing more in, and brings what is under way to its end: readings, windows, events, records.
    ///
    /// Answers whether all of it ended within `limit`. The store is still open afterwards.
    pub async fn drain(self, limit: Duration) -> bool {
        let stages = async {
            barrier(&self.handle.0.gate, CloseGate).await;
            tracing::info!(stage = "gate, pumps and inference", "drained");
            barrier(&self.maintenance, DrainMaintenance).await;
            tracing::info!(stage = "maintenance", "drained");
            barrier(&self.recorder.results, DrainRecorder).await;
            tracing::info!(stage = "recorder", "drained");
            barrier(&self.keeper, DrainKeeper).await;
            tracing::info!(stage = "keeper", "drained");
        };
        let in_time = tokio::time::timeout(limit, stages).await.is_ok();
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
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

    /// Takes a post in: one entry per item, in order. The answer comes when all that was taken is durable.
    pub async fn ingest(&self, items: Vec<Result<Draft, Rejection>>) -> Result<Receipt, Refusal> {
        let (reply, answer) = oneshot::channel();
        let post = Post { items, received: self.0.clock.now(), reply };
        match self.0.gate.post(post) {
            Ok(()) => answer.await.unwrap_or(Err(Refusal::Stopping)),
            Err(Undelivered::Full(_)) => {
                self.0.counters.refused.fetch_add(1, Ordering::Relaxed);
                Err(Refusal::Busy { queue: "the gate's queue", retry_after_s: 1 })
            }
            Err(Undelivered::Closed) => Err(Refusal::Stopping),
        }
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

    /// How long what is stored is kept.
    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// Whether readings can be taken.
    pub fn health(&self) -> Health {
        let Doors { closing, journal_failed } = &self.0.doors;
        let reason = if closing.load(Ordering::Relaxed) {
            Some("the node is stopping")
        } else if journal_failed.load(Ordering::Relaxed) {
            Some("the journal has failed; the log says why; restart the node")
        } else {
            None
        };
        Health { ready: reason.is_none(), reason: reason.map(str::to_owned) }
    }

    async fn ask(&self, pump: Option<PumpId>) -> Vec<LivePump> {
        let (reply, answer) = oneshot::channel();
        match self.0.live.deliver(AskLive { pump, reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

fn new_arbiter(arbiters: &mut Vec<Arbiter>) -> ArbiterHandle {
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiters.push(arbiter);
    handle
}

fn start<A: Actor<Context = Context<A>> + Send>(home: &ArbiterHandle, actor: A, limit: usize) -> Mailbox<A> {
    Mailbox::new(A::start_in_arbiter(home, move |_| actor), limit)
}

fn start_recorder(actor: RecorderActor, home: &ArbiterHandle, max_in_flight_readings: usize) -> Recorder {
    let addr = RecorderActor::start_in_arbiter(home, move |_| actor);
    Recorder { readings: Mailbox::new(addr.clone(), max_in_flight_readings), results: Mailbox::new(addr, RESULTS) }
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

/// Starts the registered pumps' actors, each with its last windows and its memory.
async fn wake_pumps(
    staff: &PumpStaff,
    pumps: Vec<PumpId>,
    burst: usize,
) -> Result<HashMap<PumpId, PumpHandle>, EngineError> {
    let mut handles = BTreeMap::new();
    for pump in pumps {
        let standing = match staff.store.standing(&pump).await {
            Ok(standing) => Some(standing),
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let at_rest = AtRest::read(staff, &pump, standing).await?;
        let handle = staff.start_pump(pump.clone(), at_rest, burst);
        handles.insert(pump, handle);
    }
    Ok(handles.into_iter().collect())
}

/// Sends a message that is answered when everything before it is done, and waits for the answer.
async fn barrier<A, M>(mailbox: &Mailbox<A>, message: impl FnOnce(oneshot::Sender<()>) -> M)
where
    A: Actor<Context = Context<A>> + actix::Handler<crate::mailbox::Mail<M>, Result = ()>,
    M: Send + 'static,
{
    let (reply, done) = oneshot::channel();
    if mailbox.deliver(message(reply)).await.is_ok() {
        // A dropped reply means that the actor is gone: nothing is left to wait for.
        let _ = done.await;
    }
}
