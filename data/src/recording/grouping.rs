//! Detects whether an unknown column separates the rows of several pumps in one file.
//!
//! ```text
//! timestamp  Tb    where
//! 10:14:33   61.5  P-1      different texts at the same time: may be two pumps, so the user is asked
//! 10:14:33   44.0  P-2
//!
//! 10:14:33   61.5  RUNNING                            a machine state: not a pump
//! 10:14:34   61.5  bearing replaced, running again    a remark that occurs once: not a pump
//! ```
//!
//! Does not detect pumps whose rows follow each other without an overlap in time: their column looks like a column of
//! machine states.

use std::{cmp::Ordering, collections::BTreeMap};

use super::findings::{Finding, quoted};

/// A column with more different texts than this does not hold pump names.
const MAX_TEXTS: usize = 50;
/// A text longer than this many bytes is a remark.
const MAX_NAME_BYTES: usize = 100;
/// Texts alternate if they change at least once per this many rows on average.
const ALTERNATION_ROWS: u64 = 6;

/// Words for machine states, qualities and days: not pump names.
const STATE_WORDS: [&str; 76] = [
    "0",
    "1",
    "on",
    "off",
    "ein",
    "aus",
    "an",
    "true",
    "false",
    "yes",
    "no",
    "ja",
    "nein",
    "run",
    "running",
    "stop",
    "stopped",
    "idle",
    "standby",
    "start",
    "starting",
    "stopping",
    "started",
    "ok",
    "good",
    "bad",
    "uncertain",
    "normal",
    "abnormal",
    "broken",
    "recovering",
    "warning",
    "warn",
    "alarm",
    "fault",
    "faulty",
    "error",
    "fail",
    "failed",
    "trip",
    "auto",
    "manual",
    "hand",
    "automatic",
    "automatik",
    "local",
    "remote",
    "open",
    "closed",
    "high",
    "low",
    "day",
    "night",
    "tag",
    "nacht",
    "früh",
    "spät",
    "early",
    "late",
    "active",
    "inactive",
    "healthy",
    "info",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "steady",
    "transient",
    "maintenance",
    "wartung",
    "betrieb",
    "stillstand",
];
const DAY_WORDS: [&str; 21] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "montag",
    "dienstag",
    "mittwoch",
    "donnerstag",
    "freitag",
    "samstag",
    "sonntag",
    "mo",
    "di",
    "mi",
    "do",
    "fr",
    "sa",
    "so",
];

/// Whether a text is a word for a state, a quality or a day.
pub(super) fn is_state(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    STATE_WORDS.contains(&lower.as_str()) || DAY_WORDS.contains(&lower.as_str())
}

/// The texts of one column, and how their changes relate to the times of their rows.
#[derive(Debug, Default)]
pub(super) struct ColumnTexts {
    texts: BTreeMap<String, Finding>,
    /// The column has a number, a time, a long text or too many different texts, so it does not hold names.
    not_names: bool,
    rows: u64,
    rows_with_text: u64,
    last_text: String,
    changes: u64,
    /// Rows with the same time as the row before.
    same_times: u64,
    /// Rows with the same time as the row before and another text.
    changes_at_same_time: u64,
    /// Rows with an earlier time than the row before.
    steps_back: u64,
    changes_at_step_back: u64,
}

impl ColumnTexts {
    /// Adds a row's cell. `order` compares the row's time with that of the row before it.
    pub(super) fn observe(&mut self, line: u64, cell: &str, order: Option<Ordering>) {
        if self.not_names {
            return;
        }
        self.rows += 1;
        let (same, back) = (order == Some(Ordering::Equal), order == Some(Ordering::Less));
        self.same_times += u64::from(same);
        self.steps_back += u64::from(back);
        if cell.is_empty() {
            return;
        }
        self.rows_with_text += 1;
        if self.last_text != cell {
            if !self.last_text.is_empty() {
                self.changes += 1;
                self.changes_at_same_time += u64::from(same);
                self.changes_at_step_back += u64::from(back);
            }
            cell.clone_into(&mut self.last_text);
        }
        if let Some(finding) = self.texts.get_mut(cell) {
            finding.increment();
        } else if self.texts.len() == MAX_TEXTS || !may_be_name(cell) {
            self.not_names = true;
        } else {
            self.texts.insert(cell.to_owned(), Finding::new(line, quoted(cell)));
        }
    }

    /// Returns the texts if they may be the names of several pumps. `is_pump_name`: the column's name denotes a pump.
    pub(super) fn several_pumps(&self, is_pump_name: bool) -> Option<&BTreeMap<String, Finding>> {
        let different = self.texts.len() as u64;
        let mostly_empty = 2 * self.rows_with_text < self.rows;
        if self.not_names || different < 2 || mostly_empty || self.texts.keys().all(|text| is_state(text)) {
            return None;
        }
        let repeated = 2 * different <= self.rows_with_text;
        let differs_at_one_time = self.changes_at_same_time > 0
            && 4 * self.changes_at_same_time >= self.same_times
            && (repeated || different <= 5);
        let alternates = repeated
            && self.changes >= different.max(3)
            && ALTERNATION_ROWS * self.changes >= self.rows_with_text.saturating_sub(1);
        // The rows of one pump come after those of another. Time goes back exactly when the text changes.
        let restarts_with_text = repeated
            && self.changes_at_step_back > 0
            && self.changes_at_step_back == self.steps_back
            && 2 * self.changes_at_step_back >= self.changes;
        (differs_at_one_time || alternates || restarts_with_text || (is_pump_name && repeated)).then_some(&self.texts)
    }
}

fn may_be_name(cell: &str) -> bool {
    let is_time = cell.starts_with(|letter: char| letter.is_ascii_digit()) && cell.contains(':');
    let has_letter = cell.contains(char::is_alphabetic);
    let is_number = cell.replace(',', ".").parse::<f64>().is_ok();
    cell.len() <= MAX_NAME_BYTES && has_letter && !is_time && !is_number
}
