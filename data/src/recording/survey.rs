//! The first pass over a file: collects from all lines what must be known before the first number can be read.
//!
//! Decides the decimal mark, which hour is meant if the zone repeats one, and the meaning of the quality words. Finds
//! ambiguous times, rows of several pumps and lines that are not rows.

use std::{cmp::Ordering, collections::BTreeMap, io};

use chrono::NaiveDateTime;
use volute_plant::Profile;

use super::{
    cells::{DecimalMark, MarkEvidence, NumberFormat, without_unit},
    column::{Column, Heading},
    columns::{is_pump_word, is_weak_pump_word, pump_rank},
    dialect::Dialect,
    findings::{Finding, Findings, plural, printable, quoted},
    grouping::{ColumnTexts, is_state},
    layout::{Layout, is_same_pump},
    quality::{WordMeanings, Words},
    records::{Line, Records},
    source::Source,
    text::Record,
    times::{
        self, Localized, ParsedTime, TimeZone, diagnose::diagnose, localize, propose::FormatProposals,
        repeated_hours::RepeatedHours, zones::NamedZone,
    },
};

/// At most this many pumps of a file are listed in a finding.
const MAX_LISTED_PUMPS: usize = 20;
/// At most this many pumps of a file are counted.
const MAX_COUNTED_PUMPS: usize = 50;
/// Two columns of times whose times in one row differ by more than this contradict each other.
const MAX_TIME_DIFFERENCE_S: i64 = 60;

/// The result of the first pass, needed to read the rows.
#[derive(Debug)]
pub(super) struct ReadPlan {
    pub number_format: NumberFormat,
    /// Whether the decimal mark is known. If not, numbers cannot be read reliably.
    pub mark_is_known: bool,
    pub repeated_hours: RepeatedHours,
    /// The meanings of the words of each quality column, by the column's index.
    pub qualities: BTreeMap<usize, WordMeanings>,
    /// Remarks about all rows together.
    pub remarks: Vec<String>,
    /// The number of times that are taken as UTC because neither the file nor the user gives a zone.
    pub assumed_utc: u64,
    /// Errors for which the file is rejected.
    pub errors: Findings,
    /// Lines and cells that are skipped.
    pub skipped: Findings,
}

/// Reads all lines of a file once.
pub(super) fn survey(
    source: &Source<'_>,
    layout: &Layout,
    profile: &Profile,
    dialect: &Dialect,
) -> io::Result<ReadPlan> {
    let named_zone = dialect.time_format.as_ref().and_then(times::TimeFormat::zone).or_else(|| layout.zone());
    let zone = match (dialect.time_zone, &named_zone) {
        (None, Some(NamedZone::Known(zone))) => Some(*zone),
        (chosen, _) => chosen,
    };
    let mut survey = Survey {
        layout,
        profile,
        dialect,
        named_zone,
        zone,
        local_times: 0,
        with_offset: None,
        without_offset: None,
        previous: None,
        time_mismatch: None,
        pumps: BTreeMap::new(),
        has_more_pumps: false,
        unknown_columns: BTreeMap::new(),
        quality_words: BTreeMap::new(),
        mark_evidence: MarkEvidence::default(),
        repeated_hours: RepeatedHours::new(zone, dialect.repeated_hour),
        proposals: FormatProposals::default(),
        assumed_utc: 0,
        errors: Findings::default(),
        skipped: Findings::default(),
    };
    let mut records = Records::open(source, layout)?;
    while let Some((number, line)) = records.next()? {
        survey.observe(number, &line);
    }
    Ok(survey.finish())
}

/// Returns the text of a row's time, from one column or two.
pub(super) fn time_text(layout: &Layout, record: &Record) -> String {
    let index = |wanted: Column| layout.columns.iter().position(|column| *column == wanted);
    let text = |wanted| index(wanted).map(|index| record.cell(index)).unwrap_or_default();
    match index(Column::TimeOfDay) {
        None => text(Column::Time).to_owned(),
        Some(_) => format!("{} {}", text(Column::Time), text(Column::TimeOfDay)).trim().to_owned(),
    }
}

struct Survey<'a> {
    layout: &'a Layout,
    profile: &'a Profile,
    dialect: &'a Dialect,
    /// The zone that the file or the time format names.
    named_zone: Option<NamedZone>,
    /// The zone of times without an offset.
    zone: Option<TimeZone>,
    /// The number of times without an offset.
    local_times: u64,
    /// Times with an offset, and times without one.
    with_offset: Option<Finding>,
    without_offset: Option<Finding>,
    /// The text of the previous row's time, and the time.
    previous: Option<(String, Option<NaiveDateTime>)>,
    /// Rows in which an unused column has another time.
    time_mismatch: Option<Finding>,
    /// The pumps by name, each with its first line and its number of rows.
    pumps: BTreeMap<String, Finding>,
    /// There are more pumps than are counted.
    has_more_pumps: bool,
    /// The texts of the unknown columns, by the column's index.
    unknown_columns: BTreeMap<usize, ColumnTexts>,
    /// The words of the quality columns, by the column's index.
    quality_words: BTreeMap<usize, Words>,
    mark_evidence: MarkEvidence,
    repeated_hours: RepeatedHours,
    proposals: FormatProposals,
    assumed_utc: u64,
    errors: Findings,
    skipped: Findings,
}

impl Survey<'_> {
    fn observe(&mut self, number: u64, line: &Line) {
        let columns = self.layout.columns.len();
        match line {
            Line::Row(record) => self.observe_row(number, record),
            Line::Unterminated(record, text) => {
                self.observe_row(number, record);
                let name = self.layout.name(record.len() - 1);
                let what = format!("{name}: {}, as its line has no end and it may be cut off", quoted(text));
                self.skipped.add(number, what, "; the row is kept without it");
            }
            Line::Ragged(record) => {
                let comma = self.layout.delimiter == b',' && record.len() > columns;
                let why = if comma { "; are its decimal marks commas, as its delimiter is?" } else { "" };
                let cells = plural(record.len() as u64, "cell");
                self.errors.add(number, format!("{cells}, and the header has {columns}"), why);
            }
            Line::UnclosedQuote => {
                let why = "in its line: a cell that goes on in the next line is not read";
                self.errors.add(number, "a quote that is not closed".into(), why);
            }
            Line::Truncated { cells } => {
                let why = format!("after {}, and the header has {columns}", plural(*cells as u64, "whole cell"));
                self.skipped.add(number, "the file ends within the row".into(), &why);
            }
            Line::RepeatedHeader => self.skipped.add(number, "the header again".into(), ""),
            Line::Comment => self.skipped.add(number, "a comment".into(), ""),
            Line::ZeroBytes => self.skipped.add(number, "zero bytes".into(), ""),
        }
    }

    fn observe_row(&mut self, number: u64, record: &Record) {
        for (index, column) in self.layout.columns.iter().enumerate() {
            let (name, cell) = (self.layout.name(index), record.cell(index));
            match column {
                Column::Channel(channel) => {
                    self.mark_evidence.observe(
                        number,
                        name,
                        &without_unit(cell, &self.profile.channels()[*channel].unit),
                    );
                }
                Column::PumpId => self.observe_pump(number, cell),
                Column::Quality(_) => self.quality_words.entry(index).or_default().observe(number, name, cell),
                _ => {}
            }
        }
        if self.layout.is_of_other_pump(record, self.dialect) {
            return;
        }
        let order = match self.layout.columns.contains(&Column::Time) {
            true => self.observe_row_time(number, record),
            false => None,
        };
        for (index, column) in self.layout.columns.iter().enumerate() {
            if matches!(column, Column::Unknown | Column::Unnamed) {
                self.unknown_columns.entry(index).or_default().observe(number, record.cell(index), order);
            }
        }
    }

    /// Reads a row's time, and compares it with the time of the previous row.
    fn observe_row_time(&mut self, number: u64, record: &Record) -> Option<Ordering> {
        let text = time_text(self.layout, record);
        let parsed = self.observe_time(number, &text);
        if let Some(parsed) = parsed {
            self.compare_other_times(number, record, &text, parsed);
        }
        let time = parsed.map(ParsedTime::as_utc);
        let (previous_text, previous) = self.previous.replace((text.clone(), time))?;
        match (previous, time) {
            _ if text == previous_text => Some(Ordering::Equal),
            (Some(previous), Some(time)) => Some(time.cmp(&previous)),
            _ => None,
        }
    }

    /// Compares a row's time with the times in unused columns, unless the user has said which column is the time.
    fn compare_other_times(&mut self, number: u64, record: &Record, text: &str, parsed: ParsedTime) {
        let is_chosen =
            self.dialect.columns.values().any(|column| matches!(&*Heading::new(column).base, "timestamp" | "datetime"));
        if is_chosen {
            return;
        }
        for &(index, time_of_day) in &self.layout.unused_times {
            let cell = |index: usize| record.cell(index);
            let other_text =
                time_of_day.map_or_else(|| cell(index).to_owned(), |time| format!("{} {}", cell(index), cell(time)));
            let Some(other) = times::parse(&other_text, None) else { continue };
            let (time, other_time) = match (parsed, other) {
                // An absolute time is certain; the zone of the other one is unknown.
                (ParsedTime::Absolute(_), ParsedTime::Local(_)) => continue,
                (ParsedTime::Local(local), ParsedTime::Absolute(other)) => match localize(self.zone, local) {
                    Localized::Single(time) => (time, other),
                    _ => continue,
                },
                (one, other) => (one.as_utc(), other.as_utc()),
            };
            let apart_s = (time - other_time).num_seconds().abs();
            if apart_s <= MAX_TIME_DIFFERENCE_S {
                continue;
            }
            if let Some(finding) = &mut self.time_mismatch {
                finding.increment();
                break;
            }
            let other_name = self.layout.name(index).to_owned();
            let other_name =
                time_of_day.map_or(other_name.clone(), |time| format!("{other_name} {}", self.layout.name(time)));
            let used_name = self.layout.time_name();
            let what = format!(
                "two times that are {apart_s} s apart: {used_name}: {}, {other_name}: {}",
                quoted(text),
                quoted(&other_text)
            );
            let name_of =
                |index: Option<usize>| index.map(|index| printable(self.layout.name(index))).unwrap_or_default();
            let used_index = self.layout.columns.iter().position(|column| *column == Column::Time);
            let use_other = match time_of_day {
                None => format!("--column '{}=timestamp'", printable(&other_name)),
                Some(_) => format!("--column '{}=ignore'", name_of(used_index)),
            };
            let why = match self.layout.columns.contains(&Column::TimeOfDay) {
                false => format!(
                    ": --column '{}=timestamp' says that {} is the time, {use_other} that {} is",
                    name_of(used_index),
                    quoted(&used_name),
                    quoted(&other_name)
                ),
                true => format!(
                    ": --column '{}=ignore' says that {} is the time, {use_other} that {} is",
                    printable(&other_name),
                    quoted(&used_name),
                    quoted(&other_name)
                ),
            };
            self.time_mismatch = Some(Finding::new(number, what).why(why));
            break;
        }
    }

    fn observe_pump(&mut self, number: u64, pump: &str) {
        if let Some(finding) = self.pumps.get_mut(pump) {
            finding.increment();
        } else if let Some((_, finding)) = self.pumps.iter_mut().find(|(name, _)| is_same_pump(name, pump)) {
            finding.increment();
        } else if self.pumps.len() < MAX_COUNTED_PUMPS {
            self.pumps.insert(pump.to_owned(), Finding::new(number, quoted(pump)));
        } else {
            self.has_more_pumps = true;
        }
    }

    fn observe_time(&mut self, number: u64, text: &str) -> Option<ParsedTime> {
        let format = self.dialect.time_format.as_ref();
        let count = |first: &mut Option<Finding>| match first {
            Some(finding) => finding.increment(),
            None => *first = Some(Finding::new(number, format!("timestamp: {}", quoted(text)))),
        };
        let parsed = times::parse(text, format);
        match parsed {
            Some(ParsedTime::Absolute(_)) => count(&mut self.with_offset),
            Some(ParsedTime::Local(local)) => {
                self.local_times += 1;
                count(&mut self.without_offset);
                self.assumed_utc += u64::from(self.zone.is_none());
                self.repeated_hours.observe(number, text, local);
                if let (Localized::Skipped, Some(zone)) = (localize(self.zone, local), self.zone) {
                    let what = format!("a time that does not exist in {zone}, as its clocks were put forward over it");
                    self.errors.add(number, what, &format!(": {}", quoted(text)));
                }
            }
            None if format.is_none() && self.proposals.observe(number, "timestamp", text) => {}
            None => self.report_unreadable_time(number, text),
        }
        parsed
    }

    /// Adds an error if some times have an offset and some have none, and the zone of the latter is unknown.
    fn check_offsets(&mut self) {
        let (Some(with), Some(without), None) = (&self.with_offset, &self.without_offset, self.zone) else { return };
        let why = format!(
            "has no offset, and {} in line {} has one{}: --time-zone says the zone of those without",
            with.what.trim_start_matches("timestamp: "),
            with.line,
            if with.count > 1 { format!(" (and {} more)", with.count - 1) } else { String::new() },
        );
        self.errors.push(without.clone().why(why));
    }

    /// Adds an error for a text that is not a time. The texts differ in every row, so they are grouped by what is
    /// wrong.
    fn report_unreadable_time(&mut self, number: u64, text: &str) {
        let why = diagnose(text);
        let kind = why.as_ref().map_or("time", |why| why.kind);
        let (what, why) = match (&self.dialect.time_format, why) {
            (Some(format), why) => {
                let why = why.filter(|why| why.is_impossible()).map(|why| format!(": {}", why.why));
                (format!("timestamp: {} is not in the form '{format}'", quoted(text)), why.unwrap_or_default())
            }
            (None, Some(why)) => (format!("timestamp: {} is not a time", quoted(text)), format!(": {}", why.why)),
            (None, None) => (format!("timestamp: {} is not a time", quoted(text)), KNOWN_FORMS.to_owned()),
        };
        self.errors.add_of_kind(number, kind, what, &why);
    }

    /// Checks the column that identifies the pump, if there is one.
    fn check_pumps(&mut self, remarks: &mut Vec<String>) {
        let wanted = self.dialect.pump.as_deref();
        let Some(index) = self.layout.pump_column() else {
            if let Some(wanted) = wanted {
                let what = format!(
                    "no column identifies the pump, as pump_id would, and --file-pump names {}",
                    quoted(wanted)
                );
                self.errors.push(Finding::new(self.layout.header_line, what));
            }
            self.check_unknown_columns();
            return;
        };
        let name = self.layout.name(index);
        let base = if self.dialect.columns.contains_key(name) { String::new() } else { Heading::new(name).base };
        if wanted.is_none() && self.is_not_a_pump_column(&base) {
            remarks.push(format!("columns that are not used: {}", quoted(name)));
            self.check_unknown_columns();
            return;
        }
        let pump_list = self.pump_list();
        let Some((first_name, first)) = self.pumps.iter().min_by_key(|(_, finding)| finding.line) else { return };
        let hint = |pump: &str| match pump.is_empty() {
            true => String::new(),
            false => format!("--file-pump '{}'", printable(pump)),
        };
        if let Some(wanted) = wanted {
            if !self.pumps.keys().any(|name| is_same_pump(name, wanted)) && !self.has_more_pumps {
                let what = format!("{name}: no row is of {}; there is {pump_list}", quoted(wanted));
                self.errors.push(Finding::new(first.line, what));
            }
        } else if self.pumps.len() > 1 {
            let what = format!("{name}: rows of several pumps: {pump_list}");
            let is_expected = |name: &&String| {
                self.dialect.expected_pump.as_ref().is_some_and(|pump| is_same_pump(name, pump.as_str()))
            };
            let proposed = self.pumps.keys().find(is_expected).unwrap_or(first_name);
            let proposed = if proposed.is_empty() { self.pumps.keys().nth(1).unwrap_or(proposed) } else { proposed };
            let why = format!("; {} reads the rows of that one only", hint(proposed));
            let why = if is_pump_word(&base) { format!("{why}; {}", ignore_hint(name)) } else { why };
            self.errors.push(Finding::new(first.line, what).why(why));
            return;
        } else if let Some(pump) = &self.dialect.expected_pump
            && !is_same_pump(first_name, pump.as_str())
        {
            if is_weak_pump_word(&base) {
                remarks.push(format!(
                    "column {} says {} in every row, which is not compared with {pump}",
                    quoted(name),
                    first.what
                ));
            } else {
                let what = format!("{name}: the rows are of pump {}", first.what);
                let why =
                    format!(", and you gave --pump {pump}; {} says that these are its readings", hint(first_name));
                let why = if is_pump_word(&base) { format!("{why}; {}", ignore_hint(name)) } else { why };
                self.errors.push(Finding { what, why, ..first.clone() });
            }
        }
        self.check_unknown_columns();
    }

    /// Lists the pumps with their numbers of rows.
    fn pump_list(&self) -> String {
        let more = self.pumps.len().saturating_sub(MAX_LISTED_PUMPS);
        let mut list = text_list(&self.pumps, MAX_LISTED_PUMPS);
        if self.has_more_pumps {
            list.push_str(", and many more");
        } else if more > 0 {
            list.push_str(&format!(", and {more} more"));
        }
        list
    }

    /// Whether a column named like a pump holds the pump's state or a measured value instead.
    fn is_not_a_pump_column(&self, base: &str) -> bool {
        let is_fraction = |cell: &String| cell.replace(',', ".").parse::<f64>().is_ok_and(|value| value.fract() != 0.0);
        let has_letter = |cell: &String| cell.contains(char::is_alphabetic);
        let mut cells = self.pumps.keys().filter(|cell| !cell.is_empty()).peekable();
        is_pump_word(base)
            && (self.has_more_pumps
                || cells.peek().is_none()
                || cells.clone().all(|cell| is_state(cell))
                || cells.clone().any(is_fraction)
                // "Tag" is German for day.
                || (base == "tag" && !cells.any(has_letter)))
    }

    /// Adds errors for unknown columns that may separate the rows of several pumps.
    fn check_unknown_columns(&mut self) {
        for (&index, texts) in &self.unknown_columns {
            let name = self.layout.name(index);
            let is_other_time =
                self.layout.unused_times.iter().any(|&(one, other)| one == index || other == Some(index));
            let is_named = pump_rank(&Heading::new(name).base).is_some();
            let Some(found) = texts.several_pumps(is_named).filter(|_| !is_other_time) else { continue };
            let Some((first_name, first)) = found.iter().min_by_key(|(_, finding)| finding.line) else { continue };
            let wanted = |name: &&String| {
                self.dialect.expected_pump.as_ref().is_some_and(|pump| is_same_pump(name, pump.as_str()))
            };
            let proposed = printable(found.keys().find(wanted).unwrap_or(first_name));
            let what = format!("{name}: rows that may be of several pumps: {}", text_list(found, MAX_LISTED_PUMPS));
            let why = format!(
                "; --column '{}=pump_id' --file-pump '{proposed}' reads the rows of that one only; {}",
                printable(name),
                ignore_hint(name)
            );
            self.errors.push(Finding::new(first.line, what).why(why));
        }
    }

    /// Checks the zone that the file names against the one that the user gives.
    fn check_zone(&mut self, remarks: &mut Vec<String>) {
        let count = self.local_times + self.proposals.without_offset();
        let (Some(named), true) = (&self.named_zone, count > 0) else { return };
        let line = self.layout.header_line;
        let finding = |what: String, why: String| Finding { line, count, what, why };
        let header = quoted(&self.layout.time_name());
        match (named, self.dialect.time_zone) {
            (NamedZone::Known(named), Some(chosen)) if *named != chosen => {
                let why = format!("and --time-zone says {chosen}: leave it out, or rename the column");
                self.errors.push(finding(format!("times in {header} are in {named}"), why));
            }
            (NamedZone::Ambiguous(word), None) => {
                let why = format!(
                    "and {word} has several meanings: say the zone with --time-zone, as Europe/Berlin, or as +01:00 where the \
                     clock is never put forward"
                );
                self.errors.push(finding(format!("times in {header} have no offset"), why));
            }
            (NamedZone::Known(named), None) => remarks.push(format!("times are in {named}, as {header} says")),
            _ => {}
        }
    }

    fn finish(mut self) -> ReadPlan {
        let mut remarks = Vec::new();
        self.check_pumps(&mut remarks);
        self.check_zone(&mut remarks);
        self.check_offsets();
        self.time_mismatch.take().into_iter().for_each(|finding| self.errors.push(finding));
        let qualities = self.classify_qualities(&mut remarks);
        let Self {
            layout,
            dialect,
            mark_evidence,
            mut repeated_hours,
            proposals,
            assumed_utc,
            mut errors,
            skipped,
            ..
        } = self;
        let mark = match dialect.decimal {
            Some(mark) => Ok(mark),
            None => mark_evidence.decide(layout.delimiter),
        };
        let mark_is_known = mark.is_ok();
        let mark = mark.unwrap_or_else(|finding: Finding| {
            errors.push(finding);
            DecimalMark::Point
        });
        repeated_hours.decide();
        let ambiguous_hours = repeated_hours.errors();
        proposals.finding().into_iter().chain(ambiguous_hours).for_each(|finding| errors.push(finding));
        remarks.extend(repeated_hours.remark());
        let number_format = NumberFormat { mark, thousands: dialect.decimal.is_some() };
        ReadPlan { number_format, mark_is_known, repeated_hours, qualities, remarks, assumed_utc, errors, skipped }
    }

    fn classify_qualities(&mut self, remarks: &mut Vec<String>) -> BTreeMap<usize, WordMeanings> {
        let mut qualities = BTreeMap::new();
        for (index, words) in std::mem::take(&mut self.quality_words) {
            let name = self.layout.name(index);
            match words.classify(name, &self.dialect.good_quality) {
                Ok(Some(meanings)) => drop(qualities.insert(index, meanings)),
                Ok(None) => remarks.push(format!("columns that are not used: {}", quoted(name))),
                Err(unknown) => unknown.into_iter().for_each(|finding| self.errors.push(finding)),
            }
        }
        qualities
    }
}

/// Lists at most `max` texts with their numbers of rows.
fn text_list(texts: &BTreeMap<String, Finding>, max: usize) -> String {
    let list = texts.values().take(max).map(|text| format!("{} in {}", text.what, plural(text.count, "row")));
    list.collect::<Vec<_>>().join(", ")
}

/// The hint for a column that does not identify the pump.
fn ignore_hint(name: &str) -> String {
    format!("--column '{}=ignore' says that it is not a pump's name", printable(name))
}

const KNOWN_FORMS: &str = ": it is in no form that is known; allowed: 2026-03-09 10:14:33, RFC 3339, seconds, milliseconds, \
                     microseconds or nanoseconds since 1970; others by --time-format";
