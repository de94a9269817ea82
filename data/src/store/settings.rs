//! The settings of the store: its limits of memory, threads and disk.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use volute_journal::JournalSettings;

/// The limits of the store; the keys of `[store]` in the configuration.
///
/// By default SurrealKV sizes its caches by the machine: half of the memory for blocks and up to 4 GiB for a memtable.
/// The store sets both sizes explicitly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// The size of the cache of blocks that were read from disk, in MiB.
    pub block_cache_mib: NonZeroU32,
    /// The size of a memtable in MiB: rows that are in memory before they are written to disk as a table. While full
    /// memtables are being written, there are a few of them in memory.
    pub memtable_mib: NonZeroU32,
    /// The number of threads that parse, check and run queries.
    pub threads: NonZeroUsize,
    /// How long journal segments are kept after the database has all of their records.
    pub journal_keep: Duration,
    /// The maximum total size of these segments, in MiB.
    pub journal_keep_mib: NonZeroU32,
    /// The maximum size of the head (the rows in memory that are not in the database yet), in MiB. Beyond that, commits
    /// are refused.
    pub backlog_mib: NonZeroU32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        const fn some(n: u32) -> NonZeroU32 {
            match NonZeroU32::new(n) {
                Some(n) => n,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            block_cache_mib: some(64),
            memtable_mib: some(32),
            threads: NonZeroUsize::MIN.saturating_add(1),
            journal_keep: Duration::from_secs(24 * 3600),
            journal_keep_mib: some(1024),
            backlog_mib: some(512),
        }
    }
}

impl StoreSettings {
    /// Returns the size of the head in bytes from which minutes are flushed without a delay.
    pub(crate) fn pressure_bytes(&self) -> usize {
        self.backlog_bytes() / 4
    }

    /// Returns the maximum size of the head in bytes.
    pub(crate) fn backlog_bytes(&self) -> usize {
        usize::try_from(self.backlog_mib.get()).unwrap_or(usize::MAX) << 20
    }

    pub(crate) fn journal(&self) -> JournalSettings {
        JournalSettings {
            retention: self.journal_keep,
            retention_bytes: u64::from(self.journal_keep_mib.get()) << 20,
            ..JournalSettings::default()
        }
    }
}
