//! A trained model and what there is to know about it.
//!
//! Deliberately absent: how it was trained (`train.rs`), its files (`files.rs`), its use ([`crate::Scorer`]).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{Profile, Timestamp, WindowRules};

use crate::{
    Baseline, Recipe,
    hex::sha256,
    weights::{Shape, Weights},
};

/// The kind of network that this crate trains.
pub const ARCHITECTURE: &str = "lstm-autoencoder";

/// The version of a manifest's fields and of the weights' names and layout.
pub const FORMAT_VERSION: u32 = 2;

/// How the numbers of [`crate::Tuning`] were chosen; it goes into every manifest.
pub(crate) const TUNING_CHOSEN: &str =
    "leave-runs-out cross-validation over 18 SKAB runs: volute evaluate --cross-validate";

/// A trained model. Cheap to clone; nothing in it changes.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    id: Arc<str>,
    baseline: Option<Arc<Baseline>>,
    manifest: Manifest,
    weights: Weights,
}

/// All that there is to know about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] when it was written.
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
    /// Time between two readings of a window, in milliseconds.
    pub interval_ms: i64,
    /// Readings in a window.
    pub window: usize,
    /// Hidden units of the encoder and of the decoder.
    pub units: usize,
    /// What is normal for the pump that it was trained on; none where it was trained on several, each of which is
    /// commissioned for itself.
    pub baseline: Option<Baseline>,
    /// How the numbers of the default detector were chosen.
    pub tuning_chosen: String,
    /// SHA-256 of the weights file, in hex.
    pub weights_sha256: String,
    /// How it was trained.
    pub recipe: Recipe,
    /// What it was trained on.
    pub provenance: Provenance,
    /// How training went.
    pub metrics: Metrics,
}

/// What a model was trained on, as far as the caller knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// SHA-256 of the training data, in hex.
    pub data_hash: String,
    /// Readings in the training data.
    pub rows: usize,
    /// Where the data came from: files, pumps, a simulation's name.
    pub sources: Vec<String>,
    /// When it was trained.
    pub trained_at: Timestamp,
}

/// How training went. Losses are mean absolute errors over scaled windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Epochs that were run.
    pub epochs: usize,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Its training loss.
    pub train_loss: f64,
    /// Its validation loss.
    pub validation_loss: f64,
    /// Training windows, those for validation included.
    pub windows: usize,
    /// The losses of all training windows under the kept weights.
    pub losses: LossQuantiles,
}

/// A distribution of losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossQuantiles {
    /// The median.
    pub p50: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The worst.
    pub max: f64,
}

impl Model {
    /// The model's name: its architecture and [`Model::network_id`].
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// Whether this is the same model, and not only one that was read from the same files.
    pub fn is_same(&self, other: &Model) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The first 12 hex digits of a SHA-256 over everything that decides a reconstruction. Two models of one id
    /// reconstruct every scaled window alike.
    pub fn network_id(&self) -> &str {
        self.0.id.rsplit('-').next().unwrap_or_default()
    }

    /// All that there is to know about it.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// What is normal for the one pump that it was trained on, if it was one.
    pub fn baseline(&self) -> Option<&Arc<Baseline>> {
        self.0.baseline.as_ref()
    }

    /// The caller has made sure that both belong together.
    pub(crate) fn new(manifest: Manifest, weights: Weights) -> Model {
        let baseline = manifest.baseline.clone().map(Arc::new);
        Model(Arc::new(Inner { id: manifest.id.as_str().into(), baseline, manifest, weights }))
    }

    /// The same network with another baseline. The caller has made sure that it was learned with it.
    pub(crate) fn with_baseline(&self, baseline: Baseline) -> Model {
        let manifest = Manifest { baseline: Some(baseline), ..self.manifest().clone() };
        Model::new(manifest, self.weights().clone())
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
    /// The id that a model with this manifest must have.
    pub(crate) fn expected_id(&self) -> String {
        let decisive = format!("{}\n{}\n{}\n", self.weights_sha256, self.profile_hash, self.window);
        format!("{ARCHITECTURE}-{}", &sha256(decisive.as_bytes())[..12])
    }
}

/// The shape of a profile's networks: its channels, and the windows that its windower makes.
pub(crate) fn shape(profile: &Profile, units: usize) -> Shape {
    Shape { channels: profile.channels().len(), len: WindowRules::for_profile(profile).len, units }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn the_id_follows_all_that_decides_a_reconstruction() {
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
        assert_eq!(same.expected_id(), manifest.id, "where it came from decides nothing");
    }
}
