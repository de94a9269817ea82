//! What goes wrong at this edge, and how the API says so: problem details after RFC 9457.
//!
//! Does not handle what becomes of single items of a post: their answer is a receipt.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{AssignRefusal, CommissionRefusal, Refusal, RemovalRefusal};
use volute_data::StoreError;
use volute_plant::PumpId;

use crate::{invalid_value::InvalidValue, new_kinds::AddKindError};

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to try again after a failure that has no better guess, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// When to try again where a person has to free some room first.
const DISK_RETRY_AFTER_S: u64 = 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{}", .0.message)]
    Invalid(InvalidValue),
    #[error("the body is not JSON: {reason}")]
    NotJson { line: usize, column: usize, reason: String },
    #[error("the post holds no item; allowed: an object, an array of objects, or one object per line")]
    NoItems,
    #[error("more than {limit} items in one post; allowed: up to {limit}, so send them in several posts")]
    TooManyItems { limit: usize },
    #[error("the body is larger than {limit_bytes} bytes (server.max_body_bytes; of a compressed one, what comes out)")]
    TooLarge { limit_bytes: usize },
    #[error("the body could not be read: {0}")]
    Body(String),
    #[error(
        "the body came too slowly; a body of up to {bytes} bytes has to come within {window_s} s, a longer one with that \
         many bytes in every {window_s} s, and within {limit_s} s"
    )]
    SlowBody { bytes: u64, window_s: u64, limit_s: u64 },
    #[error("Content-Type {sent:?}; send Content-Type: {allowed}")]
    MediaType { sent: String, allowed: &'static str },
    #[error("the body's text is in {sent:?}; send it in UTF-8")]
    Charset { sent: String },
    #[error("Content-Encoding {sent:?}; allowed: gzip, identity")]
    ContentEncoding { sent: String },
    #[error("no reading of {0} is stored; what it sent may have been refused: see the answers to its posts")]
    UnknownPump(PumpId),
    #[error("no reading of {pump} is stored; the last one that it sent was refused: {why}")]
    RefusedPump { pump: PumpId, why: String },
    #[error("there is no actor and no stage {0:?}")]
    UnknownActor(String),
    #[error("nothing is at {path}")]
    NoRoute { path: String },
    #[error("{method} is not for this path; allowed: {allow}")]
    Method { method: String, allow: &'static str },
    #[error(
        "this node is not known as {host:?}; add that name to server.allowed_hosts in its configuration, or use its IP address"
    )]
    UnknownHost { host: String },
    #[error(
        "a page of another site may not do this ({header}: {value}); a site that may is named in server.allowed_hosts"
    )]
    ForeignPage { header: &'static str, value: String },
    #[error("too many answers wait to be read by their clients (server.max_in_flight_response_bytes)")]
    ManyResponses,
    #[error("too many questions about what is stored are being answered")]
    ManyReaders,
    #[error("this node watches real pumps: only a demo (volute serve --demo) simulates")]
    NotADemo,
    #[error(transparent)]
    Commissioning(CommissionRefusal),
    #[error("{0} is being removed already")]
    BeingRemoved(PumpId),
    #[error(transparent)]
    Profile(AssignRefusal),
    #[error(transparent)]
    NotAdded(AddKindError),
    #[error("{0} is simulated and would come again at once: stop the simulation first (POST /api/stop-simulation)")]
    SimulatedPump(PumpId),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("all {limit} live streams are taken")]
    Subscribers { limit: usize },
    #[error("{0}")]
    NotReady(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A problem (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of problem it is; the same for all of its kind.
    #[serde(rename = "type")]
    #[schema(example = "urn:volute:problem:invalid-value")]
    kind: String,
    /// The kind, for people.
    title: &'static str,
    /// The answer's HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What the field held, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// What the field may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    /// Where the body stops being JSON: the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Where the body stops being JSON: the column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl ApiError {
    /// A query parameter or header that holds what it may not.
    pub(crate) fn invalid(field: &str, value: &str, allowed: impl Into<String>, reason: &str) -> Self {
        Self::Invalid(InvalidValue::new(field, value.into(), allowed, reason))
    }

    /// A body that stops being JSON somewhere.
    pub(crate) fn not_json(error: serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column(), reason: error.to_string() }
    }

    /// Status, name and title of the kind.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed"),
            Self::NotJson { .. } => (StatusCode::BAD_REQUEST, "not-json", "The body is not JSON"),
            Self::NoItems => (StatusCode::BAD_REQUEST, "no-items", "The post is empty"),
            Self::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body did not come in time"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "broken-body", "The body could not be read"),
            Self::TooManyItems { .. } | Self::TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The post is too large")
            }
            Self::MediaType { .. } | Self::Charset { .. } | Self::ContentEncoding { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body's form is not supported")
            }
            Self::UnknownHost { .. } => {
                (StatusCode::MISDIRECTED_REQUEST, "unknown-host", "The request is for another host")
            }
            Self::ForeignPage { .. } => (StatusCode::FORBIDDEN, "foreign-page", "The request comes from another site"),
            Self::ManyResponses | Self::ManyReaders => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy-reading", "The node has more to answer than it can")
            }
            Self::UnknownActor(_) => (StatusCode::NOT_FOUND, "unknown-actor", "There is no such actor"),
            Self::UnknownPump(_) | Self::RefusedPump { .. } => {
                (StatusCode::NOT_FOUND, "unknown-pump", "The pump is not known")
            }
            Self::Profile(AssignRefusal::OtherChannels { .. }) => {
                (StatusCode::CONFLICT, "other-channels", "The pump has other channels")
            }
            Self::Profile(_) => (StatusCode::NOT_FOUND, "unknown-profile", "No such profile"),
            Self::NotAdded(AddKindError::Taken { .. }) => {
                (StatusCode::CONFLICT, "profile-taken", "There is another profile of this name")
            }
            Self::NotAdded(AddKindError::Full { .. }) => {
                (StatusCode::CONFLICT, "too-many-profiles", "The node has as many profiles as it may have")
            }
            Self::NotAdded(_) => (StatusCode::SERVICE_UNAVAILABLE, "profile-not-kept", "The profile could not be kept"),
            Self::Commissioning(CommissionRefusal::UnknownVersion { .. }) => {
                (StatusCode::NOT_FOUND, "unknown-version", "There is no such version")
            }
            Self::Commissioning(CommissionRefusal::Insufficient(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "insufficient-readings", "These readings do not suffice")
            }
            Self::Commissioning(CommissionRefusal::NoModel) => (StatusCode::CONFLICT, "no-model", "No model is loaded"),
            Self::Commissioning(_) => (StatusCode::CONFLICT, "unusable-version", "This version cannot be used"),
            Self::BeingRemoved(_) => (StatusCode::CONFLICT, "being-removed", "The pump is being removed"),
            Self::SimulatedPump(_) => (StatusCode::CONFLICT, "simulated-pump", "The pump is simulated"),
            Self::NotADemo => (StatusCode::FORBIDDEN, "not-a-demo", "This node is not a demo"),
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed"),
            Self::Refused(Refusal::Busy { .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, "busy", "The node has more to do than it can")
            }
            Self::Refused(Refusal::NotStored { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-stored", "The readings may not be stored")
            }
            Self::Refused(Refusal::Clock { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "clock", "The node's clock cannot be believed")
            }
            Self::Refused(Refusal::BeingRemoved { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "being-removed", "The pump is being removed")
            }
            Self::Refused(Refusal::DiskFull) => (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
            Self::Refused(Refusal::Stopping) => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The node is stopping"),
            Self::Subscribers { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-subscribers", "There are too many live streams")
            }
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The node is not ready"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store does not answer"),
        }
    }

    fn problem(&self) -> Problem {
        let (status, name, title) = self.kind();
        let (kind, detail) = (format!("urn:volute:problem:{name}"), self.detail());
        let bare = Problem {
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
        let named = |field: &str, value: Value, allowed: String| (Some(field.to_owned()), Some(value), Some(allowed));
        let (field, value, allowed) = match self {
            Self::Invalid(no) => named(&no.field, no.value.clone(), no.allowed.clone()),
            Self::UnknownPump(pump) | Self::RefusedPump { pump, .. } => {
                named("pump_id", pump.as_str().into(), "a pump of which a reading is stored; see /api/pumps".into())
            }
            Self::NotAdded(AddKindError::Taken { name }) => {
                named("name", name.as_str().into(), "a name that no profile has, or that profile as it is".into())
            }
            Self::UnknownActor(id) => named("id", id.as_str().into(), "an id or a stage; see /api/actors".into()),
            Self::MediaType { sent, allowed } => named("Content-Type", sent.as_str().into(), (*allowed).into()),
            Self::UnknownHost { host } => named(
                "Host",
                host.as_str().into(),
                "an IP address, this machine's name, or one of server.allowed_hosts".into(),
            ),
            Self::ForeignPage { header, value } => {
                let allowed = match *header {
                    "Origin" => "the node's own address, or one of server.allowed_hosts",
                    _ => "same-origin, none",
                };
                named(header, value.as_str().into(), allowed.into())
            }
            Self::ContentEncoding { sent } => named("Content-Encoding", sent.as_str().into(), "gzip, identity".into()),
            Self::NotJson { line, column, .. } => {
                return Problem { line: Some(*line), column: Some(*column), ..bare };
            }
            _ => return bare,
        };
        Problem { field, value, allowed, ..bare }
    }

    /// The error as told outside: the words of the store and of the disk stay inside.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Store(_) => "what is stored cannot be read just now".into(),
            Self::NotAdded(AddKindError::NotKept(_)) => {
                "the profile could not be written to the node's disk, or read again; adding it once more is safe".into()
            }
            other => other.to_string(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Refused(
                Refusal::Busy { retry_after_s, .. }
                | Refusal::NotStored { retry_after_s }
                | Refusal::Clock { retry_after_s, .. }
                | Refusal::BeingRemoved { retry_after_s },
            ) => Some(*retry_after_s),
            Self::Refused(Refusal::DiskFull) => Some(DISK_RETRY_AFTER_S),
            Self::NotAdded(AddKindError::NotKept(_)) => Some(DISK_RETRY_AFTER_S),
            Self::Subscribers { .. } | Self::Store(_) | Self::ManyResponses | Self::ManyReaders => Some(RETRY_AFTER_S),
            _ => None,
        }
    }
}

impl From<AssignRefusal> for ApiError {
    fn from(refusal: AssignRefusal) -> Self {
        match refusal {
            AssignRefusal::NotTaken(refusal) => refusal.into(),
            AssignRefusal::Store(error) => error.into(),
            refused @ (AssignRefusal::UnknownProfile { .. } | AssignRefusal::OtherChannels { .. }) => {
                Self::Profile(refused)
            }
        }
    }
}

impl From<AddKindError> for ApiError {
    fn from(error: AddKindError) -> Self {
        match error {
            AddKindError::Invalid(no) => Self::Invalid(no.into()),
            AddKindError::DiskFull => Refusal::DiskFull.into(),
            error @ (AddKindError::Taken { .. } | AddKindError::Full { .. } | AddKindError::NotKept(_)) => {
                Self::NotAdded(error)
            }
        }
    }
}

impl From<RemovalRefusal> for ApiError {
    fn from(refusal: RemovalRefusal) -> Self {
        match refusal {
            RemovalRefusal::UnknownPump(pump) => Self::UnknownPump(pump),
            RemovalRefusal::UnderWay(pump) => Self::BeingRemoved(pump),
            RemovalRefusal::Refused(refusal) => refusal.into(),
            RemovalRefusal::OutOfOrder => Self::NotReady(refusal.to_string()),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        answer.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s() {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        match self {
            Self::Method { allow, .. } => drop(answer.insert_header((header::ALLOW, *allow))),
            // RFC 9110, 15.5.16: so that a client can tell the coding from the type.
            Self::ContentEncoding { .. } => drop(answer.insert_header((header::ACCEPT_ENCODING, "gzip, identity"))),
            _ => {}
        }
        answer.json(self.problem())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::json;
    use volute_actors::Queue;

    use super::*;

    async fn answer(error: ApiError) -> (u16, header::HeaderMap, Value) {
        let answer = error.error_response();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(answer.into_body()).await.expect("a body");
        (status, headers, serde_json::from_slice(&body).expect("JSON"))
    }

    #[actix_web::test]
    async fn a_bad_value_is_told_with_field_value_and_what_is_allowed() {
        let (status, headers, body) = answer(ApiError::invalid("limit", "-1", "1 to 10", "not a limit")).await;
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
    async fn each_refusal_has_its_status_and_says_when_to_come_back() {
        for (refusal, status, retry) in [
            (Refusal::Busy { queue: Queue::Gate, retry_after_s: 2 }, 429, Some("2")),
            (Refusal::NotStored { retry_after_s: 5 }, 503, Some("5")),
            (Refusal::Clock { reason: "it is 1970".into(), retry_after_s: 10 }, 503, Some("10")),
            (Refusal::DiskFull, 507, Some("10")),
            (Refusal::Stopping, 503, None),
        ] {
            let (found, headers, body) = answer(refusal.into()).await;
            assert_eq!((found, &body["status"]), (status, &json!(status)));
            assert_eq!(headers.get("retry-after").and_then(|v| v.to_str().ok()), retry);
        }
    }

    #[actix_web::test]
    async fn broken_json_is_told_with_its_place() {
        let (_, _, body) = answer(ApiError::NotJson { line: 3, column: 7, reason: "expected `,`".into() }).await;
        assert_eq!((&body["line"], &body["column"], body.get("field")), (&json!(3), &json!(7), None));
    }
}
