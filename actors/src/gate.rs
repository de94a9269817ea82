//! The gate: takes posts in, finds or registers their pumps, takes permits for all of a post before any of it
//! is written, and begins the answer ([`answer`]).
//!
//! Checking fields is done before ([`volute_plant::parse_item`]); judging new against stored is each pump's own.

mod answer;
mod newcomers;
mod pumps;
mod refused;
mod room;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::Instant,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures::future::join_all;
use tokio::sync::oneshot;
use volute_data::PumpRecord;
use volute_plant::{Draft, Profile, PumpId, Rejection, Sample, Stamp, Timestamp};
use volute_runtime::{Envelope, Message, Subject};

use crate::{
    counters::Counters,
    node_clock::NodeClock,
    pump::{Drain, Offer, PumpStaff, actor_id},
    receipt::{BadChannel, Queue, Receipt, Refusal, RejectedItem},
    settings::IngestSettings,
};

pub(crate) use answer::Share;
pub(crate) use newcomers::{Newcomers, Rate};
use pumps::Places;
pub(crate) use pumps::{PumpHandle, Pumps};
use room::Full;
pub use room::LARGEST_POST;
pub(crate) use room::{Permit, PumpLimit, Room};

/// When a refused client may try again.
pub(crate) const RETRY_AFTER_S: u64 = 1;
/// When it may where something has to come back first.
pub(crate) const LONG_RETRY_AFTER_S: u64 = 10;

/// A post on its way in.
pub(crate) struct Post {
    pub items: Vec<Result<Draft, Rejection>>,
    pub received: Timestamp,
    pub since: Instant,
    /// Whose it is; none: the node's own, which may register as many pumps as it likes.
    pub client: Option<IpAddr>,
    pub reply: oneshot::Sender<Reply>,
}

/// What a post is answered.
pub(crate) type Reply = Result<Receipt, Refusal>;

/// Somebody wants a pump's actor; one that is not known is registered where a time is given.
pub(crate) struct FindPump {
    pub pump: PumpId,
    pub register: Option<Timestamp>,
    pub reply: oneshot::Sender<Option<PumpHandle>>,
}

/// Lets nothing more in, waits until all that came in has settled and been judged, then answers.
pub(crate) struct CloseGate(pub oneshot::Sender<()>);

/// Somebody removes a pump: its actor is handed over, and its name is nobody's until [`Pumps::release`].
pub(crate) struct TakePump {
    pub pump: PumpId,
    pub reply: oneshot::Sender<Result<PumpHandle, NotTaken>>,
}

/// A pump cannot be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no such pump.
    Unknown,
    /// It is taken away already.
    Leaving,
    /// The node is stopping.
    Stopping,
}

/// A new pump has nothing stored yet: where nothing is on its way either, its place is free again.
pub(crate) struct Withdraw {
    pub pump: PumpId,
    /// Why its last post was refused, where it was.
    pub why: Option<Rejection>,
}

impl Message for Post {}

impl Message for TakePump {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for Withdraw {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for FindPump {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for CloseGate {}

/// The actor.
pub(crate) struct GateActor {
    profile: Profile,
    settings: IngestSettings,
    staff: Arc<PumpStaff>,
    counters: Arc<Counters>,
    room: Room,
    pumps: Pumps,
    /// What clients may register; it outlives the actor.
    newcomers: Arc<Mutex<Newcomers>>,
    doors: Doors,
}

/// Why the gate may be shut; shared with whoever has to say so.
#[derive(Clone)]
pub(crate) struct Doors {
    /// The node is stopping.
    pub closing: Arc<AtomicBool>,
    /// The journal has failed.
    pub journal_failed: Arc<AtomicBool>,
    /// The clock may not be believed.
    pub clock: NodeClock,
}

impl Doors {
    pub(crate) fn new(clock: NodeClock) -> Self {
        Self { closing: Arc::default(), journal_failed: Arc::default(), clock }
    }
}

/// The items of one pump in a post, by their places in it.
type Lots = BTreeMap<PumpId, Vec<(usize, Draft)>>;

impl Receipt {
    fn reject(&mut self, lot: &[(usize, Draft)], rejection: &Rejection, retry_after_s: Option<u64>) {
        let item =
            |(index, _): &(usize, Draft)| RejectedItem { index: *index, rejection: rejection.clone(), retry_after_s };
        self.rejected.extend(lot.iter().map(item));
    }

    /// When all of the post may be sent again: if nothing of it was taken or rejected for good.
    fn try_all_again(&self) -> Option<u64> {
        let deferred = self.rejected.iter().filter_map(|item| item.retry_after_s);
        let taken = self.accepted + self.duplicate + self.late;
        let nothing_else = taken == 0 && self.rejected.iter().all(|item| item.retry_after_s.is_some());
        deferred.max().filter(|_| nothing_else)
    }
}

impl GateActor {
    pub(crate) fn new(
        settings: IngestSettings,
        staff: Arc<PumpStaff>,
        pumps: Pumps,
        newcomers: Arc<Mutex<Newcomers>>,
        room: Room,
        doors: Doors,
    ) -> Self {
        let (profile, counters) = (staff.profile.clone(), staff.counters.clone());
        Self { profile, settings, staff, counters, room, pumps, newcomers, doors }
    }

    fn pumps(&self) -> MutexGuard<'_, Places> {
        self.pumps.lock()
    }

    fn newcomers(&self) -> MutexGuard<'_, Newcomers> {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sorts a post's items by pump; what is wrong goes into the receipt.
    fn sort(&self, items: Vec<Result<Draft, Rejection>>, receipt: &mut Receipt) -> Lots {
        let mut lots = Lots::new();
        for (index, item) in items.into_iter().enumerate() {
            match item.and_then(|draft| self.address(draft)) {
                Ok((pump, draft)) => lots.entry(pump).or_default().push((index, draft)),
                Err(rejection) => receipt.rejected.push(RejectedItem { index, rejection, retry_after_s: None }),
            }
        }
        for (pump, lot) in &mut lots {
            refuse_repeated_unstamped(pump, lot, receipt);
        }
        lots.retain(|_, lot| !lot.is_empty());
        self.refuse_surplus_pumps(&mut lots, receipt);
        lots
    }

    /// Items of pumps whose actors are out of order are not taken; the others' are.
    fn refuse_failed_pumps(&self, lots: &mut Lots, receipt: &mut Receipt) -> Result<(), Refusal> {
        let pumps = self.pumps();
        let failed = |pump: &PumpId| pumps.here.get(pump).is_some_and(|handle| handle.mailbox.is_failed());
        if !lots.is_empty() && lots.keys().all(failed) {
            return Err(Refusal::NotStored { retry_after_s: LONG_RETRY_AFTER_S });
        }
        lots.retain(|pump, lot| {
            let failed = failed(pump);
            if failed {
                let allowed = "a pump whose actor runs (/api/actors); send this item again once it has been restarted";
                let rejection = Rejection::new("pump_id", pump.as_str().into(), allowed, "its actor is out of order");
                receipt.reject(lot, &rejection, Some(LONG_RETRY_AFTER_S));
            }
            !failed
        });
        Ok(())
    }

    /// Whose item it is.
    fn address(&self, draft: Draft) -> Result<(PumpId, Draft), Rejection> {
        let pump = draft.pump.clone().unwrap_or_else(|| self.settings.default_pump.clone());
        if self.settings.auto_register || self.pumps().here.contains_key(&pump) {
            return Ok((pump, draft));
        }
        let allowed = "a registered pump; this node does not register pumps by itself (ingest.auto_register)";
        Err(Rejection::new("pump_id", pump.as_str().into(), allowed, "no such pump"))
    }

    fn refuse_surplus_pumps(&self, lots: &mut Lots, receipt: &mut Receipt) {
        let pumps = self.pumps();
        let mut known = pumps.here.len();
        lots.retain(|pump, lot| {
            if pumps.here.contains_key(pump) {
                return true;
            }
            known += 1;
            if known <= self.settings.max_pumps {
                return true;
            }
            let allowed = format!("one of the {} pumps registered already (ingest.max_pumps)", self.settings.max_pumps);
            let rejection = Rejection::new("pump_id", pump.as_str().into(), allowed, "no room for another pump");
            receipt.reject(lot, &rejection, None);
            false
        });
    }

    /// Items of pumps that are being removed are not taken: their names are free in some minutes.
    fn refuse_leaving_pumps(&self, lots: &mut Lots, receipt: &mut Receipt) -> Result<(), Refusal> {
        let pumps = self.pumps();
        let leaving = |pump: &PumpId| {
            pumps.leaving.contains(pump) || (!pumps.here.contains_key(pump) && self.staff.store.is_removing(pump))
        };
        if !lots.is_empty() && lots.keys().all(leaving) {
            return Err(Refusal::BeingRemoved { retry_after_s: LONG_RETRY_AFTER_S });
        }
        lots.retain(|pump, lot| {
            let leaving = leaving(pump);
            if leaving {
                let allowed = "a name that is free; send this item again in some minutes";
                let reason = "the pump was removed, and its readings are being deleted";
                let rejection = Rejection::new("pump_id", pump.as_str().into(), allowed, reason);
                receipt.reject(lot, &rejection, Some(LONG_RETRY_AFTER_S));
            }
            !leaving
        });
        Ok(())
    }

    /// Of more new pumps than the client may register now, the first by name are taken. Answers how many are new.
    fn refuse_newcomers(
        &self,
        client: Option<IpAddr>,
        now: Instant,
        lots: &mut Lots,
        receipt: &mut Receipt,
    ) -> Result<usize, Refusal> {
        let pumps = self.pumps();
        let is_new = |pump: &PumpId| !pumps.here.contains_key(pump);
        let new = lots.keys().filter(|pump| is_new(pump)).count();
        let Some(client) = client.filter(|_| new > 0) else { return Ok(new) };
        let allowance = self.newcomers().allowance(client, now);
        if allowance.pumps == 0 && new == lots.len() {
            return Err(Refusal::Busy { queue: Queue::NewPumps, retry_after_s: allowance.next_s });
        }
        let mut taken = 0;
        lots.retain(|pump, lot| {
            if !is_new(pump) {
                return true;
            }
            if taken < allowance.pumps {
                taken += 1;
                return true;
            }
            let IngestSettings { new_pumps_burst, new_pumps_per_minute, .. } = self.settings;
            let allowed = format!(
                "{new_pumps_burst} new pumps of a client at once, and {new_pumps_per_minute} a minute \
                 (ingest.new_pumps_burst, ingest.new_pumps_per_minute); send this item again in some minutes"
            );
            let rejection = Rejection::new("pump_id", pump.as_str().into(), allowed, "too many new pumps");
            receipt.reject(lot, &rejection, Some(allowance.next_s));
            false
        });
        Ok(taken)
    }

    /// Where there is no room for minutes of the past, the items that need it are to be sent again; current ones are taken.
    fn put_off_past(&self, received: Timestamp, lots: &mut Lots, receipt: &mut Receipt) -> Result<(), Refusal> {
        let is_past = |(_, draft): &(usize, Draft)| self.staff.is_of_past(draft, received);
        let is_full =
            |pump: &PumpId, lot: &[(usize, Draft)]| lot.iter().any(is_past) && !self.staff.has_room_for_past(pump);
        let full: Vec<PumpId> =
            lots.iter().filter(|(pump, lot)| is_full(pump, lot)).map(|(pump, _)| pump.clone()).collect();
        let nothing_else =
            |(pump, lot): (&PumpId, &Vec<(usize, Draft)>)| full.contains(pump) && lot.iter().all(is_past);
        if !full.is_empty() && lots.iter().all(nothing_else) {
            return Err(Refusal::Busy { queue: Queue::PastMinutes, retry_after_s: RETRY_AFTER_S });
        }
        for pump in full {
            let Some(lot) = lots.remove(&pump) else { continue };
            let (past, rest): (Vec<_>, Vec<_>) = lot.into_iter().partition(is_past);
            receipt.reject(&past, &no_room_for_past(), Some(LONG_RETRY_AFTER_S));
            if !rest.is_empty() {
                lots.insert(pump, rest);
            }
        }
        Ok(())
    }

    /// Room for every lot, or for none. Of a backlog, for a part at a time.
    fn permits(&self, lots: &Lots) -> Result<Vec<(PumpLimit, Permit)>, Refusal> {
        let busy = |queue| Refusal::Busy { queue, retry_after_s: RETRY_AFTER_S };
        if self.room.is_full() && !lots.is_empty() {
            return Err(busy(Queue::Node));
        }
        let mut permits = Vec::with_capacity(lots.len());
        for (pump, lot) in lots {
            let fresh = || PumpLimit::new(self.settings.burst_readings_per_pump);
            let limit = self.pumps().here.get(pump).map_or_else(fresh, |handle| handle.room.clone());
            let permit = self.room.permit(&limit, lot.len()).map_err(|full| {
                busy(match full {
                    Full::Pump => Queue::Pump,
                    Full::Node => Queue::Node,
                    Full::Backlogs => Queue::Backlogs,
                })
            })?;
            permits.push((limit, permit));
        }
        Ok(permits)
    }

    /// The pump's actor. A new pump is registered with its first reading that is stored.
    fn pump(&mut self, pump: &PumpId, received: Timestamp, limit: PumpLimit) -> PumpHandle {
        if let Some(handle) = self.pumps().here.get(pump) {
            return handle.clone();
        }
        let record = PumpRecord {
            id: pump.clone(),
            profile: self.profile.name().to_owned(),
            channels: self.profile.channel_names().map(str::to_owned).collect(),
            registered_at: received,
        };
        let handle = self.staff.start_pump(pump, Some(record), limit);
        self.pumps().here.insert(pump.clone(), handle.clone());
        handle
    }

    /// Takes the post's items in: each lot with a share in the answer. What is known at once is the receipt so far.
    fn admit(
        &mut self,
        items: Vec<Result<Draft, Rejection>>,
        received: Timestamp,
        since: Instant,
        client: Option<IpAddr>,
        answer: &Share,
    ) -> Reply {
        if self.doors.closing.load(Ordering::Relaxed) {
            return Err(Refusal::Stopping);
        }
        if self.doors.journal_failed.load(Ordering::Relaxed) {
            return Err(Refusal::NotStored { retry_after_s: RETRY_AFTER_S });
        }
        self.doors.clock.check(&items, received)?;
        let mut receipt = Receipt::default();
        let mut lots = self.sort(items, &mut receipt);
        self.refuse_failed_pumps(&mut lots, &mut receipt)?;
        self.refuse_leaving_pumps(&mut lots, &mut receipt)?;
        let new = self.refuse_newcomers(client, since, &mut lots, &mut receipt)?;
        self.put_off_past(received, &mut lots, &mut receipt)?;
        let permits = self.permits(&lots)?;
        if let Some(client) = client.filter(|_| new > 0) {
            self.newcomers().spend(client, new, since);
        }
        for ((pump, lot), (limit, permit)) in lots.into_iter().zip(permits) {
            let handle = self.pump(&pump, received, limit);
            receipt
                .bad_channels
                .extend(lot.iter().flat_map(|(index, draft)| bad_channels(&self.profile, *index, draft)));
            let offer = Offer { drafts: lot, received, since, permit: Arc::new(permit), answer: answer.another() };
            // The permits bound the mailbox: this is refused only if the actor is gone, and then the share is dropped.
            let _ = handle.mailbox.try_send(offer);
        }
        Ok(receipt)
    }
}

/// Said of an item for whose minute of the past there is no room.
pub(crate) fn no_room_for_past() -> Rejection {
    let reason = "the room for minutes of the past (ingest.past_minutes_per_pump, ingest.past_minutes) is full";
    Rejection::new("", serde_json::Value::Null, "this item once more, later", reason)
}

impl Actor for GateActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<Post>> for GateActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Post>, _: &mut Self::Context) {
        let Post { items, received, since, client, reply } = message.into_inner();
        let answer = Share::first(reply, self.counters.clone());
        match self.admit(items, received, since, client, &answer) {
            Ok(receipt) => answer.complete(receipt),
            Err(refusal) => {
                self.counters.refuse(&refusal);
                answer.refuse(refusal);
            }
        }
    }
}

impl Handler<Envelope<FindPump>> for GateActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<FindPump>, _: &mut Self::Context) {
        let FindPump { pump, register, reply } = message.into_inner();
        let found = match register {
            Some(at) if !self.doors.closing.load(Ordering::Relaxed) => {
                Some(self.pump(&pump, at, PumpLimit::new(self.settings.burst_readings_per_pump)))
            }
            _ => self.pumps().here.get(&pump).cloned(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(found);
    }
}

impl Handler<Envelope<TakePump>> for GateActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<TakePump>, _: &mut Self::Context) {
        let TakePump { pump, reply } = message.into_inner();
        let mut pumps = self.pumps();
        let taken = match pumps.here.remove(&pump) {
            // What drains the pumps must find all of them.
            Some(handle) if self.doors.closing.load(Ordering::Relaxed) => {
                pumps.here.insert(pump, handle);
                Err(NotTaken::Stopping)
            }
            Some(handle) => {
                pumps.leaving.insert(pump);
                handle.room.end_backlogs();
                Ok(handle)
            }
            None if pumps.leaving.contains(&pump) => Err(NotTaken::Leaving),
            None => Err(NotTaken::Unknown),
        };
        // Whoever asks does not go before it is done.
        let _ = reply.send(taken);
    }
}

impl Handler<Envelope<Withdraw>> for GateActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Withdraw>, _: &mut Self::Context) {
        let Withdraw { pump, why } = message.into_inner();
        let mut pumps = self.pumps();
        if let Some(Rejection { field, message, .. }) = why
            && pumps.refused.note(&pump, field, message.clone(), Instant::now())
        {
            tracing::warn!(
                pump = pump.as_str(),
                why = message,
                "all readings of a new pump are refused: nothing of it is stored"
            );
        }
        if pumps.here.get(&pump).is_some_and(|handle| handle.room.is_idle()) && !self.staff.store.is_registered(&pump) {
            pumps.here.remove(&pump);
            self.staff.supervisor.retire(&actor_id(&pump));
            tracing::debug!(pump = pump.as_str(), "a new pump's place is free again: nothing of it was stored");
        }
    }
}

impl Handler<Envelope<CloseGate>> for GateActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<CloseGate>, ctx: &mut Self::Context) {
        let CloseGate(reply) = message.into_inner();
        self.doors.closing.store(true, Ordering::Relaxed);
        let room = self.room.clone();
        let mut pumps = Vec::new();
        for handle in self.pumps().here.values() {
            handle.room.end_backlogs();
            pumps.push(handle.mailbox.clone());
        }
        let drained = async move {
            // All permits back: everything that came in is durable or refused, and in its window.
            room.emptied().await;
            let judged = pumps.iter().map(async |pump| {
                let (reply, done) = oneshot::channel();
                if pump.send(Drain(reply)).await.is_ok() {
                    let _ = done.await;
                }
            });
            join_all(judged).await;
            let _ = reply.send(());
        };
        ctx.spawn(drained.into_actor(self).map(|(), _, _| ()));
    }
}

/// Items of one pump without a timestamp are one reading where each has channels of its own. Where two have the same channel
/// they cannot be told apart: none is taken.
fn refuse_repeated_unstamped(pump: &PumpId, lot: &mut Vec<(usize, Draft)>, receipt: &mut Receipt) {
    let drafts = || lot.iter().map(|(_, draft)| draft).filter(|draft| draft.stamp == Stamp::Received);
    let unstamped = drafts().count();
    if unstamped < 2 {
        return;
    }
    let channels = lot.iter().map(|(_, draft)| draft.samples.len()).max().unwrap_or(0);
    let has = |draft: &Draft, channel: usize| draft.samples.get(channel).is_some_and(|sample| sample.value().is_some());
    if (0..channels).all(|channel| drafts().filter(|draft| has(draft, channel)).count() < 2) {
        return;
    }
    let reason = format!("{unstamped} items of {pump} in this post have no timestamp, and some have the same channel");
    lot.retain(|(index, draft)| {
        let stamped = draft.stamp != Stamp::Received;
        if !stamped {
            let allowed = "items without a timestamp only where each has channels of its own; or a timestamp for each";
            let rejection = Rejection::new("timestamp", serde_json::Value::Null, allowed, &reason);
            receipt.rejected.push(RejectedItem { index: *index, rejection, retry_after_s: None });
        }
        stamped
    });
}

fn bad_channels(profile: &Profile, index: usize, draft: &Draft) -> Vec<BadChannel> {
    let pairs = profile.channels().iter().zip(draft.samples.iter());
    pairs
        .filter_map(|(channel, sample)| match sample {
            Sample::Bad(value) => {
                Some(BadChannel { index, channel: channel.name.clone(), value: *value, plausible: channel.plausible })
            }
            _ => None,
        })
        .collect()
}
