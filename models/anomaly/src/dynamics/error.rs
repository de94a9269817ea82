//! Why a baseline, a state, a window or the weights of the dynamics cannot be used.

/// The version of the stored forms, of a baseline and of a state. Other versions are refused.
pub const DYNAMICS_VERSION: u32 = 2;

/// A baseline, a state or a network cannot be learned or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DynamicsError {
    /// Commissioning was too short.
    #[error("{found} windows; expected: at least {expected}")]
    TooFew {
        /// The number of windows.
        found: usize,
        /// The number that is needed.
        expected: usize,
    },
    /// A window, a baseline or a state is for another number of channels.
    #[error("of {found} channels; expected: {expected}")]
    Channels {
        /// Its channels.
        found: usize,
        /// Channels of the profile.
        expected: usize,
    },
    /// It was written by another version of the program.
    #[error("of version {found}; expected: {DYNAMICS_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// A baseline of another network or with changed content, or a state of another baseline.
    #[error("of {found}; expected: {expected}")]
    Id {
        /// The id that it has.
        found: String,
        /// The id that it should have.
        expected: String,
    },
    /// A number is not finite, or parts do not fit together.
    #[error("its parts do not fit together")]
    Shape,
    /// The bytes are not weights of this network.
    #[error("{0}")]
    Weights(String),
}
