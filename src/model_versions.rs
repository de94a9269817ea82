//! The versions of a model in one folder: which version is in use, and the history of each.
//!
//! ```text
//! DIR/manifest.json, DIR/model.safetensors    the model in use
//! DIR/versions/ID/                            every version, once there is more than one
//! DIR/versions/history.json                   what happened to each: when, whether it was in use, its error, and why
//! ```
//!
//! Example: the folder holds a model with a validation error of 0.0412, and a new one is trained. Both are measured on
//! the newest windows, which neither model was trained on. If the new model's error is lower, it replaces the old
//! model. Otherwise it is only stored in `versions/`. Both can be activated later.
//!
//! Only [`Model::save`] changes which model is in use, so a crash leaves the old model or the new one in use. A lock on
//! the folder ensures that only one command at a time changes it. Does not train models. Does not define the error; see
//! [`volute_anomaly::ValidationSet`].

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use volute_anomaly::{MANIFEST, Model, ValidationSet};
use volute_data::{create_folder, write_file};
use volute_plant::{Clock, Profile, SystemClock, Timestamp};

const VERSIONS_DIR: &str = "versions";
const HISTORY_FILE: &str = "history.json";

/// When a new model replaces the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Replace {
    /// If its validation error is lower.
    Better,
    /// Always.
    Always,
}

/// One event in the history of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// The time of the event.
    pub at: Timestamp,
    /// The id of the model.
    pub model: String,
    /// Whether the model is in use after the event.
    pub in_use: bool,
    /// The model's mean absolute error on the validation windows, in spreads of the channels.
    // The name of the field in stored histories.
    #[serde(rename = "held_back")]
    pub validation_error: Option<f64>,
    /// The reason, as text.
    pub why: String,
}

/// Formats the error of a model on its validation windows, in spreads of the channels; `-` if it is not known.
pub fn format_validation_error(error: Option<f64>) -> String {
    error.map_or_else(|| "-".to_owned(), |error| format!("{error:.4}"))
}

/// Returns an error if the folder holds no model.
pub fn check_model_folder(dir: &Path) -> Result<()> {
    match dir.join(MANIFEST).exists() {
        true => Ok(()),
        false => bail!("{} is not a model folder: it has no {MANIFEST}", dir.display()),
    }
}

/// A model in a folder.
#[derive(Debug, Clone)]
pub struct Version {
    /// The model.
    pub model: Model,
    /// Whether it is the model in use.
    pub in_use: bool,
    /// Its last event.
    pub last_event: Option<HistoryEntry>,
}

/// A folder with models of one profile.
pub struct ModelFolder<'a> {
    /// Its path.
    pub dir: &'a Path,
    /// The profile.
    pub profile: &'a Profile,
}

impl ModelFolder<'_> {
    /// Adds a trained model, which replaces the model in use or is only stored as a version. Returns the event in the
    /// history.
    ///
    /// If the model in use cannot be read, or is of another profile, it is replaced as if there were none.
    pub fn add(&self, new: &Model, validation: &ValidationSet, replace: Replace) -> Result<HistoryEntry> {
        let _lock = self.lock()?;
        let Some(old) = self.in_use().filter(|old| old.id() != new.id()) else {
            self.save(new, self.dir)?;
            let error = validation.error(new)?;
            return self.record(new, true, Some(error), "no other model was in use".into());
        };
        let (old_error, new_error) = (validation.error(&old)?, validation.error(new)?);
        self.store_version(&old)?;
        self.store_version(new)?;
        let errors = format!(
            "on {} validation windows its error is {new_error:.4}, that of {} {old_error:.4}",
            validation.len(),
            old.id()
        );
        if new_error < old_error || replace == Replace::Always {
            let reason = if new_error < old_error { "better" } else { "replaced on request" };
            self.record(&old, false, Some(old_error), format!("replaced by {}", new.id()))?;
            self.save(new, self.dir)?;
            return self.record(new, true, Some(new_error), format!("{reason}: {errors}"));
        }
        self.record(new, false, Some(new_error), format!("not better: {errors}"))
    }

    /// Makes a version the model in use; `id` is the version's id, or its last characters.
    pub fn activate(&self, id: &str) -> Result<Version> {
        let _lock = self.lock()?;
        let Some(mut version) = self.versions()?.into_iter().find(|version| version.model.id().ends_with(id)) else {
            bail!("there is no model {id} in {}; `volute models` lists the versions", self.dir.display());
        };
        if version.in_use {
            return Ok(version);
        }
        if let Some(old) = self.in_use() {
            self.store_version(&old)?;
            self.record(&old, false, None, format!("{} was activated", version.model.id()))?;
        }
        self.save(&version.model, self.dir)?;
        version.last_event = Some(self.record(&version.model, true, None, "activated".into())?);
        version.in_use = true;
        Ok(version)
    }

    /// Returns all models of the folder, the newest first.
    pub fn versions(&self) -> Result<Vec<Version>> {
        let (in_use, history) = (self.in_use(), self.history()?);
        let mut models: Vec<Model> = in_use.iter().cloned().collect();
        for dir in self.version_dirs()? {
            let model = Model::load(&dir, self.profile)?;
            if models.iter().all(|known| known.id() != model.id()) {
                models.push(model);
            }
        }
        models.sort_by_key(|model| std::cmp::Reverse(model.manifest().provenance.trained_at));
        let version = |model: Model| {
            let newest_first = || history.iter().rev().filter(|entry| *entry.model == **model.id());
            let validation_error = newest_first().find_map(|entry| entry.validation_error);
            let last_event = newest_first().next().cloned().map(|entry| HistoryEntry { validation_error, ..entry });
            Version { in_use: in_use.as_ref().is_some_and(|used| used.id() == model.id()), last_event, model }
        };
        Ok(models.into_iter().map(version).collect())
    }

    /// Waits for the lock of the folder's versions; it is released when the returned file is dropped. [`Model::save`]
    /// takes another lock, so there is no deadlock.
    fn lock(&self) -> Result<fs::File> {
        let dir = self.dir.join(VERSIONS_DIR);
        let lock = || {
            create_folder(&dir)?;
            let folder = fs::File::open(&dir)?;
            folder.lock()?;
            Ok::<_, io::Error>(folder)
        };
        lock().with_context(|| format!("{} cannot be locked", dir.display()))
    }

    fn in_use(&self) -> Option<Model> {
        match Model::load(self.dir, self.profile) {
            Ok(model) => Some(model),
            Err(error) => {
                tracing::debug!(dir = %self.dir.display(), %error, "no model in use");
                None
            }
        }
    }

    fn version_dirs(&self) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join(VERSIONS_DIR);
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let mut dirs = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("{} cannot be read", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            }
        }
        dirs.sort();
        Ok(dirs)
    }

    /// Stores a copy of the model below `versions/`, unless there is one already.
    fn store_version(&self, model: &Model) -> Result<()> {
        let dir = self.dir.join(VERSIONS_DIR).join(&**model.id());
        if Model::load(&dir, self.profile).is_ok_and(|stored| stored.id() == model.id()) {
            return Ok(());
        }
        self.save(model, &dir)
    }

    fn save(&self, model: &Model, dir: &Path) -> Result<()> {
        model.save(dir).with_context(|| format!("the model cannot be written to {}", dir.display()))
    }

    fn history(&self) -> Result<Vec<HistoryEntry>> {
        let file = self.dir.join(VERSIONS_DIR).join(HISTORY_FILE);
        if !file.exists() {
            return Ok(Vec::new());
        }
        let bytes = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not a history of models", file.display()))
    }

    /// Appends an event to the history.
    fn record(&self, model: &Model, in_use: bool, validation_error: Option<f64>, why: String) -> Result<HistoryEntry> {
        let entry =
            HistoryEntry { at: SystemClock.now(), model: model.id().to_string(), in_use, validation_error, why };
        let mut history = self.history()?;
        history.push(entry.clone());
        let file = self.dir.join(VERSIONS_DIR).join(HISTORY_FILE);
        let written = write_file(&file, &serde_json::to_vec_pretty(&history)?);
        written.with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(entry)
    }
}
