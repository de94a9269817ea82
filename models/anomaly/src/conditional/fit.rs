//! Learns a conditional baseline from the readings of healthy running.
//!
//! For each output: the regression on the terms, four rounds, since rows are weighted by the spread that the regression
//! leaves. Then the fit without each of 8 blocks, whose residuals are what a live reading's will be: of a model that has not
//! seen it. From these residuals follow the covariances and thresholds of the scales (`covariance.rs`).
//!
//! Example: a day at one reading per minute. The information of a reading is 1: no two readings are within the minute in
//! which they would repeat each other. At one per second it is 1/60, and every 15th reading is used, with 15/60. A
//! commissioning of 5 minutes has a tenth of that time, 30 s, as its independent time, so that it has 10 independent
//! readings.
//!
//! A channel that is missing in half of the rows is not judged. Does not select healthy readings; the caller does.

use volute_plant::Profile;

use super::{
    averages::Scales,
    baseline::{CONDITIONAL_VERSION, ConditionalBaseline, ConditionalLearnedFrom, OutputBaseline},
    channels::{Channels, Group, Output},
    covariance::{LeftOut, learn_scales},
    features::OperatingRange,
    ridge::{Information, Posterior, dot, fit},
    table::{Table, TimedSamples, in_order, mean, usual_interval_s},
    terms::{Prior, Term, TermCount},
    tuning::TUNING,
};
use crate::quantile::median;

/// A conditional baseline cannot be learned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionalFitError {
    /// Too few readings of a running pump, or too short a time.
    #[error("{found} readings of normal running; expected: at least {expected}")]
    TooFew {
        /// The number of readings.
        found: usize,
        /// The number that is needed.
        expected: usize,
    },
    /// No channel has values in most of the readings.
    #[error("no channel to judge has values in most of the readings")]
    NoChannels,
    /// The values are too far apart for arithmetic.
    #[error("the values are too far apart for arithmetic")]
    Arithmetic,
}

/// The fit of one output.
struct OutputFit {
    baseline: OutputBaseline,
    left_out: LeftOut,
}

/// How rows count in the fit.
struct Weighting {
    /// The information of one reading.
    information: f64,
    /// Every such row is used.
    stride: usize,
}

impl ConditionalBaseline {
    /// Learns a pump's baseline from readings of healthy running, oldest first. Readings of the standing pump may be among
    /// them, and help: they show how it cools.
    pub fn learn(profile: &Profile, rows: &[TimedSamples]) -> Result<ConditionalBaseline, ConditionalFitError> {
        let rows = in_order(rows);
        let too_few = |found| ConditionalFitError::TooFew { found, expected: TUNING.min_rows };
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(too_few(0)) };
        let interval_s = usual_interval_s(&rows).ok_or_else(|| too_few(rows.len()))?;
        let mut channels = Channels::of(profile);
        let range = OperatingRange::of(&mut channels, &rows);
        let present = |output: &Output| {
            let here = rows.iter().filter(|row| row.samples.get(output.channel).is_some_and(|s| s.good().is_some()));
            2 * here.count() > rows.len()
        };
        channels.outputs.retain(present);
        if channels.outputs.is_empty() {
            return Err(ConditionalFitError::NoChannels);
        }
        let table = Table::new(&channels, &range, &rows, interval_s);
        if table.running() < TUNING.min_rows {
            return Err(too_few(table.running()));
        }
        let learned = ConditionalLearnedFrom {
            from: first.at,
            to: last.at,
            readings: table.running(),
            running_s: table.running_s(),
        };
        Self::of_table(channels, range, &table, learned)
    }

    fn of_table(
        channels: Channels,
        range: OperatingRange,
        table: &Table,
        learned: ConditionalLearnedFrom,
    ) -> Result<ConditionalBaseline, ConditionalFitError> {
        let (interval_s, running_s) = (table.interval_s, learned.running_s);
        let independent_s = independent_s(interval_s, running_s);
        let stride = ((independent_s / interval_s / 4.0) as usize).min(table.running() / TUNING.fit_rows).max(1);
        let weighting = Weighting { information: interval_s / independent_s, stride };
        let term_variances = table.term_variances();
        let mut outputs = Vec::new();
        let mut left_out = Vec::new();
        for (index, output) in channels.outputs.iter().enumerate() {
            let fitted = fit_output(table, index, output, &term_variances, &weighting, running_s)?;
            outputs.push(fitted.baseline);
            left_out.push(fitted.left_out);
        }
        let mut scales = Scales::new(interval_s, running_s);
        let groups: Vec<Group> = channels.outputs.iter().map(|output| output.group).collect();
        let by_scale = learn_scales(table, &groups, &outputs, &left_out, &mut scales, independent_s)
            .ok_or(ConditionalFitError::Arithmetic)?;
        if by_scale.is_empty() {
            let expected = (TUNING.scale_periods * TUNING.scales_s[0] / interval_s).ceil() as usize;
            return Err(ConditionalFitError::TooFew { found: table.running(), expected });
        }
        let mut baseline = ConditionalBaseline {
            version: CONDITIONAL_VERSION,
            id: String::new(),
            channels,
            range,
            terms: table.terms.clone(),
            term_variances,
            outputs,
            scales,
            by_scale,
            information: weighting.information,
            learned,
        };
        baseline.id = baseline.expected_id();
        Ok(baseline)
    }
}

/// Returns the time within which readings repeat each other, in seconds.
fn independent_s(interval_s: f64, running_s: f64) -> f64 {
    let longest = (TUNING.independent_share * running_s).max(interval_s);
    TUNING.independent_s.max(interval_s).min(longest)
}

/// Fits one output, as the module says.
fn fit_output(
    table: &Table,
    index: usize,
    output: &Output,
    term_variances: &[f64],
    weighting: &Weighting,
    running_s: f64,
) -> Result<OutputFit, ConditionalFitError> {
    let terms = &table.terms[..TermCount::of(&table.terms).for_group(output.group)];
    let rows: Vec<usize> = (0..table.rows.len())
        .filter(|row| table.rows[*row].block.is_some() && !table.value(*row, index).is_nan())
        .collect();
    if rows.len() < TUNING.min_rows {
        return Err(ConditionalFitError::TooFew { found: rows.len(), expected: TUNING.min_rows });
    }
    let values: Vec<f64> = rows.iter().map(|row| table.value(*row, index)).collect();
    let level = mean(&values);
    let smallest = min_spread(&values, level, output.resolution);
    let mut regression = OutputRegression {
        table,
        index,
        terms,
        group: output.group,
        rows: &rows,
        weighting,
        level,
        spread: smallest.max(TUNING.min_spread_of_changes * standard_deviation(&values, level)),
        unknown: vec![0.0; table.rows.len()],
    };
    for _ in 0..TUNING.fit_rounds {
        let weights = regression.weights(&regression.posterior(&regression.gather(), None)?);
        regression.set_spread(&weights, smallest);
        regression.unknown = table.unknown_variances(&weights, term_variances);
    }
    let blocks = regression.gather();
    let all = regression.posterior(&blocks, None)?;
    let weights = regression.weights(&all);
    let left_out = regression.left_out(&blocks)?;
    let spread = regression.spread;
    let unknown = if output.group == Group::Thermal {
        (TUNING.unknown_thermal_k * (-running_s / TUNING.thermal_span_s).exp()).powi(2)
    } else {
        0.0
    };
    let baseline = OutputBaseline {
        noise: noise(table, &table.residuals(index, &weights)),
        covariance: all.covariance,
        weights,
        spread,
        magnitude: values.iter().map(|value| value.abs()).sum::<f64>() / values.len() as f64,
        unknown,
    };
    Ok(OutputFit { baseline, left_out })
}

/// The regression of one output while it is learned.
struct OutputRegression<'a> {
    table: &'a Table,
    index: usize,
    terms: &'a [Term],
    group: Group,
    /// The rows that have a value of the running pump.
    rows: &'a [usize],
    weighting: &'a Weighting,
    level: f64,
    spread: f64,
    /// For each row of the table: the variance by unknown terms.
    unknown: Vec<f64>,
}

impl OutputRegression<'_> {
    /// Gathers what each block says.
    fn gather(&self) -> Vec<Information> {
        let mut blocks = vec![Information::none(self.terms.len()); TUNING.blocks];
        let weight = self.weighting.information * self.weighting.stride as f64;
        for row in self.rows.iter().step_by(self.weighting.stride) {
            let Some(block) = self.table.rows[*row].block else { continue };
            let value = (self.table.value(*row, self.index) - self.level) / self.spread;
            let terms = &self.table.terms_of(*row)[..self.terms.len()];
            blocks[block].add(terms, value, weight / (1.0 + self.unknown[*row] / self.spread.powi(2)));
        }
        blocks
    }

    /// Fits all blocks, or all but one.
    fn posterior(&self, blocks: &[Information], without: Option<usize>) -> Result<Posterior, ConditionalFitError> {
        let priors: Vec<Prior> = self.terms.iter().map(|term| term.prior(self.group, self.spread)).collect();
        let used = blocks.iter().enumerate().filter(|(block, _)| Some(*block) != without).map(|(_, block)| block);
        fit(&priors, used).ok_or(ConditionalFitError::Arithmetic)
    }

    /// Returns the weights in the channel's unit.
    fn weights(&self, posterior: &Posterior) -> Vec<f64> {
        let mut weights: Vec<f64> = posterior.weights.iter().map(|weight| weight * self.spread).collect();
        // The first term is the constant.
        weights[0] += self.level;
        weights
    }

    fn set_spread(&mut self, weights: &[f64], smallest: f64) {
        let square = |row: &usize| {
            let residual = self.table.value(*row, self.index) - dot(weights, self.table.terms_of(*row));
            residual.powi(2) / (1.0 + self.unknown[*row] / self.spread.powi(2))
        };
        let sum: f64 = self.rows.iter().map(square).sum();
        self.spread = (sum / self.rows.len() as f64).sqrt().max(smallest);
    }

    /// Returns each row's residual from the fit without its block, and the variance of that fit.
    fn left_out(&self, blocks: &[Information]) -> Result<LeftOut, ConditionalFitError> {
        let count = self.table.rows.len();
        let mut left_out = LeftOut { residuals: vec![f64::NAN; count], variances: vec![0.0; count] };
        let mut product = vec![0.0; self.terms.len()];
        for block in 0..TUNING.blocks {
            let posterior = self.posterior(blocks, Some(block))?;
            let weights = self.weights(&posterior);
            for row in self.rows.iter().filter(|row| self.table.rows[**row].block == Some(block)) {
                let terms = &self.table.terms_of(*row)[..self.terms.len()];
                left_out.residuals[*row] = self.table.value(*row, self.index) - dot(&weights, terms);
                if self.terms.len() > 1 {
                    posterior.covariance.multiply(terms, &mut product);
                    left_out.variances[*row] = dot(&product, terms) * self.spread.powi(2) + self.unknown[*row];
                }
            }
        }
        Ok(left_out)
    }
}

fn standard_deviation(values: &[f64], mean: f64) -> f64 {
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Returns the smallest spread of a channel: a share of its usual change between readings, and of its resolution.
fn min_spread(values: &[f64], level: f64, resolution: f64) -> f64 {
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
