//! The means of the last residuals (values less their predictions), which show whether the change of an episode is gone.
//!
//! The exponential averages (`averages.rs`) are too slow for that: an average over an hour contains a large fault for hours.
//! Here the time is cut into pieces of a fixed length, and each piece has its own means.
//!
//! Example of pieces of 120 s, at one reading per minute: the means of readings 1 and 2 are known after reading 2, those of
//! readings 3 and 4 after reading 4.

use serde::{Deserialize, Serialize};

/// The means of all outputs over the current piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecentMeans {
    /// For each output: the sum of its residuals, and their number.
    sums: Vec<f64>,
    counts: Vec<u32>,
    readings: u32,
    elapsed_s: f64,
}

impl RecentMeans {
    pub(super) fn new(outputs: usize) -> RecentMeans {
        RecentMeans { sums: vec![0.0; outputs], counts: vec![0; outputs], readings: 0, elapsed_s: 0.0 }
    }

    /// Begins a piece.
    pub(super) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0);
        (self.readings, self.elapsed_s) = (0, 0.0);
    }

    /// Adds the residuals of a reading, NaN where missing, `elapsed_s` seconds after the reading before.
    pub(super) fn add(&mut self, residuals: &[f64], elapsed_s: f64) {
        for ((sum, count), residual) in self.sums.iter_mut().zip(&mut self.counts).zip(residuals) {
            if !residual.is_nan() {
                *sum += residual;
                *count += 1;
            }
        }
        self.readings += 1;
        self.elapsed_s += elapsed_s;
    }

    /// Whether the piece has at least this length, and at least two readings.
    pub(super) fn is_whole(&self, length_s: f64) -> bool {
        self.readings >= 2 && self.elapsed_s >= length_s
    }

    /// Returns the mean of an output; `None` if it was missing in more than half of the readings.
    pub(super) fn mean(&self, output: usize) -> Option<f64> {
        let count = self.counts[output];
        (2 * count >= self.readings && count > 0).then(|| self.sums[output] / f64::from(count))
    }

    /// Whether it has this number of outputs, and finite numbers only.
    pub(super) fn is_valid(&self, outputs: usize) -> bool {
        [self.sums.len(), self.counts.len()] == [outputs; 2]
            && self.sums.iter().chain([&self.elapsed_s]).all(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_module() {
        let mut recent = RecentMeans::new(1);
        let mut means = Vec::new();
        for residual in [1.0, 2.0, 5.0, 7.0] {
            recent.add(&[residual], 60.0);
            if recent.is_whole(120.0) {
                means.extend(recent.mean(0));
                recent.clear();
            }
        }
        assert_eq!(means, [1.5, 6.0]);
    }

    #[test]
    fn an_output_that_is_mostly_missing_has_no_mean() {
        let mut recent = RecentMeans::new(2);
        for residuals in [[1.0, 1.0], [3.0, f64::NAN], [5.0, f64::NAN]] {
            recent.add(&residuals, 60.0);
        }
        assert_eq!((recent.mean(0), recent.mean(1)), (Some(3.0), None));
    }
}
