//! `volute evaluate --simulated --plant variable-speed`: measures detection on variable-speed pumps, which differ from
//! the pumps of the pretrained model.
//!
//! Each pump runs for `--days`. It is commissioned on its first `--commissioning-hours` of normal running, with a
//! network that was trained on other pumps of the plant (`--network shared`) or on these hours (`--network own`). The
//! rest of its days is scored without a fault. Then a part of it is scored with a fault: once for each fault and each
//! of three onsets. A fault is found at the first window that is anomalous with the fault and not without it. Both runs
//! have the same readings except for the fault, so an alarm that would have come anyway does not count.
//!
//! Example, with 28 days: a pump is commissioned on its first 24 hours. Days 2 to 14 have 3 false episodes and days 15
//! to 28 have 7, which are 0.23 and 0.50 per pump-day. The onsets are at 12, 35 and 62 % of the days. At the second
//! onset, on day 10, the bearing begins to warm. An episode 5 h later also occurs without the fault, so it does not
//! count. The next episode begins after 8 h, and in its first window the bearing has the largest contribution. So the
//! fault is found after 8 h, with the right channel first. Each fault is watched for a sixth of the days, 4.7 days.
//!
//! If most windows are anomalous without a fault, few faults can be found. So read the delays together with the share
//! of anomalous windows.

mod report;
mod trial;

use std::{io::Write, num::NonZeroUsize};

use anyhow::{Context, Result};
use volute_anomaly::{Commissioning, Model, Provenance, Recipe, min_steps};
use volute_plant::{Profile, PumpId, Sample, Timestamp, Window};
use volute_simulator::variable_speed::{Design, Plan, Pump};

use self::{
    report::{Half, PumpResult, Report},
    trial::{Snapshot, faults, observe_fault, observe_healthy},
};
use super::{
    parallel,
    tracker::{DetectionTracker, SimulatedStep, SimulatedWindows, largest},
};
use crate::{cli::Format, commands::progress};

/// The distance between the first pump seeds of two consecutive values of `--seed`.
const SEEDS_APART: u64 = 1_000;
/// Added to the seeds of the pumps that a shared network is trained on.
const TRAINING_SEEDS: u64 = 500;
/// Days of each pump that a shared network is trained on.
const TRAINING_DAYS: f64 = 14.0;
/// The maximum number of windows to train on. If there are more, only every nth is used.
const MAX_TRAINING_WINDOWS: usize = 8_000;
/// When faults begin, as shares of the days.
const ONSETS: [f64; 3] = [0.12, 0.35, 0.62];
/// How long each fault is watched, as a share of the days.
const OBSERVED: f64 = 1.0 / 6.0;
const DAY_S: f64 = 86_400.0;
/// The time at which all pumps begin, a Monday.
const START: &str = "2026-03-02T00:00:00Z";

/// What the network of a pump is trained on.
#[derive(Debug, Clone)]
pub enum Network {
    /// The pump's own commissioning windows.
    Own,
    /// This many other pumps of the plant.
    OtherPumps(NonZeroUsize),
    /// Nothing is trained: the model is given.
    Given(Box<Model>),
}

/// What to measure.
pub struct VariableSpeed {
    /// The profile, with the interval.
    pub profile: Profile,
    /// The demand on the pumps, and their ambient temperature.
    pub plan: Plan,
    /// What the network is trained on.
    pub network: Network,
    /// How to train, with the first seed.
    pub recipe: Recipe,
    /// The number of seeds: each has its own pumps and its own network.
    pub seeds: NonZeroUsize,
    /// The number of pumps of each seed.
    pub pumps: NonZeroUsize,
    /// The lengths of commissioning to measure with, in hours of running. The whole evaluation is repeated for each.
    pub commissioning_hours: Vec<f64>,
    /// The days of each pump, including those of commissioning.
    pub days: NonZeroUsize,
    /// Whether to leave out the faults.
    pub healthy_only: bool,
    /// The number of pumps to work on at once.
    pub jobs: NonZeroUsize,
    /// The output format.
    pub format: Format,
}

/// Evaluates all pumps, and prints the figures.
pub fn run(bench: &VariableSpeed, output: &mut dyn Write) -> Result<()> {
    let mut report = Report::new(&bench.profile, bench.days);
    let seeds = bench.recipe.seed..bench.recipe.seed.saturating_add(bench.seeds.get() as u64);
    let bar = progress::bar((bench.seeds.get() * bench.pumps.get() * bench.commissioning_hours.len()) as u64, "pumps");
    for seed in seeds {
        let shared = match &bench.network {
            Network::Own => None,
            Network::OtherPumps(count) => Some(bench.train_shared(seed, *count)?),
            Network::Given(model) => Some(model.as_ref().clone()),
        };
        for &hours in &bench.commissioning_hours {
            for result in bench.evaluate_pumps(seed, hours, shared.as_ref(), &bar)? {
                report.add(hours, result);
            }
        }
    }
    bar.finish_and_clear();
    report.print(bench.format, output)
}

impl VariableSpeed {
    fn interval_s(&self) -> f64 {
        self.profile.interval_ms() as f64 / 1_000.0
    }

    /// Returns the number of readings in this time.
    fn readings(&self, seconds: f64) -> usize {
        (seconds / self.interval_s()).round() as usize
    }

    fn pump(&self, seed: u64) -> Result<Pump> {
        let start: Timestamp = START.parse()?;
        Ok(Pump::new(Design::drawn(seed), self.plan, seed, start))
    }

    /// Returns the windows of the pump's next readings.
    fn windows(&self, mut pump: Pump, readings: usize, id: &str) -> Result<impl Iterator<Item = SimulatedStep>> {
        let (profile, interval_s) = (self.profile.clone(), self.interval_s());
        let readings = (0..readings).map(move |_| {
            let reading = pump.step(interval_s);
            let samples: Vec<Sample> = reading.samples(&profile);
            (reading.at, samples)
        });
        let id: PumpId = id.parse().context("the id of a simulated pump")?;
        Ok(SimulatedWindows::new(&self.profile, id, readings))
    }

    fn train_shared(&self, seed: u64, count: NonZeroUsize) -> Result<Model> {
        let per_pump = MAX_TRAINING_WINDOWS / count;
        let mut windows = Vec::new();
        for number in 0..count.get() as u64 {
            let pump_seed = seed.saturating_mul(SEEDS_APART).saturating_add(TRAINING_SEEDS + number);
            let readings = self.readings(TRAINING_DAYS * DAY_S);
            let every = (readings / per_pump).max(1);
            let id = format!("training-{number}");
            let steps = self.windows(self.pump(pump_seed)?, readings, &id)?;
            windows.extend(steps.filter_map(|step| step.window.ok()).step_by(every));
        }
        self.train(seed, &windows)
    }

    fn train(&self, seed: u64, windows: &[Window]) -> Result<Model> {
        let recipe = Recipe { seed, ..self.recipe.clone() };
        let trained_at = START.parse::<Timestamp>()?;
        let provenance = Provenance {
            data_hash: String::new(),
            rows: windows.len(),
            sources: vec!["variable-speed".to_owned()],
            trained_at,
        };
        Ok(volute_anomaly::train(&self.profile, windows, &recipe, provenance, &mut |_| ())?)
    }

    /// Evaluates the pumps of one seed, in their order.
    fn evaluate_pumps(
        &self,
        seed: u64,
        hours: f64,
        shared: Option<&Model>,
        bar: &indicatif::ProgressBar,
    ) -> Result<Vec<PumpResult>> {
        let results = parallel::run(self.pumps.get(), self.jobs, bar, |number| {
            let pump_seed = seed.saturating_mul(SEEDS_APART).saturating_add(number as u64);
            self.evaluate_pump(pump_seed, hours, shared)
        });
        results.into_iter().collect()
    }

    fn evaluate_pump(&self, seed: u64, hours: f64, shared: Option<&Model>) -> Result<PumpResult> {
        let pump = self.pump(seed)?;
        let readings = self.readings(self.days.get() as f64 * DAY_S);
        let needed = self.readings(hours * 3_600.0);
        let mut result = PumpResult::new(&self.profile, seed);
        let mut steps = self.windows(pump.clone(), readings, "simulated")?;
        let commissioned = steps.by_ref().filter(|step| step.window.is_ok()).take(needed).last();
        let (Some(last), true) = (commissioned, needed >= min_steps(self.recipe.detector)) else { return Ok(result) };
        let Some(mut tracker) = self.commission(seed, &pump, last.number, needed, shared)? else { return Ok(result) };
        result.first_detection_days = Some(last.number as f64 * self.interval_s() / DAY_S);

        let onsets = ONSETS.map(|share| self.readings(share * self.days.get() as f64 * DAY_S));
        let snapshots = Snapshot::take(pump, &onsets, self.interval_s());
        let mut was_anomaly = false;
        let half_way = readings / 2;
        let mut steps = steps.peekable();
        for (onset, snapshot) in onsets.iter().zip(&snapshots) {
            let until_onset = std::iter::from_fn(|| steps.next_if(|step| step.number <= *onset));
            self.watch(&mut tracker, until_onset, half_way, &mut was_anomaly, &mut result)?;
            if *onset <= last.number || self.healthy_only {
                continue;
            }
            let observed = self.readings(OBSERVED * self.days.get() as f64 * DAY_S);
            let after_onset = |pump: Pump| -> Result<_> {
                let steps = self.windows(pump, snapshot.warm_up + observed, "simulated")?;
                Ok(steps.filter(|step| step.number > snapshot.warm_up))
            };
            let healthy = observe_healthy(&mut tracker.fork(), after_onset(snapshot.pump.clone())?)?;
            for fault in faults() {
                let onset = snapshot.onset(fault, observed as f64 * self.interval_s());
                let mut faulty = snapshot.pump.clone();
                faulty.set_fault(Some(onset));
                let since_s = |step: &SimulatedStep| (step.number - snapshot.warm_up) as f64 * self.interval_s();
                let steps = after_onset(faulty)?;
                let trial = observe_fault(&self.profile, fault, &mut tracker.fork(), &healthy, steps, since_s)?;
                result.trials.push(trial);
            }
        }
        self.watch(&mut tracker, steps, half_way, &mut was_anomaly, &mut result)?;
        Ok(result)
    }

    /// Returns the tracker of a pump that was commissioned on its first `needed` windows, which end at reading
    /// `readings`.
    fn commission(
        &self,
        seed: u64,
        pump: &Pump,
        readings: usize,
        needed: usize,
        shared: Option<&Model>,
    ) -> Result<Option<DetectionTracker>> {
        let windows = || -> Result<_> {
            let steps = self.windows(pump.clone(), readings, "simulated")?;
            Ok(steps.filter_map(|step| step.window.ok()).take(needed))
        };
        if windows()?.count() < needed {
            return Ok(None);
        }
        let own_network = shared.is_none();
        let model = match shared {
            Some(model) => model.clone(),
            None => {
                let every = needed.div_ceil(MAX_TRAINING_WINDOWS);
                self.train(seed, &windows()?.step_by(every).collect::<Vec<_>>())?
            }
        };
        let healthy_steps = || {
            let steps = self.windows(pump.clone(), readings, "simulated").into_iter().flatten();
            steps.map(|step| step.into_healthy(&self.profile))
        };
        let settings = Commissioning { own_network, ..self.recipe.commissioning() };
        DetectionTracker::commission(&model, &self.profile, &settings, "simulated".parse()?, healthy_steps).map(Some)
    }

    /// Scores healthy steps, and counts their anomalous windows and episodes.
    fn watch(
        &self,
        tracker: &mut DetectionTracker,
        steps: impl Iterator<Item = SimulatedStep>,
        half_way: usize,
        was_anomaly: &mut bool,
        result: &mut PumpResult,
    ) -> Result<()> {
        let window_days = self.interval_s() / DAY_S;
        tracker.run(steps, |step, outcome| {
            // A reading without a window does not end an episode: an episode may continue over a stop of the pump.
            let Ok(detection) = outcome else { return };
            let half: &mut Half = &mut result.halves[usize::from(step.number > half_way)];
            half.days += window_days;
            half.windows += 1;
            half.anomalous += usize::from(detection.is_anomaly);
            if detection.is_anomaly != *was_anomaly {
                tracing::info!(
                    day = step.number as f64 * window_days,
                    begins = detection.is_anomaly,
                    channel = self.profile.channels()[largest(&detection.contributions)].name.as_str(),
                    loss = detection.loss,
                    values = ?step.row.values,
                    "false episode"
                );
            }
            if detection.is_anomaly && !*was_anomaly {
                half.episodes += 1;
                result.named[largest(&detection.contributions)] += 1;
            }
            *was_anomaly = detection.is_anomaly;
        })
    }
}
