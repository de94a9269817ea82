//! Distances in spreads, and how they add up over channels.

use crate::tuning::FURTHEST_SPREADS;

/// A distance in spreads, at most [`FURTHEST_SPREADS`] either way.
pub(crate) fn deviation(distance: f64, spread: f64) -> f64 {
    (distance / spread).clamp(-FURTHEST_SPREADS, FURTHEST_SPREADS)
}

/// The length of a vector of weighted deviations.
pub(crate) fn length(parts: impl Iterator<Item = f64>) -> f64 {
    parts.map(|part| part * part).sum::<f64>().sqrt()
}
