//! Where a recording's header is, how its cells are set apart, and what its columns are.
//!
//! ```text
//! sep=;                             names the delimiter
//! # Logger XY 3.2                   anything before the header is left out
//! Timestamp;Motor RPM;...           the header: the first line with a time and a channel of the profile
//! [-];[1/min];...                   a row of units: no number and no time
//! 2026-03-09 10:14:33;2950,0;...    the first row
//! ```

use std::io::{self, Read};

use volute_plant::{Profile, PumpId};

use super::{
    cells::{Cell, DecimalMark, NumberFormat},
    column::{Column, Heading},
    columns::{columns, other_times, unit_beside_stem},
    dialect::Dialect,
    findings::{Finding, plain, quoted},
    sniff,
    source::Source,
    text::{Lines, Record, Splitter, decoded, trim},
    times::{
        self,
        zones::{NamedZone, zone_in},
    },
    units::{Unit, compare_units},
};

/// The header is among so many lines.
const HEADER_WITHIN: usize = 200;
/// Rows of units and descriptions below the header.
const MOST_UNIT_ROWS: usize = 3;
/// A header's cell may go on in the next lines, as far as these.
const HEADER_LINES: usize = 5;
/// Columns that are told by name where none is a channel.
const MOST_NAMES: usize = 30;
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
    /// What the rows of units say of the time.
    unit_of_time: String,
    /// What there is to say about the columns.
    pub remarks: Vec<String>,
    /// Units that are not the channels', and columns that are there twice.
    pub trouble: Vec<Finding>,
    /// Why this is no recording's header; what is below it is looked at all the same.
    pub error: Option<HeaderError>,
    /// Columns of times that are not used: each a place, or that of a date with that of the time of day.
    pub other_times: Vec<(usize, Option<usize>)>,
}

/// The file has no header of a recording of this profile.
#[derive(Debug)]
pub(super) enum HeaderError {
    /// A column is missing, or there twice.
    Column {
        /// Its name.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is no CSV, but this.
    NotCsv(&'static str),
}

impl HeaderError {
    fn new(column: &str, problem: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), problem: problem.into() }
    }
}

impl Layout {
    /// Looks for the header; an error inside is about the file's content.
    pub(super) fn find(
        source: &Source<'_>,
        profile: &Profile,
        dialect: &Dialect,
    ) -> io::Result<Result<Self, HeaderError>> {
        let mut start = Vec::new();
        source.open()?.take(sniff::SAMPLE as u64).read_to_end(&mut start)?;
        if let Some(what) = sniff::magic(&start) {
            return Ok(Err(HeaderError::NotCsv(what)));
        }
        let lines = first_lines(source)?;
        Ok(Self::of(&lines, profile, dialect))
    }

    fn of(lines: &[String], profile: &Profile, dialect: &Dialect) -> Result<Self, HeaderError> {
        let mut delimiters = DELIMITERS.to_vec();
        let mut closest: Option<Self> = None;
        let mut one_value_a_row = None;
        let mut best = 0;
        for (index, line) in lines.iter().enumerate().take(HEADER_WITHIN) {
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
                if channels == 0 && one_value_a_row.is_none() {
                    one_value_a_row = name_and_value(&header);
                }
                let score = 2 * channels + usize::from(has_time) + usize::from(channels > 0 && has_time) * 1000;
                if score > best {
                    best = score;
                    let (header_line, rows_after) = (index as u64 + 1, (index + used) as u64);
                    let (unit_of_time, remarks, trouble) = Default::default();
                    let other_times = other_times(&header, &columns);
                    closest = Some(Self {
                        delimiter,
                        header_line,
                        header,
                        columns,
                        rows_after,
                        unit_of_time,
                        remarks,
                        trouble,
                        error: None,
                        other_times,
                    });
                }
            }
            if best > 1000 {
                break;
            }
        }
        if let (Some(error), true) = (one_value_a_row, best < 1000) {
            return Err(error);
        }
        let Some(mut layout) = closest else {
            let within = lines.len().clamp(1, HEADER_WITHIN);
            let problem = format!("is in none of the first {within} lines, with , ; | or a tab between the cells");
            let error = sniff::of_text(lines).map(HeaderError::NotCsv);
            return Err(error.unwrap_or_else(|| HeaderError::new("timestamp", problem)));
        };
        layout.check_columns();
        layout.error = layout.missing(&lines[layout.rows_after as usize..]);
        layout.remark_columns(profile);
        let units = layout.header_units(profile);
        layout.check_units(profile, units, dialect.ignore_units);
        // What is no unit in a row that is taken for units is told with the row.
        let units =
            layout.unit_rows(lines).into_iter().filter(|(_, unit)| compare_units(unit, "") != Unit::None).collect();
        layout.check_units(profile, units, dialect.ignore_units);
        Ok(layout)
    }

    /// The zone that the time's columns name, or the row of units below them.
    pub(super) fn zone(&self) -> Option<NamedZone> {
        zone_in(&self.time_name()).or_else(|| zone_in(&self.unit_of_time))
    }

    /// The names of the time's columns.
    pub(super) fn time_name(&self) -> String {
        let is_time = |place: &usize| matches!(self.columns[*place], Column::Time | Column::TimeOfDay);
        (0..self.columns.len()).filter(is_time).map(|place| self.name(place)).collect::<Vec<_>>().join(" ")
    }

    /// The column that says whose the rows are.
    pub(super) fn pump_place(&self) -> Option<usize> {
        self.columns.iter().position(|column| *column == Column::PumpId)
    }

    /// Whether one pump was asked for, and the row is of another one.
    pub(super) fn is_of_another_pump(&self, record: &Record, dialect: &Dialect) -> bool {
        let Some(wanted) = &dialect.pump else { return false };
        self.pump_place().is_some_and(|place| !is_same_pump(record.cell(place), wanted))
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

    fn header_units(&self, profile: &Profile) -> Vec<(usize, String)> {
        let unit = |place: usize| {
            let heading = Heading::new(self.name(place));
            let in_name = || match self.columns[place] {
                Column::Channel(index) => unit_beside_stem(profile, index, &heading),
                _ => None,
            };
            heading.unit.map(str::to_owned).or_else(in_name).map(|unit| (place, unit))
        };
        (0..self.columns.len()).filter_map(unit).collect()
    }

    /// Reads the rows of units below the header.
    fn unit_rows(&mut self, lines: &[String]) -> Vec<(usize, String)> {
        let mut units = Vec::new();
        let mut splitter = Splitter::new(self.delimiter);
        for line in lines.iter().skip(self.rows_after as usize).take(MOST_UNIT_ROWS) {
            let Some(record) = splitter.split(line) else { break };
            if record != self.header && !self.is_unit_row(&record) {
                break;
            }
            self.rows_after += 1;
            if record == self.header {
                continue;
            }
            self.remarks.push(format!("line {} is taken for units, not for a row", self.rows_after));
            for (place, cell) in record.cells().enumerate() {
                if let Some(Column::Time | Column::TimeOfDay) = self.columns.get(place) {
                    self.unit_of_time = format!("{} {cell}", self.unit_of_time);
                }
                units.push((place, without_brackets(cell).to_owned()));
            }
        }
        units
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
        // Without a time nothing tells it from a row.
        self.columns.contains(&Column::Time)
            && self.columns.iter().enumerate().all(is_word)
            && self.columns.iter().enumerate().any(says_something)
    }

    /// Asks about units that are not the channels'.
    fn check_units(&mut self, profile: &Profile, units: Vec<(usize, String)>, are_ignored: bool) {
        const ASK: &str = "--ignore-units takes the numbers as they are";
        let (mut none, mut ignored) = (Vec::new(), Vec::new());
        for (place, unit) in units {
            let Some(Column::Channel(index)) = self.columns.get(place) else { continue };
            let channel = &profile.channels()[*index];
            let (column, unit_text, right) = (quoted(self.name(place)), quoted(&unit), &channel.unit);
            let why = match compare_units(&unit, right) {
                Unit::Same => continue,
                Unit::None if unit.is_empty() => continue,
                Unit::None => {
                    none.push(format!("{unit_text} for {} in {right}", channel.name));
                    continue;
                }
                _ if are_ignored => {
                    ignored.push(format!("{unit_text} for {} in {right}", channel.name));
                    continue;
                }
                Unit::Other => format!("is in {unit_text}, and {} is in {right}: convert it; {ASK}", channel.name),
                Unit::Unknown => {
                    let allowed = "which is no unit that is known here";
                    format!("says {unit_text}, {allowed}, and {} is in {right}: {ASK}", channel.name)
                }
            };
            self.trouble.push(Finding::new(self.header_line, format!("column {column}")).why(why));
        }
        for (said, list) in [("units that are not known, numbers taken as they are", none), ("units ignored", ignored)]
        {
            if let [first, rest @ ..] = &list[..] {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                self.remarks.push(format!("{said}: {first}{more}"));
            }
        }
    }

    /// Each column is there once.
    fn check_columns(&mut self) {
        for (place, column) in self.columns.iter().enumerate() {
            let once = matches!(column, Column::Unnamed | Column::Unknown | Column::Aside | Column::Quality(_));
            let first = self.columns[..place].iter().position(|other| other == column);
            if let (false, Some(first)) = (once, first) {
                let (name, other) = (self.name(place), self.name(first));
                let what = format!("column {} is there twice", quoted(name));
                let why = match name == other {
                    true => "; rename one of them".to_owned(),
                    false => {
                        format!("; {} is the same; --column '{}=ignore' leaves it out", quoted(other), plain(name))
                    }
                };
                self.trouble.push(Finding::new(self.header_line, what).why(why));
            }
        }
    }

    /// What a recording must have, and this one has not: a time, and one channel at least.
    fn missing(&self, rows: &[String]) -> Option<HeaderError> {
        if !self.columns.contains(&Column::Time) {
            let like_a_time = self.like_a_time(rows);
            let hint =
                like_a_time.map(|name| format!("; {} looks like one: --column '{name}=timestamp'", quoted(name)));
            return Some(HeaderError::new("timestamp", format!("is missing{}", hint.unwrap_or_default())));
        }
        if !self.columns.iter().any(|column| matches!(column, Column::Channel(_))) {
            let names: Vec<String> = self.header.cells().take(MOST_NAMES).map(quoted).collect();
            let problem = format!(
                "is no channel, and neither is any other of {}; --column 'NAME=CHANNEL' says which is",
                names.join(", ")
            );
            return Some(HeaderError::new(self.name(self.header.len().saturating_sub(1)), problem));
        }
        None
    }

    /// The column that is called like a time, or whose first row is one.
    fn like_a_time(&self, rows: &[String]) -> Option<&str> {
        let mut splitter = Splitter::new(self.delimiter);
        let first =
            rows.iter().find_map(|row| splitter.split(row).filter(|record| record.len() == self.header.len()))?;
        let is_time = |cell: &str| times::read(cell, None).is_some() || (cell.contains(':') && cell.len() > 9);
        let is_unknown = |place: &usize| self.columns[*place] == Column::Unknown;
        (0..self.columns.len())
            .filter(is_unknown)
            .find(|&place| is_time(first.cell(place)))
            .map(|place| self.name(place))
    }
}

/// Whether two cells name one pump, though they may spell it in two ways.
pub(super) fn is_same_pump(one: &str, other: &str) -> bool {
    one == other || one.parse::<PumpId>().is_ok_and(|one| other.parse().is_ok_and(|other: PumpId| one == other))
}

/// What is said of a file with one value a row: a column has the channel's name, and another the value.
fn name_and_value(header: &Record) -> Option<HeaderError> {
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

/// The first lines of a file: enough for the header and the rows of units below it.
fn first_lines(source: &Source<'_>) -> io::Result<Vec<String>> {
    let mut lines = Lines::new(decoded(source.open()?)?);
    let mut first = Vec::new();
    while first.len() < HEADER_WITHIN + HEADER_LINES + MOST_UNIT_ROWS {
        let Some(line) = lines.next()? else { break };
        first.push(line);
    }
    Ok(first)
}

/// The cells of a header that begins with the first of these lines, and how many of them it has.
fn split_header(delimiter: u8, lines: &[String]) -> Option<(Record, usize)> {
    let mut splitter = Splitter::new(delimiter);
    let mut text = String::new();
    for (used, line) in lines.iter().enumerate().take(HEADER_LINES) {
        text.push_str(line);
        if let Some(record) = splitter.split(&text) {
            return Some((record, used + 1));
        }
        text.push(' ');
    }
    None
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
