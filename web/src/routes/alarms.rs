//! `/api/alarms`: the alarms that are not normal, of the pumps and of the node itself, and what people do with them.
//!
//! An example: a plant engineer acknowledges what the list shows.
//!
//! ```text
//! GET  /api/alarms                 bearing-high of P-7, occurrence 3, unacknowledged
//! POST /api/alarms/acknowledge     {"alarms": [{"pump_id": "P-7", "alarm": "bearing-high", "occurrence": 3}], "comment": "on my way"}
//! ```
//!
//! The occurrence is the newest one that the person saw, so a new one that was raised meanwhile stays unacknowledged. A
//! request may name several alarms; each has its result. If none of the commands took effect, the response is the error of
//! the first. What took effect is durable when the response is sent.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use volute_actors::{EngineHandle, StandingAlarm};
use volute_alarm::{AlarmId, Command, CommandKind, Comment, Priority, State, Suppression};
use volute_data::{AuditAction, Completeness};
use volute_plant::{PumpId, Timestamp};

use crate::{
    access::who,
    audit::AuditedCommand,
    decode::from_value,
    extract::JsonBody,
    invalid_value::InvalidValue,
    list::{Limit, List, MAX_LIMIT},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Parsed, PumpParam, Query},
    responses::{Invalid, NoSuchAlarm, Slow, TooLarge, TooMany, Unavailable, Unsupported, WrongState},
};

/// The maximum number of alarms in one command.
const MAX_ALARMS: usize = 1_000;

/// Parameters: the requested alarms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlarmsQuery {
    /// Only alarms of this pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// Only alarms in this state, such as `unacknowledged`
    #[param(value_type = Option<String>)]
    state: Option<State>,
    /// Only alarms of this priority: `low`, `medium`, `high` or `critical`
    #[param(value_type = Option<String>)]
    priority: Option<Priority>,
    /// 1 to 10000; absent: 10000. If there are more, `incomplete` says how many are left out
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
}

/// An alarm that is not normal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmResponse {
    /// The pump's id; null for an alarm of the node itself.
    #[schema(value_type = Option<String>, required)]
    pump_id: Option<PumpId>,
    /// The alarm's id, unique among the alarms of the pump or the node.
    #[schema(value_type = String, example = "bearing-temperature-c-high")]
    alarm: AlarmId,
    /// What is wrong.
    title: String,
    /// What to do about it; empty if its definition does not say.
    help: String,
    /// `low`, `medium`, `high` or `critical`.
    #[schema(value_type = String)]
    priority: Priority,
    /// `unacknowledged`, `acknowledged`, `returned_unacknowledged`, `latched_unacknowledged`, `latched_acknowledged`,
    /// `shelved`, `suppressed` or `out_of_service`.
    #[schema(value_type = String)]
    state: State,
    /// The commands that are allowed now.
    #[schema(value_type = Vec<String>)]
    allowed: &'static [CommandKind],
    /// Its newest occurrence; 0 before the first. It grows by one each time the alarm is raised.
    occurrence: u32,
    /// The newest acknowledged occurrence.
    acknowledged_up_to: u32,
    /// Whether the condition holds now.
    holds: bool,
    /// When the newest occurrence was raised, by the node's clock.
    #[schema(format = DateTime, required)]
    raised_at: Option<String>,
    /// Since when the condition of the newest occurrence held: before the on-delay.
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// The value that raised it, in the unit of the limit; null if there is no number, as for missing data.
    #[schema(required)]
    value: Option<f64>,
    /// The limit then.
    #[schema(required)]
    limit: Option<f64>,
    /// Until when, by whom and why it is shelved; null if it is not.
    #[schema(required)]
    shelved: Option<ShelvedResponse>,
    /// Since when, by whom and why it is out of service; null if it is not.
    #[schema(required)]
    out_of_service: Option<OutOfServiceResponse>,
    /// Why it is suppressed by design; empty if it is not.
    suppressed: Vec<String>,
}

/// How an alarm is shelved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShelvedResponse {
    /// When it was shelved.
    #[schema(format = DateTime)]
    since: String,
    /// When the shelving ends by itself.
    #[schema(format = DateTime)]
    until: String,
    /// Who shelved it.
    #[schema(required)]
    by: Option<String>,
    /// Why.
    #[schema(value_type = Option<String>, required)]
    reason: Option<Comment>,
}

/// How an alarm is out of service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutOfServiceResponse {
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// Who took it out of service.
    #[schema(required)]
    by: Option<String>,
    /// Why.
    #[schema(value_type = Option<String>, required)]
    reason: Option<Comment>,
}

/// The alarms that are not normal, the most urgent first: what nobody has acknowledged, then what stands, then what is shelved,
/// suppressed or out of service; in each of these by priority, the newest first.
#[utoipa::path(
    get,
    path = "/api/alarms",
    tag = "alarms",
    params(AlarmsQuery),
    responses((status = 200, description = "The alarms", body = List<AlarmResponse>), Invalid)
)]
pub(crate) async fn alarms(
    node: web::Data<Node>,
    Query(query): Query<AlarmsQuery>,
) -> Result<web::Json<List<AlarmResponse>>, ApiError> {
    let standing_alarms = node.engine.alarms();
    let is_of_all = query.pump_id.is_none();
    let pumps = match query.pump_id {
        Some(pump) => {
            let Parsed(pump) = pump;
            let alarms = standing_alarms.of(&pump);
            vec![(pump, alarms)]
        }
        None => standing_alarms.all(),
    };
    let of_node = is_of_all.then(|| (None, standing_alarms.of_node()));
    let mut items = Vec::new();
    for (pump, alarms) in pumps.into_iter().map(|(pump, alarms)| (Some(pump), alarms)).chain(of_node) {
        let wanted = alarms.iter().filter(|alarm| {
            query.state.is_none_or(|state| state == alarm.state)
                && query.priority.is_none_or(|priority| priority == alarm.priority)
        });
        items.extend(wanted.map(|alarm| AlarmResponse::new(pump.as_ref(), alarm)));
    }
    items.sort_by_key(|alarm| {
        let rank = match alarm.state {
            state if state.is_unacknowledged() => 0,
            state if state.is_standing() => 1,
            _ => 2,
        };
        (rank, std::cmp::Reverse(alarm.priority), std::cmp::Reverse(alarm.raised_at.clone()))
    });
    let unread = node.engine.store().pumps().iter().filter(|record| !standing_alarms.knows(&record.id)).count();
    let limit = query.limit.map_or(MAX_LIMIT, Limit::get);
    let left_out = items.len().saturating_sub(limit);
    items.truncate(limit);
    let completeness = match missing_in_words(left_out, unread) {
        None => Completeness::Complete,
        Some(reason) => Completeness::Partial { from: None, reason },
    };
    Ok(web::Json(List::single_page(items, completeness)))
}

/// Returns what the list does not have; none if it has all.
fn missing_in_words(left_out: usize, unread_pumps: usize) -> Option<String> {
    let unread = match unread_pumps {
        0 => None,
        1 => Some("the alarms of one pump are not read yet".to_owned()),
        _ => Some(format!("the alarms of {unread_pumps} pumps are not read yet")),
    };
    let left_out = (left_out > 0).then(|| {
        format!("{left_out} less urgent alarms are left out by the limit: ask for one pump, state or priority")
    });
    match (left_out, unread) {
        (Some(left_out), Some(unread)) => Some(format!("{left_out}; {unread}")),
        (left_out, unread) => left_out.or(unread),
    }
}

/// The alarms that a command is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlarmReference)]
pub(crate) struct AlarmRef {
    /// The pump's id; null or absent for an alarm of the node itself.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pump_id: Option<Parsed<PumpId>>,
    /// The alarm's id.
    #[schema(value_type = String)]
    alarm: AlarmId,
    /// For `acknowledge`: the newest occurrence that the person saw. Older ones are acknowledged too.
    #[serde(default)]
    occurrence: Option<u32>,
}

/// What to do with alarms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlarmCommandRequest, example = json!({
    "alarms": [{"pump_id": "P-7", "alarm": "bearing-temperature-c-high", "occurrence": 3}], "comment": "on my way"
}))]
pub(crate) struct AlarmCommandSchema {
    /// The alarms, 1 to 1000.
    alarms: Vec<AlarmRef>,
    /// A comment. For `shelve` and `take-out-of-service` it is required: the reason.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    comment: Option<Comment>,
    /// For `shelve`: when the shelving ends by itself, at most a week from now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// The results of a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmResults {
    /// One per alarm, in the order of the request.
    results: Vec<AlarmResult>,
}

/// The result for one alarm.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmResult {
    /// The pump's id; null for an alarm of the node itself.
    #[schema(value_type = Option<String>, required)]
    pump_id: Option<PumpId>,
    /// The alarm's id.
    #[schema(value_type = String)]
    alarm: AlarmId,
    /// Whether the command took effect. Then it is durable.
    done: bool,
    /// Why it did not; null if it did.
    #[schema(required)]
    error: Option<String>,
}

macro_rules! command_route {
    ($name:ident, $path:literal, $kind:expr, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(
                    post,
                    path = $path,
                    tag = "alarms",
                    request_body(content = AlarmCommandSchema, description = "The alarms, and a comment"),
                    responses(
                        (status = 200, description = "At least one of the commands took effect", body = AlarmResults),
                        Invalid, NoSuchAlarm, WrongState, Slow, TooLarge, Unsupported, TooMany, Unavailable
                    )
                )]
        pub(crate) async fn $name(
            node: web::Data<Node>,
            request: HttpRequest,
            _: Query<NoParameters>,
            body: JsonBody,
        ) -> Result<web::Json<AlarmResults>, ApiError> {
            run(&node, &request, $kind, &body.json).await
        }
    };
}

command_route!(
    acknowledge,
    "/api/alarms/acknowledge",
    CommandKind::Acknowledge,
    "Acknowledges alarms, each up to the occurrence that was seen."
);
command_route!(shelve, "/api/alarms/shelve", CommandKind::Shelve, "Shelves alarms for a time, with a reason.");
command_route!(unshelve, "/api/alarms/unshelve", CommandKind::Unshelve, "Ends the shelving of alarms.");
command_route!(
    take_out_of_service,
    "/api/alarms/take-out-of-service",
    CommandKind::TakeOutOfService,
    "Takes alarms out of service, with a reason, until they are returned to service."
);
command_route!(
    return_to_service,
    "/api/alarms/return-to-service",
    CommandKind::ReturnToService,
    "Returns alarms to service."
);
command_route!(
    reset_alarms,
    "/api/alarms/reset",
    CommandKind::Reset,
    "Resets latched alarms, which are over and acknowledged."
);

/// Carries out a command for each alarm of the body.
async fn run(
    node: &web::Data<Node>,
    request: &HttpRequest,
    kind: CommandKind,
    body: &Value,
) -> Result<web::Json<AlarmResults>, ApiError> {
    let schema: AlarmCommandSchema = from_value(body, "field").map_err(ApiError::Invalid)?;
    let commands = commands(kind, schema).map_err(ApiError::Invalid)?;
    let user = who(request).to_string();
    let object = match commands.as_slice() {
        [(owner, alarm, _)] => format!("{} {alarm}", owner_text(owner.as_ref())),
        several => format!("{} alarms", several.len()),
    };
    let detail = detail(&commands);
    let audited = AuditedCommand::new(node, request, AuditAction::of_alarm(kind), &object).detail(&detail);
    let engine = node.engine.clone();
    let results = audited.execute(async move { execute(&engine, commands, &user).await }).await?;
    Ok(web::Json(AlarmResults { results }))
}

/// Sends each pump its commands. Returns the results in the order of the commands, or the first error if none took effect.
async fn execute(
    engine: &EngineHandle,
    commands: Vec<(Option<PumpId>, AlarmId, Command)>,
    user: &str,
) -> Result<Vec<AlarmResult>, ApiError> {
    let mut of_pump: BTreeMap<Option<PumpId>, Vec<(usize, AlarmId, Command)>> = BTreeMap::new();
    for (index, (pump, alarm, command)) in commands.into_iter().enumerate() {
        of_pump.entry(pump).or_default().push((index, alarm, command));
    }
    let (mut results, mut first_error) = (Vec::new(), None);
    for (pump, commands) in of_pump {
        let named: Vec<(usize, AlarmId)> = commands.iter().map(|(index, alarm, _)| (*index, alarm.clone())).collect();
        let commands = commands.into_iter().map(|(_, alarm, command)| (alarm, command)).collect();
        let done = match &pump {
            Some(pump) => engine.command_alarms(pump, commands, user.to_owned()).await,
            None => engine.command_node_alarms(commands, user.to_owned()).await,
        };
        let outcomes: Vec<Result<(), ApiError>> = match done {
            Ok(outcomes) => outcomes.into_iter().map(|(_, outcome)| outcome.map_err(ApiError::Alarm)).collect(),
            Err(error) => named.iter().map(|_| Err(ApiError::AlarmCommand(error.clone()))).collect(),
        };
        for ((index, alarm), outcome) in named.into_iter().zip(outcomes) {
            let error = outcome.as_ref().err().map(ToString::to_string);
            if let Err(error) = outcome {
                first_error.get_or_insert(error);
            }
            results.push((index, AlarmResult { pump_id: pump.clone(), alarm, done: error.is_none(), error }));
        }
    }
    results.sort_by_key(|(index, _)| *index);
    match first_error {
        Some(error) if results.iter().all(|(_, result)| !result.done) => Err(error),
        _ => Ok(results.into_iter().map(|(_, result)| result).collect()),
    }
}

/// Returns the command for each alarm, or the field that is missing or does not belong to this kind of command.
fn commands(
    kind: CommandKind,
    schema: AlarmCommandSchema,
) -> Result<Vec<(Option<PumpId>, AlarmId, Command)>, InvalidValue> {
    let AlarmCommandSchema { alarms, comment, until } = schema;
    if alarms.is_empty() || alarms.len() > MAX_ALARMS {
        let allowed = format!("1 to {MAX_ALARMS} alarms");
        return Err(InvalidValue::new("alarms", alarms.len().into(), allowed, "the number of alarms is not allowed"));
    }
    if let (Some(until), false) = (until, kind == CommandKind::Shelve) {
        return Err(InvalidValue::new("until", until.to_string().into(), "only for shelve", "not for this command"));
    }
    let missing = |field: &str, allowed: &str| InvalidValue::new(field, Value::Null, allowed, "missing");
    let reason = || comment.clone().ok_or_else(|| missing("comment", Comment::ALLOWED));
    let command = |index: usize, occurrence: Option<u32>| -> Result<Command, InvalidValue> {
        Ok(match kind {
            CommandKind::Acknowledge => {
                let field = format!("alarms[{index}].occurrence");
                let up_to = occurrence.ok_or_else(|| missing(&field, "the newest occurrence that was seen"))?;
                Command::Acknowledge { up_to, comment: comment.clone() }
            }
            CommandKind::Shelve => {
                let until = until.ok_or_else(|| missing("until", "a time, at most a week from now"))?;
                Command::Shelve { until, reason: reason()? }
            }
            CommandKind::Unshelve => Command::Unshelve { comment: comment.clone() },
            CommandKind::TakeOutOfService => Command::TakeOutOfService { reason: reason()? },
            CommandKind::ReturnToService => Command::ReturnToService { comment: comment.clone() },
            CommandKind::Reset => Command::Reset { comment: comment.clone() },
        })
    };
    let alarms = alarms.into_iter().enumerate();
    alarms
        .map(|(index, alarm)| Ok((alarm.pump_id.map(|pump| pump.0), alarm.alarm, command(index, alarm.occurrence)?)))
        .collect()
}

/// Returns the details of a command for the audit log.
fn detail(commands: &[(Option<PumpId>, AlarmId, Command)]) -> String {
    let comment = commands.first().and_then(|(_, _, command)| match command {
        Command::Acknowledge { comment, .. }
        | Command::Unshelve { comment }
        | Command::ReturnToService { comment }
        | Command::Reset { comment } => comment.as_ref(),
        Command::Shelve { reason, .. } | Command::TakeOutOfService { reason } => Some(reason),
    });
    let named: Vec<String> =
        commands.iter().take(5).map(|(owner, alarm, _)| format!("{} {alarm}", owner_text(owner.as_ref()))).collect();
    match comment {
        Some(comment) => format!("{}: {}", named.join(", "), comment.as_str()),
        None => named.join(", "),
    }
}

/// Returns the owner of an alarm for the audit log.
fn owner_text(pump: Option<&PumpId>) -> &str {
    pump.map_or("node", PumpId::as_str)
}

impl AlarmResponse {
    fn new(pump: Option<&PumpId>, alarm: &StandingAlarm) -> Self {
        let raised = alarm.raised.as_ref();
        Self {
            pump_id: pump.cloned(),
            alarm: alarm.id.clone(),
            title: alarm.title.clone(),
            help: alarm.help.clone(),
            priority: alarm.priority,
            state: alarm.state,
            allowed: alarm.allowed,
            occurrence: alarm.occurrence,
            acknowledged_up_to: alarm.acknowledged_up_to,
            holds: alarm.holds,
            raised_at: alarm.announced_at.map(|at| at.to_string()),
            since: raised.map(|raised| raised.since.to_string()),
            value: raised.and_then(|raised| raised.value),
            limit: raised.and_then(|raised| raised.limit),
            shelved: alarm.shelving.as_ref().map(|shelving| ShelvedResponse {
                since: shelving.since.to_string(),
                until: shelving.until.to_string(),
                by: shelving.by.clone(),
                reason: shelving.reason.clone(),
            }),
            out_of_service: alarm.out_of_service.as_ref().map(|removal| OutOfServiceResponse {
                since: removal.since.to_string(),
                by: removal.by.clone(),
                reason: removal.reason.clone(),
            }),
            suppressed: alarm.suppressions.iter().map(suppression_text).collect(),
        }
    }
}

/// Returns why an alarm is suppressed, as text for users.
fn suppression_text(why: &Suppression) -> String {
    match why {
        Suppression::OperatingState => "it does not hold in the pump's present operating state".into(),
        Suppression::ExplainedBy { alarm } => format!("explained by the alarm {alarm}"),
        Suppression::PlannedWork { work } => format!("planned work: {work}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(kind: CommandKind, body: Value) -> Result<Vec<(Option<PumpId>, AlarmId, Command)>, InvalidValue> {
        commands(kind, from_value(&body, "field")?)
    }

    #[test]
    fn a_list_says_what_it_does_not_have() {
        assert_eq!(missing_in_words(0, 0), None);
        assert_eq!(missing_in_words(0, 1).as_deref(), Some("the alarms of one pump are not read yet"));
        let both = missing_in_words(7, 2).expect("both");
        assert!(
            both.starts_with("7 less urgent alarms are left out") && both.ends_with("of 2 pumps are not read yet"),
            "{both}"
        );
    }

    #[test]
    fn each_command_has_its_fields() {
        let alarm = json!({"pump_id": "P-1", "alarm": "bearing-high", "occurrence": 3});
        let acknowledged = parse(CommandKind::Acknowledge, json!({"alarms": [alarm], "comment": "on my way"}));
        let (pump, id, command) = acknowledged.expect("valid").remove(0);
        assert_eq!((pump.as_ref().map(PumpId::as_str), id.as_str()), (Some("P-1"), "bearing-high"));
        for node in [
            json!({"alarm": "node-disk", "occurrence": 1}),
            json!({"pump_id": null, "alarm": "node-disk", "occurrence": 1}),
        ] {
            let acknowledged = parse(CommandKind::Acknowledge, json!({"alarms": [node]})).expect("valid");
            assert_eq!(acknowledged[0].0, None, "of the node");
        }
        let comment = Comment::try_from("on my way".to_owned()).ok();
        assert_eq!(command, Command::Acknowledge { up_to: 3, comment });
        let shelve = json!({"alarms": [alarm], "comment": "new bearing at 1", "until": "2026-03-09T13:00:00Z"});
        assert!(matches!(parse(CommandKind::Shelve, shelve).expect("valid")[0].2, Command::Shelve { .. }));
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        let (seen, unseen) =
            (json!({"pump_id": "P-1", "alarm": "hot", "occurrence": 1}), json!({"pump_id": "P-1", "alarm": "hot"}));
        for (kind, body, field) in [
            (CommandKind::Acknowledge, json!({"alarms": [unseen]}), "alarms[0].occurrence"),
            (CommandKind::Acknowledge, json!({"alarms": []}), "alarms"),
            (CommandKind::Acknowledge, json!({"alarms": [seen], "until": "2026-03-09T13:00:00Z"}), "until"),
            (CommandKind::Acknowledge, json!({"alarms": [seen], "comment": "  "}), "comment"),
            (CommandKind::Acknowledge, json!({"alarms": [{"pump_id": "", "alarm": "hot"}]}), "alarms[0].pump_id"),
            (CommandKind::Acknowledge, json!({"alarms": [{"pump_id": "P-1", "alarm": "Hot!"}]}), "alarms[0].alarm"),
            (CommandKind::Acknowledge, json!({"alarm": [seen]}), "alarm"),
            (CommandKind::Shelve, json!({"alarms": [seen], "comment": "why"}), "until"),
            (CommandKind::Shelve, json!({"alarms": [seen], "until": "2026-03-09T13:00:00Z"}), "comment"),
            (CommandKind::TakeOutOfService, json!({"alarms": [seen]}), "comment"),
        ] {
            assert_eq!(parse(kind, body.clone()).expect_err("refused").field, field, "{body}");
        }
    }
}
