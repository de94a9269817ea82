//! What the model said of one window.

use std::sync::Arc;

use crate::{PumpId, Timestamp};

/// The model's verdict on the window that ends at `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Whose window it was.
    pub pump: PumpId,
    /// The time of the window's last reading.
    pub at: Timestamp,
    /// The number that was decided on: how far from normal the window is; dimensionless, not below zero.
    pub loss: f64,
    /// The loss above which a window is anomalous.
    pub threshold: f64,
    /// Whether the window is anomalous: exactly where its loss is above its threshold.
    pub is_anomaly: bool,
    /// Each channel's share of the loss, in the profile's order, to four decimals; sums to 1 but for the rounding.
    pub contributions: Arc<[f64]>,
    /// The model that said it.
    pub model: Arc<str>,
}
