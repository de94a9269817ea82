//! The metrics of ISA-18.2 over a time: is the alarm system one that people can follow?
//!
//! Counted are announcements (a row that tells people of a new occurrence), for one operator:
//!
//! | metric | acceptable | at most |
//! | --- | --- | --- |
//! | announcements in 10 minutes, on average | 1 | 2 |
//! | in an hour | 6 | 12 |
//! | in a day | 150 | 300 |
//! | share of 10-minute intervals with more than 10 | | 1 % |
//! | share of the ten most frequent alarms | | 5 % |
//! | chattering alarms, stale alarms (announced for more than 24 h) | | 0 |
//! | priorities low, medium, high, critical | 80, 15, 5, under 1 % | |

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;
use volute_plant::Timestamp;

use crate::{
    AlarmKey, Cause, Priority, Standing, Transition,
    chattering::{CHATTERING, CHATTERING_WITHIN_MS},
    flood::{MORE_THAN, WITHIN_MS},
};

/// The metrics of a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// How many announcements there were.
    pub announcements: u64,
    /// The average in 10 minutes, per operator.
    pub per_10_min: Rate,
    /// The average in an hour, per operator.
    pub per_hour: Rate,
    /// The average in a day, per operator.
    pub per_day: Rate,
    /// The most in one interval of 10 minutes, of all operators.
    pub max_in_10_min: u64,
    /// The share of intervals of 10 minutes with more than 10 announcements per operator, from 0 to 1.
    pub flood_share: Measure,
    /// The ten most frequent alarms, the most frequent first.
    pub top_ten: Vec<(AlarmKey, u64)>,
    /// Their share of all announcements, from 0 to 1.
    pub top_ten_share: Measure,
    /// Alarms that were raised three times within a minute.
    pub chattering: Vec<AlarmKey>,
    /// Alarms that have been standing for more than 24 hours at the end of the time.
    pub stale: Vec<AlarmKey>,
    /// Announcements by priority, the lowest first.
    pub priorities: [PriorityShare; 4],
}

/// A rate with its rating.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Announcements per operator.
    pub value: f64,
    /// Up to this it is acceptable.
    pub acceptable: f64,
    /// Up to this it can be managed.
    pub at_most: f64,
    /// How it is.
    pub rating: Rating,
}

/// How a rate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// People can follow.
    Acceptable,
    /// The most that people can manage.
    Manageable,
    /// Too much.
    TooMany,
}

/// A share with its target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// From 0 to 1.
    pub value: f64,
    /// The target, from 0 to 1.
    pub at_most: f64,
    /// Whether the target is met.
    pub is_met: bool,
}

/// The share of a priority.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PriorityShare {
    /// The priority.
    pub priority: Priority,
    /// How many announcements there were.
    pub announcements: u64,
    /// Their share, from 0 to 1.
    pub share: f64,
    /// The recommended share, from 0 to 1.
    pub recommended: f64,
}

/// Collects rows and computes the metrics.
#[derive(Debug, Clone)]
pub struct MetricsCollector {
    from: Timestamp,
    to: Timestamp,
    announcements: u64,
    /// By interval of 10 minutes since `from`, without those of 0.
    intervals: HashMap<i64, u64>,
    alarms: BTreeMap<AlarmKey, Counted>,
    priorities: [u64; 4],
}

#[derive(Debug, Clone, Default)]
struct Counted {
    announcements: u64,
    /// The newest raises, at most [`CHATTERING`].
    raised: VecDeque<Timestamp>,
    is_chattering: bool,
}

/// An alarm is stale if it has been standing for longer than this, in milliseconds.
const STALE_AFTER_MS: i64 = 24 * 3_600_000;
const TOP: usize = 10;
const RECOMMENDED_SHARES: [f64; 4] = [0.80, 0.15, 0.05, 0.01];

impl MetricsCollector {
    /// Begins to collect the rows from `from` to `to` (exclusive), by the node's clock.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        let (announcements, intervals, alarms, priorities) = Default::default();
        Self { from, to, announcements, intervals, alarms, priorities }
    }

    /// Takes a row, in the order of the rows. One outside of the time is left out.
    pub fn add(&mut self, row: &Transition) {
        if row.at < self.from || row.at >= self.to {
            return;
        }
        let is_raise = matches!(row.cause, Cause::Raised { .. });
        if !is_raise && !row.announces {
            return;
        }
        let alarm = self.alarms.entry(row.key()).or_default();
        if is_raise {
            alarm.raise(row.at);
        }
        if row.announces {
            alarm.announcements += 1;
            self.announcements += 1;
            self.priorities[row.priority as usize] += 1;
            *self.intervals.entry(row.at.since_ms(self.from) / WITHIN_MS).or_default() += 1;
        }
    }

    /// Computes the metrics for a number of operators who share the alarms. `standing` are the alarms at the end.
    pub fn finish(self, standing: &Standing, operators: u32) -> Metrics {
        let operators = f64::from(operators.max(1));
        let ms = self.to.since_ms(self.from).max(1) as f64;
        let total = self.announcements as f64;
        let per = |interval_ms: f64, acceptable: f64, at_most: f64| {
            Rate::new(total * interval_ms / ms / operators, acceptable, at_most)
        };
        let intervals = (ms / WITHIN_MS as f64).ceil();
        let floods = self.intervals.values().filter(|&&count| count as f64 > MORE_THAN as f64 * operators).count();
        let mut top_ten: Vec<(AlarmKey, u64)> =
            self.alarms.iter().map(|(key, alarm)| (key.clone(), alarm.announcements)).collect();
        top_ten.retain(|(_, announcements)| *announcements > 0);
        top_ten.sort_by_key(|(_, announcements)| std::cmp::Reverse(*announcements));
        top_ten.truncate(TOP);
        let of_top: u64 = top_ten.iter().map(|(_, announcements)| announcements).sum();
        let share = |part: u64| if self.announcements == 0 { 0.0 } else { part as f64 / total };
        let chattering = self.alarms.iter().filter(|(_, alarm)| alarm.is_chattering);
        Metrics {
            announcements: self.announcements,
            per_10_min: per(WITHIN_MS as f64, 1.0, 2.0),
            per_hour: per(3_600_000.0, 6.0, 12.0),
            per_day: per(86_400_000.0, 150.0, 300.0),
            max_in_10_min: self.intervals.values().copied().max().unwrap_or(0),
            flood_share: Measure::new(floods as f64 / intervals, 0.01),
            top_ten_share: Measure::new(share(of_top), 0.05),
            top_ten,
            chattering: chattering.map(|(key, _)| key.clone()).collect(),
            stale: stale(standing, self.to),
            priorities: Priority::ALL.map(|priority| PriorityShare {
                priority,
                announcements: self.priorities[priority as usize],
                share: share(self.priorities[priority as usize]),
                recommended: RECOMMENDED_SHARES[priority as usize],
            }),
        }
    }
}

/// Returns the alarms that have been standing for more than 24 hours.
pub fn stale(standing: &Standing, now: Timestamp) -> Vec<AlarmKey> {
    let is_stale = |announced: Timestamp| now.since_ms(announced) > STALE_AFTER_MS;
    let stale = standing.in_view().filter(|(_, status)| status.announced_at().is_some_and(is_stale));
    stale.map(|(key, _)| key.clone()).collect()
}

impl Counted {
    fn raise(&mut self, at: Timestamp) {
        if self.raised.len() == CHATTERING {
            self.raised.pop_front();
        }
        self.raised.push_back(at);
        let first = self.raised.front().filter(|_| self.raised.len() == CHATTERING);
        self.is_chattering |= first.is_some_and(|first| (0..=CHATTERING_WITHIN_MS).contains(&at.since_ms(*first)));
    }
}

impl Rate {
    fn new(value: f64, acceptable: f64, at_most: f64) -> Self {
        let rating = if value <= acceptable {
            Rating::Acceptable
        } else if value <= at_most {
            Rating::Manageable
        } else {
            Rating::TooMany
        };
        Self { value, acceptable, at_most, rating }
    }
}

impl Measure {
    fn new(value: f64, at_most: f64) -> Self {
        Self { value, at_most, is_met: value <= at_most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_s, id, row};

    const DAY_S: i64 = 86_400;

    fn key(name: &str) -> AlarmKey {
        AlarmKey { pump: None, alarm: id(name) }
    }

    fn metrics(rows: &[Transition], operators: u32) -> Metrics {
        let mut collector = MetricsCollector::new(at_s(0), at_s(DAY_S));
        for row in rows {
            collector.add(row);
        }
        collector.finish(&Standing::default(), operators)
    }

    #[test]
    fn rates_of_a_day() {
        // One in each interval of ten minutes, and one before and after the day.
        let mut rows: Vec<Transition> = (0..144).map(|number| row("a", 600 * number, None)).collect();
        rows.extend([row("a", -1, None), row("a", DAY_S, None)]);
        let found = metrics(&rows, 1);
        assert_eq!((found.announcements, found.max_in_10_min), (144, 1));
        let rate = |value, acceptable, at_most, rating| Rate { value, acceptable, at_most, rating };
        assert_eq!(found.per_10_min, rate(1.0, 1.0, 2.0, Rating::Acceptable));
        assert_eq!(found.per_hour, rate(6.0, 6.0, 12.0, Rating::Acceptable));
        assert_eq!(found.per_day, rate(144.0, 150.0, 300.0, Rating::Acceptable));
        let twice: Vec<Transition> = rows.iter().chain(&rows).cloned().collect();
        assert_eq!(metrics(&twice, 1).per_hour, rate(12.0, 6.0, 12.0, Rating::Manageable));
        assert_eq!(metrics(&twice, 2).per_hour, rate(6.0, 6.0, 12.0, Rating::Acceptable));
        let thrice: Vec<Transition> = twice.iter().chain(&rows).cloned().collect();
        assert_eq!(metrics(&thrice, 1).per_day, rate(432.0, 150.0, 300.0, Rating::TooMany));
    }

    #[test]
    fn share_of_floods_top_ten_and_priorities() {
        let mut rows: Vec<Transition> = (0..11).map(|number| row(&format!("a{number}"), number, None)).collect();
        rows.extend((0..10).map(|number| row("a0", 1_000 + 70 * number, None)));
        rows[0].priority = Priority::Critical;
        let found = metrics(&rows, 1);
        assert_eq!(found.flood_share, Measure { value: 1.0 / 144.0, at_most: 0.01, is_met: true });
        assert_eq!(found.max_in_10_min, 11);
        assert_eq!(metrics(&rows, 2).flood_share.value, 0.0);
        assert_eq!(found.top_ten.len(), 10);
        assert_eq!(found.top_ten[0], (key("a0"), 11));
        assert_eq!(found.top_ten_share, Measure { value: 20.0 / 21.0, at_most: 0.05, is_met: false });
        let shares = found.priorities.map(|share| (share.priority, share.announcements, share.recommended));
        let expected = [
            (Priority::Low, 20, 0.8),
            (Priority::Medium, 0, 0.15),
            (Priority::High, 0, 0.05),
            (Priority::Critical, 1, 0.01),
        ];
        assert_eq!(shares, expected);
        assert_eq!(found.priorities[3].share, 1.0 / 21.0);
    }

    #[test]
    fn chattering_counts_raises_also_of_shelved_alarms() {
        let quiet = |s| Transition { announces: false, ..row("shelved", s, None) };
        let rows = [quiet(0), quiet(30), quiet(60), row("slow", 0, None), row("slow", 31, None), row("slow", 62, None)];
        let found = metrics(&rows, 1);
        assert_eq!(found.chattering, [key("shelved")]);
        assert_eq!((found.announcements, found.top_ten), (3, vec![(key("slow"), 3)]));
    }

    #[test]
    fn stale_after_a_day() {
        let standing = Standing::replay([&row("a", 0, None)]);
        assert_eq!(stale(&standing, at_s(DAY_S)), []);
        assert_eq!(stale(&standing, at_s(DAY_S + 1)), [key("a")]);
        let collector = MetricsCollector::new(at_s(DAY_S), at_s(2 * DAY_S));
        assert_eq!(collector.finish(&standing, 1).stale, [key("a")]);
    }

    #[test]
    fn nothing_at_all() {
        let found = metrics(&[], 0);
        assert_eq!((found.announcements, found.per_day.value, found.top_ten_share.value), (0, 0.0, 0.0));
        assert!(found.flood_share.is_met && found.top_ten.is_empty());
    }
}
