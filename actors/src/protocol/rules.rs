//! Messages to the maintenance actor: readings to be evaluated against the limits and rules of their pump's profile, what
//! people do about events, and planned work.

use tokio::sync::oneshot;
use volute_plant::{
    Comment, Detection, EventKey, MaintenanceEvent, PlannedWork, Profile, PumpId, Reading, Timestamp,
    event_status::{EventAction, StatusError},
    planned_work::{MAX_OPEN_WORKS, WorkTimesError},
};
use volute_runtime::{Message, Subject};

/// A reading to be evaluated, with the detection of its window if there is one.
#[derive(Debug, Clone)]
pub(crate) struct EvaluateLimits {
    pub reading: Reading,
    pub detection: Option<Detection>,
}

/// Replies once all messages before it are handled.
pub(crate) struct DrainMaintenance(pub oneshot::Sender<()>);

/// Drops the state of a removed pump.
pub(crate) struct ForgetPump(pub PumpId);

/// Another profile was assigned to a pump.
pub(crate) struct ChangeRules {
    pub pump: PumpId,
    pub profile: Profile,
}

/// What somebody does about an event. The reply is sent when it is durable.
pub(crate) struct WorkOnEvent {
    pub key: EventKey,
    pub request: EventRequest,
    pub reply: oneshot::Sender<Result<MaintenanceEvent, EventWorkError>>,
}

/// An action on an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRequest {
    /// What to do.
    pub action: EventAction,
    /// Who does it, in the form of the audit log. It says which user it is, not which session.
    pub by: String,
    /// Why.
    pub comment: Option<Comment>,
    /// How many changes of the event the user has seen; none if it does not matter.
    pub seen_changes: Option<usize>,
}

/// Why an action on an event was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventWorkError {
    /// There is no such event.
    #[error("there is no maintenance event {0}")]
    UnknownEvent(EventKey),
    /// The event's status, or who asks, does not allow it.
    #[error(transparent)]
    Refused(#[from] StatusError),
    /// The action took effect, but is not durable yet. The node tries again to store it.
    #[error("the action took effect but is not stored yet: look at the event again before you repeat it")]
    NotStored,
    /// The event cannot be read at the moment, or the maintenance actor is not available.
    #[error("the event cannot be read at the moment: try again")]
    Unavailable,
}

/// Plans work on a pump, or ends it early. The reply is sent when it is durable.
pub(crate) struct ChangeWork {
    pub pump: PumpId,
    pub request: WorkRequest,
    /// Who asks for it, in the form of the audit log.
    pub by: String,
    pub reply: oneshot::Sender<Result<PlannedWork, PlannedWorkError>>,
}

/// A change of a pump's planned work.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkRequest {
    /// Plan work. Without `from` it begins now.
    Plan {
        /// When it begins.
        from: Option<Timestamp>,
        /// When it ends by itself.
        until: Timestamp,
        /// What is done.
        why: Comment,
    },
    /// End the work of this id now, or cancel it.
    End {
        /// Its id.
        id: String,
    },
}

/// Why planned work was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlannedWorkError {
    /// There is no such pump.
    #[error("there is no pump {0}")]
    UnknownPump(PumpId),
    /// There is no such work that is not over.
    #[error("{pump} has no planned work {id} that is not over")]
    UnknownWork {
        /// The pump.
        pump: PumpId,
        /// The id.
        id: String,
    },
    /// The times are not allowed.
    #[error(transparent)]
    Times(#[from] WorkTimesError),
    /// The pump has too many works.
    #[error("the pump has {MAX_OPEN_WORKS} planned works that are not over; allowed: no more")]
    TooMany,
    /// The change took effect, but is not durable yet. The node tries again to store it.
    #[error("the change took effect but is not stored yet: look at the list again before you repeat it")]
    NotStored,
    /// The stored works are not read yet, or the maintenance actor is not available.
    #[error("the planned work is not read from the database yet: try again")]
    Unavailable,
}

impl Message for WorkOnEvent {
    fn subject(&self) -> Option<Subject> {
        Some(self.key.pump.shared())
    }
}

impl Message for ChangeWork {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for ChangeRules {
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for EvaluateLimits {
    /// While the actor is down, the message waits, so that no alarm is lost.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.reading.pump.shared())
    }
}

impl Message for DrainMaintenance {}

impl Message for ForgetPump {
    /// While the actor is down, the message waits, so that a new pump of the same id does not inherit the events.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}
