//! Parses the times of a recording and converts them to UTC.
//!
//! Without `--time-format` only unambiguous times are read:
//!
//! | in the file | read as |
//! | --- | --- |
//! | `2026-03-09 10:14:33.250`, `2026/03/09T10:14` | the year is first |
//! | `09-Mar-2026 10:14:33` | the month has a name |
//! | `1773051273`, `1773051273250` | seconds, milli-, micro- or nanoseconds since 1970; the size tells which |
//! | `03.04.2026 10:14:33` | an error: 3 April or 4 March. It proposes the values of `--time-format` that fit ([`propose`]) |
//!
//! A time without an offset from UTC is in the zone of `--time-zone`, or in UTC. When clocks are put back, an hour
//! occurs twice ([`repeated_hours`]). When they are put forward, an hour does not exist, and a time in it is an error.

pub(super) mod diagnose;
mod offset;
pub(super) mod propose;
pub(super) mod repeated_hours;
pub(super) mod zones;

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike, Utc,
    format::{Fixed, Item, StrftimeItems},
};
use volute_plant::{Timestamp, TimestampError};

pub use offset::TimeZone;

use offset::parse_offset;

/// The format of a recording's times in the notation of chrono and strftime: `%d.%m.%Y %H:%M:%S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat(String);

impl TimeFormat {
    /// The accepted forms, for error messages.
    pub const ALLOWED: &'static str = "a date and a time, as '%d.%m.%Y %H:%M:%S' or '%m/%d/%Y %I:%M:%S %p'";

    fn parse(&self, text: &str) -> Option<ParsedTime> {
        parse_as(&self.0, text)
    }

    /// Returns the time zone that the format contains as plain text, such as `UTC` in `%H:%M:%S UTC`.
    pub(in crate::recording) fn zone(&self) -> Option<zones::NamedZone> {
        let words = StrftimeItems::new(&self.0).map(|item| match item {
            Item::Literal("T" | "t") => " ",
            Item::Literal("Z") => "UTC",
            Item::Literal(text) => text,
            _ => " ",
        });
        let words: String = words.collect();
        zones::zone_in_name(&words)
    }
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not a format of times; allowed: {}", Self::ALLOWED);
        if StrftimeItems::new(text).any(|item| matches!(item, Item::Error)) {
            return Err(wrong());
        }
        if StrftimeItems::new(text).any(|item| matches!(item, Item::Fixed(Fixed::TimezoneName))) {
            return Err(format!(
                "{}: %Z reads the name of a zone and ignores it: write the name itself in its place, and give the zone with \
                 --time-zone; for an offset such as +01:00 use %z",
                wrong()
            ));
        }
        // The format must have a complete date and time, so a time that is written and read with it must stay the same.
        let sample = Utc.with_ymd_and_hms(2026, 3, 9, 10, 14, 0).single().ok_or_else(wrong)?;
        match parse_as(text, &sample.format(text).to_string()) {
            Some(parsed) if parsed.as_utc() == sample.naive_utc() => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which hour is meant by a time in the hour that occurs twice when clocks are put back. Needed if the file has only one
/// of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedHour {
    /// The hour before the clocks were put back.
    First,
    /// The hour after the clocks were put back.
    Second,
}

impl RepeatedHour {
    /// The accepted names, for error messages.
    pub const ALLOWED: &'static str = "first, second";
}

impl fmt::Display for RepeatedHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

impl FromStr for RepeatedHour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "second" => Ok(Self::Second),
            _ => Err(format!("not one of the two hours; allowed: {}", Self::ALLOWED)),
        }
    }
}

/// A time as written in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ParsedTime {
    /// A time with an offset, or a number since 1970: the time in UTC.
    Absolute(NaiveDateTime),
    /// A time without an offset: the time as written.
    Local(NaiveDateTime),
}

impl ParsedTime {
    /// Returns the time in UTC. A local time counts as UTC.
    pub(crate) fn as_utc(self) -> NaiveDateTime {
        match self {
            Self::Absolute(time) | Self::Local(time) => time,
        }
    }

    /// Whether the time exists. Only a second 60 (a leap second) may not: leap seconds are at the end of 30 June or 31
    /// December in UTC. The offset of a local time is unknown here, and offsets are multiples of 15 minutes, so on the
    /// days around these a second 60 is accepted at minute 29, 44 or 59.
    fn can_exist(self) -> bool {
        let time = self.as_utc();
        let is_near_leap_second = || matches!((time.month(), time.day()), (6, 30) | (7, 1) | (12, 31) | (1, 1));
        let is_leap_second =
            || matches!((time.month(), time.day(), time.hour(), time.minute()), (6, 30, 23, 59) | (12, 31, 23, 59));
        time.nanosecond() < 1_000_000_000
            || match self {
                Self::Absolute(_) => is_leap_second(),
                Self::Local(_) => is_near_leap_second() && matches!(time.minute(), 29 | 44 | 59),
            }
    }

    /// Whether a [`Timestamp`] can hold the time.
    fn is_in_range(self) -> bool {
        timestamp(self.as_utc()).is_ok()
    }
}

pub(crate) fn timestamp(utc: NaiveDateTime) -> Result<Timestamp, TimestampError> {
    Timestamp::from_millis(utc.and_utc().timestamp_millis())
}

/// Parses a time. Returns none if it is not a time, or is ambiguous without a format.
pub(crate) fn parse(text: &str, format: Option<&TimeFormat>) -> Option<ParsedTime> {
    let parsed = match format {
        Some(format) => format.parse(text),
        None => parse_year_first(text).or_else(|| parse_epoch(text)).or_else(|| parse_month_name(text)),
    };
    parsed.filter(|time| time.is_in_range() && time.can_exist())
}

/// Parses `2026-03-09 10:14:33.250`; also with `T`, `/` or `.`, without seconds, and with an offset.
fn parse_year_first(text: &str) -> Option<ParsedTime> {
    if text.len() < 14 || !text.is_ascii() || !text.as_bytes()[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let date = date.replace(['/', '.'], "-");
    let date = if date.len() == 8 && !date.contains('-') {
        NaiveDate::parse_from_str(&date, "%Y%m%d").ok()?
    } else {
        NaiveDate::parse_from_str(&date, "%Y-%m-%d").ok()?
    };
    let rest = rest.trim();
    let digits = rest.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.' | ','));
    let (time, zone) = rest.split_at(digits.unwrap_or(rest.len()));
    let time = time.replace(',', ".");
    let time = ["%H:%M:%S%.f", "%H:%M", "%H%M%S%.f"].iter().find_map(|f| NaiveTime::parse_from_str(&time, f).ok())?;
    let local = date.and_time(time);
    match zone.trim() {
        "" => Some(ParsedTime::Local(local)),
        zone => local.checked_sub_offset(parse_offset(zone)?).map(ParsedTime::Absolute),
    }
}

/// Parses a number of seconds, milli-, micro- or nanoseconds since 1970. Times are from 2000 to 2200; in this range no
/// number fits two of the units.
fn parse_epoch(text: &str) -> Option<ParsedTime> {
    const UNITS_PER_MS: [f64; 4] = [1e-3, 1.0, 1e3, 1e6];
    if !text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    if rounding_step_s(text).is_some() {
        return None;
    }
    let value: f64 = text.replacen(',', ".", 1).parse().ok()?;
    let utc = UNITS_PER_MS.iter().find_map(|unit| {
        // As a number of seconds, an f64 has a precision of 0.25 µs, so the time is rounded to whole microseconds.
        let ms = (value / unit * 1e3).round() / 1e3;
        let at = Timestamp::from_millis(ms.floor() as i64).ok()?;
        DateTime::from_timestamp_millis(at.millis())
    })?;
    Some(ParsedTime::Absolute(utc.naive_utc()))
}

/// Returns the resolution of a number with an exponent, in seconds, if it is coarser than 1 s. A spreadsheet may have
/// rounded 1773051273250 to `1.77305E+12`: the last digit is 10^7 ms, so this returns 10,000.
fn rounding_step_s(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let decimals = mantissa.split_once(['.', ',']).map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = exponent.parse().ok()?;
    let step = exponent.checked_sub(i32::try_from(decimals).ok()?)?;
    let value: f64 = text.replacen(',', ".", 1).parse().ok()?;
    // The decimal exponent of a time from 2000 to 2200 is 8 or 9 in seconds, and three more in each finer unit.
    let unit_exponent = (value.log10().floor() as i32).saturating_sub(8).max(0) / 3 * 3;
    let step_exponent = u32::try_from(step.checked_sub(unit_exponent)?).ok()?;
    (step_exponent > 0).then(|| 10_i64.checked_pow(step_exponent)).flatten()
}

/// Parses `09-Mar-2026 10:14:33`, the form of the PI historian, and similar forms.
fn parse_month_name(text: &str) -> Option<ParsedTime> {
    const FORMATS: [&str; 4] =
        ["%d-%b-%Y %H:%M:%S%.f", "%d-%b-%Y %H:%M", "%d %b %Y %H:%M:%S%.f", "%b %d %Y %H:%M:%S%.f"];
    if !text.contains(|letter: char| letter.is_ascii_alphabetic()) {
        return None;
    }
    let text = text.replacen(", ", " ", 2).replace(',', ".");
    FORMATS.iter().find_map(|format| parse_as(format, &text))
}

fn parse_as(format: &str, text: &str) -> Option<ParsedTime> {
    match DateTime::parse_from_str(text, format) {
        Ok(time) => Some(ParsedTime::Absolute(time.naive_utc())),
        Err(_) => NaiveDateTime::parse_from_str(text, format).ok().map(ParsedTime::Local),
    }
}

/// The times in UTC that a local time can mean in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Localized {
    Single(NaiveDateTime),
    /// It occurs twice, because clocks are put back: the first time, and the second.
    Ambiguous(NaiveDateTime, NaiveDateTime),
    /// It does not occur, because clocks are put forward.
    Skipped,
}

pub(crate) fn localize(zone: Option<TimeZone>, local: NaiveDateTime) -> Localized {
    let mapped = match zone {
        None => return Localized::Single(local),
        Some(TimeZone::Fixed(offset)) => offset.from_local_datetime(&local).map(|time| time.naive_utc()),
        Some(TimeZone::Region(zone)) => zone.from_local_datetime(&local).map(|time| time.naive_utc()),
    };
    match mapped {
        MappedLocalTime::Single(time) => Localized::Single(time),
        MappedLocalTime::Ambiguous(one, other) => Localized::Ambiguous(one.min(other), one.max(other)),
        MappedLocalTime::None => Localized::Skipped,
    }
}

/// Whether `later` is at most 60 s after `earlier`, so that they can be consecutive rows.
fn follows_closely(earlier: NaiveDateTime, later: NaiveDateTime) -> bool {
    (TimeDelta::zero()..=TimeDelta::seconds(60)).contains(&(later - earlier))
}

#[cfg(test)]
mod tests;
