//! The state of a pump as it is sent: its status and the reason, the progress of its commissioning, its feed and its clock.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::{CommissioningPhase, LearningProgress, LiveCadence, LivePump, Status};
use volute_plant::ClockFault;

/// The status of a pump, as far as the model can determine it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum PumpStatus {
    /// No detection yet: the window is filling, or the node is learning the pump's baseline.
    Learning,
    /// The pump is at standstill or stopping, and its windows are not scored.
    Off,
    /// The pump has just started, and its windows are not scored until it has settled.
    Starting,
    /// The last window is like those of normal running.
    Normal,
    /// The last window is anomalous.
    Anomaly,
    /// No reading has arrived for too long.
    Stale,
    /// No detection is possible.
    Unknown,
}

impl PumpStatus {
    pub(crate) fn of(status: &Status) -> Self {
        match status {
            Status::Learning(_) => Self::Learning,
            Status::Off { .. } => Self::Off,
            Status::Starting { .. } => Self::Starting,
            Status::Unknown { .. } => Self::Unknown,
            Status::Normal => Self::Normal,
            Status::Anomaly => Self::Anomaly,
            Status::Stale => Self::Stale,
        }
    }
}

/// The progress towards the first detection.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum Learning {
    /// The window is filling.
    Window {
        /// The steps it has.
        have: usize,
        /// The steps it needs.
        need: usize,
    },
    /// The node is learning the pump's baseline.
    Commissioning {
        phase: CommissioningPhaseResponse,
        /// The hours of normal running so far.
        running_h: f64,
        /// The hours of normal running that are needed.
        needed_h: f64,
        /// Why the last attempt failed; null if none did.
        #[schema(required)]
        trouble: Option<String>,
    },
}

/// The phase of a commissioning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CommissioningPhase)]
pub(crate) enum CommissioningPhaseResponse {
    /// Readings of normal running are being collected.
    Gathering,
    /// Enough was collected; the pump's own threshold is being calculated.
    Calculating,
}

impl Learning {
    /// Returns the progress; none unless the status is learning.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        let hours = |ms: i64| ms as f64 / 3_600_000.0;
        match status {
            &Status::Learning(LearningProgress::Window { have, need }) => Some(Self::Window { have, need }),
            Status::Learning(LearningProgress::Commissioning { phase, running_ms, needed_ms, last_error }) => {
                let phase = match phase {
                    CommissioningPhase::Gathering => CommissioningPhaseResponse::Gathering,
                    CommissioningPhase::Calculating => CommissioningPhaseResponse::Calculating,
                };
                let (running_h, needed_h) = (hours(*running_ms), hours(*needed_ms));
                Some(Self::Commissioning {
                    phase,
                    running_h,
                    needed_h,
                    trouble: last_error.as_deref().map(str::to_owned),
                })
            }
            _ => None,
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Window { have, need } => format!("the window has {have} of {need} steps"),
            Self::Commissioning { phase, running_h, needed_h, trouble } => {
                let progress = match phase {
                    CommissioningPhaseResponse::Gathering => {
                        format!("{running_h:.1} of {needed_h} h of normal running")
                    }
                    CommissioningPhaseResponse::Calculating => "its threshold is being calculated".into(),
                };
                let trouble = trouble.as_ref().map(|trouble| format!("; before that: {trouble}")).unwrap_or_default();
                format!("the baseline is being learned: {progress}{trouble}")
            }
        }
    }
}

/// The properties of a pump's feed: how its readings arrive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedResponse {
    /// The length of a step of the pump's windows, in milliseconds.
    interval_ms: i64,
    /// Whether this step is set for the pump; if not, it is the interval of its profile.
    own_interval: bool,
    /// The time between its readings by the device's clock, in milliseconds; null if they are irregular, or too few so far.
    #[schema(required)]
    readings_every_ms: Option<i64>,
    /// The time between its posts, in milliseconds; null if they are irregular, or too few so far.
    #[schema(required)]
    posts_every_ms: Option<i64>,
    /// The time without a reading after which the pump is `STALE`, in milliseconds.
    stale_after_ms: i64,
    /// What to do about the feed; null if nothing.
    #[schema(required)]
    advice: Option<String>,
    /// The interval that the advice recommends, in milliseconds (`PUT /api/pumps/{id}/settings`); null for other advice.
    #[schema(required)]
    advised_interval_ms: Option<i64>,
}

impl From<&LiveCadence> for FeedResponse {
    fn from(cadence: &LiveCadence) -> Self {
        Self {
            interval_ms: cadence.interval_ms,
            own_interval: cadence.own_interval,
            readings_every_ms: cadence.readings_every_ms,
            posts_every_ms: cadence.posts_every_ms,
            stale_after_ms: cadence.stale_after_ms,
            advice: cadence.advice.as_ref().map(|advice| advice.text.clone()),
            advised_interval_ms: cadence.advice.as_ref().and_then(|advice| advice.interval_ms),
        }
    }
}

/// A pump's clock that is wrong, as of its last post.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ClockResponse {
    /// The device's time minus the time of receipt, in milliseconds: positive if the clock is ahead.
    offset_ms: i64,
    /// What is wrong, for example `its clock is 9 min ahead: its readings are refused`.
    #[schema(
        example = "its clock is 2 h behind: its readings are stored and scored by their own times, and raise no alarm"
    )]
    note: String,
}

impl From<ClockFault> for ClockResponse {
    fn from(fault: ClockFault) -> Self {
        Self { offset_ms: fault.offset_ms, note: fault.message() }
    }
}

/// Returns why there is no current detection, or what is special about the one that there is.
pub(crate) fn status_reason(live: &LivePump) -> Option<String> {
    match (&live.status, live.age_ms) {
        (status @ Status::Learning(_), _) => Learning::of(status).map(|learning| learning.description()),
        (Status::Off { stopping: false }, _) => Some("the pump is at standstill, so it is not judged".into()),
        (Status::Off { stopping: true }, _) => Some("the pump is stopping, so it is not judged".into()),
        (Status::Starting { have, need }, _) => Some(format!("it has run {have} of {need} steps since its start")),
        (Status::Unknown { reason }, _) => Some(reason.clone()),
        (Status::Stale, age_ms) => {
            let clock = live.clock.map(|fault| format!("{}; ", fault.message())).unwrap_or_default();
            Some(match age_ms {
                Some(age_ms) => format!("{clock}the last reading arrived {age_ms} ms ago"),
                None => format!("{clock}no reading has arrived since the node, or its live feed, was started"),
            })
        }
        (Status::Normal | Status::Anomaly, _) => live.note.as_deref().map(str::to_owned),
    }
}
