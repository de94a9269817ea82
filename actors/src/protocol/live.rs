//! What the live feed is sent: what to show of a pump, and questions.

use tokio::sync::oneshot;
use volute_plant::{ClockFault, Detection, NoWindow, OperatingState, Profile, PumpId, PumpName, Reading, Timestamp};
use volute_runtime::{Message, Subject};

use crate::live::snapshot::{LearningProgress, LiveFeedState, LivePump};

/// A reading has become durable, or part of one.
#[derive(Debug)]
pub(crate) struct LiveReading {
    /// The whole of it.
    pub reading: Reading,
    /// When the reading, or this part, was received.
    pub heard: Timestamp,
    /// It says how the pump is now; any other is only counted.
    pub is_current: bool,
    /// It came too late for its window.
    pub is_late: bool,
    /// It was counted when its first part came.
    pub is_part: bool,
}

/// Something is wrong with a pump's clock, or nothing is any more.
pub(crate) struct LiveClock {
    pub pump: PumpId,
    pub fault: Option<ClockFault>,
}

/// A reading got its place, and there is no verdict on it.
pub(crate) struct LiveNotScored {
    pub pump: PumpId,
    pub why: NotScoredReason,
}

/// Why there is no verdict on a reading.
#[derive(Debug)]
pub(crate) enum NotScoredReason {
    /// There is nothing to judge it by.
    NoModel,
    /// What it is judged by could not be read yet.
    Unread,
    /// It is too early. Commissioning says so of a reading that has a window.
    Learning(LearningProgress),
    /// The pump does not run, in the words of [`NoWindow::NotRunning`].
    NotRunning { state: OperatingState, have: usize, need: usize },
    /// Channels without a value, by their places in the profile.
    Missing { channels: Vec<usize> },
    /// Its readings are too far apart for a window; why, for people.
    Starved { why: String },
    /// Its window could not be scored.
    Failed,
}

/// A pump's feed is like this now.
pub(crate) struct LiveFeed {
    pub pump: PumpId,
    pub feed: LiveFeedState,
}

impl Message for LiveFeed {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// A pump is of another profile from now on.
pub(crate) struct LiveProfile {
    pub pump: PumpId,
    pub profile: Profile,
}

impl Message for LiveProfile {
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// A window was judged.
pub(crate) struct LiveDetection(pub Detection);

/// A pump was removed.
pub(crate) struct LiveGone(pub PumpId);

/// A demo's pump: its readings have ended. It is stale from now on, and not only once it was silent for long.
pub(crate) struct LiveEnded(pub PumpId);

impl Message for LiveEnded {
    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}

/// A pump was given a name for people, or none any more.
pub(crate) struct LiveNamed {
    pub pump: PumpId,
    pub name: Option<PumpName>,
}

impl Message for LiveNamed {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

/// Somebody asks for one pump, or for all.
pub(crate) struct AskLive {
    pub pump: Option<PumpId>,
    pub reply: oneshot::Sender<Vec<LivePump>>,
}

impl Message for LiveReading {
    fn subject(&self) -> Option<Subject> {
        Some(self.reading.pump.shared())
    }
}

impl Message for LiveClock {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for LiveNotScored {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for LiveDetection {
    fn subject(&self) -> Option<Subject> {
        Some(self.0.pump.shared())
    }
}

impl Message for LiveGone {
    /// Whoever watches must not see it for ever.
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.0.shared())
    }
}

impl Message for AskLive {
    fn subject(&self) -> Option<Subject> {
        self.pump.as_ref().map(PumpId::shared)
    }
}

impl From<NoWindow> for NotScoredReason {
    fn from(why: NoWindow) -> Self {
        match why {
            NoWindow::NotRunning { state, have, need } => Self::NotRunning { state, have, need },
            NoWindow::Filling { have, need } => Self::Learning(LearningProgress::Window { have, need }),
            NoWindow::Missing { channels } => Self::Missing { channels },
        }
    }
}
