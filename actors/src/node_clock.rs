//! The node's clock, with a check whether its time is plausible.
//!
//! The ingress, the flusher and the web API share it. It reads the clock, logs once when the time becomes implausible,
//! and stores the last plausible time. Does not define what is plausible; see [`ClockCheck`] in the plant crate.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use volute_data::{ClockMark, Store};
use volute_plant::{Clock, ClockCheck, ClockState, Draft, RetentionClock, Timestamp};

use crate::receipt::IngestError;

/// Seconds after which a client may repeat a post that was refused because the clock is implausible.
const RETRY_AFTER_S: u64 = 10;

/// The node's clock with the check of its time. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeClock(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    store: Store,
    /// The retention time of readings.
    readings_retention: Duration,
    check: Mutex<CheckState>,
}

struct CheckState {
    check: ClockCheck,
    state: ClockState,
    retention: RetentionClock,
    /// When the clock was read last.
    read_at: Instant,
}

impl NodeClock {
    /// Compares the clock with the last plausible time in the store.
    pub(crate) async fn new(clock: Arc<dyn Clock>, store: Store, readings_retention: Duration) -> Self {
        let mark = store.clock_mark().await;
        let check = ClockCheck::new(mark.map(|mark| mark.last_trusted));
        let retention = RetentionClock::new(mark.map_or_else(|| clock.now(), |mark| mark.retention_now));
        let check = Mutex::new(CheckState { check, state: ClockState::Plausible, retention, read_at: Instant::now() });
        let clock = Self(Arc::new(Inner { clock, store, readings_retention, check }));
        clock.read();
        clock
    }

    /// Returns the time, and whether it is plausible.
    pub(crate) fn read(&self) -> (Timestamp, ClockState) {
        let now = self.0.clock.now();
        (now, self.observe(now))
    }

    /// Returns the earlier of the time and the last plausible time, so that nothing expires too early.
    pub(crate) fn last_trusted(&self) -> Timestamp {
        let (now, _) = self.read();
        self.check_state().check.last_plausible().map_or(now, |last| last.min(now))
    }

    /// Returns the time from which the age of rows is computed when expired rows are deleted.
    pub(crate) fn retention(&self) -> Timestamp {
        self.read();
        self.check_state().retention.at()
    }

    /// Returns a message on what is wrong with the clock; none if it is plausible.
    pub(crate) fn problem(&self) -> Option<String> {
        let (now, state) = self.read();
        state.reason(now)
    }

    /// Refuses a post if the clock is not plausible and the timestamp of one of the items cannot be checked without it.
    pub(crate) fn check(&self, items: &[Option<Draft>], received: Timestamp) -> Result<(), IngestError> {
        let state = self.observe(received);
        let Some(reason) = state.reason(received) else { return Ok(()) };
        let retention_ms = i64::try_from(self.0.readings_retention.as_millis()).unwrap_or(i64::MAX);
        let oldest_kept = received.plus_ms(retention_ms.saturating_neg());
        match items.iter().flatten().all(|draft| state.can_validate(draft.timestamp, received, oldest_kept)) {
            true => Ok(()),
            false => Err(IngestError::Clock { reason, retry_after_s: RETRY_AFTER_S }),
        }
    }

    /// Accepts the clock's time because an operator confirms it. Returns the time, or why it cannot be right.
    pub(crate) fn confirm(&self) -> Result<Timestamp, String> {
        let now = self.0.clock.now();
        let state = {
            let mut guard = self.check_state();
            guard.state = guard.check.confirm(now);
            if guard.state == ClockState::Plausible {
                guard.retention = RetentionClock::new(now);
            }
            guard.state
        };
        match state.reason(now) {
            Some(reason) => Err(reason),
            None => {
                tracing::info!(%now, "the node's clock was confirmed");
                self.persist()
                    .map_err(|error| format!("the time is accepted, but only until the next restart: {error}"))
                    .map(|()| now)
            }
        }
    }

    /// Stores the last plausible time, and the time of [`Self::retention`], in a small file.
    pub(crate) fn persist(&self) -> io::Result<()> {
        let (last, retention) = {
            let guard = self.check_state();
            (guard.check.last_plausible(), guard.retention.at())
        };
        last.map_or(Ok(()), |last_trusted| {
            self.0.store.save_clock_mark(ClockMark { last_trusted, retention_now: retention })
        })
    }

    /// Checks the time and logs when the result changes.
    fn observe(&self, now: Timestamp) -> ClockState {
        let mut guard = self.check_state();
        let state = guard.check.observe(now);
        let before = std::mem::replace(&mut guard.state, state);
        let elapsed = std::mem::replace(&mut guard.read_at, Instant::now()).elapsed();
        if state == ClockState::Plausible {
            guard.retention.advance(now, elapsed);
        }
        drop(guard);
        match (before, state.reason(now)) {
            (ClockState::Plausible, Some(reason)) => tracing::error!("{reason}"),
            (ClockState::Behind { .. } | ClockState::Ahead { .. }, None) => {
                tracing::info!(%now, "the node's clock is plausible again");
            }
            _ => {}
        }
        state
    }

    fn check_state(&self) -> MutexGuard<'_, CheckState> {
        self.0.check.lock()
    }
}
