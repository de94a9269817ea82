//! One fault on one pump: a snapshot from before its onset, and what is detected after it.

use std::collections::BTreeSet;

use anyhow::Result;
use volute_plant::{Profile, Quantity};
use volute_simulator::variable_speed::{Fault, Onset, Pump};

use crate::commands::evaluate::tracker::{DetectionTracker, SimulatedStep, largest};

/// The windower of a trial starts this many seconds before the onset, or [`WARM_UP_READINGS`] readings before it if
/// that is more.
const WARM_UP_S: f64 = 1_800.0;
/// Enough readings for two windows and the windower's slack.
const WARM_UP_READINGS: usize = 80;
/// The latest time at which a fault is fully grown, as a share of the time for which it is watched.
const MAX_GROWTH: f64 = 0.65;

/// The result of one fault on one pump.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The fault.
    pub fault: Fault,
    /// Seconds from the onset until the first window that is anomalous and would not be without the fault.
    pub found_after_s: Option<f64>,
    /// Whether the fault's channel has the largest contribution in that window.
    pub named_first: bool,
    /// Episodes after the onset, including one that is in progress at the onset.
    pub episodes: usize,
    /// The number of days for which it was watched.
    pub days: f64,
}

/// A pump shortly before an onset.
pub struct Snapshot {
    /// The pump.
    pub pump: Pump,
    /// The number of readings from this state to the onset.
    pub warm_up: usize,
    interval_s: f64,
}

impl Snapshot {
    /// Runs the pump, and returns its state shortly before each of these readings, whose numbers are in ascending
    /// order.
    pub fn take(mut pump: Pump, onsets: &[usize], interval_s: f64) -> Vec<Self> {
        let warm_up = WARM_UP_READINGS.max((WARM_UP_S / interval_s).ceil() as usize);
        let mut number = 0;
        let mut snapshots = Vec::new();
        for &onset in onsets {
            let begin = onset.saturating_sub(warm_up).max(number);
            for _ in number..begin {
                pump.step(interval_s);
            }
            number = begin;
            snapshots.push(Self { pump: pump.clone(), warm_up: onset - begin, interval_s });
        }
        snapshots
    }

    /// Returns the fault with its onset after the warm-up.
    pub fn onset(&self, fault: Fault, observed_s: f64) -> Onset {
        let onset = Onset::typical(fault, self.warm_up as f64 * self.interval_s);
        Onset { growth_s: onset.growth_s.min(MAX_GROWTH * observed_s), ..onset }
    }
}

/// Returns the faults that are measured.
pub fn faults() -> [Fault; 5] {
    [
        Fault::VibrationDoubled,
        Fault::FlowLoss,
        Fault::BearingHeat,
        Fault::NoiseDoubled(Quantity::Flow),
        Fault::Frozen(Quantity::Vibration),
    ]
}

/// The numbers of the readings after the onset whose windows are anomalous without a fault.
pub type HealthyAnomalies = BTreeSet<usize>;

/// Returns which readings of these steps, which have no fault, have anomalous windows.
pub fn observe_healthy(
    tracker: &mut DetectionTracker,
    steps: impl Iterator<Item = SimulatedStep>,
) -> Result<HealthyAnomalies> {
    let mut anomalies = HealthyAnomalies::new();
    tracker.run(steps, |step, outcome| {
        if outcome.is_ok_and(|detection| detection.is_anomaly) {
            anomalies.insert(step.number);
        }
    })?;
    Ok(anomalies)
}

/// Scores the steps after the onset, and compares them with the same steps without the fault. `since_s` gives the
/// seconds from the onset to a step.
pub fn observe_fault(
    profile: &Profile,
    fault: Fault,
    tracker: &mut DetectionTracker,
    healthy: &HealthyAnomalies,
    steps: impl Iterator<Item = SimulatedStep>,
    since_s: impl Fn(&SimulatedStep) -> f64,
) -> Result<Trial> {
    let channel = profile.channels().iter().position(|channel| channel.quantity == fault.channel());
    let mut trial = Trial { fault, found_after_s: None, named_first: false, episodes: 0, days: 0.0 };
    let mut was_anomaly = false;
    tracker.run(steps, |step, outcome| {
        trial.days = since_s(step) / 86_400.0;
        let Ok(detection) = outcome else { return };
        trial.episodes += usize::from(detection.is_anomaly && !was_anomaly);
        was_anomaly = detection.is_anomaly;
        if detection.is_anomaly && trial.found_after_s.is_none() && !healthy.contains(&step.number) {
            trial.found_after_s = Some(since_s(step));
            trial.named_first = Some(largest(&detection.contributions)) == channel;
        }
    })?;
    Ok(trial)
}
