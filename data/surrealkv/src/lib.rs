//! Puts SurrealKV 1.2 below SurrealDB 3.3, which asks for 0.21.
//!
//! In the published 0.21.4 a scan and a compaction take two locks in opposite orders and can block each other for
//! good; in 1.2 they cannot. The interface that SurrealDB uses is the same in both but for one method of the builder,
//! so this crate takes the place of 0.21 in the dependency tree (`[patch.crates-io]` in the workspace's `Cargo.toml`)
//! and passes everything on to 1.2:
//!
//! ```text
//! surrealdb-kvs-surrealkv 3.3.5 ──"surrealkv ^0.21"──▶ this crate ──"surrealkv =1.2.0"──▶ the engine
//! ```
//!
//! Remove it when SurrealDB asks for SurrealKV 1 itself. Does not translate data: 1.2 converts a database of 0.21
//! when it opens it, and leaves the old files beside the new ones.

use std::path::PathBuf;

pub use current::{Durability, Error, HistoryOptions, LSMIterator, Mode, Result, Transaction, Tree};

/// SurrealKV 1.2's builder, with the one method that 0.21 had and 1.2 has not.
#[derive(Default)]
pub struct TreeBuilder(current::TreeBuilder);

impl TreeBuilder {
    /// A builder with the engine's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The database's directory.
    pub fn with_path(self, path: PathBuf) -> Self {
        Self(self.0.with_path(path))
    }

    /// Whether large values are kept apart from their keys.
    pub fn with_enable_vlog(self, enable: bool) -> Self {
        Self(self.0.with_enable_vlog(enable))
    }

    /// The size in bytes at which a new value log begins.
    pub fn with_vlog_max_file_size(self, bytes: u64) -> Self {
        Self(self.0.with_vlog_max_file_size(bytes))
    }

    /// The size in bytes from which on a value is large.
    pub fn with_vlog_value_threshold(self, bytes: usize) -> Self {
        Self(self.0.with_vlog_value_threshold(bytes))
    }

    /// Whether old versions of values are kept, and for how many nanoseconds.
    pub fn with_versioning(self, enable: bool, retention_ns: u64) -> Self {
        Self(self.0.with_versioning(enable, retention_ns))
    }

    /// Does nothing: 1.2 finds old versions without an index of their own.
    pub fn with_versioned_index(self, _enable: bool) -> Self {
        self
    }

    /// The size in bytes at which the table in memory is written out.
    pub fn with_max_memtable_size(self, bytes: usize) -> Self {
        Self(self.0.with_max_memtable_size(bytes))
    }

    /// The size in bytes of the cache of blocks.
    pub fn with_block_cache_capacity(self, bytes: u64) -> Self {
        Self(self.0.with_block_cache_capacity(bytes))
    }

    /// The size in bytes of a table's blocks.
    pub fn with_block_size(self, bytes: usize) -> Self {
        Self(self.0.with_block_size(bytes))
    }

    /// Opens the database.
    pub fn build(self) -> Result<Tree> {
        self.0.build()
    }
}
