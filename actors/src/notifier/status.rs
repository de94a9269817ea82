//! How the notifications are: how many wait, and whether the servers take them.

use std::sync::Arc;

use parking_lot::RwLock;
use volute_plant::Timestamp;

/// After this time without success the node's health says that notifications fail, in milliseconds: ten minutes.
const REPORTED_AFTER_MS: i64 = 600_000;

/// The messages of one medium since the node's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediumStatus {
    /// How many wait now.
    pub waiting: usize,
    /// How many were sent.
    pub sent: u64,
    /// How many of these may have been sent twice.
    pub possibly_repeated: u64,
    /// How many were given up.
    pub given_up: u64,
    /// Since when no attempt has succeeded; none if the last one did.
    pub failing_since: Option<Timestamp>,
    /// Why the last attempt failed; empty if it did not.
    pub error: String,
}

/// The state of the notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotificationStatus {
    /// E-mails.
    pub email: MediumStatus,
    /// Calls of the webhook.
    pub webhook: MediumStatus,
}

impl NotificationStatus {
    /// Returns what does not work, for the node's health.
    pub(crate) fn problem(&self, now: Timestamp) -> Option<String> {
        let of_medium = |what: &str, status: &MediumStatus| {
            let since = status.failing_since?;
            let is_long = now.since_ms(since) >= REPORTED_AFTER_MS;
            let waiting = status.waiting;
            is_long.then(|| format!("{what} are not sent since {since}, {waiting} wait: {}", status.error))
        };
        of_medium("e-mails", &self.email).or_else(|| of_medium("webhook calls", &self.webhook))
    }
}

/// The state, shared with the engine's handle. None without notifications. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedNotificationStatus(Arc<RwLock<Option<NotificationStatus>>>);

impl SharedNotificationStatus {
    pub(crate) fn get(&self) -> Option<NotificationStatus> {
        self.0.read().clone()
    }

    pub(super) fn set(&self, status: NotificationStatus) {
        *self.0.write() = Some(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_problem_is_reported_after_ten_minutes() {
        let failing = MediumStatus {
            waiting: 3,
            failing_since: Some(at(0)),
            error: "connection refused".into(),
            ..MediumStatus::default()
        };
        let status = NotificationStatus { email: failing, ..NotificationStatus::default() };
        assert_eq!(status.problem(at(599)), None);
        let problem = status.problem(at(600)).expect("a problem");
        assert!(
            problem.starts_with("e-mails are not sent since ") && problem.ends_with(", 3 wait: connection refused")
        );
    }
}
