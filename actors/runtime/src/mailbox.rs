//! A mailbox whose bound holds, and that outlives the actor that reads it.
//!
//! actix lets each clone of an address put one message beyond the bound, its `do_send` ignores the bound altogether, and
//! its mailbox dies with the actor. Here messages wait in an [`Inbox`]. Each [`Mailbox`] is a way into it with a capacity
//! of its own, which is a semaphore: a message holds a permit until its actor takes it.
//!
//! An example, with an actor that has failed and is restarted after 20 ms:
//!
//! 1. `try_send(1)` and `try_send(2)` on a mailbox with capacity 2: both wait.
//! 2. `try_send(3)` returns [`TrySendError::Full`] with the 3. `send(3)` waits for a permit.
//! 3. The new incarnation of the actor takes 1, which frees a permit. 3 follows 2.
//! 4. The actor fails too often and is out of order: what waits is dropped, and further messages are refused with
//!    [`TrySendError::Closed`], except for those that [survive a failure](Message::SURVIVES_FAILURE).
//!
//! Does not decide who reads an inbox: see [`crate::supervisor`]. A message that must wait for room while its sender goes
//! on in order goes through the sender's [`crate::Outbox`].

use std::{
    any::type_name,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context as TaskContext, Poll},
};

use actix::{Actor, Context, Handler, dev::MessageResponse};
use futures::{StreamExt, channel::mpsc};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    catch_panic::is_superseded,
    message::{Envelope, Message, Subject},
    slot::ActorSlot,
};

/// The message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySendError<M> {
    /// The mailbox is full. Holds the message.
    Full(M),
    /// The actor is stopped or out of order, or the sender itself was superseded.
    Closed,
}

/// One way into an actor's inbox, with a capacity of its own.
pub struct Mailbox<A: Actor> {
    inbox: Inbox<A>,
    permits: Arc<Semaphore>,
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// Sends a message if there is room for it.
    pub fn try_send<M>(&self, message: M) -> Result<(), TrySendError<M>>
    where
        A: Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => self.put(message, permit),
            Err(_) if !self.inbox.slot().accepts(M::SURVIVES_FAILURE) => Err(TrySendError::Closed),
            Err(_) => Err(TrySendError::Full(message)),
        }
    }

    /// Sends a message, and waits for room if there is none. Never returns [`TrySendError::Full`].
    pub async fn send<M>(&self, message: M) -> Result<(), TrySendError<M>>
    where
        A: Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => self.put(message, permit),
            Err(_) => Err(TrySendError::Closed),
        }
    }

    /// Returns how many messages wait in the inbox, whichever mailbox they came through, and with the actor itself.
    pub fn inbox_depth(&self) -> usize {
        self.inbox.slot().metrics.depth()
    }

    /// Whether the actor is out of order until somebody restarts it.
    pub fn is_failed(&self) -> bool {
        self.inbox.slot().is_failed()
    }

    fn put<M>(&self, message: M, permit: OwnedSemaphorePermit) -> Result<(), TrySendError<M>>
    where
        A: Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        if self.inbox.put(QueuedMessage::new(message, permit)) { Ok(()) } else { Err(TrySendError::Closed) }
    }
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), permits: self.permits.clone() }
    }
}

/// Where an actor's messages wait. It stays while the actor is restarted.
pub struct Inbox<A: Actor>(Arc<Queue<A>>);

struct Queue<A: Actor> {
    slot: Arc<ActorSlot>,
    /// Unbounded by itself: the permits of the mailboxes bound it. Takes memory only for what waits.
    sender: mpsc::UnboundedSender<QueuedMessage<A>>,
    receiver: Mutex<mpsc::UnboundedReceiver<QueuedMessage<A>>>,
}

impl<A: Actor<Context = Context<A>>> Inbox<A> {
    pub(crate) fn new(slot: Arc<ActorSlot>) -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self(Arc::new(Queue { slot, sender, receiver: Mutex::new(receiver) }))
    }

    /// Returns a new way in for `capacity` messages at a time.
    pub fn mailbox(&self, capacity: usize) -> Mailbox<A> {
        self.0.slot.metrics.capacity.fetch_add(capacity, Relaxed);
        Mailbox { inbox: self.clone(), permits: Arc::new(Semaphore::new(capacity)) }
    }

    /// Returns the slot of the actor that reads it.
    pub fn slot(&self) -> &Arc<ActorSlot> {
        &self.0.slot
    }

    /// Returns the next message. The last task that polled is woken when one comes.
    pub(crate) fn poll_next(&self, task: &mut TaskContext<'_>) -> Poll<Option<QueuedMessage<A>>> {
        let next = self.0.receiver.lock().poll_next_unpin(task);
        if let Poll::Ready(Some(_)) = &next {
            self.0.slot.metrics.waiting.fetch_sub(1, Relaxed);
        }
        next
    }

    /// Drops what waits: all of it, or all but what survives a failure.
    pub(crate) fn discard(&self, all: bool) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        {
            let mut receiver = self.0.receiver.lock();
            while let Ok(message) = receiver.try_recv() {
                if message.survives_failure && !all { kept.push(message) } else { dropped.push(message) }
            }
            for message in kept {
                // Cannot fail: the receiver is locked here, so it exists.
                let _ = self.0.sender.unbounded_send(message);
            }
        }
        self.0.slot.metrics.waiting.fetch_sub(dropped.len(), Relaxed);
        // Dropped after the lock is released: the drop of a message may send others.
        drop(dropped);
    }

    fn put(&self, message: QueuedMessage<A>) -> bool {
        let (slot, survives) = (&self.0.slot, message.survives_failure);
        if !slot.accepts(survives) || is_superseded() {
            return false;
        }
        slot.metrics.waiting.fetch_add(1, Relaxed);
        let sent = self.0.sender.unbounded_send(message).is_ok();
        if !slot.accepts(survives) {
            // The slot was closed meanwhile, and may have been emptied before this message came.
            self.discard(slot.is_stopped());
        }
        sent
    }
}

impl<A: Actor> Clone for Inbox<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A message of any type in an inbox, with its permit.
pub(crate) struct QueuedMessage<A: Actor> {
    /// The message's type, without its path.
    pub kind: &'static str,
    pub subject: Option<Subject>,
    survives_failure: bool,
    handle: Handle<A>,
    permit: OwnedSemaphorePermit,
}

/// Has an actor handle a message.
type Handle<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

impl<A: Actor<Context = Context<A>>> QueuedMessage<A> {
    fn new<M>(message: M, permit: OwnedSemaphorePermit) -> Self
    where
        A: Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        let subject = message.subject();
        let handle = Box::new(move |actor: &mut A, ctx: &mut Context<A>| {
            actor.handle(Envelope::new(message), ctx);
        });
        Self { kind: short_name::<M>(), subject, survives_failure: M::SURVIVES_FAILURE, handle, permit }
    }

    /// Releases the permit, and has the actor handle the message.
    pub(crate) fn handle(self, actor: &mut A, ctx: &mut Context<A>) {
        drop(self.permit);
        (self.handle)(actor, ctx);
    }
}

/// Returns a type's name without its path.
fn short_name<M>() -> &'static str {
    let name = type_name::<M>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::tests::{Toy, supervisor};

    #[actix::test]
    async fn the_capacity_holds_for_every_clone() {
        let supervisor = supervisor(5);
        let (open, gate) = oneshot::channel();
        let toy = Toy::start(&supervisor, "toy", 3);
        toy.hold(gate).await;
        let mut taken = 0;
        for n in 0..20 {
            match toy.mailbox.clone().try_send(n) {
                Ok(()) => taken += 1,
                Err(refused) => assert_eq!(refused, TrySendError::Full(n)),
            }
        }
        assert_eq!((taken, toy.mailbox.inbox_depth()), (3, 3), "the actor waits");
        open.send(()).expect("the actor waits");
        assert_eq!(toy.seen(3).await, [0, 1, 2]);
    }

    #[test]
    fn a_kind_is_a_type_without_its_path() {
        assert_eq!((short_name::<Inbox<Toy>>(), short_name::<ActorSlot>()), ("Toy>", "ActorSlot"));
    }
}
