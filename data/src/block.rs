//! Compressed blocks: what one pump sent in one minute, what the model said of it, and the rollup of its channels.
//!
//! A block is a byte for kind and version, a stream of bits, and the CRC-32C of all that, in four bytes (the lowest first).
//! The bits hold one column after another: times, delays, quality flags if anything is worth a flag, and then the values of
//! each channel. Blocks are small, some hundred bytes, so nothing in them is aligned to bytes and no column has a header of
//! more than a few bits. Everything comes back as it was, to the last bit of every number.
//!
//! A block keeps about 5 bytes of a simulated reading of ten channels at 1 Hz, times included, and 9 to 10 at one in five
//! seconds. Pcodec (the crate `pco`) came to 1.3 and 1.4 times that for the same columns, as each of its chunks begins with
//! a header that is long against 60 numbers and very long against 12.
//!
//! Reading a block never panics, and allocates no more than [`MAX_ROWS`] and [`MAX_CELLS`] allow, whatever the bytes.
//!
//! Deliberately absent: which readings make a block, where it is stored, and whose it is: the key says that, not the block.

mod aggregates;
mod bits;
mod detections;
mod flags;
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

use bits::{BitReader, BitWriter};

/// The most rows in a block: there are fewer milliseconds in a minute.
pub(crate) const MAX_ROWS: usize = 1 << 16;
/// The most rows times channels in a block.
pub(crate) const MAX_CELLS: usize = 1 << 22;
// A pump has at most one reading for each millisecond of a minute.
const _: () = assert!(60_000 <= MAX_ROWS && 60_000 * volute_plant::MAX_CHANNELS <= MAX_CELLS);

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// The bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The checksum does not fit: something changed the bytes, or took some away.
    #[error("the block is damaged: its checksum does not fit")]
    Damaged,
    /// Whole, but of another kind or of a version that this program does not know.
    #[error("the block begins with the byte {found}; expected is {expected}")]
    Format {
        /// The block's first byte.
        found: u8,
        /// What it should be.
        expected: u8,
    },
    /// Whole, but not written by this program.
    #[error("the block is whole but makes no sense: {0}")]
    Nonsense(&'static str),
}

/// What a block holds; the number is its first byte. A change of the format takes a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Readings = 0x11,
    Detections = 0x21,
    Aggregates = 0x31,
}

/// Makes a block of the bits that `write` writes.
fn seal(kind: Kind, write: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
    let mut bits = BitWriter::after(vec![kind as u8]);
    write(&mut bits);
    let mut block = bits.into_bytes();
    let checksum = crc32c::crc32c(&block);
    block.extend_from_slice(&checksum.to_le_bytes());
    block
}

/// Reads with `read` what [`seal`] has written.
fn open<T>(
    kind: Kind,
    block: &[u8],
    read: impl FnOnce(&mut BitReader<'_>) -> Result<T, BlockError>,
) -> Result<T, BlockError> {
    let (content, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or(BlockError::Damaged)?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return Err(BlockError::Damaged);
    }
    let (&found, content) = content.split_first().ok_or(BlockError::Damaged)?;
    if found != kind as u8 {
        return Err(BlockError::Format { found, expected: kind as u8 });
    }
    let mut bits = BitReader::new(content);
    let value = read(&mut bits)?;
    bits.finish()?;
    Ok(value)
}
