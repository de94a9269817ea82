//! The state of one incarnation that other threads can read: since when it has been running on its thread without a
//! break, which message it handles, and whether it has to end.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

use crate::message::Subject;

/// A message that is being handled.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentMessage {
    /// The message's type, without its path.
    pub message: &'static str,
    /// What the message is about.
    pub subject: Option<Subject>,
    /// When the actor began to handle it.
    pub since: SystemTime,
}

/// Why an incarnation ends.
#[derive(Debug)]
pub(crate) enum EndReason {
    /// A later incarnation replaces it.
    Superseded,
    /// A restart was requested.
    RestartRequested,
    /// It failed with this error.
    Failed(String),
}

/// One incarnation's state.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    /// Since when the actor has been running on its thread; none while it does not run.
    busy_since: Mutex<Option<Instant>>,
    current: Mutex<Option<CurrentMessage>>,
    /// Whether the actor is suspended: its current message waits for a future.
    suspended: AtomicBool,
    /// Why the incarnation has to end; none if it may continue.
    end: Mutex<Option<EndReason>>,
}

impl Liveness {
    pub(crate) fn set_busy(&self, busy: bool) {
        *self.busy_since.lock() = busy.then(Instant::now);
    }

    pub(crate) fn set_suspended(&self, suspended: bool) {
        self.suspended.store(suspended, SeqCst);
    }

    pub(crate) fn set_current(&self, message: CurrentMessage) {
        *self.current.lock() = Some(message);
    }

    pub(crate) fn take_current(&self) -> Option<CurrentMessage> {
        self.current.lock().take()
    }

    pub(crate) fn current(&self) -> Option<CurrentMessage> {
        self.current.lock().clone()
    }

    /// Requests the end of the incarnation. The first reason is kept.
    pub(crate) fn request_end(&self, reason: EndReason) {
        self.end.lock().get_or_insert(reason);
    }

    pub(crate) fn take_end(&self) -> Option<EndReason> {
        self.end.lock().take()
    }

    /// Returns for how long the actor has been running on its thread without a break, unless it is suspended.
    pub(crate) fn stuck_for(&self) -> Option<Duration> {
        let since = (*self.busy_since.lock())?;
        (!self.suspended.load(SeqCst)).then(|| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_actor_that_runs_and_does_not_wait_may_be_stuck() {
        let liveness = Liveness::default();
        assert_eq!(liveness.stuck_for(), None, "it does not run");
        liveness.set_busy(true);
        assert!(liveness.stuck_for().is_some());
        liveness.set_suspended(true);
        assert_eq!(liveness.stuck_for(), None, "its message waits for a future");
        liveness.set_suspended(false);
        assert!(liveness.stuck_for().is_some());
        liveness.set_busy(false);
        assert_eq!(liveness.stuck_for(), None);
    }

    #[test]
    fn the_first_reason_to_end_is_kept() {
        let liveness = Liveness::default();
        liveness.request_end(EndReason::Failed("the disk is gone".into()));
        liveness.request_end(EndReason::Superseded);
        assert!(matches!(liveness.take_end(), Some(EndReason::Failed(error)) if error == "the disk is gone"));
        assert!(liveness.take_end().is_none());
    }
}
