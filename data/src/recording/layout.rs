//! Finds a recording's header, its delimiter, the roles of its columns and their units.
//!
//! ```text
//! sep=;                             declares the delimiter
//! # Logger XY 3.2                   lines before the header are skipped
//! Timestamp;Motor RPM;...           the header: the first line with a time and a channel of the profile
//! [-];[1/min];...                   a row of units: has no number and no time
//! 2026-03-09 10:14:33;2950,0;...    the first row
//! ```

use std::io::{self, Read};

use volute_plant::{Profile, PumpId};

use super::{
    cells::{Cell, DecimalMark, NumberFormat},
    column::{Column, Heading},
    columns::{columns, unit_beside_stem, unused_times},
    dialect::Dialect,
    findings::{Finding, printable, quoted},
    sniff,
    source::Source,
    text::{Lines, Record, Splitter, decode, trim},
    times::{
        self,
        zones::{NamedZone, zone_in_name},
    },
    units::{UnitMatch, compare_units},
};

/// The header is searched for in this many lines.
const HEADER_SEARCH_LINES: usize = 200;
/// At most this many rows of units and descriptions are below the header.
const MAX_UNIT_ROWS: usize = 3;
/// A header with quoted line breaks has at most this many lines.
const MAX_HEADER_LINES: usize = 5;
/// At most this many columns are listed in an error.
const MAX_LISTED_COLUMNS: usize = 30;
/// The score of a line with a time and a channel. Other lines have less: 2 for each channel, 1 for a time.
const COMPLETE_HEADER_SCORE: usize = 1000;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The layout of a file.
#[derive(Debug)]
pub(super) struct Layout {
    pub delimiter: u8,
    /// The header's line, from 1 on.
    pub header_line: u64,
    pub header: Record,
    pub columns: Vec<Column>,
    /// The number of lines before the first row.
    pub lines_before_rows: u64,
    /// The text below the time's columns in the rows of units.
    time_unit: String,
    /// Remarks about the columns for the user.
    pub remarks: Vec<String>,
    /// Units other than the channels', and duplicate columns.
    pub errors: Vec<Finding>,
    /// Why this is not the header of a recording. The lines below it are checked nevertheless.
    pub header_error: Option<HeaderError>,
    /// The unused columns with a time, by index. For a date, the second index is the column with its time of day.
    pub unused_times: Vec<(usize, Option<usize>)>,
}

/// The file has no valid header for this profile.
#[derive(Debug)]
pub(super) enum HeaderError {
    /// A column is missing or wrong.
    Column {
        /// Its name.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is not CSV; says what it is.
    NotCsv(&'static str),
}

impl HeaderError {
    fn new(column: &str, problem: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), problem: problem.into() }
    }
}

impl Layout {
    /// Finds the header. The outer error is about reading the file, the inner one about its content.
    pub(super) fn find(
        source: &Source<'_>,
        profile: &Profile,
        dialect: &Dialect,
    ) -> io::Result<Result<Self, HeaderError>> {
        let mut start = Vec::new();
        source.open()?.take(sniff::SAMPLE_BYTES as u64).read_to_end(&mut start)?;
        if let Some(what) = sniff::identify_binary(&start) {
            return Ok(Err(HeaderError::NotCsv(what)));
        }
        let lines = first_lines(source)?;
        Ok(Self::of_lines(&lines, profile, dialect))
    }

    fn of_lines(lines: &[String], profile: &Profile, dialect: &Dialect) -> Result<Self, HeaderError> {
        let mut delimiters = DELIMITERS.to_vec();
        let mut best: Option<Self> = None;
        let mut long_format = None;
        let mut best_score = 0;
        for (index, line) in lines.iter().enumerate().take(HEADER_SEARCH_LINES) {
            if let Some(delimiter) = declared_delimiter(line) {
                delimiters = vec![delimiter];
                continue;
            }
            if trim(line).is_empty() {
                continue;
            }
            for &delimiter in &delimiters {
                let Some((header, used)) = split_header(delimiter, &lines[index..]) else { continue };
                let columns = columns(profile, &header, &dialect.columns);
                let channels = columns.iter().filter(|column| matches!(column, Column::Channel(_))).count();
                let has_time = columns.contains(&Column::Time);
                if channels == 0 && long_format.is_none() {
                    long_format = long_format_error(&header);
                }
                let score = 2 * channels
                    + usize::from(has_time)
                    + usize::from(channels > 0 && has_time) * COMPLETE_HEADER_SCORE;
                if score > best_score {
                    best_score = score;
                    let (header_line, lines_before_rows) = (index as u64 + 1, (index + used) as u64);
                    let (time_unit, remarks, errors) = Default::default();
                    let unused_times = unused_times(&header, &columns);
                    best = Some(Self {
                        delimiter,
                        header_line,
                        header,
                        columns,
                        lines_before_rows,
                        time_unit,
                        remarks,
                        errors,
                        header_error: None,
                        unused_times,
                    });
                }
            }
            if best_score > COMPLETE_HEADER_SCORE {
                break;
            }
        }
        if let (Some(error), true) = (long_format, best_score < COMPLETE_HEADER_SCORE) {
            return Err(error);
        }
        let Some(mut layout) = best else {
            let within = lines.len().clamp(1, HEADER_SEARCH_LINES);
            let problem = format!("is in none of the first {within} lines, with , ; | or a tab between the cells");
            let error = sniff::identify_text(lines).map(HeaderError::NotCsv);
            return Err(error.unwrap_or_else(|| HeaderError::new("timestamp", problem)));
        };
        layout.check_columns();
        layout.check_named_columns(dialect);
        layout.header_error = layout.missing_column(&lines[layout.lines_before_rows as usize..]);
        layout.remark_columns(profile);
        let units = layout.header_units(profile);
        layout.check_units(profile, units, dialect.ignore_units);
        // In a row of units, a cell that is not a unit needs no remark: there is one about the whole row.
        let units = layout
            .unit_rows(lines)
            .into_iter()
            .filter(|(_, unit)| compare_units(unit, "") != UnitMatch::NotAUnit)
            .collect();
        layout.check_units(profile, units, dialect.ignore_units);
        Ok(layout)
    }

    /// Returns the zone in the names of the time's columns, or in the rows of units below them.
    pub(super) fn zone(&self) -> Option<NamedZone> {
        zone_in_name(&self.time_name()).or_else(|| zone_in_name(&self.time_unit))
    }

    /// Returns the names of the time's columns.
    pub(super) fn time_name(&self) -> String {
        let is_time = |index: &usize| matches!(self.columns[*index], Column::Time | Column::TimeOfDay);
        (0..self.columns.len()).filter(is_time).map(|index| self.name(index)).collect::<Vec<_>>().join(" ")
    }

    /// Returns the index of the column that identifies the pump.
    pub(super) fn pump_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| *column == Column::PumpId)
    }

    /// Whether the user asked for one pump and the row is of another one.
    pub(super) fn is_of_other_pump(&self, record: &Record, dialect: &Dialect) -> bool {
        let Some(wanted) = &dialect.pump else { return false };
        self.pump_column().is_some_and(|index| !is_same_pump(record.cell(index), wanted))
    }

    /// Returns the name of a column as written in the file.
    pub(super) fn name(&self, index: usize) -> &str {
        self.header.cell(index)
    }

    /// Adds remarks about unused columns and channels without a column.
    fn remark_columns(&mut self, profile: &Profile) {
        if self.header_line > 1 {
            self.remarks.push(format!("the header is in line {}; what is before it is left out", self.header_line));
        }
        let unknown: Vec<String> = (0..self.columns.len())
            .filter(|&index| self.columns[index] == Column::Unknown)
            .map(|index| quoted(self.name(index)))
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

    fn header_units(&self, profile: &Profile) -> Vec<(usize, String)> {
        let unit = |index: usize| {
            let heading = Heading::new(self.name(index));
            let in_name = || match self.columns[index] {
                Column::Channel(channel) => unit_beside_stem(profile, channel, &heading),
                _ => None,
            };
            heading.unit.map(str::to_owned).or_else(in_name).map(|unit| (index, unit))
        };
        (0..self.columns.len()).filter_map(unit).collect()
    }

    /// Reads the rows of units below the header, and skips them. Returns units with the index of their column.
    fn unit_rows(&mut self, lines: &[String]) -> Vec<(usize, String)> {
        let mut units = Vec::new();
        let mut splitter = Splitter::new(self.delimiter);
        for line in lines.iter().skip(self.lines_before_rows as usize).take(MAX_UNIT_ROWS) {
            let Some(record) = splitter.split(line) else { break };
            if record != self.header && !self.is_unit_row(&record) {
                break;
            }
            self.lines_before_rows += 1;
            if record == self.header {
                continue;
            }
            self.remarks.push(format!("line {} is taken for units, not for a row", self.lines_before_rows));
            for (index, cell) in record.cells().enumerate() {
                if let Some(Column::Time | Column::TimeOfDay) = self.columns.get(index) {
                    self.time_unit = format!("{} {cell}", self.time_unit);
                }
                units.push((index, without_brackets(cell).to_owned()));
            }
        }
        units
    }

    /// Whether a row below the header has no number in any channel and no digit in the time.
    fn is_unit_row(&self, record: &Record) -> bool {
        let mark = if self.delimiter == b',' { DecimalMark::Point } else { DecimalMark::Comma };
        let number = NumberFormat { mark, thousands: true };
        let is_word = |(index, column): (usize, &Column)| match column {
            Column::Time | Column::TimeOfDay => !record.cell(index).contains(|letter: char| letter.is_ascii_digit()),
            Column::Channel(_) => !matches!(number.read(record.cell(index)), Cell::Number(_)),
            _ => true,
        };
        let has_unit =
            |(index, column): (usize, &Column)| matches!(column, Column::Channel(_)) && !record.cell(index).is_empty();
        // Without a column of times a row of units cannot be distinguished from other rows.
        self.columns.contains(&Column::Time)
            && self.columns.iter().enumerate().all(is_word)
            && self.columns.iter().enumerate().any(has_unit)
    }

    /// Adds errors for units other than the channels'; with `are_ignored`, remarks.
    fn check_units(&mut self, profile: &Profile, units: Vec<(usize, String)>, are_ignored: bool) {
        const HINT: &str = "--ignore-units takes the numbers as they are";
        let (mut not_units, mut ignored) = (Vec::new(), Vec::new());
        for (index, unit) in units {
            let Some(Column::Channel(channel_index)) = self.columns.get(index) else { continue };
            let channel = &profile.channels()[*channel_index];
            let (column, unit_text, channel_unit) = (quoted(self.name(index)), quoted(&unit), &channel.unit);
            let why = match compare_units(&unit, channel_unit) {
                UnitMatch::Same => continue,
                UnitMatch::NotAUnit if unit.is_empty() => continue,
                UnitMatch::NotAUnit => {
                    not_units.push(format!("{unit_text} for {} in {channel_unit}", channel.name));
                    continue;
                }
                _ if are_ignored => {
                    ignored.push(format!("{unit_text} for {} in {channel_unit}", channel.name));
                    continue;
                }
                UnitMatch::Other => {
                    format!("is in {unit_text}, and {} is in {channel_unit}: convert it; {HINT}", channel.name)
                }
                UnitMatch::Unknown => {
                    let problem = "which is not a known unit";
                    format!("says {unit_text}, {problem}, and {} is in {channel_unit}: {HINT}", channel.name)
                }
            };
            self.errors.push(Finding::new(self.header_line, format!("column {column}")).why(why));
        }
        for (remark, list) in
            [("units that are not known, numbers taken as they are", not_units), ("units ignored", ignored)]
        {
            if let [first, rest @ ..] = &list[..] {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                self.remarks.push(format!("{remark}: {first}{more}"));
            }
        }
    }

    /// Adds errors for columns that may occur only once and occur twice.
    fn check_columns(&mut self) {
        for (index, column) in self.columns.iter().enumerate() {
            let may_repeat = matches!(column, Column::Unnamed | Column::Unknown | Column::Ignored | Column::Quality(_));
            let first = self.columns[..index].iter().position(|other| other == column);
            if let (false, Some(first)) = (may_repeat, first) {
                let (name, other) = (self.name(index), self.name(first));
                let what = format!("column {} is there twice", quoted(name));
                let why = match name == other {
                    true => "; rename one of them".to_owned(),
                    false => {
                        format!("; {} is the same; --column '{}=ignore' leaves it out", quoted(other), printable(name))
                    }
                };
                self.errors.push(Finding::new(self.header_line, what).why(why));
            }
        }
    }

    /// Adds errors for columns that the user names and the file does not have.
    fn check_named_columns(&mut self, dialect: &Dialect) {
        let why = format!("; there are {}", self.column_list());
        let absent: Vec<&String> = dialect.columns.keys().filter(|name| !self.has_column(name)).collect();
        for name in absent {
            let what = format!("no column is named {}, as --column says", quoted(name));
            self.errors.push(Finding::new(self.header_line, what).why(why.clone()));
        }
    }

    /// Whether the header has a column with this name, as written in the file.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.header.cells().any(|cell| cell == name)
    }

    /// Lists the names of the columns.
    pub(super) fn column_list(&self) -> String {
        self.header.cells().take(MAX_LISTED_COLUMNS).map(quoted).collect::<Vec<_>>().join(", ")
    }

    /// Returns an error if the header has no time or no channel.
    fn missing_column(&self, rows: &[String]) -> Option<HeaderError> {
        if !self.columns.contains(&Column::Time) {
            let likely_time = self.likely_time_column(rows);
            let hint =
                likely_time.map(|name| format!("; {} looks like one: --column '{name}=timestamp'", quoted(name)));
            return Some(HeaderError::new("timestamp", format!("is missing{}", hint.unwrap_or_default())));
        }
        if !self.columns.iter().any(|column| matches!(column, Column::Channel(_))) {
            let problem = format!(
                "is not a channel, and neither is any other of {}; --column 'NAME=CHANNEL' says which is",
                self.column_list()
            );
            return Some(HeaderError::new(self.name(self.header.len().saturating_sub(1)), problem));
        }
        None
    }

    /// Returns the unused column whose first cell looks like a time.
    fn likely_time_column(&self, rows: &[String]) -> Option<&str> {
        let mut splitter = Splitter::new(self.delimiter);
        let first =
            rows.iter().find_map(|row| splitter.split(row).filter(|record| record.len() == self.header.len()))?;
        let is_time = |cell: &str| times::parse(cell, None).is_some() || (cell.contains(':') && cell.len() > 9);
        let is_unknown = |index: &usize| self.columns[*index] == Column::Unknown;
        (0..self.columns.len())
            .filter(is_unknown)
            .find(|&index| is_time(first.cell(index)))
            .map(|index| self.name(index))
    }
}

/// Whether two cells name the same pump, maybe in different spellings.
pub(super) fn is_same_pump(one: &str, other: &str) -> bool {
    one == other || one.parse::<PumpId>().is_ok_and(|one| other.parse().is_ok_and(|other: PumpId| one == other))
}

/// Returns the error for a file in long format: one column has the channel's name, and another one the value.
fn long_format_error(header: &Record) -> Option<HeaderError> {
    const NAMES: [&str; 12] = [
        "varname",
        "tag",
        "tagname",
        "tag_name",
        "field",
        "point",
        "variable",
        "parameter",
        "sensor",
        "signal",
        "name",
        "channel",
    ];
    const VALUES: [&str; 6] = ["varvalue", "value", "wert", "val", "reading", "messwert"];
    let find = |names: &[&str]| header.cells().find(|cell| names.contains(&Heading::new(cell).base.as_str()));
    let (name, value) = find(&NAMES).zip(find(&VALUES))?;
    let problem = format!(
        "names the channel of each row, whose value is in {}: one value a row is not read; export it with a column for each \
         channel",
        quoted(value)
    );
    Some(HeaderError::new(name, problem))
}

/// Reads enough lines for the header and the rows of units below it.
fn first_lines(source: &Source<'_>) -> io::Result<Vec<String>> {
    let mut lines = Lines::new(decode(source.open()?)?);
    let mut first = Vec::new();
    while first.len() < HEADER_SEARCH_LINES + MAX_HEADER_LINES + MAX_UNIT_ROWS {
        let Some(line) = lines.next()? else { break };
        first.push(line);
    }
    Ok(first)
}

/// Splits a header that begins with the first of these lines. Returns its cells and how many lines it has.
fn split_header(delimiter: u8, lines: &[String]) -> Option<(Record, usize)> {
    let mut splitter = Splitter::new(delimiter);
    let mut text = String::new();
    for (used, line) in lines.iter().enumerate().take(MAX_HEADER_LINES) {
        text.push_str(line);
        if let Some(record) = splitter.split(&text) {
            return Some((record, used + 1));
        }
        text.push(' ');
    }
    None
}

/// Reads the delimiter from Excel's first line, such as `sep=;`.
fn declared_delimiter(line: &str) -> Option<u8> {
    let line = line.trim_start_matches('\u{feff}').trim_matches('"');
    let rest = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).and(line.get(4..))?;
    let mut rest = rest.chars();
    let delimiter = rest.next().filter(char::is_ascii).and_then(|first| u8::try_from(first).ok())?;
    trim(rest.as_str()).is_empty().then_some(delimiter)
}

fn without_brackets(cell: &str) -> &str {
    cell.trim_matches(|letter| matches!(letter, '[' | ']' | '(' | ')')).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_delimiter_is_one_ascii_character() {
        for (line, delimiter) in [
            ("sep=;", Some(b';')),
            ("\u{feff}\"SEP=,\"", Some(b',')),
            ("sep=| ;", None),
            ("sep=;  ", Some(b';')),
            ("sep=¶", None),
            ("sep=¶;", None),
            ("sep=;¶", None),
            ("se¶=;", None),
            ("sep=", None),
        ] {
            assert_eq!(declared_delimiter(line), delimiter, "{line:?}");
        }
    }
}
