//! A reading: all channels of one pump at one time.
//!
//! It may come in parts, as where a gateway sends one item for each tag. An example, of one pump and time:
//!
//! | Comes | Beside what is known | The reading then |
//! | --- | --- | --- |
//! | speed 1480 | the first | speed 1480 |
//! | flow 1200 | adds | speed 1480, flow 1200 |
//! | speed 1480, flow 1200 | known: a duplicate | unchanged |
//! | speed 1490 | a conflict: the first stands | unchanged |

use std::sync::Arc;

use crate::{PumpId, Timestamp};

/// What one channel said at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// A finite number that a working sensor can send ([`crate::Channel::is_plausible`]), as sent.
    Good(f64),
    /// Any other finite number: a broken sensor. Kept as sent; missing to the model.
    Bad(f64),
    /// Nothing was sent; the model is given the channel's last good value.
    Filled,
    /// Nothing was sent, and the last good value is too old to stand in.
    Missing,
}

impl Sample {
    /// The number as sent, good or bad.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Good(v) | Self::Bad(v) => Some(v),
            Self::Filled | Self::Missing => None,
        }
    }

    /// The number if it can be believed.
    pub fn good(self) -> Option<f64> {
        match self {
            Self::Good(v) => Some(v),
            _ => None,
        }
    }

    /// The word for anything but a good value, as the API shows it.
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Self::Good(_) => None,
            Self::Bad(_) => Some("bad"),
            Self::Filled => Some("filled"),
            Self::Missing => Some("missing"),
        }
    }
}

/// All channels of one pump at one time, in the profile's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Whose reading it is.
    pub pump: PumpId,
    /// The device's time.
    pub at: Timestamp,
    /// When the node received it.
    pub received: Timestamp,
    /// One sample per channel of the profile.
    pub samples: Arc<[Sample]>,
    /// Came after its place in the order had passed: stored, but it changes no window and no alarm.
    pub late: bool,
}

/// What some samples say beside a reading of the same pump and time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beside {
    /// Nothing that the reading does not say.
    Known,
    /// Values of other channels, and nothing else that is new.
    Adds,
    /// Another value of a channel.
    Conflict {
        /// The channel's place in the profile.
        channel: usize,
        /// The reading's value.
        known: f64,
    },
}

impl Reading {
    /// What these samples say beside this reading's. Only what was sent counts.
    pub fn beside(&self, samples: &[Sample]) -> Beside {
        let mut beside = Beside::Known;
        for (channel, sample) in samples.iter().enumerate() {
            let Some(value) = sample.value() else { continue };
            match self.samples.get(channel).and_then(|sample| sample.value()) {
                Some(known) if known != value => return Beside::Conflict { channel, known },
                Some(_) => {}
                None => beside = Beside::Adds,
            }
        }
        beside
    }

    /// This reading with the channels that a part of it adds. What it has stands.
    pub fn with(&self, part: &[Sample]) -> Reading {
        let sample = |channel: usize| match (self.samples.get(channel), part.get(channel)) {
            (Some(known), Some(part)) if known.value().is_none() && part.value().is_some() => *part,
            (Some(known), _) => *known,
            (None, part) => part.copied().unwrap_or(Sample::Missing),
        };
        let channels = self.samples.len().max(part.len());
        Reading { samples: (0..channels).map(sample).collect(), ..self.clone() }
    }

    /// What these samples add to this reading: the others are missing.
    pub fn added_by(&self, samples: &[Sample]) -> Arc<[Sample]> {
        let known = |channel: usize| self.samples.get(channel).and_then(|sample| sample.value()).is_some();
        let added = |(channel, sample): (usize, &Sample)| match sample.value() {
            Some(_) if !known(channel) => *sample,
            _ => Sample::Missing,
        };
        samples.iter().enumerate().map(added).collect()
    }

    /// Whether both say the same of the same moment: what makes a second post a duplicate.
    ///
    /// Only what was sent counts, not how it was filled or when it was received.
    pub fn says_the_same(&self, other: &Reading) -> bool {
        let values = |r: &Reading| r.samples.iter().map(|s| s.value()).collect::<Vec<_>>();
        self.pump == other.pump && self.at == other.at && values(self) == values(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sample_says() {
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
    fn parts_of_one_time_are_one_reading() {
        use Sample::{Bad, Filled, Good, Missing};
        let at = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let reading = |samples: &[Sample]| Reading {
            pump: "P-1".parse().expect("a name"),
            at,
            received: at,
            samples: samples.into(),
            late: false,
        };
        let conflict = |channel, known| Beside::Conflict { channel, known };
        // What is known, what comes, what that is, both together, and what is added.
        for (known, part, beside, together, added) in [
            ([Good(1.0), Missing], [Missing, Good(2.0)], Beside::Adds, [Good(1.0), Good(2.0)], [Missing, Good(2.0)]),
            ([Good(1.0), Filled], [Filled, Bad(2.0)], Beside::Adds, [Good(1.0), Bad(2.0)], [Missing, Bad(2.0)]),
            ([Good(1.0), Filled], [Good(1.0), Good(2.0)], Beside::Adds, [Good(1.0), Good(2.0)], [Missing, Good(2.0)]),
            ([Good(1.0), Filled], [Good(1.0), Missing], Beside::Known, [Good(1.0), Filled], [Missing, Missing]),
            ([Missing, Missing], [Missing, Missing], Beside::Known, [Missing, Missing], [Missing, Missing]),
            ([Missing, Filled], [Filled, Missing], Beside::Known, [Missing, Filled], [Missing, Missing]),
            ([Bad(1.0), Missing], [Good(1.0), Missing], Beside::Known, [Bad(1.0), Missing], [Missing, Missing]),
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
            assert_eq!(first.beside(&part), beside, "{part:?} beside {known:?}");
            assert_eq!(first.with(&part), reading(&together), "{part:?} with {known:?}");
            assert_eq!(*first.added_by(&part), added, "{part:?} to {known:?}");
        }
        assert_eq!(
            reading(&[Good(1.0)]).with(&[Missing, Good(2.0)]),
            reading(&[Good(1.0), Good(2.0)]),
            "a new channel"
        );
    }

    #[test]
    fn only_what_was_sent_makes_two_readings_the_same() {
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
            ("judged by another range", Reading { samples: bad, ..first.clone() }, true),
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
            assert_eq!((first.says_the_same(&other), other.says_the_same(&first)), (same, same), "{what}");
        }
    }
}
