//! Quality columns: what a historian or an OPC client says of a value beside it, or of its row.
//!
//! ```text
//! timestamp  Tb    Tb_quality      a column by a channel's name, or one of several right of its channel
//! 10:14:33   61.5  Good            61.5
//! 10:14:34   61.5  Bad             missing: "Tb_quality: "Bad""
//! 10:14:35   61.5  Suspicious      asks: --good-quality says which words stand for good
//! ```
//!
//! Words and OPC's numbers (192 to 255 are good, those below are not, as long as one of them is in the column) are known;
//! 0 and 1 alone are not, unless the column's name says which is which (`Validity`). Uncertain is not good.

use std::collections::BTreeMap;

use volute_plant::Profile;

use super::{
    cells::is_known_word,
    column::{Column, Heading, Of},
    findings::{Finding, quoted},
};

/// More different words than this are no quality.
const MOST_WORDS: usize = 100;

/// Names of a column that is nothing but a quality.
const SURE: [&str; 15] = [
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
/// Names of a column that may be one: its words tell.
const MAYBE: [&str; 4] = ["status", "q", "flag", "opcdasquality"];

fn is_quality(name: &str) -> bool {
    SURE.contains(&name) || MAYBE.contains(&name)
}

/// Finds the quality columns among those that are nothing else.
pub(super) fn find(profile: &Profile, headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    let is_free = |column: &Column| *column == Column::Unknown;
    let bare: Vec<usize> =
        (0..columns.len()).filter(|&place| is_free(&columns[place]) && is_quality(&headings[place].1.base)).collect();
    for place in 0..columns.len() {
        if is_free(&columns[place])
            && let Some(channel) = named(profile, headings, columns, place)
        {
            columns[place] = Column::Quality(Of::Channel(channel));
        }
    }
    for &place in &bare {
        // One is the row's; of several each belongs to the channel on its left.
        let left = columns[..place].iter().rev().find_map(|column| match column {
            Column::Channel(channel) => Some(*channel),
            _ => None,
        });
        let of = left.filter(|_| bare.len() > 1).map_or(Of::Row, Of::Channel);
        columns[place] = Column::Quality(of);
    }
}

/// The channel whose name stands before the quality's in a column's name.
fn named(profile: &Profile, headings: &[(&str, Heading<'_>)], columns: &[Column], place: usize) -> Option<usize> {
    let whole = &headings[place].1.whole;
    let channel = SURE.iter().chain(&MAYBE).find_map(|word| whole.strip_suffix(word)?.strip_suffix('_'))?;
    let same = |(heading, column): (&(&str, Heading<'_>), &Column)| match column {
        Column::Channel(index) if heading.1.base == channel || heading.1.whole == channel => Some(*index),
        _ => None,
    };
    let by_column = headings.iter().zip(columns).find_map(same);
    by_column.or_else(|| profile.channel_names().position(|name| Heading::new(name).whole == channel))
}

/// The words of one quality column, with where each is first and how often.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: BTreeMap<String, Finding>,
    too_many: bool,
}

/// Which words of a quality column say that a value is good.
pub(super) type Verdicts = BTreeMap<String, bool>;

impl Words {
    pub(super) fn see(&mut self, line: u64, column: &str, word: &str) {
        if let Some(finding) = self.words.get_mut(word) {
            finding.again();
        } else if self.words.len() < MOST_WORDS {
            self.words.insert(word.to_owned(), Finding::new(line, format!("{column}: {}", quoted(word))));
        } else {
            self.too_many = true;
        }
    }

    /// What each word means; none where the column is no quality after all; what has to be asked where a word is unknown.
    pub(super) fn judge(self, name: &str, good: &[String]) -> Result<Option<Verdicts>, Vec<Finding>> {
        let base = Heading::new(name).whole;
        let is_sure = SURE.iter().any(|word| base == *word || base.ends_with(&format!("_{word}")));
        let is_opc = self.words.keys().filter_map(|word| number(word)).any(|number| (192..256).contains(&number));
        let says_valid = base.contains("valid") || base.contains("good");
        let (mut verdicts, mut unknown) = (Verdicts::new(), Vec::new());
        for (word, finding) in self.words {
            let is_good = match good {
                [] => meaning(&word, is_opc, says_valid),
                good => Some(good.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(&word))),
            };
            match is_good {
                // Nothing is said.
                _ if word.is_empty() => drop(verdicts.insert(word, true)),
                Some(is_good) => drop(verdicts.insert(word, is_good)),
                None => unknown.push(finding),
            }
        }
        let knows_a_word = verdicts.keys().any(|word| !word.is_empty());
        match unknown.is_empty() && !self.too_many {
            true => Ok(Some(verdicts)),
            false if !is_sure && (!knows_a_word || self.too_many) => Ok(None),
            false => {
                const ASK: &str =
                    "may stand for good or for bad: --good-quality names the words that stand for good, '*' for all";
                Err(unknown.into_iter().map(|finding| finding.why(ASK)).collect())
            }
        }
    }
}

fn number(word: &str) -> Option<i64> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Whether a word says that a value is good; none where that is not known.
fn meaning(word: &str, is_opc: bool, says_valid: bool) -> Option<bool> {
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
    if let Some(number) = number(word) {
        // OPC UA writes the code in eight digits, of which the first two bits tell.
        let is_ua = word.len() == 10 && (word.starts_with("0x") || word.starts_with("0X"));
        return match number {
            _ if is_ua => Some(number < 0x4000_0000),
            0..256 if is_opc => Some(number >= 192),
            0 | 1 if says_valid => Some(number == 1),
            _ => None,
        };
    }
    if GOOD.contains(&lower.as_str()) || starts(&["good"]) {
        return Some(true);
    }
    if BAD.contains(&lower.as_str()) || starts(&["bad", "uncertain", "invalid"]) || is_known_word(&lower) {
        return Some(false);
    }
    match lower.as_str() {
        "true" | "yes" | "y" if says_valid => Some(true),
        "false" | "no" | "n" if says_valid => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_quality_are_judged_or_asked_for() {
        for (name, words, good, bad) in [
            ("Quality", &["Good", "Bad", "Uncertain", ""][..], &["", "Good"][..], &["Bad", "Uncertain"][..]),
            ("Tb_quality", &["192", "0", "64", "216"], &["192", "216"], &["0", "64"]),
            ("Quality", &["0xC0", "0x00"], &["0xC0"], &["0x00"]),
            ("StatusCode", &["0x00000000", "0x80000000"], &["0x00000000"], &["0x80000000"]),
            ("Validity", &["1", "0"], &["1"], &["0"]),
            ("is_valid", &["true", "false"], &["true"], &["false"]),
            ("status", &["OK", "I/O Timeout", "No Data"], &["OK"], &["I/O Timeout", "No Data"]),
        ] {
            let verdicts = judged(name, words, &[]).expect("known").expect("a quality");
            let of =
                |wanted| verdicts.iter().filter(|(_, v)| **v == wanted).map(|(w, _)| w.as_str()).collect::<Vec<_>>();
            let sorted = |words: &[&'static str]| {
                let mut words = words.to_vec();
                words.sort_unstable();
                words
            };
            assert_eq!((of(true), of(false)), (sorted(good), sorted(bad)), "{name}");
        }
        for (name, words) in [
            ("Quality", &["0"][..]),
            ("Quality", &["1", "0"]),
            ("Quality", &["Good", "Suspicious"]),
            ("status", &["Good", "Perhaps"]),
            ("Tb_quality", &["3"]),
        ] {
            let error = judged(name, words, &[]).expect_err("asked")[0].to_string();
            assert!(error.contains("--good-quality"), "{error}");
            let good = [words[0].to_owned()];
            assert!(judged(name, words, &good).expect("said").expect("a quality")[words[0]], "{name}");
        }
        assert_eq!(judged("status", &["RUNNING", "STOPPED"], &[]), Ok(None), "a machine's");
    }

    fn judged(name: &str, words: &[&str], good: &[String]) -> Result<Option<Verdicts>, Vec<Finding>> {
        let mut seen = Words::default();
        (2..).zip(words).for_each(|(line, word)| seen.see(line, name, word));
        seen.judge(name, good)
    }
}
