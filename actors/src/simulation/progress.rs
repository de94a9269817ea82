//! The progress of a simulation, as the API reports it.

use volute_plant::{PumpId, Timestamp};
use volute_simulator::Fault;

/// What is played, and how far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SimulationProgress {
    /// Whether readings are being sent.
    pub running: bool,
    /// What is or was played last; none if nothing was played yet.
    pub source: Option<Source>,
    /// The speed as a factor on normal speed.
    pub speed: f64,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// The progress of the recording, if one is played.
    pub recording: Option<RecordingProgress>,
    /// The pumps, in the plan's order.
    pub pumps: Vec<PumpProgress>,
}

impl SimulationProgress {
    /// Returns whether readings of this pump are being sent.
    pub fn plays(&self, pump: &PumpId) -> bool {
        self.running && self.pumps.iter().any(|played| played.pump == *pump)
    }
}

/// The source of the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The pumps of the demo.
    Demo,
    /// Requested pumps.
    Pumps,
    /// A recording.
    Recording,
}

/// The progress of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingProgress {
    /// The number of rows in the recording.
    pub rows: usize,
    /// The number of rows sent.
    pub sent: usize,
}

/// The true state of a simulated pump. No model receives it.
#[derive(Debug, Clone, PartialEq)]
pub struct PumpProgress {
    /// The pump.
    pub pump: PumpId,
    /// Its repeating fault.
    pub fault: Option<Fault>,
    /// The severity of the fault, 0 to 1.
    pub severity: Option<f64>,
    /// The state of the machine; none if a recording has no label.
    pub phase: Option<FaultPhase>,
    /// How far the fault has grown, 0 to 1.
    pub growth: f64,
    /// Seconds since this cycle started.
    pub elapsed_s: f64,
    /// The length of a cycle in seconds.
    pub total_s: Option<f64>,
    /// The number of the cycle, from 1; 0 before the first.
    pub cycle: u32,
}

/// The state of a simulated machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPhase {
    /// Healthy.
    Normal,
    /// The fault is present. In a recording: `machine_status` is not `NORMAL`.
    Broken,
    /// The fault is fading.
    Recovering,
}
