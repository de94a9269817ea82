//! Parses a JSON request for a simulation: which pumps, with which faults, and at which speed.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{Fault, FaultError, Plan, PumpPlan, Severity, Speed};
use volute_plant::{Profile, PumpId};

use crate::{
    decode::{FromNumber, Number, from_value},
    invalid_value::InvalidValue,
    query::PumpParam,
};

/// The most pumps that can be simulated at once.
const MAX_PUMPS: usize = 200;
/// The duration of a fault cycle, from one healthy phase of a pump to the next, in seconds at normal speed.
const FAULT_CYCLE_S: f64 = 180.0;
/// The severity of a fault if none is given.
const DEFAULT_SEVERITY: f64 = 0.8;
/// The seed of the first pump if none is given; each further pump has the next number.
const FIRST_SEED: u64 = 1;

/// What to simulate. All fields are optional; an empty object simulates the six pumps of the demo.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SimulationStart, example = json!({"speed": 2.0, "pumps": [{"pump_id": "P-7", "fault": "cavitation"}]}))]
pub(crate) struct StartSchema {
    /// The speed of the fault cycles relative to normal, 1 to 60.
    #[schema(value_type = Option<f64>)]
    speed: Option<Number<Speed>>,
    /// The pumps, at most 200; absent: the six pumps of the demo.
    pumps: Option<Vec<PumpSchema>>,
}

/// One pump to simulate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = SimulationPump)]
pub(crate) struct PumpSchema {
    /// Its id.
    #[schema(value_type = String)]
    pump_id: Option<PumpParam>,
    /// Its fault, for example `bearing_wear`; absent: none.
    fault: Option<String>,
    /// The channel whose sensor is faulty, by its wire name; only for faults of sensors.
    channel: Option<String>,
    /// The severity of the fault, 0 to 1; absent: 0.8.
    #[schema(value_type = Option<f64>)]
    severity: Option<Number<Severity>>,
    /// The seed of its random properties, load and noise; absent: 1 for the first pump of the list, 2 for the second, and so on.
    #[schema(value_type = Option<u64>)]
    seed: Option<Number<u64>>,
}

impl FromNumber for Speed {
    const ALLOWED: &'static str = Speed::ALLOWED;

    fn from_number(number: &Value) -> Option<Self> {
        Self::new(number.as_f64()?)
    }
}

impl FromNumber for Severity {
    const ALLOWED: &'static str = "0 to 1";

    fn from_number(number: &Value) -> Option<Self> {
        Self::new(number.as_f64()?).ok()
    }
}

impl FromNumber for u64 {
    const ALLOWED: &'static str = "a whole number from 0";

    fn from_number(number: &Value) -> Option<Self> {
        number.as_u64()
    }
}

/// Parses the pumps and the speed.
pub(crate) fn parse(body: &Value, profile: &Profile) -> Result<(Plan, Speed), InvalidValue> {
    let StartSchema { speed, pumps } = from_value(body, "field")?;
    let speed = speed.map_or(Speed::NORMAL, |speed| speed.0);
    let Some(pumps) = pumps else { return Ok((Plan::Demo, speed)) };
    if !(1..=MAX_PUMPS).contains(&pumps.len()) {
        let allowed = format!("a list of 1 to {MAX_PUMPS}");
        return Err(InvalidValue::new("pumps", body["pumps"].clone(), allowed, "not such a list"));
    }
    let mut plans: Vec<PumpPlan> = Vec::new();
    for (index, pump) in pumps.into_iter().enumerate() {
        // Serde would also accept an array of a struct's fields for the struct.
        let item = &body["pumps"][index];
        if !item.is_object() {
            return Err(InvalidValue::new(&format!("pumps[{index}]"), item.clone(), "an object", "not an object"));
        }
        let plan = pump.plan(index, profile)?;
        if plans.iter().any(|other| other.pump == plan.pump) {
            let field = format!("pumps[{index}].pump_id");
            return Err(InvalidValue::new(
                &field,
                plan.pump.as_str().into(),
                "each pump once",
                "the list has this pump twice",
            ));
        }
        plans.push(plan);
    }
    Ok((Plan::Pumps(plans), speed))
}

impl PumpSchema {
    fn plan(self, index: usize, profile: &Profile) -> Result<PumpPlan, InvalidValue> {
        let field = |name: &str| format!("pumps[{index}].{name}");
        let Self { pump_id, fault, channel, severity, seed } = self;
        let pump =
            pump_id.ok_or_else(|| InvalidValue::new(&field("pump_id"), Value::Null, PumpId::ALLOWED, "missing"))?.0;
        let quantity = match channel {
            None => None,
            Some(name) => {
                let index = profile.index_of(&name).ok_or_else(|| {
                    let channels = profile.channel_names().collect::<Vec<_>>().join(", ");
                    InvalidValue::new(&field("channel"), name.into(), channels, "no such channel")
                })?;
                Some(profile.channels()[index].quantity)
            }
        };
        let severity = match severity {
            Some(severity) => severity.0,
            None => Severity::new(DEFAULT_SEVERITY)
                .map_err(|error| InvalidValue::new(&field("severity"), Value::Null, "0 to 1", &error.to_string()))?,
        };
        let fault = match fault {
            None => None,
            Some(name) => {
                let fault = Fault::parse(&name, quantity).map_err(|error| {
                    let allowed = format!("{}; faults of sensors need a channel", Fault::NAMES.join(", "));
                    // The text of an unknown fault would list the faults again.
                    let why = match error {
                        FaultError::Unknown { .. } => "no such fault".to_owned(),
                        other => other.to_string(),
                    };
                    InvalidValue::new(&field("fault"), name.as_str().into(), allowed, &why)
                })?;
                Some((fault, severity, FAULT_CYCLE_S))
            }
        };
        Ok(PumpPlan { pump, fault, seed: seed.map_or(FIRST_SEED + index as u64, |seed| seed.0) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn pumps_and_faults_are_parsed() {
        let body = json!({"speed": 2, "pumps": [
            {"pump_id": "A"},
            {"pump_id": "B", "fault": "cavitation", "severity": 0.5, "seed": 9},
            {"pump_id": "C", "fault": "sensor_stuck", "channel": "Q"},
        ]});
        let Ok((Plan::Pumps(pumps), speed)) = parse(&body, &profile()) else { panic!("a plan") };
        assert_eq!(speed.times(), 2.0);
        let planned: Vec<_> = pumps
            .iter()
            .map(|plan| {
                (plan.pump.as_str(), plan.fault.map(|(fault, severity, _)| (fault.name(), severity.get())), plan.seed)
            })
            .collect();
        let expected = [("A", None, 1), ("B", Some(("cavitation", 0.5)), 9), ("C", Some(("sensor_stuck", 0.8)), 3)];
        assert_eq!(planned, expected);
        assert!(matches!(parse(&json!({}), &profile()), Ok((Plan::Demo, Speed::NORMAL))));
    }

    #[test]
    fn errors_name_the_invalid_field() {
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
            (json!({"pumps": [["A", null, null, null, null]]}), "pumps[0]", json!(["A", null, null, null, null])),
        ] {
            let error = parse(&body, &profile()).map(|_| ()).expect_err(field);
            assert_eq!((error.field.as_str(), &error.value), (field, &value), "{body}");
            assert!(!error.allowed.is_empty());
            assert!(error.message.matches("cavitation").count() <= 1, "the faults are listed once: {}", error.message);
        }
    }
}
