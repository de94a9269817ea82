//! The bounded queue of an actor's messages, which outlives the actor, and the addresses that others send to.
//!
//! In actix each clone of an address can add one message beyond the capacity, `do_send` ignores the capacity, and
//! waiting messages are dropped with the actor. Here messages wait in an [`Inbox`]. An [`Address`] is a handle to an
//! inbox. It limits how many of its own messages wait there: it has a semaphore with as many permits as its capacity,
//! and each message holds a permit until the actor takes it. So an actor can give its commands an address of their own,
//! which has room while the address for readings is full.
//!
//! An example, with an actor that has failed and is restarted after 20 ms:
//!
//! 1. `try_send(1)` and `try_send(2)` on an address with capacity 2: both messages wait.
//! 2. `try_send(3)` returns [`TrySendError::Full`] with the 3. `send(3)` waits for a permit.
//! 3. The new incarnation of the actor takes message 1, which frees a permit. Message 3 is queued behind message 2.
//! 4. The actor exceeds its restart policy and is marked as failed. Waiting messages are dropped, and further messages
//!    are refused with [`TrySendError::Closed`], except for messages that [survive a
//!    failure](Message::SURVIVES_FAILURE).
//!
//! Does not decide which incarnation reads an inbox; see [`crate::supervisor`]. An actor that has to wait for permits
//! without changing the order of its messages sends them through its [`crate::Outbox`].

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

/// The message was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySendError<M> {
    /// All permits of the address are in use. Holds the message.
    Full(M),
    /// The actor is stopped or failed, or the sending actor was superseded: replaced by a later incarnation
    /// while it blocked its thread.
    Closed,
}

/// A handle to an actor's inbox, with a capacity of its own.
pub struct Address<A: Actor> {
    inbox: Inbox<A>,
    permits: Arc<Semaphore>,
}

impl<A: Actor<Context = Context<A>>> Address<A> {
    /// Sends a message if a permit is free.
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

    /// Sends a message. Waits for a permit if none is free. Never returns [`TrySendError::Full`].
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

    /// Returns the number of messages that wait in the inbox, through all its addresses, plus the number of items
    /// that the actor itself holds.
    pub fn inbox_depth(&self) -> usize {
        self.inbox.slot().metrics.depth()
    }

    /// Returns whether the actor has failed and stays down until a restart is requested.
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

impl<A: Actor> Clone for Address<A> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), permits: self.permits.clone() }
    }
}

/// The queue of an actor's messages. It stays while the actor is restarted.
pub struct Inbox<A: Actor>(Arc<Queue<A>>);

struct Queue<A: Actor> {
    slot: Arc<ActorSlot>,
    /// The channel is unbounded; the permits of the addresses limit its length. It uses memory only for the messages
    /// that wait.
    sender: mpsc::UnboundedSender<QueuedMessage<A>>,
    receiver: Mutex<mpsc::UnboundedReceiver<QueuedMessage<A>>>,
}

impl<A: Actor<Context = Context<A>>> Inbox<A> {
    pub(crate) fn new(slot: Arc<ActorSlot>) -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self(Arc::new(Queue { slot, sender, receiver: Mutex::new(receiver) }))
    }

    /// Returns a new address, through which at most `capacity` messages wait.
    pub fn address(&self, capacity: usize) -> Address<A> {
        self.0.slot.metrics.capacity.fetch_add(capacity, Relaxed);
        Address { inbox: self.clone(), permits: Arc::new(Semaphore::new(capacity)) }
    }

    /// Returns the slot of the actor that reads this inbox: its status and metrics, which outlive the actor.
    pub fn slot(&self) -> &Arc<ActorSlot> {
        &self.0.slot
    }

    /// Returns the next message. When a message arrives, the task that polled last is woken.
    pub(crate) fn poll_next(&self, task: &mut TaskContext<'_>) -> Poll<Option<QueuedMessage<A>>> {
        let next = self.0.receiver.lock().poll_next_unpin(task);
        if let Poll::Ready(Some(_)) = &next {
            self.0.slot.metrics.waiting.fetch_sub(1, Relaxed);
        }
        next
    }

    /// Drops waiting messages: all of them, or all except those that survive a failure.
    pub(crate) fn discard(&self, all: bool) {
        let (mut retained, mut dropped) = (Vec::new(), Vec::new());
        {
            let mut receiver = self.0.receiver.lock();
            while let Ok(message) = receiver.try_recv() {
                if message.survives_failure && !all { retained.push(message) } else { dropped.push(message) }
            }
            for message in retained {
                // Cannot fail: the receiver is locked here, so it exists.
                let _ = self.0.sender.unbounded_send(message);
            }
        }
        self.0.slot.metrics.waiting.fetch_sub(dropped.len(), Relaxed);
        // Dropped after the lock is released, because dropping a message may send other messages.
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
            // The actor failed or was stopped since the check above, and the inbox may have been emptied before this
            // message arrived.
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
    handler: BoxedHandler<A>,
    permit: OwnedSemaphorePermit,
}

/// Passes a message to its actor's handler.
type BoxedHandler<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

impl<A: Actor<Context = Context<A>>> QueuedMessage<A> {
    fn new<M>(message: M, permit: OwnedSemaphorePermit) -> Self
    where
        A: Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        let subject = message.subject();
        let handler = Box::new(move |actor: &mut A, ctx: &mut Context<A>| {
            actor.handle(Envelope::new(message), ctx);
        });
        Self { kind: short_name::<M>(), subject, survives_failure: M::SURVIVES_FAILURE, handler, permit }
    }

    /// Releases the permit and passes the message to the actor.
    pub(crate) fn handle(self, actor: &mut A, ctx: &mut Context<A>) {
        drop(self.permit);
        (self.handler)(actor, ctx);
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
    async fn clones_of_an_address_share_its_capacity() {
        let supervisor = supervisor(5);
        let (release, released) = oneshot::channel();
        let toy = Toy::start(&supervisor, "toy", 3);
        toy.hold(released).await;
        let mut sent = 0;
        for n in 0..20 {
            match toy.address.clone().try_send(n) {
                Ok(()) => sent += 1,
                Err(refused) => assert_eq!(refused, TrySendError::Full(n)),
            }
        }
        assert_eq!((sent, toy.address.inbox_depth()), (3, 3), "the actor waits");
        release.send(()).expect("the actor waits");
        assert_eq!(toy.received(3).await, [0, 1, 2]);
    }

    #[test]
    fn short_name_is_the_type_without_its_path() {
        assert_eq!((short_name::<Inbox<Toy>>(), short_name::<ActorSlot>()), ("Toy>", "ActorSlot"));
    }
}
