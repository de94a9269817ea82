//! `POST /api/start-simulation` and `/api/stop-simulation`: the demo's controls, refused elsewhere.

use std::path::Path;

use actix_web::{HttpMessage, HttpRequest, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use volute_actors::{
    Fault, Phase, Plan, PumpPlan, PumpProgress, Severity, Simulation, SimulationProgress, Source, Speed, StartError,
};
use volute_data::{AuditAction, DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone};
use volute_plant::{Profile, PumpId, Rejection};

use crate::{
    audit::Order,
    body::media_type,
    openapi::{Forbidden, Invalid, Slow, TooLarge, Unavailable, UnsupportedSimulation},
    problem::ApiError,
    query::Params,
    server::Node,
};

/// The most pumps that may be simulated at once.
const MAX_PUMPS: usize = 200;
/// From one healthy time of a pump to the next, in seconds at the usual speed.
const CYCLE_S: f64 = 180.0;
/// How badly, where nothing is said.
const SEVERITY: f64 = 0.8;
/// What is started and stopped, in the audit log.
const OBJECT: &str = "simulation";
/// Where the pumps' random numbers start, where nothing is said; the next pump has the next number.
const SEED: u64 = 1;

/// The parameters that go with a recording only.
const WITH_A_RECORDING: [&str; 11] = [
    "pump_id",
    "speed",
    "time_format",
    "time_zone",
    "repeated_hour",
    "decimal",
    "column",
    "file_pump",
    "ignore_units",
    "good_quality",
    "no_value",
];

/// What is simulated, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulationData {
    #[serde(flatten)]
    about: AboutSimulation,
    /// The simulated pumps.
    pumps: Vec<SimulatedPump>,
    /// What there is to say about a recording that was sent with this order: cells that are no number, channels without a
    /// column, times taken as UTC.
    notes: Vec<String>,
}

/// The simulation as a whole, and one of its pumps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PumpSimulation {
    #[serde(flatten)]
    about: AboutSimulation,
    /// The pump that was asked for; null if it is not one of the simulated ones.
    #[schema(required)]
    pump: Option<SimulatedPump>,
}

/// The simulation as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AboutSimulation {
    /// Whether simulated readings come.
    running: bool,
    /// `stories`, `pumps` or `recording`; null if nothing was simulated yet.
    #[schema(required)]
    source: Option<&'static str>,
    /// How many times as fast as usual faults come and go, or rows follow each other.
    speed: f64,
    /// Since when.
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    /// How far the recording is, if it is one.
    #[schema(required)]
    recording: Option<RecordingData>,
}

/// How far a recording is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingData {
    /// Its rows.
    rows: usize,
    /// Those that were sent.
    sent: usize,
}

/// What a pump's simulation says of itself; no model sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulatedPump {
    /// Which pump.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// What goes wrong with it over and over; null: nothing.
    #[schema(required)]
    fault: Option<&'static str>,
    /// How badly, 0 to 1.
    #[schema(required)]
    severity: Option<f64>,
    /// `NORMAL`, `BROKEN` or `RECOVERING`; of a recording `NORMAL` or `BROKEN`, or null where it does not say.
    #[schema(required)]
    phase: Option<&'static str>,
    /// How far the fault has grown, 0 to 1.
    growth: f64,
    /// Since this round began, in seconds.
    elapsed_s: f64,
    /// How long a round takes, in seconds.
    #[schema(required)]
    total_s: Option<f64>,
    /// Which round it is, from 1; 0 before the first.
    cycle: u32,
}

/// What to simulate. Everything is optional; an empty object plays the demo's own six pumps.
#[derive(ToSchema)]
#[schema(as = SimulationStart, example = json!({"speed": 2.0, "pumps": [{"pump_id": "P-7", "fault": "cavitation"}]}))]
#[expect(dead_code, reason = "it describes what `parse` takes")]
pub(crate) struct StartShape {
    /// How many times as fast as usual the faults come and go, 1 to 60.
    speed: Option<f64>,
    /// The pumps, at most 200; absent: the demo's own six.
    pumps: Option<Vec<PumpShape>>,
}

/// One pump to simulate.
#[derive(ToSchema)]
#[schema(as = SimulationPump)]
#[expect(dead_code, reason = "it describes what `parse` takes")]
pub(crate) struct PumpShape {
    /// Its name.
    pump_id: String,
    /// What goes wrong with it, as `bearing_wear`; absent: nothing.
    fault: Option<String>,
    /// The channel whose sensor is at fault, by its wire name; for a sensor's fault only.
    channel: Option<String>,
    /// How badly, 0 to 1; absent: 0.8.
    severity: Option<f64>,
    /// Decides how it was built, its load and its noise.
    seed: Option<u64>,
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
    params(
        ("pump_id" = Option<String>, Query, description = "With a recording: whose readings its rows become; \
            absent: recording-1, or the next number that is free"),
        ("speed" = Option<f64>, Query, description = "With a recording: rows a second, 1 to 60; absent: 1"),
        ("time_format" = Option<String>, Query, description = "With a recording: how its times are written, as \
            `%d.%m.%Y %H:%M:%S` (strftime)"),
        ("time_zone" = Option<String>, Query, description = "With a recording: the zone of its times that have no offset, \
            as `Europe/Berlin`; absent: UTC"),
        ("repeated_hour" = Option<String>, Query, description = "With a recording: `first` or `second`, where the hour \
            that the zone repeats stands in it once"),
        ("decimal" = Option<String>, Query, description = "With a recording: its decimal mark, `point` or `comma`"),
        ("column" = Option<String>, Query, description = "With a recording: what columns are, as \
            `Drehzahl=Motor_RPM,Wann=timestamp`"),
        ("file_pump" = Option<String>, Query, description = "With a recording: only the rows of this pump are read, as its \
            column `pump_id` names it"),
        ("ignore_units" = Option<bool>, Query, description = "With a recording: its numbers are in the channels' units, \
            whatever units it names"),
        ("good_quality" = Option<String>, Query, description = "With a recording: what a quality column says of a good \
            value, with `,` between words; absent: `Good`, `OK`, `192` and the like"),
        ("no_value" = Option<String>, Query, description = "With a recording: cells that look like a number and stand for \
            no value, with `,` between them"),
    ),
    request_body(
        content((Option<StartShape> = "application/json"), (Option<String> = "text/csv")),
        description = "Which pumps and faults, or a recording"
    ),
    responses(
        (status = 200, description = "It runs", body = SimulationData),
        Invalid, Forbidden, Slow, TooLarge, UnsupportedSimulation, Unavailable
    )
)]
pub(crate) async fn start(
    node: web::Data<Node>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<SimulationData>, ApiError> {
    let order = Order::new(&node, &request, AuditAction::StartSimulation, OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return order.carry_out(async { Err(ApiError::NotADemo) }).await;
    };
    let (plan, speed, notes) = plan(&node, &request, payload).await?;
    let order = order.detail(&in_words(&plan, speed));
    order
        .carry_out(async move {
            let started = play(&simulation, plan, speed).await?;
            Ok(web::Json(SimulationData { notes, ..started }))
        })
        .await
}

/// Stops the simulation: no more simulated readings come. What came stays.
#[utoipa::path(
    post,
    path = "/api/stop-simulation",
    tag = "demo",
    responses(
        (status = 200, description = "It does not run, or no longer", body = SimulationData),
        Invalid, Forbidden, Unavailable
    )
)]
pub(crate) async fn stop(node: web::Data<Node>, request: HttpRequest) -> Result<web::Json<SimulationData>, ApiError> {
    let order = Order::new(&node, &request, AuditAction::StopSimulation, OBJECT);
    let Some(simulation) = node.simulation.clone() else {
        return order.carry_out(async { Err(ApiError::NotADemo) }).await;
    };
    Params::parse(request.query_string(), &[])?;
    order.carry_out(async move { Ok(web::Json(simulation.stop().await.into())) }).await
}

/// What a post asks to be played, and how fast.
async fn plan(
    node: &Node,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Plan, Speed, Vec<String>), ApiError> {
    let params = Params::parse(request.query_string(), &WITH_A_RECORDING)?;
    let kind = request.mime_type().ok().flatten().map(|kind| kind.essence_str().to_owned());
    let body = node.read_body(request, payload).await?;
    let bytes = &body.bytes;
    let is_csv = match kind.as_deref() {
        Some("text/csv") => true,
        Some("application/json") => false,
        None if bytes.is_empty() => false,
        _ => return Err(media_type(request, "application/json, or text/csv")),
    };
    let profile = node.engine.profile();
    if is_csv || bytes.is_empty() {
        let recording = if is_csv { bytes.as_ref() } else { volute_data::DEMO_RECORDING };
        let named = params.pump()?;
        let dialect = Dialect { read_for: named.clone(), ..dialect(&params)? };
        let recording = volute_data::parse_recording(Path::new("the recording"), recording, profile, &dialect)
            .map_err(|error| {
                ApiError::invalid("", "", "a recording of this profile", &for_the_api(&error.to_string()))
            })?;
        let notes = recording.notes.lines().into_iter().chain(recording.notes.utc_line());
        let (rows, notes) = (recording.rows, notes.map(|note| for_the_api(&note)).collect());
        let pump = match named {
            Some(pump) => pump,
            None => free_name(node).await?,
        };
        let speed = params.parsed("speed", Speed::ALLOWED, |text| Speed::new(text.parse().ok()?))?;
        Ok((Plan::Recording { pump, rows }, speed.unwrap_or(Speed::USUAL), notes))
    } else {
        if let Some(name) = WITH_A_RECORDING.into_iter().find(|name| params.text(name).is_some()) {
            let value = params.text(name).unwrap_or_default();
            return Err(ApiError::invalid(name, value, "with a recording (text/csv) only", "not with JSON"));
        }
        let body = serde_json::from_slice(bytes).map_err(ApiError::not_json)?;
        let (plan, speed) = parse(&body, profile).map_err(ApiError::Invalid)?;
        Ok((plan, speed, Vec::new()))
    }
}

/// What the parameters say about a recording.
fn dialect(params: &Params) -> Result<Dialect, ApiError> {
    let list = |name| -> Vec<String> {
        let text = params.text(name).unwrap_or_default();
        text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let columns = params.parsed("column", "a column's name, =, and what it is, as Drehzahl=Motor_RPM", |text| {
        text.split(',').map(|one| one.split_once('=').map(|(name, column)| (name.into(), column.into()))).collect()
    })?;
    Ok(Dialect {
        time_format: params.parsed("time_format", TimeFormat::ALLOWED, |text| text.parse().ok())?,
        time_zone: params.parsed("time_zone", TimeZone::ALLOWED, |text| text.parse().ok())?,
        repeated_hour: params.parsed("repeated_hour", RepeatedHour::ALLOWED, |text| text.parse().ok())?,
        decimal: params.parsed("decimal", DecimalMark::ALLOWED, |text| text.parse().ok())?,
        columns: columns.unwrap_or_default(),
        pump: params.text("file_pump").map(str::to_owned),
        read_for: None,
        ignore_units: params.parsed("ignore_units", "true, false", |text| text.parse().ok())?.unwrap_or_default(),
        good_quality: list("good_quality"),
        no_value: list("no_value"),
    })
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

async fn play(simulation: &Simulation, plan: Plan, speed: Speed) -> Result<SimulationData, ApiError> {
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
        Err(StartError::Stopping) => Err(volute_actors::Refusal::Stopping.into()),
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

impl PumpSimulation {
    pub(crate) fn new(progress: SimulationProgress, pump: &PumpId) -> Self {
        let found = progress.pumps.iter().find(|progress| progress.pump == *pump).cloned();
        Self { about: AboutSimulation::from(&progress), pump: found.map(SimulatedPump::from) }
    }
}

impl From<SimulationProgress> for SimulationData {
    fn from(progress: SimulationProgress) -> Self {
        let about = AboutSimulation::from(&progress);
        Self { about, pumps: progress.pumps.into_iter().map(SimulatedPump::from).collect(), notes: Vec::new() }
    }
}

impl From<&SimulationProgress> for AboutSimulation {
    fn from(progress: &SimulationProgress) -> Self {
        Self {
            running: progress.running,
            source: progress.source.map(|source| match source {
                Source::Stories => "stories",
                Source::Pumps => "pumps",
                Source::Recording => "recording",
            }),
            speed: progress.speed,
            started_at: progress.started_at.map(|at| at.to_string()),
            recording: progress.recording.map(|r| RecordingData { rows: r.rows, sent: r.sent }),
        }
    }
}

impl From<PumpProgress> for SimulatedPump {
    fn from(pump: PumpProgress) -> Self {
        Self {
            pump_id: pump.pump,
            fault: pump.fault.map(|fault| fault.name()),
            severity: pump.severity,
            phase: pump.phase.map(|phase| match phase {
                Phase::Normal => "NORMAL",
                Phase::Broken => "BROKEN",
                Phase::Recovering => "RECOVERING",
            }),
            growth: pump.growth,
            elapsed_s: pump.elapsed_s,
            total_s: pump.total_s,
            cycle: pump.cycle,
        }
    }
}

/// `recording-1`, or the next such name that no pump has.
async fn free_name(node: &Node) -> Result<PumpId, ApiError> {
    let taken: Vec<PumpId> = node.engine.store().pumps().into_iter().map(|record| record.id).collect();
    let mut names = (1..).filter_map(|n: u32| format!("recording-{n}").parse::<PumpId>().ok());
    names.find(|name| !taken.contains(name)).ok_or(ApiError::NotADemo)
}

/// Which pumps, and how fast.
fn parse(body: &Value, profile: &Profile) -> Result<(Plan, Speed), Rejection> {
    let shape = "an object with pumps and speed, both optional";
    let Value::Object(fields) = body else { return Err(Rejection::new("", body.clone(), shape, "not an object")) };
    refuse_others(fields, "", &["pumps", "speed"])?;
    let speed = match fields.get("speed") {
        None => Speed::USUAL,
        Some(value) => value
            .as_f64()
            .and_then(Speed::new)
            .ok_or_else(|| Rejection::new("speed", value.clone(), Speed::ALLOWED, "not a speed"))?,
    };
    let plans = match fields.get("pumps") {
        None => return Ok((Plan::Stories, speed)),
        Some(Value::Array(pumps)) if (1..=MAX_PUMPS).contains(&pumps.len()) => pumps,
        Some(other) => {
            return Err(Rejection::new("pumps", other.clone(), format!("a list of 1 to {MAX_PUMPS}"), "no such list"));
        }
    };
    let mut pumps: Vec<PumpPlan> = Vec::new();
    for (index, item) in plans.iter().enumerate() {
        let plan = parse_pump(item, index, profile)?;
        if pumps.iter().any(|other| other.pump == plan.pump) {
            let field = format!("pumps[{index}].pump_id");
            return Err(Rejection::new(&field, plan.pump.as_str().into(), "each pump once", "there twice"));
        }
        pumps.push(plan);
    }
    Ok((Plan::Pumps(pumps), speed))
}

fn parse_pump(item: &Value, index: usize, profile: &Profile) -> Result<PumpPlan, Rejection> {
    let key = |name: &str| format!("pumps[{index}].{name}");
    let Value::Object(fields) = item else {
        return Err(Rejection::new(&format!("pumps[{index}]"), item.clone(), "an object", "not an object"));
    };
    refuse_others(fields, &key(""), &["pump_id", "fault", "channel", "severity", "seed"])?;
    let wrong = |name: &str, allowed: &str| {
        let value = fields.get(name).cloned().unwrap_or_default();
        Rejection::new(&key(name), value, allowed, "not allowed here")
    };
    let text = |name: &str, allowed: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(name, allowed)),
    };
    let pump = text("pump_id", PumpId::ALLOWED)?.and_then(|name| name.parse().ok());
    let pump = pump.ok_or_else(|| wrong("pump_id", PumpId::ALLOWED))?;
    let channels = profile.channel_names().collect::<Vec<_>>().join(", ");
    let channel = match text("channel", &channels)? {
        None => None,
        Some(name) => Some(profile.index_of(name).ok_or_else(|| wrong("channel", &channels))?),
    };
    let quantity = channel.map(|index| profile.channels()[index].quantity);
    let severity = fields.get("severity").map_or(Some(SEVERITY), Value::as_f64);
    let severity = severity.and_then(|value| Severity::new(value).ok()).ok_or_else(|| wrong("severity", "0 to 1"))?;
    let faults = Fault::NAMES.join(", ");
    let fault = match text("fault", &faults)? {
        None => None,
        Some(name) => {
            let fault = Fault::parse(name, quantity);
            let fault = fault.map_err(|error| {
                Rejection::new(
                    &key("fault"),
                    name.into(),
                    format!("{faults}; a sensor's with a channel"),
                    &error.to_string(),
                )
            })?;
            Some((fault, severity, CYCLE_S))
        }
    };
    let seed = fields.get("seed").map_or(Some(SEED + index as u64), Value::as_u64);
    let seed = seed.ok_or_else(|| wrong("seed", "a whole number from 0"))?;
    Ok(PumpPlan { pump, fault, seed })
}

fn refuse_others(fields: &Map<String, Value>, prefix: &str, known: &[&str]) -> Result<(), Rejection> {
    match fields.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, value)) => {
            Err(Rejection::new(&format!("{prefix}{name}"), value.clone(), known.join(", "), "no such field"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn pumps_and_faults_are_taken_as_asked() {
        let body = json!({"speed": 2, "pumps": [
            {"pump_id": "A"},
            {"pump_id": "B", "fault": "cavitation", "severity": 0.5, "seed": 9},
            {"pump_id": "C", "fault": "sensor_stuck", "channel": "Q"},
        ]});
        let Ok((Plan::Pumps(pumps), speed)) = parse(&body, &profile()) else { panic!("a plan") };
        assert_eq!(speed.times(), 2.0);
        let told: Vec<_> = pumps
            .iter()
            .map(|plan| {
                (plan.pump.as_str(), plan.fault.map(|(fault, severity, _)| (fault.name(), severity.get())), plan.seed)
            })
            .collect();
        let expected = [("A", None, 1), ("B", Some(("cavitation", 0.5)), 9), ("C", Some(("sensor_stuck", 0.8)), 3)];
        assert_eq!(told, expected);
        assert!(matches!(parse(&json!({}), &profile()), Ok((Plan::Stories, Speed::USUAL))));
    }

    #[test]
    fn a_plan_is_told_in_short() {
        let plan = parse(&json!({"speed": 2, "pumps": [{"pump_id": "A"}, {"pump_id": "B"}]}), &profile());
        let (pumps, speed) = plan.expect("a plan");
        assert_eq!(in_words(&pumps, speed), "speed 2: A, B");
        assert_eq!(in_words(&Plan::Stories, Speed::USUAL), "speed 1: the demo's own pumps");
        let recording = Plan::Recording { pump: "A".parse().expect("a name"), rows: Vec::new() };
        assert_eq!(in_words(&recording, Speed::USUAL), "speed 1: a recording of 0 rows as A");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, field, value) in [
            (json!([]), "", json!([])),
            (json!({"spede": 1}), "spede", json!(1)),
            (json!({"speed": 0}), "speed", json!(0)),
            (json!({"speed": "fast"}), "speed", json!("fast")),
            (json!({"pumps": []}), "pumps", json!([])),
            (json!({"pumps": [1]}), "pumps[0]", json!(1)),
            (json!({"pumps": [{}]}), "pumps[0].pump_id", json!(null)),
            (json!({"pumps": [{"pump_id": "a\tb"}]}), "pumps[0].pump_id", json!("a\tb")),
            (json!({"pumps": [{"pump_id": "A"}, {"pump_id": "A"}]}), "pumps[1].pump_id", json!("A")),
            (json!({"pumps": [{"pump_id": "A", "fault": "rust"}]}), "pumps[0].fault", json!("rust")),
            (json!({"pumps": [{"pump_id": "A", "fault": "sensor_stuck"}]}), "pumps[0].fault", json!("sensor_stuck")),
            (json!({"pumps": [{"pump_id": "A", "channel": "X"}]}), "pumps[0].channel", json!("X")),
            (json!({"pumps": [{"pump_id": "A", "severity": 1.5}]}), "pumps[0].severity", json!(1.5)),
            (json!({"pumps": [{"pump_id": "A", "seed": -1}]}), "pumps[0].seed", json!(-1)),
            (json!({"pumps": [{"pump_id": "A", "sead": 1}]}), "pumps[0].sead", json!(1)),
        ] {
            let no = parse(&body, &profile()).map(|_| ()).expect_err(field);
            assert_eq!((no.field.as_str(), &no.value), (field, &value), "{body}");
            assert!(!no.allowed.is_empty());
        }
    }
}
