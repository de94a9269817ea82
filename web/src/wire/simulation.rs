//! A simulation, as it is sent.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::{Phase, PumpProgress, SimulationProgress, Source};
use volute_plant::PumpId;

/// What is simulated, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulationResponse {
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
    recording: Option<RecordingResponse>,
}

/// How far a recording is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingResponse {
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

impl SimulationResponse {
    /// With what there is to say about its recording.
    pub(crate) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }
}

impl PumpSimulation {
    pub(crate) fn new(progress: SimulationProgress, pump: &PumpId) -> Self {
        let found = progress.pumps.iter().find(|progress| progress.pump == *pump).cloned();
        Self { about: AboutSimulation::from(&progress), pump: found.map(SimulatedPump::from) }
    }
}

impl From<SimulationProgress> for SimulationResponse {
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
            recording: progress.recording.map(|r| RecordingResponse { rows: r.rows, sent: r.sent }),
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
