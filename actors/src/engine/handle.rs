//! The engine's interface for the web API, the control socket and the demo: ingestion, live state, health, actors and
//! audit.
//!
//! Commands to pumps are in the modules of their subjects: `commissioning::commands`, `assignment`, `naming` and
//! `removal`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{broadcast, oneshot};
use volute_anomaly::Model;
use volute_data::{AuditEntry, Document, Retention, Store, StoreError};
use volute_plant::{Clock, ClockState, Draft, Profile, PumpId, Timestamp};
use volute_runtime::{ActorReport, Address, DeadLetter, Supervisor, TrySendError};

use crate::{
    catalog::Catalog,
    counters::{Counters, LatencyQuantiles, Totals},
    disk_forecast::DiskOutlook,
    flusher::SharedDiskOutlook,
    ingress::{IngressActor, RefusalConditions, in_flight::InFlightLimit, pump_table::SharedPumpTable},
    kind::{KindParts, PumpKind},
    live::{LiveActor, frames::Frame, last_shown::LastShown, snapshot::LivePump},
    node_alarms::NodeAlarmsActor,
    notifier::status::{NotificationStatus, SharedNotificationStatus},
    protocol::{
        ingress::{IngestRequest, PostSender},
        live::GetLivePumps,
        recorder::RecordRow,
    },
    pump::context::PumpContext,
    receipt::{IngestError, LONG_RETRY_AFTER_S, Queue, Receipt},
    recorder::Recorder,
    refused_commands::SharedRefusals,
    settings::CommissioningSettings,
};

/// How many of a pump's newest readings are searched for the one that was shown last. At one reading per second, fewer
/// arrive while a reading is current (60 s).
const LAST_SHOWN_LOOKBACK: usize = 100;
/// How many failed actors the node's health lists.
const MAX_FAILED_LISTED: usize = 5;
/// How many damaged profiles the node's health lists.
const MAX_DAMAGED_LISTED: usize = 3;
/// How long a command's response waits for its audit entry to be durable.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether the node can accept readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the node can accept readings.
    pub ready: bool,
    /// Why the node is not ready. If it is ready, which other part has failed; none if none has.
    pub reason: Option<String>,
}

/// A handle to the engine. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct EngineHandle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) supervisor: Supervisor,
    pub(crate) catalog: Catalog,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) default_pump: PumpId,
    pub(crate) ingress: Address<IngressActor>,
    pub(crate) context: Arc<PumpContext>,
    pub(crate) pumps: SharedPumpTable,
    /// The maximum number of readings of one pump in flight.
    pub(crate) max_in_flight: usize,
    /// The limit of readings of all pumps in flight.
    pub(crate) in_flight: InFlightLimit,
    pub(crate) recorder: Recorder,
    pub(crate) live: Address<LiveActor>,
    pub(crate) node_alarms: Address<NodeAlarmsActor>,
    pub(crate) subscribers: broadcast::Sender<Arc<Frame>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) flags: RefusalConditions,
    pub(crate) disk: SharedDiskOutlook,
    pub(crate) refusals: SharedRefusals,
    pub(crate) notification_status: SharedNotificationStatus,
    pub(crate) retention: Retention,
    pub(crate) commissioning: CommissioningSettings,
    /// Locked while a kind, or the kind of a pump, is changed.
    pub(crate) kind_changes: tokio::sync::Mutex<()>,
    /// How long a write of the journal may take before the disk is reported as stuck.
    pub(crate) stuck_after: Duration,
    /// After how many intervals of its profile a pump is stale, unless it posts less often.
    pub(crate) stale_after_intervals: i64,
}

/// An error about the profile that an item names: its pump has another profile, or the node does not have it or cannot
/// use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitProfile {
    /// What the item may contain instead.
    pub allowed: String,
    /// Why the item cannot have this profile.
    pub reason: String,
    /// Seconds after which the item may be posted again; none if the rejection is final.
    pub retry_after_s: Option<u64>,
}

impl EngineHandle {
    /// Returns the state of the notifications; none if there are none.
    pub fn notifications(&self) -> Option<NotificationStatus> {
        self.0.notification_status.get()
    }

    fn notification_problem(&self) -> Option<String> {
        self.notifications()?.problem(self.0.clock.now())
    }

    /// Returns the default profile.
    pub fn profile(&self) -> &Profile {
        &self.0.catalog.default_kind().profile
    }

    /// Returns the profile of a known pump, or the default profile.
    pub fn profile_of(&self, pump: &PumpId) -> Profile {
        self.kind_of(pump).profile
    }

    /// Returns whether the pump is known: it has an actor, or its readings are stored.
    pub fn knows(&self, pump: &PumpId) -> bool {
        self.kind_of_known(pump).is_some()
    }

    /// Returns the kind of a pump that has an actor or is registered. A registered pump has no actor while its actor is
    /// being replaced.
    fn kind_of_known(&self, pump: &PumpId) -> Option<PumpKind> {
        self.0.pumps.kind_of(pump).or_else(|| self.0.catalog.of_registered(pump))
    }

    /// Returns the profile by which an item is parsed, given the pump and the profile that it names. An item that names
    /// no pump belongs to the default pump. For a known pump, returns its profile. For an unknown pump, returns the
    /// profile with the given name, or else the default.
    pub fn profile_named(&self, pump: Option<&PumpId>, named: Option<&str>) -> Result<Profile, UnfitProfile> {
        let pump = pump.unwrap_or(&self.0.default_pump);
        let catalog = &self.0.catalog;
        let known = self.kind_of_known(pump).map(|kind| kind.profile);
        match (known, named) {
            (Some(profile), Some(named)) if named != profile.name() => {
                let allowed = profile.name().to_owned();
                let reason = format!("{pump} has the profile {allowed}; only a command can assign another");
                Err(UnfitProfile { allowed, reason, retry_after_s: None })
            }
            (Some(profile), _) => Ok(profile),
            (None, None) => Ok(catalog.default_kind().profile.clone()),
            (None, Some(named)) => match catalog.get(named) {
                Some(PumpKind { profile, damage: Some(reason), .. }) if profile.channels().is_empty() => {
                    let allowed = "this item once more, when the profile is added again".to_owned();
                    let reason = format!("the profile {named} cannot be used: {reason}");
                    Err(UnfitProfile { allowed, reason, retry_after_s: Some(LONG_RETRY_AFTER_S) })
                }
                Some(kind) => Ok(kind.profile),
                None => {
                    let (allowed, reason) = (catalog.names().join(", "), format!("this node has no profile {named}"));
                    Err(UnfitProfile { allowed, reason, retry_after_s: None })
                }
            },
        }
    }

    /// Returns the profile of a pump and the model that scores its windows. For an unknown pump, returns the default
    /// ones.
    pub fn kind_parts_of(&self, pump: &PumpId) -> KindParts {
        self.kind_of(pump).into()
    }

    /// Returns the node's kinds of pumps, ordered by name.
    pub fn kinds(&self) -> Vec<KindParts> {
        self.0.catalog.all().into_iter().map(KindParts::from).collect()
    }

    pub(crate) fn kind_of(&self, pump: &PumpId) -> PumpKind {
        self.kind_of_known(pump).unwrap_or_else(|| self.0.catalog.default_kind().clone())
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Returns the model of the default profile.
    pub fn model(&self) -> Option<&Model> {
        self.0.catalog.default_kind().detection.as_ref().map(|detection| &detection.model)
    }

    /// Returns the pump of readings without a `pump_id`.
    pub fn default_pump(&self) -> &PumpId {
        &self.0.default_pump
    }

    /// Ingests a post, with one entry per item, in order. An entry is none if the item could not be parsed; such an
    /// item is only counted. Returns once all accepted items are durable.
    pub async fn ingest(&self, items: Vec<Option<Draft>>, sender: PostSender) -> Result<Receipt, IngestError> {
        let (reply, result) = oneshot::channel();
        let post = IngestRequest { items, received: self.0.clock.now(), posted_at: Instant::now(), sender, reply };
        match self.0.ingress.try_send(post) {
            Ok(()) => result.await.unwrap_or_else(|_| Err(self.no_reply())),
            Err(TrySendError::Full(_)) => {
                let full = IngestError::Busy { queue: Queue::Ingress, retry_after_s: 1 };
                self.count_refusal(&full);
                Err(full)
            }
            Err(TrySendError::Closed) => Err(self.no_reply()),
        }
    }

    /// Returns the refusal for a post without a reply, because the ingress has failed or the node is stopping.
    fn no_reply(&self) -> IngestError {
        if self.is_closing() { IngestError::Stopping } else { IngestError::NotStored { retry_after_s: 1 } }
    }

    /// Returns whether the node is stopping.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.flags.closing.load(Ordering::Relaxed)
    }

    /// Returns the live state of one pump; none if it has sent nothing since the start.
    pub async fn live(&self, pump: &PumpId) -> Option<LivePump> {
        self.query_live(Some(pump.clone())).await.pop()
    }

    /// Returns the live state of every pump that has sent a reading since the start.
    pub async fn live_all(&self) -> Vec<LivePump> {
        self.query_live(None).await
    }

    /// Subscribes to frames from now on. A slow subscriber loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Frame>> {
        self.0.subscribers.subscribe()
    }

    /// Returns the node's time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Returns the totals since the start.
    pub fn totals(&self) -> Totals {
        self.0.counters.totals()
    }

    /// Returns the latest measurement of the disk; none before the first.
    pub fn disk(&self) -> Option<DiskOutlook> {
        self.0.disk.outlook()
    }

    /// Returns a pump's last state from its stored readings; none if no reading is stored. See [`LastShown`].
    pub async fn last_shown(&self, pump: &PumpId) -> Result<Option<LastShown>, StoreError> {
        let readings = self.0.store.latest_readings(pump, LAST_SHOWN_LOOKBACK).await?.rows;
        let stale_after_ms = self.0.stale_after_intervals * self.profile_of(pump).interval_ms();
        Ok(LastShown::of(&readings, &self.0.context.timestamp_limits, stale_after_ms))
    }

    /// Returns how long stored rows are kept.
    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// Returns a refusal, and counts it, if the limit of readings in flight is reached.
    pub fn check_capacity(&self) -> Result<(), IngestError> {
        if !self.0.in_flight.is_full() || self.is_closing() {
            return Ok(());
        }
        let full = IngestError::Busy { queue: Queue::Node, retry_after_s: 1 };
        self.count_refusal(&full);
        Err(full)
    }

    /// Counts a post that was refused before it reached the engine.
    pub fn count_refusal(&self, refusal: &IngestError) {
        self.0.counters.refuse(refusal);
    }

    /// Returns whether readings can be accepted, and what has failed.
    pub fn health(&self) -> Health {
        let not_ready = |reason: &str| Health { ready: false, reason: Some(reason.to_owned()) };
        if self.is_closing() {
            return not_ready("the node is stopping");
        }
        if self.0.flags.journal_failed.load(Ordering::Relaxed) {
            return not_ready("the journal has failed; the log says why; restart the node");
        }
        let (now, clock) = self.0.flags.clock.read();
        if let (ClockState::Behind { .. }, Some(reason)) = (clock, clock.reason(now)) {
            return not_ready(&reason);
        }
        let (failed, stall) = (self.0.supervisor.failed_actors(), self.journal_stall());
        // The ingress has the id `gate`.
        let ready = stall.is_none() && !failed.iter().any(|id| id == "gate" || id == "recorder");
        let reason = stall.or_else(|| failed_actors_message(&failed)).or_else(|| clock.reason(now));
        let reason = reason.or_else(|| self.damaged_profiles()).or_else(|| self.notification_problem());
        Health { ready, reason }
    }

    /// Returns the problems of the node, except those of its store, as text for users.
    pub fn health_issues(&self) -> Vec<String> {
        let failed = failed_actors_message(&self.0.supervisor.failed_actors());
        let clock = self.0.flags.clock.problem();
        let others = self.damaged_profiles().into_iter().chain(self.notification_problem());
        self.journal_stall().into_iter().chain(failed).chain(clock).chain(others).collect()
    }

    /// Returns a message about the profiles that cannot be read; none if all can.
    fn damaged_profiles(&self) -> Option<String> {
        let damaged = self.0.catalog.damaged();
        let listed: Vec<String> =
            damaged.iter().take(MAX_DAMAGED_LISTED).map(|(name, reason)| format!("{name} ({reason})")).collect();
        let more = if damaged.len() > MAX_DAMAGED_LISTED { " and others" } else { "" };
        (!damaged.is_empty()).then(|| {
            format!(
                "profiles cannot be used: {}{more}; the readings of their pumps are stored, and not evaluated; add them again \
                 with `volute profiles add`",
                listed.join(", ")
            )
        })
    }

    /// Accepts the node's time because an operator confirms it. Returns the time, or why it cannot be right.
    pub fn confirm_clock(&self) -> Result<Timestamp, String> {
        self.0.flags.clock.confirm()
    }

    /// Returns a message if the journal's thread is stuck in a disk operation. Unlike an actor's thread, it cannot be
    /// replaced.
    fn journal_stall(&self) -> Option<String> {
        let writing_for = self.0.store.journal_writing_for();
        let is_stuck = writing_for > self.0.stuck_after;
        is_stuck.then(|| format!("the journal's disk has not answered for {} s", writing_for.as_secs()))
    }

    /// Returns the quantiles of the latencies since the start.
    pub fn latencies(&self) -> [LatencyQuantiles; 6] {
        self.0.counters.latencies.quantiles()
    }

    /// Returns a report of each actor, ordered by id.
    pub fn actors(&self) -> Vec<ActorReport> {
        self.0.supervisor.reports()
    }

    /// Requests a restart of the actor, or of all actors of the stage, with this name. Returns their ids; none if there
    /// is no such actor or stage.
    pub fn restart_actors(&self, name: &str) -> Vec<String> {
        self.0.supervisor.restart(name)
    }

    /// Writes an operator's action, done or refused, to the log and to the audit log in the store.
    ///
    /// Returns once the entry is durable, or after 1 s if only the recorder has it; an entry in the recorder survives
    /// restarts and failures of actors. If the recorder's inbox is full, this waits for a permit. Repeated refusals
    /// are counted and written together ([`crate::refused_commands`]); for these it returns at once.
    pub async fn record_action(&self, entry: AuditEntry) {
        if let Some(entry) = self.count_refusal_of_action(entry) {
            self.write_action(entry).await;
        }
    }

    /// Counts a refused action. Returns the entry if it has to be written now, and any entry of an action that was
    /// carried out.
    pub fn count_refusal_of_action(&self, entry: AuditEntry) -> Option<AuditEntry> {
        let mut refusals = self.0.refusals.lock();
        let entry = refusals.record(entry, Instant::now());
        self.0.counters.merged_refusals.store(refusals.merged(), Ordering::Relaxed);
        entry
    }

    /// Writes an entry as [`EngineHandle::record_action`] does, without counting it.
    pub async fn write_action(&self, entry: AuditEntry) {
        let AuditEntry { at, who, action, object, outcome, detail, request, change, link: _ } = &entry;
        let (id, peer, before, after) = (&request.id, &request.peer, &change.before, &change.after);
        tracing::info!(
            target: "audit", %at, who, action, object, outcome, detail, id, peer, before, after, "operator action"
        );
        let (action, object) = (action.clone(), object.clone());
        if self.0.recorder.results.send(RecordRow::Document(Document::of(&entry))).await.is_err() {
            return tracing::error!(action, object, "the audit entry was not written: the node is stopping");
        }
        if tokio::time::timeout(AUDIT_TIMEOUT, self.0.recorder.wait_until_stored()).await.is_err() {
            tracing::warn!(action, object, "the audit entry is not durable yet");
        }
    }

    /// Returns the dead letters: messages on which an actor failed, newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.supervisor.dead_letters()
    }

    /// Returns once so many threads are abandoned that the process should be restarted.
    pub async fn unrecoverable(&self) {
        self.0.supervisor.unrecoverable().await;
    }

    async fn query_live(&self, pump: Option<PumpId>) -> Vec<LivePump> {
        let (reply, pumps) = oneshot::channel();
        match self.0.live.send(GetLivePumps { pump, reply }).await {
            Ok(()) => pumps.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

/// Returns a message that lists these failed actors; none if there are none.
fn failed_actors_message(failed: &[String]) -> Option<String> {
    let listed = failed.iter().take(MAX_FAILED_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if failed.len() > MAX_FAILED_LISTED { " and others" } else { "" };
    let reason = format!("down after too many failures: {listed}{more}; see /api/actors and the log");
    (!failed.is_empty()).then_some(reason)
}
