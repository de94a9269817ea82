//! What blocks of readings and of detections have in common: how many rows, how wide each is, and when each was.
//!
//! Deliberately absent: what is in the rows.

use volute_plant::Timestamp;

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    frame::{MAX_CELLS, MAX_ROWS},
    integers,
};

/// Writes how many rows there are.
pub(super) fn write_rows(rows: usize, bits: &mut BitWriter) {
    debug_assert!(rows <= MAX_ROWS, "more rows than a minute has milliseconds");
    bits.number(rows as u64);
}

/// Reads how many rows there are.
pub(super) fn read_rows(bits: &mut BitReader<'_>) -> Result<usize, BlockError> {
    bits.count(MAX_ROWS)
}

/// Writes when each row was, as what it is off a steady beat: a device that keeps its beat costs no bits a row.
pub(super) fn write_times(times: &[Timestamp], bits: &mut BitWriter) {
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].since_ms(pair[0])).collect();
    let middle = gaps.len() / 2;
    let beat_ms = if gaps.is_empty() { 0 } else { *gaps.select_nth_unstable(middle).1 };
    let off: Vec<i64> = (0..).zip(times).map(|(row, at)| at.millis().wrapping_sub(beat_ms.wrapping_mul(row))).collect();
    bits.signed(beat_ms);
    integers::write(&off, bits);
}

/// Reads when each of `rows` rows was.
pub(super) fn read_times(rows: usize, bits: &mut BitReader<'_>) -> Result<Vec<Timestamp>, BlockError> {
    let beat_ms = bits.signed()?;
    let off = integers::read(rows, bits)?;
    (0..).zip(off).map(|(row, off)| time(off.wrapping_add(beat_ms.wrapping_mul(row)))).collect()
}

/// A time out of a block.
pub(super) fn time(ms: i64) -> Result<Timestamp, BlockError> {
    Timestamp::from_millis(ms).map_err(|_| BlockError::Nonsense("a time out of range"))
}

/// How many cells each row has. As a rule all have the same.
#[derive(Debug)]
pub(super) struct Widths(Vec<usize>);

impl Widths {
    /// Those of rows that have so many cells each.
    pub(super) fn write(widths: impl Iterator<Item = usize>, bits: &mut BitWriter) -> Self {
        let widths = Self(widths.collect());
        debug_assert!(widths.cells() <= MAX_CELLS, "more cells than are read back");
        integers::write(&widths.0.iter().map(|&width| width as i64).collect::<Vec<_>>(), bits);
        widths
    }

    /// Those of `rows` rows. All their cells together are no more than may be allocated.
    pub(super) fn read(rows: usize, bits: &mut BitReader<'_>) -> Result<Self, BlockError> {
        let too_wide = BlockError::Nonsense("more cells than a block can have");
        let width = |width| usize::try_from(width).ok().filter(|&width| width <= MAX_CELLS);
        let widths = integers::read(rows, bits)?.into_iter().map(width).collect::<Option<Vec<_>>>();
        let widths = Self(widths.ok_or(too_wide.clone())?);
        if widths.cells() <= MAX_CELLS { Ok(widths) } else { Err(too_wide) }
    }

    /// The width of the widest row.
    pub(super) fn widest(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// The rows that have a cell in this column.
    pub(super) fn rows_with(&self, column: usize) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter(move |&(_, &width)| width > column).map(|(row, _)| row)
    }

    /// An empty row of each width, to be filled column by column.
    pub(super) fn empty_rows<T>(&self) -> Vec<Vec<T>> {
        self.0.iter().map(|&width| Vec::with_capacity(width)).collect()
    }

    /// Cells if all rows were as wide as the widest.
    fn cells(&self) -> usize {
        self.widest().saturating_mul(self.0.len())
    }
}
