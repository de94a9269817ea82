//! Who is notified of what and when, and the delivery of each message, as plain state machines.
//!
//! An example: alarms of critical priority are sent at once, ops@example.com gets all e-mails, boss@example.com those of
//! escalations, and there is a webhook.
//!
//! ```text
//! 10:01:00  Planner::observe_alarm(row: raised, critical)   an e-mail to ops, and a webhook call
//! 10:31:00  Planner::tick                                   a reminder to ops and the webhook: nobody has acknowledged
//! 10:40:00  Planner::observe_alarm(row: acknowledged)       no message; no more reminders
//! 11:20:00  Planner::observe_alarm(row: returned)           "is over" to ops and the webhook
//! 11:25:00  Planner::observe_alarm(row: raised, low)        a webhook call, and a line of the next digest
//! 12:25:00  Planner::tick                                   the digest to ops
//! ```
//!
//! Each [`Message`] to one receiver becomes a [`Delivery`], which is stored before the first attempt to send it:
//!
//! ```text
//! queued ── begin ──▶ sending ── accepted ──▶ sent
//!   ▲                   │  └──── refused for good, or too old ──▶ failed
//!   └── not accepted ───┤
//!   └── answer lost ────┘      marked: the next attempt may be a repetition, and says so
//! ```
//!
//! The caller stores what [`Planner::take_changes`] returns together with the deliveries of the same step, in one record
//! of the journal. So a message is neither lost nor made twice by a kill. A row that the planner gets a second time does
//! nothing. After a restart a delivery that was being sent may have been accepted ([`Delivery::recover`]).
//!
//! The modules, the lowest layer first:
//!
//! ```text
//! policy      who gets what, quiet hours
//! subject     what messages are about
//! message     one message to one receiver
//! budget      the limit of messages per pump and hour, and the summary of those held back
//! thread      one alarm or maintenance event: its state, and which messages about it were sent
//! planner     all of them, and the digest: from rows and time to messages
//! delivery    a message on its way to one receiver
//! template    the text of an e-mail
//! render      a message as an e-mail or as the body of a webhook call
//! courier     what sends a delivery
//! ```
//!
//! Does no I/O and reads no clock: time is passed in. Does not decide when an alarm is raised (`volute-alarm`).

mod budget;
mod courier;
mod delivery;
mod message;
mod planner;
mod policy;
mod render;
mod subject;
mod template;
mod thread;

pub use budget::{Budget, HOUR_MS, Held};
pub use courier::{Courier, Couriers};
pub use delivery::{Delivery, DeliveryState, Outcome, RetryPolicy};
pub use message::{Line, Message, MessageKind, Receiver};
pub use planner::{Changes, MAX_DIGEST_LINES, Planner, Shared};
pub use policy::{EmailPolicy, Policy, QuietHours, Recipient};
pub use render::Renderer;
pub use subject::Subject;
pub use template::{Template, TemplateError, Templates, Text};
pub use thread::Thread;
