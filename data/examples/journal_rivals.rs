//! The journal against rivals, for small and large records and 1, 8 and 64 appenders that each wait for their answer:
//! `journal_rivals [DIR] [SECONDS]`.
//!
//! Every rival syncs before it answers. Without a directory it measures in a temporary one, which may be no disk at all.
//! Times are of the closed loop alone; bytes and CPU include closing.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{
    env,
    error::Error,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use surrealdb::{
    Surreal,
    engine::local::Db,
    types::{Bytes, RecordId},
};
use surrealdb_cnf::ConfigMap;
use surrealdb_engine_local::Datastore;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use volute_data::{Journal, JournalSettings};

/// A reading of ten channels, and a hundred of them.
const PAYLOADS: [usize; 2] = [110, 11_000];
const APPENDERS: [usize; 3] = [1, 8, 64];
/// What a rival's writer takes at most before it syncs, as the journal does.
const GROUP_BYTES: usize = 256 << 10;
/// What Linux counts a process's CPU time in.
const TICK_US: u64 = 10_000;

type Failure = Box<dyn Error + Send + Sync>;

/// What one rival is put through.
#[derive(Clone, Copy)]
struct Load {
    appenders: usize,
    payload_bytes: usize,
    time: Duration,
}

/// What the appenders saw.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<u64>,
    seconds: f64,
}

/// What the process has used so far.
struct Used {
    cpu_us: u64,
    written_bytes: u64,
}

fn main() -> Result<(), Failure> {
    // SurrealDB's futures nest deeply.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(16 << 20).build()?;
    runtime.block_on(async { tokio::spawn(measure()).await? })
}

async fn measure() -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let dir = env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let seconds = env::args().nth(2).map_or(Ok(3), |seconds| seconds.parse())?;
    println!(
        "| rival   | payload | appenders | appends/s | p50 us | p99 us | CPU us each | on disk each | written each |"
    );
    println!(
        "|---------|---------|-----------|-----------|--------|--------|-------------|--------------|--------------|"
    );
    for payload_bytes in PAYLOADS {
        for appenders in APPENDERS {
            let load = Load { appenders, payload_bytes, time: Duration::from_secs(seconds) };
            let before = Used::now()?;
            let seen = journal(&dir.join("journal"), load).await?;
            print("journal", load, seen, &before, &dir.join("journal"))?;
            let before = Used::now()?;
            let seen = fjall(&dir.join("fjall"), load).await?;
            print("fjall", load, seen, &before, &dir.join("fjall"))?;
            let before = Used::now()?;
            let seen = surrealdb(&dir.join("surreal"), load).await?;
            print("surreal", load, seen, &before, &dir.join("surreal"))?;
        }
    }
    Ok(())
}

/// Volute's journal.
async fn journal(dir: &Path, load: Load) -> Result<Seen, Failure> {
    let (journal, _) = Journal::open(dir, JournalSettings::default(), None, 0, |_, _| {})?;
    let mut tasks = JoinSet::new();
    for _ in 0..load.appenders {
        let journal = journal.clone();
        tasks.spawn(async move {
            let mut latencies_us = Vec::new();
            let end = Instant::now() + load.time;
            while Instant::now() < end {
                let start = Instant::now();
                journal.append(payload(load, latencies_us.len())).await?;
                latencies_us.push(micros(start));
            }
            Ok(latencies_us)
        });
    }
    let seen = collect(tasks).await?;
    journal.close();
    Ok(seen)
}

/// fjall: one insert per record and one sync per group, by one thread, so that a group gathers while another is synced.
async fn fjall(dir: &Path, load: Load) -> Result<Seen, Failure> {
    let (sender, waiting) = mpsc::channel(8192);
    let dir = dir.to_owned();
    let writer = thread::spawn(move || fjall_writer(&dir, waiting));
    let mut tasks = JoinSet::new();
    for _ in 0..load.appenders {
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut latencies_us = Vec::new();
            let end = Instant::now() + load.time;
            while Instant::now() < end {
                let start = Instant::now();
                let (answer, answered) = oneshot::channel();
                sender.send((payload(load, latencies_us.len()), answer)).await?;
                answered.await?;
                latencies_us.push(micros(start));
            }
            Ok(latencies_us)
        });
    }
    let seen = collect(tasks).await?;
    drop(sender);
    writer.join().map_err(|_| "fjall's writer panicked")??;
    Ok(seen)
}

fn fjall_writer(dir: &Path, mut waiting: mpsc::Receiver<(Vec<u8>, oneshot::Sender<()>)>) -> Result<(), Failure> {
    let db = Database::builder(dir).open()?;
    let keyspace = db.keyspace("journal", || KeyspaceCreateOptions::default().manual_journal_persist(true))?;
    let mut seq = 0u64;
    let mut answers = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some((payload, answer)) = next.take() {
            seq += 1;
            bytes += payload.len();
            keyspace.insert(seq.to_be_bytes(), payload)?;
            answers.push(answer);
            if bytes < GROUP_BYTES {
                next = waiting.try_recv().ok();
            }
        }
        db.persist(PersistMode::SyncData)?;
        for answer in answers.drain(..) {
            let _nobody_waits = answer.send(());
        }
    }
    Ok(())
}

/// SurrealDB on SurrealKV as the store uses it: a transaction for each record, whose syncs SurrealKV groups by itself.
async fn surrealdb(dir: &Path, load: Load) -> Result<Seen, Failure> {
    fs::create_dir_all(dir)?;
    let path = format!("surrealkv://{}", dir.canonicalize()?.display());
    let config = ConfigMap::empty()
        .with_key_value("datastore_sync", "every")
        .with_key_value("surrealkv_block_cache_capacity", (64_u64 << 20).to_string())
        .with_key_value("surrealkv_max_memtable_size", (32_u64 << 20).to_string());
    let builder = Datastore::builder().with_config(config).with_auth(false).without_maintenance_tasks();
    let datastore: Arc<Datastore> = builder.build_with_path(&path).await?;
    datastore.check_version().await?;
    datastore.bootstrap().await?;
    let db = Surreal::<Db>::unstable_from_datastore(Arc::clone(&datastore), None).await?;
    let schema = "
        DEFINE NAMESPACE volute; USE NS volute; DEFINE DATABASE volute; USE DB volute;
        DEFINE TABLE log SCHEMAFULL PERMISSIONS NONE; DEFINE FIELD payload ON log TYPE bytes;";
    db.query(schema).await?.check()?;
    let mut tasks = JoinSet::new();
    for appender in 0..load.appenders {
        let db = Surreal::clone(&db);
        tasks.spawn(async move {
            db.use_ns("volute").use_db("volute").await?;
            let mut latencies_us = Vec::new();
            let end = Instant::now() + load.time;
            while Instant::now() < end {
                let start = Instant::now();
                let number = latencies_us.len();
                let id = RecordId::new("log", format!("{appender}-{number}"));
                let create = "CREATE $id SET payload = $payload RETURN NONE";
                let payload = Bytes::from(payload(load, number));
                db.query(create).bind(("id", id)).bind(("payload", payload)).await?.check()?;
                latencies_us.push(micros(start));
            }
            Ok(latencies_us)
        });
    }
    let seen = collect(tasks).await?;
    datastore.shutdown().await?;
    Ok(seen)
}

async fn collect(mut tasks: JoinSet<Result<Vec<u64>, Failure>>) -> Result<Seen, Failure> {
    let start = Instant::now();
    let mut seen = Seen::default();
    while let Some(done) = tasks.join_next().await {
        seen.latencies_us.extend(done??);
    }
    seen.seconds = start.elapsed().as_secs_f64();
    seen.latencies_us.sort_unstable();
    Ok(seen)
}

/// Bytes that hardly compress, as packed numbers do not, and that differ from record to record.
fn payload(load: Load, number: usize) -> Vec<u8> {
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(load.payload_bytes + 8);
    while bytes.len() < load.payload_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(load.payload_bytes);
    bytes
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Prints a line and removes what the rival left.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn print(rival: &str, load: Load, seen: Seen, before: &Used, dir: &Path) -> Result<(), Failure> {
    let after = Used::now()?;
    let count = seen.latencies_us.len().max(1) as f64;
    let at = |share: usize| seen.latencies_us.get(seen.latencies_us.len() * share / 100).copied().unwrap_or(0);
    println!(
        "| {rival:7} | {:7} | {:9} | {:9.0} | {:6} | {:6} | {:11.1} | {:12.0} | {:12.0} |",
        load.payload_bytes,
        load.appenders,
        count / seen.seconds,
        at(50),
        at(99),
        (after.cpu_us - before.cpu_us) as f64 / count,
        allocated_bytes(dir)? as f64 / count,
        (after.written_bytes - before.written_bytes) as f64 / count,
    );
    fs::remove_dir_all(dir)?;
    Ok(())
}

/// What the files in a folder take on the disk.
fn allocated_bytes(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { allocated_bytes(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(bytes)
}

impl Used {
    fn now() -> Result<Self, Failure> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The name, in brackets, may hold blanks; user and system time are the 14th and 15th of all fields.
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let cpu_us = ticks.sum::<Result<u64, _>>()? * TICK_US;
        let io = fs::read_to_string("/proc/self/io")?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
        Ok(Self { cpu_us, written_bytes: written.trim().parse()? })
    }
}
