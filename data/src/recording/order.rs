//! Merges rows with the same time, and finds rows whose time goes back.
//!
//! ```text
//! 10:14:33  2950, -        one row per channel: rows with the same time are merged,
//! 10:14:33  -,    61.5     here to 2950, 61.5
//! 10:14:34  2950, 61.5
//! 10:14:34  2950, 61.5     an exact repeat: skipped
//! 10:14:35  2950, 61.5
//! 10:14:35  2950, 61.9     two values of one channel: a conflict, both rows are kept
//! 10:14:05  2950, 61.5     time goes back
//! ```

use volute_plant::{Profile, Sample, Timestamp};

use super::{findings::Finding, row::Row, rows::NumberedRow};

/// How two rows with the same time compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowComparison {
    /// The second row adds nothing.
    Repeat,
    /// The second row has values of channels for which the first row has none.
    Complement,
    /// The rows have different values of this channel.
    Conflict(usize),
}

/// Compares the values of two rows with the same time.
pub(crate) fn compare_samples(first: &[Sample], second: &[Sample]) -> RowComparison {
    let mut comparison = RowComparison::Repeat;
    for (channel, (one, other)) in first.iter().zip(second).enumerate() {
        match (one.value(), other.value()) {
            (Some(one), Some(other)) if one != other => return RowComparison::Conflict(channel),
            (None, Some(_)) => comparison = RowComparison::Complement,
            _ => {}
        }
    }
    comparison
}

/// Merges two rows: the values of the first one, and those of the second one where the first has none.
pub(crate) fn merge_samples(first: &[Sample], second: &[Sample]) -> Vec<Sample> {
    let pairs = first.iter().zip(second);
    pairs.map(|(one, other)| if one.value().is_some() { *one } else { *other }).collect()
}

/// What was found about the order of a recording's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowOrder {
    /// Rows that are earlier than some row before them.
    pub out_of_order: Option<Finding>,
    /// The number of rows that are earlier than the previous row.
    pub steps_back: u64,
    /// The number of rows that are later than the previous row.
    pub steps_forward: u64,
    /// Rows that add nothing to another row with the same time; they are skipped.
    pub repeats: Option<Finding>,
    /// Rows with another value of a channel than a row with the same time.
    pub conflicts: Option<Finding>,
    /// The number of rows that were merged into a row with the same time.
    pub merged: u64,
}

/// Counts a finding: creates it the first time, and increments it from then on.
pub(crate) fn count_finding(counted: &mut Option<Finding>, finding: impl FnOnce() -> Finding) {
    match counted {
        Some(counted) => counted.increment(),
        None => *counted = Some(finding()),
    }
}

impl RowOrder {
    /// Whether the file has its newest row first: time goes back at least once, and never forward.
    pub(crate) fn is_newest_first(&self) -> bool {
        self.steps_back > 0 && self.steps_forward == 0
    }

    /// Counts a row that repeats another row with the same time, or is merged into it.
    pub(crate) fn record_comparison(&mut self, comparison: RowComparison, first: &NumberedRow, second: &NumberedRow) {
        match comparison {
            RowComparison::Repeat => count_finding(&mut self.repeats, || {
                let what = format!("{:?} is a repeat", second.row.recorded_at);
                Finding::new(second.line, what).why(format!("of line {}", first.line))
            }),
            RowComparison::Complement | RowComparison::Conflict(_) => self.merged += 1,
        }
    }

    /// Counts a row with another value of this channel than a row with the same time.
    pub(crate) fn conflict(&mut self, profile: &Profile, first: &NumberedRow, second: &NumberedRow, channel: usize) {
        count_finding(&mut self.conflicts, || {
            let name = &profile.channels()[channel].name;
            let value = |row: &Row| row.samples[channel].value().unwrap_or(f64::NAN);
            let (one, other) = (value(&first.row), value(&second.row));
            let what = format!("at {:?}", second.row.recorded_at);
            Finding::new(second.line, what).why(format!("{name} is {other}, and {one} in line {}", first.line))
        });
    }
}

/// Merges consecutive rows with the same time.
#[derive(Debug)]
pub(crate) struct Merger<'a> {
    profile: &'a Profile,
    pending: Option<NumberedRow>,
    newest: Option<Timestamp>,
    /// On a conflict, keep the first value and merge the row's other channels. If false, both rows are kept.
    keep_first: bool,
    pub(crate) order: RowOrder,
}

impl<'a> Merger<'a> {
    pub(crate) fn new(profile: &'a Profile, keep_first: bool) -> Self {
        Self { profile, pending: None, newest: None, keep_first, order: RowOrder::default() }
    }

    /// Adds the next row. Returns the row before it if that is complete.
    pub(crate) fn push(&mut self, next: NumberedRow) -> Option<NumberedRow> {
        let Some(mut last) = self.pending.take() else {
            self.newest = Some(next.row.at);
            self.pending = Some(next);
            return None;
        };
        if last.row.at != next.row.at {
            self.record_step(&last, &next);
            self.pending = Some(next);
            return Some(last);
        }
        match compare_samples(&last.row.samples, &next.row.samples) {
            comparison @ (RowComparison::Repeat | RowComparison::Complement) => {
                self.order.record_comparison(comparison, &last, &next);
            }
            RowComparison::Conflict(channel) => {
                self.order.conflict(self.profile, &last, &next, channel);
                if !self.keep_first {
                    self.pending = Some(next);
                    return Some(last);
                }
            }
        }
        merge(&mut last.row, &next.row);
        self.pending = Some(last);
        None
    }

    /// Returns the last row.
    pub(crate) fn flush(&mut self) -> Option<NumberedRow> {
        self.pending.take()
    }

    fn record_step(&mut self, last: &NumberedRow, next: &NumberedRow) {
        let at = next.row.at;
        self.order.steps_back += u64::from(at < last.row.at);
        self.order.steps_forward += u64::from(at > last.row.at);
        if self.newest.is_some_and(|newest| at < newest) {
            count_finding(&mut self.order.out_of_order, || {
                let what = format!("{:?} is earlier than a row before it", next.row.recorded_at);
                Finding::new(next.line, what)
            });
        }
        self.newest = self.newest.max(Some(at));
    }
}

pub(super) fn merge(row: &mut Row, other: &Row) {
    row.samples = merge_samples(&row.samples, &other.samples).into();
    // If the labels differ, the one for an abnormal state counts.
    row.normal = [row.normal, other.normal].into_iter().flatten().reduce(|one, other| one && other);
    row.anomaly = [row.anomaly, other.anomaly].into_iter().flatten().reduce(|one, other| one || other);
}

/// Splits a recording wherever a row is more than `slack_ms` earlier than the latest row before it. No window spans two
/// segments.
pub fn ordered_segments(rows: &[Row], slack_ms: i64) -> Vec<&[Row]> {
    let mut segments = Vec::new();
    let (mut start, mut newest) = (0, None);
    for (index, row) in rows.iter().enumerate() {
        if newest.is_some_and(|newest: Timestamp| newest.since_ms(row.at) > slack_ms) {
            segments.push(&rows[start..index]);
            (start, newest) = (index, None);
        }
        newest = newest.max(Some(row.at));
    }
    segments.push(&rows[start..]);
    segments
}
