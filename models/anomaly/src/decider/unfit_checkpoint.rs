//! Why a decider's stored state cannot be restored.

use crate::{ConditionalMemoryError, DynamicsError};

/// The version of the stored form. Other versions are refused.
pub(super) const VERSION: u32 = 1;

/// The stored state cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitCheckpoint {
    /// It was written by another version of the program.
    #[error("stored decider state of version {found}; expected: {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It belongs to another baseline.
    #[error("stored decider state of baseline {found}; expected: {expected}")]
    Baseline {
        /// The baseline of the state.
        found: String,
        /// The decider's baseline.
        expected: String,
    },
    /// Its conditional part cannot be used.
    #[error("stored decider state: {0}")]
    Conditional(#[from] ConditionalMemoryError),
    /// Its dynamics cannot be used.
    #[error("stored decider state: {0}")]
    Dynamics(#[from] DynamicsError),
    /// It has values that no decider of this baseline can have.
    #[error("stored decider state: {0}")]
    Shape(&'static str),
}
