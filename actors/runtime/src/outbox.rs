//! Sends an actor's messages in order, and waits while the receiver's inbox is full.
//!
//! actix runs the futures that an actor waits for (`ctx.wait`) last in, first out. If each message waited for a permit
//! in a future of its own, two messages would arrive in reverse order, and a third that finds a free permit would
//! overtake both. So an actor has one outbox. The first message that finds its inbox full waits in the outbox, all
//! later messages queue behind it, and a single `ctx.wait` sends them.
//!
//! An example: an actor sends two results and a checkpoint from one handler, and the receiver's inbox is full.
//!
//! 1. Result 1 finds no permit and waits in the outbox.
//! 2. Result 2 and the checkpoint queue behind it, even if a permit is free by now.
//! 3. The actor handles nothing else until all three are sent, in this order.
//!
//! A suspended actor handles no message, so an outbox holds at most the messages of one handler call. An outbox belongs
//! to one incarnation. A requested restart waits until the outbox is empty. A panic loses the messages in it.
//!
//! Does not define an order between messages of different actors.

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
    inbox::{Address, TrySendError},
    message::{Envelope, Message},
};

/// The messages of one actor that wait for a permit.
#[derive(Clone, Default)]
pub struct Outbox(Rc<RefCell<VecDeque<QueuedSend>>>);

/// A send, or work to do after the sends before it.
type QueuedSend = Pin<Box<dyn Future<Output = ()>>>;

impl Outbox {
    /// Sends a message after all messages that wait in the outbox. The actor of `ctx` is suspended while a message
    /// waits.
    pub fn send_or_suspend<M, A, S>(&self, address: &Address<A>, message: M, ctx: &mut Context<S>)
    where
        S: Actor<Context = Context<S>>,
        A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        let Some(message) = self.try_send(address, message) else { return };
        let address = address.clone();
        // A message to a stopped actor is dropped.
        self.then(async move { drop(address.send(message).await) }, ctx);
    }

    /// Sends a message if no other message waits and a permit is free. Returns the message if it has to wait.
    pub fn try_send<M, A>(&self, address: &Address<A>, message: M) -> Option<M>
    where
        A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
        M: Message,
        (): MessageResponse<A, Envelope<M>>,
    {
        if !self.0.borrow().is_empty() {
            return Some(message);
        }
        match address.try_send(message) {
            Err(TrySendError::Full(message)) => Some(message),
            Ok(()) | Err(TrySendError::Closed) => None,
        }
    }

    /// Runs `step` after all messages and steps that wait. The actor of `ctx` is suspended until `step` is done.
    pub fn then<S: Actor<Context = Context<S>>>(&self, step: impl Future<Output = ()> + 'static, ctx: &mut Context<S>) {
        let mut steps = self.0.borrow_mut();
        steps.push_back(Box::pin(step));
        if steps.len() > 1 {
            // The actor is already suspended.
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
    async fn messages_arrive_in_the_order_in_which_one_handler_sends_them() {
        let supervisor = supervisor(5);
        let (to, from) = (Toy::start(&supervisor, "to", 2), Toy::start(&supervisor, "from", 20));
        let (release, released) = oneshot::channel();
        to.hold(released).await;
        to.post(1);
        to.post(2);
        let (full, large) = (to.address.clone(), to.large_address.clone());
        let ((queued, all_queued), (sent, all_sent)) = (oneshot::channel(), oneshot::channel());
        from.run(move |toy, ctx| {
            for result in 3..=5 {
                toy.outbox.send_or_suspend(&full, result, ctx);
            }
            // This address has a free permit, but the checkpoint must not overtake the results.
            let checkpoint = 6;
            toy.outbox.send_or_suspend(&large, checkpoint, ctx);
            toy.outbox.then(async move { sent.send(()).expect("the test waits") }, ctx);
            queued.send(()).expect("the test waits");
        });
        from.post(9);
        all_queued.await.expect("the actor runs it");
        assert_eq!(from.address.inbox_depth(), 1, "the actor handles nothing else until they are sent");
        release.send(()).expect("the actor waits");
        assert_eq!(to.received(6).await, [1, 2, 3, 4, 5, 6]);
        all_sent.await.expect("the step runs after the last message");
        assert_eq!(from.received(1).await, [9]);

        // With an empty outbox, a message is sent at once.
        let large = to.large_address.clone();
        from.run(move |toy, ctx| toy.outbox.send_or_suspend(&large, 7, ctx));
        assert_eq!(to.received(7).await.last(), Some(&7));
        supervisor.stop();
    }
}
