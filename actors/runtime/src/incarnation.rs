//! One actor's incarnations, one after the other, on its thread.
//!
//! An incarnation is an actix context that is polled here and not by actix, so that a panic in any of its handlers, timers
//! or futures ends here, with its text. The next incarnation reads the same inbox: what waits there stays, and only the
//! current message is lost. An incarnation that was superseded because its thread was stuck takes nothing more, and what
//! it still sends is refused ([`crate::is_superseded`]).
//!
//! An incarnation ends by being dropped here, and never through `stop` or `terminate` of its context: with a future that
//! was cancelled in the same turn, `terminate` makes actix 0.13.5 poll for ever, and the thread with it. Whoever ends an
//! incarnation notes how ([`Liveness::end`]) and suspends its context for good, so that nothing else of it runs ([`end`]);
//! [`run`] looks after each poll. For example, a restart that is requested while a message is handled:
//!
//! 1. [`ActorSlot::request_restart`] sets a flag and wakes the incarnation. The message is handled to its end, with all
//!    that it waits for.
//! 2. The [`InboxPoller`] sees the flag before it takes the next message, and ends the incarnation.
//! 3. [`run`] sees that after the same poll and drops the actor. The next incarnation takes the next message.

use std::{
    future::{Future, pending, poll_fn},
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

use crate::{
    catch_panic::on_thread,
    liveness::{CurrentMessage, End, Liveness},
    mailbox::{Inbox, QueuedMessage},
    restart_policy::NextStart,
    slot::{ActorSlot, Launcher},
};

/// An incarnation handles so many messages before others on the thread have their turn.
const TURN: usize = 16;

/// What an actor is given when it is built.
pub struct Incarnation<A: Actor> {
    /// Counts up over all the actor's incarnations. The first is 1.
    pub number: u64,
    /// Its own inbox.
    pub inbox: Inbox<A>,
    liveness: Arc<Liveness>,
}

impl<A: Actor<Context = Context<A>>> Incarnation<A> {
    /// Ends this incarnation as failed, for this reason. The next one starts after a pause. Nothing of this one runs once
    /// the caller returns.
    pub fn fail(&self, error: String, ctx: &mut Context<A>) {
        end(&self.liveness, End::Failed(error), ctx);
    }

    /// Returns the actor's slot, where it notes what it does by itself, without a message.
    pub fn slot(&self) -> Arc<ActorSlot> {
        self.inbox.slot().clone()
    }
}

/// How an actor of this type is built.
pub(crate) struct ActorFactory<A: Actor> {
    pub inbox: Inbox<A>,
    pub build: Box<dyn Fn(Incarnation<A>) -> A + Send + Sync>,
}

/// An actor in its context.
type Running<A> = Pin<Box<ContextFut<A, Context<A>>>>;

impl<A: Actor<Context = Context<A>>> Launcher for ActorFactory<A> {
    fn launch(self: Arc<Self>, slot: Arc<ActorSlot>, generation: u64, next: NextStart) {
        let arbiter = slot.thread.arbiter();
        // Where the thread is gone, the supervisor has been stopped.
        arbiter.spawn_fn(move || drop(actix_rt::spawn(run_all(slot, self, generation, next))));
    }

    fn discard(&self, all: bool) {
        self.inbox.discard(all);
    }
}

/// Runs one incarnation after the other, until they are superseded.
async fn run_all<A: Actor<Context = Context<A>>>(
    slot: Arc<ActorSlot>,
    factory: Arc<ActorFactory<A>>,
    mut generation: u64,
    mut next: NextStart,
) {
    loop {
        match next {
            NextStart::Now => {}
            // Boxed: these futures are rare, and each actor's task would be larger by them for good.
            NextStart::After(pause) => Box::pin(pause_or_request(&slot, pause)).await,
            NextStart::OnRequest => {
                factory.inbox.discard(slot.is_stopped());
                Box::pin(slot.restart_request()).await;
                slot.reset_failures();
            }
        }
        let Some((number, liveness)) = slot.begin(generation) else { return };
        generation = number;
        if number > 1 {
            slot.metrics.restarts.fetch_add(1, Relaxed);
        }
        next = match run(&slot, &factory, number, liveness).await {
            End::Superseded => return,
            End::RestartRequested => NextStart::Now,
            End::Failed(error) => match slot.failed(number, &error) {
                Some(next) => next,
                None => return,
            },
        };
    }
}

/// Waits for the pause to end, or for a restart to be requested.
async fn pause_or_request(slot: &ActorSlot, pause: Duration) {
    tokio::select! {
        () = actix_rt::time::sleep(pause) => {}
        () = slot.restart_request() => {}
    }
}

/// Runs one incarnation to its end.
async fn run<A: Actor<Context = Context<A>>>(
    slot: &Arc<ActorSlot>,
    factory: &ActorFactory<A>,
    number: u64,
    liveness: Arc<Liveness>,
) -> End {
    let inbox = factory.inbox.clone();
    let poller = InboxPoller { inbox, number, liveness: liveness.clone(), since: Instant::now() };
    let mut actor = match build(slot, factory, poller) {
        Ok(actor) => actor,
        Err(error) => return End::Failed(error),
    };
    slot.set_running(number);
    let end = poll_fn(|task| {
        let polled = on_thread(slot, number, &liveness, || actor.as_mut().poll(task));
        match polled {
            _ if slot.generation() != number => Poll::Ready(End::Superseded),
            Err(error) => Poll::Ready(End::Failed(error)),
            Ok(Poll::Pending) => liveness.take_end().map_or(Poll::Pending, Poll::Ready),
            Ok(Poll::Ready(())) => Poll::Ready(End::Failed("its context stopped".into())),
        }
    })
    .await;
    // What is dropped with it may panic as well, which changes nothing any more.
    let _ = on_thread(slot, number, &liveness, || drop(actor));
    end
}

/// Builds an actor on the heap. Built within [`run`], it would take room in that future as well, for good.
fn build<A: Actor<Context = Context<A>>>(
    slot: &Arc<ActorSlot>,
    factory: &ActorFactory<A>,
    poller: InboxPoller<A>,
) -> Result<Running<A>, String> {
    let (number, liveness) = (poller.number, poller.liveness.clone());
    on_thread(slot, number, &liveness, || {
        let inbox = factory.inbox.clone();
        let mut ctx = Context::new();
        ctx.spawn(poller);
        Box::pin(ctx.into_future((factory.build)(Incarnation { number, inbox, liveness: liveness.clone() })))
    })
}

/// Has an incarnation end after this poll: a suspended context runs nothing else, and this one is until it is dropped.
fn end<A: Actor<Context = Context<A>>>(liveness: &Liveness, end: End, ctx: &mut Context<A>) {
    liveness.end(end);
    ctx.wait(wrap_future::<_, A>(pending()));
}

/// Gives an incarnation its messages, one after the other.
struct InboxPoller<A: Actor> {
    inbox: Inbox<A>,
    number: u64,
    liveness: Arc<Liveness>,
    /// Since when the current message is handled.
    since: Instant,
}

impl<A: Actor<Context = Context<A>>> InboxPoller<A> {
    /// Notes that the current message is done, if there is one.
    fn finish_current(&mut self) {
        self.liveness.set_suspended(false);
        if self.liveness.take_current().is_some() {
            self.inbox.slot().progressed(self.since.elapsed());
        }
    }

    /// Returns the next message. Where there is none, this is polled again when there is, or on a restart request.
    fn next(&self, task: &mut TaskContext<'_>) -> Option<QueuedMessage<A>> {
        if let Poll::Ready(next) = self.inbox.poll_next(task) {
            return next;
        }
        let slot = self.inbox.slot();
        slot.waker.register(self.number, task.waker());
        // A request that came before the registration has woken nobody.
        if slot.is_restart_requested() {
            task.waker().wake_by_ref();
        }
        None
    }

    fn handle(&mut self, message: QueuedMessage<A>, actor: &mut A, ctx: &mut Context<A>) {
        let slot = self.inbox.slot().clone();
        let (kind, subject) = (message.kind, message.subject.clone());
        self.liveness.set_current(CurrentMessage { message: kind, subject, since: slot.now() });
        self.since = Instant::now();
        #[cfg(feature = "failpoints")]
        fail::fail_point!(slot.role.kind);
        if slot.generation() != self.number {
            return;
        }
        message.handle(actor, ctx);
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for InboxPoller<A> {
    type Output = ();

    /// Not polled while the actor is suspended, so the current message is done when this is polled again.
    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..TURN {
            this.finish_current();
            let slot = this.inbox.slot();
            if slot.generation() != this.number {
                end(&this.liveness, End::Superseded, ctx);
                return Poll::Pending;
            }
            if slot.take_restart_request() {
                slot.reset_failures();
                end(&this.liveness, End::RestartRequested, ctx);
                return Poll::Pending;
            }
            let Some(message) = this.next(task) else { return Poll::Pending };
            this.handle(message, actor, ctx);
            if ctx.waiting() {
                this.liveness.set_suspended(true);
                return Poll::Pending;
            }
        }
        this.finish_current();
        task.waker().wake_by_ref();
        Poll::Pending
    }
}
