//! Why a pump's baseline stays as it is, and why nothing was learned.

use volute_anomaly::CommissioningError;
use volute_data::StoreError;
use volute_plant::PumpId;

use super::mode::Unusable;
use crate::receipt::Queue;

/// Why a pump's baseline stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum CommissionRefusal {
    /// Nothing is judged on this node.
    #[error("no model is loaded, so no pump is commissioned; start the node with --model")]
    NoModel,
    /// No reading of this pump is stored.
    #[error("no reading of {0} is stored; what it sent may have been refused: see the answers to its posts")]
    UnknownPump(PumpId),
    /// It has no such version.
    #[error("{pump} has no version {version} of its baseline")]
    UnknownVersion {
        /// The pump.
        pump: PumpId,
        /// What was asked for.
        version: u32,
    },
    /// The version is of another network, or damaged.
    #[error("version {version} of {pump} cannot be used: {reason}")]
    Unusable {
        /// The pump.
        pump: PumpId,
        /// What was asked for.
        version: u32,
        /// Why not.
        reason: String,
    },
    /// The readings do not do.
    #[error("nothing can be learned from these readings: {0}")]
    Insufficient(String),
    /// What is stored cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much is to be learned already.
    #[error("the node is busy: {queue} is full")]
    Busy {
        /// Which queue.
        queue: Queue,
    },
    /// What does this has failed too often, or broke over it.
    #[error("the part of the node that does this is out of order or broke over it; see /api/actors, and ask again")]
    OutOfOrder,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// There is no baseline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LearnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Learning(#[from] CommissioningError),
    #[error("the baseline cannot be written: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("no model is loaded for this kind of pump")]
    NoModel,
    #[error("the pump's interval was changed meanwhile")]
    OtherInterval,
    #[error("it was broken off; ask again")]
    BrokenOff,
}

impl CommissionRefusal {
    /// A version that cannot be used.
    pub(crate) fn unusable(pump: &PumpId, version: u32, why: &Unusable) -> Self {
        Self::Unusable { pump: pump.clone(), version, reason: why.to_string() }
    }
}

impl From<LearnError> for CommissionRefusal {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Store(error) => error.into(),
            LearnError::BrokenOff => Self::OutOfOrder,
            LearnError::Learning(error @ CommissioningError::TooFew { .. }) => Self::Insufficient(error.to_string()),
            other => Self::Insufficient(other.to_string()),
        }
    }
}
