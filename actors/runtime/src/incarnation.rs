//! Runs an actor's incarnations, one after the other, on its thread.
//!
//! An incarnation is one run of an actor in an actix context. This module polls the context itself, which actix would
//! do otherwise, so that it catches panics in all handlers, timers and futures. The next incarnation reads the same
//! inbox: waiting messages stay, and only the current message is lost. An incarnation whose thread is stuck is
//! superseded: it takes no more messages, and messages that it still sends are refused ([`crate::is_superseded`]).
//!
//! This module ends an incarnation by dropping it, never through `stop` or `terminate` of its context: if a future was
//! cancelled in the same poll, `terminate` makes actix 0.13.5 poll for ever and blocks the thread. Code that ends an
//! incarnation records the reason ([`Liveness::request_end`]) and suspends the context permanently, so that the context
//! runs nothing else ([`end_after_poll`]). [`run`] checks for a reason after each poll. For example, if a restart is
//! requested while a message is handled:
//!
//! 1. [`ActorSlot::request_restart`] sets a flag and wakes the incarnation. The actor finishes the message, including
//!    the futures that it waits for.
//! 2. The [`InboxPoller`] sees the flag before it takes the next message, and requests the end of the incarnation.
//! 3. [`run`] sees the request after the same poll and drops the actor. The next incarnation takes the next message.

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
    catch_panic::run_catching,
    inbox::{Inbox, QueuedMessage},
    liveness::{CurrentMessage, EndReason, Liveness},
    restart_policy::NextStart,
    slot::{ActorSlot, Launcher},
};

/// The maximum number of messages that an incarnation handles before it yields to other actors on the thread.
const MAX_MESSAGES_PER_POLL: usize = 16;

/// What an actor receives when it is built: its generation and its inbox.
pub struct Incarnation<A: Actor> {
    /// Increases with each incarnation of the actor. The first is 1.
    pub generation: u64,
    /// The actor's own inbox.
    pub inbox: Inbox<A>,
    liveness: Arc<Liveness>,
}

impl<A: Actor<Context = Context<A>>> Incarnation<A> {
    /// Ends this incarnation as failed with this error. After the caller returns, this incarnation runs no further
    /// code. The next incarnation starts after a pause.
    pub fn fail(&self, error: String, ctx: &mut Context<A>) {
        end_after_poll(&self.liveness, EndReason::Failed(error), ctx);
    }

    /// Returns the actor's slot. The actor records in it work that no message triggered.
    pub fn slot(&self) -> Arc<ActorSlot> {
        self.inbox.slot().clone()
    }
}

/// Builds incarnations of an actor.
pub(crate) struct ActorFactory<A: Actor> {
    pub inbox: Inbox<A>,
    pub build: Box<dyn Fn(Incarnation<A>) -> A + Send + Sync>,
}

/// An actor in its context.
type Running<A> = Pin<Box<ContextFut<A, Context<A>>>>;

impl<A: Actor<Context = Context<A>>> Launcher for ActorFactory<A> {
    fn launch(self: Arc<Self>, slot: Arc<ActorSlot>, generation: u64, next: NextStart) {
        let arbiter = slot.thread.arbiter();
        // If the thread has ended, the supervisor was stopped, and nothing needs to start.
        arbiter.spawn_fn(move || drop(actix_rt::spawn(run_all(slot, self, generation, next))));
    }

    fn discard(&self, all: bool) {
        self.inbox.discard(all);
    }
}

/// Runs one incarnation after the other until one is superseded.
async fn run_all<A: Actor<Context = Context<A>>>(
    slot: Arc<ActorSlot>,
    factory: Arc<ActorFactory<A>>,
    mut generation: u64,
    mut next: NextStart,
) {
    loop {
        match next {
            NextStart::Now => {}
            // Boxed because these futures are rare and would enlarge every actor's task.
            NextStart::After(pause) => Box::pin(pause_or_request(&slot, pause)).await,
            NextStart::OnRequest => {
                factory.inbox.discard(slot.is_stopped());
                Box::pin(slot.restart_request()).await;
                slot.reset_failures();
            }
        }
        let Some((begun, liveness)) = slot.begin(generation) else { return };
        generation = begun;
        if generation > 1 {
            slot.metrics.restarts.fetch_add(1, Relaxed);
        }
        next = match run(&slot, &factory, generation, liveness).await {
            EndReason::Superseded => return,
            EndReason::RestartRequested => NextStart::Now,
            EndReason::Failed(error) => match slot.record_failure(generation, &error) {
                Some(next) => next,
                None => return,
            },
        };
    }
}

/// Waits for the pause or for a restart request, whichever comes first.
async fn pause_or_request(slot: &ActorSlot, pause: Duration) {
    tokio::select! {
        () = actix_rt::time::sleep(pause) => {}
        () = slot.restart_request() => {}
    }
}

/// Runs one incarnation until it ends. Returns why it ended.
async fn run<A: Actor<Context = Context<A>>>(
    slot: &Arc<ActorSlot>,
    factory: &ActorFactory<A>,
    generation: u64,
    liveness: Arc<Liveness>,
) -> EndReason {
    let inbox = factory.inbox.clone();
    let poller = InboxPoller { inbox, generation, liveness: liveness.clone(), handling_since: Instant::now() };
    let mut actor = match build(slot, factory, poller) {
        Ok(actor) => actor,
        Err(error) => return EndReason::Failed(error),
    };
    slot.set_running(generation);
    let end = poll_fn(|task| {
        let polled = run_catching(slot, generation, &liveness, || actor.as_mut().poll(task));
        match polled {
            _ if slot.generation() != generation => Poll::Ready(EndReason::Superseded),
            Err(error) => Poll::Ready(EndReason::Failed(error)),
            Ok(Poll::Pending) => liveness.take_end().map_or(Poll::Pending, Poll::Ready),
            Ok(Poll::Ready(())) => Poll::Ready(EndReason::Failed("its context stopped".into())),
        }
    })
    .await;
    // The drop may panic as well. The incarnation has ended, so such a panic is ignored.
    let _ = run_catching(slot, generation, &liveness, || drop(actor));
    end
}

/// Builds an actor on the heap. If [`run`] built it, the future of `run` would reserve space for a second copy of the
/// actor as long as it runs.
fn build<A: Actor<Context = Context<A>>>(
    slot: &Arc<ActorSlot>,
    factory: &ActorFactory<A>,
    poller: InboxPoller<A>,
) -> Result<Running<A>, String> {
    let (generation, liveness) = (poller.generation, poller.liveness.clone());
    run_catching(slot, generation, &liveness, || {
        let inbox = factory.inbox.clone();
        let mut ctx = Context::new();
        ctx.spawn(poller);
        Box::pin(ctx.into_future((factory.build)(Incarnation { generation, inbox, liveness: liveness.clone() })))
    })
}

/// Requests the end of an incarnation and suspends its context until the incarnation is dropped, so that the context
/// runs nothing else.
fn end_after_poll<A: Actor<Context = Context<A>>>(liveness: &Liveness, reason: EndReason, ctx: &mut Context<A>) {
    liveness.request_end(reason);
    ctx.wait(wrap_future::<_, A>(pending()));
}

/// Takes messages from the inbox and passes them to an incarnation, one after the other.
struct InboxPoller<A: Actor> {
    inbox: Inbox<A>,
    generation: u64,
    liveness: Arc<Liveness>,
    /// When the handling of the current message began.
    handling_since: Instant,
}

impl<A: Actor<Context = Context<A>>> InboxPoller<A> {
    /// Records the end of the current message, if there is one.
    fn finish_current(&mut self) {
        self.liveness.set_suspended(false);
        if self.liveness.take_current().is_some() {
            self.inbox.slot().record_progress(self.handling_since.elapsed());
        }
    }

    /// Returns the next message. If there is none, the task is woken by the next message or by a restart request.
    fn next(&self, task: &mut TaskContext<'_>) -> Option<QueuedMessage<A>> {
        if let Poll::Ready(next) = self.inbox.poll_next(task) {
            return next;
        }
        let slot = self.inbox.slot();
        slot.waker.register(self.generation, task.waker());
        // A restart request that came before the registration did not wake this task.
        if slot.is_restart_requested() {
            task.waker().wake_by_ref();
        }
        None
    }

    fn handle(&mut self, message: QueuedMessage<A>, actor: &mut A, ctx: &mut Context<A>) {
        let slot = self.inbox.slot().clone();
        let (kind, subject) = (message.kind, message.subject.clone());
        self.liveness.set_current(CurrentMessage { message: kind, subject, since: slot.now() });
        self.handling_since = Instant::now();
        #[cfg(feature = "failpoints")]
        fail::fail_point!(slot.role.kind);
        if slot.generation() != self.generation {
            return;
        }
        message.handle(actor, ctx);
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for InboxPoller<A> {
    type Output = ();

    /// actix does not poll this future while the actor is suspended. When it polls again, the previous message is
    /// finished.
    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..MAX_MESSAGES_PER_POLL {
            this.finish_current();
            let slot = this.inbox.slot();
            if slot.generation() != this.generation {
                end_after_poll(&this.liveness, EndReason::Superseded, ctx);
                return Poll::Pending;
            }
            if slot.take_restart_request() {
                slot.reset_failures();
                end_after_poll(&this.liveness, EndReason::RestartRequested, ctx);
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
