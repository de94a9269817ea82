//! `/api/planned-work` and `/api/pumps/{id}/planned-work`: work on pumps, during which their alarms are suppressed by design
//! and nothing is learned. See [`volute_plant::planned_work`].

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_actors::{PlannedWorkError, WorkRequest};
use volute_data::{AuditAction, Completeness};
use volute_plant::{Comment, PlannedWork, PumpId, Timestamp};

use crate::{
    access::person,
    audit::AuditedCommand,
    decode::from_value,
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    list::{List, MAX_LIMIT},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Parsed, PumpParam, Query, TimeParam},
    responses::{Invalid, NoSuchWork, NotFound, Slow, TooLarge, TooMany, TooManyWorks, Unavailable, Unsupported},
    store_context::StoreContext,
};

/// Parameters: the requested works.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorksQuery {
    /// Only work on this pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// Also work that is over and was planned to end at or after this time; absent: only work that is not over
    #[param(value_type = Option<String>)]
    since: Option<TimeParam>,
}

/// Planned work on a pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedWorkResponse {
    /// Its id, unique among the pump's.
    #[schema(example = "w19cd1e4b2c8")]
    id: String,
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// `planned`, `active`, `over` or `cancelled`.
    status: &'static str,
    /// When it begins.
    #[schema(format = DateTime)]
    from: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    until: String,
    /// What is done.
    why: String,
    /// Who planned it.
    #[schema(example = "user asha")]
    by: String,
    /// When it was planned.
    #[schema(format = DateTime)]
    at: String,
    /// When it was ended early or cancelled; null if it was not.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// Who ended it early or cancelled it; null if nobody did.
    #[schema(required)]
    ended_by: Option<String>,
}

/// Planned work, in the order of its begin.
#[utoipa::path(
    get,
    path = "/api/planned-work",
    tag = "maintenance",
    params(WorksQuery),
    responses((status = 200, description = "The works", body = List<PlannedWorkResponse>), Invalid, Unavailable)
)]
pub(crate) async fn planned_works(
    store: web::Data<StoreContext>,
    Query(query): Query<WorksQuery>,
) -> Result<web::Json<List<PlannedWorkResponse>>, ApiError> {
    let now = (store.now)();
    let pump = query.pump_id.map(|Parsed(pump)| pump);
    let (since, with_past) = query.since.map_or((now, false), |TimeParam(since)| (since, true));
    let _permit = store.read_limit.acquire().await?;
    let mut works = store.queries.planned_works(pump.as_ref(), Some(since)).await?;
    works.retain(|work| with_past || !work.is_over(now));
    works.sort_by(|a, b| (a.from, &a.pump, &a.id).cmp(&(b.from, &b.pump, &b.id)));
    works.truncate(MAX_LIMIT);
    let items = works.into_iter().map(|work| PlannedWorkResponse::new(work, now)).collect();
    Ok(web::Json(List::single_page(items, Completeness::Complete)))
}

/// Work to plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlannedWorkRequest, example = json!({
    "from": "2026-03-13T08:00:00Z", "until": "2026-03-13T12:00:00Z", "why": "new bearing"
}))]
pub(crate) struct WorkSchema {
    /// When it begins; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// When it ends by itself, at most 30 days after its begin.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// What is done.
    #[schema(value_type = String)]
    why: Comment,
}

/// Plans work on a pump.
///
/// While it lasts, all alarms of the pump are suppressed by design, and what the pump does is not learned as its normal
/// running. It begins and ends by itself. It is durable when the response is sent.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/planned-work",
    tag = "maintenance",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = WorkSchema, description = "The work"),
    responses(
        (status = 200, description = "The work", body = PlannedWorkResponse),
        Invalid, NotFound, TooManyWorks, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn plan_work(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    body: JsonBody,
) -> Result<web::Json<PlannedWorkResponse>, ApiError> {
    let WorkSchema { from, until, why } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    let begin = from.map_or_else(|| "now".to_owned(), |from| from.to_string());
    let detail = format!("{begin} to {until}: {}", why.as_str());
    let audited = AuditedCommand::new(&node, &request, AuditAction::PlanWork, pump.as_str()).detail(&detail);
    change(&node, &request, audited, pump, WorkRequest::Plan { from, until, why }).await
}

/// The decoded segment `{work}`.
#[derive(Deserialize)]
struct WorkSegment {
    work: String,
}

/// Ends planned work now, or cancels it if it has not begun.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/planned-work/{work}/end",
    tag = "maintenance",
    params(
        ("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`"),
        ("work" = String, Path, description = "The work's id"),
    ),
    responses(
        (status = 200, description = "The work after it", body = PlannedWorkResponse),
        Invalid, NoSuchWork, Unavailable
    )
)]
pub(crate) async fn end_work(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> Result<web::Json<PlannedWorkResponse>, ApiError> {
    let segment = web::Path::<WorkSegment>::from_request(&request, &mut Payload::None).await;
    let id = segment.map(|segment| segment.into_inner().work).unwrap_or_default();
    let audited = AuditedCommand::new(&node, &request, AuditAction::EndWork, pump.as_str()).detail(&id);
    change(&node, &request, audited, pump, WorkRequest::End { id }).await
}

async fn change(
    node: &Node,
    request: &HttpRequest,
    audited: AuditedCommand,
    pump: PumpId,
    change: WorkRequest,
) -> Result<web::Json<PlannedWorkResponse>, ApiError> {
    let (engine, by) = (node.engine.clone(), person(request));
    let until = match &change {
        WorkRequest::Plan { from, until, .. } => (*from, Some(*until)),
        WorkRequest::End { .. } => (None, None),
    };
    let command = async move { engine.change_planned_work(&pump, change, by).await.map_err(|e| error(e, until)) };
    let work = audited.execute(command).await?;
    Ok(web::Json(PlannedWorkResponse::new(work, node.engine.now())))
}

/// Returns the error, with the value of the field that is not allowed.
fn error(error: PlannedWorkError, (from, until): (Option<Timestamp>, Option<Timestamp>)) -> ApiError {
    let PlannedWorkError::Times(times) = error else { return ApiError::PlannedWork(error) };
    let value = if times.field == "from" { from } else { until };
    let value = value.map_or(serde_json::Value::Null, |time| time.to_string().into());
    ApiError::Invalid(InvalidValue::new(times.field, value, times.allowed, times.why))
}

impl PlannedWorkResponse {
    fn new(work: PlannedWork, now: Timestamp) -> Self {
        Self {
            status: work.status(now).as_str(),
            id: work.id,
            pump_id: work.pump,
            from: work.from.to_string(),
            until: work.until.to_string(),
            why: work.why.into(),
            by: work.by,
            at: work.at.to_string(),
            ended_at: work.ended.as_ref().map(|ended| ended.at.to_string()),
            ended_by: work.ended.map(|ended| ended.by),
        }
    }
}
