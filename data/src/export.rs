//! Exports a pump's readings to one file, as CSV or Parquet, and imports recordings into the store.
//!
//! Both work page by page, so years of readings need no more memory than one page. A file is written under a temporary
//! name and gets its own name when it is complete ([`crate::NewFile`]).
//!
//! Does not export detections and events, which the API lists, nor several pumps to one file.

mod csv_file;
mod documents;
mod import;
mod parquet_file;
#[cfg(test)]
mod tests;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use volute_plant::{PumpId, PumpName, Reading, Timestamp};

pub use documents::export_documents;
pub use import::{ImportError, ImportReport, ImportRequest, dry_run_import, import};

use crate::{NewFile, PageRange, PumpRecord, Store, StoreError};
use csv_file::CsvFile;
use parquet_file::ParquetFile;

/// The number of readings that are queried at once.
const PAGE_ROWS: usize = 10_000;

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// `timestamp` and the pump's channels, as [`crate::read_recording`] reads it. Without the quality of the samples.
    Csv,
    /// All fields of each reading, compressed by column.
    Parquet,
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            _ => Err("not a format; allowed: csv, parquet".to_owned()),
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        })
    }
}

/// A request to export readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The pump.
    pub pump: PumpId,
    /// The start of the time range, inclusive; without it, from the first reading.
    pub from: Option<Timestamp>,
    /// The end of the time range, exclusive; without it, to the last reading.
    pub to: Option<Timestamp>,
    /// The format of the file.
    pub format: ExportFormat,
    /// The path of the file, which must not exist.
    pub file: PathBuf,
}

impl ExportRequest {
    /// Returns the time range in words.
    fn range(&self) -> String {
        match (self.from, self.to) {
            (Some(from), Some(to)) => format!("from {from} to before {to}"),
            (Some(from), None) => format!("from {from} on"),
            (None, Some(to)) => format!("before {to}"),
            (None, None) => "that is stored".to_owned(),
        }
    }
}

/// The report of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// The number of readings.
    pub readings: u64,
    /// The file's length.
    pub bytes: u64,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The pump does not exist.
    #[error("there is no pump {pump}; there are: {known}")]
    UnknownPump {
        /// The pump.
        pump: PumpId,
        /// The existing pumps.
        known: String,
    },
    /// The pump has no reading in the time range.
    #[error("{pump} has no reading {range}; no file is written")]
    NoReadings {
        /// The pump.
        pump: PumpId,
        /// The time range.
        range: String,
    },
    /// The file exists already.
    #[error("{} already exists; it is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file would be in the data directory.
    #[error("{} is inside the data directory {}; allowed: a file outside it", path.display(), dir.display())]
    InDataDirectory {
        /// The file.
        path: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// A channel has the name of one of the file's fixed columns.
    #[error("a channel of {pump} is named {column:?}, like a fixed column of the Parquet file; export it as csv")]
    ReservedColumn {
        /// The pump.
        pump: PumpId,
        /// The column.
        column: String,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was stopped on request.
    #[error("the export was stopped before it was complete")]
    Stopped,
}

/// Writes a pump's readings to a new file, oldest first, and syncs it. Writes no file if there are no readings in the
/// time range.
///
/// Blocks on disk I/O, so it must run on a thread that may block. Readings that arrive meanwhile may or may not be in
/// the file.
pub async fn export(
    store: &Store,
    request: &ExportRequest,
    stopping: &AtomicBool,
) -> Result<ExportReport, ExportError> {
    let pumps = store.pumps();
    let Some(pump) = pumps.iter().find(|pump| pump.id == request.pump) else {
        let known = pumps.iter().map(|pump| pump.id.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ExportError::UnknownPump { pump: request.pump.clone(), known });
    };
    // Fails early, before all readings are read. `NewFile::publish` checks again.
    if fs::symlink_metadata(&request.file).is_ok() {
        return Err(ExportError::Exists { path: request.file.clone() });
    }
    let path = &request.file;
    refuse_data_directory(store.dir(), path)?;
    let file = NewFile::create(path).map_err(|source| ExportError::File { path: path.clone(), source })?;
    let readings = write(store, request, pump, &file, stopping).await?;
    if readings == 0 {
        return Err(ExportError::NoReadings { pump: request.pump.clone(), range: request.range() });
    }
    match file.publish() {
        Ok(bytes) => Ok(ExportReport { readings, bytes }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ExportError::Exists { path: path.clone() }),
        Err(source) => Err(ExportError::File { path: path.clone(), source }),
    }
}

/// Fails if the file would be in the data directory, where the node could read it as its own. Follows symlinks.
fn refuse_data_directory(dir: &Path, path: &Path) -> Result<(), ExportError> {
    let file_error = |source| ExportError::File { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let dir = dir.canonicalize().map_err(file_error)?;
    match folder.canonicalize().map_err(file_error)?.starts_with(&dir) {
        true => Err(ExportError::InDataDirectory { path: path.to_owned(), dir }),
        false => Ok(()),
    }
}

async fn write(
    store: &Store,
    request: &ExportRequest,
    pump: &PumpRecord,
    file: &NewFile,
    stopping: &AtomicBool,
) -> Result<u64, ExportError> {
    let handle = file.handle().map_err(|source| ExportError::File { path: request.file.clone(), source })?;
    let mut file = ExportFile::create(&request.file, handle, request.format, pump, store.pump_name(&pump.id))?;
    let mut range = PageRange { from: request.from, to: request.to, limit: PAGE_ROWS, ..PageRange::default() };
    let mut readings = 0;
    loop {
        if stopping.load(Ordering::Relaxed) {
            return Err(ExportError::Stopped);
        }
        let page = store.readings(&request.pump, &range).await?.into_complete()?;
        let Some(last) = page.last() else { break };
        range.after = Some(last.at);
        readings += page.len() as u64;
        file.write(&page)?;
        if page.len() < PAGE_ROWS {
            break;
        }
    }
    file.finish()?;
    Ok(readings)
}

/// The file that is being written.
enum ExportFile {
    Csv(Box<CsvFile>),
    Parquet(Box<ParquetFile>),
}

impl ExportFile {
    /// `path` is only used in errors.
    fn create(
        path: &Path,
        file: fs::File,
        format: ExportFormat,
        pump: &PumpRecord,
        name: Option<PumpName>,
    ) -> Result<Self, ExportError> {
        match format {
            ExportFormat::Csv => {
                CsvFile::create(path, file, pump).map(|file| Self::Csv(Box::new(file))).map_err(file_error(path))
            }
            ExportFormat::Parquet => {
                if let Some(column) =
                    pump.channels.iter().find(|name| parquet_file::FIXED_COLUMNS.contains(&name.as_str()))
                {
                    return Err(ExportError::ReservedColumn { pump: pump.id.clone(), column: column.clone() });
                }
                ParquetFile::create(path, file, pump, name)
                    .map(|file| Self::Parquet(Box::new(file)))
                    .map_err(file_error(path))
            }
        }
    }

    fn write(&mut self, page: &[Reading]) -> Result<(), ExportError> {
        match self {
            Self::Csv(file) => file.write(page).map_err(file_error(file.path())),
            Self::Parquet(file) => file.write(page).map_err(file_error(file.path())),
        }
    }

    /// Completes the file.
    fn finish(self) -> Result<(), ExportError> {
        match self {
            Self::Csv(file) => {
                let path = file.path().to_owned();
                file.finish().map_err(file_error(&path))
            }
            Self::Parquet(file) => {
                let path = file.path().to_owned();
                file.finish().map_err(file_error(&path))
            }
        }
    }
}

/// Returns a conversion that adds the path to an error.
fn file_error<E: IntoIo>(path: &Path) -> impl Fn(E) -> ExportError {
    move |error| ExportError::File { path: path.to_owned(), source: error.into_io() }
}

trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for csv::Error {
    fn into_io(self) -> io::Error {
        self.into()
    }
}

impl IntoIo for ParquetError {
    fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}
