//! Chattering alarms: raised three times or more within a minute. Found, named, and with a proposal that ends it.
//!
//! The proposal comes from the excursions that were seen. An example: a vibration alarm at 8.5 mm/s is raised at 0 s,
//! 14 s and 31 s, and returns each time after 5 s, at 8.2 mm/s at the lowest.
//!
//! - Off-delay: the longest time between a return and the next raise was 12 s. With 18 s (half as much again) it would
//!   have been one occurrence.
//! - Deadband: the value went back by at most 0.3 mm/s. With 0.45 it would not have returned.
//! - On-delay: no excursion lasted longer than 5 s. With 8 s there would have been none. Proposed only for excursions of
//!   up to 30 s: a longer delay hides something real.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use volute_plant::Timestamp;

use crate::{AlarmKey, Cause, Evidence, Transition};

/// That an alarm chatters.
#[derive(Debug, Clone, PartialEq)]
pub struct Chattering {
    /// The alarm.
    pub alarm: AlarmKey,
    /// When it was found, by the node's clock.
    pub found_at: Timestamp,
    /// What would end it.
    pub proposal: Proposal,
}

/// Settings that would have ended the chattering. One of them is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Proposal {
    /// In the unit of the limit. None if there is no number, as for missing data.
    pub deadband: Option<f64>,
    /// In seconds.
    pub off_delay_s: Option<f64>,
    /// In seconds. None if an excursion was long.
    pub on_delay_s: Option<f64>,
}

/// Finds chattering alarms in the rows as they come.
#[derive(Debug, Clone, Default)]
pub struct ChatterDetector {
    alarms: BTreeMap<AlarmKey, Series>,
}

/// The newest excursions of one alarm.
#[derive(Debug, Clone, Default)]
struct Series {
    excursions: VecDeque<Excursion>,
    is_chattering: bool,
}

#[derive(Debug, Clone, Copy)]
struct Excursion {
    raised_at: Timestamp,
    raised: Evidence,
    returned: Option<Evidence>,
}

/// So many raises within this time, in milliseconds, are chattering.
pub(crate) const CHATTERING: usize = 3;
pub(crate) const CHATTERING_WITHIN_MS: i64 = 60_000;
/// An alarm that was not raised for this time, in milliseconds, chatters no longer.
const QUIET_AFTER_MS: i64 = 600_000;
/// From how many excursions a proposal is made.
const KEPT_EXCURSIONS: usize = 10;
/// How much more is proposed than what was seen.
const MARGIN: f64 = 1.5;
/// The longest on-delay and off-delay that are proposed, in seconds.
const MAX_ON_DELAY_S: f64 = 45.0;
const MAX_OFF_DELAY_S: f64 = 600.0;

impl ChatterDetector {
    /// Takes a row. Returns the alarm if it begins to chatter.
    pub fn observe(&mut self, row: &Transition) -> Option<Chattering> {
        match &row.cause {
            Cause::Raised { evidence } => {
                let series = self.alarms.entry(row.key()).or_default();
                series.begin(row.at, *evidence);
                if series.is_chattering || !series.is_fast() {
                    return None;
                }
                series.is_chattering = true;
                Some(Chattering { alarm: row.key(), found_at: row.at, proposal: series.proposal() })
            }
            Cause::Returned { evidence, .. } => {
                let last = self.alarms.get_mut(&row.key()).and_then(|series| series.excursions.back_mut());
                if let Some(last) = last {
                    last.returned = Some(*evidence);
                }
                None
            }
            _ => None,
        }
    }

    /// The alarms that chatter now, with a proposal from their newest excursions. Forgets those that became quiet.
    pub fn chattering(&mut self, now: Timestamp) -> Vec<Chattering> {
        self.alarms.retain(|_, series| !series.is_quiet(now));
        let found = self.alarms.iter().filter(|(_, series)| series.is_chattering);
        let chattering = |(alarm, series): (&AlarmKey, &Series)| Chattering {
            alarm: alarm.clone(),
            found_at: series.excursions.back().map_or(now, |last| last.raised_at),
            proposal: series.proposal(),
        };
        found.map(chattering).collect()
    }
}

impl Series {
    fn begin(&mut self, raised_at: Timestamp, raised: Evidence) {
        if self.is_quiet(raised_at) {
            *self = Self::default();
        }
        if self.excursions.len() == KEPT_EXCURSIONS {
            self.excursions.pop_front();
        }
        self.excursions.push_back(Excursion { raised_at, raised, returned: None });
    }

    /// Whether the newest raises are within a minute.
    fn is_fast(&self) -> bool {
        let earlier = self.excursions.len().checked_sub(CHATTERING).and_then(|index| self.excursions.get(index));
        let Some((earlier, last)) = earlier.zip(self.excursions.back()) else { return false };
        (0..=CHATTERING_WITHIN_MS).contains(&last.raised_at.since_ms(earlier.raised_at))
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        self.excursions.back().is_some_and(|last| now.since_ms(last.raised_at) > QUIET_AFTER_MS)
    }

    fn proposal(&self) -> Proposal {
        let (mut back, mut gap_ms, mut excursion_ms) = (None::<f64>, None::<i64>, None::<i64>);
        let mut before: Option<Evidence> = None;
        for excursion in &self.excursions {
            if let Some(returned) = before {
                gap_ms = gap_ms.max(Some(excursion.raised.since.since_ms(returned.since)));
            }
            before = excursion.returned;
            let Some(returned) = excursion.returned else { continue };
            excursion_ms = excursion_ms.max(Some(returned.since.since_ms(excursion.raised.since)));
            if let Some((value, limit)) = returned.value.zip(returned.limit) {
                let distance = (limit - value).abs();
                back = Some(back.map_or(distance, |back| back.max(distance)));
            }
        }
        let seconds = |ms: Option<i64>, max_s: f64| {
            let proposed = ms.map(|ms| (MARGIN * ms.max(0) as f64 / 1_000.0).ceil().max(1.0));
            proposed.filter(|proposed| *proposed <= max_s)
        };
        Proposal {
            deadband: back.map(|back| two_digits(MARGIN * back)),
            off_delay_s: seconds(gap_ms, MAX_OFF_DELAY_S),
            on_delay_s: seconds(excursion_ms, MAX_ON_DELAY_S),
        }
    }
}

/// Rounds up to two significant digits.
fn two_digits(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 0.0;
    }
    let decimals = 1 - value.log10().floor() as i32;
    let factor = 10_f64.powi(decimals);
    // A little less, so that 0.45 does not become 0.46.
    (value * factor - 1e-6).ceil() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_s, returned, row};

    #[test]
    fn example_of_the_module() {
        let mut detector = ChatterDetector::default();
        for (raise_s, value) in [(0, 8.4), (14, 8.2)] {
            assert_eq!(detector.observe(&row("v", raise_s, Some((8.6, 8.5)))), None);
            assert_eq!(detector.observe(&returned("v", raise_s + 5, Some((value, 8.5)))), None);
        }
        assert_eq!(detector.chattering(at_s(20)), []);
        let third = row("v", 31, Some((8.6, 8.5)));
        let proposal = Proposal { deadband: Some(0.45), off_delay_s: Some(18.0), on_delay_s: Some(8.0) };
        let found = Chattering { alarm: third.key(), found_at: at_s(31), proposal };
        assert_eq!(detector.observe(&third), Some(found.clone()));
        assert_eq!(detector.observe(&row("v", 40, None)), None, "found once");
        assert_eq!(detector.chattering(at_s(640)).len(), 1);
        assert_eq!(detector.chattering(at_s(641)), [], "quiet for more than ten minutes");
    }

    #[test]
    fn three_raises_within_a_minute() {
        for (times, expected) in [
            (&[0, 30, 60][..], true),
            (&[0, 30, 61], false),
            (&[0, 30], false),
            (&[0, 40, 80, 99], true),
            (&[0, 50, 20], true),
            (&[100, 50, 20], false),
        ] {
            let mut detector = ChatterDetector::default();
            let found = times.iter().filter_map(|&s| detector.observe(&row("v", s, None))).count();
            assert_eq!(found, usize::from(expected), "{times:?}");
        }
        let mut detector = ChatterDetector::default();
        let found = ["a", "b", "c"].iter().filter_map(|id| detector.observe(&row(id, 0, None))).count();
        assert_eq!(found, 0, "three alarms");
    }

    #[test]
    fn long_excursions_and_missing_numbers_have_no_proposal() {
        let mut detector = ChatterDetector::default();
        detector.observe(&row("v", 0, None));
        detector.observe(&returned("v", 31, None));
        detector.observe(&row("v", 33, None));
        let found = detector.observe(&row("v", 60, None)).expect("found");
        assert_eq!(found.proposal, Proposal { deadband: None, off_delay_s: Some(3.0), on_delay_s: None });
    }

    #[test]
    fn two_significant_digits() {
        for (value, expected) in [(0.0, 0.0), (0.45, 0.45), (0.451, 0.46), (123.0, 130.0), (9.96, 10.0), (1.0, 1.0)] {
            assert!((two_digits(value) - expected).abs() < 1e-9, "{value}: {}", two_digits(value));
        }
        assert_eq!(two_digits(f64::INFINITY), 0.0);
    }
}
