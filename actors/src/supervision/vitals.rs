//! What an actor has done: counts, times, and how long its messages took.
//!
//! Handling times go into buckets that double in width: bucket n holds those below 2^n microseconds. A quantile is its
//! bucket's upper end, so it is at most twice the true one; that is exact enough to tell a slow actor from a quick one,
//! and costs one addition for each message.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// The last bucket holds everything from 2^30 microseconds, some 18 minutes, on.
const BUCKETS: usize = 32;

/// The counts of one actor, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub processed: AtomicU64,
    pub failures: AtomicU64,
    pub restarts: AtomicU64,
    /// Messages that wait.
    pub waiting: AtomicUsize,
    /// Messages that may wait.
    pub limit: AtomicUsize,
    /// When the last message was done, in milliseconds since 1970; 0: never.
    pub last_progress_ms: AtomicI64,
    pub took: Histogram,
}

/// How long messages took.
#[derive(Debug, Default)]
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

impl Histogram {
    pub(crate) fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - us.leading_zeros()) as usize;
        self.0[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
    }

    /// The upper end of the bucket of this quantile, in milliseconds; none before the first message.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let rank = (all as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return Some((1_u64 << bucket) as f64 / 1000.0);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_twice_the_true_one() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(0.5), None);
        for us in [0, 1, 3, 90, 100, 100, 100, 100, 100, 5000] {
            histogram.note(Duration::from_micros(us));
        }
        assert_eq!(histogram.quantile_ms(0.5), Some(0.128));
        assert_eq!(histogram.quantile_ms(0.99), Some(8.192));
        histogram.note(Duration::MAX);
        assert_eq!(histogram.quantile_ms(1.0), Some(f64::from(1_u32 << 31) / 1000.0));
    }
}
