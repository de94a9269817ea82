//! The part of an actor that outlives its incarnations (its runs): its role, status, metrics and current generation.
//!
//! The generation says which incarnation is current. [`ActorSlot::begin`] gives a new incarnation the next generation,
//! and [`ActorSlot::supersede`] increments it without starting one. An incarnation whose generation differs from the
//! slot's takes no more messages, and messages that it sends are refused. For example:
//!
//! 1. `begin(0)` starts incarnation 1; the slot's generation is 1.
//! 2. Incarnation 1 blocks its thread. `supersede()` sets the generation to 2, and `begin(2)` starts incarnation 3 on
//!    another thread.
//! 3. When the blocked call returns, incarnation 1 sees that the generation is 3, and ends without any effect.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Waker,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_rt::ArbiterHandle;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::{
    dead_letters::{DeadLetter, DeadLetters},
    liveness::{CurrentMessage, Liveness},
    message::Subject,
    metrics::ActorMetrics,
    restart_policy::{NextStart, RecentFailures, RestartPolicy},
};

/// Messages of every kind are accepted.
const OPEN: u8 = 0;
/// The actor has failed. Only messages that survive a failure are accepted.
const FAILED: u8 = 1;
/// No message is accepted.
const STOPPED: u8 = 2;

/// The identity of an actor.
#[derive(Debug, Clone)]
pub struct ActorIdentity {
    /// Unique among a supervisor's actors, for example `counter/3`.
    pub id: String,
    /// The type of the actor, for example `counter`. Also the name of the failpoint before each message.
    pub kind: &'static str,
    /// The group of actors that this one belongs to, for example `counters`. All actors of a stage can be restarted by
    /// this name.
    pub stage: &'static str,
    /// The one thing that the actor serves, for example a device's id; none if it serves several.
    pub subject: Option<Subject>,
}

/// The state of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorState {
    /// An incarnation is being built.
    Starting,
    /// It handles messages.
    Running,
    /// It has failed, and restarts after a pause.
    Restarting {
        /// The whole pause, in milliseconds.
        in_ms: u64,
    },
    /// It has failed too often, and stays down until a restart is requested.
    Failed,
    /// It was stopped.
    Stopped,
}

/// A thread on which actors run. A stuck thread is abandoned and replaced by another.
pub struct ActorThread(Mutex<ArbiterHandle>);

impl ActorThread {
    pub(crate) fn new(arbiter: ArbiterHandle) -> Arc<Self> {
        Arc::new(Self(Mutex::new(arbiter)))
    }

    pub(crate) fn arbiter(&self) -> ArbiterHandle {
        self.0.lock().clone()
    }

    pub(crate) fn move_to(&self, arbiter: ArbiterHandle) {
        *self.0.lock() = arbiter;
    }
}

/// The wall clock for timestamps in reports. Passed in so that tests can set it.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// State shared by all actors of a supervisor.
pub(crate) struct Shared {
    pub clock: WallClock,
    pub policy: RestartPolicy,
    pub dead_letters: DeadLetters,
}

/// Starts incarnations of an actor without knowing its type.
pub(crate) trait Launcher: Send + Sync {
    /// Runs incarnations on the slot's thread, one after the other, until they are superseded. `generation` is the
    /// current generation of the slot.
    fn launch(self: Arc<Self>, slot: Arc<ActorSlot>, generation: u64, next: NextStart);
    /// Drops waiting messages: all of them, or all except those that survive a failure.
    fn discard(&self, all: bool);
}

/// The part of an actor that outlives its incarnations.
pub struct ActorSlot {
    /// Its identity.
    pub role: ActorIdentity,
    /// Its metrics.
    pub metrics: ActorMetrics,
    pub(crate) thread: Arc<ActorThread>,
    shared: Arc<Shared>,
    /// The number of the current incarnation.
    generation: AtomicU64,
    /// Which messages are accepted: [`OPEN`], [`FAILED`] or [`STOPPED`].
    acceptance: AtomicU8,
    status: Mutex<Status>,
    restart_requested: AtomicBool,
    pub(crate) waker: RestartWaker,
    /// Wakes a task in [`ActorSlot::restart_request`].
    restart_notify: Notify,
    pub(crate) launcher: Mutex<Option<Arc<dyn Launcher>>>,
}

struct Status {
    state: ActorState,
    last_error: Option<(String, SystemTime)>,
    failures: RecentFailures,
    liveness: Arc<Liveness>,
}

impl ActorSlot {
    pub(crate) fn new(role: ActorIdentity, thread: Arc<ActorThread>, shared: Arc<Shared>) -> Arc<Self> {
        let status = Status {
            state: ActorState::Starting,
            last_error: None,
            failures: RecentFailures::default(),
            liveness: Arc::default(),
        };
        Arc::new(Self {
            role,
            metrics: ActorMetrics::default(),
            thread,
            shared,
            generation: AtomicU64::new(0),
            acceptance: AtomicU8::new(OPEN),
            status: Mutex::new(status),
            restart_requested: AtomicBool::new(false),
            waker: RestartWaker::default(),
            restart_notify: Notify::new(),
            launcher: Mutex::new(None),
        })
    }

    /// Records that the actor has finished a message, or work that no message triggered, and how long it took.
    pub fn record_progress(&self, duration: Duration) {
        self.metrics.handling_times.record(duration);
        self.metrics.last_progress_ms.store(unix_ms(self.now()), Relaxed);
        self.metrics.processed.fetch_add(1, Relaxed);
    }

    /// Records a failure from which the actor recovered without a restart, and a dead letter for the message or item
    /// that caused it.
    pub fn recovered(&self, message: &'static str, subject: Option<Subject>, error: &str) {
        self.metrics.failures.fetch_add(1, Relaxed);
        self.status().last_error = Some((error.to_owned(), self.now()));
        self.record_dead_letter(message, subject, error);
    }

    /// Returns the actor's state.
    pub fn state(&self) -> ActorState {
        self.status().state
    }

    /// Returns whether the actor has failed and stays down until a restart is requested.
    pub fn is_failed(&self) -> bool {
        self.acceptance.load(SeqCst) == FAILED
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.acceptance.load(SeqCst) == STOPPED
    }

    /// Returns whether a message is accepted.
    pub(crate) fn accepts(&self, survives_failure: bool) -> bool {
        match self.acceptance.load(SeqCst) {
            OPEN => true,
            FAILED => survives_failure,
            _ => false,
        }
    }

    pub(crate) fn last_error(&self) -> Option<(String, SystemTime)> {
        self.status().last_error.clone()
    }

    pub(crate) fn current(&self) -> Option<CurrentMessage> {
        self.liveness().current()
    }

    pub(crate) fn liveness(&self) -> Arc<Liveness> {
        self.status().liveness.clone()
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.shared.clock)()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Begins the incarnation after `generation`. Returns the new generation, or none if `generation` was superseded.
    pub(crate) fn begin(&self, generation: u64) -> Option<(u64, Arc<Liveness>)> {
        let mut status = self.status();
        self.generation.compare_exchange(generation, generation + 1, SeqCst, SeqCst).ok()?;
        status.liveness = Arc::default();
        status.state = ActorState::Starting;
        Some((generation + 1, status.liveness.clone()))
    }

    /// Supersedes the current incarnation. Returns the new generation.
    pub(crate) fn supersede(&self) -> u64 {
        let _status = self.status();
        self.generation.fetch_add(1, SeqCst) + 1
    }

    pub(crate) fn set_running(&self, generation: u64) {
        let mut status = self.status();
        if self.generation() == generation {
            status.state = ActorState::Running;
        }
    }

    /// Records a failure of the incarnation with this generation, and a dead letter for its current message. Returns
    /// when the next incarnation starts, or none if this one was superseded.
    pub(crate) fn record_failure(&self, generation: u64, error: &str) -> Option<NextStart> {
        let at = self.now();
        let (next, message) = {
            let mut status = self.status();
            if self.generation() != generation || self.is_stopped() {
                return None;
            }
            let next = status.failures.record(&self.shared.policy, Instant::now(), rand::random());
            status.last_error = Some((error.to_owned(), at));
            status.state = match next {
                NextStart::Now => ActorState::Starting,
                NextStart::After(pause) => ActorState::Restarting { in_ms: whole_ms(pause) },
                NextStart::OnRequest => {
                    // A concurrent stop takes precedence.
                    let _ = self.acceptance.compare_exchange(OPEN, FAILED, SeqCst, SeqCst);
                    ActorState::Failed
                }
            };
            (next, status.liveness.take_current())
        };
        self.metrics.failures.fetch_add(1, Relaxed);
        tracing::error!(actor = self.role.id, error, ?next, "actor failed");
        if let Some(CurrentMessage { message, subject, .. }) = message {
            self.record_dead_letter(message, subject.or_else(|| self.role.subject.clone()), error);
        }
        Some(next)
    }

    fn record_dead_letter(&self, message: &'static str, subject: Option<Subject>, error: &str) {
        let (at, actor) = (self.now(), self.role.id.clone());
        self.shared.dead_letters.add(DeadLetter { at, actor, message, subject, error: error.to_owned() });
    }

    pub(crate) fn request_restart(&self) {
        self.restart_requested.store(true, SeqCst);
        self.waker.wake();
        self.restart_notify.notify_one();
    }

    pub(crate) fn is_restart_requested(&self) -> bool {
        self.restart_requested.load(SeqCst)
    }

    /// Returns whether a restart is requested, and clears the request.
    pub(crate) fn take_restart_request(&self) -> bool {
        // Called for each message, so it only loads in the usual case. A swap is slower.
        self.is_restart_requested() && self.restart_requested.swap(false, SeqCst)
    }

    /// Waits until a restart is requested, and clears the request.
    pub(crate) async fn restart_request(&self) {
        while !self.take_restart_request() {
            self.restart_notify.notified().await;
        }
    }

    /// Clears the recent failures and accepts messages again, for a requested restart.
    pub(crate) fn reset_failures(&self) {
        self.status().failures.reset();
        let _ = self.acceptance.compare_exchange(FAILED, OPEN, SeqCst, SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.acceptance.store(STOPPED, SeqCst);
        self.supersede();
        self.status().state = ActorState::Stopped;
        self.waker.wake();
        self.restart_notify.notify_one();
        let launcher = self.launcher.lock().take();
        if let Some(launcher) = launcher {
            launcher.discard(true);
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock()
    }
}

impl fmt::Debug for ActorSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorSlot({})", self.role.id)
    }
}

/// Wakes the incarnation that reads the inbox, so that this incarnation checks whether it has to end. A superseded
/// incarnation cannot replace the waker of a later one.
#[derive(Default)]
pub(crate) struct RestartWaker(Mutex<(u64, Option<Waker>)>);

impl RestartWaker {
    pub(crate) fn register(&self, generation: u64, waker: &Waker) {
        let mut registered = self.0.lock();
        if registered.0 <= generation {
            *registered = (generation, Some(waker.clone()));
        }
    }

    /// Wakes the registered task and removes the registration.
    fn wake(&self) {
        let waker = self.0.lock().1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn whole_ms(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// Returns milliseconds since 1970.
fn unix_ms(time: SystemTime) -> i64 {
    let signed = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -signed(before.duration()), signed)
}
