//! Exponential back-off with jitter: each pause is twice as long as the previous one, up to a maximum. The caller
//! passes the random number, so the computation is pure.
//!
//! Jitter adds up to half a pause, so that callers that failed together do not retry together. For example, with pauses
//! from 10 ms to 10 s, the first pause is 10 to 15 ms, the second 20 to 30 ms, the third 40 to 60 ms, and the eleventh
//! and all later ones are 10 s.

use std::time::Duration;

/// The bounds of the pauses before a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The pause after the first failure.
    pub shortest: Duration,
    /// The upper bound of all pauses, jitter included.
    pub longest: Duration,
}

impl BackOff {
    /// Returns the pause after `failures` consecutive failures, counted from 1. `jitter` is a random number from 0 to
    /// 1; half a pause times `jitter` is added.
    pub fn pause(&self, failures: usize, jitter: f64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
        let pause = self.shortest.saturating_mul(1 << doublings).min(self.longest);
        pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0).min(self.longest)
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
        assert_eq!(back_off.pause(1, 7.0), Duration::from_millis(15), "at most half of the pause is added");
        assert_eq!(back_off.pause(usize::MAX, 1.0), back_off.longest);
    }
}
