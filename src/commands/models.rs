//! `volute models`: lists the versions of a model in a folder, or activates one.

use std::{io::Write, path::PathBuf};

use anyhow::Result;
use volute_anomaly::Model;
use volute_plant::Profile;

use crate::model_versions::{ModelFolder, Version, format_validation_error};

/// The folder, and the version to activate, if any.
pub struct Models {
    /// The profile.
    pub profile: Profile,
    /// The folder of the models.
    pub dir: PathBuf,
    /// The version to activate: its id, or the end of it.
    pub activate: Option<String>,
}

/// Lists the folder's versions, or activates one.
pub fn run(models: &Models, output: &mut dyn Write) -> Result<()> {
    // All models in the folder are for one interval, which may differ from the profile's.
    let interval_ms = Model::interval_ms(&models.dir).unwrap_or(models.profile.interval_ms());
    let profile = models.profile.with_interval(interval_ms).unwrap_or_else(|| models.profile.clone());
    let folder = ModelFolder { dir: &models.dir, profile: &profile };
    if let Some(id) = &models.activate {
        let version = folder.activate(id)?;
        writeln!(output, "{} is in use", version.model.id())?;
        return Ok(());
    }
    let versions = folder.versions()?;
    if versions.is_empty() {
        writeln!(output, "no model of the profile {} in {}", models.profile.name(), models.dir.display())?;
    }
    for version in &versions {
        writeln!(output, "{}", line(version))?;
    }
    Ok(())
}

fn line(Version { model, in_use, last_event }: &Version) -> String {
    let error = last_event.as_ref().and_then(|event| event.validation_error);
    let (status, trained_at) = (if *in_use { "in use" } else { "" }, model.manifest().provenance.trained_at);
    let why = last_event.as_ref().map_or("", |event| event.why.as_str());
    format!(
        "{}  trained {trained_at}  validation error {:>6}  {status:6}  {why}",
        model.id(),
        format_validation_error(error)
    )
}
