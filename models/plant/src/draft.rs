//! A draft: one item of a post or of a simulation, checked, before it is known whether it is new.
//!
//! An example: the item `{"pump_id": "P-7", "Motor_RPM": 1480}` is a draft of P-7 with one good sample, and its time is the
//! time of receipt. Does not handle where a draft comes from (the edges make it of what they read), nor what becomes of it
//! ([`crate::Admission`]).

use std::sync::Arc;

use crate::{Profile, PumpId, Sample, Timestamp};

/// Where a draft's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampSource {
    /// The device said it.
    Device(Timestamp),
    /// The device said none; the node's receive time stands in.
    Received,
}

impl TimestampSource {
    /// The time that the device said, if it did.
    pub fn device(self) -> Option<Timestamp> {
        match self {
            Self::Device(at) => Some(at),
            Self::Received => None,
        }
    }
}

/// A checked item, before it is known whether it is new.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The pump it names; none means the node's default pump.
    pub pump: Option<PumpId>,
    /// What it was checked against.
    pub profile: Profile,
    /// Its time.
    pub stamp: TimestampSource,
    /// One sample per channel of the profile: [`Sample::Good`], [`Sample::Bad`] or [`Sample::Missing`].
    pub samples: Arc<[Sample]>,
}
