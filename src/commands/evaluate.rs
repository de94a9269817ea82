//! `volute evaluate`: SKAB's protocol on labelled recordings. For each file, learn from its first rows, decide on
//! every later row with nothing but the past, and compare with the label.
//!
//! The windower, scorer and decider are those of a live node, with one configuration for every file. Learning never
//! sees the label `anomaly`. A row that has no window keeps the decision before it, and has no score.
//!
//! Recordings in the original system's form are labelled by `machine_status`. That is known at the plant and not afterwards
//! only, so learning is as in `volute train`: from the NORMAL ones of the first rows. A recording whose rows are sparser than
//! the profile's interval is learned and decided at its own.

mod confusion;
mod cross_validate;
mod plot;
mod report;
mod run;
mod simulated;

use std::{
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use volute_anomaly::Recipe;
use volute_data::{Dialect, RecordingError, write_file, write_predictions};
use volute_plant::Profile;

pub use self::simulated::{Simulated, run as run_simulated};
use self::{
    confusion::{Confusion, Stretches},
    report::Report,
    run::Learned,
};
use super::progress;
use crate::cli::Format;

/// What to measure on.
pub struct Evaluation {
    /// The kind of pump.
    pub profile: Profile,
    /// Time between two readings; none: as each recording has it.
    pub interval_ms: Option<i64>,
    /// Labelled recordings, with subfolders.
    pub data: PathBuf,
    /// What is said about them.
    pub dialect: Dialect,
    /// Where predictions and pictures go, at the same places.
    pub out: PathBuf,
    /// How to train; its seed is the first.
    pub recipe: Recipe,
    /// Seeds to measure with. Predictions and pictures are the first one's.
    pub seeds: NonZeroUsize,
    /// Recordings to work on at once.
    pub jobs: NonZeroUsize,
    /// How the figures are printed.
    pub format: Format,
}

/// Evaluates every recording that has labels, and prints the figures beside the published ones.
pub fn run(evaluation: &Evaluation, output: &mut dyn Write) -> Result<()> {
    let mut report = Report::of(&evaluation.profile);
    for (seed, runs) in learn_all(evaluation)? {
        for run in &runs {
            let predictions = run.predict(&evaluation.recipe.commissioning());
            let stretches = Stretches::of(run.test_rows(), &predictions);
            report.add(seed, run.name.clone(), Confusion::of(run.test_rows(), &predictions), stretches);
            if seed == evaluation.recipe.seed {
                let target = target(&evaluation.out, &run.name)?;
                write_predictions(&target, &predictions)?;
                let drawing = plot::draw(&run.name, run.test_rows(), &predictions)?;
                write_file(&target.with_extension("svg"), drawing.as_bytes())?;
            }
        }
    }
    report.print(evaluation.format, output)
}

/// Chooses the default detector's numbers by cross-validation over the recordings, and prints what came of it.
pub fn choose(evaluation: &Evaluation, candidates: NonZeroUsize, output: &mut dyn Write) -> Result<()> {
    cross_validate::run(&learn_all(evaluation)?, candidates.get(), output)
}

/// Every labelled recording, learned with every seed.
fn learn_all(evaluation: &Evaluation) -> Result<Vec<(u64, Vec<Learned>)>> {
    let files = recordings(&evaluation.data)?;
    ensure!(!files.is_empty(), "no .csv file below {}", evaluation.data.display());
    let seeds = evaluation.recipe.seed..evaluation.recipe.seed + evaluation.seeds.get() as u64;
    let tasks: Vec<(u64, &PathBuf)> = seeds.clone().flat_map(|seed| files.iter().map(move |f| (seed, f))).collect();
    let bar = progress::bar(tasks.len() as u64, "recordings");
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..evaluation.jobs.get().min(tasks.len()) {
            scope.spawn(|| {
                while let Some(&(seed, file)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let learned = learn(evaluation, seed, file);
                    bar.inc(1);
                    // A thread that panicked has ended the scope; until then what it left is whole.
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(((seed, file.clone()), learned));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let first_seed = evaluation.recipe.seed;
    let others =
        results.extract_if(.., |(_, learned)| learned.as_ref().is_err_and(is_no_recording)).collect::<Vec<_>>();
    for ((seed, _), learned) in others {
        if let (true, Err(error)) = (seed == first_seed, learned) {
            tell_left_out(&error)?;
        }
    }
    ensure!(!results.is_empty(), "no .csv file below {} is a recording of this profile", evaluation.data.display());
    let mut of_seed: Vec<(u64, Vec<Learned>)> = seeds.map(|seed| (seed, Vec::new())).collect();
    for ((seed, _), learned) in results {
        let Some(learned) = learned? else { continue };
        if let Some((_, runs)) = of_seed.iter_mut().find(|(other, _)| *other == seed) {
            runs.push(learned);
        }
    }
    Ok(of_seed)
}

/// Whether a file is none of a pump at all, as a table beside the recordings.
fn is_no_recording(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RecordingError>().is_some_and(RecordingError::is_no_recording)
}

fn tell_left_out(error: &anyhow::Error) -> io::Result<()> {
    let why = error.chain().last().map(ToString::to_string).unwrap_or_default();
    writeln!(io::stderr().lock(), "left out, for it is no recording: {why}")
}

/// One recording; none where it has no labels.
fn learn(evaluation: &Evaluation, seed: u64, file: &Path) -> Result<Option<Learned>> {
    let name = file.strip_prefix(&evaluation.data)?.display().to_string();
    let recipe = Recipe { seed, ..evaluation.recipe.clone() };
    let Evaluation { profile, interval_ms, dialect, .. } = evaluation;
    Learned::from(profile, *interval_ms, file, dialect, name.clone(), &recipe).with_context(|| name)
}

/// Where a recording's predictions go.
fn target(out: &Path, name: &str) -> Result<PathBuf> {
    let target = out.join(name);
    fs::create_dir_all(target.parent().ok_or_else(|| anyhow!("{} has no folder", target.display()))?)?;
    Ok(target)
}

/// Every CSV file below `dir`, in order of its path.
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
