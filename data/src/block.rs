//! Blocks: what one pump sent, or was told, in one minute, as few bytes; and what a minute's values were in sum.
//!
//! A block gives back exactly what went in, every number bit for bit. All kinds share one frame: a byte that says
//! version and kind, a stream of bits, and the CRC-32C of both (four bytes, little-endian). The stream is columns: times
//! as a line and how far each is off (`readings`), numbers as integers where they are decimals (`numbers`), integers as
//! what a running mean does not foretell (`integers`) or by Pcodec where that is smaller (`pcodec`), and flags as runs
//! (`runs`). That holds for a minute of 12 readings, where any description of a column costs more than its numbers, as
//! for one of 6,000.
//!
//! A block holds at most [`MOST_ROWS`] rows of at most [`MOST_CHANNELS`] channels and [`MOST_CELLS`] numbers: far beyond what a pump can send in a minute in
//! whole milliseconds, and the bound on what unpacking foreign bytes can allocate.
//!
//! Deliberately absent: whose block it is and of which minute (the row's id says so), names, units and resolutions of
//! channels (the profile's business), and storing.

mod aggregates;
mod bits;
mod detections;
mod frame;
mod integers;
mod numbers;
mod pcodec;
mod readings;
mod runs;

pub use aggregates::{Aggregate, Aggregates};
pub(crate) use aggregates::{decode_aggregates, encode_aggregates};
pub(crate) use detections::{decode_detections, encode_detections};
pub(crate) use readings::{decode_readings, encode_readings};

/// The most rows of a block; a minute has 60,000 milliseconds.
const MOST_ROWS: usize = 1 << 17;
/// The most channels of a row.
const MOST_CHANNELS: usize = 1 << 12;
/// The most numbers of a block: rows times channels.
const MOST_CELLS: usize = 1 << 22;

/// The bytes are no block that this version can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Cut short, or not the bytes that were written.
    #[error("the block is damaged: its checksum does not match")]
    Damaged,
    /// Whole, but of another kind, or written by another version.
    #[error("a block of kind {found:#04x}, where {expected:#04x} was expected")]
    Kind {
        /// Its first byte.
        found: u8,
        /// The first byte of the kind that was asked for.
        expected: u8,
    },
    /// Whole, but what it says makes no sense.
    #[error("the block makes no sense: {0}")]
    Malformed(&'static str),
}

#[cfg(test)]
mod tests;
