//! Sends deliveries to real servers: e-mails by SMTP, and signed calls of a webhook.
//!
//! A courier says what is known of an attempt, because a message may be sent twice only if the answer to the first attempt
//! was lost. An example, an e-mail:
//!
//! ```text
//! connect, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA    any failure: not accepted; 5xx to RCPT or DATA: refused for good
//! the message and "."                                failure from here on: unknown, unless the server says why
//! 250                                                accepted
//! ```
//!
//! Passwords and the webhook's secret are in no error and in no debug output.
//!
//! Does not decide what is sent and when (`volute-notify`), and stores nothing.

mod email;
mod secret;
mod webhook;

pub use email::{EmailCourier, EmailSettings, EmailTls, is_address};
pub use secret::Secret;
pub use webhook::{SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookCourier, WebhookSettings, signature};

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct SettingsError {
    /// The key of the configuration.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl SettingsError {
    fn new(field: &'static str, reason: impl ToString) -> Self {
        Self { field, reason: reason.to_string() }
    }
}
