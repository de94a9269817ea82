//! The first reading of a file: what has to be known of all its lines before one number can be read.
//!
//! Finds the decimal mark, the repeated hours of the zone, the times that have more than one meaning, and the lines that
//! are no rows.

use std::io;

use super::{
    Dialect, Source,
    cells::{DecimalMark, MarkEvidence, NumberFormat},
    columns::Column,
    findings::{Finding, Findings, quoted},
    layout::Layout,
    records::{Line, Records},
    text::Record,
    times::{self, Localized, Moment, folds::Folds, localize, propose::Proposals},
};

/// What is known of a file before its rows are read.
#[derive(Debug)]
pub(super) struct Plan {
    pub number: NumberFormat,
    /// Whether the numbers can be read: their decimal mark is known.
    pub mark_is_known: bool,
    pub folds: Folds,
    /// Times that are taken as UTC because nothing says otherwise.
    pub taken_as_utc: u64,
    /// Why the file is not read.
    pub trouble: Findings,
    /// What is left out.
    pub left_out: Findings,
}

/// Reads all lines once.
pub(super) fn survey(source: &Source<'_>, layout: &Layout, dialect: &Dialect) -> io::Result<Plan> {
    let mut survey = Survey {
        layout,
        dialect,
        marks: MarkEvidence::default(),
        folds: Folds::new(dialect.time_zone, dialect.repeated_hour),
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
    dialect: &'a Dialect,
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
            Line::Ragged(record) => {
                let comma = self.layout.delimiter == b',' && record.len() > header;
                let why = if comma { "; are its decimal marks commas, as its delimiter is?" } else { "" };
                self.trouble.add(number, format!("{} cells, and the header has {header}", record.len()), why);
            }
            Line::OpenQuote => self.trouble.add(number, "a quote that is not closed".into(), "in its line"),
            Line::CutOff => self.left_out.add(number, "the file ends within the row".into(), ""),
            Line::Header => self.left_out.add(number, "the header again".into(), ""),
            Line::Comment => self.left_out.add(number, "a comment".into(), ""),
            Line::Zeros => self.left_out.add(number, "zero bytes".into(), ""),
        }
    }

    fn see_row(&mut self, number: u64, record: &Record) {
        for (place, column) in self.layout.columns.iter().enumerate() {
            if let Column::Channel(_) = column {
                self.marks.see(number, self.layout.name(place), record.cell(place));
            }
        }
        self.see_time(number, &time_text(self.layout, record));
    }

    fn see_time(&mut self, number: u64, text: &str) {
        let format = self.dialect.time_format.as_ref();
        match times::read(text, format) {
            Some(Moment::Absolute(_)) => {}
            Some(Moment::Local(local)) => {
                self.taken_as_utc += u64::from(self.dialect.time_zone.is_none());
                self.folds.see(number, text, local);
                if let (Localized::Never, Some(zone)) =
                    (localize(self.dialect.time_zone, local), self.dialect.time_zone)
                {
                    let what = format!("a time that does not exist in {zone}, as its clocks were put forward over it");
                    self.trouble.add(number, what, &format!(": {}", quoted(text)));
                }
            }
            None if format.is_none() && self.proposals.see(number, "timestamp", text) => {}
            None => {
                let (what, why) = match format {
                    Some(format) => (format!("timestamp: {} is not in the form '{format}'", quoted(text)), ""),
                    None => (format!("timestamp: {} is no time from 2000 to 2200", quoted(text)), ALLOWED),
                };
                // Every one of them is another text: they are of one kind.
                self.trouble.add_alike(number, "time", what, why);
            }
        }
    }

    fn finish(self) -> Plan {
        let Self { layout, dialect, marks, folds, proposals, taken_as_utc, mut trouble, left_out } = self;
        let marked = match dialect.decimal {
            Some(mark) => Ok(mark),
            None => marks.decide(layout.delimiter),
        };
        let mark_is_known = marked.is_ok();
        let mark = marked.unwrap_or_else(|finding: Finding| {
            trouble.push(finding);
            DecimalMark::Point
        });
        proposals.finding().into_iter().chain(folds.unknown()).for_each(|finding| trouble.push(finding));
        let number = NumberFormat { mark, thousands: dialect.decimal.is_some() };
        Plan { number, mark_is_known, folds, taken_as_utc, trouble, left_out }
    }
}

const ALLOWED: &str =
    "; allowed: 2026-03-09 10:14:33, RFC 3339, seconds or milliseconds since 1970; others by --time-format";
