//! The threshold of the loss, and the deadband of an episode: it ends at a lower score than it begins.

/// The threshold of the loss, of the fused and of the conditional detector.
pub(super) const THRESHOLD: f64 = 1.0;

/// Returns the loss of a window during an episode that ends below the anomaly score `quiet`: a score of `quiet` has the loss 1.
pub(super) fn with_deadband(score: f64, quiet: f64) -> f64 {
    score - quiet + THRESHOLD
}
