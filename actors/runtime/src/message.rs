//! What actors are sent, and how they get it.

use std::sync::Arc;

/// What a message is about, as a device's id: shown where messages are listed.
pub type Subject = Arc<str>;

/// What can be sent to an actor.
pub trait Message: Send + 'static {
    /// Whether it waits for an actor that is out of order until somebody restarts it. Other messages are refused then.
    const SURVIVES_FAILURE: bool = false;

    /// What it is about.
    fn subject(&self) -> Option<Subject> {
        None
    }
}

/// A message as its actor's [`Handler`] gets it.
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
