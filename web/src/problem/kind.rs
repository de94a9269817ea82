//! The status and the type of each error of the API.

use actix_web::http::StatusCode;
use volute_actors::{AlarmCommandError, AssignProfileError, CommissionError, IngestError, RemoveKindError};
use volute_alarm::CommandError;

use super::{access_kind, error::ApiError, event_kind};
use crate::new_kinds::{AddKindError, DeleteKindError};

/// Returns the status, the last part of the type's URN, and the title.
pub(super) fn of(error: &ApiError) -> (StatusCode, &'static str, &'static str) {
    match error {
        ApiError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
        ApiError::NotJson { .. } => (StatusCode::BAD_REQUEST, "not-json", "The body is not JSON"),
        ApiError::NoItems => (StatusCode::BAD_REQUEST, "no-items", "The post is empty"),
        ApiError::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body did not arrive in time"),
        ApiError::UnreadableBody(_) => (StatusCode::BAD_REQUEST, "broken-body", "The body could not be read"),
        ApiError::TooManyItems { .. } | ApiError::BodyTooLarge { .. } | ApiError::PublicBodyTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The post is too large")
        }
        ApiError::UnsupportedMediaType { .. }
        | ApiError::UnsupportedCharset { .. }
        | ApiError::UnsupportedEncoding { .. } => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The format of the body is not supported")
        }
        ApiError::UnknownHost { .. } => {
            (StatusCode::MISDIRECTED_REQUEST, "unknown-host", "The request is for another host")
        }
        ApiError::CrossSite { .. } => (StatusCode::FORBIDDEN, "foreign-page", "The request comes from another site"),
        ApiError::Unauthenticated { .. } => (StatusCode::UNAUTHORIZED, "not-logged-in", "Credentials are needed"),
        ApiError::NotAllowed { .. } => (StatusCode::FORBIDDEN, "not-allowed", "This is not allowed"),
        ApiError::ForeignPumps { .. } => (StatusCode::FORBIDDEN, "foreign-pumps", "The token is for other pumps"),
        ApiError::LimitExceeded(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "limit-exceeded", "The client exceeds a limit of the node")
        }
        ApiError::NoSingleSignOn => {
            (StatusCode::NOT_FOUND, "no-single-sign-on", "There is no login at an identity provider")
        }
        ApiError::Access(error) => access_kind::of(error),
        ApiError::Alarm(CommandError::Unknown(_)) => (StatusCode::NOT_FOUND, "unknown-alarm", "The alarm is unknown"),
        ApiError::Alarm(CommandError::Value(_)) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
        ApiError::Alarm(CommandError::State { .. }) => {
            (StatusCode::CONFLICT, "alarm-state", "The alarm's state does not allow it")
        }
        ApiError::AlarmCommand(AlarmCommandError::UnknownPump(_)) => {
            (StatusCode::NOT_FOUND, "unknown-pump", "The pump is unknown")
        }
        ApiError::AlarmCommand(AlarmCommandError::Invalid(_)) => {
            (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed")
        }
        ApiError::AlarmCommand(AlarmCommandError::OtherVersion { .. }) => {
            (StatusCode::CONFLICT, "other-version", "Somebody else has changed it meanwhile")
        }
        ApiError::AlarmCommand(AlarmCommandError::NotStored) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "It is not stored yet")
        }
        ApiError::AlarmCommand(AlarmCommandError::NotReady | AlarmCommandError::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready")
        }
        ApiError::TooManyResponses | ApiError::TooManyReaders => {
            (StatusCode::SERVICE_UNAVAILABLE, "busy-reading", "The node is overloaded with queries")
        }
        ApiError::Event(error) => event_kind::of_event(error),
        ApiError::PlannedWork(error) => event_kind::of_work(error),
        ApiError::UnknownActor(_) => (StatusCode::NOT_FOUND, "unknown-actor", "The actor is unknown"),
        ApiError::UnknownPump(_) | ApiError::RefusedPump { .. } => {
            (StatusCode::NOT_FOUND, "unknown-pump", "The pump is unknown")
        }
        ApiError::AssignProfile(AssignProfileError::OtherChannels { .. }) => {
            (StatusCode::CONFLICT, "other-channels", "The pump has other channels")
        }
        ApiError::AssignProfile(AssignProfileError::Damaged { .. }) => {
            (StatusCode::CONFLICT, "profile-damaged", "The profile cannot be read")
        }
        ApiError::AssignProfile(_) => (StatusCode::NOT_FOUND, "unknown-profile", "The profile is unknown"),
        ApiError::AddKind(AddKindError::NameTaken { .. }) => {
            (StatusCode::CONFLICT, "profile-taken", "Another profile has this name")
        }
        ApiError::AddKind(AddKindError::IsDefaultKind { .. }) => {
            (StatusCode::CONFLICT, "profile-configured", "The profile is the node's configured one")
        }
        ApiError::AddKind(AddKindError::TooMany { .. }) => {
            (StatusCode::CONFLICT, "too-many-profiles", "The node has the maximum number of profiles")
        }
        ApiError::AddKind(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "profile-not-kept", "The profile could not be stored")
        }
        ApiError::DeleteKind(DeleteKindError::Refused(RemoveKindError::Unknown { .. })) => {
            (StatusCode::NOT_FOUND, "unknown-profile", "The profile is unknown")
        }
        ApiError::DeleteKind(DeleteKindError::Refused(RemoveKindError::Default { .. })) => {
            (StatusCode::CONFLICT, "profile-configured", "The profile is the node's configured one")
        }
        ApiError::DeleteKind(DeleteKindError::Refused(RemoveKindError::InUse { .. })) => {
            (StatusCode::CONFLICT, "profile-in-use", "Pumps have this profile")
        }
        ApiError::DeleteKind(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "profile-not-removed", "The profile could not be removed")
        }
        ApiError::Commissioning(CommissionError::UnknownVersion { .. }) => {
            (StatusCode::NOT_FOUND, "unknown-version", "The version is unknown")
        }
        ApiError::Commissioning(CommissionError::Insufficient(_)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "insufficient-readings", "There are not enough readings")
        }
        ApiError::Commissioning(CommissionError::NoModel) => (StatusCode::CONFLICT, "no-model", "No model is loaded"),
        ApiError::Commissioning(_) => (StatusCode::CONFLICT, "unusable-version", "This version cannot be used"),
        ApiError::BeingRemoved(_) => (StatusCode::CONFLICT, "being-removed", "The pump is being removed"),
        ApiError::SimulatedPump(_) => (StatusCode::CONFLICT, "simulated-pump", "The pump is simulated"),
        ApiError::NotADemo => (StatusCode::FORBIDDEN, "not-a-demo", "This node is not a demo"),
        ApiError::NoRoute { .. } => (StatusCode::NOT_FOUND, "not-found", "There is no such route"),
        ApiError::MethodNotAllowed { .. } => {
            (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed")
        }
        ApiError::Ingest(IngestError::Busy { .. }) => (StatusCode::TOO_MANY_REQUESTS, "busy", "The node is overloaded"),
        ApiError::Ingest(IngestError::NotStored { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "The readings may not be stored")
        }
        ApiError::Ingest(IngestError::Clock { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "clock", "The node's clock is not plausible")
        }
        ApiError::Ingest(IngestError::BeingRemoved { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "being-removed", "The pump is being removed")
        }
        ApiError::Ingest(IngestError::Deferred { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "deferred", "These readings cannot be taken at the moment")
        }
        ApiError::Ingest(IngestError::DiskFull) => (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
        ApiError::Ingest(IngestError::Stopping) => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The node is stopping")
        }
        ApiError::TooManySubscribers { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "too-many-subscribers", "There are too many live streams")
        }
        ApiError::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready"),
        ApiError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store is unavailable"),
    }
}
