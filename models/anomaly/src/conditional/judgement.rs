//! Judges the averages of all scales: each channel's z, given the others, over its threshold.
//!
//! Example at two scales, of a flow that has fallen by 2 % for a minute: at 5 s it has z = -4 and the threshold 6, at 60 s z =
//! -9 and the threshold 5. The flow's z is -9 of the scale of 60 s, the anomaly score is 9 / 5 = 1.8, and the flow is
//! blamed.

use super::{
    averages::Averages,
    baseline::ConditionalBaseline,
    decision::LeaveOneOut,
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
}

impl OutputJudgement {
    fn score(&self) -> f64 {
        self.z.abs() / self.threshold
    }
}

/// Judges the averages. `variances`: what each output's reading is uncertain by, apart from noise, ramps and guard. `None` if no
/// output can be judged. Without a guard no allowance is made for speeds that were not seen.
pub(super) fn judge(
    baseline: &ConditionalBaseline,
    averages: &Averages,
    variances: &[f64],
    noises: &[Noise],
    guard: Option<Guard>,
) -> Option<Judgement> {
    let mut outputs: Vec<Option<OutputJudgement>> = vec![None; baseline.outputs.len()];
    let mut extra = vec![0.0; baseline.outputs.len()];
    let (mut means, mut all_z) = (vec![None; extra.len()], vec![None; extra.len()]);
    let mut leave_one_out = LeaveOneOut::new();
    for (scale, of_scale) in baseline.by_scale.iter().enumerate() {
        for (output, mean) in means.iter_mut().enumerate() {
            *mean = averages.mean(scale, output);
        }
        let share = baseline.scales.share(scale);
        let squared_guard = guard.map_or(0.0, |guard| averages.squared_guard(scale).max(guard.level().powi(2)));
        for (output, extra) in extra.iter_mut().enumerate() {
            let group = baseline.channels.outputs[output].group;
            let guard_share = guard.map_or(0.0, |guard| guard.share(group, means[output].unwrap_or(0.0)));
            *extra = variances[output]
                + of_scale.ramp_factors[output] * averages.ramp(scale)
                + squared_guard * (guard_share * baseline.outputs[output].magnitude).powi(2)
                + noises[output].excess(baseline.outputs[output].noise, share);
        }
        if !leave_one_out.judge(&of_scale.covariance, &means, &extra, &mut all_z) {
            continue;
        }
        for (output, z) in all_z.iter().enumerate() {
            let Some(z) = *z else { continue };
            let mut judged = OutputJudgement { z, threshold: of_scale.thresholds[output], scale, shortest: None };
            let is_above = judged.score() > 1.0;
            judged.shortest = outputs[output].and_then(|best| best.shortest).or(is_above.then_some(scale));
            match &mut outputs[output] {
                Some(best) if best.score() >= judged.score() => best.shortest = judged.shortest,
                best => *best = Some(judged),
            }
        }
    }
    let judged = outputs.iter().enumerate().filter_map(|(index, output)| Some((index, (*output)?)));
    let (output, worst) = judged.max_by(|(_, a), (_, b)| a.score().total_cmp(&b.score()))?;
    Some(Judgement {
        score: worst.score(),
        output,
        scale: worst.scale,
        shortest: worst.shortest.unwrap_or(worst.scale),
        outputs,
    })
}
