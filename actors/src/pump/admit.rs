//! Turns submitted items into durable readings: the first of a pump's four state machines. Does no I/O: the caller
//! passes the time.
//!
//! An example with two posts for one pump:
//!
//! 1. [`Admit::submit`] queues A, then B. [`Admit::next`] returns A and the lookup that A needs from the store.
//! 2. [`Admit::decide`] decides which items of A are new, late, duplicate, rejected or deferred, and returns a
//!    [`Batch`]. While the new readings of A are written, B is decided on; its items are also compared with the
//!    readings of A.
//! 3. When the write of A has ended, [`Admit::complete`] completes A's part of the response and returns its readings,
//!    which are durable now. Batches are completed in the order in which they were decided on, so B waits for A even if
//!    the write of B ended first.
//! 4. If the write of A failed, readings of B that are duplicates of readings of A are not stored. So if B has
//!    duplicates, it counts as not stored too, and the client has to post it again.
//!
//! A post with more readings of the pump than may be in flight at once is admitted in parts (see [`super::backlog`]).
//!
//! Does not write and does not query the store. Does not decide which of two readings with the same timestamp is kept;
//! see [`volute_plant::Admission`].

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use volute_plant::{
    Admission, AdmissionResult, AdmittedReading, ClockFault, DeviceClock, Draft, DraftOutcome, Lookup, LookupResult,
    Profile, PumpId, Reading, Rejection, Timestamp, TimestampLimits,
};

use super::backlog::{Backlog, BacklogEnd};
use crate::{
    ingress::{
        in_flight::ReadingPermits,
        response::{BatchOutcome, CompletedPart, ItemOutcome, ResponsePart},
    },
    protocol::{
        pump::SubmitReadings,
        recorder::{StoreFailure, StoreOutcome},
    },
    receipt::LONG_RETRY_AFTER_S,
};

/// Admits the items of one pump.
pub(super) struct Admit {
    admission: Admission,
    timestamp_limits: TimestampLimits,
    limits: BacklogLimits,
    /// Compares the pump's clock with the node's.
    device_clock: DeviceClock,
    backlog: Option<Backlog>,
    /// Submitted items in order of arrival. Bounded by the permits that they hold.
    waiting: VecDeque<SubmitReadings>,
    /// The number of batches so far. It is also the number of the last batch.
    batches: u64,
    /// Batches up to this number may contain duplicates of readings whose write failed.
    unreliable_duplicates_until: u64,
}

/// The limits of a backlog.
#[derive(Debug, Clone, Copy)]
pub(super) struct BacklogLimits {
    /// No part except the first starts later than this after the post arrived. In the first half of this time a part
    /// also waits until the queue of windows has room for it.
    pub timeout: Duration,
    /// The maximum number of the pump's windows that wait for a score.
    pub max_pending_windows: usize,
}

/// The state that decides whether the next part of a backlog may start.
#[derive(Clone, Copy)]
pub(super) struct BacklogState<'a> {
    pub now: Instant,
    /// Windows of the pump that wait for a score.
    pub pending_windows: usize,
    /// Returns whether readings of past minutes are accepted.
    pub accepts_past_minutes: &'a dyn Fn() -> bool,
}

/// Decided items of one post or of a part of one. The new readings are being stored.
pub(super) struct Batch {
    number: u64,
    pub readings: Vec<AdmittedReading>,
    outcomes: Vec<(usize, ItemOutcome)>,
    permits: Arc<ReadingPermits>,
    response: ResponsePart,
}

/// A batch whose write has ended.
pub(super) struct CompletedBatch {
    /// The new readings, now durable. Empty if the write failed.
    pub readings: Vec<AdmittedReading>,
    /// Why the last rejected item was rejected.
    pub rejection: Option<Rejection>,
    /// The in-flight permits of the items. Held until the readings are in their windows.
    pub permits: Arc<ReadingPermits>,
    /// The response is not sent before this is dropped.
    pub response: CompletedPart,
}

impl Admit {
    pub(super) fn new(
        pump: PumpId,
        profile: &Profile,
        timestamp_limits: TimestampLimits,
        limits: BacklogLimits,
    ) -> Self {
        Self {
            admission: Admission::new(pump, profile, timestamp_limits),
            timestamp_limits,
            limits,
            device_clock: DeviceClock::default(),
            backlog: None,
            waiting: VecDeque::new(),
            batches: 0,
            unreliable_duplicates_until: 0,
        }
    }

    /// Replays a stored reading after a restart.
    pub(super) fn replay(&mut self, reading: &Reading) {
        self.admission.replay(reading);
    }

    /// Records that up to this time there may be stored readings that could not be read.
    pub(super) fn mark_unread_until(&mut self, until: Timestamp) {
        self.admission.mark_unread_until(until);
    }

    /// Decides on items by this profile from now on.
    pub(super) fn change_profile(&mut self, profile: &Profile) {
        self.admission.change_profile(profile);
    }

    /// Returns what is wrong with the pump's clock, if anything.
    pub(super) fn clock_fault(&self) -> Option<ClockFault> {
        self.device_clock.fault()
    }

    /// Forgets all observations of the pump's clock. A played recording has past timestamps, which are no clock fault.
    pub(super) fn reset_clock(&mut self) {
        self.device_clock = DeviceClock::default();
    }

    /// Queues items behind those that were submitted before.
    pub(super) fn submit(&mut self, items: SubmitReadings) {
        self.waiting.push_back(items);
    }

    /// Returns the next items to decide on, if there are any and they may be decided on now. If `is_played` (the
    /// readings are played from a recording), their timestamps are not compared with the node's clock.
    pub(super) fn next(&mut self, is_played: bool, state: BacklogState<'_>) -> Option<(SubmitReadings, Lookup)> {
        let items = self.next_items(is_played, state)?;
        let lookup = self.admission.lookup(&items.drafts, items.received);
        Some((items, lookup))
    }

    /// Returns how much longer the next part of the backlog may wait for room in the queue of windows. None if there is
    /// no backlog.
    pub(super) fn backlog_wait(&self, now: Instant) -> Option<Duration> {
        let backlog = self.backlog.as_ref()?;
        Some((self.limits.timeout / 2).saturating_sub(backlog.elapsed(now)))
    }

    /// Decides on items. `stored` is what the store returned for their lookup.
    pub(super) fn decide(&mut self, items: SubmitReadings, stored: &LookupResult) -> Batch {
        let SubmitReadings { drafts, received, posted_at: _, permits, response } = items;
        let AdmissionResult { outcomes, readings } = self.admission.admit(drafts, received, stored);
        let item_outcome = |outcome| match outcome {
            DraftOutcome::New { late: false } => ItemOutcome::Accepted,
            DraftOutcome::New { late: true } => ItemOutcome::Late,
            DraftOutcome::Duplicate { .. } => ItemOutcome::Duplicate,
            DraftOutcome::Rejected(rejection) => ItemOutcome::Rejected(rejection),
            DraftOutcome::Deferred(rejection) => ItemOutcome::Deferred(rejection, LONG_RETRY_AFTER_S),
        };
        let outcomes = outcomes.into_iter().map(|(index, outcome)| (index, item_outcome(outcome))).collect();
        self.batches += 1;
        Batch { number: self.batches, readings, outcomes, permits, response }
    }

    /// Completes the items as not stored, because the store could not be queried.
    pub(super) fn lookup_failed(&mut self, items: SubmitReadings) {
        let indices = items.drafts.into_iter().map(|(index, _)| index);
        drop(items.response.not_stored(indices, StoreFailure::Failed));
        self.part_ended(self.batches + 1, false);
    }

    /// Marks the last batch as ended, because its part of the response is completed elsewhere
    /// ([`Batch::complete_without_pump`]).
    pub(super) fn abandon_last(&mut self) {
        self.part_ended(self.batches, false);
    }

    /// Completes a batch whose write has ended. Must be called in the order in which the batches were decided on.
    pub(super) fn complete(&mut self, batch: Batch, stored: StoreOutcome) -> CompletedBatch {
        let Batch { number, readings, outcomes, permits, response } = batch;
        for admitted in &readings {
            self.admission.complete(admitted.reading.at, stored.is_ok());
        }
        if stored.is_err() {
            self.unreliable_duplicates_until = self.batches;
        }
        let has_unreliable_duplicates = has_duplicates(&outcomes) && number <= self.unreliable_duplicates_until;
        let durable = if has_unreliable_duplicates { stored.and(Err(StoreFailure::Failed)) } else { stored };
        let rejection = outcomes.iter().rev().find_map(|(_, outcome)| match outcome {
            ItemOutcome::Rejected(rejection) => Some(rejection.clone()),
            _ => None,
        });
        // From here on the outcome for the client is fixed, even if the pump's actor fails.
        let response = response.complete(BatchOutcome { outcomes, durable });
        self.part_ended(number, durable.is_ok());
        let readings = if stored.is_ok() { readings } else { Vec::new() };
        CompletedBatch { readings, rejection, permits, response }
    }

    /// Returns the next part of the backlog, or the next items if there is no backlog.
    fn next_items(&mut self, is_played: bool, state: BacklogState<'_>) -> Option<SubmitReadings> {
        loop {
            if self.backlog.is_some() {
                match self.next_part(state) {
                    Some(part) => return Some(part),
                    None if self.backlog.is_some() => return None,
                    None => {}
                }
            }
            let items = self.waiting.pop_front()?;
            if !is_played {
                self.observe_clock(&items);
            }
            match items.permits.max_part_len() {
                Some(part) if items.drafts.len() > part.get() => self.backlog = Some(Backlog::new(items, part)),
                _ => return Some(items),
            }
        }
    }

    /// Returns the next part of the backlog if it may start now. Ends a backlog that cannot be continued.
    fn next_part(&mut self, state: BacklogState<'_>) -> Option<SubmitReadings> {
        let BacklogState { now, pending_windows, accepts_past_minutes } = state;
        let limits = self.limits;
        let backlog = self.backlog.as_mut().filter(|backlog| !backlog.has_part_in_flight())?;
        let elapsed = backlog.elapsed(now);
        let room = limits.max_pending_windows.saturating_sub(pending_windows);
        if pending_windows > 0 && room < backlog.part_len() && elapsed < limits.timeout / 2 && !backlog.is_closed() {
            return None;
        }
        let received = backlog.received();
        let is_past = |draft: &Draft| is_past_reading(draft, received, &self.timestamp_limits);
        if backlog.has_durable_part() && backlog.any(is_past) && !accepts_past_minutes() {
            backlog.defer_past(is_past);
        }
        let end = if !backlog.has_durable_part() {
            // The ingress checked the limits before it admitted the post.
            None
        } else if backlog.is_closed() {
            Some(BacklogEnd::Closing)
        } else {
            // If all remaining items were just deferred, the backlog has no items left to report, so the reason of its
            // end does not matter.
            (elapsed >= limits.timeout || backlog.is_empty()).then_some(BacklogEnd::Timeout)
        };
        let Some(end) = end else { return backlog.next_part(self.batches + 1, now) };
        backlog.end(end);
        self.backlog = None;
        None
    }

    /// Marks the batch with this number as ended if it is a part of the backlog.
    fn part_ended(&mut self, number: u64, is_durable: bool) {
        let Some(backlog) = &mut self.backlog else { return };
        if backlog.part_ended(number, is_durable) && backlog.is_empty() {
            self.backlog = None;
        }
    }

    /// Compares the timestamps of a post with the node's clock. The timestamps of all parts of a backlog are observed
    /// together.
    fn observe_clock(&mut self, items: &SubmitReadings) {
        let times = items.drafts.iter().filter_map(|(_, draft)| draft.timestamp.device());
        self.device_clock.observe(times, items.received, &self.timestamp_limits);
    }
}

impl Batch {
    /// Returns the readings to store.
    pub(super) fn to_store(&self) -> Vec<Reading> {
        self.readings.iter().map(|admitted| admitted.reading.clone()).collect()
    }

    /// Completes the batch's part of the response after the pump's actor has ended. Only the actor knew whether the
    /// batches before this one were stored, so a batch with duplicates counts as not stored.
    pub(super) fn complete_without_pump(self, stored: StoreOutcome) {
        let durable = if has_duplicates(&self.outcomes) { stored.and(Err(StoreFailure::Failed)) } else { stored };
        drop(self.permits);
        drop(self.response.complete(BatchOutcome { outcomes: self.outcomes, durable }));
    }
}

/// Returns whether a draft counts against the limit of past minutes. Recent readings do not, nor do readings that are
/// too old to be accepted.
pub(crate) fn is_past_reading(draft: &Draft, received: Timestamp, timestamp_limits: &TimestampLimits) -> bool {
    let age_ms = |at: Timestamp| received.since_ms(at);
    draft
        .timestamp
        .device()
        .is_some_and(|at| (volute_data::PAST_AGE_MS..=timestamp_limits.max_age_ms).contains(&age_ms(at)))
}

/// Returns whether any item is a duplicate.
fn has_duplicates(outcomes: &[(usize, ItemOutcome)]) -> bool {
    outcomes.iter().any(|(_, outcome)| *outcome == ItemOutcome::Duplicate)
}

#[cfg(test)]
#[path = "admit/tests.rs"]
mod tests;
