//! The live predictions of all outputs, which learn on while the pump is normal.
//!
//! An *output* is a channel that is tested. Its prediction is the sum of its *terms* φ (functions of the operating point), each
//! times its *weight*, plus an *offset*. The *residual* is the value less the prediction, the *spread* the standard deviation of
//! the residuals in commissioning. Two things learn:
//!
//! - The weights, by recursive least squares. P is the covariance of the weights, and w the *information* of the reading: how much
//!   it counts, as a share of an independent one. With the gain g = P φ / (1/w + φ' P φ), the weights move by g times the residual,
//!   and P becomes P - g φ' P. The result is the fit of all readings so far: a reading changes the weights little at an operating
//!   point with many readings, and much at a new one.
//! - The offset, which follows the residuals slowly, so that slow drift is not an anomaly. It stays within 3 spreads of its
//!   *anchor*, so that endless drift is one. The anchor is 0, or the offset that was learned after an episode. Only the anchor of a
//!   temperature moves, with a time constant of a day: the fluid that a pump conveys gets warmer with the season.
//!
//! P is shared by several outputs (`factor.rs`). The gain of each output has its own w, which is 0 without a value; P learns the
//! mean of their w. So an output that was missing for a month counts as known as well as the others, although its weights are a
//! month older. It is not tested less strictly when it is back.
//!
//! Example: after a commissioning of a day, a bearing's offset has a time constant of 12 h. When the bearing has been 0.4 K too
//! warm for an hour, the offset is at 0.03 K. With a spread of 0.2 K the offset stays within 0.6 K of its anchor. So a fault of
//! 12 K in three days, which is 0.17 K per hour, is hidden by at most 0.6 K at first. After that the offset moves only with its
//! anchor, whose time constant is a day: about 0.6 K per day, while the fault grows by 4 K per day. So the fault is found.
//!
//! Does not decide whether the pump is normal.

use serde::{Deserialize, Serialize};

use super::{
    baseline::{ConditionalBaseline, OutputBaseline},
    channels::Group,
    factor::{Factors, Gains, Projection},
    packed,
    ridge::dot,
    terms::TermCount,
    tuning::TUNING,
};

/// The regressions of a pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Regressions {
    factors: Factors,
    /// One per output.
    outputs: Vec<Regression>,
}

/// The regression of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Regression {
    #[serde(with = "packed::f64s")]
    weights: Vec<f64>,
    offset: f64,
    anchor: f64,
}

/// The projections of a reading's terms, for both covariances (`factor.rs`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Projections {
    thermal: Projection,
    other: Projection,
}

impl Regressions {
    pub(super) fn new(baseline: &ConditionalBaseline) -> Regressions {
        let outputs = baseline.outputs.iter().map(Regression::new).collect();
        Regressions { factors: baseline.factors.clone(), outputs }
    }

    /// Returns the regression of each output.
    pub(super) fn outputs(&self) -> &[Regression] {
        &self.outputs
    }

    pub(super) fn outputs_mut(&mut self) -> &mut [Regression] {
        &mut self.outputs
    }

    pub(super) fn project(&self, terms: &[f64]) -> Projections {
        Projections { thermal: self.factors.thermal.project(terms), other: self.factors.other.project(terms) }
    }

    /// Lets the weights learn from a normal pump's residuals, NaN where missing. `information`: one per output.
    pub(super) fn learn(
        &mut self,
        baseline: &ConditionalBaseline,
        projections: &Projections,
        residuals: &[f64],
        information: &[f64],
    ) {
        let common = TermCount::of(&baseline.terms).common;
        for (factor, projection, is_thermal) in [
            (&mut self.factors.thermal, &projections.thermal, true),
            (&mut self.factors.other, &projections.other, false),
        ] {
            let is_own = |index: &usize| (baseline.channels.outputs[*index].group == Group::Thermal) == is_thermal;
            let known = |index: usize| if residuals[index].is_nan() { 0.0 } else { information[index] };
            let own = (0..residuals.len()).filter(is_own);
            let mean = own.clone().map(known).sum::<f64>() / own.clone().count() as f64;
            // With the constant as the only term, the offset learns all that there is to learn.
            if !factor.has_terms() || mean.is_nan() || mean <= 0.0 {
                continue;
            }
            let gains = factor.learn(projection, mean, common);
            for index in own {
                self.outputs[index].learn(&gains, projection, residuals[index], information[index]);
            }
        }
    }

    pub(super) fn is_valid(&self, baseline: &ConditionalBaseline) -> bool {
        let outputs = self.outputs.iter().zip(&baseline.outputs);
        self.factors.fit(&baseline.factors)
            && self.outputs.len() == baseline.outputs.len()
            && outputs.into_iter().all(|(regression, output)| regression.is_valid(output))
    }
}

impl Projections {
    /// Returns the variance of an output's prediction, in its unit squared.
    pub(super) fn variance(&self, group: Group, baseline: &OutputBaseline) -> f64 {
        let terms = baseline.weights.len();
        // The constant is the only term, and the offset follows it.
        if terms == 1 {
            return 0.0;
        }
        let projection = if group == Group::Thermal { &self.thermal } else { &self.other };
        projection.leverage(terms) * baseline.spread * baseline.spread
    }
}

impl Regression {
    fn new(baseline: &OutputBaseline) -> Regression {
        Regression { weights: baseline.weights.clone(), offset: 0.0, anchor: 0.0 }
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Returns the prediction. `terms` may have more terms than the output has weights; it depends on the first ones.
    pub(super) fn expected(&self, terms: &[f64]) -> f64 {
        dot(&self.weights, terms) + self.offset
    }

    /// Moves the offset by a share of a normal pump's residual, and the anchor by a share of its distance to the offset. Then
    /// limits the offset to 3 spreads around the anchor.
    pub(super) fn update(&mut self, baseline: &OutputBaseline, residual: f64, share: f64, anchor_share: f64) {
        let max_drift = TUNING.max_drift * baseline.spread;
        let offset = self.offset + share * residual;
        self.anchor += anchor_share * (offset - self.anchor);
        self.offset = offset.clamp(self.anchor - max_drift, self.anchor + max_drift);
    }

    fn learn(&mut self, gains: &Gains, projection: &Projection, residual: f64, information: f64) {
        if residual.is_nan() {
            return;
        }
        let terms = self.weights.len();
        let moved = residual / (1.0 / information + projection.leverage(terms));
        for (weight, gain) in self.weights.iter_mut().zip(gains.of(terms)) {
            *weight += gain * moved;
        }
    }

    /// Moves the offset by the `nth` residual while a new level is learned, so that it becomes the level's mean.
    pub(super) fn relearn(&mut self, residual: f64, nth: u32) {
        self.offset += residual / f64::from(nth);
    }

    /// Takes the offset as the new anchor.
    pub(super) fn set_anchor(&mut self) {
        self.anchor = self.offset;
    }

    fn is_valid(&self, baseline: &OutputBaseline) -> bool {
        let numbers = self.weights.iter().chain([&self.offset, &self.anchor]);
        self.weights.len() == baseline.weights.len() && numbers.copied().all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditional::{factor::Factor, ridge::Information, terms::Prior};

    fn baseline(weights: Vec<f64>) -> OutputBaseline {
        OutputBaseline { weights, persistence_s: 1.0, spread: 1.0, magnitude: 1.0, noise: 1.0, unknown: 0.0 }
    }

    #[test]
    fn learning_reading_by_reading_gives_the_fit_of_all() {
        let priors = [Prior { mean: 0.0, sd: 100.0 }, Prior { mean: 0.0, sd: 50.0 }];
        let rows: Vec<([f64; 2], f64)> =
            (0..200).map(|i| f64::from(i) / 100.0 - 1.0).map(|x| ([1.0, x], 3.0 + 2.0 * x + (9.0 * x).sin())).collect();
        let gather = |rows: &[([f64; 2], f64)]| {
            let mut information = Information::none(2);
            rows.iter().for_each(|(terms, value)| information.add(terms, *value, 0.25));
            information.add_priors(&priors);
            information
        };
        let (first, all) = (gather(&rows[..50]), gather(&rows));
        let mut factor = Factor::of_precision(&first.precision).expect("positive definite");
        let mut regression = Regression::new(&baseline(first.weights(2).expect("a fit")));
        for (terms, value) in &rows[50..] {
            let (projection, residual) = (factor.project(terms), value - regression.expected(terms));
            let gains = factor.learn(&projection, 0.25, 2);
            regression.learn(&gains, &projection, residual, 0.25);
        }
        for (learned, fitted) in regression.weights.iter().zip(all.weights(2).expect("a fit")) {
            assert!((learned - fitted).abs() < 1e-4, "{learned} {fitted}");
        }
    }

    #[test]
    fn the_offset_stays_near_its_anchor() {
        let baseline = baseline(vec![10.0]);
        let mut regression = Regression::new(&baseline);
        for _ in 0..10_000 {
            let residual = 50.0 - regression.expected(&[1.0]);
            regression.update(&baseline, residual, 0.01, 0.0);
        }
        assert_eq!(regression.expected(&[1.0]), 13.0);
        for nth in 1..=10 {
            let residual = 50.0 - regression.expected(&[1.0]);
            regression.relearn(residual, nth);
        }
        regression.set_anchor();
        assert_eq!(regression.expected(&[1.0]), 50.0);
    }
}
