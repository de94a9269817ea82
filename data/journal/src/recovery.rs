//! What was found when a journal's folder was read: counts, and the damage, with its texts for logs and users.

use std::{fmt, path::PathBuf};

use crate::{
    Seq,
    format::{HEADER_BYTES, segment_name},
};

/// The result of reading a journal's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The number of records that were passed to the caller.
    pub records: u64,
    /// The total length of their payloads, in bytes.
    pub bytes: u64,
    /// The number of segments in the folder, including those that were not needed.
    pub segments: u64,
    /// The number of the first requested record.
    pub low_water: Seq,
    /// The number of the next new record.
    pub next: Seq,
    /// All damage, in the order of the segments, after the files that are not segments.
    pub damage: Vec<Damage>,
}

/// A range of sequence numbers without a valid record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRecords {
    /// The lowest number.
    pub first: Seq,
    /// The highest number; none if it is unknown, because no valid record or segment follows.
    pub last: Option<Seq>,
}

/// One damaged part of a journal. A segment is identified by the number of its first record, which is also its file
/// name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The newest segment ends with an incomplete record. Usually a crash interrupted its writing, and it was never
    /// acknowledged. Opening the journal removes it.
    TornTail {
        /// The segment.
        segment: Seq,
        /// The offset at which the valid part ends.
        from_byte: u64,
        /// The length of the file.
        to_byte: u64,
        /// The records that the torn part may have held.
        lost: LostRecords,
    },
    /// Bytes within a segment are not a valid record.
    Bytes {
        /// The segment.
        segment: Seq,
        /// The offset of the first invalid byte.
        from_byte: u64,
        /// The offset of the next valid record, or the length of the file.
        to_byte: u64,
        /// The lost records; none if the numbers of the records before and after the damage are consecutive.
        lost: Option<LostRecords>,
    },
    /// A segment's header is damaged, or does not match the file's name. The segment's records are used.
    Header {
        /// The segment.
        segment: Seq,
    },
    /// Numbers are missing between two valid records, because a segment or a part of one is missing.
    Gap {
        /// The missing records.
        lost: LostRecords,
    },
    /// A file or folder that is not a segment. The journal does not change or delete it.
    Foreign {
        /// The file or folder.
        path: PathBuf,
    },
}

impl Recovery {
    /// Returns whether a requested record may be lost. Foreign files and damaged headers lose no records.
    pub fn may_have_lost(&self) -> bool {
        let low_water = self.low_water;
        self.damage.iter().filter_map(Damage::lost).any(|lost| lost.last.is_none_or(|last| last >= low_water))
    }
}

impl Damage {
    /// Returns whether this is a segment whose creation a crash interrupted. Such a segment never had a record, because
    /// the header is synced before the first record is written.
    pub fn is_unfinished_segment(&self) -> bool {
        matches!(self, Self::TornTail { to_byte, .. } if *to_byte < HEADER_BYTES as u64)
    }

    /// Returns the records that may be lost.
    pub fn lost(&self) -> Option<LostRecords> {
        match self {
            Self::TornTail { lost, .. } | Self::Gap { lost } => Some(*lost),
            Self::Bytes { lost, .. } => *lost,
            Self::Header { .. } | Self::Foreign { .. } => None,
        }
    }

    pub(super) fn log(&self) {
        let (first_lost, last_lost) = self.lost().map_or((None, None), |lost| (Some(lost.first.0), lost.last));
        let last_lost = last_lost.map(|last| last.0);
        match self {
            Self::TornTail { segment, from_byte, to_byte, .. } => {
                tracing::warn!(
                    segment = segment.0,
                    from_byte,
                    to_byte,
                    first_lost,
                    "the journal's newest segment ends with an incomplete record"
                );
            }
            Self::Bytes { segment, from_byte, to_byte, .. } => {
                tracing::error!(segment = segment.0, from_byte, to_byte, first_lost, last_lost, "journal damaged");
            }
            Self::Header { segment } => tracing::error!(segment = segment.0, "journal segment's header damaged"),
            Self::Gap { .. } => tracing::error!(first_lost, last_lost, "journal has a gap"),
            Self::Foreign { path } => {
                tracing::warn!(path = %path.display(), "not a journal segment; it is not touched")
            }
        }
    }
}

impl fmt::Display for LostRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "record {last}"),
            Some(last) => write!(f, "records {} to {last}", self.first),
            None => write!(f, "records from {} on", self.first),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { segment, from_byte, to_byte, lost } => {
                let name = segment_name(*segment);
                write!(
                    f,
                    "{name}: its end, bytes {from_byte} to {to_byte}, is an incomplete record; lost: {lost}, if written"
                )
            }
            Self::Bytes { segment, from_byte, to_byte, lost } => {
                write!(f, "{}: bytes {from_byte} to {to_byte} are damaged; lost: ", segment_name(*segment))?;
                match lost {
                    Some(lost) => write!(f, "{lost}"),
                    None => f.write_str("nothing"),
                }
            }
            Self::Header { segment } => {
                write!(f, "{}: its header is damaged; its records are used", segment_name(*segment))
            }
            Self::Gap { lost } => write!(f, "missing: {lost}"),
            Self::Foreign { path } => write!(f, "{} is not a journal segment; it is not touched", path.display()),
        }
    }
}
