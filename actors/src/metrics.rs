//! The node's own figures, written to the store at the start and then at a steady pace.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context};
use volute_data::{Store, SystemMetrics};
use volute_plant::Clock;

use crate::{counters::Counters, keeper::Disk, recorder::Recorder, supervision::Cell};

/// How often they are written.
const EVERY: Duration = Duration::from_secs(10);

/// The actor.
pub(crate) struct MetricsActor {
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub store: Store,
    pub disk: Disk,
    /// Accepted readings and processor time at the last writing.
    pub before: Before,
    /// Where each writing is noted.
    pub cell: Arc<Cell>,
}

/// What rates are made of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    accepted: u64,
    cpu: Option<Duration>,
    syncs: (u64, u64),
}

impl MetricsActor {
    fn write(&mut self) {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("metrics-write");
        let begun = Instant::now();
        let mut figures: Vec<(String, f64)> =
            self.counters.totals().figures().map(|(name, value)| (name.to_owned(), value as f64)).collect();
        figures.push(("recorder_queue".into(), self.recorder.depth() as f64));
        let mut add = |name: &str, figure: f64| figures.push((name.to_owned(), figure));
        if let Some(bytes) = resident_bytes() {
            add("resident_bytes", bytes as f64);
        }
        let store = self.store.status();
        let seconds = EVERY.as_secs_f64();
        let accepted = self.counters.totals().accepted;
        add("ingest_readings_per_s", (accepted - self.before.accepted) as f64 / seconds);
        let cpu = cpu_time();
        if let (Some(now), Some(before)) = (cpu, self.before.cpu) {
            add("cpu_percent_of_a_core", (now.saturating_sub(before)).as_secs_f64() / seconds * 100.0);
        }
        let syncs = (store.journal.syncs, store.journal.sync_total_us);
        let made = syncs.0 - self.before.syncs.0;
        if made > 0 {
            add("journal_sync_mean_us", (syncs.1 - self.before.syncs.1) as f64 / made as f64);
        }
        add("waiting_readings", store.waiting_readings as f64);
        add("waiting_bytes", store.waiting_bytes as f64);
        if let Some(disk) = self.disk.outlook() {
            add("database_bytes", disk.used.database_bytes as f64);
            add("journal_bytes", disk.used.journal_bytes as f64);
            add("disk_free_bytes", disk.used.free_bytes as f64);
        }
        self.before = Before { accepted, cpu, syncs };
        let metrics = SystemMetrics { at: self.clock.now(), figures: figures.into_iter().collect() };
        if self.recorder.results.post(metrics).is_err() {
            tracing::warn!(queue = "recorder", "no room for the node's figures");
        }
        self.cell.progressed(begun.elapsed());
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write();
        ctx.run_interval(EVERY, |actor, _| actor.write());
    }
}

/// Resident memory from `/proc/self/statm` (proc(5), second field, in pages of 4 KiB); none where there is no such file.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Processor time of all threads, from `/proc/self/stat` (proc(5), fields 14 and 15, in ticks of 10 ms).
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
