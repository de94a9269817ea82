//! `POST /api/start-simulation` and `/api/stop-simulation`: the demo's controls, refused elsewhere.

use std::{collections::BTreeMap, path::Path};

use actix_web::{HttpMessage, HttpRequest, web};
use serde::Deserialize;
use utoipa::IntoParams;
use volute_actors::{Plan, Refusal, Simulation, Speed, StartError};
use volute_data::{
    AuditAction, DEMO_RECORDING, DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone, parse_recording,
};
use volute_plant::PumpId;

use crate::{
    audit::AuditedCommand,
    body::media_type,
    decode::refused,
    node::Node,
    problem::ApiError,
    query::{Flag, NoParameters, Parsed, PumpParam, Query, pairs},
    responses::{Forbidden, Invalid, Slow, TooLarge, Unavailable, UnsupportedSimulation},
    simulation_plan::{StartSchema, parse},
    stored::Stored,
    wire::SimulationResponse,
};

/// What is started and stopped, in the audit log.
const OBJECT: &str = "simulation";

/// What is said about a recording; of other bodies nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingQuery {
    /// With a recording: whose readings its rows become; absent: recording-1, or the next number that is free
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// With a recording: rows a second, 1 to 60; absent: 1
    #[param(value_type = Option<f64>)]
    speed: Option<SpeedParam>,
    /// With a recording: how its times are written, as `%d.%m.%Y %H:%M:%S` (strftime)
    #[param(value_type = Option<String>)]
    time_format: Option<Parsed<TimeFormat>>,
    /// With a recording: the zone of its times that have no offset, as `Europe/Berlin`; absent: UTC
    #[param(value_type = Option<String>)]
    time_zone: Option<Parsed<TimeZone>>,
    /// With a recording: `first` or `second`, where the hour that the zone repeats stands in it once
    #[param(value_type = Option<String>)]
    repeated_hour: Option<Parsed<RepeatedHour>>,
    /// With a recording: its decimal mark, `point` or `comma`
    #[param(value_type = Option<String>)]
    decimal: Option<Parsed<DecimalMark>>,
    /// With a recording: what columns are, as `Drehzahl=Motor_RPM,Wann=timestamp`
    #[param(value_type = Option<String>)]
    column: Option<ColumnsParam>,
    /// With a recording: only the rows of this pump are read, as its column `pump_id` names it
    file_pump: Option<String>,
    /// With a recording: its numbers are in the channels' units, whatever units it names
    #[param(value_type = Option<bool>)]
    ignore_units: Option<Flag>,
    /// With a recording: what a quality column says of a good value, with `,` between words; absent: `Good`, `OK`, `192` and
    /// the like
    good_quality: Option<String>,
    /// With a recording: cells that look like a number and stand for no value, with `,` between them
    no_value: Option<String>,
}

/// Parameter `speed`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SpeedParam(Speed);

impl TryFrom<String> for SpeedParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().ok().and_then(Speed::new).map(Self).ok_or_else(|| refused(Speed::ALLOWED))
    }
}

/// Parameter `column`: names of columns, and what each is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ColumnsParam(BTreeMap<String, String>);

impl TryFrom<String> for ColumnsParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let pairs = text.split(',').map(|one| one.split_once('=').map(|(name, column)| (name.into(), column.into())));
        let columns = pairs.collect::<Option<_>>().map(Self);
        columns.ok_or_else(|| refused("a column's name, =, and what it is, as Drehzahl=Motor_RPM"))
    }
}

/// Starts a simulation, in place of the one that runs.
///
/// Without a body the recording that comes with Volute is played: 2,000 rows of one pump, a row a minute, with three faults. A
/// JSON body says which pumps and faults; an empty object plays the demo's own six. A CSV body (`timestamp`, the profile's
/// channels, if need be `machine_status`) is a recording: its rows become readings of a pump that has none yet, one row a second,
/// or `speed` times as fast. They stay as far apart in time as they were recorded, the last of them now; the pump's interval is
/// that of the rows where they are sparser than the profile's. Only a demo (`volute serve --demo`) simulates.
#[utoipa::path(
    post,
    path = "/api/start-simulation",
    tag = "demo",
    params(RecordingQuery),
    request_body(
        content((Option<StartSchema> = "application/json"), (Option<String> = "text/csv")),
        description = "Which pumps and faults, or a recording"
    ),
    responses(
        (status = 200, description = "It runs", body = SimulationResponse),
        Invalid, Forbidden, Slow, TooLarge, UnsupportedSimulation, Unavailable
    )
)]
pub(crate) async fn start(
    node: web::Data<Node>,
    stored: web::Data<Stored>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<SimulationResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::StartSimulation, OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return command.carry_out(async { Err(ApiError::NotADemo) }).await;
    };
    let (plan, speed, notes) = asked(&node, &stored, &request, payload).await?;
    let command = command.detail(&in_words(&plan, speed));
    command.carry_out(async move { Ok(web::Json(play(&simulation, plan, speed).await?.with_notes(notes))) }).await
}

/// Stops the simulation: no more simulated readings come. What came stays.
#[utoipa::path(
    post,
    path = "/api/stop-simulation",
    tag = "demo",
    responses(
        (status = 200, description = "It does not run, or no longer", body = SimulationResponse),
        Invalid, Forbidden, Unavailable
    )
)]
pub(crate) async fn stop(
    node: web::Data<Node>,
    request: HttpRequest,
) -> Result<web::Json<SimulationResponse>, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::StopSimulation, OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return command.carry_out(async { Err(ApiError::NotADemo) }).await;
    };
    Query::<NoParameters>::parse(request.query_string())?;
    command.carry_out(async move { Ok(web::Json(simulation.stop().await.into())) }).await
}

/// What a post asks to be played, how fast, and what there is to say about its recording.
async fn asked(
    node: &Node,
    stored: &Stored,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Plan, Speed, Vec<String>), ApiError> {
    let Query(query) = Query::<RecordingQuery>::parse(request.query_string())?;
    let kind = request.mime_type().ok().flatten().map(|kind| kind.essence_str().to_owned());
    let body = node.read_body(request, payload).await?;
    match kind.as_deref() {
        Some("text/csv") => recorded(stored, query, &body.bytes),
        None | Some("application/json") if body.bytes.is_empty() => recorded(stored, query, DEMO_RECORDING),
        Some("application/json") => {
            if let Some((name, value)) = pairs(request.query_string())?.first() {
                return Err(ApiError::invalid(name, value, "with a recording (text/csv) only", "not with JSON"));
            }
            let json = serde_json::from_slice(&body.bytes).map_err(ApiError::not_json)?;
            let (plan, speed) = parse(&json, &stored.profile).map_err(ApiError::Invalid)?;
            Ok((plan, speed, Vec::new()))
        }
        _ => Err(media_type(request, "application/json, or text/csv")),
    }
}

fn recorded(stored: &Stored, query: RecordingQuery, csv: &[u8]) -> Result<(Plan, Speed, Vec<String>), ApiError> {
    let speed = query.speed.map_or(Speed::USUAL, |speed| speed.0);
    let dialect = query.dialect();
    let recording = parse_recording(Path::new("the recording"), csv, &stored.profile, &dialect)
        .map_err(|error| ApiError::invalid("", "", "a recording of this profile", &for_the_api(&error.to_string())))?;
    let notes = recording.notes.lines().into_iter().chain(recording.notes.utc_line());
    let notes = notes.map(|note| for_the_api(&note)).collect();
    let pump = match dialect.read_for {
        Some(pump) => pump,
        None => free_name(stored)?,
    };
    Ok((Plan::Recording { pump, rows: recording.rows }, speed, notes))
}

impl RecordingQuery {
    /// What it says about the recording itself.
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
            read_for: self.pump_id.map(|pump| pump.0),
            ignore_units: self.ignore_units.is_some_and(|flag| flag.0),
            good_quality: list(self.good_quality),
            no_value: list(self.no_value),
        }
    }
}

/// `recording-1`, or the next such name that no pump has.
fn free_name(stored: &Stored) -> Result<PumpId, ApiError> {
    let mut names = (1..).filter_map(|n: u32| format!("recording-{n}").parse::<PumpId>().ok());
    names.find(|name| !stored.queries.is_registered(name)).ok_or(ApiError::NotADemo)
}

/// A message about a recording that names flags, with the parameters in their places.
fn for_the_api(message: &str) -> String {
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
    flags.iter().fold(message.to_owned(), |text, flag| text.replace(&format!("--{flag}"), &flag.replace('-', "_")))
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
            let allowed = "a recording of less time than readings are kept";
            Err(ApiError::invalid("", "", allowed, &error.to_string()))
        }
        Err(error @ StartError::TooSparse { .. }) => {
            let allowed = "a recording whose rows are no sparser than a pump's interval may be";
            Err(ApiError::invalid("", "", allowed, &error.to_string()))
        }
        Err(StartError::Settings(error)) => Err(error.into()),
        Err(StartError::Store(error)) => Err(error.into()),
        Err(StartError::Stopping) => Err(Refusal::Stopping.into()),
    }
}

/// A plan in short, for the audit log.
fn in_words(plan: &Plan, speed: Speed) -> String {
    let what = match plan {
        Plan::Stories => "the demo's own pumps".to_owned(),
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
    fn a_plan_is_told_in_short() {
        let body = json!({"speed": 2, "pumps": [{"pump_id": "A"}, {"pump_id": "B"}]});
        let plan = parse(&body, &profile());
        let (pumps, speed) = plan.expect("a plan");
        assert_eq!(in_words(&pumps, speed), "speed 2: A, B");
        assert_eq!(in_words(&Plan::Stories, Speed::USUAL), "speed 1: the demo's own pumps");
        let recording = Plan::Recording { pump: "A".parse().expect("a name"), rows: Vec::new() };
        assert_eq!(in_words(&recording, Speed::USUAL), "speed 1: a recording of 0 rows as A");
    }
}
