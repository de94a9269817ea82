//! A reading: all channels of one pump at one time.

use std::sync::Arc;

use crate::{PumpId, Timestamp};

/// What one channel said at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// A finite number within the channel's plausible range.
    Good(f64),
    /// A finite number outside the plausible range: a broken sensor. Kept as sent; missing to the model.
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

impl Reading {
    /// Whether both say the same of the same moment: what makes a second post a duplicate.
    ///
    /// Only what was sent counts, not how it was filled or when it was received.
    pub fn says_the_same(&self, other: &Reading) -> bool {
        let values = |r: &Reading| r.samples.iter().map(|s| s.value()).collect::<Vec<_>>();
        self.pump == other.pump && self.at == other.at && values(self) == values(other)
    }
}
