//! The built-in model, for the profile `centrifugal`.
//!
//! The model is trained on simulated pumps (`scripts/pretrain`). Its manifest describes the training data and has the
//! model's metrics. It is not used for real pumps by default, because a pump of another make would be anomalous from
//! its first window.

use std::path::Path;

use volute_anomaly::{Model, ModelError};
use volute_plant::Profile;

const FOLDER: &str = "models/pretrained/centrifugal";
const MANIFEST: &[u8] = include_bytes!("../models/pretrained/centrifugal/manifest.json");
const WEIGHTS: &[u8] = include_bytes!("../models/pretrained/centrifugal/model.safetensors");

/// Loads the model. Returns an error if it was not trained for `profile`.
pub fn load(profile: &Profile) -> Result<Model, ModelError> {
    Model::from_bytes(Path::new(FOLDER), MANIFEST, WEIGHTS, profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;

    #[test]
    fn it_is_for_the_default_profile_and_has_its_provenance() {
        let model = load(&profiles::load("centrifugal").expect("built in")).expect("whole and for this profile");
        let manifest = model.manifest();
        assert!(manifest.provenance.rows > 10_000 && !manifest.provenance.sources.is_empty());
        assert!(manifest.metrics.losses.p50 < manifest.metrics.losses.p99);
        assert!(load(&profiles::load("skab").expect("built in")).is_err());
    }
}
