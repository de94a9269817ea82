//! The keeper: moves what is due from the journal's head into the database, and gets the database back where it failed.
//!
//! Nothing waits for it: readings are durable, scored and shown without it. While the database fails it is tried again
//! after a pause that doubles each time, with some chance in it, and what waits is packed. Deliberately absent: what is
//! moved, and how (the store's business).

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use rand::RngExt;
use tokio::sync::oneshot;
use volute_data::{DatabaseStatus, Store, StoreError};
use volute_plant::Clock;

use crate::{
    counters::{Counters, add},
    mailbox::{Mail, unbound},
};

/// How often it looks for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after the first failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Answers once nothing of its own is under way.
pub(crate) struct DrainKeeper(pub oneshot::Sender<()>);

/// The actor.
pub(crate) struct KeeperActor {
    store: Store,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
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
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, counters: Arc<Counters>) -> Self {
        let state = match store.status().database {
            DatabaseStatus::Open => State::Working,
            DatabaseStatus::Unavailable(_) => State::Pausing { failures: 1, looks: 1 },
        };
        Self { store, clock, counters, state, busy: false, drains: Vec::new() }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
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
        let work = async move {
            if reopen {
                store.reopen().await?;
                tracing::info!(waiting_readings = store.status().waiting_readings, "the database is open again");
            }
            match store.flush(now).await {
                Err(error) if !matches!(error, StoreError::Closed) => {
                    store.shut(&error.to_string()).await;
                    Err(error)
                }
                other => other,
            }
        };
        ctx.spawn(work.into_actor(self).map(|outcome, actor, _| actor.done(outcome.map(|flushed| flushed.minutes))));
    }

    fn done(&mut self, outcome: Result<usize, StoreError>) {
        self.busy = false;
        match outcome {
            Ok(minutes) => {
                self.state = State::Working;
                add(&self.counters.blocks_written, minutes);
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
        unbound(ctx);
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

/// How long after so many failures in a row it is tried again: doubled each time, and up to half as much more by chance,
/// so that nodes that failed together do not come back together.
fn pause(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(1.0..1.5)).min(LONGEST_PAUSE)
}
