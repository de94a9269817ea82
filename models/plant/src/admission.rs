//! One pump's door: is a draft new, late, a duplicate, or in conflict with what is stored?
//!
//! Pure. What is already stored comes in as an argument; what was let in and is not stored yet is remembered here until
//! it is settled. One lot of drafts goes like this:
//!
//! 1. [`Admission::lookup`] says what the store has to be asked. A live pump's drafts are newer than all that is stored:
//!    nothing is asked.
//! 2. [`Admission::judge`] takes the drafts and the store's answer. A stamped draft stands at its own time; a draft without
//!    a time gets one that no reading has, stored or on its way: the receive time, or the next free millisecond after it.
//!    Example: received at 12:00:03.000, stored are 12:00:03.000 to 12:00:03.499 and 12:00:10.000: it gets 12:00:03.500.
//! 3. [`Admission::settle`] is told once the store has each new reading, or has refused it.
//!
//! Does not handle I/O: who asks the store, and when, is the engine's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{Draft, Profile, PumpId, Reading, Rejection, Sample, Stamp, Timestamp, WindowRules};

/// How far ahead of the node's clock a device's clock may be.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;
/// An unstamped reading is moved on to behind the newest one where that is no further away than this: the store need not
/// be asked then. Further on, the first free time is looked up.
const NEAR_MS: i64 = 1000;
const DAY_MS: f64 = 86_400_000.0;

/// What becomes of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// New, and in time for its window. Also where [`Reading::late`] is set: new, but too late for it.
    New(Reading),
    /// The same reading was taken before. It may still be on its way to rest: then it is durable when that one is.
    Duplicate {
        /// The time at which both stand.
        at: Timestamp,
    },
    /// Refused.
    Rejected(Rejection),
    /// Whether it is new cannot be told: the store does not answer just now. The same item may be sent again.
    Undecided(Rejection),
}

/// What the store has to be asked before a lot of drafts can be judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lookup {
    /// Which readings are stored at these times.
    pub at: Vec<Timestamp>,
    /// What is the first time that no stored reading has.
    pub free: Option<FreeTime>,
}

/// A search for a time that no reading has.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeTime {
    /// The earliest that will do.
    pub from: Timestamp,
    /// Times that are spoken for, though no reading with them may be stored.
    pub taken: BTreeSet<Timestamp>,
}

/// What the store says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookupResult {
    /// The readings at the times of [`Lookup::at`], oldest first.
    pub readings: Vec<Reading>,
    /// Times of [`Lookup::at`] of which it cannot be told whether a reading has them.
    pub unknown: BTreeSet<Timestamp>,
    /// The free time; none if it was not asked for, or cannot be told.
    pub free: Option<Timestamp>,
}

/// The door of one pump.
#[derive(Debug)]
pub struct Admission {
    pump: PumpId,
    rules: WindowRules,
    kept: Duration,
    newest: Option<Timestamp>,
    /// Up to this time there may be stored readings that were not recalled.
    unread_until: Option<Timestamp>,
    in_flight: BTreeMap<Timestamp, Arc<Reading>>,
    last_good: Vec<Option<Timestamp>>,
}

/// Where an unstamped draft's time is found.
enum Unstamped {
    /// No stored reading has this time or a later one.
    From(Timestamp),
    /// The store has to be asked for the first free time from here on.
    Ask(Timestamp),
}

impl Lookup {
    /// Whether the store need not be asked.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty() && self.free.is_none()
    }
}

impl Admission {
    /// A door for a pump that has never been heard of, on a node that keeps readings for so long.
    pub fn new(pump: PumpId, profile: &Profile, kept: Duration) -> Self {
        Self {
            pump,
            rules: WindowRules::for_profile(profile),
            kept,
            newest: None,
            unread_until: None,
            in_flight: BTreeMap::new(),
            last_good: vec![None; profile.channels().len()],
        }
    }

    /// Takes note of a reading that is at rest already, as after a restart.
    pub fn recall(&mut self, reading: &Reading) {
        self.note(reading);
    }

    /// Takes note that up to this time readings may be stored that could not be recalled.
    pub fn recall_failed(&mut self, until: Timestamp) {
        self.unread_until = self.unread_until.max(Some(until));
    }

    /// What the store has to be asked before this lot can be judged.
    pub fn lookup(&self, drafts: &[(usize, Draft)], received: Timestamp) -> Lookup {
        let stamped = || drafts.iter().filter_map(|(_, draft)| draft.stamp.device());
        let at = stamped().filter(|at| self.may_be_stored(*at) && self.refusal(*at, received).is_none()).collect();
        let unstamped = drafts.iter().any(|(_, draft)| draft.stamp == Stamp::Received);
        let free = match self.unstamped(received) {
            Unstamped::Ask(from) if unstamped => {
                let in_flight = self.in_flight.range(from..).map(|(at, _)| *at);
                Some(FreeTime { from, taken: in_flight.chain(stamped()).collect() })
            }
            _ => None,
        };
        Lookup { at, free }
    }

    /// Judges a lot of drafts that was received at `received`, given what the store says of its [`Lookup`].
    ///
    /// They are judged in the order of their times, whatever order they were sent in: nothing is later than its own post.
    /// A draft without a time comes last, so that it does not take the time of a stamped one. One in a lot gets a time;
    /// any more are undecided.
    pub fn judge(
        &mut self,
        mut drafts: Vec<(usize, Draft)>,
        received: Timestamp,
        stored: &LookupResult,
    ) -> Vec<(usize, Verdict)> {
        let mut free = match self.unstamped(received) {
            Unstamped::From(from) => Some(from),
            Unstamped::Ask(_) => stored.free,
        };
        // Stable: of several with one time the first stands.
        drafts.sort_by_key(|(_, draft)| draft.stamp.device());
        let mut verdicts = Vec::with_capacity(drafts.len());
        let mut unstamped = Vec::new();
        for (index, draft) in drafts {
            match draft.stamp {
                Stamp::Device(at) => verdicts.push((index, self.judge_stamped(draft, at, received, stored))),
                Stamp::Received => unstamped.push((index, draft)),
            }
        }
        for (index, draft) in unstamped {
            let verdict = match free.take() {
                Some(from) => {
                    let at = self.not_in_flight(from);
                    let reading = self.reading(draft, at, received);
                    self.let_in(reading)
                }
                None => undecided(serde_json::Value::Null),
            };
            verdicts.push((index, verdict));
        }
        verdicts
    }

    /// The reading at `at` is at rest, or will never be: either way the store now knows best.
    pub fn settle(&mut self, at: Timestamp) {
        self.in_flight.remove(&at);
    }

    fn judge_stamped(&mut self, draft: Draft, at: Timestamp, received: Timestamp, stored: &LookupResult) -> Verdict {
        if let Some(rejection) = self.refusal(at, received) {
            return Verdict::Rejected(rejection);
        }
        if stored.unknown.contains(&at) && !self.in_flight.contains_key(&at) {
            return undecided(text(at));
        }
        let reading = self.reading(draft, at, received);
        let known = stored.readings.binary_search_by_key(&at, |reading| reading.at).ok();
        let known = known.map(|index| &stored.readings[index]);
        if let Some(first) = self.in_flight.get(&at).map(Arc::as_ref).or(known) {
            return if first.says_the_same(&reading) { Verdict::Duplicate { at } } else { conflict(&reading) };
        }
        self.let_in(reading)
    }

    fn reading(&self, draft: Draft, at: Timestamp, received: Timestamp) -> Reading {
        Reading { pump: self.pump.clone(), at, received, samples: draft.samples, late: self.is_late(at) }
    }

    fn let_in(&mut self, mut reading: Reading) -> Verdict {
        reading.samples = self.mark_filled(&reading);
        self.note(&reading);
        self.in_flight.insert(reading.at, Arc::new(reading.clone()));
        Verdict::New(reading)
    }

    fn is_late(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| self.rules.step(newest) - self.rules.step(at) >= self.rules.slack_steps)
    }

    /// No reading is stored after this time.
    fn last_known(&self) -> Option<Timestamp> {
        self.newest.max(self.unread_until)
    }

    fn unstamped(&self, received: Timestamp) -> Unstamped {
        match self.last_known() {
            Some(last) if last.since_ms(received) >= NEAR_MS => Unstamped::Ask(received),
            Some(last) if last >= received => Unstamped::From(last.plus_ms(1)),
            _ => Unstamped::From(received),
        }
    }

    fn not_in_flight(&self, mut at: Timestamp) -> Timestamp {
        while self.in_flight.contains_key(&at) {
            at = at.plus_ms(1);
        }
        at
    }

    /// Whether a stored reading may have this time: if one on its way has it, that one counts.
    fn may_be_stored(&self, at: Timestamp) -> bool {
        Some(at) <= self.last_known() && !self.in_flight.contains_key(&at)
    }

    /// Why no reading may have this time, if none may.
    fn refusal(&self, at: Timestamp, received: Timestamp) -> Option<Rejection> {
        if at.since_ms(received) > MAX_AHEAD_MS {
            let allowed = format!("at most 10 minutes after the node's clock, {received}");
            return Some(Rejection::new("timestamp", text(at), allowed, "too far in the future"));
        }
        let kept_ms = i64::try_from(self.kept.as_millis()).unwrap_or(i64::MAX);
        if received.since_ms(at) > kept_ms {
            let (days, oldest) = (kept_ms as f64 / DAY_MS, received.plus_ms(-kept_ms));
            let allowed = format!("not older than {days} days (retention.readings_days): {oldest} or later");
            return Some(Rejection::new("timestamp", text(at), allowed, "older than the node keeps readings"));
        }
        None
    }

    fn mark_filled(&self, reading: &Reading) -> Arc<[Sample]> {
        let max_age_ms = self.rules.fill_steps * self.rules.interval_ms;
        let mark = |(sample, last_good): (&Sample, &Option<Timestamp>)| match (sample, last_good) {
            (Sample::Missing, Some(last)) if (0..=max_age_ms).contains(&reading.at.since_ms(*last)) => Sample::Filled,
            _ => *sample,
        };
        reading.samples.iter().zip(&self.last_good).map(mark).collect()
    }

    fn note(&mut self, reading: &Reading) {
        self.newest = self.newest.max(Some(reading.at));
        for (sample, last_good) in reading.samples.iter().zip(&mut self.last_good) {
            if sample.good().is_some() {
                *last_good = (*last_good).max(Some(reading.at));
            }
        }
    }
}

fn conflict(reading: &Reading) -> Verdict {
    let allowed = "the values first sent for this pump and time, or another time";
    let reason = "this pump already has a reading with other values at this time; the first stands";
    Verdict::Rejected(Rejection::new("timestamp", text(reading.at), allowed, reason))
}

fn undecided(value: serde_json::Value) -> Verdict {
    let allowed = "a time later than the pump's stored readings; send this item again once the database answers";
    let reason = "what is stored at this time cannot be read just now";
    Verdict::Undecided(Rejection::new("timestamp", value, allowed, reason))
}

fn text(at: Timestamp) -> serde_json::Value {
    serde_json::Value::String(at.to_string())
}

#[cfg(test)]
mod tests;
