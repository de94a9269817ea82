//! The errors of the API, and their conversion to problem details (RFC 9457).
//!
//! Does not handle the outcomes of single items of a post; see `routes/ingest.rs`.

mod access_kind;
mod error;
mod event_kind;
mod kind;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{EventWorkError, IngestError, PlannedWorkError, RemoveKindError};
use volute_plant::{Comment, event_status::StatusError};

use crate::{
    access::ChangeError,
    new_kinds::{AddKindError, DeleteKindError},
};

pub(crate) use error::ApiError;

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The default of `Retry-After`, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// `Retry-After` if a person must free disk space first, in seconds.
const DISK_RETRY_AFTER_S: u64 = 10;

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
    /// The field whose value is not allowed; or the key in the node's configuration of the limit that is exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The field's value as sent; or the limit's value.
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
    fn problem(&self) -> Problem {
        let (status, name, title) = kind::of(self);
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
            Self::AddKind(AddKindError::NameTaken { name } | AddKindError::IsDefaultKind { name }) => {
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
            Self::LimitExceeded(exceeded) => {
                let allowed = format!("at most {} {}", exceeded.value, exceeded.what);
                with_field(exceeded.key, exceeded.value.into(), allowed)
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

    /// Returns the status and the type, without anything that the client chose; for the audit log.
    pub(crate) fn kind_in_short(&self) -> String {
        let (status, name, _) = kind::of(self);
        let limit = match self {
            Self::LimitExceeded(exceeded) => format!(" ({})", exceeded.key),
            _ => String::new(),
        };
        format!("{} {name}{limit}", status.as_u16())
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
            Self::LimitExceeded(exceeded) => Some(exceeded.retry_after_s),
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

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        kind::of(self).0
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
