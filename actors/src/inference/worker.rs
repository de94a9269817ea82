//! An inference worker: an actor with a thread of its own that scores batches of windows from the pool.
//!
//! A worker holds no state of any pump, so each worker can score every window. Windows of a batch that share a model
//! are scored together. If scoring a batch panics, its windows are scored again one by one with a new scorer, so that
//! only the windows that cause the panic are lost, and dead letters name them.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use volute_anomaly::{Model, Score, ScoreError, ScoreInput, Scorer};
use volute_runtime::{Envelope, Incarnation, panic_text};

use super::{
    dispatch::{LINGER, NextStep},
    pool::{Job, Pool, WakeUp},
};
use crate::{
    counters::{Counters, add},
    protocol::pump::ScoreFailure,
};

/// The maximum number of models whose scorers a worker keeps. More than this number of kinds of pumps are hardly scored
/// at the same time. The scorer that was used least recently, usually of a replaced model, is dropped first.
const MAX_SCORERS: usize = 64;

/// The actor.
pub(crate) struct InferenceActor {
    number: usize,
    /// The scorers of the models used last, the most recent at the end; at most [`MAX_SCORERS`].
    scorers: Vec<Scorer>,
    pool: Pool,
    /// The timer while the worker waits for more windows.
    lingering: Option<SpawnHandle>,
    /// Whether that timer has just ended.
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

    /// Asks for work again by a message to itself, so that a requested restart can happen in between.
    fn wake_self(&self) {
        // The message is refused only if the worker is stopped, or if enough messages wait already.
        self.pool.wake(self.number);
    }

    /// Scores windows, grouped by model.
    fn score_all(&mut self, mut jobs: Vec<Job>) {
        while let Some(first) = jobs.first() {
            let model = first.inputs.model.clone();
            let (batch, remaining) = jobs.into_iter().partition(|job| job.inputs.model.is_same(&model));
            self.score_batch(&model, batch);
            jobs = remaining;
        }
    }

    /// Scores windows of one model together, and replies to their pumps. A window whose scoring panics even on its own
    /// is recorded as a dead letter.
    fn score_batch(&mut self, model: &Model, mut jobs: Vec<Job>) {
        match self.score(model, &jobs) {
            Ok(Ok(scores)) => {
                add(&self.counters.scored, jobs.len());
                for (job, score) in jobs.into_iter().zip(scores) {
                    self.counters.latencies.scoring.record(job.scoring_time());
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
                let (pump, at) = (job.inputs.window.pump.clone(), job.inputs.window.at);
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

    /// Returns the windows' scores, or the message of a panic. A scorer that panicked is not used again.
    fn score(&mut self, model: &Model, jobs: &[Job]) -> Result<Result<Vec<Score>, ScoreError>, String> {
        let tasks: Vec<ScoreInput> = jobs
            .iter()
            .map(|job| ScoreInput::of(&job.inputs.window, &job.inputs.baseline, job.inputs.residuals.as_ref()))
            .collect();
        let mut scorer = match self.scorers.iter().position(|scorer| scorer.model().is_same(model)) {
            Some(known) => self.scorers.remove(known),
            None => Scorer::new(model),
        };
        if self.scorers.len() >= MAX_SCORERS {
            self.scorers.remove(0);
        }
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

    /// Asks for windows that waited while no incarnation ran.
    fn started(&mut self, _: &mut Self::Context) {
        self.wake_self();
    }
}

impl Handler<Envelope<WakeUp>> for InferenceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<WakeUp>, ctx: &mut Self::Context) {
        let WakeUp = message.into_inner();
        if let Some(timer) = self.lingering.take() {
            ctx.cancel_future(timer);
        }
        match self.pool.next(self.number, mem::take(&mut self.lingered)) {
            NextStep::Idle => {}
            NextStep::Linger => {
                self.lingering = Some(ctx.run_later(LINGER, |actor, _| {
                    actor.lingered = true;
                    actor.wake_self();
                }));
            }
            NextStep::Score(jobs) => {
                self.score_all(jobs);
                self.wake_self();
            }
        }
    }
}
