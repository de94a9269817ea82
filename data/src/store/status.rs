//! The status of the store: what is not in the database yet, what is damaged, and the use of the disk.

use std::{io, path::Path, time::Duration};

use volute_journal::JournalStatus;
use volute_plant::PumpId;

use super::{Store, database::DatabaseStatus, folder};

/// The status of the store at one moment.
#[derive(Debug, Clone)]
pub struct StoreStatus {
    /// Whether the database is available.
    pub database: DatabaseStatus,
    /// Number of readings that are in the journal and not in the database yet.
    pub unflushed_readings: usize,
    /// About how many bytes of memory the head takes.
    pub unflushed_bytes: usize,
    /// When the first of these readings was received, by the node's clock, in milliseconds since 1970; none if there
    /// are none.
    pub oldest_unflushed_ms: Option<i64>,
    /// Number of readings that were acknowledged and dropped, because others with other values have their times. It
    /// should stay 0.
    pub conflicts: u64,
    /// The status of the journal.
    pub journal: JournalStatus,
    /// What was found damaged in the journal at the start, for display.
    pub damage: Vec<String>,
}

/// The use of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes in the database's files.
    pub database_bytes: u64,
    /// Bytes in the journal's files.
    pub journal_bytes: u64,
    /// Bytes of the file system that this process can still use.
    pub free_bytes: u64,
    /// The size of the file system in bytes.
    pub total_bytes: u64,
}

impl Store {
    /// Returns the status. Does not wait for the database.
    pub fn status(&self) -> StoreStatus {
        let head = self.0.head();
        StoreStatus {
            database: self.0.database.status(),
            unflushed_readings: head.unflushed_readings(),
            unflushed_bytes: head.bytes(),
            oldest_unflushed_ms: head.oldest_opened_ms(),
            conflicts: head.conflicts(),
            journal: self.0.journal.status(),
            damage: self.0.damage.clone(),
        }
    }

    /// Returns the number of past minutes ([`PAST_AGE_MS`](super::PAST_AGE_MS)) in the head, of this pump and of all
    /// pumps.
    pub fn past_minutes(&self, pump: &PumpId) -> (usize, usize) {
        self.0.head().past_minutes(pump)
    }

    /// Returns how long the journal has been waiting for the disk to write the current records; zero if it writes none.
    pub fn journal_writing_for(&self) -> Duration {
        self.0.journal.status().writing_for
    }

    /// Returns the use of the disk. Walks the directory: some hundred files.
    pub fn disk_use(&self) -> io::Result<DiskUse> {
        let disk = rustix::fs::statvfs(&self.0.dir)?;
        Ok(DiskUse {
            database_bytes: bytes_in(&self.0.dir.join(folder::DATABASE))?,
            journal_bytes: bytes_in(&self.0.dir.join(folder::JOURNAL))?,
            free_bytes: disk.f_bavail * disk.f_frsize,
            total_bytes: disk.f_blocks * disk.f_frsize,
        })
    }
}

/// Returns the total size of the files in a folder. Files that disappear meanwhile count as 0.
fn bytes_in(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += bytes_in(&entry.path())?,
            Ok(meta) => bytes += meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
