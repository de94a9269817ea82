//! One simulated pump over time: its past, and its fault over and over.

use volute_plant::{Draft, Profile, PumpId, Timestamp, TimestampSource};
use volute_simulator::{Design, Episode, LoadPlan, MachineStatus, Simulator, Step};

use super::{
    plan::{PumpPlan, Speed},
    progress::{Phase, PumpProgress},
};

/// Healthy running between two episodes, in seconds at the usual speed.
const REST_S: f64 = 180.0;
/// The most readings of one pump that are made at once; the rest come at the next look.
const MOST_AT_ONCE: usize = 300;
/// What lies further back than this is not made up, in milliseconds.
pub(super) const PAST_MS: i64 = 600_000;

/// A simulated pump.
pub(super) struct FaultCycle {
    pump: PumpId,
    simulator: Simulator,
    episode: Option<Episode>,
    rest_s: f64,
    /// The episode begins with the first reading from here on: the past was healthy.
    live_from: Timestamp,
    /// The time of the last reading.
    at: Timestamp,
    last: Option<Step>,
    cycle: u32,
}

impl FaultCycle {
    /// A pump whose first reading comes one interval after `from`, and whose faults begin after `live_from`.
    pub(super) fn new(plan: PumpPlan, speed: Speed, from: Timestamp, live_from: Timestamp) -> Self {
        let pace = speed.times();
        let episode = plan.fault.map(|(fault, severity, cycle_s)| Episode::within(fault, severity, cycle_s / pace));
        let simulator = Simulator::new(Design::drawn(plan.seed), LoadPlan::Steps, plan.seed, from);
        let (pump, rest_s) = (plan.pump, REST_S / pace);
        Self { pump, simulator, episode, rest_s, live_from, at: from, last: None, cycle: 0 }
    }

    /// The readings that have come due by `now`.
    pub(super) fn due(&mut self, profile: &Profile, now: Timestamp, drafts: &mut Vec<Draft>) {
        let interval_ms = profile.interval_ms();
        let behind_ms = now.since_ms(self.at);
        if behind_ms > PAST_MS + interval_ms {
            self.advance(behind_ms - PAST_MS);
        }
        for _ in 0..MOST_AT_ONCE {
            if now.since_ms(self.at) < interval_ms {
                break;
            }
            let samples = self.advance(interval_ms).samples(profile);
            if samples.iter().any(|sample| sample.value().is_some()) {
                let (pump, stamp) = (Some(self.pump.clone()), TimestampSource::Device(self.at));
                let profile = profile.clone();
                drafts.push(Draft { pump, profile, stamp, samples: samples.into() });
            }
        }
    }

    /// Where it is.
    pub(super) fn progress(&self) -> PumpProgress {
        let since_s = self.simulator.episode().map_or(0.0, |(_, since_s)| since_s);
        PumpProgress {
            pump: self.pump.clone(),
            fault: self.episode.map(|episode| episode.fault),
            severity: self.episode.map(|episode| episode.severity.get()),
            phase: Some(match self.last.as_ref().map_or(MachineStatus::Normal, |step| step.status) {
                MachineStatus::Normal => Phase::Normal,
                MachineStatus::Broken => Phase::Broken,
                MachineStatus::Recovering => Phase::Recovering,
            }),
            growth: self.last.as_ref().map_or(0.0, |step| step.growth),
            elapsed_s: since_s,
            total_s: self.episode.map(|episode| episode.total_s() + self.rest_s),
            cycle: self.cycle,
        }
    }

    fn advance(&mut self, by_ms: i64) -> &Step {
        self.turn_over();
        self.at = self.at.plus_ms(by_ms);
        self.last.insert(self.simulator.step(by_ms as f64 / 1e3))
    }

    /// Begins the episode, or begins it anew when it and the rest after it are over.
    fn turn_over(&mut self) {
        if self.at < self.live_from {
            return;
        }
        let over = match self.simulator.episode() {
            Some((episode, since_s)) => since_s >= episode.total_s() + self.rest_s,
            None => self.episode.is_some(),
        };
        if over {
            self.cycle += 1;
            self.simulator.set_episode(self.episode);
        }
    }
}
