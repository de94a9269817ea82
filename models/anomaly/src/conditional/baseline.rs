//! The conditional baseline of one pump: how each channel is predicted from the operating point, and how far it may be off.
//!
//! A prediction is a weighted sum of *terms*, functions of the *inputs* (speed, ambient temperature, flow). An *output* is a
//! channel that is predicted. Its *residual* is the value less the prediction. A *scale* is a time over which residuals are
//! averaged. *z* is an average's distance from what the other outputs' averages predict for it, in standard deviations.
//!
//! Does not learn the baseline (`fit.rs`). Does not test readings (`detector.rs`).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_plant::{Profile, Timestamp};

use super::{
    averages::Scales,
    channels::{Channels, OperatingPoint},
    factor::Factors,
    features::OperatingRange,
    packed,
    symmetric::Symmetric,
    terms::{Term, TermCount},
};
use crate::hex::hex;

/// The version of the stored forms, of a baseline and of a state. Other versions are refused.
pub const CONDITIONAL_VERSION: u32 = 3;

/// What is normal for one pump, given its operating point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionalBaseline {
    pub(super) version: u32,
    /// The first 12 hex digits of a SHA-256 over the other fields, except `learned`.
    pub(super) id: String,
    pub(super) channels: Channels,
    /// The speeds, loads and ambient temperatures of commissioning.
    pub(super) range: OperatingRange,
    pub(super) terms: Vec<Term>,
    /// The variance of each term in commissioning.
    #[serde(with = "packed::f64s")]
    pub(super) term_variances: Vec<f64>,
    /// One per output.
    pub(super) outputs: Vec<OutputBaseline>,
    /// The covariances of the outputs' weights: how uncertain the weights are.
    pub(super) factors: Factors,
    pub(super) scales: Scales,
    /// One per scale.
    pub(super) by_scale: Vec<ScaleBaseline>,
    /// How much one reading counts in the fit, as a share of an independent one: 1/60 at one reading per second, because the
    /// readings of a minute repeat each other.
    pub(super) information: f64,
    pub(super) learned: ConditionalLearnedFrom,
    /// The baseline that is used while the speed is missing: with the current as the operating point, or with none for a pump
    /// without current. `None` if the pump has no speed, or if this baseline is itself the one without speed.
    pub(super) without_speed: Option<Box<ConditionalBaseline>>,
}

/// What a conditional baseline was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionalLearnedFrom {
    /// The time of its first reading.
    pub from: Timestamp,
    /// The time of its last reading.
    pub to: Timestamp,
    /// The number of readings of a running pump.
    pub readings: usize,
    /// How long the pump ran, in seconds.
    pub running_s: f64,
}

/// What is normal for one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputBaseline {
    /// The weight of each term that the output depends on (the first ones), in the channel's unit.
    #[serde(with = "packed::f64s")]
    pub weights: Vec<f64>,
    /// For how many seconds residuals repeat each other: in this time there is one independent residual.
    pub persistence_s: f64,
    /// The standard deviation of the residuals of single readings, in the channel's unit.
    pub spread: f64,
    /// The mean of the output's absolute values, in the channel's unit.
    pub magnitude: f64,
    /// The variance of the noise: half the mean squared change of the residual from one reading to the next.
    pub noise: f64,
    /// For a temperature: the variance of slow changes that a short commissioning has not shown. 0 for other outputs.
    pub unknown: f64,
}

/// What is normal at one scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleBaseline {
    /// The covariance of the averages of the outputs' residuals.
    pub covariance: Symmetric,
    /// For each output: how much its variance grows with the square of the speed's change
    /// ([`super::features::InputFilter::squared_change`]).
    #[serde(with = "packed::f64s")]
    pub ramp_factors: Vec<f64>,
    /// For each output: the absolute z above which it is anomalous.
    #[serde(with = "packed::f64s")]
    pub thresholds: Vec<f64>,
}

/// A stored baseline or state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionalMemoryError {
    /// It was written by another version of the program.
    #[error("of version {found}; expected: {CONDITIONAL_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is of another baseline, or the baseline was changed.
    #[error("of the conditional baseline {found}; expected: {expected}")]
    Baseline {
        /// The id that it has.
        found: String,
        /// The id that it should have.
        expected: String,
    },
    /// It does not fit the profile or the baseline, or its parts do not fit together.
    #[error("{0}")]
    Shape(&'static str),
}

impl ConditionalBaseline {
    /// Returns its id, which follows from its content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns what it was learned from.
    pub fn learned(&self) -> &ConditionalLearnedFrom {
        &self.learned
    }

    /// Returns the usual time between two readings, in milliseconds. The baseline is valid for readings of that interval only.
    pub fn interval_ms(&self) -> i64 {
        (self.scales.interval_s * 1e3).round() as i64
    }

    /// Whether the channel with this index in the profile is tested.
    pub fn is_output(&self, channel: usize) -> bool {
        self.channels.outputs.iter().any(|output| output.channel == channel)
    }

    /// Whether the channel with this index in the profile is the speed of a pump that runs at several speeds. An inverter holds
    /// such a speed exactly, so a constant value is no sign of a frozen sensor.
    pub(crate) fn is_set_speed(&self, channel: usize) -> bool {
        self.channels.operating_point == OperatingPoint::Speed
            && self.channels.speed == Some(channel)
            && self.range.speed.is_some_and(|range| !range.is_narrow())
    }

    /// Returns the lowest and highest speed of commissioning; `None` if the pump's speed is not measured.
    pub fn speed_range(&self) -> Option<[f64; 2]> {
        let range = self.range.speed.filter(|_| self.channels.operating_point == OperatingPoint::Speed);
        range.map(|range| [range.low, range.high])
    }

    /// Refuses a stored baseline of another version, for another profile, or whose id does not match its content.
    pub fn check(&self, profile: &Profile) -> Result<(), ConditionalMemoryError> {
        if self.version != CONDITIONAL_VERSION {
            return Err(ConditionalMemoryError::Version { found: self.version });
        }
        let expected = self.expected_id();
        if self.id != expected {
            return Err(ConditionalMemoryError::Baseline { found: self.id.clone(), expected });
        }
        let of_profile = Channels::of(profile, self.channels.operating_point);
        let same = |output| of_profile.outputs.contains(output);
        if self.channels.count != of_profile.count || !self.channels.outputs.iter().all(same) {
            return Err(ConditionalMemoryError::Shape("its channels are not those of the profile"));
        }
        if !self.is_valid() {
            return Err(ConditionalMemoryError::Shape("its parts do not fit together"));
        }
        match &self.without_speed {
            // Baselines are nested at most once.
            Some(other) if other.without_speed.is_none() => other.check(profile),
            Some(_) => Err(ConditionalMemoryError::Shape("its baseline without speed has another one")),
            None => Ok(()),
        }
    }

    pub(super) fn expected_id(&self) -> String {
        let ConditionalBaseline {
            version,
            id: _,
            channels,
            range,
            terms,
            term_variances,
            outputs,
            factors,
            scales,
            by_scale,
            information,
            learned: _,
            without_speed,
        } = self;
        let mut sha = Sha256::new();
        // `Debug` prints every number exactly.
        sha.update(format!("{version} {channels:?} {range:?} {terms:?} {term_variances:?} {outputs:?}"));
        sha.update(format!("{factors:?} {scales:?} {by_scale:?} {information:?}"));
        sha.update(without_speed.as_ref().map_or("", |baseline| baseline.id.as_str()));
        hex(&sha.finalize())[..12].to_owned()
    }

    fn is_valid(&self) -> bool {
        let (outputs, scales) = (self.channels.outputs.len(), self.scales.spans_s.len());
        let count = TermCount::of(&self.terms);
        let output_is_valid = |(output, channel): (&OutputBaseline, &super::channels::Output)| {
            output.weights.len() == count.for_group(channel.group)
        };
        let scale_is_valid = |scale: &ScaleBaseline| {
            scale.covariance.is_valid(outputs)
                && scale.ramp_factors.len() == outputs
                && scale.thresholds.len() == outputs
        };
        outputs > 0
            && scales > 0
            && self.outputs.len() == outputs
            && self.factors.fit_groups(count, self.channels.outputs.iter().map(|output| output.group))
            && self.by_scale.len() == scales
            && self.term_variances.len() == self.terms.len()
            && self.terms.iter().all(|term| term.is_valid())
            && self.outputs.iter().zip(&self.channels.outputs).all(output_is_valid)
            && self.by_scale.iter().all(scale_is_valid)
    }
}
