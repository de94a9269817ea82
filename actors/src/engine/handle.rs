//! How the web, the control socket and the demo reach a running engine.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{broadcast, oneshot};
use volute_anomaly::Model;
use volute_data::{AuditEntry, Document, Retention, Store, StoreError};
use volute_plant::{Clock, ClockState, Draft, Profile, PumpId, Timestamp};
use volute_runtime::{ActorReport, DeadLetter, Mailbox, Supervisor, TrySendError};

use crate::{
    catalog::Catalog,
    counters::{Counters, LatencyQuantiles, Totals},
    disk_forecast::DiskOutlook,
    ingress::{IngressActor, ShutdownFlags, directory::PumpDirectory, in_flight::InFlightLimit},
    keeper::Disk,
    kind::{KindParts, PumpKind},
    live::{LiveActor, frames::Frame, last_shown::LastShown, snapshot::LivePump},
    protocol::{ingress::IngestRequest, live::AskLive, recorder::RecordRow},
    pump::context::PumpContext,
    receipt::{Queue, Receipt, Refusal},
    recorder::Recorder,
    refusals::SharedRefusals,
    settings::CommissioningSettings,
};

/// Among so many of a pump's newest readings the one that was shown last is looked for: more than come in the time within
/// which a reading is current, at one a second.
const LOOKED_THROUGH: usize = 100;
/// How many actors that are out of order are named in the node's health.
const FAILED_SHOWN: usize = 5;
/// How long an order's answer waits for its note to be durable.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// Whether the node can take readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// It can.
    pub ready: bool,
    /// If not, why not; if it can, what else is out of order.
    pub reason: Option<String>,
}

/// How the web reaches the engine. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct EngineHandle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) supervisor: Supervisor,
    pub(crate) catalog: Catalog,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) default_pump: PumpId,
    pub(crate) ingress: Mailbox<IngressActor>,
    pub(crate) context: Arc<PumpContext>,
    pub(crate) pumps: PumpDirectory,
    /// Readings of one pump that may be on their way.
    pub(crate) burst: usize,
    /// For readings on their way.
    pub(crate) in_flight: InFlightLimit,
    pub(crate) recorder: Recorder,
    pub(crate) live: Mailbox<LiveActor>,
    pub(crate) listeners: broadcast::Sender<Arc<Frame>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) flags: ShutdownFlags,
    pub(crate) disk: Disk,
    pub(crate) refusals: SharedRefusals,
    pub(crate) retention: Retention,
    pub(crate) commissioning: CommissioningSettings,
    /// How long something may be stuck before it is said to be.
    pub(crate) wedged_after: Duration,
    /// A pump that posts more often is stale after this many intervals of its profile.
    pub(crate) stale_after_intervals: i64,
}

/// A profile that an item names and that its pump is not of, or that this node does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitProfile {
    /// What the item may name.
    pub allowed: String,
    /// Why not this one.
    pub why: String,
}

impl EngineHandle {
    /// The profile of pumps that name none.
    pub fn profile(&self) -> &Profile {
        &self.0.catalog.default_kind().profile
    }

    /// The profile of a pump that is known; of any other that of pumps that name none.
    pub fn profile_of(&self, pump: &PumpId) -> Profile {
        self.kind_of(pump).profile
    }

    /// The profile by which an item is read that names its pump's profile, or none, and its pump, or none: the default pump's.
    ///
    /// A pump that is known has its profile. One that is not has what it is named with, or else the default one.
    pub fn profile_named(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        let pump = pump.unwrap_or(&self.0.default_pump);
        let Inner { pumps, catalog, .. } = &*self.0;
        let known = pumps.kind_of(pump).map(|kind| kind.profile);
        match (known, named) {
            (Some(profile), Some(named)) if named != profile.name() => {
                let allowed = profile.name().to_owned();
                let why = format!("{pump} is of the profile {allowed}, and another one is assigned by an order");
                Err(UnfitProfile { allowed, why })
            }
            (Some(profile), _) => Ok(profile),
            (None, None) => Ok(catalog.default_kind().profile.clone()),
            (None, Some(named)) => match catalog.get(named) {
                Some(kind) => Ok(kind.profile),
                None => {
                    let (allowed, why) = (catalog.names().join(", "), format!("this node has no profile {named}"));
                    Err(UnfitProfile { allowed, why })
                }
            },
        }
    }

    /// The profile of a pump, and what scores its windows; of a pump that is not known, those of pumps that name none.
    pub fn kind_parts_of(&self, pump: &PumpId) -> KindParts {
        self.kind_of(pump).into()
    }

    /// The kinds of pumps that this node watches, by name.
    pub fn kinds(&self) -> Vec<KindParts> {
        self.0.catalog.all().into_iter().map(KindParts::from).collect()
    }

    /// Adds a kind of pump, or replaces the one of the same profile for pumps that come from now on and after a restart.
    pub fn add_kind(&self, parts: KindParts) {
        self.0.catalog.put(parts.into_kind(&self.0.commissioning));
    }

    pub(crate) fn kind_of(&self, pump: &PumpId) -> PumpKind {
        self.0.pumps.kind_of(pump).unwrap_or_else(|| self.0.catalog.of(pump))
    }

    /// What is at rest.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What scores windows of pumps that name no profile.
    pub fn model(&self) -> Option<&Model> {
        self.0.catalog.default_kind().detection.as_ref().map(|detection| &detection.model)
    }

    /// Whose readings those without a `pump_id` are.
    pub fn default_pump(&self) -> &PumpId {
        &self.0.default_pump
    }

    /// Takes a post in: one entry per item, in order; none for one of which no draft could be made, which is counted. The
    /// answer comes when all that was taken is durable. A client may register so many new pumps; none is the node itself,
    /// which may register any number.
    pub async fn ingest(&self, items: Vec<Option<Draft>>, client: Option<IpAddr>) -> Result<Receipt, Refusal> {
        let (reply, answer) = oneshot::channel();
        let post = IngestRequest { items, received: self.0.clock.now(), since: Instant::now(), client, reply };
        match self.0.ingress.try_send(post) {
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
        self.0.flags.closing.load(Ordering::Relaxed)
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
        let stale_after_ms = self.0.stale_after_intervals * self.profile_of(pump).interval_ms();
        Ok(LastShown::of(&readings, &self.0.context.times, stale_after_ms))
    }

    /// How long what is stored is kept.
    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// Refuses, and counts that, where there is no room for another reading.
    pub fn check_room(&self) -> Result<(), Refusal> {
        if !self.0.in_flight.is_full() || self.is_closing() {
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
        if self.0.flags.journal_failed.load(Ordering::Relaxed) {
            return not_ready("the journal has failed; the log says why; restart the node");
        }
        let (now, clock) = self.0.flags.clock.look();
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
        self.disk_is_silent().into_iter().chain(failed).chain(self.0.flags.clock.trouble()).collect()
    }

    /// A person says that the node's clock is right. Returns its time, or why it cannot be.
    pub fn confirm_clock(&self) -> Result<Timestamp, String> {
        self.0.flags.clock.confirm()
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

/// That these actors are.
fn out_of_order(failed: &[String]) -> Option<String> {
    let shown = failed.iter().take(FAILED_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if failed.len() > FAILED_SHOWN { " and others" } else { "" };
    let reason = format!("out of order after too many failures: {shown}{more}; see /api/actors and the log");
    (!failed.is_empty()).then_some(reason)
}
