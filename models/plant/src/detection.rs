//! The model's result for one window.

use std::sync::Arc;

use crate::{PumpId, Timestamp};

/// The model's result for the window that ends at `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The pump of the window.
    pub pump: PumpId,
    /// The time of the window's last reading.
    pub at: Timestamp,
    /// The value that was compared with the threshold: how far the window is from normal. Dimensionless, at least 0.
    pub loss: f64,
    /// The loss above which a window is anomalous.
    pub threshold: f64,
    /// Whether the window is anomalous: true exactly if `loss` is above `threshold`.
    pub is_anomaly: bool,
    /// Each channel's share of the loss, in the profile's order, rounded to four decimals. Apart from the rounding they
    /// add up to 1.
    pub contributions: Arc<[f64]>,
    /// The model that made the detection: detector, network and baseline.
    pub model: Arc<str>,
}
