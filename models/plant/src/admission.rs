//! One pump's door: is a draft new, late, a duplicate, or in conflict with what is stored?
//!
//! Pure. What is already stored comes in as an argument; what was let in and is not stored yet is remembered here until
//! it is settled. One lot of drafts goes like this:
//!
//! 1. [`Admission::lookup`] says what the store has to be asked. A live pump's drafts are newer than all that is stored:
//!    nothing is asked.
//! 2. [`Admission::judge`] takes the drafts and the store's answer, in the order of their times. A stamped draft stands at
//!    its own time; a draft without a time gets one that no reading has, stored or on its way: the receive time, or the
//!    next free millisecond after it. Example: received at 12:00:03.000, stored are 12:00:03.000 to 12:00:03.499 and
//!    12:00:10.000: it gets 12:00:03.500. Drafts of one time are one reading ([`Reading::beside`]): one that adds channels
//!    to a reading is new, and what it adds is stored beside it.
//! 3. [`Admission::settle`] is told once the store has each new reading, or has refused it.
//!
//! Whether a reading is late for its window is a matter of order alone. The order begins anew where a pump's times go back:
//! its clock was set, or one stray reading was ahead. An example, received each second from 12:00:00 on:
//!
//! | Device time | Judged |
//! | --- | --- |
//! | 12:00:00 | in order |
//! | 12:00:25 | in order: 24 s ahead is allowed |
//! | 12:00:02, 12:00:03 | late, both current and rising |
//! | 12:00:04 | in order: the third of them, so the order goes on from here |
//!
//! Does not handle I/O: who asks the store, and when, is the engine's business. Nor what is shown and held against limits:
//! see [`TimeRules::is_current`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Beside, Draft, Profile, PumpId, Reading, Rejection, Sample, TimeRules, Timestamp, TimestampSource, WindowRules,
    device_clock::in_words,
};

/// An unstamped reading is moved on to behind the newest one where that is no further away than this: the store need not
/// be asked then. Further on, the first free time is looked up.
const NEAR_MS: i64 = 1000;
/// So many current readings in a row, with rising times behind the newest, begin a new order.
const NEW_ORDER: u32 = 3;
const DAY_MS: f64 = 86_400_000.0;

/// What becomes of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is a new reading, or adds channels to one.
    New {
        /// It is too late for its window.
        late: bool,
    },
    /// The same values were taken before. They may still be on their way to rest: then it is durable when they are.
    Duplicate {
        /// The time at which both stand.
        at: Timestamp,
    },
    /// Refused.
    Rejected(Rejection),
    /// Whether it is new cannot be told: the store does not answer just now. The same item may be sent again.
    Undecided(Rejection),
}

/// What becomes of a lot of drafts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// Of each draft, by its place in the post.
    pub verdicts: Vec<(usize, Verdict)>,
    /// What is to be stored: for each time one, in the order of times.
    pub readings: Vec<Admitted>,
}

/// A reading, or part of one, that was let in.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// What is to be stored. Where its time has a reading already, only what it adds to that one.
    pub reading: Reading,
    /// The whole reading at its time, where this is a part that came later than the first.
    pub whole: Option<Reading>,
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
    profile: Profile,
    rules: WindowRules,
    times: TimeRules,
    /// No reading was let in that is later than this.
    newest: Option<Timestamp>,
    /// Up to this time there may be stored readings that were not recalled.
    unread_until: Option<Timestamp>,
    /// What is late is so by this: the newest, since the order last began.
    order: Option<Timestamp>,
    behind: Behind,
    in_flight: BTreeMap<Timestamp, InFlight>,
    /// Per channel: for how long its last good value stands in for missing ones, in milliseconds.
    holds_ms: Vec<i64>,
    last_good: Vec<Option<LastGood>>,
}

/// When a channel's last good value was sent, and until when it stands in for missing ones, as it does in the pump's window.
#[derive(Debug, Clone, Copy)]
struct LastGood {
    at: Timestamp,
    until: Timestamp,
}

/// Current readings behind the order, with rising times, since the last one in order.
#[derive(Debug, Default)]
struct Behind {
    count: u32,
    /// The last of them, and when it was received.
    last: Option<(Timestamp, Timestamp)>,
}

/// A reading that is not at rest yet, or parts of it are not.
#[derive(Debug)]
struct InFlight {
    /// All that is known at its time, at rest or not.
    whole: Arc<Reading>,
    /// Parts on their way.
    parts: usize,
    /// One of them could not be stored: what is known is not to be relied on until the others have ended.
    failed: bool,
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
    /// A door for a pump that has never been heard of.
    pub fn new(pump: PumpId, profile: &Profile, times: TimeRules) -> Self {
        let rules = WindowRules::for_profile(profile);
        Self {
            pump,
            profile: profile.clone(),
            rules,
            times,
            newest: None,
            unread_until: None,
            order: None,
            behind: Behind::default(),
            in_flight: BTreeMap::new(),
            holds_ms: holds_ms(&rules, profile),
            last_good: vec![None; profile.channels().len()],
        }
    }

    /// Goes by another interval from now on, or by values that hold for another time.
    pub fn change_profile(&mut self, profile: &Profile) {
        self.rules = WindowRules::for_profile(profile);
        self.holds_ms = holds_ms(&self.rules, profile);
        for (known, hold_ms) in self.last_good.iter_mut().zip(&self.holds_ms) {
            *known = known.map(|known| LastGood { until: known.at.plus_ms(*hold_ms), ..known });
        }
    }

    /// Takes note of a reading that is at rest already, as after a restart.
    pub fn recall(&mut self, reading: &Reading) {
        self.order = self.order.max(Some(reading.at));
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
        let unstamped = drafts.iter().any(|(_, draft)| draft.stamp == TimestampSource::Received);
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
    /// Drafts without a time come last, so that they do not take the time of a stamped one. They are one reading; one that
    /// has a channel of another is undecided.
    pub fn judge(&mut self, mut drafts: Vec<(usize, Draft)>, received: Timestamp, stored: &LookupResult) -> Judgement {
        let mut free = match self.unstamped(received) {
            Unstamped::From(from) => Some(from),
            Unstamped::Ask(_) => stored.free,
        };
        // Stable: of several with one time the first stands.
        drafts.sort_by_key(|(_, draft)| (draft.stamp == TimestampSource::Received, draft.stamp.device()));
        let (verdicts, readings) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        let mut judgement = Judgement { verdicts, readings };
        let mut given = None;
        for (index, draft) in drafts {
            let verdict = match draft.stamp {
                TimestampSource::Device(at) => self.judge_stamped(draft, at, received, stored, &mut judgement.readings),
                TimestampSource::Received => match (given, free.take()) {
                    (Some(at), _) => self.judge_with_unstamped(&draft, at, received, &mut judgement.readings),
                    (None, Some(from)) => {
                        let at = self.not_in_flight(from);
                        given = Some(at);
                        self.let_in(draft, at, received, &mut judgement.readings)
                    }
                    (None, None) => undecided(None),
                },
            };
            judgement.verdicts.push((index, verdict));
        }
        judgement
    }

    /// What was let in at `at` is at rest, or will never be: either way the store now knows best.
    pub fn settle(&mut self, at: Timestamp, stored: bool) {
        let Some(in_flight) = self.in_flight.get_mut(&at) else { return };
        in_flight.parts = in_flight.parts.saturating_sub(1);
        in_flight.failed |= !stored;
        if in_flight.parts == 0 {
            self.in_flight.remove(&at);
        }
    }

    fn judge_stamped(
        &mut self,
        draft: Draft,
        at: Timestamp,
        received: Timestamp,
        stored: &LookupResult,
        readings: &mut Vec<Admitted>,
    ) -> Verdict {
        if let Some(rejection) = self.refusal(at, received) {
            return Verdict::Rejected(rejection);
        }
        let in_flight = self.in_flight.get(&at);
        if in_flight.is_some_and(|in_flight| in_flight.failed) {
            return undecided(Some(at));
        }
        let unknown = in_flight.is_none() && stored.unknown.contains(&at);
        let at_rest = || {
            let index = stored.readings.binary_search_by_key(&at, |reading| reading.at).ok()?;
            Some(Arc::new(stored.readings[index].clone()))
        };
        let Some(known) = in_flight.map(|in_flight| in_flight.whole.clone()).or_else(at_rest) else {
            return if unknown { undecided(Some(at)) } else { self.let_in(draft, at, received, readings) };
        };
        match known.beside(&draft.samples) {
            Beside::Known => Verdict::Duplicate { at },
            Beside::Conflict { channel, known } => self.conflict(at, channel, known),
            Beside::Adds if unknown => undecided(Some(at)),
            Beside::Adds => self.add(&known, &draft, received, readings),
        }
    }

    /// One more draft without a time, beside those of its post that stand at `at`.
    fn judge_with_unstamped(
        &mut self,
        draft: &Draft,
        at: Timestamp,
        received: Timestamp,
        readings: &mut Vec<Admitted>,
    ) -> Verdict {
        let Some(known) = self.in_flight.get(&at).map(|in_flight| in_flight.whole.clone()) else {
            return undecided(None);
        };
        let apart = known.samples.iter().zip(draft.samples.iter()).all(|(a, b)| a.value().and(b.value()).is_none());
        if apart { self.add(&known, draft, received, readings) } else { undecided(None) }
    }

    /// A reading at a time that none has.
    fn let_in(&mut self, draft: Draft, at: Timestamp, received: Timestamp, readings: &mut Vec<Admitted>) -> Verdict {
        let late = self.is_late(at, received);
        let mut reading = Reading { pump: self.pump.clone(), at, received, samples: draft.samples, late };
        reading.samples = self.mark_filled(&reading);
        self.note(&reading);
        let in_flight = InFlight { whole: Arc::new(reading.clone()), parts: 1, failed: false };
        self.in_flight.insert(at, in_flight);
        readings.push(Admitted { reading, whole: None });
        Verdict::New { late }
    }

    /// Channels for a reading that is known. What its post brings at its time is stored together.
    fn add(&mut self, known: &Reading, draft: &Draft, received: Timestamp, readings: &mut Vec<Admitted>) -> Verdict {
        let at = known.at;
        let late = self.order.is_some_and(|order| self.steps_behind(at, order) >= self.rules.slack_steps);
        let whole = known.with(&draft.samples);
        let part = Reading { received, late, samples: known.added_by(&draft.samples), ..known.clone() };
        self.note(&part);
        let shared = Arc::new(whole.clone());
        let in_flight = self.in_flight.entry(at).or_insert(InFlight { whole: shared.clone(), parts: 0, failed: false });
        in_flight.whole = shared;
        match readings.last_mut().filter(|last| last.reading.at == at) {
            Some(last) => {
                last.reading = last.reading.with(&part.samples);
                last.whole = last.whole.is_some().then_some(whole);
            }
            None => {
                in_flight.parts += 1;
                readings.push(Admitted { reading: part, whole: Some(whole) });
            }
        }
        Verdict::New { late }
    }

    fn steps_behind(&self, at: Timestamp, newest: Timestamp) -> i64 {
        self.rules.step(newest) - self.rules.step(at)
    }

    /// Whether a new reading is late. It takes its place in the order, or begins a new one.
    fn is_late(&mut self, at: Timestamp, received: Timestamp) -> bool {
        let order = self.order.filter(|order| self.steps_behind(at, *order) >= self.rules.slack_steps);
        let Some(order) = order else {
            self.order = self.order.max(Some(at));
            self.behind = Behind::default();
            return false;
        };
        if at.since_ms(received).abs() > self.times.current_ms {
            return true;
        }
        let Behind { count, last } = self.behind;
        // A post counts once: another gateway of the same pump may send what it has kept. All its readings count where the
        // newest is still to come by the node's clock.
        let to_come = self.steps_behind(received, order) >= self.rules.slack_steps;
        let again = last.is_some_and(|(_, then)| then == received) && !to_come;
        let count = match last {
            Some((last, _)) if last < at => count + u32::from(!again),
            _ => 1,
        };
        self.behind = Behind { count, last: Some((at, received)) };
        if count < NEW_ORDER {
            return true;
        }
        (self.order, self.behind) = (Some(at), Behind::default());
        false
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
        let TimeRules { ahead_ms, kept_ms, .. } = self.times;
        if at.since_ms(received) > ahead_ms {
            let seconds = ahead_ms / 1000;
            let allowed = format!("at most {seconds} s after the node's clock, {received} (ingest.max_ahead_s)");
            let reason = format!("its clock is {} ahead", in_words(at.since_ms(received)));
            return Some(Rejection::new("timestamp", Some(at.to_string()), allowed, &reason));
        }
        if received.since_ms(at) > kept_ms {
            let (days, oldest) = (kept_ms as f64 / DAY_MS, received.plus_ms(-kept_ms));
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

    fn conflict(&self, at: Timestamp, channel: usize, known: f64) -> Verdict {
        let name = self.profile.channels().get(channel).map_or("a channel", |channel| &channel.name);
        let allowed = "the values first sent for this pump and time, or another time";
        let reason = format!("this pump already has another value of {name} at this time, {known}; the first stands");
        Verdict::Rejected(Rejection::new("timestamp", Some(at.to_string()), allowed, &reason))
    }

    /// Nothing stands in over a gap, nor after its time.
    fn mark_filled(&self, reading: &Reading) -> Arc<[Sample]> {
        let gap = self.is_after_gap(reading.at);
        let stands_in = |known: &LastGood| !gap && known.at <= reading.at && reading.at <= known.until;
        let mark = |(sample, known): (&Sample, &Option<LastGood>)| match sample {
            Sample::Missing if known.as_ref().is_some_and(stands_in) => Sample::Filled,
            _ => *sample,
        };
        reading.samples.iter().zip(&self.last_good).map(mark).collect()
    }

    fn is_after_gap(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| at.since_ms(newest) > self.rules.gap_ms)
    }

    fn note(&mut self, reading: &Reading) {
        let at = reading.at;
        if self.is_after_gap(at) {
            self.last_good.fill(None);
        }
        self.newest = self.newest.max(Some(at));
        let fill_ms = (self.rules.fill_steps - 1) * self.rules.interval_ms;
        for (sample, (known, hold_ms)) in reading.samples.iter().zip(self.last_good.iter_mut().zip(&self.holds_ms)) {
            match (sample, known) {
                (Sample::Good(_), Some(known)) if known.at >= at => {}
                (Sample::Good(_), known) => *known = Some(LastGood { at, until: at.plus_ms(*hold_ms) }),
                // A broken sensor: what it said before is held no longer.
                (Sample::Bad(_), Some(known)) if known.at < at => known.until = known.until.min(at.plus_ms(fill_ms)),
                _ => {}
            }
        }
    }
}

fn holds_ms(rules: &WindowRules, profile: &Profile) -> Vec<i64> {
    rules.holds(profile).into_iter().map(|steps| steps * rules.interval_ms).collect()
}

/// At a time that the device said, or at the time of receipt.
fn undecided(at: Option<Timestamp>) -> Verdict {
    let allowed = "a time later than the pump's stored readings; send this item again once the database answers";
    let reason = "what is stored at this time cannot be read just now";
    Verdict::Undecided(Rejection::new("timestamp", at.map(|at| at.to_string()), allowed, reason))
}

#[cfg(test)]
mod tests;
