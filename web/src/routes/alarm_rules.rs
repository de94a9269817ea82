//! `/api/pumps/{id}/alarms`: the definitions of a pump's alarms, and a trial of one on stored readings.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{AlarmCommandError, NewAlarmRules};
use volute_alarm::{
    AlarmDefinition, AlarmId, ArmedAlarms, InUse, InvalidValue as InvalidAlarm, TrialReading, profile_alarms,
};
use volute_data::{AuditAction, PageRange, SortOrder};
use volute_plant::{OperatingState, Profile, PumpId, Reading, Timestamp, Windower};

use crate::{
    access::who,
    audit::AuditedCommand,
    decode::from_value,
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NotFound, OtherVersion, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    store_context::StoreContext,
};

/// The maximum number of definitions of one pump's own.
const MAX_OWN: usize = 200;
/// How many readings a trial reads at once.
const READ_ROWS: usize = 10_000;
/// The time that is tried if the request does not say: a week.
const DEFAULT_TRIAL_MS: i64 = 7 * 86_400_000;
/// The maximum number of readings of a trial: a year of one per minute.
const MAX_TRIAL_READINGS: u64 = 530_000;

/// The definitions of a pump's alarms.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefinitionsResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// All alarms of the pump: those of its profile's limits, and its own.
    #[schema(value_type = Vec<Object>)]
    alarms: Vec<AlarmDefinition>,
    /// The pump's own alarms: the ids of those that differ from its profile's.
    #[schema(value_type = Vec<String>)]
    own: Vec<AlarmId>,
    /// The alarms of its profile that this pump does not have.
    #[schema(value_type = Vec<String>)]
    removed: Vec<AlarmId>,
    /// The delays, deadbands and operating states in use, by alarm: also where a definition leaves them to its quantity.
    #[schema(value_type = Object)]
    in_use: BTreeMap<AlarmId, InUse>,
    /// How often the pump's own alarms were set; 0 if it has those of its profile. To be sent back when they are changed.
    version: u64,
    /// Who set them last; null if it has those of its profile.
    #[schema(required)]
    by: Option<String>,
    /// When; null if it has those of its profile.
    #[schema(format = DateTime, required)]
    at: Option<String>,
}

/// A pump's own alarms.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlarmDefinitionsRequest, example = json!({"alarms": [{
    "id": "bearing-temperature-c-high", "title": "Bearing warm", "priority": "low",
    "condition": {"kind": "high", "channel": "Bearing_Temperature_C", "limit": 78}, "on_delay_s": 120
}], "removed": []}))]
pub(crate) struct DefinitionsSchema {
    /// At most 200 definitions. One with the id of an alarm of the profile replaces it. Each has `id`, `title`, `priority` and
    /// `condition`; `docs/alarms.md` has the rest.
    #[schema(value_type = Vec<Object>)]
    alarms: Vec<AlarmDefinition>,
    /// The ids of alarms of the profile that this pump does not have.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    removed: Vec<AlarmId>,
    /// The `version` that the change was made from. If somebody else has changed the pump's own alarms since then, nothing is
    /// changed (409). Absent: they are changed in any case.
    #[serde(default)]
    version: Option<u64>,
}

/// The definitions of a pump's alarms.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/alarms",
    tag = "alarms",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    responses((status = 200, description = "The definitions", body = DefinitionsResponse), Invalid, NotFound, Unavailable)
)]
pub(crate) async fn alarm_definitions(
    node: web::Data<Node>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> Result<web::Json<DefinitionsResponse>, ApiError> {
    if !node.engine.knows(&pump) {
        return Err(ApiError::UnknownPump(pump));
    }
    response(&node, pump).await.map(web::Json)
}

/// Sets the pump's own alarms.
///
/// All definitions are checked before any is used. Alarms that keep their id keep their life; an alarm that is no longer
/// defined stays until it is acknowledged. The change is durable when the response is sent.
#[utoipa::path(
    put,
    path = "/api/pumps/{id}/alarms",
    tag = "alarms",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = DefinitionsSchema, description = "The pump's own alarms"),
    responses(
        (status = 200, description = "The definitions", body = DefinitionsResponse),
        Invalid, NotFound, OtherVersion, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn set_alarm_definitions(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    body: JsonBody,
) -> Result<web::Json<DefinitionsResponse>, ApiError> {
    let DefinitionsSchema { alarms, removed, version } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    if alarms.len() > MAX_OWN {
        let allowed = format!("at most {MAX_OWN} definitions");
        let error = InvalidValue::new("alarms", alarms.len().into(), allowed, "too many definitions");
        return Err(ApiError::Invalid(error));
    }
    for (index, alarm) in alarms.iter().enumerate() {
        if alarms[..index].iter().any(|before| before.id == alarm.id) {
            let (field, value) = (format!("alarms[{index}].id"), alarm.id.as_str().into());
            let allowed = "an id that no other definition of the request has";
            return Err(ApiError::Invalid(InvalidValue::new(&field, value, allowed, "given twice")));
        }
    }
    if !node.engine.knows(&pump) {
        return Err(ApiError::UnknownPump(pump));
    }
    check_removed(&node, &pump, &removed).await?;
    let by = who(&request).to_string();
    let detail = format!("{} own, {} removed", alarms.len(), removed.len());
    let rules = NewAlarmRules { pump: pump.clone(), by, definitions: alarms, removed, made_from: version };
    let command = AuditedCommand::new(&node, &request, AuditAction::SetAlarms, pump.as_str()).detail(&detail);
    let engine = node.engine.clone();
    command.execute(async move { engine.set_alarm_rules(rules).await.map_err(refused) }).await?;
    response(&node, pump).await.map(web::Json)
}

/// Converts a refusal: a mistake in a definition is named with its field.
fn refused(error: AlarmCommandError) -> ApiError {
    match error {
        AlarmCommandError::Invalid(mistakes) => invalid(mistakes),
        error => ApiError::AlarmCommand(error),
    }
}

/// Refuses ids that no alarm of the profile has. One that was removed before may stay: the profile had it then.
async fn check_removed(node: &Node, pump: &PumpId, removed: &[AlarmId]) -> Result<(), ApiError> {
    let known = profile_alarms(&node.engine.profile_of(pump));
    let (_, rules) = node.engine.alarm_definitions(pump).await?;
    let before = rules.map(|rules| rules.removed).unwrap_or_default();
    let is_known = |id: &AlarmId| known.iter().any(|alarm| alarm.id == *id) || before.contains(id);
    match removed.iter().enumerate().find(|(_, id)| !is_known(id)) {
        None => Ok(()),
        Some((index, id)) => {
            let allowed = "ids of alarms of the pump's profile, as GET /api/pumps/{id}/alarms lists them";
            let field = format!("removed[{index}]");
            Err(ApiError::Invalid(InvalidValue::new(&field, id.as_str().into(), allowed, "no alarm of the profile")))
        }
    }
}

async fn response(node: &Node, pump: PumpId) -> Result<DefinitionsResponse, ApiError> {
    let (alarms, rules) = node.engine.alarm_definitions(&pump).await?;
    // Stored definitions that no longer fit the profile are not armed, so nothing is in use.
    let armed = ArmedAlarms::compile(&node.engine.profile_of(&pump), &alarms).unwrap_or_default();
    let in_use = armed.alarms().iter().map(|alarm| (alarm.definition().id.clone(), alarm.in_use())).collect();
    let (own, removed, version, by, at) = match rules {
        Some(rules) => {
            let own = rules.definitions.iter().map(|definition| definition.id.clone()).collect();
            (own, rules.removed, rules.version, Some(rules.by), Some(rules.at.to_string()))
        }
        None => Default::default(),
    };
    Ok(DefinitionsResponse { pump_id: pump, alarms, own, removed, in_use, version, by, at })
}

/// A definition to try, and on which time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlarmTrialRequest)]
pub(crate) struct TrialSchema {
    /// The definition.
    #[schema(value_type = Object)]
    alarm: AlarmDefinition,
    /// At or after this time; absent: a week before `to`.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this time; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// What a definition would have done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialResponse {
    /// From this time.
    #[schema(format = DateTime)]
    from: String,
    /// To this time; earlier than requested if there are more than 530,000 readings.
    #[schema(format = DateTime)]
    to: String,
    /// `readings`, `raised`, `longest_s`, `total_s`, `first`, `last` and the first `alarms`, each with `from`, `to` and `value`.
    #[schema(value_type = Object)]
    trial: Value,
}

/// Tries a definition on stored readings: how many alarms it would have raised, and for how long. Nothing is changed.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/alarms/try",
    tag = "alarms",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = TrialSchema, description = "The definition"),
    responses(
        (status = 200, description = "What it would have done", body = TrialResponse),
        Invalid, NotFound, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn try_definition(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    body: JsonBody,
) -> Result<web::Json<TrialResponse>, ApiError> {
    let TrialSchema { alarm, from, to } = from_value(&body.json, "field").map_err(ApiError::Invalid)?;
    if !node.engine.knows(&pump) {
        return Err(ApiError::UnknownPump(pump));
    }
    let to = to.unwrap_or_else(|| node.engine.now());
    let from = from.unwrap_or_else(|| to.plus_ms(-DEFAULT_TRIAL_MS));
    if from >= to {
        return Err(ApiError::invalid("from", &from.to_string(), "a time before `to`", "not before `to`"));
    }
    let settings = store.queries.pump_settings(&pump).await?;
    let profile = settings.apply(&(store.profile_of)(&pump));
    // Refused before any reading is read.
    let alone = AlarmDefinition { explained_by: Vec::new(), ..alarm.clone() };
    volute_alarm::ArmedAlarms::compile(&profile, &[alone]).map_err(invalid)?;
    let _permit = store.read_limit.acquire().await?;
    let (readings, until) = read(&store, &pump, &profile, (from, to)).await?;
    let run = move || {
        let rows = readings.iter().map(|(at, samples, state)| TrialReading { at: *at, samples, state: *state });
        volute_alarm::trial(&profile, &alarm, None, rows)
    };
    let tried = web::block(run).await.map_err(|error| ApiError::NotReady(format!("the trial was aborted: {error}")))?;
    let trial = serde_json::to_value(tried.map_err(invalid)?).unwrap_or_default();
    Ok(web::Json(TrialResponse { from: from.to_string(), to: until.to_string(), trial }))
}

/// A stored reading with the pump's operating state.
type StateReading = (Timestamp, std::sync::Arc<[volute_plant::Sample]>, OperatingState);

/// Returns the readings of a time, at most [`MAX_TRIAL_READINGS`], and where they end.
async fn read(
    store: &StoreContext,
    pump: &PumpId,
    profile: &Profile,
    (from, to): (Timestamp, Timestamp),
) -> Result<(Vec<StateReading>, Timestamp), ApiError> {
    let mut windower = Windower::new(profile);
    let (mut readings, mut after) = (Vec::new(), None);
    loop {
        let range =
            PageRange { from: Some(from), to: Some(to), after, limit: READ_ROWS, order: SortOrder::OldestFirst };
        let rows: Vec<Reading> = store.queries.readings(pump, &range).await?.rows;
        let Some(last) = rows.last().map(|reading| reading.at) else { return Ok((readings, to)) };
        let is_last = rows.len() < READ_ROWS;
        for reading in rows {
            let (at, samples) = (reading.at, reading.samples.clone());
            windower.push(reading);
            readings.push((at, samples, windower.operating_state()));
        }
        if readings.len() as u64 >= MAX_TRIAL_READINGS {
            return Ok((readings, last));
        }
        if is_last {
            return Ok((readings, to));
        }
        after = Some(last);
    }
}

/// Returns the first mistake of a definition.
pub(crate) fn invalid(mistakes: Vec<InvalidAlarm>) -> ApiError {
    let more = mistakes.len().saturating_sub(1);
    let Some(InvalidAlarm { field, value, allowed }) = mistakes.into_iter().next() else {
        return ApiError::NotReady("the definition is refused without a reason".into());
    };
    let reason = if more == 0 { "not allowed".to_owned() } else { format!("not allowed, and {more} more mistakes") };
    ApiError::Invalid(InvalidValue::new(&field, value.into(), allowed, &reason))
}
