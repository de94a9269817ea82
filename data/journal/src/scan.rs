//! Reads a journal's folder: finds every valid record, in order, even if the files (the journal's *segments*) are
//! damaged.
//!
//! A record is valid if its magic and checksum are right and its number is above that of the record before and below
//! the first number of the next segment. After damage, reading continues at the next valid record:
//!
//! ```text
//! ...01.log   [header] [1] [2] [?] [4]        record 3 is damaged: Damage::Bytes, lost: record 3
//! ...05.log   missing                         Damage::Gap, lost: records 5 to 8
//! ...09.log   [header] [9] [10] [11, cut off  the newest segment: Damage::TornTail, lost: from record 11 on
//! ```
//!
//! Does not repair anything; [`super::Journal::open`] does.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    Damage, JournalError, LostRecords, Recovery, Seq,
    format::{self, FRAME_BYTES, Frame, HEADER_BYTES, Header, HeaderRead, RECORD_MAGIC},
    window::FileWindow,
};

/// The result of reading a folder.
pub(super) struct Scan {
    pub recovery: Recovery,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    pub repair: Repair,
    /// Whether the newest segment has a valid header and no record. New records can then be written to it.
    pub newest_is_empty: bool,
}

/// The repair of the newest file that is needed before the journal can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    Nothing,
    /// Truncate the file to this length in bytes.
    Cut(PathBuf, u64),
    /// Remove the file: its creation was not completed, and it has no record.
    Remove(PathBuf),
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub first: Seq,
    /// The length of the file, in bytes.
    pub bytes: u64,
    /// When it was created, as Unix time; none if its header is damaged.
    pub created_ms: Option<i64>,
}

/// Reads the folder and passes every valid record from `low_water` on to `on_record`. If `low_water` is none, uses the
/// low-water mark in the newest valid header.
pub(super) fn scan(
    dir: &Path,
    low_water: Option<Seq>,
    on_record: &mut dyn FnMut(Seq, &[u8]),
) -> Result<Scan, JournalError> {
    let mut recovery = Recovery::default();
    let files = list(dir, &mut recovery.damage)?;
    let header_low_water = files.iter().rev().find_map(|file| file.header).map(|header| header.low_water);
    recovery.low_water = low_water.or(header_low_water).unwrap_or(Seq::ZERO);
    recovery.segments = files.len() as u64;
    let mut scanner = Scanner { expected: None, on_record, recovery };
    let mut ends = Vec::with_capacity(files.len());
    let first_index = first_needed(&files, scanner.recovery.low_water);
    for (index, file) in files.iter().enumerate() {
        if index < first_index {
            ends.push(ValidEnd { valid_bytes: file.bytes, records: 0 });
            continue;
        }
        if scanner.expected.is_none() {
            scanner.start_at(file.first, low_water);
        }
        ends.push(scanner.read(dir, file, &files[index + 1..])?);
    }
    Ok(scanner.finish(dir, &files, &ends))
}

/// A file with the name of a segment.
struct NamedFile {
    first: Seq,
    bytes: u64,
    /// None if the header is damaged or missing.
    header: Option<Header>,
    /// Whether the magic of a segment is missing.
    foreign: bool,
}

/// The end of the valid part of a file.
#[derive(Clone, Copy)]
struct ValidEnd {
    valid_bytes: u64,
    records: u64,
}

struct Scanner<'a> {
    /// The expected number of the next record; none before the first segment.
    expected: Option<Seq>,
    on_record: &'a mut dyn FnMut(Seq, &[u8]),
    recovery: Recovery,
}

/// The scanner's position in a segment. Its records must be below `upper_bound`.
struct Cursor {
    segment: Seq,
    window: FileWindow<File>,
    at: u64,
    upper_bound: Option<Seq>,
}

impl Scanner<'_> {
    /// Starts at the segment whose first record has the number `first`. If the caller requested a low-water mark,
    /// records between it and `first` are reported as missing. With the low-water mark of a header they are not,
    /// because segments may have been deleted since the header was written.
    fn start_at(&mut self, first: Seq, requested: Option<Seq>) {
        let first = first.max(Seq::FIRST);
        self.expected = Some(requested.map_or(first, |low_water| low_water.max(Seq::FIRST).min(first)));
    }

    /// Reports the records from the expected number to the one before `seq` as missing, and expects `seq`.
    fn skip_to(&mut self, seq: Seq) {
        if let Some(lost) = self.lost_before(seq) {
            self.recovery.damage.push(Damage::Gap { lost });
        }
        self.expected = Some(seq.max(self.expected()));
    }

    fn expected(&self) -> Seq {
        self.expected.unwrap_or(Seq::FIRST)
    }

    fn lost_before(&self, seq: Seq) -> Option<LostRecords> {
        let first = self.expected();
        (first < seq).then(|| LostRecords { first, last: Some(seq.before()) })
    }

    fn read(&mut self, dir: &Path, file: &NamedFile, later: &[NamedFile]) -> Result<ValidEnd, JournalError> {
        let path = dir.join(format::segment_name(file.first));
        let handle = File::open(&path).map_err(|source| JournalError::Io { path, source })?;
        let window = FileWindow::new(handle, file.bytes);
        let upper_bound = later.iter().find_map(|file| file.header).map(|header| header.first);
        let mut cursor = Cursor { segment: file.first, window, at: HEADER_BYTES as u64, upper_bound };
        let damage_index = self.recovery.damage.len();
        if let Some(header) = file.header {
            self.skip_to(header.first);
        }
        let mut end = ValidEnd { valid_bytes: cursor.at, records: 0 };
        loop {
            while self.take_record(&mut cursor) {
                end = ValidEnd { valid_bytes: cursor.at, records: end.records + 1 };
            }
            if cursor.at >= cursor.window.bytes() || !self.resume(&mut cursor) {
                break;
            }
        }
        self.report_end(dir, (file, later), &mut cursor, end, damage_index);
        Ok(end)
    }

    /// Returns the record at this offset if it is valid and in order.
    fn valid_record_at<'p>(&self, cursor: &'p mut Cursor, at: u64) -> Option<(Frame, &'p [u8])> {
        let frame = Frame::parse(cursor.window.get(at, FRAME_BYTES))?;
        let lower_bound = self.expected().max(cursor.segment);
        let is_in_order =
            frame.seq >= lower_bound && cursor.upper_bound.is_none_or(|upper_bound| frame.seq < upper_bound);
        if !is_in_order || at.saturating_add(frame.record_bytes() as u64) > cursor.window.bytes() {
            return None;
        }
        let payload = frame.payload(cursor.window.get(at, frame.record_bytes()))?;
        Some((frame, payload))
    }

    /// Passes the record at the cursor to the caller and moves the cursor behind it. Returns false if there is no valid
    /// record.
    fn take_record(&mut self, cursor: &mut Cursor) -> bool {
        let at = cursor.at;
        let Some((frame, payload)) = self.valid_record_at(cursor, at) else { return false };
        if frame.seq >= self.recovery.low_water {
            (self.on_record)(frame.seq, payload);
            self.recovery.records += 1;
            self.recovery.bytes += frame.payload_bytes as u64;
        }
        self.skip_to(frame.seq);
        self.expected = Some(frame.seq.after());
        cursor.at += frame.record_bytes() as u64;
        true
    }

    /// Moves the cursor to the next valid record after damage and reports the damage. Returns false if there is no
    /// further valid record.
    fn resume(&mut self, cursor: &mut Cursor) -> bool {
        let Some((at, seq)) = self.skip_damaged_record(cursor).or_else(|| self.find_next_record(cursor)) else {
            return false;
        };
        let lost = self.lost_before(seq);
        let damage = Damage::Bytes { segment: cursor.segment, from_byte: cursor.at, to_byte: at, lost };
        self.recovery.damage.push(damage);
        self.expected = Some(seq);
        cursor.at = at;
        true
    }

    /// Returns the record behind a damaged one if the length of the damaged one is intact. Then its payload need not be
    /// searched for records.
    fn skip_damaged_record(&self, cursor: &mut Cursor) -> Option<(u64, Seq)> {
        let frame = Frame::parse(cursor.window.get(cursor.at, FRAME_BYTES))?;
        let at = cursor.at + frame.record_bytes() as u64;
        let seq = self.valid_record_at(cursor, at)?.0.seq;
        (seq == self.expected().after()).then_some((at, seq))
    }

    /// Searches for the next valid record behind the cursor.
    fn find_next_record(&self, cursor: &mut Cursor) -> Option<(u64, Seq)> {
        let mut at = cursor.at;
        loop {
            at = cursor.window.find(RECORD_MAGIC, at + 1)?;
            if let Some((frame, _)) = self.valid_record_at(cursor, at) {
                return Some((at, frame.seq));
            }
        }
    }

    /// Reports a damaged header, and damage after the last valid record.
    fn report_end(
        &mut self,
        dir: &Path,
        (file, later): (&NamedFile, &[NamedFile]),
        cursor: &mut Cursor,
        end: ValidEnd,
        damage_index: usize,
    ) {
        let newest = later.is_empty();
        let damage = &mut self.recovery.damage;
        if file.header.is_none() {
            if end.records == 0 && newest && is_unfinished_header(file, &mut cursor.window) {
                let lost = LostRecords { first: file.first, last: None };
                damage.push(Damage::TornTail { segment: file.first, from_byte: 0, to_byte: file.bytes, lost });
                return;
            }
            if end.records == 0 && file.foreign {
                let path = dir.join(format::segment_name(file.first));
                damage.push(Damage::Foreign { path });
                return;
            }
            damage.insert(damage_index, Damage::Header { segment: file.first });
        }
        let (from_byte, to_byte) = (end.valid_bytes, cursor.window.bytes());
        if from_byte >= to_byte {
            return;
        }
        let first = self.expected.unwrap_or(Seq::FIRST);
        let segment = file.first;
        if newest && can_be_cut(file, end) {
            let lost = LostRecords { first, last: None };
            damage.push(Damage::TornTail { segment, from_byte, to_byte, lost });
            return;
        }
        // Records that are reported as lost here must not be reported again as a gap before the next segment. If the
        // header of the next segment is damaged, its first number is unknown.
        let next = later.first().and_then(|file| file.header).map(|header| header.first.max(first));
        let lost = match next {
            Some(next) => (first < next).then(|| LostRecords { first, last: Some(next.before()) }),
            None => Some(LostRecords { first, last: None }),
        };
        damage.push(Damage::Bytes { segment, from_byte, to_byte, lost });
        self.expected = Some(next.unwrap_or(first));
    }

    fn finish(mut self, dir: &Path, files: &[NamedFile], ends: &[ValidEnd]) -> Scan {
        let mut scan = Scan {
            recovery: Recovery::default(),
            segments: Vec::new(),
            repair: Repair::Nothing,
            newest_is_empty: false,
        };
        // The numbers in the names of files that stay: the next segment, named by the next record, needs another name.
        let mut used = BTreeSet::new();
        let mut next = self.expected().max(self.recovery.low_water);
        for (index, (file, end)) in files.iter().zip(ends).enumerate() {
            let newest = index + 1 == files.len();
            let path = || dir.join(format::segment_name(file.first));
            let torn = newest && self.recovery.damage.iter().any(|damage| is_torn(damage, file.first));
            if torn && file.header.is_none() && end.records == 0 {
                scan.repair = Repair::Remove(path());
                continue;
            }
            used.insert(file.first);
            if file.header.is_none() && end.records == 0 && file.foreign {
                continue;
            }
            let bytes = if torn { end.valid_bytes } else { file.bytes };
            if torn {
                scan.repair = Repair::Cut(path(), bytes);
            }
            scan.newest_is_empty = bytes == HEADER_BYTES as u64 && file.header.is_some();
            let created_ms = file.header.map(|header| header.created_ms);
            scan.segments.push(Segment { first: file.first, bytes, created_ms });
        }
        if scan.newest_is_empty
            && let Some(newest) = scan.segments.last()
        {
            used.remove(&newest.first);
        }
        // At the highest number there is no other one: then no segment can be created, which is an error of its own.
        while used.contains(&next) && next < Seq::MAX {
            next = next.after();
        }
        self.recovery.next = next;
        scan.recovery = self.recovery;
        scan
    }
}

/// Returns whether the bytes after the last valid record of the newest segment can be cut off.
fn can_be_cut(file: &NamedFile, end: ValidEnd) -> bool {
    file.header.is_some() || end.records > 0
}

fn is_torn(damage: &Damage, first: Seq) -> bool {
    matches!(damage, Damage::TornTail { segment, .. } if *segment == first)
}

/// Returns whether a crash interrupted the creation of the file. Then the file is shorter than a header, or all zeros.
fn is_unfinished_header(file: &NamedFile, window: &mut FileWindow<File>) -> bool {
    file.bytes < HEADER_BYTES as u64 || window.is_zero()
}

/// Returns the index of the segment that contains the record with the number `low_water`. Segments before it are not
/// needed.
fn first_needed(files: &[NamedFile], low_water: Seq) -> usize {
    files.iter().rposition(|file| file.header.is_some() && file.first <= low_water).unwrap_or(0)
}

/// Returns the files that are named as segments are, ordered by number, and reports all other entries as foreign.
fn list(dir: &Path, damage: &mut Vec<Damage>) -> Result<Vec<NamedFile>, JournalError> {
    let io = |path: &Path, source| JournalError::Io { path: path.to_owned(), source };
    let mut files = Vec::new();
    let mut foreign = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| io(dir, source))? {
        let path = entry.map_err(|source| io(dir, source))?.path();
        let meta = fs::symlink_metadata(&path).map_err(|source| io(&path, source))?;
        let named = path.file_name().and_then(|name| name.to_str()).and_then(format::parse_name);
        match named {
            Some(first) if meta.is_file() => files.push(read_header(&path, first, meta.len())?),
            _ => foreign.push(path),
        }
    }
    foreign.sort();
    damage.extend(foreign.into_iter().map(|path| Damage::Foreign { path }));
    files.sort_by_key(|file| file.first);
    Ok(files)
}

fn read_header(path: &Path, first: Seq, bytes: u64) -> Result<NamedFile, JournalError> {
    let handle = File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let found = Header::parse(FileWindow::new(handle, bytes).get(0, HEADER_BYTES));
    let header = match found {
        HeaderRead::OtherVersion(version) => return Err(JournalError::Version { path: path.to_owned(), version }),
        HeaderRead::Good(header) if header.first == first => Some(header),
        HeaderRead::Good(_) | HeaderRead::Damaged | HeaderRead::Foreign => None,
    };
    Ok(NamedFile { first, bytes, header, foreign: found == HeaderRead::Foreign })
}
