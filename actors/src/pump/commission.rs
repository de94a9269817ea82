//! Decides what a pump does next in its commissioning, until it has a baseline: the third of a pump's four state
//! machines. Does no I/O.
//!
//! | state | event | next action |
//! | --- | --- | --- |
//! | learning | a minute of normal running was counted since the progress was stored | persist the progress |
//! | persisting | the progress is durable | persist again if another minute was counted meanwhile, else request a baseline if there is enough running |
//! | persisting | the write failed | persist again after a pause |
//! | learning with enough running | the progress is persisted, and no baseline is requested yet | request a baseline |
//! | baseline requested | the queue is full, or learning failed | request again after a pause |
//! | baseline requested | there were too few windows | start collecting from the beginning |
//! | baseline requested | the baseline is learned | detect anomalies with it |
//! | detecting, with less than a day of running | another step of the schedule is reached | request a refined baseline |
//! | any | a command to recommission, or to use another version | change the mode; replies to earlier requests are ignored |
//!
//! An example: 24 h of normal running are needed, and a progress of 23 h 59 min is stored. One minute later the
//! progress is persisted again, and then a baseline is requested. The queue of the commissioning actor is full, so the
//! request is repeated after 5 s, then after 10 s, and so on.
//!
//! The normal running collected so far is in [`PumpMode::Learning`]. Does not learn a baseline; see
//! [`crate::commissioning`]. Does not store or send anything.

use std::time::Duration;

use volute_anomaly::CommissioningError;
use volute_data::CommissioningRecord;
use volute_plant::Timestamp;
use volute_runtime::BackOff;

use crate::commissioning::{collection::BaselineCollection, errors::LearnError, mode::PumpMode};

/// The pause before the next attempt, after an attempt that failed or found the queue full.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_secs(5), longest: Duration::from_secs(600) };

/// The state of a pump's commissioning.
#[derive(Debug)]
pub(super) struct Commission {
    /// The number of the current mode. Each change of mode increments it, so replies to requests of an earlier mode can
    /// be recognized.
    mode_number: u64,
    /// The number of the mode in which a baseline was requested.
    requested_in: Option<u64>,
    /// Whether the progress is being stored.
    is_persisting: bool,
    /// Failed attempts in this mode.
    retries: u32,
    /// Whether the next attempt waits for the end of a pause.
    is_paused: bool,
}

/// What the pump's actor does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NextAction {
    /// Nothing.
    Idle,
    /// Store this record, then report the outcome with [`Commission::persisted`].
    Persist(CommissioningRecord),
    /// Request a baseline from this range of readings, then call [`Commission::requested`], or [`Commission::deferred`]
    /// if the queue is full. If `refines`, steps that are anomalous by the baseline in use are left out.
    Request { from: Timestamp, to: Timestamp, reason: String, refines: bool },
    /// Try again after a pause, unless the mode's number has changed by then.
    Retry { after: Duration, mode_number: u64 },
}

impl Commission {
    /// Starts with the mode of this number.
    pub(super) fn new(mode_number: u64) -> Self {
        Self { mode_number, requested_in: None, is_persisting: false, retries: 0, is_paused: false }
    }

    /// Returns the number of the current mode.
    pub(super) fn mode_number(&self) -> u64 {
        self.mode_number
    }

    /// Records that the pump has changed to another mode.
    pub(super) fn mode_changed(&mut self) {
        self.mode_number += 1;
        self.retries = 0;
        self.is_paused = false;
    }

    /// Returns the progress to persist if that is due and no earlier write is in flight. The progress of a refinement
    /// is not persisted, so its baseline is requested as soon as there is enough running.
    pub(super) fn due(&mut self, mode: &PumpMode) -> NextAction {
        let Some(collection) = mode.collection() else { return NextAction::Idle };
        if collection.is_refinement() {
            return if self.is_paused { NextAction::Idle } else { self.request(collection) };
        }
        match collection.due().cloned() {
            Some(record) if !self.is_persisting => {
                self.is_persisting = true;
                NextAction::Persist(record)
            }
            _ => NextAction::Idle,
        }
    }

    /// Returns the progress to persist if that is due, else the request for a baseline if there is enough running.
    pub(super) fn next_action(&mut self, mode: &PumpMode) -> NextAction {
        let Some(collection) = mode.collection() else { return NextAction::Idle };
        self.is_paused = false;
        if collection.due().is_some() {
            return self.due(mode);
        }
        self.request(collection)
    }

    fn request(&self, collection: &BaselineCollection) -> NextAction {
        match collection.training_range() {
            Some((from, to)) if self.requested_in != Some(self.mode_number) => {
                let refines = collection.is_refinement();
                NextAction::Request { from, to, reason: collection.reason().to_owned(), refines }
            }
            _ => NextAction::Idle,
        }
    }

    /// Handles the end of a write of the progress. `is_stored` says whether the record is durable.
    pub(super) fn persisted(
        &mut self,
        mode: &mut PumpMode,
        record: CommissioningRecord,
        is_stored: bool,
    ) -> NextAction {
        self.is_persisting = false;
        let Some(collection) = mode.collection_mut() else { return NextAction::Idle };
        if !is_stored {
            collection.record_error("the progress could not be stored; trying again");
            return self.retry_later();
        }
        collection.persisted(record);
        self.next_action(mode)
    }

    /// Records that the request was sent.
    pub(super) fn requested(&mut self) {
        self.requested_in = Some(self.mode_number);
    }

    /// Handles a full queue: the request was not sent.
    pub(super) fn deferred(&mut self) -> NextAction {
        self.retry_later()
    }

    /// Handles a failure to read the pump's settings or its baseline status from the store.
    pub(super) fn mode_read_failed(&mut self) -> NextAction {
        self.retry_later()
    }

    /// Handles a failed request.
    pub(super) fn failed(&mut self, mode: &mut PumpMode, error: &LearnError) -> NextAction {
        self.requested_in = None;
        let Some(collection) = mode.collection_mut() else { return NextAction::Idle };
        if let LearnError::Learning(CommissioningError::TooFew { .. }) = error {
            collection.start_over(&error.to_string());
            return self.due(mode);
        }
        collection.record_error("learning failed; trying again, see the log for the reason");
        self.retry_later()
    }

    fn retry_later(&mut self) -> NextAction {
        self.retries += 1;
        self.is_paused = true;
        let after = BACK_OFF.pause(usize::try_from(self.retries).unwrap_or(usize::MAX), 0.0);
        NextAction::Retry { after, mode_number: self.mode_number }
    }
}

#[cfg(test)]
#[path = "commission/tests.rs"]
mod tests;
