//! One labelled recording: learned from its first rows, scored in full, and decided on as often as is asked.

use std::{collections::HashMap, num::NonZeroUsize, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use volute_anomaly::{Baseline, Commissioning, Decider, Observed, Provenance, Recipe, Score, Scorer, Task};
use volute_data::{Dialect, Prediction, Row};
use volute_plant::{Clock, Detection, Profile, PumpId, SystemClock, Timestamp};

use super::confusion::label;
use crate::commands::{
    notes::print_notes,
    windows::{at_their_interval, no_window, placed, training_windows},
};

/// Rows that each run is learned from: the benchmark's protocol (SKAB 0.9).
pub const TRAINING_ROWS: usize = 400;

/// A recording whose network is trained and whose windows are scored.
pub struct Learned {
    /// Its path below the data's folder.
    pub name: String,
    /// With the recording's interval.
    profile: Profile,
    pump: PumpId,
    rows: Vec<Row>,
    observed: Observed,
    scores: Vec<(Timestamp, Score)>,
}

impl Learned {
    /// Trains on the first rows and scores all; none where the recording has no labels.
    pub fn from(
        profile: &Profile,
        interval_ms: Option<i64>,
        file: &Path,
        dialect: &Dialect,
        name: String,
        recipe: &Recipe,
    ) -> Result<Option<Self>> {
        let recording = volute_data::read_recording(file, profile, dialect)?;
        print_notes(file, &recording.notes)?;
        let rows = recording.rows;
        if rows.iter().all(|row| label(row).is_none()) {
            return Ok(None);
        }
        ensure!(rows.len() > TRAINING_ROWS, "{} rows are too few", rows.len());
        let pump: PumpId = "evaluation".parse()?;
        let profile = &at_their_interval(profile, interval_ms, [(file, rows.as_slice())])?;
        let first = &rows[..TRAINING_ROWS];
        let windows = training_windows(profile, &pump, first, NonZeroUsize::MIN);
        ensure!(!windows.is_empty(), "no window to train on in the first rows: {}", no_window(profile, first));
        let (sources, trained_at) = (vec![name.clone()], SystemClock.now());
        let provenance = Provenance { data_hash: recording.sha256, rows: TRAINING_ROWS, sources, trained_at };
        let model = volute_anomaly::train(profile, &windows, recipe, provenance, &mut |_| ())?;
        let observed = Observed::of(&model, profile, || windows.iter().cloned())?;

        let placed = placed(profile, &pump, &rows);
        let windows: Vec<_> = placed.into_iter().filter_map(|placed| placed.window.ok()).collect();
        let scaler = observed.scaler();
        let tasks: Vec<Task> = windows.iter().map(|window| Task { window, scaler }).collect();
        let mut scorer = Scorer::new(&model);
        let times = windows.iter().map(|window| window.at);
        let scores = times.zip(scorer.score(&tasks)?.iter()).collect();
        Ok(Some(Self { name, profile: profile.clone(), pump, rows, observed, scores }))
    }

    /// The rows that are decided on.
    pub fn test_rows(&self) -> &[Row] {
        &self.rows[TRAINING_ROWS..]
    }

    /// What a live node would say of the rows that are decided on.
    pub fn predict(&self, how: &Commissioning) -> Vec<Prediction> {
        let baseline = Baseline::of(&self.profile, &self.observed, &Commissioning { own_network: true, ..*how });
        let mut decider = Decider::new(Arc::new(baseline));
        let decided = self.scores.iter().map(|(at, score)| (*at, decider.decide(&self.pump, *at, score)));
        let detections: HashMap<Timestamp, Detection> = decided.collect();
        let threshold = detections.values().next().map_or(f64::NAN, |detection| detection.threshold);
        let mut anomaly = false;
        let predict = |row: &Row| {
            let detection = detections.get(&row.at);
            anomaly = detection.map_or(anomaly, |detection| detection.is_anomaly);
            Prediction { recorded_at: row.recorded_at.clone(), score: detection.map(|d| d.loss), threshold, anomaly }
        };
        self.test_rows().iter().map(predict).collect()
    }
}
