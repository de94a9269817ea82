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
//! Does not decide how much room there is ([`crate::ingress::in_flight`]), nor whose turn it is ([`super::admit`]).

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use volute_plant::{Draft, Rejection, Timestamp, TimestampSource};

use crate::{
    ingress::{
        in_flight::Permit,
        response::{BatchOutcome, ItemOutcome, ResponsePart},
    },
    protocol::pump::SubmitReadings,
    receipt::{LISTED, LONG_RETRY_AFTER_S, RETRY_AFTER_S, no_room_for_past},
};

/// The readings of a post that are taken in parts.
pub(super) struct Backlog {
    /// What has had no turn, in the order of its times.
    rest: VecDeque<(usize, Draft)>,
    received: Timestamp,
    since: Instant,
    /// It is the same for all parts, so it is there for the next one when one has ended.
    permit: Arc<Permit>,
    part: NonZeroUsize,
    /// For the rest. None once the backlog has ended.
    response: Option<ResponsePart>,
    /// The number of the part that is under way.
    under_way: Option<u64>,
    /// Some of it is durable.
    is_begun: bool,
}

/// Why a backlog ends before its last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    TimeIsUp,
    /// The node stops, or the pump is removed.
    Closing,
    /// A part could not be stored.
    Unstored,
    /// The pump's actor broke.
    Broken,
}

impl Backlog {
    pub(super) fn new(items: SubmitReadings, part: NonZeroUsize) -> Self {
        let SubmitReadings { mut drafts, received, since, permit, response } = items;
        // Stable, and as a batch is sorted when it is judged.
        drafts.sort_by_key(time);
        let (rest, response) = (drafts.into(), Some(response));
        Self { rest, received, since, permit, part, response, under_way: None, is_begun: false }
    }

    pub(super) fn received(&self) -> Timestamp {
        self.received
    }

    /// How long ago the post came.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Readings in one part.
    pub(super) fn part_len(&self) -> usize {
        self.part.get()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether some of it is durable.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether no part is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether no backlog may go on: the node stops, or the pump is removed.
    pub(super) fn is_closed(&self) -> bool {
        self.permit.is_ended()
    }

    /// Whether what is left has an item such as this.
    pub(super) fn holds(&self, is_such: impl Fn(&Draft) -> bool) -> bool {
        self.rest.iter().any(|(_, draft)| is_such(draft))
    }

    /// Returns the next part, which gets this number.
    pub(super) fn next_part(&mut self, number: u64, now: Instant) -> Option<SubmitReadings> {
        let response = self.response.as_ref()?.part(self.is_begun);
        let drafts = self.rest.drain(..next_len(&self.rest, self.part)).collect();
        // What it has waited for its turn is no latency of the ingress.
        let since = if self.is_begun { now } else { self.since };
        self.under_way = Some(number);
        Some(SubmitReadings { drafts, received: self.received, since, permit: self.permit.clone(), response })
    }

    /// A part has ended. Returns whether it was one of this backlog's.
    pub(super) fn part_ended(&mut self, number: u64, is_durable: bool) -> bool {
        if self.under_way != Some(number) {
            return false;
        }
        self.under_way = None;
        self.is_begun |= is_durable;
        if !is_durable {
            self.end(End::Unstored);
        }
        true
    }

    /// Has the rest sent again.
    pub(super) fn end(&mut self, end: End) {
        let Some(response) = self.response.take() else { return };
        let mut indices: Vec<usize> = self.rest.drain(..).map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(response.settle(deferred(indices, &end.rejection(), end.retry_after_s())));
    }

    /// Has those of the rest sent again that need room for minutes of the past, which is full. The others go on.
    pub(super) fn put_off_past(&mut self, is_past: impl Fn(&Draft) -> bool) {
        let Some(response) = &self.response else { return };
        let (past, rest): (VecDeque<_>, VecDeque<_>) = self.rest.drain(..).partition(|(_, draft)| is_past(draft));
        self.rest = rest;
        let mut indices: Vec<usize> = past.into_iter().map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(response.part(true).settle(deferred(indices, &no_room_for_past(), LONG_RETRY_AFTER_S)));
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
        Rejection::new("", None, "this item once more, later", reason)
    }

    fn retry_after_s(self) -> u64 {
        match self {
            Self::TimeIsUp | Self::Unstored => RETRY_AFTER_S,
            Self::Closing | Self::Broken => LONG_RETRY_AFTER_S,
        }
    }
}

/// These items are to be sent again.
fn deferred(indices: Vec<usize>, rejection: &Rejection, retry_after_s: u64) -> BatchOutcome {
    let outcome = |(place, index)| {
        // No answer lists more of them.
        let rejection = if place < LISTED { rejection.clone() } else { Rejection::unlisted() };
        (index, ItemOutcome::Deferred(rejection, retry_after_s))
    };
    BatchOutcome { outcomes: indices.into_iter().enumerate().map(outcome).collect(), durable: Ok(()) }
}

/// By what the items of a post are sorted: those without a time come last.
fn time((_, draft): &(usize, Draft)) -> (bool, Option<Timestamp>) {
    (draft.stamp == TimestampSource::Received, draft.stamp.device())
}

/// How many items the next part has. Items of one time stay together where they have room: they are one reading.
fn next_len(rest: &VecDeque<(usize, Draft)>, part: NonZeroUsize) -> usize {
    let len = part.get().min(rest.len());
    let Some(next) = rest.get(len).map(time) else { return len };
    let last = rest.range(..len).rposition(|draft| time(draft) != next);
    last.map_or(len, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    fn drafts(times: &[Option<i64>]) -> VecDeque<(usize, Draft)> {
        let stamp = |at: Option<i64>| match at {
            Some(ms) => TimestampSource::Device(Timestamp::from_millis(1_773_050_400_000 + ms).expect("a time")),
            None => TimestampSource::Received,
        };
        let draft =
            |at: &Option<i64>| Draft { pump: None, profile: profile(), stamp: stamp(*at), samples: Arc::new([]) };
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
