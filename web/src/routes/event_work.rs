//! `POST /api/maintenance-events/{id}/...`: what people do about maintenance events.
//!
//! An example: an engineer plans the work and submits the plan, and a manager approves it.
//!
//! ```text
//! POST .../P-7%2Fbearing-hot%2F2026-03-09T10:14:33.000Z/plan     {"on": "2026-03-13T08:00:00Z", "owner": "ravi"}
//! POST .../P-7%2Fbearing-hot%2F2026-03-09T10:14:33.000Z/submit   {}
//! POST .../P-7%2Fbearing-hot%2F2026-03-09T10:14:33.000Z/approve  {"comment": "fine"}
//! ```
//!
//! The response is the event with its whole history. What it shows is durable. What is allowed when is in
//! [`volute_plant::event_status`]; who may do it is in the table of routes.

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::EventRequest;
use volute_data::AuditAction;
use volute_plant::{
    Comment, EventKey, Timestamp,
    event_status::{EventAction, Finding, ShortText, WorkPlan},
};

use super::maintenance::{EventPath, EventResponse};
use crate::{
    access::person,
    audit::AuditedCommand,
    decode::from_value,
    extract::JsonBody,
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NoSuchEvent, Slow, TooLarge, TooMany, Unavailable, Unsupported, WrongStatus},
};

/// The planned time may be this long ago: a plan is sometimes written down after the work.
const MAX_PAST_MS: i64 = 7 * 86_400_000;
/// The planned time may be this far ahead: five years.
const MAX_AHEAD_MS: i64 = 5 * 366 * 86_400_000;

/// An action with a comment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventActionRequest, example = json!({"comment": "going there"}))]
pub(crate) struct CommentSchema {
    /// Why. Required to reject a plan.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    comment: Option<Comment>,
    /// How many changes of the event the user has seen (`work.changes`). If there are others, the action is refused with 409.
    #[serde(default)]
    changes: Option<usize>,
}

/// A plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventPlanRequest, example = json!({"on": "2026-03-13T08:00:00Z", "owner": "ravi"}))]
pub(crate) struct PlanSchema {
    /// When the work is to be done.
    #[schema(value_type = String, format = DateTime)]
    on: Timestamp,
    /// Who is responsible, 1 to 100 characters.
    #[schema(value_type = String)]
    owner: ShortText,
    /// Why.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    comment: Option<Comment>,
    /// How many changes of the event the user has seen (`work.changes`). If there are others, the action is refused with 409.
    #[serde(default)]
    changes: Option<usize>,
}

/// What was found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventFinishRequest, example = json!({"finding": {"kind": "failure_mode", "mode": "bearing_wear"}}))]
pub(crate) struct FinishSchema {
    /// The finding.
    finding: FindingSchema,
    /// More. Required for `other`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    comment: Option<Comment>,
    /// How many changes of the event the user has seen (`work.changes`). If there are others, the action is refused with 409.
    #[serde(default)]
    changes: Option<usize>,
}

/// A finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = FindingRequest)]
pub(crate) struct FindingSchema {
    /// Whether it was a failure mode, another cause, or nothing.
    kind: FindingKind,
    /// For `failure_mode`: which one, 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mode: Option<ShortText>,
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FindingKind {
    FailureMode,
    Other,
    Nothing,
}

/// Defines a route of an action without fields but the comment.
macro_rules! action_route {
    ($name:ident, $path:literal, $action:expr, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(
                            post,
                            path = $path,
                            tag = "maintenance",
                            params(("id" = String, Path, description = "The event's id, percent-encoded")),
                            request_body(content = CommentSchema, description = "A comment; may be an empty object"),
                            responses(
                                (status = 200, description = "The event after it", body = EventResponse),
                                Invalid, NoSuchEvent, WrongStatus, Slow, TooLarge, Unsupported, TooMany, Unavailable
                            )
                        )]
        pub(crate) async fn $name(
            node: web::Data<Node>,
            request: HttpRequest,
            _: Query<NoParameters>,
            EventPath(key): EventPath,
            body: JsonBody,
        ) -> Result<web::Json<EventResponse>, ApiError> {
            let CommentSchema { comment, changes } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
            act(&node, &request, (key, changes), $action, comment).await
        }
    };
}

action_route!(
    acknowledge_event,
    "/api/maintenance-events/{id}/acknowledge",
    EventAction::Acknowledge,
    "Says that one has seen the event."
);
action_route!(
    submit_event,
    "/api/maintenance-events/{id}/submit",
    EventAction::Submit,
    "Submits the event's plan for approval."
);
action_route!(
    approve_event,
    "/api/maintenance-events/{id}/approve",
    EventAction::Approve,
    "Approves the event's plan. Whoever made or submitted it may not."
);
action_route!(
    reject_event,
    "/api/maintenance-events/{id}/reject",
    EventAction::Reject,
    "Rejects the event's plan, with a comment. Whoever made or submitted it may not."
);
action_route!(
    reopen_event,
    "/api/maintenance-events/{id}/reopen",
    EventAction::Reopen,
    "Reopens an event that is done: the fault is there again."
);

/// Plans the work of the event, or changes its plan. One that waits for approval has to be submitted again then.
#[utoipa::path(
    post,
    path = "/api/maintenance-events/{id}/plan",
    tag = "maintenance",
    params(("id" = String, Path, description = "The event's id, percent-encoded")),
    request_body(content = PlanSchema, description = "The plan"),
    responses(
        (status = 200, description = "The event after it", body = EventResponse),
        Invalid, NoSuchEvent, WrongStatus, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn plan_event(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    EventPath(key): EventPath,
    body: JsonBody,
) -> Result<web::Json<EventResponse>, ApiError> {
    let PlanSchema { on, owner, comment, changes } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    let now = node.engine.now();
    let (first, last) = (now.plus_ms(-MAX_PAST_MS), now.plus_ms(MAX_AHEAD_MS));
    if on < first || on > last {
        return Err(ApiError::invalid("on", &on.to_string(), format!("{first} to {last}"), "too far away"));
    }
    act(&node, &request, (key, changes), EventAction::Plan(WorkPlan { on, owner }), comment).await
}

/// Says what was found. The event's work is done then.
#[utoipa::path(
    post,
    path = "/api/maintenance-events/{id}/finish",
    tag = "maintenance",
    params(("id" = String, Path, description = "The event's id, percent-encoded")),
    request_body(content = FinishSchema, description = "The finding"),
    responses(
        (status = 200, description = "The event after it", body = EventResponse),
        Invalid, NoSuchEvent, WrongStatus, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn finish_event(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    EventPath(key): EventPath,
    body: JsonBody,
) -> Result<web::Json<EventResponse>, ApiError> {
    let FinishSchema { finding, comment, changes } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    let finding = finding.parse().map_err(ApiError::Invalid)?;
    act(&node, &request, (key, changes), EventAction::Finish(finding), comment).await
}

impl FindingSchema {
    fn parse(self) -> Result<Finding, InvalidValue> {
        match (self.kind, self.mode) {
            (FindingKind::FailureMode, Some(mode)) => Ok(Finding::FailureMode { mode }),
            (FindingKind::FailureMode, None) => {
                Err(InvalidValue::new("finding.mode", Value::Null, "the failure mode", "missing"))
            }
            (_, Some(mode)) => {
                let allowed = "only for failure_mode";
                Err(InvalidValue::new("finding.mode", mode.as_str().into(), allowed, "not for this kind of finding"))
            }
            (FindingKind::Other, None) => Ok(Finding::Other),
            (FindingKind::Nothing, None) => Ok(Finding::Nothing),
        }
    }
}

/// Carries out an action on an event of which the user has seen so many changes, with its entry in the audit log.
async fn act(
    node: &web::Data<Node>,
    request: &HttpRequest,
    (key, seen_changes): (EventKey, Option<usize>),
    action: EventAction,
    comment: Option<Comment>,
) -> Result<web::Json<EventResponse>, ApiError> {
    let detail = match (&action, &comment) {
        (EventAction::Plan(plan), _) => format!("{}, {}", plan.on, plan.owner.as_str()),
        (EventAction::Finish(Finding::FailureMode { mode }), _) => mode.as_str().to_owned(),
        (_, Some(comment)) => comment.as_str().to_owned(),
        (_, None) => String::new(),
    };
    let audit_action = AuditAction::of_event(&action);
    let audited = AuditedCommand::new(node, request, audit_action, &key.to_string()).detail(&detail);
    let request = EventRequest { action, by: person(request), comment, seen_changes };
    let engine = node.engine.clone();
    let event =
        audited.execute(async move { engine.work_on_event(key, request).await.map_err(ApiError::Event) }).await?;
    Ok(web::Json(EventResponse::whole(event)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_has_the_fields_of_its_kind() {
        let parse = |body: Value| from_value::<FinishSchema>(&body, "field").and_then(|body| body.finding.parse());
        let mode = ShortText::try_from("bearing_wear".to_owned()).expect("a name");
        for (finding, parsed) in [
            (json!({"kind": "failure_mode", "mode": "bearing_wear"}), Finding::FailureMode { mode }),
            (json!({"kind": "other"}), Finding::Other),
            (json!({"kind": "nothing"}), Finding::Nothing),
        ] {
            assert_eq!(parse(json!({"finding": finding})).expect("valid"), parsed);
        }
        for (body, field) in [
            (json!({}), "finding"),
            (json!({"finding": {}}), "finding.kind"),
            (json!({"finding": {"kind": "worn"}}), "finding.kind"),
            (json!({"finding": {"kind": "failure_mode"}}), "finding.mode"),
            (json!({"finding": {"kind": "failure_mode", "mode": ""}}), "finding.mode"),
            (json!({"finding": {"kind": "nothing", "mode": "bearing_wear"}}), "finding.mode"),
            (json!({"finding": {"kind": "nothing"}, "comment": " "}), "comment"),
        ] {
            assert_eq!(parse(body.clone()).expect_err("refused").field, field, "{body}");
        }
    }
}
