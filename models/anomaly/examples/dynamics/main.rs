//! Measures the dynamics of residuals on simulated pumps: false episodes, and the time until faults are found that leave every level
//! where it is.
//!
//! ```text
//! cargo run --release -p volute-anomaly --example dynamics -- PLANT SEED...
//! cargo run --release -p volute-anomaly --example dynamics -- skab ../shared/skab
//! ```
//!
//! PLANT is `variable-speed-5s`, `variable-speed-60s` or `load-steps-1s`. The network is trained on three other pumps. Each seed
//! is a pump: it is commissioned, runs healthy, and has six faults at three onsets each, which are put into its readings. A fault is
//! found by the first reading that is in an episode with the fault and not without it. Seed 1 chose the constants.

mod plant;
mod skab;
mod trial;

use std::{
    error::Error,
    io::{self, Write},
    path::Path,
};

use volute_anomaly::{DynamicsNetwork, DynamicsTraining};

use self::{
    plant::{FAULTS, Plant},
    trial::{Outcome, Trial, VARIANTS, Variant},
};

/// The pumps that the network is trained on.
const TRAINING_SEEDS: [u64; 3] = [101, 102, 103];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: dynamics PLANT SEED... | skab FOLDER";
    let name = arguments.next().ok_or(usage)?;
    let mut output = io::stdout().lock();
    if name == "skab" {
        return skab::run(Path::new(&arguments.next().ok_or(usage)?), &mut output);
    }
    let plant = Plant::parse(&name).ok_or(usage)?;
    let seeds: Vec<u64> = arguments.map(|seed| seed.parse()).collect::<Result<_, _>>()?;
    measure(plant, &seeds, &mut output)
}

/// Measures all variants on the pumps of these seeds.
fn measure(plant: Plant, seeds: &[u64], output: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut runs = Vec::new();
    for seed in TRAINING_SEEDS {
        runs.extend(trial::training_runs(plant, seed)?);
    }
    let channels = plant.profile()?.channels().len();
    let mut loss = 0.0;
    let trained = DynamicsNetwork::train(channels, &runs, &DynamicsTraining::default(), &mut |_, last| loss = last)?;
    writeln!(output, "trained to a loss of {loss:.3} spreads")?;
    let untrained = DynamicsNetwork::untrained(channels, 1)?;
    let mut outcomes: Vec<Vec<Outcome>> = VARIANTS.iter().map(|_| Vec::new()).collect();
    for seed in seeds {
        let trial = Trial::new(plant, *seed, &trained, &untrained)?;
        for (variant, outcomes) in VARIANTS.iter().zip(&mut outcomes) {
            outcomes.push(trial.run(*variant)?);
        }
    }
    let faults: Vec<&str> = FAULTS.iter().map(|fault| fault.name()).collect();
    writeln!(output, "| {} | votes refused | false a day, mean and worst | {} |", plant.name(), faults.join(" | "))?;
    writeln!(output, "| --- | --- | --- |{}", " --- |".repeat(FAULTS.len()))?;
    for (variant, outcomes) in VARIANTS.iter().zip(&outcomes) {
        writeln!(output, "{}", row(*variant, outcomes))?;
    }
    Ok(())
}

/// Returns a row of the table. Of each fault: how often it was found, and the median and the largest delay in minutes.
fn row(variant: Variant, outcomes: &[Outcome]) -> String {
    let false_a_day: Vec<f64> = outcomes.iter().map(|outcome| outcome.false_episodes / outcome.days).collect();
    let mean = false_a_day.iter().sum::<f64>() / false_a_day.len().max(1) as f64;
    let worst = false_a_day.iter().copied().fold(0.0, f64::max);
    let (refused, votes) =
        outcomes.iter().fold((0, 0), |(refused, votes), outcome| (refused + outcome.refused, votes + outcome.votes));
    let mut row = format!("| {} | {refused} of {votes} | {mean:.2}, {worst:.2} |", variant.name());
    for fault in 0..FAULTS.len() {
        let mut delays: Vec<f64> = outcomes.iter().flat_map(|outcome| outcome.delays_min[fault]).collect();
        delays.sort_by(f64::total_cmp);
        let found = delays.iter().filter(|delay| delay.is_finite()).count();
        let minutes = |delay: Option<&f64>| match delay {
            Some(delay) if delay.is_finite() => format!("{delay:.0}"),
            _ => "-".to_owned(),
        };
        let (median, largest) = (minutes(delays.get(delays.len() / 2)), minutes(delays.last()));
        row += &format!(" {found}/{}, {median}, {largest} |", delays.len());
    }
    row
}
