//! The gate: takes posts in, finds or registers their pumps, takes permits for all of a post before any of it
//! is written, and begins the answer ([`answer`]).
//!
//! Checking fields is done before (the edge that reads a post does it); judging new against stored is each pump's own.

pub(crate) mod directory;
pub(crate) mod in_flight;
mod last_rejections;
pub(crate) mod newcomers;
pub(crate) mod response;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Instant,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use volute_data::PumpRecord;
use volute_plant::{Draft, PumpId, Rejection, Sample, Timestamp, TimestampSource};
use volute_runtime::Envelope;

use crate::{
    catalog::Catalog,
    counters::Counters,
    kind::PumpKind,
    node_clock::NodeClock,
    protocol::{
        ingress::{DrainIngress, FindPump, IngestRequest, NotTaken, TakePump},
        pump::{DrainPump, SubmitReadings, Withdraw},
    },
    pump::{
        admit::is_of_past,
        context::{PumpContext, actor_id},
        handle::PumpHandle,
        launch::start_pump,
    },
    receipt::{
        BadChannel, IngestResult, LONG_RETRY_AFTER_S, Queue, RETRY_AFTER_S, Receipt, Refusal, RejectedItem,
        no_room_for_past,
    },
    settings::IngestSettings,
};
use directory::{Directory, PumpDirectory};
use in_flight::{Full, InFlightLimit, Permit, PumpInFlight};
use newcomers::Newcomers;
use response::ResponsePart;

/// The actor.
pub(crate) struct IngressActor {
    catalog: Catalog,
    settings: IngestSettings,
    context: Arc<PumpContext>,
    counters: Arc<Counters>,
    in_flight: InFlightLimit,
    pumps: PumpDirectory,
    /// What clients may register; it outlives the actor.
    newcomers: Arc<Mutex<Newcomers>>,
    flags: ShutdownFlags,
}

/// What the actor is built of. All of it outlives the actor.
#[derive(Clone)]
pub(crate) struct IngressParts {
    pub settings: IngestSettings,
    pub catalog: Catalog,
    pub context: Arc<PumpContext>,
    pub pumps: PumpDirectory,
    pub newcomers: Arc<Mutex<Newcomers>>,
    pub in_flight: InFlightLimit,
    pub flags: ShutdownFlags,
}

/// Why the ingress may be shut; shared with whoever has to say so.
#[derive(Clone)]
pub(crate) struct ShutdownFlags {
    /// The node is stopping.
    pub closing: Arc<AtomicBool>,
    /// The journal has failed.
    pub journal_failed: Arc<AtomicBool>,
    /// The clock may not be believed.
    pub clock: NodeClock,
}

impl ShutdownFlags {
    pub(crate) fn new(clock: NodeClock) -> Self {
        Self { closing: Arc::default(), journal_failed: Arc::default(), clock }
    }
}

/// The items of one pump in a post, by their places in it.
type ReadingsByPump = BTreeMap<PumpId, Vec<(usize, Draft)>>;

impl IngressActor {
    pub(crate) fn new(parts: IngressParts) -> Self {
        let IngressParts { settings, catalog, context, pumps, newcomers, in_flight, flags } = parts;
        let counters = context.counters.clone();
        Self { catalog, settings, context, counters, in_flight, pumps, newcomers, flags }
    }

    fn pumps(&self) -> MutexGuard<'_, Directory> {
        self.pumps.lock()
    }

    fn newcomers(&self) -> MutexGuard<'_, Newcomers> {
        self.newcomers.lock()
    }

    /// Sorts a post's items by pump; what is wrong goes into the receipt.
    fn sort(&self, items: Vec<Option<Draft>>, receipt: &mut Receipt) -> ReadingsByPump {
        let mut lots = ReadingsByPump::new();
        for (index, item) in items.into_iter().enumerate() {
            let Some(draft) = item else {
                receipt.unreadable += 1;
                continue;
            };
            match self.address(draft) {
                Ok((pump, draft)) => lots.entry(pump).or_default().push((index, draft)),
                Err(rejection) => receipt.rejected.push(RejectedItem { index, rejection, retry_after_s: None }),
            }
        }
        for (pump, lot) in &mut lots {
            self.refuse_other_profiles(pump, lot, receipt);
            refuse_repeated_unstamped(pump, lot, receipt);
        }
        lots.retain(|_, lot| !lot.is_empty());
        self.refuse_surplus_pumps(&mut lots, receipt);
        lots
    }

    /// Items of pumps whose actors are out of order are not taken; the others' are.
    fn refuse_failed_pumps(&self, lots: &mut ReadingsByPump, receipt: &mut Receipt) -> Result<(), Refusal> {
        let pumps = self.pumps();
        let failed = |pump: &PumpId| pumps.here.get(pump).is_some_and(|handle| handle.mailbox.is_failed());
        if !lots.is_empty() && lots.keys().all(failed) {
            return Err(Refusal::NotStored { retry_after_s: LONG_RETRY_AFTER_S });
        }
        lots.retain(|pump, lot| {
            let failed = failed(pump);
            if failed {
                let allowed = "a pump whose actor runs (/api/actors); send this item again once it has been restarted";
                let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "its actor is out of order");
                receipt.reject(lot, &rejection, Some(LONG_RETRY_AFTER_S));
            }
            !failed
        });
        Ok(())
    }

    /// Items that were read by another profile than their pump's are not taken: of a new pump, the first item says which it is.
    /// A pump's profile may have been assigned since they were read.
    fn refuse_other_profiles(&self, pump: &PumpId, lot: &mut Vec<(usize, Draft)>, receipt: &mut Receipt) {
        let known = self.pumps().here.get(pump).map(|handle| handle.kind.profile.name().to_owned());
        let first = || lot.first().map(|(_, draft)| draft.profile.name().to_owned());
        let Some(name) = known.or_else(first) else { return };
        lot.retain(|(index, draft)| {
            let same = draft.profile.name() == name;
            if !same {
                let (value, reason) = (draft.profile.name().to_owned(), format!("{pump} is of the profile {name}"));
                let rejection = Rejection::new("profile", Some(value), name.as_str(), &reason);
                receipt.rejected.push(RejectedItem { index: *index, rejection, retry_after_s: None });
            }
            same
        });
    }

    /// Whose item it is.
    fn address(&self, draft: Draft) -> Result<(PumpId, Draft), Rejection> {
        let pump = draft.pump.clone().unwrap_or_else(|| self.settings.default_pump.clone());
        if self.settings.auto_register || self.pumps().here.contains_key(&pump) {
            return Ok((pump, draft));
        }
        let allowed = "a registered pump; this node does not register pumps by itself (ingest.auto_register)";
        Err(Rejection::new("pump_id", Some(pump.to_string()), allowed, "no such pump"))
    }

    fn refuse_surplus_pumps(&self, lots: &mut ReadingsByPump, receipt: &mut Receipt) {
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
            let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "no room for another pump");
            receipt.reject(lot, &rejection, None);
            false
        });
    }

    /// Items of pumps that are being removed are not taken: their names are free in some minutes.
    fn refuse_leaving_pumps(&self, lots: &mut ReadingsByPump, receipt: &mut Receipt) -> Result<(), Refusal> {
        let pumps = self.pumps();
        let leaving = |pump: &PumpId| {
            pumps.leaving.contains(pump) || (!pumps.here.contains_key(pump) && self.context.store.is_removing(pump))
        };
        if !lots.is_empty() && lots.keys().all(leaving) {
            return Err(Refusal::BeingRemoved { retry_after_s: LONG_RETRY_AFTER_S });
        }
        lots.retain(|pump, lot| {
            let leaving = leaving(pump);
            if leaving {
                let allowed = "a name that is free; send this item again in some minutes";
                let reason = "the pump was removed, and its readings are being deleted";
                let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, reason);
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
        lots: &mut ReadingsByPump,
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
            let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "too many new pumps");
            receipt.reject(lot, &rejection, Some(allowance.next_s));
            false
        });
        Ok(taken)
    }

    /// Where there is no room for minutes of the past, the items that need it are to be sent again; current ones are taken.
    fn put_off_past(
        &self,
        received: Timestamp,
        lots: &mut ReadingsByPump,
        receipt: &mut Receipt,
    ) -> Result<(), Refusal> {
        let is_past = |(_, draft): &(usize, Draft)| is_of_past(draft, received, &self.context.times);
        let is_full =
            |pump: &PumpId, lot: &[(usize, Draft)]| lot.iter().any(is_past) && !self.context.has_room_for_past(pump);
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
    fn permits(&self, lots: &ReadingsByPump) -> Result<Vec<(PumpInFlight, Permit)>, Refusal> {
        let busy = |queue| Refusal::Busy { queue, retry_after_s: RETRY_AFTER_S };
        if self.in_flight.is_full() && !lots.is_empty() {
            return Err(busy(Queue::Node));
        }
        let mut permits = Vec::with_capacity(lots.len());
        for (pump, lot) in lots {
            let fresh = || PumpInFlight::new(self.settings.burst_readings_per_pump);
            let limit = self.pumps().here.get(pump).map_or_else(fresh, |handle| handle.in_flight.clone());
            let permit = self.in_flight.permit(&limit, lot.len()).map_err(|full| {
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

    /// Returns a pump's actor. A new pump is registered with its first reading that is stored.
    fn pump(&mut self, pump: &PumpId, kind: Option<PumpKind>, received: Timestamp, limit: PumpInFlight) -> PumpHandle {
        if let Some(handle) = self.pumps().here.get(pump) {
            return handle.clone();
        }
        let kind = kind.unwrap_or_else(|| self.catalog.default_kind().clone());
        let record = PumpRecord {
            id: pump.clone(),
            profile: kind.profile.name().to_owned(),
            channels: kind.profile.channel_names().map(str::to_owned).collect(),
            registered_at: received,
        };
        let handle = start_pump(&self.context, pump, kind, Some(record), limit);
        self.pumps().here.insert(pump.clone(), handle.clone());
        handle
    }

    /// Takes the post's items in: each lot with a share in the answer. What is known at once is the receipt so far.
    fn admit(
        &mut self,
        items: Vec<Option<Draft>>,
        received: Timestamp,
        since: Instant,
        client: Option<IpAddr>,
        response: &ResponsePart,
    ) -> IngestResult {
        if self.flags.closing.load(Ordering::Relaxed) {
            return Err(Refusal::Stopping);
        }
        if self.flags.journal_failed.load(Ordering::Relaxed) {
            return Err(Refusal::NotStored { retry_after_s: RETRY_AFTER_S });
        }
        self.flags.clock.check(&items, received)?;
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
            let kind = lot.first().and_then(|(_, draft)| self.catalog.get(draft.profile.name()));
            let handle = self.pump(&pump, kind, received, limit);
            receipt.bad_channels.extend(lot.iter().flat_map(|(index, draft)| bad_channels(*index, draft)));
            let offer =
                SubmitReadings { drafts: lot, received, since, permit: Arc::new(permit), response: response.another() };
            // The permits bound the mailbox: this is refused only if the actor is gone, and then the share is dropped.
            let _ = handle.mailbox.try_send(offer);
        }
        Ok(receipt)
    }
}

impl Actor for IngressActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<IngestRequest>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<IngestRequest>, _: &mut Self::Context) {
        let IngestRequest { items, received, since, client, reply } = message.into_inner();
        let response = ResponsePart::first(reply, self.counters.clone());
        match self.admit(items, received, since, client, &response) {
            Ok(receipt) => response.complete(receipt),
            Err(refusal) => {
                self.counters.refuse(&refusal);
                response.refuse(refusal);
            }
        }
    }
}

impl Handler<Envelope<FindPump>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<FindPump>, _: &mut Self::Context) {
        let FindPump { pump, register, reply } = message.into_inner();
        let found = match register {
            Some(at) if !self.flags.closing.load(Ordering::Relaxed) => {
                Some(self.pump(&pump, None, at, PumpInFlight::new(self.settings.burst_readings_per_pump)))
            }
            _ => self.pumps().here.get(&pump).cloned(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(found);
    }
}

impl Handler<Envelope<TakePump>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<TakePump>, _: &mut Self::Context) {
        let TakePump { pump, reply } = message.into_inner();
        let mut pumps = self.pumps();
        let taken = match pumps.here.remove(&pump) {
            // What drains the pumps must find all of them.
            Some(handle) if self.flags.closing.load(Ordering::Relaxed) => {
                pumps.here.insert(pump, handle);
                Err(NotTaken::Stopping)
            }
            Some(handle) => {
                pumps.leaving.insert(pump);
                handle.in_flight.end_backlogs();
                Ok(handle)
            }
            None if pumps.leaving.contains(&pump) => Err(NotTaken::Leaving),
            None => Err(NotTaken::Unknown),
        };
        // Whoever asks does not go before it is done.
        let _ = reply.send(taken);
    }
}

impl Handler<Envelope<Withdraw>> for IngressActor {
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
        if pumps.here.get(&pump).is_some_and(|handle| handle.in_flight.is_idle())
            && !self.context.store.is_registered(&pump)
        {
            pumps.here.remove(&pump);
            self.context.supervisor.retire(&actor_id(&pump));
            tracing::debug!(pump = pump.as_str(), "a new pump's place is free again: nothing of it was stored");
        }
    }
}

impl Handler<Envelope<DrainIngress>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainIngress>, ctx: &mut Self::Context) {
        let DrainIngress(reply) = message.into_inner();
        self.flags.closing.store(true, Ordering::Relaxed);
        let room = self.in_flight.clone();
        let mut pumps = Vec::new();
        for handle in self.pumps().here.values() {
            handle.in_flight.end_backlogs();
            pumps.push(handle.mailbox.clone());
        }
        let drained = async move {
            // All permits back: everything that came in is durable or refused, and in its window.
            room.emptied().await;
            let judged = pumps.iter().map(async |pump| {
                let (reply, done) = oneshot::channel();
                if pump.send(DrainPump(reply)).await.is_ok() {
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
    let drafts = || lot.iter().map(|(_, draft)| draft).filter(|draft| draft.stamp == TimestampSource::Received);
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
        let stamped = draft.stamp != TimestampSource::Received;
        if !stamped {
            let allowed = "items without a timestamp only where each has channels of its own; or a timestamp for each";
            let rejection = Rejection::new("timestamp", None, allowed, &reason);
            receipt.rejected.push(RejectedItem { index: *index, rejection, retry_after_s: None });
        }
        stamped
    });
}

fn bad_channels(index: usize, draft: &Draft) -> Vec<BadChannel> {
    let pairs = draft.profile.channels().iter().zip(draft.samples.iter());
    pairs
        .filter_map(|(channel, sample)| match sample {
            Sample::Bad(value) => {
                Some(BadChannel { index, channel: channel.name.clone(), value: *value, plausible: channel.plausible })
            }
            _ => None,
        })
        .collect()
}
