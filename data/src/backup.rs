//! Backups of a data directory: made from a staged copy, verified, listed and restored.
//!
//! A repository is a folder of backups. Each backup is a folder named after its time: a complete data directory with a
//! manifest. It can be restored alone, copied elsewhere, or deleted. Files that have not changed since the previous
//! backup are hard links to its files and take no space:
//!
//! ```text
//! backups/
//!   2026-11-25T06-20-00Z/    manifest.json, database/sst/1.sst, database/manifest, journal/1
//!   2026-11-25T07-20-00Z/    manifest.json, database/sst/1.sst (a hard link), database/sst/2.sst, database/manifest
//!   2026-11-25T08-20-00Z.partial/    interrupted; the next backup removes it
//! ```
//!
//! Does not make the staged copy; see [`crate::Store::stage`]. Does not decide when to make a backup nor how many to
//! retain: the caller of the command does. Does not encrypt.

mod error;
mod files;
mod layout;
mod listing;
mod manifest;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use serde::{Deserialize, Serialize};
use volute_journal::{durable::create_folder, failpoints::fail_point};
use volute_plant::Timestamp;

pub use error::{BackupError, Damage};
pub use listing::{ListedBackup, list};
pub use manifest::{FileEntry, Manifest};
pub use restore::{RestoreReport, restore, verify};

use crate::StagedCopy;
use files::{Contents, at, check_not_stopped, copy, sync_folder};
use layout::{MANIFEST, PARTIAL, is_name};

/// The source and the metadata of a backup.
#[derive(Debug, Clone, Copy)]
pub struct BackupRequest<'a> {
    /// The data directory that was staged.
    pub data_dir: &'a Path,
    /// What the staged copy contains.
    pub staged: StagedCopy,
    /// The current time.
    pub created_at: Timestamp,
    /// The version of the program.
    pub product: &'a str,
    /// Set by the caller to stop the backup early.
    pub stopping: &'a AtomicBool,
}

/// The report of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The name of the backup in the repository.
    pub name: String,
    /// The path of its folder.
    pub dir: PathBuf,
    /// The number of its files, without the manifest.
    pub files: u64,
    /// The total length of its files.
    pub bytes: u64,
    /// The number of files that were copied.
    pub copied: u64,
    /// The total length of the copied files.
    pub copied_bytes: u64,
    /// The number of files that are hard links to the previous backup.
    pub linked: u64,
    /// The backup holds every journal record up to this number.
    pub durable_seq: u64,
}

/// Makes a backup of a staged copy as a new folder of the repository. Creates the repository if it is missing.
///
/// The backup shares no file with `staging` or the data directory. When this returns, the backup is durable. An
/// interrupted backup has a different name and is removed by the next.
pub fn take(staging: &Path, repository: &Path, request: &BackupRequest<'_>) -> Result<BackupReport, BackupError> {
    files::check_not_nested(request.data_dir, repository)?;
    create_folder(repository).map_err(at(repository))?;
    let _lock = files::lock(repository)?;
    remove_partials(repository)?;
    let previous = newest_backup(repository)?;
    let name = free_name(repository, request.created_at);
    let partial = repository.join(format!("{name}.{PARTIAL}"));
    let contents = Contents::of(staging)?;
    contents.make_folders(&partial)?;
    let mut writer =
        BackupWriter { staging, partial: &partial, previous: previous.as_ref(), copied: Vec::new(), linked: 0 };
    let mut entries = Vec::new();
    for (path, bytes) in &contents.files {
        check_not_stopped(request.stopping)?;
        fail_point("backup-file").map_err(at(&partial))?;
        entries.push(writer.add_file(path, *bytes, request.stopping)?);
    }
    let BackupWriter { copied, linked, .. } = writer;
    let manifest = Manifest {
        format: manifest::FORMAT,
        product: request.product.to_owned(),
        schema: request.staged.schema,
        created_at: request.created_at,
        durable_seq: request.staged.durable_seq,
        low_water: request.staged.low_water,
        folders: contents.folders.clone(),
        files: entries,
    };
    manifest.save(&partial.join(MANIFEST))?;
    contents.sync_folders(&partial)?;
    let dir = repository.join(&name);
    fail_point("backup-rename").map_err(at(&dir))?;
    fs::rename(&partial, &dir).map_err(at(&dir))?;
    fail_point("backup-renamed").map_err(at(&dir))?;
    sync_folder(repository)?;
    Ok(BackupReport {
        name,
        dir,
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        copied: copied.len() as u64,
        copied_bytes: copied.iter().sum(),
        linked,
        durable_seq: manifest.durable_seq,
    })
}

/// Fails if the repository is inside the data directory or contains it. [`take`] checks this too.
pub fn check_repository(data_dir: &Path, repository: &Path) -> Result<(), BackupError> {
    files::check_not_nested(data_dir, repository)
}

/// Returns the newest backup whose manifest can be read. A new backup may link its files.
fn newest_backup(repository: &Path) -> Result<Option<PreviousBackup>, BackupError> {
    let readable = |backup: ListedBackup| Some(PreviousBackup { dir: backup.dir, manifest: backup.manifest.ok()? });
    Ok(list(repository)?.into_iter().rev().find_map(readable))
}

struct PreviousBackup {
    dir: PathBuf,
    manifest: Manifest,
}

/// Writes the files of a backup.
struct BackupWriter<'a> {
    staging: &'a Path,
    partial: &'a Path,
    previous: Option<&'a PreviousBackup>,
    /// The length of each copied file.
    copied: Vec<u64>,
    /// The number of linked files.
    linked: u64,
}

impl BackupWriter<'_> {
    /// Adds a file: as a hard link if the previous backup has the same file undamaged, otherwise as a copy.
    fn add_file(&mut self, path: &str, bytes: u64, stopping: &AtomicBool) -> Result<FileEntry, BackupError> {
        let (from, to) = (self.staging.join(path), self.partial.join(path));
        if let Some(previous) = self.previous
            && let Some(entry) = previous.manifest.file(path).filter(|entry| entry.bytes == bytes)
            && files::sha256(&from, stopping)? == entry.sha256
        {
            let previous_file = previous.dir.join(path);
            match files::sha256(&previous_file, stopping) {
                // Linking fails on a file system without hard links, or if the file has too many: then it is copied.
                Ok(sha256) if sha256 == entry.sha256 && fs::hard_link(&previous_file, &to).is_ok() => {
                    self.linked += 1;
                    return Ok(entry.clone());
                }
                Ok(sha256) if sha256 == entry.sha256 => {}
                Err(BackupError::Stopped) => return Err(BackupError::Stopped),
                _ => tracing::warn!(file = %previous_file.display(), "a file of an earlier backup is damaged"),
            }
        }
        let (bytes, sha256) = copy(&from, &to, stopping)?;
        self.copied.push(bytes);
        Ok(FileEntry { path: path.to_owned(), bytes, sha256 })
    }
}

/// Removes interrupted backups. The caller holds the repository's lock.
fn remove_partials(repository: &Path) -> Result<(), BackupError> {
    for entry in repository.read_dir().map_err(at(repository))? {
        let entry = entry.map_err(at(repository))?;
        let name = entry.file_name();
        let backup_name = name.to_str().and_then(|name| name.strip_suffix(PARTIAL)?.strip_suffix('.'));
        if backup_name.is_some_and(is_name) {
            tracing::info!(folder = %entry.path().display(), "an incomplete backup is removed");
            fs::remove_dir_all(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    Ok(())
}

/// Returns the name of a backup at this time, or at the next second that has none yet.
fn free_name(repository: &Path, mut now: Timestamp) -> String {
    loop {
        let name = name_at(now);
        if !repository.join(&name).exists() {
            return name;
        }
        now = now.plus_ms(1000);
    }
}

/// Returns a name such as `2026-11-25T06-20-00Z`. Names sort by time, and are valid file names on every system.
fn name_at(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{}Z", seconds.replace(':', "-"))
}
