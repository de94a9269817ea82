//! Deviations, and their combination over channels. A *deviation* is a distance from normal in spreads; a *spread* is how far the
//! number usually lies from normal, learned in commissioning.

use crate::tuning::MAX_DEVIATION;

/// Returns a distance in spreads, limited to [`MAX_DEVIATION`] in both directions.
pub(crate) fn deviation(distance: f64, spread: f64) -> f64 {
    (distance / spread).clamp(-MAX_DEVIATION, MAX_DEVIATION)
}

/// Returns the Euclidean norm of a vector of weighted deviations.
pub(crate) fn norm(parts: impl Iterator<Item = f64>) -> f64 {
    parts.map(|part| part * part).sum::<f64>().sqrt()
}
