//! The errors of the store.

use std::{error::Error, io, path::PathBuf};

use volute_journal::JournalError;
use volute_plant::PumpId;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be created or used, or its path has characters that the database does not accept.
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
    /// A later version of the program has changed the schema.
    #[error("the database has schema {found}, and this binary knows schemas up to {known}: use a newer binary")]
    Newer {
        /// The newest migration in the database.
        found: u32,
        /// The newest migration of this binary.
        known: u32,
    },
    /// The database was created with another text of a migration, so its schema is not this binary's.
    #[error("migration {version} ({name}) was applied with another text than this binary's")]
    OtherMigration {
        /// Its number.
        version: u32,
        /// Its name.
        name: &'static str,
    },
    /// A pump cannot be registered with other channels than its stored rows have.
    #[error("pump {pump} is stored with the channels {stored:?} and cannot have {given:?}: use another pump id")]
    OtherChannels {
        /// The pump.
        pump: PumpId,
        /// The channels of its rows.
        stored: Vec<String>,
        /// The channels in the batch or profile.
        given: Vec<String>,
    },
    /// A pump cannot be registered because a removed pump of the same id is not deleted yet.
    #[error("pump {pump} was removed, and its readings are being deleted: try again in some minutes")]
    BeingRemoved {
        /// The pump.
        pump: PumpId,
    },
    /// A row of the batch is invalid; nothing of the batch is stored.
    #[error("{row} cannot be stored: {reason}")]
    InvalidRow {
        /// Which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored row cannot be decoded.
    #[error("{row} cannot be read: {reason}")]
    Unreadable {
        /// Which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database is unavailable; readings are stored in the journal meanwhile.
    #[error("the database is unavailable: {reason}")]
    Unavailable {
        /// The reason.
        reason: String,
    },
    /// There is no room on the disk; nothing of the batch is stored.
    #[error("the disk is full")]
    DiskFull,
    /// The process is short of file descriptors or memory; nothing of the batch is stored.
    #[error("{0}")]
    OutOfResources(#[source] JournalError),
    /// The head (the rows in memory that are not in the database yet) is full, because the database is unavailable;
    /// nothing of the batch is stored.
    #[error("{waiting_mib} MiB wait for the database, which is the maximum (store.backlog_mib)")]
    HeadFull {
        /// The size of the head in MiB.
        waiting_mib: usize,
    },
    /// Too many records wait for the journal; nothing of the batch is stored.
    #[error("too many records wait for the journal")]
    Busy,
    /// The batch is longer than the maximum length of a record; nothing of it is stored.
    #[error("a batch of {bytes} bytes is longer than a record of the journal, which has at most {max}")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The journal failed, and it is not known what of the batch is on the disk. No commit succeeds until the next
    /// start.
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
    /// Returns the reason if the error means that the database is unavailable, for a result that is incomplete. Returns
    /// any other error unchanged.
    pub(crate) fn into_outage_reason(self) -> Result<String, Self> {
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
            JournalError::OutOfResources(_) => Self::OutOfResources(error),
            JournalError::Closed => Self::Closed,
            JournalError::Busy => Self::Busy,
            JournalError::TooLarge { bytes, max } => Self::TooLarge { bytes, max },
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
