//! `/api/actors` and `/api/dead-letters`: how the node's parts are, restarting one of them by hand, and the messages that
//! broke one.
//!
//! An id may hold a `/`, as `pump/P-101`. In the path of a restart it is percent-encoded: `pump%2FP-101`. The list is
//! flat; `stage` says what an actor is a part of.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_actors::{ActorReport, ActorState, DeadLetter, LatencyQuantiles, Overflow};
use volute_data::AuditAction;
use volute_plant::Timestamp;

use crate::{
    audit::AuditedCommand,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query, one_of},
    responses::{Invalid, NoSuchActor, Unavailable},
};

const STATES: [&str; 5] = ["starting", "running", "restarting", "failed", "stopped"];

/// Which actors are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActorsQuery {
    /// Only those of this stage, as `pumps`
    stage: Option<String>,
    /// Only those in this state, as `failed`
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
    /// By their ids.
    items: Vec<ActorResponse>,
    /// Whether the node can take readings.
    ready: bool,
    /// What is out of order; null where nothing is.
    #[schema(required)]
    reason: Option<String>,
    /// How long readings and verdicts took to be durable since the start.
    latencies: Vec<LatencyResponse>,
    /// What does not fit into the node's queues.
    overflows: Vec<OverflowResponse>,
}

/// A bounded queue, and what becomes of what does not fit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverflowResponse {
    /// What waits in it.
    #[schema(example = "windows to be scored")]
    queue: &'static str,
    /// What becomes of what does not fit.
    #[schema(example = "the pump's oldest is skipped")]
    when_full: &'static str,
    /// How often that was since the start.
    count: u64,
}

impl From<Overflow> for OverflowResponse {
    fn from(Overflow { queue, when_full, count }: Overflow) -> Self {
        Self { queue, when_full, count }
    }
}

/// How long something took; each figure is at most an eighth above the true one, and null before the first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyResponse {
    /// `gate`: from a post that was parsed until its pump has judged its readings; `journal`: from there until they are in
    /// the journal; `queue`: from a window to the worker that takes it; `inference`: from there to its score; `record`:
    /// from a verdict until it is in the journal; `detection`: from a reading that was received until the verdict on its
    /// window is in the journal.
    #[schema(example = "detection")]
    of: &'static str,
    /// Half took at most this long, in milliseconds.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// All but one in a hundred did.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// All but one in a thousand did.
    #[schema(required)]
    p999_ms: Option<f64>,
    /// How the times are distributed since the start; empty buckets are left out.
    buckets: Vec<BucketResponse>,
}

/// Some of the times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketResponse {
    /// They took less than this, in milliseconds, and not less than the bucket before says.
    below_ms: f64,
    /// How many there were.
    count: u64,
}

impl From<LatencyQuantiles> for LatencyResponse {
    fn from(quantiles: LatencyQuantiles) -> Self {
        let LatencyQuantiles { of, p50_ms, p99_ms, p999_ms, buckets } = quantiles;
        let buckets = buckets.into_iter().map(|(below_ms, count)| BucketResponse { below_ms, count }).collect();
        Self { of, p50_ms, p99_ms, p999_ms, buckets }
    }
}

/// One of the parts that the node is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActorResponse {
    /// As `pump/P-101`, `recorder` or `inference/0`.
    id: String,
    /// What it is, as `pump`.
    kind: &'static str,
    /// What it is a part of, as `pumps`.
    stage: &'static str,
    /// `starting`, `running`, `restarting` (it failed and is built anew after a pause), `failed` (too often: it stays
    /// down until it is restarted by hand) or `stopped`.
    #[schema(example = "running")]
    state: &'static str,
    /// The pause before it is built anew, in milliseconds; null where it is not `restarting`.
    #[schema(required)]
    restarts_in_ms: Option<u64>,
    /// Messages that wait for it.
    queue_depth: usize,
    /// How many may wait, over all its ways in.
    queue_limit: usize,
    /// Messages it handled.
    processed: u64,
    /// How often it failed.
    failures: u64,
    /// How often it was built anew, after a failure or by hand.
    restarts: u64,
    /// What went wrong last.
    #[schema(required)]
    last_error: Option<String>,
    /// When that was.
    #[schema(format = DateTime, required)]
    last_error_at: Option<String>,
    /// When it last finished a message.
    #[schema(format = DateTime, required)]
    last_progress: Option<String>,
    /// Half of its messages took at most this long, in milliseconds; up to an eighth above the true figure. Null before the first.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// The same of all but one in a hundred.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// What it handles now.
    #[schema(required)]
    in_hand: Option<InHandResponse>,
}

/// A message that is being handled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InHandResponse {
    /// What kind of message.
    message: &'static str,
    /// Whose; null where it is no pump's.
    #[schema(required)]
    pump_id: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
}

/// What is restarted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartResponse {
    /// The actors' ids.
    restarted: Vec<String>,
}

/// The messages that broke an actor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLettersResponse {
    /// Newest first; at most 1,000 are kept, and none beyond the node's stop.
    items: Vec<DeadLetterResponse>,
}

/// A message that broke an actor, and was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterResponse {
    /// When it was given up.
    #[schema(format = DateTime)]
    at: String,
    /// The actor's id.
    actor: String,
    /// What kind of message it was.
    message: &'static str,
    /// Whose; null where it was no pump's.
    #[schema(required)]
    pump_id: Option<String>,
    /// What went wrong.
    error: String,
}

/// How the parts of the node are.
#[utoipa::path(
    get,
    path = "/api/actors",
    tag = "node",
    params(ActorsQuery),
    responses((status = 200, description = "All actors, or those asked for", body = ActorsResponse), Invalid)
)]
pub(crate) async fn actors(node: web::Data<Node>, Query(query): Query<ActorsQuery>) -> web::Json<ActorsResponse> {
    let ActorsQuery { stage, state } = query;
    let wanted = |actor: &ActorResponse| {
        stage.as_ref().is_none_or(|stage| actor.stage == stage)
            && state.as_ref().is_none_or(|state| actor.state == state.0)
    };
    let items = node.engine.actors().into_iter().map(ActorResponse::from).filter(wanted).collect();
    let health = node.engine.health();
    let latencies = node.engine.latencies().map(LatencyResponse::from).into();
    let slow =
        Overflow { queue: "frames for a live stream", when_full: "the oldest are lost", count: node.feed.lost() };
    let overflows = node.engine.totals().overflows().into_iter().chain([slow]).map(OverflowResponse::from).collect();
    web::Json(ActorsResponse { items, ready: health.ready, reason: health.reason, latencies, overflows })
}

/// Restarts a part of the node.
///
/// It is built anew between two messages, and nothing is lost. Its earlier failures no longer count, so one that is
/// `failed` runs again.
#[utoipa::path(
    post,
    path = "/api/actors/{id}/restart",
    tag = "node",
    params((
        "id" = String,
        Path,
        description = "An actor's id, percent-encoded, as `pump%2FP-101`; or a stage, as `pumps`: all of it is restarted"
    )),
    responses((status = 200, description = "It is asked to", body = RestartResponse), NoSuchActor, Unavailable)
)]
pub(crate) async fn restart(
    node: web::Data<Node>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<web::Json<RestartResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::Restart, &id);
    // Before it is noted: it may be the recorder, out of order and with no place for a note.
    let restarted = node.engine.restart_actors(&id);
    let detail = if restarted.len() > 1 { restarted.join(", ") } else { String::new() };
    let outcome = match restarted.is_empty() {
        true => Err(ApiError::UnknownActor(id.into_inner())),
        false => Ok(web::Json(RestartResponse { restarted })),
    };
    command.detail(&detail).carry_out(async move { outcome }).await
}

/// The messages that broke a part of the node.
#[utoipa::path(
    get,
    path = "/api/dead-letters",
    tag = "node",
    responses((status = 200, description = "The newest of them", body = DeadLettersResponse), Invalid)
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
        let in_hand = report.current.map(|current| InHandResponse {
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
    fn from(letter: DeadLetter) -> Self {
        Self {
            at: Timestamp::from(letter.at).to_string(),
            actor: letter.actor,
            message: letter.message,
            pump_id: letter.subject.map(|pump| pump.to_string()),
            error: letter.error,
        }
    }
}
