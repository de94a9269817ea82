//! The keeper: moves what is due from the journal's head into the database, and gets the database back where it failed.
//!
//! Nothing waits for it: readings are durable, scored and shown without it. While the database fails it is tried again
//! after a pause that doubles each time, with some chance in it, and what waits is packed. It also clears away what is too
//! old, and watches the disk. Deliberately absent: what is moved, and how (the store's business).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use rand::RngExt;
use tokio::sync::oneshot;
use volute_data::{DatabaseStatus, Range, Retention, Store, StoreError};
use volute_plant::{Clock, Timestamp};

use crate::{
    counters::{Counters, add},
    mailbox::{Letter, Mail},
    storage::{DiskOutlook, outlook},
    supervision::raise,
};

/// How often it looks for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two sweeps, and between two looks at the disk.
const LOOKS_PER_ROUND: u64 = 60;
/// Over how long the growth of the data is measured.
const GROWTH_MS: i64 = 86_400_000;
/// The pause after the first failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Answers once nothing of its own is under way.
pub(crate) struct DrainKeeper(pub oneshot::Sender<()>);

impl Letter for DrainKeeper {}

/// What was last seen of the disk, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Option<DiskOutlook>>>);

impl Disk {
    /// None before the first look.
    pub(crate) fn outlook(&self) -> Option<DiskOutlook> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, seen: DiskOutlook) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

/// The actor.
pub(crate) struct KeeperActor {
    store: Store,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    retention: Retention,
    disk: Disk,
    /// Looks since the start.
    looks: u64,
    /// The last sweep left something.
    more_to_sweep: bool,
    state: State,
    busy: bool,
    drains: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The database answers, as far as is known.
    Working,
    /// It does not; it is tried again after these looks.
    Pausing { failures: u32, looks: u64 },
}

impl KeeperActor {
    pub(crate) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        retention: Retention,
        disk: Disk,
    ) -> Self {
        let state = match store.status().database {
            DatabaseStatus::Open => State::Working,
            DatabaseStatus::Unavailable(_) => State::Pausing { failures: 1, looks: 1 },
        };
        Self {
            store,
            clock,
            counters,
            retention,
            disk,
            looks: 0,
            more_to_sweep: false,
            state,
            busy: false,
            drains: Vec::new(),
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.looks.is_multiple_of(LOOKS_PER_ROUND) {
            self.look_at_disk(ctx);
        }
        self.looks += 1;
        if self.busy || !self.drains.is_empty() {
            return;
        }
        if let State::Pausing { failures, looks } = self.state
            && looks > 0
        {
            self.store.pack(self.clock.now());
            self.state = State::Pausing { failures, looks: looks - 1 };
            return;
        }
        self.busy = true;
        let (store, now, reopen) = (self.store.clone(), self.clock.now(), self.state != State::Working);
        let sweep = (self.more_to_sweep || self.looks % LOOKS_PER_ROUND == 1).then_some(self.retention);
        let work = async move {
            if reopen {
                store.reopen().await?;
                tracing::info!(waiting_readings = store.status().waiting_readings, "the database is open again");
            }
            match keep(&store, now, sweep).await {
                Err(error) if !matches!(error, StoreError::Closed) => {
                    store.shut(&error.to_string()).await;
                    Err(error)
                }
                other => other,
            }
        };
        // On its own: what is begun is brought to its end though this actor is restarted meanwhile.
        ctx.spawn(actix_rt::spawn(work).into_actor(self).map(|outcome, actor, _| match outcome {
            Ok(outcome) => actor.done(outcome),
            Err(broken) => raise(broken),
        }));
    }

    /// Looks how full the disk is, beside the other work.
    fn look_at_disk(&mut self, ctx: &mut Context<Self>) {
        let (store, now, disk) = (self.store.clone(), self.clock.now(), self.disk.clone());
        let look = async move {
            match see(&store, now).await {
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

    fn done(&mut self, outcome: Result<Kept, StoreError>) {
        self.busy = false;
        match outcome {
            Ok(Kept { blocks, swept, more_to_sweep }) => {
                self.state = State::Working;
                self.more_to_sweep = more_to_sweep;
                add(&self.counters.blocks_written, blocks);
                add(&self.counters.slices_deleted, swept);
            }
            Err(StoreError::Closed) => {}
            Err(error) => {
                let failures = match self.state {
                    State::Working => 1,
                    State::Pausing { failures, .. } => failures + 1,
                };
                let looks = pause(failures).as_secs() / EVERY.as_secs();
                tracing::error!(%error, failures, again_in_s = looks, "the database failed; readings are kept in the journal");
                add(&self.counters.database_failures, 1);
                self.state = State::Pausing { failures, looks };
            }
        }
        for drain in self.drains.drain(..) {
            let _ = drain.send(());
        }
    }
}

impl Actor for KeeperActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(EVERY, Self::look);
    }
}

impl Handler<Mail<DrainKeeper>> for KeeperActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<DrainKeeper>, _: &mut Self::Context) {
        let DrainKeeper(reply) = mail.open();
        if self.busy {
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

async fn keep(store: &Store, now: Timestamp, sweep: Option<Retention>) -> Result<Kept, StoreError> {
    let blocks = store.flush(now).await?.minutes;
    match sweep {
        None => Ok(Kept { blocks, swept: 0, more_to_sweep: false }),
        Some(retention) => {
            let swept = store.sweep(&retention, now).await?;
            Ok(Kept { blocks, swept: swept.deleted, more_to_sweep: swept.more })
        }
    }
}

async fn see(store: &Store, now: Timestamp) -> Result<DiskOutlook, Box<dyn std::error::Error>> {
    let walker = store.clone();
    let used = tokio::task::spawn_blocking(move || walker.disk_use()).await??;
    let range = Range { from: Some(now.plus_ms(-GROWTH_MS)), limit: 1, ..Range::default() };
    let earlier = store.metrics(&range).await?.rows.pop().and_then(|metrics| {
        let bytes = |name: &str| metrics.figures.get(name).copied();
        Some((metrics.at, (bytes("database_bytes")? + bytes("journal_bytes")?) as u64))
    });
    Ok(outlook(now, used, earlier))
}

/// How long after so many failures in a row it is tried again: doubled each time, and up to half as much more by chance,
/// so that nodes that failed together do not come back together.
fn pause(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(1.0..1.5)).min(LONGEST_PAUSE)
}
