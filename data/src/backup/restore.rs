//! Restores a backup: verifies it, copies it to a temporary folder, and renames that folder to the target.
//!
//! ```text
//! backups/2026-11-25T06-20-00Z ──verify──▶ copy to data.partial (locked), sync ──rename──▶ data ──▶ sync the parent
//! ```
//!
//! The temporary folder is locked meanwhile: of two concurrent restores to the same target, the second is refused.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use rustix::fs::OFlags;
use volute_journal::durable::create_folder;
use volute_plant::Timestamp;

use super::{
    error::{BackupError, Damage},
    files::{at, check_not_nested, copy, make_folders, sha256, sync_folder, sync_folders},
    layout::{MANIFEST, PARTIAL},
    listing::list,
    manifest::Manifest,
};

/// The report of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The folder of the backup.
    pub dir: PathBuf,
    /// When the backup was made.
    pub created_at: Timestamp,
    /// The number of its files.
    pub files: u64,
    /// The total length of its files.
    pub bytes: u64,
    /// The backup holds every journal record up to this number.
    pub durable_seq: u64,
}

/// Reads all files of a backup and compares them with its manifest. The error lists every damaged file.
pub fn verify(dir: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::load(&dir.join(MANIFEST))?;
    let mut damage = Vec::new();
    for entry in &manifest.files {
        let path = dir.join(&entry.path);
        match find_problem(&path, entry.bytes, &entry.sha256) {
            Ok(None) => {}
            Ok(Some(problem)) => damage.push(Damage { path, problem }),
            Err(error) => damage.push(Damage { path, problem: format!("cannot be read: {error}") }),
        }
    }
    if damage.is_empty() { Ok(manifest) } else { Err(BackupError::Damaged { dir: dir.to_owned(), damage }) }
}

/// Restores a backup to the data directory `into`, which must be missing or empty.
///
/// `from` is a repository or a single backup. Of a repository, the backup `name` is restored, or the newest without a
/// name. `into` never holds an incomplete copy.
pub fn restore(from: &Path, name: Option<&str>, into: &Path) -> Result<RestoreReport, BackupError> {
    let dir = select_backup(from, name)?;
    check_not_nested(from, into)?;
    check_empty(into)?;
    let manifest = verify(&dir)?;
    let (partial, parent) = partial_folder(into)?;
    create_folder(&parent).map_err(at(&parent))?;
    let _lock = prepare_partial_folder(&partial, into)?;
    let copied = copy_all(&dir, &manifest, &partial)
        .and_then(|()| fs::rename(&partial, into).map_err(|error| rename_error(error, into)))
        .and_then(|()| sync_folder(&parent));
    if let Err(error) = copied {
        if let Err(remove_error) = fs::remove_dir_all(&partial) {
            tracing::warn!(error = %remove_error, "the incomplete restored folder could not be removed");
        }
        return Err(error);
    }
    let (files, bytes) = (manifest.files.len() as u64, manifest.bytes());
    Ok(RestoreReport { dir, created_at: manifest.created_at, files, bytes, durable_seq: manifest.durable_seq })
}

fn select_backup(from: &Path, name: Option<&str>) -> Result<PathBuf, BackupError> {
    if from.join(MANIFEST).is_file() && name.is_none() {
        return Ok(from.to_owned());
    }
    let backups = list(from)?;
    let found = match name {
        Some(name) => backups.into_iter().find(|backup| backup.name == name),
        None => backups.into_iter().next_back(),
    };
    let repository = from.to_owned();
    found.map(|backup| backup.dir).ok_or_else(|| match name {
        Some(name) => BackupError::UnknownBackup { repository, name: name.to_owned() },
        None => BackupError::Empty { repository },
    })
}

fn check_empty(into: &Path) -> Result<(), BackupError> {
    let occupied = || Err(BackupError::Occupied { path: into.to_owned() });
    match into.read_dir() {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => occupied(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => occupied(),
        Err(error) => Err(at(into)(error)),
    }
}

/// Returns the temporary folder of a restore, and the parent of it and of the target.
fn partial_folder(into: &Path) -> Result<(PathBuf, PathBuf), BackupError> {
    let absolute = std::path::absolute(into).map_err(at(into))?;
    match (absolute.file_name(), absolute.parent()) {
        (Some(name), Some(parent)) => {
            let mut partial = name.to_owned();
            partial.push(".");
            partial.push(PARTIAL);
            Ok((parent.join(partial), parent.to_owned()))
        }
        _ => Err(at(into)(io::Error::new(io::ErrorKind::InvalidInput, "it has no parent folder"))),
    }
}

/// Creates and locks the temporary folder of a restore, and empties it if it exists. Fails if it is locked: then
/// another restore to the same target is in progress.
fn prepare_partial_folder(partial: &Path, into: &Path) -> Result<File, BackupError> {
    let busy = || Err(BackupError::Restoring { into: into.to_owned() });
    match fs::create_dir(partial) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(partial)(error)),
        _ => {}
    }
    let lock = rustix::fs::open(
        partial,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let lock = File::from(lock.map_err(|error| at(partial)(error.into()))?);
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return busy(),
        Err(TryLockError::Error(error)) => return Err(at(partial)(error)),
    }
    // If another restore ended between the opening and the lock, the locked folder is the one that it restored.
    let locked = lock.metadata().map_err(at(partial))?;
    match fs::symlink_metadata(partial) {
        Ok(current) if (current.dev(), current.ino()) == (locked.dev(), locked.ino()) => {}
        _ => return busy(),
    }
    for entry in partial.read_dir().map_err(at(partial))? {
        let entry = entry.map_err(at(partial))?;
        let path = entry.path();
        let is_dir = entry.file_type().map_err(at(&path))?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(at(&path))?;
    }
    Ok(lock)
}

/// Converts an error of the rename. The target may have been created meanwhile.
fn rename_error(error: io::Error, into: &Path) -> BackupError {
    match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            BackupError::Occupied { path: into.to_owned() }
        }
        _ => at(into)(error),
    }
}

fn copy_all(dir: &Path, manifest: &Manifest, partial: &Path) -> Result<(), BackupError> {
    let no_cancel = AtomicBool::new(false);
    make_folders(partial, &manifest.folders)?;
    for entry in &manifest.files {
        let path = dir.join(&entry.path);
        let (bytes, sha256) = copy(&path, &partial.join(&entry.path), &no_cancel)?;
        if let Some(problem) = describe_difference((bytes, &sha256), (entry.bytes, &entry.sha256)) {
            return Err(BackupError::Damaged { dir: dir.to_owned(), damage: vec![Damage { path, problem }] });
        }
    }
    sync_folders(partial, &manifest.folders)
}

fn find_problem(path: &Path, bytes: u64, expected: &str) -> Result<Option<String>, BackupError> {
    let found = fs::metadata(path).map_err(at(path))?.len();
    if found != bytes {
        return Ok(describe_difference((found, ""), (bytes, "")));
    }
    Ok(describe_difference((found, &sha256(path, &AtomicBool::new(false))?), (bytes, expected)))
}

/// Describes how a file's length and checksum differ from the expected ones; none if they are equal.
fn describe_difference(found: (u64, &str), expected: (u64, &str)) -> Option<String> {
    if found.0 != expected.0 {
        return Some(format!("has {} bytes instead of {}", found.0, expected.0));
    }
    (found.1 != expected.1).then(|| "has changed: its checksum differs".to_owned())
}
