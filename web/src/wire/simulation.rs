//! A simulation, as it is sent.

use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::{FaultPhase, PumpProgress, SimulationProgress, Source};
use volute_plant::PumpId;

/// The simulation and its progress.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulationResponse {
    #[serde(flatten)]
    summary: SimulationSummary,
    /// The simulated pumps.
    pumps: Vec<SimulatedPump>,
    /// Notes about the recording of this request: cells that are not numbers, channels without a column, times assumed to be
    /// UTC.
    notes: Vec<String>,
}

/// The simulation and one of its pumps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PumpSimulation {
    #[serde(flatten)]
    summary: SimulationSummary,
    /// The requested pump; null if it is not simulated.
    #[schema(required)]
    pump: Option<SimulatedPump>,
}

/// The state of the simulation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulationSummary {
    /// Whether simulated readings are being sent.
    running: bool,
    /// `stories` (the pumps of the demo), `pumps` or `recording`; null if nothing was simulated yet.
    #[schema(required)]
    source: Option<&'static str>,
    /// The speed relative to normal, of the fault cycles or of the rows of a recording.
    speed: f64,
    /// When it was started; null if nothing was simulated yet.
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    /// The progress of the recording, if it is one.
    #[schema(required)]
    recording: Option<RecordingResponse>,
}

/// The progress of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingResponse {
    /// The number of its rows.
    rows: usize,
    /// The number of rows that were sent.
    sent: usize,
}

/// The true state of a simulated pump. The model does not use it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulatedPump {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The fault that it cycles through; null if none.
    #[schema(required)]
    fault: Option<&'static str>,
    /// The severity of the fault, 0 to 1.
    #[schema(required)]
    severity: Option<f64>,
    /// `NORMAL`, `BROKEN` or `RECOVERING`; of a recording `NORMAL` or `BROKEN`, or null if it does not say.
    #[schema(required)]
    phase: Option<&'static str>,
    /// The growth of the fault, 0 to 1.
    growth: f64,
    /// The time since this cycle began, in seconds.
    elapsed_s: f64,
    /// The duration of a cycle, in seconds.
    #[schema(required)]
    total_s: Option<f64>,
    /// The number of the cycle, from 1; 0 before the first.
    cycle: u32,
}

impl SimulationResponse {
    /// Adds notes about its recording.
    pub(crate) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }
}

impl PumpSimulation {
    pub(crate) fn new(progress: SimulationProgress, pump: &PumpId) -> Self {
        let simulated = progress.pumps.iter().find(|progress| progress.pump == *pump).cloned();
        Self { summary: SimulationSummary::from(&progress), pump: simulated.map(SimulatedPump::from) }
    }
}

impl From<SimulationProgress> for SimulationResponse {
    fn from(progress: SimulationProgress) -> Self {
        let summary = SimulationSummary::from(&progress);
        Self { summary, pumps: progress.pumps.into_iter().map(SimulatedPump::from).collect(), notes: Vec::new() }
    }
}

impl From<&SimulationProgress> for SimulationSummary {
    fn from(progress: &SimulationProgress) -> Self {
        Self {
            running: progress.running,
            source: progress.source.map(|source| match source {
                Source::Demo => "stories",
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
                FaultPhase::Normal => "NORMAL",
                FaultPhase::Broken => "BROKEN",
                FaultPhase::Recovering => "RECOVERING",
            }),
            growth: pump.growth,
            elapsed_s: pump.elapsed_s,
            total_s: pump.total_s,
            cycle: pump.cycle,
        }
    }
}
