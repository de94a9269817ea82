//! What a command needs to use a node's store: a runtime, the settings, and the store itself where no node has it open.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use volute_data::{Store, StoreError, StoreSettings};
use volute_plant::{Clock, SystemClock};

use super::data_folder;
use crate::config::Config;

/// SurrealDB's futures are deep in an unoptimised build; tokio's 2 MiB are not enough for them.
const STACK_BYTES: usize = 8 << 20;

/// A runtime that a store may be used on.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
}

/// The store's settings, of the configuration.
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

/// Opens the store of a node that does not run, and that has run before.
pub async fn open_stopped(config: &Config) -> anyhow::Result<Store> {
    let dir = &config.store.dir;
    ensure!(data_folder::in_use(dir), "no node has ever stored anything in {}", dir.display());
    open_stopped_or_new(config).await
}

/// Opens the store of a node that does not run; where none has run yet, makes the folder that the first one will take.
pub async fn open_stopped_or_new(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.store.dir, &store_settings(config), SystemClock.now()).await.map_err(unlock)
}

/// Says it where a node runs that does not answer on its socket.
fn unlock(error: StoreError) -> anyhow::Error {
    let locked = matches!(error, StoreError::Locked { .. });
    let error = anyhow::Error::from(error);
    if locked { error.context("a node is starting or stopping there: try again in a moment") } else { error }
}

/// The path from the root, for a node that has another working folder.
pub fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}
