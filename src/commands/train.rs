//! `volute train`: trains a model on recordings of normal running, and adds it to a model folder.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use volute_anomaly::{Epoch, HealthyStep, Model, Provenance, Recipe, ValidationSet};
use volute_data::{Dialect, Row, dialects_of};
use volute_plant::{Clock, Profile, PumpId, SystemClock, Window, cadence::format_interval};

use super::{
    notes::print_notes,
    progress,
    windows::{explain_no_window, healthy_steps, training_windows, with_interval_of},
};
use crate::model_versions::{HistoryEntry, ModelFolder, Replace, format_validation_error};

/// What to train on, and where to write the model.
pub struct Training {
    /// The profile.
    pub profile: Profile,
    /// The interval between two readings, in milliseconds; if `None`, it follows from the recordings.
    pub interval_ms: Option<i64>,
    /// The recordings. No window spans two files.
    pub csv: Vec<PathBuf>,
    /// How to read the recordings.
    pub dialect: Dialect,
    /// Whether each recording is of another pump.
    pub each_its_own_pump: bool,
    /// Train on every nth window only.
    pub every: NonZeroUsize,
    /// Use only this many first rows of each file; all rows if `None`.
    pub rows: Option<usize>,
    /// The model folder.
    pub out: PathBuf,
    /// When the model replaces the one in the folder.
    pub replace: Replace,
    /// How to train.
    pub recipe: Recipe,
}

/// Trains a model and adds it to the folder. Prints the losses of each epoch.
pub fn run(training: &Training) -> Result<()> {
    let Training { profile, interval_ms, csv, dialect, each_its_own_pump, every, rows, out, replace, recipe } =
        training;
    let mut recordings = Vec::new();
    for (path, dialect) in csv.iter().zip(dialects_of(csv, profile, dialect)?) {
        let mut recording = volute_data::read_recording(path, profile, &dialect)?;
        print_notes(path, &recording.notes)?;
        recording.rows.truncate(rows.unwrap_or(usize::MAX));
        recordings.push(recording);
    }
    let files = csv.iter().zip(&recordings).map(|(path, recording)| (path.as_path(), recording.rows.as_slice()));
    let profile = &with_interval_of(profile, *interval_ms, files)?;
    check_folder_interval(out, profile)?;
    let (mut windows, mut rows_used, mut hashes): (Vec<Window>, usize, Vec<String>) = Default::default();
    let mut steps: Vec<HealthyStep> = Vec::new();
    for (number, (path, recording)) in csv.iter().zip(&recordings).enumerate() {
        let rows: &[Row] = &recording.rows;
        let pump: PumpId = format!("training-{}", if *each_its_own_pump { number } else { 0 }).parse()?;
        let file_windows = training_windows(profile, &pump, rows, *every);
        tracing::info!(file = %path.display(), rows = rows.len(), windows = file_windows.len(), "recording read");
        if !each_its_own_pump {
            steps.extend(thinned(healthy_steps(profile, &pump, rows), *every));
        }
        rows_used += rows.len();
        windows.extend(file_windows);
        hashes.push(recording.sha256.clone());
    }
    if windows.is_empty() {
        let longest = recordings.iter().map(|recording| recording.rows.as_slice()).max_by_key(|rows| rows.len());
        bail!("{rows_used} rows make no window: {}", explain_no_window(profile, longest.unwrap_or_default()));
    }
    let provenance = Provenance {
        data_hash: hashes.join(" "),
        rows: rows_used,
        sources: csv.iter().map(|path| path.display().to_string()).collect(),
        trained_at: SystemClock.now(),
    };
    let bar = progress::bar(recipe.epochs as u64, "training");
    let mut report_epoch = |epoch: &Epoch| {
        bar.set_position(epoch.number as u64);
        let best = if epoch.best { "  best so far" } else { "" };
        let losses = format!("loss {:.5}  validation loss {:.5}", epoch.train_loss, epoch.validation_loss);
        progress::line(&bar, &format!("epoch {:3} of {}  {losses}{best}", epoch.number, epoch.of));
    };
    let model = volute_anomaly::train(profile, &windows, recipe, provenance, &mut report_epoch)?;
    bar.finish_and_clear();
    steps.sort_by_key(|step| step.samples.at);
    let model = match model.baseline() {
        Some(_) if !steps.is_empty() => model.with_own_baseline(profile, || steps.iter().cloned())?,
        _ => model,
    };
    let validation = ValidationSet::of(profile, &windows, recipe.validation_share)?;
    let entry = ModelFolder { dir: out, profile }.add(&model, &validation, *replace)?;
    print_report(&model, out, &entry);
    Ok(())
}

/// Returns the steps with every nth of their windows. The other windows are removed, because they are not trained on.
fn thinned(mut steps: Vec<HealthyStep>, every: NonZeroUsize) -> Vec<HealthyStep> {
    let windows = steps.iter_mut().map(|step| &mut step.window).filter(|window| window.is_some());
    windows.enumerate().filter(|(number, _)| number % every.get() != 0).for_each(|(_, window)| *window = None);
    steps
}

/// Returns an error if the folder holds a model for another interval. A node takes its interval from the model in its
/// folder.
fn check_folder_interval(out: &Path, profile: &Profile) -> Result<()> {
    match Model::interval_ms(out) {
        Ok(interval_ms) if interval_ms != profile.interval_ms() => bail!(
            "{} holds a model for readings every {}, and this one would be for readings every {}: use another folder (--out)",
            out.display(),
            format_interval(interval_ms),
            format_interval(profile.interval_ms())
        ),
        _ => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn print_report(model: &Model, out: &Path, entry: &HistoryEntry) {
    let metrics = &model.manifest().metrics;
    println!("{}", model.id());
    println!("for readings every {}", format_interval(model.manifest().interval_ms));
    println!(
        "windows {}  best epoch {}  validation error {}",
        metrics.windows,
        metrics.best_epoch,
        format_validation_error(entry.validation_error)
    );
    match model.baseline() {
        Some(baseline) => println!("baseline {}  loss threshold {:.5}", baseline.id, baseline.loss_threshold),
        None => println!("no baseline: each pump is commissioned on the node"),
    }
    match entry.in_use {
        true => println!("written to {}", out.display()),
        false => println!("stored in {}, not in use", out.join("versions").join(&entry.model).display()),
    }
    println!("{}", entry.why);
}
