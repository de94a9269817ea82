//! A buffered view of a file. The file may be larger than memory and may contain blocks that the disk cannot read.

use std::{fs::File, io, os::unix::fs::FileExt};

/// The number of bytes that are read at a time, unless one record is longer.
const CHUNK_BYTES: usize = 1 << 20;
/// The unit in which unreadable parts of a file are skipped.
const BLOCK_BYTES: usize = 4096;

/// Reads at an offset.
pub(super) trait ReadAt {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// A view of a file. A block that the disk cannot read is replaced by zeros, which are never a valid record.
pub(super) struct FileWindow<F> {
    file: F,
    bytes: u64,
    buffer_start: u64,
    buffer: Vec<u8>,
}

impl<F: ReadAt> FileWindow<F> {
    pub(super) fn new(file: F, bytes: u64) -> Self {
        Self { file, bytes, buffer_start: 0, buffer: Vec::new() }
    }

    /// Returns the file's length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns `length` bytes from `at` on, fewer at the end of the file.
    pub(super) fn get(&mut self, at: u64, length: usize) -> &[u8] {
        let remaining = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = length.min(remaining);
        let is_buffered = at >= self.buffer_start && at - self.buffer_start + length as u64 <= self.buffer.len() as u64;
        if !is_buffered {
            self.fill(at, length.max(CHUNK_BYTES).min(remaining));
        }
        let start = usize::try_from(at - self.buffer_start).unwrap_or(usize::MAX);
        self.buffer.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// Returns the first offset of `pattern` at or after `from`.
    pub(super) fn find(&mut self, pattern: [u8; 4], from: u64) -> Option<u64> {
        let mut at = from;
        while at < self.bytes {
            // Searches half a chunk at a time, so that the first bytes of the next half are usually in the buffer
            // already.
            let chunk = self.get(at, CHUNK_BYTES / 2);
            if let Some(position) = chunk.windows(pattern.len()).position(|four| *four == pattern) {
                return Some(at + position as u64);
            }
            if chunk.len() < pattern.len() {
                return None;
            }
            at += (chunk.len() - pattern.len() + 1) as u64;
        }
        None
    }

    /// Returns whether all bytes of the file are zeros.
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

    fn fill(&mut self, at: u64, length: usize) {
        self.buffer_start = at;
        self.buffer.clear();
        self.buffer.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            let offset = at + filled as u64;
            match self.file.read_at(&mut self.buffer[filled..], offset) {
                Ok(0) => {
                    // The file was truncated meanwhile.
                    self.buffer.truncate(filled);
                    self.bytes = self.bytes.min(offset);
                    return;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => filled += self.fill_block(filled, offset),
            }
        }
    }

    /// Reads up to the end of the block at `offset`, or fills the buffer up to there with zeros if the disk cannot read
    /// the block. Returns the number of bytes that were filled.
    fn fill_block(&mut self, filled: usize, offset: u64) -> usize {
        let offset_in_block = usize::try_from(offset % BLOCK_BYTES as u64).unwrap_or(0);
        let length = (BLOCK_BYTES - offset_in_block).min(self.buffer.len() - filled);
        let block = &mut self.buffer[filled..filled + length];
        match self.file.read_at(block, offset) {
            Ok(read) if read > 0 => read,
            _ => {
                block.fill(0);
                length
            }
        }
    }
}
