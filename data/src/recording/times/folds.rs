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
//! tells, and nothing is guessed; nor where rows out of their order explain the one step as well, as it does not lead from
//! the hour's end to its start, and hardly a time is there twice:
//!
//! ```text
//!   02:00:00  02:20:00  02:10:00  02:30:00 .. 03:00:00   two rows swapped, or the clocks put back: asks
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Timelike};

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
    /// The lines and the times in it, to the second, where it is another than the row's before.
    seconds: Vec<(u64, NaiveDateTime)>,
    /// The row before it is just before the hour.
    goes_on_from: bool,
    /// The row after it is just after the hour.
    goes_on_to: bool,
}

/// Which hour the rows of a fold are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decided {
    /// The rows before this line in the one, the others in the other.
    Split { at: u64, before: RepeatedHour, after: RepeatedHour },
    /// All in this one, as the rows around them tell.
    All(RepeatedHour),
    /// All in this one, as a person says.
    Asked(RepeatedHour),
    /// Time goes back once, and rows out of order may be why.
    OneStep,
    /// Time goes back several times.
    Steps(u64),
    /// The hour is there once.
    Once,
}

/// What the order of a file's rows says about its repeated hours; fed with every row, then decided, then asked.
#[derive(Debug)]
pub(in crate::recording) struct Folds {
    zone: Option<TimeZone>,
    asked: Option<RepeatedHour>,
    folds: BTreeMap<NaiveDate, Fold>,
    decided: BTreeMap<NaiveDate, Decided>,
    last: Option<(NaiveDateTime, bool)>,
    /// Rows that are later than the one before them, less those that are earlier.
    direction: i64,
}

impl Folds {
    pub(in crate::recording) fn new(zone: Option<TimeZone>, asked: Option<RepeatedHour>) -> Self {
        Self { zone, asked, folds: BTreeMap::new(), decided: BTreeMap::new(), last: None, direction: 0 }
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
        let second = local.with_nanosecond(0).unwrap_or(local);
        if fold.seconds.last().is_none_or(|(_, last)| *last != second) {
            fold.seconds.push((line, second));
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

    /// Decides which hour each row is in, when all have been seen.
    pub(in crate::recording) fn decide(&mut self) {
        self.decided = self.folds.iter().map(|(date, fold)| (*date, self.decision(fold))).collect();
    }

    fn decision(&self, fold: &Fold) -> Decided {
        use RepeatedHour::{First, Second};
        let rising = self.direction >= 0;
        let ((at, steps), before, after) =
            if rising { (fold.back, First, Second) } else { (fold.forward, Second, First) };
        let unclear = |what: Decided| self.asked.map_or(what, Decided::Asked);
        match steps {
            0 if rising && fold.goes_on_from && !fold.goes_on_to => Decided::All(First),
            0 if rising && fold.goes_on_to && !fold.goes_on_from => Decided::All(Second),
            0 => unclear(Decided::Once),
            1 if self.may_be_disorder(fold, at, rising) => unclear(Decided::OneStep),
            1 => Decided::Split { at, before, after },
            steps => Decided::Steps(steps),
        }
    }

    /// Whether rows that are out of their order explain the step at this line as well as the clocks do.
    fn may_be_disorder(&self, fold: &Fold, at: u64, rising: bool) -> bool {
        let place = fold.seconds.partition_point(|(line, _)| *line < at);
        let (before, behind) = fold.seconds.split_at(place);
        let (Some((_, last)), Some((_, first))) = (before.last(), behind.first()) else { return false };
        // From the hour's end to its start as the rows follow each other.
        let usual = before.len().checked_sub(2).map_or(LEAST_STEP, |place| (*last - before[place].1).abs() * 3 / 2);
        let (start, end) = self.bounds(*last);
        let across = if rising { (end - *last) + (*first - start) } else { (*last - start) + (end - *first) };
        if across <= usual.max(LEAST_STEP) {
            return false;
        }
        // The clocks bring the same times once more; rows out of order are of times of their own.
        let before: BTreeSet<NaiveDateTime> = before.iter().map(|(_, time)| *time).collect();
        let repeated = behind.iter().filter(|(_, time)| before.contains(time)).count();
        2 * repeated < behind.len()
    }

    /// The local times at which the hour that this time is in begins and ends.
    fn bounds(&self, time: NaiveDateTime) -> (NaiveDateTime, NaiveDateTime) {
        let Localized::Twice(first, second) = localize(self.zone, time) else { return (time, time) };
        let minute = TimeDelta::minutes(1);
        let mut start = time.with_second(0).unwrap_or(time);
        while matches!(localize(self.zone, start - minute), Localized::Twice(..)) {
            start -= minute;
        }
        (start, start + (second - first))
    }

    /// What has to be asked: hours of which it is not known which they are, or of which a person says another one.
    pub(in crate::recording) fn trouble(&self) -> Vec<Finding> {
        let zone = self.zone.map(|zone| zone.to_string()).unwrap_or_default();
        let finding = |(date, decided): (&NaiveDate, &Decided)| {
            const SAY: &str = "say it with --repeated-hour first or second";
            let Fold { first_line, ref first_text, rows, .. } = *self.folds.get(date)?;
            let why = match *decided {
                Decided::Steps(steps) => {
                    format!("and time goes back {steps} times within it: write these times with an offset")
                }
                Decided::OneStep => format!(
                    "and time goes back once within it, as by rows out of order or by the clocks: {SAY} where it is there once, \
                     or else write these times with an offset"
                ),
                Decided::Once => format!("and the order of the rows does not tell which: {SAY}"),
                Decided::All(hour) if self.asked.is_some_and(|asked| asked != hour) => {
                    format!("and the rows around it tell that it is the {hour}: leave --repeated-hour out")
                }
                Decided::Split { .. } | Decided::All(_) | Decided::Asked(_) => return None,
            };
            let what = format!("{first_text:?} is in an hour that stands twice in {zone}");
            Some(Finding { line: first_line, count: rows, what, why })
        };
        self.decided.iter().filter_map(finding).collect()
    }

    /// That what a person says about such an hour is not needed.
    pub(in crate::recording) fn remark(&self) -> Option<String> {
        let asked = self.asked?;
        let is_used = self.decided.values().any(|decided| matches!(decided, Decided::Asked(_) | Decided::All(_)));
        let why = if self.decided.is_empty() {
            "no time is in an hour that stands twice in its zone"
        } else {
            "the order of the rows tells both hours apart"
        };
        (!is_used).then(|| format!("--repeated-hour {asked} is not used: {why}"))
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
        match *self.decided.get(&date)? {
            Decided::Split { at, before, after } => Some(if line < at { before } else { after }),
            Decided::All(hour) | Decided::Asked(hour) => Some(hour),
            Decided::OneStep | Decided::Steps(_) | Decided::Once => None,
        }
    }
}
