//! Aggregates of many readings: for each channel the count, minimum, maximum and sum of its good values.
//!
//! They are the content of the rollups per minute and per hour, which queries over long ranges read in place of
//! readings. For example, the values 1.5, -0.5 and 2.0 of a channel give count 3, minimum -0.5, maximum 2.0, sum 3.0
//! and mean 1.0.
//!
//! Bad and filled samples are not measurements and are not counted. The time range is in the block's key, not in the
//! block.

use volute_plant::{Reading, Sample};

use super::{
    bits::{BitReader, BitWriter, number_bits, zigzag},
    error::BlockError,
    frame::{BlockKind, open, seal},
    integers,
    numbers::DecimalPlaces,
};

/// The maximum number of channels in a block of aggregates.
const MAX_CHANNELS: usize = 1 << 16;

/// The aggregate of one channel's good values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aggregate {
    /// The number of good values. If it is 0, the other fields are 0 too.
    pub count: u32,
    /// The smallest good value, in the channel's unit.
    pub min: f64,
    /// The largest good value, in the channel's unit.
    pub max: f64,
    /// The sum of the good values, in the channel's unit.
    pub sum: f64,
}

impl Aggregate {
    /// Returns the mean of the good values; none if there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Aggregates the good values among the samples.
    fn of(samples: impl Iterator<Item = Sample>) -> Self {
        let mut total = Self::default();
        // Compensated summation (Neumaier, 1974): the rounding error of the sum does not grow with the number of
        // values.
        let mut compensation = 0.0;
        for value in samples.filter_map(Sample::good) {
            let value = value + 0.0; // Turns a negative zero into zero.
            let sum = total.sum + value;
            compensation +=
                if total.sum.abs() >= value.abs() { total.sum - sum + value } else { value - sum + total.sum };
            total = total.combined(Self { count: 1, min: value, max: value, sum: value });
            total.sum = sum;
        }
        if compensation.is_finite() {
            total.sum += compensation;
        }
        total
    }

    fn combined(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        Self {
            count: self.count.saturating_add(other.count),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
        }
    }
}

/// The aggregates of all channels of some readings, in the order of the profile's channels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aggregates(Vec<Aggregate>);

impl Aggregates {
    /// Aggregates readings, all of one pump.
    pub fn of(readings: &[Reading]) -> Self {
        let channels = readings.iter().map(|reading| reading.samples.len()).max().unwrap_or(0);
        let samples = |channel: usize| readings.iter().filter_map(move |reading| reading.samples.get(channel).copied());
        Self((0..channels).map(|channel| Aggregate::of(samples(channel))).collect())
    }

    /// Adds the aggregates of other readings of the same pump.
    pub fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), Aggregate::default());
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.combined(*theirs);
        }
    }

    /// Returns the aggregate of the profile's channel with this index; none if no reading had the channel.
    pub fn channel(&self, index: usize) -> Option<&Aggregate> {
        self.0.get(index)
    }
}

/// Encodes the aggregates of at most 65,536 channels.
pub(crate) fn encode_aggregates(aggregates: &Aggregates) -> Vec<u8> {
    debug_assert!(aggregates.0.len() <= MAX_CHANNELS, "more channels than are read back");
    seal(BlockKind::Aggregates, |bits| {
        bits.number(aggregates.0.len() as u64);
        integers::write(&aggregates.0.iter().map(|channel| i64::from(channel.count)).collect::<Vec<_>>(), bits);
        for channel in aggregates.0.iter().filter(|channel| channel.count > 0) {
            write(channel, bits);
        }
    })
}

/// Returns exactly the aggregates that were encoded.
pub(crate) fn decode_aggregates(bytes: &[u8]) -> Result<Aggregates, BlockError> {
    open(BlockKind::Aggregates, bytes, |bits| {
        let channels = bits.count(MAX_CHANNELS)?;
        let counts = integers::read(channels, bits)?;
        let channel = |count| match u32::try_from(count) {
            Ok(0) => Ok(Aggregate::default()),
            Ok(count) => read(count, bits),
            Err(_) => Err(BlockError::Corrupt("a count out of range")),
        };
        Ok(Aggregates(counts.into_iter().map(channel).collect::<Result<_, _>>()?))
    })
}

/// An aggregate of decimals, in decimal steps. Each number is stored relative to another, so the numbers are small.
struct DecimalAggregate {
    places: DecimalPlaces,
    min: i64,
    /// Maximum minus minimum.
    range: i64,
    /// The sum minus `count` times the minimum.
    sum_above_min: i64,
    /// The rounding error of the sum, in units of its last bit; usually 0.
    sum_error: i64,
}

impl DecimalAggregate {
    /// Uses the number of decimal places that gives the shortest encoding.
    fn of(channel: &Aggregate) -> Option<Self> {
        DecimalPlaces::all().filter_map(|places| Self::at(places, channel)).min_by_key(Self::length)
    }

    fn at(places: DecimalPlaces, channel: &Aggregate) -> Option<Self> {
        let (min, max) = (places.to_steps(channel.min)?, places.to_steps(channel.max)?);
        let sum = places.nearest_steps(channel.sum)?;
        let sum_above_min = sum.wrapping_sub(min.wrapping_mul(i64::from(channel.count)));
        let sum_error = channel.sum.to_bits().wrapping_sub(places.to_decimal(sum).to_bits()) as i64;
        Some(Self { places, min, range: max - min, sum_above_min, sum_error })
    }

    /// The encoded length in bits, without the bits that are the same for every number of places.
    fn length(&self) -> u64 {
        let error = if self.sum_error == 0 { 0 } else { number_bits(zigzag(self.sum_error)) };
        error + [self.min, self.range, self.sum_above_min].map(|steps| number_bits(zigzag(steps))).iter().sum::<u64>()
    }
}

fn write(channel: &Aggregate, bits: &mut BitWriter) {
    let decimal = DecimalAggregate::of(channel);
    DecimalPlaces::write(decimal.as_ref().map(|decimal| decimal.places), bits);
    if let Some(DecimalAggregate { min, range, sum_above_min, sum_error, .. }) = decimal {
        bits.signed(min);
        bits.signed(range);
        bits.signed(sum_above_min);
        bits.bit(sum_error != 0);
        if sum_error != 0 {
            bits.signed(sum_error);
        }
    } else {
        for number in [channel.min, channel.max, channel.sum] {
            bits.bits(number.to_bits(), u64::BITS);
        }
    }
}

fn read(count: u32, bits: &mut BitReader<'_>) -> Result<Aggregate, BlockError> {
    let Some(places) = DecimalPlaces::read(bits)? else {
        let mut number = || Ok::<f64, BlockError>(f64::from_bits(bits.bits(u64::BITS)?));
        return Ok(Aggregate { count, min: number()?, max: number()?, sum: number()? });
    };
    let min = bits.signed()?;
    let max = min.wrapping_add(bits.signed()?);
    let sum = places.to_decimal(bits.signed()?.wrapping_add(min.wrapping_mul(i64::from(count))));
    let sum_error = if bits.bit()? { bits.signed()? } else { 0 };
    let sum = f64::from_bits(sum.to_bits().wrapping_add_signed(sum_error));
    Ok(Aggregate { count, min: places.to_number(min), max: places.to_number(max), sum })
}
