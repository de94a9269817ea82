//! A column of floating-point numbers, as whole numbers: decimal steps if every one of them is a decimal, bits if not.
//!
//! Instruments send decimals, `21.7` or `0.054711`. Such a number is an integer over a power of ten, and comes back from
//! that division with the very bits it had; one that a controller has made an `f32` on its way, `21.700000762939453`, if the
//! quotient is made one too. Any other number is taken by its bits, without the zeros at their end: an `f32` has 29.
//! Deliberately absent: rounding.

use super::{
    bits::{BitReader, BitWriter},
    error::BlockError,
    integers,
};

/// What decimals are divided by, by their number of places. All of them are exact.
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Bits that say how many places the decimals have, or that they are none.
const PLACES_BITS: u32 = 4;
/// In place of the places: the numbers are not decimals.
const NO_DECIMALS: usize = 15;
/// Bits that say how many zeros all of the numbers end with.
const ZEROS_BITS: u32 = 6;
/// Up to here every integer has an `f64` of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Decimals of so many places, as they are or as an `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// Below 10.
    count: usize,
    /// Whether the numbers are `f32`; below 5 places then, where two of them hardly ever have one that is nearest to both.
    single: bool,
}

impl Places {
    /// The number under which this place stands in a block.
    const ALL: [Self; NO_DECIMALS] = {
        let mut all = [Self { count: 0, single: false }; NO_DECIMALS];
        let mut index = 0;
        while index < NO_DECIMALS {
            let single = index >= POWERS.len();
            all[index] = Self { count: if single { index - POWERS.len() } else { index }, single };
            index += 1;
        }
        all
    };

    /// All that there are, fewest places first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The fewest with which each of these numbers is a decimal.
    fn of(numbers: &[f64]) -> Option<Self> {
        // The sign of a negative zero is written beside the column.
        let fits = |places: &Self| numbers.iter().all(|&number| number == 0.0 || places.steps(number).is_some());
        Self::all().find(fits)
    }

    /// The integer that this number is at these places; none if it would not come back to the last bit.
    pub(super) fn steps(self, number: f64) -> Option<i64> {
        self.nearest(number).filter(|&steps| self.number(steps).to_bits() == number.to_bits())
    }

    /// The nearest integer that this number is at these places.
    pub(super) fn nearest(self, number: f64) -> Option<i64> {
        let steps = (number * POWERS[self.count]).round();
        (steps.abs() < EXACT).then_some(steps as i64)
    }

    /// The number that is so many steps.
    pub(super) fn number(self, steps: i64) -> f64 {
        let decimal = self.decimal(steps);
        if self.single { f64::from(decimal as f32) } else { decimal }
    }

    /// The same before it was an `f32`, if it was one.
    pub(super) fn decimal(self, steps: i64) -> f64 {
        steps as f64 / POWERS[self.count]
    }

    /// Writes the places, or that there are none.
    pub(super) fn write(places: Option<Self>, bits: &mut BitWriter) {
        let single = |places: Self| if places.single { POWERS.len() } else { 0 };
        let index = places.map_or(NO_DECIMALS, |places| places.count + single(places));
        bits.bits(index as u64, PLACES_BITS);
    }

    /// Reads what [`Places::write`] has written.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Option<Self>, BlockError> {
        Ok(Self::ALL.get(bits.bits(PLACES_BITS)? as usize).copied())
    }
}

/// Writes the numbers, but not how many they are.
pub(super) fn write(numbers: &[f64], bits: &mut BitWriter) {
    if numbers.is_empty() {
        return;
    }
    let places = Places::of(numbers);
    Places::write(places, bits);
    if let Some(places) = places {
        let steps: Vec<i64> = numbers.iter().map(|&number| places.steps(number).unwrap_or(0)).collect();
        integers::write(&steps, bits);
        write_zeros(numbers, bits);
    } else {
        let ends = numbers.iter().map(|number| number.to_bits().trailing_zeros()).min().unwrap_or(0);
        let steps: Vec<i64> = numbers.iter().map(|&number| ordered(number) >> ends).collect();
        bits.bits(u64::from(ends), ZEROS_BITS);
        integers::write(&steps, bits);
    }
}

/// Reads `count` numbers; the caller has checked that so many may be allocated.
pub(super) fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<f64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if let Some(places) = Places::read(bits)? {
        let steps = integers::read(count, bits)?;
        let mut numbers: Vec<f64> = steps.into_iter().map(|steps| places.number(steps)).collect();
        read_zeros(&mut numbers, bits)?;
        Ok(numbers)
    } else {
        let ends = bits.bits(ZEROS_BITS)? as u32;
        let steps = integers::read(count, bits)?;
        Ok(steps.into_iter().map(|steps| unordered(steps, ends)).collect())
    }
}

/// Which zeros are negative: one bit if none is, else one more for each zero. Some devices round -0.04 to -0.0.
fn write_zeros(numbers: &[f64], bits: &mut BitWriter) {
    let zeros = || numbers.iter().filter(|&&number| number == 0.0);
    let signed = zeros().any(|zero| zero.is_sign_negative());
    bits.bit(signed);
    if signed {
        zeros().for_each(|zero| bits.bit(zero.is_sign_negative()));
    }
}

fn read_zeros(numbers: &mut [f64], bits: &mut BitReader<'_>) -> Result<(), BlockError> {
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

/// A number's bits as an integer that is larger the larger the number is, and ends like the bits do.
fn ordered(number: f64) -> i64 {
    let magnitude = (number.to_bits() << 1 >> 1) as i64;
    if number.is_sign_negative() { !magnitude } else { magnitude }
}

/// Undoes [`ordered`] and a shift by `ends`.
fn unordered(steps: i64, ends: u32) -> f64 {
    let magnitude = ((if steps < 0 { !steps } else { steps }) as u64) << ends;
    f64::from_bits(if steps < 0 { magnitude | 1 << 63 } else { magnitude & !(1 << 63) })
}
