//! The supervisor: starts actors, and restarts them when they fail or get stuck.
//!
//! | event | waiting messages | current message | the actor |
//! | --- | --- | --- | --- |
//! | it panics, or reports a failure | stay | becomes a dead letter | restarts after a pause ([`crate::RestartPolicy`]) |
//! | it fails more often than the policy allows | dropped, except those whose type [survives](crate::Message::SURVIVES_FAILURE) a failure | becomes a dead letter | stays down (state `Failed`) until a restart is requested |
//! | it blocks its thread for too long | stay | becomes a dead letter | is abandoned with the thread, which cannot be stopped; all actors of the thread restart on a new one |
//! | a restart is requested | stay | finished first | restarts at once |
//! | it is retired ([`Supervisor::retire`]) | dropped | finished first | is removed |
//! | all actors are stopped | dropped | finished first | stays listed as `Stopped` |
//!
//! After [`MAX_ABANDONED_THREADS`] abandoned threads the process should be restarted ([`Supervisor::unrecoverable`]).
//!
//! Does not preserve an actor's state. An actor has to store what its next incarnation needs.

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
    inbox::Inbox,
    incarnation::{ActorFactory, Incarnation},
    liveness::CurrentMessage,
    restart_policy::{NextStart, RestartPolicy},
    slot::{ActorIdentity, ActorSlot, ActorState, ActorThread, Launcher, Shared, WallClock},
};

/// The number of abandoned threads after which the process should be restarted.
pub const MAX_ABANDONED_THREADS: usize = 4;

/// The state and metrics of an actor.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorReport {
    /// The actor's id, for example `counter/3`.
    pub id: String,
    /// The type of the actor, for example `counter`.
    pub kind: &'static str,
    /// The group of actors that can be restarted by one name, for example `counters`.
    pub stage: &'static str,
    /// Whether it runs, restarts or has failed.
    pub state: ActorState,
    /// Messages that wait in the inbox, and items from handled messages that the actor holds.
    pub queue_depth: usize,
    /// The largest number of messages that may wait.
    pub queue_limit: usize,
    /// Messages handled.
    pub processed: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often it was restarted.
    pub restarts: u64,
    /// Its last failure, and when that was.
    pub last_error: Option<(String, SystemTime)>,
    /// When it last finished a message, to the millisecond.
    pub last_progress: Option<SystemTime>,
    /// The median handling time in milliseconds, as [`quantile_ms`] computes it.
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the handling time in milliseconds.
    pub p99_ms: Option<f64>,
    /// The message that it handles now.
    pub current: Option<CurrentMessage>,
}

/// How actors are supervised.
#[derive(Debug, Clone, Copy)]
pub struct SupervisionConfig {
    /// How many restarts are allowed within which time.
    pub policy: RestartPolicy,
    /// An actor that blocks its thread for longer than this is stuck.
    pub stuck_after: Duration,
}

/// Starts, restarts and stops actors. Cheap to clone.
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
    /// Returns a supervisor without actors. `clock` gives the times in reports and dead letters.
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
    pub fn start_thread(&self) -> Arc<ActorThread> {
        ActorThread::new(self.new_arbiter())
    }

    /// Registers an actor that will run on `thread`. Its messages wait until it is [started](Self::start).
    pub fn register<A: Actor<Context = Context<A>>>(&self, role: ActorIdentity, thread: &Arc<ActorThread>) -> Inbox<A> {
        let slot = ActorSlot::new(role, thread.clone(), self.0.shared.clone());
        self.0.slots.lock().insert(slot.role.id.clone(), slot.clone());
        Inbox::new(slot)
    }

    /// Starts the actor of an inbox. `build` is called for each incarnation.
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

    /// Stops an actor for good and drops its waiting messages. It finishes the message that it handles.
    pub fn retire(&self, id: &str) {
        let slot = self.0.slots.lock().remove(id);
        if let Some(slot) = slot {
            slot.stop();
        }
    }

    /// Starts a thread that replaces stuck actors. Must be called within an actix system.
    pub fn watch(&self) {
        let (interval, supervisor) = ((self.0.stuck_after / 4).min(Duration::from_secs(1)), self.clone());
        self.new_arbiter().spawn_fn(move || {
            drop(actix_rt::spawn(async move {
                let mut ticks = actix_rt::time::interval(interval.max(Duration::from_millis(10)));
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

    /// Abandons a stuck actor with its thread, and restarts all actors of that thread on another.
    fn abandon(&self, stuck: &Arc<ActorSlot>) {
        // Does nothing if the actor is stopped, or begins another incarnation, in the meantime.
        let generation = stuck.generation();
        let Some(next) = stuck.record_failure(generation, "it blocked its thread for too long and was abandoned")
        else {
            return;
        };
        stuck.thread.move_to(self.new_arbiter());
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        for slot in slots.into_iter().filter(|slot| Arc::ptr_eq(&slot.thread, &stuck.thread)) {
            let next = match slot.state() {
                _ if Arc::ptr_eq(&slot, stuck) => next,
                ActorState::Failed => NextStart::OnRequest,
                ActorState::Stopped => continue,
                _ => NextStart::Now,
            };
            // From here on the old incarnation takes no messages, and messages that it sends are refused.
            let (generation, launcher) = (slot.supersede(), slot.launcher.lock().clone());
            if let Some(launcher) = launcher {
                launcher.launch(slot, generation, next);
            }
        }
        let abandoned = self.0.abandoned.fetch_add(1, SeqCst) + 1;
        tracing::error!(actor = stuck.role.id, abandoned, limit = MAX_ABANDONED_THREADS, "abandoned a stuck thread");
        if abandoned >= MAX_ABANDONED_THREADS {
            self.0.unrecoverable.send_replace(true);
        }
    }

    /// Returns once so many threads are abandoned that the process should be restarted.
    pub async fn unrecoverable(&self) {
        let mut unrecoverable = self.0.unrecoverable.subscribe();
        if unrecoverable.wait_for(|&unrecoverable| unrecoverable).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Requests a restart of the actor, or of all actors of the stage, with this name. Returns their ids; none if there
    /// is no such actor or stage.
    ///
    /// An actor restarts between two messages. An actor that waits for a future (`ctx.wait`) finishes the future first.
    pub fn restart(&self, name: &str) -> Vec<String> {
        let slots = self.0.slots.lock();
        let matching: Vec<&Arc<ActorSlot>> = match slots.get(name) {
            Some(slot) => vec![slot],
            None => slots.values().filter(|slot| slot.role.stage == name).collect(),
        };
        matching.iter().for_each(|slot| slot.request_restart());
        matching.into_iter().map(|slot| slot.role.id.clone()).collect()
    }

    /// Returns a report of each actor, ordered by id.
    pub fn reports(&self) -> Vec<ActorReport> {
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        slots.iter().map(|slot| report(slot)).collect()
    }

    /// Returns the ids of the actors that have failed and stay down until a restart is requested.
    pub fn failed_actors(&self) -> Vec<String> {
        self.0.slots.lock().values().filter(|slot| slot.is_failed()).map(|slot| slot.role.id.clone()).collect()
    }

    /// Returns the newest dead letters, newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.shared.dead_letters.list()
    }

    /// Stops all actors. Messages to them are refused from then on.
    pub fn stop(&self) {
        for arbiter in self.0.arbiters.lock().iter() {
            arbiter.stop();
        }
        let slots: Vec<Arc<ActorSlot>> = self.0.slots.lock().values().cloned().collect();
        slots.iter().for_each(|slot| slot.stop());
    }

    fn new_arbiter(&self) -> ArbiterHandle {
        let handle = Arbiter::new().handle();
        self.0.arbiters.lock().push(handle.clone());
        handle
    }
}

fn report(slot: &ActorSlot) -> ActorReport {
    let (role, metrics) = (&slot.role, &slot.metrics);
    let progress_ms = u64::try_from(metrics.last_progress_ms.load(Relaxed)).unwrap_or_default();
    let handling_times = metrics.handling_times.buckets();
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
        p50_ms: quantile_ms(&handling_times, 0.5),
        p99_ms: quantile_ms(&handling_times, 0.99),
        current,
    }
}
