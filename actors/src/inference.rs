//! One inference worker: an actor with a thread of its own that scores the batches it is handed.
//!
//! It holds no state of any pump, so that any worker can score any window.

use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler};
use volute_anomaly::{Scorer, Task};

use crate::{
    counters::{Counters, add},
    inference_pool::{Idle, InferencePool, Job},
    mailbox::{Mail, Mailbox, unbound},
};

/// Windows to be scored together.
pub(crate) struct ScoreBatch(pub Vec<Job>);

/// The actor.
pub(crate) struct InferenceActor {
    scorer: Scorer,
    pool: Mailbox<InferencePool>,
    counters: Arc<Counters>,
    own: Option<Mailbox<InferenceActor>>,
}

impl InferenceActor {
    pub(crate) fn new(scorer: Scorer, pool: Mailbox<InferencePool>, counters: Arc<Counters>) -> Self {
        Self { scorer, pool, counters, own: None }
    }

    /// Asks for work. The pool's mailbox has a place for each worker, so this is refused only at the end.
    fn ask(&self) {
        if let Some(own) = &self.own {
            let _ = self.pool.post(Idle(own.clone()));
        }
    }
}

impl Actor for InferenceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
        self.own = Some(Mailbox::new(ctx.address(), 1));
        self.ask();
    }
}

impl Handler<Mail<ScoreBatch>> for InferenceActor {
    type Result = ();

    fn handle(&mut self, mail: Mail<ScoreBatch>, _: &mut Self::Context) {
        let ScoreBatch(jobs) = mail.open();
        let tasks: Vec<Task> =
            jobs.iter().map(|job| Task { window: &job.window, scaler: &job.baseline.scaler }).collect();
        match self.scorer.score(&tasks) {
            Ok(scores) => {
                add(&self.counters.scored, jobs.len());
                for (job, score) in jobs.into_iter().zip(scores.iter()) {
                    job.finish(Some(score));
                }
            }
            Err(error) => {
                tracing::error!(%error, windows = jobs.len(), "scoring failed");
                add(&self.counters.score_failures, jobs.len());
                jobs.into_iter().for_each(|job| job.finish(None));
            }
        }
        self.ask();
    }
}
