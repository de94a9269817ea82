//! Writes simulated recordings: rows with labels for the machine's state and the active fault.
//!
//! ```text
//! timestamp,Tb,Volume Flow RateRMS,machine_status,fault
//! 2026-03-09T10:14:01.000Z,40.5,,NORMAL,
//! 2026-03-09T10:14:02.000Z,900,76,BROKEN,sensor_spike
//! ```
//!
//! The format is that of the original system; [`crate::read_recording`] reads it. Does not simulate the rows.

use std::{io, path::Path};

use volute_plant::{Profile, Sample, Timestamp};

use crate::{NewFile, RecordingError};

/// One row with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledRow {
    /// The time of the row.
    pub at: Timestamp,
    /// One sample for each channel of the profile.
    pub samples: Vec<Sample>,
    /// The machine's state, such as `NORMAL`.
    pub machine_status: String,
    /// The active fault; empty if there is none.
    pub fault: String,
}

/// Writes the columns `timestamp`, the profile's channels, `machine_status` and `fault`, one line per row, in order.
///
/// Numbers are written so that reading them gives the same bits. A missing sample is an empty cell. The file gets its
/// name when it is complete, and replaces an existing file.
pub fn write_labelled(
    path: &Path,
    profile: &Profile,
    rows: impl IntoIterator<Item = LabelledRow>,
) -> Result<(), RecordingError> {
    write(path, profile, rows).map_err(|source| RecordingError::Write { path: path.to_owned(), source })
}

fn write(path: &Path, profile: &Profile, rows: impl IntoIterator<Item = LabelledRow>) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(NewFile::create(path)?);
    let header = ["timestamp"].into_iter().chain(profile.channel_names()).chain(["machine_status", "fault"]);
    csv.write_record(header)?;
    for row in rows {
        csv.write_field(row.at.to_string())?;
        for sample in row.samples {
            csv.write_field(sample.value().map(|value| value.to_string()).unwrap_or_default())?;
        }
        csv.write_record([row.machine_status, row.fault])?;
    }
    csv.into_inner().map_err(|error| error.into_error())?.replace().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, read_recording, recording::tests::TWO_CHANNELS};

    #[test]
    fn a_written_recording_is_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run.csv");
        let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
        let at = |second: u32| format!("2026-03-09T10:14:{second:02}Z").parse().expect("a time");
        let row = |second, samples: [Sample; 2], machine_status: &str, fault: &str| LabelledRow {
            at: at(second),
            samples: samples.into(),
            machine_status: machine_status.into(),
            fault: fault.into(),
        };
        let rows = vec![
            row(1, [Sample::Good(0.1 + 0.2), Sample::Missing], "NORMAL", ""),
            row(2, [Sample::Bad(900.0), Sample::Good(76.0)], "BROKEN", "sensor_spike"),
        ];
        write_labelled(&path, &profile, rows.clone()).expect("written");
        let read = read_recording(&path, &profile, &Dialect::default()).expect("read").rows;
        for (read, written) in read.iter().zip(&rows) {
            assert_eq!((read.at, &*read.samples), (written.at, written.samples.as_slice()));
            assert_eq!(read.normal, Some(written.machine_status == "NORMAL"));
        }
        assert_eq!(read.len(), 2);
    }
}
