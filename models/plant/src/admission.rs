//! Admission of one pump's drafts: decides whether each draft is new, late, a duplicate, or in conflict with a known
//! reading.
//!
//! What is stored is passed in. Readings that are admitted and not stored yet are remembered until
//! [`Admission::complete`]. A batch of drafts is processed like this:
//!
//! 1. [`Admission::lookup`] returns what must be looked up in the store. A live pump's drafts are newer than everything
//!    stored, so nothing is looked up.
//! 2. [`Admission::admit`] takes the drafts and the result of the lookup, and processes them in the order of their
//!    times. A draft with a device time keeps that time. A draft without one gets a unique time, which no stored or
//!    in-flight reading has: the receive time, or the next free millisecond after it. An example: a draft without a
//!    device time is received at 12:00:03.000, and there are readings at 12:00:03.000 to 12:00:03.499 and at
//!    12:00:10.000. The draft gets 12:00:03.500. Drafts with the same time are one reading ([`Reading::overlap`]). A
//!    draft that adds channels to a known reading is new, and the added channels are stored as another part of it.
//! 3. [`Admission::complete`] is called when the store has stored each new reading, or has refused it.
//!
//! Whether a reading is late for its window depends only on the *order*, the newest time so far. The order restarts if
//! a pump's times go back, because its clock was set or a single reading was ahead. An example, with one reading
//! received each second from 12:00:00 on:
//!
//! | device time | result |
//! | --- | --- |
//! | 12:00:00 | in order |
//! | 12:00:25 | in order: 24 s ahead is allowed |
//! | 12:00:02, 12:00:03 | late, both current and rising |
//! | 12:00:04 | in order: the third in a row, so the order continues from this time |
//!
//! Does no I/O; the pump actor queries the store. Does not decide which readings are displayed and compared with
//! limits; see [`TimestampLimits::is_current`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Draft, Profile, PumpId, Reading, Rejection, Sample, SampleOverlap, Timestamp, TimestampLimits, TimestampSource,
    WindowConfig, device_clock::format_duration,
};

/// If the newest reading is less than this far ahead of the receive time, in milliseconds, a reading without a device
/// time is placed after it, and the store is not queried. Otherwise the first free time is looked up.
const MAX_APPEND_MS: i64 = 1000;
/// This many current readings in a row that are late and have rising times restart the order.
const NEW_ORDER_READINGS: u32 = 3;
const DAY_MS: f64 = 86_400_000.0;

/// The outcome of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftOutcome {
    /// It is a new reading, or adds channels to a known one.
    New {
        /// It is too late for its window.
        late: bool,
    },
    /// The same values were admitted before, and may still be in flight. The duplicate is durable when they are.
    Duplicate {
        /// The time of both.
        at: Timestamp,
    },
    /// It is refused, and must not be sent again.
    Rejected(Rejection),
    /// It cannot be decided now: the store cannot be read, a part of the same reading was not stored, or another draft
    /// without a device time has its channel. The same item may be sent again.
    Deferred(Rejection),
}

/// The outcomes of a batch of drafts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdmissionResult {
    /// The outcome of each draft, with its index in the post.
    pub outcomes: Vec<(usize, DraftOutcome)>,
    /// The readings to store, one per time, in the order of times.
    pub readings: Vec<AdmittedReading>,
}

/// An admitted reading, or part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmittedReading {
    /// The reading to store. If its time has a reading already, only the channels that it adds.
    pub reading: Reading,
    /// The merged reading at its time, if `reading` is a later part of it.
    pub whole: Option<Reading>,
}

/// What must be looked up in the store before a batch of drafts can be admitted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lookup {
    /// Times whose stored readings are needed.
    pub at: Vec<Timestamp>,
    /// The search for a time without a stored reading.
    pub free: Option<FreeTimeSearch>,
}

/// A search for a time without a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeTimeSearch {
    /// The earliest acceptable time.
    pub from: Timestamp,
    /// Times that are excluded even if no reading is stored at them.
    pub excluded: BTreeSet<Timestamp>,
}

/// The result of a lookup in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookupResult {
    /// The readings at the times of [`Lookup::at`], oldest first.
    pub readings: Vec<Reading>,
    /// Times of [`Lookup::at`] for which the store could not be read.
    pub unknown: BTreeSet<Timestamp>,
    /// The free time; none if none was requested or the store could not be read.
    pub free: Option<Timestamp>,
}

/// The admission of one pump.
#[derive(Debug)]
pub struct Admission {
    pump: PumpId,
    profile: Profile,
    config: WindowConfig,
    limits: TimestampLimits,
    /// The latest time of an admitted reading.
    newest: Option<Timestamp>,
    /// Up to this time there may be stored readings that the store could not return.
    unread_until: Option<Timestamp>,
    /// The newest time since the order last restarted. A reading is late relative to this time.
    order: Option<Timestamp>,
    late_run: LateRun,
    in_flight: BTreeMap<Timestamp, InFlight>,
    /// Per channel: for how long its last good value is used for missing ones, in milliseconds.
    holds_ms: Vec<i64>,
    last_good: Vec<Option<LastGood>>,
}

/// When a channel's last good value was sent, and until when it is used for missing ones, as in the pump's window.
#[derive(Debug, Clone, Copy)]
struct LastGood {
    at: Timestamp,
    until: Timestamp,
}

/// Late but current readings in a row, each with a later time than the one before. [`NEW_ORDER_READINGS`] of them
/// restart the order.
#[derive(Debug, Default)]
struct LateRun {
    count: u32,
    /// The last of them, and when it was received.
    last: Option<(Timestamp, Timestamp)>,
}

/// A reading with at least one part that is not stored yet.
#[derive(Debug)]
struct InFlight {
    /// The merged reading at its time, stored or not.
    whole: Arc<Reading>,
    /// Number of parts in flight.
    parts: usize,
    /// One of the parts could not be stored: `whole` is unreliable until the others are complete.
    failed: bool,
}

/// How a draft without a device time gets a time.
enum Unstamped {
    /// No reading is stored at this time or later.
    From(Timestamp),
    /// The store must be queried for the first free time, from this time on.
    LookUp(Timestamp),
}

impl Lookup {
    /// Whether nothing must be looked up.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty() && self.free.is_none()
    }
}

impl Admission {
    /// Creates the admission of a pump without readings.
    pub fn new(pump: PumpId, profile: &Profile, limits: TimestampLimits) -> Self {
        let config = WindowConfig::for_profile(profile);
        Self {
            pump,
            profile: profile.clone(),
            config,
            limits,
            newest: None,
            unread_until: None,
            order: None,
            late_run: LateRun::default(),
            in_flight: BTreeMap::new(),
            holds_ms: holds_ms(&config, profile),
            last_good: vec![None; profile.channels().len()],
        }
    }

    /// Uses the interval and the hold times of another profile with the same channels from now on.
    pub fn change_profile(&mut self, profile: &Profile) {
        self.config = WindowConfig::for_profile(profile);
        self.holds_ms = holds_ms(&self.config, profile);
        for (known, hold_ms) in self.last_good.iter_mut().zip(&self.holds_ms) {
            *known = known.map(|known| LastGood { until: known.at.plus_ms(*hold_ms), ..known });
        }
    }

    /// Records a stored reading, for example after a restart.
    pub fn replay(&mut self, reading: &Reading) {
        self.order = self.order.max(Some(reading.at));
        self.record(reading);
    }

    /// Records that there may be stored readings up to this time that the store could not return.
    pub fn mark_unread_until(&mut self, until: Timestamp) {
        self.unread_until = self.unread_until.max(Some(until));
    }

    /// Returns what must be looked up in the store before this batch can be admitted.
    pub fn lookup(&self, drafts: &[(usize, Draft)], received: Timestamp) -> Lookup {
        let stamped = || drafts.iter().filter_map(|(_, draft)| draft.timestamp.device());
        let at = stamped().filter(|at| self.may_be_stored(*at) && self.time_refusal(*at, received).is_none()).collect();
        let unstamped = drafts.iter().any(|(_, draft)| draft.timestamp == TimestampSource::Received);
        let free = match self.unstamped(received) {
            Unstamped::LookUp(from) if unstamped => {
                let in_flight = self.in_flight.range(from..).map(|(at, _)| *at);
                Some(FreeTimeSearch { from, excluded: in_flight.chain(stamped()).collect() })
            }
            _ => None,
        };
        Lookup { at, free }
    }

    /// Admits a batch of drafts that was received at `received`, given the result of its [`Lookup`].
    ///
    /// They are processed in the order of their times, so the order within a post does not matter: no reading is late
    /// because of its own post. Drafts without a device time come last, so that they do not take the time of another
    /// draft. Together they make one reading; a draft that repeats one of its channels is deferred.
    pub fn admit(
        &mut self,
        mut drafts: Vec<(usize, Draft)>,
        received: Timestamp,
        stored: &LookupResult,
    ) -> AdmissionResult {
        let mut free = match self.unstamped(received) {
            Unstamped::From(from) => Some(from),
            Unstamped::LookUp(_) => stored.free,
        };
        // The sort is stable: of several drafts with one time the first counts.
        drafts.sort_by_key(|(_, draft)| (draft.timestamp == TimestampSource::Received, draft.timestamp.device()));
        let (outcomes, readings) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        let mut result = AdmissionResult { outcomes, readings };
        let mut unstamped_at = None;
        for (index, draft) in drafts {
            let outcome = match draft.timestamp {
                TimestampSource::Device(at) => self.admit_stamped(draft, at, received, stored, &mut result.readings),
                TimestampSource::Received => match (unstamped_at, free.take()) {
                    (Some(at), _) => self.admit_second_unstamped(&draft, at, received, &mut result.readings),
                    (None, Some(from)) => {
                        let at = self.first_not_in_flight(from);
                        unstamped_at = Some(at);
                        self.admit_new(draft, at, received, &mut result.readings)
                    }
                    (None, None) => deferred(None),
                },
            };
            result.outcomes.push((index, outcome));
        }
        result
    }

    /// Records that a part admitted at `at` is stored, or could not be stored.
    pub fn complete(&mut self, at: Timestamp, stored: bool) {
        let Some(in_flight) = self.in_flight.get_mut(&at) else { return };
        in_flight.parts = in_flight.parts.saturating_sub(1);
        in_flight.failed |= !stored;
        if in_flight.parts == 0 {
            self.in_flight.remove(&at);
        }
    }

    fn admit_stamped(
        &mut self,
        draft: Draft,
        at: Timestamp,
        received: Timestamp,
        stored: &LookupResult,
        readings: &mut Vec<AdmittedReading>,
    ) -> DraftOutcome {
        if let Some(rejection) = self.time_refusal(at, received) {
            return DraftOutcome::Rejected(rejection);
        }
        let in_flight = self.in_flight.get(&at);
        if in_flight.is_some_and(|in_flight| in_flight.failed) {
            return deferred(Some(at));
        }
        let unknown = in_flight.is_none() && stored.unknown.contains(&at);
        let stored_reading = || {
            let index = stored.readings.binary_search_by_key(&at, |reading| reading.at).ok()?;
            Some(Arc::new(stored.readings[index].clone()))
        };
        let Some(known) = in_flight.map(|in_flight| in_flight.whole.clone()).or_else(stored_reading) else {
            return if unknown { deferred(Some(at)) } else { self.admit_new(draft, at, received, readings) };
        };
        match known.overlap(&draft.samples) {
            SampleOverlap::Duplicate => DraftOutcome::Duplicate { at },
            SampleOverlap::Conflict { channel, known } => self.conflict(at, channel, known),
            SampleOverlap::Adds if unknown => deferred(Some(at)),
            SampleOverlap::Adds => self.admit_part(&known, &draft, received, readings),
        }
    }

    /// Admits a further draft without a device time, as part of the reading at `at` that the first such draft of the
    /// post began.
    fn admit_second_unstamped(
        &mut self,
        draft: &Draft,
        at: Timestamp,
        received: Timestamp,
        readings: &mut Vec<AdmittedReading>,
    ) -> DraftOutcome {
        let Some(known) = self.in_flight.get(&at).map(|in_flight| in_flight.whole.clone()) else {
            return deferred(None);
        };
        let is_disjoint =
            known.samples.iter().zip(draft.samples.iter()).all(|(a, b)| a.value().and(b.value()).is_none());
        if is_disjoint { self.admit_part(&known, draft, received, readings) } else { deferred(None) }
    }

    /// Admits a reading at a time that no reading has.
    fn admit_new(
        &mut self,
        draft: Draft,
        at: Timestamp,
        received: Timestamp,
        readings: &mut Vec<AdmittedReading>,
    ) -> DraftOutcome {
        let late = self.is_late(at, received);
        let mut reading = Reading { pump: self.pump.clone(), at, received, samples: draft.samples, late };
        reading.samples = self.mark_filled(&reading);
        self.record(&reading);
        let in_flight = InFlight { whole: Arc::new(reading.clone()), parts: 1, failed: false };
        self.in_flight.insert(at, in_flight);
        readings.push(AdmittedReading { reading, whole: None });
        DraftOutcome::New { late }
    }

    /// Admits further channels of a known reading. Parts with one time in one batch are stored together.
    fn admit_part(
        &mut self,
        known: &Reading,
        draft: &Draft,
        received: Timestamp,
        readings: &mut Vec<AdmittedReading>,
    ) -> DraftOutcome {
        let at = known.at;
        let late = self.order.is_some_and(|order| self.config.is_too_late(at, order));
        let whole = known.merged_with(&draft.samples);
        let part = Reading { received, late, samples: known.new_samples(&draft.samples), ..known.clone() };
        self.record(&part);
        let shared = Arc::new(whole.clone());
        let in_flight = self.in_flight.entry(at).or_insert(InFlight { whole: shared.clone(), parts: 0, failed: false });
        in_flight.whole = shared;
        match readings.last_mut().filter(|last| last.reading.at == at) {
            Some(last) => {
                last.reading = last.reading.merged_with(&part.samples);
                last.whole = last.whole.is_some().then_some(whole);
            }
            None => {
                in_flight.parts += 1;
                readings.push(AdmittedReading { reading: part, whole: Some(whole) });
            }
        }
        DraftOutcome::New { late }
    }

    /// Whether a new reading is late. Updates the order, or restarts it.
    fn is_late(&mut self, at: Timestamp, received: Timestamp) -> bool {
        let order = self.order.filter(|order| self.config.is_too_late(at, *order));
        let Some(order) = order else {
            self.order = self.order.max(Some(at));
            self.late_run = LateRun::default();
            return false;
        };
        if at.since_ms(received).abs() > self.limits.max_current_offset_ms {
            return true;
        }
        let LateRun { count, last } = self.late_run;
        // Readings of one post count once, so that a backlog from another gateway does not restart the order. All of
        // them count if the newest time is in the future by the node's clock.
        let newest_is_future = self.config.is_too_late(received, order);
        let same_post = last.is_some_and(|(_, then)| then == received) && !newest_is_future;
        let count = match last {
            Some((last, _)) if last < at => count + u32::from(!same_post),
            _ => 1,
        };
        self.late_run = LateRun { count, last: Some((at, received)) };
        if count < NEW_ORDER_READINGS {
            return true;
        }
        (self.order, self.late_run) = (Some(at), LateRun::default());
        false
    }

    /// Returns the latest time at which a reading may be stored.
    fn last_stored(&self) -> Option<Timestamp> {
        self.newest.max(self.unread_until)
    }

    fn unstamped(&self, received: Timestamp) -> Unstamped {
        match self.last_stored() {
            Some(last) if last.since_ms(received) >= MAX_APPEND_MS => Unstamped::LookUp(received),
            Some(last) if last >= received => Unstamped::From(last.plus_ms(1)),
            _ => Unstamped::From(received),
        }
    }

    fn first_not_in_flight(&self, mut at: Timestamp) -> Timestamp {
        while self.in_flight.contains_key(&at) {
            at = at.plus_ms(1);
        }
        at
    }

    /// Whether a reading may be stored at this time. False if one is in flight, since the merged in-flight reading is
    /// used then.
    fn may_be_stored(&self, at: Timestamp) -> bool {
        Some(at) <= self.last_stored() && !self.in_flight.contains_key(&at)
    }

    /// Returns the rejection of a time outside the limits.
    fn time_refusal(&self, at: Timestamp, received: Timestamp) -> Option<Rejection> {
        let TimestampLimits { max_ahead_ms, max_age_ms, .. } = self.limits;
        if at.since_ms(received) > max_ahead_ms {
            let seconds = max_ahead_ms / 1000;
            let allowed = format!("at most {seconds} s after the node's clock, {received} (ingest.max_ahead_s)");
            let reason = format!("the device's clock is {} ahead", format_duration(at.since_ms(received)));
            return Some(Rejection::new("timestamp", Some(at.to_string()), allowed, &reason));
        }
        if received.since_ms(at) > max_age_ms {
            let (days, oldest) = (max_age_ms as f64 / DAY_MS, received.plus_ms(-max_age_ms));
            let allowed = format!("not older than {days} days (retention.readings_days): {oldest} or later");
            return Some(Rejection::new(
                "timestamp",
                Some(at.to_string()),
                allowed,
                "older than the node keeps readings",
            ));
        }
        None
    }

    fn conflict(&self, at: Timestamp, channel: usize, known: f64) -> DraftOutcome {
        let name = self.profile.channels().get(channel).map_or("a channel", |channel| &channel.name);
        let allowed = "the values first sent for this pump and time, or another time";
        let reason =
            format!("this pump already has another value of {name} at this time, {known}; the first value is kept");
        DraftOutcome::Rejected(Rejection::new("timestamp", Some(at.to_string()), allowed, &reason))
    }

    /// Marks missing samples as filled if the channel's last good value may be used for them.
    fn mark_filled(&self, reading: &Reading) -> Arc<[Sample]> {
        let gap = self.is_after_gap(reading.at);
        let is_filled = |known: &LastGood| !gap && known.at <= reading.at && reading.at <= known.until;
        let mark = |(sample, known): (&Sample, &Option<LastGood>)| match sample {
            Sample::Missing if known.as_ref().is_some_and(is_filled) => Sample::Filled,
            _ => *sample,
        };
        reading.samples.iter().zip(&self.last_good).map(mark).collect()
    }

    fn is_after_gap(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| at.since_ms(newest) > self.config.gap_ms)
    }

    /// Updates the newest time and the last good values.
    fn record(&mut self, reading: &Reading) {
        let at = reading.at;
        if self.is_after_gap(at) {
            self.last_good.fill(None);
        }
        self.newest = self.newest.max(Some(at));
        let fill_ms = (self.config.fill_steps - 1) * self.config.interval_ms;
        for (sample, (known, hold_ms)) in reading.samples.iter().zip(self.last_good.iter_mut().zip(&self.holds_ms)) {
            match (sample, known) {
                (Sample::Good(_), Some(known)) if known.at >= at => {}
                (Sample::Good(_), known) => *known = Some(LastGood { at, until: at.plus_ms(*hold_ms) }),
                // The sensor is broken: its last good value fills only the next steps, as for a channel without a hold
                // time.
                (Sample::Bad(_), Some(known)) if known.at < at => known.until = known.until.min(at.plus_ms(fill_ms)),
                _ => {}
            }
        }
    }
}

fn holds_ms(config: &WindowConfig, profile: &Profile) -> Vec<i64> {
    config.holds(profile).into_iter().map(|steps| steps * config.interval_ms).collect()
}

/// Returns the deferral of a draft with this device time; none for a draft without one.
fn deferred(at: Option<Timestamp>) -> DraftOutcome {
    let allowed = "a time later than the pump's stored readings; send this item again once the database answers";
    let reason = "what is stored at this time is not known at the moment";
    DraftOutcome::Deferred(Rejection::new("timestamp", at.map(|at| at.to_string()), allowed, reason))
}

#[cfg(test)]
mod tests;
