//! Reads a journal's folder: every valid record in order, whatever the bytes are.
//!
//! After damage it goes on at the next valid record: magic, checksum, and a number above the last one and below the
//! next segment's first. Deliberately absent: repairing anything ([`super::Journal::open`] does).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    Damage, JournalError, Lost, Recovery, Seq,
    format::{self, FRAME_BYTES, Found, Frame, HEADER_BYTES, Header, RECORD_MAGIC},
    window::Window,
};

/// A folder as it was read.
pub(super) struct Scan {
    pub recovery: Recovery,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    pub repair: Repair,
    /// The newest segment has a good header and no record: it can be written on.
    pub newest_is_empty: bool,
}

/// What the newest file needs before a journal can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    Nothing,
    /// Cut it to so many bytes.
    Cut(PathBuf, u64),
    /// It was being made and holds nothing.
    Remove(PathBuf),
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub first: Seq,
    /// Of the whole file.
    pub bytes: u64,
    /// When it was made; none where its header does not say.
    pub created_ms: Option<i64>,
}

/// Reads the folder and hands on every valid record from the low water on; without one, the newest header's holds.
pub(super) fn scan(
    dir: &Path,
    low_water: Option<Seq>,
    on_record: &mut dyn FnMut(Seq, &[u8]),
) -> Result<Scan, JournalError> {
    let mut recovery = Recovery::default();
    let files = list(dir, &mut recovery.damage)?;
    let noted = files.iter().rev().find_map(|file| file.header).map(|header| header.low_water);
    recovery.low_water = low_water.or(noted).unwrap_or(Seq::ZERO);
    recovery.segments = files.len() as u64;
    let mut reader = Reader { expected: None, on_record, recovery };
    let mut ends = Vec::with_capacity(files.len());
    let begin = first_needed(&files, reader.recovery.low_water);
    for (index, file) in files.iter().enumerate() {
        if index < begin {
            ends.push(End { valid_bytes: file.bytes, records: 0 });
            continue;
        }
        if reader.expected.is_none() {
            reader.begin(file.first, low_water);
        }
        ends.push(reader.read(dir, file, &files[index + 1..])?);
    }
    Ok(reader.finish(dir, &files, &ends))
}

/// A file with a segment's name.
struct Named {
    first: Seq,
    bytes: u64,
    /// None: it has no good one.
    header: Option<Header>,
    /// Its first bytes are not a segment's.
    foreign: bool,
}

/// How far a file is valid.
#[derive(Clone, Copy)]
struct End {
    valid_bytes: u64,
    records: u64,
}

struct Reader<'a> {
    /// The number that comes next; none before the first segment.
    expected: Option<Seq>,
    on_record: &'a mut dyn FnMut(Seq, &[u8]),
    recovery: Recovery,
}

/// Where in a segment the reader is.
struct Place {
    segment: Seq,
    window: Window<File>,
    at: u64,
    below: Option<Seq>,
}

impl Reader<'_> {
    /// Begins with this segment. What an explicit low water asks for and no segment has is missing; a header's low
    /// water may be older than what was deleted since.
    fn begin(&mut self, first: Seq, asked: Option<Seq>) {
        let first = first.max(Seq::FIRST);
        self.expected = Some(asked.map_or(first, |low_water| low_water.max(Seq::FIRST).min(first)));
    }

    /// Reports the numbers from the expected one to just before `seq` as missing, and expects `seq`.
    fn skip_to(&mut self, seq: Seq) {
        if let Some(lost) = self.lost_before(seq) {
            self.recovery.damage.push(Damage::Gap { lost });
        }
        self.expected = Some(seq.max(self.expected()));
    }

    fn expected(&self) -> Seq {
        self.expected.unwrap_or(Seq::FIRST)
    }

    fn lost_before(&self, seq: Seq) -> Option<Lost> {
        let first = self.expected();
        (first < seq).then(|| Lost { first, last: Some(seq.before()) })
    }

    fn read(&mut self, dir: &Path, file: &Named, later: &[Named]) -> Result<End, JournalError> {
        let path = dir.join(format::segment_name(file.first));
        let handle = File::open(&path).map_err(|source| JournalError::Io { path, source })?;
        let window = Window::new(handle, file.bytes);
        let below = later.iter().find_map(|file| file.header).map(|header| header.first);
        let mut place = Place { segment: file.first, window, at: HEADER_BYTES as u64, below };
        let at_damage = self.recovery.damage.len();
        if let Some(header) = file.header {
            self.skip_to(header.first);
        }
        let mut end = End { valid_bytes: place.at, records: 0 };
        loop {
            while self.take(&mut place) {
                end = End { valid_bytes: place.at, records: end.records + 1 };
            }
            if place.at >= place.window.bytes() || !self.resume(&mut place) {
                break;
            }
        }
        self.note_end(dir, (file, later), &mut place, end, at_damage);
        Ok(end)
    }

    /// The record at this place, if it is valid and comes later than the last.
    fn valid<'p>(&self, place: &'p mut Place, at: u64) -> Option<(Frame, &'p [u8])> {
        let frame = Frame::find(place.window.get(at, FRAME_BYTES))?;
        let lowest = self.expected().max(place.segment);
        let follows = frame.seq >= lowest && place.below.is_none_or(|below| frame.seq < below);
        if !follows || at.saturating_add(frame.record_bytes() as u64) > place.window.bytes() {
            return None;
        }
        let payload = frame.payload(place.window.get(at, frame.record_bytes()))?;
        Some((frame, payload))
    }

    /// Hands on the record at the place and goes behind it; false where there is no valid one.
    fn take(&mut self, place: &mut Place) -> bool {
        let at = place.at;
        let Some((frame, payload)) = self.valid(place, at) else { return false };
        if frame.seq >= self.recovery.low_water {
            (self.on_record)(frame.seq, payload);
            self.recovery.records += 1;
            self.recovery.bytes += frame.payload_bytes as u64;
        }
        self.skip_to(frame.seq);
        self.expected = Some(frame.seq.after());
        place.at += frame.record_bytes() as u64;
        true
    }

    /// Goes to the next valid record behind damage and reports what lies between; false where there is none.
    fn resume(&mut self, place: &mut Place) -> bool {
        let Some((at, seq)) = self.hop(place).or_else(|| self.search(place)) else { return false };
        let lost = self.lost_before(seq);
        let damage = Damage::Bytes { segment: place.segment, from_byte: place.at, to_byte: at, lost };
        self.recovery.damage.push(damage);
        self.expected = Some(seq);
        place.at = at;
        true
    }

    /// Where a damaged record's length is right, the next one is behind it; so its payload is not searched for records.
    fn hop(&self, place: &mut Place) -> Option<(u64, Seq)> {
        let frame = Frame::find(place.window.get(place.at, FRAME_BYTES))?;
        let at = place.at + frame.record_bytes() as u64;
        let seq = self.valid(place, at)?.0.seq;
        (seq == self.expected().after()).then_some((at, seq))
    }

    /// The next valid record behind the place.
    fn search(&self, place: &mut Place) -> Option<(u64, Seq)> {
        let mut at = place.at;
        loop {
            at = place.window.find(RECORD_MAGIC, at + 1)?;
            if let Some((frame, _)) = self.valid(place, at) {
                return Some((at, frame.seq));
            }
        }
    }

    /// Reports a damaged header and what follows the last valid record.
    fn note_end(
        &mut self,
        dir: &Path,
        (file, later): (&Named, &[Named]),
        place: &mut Place,
        end: End,
        at_damage: usize,
    ) {
        let newest = later.is_empty();
        let damage = &mut self.recovery.damage;
        if file.header.is_none() {
            if end.records == 0 && newest && torn_at_birth(file, &mut place.window) {
                let lost = Lost { first: file.first, last: None };
                damage.push(Damage::TornTail { segment: file.first, from_byte: 0, to_byte: file.bytes, lost });
                return;
            }
            if end.records == 0 && file.foreign {
                let path = dir.join(format::segment_name(file.first));
                damage.push(Damage::Foreign { path });
                return;
            }
            damage.insert(at_damage, Damage::Header { segment: file.first });
        }
        let (from_byte, to_byte) = (end.valid_bytes, place.window.bytes());
        if from_byte >= to_byte {
            return;
        }
        let first = self.expected.unwrap_or(Seq::FIRST);
        let segment = file.first;
        if newest && is_cut(file, end) {
            let lost = Lost { first, last: None };
            damage.push(Damage::TornTail { segment, from_byte, to_byte, lost });
            return;
        }
        // What is lost here is no gap before the next segment too; with a damaged header, that one may begin anywhere.
        let next = later.first().and_then(|file| file.header).map(|header| header.first.max(first));
        let lost = match next {
            Some(next) => (first < next).then(|| Lost { first, last: Some(next.before()) }),
            None => Some(Lost { first, last: None }),
        };
        damage.push(Damage::Bytes { segment, from_byte, to_byte, lost });
        self.expected = Some(next.unwrap_or(first));
    }

    fn finish(mut self, dir: &Path, files: &[Named], ends: &[End]) -> Scan {
        let mut scan = Scan {
            recovery: Recovery::default(),
            segments: Vec::new(),
            repair: Repair::Nothing,
            newest_is_empty: false,
        };
        let mut taken = BTreeSet::new();
        let mut next = self.expected().max(self.recovery.low_water);
        for (index, (file, end)) in files.iter().zip(ends).enumerate() {
            let newest = index + 1 == files.len();
            let path = || dir.join(format::segment_name(file.first));
            let torn = newest && self.recovery.damage.iter().any(|damage| is_torn(damage, file.first));
            if torn && file.header.is_none() && end.records == 0 {
                scan.repair = Repair::Remove(path());
                continue;
            }
            taken.insert(file.first);
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
            taken.remove(&newest.first);
        }
        while taken.contains(&next) {
            next = next.after();
        }
        self.recovery.next = next;
        scan.recovery = self.recovery;
        scan
    }
}

/// Whether what follows the last valid record of the newest segment is to be cut off.
fn is_cut(file: &Named, end: End) -> bool {
    file.header.is_some() || end.records > 0
}

fn is_torn(damage: &Damage, first: Seq) -> bool {
    matches!(damage, Damage::TornTail { segment, .. } if *segment == first)
}

/// A crash while the file was being made leaves it short, or full of zeros.
fn torn_at_birth(file: &Named, window: &mut Window<File>) -> bool {
    file.bytes < HEADER_BYTES as u64 || window.is_zero()
}

/// The first segment that can hold the low water; all before it are not needed.
fn first_needed(files: &[Named], low_water: Seq) -> usize {
    files.iter().rposition(|file| file.header.is_some() && file.first <= low_water).unwrap_or(0)
}

/// The files with a segment's name, by number; everything else is reported.
fn list(dir: &Path, damage: &mut Vec<Damage>) -> Result<Vec<Named>, JournalError> {
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

fn read_header(path: &Path, first: Seq, bytes: u64) -> Result<Named, JournalError> {
    let handle = File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let found = Header::find(Window::new(handle, bytes).get(0, HEADER_BYTES));
    let header = match found {
        Found::Newer(version) => return Err(JournalError::Version { path: path.to_owned(), version }),
        Found::Good(header) if header.first == first => Some(header),
        Found::Good(_) | Found::Damaged | Found::Foreign => None,
    };
    Ok(Named { first, bytes, header, foreign: found == Found::Foreign })
}
