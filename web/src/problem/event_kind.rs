//! The problems of maintenance events and planned work.

use actix_web::http::StatusCode;
use volute_actors::{EventWorkError, PlannedWorkError};
use volute_plant::event_status::StatusError;

type Kind = (StatusCode, &'static str, &'static str);

const NOT_STORED: Kind = (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "It is not stored yet");
const NOT_READY: Kind = (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready");

/// Returns the status, the last part of the type's URN, and the title.
pub(super) fn of_event(error: &EventWorkError) -> Kind {
    match error {
        EventWorkError::UnknownEvent(_) => (StatusCode::NOT_FOUND, "unknown-event", "The event is unknown"),
        EventWorkError::Refused(StatusError::NeedsComment { .. }) => {
            (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed")
        }
        EventWorkError::Refused(StatusError::OwnPlan { .. }) => {
            (StatusCode::CONFLICT, "own-plan", "Somebody else must decide")
        }
        EventWorkError::Refused(StatusError::Stale { .. }) => {
            (StatusCode::CONFLICT, "event-changed", "Somebody else has changed the event")
        }
        EventWorkError::Refused(StatusError::NotNow { .. } | StatusError::TooMany) => {
            (StatusCode::CONFLICT, "event-status", "The event's status does not allow it")
        }
        EventWorkError::NotStored => NOT_STORED,
        EventWorkError::Unavailable => NOT_READY,
    }
}

/// Returns the status, the last part of the type's URN, and the title.
pub(super) fn of_work(error: &PlannedWorkError) -> Kind {
    match error {
        PlannedWorkError::UnknownPump(_) => (StatusCode::NOT_FOUND, "unknown-pump", "The pump is unknown"),
        PlannedWorkError::UnknownWork { .. } => (StatusCode::NOT_FOUND, "unknown-work", "The work is unknown"),
        PlannedWorkError::Times(_) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
        PlannedWorkError::TooMany => (StatusCode::CONFLICT, "too-many-works", "The pump has too many planned works"),
        PlannedWorkError::NotStored => NOT_STORED,
        PlannedWorkError::Unavailable => NOT_READY,
    }
}
