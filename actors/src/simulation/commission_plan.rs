//! Generates the readings from which a simulated pump is commissioned at its start: a day of healthy running, which is
//! not stored.
//!
//! The day is simulated with the same design and the same kind of load as the pump that is played, but with different
//! noise and demand. So the baseline is not learned from the same readings that will be scored with it.

use volute_plant::{Profile, PumpId, Reading, Timestamp};
use volute_simulator::{Design, LoadPlan, Simulator};

use super::plan::{Plan, PumpPlan, demo_pumps};

const DAY_MS: i64 = 86_400_000;
/// Added to the pump's seed for the noise and demand of the day.
const NOISE_SEED_OFFSET: u64 = 0x9e37_79b9;

/// A pump to commission, and the readings for it.
pub(super) struct CommissionPlan {
    pub(super) pump: PumpId,
    /// The reason to store with the baseline. It names the pump's design, so the same pump is not commissioned twice.
    pub(super) reason: String,
    /// Returns the readings in runs. No window spans two runs.
    pub(super) readings: Box<dyn FnOnce() -> Vec<Vec<Reading>> + Send>,
}

/// Returns the pumps of a plan to commission. A recording's pump is commissioned from the rows labelled normal. Without
/// such rows it is not listed here and is commissioned from its own readings, like any other pump.
pub(super) fn commission_plans(profile: &Profile, plan: &Plan, now: Timestamp) -> Vec<CommissionPlan> {
    let from_simulation = |plan: PumpPlan| {
        let (profile, id, seed) = (profile.clone(), plan.pump.clone(), plan.seed);
        let readings = Box::new(move || vec![simulate_day(&profile, &id, seed, now)]);
        CommissionPlan { pump: plan.pump, reason: format!("a simulated day of healthy running, pump {seed}"), readings }
    };
    match plan {
        Plan::Demo => demo_pumps().into_iter().map(from_simulation).collect(),
        Plan::Pumps(plans) => plans.iter().cloned().map(from_simulation).collect(),
        Plan::Recording { pump, rows } => {
            let reading = |row: &volute_data::Row| {
                let (pump, samples) = (pump.clone(), row.samples.clone());
                Reading { pump, at: row.at, received: row.at, samples, late: false }
            };
            // Rows that are not normal separate the runs.
            let runs: Vec<Vec<Reading>> = rows
                .chunk_by(|a, b| a.normal == b.normal)
                .filter(|run| run.iter().all(|row| row.normal == Some(true)))
                .map(|run| run.iter().map(reading).collect())
                .collect();
            if runs.is_empty() {
                return Vec::new();
            }
            let reason = "the recording's normal rows".to_owned();
            vec![CommissionPlan { pump: pump.clone(), reason, readings: Box::new(move || runs) }]
        }
    }
}

/// Simulates the day before `now`.
fn simulate_day(profile: &Profile, pump: &PumpId, seed: u64, now: Timestamp) -> Vec<Reading> {
    let interval_ms = profile.interval_ms();
    let noise_seed = seed.wrapping_add(NOISE_SEED_OFFSET);
    let mut simulator = Simulator::new(Design::drawn(seed), LoadPlan::Steps, noise_seed, now.plus_ms(-DAY_MS));
    let mut readings = Vec::new();
    for _ in 0..DAY_MS / interval_ms {
        let step = simulator.step(interval_ms as f64 / 1e3);
        let samples = step.samples(profile).into();
        readings.push(Reading { pump: pump.clone(), at: step.at, received: step.at, samples, late: false });
    }
    readings
}
