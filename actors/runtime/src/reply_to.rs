//! Sends messages of one type to an actor whose type the sender does not know.
//!
//! For example, a worker that scores windows replies to the actor that sent them. With a [`Mailbox`] the worker would
//! depend on that actor's type, which depends on the worker's type: a cycle. A `ReplyTo<M>` depends on the message type
//! only.
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
//! A `ReplyTo` shares the capacity of the mailbox that it is made from. Does not match replies to requests; a reply is
//! a message like any other.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix::{Actor, Context, Handler, dev::MessageResponse};

use crate::{
    mailbox::{Mailbox, TrySendError},
    message::{Envelope, Message},
};

/// Sends messages of type `M` to an actor. Cheap to clone.
pub struct ReplyTo<M>(Arc<dyn ErasedMailbox<M>>);

/// A mailbox without its actor's type, for one message type.
trait ErasedMailbox<M>: Send + Sync {
    fn try_send(&self, message: M) -> Result<(), TrySendError<M>>;
    fn send(self: Arc<Self>, message: M) -> Pin<Box<dyn Future<Output = Result<(), TrySendError<M>>> + Send>>;
    fn is_failed(&self) -> bool;
}

impl<A, M> ErasedMailbox<M> for Mailbox<A>
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
    /// Sends a message if the mailbox has a free permit.
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.0.try_send(message)
    }

    /// Sends a message. Waits for a permit if none is free. Never returns [`TrySendError::Full`].
    pub async fn send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.0.clone().send(message).await
    }

    /// Returns whether the actor has failed and stays down until a restart is requested.
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
