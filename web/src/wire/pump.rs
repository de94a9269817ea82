//! How a pump is, as it is sent: its status and why, how far it has learned, its feed and its clock.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::{CommissioningPhase, LearningProgress, LiveFeedState, LivePump, Status};
use volute_plant::ClockFault;

/// How a pump is, as far as the model can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum PumpStatus {
    /// No verdict yet: the window is filling, or the node learns what is normal for this pump.
    Learning,
    /// The pump stands or runs down, and is not judged.
    Off,
    /// The pump has just started, and is not judged until it has settled.
    Starting,
    /// The last window is like those the model was trained on.
    Normal,
    /// It is not.
    Anomaly,
    /// Nothing was heard for too long.
    Stale,
    /// No verdict is possible.
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

/// How far it is to the first verdict.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum Learning {
    /// The window is filling.
    Window {
        /// Steps so far.
        have: usize,
        /// Steps it takes.
        need: usize,
    },
    /// The node learns what is normal for this pump.
    Commissioning {
        phase: Phase,
        /// Hours of normal running so far.
        running_h: f64,
        /// Hours of normal running that it takes.
        needed_h: f64,
        /// What went wrong the last time; null if nothing did.
        #[schema(required)]
        trouble: Option<String>,
    },
}

/// What commissioning is at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CommissioningPhase)]
pub(crate) enum Phase {
    /// Normal running is gathered.
    Gathering,
    /// There is enough of it, and the pump's own threshold is being calculated.
    Calculating,
}

impl Learning {
    /// None where the status is another.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        let hours = |ms: i64| ms as f64 / 3_600_000.0;
        match status {
            &Status::Learning(LearningProgress::Window { have, need }) => Some(Self::Window { have, need }),
            Status::Learning(LearningProgress::Commissioning { phase, running_ms, needed_ms, trouble }) => {
                let phase = match phase {
                    CommissioningPhase::Gathering => Phase::Gathering,
                    CommissioningPhase::Calculating => Phase::Calculating,
                };
                let (running_h, needed_h) = (hours(*running_ms), hours(*needed_ms));
                Some(Self::Commissioning { phase, running_h, needed_h, trouble: trouble.as_deref().map(str::to_owned) })
            }
            _ => None,
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Window { have, need } => format!("the window has {have} of {need} steps"),
            Self::Commissioning { phase, running_h, needed_h, trouble } => {
                let far = match phase {
                    Phase::Gathering => format!("{running_h:.1} of {needed_h} h of normal running"),
                    Phase::Calculating => "its threshold is being calculated".into(),
                };
                let trouble = trouble.as_ref().map(|trouble| format!("; before that: {trouble}")).unwrap_or_default();
                format!("what is normal is being learned: {far}{trouble}")
            }
        }
    }
}

/// What a pump's feed is like.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedResponse {
    /// The steps that its windows are made of, in milliseconds.
    interval_ms: i64,
    /// Whether these are its own, and not its profile's.
    own_interval: bool,
    /// How far apart its readings are by the device's clock, in milliseconds; null where they are irregular, or too few yet.
    #[schema(required)]
    readings_every_ms: Option<i64>,
    /// How far apart its posts are, in milliseconds; null likewise.
    #[schema(required)]
    posts_every_ms: Option<i64>,
    /// It is stale once it was silent for this long, in milliseconds.
    stale_after_ms: i64,
    /// What should be done about it; null: nothing.
    #[schema(required)]
    advice: Option<String>,
    /// The interval that the advice is to set, in milliseconds (`PUT /api/pumps/{id}/settings`); null where it is another.
    #[schema(required)]
    advised_interval_ms: Option<i64>,
}

impl From<&LiveFeedState> for FeedResponse {
    fn from(feed: &LiveFeedState) -> Self {
        Self {
            interval_ms: feed.interval_ms,
            own_interval: feed.own_interval,
            readings_every_ms: feed.readings_every_ms,
            posts_every_ms: feed.posts_every_ms,
            stale_after_ms: feed.stale_after_ms,
            advice: feed.advice.as_ref().map(|advice| advice.text.clone()),
            advised_interval_ms: feed.advice.as_ref().and_then(|advice| advice.interval_ms),
        }
    }
}

/// A pump's clock that is wrong, by its last post.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ClockResponse {
    /// The device's time less the time of receipt, in milliseconds: above zero where the clock is ahead.
    offset_ms: i64,
    /// What is wrong, as `its clock is 9 min ahead: its readings are refused`.
    #[schema(
        example = "its clock is 2 h behind: its readings are stored and scored by their own times, and raise no alarm"
    )]
    note: String,
}

impl From<ClockFault> for ClockResponse {
    fn from(fault: ClockFault) -> Self {
        Self { offset_ms: fault.offset_ms, note: fault.note() }
    }
}

/// Why there is no verdict, where there is none.
pub(crate) fn status_reason(live: &LivePump) -> Option<String> {
    match (&live.status, live.age_ms) {
        (status @ Status::Learning(_), _) => Learning::of(status).map(|learning| learning.in_words()),
        (Status::Off { stopping: false }, _) => Some("the pump stands, so it is not judged".into()),
        (Status::Off { stopping: true }, _) => Some("the pump runs down, so it is not judged".into()),
        (Status::Starting { have, need }, _) => Some(format!("it has run {have} of {need} steps since its start")),
        (Status::Unknown { reason }, _) => Some(reason.clone()),
        (Status::Stale, age_ms) => {
            let clock = live.clock.map(|fault| format!("{}; ", fault.note())).unwrap_or_default();
            Some(match age_ms {
                Some(age_ms) => format!("{clock}the last reading came {age_ms} ms ago"),
                None => format!("{clock}no reading has come since the node, or its live feed, was started"),
            })
        }
        (Status::Normal | Status::Anomaly, _) => None,
    }
}
