//! The live regression of one channel: it predicts, and learns on while the pump is normal.
//!
//! Two things learn. The weights, by recursive least squares: with the gain g = P φ / (1/w + φ' P φ), the weights move by g
//! times the residual, and P becomes P - g φ' P. It is the fit of all readings so far, so a single reading changes little where
//! much was seen, and much where little was. And an offset, which follows the residual within 3 spreads of its
//! *anchor*, so that slow drift is no anomaly, and drift without end is one.
//!
//! Example: a bearing's offset after a commissioning of a day follows with 12 h. After an hour that is 0.4 K too warm, the
//! offset is at 0.03 K. With a spread of 0.2 K it never goes beyond 0.6 K, so a fault of 12 K in three days, which is 0.17
//! K per hour, is hidden by 0.6 K at most.
//!
//! Does not decide whether the pump is normal.

use serde::{Deserialize, Serialize};

use super::{baseline::OutputBaseline, ridge::dot, symmetric::Symmetric, tuning::TUNING};

/// The regression of one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Regression {
    weights: Vec<f64>,
    covariance: Symmetric,
    offset: f64,
    anchor: f64,
}

/// What the regression says of one reading.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    pub value: f64,
    /// The covariance times the terms.
    product: Vec<f64>,
    /// The variance of the weights' sum, in spreads squared.
    leverage: f64,
}

impl Prediction {
    /// Returns its variance, in squared units.
    pub(super) fn variance(&self, baseline: &OutputBaseline) -> f64 {
        // The mean alone is followed by the offset, and is as certain as that.
        if self.product.len() == 1 { 0.0 } else { self.leverage * baseline.spread * baseline.spread }
    }
}

impl Regression {
    pub(super) fn new(baseline: &OutputBaseline) -> Regression {
        let OutputBaseline { weights, covariance, .. } = baseline;
        Regression { weights: weights.clone(), covariance: covariance.clone(), offset: 0.0, anchor: 0.0 }
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Predicts a reading; the first of `terms` are the channel's.
    pub(super) fn predict(&self, terms: &[f64]) -> Prediction {
        let terms = &terms[..self.weights.len()];
        let mut product = vec![0.0; terms.len()];
        self.covariance.multiply(terms, &mut product);
        let leverage = dot(&product, terms).max(0.0);
        Prediction { value: dot(&self.weights, terms) + self.offset, product, leverage }
    }

    /// Lets the offset take a share of a normal pump's residual.
    pub(super) fn follow(&mut self, baseline: &OutputBaseline, residual: f64, share: f64) {
        let max_drift = TUNING.max_drift * baseline.spread;
        let offset = self.offset + share * residual;
        self.offset = offset.clamp(self.anchor - max_drift, self.anchor + max_drift);
    }

    /// Lets the weights learn from a normal pump's residual.
    pub(super) fn learn(&mut self, prediction: &Prediction, residual: f64, information: f64) {
        // A mean alone has nothing to learn that the offset does not.
        if self.weights.len() == 1 {
            return;
        }
        let total = 1.0 / information + prediction.leverage;
        for (weight, product) in self.weights.iter_mut().zip(&prediction.product) {
            *weight += product / total * residual;
        }
        self.covariance.add_outer(&prediction.product, -1.0 / total);
    }

    /// Moves the offset by the `nth` residual while a new level is learned, so that it becomes the level's mean.
    pub(super) fn relearn(&mut self, residual: f64, nth: u32) {
        self.offset += residual / f64::from(nth);
    }

    /// Takes the offset as the new anchor.
    pub(super) fn set_anchor(&mut self) {
        self.anchor = self.offset;
    }

    pub(super) fn is_valid(&self, baseline: &OutputBaseline) -> bool {
        let numbers = self.weights.iter().chain([&self.offset, &self.anchor]);
        self.weights.len() == baseline.weights.len()
            && self.covariance.is_valid(baseline.weights.len())
            && numbers.copied().all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditional::{
        ridge::{Information, fit},
        terms::Prior,
    };

    fn baseline(weights: Vec<f64>, covariance: Symmetric) -> OutputBaseline {
        OutputBaseline { weights, covariance, spread: 1.0, magnitude: 1.0, noise: 1.0, unknown: 0.0 }
    }

    #[test]
    fn learning_reading_by_reading_gives_the_fit_of_all() {
        let priors = [Prior { mean: 0.0, sd: 100.0 }, Prior { mean: 0.0, sd: 50.0 }];
        let rows: Vec<([f64; 2], f64)> =
            (0..200).map(|i| f64::from(i) / 100.0 - 1.0).map(|x| ([1.0, x], 3.0 + 2.0 * x + (9.0 * x).sin())).collect();
        let gather = |rows: &[([f64; 2], f64)]| {
            let mut information = Information::none(2);
            rows.iter().for_each(|(terms, value)| information.add(terms, *value, 0.25));
            fit(&priors, [&information].into_iter()).expect("a fit")
        };
        let (first, all) = (gather(&rows[..50]), gather(&rows));
        let baseline = baseline(first.weights, first.covariance);
        let mut regression = Regression::new(&baseline);
        for (terms, value) in &rows[50..] {
            let prediction = regression.predict(terms);
            regression.learn(&prediction, value - prediction.value, 0.25);
        }
        for (learned, fitted) in regression.weights.iter().zip(&all.weights) {
            assert!((learned - fitted).abs() < 1e-9, "{learned} {fitted}");
        }
    }

    #[test]
    fn the_offset_stays_near_its_anchor() {
        let mut one = Symmetric::zeros(1);
        one.set(0, 0, 0.01);
        let baseline = baseline(vec![10.0], one);
        let mut regression = Regression::new(&baseline);
        for _ in 0..10_000 {
            let prediction = regression.predict(&[1.0]);
            regression.follow(&baseline, 50.0 - prediction.value, 0.01);
            regression.learn(&prediction, 50.0 - prediction.value, 0.25);
        }
        assert_eq!(regression.predict(&[1.0]).value, 13.0);
        for nth in 1..=10 {
            let residual = 50.0 - regression.predict(&[1.0]).value;
            regression.relearn(residual, nth);
        }
        regression.set_anchor();
        assert_eq!(regression.predict(&[1.0]).value, 50.0);
    }
}
