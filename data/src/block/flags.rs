//! A column of flags, as runs: what it is, and for how many rows.
//!
//! Deliberately absent: which flag means what.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
};

/// Bits of one flag.
const FLAG_BITS: u32 = 2;

/// Writes the flags, each below 4, but not how many they are. A column of zeros takes one bit.
pub(super) fn write(flags: &[u8], bits: &mut BitWriter) {
    let any = flags.iter().any(|&flag| flag != 0);
    bits.bit(any);
    if any {
        for run in flags.chunk_by(|a, b| a == b) {
            bits.bits(u64::from(run[0]), FLAG_BITS);
            bits.number(run.len() as u64);
        }
    }
}

/// Reads `count` flags, each below 4; the caller has checked that so many may be allocated.
pub(super) fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<u8>, BlockError> {
    if !bits.bit()? {
        return Ok(vec![0; count]);
    }
    let mut flags = Vec::with_capacity(count);
    while flags.len() < count {
        let flag = bits.bits(FLAG_BITS)? as u8;
        let run = bits.count(count - flags.len())?;
        flags.resize(flags.len() + run, flag);
    }
    Ok(flags)
}
