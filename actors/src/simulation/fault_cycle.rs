//! One simulated pump over time: its backfilled past, then its fault, which is repeated.
//!
//! An example: a pump with a fault run of 300 s at normal speed. The last 10 minutes before the start are backfilled and
//! healthy. Then the fault run starts: healthy, growing fault, full fault, recovery. It is followed by 180 s of healthy
//! running. After these 480 s the next cycle starts with the same fault run.

use volute_plant::{Draft, Profile, PumpId, Timestamp, TimestampSource};
use volute_simulator::{Design, FaultRun, LoadPlan, MachineStatus, Simulator, SimulatorOutput};

use super::{
    plan::{PumpPlan, Speed},
    progress::{FaultPhase, PumpProgress},
};

/// Healthy running between two fault runs, in seconds at normal speed.
const HEALTHY_GAP_S: f64 = 180.0;
/// The maximum number of readings of one pump that are generated per call. The others follow with the next calls.
const MAX_READINGS_PER_CALL: usize = 300;
/// Readings are generated for at most this long before the present, in milliseconds.
pub(super) const BACKFILL_MS: i64 = 600_000;

/// A simulated pump.
pub(super) struct FaultCycle {
    pump: PumpId,
    simulator: Simulator,
    fault_run: Option<FaultRun>,
    gap_s: f64,
    /// The first fault run starts with the first reading at or after this time. Before this time the pump is healthy.
    live_from: Timestamp,
    /// The time of the last reading.
    at: Timestamp,
    last: Option<SimulatorOutput>,
    cycle: u32,
}

impl FaultCycle {
    /// Creates a pump whose first reading is one interval after `from`, and whose first fault run starts after
    /// `live_from`.
    pub(super) fn new(plan: PumpPlan, speed: Speed, from: Timestamp, live_from: Timestamp) -> Self {
        let speed = speed.times();
        let fault_run = plan.fault.map(|(fault, severity, cycle_s)| FaultRun::within(fault, severity, cycle_s / speed));
        let simulator = Simulator::new(Design::drawn(plan.seed), LoadPlan::Steps, plan.seed, from);
        let (pump, gap_s) = (plan.pump, HEALTHY_GAP_S / speed);
        Self { pump, simulator, fault_run, gap_s, live_from, at: from, last: None, cycle: 0 }
    }

    /// Appends the readings that are due by `now`.
    pub(super) fn due(&mut self, profile: &Profile, now: Timestamp, drafts: &mut Vec<Draft>) {
        let interval_ms = profile.interval_ms();
        let behind_ms = now.since_ms(self.at);
        if behind_ms > BACKFILL_MS + interval_ms {
            self.advance(behind_ms - BACKFILL_MS);
        }
        for _ in 0..MAX_READINGS_PER_CALL {
            if now.since_ms(self.at) < interval_ms {
                break;
            }
            let samples = self.advance(interval_ms).samples(profile);
            if samples.iter().any(|sample| sample.value().is_some()) {
                let (pump, stamp) = (Some(self.pump.clone()), TimestampSource::Device(self.at));
                let profile = profile.clone();
                drafts.push(Draft { pump, profile, timestamp: stamp, samples: samples.into() });
            }
        }
    }

    /// Returns the progress of the current cycle.
    pub(super) fn progress(&self) -> PumpProgress {
        let since_s = self.simulator.fault_run().map_or(0.0, |(_, since_s)| since_s);
        PumpProgress {
            pump: self.pump.clone(),
            fault: self.fault_run.map(|fault_run| fault_run.fault),
            severity: self.fault_run.map(|fault_run| fault_run.severity.get()),
            phase: Some(match self.last.as_ref().map_or(MachineStatus::Normal, |step| step.status) {
                MachineStatus::Normal => FaultPhase::Normal,
                MachineStatus::Broken => FaultPhase::Broken,
                MachineStatus::Recovering => FaultPhase::Recovering,
            }),
            growth: self.last.as_ref().map_or(0.0, |step| step.growth),
            elapsed_s: since_s,
            total_s: self.fault_run.map(|fault_run| fault_run.total_s() + self.gap_s),
            cycle: self.cycle,
        }
    }

    fn advance(&mut self, by_ms: i64) -> &SimulatorOutput {
        self.begin_due_fault_run();
        self.at = self.at.plus_ms(by_ms);
        self.last.insert(self.simulator.step(by_ms as f64 / 1e3))
    }

    /// Starts the first fault run, or the next one when the last and the healthy time after it are over.
    fn begin_due_fault_run(&mut self) {
        if self.at < self.live_from {
            return;
        }
        let is_due = match self.simulator.fault_run() {
            Some((fault_run, since_s)) => since_s >= fault_run.total_s() + self.gap_s,
            None => self.fault_run.is_some(),
        };
        if is_due {
            self.cycle += 1;
            self.simulator.set_fault_run(self.fault_run);
        }
    }
}
