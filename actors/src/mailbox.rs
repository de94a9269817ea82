//! A mailbox with a bound that holds, and that outlives the actor it belongs to.
//!
//! actix lets every clone of an address put one message beyond the bound, its `do_send` ignores the bound altogether,
//! and its mailbox dies with the actor. So messages wait here in an [`Inbox`] of our own, and the bound of each door to
//! it ([`Mailbox`]) is a semaphore: a message carries its permit and gives it back when the actor opens it. Who attends
//! an inbox, and what becomes of a message that breaks its actor, is the supervisor's ([`crate::supervision`]). What must
//! wait for room goes through the sender's [`crate::outbox::Outbox`], which keeps its order.

use std::{
    any::type_name,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context as TaskContext, Poll},
};

use actix::{Actor, Context, Handler, Message, dev::MessageResponse};
use futures::{StreamExt, channel::mpsc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use volute_plant::PumpId;

use crate::supervision::{Cell, abandoned};

/// What can be put into a mailbox.
pub(crate) trait Letter: Send + 'static {
    /// Whether it waits for an actor that is out of order until somebody has it restarted. Others are refused then.
    const KEPT: bool = false;

    /// Whose it is, if a pump's.
    fn pump(&self) -> Option<&PumpId> {
        None
    }
}

/// Where an actor's messages wait. It stays while the actor comes and goes.
pub(crate) struct Inbox<A: Actor>(Arc<Queue<A>>);

struct Queue<A: Actor> {
    cell: Arc<Cell>,
    /// Lock-free on the side of those who send; takes room for what waits only.
    sender: mpsc::UnboundedSender<Envelope<A>>,
    receiver: Mutex<mpsc::UnboundedReceiver<Envelope<A>>>,
}

/// A message on its way, and the place it takes up.
pub(crate) struct Envelope<A: Actor> {
    /// The message's type, without its path.
    pub kind: &'static str,
    pub pump: Option<PumpId>,
    kept: bool,
    open: Opening<A>,
    slot: OwnedSemaphorePermit,
}

/// How a message is handled.
type Opening<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

/// One way to an actor's inbox, with a bound of its own.
pub(crate) struct Mailbox<A: Actor> {
    inbox: Inbox<A>,
    slots: Arc<Semaphore>,
}

/// A message as its actor gets it.
pub(crate) struct Mail<M>(M);

/// The message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undelivered<M> {
    /// No place; here it is back.
    Full(M),
    /// The actor is gone, or out of order; or the sender has been given up itself.
    Closed,
}

impl<M> Message for Mail<M> {
    type Result = ();
}

impl<M> Mail<M> {
    /// Takes the message out.
    pub(crate) fn open(self) -> M {
        self.0
    }
}

impl<A: Actor<Context = Context<A>>> Inbox<A> {
    pub(crate) fn new(cell: Arc<Cell>) -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self(Arc::new(Queue { cell, sender, receiver: Mutex::new(receiver) }))
    }

    /// A way in for `limit` messages at a time.
    pub(crate) fn door(&self, limit: usize) -> Mailbox<A> {
        self.0.cell.vitals.limit.fetch_add(limit, Relaxed);
        Mailbox { inbox: self.clone(), slots: Arc::new(Semaphore::new(limit)) }
    }

    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.0.cell
    }

    /// The next message. Whoever polled last is woken.
    pub(crate) fn poll_next(&self, task: &mut TaskContext<'_>) -> Poll<Option<Envelope<A>>> {
        let next = self.receiver().poll_next_unpin(task);
        if let Poll::Ready(Some(_)) = &next {
            self.0.cell.vitals.waiting.fetch_sub(1, Relaxed);
        }
        next
    }

    /// Drops what waits: all of it, or all but what waits for a restart by hand.
    pub(crate) fn discard(&self, all: bool) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        {
            let mut receiver = self.receiver();
            while let Ok(envelope) = receiver.try_recv() {
                if envelope.kept && !all { kept.push(envelope) } else { dropped.push(envelope) }
            }
            for envelope in kept {
                // The receiver is in our hands, so it is there.
                let _ = self.0.sender.unbounded_send(envelope);
            }
        }
        self.0.cell.vitals.waiting.fetch_sub(dropped.len(), Relaxed);
        // Outside the lock: a message that is dropped may tell others.
        drop(dropped);
    }

    fn put(&self, envelope: Envelope<A>) -> bool {
        let (cell, kept) = (&self.0.cell, envelope.kept);
        if !cell.takes(kept) || abandoned() {
            return false;
        }
        cell.vitals.waiting.fetch_add(1, Relaxed);
        let sent = self.0.sender.unbounded_send(envelope).is_ok();
        if !cell.takes(kept) {
            // It was closed meanwhile, and may have been emptied before this came.
            self.discard(cell.is_stopped());
        }
        sent
    }

    fn receiver(&self) -> MutexGuard<'_, mpsc::UnboundedReceiver<Envelope<A>>> {
        self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Actor> Clone for Inbox<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor<Context = Context<A>>> Envelope<A> {
    fn new<M>(body: M, slot: OwnedSemaphorePermit) -> Self
    where
        A: Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        let pump = body.pump().cloned();
        let open = Box::new(move |actor: &mut A, ctx: &mut Context<A>| {
            actor.handle(Mail(body), ctx);
        });
        Self { kind: short_name::<M>(), pump, kept: M::KEPT, open, slot }
    }

    /// Gives the message's place back, and has the actor handle it.
    pub(crate) fn open(self, actor: &mut A, ctx: &mut Context<A>) {
        drop(self.slot);
        (self.open)(actor, ctx);
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// Puts a message in, or hands it back where there is no place.
    pub(crate) fn post<M>(&self, body: M) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => self.put(body, slot),
            Err(_) if !self.inbox.cell().takes(M::KEPT) => Err(Undelivered::Closed),
            Err(_) => Err(Undelivered::Full(body)),
        }
    }

    /// Puts a message in, waiting for a place: for what must not be dropped.
    pub(crate) async fn deliver<M>(&self, body: M) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        match self.slots.clone().acquire_owned().await {
            Ok(slot) => self.put(body, slot),
            Err(_) => Err(Undelivered::Closed),
        }
    }

    /// Messages that wait now, whichever way they came, and what waits with the actor.
    pub(crate) fn depth_of_all(&self) -> usize {
        self.inbox.cell().vitals.depth()
    }

    /// Whether the actor is out of order, and has to be restarted by hand.
    pub(crate) fn is_failed(&self) -> bool {
        self.inbox.cell().is_failed()
    }

    fn put<M>(&self, body: M, slot: OwnedSemaphorePermit) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        if self.inbox.put(Envelope::new(body, slot)) { Ok(()) } else { Err(Undelivered::Closed) }
    }
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), slots: self.slots.clone() }
    }
}

/// A type's name without the path to it.
fn short_name<M>() -> &'static str {
    let name = type_name::<M>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::supervision::tests::{Toy, supervisor};

    #[actix::test]
    async fn the_bound_holds_for_every_clone() {
        let supervisor = supervisor(5);
        let (open, gate) = oneshot::channel();
        let toy = Toy::start(&supervisor, "toy", 3);
        toy.hold(gate).await;
        let mut taken = 0;
        for n in 0..20 {
            match toy.mailbox.clone().post(n) {
                Ok(()) => taken += 1,
                Err(no) => assert_eq!(no, Undelivered::Full(n)),
            }
        }
        assert_eq!((taken, toy.mailbox.depth_of_all()), (3, 3), "the actor waits");
        open.send(()).expect("the actor waits");
        assert_eq!(toy.seen(3).await, [0, 1, 2]);
    }

    #[test]
    fn a_kind_is_a_type_without_its_path() {
        assert_eq!((short_name::<Inbox<Toy>>(), short_name::<PumpId>()), ("Toy>", "PumpId"));
    }
}
