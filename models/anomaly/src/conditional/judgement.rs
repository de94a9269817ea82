//! Judges the averages of all scales: each channel's z, given the others, over its threshold.
//!
//! Example at two scales, of a flow that has fallen by 2 % for a minute: at 5 s it has z = -4 and the threshold 6, at 60 s z =
//! -9 and the threshold 5. The flow's z is -9 of the scale of 60 s, and the anomaly score is 9 / 5 = 1.8. At that scale no other
//! channel has a larger z, so the flow is blamed.

use super::{
    averages::Averages,
    baseline::ConditionalBaseline,
    decision::LeaveOneOut,
    tuning::TUNING,
    uncertainty::{Guard, Noise},
};

/// One reading's judgement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    /// The largest z over its threshold.
    pub score: f64,
    /// The output and the scale of the score.
    pub output: usize,
    pub scale: usize,
    /// The shortest scale at which this output is anomalous, or else the scale of the score.
    pub shortest: usize,
    /// Per output: its largest z over the threshold; `None` if it cannot be judged.
    pub outputs: Vec<Option<OutputJudgement>>,
}

/// One output's judgement, at the scale at which it is the most anomalous.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OutputJudgement {
    /// Signed.
    pub z: f64,
    pub threshold: f64,
    pub scale: usize,
    /// The shortest scale at which it is above its threshold.
    pub shortest: Option<usize>,
    /// The square of its z at the scale of the score: by how much the squared distance of the averages from normal, m' V⁻¹ m, would
    /// be smaller without it. The output of the score may explain less than another, whose threshold is higher.
    pub explains: f64,
}

impl Judgement {
    /// `z_by_scale`: every z, scale by scale.
    fn of(mut outputs: Vec<Option<OutputJudgement>>, z_by_scale: &[Option<f64>]) -> Option<Judgement> {
        let judged = outputs.iter().enumerate().filter_map(|(index, output)| Some((index, (*output)?)));
        let (output, worst) = judged.max_by(|(_, a), (_, b)| a.score().total_cmp(&b.score()))?;
        let at_scale = &z_by_scale[worst.scale * outputs.len()..];
        for (judged, z) in outputs.iter_mut().zip(at_scale) {
            if let Some(judged) = judged {
                judged.explains = z.unwrap_or(0.0).powi(2);
            }
        }
        let shortest = worst.shortest.unwrap_or(worst.scale);
        Some(Judgement { score: worst.score(), output, scale: worst.scale, shortest, outputs })
    }
}

impl OutputJudgement {
    fn score(&self) -> f64 {
        self.z.abs() / self.threshold
    }
}

/// What is judged.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub baseline: &'a ConditionalBaseline,
    pub averages: &'a Averages,
    /// What each output's reading is uncertain by, apart from noise, ramps and guard.
    pub variances: &'a [f64],
    pub noises: &'a [Noise],
    /// Without it no allowance is made for speeds that were not seen.
    pub guard: Option<Guard>,
}

impl Judge<'_> {
    /// Judges the averages of all scales. `None` if no output can be judged.
    pub(super) fn judge(&self) -> Option<Judgement> {
        let by_scale = &self.baseline.by_scale;
        let count = self.baseline.outputs.len();
        let mut outputs: Vec<Option<OutputJudgement>> = vec![None; count];
        let mut all_z = vec![None; count];
        let mut z_by_scale = Vec::with_capacity(by_scale.len() * count);
        let mut leave_one_out = LeaveOneOut::new();
        for (scale, of_scale) in by_scale.iter().enumerate() {
            let is_judged = self.judge_scale(scale, &mut leave_one_out, &mut all_z);
            z_by_scale.extend_from_slice(&all_z);
            if !is_judged {
                continue;
            }
            for (output, z) in all_z.iter().enumerate() {
                let Some(z) = *z else { continue };
                let threshold = of_scale.thresholds[output];
                let mut judged = OutputJudgement { z, threshold, scale, shortest: None, explains: 0.0 };
                let is_above = judged.score() > 1.0;
                judged.shortest = outputs[output].and_then(|best| best.shortest).or(is_above.then_some(scale));
                match &mut outputs[output] {
                    Some(best) if best.score() >= judged.score() => best.shortest = judged.shortest,
                    best => *best = Some(judged),
                }
            }
        }
        Judgement::of(outputs, &z_by_scale)
    }

    /// Returns what a wrong input explains at a scale: by how much the squared distance of the averages from normal would be
    /// smaller if they were moved along `direction`, in which the outputs move with the input. 0 unless that is nearly all of it:
    /// a machine that is worn moves its channels along such a direction too, but not exactly.
    pub(super) fn explained_by_input(&self, scale: usize, direction: &[f64]) -> f64 {
        let mut all_z = vec![None; direction.len()];
        let mut leave_one_out = LeaveOneOut::new();
        if !self.judge_scale(scale, &mut leave_one_out, &mut all_z) {
            return 0.0;
        }
        let explained = leave_one_out.explained_along(direction);
        if explained > TUNING.explained_by_input * leave_one_out.squared_distance() { explained } else { 0.0 }
    }

    /// Judges one scale. Returns whether it could be judged.
    fn judge_scale(&self, scale: usize, leave_one_out: &mut LeaveOneOut, all_z: &mut [Option<f64>]) -> bool {
        let Judge { baseline, averages, variances, noises, guard } = *self;
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
        leave_one_out.judge(&of_scale.covariance, &means, &extra, all_z)
    }
}
