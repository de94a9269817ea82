//! The time zone in a column's name: `Time (UTC)`, `timestamp [Europe/Berlin]`, `time_utc`, `Zeit (MEZ)`.
//!
//! UTC, an offset and a region are unambiguous. An abbreviation is ambiguous: loggers with and without daylight saving
//! time write `CET` all year, and `EST` is used on two continents. `local` only says that the zone is not UTC.

use super::offset::{TimeZone, parse_offset};

const ABBREVIATIONS: [&str; 40] = [
    "cet", "cest", "mez", "mesz", "met", "mest", "wet", "west", "eet", "eest", "msk", "bst", "ist", "est", "edt", "et",
    "cst", "cdt", "ct", "mst", "mdt", "pst", "pdt", "pt", "akst", "akdt", "hst", "jst", "kst", "hkt", "sgt", "aest",
    "aedt", "acst", "awst", "nzst", "nzdt", "sast", "brt", "art",
];
const LOCAL_WORDS: [&str; 7] = ["local", "localtime", "lokal", "lokalzeit", "ortszeit", "lt", "locale"];

/// The zone that a column's name gives.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::recording) enum NamedZone {
    Known(TimeZone),
    /// An abbreviation with several meanings, as written.
    Ambiguous(String),
}

/// Whether a word is a zone abbreviation with several meanings.
pub(in crate::recording) fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// Whether a word at the end of a column's name is a zone and not part of the name proper.
pub(in crate::recording) fn is_zone_word(word: &str) -> bool {
    matches!(word, "utc" | "gmt" | "z") || LOCAL_WORDS.contains(&word) || is_abbreviation(word)
}

/// Returns the first zone in a column's name.
pub(in crate::recording) fn zone_in_name(name: &str) -> Option<NamedZone> {
    // Joins `UTC +1` to one word.
    let joined = name.replace(" +", "+").replace(" -", "-").replace(" \u{2212}", "-");
    let words = joined.split(|letter: char| letter.is_whitespace() || "[](){},;_".contains(letter));
    words.filter(|word| !word.is_empty()).find_map(parse_zone_word)
}

fn parse_zone_word(word: &str) -> Option<NamedZone> {
    let lower = word.to_lowercase();
    if LOCAL_WORDS.contains(&lower.as_str()) || is_abbreviation(word) {
        return Some(NamedZone::Ambiguous(word.to_owned()));
    }
    if word.contains('/') {
        return word.parse().ok().map(NamedZone::Known);
    }
    // `TimeUTC` and `UTCTime`.
    let utc_in_word = ["time", "timestamp", "zeit"].iter().find_map(|name| {
        lower.strip_prefix(name).or_else(|| lower.strip_suffix(name)).filter(|rest| matches!(*rest, "utc" | "gmt"))
    });
    let text = utc_in_word.unwrap_or(&lower);
    let fixed = match text.strip_prefix("utc").or_else(|| text.strip_prefix("gmt")) {
        Some("") => parse_offset("utc"),
        Some(rest) => parse_short_offset(rest),
        None if text.starts_with(['+', '-']) => parse_short_offset(text),
        None => None,
    };
    fixed.map(|offset| NamedZone::Known(TimeZone::Fixed(offset)))
}

/// Parses an offset whose hour may have one digit, such as `+1`.
fn parse_short_offset(text: &str) -> Option<chrono::FixedOffset> {
    let text = text.replace('\u{2212}', "-").replace('±', "+");
    let (sign, digits) = text.split_at_checked(1)?;
    let hours = digits.split(':').next().unwrap_or_default();
    parse_offset(&if hours.len() == 1 { format!("{sign}0{digits}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_is_read_from_the_column_name() {
        let known = |text: &str| Some(NamedZone::Known(text.parse().expect("a zone")));
        let ambiguous = |text: &str| Some(NamedZone::Ambiguous(text.to_owned()));
        for (name, expected) in [
            ("Time (UTC)", known("UTC")),
            ("time_utc", known("UTC")),
            ("TimeUTC", known("UTC")),
            ("utc", known("UTC")),
            ("UTC Time", known("UTC")),
            ("Timestamp [GMT]", known("UTC")),
            ("timestamp (Europe/Berlin)", known("Europe/Berlin")),
            ("Time [UTC+1]", known("+01:00")),
            ("Time (UTC +01:00)", known("+01:00")),
            ("Time (GMT+01:00)", known("+01:00")),
            ("Time (UTC-5)", known("-05:00")),
            ("Time [+0530]", known("+05:30")),
            ("timestamp [CET]", ambiguous("CET")),
            ("Zeit (MEZ)", ambiguous("MEZ")),
            ("timestamp_est", ambiguous("est")),
            ("Local Time", ambiguous("Local")),
            ("Date/Time", None),
            ("Time [s]", None),
            ("Timestamp (ISO 8601)", None),
            ("timestamp", None),
            ("Time [yyyy-mm-dd hh:mm:ss]", None),
        ] {
            assert_eq!(zone_in_name(name), expected, "{name}");
        }
    }
}
