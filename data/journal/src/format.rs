//! The journal's bytes: the header of a segment and the frame around a record, little endian.
//!
//! | segment header (40 bytes)   | record frame (20 bytes, then the payload)      |
//! |-----------------------------|------------------------------------------------|
//! | 0: magic, 8 bytes           | 0: magic, 4 bytes                              |
//! | 8: version, u32             | 4: payload's length in bytes, u32              |
//! | 12: first number, u64       | 8: sequence number, u64                        |
//! | 20: low water, u64          | 16: CRC32C of length, number and payload, u32  |
//! | 28: made at, Unix ms, i64   |                                                |
//! | 36: CRC32C of 0..36, u32    |                                                |
//!
//! A later version keeps the header's places, so that an older program can tell a newer journal from a damaged one.
//! Both magics hold bytes that no UTF-8 text has: text within a damaged payload cannot pass for a record.

use crate::Seq;

/// The version that this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// A segment's header.
pub(super) const HEADER_BYTES: usize = 40;
/// What stands before each payload.
pub(super) const FRAME_BYTES: usize = 20;
/// The longest payload.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// A record begins with these.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xfb, b'V', b'r', 0xf5];

const SEGMENT_MAGIC: [u8; 8] = *b"\xffVOLJRN\xfe";
const NAME_DIGITS: usize = 20;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of its first record, which its name has too.
    pub first: Seq,
    /// The low water when it was made.
    pub low_water: Seq,
    /// When it was made, Unix time.
    pub created_ms: i64,
}

/// A header as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Good(Header),
    /// Of another version, its checksum being right.
    Newer(u32),
    /// Damaged, but it begins as a segment does.
    Damaged,
    /// It does not begin as a segment does, or is too short.
    Foreign,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.low_water.0.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of a file.
    pub(super) fn find(bytes: &[u8]) -> Found {
        if !bytes.starts_with(&SEGMENT_MAGIC) {
            return Found::Foreign;
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Found::Damaged };
        if crc32c::crc32c(&bytes[..36]) != u32_at(bytes, 36) {
            return Found::Damaged;
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Found::Newer(version);
        }
        let (first, low_water) = (Seq(u64_at(bytes, 12)), Seq(u64_at(bytes, 20)));
        if first > Seq::MAX || low_water > Seq::MAX {
            return Found::Damaged;
        }
        Found::Good(Self { first, low_water, created_ms: u64_at(bytes, 28).cast_signed() })
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Of the payload, at most [`MAX_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    pub seq: Seq,
    crc: u32,
}

impl Frame {
    /// Reads a frame that begins with the first of `bytes`; none where there cannot be one.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>()?;
        let payload_bytes = usize::try_from(u32_at(bytes, 4)).ok()?;
        let seq = Seq(u64_at(bytes, 8));
        let possible = bytes.starts_with(&RECORD_MAGIC) && payload_bytes <= MAX_PAYLOAD_BYTES && seq <= Seq::MAX;
        possible.then(|| Self { payload_bytes, seq, crc: u32_at(bytes, 16) })
    }

    /// The frame and its payload.
    pub(super) fn record_bytes(self) -> usize {
        FRAME_BYTES + self.payload_bytes
    }

    /// The payload within the record's bytes, if all of it is there and its checksum is right.
    pub(super) fn payload(self, record: &[u8]) -> Option<&[u8]> {
        let payload = record.get(FRAME_BYTES..self.record_bytes())?;
        (checksum(&record[4..16], payload) == self.crc).then_some(payload)
    }
}

/// Appends a record to `buffer`. The payload must not be longer than [`MAX_PAYLOAD_BYTES`].
pub(super) fn push_record(buffer: &mut Vec<u8>, seq: Seq, payload: &[u8]) {
    let mut frame = [0; FRAME_BYTES];
    frame[..4].copy_from_slice(&RECORD_MAGIC);
    frame[4..8].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame[8..16].copy_from_slice(&seq.0.to_le_bytes());
    let crc = checksum(&frame[4..16], payload);
    frame[16..].copy_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&frame);
    buffer.extend_from_slice(payload);
}

/// The name of the segment whose first number this is.
pub(super) fn segment_name(first: Seq) -> String {
    format!("{:0NAME_DIGITS$}.log", first.0)
}

/// The first number in a segment's name; none for any other name.
pub(super) fn parse_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == NAME_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Seq).filter(|seq| *seq <= Seq::MAX)
}

fn checksum(length_and_seq: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length_and_seq), payload)
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}
