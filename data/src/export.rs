//! A pump's readings written into one file, as CSV or Parquet, and recordings read into the store.
//!
//! Both go page by page, so that years of readings need no more memory than a page. A file is written under another name
//! and gets its own when it is complete ([`crate::NewFile`]). Deliberately absent: detections and events, which the API lists, and several pumps in
//! one file.

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
pub use import::{Import, ImportError, Imported, import, try_import};

use crate::{NewFile, PumpRecord, Range, Store, StoreError};
use csv_file::CsvFile;
use parquet_file::ParquetFile;

/// Readings asked for at once.
const PAGE: usize = 10_000;

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// `timestamp` and the pump's channels, as [`crate::read_recording`] reads it. What was sent, not how it was judged.
    Csv,
    /// All that is stored of each reading, in columns, compressed.
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

/// What is to be exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The pump.
    pub pump: PumpId,
    /// From this time on; none: from the first reading.
    pub from: Option<Timestamp>,
    /// Up to and without this time; none: to the last reading.
    pub to: Option<Timestamp>,
    /// The form of the file.
    pub format: ExportFormat,
    /// The file to be made; it must not exist.
    pub file: PathBuf,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Readings.
    pub readings: u64,
    /// The file's length.
    pub bytes: u64,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No such pump.
    #[error("there is no pump {pump}; there are: {known}")]
    NoPump {
        /// The pump.
        pump: PumpId,
        /// Those that there are.
        known: String,
    },
    /// The file is there.
    #[error("{} is there already; nothing is written over", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file would be among the node's own.
    #[error("{} is inside the data directory {}; allowed: a file outside it", path.display(), dir.display())]
    InDataDirectory {
        /// The file.
        path: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// A channel has the name of one of the file's own columns.
    #[error("a channel of {pump} is named {column:?}, as a column of the Parquet file is; export it as csv")]
    Column {
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
        /// Why.
        source: io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop.
    #[error("it was stopped before it was complete")]
    Stopped,
}

/// Writes a pump's readings into a new file, oldest first, down to the disk.
///
/// Blocks on the disk: for a thread that may. Readings that come in meanwhile may or may not be in it.
pub async fn export(store: &Store, what: &Export, stopping: &AtomicBool) -> Result<Exported, ExportError> {
    let pumps = store.pumps();
    let Some(pump) = pumps.iter().find(|pump| pump.id == what.pump) else {
        let known = pumps.iter().map(|pump| pump.id.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ExportError::NoPump { pump: what.pump.clone(), known });
    };
    // Before years of readings are read for nothing; that the name is free is decided when the file gets it.
    if fs::symlink_metadata(&what.file).is_ok() {
        return Err(ExportError::Exists { path: what.file.clone() });
    }
    let path = &what.file;
    refuse_data_directory(store.dir(), path)?;
    let file = NewFile::create(path).map_err(|source| ExportError::File { path: path.clone(), source })?;
    let readings = write(store, what, pump, &file, stopping).await?;
    match file.publish() {
        Ok(bytes) => Ok(Exported { readings, bytes }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ExportError::Exists { path: path.clone() }),
        Err(source) => Err(ExportError::File { path: path.clone(), source }),
    }
}

/// Refuses a file among the node's own, which would be read as one of them. Symlinks on the way are followed.
fn refuse_data_directory(dir: &Path, path: &Path) -> Result<(), ExportError> {
    let failed = |source| ExportError::File { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let dir = dir.canonicalize().map_err(failed)?;
    match folder.canonicalize().map_err(failed)?.starts_with(&dir) {
        true => Err(ExportError::InDataDirectory { path: path.to_owned(), dir }),
        false => Ok(()),
    }
}

async fn write(
    store: &Store,
    what: &Export,
    pump: &PumpRecord,
    file: &NewFile,
    stopping: &AtomicBool,
) -> Result<u64, ExportError> {
    let handle = file.handle().map_err(|source| ExportError::File { path: what.file.clone(), source })?;
    let mut file = ExportFile::create(&what.file, handle, what.format, pump, store.pump_name(&pump.id))?;
    let mut range = Range { from: what.from, to: what.to, limit: PAGE, ..Range::default() };
    let mut readings = 0;
    loop {
        if stopping.load(Ordering::Relaxed) {
            return Err(ExportError::Stopped);
        }
        let page = store.readings(&what.pump, &range).await?.all()?;
        let Some(last) = page.last() else { break };
        range.after = Some(last.at);
        readings += page.len() as u64;
        file.write(&page)?;
        if page.len() < PAGE {
            break;
        }
    }
    file.finish()?;
    Ok(readings)
}

/// The file on its way.
enum ExportFile {
    Csv(Box<CsvFile>),
    Parquet(Box<ParquetFile>),
}

impl ExportFile {
    /// `path` is its name in errors.
    fn create(
        path: &Path,
        file: fs::File,
        format: ExportFormat,
        pump: &PumpRecord,
        name: Option<PumpName>,
    ) -> Result<Self, ExportError> {
        match format {
            ExportFormat::Csv => {
                CsvFile::create(path, file, pump).map(|file| Self::Csv(Box::new(file))).map_err(failed(path))
            }
            ExportFormat::Parquet => {
                if let Some(column) = pump.channels.iter().find(|name| parquet_file::OWN.contains(&name.as_str())) {
                    return Err(ExportError::Column { pump: pump.id.clone(), column: column.clone() });
                }
                ParquetFile::create(path, file, pump, name)
                    .map(|file| Self::Parquet(Box::new(file)))
                    .map_err(failed(path))
            }
        }
    }

    fn write(&mut self, page: &[Reading]) -> Result<(), ExportError> {
        match self {
            Self::Csv(file) => file.write(page).map_err(failed(file.path())),
            Self::Parquet(file) => file.write(page).map_err(failed(file.path())),
        }
    }

    /// Ends the file.
    fn finish(self) -> Result<(), ExportError> {
        match self {
            Self::Csv(file) => {
                let path = file.path().to_owned();
                file.finish().map_err(failed(&path))
            }
            Self::Parquet(file) => {
                let path = file.path().to_owned();
                file.finish().map_err(failed(&path))
            }
        }
    }
}

/// Names the file in an error.
fn failed<E: IntoIo>(path: &Path) -> impl Fn(E) -> ExportError {
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
