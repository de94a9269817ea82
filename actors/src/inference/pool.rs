//! The pool of the inference workers: pumps put windows in, and the workers take them out.
//!
//! It is no actor, because nothing here takes time or can break: a window goes from its pump's thread to a worker's, and
//! through no other. Deliberately absent: who scores what when ([`super::dispatch`]), and scoring (the workers').

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use volute_anomaly::{Baseline, Model, Score};
use volute_plant::Window;
use volute_runtime::{ActorSlot, Message, ReplyTo};

use super::dispatch::{Dispatch, Limits, Next};
use crate::{
    counters::{Counters, add},
    protocol::pump::{ScoreFailure, ScoreResult},
};

/// A worker may be called twice before it looks; whichever call comes first has it look at all that waits.
pub(crate) const CALLS: usize = 2;

/// Windows wait, or may. Sent to a worker.
pub(crate) struct Work;

impl Message for Work {}

/// A window to be scored. One that is dropped on its way tells its pump so.
pub(crate) struct Job {
    seq: u64,
    pub window: Window,
    /// What it is scored with.
    pub model: Model,
    /// What is normal for its pump.
    pub baseline: Arc<Baseline>,
    reply_to: ReplyTo<ScoreResult>,
    /// When it came here, and then when a worker took it.
    since: Instant,
    told: bool,
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    counters: Arc<Counters>,
    workers: Vec<ReplyTo<Work>>,
    /// Where each worker shows how much waits for all of them.
    shown: Vec<Arc<ActorSlot>>,
    dispatch: Mutex<Dispatch<Job>>,
}

impl Job {
    pub(crate) fn new(
        seq: u64,
        window: Window,
        model: Model,
        baseline: Arc<Baseline>,
        reply_to: ReplyTo<ScoreResult>,
    ) -> Self {
        Self { seq, window, model, baseline, reply_to, since: Instant::now(), told: false }
    }

    /// How long it has been with its worker.
    pub(super) fn in_hand(&self) -> Duration {
        self.since.elapsed()
    }

    /// Tells the pump how it ended.
    pub(super) fn finish(mut self, score: Result<Score, ScoreFailure>) {
        self.tell(score);
    }

    /// Bounded by the pump's own windows; a pump that is gone needs no answer.
    fn tell(&mut self, score: Result<Score, ScoreFailure>) {
        if !std::mem::replace(&mut self.told, true) {
            let _ = self.reply_to.try_send(ScoreResult { seq: self.seq, score });
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.tell(Err(ScoreFailure::Failed));
    }
}

impl Pool {
    /// For workers that are yet to be started: how each is called, and where it shows how much waits.
    pub(crate) fn new(limits: Limits, counters: Arc<Counters>, workers: Vec<(ReplyTo<Work>, Arc<ActorSlot>)>) -> Self {
        let (workers, shown): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
        for worker in &shown {
            worker.metrics.capacity.fetch_add(limits.in_all, Relaxed);
        }
        let dispatch = Mutex::new(Dispatch::new(limits, Instant::now()));
        Self(Arc::new(Inner { counters, workers, shown, dispatch }))
    }

    /// One more window.
    pub(crate) fn put(&self, job: Job) {
        let skipped = {
            let mut dispatch = self.dispatch();
            let (pump, since) = (job.window.pump.clone(), job.since);
            let skipped = dispatch.put(pump, job, since);
            self.show(&dispatch);
            skipped
        };
        if let Some(job) = skipped {
            add(&self.0.counters.skipped, 1);
            job.finish(Err(ScoreFailure::Skipped));
        }
        loop {
            let called = self.dispatch().worker_to_wake(Instant::now());
            match called {
                // One that is out of order takes no call; when it is started again it looks by itself.
                Some(worker) if !self.call(worker) => {}
                _ => return,
            }
        }
    }

    /// Whether no worker is left that could score anything before it is restarted by hand.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.0.workers.iter().all(ReplyTo::is_failed)
    }

    /// Has a worker look; false where it is out of order.
    pub(super) fn call(&self, worker: usize) -> bool {
        // One that was called twice already will look.
        self.0.workers.get(worker).is_some_and(|mailbox| mailbox.try_send(Work).is_ok() || !mailbox.is_failed())
    }

    /// What this worker does next; it has waited for more already, or not.
    pub(super) fn next(&self, worker: usize, lingered: bool) -> Next<Job> {
        let now = Instant::now();
        let mut next = {
            let mut dispatch = self.dispatch();
            let next = dispatch.next(worker, lingered, now);
            self.show(&dispatch);
            next
        };
        if let Next::Score(jobs) = &mut next {
            for job in jobs {
                self.0.counters.latencies.queue.note(now.duration_since(job.since));
                job.since = now;
            }
        }
        next
    }

    fn show(&self, dispatch: &Dispatch<Job>) {
        self.0.shown.iter().for_each(|worker| worker.metrics.held.store(dispatch.waiting(), Relaxed));
    }

    fn dispatch(&self) -> MutexGuard<'_, Dispatch<Job>> {
        self.0.dispatch.lock()
    }
}
