//! One inference worker: an actor with a thread of its own that scores the batches it is handed.
//!
//! It holds no state of any pump, so that any worker can score any window. A batch that panics is scored anew window by
//! window, by a fresh scorer, so that only the windows that break it are lost, and named.

mod pace;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::{Actor, Context, Handler};
use volute_anomaly::{Model, Score, ScoreError, Scorer, Task};

use crate::{
    counters::{Counters, add},
    inference_pool::{Idle, InferencePool, Job},
    mailbox::{Letter, Mail, Mailbox},
    supervision::{Life, panic_text},
};

pub(crate) use pace::best_batch;

/// Windows to be scored together.
pub(crate) struct ScoreBatch(pub Vec<Job>);

/// The pool has forgotten who is idle.
pub(crate) struct AreYouIdle;

impl Letter for ScoreBatch {}

impl Letter for AreYouIdle {}

/// The actor.
pub(crate) struct InferenceActor {
    number: usize,
    model: Model,
    scorer: Scorer,
    pool: Mailbox<InferencePool>,
    counters: Arc<Counters>,
    life: Life<InferenceActor>,
}

impl InferenceActor {
    pub(crate) fn new(
        number: usize,
        model: &Model,
        pool: Mailbox<InferencePool>,
        counters: Arc<Counters>,
        life: Life<InferenceActor>,
    ) -> Self {
        Self { number, model: model.clone(), scorer: Scorer::new(model), pool, counters, life }
    }

    /// Asks for work. The pool's mailbox has room for all workers, so this is refused only at the end.
    fn ask(&self) {
        let _ = self.pool.post(Idle(self.number));
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
                    job.finish(Some(score));
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, windows = jobs.len(), "scoring failed");
                add(&self.counters.score_failures, jobs.len());
                jobs.into_iter().for_each(|job| job.finish(None));
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
                self.life.inbox.cell().stumbled("Window", Some(pump), &format!("the window at {at}: {panic}"));
                job.finish(None);
            }
        }
    }
}

impl Actor for InferenceActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.ask();
    }
}

impl Handler<Mail<ScoreBatch>> for InferenceActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<ScoreBatch>, _: &mut Self::Context) {
        let ScoreBatch(jobs) = mail.open();
        self.finish(jobs);
        self.ask();
    }
}

impl Handler<Mail<AreYouIdle>> for InferenceActor {
    type Result = ();

    fn handle(&mut self, _: Mail<AreYouIdle>, _: &mut Self::Context) {
        self.ask();
    }
}
