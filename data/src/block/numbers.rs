//! A column of floating-point numbers, written as a column of integers: decimal steps or raw bits.
//!
//! Instruments send decimals, such as `21.7` or `0.054711`. Such a number is an integer divided by a power of ten, and
//! the division returns exactly the same bits. A controller may have converted the value to `f32` on the way, which
//! gives `21.700000762939453`; the quotient is then converted to `f32` as well. Columns with any other number are
//! written by their bits, without the trailing zero bits that all numbers share (an `f32` has 29).
//!
//! Example:
//!
//! ```text
//! 21.7, 21.9, 22.0    one decimal place: steps of 0.1 are 217, 219, 220
//! 21.75, 21.9, 22.0   two decimal places: steps of 0.01 are 2175, 2190, 2200
//! 0.1 + 0.2, 0.3      no decimals (0.30000000000000004): written by their bits
//! ```
//!
//! Nothing is rounded: every number is read back bit for bit.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    integers,
};

/// Divisors by number of decimal places. All of them are exact in `f64`.
const POWERS_OF_TEN: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Bits of the field that holds the index into [`DecimalPlaces::ALL`], or [`NO_DECIMALS`].
const PLACES_BITS: u32 = 4;
/// Written instead of the index if the numbers are not decimals.
const NO_DECIMALS: usize = 15;
/// Bits of the field that holds the number of trailing zero bits.
const ZEROS_BITS: u32 = 6;
/// 2^53. Every integer up to here has an exact `f64`.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The decimal form of a column: the number of decimal places, and whether the numbers were converted to
/// `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DecimalPlaces {
    /// Below 10.
    count: usize,
    /// Whether the numbers were converted to `f32`. Then there are fewer than 5 places: with so few places, two
    /// decimals hardly ever have the same nearest `f32`.
    is_f32: bool,
}

impl DecimalPlaces {
    /// All forms, by the index that stands for them in a block.
    const ALL: [Self; NO_DECIMALS] = {
        let mut all = [Self { count: 0, is_f32: false }; NO_DECIMALS];
        let mut index = 0;
        while index < NO_DECIMALS {
            let is_f32 = index >= POWERS_OF_TEN.len();
            all[index] = Self { count: if is_f32 { index - POWERS_OF_TEN.len() } else { index }, is_f32 };
            index += 1;
        }
        all
    };

    /// All forms, fewest places first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The form with the fewest places in which every number is an exact decimal.
    fn of(numbers: &[f64]) -> Option<Self> {
        // The signs of negative zeros are written separately.
        let fits = |places: &Self| numbers.iter().all(|&number| number == 0.0 || places.to_steps(number).is_some());
        Self::all().find(fits)
    }

    /// Converts a number to its integer count of steps; none if the conversion back would change a bit.
    pub(super) fn to_steps(self, number: f64) -> Option<i64> {
        self.nearest_steps(number).filter(|&steps| self.to_number(steps).to_bits() == number.to_bits())
    }

    /// Converts a number to the nearest count of steps, with rounding.
    pub(super) fn nearest_steps(self, number: f64) -> Option<i64> {
        let steps = (number * POWERS_OF_TEN[self.count]).round();
        (steps.abs() < MAX_EXACT_INTEGER).then_some(steps as i64)
    }

    /// Converts a count of steps to the number.
    pub(super) fn to_number(self, steps: i64) -> f64 {
        let decimal = self.to_decimal(steps);
        if self.is_f32 { f64::from(decimal as f32) } else { decimal }
    }

    /// Converts a count of steps to the `f64` decimal, without the conversion to `f32`.
    pub(super) fn to_decimal(self, steps: i64) -> f64 {
        steps as f64 / POWERS_OF_TEN[self.count]
    }

    /// Writes the form, or that the numbers are not decimals.
    pub(super) fn write(places: Option<Self>, bits: &mut BitWriter) {
        let offset = |places: Self| if places.is_f32 { POWERS_OF_TEN.len() } else { 0 };
        let index = places.map_or(NO_DECIMALS, |places| places.count + offset(places));
        bits.bits(index as u64, PLACES_BITS);
    }

    /// Reads what [`DecimalPlaces::write`] wrote.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Option<Self>, BlockError> {
        Ok(Self::ALL.get(bits.bits(PLACES_BITS)? as usize).copied())
    }
}

/// Writes the numbers, but not their count.
pub(super) fn write(numbers: &[f64], bits: &mut BitWriter) {
    if numbers.is_empty() {
        return;
    }
    let places = DecimalPlaces::of(numbers);
    DecimalPlaces::write(places, bits);
    if let Some(places) = places {
        let steps: Vec<i64> = numbers.iter().map(|&number| places.to_steps(number).unwrap_or(0)).collect();
        integers::write(&steps, bits);
        write_zero_signs(numbers, bits);
    } else {
        let trailing_zeros = numbers.iter().map(|number| number.to_bits().trailing_zeros()).min().unwrap_or(0);
        let integers: Vec<i64> = numbers.iter().map(|&number| to_ordered(number) >> trailing_zeros).collect();
        bits.bits(u64::from(trailing_zeros), ZEROS_BITS);
        integers::write(&integers, bits);
    }
}

/// Reads `count` numbers. The caller has checked that `count` values may be allocated.
pub(super) fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<f64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if let Some(places) = DecimalPlaces::read(bits)? {
        let steps = integers::read(count, bits)?;
        let mut numbers: Vec<f64> = steps.into_iter().map(|steps| places.to_number(steps)).collect();
        read_zero_signs(&mut numbers, bits)?;
        Ok(numbers)
    } else {
        let trailing_zeros = bits.bits(ZEROS_BITS)? as u32;
        let integers = integers::read(count, bits)?;
        Ok(integers.into_iter().map(|integer| from_ordered(integer, trailing_zeros)).collect())
    }
}

/// Writes which zeros are negative: one bit if none is, otherwise one more bit per zero. Some devices round -0.04 to
/// -0.0.
fn write_zero_signs(numbers: &[f64], bits: &mut BitWriter) {
    let zeros = || numbers.iter().filter(|&&number| number == 0.0);
    let any_negative = zeros().any(|zero| zero.is_sign_negative());
    bits.bit(any_negative);
    if any_negative {
        zeros().for_each(|zero| bits.bit(zero.is_sign_negative()));
    }
}

fn read_zero_signs(numbers: &mut [f64], bits: &mut BitReader<'_>) -> Result<(), BlockError> {
    if !bits.bit()? {
        return Ok(());
    }
    for zero in numbers.iter_mut().filter(|number| **number == 0.0) {
        if bits.bit()? {
            *zero = -0.0;
        }
    }
    Ok(())
}

/// Converts a number to an integer that has the same order as the number and keeps its trailing bits.
fn to_ordered(number: f64) -> i64 {
    let magnitude = (number.to_bits() << 1 >> 1) as i64;
    if number.is_sign_negative() { !magnitude } else { magnitude }
}

/// Reverses [`to_ordered`] and the shift by `trailing_zeros`.
fn from_ordered(integer: i64, trailing_zeros: u32) -> f64 {
    let magnitude = ((if integer < 0 { !integer } else { integer }) as u64) << trailing_zeros;
    f64::from_bits(if integer < 0 { magnitude | 1 << 63 } else { magnitude & !(1 << 63) })
}
