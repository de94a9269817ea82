//! Quality columns: the quality that a historian or an OPC client records for one value or for the whole row.
//!
//! ```text
//! timestamp  Tb    Tb_quality      belongs to channel Tb by its name
//! 10:14:33   61.5  Good            61.5
//! 10:14:34   61.5  Bad             missing, with the finding: Tb_quality: "Bad"
//! 10:14:35   61.5  Suspicious      an error: --good-quality must name the words that stand for good
//! ```
//!
//! A single quality column without a channel's name applies to the whole row. If there are several, each applies to the
//! channel on its left.
//!
//! The usual words and OPC quality numbers are known. OPC DA numbers from 192 to 255 are good, and 0 to 191 are bad;
//! they count as OPC numbers only if the column has at least one good number. OPC UA status codes (`0x` and eight hex
//! digits) are good if their severity is 0. The numbers 0 and 1 alone have no known meaning, unless the column's name
//! gives one (`Validity`). "Uncertain" is not good.

use std::collections::BTreeMap;

use volute_plant::Profile;

use super::{
    cells::is_no_value_word,
    column::{Column, Heading, QualityTarget},
    findings::{Finding, quoted},
};

/// At most this many different words of a column are kept. A column with more words is not a quality column; if its
/// name is in [`QUALITY_NAMES`], it is an error.
const MAX_WORDS: usize = 100;

/// Names that only quality columns have.
const QUALITY_NAMES: [&str; 15] = [
    "quality",
    "qualitat",
    "qualität",
    "qualitaet",
    "quality_code",
    "qualitycode",
    "data_quality",
    "opc_quality",
    "opcquality",
    "good_bad",
    "validity",
    "valid",
    "is_valid",
    "is_good",
    "statuscode",
];
/// Names that quality columns may have; the column's words decide.
const POSSIBLE_QUALITY_NAMES: [&str; 4] = ["status", "q", "flag", "opcdasquality"];

fn is_quality_name(name: &str) -> bool {
    QUALITY_NAMES.contains(&name) || POSSIBLE_QUALITY_NAMES.contains(&name)
}

/// Marks the quality columns among the columns that are still unknown.
pub(super) fn find(profile: &Profile, headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    let is_free = |column: &Column| *column == Column::Unknown;
    let without_channel: Vec<usize> = (0..columns.len())
        .filter(|&index| is_free(&columns[index]) && is_quality_name(&headings[index].1.base))
        .collect();
    for index in 0..columns.len() {
        if is_free(&columns[index])
            && let Some(channel) = channel_in_name(profile, headings, columns, index)
        {
            columns[index] = Column::Quality(QualityTarget::Channel(channel));
        }
    }
    for &index in &without_channel {
        // A single one applies to the whole row. If there are several, each applies to the channel on its left.
        let left = columns[..index].iter().rev().find_map(|column| match column {
            Column::Channel(channel) => Some(*channel),
            _ => None,
        });
        let target = left.filter(|_| without_channel.len() > 1).map_or(QualityTarget::Row, QualityTarget::Channel);
        columns[index] = Column::Quality(target);
    }
}

/// Returns the channel that a column's name gives before the quality word, as in `Tb_quality`.
fn channel_in_name(
    profile: &Profile,
    headings: &[(&str, Heading<'_>)],
    columns: &[Column],
    index: usize,
) -> Option<usize> {
    let full = &headings[index].1.full;
    let channel = QUALITY_NAMES
        .iter()
        .chain(&POSSIBLE_QUALITY_NAMES)
        .find_map(|word| full.strip_suffix(word)?.strip_suffix('_'))?;
    let same = |(heading, column): (&(&str, Heading<'_>), &Column)| match column {
        Column::Channel(index) if heading.1.base == channel || heading.1.full == channel => Some(*index),
        _ => None,
    };
    let by_column = headings.iter().zip(columns).find_map(same);
    by_column.or_else(|| profile.channel_names().position(|name| Heading::new(name).full == channel))
}

/// The different words of one quality column, each with its first line and its count.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: BTreeMap<String, Finding>,
    too_many: bool,
}

/// For each word of a quality column: whether it means that the value is good.
pub(super) type WordMeanings = BTreeMap<String, bool>;

impl Words {
    pub(super) fn observe(&mut self, line: u64, column: &str, word: &str) {
        if let Some(finding) = self.words.get_mut(word) {
            finding.increment();
        } else if self.words.len() < MAX_WORDS {
            self.words.insert(word.to_owned(), Finding::new(line, format!("{column}: {}", quoted(word))));
        } else {
            self.too_many = true;
        }
    }

    /// Returns the meaning of each word, or none if this is not a quality column after all.
    ///
    /// # Errors
    /// The words with an unknown meaning, if the column is a quality column.
    pub(super) fn classify(self, name: &str, good: &[String]) -> Result<Option<WordMeanings>, Vec<Finding>> {
        let full = Heading::new(name).full;
        let is_quality_name = QUALITY_NAMES.iter().any(|word| full == *word || full.ends_with(&format!("_{word}")));
        let has_opc_codes =
            self.words.keys().filter_map(|word| parse_code(word)).any(|number| (192..256).contains(&number));
        // In a column such as `is_valid`, 1, true and yes mean good.
        let name_gives_meaning = full.contains("valid") || full.contains("good");
        let (mut meanings, mut unknown) = (WordMeanings::new(), Vec::new());
        for (word, finding) in self.words {
            let is_good = match good {
                [] => meaning(&word, has_opc_codes, name_gives_meaning),
                good => Some(good.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(&word))),
            };
            match is_good {
                // An empty cell says nothing about the value.
                _ if word.is_empty() => drop(meanings.insert(word, true)),
                Some(is_good) => drop(meanings.insert(word, is_good)),
                None => unknown.push(finding),
            }
        }
        let has_known_word = meanings.keys().any(|word| !word.is_empty());
        match unknown.is_empty() && !self.too_many {
            true => Ok(Some(meanings)),
            false if !is_quality_name && (!has_known_word || self.too_many) => Ok(None),
            false => {
                const HINT: &str =
                    "may stand for good or for bad: --good-quality names the words that stand for good, '*' for all";
                Err(unknown.into_iter().map(|finding| finding.why(HINT)).collect())
            }
        }
    }
}

fn parse_code(word: &str) -> Option<i64> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Returns whether a word means that a value is good; none if the word is unknown.
fn meaning(word: &str, has_opc_codes: bool, name_gives_meaning: bool) -> Option<bool> {
    const GOOD: [&str; 8] = ["good", "g", "ok", "okay", "gut", "valid", "gültig", "gueltig"];
    const BAD: [&str; 14] = [
        "b",
        "schlecht",
        "ungültig",
        "ungueltig",
        "u",
        "not good",
        "no good",
        "stale",
        "substituted",
        "suspect",
        "questionable",
        "failure",
        "fault",
        "unsicher",
    ];
    let lower = word.to_lowercase();
    let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
    if let Some(number) = parse_code(word) {
        // An OPC UA status code has eight hex digits; its two highest bits are the severity.
        let is_opc_ua = word.len() == 10 && (word.starts_with("0x") || word.starts_with("0X"));
        return match number {
            _ if is_opc_ua => Some(number < 0x4000_0000),
            0..256 if has_opc_codes => Some(number >= 192),
            0 | 1 if name_gives_meaning => Some(number == 1),
            _ => None,
        };
    }
    if GOOD.contains(&lower.as_str()) || starts(&["good"]) {
        return Some(true);
    }
    if BAD.contains(&lower.as_str()) || starts(&["bad", "uncertain", "invalid"]) || is_no_value_word(&lower) {
        return Some(false);
    }
    match lower.as_str() {
        "true" | "yes" | "y" if name_gives_meaning => Some(true),
        "false" | "no" | "n" if name_gives_meaning => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_words_are_classified_or_reported() {
        for (name, words, good, bad) in [
            ("Quality", &["Good", "Bad", "Uncertain", ""][..], &["", "Good"][..], &["Bad", "Uncertain"][..]),
            ("Tb_quality", &["192", "0", "64", "216"], &["192", "216"], &["0", "64"]),
            ("Quality", &["0xC0", "0x00"], &["0xC0"], &["0x00"]),
            ("StatusCode", &["0x00000000", "0x80000000"], &["0x00000000"], &["0x80000000"]),
            ("Validity", &["1", "0"], &["1"], &["0"]),
            ("is_valid", &["true", "false"], &["true"], &["false"]),
            ("status", &["OK", "I/O Timeout", "No Data"], &["OK"], &["I/O Timeout", "No Data"]),
        ] {
            let meanings = classify(name, words, &[]).expect("known").expect("a quality");
            let words_that_mean =
                |wanted| meanings.iter().filter(|(_, v)| **v == wanted).map(|(w, _)| w.as_str()).collect::<Vec<_>>();
            let sorted = |words: &[&'static str]| {
                let mut words = words.to_vec();
                words.sort_unstable();
                words
            };
            assert_eq!((words_that_mean(true), words_that_mean(false)), (sorted(good), sorted(bad)), "{name}");
        }
        for (name, words) in [
            ("Quality", &["0"][..]),
            ("Quality", &["1", "0"]),
            ("Quality", &["Good", "Suspicious"]),
            ("status", &["Good", "Perhaps"]),
            ("Tb_quality", &["3"]),
        ] {
            let error = classify(name, words, &[]).expect_err("asked")[0].to_string();
            assert!(error.contains("--good-quality"), "{error}");
            let good = [words[0].to_owned()];
            assert!(classify(name, words, &good).expect("said").expect("a quality")[words[0]], "{name}");
        }
        assert_eq!(
            classify("status", &["RUNNING", "STOPPED"], &[]),
            Ok(None),
            "these are states of the machine, not a quality"
        );
    }

    fn classify(name: &str, words: &[&str], good: &[String]) -> Result<Option<WordMeanings>, Vec<Finding>> {
        let mut column = Words::default();
        (2..).zip(words).for_each(|(line, word)| column.observe(line, name, word));
        column.classify(name, good)
    }
}
