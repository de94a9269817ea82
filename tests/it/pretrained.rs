//! What the model that comes with Volute sees, on simulated pumps that it never learned from.
//!
//! `cargo test --workspace --test it pretrained -- --nocapture` prints the figures.

use std::path::Path;

use volute_anomaly::{Model, Scorer};
use volute_plant::{Profile, PumpId, Quantity, Reading, Timestamp, Window, Windower};
use volute_simulator::{Design, Episode, Fault, LoadPlan, SensorFault, Severity, Simulator};

/// Pumps from here on are strangers to the model: it learned from the seeds 1 to 60 (`scripts/pretrain`).
const FIRST_STRANGER: u64 = 1_001;
const STRANGERS: u64 = 12;

/// Healthy running before a fault: the window must be full of it.
const ONSET_S: usize = 60;
/// From the onset until the fault has faded: about the length of an episode in the demo.
const EPISODE_S: f64 = 180.0;
const SEVERITY: f64 = 0.8;

/// The model under test.
struct Bench {
    profile: Profile,
    model: Model,
    scorer: Scorer,
}

/// What a stranger did and what the model said to it.
struct Trial {
    /// For each window, the second of its end and its loss over the threshold.
    losses: Vec<(usize, f64)>,
    /// The furthest that its flow sensor was off.
    flow_off_l_min: f64,
}

impl Bench {
    fn new() -> Self {
        let profile = volute::profiles::load("centrifugal").expect("built in");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pretrained/centrifugal");
        let model = Model::load(&folder, &profile).expect("the model that comes with Volute");
        let scorer = Scorer::new(&model).expect("a scorer");
        Self { profile, model, scorer }
    }

    fn run(&mut self, stranger: u64, episode: Option<Episode>, seconds: usize) -> Trial {
        let midnight: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
        let start = midnight.plus_ms((stranger as i64 * 7 % 24) * 3_600_000);
        let mut pump = Simulator::new(Design::drawn(stranger), LoadPlan::Steps, stranger, start);
        pump.set_episode(episode);
        let id: PumpId = "stranger".parse().expect("a name");
        let mut windower = Windower::new(&self.profile);
        let mut windows: Vec<Window> = Vec::new();
        let mut flow_off_l_min: f64 = 0.0;
        for _ in 0..seconds {
            let step = pump.step(1.0);
            let (said, is) = (step.value(Quantity::Flow), step.truth().value(Quantity::Flow));
            flow_off_l_min = said.zip(is).map_or(0.0, |(said, is)| (said - is).abs()).max(flow_off_l_min);
            let samples = step.samples(&self.profile).into();
            let reading = Reading { pump: id.clone(), at: step.at, received: step.at, samples, late: false };
            windows.extend(windower.push(reading).into_iter().filter_map(|placed| placed.window.ok()));
        }
        let scores = self.scorer.score(&windows).expect("scores");
        let second = |window: &Window| (window.at.since_ms(start) / 1_000) as usize;
        let over = |loss: f64| loss / self.model.threshold();
        let losses = windows.iter().zip(scores).map(|(window, score)| (second(window), over(score.loss))).collect();
        Trial { losses, flow_off_l_min }
    }

    /// The fault on every stranger.
    fn trials(&mut self, fault: Fault, severity: f64) -> Vec<Trial> {
        let severity = Severity::new(severity).expect("0 to 1");
        let hurried = Episode::within(fault, severity, EPISODE_S);
        let episode = Episode { onset_s: ONSET_S as f64, hold_s: hurried.hold_s + hurried.onset_s, ..hurried };
        let seconds = episode.total_s() as usize;
        (0..STRANGERS).map(|stranger| self.run(FIRST_STRANGER + stranger, Some(episode), seconds)).collect()
    }
}

impl Trial {
    /// Seconds from the onset until the loss passed the threshold.
    fn seen_after(&self) -> Option<usize> {
        self.losses.iter().find(|(second, loss)| *second > ONSET_S && *loss > 1.0).map(|(second, _)| second - ONSET_S)
    }

    /// The highest loss from the onset on, over the threshold.
    fn highest(&self) -> f64 {
        self.losses.iter().filter(|(second, _)| *second > ONSET_S).map(|(_, loss)| *loss).fold(0.0, f64::max)
    }
}

fn print(fault: Fault, severity: f64, trials: &[Trial]) {
    let mut delays: Vec<usize> = trials.iter().filter_map(Trial::seen_after).collect();
    let mut highest: Vec<f64> = trials.iter().map(Trial::highest).collect();
    delays.sort_unstable();
    highest.sort_by(f64::total_cmp);
    let delay = delays.get(delays.len() / 2).map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
    let (name, seen, of, loss) = (fault.name(), delays.len(), trials.len(), highest[highest.len() / 2]);
    eprintln!("{name:<17} {severity:.1}  seen on {seen:>2} of {of}  after {delay:>5}  loss {loss:5.1} thresholds");
}

#[test]
fn healthy_strangers_are_left_alone() {
    let mut bench = Bench::new();
    let strangers = (0..STRANGERS).flat_map(|stranger| bench.run(FIRST_STRANGER + stranger, None, 900).losses);
    let losses: Vec<f64> = strangers.map(|(_, loss)| loss).collect();
    let above = losses.iter().filter(|loss| **loss > 1.0).count() as f64 / losses.len() as f64;
    let highest = losses.iter().copied().fold(0.0, f64::max);
    eprintln!("healthy: {:.2} % of {} windows above, loss at most {highest:.2}", 100.0 * above, losses.len());
    assert!(above < 0.002, "{above}");
}

#[test]
fn every_fault_of_a_stranger_is_seen_within_its_episode() {
    let mut bench = Bench::new();
    for fault in Fault::of_machine() {
        let trials = bench.trials(fault, SEVERITY);
        print(fault, SEVERITY, &trials);
        assert!(trials.iter().all(|trial| trial.seen_after().is_some()), "{fault}");
    }
}

#[test]
fn a_stuck_flow_is_seen_once_demand_has_moved_away_from_it() {
    let mut bench = Bench::new();
    let stuck = Fault::Sensor(SensorFault::Stuck, Quantity::Flow);
    let trials = bench.trials(stuck, SEVERITY);
    print(stuck, SEVERITY, &trials);
    let far: Vec<&Trial> = trials.iter().filter(|trial| trial.flow_off_l_min > 150.0).collect();
    assert!(far.len() >= 3 && far.iter().all(|trial| trial.seen_after().is_some()));
}
