//! Measures the best batch size on this machine: the smallest with at least 95 % of the highest throughput in windows
//! per second.
//!
//! Larger batches gain little, and each window waits for the others of its batch. For example, if batches of 4, 8, 16
//! and 32 windows take 100, 150, 202 and 400 µs, 16 is the best size: it reaches 79,200 windows/s, and 32 reaches
//! 80,000. The size is measured once at the start, with empty windows. Does not decide when a worker takes a batch; see
//! [`super::dispatch`].

use std::time::{Duration, Instant};

use volute_anomaly::{Model, Scorer};

/// The batch sizes that are measured.
const BATCH_SIZES: [usize; 7] = [4, 8, 16, 32, 64, 128, 256];
/// How often each size is measured. The fastest trial counts, because other processes may slow down the rest.
const TRIALS: usize = 3;
/// The minimum throughput of the best size, relative to the highest throughput.
const MIN_RELATIVE_THROUGHPUT: f64 = 0.95;

/// Measures the best batch size. Takes some tens of milliseconds.
pub(crate) fn best_batch(model: &Model) -> usize {
    let mut scorer = Scorer::new(model);
    let measured = BATCH_SIZES.map(|size| {
        scorer.warm_up(size);
        let mut trial = || {
            let start = Instant::now();
            scorer.warm_up(size);
            start.elapsed()
        };
        (size, (0..TRIALS).map(|_| trial()).min().unwrap_or(Duration::MAX))
    });
    let best = smallest_fast_enough(&measured);
    let windows_per_s = measured.iter().find(|(size, _)| *size == best).map(|&measured| rate(measured).round());
    tracing::info!(windows = best, windows_per_s, "measured the best batch size");
    best
}

/// Returns the best of the measured sizes. They are in ascending order, each with the duration of one batch.
fn smallest_fast_enough(measured: &[(usize, Duration)]) -> usize {
    let highest = measured.iter().copied().map(rate).fold(0.0, f64::max);
    measured.iter().find(|&&measured| rate(measured) >= MIN_RELATIVE_THROUGHPUT * highest).map_or(1, |(size, _)| *size)
}

/// Returns the throughput in windows per second.
fn rate((size, duration): (usize, Duration)) -> f64 {
    size as f64 / duration.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_batch_is_best_only_if_it_is_clearly_faster() {
        let measured = |us: [u64; 4]| [4, 8, 16, 32].into_iter().zip(us.map(Duration::from_micros)).collect::<Vec<_>>();
        for (us, best) in [
            ([100, 200, 400, 800], 4),
            ([100, 102, 204, 408], 8),
            ([100, 101, 102, 103], 32),
            ([100, 150, 202, 400], 16),
            ([100, 1000, 1000, 740], 32),
        ] {
            assert_eq!(smallest_fast_enough(&measured(us)), best, "{us:?}");
        }
        assert_eq!(smallest_fast_enough(&[]), 1);
    }
}
