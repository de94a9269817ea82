//! Tests the averages of the residuals at all scales. The anomaly score is the largest |z| over its threshold.
//!
//! A *residual* is the value of an *output* (a channel that is tested) less its prediction. A *scale* is a time over which
//! residuals are averaged. *z* is the distance of an output's average from what the other outputs' averages predict for it, in
//! standard deviations (`decision.rs`).
//!
//! Example at two scales, of a flow that has been 2 % too low for a minute. At the scale of 5 s its z is -4 and the threshold 6;
//! at 60 s its z is -9 and the threshold 5. The ratio is larger at 60 s, so the anomaly score is 9 / 5 = 1.8. No other output has
//! a larger |z| at 60 s, so the flow has the whole contribution.

use super::{
    averages::Averages,
    baseline::ConditionalBaseline,
    decision::LeaveOneOut,
    tuning::TUNING,
    uncertainty::{Guard, Noise},
};

/// The result of the test of one reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LevelTestResult {
    /// The largest |z| over its threshold: the anomaly score.
    pub score: f64,
    /// The output and the scale of the score.
    pub output: usize,
    pub scale: usize,
    /// The shortest scale at which this output is anomalous, or else the scale of the score.
    pub shortest: usize,
    /// Per output: z and threshold at the scale at which their ratio is largest; `None` if it cannot be tested.
    pub outputs: Vec<Option<OutputTestResult>>,
}

/// The result for one output, at the scale at which it is the most anomalous.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OutputTestResult {
    /// Negative if the output is too low.
    pub z: f64,
    pub threshold: f64,
    pub scale: usize,
    /// The shortest scale at which it is above its threshold.
    pub shortest: Option<usize>,
    /// The square of its z at the scale of the score. This is by how much the squared distance of all averages from normal,
    /// m' V⁻¹ m, would be smaller without this output. The output with the highest score may explain less than an output whose
    /// threshold is higher.
    pub explains: f64,
}

impl LevelTestResult {
    /// `z_by_scale`: every z, scale by scale.
    fn of(mut outputs: Vec<Option<OutputTestResult>>, z_by_scale: &[Option<f64>]) -> Option<LevelTestResult> {
        let tested = outputs.iter().enumerate().filter_map(|(index, output)| Some((index, (*output)?)));
        let (output, worst) = tested.max_by(|(_, a), (_, b)| a.score().total_cmp(&b.score()))?;
        let at_scale = &z_by_scale[worst.scale * outputs.len()..];
        for (result, z) in outputs.iter_mut().zip(at_scale) {
            if let Some(result) = result {
                result.explains = z.unwrap_or(0.0).powi(2);
            }
        }
        let shortest = worst.shortest.unwrap_or(worst.scale);
        Some(LevelTestResult { score: worst.score(), output, scale: worst.scale, shortest, outputs })
    }
}

impl OutputTestResult {
    fn score(&self) -> f64 {
        self.z.abs() / self.threshold
    }
}

/// The inputs of the test of one reading.
#[derive(Clone, Copy)]
pub(super) struct LevelTest<'a> {
    pub baseline: &'a ConditionalBaseline,
    pub averages: &'a Averages,
    /// The variance of each output's prediction, without excess noise, speed changes and guard, which are added here.
    pub variances: &'a [f64],
    pub noises: &'a [Noise],
    /// The allowance for speeds outside of those of commissioning; `None` to test without it.
    pub guard: Option<Guard>,
}

impl LevelTest<'_> {
    /// Tests the averages of all scales. `None` if no output can be tested.
    pub(super) fn run(&self) -> Option<LevelTestResult> {
        let by_scale = &self.baseline.by_scale;
        let count = self.baseline.outputs.len();
        let mut outputs: Vec<Option<OutputTestResult>> = vec![None; count];
        let mut all_z = vec![None; count];
        let mut z_by_scale = Vec::with_capacity(by_scale.len() * count);
        let mut leave_one_out = LeaveOneOut::new();
        for (scale, of_scale) in by_scale.iter().enumerate() {
            let is_tested = self.test_scale(scale, &mut leave_one_out, &mut all_z);
            z_by_scale.extend_from_slice(&all_z);
            if !is_tested {
                continue;
            }
            for (output, z) in all_z.iter().enumerate() {
                let Some(z) = *z else { continue };
                let threshold = of_scale.thresholds[output];
                let mut result = OutputTestResult { z, threshold, scale, shortest: None, explains: 0.0 };
                let is_above = result.score() > 1.0;
                result.shortest = outputs[output].and_then(|best| best.shortest).or(is_above.then_some(scale));
                match &mut outputs[output] {
                    Some(best) if best.score() >= result.score() => best.shortest = result.shortest,
                    best => *best = Some(result),
                }
            }
        }
        LevelTestResult::of(outputs, &z_by_scale)
    }

    /// Returns what a wrong value of an input would explain at a scale. `direction` is how the outputs move with the input. The
    /// result is by how much the squared distance of the averages from normal would be smaller if they were moved along it. It is
    /// 0 unless that is more than 90 % of the distance: a worn machine also moves its channels in about such a direction, but
    /// not exactly.
    pub(super) fn explained_by_input(&self, scale: usize, direction: &[f64]) -> f64 {
        let mut all_z = vec![None; direction.len()];
        let mut leave_one_out = LeaveOneOut::new();
        if !self.test_scale(scale, &mut leave_one_out, &mut all_z) {
            return 0.0;
        }
        let explained = leave_one_out.explained_along(direction);
        if explained > TUNING.explained_by_input * leave_one_out.squared_distance() { explained } else { 0.0 }
    }

    /// Tests one scale. Returns whether it could be tested.
    fn test_scale(&self, scale: usize, leave_one_out: &mut LeaveOneOut, all_z: &mut [Option<f64>]) -> bool {
        let LevelTest { baseline, averages, variances, noises, guard } = *self;
        let of_scale = &baseline.by_scale[scale];
        let means: Vec<Option<f64>> = (0..all_z.len()).map(|output| averages.mean(scale, output)).collect();
        let share = baseline.scales.share(scale);
        let squared_guard = guard.map_or(0.0, |guard| averages.squared_guard(scale).max(guard.level().powi(2)));
        let extra = |(output, mean): (usize, &Option<f64>)| {
            let group = baseline.channels.outputs[output].group;
            let guard_share = guard.map_or(0.0, |guard| guard.share(group, mean.unwrap_or(0.0)));
            variances[output]
                + of_scale.ramp_factors[output] * averages.ramp(scale)
                + squared_guard * (guard_share * baseline.outputs[output].magnitude).powi(2)
                + noises[output].excess(baseline.outputs[output].noise, share)
        };
        let extra: Vec<f64> = means.iter().enumerate().map(extra).collect();
        leave_one_out.compute(&of_scale.covariance, &means, &extra, all_z)
    }
}
