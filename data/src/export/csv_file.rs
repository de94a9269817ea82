//! Readings as a recording: `timestamp` and the pump's channels.
//!
//! Numbers are written so that reading them gives the same bits. A value that is not there, be it filled or missing, is an
//! empty cell; one out of range is written as it was sent.

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
