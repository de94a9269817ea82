//! Messages to the commissioning actor, and its replies.

use tokio::sync::oneshot;
use volute_anomaly::Decider;
use volute_data::NewBaseline;
use volute_plant::{PumpId, Reading, Timestamp};
use volute_runtime::{Message, Recipient, Subject};

use crate::{
    commissioning::errors::{CommissionError, LearnError},
    kind::PumpKind,
};

/// A job for the commissioning actor: learn a pump's baseline.
pub(crate) struct CommissionJob {
    pub pump: PumpId,
    /// The pump's kind, with the model that scores the windows from which the baseline is learned.
    pub kind: PumpKind,
    /// Why the baseline is learned, for the list of its versions.
    pub reason: String,
    pub data: TrainingData,
    pub reply: JobReply,
}

/// Sends the outcome of a job to its requester. If it is dropped without a reply, the outcome is
/// [`LearnError::Aborted`].
pub(crate) struct JobReply {
    to: Recipient<BaselineLearned>,
    requester: Option<Requester>,
}

/// The readings from which a baseline is learned.
pub(crate) enum TrainingData {
    /// Stored readings from `from` up to, but not including, `to`. If `has_detections`, readings with anomalous detections
    /// are left out.
    Stored { from: Timestamp, to: Timestamp, has_detections: bool },
    /// Readings that are generated when the job begins, as a list of runs. No window spans two runs.
    Generated(Box<dyn FnOnce() -> Vec<Vec<Reading>> + Send>),
}

/// Who receives the outcome of a job.
pub(crate) enum Requester {
    /// The pump's actor. `mode` is the number of its mode at the request; the reply is ignored if the mode has changed.
    Pump { mode: u64 },
    /// A caller of the API, who receives the number of the new version.
    Caller(oneshot::Sender<Result<u32, CommissionError>>),
}

/// A baseline to be stored and used.
pub(crate) struct LearnedBaseline {
    /// The decider with this baseline, in the state after the readings from which the baseline was learned.
    pub decider: Decider,
    pub new: NewBaseline,
}

/// The outcome of a job.
pub(crate) struct BaselineLearned {
    pub outcome: Result<LearnedBaseline, LearnError>,
    pub requester: Requester,
}

impl JobReply {
    pub(crate) fn new(to: Recipient<BaselineLearned>, requester: Requester) -> Self {
        Self { to, requester: Some(requester) }
    }

    /// Sends the outcome. Does nothing if the pump's actor has stopped.
    pub(crate) async fn send(mut self, outcome: Result<LearnedBaseline, LearnError>) {
        if let Some(requester) = self.requester.take() {
            let _ = self.to.send(BaselineLearned { outcome, requester }).await;
        }
    }

    /// Drops the reply without sending anything.
    pub(crate) fn cancel(mut self) {
        self.requester = None;
    }
}

impl Drop for JobReply {
    fn drop(&mut self) {
        if let Some(requester) = self.requester.take() {
            let _ = self.to.try_send(BaselineLearned { outcome: Err(LearnError::Aborted), requester });
        }
    }
}

impl Message for CommissionJob {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for BaselineLearned {}
