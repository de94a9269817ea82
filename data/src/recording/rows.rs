//! The second reading of a file: its rows, and what there is to say about their cells.

use std::io;

use volute_plant::{Profile, PumpId, Sample};

use super::{
    Dialect, Row, Source,
    cells::{Cell, is_known_word},
    columns::Column,
    findings::{Finding, Findings, quoted},
    layout::Layout,
    records::{Line, Records},
    survey::{Plan, time_text},
    text::Record,
    times::{self, Moment},
};

/// A row with its line, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbered {
    pub(crate) line: u64,
    pub(crate) row: Row,
}

/// What one channel's cells said.
#[derive(Debug, Clone, Default)]
struct Cells {
    numbers: u64,
    words: u64,
    unknown_words: u64,
    first_unknown: Option<Finding>,
}

/// Reads rows one by one, and counts what is wrong with them instead of ending there.
pub(super) struct Rows<'a> {
    records: Records<'a>,
    layout: &'a Layout,
    plan: &'a Plan,
    profile: &'a Profile,
    dialect: &'a Dialect,
    pump: Option<String>,
    cells: Vec<Cells>,
    words: Findings,
    trouble: Findings,
}

impl<'a> Rows<'a> {
    pub(super) fn open(
        source: &Source<'a>,
        layout: &'a Layout,
        plan: &'a Plan,
        profile: &'a Profile,
        dialect: &'a Dialect,
    ) -> io::Result<Self> {
        let cells = vec![Cells::default(); profile.channels().len()];
        let records = Records::open(source, layout)?;
        let (words, trouble) = Default::default();
        Ok(Self { records, layout, plan, profile, dialect, pump: None, cells, words, trouble })
    }

    /// The next row whose time is known.
    pub(super) fn next(&mut self) -> io::Result<Option<Numbered>> {
        while let Some((line, content)) = self.records.next()? {
            if let Line::Row(record) = content
                && let Some(row) = self.row(line, &record)
            {
                return Ok(Some(Numbered { line, row }));
            }
        }
        Ok(None)
    }

    /// What is wrong with the rows, and the words that were taken as missing values.
    pub(super) fn findings(mut self) -> (Findings, Findings) {
        for cells in &self.cells {
            // Nine words in ten cells: no broken sensor, but numbers in a notation that is not understood, or other data.
            let Some(finding) = &cells.first_unknown else { continue };
            if self.plan.mark_is_known && 10 * cells.unknown_words >= 9 * (cells.numbers + cells.words) {
                let why = format!("is no number, and hardly a cell of the column is: {} are", cells.numbers);
                let count = cells.unknown_words;
                self.trouble.push(Finding { count, ..finding.clone().why(why) });
            }
        }
        (self.trouble, self.words)
    }

    fn row(&mut self, line: u64, record: &Record) -> Option<Row> {
        if self.is_of_another_pump(record) {
            return None;
        }
        let mut samples = vec![Sample::Missing; self.profile.channels().len()];
        let (mut normal, mut anomaly) = (None, None);
        let layout = self.layout;
        for (place, &column) in layout.columns.iter().enumerate() {
            let cell = record.cell(place);
            match column {
                Column::Channel(index) => samples[index] = self.sample(line, place, index, cell),
                Column::MachineStatus => normal = (!cell.is_empty()).then_some(cell == "NORMAL"),
                Column::Anomaly => anomaly = self.label(line, place, cell),
                Column::PumpId => self.check_pump(line, place, cell),
                Column::Time | Column::TimeOfDay | Column::Aside | Column::Unnamed | Column::Unknown => {}
            }
        }
        let recorded_at = time_text(layout, record);
        let utc = match times::read(&recorded_at, self.dialect.time_format.as_ref())? {
            Moment::Absolute(time) => time,
            Moment::Local(local) => self.plan.folds.utc(line, local)?,
        };
        let at = times::timestamp(utc).ok()?;
        Some(Row { at, samples: samples.into(), normal, anomaly, recorded_at })
    }

    /// Whether one pump was asked for, and the row is of another one.
    fn is_of_another_pump(&self, record: &Record) -> bool {
        let Some(wanted) = &self.dialect.pump else { return false };
        let place = self.layout.columns.iter().position(|column| *column == Column::PumpId);
        place.is_some_and(|place| !is_same_pump(record.cell(place), wanted))
    }

    fn sample(&mut self, line: u64, place: usize, index: usize, cell: &str) -> Sample {
        let cells = &mut self.cells[index];
        match self.plan.number.read(cell) {
            Cell::Empty => Sample::Missing,
            Cell::Number(value) => {
                cells.numbers += 1;
                self.profile.channels()[index].sample(value)
            }
            Cell::Word => {
                cells.words += 1;
                let what = format!("{}: {}", self.layout.name(place), quoted(cell));
                if !is_known_word(cell) {
                    cells.unknown_words += 1;
                    cells.first_unknown.get_or_insert_with(|| Finding::new(line, what.clone()));
                }
                self.words.add(line, what, "");
                Sample::Missing
            }
        }
    }

    fn label(&mut self, line: u64, place: usize, cell: &str) -> Option<bool> {
        match cell {
            "" => None,
            "0" | "0.0" | "0,0" => Some(false),
            "1" | "1.0" | "1,0" => Some(true),
            _ => {
                let what = format!("{}: {}", self.layout.name(place), quoted(cell));
                self.trouble.add(line, what, "; allowed: 0, 1, or nothing");
                None
            }
        }
    }

    fn check_pump(&mut self, line: u64, place: usize, cell: &str) {
        let pump = self.pump.get_or_insert_with(|| cell.to_owned());
        if !is_same_pump(pump, cell) {
            let why = format!("; allowed: the same pump in every line, {} here", quoted(pump));
            self.trouble.add(line, format!("{}: {}", self.layout.name(place), quoted(cell)), &why);
        }
    }
}

/// Whether two cells name one pump, though they may spell it in two ways.
fn is_same_pump(one: &str, other: &str) -> bool {
    one == other || one.parse::<PumpId>().is_ok_and(|one| other.parse().is_ok_and(|other: PumpId| one == other))
}
