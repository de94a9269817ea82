//! Columns of `f64`, bit for bit: as decimals where they are, else by their bits.
//!
//! Sensors send decimals: 2.71 is 271 hundredths. A column has as many places as its numbers need, and the few that are
//! no decimals (a broken sensor's, or -0.0) are kept apart. What a model computed in `f32` ends in zeros as `f64`; those
//! are not stored.

use super::{
    BlockError,
    bits::{BitReader, BitWriter},
    integers::{put_integers, take_integers},
    pcodec,
};

/// The most decimal places; a column by its bits says one of the two below instead.
const MOST_PLACES: u64 = 9;
const BY_BITS: u64 = 14;
const BY_PCO: u64 = 15;
/// Of so many numbers one may be no decimal.
const ONE_ODD_IN: usize = 8;

/// Writes a column; the reader is told how many it has.
pub(super) fn put_numbers(bits: &mut BitWriter, column: &[f64]) {
    if column.is_empty() {
        return;
    }
    if let Some(decimals) = Decimals::of(column) {
        return decimals.put(bits);
    }
    let mut by_bits = BitWriter::default();
    put_by_bits(&mut by_bits, column);
    match pcodec::packed(column) {
        Some(bytes) if bytes.len() * 8 < by_bits.len_bits() => {
            bits.bits(BY_PCO, 4);
            bits.bytes(&bytes);
        }
        _ => put_by_bits(bits, column),
    }
}

/// Reads a column of `count` numbers.
pub(super) fn take_numbers(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<f64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match bits.bits(4)? {
        places @ 0..=MOST_PLACES => take_decimals(bits, places as u32, count),
        BY_BITS => take_by_bits(bits, count),
        BY_PCO => pcodec::unpacked(bits.bytes()?, count),
        _ => Err(BlockError::Malformed("a column of an unknown kind")),
    }
}

/// A number as whole multiples of 10^-`places`, if that gives back its very bits.
pub(super) fn as_decimal(value: f64, places: u32) -> Option<i64> {
    let scaled = (value * power_of_ten(places)).round();
    let whole = scaled as i64;
    (scaled.abs() < (1_u64 << 53) as f64 && from_decimal(whole, places).to_bits() == value.to_bits()).then_some(whole)
}

/// The number that is so many multiples of 10^-`places`.
pub(super) fn from_decimal(whole: i64, places: u32) -> f64 {
    whole as f64 / power_of_ten(places)
}

/// The bits of a number, so that neighbours are neighbours, also across zero. Its own inverse with [`from_ordered`].
pub(super) fn ordered(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// What [`ordered`] was given.
pub(super) fn from_ordered(value: i64) -> i64 {
    ordered(value)
}

/// `places` is at most [`MOST_PLACES`]; such a power is exact.
pub(super) fn power_of_ten(places: u32) -> f64 {
    10_u64.pow(places) as f64
}

/// A column as decimals.
struct Decimals {
    places: u32,
    /// In place of a number that is no decimal: the one before.
    wholes: Vec<i64>,
    /// Where numbers are no decimals, and their bits.
    odd: Vec<(usize, u64)>,
}

impl Decimals {
    /// The fewest places that fit all numbers, or else fit the most; none where too many do not fit.
    fn of(column: &[f64]) -> Option<Self> {
        let mut best: Option<Self> = None;
        for places in 0..=MOST_PLACES as u32 {
            let most = best.as_ref().map_or(column.len() / ONE_ODD_IN + 1, |best| best.odd.len());
            if let Some(decimals) = Self::at(column, places, most) {
                let fits_all = decimals.odd.is_empty();
                best = Some(decimals);
                if fits_all {
                    break;
                }
            }
        }
        best
    }

    /// None if `most` numbers or more do not fit.
    fn at(column: &[f64], places: u32, most: usize) -> Option<Self> {
        let mut decimals = Self { places, wholes: Vec::with_capacity(column.len()), odd: Vec::new() };
        for (index, &value) in column.iter().enumerate() {
            let whole = as_decimal(value, places).unwrap_or_else(|| {
                decimals.odd.push((index, value.to_bits()));
                decimals.wholes.last().copied().unwrap_or_default()
            });
            decimals.wholes.push(whole);
            if decimals.odd.len() >= most {
                return None;
            }
        }
        Some(decimals)
    }

    fn put(&self, bits: &mut BitWriter) {
        bits.bits(u64::from(self.places), 4);
        bits.gamma(self.odd.len() as u64);
        for &(index, value) in &self.odd {
            bits.gamma(index as u64);
            bits.bits(value, 64);
        }
        put_integers(bits, &self.wholes);
    }
}

fn take_decimals(bits: &mut BitReader<'_>, places: u32, count: usize) -> Result<Vec<f64>, BlockError> {
    let odd_count = bits.count(count)?;
    let mut odd = Vec::new();
    for _ in 0..odd_count {
        odd.push((bits.count(count - 1)?, bits.bits(64)?));
    }
    let wholes = take_integers(bits, count)?;
    let mut column: Vec<f64> = wholes.into_iter().map(|whole| from_decimal(whole, places)).collect();
    for (index, value) in odd {
        column[index] = f64::from_bits(value);
    }
    Ok(column)
}

fn put_by_bits(bits: &mut BitWriter, column: &[f64]) {
    let zeros = column.iter().map(|value| value.to_bits().trailing_zeros()).min().unwrap_or(0).min(63);
    let wholes: Vec<i64> = column.iter().map(|value| ordered(value.to_bits() as i64 >> zeros)).collect();
    bits.bits(BY_BITS, 4);
    bits.bits(u64::from(zeros), 6);
    put_integers(bits, &wholes);
}

fn take_by_bits(bits: &mut BitReader<'_>, count: usize) -> Result<Vec<f64>, BlockError> {
    let zeros = bits.bits(6)? as u32;
    let wholes = take_integers(bits, count)?;
    Ok(wholes.into_iter().map(|whole| f64::from_bits((from_ordered(whole) << zeros) as u64)).collect())
}
