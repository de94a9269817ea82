//! `volute evaluate --simulated`: measures detection with a model on simulated pumps that it was not trained on.
//!
//! Each pump is commissioned on healthy running, and then scored during `--days` healthy days, and for one hour with each fault
//! at each severity. The results are the number of false episodes, the faults found, the delays until they are found, and, for
//! faults of a sensor, how often its channel has the largest contribution.
//!
//! Example: a sensor fault of severity 0.6 begins 300 s into its hour. The first anomalous window after that ends at second 345,
//! so the fault is found after 45 s. Of 3,200 anomalous windows, 3,040 have the sensor's channel first: 95 %.
//!
//! Does not check the name of a diagnosis.

use std::{
    collections::BTreeMap,
    io::Write,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Result, anyhow};
use serde_json::json;
use volute_anomaly::{Baseline, Commissioning, Decider, HealthyStatistics, Model, Score, ScoreInput, Scorer};
use volute_plant::{Detection, NoWindow, Profile, PumpId, Quantity, Reading, Timestamp, Window, Windower};
use volute_simulator::{Design, Episode, Fault, LoadPlan, SensorFault, Severity, Simulator};

use crate::{cli::Format, commands::progress};

/// The seed of the first pump. The built-in model was trained on pumps with lower seeds.
const FIRST_SEED: u64 = 1_001;
const SEVERITIES: [f64; 3] = [0.3, 0.6, 0.9];
const HOUR_S: usize = 3_600;
/// Healthy running before a fault, in seconds.
const ONSET_S: f64 = 300.0;
/// How long a fault is scored after its onset, in seconds.
const FAULT_S: f64 = 3_300.0;
/// The time in which a fault grows, at most, in seconds. In a plant, some faults grow for days.
const MAX_GROWTH_S: f64 = 900.0;
/// Windows per scoring batch.
const BATCH_WINDOWS: usize = 512;

/// What to measure.
pub struct Simulated {
    /// The profile.
    pub profile: Profile,
    /// The id of all pumps.
    pub id: PumpId,
    /// The model.
    pub model: Model,
    /// How pumps are commissioned.
    pub commissioning: Commissioning,
    /// The number of pumps.
    pub pumps: NonZeroUsize,
    /// Hours of commissioning for each pump.
    pub commissioning_hours: NonZeroUsize,
    /// Healthy days that are scored for each pump.
    pub healthy_days: NonZeroUsize,
    /// The number of pumps to work on at once.
    pub jobs: NonZeroUsize,
    /// The output format.
    pub format: Format,
}

/// The result of one fault on one pump.
#[derive(Debug, Clone)]
struct Trial {
    fault: Fault,
    severity: f64,
    /// Seconds from the onset until the first anomalous window, or until the first reading that has no window because the
    /// faulty sensor's channel is missing.
    found_after_s: Option<f64>,
    /// Anomalous windows during a sensor fault, and those of them in which the sensor's channel has the largest contribution.
    named_first: (usize, usize),
}

/// The results of one pump.
#[derive(Debug, Default)]
struct PumpResult {
    healthy_windows: usize,
    false_episodes: usize,
    trials: Vec<Trial>,
}

/// Evaluates all pumps, and prints the figures.
pub fn run(simulated: &Simulated, output: &mut dyn Write) -> Result<()> {
    let count = simulated.pumps.get();
    let bar = progress::bar(count as u64, "pumps");
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..simulated.jobs.get().min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let result = evaluate_pump(simulated, number as u64);
                    bar.inc(1);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    let pumps = results.into_iter().map(|(_, result)| result).collect::<Result<Vec<_>>>()?;
    print(simulated, &pumps, output)
}

/// Commissions one pump, and evaluates its healthy days and each of its faults.
fn evaluate_pump(simulated: &Simulated, number: u64) -> Result<PumpResult> {
    let seed = FIRST_SEED + number;
    let load = [LoadPlan::Steps, LoadPlan::Steady, LoadPlan::Starts][(number % 3) as usize];
    let midnight: Timestamp = "2026-03-02T00:00:00Z".parse()?;
    let start = midnight.plus_ms((seed as i64 * 7 % 24) * 3_600_000);
    let pump = Simulator::new(Design::drawn(seed), load, seed, start);
    let steps = || SimulatedWindows::new(simulated, pump.clone(), simulated.commissioning_hours.get() * HOUR_S);
    let healthy =
        HealthyStatistics::of(&simulated.model, &simulated.profile, || steps().filter_map(|step| step.window.ok()))?;
    let baseline = Arc::new(Baseline::of(&simulated.profile, &healthy, &simulated.commissioning));
    let mut commissioned = pump.clone();
    for _ in 0..simulated.commissioning_hours.get() * HOUR_S {
        commissioned.step(1.0);
    }

    let mut result = PumpResult::default();
    let mut tracker = DetectionTracker::new(simulated, baseline.clone());
    let healthy_days =
        SimulatedWindows::new(simulated, commissioned.clone(), simulated.healthy_days.get() * 24 * HOUR_S);
    let mut was_anomaly = false;
    tracker.run(healthy_days, |second, outcome| {
        // A reading without a window does not end an episode: an episode may continue over a stop of the pump.
        let Ok(detection) = outcome else { return };
        result.healthy_windows += 1;
        if detection.is_anomaly && !was_anomaly {
            result.false_episodes += 1;
            let (index, loss) = (largest(&detection.contributions), detection.loss);
            let channel = simulated.profile.channels()[index].name.as_str();
            tracing::info!(
                pump = number,
                second,
                channel,
                share = detection.contributions[index],
                loss,
                "false episode"
            );
        }
        was_anomaly = detection.is_anomaly;
    })?;
    for fault in faults(number) {
        for severity in SEVERITIES {
            let mut tracker = DetectionTracker::new(simulated, baseline.clone());
            result.trials.push(trial(simulated, &commissioned, fault, severity, &mut tracker)?);
        }
    }
    Ok(result)
}

/// Returns the faults for a pump: all faults of the machine, and each sensor fault on two sensors that vary by pump.
fn faults(number: u64) -> Vec<Fault> {
    const SENSORS: [Quantity; 10] = [
        Quantity::RotationalSpeed,
        Quantity::BearingTemperature,
        Quantity::OilPressure,
        Quantity::Vibration,
        Quantity::Flow,
        Quantity::SuctionPressure,
        Quantity::DischargePressure,
        Quantity::Current,
        Quantity::CasingTemperature,
        Quantity::AmbientTemperature,
    ];
    let mut faults: Vec<Fault> = Fault::machine_faults().collect();
    let sensor_faults = [SensorFault::Stuck, SensorFault::Drift, SensorFault::Spike, SensorFault::Dropout];
    for (index, sensor_fault) in sensor_faults.into_iter().enumerate() {
        for turn in 0..2 {
            let sensor = SENSORS[(number as usize + 3 * index + 5 * turn) % SENSORS.len()];
            faults.push(Fault::Sensor(sensor_fault, sensor));
        }
    }
    faults
}

/// Evaluates one fault on a commissioned pump.
fn trial(
    simulated: &Simulated,
    pump: &Simulator,
    fault: Fault,
    severity: f64,
    tracker: &mut DetectionTracker,
) -> Result<Trial> {
    let profile = &simulated.profile;
    let level = Severity::new(severity).map_err(|error| anyhow!("{error}"))?;
    let typical = Episode::typical(fault, level);
    let growth_s = typical.growth_s.min(MAX_GROWTH_S);
    let episode = Episode { onset_s: ONSET_S, growth_s, hold_s: FAULT_S - growth_s, recovery_s: 0.0, ..typical };
    let mut pump = pump.clone();
    pump.set_episode(Some(episode));
    let channel = match fault {
        Fault::Sensor(_, quantity) => profile.channels().iter().position(|channel| channel.quantity == quantity),
        _ => None,
    };
    let (mut found_after_s, mut named_first) = (None, (0, 0));
    let mut other_channels: BTreeMap<&str, usize> = BTreeMap::new();
    tracker.run(SimulatedWindows::new(simulated, pump, (ONSET_S + FAULT_S) as usize), |second, outcome| {
        let since_s = second as f64 - ONSET_S;
        if since_s <= 0.0 {
            return;
        }
        let is_found = match outcome {
            Ok(detection) => {
                if let Some(channel) = channel.filter(|_| detection.is_anomaly) {
                    let top = largest(&detection.contributions);
                    named_first.0 += 1;
                    named_first.1 += usize::from(top == channel);
                    if top != channel {
                        *other_channels.entry(profile.channels()[top].name.as_str()).or_default() += 1;
                    }
                }
                detection.is_anomaly
            }
            Err(NoWindow::Missing { channels }) => channel.is_some_and(|channel| channels.contains(&channel)),
            Err(_) => false,
        };
        if is_found && found_after_s.is_none() {
            found_after_s = Some(since_s);
        }
    })?;
    if let Some(channel) = channel {
        let channel = profile.channels()[channel].name.as_str();
        tracing::info!(
            fault = fault.name(),
            severity,
            channel,
            found_after_s,
            ?named_first,
            ?other_channels,
            "sensor fault"
        );
    }
    Ok(Trial { fault, severity, found_after_s, named_first })
}

/// Returns the index of the largest contribution.
fn largest(contributions: &[f64]) -> usize {
    contributions.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

/// A reading of the simulated pump, with its window.
struct SimulatedStep {
    /// Seconds since the start.
    second: usize,
    window: Result<Window, NoWindow>,
}

/// The windows of a simulated pump, as a live node's windower makes them, one step for each reading.
struct SimulatedWindows<'a> {
    profile: &'a Profile,
    pump: Simulator,
    windower: Windower,
    id: &'a PumpId,
    second: usize,
    seconds: usize,
    /// Steps that the windower has returned at once.
    pending: std::vec::IntoIter<SimulatedStep>,
}

impl<'a> SimulatedWindows<'a> {
    fn new(simulated: &'a Simulated, pump: Simulator, seconds: usize) -> Self {
        let Simulated { profile, id, .. } = simulated;
        let (windower, pending) = (Windower::new(profile), Vec::new().into_iter());
        Self { profile, pump, windower, id, second: 0, seconds, pending }
    }
}

impl Iterator for SimulatedWindows<'_> {
    type Item = SimulatedStep;

    fn next(&mut self) -> Option<SimulatedStep> {
        loop {
            if let Some(step) = self.pending.next() {
                return Some(step);
            }
            if self.second == self.seconds {
                return None;
            }
            self.second += 1;
            let step = self.pump.step(1.0);
            let samples = step.samples(self.profile).into();
            let reading = Reading { pump: self.id.clone(), at: step.at, received: step.at, samples, late: false };
            let second = self.second;
            let readings = self.windower.push(reading).into_iter();
            let steps = readings.map(|reading| SimulatedStep { second, window: reading.window });
            self.pending = steps.collect::<Vec<_>>().into_iter();
        }
    }
}

/// The scorer and decider of one pump.
struct DetectionTracker<'a> {
    scorer: Scorer,
    decider: Decider,
    id: &'a PumpId,
}

impl<'a> DetectionTracker<'a> {
    fn new(simulated: &'a Simulated, baseline: Arc<Baseline>) -> Self {
        Self { scorer: Scorer::new(&simulated.model), decider: Decider::new(baseline), id: &simulated.id }
    }

    /// Scores all steps, and calls `observe` for each, in order, with its second and its detection, or why it has no window.
    fn run(
        &mut self,
        steps: SimulatedWindows,
        mut observe: impl FnMut(usize, Result<&Detection, &NoWindow>),
    ) -> Result<()> {
        let mut steps = steps.peekable();
        while steps.peek().is_some() {
            let batch: Vec<SimulatedStep> = steps.by_ref().take(BATCH_WINDOWS).collect();
            let baseline = self.decider.baseline().clone();
            let windows = batch.iter().filter_map(|step| step.window.as_ref().ok());
            let inputs: Vec<ScoreInput> =
                windows.map(|window| ScoreInput { window, scaler: &baseline.scaler }).collect();
            let scores: Vec<Score> = self.scorer.score(&inputs)?.iter().collect();
            let mut scores = scores.into_iter();
            for step in &batch {
                match (&step.window, step.window.is_ok().then(|| scores.next()).flatten()) {
                    (Ok(window), Some(score)) => {
                        observe(step.second, Ok(&self.decider.decide(self.id, window.at, &score)));
                    }
                    (Err(reason), _) => observe(step.second, Err(reason)),
                    (Ok(_), None) => {}
                }
            }
        }
        Ok(())
    }
}

fn print(simulated: &Simulated, pumps: &[PumpResult], output: &mut dyn Write) -> Result<()> {
    let days = pumps.iter().map(|pump| pump.healthy_windows).sum::<usize>() as f64 / (24 * HOUR_S) as f64;
    let false_episodes: usize = pumps.iter().map(|pump| pump.false_episodes).sum();
    let trials: Vec<&Trial> = pumps.iter().flat_map(|pump| &pump.trials).collect();
    let mut rows = Vec::new();
    let mut names: Vec<&str> = trials.iter().map(|trial| trial.fault.name()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    for name in names {
        for severity in SEVERITIES {
            let matches = |trial: &&&Trial| trial.fault.name() == name && trial.severity == severity;
            let matching: Vec<&&Trial> = trials.iter().filter(matches).collect();
            let mut delays: Vec<f64> = matching.iter().filter_map(|trial| trial.found_after_s).collect();
            delays.sort_by(f64::total_cmp);
            let named = matching.iter().fold((0, 0), |sum, t| (sum.0 + t.named_first.0, sum.1 + t.named_first.1));
            rows.push((name, severity, matching.len(), delays, named));
        }
    }
    let named = trials.iter().fold((0, 0), |sum, t| (sum.0 + t.named_first.0, sum.1 + t.named_first.1));
    let percent = |(anomalous, named): (usize, usize)| (anomalous > 0).then(|| 100.0 * named as f64 / anomalous as f64);
    if simulated.format == Format::Json {
        let faults: Vec<_> = rows
            .iter()
            .map(|(name, severity, of, delays, named)| {
                json!({ "fault": name, "severity": severity, "trials": of, "found": delays.len(),
                        "median_delay_s": delays.get(delays.len() / 2), "named_first_percent": percent(*named) })
            })
            .collect();
        let value = json!({ "healthy_pump_days": days, "false_episodes": false_episodes,
                            "false_episodes_per_pump_day": false_episodes as f64 / days,
                            "named_first_percent": percent(named), "faults": faults });
        return Ok(writeln!(output, "{value:#}")?);
    }
    writeln!(output, "{} pumps, each commissioned for {} h", pumps.len(), simulated.commissioning_hours)?;
    let rate = false_episodes as f64 / days;
    writeln!(output, "{days:.1} healthy pump-days scored: {false_episodes} false episodes, {rate:.3} per pump-day")?;
    let by_pump: Vec<usize> = pumps.iter().map(|pump| pump.false_episodes).collect();
    writeln!(output, "  by pump: {by_pump:?}")?;
    for (name, severity, of, delays, named) in rows {
        let delay = delays.get(delays.len() / 2).map_or_else(|| "-".to_owned(), |s| format!("{s:.0} s"));
        let first = percent(named).map_or_else(String::new, |percent| format!("  channel named first {percent:5.1} %"));
        writeln!(output, "{name:<18} {severity:.1}  found {:>3} of {of:<3} after {delay:>7}{first}", delays.len())?;
    }
    if let Some(percent) = percent(named) {
        writeln!(output, "single-channel faults: the channel is named first in {percent:.1} % of anomalous windows")?;
    }
    Ok(())
}
