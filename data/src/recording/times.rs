//! The times of a recording: read as they are written, and put into UTC.
//!
//! Without a flag only what has one meaning is read: epoch seconds, milli-, micro- and nanoseconds (told apart by their
//! size, from 2000 to 2200), times with the year first, and months by name. `03.04.2026` is in April or in March: such a
//! file needs `--time-format`, and the error proposes those that fit ([`propose`]).
//!
//! A time without an offset is UTC, or in the zone of `--time-zone`. Where a zone puts its clocks back, an hour stands
//! twice ([`folds`]); where it puts them forward, an hour does not exist, and a time in it is an error.

pub(super) mod diagnose;
pub(super) mod folds;
mod offset;
pub(super) mod propose;
pub(super) mod zones;

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike, Utc,
    format::{Fixed, Item, StrftimeItems},
};
use volute_plant::{Timestamp, TimestampError};

pub use offset::TimeZone;

use offset::offset;

/// How a recording writes its times, in chrono's notation, which is strftime's: `%d.%m.%Y %H:%M:%S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat(String);

impl TimeFormat {
    /// What a format may be, for error messages.
    pub const ALLOWED: &'static str = "a date and a time, as '%d.%m.%Y %H:%M:%S' or '%m/%d/%Y %I:%M:%S %p'";

    fn parse(&self, text: &str) -> Option<Moment> {
        parse_as(&self.0, text)
    }

    /// The zone that stands in it as a word, as in `%H:%M:%S UTC`.
    pub(in crate::recording) fn zone(&self) -> Option<zones::NamedZone> {
        let words = StrftimeItems::new(&self.0).map(|item| match item {
            Item::Literal("T" | "t") => " ",
            Item::Literal("Z") => "UTC",
            Item::Literal(text) => text,
            _ => " ",
        });
        let words: String = words.collect();
        zones::zone_in(&words)
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
                "{}: %Z reads the name of a zone and forgets it: write the name itself in its place and say the zone with \
                 --time-zone; an offset as +01:00 is %z",
                wrong()
            ));
        }
        // It must tell all that a time is made of.
        let sample = Utc.with_ymd_and_hms(2026, 3, 9, 10, 14, 0).single().ok_or_else(wrong)?;
        match parse_as(text, &sample.format(text).to_string()) {
            Some(moment) if moment.as_utc() == sample.naive_utc() => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the two, where the hour that a zone repeats stands in a file only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedHour {
    /// Before the clocks were put back.
    First,
    /// After that.
    Second,
}

impl RepeatedHour {
    /// The names, for people.
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

/// A time as a file writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    /// With an offset, or counted from 1970.
    Absolute(NaiveDateTime),
    /// Without an offset.
    Local(NaiveDateTime),
}

impl Moment {
    pub(crate) fn as_utc(self) -> NaiveDateTime {
        match self {
            Self::Absolute(time) | Self::Local(time) => time,
        }
    }

    /// Whether there may be such a time: a second 60 is only at the end of 30 June or 31 December by UTC. Where that is by
    /// the clock of a zone is not known here: at the end of an hour, or some quarters before or behind it.
    fn may_be(self) -> bool {
        let time = self.as_utc();
        let is_near = || matches!((time.month(), time.day()), (6, 30) | (7, 1) | (12, 31) | (1, 1));
        let is_there =
            || matches!((time.month(), time.day(), time.hour(), time.minute()), (6, 30, 23, 59) | (12, 31, 23, 59));
        time.nanosecond() < 1_000_000_000
            || match self {
                Self::Absolute(_) => is_there(),
                Self::Local(_) => is_near() && matches!(time.minute(), 29 | 44 | 59),
            }
    }

    /// Whether a timestamp can be in that year.
    fn is_in_range(self) -> bool {
        timestamp(self.as_utc()).is_ok()
    }
}

pub(crate) fn timestamp(utc: NaiveDateTime) -> Result<Timestamp, TimestampError> {
    Timestamp::from_millis(utc.and_utc().timestamp_millis())
}

/// Reads a time; none where it has no single meaning.
pub(crate) fn read(text: &str, format: Option<&TimeFormat>) -> Option<Moment> {
    let moment = match format {
        Some(format) => format.parse(text),
        None => year_first(text).or_else(|| epoch(text)).or_else(|| month_by_name(text)),
    };
    moment.filter(|moment| moment.is_in_range() && moment.may_be())
}

/// `2026-03-09 10:14:33.250`, with `T`, `/` or `.`, without seconds, and with an offset if need be.
fn year_first(text: &str) -> Option<Moment> {
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
        "" => Some(Moment::Local(local)),
        zone => local.checked_sub_offset(offset(zone)?).map(Moment::Absolute),
    }
}

/// Seconds, milli-, micro- or nanoseconds since 1970: from 2000 to 2200, no number fits two of them.
fn epoch(text: &str) -> Option<Moment> {
    const UNITS: [f64; 4] = [1e-3, 1.0, 1e3, 1e6];
    if !text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    if rounded_to_s(text).is_some() {
        return None;
    }
    let value: f64 = text.replacen(',', ".", 1).parse().ok()?;
    let utc = UNITS.iter().find_map(|unit| {
        // A float holds seconds to the quarter of a microsecond; the rest of its digits are noise.
        let ms = (value / unit * 1e3).round() / 1e3;
        let at = Timestamp::from_millis(ms.floor() as i64).ok()?;
        DateTime::from_timestamp_millis(at.millis())
    })?;
    Some(Moment::Absolute(utc.naive_utc()))
}

/// The seconds that a number with an exponent is rounded to, where that is more than one: `1.77305E+12` to 10,000.
fn rounded_to_s(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let decimals = mantissa.split_once(['.', ',']).map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = exponent.parse().ok()?;
    let step = exponent.checked_sub(i32::try_from(decimals).ok()?)?;
    let value: f64 = text.replacen(',', ".", 1).parse().ok()?;
    // Seconds from 2000 to 2200 are of the magnitude 8 or 9, and each finer unit is three more.
    let of_unit = (value.log10().floor() as i32).saturating_sub(8).max(0) / 3 * 3;
    let of_second = u32::try_from(step.checked_sub(of_unit)?).ok()?;
    (of_second > 0).then(|| 10_i64.checked_pow(of_second)).flatten()
}

/// `09-Mar-2026 10:14:33`, as PI has it.
fn month_by_name(text: &str) -> Option<Moment> {
    const FORMATS: [&str; 4] =
        ["%d-%b-%Y %H:%M:%S%.f", "%d-%b-%Y %H:%M", "%d %b %Y %H:%M:%S%.f", "%b %d %Y %H:%M:%S%.f"];
    if !text.contains(|letter: char| letter.is_ascii_alphabetic()) {
        return None;
    }
    let text = text.replacen(", ", " ", 2).replace(',', ".");
    FORMATS.iter().find_map(|format| parse_as(format, &text))
}

fn parse_as(format: &str, text: &str) -> Option<Moment> {
    match DateTime::parse_from_str(text, format) {
        Ok(time) => Some(Moment::Absolute(time.naive_utc())),
        Err(_) => NaiveDateTime::parse_from_str(text, format).ok().map(Moment::Local),
    }
}

/// What a local time is in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Localized {
    Once(NaiveDateTime),
    /// The clocks were put back over it: before that, and after it.
    Twice(NaiveDateTime, NaiveDateTime),
    /// The clocks were put forward over it.
    Never,
}

pub(crate) fn localize(zone: Option<TimeZone>, local: NaiveDateTime) -> Localized {
    let mapped = match zone {
        None => return Localized::Once(local),
        Some(TimeZone::Fixed(offset)) => offset.from_local_datetime(&local).map(|time| time.naive_utc()),
        Some(TimeZone::Region(zone)) => zone.from_local_datetime(&local).map(|time| time.naive_utc()),
    };
    match mapped {
        MappedLocalTime::Single(time) => Localized::Once(time),
        MappedLocalTime::Ambiguous(one, other) => Localized::Twice(one.min(other), one.max(other)),
        MappedLocalTime::None => Localized::Never,
    }
}

/// Whether `later` follows `earlier` closely enough to be its neighbour in a log.
fn follows(earlier: NaiveDateTime, later: NaiveDateTime) -> bool {
    (TimeDelta::zero()..=TimeDelta::seconds(60)).contains(&(later - earlier))
}

#[cfg(test)]
mod tests;
