//! `/api/handover`: the shift handover, and when each user last looked at it.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_alarm::Transition;
use volute_data::{AuditFilter, DocumentFilter, HandoverSeen, PageRange, QueryResult};
use volute_plant::{PumpId, Timestamp};

use crate::{
    access::person,
    decode::from_value,
    extract::JsonBody,
    handover::{AlarmNames, Handover, HandoverRows, compile},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query, TimeParam},
    responses::{Invalid, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    store_context::StoreContext,
};

/// The time of a handover if this user never looked: 12 hours.
const DEFAULT_SPAN_MS: i64 = 12 * 3_600_000;
/// The longest time of a handover: 31 days.
const MAX_SPAN_MS: i64 = 31 * 86_400_000;
/// The maximum number of rows of each kind that a handover is made of.
const MAX_ROWS: usize = 20_000;
/// The maximum number of pumps whose alarms are named.
const MAX_NAMED_PUMPS: usize = 500;

/// Parameters: the time of the handover.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HandoverQuery {
    /// At or after this time, at most 31 days ago; absent: since this user's last look, or the last 12 hours
    #[param(value_type = Option<String>)]
    since: Option<TimeParam>,
}

/// A shift handover.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandoverResponse {
    /// From this time.
    #[schema(format = DateTime)]
    since: String,
    /// To this time. To be sent as `until` when the user has seen it.
    #[schema(format = DateTime)]
    until: String,
    /// When this user last looked; null if never.
    #[schema(format = DateTime, required)]
    last_seen: Option<String>,
    /// What happened in this time.
    handover: Handover,
}

/// What happened since this user last looked: alarms, commands, maintenance events and planned work, each in the order of
/// time.
#[utoipa::path(
    get,
    path = "/api/handover",
    tag = "maintenance",
    params(HandoverQuery),
    responses((status = 200, description = "The handover", body = HandoverResponse), Invalid, Unavailable)
)]
pub(crate) async fn handover(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    request: HttpRequest,
    Query(query): Query<HandoverQuery>,
) -> Result<web::Json<HandoverResponse>, ApiError> {
    let until = node.engine.now();
    let _permit = store.read_limit.acquire().await?;
    let last_seen = store.queries.handover_seen(&person(&request)).await?;
    let oldest = until.plus_ms(-MAX_SPAN_MS);
    let since = match query.since {
        Some(TimeParam(since)) if since < oldest || since > until => {
            let allowed = format!("{oldest} to {until}");
            return Err(ApiError::invalid("since", &since.to_string(), allowed, "in the future, or too long ago"));
        }
        Some(TimeParam(since)) => since,
        // A user who was away longer gets the last 31 days.
        None => last_seen.unwrap_or_else(|| until.plus_ms(-DEFAULT_SPAN_MS)).max(oldest).min(until),
    };
    let rows = read(&node, &store, (since, until)).await?;
    Ok(web::Json(HandoverResponse {
        since: since.to_string(),
        until: until.to_string(),
        last_seen: last_seen.map(|at| at.to_string()),
        handover: compile(rows, (since, until)),
    }))
}

/// Reads the rows of a time. Fails while the database is unavailable, because a handover with gaps is worse than none.
async fn read(
    node: &Node,
    store: &StoreContext,
    (since, until): (Timestamp, Timestamp),
) -> Result<HandoverRows, ApiError> {
    // The newest, so that a flood leaves out the oldest.
    let range = PageRange { from: Some(since), to: Some(until), ..PageRange::newest(MAX_ROWS) };
    let filter = DocumentFilter { pump: None, range: range.clone() };
    let transitions = complete(store.queries.transitions(&filter, None).await?)?;
    let audit = complete(store.queries.audit(&AuditFilter { action: None, range }).await?)?;
    let events = complete(store.queries.changed_events((since, until), MAX_ROWS).await?)?;
    let works = store.queries.planned_works(None, Some(since)).await?;
    let names = names(node, &transitions).await?;
    let pumps = node.engine.alarms().all().into_iter().map(|(pump, alarms)| (Some(pump), alarms));
    let owners = pumps.chain([(None, node.engine.alarms().of_node())]);
    let standing =
        owners.flat_map(|(pump, alarms)| alarms.iter().map(|alarm| (pump.clone(), alarm.clone())).collect::<Vec<_>>());
    let standing = standing.collect();
    Ok(HandoverRows { transitions, standing, names, audit, events, works })
}

/// Returns the titles and units of the alarms that transitions are about. At most those of the
/// [`MAX_NAMED_PUMPS`] pumps with the newest transitions; the alarms of others keep their ids.
async fn names(node: &Node, transitions: &[Transition]) -> Result<AlarmNames, ApiError> {
    let mut pumps: BTreeSet<&PumpId> = BTreeSet::new();
    for pump in transitions.iter().filter_map(|row| row.pump.as_ref()) {
        if pumps.len() < MAX_NAMED_PUMPS {
            pumps.insert(pump);
        }
    }
    let mut names = AlarmNames::of_node();
    for pump in pumps {
        let (definitions, _) = node.engine.alarm_definitions(pump).await?;
        names.add(pump, &node.engine.profile_of(pump), definitions);
    }
    Ok(names)
}

fn complete<T>(result: QueryResult<T>) -> Result<Vec<T>, ApiError> {
    Ok(result.into_complete()?)
}

/// That a user has seen the handover.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HandoverSeenRequest, example = json!({"until": "2026-03-09T22:00:00.000Z"}))]
pub(crate) struct SeenSchema {
    /// The end of the handover that was seen; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// When a user last looked at the handover.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeenResponse {
    /// The next handover begins at this time.
    #[schema(format = DateTime)]
    seen_until: String,
}

/// Records that this user has seen the handover, so that the next one begins where it ended. Durable when the response is
/// sent.
#[utoipa::path(
    post,
    path = "/api/handover/seen",
    tag = "maintenance",
    request_body(content = SeenSchema, description = "The end of the handover that was seen"),
    responses(
        (status = 200, description = "Recorded", body = SeenResponse),
        Invalid, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn handover_seen(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    body: JsonBody,
) -> Result<web::Json<SeenResponse>, ApiError> {
    let SeenSchema { until } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    let now = node.engine.now();
    let at = until.unwrap_or(now);
    if at > now {
        return Err(ApiError::invalid("until", &at.to_string(), format!("{now} or earlier"), "in the future"));
    }
    let seen = HandoverSeen { user: person(&request), at };
    match node.engine.record_handover_seen(&seen).await {
        true => Ok(web::Json(SeenResponse { seen_until: at.to_string() })),
        false => Err(ApiError::NotReady("the last look could not be stored: try again".into())),
    }
}
