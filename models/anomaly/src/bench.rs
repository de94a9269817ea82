//! A door for measuring: an untrained network of any size, without the model around it.
//!
//! Used by the benches and by `volute bench`. Deliberately absent: clocks and figures.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    NetworkError,
    kernel::Kernel,
    network::Learner,
    weights::{Shape, Weights},
};

/// The first values of a network: the same seed gives the same.
#[derive(Debug)]
pub struct Untrained(Weights);

impl Untrained {
    /// Of windows of so many readings of so many channels, and of so many units.
    pub fn new(len: usize, channels: usize, units: usize, seed: u64) -> Untrained {
        let shape = Shape { channels, len, units };
        Untrained(Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed)))
    }

    /// What one worker owns to score with.
    pub fn worker(&self) -> Worker {
        Worker(Kernel::new(&self.0))
    }

    /// What learns.
    pub fn pupil(&self) -> Result<Pupil, NetworkError> {
        Ok(Pupil(Learner::new(&self.0, 1e-3)?))
    }
}

/// One worker's kernel.
#[derive(Debug)]
pub struct Worker(Kernel);

impl Worker {
    /// Reconstructs scaled windows, one after the other in a slice.
    pub fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        self.0.reconstruct(windows)
    }
}

/// A network that learns.
#[derive(Debug)]
pub struct Pupil(Learner);

impl Pupil {
    /// Takes a step on a batch of scaled windows. Answers with their mean absolute error before it.
    pub fn step(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        self.0.step(windows)
    }
}
