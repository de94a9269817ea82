//! The detectors there are, and the numbers that the default one goes by.
//!
//! The numbers are the same for every pump and every recording. They were chosen by cross-validation over whole runs
//! of a real pump (`models/anomaly/BENCHMARKS.md` has the search and its spread). Deliberately absent: what a pump
//! learns for itself ([`crate::Baseline`]).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use volute_plant::Quantity;

/// A way to make detections of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The recipe: a window is anomalous while its reconstruction loss is above a quantile of the training windows'.
    LstmAutoencoder,
    /// The default: reconstruction errors, whitened per channel, and the channels' own levels, each against what the
    /// pump has shown while it was healthy; with an episode's memory of what has changed.
    #[default]
    Fused,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Detector; 2] = [Detector::LstmAutoencoder, Detector::Fused];

    /// Its name in configurations, manifests and detections.
    pub fn name(self) -> &'static str {
        match self {
            Detector::LstmAutoencoder => "lstm-autoencoder",
            Detector::Fused => "fused",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No detector has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no detector is named {0:?}; allowed: lstm-autoencoder, fused")]
pub struct UnknownDetector(String);

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Detector, UnknownDetector> {
        Detector::ALL.into_iter().find(|detector| detector.name() == name).ok_or_else(|| UnknownDetector(name.into()))
    }
}

/// The numbers of [`Detector::Fused`]. Times are in steps of the model's interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Time constant with which a channel's level is followed while the pump is normal: slow drift is no fault.
    pub follow_steps: f64,
    /// How far a level is followed away from where commissioning left it, in multiples of the furthest that it went
    /// there: drift without end is one.
    pub follow_reach: f64,
    /// The quantile of the commissioning windows' deviations that thresholds start from.
    pub quantile: f64,
    /// That quantile times this is the threshold for levels.
    pub level_margin: f64,
    /// The same for reconstruction errors.
    pub error_margin: f64,
    /// The same where the network has learned from the very windows of the commissioning, and so flatters them.
    pub error_margin_own: f64,
    /// Threshold over the deviation that only [`TAIL`] of the commissioning windows exceeded: what counts once a
    /// commissioning was long.
    pub tail_margin: f64,
    /// So many spreads below its usual liveliness, in logarithms, a channel is stuck.
    pub stuck_spreads: f64,
    /// Successive windows above the threshold that begin an episode.
    pub raise_after: usize,
    /// Successive windows back to normal that end it.
    pub clear_after: usize,
    /// Below this share of the threshold a window is back to normal.
    pub quiet: f64,
    /// So it is when of the episode's greatest change less than this share is left.
    pub returned: f64,
    /// After an episode that ended elsewhere than it began: the steps in which the new levels are learned.
    pub settle_steps: u32,
    /// What a channel's deviation counts for.
    pub weights: Weighting,
}

/// Commissioning windows that may lie above [`Tuning::tail_margin`]'s deviation: some dozen seconds in all.
pub(crate) const TAIL: usize = 50;

/// The most that one channel's deviation counts for, in its own spreads: beyond it a sensor is broken or a fault plain.
pub(crate) const FURTHEST_SPREADS: f64 = 50.0;

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            follow_steps: 400.0,
            follow_reach: 2.0,
            quantile: 0.95,
            level_margin: 2.0,
            error_margin: 2.0,
            error_margin_own: 20.0,
            tail_margin: 2.3,
            stuck_spreads: 10.0,
            raise_after: 1,
            clear_after: 2,
            quiet: 0.35,
            returned: 0.15,
            settle_steps: 45,
            weights: Weighting::default(),
        }
    }
}

/// Weights of the channels' deviations, by what they measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weighting {
    /// Of flow, what a pump is for: it tells first.
    pub flow: f64,
    /// Of the level of a temperature, which wanders with the weather and the load.
    pub thermal_level: f64,
    /// Of how badly a temperature is reconstructed.
    pub thermal_error: f64,
    /// Of everything else.
    pub other: f64,
}

impl Default for Weighting {
    fn default() -> Weighting {
        Weighting { flow: 1.0, thermal_level: 0.05, thermal_error: 0.25, other: 0.4 }
    }
}

impl Weighting {
    /// The weight of a channel's level.
    pub(crate) fn of_level(&self, quantity: Quantity) -> f64 {
        self.of(quantity, self.thermal_level)
    }

    /// The weight of a channel's reconstruction error.
    pub(crate) fn of_error(&self, quantity: Quantity) -> f64 {
        self.of(quantity, self.thermal_error)
    }

    fn of(&self, quantity: Quantity, thermal: f64) -> f64 {
        match quantity {
            Quantity::Flow => self.flow,
            Quantity::BearingTemperature
            | Quantity::CasingTemperature
            | Quantity::AmbientTemperature
            | Quantity::FluidTemperature => thermal,
            Quantity::RotationalSpeed
            | Quantity::OilPressure
            | Quantity::SuctionPressure
            | Quantity::DischargePressure
            | Quantity::Vibration
            | Quantity::Current
            | Quantity::Voltage => self.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_goes_by_its_name() {
        for detector in Detector::ALL {
            assert_eq!(detector.name().parse(), Ok(detector));
            assert_eq!(serde_json::to_value(detector).expect("JSON"), detector.name());
        }
        let error = "isolation-forest".parse::<Detector>().expect_err("unknown").to_string();
        assert!(Detector::ALL.iter().all(|detector| error.contains(detector.name())), "{error}");
    }
}
