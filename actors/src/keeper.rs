//! The keeper: moves what is due from the journal's head into the database, and gets the database back where it failed.
//!
//! Nothing waits for it: readings are durable, scored and shown without it. While the database fails it is tried again
//! after a pause that doubles each time, with some chance in it, and what waits is packed. It also clears away what is too
//! old, while the node's clock can be believed, and watches the disk. Deliberately absent: what is moved, and how (the
//! store's business).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use volute_data::{DatabaseStatus, Range, Retention, Store, StoreError};
use volute_plant::{ClockState, Timestamp};
use volute_runtime::{ActorSlot, BackOff, Envelope, Message, resume_task_panic};

use crate::{
    counters::{Counters, add},
    disk_forecast::{DiskOutlook, outlook},
    node_clock::NodeClock,
};

/// The longest and the shortest pause between two looks for what is due.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// So many minutes at once are written without anybody noticing: it looks as often as so many are due.
const SMOOTH: usize = 32;
/// So often so many minutes that grow large are packed: pumps that began together come to it together.
const PACK_EVERY: Duration = Duration::from_millis(100);
const PACKED_AT_ONCE: usize = 192;
/// From one sweep to the next, and from one look at the disk to the next.
const ROUND: Duration = Duration::from_secs(60);
/// Slices of removed pumps that are deleted between two flushes.
const PURGED_AT_ONCE: usize = 16;
/// Over how long the growth of the data is measured.
const GROWTH_MS: i64 = 86_400_000;
/// The pause after the first failure, and the longest.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Answers once nothing of its own is under way.
pub(crate) struct DrainKeeper(pub oneshot::Sender<()>);

impl Message for DrainKeeper {}

/// What was last seen of the disk, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Option<DiskOutlook>>>);

impl Disk {
    /// None before the first look.
    pub(crate) fn outlook(&self) -> Option<DiskOutlook> {
        self.0.lock().clone()
    }

    fn set(&self, seen: DiskOutlook) {
        *self.0.lock() = Some(seen);
    }
}

/// The actor.
pub(crate) struct KeeperActor {
    store: Store,
    clock: NodeClock,
    counters: Arc<Counters>,
    retention: Retention,
    warn_free_share: f64,
    disk: Disk,
    /// When it last looked for what is due, and for what is too old.
    looked: Instant,
    round: Option<Instant>,
    /// The last sweep left something, or none was made because of the clock.
    more_to_sweep: bool,
    state: State,
    /// Since when a look is under way, if one is.
    busy: Option<Instant>,
    drains: Vec<oneshot::Sender<()>>,
    /// Where each look is noted.
    slot: Arc<ActorSlot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The database answers, as far as is known.
    Working,
    /// It does not; it is tried again then.
    Pausing { failures: u32, until: Instant },
}

impl KeeperActor {
    pub(crate) fn new(
        store: Store,
        clock: NodeClock,
        counters: Arc<Counters>,
        retention: Retention,
        warn_free_share: f64,
        disk: Disk,
        slot: Arc<ActorSlot>,
    ) -> Self {
        let state = match store.status().database {
            DatabaseStatus::Open => State::Working,
            DatabaseStatus::Unavailable(_) => State::Pausing { failures: 1, until: Instant::now() + LONGEST_LOOK },
        };
        Self {
            store,
            clock,
            counters,
            retention,
            warn_free_share,
            disk,
            looked: Instant::now(),
            round: None,
            more_to_sweep: false,
            state,
            busy: None,
            drains: Vec::new(),
            slot,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("keeper-look");
        let round = self.round.is_none_or(|round| round.elapsed() >= ROUND);
        if round {
            self.round = Some(Instant::now());
            self.look_at_disk(ctx);
        }
        if !self.drains.is_empty() {
            return;
        }
        if let State::Pausing { until, .. } = self.state
            && until > Instant::now()
        {
            self.store.pack(self.clock.look().0);
            ctx.run_later(LONGEST_LOOK, Self::look);
            return;
        }
        self.busy = Some(Instant::now());
        let (now, clock) = self.clock.look();
        let (store, believed, reopen) = (self.store.clone(), self.clock.believed(), self.state != State::Working);
        let sweep = match clock {
            // What is too old by a wrong clock would be gone for good.
            ClockState::Behind { .. } | ClockState::Ahead { .. } => Sweep::Held,
            ClockState::Plausible if self.more_to_sweep || round => {
                Sweep::Due { kept: self.retention, now: self.clock.retention() }
            }
            ClockState::Plausible => Sweep::NotDue,
        };
        let work = async move {
            if reopen {
                store.reopen().await?;
                tracing::info!(waiting_readings = store.status().waiting_readings, "the database is open again");
            }
            match keep(&store, now, believed, sweep).await {
                Err(error) if !matches!(error, StoreError::Closed) => {
                    store.shut(&error.to_string()).await;
                    Err(error)
                }
                other => other,
            }
        };
        // On its own: what is begun is brought to its end though this actor is restarted meanwhile.
        ctx.spawn(actix_rt::spawn(work).into_actor(self).map(|outcome, actor, ctx| match outcome {
            Ok(outcome) => {
                let next = actor.done(outcome);
                ctx.run_later(next, Self::look);
            }
            Err(broken) => resume_task_panic(broken),
        }));
    }

    /// Looks how full the disk is, beside the other work.
    fn look_at_disk(&mut self, ctx: &mut Context<Self>) {
        let warn_free_share = self.warn_free_share;
        let (store, now, disk, clock) =
            (self.store.clone(), self.clock.look().0, self.disk.clone(), self.clock.clone());
        let look = async move {
            match tokio::task::spawn_blocking(move || clock.keep()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the last time of the node's clock was not written"),
                Err(failure) => tracing::warn!(%failure, "the last time of the node's clock was not written"),
            }
            match see(&store, now, warn_free_share).await {
                Ok(seen) => {
                    if let Some(warning) = &seen.warning {
                        tracing::warn!(warning, free_bytes = seen.used.free_bytes, "the disk fills up");
                    }
                    disk.set(seen);
                }
                Err(error) => tracing::warn!(%error, "the disk could not be looked at"),
            }
        };
        ctx.spawn(look.into_actor(self).map(|(), _, _| ()));
    }

    /// Answers when to look again.
    fn done(&mut self, outcome: Result<Kept, StoreError>) -> Duration {
        if let Some(begun) = self.busy.take() {
            self.slot.progressed(begun.elapsed());
        }
        let mut next = LONGEST_LOOK;
        let since_last = std::mem::replace(&mut self.looked, Instant::now()).elapsed();
        match outcome {
            Ok(Kept { blocks, swept, more_to_sweep }) => {
                self.state = State::Working;
                self.more_to_sweep = more_to_sweep;
                next = next_look(blocks, since_last);
                add(&self.counters.blocks_written, blocks);
                add(&self.counters.slices_deleted, swept);
            }
            Err(StoreError::Closed) => {}
            Err(error) => {
                let failures = match self.state {
                    State::Working => 1,
                    State::Pausing { failures, .. } => failures + 1,
                };
                let pause = BACK_OFF.pause(usize::try_from(failures).unwrap_or(usize::MAX), rand::random());
                tracing::error!(%error, failures, again_in_s = pause.as_secs(), "the database failed; readings are kept in the journal");
                add(&self.counters.database_failures, 1);
                self.state = State::Pausing { failures, until: Instant::now() + pause };
            }
        }
        for drain in self.drains.drain(..) {
            let _ = drain.send(());
        }
        next
    }
}

impl Actor for KeeperActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(LONGEST_LOOK, Self::look);
        ctx.run_interval(PACK_EVERY, |actor, _| actor.store.pack_some(PACKED_AT_ONCE));
    }
}

impl Handler<Envelope<DrainKeeper>> for KeeperActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainKeeper>, _: &mut Self::Context) {
        let DrainKeeper(reply) = message.into_inner();
        if self.busy.is_some() {
            self.drains.push(reply);
        } else {
            let _ = reply.send(());
        }
    }
}

/// What was done in one go.
struct Kept {
    blocks: usize,
    swept: usize,
    more_to_sweep: bool,
}

/// Whether something is deleted for its age.
#[derive(Debug, Clone, Copy)]
enum Sweep {
    NotDue,
    /// The clock is not believed. It is made up for when it is.
    Held,
    Due {
        kept: Retention,
        /// The time by which rows are too old.
        now: Timestamp,
    },
}

async fn keep(store: &Store, now: Timestamp, believed: Timestamp, sweep: Sweep) -> Result<Kept, StoreError> {
    let blocks = store.flush_due(now).await?.minutes;
    store.release_journal(believed);
    store.purge(PURGED_AT_ONCE).await?;
    match sweep {
        Sweep::NotDue => Ok(Kept { blocks, swept: 0, more_to_sweep: false }),
        Sweep::Held => Ok(Kept { blocks, swept: 0, more_to_sweep: true }),
        Sweep::Due { kept, now } => {
            let swept = store.sweep(&kept, now).await?;
            Ok(Kept { blocks, swept: swept.deleted, more_to_sweep: swept.more })
        }
    }
}

async fn see(store: &Store, now: Timestamp, warn_free_share: f64) -> Result<DiskOutlook, Box<dyn std::error::Error>> {
    let walker = store.clone();
    let used = tokio::task::spawn_blocking(move || walker.disk_use()).await??;
    let range = Range { from: Some(now.plus_ms(-GROWTH_MS)), limit: 1, ..Range::default() };
    let earlier = store.metrics(&range).await?.rows.pop().and_then(|metrics| {
        let bytes = |name: &str| metrics.figures.get(name).copied();
        Some((metrics.at, (bytes("database_bytes")? + bytes("journal_bytes")?) as u64))
    });
    Ok(outlook(now, used, earlier, warn_free_share))
}

/// When so many are due as should be written at once, after `minutes` became due within `since_last`.
fn next_look(minutes: usize, since_last: Duration) -> Duration {
    let each = since_last.div_f64(minutes.max(1) as f64);
    each.mul_f64(SMOOTH as f64).clamp(SHORTEST_LOOK, LONGEST_LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_often_as_a_handful_is_due() {
        let second = Duration::from_secs(1);
        for (minutes, since_last, next_ms) in [
            (0, second, 1000),
            (2, second, 1000),
            (64, second, 500),
            (32, second / 5, 200),
            (10_000, second, 100),
            (256, Duration::ZERO, 100),
        ] {
            assert_eq!(next_look(minutes, since_last).as_millis(), next_ms, "{minutes} in {since_last:?}");
        }
    }
}
