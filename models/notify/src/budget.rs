//! Limits the messages per pump and hour. Messages beyond the limit are held back and counted. An hour later one summary
//! message names them.
//!
//! An example, with at most 4 per hour: P-7 sends three messages of low priority from 10:00 to 10:05; the last quarter, one
//! message, is kept for critical ones. Nine more low ones are held back. A critical one at 10:30 is sent. At 11:05 the
//! summary of the nine is due, and sent because the messages of 10:00 to 10:05 are more than an hour ago.
//!
//! The limit holds for each period of an hour, wherever it begins.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use volute_alarm::Priority;
use volute_plant::Timestamp;

/// The period of the limit, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// The maximum number of different titles that a summary names.
const MAX_TITLES: usize = 20;

/// The messages of one pump over one channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// When messages were made in the last hour, oldest first.
    times: VecDeque<Timestamp>,
    /// What was held back since the last summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
}

/// What was held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When the first of it was.
    pub since: Timestamp,
    /// How many messages.
    pub count: u64,
    /// The highest priority of them.
    pub priority: Priority,
    /// How many of each title; not all if there are many.
    pub titles: BTreeMap<String, u64>,
}

impl Budget {
    /// Returns whether a message may be sent, and counts it if so. Otherwise it is held back.
    pub(crate) fn take(&mut self, max: usize, priority: Priority, title: &str, now: Timestamp) -> bool {
        let reserve = if priority == Priority::Critical { 0 } else { (max / 4).max(1) };
        // With a limit of 1 nothing is reserved.
        let max = if max > 1 { max - reserve } else { max };
        if self.has_room(max, now) {
            self.times.push_back(now);
            return true;
        }
        let held = self.held.get_or_insert_with(|| Held { since: now, count: 0, priority, titles: BTreeMap::new() });
        held.count += 1;
        held.priority = held.priority.max(priority);
        if held.titles.len() < MAX_TITLES || held.titles.contains_key(title) {
            *held.titles.entry(title.to_owned()).or_default() += 1;
        }
        false
    }

    /// Returns the priority of the summary that is due and can be sent.
    pub(crate) fn summary_due(&mut self, max: usize, now: Timestamp) -> Option<Priority> {
        let (since, priority) = self.held.as_ref().map(|held| (held.since, held.priority))?;
        // A clock that was set back makes the summary due, rather than waiting for the old time.
        let is_due = now.since_ms(since) >= HOUR_MS || now < since;
        (is_due && self.has_room(max, now)).then_some(priority)
    }

    /// Returns what was held back and counts its summary as a message.
    pub(crate) fn take_summary(&mut self, now: Timestamp) -> Option<Held> {
        let held = self.held.take()?;
        self.times.push_back(now);
        Some(held)
    }

    /// Returns whether it says nothing any more.
    pub(crate) fn is_over(&mut self, now: Timestamp) -> bool {
        self.forget_old(now);
        self.times.is_empty() && self.held.is_none()
    }

    fn has_room(&mut self, max: usize, now: Timestamp) -> bool {
        self.forget_old(now);
        self.times.len() < max
    }

    fn forget_old(&mut self, now: Timestamp) {
        // Times of the future are those before the clock was set back.
        self.times.retain(|at| *at <= now && now.since_ms(*at) < HOUR_MS);
    }
}

impl Held {
    /// Returns how many of each title, as text.
    pub fn detail(&self) -> String {
        let mut parts: Vec<String> = self.titles.iter().map(|(title, count)| format!("{title}: {count}")).collect();
        let others = self.count - self.titles.values().sum::<u64>();
        if others > 0 {
            parts.push(format!("others: {others}"));
        }
        parts.join("; ")
    }
}
