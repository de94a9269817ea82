//! Checks the node's clock against the last time at which it was plausible.
//!
//! A wrong clock does permanent damage. A clock that is 500 days ahead makes all history exceed its retention. A clock
//! that starts in 1970, because its battery is empty and no network time has arrived yet, puts every device's time in
//! the future. The node would reject these readings, and their gateways would discard them. An example:
//!
//! | clock | last plausible | result | effect |
//! | --- | --- | --- | --- |
//! | 2026-11-29 10:00 | 2026-11-29 09:59 | plausible | becomes the last plausible time |
//! | 2026-11-29 09:55 | 2026-11-29 10:00 | plausible | a small step back; the last plausible time stays |
//! | 2000-01-01 00:00 | 2026-11-29 10:00 | behind | until the clock is plausible again |
//! | 2028-04-12 10:00 | 2026-11-29 10:00 | ahead | until an operator confirms it, or the clock is plausible again |
//! | 2026-11-29 10:05 | 2026-11-29 10:00 | plausible | the clock was corrected |
//!
//! A node that was off for longer than [`ClockCheck::MAX_AHEAD_MS`] also starts as ahead: only an operator can
//! distinguish that from a wrong clock. Until the operator confirms the clock, the node accepts readings with a device
//! time, and deletes nothing.
//!
//! While the clock is not plausible, no permanent decision depends on it: see [`ClockState::can_validate`].
//!
//! A clock that is ahead by at most [`ClockCheck::MAX_AHEAD_MS`] cannot be distinguished from the clock of a node that
//! was off for some days. So retention follows the clock slowly ([`RetentionClock`]). If the clock is three days ahead
//! for ten minutes, only the oldest 100 minutes of history are deleted, not three days.
//!
//! Does not detect a clock that lost time while the node was off, as long as it shows a time after the last plausible
//! one. Does not store the last plausible time; the owner of the check does.

use std::time::Duration;

use crate::{Timestamp, TimestampSource};

/// The result of checking the node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// The clock is plausible.
    Plausible,
    /// The clock is before a time that has passed already.
    Behind {
        /// The last plausible time.
        last_plausible: Timestamp,
    },
    /// The clock is so far after the last plausible time that it may be wrong.
    Ahead {
        /// The last plausible time.
        last_plausible: Timestamp,
    },
}

impl ClockState {
    /// Whether a reading's time can be validated while the clock shows `now` and readings are kept from `oldest_kept`
    /// on.
    ///
    /// If not, the reading must not be rejected, since the clock may be at fault. A reading without a device time would
    /// get a wrong time for good.
    pub fn can_validate(self, stamp: TimestampSource, now: Timestamp, oldest_kept: Timestamp) -> bool {
        match (self, stamp) {
            (Self::Plausible, _) => true,
            (_, TimestampSource::Received) => false,
            // `oldest_kept` follows from the wrong `now`; it is moved by the difference from `now` to `last_plausible`.
            // The true time is not before that, so a reading that is accepted here may be too old by the true time.
            // Retention deletes it later.
            (Self::Behind { last_plausible }, TimestampSource::Device(at)) => {
                at <= now && at >= oldest_kept.plus_ms(last_plausible.since_ms(now))
            }
            (Self::Ahead { .. }, TimestampSource::Device(at)) => at >= oldest_kept,
        }
    }

    /// Returns a message about what is wrong with the clock, which shows `now`; none if it is plausible.
    pub fn reason(self, now: Timestamp) -> Option<String> {
        match self {
            Self::Plausible => None,
            Self::Behind { last_plausible } => Some(format!(
                "the node's clock says {now}, which is before {last_plausible}, a time that has passed already; readings without a \
                 time, and those of later times, are refused until the clock is set; if it is right: volute confirm-clock"
            )),
            Self::Ahead { last_plausible } => Some(format!(
                "the node's clock says {now}, {} days after it was last seen at {last_plausible}; readings without a time are \
                 refused and nothing is deleted for its age until somebody confirms the clock: volute confirm-clock",
                now.since_ms(last_plausible) / DAY_MS
            )),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// Checks the node's clock. Every time is passed in.
#[derive(Debug, Clone)]
pub struct ClockCheck {
    last_plausible: Option<Timestamp>,
}

impl ClockCheck {
    /// How far the clock may be behind the last plausible time: ten minutes, the highest value of `ingest.max_ahead_s`.
    pub const MAX_BEHIND_MS: i64 = 10 * 60 * 1000;
    /// How far the clock may be ahead of the last plausible time: a week.
    pub const MAX_AHEAD_MS: i64 = 7 * DAY_MS;
    /// The earliest plausible time: this version of Volute did not exist before it.
    pub const EARLIEST: Timestamp = Timestamp::VERSION_DATE;

    /// Creates a check with the last plausible time, if one is known.
    pub fn new(last_plausible: Option<Timestamp>) -> Self {
        Self { last_plausible }
    }

    /// Returns the last plausible time.
    pub fn last_plausible(&self) -> Option<Timestamp> {
        self.last_plausible
    }

    /// Checks the clock, which shows `now`. A plausible `now` becomes the last plausible time.
    pub fn observe(&mut self, now: Timestamp) -> ClockState {
        // A last plausible time before the earliest plausible one is ignored. Such a time can be stored while the clock
        // is wrong.
        let last_plausible = self
            .last_plausible
            .filter(|last_plausible| *last_plausible >= Self::EARLIEST)
            .unwrap_or(now)
            .max(Self::EARLIEST);
        let ahead_ms = now.since_ms(last_plausible);
        if ahead_ms < -Self::MAX_BEHIND_MS {
            return ClockState::Behind { last_plausible };
        }
        if ahead_ms > Self::MAX_AHEAD_MS {
            return ClockState::Ahead { last_plausible };
        }
        self.last_plausible = Some(last_plausible.max(now));
        ClockState::Plausible
    }

    /// Records that an operator confirms the clock. Returns the state after that: behind if `now` is before
    /// [`Self::EARLIEST`].
    pub fn confirm(&mut self, now: Timestamp) -> ClockState {
        self.last_plausible = Some(now);
        self.observe(now)
    }
}

/// The time from which retention is measured. It follows the node's clock, but runs at most [`Self::CATCH_UP_FACTOR`]
/// times as fast as real time. Every time is passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionClock {
    at: Timestamp,
}

impl RetentionClock {
    /// How many times as fast as real time it may run. After a node was off for a weekend, it takes six hours to delete
    /// what exceeded its retention in that time.
    pub const CATCH_UP_FACTOR: i64 = 10;

    /// Creates a clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self { at }
    }

    /// Returns its time.
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// Moves towards the node's clock, which shows `now` and is plausible, `elapsed` after the previous call.
    pub fn advance(&mut self, now: Timestamp, elapsed: Duration) {
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        self.at = now.min(self.at.plus_ms(elapsed_ms.saturating_mul(Self::CATCH_UP_FACTOR)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_867_200_000;
    const MINUTE_MS: i64 = 60_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(NOON + ms).expect("a time")
    }

    fn behind(last_plausible: Timestamp) -> ClockState {
        ClockState::Behind { last_plausible }
    }

    fn ahead(last_plausible: Timestamp) -> ClockState {
        ClockState::Ahead { last_plausible }
    }

    #[test]
    fn a_time_is_checked_against_the_last_plausible_one() {
        let first: Timestamp = "2000-01-01T00:00:00Z".parse().expect("a time");
        let earliest = ClockCheck::EARLIEST;
        for (last_plausible, now, expected, last_after) in [
            (None, at(0), ClockState::Plausible, Some(at(0))),
            (Some(at(0)), at(1000), ClockState::Plausible, Some(at(1000))),
            (Some(at(0)), at(0), ClockState::Plausible, Some(at(0))),
            (Some(at(0)), at(-2000), ClockState::Plausible, Some(at(0))),
            (Some(at(0)), at(-10 * MINUTE_MS), ClockState::Plausible, Some(at(0))),
            (Some(at(0)), at(-10 * MINUTE_MS - 1), behind(at(0)), Some(at(0))),
            (Some(at(0)), first, behind(at(0)), Some(at(0))),
            (Some(at(0)), at(7 * DAY_MS), ClockState::Plausible, Some(at(7 * DAY_MS))),
            (Some(at(0)), at(7 * DAY_MS + 1), ahead(at(0)), Some(at(0))),
            (Some(at(0)), at(500 * DAY_MS), ahead(at(0)), Some(at(0))),
            // No time is known: a new node, or one whose store cannot be read.
            (None, first, behind(earliest), None),
            (None, earliest, ClockState::Plausible, Some(earliest)),
            (None, at(500 * DAY_MS), ClockState::Plausible, Some(at(500 * DAY_MS))),
            (Some(first), earliest, ClockState::Plausible, Some(earliest)),
            (Some(first), at(0), ClockState::Plausible, Some(at(0))),
            (Some(first), first, behind(earliest), Some(first)),
        ] {
            let mut check = ClockCheck::new(last_plausible);
            assert_eq!(check.observe(now), expected, "{now} after {last_plausible:?}");
            assert_eq!(check.last_plausible(), last_after, "{now} after {last_plausible:?}");
        }
    }

    #[test]
    fn a_wrong_clock_has_no_effect_once_it_is_corrected() {
        let mut check = ClockCheck::new(Some(at(0)));
        for (now, expected) in [
            (at(1000), ClockState::Plausible),
            (at(500 * DAY_MS), ahead(at(1000))),
            (at(500 * DAY_MS + 5000), ahead(at(1000))),
            (at(6000), ClockState::Plausible),
            (at(-DAY_MS), behind(at(6000))),
            (at(-DAY_MS + 5000), behind(at(6000))),
            (at(7000), ClockState::Plausible),
        ] {
            assert_eq!(check.observe(now), expected, "{now}");
        }
    }

    #[test]
    fn an_operator_can_confirm_the_clock() {
        for now in [at(90 * DAY_MS), at(-DAY_MS)] {
            let mut check = ClockCheck::new(Some(at(0)));
            assert_ne!(check.observe(now), ClockState::Plausible);
            assert_eq!(check.confirm(now), ClockState::Plausible);
            assert_eq!(check.observe(now.plus_ms(1000)), ClockState::Plausible);
        }
        let first: Timestamp = "2000-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(
            ClockCheck::new(Some(at(0))).confirm(first),
            behind(ClockCheck::EARLIEST),
            "a time before the earliest one cannot be confirmed"
        );
    }

    #[test]
    fn which_times_can_be_validated_by_an_implausible_clock() {
        let (now, oldest_kept) = (at(0), at(-400 * DAY_MS));
        let (behind, ahead) = (behind(at(DAY_MS)), ahead(at(-500 * DAY_MS)));
        for (state, stamp, expected) in [
            (ClockState::Plausible, TimestampSource::Received, true),
            (ClockState::Plausible, TimestampSource::Device(at(DAY_MS)), true),
            (ClockState::Plausible, TimestampSource::Device(at(-500 * DAY_MS)), true),
            (behind, TimestampSource::Received, false),
            (behind, TimestampSource::Device(at(1)), false),
            (behind, TimestampSource::Device(at(0)), true),
            (behind, TimestampSource::Device(at(-399 * DAY_MS)), true),
            (behind, TimestampSource::Device(at(-399 * DAY_MS - 1)), false),
            (behind, TimestampSource::Device(at(-500 * DAY_MS)), false),
            (ahead, TimestampSource::Received, false),
            (ahead, TimestampSource::Device(at(1)), true),
            (ahead, TimestampSource::Device(at(-400 * DAY_MS)), true),
            (ahead, TimestampSource::Device(at(-400 * DAY_MS - 1)), false),
        ] {
            assert_eq!(state.can_validate(stamp, now, oldest_kept), expected, "{state:?}, {stamp:?}");
        }
    }

    #[test]
    fn retention_follows_a_step_slowly_and_a_steady_clock_at_once() {
        let minute = Duration::from_secs(60);
        let mut clock = RetentionClock::new(at(0));
        for (now, elapsed, expected) in [
            (at(MINUTE_MS), minute, at(MINUTE_MS)),
            (at(MINUTE_MS), Duration::ZERO, at(MINUTE_MS)),
            // Three days ahead, for ten minutes.
            (at(3 * DAY_MS), minute, at(11 * MINUTE_MS)),
            (at(3 * DAY_MS + 9 * MINUTE_MS), 9 * minute, at(101 * MINUTE_MS)),
            // The clock is corrected: nothing newer than it is deleted.
            (at(12 * MINUTE_MS), minute, at(12 * MINUTE_MS)),
            (at(13 * MINUTE_MS), minute, at(13 * MINUTE_MS)),
            (at(7 * DAY_MS), Duration::MAX, at(7 * DAY_MS)),
        ] {
            clock.advance(now, elapsed);
            assert_eq!(clock.at(), expected, "{now} after {elapsed:?}");
        }
    }
}
