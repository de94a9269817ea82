//! The format of the journal: the header of a segment and the frame of a record, little endian.
//!
//! | segment header (40 bytes)   | record frame (20 bytes, then the payload)      |
//! |-----------------------------|------------------------------------------------|
//! | 0: magic, 8 bytes           | 0: magic, 4 bytes                              |
//! | 8: version, u32             | 4: payload's length in bytes, u32              |
//! | 12: first number, u64       | 8: sequence number, u64                        |
//! | 20: low water, u64          | 16: CRC32C of length, number and payload, u32  |
//! | 28: created, Unix ms, i64   |                                                |
//! | 36: CRC32C of 0..36, u32    |                                                |
//!
//! A segment is the header and then its records. For example, a segment whose only record has number 17 and a payload
//! of 100 bytes is named `00000000000000000017.log` and has 40 + 20 + 100 = 160 bytes.
//!
//! Later versions of the format keep the offsets of the header's fields, so that an older program can distinguish a
//! newer journal from a damaged one. Both magics contain bytes that no UTF-8 text contains, so text in a damaged
//! payload cannot be mistaken for a record.

use crate::Seq;

/// The version of the format that this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// The length of a segment's header, in bytes.
pub(super) const HEADER_BYTES: usize = 40;
/// The length of the frame before each payload, in bytes.
pub(super) const FRAME_BYTES: usize = 20;
/// The maximum length of a payload, in bytes.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// The first bytes of every record.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xfb, b'V', b'r', 0xf5];

const SEGMENT_MAGIC: [u8; 8] = *b"\xffVOLJRN\xfe";
const NAME_DIGITS: usize = 20;

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the segment's first record. It is also in the file's name.
    pub first: Seq,
    /// The low-water mark when the segment was created: records below it were no longer needed.
    pub low_water: Seq,
    /// When the segment was created, as Unix time in milliseconds.
    pub created_ms: i64,
}

/// The result of reading a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Good(Header),
    /// The checksum matches, but the header has this other version of the format.
    OtherVersion(u32),
    /// The magic is right, but the header is damaged.
    Damaged,
    /// The magic is missing: the file is not a segment, or it is too short.
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

    /// Parses a header from the first bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> HeaderRead {
        if !bytes.starts_with(&SEGMENT_MAGIC) {
            return HeaderRead::Foreign;
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return HeaderRead::Damaged };
        if crc32c::crc32c(&bytes[..36]) != u32_at(bytes, 36) {
            return HeaderRead::Damaged;
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return HeaderRead::OtherVersion(version);
        }
        let (first, low_water) = (Seq(u64_at(bytes, 12)), Seq(u64_at(bytes, 20)));
        if first > Seq::MAX || low_water > Seq::MAX {
            return HeaderRead::Damaged;
        }
        HeaderRead::Good(Self { first, low_water, created_ms: u64_at(bytes, 28).cast_signed() })
    }
}

/// The frame before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The length of the payload, at most [`MAX_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    pub seq: Seq,
    crc: u32,
}

impl Frame {
    /// Parses a frame at the beginning of `bytes`; none if there is no valid one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>()?;
        let payload_bytes = usize::try_from(u32_at(bytes, 4)).ok()?;
        let seq = Seq(u64_at(bytes, 8));
        let is_valid = bytes.starts_with(&RECORD_MAGIC) && payload_bytes <= MAX_PAYLOAD_BYTES && seq <= Seq::MAX;
        is_valid.then(|| Self { payload_bytes, seq, crc: u32_at(bytes, 16) })
    }

    /// Returns the length of the frame and its payload, in bytes.
    pub(super) fn record_bytes(self) -> usize {
        FRAME_BYTES + self.payload_bytes
    }

    /// Returns the payload of a record; none if it is incomplete or its checksum does not match.
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

/// Returns the file name of the segment whose first record has this number.
pub(super) fn segment_name(first: Seq) -> String {
    format!("{:0NAME_DIGITS$}.log", first.0)
}

/// Returns the number of the first record from a segment's file name; none for other names.
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
