//! What can go wrong with a backup.

use std::{fmt, io, path::PathBuf};

/// How many damaged files an error names.
const NAMED: usize = 5;

/// Why a backup was not made, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data directory and the repository are not apart.
    #[error("{} is inside {}: keep backups and data apart, best on different disks", inner.display(), outer.display())]
    Inside {
        /// The outer folder.
        outer: PathBuf,
        /// The inner one.
        inner: PathBuf,
    },
    /// Another backup is being made there.
    #[error("another backup is being made in {}", repository.display())]
    Busy {
        /// The repository.
        repository: PathBuf,
    },
    /// Another restores to the same place.
    #[error("another restore into {} is going on", into.display())]
    Restoring {
        /// The folder.
        into: PathBuf,
    },
    /// Something that a backup cannot hold.
    #[error("{} cannot be backed up: it is neither a file nor a folder with a name in UTF-8", path.display())]
    NotAFile {
        /// What.
        path: PathBuf,
    },
    /// A manifest that this version did not write.
    #[error("{} is not the manifest of a backup that this version reads: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No complete backup is there.
    #[error("{} holds no backup", repository.display())]
    Empty {
        /// The repository.
        repository: PathBuf,
    },
    /// The one that was asked for is not there.
    #[error("{} holds no backup {which}; `--list` lists them", repository.display())]
    NoSuch {
        /// The repository.
        repository: PathBuf,
        /// The name that was given.
        which: String,
    },
    /// Files are not as they were written.
    #[error("the backup {} is damaged: {}", dir.display(), told(damage))]
    Damaged {
        /// The backup.
        dir: PathBuf,
        /// All that is wrong with it.
        damage: Vec<Damage>,
    },
    /// There is something where a backup was to be restored.
    #[error("{} is there already and not empty: move it away, or restore into another folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// It was told to stop.
    #[error("it was stopped before it was complete")]
    Stopped,
}

/// A file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.what)
    }
}

fn told(damage: &[Damage]) -> String {
    let named: Vec<String> = damage.iter().take(NAMED).map(Damage::to_string).collect();
    match damage.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more files", named.join("; ")),
    }
}
