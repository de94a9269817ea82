//! Trains the network on the residuals of healthy pumps.
//!
//! A *residual* is a channel's value less its prediction, in spreads; a *run* has the residuals of successive steps. Each
//! training step takes 64 windows of 30 steps at random places of all runs. A missing residual enters the network as 0, the
//! expected value, and its error does not count.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};

use super::{
    network::{DynamicsNetwork, shape},
    window::DYNAMICS_WINDOW,
};
use crate::{
    network::{NetworkError, Trainer},
    weights::Weights,
};

/// Windows per step.
const BATCH: usize = 64;
/// The progress is reported each time after this many steps.
const REPORT_STEPS: usize = 100;

/// Successive residuals of one healthy pump, without gaps, stops, or times outside of its known range.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualRun {
    channels: usize,
    /// Row by row; NaN if missing.
    values: Vec<f32>,
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsTraining {
    /// Steps of 64 windows. Three times as many as the default changed no result.
    pub steps: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Seed of the initial weights and of the choice of windows.
    pub seed: u64,
}

impl Default for DynamicsTraining {
    fn default() -> DynamicsTraining {
        DynamicsTraining { steps: 2_500, learning_rate: 2e-3, seed: 1 }
    }
}

/// The network cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum DynamicsTrainError {
    /// No run with this number of channels has 30 readings.
    #[error("no run of {channels} channels has {DYNAMICS_WINDOW} readings")]
    NoWindow {
        /// Channels of the profile.
        channels: usize,
    },
    /// Training diverged; a smaller learning rate may help.
    #[error("the loss or the weights are no longer finite after step {step}")]
    Diverged {
        /// The step, from 1.
        step: usize,
    },
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The weights cannot be serialized. This is a defect of this crate.
    #[error("the weights cannot be written: {0}")]
    Encode(String),
}

impl ResidualRun {
    /// Creates a run without readings.
    pub fn new(channels: usize) -> ResidualRun {
        ResidualRun { channels, values: Vec::new() }
    }

    /// Adds the residuals of the next reading, one per channel of the profile. A channel that is not given is missing.
    pub fn push(&mut self, residuals: &[Option<f64>]) {
        let value = |channel: usize| residuals.get(channel).copied().flatten().filter(|value| value.is_finite());
        self.values.extend((0..self.channels).map(|channel| value(channel).map_or(f32::NAN, |value| value as f32)));
    }

    /// Returns the number of windows.
    pub(crate) fn windows(&self) -> usize {
        let rows = self.values.len().checked_div(self.channels).unwrap_or(0);
        (rows + 1).saturating_sub(DYNAMICS_WINDOW)
    }

    fn window(&self, first: usize) -> &[f32] {
        &self.values[first * self.channels..(first + DYNAMICS_WINDOW) * self.channels]
    }
}

impl DynamicsNetwork {
    /// Trains a network for a profile with this many channels. `progress` is called every 100 steps with the step and the mean loss
    /// since the last call: the mean absolute error, in spreads. The same runs, settings and machine give the same network.
    pub fn train(
        channels: usize,
        runs: &[ResidualRun],
        settings: &DynamicsTraining,
        progress: &mut dyn FnMut(usize, f64),
    ) -> Result<DynamicsNetwork, DynamicsTrainError> {
        let runs: Vec<&ResidualRun> = runs.iter().filter(|run| run.channels == channels && run.windows() > 0).collect();
        let total: usize = runs.iter().map(|run| run.windows()).sum();
        if total == 0 {
            return Err(DynamicsTrainError::NoWindow { channels });
        }
        let shape = shape(channels);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        let mut trainer = Trainer::new(&Weights::random(shape, &mut rng), settings.learning_rate)?;
        let (mut values, mut present) = (Vec::new(), Vec::new());
        let mut loss = 0.0;
        for step in 1..=settings.steps {
            values.clear();
            present.clear();
            for _ in 0..BATCH {
                let window = nth_window(&runs, rng.random_range(0..total));
                present.extend(window.iter().map(|value| !value.is_nan()));
                values.extend(window.iter().map(|value| if value.is_nan() { 0.0 } else { *value }));
            }
            loss += trainer.step_masked(&values, &present)?;
            if !loss.is_finite() {
                return Err(DynamicsTrainError::Diverged { step });
            }
            if step % REPORT_STEPS == 0 {
                progress(step, loss / REPORT_STEPS as f64);
                loss = 0.0;
            }
        }
        let weights = Weights::from_arrays(shape, trainer.arrays()?);
        let weights = weights.map_err(|_| DynamicsTrainError::Diverged { step: settings.steps })?;
        DynamicsNetwork::new(weights).map_err(|error| DynamicsTrainError::Encode(error.to_string()))
    }

    /// Returns a network with random weights, to compare with.
    pub fn untrained(channels: usize, seed: u64) -> Result<DynamicsNetwork, DynamicsTrainError> {
        let shape = shape(channels);
        let weights = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
        DynamicsNetwork::new(weights).map_err(|error| DynamicsTrainError::Encode(error.to_string()))
    }
}

/// Returns the `nth` window of all runs, of which there are more than `nth`.
fn nth_window<'a>(runs: &[&'a ResidualRun], mut nth: usize) -> &'a [f32] {
    for run in runs {
        if nth < run.windows() {
            return run.window(nth);
        }
        nth -= run.windows();
    }
    &[]
}
