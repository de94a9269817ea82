//! What is normal for one pump: its scaler, where its channels stood and how far they strayed, and the thresholds that
//! follow.
//!
//! Does not learn it (`commissioning.rs`), and does not say what a deviation means ([`crate::Decider`]).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_plant::{Timestamp, cadence::in_words};

use crate::{ChannelScore, Detector, Scaler, Tuning, deviation::deviation, hex::hex, tuning::FURTHEST_SPREADS};

/// What is normal for one pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Its name: the first 12 hex digits of a SHA-256 over everything below that decides a detection.
    pub id: String,
    /// The network whose losses it speaks of; see [`crate::Model::network_id`].
    pub network: String,
    /// The time between two readings of the windows that it was learned from, in milliseconds: it is for windows of that
    /// interval and no other. None in baselines of before it was stored, which are of the network's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// How detections are made.
    pub detector: Detector,
    /// The numbers that the detector goes by.
    pub tuning: Tuning,
    /// What scales to 0 and 1, per channel.
    pub scaler: Scaler,
    /// The loss above which a window is anomalous to [`Detector::LstmAutoencoder`].
    pub loss_threshold: f64,
    /// One per channel, in the profile's order.
    pub channels: Vec<ChannelBaseline>,
    /// The lengths of the weighted deviations that are the threshold of [`Detector::Fused`].
    pub thresholds: Thresholds,
    /// What it was learned from.
    pub learned: Learned,
}

/// What is normal for one channel, in the pump's own scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelBaseline {
    /// The median of its short levels.
    pub level: f64,
    /// How far from it its level was followed at most.
    pub reach: f64,
    /// Root mean square of the short level's distance from the level that was followed.
    pub short_spread: f64,
    /// The same of the long level.
    pub long_spread: f64,
    /// The median of its reconstruction errors.
    pub error: f64,
    /// Root mean square of what errors were above it.
    pub error_spread: f64,
    /// Below this liveliness it is stuck; 0 where it is now and then still by itself.
    pub stuck_below: f64,
    /// What its level counts for.
    pub level_weight: f64,
    /// What its error counts for.
    pub error_weight: f64,
}

/// Lengths of weighted deviations, in spreads.
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
pub struct Learned {
    /// The last reading of its first window.
    pub from: Timestamp,
    /// The last reading of its last window.
    pub to: Timestamp,
    /// Windows, every one.
    pub windows: usize,
    /// Those that went through the network.
    pub scored: usize,
    /// Whether the network had learned from the same windows.
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
    /// Refuses a baseline that is not for this network and so many channels, or whose numbers are not its id's.
    pub fn check(&self, model_id: &str, channels: usize) -> Result<(), BaselineError> {
        let refuse = |found: String, expected: String| Err(BaselineError { found, expected });
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
        Ok(())
    }

    /// Refuses a baseline that was learned from windows of another interval. `of_network_ms` is the network's own.
    pub fn check_interval(&self, interval_ms: i64, of_network_ms: i64) -> Result<(), BaselineError> {
        let found = self.interval_ms.unwrap_or(of_network_ms);
        if found == interval_ms {
            return Ok(());
        }
        let of = |ms: i64| format!("for readings every {}", in_words(ms));
        Err(BaselineError { found: of(found), expected: of(interval_ms) })
    }

    /// What a detection by it names as its model: the detector, the network and the baseline.
    pub fn model_name(&self) -> Arc<str> {
        format!("{}-{}-{}", self.detector, self.network, self.id).into()
    }

    /// The id that a baseline with these numbers must have.
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
            learned: _,
        } = self;
        if let Some(interval_ms) = interval_ms {
            sha.update(format!("{interval_ms} "));
        }
        // Debug prints every number so that it can be read back exactly.
        sha.update(format!(
            "{network} {detector} {tuning:?} {loss_threshold:?} {channels:?} {thresholds:?} {scaler:?}"
        ));
        hex(&sha.finalize())[..12].to_owned()
    }
}

impl ChannelBaseline {
    /// How far an error lies above what is normal, in spreads; nothing where it lies below.
    pub(crate) fn above(&self, score: &ChannelScore) -> f64 {
        deviation((score.error - self.error).max(0.0), self.error_spread)
    }

    /// How stuck the channel is: above 1 where it is stiller than it ever may be, and little where it is as ever.
    pub(crate) fn stuck(&self, score: &ChannelScore) -> f64 {
        if self.stuck_below == 0.0 { 0.0 } else { (self.stuck_below / score.liveliness).powi(2).min(FURTHEST_SPREADS) }
    }
}
