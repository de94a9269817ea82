//! `[notify]`, `[notify.email]` and `[notify.webhook]`: who is notified of alarms and maintenance events.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono_tz::Tz;
use serde::Deserialize;
use volute_alarm::Priority;
use volute_courier::EmailTls;
use volute_notify::QuietHours;

use super::values::{
    AddressList, MailServer, OptionalFile, hours, minutes, priorities, quiet_hours, seconds, text, whole,
};

/// When people are notified.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The lowest priority of which e-mails are sent at once.
    #[serde(deserialize_with = "text")]
    pub at_once: Priority,
    /// How long a line of the digest waits.
    #[serde(rename = "digest_min", deserialize_with = "minutes::<1, 10_080, _>")]
    pub digest: Duration,
    /// The time to the first reminder, and between two.
    #[serde(rename = "remind_min", deserialize_with = "minutes::<1, 10_080, _>")]
    pub remind: Duration,
    /// The maximum number of reminders.
    #[serde(deserialize_with = "whole::<0, 100, _>")]
    pub reminders: usize,
    /// The time to the escalation.
    #[serde(rename = "escalate_min", deserialize_with = "minutes::<1, 10_080, _>")]
    pub escalate: Duration,
    /// The maximum number of messages per pump and hour.
    #[serde(deserialize_with = "whole::<1, 1000, _>")]
    pub max_per_pump_and_hour: usize,
    /// Quiet hours by priority.
    #[serde(deserialize_with = "quiet_hours")]
    pub quiet: BTreeMap<Priority, QuietHours>,
    /// The time zone of quiet hours and of times in messages.
    #[serde(deserialize_with = "text")]
    pub time_zone: Tz,
    /// The pause after the first failed attempt.
    #[serde(rename = "retry_s", deserialize_with = "seconds::<1, 300, _>")]
    pub retry: Duration,
    /// After how long a message is given up.
    #[serde(rename = "give_up_hours", deserialize_with = "hours::<720, _>")]
    pub give_up: Duration,
    /// The folder with the plant's own templates.
    #[serde(deserialize_with = "text")]
    pub templates: Option<PathBuf>,
    /// `[notify.email]`
    pub email: NotifyEmail,
    /// `[notify.webhook]`
    pub webhook: NotifyWebhook,
}

/// E-mails.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyEmail {
    /// The server; none: no e-mails are sent.
    #[serde(deserialize_with = "text")]
    pub server: Option<MailServer>,
    /// How the connection is encrypted.
    #[serde(deserialize_with = "text")]
    pub tls: EmailTls,
    /// The user at the server; empty: no login.
    pub user: String,
    /// The file with the user's password.
    #[serde(deserialize_with = "text")]
    pub password_file: OptionalFile,
    /// The sender.
    pub from: String,
    /// The recipients, each with the lowest priority that it gets.
    #[serde(deserialize_with = "priorities")]
    pub to: BTreeMap<String, Priority>,
    /// The recipients of escalations.
    #[serde(deserialize_with = "text")]
    pub escalate_to: AddressList,
    /// The certificates of the authority that the server's certificate is of.
    #[serde(deserialize_with = "text")]
    pub ca_file: OptionalFile,
}

/// The webhook.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyWebhook {
    /// Its address; empty: there is none.
    pub url: String,
    /// The file with the secret that calls are signed with.
    #[serde(deserialize_with = "text")]
    pub secret_file: OptionalFile,
    /// The lowest priority that it is called for.
    #[serde(deserialize_with = "text")]
    pub from_priority: Priority,
    /// The certificates of the authority that the receiver's certificate is of.
    #[serde(deserialize_with = "text")]
    pub ca_file: OptionalFile,
}

impl Notify {
    /// Returns whether anybody is notified.
    pub fn is_on(&self) -> bool {
        self.email.server.is_some() || !self.webhook.url.is_empty()
    }
}
