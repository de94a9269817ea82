//! One actor's lives, one after the other, on its home.
//!
//! A life is an actix context that is polled here and not by actix, so that a panic in any of its handlers, timers or
//! futures ends here, with its text. The next life attends the same inbox: what waits there stays, and only the message
//! in hand is lost. A life that was overtaken because its thread was stuck takes nothing more, and what it still sends
//! is refused ([`abandoned`]).
//!
//! A life ends by being dropped here, and never through `stop` or `terminate` of its context: with a future that was
//! cancelled in the same turn, `terminate` makes actix 0.13.5 poll for ever, and the thread with it. Whoever ends a life
//! notes how ([`Pulse::end`]) and has its context wait for good, so that nothing else of it runs ([`end`]); [`live`]
//! looks after each poll. For example, a restart that is asked for while a message is handled:
//!
//! 1. [`Cell::ask`] raises a flag and wakes the life; the message is handled to its end, with all that it waits for.
//! 2. The [`Attendant`] sees the flag before it takes the next message, and ends the life.
//! 3. [`live`] sees that after the same poll, drops the actor, and the next life takes the next message.

use std::{
    any::Any,
    cell::RefCell,
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::{
    Actor, AsyncContext, Context,
    dev::ContextFut,
    fut::{ActorFuture, wrap_future},
};

use tokio::task::JoinError;

use super::{
    cell::{Body, Cell, End, InHand, Pulse},
    restarts::Next,
};
use crate::mailbox::{Envelope, Inbox};

/// Messages in one go, before others on the thread have their turn.
const TURN: usize = 16;

/// What an actor is told of the life it begins.
pub(crate) struct Life<A: Actor> {
    /// Counts up, over all the actor's lives; the first is 1.
    pub number: u64,
    /// Its own inbox.
    pub inbox: Inbox<A>,
    pulse: Arc<Pulse>,
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    /// Ends this life as a failure, for what it says; the next one is built after a pause. Nothing of this one runs
    /// once the caller returns.
    pub(crate) fn fail(&self, error: String, ctx: &mut Context<A>) {
        end(&self.pulse, End::Broke(error), ctx);
    }

    /// Where it notes what it does by itself, without a message.
    pub(crate) fn cell(&self) -> Arc<Cell> {
        self.inbox.cell().clone()
    }
}

/// An actor's type, as the supervisor deals with it.
pub(super) struct BodyOf<A: Actor> {
    pub inbox: Inbox<A>,
    pub factory: Box<dyn Fn(Life<A>) -> A + Send + Sync>,
}

/// An actor with its context, at its place.
type Alive<A> = Pin<Box<ContextFut<A, Context<A>>>>;

thread_local! {
    /// Whose life is on this thread.
    static CURRENT: RefCell<Option<(Arc<Cell>, u64)>> = const { RefCell::new(None) };
}

/// Whether the actor that is on this thread has been given up.
pub(crate) fn abandoned() -> bool {
    let stale = |current: &Option<(Arc<Cell>, u64)>| {
        current.as_ref().is_some_and(|(cell, number)| cell.generation() != *number)
    };
    // A thread that ends has nobody on it any more.
    CURRENT.try_with(|current| stale(&current.borrow())).unwrap_or(false)
}

impl<A: Actor<Context = Context<A>>> Body for BodyOf<A> {
    fn launch(self: Arc<Self>, cell: Arc<Cell>, generation: u64, next: Next) {
        let arbiter = cell.home.arbiter();
        // A thread that is gone has been stopped, and everything with it.
        arbiter.spawn_fn(move || drop(actix_rt::spawn(lives(cell, self, generation, next))));
    }

    fn discard(&self, all: bool) {
        self.inbox.discard(all);
    }
}

async fn lives<A: Actor<Context = Context<A>>>(
    cell: Arc<Cell>,
    body: Arc<BodyOf<A>>,
    mut generation: u64,
    mut next: Next,
) {
    loop {
        match next {
            Next::Now => {}
            // These are rare, and their room would be every actor's for good.
            Next::After(pause) => Box::pin(pause_for(&cell, pause)).await,
            Next::WhenAsked => {
                body.inbox.discard(cell.is_stopped());
                Box::pin(cell.until_asked()).await;
                cell.forgive();
            }
        }
        let Some((number, pulse)) = cell.begin(generation) else { return };
        generation = number;
        if number > 1 {
            cell.vitals.restarts.fetch_add(1, Relaxed);
        }
        next = match live(&cell, &body, number, pulse).await {
            End::Overtaken => return,
            End::Asked => Next::Now,
            End::Broke(error) => match cell.broke(number, &error) {
                Some(next) => next,
                None => return,
            },
        };
    }
}

/// Waits, unless a restart is asked for.
async fn pause_for(cell: &Cell, pause: Duration) {
    tokio::select! {
        () = actix_rt::time::sleep(pause) => {}
        () = cell.until_asked() => {}
    }
}

async fn live<A: Actor<Context = Context<A>>>(
    cell: &Arc<Cell>,
    body: &BodyOf<A>,
    number: u64,
    pulse: Arc<Pulse>,
) -> End {
    let attendant = Attendant { inbox: body.inbox.clone(), number, pulse: pulse.clone(), begun: Instant::now() };
    let mut actor = match build(cell, body, attendant) {
        Ok(actor) => actor,
        Err(error) => return End::Broke(error),
    };
    cell.set_running(number);
    let end = poll_fn(|task| {
        let polled = on_thread(cell, number, &pulse, || actor.as_mut().poll(task));
        match polled {
            _ if cell.generation() != number => Poll::Ready(End::Overtaken),
            Err(error) => Poll::Ready(End::Broke(error)),
            Ok(Poll::Pending) => pulse.take_end().map_or(Poll::Pending, Poll::Ready),
            Ok(Poll::Ready(())) => Poll::Ready(End::Broke("its context stopped".into())),
        }
    })
    .await;
    // What is dropped with it may panic too, and that changes nothing any more.
    let _ = on_thread(cell, number, &pulse, || drop(actor));
    end
}

/// Builds an actor at its place on the heap: in the middle of [`live`] it would take up room there too, for good.
fn build<A: Actor<Context = Context<A>>>(
    cell: &Arc<Cell>,
    body: &BodyOf<A>,
    attendant: Attendant<A>,
) -> Result<Alive<A>, String> {
    let (number, pulse) = (attendant.number, attendant.pulse.clone());
    on_thread(cell, number, &pulse, || {
        let inbox = body.inbox.clone();
        let mut ctx = Context::new();
        ctx.spawn(attendant);
        Box::pin(ctx.into_future((body.factory)(Life { number, inbox, pulse: pulse.clone() })))
    })
}

/// Has a life end after this poll: a context that waits runs nothing else, and this one waits until it is dropped.
fn end<A: Actor<Context = Context<A>>>(pulse: &Pulse, end: End, ctx: &mut Context<A>) {
    pulse.end(end);
    ctx.wait(wrap_future::<_, A>(pending()));
}

/// Runs a piece of a life; a panic comes back as its text.
fn on_thread<T>(cell: &Arc<Cell>, number: u64, pulse: &Pulse, piece: impl FnOnce() -> T) -> Result<T, String> {
    let before = CURRENT.replace(Some((cell.clone(), number)));
    pulse.set_busy(true);
    let outcome = catch_unwind(AssertUnwindSafe(piece));
    pulse.set_busy(false);
    CURRENT.set(before);
    outcome.map_err(|panic| panic_text(panic.as_ref()))
}

/// Goes on with the panic of a task that an actor waited for; one that was cut off by the node's end is passed over.
pub(crate) fn raise(broken: JoinError) {
    if let Ok(panic) = broken.try_into_panic() {
        resume_unwind(panic);
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked and said nothing".into())
}

/// Hands a life its messages, one after the other.
struct Attendant<A: Actor> {
    inbox: Inbox<A>,
    number: u64,
    pulse: Arc<Pulse>,
    /// When the message in hand was taken up.
    begun: Instant,
}

impl<A: Actor<Context = Context<A>>> Attendant<A> {
    /// The message in hand is done.
    fn put_down(&mut self) {
        self.pulse.set_waiting(false);
        if self.pulse.take_hand().is_some() {
            self.inbox.cell().progressed(self.begun.elapsed());
        }
    }

    /// The next message; where there is none, this is polled again when there is, or when a restart is asked for.
    fn next(&self, task: &mut TaskContext<'_>) -> Option<Envelope<A>> {
        if let Poll::Ready(next) = self.inbox.poll_next(task) {
            return next;
        }
        let cell = self.inbox.cell();
        cell.attendant.register(self.number, task.waker());
        // What was asked for before that woke nobody.
        if cell.is_asked() {
            task.waker().wake_by_ref();
        }
        None
    }

    fn take_up(&mut self, envelope: Envelope<A>, actor: &mut A, ctx: &mut Context<A>) {
        let cell = self.inbox.cell().clone();
        self.pulse.take_in_hand(InHand { kind: envelope.kind, pump: envelope.pump.clone(), since: cell.now() });
        self.begun = Instant::now();
        #[cfg(feature = "failpoints")]
        fail::fail_point!(cell.role.kind);
        if cell.generation() != self.number {
            return;
        }
        envelope.open(actor, ctx);
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Attendant<A> {
    type Output = ();

    /// Not polled while the actor waits for something, so whatever was in hand is done when it is.
    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..TURN {
            this.put_down();
            let cell = this.inbox.cell();
            if cell.generation() != this.number {
                end(&this.pulse, End::Overtaken, ctx);
                return Poll::Pending;
            }
            if cell.take_asked() {
                cell.forgive();
                end(&this.pulse, End::Asked, ctx);
                return Poll::Pending;
            }
            let Some(envelope) = this.next(task) else { return Poll::Pending };
            this.take_up(envelope, actor, ctx);
            if ctx.waiting() {
                this.pulse.set_waiting(true);
                return Poll::Pending;
            }
        }
        this.put_down();
        task.waker().wake_by_ref();
        Poll::Pending
    }
}
