//! Columns of flags and counts, which hardly ever change: runs of the same. One run of zeros takes two bits.

use super::{
    BlockError,
    bits::{BitReader, BitWriter},
};

/// Writes values as runs; the reader is told how many they are.
pub(super) fn put_runs(bits: &mut BitWriter, values: &[u64]) {
    let mut rest = values;
    while let Some(&value) = rest.first() {
        let length = rest.iter().take_while(|&&other| other == value).count();
        rest = &rest[length..];
        bits.gamma(value);
        bits.flag(rest.is_empty());
        if !rest.is_empty() {
            bits.gamma(length as u64 - 1);
        }
    }
}

/// Reads `count` values, none of which is above `most`.
pub(super) fn take_runs(bits: &mut BitReader<'_>, count: usize, most: u64) -> Result<Vec<u64>, BlockError> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let value = bits.gamma()?;
        if value > most {
            return Err(BlockError::Malformed("a flag or count above its limit"));
        }
        let left = count - values.len();
        let length = if bits.flag()? { left } else { bits.count(left - 1)? + 1 };
        values.resize(values.len() + length, value);
    }
    Ok(values)
}
