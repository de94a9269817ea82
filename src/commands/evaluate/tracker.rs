//! Makes the windows and detections of a simulated pump, as a live node does.
//!
//! A baseline that was learned from less than a day is refined as on a node: at the running times of [`RefinementSchedule`]
//! it is learned again, from all steps so far except anomalous ones.

use std::sync::Arc;

use anyhow::Result;
use volute_anomaly::{
    Baseline, Commissioning, Decider, HealthyStatistics, HealthyStep, Model, RefinementSchedule, ResidualWindow, Score,
    ScoreInput, Scorer, StepInput, StepResult,
};
use volute_plant::{Detection, NoWindow, Profile, PumpId, Reading, Sample, StepRow, Timestamp, Window, Windower};

/// Steps per scoring batch.
const BATCH_STEPS: usize = 512;
/// Steps per scoring batch while a baseline is being refined. Fewer, because it is refined only between batches.
const REFINED_BATCH_STEPS: usize = 32;

/// A reading of a simulated pump, with its window.
#[derive(Clone)]
pub struct SimulatedStep {
    /// The number of readings so far.
    pub number: usize,
    /// Its time.
    pub at: Timestamp,
    /// Its values.
    pub row: StepRow,
    /// Its window, or why there is none.
    pub window: Result<Window, NoWindow>,
}

impl SimulatedStep {
    /// Returns the step as input for commissioning.
    pub fn into_healthy(self, profile: &Profile) -> HealthyStep {
        HealthyStep::new(profile, self.at, &self.row, self.window.ok())
    }
}

/// The windows of a simulated pump's readings, made by the windower of a live node.
pub struct SimulatedWindows<I> {
    readings: I,
    windower: Windower,
    id: PumpId,
    number: usize,
    /// Steps that the windower has returned together, and that are still to be returned.
    pending: std::vec::IntoIter<SimulatedStep>,
}

impl<I: Iterator<Item = (Timestamp, Vec<Sample>)>> SimulatedWindows<I> {
    /// Makes windows of these readings.
    pub fn new(profile: &Profile, id: PumpId, readings: I) -> Self {
        Self { readings, windower: Windower::new(profile), id, number: 0, pending: Vec::new().into_iter() }
    }
}

impl<I: Iterator<Item = (Timestamp, Vec<Sample>)>> Iterator for SimulatedWindows<I> {
    type Item = SimulatedStep;

    fn next(&mut self) -> Option<SimulatedStep> {
        loop {
            if let Some(step) = self.pending.next() {
                return Some(step);
            }
            let (at, samples) = self.readings.next()?;
            self.number += 1;
            let number = self.number;
            let reading = Reading { pump: self.id.clone(), at, received: at, samples: samples.into(), late: false };
            let readings = self.windower.push(reading).into_iter();
            let steps = readings.map(|windowed| SimulatedStep {
                number,
                at: windowed.reading.at,
                row: windowed.step,
                window: windowed.window,
            });
            self.pending = steps.collect::<Vec<_>>().into_iter();
        }
    }
}

/// The scorer and decider of one pump.
pub struct DetectionTracker {
    scorer: Scorer,
    decider: Decider,
    id: PumpId,
    refinement: Option<Refinement>,
}

/// The data from which a baseline is refined.
struct Refinement {
    profile: Profile,
    settings: Commissioning,
    /// The healthy steps so far.
    steps: Vec<HealthyStep>,
    running_s: f64,
    /// The running time at which the baseline is learned again.
    next_s: f64,
}

impl Refinement {
    /// Returns none if the baseline was learned from enough running.
    fn of(baseline: &Baseline, profile: Profile, settings: Commissioning, steps: Vec<HealthyStep>) -> Option<Self> {
        let running_s = baseline.conditional.as_ref()?.learned().running_s;
        Some(Self { next_s: RefinementSchedule::next_s(running_s)?, profile, settings, steps, running_s })
    }

    fn take(&mut self, step: &SimulatedStep) {
        if step.row.state.has_settled() {
            self.running_s += self.profile.interval_ms() as f64 / 1e3;
        }
        self.steps.push(step.clone().into_healthy(&self.profile));
    }
}

impl DetectionTracker {
    /// Commissions a pump on these steps. `steps` is called repeatedly, so that they need not be in memory.
    pub fn commission<I: Iterator<Item = HealthyStep>>(
        model: &Model,
        profile: &Profile,
        settings: &Commissioning,
        id: PumpId,
        steps: impl Fn() -> I,
    ) -> Result<Self> {
        let healthy = HealthyStatistics::of(model, profile, settings.detector, &steps)?;
        let baseline = Arc::new(Baseline::of(profile, &healthy, settings)?);
        let mut refinement = Refinement::of(&baseline, profile.clone(), *settings, Vec::new());
        if let Some(refinement) = &mut refinement {
            refinement.steps.extend(steps());
        }
        Ok(Self { scorer: Scorer::new(model), decider: Decider::after(baseline, healthy.steps()), id, refinement })
    }

    /// Returns a tracker that continues from this one's state. It does not refine the baseline.
    pub fn fork(&self) -> Self {
        let scorer = Scorer::new(self.scorer.model());
        Self { scorer, decider: self.decider.clone(), id: self.id.clone(), refinement: None }
    }

    /// Learns the baseline again if that is due.
    fn refine(&mut self) -> Result<()> {
        let Some(refinement) = self.refinement.take_if(|refinement| refinement.running_s >= refinement.next_s) else {
            return Ok(());
        };
        let Refinement { profile, settings, steps, .. } = refinement;
        let healthy =
            HealthyStatistics::of(self.scorer.model(), &profile, settings.detector, || steps.iter().cloned())?;
        let baseline = Arc::new(Baseline::of(&profile, &healthy, &settings)?);
        self.decider = Decider::after(baseline.clone(), healthy.steps());
        self.refinement = Refinement::of(&baseline, profile, settings, steps);
        Ok(())
    }

    /// Scores all steps, and calls `observe` for each, in order, with its detection, or why it has no window.
    pub fn run(
        &mut self,
        steps: impl Iterator<Item = SimulatedStep>,
        mut observe: impl FnMut(&SimulatedStep, Result<&Detection, &NoWindow>),
    ) -> Result<()> {
        let mut steps = steps.peekable();
        while steps.peek().is_some() {
            self.refine()?;
            let size = if self.refinement.is_some() { REFINED_BATCH_STEPS } else { BATCH_STEPS };
            let batch: Vec<SimulatedStep> = steps.by_ref().take(size).collect();
            let baseline = self.decider.baseline().clone();
            let mut results: Vec<Option<StepResult>> =
                batch.iter().map(|step| self.decider.push_step(&StepInput::of(step.at, &step.row))).collect();
            let residuals: Vec<Option<ResidualWindow>> =
                results.iter_mut().map(|result| result.as_mut()?.take_residuals()).collect();
            let scored = batch
                .iter()
                .zip(&residuals)
                .filter_map(|(step, residuals)| Some((step.window.as_ref().ok()?, residuals)));
            let inputs: Vec<ScoreInput> =
                scored.map(|(window, residuals)| ScoreInput::of(window, &baseline, residuals.as_ref())).collect();
            let scores: Vec<Score> = self.scorer.score(&inputs)?.iter().collect();
            let mut scores = scores.into_iter();
            for (step, result) in batch.iter().zip(&results) {
                let score = step.window.is_ok().then(|| scores.next()).flatten();
                let detection = self.decider.decide(&self.id, step.at, result.as_ref(), score.as_ref());
                let is_anomaly = detection.as_ref().is_some_and(|detection| detection.is_anomaly);
                if let Some(refinement) = self.refinement.as_mut().filter(|_| !is_anomaly) {
                    refinement.take(step);
                }
                match (detection, &step.window) {
                    (Some(detection), _) => observe(step, Ok(&detection)),
                    (None, Err(reason)) => observe(step, Err(reason)),
                    (None, Ok(_)) => {}
                }
            }
        }
        Ok(())
    }
}

/// Returns the index of the largest contribution.
pub fn largest(contributions: &[f64]) -> usize {
    contributions.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}
