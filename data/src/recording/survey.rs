//! The first reading of a file: what has to be known of all its lines before one number can be read.
//!
//! Finds the decimal mark, the repeated hours of the zone, the times that have more than one meaning, and the lines that
//! are no rows.

use std::{collections::BTreeMap, io};

use volute_plant::Profile;

use super::{
    Dialect, Source,
    cells::{DecimalMark, MarkEvidence, NumberFormat, bare},
    columns::Column,
    findings::{Finding, Findings, quoted},
    layout::{Layout, is_same_pump},
    quality::{Verdicts, Words},
    records::{Line, Records},
    text::Record,
    times::{
        self, Localized, Moment, TimeZone, diagnose::why_not, folds::Folds, localize, propose::Proposals,
        zones::NamedZone,
    },
};

/// Pumps of a file that are told by name.
const MOST_PUMPS: usize = 20;

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
        pumps: BTreeMap::new(),
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
    /// By name, each with its first line and how many rows it has.
    pumps: BTreeMap<String, Finding>,
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
                self.trouble.add(number, format!("{} cells, and the header has {header}", record.len()), why);
            }
            Line::OpenQuote => {
                let why = "in its line: a cell that goes on in the next line is not read";
                self.trouble.add(number, "a quote that is not closed".into(), why);
            }
            Line::CutOff { cells } => {
                let why = format!("after {cells} whole cells, and the header has {header}");
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
        if !self.layout.is_of_another_pump(record, self.dialect) {
            self.see_time(number, &time_text(self.layout, record));
        }
    }

    fn see_pump(&mut self, number: u64, pump: &str) {
        if let Some(finding) = self.pumps.get_mut(pump) {
            finding.again();
        } else if let Some((_, finding)) = self.pumps.iter_mut().find(|(name, _)| is_same_pump(name, pump)) {
            finding.again();
        } else if self.pumps.len() < MOST_PUMPS {
            self.pumps.insert(pump.to_owned(), Finding::new(number, quoted(pump)));
        }
    }

    fn see_time(&mut self, number: u64, text: &str) {
        let format = self.dialect.time_format.as_ref();
        match times::read(text, format) {
            Some(Moment::Absolute(_)) => {}
            Some(Moment::Local(local)) => {
                self.locals += 1;
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
    fn check_pumps(&mut self) {
        let wanted = self.dialect.pump.as_deref();
        let Some(place) = self.layout.pump_place() else {
            if let Some(wanted) = wanted {
                let what = format!("no column is a pump's name, as pump_id, and --file-pump names {}", quoted(wanted));
                self.trouble.push(Finding::new(self.layout.header_line, what));
            }
            return;
        };
        let name = self.layout.name(place);
        let told: Vec<String> =
            self.pumps.values().map(|pump| format!("{} in {} rows", pump.what, pump.count)).collect();
        let told = told.join(", ");
        let Some((first_name, first)) = self.pumps.iter().min_by_key(|(_, finding)| finding.line) else { return };
        if let Some(wanted) = wanted {
            if !self.pumps.keys().any(|name| is_same_pump(name, wanted)) && self.pumps.len() < MOST_PUMPS {
                let what = format!("{name}: no row is of {}; there is {told}", quoted(wanted));
                self.trouble.push(Finding::new(first.line, what));
            }
        } else if self.pumps.len() > 1 {
            let what = format!("{name}: rows of several pumps: {told}");
            let why = format!("; --file-pump '{first_name}' reads the rows of that one only");
            self.trouble.push(Finding::new(first.line, what).why(why));
        } else if let Some(pump) = &self.dialect.read_for
            && !is_same_pump(first_name, pump.as_str())
        {
            let what = format!("{name}: {}", first.what);
            let why =
                format!("is not {pump}, whose readings they shall be; --file-pump '{first_name}' says that they are");
            self.trouble.push(Finding { what, why, ..first.clone() });
        }
    }

    /// The zone that the file names beside the one that a person names.
    fn check_zone(&mut self, remarks: &mut Vec<String>) {
        let (Some(named), true) = (&self.named, self.locals > 0) else { return };
        let (count, line) = (self.locals, self.layout.header_line);
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
        self.check_pumps();
        self.check_zone(&mut remarks);
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

const FORMS: &str = ": it is in no form that is known; allowed: 2026-03-09 10:14:33, RFC 3339, seconds or milliseconds since \
                     1970; others by --time-format";
