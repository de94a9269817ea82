//! The score of one channel in one window. How it is computed: `score.rs`.

/// Number of steps at a window's end whose mean is a channel's short level.
pub const SHORT_STEPS: usize = 5;
/// Number of steps at a window's end whose mean is a channel's long level.
pub const LONG_STEPS: usize = 15;

/// The score of one channel in one window. All values are in the pump's own scale: 1 is the channel's range in
/// commissioning ([`crate::Scaler`]).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChannelScore {
    /// Mean absolute error of the reconstruction over the window.
    pub error: f64,
    /// Mean of the last [`SHORT_STEPS`].
    pub short: f64,
    /// Mean of the last [`LONG_STEPS`].
    pub long: f64,
    /// Mean absolute change from step to step over the window. Infinite, so that the channel does not count as stuck, if
    /// it was held in the window ([`volute_plant::Window::held`]): a held value does not change.
    pub mean_change: f64,
}
