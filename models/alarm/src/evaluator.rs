//! Evaluates every accepted reading of one pump against the pump's armed alarms.
//!
//! An example, with "vibration above 8.5 mm/s", an on-delay of 10 s and an off-delay of 30 s:
//!
//! | received | device time | vibration | finding |
//! | --- | --- | --- | --- |
//! | 10:30:00 | 10:30:00 | 8.7 | none: the on-delay begins |
//! | 10:30:10 | 10:30:10 | 8.8 | raise, since 10:30:00 |
//! | 10:31:00 | 10:02 to 10:05, every minute | 9.0 | none yet; these are of the past |
//! | 10:31:00 | 10:06 | 3.0 | past excursion: 10:02 to 10:05, learned at 10:31:00 |
//! | 10:31:05 | 10:31:05 | (missing) | none: a channel without a good value changes nothing |
//! | 10:31:10 | 10:31:10 | 3.1 | none: the off-delay begins |
//! | (10:31:40) | | | return, since 10:31:10 |
//!
//! A reading is *current* if its device time is within a minute of its receipt; only current ones raise. They may come
//! late and in any order: `debounce.rs` says what that changes. After three readings in a row that are older than the
//! newest one, but in order among each other, the device's clock was corrected, and they begin a new order.
//!
//! A reading that changes nothing allocates nothing.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{OperatingState, PumpId, Reading, Sample, Timestamp};

use crate::{
    AlarmId, ArmedAlarm, ArmedAlarms, Evidence, External, PastExcursion, Signal, Suppression,
    armed::{Bound, Test},
    debounce::{Debounce, Flip, SteadyClock},
    measure::{ChannelSpread, Measured, Rates, When, measure},
    order::{EventOrder, Place},
    past::{OpenExcursion, PastValue},
};

/// The longest time between the device time and the receipt of a current reading, in milliseconds.
pub const CURRENT_WITHIN_MS: i64 = 60_000;

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// For the alarm at this index of [`ArmedAlarms::alarms`].
    Signal {
        /// The index.
        alarm: usize,
        /// What happens to the alarm.
        signal: Signal,
    },
    /// To be recorded; it raises nothing.
    Past(PastExcursion),
}

/// How many readings were evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationCounts {
    /// All of them. It must be the number of accepted readings.
    pub evaluated: u64,
    /// Those that were not current.
    pub past: u64,
    /// Current ones that were older than the newest.
    pub late: u64,
}

/// Evaluates the readings of one pump.
#[derive(Debug)]
pub struct LimitEvaluator {
    pump: Option<PumpId>,
    armed: ArmedAlarms,
    baseline: Option<Arc<[ChannelSpread]>>,
    counts: EvaluationCounts,
    clock: SteadyClock,
    order: EventOrder,
    /// When something was received from the pump, by the steady clock.
    seen_ms: Option<i64>,
    /// One per armed alarm.
    memories: Vec<AlarmMemory>,
}

/// The state of a [`LimitEvaluator`], to be stored with the pump's checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluatorCheckpoint {
    counts: EvaluationCounts,
    clock: SteadyClock,
    order: EventOrder,
    seen_ms: Option<i64>,
    alarms: BTreeMap<AlarmId, AlarmMemory>,
}

/// What is remembered of one alarm between readings. Of most alarms little is, and only that is stored: a pump has some
/// forty alarms, and a checkpoint every minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct AlarmMemory {
    #[serde(default)]
    debounce: Debounce,
    /// Whether the pump is in an operating state in which the alarm does not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_suppressed: bool,
    /// The newest value in the unit of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// When the channel had a good value, by the steady clock. Only for missing data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen_ms: Option<i64>,
    /// For current readings, and for those of the past. Only for rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rates: Option<Box<Rates>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    past: Option<Box<OpenExcursion>>,
}

/// When a reading was taken and received.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Timestamp,
    received: Timestamp,
    steady_ms: i64,
    is_current: bool,
    evaluation: Option<u64>,
}

impl Moment {
    fn when(&self) -> When {
        When { at: self.at, is_current: self.is_current }
    }
}

impl LimitEvaluator {
    /// Creates an evaluator for a pump, or for the node itself.
    pub fn new(pump: Option<PumpId>, armed: ArmedAlarms) -> Self {
        let memories = armed.alarms().iter().map(|_| AlarmMemory::default()).collect();
        let (counts, clock, order) = Default::default();
        Self { pump, armed, baseline: None, counts, clock, order, seen_ms: None, memories }
    }

    /// Continues from a checkpoint. Readings that were evaluated after it have to be evaluated again.
    pub fn restore(pump: Option<PumpId>, armed: ArmedAlarms, checkpoint: EvaluatorCheckpoint) -> Self {
        let EvaluatorCheckpoint { counts, clock, order, seen_ms, mut alarms } = checkpoint;
        let memories = armed.alarms().iter().map(|alarm| alarms.remove(alarm.id()).unwrap_or_default()).collect();
        Self { pump, armed, baseline: None, counts, clock, order, seen_ms, memories }
    }

    /// Returns its state, to be stored.
    pub fn checkpoint(&self) -> EvaluatorCheckpoint {
        let entry = |(alarm, memory): (&ArmedAlarm, &AlarmMemory)| (alarm.id().clone(), memory.clone());
        EvaluatorCheckpoint {
            counts: self.counts,
            clock: self.clock,
            order: self.order,
            seen_ms: self.seen_ms,
            alarms: self.armed.alarms().iter().zip(&self.memories).map(entry).collect(),
        }
    }

    /// The alarms that it evaluates.
    pub fn armed(&self) -> &ArmedAlarms {
        &self.armed
    }

    /// How many readings were evaluated.
    pub fn counts(&self) -> EvaluationCounts {
        self.counts
    }

    /// Uses this baseline from now on, with one entry per channel in the profile's order. Without one there are no
    /// deviations.
    pub fn set_baseline(&mut self, baseline: Option<Arc<[ChannelSpread]>>) {
        self.baseline = baseline;
    }

    /// Uses other definitions from now on. Alarms of the same id keep their timers.
    pub fn rearm(&mut self, armed: ArmedAlarms) {
        let checkpoint = self.checkpoint();
        let baseline = self.baseline.take();
        *self = Self { baseline, ..Self::restore(self.pump.take(), armed, checkpoint) };
    }

    /// Evaluates one accepted reading. `state` is the pump's operating state at that time. Findings are appended.
    pub fn evaluate(&mut self, reading: &Reading, state: OperatingState, findings: &mut Vec<Finding>) {
        self.evaluate_samples(reading.at, reading.received, &reading.samples, state, findings);
    }

    /// Like [`Self::evaluate`], for a reading in parts.
    pub(crate) fn evaluate_samples(
        &mut self,
        at: Timestamp,
        received: Timestamp,
        samples: &[Sample],
        state: OperatingState,
        findings: &mut Vec<Finding>,
    ) {
        let steady_ms = self.clock.advance(received);
        self.counts.evaluated += 1;
        let is_current = received.since_ms(at).abs() <= CURRENT_WITHIN_MS;
        // A pump that has sent nothing but history is not expected to send now.
        if is_current || self.seen_ms.is_some() {
            self.seen_ms = Some(steady_ms);
        }
        let moment = Moment { at, received, steady_ms, is_current, evaluation: Some(self.counts.evaluated) };
        let is_late = is_current && self.is_late(at);
        self.counts.past += u64::from(!is_current);
        let (gap_ms, baseline) = (self.armed.gap_ms(), self.baseline.as_deref());
        for (index, (alarm, memory)) in self.armed.alarms().iter().zip(&mut self.memories).enumerate() {
            let mut evaluation = AlarmEvaluation { index, alarm, memory, pump: self.pump.as_ref(), findings };
            if let Test::NoData { channel, .. } = &alarm.test {
                evaluation.note_seen(*channel, samples, &moment);
            }
            let holds_here = alarm.holds_in.contains(state);
            if !is_current {
                if holds_here {
                    evaluation.evaluate_past(samples, baseline, &moment, gap_ms);
                }
                continue;
            }
            // A late reading does not say in which state the pump is now.
            let is_suppressed = if is_late { evaluation.memory.is_suppressed } else { !holds_here };
            evaluation.suppress(is_suppressed, &moment);
            if !is_suppressed {
                evaluation.evaluate(samples, baseline, &moment);
            }
        }
    }

    /// Takes whether an external condition holds, from the model or from the node's health. In the order of `now`.
    pub fn observe_external(&mut self, external: External, holds: bool, now: Timestamp, findings: &mut Vec<Finding>) {
        let steady_ms = self.clock.advance(now);
        let moment = Moment { at: now, received: now, steady_ms, is_current: true, evaluation: None };
        for (index, (alarm, memory)) in self.armed.alarms().iter().zip(&mut self.memories).enumerate() {
            if matches!(alarm.test, Test::External(known) if known == external) && !memory.is_suppressed {
                let mut evaluation = AlarmEvaluation { index, alarm, memory, pump: self.pump.as_ref(), findings };
                evaluation.observe_in_order(holds, &moment);
            }
        }
    }

    /// Lets time pass: ends delays, notices silence, and completes excursions of the past. To be called at least every
    /// ten seconds or so, since a longer step than a minute counts as one minute.
    pub fn tick(&mut self, now: Timestamp, findings: &mut Vec<Finding>) {
        let steady_ms = self.clock.advance(now);
        let moment = Moment { at: now, received: now, steady_ms, is_current: true, evaluation: None };
        for (index, (alarm, memory)) in self.armed.alarms().iter().zip(&mut self.memories).enumerate() {
            let mut evaluation = AlarmEvaluation { index, alarm, memory, pump: self.pump.as_ref(), findings };
            if let Test::NoData { channel, after_ms } = alarm.test {
                let seen_ms = if channel.is_some() { evaluation.memory.seen_ms } else { self.seen_ms };
                let is_silent = seen_ms.is_some_and(|seen_ms| steady_ms - seen_ms >= after_ms);
                if is_silent && !evaluation.memory.is_suppressed {
                    evaluation.observe_in_order(true, &moment);
                }
            }
            evaluation.finish_due(&moment);
            if evaluation.memory.past.as_ref().is_some_and(|past| past.is_complete(steady_ms)) {
                evaluation.finish_past();
            }
        }
    }

    /// Numbers the next readings from after this one, if the checkpoint that knew the number was lost.
    pub(crate) fn count_from(&mut self, evaluation: u64) {
        self.counts.evaluated = self.counts.evaluated.max(evaluation);
    }

    /// Lets time pass from now on. The time since the last call does not count: the node was down.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.clock.skip();
        self.clock.advance(now);
    }

    /// Returns after how long a delay is over by time alone, in milliseconds; none if no delay runs. To be called after
    /// [`Self::evaluate`]: [`Self::tick`] is needed then.
    pub(crate) fn due_in_ms(&self) -> Option<i64> {
        let alarms = self.armed.alarms().iter().zip(&self.memories);
        let due = alarms.filter_map(|(alarm, memory)| memory.debounce.due_at_ms(alarm.delays)).min()?;
        Some((due - self.clock.elapsed_ms()).max(0))
    }

    /// Sets what an alarm's rows say: whether it is raised, and suppressed by the pump's operating state.
    pub(crate) fn set_facts(&mut self, alarm: usize, is_raised: bool, is_suppressed: bool) {
        if let Some(memory) = self.memories.get_mut(alarm) {
            memory.debounce.set_raised(is_raised);
            memory.is_suppressed = is_suppressed;
        }
    }

    /// Takes the time of a current reading. Returns whether it is older than the newest one.
    fn is_late(&mut self, at: Timestamp) -> bool {
        let place = self.order.place(at);
        if place == Place::NewOrder {
            for memory in &mut self.memories {
                memory.debounce.rebase(at);
                if let Some(rates) = &mut memory.rates {
                    rates.current.reset();
                }
            }
        }
        self.counts.late += u64::from(place != Place::Newest);
        place == Place::Late
    }
}

/// One alarm while a reading is evaluated.
struct AlarmEvaluation<'a> {
    index: usize,
    alarm: &'a ArmedAlarm,
    memory: &'a mut AlarmMemory,
    pump: Option<&'a PumpId>,
    findings: &'a mut Vec<Finding>,
}

impl AlarmEvaluation<'_> {
    /// Takes a current reading.
    fn evaluate(&mut self, samples: &[Sample], baseline: Option<&[ChannelSpread]>, moment: &Moment) {
        let is_late = self.memory.debounce.is_late(moment.at);
        let mut measured = None;
        let holds = match measure(&self.alarm.test, &mut self.memory.rates, samples, baseline, moment.when()) {
            Measured::Nothing => return,
            Measured::Holds(holds) => holds,
            Measured::Value(value, bound) => {
                measured = Some(value);
                let deadband = if self.memory.debounce.raised() { self.alarm.deadband } else { 0.0 };
                bound.is_beyond(value, deadband)
            }
        };
        let flip = self.memory.debounce.observe(holds, moment.at, moment.steady_ms, self.alarm.delays);
        // The value of a late reading is no evidence for what the newest one decides.
        if !is_late || flip.is_some() {
            self.memory.value = measured.or(self.memory.value);
        }
        match flip {
            // One change per reading, since its number says which reading decided it. The return comes with the next
            // reading or tick.
            Some(flip) => self.report(flip, moment),
            None => self.finish_due(moment),
        }
    }

    /// Takes a reading of the past.
    fn evaluate_past(&mut self, samples: &[Sample], baseline: Option<&[ChannelSpread]>, moment: &Moment, gap_ms: i64) {
        let (holds, value) = match measure(&self.alarm.test, &mut self.memory.rates, samples, baseline, moment.when()) {
            Measured::Nothing => return,
            Measured::Holds(holds) => (holds, None),
            Measured::Value(value, bound) => (bound.is_beyond(value, 0.0), Some(value)),
        };
        if !holds {
            let is_after = |past: &OpenExcursion| past.is_before(moment.at);
            if self.memory.past.as_deref().is_some_and(is_after) {
                self.finish_past();
            }
            return;
        }
        let bound = self.alarm.test.bound();
        let value = PastValue {
            at: moment.at,
            received: moment.received,
            steady_ms: moment.steady_ms,
            value,
            limit: bound.map(Bound::limit),
            is_low: matches!(bound, Some(Bound::Below(_))),
        };
        match &mut self.memory.past {
            Some(past) if past.reaches(moment.at, gap_ms) => past.extend(&value),
            Some(_) => {
                self.finish_past();
                self.memory.past = Some(Box::new(OpenExcursion::new(&value)));
            }
            None => self.memory.past = Some(Box::new(OpenExcursion::new(&value))),
        }
    }

    /// Takes whether the pump's operating state suppresses the alarm.
    fn suppress(&mut self, is_suppressed: bool, moment: &Moment) {
        if is_suppressed != self.memory.is_suppressed {
            self.memory.is_suppressed = is_suppressed;
            let why = Suppression::OperatingState;
            let signal = if is_suppressed { Signal::Suppress(why) } else { Signal::Unsuppress(why) };
            self.findings.push(Finding::Signal { alarm: self.index, signal });
            if is_suppressed && let Some(flip) = self.memory.debounce.release(moment.at) {
                self.report(flip, moment);
            }
        }
    }

    /// Notices that the pump, or one of its channels, sends something.
    fn note_seen(&mut self, channel: Option<usize>, samples: &[Sample], moment: &Moment) {
        if let Some(channel) = channel {
            // A bad value is no missing value: the channel has an alarm for that.
            if samples.get(channel).and_then(|sample| sample.value()).is_none() {
                return;
            }
            if moment.is_current || self.memory.seen_ms.is_some() {
                self.memory.seen_ms = Some(moment.steady_ms);
            }
        }
        if self.memory.debounce.raised() || self.memory.debounce.is_pending() {
            let moment = Moment { at: moment.received, ..*moment };
            self.observe_in_order(false, &moment);
        }
    }

    /// Takes whether a condition of the node's own time holds.
    fn observe_in_order(&mut self, holds: bool, moment: &Moment) {
        self.memory.debounce.rebase(moment.at);
        // Nothing is late after that, so nothing is raised at once.
        let _ = self.memory.debounce.observe(holds, moment.at, moment.steady_ms, self.alarm.delays);
        self.finish_due(moment);
    }

    /// Reports the change whose delay is over.
    fn finish_due(&mut self, moment: &Moment) {
        if let Some(flip) = self.memory.debounce.due(moment.steady_ms, self.alarm.delays) {
            self.report(flip, moment);
        }
    }

    fn report(&mut self, flip: Flip, moment: &Moment) {
        let evidence = Evidence {
            since: flip.since,
            value: self.memory.value,
            limit: self.alarm.limit(),
            evaluation: moment.evaluation,
        };
        let signal = if flip.raised { Signal::Raise(evidence) } else { Signal::Return(evidence) };
        self.findings.push(Finding::Signal { alarm: self.index, signal });
    }

    fn finish_past(&mut self) {
        if let Some(past) = self.memory.past.take() {
            let excursion = past.finish(self.pump, self.alarm.id(), self.alarm.delays.on_ms);
            self.findings.push(Finding::Past(excursion));
        }
    }
}

#[cfg(test)]
mod tests;
