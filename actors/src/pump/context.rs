//! What all pump actors share: settings, the store, and the addresses of other actors.

use std::sync::{Arc, atomic::AtomicUsize};

use volute_data::Store;
use volute_plant::{Clock, PumpId, TimestampLimits};
use volute_runtime::{ActorThread, Address, Recipient, Supervisor};

use crate::{
    alarms::{ArmedCache, StandingAlarms},
    counters::Counters,
    inference::pool::Pool,
    live::LiveActor,
    maintenance::RulesClient,
    planned_work::OpenPlannedWork,
    protocol::{commissioning::CommissionJob, pump::WithdrawPump},
    recorder::Recorder,
    settings::IngestSettings,
};

/// Shared by all pump actors.
pub(crate) struct PumpContext {
    /// Which timestamps a reading may have, and how recent it must be to count as current.
    pub timestamp_limits: TimestampLimits,
    /// The limits of ingest.
    pub ingest: IngestSettings,
    pub store: Store,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub ingress: Recipient<WithdrawPump>,
    pub pool: Pool,
    pub live: Address<LiveActor>,
    pub maintenance: RulesClient,
    /// The alarms that stand.
    pub standing_alarms: StandingAlarms,
    pub armed: ArmedCache,
    /// The planned work that is not over.
    pub work: OpenPlannedWork,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    pub commissioning: Recipient<CommissionJob>,
    pub queued_windows_per_pump: usize,
    pub supervisor: Supervisor,
    /// The threads that run pump actors.
    pub threads: Arc<[Arc<ActorThread>]>,
    /// The number of pumps started so far. Pumps are assigned to the threads in turn.
    pub next_thread: AtomicUsize,
}

impl PumpContext {
    /// Returns whether readings of past minutes are accepted. Each past minute becomes a row in the database, and
    /// readings that are scattered over years would create any number of them, so their number is limited. The limit is
    /// checked before a post, or a part of one, is admitted. The readings in flight can exceed it.
    pub(crate) fn accepts_past_minutes(&self, pump: &PumpId) -> bool {
        let (of_pump, of_all) = self.store.past_minutes(pump);
        of_pump < self.ingest.past_minutes_per_pump && of_all < self.ingest.past_minutes
    }
}

/// Returns the id of a pump's actor.
pub(crate) fn actor_id(pump: &PumpId) -> String {
    format!("pump/{pump}")
}
