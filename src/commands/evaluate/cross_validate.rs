//! Chooses the constants of the detector `fused` by cross-validation over whole recordings (runs).
//!
//! Candidates are drawn at random around the current constants. The runs are divided into folds. For each fold, the
//! [`TOP_CANDIDATES`] candidates with the highest objective on the other runs are measured on the fold. The sum over
//! all folds is the result to expect on unseen runs.
//!
//! Example: 18 runs make 6 folds of 3. In each of 10 repeats the runs are shuffled into new folds, and each fold is
//! decided by the 20 best candidates on the other 15 runs. Prints the results; does not change the constants in the
//! code.

use std::io::Write;

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use volute_anomaly::{Commissioning, Detector, Tuning, Weighting};

use super::{confusion::ConfusionMatrix, run::ScoredRecording};

/// Runs per fold.
const RUNS_PER_FOLD: usize = 3;
/// How often the runs are shuffled into new folds.
const REPEATS: usize = 10;
/// The number of best candidates that are measured on a fold; several, to reduce the effect of chance.
const TOP_CANDIDATES: usize = 20;
/// The false alarm rate above which the objective has a penalty, in %.
const MAX_FREE_FALSE_ALARMS_PERCENT: f64 = 9.0;

/// A candidate, and its confusion matrix for each run, summed over all seeds.
struct Candidate {
    tuning: Tuning,
    runs: Vec<ConfusionMatrix>,
}

/// Measures all candidates, and prints the figures of the current constants, of the best candidates, and
/// cross-validated.
pub fn run(scored: &[(u64, Vec<ScoredRecording>)], candidates: usize, output: &mut dyn Write) -> Result<()> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let measure =
        |tuning: Tuning| Ok::<_, anyhow::Error>(Candidate { runs: confusion_by_run(scored, &tuning)?, tuning });
    let current = measure(Tuning::default())?;
    let count = current.runs.len();
    let mut pool = vec![current];
    for _ in 1..candidates {
        pool.push(measure(random_tuning(&mut rng))?);
    }
    let all: Vec<usize> = (0..count).collect();
    line(output, "the current constants", pooled(&pool[0], &all))?;
    pool.sort_by(|a, b| objective(pooled(b, &all)).total_cmp(&objective(pooled(a, &all))));
    line(output, &format!("the best of {candidates}, on the runs it was chosen by"), pooled(&pool[0], &all))?;
    writeln!(output, "  {:?}", pool[0].tuning)?;
    let best = pool.iter().take(TOP_CANDIDATES).fold(ConfusionMatrix::default(), |sum, c| sum.plus(pooled(c, &all)));
    line(output, &format!("the {TOP_CANDIDATES} best, on the runs they were chosen by"), best)?;

    let mut repeats = Vec::new();
    for _ in 0..REPEATS {
        let mut order = all.clone();
        order.shuffle(&mut rng);
        let mut sum = ConfusionMatrix::default();
        for fold in order.chunks(RUNS_PER_FOLD) {
            let others: Vec<usize> = all.iter().copied().filter(|run| !fold.contains(run)).collect();
            pool.sort_by(|a, b| objective(pooled(b, &others)).total_cmp(&objective(pooled(a, &others))));
            sum = pool.iter().take(TOP_CANDIDATES).fold(sum, |sum, candidate| sum.plus(pooled(candidate, fold)));
        }
        repeats.push(sum);
    }
    let sum = repeats.iter().fold(ConfusionMatrix::default(), |sum, repeat| sum.plus(*repeat));
    line(output, &format!("cross-validated: {RUNS_PER_FOLD} of {count} runs left out"), sum)?;
    let f1s: Vec<f64> = repeats.iter().map(|repeat| repeat.f1()).collect();
    let (low, high) = f1s.iter().fold((f64::MAX, f64::MIN), |(low, high), f1| (low.min(*f1), high.max(*f1)));
    writeln!(output, "  {REPEATS} repeats: F1 {low:.3} to {high:.3}")?;
    let mut all_f1: Vec<f64> = pool.iter().map(|candidate| pooled(candidate, &all).f1()).collect();
    all_f1.sort_by(f64::total_cmp);
    let at = |share: f64| all_f1[(share * (all_f1.len() - 1) as f64) as usize];
    writeln!(output, "  all candidates: F1 {:.3} (5 %), {:.3} (median), {:.3} (95 %)", at(0.05), at(0.5), at(0.95))?;
    Ok(())
}

/// Returns random constants near the current ones.
fn random_tuning(rng: &mut Xoshiro256PlusPlus) -> Tuning {
    let mut pick = |values: &[f64]| values[rng.random_range(0..values.len())];
    let other = pick(&[0.2, 0.25, 0.3, 0.35, 0.4, 0.5]);
    Tuning {
        tracking_steps: pick(&[250.0, 300.0, 400.0, 500.0, 600.0]),
        max_drift_factor: pick(&[1.5, 2.0, 2.5, 3.0]),
        level_margin: pick(&[1.6, 1.7, 1.8, 1.9, 2.0, 2.1]),
        error_margin_own: pick(&[10.0, 14.0, 20.0, 30.0]),
        raise_after: pick(&[1.0, 1.0, 2.0, 3.0]) as usize,
        clear_after: pick(&[1.0, 2.0, 3.0, 4.0]) as usize,
        quiet: pick(&[0.25, 0.3, 0.35, 0.4]),
        returned: pick(&[0.1, 0.15, 0.2, 0.25]),
        relearn_steps: pick(&[30.0, 45.0, 60.0, 75.0]) as u32,
        weights: Weighting { other, thermal_level: pick(&[0.0, 0.05, 0.1]), ..Weighting::default() },
        ..Tuning::default()
    }
}

/// Returns the confusion matrix of each run with these constants, summed over all seeds.
fn confusion_by_run(scored: &[(u64, Vec<ScoredRecording>)], tuning: &Tuning) -> Result<Vec<ConfusionMatrix>> {
    let commissioning = Commissioning { detector: Detector::Fused, tuning: *tuning, ..Commissioning::default() };
    let mut runs: Vec<ConfusionMatrix> = Vec::new();
    for (_, of_seed) in scored {
        runs.resize(of_seed.len(), ConfusionMatrix::default());
        for (sum, run) in runs.iter_mut().zip(of_seed) {
            *sum = sum.plus(ConfusionMatrix::of(run.test_rows(), &run.predict(&commissioning)?));
        }
    }
    Ok(runs)
}

fn pooled(candidate: &Candidate, runs: &[usize]) -> ConfusionMatrix {
    runs.iter().fold(ConfusionMatrix::default(), |sum, run| sum.plus(candidate.runs[*run]))
}

/// Returns the value that the search maximises: F1, minus the part of the false alarm rate above
/// [`MAX_FREE_FALSE_ALARMS_PERCENT`] (as a fraction).
fn objective(confusion: ConfusionMatrix) -> f64 {
    confusion.f1() - (confusion.false_alarms_percent() - MAX_FREE_FALSE_ALARMS_PERCENT).max(0.0) / 100.0
}

fn line(output: &mut dyn Write, name: &str, confusion: ConfusionMatrix) -> Result<()> {
    let (f1, far, mar) = (confusion.f1(), confusion.false_alarms_percent(), confusion.missed_percent());
    Ok(writeln!(output, "{name:<52} F1 {f1:.3}  FAR {far:6.2} %  MAR {mar:6.2} %")?)
}
