//! The second pass over a file: reads its rows, and collects findings about their cells.

use std::io;

use volute_plant::{Profile, Sample};

use super::{
    cells::{Cell, is_malformed_number, is_no_value_word, looks_like_a_number, without_unit},
    column::{Column, QualityTarget},
    dialect::Dialect,
    findings::{Finding, Findings, printable, quoted},
    layout::Layout,
    records::{Line, Records},
    row::Row,
    source::Source,
    survey::{ReadPlan, time_text},
    text::Record,
    times::{self, ParsedTime},
};

/// A row with its line, from 1 on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NumberedRow {
    pub(crate) line: u64,
    pub(crate) row: Row,
}

/// Counts of one channel's cells.
#[derive(Debug, Clone, Default)]
struct CellCounts {
    numbers: u64,
    not_numbers: u64,
    /// Cells that are neither numbers nor known words for "no value".
    unknown_words: u64,
    first_unknown_word: Option<Finding>,
}

/// Reads rows one by one. Collects errors in the rows instead of stopping at the first one.
pub(super) struct Rows<'a> {
    records: Records<'a>,
    layout: &'a Layout,
    plan: &'a ReadPlan,
    profile: &'a Profile,
    dialect: &'a Dialect,
    /// By channel.
    cell_counts: Vec<CellCounts>,
    not_numbers: Findings,
    bad_values: Findings,
    errors: Findings,
}

impl<'a> Rows<'a> {
    pub(super) fn open(
        source: &Source<'a>,
        layout: &'a Layout,
        plan: &'a ReadPlan,
        profile: &'a Profile,
        dialect: &'a Dialect,
    ) -> io::Result<Self> {
        let cell_counts = vec![CellCounts::default(); profile.channels().len()];
        let records = Records::open(source, layout)?;
        let (not_numbers, bad_values, errors) = Default::default();
        Ok(Self { records, layout, plan, profile, dialect, cell_counts, not_numbers, bad_values, errors })
    }

    /// Returns the next row whose time is known.
    pub(super) fn next(&mut self) -> io::Result<Option<NumberedRow>> {
        while let Some((line, content)) = self.records.next()? {
            if let Line::Row(record) | Line::Unterminated(record, _) = content
                && let Some(row) = self.row(line, &record)
            {
                return Ok(Some(NumberedRow { line, row }));
            }
        }
        Ok(None)
    }

    /// Returns three kinds of findings: errors, cells that are not numbers and taken as missing, and implausible
    /// numbers.
    pub(super) fn findings(mut self) -> (Findings, Findings, Findings) {
        for counts in &self.cell_counts {
            // If at least 90 % of the cells are unknown words, the cause is not a broken sensor. The cells hold numbers
            // in an unknown notation, or other data.
            let Some(finding) = &counts.first_unknown_word else { continue };
            if self.plan.mark_is_known && 10 * counts.unknown_words >= 9 * (counts.numbers + counts.not_numbers) {
                let why = format!("is not a number, and of all cells in the column only {} are", counts.numbers);
                let count = counts.unknown_words;
                self.errors.push(Finding { count, ..finding.clone().why(why) });
            }
        }
        (self.errors, self.not_numbers, self.bad_values)
    }

    fn row(&mut self, line: u64, record: &Record) -> Option<Row> {
        let layout = self.layout;
        if layout.is_of_other_pump(record, self.dialect) {
            return None;
        }
        let mut samples = vec![Sample::Missing; self.profile.channels().len()];
        let (mut normal, mut anomaly) = (None, None);
        for (index, &column) in layout.columns.iter().enumerate() {
            let cell = record.cell(index);
            match column {
                Column::Channel(channel) => samples[channel] = self.sample(line, index, channel, cell),
                Column::MachineStatus => normal = (!cell.is_empty()).then_some(cell == "NORMAL"),
                Column::Anomaly => anomaly = self.anomaly_label(line, index, cell),
                _ => {}
            }
        }
        self.drop_bad_quality(line, record, &mut samples);
        let recorded_at = time_text(layout, record);
        let utc = match times::parse(&recorded_at, self.dialect.time_format.as_ref())? {
            ParsedTime::Absolute(time) => time,
            ParsedTime::Local(local) => self.plan.repeated_hours.utc(line, local)?,
        };
        let at = times::timestamp(utc).ok()?;
        Some(Row { at, samples: samples.into(), normal, anomaly, recorded_at })
    }

    /// Replaces values whose quality is bad by missing ones.
    fn drop_bad_quality(&mut self, line: u64, record: &Record, samples: &mut [Sample]) {
        for (&index, meanings) in &self.plan.qualities {
            let Column::Quality(target) = self.layout.columns[index] else { continue };
            let word = record.cell(index);
            let channels = match target {
                QualityTarget::Channel(channel) => channel..channel + 1,
                QualityTarget::Row => 0..samples.len(),
            };
            let has_value = samples[channels.clone()].iter().any(|sample| sample.value().is_some());
            if has_value && meanings.get(word) == Some(&false) {
                samples[channels].fill(Sample::Missing);
                self.not_numbers.add(line, format!("{}: {}", self.layout.name(index), quoted(word)), "");
            }
        }
    }

    fn sample(&mut self, line: u64, index: usize, channel_index: usize, cell: &str) -> Sample {
        let (counts, channel) = (&mut self.cell_counts[channel_index], &self.profile.channels()[channel_index]);
        match self.plan.number_format.read(&without_unit(cell, &channel.unit)) {
            Cell::Empty => Sample::Missing,
            Cell::Number(value) => {
                counts.numbers += 1;
                let sample = channel.sample(value);
                if let Sample::Bad(_) = sample {
                    let what = format!("{}: {}", self.layout.name(index), quoted(cell));
                    let [low, high] = channel.plausible;
                    let why = format!("; plausible is {low} to {high} {}", channel.unit);
                    self.bad_values.add_of_kind(line, self.layout.name(index), what, &why);
                }
                sample
            }
            Cell::NotANumber => {
                counts.not_numbers += 1;
                let name = self.layout.name(index);
                let what = format!("{name}: {}", quoted(cell));
                let is_no_value = self.dialect.no_value.iter().any(|word| word == cell);
                if !is_no_value && looks_like_a_number(cell) {
                    if self.plan.mark_is_known || is_malformed_number(&without_unit(cell, &channel.unit)) {
                        let mut why = format!(
                            "is not a number that has one meaning here; allowed: a number, in {} if a unit is beside it",
                            channel.unit
                        );
                        // A user cannot type control characters.
                        if !cell.contains(char::is_control) && printable(cell) == cell {
                            why = format!("{why}; --no-value '{cell}' says that it is none");
                        }
                        self.errors.add_of_kind(line, &format!("{name} number"), what, &why);
                    }
                    return Sample::Missing;
                }
                if !is_no_value && !is_no_value_word(cell) {
                    counts.unknown_words += 1;
                    counts.first_unknown_word.get_or_insert_with(|| Finding::new(line, what.clone()));
                }
                self.not_numbers.add(line, what, "");
                Sample::Missing
            }
        }
    }

    fn anomaly_label(&mut self, line: u64, index: usize, cell: &str) -> Option<bool> {
        match cell {
            "" => None,
            "0" | "0.0" | "0,0" => Some(false),
            "1" | "1.0" | "1,0" => Some(true),
            _ => {
                let what = format!("{}: {}", self.layout.name(index), quoted(cell));
                self.errors.add(line, what, "; allowed: 0, 1, or nothing");
                None
            }
        }
    }
}
