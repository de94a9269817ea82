//! A reading: the values of all channels of one pump at one time.
//!
//! A reading may arrive in parts, for example if a gateway sends one item per tag. An example of one pump and time:
//!
//! | arrives | compared with the known reading | the reading then |
//! | --- | --- | --- |
//! | speed 1480 | first part | speed 1480 |
//! | flow 1200 | adds a channel | speed 1480, flow 1200 |
//! | speed 1480, flow 1200 | duplicate | unchanged |
//! | speed 1490 | conflict: the first value stays | unchanged |

use std::sync::Arc;

use crate::{PumpId, Timestamp};

/// The value of one channel at one time, with its quality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// A finite number that a working sensor can send ([`crate::Channel::is_plausible`]), as sent.
    Good(f64),
    /// Any other finite number: the sensor is broken. Stored as sent; missing to the model.
    Bad(f64),
    /// Nothing was sent. The channel's last good value is used instead.
    Filled,
    /// Nothing was sent, and the last good value is too old to be used.
    Missing,
}

impl Sample {
    /// Returns the number as sent, good or bad.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Good(v) | Self::Bad(v) => Some(v),
            Self::Filled | Self::Missing => None,
        }
    }

    /// Returns the number if it is good.
    pub fn good(self) -> Option<f64> {
        match self {
            Self::Good(v) => Some(v),
            _ => None,
        }
    }

    /// Returns the quality flag of the API; none for a good value.
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Self::Good(_) => None,
            Self::Bad(_) => Some("bad"),
            Self::Filled => Some("filled"),
            Self::Missing => Some("missing"),
        }
    }
}

/// The values of all channels of one pump at one time, in the profile's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The pump.
    pub pump: PumpId,
    /// Device time.
    pub at: Timestamp,
    /// When the node received it.
    pub received: Timestamp,
    /// One sample per channel of the profile.
    pub samples: Arc<[Sample]>,
    /// Whether it arrived too late for its window. A late reading is stored, but changes no window and raises no alarm.
    pub late: bool,
}

/// How samples relate to a reading of the same pump and time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleOverlap {
    /// They have no value that the reading does not have.
    Duplicate,
    /// They have values for channels of which the reading has none, and do not contradict it.
    Adds,
    /// They have another value for a channel.
    Conflict {
        /// The channel's index in the profile.
        channel: usize,
        /// The reading's value.
        known: f64,
    },
}

impl Reading {
    /// Compares samples with this reading's. Only values that were sent are compared.
    pub fn overlap(&self, samples: &[Sample]) -> SampleOverlap {
        let mut overlap = SampleOverlap::Duplicate;
        for (channel, sample) in samples.iter().enumerate() {
            let Some(value) = sample.value() else { continue };
            match self.samples.get(channel).and_then(|sample| sample.value()) {
                Some(known) if known != value => return SampleOverlap::Conflict { channel, known },
                Some(_) => {}
                None => overlap = SampleOverlap::Adds,
            }
        }
        overlap
    }

    /// Returns this reading with the channels that a part adds. Existing values stay.
    pub fn merged_with(&self, part: &[Sample]) -> Reading {
        let sample = |channel: usize| match (self.samples.get(channel), part.get(channel)) {
            (Some(known), Some(part)) if known.value().is_none() && part.value().is_some() => *part,
            (Some(known), _) => *known,
            (None, part) => part.copied().unwrap_or(Sample::Missing),
        };
        let channels = self.samples.len().max(part.len());
        Reading { samples: (0..channels).map(sample).collect(), ..self.clone() }
    }

    /// Returns the samples for those channels of which this reading has no value. All other channels are
    /// [`Sample::Missing`].
    pub fn new_samples(&self, samples: &[Sample]) -> Arc<[Sample]> {
        let known = |channel: usize| self.samples.get(channel).and_then(|sample| sample.value()).is_some();
        let added = |(channel, sample): (usize, &Sample)| match sample.value() {
            Some(_) if !known(channel) => *sample,
            _ => Sample::Missing,
        };
        samples.iter().enumerate().map(added).collect()
    }

    /// Whether both have the same pump, time and sent values, so that the second one is a duplicate. Filled values and
    /// receive times do not count.
    pub fn same_values(&self, other: &Reading) -> bool {
        let values = |r: &Reading| r.samples.iter().map(|s| s.value()).collect::<Vec<_>>();
        self.pump == other.pump && self.at == other.at && values(self) == values(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_good_and_flag_of_each_sample() {
        for (sample, value, good, flag) in [
            (Sample::Good(-1.5), Some(-1.5), Some(-1.5), None),
            (Sample::Bad(-1.5), Some(-1.5), None, Some("bad")),
            (Sample::Filled, None, None, Some("filled")),
            (Sample::Missing, None, None, Some("missing")),
        ] {
            assert_eq!((sample.value(), sample.good(), sample.flag()), (value, good, flag), "{sample:?}");
        }
    }

    #[test]
    fn parts_with_the_same_time_are_merged() {
        use Sample::{Bad, Filled, Good, Missing};
        let at = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let reading = |samples: &[Sample]| Reading {
            pump: "P-1".parse().expect("a name"),
            at,
            received: at,
            samples: samples.into(),
            late: false,
        };
        let conflict = |channel, known| SampleOverlap::Conflict { channel, known };
        // The known samples, the part that arrives, their overlap, both merged, and what the part adds.
        for (known, part, overlap, together, added) in [
            (
                [Good(1.0), Missing],
                [Missing, Good(2.0)],
                SampleOverlap::Adds,
                [Good(1.0), Good(2.0)],
                [Missing, Good(2.0)],
            ),
            ([Good(1.0), Filled], [Filled, Bad(2.0)], SampleOverlap::Adds, [Good(1.0), Bad(2.0)], [Missing, Bad(2.0)]),
            (
                [Good(1.0), Filled],
                [Good(1.0), Good(2.0)],
                SampleOverlap::Adds,
                [Good(1.0), Good(2.0)],
                [Missing, Good(2.0)],
            ),
            (
                [Good(1.0), Filled],
                [Good(1.0), Missing],
                SampleOverlap::Duplicate,
                [Good(1.0), Filled],
                [Missing, Missing],
            ),
            ([Missing, Missing], [Missing, Missing], SampleOverlap::Duplicate, [Missing, Missing], [Missing, Missing]),
            ([Missing, Filled], [Filled, Missing], SampleOverlap::Duplicate, [Missing, Filled], [Missing, Missing]),
            (
                [Bad(1.0), Missing],
                [Good(1.0), Missing],
                SampleOverlap::Duplicate,
                [Bad(1.0), Missing],
                [Missing, Missing],
            ),
            ([Good(1.0), Missing], [Good(3.0), Missing], conflict(0, 1.0), [Good(1.0), Missing], [Missing, Missing]),
            (
                [Good(1.0), Missing],
                [Good(3.0), Good(2.0)],
                conflict(0, 1.0),
                [Good(1.0), Good(2.0)],
                [Missing, Good(2.0)],
            ),
        ] {
            let first = reading(&known);
            assert_eq!(first.overlap(&part), overlap, "{part:?} and {known:?}");
            assert_eq!(first.merged_with(&part), reading(&together), "{part:?} with {known:?}");
            assert_eq!(*first.new_samples(&part), added, "{part:?} to {known:?}");
        }
        assert_eq!(
            reading(&[Good(1.0)]).merged_with(&[Missing, Good(2.0)]),
            reading(&[Good(1.0), Good(2.0)]),
            "a new channel"
        );
    }

    #[test]
    fn only_sent_values_make_a_duplicate() {
        let at = |ms: i64| Timestamp::from_millis(1_773_051_273_000 + ms).expect("a time");
        let pump = |name: &str| name.parse().expect("a name");
        let samples = |samples: [Sample; 2]| samples.into();
        let first = Reading {
            pump: pump("P-1"),
            at: at(0),
            received: at(5),
            samples: samples([Sample::Good(1.0), Sample::Missing]),
            late: false,
        };
        let bad = samples([Sample::Bad(1.0), Sample::Missing]);
        for (what, other, same) in [
            ("itself", first.clone(), true),
            ("received later", Reading { received: at(6), ..first.clone() }, true),
            ("late", Reading { late: true, ..first.clone() }, true),
            ("filled", Reading { samples: samples([Sample::Good(1.0), Sample::Filled]), ..first.clone() }, true),
            ("checked by another range", Reading { samples: bad, ..first.clone() }, true),
            ("another pump", Reading { pump: pump("P-2"), ..first.clone() }, false),
            ("another time", Reading { at: at(1), ..first.clone() }, false),
            (
                "another value",
                Reading { samples: samples([Sample::Good(1.1), Sample::Missing]), ..first.clone() },
                false,
            ),
            (
                "one value more",
                Reading { samples: samples([Sample::Good(1.0), Sample::Good(0.0)]), ..first.clone() },
                false,
            ),
            ("one channel less", Reading { samples: [Sample::Good(1.0)].into(), ..first.clone() }, false),
        ] {
            assert_eq!((first.same_values(&other), other.same_values(&first)), (same, same), "{what}");
        }
    }
}
