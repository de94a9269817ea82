//! What an actor has done: counts, times, and how long its messages took.
//!
//! Handling times go into buckets, eight for each doubling of microseconds. A quantile is its bucket's upper end, so it is
//! at most an eighth above the true one, and costs one addition for each message.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// Buckets for each doubling.
const STEPS: u64 = 8;
/// The last bucket holds everything from about 2^30 microseconds, some 18 minutes, on.
const BUCKETS: usize = 28 * STEPS as usize;

/// The counts of one actor, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub processed: AtomicU64,
    pub failures: AtomicU64,
    pub restarts: AtomicU64,
    /// Messages that wait.
    pub waiting: AtomicUsize,
    /// What came in messages and waits with the actor itself.
    pub held: AtomicUsize,
    /// Messages that may wait.
    pub limit: AtomicUsize,
    /// When the last message was done, in milliseconds since 1970; 0: never.
    pub last_progress_ms: AtomicI64,
    pub took: Histogram,
}

/// How long messages took.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    pub(crate) fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket(us)].fetch_add(1, Relaxed);
    }

    /// The buckets that hold something: each one's upper end in milliseconds, and how many are in it.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let counts = self.0.iter().map(|count| count.load(Relaxed)).enumerate();
        counts.filter(|(_, count)| *count > 0).map(|(bucket, count)| (end_us(bucket) as f64 / 1000.0, count)).collect()
    }
}

/// The upper end of the bucket of this quantile, in milliseconds, of buckets in ascending order; none of nothing.
pub fn quantile_ms(buckets: &[(f64, u64)], quantile: f64) -> Option<f64> {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let rank = (all as f64 * quantile).ceil().max(1.0) as u64;
    let mut seen = 0;
    buckets.iter().find_map(|(end_ms, count)| {
        seen += count;
        (seen >= rank).then_some(*end_ms)
    })
}

/// Times below [`STEPS`] have a bucket each; above, a doubling has as many.
fn bucket(us: u64) -> usize {
    let doublings = us.max(STEPS).ilog2() - STEPS.ilog2();
    let bucket = u64::from(doublings) * STEPS + (us >> doublings);
    usize::try_from(bucket).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The first time, in microseconds, that is beyond a bucket.
fn end_us(bucket: usize) -> u64 {
    let bucket = bucket as u64 + 1;
    if bucket <= STEPS { bucket } else { (bucket % STEPS + STEPS) << (bucket / STEPS - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_an_eighth_above_the_true_one() {
        let histogram = Histogram::default();
        assert_eq!(quantile_ms(&histogram.buckets(), 0.5), None);
        for us in [0, 1, 3, 90, 100, 100, 100, 100, 100, 5000] {
            histogram.note(Duration::from_micros(us));
        }
        assert_eq!(quantile_ms(&histogram.buckets(), 0.5), Some(0.104));
        assert_eq!(quantile_ms(&histogram.buckets(), 0.99), Some(5.12));
        assert_eq!(histogram.buckets().iter().map(|(_, count)| count).sum::<u64>(), 10);
        histogram.note(Duration::MAX);
        assert!(quantile_ms(&histogram.buckets(), 1.0) > Some(1e6), "what is off the scale is in the last bucket");
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for us in (0..5000).chain([1 << 20, (1 << 29) - 1]) {
            let bucket = bucket(us);
            assert!(us < end_us(bucket) && (bucket == 0 || us >= end_us(bucket - 1)), "{us} in {bucket}");
            assert!(end_us(bucket) <= us + us / 8 + 1, "{us} is told as {}", end_us(bucket));
        }
    }
}
