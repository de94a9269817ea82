//! The zone that a column's name says: `Time (UTC)`, `timestamp [Europe/Berlin]`, `time_utc`, `Zeit (MEZ)`.
//!
//! UTC, an offset and a region are clear. An abbreviation is not: `CET` is written all year by loggers whose clock is put
//! forward in summer and by those whose clock is not, and `EST` is on two continents. `local` says only that it is not UTC.

use super::offset::{TimeZone, offset};

const ABBREVIATIONS: [&str; 40] = [
    "cet", "cest", "mez", "mesz", "met", "mest", "wet", "west", "eet", "eest", "msk", "bst", "ist", "est", "edt", "et",
    "cst", "cdt", "ct", "mst", "mdt", "pst", "pdt", "pt", "akst", "akdt", "hst", "jst", "kst", "hkt", "sgt", "aest",
    "aedt", "acst", "awst", "nzst", "nzdt", "sast", "brt", "art",
];
const LOCAL: [&str; 7] = ["local", "localtime", "lokal", "lokalzeit", "ortszeit", "lt", "locale"];

/// What a name says of its zone.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::recording) enum NamedZone {
    Known(TimeZone),
    /// As it is written: it has several meanings.
    Unclear(String),
}

/// Whether it is the short name of a zone that has several meanings.
pub(in crate::recording) fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// Whether a word at the end of a column's name says a zone, and nothing of what the column is.
pub(in crate::recording) fn is_zone_word(word: &str) -> bool {
    matches!(word, "utc" | "gmt" | "z") || LOCAL.contains(&word) || is_abbreviation(word)
}

/// The zone in a column's name.
pub(in crate::recording) fn zone_in(name: &str) -> Option<NamedZone> {
    // `UTC +1` is one word.
    let joined = name.replace(" +", "+").replace(" -", "-").replace(" \u{2212}", "-");
    let words = joined.split(|letter: char| letter.is_whitespace() || "[](){},;_".contains(letter));
    words.filter(|word| !word.is_empty()).find_map(zone)
}

fn zone(word: &str) -> Option<NamedZone> {
    let lower = word.to_lowercase();
    if LOCAL.contains(&lower.as_str()) || is_abbreviation(word) {
        return Some(NamedZone::Unclear(word.to_owned()));
    }
    if word.contains('/') {
        return word.parse().ok().map(NamedZone::Known);
    }
    // `TimeUTC` and `UTCTime`.
    let bare = ["time", "timestamp", "zeit"].iter().find_map(|name| {
        lower.strip_prefix(name).or_else(|| lower.strip_suffix(name)).filter(|rest| matches!(*rest, "utc" | "gmt"))
    });
    let text = bare.unwrap_or(&lower);
    let fixed = match text.strip_prefix("utc").or_else(|| text.strip_prefix("gmt")) {
        Some("") => offset("utc"),
        Some(rest) => shift(rest),
        None if text.starts_with(['+', '-']) => shift(text),
        None => None,
    };
    fixed.map(|offset| NamedZone::Known(TimeZone::Fixed(offset)))
}

/// An offset whose hour may have one digit.
fn shift(text: &str) -> Option<chrono::FixedOffset> {
    let text = text.replace('\u{2212}', "-").replace('±', "+");
    let (sign, digits) = text.split_at_checked(1)?;
    let hours = digits.split(':').next().unwrap_or_default();
    offset(&if hours.len() == 1 { format!("{sign}0{digits}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_of_a_column_is_in_its_name() {
        let known = |text: &str| Some(NamedZone::Known(text.parse().expect("a zone")));
        let unclear = |text: &str| Some(NamedZone::Unclear(text.to_owned()));
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
            ("timestamp [CET]", unclear("CET")),
            ("Zeit (MEZ)", unclear("MEZ")),
            ("timestamp_est", unclear("est")),
            ("Local Time", unclear("Local")),
            ("Date/Time", None),
            ("Time [s]", None),
            ("Timestamp (ISO 8601)", None),
            ("timestamp", None),
            ("Time [yyyy-mm-dd hh:mm:ss]", None),
        ] {
            assert_eq!(zone_in(name), expected, "{name}");
        }
    }
}
