//! A trained model and what there is to know about it.
//!
//! Deliberately absent: how it was trained (`train.rs`), its files (`files.rs`), its use ([`crate::Scorer`]).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_plant::{Profile, Timestamp, WindowRules};

use crate::{
    Recipe, Scaler,
    weights::{Shape, Weights},
};

/// The kind of detector that this crate trains.
pub const DETECTOR: &str = "lstm-autoencoder";

/// The version of a manifest's fields and of the weights' names and layout.
pub const FORMAT_VERSION: u32 = 1;

/// A trained model. Cheap to clone; nothing in it changes.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    id: Arc<str>,
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
    /// [`DETECTOR`].
    pub detector: String,
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
    /// What scales to 0 and 1, per channel.
    pub scaler: Scaler,
    /// The loss above which a window is anomalous.
    pub threshold: f64,
    /// The quantile of the training windows' losses that the threshold is.
    pub threshold_quantile: f64,
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
    /// The model's name: the detector and the first 12 hex digits of a SHA-256 over everything that decides
    /// a score or a detection. Two models of one name say the same of every window.
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// All that there is to know about it.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The loss above which a window is anomalous.
    pub fn threshold(&self) -> f64 {
        self.0.manifest.threshold
    }

    /// The caller has made sure that both belong together.
    pub(crate) fn new(manifest: Manifest, weights: Weights) -> Model {
        Model(Arc::new(Inner { id: manifest.id.as_str().into(), manifest, weights }))
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.0.weights
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({}, threshold {})", self.id(), self.threshold())
    }
}

impl Manifest {
    /// The id that a model with this manifest must have.
    pub(crate) fn expected_id(&self) -> String {
        let mut sha = Sha256::new();
        sha.update(format!("{}\n{}\n{}\n", self.weights_sha256, self.profile_hash, self.window));
        for span in self.scaler.spans() {
            sha.update(span.min.to_le_bytes());
            sha.update(span.max.to_le_bytes());
        }
        sha.update(self.threshold.to_le_bytes());
        format!("{DETECTOR}-{}", &hex(&sha.finalize())[..12])
    }
}

/// The shape of a profile's networks: its channels, and the windows that its windower makes.
pub(crate) fn shape(profile: &Profile, units: usize) -> Shape {
    Shape { channels: profile.channels().len(), len: WindowRules::for_profile(profile).len, units }
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn the_id_follows_all_that_decides_a_detection() {
        let manifest = model().manifest();
        assert_eq!(manifest.expected_id(), manifest.id);
        assert_eq!(manifest.id.len(), DETECTOR.len() + 1 + 12);
        let changes: [fn(&mut Manifest); 4] = [
            |m| m.threshold = m.threshold.next_up(),
            |m| m.weights_sha256 = sha256(b"other weights"),
            |m| m.profile_hash = sha256(b"another profile"),
            |m| {
                let mut spans: Vec<_> = m.scaler.clone().into();
                spans[1].max = spans[1].max.next_up();
                m.scaler = spans.try_into().expect("a scaler");
            },
        ];
        for change in changes {
            let mut other = manifest.clone();
            change(&mut other);
            assert_ne!(other.expected_id(), manifest.id);
        }
        let mut same = manifest.clone();
        same.provenance.sources.push("elsewhere".into());
        assert_eq!(same.expected_id(), manifest.id, "where it came from decides nothing");
    }
}
