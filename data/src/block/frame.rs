//! The frame of every block: one byte for kind and version, the bits, and a checksum of four bytes.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
};

/// The maximum number of rows in a block. A minute has fewer milliseconds.
pub(super) const MAX_ROWS: usize = 1 << 16;
/// The maximum of rows times channels in a block.
pub(super) const MAX_CELLS: usize = 1 << 22;
// A pump has at most one reading for each millisecond of a minute.
const _: () = assert!(60_000 <= MAX_ROWS && 60_000 * volute_plant::MAX_CHANNELS <= MAX_CELLS);

/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The kind of a block's content. The number is the block's first byte; a change of the format takes a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BlockKind {
    Readings = 0x11,
    Detections = 0x21,
    Aggregates = 0x31,
}

/// Returns a block with the bits that `write` writes.
pub(super) fn seal(kind: BlockKind, write: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
    let mut bits = BitWriter::appending_to(vec![kind as u8]);
    write(&mut bits);
    let mut block = bits.into_bytes();
    let checksum = crc32c::crc32c(&block);
    block.extend_from_slice(&checksum.to_le_bytes());
    block
}

/// Checks a block from [`seal`] and reads its bits with `read`.
pub(super) fn open<T>(
    kind: BlockKind,
    block: &[u8],
    read: impl FnOnce(&mut BitReader<'_>) -> Result<T, BlockError>,
) -> Result<T, BlockError> {
    let (content, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or(BlockError::ChecksumMismatch)?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return Err(BlockError::ChecksumMismatch);
    }
    let (&found, content) = content.split_first().ok_or(BlockError::ChecksumMismatch)?;
    if found != kind as u8 {
        return Err(BlockError::Format { found, expected: kind as u8 });
    }
    let mut bits = BitReader::new(content);
    let value = read(&mut bits)?;
    bits.finish()?;
    Ok(value)
}
