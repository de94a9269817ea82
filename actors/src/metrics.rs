//! Writes the node's own metrics to the store, at the start and then every 10 s.
//!
//! The metrics are totals and rates. A rate is the increase of a total between two writes of the same incarnation,
//! divided by the time between them. For example, 500 readings accepted in 10 s give `ingest_readings_per_s` = 50. The
//! first write after a start or restart has no rates.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use procfs::process::Process;
use volute_data::{Document, Store, SystemMetrics};
use volute_plant::Clock;
use volute_runtime::ActorSlot;

use crate::{
    counters::Counters, flusher::SharedDiskOutlook, protocol::recorder::RecordRow, recorder::Recorder,
    refused_commands::SharedRefusals,
};

/// The time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// The actor.
pub(crate) struct MetricsActor {
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub store: Store,
    pub disk: SharedDiskOutlook,
    /// Counts of refused commands for the audit log. This actor writes them when their counting period ends.
    pub refusals: SharedRefusals,
    /// The totals at this incarnation's last write.
    pub previous: Option<TotalsAt>,
    /// Records each write as progress.
    pub slot: Arc<ActorSlot>,
}

/// The totals from which rates are computed, and when they were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TotalsAt {
    at: Instant,
    accepted: u64,
    cpu: Option<Duration>,
    syncs: u64,
    sync_total_us: u64,
}

impl TotalsAt {
    /// Returns the rates since earlier totals; none if no time has passed.
    fn rates_since(&self, previous: &Self) -> Vec<(&'static str, f64)> {
        let seconds = self.at.saturating_duration_since(previous.at).as_secs_f64();
        if seconds == 0.0 {
            return Vec::new();
        }
        let accepted = self.accepted.saturating_sub(previous.accepted);
        let mut rates = vec![("ingest_readings_per_s", accepted as f64 / seconds)];
        if let (Some(now), Some(previous)) = (self.cpu, previous.cpu) {
            rates.push(("cpu_percent_of_a_core", now.saturating_sub(previous).as_secs_f64() / seconds * 100.0));
        }
        let syncs = self.syncs.saturating_sub(previous.syncs);
        if syncs > 0 {
            let took_us = self.sync_total_us.saturating_sub(previous.sync_total_us);
            rates.push(("journal_sync_mean_us", took_us as f64 / syncs as f64));
        }
        rates
    }
}

impl MetricsActor {
    fn write(&mut self) {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("metrics-write");
        let began = Instant::now();
        let totals = self.counters.totals();
        let mut figures: Vec<(String, f64)> =
            totals.figures().map(|(name, value)| (name.to_owned(), value as f64)).collect();
        figures.push(("recorder_queue".into(), self.recorder.depth() as f64));
        let mut add = |name: &str, figure: f64| figures.push((name.to_owned(), figure));
        if let Some(bytes) = resident_bytes() {
            add("resident_bytes", bytes as f64);
        }
        let store = self.store.status();
        let (syncs, sync_total_us) = (store.journal.syncs, store.journal.sync_total_us);
        let now = TotalsAt { at: began, accepted: totals.accepted, cpu: cpu_time(), syncs, sync_total_us };
        let rates = self.previous.replace(now).map(|previous| now.rates_since(&previous));
        rates.into_iter().flatten().for_each(|(name, rate)| add(name, rate));
        add("waiting_readings", store.unflushed_readings as f64);
        add("waiting_bytes", store.unflushed_bytes as f64);
        if let Some(disk) = self.disk.outlook() {
            add("database_bytes", disk.used.database_bytes as f64);
            add("journal_bytes", disk.used.journal_bytes as f64);
            add("disk_free_bytes", disk.used.free_bytes as f64);
        }
        let metrics = SystemMetrics { at: self.clock.now(), figures: figures.into_iter().collect() };
        if self.recorder.results.try_send(RecordRow::Metrics(metrics)).is_err() {
            tracing::warn!(queue = "recorder", "the node's metrics were dropped: the recorder's inbox is full");
        }
        self.slot.record_progress(began.elapsed());
    }

    /// Writes audit entries for the counted refusals whose counting period has ended.
    fn write_refusals(&mut self, ctx: &mut Context<Self>) {
        let due = self.refusals.lock().due(Instant::now());
        for entry in due {
            let results = self.recorder.results.clone();
            let send = async move { drop(results.send(RecordRow::Document(Document::of(&entry))).await) };
            ctx.spawn(send.into_actor(self).map(|(), _, _| ()));
        }
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write();
        ctx.run_interval(WRITE_INTERVAL, |actor, ctx| {
            actor.write();
            actor.write_refusals(ctx);
        });
    }
}

/// Returns the resident memory in bytes; none if the system does not report it.
fn resident_bytes() -> Option<u64> {
    Process::myself().ok()?.status().ok()?.vmrss?.checked_mul(1024)
}

/// Returns the processor time of all threads; none if the system does not report it.
fn cpu_time() -> Option<Duration> {
    let stat = Process::myself().ok()?.stat().ok()?;
    let ticks_ms = 1_000 / procfs::ticks_per_second().max(1);
    Some(Duration::from_millis((stat.utime + stat.stime) * ticks_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_of_totals_over_time() {
        let at = Instant::now();
        let after_ms = |ms| at + Duration::from_millis(ms);
        let totals = |ms: u64, accepted: u64, syncs: u64| TotalsAt {
            at: after_ms(ms),
            accepted,
            cpu: Some(Duration::from_millis(ms / 4)),
            syncs,
            sync_total_us: 300 * syncs,
        };
        // The node has accepted a million readings. The restarted actor writes again after 10 s and after another 2.5
        // s.
        let writes = [totals(0, 1_000_000, 7000), totals(10_000, 1_000_500, 7010), totals(12_500, 1_000_500, 7010)];
        let rates = |n: usize| writes[n].rates_since(&writes[n - 1]);
        let expected =
            [("ingest_readings_per_s", 50.0), ("cpu_percent_of_a_core", 25.0), ("journal_sync_mean_us", 300.0)];
        assert_eq!(rates(1), expected);
        assert_eq!(rates(2), [("ingest_readings_per_s", 0.0), ("cpu_percent_of_a_core", 25.0)], "nothing was synced");
        assert_eq!(writes[1].rates_since(&writes[1]), [], "no time has passed");
    }

    #[test]
    fn the_system_reports_memory_and_processor_time() {
        let pages: Vec<u8> = vec![1; 64 << 20];
        let resident = resident_bytes().expect("Linux");
        assert!(resident > pages.len() as u64, "{resident} bytes, with 64 MiB written");
        assert!(cpu_time().is_some());
    }
}
