//! An actor's outgoing messages that must not be dropped, in the order in which it sends them.
//!
//! actix runs what an actor waits for (`ctx.wait`) last in, first out. So two messages that wait for room one by one
//! arrive in reverse, and a third that finds room passes both. An actor has one outbox instead: the first message for
//! which there is no room waits there, all that is sent later waits behind it, and a single `ctx.wait` delivers them.
//!
//! For example, a pump decides on two windows in one turn, and the recorder's mailbox is full:
//!
//! 1. Detection 1 finds no room and waits in the outbox.
//! 2. Detection 2 and the checkpoint go behind it, although there may be room by now.
//! 3. The pump handles nothing else until all three are delivered, in this order.
//!
//! An actor that waits handles no message, so an outbox holds at most what one turn sends. It ends with its actor. A
//! restart on request comes after it is empty; a panic loses what waits there, which is never durable by then.
//!
//! Does not order what different actors send.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
};

use actix::{Actor, AsyncContext, Context, Handler, dev::MessageResponse, fut::wrap_future};

use crate::mailbox::{Letter, Mail, Mailbox, Undelivered};

/// One actor's messages that wait for room.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Rc<RefCell<VecDeque<Step>>>);

/// A delivery, or what is done after one.
type Step = Pin<Box<dyn Future<Output = ()>>>;

impl Outbox {
    /// Sends a message behind all that waits. While something waits, the actor of `ctx` handles nothing else.
    pub(crate) fn send<M, A, S>(&self, mailbox: &Mailbox<A>, body: M, ctx: &mut Context<S>)
    where
        S: Actor<Context = Context<S>>,
        A: Actor<Context = Context<A>> + Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        let Some(body) = self.try_send(mailbox, body) else { return };
        let mailbox = mailbox.clone();
        // An actor that is gone needs no message.
        self.then(async move { drop(mailbox.deliver(body).await) }, ctx);
    }

    /// Sends a message if nothing waits and there is room. Returns it where it has to wait.
    pub(crate) fn try_send<M, A>(&self, mailbox: &Mailbox<A>, body: M) -> Option<M>
    where
        A: Actor<Context = Context<A>> + Handler<Mail<M>>,
        M: Letter,
        (): MessageResponse<A, Mail<M>>,
    {
        if !self.0.borrow().is_empty() {
            return Some(body);
        }
        match mailbox.post(body) {
            Err(Undelivered::Full(body)) => Some(body),
            Ok(()) | Err(Undelivered::Closed) => None,
        }
    }

    /// Does `step` after all that waits.
    pub(crate) fn then<S: Actor<Context = Context<S>>>(
        &self,
        step: impl Future<Output = ()> + 'static,
        ctx: &mut Context<S>,
    ) {
        let mut steps = self.0.borrow_mut();
        steps.push_back(Box::pin(step));
        if steps.len() > 1 {
            // A wait is under way.
            return;
        }
        let steps = self.0.clone();
        let emptied = poll_fn(move |task| {
            let mut steps = steps.borrow_mut();
            while let Some(first) = steps.front_mut() {
                ready!(first.as_mut().poll(task));
                steps.pop_front();
            }
            Poll::Ready(())
        });
        ctx.wait(wrap_future::<_, S>(emptied));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use crate::supervision::tests::{Toy, supervisor};

    #[actix::test]
    async fn messages_arrive_in_the_order_in_which_one_turn_sends_them() {
        let supervisor = supervisor(5);
        let (to, from) = (Toy::start(&supervisor, "to", 2), Toy::start(&supervisor, "from", 20));
        let (open, gate) = oneshot::channel();
        to.hold(gate).await;
        to.post(1);
        to.post(2);
        let (full, wide) = (to.mailbox.clone(), to.wide.clone());
        let ((sent, all), (done, end)) = (oneshot::channel(), oneshot::channel());
        from.act(move |toy, ctx| {
            for detection in 3..=5 {
                toy.outbox.send(&full, detection, ctx);
            }
            // There is room for this one, and it holds what the others say.
            let checkpoint = 6;
            toy.outbox.send(&wide, checkpoint, ctx);
            toy.outbox.then(async move { done.send(()).expect("the test waits") }, ctx);
            sent.send(()).expect("the test waits");
        });
        from.post(9);
        all.await.expect("it has its turn");
        assert_eq!(from.mailbox.depth_of_all(), 1, "it handles nothing else until they are delivered");
        open.send(()).expect("it waits");
        assert_eq!(to.seen(6).await, [1, 2, 3, 4, 5, 6]);
        end.await.expect("it is done after the last");
        assert_eq!(from.seen(1).await, [9]);

        // With nothing waiting, a message goes at once.
        let wide = to.wide.clone();
        from.act(move |toy, ctx| toy.outbox.send(&wide, 7, ctx));
        assert_eq!(to.seen(7).await.last(), Some(&7));
        supervisor.stop();
    }
}
