//! What a pump is sent, and what it sends back to the ingress.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;
use volute_anomaly::Score;
use volute_data::PumpSettings;
use volute_plant::{Draft, PumpId, Rejection, Timestamp};
use volute_runtime::{Message, Subject};

use crate::{
    commissioning::errors::CommissionRefusal,
    ingress::{in_flight::Permit, response::ResponsePart},
};

/// Items of one pump, with the room they take up.
pub(crate) struct SubmitReadings {
    /// With their places in the post.
    pub drafts: Vec<(usize, Draft)>,
    pub received: Timestamp,
    /// When its post came to the ingress.
    pub since: Instant,
    pub permit: Arc<Permit>,
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
    /// It gave way to a newer one.
    Skipped,
    /// It broke the scoring, or whoever had it in hand.
    Failed,
}

/// An order for a pump, and where the reply goes.
pub(crate) struct PumpCommand {
    pub order: PumpOrder,
    pub reply: oneshot::Sender<Result<(), CommissionRefusal>>,
}

/// What a pump can be told.
#[derive(Debug, Clone)]
pub(crate) enum PumpOrder {
    /// Learn anew, from the next reading on.
    Anew,
    /// Use this version; 0: what the model brings along.
    Use { version: u32 },
    /// Go by these settings of its own.
    Set { settings: PumpSettings, is_played: bool },
}

/// Gives up waiting for missing readings, and replies once every window is decided.
pub(crate) struct DrainPump(pub oneshot::Sender<()>);

/// Ends the pump's actor for good. Everything that was sent to it before is done, and nothing after it will be.
pub(crate) struct RetirePump(pub oneshot::Sender<()>);

/// A new pump has nothing stored yet: where nothing is on its way either, its place is free again.
pub(crate) struct Withdraw {
    pub pump: PumpId,
    /// Why its last post was refused, where it was.
    pub why: Option<Rejection>,
}

impl Message for SubmitReadings {}

impl Message for ScoreResult {}

impl Message for PumpCommand {}

impl Message for DrainPump {}

impl Message for RetirePump {}

impl Message for Withdraw {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}
