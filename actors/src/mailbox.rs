//! A mailbox with a bound that holds.
//!
//! actix lets every clone of an address put one message beyond the bound, and its `do_send` ignores the
//! bound altogether. So the bound is a semaphore here: each message carries its permit and gives it back
//! when the actor opens it. The mailbox of actix behind it is left unbounded.

use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
    dev::{MessageResponse, ToEnvelope},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where an actor's messages are put.
pub(crate) struct Mailbox<A: Actor> {
    addr: Addr<A>,
    slots: Arc<Semaphore>,
    limit: usize,
}

/// A message on its way, and the place it takes up.
pub(crate) struct Mail<M> {
    body: M,
    _slot: OwnedSemaphorePermit,
}

/// The message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undelivered<M> {
    /// No place; here it is back.
    Full(M),
    /// The actor is gone.
    Closed,
}

impl<M> Message for Mail<M> {
    type Result = ();
}

impl<M> Mail<M> {
    /// Takes the message out and gives its place back.
    pub(crate) fn open(self) -> M {
        self.body
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// A mailbox for `limit` messages in front of an actor whose `started` calls [`unbound`].
    pub(crate) fn new(addr: Addr<A>, limit: usize) -> Self {
        Self { addr, slots: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Puts a message in, or hands it back where there is no place.
    pub(crate) fn post<M>(&self, body: M) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Send + 'static,
        A::Context: ToEnvelope<A, Mail<M>>,
        (): MessageResponse<A, Mail<M>>,
    {
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => self.put(body, slot),
            Err(_) => Err(Undelivered::Full(body)),
        }
    }

    /// Puts a message in, waiting for a place: for what must not be dropped.
    pub(crate) async fn deliver<M>(&self, body: M) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Send + 'static,
        A::Context: ToEnvelope<A, Mail<M>>,
        (): MessageResponse<A, Mail<M>>,
    {
        match self.slots.clone().acquire_owned().await {
            Ok(slot) => self.put(body, slot),
            Err(_) => Err(Undelivered::Closed),
        }
    }

    /// Puts a message in; where there is no place, the sending actor handles nothing else until there is one.
    pub(crate) fn post_or_wait<M, S>(&self, body: M, sender: &S, ctx: &mut Context<S>)
    where
        S: Actor<Context = Context<S>>,
        A: Handler<Mail<M>>,
        M: Send + 'static,
        A::Context: ToEnvelope<A, Mail<M>>,
        (): MessageResponse<A, Mail<M>>,
    {
        let Err(Undelivered::Full(body)) = self.post(body) else { return };
        let mailbox = self.clone();
        let delivery = async move { mailbox.deliver(body).await.is_ok() };
        ctx.wait(delivery.into_actor(sender).map(|_, _, _| ()));
    }

    /// Messages that wait now.
    pub(crate) fn depth(&self) -> usize {
        self.limit - self.slots.available_permits()
    }

    fn put<M>(&self, body: M, slot: OwnedSemaphorePermit) -> Result<(), Undelivered<M>>
    where
        A: Handler<Mail<M>>,
        M: Send + 'static,
        A::Context: ToEnvelope<A, Mail<M>>,
        (): MessageResponse<A, Mail<M>>,
    {
        self.addr.try_send(Mail { body, _slot: slot }).map_err(|_| Undelivered::Closed)
    }
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), slots: self.slots.clone(), limit: self.limit }
    }
}

/// Lifts actix's own, inexact bound; [`Mailbox`] holds the exact one. Call it in `started`.
pub(crate) fn unbound<A: Actor<Context = Context<A>>>(ctx: &mut Context<A>) {
    ctx.set_mailbox_capacity(0);
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Takes one message and then waits to be let go.
    struct Slow(Option<oneshot::Receiver<()>>, Vec<u32>);

    impl Actor for Slow {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            unbound(ctx);
        }
    }

    impl Handler<Mail<u32>> for Slow {
        type Result = ();

        fn handle(&mut self, mail: Mail<u32>, ctx: &mut Self::Context) {
            self.1.push(mail.open());
            if let Some(gate) = self.0.take() {
                ctx.wait(gate.into_actor(self).map(|_, _, _| ()));
            }
        }
    }

    impl Handler<Mail<oneshot::Sender<Vec<u32>>>> for Slow {
        type Result = ();

        fn handle(&mut self, mail: Mail<oneshot::Sender<Vec<u32>>>, _: &mut Self::Context) {
            mail.open().send(self.1.clone()).expect("the test waits");
        }
    }

    #[actix::test]
    async fn the_bound_holds_for_every_clone() {
        let (open, gate) = oneshot::channel();
        let mailbox = Mailbox::new(Slow(Some(gate), Vec::new()).start(), 3);
        let mut taken = 0;
        for n in 0..20 {
            match mailbox.clone().post(n) {
                Ok(()) => taken += 1,
                Err(no) => assert_eq!(no, Undelivered::Full(n)),
            }
        }
        assert_eq!((taken, mailbox.depth()), (3, 3), "nothing was handled yet: this thread has not yielded");
        open.send(()).expect("the actor waits");
        let (reply, answer) = oneshot::channel();
        mailbox.deliver(reply).await.map_err(|_| "closed").expect("delivered when there is a place");
        assert_eq!(answer.await.expect("an answer"), [0, 1, 2]);
    }
}
