//! The rate of change of a channel, measured over a time that is at least `over_ms`.
//!
//! Two values are remembered. The rate is measured from the older one, whose age is from one to about two times
//! `over_ms`. After a gap of more than [`MAX_AGE`] times `over_ms` the measurement begins again.

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

/// The oldest value that a rate is measured from, in multiples of `over_ms`.
const MAX_AGE: i64 = 4;

/// The values that a rate is measured from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateMemory {
    base: Option<(Timestamp, f64)>,
    /// The next base.
    next: Option<(Timestamp, f64)>,
}

impl RateMemory {
    /// Takes a value. Returns the change per minute, if it can be measured. Values out of order are left out.
    pub(crate) fn per_minute(&mut self, at: Timestamp, value: f64, over_ms: i64) -> Option<f64> {
        let Some((base_at, base)) = self.base else {
            self.base = Some((at, value));
            return None;
        };
        let age_ms = at.since_ms(base_at);
        if age_ms > MAX_AGE * over_ms {
            *self = Self { base: Some((at, value)), next: None };
            return None;
        }
        if age_ms < over_ms {
            return None;
        }
        match self.next {
            None => self.next = Some((at, value)),
            Some(next) if at.since_ms(next.0) >= over_ms => (self.base, self.next) = (Some(next), Some((at, value))),
            Some(_) => {}
        }
        Some((value - base) * 60_000.0 / age_ms as f64)
    }

    /// Begins again: the device's clock was corrected.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_200_000 + 1_000 * s).expect("a time")
    }

    #[test]
    fn rate_is_measured_from_a_value_of_some_age() {
        let mut rate = RateMemory::default();
        for (s, value, expected) in [
            (0, 10.0, None),
            (29, 10.5, None),
            (30, 11.0, Some(2.0)),
            (45, 11.5, Some(2.0)),
            (20, 99.0, None),
            (60, 12.0, Some(2.0)),
            // The base is the value at 30 s now.
            (75, 14.0, Some(4.0)),
            (90, 10.0, Some(-1.0)),
            (181, 10.0, None),
            (211, 15.0, Some(10.0)),
        ] {
            assert_eq!(rate.per_minute(at(s), value, 30_000), expected, "{s} s");
        }
        rate.reset();
        assert_eq!(rate.per_minute(at(212), 15.0, 30_000), None);
    }
}
