//! From submitted items to durable readings: the first of a pump's three state machines. Pure: time is passed in.
//!
//! A batch's way, with two posts for one pump:
//!
//! 1. [`Admit::submit`] A, then B. [`Admit::next`] returns A and what the store has to be asked about it.
//! 2. [`Admit::judge`] says which items of A are new, duplicates, late or rejected, and returns a [`Batch`]: its new readings
//!    are written, and meanwhile B is judged, against A's readings too.
//! 3. When the write of A has ended, [`Admit::complete`] sends A's part of the response and returns its readings, now durable.
//!    B has its turn after A, in the order of admission, even where its write ended first.
//! 4. Where the write of A failed, duplicates of its readings in B are not known to be stored: B is to be sent again too.
//!
//! A post with more readings of the pump than have room at once is taken in parts ([`super::backlog`]).
//!
//! Does not write, does not ask the store, and does not decide which of two readings with one time is right: that is
//! [`volute_plant::Admission`].

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use volute_plant::{
    Admission, Admitted, ClockFault, DeviceClock, Draft, Judgement, Lookup, LookupResult, Profile, PumpId, Reading,
    Rejection, TimeRules, Timestamp, Verdict,
};

use super::backlog::{Backlog, End};
use crate::{
    ingress::{
        in_flight::Permit,
        response::{BatchOutcome, ItemOutcome, ResponsePart, SettledPart},
    },
    protocol::{
        pump::SubmitReadings,
        recorder::{Stored, Unstored},
    },
    receipt::LONG_RETRY_AFTER_S,
};

/// See the module's head.
pub(super) struct Admit {
    admission: Admission,
    times: TimeRules,
    limits: BacklogLimits,
    /// What the pump's own clock shows.
    device_clock: DeviceClock,
    backlog: Option<Backlog>,
    /// Bounded by the permits that they hold.
    waiting: VecDeque<SubmitReadings>,
    /// Batches so far: the number of the last.
    batches: u64,
    /// Batches up to this one may hold duplicates of readings that were not stored after all.
    tainted_until: u64,
}

/// What bounds a backlog.
#[derive(Debug, Clone, Copy)]
pub(super) struct BacklogLimits {
    /// No part is begun later than this after the post came. In the first half of it a part waits for room for its windows.
    pub answer: Duration,
    /// Windows of the pump that may wait to be scored.
    pub windows: usize,
}

/// What a part of a backlog depends on.
#[derive(Clone, Copy)]
pub(super) struct BacklogState<'a> {
    pub now: Instant,
    /// Windows of the pump that are on their way.
    pub windows: usize,
    /// Whether there is room for minutes of the past.
    pub has_room_for_past: &'a dyn Fn() -> bool,
}

/// Judged items of one post, whose new readings are being stored.
pub(super) struct Batch {
    number: u64,
    pub readings: Vec<Admitted>,
    outcomes: Vec<(usize, ItemOutcome)>,
    permit: Arc<Permit>,
    response: ResponsePart,
}

/// A batch whose write has ended.
pub(super) struct Completed {
    /// What is durable now.
    pub readings: Vec<Admitted>,
    /// Why its last rejected item was rejected.
    pub rejection: Option<Rejection>,
    /// The room that its items took up. Given back when the readings are in their windows.
    pub permit: Arc<Permit>,
    /// The response is sent when this is dropped, not before.
    pub response: SettledPart,
}

impl Admit {
    pub(super) fn new(pump: PumpId, profile: &Profile, times: TimeRules, limits: BacklogLimits) -> Self {
        Self {
            admission: Admission::new(pump, profile, times),
            times,
            limits,
            device_clock: DeviceClock::default(),
            backlog: None,
            waiting: VecDeque::new(),
            batches: 0,
            tainted_until: 0,
        }
    }

    /// Takes note of a stored reading.
    pub(super) fn recall(&mut self, reading: &Reading) {
        self.admission.recall(reading);
    }

    /// Up to this time there may be readings that could not be read just now.
    pub(super) fn recall_failed(&mut self, until: Timestamp) {
        self.admission.recall_failed(until);
    }

    /// Orders readings by this profile from now on.
    pub(super) fn change_profile(&mut self, profile: &Profile) {
        self.admission.change_profile(profile);
    }

    /// What is wrong with the pump's own clock.
    pub(super) fn clock_fault(&self) -> Option<ClockFault> {
        self.device_clock.fault()
    }

    /// Forgets what the pump's clock showed: a recording's times are of the past, and no fault of a clock.
    pub(super) fn forget_clock(&mut self) {
        self.device_clock = DeviceClock::default();
    }

    /// Takes items, which have their turn after those before them.
    pub(super) fn submit(&mut self, items: SubmitReadings) {
        self.waiting.push_back(items);
    }

    /// Returns the next items to be judged, if any may be now. `is_played`: their times say nothing of the pump's clock.
    pub(super) fn next(&mut self, is_played: bool, state: BacklogState<'_>) -> Option<(SubmitReadings, Lookup)> {
        let items = self.next_items(is_played, state)?;
        let lookup = self.admission.lookup(&items.drafts, items.received);
        Some((items, lookup))
    }

    /// How long the part of a backlog that is next waits for its windows' room; none: nothing waits.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        let backlog = self.backlog.as_ref()?;
        Some((self.limits.answer / 2).saturating_sub(backlog.waited(now)))
    }

    /// Judges items, given what the store says of them.
    pub(super) fn judge(&mut self, items: SubmitReadings, stored: &LookupResult) -> Batch {
        let SubmitReadings { drafts, received, since: _, permit, response } = items;
        let Judgement { verdicts, readings } = self.admission.judge(drafts, received, stored);
        let outcome = |verdict| match verdict {
            Verdict::New { late: false } => ItemOutcome::Accepted,
            Verdict::New { late: true } => ItemOutcome::Late,
            Verdict::Duplicate { .. } => ItemOutcome::Duplicate,
            Verdict::Rejected(rejection) => ItemOutcome::Rejected(rejection),
            Verdict::Undecided(rejection) => ItemOutcome::Deferred(rejection, LONG_RETRY_AFTER_S),
        };
        let outcomes = verdicts.into_iter().map(|(index, verdict)| (index, outcome(verdict))).collect();
        self.batches += 1;
        Batch { number: self.batches, readings, outcomes, permit, response }
    }

    /// What is stored could not be read: the items are not taken.
    pub(super) fn give_back(&mut self, items: SubmitReadings) {
        let indices = items.drafts.into_iter().map(|(index, _)| index);
        drop(items.response.not_stored(indices, Unstored::Failed));
        self.part_ended(self.batches + 1, false);
    }

    /// The last batch is completed by somebody else ([`Batch::complete_alone`]).
    pub(super) fn abandon_last(&mut self) {
        self.part_ended(self.batches, false);
    }

    /// A batch's write has ended; batches are completed in the order in which they were judged.
    pub(super) fn complete(&mut self, batch: Batch, stored: Stored) -> Completed {
        let Batch { number, readings, outcomes, permit, response } = batch;
        for admitted in &readings {
            self.admission.settle(admitted.reading.at, stored.is_ok());
        }
        if stored.is_err() {
            self.tainted_until = self.batches;
        }
        let is_tainted = repeats(&outcomes) && number <= self.tainted_until;
        let durable = if is_tainted { stored.and(Err(Unstored::Failed)) } else { stored };
        let rejection = outcomes.iter().rev().find_map(|(_, outcome)| match outcome {
            ItemOutcome::Rejected(rejection) => Some(rejection.clone()),
            _ => None,
        });
        // What fails from here on is the pump's, and not the client's.
        let response = response.settle(BatchOutcome { outcomes, durable });
        self.part_ended(number, durable.is_ok());
        let readings = if stored.is_ok() { readings } else { Vec::new() };
        Completed { readings, rejection, permit, response }
    }

    /// Returns the next items whose turn has come.
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
            match items.permit.part() {
                Some(part) if items.drafts.len() > part.get() => self.backlog = Some(Backlog::new(items, part)),
                _ => return Some(items),
            }
        }
    }

    /// Returns the next part of the backlog, if it may be judged now. A backlog that cannot go on is no more after this.
    fn next_part(&mut self, state: BacklogState<'_>) -> Option<SubmitReadings> {
        let BacklogState { now, windows, has_room_for_past } = state;
        let limits = self.limits;
        let backlog = self.backlog.as_mut().filter(|backlog| !backlog.is_under_way())?;
        let waited = backlog.waited(now);
        let room = limits.windows.saturating_sub(windows);
        if windows > 0 && room < backlog.part_len() && waited < limits.answer / 2 && !backlog.is_closed() {
            return None;
        }
        let received = backlog.received();
        let is_past = |draft: &Draft| is_of_past(draft, received, &self.times);
        if backlog.is_begun() && backlog.holds(is_past) && !has_room_for_past() {
            backlog.put_off_past(is_past);
        }
        let end = if !backlog.is_begun() {
            // Whether there is room was asked before the post was let in.
            None
        } else if backlog.is_closed() {
            Some(End::Closing)
        } else {
            // Where nothing is left it has ended with what was put off.
            (waited >= limits.answer || backlog.is_empty()).then_some(End::TimeIsUp)
        };
        let Some(end) = end else { return backlog.next_part(self.batches + 1, now) };
        backlog.end(end);
        self.backlog = None;
        None
    }

    /// The part of the backlog with this number has ended, if it is one.
    fn part_ended(&mut self, number: u64, is_durable: bool) {
        let Some(backlog) = &mut self.backlog else { return };
        if backlog.part_ended(number, is_durable) && backlog.is_empty() {
            self.backlog = None;
        }
    }

    /// Takes note of the times of a post. Those of a backlog say together what the clock shows.
    fn observe_clock(&mut self, items: &SubmitReadings) {
        let times = items.drafts.iter().filter_map(|(_, draft)| draft.stamp.device());
        self.device_clock.observe(times, items.received, &self.times);
    }
}

impl Batch {
    /// Returns the readings to be stored.
    pub(super) fn to_store(&self) -> Vec<Reading> {
        self.readings.iter().map(|admitted| admitted.reading.clone()).collect()
    }

    /// Sends its part of the response without the pump, whose actor has ended. What it repeats may be a batch's that failed,
    /// which only the pump knew: then it is not known whether all is stored.
    pub(super) fn complete_alone(self, stored: Stored) {
        let durable = if repeats(&self.outcomes) { stored.and(Err(Unstored::Failed)) } else { stored };
        drop(self.permit);
        drop(self.response.settle(BatchOutcome { outcomes: self.outcomes, durable }));
    }
}

/// Whether a draft needs room for minutes of the past. What is received as it is measured needs none, nor does what is too old
/// to be taken.
pub(crate) fn is_of_past(draft: &Draft, received: Timestamp, times: &TimeRules) -> bool {
    let age_ms = |at: Timestamp| received.since_ms(at);
    draft.stamp.device().is_some_and(|at| (volute_data::PAST_MS..=times.kept_ms).contains(&age_ms(at)))
}

/// Whether some of it was sent before.
fn repeats(outcomes: &[(usize, ItemOutcome)]) -> bool {
    outcomes.iter().any(|(_, outcome)| *outcome == ItemOutcome::Duplicate)
}

#[cfg(test)]
#[path = "admit/tests.rs"]
mod tests;
