//! Readings as a CSV recording: the column `timestamp` and one for each channel of the pump.
//!
//! ```text
//! timestamp,Tb,Q
//! 2026-03-09T10:14:33.000Z,40.5,76
//! 2026-03-09T10:14:34.000Z,900,
//! ```
//!
//! Numbers are written so that reading them gives the same bits. A filled or missing value is an empty cell. A value
//! out of range, such as 900 here, is written as it was sent.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use volute_plant::Reading;

use crate::PumpRecord;

pub(super) struct CsvFile {
    path: PathBuf,
    csv: csv::Writer<File>,
}

impl CsvFile {
    pub(super) fn create(path: &Path, file: File, pump: &PumpRecord) -> Result<Self, csv::Error> {
        let mut csv = csv::Writer::from_writer(file);
        csv.write_record(["timestamp"].into_iter().chain(pump.channels.iter().map(String::as_str)))?;
        Ok(Self { path: path.to_owned(), csv })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, page: &[Reading]) -> Result<(), csv::Error> {
        for reading in page {
            self.csv.write_field(reading.at.to_string())?;
            for sample in reading.samples.iter() {
                self.csv.write_field(sample.value().map(|value| value.to_string()).unwrap_or_default())?;
            }
            self.csv.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), csv::Error> {
        Ok(self.csv.flush()?)
    }
}
