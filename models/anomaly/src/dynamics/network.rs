//! The network of residuals, and the measuring of windows with it.
//!
//! A *residual* is a channel's value less its prediction by the conditional detector, in spreads. The network is an LSTM
//! autoencoder: it reconstructs windows of 30 steps' residuals, and each channel's error and change are measured (`measure.rs`).
//! A missing residual enters the network as 0, the expected value.

use std::{borrow::Borrow, fmt, sync::Arc};

use safetensors::SafeTensorError;

use super::{
    error::DynamicsError,
    measure::{WindowDynamics, measure},
    window::{DYNAMICS_WINDOW, ResidualWindow},
};
use crate::{
    hex::sha256,
    kernel::Kernel,
    weights::{Shape, Weights},
};

/// Hidden units of the encoder and of the decoder. The default of [`crate::Recipe::units`].
const UNITS: usize = 64;
/// Windows per pass through the network.
const BATCH: usize = 32;

/// An LSTM autoencoder of residuals. Immutable; cheap to clone.
#[derive(Clone)]
pub struct DynamicsNetwork(Arc<NetworkData>);

struct NetworkData {
    id: String,
    weights: Weights,
}

/// Measures windows. It has its own copy of the weights and its own buffers; each worker has one.
#[derive(Debug)]
pub struct DynamicsScorer {
    network: DynamicsNetwork,
    kernel: Kernel,
    values: Vec<f32>,
}

/// Returns the shape of a network for a profile with this many channels.
pub(crate) fn shape(channels: usize) -> Shape {
    Shape { channels, len: DYNAMICS_WINDOW, units: UNITS }
}

impl DynamicsNetwork {
    pub(crate) fn new(weights: Weights) -> Result<DynamicsNetwork, SafeTensorError> {
        let id = sha256(&weights.to_bytes()?)[..12].to_owned();
        Ok(DynamicsNetwork(Arc::new(NetworkData { id, weights })))
    }

    /// Returns the first 12 hex digits of a SHA-256 over its weights. A baseline is valid for one network.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the number of channels of its profile.
    pub fn channels(&self) -> usize {
        self.0.weights.shape().channels
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// Returns the bytes of a safetensors file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DynamicsError> {
        self.0.weights.to_bytes().map_err(|error| DynamicsError::Weights(error.to_string()))
    }

    /// Parses the bytes of a safetensors file, for a profile with this many channels.
    pub fn from_bytes(channels: usize, bytes: &[u8]) -> Result<DynamicsNetwork, DynamicsError> {
        let weights =
            Weights::from_bytes(shape(channels), bytes).map_err(|error| DynamicsError::Weights(error.to_string()))?;
        DynamicsNetwork::new(weights).map_err(|error| DynamicsError::Weights(error.to_string()))
    }
}

impl fmt::Debug for DynamicsNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamicsNetwork({})", self.id())
    }
}

impl DynamicsScorer {
    /// Creates a scorer with its own copy of the weights.
    pub fn new(network: &DynamicsNetwork) -> DynamicsScorer {
        DynamicsScorer { network: network.clone(), kernel: Kernel::new(&network.0.weights), values: Vec::new() }
    }

    /// Returns its network.
    pub fn network(&self) -> &DynamicsNetwork {
        &self.network
    }

    /// Measures windows of any pumps of the profile. Returns one result per window, in their order. A window's measures do not
    /// depend on the other windows.
    pub fn score<W: Borrow<ResidualWindow>>(&mut self, windows: &[W]) -> Result<Vec<WindowDynamics>, DynamicsError> {
        let channels = self.network.channels();
        if let Some(window) = windows.iter().map(Borrow::borrow).find(|window| window.channels() != channels) {
            return Err(DynamicsError::Channels { found: window.channels(), expected: channels });
        }
        let mut measured = Vec::with_capacity(windows.len());
        for batch in windows.chunks(BATCH) {
            self.values.clear();
            for window in batch.iter().map(Borrow::borrow) {
                self.values.extend(window.values().iter().map(|value| if value.is_nan() { 0.0 } else { *value }));
            }
            let reconstructed = self.kernel.reconstruct(&self.values);
            for (window, reconstruction) in
                batch.iter().map(Borrow::borrow).zip(reconstructed.chunks_exact(DYNAMICS_WINDOW * channels))
            {
                let measure = |channel| measure(window.values(), reconstruction, channels, channel);
                measured.push((0..channels).map(measure).collect());
            }
        }
        Ok(measured)
    }
}
