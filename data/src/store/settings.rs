//! How much of the machine the store may take.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use volute_journal::JournalSettings;

/// The bounds of the store; the keys of `[store]` in the configuration.
///
/// Left alone, SurrealKV sizes its caches after the machine: half the memory for blocks and up to
/// 4 GiB for a memtable. Here they are what is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Cache of blocks read from disk, in MiB.
    pub block_cache_mib: NonZeroU32,
    /// Rows held in memory before they are written out as a table, in MiB. While full ones are being
    /// written, a few of these stand in memory.
    pub memtable_mib: NonZeroU32,
    /// Threads that parse, check and run queries.
    pub threads: NonZeroUsize,
    /// How long journal segments are kept that the database has all of.
    pub journal_keep: Duration,
    /// How much of them is kept at most, in MiB.
    pub journal_keep_mib: NonZeroU32,
    /// How much may wait in memory for the database, in MiB; beyond that nothing more is taken in.
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
    /// From this much waiting on, minutes do not wait for their time.
    pub(crate) fn crowded_bytes(&self) -> usize {
        self.backlog_bytes() / 4
    }

    /// The most that may wait.
    pub(crate) fn backlog_bytes(&self) -> usize {
        usize::try_from(self.backlog_mib.get()).unwrap_or(usize::MAX) << 20
    }

    pub(crate) fn journal(&self) -> JournalSettings {
        JournalSettings {
            keep: self.journal_keep,
            keep_bytes: u64::from(self.journal_keep_mib.get()) << 20,
            ..JournalSettings::default()
        }
    }
}
