//! Where a recording's header is, how its cells are set apart, and what its columns are.
//!
//! ```text
//! sep=;                             names the delimiter
//! # Logger XY 3.2                   anything before the header is left out
//! Timestamp;Motor RPM;...           the header: the first line with a time and a channel of the profile
//! [-];[1/min];...                   a row of units: no number and no time
//! 2026-03-09 10:14:33;2950,0;...    the first row
//! ```

use std::{collections::BTreeMap, io};

use volute_plant::Profile;

use super::{
    Source,
    cells::{Cell, DecimalMark, NumberFormat},
    columns::{Column, Heading, Unit, columns, compare_units},
    findings::quoted,
    text::{Lines, Record, Splitter, decoded, trim},
};

/// The header is among so many lines.
const HEADER_WITHIN: usize = 200;
/// Rows of units and descriptions below the header.
const MOST_UNIT_ROWS: usize = 3;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How a file is to be read.
#[derive(Debug)]
pub(super) struct Layout {
    pub delimiter: u8,
    /// The header's line, from 1.
    pub header_line: u64,
    pub header: Record,
    pub columns: Vec<Column>,
    /// The last line before the first row.
    pub rows_after: u64,
    /// What there is to say about the columns.
    pub remarks: Vec<String>,
}

/// The file has no header of a recording of this profile.
#[derive(Debug)]
pub(super) struct HeaderError {
    pub column: String,
    pub problem: String,
}

impl Layout {
    /// Looks for the header; an error inside is about the file's content.
    pub(super) fn find(
        source: &Source<'_>,
        profile: &Profile,
        names: &BTreeMap<String, String>,
    ) -> io::Result<Result<Self, HeaderError>> {
        let mut lines = Lines::new(decoded(source.open()?)?);
        let mut delimiters = DELIMITERS.to_vec();
        let mut closest: Option<(u8, u64, Record, Vec<Column>)> = None;
        let mut best = 0;
        while let Some(line) = lines.next()? {
            if lines.number as usize > HEADER_WITHIN {
                break;
            }
            if let Some(delimiter) = declared_delimiter(&line) {
                delimiters = vec![delimiter];
                continue;
            }
            for &delimiter in &delimiters {
                let Some(record) = Splitter::new(delimiter).split(&line) else { continue };
                let columns = columns(profile, &record, names);
                let channels = columns.iter().filter(|column| matches!(column, Column::Channel(_))).count();
                let has_time = columns.contains(&Column::Time);
                let score = 2 * channels + usize::from(has_time) + usize::from(channels > 0 && has_time) * 1000;
                if score > best {
                    (best, closest) = (score, Some((delimiter, lines.number, record, columns)));
                }
            }
            if best > 1000 {
                break;
            }
        }
        let Some((delimiter, header_line, header, columns)) = closest else {
            let problem = format!("is in none of the first {} lines", lines.number.clamp(1, HEADER_WITHIN as u64));
            return Ok(Err(HeaderError { column: "timestamp".into(), problem }));
        };
        if let Err(error) = check(&header, &columns) {
            return Ok(Err(error));
        }
        let mut layout = Self { delimiter, header_line, rows_after: header_line, header, columns, remarks: Vec::new() };
        layout.remark_columns(profile);
        let mut units = layout.header_units();
        units.extend(layout.unit_rows(&mut lines)?);
        Ok(layout.check_units(profile, units).map(|()| layout))
    }

    /// The name of a column, as the file has it.
    pub(super) fn name(&self, place: usize) -> &str {
        self.header.cell(place)
    }

    /// Says which columns are not used, and which channels are not there.
    fn remark_columns(&mut self, profile: &Profile) {
        if self.header_line > 1 {
            self.remarks.push(format!("the header is in line {}; what is before it is left out", self.header_line));
        }
        let unknown: Vec<String> = (0..self.columns.len())
            .filter(|&place| self.columns[place] == Column::Unknown)
            .map(|place| quoted(self.name(place)))
            .collect();
        if !unknown.is_empty() {
            self.remarks.push(format!("columns that are not used: {}", unknown.join(", ")));
        }
        let absent: Vec<&str> = profile
            .channel_names()
            .enumerate()
            .filter(|(index, _)| !self.columns.contains(&Column::Channel(*index)))
            .map(|(_, name)| name)
            .collect();
        if !absent.is_empty() {
            self.remarks.push(format!("channels without a column, taken as missing: {}", absent.join(", ")));
        }
    }

    fn header_units(&self) -> Vec<(usize, String)> {
        let unit = |place: usize| Heading::new(self.name(place)).unit.map(|unit| (place, unit.to_owned()));
        (0..self.columns.len()).filter_map(unit).collect()
    }

    /// Reads the rows of units below the header.
    fn unit_rows(&mut self, lines: &mut Lines<'_>) -> io::Result<Vec<(usize, String)>> {
        let mut units = Vec::new();
        let mut splitter = Splitter::new(self.delimiter);
        for _ in 0..MOST_UNIT_ROWS {
            let Some(line) = lines.next()? else { break };
            let Some(record) = splitter.split(&line) else { break };
            if record != self.header && !self.is_unit_row(&record) {
                break;
            }
            self.rows_after = lines.number;
            self.remarks.push(format!("line {} is taken for units, not for a row", lines.number));
            units.extend(record.cells().enumerate().map(|(place, cell)| (place, without_brackets(cell).to_owned())));
        }
        Ok(units)
    }

    /// Whether a row below the header has words in every column, the time's too.
    fn is_unit_row(&self, record: &Record) -> bool {
        let mark = if self.delimiter == b',' { DecimalMark::Point } else { DecimalMark::Comma };
        let number = NumberFormat { mark, thousands: true };
        let is_word = |(place, column): (usize, &Column)| match column {
            Column::Time | Column::TimeOfDay => !record.cell(place).contains(|letter: char| letter.is_ascii_digit()),
            Column::Channel(_) => !matches!(number.read(record.cell(place)), Cell::Number(_)),
            _ => true,
        };
        let says_something =
            |(place, column): (usize, &Column)| matches!(column, Column::Channel(_)) && !record.cell(place).is_empty();
        self.columns.iter().enumerate().all(is_word) && self.columns.iter().enumerate().any(says_something)
    }

    /// Refuses units that are not the channels'; says which ones are not known.
    fn check_units(&mut self, profile: &Profile, units: Vec<(usize, String)>) -> Result<(), HeaderError> {
        let mut unknown: Vec<String> = Vec::new();
        for (place, unit) in units {
            let Some(Column::Channel(index)) = self.columns.get(place) else { continue };
            let channel = &profile.channels()[*index];
            match compare_units(&unit, &channel.unit) {
                Unit::Same => {}
                _ if unit.is_empty() => {}
                Unit::Other => {
                    let (unit, right) = (quoted(&unit), &channel.unit);
                    let problem = format!("is in {unit}, and {} is in {right}: convert it", channel.name);
                    return Err(HeaderError { column: self.name(place).to_owned(), problem });
                }
                Unit::Unknown => unknown.push(format!("{} for {} in {}", quoted(&unit), channel.name, channel.unit)),
            }
        }
        if let [first, rest @ ..] = &unknown[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            self.remarks.push(format!("units that are not known, numbers taken as they are: {first}{more}"));
        }
        Ok(())
    }
}

/// A recording has a time, a channel at least, and each column once.
fn check(header: &Record, columns: &[Column]) -> Result<(), HeaderError> {
    let wrong = |column: &str, problem: &str| Err(HeaderError { column: column.into(), problem: problem.into() });
    for (place, column) in columns.iter().enumerate() {
        let once = matches!(column, Column::Unnamed | Column::Unknown | Column::Aside);
        if !once && columns[..place].contains(column) {
            return wrong(header.cell(place), "is there twice");
        }
    }
    if !columns.contains(&Column::Time) {
        return wrong("timestamp", "is missing");
    }
    if !columns.iter().any(|column| matches!(column, Column::Channel(_))) {
        return wrong(header.cell(header.len().saturating_sub(1)), "is no channel, and neither is any other");
    }
    Ok(())
}

/// Excel's first line, as `sep=;`.
fn declared_delimiter(line: &str) -> Option<u8> {
    let line = line.trim_start_matches('\u{feff}').trim_matches('"');
    let rest = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).and(line.get(4..))?;
    match rest.as_bytes() {
        [delimiter] => Some(*delimiter),
        [delimiter, ..] if trim(&rest[1..]).is_empty() => Some(*delimiter),
        _ => None,
    }
}

fn without_brackets(cell: &str) -> &str {
    cell.trim_matches(|letter| matches!(letter, '[' | ']' | '(' | ')')).trim()
}
