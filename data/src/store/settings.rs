//! How much of the machine the database may take.

use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};

/// The bounds of the embedded database; the keys of `[store]` in the configuration.
///
/// Left alone, SurrealKV sizes its caches after the machine: half the memory for blocks and up to
/// 4 GiB for a memtable. Here they are what is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Cache of blocks read from disk, in MiB.
    pub block_cache_mib: NonZeroU32,
    /// Rows held in memory before they are written out as a table, in MiB. While full ones are being
    /// written, a few of these stand in memory.
    pub memtable_mib: NonZeroU32,
    /// Threads that parse, check and run queries.
    pub threads: NonZeroUsize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        const fn mib(n: u32) -> NonZeroU32 {
            match NonZeroU32::new(n) {
                Some(n) => n,
                None => NonZeroU32::MIN,
            }
        }
        Self { block_cache_mib: mib(64), memtable_mib: mib(32), threads: NonZeroUsize::MIN.saturating_add(1) }
    }
}
