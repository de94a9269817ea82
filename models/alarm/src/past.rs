//! Excursions of the past: what readings that came too late for an alarm show.
//!
//! A reading is *current* if its device time is within a minute of its receipt. Only current readings raise alarms:
//! nobody can act on what was. What the others show is recorded: "was above 8.5 mm/s from 10:02 to 10:05, learned at
//! 10:31". Readings may come in any order; those of one excursion become one record if they come together.

use serde::{Deserialize, Serialize};
use volute_plant::{PumpId, Timestamp};

use crate::AlarmId;

/// A time of the past in which an alarm's condition held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastExcursion {
    /// The pump; none for the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pump: Option<PumpId>,
    /// The alarm that would have been raised.
    pub alarm: AlarmId,
    /// The first reading that shows it, in device time.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// How many readings show it.
    pub readings: u64,
    /// The value that is furthest beyond the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// When the first of its readings was received, by the node's clock.
    pub learned_at: Timestamp,
    /// Whether it lasted for the on-delay, so that the alarm would have been raised.
    pub would_have_raised: bool,
}

/// An excursion that further readings may lengthen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenExcursion {
    from: Timestamp,
    to: Timestamp,
    readings: u64,
    peak: Option<f64>,
    limit: Option<f64>,
    learned_at: Timestamp,
    /// The time of the newest reading, by the node's steady clock.
    steady_ms: i64,
}

/// What a reading of the past says of an alarm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastValue {
    pub(crate) at: Timestamp,
    pub(crate) received: Timestamp,
    pub(crate) steady_ms: i64,
    pub(crate) value: Option<f64>,
    pub(crate) limit: Option<f64>,
    /// Whether a lower value is further beyond the limit.
    pub(crate) is_low: bool,
}

/// An excursion is complete if no reading has lengthened it for this time, in milliseconds.
const COMPLETE_AFTER_MS: i64 = 10_000;

impl OpenExcursion {
    pub(crate) fn new(value: &PastValue) -> Self {
        Self {
            from: value.at,
            to: value.at,
            readings: 1,
            peak: value.value,
            limit: value.limit,
            learned_at: value.received,
            steady_ms: value.steady_ms,
        }
    }

    /// Whether a reading at `at` belongs to it: within it, or at most `gap_ms` away.
    pub(crate) fn reaches(&self, at: Timestamp, gap_ms: i64) -> bool {
        self.from.since_ms(at) <= gap_ms && at.since_ms(self.to) <= gap_ms
    }

    /// Whether it ended before `at`.
    pub(crate) fn is_before(&self, at: Timestamp) -> bool {
        self.to < at
    }

    pub(crate) fn extend(&mut self, value: &PastValue) {
        self.from = self.from.min(value.at);
        self.to = self.to.max(value.at);
        self.readings += 1;
        self.steady_ms = value.steady_ms;
        self.peak = match (self.peak, value.value) {
            (Some(peak), Some(new)) if value.is_low => Some(peak.min(new)),
            (Some(peak), Some(new)) => Some(peak.max(new)),
            (peak, new) => peak.or(new),
        };
    }

    /// Whether it is complete, since its readings no longer come.
    pub(crate) fn is_complete(&self, steady_ms: i64) -> bool {
        steady_ms - self.steady_ms >= COMPLETE_AFTER_MS
    }

    pub(crate) fn finish(self, pump: Option<&PumpId>, alarm: &AlarmId, on_delay_ms: i64) -> PastExcursion {
        PastExcursion {
            pump: pump.cloned(),
            alarm: alarm.clone(),
            from: self.from,
            to: self.to,
            readings: self.readings,
            peak: self.peak,
            limit: self.limit,
            learned_at: self.learned_at,
            would_have_raised: self.to.since_ms(self.from) >= on_delay_ms,
        }
    }
}
