//! The hour that a zone repeats when its clocks are put back: which of the two a row is in is told by the rows' order.
//!
//! ```text
//! Europe/Berlin, 26 October 2025
//!   01:59:59  02:00:00 .. 02:59:59 | 02:00:00 .. 02:59:59  03:00:00     time goes back once: the second begins there
//!   01:59:59  02:00:00 .. 02:30:00   (the file ends)                    goes on from 01:59:59: the first
//!   (the file begins)  02:30:00 .. 02:59:59  03:00:00                   goes on to 03:00:00: the second
//!   01:50:00  02:00:00 .. 02:50:00  03:00:00, a row every 10 minutes    one hour is not there: asks for --repeated-hour
//! ```
//!
//! A file with its newest rows first is the same, mirrored. Where time goes back several times within such an hour, nothing
//! tells, and nothing is guessed.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use super::{Localized, RepeatedHour, TimeZone, follows, localize};
use crate::recording::findings::Finding;

/// A step back of less than this is disorder, not the clocks being put back.
const LEAST_STEP: TimeDelta = TimeDelta::seconds(60);

/// One repeated hour and what the rows around it say.
#[derive(Debug, Clone, Default)]
struct Fold {
    first_line: u64,
    first_text: String,
    rows: u64,
    /// The line behind each step back, and how many there are.
    back: (u64, u64),
    /// The same of steps forward.
    forward: (u64, u64),
    /// The row before it is just before the hour.
    goes_on_from: bool,
    /// The row after it is just after the hour.
    goes_on_to: bool,
}

/// What the order of a file's rows says about its repeated hours; fed with every row, then asked.
#[derive(Debug)]
pub(in crate::recording) struct Folds {
    zone: Option<TimeZone>,
    asked: Option<RepeatedHour>,
    folds: BTreeMap<NaiveDate, Fold>,
    last: Option<(NaiveDateTime, bool)>,
    /// Rows that are later than the one before them, less those that are earlier.
    direction: i64,
}

impl Folds {
    pub(in crate::recording) fn new(zone: Option<TimeZone>, asked: Option<RepeatedHour>) -> Self {
        Self { zone, asked, folds: BTreeMap::new(), last: None, direction: 0 }
    }

    /// Takes the local time of the next row.
    pub(in crate::recording) fn see(&mut self, line: u64, text: &str, local: NaiveDateTime) {
        if self.zone.is_none() {
            return;
        }
        let twice = matches!(localize(self.zone, local), Localized::Twice(..));
        let last = self.last.replace((local, twice));
        let step = last.map_or(TimeDelta::zero(), |(last, _)| local - last);
        self.direction += i64::from(step > TimeDelta::zero()) - i64::from(step < TimeDelta::zero());
        if !twice {
            if let Some((last, true)) = last
                && let Some(fold) = self.folds.get_mut(&last.date())
            {
                fold.goes_on_to |= follows(last, local);
            }
            return;
        }
        let fold = self.folds.entry(local.date()).or_default();
        fold.rows += 1;
        if fold.rows == 1 {
            (fold.first_line, fold.first_text) = (line, text.to_owned());
        }
        match last {
            Some((last, true)) if last.date() == local.date() => {
                let steps = if step < -LEAST_STEP {
                    &mut fold.back
                } else if step > LEAST_STEP {
                    &mut fold.forward
                } else {
                    return;
                };
                *steps = (if steps.1 == 0 { line } else { steps.0 }, steps.1 + 1);
            }
            Some((last, false)) => fold.goes_on_from |= follows(last, local),
            _ => {}
        }
    }

    /// The hours of which it is not known which they are; each is something to ask.
    pub(in crate::recording) fn unknown(&self) -> Vec<Finding> {
        let zone = self.zone.map(|zone| zone.to_string()).unwrap_or_default();
        let unknown = self.folds.iter().filter(|(date, _)| self.half(**date, 0).is_none());
        let finding = |(_, fold): (&NaiveDate, &Fold)| {
            let Fold { first_line, ref first_text, rows, back, .. } = *fold;
            let hour = format!("{first_text:?} is in an hour that stands twice in {zone}");
            let why = if back.1 > 1 && self.direction >= 0 {
                format!("and time goes back {} times within it: write these times with an offset", back.1)
            } else {
                "and the order of the rows does not tell which: say it with --repeated-hour first or second".to_owned()
            };
            Finding { line: first_line, count: rows, what: hour, why }
        };
        unknown.map(finding).collect()
    }

    /// The local time in UTC, for a row at this line.
    pub(in crate::recording) fn utc(&self, line: u64, local: NaiveDateTime) -> Option<NaiveDateTime> {
        match localize(self.zone, local) {
            Localized::Once(time) => Some(time),
            Localized::Never => None,
            Localized::Twice(first, second) => match self.half(local.date(), line)? {
                RepeatedHour::First => Some(first),
                RepeatedHour::Second => Some(second),
            },
        }
    }

    fn half(&self, date: NaiveDate, line: u64) -> Option<RepeatedHour> {
        use RepeatedHour::{First, Second};
        let fold = self.folds.get(&date)?;
        let (steps, before, after) =
            if self.direction >= 0 { (fold.back, First, Second) } else { (fold.forward, Second, First) };
        match steps {
            (at, 1) => Some(if line < at { before } else { after }),
            (_, 0) if self.direction >= 0 && fold.goes_on_from && !fold.goes_on_to => Some(First),
            (_, 0) if self.direction >= 0 && fold.goes_on_to && !fold.goes_on_from => Some(Second),
            (_, 0) => self.asked,
            _ => None,
        }
    }
}
