//! What can go wrong with the store.

use std::{error::Error, io, path::PathBuf};

use volute_journal::JournalError;
use volute_plant::PumpId;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, or its name is none that the database can open.
    #[error("the store's directory {} cannot be used: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another store has the directory open.
    #[error("the store's directory {} is in use by another process; stop that one first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A later version has changed the schema.
    #[error("the database has schema {found}, and this binary knows schemas up to {known}: use a newer binary")]
    Newer {
        /// The newest migration in the database.
        found: u32,
        /// The newest migration of this binary.
        known: u32,
    },
    /// The database was made with another text of a migration, so its schema is not the one this binary means.
    #[error("migration {version} ({name}) was applied with another text than this binary's")]
    OtherMigration {
        /// Its number.
        version: u32,
        /// Its name.
        name: &'static str,
    },
    /// A pump was to be registered with other channels than its stored rows have.
    #[error("pump {pump} is stored with the channels {stored:?} and cannot have {given:?}: use another pump name")]
    OtherChannels {
        /// The pump.
        pump: PumpId,
        /// The channels of its rows.
        stored: Vec<String>,
        /// The channels it was to have.
        given: Vec<String>,
    },
    /// A pump was to be registered whose name belongs to one that was removed, and is not deleted yet.
    #[error("pump {pump} was removed, and its readings are being deleted: try again in some minutes")]
    BeingRemoved {
        /// The pump.
        pump: PumpId,
    },
    /// A row that no form of the schema can hold; nothing of its batch is stored.
    #[error("{row} cannot be stored: {reason}")]
    Impossible {
        /// Which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored row is not of the form that this binary writes.
    #[error("{row} cannot be read: {reason}")]
    Unreadable {
        /// Which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database does not answer; readings are kept in the journal meanwhile.
    #[error("the database cannot be asked just now: {reason}")]
    Unavailable {
        /// Why not.
        reason: String,
    },
    /// There is no room on the disk; nothing of the batch is stored.
    #[error("the disk is full")]
    DiskFull,
    /// The process is short of file descriptors or memory; nothing of the batch is stored.
    #[error("{0}")]
    Shortage(#[source] JournalError),
    /// So much waits for the database that nothing more is taken; nothing of the batch is stored.
    #[error("{waiting_mib} MiB wait for the database, the most that may (store.backlog_mib)")]
    Backlog {
        /// How much waits.
        waiting_mib: usize,
    },
    /// Too many records wait for the journal; nothing of the batch is stored.
    #[error("too many records wait for the journal")]
    Busy,
    /// The batch is longer than a record can be; nothing of it is stored.
    #[error("a batch of {bytes} bytes is longer than a record of the journal, which has at most {most}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        most: usize,
    },
    /// The journal failed, and what of the batch is on the disk is not known. Final until the next start.
    #[error("the journal failed: {0}")]
    Journal(#[source] JournalError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] Box<dyn Error + Send + Sync>),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The reason of an answer that does not reach all the way, where the database does not answer; any other error stays
    /// one.
    pub(crate) fn outage(self) -> Result<String, Self> {
        match self {
            Self::Unavailable { reason } => Ok(reason),
            Self::Database(_) => Ok(self.to_string()),
            other => Err(other),
        }
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Full => Self::DiskFull,
            JournalError::Shortage(_) => Self::Shortage(error),
            JournalError::Closed => Self::Closed,
            JournalError::Busy => Self::Busy,
            JournalError::TooLarge { bytes, most } => Self::TooLarge { bytes, most },
            failed @ (JournalError::Failed(_)
            | JournalError::InUse { .. }
            | JournalError::Version { .. }
            | JournalError::Io { .. }) => Self::Journal(failed),
        }
    }
}

impl From<surrealdb::Error> for StoreError {
    fn from(error: surrealdb::Error) -> Self {
        Self::Database(Box::new(error))
    }
}
