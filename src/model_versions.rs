//! The models that a folder has held: the one in use at its top, the others below `versions/`, and what became of each.
//!
//! A trained model takes the place of the one in use only if it is better on windows held back from learning; the other
//! one is kept and can be put back. Which one is in use changes by [`Model::save`] alone, so a crash leaves the old one or
//! the new one. One command at a time changes a folder; another waits for it.
//! Does not handle training, nor what better means; see [`volute_anomaly::HeldBack`].

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use volute_anomaly::{HeldBack, Model};
use volute_data::{create_folder, write_file};
use volute_plant::{Clock, Profile, SystemClock, Timestamp};

const VERSIONS: &str = "versions";
const HISTORY: &str = "history.json";

/// When a trained model takes the place of the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Replace {
    /// If it is better on windows held back from learning.
    Better,
    /// In any case.
    Always,
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Which model.
    pub model: String,
    /// Whether it was in use from then on.
    pub in_use: bool,
    /// Its error on the windows held back, in spreads of the channels.
    pub held_back: Option<f64>,
    /// Why, for people.
    pub why: String,
}

/// A model of a folder.
#[derive(Debug, Clone)]
pub struct Version {
    /// The model.
    pub model: Model,
    /// Whether it is the one in use.
    pub in_use: bool,
    /// What became of it last.
    pub last: Option<Entry>,
}

/// A folder of models of one profile.
pub struct Folder<'a> {
    /// Where.
    pub dir: &'a Path,
    /// Of which kind of pump.
    pub profile: &'a Profile,
}

impl Folder<'_> {
    /// Puts a trained model in, in the place of the one in use or beside it. Answers what became of it.
    ///
    /// A folder whose model cannot be read, or is of another profile, is taken for an empty one.
    pub fn put(&self, new: &Model, held_back: &HeldBack, replace: Replace) -> Result<Entry> {
        let _lock = self.lock()?;
        let Some(old) = self.in_use().filter(|old| old.id() != new.id()) else {
            self.save(new, self.dir)?;
            let error = held_back.error(new)?;
            return self.note(new, true, Some(error), "no other model was in use".into());
        };
        let (was, is) = (held_back.error(&old)?, held_back.error(new)?);
        self.keep(&old)?;
        self.keep(new)?;
        let figures =
            format!("on {} windows held back its error is {is:.4}, that of {} {was:.4}", held_back.len(), old.id());
        if is < was || replace == Replace::Always {
            let asked = if is < was { "better" } else { "asked for" };
            self.note(&old, false, Some(was), format!("replaced by {}", new.id()))?;
            self.save(new, self.dir)?;
            return self.note(new, true, Some(is), format!("{asked}: {figures}"));
        }
        self.note(new, false, Some(is), format!("not better: {figures}"))
    }

    /// Puts a version back; `id` is its name, or the end of it.
    pub fn put_back(&self, id: &str) -> Result<Version> {
        let _lock = self.lock()?;
        let Some(mut version) = self.versions()?.into_iter().find(|version| version.model.id().ends_with(id)) else {
            bail!("{} holds no model {id}; `volute models` lists them", self.dir.display());
        };
        if version.in_use {
            return Ok(version);
        }
        if let Some(old) = self.in_use() {
            self.keep(&old)?;
            self.note(&old, false, None, format!("{} was put back", version.model.id()))?;
        }
        self.save(&version.model, self.dir)?;
        version.last = Some(self.note(&version.model, true, None, "put back".into())?);
        version.in_use = true;
        Ok(version)
    }

    /// Every model there is, the newest first.
    pub fn versions(&self) -> Result<Vec<Version>> {
        let (in_use, history) = (self.in_use(), self.history()?);
        let mut models: Vec<Model> = in_use.iter().cloned().collect();
        for dir in self.kept()? {
            let model = Model::load(&dir, self.profile)?;
            if models.iter().all(|known| known.id() != model.id()) {
                models.push(model);
            }
        }
        models.sort_by_key(|model| std::cmp::Reverse(model.manifest().provenance.trained_at));
        let version = |model: Model| {
            let of_model = || history.iter().rev().filter(|entry| *entry.model == **model.id());
            let held_back = of_model().find_map(|entry| entry.held_back);
            let last = of_model().next().cloned().map(|entry| Entry { held_back, ..entry });
            Version { in_use: in_use.as_ref().is_some_and(|used| used.id() == model.id()), last, model }
        };
        Ok(models.into_iter().map(version).collect())
    }

    /// Waits for the lock of the folder's versions, which is held until what this returns is dropped. [`Model::save`] has
    /// another one, so the two do not wait for each other.
    fn lock(&self) -> Result<fs::File> {
        let dir = self.dir.join(VERSIONS);
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

    fn kept(&self) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join(VERSIONS);
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

    fn keep(&self, model: &Model) -> Result<()> {
        let dir = self.dir.join(VERSIONS).join(&**model.id());
        if Model::load(&dir, self.profile).is_ok_and(|kept| kept.id() == model.id()) {
            return Ok(());
        }
        self.save(model, &dir)
    }

    fn save(&self, model: &Model, dir: &Path) -> Result<()> {
        model.save(dir).with_context(|| format!("the model cannot be written to {}", dir.display()))
    }

    fn history(&self) -> Result<Vec<Entry>> {
        let file = self.dir.join(VERSIONS).join(HISTORY);
        if !file.exists() {
            return Ok(Vec::new());
        }
        let bytes = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no history of models", file.display()))
    }

    fn note(&self, model: &Model, in_use: bool, held_back: Option<f64>, why: String) -> Result<Entry> {
        let entry = Entry { at: SystemClock.now(), model: model.id().to_string(), in_use, held_back, why };
        let mut history = self.history()?;
        history.push(entry.clone());
        let file = self.dir.join(VERSIONS).join(HISTORY);
        let written = write_file(&file, &serde_json::to_vec_pretty(&history)?);
        written.with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(entry)
    }
}
