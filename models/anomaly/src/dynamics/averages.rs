//! Averages of the measures over successive windows.
//!
//! An average with the time constant T (in windows) is exponential: each window moves it by the share 1 - e^(-1/T) of its
//! distance to the window's measure. It is used after T windows.

use serde::{Deserialize, Serialize};

/// The time constants, in windows. Successive windows share 29 of 30 steps. An average with the first time constant contains
/// the steps of about two independent windows, with the second those of four. Chosen.
pub(super) const TIME_CONSTANTS: [f64; 2] = [15.0, 60.0];
/// The number of time constants.
pub(super) const TIME_CONSTANT_COUNT: usize = TIME_CONSTANTS.len();
/// A smaller average counts as this one, so that its logarithm is finite: 1 % of the spread in commissioning. Chosen.
const SMALLEST: f64 = 0.01;

/// The averages of one measure of one channel, one per time constant.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Averages([Average; TIME_CONSTANT_COUNT]);

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Average {
    mean: f64,
    weight: f64,
}

impl Averages {
    pub(super) fn add(&mut self, value: f64) {
        for (average, time_constant) in self.0.iter_mut().zip(TIME_CONSTANTS) {
            let share = 1.0 - (-1.0 / time_constant).exp();
            average.weight += share * (1.0 - average.weight);
            average.mean += share / average.weight * (value - average.mean);
        }
    }

    /// Returns the logarithm of the average with a time constant, by the index of the time constant; `None` until it is known.
    pub(super) fn log(&self, index: usize) -> Option<f64> {
        let Average { mean, weight } = self.0[index];
        // The weight after T windows, 1 - 1/e, rounded down.
        (weight > 0.632).then(|| mean.max(SMALLEST).ln())
    }

    pub(super) fn is_valid(&self) -> bool {
        self.0.iter().all(|average| average.mean.is_finite() && (0.0..=1.0).contains(&average.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_known_after_its_time_constant_and_follows() {
        let mut averages = Averages::default();
        for window in 1..=60 {
            averages.add(2.0);
            assert_eq!(averages.log(0).is_some(), window >= 15, "{window}");
            assert_eq!(averages.log(1).is_some(), window >= 60, "{window}");
        }
        assert!((averages.log(1).expect("known") - 2f64.ln()).abs() < 1e-9);
        (0..15).for_each(|_| averages.add(4.0));
        // The weight of 75 windows with the time constant 15 is 1 - e^-5, of which those of 2 have e^-1 - e^-5.
        let old = ((-1f64).exp() - (-5f64).exp()) / (1.0 - (-5f64).exp());
        let expected = (4.0 - 2.0 * old).ln();
        assert!((averages.log(0).expect("known") - expected).abs() < 1e-9);
        assert!(averages.is_valid());
    }
}
