//! Explains why a text is not a time: a month that does not exist, a date without a time of day, a rounded number.

use chrono::NaiveDate;

use super::zones;

/// Spreadsheets count days since 1899-12-30: these are days from 1982 to 2119.
const DAY_NUMBERS: std::ops::Range<f64> = 30_000.0..80_000.0;
/// A smaller number is not a recording's time in seconds since 1970.
const MIN_EPOCH_S: f64 = 1e8;

/// What is wrong with a time. Defects of the same kind are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::recording) struct TimeDefect {
    pub kind: &'static str,
    pub why: String,
}

impl TimeDefect {
    /// Whether the text is not a time in any format.
    pub(in crate::recording) fn is_impossible(&self) -> bool {
        matches!(self.kind, "month" | "day" | "hour" | "minute" | "second" | "empty")
    }

    fn new(kind: &'static str, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }
}

/// Returns what is wrong with a text that is not read as a time; none if it resembles no known form.
pub(in crate::recording) fn diagnose(text: &str) -> Option<TimeDefect> {
    if text.is_empty() {
        return Some(TimeDefect::new("empty", "it is empty"));
    }
    if text.bytes().all(|byte| byte == b'#') {
        return Some(TimeDefect::new("wide", "it was too wide for its column when it was saved"));
    }
    if let Ok(number) = text.replacen(',', ".", 1).parse::<f64>()
        && text.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-')
    {
        return Some(diagnose_number(text, number));
    }
    if let Some(zone) = text.split_whitespace().next_back().filter(|word| zones::is_abbreviation(word)) {
        let why = format!(
            "it ends in {zone}, an abbreviation that may mean several zones, or only summer or winter time: give it with \
             --time-format, as '%Y-%m-%d %H:%M:%S {zone}', and --time-zone"
        );
        return Some(TimeDefect::new("zone", why));
    }
    diagnose_parts(text)
}

fn diagnose_number(text: &str, number: f64) -> TimeDefect {
    if let Some(step_s) = super::rounding_step_s(text) {
        let why = format!(
            "it is rounded to {step_s} s, as a spreadsheet shows long numbers, so that many rows have one time: save the \
             column as whole numbers"
        );
        TimeDefect::new("rounded", why)
    } else if DAY_NUMBERS.contains(&number) {
        TimeDefect::new(
            "day number",
            "it is like a spreadsheet's day number: format the column as date and time, and save it",
        )
    } else if number.abs() < MIN_EPOCH_S {
        TimeDefect::new(
            "relative",
            "it is not a number of seconds, milliseconds, microseconds or nanoseconds since 1970; times relative to a start are not supported",
        )
    } else {
        TimeDefect::new("epoch", "as seconds, milli-, micro- or nanoseconds since 1970 it is not from 2000 to 2200")
    }
}

/// Checks the parts of a date and a time of day.
fn diagnose_parts(text: &str) -> Option<TimeDefect> {
    let (date, time) = match text.find([' ', 'T', 't']) {
        Some(end) => (&text[..end], text[end + 1..].trim()),
        None if text.contains(':') && !text.contains(['-', '/']) => ("", text),
        None => (text, ""),
    };
    if date.is_empty() {
        let is_time = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b','));
        return is_time.then(|| TimeDefect::new("time of day", "it is a time of day without a date"));
    }
    diagnose_date(date)?.or_else(|| match time {
        "" => Some(TimeDefect::new("date", "it is a date without a time of day")),
        time => diagnose_time(time),
    })
}

/// Returns what is wrong with a date; `Some(None)` if the date is valid, and none if the text is not a date.
fn diagnose_date(date: &str) -> Option<Option<TimeDefect>> {
    let parts: Vec<u32> = date.split(['-', '/', '.']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [first, second, third] = parts[..] else { return None };
    let (year, month, day) = match date.find(['-', '/', '.']) {
        Some(4) => (first, second, third),
        // The day before the month, or the month before the day.
        _ if second > 12 && first <= 12 => (third, first, second),
        _ => (third, second, first),
    };
    let year = if year < 100 { 2000 + year } else { year };
    if !(1..=12).contains(&month) {
        return Some(Some(TimeDefect::new("month", format!("there is no month {month}"))));
    }
    if NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).is_none() {
        return Some(Some(TimeDefect::new("day", format!("there is no day {day} in {year}-{month:02}"))));
    }
    if !(2000..2200).contains(&year) {
        return Some(Some(TimeDefect::new("year", format!("the year {year} is not from 2000 to 2200"))));
    }
    Some(None)
}

fn diagnose_time(time: &str) -> Option<TimeDefect> {
    let end = time.find(|letter: char| !letter.is_ascii_digit() && letter != ':').unwrap_or(time.len());
    let parts: Vec<u32> = time[..end].split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts[..] {
        [hour, ..] if hour > 23 => Some(TimeDefect::new("hour", format!("there is no hour {hour}"))),
        [_, minute, ..] if minute > 59 => Some(TimeDefect::new("minute", format!("there is no minute {minute}"))),
        [_, _, 60] => Some(TimeDefect::new(
            "second",
            "a second 60 is only in the last minute, by UTC, of 30 June or 31 December: a leap second",
        )),
        [_, _, second] if second > 60 => Some(TimeDefect::new("second", format!("there is no second {second}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_of_times_are_named() {
        for (text, expected) in [
            ("2026-13-09 10:14:33", "no month 13"),
            ("2026-00-09 10:14:33", "no month 0"),
            ("31.13.2026 10:14:33", "no month 13"),
            ("2026-02-30 10:14:33", "no day 30 in 2026-02"),
            ("2026-04-31T10:14:33Z", "no day 31 in 2026-04"),
            ("29/02/2025 10:14:33", "no day 29 in 2025-02"),
            ("2026-03-09 25:14:33", "no hour 25"),
            ("2026-03-09 24:00:00", "no hour 24"),
            ("2026-03-09 10:61:33", "no minute 61"),
            ("2026-03-09 10:14:61", "no second 61"),
            ("2026-03-09 10:14:60", "leap second"),
            ("1999-12-31 23:59:59", "the year 1999"),
            ("2026-03-09", "without a time of day"),
            ("10:14:33", "without a date"),
            ("14:33.0", "without a date"),
            ("1.77305E+12", "rounded to 10000 s"),
            ("1,77E+09", "rounded to 10000000 s"),
            ("46090.4270", "day number"),
            ("12", "since 1970"),
            ("0.25", "since 1970"),
            ("-1773051273", "since 1970"),
            ("99999999999999999999", "not from 2000 to 2200"),
            ("2026-03-09 10:14:33 CET", "--time-zone"),
            ("########", "too wide"),
            ("", "empty"),
        ] {
            let why = diagnose(text).unwrap_or_else(|| panic!("{text:?} is known")).why;
            assert!(why.contains(expected), "{text:?}: {why:?} contains {expected:?}");
        }
        for text in ["yesterday", "week 7", "2026-W11-1 10:14:33", "a-b-c 10:14:33"] {
            assert_eq!(diagnose(text), None, "{text}");
        }
    }
}
