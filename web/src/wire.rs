//! What several routes and the live stream send: types with their JSON, and how they are made of the engine's.

mod profile;
mod pump;
mod simulation;

pub(crate) use profile::ProfileResponse;
pub(crate) use pump::{ClockResponse, FeedResponse, Learning, PumpStatus, status_reason};
pub(crate) use simulation::{PumpSimulation, SimulationResponse};
