//! Alarm floods: more alarms than a person can handle.
//!
//! A flood begins with more than 10 announcements within 10 minutes, and is over when there were fewer than 5 in the
//! last 10 minutes (ISA-18.2). Meanwhile the list collapses to one line per pump, with the pump's first-out alarm: the
//! first one of the flood, which is often the cause of the others.
//!
//! ```text
//! 10:00:00  P-7 oil-pressure-low-low                        1 in 10 minutes
//! 10:00:20  P-7 bearing-high, P-7 vibration-high, ...       10 in 10 minutes
//! 10:00:30  P-9 suction-pressure-low                        the 11th: a flood, first out P-7 oil-pressure-low-low
//!                                                           P-7: 10 alarms, first out oil-pressure-low-low
//!                                                           P-9: 1 alarm, first out suction-pressure-low
//! 10:10:21  only P-9's is within the last 10 minutes        the flood is over
//! ```

use std::collections::{BTreeMap, VecDeque};

use volute_plant::{PumpId, Timestamp};

use crate::{AlarmId, AlarmKey, Transition};

/// A flood.
#[derive(Debug, Clone, PartialEq)]
pub struct Flood {
    /// Its first announcement, by the node's clock.
    pub began_at: Timestamp,
    /// The first alarm.
    pub first_out: AlarmKey,
    /// How many announcements there were.
    pub announcements: u64,
    /// One line per pump; the key is none for the node itself.
    pub lines: BTreeMap<Option<PumpId>, FloodLine>,
    /// Announcements of pumps that have no line, because there are [`MAX_LINES`] already.
    pub without_line: u64,
}

/// The alarms of one pump in a flood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloodLine {
    /// The pump's first alarm of the flood.
    pub first_out: AlarmId,
    /// How many announcements there were.
    pub announcements: u64,
}

/// The beginning or the end of a flood.
#[derive(Debug, Clone, PartialEq)]
pub enum FloodChange {
    /// A flood began.
    Began(Flood),
    /// It is over.
    Ended(Flood),
}

/// Detects floods in the rows as they come. One detector for what one operator sees.
#[derive(Debug, Clone, Default)]
pub struct FloodDetector {
    /// The newest announcements, at most [`MORE_THAN`] + 1.
    newest: VecDeque<(Timestamp, AlarmKey)>,
    flood: Option<Flood>,
}

/// A flood begins with more announcements than this within [`WITHIN_MS`], and is over with fewer than [`OVER_BELOW`].
pub(crate) const MORE_THAN: usize = 10;
const OVER_BELOW: usize = 5;
pub(crate) const WITHIN_MS: i64 = 600_000;
/// The most lines of a flood.
pub const MAX_LINES: usize = 10_000;
/// If a row is older than the newest one by more than this, in milliseconds, the node's clock was set back.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

impl FloodDetector {
    /// Takes a row. Returns a flood that begins or ends with it.
    pub fn observe(&mut self, row: &Transition) -> Option<FloodChange> {
        let ended = self.tick(row.at);
        if !row.announces {
            return ended;
        }
        if self.newest.len() > MORE_THAN {
            self.newest.pop_front();
        }
        self.newest.push_back((row.at, row.key()));
        if let Some(flood) = &mut self.flood {
            flood.add(row.key());
            return ended;
        }
        if self.within(row.at) <= MORE_THAN {
            return ended;
        }
        let (began_at, first_out) = self.newest.front()?.clone();
        let (lines, announcements, without_line) = Default::default();
        let mut flood = Flood { began_at, first_out, announcements, lines, without_line };
        for (_, key) in &self.newest {
            flood.add(key.clone());
        }
        self.flood = Some(flood.clone());
        Some(FloodChange::Began(flood))
    }

    /// Lets time pass. Returns the flood that is over.
    pub fn tick(&mut self, now: Timestamp) -> Option<FloodChange> {
        if self.newest.back().is_some_and(|(newest, _)| newest.since_ms(now) > CLOCK_TOLERANCE_MS) {
            // The clock was set back: how far the announcements are apart is not known.
            self.newest.clear();
        }
        if self.within(now) >= OVER_BELOW {
            return None;
        }
        self.flood.take().map(FloodChange::Ended)
    }

    /// The flood that lasts.
    pub fn flood(&self) -> Option<&Flood> {
        self.flood.as_ref()
    }

    fn within(&self, now: Timestamp) -> usize {
        self.newest.iter().filter(|(at, _)| now.since_ms(*at) <= WITHIN_MS).count()
    }
}

impl Flood {
    fn add(&mut self, key: AlarmKey) {
        self.announcements += 1;
        if self.lines.len() == MAX_LINES && !self.lines.contains_key(&key.pump) {
            self.without_line += 1;
            return;
        }
        let line = FloodLine { first_out: key.alarm, announcements: 0 };
        self.lines.entry(key.pump).or_insert(line).announcements += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_s, id, returned, row};

    #[test]
    fn example_of_the_module() {
        let mut detector = FloodDetector::default();
        assert_eq!(detector.observe(&row("P-7/oil-pressure-low-low", 0, None)), None);
        for number in 2..=10 {
            assert_eq!(detector.observe(&row(&format!("P-7/a{number}"), 20, None)), None);
        }
        assert_eq!(detector.observe(&returned("P-7/a2", 25, None)), None, "a return is no announcement");
        let pump = |name: &str| Some(name.parse::<PumpId>().expect("a pump"));
        let line = |first: &str, announcements| FloodLine { first_out: id(first), announcements };
        let flood = Flood {
            began_at: at_s(0),
            first_out: AlarmKey { pump: pump("P-7"), alarm: id("oil-pressure-low-low") },
            announcements: 11,
            lines: BTreeMap::from([
                (pump("P-7"), line("oil-pressure-low-low", 10)),
                (pump("P-9"), line("suction-pressure-low", 1)),
            ]),
            without_line: 0,
        };
        let began = detector.observe(&row("P-9/suction-pressure-low", 30, None));
        assert_eq!(began, Some(FloodChange::Began(flood.clone())));
        assert_eq!(detector.flood(), Some(&flood));
        assert_eq!(detector.tick(at_s(620)), None);
        assert_eq!(detector.tick(at_s(621)), Some(FloodChange::Ended(flood)));
        assert_eq!((detector.tick(at_s(622)), detector.flood()), (None, None));
    }

    #[test]
    fn ten_in_ten_minutes_are_no_flood() {
        let mut detector = FloodDetector::default();
        for number in 0..100 {
            assert_eq!(detector.observe(&row(&format!("a{number}"), 61 * number, None)), None);
        }
        // The 11th within ten minutes.
        assert!(matches!(detector.observe(&row("b", 61 * 99 + 1, None)), Some(FloodChange::Began(_))));
    }

    #[test]
    fn flood_lasts_while_five_are_within_ten_minutes() {
        let mut detector = FloodDetector::default();
        for number in 0..11 {
            detector.observe(&row(&format!("a{number}"), 0, None));
        }
        for number in 1..=5 {
            assert_eq!(detector.observe(&row("b", 100 * number, None)), None);
        }
        assert_eq!(detector.tick(at_s(700)), None);
        assert_eq!(detector.flood().expect("a flood").announcements, 16);
        assert!(matches!(detector.tick(at_s(701)), Some(FloodChange::Ended(_))));
    }

    #[test]
    fn clock_that_is_set_back_begins_again() {
        let mut detector = FloodDetector::default();
        for number in 0..11 {
            detector.observe(&row(&format!("a{number}"), 10_000, None));
        }
        assert_eq!(detector.tick(at_s(9_940)), None);
        assert!(matches!(detector.tick(at_s(9_939)), Some(FloodChange::Ended(_))));
        for number in 0..10 {
            assert_eq!(detector.observe(&row(&format!("b{number}"), 0, None)), None);
        }
    }
}
