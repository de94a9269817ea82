//! An address for messages of one type, to an actor whose type the sender does not know.
//!
//! For example, a worker that scores windows replies to the actor that sent them. With an [`Address`] the worker would
//! depend on that actor's type, which depends on the worker's type: a cycle. A `Recipient<M>` depends on the message
//! type only, as in actix.
//!
//! ```
//! # use actix::{Actor, Context, Handler};
//! # use volute_runtime::{Envelope, Address, Message, Recipient, TrySendError};
//! struct Score(f64);
//! impl Message for Score {}
//!
//! fn work(reply_to: &Recipient<Score>) -> Result<(), TrySendError<Score>> {
//!     reply_to.try_send(Score(0.5))
//! }
//!
//! # struct Device;
//! # impl Actor for Device { type Context = Context<Self>; }
//! # impl Handler<Envelope<Score>> for Device {
//! #     type Result = ();
//! #     fn handle(&mut self, _: Envelope<Score>, _: &mut Self::Context) {}
//! # }
//! fn of_device(address: Address<Device>) -> Recipient<Score> {
//!     Recipient::from(address)
//! }
//! ```
//!
//! A `Recipient` shares the capacity of the address that it is made from. Does not match replies to requests; a reply is
//! a message like any other.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix::{Actor, Context, Handler, dev::MessageResponse};

use crate::{
    inbox::{Address, TrySendError},
    message::{Envelope, Message},
};

/// Sends messages of type `M` to an actor. Cheap to clone.
pub struct Recipient<M>(Arc<dyn ErasedAddress<M>>);

/// An address without its actor's type, for one message type.
trait ErasedAddress<M>: Send + Sync {
    fn try_send(&self, message: M) -> Result<(), TrySendError<M>>;
    fn send(self: Arc<Self>, message: M) -> Pin<Box<dyn Future<Output = Result<(), TrySendError<M>>> + Send>>;
    fn is_failed(&self) -> bool;
}

impl<A, M> ErasedAddress<M> for Address<A>
where
    A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
    M: Message,
    (): MessageResponse<A, Envelope<M>>,
{
    fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        Address::try_send(self, message)
    }

    fn send(self: Arc<Self>, message: M) -> Pin<Box<dyn Future<Output = Result<(), TrySendError<M>>> + Send>> {
        Box::pin(async move { Address::send(&self, message).await })
    }

    fn is_failed(&self) -> bool {
        Address::is_failed(self)
    }
}

impl<M: Message> Recipient<M> {
    /// Sends a message if a permit is free.
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

impl<A, M> From<Address<A>> for Recipient<M>
where
    A: Actor<Context = Context<A>> + Handler<Envelope<M>>,
    M: Message,
    (): MessageResponse<A, Envelope<M>>,
{
    fn from(address: Address<A>) -> Self {
        Self(Arc::new(address))
    }
}

impl<M> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<Self>())
    }
}
