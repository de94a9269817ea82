//! JSON types that several routes and the live stream send, and their conversions from the engine's types.

mod alarms;
mod evidence;
mod profile;
mod pump;
mod simulation;

pub(crate) use alarms::AlarmSummaryResponse;
pub(crate) use evidence::{CostResponse, EventEvidenceResponse, RecommendationResponse};
pub(crate) use profile::ProfileResponse;
pub(crate) use pump::{ClockResponse, FeedResponse, Learning, PumpStatus, status_reason};
pub(crate) use simulation::{PumpSimulation, SimulationResponse};
