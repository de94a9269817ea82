//! Starts the engine's actors one by one, each with its place under the supervisor.
//!
//! What an actor keeps beyond its own life is made here, outside of its factory. Deliberately absent: their order and
//! what they are told of each other; that is the engine's.

use std::{sync::Arc, time::Instant};

use actix::{Actor, Context};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use volute_data::{Retention, Store};
use volute_plant::{Clock, PumpId};
use volute_runtime::{ActorThread, Inbox, Mailbox, Role, Supervisor};

use crate::{
    catalog::Catalog,
    commissioning::{Commissioner, CommissioningActor, JOBS},
    counters::Counters,
    inference::{
        batch_size::best_batch,
        dispatch::Limits,
        pool::{CALLS, Pool},
        worker::InferenceActor,
    },
    ingress::{
        IngressActor, IngressParts, ShutdownFlags,
        directory::PumpDirectory,
        in_flight::{InFlightLimit, LARGEST_POST, PumpInFlight},
        newcomers::{Newcomers, Rate},
    },
    keeper::{Disk, KeeperActor},
    live::{LiveActor, frames::Frame},
    maintenance::MaintenanceActor,
    metrics::MetricsActor,
    node_clock::NodeClock,
    pump::{context::PumpContext, launch::start_pump},
    recorder::{Recorder, RecorderActor, Writer},
    refusals::SharedRefusals,
    settings::{EngineSettings, IngestSettings, LiveSettings},
};

/// Posts that may wait at the ingress.
const POSTS: usize = 4096;
/// Windows in one batch where there is no model to measure which is best.
const UNMEASURED_BATCH: usize = 32;
/// Messages that may wait for the live feed, for maintenance and for the recorder's results.
const RESULTS: usize = 65_536;

/// What all actors stand on.
pub(super) struct EngineBuilder {
    pub supervisor: Supervisor,
    pub catalog: Catalog,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub disk: Disk,
    pub refusals: SharedRefusals,
}

impl EngineBuilder {
    pub(super) fn recorder(&self, engine: &EngineSettings, max_in_flight: usize, flags: &ShutdownFlags) -> Recorder {
        let inbox = self.alone("recorder");
        let writer = Writer {
            store: self.store.clone(),
            counters: self.counters.clone(),
            clock: self.clock.clone(),
            max_rows: engine.max_batch_readings,
            failed: flags.journal_failed.clone(),
            pending: Arc::default(),
            written: inbox.mailbox(1).into(),
            shown: inbox.slot().clone(),
        };
        let linger = engine.linger;
        self.supervisor
            .start(&inbox, move |incarnation| RecorderActor::new(writer.clone(), linger, incarnation.number));
        Recorder { readings: inbox.mailbox(max_in_flight + LARGEST_POST), results: inbox.mailbox(RESULTS) }
    }

    pub(super) fn keeper(&self, retention: Retention, warn_free_share: f64, clock: NodeClock) -> Mailbox<KeeperActor> {
        let inbox = self.alone("keeper");
        let (store, counters, disk) = (self.store.clone(), self.counters.clone(), self.disk.clone());
        self.supervisor.start(&inbox, move |incarnation| {
            KeeperActor::new(
                store.clone(),
                clock.clone(),
                counters.clone(),
                retention,
                warn_free_share,
                disk.clone(),
                incarnation.slot(),
            )
        });
        inbox.mailbox(1)
    }

    pub(super) fn live(
        &self,
        thread: &Arc<ActorThread>,
        stale_after_intervals: i64,
        settings: LiveSettings,
        listeners: &broadcast::Sender<Arc<Frame>>,
    ) -> Mailbox<LiveActor> {
        let inbox = self.single("live", thread);
        let (catalog, clock, listeners) = (self.catalog.clone(), self.clock.clone(), listeners.clone());
        self.supervisor.start(&inbox, move |_| {
            LiveActor::new(catalog.clone(), clock.clone(), stale_after_intervals, &settings, listeners.clone())
        });
        inbox.mailbox(RESULTS)
    }

    pub(super) fn maintenance(&self, thread: &Arc<ActorThread>, recorder: &Recorder) -> Mailbox<MaintenanceActor> {
        let inbox = self.single("maintenance", thread);
        let (catalog, store, counters, recorder) =
            (self.catalog.clone(), self.store.clone(), self.counters.clone(), recorder.clone());
        self.supervisor.start(&inbox, move |incarnation| {
            let (catalog, store, counters) = (catalog.clone(), store.clone(), counters.clone());
            MaintenanceActor::new(catalog, store, recorder.clone(), counters, incarnation)
        });
        inbox.mailbox(RESULTS)
    }

    pub(super) fn metrics(&self, thread: &Arc<ActorThread>, recorder: &Recorder) {
        let (clock, counters, store, disk) =
            (self.clock.clone(), self.counters.clone(), self.store.clone(), self.disk.clone());
        let (recorder, refusals) = (recorder.clone(), self.refusals.clone());
        self.supervisor.start(&self.single("metrics", thread), move |incarnation| MetricsActor {
            clock: clock.clone(),
            counters: counters.clone(),
            recorder: recorder.clone(),
            store: store.clone(),
            disk: disk.clone(),
            refusals: refusals.clone(),
            before: None,
            slot: incarnation.slot(),
        });
    }

    /// The pool, and a worker on a thread of its own for each that is configured.
    pub(super) fn inference(&self, engine: &EngineSettings) -> Pool {
        let role = |n| Role { id: format!("inference/{n}"), kind: "inference", stage: "inference", subject: None };
        let workers: Vec<Inbox<InferenceActor>> = (0..engine.inference_workers)
            .map(|n| self.supervisor.register(role(n), &self.supervisor.thread()))
            .collect();
        let default = self.catalog.default_kind().detection.clone();
        let any = || self.catalog.all().into_iter().find_map(|kind| kind.detection);
        let batch = match (engine.max_batch_windows, default.or_else(any)) {
            (Some(batch), _) => batch.get(),
            (None, Some(detection)) => best_batch(&detection.model),
            (None, None) => UNMEASURED_BATCH,
        };
        let limits = Limits { batch, per_pump: engine.queued_windows_per_pump, in_all: engine.queued_windows };
        let calls = workers.iter().map(|worker| (worker.mailbox(CALLS).into(), worker.slot().clone())).collect();
        let pool = Pool::new(limits, self.counters.clone(), calls);
        for (number, worker) in workers.iter().enumerate() {
            let (pool, counters) = (pool.clone(), self.counters.clone());
            self.supervisor.start(worker, move |incarnation| {
                InferenceActor::new(number, pool.clone(), counters.clone(), incarnation)
            });
        }
        pool
    }

    pub(super) fn commissioning(&self) -> Mailbox<CommissioningActor> {
        let commissioner = Arc::new(Commissioner { store: self.store.clone(), clock: self.clock.clone() });
        let (inbox, counters) = (self.alone("commissioning"), self.counters.clone());
        self.supervisor.start(&inbox, move |_| CommissioningActor {
            commissioner: commissioner.clone(),
            counters: counters.clone(),
        });
        inbox.mailbox(JOBS)
    }

    /// Where the ingress's messages wait; the pumps have to know it before the ingress is there.
    pub(super) fn ingress_inbox(&self) -> Inbox<IngressActor> {
        self.alone("gate")
    }

    /// An actor for every pump that is registered already.
    pub(super) fn pumps(&self, context: &Arc<PumpContext>, burst: usize) -> PumpDirectory {
        let start = |pump: PumpId| {
            let kind = self.catalog.of(&pump);
            let handle = start_pump(context, &pump, kind, None, PumpInFlight::new(burst));
            (pump, handle)
        };
        PumpDirectory::new(self.store.pumps().into_iter().map(|record| start(record.id)).collect())
    }

    /// The ingress, with the room for readings on their way.
    pub(super) fn ingress(
        &self,
        inbox: &Inbox<IngressActor>,
        settings: IngestSettings,
        context: &Arc<PumpContext>,
        pumps: &PumpDirectory,
        flags: &ShutdownFlags,
    ) -> (Mailbox<IngressActor>, InFlightLimit) {
        let in_flight = InFlightLimit::new(settings.max_in_flight_readings, settings.max_backlog_readings);
        let rate = Rate { burst: settings.new_pumps_burst, per_minute: settings.new_pumps_per_minute };
        let parts = IngressParts {
            settings,
            catalog: self.catalog.clone(),
            context: context.clone(),
            pumps: pumps.clone(),
            newcomers: Arc::new(Mutex::new(Newcomers::new(rate, Instant::now()))),
            in_flight: in_flight.clone(),
            flags: flags.clone(),
        };
        self.supervisor.start(inbox, move |_| IngressActor::new(parts.clone()));
        (inbox.mailbox(POSTS), in_flight)
    }

    /// An actor that is a stage by itself.
    fn single<A: Actor<Context = Context<A>>>(&self, name: &'static str, thread: &Arc<ActorThread>) -> Inbox<A> {
        self.supervisor.register(Role { id: name.into(), kind: name, stage: name, subject: None }, thread)
    }

    /// The same, on a thread of its own.
    fn alone<A: Actor<Context = Context<A>>>(&self, name: &'static str) -> Inbox<A> {
        self.single(name, &self.supervisor.thread())
    }
}
