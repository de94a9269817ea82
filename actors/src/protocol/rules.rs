//! Messages to the maintenance actor: readings to be evaluated against the limits and rules of their pump's profile.

use tokio::sync::oneshot;
use volute_plant::{Detection, Profile, PumpId, Reading};
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
