//! Learns what is normal at each scale: the covariance of the averages of the outputs' residuals, how much more they vary
//! while the speed changes, and the thresholds.
//!
//! A *scale* is a time over which residuals are averaged. A *residual* is an output's value less its prediction. Here it is
//! predicted by a fit that was made without the reading's *block* (one eighth of commissioning, `outputs.rs`), so it is as
//! large as on days that the fit has not seen. Where such a fit is uncertain, the residuals vary more. A live pump adds this
//! uncertainty to the variance, so it is taken out of the residuals here before the covariance is computed.
//!
//! Example: one reading per second, a day of running (86,400 s), 7 outputs, scale 60 s.
//!
//! 1. Correlations are reduced by the share 0.01 + 0.5 · 7 · 2 · 60 / 86400 = 0.015, because few averages are independent.
//! 2. *z* is an average's distance from what the other outputs predict for it, in standard deviations. The largest z to expect
//!    by chance is √(2 ln(86400 / 120)) = 3.6, and a threshold is at least 1.9 times that, 6.9.
//! 3. A flow that wanders, with one independent residual per half an hour, has only 48 of them in the day: the 6.9 is
//!    multiplied by √(1 + 6/48) = 1.06.
//! 4. If 2.3 times the largest z of the day is more than that, it is used instead.
//! 5. The flow's threshold is 0.8 times the result, that of another output 1.08 times.
//!
//! A scale is left out if the pump never ran for long enough to have averages at it.

use super::{
    averages::{Averages, Scales},
    baseline::{OutputBaseline, ScaleBaseline},
    channels::Group,
    decision::LeaveOneOut,
    symmetric::Symmetric,
    table::Table,
    tuning::TUNING,
};

/// For each row: the residual from the fit without the row's block, and how uncertain that fit is.
pub(super) struct LeftOut {
    /// In the output's unit; NaN if the value is missing or the pump does not run.
    pub residuals: Vec<f64>,
    /// The variance of the fit's prediction in that row.
    pub variances: Vec<f64>,
}

/// The averages at one scale, in those rows in which all outputs have an average.
struct ScaleRows {
    /// The average of the residuals, and the variance of the prediction: row by row, one per output.
    means: Vec<f64>,
    variances: Vec<f64>,
    /// One per row: the average squared speed change.
    ramps: Vec<f64>,
    outputs: usize,
}

/// The fewest rows from which a scale is learned.
const MIN_SCALE_ROWS: usize = 16;

/// Learns what is normal at each scale. Removes from `scales` those that the pump never ran long enough for. `None` if the
/// values are too far apart for arithmetic.
pub(super) fn learn_scales(
    table: &Table,
    groups: &[Group],
    outputs: &[OutputBaseline],
    left_out: &[LeftOut],
    scales: &mut Scales,
    independent_s: f64,
) -> Option<Vec<ScaleBaseline>> {
    let mut by_scale = Vec::new();
    let mut time_constants_s = Vec::new();
    for time_constant_s in &scales.spans_s {
        let one = Scales { spans_s: vec![*time_constant_s], interval_s: scales.interval_s };
        let rows = ScaleRows::of(table, left_out, &one);
        if rows.ramps.len() < MIN_SCALE_ROWS {
            continue;
        }
        by_scale.push(learn_scale(table, groups, outputs, rows, *time_constant_s, independent_s)?);
        time_constants_s.push(*time_constant_s);
    }
    scales.spans_s = time_constants_s;
    Some(by_scale)
}

impl ScaleRows {
    fn of(table: &Table, left_out: &[LeftOut], scale: &Scales) -> ScaleRows {
        let outputs = left_out.len();
        let mut averages = Averages::new(1, outputs);
        let mut rows = ScaleRows { means: Vec::new(), variances: Vec::new(), ramps: Vec::new(), outputs };
        let mut residuals = vec![0.0; outputs];
        let mut passed_s = 0.0;
        for (index, row) in table.rows.iter().enumerate() {
            averages.update_ramp(scale, row.squared_change, row.elapsed_s);
            passed_s += row.elapsed_s;
            if row.block.is_none() || row.after_gap {
                averages.clear();
            }
            if row.block.is_none() {
                continue;
            }
            for (residual, of_output) in residuals.iter_mut().zip(left_out) {
                *residual = of_output.residuals[index];
            }
            averages.add(scale, &residuals, 0.0, row.elapsed_s);
            let means: Vec<f64> = (0..outputs).filter_map(|output| averages.mean(0, output)).collect();
            // At the beginning of commissioning the averages of the inputs are not known yet, so these averages are left out.
            // Those after a later start count: a live pump starts too.
            if means.len() == outputs && passed_s > 2.0 * scale.spans_s[0] {
                rows.means.extend(means);
                rows.variances.extend(left_out.iter().map(|of_output| of_output.variances[index]));
                rows.ramps.push(averages.ramp(0));
            }
        }
        rows
    }

    fn mean(&self, row: usize, output: usize) -> f64 {
        self.means[row * self.outputs + output]
    }

    fn variance(&self, row: usize, output: usize) -> f64 {
        self.variances[row * self.outputs + output]
    }

    fn count(&self) -> usize {
        self.ramps.len()
    }

    fn mean_of(&self, value: impl Fn(usize) -> f64) -> f64 {
        (0..self.count()).map(value).sum::<f64>() / self.count() as f64
    }

    /// Learns how much an output's variance grows with the squared speed change. Returns the slope of a line through squared
    /// averages over squared speed changes, and the variance at constant speed.
    fn ramp_factor(&self, output: usize) -> (f64, f64) {
        let total = self.mean_of(|row| self.mean(row, output).powi(2)).max(1e-30);
        let reduced = |row: usize| self.mean(row, output).powi(2) / (1.0 + self.variance(row, output) / total);
        let ramp_mean = self.mean_of(|row| self.ramps[row]);
        let ramp_variance = self.mean_of(|row| (self.ramps[row] - ramp_mean).powi(2));
        if ramp_variance == 0.0 {
            return (0.0, total);
        }
        let slope = self.mean_of(|row| (self.ramps[row] - ramp_mean) * reduced(row)) / ramp_variance;
        let whole = self.mean_of(reduced);
        let steady = (whole - slope * ramp_mean).max(0.05 * whole);
        let explains = slope > 0.0 && slope * ramp_variance.sqrt() > TUNING.ramp_share * steady;
        if explains { (slope, steady) } else { (0.0, total) }
    }
}

fn learn_scale(
    table: &Table,
    groups: &[Group],
    outputs: &[OutputBaseline],
    mut rows: ScaleRows,
    time_constant_s: f64,
    independent_s: f64,
) -> Option<ScaleBaseline> {
    let count = rows.outputs;
    let (ramp_factors, steady): (Vec<f64>, Vec<f64>) = (0..count).map(|output| rows.ramp_factor(output)).unzip();
    let mut covariance = Symmetric::zeros(count);
    let mut reduced = vec![0.0; count];
    let share = 1.0 / rows.count() as f64;
    for row in 0..rows.count() {
        for output in 0..count {
            rows.variances[row * count + output] += ramp_factors[output] * rows.ramps[row];
            let more = rows.variance(row, output) / steady[output];
            reduced[output] = rows.mean(row, output) / (1.0 + more).sqrt();
        }
        covariance.add_outer(&reduced, share);
    }
    let running_s = table.running_s();
    let per_average = running_s / time_constant_s.max(independent_s) / 2.0;
    let shrinkage = (TUNING.shrinkage + TUNING.shrinkage_per_channel * count as f64 / per_average).min(1.0);
    let covariance = with_floor(&covariance, outputs, shrinkage);
    let largest = largest_z(&rows, &covariance, ((time_constant_s / table.interval_s / 4.0) as usize).max(1))?;
    let chances = (running_s / (2.0 * time_constant_s.max(table.interval_s))).max(3.0);
    let by_chance = TUNING.chance_factor * (2.0 * chances.ln()).sqrt();
    let threshold = |((group, largest), output): ((&Group, &f64), &OutputBaseline)| {
        let factor = if *group == Group::Flow { TUNING.flow_factor } else { TUNING.other_factor };
        let of_few = (1.0 + TUNING.few_factor * output.persistence_s / running_s).sqrt();
        factor * (of_few * by_chance).max(TUNING.largest_factor * largest)
    };
    let thresholds = groups.iter().zip(&largest).zip(outputs).map(threshold).collect();
    Some(ScaleBaseline { covariance, ramp_factors, thresholds })
}

/// Reduces the correlations by the share `shrinkage`, and raises each standard deviation to at least 15 % of the output's
/// spread.
fn with_floor(covariance: &Symmetric, outputs: &[OutputBaseline], shrinkage: f64) -> Symmetric {
    let count = outputs.len();
    let sd: Vec<f64> = (0..count).map(|output| covariance.get(output, output).sqrt()).collect();
    let floor = |output: usize| sd[output].max(TUNING.min_scale_spread * outputs[output].spread);
    let raised: Vec<f64> = (0..count).map(floor).collect();
    let mut result = Symmetric::zeros(count);
    for row in 0..count {
        result.set(row, row, raised[row].powi(2));
        for column in 0..row {
            let scale = sd[row] * sd[column];
            let correlation = if scale > 0.0 { covariance.get(row, column) / scale } else { 0.0 };
            result.set(row, column, (1.0 - shrinkage) * correlation * raised[row] * raised[column]);
        }
    }
    result
}

/// Returns the largest absolute z of each output in every `stride`th row; `None` if the covariance is not positive definite.
fn largest_z(rows: &ScaleRows, covariance: &Symmetric, stride: usize) -> Option<Vec<f64>> {
    let mut largest = vec![0.0f64; rows.outputs];
    let (mut means, mut all_z) = (vec![None; rows.outputs], vec![None; rows.outputs]);
    let mut leave_one_out = LeaveOneOut::new();
    for row in (0..rows.count()).step_by(stride) {
        for (output, mean) in means.iter_mut().enumerate() {
            *mean = Some(rows.mean(row, output));
        }
        let extra = &rows.variances[row * rows.outputs..(row + 1) * rows.outputs];
        if !leave_one_out.compute(covariance, &means, extra, &mut all_z) {
            return None;
        }
        for (largest, z) in largest.iter_mut().zip(&all_z) {
            *largest = largest.max(z.unwrap_or(0.0).abs());
        }
    }
    Some(largest)
}
