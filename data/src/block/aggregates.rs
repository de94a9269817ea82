//! What is kept of many readings at once: for each channel how many good values, the least, the largest and their sum.
//!
//! Deliberately absent: bad and filled samples (they are not measurements), and which span of time it is.

use volute_plant::{Reading, Sample};

use super::{
    bits::{BitReader, BitWriter, number_bits, zigzag},
    error::BlockError,
    frame::{Kind, open, seal},
    integers,
    numbers::Places,
};

/// The most channels in a block of aggregates.
const MAX_CHANNELS: usize = 1 << 16;

/// What is kept of one channel's good values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aggregate {
    /// How many there are; 0: the channel said nothing good, and the other fields are 0.
    pub count: u32,
    /// The least of them, in the channel's unit.
    pub min: f64,
    /// The largest of them, in the channel's unit.
    pub max: f64,
    /// Their sum, in the channel's unit.
    pub sum: f64,
}

impl Aggregate {
    /// The mean of the good values; none where there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Of all good values among these samples.
    fn of(samples: impl Iterator<Item = Sample>) -> Self {
        let mut all = Self::default();
        // What was lost of the sum by rounding (Neumaier, 1974), so that it does not depend on how many there are.
        let mut lost = 0.0;
        for value in samples.filter_map(Sample::good) {
            let value = value + 0.0; // A negative zero is a zero.
            let sum = all.sum + value;
            lost += if all.sum.abs() >= value.abs() { all.sum - sum + value } else { value - sum + all.sum };
            all = all.and(Self { count: 1, min: value, max: value, sum: value });
            all.sum = sum;
        }
        if lost.is_finite() {
            all.sum += lost;
        }
        all
    }

    fn and(self, other: Self) -> Self {
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

/// What is kept of all channels of some readings, in the profile's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aggregates(Vec<Aggregate>);

impl Aggregates {
    /// Of these readings, all of one pump.
    pub fn of(readings: &[Reading]) -> Self {
        let channels = readings.iter().map(|reading| reading.samples.len()).max().unwrap_or(0);
        let samples = |channel: usize| readings.iter().filter_map(move |reading| reading.samples.get(channel).copied());
        Self((0..channels).map(|channel| Aggregate::of(samples(channel))).collect())
    }

    /// Takes in those of other readings of the same pump.
    pub fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), Aggregate::default());
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.and(*theirs);
        }
    }

    /// That of the profile's channel at this place; none if no reading had it.
    pub fn channel(&self, index: usize) -> Option<&Aggregate> {
        self.0.get(index)
    }
}

/// The aggregates in bytes, at most 65,536 channels.
pub(crate) fn encode_aggregates(aggregates: &Aggregates) -> Vec<u8> {
    debug_assert!(aggregates.0.len() <= MAX_CHANNELS, "more channels than are read back");
    seal(Kind::Aggregates, |bits| {
        bits.number(aggregates.0.len() as u64);
        integers::write(&aggregates.0.iter().map(|channel| i64::from(channel.count)).collect::<Vec<_>>(), bits);
        for channel in aggregates.0.iter().filter(|channel| channel.count > 0) {
            write(channel, bits);
        }
    })
}

/// Exactly the aggregates that were encoded.
pub(crate) fn decode_aggregates(bytes: &[u8]) -> Result<Aggregates, BlockError> {
    open(Kind::Aggregates, bytes, |bits| {
        let channels = bits.count(MAX_CHANNELS)?;
        let counts = integers::read(channels, bits)?;
        let channel = |count| match u32::try_from(count) {
            Ok(0) => Ok(Aggregate::default()),
            Ok(count) => read(count, bits),
            Err(_) => Err(BlockError::Nonsense("a count out of range")),
        };
        Ok(Aggregates(counts.into_iter().map(channel).collect::<Result<_, _>>()?))
    })
}

/// An aggregate of decimals, in their steps. The numbers are small: each is taken from where the one before it is.
struct Decimal {
    places: Places,
    min: i64,
    /// From the least to the largest.
    range: i64,
    /// What the sum has above that of as many of the least.
    above: i64,
    /// What adding up has added, in steps of the sum's last bit: as a rule nothing.
    error: i64,
}

impl Decimal {
    /// With the places that make it shortest.
    fn of(channel: &Aggregate) -> Option<Self> {
        Places::all().filter_map(|places| Self::at(places, channel)).min_by_key(Self::length)
    }

    fn at(places: Places, channel: &Aggregate) -> Option<Self> {
        let (min, max) = (places.steps(channel.min)?, places.steps(channel.max)?);
        let sum = places.nearest(channel.sum)?;
        let above = sum.wrapping_sub(min.wrapping_mul(i64::from(channel.count)));
        let error = channel.sum.to_bits().wrapping_sub(places.decimal(sum).to_bits()) as i64;
        Some(Self { places, min, range: max - min, above, error })
    }

    /// Bits that it takes, those apart that it takes in any case.
    fn length(&self) -> u64 {
        let error = if self.error == 0 { 0 } else { number_bits(zigzag(self.error)) };
        error + [self.min, self.range, self.above].map(|steps| number_bits(zigzag(steps))).iter().sum::<u64>()
    }
}

fn write(channel: &Aggregate, bits: &mut BitWriter) {
    let decimal = Decimal::of(channel);
    Places::write(decimal.as_ref().map(|decimal| decimal.places), bits);
    if let Some(Decimal { min, range, above, error, .. }) = decimal {
        bits.signed(min);
        bits.signed(range);
        bits.signed(above);
        bits.bit(error != 0);
        if error != 0 {
            bits.signed(error);
        }
    } else {
        for number in [channel.min, channel.max, channel.sum] {
            bits.bits(number.to_bits(), u64::BITS);
        }
    }
}

fn read(count: u32, bits: &mut BitReader<'_>) -> Result<Aggregate, BlockError> {
    let Some(places) = Places::read(bits)? else {
        let mut number = || Ok::<f64, BlockError>(f64::from_bits(bits.bits(u64::BITS)?));
        return Ok(Aggregate { count, min: number()?, max: number()?, sum: number()? });
    };
    let min = bits.signed()?;
    let max = min.wrapping_add(bits.signed()?);
    let sum = places.decimal(bits.signed()?.wrapping_add(min.wrapping_mul(i64::from(count))));
    let error = if bits.bit()? { bits.signed()? } else { 0 };
    let sum = f64::from_bits(sum.to_bits().wrapping_add_signed(error));
    Ok(Aggregate { count, min: places.number(min), max: places.number(max), sum })
}
