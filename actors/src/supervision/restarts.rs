//! When an actor that failed is built anew, and when it is not any more. Pure: time and chance come in.
//!
//! The pause doubles with each failure that still counts, from 10 ms to 10 s, and up to half as much comes on top by
//! chance, so that actors that failed together do not come back together. An actor that fails more often within a
//! stretch of time than is allowed stays down until somebody asks for it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The shortest pause, and the longest.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(10);

/// How many failures in which time are borne.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub restarts: usize,
    pub window: Duration,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The actor is built at once.
    Now,
    /// It is built after this pause, or sooner if somebody asks for it.
    After(Duration),
    /// It is built when somebody asks for it.
    WhenAsked,
}

/// The failures of one actor that still count.
#[derive(Debug, Default)]
pub(crate) struct Failures(VecDeque<Instant>);

impl Failures {
    /// One more, at `now`; `chance` is from 0 to 1.
    pub(crate) fn note(&mut self, tolerance: &Tolerance, now: Instant, chance: f64) -> Next {
        self.0.retain(|&then| now.saturating_duration_since(then) < tolerance.window);
        if self.0.len() >= tolerance.restarts {
            return Next::WhenAsked;
        }
        self.0.push_back(now);
        Next::After(pause(self.0.len(), chance))
    }

    /// Somebody has asked for the actor: it begins with a clean sheet.
    pub(crate) fn forgive(&mut self) {
        self.0.clear();
    }
}

/// The pause after so many failures.
fn pause(failures: usize, chance: f64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    SHORTEST.saturating_mul(1 << doublings).mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_ten_milliseconds_to_ten_seconds() {
        let pauses: Vec<u128> = (1..=12).map(|n| pause(n, 0.0).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000]);
        assert_eq!(pause(1, 1.0), Duration::from_millis(15));
        assert_eq!(pause(usize::MAX, 1.0), LONGEST);
    }

    #[test]
    fn more_failures_than_are_borne_end_it_and_old_ones_do_not_count() {
        let tolerance = Tolerance { restarts: 2, window: Duration::from_secs(60) };
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let after = |ms| Next::After(Duration::from_millis(ms));
        let mut failures = Failures::default();
        assert_eq!(failures.note(&tolerance, at(0), 0.0), after(10));
        assert_eq!(failures.note(&tolerance, at(59), 0.0), after(20));
        assert_eq!(failures.note(&tolerance, at(60), 0.0), after(20), "the first no longer counts");
        assert_eq!(failures.note(&tolerance, at(61), 0.0), Next::WhenAsked);
        failures.forgive();
        assert_eq!(failures.note(&tolerance, at(62), 0.0), after(10));
    }
}
