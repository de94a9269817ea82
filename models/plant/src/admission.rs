//! One pump's door: is a draft new, late, a duplicate, or in conflict with what is stored?
//!
//! Pure. What is already at rest comes in as an argument; what was let in and is not at rest yet is
//! remembered here until it is settled.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Draft, Profile, PumpId, Reading, Rejection, Sample, Stamp, Timestamp, WindowRules};

/// How far ahead of the node's clock a device's clock may be.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

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
}

/// The door of one pump.
#[derive(Debug)]
pub struct Admission {
    pump: PumpId,
    rules: WindowRules,
    newest: Option<Timestamp>,
    in_flight: BTreeMap<Timestamp, Arc<Reading>>,
    last_good: Vec<Option<Timestamp>>,
}

impl Admission {
    /// A door for a pump that has never been heard of.
    pub fn new(pump: PumpId, profile: &Profile) -> Self {
        Self {
            pump,
            rules: WindowRules::for_profile(profile),
            newest: None,
            in_flight: BTreeMap::new(),
            last_good: vec![None; profile.channels().len()],
        }
    }

    /// Takes note of a reading that is at rest already, as after a restart.
    pub fn recall(&mut self, reading: &Reading) {
        self.note(reading);
    }

    /// Whether [`Self::judge`] has to be told what is stored at the draft's time.
    pub fn needs_lookup(&self, draft: &Draft) -> Option<Timestamp> {
        match (draft.stamp, self.newest) {
            (Stamp::Device(at), Some(newest)) if at <= newest && !self.in_flight.contains_key(&at) => Some(at),
            _ => None,
        }
    }

    /// Judges a draft that was received at `received`, given the reading `stored` at its time, if any.
    pub fn judge(&mut self, draft: Draft, received: Timestamp, stored: Option<&Reading>) -> Verdict {
        let at = match draft.stamp {
            Stamp::Device(at) => at,
            Stamp::Received => self.free_time(received),
        };
        if at.since_ms(received) > MAX_AHEAD_MS {
            let sent = serde_json::Value::String(at.to_string());
            let allowed = format!("at most 10 minutes after the node's clock, {received}");
            return Verdict::Rejected(Rejection::new("timestamp", sent, allowed, "too far in the future"));
        }
        let mut reading =
            Reading { pump: self.pump.clone(), at, received, samples: draft.samples, late: self.is_late(at) };
        if let Some(first) = self.in_flight.get(&at).map(Arc::as_ref).or(stored) {
            return if first.says_the_same(&reading) { Verdict::Duplicate { at } } else { conflict(&reading) };
        }
        reading.samples = self.mark_filled(&reading);
        self.note(&reading);
        self.in_flight.insert(at, Arc::new(reading.clone()));
        Verdict::New(reading)
    }

    /// The reading at `at` is at rest, or will never be: either way the store now knows best.
    pub fn settle(&mut self, at: Timestamp) {
        self.in_flight.remove(&at);
    }

    fn is_late(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| self.rules.step(newest) - self.rules.step(at) >= self.rules.slack_steps)
    }

    /// The receive time, moved on by as little as it takes where the pump already has a reading just then.
    fn free_time(&self, received: Timestamp) -> Timestamp {
        match self.newest {
            Some(newest) if (0..1000).contains(&newest.since_ms(received)) => newest.plus_ms(1),
            _ => received,
        }
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
    Verdict::Rejected(Rejection::new("timestamp", serde_json::Value::String(reading.at.to_string()), allowed, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::small;

    const NOW: i64 = 1_773_051_273_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(NOW + ms).expect("a time")
    }

    fn door() -> Admission {
        Admission::new("P-1".parse().expect("a name"), &small())
    }

    fn draft(stamp: Stamp, flow: f64) -> Draft {
        Draft { pump: None, stamp, samples: [Sample::Good(40.0), Sample::Good(flow)].into() }
    }

    #[test]
    fn the_same_again_is_a_duplicate_and_other_values_are_refused() {
        let mut door = door();
        let first = draft(Stamp::Device(at(0)), 1.0);
        let Verdict::New(reading) = door.judge(first.clone(), at(5), None) else { panic!("new") };
        assert_eq!(door.judge(first.clone(), at(6), None), Verdict::Duplicate { at: at(0) }, "still in flight");
        door.settle(at(0));
        assert_eq!(door.needs_lookup(&first), Some(at(0)), "now the store knows");
        assert_eq!(door.judge(first, at(7), Some(&reading)), Verdict::Duplicate { at: at(0) });
        let Verdict::Rejected(no) = door.judge(draft(Stamp::Device(at(0)), 2.0), at(8), Some(&reading)) else {
            panic!("other values must be refused")
        };
        assert_eq!((no.field.as_str(), no.value), ("timestamp", serde_json::json!(at(0).to_string())));
    }

    #[test]
    fn late_begins_three_intervals_behind_the_newest() {
        for (behind_ms, late) in [(1000, false), (2000, false), (3000, true), (60_000, true)] {
            let mut door = door();
            door.judge(draft(Stamp::Device(at(0)), 1.0), at(0), None);
            let Verdict::New(r) = door.judge(draft(Stamp::Device(at(-behind_ms)), 1.0), at(1), None) else {
                panic!("new")
            };
            assert_eq!(r.late, late, "{behind_ms} ms behind");
        }
    }

    #[test]
    fn the_future_has_ten_minutes() {
        let mut door = door();
        assert!(matches!(door.judge(draft(Stamp::Device(at(600_000)), 1.0), at(0), None), Verdict::New(_)));
        assert!(matches!(door.judge(draft(Stamp::Device(at(600_001)), 1.0), at(0), None), Verdict::Rejected(_)));
    }

    #[test]
    fn two_unstamped_readings_in_one_millisecond_are_two_readings() {
        let mut door = door();
        let times: Vec<_> = (0..3)
            .map(|n| match door.judge(draft(Stamp::Received, f64::from(n)), at(0), None) {
                Verdict::New(r) => r.at.since_ms(at(0)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(times, [0, 1, 2]);
    }

    #[test]
    fn a_missing_value_is_marked_filled_for_five_steps() {
        let mut door = door();
        door.judge(draft(Stamp::Device(at(0)), 1.0), at(0), None);
        for (ms, expected) in [(5000, Sample::Filled), (6000, Sample::Missing)] {
            let half = Draft {
                pump: None,
                stamp: Stamp::Device(at(ms)),
                samples: [Sample::Good(40.0), Sample::Missing].into(),
            };
            let Verdict::New(r) = door.judge(half, at(ms), None) else { panic!("new") };
            assert_eq!(r.samples[1], expected, "{ms} ms after the last flow");
        }
    }
}
