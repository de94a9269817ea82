//! What one actor has done, over all its incarnations: counts, times, and how long its messages took.

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
    /// Messages that wait in the inbox.
    pub waiting: AtomicUsize,
    /// What came in messages and waits with the actor itself. The actor sets it.
    pub held: AtomicUsize,
    /// Messages that may wait.
    pub capacity: AtomicUsize,
    /// When the last message was done, in milliseconds since 1970; 0: never.
    pub last_progress_ms: AtomicI64,
    /// How long messages took.
    pub took: Histogram,
}

impl ActorMetrics {
    /// Returns how many wait, in the inbox and with the actor.
    pub fn depth(&self) -> usize {
        self.waiting.load(Relaxed) + self.held.load(Relaxed)
    }
}
