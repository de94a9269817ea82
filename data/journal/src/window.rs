//! A moving view of a file that may be longer than the memory, and may have places that the disk cannot read.

use std::{fs::File, io, os::unix::fs::FileExt};

/// So much is read at a time, unless one record is longer.
const CHUNK_BYTES: usize = 1 << 20;
/// A place that cannot be read is skipped in steps of this.
const BLOCK_BYTES: usize = 4096;

/// What can be read at an offset.
pub(super) trait ReadAt {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }
}

/// A view of a file. Blocks that the disk cannot read count as zeros, which are in no valid record's place.
pub(super) struct Window<F> {
    file: F,
    bytes: u64,
    base: u64,
    buffer: Vec<u8>,
}

impl<F: ReadAt> Window<F> {
    pub(super) fn new(file: F, bytes: u64) -> Self {
        Self { file, bytes, base: 0, buffer: Vec::new() }
    }

    /// The file's length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So many bytes from `at` on, fewer at the end of the file.
    pub(super) fn get(&mut self, at: u64, want: usize) -> &[u8] {
        let left = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let want = want.min(left);
        let held = at >= self.base && at - self.base + want as u64 <= self.buffer.len() as u64;
        if !held {
            self.fill(at, want.max(CHUNK_BYTES).min(left));
        }
        let start = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        self.buffer.get(start..start.saturating_add(want)).unwrap_or_default()
    }

    /// Where `what` begins, at `from` or later.
    pub(super) fn find(&mut self, what: [u8; 4], from: u64) -> Option<u64> {
        let mut at = from;
        while at < self.bytes {
            let chunk = self.get(at, CHUNK_BYTES / 2);
            if let Some(found) = chunk.windows(what.len()).position(|four| *four == what) {
                return Some(at + found as u64);
            }
            if chunk.len() < what.len() {
                return None;
            }
            at += (chunk.len() - what.len() + 1) as u64;
        }
        None
    }

    /// Whether the file holds nothing but zeros.
    pub(super) fn is_zero(&mut self) -> bool {
        let mut at = 0;
        while at < self.bytes {
            let chunk = self.get(at, CHUNK_BYTES);
            if chunk.is_empty() || chunk.iter().any(|byte| *byte != 0) {
                return false;
            }
            at += chunk.len() as u64;
        }
        true
    }

    fn fill(&mut self, at: u64, want: usize) {
        self.base = at;
        self.buffer.clear();
        self.buffer.resize(want, 0);
        let mut have = 0;
        while have < want {
            let offset = at + have as u64;
            match self.file.read_at(&mut self.buffer[have..], offset) {
                Ok(0) => {
                    // Somebody made it shorter meanwhile.
                    self.buffer.truncate(have);
                    self.bytes = self.bytes.min(offset);
                    return;
                }
                Ok(read) => have += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => have += self.fill_block(have, offset),
            }
        }
    }

    /// Reads up to the block's end, and leaves zeros where that fails too. Answers how far it went.
    fn fill_block(&mut self, have: usize, offset: u64) -> usize {
        let within = usize::try_from(offset % BLOCK_BYTES as u64).unwrap_or(0);
        let step = (BLOCK_BYTES - within).min(self.buffer.len() - have);
        let block = &mut self.buffer[have..have + step];
        match self.file.read_at(block, offset) {
            Ok(read) if read > 0 => read,
            _ => {
                block.fill(0);
                step
            }
        }
    }
}
