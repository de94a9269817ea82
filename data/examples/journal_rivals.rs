//! Compares the journal with fjall and SurrealDB, for small and large records and with 1, 8 and 64 appenders that each
//! wait for the acknowledgement of their record: `journal_rivals [DIR] [SECONDS]`.
//!
//! All of them sync before they acknowledge. Without DIR, measures in a temporary directory, which may be in memory.
//! Times are those of the closed loop alone; bytes and CPU time include closing.

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

/// The payload of one reading of ten channels, and of a hundred readings, in bytes.
const PAYLOADS: [usize; 2] = [110, 11_000];
const APPENDERS: [usize; 3] = [1, 8, 64];
/// The maximum size of a group before a sync, as in the journal.
const GROUP_BYTES: usize = 256 << 10;
/// The unit of CPU time in `/proc/self/stat`.
const TICK_US: u64 = 10_000;

type BoxError = Box<dyn Error + Send + Sync>;

/// The load of one measurement.
#[derive(Clone, Copy)]
struct Load {
    appenders: usize,
    payload_bytes: usize,
    time: Duration,
}

/// The result of one measurement.
#[derive(Default)]
struct Measurement {
    latencies_us: Vec<u64>,
    seconds: f64,
}

/// The resources that the process has used so far.
struct ResourceUsage {
    cpu_us: u64,
    written_bytes: u64,
}

fn main() -> Result<(), BoxError> {
    // SurrealDB's futures nest deeply.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(16 << 20).build()?;
    runtime.block_on(async { tokio::spawn(measure()).await? })
}

async fn measure() -> Result<(), BoxError> {
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
            let usage_before = ResourceUsage::now()?;
            let measurement = journal(&dir.join("journal"), load).await?;
            print("journal", load, measurement, &usage_before, &dir.join("journal"))?;
            let usage_before = ResourceUsage::now()?;
            let measurement = fjall(&dir.join("fjall"), load).await?;
            print("fjall", load, measurement, &usage_before, &dir.join("fjall"))?;
            let usage_before = ResourceUsage::now()?;
            let measurement = surrealdb(&dir.join("surreal"), load).await?;
            print("surreal", load, measurement, &usage_before, &dir.join("surreal"))?;
        }
    }
    Ok(())
}

/// Volute's journal.
async fn journal(dir: &Path, load: Load) -> Result<Measurement, BoxError> {
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
    let measurement = collect(tasks).await?;
    journal.close();
    Ok(measurement)
}

/// fjall: one insert per record and one sync per group, by one thread. Records that arrive during a sync form the next
/// group.
async fn fjall(dir: &Path, load: Load) -> Result<Measurement, BoxError> {
    let (sender, receiver) = mpsc::channel(8192);
    let dir = dir.to_owned();
    let writer = thread::spawn(move || fjall_writer(&dir, receiver));
    let mut tasks = JoinSet::new();
    for _ in 0..load.appenders {
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut latencies_us = Vec::new();
            let end = Instant::now() + load.time;
            while Instant::now() < end {
                let start = Instant::now();
                let (ack_sender, ack_receiver) = oneshot::channel();
                sender.send((payload(load, latencies_us.len()), ack_sender)).await?;
                ack_receiver.await?;
                latencies_us.push(micros(start));
            }
            Ok(latencies_us)
        });
    }
    let measurement = collect(tasks).await?;
    drop(sender);
    writer.join().map_err(|_| "fjall's writer panicked")??;
    Ok(measurement)
}

fn fjall_writer(dir: &Path, mut receiver: mpsc::Receiver<(Vec<u8>, oneshot::Sender<()>)>) -> Result<(), BoxError> {
    let db = Database::builder(dir).open()?;
    let keyspace = db.keyspace("journal", || KeyspaceCreateOptions::default().manual_journal_persist(true))?;
    let mut seq = 0u64;
    let mut ack_senders = Vec::new();
    while let Some(first) = receiver.blocking_recv() {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some((payload, ack_sender)) = next.take() {
            seq += 1;
            bytes += payload.len();
            keyspace.insert(seq.to_be_bytes(), payload)?;
            ack_senders.push(ack_sender);
            if bytes < GROUP_BYTES {
                next = receiver.try_recv().ok();
            }
        }
        db.persist(PersistMode::SyncData)?;
        for ack_sender in ack_senders.drain(..) {
            let _nobody_waits = ack_sender.send(());
        }
    }
    Ok(())
}

/// SurrealDB on SurrealKV, as the store uses it: one transaction per record. SurrealKV groups their syncs.
async fn surrealdb(dir: &Path, load: Load) -> Result<Measurement, BoxError> {
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
    let measurement = collect(tasks).await?;
    datastore.shutdown().await?;
    Ok(measurement)
}

async fn collect(mut tasks: JoinSet<Result<Vec<u64>, BoxError>>) -> Result<Measurement, BoxError> {
    let start = Instant::now();
    let mut measurement = Measurement::default();
    while let Some(done) = tasks.join_next().await {
        measurement.latencies_us.extend(done??);
    }
    measurement.seconds = start.elapsed().as_secs_f64();
    measurement.latencies_us.sort_unstable();
    Ok(measurement)
}

/// Returns bytes that hardly compress, like packed numbers, and differ from record to record.
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

/// Prints a line of the table and removes the files.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn print(
    rival: &str,
    load: Load,
    measurement: Measurement,
    usage_before: &ResourceUsage,
    dir: &Path,
) -> Result<(), BoxError> {
    let usage_after = ResourceUsage::now()?;
    let appends = measurement.latencies_us.len().max(1) as f64;
    let at = |percent: usize| {
        measurement.latencies_us.get(measurement.latencies_us.len() * percent / 100).copied().unwrap_or(0)
    };
    println!(
        "| {rival:7} | {:7} | {:9} | {:9.0} | {:6} | {:6} | {:11.1} | {:12.0} | {:12.0} |",
        load.payload_bytes,
        load.appenders,
        appends / measurement.seconds,
        at(50),
        at(99),
        (usage_after.cpu_us - usage_before.cpu_us) as f64 / appends,
        allocated_bytes(dir)? as f64 / appends,
        (usage_after.written_bytes - usage_before.written_bytes) as f64 / appends,
    );
    fs::remove_dir_all(dir)?;
    Ok(())
}

/// Returns how many bytes the files in a folder occupy on the disk.
fn allocated_bytes(dir: &Path) -> Result<u64, BoxError> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { allocated_bytes(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(bytes)
}

impl ResourceUsage {
    fn now() -> Result<Self, BoxError> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The process name, in brackets, may contain spaces. User and system time are the 14th and 15th fields.
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let cpu_us = ticks.sum::<Result<u64, _>>()? * TICK_US;
        let io = fs::read_to_string("/proc/self/io")?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
        Ok(Self { cpu_us, written_bytes: written.trim().parse()? })
    }
}
