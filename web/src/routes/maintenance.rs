//! `GET /api/maintenance-events`: maintenance events, active and resolved, with what people have done about them. Their
//! actions are in `event_work.rs`.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_actors::EventWorkError;
use volute_data::{EventFilter, SortOrder};
use volute_plant::{
    EventKey, EventState, MaintenanceEvent,
    event_status::{Finding, StatusChange, StatusHistory, WorkPlan},
};

use crate::{
    list::{Cursor, Limit, List, Page, page_range},
    problem::ApiError,
    query::{NoParameters, PumpParam, Query},
    responses::{Invalid, NoSuchEvent, Unavailable},
    store_context::StoreContext,
    wire::{CostResponse, EventEvidenceResponse, RecommendationResponse},
};

/// How many of an event's newest changes the list has.
const LISTED_CHANGES: usize = 5;

/// Parameters: the requested events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// `active` or `resolved`; absent: both
    #[param(value_type = Option<String>)]
    status: Option<EventStatus>,
    /// Only events of this pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// 1 to 10000; absent: 1000
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// Whether an event is still active.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventStatus {
    Active,
    Resolved,
}

/// A maintenance event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventResponse {
    /// `pump/rule/opened_at`; `%` and `/` in the pump's id are `%25` and `%2F` here.
    #[schema(example = "pump-1/bearing-hot/2026-03-09T10:14:33.000Z")]
    id: String,
    /// The pump's id.
    pump_id: String,
    /// The rule that opened it.
    rule: String,
    /// What is wrong.
    title: String,
    /// What to do.
    advice: String,
    /// Its severity: `low`, `medium`, `high` or `critical`.
    severity: &'static str,
    /// `active` or `resolved`.
    status: &'static str,
    /// The estimated cost of the repair: `recommendation.cost_now`, if there is a recommendation.
    cost: CostResponse,
    /// The channel that was above the limit; empty if an imported event does not name it.
    channel: String,
    /// The rule's limit, in the channel's unit; null if an imported event does not have it.
    #[schema(required)]
    limit: Option<f64>,
    /// The highest value so far, in the channel's unit; null if an imported event does not have it.
    #[schema(required)]
    peak: Option<f64>,
    /// The highest reconstruction loss of an anomaly so far; null while only the limit is exceeded.
    #[schema(required)]
    peak_loss: Option<f64>,
    /// The model that detected the anomaly; null while only the limit is exceeded.
    #[schema(required)]
    model: Option<String>,
    /// When it was opened, by the pump's clock.
    #[schema(format = DateTime)]
    opened_at: String,
    /// When the condition last held.
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// When it was resolved; null while it is active.
    #[schema(format = DateTime, required)]
    resolved_at: Option<String>,
    /// The other system that it was imported from; null if a rule of this node opened it.
    #[schema(required, example = "imported: maintenance_events.csv")]
    source: Option<String>,
    /// What people have done about it.
    work: EventWorkResponse,
    /// What the rule recommends at this severity; null for an imported event, and for one from before this was recorded.
    #[schema(required)]
    recommendation: Option<RecommendationResponse>,
    /// What opened it, and what raised its severity, oldest first. Null in the list of events; only the response with one
    /// event has it. Empty for an imported event, and for one from before this was recorded.
    #[schema(required)]
    evidence: Option<Vec<EventEvidenceResponse>>,
}

/// What people have done about an event. It is independent of whether the event is active.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventWorkResponse {
    /// `open`, `acknowledged`, `planned`, `submitted`, `approved`, `rejected`, `done` or `reopened`.
    #[schema(example = "planned")]
    status: &'static str,
    /// The plan in force; null if there is none.
    #[schema(required)]
    plan: Option<EventPlanResponse>,
    /// What was found; null unless the work is done.
    #[schema(required)]
    finding: Option<FindingResponse>,
    /// The actions that this status allows, each a path after the event's. Who may do them depends on permissions, and
    /// nobody decides on a plan that they have submitted.
    allowed: Vec<&'static str>,
    /// How many changes there were.
    changes: usize,
    /// The changes, oldest first. The list of events has only the newest five of each.
    history: Vec<StatusChangeResponse>,
}

/// When the work is done and by whom.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPlanResponse {
    /// When it is to be done.
    #[schema(format = DateTime)]
    on: String,
    /// Who is responsible.
    owner: String,
}

/// What was found at a pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingResponse {
    /// `failure_mode`, `other` or `nothing`.
    kind: &'static str,
    /// The failure mode; null for other kinds.
    #[schema(required)]
    mode: Option<String>,
}

/// A change of an event's status.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusChangeResponse {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who.
    #[schema(example = "user asha")]
    by: String,
    /// The status after it.
    status: &'static str,
    /// Why; null if nothing was written.
    #[schema(required)]
    comment: Option<String>,
    /// The new plan, if the work was planned.
    #[schema(required)]
    plan: Option<EventPlanResponse>,
    /// The finding, if the work was done.
    #[schema(required)]
    finding: Option<FindingResponse>,
}

/// Maintenance events of all pumps or of one, newest first.
///
/// Events that were opened at the same time stay together, so a page may be slightly longer than `limit`.
#[utoipa::path(
    get,
    path = "/api/maintenance-events",
    tag = "maintenance",
    params(EventsQuery),
    responses((status = 200, description = "A page of events", body = List<EventResponse>), Invalid, Unavailable)
)]
pub(crate) async fn maintenance_events(
    store: web::Data<StoreContext>,
    Query(query): Query<EventsQuery>,
) -> Result<web::Json<List<EventResponse>>, ApiError> {
    let EventFilter { pump, state, range } = query.filter()?;
    let _permit = store.read_limit.acquire().await?;
    let read = async |range| store.queries.events(&EventFilter { pump: pump.clone(), state, range }).await;
    let page = Page::read(&range, |event: &MaintenanceEvent| event.opened_at, read).await?;
    Ok(web::Json(page.into_list(EventResponse::from)))
}

/// One maintenance event with its whole history and its evidence.
#[utoipa::path(
    get,
    path = "/api/maintenance-events/{id}",
    tag = "maintenance",
    params(("id" = String, Path, description = "The event's id, percent-encoded")),
    responses((status = 200, description = "The event", body = EventResponse), Invalid, NoSuchEvent, Unavailable)
)]
pub(crate) async fn maintenance_event(
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
    EventPath(key): EventPath,
) -> Result<web::Json<EventResponse>, ApiError> {
    let _permit = store.read_limit.acquire().await?;
    let event = store.queries.event(&key).await?;
    let event = event.ok_or(ApiError::Event(EventWorkError::UnknownEvent(key)))?;
    Ok(web::Json(EventResponse::whole(event)))
}

/// The event in the segment `{id}` of a path.
pub(crate) struct EventPath(pub(crate) EventKey);

/// The decoded segment.
#[derive(Deserialize)]
struct IdSegment {
    id: String,
}

impl FromRequest for EventPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let segment = web::Path::<IdSegment>::extract(request).into_inner();
        let id = segment.map(|segment| segment.into_inner().id).unwrap_or_default();
        let allowed = "the id of an event, as the list has it";
        ready(id.parse().map(Self).map_err(|_| ApiError::invalid("id", &id, allowed, "not the id of an event")))
    }
}

impl EventsQuery {
    fn filter(self) -> Result<EventFilter, ApiError> {
        let Self { status, pump_id, limit, cursor } = self;
        let state = status.map(|status| match status {
            EventStatus::Active => EventState::Active,
            EventStatus::Resolved => EventState::Resolved,
        });
        let range = page_range(SortOrder::NewestFirst, (None, None), limit, cursor)?;
        Ok(EventFilter { pump: pump_id.map(|pump| pump.0), state, range })
    }
}

impl From<MaintenanceEvent> for EventResponse {
    /// Returns the event as the list has it.
    fn from(mut event: MaintenanceEvent) -> Self {
        event.evidence.clear();
        Self { evidence: None, ..Self::new(event, LISTED_CHANGES) }
    }
}

impl EventResponse {
    /// Returns the event with its whole history and its evidence.
    pub(crate) fn whole(event: MaintenanceEvent) -> Self {
        Self::new(event, usize::MAX)
    }

    fn new(event: MaintenanceEvent, max_changes: usize) -> Self {
        let (id, status) = (event.key().to_string(), event.state().as_str());
        let evidence = event.evidence.into_iter().map(|evidence| EventEvidenceResponse::of(&event.rule, evidence));
        let evidence = Some(evidence.collect());
        let recommendation = event.recommendation.map(|of_rule| RecommendationResponse::of(&event.rule, of_rule));
        Self {
            id,
            status,
            pump_id: event.pump.into(),
            rule: event.rule,
            title: event.title,
            advice: event.advice,
            severity: event.severity.as_str(),
            cost: event.cost.into(),
            channel: event.channel,
            limit: event.limit,
            peak: event.peak,
            peak_loss: event.peak_loss,
            model: event.model,
            opened_at: event.opened_at.to_string(),
            last_seen_at: event.last_seen_at.to_string(),
            resolved_at: event.resolved_at.map(|at| at.to_string()),
            source: event.source,
            work: EventWorkResponse::new(&event.work, max_changes),
            recommendation,
            evidence,
        }
    }
}

impl EventWorkResponse {
    fn new(work: &StatusHistory, max_changes: usize) -> Self {
        let changes = work.changes();
        let listed = changes.iter().skip(changes.len().saturating_sub(max_changes));
        Self {
            status: work.status().as_str(),
            plan: work.plan().map(EventPlanResponse::from),
            finding: work.finding().map(FindingResponse::from),
            allowed: work.status().allowed().to_vec(),
            changes: changes.len(),
            history: listed.map(StatusChangeResponse::from).collect(),
        }
    }
}

impl From<&WorkPlan> for EventPlanResponse {
    fn from(plan: &WorkPlan) -> Self {
        Self { on: plan.on.to_string(), owner: plan.owner.as_str().to_owned() }
    }
}

impl From<&Finding> for FindingResponse {
    fn from(finding: &Finding) -> Self {
        let (kind, mode) = match finding {
            Finding::FailureMode { mode } => ("failure_mode", Some(mode.as_str().to_owned())),
            Finding::Other => ("other", None),
            Finding::Nothing => ("nothing", None),
        };
        Self { kind, mode }
    }
}

impl From<&StatusChange> for StatusChangeResponse {
    fn from(change: &StatusChange) -> Self {
        Self {
            at: change.at.to_string(),
            by: change.by.clone(),
            status: change.status.as_str(),
            comment: change.comment.as_ref().map(|comment| comment.as_str().to_owned()),
            plan: change.plan.as_ref().map(EventPlanResponse::from),
            finding: change.finding.as_ref().map(FindingResponse::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use volute_data::PageRange;
    use volute_plant::{Timestamp, event_status::EventAction};

    use super::*;

    fn parse_filter(query: &str) -> Result<EventFilter, ApiError> {
        Query::<EventsQuery>::parse(query)?.0.filter()
    }

    #[test]
    fn events_are_filtered_by_status_and_pump_newest_first() {
        assert_eq!(
            parse_filter("").expect("all"),
            EventFilter { range: PageRange::newest(1000), ..EventFilter::default() }
        );
        let one = parse_filter("status=resolved&pump_id=P-1&limit=5").expect("some");
        assert_eq!((one.state, one.range), (Some(EventState::Resolved), PageRange::newest(5)));
        assert_eq!(one.pump.map(String::from).as_deref(), Some("P-1"));
        for bad in ["open", "ACTIVE", ""] {
            let refused = parse_filter(&format!("status={bad}"));
            assert!(
                matches!(refused, Err(ApiError::Invalid(error)) if error.field == "status" && error.value == bad),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_event_has_its_id_and_all_its_fields() {
        let stored = json!({
            "pump": "P-1", "rule": "bearing-hot", "title": "Bearing too hot", "advice": "Check the lubrication.",
            "severity": "high", "cost": {"amount": 15000.0, "currency": "INR"}, "channel": "Tb", "limit": 85.0,
            "peak": 93.5, "peak_loss": 0.75, "model": "m-1", "opened_at": "2026-03-09T10:14:33.000Z",
            "last_seen_at": "2026-03-09T10:15:00.000Z", "resolved_at": null, "source": null,
        });
        let mut event: MaintenanceEvent = serde_json::from_value(stored.clone()).expect("an event");
        let mut expected = stored;
        expected["pump_id"] = expected.as_object_mut().and_then(|fields| fields.remove("pump")).expect("a pump");
        expected["id"] = "P-1/bearing-hot/2026-03-09T10:14:33.000Z".into();
        expected["status"] = "active".into();
        expected["work"] = json!({
            "status": "open", "plan": null, "finding": null, "allowed": ["acknowledge", "plan", "finish"], "changes": 0,
            "history": [],
        });
        (expected["recommendation"], expected["evidence"]) = (json!(null), json!(null));
        assert_eq!(serde_json::to_value(EventResponse::from(event.clone())).expect("JSON"), expected);
        event.model = None;
        event.pump = "P-101A/B 5%".parse().expect("an id");
        let id = event.key().to_string();
        assert_eq!(id, "P-101A%2FB 5%25/bearing-hot/2026-03-09T10:14:33.000Z");
        assert_eq!(id.parse(), Ok(event.key()));
        event.resolved_at = "2026-03-09T10:16:00Z".parse::<Timestamp>().ok();
        let resolved = serde_json::to_value(EventResponse::from(event)).expect("JSON");
        assert_eq!(
            (&resolved["status"], &resolved["resolved_at"], &resolved["model"]),
            (&json!("resolved"), &json!("2026-03-09T10:16:00.000Z"), &json!(null))
        );
    }

    #[test]
    fn the_list_has_the_newest_changes_and_the_event_has_all() {
        let mut work = StatusHistory::default();
        let at = |second: i64| Timestamp::from_millis(1_773_051_273_000 + second * 1_000).expect("a time");
        for second in 0..4 {
            work.act(EventAction::Finish(Finding::Nothing), "user asha", None, at(2 * second)).expect("allowed");
            work.act(EventAction::Reopen, "user asha", None, at(2 * second + 1)).expect("allowed");
        }
        let listed = EventWorkResponse::new(&work, LISTED_CHANGES);
        assert_eq!((listed.changes, listed.history.len(), listed.history[4].status), (8, 5, "reopened"));
        assert_eq!(EventWorkResponse::new(&work, usize::MAX).history.len(), 8);
    }
}
