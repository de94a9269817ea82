//! Rows by their times, however many there are: sorted in pieces, which wait in temporary files, and merged.
//!
//! Only for files that are out of order. Rows of one time stay in the file's order.

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
    rows::{Numbered, Rows},
};

/// Rows in a piece: tens of megabytes.
const PIECE: usize = 200_000;

/// Sorts all rows that are left.
pub(super) fn sort<'a>(rows: Rows<'a>, profile: &'a Profile) -> io::Result<Sorted<'a>> {
    sort_pieces(rows, profile, PIECE)
}

fn sort_pieces<'a>(mut rows: Rows<'a>, profile: &'a Profile, length: usize) -> io::Result<Sorted<'a>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    loop {
        let next = rows.next()?;
        let ended = next.is_none();
        piece.extend(next.map(Waiting::from));
        if piece.len() == length || (ended && !piece.is_empty()) {
            pieces.push(BufReader::new(write(&mut piece)?));
        }
        if ended {
            break;
        }
    }
    let mut sorted = Sorted { profile, pieces, heads: BinaryHeap::new() };
    (0..sorted.pieces.len()).try_for_each(|piece| sorted.advance(piece))?;
    Ok(sorted)
}

/// Rows on their way out, the earliest first.
pub(crate) struct Sorted<'a> {
    profile: &'a Profile,
    pieces: Vec<BufReader<File>>,
    /// The first row of each piece that is not through.
    heads: BinaryHeap<Reverse<Head>>,
}

impl Sorted<'_> {
    /// The next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<Numbered>> {
        let Some(Reverse(Head { row, piece })) = self.heads.pop() else { return Ok(None) };
        self.advance(piece)?;
        row.into_row(self.profile).map(Some)
    }

    fn advance(&mut self, piece: usize) -> io::Result<()> {
        let reader = &mut self.pieces[piece];
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        reader.read_exact(&mut bytes)?;
        let row = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        self.heads.push(Reverse(Head { row, piece }));
        Ok(())
    }
}

/// Sorts a piece into a temporary file, and empties it.
fn write(piece: &mut Vec<Waiting>) -> io::Result<File> {
    piece.sort_by_key(|row| (row.at, row.line));
    let mut file = BufWriter::new(tempfile::tempfile()?);
    for row in piece.drain(..) {
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
struct Waiting {
    at: i64,
    line: u64,
    values: Vec<Option<f64>>,
    normal: Option<bool>,
    anomaly: Option<bool>,
    recorded_at: String,
}

impl From<Numbered> for Waiting {
    fn from(Numbered { line, row }: Numbered) -> Self {
        let Row { at, samples, normal, anomaly, recorded_at } = row;
        let values = samples.iter().map(|sample| sample.value()).collect();
        Self { at: at.millis(), line, values, normal, anomaly, recorded_at }
    }
}

impl Waiting {
    fn into_row(self, profile: &Profile) -> io::Result<Numbered> {
        let Self { at, line, values, normal, anomaly, recorded_at } = self;
        let sample = |(value, channel): (Option<f64>, &volute_plant::Channel)| {
            value.map_or(Sample::Missing, |value| channel.sample(value))
        };
        let samples = values.into_iter().zip(profile.channels()).map(sample).collect();
        let at = Timestamp::from_millis(at).map_err(io::Error::other)?;
        Ok(Numbered { line, row: Row { at, samples, normal, anomaly, recorded_at } })
    }
}

/// The first row of a piece, compared by its time, then by its line.
struct Head {
    row: Waiting,
    piece: usize,
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
        sorted::{Sorted, sort_pieces},
    };

    /// Sorts in pieces of a few rows.
    pub(in crate::recording) fn in_pieces_of<'a>(rows: Rows<'a>, profile: &'a Profile, length: usize) -> Sorted<'a> {
        sort_pieces(rows, profile, length).expect("sorted")
    }
}
