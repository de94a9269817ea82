//! A backup's manifest: what it holds, file by file, as JSON.
//!
//! Its paths are checked as it is read: none leads out of the backup.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use super::{error::BackupError, files::at};

/// The form that is written; others are refused.
pub(super) const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the manifest's own form.
    pub format: u32,
    /// The version of the program that made it.
    pub product: String,
    /// The newest migration of its database.
    pub schema: u32,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Every record of the journal up to this one is in it.
    pub durable_seq: u64,
    /// Every record below this is in its database.
    pub low_water: u64,
    /// Its folders, each before what is in it; `/` between names.
    pub folders: Vec<String>,
    /// Its files, sorted by path.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its place in the data directory; `/` between names.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of what is in it, in hex.
    pub sha256: String,
}

/// The part that all forms have.
#[derive(Deserialize)]
struct AnyForm {
    format: u32,
}

impl Manifest {
    /// The length of its files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileEntry> {
        let found = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(found)
    }

    pub(super) fn load(path: &Path) -> Result<Self, BackupError> {
        let text = fs::read(path).map_err(at(path))?;
        Self::parse(&text).map_err(|reason| BackupError::Manifest { path: path.to_owned(), reason })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let AnyForm { format } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("it has form {format}, and this version reads form {FORMAT}"));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let paths = manifest.folders.iter().chain(manifest.files.iter().map(|file| &file.path));
        if let Some(path) = paths.into_iter().find(|path| !is_inside(path)) {
            return Err(format!("the path {path:?} leads out of it"));
        }
        let distinct: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
        if distinct.len() != manifest.files.len() || !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err("its files are not sorted by path".to_owned());
        }
        Ok(manifest)
    }

    /// Writes it, down to the disk.
    pub(super) fn save(&self, path: &Path) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Manifest { path: path.to_owned(), reason: error.to_string() })?;
        let mut file = File::create_new(path).map_err(at(path))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(at(path))
    }
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
