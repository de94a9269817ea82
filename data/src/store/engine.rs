//! The embedded SurrealDB: opened, queried and closed on separate threads.
//!
//! SurrealDB spawns its tasks on the runtime that opens it, its futures need a deep stack, and a large query computes
//! for tens of milliseconds. So it has a separate runtime, and callers on any other runtime await the result. Does not
//! contain the statements; they are with the rows that they read and write.
//!
//! Durability, according to the source of SurrealDB 3.3.5: with `datastore_sync=every`, `Transaction::commit` in
//! `surrealdb-kvs-surrealkv/src/lib.rs` awaits the `CommitCoordinator`. The coordinator's thread calls
//! `Tree::flush_wal(true)` (surrealkv 1.2.0, `src/lsm.rs`), which returns when the log's segment is synced. The rows
//! are visible before that, so a failed sync cannot be undone.
//!
//! A kill can leave a torn record at the end of the log. surrealkv 1.2 cuts that record off when it opens the log, and
//! continues in another segment (`data/surrealkv/tests/torn_log.rs`). It refuses to open a log with other damage; see
//! [`open_error`].

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
use volute_journal::{durable::sync_folder, failpoints::fail_point};

/// The stack of each thread. SurrealDB's futures nest deeply, more so in a debug build; 2 MiB is not enough for them.
const STACK_BYTES: usize = 16 << 20;

/// The time limit of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit of opening and of closing. An engine that exceeds it is left behind with its threads, and the store
/// runs without a database. A database of an earlier format is converted first and may take longer; a later attempt to
/// open it finds it converted.
const OPEN_CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The running database.
pub(crate) struct DatabaseEngine {
    runtime: Handle,
    db: Arc<Surreal<Db>>,
    running: Mutex<Option<EngineThread>>,
}

struct EngineThread {
    /// Dropping it stops the database.
    stop: oneshot::Sender<()>,
    /// Receives the outcome when everything is closed.
    stopped: oneshot::Receiver<Result<(), StoreError>>,
    thread: JoinHandle<()>,
}

impl DatabaseEngine {
    /// Opens the database in `dir/database`. The caller holds the directory's lock.
    pub(crate) async fn start(dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        fail_point("database-open").map_err(database)?;
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
        let running = EngineThread { stop, stopped, thread };
        let opened = tokio::select! {
            opened = opened => opened,
            _ = timer(OPEN_CLOSE_TIMEOUT)? => {
                return Err(explain_conversion(dir, database(format!("it did not open within {OPEN_CLOSE_TIMEOUT:?}"))));
            }
        };
        match opened {
            Ok((runtime, db)) => {
                if new {
                    // The engine syncs the files in its folder, but not the folder's entry in its parent.
                    sync_folder(dir).map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
                }
                Ok(Self { runtime, db: Arc::new(db), running: Mutex::new(Some(running)) })
            }
            Err(_) => match running.stopped.await {
                Ok(Err(error)) => Err(explain_conversion(dir, error)),
                _ => Err(StoreError::Closed),
            },
        }
    }

    /// Runs statements and returns no rows. Returns the error of the first statement that failed.
    ///
    /// The text is a constant, and values are bound by name: no statement is built from strings.
    pub(crate) async fn execute<const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<(), StoreError> {
        let query = query(Arc::clone(&self.db), sql, vars);
        self.spawn(async move { query.await.map(drop) }).await
    }

    /// Runs the transaction that moves rows into the database. The same as
    /// [`DatabaseEngine::execute`], with points where tests inject failures.
    pub(crate) async fn write<const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<(), StoreError> {
        fail_point("database-write").map_err(database)?;
        self.execute(sql, vars).await?;
        fail_point("database-written").map_err(database)?;
        Ok(())
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn rows<T: SurrealValue + Send + 'static, const N: usize>(
        &self,
        sql: &'static str,
        vars: [(&'static str, Value); N],
    ) -> Result<Vec<T>, StoreError> {
        fail_point("database-read").map_err(database)?;
        let query = query(Arc::clone(&self.db), sql, vars);
        self.spawn(async move { Ok(query.await?.take(0)?) }).await
    }

    /// Returns a separate session, for tests of permissions.
    #[cfg(test)]
    pub(crate) fn handle(&self) -> Surreal<Db> {
        Surreal::clone(&self.db)
    }

    /// Runs a future on the engine's own threads, for tests.
    #[cfg(test)]
    pub(crate) async fn on_engine_runtime<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.spawn(future).await.expect("it does not panic")
    }

    /// Closes the database and waits until it is closed. Does nothing if it is closed already.
    pub(crate) async fn stop(&self) -> Result<(), StoreError> {
        let Some(running) = self.take_running() else { return Ok(()) };
        drop(running.stop);
        tokio::select! {
            stopped = running.stopped => stopped.unwrap_or(Err(StoreError::Closed)),
            _ = timer(OPEN_CLOSE_TIMEOUT)? => Err(database(format!("it did not close within {OPEN_CLOSE_TIMEOUT:?}"))),
        }
    }

    /// Runs a future on the engine's own threads, to its end even if the caller is cancelled.
    async fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The engine's runtime has a timer; the caller's need not have one.
        match self.runtime.spawn(async { tokio::time::timeout(QUERY_TIMEOUT, future).await }).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(database(format!("no answer within {QUERY_TIMEOUT:?}"))),
            Err(failure) if failure.is_panic() => Err(database(failure)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    fn take_running(&self) -> Option<EngineThread> {
        self.running.lock().take()
    }
}

impl Drop for DatabaseEngine {
    fn drop(&mut self) {
        let Some(running) = self.take_running() else { return };
        drop(running.stop);
        if running.thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// The main function of the store's thread: opens the database, waits for the stop signal, and closes it.
fn run(
    address: &str,
    settings: &StoreSettings,
    ready: oneshot::Sender<(Handle, Surreal<Db>)>,
    stopping: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let runtime = runtime(settings).map_err(database)?;
    runtime.block_on(async {
        let (datastore, db) = open(address, settings).await?;
        fail_point("database-opened").map_err(database)?;
        if ready.send((Handle::current(), db)).is_ok() {
            // An error is the signal too: it means that the sender was dropped.
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

/// Opens the database as `surrealdb_engine_local::connect` does, but with bounded caches: `Surreal::new` has no
/// parameter for them, and environment variables are not read when SurrealDB is embedded.
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

/// Opens the files and replays the log, without writing anything.
async fn datastore(address: &str, settings: &StoreSettings) -> Result<Arc<Datastore>, StoreError> {
    let mib = |mib: u32| (u64::from(mib) << 20).to_string();
    let config = ConfigMap::empty()
        .with_key_value("datastore_sync", "every")
        .with_key_value("surrealkv_block_cache_capacity", mib(settings.block_cache_mib.get()))
        .with_key_value("surrealkv_max_memtable_size", mib(settings.memtable_mib.get()));
    let builder = Datastore::builder().with_config(config).with_auth(false).without_maintenance_tasks();
    builder.build_with_path(address).await.map_err(|error| open_error(&error.to_string()))
}

/// Returns an error of opening unchanged, or one that names the conversion if a conversion is under way. Another
/// attempt to open the database waits for the conversion or continues it.
fn explain_conversion(dir: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Database(error) if dir.join(folder::DATABASE).join("MIGRATING").exists() => {
            database(format!("it is being converted to a newer format; opening it is retried automatically ({error})"))
        }
        other => other,
    }
}

/// Returns an error of opening that says what to do if SurrealKV refuses its log. SurrealKV repairs only a torn record
/// at the end, which a kill leaves. Damage in the middle comes from the disk, and the records behind it were
/// acknowledged. SurrealKV's message does not say what an operator can do.
fn open_error(error: &str) -> StoreError {
    let refused = ["Automatic repair refused", "The log is not cut automatically"];
    if !refused.iter().any(|words| error.contains(words)) {
        return database(error.to_owned());
    }
    database(format!(
        "its log is damaged, and opening it would lose stored rows. Check the disk, then restore the folder \"database\" \
         of the newest backup (README, \"When the database cannot be opened\"). ({error})"
    ))
}

/// Returns a channel that receives a message after this time. It uses a thread, because the caller's runtime may have
/// no timer.
fn timer(time: Duration) -> Result<oneshot::Receiver<()>, StoreError> {
    let (done, waiting) = oneshot::channel();
    let sleep = move || {
        let begun = Instant::now();
        // `park_timeout` may return early.
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
        // In a failed transaction every other statement fails too, with an error that does not name the cause.
        let is_cause = |error: &&surrealdb::Error| {
            let ErrorDetails::Query(Some(details)) = error.details() else { return true };
            !matches!(details, QueryError::NotExecuted | QueryError::Cancelled)
        };
        match errors.values().find(is_cause).or_else(|| errors.values().next()) {
            Some(error) => Err(error.clone().into()),
            None => Ok(results),
        }
    }
}

/// Returns the database's address. SurrealDB takes it as text, in which a `?` starts the parameters.
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
