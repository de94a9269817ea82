//! Supervision: every actor of the engine is watched, and built anew where it breaks or gets stuck.
//!
//! actix does not restart an actor that panicked, and its own supervisor has no pause and no limit. So the engine's
//! actors are started here, from factories. One that fails is built anew after a pause that grows ([`restarts`]); its
//! address and what waits for it stay, and the message that broke it becomes a dead letter. One that fails too often is
//! out of order until somebody has it restarted. One that keeps its thread for too long is left behind with the thread,
//! which cannot be ended from outside, and all that live there go on on a new one; after some of these the process
//! should be started anew. Deliberately absent: what an actor needs in order to go on where it was; that is its own.

mod cell;
mod dead;
mod life;
mod restarts;
mod vitals;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Duration,
};

use actix::{Actor, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::watch;
use volute_plant::{Clock, PumpId, Timestamp};

pub use cell::ActorState;
pub(crate) use cell::{Cell, Home, Role};
pub use dead::DeadLetter;
pub(crate) use life::{Life, abandoned, panic_text, raise};
pub(crate) use restarts::Tolerance;
pub(crate) use vitals::Histogram;
pub use vitals::quantile_ms;

use crate::mailbox::Inbox;
use cell::{Body, Common, lock};
use life::BodyOf;
use restarts::Next;

/// After so many threads left behind the process is no longer to be trusted.
const MOST_ABANDONED: usize = 4;

/// How an actor is and was.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorReport {
    /// As `pump/P-101`, `recorder` or `inference/0`.
    pub id: String,
    /// What it is, as `pump`.
    pub kind: &'static str,
    /// What it is a part of, as `pumps`; the whole stage can be restarted by this name.
    pub stage: &'static str,
    /// Its state.
    pub state: ActorState,
    /// Messages that wait, and what came in messages and waits with the actor.
    pub queue_depth: usize,
    /// Messages that may wait.
    pub queue_limit: usize,
    /// Messages handled.
    pub processed: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often it was built anew.
    pub restarts: u64,
    /// What went wrong last, and when.
    pub last_error: Option<(String, Timestamp)>,
    /// When it last finished a message.
    pub last_progress: Option<Timestamp>,
    /// Half of the messages took at most this long, in milliseconds; see the histogram's bounds.
    pub p50_ms: Option<f64>,
    /// All but one in a hundred did.
    pub p99_ms: Option<f64>,
    /// The message that it handles.
    pub in_hand: Option<MessageInHand>,
}

/// A message that is being handled.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageInHand {
    /// What kind of message.
    pub message: &'static str,
    /// Whose, if a pump's.
    pub pump: Option<PumpId>,
    /// Since when.
    pub since: Timestamp,
}

/// What is supervised how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub tolerance: Tolerance,
    /// An actor that keeps its thread for longer is stuck.
    pub wedged_after: Duration,
}

/// Starts actors, and keeps them going.
#[derive(Clone)]
pub(crate) struct Supervisor(Arc<Inner>);

struct Inner {
    common: Arc<Common>,
    wedged_after: Duration,
    cells: Mutex<BTreeMap<String, Arc<Cell>>>,
    arbiters: Mutex<Vec<ArbiterHandle>>,
    abandoned: AtomicUsize,
    hopeless: watch::Sender<bool>,
}

impl Supervisor {
    pub(crate) fn new(rules: Rules, clock: Arc<dyn Clock>) -> Self {
        let common = Arc::new(Common { clock, tolerance: rules.tolerance, dead: dead::DeadLetters::default() });
        Self(Arc::new(Inner {
            common,
            wedged_after: rules.wedged_after,
            cells: Mutex::default(),
            arbiters: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            hopeless: watch::channel(false).0,
        }))
    }

    /// A thread of its own. Must be called within an actix system.
    pub(crate) fn home(&self) -> Arc<Home> {
        Home::new(self.arbiter())
    }

    /// A place for an actor; its messages wait until it is started.
    pub(crate) fn enrol<A: Actor<Context = Context<A>>>(&self, role: Role, home: &Arc<Home>) -> Inbox<A> {
        let cell = Cell::new(role, home.clone(), self.0.common.clone());
        lock(&self.0.cells).insert(cell.role.id.clone(), cell.clone());
        Inbox::new(cell)
    }

    /// Starts an actor that `factory` builds, now and whenever it must be.
    pub(crate) fn start<A, F>(&self, inbox: &Inbox<A>, factory: F)
    where
        A: Actor<Context = Context<A>>,
        F: Fn(Life<A>) -> A + Send + Sync + 'static,
    {
        let (cell, inbox) = (inbox.cell().clone(), inbox.clone());
        let body: Arc<dyn Body> = Arc::new(BodyOf { inbox, factory: Box::new(factory) });
        *lock(&cell.body) = Some(body.clone());
        let generation = cell.generation();
        body.launch(cell, generation, Next::Now);
    }

    /// Ends an actor for good, and drops what waits for it. What it is doing on its thread comes to its end, and no more.
    pub(crate) fn retire(&self, id: &str) {
        let cell = lock(&self.0.cells).remove(id);
        if let Some(cell) = cell {
            cell.stop();
        }
    }

    /// Looks for stuck actors from time to time, on a thread of its own.
    pub(crate) fn watch(&self) {
        let (every, supervisor) = ((self.0.wedged_after / 4).min(Duration::from_secs(1)), self.clone());
        self.arbiter().spawn_fn(move || {
            drop(actix_rt::spawn(async move {
                let mut ticks = actix_rt::time::interval(every.max(Duration::from_millis(10)));
                loop {
                    ticks.tick().await;
                    supervisor.look();
                }
            }));
        });
    }

    /// Replaces whoever is stuck. Must be called within an actix system.
    pub(crate) fn look(&self) {
        let stuck = |cell: &Arc<Cell>| cell.pulse().stuck_for().is_some_and(|stuck| stuck > self.0.wedged_after);
        let wedged: Vec<Arc<Cell>> = lock(&self.0.cells).values().filter(|cell| stuck(cell)).cloned().collect();
        for cell in wedged {
            self.abandon(&cell);
        }
    }

    /// Leaves an actor behind with its thread, and has all that lived there go on on another.
    fn abandon(&self, wedged: &Arc<Cell>) {
        let generation = wedged.generation();
        let Some(next) = wedged.broke(generation, "it kept its thread for too long, and was left behind") else {
            return;
        };
        wedged.home.move_to(self.arbiter());
        let cells: Vec<Arc<Cell>> = lock(&self.0.cells).values().cloned().collect();
        for cell in cells.into_iter().filter(|cell| Arc::ptr_eq(&cell.home, &wedged.home)) {
            let next = match cell.state() {
                _ if Arc::ptr_eq(&cell, wedged) => next,
                ActorState::Failed => Next::WhenAsked,
                ActorState::Stopped => continue,
                _ => Next::Now,
            };
            let (generation, body) = (cell.overtake(), lock(&cell.body).clone());
            if let Some(body) = body {
                body.launch(cell, generation, next);
            }
        }
        let abandoned = self.0.abandoned.fetch_add(1, SeqCst) + 1;
        tracing::error!(actor = wedged.role.id, abandoned, most = MOST_ABANDONED, "a stuck thread was left behind");
        if abandoned >= MOST_ABANDONED {
            self.0.hopeless.send_replace(true);
        }
    }

    /// Answers when so many threads are stuck that the process should be started anew.
    pub(crate) async fn hopeless(&self) {
        let mut hopeless = self.0.hopeless.subscribe();
        if hopeless.wait_for(|&hopeless| hopeless).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Has one actor, or all of a stage, built anew. Answers their ids; none if there is no such actor or stage.
    ///
    /// It happens between two messages: an actor that waits for something is restarted when it has it.
    pub(crate) fn restart(&self, name: &str) -> Vec<String> {
        let cells = lock(&self.0.cells);
        let meant: Vec<&Arc<Cell>> = match cells.get(name) {
            Some(cell) => vec![cell],
            None => cells.values().filter(|cell| cell.role.stage == name).collect(),
        };
        meant.iter().for_each(|cell| cell.ask());
        meant.into_iter().map(|cell| cell.role.id.clone()).collect()
    }

    /// All actors, by their ids.
    pub(crate) fn reports(&self) -> Vec<ActorReport> {
        let cells: Vec<Arc<Cell>> = lock(&self.0.cells).values().cloned().collect();
        cells.iter().map(|cell| report(cell)).collect()
    }

    /// The ids of those that are out of order.
    pub(crate) fn failed(&self) -> Vec<String> {
        lock(&self.0.cells).values().filter(|cell| cell.is_failed()).map(|cell| cell.role.id.clone()).collect()
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.common.dead.list()
    }

    /// Ends all of them, and refuses what is still sent to them.
    pub(crate) fn stop(&self) {
        for arbiter in lock(&self.0.arbiters).iter() {
            arbiter.stop();
        }
        let cells: Vec<Arc<Cell>> = lock(&self.0.cells).values().cloned().collect();
        cells.iter().for_each(|cell| cell.stop());
    }

    fn arbiter(&self) -> ArbiterHandle {
        let handle = Arbiter::new().handle();
        lock(&self.0.arbiters).push(handle.clone());
        handle
    }
}

fn report(cell: &Cell) -> ActorReport {
    let (role, vitals) = (&cell.role, &cell.vitals);
    let progress_ms = vitals.last_progress_ms.load(Relaxed);
    let took = vitals.took.buckets();
    let in_hand = cell.in_hand().map(|hand| MessageInHand {
        message: hand.kind,
        pump: hand.pump.or_else(|| role.pump.clone()),
        since: hand.since,
    });
    ActorReport {
        id: role.id.clone(),
        kind: role.kind,
        stage: role.stage,
        state: cell.state(),
        queue_depth: vitals.depth(),
        queue_limit: vitals.limit.load(Relaxed),
        processed: vitals.processed.load(Relaxed),
        failures: vitals.failures.load(Relaxed),
        restarts: vitals.restarts.load(Relaxed),
        last_error: cell.last_error(),
        last_progress: Timestamp::from_millis(progress_ms).ok().filter(|_| progress_ms != 0),
        p50_ms: quantile_ms(&took, 0.5),
        p99_ms: quantile_ms(&took, 0.99),
        in_hand,
    }
}

#[cfg(test)]
pub(crate) mod tests;
