//! Pauses between attempts: each is twice the one before, between two bounds. Pure: chance is passed in.
//!
//! Up to half a pause is added by chance, so that callers that failed together do not try again together. From 10 ms to
//! 10 s: 10 to 15 ms, 20 to 30 ms, 40 to 60 ms, ... 10 s.

use std::time::Duration;

/// How long to wait before trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The pause after the first failure.
    pub shortest: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl BackOff {
    /// Returns the pause after `failures` in a row, the first is 1. `chance` is from 0 to 1: how much of half a pause is
    /// added.
    pub fn pause(&self, failures: usize, chance: f64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
        let pause = self.shortest.saturating_mul(1 << doublings).min(self.longest);
        pause.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_shortest_to_the_longest() {
        let back_off = BackOff { shortest: Duration::from_millis(10), longest: Duration::from_secs(10) };
        let pauses: Vec<u128> = (1..=12).map(|n| back_off.pause(n, 0.0).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000]);
        assert_eq!(back_off.pause(0, 0.0), back_off.shortest);
        assert_eq!(back_off.pause(1, 1.0), Duration::from_millis(15));
        assert_eq!(back_off.pause(1, 7.0), Duration::from_millis(15), "no more than half of it is added");
        assert_eq!(back_off.pause(usize::MAX, 1.0), back_off.longest);
    }
}
