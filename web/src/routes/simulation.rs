//! `POST /api/start-simulation` and `/api/stop-simulation`: the controls of a demo node. Other nodes refuse them.

use std::{collections::BTreeMap, path::Path};

use actix_web::{HttpMessage, HttpRequest, web};
use serde::Deserialize;
use utoipa::IntoParams;
use volute_actors::{IngestError, Plan, Simulation, Speed, StartError};
use volute_data::{
    AuditAction, DEMO_RECORDING, DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone, parse_recording,
};
use volute_plant::PumpId;

use crate::{
    audit::AuditedCommand,
    body::unsupported_media_type,
    decode::not_allowed,
    node::Node,
    problem::ApiError,
    query::{Flag, NoParameters, Parsed, PumpParam, Query, pairs},
    responses::{Forbidden, Invalid, Slow, TooLarge, Unavailable, UnsupportedSimulation},
    simulation_plan::{StartSchema, parse},
    store_context::StoreContext,
    wire::SimulationResponse,
};

/// The object of the commands in the audit log.
const AUDIT_OBJECT: &str = "simulation";

/// Parameters: how to read a recording. Not allowed with other bodies.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingQuery {
    /// With a recording: the pump of its readings; absent: recording-1, or the next unused number
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// With a recording: rows per second, 1 to 60; absent: 1
    #[param(value_type = Option<f64>)]
    speed: Option<SpeedParam>,
    /// With a recording: the format of its times, for example `%d.%m.%Y %H:%M:%S` (strftime)
    #[param(value_type = Option<String>)]
    time_format: Option<Parsed<TimeFormat>>,
    /// With a recording: the time zone of its times that have no offset, for example `Europe/Berlin`; absent: UTC
    #[param(value_type = Option<String>)]
    time_zone: Option<Parsed<TimeZone>>,
    /// With a recording that has the hour repeated at the end of daylight saving time only once: which one it is, `first` or
    /// `second`
    #[param(value_type = Option<String>)]
    repeated_hour: Option<Parsed<RepeatedHour>>,
    /// With a recording: its decimal mark, `point` or `comma`
    #[param(value_type = Option<String>)]
    decimal: Option<Parsed<DecimalMark>>,
    /// With a recording: the meaning of columns, for example `Drehzahl=Motor_RPM,Wann=timestamp`
    #[param(value_type = Option<String>)]
    column: Option<ColumnsParam>,
    /// With a recording: only rows with this value in the column `pump_id` are read
    file_pump: Option<String>,
    /// With a recording: ignore the units that it names, because its values are in the channels' units
    #[param(value_type = Option<bool>)]
    ignore_units: Option<Flag>,
    /// With a recording: the quality codes of good values, separated by commas; absent: `Good`, `OK`, `192` and similar ones
    good_quality: Option<String>,
    /// With a recording: cells that look like a number and mean that there is no value, separated by commas
    no_value: Option<String>,
}

/// Parameter `speed`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SpeedParam(Speed);

impl TryFrom<String> for SpeedParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().ok().and_then(Speed::new).map(Self).ok_or_else(|| not_allowed(Speed::ALLOWED))
    }
}

/// Parameter `column`: the meaning of columns, by their names.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ColumnsParam(BTreeMap<String, String>);

impl TryFrom<String> for ColumnsParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let pairs = text.split(',').map(|one| one.split_once('=').map(|(name, column)| (name.into(), column.into())));
        let columns = pairs.collect::<Option<_>>().map(Self);
        columns.ok_or_else(|| not_allowed("a column's name, =, and its meaning, for example Drehzahl=Motor_RPM"))
    }
}

/// Starts a simulation. Replaces the current one.
///
/// Without a body, the recording that comes with Volute is played: 2,000 rows of one pump, one row per minute, with three
/// faults. A JSON body defines pumps and faults; an empty object simulates the six pumps of the demo. A CSV body
/// (`timestamp`, the profile's channels, optionally `machine_status`) is a recording: its rows become readings of a pump
/// that has none yet, one row per second, or `speed` times as fast. The readings' times keep the intervals of the recording.
/// They are shifted to the present, so that no reading is sent before its time. If the rows are sparser than the profile's
/// interval, their interval is set for the pump. Only a demo node (`volute serve --demo`) simulates.
#[utoipa::path(
    post,
    path = "/api/start-simulation",
    tag = "demo",
    params(RecordingQuery),
    request_body(
        content((Option<StartSchema> = "application/json"), (Option<String> = "text/csv")),
        description = "Pumps and faults, or a recording"
    ),
    responses(
        (status = 200, description = "The simulation is running", body = SimulationResponse),
        Invalid, Forbidden, Slow, TooLarge, UnsupportedSimulation, Unavailable
    )
)]
pub(crate) async fn start(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<SimulationResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::StartSimulation, AUDIT_OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return command.execute(async { Err(ApiError::NotADemo) }).await;
    };
    let (plan, speed, notes) = parse_request(&node, &store, &request, payload).await?;
    let command = command.detail(&summary(&plan, speed));
    command.execute(async move { Ok(web::Json(play(&simulation, plan, speed).await?.with_notes(notes))) }).await
}

/// Stops the simulation: no more simulated readings are sent. Those that were sent are kept.
#[utoipa::path(
    post,
    path = "/api/stop-simulation",
    tag = "demo",
    responses(
        (status = 200, description = "The simulation is not running", body = SimulationResponse),
        Invalid, Forbidden, Unavailable
    )
)]
pub(crate) async fn stop(
    node: web::Data<Node>,
    request: HttpRequest,
) -> Result<web::Json<SimulationResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::StopSimulation, AUDIT_OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return command.execute(async { Err(ApiError::NotADemo) }).await;
    };
    Query::<NoParameters>::parse(request.query_string())?;
    command.execute(async move { Ok(web::Json(simulation.stop().await.into())) }).await
}

/// Parses a request: what to simulate, the speed, and notes about a recording.
async fn parse_request(
    node: &Node,
    store: &StoreContext,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Plan, Speed, Vec<String>), ApiError> {
    let Query(query) = Query::<RecordingQuery>::parse(request.query_string())?;
    let kind = request.mime_type().ok().flatten().map(|kind| kind.essence_str().to_owned());
    let body = node.read_body(request, payload).await?;
    match kind.as_deref() {
        Some("text/csv") => recording_plan(store, query, &body.bytes),
        Some("application/json") if body.bytes.is_empty() => recording_plan(store, query, DEMO_RECORDING),
        Some("application/json") => {
            if let Some((name, value)) = pairs(request.query_string())?.first() {
                return Err(ApiError::invalid(name, value, "with a recording (text/csv) only", "not with JSON"));
            }
            let json = serde_json::from_slice(&body.bytes).map_err(ApiError::not_json)?;
            let (plan, speed) = parse(&json, &store.profile).map_err(ApiError::Invalid)?;
            Ok((plan, speed, Vec::new()))
        }
        _ => Err(unsupported_media_type(request, "application/json, or text/csv")),
    }
}

fn recording_plan(
    store: &StoreContext,
    query: RecordingQuery,
    csv: &[u8],
) -> Result<(Plan, Speed, Vec<String>), ApiError> {
    let speed = query.speed.map_or(Speed::NORMAL, |speed| speed.0);
    let dialect = query.dialect();
    let recording = parse_recording(Path::new("the recording"), csv, &store.profile, &dialect).map_err(|error| {
        ApiError::invalid("", "", "a recording of this profile", &flags_as_parameters(&error.to_string()))
    })?;
    let notes = recording.notes.lines().into_iter().chain(recording.notes.utc_line());
    let notes = notes.map(|note| flags_as_parameters(&note)).collect();
    let pump = match dialect.expected_pump {
        Some(pump) => pump,
        None => unused_pump_id(store)?,
    };
    Ok((Plan::Recording { pump, rows: recording.rows }, speed, notes))
}

impl RecordingQuery {
    /// Returns the parameters of the recording's format.
    fn dialect(self) -> Dialect {
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Dialect {
            time_format: self.time_format.map(|format| format.0),
            time_zone: self.time_zone.map(|zone| zone.0),
            repeated_hour: self.repeated_hour.map(|hour| hour.0),
            decimal: self.decimal.map(|mark| mark.0),
            columns: self.column.map(|columns| columns.0).unwrap_or_default(),
            pump: self.file_pump,
            expected_pump: self.pump_id.map(|pump| pump.0),
            ignore_units: self.ignore_units.is_some_and(|flag| flag.0),
            good_quality: list(self.good_quality),
            no_value: list(self.no_value),
        }
    }
}

/// Returns the first of `recording-1`, `recording-2` and so on that no pump has as its id.
fn unused_pump_id(store: &StoreContext) -> Result<PumpId, ApiError> {
    let mut names = (1..).filter_map(|n: u32| format!("recording-{n}").parse::<PumpId>().ok());
    names.find(|name| !store.queries.is_registered(name)).ok_or(ApiError::NotADemo)
}

/// Replaces the command line flags in a message about a recording by the names of the parameters.
fn flags_as_parameters(message: &str) -> String {
    let flags = [
        "time-format",
        "time-zone",
        "repeated-hour",
        "decimal",
        "column",
        "file-pump",
        "ignore-units",
        "good-quality",
        "no-value",
    ];
    let message = message.replace("--pump ", "pump_id ");
    flags.iter().fold(message, |text, flag| text.replace(&format!("--{flag}"), &flag.replace('-', "_")))
}

async fn play(simulation: &Simulation, plan: Plan, speed: Speed) -> Result<SimulationResponse, ApiError> {
    match simulation.start(plan, speed).await {
        Ok(progress) => Ok(progress.into()),
        Err(StartError::PumpHasReadings { pump }) => {
            let (allowed, why) =
                ("a pump without readings", "the pump has readings, and a recording has its own times");
            Err(ApiError::invalid("pump_id", pump.as_str(), allowed, why))
        }
        Err(error @ StartError::TooLong { .. }) => {
            let allowed = "a recording that is shorter than the retention of readings";
            Err(ApiError::invalid("", "", allowed, &error.to_string()))
        }
        Err(error @ StartError::TooSparse { .. }) => {
            let allowed = "a recording whose interval is at most the maximum of a pump";
            Err(ApiError::invalid("", "", allowed, &error.to_string()))
        }
        Err(StartError::Settings(error)) => Err(error.into()),
        Err(StartError::Store(error)) => Err(error.into()),
        Err(StartError::Stopping) => Err(IngestError::Stopping.into()),
    }
}

/// Returns a summary of a plan, for the audit log.
fn summary(plan: &Plan, speed: Speed) -> String {
    let what = match plan {
        Plan::Demo => "the demo's own pumps".to_owned(),
        Plan::Pumps(plans) => plans.iter().map(|plan| plan.pump.as_str()).collect::<Vec<_>>().join(", "),
        Plan::Recording { pump, rows } => format!("a recording of {} rows as {pump}", rows.len()),
    };
    format!("speed {}: {what}", speed.times())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn a_plan_has_a_summary() {
        let body = json!({"speed": 2, "pumps": [{"pump_id": "A"}, {"pump_id": "B"}]});
        let plan = parse(&body, &profile());
        let (pumps, speed) = plan.expect("a plan");
        assert_eq!(summary(&pumps, speed), "speed 2: A, B");
        assert_eq!(summary(&Plan::Demo, Speed::NORMAL), "speed 1: the demo's own pumps");
        let recording = Plan::Recording { pump: "A".parse().expect("a name"), rows: Vec::new() };
        assert_eq!(summary(&recording, Speed::NORMAL), "speed 1: a recording of 0 rows as A");
    }
}
