//! Starts the engine's actors one by one, each with its place under the supervisor.
//!
//! What an actor keeps beyond its own life is made here, outside of its factory. Deliberately absent: their order and
//! what they are told of each other; that is the engine's.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use actix::{Actor, Context};
use tokio::sync::broadcast;
use volute_anomaly::{Commissioning, Model};
use volute_data::{Retention, Store};
use volute_plant::{Clock, Profile, PumpId};
use volute_runtime::{ActorThread, Inbox, Mailbox, Role, Supervisor};

use crate::{
    commissioning::{CommissioningActor, Judging, LESSONS, School},
    counters::Counters,
    gate::{Doors, GateActor, LARGEST_POST, Newcomers, PumpLimit, Pumps, Rate, Room},
    inference::{InferenceActor, Limits, Pool, best_batch},
    keeper::{Disk, KeeperActor},
    live::{Frame, LiveActor},
    maintenance::MaintenanceActor,
    metrics::MetricsActor,
    node_clock::NodeClock,
    pump::PumpStaff,
    recorder::{Recorder, RecorderActor, Writer},
    refusals::SharedRefusals,
    settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings},
};

/// Posts that may wait at the gate.
const GATE_POSTS: usize = 4096;
/// Messages that may wait for the live feed, for maintenance and for the recorder's results.
const RESULTS: usize = 65_536;

/// What all actors stand on.
pub(super) struct Ground {
    pub supervisor: Supervisor,
    pub profile: Profile,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub disk: Disk,
    pub refusals: SharedRefusals,
}

impl Ground {
    pub(super) fn recorder(&self, engine: &EngineSettings, max_in_flight: usize, doors: &Doors) -> Recorder {
        let inbox = self.alone("recorder");
        let writer = Writer {
            store: self.store.clone(),
            counters: self.counters.clone(),
            clock: self.clock.clone(),
            max_rows: engine.max_batch_readings,
            failed: doors.journal_failed.clone(),
            pending: Arc::default(),
            written: inbox.mailbox(1),
            shown: inbox.slot().clone(),
        };
        let linger = engine.linger;
        self.supervisor
            .start(&inbox, move |incarnation| RecorderActor::new(writer.clone(), linger, incarnation.number));
        Recorder { readings: inbox.mailbox(max_in_flight + LARGEST_POST), results: inbox.mailbox(RESULTS) }
    }

    pub(super) fn keeper(&self, retention: Retention, clock: NodeClock) -> Mailbox<KeeperActor> {
        let inbox = self.alone("keeper");
        let (store, counters, disk) = (self.store.clone(), self.counters.clone(), self.disk.clone());
        self.supervisor.start(&inbox, move |incarnation| {
            KeeperActor::new(
                store.clone(),
                clock.clone(),
                counters.clone(),
                retention,
                disk.clone(),
                incarnation.slot(),
            )
        });
        inbox.mailbox(1)
    }

    pub(super) fn live(
        &self,
        home: &Arc<ActorThread>,
        stale_after_intervals: i64,
        settings: LiveSettings,
        listeners: &broadcast::Sender<Arc<Frame>>,
    ) -> Mailbox<LiveActor> {
        let inbox = self.single("live", home);
        let (profile, clock, listeners) = (self.profile.clone(), self.clock.clone(), listeners.clone());
        self.supervisor.start(&inbox, move |_| {
            LiveActor::new(profile.clone(), clock.clone(), stale_after_intervals, &settings, listeners.clone())
        });
        inbox.mailbox(RESULTS)
    }

    pub(super) fn maintenance(&self, home: &Arc<ActorThread>, recorder: &Recorder) -> Mailbox<MaintenanceActor> {
        let inbox = self.single("maintenance", home);
        let (profile, store, counters, recorder) =
            (self.profile.clone(), self.store.clone(), self.counters.clone(), recorder.clone());
        self.supervisor.start(&inbox, move |incarnation| {
            let (profile, store, counters) = (profile.clone(), store.clone(), counters.clone());
            MaintenanceActor::new(profile, store, recorder.clone(), counters, incarnation)
        });
        inbox.mailbox(RESULTS)
    }

    pub(super) fn metrics(&self, home: &Arc<ActorThread>, recorder: &Recorder) {
        let (clock, counters, store, disk) =
            (self.clock.clone(), self.counters.clone(), self.store.clone(), self.disk.clone());
        let (recorder, refusals) = (recorder.clone(), self.refusals.clone());
        self.supervisor.start(&self.single("metrics", home), move |incarnation| MetricsActor {
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

    /// The pool, and a worker on a thread of its own for each that is set, if there is a model.
    pub(super) fn inference(&self, engine: &EngineSettings, model: Option<&Model>) -> Pool {
        let role = |n| Role { id: format!("inference/{n}"), kind: "inference", stage: "inference", subject: None };
        let workers: Vec<Inbox<InferenceActor>> = (0..model.map_or(0, |_| engine.inference_workers))
            .map(|n| self.supervisor.register(role(n), &self.supervisor.thread()))
            .collect();
        let batch = match (engine.max_batch_windows, model) {
            (Some(batch), _) => batch.get(),
            (None, Some(model)) => best_batch(model),
            (None, None) => 1,
        };
        let limits = Limits { batch, per_pump: engine.queued_windows_per_pump, in_all: engine.queued_windows };
        let pool = Pool::new(limits, self.counters.clone(), &workers);
        for (number, (worker, model)) in workers.iter().zip(model.into_iter().cycle()).enumerate() {
            let (model, pool, counters) = (model.clone(), pool.clone(), self.counters.clone());
            self.supervisor.start(worker, move |incarnation| {
                InferenceActor::new(number, &model, pool.clone(), counters.clone(), incarnation)
            });
        }
        pool
    }

    pub(super) fn commissioning(&self, model: Model, settings: &CommissioningSettings) -> Judging {
        let how = Commissioning { detector: settings.detector, ..model.manifest().recipe.commissioning() };
        let running_ms = i64::try_from(settings.running.as_millis()).unwrap_or(i64::MAX);
        let (profile, store, clock) = (self.profile.clone(), self.store.clone(), self.clock.clone());
        let school = Arc::new(School { profile, model: model.clone(), how, store, clock });
        let (inbox, counters) = (self.alone("commissioning"), self.counters.clone());
        self.supervisor
            .start(&inbox, move |_| CommissioningActor { school: school.clone(), counters: counters.clone() });
        Judging { model, running_ms, lessons: inbox.mailbox(LESSONS) }
    }

    /// Where the gate's messages wait; the pumps have to know it before the gate is there.
    pub(super) fn gate_inbox(&self) -> Inbox<GateActor> {
        self.alone("gate")
    }

    /// An actor for every pump that is registered already.
    pub(super) fn pumps(&self, staff: &Arc<PumpStaff>, stored: Vec<PumpId>, burst: usize) -> Pumps {
        let start = |pump| {
            let handle = staff.start_pump(&pump, None, PumpLimit::new(burst));
            (pump, handle)
        };
        Pumps::new(stored.into_iter().map(start).collect())
    }

    /// The gate, with the room for readings on their way.
    pub(super) fn gate(
        &self,
        inbox: &Inbox<GateActor>,
        settings: IngestSettings,
        staff: &Arc<PumpStaff>,
        pumps: &Pumps,
        doors: &Doors,
    ) -> (Mailbox<GateActor>, Room) {
        let room = Room::new(settings.max_in_flight_readings, settings.max_backlog_readings);
        let of_node = room.clone();
        let rate = Rate { burst: settings.new_pumps_burst, per_minute: settings.new_pumps_per_minute };
        let newcomers = Arc::new(Mutex::new(Newcomers::new(rate, Instant::now())));
        let (staff, pumps, doors) = (staff.clone(), pumps.clone(), doors.clone());
        self.supervisor.start(inbox, move |_| {
            let (pumps, newcomers) = (pumps.clone(), newcomers.clone());
            GateActor::new(settings.clone(), staff.clone(), pumps, newcomers, room.clone(), doors.clone())
        });
        (inbox.mailbox(GATE_POSTS), of_node)
    }

    /// An actor that is a stage by itself.
    fn single<A: Actor<Context = Context<A>>>(&self, name: &'static str, home: &Arc<ActorThread>) -> Inbox<A> {
        self.supervisor.register(Role { id: name.into(), kind: name, stage: name, subject: None }, home)
    }

    /// The same, on a thread of its own.
    fn alone<A: Actor<Context = Context<A>>>(&self, name: &'static str) -> Inbox<A> {
        self.single(name, &self.supervisor.thread())
    }
}
