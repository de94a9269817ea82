//! A backup put back: all of it checked first, then copied beside its place, then renamed.
//!
//! The folder beside it is locked meanwhile: of two that restore to one place at the same time, the second is refused.

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
    files::{at, check_apart, copy, make_folders, sha256, sync_folder, sync_folders},
    layout::{MANIFEST, PARTIAL},
    listing::list,
    manifest::Manifest,
};

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub dir: PathBuf,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its files.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
    /// Every record of the journal up to this one is in it.
    pub durable_seq: u64,
}

/// Reads all of a backup and compares it with its manifest. Says all that is damaged.
pub fn verify(dir: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::load(&dir.join(MANIFEST))?;
    let mut damage = Vec::new();
    for entry in &manifest.files {
        let path = dir.join(&entry.path);
        match what_is_wrong(&path, entry.bytes, &entry.sha256) {
            Ok(None) => {}
            Ok(Some(what)) => damage.push(Damage { path, what }),
            Err(error) => damage.push(Damage { path, what: format!("cannot be read: {error}") }),
        }
    }
    if damage.is_empty() { Ok(manifest) } else { Err(BackupError::Damaged { dir: dir.to_owned(), damage }) }
}

/// Puts a backup back as the data directory `into`, which must not exist, or be empty.
///
/// `from` is a repository, of which the newest backup is taken or the one named `which`; or a backup itself. Under the
/// name `into` there is never a part of it.
pub fn restore(from: &Path, which: Option<&str>, into: &Path) -> Result<Restored, BackupError> {
    let dir = chosen(from, which)?;
    check_apart(from, into)?;
    check_free(into)?;
    let manifest = verify(&dir)?;
    let (partial, parent) = beside(into)?;
    create_folder(&parent).map_err(at(&parent))?;
    let _lock = take_over(&partial, into)?;
    let copied = copy_all(&dir, &manifest, &partial)
        .and_then(|()| fs::rename(&partial, into).map_err(|error| taken(error, into)))
        .and_then(|()| sync_folder(&parent));
    if let Err(error) = copied {
        if let Err(second) = fs::remove_dir_all(&partial) {
            tracing::warn!(error = %second, "what was restored in part could not be removed");
        }
        return Err(error);
    }
    let (files, bytes) = (manifest.files.len() as u64, manifest.bytes());
    Ok(Restored { dir, created_at: manifest.created_at, files, bytes, durable_seq: manifest.durable_seq })
}

fn chosen(from: &Path, which: Option<&str>) -> Result<PathBuf, BackupError> {
    if from.join(MANIFEST).is_file() && which.is_none() {
        return Ok(from.to_owned());
    }
    let backups = list(from)?;
    let found = match which {
        Some(which) => backups.into_iter().find(|backup| backup.name == which),
        None => backups.into_iter().next_back(),
    };
    let repository = from.to_owned();
    found.map(|backup| backup.dir).ok_or_else(|| match which {
        Some(which) => BackupError::NoSuch { repository, which: which.to_owned() },
        None => BackupError::Empty { repository },
    })
}

fn check_free(into: &Path) -> Result<(), BackupError> {
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

/// The folder that it is restored in first, and the one that both are in.
fn beside(into: &Path) -> Result<(PathBuf, PathBuf), BackupError> {
    let absolute = std::path::absolute(into).map_err(at(into))?;
    match (absolute.file_name(), absolute.parent()) {
        (Some(name), Some(parent)) => {
            let mut partial = name.to_owned();
            partial.push(".");
            partial.push(PARTIAL);
            Ok((parent.join(partial), parent.to_owned()))
        }
        _ => Err(at(into)(io::Error::new(io::ErrorKind::InvalidInput, "no folder of its own"))),
    }
}

/// Makes the folder that it is restored in first, or empties one that was left over, and locks it: what is locked is
/// another's, who restores to the same place now.
fn take_over(partial: &Path, into: &Path) -> Result<File, BackupError> {
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
    // Another may have ended between the opening and the lock: then what is locked is what it restored.
    let locked = lock.metadata().map_err(at(partial))?;
    match fs::symlink_metadata(partial) {
        Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => {}
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

/// Something came to be at the place of a restored folder meanwhile.
fn taken(error: io::Error, into: &Path) -> BackupError {
    match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            BackupError::Occupied { path: into.to_owned() }
        }
        _ => at(into)(error),
    }
}

fn copy_all(dir: &Path, manifest: &Manifest, partial: &Path) -> Result<(), BackupError> {
    let going_on = AtomicBool::new(false);
    make_folders(partial, &manifest.folders)?;
    for entry in &manifest.files {
        let path = dir.join(&entry.path);
        let (bytes, sha256) = copy(&path, &partial.join(&entry.path), &going_on)?;
        if let Some(what) = differs((bytes, &sha256), (entry.bytes, &entry.sha256)) {
            return Err(BackupError::Damaged { dir: dir.to_owned(), damage: vec![Damage { path, what }] });
        }
    }
    sync_folders(partial, &manifest.folders)
}

fn what_is_wrong(path: &Path, bytes: u64, expected: &str) -> Result<Option<String>, BackupError> {
    let found = fs::metadata(path).map_err(at(path))?.len();
    if found != bytes {
        return Ok(differs((found, ""), (bytes, "")));
    }
    Ok(differs((found, &sha256(path, &AtomicBool::new(false))?), (bytes, expected)))
}

/// What is wrong with a file, by its length and checksum.
fn differs(found: (u64, &str), expected: (u64, &str)) -> Option<String> {
    if found.0 != expected.0 {
        return Some(format!("has {} bytes instead of {}", found.0, expected.0));
    }
    (found.1 != expected.1).then(|| "is not what was written: its checksum is another".to_owned())
}
