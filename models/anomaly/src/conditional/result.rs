//! What the detector says of one reading.
//!
//! Does not decide anything; see `detector.rs`.

/// The result for one reading.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalResult {
    /// The largest z over its threshold: above 1 is anomalous. 0 while no channel can be judged.
    pub anomaly_score: f64,
    /// The channel that explains the most, by its index in the profile; while no channel can be judged, the first that will be.
    pub blamed: usize,
    /// One per channel of the profile: by how much the squared distance of the channels from normal would be smaller without it;
    /// of an input, if it were wrong, and not 0 only if that is nearly the whole distance.
    pub explains: Vec<f64>,
    /// Whether an episode is open. It ends below a lower score than it begins above.
    pub in_episode: bool,
    /// Whether the pump runs at a speed, or ran at one minutes ago, that was not seen in commissioning. It is judged less strictly
    /// then.
    pub outside_known_range: bool,
    /// One per channel of the profile; `None` for inputs and for channels that cannot be judged now.
    pub channels: Vec<Option<ChannelDeviation>>,
    /// One per channel of the profile: how far this single reading is from what is expected at the operating point, over
    /// √(spread² + variance of the expectation), limited to ±[`RESIDUAL_LIMIT`]. `None` for inputs, for channels that the
    /// baseline does not judge, for channels without a value in this reading, and for all of them in a reading without the
    /// speed. Unlike `channels` it exists from the
    /// first reading of a running pump on.
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
    /// The time over which it is averaged, in seconds.
    pub span_s: f64,
    /// What a reading would be now if the pump were normal, from the operating point alone, in the channel's unit.
    pub expected: f64,
}
