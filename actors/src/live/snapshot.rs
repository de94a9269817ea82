//! What the live feed says of a pump to those who ask.

use std::sync::Arc;

use volute_plant::{ClockFault, Detection, PumpId, Reading, Sample, Timestamp};

use crate::commissioning::collection::CollectionProgress;

/// How a pump is, as far as the model can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No verdict yet, and how far that is.
    Learning(LearningProgress),
    /// The pump stands, or its shaft runs down.
    Off {
        /// Whether it still turns.
        stopping: bool,
    },
    /// The pump has not run for long enough to have settled.
    Starting {
        /// Steps that it has run.
        have: usize,
        /// Steps that it runs before it is judged.
        need: usize,
    },
    /// No verdict is possible, and why.
    Unknown {
        /// The reason, for people.
        reason: String,
    },
    /// The last window is like those the model was trained on.
    Normal,
    /// It is not.
    Anomaly,
    /// Nothing was heard for too long: what was last known says nothing about now.
    Stale,
}

/// How far it is to the first verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearningProgress {
    /// The window is filling.
    Window {
        /// Steps so far.
        have: usize,
        /// Steps it takes.
        need: usize,
    },
    /// The node learns what is normal for this pump.
    Commissioning {
        /// What it is at.
        phase: CommissioningPhase,
        /// Normal running gathered so far, in milliseconds.
        running_ms: i64,
        /// Normal running that it takes, in milliseconds.
        needed_ms: i64,
        /// What went wrong the last time, for people.
        trouble: Option<Arc<str>>,
    },
}

impl From<CollectionProgress> for LearningProgress {
    fn from(progress: CollectionProgress) -> Self {
        let CollectionProgress { is_complete, running_ms, needed_ms, trouble } = progress;
        let phase = if is_complete { CommissioningPhase::Calculating } else { CommissioningPhase::Gathering };
        Self::Commissioning { phase, running_ms, needed_ms, trouble }
    }
}

/// What commissioning is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommissioningPhase {
    /// Normal running is gathered.
    Gathering,
    /// There is enough of it, and the pump's own threshold is being calculated.
    Calculating,
}

/// What a pump's feed is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFeedState {
    /// The steps that its windows are made of.
    pub interval_ms: i64,
    /// Whether these are its own, and not its profile's.
    pub own_interval: bool,
    /// How far apart its readings are by the device's clock; none where they are irregular, or too few yet.
    pub readings_every_ms: Option<i64>,
    /// How far apart its posts are; likewise.
    pub posts_every_ms: Option<i64>,
    /// It is not stale before it was silent for this long.
    pub stale_after_ms: i64,
    /// What should be done about it; none: nothing.
    pub advice: Option<LiveAdvice>,
}

/// What should be done about a pump's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAdvice {
    /// For people.
    pub text: String,
    /// The interval to set for it, in milliseconds; none where that is not the advice.
    pub interval_ms: Option<i64>,
}

/// One channel of the latest reading.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChannel {
    /// What was sent.
    pub sample: Sample,
    /// `ok`, `bad`, `filled`, `missing`, or the limit it is beyond: `low_alarm`, `low_warning`, `high_warning`,
    /// `high_alarm`.
    pub state: &'static str,
}

/// The latest of one pump.
#[derive(Debug, Clone)]
pub struct LivePump {
    /// Which pump.
    pub pump: PumpId,
    /// Its current reading that was received last, and its channels in the profile's order.
    pub latest: Option<(Reading, Vec<LiveChannel>)>,
    /// How long ago any reading was received, in milliseconds.
    pub age_ms: Option<i64>,
    /// How it is.
    pub status: Status,
    /// What is wrong with its clock.
    pub clock: Option<ClockFault>,
    /// Since when, by the node's clock.
    pub since: Timestamp,
    /// The model's last verdict.
    pub detection: Option<Detection>,
    /// Its last verdicts' losses, the oldest first; at most [`TREND`] of them.
    pub trend: Vec<(Timestamp, f32)>,
    /// What its feed is like; none: nothing is known of it yet.
    pub feed: Option<LiveFeedState>,
    /// Readings since the node started.
    pub readings: u64,
    /// Readings, or parts of them, that were too late for their window, since the node started.
    pub late: u64,
    /// Readings, or parts of them, that were more than a minute old when they came.
    pub past: u64,
    /// Windows scored since the node started.
    pub scored: u64,
    /// Anomalous windows since the node started.
    pub anomalies: u64,
}
