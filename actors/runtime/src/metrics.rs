//! One actor's metrics over all its incarnations: counts, the time of the last progress, and the durations of handling
//! messages.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::histogram::Histogram;

/// One actor's metrics.
#[derive(Debug, Default)]
pub struct ActorMetrics {
    /// Messages handled.
    pub processed: AtomicU64,
    /// Failures.
    pub failures: AtomicU64,
    /// Incarnations after the first.
    pub restarts: AtomicU64,
    /// Messages that wait in the inbox now.
    pub waiting: AtomicUsize,
    /// Items from handled messages that the actor itself still holds. The actor sets this value.
    pub held: AtomicUsize,
    /// The largest number of messages that may wait.
    pub capacity: AtomicUsize,
    /// When the last message was finished, in milliseconds since 1970; 0 means never.
    pub last_progress_ms: AtomicI64,
    /// The durations of handling messages.
    pub handling_times: Histogram,
}

impl ActorMetrics {
    /// Returns the number of messages in the inbox and of items that the actor holds.
    pub fn depth(&self) -> usize {
        self.waiting.load(Relaxed) + self.held.load(Relaxed)
    }
}
