//! Messages to actors, and the envelope in which a handler receives them.

use std::sync::Arc;

/// What a message is about, for example a device's id. Shown in actor reports and dead letters.
pub type Subject = Arc<str>;

/// A type that can be sent to an actor.
pub trait Message: Send + 'static {
    /// Whether the inbox of a failed actor accepts and keeps this message until a restart is requested. Other messages
    /// are refused.
    const SURVIVES_FAILURE: bool = false;

    /// Returns what the message is about.
    fn subject(&self) -> Option<Subject> {
        None
    }
}

/// A message as its actor's [`Handler`](actix::Handler) receives it.
pub struct Envelope<M>(M);

impl<M> Envelope<M> {
    pub(crate) fn new(message: M) -> Self {
        Self(message)
    }

    /// Returns the message.
    pub fn into_inner(self) -> M {
        self.0
    }
}

impl<M> actix::Message for Envelope<M> {
    type Result = ();
}
