//! A column of integers: each is predicted from those before it, and the residual (number minus prediction) is written.
//!
//! The writer tries every [`PredictionMethod`] and takes the shortest. The header of a column is short, because a
//! column has only 12 or 60 numbers: three bits for the method and six for the Rice parameter of the residuals. Two
//! kinds of column are transformed first:
//!
//! - A column with few distinct numbers, as from a coarse analog-to-digital converter, becomes a dictionary and a
//!   column of indices.
//! - A column of multiples, as from a resolution of 0.5 or 25, is divided by their greatest common divisor.
//!
//! ```text
//! 217, 219, 220, 219          start 217, residuals to the number before: 0, 2, 1, -1
//! 3, 900, 3, 3, 900, 3        dictionary 3, 900 and indices 0, 1, 0, 0, 1, 0
//! -7, -107, 93, -7            divisor 100, remainder 93 and quotients -1, -2, 0, -1
//! ```
//!
//! What the numbers mean is up to the caller.

use super::{
    bits::{BitReader, BitWriter, Rice, number_bits, zigzag},
    error::BlockError,
};

/// Fraction bits of the moving average.
const FRACTION_BITS: u32 = 8;
/// Bits of the form: the index of the prediction method, [`DICTIONARY_FORM`] or [`DIVISOR_FORM`].
const FORM_BITS: u32 = 3;
/// The form of a dictionary: the distinct numbers, then a column of indices into them.
const DICTIONARY_FORM: usize = 6;
/// The form of a common divisor: the divisor and the remainder, then a column of quotients.
const DIVISOR_FORM: usize = 7;
/// The maximum number of distinct numbers in a dictionary.
const MAX_DICTIONARY_LEN: usize = 64;
/// Bits of the Rice parameter: 0 if all residuals are zero, otherwise the shift plus 1.
const RICE_BITS: u32 = 6;

/// Writes the numbers, but not their count.
pub(super) fn write(numbers: &[i64], bits: &mut BitWriter) {
    if numbers.is_empty() {
        return;
    }
    let predicted = PredictedColumn::best(numbers);
    let dictionary = Dictionary::new(numbers).filter(|dictionary| dictionary.length() < predicted.length);
    let divided = CommonDivisor::new(numbers).filter(|divided| divided.length() < predicted.length);
    match (dictionary, divided) {
        (Some(dictionary), Some(divided)) if divided.length() <= dictionary.length() => divided.write(bits),
        (Some(dictionary), _) => dictionary.write(bits),
        (None, Some(divided)) => divided.write(bits),
        (None, None) => predicted.write(bits),
    }
}

/// Reads `count` numbers. The caller has checked that `count` values may be allocated.
pub(super) fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match bits.bits(FORM_BITS)? as usize {
        DICTIONARY_FORM => Dictionary::read(count, bits),
        DIVISOR_FORM => CommonDivisor::read(count, bits),
        form => PredictedColumn::read(form, count, bits),
    }
}

/// How a number is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PredictionMethod {
    /// One value for all numbers: the median. For noise around a steady value.
    Constant,
    /// The exponential moving average, in which the last number has the weight `1 / 2^shift`. With shift 0 it is the
    /// last number.
    MovingAverage { shift: u32 },
    /// The straight line through the last two numbers.
    Linear,
}

impl PredictionMethod {
    /// All methods, by their index in a block.
    const ALL: [Self; 6] = [
        Self::Constant,
        Self::MovingAverage { shift: 0 },
        Self::MovingAverage { shift: 1 },
        Self::MovingAverage { shift: 2 },
        Self::MovingAverage { shift: 3 },
        Self::Linear,
    ];
}

/// Predicts the numbers of a column, one after the other. Overflow wraps around, in the writer as in the reader.
#[derive(Debug, Clone)]
struct Predictor {
    prediction: PredictionMethod,
    last: i64,
    previous: i64,
    /// The moving average, times `2^FRACTION_BITS`.
    average: i128,
}

impl Predictor {
    /// Predicts `start` for the first number.
    fn new(prediction: PredictionMethod, start: i64) -> Self {
        Self { prediction, last: start, previous: start, average: i128::from(start) << FRACTION_BITS }
    }

    /// Returns the prediction for the next number.
    fn next(&self) -> i64 {
        match self.prediction {
            PredictionMethod::Constant => self.last,
            PredictionMethod::MovingAverage { .. } => {
                ((self.average + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS) as i64
            }
            PredictionMethod::Linear => self.last.wrapping_add(self.last.wrapping_sub(self.previous)),
        }
    }

    /// Updates the prediction with the actual number.
    fn update(&mut self, number: i64) {
        match self.prediction {
            PredictionMethod::Constant => {}
            PredictionMethod::MovingAverage { shift } => {
                self.average += ((i128::from(number) << FRACTION_BITS) - self.average) >> shift;
            }
            PredictionMethod::Linear => (self.previous, self.last) = (self.last, number),
        }
    }
}

/// A column in the form of predictions and residuals.
struct PredictedColumn {
    /// The index in [`PredictionMethod::ALL`].
    prediction: usize,
    start: i64,
    /// None if all residuals are zero.
    rice: Option<Rice>,
    residuals: Vec<i64>,
    /// The encoded length in bits.
    length: u64,
}

impl PredictedColumn {
    /// Returns the shortest form of the numbers.
    fn best(numbers: &[i64]) -> Self {
        let first = numbers.first().copied().unwrap_or(0);
        let mut sorted = numbers.to_vec();
        let middle = numbers.len() / 2;
        let median = if numbers.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
        let mut best = Self::new(0, numbers, median);
        for prediction in 1..PredictionMethod::ALL.len() {
            let other = Self::new(prediction, numbers, first);
            if other.length < best.length {
                best = other;
            }
        }
        best
    }

    fn new(prediction: usize, numbers: &[i64], start: i64) -> Self {
        let mut predictor = Predictor::new(PredictionMethod::ALL[prediction], start);
        let next_residual = |&number: &i64| {
            let residual = number.wrapping_sub(predictor.next());
            predictor.update(number);
            residual
        };
        let residuals: Vec<i64> = numbers.iter().map(next_residual).collect();
        let all_predicted = residuals.iter().all(|&residual| residual == 0);
        let (rice, length) = if all_predicted { (None, 0) } else { best_rice(&residuals) };
        let length = length + u64::from(FORM_BITS + RICE_BITS) + number_bits(zigzag(start));
        Self { prediction, start, rice, residuals, length }
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(self.prediction as u64, FORM_BITS);
        bits.bits(self.rice.map_or(0, |rice| u64::from(rice.shift) + 1), RICE_BITS);
        bits.signed(self.start);
        if let Some(rice) = self.rice {
            self.residuals.iter().for_each(|&residual| rice.write(residual, bits));
        }
    }

    /// Reads what [`PredictedColumn::write`] wrote after the form.
    fn read(form: usize, count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
        let prediction = *PredictionMethod::ALL.get(form).ok_or(BlockError::Corrupt("an unknown prediction"))?;
        let rice = (bits.bits(RICE_BITS)? as u32).checked_sub(1).map(|shift| Rice { shift });
        let mut predictor = Predictor::new(prediction, bits.signed()?);
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            let residual = match rice {
                Some(rice) => rice.read(bits)?,
                None => 0,
            };
            let number = predictor.next().wrapping_add(residual);
            predictor.update(number);
            numbers.push(number);
        }
        Ok(numbers)
    }
}

/// A column in the form of a dictionary of its distinct numbers and indices into it.
struct Dictionary {
    entries: Vec<i64>,
    entry_column: PredictedColumn,
    index_column: PredictedColumn,
}

impl Dictionary {
    /// Returns none if the column has too many distinct numbers for a dictionary to be shorter.
    fn new(numbers: &[i64]) -> Option<Self> {
        let mut entries = numbers.to_vec();
        entries.sort_unstable();
        entries.dedup();
        if entries.len() > MAX_DICTIONARY_LEN.min(numbers.len() / 2) {
            return None;
        }
        let index = |number: &i64| entries.partition_point(|entry| entry < number) as i64;
        let index_column = PredictedColumn::best(&numbers.iter().map(index).collect::<Vec<_>>());
        Some(Self { entry_column: PredictedColumn::best(&entries), index_column, entries })
    }

    fn length(&self) -> u64 {
        let columns = self.entry_column.length + self.index_column.length;
        u64::from(FORM_BITS) + number_bits(self.entries.len() as u64) + columns
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(DICTIONARY_FORM as u64, FORM_BITS);
        bits.number(self.entries.len() as u64);
        self.entry_column.write(bits);
        self.index_column.write(bits);
    }

    fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
        let length = bits.count(MAX_DICTIONARY_LEN)?;
        let entries = read_predicted(length, bits)?;
        let number = |index| usize::try_from(index).ok().and_then(|index: usize| entries.get(index)).copied();
        let numbers = read_predicted(count, bits)?.into_iter().map(number).collect::<Option<_>>();
        numbers.ok_or(BlockError::Corrupt("an index beyond the dictionary"))
    }
}

/// A column in the form of a common divisor, one remainder for all numbers, and quotients.
struct CommonDivisor {
    /// Above 1.
    divisor: i64,
    remainder: i64,
    quotients: PredictedColumn,
}

impl CommonDivisor {
    /// Returns none if the differences of the numbers have no common divisor above 1, or there are no numbers.
    fn new(numbers: &[i64]) -> Option<Self> {
        let first = *numbers.first()?;
        let divisor =
            numbers.iter().fold(0, |divisor, number| greatest_common_divisor(divisor, number.abs_diff(first)));
        let divisor = i64::try_from(divisor).ok().filter(|&divisor| divisor > 1)?;
        let quotients: Vec<i64> = numbers.iter().map(|number| number.div_euclid(divisor)).collect();
        Some(Self { divisor, remainder: first.rem_euclid(divisor), quotients: PredictedColumn::best(&quotients) })
    }

    fn length(&self) -> u64 {
        let parameters = number_bits(self.divisor as u64) + number_bits(self.remainder as u64);
        u64::from(FORM_BITS) + parameters + self.quotients.length
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(DIVISOR_FORM as u64, FORM_BITS);
        bits.number(self.divisor as u64);
        bits.number(self.remainder as u64);
        self.quotients.write(bits);
    }

    fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
        let (divisor, remainder) = (bits.number()? as i64, bits.number()? as i64);
        let number = |quotient: i64| quotient.wrapping_mul(divisor).wrapping_add(remainder);
        Ok(read_predicted(count, bits)?.into_iter().map(number).collect())
    }
}

/// Returns the Rice code that encodes the residuals shortest, and their length in bits.
fn best_rice(residuals: &[i64]) -> (Option<Rice>, u64) {
    let length = |shift| residuals.iter().map(|&residual| Rice { shift }.length(residual)).sum::<u64>();
    let sum = residuals.iter().map(|&residual| u128::from(zigzag(residual))).sum::<u128>();
    let mean = sum / residuals.len().max(1) as u128;
    // Starts at the mean and goes down: outliers make the mean too large, never too small.
    let mut shift = (u128::BITS - mean.leading_zeros()).min(62);
    let mut best = length(shift);
    while let Some(lower) = shift.checked_sub(1) {
        let shorter = length(lower);
        if shorter > best {
            break;
        }
        (shift, best) = (lower, shorter);
    }
    (Some(Rice { shift }), best)
}

/// Returns the greatest common divisor (Euclid). That of 0 and a number is the number.
fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn read_predicted(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
    let form = bits.bits(FORM_BITS)? as usize;
    PredictedColumn::read(form, count, bits)
}
