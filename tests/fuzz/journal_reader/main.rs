//! Any bytes as a journal's segments.
//!
//! Checksums stop a fuzzer that only changes bytes. So the input is a list of parts, of which some are valid: a header, a
//! record with the next number or any number, raw bytes, the begin of another segment.
#![no_main]

use std::{fs, path::Path};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use volute_journal::{Journal, JournalError, JournalSettings, Seq, inspect_journal};

/// The format, from the table in `data/journal/src/format.rs`.
const SEGMENT_MAGIC: &[u8; 8] = b"\xffVOLJRN\xfe";
const RECORD_MAGIC: &[u8; 4] = b"\xfbVr\xf5";

/// The most segments that an input makes.
const MAX_SEGMENTS: usize = 6;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }
}

fn header(first: u64, low_water: u64, created_ms: u64) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.extend(1_u32.to_le_bytes());
    for number in [first, low_water, created_ms] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn record(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut summed = u32::try_from(payload.len()).expect("short").to_le_bytes().to_vec();
    summed.extend(number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&summed), payload);
    [&RECORD_MAGIC[..], &summed, &crc.to_le_bytes(), payload].concat()
}

/// Writes the segments that the input describes. Returns the low-water mark with which they are opened.
fn write_segments(dir: &Path, data: &[u8]) -> Option<Seq> {
    let mut input = Input(data);
    let mark = match input.byte() {
        0..100 => None,
        100..250 => Some(Seq::new(u64::from(input.byte()))),
        _ => Some(Seq::new(input.number())),
    };
    let mut segments: Vec<(u64, Vec<u8>)> = vec![(1, Vec::new())];
    let mut next = 1_u64;
    while !input.0.is_empty() {
        let last = segments.len() - 1;
        let (first, bytes) = &mut segments[last];
        match input.byte() % 8 {
            0 => bytes.extend(header(*first, u64::from(input.byte()), 0)),
            1 | 2 => {
                let length = usize::from(input.byte());
                bytes.extend(record(next, input.take(length)));
                next = next.saturating_add(1);
            }
            3 => {
                next = input.number();
                bytes.extend(record(next, b"any number"));
                next = next.saturating_add(1);
            }
            4 => next = next.wrapping_add(u64::from(input.byte())).wrapping_sub(3),
            5 => {
                let length = usize::from(input.byte());
                bytes.extend(input.take(length));
            }
            6 => {
                // A record without its end.
                let torn = record(next, input.take(9));
                let end = usize::from(input.byte()) % torn.len();
                bytes.extend(&torn[..end]);
            }
            _ if segments.len() < MAX_SEGMENTS => segments.push((next, header(next, 0, 0))),
            _ => {}
        }
    }
    for (first, bytes) in segments {
        fs::write(dir.join(format!("{first:020}.log")), bytes).expect("written");
    }
    mark
}

type Records = Vec<(Seq, Vec<u8>)>;

fn read(dir: &Path, mark: Option<Seq>) -> Result<Records, JournalError> {
    let mut records = Records::new();
    let recovery = inspect_journal(dir, mark, |number, payload| records.push((number, payload.to_vec())))?;
    // There is no number after the highest one.
    assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0 || pair[1].0 == Seq::MAX), "in order");
    assert!(records.iter().all(|(number, _)| *number >= recovery.low_water));
    assert!(records.iter().all(|(number, _)| *number < recovery.next || recovery.next == Seq::MAX));
    assert_eq!(recovery.records, records.len() as u64);
    for damage in &recovery.damage {
        assert!(!damage.to_string().is_empty());
    }
    Ok(records)
}

fuzz_target!(|data: &[u8]| {
    let dir = TempDir::new().expect("a directory");
    let mark = write_segments(dir.path(), data);
    let found = read(dir.path(), mark);
    let mut opened_with = Records::new();
    let opened = Journal::open(dir.path(), JournalSettings::default(), mark, 0, |number, payload| {
        opened_with.push((number, payload.to_vec()));
    });
    let (journal, recovery) = match (opened, found) {
        (Ok(opened), Ok(found)) => {
            assert!(found == opened_with, "inspecting and opening read the same records");
            opened
        }
        (Err(_), _) => return,
        (Ok(_), Err(error)) => panic!("it opens, and cannot be inspected: {error}"),
    };
    if recovery.next >= Seq::MAX {
        return;
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    journal.append_then(b"the new one".to_vec(), move |outcome| drop(sender.send(outcome)));
    let number = receiver.recv().expect("an outcome").expect("it is written");
    assert!(number >= recovery.next);
    journal.close();
    opened_with.push((number, b"the new one".to_vec()));
    let again = read(dir.path(), Some(mark.unwrap_or(recovery.low_water))).expect("it can be read");
    assert!(again == opened_with, "nothing that could be read is lost, and the new record is read");
});
