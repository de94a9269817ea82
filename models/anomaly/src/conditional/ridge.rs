//! Bayesian ridge regression of one channel: finds the weights with which the channel is predicted as a weighted sum of the
//! terms. Each weight has a *prior*: what is expected of it before anything was measured, as a mean and a standard deviation.
//!
//! A value y is the channel's value less its mean, divided by the channel's *spread* (the standard deviation of its residuals).
//! A row counts with its *information* w: 1 for an independent reading, less if readings repeat each other. With the terms φ of
//! a row, and the prior means m and standard deviations p:
//!
//! ```text
//! precision  H = Σ w φ φ' + diag(1/p²)        covariance P = H⁻¹
//! weights    θ = P (Σ w φ y + m/p²)           leverage   φ' P φ
//! ```
//!
//! The *leverage* is the variance of a prediction, in squared spreads.
//!
//! Example: one term, which is always 1, with the prior 0 ± 100, and four rows of y = 2 with w = 1. H is 4.0001, θ is
//! 8 / 4.0001 = 1.99995, and a prediction is uncertain by √(1/4.0001) = 0.5 spreads. The weight of a term that was always 0
//! keeps its prior, and a prediction in which this term is not 0 is as uncertain as the prior says.
//!
//! The sums over rows are gathered per block of rows, so that the fit without a block is the sum over the other blocks. The
//! weights of a fit with the first terms only follow from the first rows and columns of H.
//!
//! P is not kept per channel; see `factor.rs`.

use super::{symmetric::Symmetric, terms::Prior};

/// What some rows say about the weights: the sums of the formulas.
#[derive(Debug, Clone)]
pub(super) struct Information {
    /// Σ w φ φ', and the priors once they are added.
    pub precision: Symmetric,
    /// Σ w φ y, and the priors once they are added.
    moment: Vec<f64>,
}

impl Information {
    /// Returns the sums of no rows, for `terms` weights.
    pub(super) fn none(terms: usize) -> Information {
        Information { precision: Symmetric::zeros(terms), moment: vec![0.0; terms] }
    }

    /// Returns the number of weights.
    pub(super) fn terms(&self) -> usize {
        self.moment.len()
    }

    /// Adds a row: its terms φ, its value y and its information w.
    pub(super) fn add(&mut self, terms: &[f64], value: f64, information: f64) {
        self.precision.add_outer(terms, information);
        for (moment, term) in self.moment.iter_mut().zip(terms) {
            *moment += information * term * value;
        }
    }

    pub(super) fn add_all(&mut self, other: &Information) {
        self.precision.add(&other.precision);
        for (moment, addend) in self.moment.iter_mut().zip(&other.moment) {
            *moment += addend;
        }
    }
}

impl Information {
    /// Adds priors of the first weights.
    pub(super) fn add_priors(&mut self, priors: &[Prior]) {
        for (index, Prior { mean, sd }) in priors.iter().enumerate() {
            let precision = 1.0 / (sd * sd);
            self.precision.add_to_diagonal(index, precision);
            self.moment[index] += mean * precision;
        }
    }

    /// Returns the weights of a fit with the first `terms` terms only, in spreads; `None` if the numbers are too far apart for
    /// arithmetic.
    pub(super) fn weights(&self, terms: usize) -> Option<Vec<f64>> {
        let covariance = self.precision.leading(terms).inverse()?;
        let mut weights = vec![0.0; terms];
        covariance.multiply(&self.moment[..terms], &mut weights);
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }
}

/// Returns the scalar product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gather(rows: &[(f64, f64)]) -> Information {
        let mut information = Information::none(2);
        rows.iter().for_each(|(x, y)| information.add(&[1.0, *x], *y, 1.0));
        information
    }

    fn fit<'a>(priors: &[Prior], blocks: impl Iterator<Item = &'a Information>) -> Option<Vec<f64>> {
        let mut sum = Information::none(priors.len());
        blocks.for_each(|block| sum.add_all(block));
        sum.add_priors(priors);
        sum.weights(priors.len())
    }

    #[test]
    fn the_example_of_the_module() {
        let mut rows = Information::none(1);
        (0..4).for_each(|_| rows.add(&[1.0], 2.0, 1.0));
        rows.add_priors(&[Prior { mean: 0.0, sd: 100.0 }]);
        assert!((rows.precision.get(0, 0) - 4.0001).abs() < 1e-12);
        assert!((rows.weights(1).expect("a fit")[0] - 8.0 / 4.0001).abs() < 1e-12);
    }

    #[test]
    fn a_term_that_was_never_seen_keeps_its_prior() {
        let priors = [Prior { mean: 0.0, sd: 100.0 }, Prior { mean: 3.0, sd: 0.5 }];
        let mut rows = gather(&[(0.0, 1.0), (0.0, 1.0)]);
        rows.add_priors(&priors);
        assert!((rows.weights(2).expect("a fit")[1] - 3.0).abs() < 1e-9);
        assert!((rows.precision.inverse().expect("positive definite").get(1, 1) - 0.25).abs() < 1e-9);
        assert!((rows.weights(1).expect("a fit")[0] - 2.0 / 2.0001).abs() < 1e-9, "the first alone");
    }

    #[test]
    fn numbers_beyond_arithmetic_give_no_fit() {
        let rows = gather(&[(1e200, 1.0), (f64::MAX, 1.0)]);
        assert!(fit(&[Prior { mean: 0.0, sd: 1.0 }; 2], [&rows].into_iter()).is_none());
    }

    proptest! {
        #[test]
        fn the_fit_does_not_depend_on_the_order_of_blocks(
            blocks in prop::collection::vec(prop::collection::vec((-2.0..2.0, -5.0..5.0), 1..20), 2..9),
        ) {
            let priors = [Prior { mean: 0.0, sd: 100.0 }, Prior { mean: 0.0, sd: 10.0 }];
            let gathered: Vec<Information> = blocks.iter().map(|rows| gather(rows)).collect();
            let forward = fit(&priors, gathered.iter()).expect("a fit");
            let backward = fit(&priors, gathered.iter().rev()).expect("a fit");
            for (a, b) in forward.iter().zip(&backward) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }
    }
}
