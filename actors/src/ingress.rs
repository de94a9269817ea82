//! The ingress: admits posts, finds or registers their pumps, and takes permits for a whole post before any of it is
//! written.
//!
//! An example: a post with readings of P-1 and P-2. Its items are grouped by pump. Neither pump has reached its limit
//! of readings in flight, so each group gets permits and is sent to its pump's actor with a part of the response
//! ([`response`]). If P-2 had reached its limit, the whole post would be refused as busy, and nothing of it would be
//! written. The response is sent when both pumps have completed their parts.
//!
//! Does not parse items; the web crate does. Does not compare new readings with stored ones; each pump's actor does.

mod deferral;
pub(crate) mod in_flight;
mod last_rejections;
pub(crate) mod pump_table;
pub(crate) mod registration_limiter;
pub(crate) mod response;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Instant,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use volute_data::PumpRecord;
use volute_plant::{Draft, Profile, PumpId, Rejection, Sample, Timestamp, TimestampSource};
use volute_runtime::Envelope;

use crate::{
    catalog::Catalog,
    counters::Counters,
    kind::{PumpKind, RemoveKindError},
    node_clock::NodeClock,
    protocol::{
        ingress::{
            DetachError, DetachPump, Detached, DrainIngress, FindPump, FindPumpsOf, IngestRequest, PostSender,
            RemoveKind,
        },
        pump::{DrainPump, SubmitReadings, WithdrawPump},
    },
    pump::{
        context::{PumpContext, actor_id},
        handle::PumpHandle,
        launch::start_pump,
    },
    receipt::{BadChannel, IngestError, IngestResult, Queue, RETRY_AFTER_S, Receipt, RejectedItem},
    settings::IngestSettings,
};
use in_flight::{InFlightLimit, LimitReached, PumpInFlight, ReadingPermits};
use pump_table::{PumpTable, SharedPumpTable};
use registration_limiter::RegistrationLimiter;
use response::ResponsePart;

/// The actor that admits posts.
pub(crate) struct IngressActor {
    catalog: Catalog,
    settings: IngestSettings,
    context: Arc<PumpContext>,
    counters: Arc<Counters>,
    in_flight: InFlightLimit,
    pumps: SharedPumpTable,
    /// Limits how many new pumps a client may register. It outlives the actor.
    registration_limiter: Arc<Mutex<RegistrationLimiter>>,
    flags: RefusalConditions,
}

/// The arguments of the actor. All of them outlive it.
#[derive(Clone)]
pub(crate) struct IngressParts {
    pub settings: IngestSettings,
    pub catalog: Catalog,
    pub context: Arc<PumpContext>,
    pub pumps: SharedPumpTable,
    pub registration_limiter: Arc<Mutex<RegistrationLimiter>>,
    pub in_flight: InFlightLimit,
    pub flags: RefusalConditions,
}

/// The conditions under which no post is admitted. Shared with the actors and API routes that report them.
#[derive(Clone)]
pub(crate) struct RefusalConditions {
    /// The node is stopping.
    pub closing: Arc<AtomicBool>,
    /// The journal has failed.
    pub journal_failed: Arc<AtomicBool>,
    /// Whether the node's clock is trusted.
    pub clock: NodeClock,
}

impl RefusalConditions {
    pub(crate) fn new(clock: NodeClock) -> Self {
        Self { closing: Arc::default(), journal_failed: Arc::default(), clock }
    }
}

/// The items of a post by pump, each with its index in the post.
type ReadingsByPump = BTreeMap<PumpId, Vec<(usize, Draft)>>;

impl IngressActor {
    pub(crate) fn new(parts: IngressParts) -> Self {
        let IngressParts { settings, catalog, context, pumps, registration_limiter, in_flight, flags } = parts;
        let counters = context.counters.clone();
        Self { catalog, settings, context, counters, in_flight, pumps, registration_limiter, flags }
    }

    fn pumps(&self) -> MutexGuard<'_, PumpTable> {
        self.pumps.lock()
    }

    fn registration_limiter(&self) -> MutexGuard<'_, RegistrationLimiter> {
        self.registration_limiter.lock()
    }

    /// Groups the items of a post by pump. Items that are rejected here are added to the receipt.
    fn group_by_pump(&self, items: Vec<Option<Draft>>, may_register: bool, receipt: &mut Receipt) -> ReadingsByPump {
        let mut by_pump = ReadingsByPump::new();
        for (index, item) in items.into_iter().enumerate() {
            let Some(draft) = item else {
                receipt.unreadable += 1;
                continue;
            };
            match self.resolve_pump(draft, may_register) {
                Ok((pump, draft)) => by_pump.entry(pump).or_default().push((index, draft)),
                Err(rejection) => receipt.rejected.push(RejectedItem { index, rejection, retry_after_s: None }),
            }
        }
        for (pump, drafts) in &mut by_pump {
            self.reject_other_profiles(pump, drafts, receipt);
            reject_repeated_unstamped(pump, drafts, receipt);
        }
        by_pump.retain(|_, drafts| !drafts.is_empty());
        self.reject_surplus_pumps(&mut by_pump, receipt);
        by_pump
    }

    /// Rejects items that were parsed by another profile than that of their pump. The pump may have got another profile
    /// after the items were parsed. The profile of a new pump is that of its first item.
    fn reject_other_profiles(&self, pump: &PumpId, drafts: &mut Vec<(usize, Draft)>, receipt: &mut Receipt) {
        let known = self.pumps().active.get(pump).map(|handle| handle.kind.profile.clone());
        let named = || drafts.first().and_then(|(_, draft)| self.catalog.get(draft.profile.name()));
        let profile = known.or_else(|| named().map(|kind| kind.profile));
        drafts.retain(|(index, draft)| {
            let fits = |profile: &Profile| {
                profile.name() == draft.profile.name() && profile.has_channel_names_of(&draft.profile)
            };
            let same = profile.as_ref().is_some_and(fits);
            if !same {
                let value = draft.profile.name().to_owned();
                let (allowed, reason) = match &profile {
                    Some(profile) => {
                        (profile.name().to_owned(), format!("{pump} is of the profile {}", profile.name()))
                    }
                    // The profile was removed after the item was parsed.
                    None => (self.catalog.names().join(", "), format!("this node has no profile {value}")),
                };
                let rejection = Rejection::new("profile", Some(value), allowed, &reason);
                receipt.rejected.push(RejectedItem { index: *index, rejection, retry_after_s: None });
            }
            same
        });
    }

    /// Returns the pump of an item: the one that it names, or the default pump.
    fn resolve_pump(&self, draft: Draft, may_register: bool) -> Result<(PumpId, Draft), Rejection> {
        let pump = draft.pump.clone().unwrap_or_else(|| self.settings.default_pump.clone());
        let registers = self.settings.auto_register && may_register;
        if registers || self.pumps().active.contains_key(&pump) {
            return Ok((pump, draft));
        }
        let allowed = "a registered pump; this node does not register pumps by itself for this client (ingest.auto_register, or the right of its token)";
        Err(Rejection::new("pump_id", Some(pump.to_string()), allowed, "no such pump"))
    }

    /// Rejects the items of new pumps beyond `ingest.max_pumps`.
    fn reject_surplus_pumps(&self, by_pump: &mut ReadingsByPump, receipt: &mut Receipt) {
        let pumps = self.pumps();
        let mut known = pumps.active.len();
        by_pump.retain(|pump, drafts| {
            if pumps.active.contains_key(pump) {
                return true;
            }
            known += 1;
            if known <= self.settings.max_pumps {
                return true;
            }
            let allowed = format!("one of the {} pumps registered already (ingest.max_pumps)", self.settings.max_pumps);
            let rejection = Rejection::new("pump_id", Some(pump.to_string()), allowed, "no room for another pump");
            receipt.reject(drafts, &rejection, None);
            false
        });
    }

    /// Returns the permits of each pump's items, or an error if one pump gets none. The permits of a backlog are for one
    /// part at a time.
    fn acquire_permits(&self, by_pump: &ReadingsByPump) -> Result<Vec<(PumpInFlight, ReadingPermits)>, IngestError> {
        let busy = |queue| IngestError::Busy { queue, retry_after_s: RETRY_AFTER_S };
        if self.in_flight.is_full() && !by_pump.is_empty() {
            return Err(busy(Queue::Node));
        }
        let mut permits = Vec::with_capacity(by_pump.len());
        for (pump, drafts) in by_pump {
            let new_limit = || PumpInFlight::new(self.settings.max_in_flight_readings_per_pump);
            let limit = self.pumps().active.get(pump).map_or_else(new_limit, |handle| handle.in_flight.clone());
            let permits_of_pump = self.in_flight.try_acquire_of_pump(&limit, drafts.len()).map_err(|full| {
                busy(match full {
                    LimitReached::Pump => Queue::Pump,
                    LimitReached::Node => Queue::Node,
                    LimitReached::Backlogs => Queue::Backlogs,
                })
            })?;
            permits.push((limit, permits_of_pump));
        }
        Ok(permits)
    }

    /// Returns a pump's actor, and starts it for a new pump. The pump's registration is stored with its first reading.
    fn find_or_start_pump(
        &mut self,
        pump: &PumpId,
        kind: Option<PumpKind>,
        received: Timestamp,
        limit: PumpInFlight,
    ) -> PumpHandle {
        if let Some(handle) = self.pumps().active.get(pump) {
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
        self.pumps().active.insert(pump.clone(), handle.clone());
        handle
    }

    /// Admits the items of a post: sends each pump its items with a part of the response. Returns the receipt for the
    /// items that the ingress itself has rejected or deferred.
    fn admit(
        &mut self,
        items: Vec<Option<Draft>>,
        received: Timestamp,
        posted_at: Instant,
        sender: PostSender,
        response: &ResponsePart,
    ) -> IngestResult {
        if self.flags.closing.load(Ordering::Relaxed) {
            return Err(IngestError::Stopping);
        }
        if self.flags.journal_failed.load(Ordering::Relaxed) {
            return Err(IngestError::NotStored { retry_after_s: RETRY_AFTER_S });
        }
        self.flags.clock.check(&items, received)?;
        let mut receipt = Receipt::default();
        let mut by_pump = self.group_by_pump(items, sender.may_register, &mut receipt);
        self.defer_failed_pumps(&mut by_pump, &mut receipt)?;
        self.defer_detached_pumps(&mut by_pump, &mut receipt)?;
        let new = self.defer_new_pumps(sender.client, posted_at, &mut by_pump, &mut receipt)?;
        self.defer_past(received, &mut by_pump, &mut receipt)?;
        let permits = self.acquire_permits(&by_pump)?;
        if let Some(client) = sender.client.filter(|_| new > 0) {
            self.registration_limiter().spend(client, new, posted_at);
        }
        for ((pump, drafts), (limit, permits)) in by_pump.into_iter().zip(permits) {
            let kind = drafts.first().and_then(|(_, draft)| self.catalog.get(draft.profile.name()));
            let handle = self.find_or_start_pump(&pump, kind, received, limit);
            receipt.bad_channels.extend(drafts.iter().flat_map(|(index, draft)| bad_channels(*index, draft)));
            let message = SubmitReadings {
                drafts,
                received,
                posted_at,
                permits: Arc::new(permits),
                response: response.for_another_pump(),
            };
            // The permits bound the inbox. Sending fails only if the actor is gone; then the part is dropped, and the
            // post counts as not stored.
            let _ = handle.address.try_send(message);
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
        let IngestRequest { items, received, posted_at, sender, reply } = message.into_inner();
        let response = ResponsePart::first(reply, self.counters.clone());
        match self.admit(items, received, posted_at, sender, &response) {
            Ok(receipt) => response.complete_with_receipt(receipt),
            Err(error) => {
                self.counters.refuse(&error);
                response.fail(error);
            }
        }
    }
}

impl Handler<Envelope<FindPump>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<FindPump>, _: &mut Self::Context) {
        let FindPump { pump, register, reply } = message.into_inner();
        let found = match register {
            Some(at) if !self.flags.closing.load(Ordering::Relaxed) => Some(self.find_or_start_pump(
                &pump,
                None,
                at,
                PumpInFlight::new(self.settings.max_in_flight_readings_per_pump),
            )),
            _ => self.pumps().active.get(&pump).cloned(),
        };
        // Fails only if the caller has stopped waiting.
        let _ = reply.send(found);
    }
}

impl Handler<Envelope<DetachPump>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DetachPump>, _: &mut Self::Context) {
        let DetachPump { pump, reason, reply } = message.into_inner();
        let mut pumps = self.pumps();
        let taken = match pumps.active.remove(&pump) {
            // While the node stops, the running drain must find all pumps.
            Some(handle) if self.flags.closing.load(Ordering::Relaxed) => {
                pumps.active.insert(pump, handle);
                Err(DetachError::Stopping)
            }
            Some(handle) => {
                pumps.detached.insert(pump, reason);
                handle.in_flight.end_backlogs();
                Ok(handle)
            }
            None => Err(match pumps.detached.get(&pump) {
                Some(Detached::Removing) => DetachError::BeingRemoved,
                Some(Detached::Restarting) => DetachError::Restarting,
                None => DetachError::Unknown,
            }),
        };
        // Fails only if the caller has stopped waiting.
        let _ = reply.send(taken);
    }
}

impl Handler<Envelope<FindPumpsOf>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<FindPumpsOf>, _: &mut Self::Context) {
        let FindPumpsOf { profile, reply } = message.into_inner();
        let pumps = self.pumps();
        let of_kind = pumps.active.iter().filter(|(_, handle)| handle.kind.profile.name() == profile);
        // Fails only if the caller has stopped waiting.
        let _ = reply.send(of_kind.map(|(pump, handle)| (pump.clone(), handle.clone())).collect());
    }
}

impl Handler<Envelope<RemoveKind>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<RemoveKind>, _: &mut Self::Context) {
        let RemoveKind { profile: name, reply } = message.into_inner();
        if !self.context.store.has_complete_pump_list() {
            // Neither the database nor the copy of its list of pumps could be read, so an unknown pump may be of this
            // kind.
            let _ = reply.send(Err(RemoveKindError::Unavailable));
            return;
        }
        // New pumps of which nothing is stored yet, and pumps without an actor, count as well.
        let stored = self.context.store.pumps().into_iter().filter(|record| record.profile == name);
        let mut pumps: BTreeSet<PumpId> = stored.map(|record| record.id).collect();
        let active = self.pumps();
        let of_kind = active.active.iter().filter(|(_, handle)| handle.kind.profile.name() == name);
        pumps.extend(of_kind.map(|(pump, _)| pump.clone()));
        let default = self.catalog.default_kind().profile.name();
        let checked = RemoveKindError::check(&name, default, &self.catalog.names(), pumps.into_iter().collect());
        let removed = checked.and_then(|()| self.catalog.remove(&name).ok_or(RemoveKindError::Unavailable));
        // Fails only if the caller has stopped waiting.
        let _ = reply.send(removed);
    }
}

impl Handler<Envelope<WithdrawPump>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<WithdrawPump>, _: &mut Self::Context) {
        let WithdrawPump { pump, rejection } = message.into_inner();
        let mut pumps = self.pumps();
        if let Some(Rejection { field, message, .. }) = rejection
            && pumps.last_rejections.record(&pump, field, message.clone(), Instant::now())
        {
            tracing::warn!(
                pump = pump.as_str(),
                why = message,
                "all readings of a new pump are rejected, so it is not registered"
            );
        }
        if pumps.active.get(&pump).is_some_and(|handle| handle.in_flight.is_idle())
            && !self.context.store.is_registered(&pump)
        {
            pumps.active.remove(&pump);
            self.context.supervisor.retire(&actor_id(&pump));
            tracing::debug!(pump = pump.as_str(), "removed the actor of a new pump of which nothing was stored");
        }
    }
}

impl Handler<Envelope<DrainIngress>> for IngressActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainIngress>, ctx: &mut Self::Context) {
        let DrainIngress(reply) = message.into_inner();
        self.flags.closing.store(true, Ordering::Relaxed);
        let in_flight = self.in_flight.clone();
        let mut pumps = Vec::new();
        for handle in self.pumps().active.values() {
            handle.in_flight.end_backlogs();
            pumps.push(handle.address.clone());
        }
        let drained = async move {
            // Once all permits are returned, every item is durable and in its window, or refused.
            in_flight.wait_until_idle().await;
            let replies = pumps.iter().map(async |pump| {
                let (reply, done) = oneshot::channel();
                if pump.send(DrainPump(reply)).await.is_ok() {
                    let _ = done.await;
                }
            });
            join_all(replies).await;
            let _ = reply.send(());
        };
        ctx.spawn(drained.into_actor(self).map(|(), _, _| ()));
    }
}

/// Rejects a pump's items without a timestamp if two of them have the same channel, because it is not known which is
/// newer. Items with different channels are parts of one reading.
fn reject_repeated_unstamped(pump: &PumpId, drafts: &mut Vec<(usize, Draft)>, receipt: &mut Receipt) {
    let unstamped_drafts =
        || drafts.iter().map(|(_, draft)| draft).filter(|draft| draft.timestamp == TimestampSource::Received);
    let unstamped = unstamped_drafts().count();
    if unstamped < 2 {
        return;
    }
    let channels = drafts.iter().map(|(_, draft)| draft.samples.len()).max().unwrap_or(0);
    let has = |draft: &Draft, channel: usize| draft.samples.get(channel).is_some_and(|sample| sample.value().is_some());
    if (0..channels).all(|channel| unstamped_drafts().filter(|draft| has(draft, channel)).count() < 2) {
        return;
    }
    let reason = format!("{unstamped} items of {pump} in this post have no timestamp, and some have the same channel");
    drafts.retain(|(index, draft)| {
        let stamped = draft.timestamp != TimestampSource::Received;
        if !stamped {
            let allowed = "items without a timestamp only if no two have the same channel; or a timestamp for each";
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
