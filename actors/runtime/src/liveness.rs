//! How one incarnation does: whether it is on its thread and since when, which message it handles, how it is to end.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

use crate::message::Subject;

/// A message that is being handled.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentMessage {
    /// Its type, without its path.
    pub message: &'static str,
    /// What it is about.
    pub subject: Option<Subject>,
    /// Since when it is handled.
    pub since: SystemTime,
}

/// How an incarnation ends.
#[derive(Debug)]
pub(crate) enum End {
    /// A later incarnation has taken its place.
    Superseded,
    /// A restart was requested.
    RestartRequested,
    /// It failed, for this reason.
    Failed(String),
}

/// One incarnation's state, as others see it.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    /// Since when the actor has been on its thread.
    busy_since: Mutex<Option<Instant>>,
    current: Mutex<Option<CurrentMessage>>,
    /// The actor is suspended: the current message waits for something else.
    suspended: AtomicBool,
    /// It is to end, and how.
    end: Mutex<Option<End>>,
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

    /// Has the incarnation end. The first reason stands.
    pub(crate) fn end(&self, end: End) {
        self.end.lock().get_or_insert(end);
    }

    pub(crate) fn take_end(&self) -> Option<End> {
        self.end.lock().take()
    }

    /// Returns how long the actor has kept its thread, unless it is suspended.
    pub(crate) fn stuck_for(&self) -> Option<Duration> {
        let since = (*self.busy_since.lock())?;
        (!self.suspended.load(SeqCst)).then(|| since.elapsed())
    }
}
