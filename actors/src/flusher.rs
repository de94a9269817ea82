//! The flusher: moves due minutes of readings from the journal's head into the database, reopens the database after a
//! failure, deletes expired rows, and measures the disk.
//!
//! Each cycle flushes due minutes, releases journal segments, deletes some rows of removed pumps, and deletes some
//! expired rows. A *sweep* deletes all expired rows: it starts once a minute, and later cycles continue it until it is
//! complete. The pause between two cycles is 100 ms to 1 s, chosen so that each cycle flushes about 32 pump minutes. A
//! pump minute is the rows of one pump and one minute. For example, if 64 pump minutes became due in 1 s, the next
//! cycle starts after 500 ms.
//!
//! No other part waits for the flusher: readings are durable, scored and shown without it. When the database fails, the
//! flusher retries after a pause that doubles from 1 s to 60 s, with jitter, and packs waiting minutes in the meantime.
//! While the node's clock is not trusted, the flusher deletes no expired rows.
//!
//! Its actor id in the API is `keeper`. Does not decide which minutes are due or how they are stored; see the store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use volute_data::{DatabaseStatus, PageRange, Retention, Store, StoreError};
use volute_plant::{ClockState, Timestamp};
use volute_runtime::{ActorSlot, BackOff, Envelope, Message, resume_task_panic};

use crate::{
    counters::{Counters, add},
    disk_forecast::{DiskOutlook, outlook},
    node_clock::NodeClock,
};

/// The longest pause between two cycles.
const MAX_CYCLE_PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two cycles.
const MIN_CYCLE_PAUSE: Duration = Duration::from_millis(100);
/// How many pump minutes a cycle should flush. A cycle of this size does not delay other work.
const TARGET_MINUTES_PER_CYCLE: usize = 32;
/// How often pump minutes with many rows are compressed in memory (packed).
const PACK_INTERVAL: Duration = Duration::from_millis(100);
/// The maximum number of pump minutes packed at a time. Limited because the minutes of pumps that started together
/// become large at the same time.
const MAX_MINUTES_PER_PACK: usize = 192;
/// The time between the starts of two sweeps, and between two measurements of the disk.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of queries in one cycle that delete rows of removed pumps. Each deletes a time span of rows of
/// one table.
const MAX_PURGE_QUERIES: usize = 16;
/// The period over which the growth of the data is measured.
const GROWTH_PERIOD_MS: i64 = 86_400_000;
/// The pauses after failures of the database.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Replies once no cycle is running.
pub(crate) struct WaitForFlusherCycle(pub oneshot::Sender<()>);

impl Message for WaitForFlusherCycle {}

/// The latest measurement of the disk, shared with the API and the metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedDiskOutlook(Arc<Mutex<Option<DiskOutlook>>>);

impl SharedDiskOutlook {
    /// Returns the latest measurement; none before the first.
    pub(crate) fn outlook(&self) -> Option<DiskOutlook> {
        self.0.lock().clone()
    }

    fn set(&self, outlook: DiskOutlook) {
        *self.0.lock() = Some(outlook);
    }
}

/// The arguments of the actor. All of them outlive it.
#[derive(Clone)]
pub(crate) struct FlusherParts {
    pub store: Store,
    pub clock: NodeClock,
    pub counters: Arc<Counters>,
    pub retention: Retention,
    /// The free share of the disk below which the node warns, 0 to 1.
    pub warn_free_share: f64,
    pub disk: SharedDiskOutlook,
}

/// The actor.
pub(crate) struct FlusherActor {
    parts: FlusherParts,
    /// When the last cycle ended.
    last_cycle: Instant,
    /// When the last sweep was due.
    last_sweep: Option<Instant>,
    /// Whether the last sweep was incomplete, or was postponed because of the clock.
    more_to_sweep: bool,
    database: DatabaseState,
    /// When the running cycle began; none if none is running.
    cycle_began: Option<Instant>,
    /// The replies to send at the end of the running cycle ([`WaitForFlusherCycle`]).
    waiters: Vec<oneshot::Sender<()>>,
    /// Records the progress of the cycles.
    slot: Arc<ActorSlot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatabaseState {
    /// The last cycle succeeded, or none has run yet.
    Working,
    /// The database has failed. It is reopened at `until`.
    Pausing { failures: u32, until: Instant },
}

impl FlusherActor {
    pub(crate) fn new(parts: FlusherParts, slot: Arc<ActorSlot>) -> Self {
        let database = match parts.store.status().database {
            DatabaseStatus::Open => DatabaseState::Working,
            DatabaseStatus::Unavailable(_) => {
                DatabaseState::Pausing { failures: 1, until: Instant::now() + MAX_CYCLE_PAUSE }
            }
        };
        Self {
            parts,
            last_cycle: Instant::now(),
            last_sweep: None,
            more_to_sweep: false,
            database,
            cycle_began: None,
            waiters: Vec::new(),
            slot,
        }
    }

    /// Runs a cycle and schedules the next one.
    fn run_cycle(&mut self, ctx: &mut Context<Self>) {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("keeper-look");
        let sweep_due = self.last_sweep.is_none_or(|last| last.elapsed() >= SWEEP_INTERVAL);
        if sweep_due {
            self.last_sweep = Some(Instant::now());
            self.measure_disk(ctx);
        }
        if let DatabaseState::Pausing { until, .. } = self.database
            && until > Instant::now()
        {
            self.parts.store.pack(self.parts.clock.read().0);
            ctx.run_later(MAX_CYCLE_PAUSE, Self::run_cycle);
            return;
        }
        self.cycle_began = Some(Instant::now());
        let (now, clock) = self.parts.clock.read();
        let (store, last_trusted, reopen) =
            // The last trusted time, so that a wrong clock lets no journal segment expire too early.
            (self.parts.store.clone(), self.parts.clock.last_trusted(), self.database != DatabaseState::Working);
        let sweep = match clock {
            // A wrong clock could expire rows that must be kept.
            ClockState::Behind { .. } | ClockState::Ahead { .. } => Sweep::Postponed,
            ClockState::Plausible if self.more_to_sweep || sweep_due => {
                Sweep::Due { retention: self.parts.retention, now: self.parts.clock.retention() }
            }
            ClockState::Plausible => Sweep::NotDue,
        };
        let work = async move {
            if reopen {
                store.reopen().await?;
                tracing::info!(waiting_readings = store.status().unflushed_readings, "the database is open again");
            }
            match flush_and_sweep(&store, now, last_trusted, sweep).await {
                Err(error) if !matches!(error, StoreError::Closed) => {
                    store.mark_unavailable(&error.to_string()).await;
                    Err(error)
                }
                other => other,
            }
        };
        // A task of its own, so that the cycle finishes even if this actor is restarted.
        ctx.spawn(actix_rt::spawn(work).into_actor(self).map(|outcome, actor, ctx| match outcome {
            Ok(outcome) => {
                let pause = actor.finish_cycle(outcome);
                ctx.run_later(pause, Self::run_cycle);
            }
            Err(panicked) => resume_task_panic(panicked),
        }));
    }

    /// Measures the disk, and persists the node's clock, concurrently with the cycle.
    fn measure_disk(&mut self, ctx: &mut Context<Self>) {
        let FlusherParts { store, clock, disk, warn_free_share, .. } = self.parts.clone();
        let now = clock.read().0;
        let measurement = async move {
            match tokio::task::spawn_blocking(move || clock.persist()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the last time of the node's clock was not written"),
                Err(failure) => tracing::warn!(%failure, "the last time of the node's clock was not written"),
            }
            match disk_outlook(&store, now, warn_free_share).await {
                Ok(outlook) => {
                    if let Some(warning) = &outlook.warning {
                        tracing::warn!(free_bytes = outlook.used.free_bytes, "{warning}");
                    }
                    disk.set(outlook);
                }
                Err(error) => tracing::warn!(%error, "the disk could not be measured"),
            }
        };
        ctx.spawn(measurement.into_actor(self).map(|(), _, _| ()));
    }

    /// Records the outcome of a cycle. Returns the pause before the next one.
    fn finish_cycle(&mut self, outcome: Result<CycleResult, StoreError>) -> Duration {
        if let Some(began) = self.cycle_began.take() {
            self.slot.record_progress(began.elapsed());
        }
        let mut pause = MAX_CYCLE_PAUSE;
        let since_last = std::mem::replace(&mut self.last_cycle, Instant::now()).elapsed();
        match outcome {
            Ok(CycleResult { blocks, expired_spans, more_to_sweep }) => {
                self.database = DatabaseState::Working;
                self.more_to_sweep = more_to_sweep;
                pause = cycle_pause(blocks, since_last);
                add(&self.parts.counters.blocks_written, blocks);
                add(&self.parts.counters.expired_spans_deleted, expired_spans);
            }
            Err(StoreError::Closed) => {}
            Err(error) => {
                let failures = match self.database {
                    DatabaseState::Working => 1,
                    DatabaseState::Pausing { failures, .. } => failures + 1,
                };
                let retry_in = BACK_OFF.pause(usize::try_from(failures).unwrap_or(usize::MAX), rand::random());
                tracing::error!(%error, failures, retry_in_s = retry_in.as_secs(), "the database failed; readings stay in the journal");
                add(&self.parts.counters.database_failures, 1);
                self.database = DatabaseState::Pausing { failures, until: Instant::now() + retry_in };
            }
        }
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(());
        }
        pause
    }
}

impl Actor for FlusherActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(MAX_CYCLE_PAUSE, Self::run_cycle);
        ctx.run_interval(PACK_INTERVAL, |actor, _| actor.parts.store.pack_large_minutes(MAX_MINUTES_PER_PACK));
    }
}

impl Handler<Envelope<WaitForFlusherCycle>> for FlusherActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<WaitForFlusherCycle>, _: &mut Self::Context) {
        let WaitForFlusherCycle(reply) = message.into_inner();
        if self.cycle_began.is_some() {
            self.waiters.push(reply);
        } else {
            let _ = reply.send(());
        }
    }
}

/// What a cycle has done.
struct CycleResult {
    /// Blocks written, one for each minute of a pump.
    blocks: usize,
    /// Queries that deleted expired rows, each of a time span of one table.
    expired_spans: usize,
    more_to_sweep: bool,
}

/// Whether a cycle deletes expired rows.
#[derive(Debug, Clone, Copy)]
enum Sweep {
    NotDue,
    /// The clock is not plausible. The sweep starts when the clock is plausible again.
    Postponed,
    Due {
        retention: Retention,
        /// The time from which the age of rows is computed.
        now: Timestamp,
    },
}

async fn flush_and_sweep(
    store: &Store,
    now: Timestamp,
    last_trusted: Timestamp,
    sweep: Sweep,
) -> Result<CycleResult, StoreError> {
    let blocks = store.flush_due(now).await?.minutes;
    store.release_journal(last_trusted);
    store.purge(MAX_PURGE_QUERIES).await?;
    match sweep {
        Sweep::NotDue => Ok(CycleResult { blocks, expired_spans: 0, more_to_sweep: false }),
        Sweep::Postponed => Ok(CycleResult { blocks, expired_spans: 0, more_to_sweep: true }),
        Sweep::Due { retention, now } => {
            let swept = store.sweep(&retention, now).await?;
            Ok(CycleResult { blocks, expired_spans: swept.deleted, more_to_sweep: swept.more })
        }
    }
}

/// Measures the disk, and compares the size of the data with its size a day before.
async fn disk_outlook(
    store: &Store,
    now: Timestamp,
    warn_free_share: f64,
) -> Result<DiskOutlook, Box<dyn std::error::Error>> {
    let measured = store.clone();
    let used = tokio::task::spawn_blocking(move || measured.disk_use()).await??;
    let range = PageRange { from: Some(now.plus_ms(-GROWTH_PERIOD_MS)), limit: 1, ..PageRange::default() };
    let earlier = store.metrics(&range).await?.rows.pop().and_then(|metrics| {
        let bytes = |name: &str| metrics.figures.get(name).copied();
        Some((metrics.at, (bytes("database_bytes")? + bytes("journal_bytes")?) as u64))
    });
    Ok(outlook(now, used, earlier, warn_free_share))
}

/// Returns the time in which about [`TARGET_MINUTES_PER_CYCLE`] minutes become due, if `minutes` became due in
/// `since_last`.
fn cycle_pause(minutes: usize, since_last: Duration) -> Duration {
    let each = since_last.div_f64(minutes.max(1) as f64);
    each.mul_f64(TARGET_MINUTES_PER_CYCLE as f64).clamp(MIN_CYCLE_PAUSE, MAX_CYCLE_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_follows_when_about_32_minutes_are_due() {
        let second = Duration::from_secs(1);
        for (minutes, since_last, pause_ms) in [
            (0, second, 1000),
            (2, second, 1000),
            (64, second, 500),
            (32, second / 5, 200),
            (10_000, second, 100),
            (256, Duration::ZERO, 100),
        ] {
            assert_eq!(cycle_pause(minutes, since_last).as_millis(), pause_ms, "{minutes} in {since_last:?}");
        }
    }
}
