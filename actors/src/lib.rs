//! The engine: a reading's way from the gate to the store, the model and the screen, as actix actors.
//!
//! One file per actor. Each is a thin shell around logic that lives in `volute-plant`,
//! `volute-anomaly` or `volute-data`; messages stand beside the actor that receives them.
//!
//! Deliberately absent: HTTP (the web crate's), SQL (the data crate's), the network (the anomaly crate's).

mod commissioning;
mod counters;
mod engine;
mod gate;
mod inference;
mod keeper;
mod live;
mod maintenance;
mod metrics;
mod naming;
mod node_clock;
mod pump;
mod queues;
mod receipt;
mod recorder;
mod refusals;
mod removal;
mod settings;
mod simulation;
mod storage;

pub use commissioning::{BaselineVersion, Baselines, CommissionRefusal};
pub use counters::{Counters, LatencyQuantiles, Totals};
pub use engine::{Engine, EngineError, EngineHandle, EngineParts, Health};
pub use gate::LARGEST_POST;
pub use live::{
    CommissioningPhase, DetectionFrame, FleetFrame, FleetRow, Frame, LastShown, LearningProgress, LiveAdvice,
    LiveChannel, LiveFeedState, LivePump, ReadingFrame, Status, TREND,
};
pub use queues::Overflow;
pub use receipt::{BadChannel, LATE, Queue, Receipt, Refusal, RejectedItem};
pub use removal::RemovalRefusal;
pub use settings::{CommissioningSettings, EngineSettings, IngestSettings, LiveSettings};
pub use simulation::{
    Phase, Plan, PumpPlan, PumpProgress, RecordingProgress, Simulation, SimulationProgress, Source, Speed, StartError,
};
pub use storage::DiskOutlook;
pub use volute_runtime::{ActorReport, ActorState, CurrentMessage, DeadLetter, quantile_ms};
pub use volute_simulator::{Fault, Severity};
