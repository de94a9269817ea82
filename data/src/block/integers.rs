//! Columns of whole numbers: what a running mean of the numbers before does not foretell, in Rice's code; or Pcodec.
//!
//! Sensors are slow under noise: against noise a mean of some values foretells better than the last one, against a slope
//! the last one does. The writer tries the windows of [`WINDOWS`], and Pcodec, and takes what is smallest.

use super::{
    BlockError,
    bits::{BitReader, BitWriter, unzigzag, width_of, zigzag},
    pcodec,
};

/// Over how many values the running mean goes: 1 is the last value alone.
const WINDOWS: [i64; 8] = [1, 2, 3, 4, 6, 10, 20, 60];
const WINDOW_BITS: u32 = 3;
/// Binary places of the running mean.
const MEAN_PLACES: u32 = 4;

/// Writes a column; the reader is told how many it has.
pub(super) fn put_integers(bits: &mut BitWriter, column: &[i64]) {
    let Some((&first, others)) = column.split_first() else { return };
    let constant = others.iter().all(|&value| value == first);
    bits.flag(constant);
    if constant {
        return bits.wide(zigzag(first));
    }
    let plan = Plan::best(column);
    // Pcodec describes a column of `i32` in half the bits.
    let narrow: Option<Vec<i32>> = column.iter().map(|&value| i32::try_from(value).ok()).collect();
    let packed = narrow.as_ref().map_or_else(|| pcodec::packed(column), |narrow| pcodec::packed(narrow));
    let packed = packed.filter(|bytes| bytes.len() * 8 < plan.bits);
    bits.flag(packed.is_some());
    if let Some(bytes) = packed {
        bits.flag(narrow.is_some());
        return bits.bytes(&bytes);
    }
    bits.bits(plan.window as u64, WINDOW_BITS);
    bits.bits(u64::from(plan.k), 6);
    bits.wide(zigzag(first));
    for residual in Residuals::of(column, WINDOWS[plan.window]) {
        bits.rice(residual, plan.k);
    }
}

/// Reads a column of `count` numbers.
pub(super) fn take_integers(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<i64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if bits.flag()? {
        return Ok(vec![unzigzag(bits.wide()?); count]);
    }
    if bits.flag()? {
        let narrow = bits.flag()?;
        let bytes = bits.bytes()?;
        if narrow {
            return Ok(pcodec::unpacked::<i32>(bytes, count)?.into_iter().map(i64::from).collect());
        }
        return pcodec::unpacked(bytes, count);
    }
    let window = WINDOWS[bits.bits(WINDOW_BITS)? as usize];
    let k = bits.bits(6)? as u32;
    let first = unzigzag(bits.wide()?);
    let mut mean = RunningMean::new(first, window);
    let mut column = Vec::with_capacity(count);
    column.push(first);
    while column.len() < count {
        let value = mean.value().wrapping_add(unzigzag(bits.rice(k)?));
        mean.add(value);
        column.push(value);
    }
    Ok(column)
}

/// How a column is written in Rice's code.
struct Plan {
    /// Index in [`WINDOWS`].
    window: usize,
    k: u32,
    bits: usize,
}

impl Plan {
    fn best(column: &[i64]) -> Self {
        let mut best = Self { window: 0, k: 0, bits: usize::MAX };
        for (window, &length) in WINDOWS.iter().enumerate() {
            let mut residuals: Vec<u64> = Residuals::of(column, length).collect();
            let middle = residuals.len() / 2;
            // The best `k` is about the width of the median, which no outlier moves.
            let width = width_of(*residuals.select_nth_unstable(middle).1);
            for k in width.saturating_sub(2)..=(width + 1).min(63) {
                let bits = residuals.iter().map(|&residual| BitWriter::rice_bits(residual, k)).sum();
                if bits < best.bits {
                    best = Self { window, k, bits };
                }
            }
        }
        best
    }
}

/// What the running mean does not foretell, from the second number on.
struct Residuals<'a> {
    rest: std::slice::Iter<'a, i64>,
    mean: RunningMean,
}

impl<'a> Residuals<'a> {
    /// Of a column that is not empty; of an empty one nothing comes.
    fn of(column: &'a [i64], window: i64) -> Self {
        let mut rest = column.iter();
        let first = rest.next().copied().unwrap_or_default();
        Self { rest, mean: RunningMean::new(first, window) }
    }
}

impl Iterator for Residuals<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let value = *self.rest.next()?;
        let residual = value.wrapping_sub(self.mean.value());
        self.mean.add(value);
        Some(zigzag(residual))
    }
}

/// The mean of all numbers so far, until they are more than the window; from then on older ones fade.
///
/// Everything wraps: with huge numbers it foretells badly, but reader and writer alike.
struct RunningMean {
    scaled: i64,
    count: i64,
    window: i64,
}

impl RunningMean {
    fn new(first: i64, window: i64) -> Self {
        Self { scaled: first.wrapping_shl(MEAN_PLACES), count: 1, window }
    }

    fn value(&self) -> i64 {
        self.scaled.wrapping_add(1 << (MEAN_PLACES - 1)) >> MEAN_PLACES
    }

    fn add(&mut self, value: i64) {
        self.count = (self.count + 1).min(self.window);
        let step = value.wrapping_shl(MEAN_PLACES).wrapping_sub(self.scaled);
        self.scaled = self.scaled.wrapping_add(step / self.count);
    }
}
