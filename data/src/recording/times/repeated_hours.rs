//! Decides which of the two hours a local time is in, if its zone repeats the hour because the clocks are put back. The
//! decision follows from the order of the rows:
//!
//! ```text
//! Europe/Berlin, 26 October 2025
//!   01:59:59  02:00:00 .. 02:59:59 | 02:00:00 .. 02:59:59  03:00:00     time goes back once: second hour from there
//!   01:59:59  02:00:00 .. 02:30:00   (the file ends)                    follows 01:59:59: the first hour
//!   (the file begins)  02:30:00 .. 02:59:59  03:00:00                   is followed by 03:00:00: the second hour
//!   01:50:00  02:00:00 .. 02:50:00  03:00:00, a row every 10 minutes    one hour is missing: asks for --repeated-hour
//! ```
//!
//! A file with its newest rows first is read in the same way, in reverse. Nothing is decided if time goes back several
//! times within the hour. Nothing is decided either if a single step back may also come from rows out of order. That is
//! possible if the step does not lead from the hour's end to its start, and fewer than half of the times after the step
//! also occur before it:
//!
//! ```text
//!   02:00:00  02:20:00  02:10:00  02:30:00 .. 03:00:00   two rows swapped, or clocks put back: asks for --repeated-hour
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Timelike};

use super::{Localized, RepeatedHour, TimeZone, follows_closely, localize};
use crate::recording::findings::Finding;

/// A smaller step back is disorder in the rows, not a change of the clocks.
const MIN_STEP: TimeDelta = TimeDelta::seconds(60);

/// The rows in and around one repeated hour.
#[derive(Debug, Clone, Default)]
struct HourRows {
    first_line: u64,
    first_text: String,
    rows: u64,
    /// Steps back within the hour: the line after the first one, and their number.
    back: (u64, u64),
    /// Steps forward within the hour: the line after the first one, and their number.
    forward: (u64, u64),
    /// The lines and times in the hour, truncated to seconds, without consecutive duplicates.
    seconds: Vec<(u64, NaiveDateTime)>,
    /// The rows of the hour closely follow a row before the hour.
    continues_from_before: bool,
    /// The rows of the hour are closely followed by a row after the hour.
    continues_after: bool,
}

/// Which of the two hours the rows are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HourDecision {
    /// The rows before this line are in one hour, the others in the other one.
    Split { at: u64, before: RepeatedHour, after: RepeatedHour },
    /// All rows are in this hour, as the rows around them show.
    All(RepeatedHour),
    /// All rows are in this hour, as the user says.
    Chosen(RepeatedHour),
    /// Unknown: time goes back once, perhaps because rows are out of order.
    OneStep,
    /// Unknown: time goes back this many times.
    Steps(u64),
    /// Unknown: the hour occurs once.
    Once,
}

/// Resolves the repeated hours of a file: observes every row, then decides, then converts times to UTC.
#[derive(Debug)]
pub(in crate::recording) struct RepeatedHours {
    zone: Option<TimeZone>,
    /// The hour that the user chose with `--repeated-hour`.
    chosen: Option<RepeatedHour>,
    hours: BTreeMap<NaiveDate, HourRows>,
    decisions: BTreeMap<NaiveDate, HourDecision>,
    /// The last row's local time, and whether it is in a repeated hour.
    last: Option<(NaiveDateTime, bool)>,
    /// The number of rows later than the row before them, minus the number of earlier ones.
    direction: i64,
}

impl RepeatedHours {
    pub(in crate::recording) fn new(zone: Option<TimeZone>, chosen: Option<RepeatedHour>) -> Self {
        Self { zone, chosen, hours: BTreeMap::new(), decisions: BTreeMap::new(), last: None, direction: 0 }
    }

    /// Adds the local time of the next row.
    pub(in crate::recording) fn observe(&mut self, line: u64, text: &str, local: NaiveDateTime) {
        if self.zone.is_none() {
            return;
        }
        let is_repeated = matches!(localize(self.zone, local), Localized::Ambiguous(..));
        let last = self.last.replace((local, is_repeated));
        let step = last.map_or(TimeDelta::zero(), |(last, _)| local - last);
        self.direction += i64::from(step > TimeDelta::zero()) - i64::from(step < TimeDelta::zero());
        if !is_repeated {
            if let Some((last, true)) = last
                && let Some(hour) = self.hours.get_mut(&last.date())
            {
                hour.continues_after |= follows_closely(last, local);
            }
            return;
        }
        let hour = self.hours.entry(local.date()).or_default();
        hour.rows += 1;
        if hour.rows == 1 {
            (hour.first_line, hour.first_text) = (line, text.to_owned());
        }
        let second = local.with_nanosecond(0).unwrap_or(local);
        if hour.seconds.last().is_none_or(|(_, last)| *last != second) {
            hour.seconds.push((line, second));
        }
        match last {
            Some((last, true)) if last.date() == local.date() => {
                let steps = if step < -MIN_STEP {
                    &mut hour.back
                } else if step > MIN_STEP {
                    &mut hour.forward
                } else {
                    return;
                };
                *steps = (if steps.1 == 0 { line } else { steps.0 }, steps.1 + 1);
            }
            Some((last, false)) => hour.continues_from_before |= follows_closely(last, local),
            _ => {}
        }
    }

    /// Decides which hour each row is in, once all rows have been observed.
    pub(in crate::recording) fn decide(&mut self) {
        self.decisions = self.hours.iter().map(|(date, hour)| (*date, self.decision(hour))).collect();
    }

    fn decision(&self, hour: &HourRows) -> HourDecision {
        use RepeatedHour::{First, Second};
        let rising = self.direction >= 0;
        let ((at, steps), before, after) =
            if rising { (hour.back, First, Second) } else { (hour.forward, Second, First) };
        let unless_chosen = |unknown: HourDecision| self.chosen.map_or(unknown, HourDecision::Chosen);
        match steps {
            0 if rising && hour.continues_from_before && !hour.continues_after => HourDecision::All(First),
            0 if rising && hour.continues_after && !hour.continues_from_before => HourDecision::All(Second),
            0 => unless_chosen(HourDecision::Once),
            1 if self.may_be_disorder(hour, at, rising) => unless_chosen(HourDecision::OneStep),
            1 => HourDecision::Split { at, before, after },
            steps => HourDecision::Steps(steps),
        }
    }

    /// Whether the step at this line may come from rows out of order instead of the clocks.
    fn may_be_disorder(&self, hour: &HourRows, at: u64, rising: bool) -> bool {
        let split = hour.seconds.partition_point(|(line, _)| *line < at);
        let (before, after) = hour.seconds.split_at(split);
        let (Some((_, last)), Some((_, first))) = (before.last(), after.first()) else { return false };
        // If the clocks were put back, the rows go on from the hour's end to its start at their usual interval.
        let usual = before.len().checked_sub(2).map_or(MIN_STEP, |index| (*last - before[index].1).abs() * 3 / 2);
        let (start, end) = self.bounds(*last);
        let across = if rising { (end - *last) + (*first - start) } else { (*last - start) + (end - *first) };
        if across <= usual.max(MIN_STEP) {
            return false;
        }
        // If the clocks were put back, the same times occur again. Rows out of order have different times.
        let before: BTreeSet<NaiveDateTime> = before.iter().map(|(_, time)| *time).collect();
        let repeated = after.iter().filter(|(_, time)| before.contains(time)).count();
        2 * repeated < after.len()
    }

    /// Returns the local times at which the repeated hour around this time begins and ends.
    fn bounds(&self, time: NaiveDateTime) -> (NaiveDateTime, NaiveDateTime) {
        let Localized::Ambiguous(first, second) = localize(self.zone, time) else { return (time, time) };
        let minute = TimeDelta::minutes(1);
        let mut start = time.with_second(0).unwrap_or(time);
        while matches!(localize(self.zone, start - minute), Localized::Ambiguous(..)) {
            start -= minute;
        }
        (start, start + (second - first))
    }

    /// Returns a finding for each hour that is not decided, or for which the user chose the wrong one.
    pub(in crate::recording) fn errors(&self) -> Vec<Finding> {
        let zone = self.zone.map(|zone| zone.to_string()).unwrap_or_default();
        let finding = |(date, decision): (&NaiveDate, &HourDecision)| {
            const HINT: &str = "say it with --repeated-hour first or second";
            let HourRows { first_line, ref first_text, rows, .. } = *self.hours.get(date)?;
            let why = match *decision {
                HourDecision::Steps(steps) => {
                    format!("and time goes back {steps} times within it: write these times with an offset")
                }
                HourDecision::OneStep => format!(
                    "and time goes back once within it, as by rows out of order or by the clocks: {HINT} where it is there once, \
                     or else write these times with an offset"
                ),
                HourDecision::Once => format!("and the order of the rows does not tell which: {HINT}"),
                HourDecision::All(hour) if self.chosen.is_some_and(|chosen| chosen != hour) => {
                    format!("and the rows around it tell that it is the {hour}: leave --repeated-hour out")
                }
                HourDecision::Split { .. } | HourDecision::All(_) | HourDecision::Chosen(_) => return None,
            };
            let what = format!("{first_text:?} is in an hour that occurs twice in {zone}");
            Some(Finding { line: first_line, count: rows, what, why })
        };
        self.decisions.iter().filter_map(finding).collect()
    }

    /// Returns a remark if the hour that the user chose is not used.
    pub(in crate::recording) fn remark(&self) -> Option<String> {
        let chosen = self.chosen?;
        let is_used =
            self.decisions.values().any(|decision| matches!(decision, HourDecision::Chosen(_) | HourDecision::All(_)));
        let why = if self.decisions.is_empty() {
            "no time is in an hour that occurs twice in its zone"
        } else {
            "the order of the rows tells both hours apart"
        };
        (!is_used).then(|| format!("--repeated-hour {chosen} is not used: {why}"))
    }

    /// Converts the local time of the row at this line to UTC; none if the time is skipped or ambiguous.
    pub(in crate::recording) fn utc(&self, line: u64, local: NaiveDateTime) -> Option<NaiveDateTime> {
        match localize(self.zone, local) {
            Localized::Single(time) => Some(time),
            Localized::Skipped => None,
            Localized::Ambiguous(first, second) => match self.hour_of(local.date(), line)? {
                RepeatedHour::First => Some(first),
                RepeatedHour::Second => Some(second),
            },
        }
    }

    fn hour_of(&self, date: NaiveDate, line: u64) -> Option<RepeatedHour> {
        match *self.decisions.get(&date)? {
            HourDecision::Split { at, before, after } => Some(if line < at { before } else { after }),
            HourDecision::All(hour) | HourDecision::Chosen(hour) => Some(hour),
            HourDecision::OneStep | HourDecision::Steps(_) | HourDecision::Once => None,
        }
    }
}
