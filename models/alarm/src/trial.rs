//! Tries a definition on a pump's history before it is armed: "would have raised 3 alarms in the last 7 days, the
//! longest for 14 minutes".
//!
//! Runs the same evaluator as the live node over stored readings, as if each had been received when it was taken.
//! Between two readings, time passes in steps of a minute. Other alarms are not tried, so no other alarm explains this
//! one, and its planned work is not known.

use std::sync::Arc;

use serde::Serialize;
use volute_plant::{OperatingState, Profile, Sample, Timestamp};

use crate::{AlarmDefinition, ArmedAlarms, ChannelSpread, Condition, Finding, InvalidValue, LimitEvaluator, Signal};

/// One stored reading.
#[derive(Debug, Clone, Copy)]
pub struct TrialReading<'a> {
    /// Device time.
    pub at: Timestamp,
    /// One sample per channel of the profile.
    pub samples: &'a [Sample],
    /// The pump's operating state.
    pub state: OperatingState,
}

/// What a definition would have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trial {
    /// How many readings it was tried on.
    pub readings: u64,
    /// How many alarms it would have raised.
    pub raised: u64,
    /// How long the longest lasted, in seconds.
    pub longest_s: f64,
    /// How long all of them lasted, in seconds.
    pub total_s: f64,
    /// When the first one began.
    pub first: Option<Timestamp>,
    /// When the last one began.
    pub last: Option<Timestamp>,
    /// The first of them, at most [`MAX_LISTED`].
    pub alarms: Vec<TrialAlarm>,
}

/// One alarm that would have been raised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrialAlarm {
    /// Since when the condition held.
    pub from: Timestamp,
    /// When it was over; none if it held at the last reading.
    pub to: Option<Timestamp>,
    /// The value when it was raised, in the unit of the limit.
    pub value: Option<f64>,
}

/// The most alarms that a trial lists.
pub const MAX_LISTED: usize = 100;
/// How time passes between two readings, in milliseconds.
const STEP_MS: i64 = 60_000;
/// A gap between two readings is not longer than this to a trial, in milliseconds: 31 days, the longest time without
/// data that a definition can have, and a day.
const MAX_GAP_MS: i64 = 31 * 86_400_000;

/// Tries a definition on readings, in the order of their times. Returns the mistakes of a definition that is not valid,
/// or that cannot be tried because readings do not show its condition.
pub fn trial<'a>(
    profile: &Profile,
    definition: &AlarmDefinition,
    baseline: Option<Arc<[ChannelSpread]>>,
    readings: impl IntoIterator<Item = TrialReading<'a>>,
) -> Result<Trial, Vec<InvalidValue>> {
    if matches!(definition.condition, Condition::ModelAnomaly {} | Condition::NodeHealth { .. }) {
        let field = format!("alarms.{}.condition.kind", definition.id);
        let allowed = "a condition that readings show; model_anomaly and node_health cannot be tried on readings";
        return Err(vec![InvalidValue::new(field, "model_anomaly or node_health", allowed)]);
    }
    let alone = AlarmDefinition { explained_by: Vec::new(), ..definition.clone() };
    let mut evaluator = LimitEvaluator::new(None, ArmedAlarms::compile(profile, &[alone])?);
    evaluator.set_baseline(baseline);
    let mut run = Run::default();
    let mut findings = Vec::new();
    for reading in readings {
        run.pass_time(&mut evaluator, reading.at, &mut findings);
        evaluator.evaluate_samples(reading.at, reading.at, reading.samples, reading.state, &mut findings);
        run.trial.readings += 1;
        run.newest = Some(reading.at);
        run.take(&mut findings);
    }
    Ok(run.finish())
}

#[derive(Default)]
struct Run {
    trial: Trial,
    newest: Option<Timestamp>,
    /// The alarm that is raised now.
    open: Option<TrialAlarm>,
}

impl Run {
    /// Lets time pass between the newest reading and the next one.
    fn pass_time(&mut self, evaluator: &mut LimitEvaluator, next: Timestamp, findings: &mut Vec<Finding>) {
        let Some(newest) = self.newest else { return };
        let gap_ms = next.since_ms(newest).min(MAX_GAP_MS);
        let mut passed_ms = STEP_MS;
        while passed_ms < gap_ms {
            evaluator.tick(newest.plus_ms(passed_ms), findings);
            passed_ms += STEP_MS;
        }
        self.take(findings);
    }

    fn take(&mut self, findings: &mut Vec<Finding>) {
        for finding in findings.drain(..) {
            match finding {
                Finding::Signal { signal: Signal::Raise(evidence), .. } => {
                    self.trial.raised += 1;
                    self.trial.first.get_or_insert(evidence.since);
                    self.trial.last = Some(evidence.since);
                    self.open = Some(TrialAlarm { from: evidence.since, to: None, value: evidence.value });
                }
                Finding::Signal { signal: Signal::Return(evidence), .. } => self.close(Some(evidence.since)),
                _ => {}
            }
        }
    }

    fn close(&mut self, to: Option<Timestamp>) {
        let Some(alarm) = self.open.take() else { return };
        let end = to.or(self.newest).unwrap_or(alarm.from);
        let lasted_s = end.since_ms(alarm.from).max(0) as f64 / 1_000.0;
        self.trial.longest_s = self.trial.longest_s.max(lasted_s);
        self.trial.total_s += lasted_s;
        if self.trial.alarms.len() < MAX_LISTED {
            self.trial.alarms.push(TrialAlarm { to, ..alarm });
        }
    }

    fn finish(mut self) -> Trial {
        self.close(None);
        self.trial
    }
}

#[cfg(test)]
mod tests;
