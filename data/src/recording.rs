//! Recorded CSV files: what a pump once sent, with the labels that people gave it afterwards.
//!
//! Two forms are read, told apart by their header: SKAB's (`;`, `datetime`, `anomaly`) and the
//! original system's (`,`, `timestamp`, `machine_status`). A simulated one also has `fault`, which is for people and other
//! programs. Deliberately absent: filling holes, order and windows (the windower's business), and which rows are for
//! training.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use volute_plant::{Profile, Sample, Timestamp};

/// A recorded file, read in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its rows, in the file's order.
    pub rows: Vec<Row>,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
}

/// One recorded row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its time; without an offset it is taken as UTC.
    pub at: Timestamp,
    /// One sample per channel of the profile: good, bad or missing, never filled.
    pub samples: Arc<[Sample]>,
    /// Whether `machine_status` says `NORMAL`; none without that column, or where it is empty.
    pub normal: Option<bool>,
    /// SKAB's label; none without the column `anomaly`, or where it is empty.
    pub anomaly: Option<bool>,
    /// The time as the file writes it.
    pub recorded_at: String,
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
    /// The file is not CSV.
    #[error("{} is not CSV: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// The header has a column too many, twice or too few.
    #[error("{}: column {column:?} {problem}; a recording has {allowed}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The columns that a recording of this profile has and may have.
        allowed: String,
    },
    /// A cell holds what it cannot mean.
    #[error("{}, line {line}, column {column:?}: {value:?}; allowed: {allowed}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, the header included.
        line: u64,
        /// The column's name.
        column: String,
        /// What the cell holds.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
}

/// Reads a recording of a pump with this profile.
///
/// The delimiter is `;` where the header has one and `,` elsewhere; columns come in any order. An empty
/// cell or `NaN` is [`Sample::Missing`], a number outside the plausible range [`Sample::Bad`].
pub fn read_recording(path: &Path, profile: &Profile) -> Result<Recording, RecordingError> {
    let bytes = fs::read(path).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
    parse_recording(path, &bytes, profile)
}

/// Reads a recording from its bytes; `path` is its name in errors.
pub fn parse_recording(path: &Path, bytes: &[u8], profile: &Profile) -> Result<Recording, RecordingError> {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = Rows::new(path, bytes, profile)?.collect::<Result<_, _>>()?;
    Ok(Recording { rows, sha256 })
}

/// Opens a recording that is read row by row, however long it is; otherwise as [`read_recording`].
pub fn open_recording(
    path: &Path,
    profile: &Profile,
) -> Result<impl Iterator<Item = Result<Row, RecordingError>>, RecordingError> {
    let file = File::open(path).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
    Rows::new(path, BufReader::new(file), profile)
}

/// A recording on its way: its rows, in the file's order.
struct Rows<R> {
    path: PathBuf,
    profile: Profile,
    columns: Vec<Column>,
    /// The header has been read from the file for its delimiter, so it is read again from memory.
    csv: csv::Reader<Chain<Cursor<Vec<u8>>, R>>,
    record: csv::StringRecord,
    /// The name that the lines before had.
    pump: Option<String>,
}

impl<R: BufRead> Rows<R> {
    fn new(path: &Path, mut text: R, profile: &Profile) -> Result<Self, RecordingError> {
        let mut header = Vec::new();
        text.read_until(b'\n', &mut header).map_err(|source| RecordingError::File { path: path.to_owned(), source })?;
        if header.starts_with(b"\xef\xbb\xbf") {
            header.drain(..3);
        }
        let delimiter = if header.contains(&b';') { b';' } else { b',' };
        let text = Cursor::new(header).chain(text);
        let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text);
        let columns = columns(path, profile, csv.headers().map_err(|error| not_csv(path, error))?)?;
        let (path, profile, record) = (path.to_owned(), profile.clone(), csv::StringRecord::new());
        Ok(Self { path, profile, columns, csv, record, pump: None })
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.csv.read_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let Self { path, profile, columns, record, pump, .. } = self;
                Some(Line { path, profile, columns, record }.read(pump))
            }
            Err(error) => Some(Err(not_csv(&self.path, error))),
        }
    }
}

fn not_csv(path: &Path, source: csv::Error) -> RecordingError {
    let path = path.to_owned();
    if source.is_io_error() {
        RecordingError::File { path, source: source.into() }
    } else {
        RecordingError::Csv { path, source }
    }
}

/// What a column of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// The profile's channel at this place.
    Channel(usize),
    Time,
    MachineStatus,
    Anomaly,
    ChangePoint,
    Fault,
    PumpId,
}

impl Column {
    fn named(profile: &Profile, name: &str) -> Option<Self> {
        if let Some(channel) = profile.index_of(name) {
            return Some(Self::Channel(channel));
        }
        match name {
            "timestamp" | "datetime" => Some(Self::Time),
            "machine_status" => Some(Self::MachineStatus),
            "anomaly" => Some(Self::Anomaly),
            "changepoint" => Some(Self::ChangePoint),
            "fault" => Some(Self::Fault),
            "pump_id" => Some(Self::PumpId),
            _ => None,
        }
    }
}

fn columns(path: &Path, profile: &Profile, header: &csv::StringRecord) -> Result<Vec<Column>, RecordingError> {
    let wrong = |column: &str, problem| {
        let channels = profile.channel_names().collect::<Vec<_>>().join(", ");
        let others = "machine_status, fault, anomaly, changepoint, pump_id";
        let allowed = format!("timestamp or datetime, {channels}, and if need be {others}");
        Err(RecordingError::Header { path: path.to_owned(), column: column.to_owned(), problem, allowed })
    };
    let mut columns = Vec::new();
    for name in header {
        match Column::named(profile, name) {
            None => return wrong(name, "is unknown"),
            Some(column) if columns.contains(&column) => return wrong(name, "is there twice"),
            Some(column) => columns.push(column),
        }
    }
    if !columns.contains(&Column::Time) {
        return wrong("timestamp", "is missing");
    }
    for (index, name) in profile.channel_names().enumerate() {
        if !columns.contains(&Column::Channel(index)) {
            return wrong(name, "is missing");
        }
    }
    Ok(columns)
}

/// One line and what is needed to read it.
struct Line<'a> {
    path: &'a Path,
    profile: &'a Profile,
    columns: &'a [Column],
    record: &'a csv::StringRecord,
}

impl Line<'_> {
    /// Reads the line; `pump` is the name that the lines before it had.
    fn read(&self, pump: &mut Option<String>) -> Result<Row, RecordingError> {
        let mut samples = vec![Sample::Missing; self.profile.channels().len()];
        let (mut time, mut normal, mut anomaly) = (None, None, None);
        for (&column, cell) in self.columns.iter().zip(self.record) {
            match column {
                Column::Channel(index) => samples[index] = self.sample(index, cell)?,
                Column::Time => match Timestamp::parse_recorded(cell) {
                    Ok(at) => time = Some((at, cell.to_owned())),
                    Err(_) => return self.wrong(column, cell, "2020-03-09 10:14:33, or RFC 3339"),
                },
                Column::MachineStatus => normal = (!cell.is_empty()).then_some(cell == "NORMAL"),
                Column::Anomaly => anomaly = self.label(column, cell)?,
                Column::ChangePoint | Column::Fault => {}
                Column::PumpId if pump.get_or_insert_with(|| cell.to_owned()) == cell => {}
                Column::PumpId => return self.wrong(column, cell, "the same pump in every line"),
            }
        }
        let Some((at, recorded_at)) = time else { return self.wrong(Column::Time, "", "a time") };
        Ok(Row { at, samples: samples.into(), normal, anomaly, recorded_at })
    }

    fn sample(&self, index: usize, cell: &str) -> Result<Sample, RecordingError> {
        if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
            return Ok(Sample::Missing);
        }
        match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(self.profile.channels()[index].sample(value)),
            _ => self.wrong(Column::Channel(index), cell, "a number; nothing or NaN where there is no value"),
        }
    }

    fn label(&self, column: Column, cell: &str) -> Result<Option<bool>, RecordingError> {
        match cell {
            "" => Ok(None),
            "0" | "0.0" => Ok(Some(false)),
            "1" | "1.0" => Ok(Some(true)),
            _ => self.wrong(column, cell, "0 or 1"),
        }
    }

    fn wrong<T>(&self, column: Column, value: &str, allowed: &'static str) -> Result<T, RecordingError> {
        let name = match column {
            Column::Channel(index) => self.profile.channels()[index].name.as_str(),
            Column::Time => "timestamp",
            Column::MachineStatus => "machine_status",
            Column::Anomaly => "anomaly",
            Column::ChangePoint => "changepoint",
            Column::Fault => "fault",
            Column::PumpId => "pump_id",
        };
        Err(RecordingError::Cell {
            path: self.path.to_owned(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: name.to_owned(),
            value: value.to_owned(),
            allowed,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TWO_CHANNELS: &str = r#"
        name = "two"
        title = "Two channels"
        interval_ms = 1000
        [[channels]]
        name = "Tb"
        quantity = "bearing_temperature"
        unit = "°C"
        plausible = [-40, 200]
        resolution = 0.1
        [[channels]]
        name = "Volume Flow RateRMS"
        quantity = "flow"
        unit = "L/min"
        plausible = [0, 500]
        resolution = 1
    "#;

    fn read(text: &str) -> Result<Recording, RecordingError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run.csv");
        fs::write(&path, text).expect("written");
        read_recording(&path, &Profile::from_toml(TWO_CHANNELS).expect("a profile"))
    }

    #[test]
    fn both_forms_say_the_same() {
        let skab = "datetime;Tb;Volume Flow RateRMS;anomaly;changepoint\n\
                    2020-03-01 15:44:06;40.5;76;0.0;0.0\n\
                    2020-03-01 15:44:07;;NaN;1.0;1.0\n";
        let ours = "\u{feff}machine_status,Volume Flow RateRMS,timestamp,Tb,pump_id\n\
                    NORMAL,76,2020-03-01T15:44:06Z,40.5,P-1\n\
                    BROKEN,nan,2020-03-01T15:44:07Z, ,P-1\n";
        let (skab, ours) = (read(skab).expect("SKAB's form").rows, read(ours).expect("the original's form").rows);
        let same = |row: &Row| (row.at, row.samples.clone());
        assert_eq!(skab.iter().map(same).collect::<Vec<_>>(), ours.iter().map(same).collect::<Vec<_>>());
        assert_eq!(&*skab[0].samples, &[Sample::Good(40.5), Sample::Good(76.0)]);
        assert_eq!(&*skab[1].samples, &[Sample::Missing, Sample::Missing]);
        let labels = |rows: &[Row]| rows.iter().map(|row| (row.normal, row.anomaly)).collect::<Vec<_>>();
        assert_eq!(labels(&skab), [(None, Some(false)), (None, Some(true))]);
        assert_eq!(labels(&ours), [(Some(true), None), (Some(false), None)]);
        assert_eq!(skab[0].recorded_at, "2020-03-01 15:44:06");
    }

    #[test]
    fn a_number_out_of_range_is_a_bad_sensor() {
        let text = "timestamp,Tb,Volume Flow RateRMS\n2020-03-01T15:44:06Z,900,-6.3\n2020-03-01T15:44:07Z,20,-0.1\n";
        let rows = read(text).expect("read").rows;
        assert_eq!(&*rows[0].samples, &[Sample::Bad(900.0), Sample::Bad(-6.3)]);
        assert_eq!(&*rows[1].samples, &[Sample::Good(20.0), Sample::Good(-0.1)], "a zero that has drifted");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let header = "timestamp,Tb,Volume Flow RateRMS";
        for (text, told) in [
            ("timestamp,Tb\n", "column \"Volume Flow RateRMS\" is missing"),
            ("Tb,Volume Flow RateRMS\n", "column \"timestamp\" is missing"),
            ("timestamp,Tb,Volume Flow RateRMS,Torque\n", "column \"Torque\" is unknown; a recording has timestamp"),
            ("timestamp,Tb,Tb,Volume Flow RateRMS\n", "column \"Tb\" is there twice"),
            ("timestamp,datetime,Tb,Volume Flow RateRMS\n", "column \"datetime\" is there twice"),
            (&format!("{header}\n2020-03-01T15:44:06Z,1,2\n2020-03-01T15:44:07Z,1,x\n"), "line 3, column \"Volume"),
            (&format!("{header}\n2020-03-01T15:44:06Z,inf,2\n"), "line 2, column \"Tb\": \"inf\""),
            (&format!("{header}\nyesterday,1,2\n"), "line 2, column \"timestamp\": \"yesterday\""),
            (&format!("{header}\n2020-03-01T15:44:06Z,1\n"), "is not CSV"),
            (&format!("{header},anomaly\n2020-03-01T15:44:06Z,1,2,2\n"), "column \"anomaly\": \"2\""),
            (
                &format!("{header},pump_id\n2020-03-01T15:44:06Z,1,2,A\n2020-03-01T15:44:07Z,1,2,B\n"),
                "the same pump in every line",
            ),
        ] {
            let error = read(text).expect_err(told).to_string();
            assert!(error.contains(told), "{error:?} says {told:?}");
        }
    }

    #[test]
    fn an_absent_file_is_named() {
        let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
        let error = read_recording(Path::new("/nowhere/run.csv"), &profile).expect_err("absent").to_string();
        assert!(error.contains("/nowhere/run.csv"), "{error}");
    }
}
