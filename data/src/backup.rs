//! Backups of a data directory: made from a staged copy, checked, listed, put back.
//!
//! A repository is a folder of backups, one folder each, named after its time. Each is a whole data directory with a
//! manifest, so it can be restored alone, copied elsewhere, or deleted; files that have not changed since the backup
//! before are hard links to it and take no room. Deliberately absent: making the staged copy ([`crate::Store::stage`]),
//! when to make a backup and how many to keep (whoever runs the command decides), and encryption.

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
use volute_journal::{durable::create_folder, points::reach};
use volute_plant::Timestamp;

pub use error::{BackupError, Damage};
pub use listing::{Listed, list};
pub use manifest::{FileEntry, Manifest};
pub use restore::{Restored, restore, verify};

use crate::Staged;
use files::{Contents, at, check_going, copy, sync_folder};
use layout::{MANIFEST, PARTIAL, is_name};

/// What a backup is of.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The data directory that was staged.
    pub data_dir: &'a Path,
    /// What the staged copy holds.
    pub staged: Staged,
    /// Now.
    pub created_at: Timestamp,
    /// The version of the program.
    pub product: &'a str,
    /// Set from outside to end it early.
    pub stopping: &'a AtomicBool,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its name in the repository.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its files, the manifest not counted.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
    /// Files that were copied.
    pub copied: u64,
    /// Their length together.
    pub copied_bytes: u64,
    /// Files that are those of an earlier backup.
    pub linked: u64,
    /// The journal's records up to this one are in it.
    pub durable_seq: u64,
}

/// Makes a backup of a staged copy as a new folder of the repository, which is made if need be.
///
/// Nothing of the backup is shared with `staging` or the data directory. When it returns, all of it is on the disk. A
/// backup that was cut short has another name, and is cleared away by the next.
pub fn take(staging: &Path, repository: &Path, about: &About<'_>) -> Result<BackupReport, BackupError> {
    files::check_apart(about.data_dir, repository)?;
    create_folder(repository).map_err(at(repository))?;
    let _lock = files::lock(repository)?;
    remove_partials(repository)?;
    let earlier = newest(repository)?;
    let name = free_name(repository, about.created_at);
    let partial = repository.join(format!("{name}.{PARTIAL}"));
    let contents = Contents::of(staging)?;
    contents.make_folders(&partial)?;
    let mut copying = Copying { staging, partial: &partial, earlier: earlier.as_ref(), copied: Vec::new(), linked: 0 };
    let mut entries = Vec::new();
    for (path, bytes) in &contents.files {
        check_going(about.stopping)?;
        reach("backup-file").map_err(at(&partial))?;
        entries.push(copying.put(path, *bytes, about.stopping)?);
    }
    let Copying { copied, linked, .. } = copying;
    let manifest = Manifest {
        format: manifest::FORMAT,
        product: about.product.to_owned(),
        schema: about.staged.schema,
        created_at: about.created_at,
        durable_seq: about.staged.durable_seq,
        low_water: about.staged.low_water,
        folders: contents.folders.clone(),
        files: entries,
    };
    manifest.save(&partial.join(MANIFEST))?;
    contents.sync_folders(&partial)?;
    let dir = repository.join(&name);
    reach("backup-rename").map_err(at(&dir))?;
    fs::rename(&partial, &dir).map_err(at(&dir))?;
    reach("backup-renamed").map_err(at(&dir))?;
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

/// Refuses a repository that a data directory must not have: one inside it, or around it. [`take`] checks it too.
pub fn check_repository(data_dir: &Path, repository: &Path) -> Result<(), BackupError> {
    files::check_apart(data_dir, repository)
}

/// The newest complete backup, to link to.
fn newest(repository: &Path) -> Result<Option<Earlier>, BackupError> {
    let readable = |backup: Listed| Some(Earlier { dir: backup.dir, manifest: backup.manifest.ok()? });
    Ok(list(repository)?.into_iter().rev().find_map(readable))
}

struct Earlier {
    dir: PathBuf,
    manifest: Manifest,
}

/// A backup's files on their way.
struct Copying<'a> {
    staging: &'a Path,
    partial: &'a Path,
    earlier: Option<&'a Earlier>,
    /// How long each file is that was copied.
    copied: Vec<u64>,
    linked: u64,
}

impl Copying<'_> {
    /// Links a file to the earlier backup's where that is the same and still undamaged, and copies it elsewhere.
    fn put(&mut self, path: &str, bytes: u64, stopping: &AtomicBool) -> Result<FileEntry, BackupError> {
        let (from, to) = (self.staging.join(path), self.partial.join(path));
        if let Some(earlier) = self.earlier
            && let Some(entry) = earlier.manifest.file(path).filter(|entry| entry.bytes == bytes)
            && files::sha256(&from, stopping)? == entry.sha256
        {
            let before = earlier.dir.join(path);
            match files::sha256(&before, stopping) {
                // A file system without links, or with too many of this one: a copy does as well.
                Ok(sha256) if sha256 == entry.sha256 && fs::hard_link(&before, &to).is_ok() => {
                    self.linked += 1;
                    return Ok(entry.clone());
                }
                Ok(sha256) if sha256 == entry.sha256 => {}
                Err(BackupError::Stopped) => return Err(BackupError::Stopped),
                _ => tracing::warn!(file = %before.display(), "a file of an earlier backup is damaged"),
            }
        }
        let (bytes, sha256) = copy(&from, &to, stopping)?;
        self.copied.push(bytes);
        Ok(FileEntry { path: path.to_owned(), bytes, sha256 })
    }
}

/// Removes what backups left that were cut short. Whoever calls holds the repository's lock.
fn remove_partials(repository: &Path) -> Result<(), BackupError> {
    for entry in repository.read_dir().map_err(at(repository))? {
        let entry = entry.map_err(at(repository))?;
        let name = entry.file_name();
        let stamp = name.to_str().and_then(|name| name.strip_suffix(PARTIAL)?.strip_suffix('.'));
        if stamp.is_some_and(is_name) {
            tracing::info!(folder = %entry.path().display(), "a backup that was cut short is removed");
            fs::remove_dir_all(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    Ok(())
}

/// The name of a backup made at this time, or in the next second that has none yet.
fn free_name(repository: &Path, mut now: Timestamp) -> String {
    loop {
        let name = stamp(now);
        if !repository.join(&name).exists() {
            return name;
        }
        now = now.plus_ms(1000);
    }
}

/// `2026-11-25T06-20-00Z`: sorts by time, and is a file's name everywhere.
fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{}Z", seconds.replace(':', "-"))
}
