//! The errors of making, checking and restoring backups.

use std::{fmt, io, path::PathBuf};

/// The maximum number of damaged files that an error names.
const MAX_NAMED_FILES: usize = 5;

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The data directory is inside the repository, or the repository inside the data directory.
    #[error("{} is inside {}: keep backups and data apart, best on different disks", inner.display(), outer.display())]
    NestedFolders {
        /// The outer folder.
        outer: PathBuf,
        /// The inner folder.
        inner: PathBuf,
    },
    /// Another backup is being made in the repository.
    #[error("another backup is being made in {}", repository.display())]
    Busy {
        /// The repository.
        repository: PathBuf,
    },
    /// Another restore into the same folder is in progress.
    #[error("another restore into {} is in progress", into.display())]
    Restoring {
        /// The folder.
        into: PathBuf,
    },
    /// The data directory contains something that cannot be backed up.
    #[error("{} cannot be backed up: it is neither a file nor a folder with a name in UTF-8", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// The manifest is damaged, or of a format that this version does not read.
    #[error("{} is not the manifest of a backup that this version reads: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository has no complete backup.
    #[error("{} holds no backup", repository.display())]
    Empty {
        /// The repository.
        repository: PathBuf,
    },
    /// The repository has no backup with the requested name.
    #[error("{} holds no backup {name}; `--list` lists them", repository.display())]
    UnknownBackup {
        /// The repository.
        repository: PathBuf,
        /// The requested name.
        name: String,
    },
    /// Files differ from the manifest.
    #[error("the backup {} is damaged: {}", dir.display(), summarize(damage))]
    Damaged {
        /// The backup.
        dir: PathBuf,
        /// All damaged files.
        damage: Vec<Damage>,
    },
    /// The target of a restore exists and is not an empty folder.
    #[error("{} already exists and is not empty: move it away, or restore into another folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// It was stopped on request.
    #[error("the backup was stopped before it was complete")]
    Stopped,
}

/// A damaged file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with the file.
    pub problem: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.problem)
    }
}

fn summarize(damage: &[Damage]) -> String {
    let named: Vec<String> = damage.iter().take(MAX_NAMED_FILES).map(Damage::to_string).collect();
    match damage.len().saturating_sub(MAX_NAMED_FILES) {
        0 => named.join("; "),
        more => format!("{}; and {more} more files", named.join("; ")),
    }
}
