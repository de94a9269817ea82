//! The errors of commissioning: of requests for a baseline, and of learning one.

use volute_anomaly::CommissioningError;
use volute_data::StoreError;
use volute_plant::PumpId;

use super::mode::UnusableBaseline;
use crate::receipt::Queue;

/// Why a request about a pump's baseline was not carried out. The baseline in use is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum CommissionError {
    /// No model is loaded for this pump's kind, so its windows are not scored.
    #[error(
        "there is no model for the profile of this pump, so it is not commissioned: start the node with --model, or add one with `volute profiles add PROFILE --model DIR`"
    )]
    NoModel,
    /// No reading of this pump is stored.
    #[error("no reading of {0} is stored; its readings may have been refused: see the responses to its posts")]
    UnknownPump(PumpId),
    /// The pump has no such version.
    #[error("{pump} has no version {version} of its baseline")]
    UnknownVersion {
        /// The pump.
        pump: PumpId,
        /// The requested version.
        version: u32,
    },
    /// The version was learned with another network, or is damaged.
    #[error("version {version} of {pump} cannot be used: {reason}")]
    Unusable {
        /// The pump.
        pump: PumpId,
        /// The requested version.
        version: u32,
        /// Why it cannot be used.
        reason: String,
    },
    /// No baseline can be learned from the readings.
    #[error("no baseline can be learned from these readings: {0}")]
    Insufficient(String),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue is full.
    #[error("the node is busy: {queue} is full")]
    Busy {
        /// Which queue.
        queue: Queue,
    },
    /// The actor that handles the request has failed, or failed while handling the request.
    #[error("the actor that handles this has failed, perhaps while handling it; see /api/actors, and try again")]
    ActorFailed,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Why no baseline was learned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LearnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Learning(#[from] CommissioningError),
    #[error("the baseline cannot be serialized: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("there is no model for the profile of this pump")]
    NoModel,
    #[error("the interval of the pump was changed while its baseline was learned")]
    IntervalChanged,
    #[error("learning was aborted; request it again")]
    Aborted,
}

impl CommissionError {
    /// Returns the error for a version that cannot be used.
    pub(crate) fn unusable(pump: &PumpId, version: u32, reason: &UnusableBaseline) -> Self {
        Self::Unusable { pump: pump.clone(), version, reason: reason.to_string() }
    }
}

impl From<LearnError> for CommissionError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Store(error) => error.into(),
            LearnError::Aborted => Self::ActorFailed,
            LearnError::Learning(error @ CommissioningError::TooFew { .. }) => Self::Insufficient(error.to_string()),
            other => Self::Insufficient(other.to_string()),
        }
    }
}
