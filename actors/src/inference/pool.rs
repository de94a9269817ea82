//! The queue between pumps and inference workers: pumps put windows in, and workers take them out.
//!
//! The pool is a shared queue and not an actor, so a window goes directly from its pump's thread to a worker's thread.
//!
//! An example: P-7's actor puts a window in. Its last [`WakeUp`] was handled, so the pool wakes worker 2, which asks for
//! windows and gets this one together with P-3's. It sends each score to the pump that waits for it, and asks again.
//!
//! Does not decide which worker scores which windows; see [`super::dispatch`]. Does not score; see [`super::worker`].

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use volute_anomaly::{Baseline, Model, ResidualWindow, Score};
use volute_plant::Window;
use volute_runtime::{ActorSlot, Message, Recipient};

use super::dispatch::{Dispatch, NextStep, QueueLimits};
use crate::{
    counters::{Counters, add},
    protocol::pump::{ScoreFailure, ScoreResult},
};

/// The capacity of a worker's inbox. Two wake-ups are enough: one from a pump and one from the worker itself. With
/// each, the worker checks all waiting windows.
pub(crate) const WAKE_UP_CAPACITY: usize = 2;

/// Wakes a worker, so that it asks the pool for windows.
pub(crate) struct WakeUp;

impl Message for WakeUp {}

/// A window to be scored. If it is dropped without a score, its pump receives [`ScoreFailure::Failed`].
pub(crate) struct Job {
    seq: u64,
    pub inputs: JobInputs,
    reply_to: Recipient<ScoreResult>,
    queued_at: Instant,
    /// When a worker took the window; none while it waits.
    taken_at: Option<Instant>,
    replied: bool,
}

/// What a window is scored with.
pub(crate) struct JobInputs {
    pub window: Window,
    /// The residuals of its steps, if its pump's detector has any.
    pub residuals: Option<ResidualWindow>,
    /// The model that scores it.
    pub model: Model,
    /// Its pump's baseline.
    pub baseline: Arc<Baseline>,
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    counters: Arc<Counters>,
    workers: Vec<Recipient<WakeUp>>,
    /// The workers' slots, whose metrics show the number of waiting windows.
    slots: Vec<Arc<ActorSlot>>,
    dispatch: Mutex<Dispatch<Job>>,
}

impl Job {
    pub(crate) fn new(seq: u64, inputs: JobInputs, reply_to: Recipient<ScoreResult>) -> Self {
        Self { seq, inputs, reply_to, queued_at: Instant::now(), taken_at: None, replied: false }
    }

    /// Returns for how long a worker has had it.
    pub(super) fn scoring_time(&self) -> Duration {
        self.taken_at.map_or(Duration::ZERO, |taken_at| taken_at.elapsed())
    }

    /// Sends the score, or the failure, to the pump.
    pub(super) fn finish(mut self, score: Result<Score, ScoreFailure>) {
        self.reply(score);
    }

    /// Sends the reply once. Does not wait for a permit, since the number of replies is bounded by the pump's own
    /// windows. If the pump's actor has stopped, the reply is dropped.
    fn reply(&mut self, score: Result<Score, ScoreFailure>) {
        if !std::mem::replace(&mut self.replied, true) {
            let _ = self.reply_to.try_send(ScoreResult { seq: self.seq, score });
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.reply(Err(ScoreFailure::Failed));
    }
}

impl Pool {
    /// Returns the pool of these workers, which are started afterwards. Each worker is given as its address and its
    /// slot.
    pub(crate) fn new(
        limits: QueueLimits,
        counters: Arc<Counters>,
        workers: Vec<(Recipient<WakeUp>, Arc<ActorSlot>)>,
    ) -> Self {
        let (workers, slots): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
        for slot in &slots {
            slot.metrics.capacity.fetch_add(limits.total, Relaxed);
        }
        let dispatch = Mutex::new(Dispatch::new(limits, Instant::now()));
        Self(Arc::new(Inner { counters, workers, slots, dispatch }))
    }

    /// Adds a window, and wakes a worker if one is needed.
    pub(crate) fn put(&self, job: Job) {
        let skipped = {
            let mut dispatch = self.dispatch();
            let (pump, queued_at) = (job.inputs.window.pump.clone(), job.queued_at);
            let skipped = dispatch.put(pump, job, queued_at);
            self.update_depth(&dispatch);
            skipped
        };
        if let Some(job) = skipped {
            add(&self.0.counters.skipped, 1);
            job.finish(Err(ScoreFailure::Skipped));
        }
        loop {
            let worker = self.dispatch().worker_to_wake(Instant::now());
            match worker {
                // A failed worker cannot be woken. After a restart it asks for work by itself.
                Some(worker) if !self.wake(worker) => {}
                _ => return,
            }
        }
    }

    /// Returns whether all workers have failed and stay down until a restart is requested.
    pub(crate) fn is_failed(&self) -> bool {
        self.0.workers.iter().all(Recipient::is_failed)
    }

    /// Wakes a worker. Returns false if it has failed.
    pub(super) fn wake(&self, worker: usize) -> bool {
        // If its inbox is full, other wake-ups wait there already.
        self.0.workers.get(worker).is_some_and(|address| address.try_send(WakeUp).is_ok() || !address.is_failed())
    }

    /// Returns what this worker does next. `lingered` says whether it has just waited for more windows.
    pub(super) fn next(&self, worker: usize, lingered: bool) -> NextStep<Job> {
        let now = Instant::now();
        let mut next = {
            let mut dispatch = self.dispatch();
            let next = dispatch.next(worker, lingered, now);
            self.update_depth(&dispatch);
            next
        };
        if let NextStep::Score(jobs) = &mut next {
            for job in jobs {
                self.0.counters.latencies.pool_wait.record(now.duration_since(job.queued_at));
                job.taken_at = Some(now);
            }
        }
        next
    }

    /// Sets the workers' metric of waiting windows.
    fn update_depth(&self, dispatch: &Dispatch<Job>) {
        self.0.slots.iter().for_each(|slot| slot.metrics.held.store(dispatch.waiting(), Relaxed));
    }

    fn dispatch(&self) -> MutexGuard<'_, Dispatch<Job>> {
        self.0.dispatch.lock()
    }
}
