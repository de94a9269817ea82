//! The engine: the supervised actix actors that take posted readings to the store, the model and the live feed.
//!
//! A pump posts readings. Each reading is checked, compared with what is stored, and written with others as one record
//! of the journal. Then the post is acknowledged. Durable readings enter the pump's window, the model scores full
//! windows, and the pump's actor turns a score into a detection. Detections are shown, stored, and passed to the
//! maintenance rules.
//!
//! # Terms
//!
//! See `docs/concepts.md` for all of them.
//!
//! - **Profile**: the description of a kind of pump, with its channels, limits, rules and interval.
//! - **Window**: the last 30 steps of a pump's readings, one step per interval of the profile, which the model scores.
//! - **Baseline**: what is normal for one pump (scaler, levels, thresholds), learned from its own normal running.
//! - **Commissioning**: collecting normal running of a pump and learning its baseline from it.
//! - **Detection**: the result for one window: anomalous or not, and the channels' shares of the loss.
//! - **Current**: a reading that was received within a minute of its device time, so it shows the pump's present state.
//! - **Head**: the rows in memory that are durable in the journal and not in the database yet.
//! - **Rollup**: the aggregates of a minute's or an hour's readings per channel.
//!
//! # Modules
//!
//! | module | |
//! | --- | --- |
//! | `protocol` | the messages between actors, with the path of one reading and of its window |
//! | `ingress` | admits or refuses posts, and assembles their responses |
//! | `pump` | one actor for each pump, around four state machines |
//! | `inference` | batches windows and scores them |
//! | `commissioning` | learns baselines |
//! | `maintenance` | evaluates limits and rules on readings |
//! | `notifier` | notifies people of alarms and maintenance events |
//! | `recorder` | makes rows durable in the journal |
//! | `flusher` | moves rows from the head into the database |
//! | `live` | the present state of every pump, for queries and subscribers |
//! | `kind`, `catalog` | the kinds of pumps: profiles with their models |
//! | `assignment`, `naming`, `removal`, `kind_changes` | commands that change pumps and kinds while the node runs |
//! | `simulation` | plays simulated and recorded pumps |
//! | `receipt` | the response to a post |
//! | `refused_commands` | combines refused commands for the audit log |
//! | `settings` | the engine's settings |
//! | `node_clock`, `disk_forecast`, `metrics`, `counters`, `overflow` | the node's own state |
//! | `engine` | starts all actors, and drains them when the node stops |
//!
//! An actor is a thin shell around logic in `volute-plant`, `volute-anomaly` and `volute-data`, or around a state
//! machine in a neighbouring module. Does not handle HTTP (the web crate), SQL (the data crate) or the neural network
//! (the anomaly crate).

mod alarm_commands;
mod alarms;
mod assignment;
mod catalog;
mod commissioning;
mod counters;
mod disk_forecast;
mod engine;
mod flusher;
mod inference;
mod ingress;
mod kind;
mod kind_changes;
mod live;
mod maintenance;
mod maintenance_commands;
mod metrics;
mod naming;
mod node_alarms;
mod node_clock;
mod notifier;
mod overflow;
mod planned_work;
mod protocol;
mod pump;
mod receipt;
mod recorder;
mod refused_commands;
mod removal;
mod settings;
mod simulation;
#[cfg(test)]
mod testing;

pub use alarms::{StandingAlarm, StandingAlarms, arm, definitions};
pub use assignment::AssignProfileError;
pub use commissioning::{
    errors::CommissionError,
    versions::{BaselineVersion, Baselines},
};
pub use counters::{Counters, LatencyQuantiles, Totals};
pub use disk_forecast::DiskOutlook;
pub use engine::{
    Engine, EngineError, EngineParts,
    handle::{EngineHandle, Health, UnfitProfile},
};
pub use ingress::in_flight::MAX_POST_ITEMS;
pub use kind::{KindParts, RemoveKindError};
pub use live::{
    frames::{DetectionFrame, FleetFrame, FleetRow, Frame, ReadingFrame},
    last_shown::LastShown,
    snapshot::{CommissioningPhase, LearningProgress, LiveAdvice, LiveCadence, LiveChannel, LivePump, Status},
    trend::TREND_LEN,
};
pub use notifier::{
    NotificationSettings,
    status::{MediumStatus, NotificationStatus},
};
pub use overflow::Overflow;
pub use protocol::{
    alarms::{AlarmCommandError, AlarmResults, AlarmSummary, NewAlarmRules},
    ingress::PostSender,
    rules::{EventRequest, EventWorkError, PlannedWorkError, WorkRequest},
};
pub use receipt::{BadChannel, IngestError, LATE_EXPLANATION, MAX_LISTED, Queue, Receipt, RejectedItem};
pub use removal::RemovePumpError;
pub use settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings};
pub use simulation::{
    Simulation, StartError,
    plan::{Plan, PumpPlan, Speed},
    progress::{FaultPhase, PumpProgress, RecordingProgress, SimulationProgress, Source},
};
pub use volute_runtime::{ActorReport, ActorState, CurrentMessage, DeadLetter, quantile_ms};
pub use volute_simulator::{Fault, FaultError, Severity};
