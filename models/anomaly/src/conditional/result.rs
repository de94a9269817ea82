//! The conditional detector's result for one reading.
//!
//! *Inputs* (speed, ambient temperature) say under which conditions the pump runs; the other channels are predicted from them and
//! tested. *z* is how far a channel's average is from its prediction, given the other channels, in standard deviations. The
//! *spread* is the standard deviation of single readings from their predictions.
//!
//! Does not compute the result; see `detector.rs`.

/// The result for one reading.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalResult {
    /// The largest |z| over its threshold: above 1 is anomalous. 0 while no channel can be tested.
    pub anomaly_score: f64,
    /// The index in the profile of the channel that explains the most (`explains`). It has no meaning while no channel can be
    /// tested.
    pub blamed: usize,
    /// One per channel of the profile: how much of the deviation it explains. For a tested channel: by how much the squared
    /// distance of the channels from normal would be smaller without it. For an input: by how much it would be smaller if the
    /// input's value were wrong, or 0 if that is not more than 90 % of the distance.
    pub explains: Vec<f64>,
    /// Whether an episode is open. It begins above a score of 1, and ends below a lower one.
    pub in_episode: bool,
    /// Whether the pump runs at a speed outside of those of commissioning, or did so minutes ago. It is then tested less strictly.
    pub outside_known_range: bool,
    /// One per channel of the profile; `None` for inputs and for channels that cannot be tested now.
    pub channels: Vec<Option<ChannelDeviation>>,
    /// One per channel of the profile: the value of this single reading less its prediction, divided by
    /// √(spread² + variance of the prediction), limited to ±[`RESIDUAL_LIMIT`]. `None` for inputs, for channels that the baseline
    /// does not test, for channels without a value in this reading, and for all channels in a reading without the speed. Unlike
    /// `channels` it exists from the first reading of a running pump on.
    pub residuals: Vec<Option<f64>>,
}

/// The largest absolute value of [`ConditionalResult::residuals`].
pub const RESIDUAL_LIMIT: f64 = 10.0;

/// How far a channel is from what is normal at the operating point, given the other channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelDeviation {
    /// The deviation in standard deviations; negative if the channel is too low.
    pub z: f64,
    /// The absolute z above which it is anomalous.
    pub threshold: f64,
    /// The time constant of the average of the residuals that shows it, in seconds.
    pub time_constant_s: f64,
    /// The prediction for this reading from the operating point alone, in the channel's unit.
    pub expected: f64,
}
