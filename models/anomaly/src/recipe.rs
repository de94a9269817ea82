//! The settings of training and of commissioning. Does not read the configuration file.

use serde::{Deserialize, Serialize};

use crate::{Detector, Tuning};

/// The most hidden units of a model.
pub(crate) const MAX_UNITS: usize = 4096;

/// Training settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Hidden units of the encoder and of the decoder.
    pub units: usize,
    /// The most passes over the windows.
    pub epochs: usize,
    /// Windows per training step.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Epochs without a better validation loss after which training stops.
    pub patience: usize,
    /// The share of the windows, the newest, that is kept for validation.
    pub validation_share: f64,
    /// The quantile of the training windows' losses that is the threshold of [`Detector::LstmAutoencoder`].
    pub threshold_quantile: f64,
    /// The detector, if the model is for one pump.
    pub detector: Detector,
    /// Parameters of [`Detector::Fused`].
    pub tuning: Tuning,
    /// Seed for the initial weights and the order of the windows.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            units: 64,
            epochs: 60,
            batch: 64,
            learning_rate: 1e-3,
            patience: 8,
            validation_share: 0.1,
            threshold_quantile: 0.99,
            detector: Detector::default(),
            tuning: Tuning::default(),
            seed: 1,
        }
    }
}

/// Commissioning settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Commissioning {
    /// The pump's detector.
    pub detector: Detector,
    /// Parameters of [`Detector::Fused`].
    pub tuning: Tuning,
    /// The quantile of the windows' losses that is the threshold of [`Detector::LstmAutoencoder`].
    pub threshold_quantile: f64,
    /// Whether the network was trained on these same windows.
    pub own_network: bool,
}

impl Default for Commissioning {
    fn default() -> Commissioning {
        Commissioning {
            detector: Detector::default(),
            tuning: Tuning::default(),
            threshold_quantile: 0.99,
            own_network: false,
        }
    }
}

/// A key of the recipe has an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}; allowed: {allowed}")]
pub struct RecipeError {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The allowed values.
    pub allowed: String,
}

impl Recipe {
    /// Returns the commissioning settings for a pump whose network was trained by this recipe.
    pub fn commissioning(&self) -> Commissioning {
        let Recipe { threshold_quantile, detector, tuning, .. } = *self;
        Commissioning { detector, tuning, threshold_quantile, own_network: false }
    }

    /// Refuses invalid values.
    pub fn check(&self) -> Result<(), RecipeError> {
        let count = |value: usize| (value >= 1, value.to_string(), "at least 1".to_owned());
        let rate_is_valid = self.learning_rate > 0.0 && self.learning_rate.is_finite();
        let share_is_valid = (0.0..=0.5).contains(&self.validation_share);
        let quantile_is_valid = self.threshold_quantile > 0.0 && self.threshold_quantile <= 1.0;
        let units_are_valid = (1..=MAX_UNITS).contains(&self.units);
        for (key, (is_valid, value, allowed)) in [
            ("units", (units_are_valid, self.units.to_string(), format!("1 to {MAX_UNITS}"))),
            ("epochs", count(self.epochs)),
            ("batch", count(self.batch)),
            ("learning_rate", (rate_is_valid, self.learning_rate.to_string(), "a finite number above 0".into())),
            ("patience", count(self.patience)),
            ("validation_share", (share_is_valid, self.validation_share.to_string(), "0 to 0.5".into())),
            ("threshold_quantile", (quantile_is_valid, self.threshold_quantile.to_string(), "above 0, to 1".into())),
        ] {
            if !is_valid {
                return Err(RecipeError { key, value, allowed });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_values_are_refused_by_key() {
        let good = Recipe::default;
        assert_eq!(good().check(), Ok(()));
        for (key, recipe) in [
            ("units", Recipe { units: 0, ..good() }),
            ("units", Recipe { units: usize::MAX, ..good() }),
            ("epochs", Recipe { epochs: 0, ..good() }),
            ("batch", Recipe { batch: 0, ..good() }),
            ("learning_rate", Recipe { learning_rate: f64::NAN, ..good() }),
            ("patience", Recipe { patience: 0, ..good() }),
            ("validation_share", Recipe { validation_share: 0.6, ..good() }),
            ("threshold_quantile", Recipe { threshold_quantile: 0.0, ..good() }),
            ("threshold_quantile", Recipe { threshold_quantile: 1.1, ..good() }),
        ] {
            assert_eq!(recipe.check().expect_err(key).key, key);
        }
    }

    #[test]
    fn absent_keys_have_defaults_and_unknown_ones_are_refused() {
        assert_eq!(serde_json::from_str::<Recipe>("{}").expect("defaults"), Recipe::default());
        assert!(serde_json::from_str::<Recipe>(r#"{"sead": 1}"#).is_err());
    }
}
