//! An actor's outgoing messages that must not be dropped, in the order in which it sends them.
//!
//! actix runs what an actor waits for (`ctx.wait`) last in, first out. Two messages that wait for room one by one would
//! arrive in reverse, and a third that finds room would pass both. So an actor has one outbox: the first message that
//! finds no room waits there, all that is sent later waits behind it, and a single `ctx.wait` sends them.
//!
//! An example: an actor sends two results and a checkpoint in one turn, and the receiver's mailbox is full.
//!
//! 1. Result 1 finds no room and waits in the outbox.
//! 2. Result 2 and the checkpoint go behind it, although there may be room by now.
//! 3. The actor handles nothing else until all three are sent, in this order.
//!
//! An actor that waits handles no message, so an outbox holds at most what one turn sends. It ends with its incarnation:
//! a restart on request comes after it is empty, a panic loses what waits there.
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

use crate::{
    mailbox::{Mailbox, TrySendError},
    message::{Envelope, Message},
};

/// One actor's messages that wait for room.
#[derive(Clone, Default)]
pub struct Outbox(Rc<RefCell<VecDeque<Step>>>);

/// A send, or what is done after one.
type Step = Pin<Box<dyn Future<Output = ()>>>;

impl Outbox {
    /// Sends a message behind all that waits. While something waits, the actor of `ctx` is suspended.
    pub fn send_or_suspend<M, A, S>(&self, mailbox: &Mailbox<A>, message: M, ctx: &mut Context<S>)
    where
        S: Actor<Context = Context<S>>,
        A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        let Some(message) = self.try_send(mailbox, message) else { return };
        let mailbox = mailbox.clone();
        // A message to an actor that is gone is not needed.
        self.then(async move { drop(mailbox.send(message).await) }, ctx);
    }

    /// Sends a message if nothing waits and there is room. Returns the message where it has to wait.
    pub fn try_send<M, A>(&self, mailbox: &Mailbox<A>, message: M) -> Option<M>
    where
        A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        if !self.0.borrow().is_empty() {
            return Some(message);
        }
        match mailbox.try_send(message) {
            Err(TrySendError::Full(message)) => Some(message),
            Ok(()) | Err(TrySendError::Closed) => None,
        }
    }

    /// Does `step` after all that waits. Until it is done, the actor of `ctx` is suspended.
    pub fn then<S: Actor<Context = Context<S>>>(&self, step: impl Future<Output = ()> + 'static, ctx: &mut Context<S>) {
        let mut steps = self.0.borrow_mut();
        steps.push_back(Box::pin(step));
        if steps.len() > 1 {
            // The actor waits already.
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

    use crate::tests::{Toy, supervisor};

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
            for result in 3..=5 {
                toy.outbox.send_or_suspend(&full, result, ctx);
            }
            // There is room for this one, and it holds what the others say.
            let checkpoint = 6;
            toy.outbox.send_or_suspend(&wide, checkpoint, ctx);
            toy.outbox.then(async move { done.send(()).expect("the test waits") }, ctx);
            sent.send(()).expect("the test waits");
        });
        from.post(9);
        all.await.expect("it has its turn");
        assert_eq!(from.mailbox.inbox_depth(), 1, "it handles nothing else until they are sent");
        open.send(()).expect("it waits");
        assert_eq!(to.seen(6).await, [1, 2, 3, 4, 5, 6]);
        end.await.expect("it is done after the last");
        assert_eq!(from.seen(1).await, [9]);

        // With nothing waiting, a message goes at once.
        let wide = to.wide.clone();
        from.act(move |toy, ctx| toy.outbox.send_or_suspend(&wide, 7, ctx));
        assert_eq!(to.seen(7).await.last(), Some(&7));
        supervisor.stop();
    }
}
