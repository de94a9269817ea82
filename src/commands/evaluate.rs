//! `volute evaluate`: SKAB's protocol on labelled recordings. For each file, learn from its first rows, decide on
//! every later row with nothing but the past, and compare with the label.
//!
//! The windower, scorer and decider are those of a live node. Learning never sees the label. A row that has no
//! window keeps the decision before it, and has no score.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use indicatif::ProgressBar;
use volute_anomaly::{Decider, Provenance, Recipe, Scorer};
use volute_data::{Prediction, Row, write_predictions};
use volute_plant::{Clock, Detection, Profile, PumpId, Reading, SystemClock, Timestamp};

use super::{
    progress,
    windows::{placed, training_windows},
};

/// Rows that each run is learned from: the benchmark's protocol (SKAB 0.9).
const TRAINING_ROWS: usize = 400;

/// The published figures for all 34 runs (F1, false alarms %, missed %), from the benchmark's own table.
const PUBLISHED: [(&str, f64, f64, f64); 7] = [
    ("Conv-AE", 0.78, 13.55, 28.02),
    ("MSET", 0.78, 39.73, 14.13),
    ("T2 + Q (PCA)", 0.76, 26.62, 24.92),
    ("LSTM-AE", 0.74, 29.96, 25.92),
    ("T2", 0.66, 19.21, 42.60),
    ("LSTM", 0.54, 12.54, 59.53),
    ("Isolation forest", 0.29, 2.56, 82.89),
];

/// What to measure on.
pub struct Evaluation {
    /// The kind of pump.
    pub profile: Profile,
    /// Labelled recordings, with subfolders.
    pub data: PathBuf,
    /// Where predictions go, at the same places.
    pub out: PathBuf,
    /// How to train.
    pub recipe: Recipe,
    /// Recordings to work on at once.
    pub jobs: NonZeroUsize,
}

/// How decisions compare with the label, row by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Confusion {
    true_positive: u64,
    false_positive: u64,
    false_negative: u64,
    true_negative: u64,
}

/// Evaluates every recording that has labels, and prints the figures beside the published ones.
pub fn run(evaluation: &Evaluation, output: &mut dyn Write) -> Result<()> {
    let files = recordings(&evaluation.data)?;
    ensure!(!files.is_empty(), "no .csv file below {}", evaluation.data.display());
    let bar = progress::bar(files.len() as u64, "recordings");
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..evaluation.jobs.get().min(files.len()) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_of(evaluation, file, &bar);
                    bar.inc(1);
                    // A thread that panicked has ended the scope; until then what it left is whole.
                    results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((file.clone(), result));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by(|a, b| a.0.cmp(&b.0));
    print(results, &evaluation.data, output)
}

/// One recording: none where it has no labels.
fn run_of(evaluation: &Evaluation, file: &Path, bar: &ProgressBar) -> Result<Option<Confusion>> {
    let Evaluation { profile, data, out, recipe, .. } = evaluation;
    let name = file.strip_prefix(data)?;
    let recording = volute_data::read_recording(file, profile)?;
    if recording.rows.iter().all(|row| row.anomaly.is_none()) {
        progress::line(bar, &format!("{}: no labels, passed over", name.display()));
        return Ok(None);
    }
    ensure!(recording.rows.len() > TRAINING_ROWS, "{}: {} rows are too few", name.display(), recording.rows.len());
    let pump: PumpId = "evaluation".parse()?;
    let windows = training_windows(profile, &pump, &recording.rows[..TRAINING_ROWS]);
    let provenance = Provenance {
        data_hash: recording.sha256,
        rows: TRAINING_ROWS,
        sources: vec![name.display().to_string()],
        trained_at: SystemClock.now(),
    };
    let model = volute_anomaly::train(profile, &windows, recipe, provenance, &mut |_| ())
        .with_context(|| name.display().to_string())?;
    let detections = detect(profile, &pump, &recording.rows, Scorer::new(&model)?, Decider::new(&model))?;
    let predictions = predictions(&recording.rows[TRAINING_ROWS..], &detections, model.threshold());
    let target = out.join(name);
    fs::create_dir_all(target.parent().ok_or_else(|| anyhow!("{} has no folder", target.display()))?)?;
    write_predictions(&target, &predictions)?;
    Ok(Some(Confusion::of(&recording.rows[TRAINING_ROWS..], &predictions)))
}

/// What a live node would say of these rows.
fn detect(
    profile: &Profile,
    pump: &PumpId,
    rows: &[Row],
    mut scorer: Scorer,
    mut decider: Decider,
) -> Result<HashMap<Timestamp, Detection>> {
    let placed = placed(profile, pump, rows);
    let (readings, windows): (Vec<Reading>, Vec<_>) =
        placed.into_iter().filter_map(|p| p.window.ok().map(|window| (p.reading, window))).unzip();
    let scores = scorer.score(&windows)?;
    let decided =
        readings.iter().zip(&scores).map(|(reading, score)| (reading.at, decider.decide(pump, reading.at, score)));
    Ok(decided.collect())
}

fn predictions(rows: &[Row], detections: &HashMap<Timestamp, Detection>, threshold: f64) -> Vec<Prediction> {
    let mut anomaly = false;
    let predict = |row: &Row| {
        let detection = detections.get(&row.at);
        anomaly = detection.map_or(anomaly, |detection| detection.is_anomaly);
        Prediction { recorded_at: row.recorded_at.clone(), score: detection.map(|d| d.loss), threshold, anomaly }
    };
    rows.iter().map(predict).collect()
}

impl Confusion {
    fn of(rows: &[Row], predictions: &[Prediction]) -> Self {
        let mut confusion = Self::default();
        for (row, prediction) in rows.iter().zip(predictions) {
            let cell = match (row.anomaly, prediction.anomaly) {
                (Some(true), true) => &mut confusion.true_positive,
                (Some(false), true) => &mut confusion.false_positive,
                (Some(true), false) => &mut confusion.false_negative,
                (Some(false), false) => &mut confusion.true_negative,
                (None, _) => continue,
            };
            *cell += 1;
        }
        confusion
    }

    fn plus(self, other: Self) -> Self {
        Self {
            true_positive: self.true_positive + other.true_positive,
            false_positive: self.false_positive + other.false_positive,
            false_negative: self.false_negative + other.false_negative,
            true_negative: self.true_negative + other.true_negative,
        }
    }

    /// F1 = TP / (TP + (FP + FN) / 2), the benchmark's own; 0 where nothing was found.
    fn f1(self) -> f64 {
        let found = self.true_positive as f64;
        if found == 0.0 { 0.0 } else { found / (found + (self.false_positive + self.false_negative) as f64 / 2.0) }
    }

    /// False alarms among normal rows, %.
    fn false_alarms(self) -> f64 {
        100.0 * self.false_positive as f64 / (self.false_positive + self.true_negative).max(1) as f64
    }

    /// Missed rows among anomalous ones, %.
    fn missed(self) -> f64 {
        100.0 * self.false_negative as f64 / (self.false_negative + self.true_positive).max(1) as f64
    }
}

fn print(results: Vec<(PathBuf, Result<Option<Confusion>>)>, data: &Path, output: &mut dyn Write) -> Result<()> {
    let mut line = |name: &str, f1: f64, far: f64, mar: f64| {
        writeln!(output, "{name:<28} F1 {f1:.3}  FAR {far:6.2} %  MAR {mar:6.2} %")
    };
    let mut pooled = Confusion::default();
    for (file, result) in results {
        let Some(confusion) = result? else { continue };
        pooled = pooled.plus(confusion);
        let name = file.strip_prefix(data)?.display().to_string();
        line(&name, confusion.f1(), confusion.false_alarms(), confusion.missed())?;
    }
    line("pooled", pooled.f1(), pooled.false_alarms(), pooled.missed())?;
    for (name, f1, far, mar) in PUBLISHED {
        line(&format!("published, 34 runs: {name}"), f1, far, mar)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_the_benchmarks() {
        let confusion = Confusion { true_positive: 6, false_positive: 2, false_negative: 4, true_negative: 18 };
        assert!((confusion.f1() - 6.0 / 9.0).abs() < 1e-12);
        assert!((confusion.false_alarms() - 10.0).abs() < 1e-12);
        assert!((confusion.missed() - 40.0).abs() < 1e-12);
        assert_eq!(Confusion::default().f1(), 0.0);
    }
}
