//! Rows of one time, and rows whose time goes back.
//!
//! ```text
//! 10:14:33  2950, -        one row per tag: the rows of one time are merged,
//! 10:14:33  -,    61.5     2950, 61.5
//! 10:14:34  2950, 61.5
//! 10:14:34  2950, 61.5     an exact repeat: left out
//! 10:14:35  2950, 61.5
//! 10:14:35  2950, 61.9     two values of one channel: a conflict, both rows stay
//! 10:14:05  2950, 61.5     time goes back
//! ```

use volute_plant::{Profile, Sample, Timestamp};

use super::{findings::Finding, row::Row, rows::Numbered};

/// What two rows of one time say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    /// The second one adds nothing.
    Repeat,
    /// The second one has channels that the first one has not.
    Parts,
    /// They have two values of this channel.
    Conflict(usize),
}

/// Compares two rows of one time, by the numbers that they hold.
pub(crate) fn compare(first: &[Sample], second: &[Sample]) -> Together {
    let mut together = Together::Repeat;
    for (channel, (one, other)) in first.iter().zip(second).enumerate() {
        match (one.value(), other.value()) {
            (Some(one), Some(other)) if one != other => return Together::Conflict(channel),
            (None, Some(_)) => together = Together::Parts,
            _ => {}
        }
    }
    together
}

/// The values of the first; of the second where it has none.
pub(crate) fn merged(first: &[Sample], second: &[Sample]) -> Vec<Sample> {
    let pairs = first.iter().zip(second);
    pairs.map(|(one, other)| if one.value().is_some() { *one } else { *other }).collect()
}

/// What the order of a recording's rows is like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowOrder {
    /// Rows that are earlier than one before them.
    pub out_of_order: Option<Finding>,
    /// Rows that are earlier than the one right before them.
    pub steps_back: u64,
    /// Rows that are later than the one right before them.
    pub steps_forward: u64,
    /// Rows that say the same as another one of their time, and are left out.
    pub repeats: Option<Finding>,
    /// Rows whose time another one has, with another value of the same channel.
    pub conflicts: Option<Finding>,
    /// Rows that were merged into one of the same time.
    pub parts: u64,
}

pub(crate) fn count(place: &mut Option<Finding>, finding: impl FnOnce() -> Finding) {
    match place {
        Some(finding) => finding.again(),
        None => *place = Some(finding()),
    }
}

impl RowOrder {
    /// Whether every row is earlier than the one before it.
    pub(crate) fn is_newest_first(&self) -> bool {
        self.steps_back > 0 && self.steps_forward == 0
    }

    /// Counts a row that adds nothing to the one of its time, or further channels.
    pub(crate) fn note_together(&mut self, together: Together, first: &Numbered, second: &Numbered) {
        match together {
            Together::Repeat => count(&mut self.repeats, || {
                let what = format!("{:?} is a repeat", second.row.recorded_at);
                Finding::new(second.line, what).why(format!("of line {}", first.line))
            }),
            Together::Parts | Together::Conflict(_) => self.parts += 1,
        }
    }

    /// Says that a row has another value than the one of its time.
    pub(crate) fn conflict(&mut self, profile: &Profile, first: &Numbered, second: &Numbered, channel: usize) {
        count(&mut self.conflicts, || {
            let name = &profile.channels()[channel].name;
            let value = |row: &Row| row.samples[channel].value().unwrap_or(f64::NAN);
            let (one, other) = (value(&first.row), value(&second.row));
            let what = format!("same time, other values: {:?}", second.row.recorded_at);
            Finding::new(second.line, what).why(format!("as in line {}: {name} {other}, there {one}", first.line))
        });
    }
}

/// Puts rows of one time together that follow one another.
#[derive(Debug)]
pub(crate) struct Merger<'a> {
    profile: &'a Profile,
    waiting: Option<Numbered>,
    newest: Option<Timestamp>,
    /// Conflicting values are dropped, the row's other channels are kept.
    keep_first: bool,
    pub(crate) order: RowOrder,
}

impl<'a> Merger<'a> {
    pub(crate) fn new(profile: &'a Profile, keep_first: bool) -> Self {
        Self { profile, waiting: None, newest: None, keep_first, order: RowOrder::default() }
    }

    /// Takes the next row, and returns the one before it once that is whole.
    pub(crate) fn push(&mut self, next: Numbered) -> Option<Numbered> {
        let Some(mut last) = self.waiting.take() else {
            self.newest = Some(next.row.at);
            self.waiting = Some(next);
            return None;
        };
        if last.row.at != next.row.at {
            self.note_order(&last, &next);
            self.waiting = Some(next);
            return Some(last);
        }
        match compare(&last.row.samples, &next.row.samples) {
            together @ (Together::Repeat | Together::Parts) => self.order.note_together(together, &last, &next),
            Together::Conflict(channel) => {
                self.order.conflict(self.profile, &last, &next, channel);
                if !self.keep_first {
                    self.waiting = Some(next);
                    return Some(last);
                }
            }
        }
        merge(&mut last.row, &next.row);
        self.waiting = Some(last);
        None
    }

    /// The last row.
    pub(crate) fn flush(&mut self) -> Option<Numbered> {
        self.waiting.take()
    }

    fn note_order(&mut self, last: &Numbered, next: &Numbered) {
        let at = next.row.at;
        self.order.steps_back += u64::from(at < last.row.at);
        self.order.steps_forward += u64::from(at > last.row.at);
        if self.newest.is_some_and(|newest| at < newest) {
            count(&mut self.order.out_of_order, || {
                let what = format!("{:?} is earlier than a row before it", next.row.recorded_at);
                Finding::new(next.line, what)
            });
        }
        self.newest = self.newest.max(Some(at));
    }
}

pub(super) fn merge(row: &mut Row, other: &Row) {
    row.samples = merged(&row.samples, &other.samples).into();
    // A label that says that something is wrong stands.
    row.normal = [row.normal, other.normal].into_iter().flatten().reduce(|one, other| one && other);
    row.anomaly = [row.anomaly, other.anomaly].into_iter().flatten().reduce(|one, other| one || other);
}

/// The parts of a recording between which time goes back by more than `slack_ms`: no window spans two of them.
pub fn parts(rows: &[Row], slack_ms: i64) -> Vec<&[Row]> {
    let mut parts = Vec::new();
    let (mut start, mut newest) = (0, None);
    for (index, row) in rows.iter().enumerate() {
        if newest.is_some_and(|newest: Timestamp| newest.since_ms(row.at) > slack_ms) {
            parts.push(&rows[start..index]);
            (start, newest) = (index, None);
        }
        newest = newest.max(Some(row.at));
    }
    parts.push(&rows[start..]);
    parts
}
