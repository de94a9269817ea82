//! What all blocks have around their bits: a byte for kind and version before them, a checksum behind them.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
};

/// The most rows in a block: there are fewer milliseconds in a minute.
pub(super) const MAX_ROWS: usize = 1 << 16;
/// The most rows times channels in a block.
pub(super) const MAX_CELLS: usize = 1 << 22;
// A pump has at most one reading for each millisecond of a minute.
const _: () = assert!(60_000 <= MAX_ROWS && 60_000 * volute_plant::MAX_CHANNELS <= MAX_CELLS);

/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// What a block holds; the number is its first byte. A change of the format takes a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Readings = 0x11,
    Detections = 0x21,
    Aggregates = 0x31,
}

/// Makes a block of the bits that `write` writes.
pub(super) fn seal(kind: Kind, write: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
    let mut bits = BitWriter::after(vec![kind as u8]);
    write(&mut bits);
    let mut block = bits.into_bytes();
    let checksum = crc32c::crc32c(&block);
    block.extend_from_slice(&checksum.to_le_bytes());
    block
}

/// Reads with `read` what [`seal`] has written.
pub(super) fn open<T>(
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
