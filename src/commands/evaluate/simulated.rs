//! `volute evaluate --simulated`: what a model sees of simulated pumps that it never learned from.
//!
//! Each pump is commissioned on healthy running, then watched: for days in which nothing is wrong, and in an hour with
//! each fault at each severity. Counted are false episodes, faults found, how long that took, and whether the channel
//! that is named is the one that lies. Does not look at what a fault is called.

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
use volute_anomaly::{Baseline, Commissioning, Decider, Model, Observed, Score, Scorer, Task};
use volute_plant::{Detection, NoWindow, Profile, PumpId, Quantity, Reading, Timestamp, Window, Windower};
use volute_simulator::{Design, Episode, Fault, LoadPlan, SensorFault, Severity, Simulator};

use crate::{cli::Format, commands::progress};

/// Pumps from here on are strangers to the shipped model, which learned from smaller seeds.
const FIRST_STRANGER: u64 = 1_001;
const SEVERITIES: [f64; 3] = [0.3, 0.6, 0.9];
const HOUR_S: usize = 3_600;
/// Healthy running before a fault.
const ONSET_S: f64 = 300.0;
/// From the onset until the pump is no longer looked at.
const WATCHED_S: f64 = 3_300.0;
/// A fault that takes days in a plant grows in this time.
const LONGEST_GROWTH_S: f64 = 900.0;
/// Windows that are scored together.
const CHUNK: usize = 512;

/// What to measure.
pub struct Simulated {
    /// The kind of pump.
    pub profile: Profile,
    /// The name of every pump.
    pub id: PumpId,
    /// The network.
    pub model: Model,
    /// How pumps are commissioned.
    pub how: Commissioning,
    /// How many pumps.
    pub pumps: NonZeroUsize,
    /// How long each is commissioned, hours.
    pub commissioning_hours: NonZeroUsize,
    /// How long each is then watched while nothing is wrong, days.
    pub healthy_days: NonZeroUsize,
    /// Pumps to work on at once.
    pub jobs: NonZeroUsize,
    /// How the figures are printed.
    pub format: Format,
}

/// What became of one fault on one pump.
#[derive(Debug, Clone)]
struct Trial {
    fault: Fault,
    severity: f64,
    /// Seconds from the onset until the first anomalous window, or the first without the channel that says nothing.
    found_after_s: Option<f64>,
    /// Of the windows that were anomalous during a sensor's fault: how many, and how many name its channel first.
    named: (usize, usize),
}

/// What one pump had to show.
#[derive(Debug, Default)]
struct Shown {
    healthy_windows: usize,
    false_episodes: usize,
    trials: Vec<Trial>,
}

/// Measures, and prints the figures.
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
                    let shown = watch(simulated, number as u64);
                    bar.inc(1);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, shown));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    let shown = results.into_iter().map(|(_, shown)| shown).collect::<Result<Vec<_>>>()?;
    print(simulated, &shown, output)
}

/// One pump's commissioning, its healthy days and its faults.
fn watch(simulated: &Simulated, number: u64) -> Result<Shown> {
    let seed = FIRST_STRANGER + number;
    let load = [LoadPlan::Steps, LoadPlan::Steady, LoadPlan::Starts][(number % 3) as usize];
    let midnight: Timestamp = "2026-03-02T00:00:00Z".parse()?;
    let start = midnight.plus_ms((seed as i64 * 7 % 24) * 3_600_000);
    let pump = Simulator::new(Design::drawn(seed), load, seed, start);
    let windows = || Running::new(simulated, pump.clone(), simulated.commissioning_hours.get() * HOUR_S);
    let observed =
        Observed::of(&simulated.model, &simulated.profile, || windows().filter_map(|seen| seen.window.ok()))?;
    let baseline = Arc::new(Baseline::of(&simulated.profile, &observed, &simulated.how));
    let mut after = pump.clone();
    for _ in 0..simulated.commissioning_hours.get() * HOUR_S {
        after.step(1.0);
    }

    let mut shown = Shown::default();
    let mut eye = Eye::new(simulated, baseline.clone());
    let healthy = Running::new(simulated, after.clone(), simulated.healthy_days.get() * 24 * HOUR_S);
    let mut before = false;
    eye.look(healthy, |second, verdict| {
        // An episode may outlast a stop: what is not judged ends none.
        let Ok(detection) = verdict else { return };
        shown.healthy_windows += 1;
        if detection.is_anomaly && !before {
            shown.false_episodes += 1;
            let (place, loss) = (first(&detection.contributions), detection.loss);
            let channel = simulated.profile.channels()[place].name.as_str();
            tracing::info!(
                pump = number,
                second,
                channel,
                share = detection.contributions[place],
                loss,
                "false episode"
            );
        }
        before = detection.is_anomaly;
    })?;
    for fault in faults(number) {
        for severity in SEVERITIES {
            let mut eye = Eye::new(simulated, baseline.clone());
            shown.trials.push(trial(simulated, &after, fault, severity, &mut eye)?);
        }
    }
    Ok(shown)
}

/// Every fault; sensors take turns from pump to pump.
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
    let mut faults: Vec<Fault> = Fault::of_machine().collect();
    let kinds = [SensorFault::Stuck, SensorFault::Drift, SensorFault::Spike, SensorFault::Dropout];
    for (place, kind) in kinds.into_iter().enumerate() {
        for turn in 0..2 {
            let sensor = SENSORS[(number as usize + 3 * place + 5 * turn) % SENSORS.len()];
            faults.push(Fault::Sensor(kind, sensor));
        }
    }
    faults
}

/// One fault on a commissioned pump.
fn trial(simulated: &Simulated, pump: &Simulator, fault: Fault, severity: f64, eye: &mut Eye) -> Result<Trial> {
    let profile = &simulated.profile;
    let level = Severity::new(severity).map_err(|error| anyhow!("{error}"))?;
    let typical = Episode::typical(fault, level);
    let growth_s = typical.growth_s.min(LONGEST_GROWTH_S);
    let episode = Episode { onset_s: ONSET_S, growth_s, hold_s: WATCHED_S - growth_s, recovery_s: 0.0, ..typical };
    let mut pump = pump.clone();
    pump.set_episode(Some(episode));
    let channel = match fault {
        Fault::Sensor(_, quantity) => profile.channels().iter().position(|channel| channel.quantity == quantity),
        _ => None,
    };
    let (mut found_after_s, mut named) = (None, (0, 0));
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    eye.look(Running::new(simulated, pump, (ONSET_S + WATCHED_S) as usize), |second, verdict| {
        let since_s = second as f64 - ONSET_S;
        if since_s <= 0.0 {
            return;
        }
        let seen = match verdict {
            Ok(detection) => {
                if let Some(channel) = channel.filter(|_| detection.is_anomaly) {
                    let said = first(&detection.contributions);
                    named.0 += 1;
                    named.1 += usize::from(said == channel);
                    if said != channel {
                        *others.entry(profile.channels()[said].name.as_str()).or_default() += 1;
                    }
                }
                detection.is_anomaly
            }
            Err(NoWindow::Missing { channels }) => channel.is_some_and(|channel| channels.contains(&channel)),
            Err(_) => false,
        };
        if seen && found_after_s.is_none() {
            found_after_s = Some(since_s);
        }
    })?;
    if let Some(channel) = channel {
        let channel = profile.channels()[channel].name.as_str();
        tracing::info!(fault = fault.name(), severity, channel, found_after_s, ?named, ?others, "sensor");
    }
    Ok(Trial { fault, severity, found_after_s, named })
}

/// The place of the greatest share.
fn first(contributions: &[f64]) -> usize {
    contributions.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(place, _)| place)
}

/// A reading that got its place.
struct Seen {
    second: usize,
    window: Result<Window, NoWindow>,
}

/// A simulated pump's windows, as a live node's windower makes them.
struct Running<'a> {
    profile: &'a Profile,
    pump: Simulator,
    windower: Windower,
    id: &'a PumpId,
    second: usize,
    seconds: usize,
    waiting: std::vec::IntoIter<Seen>,
}

impl<'a> Running<'a> {
    fn new(simulated: &'a Simulated, pump: Simulator, seconds: usize) -> Self {
        let Simulated { profile, id, .. } = simulated;
        let (windower, waiting) = (Windower::new(profile), Vec::new().into_iter());
        Self { profile, pump, windower, id, second: 0, seconds, waiting }
    }
}

impl Iterator for Running<'_> {
    type Item = Seen;

    fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.waiting.next() {
                return Some(seen);
            }
            if self.second == self.seconds {
                return None;
            }
            self.second += 1;
            let step = self.pump.step(1.0);
            let samples = step.samples(self.profile).into();
            let reading = Reading { pump: self.id.clone(), at: step.at, received: step.at, samples, late: false };
            let second = self.second;
            let placed = self.windower.push(reading).into_iter().map(|placed| Seen { second, window: placed.window });
            self.waiting = placed.collect::<Vec<_>>().into_iter();
        }
    }
}

/// A scorer and one pump's decider.
struct Eye<'a> {
    scorer: Scorer,
    decider: Decider,
    id: &'a PumpId,
}

impl<'a> Eye<'a> {
    fn new(simulated: &'a Simulated, baseline: Arc<Baseline>) -> Self {
        Self { scorer: Scorer::new(&simulated.model), decider: Decider::new(baseline), id: &simulated.id }
    }

    /// Tells of every reading, in order, its second and the verdict on it.
    fn look(&mut self, running: Running, mut tell: impl FnMut(usize, Result<&Detection, &NoWindow>)) -> Result<()> {
        let mut running = running.peekable();
        while running.peek().is_some() {
            let chunk: Vec<Seen> = running.by_ref().take(CHUNK).collect();
            let baseline = self.decider.baseline().clone();
            let windows = chunk.iter().filter_map(|seen| seen.window.as_ref().ok());
            let tasks: Vec<Task> = windows.map(|window| Task { window, scaler: &baseline.scaler }).collect();
            let scores: Vec<Score> = self.scorer.score(&tasks)?.iter().collect();
            let mut scores = scores.into_iter();
            for seen in &chunk {
                match (&seen.window, seen.window.is_ok().then(|| scores.next()).flatten()) {
                    (Ok(window), Some(score)) => {
                        tell(seen.second, Ok(&self.decider.decide(self.id, window.at, &score)));
                    }
                    (Err(why), _) => tell(seen.second, Err(why)),
                    (Ok(_), None) => {}
                }
            }
        }
        Ok(())
    }
}

fn print(simulated: &Simulated, shown: &[Shown], output: &mut dyn Write) -> Result<()> {
    let days = shown.iter().map(|pump| pump.healthy_windows).sum::<usize>() as f64 / (24 * HOUR_S) as f64;
    let false_episodes: usize = shown.iter().map(|pump| pump.false_episodes).sum();
    let trials: Vec<&Trial> = shown.iter().flat_map(|pump| &pump.trials).collect();
    let mut rows = Vec::new();
    let mut names: Vec<&str> = trials.iter().map(|trial| trial.fault.name()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    for name in names {
        for severity in SEVERITIES {
            let of = |trial: &&&Trial| trial.fault.name() == name && trial.severity == severity;
            let these: Vec<&&Trial> = trials.iter().filter(of).collect();
            let mut delays: Vec<f64> = these.iter().filter_map(|trial| trial.found_after_s).collect();
            delays.sort_by(f64::total_cmp);
            let named = these.iter().fold((0, 0), |sum, t| (sum.0 + t.named.0, sum.1 + t.named.1));
            rows.push((name, severity, these.len(), delays, named));
        }
    }
    let named = trials.iter().fold((0, 0), |sum, t| (sum.0 + t.named.0, sum.1 + t.named.1));
    let share = |(of, named): (usize, usize)| (of > 0).then(|| 100.0 * named as f64 / of as f64);
    if simulated.format == Format::Json {
        let faults: Vec<_> = rows
            .iter()
            .map(|(name, severity, of, delays, named)| {
                json!({ "fault": name, "severity": severity, "trials": of, "found": delays.len(),
                        "median_delay_s": delays.get(delays.len() / 2), "named_first_percent": share(*named) })
            })
            .collect();
        let value = json!({ "healthy_pump_days": days, "false_episodes": false_episodes,
                            "false_episodes_per_pump_day": false_episodes as f64 / days,
                            "named_first_percent": share(named), "faults": faults });
        return Ok(writeln!(output, "{value:#}")?);
    }
    writeln!(output, "{} pumps, each commissioned for {} h", shown.len(), simulated.commissioning_hours)?;
    let rate = false_episodes as f64 / days;
    writeln!(output, "{days:.1} healthy pump-days judged: {false_episodes} false episodes, {rate:.3} a pump-day")?;
    let worst: Vec<usize> = shown.iter().map(|pump| pump.false_episodes).collect();
    writeln!(output, "  pump by pump: {worst:?}")?;
    for (name, severity, of, delays, named) in rows {
        let delay = delays.get(delays.len() / 2).map_or_else(|| "-".to_owned(), |s| format!("{s:.0} s"));
        let first = share(named).map_or_else(String::new, |share| format!("  channel named first {share:5.1} %"));
        writeln!(output, "{name:<18} {severity:.1}  found {:>3} of {of:<3} after {delay:>7}{first}", delays.len())?;
    }
    if let Some(share) = share(named) {
        writeln!(output, "single-channel faults: the channel is named first in {share:.1} % of anomalous windows")?;
    }
    Ok(())
}
