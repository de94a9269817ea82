//! A way to send one kind of message to an actor whose type the sender does not know.
//!
//! A worker that scores windows replies to whoever sent them. With a [`Mailbox`] it would have to name that actor, and the
//! actor names the worker: a circle. A `ReplyTo<M>` names the message only.
//!
//! ```
//! # use actix::{Actor, Context, Handler};
//! # use volute_runtime::{Envelope, Mailbox, Message, ReplyTo, TrySendError};
//! struct Score(f64);
//! impl Message for Score {}
//!
//! fn work(reply_to: &ReplyTo<Score>) -> Result<(), TrySendError<Score>> {
//!     reply_to.try_send(Score(0.5))
//! }
//!
//! # struct Device;
//! # impl Actor for Device { type Context = Context<Self>; }
//! # impl Handler<Envelope<Score>> for Device {
//! #     type Result = ();
//! #     fn handle(&mut self, _: Envelope<Score>, _: &mut Self::Context) {}
//! # }
//! fn of_device(mailbox: Mailbox<Device>) -> ReplyTo<Score> {
//!     ReplyTo::from(mailbox)
//! }
//! ```
//!
//! It shares the capacity of the mailbox that it was made of. Does not wait for a reply: what is replied is a message like
//! any other.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix::{Actor, Context, Handler, dev::MessageResponse};

use crate::{
    mailbox::{Mailbox, TrySendError},
    message::{Envelope, Message},
};

/// Sends messages of one type to some actor. Cheap to clone.
pub struct ReplyTo<M>(Arc<dyn Port<M>>);

/// What a mailbox does, for one type of message.
trait Port<M>: Send + Sync {
    fn try_send(&self, message: M) -> Result<(), TrySendError<M>>;
    fn send(self: Arc<Self>, message: M) -> Pin<Box<dyn Future<Output = Result<(), TrySendError<M>>> + Send>>;
    fn is_failed(&self) -> bool;
}

impl<A, M> Port<M> for Mailbox<A>
where
    A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
    M: Message,
    (): MessageResponse<A, Envelope<M>>,
{
    fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        Mailbox::try_send(self, message)
    }

    fn send(self: Arc<Self>, message: M) -> Pin<Box<dyn Future<Output = Result<(), TrySendError<M>>> + Send>> {
        Box::pin(async move { Mailbox::send(&self, message).await })
    }

    fn is_failed(&self) -> bool {
        Mailbox::is_failed(self)
    }
}

impl<M: Message> ReplyTo<M> {
    /// Sends a message if there is room for it.
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.0.try_send(message)
    }

    /// Sends a message, and waits for room if there is none. Never returns [`TrySendError::Full`].
    pub async fn send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.0.clone().send(message).await
    }

    /// Whether the actor is out of order until somebody restarts it.
    pub fn is_failed(&self) -> bool {
        self.0.is_failed()
    }
}

impl<A, M> From<Mailbox<A>> for ReplyTo<M>
where
    A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
    M: Message,
    (): MessageResponse<A, Envelope<M>>,
{
    fn from(mailbox: Mailbox<A>) -> Self {
        Self(Arc::new(mailbox))
    }
}

impl<M> Clone for ReplyTo<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for ReplyTo<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<Self>())
    }
}
