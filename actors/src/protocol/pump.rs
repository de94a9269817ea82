//! Messages to a pump's actor, and from it to the ingress.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;
use volute_anomaly::Score;
use volute_data::PumpSettings;
use volute_plant::{Draft, PumpId, Rejection, Timestamp};
use volute_runtime::{Message, Subject};

use crate::{
    commissioning::errors::CommissionError,
    ingress::{in_flight::ReadingPermits, response::ResponsePart},
};

/// Items of one pump from a post, with their permits.
pub(crate) struct SubmitReadings {
    /// Each with its index in the post.
    pub drafts: Vec<(usize, Draft)>,
    pub received: Timestamp,
    /// When the post was received, by the monotonic clock; for a later part of a backlog, when the part began.
    pub posted_at: Instant,
    pub permits: Arc<ReadingPermits>,
    pub response: ResponsePart,
}

/// A window's score.
pub(crate) struct ScoreResult {
    pub seq: u64,
    pub score: Result<Score, ScoreFailure>,
}

/// Why a window has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScoreFailure {
    /// It was skipped in favor of a newer window.
    Skipped,
    /// Scoring it failed, or its worker was lost.
    Failed,
}

/// A command with the channel for its reply.
pub(crate) struct PumpRequest {
    pub command: PumpCommand,
    pub reply: oneshot::Sender<Result<(), CommissionError>>,
}

/// A command of a person or of the simulation to a pump's actor.
#[derive(Debug, Clone)]
pub(crate) enum PumpCommand {
    /// Learn a new baseline from the next readings.
    Recommission,
    /// Use this version of the baseline; 0 is the one that comes with the model.
    ActivateVersion { version: u32 },
    /// Apply these settings of the pump. `is_played` says whether its readings are played from a recording.
    ChangeSettings { settings: PumpSettings, is_played: bool },
}

/// Stops waiting for missing readings, and replies once every window has its detection.
pub(crate) struct DrainPump(pub oneshot::Sender<()>);

/// Stops the pump's actor permanently. The actor handles all messages before this one and none after it.
pub(crate) struct RetirePump(pub oneshot::Sender<()>);

/// Reports that no reading of a new pump is stored. If none is in flight either, the ingress removes the pump.
pub(crate) struct WithdrawPump {
    pub pump: PumpId,
    /// Why its last post was rejected, if it was.
    pub rejection: Option<Rejection>,
}

impl Message for SubmitReadings {}

impl Message for ScoreResult {}

impl Message for PumpRequest {}

impl Message for DrainPump {}

impl Message for RetirePump {}

impl Message for WithdrawPump {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}
