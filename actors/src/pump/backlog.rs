//! Admits a post with more readings of one pump than may be in flight at once: in parts, one after the other.
//!
//! An example, with a limit of 1,000 readings in flight for a pump. A gateway was disconnected for an hour and posts
//! 3,600 readings:
//!
//! 1. The readings are sorted by time. The first 500 are decided on, written and added to the window.
//! 2. When these are durable, the next 500 follow with the same permits. The backlog takes 500 readings of the pump's
//!    limit for its whole duration; the other 500 are left for further posts. Readings of further posts wait until the
//!    backlog has ended, so the window receives the backlog's readings first, and none of them is late.
//! 3. After the last part the post gets one response, with the sum of all parts.
//!
//! A backlog that cannot be continued ends early ([`BacklogEnd`]). The parts that were admitted before are durable and
//! counted. The response lists the remaining items as deferred, so the client posts them again. No part except the
//! first starts later than `ingest.backlog_timeout_s` after the post arrived. In the first half of that time a part
//! also waits until the pump's queue of windows has room for it, so that no window is skipped.
//!
//! Does not decide how many readings may be in flight; see [`crate::ingress::in_flight`]. Does not decide which post is
//! next; see [`super::admit`].

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use volute_plant::{Draft, Rejection, Timestamp, TimestampSource};

use crate::{
    ingress::{
        in_flight::ReadingPermits,
        response::{BatchOutcome, ItemOutcome, ResponsePart},
    },
    protocol::pump::SubmitReadings,
    receipt::{LONG_RETRY_AFTER_S, MAX_LISTED, RETRY_AFTER_S, past_minutes_full},
};

/// The readings of a post that is admitted in parts.
pub(super) struct Backlog {
    /// The items that no part has contained yet, sorted by time.
    remaining: VecDeque<(usize, Draft)>,
    received: Timestamp,
    posted_at: Instant,
    /// All parts share these permits, so the next part needs no new ones.
    permits: Arc<ReadingPermits>,
    part: NonZeroUsize,
    /// Holds the response open for the remaining items. None once the backlog has ended.
    response: Option<ResponsePart>,
    /// The batch number of the part in flight.
    part_in_flight: Option<u64>,
    /// Whether at least one part is durable.
    has_durable_part: bool,
}

/// Why a backlog ends before its last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BacklogEnd {
    Timeout,
    /// The node is stopping, or the pump is being removed.
    Closing,
    /// A part could not be stored.
    WriteFailed,
    /// The pump's actor failed.
    ActorFailed,
}

impl Backlog {
    pub(super) fn new(items: SubmitReadings, part: NonZeroUsize) -> Self {
        let SubmitReadings { mut drafts, received, posted_at, permits, response } = items;
        // A stable sort, by the same key by which a batch is sorted when it is decided on.
        drafts.sort_by_key(sort_key);
        let (remaining, response) = (drafts.into(), Some(response));
        Self { remaining, received, posted_at, permits, part, response, part_in_flight: None, has_durable_part: false }
    }

    pub(super) fn received(&self) -> Timestamp {
        self.received
    }

    /// Returns how long ago the post arrived.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.posted_at)
    }

    /// Returns the number of readings in one part.
    pub(super) fn part_len(&self) -> usize {
        self.part.get()
    }

    pub(super) fn has_part_in_flight(&self) -> bool {
        self.part_in_flight.is_some()
    }

    /// Returns whether at least one part is durable.
    pub(super) fn has_durable_part(&self) -> bool {
        self.has_durable_part
    }

    /// Returns whether no items remain.
    pub(super) fn is_empty(&self) -> bool {
        self.remaining.is_empty()
    }

    /// Returns whether no further part may start: the node is stopping, or the pump is being removed.
    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_ended()
    }

    /// Returns whether the predicate holds for any of the remaining items.
    pub(super) fn any(&self, predicate: impl Fn(&Draft) -> bool) -> bool {
        self.remaining.iter().any(|(_, draft)| predicate(draft))
    }

    /// Returns the next part, which becomes the batch with this number.
    pub(super) fn next_part(&mut self, number: u64, now: Instant) -> Option<SubmitReadings> {
        let response = self.response.as_ref()?.part(self.has_durable_part);
        let drafts = self.remaining.drain(..next_len(&self.remaining, self.part)).collect();
        // The ingress latency of a later part does not include the time that it waited for earlier parts.
        let posted_at = if self.has_durable_part { now } else { self.posted_at };
        self.part_in_flight = Some(number);
        Some(SubmitReadings { drafts, received: self.received, posted_at, permits: self.permits.clone(), response })
    }

    /// Marks a part as durable or failed. Returns whether it belonged to this backlog.
    pub(super) fn part_ended(&mut self, number: u64, is_durable: bool) -> bool {
        if self.part_in_flight != Some(number) {
            return false;
        }
        self.part_in_flight = None;
        self.has_durable_part |= is_durable;
        if !is_durable {
            self.end(BacklogEnd::WriteFailed);
        }
        true
    }

    /// Ends the backlog: all remaining items are deferred.
    pub(super) fn end(&mut self, end: BacklogEnd) {
        let Some(response) = self.response.take() else { return };
        let mut indices: Vec<usize> = self.remaining.drain(..).map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(response.complete(deferred(indices, &end.rejection(), end.retry_after_s())));
    }

    /// Defers the remaining items of past minutes, because too many past minutes wait for the database. The backlog
    /// continues with the other items.
    pub(super) fn defer_past(&mut self, is_past: impl Fn(&Draft) -> bool) {
        let Some(response) = &self.response else { return };
        let (past, remaining): (VecDeque<_>, VecDeque<_>) =
            self.remaining.drain(..).partition(|(_, draft)| is_past(draft));
        self.remaining = remaining;
        let mut indices: Vec<usize> = past.into_iter().map(|(index, _)| index).collect();
        indices.sort_unstable();
        drop(response.part(true).complete(deferred(indices, &past_minutes_full(), LONG_RETRY_AFTER_S)));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.end(BacklogEnd::ActorFailed);
    }
}

impl BacklogEnd {
    fn rejection(self) -> Rejection {
        let reason = match self {
            Self::Timeout => {
                "the post took too long (ingest.backlog_timeout_s), and had to be answered before this item"
            }
            Self::Closing => "the node is stopping, or the pump is being removed; this item was not taken",
            Self::WriteFailed => {
                "an earlier item of this pump in this post could not be stored, so this one was not taken"
            }
            Self::ActorFailed => "the pump's actor failed before this item was taken",
        };
        Rejection::new("", None, "this item once more, later", reason)
    }

    fn retry_after_s(self) -> u64 {
        match self {
            Self::Timeout | Self::WriteFailed => RETRY_AFTER_S,
            Self::Closing | Self::ActorFailed => LONG_RETRY_AFTER_S,
        }
    }
}

/// Returns the outcome of items that the client is to post again.
fn deferred(indices: Vec<usize>, rejection: &Rejection, retry_after_s: u64) -> BatchOutcome {
    let outcome = |(position, index)| {
        // A response lists at most `MAX_LISTED` rejections in full.
        let rejection = if position < MAX_LISTED { rejection.clone() } else { Rejection::unlisted() };
        (index, ItemOutcome::Deferred(rejection, retry_after_s))
    };
    BatchOutcome { outcomes: indices.into_iter().enumerate().map(outcome).collect(), durable: Ok(()) }
}

/// Returns the key by which items are sorted: by timestamp, with items without a timestamp last.
fn sort_key((_, draft): &(usize, Draft)) -> (bool, Option<Timestamp>) {
    (draft.timestamp == TimestampSource::Received, draft.timestamp.device())
}

/// Returns the number of items in the next part. Items with the same timestamp are one reading and stay in one part if
/// they fit.
fn next_len(remaining: &VecDeque<(usize, Draft)>, part: NonZeroUsize) -> usize {
    let len = part.get().min(remaining.len());
    let Some(next) = remaining.get(len).map(sort_key) else { return len };
    let last = remaining.range(..len).rposition(|draft| sort_key(draft) != next);
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
            |at: &Option<i64>| Draft { pump: None, profile: profile(), timestamp: stamp(*at), samples: Arc::new([]) };
        times.iter().map(draft).enumerate().collect()
    }

    #[test]
    fn items_with_one_timestamp_stay_together_if_they_fit() {
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
            let remaining = drafts(&times);
            assert_eq!(
                next_len(&remaining, NonZeroUsize::new(part).expect("some")),
                len,
                "{times:?} in parts of {part}"
            );
        }
    }
}
