//! A trained model and its manifest.
//!
//! Does not train it (`train.rs`), read or write its files (`files.rs`), or score with it ([`crate::Scorer`]).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{Profile, Timestamp, WindowConfig};

use crate::{
    Baseline, DynamicsNetwork, Recipe,
    hex::sha256,
    weights::{Shape, Weights},
};

/// The kind of network that this crate trains.
pub const ARCHITECTURE: &str = "lstm-autoencoder";

/// The version of a manifest's fields and of the weights' names and layout.
pub const FORMAT_VERSION: u32 = 2;

/// How the parameters of [`crate::Tuning`] were chosen; part of every manifest.
pub(crate) const TUNING_SOURCE: &str =
    "leave-runs-out cross-validation over 18 SKAB runs: volute evaluate --cross-validate";

/// A trained model. Immutable; cheap to clone.
#[derive(Clone)]
pub struct Model(Arc<ModelData>);

struct ModelData {
    id: Arc<str>,
    baseline: Option<Arc<Baseline>>,
    manifest: Manifest,
    weights: Weights,
    /// The network of residuals, if there were enough windows to train it.
    dynamics: Option<DynamicsNetwork>,
}

/// Everything about a model but its weights. Field names are the keys of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// The model's name; see [`Model::id`].
    pub id: String,
    /// [`ARCHITECTURE`].
    pub architecture: String,
    /// The name of the profile that it was trained for.
    pub profile: String,
    /// That profile's hash.
    pub profile_hash: String,
    /// The profile's channels, in order.
    pub channels: Vec<String>,
    /// Time between two steps of a window, in milliseconds.
    pub interval_ms: i64,
    /// Steps in a window.
    pub window: usize,
    /// Hidden units of the encoder and of the decoder.
    pub units: usize,
    /// The baseline of the pump that it was trained on. None if it was trained on several pumps, each of which is
    /// commissioned separately.
    pub baseline: Option<Baseline>,
    /// How the parameters of [`crate::Detector::Fused`] were chosen.
    pub tuning_chosen: String,
    /// SHA-256 of the weights file, in hex.
    pub weights_sha256: String,
    /// The training settings.
    pub recipe: Recipe,
    /// The training data.
    pub provenance: Provenance,
    /// The result of training.
    pub metrics: Metrics,
}

/// The training data of a model, as far as the caller knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// SHA-256 of the training data, in hex.
    pub data_hash: String,
    /// Number of readings in the training data.
    pub rows: usize,
    /// Sources of the data: files, pumps, or the name of a simulation.
    pub sources: Vec<String>,
    /// When the model was trained.
    pub trained_at: Timestamp,
}

/// The result of training. Losses are mean absolute errors over scaled windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Number of epochs that were run.
    pub epochs: usize,
    /// The epoch whose weights are used, from 1.
    pub best_epoch: usize,
    /// Training loss of that epoch.
    pub train_loss: f64,
    /// Validation loss of that epoch.
    pub validation_loss: f64,
    /// Number of training windows, including those for validation.
    pub windows: usize,
    /// The losses of all training windows with the final weights.
    pub losses: LossQuantiles,
}

/// Quantiles of a distribution of losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossQuantiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Maximum.
    pub max: f64,
}

impl Model {
    /// Returns the model's name: its architecture and [`Model::network_id`].
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// Whether both are clones of one loaded model. Two models that were read from the same files are not.
    pub fn is_same(&self, other: &Model) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the first 12 hex digits of a SHA-256 over everything that a reconstruction depends on. Two models with the same
    /// network id reconstruct every scaled window identically.
    pub fn network_id(&self) -> &str {
        self.0.id.rsplit('-').next().unwrap_or_default()
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Returns the baseline of the pump that it was trained on; `None` if it was trained on several pumps.
    pub fn baseline(&self) -> Option<&Arc<Baseline>> {
        self.0.baseline.as_ref()
    }

    /// Creates a model. The caller ensures that manifest and weights belong together.
    pub(crate) fn new(manifest: Manifest, weights: Weights, dynamics: Option<DynamicsNetwork>) -> Model {
        let baseline = manifest.baseline.clone().map(Arc::new);
        Model(Arc::new(ModelData { id: manifest.id.as_str().into(), baseline, manifest, weights, dynamics }))
    }

    /// Returns the same network with another baseline. The caller ensures that the baseline was learned with this network.
    pub(crate) fn with_baseline(&self, baseline: Baseline) -> Model {
        let manifest = Manifest { baseline: Some(baseline), ..self.manifest().clone() };
        Model::new(manifest, self.weights().clone(), self.dynamics().cloned())
    }

    /// Returns the network of residuals. Models that were trained on few windows, or by an earlier version, have none.
    pub fn dynamics(&self) -> Option<&DynamicsNetwork> {
        self.0.dynamics.as_ref()
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.0.weights
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.id())
    }
}

impl Manifest {
    /// Returns the id that follows from the manifest's content.
    pub(crate) fn expected_id(&self) -> String {
        let decisive = format!("{}\n{}\n{}\n", self.weights_sha256, self.profile_hash, self.window);
        format!("{ARCHITECTURE}-{}", &sha256(decisive.as_bytes())[..12])
    }
}

/// Returns the shape of a profile's networks: its number of channels, and the length of its windows.
pub(crate) fn shape(profile: &Profile, units: usize) -> Shape {
    Shape { channels: profile.channels().len(), len: WindowConfig::for_profile(profile).len, units }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn the_id_depends_on_everything_that_decides_a_reconstruction() {
        let manifest = model().manifest();
        assert_eq!(manifest.expected_id(), manifest.id);
        assert_eq!(model().network_id().len(), 12);
        let changes: [fn(&mut Manifest); 3] = [
            |m| m.weights_sha256 = sha256(b"other weights"),
            |m| m.profile_hash = sha256(b"another profile"),
            |m| m.window += 1,
        ];
        for change in changes {
            let mut other = manifest.clone();
            change(&mut other);
            assert_ne!(other.expected_id(), manifest.id);
        }
        let mut same = manifest.clone();
        same.provenance.sources.push("elsewhere".into());
        same.baseline = None;
        assert_eq!(same.expected_id(), manifest.id, "provenance and baseline are not part of the id");
    }
}
