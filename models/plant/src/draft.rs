//! A draft: one checked item of a post or of a simulation, before it is known whether it is new.
//!
//! An example: the item `{"pump_id": "P-7", "Motor_RPM": 1480}` is a draft of P-7 with one good sample, and its time is
//! the receive time. The crates that receive items parse them; [`crate::Admission`] decides whether a draft is new.

use std::sync::Arc;

use crate::{Profile, PumpId, Sample, Timestamp};

/// Where a draft's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampSource {
    /// The device sent it.
    Device(Timestamp),
    /// The device sent none; the node's receive time is used.
    Received,
}

impl TimestampSource {
    /// Returns the time that the device sent, if it sent one.
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
    /// The pump that the item names; none for the node's default pump.
    pub pump: Option<PumpId>,
    /// The profile that it was checked against.
    pub profile: Profile,
    /// Where its time comes from.
    pub timestamp: TimestampSource,
    /// One sample per channel of the profile: [`Sample::Good`], [`Sample::Bad`] or [`Sample::Missing`].
    pub samples: Arc<[Sample]>,
}
