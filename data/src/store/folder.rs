//! The data directory: one process at a time, and what is in it.
//!
//! `database/` is SurrealDB's, `journal/` the journal's; for a start without the database, `pumps` is a copy of the list of
//! pumps, `names` of their names, and `moved_until` says up to which time it may hold readings, where that is not plain; `clock` is the last time at
//! which the node's clock was believed. `profiles/` holds the kinds of pumps that were added to the node.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::StoreError;
use volute_journal::durable::create_folder;

/// The database's folder.
pub(crate) const DATABASE: &str = "database";
/// The journal's folder.
pub(crate) const JOURNAL: &str = "journal";
/// The copy of the list of pumps.
pub(crate) const PUMPS: &str = "pumps";
/// The copy of the pumps' names.
pub(crate) const NAMES: &str = "names";
/// Up to which time the database may hold readings.
pub(crate) const MOVED_UNTIL: &str = "moved_until";

/// The kinds of pumps that were added to the node: the program's, the store only keeps them in its backups.
pub const PROFILES: &str = "profiles";

/// The last time at which the clock was believed.
pub(crate) const CLOCK: &str = "clock";

/// Makes the directory and takes its lock. SurrealKV has a lock too, but says so only in words, and it guards only its
/// own files.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let directory = |source| StoreError::Directory { path: dir.to_owned(), source };
    create_folder(dir).map_err(directory)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(dir.join("store.lock")).map_err(directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(directory(source)),
    }
}
