//! Healthy running from which a simulated pump is commissioned at once: a day of it, which is not stored.
//!
//! The pump is of the same design and under the same kind of load as the one that is played, but its noise and its demand
//! are others: what is normal is learned, not the very readings that will come.

use volute_plant::{Profile, PumpId, Reading, Timestamp};
use volute_simulator::{Design, LoadPlan, Simulator};

use super::plan::{Plan, PumpPlan, stories};

const DAY_MS: i64 = 86_400_000;
/// Added to the played pump's seed.
const OTHER_NOISE: u64 = 0x9e37_79b9;

/// A pump to be commissioned, and from what.
pub(super) struct Lesson {
    pub(super) pump: PumpId,
    /// Tells the pump's design, so that the same pump is not learned twice.
    pub(super) why: String,
    /// In runs: no window spans two of them.
    pub(super) readings: Box<dyn FnOnce() -> Vec<Vec<Reading>> + Send>,
}

/// What has to be learned before a plan's pumps can be judged. A recording's pump is commissioned from the rows that say
/// they are normal; where none does, from its own readings, as any pump is.
pub(super) fn lessons(profile: &Profile, plan: &Plan, now: Timestamp) -> Vec<Lesson> {
    let simulated = |plan: PumpPlan| {
        let (profile, id, seed) = (profile.clone(), plan.pump.clone(), plan.seed);
        let readings = Box::new(move || vec![day(&profile, &id, seed, now)]);
        Lesson { pump: plan.pump, why: format!("a simulated day of healthy running, pump {seed}"), readings }
    };
    match plan {
        Plan::Stories => stories().into_iter().map(simulated).collect(),
        Plan::Pumps(plans) => plans.iter().cloned().map(simulated).collect(),
        Plan::Recording { pump, rows } => {
            let reading = |row: &volute_data::Row| {
                let (pump, samples) = (pump.clone(), row.samples.clone());
                Reading { pump, at: row.at, received: row.at, samples, late: false }
            };
            // A row that is not normal is in no window of them.
            let runs: Vec<Vec<Reading>> = rows
                .chunk_by(|a, b| a.normal == b.normal)
                .filter(|run| run.iter().all(|row| row.normal == Some(true)))
                .map(|run| run.iter().map(reading).collect())
                .collect();
            if runs.is_empty() {
                return Vec::new();
            }
            let why = "the recording's normal rows".to_owned();
            vec![Lesson { pump: pump.clone(), why, readings: Box::new(move || runs) }]
        }
    }
}

/// The day before `now`.
fn day(profile: &Profile, pump: &PumpId, seed: u64, now: Timestamp) -> Vec<Reading> {
    let interval_ms = profile.interval_ms();
    let other = seed.wrapping_add(OTHER_NOISE);
    let mut simulator = Simulator::new(Design::drawn(seed), LoadPlan::Steps, other, now.plus_ms(-DAY_MS));
    let mut readings = Vec::new();
    for _ in 0..DAY_MS / interval_ms {
        let step = simulator.step(interval_ms as f64 / 1e3);
        let samples = step.samples(profile).into();
        readings.push(Reading { pump: pump.clone(), at: step.at, received: step.at, samples, late: false });
    }
    readings
}
