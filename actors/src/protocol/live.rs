//! Messages to the live feed: updates of a pump's state, and queries.

use std::sync::Arc;

use tokio::sync::oneshot;
use volute_plant::{ClockFault, Detection, NoWindow, OperatingState, Profile, PumpId, PumpName, Reading, Timestamp};
use volute_runtime::{Message, Subject};

use crate::live::snapshot::{LearningProgress, LiveCadence, LivePump};

/// A reading, or part of one, has become durable.
#[derive(Debug)]
pub(crate) struct LiveReading {
    /// The whole reading, with all parts so far.
    pub reading: Reading,
    /// When the reading, or this part of it, was received.
    pub received_at: Timestamp,
    /// Whether it shows the pump's present state. Otherwise it is only counted.
    pub is_current: bool,
    /// Whether it arrived too late for its window.
    pub is_late: bool,
    /// Whether this is a later part of a reading that was counted already.
    pub is_part: bool,
}

/// The fault of a pump's clock has changed; none if the clock is right again.
pub(crate) struct LiveClockFault {
    pub pump: PumpId,
    pub fault: Option<ClockFault>,
}

/// A reading was placed in its step, but there is no detection for it.
pub(crate) struct LiveNoDetection {
    pub pump: PumpId,
    pub reason: NoDetectionReason,
}

/// Why there is no detection for a reading.
#[derive(Debug)]
pub(crate) enum NoDetectionReason {
    /// No model is loaded for the pump's profile.
    NoModel,
    /// The pump's profile cannot be read. `reason` is a text for users.
    DamagedProfile { reason: Arc<str> },
    /// The pump's baseline could not be read from the database yet.
    BaselineUnavailable,
    /// The window is not full yet, or the pump's baseline is still being learned.
    Learning(LearningProgress),
    /// The pump does not run; see [`NoWindow::NotRunning`].
    NotRunning { state: OperatingState, have: usize, need: usize },
    /// These channels have no value in the window. Indices into the profile's channels.
    Missing { channels: Vec<usize> },
    /// Readings are too far apart for a window. `reason` is a text for users.
    TooSparse { reason: String },
    /// Scoring the window failed.
    ScoringFailed,
}

/// The cadence of a pump's device has changed.
pub(crate) struct LiveCadenceChanged {
    pub pump: PumpId,
    pub cadence: LiveCadence,
}

impl Message for LiveCadenceChanged {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// Another profile was assigned to a pump.
pub(crate) struct LiveProfileChanged {
    pub pump: PumpId,
    pub profile: Profile,
}

impl Message for LiveProfileChanged {
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// A detection was made.
pub(crate) struct LiveDetection {
    pub detection: Detection,
    /// What is special about how it was made, as text for users.
    pub note: Option<Arc<str>>,
}

/// A pump was removed.
pub(crate) struct LivePumpRemoved(pub PumpId);

/// The simulation of a pump has ended. The pump is stale from now on, without the usual delay.
pub(crate) struct LiveSimulationEnded(pub PumpId);

impl Message for LiveSimulationEnded {
    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}

/// A pump's display name was changed or deleted.
pub(crate) struct LivePumpRenamed {
    pub pump: PumpId,
    pub name: Option<PumpName>,
}

impl Message for LivePumpRenamed {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// Requests the state of one pump, or of all.
pub(crate) struct GetLivePumps {
    pub pump: Option<PumpId>,
    pub reply: oneshot::Sender<Vec<LivePump>>,
}

impl Message for LiveReading {
    fn subject(&self) -> Option<Subject> {
        Some(self.reading.pump.shared())
    }
}

impl Message for LiveClockFault {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for LiveNoDetection {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for LiveDetection {
    fn subject(&self) -> Option<Subject> {
        Some(self.detection.pump.shared())
    }
}

impl Message for LivePumpRemoved {
    /// While the actor is down, the message waits, so that the removed pump does not stay visible.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}

impl Message for GetLivePumps {
    fn subject(&self) -> Option<Subject> {
        self.pump.as_ref().map(PumpId::shared)
    }
}

impl From<NoWindow> for NoDetectionReason {
    fn from(reason: NoWindow) -> Self {
        match reason {
            NoWindow::NotRunning { state, have, need } => Self::NotRunning { state, have, need },
            NoWindow::Filling { have, need } => Self::Learning(LearningProgress::Window { have, need }),
            NoWindow::Missing { channels } => Self::Missing { channels },
        }
    }
}
