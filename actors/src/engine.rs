//! The engine: all actors of the node. Starts them, and drains them stage by stage when the node stops.
//!
//! A drain refuses new posts, then waits for five stages in this order: the ingress with pumps and inference,
//! maintenance, the notifier, the recorder, and the flusher. So when the drain waits for a stage, that stage has received all
//! messages of the stages before it. With a limit of 16 s, the first stage may take 8 s, each later stage half of the
//! time that is left, and the last stage all of it.

mod builder;
pub(crate) mod handle;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use actix::{Actor, Context};
use tokio::sync::{broadcast, oneshot};
use volute_data::{Document, Retention, Store, StoreError};
use volute_plant::{Clock, PumpId, TimestampLimits};
use volute_runtime::{ActorThread, Address, Message, RestartPolicy, SupervisionConfig, Supervisor};

use crate::{
    alarms::ArmedCache,
    catalog::Catalog,
    flusher::{FlusherActor, WaitForFlusherCycle},
    ingress::RefusalConditions,
    kind::KindParts,
    maintenance::{MaintenanceActor, RulesClient},
    node_clock::NodeClock,
    notifier::{DrainNotifier, NotificationSettings, NotifierActor},
    planned_work::OpenPlannedWork,
    protocol::{
        ingress::DrainIngress,
        recorder::{DrainRecorder, RecordRow},
        rules::DrainMaintenance,
    },
    pump::context::PumpContext,
    settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings},
};
use builder::EngineBuilder;
use handle::{EngineHandle, Inner};

/// The capacity of the ingress's address for [`WithdrawPump`](crate::protocol::pump::WithdrawPump) messages.
const MAX_WITHDRAWALS: usize = 4096;

/// The parts and settings of an engine.
pub struct EngineParts {
    /// The kind of pumps that are registered without a profile name.
    pub default_kind: KindParts,
    /// Other kinds.
    pub other_kinds: Vec<KindParts>,
    /// The store.
    pub store: Store,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The limits of ingestion.
    pub ingest: IngestSettings,
    /// How readings are stored and scored.
    pub engine: EngineSettings,
    /// How pumps are commissioned.
    pub commissioning: CommissioningSettings,
    /// How the live feed sends frames.
    pub live: LiveSettings,
    /// How long stored rows are kept.
    pub retention: Retention,
    /// How people are notified; none if they are not.
    pub notifications: Option<NotificationSettings>,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored pumps have a profile that the node does not have. With another profile, their limits would be wrong.
    #[error(
        "{count} pumps ({pump} and others) have the profile {profile}, which this node does not have: start it with that profile \
         (--profile or model.profile), or add it with `volute profiles add FILE`"
    )]
    MissingProfile {
        /// The profile.
        profile: String,
        /// One of the pumps.
        pump: PumpId,
        /// The number of pumps.
        count: usize,
    },
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

/// A running engine.
pub struct Engine {
    handle: EngineHandle,
    maintenance: Address<MaintenanceActor>,
    notifier: Option<Address<NotifierActor>>,
    flusher: Address<FlusherActor>,
}

fn timestamp_limits(ingest: &IngestSettings, retention: &Retention) -> TimestampLimits {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    TimestampLimits {
        max_ahead_ms: ms(ingest.max_ahead),
        max_current_offset_ms: ms(ingest.current_within),
        max_age_ms: ms(retention.readings),
    }
}

impl Engine {
    /// Starts every actor. Must be called within an actix system.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts {
            default_kind,
            other_kinds,
            store,
            clock,
            ingest,
            engine,
            commissioning,
            live,
            retention,
            notifications,
        } = parts;
        let kind = |parts: KindParts| parts.into_kind(&commissioning);
        let catalog = Catalog::new(kind(default_kind), other_kinds.into_iter().map(kind).collect(), store.clone());
        check_profiles(&store, &catalog)?;
        let flags = RefusalConditions::new(NodeClock::new(clock.clone(), store.clone(), retention.readings).await);
        let policy = RestartPolicy { restarts: engine.restarts, window: engine.restart_window };
        let config = SupervisionConfig { policy, stuck_after: engine.stuck_after };
        let wall = clock.clone();
        let supervisor = Supervisor::new(config, Arc::new(move || wall.now().into()));
        let (counters, disk, refusals, standing_alarms, feed, notification_status) = Default::default();
        let builder = EngineBuilder {
            supervisor,
            catalog,
            store,
            clock,
            counters,
            disk,
            refusals,
            standing_alarms,
            feed,
            notification_status,
        };

        let recorder = builder.start_recorder(&engine, ingest.max_in_flight_readings, &flags);
        let flusher = builder.start_flusher(retention, engine.warn_free_share, flags.clock.clone());
        let shared_thread = builder.supervisor.start_thread();
        let (subscribers, _) = broadcast::channel(live.subscriber_frames);
        let stale_after_intervals = engine.stale_after_intervals;
        let live_feed = builder.start_live(&shared_thread, stale_after_intervals, live, &subscribers);
        let work = OpenPlannedWork::default();
        let maintenance = builder.start_maintenance(&shared_thread, &recorder, &work);
        builder.start_metrics(&shared_thread, &recorder);
        let node_alarms = builder.start_node_alarms(&shared_thread, &recorder, &engine, &flags);
        let notifier = notifications.map(|settings| builder.start_notifier(&shared_thread, &recorder, settings));
        let (pool, jobs) = (builder.start_inference(&engine), builder.start_commissioning());

        let threads: Vec<Arc<ActorThread>> =
            (0..engine.inference_workers.max(1)).map(|_| builder.supervisor.start_thread()).collect();
        let ingress = builder.register_ingress();
        let context = Arc::new(PumpContext {
            timestamp_limits: timestamp_limits(&ingest, &retention),
            ingest: ingest.clone(),
            store: builder.store.clone(),
            counters: builder.counters.clone(),
            recorder: recorder.clone(),
            ingress: ingress.address(MAX_WITHDRAWALS).into(),
            pool,
            live: live_feed.clone(),
            maintenance: RulesClient { address: maintenance.clone(), counters: builder.counters.clone() },
            standing_alarms: builder.standing_alarms.clone(),
            work,
            armed: ArmedCache::default(),
            clock: builder.clock.clone(),
            commissioning: jobs.into(),
            queued_windows_per_pump: engine.queued_windows_per_pump,
            supervisor: builder.supervisor.clone(),
            threads: threads.into(),
            next_thread: AtomicUsize::new(0),
        });
        let (default_pump, max_in_flight) = (ingest.default_pump.clone(), ingest.max_in_flight_readings_per_pump);
        let pumps = builder.start_pumps(&context, max_in_flight);
        let (ingress, in_flight) = builder.start_ingress(&ingress, ingest, &context, &pumps, &flags);
        builder.supervisor.watch();
        let EngineBuilder {
            supervisor,
            catalog,
            store,
            clock,
            counters,
            disk,
            refusals,
            standing_alarms: _,
            feed: _,
            notification_status,
        } = builder;
        let inner = Inner {
            supervisor,
            catalog,
            store,
            clock,
            default_pump,
            ingress,
            context,
            pumps,
            max_in_flight,
            in_flight,
            recorder,
            live: live_feed,
            node_alarms,
            subscribers,
            counters,
            flags,
            disk,
            refusals,
            notification_status,
            retention,
            commissioning,
            kind_changes: tokio::sync::Mutex::default(),
            stuck_after: engine.stuck_after,
            stale_after_intervals,
        };
        Ok(Self { handle: EngineHandle(Arc::new(inner)), maintenance, notifier, flusher })
    }

    /// Returns a handle for the web API, the control socket and the demo.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Refuses new posts and finishes the readings, windows, events and records in flight. Returns whether all stages
    /// finished within `limit`. The wait for a stage ends after half of the time that is left, and for the last stage
    /// after all of it. The store stays open.
    pub async fn drain(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        let Inner { ingress, recorder, supervisor, .. } = &*self.handle.0;
        let mut in_time = stage("ingress, pumps and inference", remaining() / 2, barrier(ingress, DrainIngress)).await;
        in_time &= stage("maintenance", remaining() / 2, barrier(&self.maintenance, DrainMaintenance)).await;
        if let Some(notifier) = &self.notifier {
            // What is being sent is recorded as sent, or else found as possibly sent at the next start.
            in_time &= stage("notifier", remaining() / 2, barrier(notifier, DrainNotifier)).await;
        }
        let recorded = async {
            // The counted refusals are written now, since no more commands arrive.
            let counted_refusals = self.handle.0.refusals.lock().drain();
            for entry in counted_refusals {
                let _ = recorder.results.send(RecordRow::Document(Document::of(&entry))).await;
            }
            barrier(&recorder.results, DrainRecorder).await;
        };
        in_time &= stage("recorder", remaining() / 2, recorded).await;
        in_time &= stage("flusher", remaining(), barrier(&self.flusher, WaitForFlusherCycle)).await;
        supervisor.stop();
        in_time
    }
}

/// Returns an error if the profile of a stored pump is missing, or has other channels than the pump's rows.
fn check_profiles(store: &Store, catalog: &Catalog) -> Result<(), EngineError> {
    let pumps = store.pumps();
    if let Some(first) = pumps.iter().find(|record| catalog.get(&record.profile).is_none()) {
        let count = pumps.iter().filter(|record| record.profile == first.profile).count();
        let (profile, pump) = (first.profile.clone(), first.id.clone());
        return Err(EngineError::MissingProfile { profile, pump, count });
    }
    for record in pumps {
        let profile = catalog.of(&record.id).profile;
        if !profile.channel_names().eq(record.channels.iter().map(String::as_str)) {
            return Err(EngineError::OtherChannels {
                pump: record.id,
                stored: record.channels.join(", "),
                profile: profile.name().to_owned(),
                expected: profile.channel_names().collect::<Vec<_>>().join(", "),
            });
        }
    }
    Ok(())
}

/// Waits until a stage has drained, and logs the outcome. Returns whether it drained within `limit`.
async fn stage(stage: &str, limit: Duration, end: impl Future<Output = ()>) -> bool {
    let in_time = tokio::time::timeout(limit, end).await.is_ok();
    match in_time {
        true => tracing::info!(stage, "drained"),
        false => tracing::warn!(stage, waited_ms = limit.as_millis(), "not drained in time"),
    }
    in_time
}

/// Sends a message that the actor replies to after all messages before it, and waits for the reply.
async fn barrier<A, M>(address: &Address<A>, message: impl Fn(oneshot::Sender<()>) -> M)
where
    A: Actor<Context = Context<A>> + actix::Handler<volute_runtime::Envelope<M>, Result = ()>,
    M: Message,
{
    loop {
        let (reply, done) = oneshot::channel();
        // A stopped or failed actor handles nothing more, so there is nothing to wait for. If the actor fails while it
        // handles the message, the message is sent again.
        if address.send(message(reply)).await.is_err() || done.await.is_ok() {
            return;
        }
    }
}
