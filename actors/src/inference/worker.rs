//! One inference worker: an actor with a thread of its own that scores the batches it is handed.
//!
//! It holds no state of any pump, so that any worker can score any window. The windows of a batch that are of one kind of pump
//! are scored together. A batch that panics is scored anew window by window, by a fresh scorer, so that only the windows that
//! break it are lost, and named.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use volute_anomaly::{Model, Score, ScoreError, Scorer, Task};
use volute_runtime::{Envelope, Incarnation, panic_text};

use super::{
    dispatch::{LINGER, Next},
    pool::{Job, Pool, Work},
};
use crate::{
    counters::{Counters, add},
    protocol::pump::ScoreFailure,
};

/// The actor.
pub(crate) struct InferenceActor {
    number: usize,
    /// One for each model that it has scored with.
    scorers: Vec<Scorer>,
    pool: Pool,
    /// It waits for more windows.
    lingering: Option<SpawnHandle>,
    /// It has waited for more.
    lingered: bool,
    counters: Arc<Counters>,
    incarnation: Incarnation<InferenceActor>,
}

impl InferenceActor {
    pub(crate) fn new(
        number: usize,
        pool: Pool,
        counters: Arc<Counters>,
        incarnation: Incarnation<InferenceActor>,
    ) -> Self {
        Self { number, scorers: Vec::new(), pool, lingering: None, lingered: false, counters, incarnation }
    }

    /// Looks again, as a message of its own: in between it can be restarted.
    fn look_again(&self) {
        // It is refused only at the end, and where another call waits.
        self.pool.call(self.number);
    }

    /// Scores windows, those of one model together.
    fn score_all(&mut self, mut jobs: Vec<Job>) {
        while let Some(first) = jobs.first() {
            let model = first.model.clone();
            let (same, others) = jobs.into_iter().partition(|job| job.model.is_same(&model));
            self.score_batch(&model, same);
            jobs = others;
        }
    }

    /// Scores windows of one model together, and replies to their pumps. One that panics by itself is given up.
    fn score_batch(&mut self, model: &Model, mut jobs: Vec<Job>) {
        match self.score(model, &jobs) {
            Ok(Ok(scores)) => {
                add(&self.counters.scored, jobs.len());
                for (job, score) in jobs.into_iter().zip(scores) {
                    self.counters.latencies.inference.note(job.in_hand());
                    job.finish(Ok(score));
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, windows = jobs.len(), "scoring failed");
                add(&self.counters.score_failures, jobs.len());
                jobs.into_iter().for_each(|job| job.finish(Err(ScoreFailure::Failed)));
            }
            Err(panic) if jobs.len() > 1 => {
                tracing::error!(
                    error = panic,
                    windows = jobs.len(),
                    "a batch panicked; its windows are scored one by one"
                );
                jobs.into_iter().for_each(|job| self.score_batch(model, vec![job]));
            }
            Err(panic) => {
                let Some(job) = jobs.pop() else { return };
                let (pump, at) = (job.window.pump.clone(), job.window.at);
                add(&self.counters.score_failures, 1);
                self.incarnation.inbox.slot().recovered(
                    "Window",
                    Some(pump.shared()),
                    &format!("the window at {at}: {panic}"),
                );
                job.finish(Err(ScoreFailure::Failed));
            }
        }
    }

    /// Returns the windows' scores. A panic comes back as its text, and its scorer is not used again.
    fn score(&mut self, model: &Model, jobs: &[Job]) -> Result<Result<Vec<Score>, ScoreError>, String> {
        let tasks: Vec<Task> =
            jobs.iter().map(|job| Task { window: &job.window, scaler: &job.baseline.scaler }).collect();
        let known = self.scorers.iter().position(|scorer| scorer.model().is_same(model));
        let mut scorer = known.map_or_else(|| Scorer::new(model), |place| self.scorers.swap_remove(place));
        let scored = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "failpoints")]
            fail::fail_point!("score");
            Ok(scorer.score(&tasks)?.iter().collect())
        }));
        if scored.is_ok() {
            self.scorers.push(scorer);
        }
        scored.map_err(|panic| panic_text(panic.as_ref()))
    }
}

impl Actor for InferenceActor {
    type Context = Context<Self>;

    /// What waits was perhaps left to the one before.
    fn started(&mut self, _: &mut Self::Context) {
        self.look_again();
    }
}

impl Handler<Envelope<Work>> for InferenceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<Work>, ctx: &mut Self::Context) {
        let Work = message.into_inner();
        if let Some(timer) = self.lingering.take() {
            ctx.cancel_future(timer);
        }
        match self.pool.next(self.number, mem::take(&mut self.lingered)) {
            Next::Nothing => {}
            Next::Linger => {
                self.lingering = Some(ctx.run_later(LINGER, |actor, _| {
                    actor.lingered = true;
                    actor.look_again();
                }));
            }
            Next::Score(jobs) => {
                self.score_all(jobs);
                self.look_again();
            }
        }
    }
}
