//! Commissioning: learns what is normal for one pump at a time, on a thread of its own.
//!
//! A pump that has collected enough normal running requests it, and so does who wants it learned anew. The readings are read,
//! or made, when their turn comes, one pump at a time, and no inference worker is held up. Stored readings are read twice, a
//! page at a time, so that a stretch may be as long as it likes: of more windows than [`volute_anomaly::MOST_LEVELS`] an even
//! share is learned from, and the baseline's reason says so.
//!
//! Does not store or use the baseline, which the pump does, and does not say when there is enough: see [`collection`].

pub(crate) mod collection;
pub(crate) mod errors;
pub(crate) mod mode;
mod orders;
pub(crate) mod versions;

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use volute_anomaly::{Baseline, CommissioningError, MOST_LEVELS, Model, Observed, Survey};
use volute_data::{NewBaseline, Range, Store};
use volute_plant::{Clock, Profile, PumpId, Reading, Timestamp, Window};
use volute_runtime::Envelope;

use crate::{
    counters::{Counters, add},
    kind::PumpKind,
    protocol::commissioning::{CommissionJob, TrainingData},
};
use collection::NormalWindows;
use errors::LearnError;

/// Jobs that may wait. A pump for whose own there is no room tries again later.
pub(crate) const JOBS: usize = 64;
/// Readings in one page from the store.
const PAGE: usize = 10_000;

/// The actor.
pub(crate) struct CommissioningActor {
    pub commissioner: Arc<Commissioner>,
    pub counters: Arc<Counters>,
}

/// What learning takes besides the job.
pub(crate) struct Commissioner {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

impl Commissioner {
    async fn learn(
        &self,
        pump: &PumpId,
        kind: &PumpKind,
        why: String,
        data: TrainingData,
    ) -> Result<(Baseline, NewBaseline), LearnError> {
        let detection = kind.detection.as_ref().ok_or(LearnError::NoModel)?;
        let model = &detection.model;
        // The windows are of the pump's own interval.
        let profile = &self.store.pump_settings(pump).await?.apply(&kind.profile);
        let (observed, why, stretch) = match data {
            TrainingData::Stored(from, to) => {
                let (observed, every) = self.stored(model, profile, pump, (from, to)).await?;
                (observed, thinned(why, every), Some((from, to)))
            }
            TrainingData::Made(make) => {
                let runs = make();
                let all = || runs.iter().flatten();
                let ends = all().next().map(|first| first.at).zip(all().next_back().map(|last| last.at.plus_ms(1)));
                (made(model, profile, &runs)?, why, ends)
            }
        };
        let baseline = Baseline::of(profile, &observed, &detection.how);
        let (from, to) = stretch.unwrap_or((baseline.learned.from, baseline.learned.to));
        let new = NewBaseline {
            created_at: self.clock.now(),
            network: baseline.network.clone(),
            baseline: baseline.id.clone(),
            from,
            to,
            why,
            document: serde_json::to_string(&baseline)?,
        };
        Ok((baseline, new))
    }

    /// Learns from a stretch that is stored. Returns also how thin: every nth of its windows was looked at.
    async fn stored(
        &self,
        model: &Model,
        profile: &Profile,
        pump: &PumpId,
        stretch: (Timestamp, Timestamp),
    ) -> Result<(Observed, usize), LearnError> {
        let mut survey = Survey::new(profile);
        let count = |window: Window| {
            survey.take(&window);
            Ok(())
        };
        self.each_window(profile, pump, stretch, count).await?;
        let mut observation = survey.observe(model)?;
        self.each_window(profile, pump, stretch, |window| Ok(observation.take(window)?)).await?;
        let every = observation.every();
        Ok((observation.finish()?, every))
    }

    /// Reads a stretch, a page at a time, and hands on its windows of normal running, oldest first.
    async fn each_window(
        &self,
        profile: &Profile,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        mut take: impl FnMut(Window) -> Result<(), LearnError>,
    ) -> Result<(), LearnError> {
        let mut normal = NormalWindows::new(profile);
        let mut after = None;
        loop {
            let range = Range { from: Some(from), to: Some(to), limit: PAGE, after, ..Range::default() };
            let page = self.store.readings(pump, &range).await?.all()?;
            let Some(last) = page.last() else { break };
            after = Some(last.at);
            page.into_iter().flat_map(|reading| normal.take(Some(reading))).try_for_each(&mut take)?;
        }
        normal.take(None).try_for_each(take)
    }
}

/// Learns from readings that are not stored.
fn made(model: &Model, profile: &Profile, runs: &[Vec<Reading>]) -> Result<Observed, CommissioningError> {
    let of_run = |readings: &Vec<Reading>| {
        let mut normal = NormalWindows::new(profile);
        let all = readings.iter().cloned().map(Some).chain([None]);
        all.flat_map(move |next| normal.take(next)).collect::<Vec<_>>()
    };
    Observed::of(model, profile, || runs.iter().flat_map(of_run))
}

/// Why a baseline was learned, and from which share of the windows if not from all.
fn thinned(why: String, every: usize) -> String {
    if every == 1 { why } else { format!("{why}; from every {every}th window, for there are more than {MOST_LEVELS}") }
}

impl Actor for CommissioningActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<CommissionJob>> for CommissioningActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<CommissionJob>, ctx: &mut Self::Context) {
        let CommissionJob { pump, kind, why, data, reply } = message.into_inner();
        let commissioner = self.commissioner.clone();
        let job = async move {
            let outcome = commissioner.learn(&pump, &kind, why, data).await;
            let is_learned = outcome.is_ok();
            reply.send(outcome).await;
            is_learned
        };
        // The actor takes nothing else until this is done: one pump at a time.
        ctx.wait(job.into_actor(self).map(|is_learned, actor, _| {
            let Counters { commissioned, commissioning_failures, .. } = &*actor.counters;
            add(if is_learned { commissioned } else { commissioning_failures }, 1);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_that_was_thinned_says_so() {
        assert_eq!(thinned("as asked".into(), 1), "as asked");
        let thin = "as asked; from every 12th window, for there are more than 259200";
        assert_eq!(thinned("as asked".into(), 12), thin);
    }
}
