//! The errors of the API, and their conversion to problem details (RFC 9457).
//!
//! Does not handle the outcomes of single items of a post; see `routes/ingest.rs`.

mod access_kind;
mod event_kind;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_access::Permission;
use volute_actors::{
    AlarmCommandError, AssignProfileError, CommissionError, EventWorkError, IngestError, PlannedWorkError,
    RemoveKindError, RemovePumpError,
};
use volute_alarm::CommandError;
use volute_data::StoreError;
use volute_plant::{Comment, PumpId, event_status::StatusError};

use crate::{
    access::ChangeError,
    invalid_value::InvalidValue,
    new_kinds::{AddKindError, DeleteKindError},
};

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The default of `Retry-After`, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// `Retry-After` if a person must free disk space first, in seconds.
const DISK_RETRY_AFTER_S: u64 = 10;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{}", .0.message)]
    Invalid(InvalidValue),
    #[error("the body is not JSON: {reason}")]
    NotJson { line: usize, column: usize, reason: String },
    #[error("the post has no items; allowed: an object, an array of objects, or one object per line")]
    NoItems,
    #[error("more than {limit} items in one post; allowed: at most {limit}; send them in several posts")]
    TooManyItems { limit: usize },
    #[error(
        "the body is larger than {limit_bytes} bytes (server.max_body_bytes; if it is compressed, of its decompressed bytes)"
    )]
    BodyTooLarge { limit_bytes: usize },
    #[error("the body must have a Content-Length of at most {limit_bytes}")]
    PublicBodyTooLarge { limit_bytes: usize },
    #[error("the body could not be read: {0}")]
    UnreadableBody(String),
    #[error(
        "the body arrived too slowly; a body of up to {bytes} bytes must arrive within {window_s} s, a longer one with that \
         many bytes in every {window_s} s, and within {limit_s} s"
    )]
    SlowBody { bytes: u64, window_s: u64, limit_s: u64 },
    #[error("Content-Type {sent:?}; send Content-Type: {allowed}")]
    UnsupportedMediaType { sent: String, allowed: &'static str },
    #[error("the body's text is in {sent:?}; send it in UTF-8")]
    UnsupportedCharset { sent: String },
    #[error("Content-Encoding {sent:?}; allowed: gzip, identity")]
    UnsupportedEncoding { sent: String },
    #[error("no reading of {0} is stored; its readings may have been refused: see the responses to its posts")]
    UnknownPump(PumpId),
    #[error("no reading of {pump} is stored; the last one that it sent was refused: {why}")]
    RefusedPump { pump: PumpId, why: String },
    #[error("there is no actor and no stage {0:?}")]
    UnknownActor(String),
    #[error("there is no route {path}")]
    NoRoute { path: String },
    #[error("{method} is not allowed on this path; allowed: {allow}")]
    MethodNotAllowed { method: String, allow: String },
    #[error(
        "{host:?} is not a known name of this node; add it to server.allowed_hosts in its configuration, or use its IP address"
    )]
    UnknownHost { host: String },
    #[error(
        "requests from pages of other sites are refused ({header}: {value}); sites in server.allowed_hosts are allowed"
    )]
    CrossSite { header: &'static str, value: String },
    #[error("not allowed: {reason}")]
    Unauthenticated { reason: String },
    #[error("{who} may not do this{}", needed(*.permission))]
    NotAllowed { who: String, permission: Option<Permission> },
    #[error("{who} may post readings of none of these pumps")]
    ForeignPumps { who: String },
    #[error("no identity provider is configured (access.oidc.issuer)")]
    NoSingleSignOn,
    #[error(transparent)]
    Access(ChangeError),
    #[error("too many responses wait to be read by their clients (server.max_in_flight_response_bytes)")]
    TooManyResponses,
    #[error("too many queries of stored data are in progress")]
    TooManyReaders,
    #[error(transparent)]
    Alarm(CommandError),
    #[error(transparent)]
    AlarmCommand(AlarmCommandError),
    #[error(transparent)]
    Event(EventWorkError),
    #[error(transparent)]
    PlannedWork(PlannedWorkError),
    #[error("this node watches real pumps: only a demo (volute serve --demo) simulates")]
    NotADemo,
    #[error(transparent)]
    Commissioning(CommissionError),
    #[error("{0} is being removed already")]
    BeingRemoved(PumpId),
    #[error(transparent)]
    AssignProfile(AssignProfileError),
    #[error(transparent)]
    AddKind(AddKindError),
    #[error(transparent)]
    DeleteKind(#[from] DeleteKindError),
    #[error(
        "{0} is simulated and would be registered again at once; stop the simulation first (POST /api/stop-simulation)"
    )]
    SimulatedPump(PumpId),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error("all {limit} live streams are in use")]
    TooManySubscribers { limit: usize },
    #[error("{0}")]
    NotReady(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A problem (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The type of the problem, as a URN.
    #[serde(rename = "type")]
    #[schema(example = "urn:volute:problem:invalid-value")]
    kind: String,
    /// The type, for people.
    title: &'static str,
    /// The HTTP status of the response.
    status: u16,
    /// What went wrong with this request.
    detail: String,
    /// The field whose value is not allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The field's value as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// The allowed values of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    /// The line of the body at which it stops being JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column at which the body stops being JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl ApiError {
    /// Creates the error of a query parameter or header whose value is not allowed.
    pub(crate) fn invalid(field: &str, value: &str, allowed: impl Into<String>, reason: &str) -> Self {
        Self::Invalid(InvalidValue::new(field, value.into(), allowed, reason))
    }

    /// Creates the error of a body that is not JSON.
    pub(crate) fn not_json(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let reason = match error.is_eof() {
            true => format!("it ends too early, at line {line} column {column}"),
            false => error.to_string(),
        };
        Self::NotJson { line, column, reason }
    }

    /// Returns the status, the last part of the type's URN, and the title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
            Self::NotJson { .. } => (StatusCode::BAD_REQUEST, "not-json", "The body is not JSON"),
            Self::NoItems => (StatusCode::BAD_REQUEST, "no-items", "The post is empty"),
            Self::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body did not arrive in time"),
            Self::UnreadableBody(_) => (StatusCode::BAD_REQUEST, "broken-body", "The body could not be read"),
            Self::TooManyItems { .. } | Self::BodyTooLarge { .. } | Self::PublicBodyTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The post is too large")
            }
            Self::UnsupportedMediaType { .. } | Self::UnsupportedCharset { .. } | Self::UnsupportedEncoding { .. } => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The format of the body is not supported",
            ),
            Self::UnknownHost { .. } => {
                (StatusCode::MISDIRECTED_REQUEST, "unknown-host", "The request is for another host")
            }
            Self::CrossSite { .. } => (StatusCode::FORBIDDEN, "foreign-page", "The request comes from another site"),
            Self::Unauthenticated { .. } => (StatusCode::UNAUTHORIZED, "not-logged-in", "Credentials are needed"),
            Self::NotAllowed { .. } => (StatusCode::FORBIDDEN, "not-allowed", "This is not allowed"),
            Self::ForeignPumps { .. } => (StatusCode::FORBIDDEN, "foreign-pumps", "The token is for other pumps"),
            Self::NoSingleSignOn => {
                (StatusCode::NOT_FOUND, "no-single-sign-on", "There is no login at an identity provider")
            }
            Self::Access(error) => access_kind::of(error),
            Self::TooManyResponses | Self::TooManyReaders => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy-reading", "The node is overloaded with queries")
            }
            Self::Alarm(CommandError::Unknown(_)) => (StatusCode::NOT_FOUND, "unknown-alarm", "The alarm is unknown"),
            Self::Alarm(CommandError::Value(_)) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
            Self::Alarm(CommandError::State { .. }) => {
                (StatusCode::CONFLICT, "alarm-state", "The alarm's state does not allow it")
            }
            Self::AlarmCommand(AlarmCommandError::UnknownPump(_)) => {
                (StatusCode::NOT_FOUND, "unknown-pump", "The pump is unknown")
            }
            Self::AlarmCommand(AlarmCommandError::Invalid(_)) => {
                (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed")
            }
            Self::AlarmCommand(AlarmCommandError::NotStored) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "It is not stored yet")
            }
            Self::AlarmCommand(AlarmCommandError::NotReady | AlarmCommandError::Unavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready")
            }
            Self::Event(error) => event_kind::of_event(error),
            Self::PlannedWork(error) => event_kind::of_work(error),
            Self::UnknownActor(_) => (StatusCode::NOT_FOUND, "unknown-actor", "The actor is unknown"),
            Self::UnknownPump(_) | Self::RefusedPump { .. } => {
                (StatusCode::NOT_FOUND, "unknown-pump", "The pump is unknown")
            }
            Self::AssignProfile(AssignProfileError::OtherChannels { .. }) => {
                (StatusCode::CONFLICT, "other-channels", "The pump has other channels")
            }
            Self::AssignProfile(AssignProfileError::Damaged { .. }) => {
                (StatusCode::CONFLICT, "profile-damaged", "The profile cannot be read")
            }
            Self::AssignProfile(_) => (StatusCode::NOT_FOUND, "unknown-profile", "The profile is unknown"),
            Self::AddKind(AddKindError::NameTaken { .. }) => {
                (StatusCode::CONFLICT, "profile-taken", "Another profile has this name")
            }
            Self::AddKind(AddKindError::Configured { .. }) => {
                (StatusCode::CONFLICT, "profile-configured", "The profile is the node's configured one")
            }
            Self::AddKind(AddKindError::TooMany { .. }) => {
                (StatusCode::CONFLICT, "too-many-profiles", "The node has the maximum number of profiles")
            }
            Self::AddKind(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "profile-not-kept", "The profile could not be stored")
            }
            Self::DeleteKind(DeleteKindError::Refused(RemoveKindError::Unknown { .. })) => {
                (StatusCode::NOT_FOUND, "unknown-profile", "The profile is unknown")
            }
            Self::DeleteKind(DeleteKindError::Refused(RemoveKindError::Default { .. })) => {
                (StatusCode::CONFLICT, "profile-configured", "The profile is the node's configured one")
            }
            Self::DeleteKind(DeleteKindError::Refused(RemoveKindError::InUse { .. })) => {
                (StatusCode::CONFLICT, "profile-in-use", "Pumps have this profile")
            }
            Self::DeleteKind(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "profile-not-removed", "The profile could not be removed")
            }
            Self::Commissioning(CommissionError::UnknownVersion { .. }) => {
                (StatusCode::NOT_FOUND, "unknown-version", "The version is unknown")
            }
            Self::Commissioning(CommissionError::Insufficient(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "insufficient-readings", "There are not enough readings")
            }
            Self::Commissioning(CommissionError::NoModel) => (StatusCode::CONFLICT, "no-model", "No model is loaded"),
            Self::Commissioning(_) => (StatusCode::CONFLICT, "unusable-version", "This version cannot be used"),
            Self::BeingRemoved(_) => (StatusCode::CONFLICT, "being-removed", "The pump is being removed"),
            Self::SimulatedPump(_) => (StatusCode::CONFLICT, "simulated-pump", "The pump is simulated"),
            Self::NotADemo => (StatusCode::FORBIDDEN, "not-a-demo", "This node is not a demo"),
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, "not-found", "There is no such route"),
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed")
            }
            Self::Ingest(IngestError::Busy { .. }) => (StatusCode::TOO_MANY_REQUESTS, "busy", "The node is overloaded"),
            Self::Ingest(IngestError::NotStored { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "The readings may not be stored")
            }
            Self::Ingest(IngestError::Clock { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "clock", "The node's clock is not plausible")
            }
            Self::Ingest(IngestError::BeingRemoved { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "being-removed", "The pump is being removed")
            }
            Self::Ingest(IngestError::Deferred { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "deferred", "These readings cannot be taken at the moment")
            }
            Self::Ingest(IngestError::DiskFull) => (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
            Self::Ingest(IngestError::Stopping) => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The node is stopping")
            }
            Self::TooManySubscribers { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-subscribers", "There are too many live streams")
            }
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store is unavailable"),
        }
    }

    fn problem(&self) -> Problem {
        let (status, name, title) = self.kind();
        let (kind, detail) = (format!("urn:volute:problem:{name}"), self.detail());
        let base = Problem {
            kind,
            title,
            status: status.as_u16(),
            detail,
            field: None,
            value: None,
            allowed: None,
            line: None,
            column: None,
        };
        let with_field =
            |field: &str, value: Value, allowed: String| (Some(field.to_owned()), Some(value), Some(allowed));
        let (field, value, allowed) = match self {
            Self::Invalid(error) => with_field(&error.field, error.value.clone(), error.allowed.clone()),
            Self::UnknownPump(pump) | Self::RefusedPump { pump, .. } => {
                with_field("pump_id", pump.as_str().into(), "a pump with a stored reading; see /api/pumps".into())
            }
            Self::AddKind(AddKindError::NameTaken { name } | AddKindError::Configured { name }) => {
                with_field("name", name.as_str().into(), "a name that no profile has, or the same profile".into())
            }
            Self::DeleteKind(DeleteKindError::Refused(
                RemoveKindError::Default { name } | RemoveKindError::InUse { name, .. },
            )) => with_field("name", name.as_str().into(), "an added profile that no pump has".into()),
            Self::Event(EventWorkError::UnknownEvent(key)) => {
                with_field("id", key.to_string().into(), "the id of an event; see /api/maintenance-events".into())
            }
            Self::Event(EventWorkError::Refused(StatusError::NotNow { action, allowed, .. })) => {
                with_field("action", (*action).into(), allowed.clone())
            }
            Self::Event(EventWorkError::Refused(StatusError::OwnPlan { action, by })) => {
                let allowed = format!("somebody other than {by}");
                with_field("action", (*action).into(), allowed)
            }
            Self::Event(EventWorkError::Refused(StatusError::NeedsComment { .. })) => {
                with_field("comment", Value::Null, Comment::ALLOWED.into())
            }
            Self::PlannedWork(PlannedWorkError::UnknownPump(pump)) => {
                with_field("id", pump.as_str().into(), "a pump with a stored reading; see /api/pumps".into())
            }
            Self::PlannedWork(PlannedWorkError::UnknownWork { id, .. }) => {
                with_field("work", id.as_str().into(), "work that is not over; see /api/planned-work".into())
            }
            Self::UnknownActor(id) => with_field("id", id.as_str().into(), "an id or a stage; see /api/actors".into()),
            Self::UnsupportedMediaType { sent, allowed } => {
                with_field("Content-Type", sent.as_str().into(), (*allowed).into())
            }
            Self::UnknownHost { host } => with_field(
                "Host",
                host.as_str().into(),
                "an IP address, this machine's name, or one of server.allowed_hosts".into(),
            ),
            Self::CrossSite { header, value } => {
                let allowed = match *header {
                    "Origin" => "the node's own address, or one of server.allowed_hosts",
                    _ => "same-origin, none",
                };
                with_field(header, value.as_str().into(), allowed.into())
            }
            Self::UnsupportedEncoding { sent } => {
                with_field("Content-Encoding", sent.as_str().into(), "gzip, identity".into())
            }
            Self::NotJson { line, column, .. } => {
                return Problem { line: Some(*line), column: Some(*column), ..base };
            }
            _ => return base,
        };
        Problem { field, value, allowed, ..base }
    }

    /// Returns the message for clients. Messages of the store and the disk are not included.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Store(_) => "stored data cannot be read at the moment".into(),
            Self::Access(ChangeError::Store(_)) => "the change could not be stored; trying again is safe".into(),
            Self::AddKind(AddKindError::NotStored(_)) => {
                "the profile could not be written to the node's disk, or read back; adding it again is safe".into()
            }
            Self::DeleteKind(DeleteKindError::NotDeleted(_)) => {
                "the profile could not be deleted from the node's disk; it stays".into()
            }
            other => other.to_string(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Ingest(
                IngestError::Busy { retry_after_s, .. }
                | IngestError::NotStored { retry_after_s }
                | IngestError::Clock { retry_after_s, .. }
                | IngestError::BeingRemoved { retry_after_s }
                | IngestError::Deferred { retry_after_s, .. },
            ) => Some(*retry_after_s),
            Self::Ingest(IngestError::DiskFull) => Some(DISK_RETRY_AFTER_S),
            Self::Access(ChangeError::LockedOut(locked_out)) => Some(locked_out.retry_after_s),
            Self::Access(ChangeError::Busy | ChangeError::Unavailable | ChangeError::Store(_)) => Some(RETRY_AFTER_S),
            Self::AddKind(AddKindError::NotStored(_)) | Self::DeleteKind(DeleteKindError::NotDeleted(_)) => {
                Some(DISK_RETRY_AFTER_S)
            }
            Self::DeleteKind(DeleteKindError::Refused(RemoveKindError::Unavailable)) => Some(RETRY_AFTER_S),
            Self::Event(EventWorkError::Unavailable | EventWorkError::NotStored)
            | Self::PlannedWork(PlannedWorkError::Unavailable | PlannedWorkError::NotStored) => Some(RETRY_AFTER_S),
            Self::TooManySubscribers { .. } | Self::Store(_) | Self::TooManyResponses | Self::TooManyReaders => {
                Some(RETRY_AFTER_S)
            }
            _ => None,
        }
    }
}

/// Returns the needed permission, for error messages.
fn needed(permission: Option<Permission>) -> String {
    permission.map(|permission| format!("; it needs the permission {}", permission.as_str())).unwrap_or_default()
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        Self::Access(error)
    }
}

impl From<AssignProfileError> for ApiError {
    fn from(error: AssignProfileError) -> Self {
        match error {
            AssignProfileError::StopFailed(error) => error.into(),
            AssignProfileError::Store(error) => error.into(),
            error @ (AssignProfileError::UnknownProfile { .. }
            | AssignProfileError::Damaged { .. }
            | AssignProfileError::OtherChannels { .. }) => Self::AssignProfile(error),
        }
    }
}

impl From<AddKindError> for ApiError {
    fn from(error: AddKindError) -> Self {
        match error {
            AddKindError::Invalid(error) => Self::Invalid(error.into()),
            AddKindError::DiskFull => IngestError::DiskFull.into(),
            error @ (AddKindError::NameTaken { .. }
            | AddKindError::Configured { .. }
            | AddKindError::TooMany { .. }
            | AddKindError::NotStored(_)) => Self::AddKind(error),
        }
    }
}

impl From<RemovePumpError> for ApiError {
    fn from(error: RemovePumpError) -> Self {
        match error {
            RemovePumpError::UnknownPump(pump) => Self::UnknownPump(pump),
            RemovePumpError::InProgress(pump) => Self::BeingRemoved(pump),
            RemovePumpError::Ingest(error) => error.into(),
            RemovePumpError::ActorFailed => Self::NotReady(error.to_string()),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        match self {
            Self::MethodNotAllowed { allow, .. } => {
                response.insert_header((header::ALLOW, allow.as_str()));
            }
            // RFC 9110, section 11.6.1: a 401 names the scheme that the node takes.
            Self::Unauthenticated { .. } => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            // RFC 9110, section 15.5.16: tells the client that the coding is refused, not the media type.
            Self::UnsupportedEncoding { .. } => {
                response.insert_header((header::ACCEPT_ENCODING, "gzip, identity"));
            }
            _ => {}
        }
        response.json(self.problem())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::json;
    use volute_actors::Queue;

    use super::*;

    async fn response(error: ApiError) -> (u16, header::HeaderMap, Value) {
        let response = error.error_response();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.expect("a body");
        (status, headers, serde_json::from_slice(&body).expect("JSON"))
    }

    #[actix_web::test]
    async fn an_invalid_value_has_its_field_and_the_allowed_values() {
        let (status, headers, body) = response(ApiError::invalid("limit", "-1", "1 to 10", "not a limit")).await;
        assert_eq!((status, headers.get("content-type")), (400, Some(&header::HeaderValue::from_static(PROBLEM_JSON))));
        assert_eq!(
            body,
            json!({
                "type": "urn:volute:problem:invalid-value",
                "title": "A value is not allowed",
                "status": 400,
                "detail": "limit: not a limit; allowed: 1 to 10",
                "field": "limit",
                "value": "-1",
                "allowed": "1 to 10",
            })
        );
    }

    #[actix_web::test]
    async fn each_ingest_error_has_its_status_and_retry_after() {
        for (error, status, retry_after) in [
            (IngestError::Busy { queue: Queue::Ingress, retry_after_s: 2 }, 429, Some("2")),
            (IngestError::NotStored { retry_after_s: 5 }, 503, Some("5")),
            (IngestError::Clock { reason: "it is 1970".into(), retry_after_s: 10 }, 503, Some("10")),
            (IngestError::DiskFull, 507, Some("10")),
            (IngestError::Stopping, 503, None),
        ] {
            let (found, headers, body) = response(error.into()).await;
            assert_eq!((found, &body["status"]), (status, &json!(status)));
            assert_eq!(headers.get("retry-after").and_then(|v| v.to_str().ok()), retry_after);
        }
    }

    #[actix_web::test]
    async fn invalid_json_has_its_line_and_column() {
        let (_, _, body) = response(ApiError::NotJson { line: 3, column: 7, reason: "expected `,`".into() }).await;
        assert_eq!((&body["line"], &body["column"], body.get("field")), (&json!(3), &json!(7), None));
    }
}
