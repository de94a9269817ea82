//! The state of the database: open, or unavailable with a reason. It can be reopened.
//!
//! A query that reads rows from head and database together holds [`Database::read`] while it reads. A flush that moves
//! rows from the head to the database holds [`Database::write`]. So every query sees every row exactly once.
//!
//! Does not decide when to reopen; see the flusher in the `actors` crate.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{StoreError, StoreSettings, engine::DatabaseEngine};

/// The database behind a lock; see the module documentation.
pub(crate) struct Database {
    dir: PathBuf,
    settings: StoreSettings,
    state: RwLock<DatabaseState>,
    /// A copy of the status, which can be read without waiting for the lock. The write guard updates it when it is
    /// dropped.
    status: Mutex<DatabaseStatus>,
}

/// Whether the database can be queried.
pub(crate) enum DatabaseState {
    /// It is open.
    Open(Arc<DatabaseEngine>),
    /// It is not open, for this reason.
    Unavailable(String),
    /// The store is closed.
    Closed,
}

impl DatabaseState {
    /// Returns the engine, or an error if the database is not open.
    pub(crate) fn engine(&self) -> Result<&Arc<DatabaseEngine>, StoreError> {
        match self {
            Self::Open(engine) => Ok(engine),
            Self::Unavailable(reason) => Err(StoreError::Unavailable { reason: reason.clone() }),
            Self::Closed => Err(StoreError::Closed),
        }
    }

    fn status(&self) -> DatabaseStatus {
        match self {
            Self::Open(_) => DatabaseStatus::Open,
            Self::Unavailable(reason) => DatabaseStatus::Unavailable(reason.clone()),
            Self::Closed => DatabaseStatus::Unavailable("it is closed".into()),
        }
    }
}

/// Whether the database is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseStatus {
    /// It is open.
    Open,
    /// It is unavailable, for this reason.
    Unavailable(String),
}

/// Exclusive access to the state; see [`Database::write`].
pub(crate) struct WriteGuard<'a> {
    state: RwLockWriteGuard<'a, DatabaseState>,
    database: &'a Database,
}

impl Deref for WriteGuard<'_> {
    type Target = DatabaseState;

    fn deref(&self) -> &DatabaseState {
        &self.state
    }
}

impl DerefMut for WriteGuard<'_> {
    fn deref_mut(&mut self) -> &mut DatabaseState {
        &mut self.state
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        *self.database.lock_status() = self.state.status();
    }
}

impl Database {
    /// Creates the state without opening the database.
    pub(crate) fn unavailable(dir: PathBuf, settings: StoreSettings, reason: &str) -> Self {
        let state = DatabaseState::Unavailable(reason.to_owned());
        Self { dir, settings, status: Mutex::new(state.status()), state: RwLock::new(state) }
    }

    /// Returns the data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the engine in the data directory, without changing the state.
    pub(crate) async fn start_engine(&self) -> Result<DatabaseEngine, StoreError> {
        DatabaseEngine::start(&self.dir, &self.settings).await
    }

    /// Locks the state for reading. While the guard is held, no row moves from the head into the database.
    pub(crate) async fn read(&self) -> RwLockReadGuard<'_, DatabaseState> {
        self.state.read().await
    }

    /// Locks the state exclusively. While the guard is held, no query reads.
    pub(crate) async fn write(&self) -> WriteGuard<'_> {
        WriteGuard { state: self.state.write().await, database: self }
    }

    /// Returns the status without waiting. While the database is being opened it is unavailable.
    pub(crate) fn status(&self) -> DatabaseStatus {
        self.lock_status().clone()
    }

    /// Returns the engine, for queries that do not involve the head.
    pub(crate) async fn engine(&self) -> Result<Arc<DatabaseEngine>, StoreError> {
        self.read().await.engine().cloned()
    }

    fn lock_status(&self) -> MutexGuard<'_, DatabaseStatus> {
        self.status.lock()
    }
}
