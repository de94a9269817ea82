//! The supervisor: starts actors, and starts them again where they fail or get stuck.
//!
//! What happens to an actor that
//!
//! | | its inbox | the message | then |
//! | --- | --- | --- | --- |
//! | panics, or fails by itself | stays | a dead letter | starts again after a pause ([`crate::RestartPolicy`]) |
//! | fails too often | dropped, but for what survives a failure | a dead letter | is out of order until a restart is requested |
//! | keeps its thread for too long | stays | a dead letter | left behind with the thread, which cannot be ended; all actors of it go on on a new thread |
//! | is to be restarted on request | stays | handled to its end | starts again at once |
//! | is stopped or retired | dropped | handled to its end | is gone |
//!
//! After [`MOST_ABANDONED`] threads were left behind, the process should be started again ([`Supervisor::unrecoverable`]).
//!
//! Does not keep an actor's state: what the next incarnation needs to go on is the actor's own business.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{Actor, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    dead_letters::{DeadLetter, DeadLetters},
    histogram::quantile_ms,
    incarnation::{ActorFactory, Incarnation},
    liveness::CurrentMessage,
    mailbox::Inbox,
    restart_policy::{NextStart, RestartPolicy},
    slot::{ActorSlot, ActorState, ActorThread, Launcher, Role, Shared, WallClock},
};

/// After so many threads left behind the process is no longer to be trusted.
pub const MOST_ABANDONED: usize = 4;

/// How an actor is and was.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorReport {
    /// As `counter/3`.
    pub id: String,
    /// As `counter`.
    pub kind: &'static str,
    /// As `counters`. All of a stage can be restarted by this name.
    pub stage: &'static str,
    /// Its state.
    pub state: ActorState,
    /// Messages that wait in the inbox, and what came in messages and waits with the actor.
    pub queue_depth: usize,
    /// Messages that may wait.
    pub queue_limit: usize,
    /// Messages handled.
    pub processed: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Its last failure, and when that was.
    pub last_error: Option<(String, SystemTime)>,
    /// When it last finished a message, to the millisecond.
    pub last_progress: Option<SystemTime>,
    /// Half of the messages took at most this long, in milliseconds, as [`quantile_ms`] has it.
    pub p50_ms: Option<f64>,
    /// 99 of 100 messages did.
    pub p99_ms: Option<f64>,
    /// The message that it handles now.
    pub current: Option<CurrentMessage>,
}

/// How actors are supervised.
#[derive(Debug, Clone, Copy)]
pub struct SupervisionConfig {
    /// How many restarts are allowed.
    pub policy: RestartPolicy,
    /// An actor that keeps its thread for longer is stuck.
    pub stuck_after: Duration,
}

/// Starts actors, and keeps them going.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    stuck_after: Duration,
    slots: Mutex<BTreeMap<String, Arc<ActorSlot>>>,
    arbiters: Mutex<Vec<ArbiterHandle>>,
    abandoned: AtomicUsize,
    unrecoverable: watch::Sender<bool>,
}

impl Supervisor {
    /// Returns a supervisor without actors. What it shows has its times from `clock`.
    pub fn new(config: SupervisionConfig, clock: WallClock) -> Self {
        let shared = Arc::new(Shared { clock, policy: config.policy, dead_letters: DeadLetters::default() });
        Self(Arc::new(Inner {
            shared,
            stuck_after: config.stuck_after,
            slots: Mutex::default(),
            arbiters: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            unrecoverable: watch::channel(false).0,
        }))
    }

    /// Starts a thread for actors. Must be called within an actix system.
    pub fn thread(&self) -> Arc<ActorThread> {
        ActorThread::new(self.arbiter())
    }

    /// Registers an actor that runs on `thread` once it is [started](Self::start). Its messages wait until then.
    pub fn register<A: Actor<Context = Context<A>>>(&self, role: Role, thread: &Arc<ActorThread>) -> Inbox<A> {
        let slot = ActorSlot::new(role, thread.clone(), self.0.shared.clone());
        self.0.slots.lock().insert(slot.role.id.clone(), slot.clone());
        Inbox::new(slot)
    }

    /// Starts the actor of an inbox. `build` builds each of its incarnations.
    pub fn start<A, F>(&self, inbox: &Inbox<A>, build: F)
    where
        A: Actor<Context = Context<A>>,
        F: Fn(Incarnation<A>) -> A + Send + Sync + 'static,
    {
        let (slot, inbox) = (inbox.slot().clone(), inbox.clone());
        let launcher: Arc<dyn Launcher> = Arc::new(ActorFactory { inbox, build: Box::new(build) });
        *slot.launcher.lock() = Some(launcher.clone());
        let generation = slot.generation();
        launcher.launch(slot, generation, NextStart::Now);
    }

    /// Ends an actor for good, and drops what waits for it. A message that it handles is handled to its end.
    pub fn retire(&self, id: &str) {
        let slot = self.0.slots.lock().remove(id);
        if let Some(slot) = slot {
            slot.stop();
        }
    }

    /// Replaces stuck actors from now on, on a thread of its own. Must be called within an actix system.
    pub fn watch(&self) {
        let (every, supervisor) = ((self.0.stuck_after / 4).min(Duration::from_secs(1)), self.clone());
        self.arbiter().spawn_fn(move || {
            drop(actix_rt::spawn(async move {
                let mut ticks = actix_rt::time::interval(every.max(Duration::from_millis(10)));
                loop {
                    ticks.tick().await;
                    supervisor.replace_stuck();
                }
            }));
        });
    }

    /// Replaces the actors that are stuck now. Must be called within an actix system.
    pub fn replace_stuck(&self) {
        let is_stuck = |slot: &Arc<ActorSlot>| {
            let stuck_for = slot.liveness().stuck_for();
            stuck_for.is_some_and(|stuck_for| stuck_for > self.0.stuck_after)
        };
        let stuck: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().filter(|slot| is_stuck(slot)).cloned().collect();
        for slot in stuck {
            self.abandon(&slot);
        }
    }

    /// Leaves an actor behind with its thread. All actors of that thread go on on another.
    fn abandon(&self, stuck: &Arc<ActorSlot>) {
        let generation = stuck.generation();
        let Some(next) = stuck.failed(generation, "it kept its thread for too long, and was left behind") else {
            return;
        };
        stuck.thread.move_to(self.arbiter());
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        for slot in slots.into_iter().filter(|slot| Arc::ptr_eq(&slot.thread, &stuck.thread)) {
            let next = match slot.state() {
                _ if Arc::ptr_eq(&slot, stuck) => next,
                ActorState::Failed => NextStart::OnRequest,
                ActorState::Stopped => continue,
                _ => NextStart::Now,
            };
            let (generation, launcher) = (slot.supersede(), slot.launcher.lock().clone());
            if let Some(launcher) = launcher {
                launcher.launch(slot, generation, next);
            }
        }
        let abandoned = self.0.abandoned.fetch_add(1, SeqCst) + 1;
        tracing::error!(actor = stuck.role.id, abandoned, most = MOST_ABANDONED, "a stuck thread was left behind");
        if abandoned >= MOST_ABANDONED {
            self.0.unrecoverable.send_replace(true);
        }
    }

    /// Returns once so many threads are stuck that the process should be started again.
    pub async fn unrecoverable(&self) {
        let mut unrecoverable = self.0.unrecoverable.subscribe();
        if unrecoverable.wait_for(|&unrecoverable| unrecoverable).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Requests a restart of one actor, or of all of a stage. Returns their ids; none if there is no such actor or stage.
    ///
    /// An actor is restarted between two messages: one that is suspended, when it has what it waits for.
    pub fn restart(&self, name: &str) -> Vec<String> {
        let slots = self.0.slots.lock();
        let meant: Vec<&Arc<ActorSlot>> = match slots.get(name) {
            Some(slot) => vec![slot],
            None => slots.values().filter(|slot| slot.role.stage == name).collect(),
        };
        meant.iter().for_each(|slot| slot.request_restart());
        meant.into_iter().map(|slot| slot.role.id.clone()).collect()
    }

    /// Returns all actors, by their ids.
    pub fn reports(&self) -> Vec<ActorReport> {
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        slots.iter().map(|slot| report(slot)).collect()
    }

    /// Returns the ids of the actors that are out of order.
    pub fn failed(&self) -> Vec<String> {
        self.0.slots.lock().values().filter(|slot| slot.is_failed()).map(|slot| slot.role.id.clone()).collect()
    }

    /// Returns the newest dead letters, newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.shared.dead_letters.list()
    }

    /// Ends all actors, and refuses what is still sent to them.
    pub fn stop(&self) {
        for arbiter in self.0.arbiters.lock().iter() {
            arbiter.stop();
        }
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        slots.iter().for_each(|slot| slot.stop());
    }

    fn arbiter(&self) -> ArbiterHandle {
        let handle = Arbiter::new().handle();
        self.0.arbiters.lock().push(handle.clone());
        handle
    }
}

fn report(slot: &ActorSlot) -> ActorReport {
    let (role, metrics) = (&slot.role, &slot.metrics);
    let progress_ms = u64::try_from(metrics.last_progress_ms.load(Relaxed)).unwrap_or_default();
    let took = metrics.took.buckets();
    let mut current = slot.current();
    if let Some(current) = &mut current {
        current.subject = current.subject.take().or_else(|| role.subject.clone());
    }
    ActorReport {
        id: role.id.clone(),
        kind: role.kind,
        stage: role.stage,
        state: slot.state(),
        queue_depth: metrics.depth(),
        queue_limit: metrics.capacity.load(Relaxed),
        processed: metrics.processed.load(Relaxed),
        failures: metrics.failures.load(Relaxed),
        restarts: metrics.restarts.load(Relaxed),
        last_error: slot.last_error(),
        last_progress: (progress_ms != 0).then(|| UNIX_EPOCH + Duration::from_millis(progress_ms)),
        p50_ms: quantile_ms(&took, 0.5),
        p99_ms: quantile_ms(&took, 0.99),
        current,
    }
}
