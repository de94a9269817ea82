//! One labelled recording. It is trained on its first rows and scored once. Decisions can then be made repeatedly with
//! different constants.

use std::{collections::HashMap, num::NonZeroUsize, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use volute_anomaly::{
    Baseline, Commissioning, Decider, HealthyStatistics, Provenance, Recipe, Score, ScoreInput, Scorer, StepInput,
};
use volute_data::{Dialect, Prediction, Row};
use volute_plant::{Clock, Detection, Profile, PumpId, StepRow, SystemClock, Timestamp};

use super::{
    confusion::label,
    damage::{damage_rows, seed_of},
};
use crate::{
    cli::Damage,
    commands::{
        notes::print_notes,
        windows::{explain_no_window, healthy_steps, training_windows, windowed_readings, with_interval_of},
    },
};

/// How recordings are read, damaged and divided.
pub struct Protocol {
    /// The interval between two readings, in milliseconds; if `None`, it follows from each recording.
    pub interval_ms: Option<i64>,
    /// How to read the recordings.
    pub dialect: Dialect,
    /// The number of first rows of each recording that are trained on.
    pub training_rows: NonZeroUsize,
    /// What is damaged in each recording after its training rows.
    pub damage: Damage,
}

/// A step of a recording, with the score of its window.
struct ScoredStep {
    at: Timestamp,
    row: StepRow,
    score: Option<Score>,
}

/// A recording with the scores of its windows by a network that was trained on its first rows.
pub struct ScoredRecording {
    /// Its path relative to the folder of recordings.
    pub name: String,
    /// The profile, with the recording's interval.
    profile: Profile,
    pump: PumpId,
    rows: Vec<Row>,
    training_rows: usize,
    healthy: HealthyStatistics,
    steps: Vec<ScoredStep>,
}

impl ScoredRecording {
    /// Trains on the first rows, damages the others, and scores all rows; `None` if the recording has no labels.
    pub fn train_and_score(
        profile: &Profile,
        protocol: &Protocol,
        file: &Path,
        name: String,
        recipe: &Recipe,
    ) -> Result<Option<Self>> {
        let Protocol { interval_ms, dialect, training_rows, damage } = protocol;
        let training_rows = training_rows.get();
        let recording = volute_data::read_recording(file, profile, dialect)?;
        print_notes(file, &recording.notes)?;
        let mut rows = recording.rows;
        if rows.iter().all(|row| label(row).is_none()) {
            return Ok(None);
        }
        ensure!(rows.len() > training_rows, "{} rows are too few", rows.len());
        let pump: PumpId = "evaluation".parse()?;
        damage_rows(damage, profile, &mut rows, training_rows, seed_of(recipe.seed, &recording.sha256))?;
        let profile = &with_interval_of(profile, *interval_ms, [(file, rows.as_slice())])?;
        let first = &rows[..training_rows];
        let windows = training_windows(profile, &pump, first, NonZeroUsize::MIN);
        ensure!(!windows.is_empty(), "no window to train on in the first rows: {}", explain_no_window(profile, first));
        let (sources, trained_at) = (vec![name.clone()], SystemClock.now());
        let provenance = Provenance { data_hash: recording.sha256, rows: training_rows, sources, trained_at };
        let model = volute_anomaly::train(profile, &windows, recipe, provenance, &mut |_| ())?;
        let healthy_steps = healthy_steps(profile, &pump, first);
        let healthy = HealthyStatistics::of(&model, profile, recipe.detector, || healthy_steps.iter().cloned())?;

        let readings = windowed_readings(profile, &pump, &rows);
        let windows = readings.iter().filter_map(|reading| reading.window.as_ref().ok());
        let scaler = healthy.scaler();
        let inputs: Vec<ScoreInput> = windows.map(|window| ScoreInput::window(window, scaler)).collect();
        let mut scorer = Scorer::new(&model);
        let mut scores = scorer.score(&inputs)?.iter();
        let scored = readings.iter().map(|reading| {
            let score = reading.window.is_ok().then(|| scores.next()).flatten();
            ScoredStep { at: reading.reading.at, row: reading.step.clone(), score }
        });
        let steps = scored.collect();
        Ok(Some(Self { name, profile: profile.clone(), pump, rows, training_rows, healthy, steps }))
    }

    /// Returns the rows after the training rows.
    pub fn test_rows(&self) -> &[Row] {
        &self.rows[self.training_rows..]
    }

    /// Returns the decisions that a live node would make on the test rows.
    pub fn predict(&self, commissioning: &Commissioning) -> Result<Vec<Prediction>> {
        let settings = Commissioning { own_network: true, ..*commissioning };
        let baseline = Baseline::of(&self.profile, &self.healthy, &settings)?;
        let mut decider = Decider::new(Arc::new(baseline));
        let decisions = self.steps.iter().filter_map(|ScoredStep { at, row, score }| {
            let result = decider.push_step(&StepInput::of(*at, row));
            Some((*at, decider.decide(&self.pump, *at, result.as_ref(), score.as_ref())?))
        });
        let detections: HashMap<Timestamp, Detection> = decisions.collect();
        let threshold = detections.values().next().map_or(f64::NAN, |detection| detection.threshold);
        let mut anomaly = false;
        let predict = |row: &Row| {
            let detection = detections.get(&row.at);
            anomaly = detection.map_or(anomaly, |detection| detection.is_anomaly);
            let channel = detection.filter(|detection| detection.is_anomaly).and_then(|d| self.named_first(d));
            Prediction {
                recorded_at: row.recorded_at.clone(),
                score: detection.map(|d| d.loss),
                threshold,
                anomaly,
                channel,
            }
        };
        Ok(self.test_rows().iter().map(predict).collect())
    }
    /// Returns the channel with the largest contribution.
    fn named_first(&self, detection: &Detection) -> Option<String> {
        let contributions = detection.contributions.iter().enumerate();
        let (largest, _) = contributions.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        self.profile.channels().get(largest).map(|channel| channel.name.clone())
    }
}
