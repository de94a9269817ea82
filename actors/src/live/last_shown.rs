//! What is known of a pump that was not heard since the node's start: its reading that was shown last, and how often it
//! posted. Pure.

use volute_plant::{CadenceMeter, Reading, TimeRules};

/// A pump is stale after so many of its usual pauses.
pub(crate) const STALE_PAUSES: i64 = 3;

/// A pump as its stored readings have it.
#[derive(Debug, Clone, PartialEq)]
pub struct LastShown {
    /// The reading that says how it was when it was last heard.
    pub reading: Reading,
    /// Silent for longer, it is stale. In milliseconds.
    pub stale_after_ms: i64,
}

impl LastShown {
    /// By its newest readings, oldest first; none of nothing. A pump that posts more often than that is stale after
    /// `stale_after_ms`.
    pub(crate) fn of(newest: &[Reading], times: &TimeRules, stale_after_ms: i64) -> Option<Self> {
        let current = newest.iter().filter(|reading| times.is_current(reading));
        let shown = current.max_by_key(|reading| (reading.received, reading.at));
        let reading = shown.or(newest.last())?.clone();
        let mut received: Vec<_> = newest.iter().map(|reading| reading.received).collect();
        received.sort_unstable();
        let mut posts = CadenceMeter::live();
        received.into_iter().for_each(|at| posts.push(at));
        let pause_ms = posts.usual_pause_ms().unwrap_or(0);
        Some(Self { reading, stale_after_ms: stale_after_ms.max(STALE_PAUSES * pause_ms) })
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::{Sample, Timestamp};

    use super::*;

    const TIMES: TimeRules = TimeRules { ahead_ms: 30_000, current_ms: 60_000, kept_ms: 400 * 86_400_000 };

    /// A reading at a second, received at another.
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
    fn the_current_reading_that_was_received_last_was_shown_last() {
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
        assert_eq!(shown(&batches).map(|(_, ms)| ms), Some(90_000), "posts count, not readings");
        assert_eq!(shown(&every(1, 1)).map(|(_, ms)| ms), Some(10_000));
    }
}
