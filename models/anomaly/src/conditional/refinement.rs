//! When a baseline is learned again (*refined*).
//!
//! A pump's anomalies can be detected after minutes of commissioning, but not as well as after a day: the first minutes have few speeds, one
//! part of the day, and little slow drift. So the baseline is learned again as the pump runs, from all healthy readings so far,
//! until it was learned from a day of running.
//!
//! Example: a baseline is learned from 15 minutes. It is learned again after 1, 2, 4, 8, 12 and 24 hours of running. If the pump
//! stands for a week after 5 hours of running, the next time is after 3 more hours of running.
//!
//! Does not learn, and does not select healthy readings; the caller does.

use super::baseline::ConditionalBaseline;

/// The running times at which a baseline is learned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefinementSchedule;

const HOUR_S: f64 = 3_600.0;

/// In seconds of running.
const TIMES_S: [f64; 6] = [1.0 * HOUR_S, 2.0 * HOUR_S, 4.0 * HOUR_S, 8.0 * HOUR_S, 12.0 * HOUR_S, 24.0 * HOUR_S];

/// A time counts as reached if less than this share of it is missing.
const SLACK: f64 = 0.02;

impl RefinementSchedule {
    /// Returns the running time, in seconds since the first reading of commissioning, at which a baseline that was learned
    /// from `learned_s` seconds of running is to be learned again. `None` after a day.
    pub fn next_s(learned_s: f64) -> Option<f64> {
        TIMES_S.into_iter().find(|time_s| learned_s < (1.0 - SLACK) * time_s)
    }
}

impl ConditionalBaseline {
    /// Whether it is to be learned again, because it was learned from less than a day of running.
    pub fn is_provisional(&self) -> bool {
        RefinementSchedule::next_s(self.learned().running_s).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_module() {
        let mut learned_s = 900.0;
        let mut hours = Vec::new();
        while let Some(next_s) = RefinementSchedule::next_s(learned_s) {
            hours.push(next_s / HOUR_S);
            learned_s = next_s;
        }
        assert_eq!(hours, [1.0, 2.0, 4.0, 8.0, 12.0, 24.0]);
        assert_eq!(RefinementSchedule::next_s(5.0 * HOUR_S), Some(8.0 * HOUR_S));
        assert_eq!(RefinementSchedule::next_s(23.9 * HOUR_S), None, "a few readings were lost");
    }
}
