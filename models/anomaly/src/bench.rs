//! Access to an untrained network of any size, for benchmarks: the benches and `volute bench`. Does not measure time.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    NetworkError,
    kernel::Kernel,
    network,
    weights::{Shape, Weights},
};

/// Random initial weights of a network. The same seed gives the same weights.
#[derive(Debug)]
pub struct UntrainedNetwork(Weights);

impl UntrainedNetwork {
    /// Creates a network for windows of `len` readings of `channels` channels, with `units` hidden units.
    pub fn new(len: usize, channels: usize, units: usize, seed: u64) -> UntrainedNetwork {
        let shape = Shape { channels, len, units };
        UntrainedNetwork(Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed)))
    }

    /// Returns a kernel for scoring; each worker thread has one.
    pub fn worker(&self) -> Worker {
        Worker(Kernel::new(&self.0))
    }

    /// Returns the network ready for training.
    pub fn trainer(&self) -> Result<Trainer, NetworkError> {
        Ok(Trainer(network::Trainer::new(&self.0, 1e-3)?))
    }
}

/// The kernel of one worker thread.
#[derive(Debug)]
pub struct Worker(Kernel);

impl Worker {
    /// Reconstructs scaled windows, one after the other in a slice.
    pub fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        self.0.reconstruct(windows)
    }
}

/// A network in training.
#[derive(Debug)]
pub struct Trainer(network::Trainer);

impl Trainer {
    /// Runs one training step on a batch of scaled windows. Returns their mean absolute error before the step.
    pub fn step(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        self.0.step(windows)
    }
}
