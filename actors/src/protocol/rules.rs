//! What maintenance is sent: readings to be evaluated against the limits of their pump.

use tokio::sync::oneshot;
use volute_plant::{Detection, Profile, PumpId, Reading};
use volute_runtime::{Message, Subject};

/// A reading that got its place, and the detection of its window if there is one.
#[derive(Debug, Clone)]
pub(crate) struct EvaluateLimits {
    pub reading: Reading,
    pub detection: Option<Detection>,
}

/// Replies once everything before it is done.
pub(crate) struct DrainMaintenance(pub oneshot::Sender<()>);

/// A pump was removed, and its events with it.
pub(crate) struct ForgetPump(pub PumpId);

/// A pump is of another profile from now on.
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
    /// Alarms are not lost with the actor.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.reading.pump.shared())
    }
}

impl Message for DrainMaintenance {}

impl Message for ForgetPump {
    /// A new pump of the same name must not go on with its events.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}
