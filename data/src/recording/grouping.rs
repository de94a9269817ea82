//! Whether a column that nobody knows tells the rows of several pumps apart.
//!
//! ```text
//! timestamp  Tb    where
//! 10:14:33   61.5  P-1      the same time, another text: rows of two pumps may be in one file: asked
//! 10:14:33   44.0  P-2
//!
//! 10:14:33   61.5  RUNNING  a state of the machine: never asked about
//! 10:14:34   61.5  bearing replaced, running again    a remark, nowhere else: never asked about
//! ```
//!
//! Does not find pumps whose rows follow each other without an overlap: by its data such a column is like any state.

use std::{cmp::Ordering, collections::BTreeMap};

use super::findings::{Finding, quoted};

/// More different texts than this name no pumps.
const MOST_TEXTS: usize = 50;
/// A longer text is a remark.
const LONGEST: usize = 100;
/// A text that stands for less than this many rows on end, on average, alternates.
const LONG_RUN: u64 = 6;

/// Words for what a machine does, for a value's quality, and for days: they name no pump.
const STATES: [&str; 76] = [
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
const DAYS: [&str; 21] = [
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

/// Whether a text is such a word.
pub(super) fn is_state(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    STATES.contains(&lower.as_str()) || DAYS.contains(&lower.as_str())
}

/// The texts of one column, and how they go with the times of their rows.
#[derive(Debug, Default)]
pub(super) struct Texts {
    texts: BTreeMap<String, Finding>,
    /// A number, a time, a long text, or too many of them: no names.
    no_names: bool,
    rows: u64,
    with_text: u64,
    last: String,
    changes: u64,
    same_times: u64,
    /// Rows of one time with different texts.
    changes_at_same_time: u64,
    steps_back: u64,
    changes_at_step_back: u64,
}

impl Texts {
    /// Takes a row's cell; `order` is that of its time to the time of the row before it.
    pub(super) fn see(&mut self, line: u64, cell: &str, order: Option<Ordering>) {
        if self.no_names {
            return;
        }
        self.rows += 1;
        let (same, back) = (order == Some(Ordering::Equal), order == Some(Ordering::Less));
        self.same_times += u64::from(same);
        self.steps_back += u64::from(back);
        if cell.is_empty() {
            return;
        }
        self.with_text += 1;
        if self.last != cell {
            if !self.last.is_empty() {
                self.changes += 1;
                self.changes_at_same_time += u64::from(same);
                self.changes_at_step_back += u64::from(back);
            }
            cell.clone_into(&mut self.last);
        }
        if let Some(finding) = self.texts.get_mut(cell) {
            finding.again();
        } else if self.texts.len() == MOST_TEXTS || !may_be_name(cell) {
            self.no_names = true;
        } else {
            self.texts.insert(cell.to_owned(), Finding::new(line, quoted(cell)));
        }
    }

    /// The texts, by their names, where they may be of several pumps; `named` where the column's name says so.
    pub(super) fn of_several_pumps(&self, named: bool) -> Option<&BTreeMap<String, Finding>> {
        let different = self.texts.len() as u64;
        let mostly_empty = 2 * self.with_text < self.rows;
        if self.no_names || different < 2 || mostly_empty || self.texts.keys().all(|text| is_state(text)) {
            return None;
        }
        let repeated = 2 * different <= self.with_text;
        let at_one_time = self.changes_at_same_time > 0
            && 4 * self.changes_at_same_time >= self.same_times
            && (repeated || different <= 5);
        let alternates =
            repeated && self.changes >= different.max(3) && LONG_RUN * self.changes >= self.with_text.saturating_sub(1);
        // One pump's rows after the other's: time goes back where the text changes, and nowhere else.
        let one_by_one = repeated
            && self.changes_at_step_back > 0
            && self.changes_at_step_back == self.steps_back
            && 2 * self.changes_at_step_back >= self.changes;
        (at_one_time || alternates || one_by_one || (named && repeated)).then_some(&self.texts)
    }
}

fn may_be_name(cell: &str) -> bool {
    let is_time = cell.starts_with(|letter: char| letter.is_ascii_digit()) && cell.contains(':');
    let has_letter = cell.contains(char::is_alphabetic);
    let is_number = cell.replace(',', ".").parse::<f64>().is_ok();
    cell.len() <= LONGEST && has_letter && !is_time && !is_number
}
