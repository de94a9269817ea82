//! `/api/actors` and `/api/dead-letters`: the state of the node's actors, restarting them, and the messages that they failed to
//! process.
//!
//! An id may contain a `/`, for example `pump/P-101`. In the path of a restart it is percent-encoded: `pump%2FP-101`. The list
//! is flat; `stage` is the group that an actor belongs to.

use std::time::Instant;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_actors::{ActorReport, ActorState, DeadLetter, LatencyQuantiles, Overflow};
use volute_data::AuditAction;
use volute_plant::Timestamp;

use crate::{
    audit::AuditedCommand,
    limits::LimitExceeded,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query, one_of},
    responses::{Invalid, NoSuchActor, Unavailable},
};

const STATES: [&str; 5] = ["starting", "running", "restarting", "failed", "stopped"];

/// Parameters: the requested actors.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActorsQuery {
    /// Only actors of this stage, for example `pumps`
    stage: Option<String>,
    /// Only actors in this state, for example `failed`
    #[param(value_type = Option<String>)]
    state: Option<StateName>,
}

/// The name of a state.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct StateName(String);

impl TryFrom<String> for StateName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(text, &STATES).map(Self)
    }
}

/// The node's actors.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActorsResponse {
    /// The actors, sorted by id.
    items: Vec<ActorResponse>,
    /// Whether the node can accept readings.
    ready: bool,
    /// What does not work; null if everything does.
    #[schema(required)]
    reason: Option<String>,
    /// How long readings and detections took to be durable, since the node started.
    latencies: Vec<LatencyResponse>,
    /// What did not fit into the node's queues.
    overflows: Vec<OverflowResponse>,
}

/// A bounded queue, and what happens to items that do not fit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverflowResponse {
    /// The items that wait in it.
    #[schema(example = "windows to be scored")]
    queue: &'static str,
    /// What happens to an item that does not fit.
    #[schema(example = "the pump's oldest is skipped")]
    when_full: &'static str,
    /// How often this happened since the node started.
    count: u64,
}

impl From<Overflow> for OverflowResponse {
    fn from(Overflow { queue, when_full, count }: Overflow) -> Self {
        Self { queue, when_full, count }
    }
}

/// The distribution of a latency. Each figure is at most one eighth above the true one, and null before the first measurement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyResponse {
    /// `gate`: from the parsing of a post until its pump has accepted or rejected its readings; `journal`: from then until
    /// the readings are in the journal; `queue`: from a complete window until a worker takes it; `inference`: from then until
    /// the window is scored; `record`: from a detection until it is in the journal; `detection`: from the receipt of a reading
    /// until the detection of its window is in the journal.
    #[schema(example = "detection")]
    of: &'static str,
    /// The median, in milliseconds.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// The 99th percentile, in milliseconds.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// The 99.9th percentile, in milliseconds.
    #[schema(required)]
    p999_ms: Option<f64>,
    /// The histogram since the node started; empty buckets are omitted.
    buckets: Vec<BucketResponse>,
}

/// A bucket of the histogram.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketResponse {
    /// The upper bound of the bucket (exclusive), in milliseconds. Its lower bound is that of the previous bucket.
    below_ms: f64,
    /// The number of measurements.
    count: u64,
}

impl From<LatencyQuantiles> for LatencyResponse {
    fn from(quantiles: LatencyQuantiles) -> Self {
        let LatencyQuantiles { of, p50_ms, p99_ms, p999_ms, buckets } = quantiles;
        let buckets = buckets.into_iter().map(|(below_ms, count)| BucketResponse { below_ms, count }).collect();
        Self { of, p50_ms, p99_ms, p999_ms, buckets }
    }
}

/// An actor: one of the components of the node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActorResponse {
    /// Its id, for example `pump/P-101`, `recorder` or `inference/0`.
    id: String,
    /// Its kind, for example `pump`.
    kind: &'static str,
    /// The stage that it belongs to, for example `pumps`.
    stage: &'static str,
    /// `starting`, `running`, `restarting` (it failed and is restarted after a delay), `failed` (it failed too often and is
    /// down until it is restarted by hand) or `stopped`.
    #[schema(example = "running")]
    state: &'static str,
    /// The delay before it is restarted, in milliseconds; null unless it is `restarting`.
    #[schema(required)]
    restarts_in_ms: Option<u64>,
    /// The messages that wait for it.
    queue_depth: usize,
    /// The most messages that may wait in its inbox.
    queue_limit: usize,
    /// The messages that it processed.
    processed: u64,
    /// How often it failed.
    failures: u64,
    /// How often it was restarted, after a failure or by hand.
    restarts: u64,
    /// The last error.
    #[schema(required)]
    last_error: Option<String>,
    /// When the last error occurred.
    #[schema(format = DateTime, required)]
    last_error_at: Option<String>,
    /// When it last completed a message.
    #[schema(format = DateTime, required)]
    last_progress: Option<String>,
    /// The median time of its messages, in milliseconds; at most one eighth above the true figure. Null before the first.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// The 99th percentile of the time of its messages, in milliseconds.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// The message that it is processing.
    #[schema(required)]
    in_hand: Option<CurrentMessageResponse>,
}

/// A message that is being processed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentMessageResponse {
    /// The kind of the message.
    message: &'static str,
    /// The pump that it is about; null if it is about none.
    #[schema(required)]
    pump_id: Option<String>,
    /// When the processing began.
    #[schema(format = DateTime)]
    since: String,
}

/// The actors that are restarted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartResponse {
    /// The actors' ids.
    restarted: Vec<String>,
}

/// The messages that made an actor fail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLettersResponse {
    /// Newest first; at most 1,000 are kept, in memory.
    items: Vec<DeadLetterResponse>,
}

/// A message that made an actor fail, and was dropped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterResponse {
    /// When it was dropped.
    #[schema(format = DateTime)]
    at: String,
    /// The actor's id.
    actor: String,
    /// The kind of the message.
    message: &'static str,
    /// The pump that it was about; null if it was about none.
    #[schema(required)]
    pump_id: Option<String>,
    /// The error.
    error: String,
}

/// The state of the node's actors.
#[utoipa::path(
    get,
    path = "/api/actors",
    tag = "node",
    params(ActorsQuery),
    responses((status = 200, description = "All actors, or the requested ones", body = ActorsResponse), Invalid)
)]
pub(crate) async fn actors(node: web::Data<Node>, Query(query): Query<ActorsQuery>) -> web::Json<ActorsResponse> {
    let ActorsQuery { stage, state } = query;
    let is_requested = |actor: &ActorResponse| {
        stage.as_ref().is_none_or(|stage| actor.stage == stage)
            && state.as_ref().is_none_or(|state| actor.state == state.0)
    };
    let items = node.engine.actors().into_iter().map(ActorResponse::from).filter(is_requested).collect();
    let health = node.engine.health();
    let latencies = node.engine.latencies().map(LatencyResponse::from).into();
    let dropped_frames = Overflow {
        queue: "frames for a live stream",
        when_full: "the oldest are dropped",
        count: node.streams.dropped_frames(),
    };
    let clients =
        Overflow { queue: "clients of a limit", when_full: "all clients share one limit", count: node.limits.shared() };
    let overflows = node
        .engine
        .totals()
        .overflows()
        .into_iter()
        .chain([dropped_frames, clients])
        .map(OverflowResponse::from)
        .collect();
    web::Json(ActorsResponse { items, ready: health.ready, reason: health.reason, latencies, overflows })
}

/// Restarts an actor, or all actors of a stage.
///
/// An actor is restarted between two messages, and no message is lost. Its failure count is reset, so a `failed` actor runs
/// again. An actor can be restarted again after `limits.restart_pause_s` (429 before).
#[utoipa::path(
    post,
    path = "/api/actors/{id}/restart",
    tag = "node",
    params((
        "id" = String,
        Path,
        description = "An actor's id, percent-encoded, for example `pump%2FP-101`; or a stage, for example `pumps`, to restart all its actors"
    )),
    responses((status = 200, description = "The actors will restart", body = RestartResponse), NoSuchActor, Unavailable)
)]
pub(crate) async fn restart(
    node: web::Data<Node>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<web::Json<RestartResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::Restart, &id);
    // Restart before the audit entry is recorded: if the recorder itself has failed, it cannot record the entry.
    let restarted = match restart_now(&node, &id) {
        Ok(restarted) => restarted,
        Err(error) => return command.execute(async move { Err(error) }).await,
    };
    let detail = if restarted.len() > 1 { restarted.join(", ") } else { String::new() };
    let outcome = match restarted.is_empty() {
        true => Err(ApiError::UnknownActor(id.into_inner())),
        false => Ok(web::Json(RestartResponse { restarted })),
    };
    command.detail(&detail).execute(async move { outcome }).await
}

/// Restarts an actor or a stage, unless one of the actors was restarted too recently.
fn restart_now(node: &Node, id: &str) -> Result<Vec<String>, ApiError> {
    let mut restarts = node.restarts.lock();
    let is_meant = |actor: &ActorReport| actor.id == id || actor.stage == id;
    let actors: Vec<String> = node.engine.actors().into_iter().filter(is_meant).map(|actor| actor.id).collect();
    restarts.begin(&actors, Instant::now()).map_err(|wait| LimitExceeded {
        key: "limits.restart_pause_s",
        value: restarts.pause().as_secs(),
        what: "seconds between two restarts of an actor",
        retry_after_s: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
    })?;
    Ok(node.engine.restart_actors(id))
}

/// The messages that made an actor fail.
#[utoipa::path(
    get,
    path = "/api/dead-letters",
    tag = "node",
    responses((status = 200, description = "The newest dead letters", body = DeadLettersResponse), Invalid)
)]
pub(crate) async fn dead_letters(node: web::Data<Node>, _: Query<NoParameters>) -> web::Json<DeadLettersResponse> {
    let items = node.engine.dead_letters().into_iter().map(DeadLetterResponse::from).collect();
    web::Json(DeadLettersResponse { items })
}

impl From<ActorReport> for ActorResponse {
    fn from(report: ActorReport) -> Self {
        let (state, restarts_in_ms) = match report.state {
            ActorState::Starting => ("starting", None),
            ActorState::Running => ("running", None),
            ActorState::Restarting { in_ms } => ("restarting", Some(in_ms)),
            ActorState::Failed => ("failed", None),
            ActorState::Stopped => ("stopped", None),
        };
        let (last_error, last_error_at) =
            report.last_error.map(|(error, at)| (error, Timestamp::from(at).to_string())).unzip();
        let in_hand = report.current.map(|current| CurrentMessageResponse {
            message: current.message,
            pump_id: current.subject.map(|pump| pump.to_string()),
            since: Timestamp::from(current.since).to_string(),
        });
        Self {
            id: report.id,
            kind: report.kind,
            stage: report.stage,
            state,
            restarts_in_ms,
            queue_depth: report.queue_depth,
            queue_limit: report.queue_limit,
            processed: report.processed,
            failures: report.failures,
            restarts: report.restarts,
            last_error,
            last_error_at,
            last_progress: report.last_progress.map(|at| Timestamp::from(at).to_string()),
            p50_ms: report.p50_ms,
            p99_ms: report.p99_ms,
            in_hand,
        }
    }
}

impl From<DeadLetter> for DeadLetterResponse {
    fn from(dead_letter: DeadLetter) -> Self {
        Self {
            at: Timestamp::from(dead_letter.at).to_string(),
            actor: dead_letter.actor,
            message: dead_letter.message,
            pump_id: dead_letter.subject.map(|pump| pump.to_string()),
            error: dead_letter.error,
        }
    }
}
