//! The common part of blocks of readings and of detections: the number of rows, their times and their widths.
//!
//! Times are written as offsets from a regular interval. For example, the times 0, 1000, 2003 and 3000 ms have the
//! median interval 1000 ms and are written as 1000 and the offsets 0, 0, 3, 0. The content of the rows is up to the
//! caller.

use volute_plant::Timestamp;

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    frame::{MAX_CELLS, MAX_ROWS},
    integers,
};

/// Writes the number of rows.
pub(super) fn write_row_count(rows: usize, bits: &mut BitWriter) {
    debug_assert!(rows <= MAX_ROWS, "more rows than a minute has milliseconds");
    bits.number(rows as u64);
}

/// Reads the number of rows.
pub(super) fn read_row_count(bits: &mut BitReader<'_>) -> Result<usize, BlockError> {
    bits.count(MAX_ROWS)
}

/// Writes the time of each row as its offset from a regular interval. If a device posts regularly, the rows take no
/// bits.
pub(super) fn write_times(times: &[Timestamp], bits: &mut BitWriter) {
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].since_ms(pair[0])).collect();
    let middle = gaps.len() / 2;
    let interval_ms = if gaps.is_empty() { 0 } else { *gaps.select_nth_unstable(middle).1 };
    let offsets: Vec<i64> =
        (0..).zip(times).map(|(row, at)| at.millis().wrapping_sub(interval_ms.wrapping_mul(row))).collect();
    bits.signed(interval_ms);
    integers::write(&offsets, bits);
}

/// Reads the times of `rows` rows.
pub(super) fn read_times(rows: usize, bits: &mut BitReader<'_>) -> Result<Vec<Timestamp>, BlockError> {
    let interval_ms = bits.signed()?;
    let offsets = integers::read(rows, bits)?;
    (0..).zip(offsets).map(|(row, offsets)| time(offsets.wrapping_add(interval_ms.wrapping_mul(row)))).collect()
}

/// Converts a time in milliseconds that was read from a block.
pub(super) fn time(ms: i64) -> Result<Timestamp, BlockError> {
    Timestamp::from_millis(ms).map_err(|_| BlockError::Corrupt("a time out of range"))
}

/// The width of each row: its number of cells. Usually all rows have the same width.
#[derive(Debug)]
pub(super) struct RowWidths(Vec<usize>);

impl RowWidths {
    /// Writes the widths and returns them.
    pub(super) fn write(widths: impl Iterator<Item = usize>, bits: &mut BitWriter) -> Self {
        let widths = Self(widths.collect());
        debug_assert!(widths.cells() <= MAX_CELLS, "more cells than are read back");
        integers::write(&widths.0.iter().map(|&width| width as i64).collect::<Vec<_>>(), bits);
        widths
    }

    /// Reads the widths of `rows` rows. Fails if all rows, each as wide as the widest, would have more than
    /// [`MAX_CELLS`] cells.
    pub(super) fn read(rows: usize, bits: &mut BitReader<'_>) -> Result<Self, BlockError> {
        let too_many_cells = BlockError::Corrupt("more cells than a block can have");
        let width = |width| usize::try_from(width).ok().filter(|&width| width <= MAX_CELLS);
        let widths = integers::read(rows, bits)?.into_iter().map(width).collect::<Option<Vec<_>>>();
        let widths = Self(widths.ok_or(too_many_cells.clone())?);
        if widths.cells() <= MAX_CELLS { Ok(widths) } else { Err(too_many_cells) }
    }

    /// Returns the width of the widest row.
    pub(super) fn widest(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// Returns the rows that have a cell in this column.
    pub(super) fn rows_with(&self, column: usize) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter(move |&(_, &width)| width > column).map(|(row, _)| row)
    }

    /// Returns a row for each width, empty and with room for its cells, to be filled column by column.
    pub(super) fn empty_rows<T>(&self) -> Vec<Vec<T>> {
        self.0.iter().map(|&width| Vec::with_capacity(width)).collect()
    }

    /// Returns the number of cells if all rows were as wide as the widest.
    fn cells(&self) -> usize {
        self.widest().saturating_mul(self.0.len())
    }
}
