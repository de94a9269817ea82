//! Which batch is best on this machine: the smallest that is nearly as quick, window for window, as any.
//!
//! Larger ones gain nothing and have each of their windows wait for the others. Measured once, at the start, with blank
//! windows. Deliberately absent: when a worker takes a batch (the pool's).

use std::time::{Duration, Instant};

use volute_anomaly::{Model, Scorer};

/// What is tried.
const SIZES: [usize; 7] = [4, 8, 16, 32, 64, 128, 256];
/// The best of so many trials counts: the others were disturbed.
const TRIALS: usize = 3;
/// As quick as this, compared with the quickest, is quick enough.
const NEARLY: f64 = 0.95;

/// Measures it, in some tens of milliseconds.
pub(crate) fn best_batch(model: &Model) -> usize {
    let mut scorer = Scorer::new(model);
    let tried = SIZES.map(|size| {
        scorer.rehearse(size);
        let mut trial = || {
            let start = Instant::now();
            scorer.rehearse(size);
            start.elapsed()
        };
        (size, (0..TRIALS).map(|_| trial()).min().unwrap_or(Duration::MAX))
    });
    let best = smallest_good(&tried);
    let windows_per_s = tried.iter().find(|(size, _)| *size == best).map(|&tried| rate(tried).round());
    tracing::info!(windows = best, windows_per_s, "the best batch measured");
    best
}

/// Of sizes with their times, in ascending order.
fn smallest_good(tried: &[(usize, Duration)]) -> usize {
    let quickest = tried.iter().copied().map(rate).fold(0.0, f64::max);
    tried.iter().find(|&&tried| rate(tried) >= NEARLY * quickest).map_or(1, |(size, _)| *size)
}

/// Windows a second.
fn rate((size, took): (usize, Duration)) -> f64 {
    size as f64 / took.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_batch_has_to_be_worth_it() {
        let tried = |us: [u64; 4]| [4, 8, 16, 32].into_iter().zip(us.map(Duration::from_micros)).collect::<Vec<_>>();
        for (us, best) in [
            ([100, 200, 400, 800], 4),
            ([100, 102, 204, 408], 8),
            ([100, 101, 102, 103], 32),
            ([100, 150, 202, 400], 16),
            ([100, 1000, 1000, 740], 32),
        ] {
            assert_eq!(smallest_good(&tried(us)), best, "{us:?}");
        }
        assert_eq!(smallest_good(&[]), 1);
    }
}
