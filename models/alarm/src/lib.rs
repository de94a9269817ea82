//! Limits and alarms of pumps, as plain state machines: what raises an alarm, and its lifecycle.
//!
//! An example: the bearing of P-7 gets hot.
//!
//! ```text
//! definition    bearing-hot: high, Bearing_Temperature_C above 93 °C, on-delay 60 s, deadband 1 °C, priority high
//! armed         checked against P-7's profile, and compiled: channel 1 above 93, in any operating state
//! 10:00:00      PumpAlarms::evaluate(reading: 95.2 °C)    no output; the on-delay runs
//! 10:01:00      PumpAlarms::evaluate(reading: 95.4 °C)    a row: normal -> unacknowledged, occurrence 1
//! 10:03:10      PumpAlarms::command(acknowledge up to 1, by ada: "oil is low")
//!                                                         a row: unacknowledged -> acknowledged
//! 10:20:00      PumpAlarms::evaluate(reading: 91.8 °C)    no output; the off-delay runs
//! 10:21:00      PumpAlarms::evaluate(reading: 91.5 °C)    a row: acknowledged -> normal
//! ```
//!
//! The same in code:
//!
//! ```
//! use std::sync::Arc;
//! use volute_alarm::{AlarmDefinition, ArmedAlarms, Command, Output, PumpAlarms, Standing, State};
//! use volute_plant::{OperatingState, Profile, PumpId, Reading, Sample, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let profile = Profile::from_toml(
//!     r#"
//!     name = "small"
//!     title = "Small pump"
//!     interval_ms = 1000
//!     [[channels]]
//!     name = "Bearing_Temperature_C"
//!     quantity = "bearing_temperature"
//!     unit = "°C"
//!     plausible = [-40, 200]
//!     resolution = 0.1
//!     "#,
//! )?;
//! let definition: AlarmDefinition = toml::from_str(
//!     r#"
//!     id = "bearing-hot"
//!     title = "Bearing hot"
//!     condition = { kind = "high", channel = "Bearing_Temperature_C", limit = 93 }
//!     priority = "high"
//!     on_delay_s = 60
//!     "#,
//! )?;
//! let armed = ArmedAlarms::compile(&profile, &[definition]).map_err(|mistakes| mistakes[0].clone())?;
//! let pump: PumpId = "P-7".parse()?;
//! let mut alarms = PumpAlarms::new(Some(pump.clone()), armed);
//!
//! let mut output = Vec::new();
//! let start: Timestamp = "2026-03-09T10:00:00Z".parse()?;
//! for s in [0, 30, 60] {
//!     let at = start.plus_ms(1_000 * s);
//!     let samples = Arc::new([Sample::Good(95.2)]);
//!     let reading = Reading { pump: pump.clone(), at, received: at, samples, late: false };
//!     alarms.evaluate(&reading, OperatingState::Running, &mut output);
//! }
//! let acknowledge = Command::Acknowledge { up_to: 1, comment: Some("oil is low".try_into()?) };
//! alarms.command(&"bearing-hot".try_into()?, acknowledge, "ada", start.plus_ms(190_000), &mut output)?;
//!
//! // The rows are stored. Standing alarms follow from them.
//! let rows = output.iter().filter_map(|output| match output {
//!     Output::Row(row) => Some(row),
//!     Output::Past(_) => None,
//! });
//! let standing = Standing::replay(rows);
//! let states: Vec<State> = standing.in_view().map(|(_, status)| status.state()).collect();
//! assert_eq!(states, [State::Acknowledged]);
//! # Ok(())
//! # }
//! ```
//!
//! The modules, the lowest layer first:
//!
//! ```text
//! value         ids, comments, priorities, sets of operating states
//! vibration     zones of ISO 10816-7
//! expression    arithmetic over channels
//! definition    alarms as people write them
//! defaults      delays and deadbands by quantity; the alarms that every profile has
//! armed         definitions, checked and compiled
//! profile       the alarms of a profile's file, checked where the profile is loaded
//! debounce      on-delay and off-delay; the time that has passed
//! order, rate, measure, past    readings out of order, rates of change, values, excursions of the past
//! evaluator     every reading of one pump: what is raised, and what is only recorded
//! state, transition, status     an alarm's states, its rows, and what follows from them
//! alarm         the lifecycle of one alarm: the table of what happens in each state
//! standing      all alarms by their rows
//! pump_alarms   all alarms of one pump: evaluator, states, explanations
//! grouping      explained alarms under the one that explains them
//! chattering, flood, metrics    too many alarms: found, collapsed, measured by ISA-18.2
//! trial         a definition on stored readings
//! ```
//!
//! What a caller has to do:
//!
//! - Call [`PumpAlarms::evaluate`] once for every accepted reading, in the order of the journal, before and
//!   independently of windows and models. [`EvaluationCounts::evaluated`] is then the number of accepted readings.
//! - Call [`PumpAlarms::tick`] every few seconds. Delays, silence, and the end of a shelving need it.
//! - Store each [`Output`] in order, and tell the user of a command only when its rows are durable.
//! - Store [`LimitEvaluator::checkpoint`] after the rows that it follows. After a restart see [`PumpAlarms::restore`].
//!
//! Six alarms on a reading take well under a microsecond, and a reading on which nothing happens allocates nothing.
//!
//! Does no I/O, has no async code, and reads no clock: time is passed in. Does not store rows (`volute-data`), does not
//! notify anybody, and knows no maintenance events.

mod alarm;
mod armed;
mod chattering;
mod debounce;
mod defaults;
mod definition;
mod evaluator;
mod expression;
mod flood;
mod grouping;
mod measure;
mod metrics;
mod order;
mod past;
mod profile;
mod pump_alarms;
mod rate;
mod standing;
mod state;
mod status;
#[cfg(test)]
mod testing;
mod transition;
mod trial;
mod value;
mod vibration;

pub use alarm::{Alarm, Command, CommandError, MAX_SHELVING_MS, Signal};
pub use armed::{ArmedAlarm, ArmedAlarms, External, InUse, MAX_ALARMS};
pub use chattering::{ChatterDetector, Chattering, Proposal};
pub use defaults::{default_alarms, default_node_alarms};
pub use definition::{AlarmDefinition, Condition, Direction, NodePart, Side};
pub use evaluator::{CURRENT_WITHIN_MS, EvaluationCounts, EvaluatorCheckpoint, Finding, LimitEvaluator};
pub use expression::{Expression, ExpressionError};
pub use flood::{Flood, FloodChange, FloodDetector, FloodLine, MAX_LINES};
pub use grouping::{Group, group};
pub use measure::ChannelSpread;
pub use metrics::{Measure, Metrics, MetricsCollector, PriorityShare, Rate, Rating, stale};
pub use past::PastExcursion;
pub use profile::{load_profile, profile_alarms, replaced};
pub use pump_alarms::{Output, PumpAlarms};
pub use standing::Standing;
pub use state::{CommandKind, State};
pub use status::{Removal, Shelving, Status};
pub use transition::{Cause, Evidence, Suppression, Transition};
pub use trial::{MAX_LISTED, Trial, TrialAlarm, TrialReading, trial};
pub use value::{AlarmId, AlarmKey, InvalidValue, Priority, StateSet};
pub use vibration::{VibrationCategory, ZoneBoundary, zone_limit_mm_s};
pub use volute_plant::Comment;
