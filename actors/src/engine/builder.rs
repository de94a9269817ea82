//! Starts the engine's actors, each under the supervisor.
//!
//! State that outlives an actor's incarnations is created outside of the closure that builds an incarnation. Does not
//! decide the order in which the actors start, nor their connections; see [`super::Engine::start`].

use std::{sync::Arc, time::Instant};

use actix::{Actor, Context};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use volute_data::{Retention, Store};
use volute_plant::{Clock, PumpId};
use volute_runtime::{ActorIdentity, ActorThread, Address, Inbox, Supervisor};

use crate::{
    alarms::StandingAlarms,
    catalog::Catalog,
    commissioning::{Commissioner, CommissioningActor, MAX_QUEUED_JOBS},
    counters::Counters,
    flusher::{FlusherActor, FlusherParts, SharedDiskOutlook},
    inference::{
        batch_size::best_batch,
        dispatch::QueueLimits,
        pool::{Pool, WAKE_UP_CAPACITY},
        worker::InferenceActor,
    },
    ingress::{
        IngressActor, IngressParts, RefusalConditions,
        in_flight::{InFlightLimit, MAX_POST_ITEMS, PumpInFlight},
        pump_table::SharedPumpTable,
        registration_limiter::{Rate, RegistrationLimiter},
    },
    live::{LiveActor, frames::Frame},
    maintenance::{MaintenanceActor, MaintenanceContext},
    metrics::MetricsActor,
    node_alarms::{NodeAlarmsActor, NodeAlarmsContext},
    node_clock::NodeClock,
    notifier::{
        NotificationSettings, NotifierActor, NotifierContext, feed::NotificationFeed, status::SharedNotificationStatus,
    },
    planned_work::OpenPlannedWork,
    pump::{context::PumpContext, launch::start_pump},
    recorder::{Recorder, RecorderActor, Writer},
    refused_commands::SharedRefusals,
    settings::{EngineSettings, IngestSettings, LiveSettings},
};

/// The maximum number of posts that wait at the ingress.
const MAX_WAITING_POSTS: usize = 4096;
/// The batch size if there is no model with which the best size could be measured.
const DEFAULT_BATCH: usize = 32;
/// The capacity of the addresses of the live feed, of the maintenance actor, and of the recorder for rows other than
/// readings.
const ADDRESS_CAPACITY: usize = 65_536;
/// The maximum number of commands that wait for the node's alarms.
const MAX_NODE_COMMANDS: usize = 256;

/// What all actors share.
pub(super) struct EngineBuilder {
    pub supervisor: Supervisor,
    pub catalog: Catalog,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub disk: SharedDiskOutlook,
    pub refusals: SharedRefusals,
    pub standing_alarms: StandingAlarms,
    pub feed: NotificationFeed,
    pub notification_status: SharedNotificationStatus,
}

impl EngineBuilder {
    pub(super) fn start_recorder(
        &self,
        engine: &EngineSettings,
        max_in_flight: usize,
        flags: &RefusalConditions,
    ) -> Recorder {
        let inbox = self.register_on_own_thread("recorder");
        let writer = Writer {
            store: self.store.clone(),
            counters: self.counters.clone(),
            clock: self.clock.clone(),
            max_rows: engine.max_batch_readings,
            journal_failed: flags.journal_failed.clone(),
            pending: Arc::default(),
            feed: self.feed.clone(),
            record_ended: inbox.address(1).into(),
            slot: inbox.slot().clone(),
        };
        let linger = engine.linger;
        self.supervisor
            .start(&inbox, move |incarnation| RecorderActor::new(writer.clone(), linger, incarnation.generation));
        Recorder { readings: inbox.address(max_in_flight + MAX_POST_ITEMS), results: inbox.address(ADDRESS_CAPACITY) }
    }

    pub(super) fn start_flusher(
        &self,
        retention: Retention,
        warn_free_share: f64,
        clock: NodeClock,
    ) -> Address<FlusherActor> {
        // The API's id of the flusher is that of an earlier version.
        let inbox = self.register_on_own_thread("keeper");
        let (store, counters, disk) = (self.store.clone(), self.counters.clone(), self.disk.clone());
        let parts = FlusherParts { store, clock, counters, retention, warn_free_share, disk };
        self.supervisor.start(&inbox, move |incarnation| FlusherActor::new(parts.clone(), incarnation.slot()));
        inbox.address(1)
    }

    pub(super) fn start_live(
        &self,
        thread: &Arc<ActorThread>,
        stale_after_intervals: i64,
        settings: LiveSettings,
        subscribers: &broadcast::Sender<Arc<Frame>>,
    ) -> Address<LiveActor> {
        let inbox = self.register("live", thread);
        let (catalog, standing_alarms, clock) =
            (self.catalog.clone(), self.standing_alarms.clone(), self.clock.clone());
        let subscribers = subscribers.clone();
        self.supervisor.start(&inbox, move |_| {
            let (catalog, standing_alarms, clock) = (catalog.clone(), standing_alarms.clone(), clock.clone());
            LiveActor::new(catalog, standing_alarms, clock, stale_after_intervals, &settings, subscribers.clone())
        });
        inbox.address(ADDRESS_CAPACITY)
    }

    pub(super) fn start_maintenance(
        &self,
        thread: &Arc<ActorThread>,
        recorder: &Recorder,
        work: &OpenPlannedWork,
    ) -> Address<MaintenanceActor> {
        let inbox = self.register("maintenance", thread);
        let context = MaintenanceContext {
            catalog: self.catalog.clone(),
            store: self.store.clone(),
            recorder: recorder.clone(),
            counters: self.counters.clone(),
            clock: self.clock.clone(),
            work: work.clone(),
            standing_alarms: self.standing_alarms.clone(),
        };
        self.supervisor.start(&inbox, move |incarnation| MaintenanceActor::new(context.clone(), incarnation));
        inbox.address(ADDRESS_CAPACITY)
    }

    pub(super) fn start_notifier(
        &self,
        thread: &Arc<ActorThread>,
        recorder: &Recorder,
        settings: NotificationSettings,
    ) -> Address<NotifierActor> {
        let inbox = self.register("notifier", thread);
        let context = NotifierContext {
            settings,
            feed: self.feed.clone(),
            status: self.notification_status.clone(),
            store: self.store.clone(),
            recorder: recorder.clone(),
            standing_alarms: self.standing_alarms.clone(),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
        };
        self.supervisor.start(&inbox, move |incarnation| NotifierActor::new(context.clone(), incarnation));
        inbox.address(1)
    }

    pub(super) fn start_metrics(&self, thread: &Arc<ActorThread>, recorder: &Recorder) {
        let (clock, counters, store, disk) =
            (self.clock.clone(), self.counters.clone(), self.store.clone(), self.disk.clone());
        let (recorder, refusals) = (recorder.clone(), self.refusals.clone());
        self.supervisor.start(&self.register("metrics", thread), move |incarnation| MetricsActor {
            clock: clock.clone(),
            counters: counters.clone(),
            recorder: recorder.clone(),
            store: store.clone(),
            disk: disk.clone(),
            refusals: refusals.clone(),
            previous: None,
            slot: incarnation.slot(),
        });
    }

    pub(super) fn start_node_alarms(
        &self,
        thread: &Arc<ActorThread>,
        recorder: &Recorder,
        engine: &EngineSettings,
        flags: &RefusalConditions,
    ) -> Address<NodeAlarmsActor> {
        let inbox = self.register("node-alarms", thread);
        let context = NodeAlarmsContext {
            store: self.store.clone(),
            recorder: recorder.clone(),
            standing_alarms: self.standing_alarms.clone(),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
            disk: self.disk.clone(),
            supervisor: self.supervisor.clone(),
            journal_failed: flags.journal_failed.clone(),
            stuck_after: engine.stuck_after,
            warn_free_share: engine.warn_free_share,
        };
        self.supervisor.start(&inbox, move |incarnation| NodeAlarmsActor::new(context.clone(), incarnation));
        inbox.address(MAX_NODE_COMMANDS)
    }

    /// Returns the pool, after starting the configured number of workers on a thread each.
    pub(super) fn start_inference(&self, engine: &EngineSettings) -> Pool {
        let role =
            |n| ActorIdentity { id: format!("inference/{n}"), kind: "inference", stage: "inference", subject: None };
        let workers: Vec<Inbox<InferenceActor>> = (0..engine.inference_workers)
            .map(|n| self.supervisor.register(role(n), &self.supervisor.start_thread()))
            .collect();
        let default = self.catalog.default_kind().detection.clone();
        let any = || self.catalog.all().into_iter().find_map(|kind| kind.detection);
        let batch = match (engine.max_batch_windows, default.or_else(any)) {
            (Some(batch), _) => batch.get(),
            (None, Some(detection)) => best_batch(&detection.model),
            (None, None) => DEFAULT_BATCH,
        };
        let limits = QueueLimits { batch, per_pump: engine.queued_windows_per_pump, total: engine.queued_windows };
        let addresses =
            workers.iter().map(|worker| (worker.address(WAKE_UP_CAPACITY).into(), worker.slot().clone())).collect();
        let pool = Pool::new(limits, self.counters.clone(), addresses);
        for (number, worker) in workers.iter().enumerate() {
            let (pool, counters) = (pool.clone(), self.counters.clone());
            self.supervisor.start(worker, move |incarnation| {
                InferenceActor::new(number, pool.clone(), counters.clone(), incarnation)
            });
        }
        pool
    }

    pub(super) fn start_commissioning(&self) -> Address<CommissioningActor> {
        let commissioner = Arc::new(Commissioner { store: self.store.clone(), clock: self.clock.clone() });
        let (inbox, counters) = (self.register_on_own_thread("commissioning"), self.counters.clone());
        self.supervisor.start(&inbox, move |_| CommissioningActor {
            commissioner: commissioner.clone(),
            counters: counters.clone(),
        });
        inbox.address(MAX_QUEUED_JOBS)
    }

    /// Registers the ingress. Its inbox exists before the ingress starts, because the pumps need it.
    pub(super) fn register_ingress(&self) -> Inbox<IngressActor> {
        // The API's id of the ingress is that of an earlier version.
        self.register_on_own_thread("gate")
    }

    /// Starts an actor for every registered pump.
    pub(super) fn start_pumps(&self, context: &Arc<PumpContext>, max_in_flight: usize) -> SharedPumpTable {
        let start = |pump: PumpId| {
            let kind = self.catalog.of(&pump);
            let handle = start_pump(context, &pump, kind, None, PumpInFlight::new(max_in_flight));
            (pump, handle)
        };
        SharedPumpTable::new(self.store.pumps().into_iter().map(|record| start(record.id)).collect())
    }

    /// Starts the ingress. Returns its address, and the limit of readings in flight.
    pub(super) fn start_ingress(
        &self,
        inbox: &Inbox<IngressActor>,
        settings: IngestSettings,
        context: &Arc<PumpContext>,
        pumps: &SharedPumpTable,
        flags: &RefusalConditions,
    ) -> (Address<IngressActor>, InFlightLimit) {
        let in_flight = InFlightLimit::new(settings.max_in_flight_readings, settings.max_backlog_readings);
        let rate = Rate { burst: settings.new_pumps_burst, per_minute: settings.new_pumps_per_minute };
        let parts = IngressParts {
            settings,
            catalog: self.catalog.clone(),
            context: context.clone(),
            pumps: pumps.clone(),
            registration_limiter: Arc::new(Mutex::new(RegistrationLimiter::new(rate, Instant::now()))),
            in_flight: in_flight.clone(),
            flags: flags.clone(),
        };
        self.supervisor.start(inbox, move |_| IngressActor::new(parts.clone()));
        (inbox.address(MAX_WAITING_POSTS), in_flight)
    }

    /// Registers an actor with `name` as its id, kind and stage.
    fn register<A: Actor<Context = Context<A>>>(&self, name: &'static str, thread: &Arc<ActorThread>) -> Inbox<A> {
        self.supervisor.register(ActorIdentity { id: name.into(), kind: name, stage: name, subject: None }, thread)
    }

    /// Registers an actor with `name` as its id, kind and stage, on a thread of its own.
    fn register_on_own_thread<A: Actor<Context = Context<A>>>(&self, name: &'static str) -> Inbox<A> {
        self.register(name, &self.supervisor.start_thread())
    }
}
