//! `volute evaluate --simulated`: measures detection with a model on simulated pumps that it was not trained on.
//!
//! Each pump is commissioned on healthy running, and then scored during `--days` healthy days, and for one hour with
//! each fault at each severity. The results are the number of false episodes, the faults found, the delays until they
//! are found, and, for faults of a sensor, how often its channel has the largest contribution.
//!
//! Example: a sensor fault of severity 0.6 begins 300 s into its hour. The first anomalous window after that ends at
//! second 345, so the fault is found after 45 s. In 3,040 of 3,200 anomalous windows (95 %), the sensor's channel has
//! the largest contribution.
//!
//! Does not evaluate whether the kind of a fault is recognized.

use std::{collections::BTreeMap, io::Write, num::NonZeroUsize};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use volute_anomaly::{Commissioning, Model};
use volute_plant::{NoWindow, Profile, PumpId, Quantity, Sample, Timestamp};
use volute_simulator::{Design, Fault, FaultRun, LoadPlan, SensorFault, Severity, Simulator};

use super::{
    parallel,
    tracker::{DetectionTracker, SimulatedWindows, largest},
};
use crate::{cli::Format, commands::progress};

/// The seed of the first pump. The built-in model was trained on pumps with lower seeds.
const FIRST_SEED: u64 = 1_001;
/// The distance between the first pump seeds of two consecutive values of `--seed`.
const SEEDS_APART: u64 = 1_000;
const SEVERITIES: [f64; 3] = [0.3, 0.6, 0.9];
const HOUR_S: usize = 3_600;
/// Healthy running before a fault, in seconds.
const ONSET_S: f64 = 300.0;
/// How long a fault is scored after its onset, in seconds.
const FAULT_S: f64 = 3_300.0;
/// The longest time in which a fault grows, in seconds. In a plant, some faults grow for days.
const MAX_GROWTH_S: f64 = 900.0;

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
    /// The lengths of commissioning to measure with, in hours. The whole evaluation is repeated for each.
    pub commissioning_hours: Vec<f64>,
    /// Whether to leave out the faults.
    pub healthy_only: bool,
    /// Selects the pumps. Each seed has other pumps.
    pub seed: u64,
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
    /// Seconds from the onset until the first anomalous window, or until the first reading that has no window because
    /// the faulty sensor's channel is missing.
    found_after_s: Option<f64>,
    /// The number of anomalous windows during a sensor fault, and in how many of them the sensor's channel has the
    /// largest contribution.
    named_first: (usize, usize),
}

/// The results of one pump.
#[derive(Debug, Default)]
struct PumpResult {
    healthy_windows: usize,
    false_windows: usize,
    false_episodes: usize,
    trials: Vec<Trial>,
}

/// Evaluates all pumps after each length of commissioning, and prints the figures.
pub fn run(simulated: &Simulated, output: &mut dyn Write) -> Result<()> {
    let mut values = Vec::new();
    for &hours in &simulated.commissioning_hours {
        let pumps = evaluate_pumps(simulated, hours)?;
        match simulated.format {
            Format::Text => print(&pumps, hours, output)?,
            Format::Json => values.push(json(&pumps, hours)),
        }
    }
    match (simulated.format, values.as_slice()) {
        (Format::Text, _) => Ok(()),
        (Format::Json, [value]) => Ok(writeln!(output, "{value:#}")?),
        (Format::Json, values) => Ok(writeln!(output, "{:#}", json!(values))?),
    }
}

fn evaluate_pumps(simulated: &Simulated, hours: f64) -> Result<Vec<PumpResult>> {
    let count = simulated.pumps.get();
    let bar = progress::bar(count as u64, "pumps");
    let results = parallel::run(count, simulated.jobs, &bar, |number| evaluate_pump(simulated, number as u64, hours));
    bar.finish_and_clear();
    results.into_iter().collect()
}

/// Commissions one pump, and evaluates its healthy days and each of its faults.
fn evaluate_pump(simulated: &Simulated, number: u64, hours: f64) -> Result<PumpResult> {
    let seed = FIRST_SEED + simulated.seed.saturating_sub(1).saturating_mul(SEEDS_APART).saturating_add(number);
    let load = [LoadPlan::Steps, LoadPlan::Steady, LoadPlan::Starts][(number % 3) as usize];
    let midnight: Timestamp = "2026-03-02T00:00:00Z".parse()?;
    let start = midnight.plus_ms((seed as i64 * 7 % 24) * 3_600_000);
    let pump = Simulator::new(Design::drawn(seed), load, seed, start);
    let commissioning_s = (hours * HOUR_S as f64) as usize;
    let steps = || windows(simulated, pump.clone(), commissioning_s);
    let profile = &simulated.profile;
    let healthy_steps = || steps().map(|step| step.into_healthy(profile));
    let Simulated { model, commissioning, id, .. } = simulated;
    let mut tracker = DetectionTracker::commission(model, profile, commissioning, id.clone(), healthy_steps)?;
    let mut commissioned = pump.clone();
    for _ in 0..commissioning_s {
        commissioned.step(1.0);
    }

    let mut result = PumpResult::default();
    // The trials of faults start from the state at the end of the commissioning.
    let at_end = tracker.fork();
    let healthy_days = windows(simulated, commissioned.clone(), simulated.healthy_days.get() * 24 * HOUR_S);
    let mut was_anomaly = false;
    tracker.run(healthy_days, |step, outcome| {
        // A reading without a window does not end an episode: an episode may continue over a stop of the pump.
        let Ok(detection) = outcome else { return };
        result.healthy_windows += 1;
        result.false_windows += usize::from(detection.is_anomaly);
        if detection.is_anomaly && !was_anomaly {
            result.false_episodes += 1;
            let (index, loss) = (largest(&detection.contributions), detection.loss);
            let channel = simulated.profile.channels()[index].name.as_str();
            tracing::info!(
                pump = number,
                second = step.number,
                channel,
                share = detection.contributions[index],
                loss,
                "false episode"
            );
        }
        was_anomaly = detection.is_anomaly;
    })?;
    for fault in if simulated.healthy_only { Vec::new() } else { faults(number) } {
        for severity in SEVERITIES {
            let mut tracker = at_end.fork();
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
    let typical = FaultRun::typical(fault, level);
    let growth_s = typical.growth_s.min(MAX_GROWTH_S);
    let episode = FaultRun { onset_s: ONSET_S, growth_s, hold_s: FAULT_S - growth_s, recovery_s: 0.0, ..typical };
    let mut pump = pump.clone();
    pump.set_fault_run(Some(episode));
    let channel = match fault {
        Fault::Sensor(_, quantity) => profile.channels().iter().position(|channel| channel.quantity == quantity),
        _ => None,
    };
    let (mut found_after_s, mut named_first) = (None, (0, 0));
    let mut other_channels: BTreeMap<&str, usize> = BTreeMap::new();
    tracker.run(windows(simulated, pump, (ONSET_S + FAULT_S) as usize), |step, outcome| {
        let since_s = step.number as f64 - ONSET_S;
        if since_s <= 0.0 {
            return;
        }
        let is_missing = |channel: usize| step.row.values[channel].is_nan();
        let is_found = match outcome {
            _ if channel.is_some_and(is_missing) => true,
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

/// Returns the windows of the pump's next `seconds` readings, one per second.
fn windows(
    simulated: &Simulated,
    mut pump: Simulator,
    seconds: usize,
) -> SimulatedWindows<impl Iterator<Item = (Timestamp, Vec<Sample>)>> {
    let profile = &simulated.profile;
    let readings = (0..seconds).map(move |_| {
        let step = pump.step(1.0);
        (step.at, step.samples(profile))
    });
    SimulatedWindows::new(profile, simulated.id.clone(), readings)
}

/// The trials of one fault at one severity.
struct FaultSummary {
    name: &'static str,
    severity: f64,
    trials: usize,
    /// The seconds until the fault was found, ascending, of the trials in which it was found.
    delays: Vec<f64>,
    named_first: (usize, usize),
}

fn summaries(pumps: &[PumpResult]) -> Vec<FaultSummary> {
    let trials: Vec<&Trial> = pumps.iter().flat_map(|pump| &pump.trials).collect();
    let mut names: Vec<&'static str> = trials.iter().map(|trial| trial.fault.name()).collect();
    names.sort_unstable();
    names.dedup();
    let mut summaries = Vec::new();
    for name in names {
        for severity in SEVERITIES {
            let matches = |trial: &&&Trial| trial.fault.name() == name && trial.severity == severity;
            let matching: Vec<&&Trial> = trials.iter().filter(matches).collect();
            let mut delays: Vec<f64> = matching.iter().filter_map(|trial| trial.found_after_s).collect();
            delays.sort_by(f64::total_cmp);
            let named_first = matching.iter().fold((0, 0), |sum, t| (sum.0 + t.named_first.0, sum.1 + t.named_first.1));
            summaries.push(FaultSummary { name, severity, trials: matching.len(), delays, named_first });
        }
    }
    summaries
}

fn percent((total, part): (usize, usize)) -> Option<f64> {
    (total > 0).then(|| 100.0 * part as f64 / total as f64)
}

/// The sums over all pumps.
struct Totals {
    days: f64,
    false_episodes: usize,
    false_windows_percent: Option<f64>,
    named_first_percent: Option<f64>,
}

impl Totals {
    fn of(pumps: &[PumpResult]) -> Self {
        let windows: usize = pumps.iter().map(|pump| pump.healthy_windows).sum();
        let false_windows = pumps.iter().map(|pump| pump.false_windows).sum();
        let trials = pumps.iter().flat_map(|pump| &pump.trials);
        let named = trials.fold((0, 0), |sum, t| (sum.0 + t.named_first.0, sum.1 + t.named_first.1));
        Self {
            days: windows as f64 / (24 * HOUR_S) as f64,
            false_episodes: pumps.iter().map(|pump| pump.false_episodes).sum(),
            false_windows_percent: percent((windows, false_windows)),
            named_first_percent: percent(named),
        }
    }
}

fn json(pumps: &[PumpResult], hours: f64) -> Value {
    let totals = Totals::of(pumps);
    let faults: Vec<_> = summaries(pumps)
        .iter()
        .map(|FaultSummary { name, severity, trials, delays, named_first }| {
            json!({ "fault": name, "severity": severity, "trials": trials, "found": delays.len(),
                    "median_delay_s": delays.get(delays.len() / 2), "named_first_percent": percent(*named_first) })
        })
        .collect();
    json!({ "commissioning_hours": hours, "healthy_pump_days": totals.days, "false_episodes": totals.false_episodes,
            "false_episodes_per_pump_day": totals.false_episodes as f64 / totals.days,
            "false_windows_percent": totals.false_windows_percent,
            "named_first_percent": totals.named_first_percent, "faults": faults })
}

fn print(pumps: &[PumpResult], hours: f64, output: &mut dyn Write) -> Result<()> {
    let Totals { days, false_episodes, false_windows_percent, named_first_percent } = Totals::of(pumps);
    writeln!(output, "{} pumps, each commissioned for {hours} h", pumps.len())?;
    let rate = false_episodes as f64 / days;
    writeln!(output, "{days:.1} healthy pump-days scored: {false_episodes} false episodes, {rate:.3} per pump-day")?;
    writeln!(output, "  anomalous windows in them: {:.2} %", false_windows_percent.unwrap_or(f64::NAN))?;
    let by_pump: Vec<usize> = pumps.iter().map(|pump| pump.false_episodes).collect();
    writeln!(output, "  by pump: {by_pump:?}")?;
    for FaultSummary { name, severity, trials, delays, named_first } in summaries(pumps) {
        let delay = delays.get(delays.len() / 2).map_or_else(|| "-".to_owned(), |s| format!("{s:.0} s"));
        let first =
            percent(named_first).map_or_else(String::new, |percent| format!("  channel named first {percent:5.1} %"));
        writeln!(output, "{name:<18} {severity:.1}  found {:>3} of {trials:<3} after {delay:>7}{first}", delays.len())?;
    }
    if let Some(percent) = named_first_percent {
        writeln!(output, "single-channel faults: the channel is named first in {percent:.1} % of anomalous windows")?;
    }
    Ok(())
}
