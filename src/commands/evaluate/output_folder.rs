//! The folder of an evaluation's predictions and plots.
//!
//! An evaluation may be repeated into its folder: the files have the same names, and replace those of the earlier run.
//! Any other folder must be new or empty, so that nothing else is overwritten. In particular the recordings must not be
//! overwritten: the predictions have the same file names. The file `evaluation.json` says what the folder holds:
//!
//! ```text
//! {"profile": "skab", "data": "/data/skab"}    seeds, damage and training may differ from run to run
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use volute_data::write_file;
use volute_plant::Profile;

/// The file that says what a folder holds.
const CONTENT_FILE: &str = "evaluation.json";

/// What a folder holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Content {
    /// The profile's name.
    profile: String,
    /// The folder of the recordings; absolute.
    data: PathBuf,
}

/// A folder that may be written to.
pub struct OutputFolder {
    dir: PathBuf,
    content: Content,
}

impl OutputFolder {
    /// Returns the folder for the results on these recordings. Writes nothing. Returns an error if it holds anything
    /// other than earlier results on these recordings.
    pub fn claim(dir: &Path, profile: &Profile, data: &Path) -> Result<Self> {
        let data = fs::canonicalize(data).with_context(|| format!("{} cannot be read", data.display()))?;
        let content = Content { profile: profile.name().to_owned(), data };
        let earlier = fs::read(dir.join(CONTENT_FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let what = match &earlier {
            Some(earlier) if *earlier == content => None,
            Some(Content { profile, data }) => {
                Some(format!("holds the results for the profile {profile} on {}", data.display()))
            }
            None if is_empty(dir).with_context(|| format!("{} cannot be read", dir.display()))? => None,
            None => Some("is not empty, and not the folder of an evaluation".to_owned()),
        };
        let Some(what) = what else { return Ok(Self { dir: dir.to_owned(), content }) };
        Err(anyhow!("--out {}: it {what}; nothing is overwritten; allowed: a new or empty folder", dir.display()))
    }

    /// Creates the folder, and writes what it holds.
    pub fn mark(&self) -> Result<()> {
        let file = self.file(CONTENT_FILE)?;
        let written = write_file(&file, &serde_json::to_vec_pretty(&self.content)?);
        written.with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Returns the path of a file in the folder, and creates the folders above it.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let file = self.dir.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&self.dir))
            .with_context(|| format!("{} cannot be created", self.dir.display()))?;
        Ok(file)
    }
}

/// Returns whether the folder is absent or empty.
fn is_empty(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;

    #[test]
    fn a_folder_is_used_if_it_is_new_or_holds_the_same_evaluation() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        for data in ["data", "other"] {
            fs::create_dir(path(data)).expect("created");
            fs::write(path(data).join("run.csv"), "timestamp").expect("written");
        }
        let (skab, centrifugal) = (profiles::load("skab").expect("built in"), profiles::load("centrifugal"));
        let claim = |out: &str, data: &str| OutputFolder::claim(&path(out), &skab, &path(data));
        let refused = |outcome: Result<OutputFolder>| outcome.err().map(|error| error.to_string()).unwrap_or_default();

        let folder = claim("out", "data").expect("it is new");
        assert!(!path("out").exists(), "a claim writes nothing");
        folder.mark().expect("written");
        fs::write(folder.file("sub/run.csv").expect("created"), "predictions").expect("written");
        claim("out", "data").expect("the same command");
        let error = refused(claim("out", "other"));
        assert!(
            error.contains("holds the results for the profile skab") && error.contains("allowed: a new"),
            "{error}"
        );
        let error = refused(OutputFolder::claim(&path("out"), &centrifugal.expect("built in"), &path("data")));
        assert!(error.contains("holds the results for the profile skab"), "{error}");
        let error = refused(claim("data", "data"));
        assert!(error.contains("is not empty") && error.contains("allowed: a new or empty folder"), "{error}");
        fs::create_dir(path("empty")).expect("created");
        claim("empty", "data").expect("it is empty");
        assert!(refused(claim("out", "absent")).contains("absent cannot be read"));
        assert!(refused(claim("data/run.csv", "data")).contains("run.csv cannot be read"), "it is a file");
    }
}
