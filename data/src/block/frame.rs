//! The frame of every block: kind, bits, checksum.

use super::{
    BlockError,
    bits::{BitReader, BitWriter},
};

/// Version (upper four bits) and kind of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Readings = 0x11,
    Detections = 0x12,
    Aggregates = 0x13,
}

const CHECKSUM_BYTES: usize = 4;

/// Puts kind and checksum around the bits.
pub(super) fn seal(kind: Kind, bits: BitWriter) -> Vec<u8> {
    let body = bits.into_bytes();
    let mut block = Vec::with_capacity(1 + body.len() + CHECKSUM_BYTES);
    block.push(kind as u8);
    block.extend(body);
    let checksum = crc32c::crc32c(&block);
    block.extend(checksum.to_le_bytes());
    block
}

/// Checks kind and checksum, and gives the bits between them.
pub(super) fn open(kind: Kind, block: &[u8]) -> Result<BitReader<'_>, BlockError> {
    let (content, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or(BlockError::Damaged)?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return Err(BlockError::Damaged);
    }
    let (&found, body) = content.split_first().ok_or(BlockError::Damaged)?;
    let expected = kind as u8;
    if found != expected {
        return Err(BlockError::Kind { found, expected });
    }
    Ok(BitReader::new(body))
}
