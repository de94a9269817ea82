//! How the store is: what waits, what is damaged, how much room there is.

use std::{io, path::Path, time::Duration};

use volute_journal::JournalStatus;
use volute_plant::PumpId;

use super::{Store, database::DatabaseStatus, folder};

/// How the store is at one moment.
#[derive(Debug, Clone)]
pub struct StoreStatus {
    /// The database.
    pub database: DatabaseStatus,
    /// Readings that are in the journal and not in the database yet.
    pub waiting_readings: usize,
    /// About how much memory the waiting rows take.
    pub waiting_bytes: usize,
    /// When the first of them came, by the node's clock, in milliseconds since 1970; none if nothing waits.
    pub oldest_waiting_ms: Option<i64>,
    /// Readings that were taken and are not kept, because others with other values have their times. None should ever be.
    pub conflicts: u64,
    /// The journal.
    pub journal: JournalStatus,
    /// What of the journal was found damaged at the start, for people.
    pub damage: Vec<String>,
}

/// What of a disk is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes in the database's files.
    pub database_bytes: u64,
    /// Bytes in the journal's files.
    pub journal_bytes: u64,
    /// Bytes of the file system that are free for this process.
    pub free_bytes: u64,
    /// Bytes of the file system.
    pub total_bytes: u64,
}

impl Store {
    /// How the store is now. Does not wait for the database.
    pub fn status(&self) -> StoreStatus {
        let head = self.0.head();
        StoreStatus {
            database: self.0.database.status(),
            waiting_readings: head.waiting_readings(),
            waiting_bytes: head.bytes(),
            oldest_waiting_ms: head.oldest_ms(),
            conflicts: head.conflicts(),
            journal: self.0.journal.status(),
            damage: self.0.damage.clone(),
        }
    }

    /// Minutes of the past that wait for the database ([`PAST_MS`](super::PAST_MS)), of this pump and of all.
    pub fn past_minutes(&self, pump: &PumpId) -> (usize, usize) {
        self.0.head().past_minutes(pump)
    }

    /// How long the journal's disk has had the records that are being written; zero where none are.
    pub fn journal_writing_for(&self) -> Duration {
        self.0.journal.status().writing_for
    }

    /// How much of the disk is used. Walks the directory: some hundred files.
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

/// Files come and go meanwhile; what is gone takes no room.
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
