//! Makes SurrealDB 3.3, which depends on SurrealKV 0.21, use SurrealKV 1.2.
//!
//! In the published 0.21.4 a scan and a compaction take two locks in opposite orders and can deadlock; in 1.2 they cannot.
//! The interface that SurrealDB uses is the same in both, except for one method of the builder. So this crate replaces 0.21
//! in the dependency tree (`[patch.crates-io]` in the workspace's `Cargo.toml`) and forwards everything to 1.2:
//!
//! ```text
//! surrealdb-kvs-surrealkv 3.3.5 ──"surrealkv ^0.21"──▶ this crate ──"surrealkv =1.2.0"──▶ the engine
//! ```
//!
//! Remove it when SurrealDB itself depends on SurrealKV 1. Does not convert data: 1.2 converts a database of 0.21 when it
//! opens it, and leaves the old files beside the new ones.

use std::path::PathBuf;

// `current` is SurrealKV 1.2, renamed in Cargo.toml.
pub use current::{Durability, Error, HistoryOptions, LSMIterator, Mode, Result, Transaction, Tree};

/// SurrealKV 1.2's builder, with the one method of 0.21 that 1.2 does not have.
#[derive(Default)]
pub struct TreeBuilder(current::TreeBuilder);

impl TreeBuilder {
    /// Creates a builder with the engine's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the database's directory.
    pub fn with_path(self, path: PathBuf) -> Self {
        Self(self.0.with_path(path))
    }

    /// Sets whether large values are stored apart from their keys, in a value log.
    pub fn with_enable_vlog(self, enable: bool) -> Self {
        Self(self.0.with_enable_vlog(enable))
    }

    /// Sets the size in bytes at which a new value log file is started.
    pub fn with_vlog_max_file_size(self, bytes: u64) -> Self {
        Self(self.0.with_vlog_max_file_size(bytes))
    }

    /// Sets the size in bytes from which a value is large.
    pub fn with_vlog_value_threshold(self, bytes: usize) -> Self {
        Self(self.0.with_vlog_value_threshold(bytes))
    }

    /// Sets whether old versions of values are kept, and for how many nanoseconds.
    pub fn with_versioning(self, enable: bool, retention_ns: u64) -> Self {
        Self(self.0.with_versioning(enable, retention_ns))
    }

    /// Does nothing: 1.2 finds old versions without a separate index.
    pub fn with_versioned_index(self, _enable: bool) -> Self {
        self
    }

    /// Sets the size in bytes at which a memtable is written to disk.
    pub fn with_max_memtable_size(self, bytes: usize) -> Self {
        Self(self.0.with_max_memtable_size(bytes))
    }

    /// Sets the size of the block cache in bytes.
    pub fn with_block_cache_capacity(self, bytes: u64) -> Self {
        Self(self.0.with_block_cache_capacity(bytes))
    }

    /// Sets the size of a table's blocks in bytes.
    pub fn with_block_size(self, bytes: usize) -> Self {
        Self(self.0.with_block_size(bytes))
    }

    /// Opens the database.
    pub fn build(self) -> Result<Tree> {
        self.0.build()
    }
}
