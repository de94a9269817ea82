//! The two measures of a channel in a window of residuals: the error of the reconstruction, and the change between readings.
//!
//! A *residual* is a channel's value less its prediction by the conditional detector, in spreads (the standard deviation of the
//! residuals in commissioning).

use serde::{Deserialize, Serialize};

/// A channel of a window has measures if at least this many of its 30 values are present. Chosen.
const MIN_PRESENT: u32 = 20;

/// What is measured of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// [`ChannelDynamics::error`], which needs the network.
    Error,
    /// [`ChannelDynamics::change`], which does not.
    Change,
}

impl Measure {
    /// Both measures.
    pub const ALL: [Measure; 2] = [Measure::Error, Measure::Change];

    /// Returns its value.
    pub fn of(self, measured: &ChannelDynamics) -> f64 {
        match self {
            Measure::Error => measured.error,
            Measure::Change => measured.change,
        }
    }
}

/// The measures of one channel in one window, in spreads of the channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelDynamics {
    /// Mean absolute error of the reconstruction, after the mean error is subtracted: the conditional detector tests the mean.
    pub error: f64,
    /// Mean absolute change from one reading to the next.
    pub change: f64,
}

/// The measures of one window: one per channel of the profile, `None` for a channel with too many missing values.
pub type WindowDynamics = Vec<Option<ChannelDynamics>>;

/// Returns the measures of a channel, over the values that are present.
pub(super) fn measure(
    values: &[f32],
    reconstruction: &[f32],
    channels: usize,
    channel: usize,
) -> Option<ChannelDynamics> {
    let (mut sum, mut present) = (0.0, 0_u32);
    let (mut change, mut changes) = (0.0, 0_u32);
    let mut before = f32::NAN;
    for (row, reconstruction) in values.chunks_exact(channels).zip(reconstruction.chunks_exact(channels)) {
        let value = row[channel];
        if !value.is_nan() {
            sum += f64::from(value - reconstruction[channel]);
            present += 1;
            if !before.is_nan() {
                change += f64::from((value - before).abs());
                changes += 1;
            }
        }
        before = value;
    }
    if present < MIN_PRESENT || changes == 0 {
        return None;
    }
    let mean = sum / f64::from(present);
    let errors = values.chunks_exact(channels).zip(reconstruction.chunks_exact(channels));
    let errors = errors.map(|(row, reconstruction)| f64::from(row[channel] - reconstruction[channel]));
    let error: f64 = errors.filter(|error| !error.is_nan()).map(|error| (error - mean).abs()).sum();
    let measured = ChannelDynamics { error: error / f64::from(present), change: change / f64::from(changes) };
    (measured.error.is_finite() && measured.change.is_finite()).then_some(measured)
}
