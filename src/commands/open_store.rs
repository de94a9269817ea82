//! Opens the store of a stopped node for a command, and provides the runtime and the settings for it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use volute_access::Principal;
use volute_data::{Store, StoreError, StoreSettings};
use volute_plant::{Clock, SystemClock};

use super::data_folder;
use crate::config::Config;

/// The stack of each runtime thread, in bytes. SurrealDB's futures overflow tokio's default of 2 MiB in an unoptimised
/// build.
const STACK_BYTES: usize = 8 << 20;

/// Returns a runtime in which a store can be used.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
}

/// Returns the settings of the store from the configuration.
pub fn store_settings(config: &Config) -> StoreSettings {
    StoreSettings {
        block_cache_mib: config.store.block_cache_mib,
        memtable_mib: config.store.memtable_mib,
        journal_keep: config.store.journal_keep,
        journal_keep_mib: config.store.journal_keep_mib,
        backlog_mib: config.store.backlog_mib,
        ..StoreSettings::default()
    }
}

/// Opens the store of a stopped node. Returns an error if the data directory has never been used.
pub async fn open_stopped(config: &Config) -> anyhow::Result<Store> {
    let dir = &config.store.dir;
    ensure!(data_folder::has_store(dir), "{} has never been used by a node", dir.display());
    open_stopped_or_new(config).await
}

/// Opens the store of a stopped node; creates the data directory if it has never been used.
pub async fn open_stopped_or_new(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.store.dir, &store_settings(config), SystemClock.now()).await.map_err(explain_lock)
}

/// Adds advice to the error if the store is locked by a node that does not respond on its control socket.
fn explain_lock(error: StoreError) -> anyhow::Error {
    let locked = matches!(error, StoreError::Locked { .. });
    let error = anyhow::Error::from(error);
    if locked { error.context("a node is starting or stopping on it: try again in a moment") } else { error }
}

/// Returns the absolute path, because a running node has another working directory.
pub fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Returns the user who executes the command on a stopped node.
pub fn current_user() -> io::Result<Principal> {
    Ok(Principal::LocalOperator { uid: fs::metadata("/proc/self")?.uid() })
}
