//! The node's clock, and what is thought of it: who asks for the time learns whether it can be believed.
//!
//! Shared by the gate, the keeper and the web. The rules are the plant crate's ([`ClockCheck`]); this is the shell, which
//! tells the clock, says once what is wrong with it, and keeps the last believed time in the store.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use volute_data::{ClockMark, Store};
use volute_plant::{Clock, ClockCheck, ClockState, Draft, RetentionClock, Timestamp};

use crate::receipt::Refusal;

/// When a client may send again what a doubtful clock cannot date.
const RETRY_AFTER_S: u64 = 10;

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeClock(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    store: Store,
    /// How long readings are kept.
    readings_kept: Duration,
    judged: Mutex<Judged>,
}

struct Judged {
    check: ClockCheck,
    state: ClockState,
    retention: RetentionClock,
    /// When the clock was looked at last.
    looked: Instant,
}

impl NodeClock {
    /// Judged by what the store knows.
    pub(crate) async fn new(clock: Arc<dyn Clock>, store: Store, readings_kept: Duration) -> Self {
        let mark = store.clock_mark().await;
        let check = ClockCheck::new(mark.map(|mark| mark.believed));
        let retention = RetentionClock::new(mark.map_or_else(|| clock.now(), |mark| mark.retention));
        let judged = Mutex::new(Judged { check, state: ClockState::Plausible, retention, looked: Instant::now() });
        let clock = Self(Arc::new(Inner { clock, store, readings_kept, judged }));
        clock.look();
        clock
    }

    /// The time, and what is thought of it.
    pub(crate) fn look(&self) -> (Timestamp, ClockState) {
        let now = self.0.clock.now();
        (now, self.judge(now))
    }

    /// The time as far as it is believed: by it, nothing is too old too early.
    pub(crate) fn believed(&self) -> Timestamp {
        let (now, _) = self.look();
        self.judged().check.last().map_or(now, |last| last.min(now))
    }

    /// The time by which rows are too old to be kept.
    pub(crate) fn retention(&self) -> Timestamp {
        self.look();
        self.judged().retention.at()
    }

    /// What is wrong with the clock, for people; none if nothing is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (now, state) = self.look();
        state.reason(now)
    }

    /// Refuses a post with an item whose time cannot be judged.
    pub(crate) fn check(&self, items: &[Option<Draft>], received: Timestamp) -> Result<(), Refusal> {
        let state = self.judge(received);
        let Some(reason) = state.reason(received) else { return Ok(()) };
        let kept_ms = i64::try_from(self.0.readings_kept.as_millis()).unwrap_or(i64::MAX);
        let oldest_kept = received.plus_ms(kept_ms.saturating_neg());
        match items.iter().flatten().all(|draft| state.can_date(draft.stamp, received, oldest_kept)) {
            true => Ok(()),
            false => Err(Refusal::Clock { reason, retry_after_s: RETRY_AFTER_S }),
        }
    }

    /// A person says that the clock is right. Returns its time, or why it cannot be.
    pub(crate) fn confirm(&self) -> Result<Timestamp, String> {
        let now = self.0.clock.now();
        let state = {
            let mut judged = self.judged();
            judged.state = judged.check.confirm(now);
            if judged.state == ClockState::Plausible {
                judged.retention = RetentionClock::new(now);
            }
            judged.state
        };
        match state.reason(now) {
            Some(reason) => Err(reason),
            None => {
                tracing::info!(%now, "the node's clock was confirmed");
                self.keep().map_err(|error| format!("it holds, but not beyond a restart: {error}")).map(|()| now)
            }
        }
    }

    /// Keeps what is known of the clock. Writes a small file.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let (last, retention) = {
            let judged = self.judged();
            (judged.check.last(), judged.retention.at())
        };
        last.map_or(Ok(()), |believed| self.0.store.note_clock(ClockMark { believed, retention }))
    }

    fn judge(&self, now: Timestamp) -> ClockState {
        let mut judged = self.judged();
        let state = judged.check.observe(now);
        let before = std::mem::replace(&mut judged.state, state);
        let elapsed = std::mem::replace(&mut judged.looked, Instant::now()).elapsed();
        if state == ClockState::Plausible {
            judged.retention.follow(now, elapsed);
        }
        drop(judged);
        match (before, state.reason(now)) {
            (ClockState::Plausible, Some(reason)) => tracing::error!("{reason}"),
            (ClockState::Behind { .. } | ClockState::Ahead { .. }, None) => {
                tracing::info!(%now, "the node's clock is plausible again");
            }
            _ => {}
        }
        state
    }

    fn judged(&self) -> MutexGuard<'_, Judged> {
        self.0.judged.lock()
    }
}
