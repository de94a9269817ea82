//! Wall-clock time as the plant uses it: UTC milliseconds, and a clock that is passed in.
//!
//! Deliberately absent: time zones (the browser's business) and timers (the engine's).

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A moment in UTC, in whole milliseconds since 1970. As text: RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The text or number is no time that a pump can have sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time; allowed: {}", Timestamp::ALLOWED)]
pub struct TimestampError;

impl Timestamp {
    /// What a time may be, for error messages.
    pub const ALLOWED: &'static str =
        "RFC 3339 with an offset, as 2026-03-09T10:14:33Z, or whole milliseconds since 1970, from 2000 to 2200";

    /// 2000-01-01: earlier numbers are seconds taken for milliseconds, or a device without a clock.
    const FIRST_MS: i64 = 946_684_800_000;
    /// 2200-01-01.
    const LAST_MS: i64 = 7_258_118_400_000;

    /// 2026-01-01: this version was written later.
    pub(crate) const VERSION_DATE: Self = Self(1_767_225_600_000);

    /// Milliseconds since 1970, from 2000 to 2200.
    pub fn from_millis(ms: i64) -> Result<Self, TimestampError> {
        if (Self::FIRST_MS..Self::LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err(TimestampError) }
    }

    /// A time as a recording has it, without an offset: `2020-03-09 10:14:33`, taken as UTC; or RFC 3339.
    pub fn parse_recorded(text: &str) -> Result<Self, TimestampError> {
        for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
                return Self::from_millis(naive.and_utc().timestamp_millis());
            }
        }
        text.parse()
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This time moved by `ms`, kept within the years a timestamp can have.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(Self::FIRST_MS, Self::LAST_MS - 1))
    }

    /// `self - earlier`, in milliseconds; negative if `earlier` is later.
    pub fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0 - earlier.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError)?;
        Self::from_millis(parsed.timestamp_millis())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc: DateTime<Utc> = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells the time. Passed in everywhere, so that a test moves time instead of waiting for it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_millis().clamp(Timestamp::FIRST_MS, Timestamp::LAST_MS - 1))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock on.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_utc() {
        let at: Timestamp = "2026-03-09T15:44:33.250+05:30".parse().expect("a time");
        assert_eq!(at.to_string(), "2026-03-09T10:14:33.250Z");
        assert_eq!(Timestamp::parse_recorded("2026-03-09 10:14:33.25"), Ok(at));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "yesterday", "2026-03-09 10:14:33", "2026-03-09T10:14:33", "1999-12-31T23:59:59Z"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
        assert!(Timestamp::from_millis(1_773_051_273).is_err(), "seconds are not milliseconds");
        assert!(Timestamp::from_millis(i64::MAX).is_err());
    }

    #[test]
    fn times_are_from_2000_to_2200() {
        let (first, last) = (946_684_800_000, 7_258_118_399_999);
        for (ms, text) in [
            (first - 1, None),
            (first, Some("2000-01-01T00:00:00.000Z")),
            (1_773_051_273_007, Some("2026-03-09T10:14:33.007Z")),
            (last, Some("2199-12-31T23:59:59.999Z")),
            (last + 1, None),
        ] {
            let shown = Timestamp::from_millis(ms).ok().map(|at| at.to_string());
            assert_eq!(shown.as_deref(), text, "{ms}");
            let read = text.map(|text| text.parse::<Timestamp>().expect(text).millis());
            assert_eq!(read, text.map(|_| ms));
        }
        for bad in ["1999-12-31T23:59:59.999Z", "2000-01-01T00:00:00+00:01", "2200-01-01T00:00:00Z"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
        let at = |ms| Timestamp::from_millis(ms).expect("a time");
        for (from, by, to) in [
            (first + 5, -4, first + 1),
            (first + 5, -6, first),
            (first, i64::MIN, first),
            (last - 5, 5, last),
            (last - 5, 6, last),
            (last, i64::MAX, last),
        ] {
            assert_eq!(at(from).plus_ms(by), at(to), "{from} and {by}");
        }
        assert_eq!((at(first + 7).since_ms(at(first)), at(first).since_ms(at(last))), (7, first - last));
    }

    #[test]
    fn a_recordings_time_needs_no_offset() {
        let at = |text: &str| text.parse::<Timestamp>();
        for (text, expected) in [
            ("2026-03-09 10:14:33", at("2026-03-09T10:14:33Z")),
            ("2026-03-09T10:14:33", at("2026-03-09T10:14:33Z")),
            ("2026-03-09 10:14:33.004", at("2026-03-09T10:14:33.004Z")),
            ("2026-03-09T10:14:33.004", at("2026-03-09T10:14:33.004Z")),
            ("2026-03-09T10:14:33+02:00", at("2026-03-09T08:14:33Z")),
            ("1999-12-31 23:59:59", Err(TimestampError)),
            ("2026-02-30 10:00:00", Err(TimestampError)),
            ("2026-03-09", Err(TimestampError)),
            ("", Err(TimestampError)),
        ] {
            assert_eq!(Timestamp::parse_recorded(text), expected, "{text}");
        }
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let start = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let clock = ManualClock::at(start);
        clock.advance_ms(1500);
        assert_eq!(clock.now().since_ms(start), 1500);
    }
}
