//! Bits in a row: fields of a given width, and whole numbers that are shorter the smaller they are.
//!
//! The lowest bit comes first. Deliberately absent: what the bits mean.

use super::error::BlockError;

/// Bits that say how long a number of [`BitWriter::number`] is.
const LENGTH_BITS: u32 = 6;
/// The length that stands for all 64 bits.
const WHOLE: u32 = 63;

/// Writes bits.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    open: u128,
    open_bits: u32,
}

impl BitWriter {
    /// Goes on after these bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, open: 0, open_bits: 0 }
    }

    /// All bytes, the last filled up with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if self.open_bits > 0 {
            self.bytes.push(self.open as u8);
        }
        self.bytes
    }

    /// The lowest `count` bits of `value`, at most 64.
    pub(super) fn bits(&mut self, value: u64, count: u32) {
        self.open |= u128::from(value & low_bits(count)) << self.open_bits;
        self.open_bits += count;
        while self.open_bits >= 8 {
            self.bytes.push(self.open as u8);
            self.open >>= 8;
            self.open_bits -= 8;
        }
    }

    /// One bit.
    pub(super) fn bit(&mut self, value: bool) {
        self.bits(u64::from(value), 1);
    }

    /// `count` ones, at most 64.
    pub(super) fn ones(&mut self, count: u32) {
        self.bits(u64::MAX, count);
    }

    /// A number of any size, in [`number_bits`].
    pub(super) fn number(&mut self, value: u64) {
        let length = u64::BITS - value.leading_zeros();
        if length >= WHOLE {
            self.bits(u64::from(WHOLE), LENGTH_BITS);
            self.bits(value, u64::BITS);
        } else {
            self.bits(u64::from(length), LENGTH_BITS);
            self.bits(value, length.saturating_sub(1)); // The highest bit is known to be one.
        }
    }

    /// A signed number of any size.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(zigzag(value));
    }
}

/// How many bits [`BitWriter::number`] takes.
pub(super) fn number_bits(value: u64) -> u64 {
    let length = u64::BITS - value.leading_zeros();
    u64::from(if length >= WHOLE { LENGTH_BITS + u64::BITS } else { LENGTH_BITS + length.saturating_sub(1) })
}

/// Reads what [`BitWriter`] has written.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// From the first bit of these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Checks that nothing is left but the zeros that fill the last byte.
    pub(super) fn finish(mut self) -> Result<(), BlockError> {
        let left = self.left();
        if left < 8 && self.bits(left as u32)? == 0 {
            return Ok(());
        }
        Err(BlockError::Nonsense("it goes on after its end"))
    }

    /// The next `count` bits, at most 64.
    pub(super) fn bits(&mut self, count: u32) -> Result<u64, BlockError> {
        let bits = self.ahead() & low_bits(count);
        self.skip(count)?;
        Ok(bits)
    }

    /// The next bit.
    pub(super) fn bit(&mut self) -> Result<bool, BlockError> {
        Ok(self.bits(1)? == 1)
    }

    /// How many ones come next, up to `most` (below 64); the zero behind fewer is read as well.
    pub(super) fn ones(&mut self, most: u32) -> Result<u32, BlockError> {
        let ones = self.ahead().trailing_ones().min(most);
        self.skip(if ones < most { ones + 1 } else { most })?;
        Ok(ones)
    }

    /// A number of any size.
    pub(super) fn number(&mut self) -> Result<u64, BlockError> {
        match self.bits(LENGTH_BITS)? as u32 {
            0 => Ok(0),
            WHOLE => self.bits(u64::BITS),
            length => Ok(self.bits(length - 1)? | 1 << (length - 1)),
        }
    }

    /// A signed number of any size.
    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        Ok(unzigzag(self.number()?))
    }

    /// A count of at most `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, BlockError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count <= most { Ok(count) } else { Err(BlockError::Nonsense("a count is too large")) }
    }

    /// The next 64 bits, zeros after the end.
    fn ahead(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let next = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            last
        });
        (u128::from_le_bytes(next) >> (self.at % 8)) as u64
    }

    fn skip(&mut self, count: u32) -> Result<(), BlockError> {
        if count as usize > self.left() {
            return Err(BlockError::Nonsense("it ends too early"));
        }
        self.at += count as usize;
        Ok(())
    }

    fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }
}

/// Signed numbers as unsigned ones: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(super) fn low_bits(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

/// A Rice code: `value >> shift` in ones with a zero behind, then the lowest `shift` bits (Rice and Plaunt, 1971).
///
/// Best where half of all numbers are below `1 << shift` and the larger ones are ever rarer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rice {
    /// Below 63.
    pub(super) shift: u32,
}

impl Rice {
    /// So many ones say that the number is too large for this code, and comes as a [`BitWriter::number`].
    const ESCAPE: u32 = 16;

    /// How many bits the signed number takes.
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
            // `ones` is below 16 and `shift` at most 62: what does not fit was not written.
            (u64::from(ones) << self.shift) | bits.bits(self.shift)?
        } else {
            bits.number()?
        };
        Ok(unzigzag(value))
    }
}
