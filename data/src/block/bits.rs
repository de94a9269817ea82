//! A stream of bits: fields of fixed width, and integers of variable length, which are shorter the smaller they are.
//!
//! The lowest bit comes first. For example, [`BitWriter::number`] writes 5 (binary 101) as its length 3 in six bits and
//! then its two lower bits: the highest bit is always one and is left out.

use super::error::BlockError;

/// Bits of the length that [`BitWriter::number`] writes first.
const LENGTH_BITS: u32 = 6;
/// The length that stands for all 64 bits.
const FULL_LENGTH: u32 = 63;

/// Writes bits.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet; fewer than 8 between calls.
    pending: u128,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends bits to these bytes.
    pub(super) fn appending_to(bytes: Vec<u8>) -> Self {
        Self { bytes, pending: 0, pending_bits: 0 }
    }

    /// Returns all bytes. The last byte is padded with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if self.pending_bits > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }

    /// Writes the lowest `count` bits of `value`, at most 64.
    pub(super) fn bits(&mut self, value: u64, count: u32) {
        self.pending |= u128::from(value & low_bits(count)) << self.pending_bits;
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    /// Writes one bit.
    pub(super) fn bit(&mut self, value: bool) {
        self.bits(u64::from(value), 1);
    }

    /// Writes `count` ones, at most 64.
    pub(super) fn ones(&mut self, count: u32) {
        self.bits(u64::MAX, count);
    }

    /// Writes a number of any size, in [`number_bits`] bits.
    pub(super) fn number(&mut self, value: u64) {
        let length = u64::BITS - value.leading_zeros();
        if length >= FULL_LENGTH {
            self.bits(u64::from(FULL_LENGTH), LENGTH_BITS);
            self.bits(value, u64::BITS);
        } else {
            self.bits(u64::from(length), LENGTH_BITS);
            self.bits(value, length.saturating_sub(1)); // The highest bit is always one.
        }
    }

    /// Writes a signed number of any size.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(zigzag(value));
    }
}

/// Returns the number of bits that [`BitWriter::number`] writes.
pub(super) fn number_bits(value: u64) -> u64 {
    let length = u64::BITS - value.leading_zeros();
    u64::from(if length >= FULL_LENGTH { LENGTH_BITS + u64::BITS } else { LENGTH_BITS + length.saturating_sub(1) })
}

/// Reads what [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The position of the next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Checks that only the zeros that pad the last byte remain.
    pub(super) fn finish(mut self) -> Result<(), BlockError> {
        let remaining = self.remaining();
        if remaining < 8 && self.bits(remaining as u32)? == 0 {
            return Ok(());
        }
        Err(BlockError::Corrupt("data after the end"))
    }

    /// Reads the next `count` bits, at most 64.
    pub(super) fn bits(&mut self, count: u32) -> Result<u64, BlockError> {
        let bits = self.peek() & low_bits(count);
        self.skip(count)?;
        Ok(bits)
    }

    /// Reads the next bit.
    pub(super) fn bit(&mut self) -> Result<bool, BlockError> {
        Ok(self.bits(1)? == 1)
    }

    /// Reads ones up to the next zero, at most `max` (below 64), and returns their number. Reads the zero too if there
    /// are fewer than `max`.
    pub(super) fn ones(&mut self, max: u32) -> Result<u32, BlockError> {
        let ones = self.peek().trailing_ones().min(max);
        self.skip(if ones < max { ones + 1 } else { max })?;
        Ok(ones)
    }

    /// Reads a number of any size.
    pub(super) fn number(&mut self) -> Result<u64, BlockError> {
        match self.bits(LENGTH_BITS)? as u32 {
            0 => Ok(0),
            FULL_LENGTH => self.bits(u64::BITS),
            length => Ok(self.bits(length - 1)? | 1 << (length - 1)),
        }
    }

    /// Reads a signed number of any size.
    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        Ok(unzigzag(self.number()?))
    }

    /// Reads a count. A count above `max` is an error.
    pub(super) fn count(&mut self, max: usize) -> Result<usize, BlockError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count <= max { Ok(count) } else { Err(BlockError::Corrupt("a count is too large")) }
    }

    /// Returns the next 64 bits, with zeros after the end.
    fn peek(&self) -> u64 {
        let bytes = self.bytes.get(self.at / 8..).unwrap_or_default();
        let next = bytes.first_chunk().copied().unwrap_or_else(|| {
            let mut last = [0; 16];
            last[..bytes.len()].copy_from_slice(bytes);
            last
        });
        (u128::from_le_bytes(next) >> (self.at % 8)) as u64
    }

    fn skip(&mut self, count: u32) -> Result<(), BlockError> {
        if count as usize > self.remaining() {
            return Err(BlockError::Corrupt("data ends too early"));
        }
        self.at += count as usize;
        Ok(())
    }

    fn remaining(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }
}

/// Maps signed numbers to unsigned ones: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(super) fn low_bits(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

/// A Rice code: `value >> shift` ones and a zero, then the lowest `shift` bits (Rice and Plaunt, 1971).
///
/// Works best if half of all numbers are below `1 << shift` and larger numbers are increasingly rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rice {
    /// Below 63.
    pub(super) shift: u32,
}

impl Rice {
    /// This many ones mean that the number is too large for the code and follows as a [`BitWriter::number`].
    const ESCAPE: u32 = 16;

    /// Returns the number of bits that the signed number takes.
    pub(super) fn length(self, value: i64) -> u64 {
        let value = zigzag(value);
        let ones = value >> self.shift;
        if ones < u64::from(Self::ESCAPE) {
            ones + 1 + u64::from(self.shift)
        } else {
            u64::from(Self::ESCAPE) + number_bits(value)
        }
    }

    /// Writes a signed number.
    pub(super) fn write(self, value: i64, bits: &mut BitWriter) {
        let value = zigzag(value);
        let ones = value >> self.shift;
        if ones < u64::from(Self::ESCAPE) {
            bits.ones(ones as u32);
            bits.bit(false);
            bits.bits(value, self.shift);
        } else {
            bits.ones(Self::ESCAPE);
            bits.number(value);
        }
    }

    /// Reads a signed number.
    pub(super) fn read(self, bits: &mut BitReader<'_>) -> Result<i64, BlockError> {
        let ones = bits.ones(Self::ESCAPE)?;
        let value = if ones < Self::ESCAPE {
            // `ones` is below 16 and `shift` at most 62. A value that does not fit in 64 bits was never written.
            (u64::from(ones) << self.shift) | bits.bits(self.shift)?
        } else {
            bits.number()?
        };
        Ok(unzigzag(value))
    }
}
