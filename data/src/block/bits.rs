//! A stream of bits, and the ways to write one number: fixed width, Elias' gamma code, Rice's code, and plain with a width.
//!
//! The first bit is the lowest of the first byte.

use super::BlockError;

/// From so many ones on, a Rice code gives up and holds the number plainly.
const LONGEST_UNARY: u64 = 20;

/// Where bits are appended.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not make a byte yet, lowest first.
    pending: u128,
    pending_bits: u32,
}

impl BitWriter {
    /// How many bits are in it.
    pub(super) fn len_bits(&self) -> usize {
        self.bytes.len() * 8 + self.pending_bits as usize
    }

    /// The lowest `width` (at most 64) bits of `value`.
    pub(super) fn bits(&mut self, value: u64, width: u32) {
        self.pending |= u128::from(value & low(width)) << self.pending_bits;
        self.pending_bits += width;
        while self.pending_bits >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    /// One bit.
    pub(super) fn flag(&mut self, value: bool) {
        self.bits(u64::from(value), 1);
    }

    /// A number that is likely small: its width in ones and a zero, then its digits below the highest. 0 takes one bit.
    pub(super) fn gamma(&mut self, value: u64) {
        let width = width_of(value);
        self.bits(u64::MAX, width);
        self.bits(0, 1);
        self.bits(value, width.saturating_sub(1));
    }

    /// A number of any size: six bits for its width, then its digits.
    pub(super) fn wide(&mut self, value: u64) {
        let width = width_of(value).max(1);
        self.bits(u64::from(width - 1), 6);
        self.bits(value, width);
    }

    /// A number of about `k` bits (at most 63): what is above them in ones and a zero, then the lowest `k` bits.
    pub(super) fn rice(&mut self, value: u64, k: u32) {
        let above = value >> k;
        if above < LONGEST_UNARY {
            self.bits(u64::MAX, above as u32);
            self.bits(0, 1);
            self.bits(value, k);
        } else {
            self.bits(u64::MAX, LONGEST_UNARY as u32);
            self.bits(value, 64);
        }
    }

    /// How many bits [`Self::rice`] takes.
    pub(super) fn rice_bits(value: u64, k: u32) -> usize {
        let above = value >> k;
        if above < LONGEST_UNARY { above as usize + 1 + k as usize } else { LONGEST_UNARY as usize + 64 }
    }

    /// Bytes, with their number before them, from the next whole byte on.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.gamma(bytes.len() as u64);
        self.align();
        self.bytes.extend_from_slice(bytes);
    }

    /// All of it, the last byte filled up with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    fn align(&mut self) {
        self.bits(0, self.pending_bits.wrapping_neg() % 8);
    }
}

/// Where bits are taken from; beyond the end there is an error and nothing else.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// Bits that are taken from `rest` but not read yet, lowest first; fewer than eight between calls.
    pending: u128,
    pending_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, pending: 0, pending_bits: 0 }
    }

    /// See [`BitWriter::bits`].
    pub(super) fn bits(&mut self, width: u32) -> Result<u64, BlockError> {
        while self.pending_bits < width {
            let (&byte, rest) = self.rest.split_first().ok_or(BlockError::Malformed("it ends early"))?;
            self.pending |= u128::from(byte) << self.pending_bits;
            self.pending_bits += 8;
            self.rest = rest;
        }
        let value = self.pending as u64 & low(width);
        self.pending >>= width;
        self.pending_bits -= width;
        Ok(value)
    }

    /// See [`BitWriter::flag`].
    pub(super) fn flag(&mut self) -> Result<bool, BlockError> {
        Ok(self.bits(1)? == 1)
    }

    /// See [`BitWriter::gamma`].
    pub(super) fn gamma(&mut self) -> Result<u64, BlockError> {
        let width = self.unary(65)?;
        if width == 0 {
            return Ok(0);
        }
        if width > 64 {
            return Err(BlockError::Malformed("a number of more than 64 bits"));
        }
        Ok(self.bits(width - 1)? | 1 << (width - 1))
    }

    /// A [`Self::gamma`] that counts something, of which there are at most `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, BlockError> {
        let count = usize::try_from(self.gamma()?).unwrap_or(usize::MAX);
        if count <= most { Ok(count) } else { Err(BlockError::Malformed("a count above its limit")) }
    }

    /// See [`BitWriter::wide`].
    pub(super) fn wide(&mut self) -> Result<u64, BlockError> {
        let width = self.bits(6)? as u32 + 1;
        self.bits(width)
    }

    /// See [`BitWriter::rice`]; `k` is at most 63.
    pub(super) fn rice(&mut self, k: u32) -> Result<u64, BlockError> {
        let above = self.unary(LONGEST_UNARY as u32)?;
        if u64::from(above) == LONGEST_UNARY {
            return self.bits(64);
        }
        // Above a `k` near 64 there is room for few ones; more of them are no number that was written.
        let high =
            u64::from(above).checked_mul(1 << k).ok_or(BlockError::Malformed("a number of more than 64 bits"))?;
        Ok(high | self.bits(k)?)
    }

    /// See [`BitWriter::bytes`].
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], BlockError> {
        let count = self.count(self.rest.len())?;
        self.align();
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(BlockError::Malformed("it ends early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Nothing may be left when all is read.
    pub(super) fn end(self) -> Result<(), BlockError> {
        if self.rest.is_empty() && self.pending == 0 {
            Ok(())
        } else {
            Err(BlockError::Malformed("bytes are left over"))
        }
    }

    /// The number of ones before a zero, or `most` of them.
    fn unary(&mut self, most: u32) -> Result<u32, BlockError> {
        let mut ones = 0;
        while ones < most && self.flag()? {
            ones += 1;
        }
        Ok(ones)
    }

    fn align(&mut self) {
        (self.pending, self.pending_bits) = (0, 0);
    }
}

/// How many digits a number has in base two; none for 0.
pub(super) fn width_of(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Small numbers of either sign as small ones without: 0, -1, 1, -2 …
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// What [`zigzag`] was given.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// `width` ones.
fn low(width: u32) -> u64 {
    if width >= u64::BITS { u64::MAX } else { (1 << width) - 1 }
}
