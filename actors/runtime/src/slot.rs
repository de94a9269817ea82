//! What stays of an actor while its incarnations come and go: its role, its status, its metrics, and the number of the
//! incarnation that counts.
//!
//! Numbers decide who may act. [`ActorSlot::begin`] gives a new incarnation the next number, and [`ActorSlot::supersede`]
//! takes the number away from whoever has it. An incarnation whose number is not the slot's any more takes no message, and
//! what it sends is refused.

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
/// The actor is out of order: messages that survive a failure are accepted.
const FAILED: u8 = 1;
/// No message is accepted.
const STOPPED: u8 = 2;

/// Who an actor is.
#[derive(Debug, Clone)]
pub struct Role {
    /// Unique among a supervisor's actors, as `counter/3`.
    pub id: String,
    /// As `counter`. Also the name of its point for injected faults.
    pub kind: &'static str,
    /// What it is a part of, as `counters`. All of a stage can be restarted by this name.
    pub stage: &'static str,
    /// What it is there for, if for one thing, as a device's id.
    pub subject: Option<Subject>,
}

/// The state of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorState {
    /// An incarnation is being built.
    Starting,
    /// It handles messages.
    Running,
    /// It has failed, and is started again after a pause.
    Restarting {
        /// The whole pause, in milliseconds.
        in_ms: u64,
    },
    /// It has failed too often, and stays down until a restart is requested.
    Failed,
    /// It was stopped.
    Stopped,
}

/// A thread on which actors run. One that is stuck is left behind, and another takes its place.
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

/// The time of day, for what is shown. Passed in so that tests can move it.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What all actors of a supervisor share.
pub(crate) struct Shared {
    pub clock: WallClock,
    pub policy: RestartPolicy,
    pub dead_letters: DeadLetters,
}

/// How incarnations of an actor are started, for those who do not know its type.
pub(crate) trait Launcher: Send + Sync {
    /// Starts incarnations on the slot's thread, one after the other, for as long as `generation` is the slot's.
    fn launch(self: Arc<Self>, slot: Arc<ActorSlot>, generation: u64, next: NextStart);
    /// Drops what waits: all of it, or all but what survives a failure.
    fn discard(&self, all: bool);
}

/// The part of an actor that stays.
pub struct ActorSlot {
    /// Who it is.
    pub role: Role,
    /// What it has done.
    pub metrics: ActorMetrics,
    pub(crate) thread: Arc<ActorThread>,
    shared: Arc<Shared>,
    /// The number of the incarnation that counts.
    generation: AtomicU64,
    /// [`OPEN`], [`FAILED`] or [`STOPPED`].
    closed: AtomicU8,
    status: Mutex<Status>,
    restart_requested: AtomicBool,
    pub(crate) waker: RestartWaker,
    /// Wakes whoever waits for a restart to be requested.
    requests: Notify,
    pub(crate) launcher: Mutex<Option<Arc<dyn Launcher>>>,
}

struct Status {
    state: ActorState,
    last_error: Option<(String, SystemTime)>,
    failures: RecentFailures,
    liveness: Arc<Liveness>,
}

impl ActorSlot {
    pub(crate) fn new(role: Role, thread: Arc<ActorThread>, shared: Arc<Shared>) -> Arc<Self> {
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
            closed: AtomicU8::new(OPEN),
            status: Mutex::new(status),
            restart_requested: AtomicBool::new(false),
            waker: RestartWaker::default(),
            requests: Notify::new(),
            launcher: Mutex::new(None),
        })
    }

    /// Notes that the actor has done something that took so long: a message, or something by itself.
    pub fn progressed(&self, took: Duration) {
        self.metrics.took.note(took);
        self.metrics.last_progress_ms.store(millis(self.now()), Relaxed);
        self.metrics.processed.fetch_add(1, Relaxed);
    }

    /// Notes a failure after which the actor went on by itself, and what it failed on as a dead letter.
    pub fn recovered(&self, message: &'static str, subject: Option<Subject>, error: &str) {
        self.metrics.failures.fetch_add(1, Relaxed);
        self.status().last_error = Some((error.to_owned(), self.now()));
        self.record_dead_letter(message, subject, error);
    }

    /// Returns the state.
    pub fn state(&self) -> ActorState {
        self.status().state
    }

    /// Whether the actor is out of order until a restart is requested.
    pub fn is_failed(&self) -> bool {
        self.closed.load(SeqCst) == FAILED
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.closed.load(SeqCst) == STOPPED
    }

    /// Whether a message is accepted.
    pub(crate) fn accepts(&self, survives_failure: bool) -> bool {
        match self.closed.load(SeqCst) {
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

    /// Begins the incarnation after `generation`. Returns its number; none where `generation` was superseded.
    pub(crate) fn begin(&self, generation: u64) -> Option<(u64, Arc<Liveness>)> {
        let mut status = self.status();
        self.generation.compare_exchange(generation, generation + 1, SeqCst, SeqCst).ok()?;
        status.liveness = Arc::default();
        status.state = ActorState::Starting;
        Some((generation + 1, status.liveness.clone()))
    }

    /// Takes the number away from whoever has it. Returns the new one.
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

    /// Notes a failure of the incarnation with this number, and its current message as a dead letter. Returns when the
    /// next one starts; none where the number is not the slot's any more.
    pub(crate) fn failed(&self, generation: u64, error: &str) -> Option<NextStart> {
        let at = self.now();
        let (next, message) = {
            let mut status = self.status();
            if self.generation() != generation || self.is_stopped() {
                return None;
            }
            let next = status.failures.note(&self.shared.policy, Instant::now(), rand::random());
            status.last_error = Some((error.to_owned(), at));
            status.state = match next {
                NextStart::Now => ActorState::Starting,
                NextStart::After(pause) => ActorState::Restarting { in_ms: whole_ms(pause) },
                NextStart::OnRequest => {
                    // A stop at the same time wins.
                    let _ = self.closed.compare_exchange(OPEN, FAILED, SeqCst, SeqCst);
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
        self.requests.notify_one();
    }

    pub(crate) fn is_restart_requested(&self) -> bool {
        self.restart_requested.load(SeqCst)
    }

    /// Returns whether a restart is requested, and takes the request.
    pub(crate) fn take_restart_request(&self) -> bool {
        // Loaded first: this is called for each message.
        self.is_restart_requested() && self.restart_requested.swap(false, SeqCst)
    }

    /// Waits until a restart is requested, and takes the request.
    pub(crate) async fn restart_request(&self) {
        while !self.take_restart_request() {
            self.requests.notified().await;
        }
    }

    /// Forgets all failures, and accepts messages again. For a restart that somebody requested.
    pub(crate) fn reset_failures(&self) {
        self.status().failures.reset();
        let _ = self.closed.compare_exchange(FAILED, OPEN, SeqCst, SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.closed.store(STOPPED, SeqCst);
        self.supersede();
        self.status().state = ActorState::Stopped;
        self.waker.wake();
        self.requests.notify_one();
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

/// Wakes the incarnation that reads the inbox, so that it looks whether it is to end. A superseded incarnation does not
/// replace the waker of a later one.
#[derive(Default)]
pub(crate) struct RestartWaker(Mutex<(u64, Option<Waker>)>);

impl RestartWaker {
    pub(crate) fn register(&self, generation: u64, waker: &Waker) {
        let mut registered = self.0.lock();
        if registered.0 <= generation {
            *registered = (generation, Some(waker.clone()));
        }
    }

    /// Wakes once for each registration.
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

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    let signed = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -signed(before.duration()), signed)
}
