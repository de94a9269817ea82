//! What a window says of one channel. How it is found: `score.rs`.

/// Steps at a window's end whose mean is a channel's short level.
pub const SHORT_STEPS: usize = 5;
/// Steps at a window's end whose mean is a channel's long level.
pub const LONG_STEPS: usize = 15;

/// What a window says of one channel; everything in the pump's own scale (1 is the span that its scaler learned).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChannelScore {
    /// The mean absolute error of the reconstruction over the window.
    pub error: f64,
    /// The mean of the last [`SHORT_STEPS`].
    pub short: f64,
    /// The mean of the last [`LONG_STEPS`].
    pub long: f64,
    /// The mean absolute change from step to step over the window: how lively the channel is. Infinite where the channel's last
    /// value was held ([`volute_plant::Window::held`]): that it stands still says nothing of its sensor.
    pub liveliness: f64,
}
