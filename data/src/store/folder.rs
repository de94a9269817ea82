//! The data directory: its lock, which admits one process at a time, and the names of its files.
//!
//! | Name | Content |
//! | --- | --- |
//! | `database/` | SurrealDB's files |
//! | `journal/` | the journal's segments |
//! | `pumps` | a copy of the list of pumps, for a start without the database |
//! | `names` | a copy of the pumps' names, likewise |
//! | `access` | a copy of the users, sessions and tokens, likewise |
//! | `audit` | the head of the audit log's chain, likewise, and to find that the last entries were removed |
//! | `moved_until` | the time up to which the database may hold readings, if that is later than the node's clock |
//! | `clock` | the last time at which the node's clock was trusted |
//! | `profiles/` | the profiles that were added to the node |
//! | `store.lock` | the lock |

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::StoreError;
use volute_journal::durable::create_folder;

/// The folder of the database.
pub(crate) const DATABASE: &str = "database";
/// The folder of the journal.
pub(crate) const JOURNAL: &str = "journal";
/// The copy of the list of pumps.
pub(crate) const PUMPS: &str = "pumps";
/// The copy of the pumps' names.
pub(crate) const NAMES: &str = "names";
/// The copy of the users, sessions and tokens.
pub(crate) const ACCESS: &str = "access";
/// The head of the audit log's chain.
pub(crate) const AUDIT: &str = "audit";
/// The file with the time up to which the database may hold readings.
pub(crate) const FLUSHED_UNTIL: &str = "moved_until";

/// The folder of the profiles that were added to the node. The program reads and writes it; the store only includes it
/// in backups.
pub const PROFILES_FOLDER: &str = "profiles";

/// The file with the last time at which the clock was trusted.
pub(crate) const CLOCK: &str = "clock";

/// Creates the directory and takes its lock. SurrealKV has a lock too, but it covers only SurrealKV's own files, and
/// its error can be recognized only by its text.
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
