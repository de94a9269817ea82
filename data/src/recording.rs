//! Reads recordings: CSV files of a pump's past readings, as written by loggers, historians and the original system.
//!
//! A file is read in two passes. The first pass finds the header ([`layout`]) and everything that depends on all lines,
//! such as the decimal mark ([`survey`]). The second pass reads row by row ([`rows`]). Content that cannot be read
//! without guessing is an error: the file is rejected with all errors at once, each kind with its first line and its
//! count. Problems of single values or lines are reported in the [`Notes`].
//!
//! ```text
//! sep=;
//! Zeitstempel;Motor RPM [1/min];Oil Pressure [bar];Comment
//! 2026-03-09 10:14:33;2950;2,4;         2950 rpm and 2.4 bar at 10:14:33 UTC, eight channels are missing
//! 2026-03-09 10:14:34;2950;Bad Input;   the pressure is missing: line 4: Oil Pressure [bar]: "Bad Input"
//! 2026-03-09 10:14:34;;2,4;             same time, other channel: merged into the row above
//! ```
//!
//! SKAB's files (`;`, `datetime`, `anomaly`) and those of the original system (`,`, `timestamp`, `machine_status`) are
//! two of many supported forms. Does not fill gaps or build windows; see [`volute_plant::Windower`]. Does not read the
//! long format with one value per row (`time, tag, value`).

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
    order::{RowOrder, ordered_segments},
    row::Row,
    times::{RepeatedHour, TimeFormat, TimeZone},
};
pub(crate) use self::{
    findings::{Findings, plural, quoted},
    text::decode,
    times::{Localized, ParsedTime, localize, parse as parse_time, timestamp},
};
use self::{
    layout::{HeaderError, Layout},
    rows::Rows,
    source::Source,
    survey::ReadPlan,
};
pub(crate) use self::{
    order::{Merger, RowComparison, compare_samples, count_finding},
    rows::NumberedRow,
    sorted::SortedRows,
};

/// A recording, read completely into memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The rows in the file's order; reversed if the file has its newest row first.
    pub rows: Vec<Row>,
    /// What the user should know about the file.
    pub notes: Notes,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
}

/// What the user should know about a file that was read: everything that was skipped, merged or assumed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notes {
    /// Unused columns, channels without a column, and lines that are not rows.
    pub remarks: Vec<String>,
    /// Cells that are not numbers, taken as missing.
    pub not_numbers: Vec<Finding>,
    /// Implausible numbers, such as `-9999`, by column. They are kept as bad values.
    pub bad_values: Vec<Finding>,
    /// The number of times that were taken as UTC because neither the file nor the user gives a zone.
    pub assumed_utc: u64,
    /// The order of the rows.
    pub order: RowOrder,
}

impl Notes {
    /// Returns the notes as lines for the user, without [`utc_line`](Self::utc_line), which applies to nearly every
    /// file.
    pub fn lines(&self) -> Vec<String> {
        let RowOrder { out_of_order, steps_back, repeats, conflicts, merged, .. } = &self.order;
        let mut lines = self.remarks.clone();
        lines.extend(self.not_numbers.iter().map(|finding| format!("taken as missing: {finding}")));
        lines.extend(self.bad_values.iter().map(|finding| format!("kept as bad values: {finding}")));
        lines.extend(repeats.iter().map(|finding| format!("left out: {finding}")));
        if *merged > 0 {
            lines.push(match merged {
                1 => "1 row holds further channels of the time before it, and is merged".to_owned(),
                _ => format!("{merged} rows hold further channels of the time before them, and are merged"),
            });
        }
        if let Some(finding) = out_of_order {
            lines.push(format!("out of order: {finding}; time goes back {}", plural(*steps_back, "time")));
        }
        lines.extend(conflicts.iter().map(|finding| format!("{finding}{}", self.conflict_hint())));
        lines
    }

    /// Returns the note that times were taken as UTC, if any were.
    pub fn utc_line(&self) -> Option<String> {
        let count = self.assumed_utc;
        let times = if count == 1 {
            "1 time has no offset and is".into()
        } else {
            format!("{count} times have no offset and are")
        };
        (count > 0).then(|| format!("{times} taken as UTC; if that is wrong, set --time-zone"))
    }

    /// Returns a hint for conflicting rows: they may be in an hour that occurs twice.
    pub(crate) fn conflict_hint(&self) -> &'static str {
        match self.assumed_utc > 0 && self.order.steps_back > 0 {
            true => {
                "; if this is the hour that occurs twice in autumn, say the zone with --time-zone, as Europe/Berlin"
            }
            false => "",
        }
    }
}

/// Why a file is not read as a recording.
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
    /// There is no header, or it has no column for the time or for a channel of the profile.
    #[error("{}: column {} {problem}; {allowed}{}", path.display(), quoted(column), further_errors(findings))]
    Header {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: String,
        /// The required and optional columns.
        allowed: String,
        /// Further errors that can be found without the column.
        findings: Vec<Finding>,
    },
    /// A column that the user names is in none of the files.
    #[error("no file has a column {}, as --column says", quoted(name))]
    NoSuchColumn {
        /// The name.
        name: String,
    },
    /// The file is not CSV.
    #[error("{} is {what}", path.display())]
    NotCsv {
        /// The file.
        path: PathBuf,
        /// What the file is, and what to do.
        what: &'static str,
    },
    /// There is no row with a time below the header.
    #[error("{}: no row is below the header in line {header_line}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// The header's line, from 1 on.
        header_line: u64,
    },
    /// The file has cells or lines that are invalid or ambiguous.
    #[error("{} is not read:{}", path.display(), finding_lines(findings))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All errors, in the order of their first lines.
        findings: Vec<Finding>,
    },
}

impl RecordingError {
    /// Whether the file is not a recording at all, rather than a recording with errors.
    pub fn is_not_a_recording(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::NotCsv { .. } | Self::NoRows { .. })
    }
}

fn further_errors(findings: &[Finding]) -> String {
    if findings.is_empty() { String::new() } else { format!("; further:{}", finding_lines(findings)) }
}

fn finding_lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// Reads a recording of a pump with this profile.
///
/// An empty cell or a word becomes [`volute_plant::Sample::Missing`], a number outside the plausible range becomes
/// [`volute_plant::Sample::Bad`].
pub fn read_recording(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<Recording, RecordingError> {
    let bytes = fs::read(path).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
    parse_recording(path, &bytes, profile, dialect)
}

/// Reads a recording from its bytes. `path` names it in errors.
pub fn parse_recording(
    path: &Path,
    bytes: &[u8],
    profile: &Profile,
    dialect: &Dialect,
) -> Result<Recording, RecordingError> {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let source = Source::Bytes(bytes);
    let analysis = FileAnalysis::new(path, &source, profile, dialect)?;
    let mut rows = Vec::new();
    let notes = analysis.read_rows(path, &source, profile, dialect, |row| rows.push(row))?;
    let notes = order_rows(&mut rows, notes, profile);
    Ok(Recording { rows: rows.into_iter().map(|numbered| numbered.row).collect(), notes, sha256 })
}

/// Reverses the rows if the newest is first. If the rows are out of order otherwise, merges rows with the same time
/// that are not consecutive; rows that contradict each other are kept.
fn order_rows(rows: &mut Vec<NumberedRow>, mut notes: Notes, profile: &Profile) -> Notes {
    if notes.order.is_newest_first() {
        rows.reverse();
        notes.mark_reversed();
    } else if notes.order.steps_back > 0 {
        let mut by_time: Vec<usize> = (0..rows.len()).collect();
        by_time.sort_by_key(|&index| (rows[index].row.at, index));
        let mut merged_lines = BTreeSet::new();
        let mut first = 0;
        for second in by_time {
            if second == first || rows[second].row.at != rows[first].row.at {
                first = second;
                continue;
            }
            match compare_samples(&rows[first].row.samples, &rows[second].row.samples) {
                // Consecutive rows have already been compared.
                RowComparison::Conflict(_) if second == first + 1 => {}
                RowComparison::Conflict(channel) => {
                    notes.order.conflict(profile, &rows[first], &rows[second], channel);
                }
                comparison => {
                    notes.order.record_comparison(comparison, &rows[first], &rows[second]);
                    let other = rows[second].row.clone();
                    order::merge(&mut rows[first].row, &other);
                    merged_lines.insert(rows[second].line);
                }
            }
        }
        rows.retain(|numbered| !merged_lines.contains(&numbered.line));
    }
    notes
}

impl Notes {
    /// Notes that the rows are read from the end of the file, and so are in order.
    fn mark_reversed(&mut self) {
        self.remarks.push("the newest row is first: read from the end".to_owned());
        (self.order.out_of_order, self.order.steps_back) = (None, 0);
    }
}

/// Opens a recording and checks all of it. Its rows can then be read one by one, in bounded memory.
pub fn open_recording(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<RecordingFile, RecordingError> {
    let read_error = |source| RecordingError::File { path: path.to_owned(), source };
    // A pipe can be read only once, so its content is copied.
    let spooled = if path.is_file() { None } else { Some(spool(path).map_err(read_error)?) };
    let file = spooled.as_ref().map_or(path, NamedTempFile::path).to_owned();
    let analysis = FileAnalysis::new(path, &Source::File(&file), profile, dialect)?;
    let mut notes = analysis.read_rows(path, &Source::File(&file), profile, dialect, |_| ())?;
    let in_order = notes.order.steps_back == 0;
    if notes.order.is_newest_first() {
        notes.mark_reversed();
    }
    let (name, profile, dialect) = (path.to_owned(), profile.clone(), dialect.clone());
    Ok(RecordingFile { name, file, _spooled: spooled, analysis, profile, dialect, notes, in_order })
}

/// Returns the pumps that a recording names in its column `pump_id`; empty without that column.
pub fn pumps_of(path: &Path, profile: &Profile, dialect: &Dialect) -> Result<BTreeSet<String>, RecordingError> {
    let read_error = |source| RecordingError::File { path: path.to_owned(), source };
    let source = Source::File(path);
    let layout = FileAnalysis::new(path, &source, profile, dialect)?.layout;
    let mut pumps = BTreeSet::new();
    let Some(column) = layout.pump_column() else { return Ok(pumps) };
    let mut records = records::Records::open(&source, &layout).map_err(read_error)?;
    while let Some((_, line)) = records.next().map_err(read_error)? {
        if let records::Line::Row(record) = line
            && !pumps.contains(record.cell(column))
        {
            // Different spellings of one pump are the same pump.
            let cell = record.cell(column);
            pumps.insert(cell.parse::<PumpId>().map_or_else(|_| cell.to_owned(), String::from));
        }
    }
    Ok(pumps)
}

/// Returns a dialect for each of several files: the given dialect with only those named columns that the file has,
/// since not every file has all of them. All named columns are kept for a file whose header is not found, and for a
/// pipe, which can be read only once.
///
/// Fails if a name is in none of the files.
pub fn dialects_of(files: &[PathBuf], profile: &Profile, dialect: &Dialect) -> Result<Vec<Dialect>, RecordingError> {
    if files.len() < 2 || dialect.columns.is_empty() {
        return Ok(vec![dialect.clone(); files.len()]);
    }
    let mut dialects = Vec::new();
    let mut absent: BTreeSet<&String> = dialect.columns.keys().collect();
    for path in files {
        let mut own = dialect.clone();
        if path.is_file() {
            let read_error = |source| RecordingError::File { path: path.clone(), source };
            if let Ok(layout) = Layout::find(&Source::File(path), profile, dialect).map_err(read_error)? {
                own.columns.retain(|name, _| layout.has_column(name));
                absent.retain(|name| !layout.has_column(name));
            }
        } else {
            absent.clear();
        }
        dialects.push(own);
    }
    match absent.first() {
        Some(name) => Err(RecordingError::NoSuchColumn { name: (*name).clone() }),
        None => Ok(dialects),
    }
}

/// Copies a pipe's content to a temporary file.
fn spool(path: &Path) -> io::Result<NamedTempFile> {
    let mut source = File::open(path)?;
    let mut copy = NamedTempFile::new()?;
    io::copy(&mut source, &mut copy)?;
    Ok(copy)
}

/// A recording that has been checked and can be read any number of times.
#[derive(Debug)]
pub struct RecordingFile {
    /// The path of the recording, for errors.
    name: PathBuf,
    file: PathBuf,
    /// Deletes the copy of a pipe's content when dropped.
    _spooled: Option<NamedTempFile>,
    analysis: FileAnalysis,
    profile: Profile,
    dialect: Dialect,
    notes: Notes,
    /// Whether no row is earlier than the row before it.
    in_order: bool,
}

impl RecordingFile {
    /// Returns what the user should know about the file.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Reads the rows in the file's order, from the first one on.
    fn rows(&self) -> io::Result<Rows<'_>> {
        Rows::open(&Source::File(&self.file), &self.analysis.layout, &self.analysis.plan, &self.profile, &self.dialect)
    }

    /// Returns the error for a file that cannot be read.
    pub(crate) fn read_error(&self, source: io::Error) -> RecordingError {
        RecordingError::File { path: self.name.clone(), source }
    }

    /// Reads the rows in the order of their times, with rows of the same time merged. If two rows contradict each
    /// other, both are returned; with `keep_first`, the first value counts.
    pub(crate) fn rows_by_time(&self, keep_first: bool) -> io::Result<RowsByTime<'_>> {
        let rows = self.rows()?;
        let source = match self.in_order {
            true => RowSource::FileOrder(Box::new(rows)),
            false => RowSource::Sorted(sorted::sort(rows, &self.profile)?),
        };
        Ok(RowsByTime { source, merger: Merger::new(&self.profile, keep_first), ended: false })
    }
}

enum RowSource<'a> {
    /// The file is in order.
    FileOrder(Box<Rows<'a>>),
    Sorted(SortedRows<'a>),
}

/// Iterates over the rows in the order of their times.
pub(crate) struct RowsByTime<'a> {
    source: RowSource<'a>,
    merger: Merger<'a>,
    ended: bool,
}

impl RowsByTime<'_> {
    /// Returns the next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<NumberedRow>> {
        while !self.ended {
            let next = match &mut self.source {
                RowSource::FileOrder(rows) => rows.next()?,
                RowSource::Sorted(rows) => rows.next()?,
            };
            let Some(next) = next else { break };
            if let Some(complete) = self.merger.push(next) {
                return Ok(Some(complete));
            }
        }
        self.ended = true;
        Ok(self.merger.flush())
    }

    /// Returns the file's notes, with what was found about rows with the same time. To be called after the last row.
    pub(crate) fn notes(self, of_file: &Notes) -> Notes {
        let mut notes = of_file.clone();
        let RowOrder { repeats, conflicts, merged, .. } = self.merger.order;
        (notes.order.repeats, notes.order.conflicts, notes.order.merged) = (repeats, conflicts, merged);
        notes
    }
}

/// The results of the first pass over a file.
#[derive(Debug)]
struct FileAnalysis {
    layout: Layout,
    plan: ReadPlan,
}

impl FileAnalysis {
    fn new(path: &Path, source: &Source<'_>, profile: &Profile, dialect: &Dialect) -> Result<Self, RecordingError> {
        let read_error = |source| RecordingError::File { path: path.to_owned(), source };
        let header_error = |error, findings| match error {
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
        let layout = Layout::find(source, profile, dialect).map_err(read_error)?;
        let mut layout = layout.map_err(|error| header_error(error, Vec::new()))?;
        let plan = survey::survey(source, &layout, profile, dialect).map_err(read_error)?;
        if let Some(error) = layout.header_error.take() {
            let mut rows = Rows::open(source, &layout, &plan, profile, dialect).map_err(read_error)?;
            while rows.next().map_err(read_error)?.is_some() {}
            let errors = all_errors(&layout, &plan, rows.findings().0);
            return Err(header_error(error, errors.into_vec()));
        }
        Ok(Self { layout, plan })
    }

    /// Reads all rows in the file's order, and passes them to `take` with consecutive rows of the same time merged.
    ///
    /// # Errors
    /// The file has errors anywhere, or no row.
    fn read_rows(
        &self,
        path: &Path,
        source: &Source<'_>,
        profile: &Profile,
        dialect: &Dialect,
        mut take: impl FnMut(NumberedRow),
    ) -> Result<Notes, RecordingError> {
        let read_error = |source| RecordingError::File { path: path.to_owned(), source };
        let mut rows = Rows::open(source, &self.layout, &self.plan, profile, dialect).map_err(read_error)?;
        let mut merger = Merger::new(profile, false);
        let mut count = 0_u64;
        while let Some(row) = rows.next().map_err(read_error)? {
            count += 1;
            merger.push(row).into_iter().for_each(&mut take);
        }
        merger.flush().into_iter().for_each(&mut take);
        let (row_errors, not_numbers, bad_values) = rows.findings();
        let errors = all_errors(&self.layout, &self.plan, row_errors);
        if !errors.is_empty() {
            return Err(RecordingError::Invalid { path: path.to_owned(), findings: errors.into_vec() });
        }
        if count == 0 {
            return Err(RecordingError::NoRows { path: path.to_owned(), header_line: self.layout.header_line });
        }
        let mut remarks = self.layout.remarks.clone();
        remarks.extend(self.plan.remarks.iter().cloned());
        remarks.extend(self.plan.skipped.clone().into_vec().iter().map(|finding| format!("left out: {finding}")));
        let (not_numbers, bad_values) = (not_numbers.into_vec(), bad_values.into_vec());
        Ok(Notes { remarks, not_numbers, bad_values, assumed_utc: self.plan.assumed_utc, order: merger.order })
    }
}

/// Collects the errors in the header, in the file as a whole and in its rows.
fn all_errors(layout: &Layout, plan: &ReadPlan, row_errors: Findings) -> Findings {
    let mut errors = plan.errors.clone();
    layout.errors.iter().cloned().for_each(|finding| errors.push(finding));
    row_errors.into_vec().into_iter().for_each(|finding| errors.push(finding));
    errors
}

#[cfg(test)]
pub(crate) mod tests;
