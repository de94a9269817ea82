//! The manifest of a backup: a JSON file with the folders, files and checksums of the backup.
//!
//! ```json
//! {
//!   "format": 1,
//!   "product": "1.2.3",
//!   "schema": 3,
//!   "created_at": "2026-11-25T06:20:00.250Z",
//!   "durable_seq": 9,
//!   "low_water": 4,
//!   "folders": ["database", "journal"],
//!   "files": [{ "path": "journal/1", "bytes": 1, "sha256": "189f4003..." }]
//! }
//! ```
//!
//! Its paths are checked when it is read: no path may lead out of the backup.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use super::{error::BackupError, files::at};

/// The format that this version writes and reads. Others are refused.
pub(super) const FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the manifest's format.
    pub format: u32,
    /// The version of the program that made the backup.
    pub product: String,
    /// The number of the newest migration of its database.
    pub schema: u32,
    /// When the backup was begun.
    pub created_at: Timestamp,
    /// The backup holds every journal record up to this number.
    pub durable_seq: u64,
    /// Every journal record below this number is in its database.
    pub low_water: u64,
    /// Its folders, each before its subfolders, with `/` between names.
    pub folders: Vec<String>,
    /// Its files, sorted by path.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path relative to the data directory, with `/` between names.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hex.
    pub sha256: String,
}

/// The field that manifests of all formats have.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    /// Returns the total length of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileEntry> {
        let index = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(index)
    }

    pub(super) fn load(path: &Path) -> Result<Self, BackupError> {
        let text = fs::read(path).map_err(at(path))?;
        Self::parse(&text).map_err(|reason| BackupError::Manifest { path: path.to_owned(), reason })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let FormatOnly { format } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("its format is {format}, and this version reads format {FORMAT}"));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let paths = manifest.folders.iter().chain(manifest.files.iter().map(|file| &file.path));
        if let Some(path) = paths.into_iter().find(|path| !is_inside(path)) {
            return Err(format!("the path {path:?} leads out of it"));
        }
        let unique_paths: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
        if unique_paths.len() != manifest.files.len() || !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err("its files are not sorted by path".to_owned());
        }
        Ok(manifest)
    }

    /// Writes the manifest to a new file and syncs it.
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
