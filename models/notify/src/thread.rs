//! The thread of messages about one alarm or maintenance event: its state, and which messages were sent.

use serde::{Deserialize, Serialize};
use volute_alarm::Priority;
use volute_plant::{PumpId, Timestamp};

use crate::{Line, MessageKind, Subject};

/// The state of a subject's newest occurrence, the messages that were sent about it, and those that may be due later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// What it is about.
    pub subject: Subject,
    /// The newest row of the alarm that was taken into account; 0 for an event.
    pub seq: u64,
    /// When it changed last, by the node's clock.
    pub at: Timestamp,
    /// The newest occurrence; 0 for an event and before the first one.
    pub occurrence: u32,
    /// When that was announced.
    pub raised_at: Timestamp,
    /// How urgent it is.
    pub priority: Priority,
    /// What is wrong.
    pub title: String,
    /// What to do about it.
    pub help: String,
    /// The value against the limit.
    pub detail: String,
    /// Whether anybody has to acknowledge it.
    pub unacknowledged: bool,
    /// Whether its condition is over.
    pub returned: bool,
    /// Whether a message about its beginning was made, or a line of the next digest.
    pub told: bool,
    /// How many reminders there were.
    pub reminded: u32,
    /// When the last reminder was due.
    pub reminded_at: Timestamp,
    /// Whether it was escalated.
    pub escalated: bool,
}

impl Thread {
    /// Creates the thread of a subject before its first occurrence.
    pub(crate) fn new(subject: Subject, now: Timestamp) -> Self {
        Self {
            subject,
            seq: 0,
            at: now,
            occurrence: 0,
            raised_at: now,
            priority: Priority::Low,
            title: String::new(),
            help: String::new(),
            detail: String::new(),
            unacknowledged: false,
            returned: true,
            told: false,
            reminded: 0,
            reminded_at: now,
            escalated: false,
        }
    }

    /// Begins an occurrence.
    pub(crate) fn begin(&mut self, occurrence: u32, now: Timestamp) {
        self.occurrence = occurrence;
        (self.raised_at, self.reminded_at) = (now, now);
        (self.unacknowledged, self.returned, self.told, self.escalated) = (true, false, false, false);
        self.reminded = 0;
    }

    /// Returns what a message of this kind says about it.
    pub(crate) fn line(&self, kind: MessageKind, at: Timestamp) -> Line {
        Line {
            kind,
            at,
            subject: Some(self.subject.clone()),
            occurrence: self.occurrence,
            priority: self.priority,
            title: self.title.clone(),
            help: self.help.clone(),
            detail: self.detail.clone(),
        }
    }

    /// Returns the id of a message about the present occurrence, without its receiver.
    pub(crate) fn message_id(&self, kind: MessageKind) -> String {
        let pump = self.subject.pump().map_or("", PumpId::as_str);
        let number = if kind == MessageKind::Reminder { format!(" {}", self.reminded) } else { String::new() };
        let local = self.subject.local_id();
        format!("{pump}/{local}/{}@{}/{}{number}", self.occurrence, self.raised_at.millis(), kind.as_str())
    }
}
