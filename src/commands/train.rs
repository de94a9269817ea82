//! `volute train`: learns what normal is from recordings, and writes a model.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use volute_anomaly::{Epoch, HeldBack, Model, Provenance, Recipe};
use volute_data::{Dialect, Row};
use volute_plant::{Clock, Profile, PumpId, SystemClock, Window, cadence::in_words};

use super::{
    notes::print_notes,
    progress,
    windows::{at_their_interval, no_window, training_windows},
};
use crate::model_versions::{Entry, Folder, Replace};

/// What to train on, and where to put what was learned.
pub struct Training {
    /// The kind of pump.
    pub profile: Profile,
    /// Time between two readings; none: as the recordings have it.
    pub interval_ms: Option<i64>,
    /// Recordings, each read on its own: no window spans two files.
    pub csv: Vec<PathBuf>,
    /// What is said about them.
    pub dialect: Dialect,
    /// Whether each recording is of another pump.
    pub each_its_own_pump: bool,
    /// Only every nth window.
    pub every: NonZeroUsize,
    /// Only the first so many rows of each file.
    pub rows: Option<usize>,
    /// The folder of the model.
    pub out: PathBuf,
    /// When the model takes the place of one that is there.
    pub replace: Replace,
    /// How to train.
    pub recipe: Recipe,
}

/// Trains and saves a model, showing every epoch.
pub fn run(training: &Training) -> Result<()> {
    let Training { profile, interval_ms, csv, dialect, each_its_own_pump, every, rows, out, replace, recipe } =
        training;
    let mut recordings = Vec::new();
    for path in csv {
        let mut recording = volute_data::read_recording(path, profile, dialect)?;
        print_notes(path, &recording.notes)?;
        recording.rows.truncate(rows.unwrap_or(usize::MAX));
        recordings.push(recording);
    }
    let files = csv.iter().zip(&recordings).map(|(path, recording)| (path.as_path(), recording.rows.as_slice()));
    let profile = &at_their_interval(profile, *interval_ms, files)?;
    refuse_another_interval(out, profile)?;
    let (mut windows, mut used, mut hashes): (Vec<Window>, usize, Vec<String>) = Default::default();
    for (number, (path, recording)) in csv.iter().zip(&recordings).enumerate() {
        let first: &[Row] = &recording.rows;
        let pump: PumpId = format!("training-{}", if *each_its_own_pump { number } else { 0 }).parse()?;
        let found = training_windows(profile, &pump, first, *every);
        tracing::info!(file = %path.display(), rows = first.len(), windows = found.len(), "recording read");
        used += first.len();
        windows.extend(found);
        hashes.push(recording.sha256.clone());
    }
    if windows.is_empty() {
        let longest = recordings.iter().map(|recording| recording.rows.as_slice()).max_by_key(|rows| rows.len());
        bail!("no window to train on in {used} rows: {}", no_window(profile, longest.unwrap_or_default()));
    }
    let provenance = Provenance {
        data_hash: hashes.join(" "),
        rows: used,
        sources: csv.iter().map(|path| path.display().to_string()).collect(),
        trained_at: SystemClock.now(),
    };
    let bar = progress::bar(recipe.epochs as u64, "training");
    let mut show = |epoch: &Epoch| {
        bar.set_position(epoch.number as u64);
        let best = if epoch.best { "  best so far" } else { "" };
        let losses = format!("loss {:.5}  validation {:.5}", epoch.train_loss, epoch.validation_loss);
        progress::line(&bar, &format!("epoch {:3} of {}  {losses}{best}", epoch.number, epoch.of));
    };
    let model = volute_anomaly::train(profile, &windows, recipe, provenance, &mut show)?;
    bar.finish_and_clear();
    let held_back = HeldBack::of(profile, &windows, recipe.validation_share)?;
    let entry = Folder { dir: out, profile }.put(&model, &held_back, *replace)?;
    report(&model, out, &entry);
    Ok(())
}

/// A folder is of models of one interval: a node goes by the interval of the model that it is given.
fn refuse_another_interval(out: &Path, profile: &Profile) -> Result<()> {
    match Model::interval_ms(out) {
        Ok(found) if found != profile.interval_ms() => bail!(
            "{} holds a model for readings every {}, and this one would be for every {}: choose another folder (--out)",
            out.display(),
            in_words(found),
            in_words(profile.interval_ms())
        ),
        _ => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn report(model: &Model, out: &Path, entry: &Entry) {
    let metrics = &model.manifest().metrics;
    println!("{}", model.id());
    println!("for readings every {}", in_words(model.manifest().interval_ms));
    println!(
        "windows {}  best epoch {}  validation loss {:.5}",
        metrics.windows, metrics.best_epoch, metrics.validation_loss
    );
    match model.baseline() {
        Some(baseline) => println!("baseline {}  loss threshold {:.5}", baseline.id, baseline.loss_threshold),
        None => println!("no baseline: each pump is commissioned by itself"),
    }
    match entry.in_use {
        true => println!("written to {}", out.display()),
        false => println!("kept in {}, not in use", out.join("versions").join(&entry.model).display()),
    }
    println!("{}", entry.why);
}
