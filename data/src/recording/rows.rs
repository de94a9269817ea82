//! The second reading of a file: its rows, and what there is to say about their cells.

use std::io;

use volute_plant::{Profile, Sample};

use super::{
    cells::{Cell, bare, is_known_word, is_no_number_with_any_mark, looks_like_a_number},
    column::{Column, Of},
    dialect::Dialect,
    findings::{Finding, Findings, plain, quoted},
    layout::Layout,
    records::{Line, Records},
    row::Row,
    source::Source,
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
    cells: Vec<Cells>,
    words: Findings,
    bad: Findings,
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
        let (words, bad, trouble) = Default::default();
        Ok(Self { records, layout, plan, profile, dialect, cells, words, bad, trouble })
    }

    /// The next row whose time is known.
    pub(super) fn next(&mut self) -> io::Result<Option<Numbered>> {
        while let Some((line, content)) = self.records.next()? {
            if let Line::Row(record) | Line::OpenEnd(record, _) = content
                && let Some(row) = self.row(line, &record)
            {
                return Ok(Some(Numbered { line, row }));
            }
        }
        Ok(None)
    }

    /// What is wrong with the rows, the words that were taken as missing values, and the numbers that no sensor can send.
    pub(super) fn findings(mut self) -> (Findings, Findings, Findings) {
        for cells in &self.cells {
            // Nine words in ten cells: no broken sensor, but numbers in a notation that is not understood, or other data.
            let Some(finding) = &cells.first_unknown else { continue };
            if self.plan.mark_is_known && 10 * cells.unknown_words >= 9 * (cells.numbers + cells.words) {
                let why = format!("is no number, and hardly a cell of the column is: {} are", cells.numbers);
                let count = cells.unknown_words;
                self.trouble.push(Finding { count, ..finding.clone().why(why) });
            }
        }
        (self.trouble, self.words, self.bad)
    }

    fn row(&mut self, line: u64, record: &Record) -> Option<Row> {
        let layout = self.layout;
        if layout.is_of_another_pump(record, self.dialect) {
            return None;
        }
        let mut samples = vec![Sample::Missing; self.profile.channels().len()];
        let (mut normal, mut anomaly) = (None, None);
        for (place, &column) in layout.columns.iter().enumerate() {
            let cell = record.cell(place);
            match column {
                Column::Channel(index) => samples[index] = self.sample(line, place, index, cell),
                Column::MachineStatus => normal = (!cell.is_empty()).then_some(cell == "NORMAL"),
                Column::Anomaly => anomaly = self.label(line, place, cell),
                _ => {}
            }
        }
        self.leave_out_bad(line, record, &mut samples);
        let recorded_at = time_text(layout, record);
        let utc = match times::read(&recorded_at, self.dialect.time_format.as_ref())? {
            Moment::Absolute(time) => time,
            Moment::Local(local) => self.plan.folds.utc(line, local)?,
        };
        let at = times::timestamp(utc).ok()?;
        Some(Row { at, samples: samples.into(), normal, anomaly, recorded_at })
    }

    /// Values whose quality is bad are missing.
    fn leave_out_bad(&mut self, line: u64, record: &Record, samples: &mut [Sample]) {
        for (&place, verdicts) in &self.plan.qualities {
            let Column::Quality(of) = self.layout.columns[place] else { continue };
            let word = record.cell(place);
            let of = match of {
                Of::Channel(index) => index..index + 1,
                Of::Row => 0..samples.len(),
            };
            let has_value = samples[of.clone()].iter().any(|sample| sample.value().is_some());
            if has_value && verdicts.get(word) == Some(&false) {
                samples[of].fill(Sample::Missing);
                self.words.add(line, format!("{}: {}", self.layout.name(place), quoted(word)), "");
            }
        }
    }

    fn sample(&mut self, line: u64, place: usize, index: usize, cell: &str) -> Sample {
        let (cells, channel) = (&mut self.cells[index], &self.profile.channels()[index]);
        match self.plan.number.read(&bare(cell, &channel.unit)) {
            Cell::Empty => Sample::Missing,
            Cell::Number(value) => {
                cells.numbers += 1;
                let sample = channel.sample(value);
                if let Sample::Bad(_) = sample {
                    let what = format!("{}: {}", self.layout.name(place), quoted(cell));
                    let [low, high] = channel.plausible;
                    let why = format!("; plausible is {low} to {high} {}", channel.unit);
                    self.bad.add_alike(line, self.layout.name(place), what, &why);
                }
                sample
            }
            Cell::Word => {
                cells.words += 1;
                let name = self.layout.name(place);
                let what = format!("{name}: {}", quoted(cell));
                let is_said = self.dialect.no_value.iter().any(|word| word == cell);
                if !is_said && looks_like_a_number(cell) {
                    if self.plan.mark_is_known || is_no_number_with_any_mark(&bare(cell, &channel.unit)) {
                        let mut why = format!(
                            "is no number that has one meaning here; allowed: a number, in {} if a unit is beside it",
                            channel.unit
                        );
                        // Control characters cannot be typed.
                        if !cell.contains(char::is_control) && plain(cell) == cell {
                            why = format!("{why}; --no-value '{cell}' says that it is none");
                        }
                        self.trouble.add_alike(line, &format!("{name} number"), what, &why);
                    }
                    return Sample::Missing;
                }
                if !is_said && !is_known_word(cell) {
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
}
