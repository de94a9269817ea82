//! A column of whole numbers: each is predicted from those before it, and what the prediction missed is written.
//!
//! The writer tries every [`Prediction`] and takes the shortest. Which it was costs three bits, and the width of what was
//! missed six: of a column of 12 or 60 numbers, more would be felt. Two kinds of column are made small first. One that has
//! few different numbers, as a coarse converter gives them, is a column of places in a list of them; and one of multiples,
//! as a resolution of 0.5 or 25 gives them, is divided. Deliberately absent: what the numbers mean.

use super::{
    bits::{BitReader, BitWriter, Rice, number_bits, zigzag},
    error::BlockError,
};

/// Binary places of a smoothed value.
const PLACES: u32 = 8;
/// Bits that say how the column is written: by which prediction, or made small first.
const FORM_BITS: u32 = 3;
/// In place of a prediction: a list of the different numbers comes first, then a column of places in that list.
const LISTED: usize = 6;
/// In place of a prediction: a divisor and a remainder come first, then a column of quotients.
const DIVIDED: usize = 7;
/// The most different numbers in a list.
const MAX_LISTED: usize = 64;
/// Bits that say how widely the numbers miss the prediction.
const SPREAD_BITS: u32 = 6;

/// Writes the numbers, but not how many they are.
pub(super) fn write(numbers: &[i64], bits: &mut BitWriter) {
    if numbers.is_empty() {
        return;
    }
    let predicted = Predicted::best(numbers);
    let listed = Listed::new(numbers).filter(|listed| listed.length() < predicted.length);
    let divided = Divided::new(numbers).filter(|divided| divided.length() < predicted.length);
    match (listed, divided) {
        (Some(listed), Some(divided)) if divided.length() <= listed.length() => divided.write(bits),
        (Some(listed), _) => listed.write(bits),
        (None, Some(divided)) => divided.write(bits),
        (None, None) => predicted.write(bits),
    }
}

/// Reads `count` numbers; the caller has checked that so many may be allocated.
pub(super) fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match bits.bits(FORM_BITS)? as usize {
        LISTED => Listed::read(count, bits),
        DIVIDED => Divided::read(count, bits),
        form => Predicted::read(form, count, bits),
    }
}

/// From what a number is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prediction {
    /// From one level for all: the median. For noise around a steady value.
    Level,
    /// From an average in which the last number counts `1 / 2^shift` and those before it ever less; 0: the last number.
    Recent { shift: u32 },
    /// From the straight line through the last two.
    Line,
}

impl Prediction {
    /// In the order of their numbers in a block.
    const ALL: [Self; 6] = [
        Self::Level,
        Self::Recent { shift: 0 },
        Self::Recent { shift: 1 },
        Self::Recent { shift: 2 },
        Self::Recent { shift: 3 },
        Self::Line,
    ];
}

/// A prediction on its way through a column. It wraps around where a number would be too large, writing as reading.
#[derive(Debug, Clone)]
struct Predictor {
    prediction: Prediction,
    last: i64,
    before_last: i64,
    /// The average, times `2^PLACES`.
    recent: i128,
}

impl Predictor {
    /// Expects `start` first.
    fn new(prediction: Prediction, start: i64) -> Self {
        Self { prediction, last: start, before_last: start, recent: i128::from(start) << PLACES }
    }

    /// The number to be expected next.
    fn next(&self) -> i64 {
        match self.prediction {
            Prediction::Level => self.last,
            Prediction::Recent { .. } => ((self.recent + (1 << (PLACES - 1))) >> PLACES) as i64,
            Prediction::Line => self.last.wrapping_add(self.last.wrapping_sub(self.before_last)),
        }
    }

    /// Takes in the number that came.
    fn learn(&mut self, number: i64) {
        match self.prediction {
            Prediction::Level => {}
            Prediction::Recent { shift } => self.recent += ((i128::from(number) << PLACES) - self.recent) >> shift,
            Prediction::Line => (self.before_last, self.last) = (self.last, number),
        }
    }
}

/// How a column is written by prediction.
struct Predicted {
    /// Its place in [`Prediction::ALL`].
    prediction: usize,
    start: i64,
    /// None: every number is as predicted.
    rice: Option<Rice>,
    missed: Vec<i64>,
    /// Bits that all of it takes.
    length: u64,
}

impl Predicted {
    /// The shortest for these numbers.
    fn best(numbers: &[i64]) -> Self {
        let first = numbers.first().copied().unwrap_or(0);
        let mut sorted = numbers.to_vec();
        let middle = numbers.len() / 2;
        let median = if numbers.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
        let mut best = Self::new(0, numbers, median);
        for prediction in 1..Prediction::ALL.len() {
            let other = Self::new(prediction, numbers, first);
            if other.length < best.length {
                best = other;
            }
        }
        best
    }

    fn new(prediction: usize, numbers: &[i64], start: i64) -> Self {
        let mut predictor = Predictor::new(Prediction::ALL[prediction], start);
        let missed_by = |&number: &i64| {
            let missed = number.wrapping_sub(predictor.next());
            predictor.learn(number);
            missed
        };
        let missed: Vec<i64> = numbers.iter().map(missed_by).collect();
        let as_predicted = missed.iter().all(|&missed| missed == 0);
        let (rice, length) = if as_predicted { (None, 0) } else { best_rice(&missed) };
        let length = length + u64::from(FORM_BITS + SPREAD_BITS) + number_bits(zigzag(start));
        Self { prediction, start, rice, missed, length }
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(self.prediction as u64, FORM_BITS);
        bits.bits(self.rice.map_or(0, |rice| u64::from(rice.shift) + 1), SPREAD_BITS);
        bits.signed(self.start);
        if let Some(rice) = self.rice {
            self.missed.iter().for_each(|&missed| rice.write(missed, bits));
        }
    }

    /// Reads what was written, behind the form.
    fn read(form: usize, count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
        let prediction = *Prediction::ALL.get(form).ok_or(BlockError::Nonsense("an unknown prediction"))?;
        let rice = (bits.bits(SPREAD_BITS)? as u32).checked_sub(1).map(|shift| Rice { shift });
        let mut predictor = Predictor::new(prediction, bits.signed()?);
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            let missed = match rice {
                Some(rice) => rice.read(bits)?,
                None => 0,
            };
            let number = predictor.next().wrapping_add(missed);
            predictor.learn(number);
            numbers.push(number);
        }
        Ok(numbers)
    }
}

/// A column as places in a list of its different numbers.
struct Listed {
    list: Vec<i64>,
    listed: Predicted,
    places: Predicted,
}

impl Listed {
    /// None if there are too many different ones for it to pay.
    fn new(numbers: &[i64]) -> Option<Self> {
        let mut list = numbers.to_vec();
        list.sort_unstable();
        list.dedup();
        if list.len() > MAX_LISTED.min(numbers.len() / 2) {
            return None;
        }
        let place = |number: &i64| list.partition_point(|listed| listed < number) as i64;
        let places = Predicted::best(&numbers.iter().map(place).collect::<Vec<_>>());
        Some(Self { listed: Predicted::best(&list), places, list })
    }

    fn length(&self) -> u64 {
        u64::from(FORM_BITS) + number_bits(self.list.len() as u64) + self.listed.length + self.places.length
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(LISTED as u64, FORM_BITS);
        bits.number(self.list.len() as u64);
        self.listed.write(bits);
        self.places.write(bits);
    }

    fn read(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
        let length = bits.count(MAX_LISTED)?;
        let list = read_predicted(length, bits)?;
        let number = |place| usize::try_from(place).ok().and_then(|place: usize| list.get(place)).copied();
        let numbers = read_predicted(count, bits)?.into_iter().map(number).collect::<Option<_>>();
        numbers.ok_or(BlockError::Nonsense("a place beyond the list"))
    }
}

/// A column of numbers that all have the same remainder.
struct Divided {
    /// Above 1.
    divisor: i64,
    remainder: i64,
    quotients: Predicted,
}

impl Divided {
    /// None if nothing but 1 divides their differences, or there are none.
    fn new(numbers: &[i64]) -> Option<Self> {
        let first = *numbers.first()?;
        let divisor = numbers.iter().fold(0, |divisor, number| common_divisor(divisor, number.abs_diff(first)));
        let divisor = i64::try_from(divisor).ok().filter(|&divisor| divisor > 1)?;
        let quotients: Vec<i64> = numbers.iter().map(|number| number.div_euclid(divisor)).collect();
        Some(Self { divisor, remainder: first.rem_euclid(divisor), quotients: Predicted::best(&quotients) })
    }

    fn length(&self) -> u64 {
        let numbers = number_bits(self.divisor as u64) + number_bits(self.remainder as u64);
        u64::from(FORM_BITS) + numbers + self.quotients.length
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.bits(DIVIDED as u64, FORM_BITS);
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

/// The Rice code that makes these shortest, and how many bits they take.
fn best_rice(missed: &[i64]) -> (Option<Rice>, u64) {
    let length = |shift| missed.iter().map(|&missed| Rice { shift }.length(missed)).sum::<u64>();
    let mean = missed.iter().map(|&missed| u128::from(zigzag(missed))).sum::<u128>() / missed.len().max(1) as u128;
    // Downhill from the mean: a few outliers raise it, and nothing lowers it.
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

/// The greatest number that divides both; that of 0 and another is the other (Euclid).
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn read_predicted(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, BlockError> {
    let form = bits.bits(FORM_BITS)? as usize;
    Predicted::read(form, count, bits)
}
