//! One inference worker: an actor with a thread of its own that scores the batches it is handed.
//!
//! It holds no state of any pump, so that any worker can score any window. A batch that panics is scored anew window by
//! window, by a fresh scorer, so that only the windows that break it are lost, and named.

mod dispatch;
mod fair;
mod pace;
mod pool;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use volute_anomaly::{Model, Score, ScoreError, Scorer, Task};
use volute_runtime::{Envelope, Incarnation, Message, panic_text};

use crate::{
    counters::{Counters, add},
    pump::Unscored,
};

pub(crate) use dispatch::Limits;
pub(crate) use pace::best_batch;
pub(crate) use pool::{Job, Pool};

use dispatch::{LINGER, Next};

/// Windows wait, or may.
pub(crate) struct Work;

impl Message for Work {}

/// The actor.
pub(crate) struct InferenceActor {
    number: usize,
    model: Model,
    scorer: Scorer,
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
        model: &Model,
        pool: Pool,
        counters: Arc<Counters>,
        incarnation: Incarnation<InferenceActor>,
    ) -> Self {
        let (model, scorer) = (model.clone(), Scorer::new(model));
        Self { number, model, scorer, pool, lingering: None, lingered: false, counters, incarnation }
    }

    /// Looks again, as a message of its own: in between it can be restarted.
    fn look_again(&self) {
        // It is refused only at the end, and where another call waits.
        self.pool.call(self.number);
    }

    /// The windows' scores; a panic comes back as its text.
    fn score(&mut self, jobs: &[Job]) -> Result<Result<Vec<Score>, ScoreError>, String> {
        let tasks: Vec<Task> =
            jobs.iter().map(|job| Task { window: &job.window, scaler: &job.baseline.scaler }).collect();
        let scored = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "failpoints")]
            fail::fail_point!("score");
            Ok(self.scorer.score(&tasks)?.iter().collect())
        }));
        scored.map_err(|panic| panic_text(panic.as_ref()))
    }

    /// Scores these together, and tells their pumps; one that panics by itself is given up.
    fn finish(&mut self, mut jobs: Vec<Job>) {
        match self.score(&jobs) {
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
                jobs.into_iter().for_each(|job| job.finish(Err(Unscored::Failed)));
            }
            Err(panic) if jobs.len() > 1 => {
                tracing::error!(
                    error = panic,
                    windows = jobs.len(),
                    "a batch panicked; its windows are scored one by one"
                );
                self.scorer = Scorer::new(&self.model);
                jobs.into_iter().for_each(|job| self.finish(vec![job]));
            }
            Err(panic) => {
                self.scorer = Scorer::new(&self.model);
                let Some(job) = jobs.pop() else { return };
                let (pump, at) = (job.window.pump.clone(), job.window.at);
                add(&self.counters.score_failures, 1);
                self.incarnation.inbox.slot().recovered(
                    "Window",
                    Some(pump.shared()),
                    &format!("the window at {at}: {panic}"),
                );
                job.finish(Err(Unscored::Failed));
            }
        }
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
        match self.pool.next(self.number, std::mem::take(&mut self.lingered)) {
            Next::Nothing => {}
            Next::Linger => {
                self.lingering = Some(ctx.run_later(LINGER, |actor, _| {
                    actor.lingered = true;
                    actor.look_again();
                }));
            }
            Next::Score(jobs) => {
                self.finish(jobs);
                self.look_again();
            }
        }
    }
}
