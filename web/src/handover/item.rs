//! One thing that a handover says.

use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::{PumpId, Timestamp};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct HandoverItem {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub(super) at: Timestamp,
    /// The pump that it is about; null if it is about the node itself, or several pumps.
    #[schema(value_type = Option<String>, required)]
    pub(super) pump_id: Option<PumpId>,
    /// What happened, as a text for people.
    #[schema(example = "Bearing too hot: approved: fine")]
    pub(super) text: String,
    /// Who did it; null if nobody did.
    #[schema(required, example = "user asha")]
    pub(super) by: Option<String>,
    /// The alarm's or event's id, or the work's; null for commands to pumps or several alarms.
    #[schema(required)]
    pub(super) id: Option<String>,
}
