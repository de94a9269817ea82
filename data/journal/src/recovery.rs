//! What a reading of the journal found, for people and programs.

use std::{fmt, path::PathBuf};

use crate::{
    Seq,
    format::{HEADER_BYTES, segment_name},
};

/// What was found in a journal's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Records handed on.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Segments in the folder, those included that did not have to be read.
    pub segments: u64,
    /// Records from this number on were asked for.
    pub low_water: Seq,
    /// The next record's number.
    pub next: Seq,
    /// Everything that is not as it was written, in the order of the segments.
    pub damage: Vec<Damage>,
}

/// Sequence numbers of which nothing valid was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The lowest.
    pub first: Seq,
    /// The highest; none where nothing valid that comes later says it.
    pub last: Option<Seq>,
}

/// One place where the journal is not as it was written. `segment` is the first number in the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The newest segment ends in bytes that are no whole record: mostly a write that a crash cut short, which was never
    /// acknowledged. Opening cuts it off.
    TornTail {
        /// The segment.
        segment: Seq,
        /// Where the valid part ends.
        from_byte: u64,
        /// Where the file ended.
        to_byte: u64,
        /// The numbers that the torn part can have had.
        lost: Lost,
    },
    /// Bytes within a segment are no valid record.
    Bytes {
        /// The segment.
        segment: Seq,
        /// The first bad byte.
        from_byte: u64,
        /// Where what is valid goes on, or the file ends.
        to_byte: u64,
        /// What was lost; none where the numbers before and behind follow each other.
        lost: Option<Lost>,
    },
    /// A segment's header is damaged, or belongs to another name; its records are used all the same.
    Header {
        /// The segment.
        segment: Seq,
    },
    /// Numbers are missing between two valid records: a segment, or a piece of one, is not there.
    Gap {
        /// Which.
        lost: Lost,
    },
    /// Something that is no segment. It is left alone.
    Foreign {
        /// The file or folder.
        path: PathBuf,
    },
}

impl Recovery {
    /// Whether a record that was asked for may be lost: all damage but foreign files and damaged headers.
    pub fn may_have_lost(&self) -> bool {
        let low_water = self.low_water;
        self.damage.iter().filter_map(Damage::lost).any(|lost| lost.last.is_none_or(|last| last >= low_water))
    }
}

impl Damage {
    /// Whether it is a segment that a crash cut short while it was being made. No record was ever in it, for its header is
    /// synced before the first.
    pub fn is_unfinished_segment(&self) -> bool {
        matches!(self, Self::TornTail { to_byte, .. } if *to_byte < HEADER_BYTES as u64)
    }

    /// The numbers that it cost.
    pub fn lost(&self) -> Option<Lost> {
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
                tracing::warn!(segment = segment.0, from_byte, to_byte, first_lost, "journal's tail is torn");
            }
            Self::Bytes { segment, from_byte, to_byte, .. } => {
                tracing::error!(segment = segment.0, from_byte, to_byte, first_lost, last_lost, "journal damaged");
            }
            Self::Header { segment } => tracing::error!(segment = segment.0, "journal segment's header damaged"),
            Self::Gap { .. } => tracing::error!(first_lost, last_lost, "journal has a gap"),
            Self::Foreign { path } => tracing::warn!(path = %path.display(), "no journal segment, left alone"),
        }
    }
}

impl fmt::Display for Lost {
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
                    "{name}: its end, bytes {from_byte} to {to_byte}, is no whole record; lost: {lost}, if written"
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
            Self::Foreign { path } => write!(f, "{} is no journal segment; it is left alone", path.display()),
        }
    }
}
