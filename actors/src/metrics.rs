//! The node's own figures, written to the store at the start and then at a steady pace.
//!
//! A rate is what was counted between two writings of the same actor, divided by the time between them. The first
//! writing after a start or a restart has none: the totals count from the node's start, and are no rate.

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
    counters::Counters, keeper::Disk, protocol::recorder::RecordRow, recorder::Recorder, refusals::SharedRefusals,
};

/// How often they are written.
const EVERY: Duration = Duration::from_secs(10);

/// The actor.
pub(crate) struct MetricsActor {
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
    pub store: Store,
    pub disk: Disk,
    /// Refused orders that are counted for the audit log.
    pub refusals: SharedRefusals,
    /// What was counted up to the last writing of this actor.
    pub before: Option<Moment>,
    /// Where each writing is noted.
    pub slot: Arc<ActorSlot>,
}

/// What rates are made of: totals, and when they were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Instant,
    accepted: u64,
    cpu: Option<Duration>,
    syncs: u64,
    sync_total_us: u64,
}

impl Moment {
    /// The rates since an earlier moment; none where no time has passed.
    fn rates_since(&self, before: &Self) -> Vec<(&'static str, f64)> {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds == 0.0 {
            return Vec::new();
        }
        let accepted = self.accepted.saturating_sub(before.accepted);
        let mut rates = vec![("ingest_readings_per_s", accepted as f64 / seconds)];
        if let (Some(now), Some(before)) = (self.cpu, before.cpu) {
            rates.push(("cpu_percent_of_a_core", now.saturating_sub(before).as_secs_f64() / seconds * 100.0));
        }
        let syncs = self.syncs.saturating_sub(before.syncs);
        if syncs > 0 {
            let took_us = self.sync_total_us.saturating_sub(before.sync_total_us);
            rates.push(("journal_sync_mean_us", took_us as f64 / syncs as f64));
        }
        rates
    }
}

impl MetricsActor {
    fn write(&mut self) {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("metrics-write");
        let begun = Instant::now();
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
        let now = Moment { at: begun, accepted: totals.accepted, cpu: cpu_time(), syncs, sync_total_us };
        let rates = self.before.replace(now).map(|before| now.rates_since(&before));
        rates.into_iter().flatten().for_each(|(name, rate)| add(name, rate));
        add("waiting_readings", store.waiting_readings as f64);
        add("waiting_bytes", store.waiting_bytes as f64);
        if let Some(disk) = self.disk.outlook() {
            add("database_bytes", disk.used.database_bytes as f64);
            add("journal_bytes", disk.used.journal_bytes as f64);
            add("disk_free_bytes", disk.used.free_bytes as f64);
        }
        let metrics = SystemMetrics { at: self.clock.now(), figures: figures.into_iter().collect() };
        if self.recorder.results.try_send(RecordRow::Metrics(metrics)).is_err() {
            tracing::warn!(queue = "recorder", "no room for the node's figures");
        }
        self.slot.progressed(begun.elapsed());
    }

    /// Has the refusals noted whose time of being counted has ended.
    fn note_refusals(&mut self, ctx: &mut Context<Self>) {
        let due = self.refusals.lock().due(Instant::now());
        for entry in due {
            let results = self.recorder.results.clone();
            let delivery = async move { drop(results.send(RecordRow::Document(Document::of(&entry))).await) };
            ctx.spawn(delivery.into_actor(self).map(|(), _, _| ()));
        }
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write();
        ctx.run_interval(EVERY, |actor, ctx| {
            actor.write();
            actor.note_refusals(ctx);
        });
    }
}

/// Returns the resident memory in bytes; none where the system does not say.
fn resident_bytes() -> Option<u64> {
    Process::myself().ok()?.status().ok()?.vmrss?.checked_mul(1024)
}

/// Returns the processor time of all threads; none where the system does not say.
fn cpu_time() -> Option<Duration> {
    let stat = Process::myself().ok()?.stat().ok()?;
    let ticks_ms = 1_000 / procfs::ticks_per_second().max(1);
    Some(Duration::from_millis((stat.utime + stat.stime) * ticks_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_between_two_moments() {
        let at = Instant::now();
        let after_ms = |ms| at + Duration::from_millis(ms);
        let moment = |ms: u64, accepted: u64, syncs: u64| Moment {
            at: after_ms(ms),
            accepted,
            cpu: Some(Duration::from_millis(ms / 4)),
            syncs,
            sync_total_us: 300 * syncs,
        };
        // A node that has taken a million readings; the actor was restarted, and writes 10 s and then 2.5 s later.
        let moments = [moment(0, 1_000_000, 7000), moment(10_000, 1_000_500, 7010), moment(12_500, 1_000_500, 7010)];
        let rates = |n: usize| moments[n].rates_since(&moments[n - 1]);
        let expected =
            [("ingest_readings_per_s", 50.0), ("cpu_percent_of_a_core", 25.0), ("journal_sync_mean_us", 300.0)];
        assert_eq!(rates(1), expected);
        assert_eq!(rates(2), [("ingest_readings_per_s", 0.0), ("cpu_percent_of_a_core", 25.0)], "nothing was synced");
        assert_eq!(moments[1].rates_since(&moments[1]), [], "no time has passed");
    }

    #[test]
    fn the_system_says_what_the_process_takes() {
        let pages: Vec<u8> = vec![1; 64 << 20];
        let resident = resident_bytes().expect("Linux");
        assert!(resident > pages.len() as u64, "{resident} bytes, with 64 MiB that are written");
        assert!(cpu_time().is_some());
    }
}
