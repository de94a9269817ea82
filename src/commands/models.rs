//! `volute models`: lists the models that a folder has held, and puts one back.

use std::{io::Write, path::PathBuf};

use anyhow::Result;
use volute_anomaly::Model;
use volute_plant::Profile;

use crate::model_versions::{Folder, Version};

/// Which folder, and what to do.
pub struct Models {
    /// The kind of pump.
    pub profile: Profile,
    /// The folder of the models.
    pub dir: PathBuf,
    /// The model to put back.
    pub put_back: Option<String>,
}

/// Lists the folder's models, or puts one back.
pub fn run(models: &Models, output: &mut dyn Write) -> Result<()> {
    // Its models are of one interval, whatever the profile's own is.
    let interval_ms = Model::interval_ms(&models.dir).unwrap_or(models.profile.interval_ms());
    let profile = models.profile.with_interval(interval_ms).unwrap_or_else(|| models.profile.clone());
    let folder = Folder { dir: &models.dir, profile: &profile };
    if let Some(id) = &models.put_back {
        let version = folder.put_back(id)?;
        writeln!(output, "{} is in use", version.model.id())?;
        return Ok(());
    }
    let versions = folder.versions()?;
    if versions.is_empty() {
        writeln!(output, "no model of {} in {}", models.profile.name(), models.dir.display())?;
    }
    for version in &versions {
        writeln!(output, "{}", line(version))?;
    }
    Ok(())
}

fn line(Version { model, in_use, last }: &Version) -> String {
    let held_back = last.as_ref().and_then(|last| last.held_back);
    let held_back = held_back.map_or_else(|| "     -".to_owned(), |error| format!("{error:6.4}"));
    let (used, trained) = (if *in_use { "in use" } else { "" }, model.manifest().provenance.trained_at);
    let why = last.as_ref().map_or("", |last| last.why.as_str());
    format!("{}  trained {trained}  held back {held_back}  {used:6}  {why}", model.id())
}
