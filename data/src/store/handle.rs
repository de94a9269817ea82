//! The handle on an open store, the state that all handles share, and closing and reopening the database.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use volute_journal::{Journal, Seq};
use volute_plant::Timestamp;

use super::{
    StoreError, StoreSettings,
    audit_head::AuditChain,
    database::{Database, DatabaseState},
    engine::DatabaseEngine,
    flush_cache::FlushCache,
    flushed_until::FlushedUntilFile,
    folder,
    head::{DuePolicy, Head},
    oldest_rows::{OldestRows, SweepPass},
    pump_name_cache::PumpNameCache,
    pump_registry::PumpRegistry,
};

/// A handle on an open store. Cheap to clone, and usable from any tokio runtime: the database runs on separate threads,
/// so a call uses the caller's thread only to convert rows.
///
/// Dropping the last handle closes the store and blocks until it is closed; [`Store::close`] does not block.
#[derive(Clone)]
pub struct Store(pub(super) Arc<StoreInner>);

/// The state that all handles share.
pub(crate) struct StoreInner {
    pub(super) dir: PathBuf,
    pub(super) settings: StoreSettings,
    pub(super) journal: Journal,
    pub(super) database: Database,
    pub(super) head: Mutex<Head>,
    pub(super) pump_registry: PumpRegistry,
    /// The chain of the audit log.
    pub(super) audit_chain: AuditChain,
    /// The names that users gave to pumps.
    pub(super) pump_names: PumpNameCache,
    /// Whether the list of pumps was read from the database or its copy. If so, a pump that is not in it has no stored
    /// rows.
    pub(super) pump_list_complete: AtomicBool,
    /// The file with the time up to which the database may hold readings, if that is later than the node's clock.
    pub(super) flushed_until_file: FlushedUntilFile,
    /// The newest rows of the database, as far as flushes know them. The running flush holds the lock.
    pub(super) flush_cache: tokio::sync::Mutex<FlushCache>,
    /// Lower bounds of the times of the oldest rows, for retention.
    pub(super) oldest_rows: OldestRows,
    /// The progress of the current retention pass. The running sweep holds the lock.
    pub(super) sweep_pass: tokio::sync::Mutex<SweepPass>,
    /// The low-water mark that the database holds: the database has every journal record below it.
    pub(super) low_water: AtomicU64,
    /// What was found damaged in the journal at the start, for display.
    pub(super) damage: Vec<String>,
    /// The lock of the data directory, released last when the store is closed.
    pub(super) lock: Mutex<Option<File>>,
}

impl Store {
    /// Returns the data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Closes the database, if it is open, and opens it again. The head keeps its rows.
    pub async fn reopen(&self) -> Result<(), StoreError> {
        let mut flush_cache = self.0.flush_cache.lock().await;
        let mut state = self.0.database.write().await;
        if let DatabaseState::Closed = *state {
            return Err(StoreError::Closed);
        }
        let previous = std::mem::replace(&mut *state, DatabaseState::Unavailable("it is being opened".into()));
        if let DatabaseState::Open(engine) = previous
            && let Err(error) = engine.stop().await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        match self.0.open_database().await {
            Ok(engine) => {
                *state = DatabaseState::Open(Arc::new(engine));
                *flush_cache = FlushCache::default();
                self.0.oldest_rows.clear();
                Ok(())
            }
            Err(error) => {
                *state = DatabaseState::Unavailable(error.to_string());
                Err(error)
            }
        }
    }

    /// Closes the database and marks it unavailable, for this reason, until [`Store::reopen`].
    pub async fn mark_unavailable(&self, reason: &str) {
        let previous = {
            let mut state = self.0.database.write().await;
            match *state {
                DatabaseState::Open(_) => std::mem::replace(&mut *state, DatabaseState::Unavailable(reason.to_owned())),
                DatabaseState::Unavailable(_) | DatabaseState::Closed => return,
            }
        };
        if let DatabaseState::Open(engine) = previous
            && let Err(error) = engine.stop().await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }

    /// Packs the rows of all minutes that are due, to save memory while the database is unavailable.
    pub fn pack(&self, now: Timestamp) {
        self.0.head().pack(DuePolicy::Normal(now));
    }

    /// Packs at most `max_minutes` of the minutes that have many rows. Each takes some tens of microseconds, during
    /// which the head is not locked.
    pub fn pack_large_minutes(&self, max_minutes: usize) {
        for _ in 0..max_minutes {
            let Some(candidate) = self.0.head().next_pack_candidate() else { return };
            let packed = candidate.pack();
            self.0.head().replace(&candidate, packed);
        }
    }

    /// Closes the store. The directory can be opened again at once. Rows that are not in the database stay in the
    /// journal.
    ///
    /// Calls on other handles then return [`StoreError::Closed`]. Closing a closed store does nothing.
    pub async fn close(self) -> Result<(), StoreError> {
        let previous = std::mem::replace(&mut *self.0.database.write().await, DatabaseState::Closed);
        let closed = match previous {
            DatabaseState::Open(engine) => engine.stop().await,
            DatabaseState::Unavailable(_) | DatabaseState::Closed => Ok(()),
        };
        let journal = self.0.journal.clone();
        if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
            tracing::error!("the journal could not be closed");
        }
        if let Err(error) = self.0.audit_chain.save(&self.0.dir) {
            tracing::warn!(%error, "the head of the audit log was not written to its file");
        }
        drop(self.0.lock.lock().take());
        closed
    }

    pub(super) async fn engine(&self) -> Result<Arc<DatabaseEngine>, StoreError> {
        self.0.database.engine().await
    }
}

impl StoreInner {
    pub(super) fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock()
    }

    pub(super) fn low_water(&self) -> Seq {
        Seq::new(self.low_water.load(Ordering::Relaxed))
    }

    pub(super) fn set_low_water(&self, seq: Seq) {
        self.low_water.store(seq.get(), Ordering::Relaxed);
    }

    /// Writes the copy of the list of pumps. The store works without it, so a failure is only logged.
    pub(super) fn save_pump_list_copy(&self) {
        if let Err(error) = self.pump_registry.save(&self.dir.join(folder::PUMPS), &self.head().removals().pumps()) {
            tracing::warn!(%error, "the copy of the list of pumps was not written");
        }
    }
}
