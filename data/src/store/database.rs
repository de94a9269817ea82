//! The database as the store sees it: open, or shut with a reason, and opened anew.
//!
//! Whoever reads rows of head and database together holds [`Database::read`] meanwhile, and whoever moves rows from one
//! to the other holds [`Database::write`]: so every row is seen exactly once. Deliberately absent: when to try again.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{StoreError, StoreSettings, engine::Engine};

/// See the module's head.
pub(crate) struct Database {
    dir: PathBuf,
    settings: StoreSettings,
    state: RwLock<State>,
    /// How it is, as the last one left it who wrote.
    status: Mutex<DatabaseStatus>,
}

/// Whether it can be asked.
pub(crate) enum State {
    /// It can.
    Open(Arc<Engine>),
    /// It cannot, and why not.
    Shut(String),
    /// The store is closed.
    Closed,
}

impl State {
    /// What can be asked.
    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, StoreError> {
        match self {
            Self::Open(engine) => Ok(engine),
            Self::Shut(reason) => Err(StoreError::Unavailable { reason: reason.clone() }),
            Self::Closed => Err(StoreError::Closed),
        }
    }

    fn status(&self) -> DatabaseStatus {
        match self {
            Self::Open(_) => DatabaseStatus::Open,
            Self::Shut(reason) => DatabaseStatus::Unavailable(reason.clone()),
            Self::Closed => DatabaseStatus::Unavailable("it is closed".into()),
        }
    }
}

/// Whether the database answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseStatus {
    /// It does.
    Open,
    /// It does not, and why not.
    Unavailable(String),
}

/// The state while nobody reads; see [`Database::write`].
pub(crate) struct Writing<'a> {
    state: RwLockWriteGuard<'a, State>,
    database: &'a Database,
}

impl Deref for Writing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        *self.database.told() = self.state.status();
    }
}

impl Database {
    /// A database that is not open yet.
    pub(crate) fn shut(dir: PathBuf, settings: StoreSettings, reason: &str) -> Self {
        let state = State::Shut(reason.to_owned());
        Self { dir, settings, status: Mutex::new(state.status()), state: RwLock::new(state) }
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the engine in the database's directory, without putting it to use.
    pub(crate) async fn start_engine(&self) -> Result<Engine, StoreError> {
        Engine::start(&self.dir, &self.settings).await
    }

    /// Meanwhile no row moves from the head into the database.
    pub(crate) async fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().await
    }

    /// Meanwhile nobody reads.
    pub(crate) async fn write(&self) -> Writing<'_> {
        Writing { state: self.state.write().await, database: self }
    }

    /// How it is, without waiting: one that opens is unavailable until it is open.
    pub(crate) fn status(&self) -> DatabaseStatus {
        self.told().clone()
    }

    /// What can be asked, for a question that the head has no part in.
    pub(crate) async fn engine(&self) -> Result<Arc<Engine>, StoreError> {
        self.read().await.engine().cloned()
    }

    fn told(&self) -> MutexGuard<'_, DatabaseStatus> {
        self.status.lock()
    }
}
