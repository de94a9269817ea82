//! What a simulation says of itself.

use volute_plant::{PumpId, Timestamp};
use volute_simulator::Fault;

/// What is played, and how far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SimulationProgress {
    /// Whether readings come.
    pub running: bool,
    /// What is, or was, played; none: nothing was yet.
    pub source: Option<Source>,
    /// How many times as fast as usual.
    pub speed: f64,
    /// Since when.
    pub started_at: Option<Timestamp>,
    /// How far the recording is, if it is one.
    pub recording: Option<RecordingProgress>,
    /// The pumps, in the plan's order.
    pub pumps: Vec<PumpProgress>,
}

impl SimulationProgress {
    /// Whether readings of this pump come.
    pub fn plays(&self, pump: &PumpId) -> bool {
        self.running && self.pumps.iter().any(|played| played.pump == *pump)
    }
}

/// Where the readings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The demo's own pumps.
    Stories,
    /// Pumps that somebody asked for.
    Pumps,
    /// A recording.
    Recording,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingProgress {
    /// Its rows.
    pub rows: usize,
    /// Those that were sent.
    pub sent: usize,
}

/// What a pump's simulation says of itself. A model never sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PumpProgress {
    /// Which pump.
    pub pump: PumpId,
    /// What goes wrong with it over and over.
    pub fault: Option<Fault>,
    /// How badly, 0 to 1.
    pub severity: Option<f64>,
    /// How the machine is; none where a recording does not say.
    pub phase: Option<Phase>,
    /// How far the fault has grown, 0 to 1.
    pub growth: f64,
    /// Since this round began, in seconds.
    pub elapsed_s: f64,
    /// How long a round takes, in seconds.
    pub total_s: Option<f64>,
    /// Which round it is, from 1; 0 before the first.
    pub cycle: u32,
}

/// How a simulated machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Healthy.
    Normal,
    /// The fault is there; of a recording: its `machine_status` is not `NORMAL`.
    Broken,
    /// The fault is fading.
    Recovering,
}
