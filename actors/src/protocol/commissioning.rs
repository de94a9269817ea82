//! What commissioning is sent, and what it replies.

use tokio::sync::oneshot;
use volute_anomaly::Baseline;
use volute_data::NewBaseline;
use volute_plant::{PumpId, Reading, Timestamp};
use volute_runtime::{Message, ReplyTo, Subject};

use crate::{
    commissioning::errors::{CommissionRefusal, LearnError},
    kind::PumpKind,
};

/// Learn what is normal for a pump.
pub(crate) struct CommissionJob {
    pub pump: PumpId,
    /// What the pump is judged by besides its baseline.
    pub kind: PumpKind,
    pub why: String,
    pub data: TrainingData,
    pub reply: JobReply,
}

/// Who is told how a job ended. One that is dropped says that it was broken off.
pub(crate) struct JobReply {
    to: ReplyTo<BaselineLearned>,
    requester: Option<Requester>,
}

/// What is learned from.
pub(crate) enum TrainingData {
    /// Stored readings, up to and without the second time.
    Stored(Timestamp, Timestamp),
    /// Readings that are made when their turn comes, in runs: no window spans two of them.
    Made(Box<dyn FnOnce() -> Vec<Vec<Reading>> + Send>),
}

/// Who wants to know how it ended.
pub(crate) enum Requester {
    /// The pump, in the mode that had this number when it asked.
    Pump { mode: u64 },
    /// Somebody else: the version's number.
    Caller(oneshot::Sender<Result<u32, CommissionRefusal>>),
}

/// How a job ended.
pub(crate) struct BaselineLearned {
    pub outcome: Result<(Baseline, NewBaseline), LearnError>,
    pub requester: Requester,
}

impl JobReply {
    pub(crate) fn new(to: ReplyTo<BaselineLearned>, requester: Requester) -> Self {
        Self { to, requester: Some(requester) }
    }

    /// Replies. A pump that is gone needs none.
    pub(crate) async fn send(mut self, outcome: Result<(Baseline, NewBaseline), LearnError>) {
        if let Some(requester) = self.requester.take() {
            let _ = self.to.send(BaselineLearned { outcome, requester }).await;
        }
    }

    /// Nobody waits for it after all.
    pub(crate) fn forget(mut self) {
        self.requester = None;
    }
}

impl Drop for JobReply {
    fn drop(&mut self) {
        if let Some(requester) = self.requester.take() {
            let _ = self.to.try_send(BaselineLearned { outcome: Err(LearnError::BrokenOff), requester });
        }
    }
}

impl Message for CommissionJob {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for BaselineLearned {}
