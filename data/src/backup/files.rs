//! Operations on files and folders: list, copy with a checksum, sync, lock.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use sha2::{Digest, Sha256};

use super::{
    error::BackupError,
    layout::{LOCK, MANIFEST},
};

/// The number of bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Returns a conversion that adds the path to an I/O error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

/// Fails with [`BackupError::Stopped`] if a stop was requested.
pub(super) fn check_not_stopped(stopping: &AtomicBool) -> Result<(), BackupError> {
    if stopping.load(Ordering::Relaxed) { Err(BackupError::Stopped) } else { Ok(()) }
}

/// Takes the repository's lock, which is held until the file is dropped. Fails if another process holds it.
pub(super) fn lock(repository: &Path) -> Result<File, BackupError> {
    let path = repository.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(BackupError::Busy { repository: repository.to_owned() }),
        Err(TryLockError::Error(source)) => Err(BackupError::Io { path, source }),
    }
}

/// Fails if one folder is inside the other, or both are the same. The folders need not exist.
pub(super) fn check_not_nested(a: &Path, b: &Path) -> Result<(), BackupError> {
    let (a, b) = (resolve(a)?, resolve(b)?);
    if b.starts_with(&a) {
        return Err(BackupError::NestedFolders { outer: a, inner: b });
    }
    if a.starts_with(&b) {
        return Err(BackupError::NestedFolders { outer: b, inner: a });
    }
    Ok(())
}

/// Resolves the symlinks of the part of the path that exists.
fn resolve(path: &Path) -> Result<PathBuf, BackupError> {
    let absolute = std::path::absolute(path).map_err(at(path))?;
    for existing in absolute.ancestors() {
        if let Ok(resolved) = existing.canonicalize() {
            let suffix = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
            return Ok(if suffix.as_os_str().is_empty() { resolved } else { resolved.join(suffix) });
        }
    }
    Ok(absolute)
}

/// The content of a folder, sorted.
pub(super) struct Contents {
    /// Its folders, each before its subfolders, with `/` between names.
    pub folders: Vec<String>,
    /// Its files with their lengths in bytes.
    pub files: Vec<(String, u64)>,
}

impl Contents {
    pub(super) fn of(dir: &Path) -> Result<Self, BackupError> {
        let mut contents = Self { folders: Vec::new(), files: Vec::new() };
        contents.walk(dir, "")?;
        contents.folders.sort();
        contents.files.sort();
        Ok(contents)
    }

    fn walk(&mut self, dir: &Path, prefix: &str) -> Result<(), BackupError> {
        for entry in dir.read_dir().map_err(at(dir))? {
            let entry = entry.map_err(at(dir))?;
            let full = entry.path();
            let not_a_file = || BackupError::NotAFile { path: full.clone() };
            let name = entry.file_name().into_string().map_err(|_| not_a_file())?;
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(at(&full))?;
            if kind.is_dir() {
                self.walk(&full, &format!("{path}/"))?;
                self.folders.push(path);
            } else if kind.is_file() && path != MANIFEST {
                self.files.push((path, entry.metadata().map_err(at(&full))?.len()));
            } else {
                return Err(not_a_file());
            }
        }
        Ok(())
    }

    /// Creates a folder with these folders in it.
    pub(super) fn make_folders(&self, new: &Path) -> Result<(), BackupError> {
        fs::create_dir(new).map_err(at(new))?;
        make_folders(new, &self.folders)
    }

    /// Syncs a folder and these folders in it.
    pub(super) fn sync_folders(&self, dir: &Path) -> Result<(), BackupError> {
        sync_folders(dir, &self.folders)
    }
}

/// Creates folders in an empty folder. Each must come after its parent.
pub(super) fn make_folders(empty: &Path, folders: &[String]) -> Result<(), BackupError> {
    for folder in folders {
        let folder = empty.join(folder);
        fs::create_dir(&folder).map_err(at(&folder))?;
    }
    Ok(())
}

/// Syncs a folder and these folders in it.
pub(super) fn sync_folders(dir: &Path, folders: &[String]) -> Result<(), BackupError> {
    for folder in folders.iter().rev() {
        sync_folder(&dir.join(folder))?;
    }
    sync_folder(dir)
}

/// Syncs a folder: makes the names in it durable.
pub(super) fn sync_folder(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(at(dir))
}

/// Copies a file to a new one and syncs it. Returns the length and the checksum of the bytes that were read.
pub(super) fn copy(from: &Path, to: &Path, stopping: &AtomicBool) -> Result<(u64, String), BackupError> {
    let mut file = File::create_new(to).map_err(at(to))?;
    let copied = read(from, stopping, |chunk| file.write_all(chunk).map_err(at(to)))?;
    file.sync_all().map_err(at(to))?;
    Ok(copied)
}

/// Returns the SHA-256 of a file, in hex.
pub(super) fn sha256(path: &Path, stopping: &AtomicBool) -> Result<String, BackupError> {
    read(path, stopping, |_| Ok(())).map(|(_, sha256)| sha256)
}

fn read(
    path: &Path,
    stopping: &AtomicBool,
    mut on_chunk: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<(u64, String), BackupError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut bytes, mut sha256) = (0, Sha256::new());
    loop {
        check_not_stopped(stopping)?;
        let n = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(BackupError::Io { path: path.to_owned(), source }),
        };
        let read = chunk.get(..n).unwrap_or_default();
        sha256.update(read);
        on_chunk(read)?;
        bytes += n as u64;
    }
    Ok((bytes, sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
