//! Aggregates: count, min, max and sum of each channel's good values, and how they are packed.

use volute_plant::Reading;

use super::{
    BlockError, MOST_CHANNELS,
    bits::{BitReader, BitWriter, unzigzag, width_of, zigzag},
    frame::{Kind, open, seal},
    numbers::{as_decimal, from_decimal, from_ordered, ordered, power_of_ten},
    runs::{put_runs, take_runs},
};

/// Count, min, max and sum of one channel's good values. Of no values: all 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aggregate {
    /// How many values.
    pub count: u32,
    /// The lowest, in the channel's unit.
    pub min: f64,
    /// The highest, in the channel's unit.
    pub max: f64,
    /// Their sum, added up in the order of the readings, in the channel's unit.
    pub sum: f64,
}

impl Aggregate {
    /// The mean; none of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn of_one(value: f64) -> Self {
        Self { count: 1, min: value, max: value, sum: value }
    }

    /// Of the values of both.
    fn join(self, other: Self) -> Self {
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

/// An [`Aggregate`] per channel, in the order of the pump's channels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aggregates(Vec<Aggregate>);

impl Aggregates {
    /// Of the good values of readings of one pump; bad and filled ones do not count.
    pub fn of(readings: &[Reading]) -> Self {
        let mut all = Self::default();
        for reading in readings {
            for (index, sample) in reading.samples.iter().enumerate() {
                all.add(index, sample.good().map(Aggregate::of_one).unwrap_or_default());
            }
        }
        all
    }

    /// Adds what `other` is of.
    pub fn merge(&mut self, other: &Self) {
        for (index, aggregate) in other.0.iter().enumerate() {
            self.add(index, *aggregate);
        }
    }

    /// One channel's; none where no reading had that channel.
    pub fn channel(&self, index: usize) -> Option<&Aggregate> {
        self.0.get(index)
    }

    fn add(&mut self, index: usize, aggregate: Aggregate) {
        if self.0.len() <= index {
            self.0.resize(index + 1, Aggregate::default());
        }
        self.0[index] = self.0[index].join(aggregate);
    }
}

/// Packs aggregates; ten channels of a minute in whole steps of their resolution take some 60 bytes.
pub(crate) fn encode_aggregates(aggregates: &Aggregates) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.gamma(aggregates.0.len() as u64);
    let counts: Vec<u64> = aggregates.0.iter().map(|aggregate| u64::from(aggregate.count)).collect();
    put_runs(&mut bits, &counts);
    for aggregate in aggregates.0.iter().filter(|aggregate| aggregate.count > 0) {
        let smallest =
            (0..BY_BITS as u32).filter_map(|places| Decimals::of(aggregate, places)).min_by_key(Decimals::bits);
        match smallest {
            Some(decimals) => decimals.put(&mut bits),
            None => {
                bits.bits(BY_BITS, 4);
                for value in [aggregate.min, aggregate.max, aggregate.sum] {
                    bits.bits(value.to_bits(), 64);
                }
            }
        }
    }
    seal(Kind::Aggregates, bits)
}

/// Unpacks what [`encode_aggregates`] packed.
pub(crate) fn decode_aggregates(block: &[u8]) -> Result<Aggregates, BlockError> {
    let mut bits = open(Kind::Aggregates, block)?;
    let channels = bits.count(MOST_CHANNELS)?;
    let counts = take_runs(&mut bits, channels, u64::from(u32::MAX))?;
    let mut aggregates = Vec::with_capacity(channels);
    for count in counts {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        aggregates.push(if count == 0 { Aggregate::default() } else { take_aggregate(&mut bits, count)? });
    }
    bits.end()?;
    Ok(Aggregates(aggregates))
}

fn take_aggregate(bits: &mut BitReader<'_>, count: u32) -> Result<Aggregate, BlockError> {
    let places = bits.bits(4)?;
    if places < BY_BITS {
        return Ok(Decimals::take(bits, places as u32, count)?.aggregate());
    }
    let mut value = || bits.bits(64).map(f64::from_bits);
    Ok(Aggregate { count, min: value()?, max: value()?, sum: value()? })
}

/// In place of the number of decimal places, which is below: min, max and sum by their bits.
const BY_BITS: u64 = 10;

/// One aggregate as decimals of so many places.
struct Decimals {
    places: u32,
    count: u32,
    min: i64,
    /// Max less min.
    span: u64,
    /// The decimal next to the sum, less `count` times min: the mean lies between min and max, so it is between 0 and
    /// `count` times `span`.
    above_min: u64,
    /// How many numbers the sum lies above that decimal, as adding up rounds.
    rounding: i64,
}

impl Decimals {
    fn of(aggregate: &Aggregate, places: u32) -> Option<Self> {
        let min = as_decimal(aggregate.min, places)?;
        let span = u64::try_from(as_decimal(aggregate.max, places)?.checked_sub(min)?).ok()?;
        let nearest = (aggregate.sum * power_of_ten(places)).round() as i64;
        let above_min = nearest.checked_sub(min.checked_mul(i64::from(aggregate.count))?)?;
        let above_min = u64::try_from(above_min).ok()?;
        let decimal = from_decimal(nearest, places);
        let rounding = ordered(aggregate.sum.to_bits() as i64).checked_sub(ordered(decimal.to_bits() as i64))?;
        let decimals = Self { places, count: aggregate.count, min, span, above_min, rounding };
        (above_min <= decimals.most_above_min()?).then_some(decimals)
    }

    fn most_above_min(&self) -> Option<u64> {
        self.span.checked_mul(u64::from(self.count))
    }

    fn bits(&self) -> usize {
        let mut bits = BitWriter::default();
        self.put(&mut bits);
        bits.len_bits()
    }

    fn put(&self, bits: &mut BitWriter) {
        bits.bits(u64::from(self.places), 4);
        bits.wide(zigzag(self.min));
        bits.gamma(self.span);
        bits.bits(self.above_min, width_of(self.most_above_min().unwrap_or(u64::MAX)));
        bits.gamma(zigzag(self.rounding));
    }

    fn take(bits: &mut BitReader<'_>, places: u32, count: u32) -> Result<Self, BlockError> {
        let (min, span) = (unzigzag(bits.wide()?), bits.gamma()?);
        let mut decimals = Self { places, count, min, span, above_min: 0, rounding: 0 };
        let most = decimals.most_above_min().ok_or(BlockError::Malformed("a sum beyond all numbers"))?;
        decimals.above_min = bits.bits(width_of(most))?;
        decimals.rounding = unzigzag(bits.gamma()?);
        Ok(decimals)
    }

    fn aggregate(&self) -> Aggregate {
        let nearest = self.min.wrapping_mul(i64::from(self.count)).wrapping_add(self.above_min as i64);
        let decimal = ordered(from_decimal(nearest, self.places).to_bits() as i64);
        Aggregate {
            count: self.count,
            min: from_decimal(self.min, self.places),
            max: from_decimal(self.min.wrapping_add(self.span as i64), self.places),
            sum: f64::from_bits(from_ordered(decimal.wrapping_add(self.rounding)) as u64),
        }
    }
}
