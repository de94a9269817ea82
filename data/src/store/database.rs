//! The database as the store sees it: open, or shut with a reason, and opened anew.
//!
//! Whoever reads rows of head and database together holds [`Database::read`] meanwhile, and whoever moves rows from one
//! to the other holds [`Database::write`]: so every row is seen exactly once. Deliberately absent: when to try again.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{StoreError, StoreSettings, engine::Engine};

/// See the module's head.
pub(crate) struct Database {
    dir: PathBuf,
    settings: StoreSettings,
    state: RwLock<State>,
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
}

impl Database {
    /// A database that is not open yet.
    pub(crate) fn shut(dir: PathBuf, settings: StoreSettings, reason: &str) -> Self {
        Self { dir, settings, state: RwLock::new(State::Shut(reason.to_owned())) }
    }

    /// Opens the engine in the database's directory, without putting it to use.
    pub(crate) async fn start_engine(&self) -> Result<Engine, StoreError> {
        Engine::start(&self.dir, &self.settings).await
    }

    /// Meanwhile no row moves from the head into the database.
    pub(crate) async fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().await
    }

    /// As [`Database::read`], unless rows move just now.
    pub(crate) fn try_read(&self) -> Option<RwLockReadGuard<'_, State>> {
        self.state.try_read().ok()
    }

    /// Meanwhile nobody reads.
    pub(crate) async fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().await
    }

    /// What can be asked, for a question that the head has no part in.
    pub(crate) async fn engine(&self) -> Result<Arc<Engine>, StoreError> {
        self.read().await.engine().cloned()
    }
}
