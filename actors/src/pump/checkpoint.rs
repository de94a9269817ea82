//! When a pump's decider is stored, and which windows a stored one holds. Pure.
//!
//! What is stored holds up to one window. It is stored once a minute of the windows' times, where an episode begins or ends,
//! and when the node stops. After a start the windows since are made once more, of stored readings, and decided: silently where
//! their detections are stored. Those beyond the newest detection were on their way when the node ended; they are published
//! now. An example, stored at 10:00:00, with detections up to 10:00:40 and readings up to 10:00:42:
//!
//! | window | |
//! | --- | --- |
//! | 10:00:00 | is in the checkpoint |
//! | 10:00:01 to 10:00:40 | decided silently |
//! | 10:00:41, 10:00:42 | decided and published |
//!
//! A checkpoint goes to the recorder after its window's detection and never overtakes it, so no window falls between the two.
//! Does not hold what there is to remember, which is [`volute_anomaly::DeciderMemory`], nor read it: see [`super::recovery`].

use std::{collections::BTreeSet, sync::Arc};

use volute_anomaly::{Baseline, Decider, DeciderMemory, MemoryError};
use volute_data::PumpState;
use volute_plant::{Placed, PumpId, Reading, Timestamp, Window};

/// The longest that a judged pump's checkpoint waits to be stored, in the time of its windows.
pub(super) const STORE_EVERY_MS: u16 = 60_000;

/// A checkpoint as it is stored.
pub(crate) struct StoredCheckpoint {
    pub(super) state: PumpState,
    /// Later windows whose detections are stored; none where they cannot be read, or it is so old that too much has come
    /// since: then it is taken as it is.
    pub(super) decided: Option<BTreeSet<Timestamp>>,
}

/// A stored checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the stored memory cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Unfit(#[from] MemoryError),
}

/// What a pump knows of its checkpoints.
pub(super) struct Checkpoints {
    /// What was found stored, and the windows that it does not hold, until it is used.
    found: Option<Found>,
    /// Windows up to this time are decided.
    decided_until: Option<Timestamp>,
    /// The stretch of [`STORE_EVERY_MS`] in which one was last stored.
    stored_in: Option<i64>,
    /// Where stretches begin: pumps store theirs spread over one.
    offset_ms: i64,
}

/// A stored checkpoint, and the windows since.
pub(super) struct Found {
    pub(super) stored: StoredCheckpoint,
    pub(super) windows: Vec<(Reading, Window)>,
}

impl Checkpoints {
    pub(super) fn new(pump: &PumpId, stored: Option<StoredCheckpoint>) -> Self {
        let found = stored.map(|stored| Found { stored, windows: Vec::new() });
        Self { found, decided_until: None, stored_in: None, offset_ms: i64::from(pump.hash_slot(STORE_EVERY_MS)) }
    }

    /// Takes note of windows that stored readings make.
    pub(super) fn recall(&mut self, placed: Vec<Placed>) {
        let Some(Found { stored: StoredCheckpoint { state, decided: Some(_) }, windows }) = &mut self.found else {
            return;
        };
        let later = placed.into_iter().filter_map(|Placed { reading, window }| Some((reading, window.ok()?)));
        windows.extend(later.filter(|(_, window)| window.at > state.at));
    }

    /// Whether a window is decided already: before a restart, the wait for a reading before it may have been given up.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.decided_until.is_some_and(|decided| at <= decided)
    }

    /// Whether one is due with a decision at this time.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        self.stored_in != Some(self.stretch(at))
    }

    /// The last decision's time; none: there is nothing to store.
    pub(super) fn decided_until(&self) -> Option<Timestamp> {
        self.decided_until
    }

    /// A window of this time is decided.
    pub(super) fn decided(&mut self, at: Timestamp) {
        self.decided_until = Some(at);
    }

    /// One of this time is stored.
    pub(super) fn stored(&mut self, at: Timestamp) {
        self.stored_in = Some(self.stretch(at));
    }

    /// The pump's times go back: windows of times that were decided already are other ones now.
    pub(super) fn begin_at_any_time(&mut self) {
        self.decided_until = None;
    }

    /// There is a new decider: it is stored with its first window.
    pub(super) fn begin_anew(&mut self) {
        self.stored_in = None;
    }

    /// What is stored, where it could not be read at the start: it is taken as it is.
    pub(super) fn find(&mut self, state: Option<PumpState>) {
        if self.found.is_none() {
            let stored = |state| StoredCheckpoint { state, decided: None };
            self.found = state.map(|state| Found { stored: stored(state), windows: Vec::new() });
        }
    }

    /// Takes what was found out. Where the pump is not judged, it is for nobody.
    pub(super) fn take_found(&mut self) -> Option<Found> {
        self.found.take()
    }

    fn stretch(&self, at: Timestamp) -> i64 {
        (at.millis() + self.offset_ms).div_euclid(i64::from(STORE_EVERY_MS))
    }
}

/// Returns the decider that was stored, if it is of this baseline.
pub(super) fn restored(baseline: &Arc<Baseline>, state: &PumpState) -> Result<Decider, Unusable> {
    let memory: DeciderMemory = serde_json::from_str(&state.document)?;
    Ok(Decider::with_memory(baseline.clone(), memory)?)
}
