//! The engine: a reading's way from a post to the store, the model and the screen, as actix actors.
//!
//! | module | |
//! | --- | --- |
//! | `protocol` | the messages, with one reading's and one window's way |
//! | `ingress` | where a post is taken or refused, and its response put together |
//! | `pump` | one actor for each pump, a shell around three state machines |
//! | `inference` | where windows are batched and scored |
//! | `commissioning` | where baselines are learned |
//! | `maintenance` | where readings are held against limits |
//! | `recorder`, `keeper` | where rows become durable, and move into the database |
//! | `live` | what is shown now |
//! | `kind`, `catalog` | the kinds of pumps |
//! | `engine` | starts and drains all of it |
//!
//! Each actor is a thin shell around logic that lives in `volute-plant`, `volute-anomaly`, `volute-data`, or in plain state
//! machines beside it. Does not handle HTTP (the web crate), SQL (the data crate) or the network (the anomaly crate).

mod assignment;
mod catalog;
mod commissioning;
mod counters;
mod disk_forecast;
mod engine;
mod inference;
mod ingress;
mod keeper;
mod kind;
mod live;
mod maintenance;
mod metrics;
mod naming;
mod node_clock;
mod overflow;
mod protocol;
mod pump;
mod receipt;
mod recorder;
mod refusals;
mod removal;
mod settings;
mod simulation;
#[cfg(test)]
mod testing;

pub use assignment::AssignRefusal;
pub use commissioning::{
    errors::CommissionRefusal,
    versions::{BaselineVersion, Baselines},
};
pub use counters::{Counters, LatencyQuantiles, Totals};
pub use disk_forecast::DiskOutlook;
pub use engine::{
    Engine, EngineError, EngineParts,
    handle::{EngineHandle, Health, UnfitProfile},
};
pub use ingress::in_flight::LARGEST_POST;
pub use kind::KindParts;
pub use live::{
    frames::{DetectionFrame, FleetFrame, FleetRow, Frame, ReadingFrame},
    last_shown::LastShown,
    snapshot::{CommissioningPhase, LearningProgress, LiveAdvice, LiveChannel, LiveFeedState, LivePump, Status},
    trend::TREND,
};
pub use overflow::Overflow;
pub use receipt::{BadChannel, LATE, LISTED, Queue, Receipt, Refusal, RejectedItem};
pub use removal::RemovalRefusal;
pub use settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings};
pub use simulation::{
    Simulation, StartError,
    plan::{Plan, PumpPlan, Speed},
    progress::{Phase, PumpProgress, RecordingProgress, SimulationProgress, Source},
};
pub use volute_runtime::{ActorReport, ActorState, CurrentMessage, DeadLetter, quantile_ms};
pub use volute_simulator::{Fault, Severity};
