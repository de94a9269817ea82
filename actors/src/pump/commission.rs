//! How a pump comes to its baseline: the third of its state machines. Pure.
//!
//! | it is | and then | it does next |
//! | --- | --- | --- |
//! | learning, a minute of running more than is stored | | persists how far it is |
//! | persisting | that is durable | persists again if more came in meanwhile, or requests a baseline if there is enough |
//! | persisting | it failed | persists again after a pause |
//! | learning with enough, nothing requested | | requests a baseline |
//! | requesting | there is no room, or it failed | requests again after a pause |
//! | requesting | there were too few windows | begins to collect anew |
//! | requesting | it is learned | is judged by it |
//! | told to learn anew, or to use another version | | goes on in another mode: replies to requests of before mean nothing |
//!
//! An example: of 24 h that are needed, 23 h 59 min are stored. One minute later the whole stretch is persisted, then a
//! baseline is requested; commissioning has no room, so it is requested again 5 s later, then after 10 s, and so on.
//!
//! What is collected is in [`PumpMode::Learning`]. Does not learn anything ([`crate::commissioning`]), and does not store or
//! send anything.

use std::time::Duration;

use volute_anomaly::CommissioningError;
use volute_data::CommissioningRecord;
use volute_plant::Timestamp;
use volute_runtime::BackOff;

use crate::commissioning::{errors::LearnError, mode::PumpMode};

/// How long after an attempt that failed, or for which there was no room, the next one is made.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_secs(5), longest: Duration::from_secs(600) };

/// Where a pump's commissioning stands.
#[derive(Debug)]
pub(super) struct Commission {
    /// Counts the modes: what was requested in an earlier one is not for this one.
    number: u64,
    /// The mode in which a baseline was requested.
    requested_in: Option<u64>,
    /// What was collected is being stored.
    is_persisting: bool,
    /// Attempts in this mode that failed.
    retries: u32,
}

/// What it does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Nothing.
    Rest,
    /// Have this stored, and say how that went: [`Commission::persisted`].
    Persist(CommissioningRecord),
    /// Request a baseline of this stretch of readings: [`Commission::requested`], or [`Commission::deferred`].
    Request { from: Timestamp, to: Timestamp, why: String },
    /// Look again after a pause, if the mode has this number still.
    LookAgain { after: Duration, number: u64 },
}

impl Commission {
    /// Modes are numbered from `number`.
    pub(super) fn new(number: u64) -> Self {
        Self { number, requested_in: None, is_persisting: false, retries: 0 }
    }

    /// Returns the number of the mode.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The pump goes on in another mode.
    pub(super) fn mode_changed(&mut self) {
        self.number += 1;
        self.retries = 0;
    }

    /// Returns what is to be persisted, if that is due and not under way.
    pub(super) fn due(&mut self, mode: &PumpMode) -> Next {
        let PumpMode::Learning(collection) = mode else { return Next::Rest };
        match collection.due().cloned() {
            Some(record) if !self.is_persisting => {
                self.is_persisting = true;
                Next::Persist(record)
            }
            _ => Next::Rest,
        }
    }

    /// Returns what is due, or else the request for a baseline if there is enough.
    pub(super) fn look(&mut self, mode: &PumpMode) -> Next {
        let PumpMode::Learning(collection) = mode else { return Next::Rest };
        if collection.due().is_some() {
            return self.due(mode);
        }
        match collection.complete() {
            Some((from, to)) if self.requested_in != Some(self.number) => {
                Next::Request { from, to, why: collection.why().to_owned() }
            }
            _ => Next::Rest,
        }
    }

    /// The record is durable, or it could not be stored.
    pub(super) fn persisted(&mut self, mode: &mut PumpMode, record: CommissioningRecord, is_stored: bool) -> Next {
        self.is_persisting = false;
        let PumpMode::Learning(collection) = mode else { return Next::Rest };
        if !is_stored {
            collection.fail("what was gathered could not be stored; it is tried again");
            return self.look_again();
        }
        collection.persisted(record);
        self.look(mode)
    }

    /// The request has been sent.
    pub(super) fn requested(&mut self) {
        self.requested_in = Some(self.number);
    }

    /// There was no room for the request.
    pub(super) fn deferred(&mut self) -> Next {
        self.look_again()
    }

    /// What the pump goes by could not be read.
    pub(super) fn unread(&mut self) -> Next {
        self.look_again()
    }

    /// The pump's request has failed.
    pub(super) fn failed(&mut self, mode: &mut PumpMode, error: &LearnError) -> Next {
        self.requested_in = None;
        let PumpMode::Learning(collection) = mode else { return Next::Rest };
        if let LearnError::Learning(CommissioningError::TooFew { .. }) = error {
            collection.start_over(&error.to_string());
            return self.due(mode);
        }
        collection.fail("it failed and is tried again; the log says why");
        self.look_again()
    }

    fn look_again(&mut self) -> Next {
        self.retries += 1;
        let after = BACK_OFF.pause(usize::try_from(self.retries).unwrap_or(usize::MAX), 0.0);
        Next::LookAgain { after, number: self.number }
    }
}

#[cfg(test)]
#[path = "commission/tests.rs"]
mod tests;
