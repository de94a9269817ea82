//! Messages: each is to one receiver, about one or more subjects.

use serde::{Deserialize, Serialize};
use volute_alarm::Priority;
use volute_plant::{PumpId, Timestamp};

use crate::Subject;

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// An alarm was raised, or a maintenance event opened.
    Raised,
    /// Nobody has acknowledged it yet.
    Reminder,
    /// Nobody has acknowledged it for long.
    Escalation,
    /// Its condition is over.
    Returned,
    /// Messages of a pump were held back.
    HeldBack,
    /// What happened at lower priorities.
    Digest,
    /// A person wants to see whether messages arrive.
    Test,
}

impl MessageKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Raised, Self::Reminder, Self::Escalation, Self::Returned, Self::HeldBack, Self::Digest, Self::Test];

    /// Returns its name in the store, in webhook calls and, with `-` in place of `_`, of its template.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Reminder => "reminder",
            Self::Escalation => "escalation",
            Self::Returned => "returned",
            Self::HeldBack => "held_back",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "by", content = "to", rename_all = "snake_case")]
pub enum Receiver {
    /// An address of e-mail.
    Email(String),
    /// The webhook.
    Webhook,
}

impl Receiver {
    /// Returns it as text: the address, or `webhook`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(address) => address,
            Self::Webhook => "webhook",
        }
    }
}

/// One thing that a message tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What happened.
    pub kind: MessageKind,
    /// When it happened, by the node's clock.
    pub at: Timestamp,
    /// What it is about; none for a test, and for what was held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The occurrence of the alarm; 0 for anything else.
    pub occurrence: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// What is wrong.
    pub title: String,
    /// What to do about it.
    pub help: String,
    /// The value against the limit, or what was held back; empty if there is nothing to say.
    pub detail: String,
}

impl Line {
    /// Returns the pump that it is about; none for the node itself.
    pub fn pump(&self) -> Option<&PumpId> {
        self.subject.as_ref().and_then(Subject::pump)
    }
}

/// A message to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The same for the same occurrence, kind and receiver, for ever.
    pub id: String,
    /// Why it is sent.
    pub kind: MessageKind,
    /// When it was decided to send it, by the node's clock.
    pub at: Timestamp,
    /// When it may be sent first, because of quiet hours.
    pub not_before: Timestamp,
    /// Who gets it.
    pub to: Receiver,
    /// The pump, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pump: Option<PumpId>,
    /// How urgent it is: as its most urgent line.
    pub priority: Priority,
    /// What it tells. Never empty.
    pub lines: Vec<Line>,
}
