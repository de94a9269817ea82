//! Learns the baselines of pumps, one pump at a time, on a separate thread, so that inference workers are not blocked.
//!
//! A pump that has collected enough normal running requests its baseline. An operator or the simulation may request one
//! from other readings. The readings are read from the store, or generated, when the job starts. Stored readings are
//! read page by page, so a range may have any length, and twice: first to count the windows and find the channels'
//! ranges, then to learn from them. If there are more windows than [`volute_anomaly::MAX_LEVEL_WINDOWS`], only every
//! nth window is used, and the baseline's reason says so.
//!
//! Does not store or use the baseline; the pump's actor does. Does not decide when there is enough normal running; see
//! [`collection`].

pub(crate) mod collection;
mod commands;
pub(crate) mod errors;
pub(crate) mod mode;
pub(crate) mod versions;

use std::{collections::BTreeSet, sync::Arc};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use volute_anomaly::{
    Baseline, CommissioningError, Decider, HealthyStatistics, HealthyStep, MAX_LEVEL_WINDOWS, Survey,
};
use volute_data::{NewBaseline, PageRange, Store};
use volute_plant::{Clock, Profile, PumpId, Reading, Timestamp, WindowConfig};
use volute_runtime::Envelope;

use crate::{
    counters::{Counters, add},
    kind::{DetectionContext, PumpKind},
    protocol::commissioning::{CommissionJob, LearnedBaseline, TrainingData},
};
use collection::HealthySteps;
use errors::LearnError;

/// At most this many jobs wait. A pump that finds the queue full tries again later.
pub(crate) const MAX_QUEUED_JOBS: usize = 64;
/// Readings in one page from the store.
const PAGE_READINGS: usize = 10_000;

/// The actor that learns baselines.
pub(crate) struct CommissioningActor {
    pub commissioner: Arc<Commissioner>,
    pub counters: Arc<Counters>,
}

/// Learns the baseline for each job.
pub(crate) struct Commissioner {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

impl Commissioner {
    async fn learn(
        &self,
        pump: &PumpId,
        kind: &PumpKind,
        reason: String,
        data: TrainingData,
    ) -> Result<LearnedBaseline, LearnError> {
        let detection = kind.detection.as_ref().ok_or(LearnError::NoModel)?;
        // The pump's own settings override the profile, for example the interval of the windows.
        let profile = &self.store.pump_settings(pump).await?.apply(&kind.profile);
        let (statistics, reason, range) = match data {
            TrainingData::Stored { from, to, has_detections } => {
                let range = (from, to);
                let anomalies = if has_detections { self.anomalies(pump, range).await? } else { BTreeSet::new() };
                let (statistics, every) = self.observe_stored(detection, profile, pump, range, &anomalies).await?;
                (statistics, with_sampling_note(reason, every), Some(range))
            }
            TrainingData::Generated(make) => {
                let runs = make();
                let readings = || runs.iter().flatten();
                let ends =
                    readings().next().map(|first| first.at).zip(readings().next_back().map(|last| last.at.plus_ms(1)));
                (observe_generated(detection, profile, &runs)?, reason, ends)
            }
        };
        let baseline = Arc::new(Baseline::of(profile, &statistics, &detection.how)?);
        let (from, to) = range.unwrap_or((baseline.learned.from, baseline.learned.to));
        let new = NewBaseline {
            created_at: self.clock.now(),
            network: baseline.network.clone(),
            baseline_id: baseline.id.clone(),
            from,
            to,
            reason,
            document: serde_json::to_string(&*baseline)?,
        };
        // The pump's own readings follow stored ones, but not generated ones, so after these the decider starts empty.
        let decider =
            if range.is_some() { Decider::after(baseline, statistics.steps()) } else { Decider::new(baseline) };
        Ok(LearnedBaseline { decider, new })
    }

    /// Returns the times of the anomalous detections of a range.
    async fn anomalies(
        &self,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<BTreeSet<Timestamp>, LearnError> {
        let (mut anomalies, mut after) = (BTreeSet::new(), None);
        loop {
            let page_range =
                PageRange { from: Some(from), to: Some(to), limit: PAGE_READINGS, after, ..PageRange::default() };
            let page = self.store.detections(Some(pump), &page_range).await?.into_complete()?;
            let Some(last) = page.last() else { return Ok(anomalies) };
            after = Some(last.at);
            anomalies.extend(page.iter().filter(|detection| detection.is_anomaly).map(|detection| detection.at));
        }
    }

    /// Returns the statistics of the healthy steps of a stored range, without those at the times of `anomalies`, and
    /// n: every nth window was used.
    async fn observe_stored(
        &self,
        detection: &DetectionContext,
        profile: &Profile,
        pump: &PumpId,
        range: (Timestamp, Timestamp),
        anomalies: &BTreeSet<Timestamp>,
    ) -> Result<(HealthyStatistics, usize), LearnError> {
        let mut survey = Survey::new(profile, detection.how.detector);
        let window_ms = WindowConfig::LEN as i64 * profile.interval_ms();
        let without_anomalies = |step: HealthyStep| {
            let at = step.samples.at;
            if anomalies.contains(&at) {
                return None;
            }
            // A step soon after an anomaly is kept without its window, because the window includes the anomaly.
            let is_clear = anomalies.range(at.plus_ms(-window_ms)..at).next().is_none();
            Some(if is_clear { step } else { HealthyStep { window: None, ..step } })
        };
        let count = |step: HealthyStep| {
            without_anomalies(step).iter().for_each(|step| survey.take(step));
            Ok(())
        };
        self.for_each_step(profile, pump, range, count).await?;
        let mut observation = survey.collect(&detection.model)?;
        let observe = |step| Ok(without_anomalies(step).map_or(Ok(()), |step| observation.take(step))?);
        self.for_each_step(profile, pump, range, observe).await?;
        let every = observation.stride();
        Ok((observation.finish()?, every))
    }

    /// Reads a range page by page and passes its healthy steps to `take`, oldest first.
    async fn for_each_step(
        &self,
        profile: &Profile,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        mut take: impl FnMut(HealthyStep) -> Result<(), LearnError>,
    ) -> Result<(), LearnError> {
        // What a pump did during planned work is not its normal running.
        let work = self.store.planned_works(Some(pump), Some(from)).await?;
        let is_at_work = |reading: &Reading| work.iter().any(|work| work.covers(reading.at));
        let mut healthy = HealthySteps::new(profile);
        let mut after = None;
        loop {
            let page_range =
                PageRange { from: Some(from), to: Some(to), limit: PAGE_READINGS, after, ..PageRange::default() };
            let page = self.store.readings(pump, &page_range).await?.into_complete()?;
            let Some(last) = page.last() else { break };
            after = Some(last.at);
            let readings = page.into_iter().filter(|reading| !is_at_work(reading));
            readings.flat_map(|reading| healthy.take(Some(reading))).try_for_each(&mut take)?;
        }
        healthy.take(None).try_for_each(take)
    }
}

/// Returns the statistics of the healthy steps of generated readings.
fn observe_generated(
    detection: &DetectionContext,
    profile: &Profile,
    runs: &[Vec<Reading>],
) -> Result<HealthyStatistics, CommissioningError> {
    let steps_of_run = |readings: &Vec<Reading>| {
        let mut healthy = HealthySteps::new(profile);
        let inputs = readings.iter().cloned().map(Some).chain([None]);
        inputs.flat_map(move |next| healthy.take(next)).collect::<Vec<_>>()
    };
    HealthyStatistics::of(&detection.model, profile, detection.how.detector, || runs.iter().flat_map(steps_of_run))
}

/// Returns the reason for a baseline, with the share of the windows that was used if not all were.
fn with_sampling_note(reason: String, every: usize) -> String {
    if every == 1 {
        reason
    } else {
        format!("{reason}; from every {every}th window, because there are more than {MAX_LEVEL_WINDOWS}")
    }
}

impl Actor for CommissioningActor {
    type Context = Context<Self>;
}

impl Handler<Envelope<CommissionJob>> for CommissioningActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<CommissionJob>, ctx: &mut Self::Context) {
        let CommissionJob { pump, kind, reason, data, reply } = message.into_inner();
        let commissioner = self.commissioner.clone();
        let job = async move {
            let outcome = commissioner.learn(&pump, &kind, reason, data).await;
            let is_learned = outcome.is_ok();
            reply.send(outcome).await;
            is_learned
        };
        // The actor handles no other job until this one has ended.
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
    fn the_reason_notes_the_share_of_windows_used() {
        assert_eq!(with_sampling_note("as asked".into(), 1), "as asked");
        let expected = "as asked; from every 12th window, because there are more than 259200";
        assert_eq!(with_sampling_note("as asked".into(), 12), expected);
    }
}
