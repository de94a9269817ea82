//! Timestamps in UTC milliseconds, their text forms, and the clock that is passed in.
//!
//! Gateways write the same time in many ways. All of these are 2026-03-09T10:14:33.250Z:
//! `2026-03-09T11:14:33.250+01:00`, `2026-03-09 11:14:33,25 +0100`, `20260309T101433.250000Z`, `1773051273250`,
//! `1773051273250.0` and `1773051273.25`. A number is in seconds, milliseconds, microseconds or nanoseconds. Its size
//! tells which: from 2000 to 2200 no two of the four ranges overlap. Fractions of a millisecond are cut off.
//!
//! Does not handle time zones: a text without an offset is refused ([`Timestamp::lacks_offset`]).

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A time in whole milliseconds since 1970, UTC. As text: RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The text or number is not a time that a pump can have sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time; allowed: {}", Timestamp::ALLOWED)]
pub struct TimestampError;

impl Timestamp {
    /// Which times are valid, for error messages.
    pub const ALLOWED: &'static str = "a time with an offset, as 2026-03-09T10:14:33Z or 2026-03-09T11:14:33+01:00, or seconds, milliseconds, \
         microseconds or nanoseconds since 1970, from 2000 to 2200";

    /// 2000-01-01. An earlier time comes from a device without a clock.
    const MIN_MS: i64 = 946_684_800_000;
    /// 2200-01-01, exclusive.
    const END_MS: i64 = 7_258_118_400_000;

    /// 2026-01-01: no node of this version ran before.
    pub(crate) const VERSION_DATE: Self = Self(1_767_225_600_000);

    /// Creates a timestamp from milliseconds since 1970, from 2000 to 2200.
    pub fn from_millis(ms: i64) -> Result<Self, TimestampError> {
        if (Self::MIN_MS..Self::END_MS).contains(&ms) { Ok(Self(ms)) } else { Err(TimestampError) }
    }

    /// Creates a timestamp from seconds, milliseconds, microseconds or nanoseconds since 1970, whichever gives a time
    /// from 2000 to 2200.
    pub fn from_epoch(number: i64) -> Result<Self, TimestampError> {
        let in_ms = [number.checked_mul(1000), Some(number), Some(number / 1000), Some(number / 1_000_000)];
        in_ms.into_iter().flatten().find_map(|ms| Self::from_millis(ms).ok()).ok_or(TimestampError)
    }

    /// Like [`Self::from_epoch`], from a number with a fraction, such as `1773051273.25` or `1773051273000.0`.
    pub fn from_epoch_fraction(number: f64) -> Result<Self, TimestampError> {
        // A time in seconds is exact to a quarter of a microsecond. Adding a thousandth of a millisecond keeps the
        // rounding down from losing a millisecond.
        let in_ms = [number.mul_add(1e3, 1e-3), number, number / 1e3, number / 1e6];
        let whole = |ms: f64| {
            let in_range = ms >= Self::MIN_MS as f64 && ms < Self::END_MS as f64;
            // In this range every whole number is exact in an f64.
            in_range.then(|| Self(ms.floor() as i64))
        };
        in_ms.into_iter().find_map(whole).ok_or(TimestampError)
    }

    /// Whether `text` is a time without an offset from UTC.
    pub fn lacks_offset(text: &str) -> bool {
        let text = in_iso_form(text.trim());
        LOCAL_FORMATS.iter().any(|format| NaiveDateTime::parse_from_str(&text, format).is_ok())
    }

    /// Parses a time of a recording: without an offset, as `2020-03-09 10:14:33`, taken as UTC; or in the forms of
    /// [`FromStr`].
    pub fn parse_recorded(text: &str) -> Result<Self, TimestampError> {
        for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
                return Self::from_millis(naive.and_utc().timestamp_millis());
            }
        }
        text.parse()
    }

    /// Returns the milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Returns this time moved by `ms`, limited to the valid range.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(Self::MIN_MS, Self::END_MS - 1))
    }

    /// Returns `self - earlier` in milliseconds; negative if `earlier` is later.
    pub fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0 - earlier.0
    }
}

/// Accepted forms of date and time, without the offset.
const LOCAL_FORMATS: [&str; 3] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y%m%dT%H%M%S%.f"];

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(parsed) => Self::from_millis(parsed.timestamp_millis()),
            Err(_) => parse_lenient(text.trim()),
        }
    }
}

/// Parses the forms other than RFC 3339; see the module.
fn parse_lenient(text: &str) -> Result<Timestamp, TimestampError> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return match text.parse() {
            Ok(whole) => Timestamp::from_epoch(whole),
            Err(_) => text.parse().map_err(|_| TimestampError).and_then(Timestamp::from_epoch_fraction),
        };
    }
    let mut text = in_iso_form(text);
    for utc in ["UTC", "GMT"] {
        if let Some(local) = text.strip_suffix(utc) {
            text = format!("{}Z", local.trim_end());
        }
    }
    for local in LOCAL_FORMATS {
        // The blank matches any number of blanks; `%#z` matches an offset with or without colon and minutes.
        if let Ok(parsed) = DateTime::parse_from_str(&text, &format!("{local} %#z")) {
            return Timestamp::from_millis(parsed.timestamp_millis());
        }
    }
    Err(TimestampError)
}

/// Returns the text with a `T` between date and time, and a point before the fraction.
fn in_iso_form(text: &str) -> String {
    let mut text = text.to_ascii_uppercase().replace(',', ".");
    if text.get(10..11) == Some(" ") {
        text.replace_range(10..11, "T");
    }
    text
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

/// Times before 2000 or from 2200 on become the nearest valid timestamp.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let ms = DateTime::<Utc>::from(time).timestamp_millis();
        Self(ms.clamp(Self::MIN_MS, Self::END_MS - 1))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        // A timestamp is never before 1970.
        SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs())
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

/// A source of the current time. It is passed in wherever the time is needed, so that tests can move the time instead
/// of waiting.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock forward.
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
    fn invalid_times_are_refused() {
        for bad in ["", "yesterday", "2026-03-09 10:14:33", "2026-03-09T10:14:33", "1999-12-31T23:59:59Z"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
        assert!(Timestamp::from_millis(1_773_051_273).is_err(), "seconds are not milliseconds: see from_epoch");
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
    fn one_time_in_many_text_forms() {
        let at: Timestamp = "2026-03-09T10:14:33.250Z".parse().expect("a time");
        for text in [
            "2026-03-09T11:14:33.250+01:00",
            "2026-03-09T11:14:33.250+0100",
            "2026-03-09T11:14:33.250+01",
            "2026-03-09T10:14:33.250+00",
            "2026-03-09T10:14:33.250-00:00",
            "2026-03-09 10:14:33.250Z",
            "2026-03-09 10:14:33,250Z",
            "2026-03-09 10:14:33,25 +0000",
            "2026-03-09t10:14:33.250z",
            "2026-03-09 05:14:33.250 -05:00",
            "2026-03-09T15:44:33.2500+0530",
            "2026-03-09T10:14:33.250000Z",
            "2026-03-09T10:14:33.250999Z",
            "2026-03-09T10:14:33.250999999+00:00",
            "2026-03-09T10:14:33.2509999999+0000",
            "2026-03-09 10:14:33.250 UTC",
            "2026-03-09T10:14:33.25GMT",
            "20260309T101433.250Z",
            "20260309T111433,250+0100",
            " 2026-03-09T10:14:33.250Z ",
            "1773051273250",
            "1773051273250.0",
            "1773051273250.9",
            "1773051273.25",
            "1773051273.2501",
            "1773051273250999",
            "1773051273250999999",
        ] {
            assert_eq!(text.parse(), Ok(at), "{text}");
        }
        for bad in [
            "2026-03-09T10:14:33,",
            "2026-03-09T10:14:33.250",
            "2026-03-09T10:14:33 CET",
            "2026-03-09T10:14:33+1",
            "2026-03-09T10:14:33+25:00",
            "09.03.2026 10:14:33Z",
            "2026-02-30T10:14:33Z",
            "2026-03-09",
            "10:14:33Z",
            "1,773,051,273",
            "17730512732",
            "12",
            "0",
            "1773051273.2.5",
            ".",
            "1e12",
            "-1773051273",
            "99999999999999999999999",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_unit_of_a_number_follows_from_its_size() {
        let (first, last) = (Timestamp::MIN_MS, Timestamp::END_MS - 1);
        for (number, ms) in [
            (first / 1000 - 1, None),
            (first / 1000, Some(first)),
            (last / 1000, Some(last - 999)),
            (last / 1000 + 1, None),
            (first - 1, None),
            (first, Some(first)),
            (last, Some(last)),
            (last + 1, None),
            (first * 1000 - 1, None),
            (first * 1000, Some(first)),
            (last * 1000 + 999, Some(last)),
            (first * 1_000_000 - 1, None),
            (first * 1_000_000, Some(first)),
            (last * 1_000_000 + 999_999, Some(last)),
            (i64::MAX, None),
            (i64::MIN, None),
            (0, None),
        ] {
            assert_eq!(Timestamp::from_epoch(number).ok().map(Timestamp::millis), ms, "{number}");
            assert_eq!(number.to_string().parse::<Timestamp>().ok().map(Timestamp::millis), ms, "{number} as text");
        }
        for (number, ms) in [
            (1_773_051_273.0, Some(1_773_051_273_000)),
            (1_773_051_273.007, Some(1_773_051_273_007)),
            (1_773_051_273.999_9, Some(1_773_051_273_999)),
            (1_773_051_273_000.0, Some(1_773_051_273_000)),
            (1_773_051_273_000.5, Some(1_773_051_273_000)),
            (1_773_051_273_000_900.0, Some(1_773_051_273_000)),
            (17_730_512_730.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (-1_773_051_273.0, None),
            (1e300, None),
        ] {
            assert_eq!(Timestamp::from_epoch_fraction(number).ok().map(Timestamp::millis), ms, "{number}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_distinguished_from_an_invalid_one() {
        for text in [
            "2026-03-09T10:14:33",
            "2026-03-09 10:14:33,25",
            " 2026-03-09t10:14:33 ",
            "20260309T101433",
            "2026-03-09 10:14",
        ] {
            assert!(Timestamp::lacks_offset(text) && text.parse::<Timestamp>().is_err(), "{text}");
        }
        for text in ["2026-03-09T10:14:33Z", "2026-03-09", "yesterday", "", "1773051273", "2026-02-30T10:14:33"] {
            assert!(!Timestamp::lacks_offset(text), "{text}");
        }
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
    fn a_manual_clock_moves_on_request() {
        let start = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let clock = ManualClock::at(start);
        clock.advance_ms(1500);
        assert_eq!(clock.now().since_ms(start), 1500);
    }
}
