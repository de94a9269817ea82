//! What one reading says of a condition: a value to compare with the limit, a plain yes or no, or nothing.

use serde::{Deserialize, Serialize};
use volute_plant::{Sample, Timestamp};

use crate::{
    armed::{Bound, Test},
    definition::Direction,
    rate::RateMemory,
};

/// What is normal for one channel of a pump, by its baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelSpread {
    /// The usual level.
    pub level: f64,
    /// How far values usually lie from it. 0: unknown, and there is no deviation.
    pub spread: f64,
}

/// What a reading says of a condition.
pub(crate) enum Measured {
    /// Nothing: a value is missing.
    Nothing,
    /// The value, in the unit of the limit.
    Value(f64, Bound),
    /// Whether it holds; there is no number.
    Holds(bool),
}

/// The rates of change of a channel. Readings of the past, and current ones, are two series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    pub(crate) current: RateMemory,
    past: RateMemory,
}

/// The device time of a reading, and whether it is current.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    pub(crate) at: Timestamp,
    pub(crate) is_current: bool,
}

/// Measures a condition by one reading.
pub(crate) fn measure(
    test: &Test,
    rates: &mut Option<Box<Rates>>,
    samples: &[Sample],
    baseline: Option<&[ChannelSpread]>,
    when: When,
) -> Measured {
    let good = |channel: usize| samples.get(channel).and_then(|sample| sample.good());
    let (value, bound) = match test {
        Test::Level { channel, bound } => (good(*channel), *bound),
        Test::Deviation { channel, bound } => {
            let usual = baseline.and_then(|baseline| baseline.get(*channel)).filter(|usual| usual.spread > 0.0);
            let deviation = good(*channel).zip(usual).map(|(value, usual)| (value - usual.level).abs() / usual.spread);
            (deviation, *bound)
        }
        Test::Expression { expression, bound } => (expression.compute(good), *bound),
        Test::Rate { channel, over_ms, direction, bound } => {
            let Some(value) = good(*channel) else { return Measured::Nothing };
            let rates = rates.get_or_insert_default();
            let memory = if when.is_current { &mut rates.current } else { &mut rates.past };
            let rate = memory.per_minute(when.at, value, *over_ms).map(|rate| match direction {
                Direction::Either => rate.abs(),
                Direction::Rising => rate,
                Direction::Falling => -rate,
            });
            (rate, *bound)
        }
        Test::BadQuality { channel } => {
            return match samples.get(*channel) {
                Some(Sample::Bad(_)) => Measured::Holds(true),
                Some(Sample::Good(_)) => Measured::Holds(false),
                _ => Measured::Nothing,
            };
        }
        Test::NoData { .. } | Test::External(_) => return Measured::Nothing,
    };
    value.map_or(Measured::Nothing, |value| Measured::Value(value, bound))
}
