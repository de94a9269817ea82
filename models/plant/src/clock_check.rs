//! Whether the node's clock can be believed: its time, held against the last time at which it was believed.
//!
//! A wrong clock does damage that stays. One that is 500 days ahead makes all history too old to be kept; one that
//! begins in 1970, because its battery is dead and the network's time has not come yet, makes every device look as if it
//! were in the future, and a gateway throws away for good what is refused for good. An example:
//!
//! | The clock says | Last believed | Judged | What follows |
//! | --- | --- | --- | --- |
//! | 2026-11-29 10:00 | 2026-11-29 09:59 | plausible | believed; it is the last believed time now |
//! | 2026-11-29 09:55 | 2026-11-29 10:00 | plausible | a small step back; the last believed time stays |
//! | 2000-01-01 00:00 | 2026-11-29 10:00 | behind | until it is plausible again, by itself |
//! | 2028-04-12 10:00 | 2026-11-29 10:00 | ahead | until a person confirms it, or it is plausible again |
//! | 2026-11-29 10:05 | 2026-11-29 10:00 | plausible | it was set right |
//!
//! A node that was off for longer than [`ClockCheck::AHEAD_MS`] is ahead too when it starts: nobody but a person can
//! tell that from a wrong clock. It goes on taking readings that say their own time, and deletes nothing until then.
//!
//! While the clock is not believed, nothing is judged by it that stays: see [`ClockState::can_date`].
//!
//! A clock that is ahead by less than that cannot be told from a node that was off for some days. What is deleted for its
//! age therefore follows the clock slowly ([`RetentionClock`]): a clock that was three days ahead for ten minutes has cost
//! the oldest 100 minutes of history, and not three days.
//!
//! Does not see a clock that is behind by no more than the node was off. Does not keep the last believed time beyond the
//! process; whoever uses it does.

use std::time::Duration;

use crate::{Timestamp, TimestampSource};

/// What is thought of the node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It is believed.
    Plausible,
    /// It is earlier than it can be.
    Behind {
        /// The last time at which it was believed.
        last: Timestamp,
    },
    /// It is so much later than it was that it may be wrong.
    Ahead {
        /// The last time at which it was believed.
        last: Timestamp,
    },
}

impl ClockState {
    /// Whether a reading's time can be judged, while the clock says `now` and readings are kept from `oldest_kept` on.
    ///
    /// If not, it must not be refused for good: the fault may be the clock's. Unstamped readings would get a wrong time
    /// for good.
    pub fn can_date(self, stamp: TimestampSource, now: Timestamp, oldest_kept: Timestamp) -> bool {
        match (self, stamp) {
            (Self::Plausible, _) => true,
            (_, TimestampSource::Received) => false,
            // The true time is no earlier than `last`: what is too old by that would be taken, and deleted later.
            (Self::Behind { last }, TimestampSource::Device(at)) => {
                at <= now && at >= oldest_kept.plus_ms(last.since_ms(now))
            }
            (Self::Ahead { .. }, TimestampSource::Device(at)) => at >= oldest_kept,
        }
    }

    /// What is wrong with the clock, which says `now`, for people; none if nothing is.
    pub fn reason(self, now: Timestamp) -> Option<String> {
        match self {
            Self::Plausible => None,
            Self::Behind { last } => Some(format!(
                "the node's clock says {now}, which is before {last}, a time that has passed already; readings without a \
                 time, and those of later times, are refused until the clock is set; if it is right: volute confirm-clock"
            )),
            Self::Ahead { last } => Some(format!(
                "the node's clock says {now}, {} days after it was last seen at {last}; readings without a time are \
                 refused and nothing is deleted for its age until somebody confirms the clock: volute confirm-clock",
                now.since_ms(last) / DAY_MS
            )),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// Judges the node's clock. Pure: every time is passed in.
#[derive(Debug, Clone)]
pub struct ClockCheck {
    last: Option<Timestamp>,
}

impl ClockCheck {
    /// How far behind the last believed time the clock may be: ten minutes, the most that `ingest.max_ahead_s` may be.
    pub const BEHIND_MS: i64 = 10 * 60 * 1000;
    /// How far ahead of the last believed time it may be: a week.
    pub const AHEAD_MS: i64 = 7 * DAY_MS;
    /// No node of this version can have run before.
    pub const EARLIEST: Timestamp = Timestamp::VERSION_DATE;

    /// With the last time at which the clock was believed, as far as is known.
    pub fn new(last: Option<Timestamp>) -> Self {
        Self { last }
    }

    /// The last time at which the clock was believed.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Judges the clock, which says `now`. A time that is believed is the last one from here on.
    pub fn observe(&mut self, now: Timestamp) -> ClockState {
        // A time before any that can be believed says nothing, as that of readings taken while the clock was wrong.
        let last = self.last.filter(|last| *last >= Self::EARLIEST).unwrap_or(now).max(Self::EARLIEST);
        let ahead_ms = now.since_ms(last);
        if ahead_ms < -Self::BEHIND_MS {
            return ClockState::Behind { last };
        }
        if ahead_ms > Self::AHEAD_MS {
            return ClockState::Ahead { last };
        }
        self.last = Some(last.max(now));
        ClockState::Plausible
    }

    /// A person says that the clock is right. Returns what is thought of it then: a time that no node can have stays
    /// what it is.
    pub fn confirm(&mut self, now: Timestamp) -> ClockState {
        self.last = Some(now);
        self.observe(now)
    }
}

/// The time by which rows are too old to be kept: it follows the node's clock, but no faster than [`Self::CATCH_UP`] times
/// as fast as time passes. Pure: every time is passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionClock {
    at: Timestamp,
}

impl RetentionClock {
    /// A node that was off for a weekend has deleted what became too old meanwhile six hours later.
    pub const CATCH_UP: i64 = 10;

    /// Stands at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self { at }
    }

    /// The time that has been reached.
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// Follows the clock, which says `now` and is believed, `elapsed` after the last time.
    pub fn follow(&mut self, now: Timestamp, elapsed: Duration) {
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        self.at = now.min(self.at.plus_ms(elapsed_ms.saturating_mul(Self::CATCH_UP)));
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

    fn behind(last: Timestamp) -> ClockState {
        ClockState::Behind { last }
    }

    fn ahead(last: Timestamp) -> ClockState {
        ClockState::Ahead { last }
    }

    #[test]
    fn one_time_is_judged_by_the_last() {
        let first: Timestamp = "2000-01-01T00:00:00Z".parse().expect("a time");
        let earliest = ClockCheck::EARLIEST;
        for (last, now, expected, last_then) in [
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
            // Nothing is known yet: a new node, or one whose store cannot be read.
            (None, first, behind(earliest), None),
            (None, earliest, ClockState::Plausible, Some(earliest)),
            (None, at(500 * DAY_MS), ClockState::Plausible, Some(at(500 * DAY_MS))),
            (Some(first), earliest, ClockState::Plausible, Some(earliest)),
            (Some(first), at(0), ClockState::Plausible, Some(at(0))),
            (Some(first), first, behind(earliest), Some(first)),
        ] {
            let mut check = ClockCheck::new(last);
            assert_eq!(check.observe(now), expected, "{now} after {last:?}");
            assert_eq!(check.last(), last_then, "{now} after {last:?}");
        }
    }

    #[test]
    fn a_wrong_clock_leaves_no_trace_once_it_is_set() {
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
    fn a_person_can_say_that_it_is_right() {
        for now in [at(90 * DAY_MS), at(-DAY_MS)] {
            let mut check = ClockCheck::new(Some(at(0)));
            assert_ne!(check.observe(now), ClockState::Plausible);
            assert_eq!(check.confirm(now), ClockState::Plausible);
            assert_eq!(check.observe(now.plus_ms(1000)), ClockState::Plausible);
        }
        let first: Timestamp = "2000-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(ClockCheck::new(Some(at(0))).confirm(first), behind(ClockCheck::EARLIEST), "but not this");
    }

    #[test]
    fn what_a_doubtful_clock_can_date() {
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
            assert_eq!(state.can_date(stamp, now, oldest_kept), expected, "{state:?}, {stamp:?}");
        }
    }

    #[test]
    fn what_is_deleted_follows_a_step_slowly_and_an_even_clock_at_once() {
        let minute = Duration::from_secs(60);
        let mut clock = RetentionClock::new(at(0));
        for (now, elapsed, expected) in [
            (at(MINUTE_MS), minute, at(MINUTE_MS)),
            (at(MINUTE_MS), Duration::ZERO, at(MINUTE_MS)),
            // Three days ahead, for ten minutes.
            (at(3 * DAY_MS), minute, at(11 * MINUTE_MS)),
            (at(3 * DAY_MS + 9 * MINUTE_MS), 9 * minute, at(101 * MINUTE_MS)),
            // It is set right again: nothing that is younger than it goes.
            (at(12 * MINUTE_MS), minute, at(12 * MINUTE_MS)),
            (at(13 * MINUTE_MS), minute, at(13 * MINUTE_MS)),
            (at(7 * DAY_MS), Duration::MAX, at(7 * DAY_MS)),
        ] {
            clock.follow(now, elapsed);
            assert_eq!(clock.at(), expected, "{now} after {elapsed:?}");
        }
    }
}
