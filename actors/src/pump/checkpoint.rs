//! Decides when the state of a pump's decider is stored, and which windows to repeat after a restart. Does no I/O.
//!
//! A checkpoint holds the decider's state after one window. It is stored once per minute of window time, when an
//! episode begins or ends, and when the node stops. After a restart the windows since the checkpoint are rebuilt from
//! stored readings and decided again. If the detection of a window is stored already, it is not published again.
//! Windows after the newest stored detection were in flight when the node ended; their detections are published. An
//! example with a checkpoint of 10:00:00, detections up to 10:00:40 and readings up to 10:00:42:
//!
//! | window | after the restart |
//! | --- | --- |
//! | 10:00:00 | is in the checkpoint |
//! | 10:00:01 to 10:00:40 | decided, not published |
//! | 10:00:41, 10:00:42 | decided and published |
//!
//! A checkpoint is sent to the recorder after the detection of its window and cannot overtake it, so no window is
//! missed between the two. The state itself is [`volute_anomaly::DeciderCheckpoint`]. Does not read stored checkpoints; see
//! [`super::recovery`].

use std::{collections::BTreeSet, sync::Arc};

use volute_anomaly::{Baseline, Decider, DeciderCheckpoint, UnfitCheckpoint};
use volute_data::PumpCheckpoint;
use volute_plant::{PumpId, Timestamp, WindowedReading};

/// Milliseconds of window time between two checkpoints of a pump.
pub(super) const CHECKPOINT_INTERVAL_MS: u16 = 60_000;

/// A checkpoint as it was read from the store.
pub(crate) struct StoredCheckpoint {
    pub(super) state: PumpCheckpoint,
    /// The times of later windows whose detections are stored. None if the detections cannot be read, or if too many
    /// readings were stored since. Then the decider starts from the checkpoint, and no later windows are repeated.
    pub(super) decided: Option<BTreeSet<Timestamp>>,
}

/// Why a stored checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error("the stored checkpoint cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Unfit(#[from] UnfitCheckpoint),
}

/// The checkpoints of one pump.
pub(super) struct Checkpoints {
    /// The checkpoint that was read at the start, until it is used or discarded.
    recovered: Option<RecoveredCheckpoint>,
    /// Windows up to this time are decided. None if no window was decided yet.
    decided_until: Option<Timestamp>,
    /// The interval in which the last checkpoint was stored. Intervals of [`CHECKPOINT_INTERVAL_MS`] are numbered.
    last_stored_interval: Option<i64>,
    /// Shifts the intervals of this pump, so that pumps do not all store their checkpoints at the same time.
    offset_ms: i64,
}

/// A stored checkpoint, and the later steps to repeat, with their windows.
pub(super) struct RecoveredCheckpoint {
    pub(super) stored: StoredCheckpoint,
    pub(super) steps: Vec<WindowedReading>,
}

impl Checkpoints {
    pub(super) fn new(pump: &PumpId, stored: Option<StoredCheckpoint>) -> Self {
        let recovered = stored.map(|stored| RecoveredCheckpoint { stored, steps: Vec::new() });
        Self {
            recovered,
            decided_until: None,
            last_stored_interval: None,
            offset_ms: i64::from(pump.hash_slot(CHECKPOINT_INTERVAL_MS)),
        }
    }

    /// Collects the steps of stored readings that are later than the checkpoint.
    pub(super) fn replay(&mut self, windowed: Vec<WindowedReading>) {
        let Some(RecoveredCheckpoint { stored: StoredCheckpoint { state, decided: Some(_) }, steps }) =
            &mut self.recovered
        else {
            return;
        };
        steps.extend(windowed.into_iter().filter(|windowed| windowed.reading.at > state.at));
    }

    /// Returns whether the window of this time is decided already. After a restart, a window may be built a second time
    /// if it was completed early before, because the wait for a missing reading timed out.
    pub(super) fn is_decided(&self, at: Timestamp) -> bool {
        self.decided_until.is_some_and(|decided| at <= decided)
    }

    /// Returns whether a checkpoint is due after a decision at this time.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        self.last_stored_interval != Some(self.interval_index(at))
    }

    /// Returns the time of the last decision. None if there is nothing to store.
    pub(super) fn decided_until(&self) -> Option<Timestamp> {
        self.decided_until
    }

    /// Marks the window of this time as decided.
    pub(super) fn mark_decided(&mut self, at: Timestamp) {
        self.decided_until = Some(at);
    }

    /// Marks the checkpoint of this time as stored.
    pub(super) fn mark_stored(&mut self, at: Timestamp) {
        self.last_stored_interval = Some(self.interval_index(at));
    }

    /// Forgets the time of the last decision. Called when the pump's timestamps went back, so that windows at times
    /// that were decided before are new windows.
    pub(super) fn reset_decided(&mut self) {
        self.decided_until = None;
    }

    /// Makes a checkpoint due with the next window, as for a new decider.
    pub(super) fn force_next(&mut self) {
        self.last_stored_interval = None;
    }

    /// Sets the checkpoint if it could not be read at the start. No later windows are repeated.
    pub(super) fn set_recovered(&mut self, state: Option<PumpCheckpoint>) {
        if self.recovered.is_none() {
            let stored = |state| StoredCheckpoint { state, decided: None };
            self.recovered = state.map(|state| RecoveredCheckpoint { stored: stored(state), steps: Vec::new() });
        }
    }

    /// Removes and returns the checkpoint that was read at the start.
    pub(super) fn take_recovered(&mut self) -> Option<RecoveredCheckpoint> {
        self.recovered.take()
    }

    fn interval_index(&self, at: Timestamp) -> i64 {
        (at.millis() + self.offset_ms).div_euclid(i64::from(CHECKPOINT_INTERVAL_MS))
    }
}

/// Returns a decider with the stored state. Fails if the state belongs to another baseline.
pub(super) fn restore_decider(baseline: &Arc<Baseline>, state: &PumpCheckpoint) -> Result<Decider, CheckpointError> {
    let memory: DeciderCheckpoint = serde_json::from_str(&state.document)?;
    Ok(Decider::with_checkpoint(baseline.clone(), memory)?)
}
