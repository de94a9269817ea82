//! Alarms as they are sent.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::AlarmSummary;
use volute_alarm::Priority;

/// How many alarms of a pump stand, and how urgent they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmSummaryResponse {
    /// How many stand: raised, and not yet over, acknowledged and reset.
    standing: u32,
    /// How many of these nobody has acknowledged.
    unacknowledged: u32,
    /// The highest priority of those that stand: `low`, `medium`, `high` or `critical`; null if none does.
    #[schema(value_type = Option<String>, required)]
    highest: Option<Priority>,
    /// The highest priority of those that nobody has acknowledged; null if there are none.
    #[schema(value_type = Option<String>, required)]
    highest_unacknowledged: Option<Priority>,
    /// How many are shelved or out of service.
    set_aside: u32,
}

impl AlarmSummaryResponse {
    /// Converts the engine's summary.
    pub(crate) fn of(summary: &AlarmSummary) -> Self {
        let AlarmSummary { standing, unacknowledged, highest, highest_unacknowledged, set_aside } = *summary;
        Self { standing, unacknowledged, highest, highest_unacknowledged, set_aside }
    }
}
