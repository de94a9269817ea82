//! A post with more readings of one pump than have room at once: they are taken in parts, one after the other.
//!
//! An example, with room for 1,000 readings of a pump. A gateway was cut off for an hour and posts 3,600 readings:
//!
//! 1. They are sorted by time, and the first 500 are judged, written and put into the window.
//! 2. When these are durable the next 500 have their turn, with the same places in the pump's room: nobody can take these
//!    meanwhile, and 500 are left for what else the pump posts. That waits until the backlog has ended, so the window sees
//!    the backlog's readings first, and none of them is late.
//! 3. With the last part the post is answered, once, with the sum of all parts.
//!
//! A backlog that cannot go on is given up ([`End`]). What was taken by then is durable and counted; the rest is listed in
//! the answer as to be sent again. No part is begun later than `ingest.backlog_answer_s` after the post came. In the first
//! half of that time a part also waits until the pump's windows have room to be scored, so that none is skipped.
//!
//! Does not decide how much room there is (`gate/room.rs`), nor what becomes of a single reading (`admission.rs`).

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};
use volute_data::StoreError;
use volute_plant::{Draft, LISTED, LookupResult, Rejection, Stamp, Timestamp};

use super::{Offer, Outcome, PumpActor, Settlement};
use crate::{
    gate::{LONG_RETRY_AFTER_S, Permit, RETRY_AFTER_S, Share, no_room_for_past},
    recorder::Unstored,
};

/// Offers whose turn has not come, and the backlog that is before them.
#[derive(Default)]
pub(super) struct Turns {
    backlog: Option<Backlog>,
    /// Bounded by the permits that they hold.
    offers: VecDeque<Offer>,
    /// Ends the backlog's patience with the scoring.
    timer: Option<SpawnHandle>,
}

/// The readings of a post that are taken in parts.
struct Backlog {
    /// What has had no turn, in the order of its times.
    rest: VecDeque<(usize, Draft)>,
    received: Timestamp,
    since: Instant,
    /// It is the same for all parts, so it is there for the next one when one has ended.
    permit: Arc<Permit>,
    part: NonZeroUsize,
    /// For the rest. None once the backlog has ended.
    answer: Option<Share>,
    /// The number of the part that is under way.
    under_way: Option<u64>,
    /// Some of it is durable.
    is_begun: bool,
}

/// Why a backlog ends before its last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    TimeIsUp,
    /// The node stops, or the pump is removed.
    Closing,
    /// A part could not be stored.
    Unstored,
    /// The pump's actor broke.
    Broken,
}

impl Turns {
    /// The part with this number has settled.
    pub(super) fn settled(&mut self, number: u64, is_durable: bool) {
        let Some(backlog) = self.backlog.as_mut().filter(|backlog| backlog.under_way == Some(number)) else { return };
        backlog.under_way = None;
        backlog.is_begun |= is_durable;
        if !is_durable {
            backlog.end(End::Unstored);
        }
        if backlog.rest.is_empty() {
            self.backlog = None;
        }
    }
}

impl Backlog {
    fn new(offer: Offer, part: NonZeroUsize) -> Self {
        let Offer { mut drafts, received, since, permit, answer } = offer;
        // Stable, and as an offer is sorted when it is judged.
        drafts.sort_by_key(time);
        let (rest, answer) = (drafts.into(), Some(answer));
        Self { rest, received, since, permit, part, answer, under_way: None, is_begun: false }
    }

    /// The next part, which gets this number.
    fn next_part(&mut self, number: u64) -> Option<Offer> {
        let answer = self.answer.as_ref()?.part(self.is_begun);
        let drafts = self.rest.drain(..next_len(&self.rest, self.part)).collect();
        // What it has waited for its turn is no latency of the gate.
        let since = if self.is_begun { Instant::now() } else { self.since };
        self.under_way = Some(number);
        Some(Offer { drafts, received: self.received, since, permit: self.permit.clone(), answer })
    }

    /// Has the rest sent again.
    fn end(&mut self, end: End) {
        let Some(answer) = self.answer.take() else { return };
        let mut indices: Vec<usize> = self.rest.drain(..).map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(answer.settle(deferred(indices, &end.rejection(), end.retry_after_s())));
    }

    /// Has those of the rest sent again that need room for minutes of the past, which is full. The others go on.
    fn put_off_past(&mut self, is_past: impl Fn(&Draft) -> bool) {
        let Some(answer) = &self.answer else { return };
        let (past, rest): (VecDeque<_>, VecDeque<_>) = self.rest.drain(..).partition(|(_, draft)| is_past(draft));
        self.rest = rest;
        let mut indices: Vec<usize> = past.into_iter().map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(answer.part(true).settle(deferred(indices, &no_room_for_past(), LONG_RETRY_AFTER_S)));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.end(End::Broken);
    }
}

impl End {
    fn rejection(self) -> Rejection {
        let reason = match self {
            Self::TimeIsUp => {
                "the post took too long (ingest.backlog_answer_s), and had to be answered before this item"
            }
            Self::Closing => "the node stops, or the pump is being removed; this item was not taken",
            Self::Unstored => {
                "an earlier item of this pump in this post could not be stored, so this one was not taken"
            }
            Self::Broken => "the pump's actor broke before this item was taken",
        };
        Rejection::new("", serde_json::Value::Null, "this item once more, later", reason)
    }

    fn retry_after_s(self) -> u64 {
        match self {
            Self::TimeIsUp | Self::Unstored => RETRY_AFTER_S,
            Self::Closing | Self::Broken => LONG_RETRY_AFTER_S,
        }
    }
}

/// These items are to be sent again.
fn deferred(indices: Vec<usize>, rejection: &Rejection, retry_after_s: u64) -> Settlement {
    let outcome = |(place, index)| {
        // No answer lists more of them.
        let rejection = if place < LISTED { rejection.clone() } else { Rejection::unlisted() };
        (index, Outcome::Deferred(rejection, retry_after_s))
    };
    Settlement { outcomes: indices.into_iter().enumerate().map(outcome).collect(), durable: Ok(()) }
}

/// By what the items of a post are sorted: those without a time come last.
fn time((_, draft): &(usize, Draft)) -> (bool, Option<Timestamp>) {
    (draft.stamp == Stamp::Received, draft.stamp.device())
}

/// How many items the next part has. Items of one time stay together where they have room: they are one reading.
fn next_len(rest: &VecDeque<(usize, Draft)>, part: NonZeroUsize) -> usize {
    let len = part.get().min(rest.len());
    let Some(next) = rest.get(len).map(time) else { return len };
    let last = rest.range(..len).rposition(|draft| time(draft) != next);
    last.map_or(len, |last| last + 1)
}

impl PumpActor {
    /// Another offer, which has its turn after those before it.
    pub(super) fn take_turn(&mut self, offer: Offer, ctx: &mut Context<Self>) {
        self.turns.offers.push_back(offer);
        self.go_on(ctx);
    }

    /// Judges all offers whose turn has come.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        while let Some(offer) = self.next_offer(ctx) {
            let lookup = self.admission.lookup(&offer.drafts, offer.received);
            if lookup.is_empty() {
                self.judge(offer, &LookupResult::default());
                continue;
            }
            let (store, pump) = (self.staff.store.clone(), self.pump.clone());
            let lookup = async move { store.look_up(&pump, &lookup).await };
            // The actor handles nothing else until it knows: judging must follow the order of arrival.
            let found = lookup.into_actor(self).map(|found: Result<LookupResult, StoreError>, actor, ctx| {
                match found {
                    Ok(stored) => actor.judge(offer, &stored),
                    Err(error) => actor.give_back(offer, &error),
                }
                actor.go_on(ctx);
            });
            ctx.wait(found);
            return;
        }
    }

    /// What is stored could not be read: the offer is not taken.
    fn give_back(&mut self, offer: Offer, error: &StoreError) {
        tracing::error!(pump = self.pump.as_str(), %error, "lookup failed");
        let indices = offer.drafts.into_iter().map(|(index, _)| index);
        drop(offer.answer.not_stored(indices, Unstored::Failed));
        self.turns.settled(self.offers + 1, false);
    }

    /// The next offer to be judged, if one may be now.
    fn next_offer(&mut self, ctx: &mut Context<Self>) -> Option<Offer> {
        loop {
            if self.turns.backlog.is_some() {
                match self.next_part() {
                    Some(part) => return Some(part),
                    None if self.turns.backlog.is_some() => return None,
                    None => continue,
                }
            }
            let offer = self.turns.offers.pop_front()?;
            self.observe_clock(&offer);
            match offer.permit.part() {
                Some(part) if offer.drafts.len() > part.get() => {
                    self.turns.backlog = Some(Backlog::new(offer, part));
                    // Where the scoring makes no room it goes on without.
                    let timer = ctx.run_later(self.patience_with_scores(), |actor, ctx| actor.go_on(ctx));
                    if let Some(timer) = self.turns.timer.replace(timer) {
                        ctx.cancel_future(timer);
                    }
                }
                _ => return Some(offer),
            }
        }
    }

    /// How long a part waits for the windows before it.
    fn patience_with_scores(&self) -> Duration {
        self.staff.ingest.backlog_answer / 2
    }

    /// The next part of the backlog, if it may be judged now. A backlog that cannot go on is no more after this.
    fn next_part(&mut self) -> Option<Offer> {
        let (limit, patience) = (self.staff.ingest.backlog_answer, self.patience_with_scores());
        let backlog = self.turns.backlog.as_mut().filter(|backlog| backlog.under_way.is_none())?;
        let (waited, windows) = (backlog.since.elapsed(), self.windows.len());
        let room = self.staff.queued_windows_per_pump.saturating_sub(windows);
        if windows > 0 && room < backlog.part.get() && waited < patience && !backlog.permit.is_ended() {
            return None;
        }
        let (staff, received) = (&self.staff, backlog.received);
        let is_past = |draft: &Draft| staff.is_of_past(draft, received);
        let needs_room = backlog.is_begun && backlog.rest.iter().any(|(_, draft)| is_past(draft));
        if needs_room && !staff.has_room_for_past(&self.pump) {
            backlog.put_off_past(is_past);
        }
        let end = if !backlog.is_begun {
            // It was asked before the post was let in.
            None
        } else if backlog.permit.is_ended() {
            Some(End::Closing)
        } else {
            // Where nothing is left it has ended with what was put off.
            (waited >= limit || backlog.rest.is_empty()).then_some(End::TimeIsUp)
        };
        let Some(end) = end else { return backlog.next_part(self.offers + 1) };
        backlog.end(end);
        self.turns.backlog = None;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(times: &[Option<i64>]) -> VecDeque<(usize, Draft)> {
        let stamp = |at: Option<i64>| match at {
            Some(ms) => Stamp::Device(Timestamp::from_millis(1_773_050_400_000 + ms).expect("a time")),
            None => Stamp::Received,
        };
        let draft = |at: &Option<i64>| Draft { pump: None, stamp: stamp(*at), samples: Arc::new([]) };
        times.iter().map(draft).enumerate().collect()
    }

    #[test]
    fn items_of_one_time_stay_together_where_they_have_room() {
        let at = Some;
        for (times, part, len) in [
            (vec![at(1), at(2), at(3)], 2, 2),
            (vec![at(1), at(2)], 2, 2),
            (vec![at(1)], 2, 1),
            (vec![], 2, 0),
            (vec![at(1), at(2), at(2), at(3)], 2, 1),
            (vec![at(1), at(2), at(2), at(3)], 3, 3),
            (vec![at(1), at(1), at(1)], 2, 2),
            (vec![at(1), None, None], 2, 1),
            (vec![at(1), at(2), None], 2, 2),
        ] {
            let rest = drafts(&times);
            assert_eq!(next_len(&rest, NonZeroUsize::new(part).expect("some")), len, "{times:?} in parts of {part}");
        }
    }
}
