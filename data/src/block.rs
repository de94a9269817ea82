//! Compressed blocks: one pump's readings of a minute, its detections of a minute, and the rollups of its channels.
//!
//! A rollup holds the aggregates (count, minimum, maximum, sum) of each channel over a minute or an hour.
//!
//! A block is a byte for kind and version, a stream of bits, and the CRC-32C of both, in four bytes (the lowest first):
//!
//! ```text
//! 0x11 | rows, times, delays, widths, flags?, channel 1, channel 2, ... | CRC-32C     readings
//! 0x21 | rows, times, anomaly flags, models, losses, thresholds, ...    | CRC-32C     detections
//! 0x31 | channels, counts, then minimum, range and sum per channel      | CRC-32C     aggregates
//! ```
//!
//! The bits hold one column after another. Blocks are small, a few hundred bytes, so columns are not aligned to bytes
//! and the header of a column takes only a few bits. Every number is read back bit for bit.
//!
//! A block takes about 5 bytes per simulated reading of ten channels at 1 Hz, times included, and 9 to 10 bytes at one
//! reading in five seconds. Pcodec (the crate `pco`) takes 1.3 and 1.4 times as much for the same columns. Each of its
//! chunks begins with a header, which is long compared with 60 numbers, and longer still compared with 12.
//!
//! Reading a block never panics, whatever the bytes, and allocates at most `MAX_ROWS` rows and `MAX_CELLS` cells.
//!
//! Does not choose which readings make a block and does not store blocks; see `store`. The pump and the time range are
//! in the block's key, not in the block.

mod aggregates;
mod bits;
mod detections;
mod error;
mod flags;
mod frame;
mod integers;
mod numbers;
mod readings;
mod table;

#[cfg(test)]
mod tests;

pub use aggregates::{Aggregate, Aggregates};
pub(crate) use aggregates::{decode_aggregates, encode_aggregates};
pub(crate) use detections::{decode_detections, encode_detections};
pub(crate) use readings::{decode_readings, encode_readings};
