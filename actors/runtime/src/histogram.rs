//! A histogram of durations with logarithmic buckets.
//!
//! Each doubling of the duration, from 1 us up to about 18 minutes, is divided into eight buckets. A quantile is
//! reported as the upper end of its bucket, so it is at most 1/8 above the true value. For example, 90 us falls into
//! the bucket from 88 to 96 us, and a quantile in this bucket is reported as 0.096 ms.
//!
//! Recording a duration is one atomic addition, and doublings without entries take no memory, so each of 10,000 actors
//! can have a histogram. A histogram of the crate `hdrhistogram` takes 16 KiB at this resolution, and needs a lock if
//! several threads record into it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The number of buckets into which each doubling is divided.
const BUCKETS_PER_DOUBLING: usize = 8;
/// The number of doublings. The last bucket also holds all durations above 2^30 microseconds, about 18 minutes.
const DOUBLINGS: usize = 28;

/// A distribution of durations.
#[derive(Debug, Default)]
pub struct Histogram([OnceLock<Box<[AtomicU64; BUCKETS_PER_DOUBLING]>>; DOUBLINGS]);

impl Histogram {
    /// Adds a duration.
    pub fn record(&self, duration: Duration) {
        let bucket = bucket(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.0[bucket / BUCKETS_PER_DOUBLING].get_or_init(Box::default)[bucket % BUCKETS_PER_DOUBLING]
            .fetch_add(1, Relaxed);
    }

    /// Returns the buckets that are not empty: the upper end of each in milliseconds, and its count.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets = Vec::new();
        for (doubling, counts) in self.0.iter().enumerate() {
            for (index, count) in counts.get().into_iter().flat_map(|counts| counts.iter().enumerate()) {
                let count = count.load(Relaxed);
                if count > 0 {
                    buckets.push((end_us(doubling * BUCKETS_PER_DOUBLING + index) as f64 / 1000.0, count));
                }
            }
        }
        buckets
    }
}

/// Returns the upper end of the bucket that holds `quantile` (0 to 1), in milliseconds; none if there are no entries.
/// `buckets` must be in ascending order, as [`Histogram::buckets`] returns them.
pub fn quantile_ms(buckets: &[(f64, u64)], quantile: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let rank = (total as f64 * quantile).ceil().max(1.0) as u64;
    let mut cumulative = 0;
    buckets.iter().find_map(|(end_ms, count)| {
        cumulative += count;
        (cumulative >= rank).then_some(*end_ms)
    })
}

/// Returns the bucket of a duration in microseconds. Below [`BUCKETS_PER_DOUBLING`] microseconds, each microsecond has a
/// bucket. Above, each doubling has [`BUCKETS_PER_DOUBLING`] buckets.
fn bucket(us: u64) -> usize {
    let per_doubling = BUCKETS_PER_DOUBLING as u64;
    let doublings = us.max(per_doubling).ilog2() - per_doubling.ilog2();
    let bucket = u64::from(doublings) * per_doubling + (us >> doublings);
    usize::try_from(bucket).unwrap_or(usize::MAX).min(DOUBLINGS * BUCKETS_PER_DOUBLING - 1)
}

/// Returns the exclusive upper end of a bucket in microseconds.
fn end_us(bucket: usize) -> u64 {
    let (next, per_doubling) = (bucket as u64 + 1, BUCKETS_PER_DOUBLING as u64);
    if next <= per_doubling { next } else { (next % per_doubling + per_doubling) << (next / per_doubling - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_an_eighth_above_the_true_value() {
        let histogram = Histogram::default();
        assert_eq!(quantile_ms(&histogram.buckets(), 0.5), None);
        for us in [0, 1, 3, 90, 100, 100, 100, 100, 100, 5000] {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!(quantile_ms(&histogram.buckets(), 0.5), Some(0.104));
        assert_eq!(quantile_ms(&histogram.buckets(), 0.99), Some(5.12));
        assert_eq!(histogram.buckets().iter().map(|(_, count)| count).sum::<u64>(), 10);
        let counts: Vec<u64> = histogram.buckets().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 1, 5, 1], "only buckets that are not empty");
        histogram.record(Duration::MAX);
        assert!(
            quantile_ms(&histogram.buckets(), 1.0) > Some(1e6),
            "a duration beyond the scale is in the last bucket"
        );
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for us in (0..5000).chain([1 << 20, (1 << 29) - 1]) {
            let bucket = bucket(us);
            assert!(us < end_us(bucket) && (bucket == 0 || us >= end_us(bucket - 1)), "{us} in {bucket}");
            assert!(end_us(bucket) <= us + us / 8 + 1, "{us} is reported as {}", end_us(bucket));
        }
    }
}
