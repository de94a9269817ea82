//! What every pump works with.

use std::sync::{Arc, atomic::AtomicUsize};

use volute_data::Store;
use volute_plant::{PumpId, TimeRules};
use volute_runtime::{ActorThread, Mailbox, ReplyTo, Supervisor};

use crate::{
    counters::Counters,
    inference::pool::Pool,
    live::LiveActor,
    maintenance::RulesClient,
    protocol::{commissioning::CommissionJob, pump::Withdraw},
    recorder::Recorder,
    settings::IngestSettings,
};

/// Whom a pump works with, and what all pumps share.
pub(crate) struct PumpContext {
    /// What a reading's time may be, and when it says how its pump is now.
    pub times: TimeRules,
    /// What may come in.
    pub ingest: IngestSettings,
    pub store: Store,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub ingress: ReplyTo<Withdraw>,
    pub pool: Pool,
    pub live: Mailbox<LiveActor>,
    pub maintenance: RulesClient,
    pub commissioning: ReplyTo<CommissionJob>,
    pub queued_windows_per_pump: usize,
    pub supervisor: Supervisor,
    /// The threads of the pumps' actors.
    pub threads: Arc<[Arc<ActorThread>]>,
    pub next_thread: AtomicUsize,
}

impl PumpContext {
    /// Whether minutes of the past may come in. They do not close with time, each is a row in the database, and readings
    /// that are scattered over years would open any number of them. While there is any room, as many are let in as may be
    /// on their way at once.
    pub(crate) fn has_room_for_past(&self, pump: &PumpId) -> bool {
        let (of_pump, of_all) = self.store.past_minutes(pump);
        of_pump < self.ingest.past_minutes_per_pump && of_all < self.ingest.past_minutes
    }
}

/// Returns the id of a pump's actor.
pub(crate) fn actor_id(pump: &PumpId) -> String {
    format!("pump/{pump}")
}
