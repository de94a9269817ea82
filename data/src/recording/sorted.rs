//! Sorts the rows of a file by time with an external merge sort: sorted runs are written to temporary files and merged.
//!
//! Used only for files that are out of order. Rows with the same time stay in the file's order.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use serde::{Deserialize, Serialize};
use volute_plant::{Profile, Sample, Timestamp};

use super::{
    row::Row,
    rows::{NumberedRow, Rows},
};

/// The number of rows in a run: tens of megabytes.
const RUN_ROWS: usize = 200_000;

/// Sorts all remaining rows.
pub(super) fn sort<'a>(rows: Rows<'a>, profile: &'a Profile) -> io::Result<SortedRows<'a>> {
    sort_in_runs(rows, profile, RUN_ROWS)
}

fn sort_in_runs<'a>(mut rows: Rows<'a>, profile: &'a Profile, run_rows: usize) -> io::Result<SortedRows<'a>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    loop {
        let next = rows.next()?;
        let ended = next.is_none();
        run.extend(next.map(StoredRow::from));
        if run.len() == run_rows || (ended && !run.is_empty()) {
            runs.push(BufReader::new(write(&mut run)?));
        }
        if ended {
            break;
        }
    }
    let mut sorted = SortedRows { profile, runs, heads: BinaryHeap::new() };
    (0..sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
    Ok(sorted)
}

/// Merges the sorted runs, the earliest row first.
pub(crate) struct SortedRows<'a> {
    profile: &'a Profile,
    runs: Vec<BufReader<File>>,
    /// The next row of each run that has not ended.
    heads: BinaryHeap<Reverse<Head>>,
}

impl SortedRows<'_> {
    /// Returns the next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<NumberedRow>> {
        let Some(Reverse(Head { row, run })) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        row.into_row(self.profile).map(Some)
    }

    /// Reads the next row of a run into `heads`.
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let reader = &mut self.runs[run];
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        reader.read_exact(&mut bytes)?;
        let row = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        self.heads.push(Reverse(Head { row, run }));
        Ok(())
    }
}

/// Writes a run to a temporary file, sorted, and clears it.
fn write(run: &mut Vec<StoredRow>) -> io::Result<File> {
    run.sort_by_key(|row| (row.at, row.line));
    let mut file = BufWriter::new(tempfile::tempfile()?);
    for row in run.drain(..) {
        let bytes = postcard::to_stdvec(&row).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&bytes)?;
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// A row in a temporary file.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRow {
    /// The time in milliseconds since 1970.
    at: i64,
    line: u64,
    values: Vec<Option<f64>>,
    normal: Option<bool>,
    anomaly: Option<bool>,
    recorded_at: String,
}

impl From<NumberedRow> for StoredRow {
    fn from(NumberedRow { line, row }: NumberedRow) -> Self {
        let Row { at, samples, normal, anomaly, recorded_at } = row;
        let values = samples.iter().map(|sample| sample.value()).collect();
        Self { at: at.millis(), line, values, normal, anomaly, recorded_at }
    }
}

impl StoredRow {
    fn into_row(self, profile: &Profile) -> io::Result<NumberedRow> {
        let Self { at, line, values, normal, anomaly, recorded_at } = self;
        let sample = |(value, channel): (Option<f64>, &volute_plant::Channel)| {
            value.map_or(Sample::Missing, |value| channel.sample(value))
        };
        let samples = values.into_iter().zip(profile.channels()).map(sample).collect();
        let at = Timestamp::from_millis(at).map_err(io::Error::other)?;
        Ok(NumberedRow { line, row: Row { at, samples, normal, anomaly, recorded_at } })
    }
}

/// The next row of a run, compared by its time, then by its line.
struct Head {
    row: StoredRow,
    run: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.row.at, self.row.line).cmp(&(other.row.at, other.row.line))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

#[cfg(test)]
pub(super) mod tests {
    use volute_plant::Profile;

    use crate::recording::{
        rows::Rows,
        sorted::{SortedRows, sort_in_runs},
    };

    /// Sorts in runs of this many rows.
    pub(in crate::recording) fn sort_with_runs_of<'a>(
        rows: Rows<'a>,
        profile: &'a Profile,
        run_rows: usize,
    ) -> SortedRows<'a> {
        sort_in_runs(rows, profile, run_rows).expect("sorted")
    }
}
