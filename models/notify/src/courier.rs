//! What sends deliveries. The crate `volute-courier` has those for SMTP and webhooks; a test has its own.

use std::{fmt, sync::Arc};

use crate::{Delivery, Outcome, Receiver};

/// Sends deliveries of one kind of receiver.
pub trait Courier: Send + Sync {
    /// Sends a delivery and waits for the answer, for a bounded time. Called on a thread that may block.
    fn send(&self, delivery: &Delivery) -> Outcome;
}

/// The couriers of a node.
#[derive(Clone, Default)]
pub struct Couriers {
    /// Sends e-mails.
    pub email: Option<Arc<dyn Courier>>,
    /// Calls the webhook.
    pub webhook: Option<Arc<dyn Courier>>,
}

impl Couriers {
    /// Returns the courier for a receiver, if there is one.
    pub fn of(&self, receiver: &Receiver) -> Option<Arc<dyn Courier>> {
        match receiver {
            Receiver::Email(_) => self.email.clone(),
            Receiver::Webhook => self.webhook.clone(),
        }
    }
}

impl fmt::Debug for Couriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Couriers")
            .field("email", &self.email.is_some())
            .field("webhook", &self.webhook.is_some())
            .finish()
    }
}
