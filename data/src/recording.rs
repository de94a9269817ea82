//! Recordings: CSV files of what a pump once sent, as loggers, historians and the original system write them.
//!
//! A file is read twice: once for what has to be known of all its lines ([`layout`], [`survey`]), then row by row
//! ([`rows`]). What cannot be read without a guess is trouble, and all trouble is told at once, each kind with its first
//! line and how many more there are. What costs one value or one line only is told in the [`Notes`].
//!
//! ```text
//! sep=;
//! Zeitstempel;Motor RPM [1/min];Oil Pressure [bar];Comment
//! 2026-03-09 10:14:33;2950;2,4;         2950 rpm and 2.4 bar at 10:14:33 UTC, eight channels missing
//! 2026-03-09 10:14:34;2950;Bad Input;   the pressure is missing: line 4: Oil Pressure [bar]: "Bad Input"
//! 2026-03-09 10:14:34;;2,4;             the same time, another channel: merged into the row above
//! ```
//!
//! SKAB's form (`;`, `datetime`, `anomaly`) and the original system's (`,`, `timestamp`, `machine_status`) are two of many.
//! Does not fill holes, and makes no windows: that is the windower's. Does not read one value a row (`time, tag, value`).

mod cells;
mod column;
mod columns;
mod dialect;
mod findings;
mod grouping;
mod layout;
mod order;
mod quality;
mod records;
mod row;
mod rows;
mod sniff;
mod sorted;
mod source;
mod survey;
mod text;
mod times;
mod units;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use volute_plant::{Profile, PumpId};

pub use self::{
    cells::DecimalMark,
    dialect::Dialect,
    findings::Finding,
    order::{RowOrder, parts},
    row::Row,
    times::{RepeatedHour, TimeFormat, TimeZone},
};
pub(crate) use self::{
    findings::{Findings, plural, quoted},
    text::decoded,
    times::{Localized, Moment, localize, read as read_time, timestamp},
};
use self::{
    layout::{HeaderError, Layout},
    rows::Rows,
    source::Source,
    survey::Plan,
};
pub(crate) use self::{
    order::{Merger, Together, compare, count},
    rows::Numbered,
    sorted::Sorted,
};

/// A recorded file, read in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its rows, in the file's order; from its end where the newest is first.
    pub rows: Vec<Row>,
    /// What there is to say about it.
    pub notes: Notes,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
}

/// What there is to say about a file that was read: nothing of it is silent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notes {
    /// Columns that are not used, channels that are not there, lines that are no rows.
    pub remarks: Vec<String>,
    /// Cells that are no number, taken as missing.
    pub words: Vec<Finding>,
    /// Numbers that no sensor can send, as `-9999`, by their columns: kept as bad values.
    pub bad_values: Vec<Finding>,
    /// Times that were taken as UTC because neither the file nor a person says otherwise.
    pub taken_as_utc: u64,
    /// What the order of the rows is like.
    pub order: RowOrder,
}

impl Notes {
    /// The notes for people, one a line; without the one about UTC, which concerns nearly every file.
    pub fn lines(&self) -> Vec<String> {
        let RowOrder { out_of_order, steps_back, repeats, conflicts, parts, .. } = &self.order;
        let mut lines = self.remarks.clone();
        lines.extend(self.words.iter().map(|finding| format!("taken as missing: {finding}")));
        lines.extend(self.bad_values.iter().map(|finding| format!("kept as bad values: {finding}")));
        lines.extend(repeats.iter().map(|finding| format!("left out: {finding}")));
        if *parts > 0 {
            lines.push(match parts {
                1 => "1 row holds further channels of the time before it, and is merged".to_owned(),
                _ => format!("{parts} rows hold further channels of the time before them, and are merged"),
            });
        }
        if let Some(finding) = out_of_order {
            lines.push(format!("out of order: {finding}; time goes back {}", plural(*steps_back, "time")));
        }
        lines.extend(conflicts.iter().map(|finding| format!("{finding}{}", self.hint())));
        lines
    }

    /// That times were taken as UTC, if so.
    pub fn utc_line(&self) -> Option<String> {
        let count = self.taken_as_utc;
        let told = if count == 1 {
            "1 time has no offset and is".into()
        } else {
            format!("{count} times have no offset and are")
        };
        (count > 0).then(|| format!("{told} taken as UTC; --time-zone says otherwise"))
    }

    /// Why conflicting rows may be no conflict.
    pub(crate) fn hint(&self) -> &'static str {
        match self.taken_as_utc > 0 && self.order.steps_back > 0 {
            true => {
                "; if this is the hour that stands twice in autumn, say the zone with --time-zone, as Europe/Berlin"
            }
            false => "",
        }
    }
}

/// The file is no recording of this profile.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no header, or it has a column twice, none for the time, or none of the profile.
    #[error("{}: column {} {problem}; {allowed}{}", path.display(), quoted(column), also(findings))]
    Header {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: String,
        /// The columns that a recording of this profile, or the table, has and may have.
        allowed: String,
        /// What else is wrong, as far as it can be told without the column.
        findings: Vec<Finding>,
    },
    /// It is no CSV.
    #[error("{} is {what}", path.display())]
    NotCsv {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
        what: &'static str,
    },
    /// There is a header, and no row with a time.
    #[error("{}: no row is below the header in line {header_line}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// Where the header is, from 1.
        header_line: u64,
    },
    /// Cells or lines that cannot be read without a guess.
    #[error("{} is not read:{}", path.display(), listed(findings))]
    Trouble {
        /// The file.
        path: PathBuf,
        /// All that is wrong, by its first line.
        findings: Vec<Finding>,
    },
}

impl RecordingError {
    /// Whether the file is none of a pump at all, rather than one with something wrong in it.
    pub fn is_no_recording(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::NotCsv { .. } | Self::NoRows { .. })
    }
}

fn also(findings: &[Finding]) -> String {
    if findings.is_empty() { String::new() } else { format!("; further:{}", listed(findings)) }
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// Reads a recording of a pump with this profile.
///
/// An empty cell or a word is [`volute_plant::Sample::Missing`], a number outside the plausible range
/// [`volute_plant::Sample::Bad`].
pub fn read_recording(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<Recording, RecordingError> {
    let bytes = fs::read(path).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
    parse_recording(path, &bytes, profile, dialect)
}

/// Reads a recording from its bytes; `path` is its name in errors.
pub fn parse_recording(
    path: &Path,
    bytes: &[u8],
    profile: &Profile,
    dialect: &Dialect,
) -> Result<Recording, RecordingError> {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let source = Source::Bytes(bytes);
    let known = Known::of(path, &source, profile, dialect)?;
    let mut rows = Vec::new();
    let notes = known.check(path, &source, profile, dialect, |row| rows.push(row))?;
    let notes = order_rows(&mut rows, notes, profile);
    Ok(Recording { rows: rows.into_iter().map(|numbered| numbered.row).collect(), notes, sha256 })
}

/// Turns a file around that has its newest rows first; in another one that is out of order, puts the rows of one time
/// together that are not beside each other. Those that contradict each other stay.
fn order_rows(rows: &mut Vec<Numbered>, mut notes: Notes, profile: &Profile) -> Notes {
    if notes.order.is_newest_first() {
        rows.reverse();
        notes.turn_around();
    } else if notes.order.steps_back > 0 {
        let mut by_time: Vec<usize> = (0..rows.len()).collect();
        by_time.sort_by_key(|&index| (rows[index].row.at, index));
        let mut left_out = BTreeSet::new();
        let mut first = 0;
        for second in by_time {
            if second == first || rows[second].row.at != rows[first].row.at {
                first = second;
                continue;
            }
            match compare(&rows[first].row.samples, &rows[second].row.samples) {
                // Those beside each other have been compared.
                Together::Conflict(_) if second == first + 1 => {}
                Together::Conflict(channel) => {
                    notes.order.conflict(profile, &rows[first], &rows[second], channel);
                }
                together => {
                    notes.order.note_together(together, &rows[first], &rows[second]);
                    let other = rows[second].row.clone();
                    order::merge(&mut rows[first].row, &other);
                    left_out.insert(rows[second].line);
                }
            }
        }
        rows.retain(|numbered| !left_out.contains(&numbered.line));
    }
    notes
}

impl Notes {
    /// The rows are given from the end of the file: they are in order.
    fn turn_around(&mut self) {
        self.remarks.push("the newest row is first: read from the end".to_owned());
        (self.order.out_of_order, self.order.steps_back) = (None, 0);
    }
}

/// Opens a recording and checks it in full, for its rows to be read one by one, however long it is.
pub fn open_recording(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<RecordingFile, RecordingError> {
    let failed = |source| RecordingError::File { path: path.to_owned(), source };
    // What comes from a pipe comes only once.
    let spooled = if path.is_file() { None } else { Some(spool(path).map_err(failed)?) };
    let file = spooled.as_ref().map_or(path, NamedTempFile::path).to_owned();
    let known = Known::of(path, &Source::File(&file), profile, dialect)?;
    let mut notes = known.check(path, &Source::File(&file), profile, dialect, |_| ())?;
    let in_order = notes.order.steps_back == 0;
    if notes.order.is_newest_first() {
        notes.turn_around();
    }
    let (name, profile, dialect) = (path.to_owned(), profile.clone(), dialect.clone());
    Ok(RecordingFile { name, file, _spooled: spooled, known, profile, dialect, notes, in_order })
}

/// The pumps that a recording is of, as its column `pump_id` names them; none without that column.
pub fn pumps_of(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<BTreeSet<String>, RecordingError> {
    let failed = |source| RecordingError::File { path: path.to_owned(), source };
    let source = Source::File(path);
    let layout = Known::of(path, &source, profile, dialect)?.layout;
    let mut pumps = BTreeSet::new();
    let Some(place) = layout.pump_place() else { return Ok(pumps) };
    let mut records = records::Records::open(&source, &layout).map_err(failed)?;
    while let Some((_, line)) = records.next().map_err(failed)? {
        if let records::Line::Row(record) = line
            && !pumps.contains(record.cell(place))
        {
            // One pump that is spelled in two ways is one.
            let cell = record.cell(place);
            pumps.insert(cell.parse::<PumpId>().map_or_else(|_| cell.to_owned(), String::from));
        }
    }
    Ok(pumps)
}

fn spool(path: &Path) -> io::Result<NamedTempFile> {
    let mut source = File::open(path)?;
    let mut copy = NamedTempFile::new()?;
    io::copy(&mut source, &mut copy)?;
    Ok(copy)
}

/// A recording that has been checked and can be read as often as need be.
#[derive(Debug)]
pub struct RecordingFile {
    /// Its name in errors.
    name: PathBuf,
    file: PathBuf,
    /// Kept for as long as the copy is needed.
    _spooled: Option<NamedTempFile>,
    known: Known,
    profile: Profile,
    dialect: Dialect,
    notes: Notes,
    /// No row is earlier than the one before it.
    in_order: bool,
}

impl RecordingFile {
    /// What there is to say about it.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The rows in the file's order, beginning with the first.
    fn rows(&self) -> io::Result<Rows<'_>> {
        Rows::open(&Source::File(&self.file), &self.known.layout, &self.known.plan, &self.profile, &self.dialect)
    }

    /// Names the file in an error.
    pub(crate) fn failed(&self, source: io::Error) -> RecordingError {
        RecordingError::File { path: self.name.clone(), source }
    }

    /// The rows by their times, those of one time put together. Where two of them contradict each other, the first one
    /// counts for `keep_first`, and otherwise both come.
    pub(crate) fn by_time(&self, keep_first: bool) -> io::Result<ByTime<'_>> {
        let rows = self.rows()?;
        let source = match self.in_order {
            true => InOrder::AsTheyAre(Box::new(rows)),
            false => InOrder::Sorted(sorted::sort(rows, &self.profile)?),
        };
        Ok(ByTime { source, merger: Merger::new(&self.profile, keep_first), ended: false })
    }
}

enum InOrder<'a> {
    AsTheyAre(Box<Rows<'a>>),
    Sorted(Sorted<'a>),
}

/// Rows by their times.
pub(crate) struct ByTime<'a> {
    source: InOrder<'a>,
    merger: Merger<'a>,
    ended: bool,
}

impl ByTime<'_> {
    /// The next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<Numbered>> {
        while !self.ended {
            let next = match &mut self.source {
                InOrder::AsTheyAre(rows) => rows.next()?,
                InOrder::Sorted(rows) => rows.next()?,
            };
            let Some(next) = next else { break };
            if let Some(whole) = self.merger.push(next) {
                return Ok(Some(whole));
            }
        }
        self.ended = true;
        Ok(self.merger.flush())
    }

    /// The file's notes with what the rows of one time are like, all of which have been seen by now.
    pub(crate) fn notes(self, of_file: &Notes) -> Notes {
        let mut notes = of_file.clone();
        let RowOrder { repeats, conflicts, parts, .. } = self.merger.order;
        (notes.order.repeats, notes.order.conflicts, notes.order.parts) = (repeats, conflicts, parts);
        notes
    }
}

/// What is known of a file before its rows are read.
#[derive(Debug)]
struct Known {
    layout: Layout,
    plan: Plan,
}

impl Known {
    fn of(path: &Path, source: &Source<'_>, profile: &Profile, dialect: &Dialect) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::File { path: path.to_owned(), source };
        let of_header = |error, findings| match error {
            HeaderError::NotCsv(what) => RecordingError::NotCsv { path: path.to_owned(), what },
            HeaderError::Column { column, problem } => {
                let channels = profile.channel_names().collect::<Vec<_>>().join(", ");
                let others = "machine_status, fault, anomaly, changepoint, pump_id, quality";
                let allowed = format!(
                    "a recording has timestamp or datetime, one or more of {channels}, and if need be {others}"
                );
                RecordingError::Header { path: path.to_owned(), column, problem, allowed, findings }
            }
        };
        let found = Layout::find(source, profile, dialect).map_err(failed)?;
        let mut layout = found.map_err(|error| of_header(error, Vec::new()))?;
        let plan = survey::survey(source, &layout, profile, dialect).map_err(failed)?;
        if let Some(error) = layout.error.take() {
            let mut rows = Rows::open(source, &layout, &plan, profile, dialect).map_err(failed)?;
            while rows.next().map_err(failed)?.is_some() {}
            let trouble = all_trouble(&layout, &plan, rows.findings().0);
            return Err(of_header(error, trouble.into_vec()));
        }
        Ok(Self { layout, plan })
    }

    /// Reads all rows, in the file's order, those of one time that are beside each other put together. An error if there is
    /// trouble with any of them.
    fn check(
        &self,
        path: &Path,
        source: &Source<'_>,
        profile: &Profile,
        dialect: &Dialect,
        mut take: impl FnMut(Numbered),
    ) -> Result<Notes, RecordingError> {
        let failed = |source| RecordingError::File { path: path.to_owned(), source };
        let mut rows = Rows::open(source, &self.layout, &self.plan, profile, dialect).map_err(failed)?;
        let mut merger = Merger::new(profile, false);
        let mut count = 0_u64;
        while let Some(row) = rows.next().map_err(failed)? {
            count += 1;
            merger.push(row).into_iter().for_each(&mut take);
        }
        merger.flush().into_iter().for_each(&mut take);
        let (of_rows, words, bad_values) = rows.findings();
        let trouble = all_trouble(&self.layout, &self.plan, of_rows);
        if !trouble.is_empty() {
            return Err(RecordingError::Trouble { path: path.to_owned(), findings: trouble.into_vec() });
        }
        if count == 0 {
            return Err(RecordingError::NoRows { path: path.to_owned(), header_line: self.layout.header_line });
        }
        let mut remarks = self.layout.remarks.clone();
        remarks.extend(self.plan.remarks.iter().cloned());
        remarks.extend(self.plan.left_out.clone().into_vec().iter().map(|finding| format!("left out: {finding}")));
        let (words, bad_values, taken_as_utc) = (words.into_vec(), bad_values.into_vec(), self.plan.taken_as_utc);
        Ok(Notes { remarks, words, bad_values, taken_as_utc, order: merger.order })
    }
}

/// What is wrong with the header, with the file as a whole, and with its rows.
fn all_trouble(layout: &Layout, plan: &Plan, of_rows: Findings) -> Findings {
    let mut trouble = plan.trouble.clone();
    layout.trouble.iter().cloned().for_each(|finding| trouble.push(finding));
    of_rows.into_vec().into_iter().for_each(|finding| trouble.push(finding));
    trouble
}

#[cfg(test)]
pub(crate) mod tests;
