//! A column of flags in run-length encoding: each run is a flag and its number of rows.
//!
//! For example, the flags 0, 0, 0, 2, 2 are the runs (0, 3) and (2, 2). What a flag means is up to the caller.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
};

/// Bits per flag.
const FLAG_BITS: u32 = 2;

/// Writes the flags, each below 4, but not their count. A column of zeros takes one bit.
pub(super) fn write(flags: &[u8], bits: &mut BitWriter) {
    let any_set = flags.iter().any(|&flag| flag != 0);
    bits.bit(any_set);
    if any_set {
        for run in flags.chunk_by(|a, b| a == b) {
            bits.bits(u64::from(run[0]), FLAG_BITS);
            bits.number(run.len() as u64);
        }
    }
}

/// Reads `count` flags, each below 4. The caller has checked that `count` values may be allocated.
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
