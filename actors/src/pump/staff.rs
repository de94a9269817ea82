//! How a pump's actor is started, now and whenever it must be, and what is read for it then.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use volute_data::{PAST_MS, PumpRecord, Store, StoreError};
use volute_plant::{Draft, Profile, PumpId, TimeRules, Timestamp};
use volute_runtime::{ActorThread, Incarnation, Mailbox, Role, Supervisor};

use super::{AtRest, ORDERS, PumpActor};
use crate::{
    commissioning::Judging,
    counters::Counters,
    gate::{GateActor, PumpHandle, PumpLimit},
    inference::Pool,
    live::LiveActor,
    maintenance::Desk,
    recorder::Recorder,
    settings::IngestSettings,
};

/// Whom a pump works with, and what all pumps share.
pub(crate) struct PumpStaff {
    pub profile: Profile,
    /// What a reading's time may be, and when it says how its pump is now.
    pub times: TimeRules,
    /// What may come in.
    pub ingest: IngestSettings,
    /// What judges windows; none: nothing is judged.
    pub judging: Option<Judging>,
    pub store: Store,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub gate: Mailbox<GateActor>,
    pub pool: Pool,
    pub live: Mailbox<LiveActor>,
    pub maintenance: Desk,
    pub queued_windows_per_pump: usize,
    pub supervisor: Supervisor,
    pub homes: Arc<[Arc<ActorThread>]>,
    pub next_home: AtomicUsize,
}

impl PumpStaff {
    /// Starts a pump's actor. Of a new pump nothing is stored, and its registration is on its way.
    pub(crate) fn start_pump(self: &Arc<Self>, pump: &PumpId, new: Option<PumpRecord>, limit: PumpLimit) -> PumpHandle {
        let next = self.next_home.fetch_add(1, Ordering::Relaxed);
        let home = &self.homes[next % self.homes.len()];
        let role = Role { id: actor_id(pump), kind: "pump", stage: "pumps", subject: Some(pump.shared()) };
        let inbox = self.supervisor.register(role, home);
        let doors =
            PumpDoors { orders: inbox.mailbox(ORDERS), judged: inbox.mailbox(2 * self.queued_windows_per_pump) };
        let burst = limit.all();
        // One slot for each permit, and one for a drain.
        let handle = PumpHandle { mailbox: inbox.mailbox(burst + 1), orders: doors.orders.clone(), room: limit };
        let (pump, staff) = (pump.clone(), self.clone());
        self.supervisor.start(&inbox, move |incarnation: Incarnation<PumpActor>| {
            let rest = match incarnation.number {
                1 if new.is_some() => Rest::New,
                1 => Rest::Stored,
                _ => Rest::Again,
            };
            let (pump, staff, doors, unregistered) = (pump.clone(), staff.clone(), doors.clone(), new.clone());
            PumpActor::new(Start { pump, staff, doors, rest, unregistered, burst, incarnation })
        });
        handle
    }

    /// Whether a draft needs room for minutes of the past. What is received as it is measured needs none, nor does what is
    /// too old to be taken.
    pub(crate) fn is_of_past(&self, draft: &Draft, received: Timestamp) -> bool {
        let age_ms = |at: Timestamp| received.since_ms(at);
        draft.stamp.device().is_some_and(|at| (PAST_MS..=self.times.kept_ms).contains(&age_ms(at)))
    }

    /// Whether minutes of the past may come in. They do not close with time, each is a row in the database, and readings
    /// that are scattered over years would open any number of them. While there is any room, so many are let in as may be
    /// on their way at once.
    pub(crate) fn has_room_for_past(&self, pump: &PumpId) -> bool {
        let (of_pump, of_all) = self.store.past_minutes(pump);
        of_pump < self.ingest.past_minutes_per_pump && of_all < self.ingest.past_minutes
    }

    /// What is at rest of a pump. Where it cannot be read just now what the pump goes by, that is none.
    pub(super) async fn at_rest(&self, pump: &PumpId, rest: Rest) -> Result<AtRest, StoreError> {
        match rest {
            Rest::New if self.store.knows_all_pumps() => return Ok(AtRest::nothing()),
            // Where the pumps that are stored are not known, a new one may be one of them.
            Rest::New | Rest::Stored => {}
            // What the one before sent must be stored before it can be found.
            Rest::Again => self.recorder.settled().await,
        }
        let known = async { Ok((self.store.pump_settings(pump).await?, self.store.standing(pump).await?)) };
        let known = match known.await {
            Ok(known) => Some(known),
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => None,
            Err(error) => return Err(error),
        };
        AtRest::read(self, pump, known).await
    }
}

/// The id of a pump's actor.
pub(crate) fn actor_id(pump: &PumpId) -> String {
    format!("pump/{pump}")
}

/// The ways to a pump that it hands out itself.
#[derive(Clone)]
pub(super) struct PumpDoors {
    pub orders: Mailbox<PumpActor>,
    pub judged: Mailbox<PumpActor>,
}

/// Where a pump's actor begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// The pump was never heard of.
    New,
    /// It was, before the node's start.
    Stored,
    /// Another one was here before.
    Again,
}

/// What a pump's actor is built of.
pub(super) struct Start {
    pub pump: PumpId,
    pub staff: Arc<PumpStaff>,
    pub doors: PumpDoors,
    pub rest: Rest,
    /// The registration of a pump that was new when the node was running already.
    pub unregistered: Option<PumpRecord>,
    /// Readings that may be on their way.
    pub burst: usize,
    pub incarnation: Incarnation<PumpActor>,
}
