//! The time zone that `--time-zone` gives: a fixed offset from UTC, or a region with its daylight saving rules.

use std::{fmt, str::FromStr};

use chrono::{FixedOffset, Offset, Utc};

/// The time zone of a recording's times that have no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    /// A region with its daylight saving rules.
    Region(chrono_tz::Tz),
    /// An offset that is the same all year.
    Fixed(FixedOffset),
}

impl TimeZone {
    /// The accepted forms, for error messages.
    pub const ALLOWED: &'static str =
        "a region, as Europe/Berlin; UTC; or an offset that is the same all year, as +01:00";
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UTC: [&str; 6] = ["etc/utc", "etc/gmt", "etc/uct", "uct", "zulu", "etc/zulu"];
        let region = || chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text));
        let lower = text.to_ascii_lowercase();
        match parse_offset(if UTC.contains(&lower.as_str()) { "UTC" } else { text }) {
            Some(offset) => Ok(Self::Fixed(offset)),
            None => region().map(|zone| Self::Region(*zone)).ok_or_else(|| {
                let (allowed, abbreviation) =
                    (Self::ALLOWED, "an abbreviation such as CEST does not say when clocks change");
                format!("not a time zone; allowed: {allowed} ({abbreviation})")
            }),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(zone) => f.write_str(zone.name()),
            Self::Fixed(offset) => offset.fmt(f),
        }
    }
}

/// Parses `Z`, `UTC`, `GMT`, `+01:00`, `+0100` and `+01`.
pub(super) fn parse_offset(text: &str) -> Option<FixedOffset> {
    if ["Z", "UTC", "GMT"].iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return Some(Utc.fix());
    }
    let west = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = match (digits.len(), digits.split_once(':')) {
        (5, Some((hours, minutes))) if hours.len() == 2 => (hours, minutes),
        (4, None) if digits.is_ascii() => digits.split_at(2),
        (2, None) => (digits, "0"),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..=14).contains(&hours) || !(0..60).contains(&minutes) || !digits.starts_with(|d: char| d.is_ascii_digit()) {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    FixedOffset::east_opt(if west { -seconds } else { seconds })
}
