//! Fits the predictions of all outputs to a commissioning.
//!
//! An *output* is a channel that is predicted from the *terms* of the operating point, with one *weight* per term. Its *residual*
//! is the value less the prediction, its *spread* the standard deviation of the residuals. In this order:
//!
//! 1. Each output is fitted in four rounds. A row (reading) whose inputs are uncertain counts less, compared with the spread, and
//!    the spread is only known after a fit; so each round uses the spread of the round before.
//! 2. Each output is fitted again without each of 8 *blocks* of the commissioning. The residuals in a block, from the fit without
//!    it, are as large as those of later readings, which no fit has seen.
//! 3. The covariance of the weights says how uncertain a fit is. Temperatures share one, the other outputs share another
//!    (`factor.rs`): the inverse of the mean of their precisions. There is one for all blocks, and one without each block.
//! 4. The residuals show for how long they persist. A flow that wanders slowly, by 0.5 % within an hour, may have one independent
//!    residual per half an hour, while white noise has one per reading. A short commissioning has few independent residuals of
//!    such a flow, so its thresholds are wider (`covariance.rs`).
//!
//! A channel without values in a block is fitted to the other blocks, and has no residuals in this one.

use super::{
    baseline::OutputBaseline,
    channels::{Group, Output},
    covariance::LeftOut,
    factor::{Factor, Factors},
    fit_error::ConditionalFitError,
    ridge::{Information, dot},
    symmetric::Symmetric,
    table::{Table, mean},
    terms::{Prior, Term, TermCount},
    tuning::TUNING,
};
use crate::quantile::median;

/// How much rows count in the fit.
pub(super) struct RowWeighting {
    /// How much a reading counts, as a share of an independent one.
    pub information: f64,
    /// Every `stride`th row is used.
    pub stride: usize,
}

/// The fits of all outputs.
pub(super) struct OutputFits {
    pub outputs: Vec<OutputBaseline>,
    pub factors: Factors,
    /// One per output.
    pub left_out: Vec<LeftOut>,
}

impl OutputFits {
    /// Fits all outputs: the steps 1 to 4 of the module.
    pub(super) fn of(
        table: &Table,
        channels: &[Output],
        term_variances: &[f64],
        weighting: &RowWeighting,
    ) -> Result<OutputFits, ConditionalFitError> {
        let new = |(index, output): (usize, &Output)| OutputRegression::new(table, index, output, weighting);
        let mut regressions = channels.iter().enumerate().map(new).collect::<Result<Vec<_>, _>>()?;
        for _ in 0..TUNING.fit_rounds {
            fit_round(table, &mut regressions, term_variances)?;
        }
        let thermal = Shared::of(&mut regressions, true)?;
        let other = Shared::of(&mut regressions, false)?;
        let mut left_out = Vec::new();
        for regression in &mut regressions {
            let shared = if regression.group == Group::Thermal { &thermal } else { &other };
            let of_output = regression.left_out(&shared.without_block);
            regression.persistence_s = persistence_s(table, &of_output, regression.spread);
            left_out.push(of_output);
        }
        let outputs = regressions.into_iter().map(OutputRegression::baseline).collect();
        Ok(OutputFits { outputs, factors: Factors { thermal: thermal.all, other: other.all }, left_out })
    }
}

/// One round of point 1 of the module: fits each output with the spread and the uncertain inputs of the round before, and computes these anew.
fn fit_round(
    table: &Table,
    regressions: &mut [OutputRegression],
    term_variances: &[f64],
) -> Result<(), ConditionalFitError> {
    for regression in regressions.iter_mut() {
        let blocks = regression.gather(regression.terms.len());
        regression.weights = regression.fit(&blocks, None)?;
        regression.set_spread();
    }
    let weights: Vec<&[f64]> = regressions.iter().map(|regression| regression.weights.as_slice()).collect();
    let unknown = table.unknown_variances(&weights, term_variances);
    for (regression, unknown) in regressions.iter_mut().zip(unknown) {
        regression.unknown = unknown;
    }
    Ok(())
}

/// The shared covariance of the temperatures' weights, or of the other outputs'.
struct Shared {
    all: Factor,
    without_block: Vec<Factor>,
}

impl Shared {
    /// Fits the temperatures, or the other outputs, for the last time: with all blocks, and without each. Returns the covariances
    /// that they share.
    fn of(regressions: &mut [OutputRegression], is_thermal: bool) -> Result<Shared, ConditionalFitError> {
        let own = |regression: &&mut OutputRegression| (regression.group == Group::Thermal) == is_thermal;
        let terms = regressions.iter_mut().filter(own).map(|regression| regression.terms.len()).max().unwrap_or(0);
        let mut priors = Symmetric::zeros(terms);
        let mut by_block = vec![Symmetric::zeros(terms); TUNING.blocks];
        for regression in regressions.iter_mut().filter(own) {
            let blocks = regression.gather(terms);
            regression.weights = regression.fit(&blocks, None)?;
            for block in 0..TUNING.blocks {
                let weights = regression.fit(&blocks, Some(block))?;
                regression.weights_without_block.push(weights);
                by_block[block].add(&blocks[block].precision);
            }
            let mut prior = Information::none(terms);
            prior.add_priors(&regression.priors(terms));
            priors.add(&prior.precision);
        }
        let count = regressions.iter_mut().filter(own).count().max(1);
        let factor = |without: Option<usize>| {
            let mut precision = priors.clone();
            for (_, block) in by_block.iter().enumerate().filter(|(block, _)| Some(*block) != without) {
                precision.add(block);
            }
            precision.scale(1.0 / count as f64);
            Factor::of_precision(&precision).ok_or(ConditionalFitError::Arithmetic)
        };
        let without_block = (0..TUNING.blocks).map(|block| factor(Some(block))).collect::<Result<Vec<_>, _>>()?;
        Ok(Shared { all: factor(None)?, without_block })
    }
}

/// The regression of one output while it is learned.
struct OutputRegression<'a> {
    table: &'a Table,
    index: usize,
    terms: &'a [Term],
    group: Group,
    /// The rows in which the pump runs and the output has a value.
    rows: Vec<usize>,
    weighting: &'a RowWeighting,
    level: f64,
    magnitude: f64,
    smallest_spread: f64,
    spread: f64,
    /// In the channel's unit, as are `level` (the mean), `magnitude` (the mean absolute value) and the spreads.
    weights: Vec<f64>,
    weights_without_block: Vec<Vec<f64>>,
    /// For each row of the table: the variance of the prediction because the inputs are not fully known (`unknown.rs`).
    unknown: Vec<f64>,
    persistence_s: f64,
}

impl<'a> OutputRegression<'a> {
    fn new(
        table: &'a Table,
        index: usize,
        output: &Output,
        weighting: &'a RowWeighting,
    ) -> Result<OutputRegression<'a>, ConditionalFitError> {
        let is_used = |row: &usize| table.rows[*row].block.is_some() && !table.value(*row, index).is_nan();
        let rows: Vec<usize> = (0..table.rows.len()).filter(is_used).collect();
        if rows.len() < TUNING.min_rows {
            return Err(ConditionalFitError::TooFew { found: rows.len(), expected: TUNING.min_rows });
        }
        let values: Vec<f64> = rows.iter().map(|row| table.value(*row, index)).collect();
        let level = mean(&values);
        let smallest_spread = smallest_spread(&values, level, output.resolution);
        Ok(OutputRegression {
            table,
            index,
            terms: &table.terms[..TermCount::of(&table.terms).for_group(output.group)],
            group: output.group,
            rows,
            weighting,
            level,
            magnitude: values.iter().map(|value| value.abs()).sum::<f64>() / values.len() as f64,
            smallest_spread,
            spread: smallest_spread.max(TUNING.min_spread_of_changes * standard_deviation(&values, level)),
            weights: Vec::new(),
            weights_without_block: Vec::new(),
            unknown: vec![0.0; table.rows.len()],
            persistence_s: 0.0,
        })
    }

    /// Sums up, for each block, what its rows say about the weights of the first `terms`.
    fn gather(&self, terms: usize) -> Vec<Information> {
        let mut blocks = vec![Information::none(terms); TUNING.blocks];
        let weight = self.weighting.information * self.weighting.stride as f64;
        for row in self.rows.iter().step_by(self.weighting.stride) {
            let Some(block) = self.table.rows[*row].block else { continue };
            let value = (self.table.value(*row, self.index) - self.level) / self.spread;
            let certainty = 1.0 / (1.0 + self.unknown[*row] / self.spread.powi(2));
            blocks[block].add(&self.table.terms_of(*row)[..terms], value, weight * certainty);
        }
        blocks
    }

    fn priors(&self, terms: usize) -> Vec<Prior> {
        self.table.terms[..terms].iter().map(|term| term.prior(self.group, self.spread)).collect()
    }

    /// Fits all blocks, or all but one. Returns the weights in the channel's unit.
    fn fit(&self, blocks: &[Information], without: Option<usize>) -> Result<Vec<f64>, ConditionalFitError> {
        let terms = self.terms.len();
        let mut sum = Information::none(blocks[0].terms());
        for (_, block) in blocks.iter().enumerate().filter(|(block, _)| Some(*block) != without) {
            sum.add_all(block);
        }
        sum.add_priors(&self.priors(terms));
        let mut weights = sum.weights(terms).ok_or(ConditionalFitError::Arithmetic)?;
        weights.iter_mut().for_each(|weight| *weight *= self.spread);
        // The first term is the constant.
        weights[0] += self.level;
        Ok(weights)
    }

    fn set_spread(&mut self) {
        let square = |row: &usize| {
            let residual = self.table.value(*row, self.index) - dot(&self.weights, self.table.terms_of(*row));
            residual.powi(2) / (1.0 + self.unknown[*row] / self.spread.powi(2))
        };
        let sum: f64 = self.rows.iter().map(square).sum();
        self.spread = (sum / self.rows.len() as f64).sqrt().max(self.smallest_spread);
    }

    /// Returns each row's residual from the fit without its block, and the variance of that fit.
    fn left_out(&self, without_block: &[Factor]) -> LeftOut {
        let count = self.table.rows.len();
        let terms = self.terms.len();
        let mut left_out = LeftOut { residuals: vec![f64::NAN; count], variances: vec![0.0; count] };
        for row in &self.rows {
            let Some(block) = self.table.rows[*row].block else { continue };
            let values = self.table.terms_of(*row);
            left_out.residuals[*row] =
                self.table.value(*row, self.index) - dot(&self.weights_without_block[block], values);
            if terms > 1 {
                let leverage = without_block[block].project(values).leverage(terms);
                left_out.variances[*row] = leverage * self.spread.powi(2) + self.unknown[*row];
            }
        }
        left_out
    }

    fn baseline(self) -> OutputBaseline {
        let unknown = if self.group == Group::Thermal {
            let missing = (-self.table.running_s() / TUNING.thermal_time_constant_s).exp();
            (TUNING.unknown_thermal_k * missing).powi(2)
        } else {
            0.0
        };
        OutputBaseline {
            noise: noise(self.table, &self.table.residuals(self.index, &self.weights)),
            weights: self.weights,
            persistence_s: self.persistence_s,
            spread: self.spread,
            magnitude: self.magnitude,
            unknown,
        }
    }
}

/// Returns the time in which there is one independent residual: the interval for white noise, more if residuals persist.
///
/// The mean of n successive residuals has 1/n of the variance of a single one if they are white noise, and more if they persist.
/// For long enough n, the time of n readings multiplied by this share of the variance is the time that is looked for. So it is
/// computed for n = 1, 2, 4 and so on, as long as there are at least 8 means, and the largest result is returned.
fn persistence_s(table: &Table, left_out: &LeftOut, spread: f64) -> f64 {
    let present = |row: &usize| !left_out.residuals[*row].is_nan();
    // The error of the fit persists, but its variance is known; it is taken out.
    let reduced = |row: usize| left_out.residuals[row] / (1.0 + left_out.variances[row] / spread.powi(2)).sqrt();
    let mut means: Vec<f64> = (0..table.rows.len()).filter(present).map(reduced).collect();
    let mean_square = |means: &[f64]| means.iter().map(|mean| mean * mean).sum::<f64>() / means.len() as f64;
    let single = mean_square(&means).max(1e-30);
    let (mut longest_s, mut block_s) = (table.interval_s, table.interval_s);
    while means.len() >= 2 * TUNING.blocks {
        means = means.chunks_exact(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        block_s *= 2.0;
        longest_s = f64::max(longest_s, block_s * mean_square(&means) / single);
    }
    longest_s
}

fn standard_deviation(values: &[f64], mean: f64) -> f64 {
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Returns the smallest spread that a channel can have: the larger of 30 % of its median change between readings and 30 % of its
/// resolution.
fn smallest_spread(values: &[f64], level: f64, resolution: f64) -> f64 {
    let change = median(values.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
    let of_changes = TUNING.min_spread_of_changes * change + 1e-6 * level.abs();
    of_changes.max(TUNING.min_spread_of_resolution * resolution)
}

/// Returns half the mean squared change of a residual from one row to the next.
fn noise(table: &Table, residuals: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for (row, pair) in residuals.windows(2).enumerate() {
        let change = pair[1] - pair[0];
        if !change.is_nan() && !table.rows[row + 1].after_gap {
            sum += change * change;
            count += 1;
        }
    }
    (0.5 * sum / f64::from(count.max(1))).max(1e-12)
}
