//! Why a conditional baseline cannot be learned.

/// A conditional baseline cannot be learned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionalFitError {
    /// Too few readings of a running pump, or too short a time.
    #[error("{found} readings of normal running; expected: at least {expected}")]
    TooFew {
        /// The number of readings.
        found: usize,
        /// The number that is needed.
        expected: usize,
    },
    /// No channel has values in most of the readings.
    #[error("no channel to test has values in most of the readings")]
    NoChannels,
    /// The values are too far apart for arithmetic.
    #[error("the values are too far apart for arithmetic")]
    Arithmetic,
}
