//! The detectors, and the parameters of [`Detector::Fused`].
//!
//! The parameters are the same for every pump and every recording. They were chosen by cross-validation over whole runs
//! of a real pump (see `models/anomaly/BENCHMARKS.md` for the search and its spread). What is learned per pump is in
//! [`crate::Baseline`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use volute_plant::Quantity;

/// An algorithm that decides from readings and scores whether a pump is normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The simplest: a window is anomalous if its reconstruction loss is above a quantile (99 % by default) of the losses of the
    /// commissioning windows.
    LstmAutoencoder,
    /// Compares each channel's reconstruction error and level with those of the pump while it was healthy. An episode remembers
    /// what has changed. Does not know the operating point.
    Fused,
    /// The default: tests each channel given the operating point and the other channels, at every step, whether or not the step
    /// has a whole window.
    #[default]
    Conditional,
}

impl Detector {
    /// All detectors.
    pub const ALL: [Detector; 3] = [Detector::LstmAutoencoder, Detector::Fused, Detector::Conditional];

    /// Returns its name in configurations, manifests and detections.
    pub fn name(self) -> &'static str {
        match self {
            Detector::LstmAutoencoder => "lstm-autoencoder",
            Detector::Fused => "fused",
            Detector::Conditional => "conditional",
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
#[error("no detector is named {0:?}; allowed: lstm-autoencoder, fused, conditional")]
pub struct UnknownDetector(String);

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Detector, UnknownDetector> {
        Detector::ALL.into_iter().find(|detector| detector.name() == name).ok_or_else(|| UnknownDetector(name.into()))
    }
}

/// Parameters of [`Detector::Fused`]. Times are in steps of the model's interval. Deviations are in *spreads*: how far a number
/// usually lies from normal.
///
/// The stored names of the fields never change, and neither does the `Debug` form, which a baseline's id depends on. So do not
/// rename [`Weighting`] or its fields, and see `impl Debug` before you rename a field here.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Time constant with which a channel's level is tracked while the pump is normal, so that slow drift is not an anomaly.
    #[serde(rename = "follow_steps")]
    pub tracking_steps: f64,
    /// How far a tracked level may move away from its level at commissioning, in multiples of its furthest drift in commissioning.
    /// Drift beyond that is an anomaly.
    #[serde(rename = "follow_reach")]
    pub max_drift_factor: f64,
    /// The quantile of the commissioning windows' deviations from which the thresholds are computed.
    pub quantile: f64,
    /// The threshold for levels is that quantile times this.
    pub level_margin: f64,
    /// The threshold for reconstruction errors is that quantile times this.
    pub error_margin: f64,
    /// Replaces `error_margin` if the network was trained on the commissioning windows, and so reconstructs them too well.
    pub error_margin_own: f64,
    /// A threshold is at least this times the deviation that only [`TAIL_WINDOWS`] of the commissioning windows exceed. It
    /// takes effect after a long commissioning.
    pub tail_margin: f64,
    /// A channel is stuck if the logarithm of its mean absolute change per step is this many spreads below the usual one.
    pub stuck_spreads: f64,
    /// Number of successive windows above the threshold that start an episode.
    pub raise_after: usize,
    /// Number of successive windows back to normal that end an episode.
    pub clear_after: usize,
    /// A window is back to normal if its anomaly score is below this.
    pub quiet: f64,
    /// A window is also back to normal if less than this share of the episode's greatest change is left.
    pub returned: f64,
    /// Number of steps for which levels are relearned after an episode that ended at other levels than it started from.
    #[serde(rename = "settle_steps")]
    pub relearn_steps: u32,
    /// Weights of the channels' deviations.
    pub weights: Weighting,
}

/// Number of commissioning windows that may exceed the deviation of [`Tuning::tail_margin`].
pub(crate) const TAIL_WINDOWS: usize = 50;

/// The largest deviation of one channel that counts, in its own spreads. Beyond it a sensor is broken or the fault is
/// obvious.
pub(crate) const MAX_DEVIATION: f64 = 50.0;

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            tracking_steps: 400.0,
            max_drift_factor: 2.0,
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
            relearn_steps: 45,
            weights: Weighting::default(),
        }
    }
}

/// In the form of the stored names. A change of it changes the ids of stored baselines.
impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuning")
            .field("follow_steps", &self.tracking_steps)
            .field("follow_reach", &self.max_drift_factor)
            .field("quantile", &self.quantile)
            .field("level_margin", &self.level_margin)
            .field("error_margin", &self.error_margin)
            .field("error_margin_own", &self.error_margin_own)
            .field("tail_margin", &self.tail_margin)
            .field("stuck_spreads", &self.stuck_spreads)
            .field("raise_after", &self.raise_after)
            .field("clear_after", &self.clear_after)
            .field("quiet", &self.quiet)
            .field("returned", &self.returned)
            .field("settle_steps", &self.relearn_steps)
            .field("weights", &self.weights)
            .finish()
    }
}

/// Weights of the channels' deviations, by quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weighting {
    /// Flow. It is the purpose of a pump and shows most faults first.
    pub flow: f64,
    /// The level of a temperature, which varies with the weather and the load.
    pub thermal_level: f64,
    /// The reconstruction error of a temperature.
    pub thermal_error: f64,
    /// All other quantities.
    pub other: f64,
}

impl Default for Weighting {
    fn default() -> Weighting {
        Weighting { flow: 1.0, thermal_level: 0.05, thermal_error: 0.25, other: 0.4 }
    }
}

impl Weighting {
    /// Returns the weight of a channel's level.
    pub(crate) fn of_level(&self, quantity: Quantity) -> f64 {
        self.of(quantity, self.thermal_level)
    }

    /// Returns the weight of a channel's reconstruction error.
    pub(crate) fn of_error(&self, quantity: Quantity) -> f64 {
        self.of(quantity, self.thermal_error)
    }

    fn of(&self, quantity: Quantity, thermal: f64) -> f64 {
        match quantity {
            Quantity::Flow => self.flow,
            Quantity::Temperature
            | Quantity::BearingTemperature
            | Quantity::CasingTemperature
            | Quantity::AmbientTemperature
            | Quantity::FluidTemperature
            | Quantity::OilTemperature => thermal,
            Quantity::RotationalSpeed
            | Quantity::OilPressure
            | Quantity::SuctionPressure
            | Quantity::DischargePressure
            | Quantity::Vibration
            | Quantity::Current
            | Quantity::Voltage
            | Quantity::Power
            | Quantity::Torque
            | Quantity::Level
            | Quantity::ValvePosition => self.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of stored baselines depend on the `Debug` form, and stored baselines and models have the names of the JSON form.
    #[test]
    fn the_stored_names_stay_as_they_are() {
        let weights = "Weighting { flow: 1.0, thermal_level: 0.05, thermal_error: 0.25, other: 0.4 }";
        let debug = format!(
            "Tuning {{ follow_steps: 400.0, follow_reach: 2.0, quantile: 0.95, level_margin: 2.0, error_margin: 2.0, \
             error_margin_own: 20.0, tail_margin: 2.3, stuck_spreads: 10.0, raise_after: 1, clear_after: 2, quiet: 0.35, \
             returned: 0.15, settle_steps: 45, weights: {weights} }}"
        );
        assert_eq!(format!("{:?}", Tuning::default()), debug);
        let json = serde_json::json!({
            "follow_steps": 400.0, "follow_reach": 2.0, "quantile": 0.95, "level_margin": 2.0, "error_margin": 2.0,
            "error_margin_own": 20.0, "tail_margin": 2.3, "stuck_spreads": 10.0, "raise_after": 1, "clear_after": 2,
            "quiet": 0.35, "returned": 0.15, "settle_steps": 45,
            "weights": {"flow": 1.0, "thermal_level": 0.05, "thermal_error": 0.25, "other": 0.4},
        });
        assert_eq!(serde_json::to_value(Tuning::default()).expect("JSON"), json);
        let tuned = Tuning { tracking_steps: 1.0, max_drift_factor: 3.0, relearn_steps: 7, ..Tuning::default() };
        let stored = serde_json::to_string(&tuned).expect("JSON");
        assert_eq!(serde_json::from_str::<Tuning>(&stored).expect("read"), tuned);
    }

    #[test]
    fn a_detector_has_one_name() {
        for detector in Detector::ALL {
            assert_eq!(detector.name().parse(), Ok(detector));
            assert_eq!(serde_json::to_value(detector).expect("JSON"), detector.name());
        }
        let error = "isolation-forest".parse::<Detector>().expect_err("unknown").to_string();
        assert!(Detector::ALL.iter().all(|detector| error.contains(detector.name())), "{error}");
    }
}
