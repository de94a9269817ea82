//! The first reading of a file: what has to be known of all its lines before one number can be read.
//!
//! Finds the decimal mark, the repeated hours of the zone, the times that have more than one meaning, and the lines that
//! are no rows.

use std::{cmp::Ordering, collections::BTreeMap, io};

use chrono::NaiveDateTime;
use volute_plant::Profile;

use super::{
    cells::{DecimalMark, MarkEvidence, NumberFormat, bare},
    column::{Column, Heading},
    columns::{is_bare_pump, is_weak_pump, pump_rank},
    dialect::Dialect,
    findings::{Finding, Findings, plain, plural, quoted},
    grouping::{Texts, is_state},
    layout::{Layout, is_same_pump},
    quality::{Verdicts, Words},
    records::{Line, Records},
    source::Source,
    text::Record,
    times::{
        self, Localized, Moment, TimeZone, diagnose::why_not, folds::Folds, localize, propose::Proposals,
        zones::NamedZone,
    },
};

/// Pumps of a file that are told by name.
const MOST_PUMPS: usize = 20;
/// Pumps of a file that are counted by name.
const MOST_COUNTED: usize = 50;
/// Two columns of times that are further apart than this say different things.
const TIMES_DISAGREE_S: i64 = 60;

/// What is known of a file before its rows are read.
#[derive(Debug)]
pub(super) struct Plan {
    pub number: NumberFormat,
    /// Whether the numbers can be read: their decimal mark is known.
    pub mark_is_known: bool,
    pub folds: Folds,
    /// What the words of the quality columns mean, by their places.
    pub qualities: BTreeMap<usize, Verdicts>,
    /// What there is to say of all rows together.
    pub remarks: Vec<String>,
    /// Times that are taken as UTC because nothing says otherwise.
    pub taken_as_utc: u64,
    /// Why the file is not read.
    pub trouble: Findings,
    /// What is left out.
    pub left_out: Findings,
}

/// Reads all lines once.
pub(super) fn survey(source: &Source<'_>, layout: &Layout, profile: &Profile, dialect: &Dialect) -> io::Result<Plan> {
    let named = dialect.time_format.as_ref().and_then(times::TimeFormat::zone).or_else(|| layout.zone());
    let zone = match (dialect.time_zone, &named) {
        (None, Some(NamedZone::Known(zone))) => Some(*zone),
        (asked, _) => asked,
    };
    let mut survey = Survey {
        layout,
        profile,
        dialect,
        named,
        zone,
        locals: 0,
        with_offset: None,
        without_offset: None,
        before: None,
        other_times: None,
        pumps: BTreeMap::new(),
        more_pumps: false,
        texts: BTreeMap::new(),
        words: BTreeMap::new(),
        marks: MarkEvidence::default(),
        folds: Folds::new(zone, dialect.repeated_hour),
        proposals: Proposals::default(),
        taken_as_utc: 0,
        trouble: Findings::default(),
        left_out: Findings::default(),
    };
    let mut records = Records::open(source, layout)?;
    while let Some((number, line)) = records.next()? {
        survey.see(number, &line);
    }
    Ok(survey.finish())
}

/// The text of a row's time, from one column or two.
pub(super) fn time_text(layout: &Layout, record: &Record) -> String {
    let place = |wanted: Column| layout.columns.iter().position(|column| *column == wanted);
    let text = |wanted| place(wanted).map(|place| record.cell(place)).unwrap_or_default();
    match place(Column::TimeOfDay) {
        None => text(Column::Time).to_owned(),
        Some(_) => format!("{} {}", text(Column::Time), text(Column::TimeOfDay)).trim().to_owned(),
    }
}

struct Survey<'a> {
    layout: &'a Layout,
    profile: &'a Profile,
    dialect: &'a Dialect,
    /// The zone that the file or the format names.
    named: Option<NamedZone>,
    /// The zone of times without an offset.
    zone: Option<TimeZone>,
    /// Times without an offset.
    locals: u64,
    /// Times with an offset, and those without one that are read without a format.
    with_offset: Option<Finding>,
    without_offset: Option<Finding>,
    /// The time of the row before: its text, and what it is read as.
    before: Option<(String, Option<NaiveDateTime>)>,
    /// Where another column says another time.
    other_times: Option<Finding>,
    /// By name, each with its first line and how many rows it has.
    pumps: BTreeMap<String, Finding>,
    /// There are more of them than are counted.
    more_pumps: bool,
    /// Of the columns that nobody knows, by their places.
    texts: BTreeMap<usize, Texts>,
    /// Of the quality columns, by their places.
    words: BTreeMap<usize, Words>,
    marks: MarkEvidence,
    folds: Folds,
    proposals: Proposals,
    taken_as_utc: u64,
    trouble: Findings,
    left_out: Findings,
}

impl Survey<'_> {
    fn see(&mut self, number: u64, line: &Line) {
        let header = self.layout.columns.len();
        match line {
            Line::Row(record) => self.see_row(number, record),
            Line::OpenEnd(record, text) => {
                self.see_row(number, record);
                let name = self.layout.name(record.len() - 1);
                let what = format!("{name}: {}, as its line has no end and it may be cut off", quoted(text));
                self.left_out.add(number, what, "; the row is kept without it");
            }
            Line::Ragged(record) => {
                let comma = self.layout.delimiter == b',' && record.len() > header;
                let why = if comma { "; are its decimal marks commas, as its delimiter is?" } else { "" };
                let cells = plural(record.len() as u64, "cell");
                self.trouble.add(number, format!("{cells}, and the header has {header}"), why);
            }
            Line::OpenQuote => {
                let why = "in its line: a cell that goes on in the next line is not read";
                self.trouble.add(number, "a quote that is not closed".into(), why);
            }
            Line::CutOff { cells } => {
                let why = format!("after {}, and the header has {header}", plural(*cells as u64, "whole cell"));
                self.left_out.add(number, "the file ends within the row".into(), &why);
            }
            Line::Header => self.left_out.add(number, "the header again".into(), ""),
            Line::Comment => self.left_out.add(number, "a comment".into(), ""),
            Line::Zeros => self.left_out.add(number, "zero bytes".into(), ""),
        }
    }

    fn see_row(&mut self, number: u64, record: &Record) {
        for (place, column) in self.layout.columns.iter().enumerate() {
            let (name, cell) = (self.layout.name(place), record.cell(place));
            match column {
                Column::Channel(index) => {
                    self.marks.see(number, name, &bare(cell, &self.profile.channels()[*index].unit));
                }
                Column::PumpId => self.see_pump(number, cell),
                Column::Quality(_) => self.words.entry(place).or_default().see(number, name, cell),
                _ => {}
            }
        }
        if self.layout.is_of_another_pump(record, self.dialect) {
            return;
        }
        let order = match self.layout.columns.contains(&Column::Time) {
            true => self.see_times(number, record),
            false => None,
        };
        for (place, column) in self.layout.columns.iter().enumerate() {
            if matches!(column, Column::Unknown | Column::Unnamed) {
                self.texts.entry(place).or_default().see(number, record.cell(place), order);
            }
        }
    }

    /// Reads a row's time, and says how it goes with that of the row before.
    fn see_times(&mut self, number: u64, record: &Record) -> Option<Ordering> {
        let text = time_text(self.layout, record);
        let moment = self.see_time(number, &text);
        if let Some(moment) = moment {
            self.see_other_times(number, record, &text, moment);
        }
        let time = moment.map(Moment::as_utc);
        let (text_before, before) = self.before.replace((text.clone(), time))?;
        match (before, time) {
            _ if text == text_before => Some(Ordering::Equal),
            (Some(before), Some(time)) => Some(time.cmp(&before)),
            _ => None,
        }
    }

    /// Compares the time with those of the columns that are not used for it.
    fn see_other_times(&mut self, number: u64, record: &Record, text: &str, moment: Moment) {
        let is_said =
            self.dialect.columns.values().any(|column| matches!(&*Heading::new(column).base, "timestamp" | "datetime"));
        if is_said {
            return;
        }
        for &(place, time_of_day) in &self.layout.other_times {
            let cell = |place: usize| record.cell(place);
            let other_text =
                time_of_day.map_or_else(|| cell(place).to_owned(), |time| format!("{} {}", cell(place), cell(time)));
            let Some(other) = times::read(&other_text, None) else { continue };
            let (time, other_time) = match (moment, other) {
                // What counts from 1970 or has an offset is sure; the other is by some clock.
                (Moment::Absolute(_), Moment::Local(_)) => continue,
                (Moment::Local(local), Moment::Absolute(other)) => match localize(self.zone, local) {
                    Localized::Once(time) => (time, other),
                    _ => continue,
                },
                (one, other) => (one.as_utc(), other.as_utc()),
            };
            let apart_s = (time - other_time).num_seconds().abs();
            if apart_s <= TIMES_DISAGREE_S {
                continue;
            }
            if let Some(finding) = &mut self.other_times {
                finding.again();
                break;
            }
            let names = self.layout.name(place).to_owned();
            let names = time_of_day.map_or(names.clone(), |time| format!("{names} {}", self.layout.name(time)));
            let used = self.layout.time_name();
            let what = format!(
                "two times that are {apart_s} s apart: {used}: {}, {names}: {}",
                quoted(text),
                quoted(&other_text)
            );
            let first = |place: Option<usize>| place.map(|place| plain(self.layout.name(place))).unwrap_or_default();
            let used_place = self.layout.columns.iter().position(|column| *column == Column::Time);
            let use_other = match time_of_day {
                None => format!("--column '{}=timestamp'", plain(&names)),
                Some(_) => format!("--column '{}=ignore'", first(used_place)),
            };
            let why = match self.layout.columns.contains(&Column::TimeOfDay) {
                false => format!(
                    ": --column '{}=timestamp' says that {} is the time, {use_other} that {} is",
                    first(used_place),
                    quoted(&used),
                    quoted(&names)
                ),
                true => format!(
                    ": --column '{}=ignore' says that {} is the time, {use_other} that {} is",
                    plain(&names),
                    quoted(&used),
                    quoted(&names)
                ),
            };
            self.other_times = Some(Finding::new(number, what).why(why));
            break;
        }
    }

    fn see_pump(&mut self, number: u64, pump: &str) {
        if let Some(finding) = self.pumps.get_mut(pump) {
            finding.again();
        } else if let Some((_, finding)) = self.pumps.iter_mut().find(|(name, _)| is_same_pump(name, pump)) {
            finding.again();
        } else if self.pumps.len() < MOST_COUNTED {
            self.pumps.insert(pump.to_owned(), Finding::new(number, quoted(pump)));
        } else {
            self.more_pumps = true;
        }
    }

    fn see_time(&mut self, number: u64, text: &str) -> Option<Moment> {
        let format = self.dialect.time_format.as_ref();
        let count = |place: &mut Option<Finding>| match place {
            Some(finding) => finding.again(),
            None => *place = Some(Finding::new(number, format!("timestamp: {}", quoted(text)))),
        };
        let moment = times::read(text, format);
        match moment {
            Some(Moment::Absolute(_)) => count(&mut self.with_offset),
            Some(Moment::Local(local)) => {
                self.locals += 1;
                count(&mut self.without_offset);
                self.taken_as_utc += u64::from(self.zone.is_none());
                self.folds.see(number, text, local);
                if let (Localized::Never, Some(zone)) = (localize(self.zone, local), self.zone) {
                    let what = format!("a time that does not exist in {zone}, as its clocks were put forward over it");
                    self.trouble.add(number, what, &format!(": {}", quoted(text)));
                }
            }
            None if format.is_none() && self.proposals.see(number, "timestamp", text) => {}
            None => self.no_time(number, text),
        }
        moment
    }

    /// Times with an offset and times without one, in one file: what zone the others are in is not known.
    fn check_offsets(&mut self) {
        let (Some(with), Some(without), None) = (&self.with_offset, &self.without_offset, self.zone) else { return };
        let why = format!(
            "has no offset, and {} in line {} has one{}: --time-zone says the zone of those without",
            with.what.trim_start_matches("timestamp: "),
            with.line,
            if with.count > 1 { format!(" (and {} more)", with.count - 1) } else { String::new() },
        );
        self.trouble.push(without.clone().why(why));
    }

    /// Every one of them is another text: those that are wrong in the same way are of one kind.
    fn no_time(&mut self, number: u64, text: &str) {
        let why = why_not(text);
        let kind = why.as_ref().map_or("time", |why| why.kind);
        let (what, why) = match (&self.dialect.time_format, why) {
            (Some(format), why) => {
                let why = why.filter(|why| why.is_impossible()).map(|why| format!(": {}", why.why));
                (format!("timestamp: {} is not in the form '{format}'", quoted(text)), why.unwrap_or_default())
            }
            (None, Some(why)) => (format!("timestamp: {} is no time", quoted(text)), format!(": {}", why.why)),
            (None, None) => (format!("timestamp: {} is no time", quoted(text)), FORMS.to_owned()),
        };
        self.trouble.add_alike(number, kind, what, &why);
    }

    /// Whose the rows are, where a column says it.
    fn check_pumps(&mut self, remarks: &mut Vec<String>) {
        let wanted = self.dialect.pump.as_deref();
        let Some(place) = self.layout.pump_place() else {
            if let Some(wanted) = wanted {
                let what = format!("no column is a pump's name, as pump_id, and --file-pump names {}", quoted(wanted));
                self.trouble.push(Finding::new(self.layout.header_line, what));
            }
            self.check_texts();
            return;
        };
        let name = self.layout.name(place);
        let base = if self.dialect.columns.contains_key(name) { String::new() } else { Heading::new(name).base };
        if wanted.is_none() && self.is_no_pump(&base) {
            remarks.push(format!("columns that are not used: {}", quoted(name)));
            self.check_texts();
            return;
        }
        let told = self.told_pumps();
        let Some((first_name, first)) = self.pumps.iter().min_by_key(|(_, finding)| finding.line) else { return };
        let hint = |pump: &str| match pump.is_empty() {
            true => String::new(),
            false => format!("--file-pump '{}'", plain(pump)),
        };
        if let Some(wanted) = wanted {
            if !self.pumps.keys().any(|name| is_same_pump(name, wanted)) && !self.more_pumps {
                let what = format!("{name}: no row is of {}; there is {told}", quoted(wanted));
                self.trouble.push(Finding::new(first.line, what));
            }
        } else if self.pumps.len() > 1 {
            let what = format!("{name}: rows of several pumps: {told}");
            let is_asked_for =
                |name: &&String| self.dialect.read_for.as_ref().is_some_and(|pump| is_same_pump(name, pump.as_str()));
            let proposed = self.pumps.keys().find(is_asked_for).unwrap_or(first_name);
            let proposed = if proposed.is_empty() { self.pumps.keys().nth(1).unwrap_or(proposed) } else { proposed };
            let why = format!("; {} reads the rows of that one only", hint(proposed));
            let why = if is_bare_pump(&base) { format!("{why}; {}", ignore(name)) } else { why };
            self.trouble.push(Finding::new(first.line, what).why(why));
            return;
        } else if let Some(pump) = &self.dialect.read_for
            && !is_same_pump(first_name, pump.as_str())
        {
            if is_weak_pump(&base) {
                remarks.push(format!(
                    "column {} says {} in every row, which is not compared with {pump}",
                    quoted(name),
                    first.what
                ));
            } else {
                let what = format!("{name}: {}", first.what);
                let why =
                    format!("is not {pump}, whose readings they shall be; {} says that they are", hint(first_name));
                let why = if is_bare_pump(&base) { format!("{why}; {}", ignore(name)) } else { why };
                self.trouble.push(Finding { what, why, ..first.clone() });
            }
        }
        self.check_texts();
    }

    /// The pumps with their numbers of rows, for people.
    fn told_pumps(&self) -> String {
        let more = self.pumps.len().saturating_sub(MOST_PUMPS);
        let mut told = told(&self.pumps, MOST_PUMPS);
        if self.more_pumps {
            told.push_str(", and many more");
        } else if more > 0 {
            told.push_str(&format!(", and {more} more"));
        }
        told
    }

    /// Whether a column that may be the pump's by its name says the pump's state instead, or a measured value.
    fn is_no_pump(&self, base: &str) -> bool {
        let is_fraction = |cell: &String| cell.replace(',', ".").parse::<f64>().is_ok_and(|value| value.fract() != 0.0);
        let has_letter = |cell: &String| cell.contains(char::is_alphabetic);
        let mut cells = self.pumps.keys().filter(|cell| !cell.is_empty()).peekable();
        is_bare_pump(base)
            && (self.more_pumps
                || cells.peek().is_none()
                || cells.clone().all(|cell| is_state(cell))
                || cells.clone().any(is_fraction)
                // A day, in German.
                || (base == "tag" && !cells.any(has_letter)))
    }

    /// Asks about the columns that nobody knows and by which rows may be of several pumps.
    fn check_texts(&mut self) {
        for (&place, texts) in &self.texts {
            let name = self.layout.name(place);
            let is_other_time =
                self.layout.other_times.iter().any(|&(one, other)| one == place || other == Some(place));
            let is_named = pump_rank(&Heading::new(name).base).is_some();
            let Some(found) = texts.of_several_pumps(is_named).filter(|_| !is_other_time) else { continue };
            let Some((first_name, first)) = found.iter().min_by_key(|(_, finding)| finding.line) else { continue };
            let wanted =
                |name: &&String| self.dialect.read_for.as_ref().is_some_and(|pump| is_same_pump(name, pump.as_str()));
            let proposed = plain(found.keys().find(wanted).unwrap_or(first_name));
            let what = format!("{name}: rows that may be of several pumps: {}", told(found, MOST_PUMPS));
            let why = format!(
                "; --column '{}=pump_id' --file-pump '{proposed}' reads the rows of that one only; {}",
                plain(name),
                ignore(name)
            );
            self.trouble.push(Finding::new(first.line, what).why(why));
        }
    }

    /// The zone that the file names beside the one that a person names.
    fn check_zone(&mut self, remarks: &mut Vec<String>) {
        let locals = self.locals + self.proposals.without_offset();
        let (Some(named), true) = (&self.named, locals > 0) else { return };
        let (count, line) = (locals, self.layout.header_line);
        let finding = |what: String, why: String| Finding { line, count, what, why };
        let header = quoted(&self.layout.time_name());
        match (named, self.dialect.time_zone) {
            (NamedZone::Known(named), Some(asked)) if *named != asked => {
                let why = format!("and --time-zone says {asked}: leave it out, or rename the column");
                self.trouble.push(finding(format!("times in {header} are in {named}"), why));
            }
            (NamedZone::Unclear(word), None) => {
                let why = format!(
                    "and {word} has several meanings: say the zone with --time-zone, as Europe/Berlin, or as +01:00 where the \
                     clock is never put forward"
                );
                self.trouble.push(finding(format!("times in {header} have no offset"), why));
            }
            (NamedZone::Known(named), None) => remarks.push(format!("times are in {named}, as {header} says")),
            _ => {}
        }
    }

    fn finish(mut self) -> Plan {
        let mut remarks = Vec::new();
        self.check_pumps(&mut remarks);
        self.check_zone(&mut remarks);
        self.check_offsets();
        self.other_times.take().into_iter().for_each(|finding| self.trouble.push(finding));
        let qualities = self.judge_qualities(&mut remarks);
        let Self { layout, dialect, marks, mut folds, proposals, taken_as_utc, mut trouble, left_out, .. } = self;
        let marked = match dialect.decimal {
            Some(mark) => Ok(mark),
            None => marks.decide(layout.delimiter),
        };
        let mark_is_known = marked.is_ok();
        let mark = marked.unwrap_or_else(|finding: Finding| {
            trouble.push(finding);
            DecimalMark::Point
        });
        folds.decide();
        let of_folds = folds.trouble();
        proposals.finding().into_iter().chain(of_folds).for_each(|finding| trouble.push(finding));
        remarks.extend(folds.remark());
        let number = NumberFormat { mark, thousands: dialect.decimal.is_some() };
        Plan { number, mark_is_known, folds, qualities, remarks, taken_as_utc, trouble, left_out }
    }

    fn judge_qualities(&mut self, remarks: &mut Vec<String>) -> BTreeMap<usize, Verdicts> {
        let mut qualities = BTreeMap::new();
        for (place, words) in std::mem::take(&mut self.words) {
            let name = self.layout.name(place);
            match words.judge(name, &self.dialect.good_quality) {
                Ok(Some(verdicts)) => drop(qualities.insert(place, verdicts)),
                Ok(None) => remarks.push(format!("columns that are not used: {}", quoted(name))),
                Err(unknown) => unknown.into_iter().for_each(|finding| self.trouble.push(finding)),
            }
        }
        qualities
    }
}

/// The first of these texts with their numbers of rows.
fn told(texts: &BTreeMap<String, Finding>, most: usize) -> String {
    let told = texts.values().take(most).map(|text| format!("{} in {}", text.what, plural(text.count, "row")));
    told.collect::<Vec<_>>().join(", ")
}

fn ignore(name: &str) -> String {
    format!("--column '{}=ignore' says that it is no pump's name", plain(name))
}

const FORMS: &str = ": it is in no form that is known; allowed: 2026-03-09 10:14:33, RFC 3339, seconds or milliseconds since \
                     1970; others by --time-format";
