//! Chooses the default detector's numbers by leaving whole runs out.
//!
//! Candidates are drawn around the numbers in use. For each fold of runs, the candidates that are best on the other runs
//! decide on the fold: what comes of that is the figure to expect on runs that nobody has seen. Does not change the
//! numbers in use: a person does.

use std::io::Write;

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use volute_anomaly::{Commissioning, Detector, Tuning, Weighting};

use super::{confusion::Confusion, run::Learned};

/// Runs in a fold.
const FOLD: usize = 3;
/// How often the runs are dealt into folds anew.
const DEALS: usize = 10;
/// How many of the best candidates share a fold's decision, so that luck counts for less.
const BEST: usize = 20;
/// False alarms above this, in %, cost as much F1 as they are above it.
const FREE_FALSE_ALARMS_PERCENT: f64 = 9.0;

/// A candidate and what it makes of each run, all seeds together.
struct Candidate {
    tuning: Tuning,
    runs: Vec<Confusion>,
}

/// Searches, and prints the numbers in use, the best found, and the cross-validated figures.
pub fn run(learned: &[(u64, Vec<Learned>)], candidates: usize, output: &mut dyn Write) -> Result<()> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let judge = |tuning: Tuning| Candidate { runs: runs(learned, &tuning), tuning };
    let current = judge(Tuning::default());
    let count = current.runs.len();
    let mut pool = vec![current];
    for _ in 1..candidates {
        pool.push(judge(draw(&mut rng)));
    }
    let all: Vec<usize> = (0..count).collect();
    line(output, "the numbers in use", pooled(&pool[0], &all))?;
    pool.sort_by(|a, b| worth(pooled(b, &all)).total_cmp(&worth(pooled(a, &all))));
    line(output, &format!("the best of {candidates}, on the runs that chose it"), pooled(&pool[0], &all))?;
    writeln!(output, "  {:?}", pool[0].tuning)?;
    let best = pool.iter().take(BEST).fold(Confusion::default(), |sum, c| sum.plus(pooled(c, &all)));
    line(output, &format!("the {BEST} best, on the runs that chose them"), best)?;

    let mut left_out = Vec::new();
    for _ in 0..DEALS {
        let mut order = all.clone();
        order.shuffle(&mut rng);
        let mut sum = Confusion::default();
        for fold in order.chunks(FOLD) {
            let others: Vec<usize> = all.iter().copied().filter(|run| !fold.contains(run)).collect();
            pool.sort_by(|a, b| worth(pooled(b, &others)).total_cmp(&worth(pooled(a, &others))));
            sum = pool.iter().take(BEST).fold(sum, |sum, candidate| sum.plus(pooled(candidate, fold)));
        }
        left_out.push(sum);
    }
    let sum = left_out.iter().fold(Confusion::default(), |sum, deal| sum.plus(*deal));
    line(output, &format!("cross-validated: {FOLD} of {count} runs left out"), sum)?;
    let f1s: Vec<f64> = left_out.iter().map(|deal| deal.f1()).collect();
    let (low, high) = f1s.iter().fold((f64::MAX, f64::MIN), |(low, high), f1| (low.min(*f1), high.max(*f1)));
    writeln!(output, "  {DEALS} deals: F1 {low:.3} to {high:.3}")?;
    let mut all_f1: Vec<f64> = pool.iter().map(|candidate| pooled(candidate, &all).f1()).collect();
    all_f1.sort_by(f64::total_cmp);
    let at = |share: f64| all_f1[(share * (all_f1.len() - 1) as f64) as usize];
    writeln!(output, "  all candidates: F1 {:.3} (5 %), {:.3} (median), {:.3} (95 %)", at(0.05), at(0.5), at(0.95))?;
    Ok(())
}

/// Numbers near those in use.
fn draw(rng: &mut Xoshiro256PlusPlus) -> Tuning {
    let mut one = |of: &[f64]| of[rng.random_range(0..of.len())];
    let other = one(&[0.2, 0.25, 0.3, 0.35, 0.4, 0.5]);
    Tuning {
        follow_steps: one(&[250.0, 300.0, 400.0, 500.0, 600.0]),
        follow_reach: one(&[1.5, 2.0, 2.5, 3.0]),
        level_margin: one(&[1.6, 1.7, 1.8, 1.9, 2.0, 2.1]),
        error_margin_own: one(&[10.0, 14.0, 20.0, 30.0]),
        raise_after: one(&[1.0, 1.0, 2.0, 3.0]) as usize,
        clear_after: one(&[1.0, 2.0, 3.0, 4.0]) as usize,
        quiet: one(&[0.25, 0.3, 0.35, 0.4]),
        returned: one(&[0.1, 0.15, 0.2, 0.25]),
        settle_steps: one(&[30.0, 45.0, 60.0, 75.0]) as u32,
        weights: Weighting { other, thermal_level: one(&[0.0, 0.05, 0.1]), ..Weighting::default() },
        ..Tuning::default()
    }
}

/// What these numbers make of each run.
fn runs(learned: &[(u64, Vec<Learned>)], tuning: &Tuning) -> Vec<Confusion> {
    let how = Commissioning { detector: Detector::Fused, tuning: *tuning, ..Commissioning::default() };
    let mut runs: Vec<Confusion> = Vec::new();
    for (_, of_seed) in learned {
        runs.resize(of_seed.len(), Confusion::default());
        for (sum, run) in runs.iter_mut().zip(of_seed) {
            *sum = sum.plus(Confusion::of(run.test_rows(), &run.predict(&how)));
        }
    }
    runs
}

fn pooled(candidate: &Candidate, runs: &[usize]) -> Confusion {
    runs.iter().fold(Confusion::default(), |sum, run| sum.plus(candidate.runs[*run]))
}

/// What is to be as high as possible.
fn worth(confusion: Confusion) -> f64 {
    confusion.f1() - (confusion.false_alarms_percent() - FREE_FALSE_ALARMS_PERCENT).max(0.0) / 100.0
}

fn line(output: &mut dyn Write, name: &str, confusion: Confusion) -> Result<()> {
    let (f1, far, mar) = (confusion.f1(), confusion.false_alarms_percent(), confusion.missed_percent());
    Ok(writeln!(output, "{name:<52} F1 {f1:.3}  FAR {far:6.2} %  MAR {mar:6.2} %")?)
}
