//! The baseline of one pump: what is normal for it. It has the pump's scaler, the levels and spreads of its channels (a *spread*
//! is how far values usually lie from their level), and the thresholds for their deviations.
//!
//! Does not learn it (`commissioning.rs`). Does not decide on windows ([`crate::Decider`]).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_plant::{Profile, Timestamp, cadence::format_interval};

use crate::{
    ChannelScore, ConditionalBaseline, Detector, DynamicsBaseline, Scaler, Tuning, deviation::deviation, hex::hex,
    tuning::MAX_DEVIATION,
};

/// What is normal for one pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The first 12 hex digits of a SHA-256 over everything that decides a detection.
    pub id: String,
    /// The id of the network that computed the losses it was learned from; see [`crate::Model::network_id`].
    pub network: String,
    /// The interval of the windows that it was learned from, in milliseconds; it is valid for windows of that interval only.
    /// `None` in old baselines, which are valid for the network's interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The pump's detector.
    pub detector: Detector,
    /// Parameters of the detector.
    pub tuning: Tuning,
    /// The scaling of each channel to 0 to 1.
    pub scaler: Scaler,
    /// The loss above which a window is anomalous for [`Detector::LstmAutoencoder`].
    pub loss_threshold: f64,
    /// One per channel, in the profile's order.
    pub channels: Vec<ChannelBaseline>,
    /// The thresholds of [`Detector::Fused`].
    pub thresholds: Thresholds,
    /// What is normal given the operating point. Only [`Detector::Conditional`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional: Option<ConditionalBaseline>,
    /// How much the pump's residuals usually move within a window, and how well a network reconstructs them. None without a
    /// network of residuals, and after a short commissioning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamics: Option<DynamicsBaseline>,
    /// What it was learned from.
    pub learned: LearnedFrom,
}

/// What is normal for one channel, in the pump's own scale.
///
/// The short level is the mean of a window's last 5 steps, the long level that of its last 15 ([`ChannelScore`]).
///
/// Field names are stored, and a baseline's id is computed from the `Debug` form of this struct, of [`Thresholds`],
/// [`Tuning`] and [`Scaler`]: renaming anything in them invalidates every stored baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelBaseline {
    /// The median of its short levels.
    pub level: f64,
    /// The furthest that its tracked level moved away from `level`.
    pub reach: f64,
    /// Root mean square distance of the short level from the tracked level.
    pub short_spread: f64,
    /// Root mean square distance of the long level from the tracked level.
    pub long_spread: f64,
    /// The median of its reconstruction errors.
    pub error: f64,
    /// Root mean square of the errors' distance above that median; errors below it count as 0.
    pub error_spread: f64,
    /// The channel is stuck if its mean change from step to step ([`ChannelScore::mean_change`]) is below this. 0 if it never counts
    /// as stuck, because it sometimes does not change for a while when healthy.
    pub stuck_below: f64,
    /// The weight of its level's deviation in the norm over all channels, see [`Thresholds`].
    pub level_weight: f64,
    /// The weight of its error's deviation in that norm.
    pub error_weight: f64,
}

/// Thresholds for the Euclidean norm, over all channels, of deviation times weight. A deviation is a distance from normal in spreads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Of the short levels.
    pub short: f64,
    /// Of the long levels.
    pub long: f64,
    /// Of the reconstruction errors.
    pub error: f64,
}

/// What a baseline was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedFrom {
    /// The time of the last reading of its first window.
    pub from: Timestamp,
    /// The time of the last reading of its last window.
    pub to: Timestamp,
    /// Number of windows.
    pub windows: usize,
    /// Number of windows that the network scored.
    pub scored: usize,
    /// Whether the network was trained on the same windows.
    pub own_network: bool,
}

/// The baseline cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a baseline {found}; expected: {expected}")]
pub struct BaselineError {
    /// What it is.
    pub found: String,
    /// What it should be.
    pub expected: String,
}

impl Baseline {
    /// Refuses a baseline that is not for this network and profile, or whose id does not match its content.
    pub fn check(&self, model_id: &str, profile: &Profile) -> Result<(), BaselineError> {
        let refuse = |found: String, expected: String| Err(BaselineError { found, expected });
        let channels = profile.channels().len();
        if !model_id.ends_with(&self.network) {
            return refuse(format!("for the network {}", self.network), model_id.to_owned());
        }
        if self.channels.len() != channels || self.scaler.spans().len() != channels {
            let found = format!("{} channels, {} spans", self.channels.len(), self.scaler.spans().len());
            return refuse(found, format!("{channels} of each"));
        }
        if self.id != self.expected_id() {
            return refuse(self.id.clone(), self.expected_id());
        }
        if let Some(dynamics) = &self.dynamics
            && let Err(error) = dynamics.check(dynamics.network(), channels)
        {
            return refuse(format!("whose dynamics are {error}"), "valid ones".to_owned());
        }
        match (self.detector, &self.conditional) {
            (Detector::Conditional, None) => refuse("without its conditional part".to_owned(), "with it".to_owned()),
            (_, Some(conditional)) => conditional
                .check(profile)
                .or_else(|error| refuse(format!("whose conditional part is {error}"), "a valid one".to_owned())),
            (_, None) => Ok(()),
        }
    }

    /// Refuses a baseline that was learned from windows of another interval. `network_interval_ms` is the network's interval.
    pub fn check_interval(&self, interval_ms: i64, network_interval_ms: i64) -> Result<(), BaselineError> {
        let found = self.interval_ms.unwrap_or(network_interval_ms);
        if found == interval_ms {
            return Ok(());
        }
        let describe = |ms: i64| format!("for readings every {}", format_interval(ms));
        Err(BaselineError { found: describe(found), expected: describe(interval_ms) })
    }

    /// Returns what the detections by this baseline name as their model: the detector, the network and the baseline.
    pub fn model_name(&self) -> Arc<str> {
        format!("{}-{}-{}", self.detector, self.network, self.id).into()
    }

    /// Returns the id that follows from the baseline's content.
    pub fn expected_id(&self) -> String {
        let mut sha = Sha256::new();
        let Baseline {
            id: _,
            network,
            interval_ms,
            detector,
            tuning,
            scaler,
            loss_threshold,
            channels,
            thresholds,
            conditional,
            dynamics,
            learned: _,
        } = self;
        if let Some(interval_ms) = interval_ms {
            sha.update(format!("{interval_ms} "));
        }
        // `Debug` prints every number exactly. The id depends on the names that it prints.
        sha.update(format!(
            "{network} {detector} {tuning:?} {loss_threshold:?} {channels:?} {thresholds:?} {scaler:?}"
        ));
        if let Some(conditional) = conditional {
            sha.update(format!(" {}", conditional.id()));
        }
        if let Some(dynamics) = dynamics {
            sha.update(format!(" {}", dynamics.id()));
        }
        hex(&sha.finalize())[..12].to_owned()
    }
}

impl ChannelBaseline {
    /// Returns how far an error is above normal, in spreads; 0 if it is below.
    pub(crate) fn error_deviation(&self, score: &ChannelScore) -> f64 {
        deviation((score.error - self.error).max(0.0), self.error_spread)
    }

    /// Returns how stuck the channel is: above 1 if it changes less than `stuck_below`, near 0 if it changes as much as usual.
    pub(crate) fn stuck_score(&self, score: &ChannelScore) -> f64 {
        if self.stuck_below == 0.0 { 0.0 } else { (self.stuck_below / score.mean_change).powi(2).min(MAX_DEVIATION) }
    }
}
