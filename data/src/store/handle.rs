//! The store as it is held: what all handles share, and how the database under it is opened anew and closed.

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
    database::{Database, State},
    engine::Engine,
    folder,
    head::{Head, Until},
    moved::MovedFile,
    names::Names,
    oldest::{Oldest, Pass},
    roster::Roster,
    written::Written,
};

/// A handle on the open store. Cheap to clone, and usable from any tokio runtime: the database
/// has threads of its own, so a call costs the caller's thread no more than the conversion of rows.
///
/// Dropping the last handle closes the store too, and blocks until it is closed; [`Store::close`]
/// does not block.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Inner>);

/// What all handles share.
pub(crate) struct Inner {
    pub(super) dir: PathBuf,
    pub(super) settings: StoreSettings,
    pub(super) journal: Journal,
    pub(super) database: Database,
    pub(super) head: Mutex<Head>,
    pub(super) roster: Roster,
    /// What people call them.
    pub(super) names: Names,
    /// The list of pumps was read, from the database or its copy: a pump that is not in it has nothing stored.
    pub(super) knows_pumps: AtomicBool,
    /// Up to which time the database may hold readings, where the clock does not say it.
    pub(super) moved: MovedFile,
    /// What of the database a flush knows; held by the one that runs.
    pub(super) written: tokio::sync::Mutex<Written>,
    /// What of the oldest rows is known.
    pub(super) oldest: Oldest,
    /// How far retention is with its pass; held by the sweep that runs.
    pub(super) pass: tokio::sync::Mutex<Pass>,
    /// The journal's low-water mark in the database.
    pub(super) marked: AtomicU64,
    /// What was found damaged at the start, for people.
    pub(super) damage: Vec<String>,
    /// Held until the store is closed; the last to go.
    pub(super) lock: Mutex<Option<File>>,
}

impl Store {
    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Closes the database and opens it anew, or opens it if it was not. What waits stays.
    pub async fn reopen(&self) -> Result<(), StoreError> {
        let mut written = self.0.written.lock().await;
        let mut state = self.0.database.write().await;
        if let State::Closed = *state {
            return Err(StoreError::Closed);
        }
        let was = std::mem::replace(&mut *state, State::Shut("it is being opened".into()));
        if let State::Open(engine) = was
            && let Err(error) = engine.stop().await
        {
            tracing::warn!(%error, "the database was not closed well");
        }
        match self.0.open_database().await {
            Ok(engine) => {
                *state = State::Open(Arc::new(engine));
                *written = Written::default();
                self.0.oldest.clear();
                Ok(())
            }
            Err(error) => {
                *state = State::Shut(error.to_string());
                Err(error)
            }
        }
    }

    /// Stops asking the database until [`Store::reopen`].
    pub async fn shut(&self, reason: &str) {
        let was = {
            let mut state = self.0.database.write().await;
            match *state {
                State::Open(_) => std::mem::replace(&mut *state, State::Shut(reason.to_owned())),
                State::Shut(_) | State::Closed => return,
            }
        };
        if let State::Open(engine) = was
            && let Err(error) = engine.stop().await
        {
            tracing::warn!(%error, "the database was not closed well");
        }
    }

    /// Makes what waits long for the database small.
    pub fn pack(&self, now: Timestamp) {
        self.0.head().pack(Until::Time(now));
    }

    /// Packs some of the minutes that have come to hold many rows. It takes some tens of microseconds for each, during
    /// which nobody waits.
    pub fn pack_some(&self, most: usize) {
        for _ in 0..most {
            let Some(ripe) = self.0.head().next_ripe() else { return };
            let packed = ripe.pack();
            self.0.head().replace(&ripe, packed);
        }
    }

    /// Flushes and closes the store; the directory can be opened again at once. What waits for the database stays in
    /// the journal.
    ///
    /// Other handles on it then answer [`StoreError::Closed`]; closing a closed store does nothing.
    pub async fn close(self) -> Result<(), StoreError> {
        let was = std::mem::replace(&mut *self.0.database.write().await, State::Closed);
        let closed = match was {
            State::Open(engine) => engine.stop().await,
            State::Shut(_) | State::Closed => Ok(()),
        };
        let journal = self.0.journal.clone();
        if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
            tracing::error!("the journal could not be closed");
        }
        drop(self.0.lock.lock().take());
        closed
    }

    pub(super) async fn engine(&self) -> Result<Arc<Engine>, StoreError> {
        self.0.database.engine().await
    }
}

impl Inner {
    pub(super) fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock()
    }

    pub(super) fn marked(&self) -> Seq {
        Seq::new(self.marked.load(Ordering::Relaxed))
    }

    pub(super) fn set_marked(&self, seq: Seq) {
        self.marked.store(seq.get(), Ordering::Relaxed);
    }

    /// Keeps the copy of the list of pumps. It is a help, so a failure is only told.
    pub(super) fn remember_pumps(&self) {
        if let Err(error) = self.roster.save(&self.dir.join(folder::PUMPS), &self.head().removals().pumps()) {
            tracing::warn!(%error, "the copy of the list of pumps was not written");
        }
    }
}
