//! SurrealDB itself: opened, fed and closed on threads of its own.
//!
//! SurrealDB spawns its tasks on the runtime that opens it, its futures want a deep stack, and a
//! large query is tens of milliseconds of work. So it gets a runtime of its own, and a caller on any
//! other one just awaits the answer. Deliberately absent: what is asked.
//!
//! Durability, as read in 3.3.5: `datastore_sync=every` makes `surrealdb-kvs-surrealkv/src/lib.rs`
//! await its `CommitCoordinator` in `Transaction::commit`; its thread calls `Tree::flush_wal(true)`
//! (surrealkv 1.2.0, `src/lsm.rs`), which returns when the log's segment is synced. The rows are visible before that, so a
//! failed sync is final.
//!
//! A log that a kill tore needs no care of ours: surrealkv 1.2 cuts the torn record off at the opening, and goes on in
//! another segment (`data/surrealkv/tests/torn_log.rs`). Damage that no kill leaves, it refuses; see [`open_error`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use surrealdb::{
    IndexedResults, Surreal,
    engine::local::Db,
    types::{ErrorDetails, QueryError, SurrealValue, Value, Variables},
};
use surrealdb_cnf::ConfigMap;
use surrealdb_engine_local::Datastore;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};

use super::{StoreError, StoreSettings, folder};
use volute_journal::{durable::sync_folder, points::reach};

/// SurrealDB's futures nest deeply, the more so in a debug build; 2 MiB is not enough for them.
const STACK_BYTES: usize = 16 << 20;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long opening and closing are waited for. An engine that stands still is left behind with its threads, and the store
/// goes on without a database. A database of an earlier version may take longer, for it is converted first: a later try
/// finds it done.
const OPENING: Duration = Duration::from_secs(30);

/// The running database.
pub(crate) struct Engine {
    runtime: Handle,
    db: Arc<Surreal<Db>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Dropped to stop.
    stop: oneshot::Sender<()>,
    /// Answers when everything is closed.
    stopped: oneshot::Receiver<Result<(), StoreError>>,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Opens the database in `dir/database`. Whoever calls holds the directory's lock.
    pub(crate) async fn start(dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        reach("database-open").map_err(database)?;
        let new = !dir.join(folder::DATABASE).is_dir();
        let address = address(dir)?;
        let settings = settings.clone();
        let (ready, opened) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("store".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let result = run(&address, &settings, ready, stopping);
                let _ = done.send(result);
            })
            .map_err(database)?;
        let running = Running { stop, stopped, thread };
        let opened = tokio::select! {
            opened = opened => opened,
            _ = after(OPENING)? => {
                return Err(while_converting(dir, database(format!("it did not open within {OPENING:?}"))));
            }
        };
        match opened {
            Ok((runtime, db)) => {
                if new {
                    // The engine syncs what is in its folder, and not the folder's own name.
                    sync_folder(dir).map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
                }
                Ok(Self { runtime, db: Arc::new(db), running: Mutex::new(Some(running)) })
            }
            Err(_) => match running.stopped.await {
                Ok(Err(error)) => Err(while_converting(dir, error)),
                _ => Err(StoreError::Closed),
            },
        }
    }

    /// Runs statements and answers nothing; one that failed is the error.
    ///
    /// The text is a constant, and every value comes in by name: nothing is built from strings.
    pub(crate) async fn execute<const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<(), StoreError> {
        let query = query(Arc::clone(&self.db), sql, vars);
        self.spawn(async move { query.await.map(drop) }).await
    }

    /// Runs the transaction that moves rows into the database: [`Engine::execute`] at a point where tests make it fail.
    pub(crate) async fn write<const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<(), StoreError> {
        reach("database-write").map_err(database)?;
        self.execute(sql, vars).await?;
        reach("database-written").map_err(database)?;
        Ok(())
    }

    /// Runs one statement and answers its rows.
    pub(crate) async fn rows<T: SurrealValue + Send + 'static, const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<Vec<T>, StoreError> {
        reach("database-read").map_err(database)?;
        let query = query(Arc::clone(&self.db), sql, vars);
        self.spawn(async move { Ok(query.await?.take(0)?) }).await
    }

    /// A session of its own, for tests of who may do what.
    #[cfg(test)]
    pub(crate) fn handle(&self) -> Surreal<Db> {
        Surreal::clone(&self.db)
    }

    /// Runs a future on the engine's own threads, for tests.
    #[cfg(test)]
    pub(crate) async fn on_its_threads<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.spawn(future).await.expect("it does not panic")
    }

    /// Closes the database and waits for it. Does nothing where it is closed already.
    pub(crate) async fn stop(&self) -> Result<(), StoreError> {
        let Some(running) = self.take_running() else { return Ok(()) };
        drop(running.stop);
        tokio::select! {
            stopped = running.stopped => stopped.unwrap_or(Err(StoreError::Closed)),
            _ = after(OPENING)? => Err(database(format!("it did not close within {OPENING:?}"))),
        }
    }

    /// Runs a future on the engine's own threads, to its end even if the caller does not wait for it.
    async fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The engine's runtime has a timer; the caller's need not have one.
        match self.runtime.spawn(async { tokio::time::timeout(PATIENCE, future).await }).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(database(format!("no answer within {PATIENCE:?}"))),
            Err(failure) if failure.is_panic() => Err(database(failure)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    fn take_running(&self) -> Option<Running> {
        self.running.lock().take()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(running) = self.take_running() else { return };
        drop(running.stop);
        if running.thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// The life of the store's thread: open, wait for the stop, close.
fn run(
    address: &str,
    settings: &StoreSettings,
    ready: oneshot::Sender<(Handle, Surreal<Db>)>,
    stopping: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let runtime = runtime(settings).map_err(database)?;
    runtime.block_on(async {
        let (datastore, db) = open(address, settings).await?;
        reach("database-opened").map_err(database)?;
        if ready.send((Handle::current(), db)).is_ok() {
            // An error is the signal too: it is the sender's end that counts.
            let _ = stopping.await;
        }
        datastore.shutdown().await.map_err(database)
    })
}

fn runtime(settings: &StoreSettings) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(settings.threads.get())
        .thread_stack_size(STACK_BYTES)
        .thread_name("store-worker")
        .enable_all()
        .build()
}

/// As `surrealdb_engine_local::connect` does it, but with the caches bounded: `Surreal::new` has no
/// way to say so, and the environment is not asked when embedded.
async fn open(address: &str, settings: &StoreSettings) -> Result<(Arc<Datastore>, Surreal<Db>), StoreError> {
    let datastore = datastore(address, settings).await?;
    datastore.check_version().await.map_err(database)?;
    datastore.bootstrap().await.map_err(database)?;
    datastore.start_maintenance_tasks();
    let db = Surreal::<Db>::unstable_from_datastore(Arc::clone(&datastore), None).await?;
    // STRICT: a row for a table that no migration has defined is an error, not a new table.
    db.query("DEFINE NAMESPACE IF NOT EXISTS volute; USE NS volute; DEFINE DATABASE IF NOT EXISTS volute STRICT;")
        .await?
        .check()?;
    db.use_ns("volute").use_db("volute").await?;
    Ok((datastore, db))
}

/// The files opened, the log replayed, and nothing written yet.
async fn datastore(address: &str, settings: &StoreSettings) -> Result<Arc<Datastore>, StoreError> {
    let mib = |mib: u32| (u64::from(mib) << 20).to_string();
    let config = ConfigMap::empty()
        .with_key_value("datastore_sync", "every")
        .with_key_value("surrealkv_block_cache_capacity", mib(settings.block_cache_mib.get()))
        .with_key_value("surrealkv_max_memtable_size", mib(settings.memtable_mib.get()));
    let builder = Datastore::builder().with_config(config).with_auth(false).without_maintenance_tasks();
    builder.build_with_path(address).await.map_err(|error| open_error(&error.to_string()))
}

/// Says that an opening failed in the middle of a conversion. Another opening waits for it, or goes on with it.
fn while_converting(dir: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Database(error) if dir.join(folder::DATABASE).join("MIGRATING").exists() => database(format!(
            "it is being converted to a newer format, which goes on until it is done; it is tried again by itself ({error})"
        )),
        other => other,
    }
}

/// Says what to do where SurrealKV refuses its log. It cuts off what a kill leaves, a torn record at the end, and nothing
/// else: damage in the middle is the disk's, and what stands behind it was acknowledged. Its words are for programmers.
fn open_error(error: &str) -> StoreError {
    let refused = ["Automatic repair refused", "The log is not cut automatically"];
    if !refused.iter().any(|words| error.contains(words)) {
        return database(error.to_owned());
    }
    database(format!(
        "its log is damaged, and opening it would lose what was stored. Check the disk, then put back the folder \"database\" \
         of the newest backup (README, \"When the database cannot be opened\"). ({error})"
    ))
}

/// Answers after this long. The caller's runtime may have no timer, so it is a thread that sleeps.
fn after(time: Duration) -> Result<oneshot::Receiver<()>, StoreError> {
    let (done, waiting) = oneshot::channel();
    let sleep = move || {
        let begun = Instant::now();
        // Parking may end early.
        while let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        let _ = done.send(());
    };
    thread::Builder::new().name("store-timer".into()).stack_size(512 << 10).spawn(sleep).map_err(database)?;
    Ok(waiting)
}

fn query<const N: usize>(
    db: Arc<Surreal<Db>>,
    sql: &'static str,
    vars: [(&'static str, Value); N],
) -> impl Future<Output = Result<IndexedResults, StoreError>> + Send + use<N> {
    let vars: Variables = vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    async move {
        let mut results = db.query(sql).bind(vars).await?;
        let errors = results.take_errors();
        // In a failed transaction every other statement fails too, saying only that it did not count.
        let told = |error: &&surrealdb::Error| {
            let ErrorDetails::Query(Some(details)) = error.details() else { return true };
            !matches!(details, QueryError::NotExecuted | QueryError::Cancelled)
        };
        match errors.values().find(told).or_else(|| errors.values().next()) {
            Some(error) => Err(error.clone().into()),
            None => Ok(results),
        }
    }
}

/// SurrealDB takes a path as text, in which a `?` begins parameters.
fn address(dir: &Path) -> Result<String, StoreError> {
    let directory = |source| StoreError::Directory { path: dir.to_owned(), source };
    let path: PathBuf = dir.canonicalize().map_err(directory)?.join(folder::DATABASE);
    match path.to_str().filter(|path| !path.contains('?')) {
        Some(path) => Ok(format!("surrealkv://{path}")),
        None => Err(directory(io::Error::new(io::ErrorKind::InvalidInput, "its path must be UTF-8 and without '?'"))),
    }
}

fn database(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Database(error.into())
}
