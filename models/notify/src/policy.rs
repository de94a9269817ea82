//! Who gets what: recipients with the lowest priority that each wants, quiet hours, and the times of reminders.
//!
//! An example: low alarms are quiet from 22:00 to 06:00. One that is raised at 23:00 is in the first digest after 06:00.

use std::collections::BTreeMap;

use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;
use volute_alarm::Priority;
use volute_plant::Timestamp;

/// The minutes of a day.
const DAY_MIN: u32 = 24 * 60;

/// Who is notified of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// E-mails; none if none are sent.
    pub email: Option<EmailPolicy>,
    /// The lowest priority that the webhook is called for; none if there is no webhook.
    pub webhook_from: Option<Priority>,
    /// Alarms of this priority and above are sent by e-mail at once, and reminded of. Lower ones are in the digest.
    pub at_once: Priority,
    /// How long a line of the digest waits, in milliseconds.
    pub digest_after_ms: i64,
    /// The time to the first reminder and between two, in milliseconds.
    pub remind_after_ms: i64,
    /// The maximum number of reminders of one occurrence.
    pub reminders: u32,
    /// The time to the escalation, in milliseconds.
    pub escalate_after_ms: i64,
    /// The maximum number of messages per pump and hour, for e-mail and for the webhook.
    pub max_per_pump_and_hour: usize,
    /// The hours in which nothing is sent, by priority.
    pub quiet: BTreeMap<Priority, QuietHours>,
    /// The time zone of quiet hours and of times in e-mails.
    pub zone: Tz,
}

/// Who gets e-mails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmailPolicy {
    /// Everybody who gets alarms.
    pub recipients: Vec<Recipient>,
    /// Who gets escalations.
    pub escalate_to: Vec<String>,
}

/// One who gets e-mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The lowest priority that the recipient is notified of.
    pub from: Priority,
}

/// A part of each day, in minutes after midnight. If it ends before it begins, it lasts over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from_min: u32,
    to_min: u32,
}

impl QuietHours {
    /// What is allowed, for error messages.
    pub const ALLOWED: &'static str = r#"a part of the day, as "22:00-06:00""#;

    /// Parses `22:00-06:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let is_number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let (hour, minute): (u32, u32) =
                (is_number(hour) && is_number(minute)).then(|| Some((hour.parse().ok()?, minute.parse().ok()?)))??;
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-')?;
        let (from_min, to_min) = (minute(from)?, minute(to)?);
        (from_min != to_min).then_some(Self { from_min, to_min })
    }

    /// Returns the end of the quiet hours that `now` is in; none if it is in none.
    fn end(self, now: Timestamp, zone: Tz) -> Option<Timestamp> {
        let local = local(now, zone)?;
        let minute = local.hour() * 60 + local.minute();
        let length = (self.to_min + DAY_MIN - self.from_min) % DAY_MIN;
        let is_quiet = (minute + DAY_MIN - self.from_min) % DAY_MIN < length;
        let left_min = i64::from((self.to_min + DAY_MIN - minute) % DAY_MIN);
        let past_ms = i64::from(local.second()) * 1_000 + now.millis().rem_euclid(1_000);
        is_quiet.then(|| now.plus_ms(left_min * 60_000 - past_ms))
    }
}

impl Policy {
    /// Returns whether anything is sent at all.
    pub fn is_on(&self) -> bool {
        self.email.is_some() || self.webhook_from.is_some()
    }

    /// Returns until when messages of a priority wait; none if they need not.
    pub fn quiet_until(&self, priority: Priority, now: Timestamp) -> Option<Timestamp> {
        self.quiet.get(&priority).and_then(|hours| hours.end(now, self.zone))
    }

    /// Returns a time as people read it, in the policy's time zone.
    pub fn readable(&self, at: Timestamp) -> String {
        match local(at, self.zone) {
            Some(local) => local.format("%Y-%m-%d %H:%M:%S %Z").to_string(),
            None => at.to_string(),
        }
    }
}

fn local(at: Timestamp, zone: Tz) -> Option<DateTime<Tz>> {
    DateTime::<Utc>::from_timestamp_millis(at.millis()).map(|utc| utc.with_timezone(&zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_a_part_of_the_day() {
        for bad in ["", "22-06", "22:00", "22:00-22:00", "24:00-06:00", "22:60-06:00", "+2:00-06:00", "2:00-06:00"] {
            assert_eq!(QuietHours::parse(bad), None, "{bad}");
        }
        let hours = QuietHours::parse("22:00-06:00").expect("over midnight");
        let zone = chrono_tz::Asia::Kolkata;
        let end = |at: &str| hours.end(at.parse().expect("a time"), zone).map(|end| end.to_string());
        assert_eq!(end("2026-03-09T21:59:59+05:30"), None);
        assert_eq!(end("2026-03-09T22:00:00+05:30").as_deref(), Some("2026-03-10T00:30:00.000Z"));
        assert_eq!(end("2026-03-10T05:59:30.5+05:30").as_deref(), Some("2026-03-10T00:30:00.000Z"));
        assert_eq!(end("2026-03-10T06:00:00+05:30"), None);
        let noon = QuietHours::parse("12:00-13:00").expect("within a day");
        assert!(noon.end("2026-03-09T12:30:00Z".parse().expect("a time"), chrono_tz::UTC).is_some());
        assert!(noon.end("2026-03-09T13:00:00Z".parse().expect("a time"), chrono_tz::UTC).is_none());
    }
}
