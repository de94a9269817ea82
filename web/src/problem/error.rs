//! The errors of the API. Their statuses are in `kind.rs`, and their responses in the parent module.

use volute_access::Permission;
use volute_actors::{
    AlarmCommandError, AssignProfileError, CommissionError, EventWorkError, IngestError, PlannedWorkError,
    RemovePumpError,
};
use volute_alarm::CommandError;
use volute_data::StoreError;
use volute_plant::PumpId;

use crate::{
    access::ChangeError,
    invalid_value::InvalidValue,
    limits::LimitExceeded,
    new_kinds::{AddKindError, DeleteKindError},
};

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
    #[error("no reading of {pump} is stored; the last one that it sent was refused: {reason}")]
    RefusedPump { pump: PumpId, reason: String },
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
    #[error("{}", .0)]
    LimitExceeded(LimitExceeded),
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

impl From<LimitExceeded> for ApiError {
    fn from(exceeded: LimitExceeded) -> Self {
        Self::LimitExceeded(exceeded)
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
            | AddKindError::IsDefaultKind { .. }
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
