//! The state of a pump that has sent nothing since the node's start, derived from its stored readings: which reading
//! was shown last, and how long the pump may be silent before it is stale. Does no I/O.

use volute_plant::{CadenceMeter, Reading, TimestampLimits};

/// A pump is stale after this many of its usual pauses between posts.
pub(crate) const STALE_AFTER_PAUSES: i64 = 3;

/// A pump's last state, from its stored readings.
#[derive(Debug, Clone, PartialEq)]
pub struct LastShown {
    /// The reading that was shown last.
    pub reading: Reading,
    /// For how long it may be silent before it is stale, in milliseconds.
    pub stale_after_ms: i64,
}

impl LastShown {
    /// Returns the last state from a pump's newest readings, oldest first; none if there are no readings. The pump is
    /// stale after `stale_after_ms`, or later if its usual pause between posts is long.
    ///
    /// Of the current readings, the one received last was shown last. If none is current, it is the newest by device
    /// time.
    pub(crate) fn of(newest: &[Reading], times: &TimestampLimits, stale_after_ms: i64) -> Option<Self> {
        let current = newest.iter().filter(|reading| times.is_current(reading));
        let last_current = current.max_by_key(|reading| (reading.received, reading.at));
        let reading = last_current.or(newest.last())?.clone();
        let mut received: Vec<_> = newest.iter().map(|reading| reading.received).collect();
        received.sort_unstable();
        let mut posts = CadenceMeter::live();
        received.into_iter().for_each(|at| posts.push(at));
        let pause_ms = posts.typical_pause_ms().unwrap_or(0);
        Some(Self { reading, stale_after_ms: stale_after_ms.max(STALE_AFTER_PAUSES * pause_ms) })
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::{Sample, Timestamp};

    use super::*;

    const TIMES: TimestampLimits =
        TimestampLimits { max_ahead_ms: 30_000, max_current_offset_ms: 60_000, max_age_ms: 400 * 86_400_000 };

    /// A reading measured at `at_s` and received at `received_s`, in seconds.
    fn reading(at_s: i64, received_s: i64) -> Reading {
        let time = |s: i64| Timestamp::from_millis(1_773_050_400_000 + 1000 * s).expect("a time");
        let (pump, samples) = ("P".parse().expect("an id"), [Sample::Good(1.0)].into());
        Reading { pump, at: time(at_s), received: time(received_s), samples, late: false }
    }

    fn shown(newest: &[(i64, i64)]) -> Option<(Reading, i64)> {
        let newest: Vec<Reading> = newest.iter().map(|&(at, received)| reading(at, received)).collect();
        LastShown::of(&newest, &TIMES, 10_000).map(|last| (last.reading, last.stale_after_ms))
    }

    #[test]
    fn the_current_reading_received_last_was_shown_last() {
        for (newest, at, received) in [
            ([(0, 0), (10, 75)], 0, 0),
            ([(0, 1), (29, 0)], 0, 1),
            ([(0, 100), (10, 90)], 10, 90),
            ([(0, 5), (1, 5)], 1, 5),
        ] {
            assert_eq!(shown(&newest).map(|(shown, _)| shown), Some(reading(at, received)), "{newest:?}");
        }
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn a_pump_is_stale_after_three_of_its_usual_pauses() {
        let every = |s: i64, count: i64| (0..count).map(|n| (n * s, n * s)).collect::<Vec<_>>();
        for (newest, stale_after_ms) in [(every(1, 100), 10_000), (every(300, 20), 900_000), (every(60, 2), 180_000)] {
            assert_eq!(shown(&newest).map(|(_, ms)| ms), Some(stale_after_ms), "{newest:?}");
        }
        let batches: Vec<(i64, i64)> = (0..100).map(|n| (n, (n / 30 + 1) * 30)).collect();
        assert_eq!(shown(&batches).map(|(_, ms)| ms), Some(90_000), "pauses between posts count, not between readings");
        assert_eq!(shown(&every(1, 1)).map(|(_, ms)| ms), Some(10_000));
    }
}
