//! The present state of a pump, as the live feed returns it to queries.

use std::sync::Arc;

use volute_plant::{ClockFault, Detection, PumpId, Reading, Sample, Timestamp};

use crate::commissioning::collection::CollectionProgress;

/// A pump's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// There is no detection yet, because the window or the baseline is not complete.
    Learning(LearningProgress),
    /// The pump is off, or is stopping.
    Off {
        /// Whether its shaft still turns.
        stopping: bool,
    },
    /// The pump has started, and has not run long enough to be in a steady state.
    Starting {
        /// Steps for which it has run.
        have: usize,
        /// Steps for which it has to run before its windows are scored.
        need: usize,
    },
    /// No detection is possible.
    Unknown {
        /// The reason, as text for users.
        reason: String,
    },
    /// The last window was normal.
    Normal,
    /// The last window was anomalous.
    Anomaly,
    /// No reading has arrived for too long, so the present state is not known.
    Stale,
}

/// The progress towards the first detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearningProgress {
    /// The window is filling.
    Window {
        /// Steps in the window so far.
        have: usize,
        /// Steps of a full window.
        need: usize,
    },
    /// The node learns the pump's baseline.
    Commissioning {
        /// The current phase.
        phase: CommissioningPhase,
        /// Normal running collected so far, in milliseconds.
        running_ms: i64,
        /// Normal running that is needed, in milliseconds.
        needed_ms: i64,
        /// The problem of the last attempt, as text for users.
        last_error: Option<Arc<str>>,
    },
}

impl From<CollectionProgress> for LearningProgress {
    fn from(progress: CollectionProgress) -> Self {
        let CollectionProgress { is_complete, running_ms, needed_ms, last_error } = progress;
        let phase = if is_complete { CommissioningPhase::Calculating } else { CommissioningPhase::Gathering };
        Self::Commissioning { phase, running_ms, needed_ms, last_error }
    }
}

/// A phase of commissioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommissioningPhase {
    /// Normal running is being collected.
    Gathering,
    /// Enough is collected, and the baseline is being computed.
    Calculating,
}

/// A device's cadence: the intervals and pauses of a pump's readings and posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCadence {
    /// The step of its windows, in milliseconds.
    pub interval_ms: i64,
    /// Whether this step is set for this pump. Otherwise it is that of its profile.
    pub own_interval: bool,
    /// The usual time between its readings by the device's clock, in milliseconds; none if they are irregular or too
    /// few.
    pub readings_every_ms: Option<i64>,
    /// The usual time between its posts, in milliseconds; none if they are irregular or too few.
    pub posts_every_ms: Option<i64>,
    /// For how long it may be silent before it is stale, in milliseconds.
    pub stale_after_ms: i64,
    /// What an operator should change; none if the cadence is fine.
    pub advice: Option<LiveAdvice>,
}

/// What an operator should change about a device's cadence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAdvice {
    /// The advice, as text for users.
    pub text: String,
    /// The interval that should be set for the pump, in milliseconds; none if the advice is something else.
    pub interval_ms: Option<i64>,
}

/// One channel of the latest reading.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChannel {
    /// The channel's value as sent.
    pub sample: Sample,
    /// `ok`, `bad`, `filled`, `missing`, or the limit it is beyond: `low_alarm`, `low_warning`, `high_warning`,
    /// `high_alarm`.
    pub state: &'static str,
}

/// The present state of one pump.
#[derive(Debug, Clone)]
pub struct LivePump {
    /// The pump.
    pub pump: PumpId,
    /// The current reading that was received last, and its channels in the profile's order.
    pub latest: Option<(Reading, Vec<LiveChannel>)>,
    /// How long ago any reading was received, in milliseconds.
    pub age_ms: Option<i64>,
    /// Its status.
    pub status: Status,
    /// What is wrong with its clock.
    pub clock: Option<ClockFault>,
    /// Since when it has this status, by the node's clock.
    pub since: Timestamp,
    /// The model's last detection.
    pub detection: Option<Detection>,
    /// What is special about how the last detection was made, as text for users: a missing channel, for example.
    pub note: Option<Arc<str>>,
    /// The losses of its last detections, oldest first; at most [`TREND_LEN`](super::trend::TREND_LEN).
    pub trend: Vec<(Timestamp, f32)>,
    /// Its device's cadence; none before the first measurement.
    pub cadence: Option<LiveCadence>,
    /// Readings since the node started.
    pub readings: u64,
    /// Readings, or parts of readings, that arrived too late for their window, since the node started.
    pub late: u64,
    /// Readings, or parts of readings, that were not current when they arrived, since the node started.
    pub past: u64,
    /// Windows scored since the node started.
    pub scored: u64,
    /// Anomalous windows since the node started.
    pub anomalies: u64,
}
