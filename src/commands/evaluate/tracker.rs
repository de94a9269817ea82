//! Windows and detections of a simulated pump, as a live node makes them.

use std::sync::Arc;

use anyhow::Result;
use volute_anomaly::{Baseline, Decider, Model, Score, ScoreInput, Scorer};
use volute_plant::{Detection, NoWindow, Profile, PumpId, Reading, Sample, Timestamp, Window, Windower};

/// Windows per scoring batch.
const BATCH_WINDOWS: usize = 512;

/// A reading of a simulated pump, with its window.
pub struct SimulatedStep {
    /// The number of readings so far.
    pub number: usize,
    /// Its window, or why there is none.
    pub window: Result<Window, NoWindow>,
}

/// The windows of a simulated pump's readings, by a live node's windower.
pub struct SimulatedWindows<I> {
    readings: I,
    windower: Windower,
    id: PumpId,
    number: usize,
    /// Steps that the windower has returned at once.
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
            let steps = readings.map(|reading| SimulatedStep { number, window: reading.window });
            self.pending = steps.collect::<Vec<_>>().into_iter();
        }
    }
}

/// The scorer and decider of one pump.
pub struct DetectionTracker {
    scorer: Scorer,
    decider: Decider,
    id: PumpId,
}

impl DetectionTracker {
    /// Returns the tracker of a pump that was just commissioned.
    pub fn new(model: &Model, baseline: Arc<Baseline>, id: PumpId) -> Self {
        Self { scorer: Scorer::new(model), decider: Decider::new(baseline), id }
    }

    /// Returns a tracker that continues from this one's state.
    pub fn fork(&self) -> Self {
        Self { scorer: Scorer::new(self.scorer.model()), decider: self.decider.clone(), id: self.id.clone() }
    }

    /// Scores all steps, and calls `observe` for each, in order, with its detection, or why it has no window.
    pub fn run(
        &mut self,
        steps: impl Iterator<Item = SimulatedStep>,
        mut observe: impl FnMut(&SimulatedStep, Result<&Detection, &NoWindow>),
    ) -> Result<()> {
        let mut steps = steps.peekable();
        while steps.peek().is_some() {
            let batch: Vec<SimulatedStep> = steps.by_ref().take(BATCH_WINDOWS).collect();
            let baseline = self.decider.baseline().clone();
            let windows = batch.iter().filter_map(|step| step.window.as_ref().ok());
            let inputs: Vec<ScoreInput> =
                windows.map(|window| ScoreInput { window, scaler: &baseline.scaler }).collect();
            let scores: Vec<Score> = self.scorer.score(&inputs)?.iter().collect();
            let mut scores = scores.into_iter();
            for step in &batch {
                match (&step.window, step.window.is_ok().then(|| scores.next()).flatten()) {
                    (Ok(window), Some(score)) => {
                        observe(step, Ok(&self.decider.decide(&self.id, window.at, &score)));
                    }
                    (Err(reason), _) => observe(step, Err(reason)),
                    (Ok(_), None) => {}
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
