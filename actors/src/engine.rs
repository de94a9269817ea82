//! Puts the engine together, and takes it apart stage by stage.

mod builder;
pub(crate) mod handle;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use actix::{Actor, Context};
use tokio::sync::{broadcast, oneshot};
use volute_data::{Document, Retention, Store, StoreError};
use volute_plant::{Clock, PumpId, TimeRules};
use volute_runtime::{ActorThread, Mailbox, Message, RestartPolicy, SupervisionConfig, Supervisor};

use crate::{
    catalog::Catalog,
    ingress::ShutdownFlags,
    keeper::{DrainKeeper, KeeperActor},
    kind::KindParts,
    maintenance::{MaintenanceActor, RulesClient},
    node_clock::NodeClock,
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

/// New pumps that may wait for their places to be freed.
const WITHDRAWN: usize = 4096;

/// What an engine is made of.
pub struct EngineParts {
    /// The kind of pumps that name none.
    pub default: KindParts,
    /// Other kinds.
    pub others: Vec<KindParts>,
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

/// A running engine.
pub struct Engine {
    handle: EngineHandle,
    maintenance: Mailbox<MaintenanceActor>,
    keeper: Mailbox<KeeperActor>,
}

fn time_rules(ingest: &IngestSettings, retention: &Retention) -> TimeRules {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    TimeRules { ahead_ms: ms(ingest.max_ahead), current_ms: ms(ingest.current_within), kept_ms: ms(retention.readings) }
}

impl Engine {
    /// Starts every actor. Must be called within an actix system.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { default, others, store, clock, ingest, engine, commissioning, live, retention } = parts;
        let kind = |parts: KindParts| parts.into_kind(&commissioning);
        let catalog = Catalog::new(kind(default), others.into_iter().map(kind).collect(), store.clone());
        check_channels(&store, &catalog)?;
        let flags = ShutdownFlags::new(NodeClock::new(clock.clone(), store.clone(), retention.readings).await);
        let policy = RestartPolicy { restarts: engine.restarts, window: engine.restart_window };
        let config = SupervisionConfig { policy, stuck_after: engine.wedged_after };
        let wall = clock.clone();
        let supervisor = Supervisor::new(config, Arc::new(move || wall.now().into()));
        let (counters, disk, refusals) = Default::default();
        let builder = EngineBuilder { supervisor, catalog, store, clock, counters, disk, refusals };

        let recorder = builder.recorder(&engine, ingest.max_in_flight_readings, &flags);
        let keeper = builder.keeper(retention, engine.warn_free_share, flags.clock.clone());
        let side = builder.supervisor.thread();
        let (listeners, _) = broadcast::channel(live.subscriber_frames);
        let stale_after_intervals = engine.stale_after_intervals;
        let feed = builder.live(&side, stale_after_intervals, live, &listeners);
        let maintenance = builder.maintenance(&side, &recorder);
        builder.metrics(&side, &recorder);
        let (pool, jobs) = (builder.inference(&engine), builder.commissioning());

        let threads: Vec<Arc<ActorThread>> =
            (0..engine.inference_workers.max(1)).map(|_| builder.supervisor.thread()).collect();
        let ingress = builder.ingress_inbox();
        let context = Arc::new(PumpContext {
            times: time_rules(&ingest, &retention),
            ingest: ingest.clone(),
            store: builder.store.clone(),
            counters: builder.counters.clone(),
            recorder: recorder.clone(),
            ingress: ingress.mailbox(WITHDRAWN).into(),
            pool,
            live: feed.clone(),
            maintenance: RulesClient { mailbox: maintenance.clone(), counters: builder.counters.clone() },
            commissioning: jobs.into(),
            queued_windows_per_pump: engine.queued_windows_per_pump,
            supervisor: builder.supervisor.clone(),
            threads: threads.into(),
            next_thread: AtomicUsize::new(0),
        });
        let (default_pump, burst) = (ingest.default_pump.clone(), ingest.burst_readings_per_pump);
        let pumps = builder.pumps(&context, burst);
        let (ingress, in_flight) = builder.ingress(&ingress, ingest, &context, &pumps, &flags);
        builder.supervisor.watch();
        let EngineBuilder { supervisor, catalog, store, clock, counters, disk, refusals } = builder;
        let inner = Inner {
            supervisor,
            catalog,
            store,
            clock,
            default_pump,
            ingress,
            context,
            pumps,
            burst,
            in_flight,
            recorder,
            live: feed,
            listeners,
            counters,
            flags,
            disk,
            refusals,
            retention,
            commissioning,
            wedged_after: engine.wedged_after,
            stale_after_intervals,
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
        let Inner { ingress, recorder, supervisor, .. } = &*self.handle.0;
        let mut in_time = stage("gate, pumps and inference", left() / 2, barrier(ingress, DrainIngress)).await;
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

/// A pump whose rows have other channels than its profile cannot be read by this node.
fn check_channels(store: &Store, catalog: &Catalog) -> Result<(), EngineError> {
    for record in store.pumps() {
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
