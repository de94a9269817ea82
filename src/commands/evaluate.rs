//! `volute evaluate`: measures detection on labelled recordings by the protocol of the SKAB benchmark. For each file,
//! it trains on the first rows, 400 by default, decides on each later row from the rows up to it, and compares the decision with
//! the label.
//!
//! The windower, scorer and decider are those of a live node, with one configuration for all files. Training never uses
//! the label `anomaly`. A row without a window has no score, and repeats the decision of the row before it.
//!
//! Example: a recording has 1,000 rows, one per second. The network and the baseline are learned from the windows
//! within rows 1 to 400. Row 401 is decided from the window of rows 372 to 401, row 402 from the next one. If rows 700
//! to 720 are labelled anomalous, and rows 705 to 730 are decided anomalous, there are 16 true positives, 5 false
//! negatives, 10 false positives and 569 true negatives: F1 is 16 / (16 + 15 / 2) = 0.681.
//!
//! Recordings in the original system's format are labelled by `machine_status`. In a plant, this label is known when
//! the rows are recorded. So training uses only the NORMAL rows among the first 400, as `volute train` does. If the
//! rows of a recording are sparser than the profile's interval, the recording's interval is used.

mod confusion;
mod cross_validate;
mod damage;
mod output_folder;
mod parallel;
mod plot;
mod report;
mod run;
mod simulated;
mod tracker;
mod variable_speed;

use std::{
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use volute_anomaly::Recipe;
use volute_data::{RecordingError, write_file, write_predictions};
use volute_plant::Profile;

use self::{
    confusion::{ConfusionMatrix, Stretches},
    output_folder::OutputFolder,
    report::Report,
    run::ScoredRecording,
};
pub use self::{
    run::Protocol,
    simulated::{Simulated, run as run_simulated},
    variable_speed::{Network, VariableSpeed, run as run_variable_speed},
};
use super::progress;
use crate::cli::Format;

/// What to measure on.
pub struct Evaluation {
    /// The profile.
    pub profile: Profile,
    /// How the recordings are read, damaged and divided.
    pub protocol: Protocol,
    /// The folder of labelled recordings, with its subfolders.
    pub data: PathBuf,
    /// The folder for predictions and plots, at the same relative paths.
    pub out: PathBuf,
    /// How to train, with the first seed.
    pub recipe: Recipe,
    /// The number of seeds. Predictions and plots are written for the first.
    pub seeds: NonZeroUsize,
    /// The number of recordings to work on at once.
    pub jobs: NonZeroUsize,
    /// The output format.
    pub format: Format,
}

/// Evaluates every labelled recording, writes predictions and plots, and prints the figures beside the published ones.
pub fn run(evaluation: &Evaluation, output: &mut dyn Write) -> Result<()> {
    // Checked first, because the evaluation may take hours.
    let folder = OutputFolder::claim(&evaluation.out, &evaluation.profile, &evaluation.data)?;
    let mut report = Report::of(&evaluation.profile);
    let scored = score_all(evaluation)?;
    folder.mark()?;
    for (seed, runs) in scored {
        for run in &runs {
            let predictions = run.predict(&evaluation.recipe.commissioning())?;
            let stretches = Stretches::of(run.test_rows(), &predictions);
            report.add(seed, run.name.clone(), ConfusionMatrix::of(run.test_rows(), &predictions), stretches);
            if seed == evaluation.recipe.seed {
                let target = folder.file(&run.name)?;
                write_predictions(&target, &predictions)?;
                let plot = plot::draw(&run.name, run.test_rows(), &predictions)?;
                write_file(&target.with_extension("svg"), plot.as_bytes())?;
            }
        }
    }
    report.print(evaluation.format, output)
}

/// Chooses the constants of the detector `fused` by cross-validation over the recordings, and prints the result.
pub fn choose_tuning(evaluation: &Evaluation, candidates: NonZeroUsize, output: &mut dyn Write) -> Result<()> {
    cross_validate::run(&score_all(evaluation)?, candidates.get(), output)
}

/// Trains on and scores every labelled recording, once for each seed.
fn score_all(evaluation: &Evaluation) -> Result<Vec<(u64, Vec<ScoredRecording>)>> {
    let files = recordings(&evaluation.data)?;
    ensure!(!files.is_empty(), "no .csv file below {}", evaluation.data.display());
    let seeds = evaluation.recipe.seed..evaluation.recipe.seed + evaluation.seeds.get() as u64;
    let tasks: Vec<(u64, &PathBuf)> = seeds.clone().flat_map(|seed| files.iter().map(move |f| (seed, f))).collect();
    let bar = progress::bar(tasks.len() as u64, "recordings");
    let scored = parallel::run(tasks.len(), evaluation.jobs, &bar, |number| {
        let (seed, file) = tasks[number];
        score_recording(evaluation, seed, file)
    });
    bar.finish_and_clear();
    let mut results: Vec<_> = tasks.into_iter().map(|(seed, _)| seed).zip(scored).collect();
    let first_seed = evaluation.recipe.seed;
    let skipped =
        results.extract_if(.., |(_, scored)| scored.as_ref().is_err_and(is_not_a_recording)).collect::<Vec<_>>();
    for (seed, scored) in skipped {
        if let (true, Err(error)) = (seed == first_seed, scored) {
            report_skipped(&error)?;
        }
    }
    ensure!(!results.is_empty(), "no .csv file below {} is a recording of this profile", evaluation.data.display());
    let mut by_seed: Vec<(u64, Vec<ScoredRecording>)> = seeds.map(|seed| (seed, Vec::new())).collect();
    for (seed, scored) in results {
        let Some(recording) = scored? else { continue };
        if let Some((_, runs)) = by_seed.iter_mut().find(|(run_seed, _)| *run_seed == seed) {
            runs.push(recording);
        }
    }
    Ok(by_seed)
}

/// Returns whether the file is not a recording of a pump, but for example some other table.
fn is_not_a_recording(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RecordingError>().is_some_and(RecordingError::is_not_a_recording)
}

fn report_skipped(error: &anyhow::Error) -> io::Result<()> {
    let reason = error.chain().last().map(ToString::to_string).unwrap_or_default();
    writeln!(io::stderr().lock(), "left out, not a recording: {reason}")
}

/// Trains on and scores one recording; `None` if it has no labels.
fn score_recording(evaluation: &Evaluation, seed: u64, file: &Path) -> Result<Option<ScoredRecording>> {
    let name = file.strip_prefix(&evaluation.data)?.display().to_string();
    let recipe = Recipe { seed, ..evaluation.recipe.clone() };
    let Evaluation { profile, protocol, .. } = evaluation;
    ScoredRecording::train_and_score(profile, protocol, file, name.clone(), &recipe).with_context(|| name)
}

/// Returns all CSV files below `dir`, sorted by path.
fn recordings(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "csv") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
