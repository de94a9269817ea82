//! What stays of an actor while it comes and goes: its name, its state, its counts, and which of its lives is the one
//! that counts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Waker,
    time::{Duration, Instant},
};

use actix_rt::ArbiterHandle;
use tokio::sync::Notify;
use volute_plant::{Clock, PumpId, Timestamp};

use super::{
    dead::{DeadLetter, DeadLetters},
    restarts::{Failures, Next, Tolerance},
    vitals::Vitals,
};

/// Who an actor is.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// As `pump/P-101`, `recorder` or `inference/0`.
    pub id: String,
    /// As `pump`; also the name of its point for injected faults.
    pub kind: &'static str,
    /// What it is a part of, as `pumps`.
    pub stage: &'static str,
    /// Its pump, if it is one's.
    pub pump: Option<PumpId>,
}

/// How an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorState {
    /// It is being built.
    Starting,
    /// It handles messages.
    Running,
    /// It has failed, and is built anew after this pause.
    Restarting {
        /// The whole pause, in milliseconds.
        in_ms: u64,
    },
    /// It has failed too often, and stays down until somebody has it restarted.
    Failed,
    /// The node is stopping.
    Stopped,
}

/// A thread on which actors live. A thread that is stuck is left behind, and another takes its place.
pub(crate) struct Home(Mutex<ArbiterHandle>);

/// What all actors of a node share.
#[derive(Debug)]
pub(crate) struct Common {
    pub clock: Arc<dyn Clock>,
    pub tolerance: Tolerance,
    pub dead: DeadLetters,
}

/// The part of an actor that stays.
pub(crate) struct Cell {
    pub role: Role,
    pub vitals: Vitals,
    pub(super) home: Arc<Home>,
    common: Arc<Common>,
    /// Counts the lives. Whoever holds an older number is out.
    generation: AtomicU64,
    /// Whom it takes messages for: 0 all, 1 out of order, 2 stopped.
    closed: AtomicU8,
    face: Mutex<Face>,
    /// A restart is asked for.
    asked: AtomicBool,
    pub(super) attendant: Attendant,
    /// Wakes whoever waits for a restart to be asked for.
    kick: Notify,
    pub(super) body: Mutex<Option<Arc<dyn Body>>>,
}

struct Face {
    state: ActorState,
    last_error: Option<(String, Timestamp)>,
    failures: Failures,
    pulse: Arc<Pulse>,
}

/// Wakes the life that attends the inbox, to look whether it is asked to end. One that was left behind does not take the place of a later one.
#[derive(Default)]
pub(super) struct Attendant(Mutex<(u64, Option<Waker>)>);

/// How one life goes.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Since when the actor has been on its thread.
    busy_since: Mutex<Option<Instant>>,
    in_hand: Mutex<Option<InHand>>,
    /// The message in hand waits for something else.
    waiting: AtomicBool,
    /// It is to end, and how.
    end: Mutex<Option<End>>,
}

/// How a life ends.
#[derive(Debug)]
pub(super) enum End {
    /// Another life counts now.
    Overtaken,
    /// A restart was asked for.
    Asked,
    /// It failed, for this reason.
    Broke(String),
}

/// The message that an actor handles.
#[derive(Debug, Clone)]
pub(crate) struct InHand {
    pub kind: &'static str,
    pub pump: Option<PumpId>,
    pub since: Timestamp,
}

/// How an actor's type is dealt with by those who do not know it.
pub(crate) trait Body: Send + Sync {
    /// Begins with a life, on the cell's home, for as long as `generation` is the cell's.
    fn launch(self: Arc<Self>, cell: Arc<Cell>, generation: u64, next: Next);
    /// Drops what waits: all of it, or all but what is kept for a restart by hand.
    fn discard(&self, all: bool);
}

impl Attendant {
    pub(super) fn register(&self, generation: u64, waker: &Waker) {
        let mut place = lock(&self.0);
        if place.0 <= generation {
            *place = (generation, Some(waker.clone()));
        }
    }

    /// Once for each time that it registers: woken already, it looks for itself.
    fn wake(&self) {
        let waker = lock(&self.0).1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Home {
    pub(crate) fn new(arbiter: ArbiterHandle) -> Arc<Self> {
        Arc::new(Self(Mutex::new(arbiter)))
    }

    pub(super) fn arbiter(&self) -> ArbiterHandle {
        lock(&self.0).clone()
    }

    pub(super) fn move_to(&self, arbiter: ArbiterHandle) {
        *lock(&self.0) = arbiter;
    }
}

impl Cell {
    /// It has done something, with a message or by itself, that took so long.
    pub(crate) fn progressed(&self, took: Duration) {
        self.vitals.took.note(took);
        self.vitals.last_progress_ms.store(self.now().millis(), Relaxed);
        self.vitals.processed.fetch_add(1, Relaxed);
    }

    pub(super) fn new(role: Role, home: Arc<Home>, common: Arc<Common>) -> Arc<Self> {
        let face = Face {
            state: ActorState::Starting,
            last_error: None,
            failures: Failures::default(),
            pulse: Arc::default(),
        };
        Arc::new(Self {
            role,
            vitals: Vitals::default(),
            home,
            common,
            generation: AtomicU64::new(0),
            closed: AtomicU8::new(0),
            face: Mutex::new(face),
            asked: AtomicBool::new(false),
            attendant: Attendant::default(),
            kick: Notify::new(),
            body: Mutex::new(None),
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Whether a message is taken.
    pub(crate) fn takes(&self, kept: bool) -> bool {
        match self.closed.load(SeqCst) {
            0 => true,
            1 => kept,
            _ => false,
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.closed.load(SeqCst) == 1
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.closed.load(SeqCst) == 2
    }

    pub(crate) fn state(&self) -> ActorState {
        self.face().state
    }

    pub(crate) fn last_error(&self) -> Option<(String, Timestamp)> {
        self.face().last_error.clone()
    }

    pub(crate) fn in_hand(&self) -> Option<InHand> {
        self.pulse().in_hand()
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        self.face().pulse.clone()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.common.clock.now()
    }

    /// The next life, for the holder of the last one; none if it was overtaken.
    pub(super) fn begin(&self, generation: u64) -> Option<(u64, Arc<Pulse>)> {
        let mut face = self.face();
        self.generation.compare_exchange(generation, generation + 1, SeqCst, SeqCst).ok()?;
        face.pulse = Arc::default();
        face.state = ActorState::Starting;
        Some((generation + 1, face.pulse.clone()))
    }

    /// Takes the actor out of the hands of whoever has it.
    pub(super) fn overtake(&self) -> u64 {
        let _face = self.face();
        self.generation.fetch_add(1, SeqCst) + 1
    }

    pub(super) fn set_running(&self, generation: u64) {
        let mut face = self.face();
        if self.generation() == generation {
            face.state = ActorState::Running;
        }
    }

    /// Notes a failure, and what broke it; says what follows. None: this life no longer counts.
    pub(super) fn broke(&self, generation: u64, error: &str) -> Option<Next> {
        let at = self.now();
        let (next, hand) = {
            let mut face = self.face();
            if self.generation() != generation || self.is_stopped() {
                return None;
            }
            let next = face.failures.note(&self.common.tolerance, Instant::now(), rand::random());
            face.last_error = Some((error.to_owned(), at));
            face.state = match next {
                Next::Now => ActorState::Starting,
                Next::After(pause) => ActorState::Restarting { in_ms: whole_ms(pause) },
                Next::WhenAsked => {
                    // A stop that comes meanwhile wins.
                    let _ = self.closed.compare_exchange(0, 1, SeqCst, SeqCst);
                    ActorState::Failed
                }
            };
            (next, face.pulse.take_hand())
        };
        self.vitals.failures.fetch_add(1, Relaxed);
        let Role { id, pump, .. } = &self.role;
        tracing::error!(actor = id, error, ?next, "actor failed");
        if let Some(hand) = hand {
            self.bury(hand.kind, hand.pump.or_else(|| pump.clone()), error);
        }
        Some(next)
    }

    /// Notes a failure that the actor got over by itself.
    pub(crate) fn stumbled(&self, message: &'static str, pump: Option<PumpId>, error: &str) {
        self.vitals.failures.fetch_add(1, Relaxed);
        self.face().last_error = Some((error.to_owned(), self.now()));
        self.bury(message, pump, error);
    }

    fn bury(&self, message: &'static str, pump: Option<PumpId>, error: &str) {
        let (at, actor) = (self.now(), self.role.id.clone());
        self.common.dead.add(DeadLetter { at, actor, message, pump, error: error.to_owned() });
    }

    /// Asks for a restart.
    pub(super) fn ask(&self) {
        self.asked.store(true, SeqCst);
        self.attendant.wake();
        self.kick.notify_one();
    }

    /// Whether a restart is asked for; it is not any more afterwards.
    pub(super) fn take_asked(&self) -> bool {
        // Read first: it is read for every message.
        self.is_asked() && self.asked.swap(false, SeqCst)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(SeqCst)
    }

    /// Waits until a restart is asked for.
    pub(super) async fn until_asked(&self) {
        while !self.take_asked() {
            self.kick.notified().await;
        }
    }

    /// A restart by hand: what was is forgiven, and messages are taken again.
    pub(super) fn forgive(&self) {
        self.face().failures.forgive();
        let _ = self.closed.compare_exchange(1, 0, SeqCst, SeqCst);
    }

    pub(super) fn stop(&self) {
        self.closed.store(2, SeqCst);
        self.overtake();
        self.face().state = ActorState::Stopped;
        self.attendant.wake();
        self.kick.notify_one();
        let body = lock(&self.body).take();
        if let Some(body) = body {
            body.discard(true);
        }
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        lock(&self.face)
    }
}

impl Pulse {
    pub(super) fn set_busy(&self, busy: bool) {
        *lock(&self.busy_since) = busy.then(Instant::now);
    }

    pub(super) fn take_in_hand(&self, hand: InHand) {
        *lock(&self.in_hand) = Some(hand);
    }

    /// It is to end; the first reason stands.
    pub(super) fn end(&self, end: End) {
        lock(&self.end).get_or_insert(end);
    }

    pub(super) fn take_end(&self) -> Option<End> {
        lock(&self.end).take()
    }

    pub(super) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, SeqCst);
    }

    pub(super) fn take_hand(&self) -> Option<InHand> {
        lock(&self.in_hand).take()
    }

    fn in_hand(&self) -> Option<InHand> {
        lock(&self.in_hand).clone()
    }

    /// How long the actor has kept its thread from all else, unless its message waits for something it knows of.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        let since = (*lock(&self.busy_since))?;
        (!self.waiting.load(SeqCst)).then(|| since.elapsed())
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn whole_ms(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}
