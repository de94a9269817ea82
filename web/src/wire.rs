//! JSON types that several routes and the live stream send, and their conversions from the engine's types.

mod profile;
mod pump;
mod simulation;

pub(crate) use profile::ProfileResponse;
pub(crate) use pump::{ClockResponse, FeedResponse, Learning, PumpStatus, status_reason};
pub(crate) use simulation::{PumpSimulation, SimulationResponse};
