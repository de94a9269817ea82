//! The detector of one pump with one baseline: takes the pump's readings in order and tests each. A baseline is for one kind of
//! operating point (speed, current or none), so `state.rs` switches to a second detector when the speed is lost.
//!
//! One reading's way through [`BaselineDetector::step`]:
//!
//! 1. The *inputs* (speed, ambient temperature, flow) enter their averages (`features.rs`). How uncertain these averages are is
//!    updated (`unknown.rs`): after a gap they are as uncertain as at the first reading.
//! 2. A standing pump is not tested. The averages of its residuals begin anew; an open episode stays open.
//! 3. Each *output* (a channel that is tested) is predicted. Its *residual*, the value less the prediction, enters the averages
//!    of all *scales*, times of 5 s to 1 h (`averages.rs`).
//! 4. The averages are tested (`level_test.rs`): the result is the anomaly score, and the output and the scale that have it.
//! 5. An episode begins, continues or ends (`episode.rs`).
//! 6. If the pump is normal, the predictions learn from the reading (`regression.rs`).
//!
//! The only time is that of the readings; there is no clock. The same readings give the same results, bit for bit, also if
//! the state is stored and restored between them.

use serde::{Deserialize, Serialize};
use volute_plant::{Sample, Timestamp};

use super::{
    averages::Averages,
    baseline::{ConditionalBaseline, OutputBaseline},
    channels::Group,
    episode::{EpisodePhase, LearnAction, OperatingPointKnown, TestedReading},
    features::{InputFilter, share},
    level_test::{LevelTest, LevelTestResult},
    regression::{Projections, Regressions},
    result::{ChannelDeviation, ConditionalResult, RESIDUAL_LIMIT},
    table::{TimedSamples, is_gap},
    terms::Source,
    tuning::TUNING,
    uncertainty::{Guard, Noise},
    unknown::{Include, MissingInputs, UnknownTerms},
};

/// The state of the detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaselineDetector {
    /// The time of the last reading.
    last: Option<Timestamp>,
    inputs: InputFilter,
    unknown: UnknownTerms,
    averages: Averages,
    regressions: Regressions,
    /// One per output.
    noises: Vec<Noise>,
    /// The allowance for speeds outside of those of commissioning.
    guard: Guard,
    phase: EpisodePhase,
}

/// A reading of a running pump, before it is tested.
struct PredictedReading {
    /// Seconds since the reading before.
    elapsed_s: f64,
    projections: Projections,
    /// The prediction of each output.
    expected: Vec<f64>,
    /// The value of each output less its prediction; NaN if missing.
    residuals: Vec<f64>,
    /// For each output: the variance of its prediction because averages of the inputs are not known yet.
    unknown: Vec<f64>,
    /// For each output: the whole variance of its prediction, see [`variances`].
    variances: Vec<f64>,
}

/// Which parts of the predictions learn from a normal reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LearnScope {
    All,
    OffsetsOnly,
}

impl BaselineDetector {
    /// Creates the detector of a pump without any reading yet.
    pub(super) fn new(baseline: &ConditionalBaseline) -> BaselineDetector {
        BaselineDetector {
            last: None,
            inputs: InputFilter::default(),
            unknown: UnknownTerms::new(&baseline.terms, &baseline.term_variances),
            averages: Averages::new(baseline.by_scale.len(), baseline.outputs.len()),
            regressions: Regressions::new(baseline),
            noises: baseline.outputs.iter().map(|output| Noise::new(output.noise)).collect(),
            guard: Guard::default(),
            phase: EpisodePhase::Normal,
        }
    }

    /// Whether its parts fit the baseline.
    pub(super) fn is_valid(&self, baseline: &ConditionalBaseline) -> bool {
        let (scales, outputs) = (baseline.by_scale.len(), baseline.outputs.len());
        self.inputs.is_valid()
            && self.unknown.is_valid(baseline.terms.len())
            && self.averages.is_valid(scales, outputs)
            && self.regressions.is_valid(baseline)
            && self.noises.len() == outputs
            && self.noises.iter().all(|noise| noise.is_valid())
            && self.guard.is_valid()
            && self.phase.is_valid(scales, outputs)
    }

    /// Whether an episode is open.
    pub(super) fn in_episode(&self) -> bool {
        self.phase.in_episode()
    }

    /// Ends an open episode.
    pub(super) fn end_episode(&mut self) {
        self.phase = EpisodePhase::Normal;
    }

    /// Returns the time of the last reading.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Takes the readings that the baseline was learned from. The offsets learn from them; the weights do not, because they
    /// were fitted to these readings. Calls `observe` for each reading with its residuals, or with `None` if the pump does not
    /// run or runs at a speed outside of its known range.
    pub(super) fn replay_learned(
        &mut self,
        baseline: &ConditionalBaseline,
        rows: &[TimedSamples],
        mut observe: impl FnMut(Timestamp, Option<&[Option<f64>]>),
    ) {
        for row in rows {
            let Some(reading) = self.predict(baseline, row.at, &row.samples) else {
                observe(row.at, None);
                continue;
            };
            let residuals = self.standardized(baseline, &reading);
            let is_known = !self.guard.is_outside() && residuals.iter().any(Option::is_some);
            observe(row.at, is_known.then_some(&residuals));
            self.learn(baseline, LearnAction::Learn, &reading, LearnScope::OffsetsOnly);
        }
    }

    /// Tests a reading; see [`super::ConditionalState::step`].
    pub(super) fn step(
        &mut self,
        baseline: &ConditionalBaseline,
        at: Timestamp,
        samples: &[Sample],
    ) -> Option<ConditionalResult> {
        let reading = self.predict(baseline, at, samples)?;
        let residuals = self.standardized(baseline, &reading);
        let test = self.level_test(baseline, &reading, Some(self.guard));
        let result = test.run();
        let explains = result.as_ref().map_or_else(Vec::new, |result| self.explains(&test, result));
        if let Some(result) = &result {
            let known = self.operating_point_known(baseline, samples, &reading);
            let tested = TestedReading {
                averages: &self.averages,
                residuals: &reading.residuals,
                result,
                known,
                elapsed_s: reading.elapsed_s,
            };
            let action = self.phase.advance(baseline, &tested);
            self.learn(baseline, action, &reading, LearnScope::All);
        }
        Some(self.result(baseline, result.as_ref(), explains, &reading.expected, residuals))
    }

    fn level_test<'a>(
        &'a self,
        baseline: &'a ConditionalBaseline,
        reading: &'a PredictedReading,
        guard: Option<Guard>,
    ) -> LevelTest<'a> {
        LevelTest { baseline, averages: &self.averages, variances: &reading.variances, noises: &self.noises, guard }
    }

    /// Returns [`ConditionalResult::explains`]. Inputs are tried only if the reading is anomalous, or nearly so.
    fn explains(&self, test: &LevelTest, result: &LevelTestResult) -> Vec<f64> {
        let channels = &test.baseline.channels;
        let mut explains = vec![0.0; channels.count];
        for (output, result_of_output) in channels.outputs.iter().zip(&result.outputs) {
            explains[output.channel] = result_of_output.map_or(0.0, |result| result.explains);
        }
        if result.score < TUNING.quiet {
            return explains;
        }
        for (channel, source) in [(channels.speed, Source::Speed), (channels.ambient, Source::Ambient)] {
            if let Some(channel) = channel {
                let direction = self.moves_with(test.baseline, source);
                explains[channel] = test.explained_by_input(result.scale, &direction);
            }
        }
        explains
    }

    /// Returns how the outputs move with an input: how much each prediction changes with a small change of the input (1 % of the
    /// highest speed, or 1 unit).
    fn moves_with(&self, baseline: &ConditionalBaseline, source: Source) -> Vec<f64> {
        let difference = match (source, baseline.range.speed) {
            (Source::Speed, Some(range)) => 0.01 * range.high,
            _ => 1.0,
        };
        let (mut here, mut there) = (Vec::new(), Vec::new());
        self.inputs.terms(&baseline.range, &baseline.terms, &mut here);
        self.inputs.shifted(source, -difference).terms(&baseline.range, &baseline.terms, &mut there);
        let regressions = self.regressions.outputs().iter();
        regressions.map(|regression| regression.expected(&here) - regression.expected(&there)).collect()
    }

    /// Takes a reading of which only the inputs count; see [`super::ConditionalState::observe`].
    pub(super) fn observe(&mut self, baseline: &ConditionalBaseline, at: Timestamp, samples: &[Sample]) {
        if let Some(elapsed_s) = self.pass_time(baseline, at) {
            // The pump only passes through the speeds of a start, so they do not count as outside of the known range.
            self.update_inputs(baseline, samples, elapsed_s, false);
            self.interrupt();
        }
    }

    fn operating_point_known(
        &self,
        baseline: &ConditionalBaseline,
        samples: &[Sample],
        reading: &PredictedReading,
    ) -> OperatingPointKnown {
        if self.guard.is_outside_now() {
            OperatingPointKnown::Outside
        } else if self.guard.is_outside() {
            // Only the end of an episode asks for the score.
            let unguarded = self.in_episode().then(|| self.level_test(baseline, reading, None).run()).flatten();
            OperatingPointKnown::WasOutside { score: unguarded.map_or(f64::INFINITY, |result| result.score) }
        } else if baseline.channels.lacks_operating_point(samples) {
            OperatingPointKnown::Missing
        } else {
            OperatingPointKnown::Yes
        }
    }

    /// Begins the averages of the residuals anew, as after a gap, a start or a stop.
    fn interrupt(&mut self) {
        self.averages.clear();
        self.noises.iter_mut().for_each(Noise::interrupt);
    }

    /// Takes a reading through points 1 to 3 of the module: its residuals enter the averages. `None` if the reading is not later than
    /// the one before, or if the pump does not run.
    fn predict(
        &mut self,
        baseline: &ConditionalBaseline,
        at: Timestamp,
        samples: &[Sample],
    ) -> Option<PredictedReading> {
        let elapsed_s = self.pass_time(baseline, at)?;
        let is_running = self.runs(baseline, samples);
        self.update_inputs(baseline, samples, elapsed_s, is_running);
        if !is_running {
            self.interrupt();
            return None;
        }
        let mut terms = Vec::with_capacity(baseline.terms.len());
        self.inputs.terms(&baseline.range, &baseline.terms, &mut terms);
        let regressions = self.regressions.outputs();
        let expected: Vec<f64> = regressions.iter().map(|regression| regression.expected(&terms)).collect();
        let mut residuals = Vec::with_capacity(expected.len());
        baseline.channels.outputs(samples, &mut residuals);
        for (residual, expected) in residuals.iter_mut().zip(&expected) {
            *residual -= expected;
        }
        // Without an operating point this reading has no residuals, and the averages of earlier residuals are tested. The
        // missing value does not make those uncertain, only the unknown history of the inputs does.
        let include = if baseline.channels.lacks_operating_point(samples) { Include::History } else { Include::All };
        let unknown: Vec<f64> = regressions
            .iter()
            .map(|regression| self.unknown.variance(&baseline.terms, regression.weights(), include))
            .collect();
        let projections = self.regressions.project(&terms);
        let variances = variances(baseline, &projections, &unknown);
        Noise::add_all(&mut self.noises, &residuals, baseline.scales.interval_s);
        self.averages.add(&baseline.scales, &residuals, self.guard.level(), elapsed_s);
        Some(PredictedReading { elapsed_s, projections, expected, residuals, unknown, variances })
    }

    /// Returns the seconds since the reading before; `None` if this one is not later.
    fn pass_time(&mut self, baseline: &ConditionalBaseline, at: Timestamp) -> Option<f64> {
        let interval_s = baseline.scales.interval_s;
        let elapsed_s = match self.last {
            None => interval_s,
            Some(last) if at > last => (at.millis() - last.millis()) as f64 / 1e3,
            Some(_) => return None,
        };
        self.last = Some(at);
        if is_gap(elapsed_s, interval_s) {
            self.unknown = UnknownTerms::new(&baseline.terms, &baseline.term_variances);
            self.interrupt();
        }
        Some(elapsed_s)
    }

    /// Whether the pump runs in this reading.
    fn runs(&self, baseline: &ConditionalBaseline, samples: &[Sample]) -> bool {
        // A missing speed keeps its last value.
        let speed = baseline.channels.inputs(samples).speed.or(self.inputs.speed());
        let is_running = |speed| baseline.range.speed.is_none_or(|range| range.is_running(speed));
        baseline.channels.is_on(samples) && speed.is_none_or(is_running)
    }

    /// Takes the inputs of a reading. `counts`: whether a speed outside of the known range counts, because the pump runs.
    fn update_inputs(&mut self, baseline: &ConditionalBaseline, samples: &[Sample], elapsed_s: f64, counts: bool) {
        let ConditionalBaseline { channels, range, terms, term_variances, .. } = baseline;
        let inputs = channels.inputs(samples);
        self.inputs.advance(range, &inputs, elapsed_s);
        self.unknown.advance(terms, term_variances, &range.forgotten_s, MissingInputs::of(&inputs), elapsed_s);
        self.averages.update_ramp(&baseline.scales, self.inputs.squared_change(range), elapsed_s);
        self.guard.advance(range.speed, inputs.speed.filter(|_| counts), elapsed_s);
    }

    fn learn(
        &mut self,
        baseline: &ConditionalBaseline,
        action: LearnAction,
        reading: &PredictedReading,
        scope: LearnScope,
    ) {
        match action {
            LearnAction::Hold => {}
            LearnAction::Forget => {
                self.averages.clear();
                let interval_s = baseline.scales.interval_s;
                self.averages.add(&baseline.scales, &reading.residuals, self.guard.level(), interval_s);
            }
            LearnAction::Learn => self.learn_normal(baseline, reading, scope),
            LearnAction::Relearn { nth, done } => {
                for (regression, residual) in self.regressions.outputs_mut().iter_mut().zip(&reading.residuals) {
                    if !residual.is_nan() {
                        regression.relearn(*residual, nth);
                    }
                    if done {
                        regression.set_anchor();
                    }
                }
                if done {
                    self.averages.clear();
                }
            }
        }
    }

    fn learn_normal(&mut self, baseline: &ConditionalBaseline, reading: &PredictedReading, scope: LearnScope) {
        let follow_s = baseline.learned.running_s.min(TUNING.max_follow_s);
        let follow = share(reading.elapsed_s.min(baseline.scales.interval_s), follow_s);
        let mut information = Vec::with_capacity(baseline.outputs.len());
        for (index, regression) in self.regressions.outputs_mut().iter_mut().enumerate() {
            let (residual, output) = (reading.residuals[index], &baseline.outputs[index]);
            // As in the fit: the less is known of the inputs, the less a reading says about the weights.
            let certainty = 1.0 / (1.0 + reading.unknown[index] / output.spread.powi(2));
            information.push(baseline.information * certainty);
            if !residual.is_nan() {
                let share = follow * certainty;
                let anchor_share = match baseline.channels.outputs[index].group {
                    Group::Thermal => TUNING.thermal_anchor_share * share,
                    Group::Loaded | Group::Flow | Group::Other => 0.0,
                };
                regression.update(output, residual, share, anchor_share);
            }
        }
        if scope == LearnScope::All {
            self.regressions.learn(baseline, &reading.projections, &reading.residuals, &information);
        }
    }

    fn result(
        &self,
        baseline: &ConditionalBaseline,
        result: Option<&LevelTestResult>,
        explains: Vec<f64>,
        expected: &[f64],
        residuals: Vec<Option<f64>>,
    ) -> ConditionalResult {
        let mut channels = vec![None; baseline.channels.count];
        if let Some(result) = result {
            for (index, output) in baseline.channels.outputs.iter().enumerate() {
                channels[output.channel] = result.outputs[index].map(|output_result| ChannelDeviation {
                    z: output_result.z,
                    threshold: output_result.threshold,
                    time_constant_s: baseline.scales.spans_s[output_result.scale],
                    expected: expected[index],
                });
            }
        }
        let most = explains.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let blamed = most.map_or(baseline.channels.outputs[0].channel, |(channel, _)| channel);
        ConditionalResult {
            anomaly_score: result.map_or(0.0, |result| result.score),
            blamed,
            explains,
            in_episode: self.in_episode(),
            outside_known_range: self.guard.is_outside(),
            channels,
            residuals,
        }
    }

    /// Returns [`ConditionalResult::residuals`] of a reading.
    fn standardized(&self, baseline: &ConditionalBaseline, reading: &PredictedReading) -> Vec<Option<f64>> {
        let mut residuals = vec![None; baseline.channels.count];
        for (index, output) in baseline.outputs.iter().enumerate() {
            // While the guard is too small to count as outside, it would only make the residuals smaller.
            let guard = if self.guard.is_outside() { self.guard.level() * output.magnitude } else { 0.0 };
            let sd = (output.spread.powi(2) + reading.variances[index] + guard.powi(2)).sqrt();
            let residual = reading.residuals[index] / sd;
            let channel = baseline.channels.outputs[index].channel;
            residuals[channel] = residual.is_finite().then(|| residual.clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT));
        }
        residuals
    }
}

/// Returns the variance of each output's prediction: that of the weights, that of the unknown inputs (`unknown`), and that of
/// slow changes that commissioning was too short to show. Excess noise, speed changes and the guard are added elsewhere
/// (`level_test.rs`).
fn variances(baseline: &ConditionalBaseline, projections: &Projections, unknown: &[f64]) -> Vec<f64> {
    let variance = |(index, output): (usize, &OutputBaseline)| {
        projections.variance(baseline.channels.outputs[index].group, output) + unknown[index] + output.unknown
    };
    baseline.outputs.iter().enumerate().map(variance).collect()
}
