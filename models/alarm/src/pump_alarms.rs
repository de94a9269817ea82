//! All alarms of one pump: the evaluator, the states of its alarms, and which alarm explains which.
//!
//! It is what an actor owns. The actor passes readings, commands and the time, and stores the rows and records that come
//! back, in their order. An example of one pump whose gateway loses its connection:
//!
//! ```text
//! evaluate(reading)                   no rows: nothing happens on nearly all readings
//! tick(10:01:00)                      pump-stale: raised, unacknowledged
//!                                     motor-rpm-no-data: suppression began, explained by pump-stale
//! command(pump-stale, acknowledge)    pump-stale: acknowledged. The row is durable, then the user gets a response
//! evaluate(reading)                   none yet: data must come for 30 s
//! tick(10:05:30)                      pump-stale: returned, normal; motor-rpm-no-data: suppression ended
//! ```
//!
//! After a restart: [`PumpAlarms::restore`] with the stored checkpoint and the standing alarms by the rows, then
//! [`PumpAlarms::evaluate`] with the readings that were accepted after the checkpoint, in the order of the journal, then
//! [`PumpAlarms::finish_replay`]. A reading that has decided something already decides nothing again: rows have the
//! number of the reading that decided them.

use std::collections::BTreeSet;

use volute_plant::{OperatingState, PumpId, Reading, Timestamp};

use crate::{
    Alarm, AlarmId, AlarmKey, ArmedAlarm, ArmedAlarms, Command, CommandError, EvaluatorCheckpoint, Evidence, External,
    Finding, LimitEvaluator, PastExcursion, Priority, Signal, Standing, State, Status, Suppression, Transition,
};

/// What a pump's alarms produce, to be stored in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A row of an alarm's history.
    Row(Transition),
    /// What readings of the past show.
    Past(PastExcursion),
}

/// All alarms of one pump, or of the node itself.
#[derive(Debug)]
pub struct PumpAlarms {
    pump: Option<PumpId>,
    evaluator: LimitEvaluator,
    /// One per armed alarm, in the same order.
    alarms: Vec<Alarm>,
    /// Alarms that are no longer defined, until nothing of them stands.
    retired: Vec<Alarm>,
    /// Kept, so that a reading on which nothing happens allocates nothing.
    findings: Vec<Finding>,
}

impl PumpAlarms {
    /// Creates the alarms of a pump that has no rows and no checkpoint.
    pub fn new(pump: Option<PumpId>, armed: ArmedAlarms) -> Self {
        Self::restore(pump, armed, None, &Standing::default())
    }

    /// Continues after a restart, from a checkpoint and the pump's alarms by their rows. After it,
    /// [`Self::finish_replay`] has to be called.
    pub fn restore(
        pump: Option<PumpId>,
        armed: ArmedAlarms,
        checkpoint: Option<EvaluatorCheckpoint>,
        standing: &Standing,
    ) -> Self {
        let evaluator = match checkpoint {
            Some(checkpoint) => LimitEvaluator::restore(pump.clone(), armed, checkpoint),
            None => LimitEvaluator::new(pump.clone(), armed),
        };
        let alarm = |armed: &ArmedAlarm| {
            let key = AlarmKey { pump: pump.clone(), alarm: armed.id().clone() };
            let status = standing.status(&key);
            Alarm::new(key, armed.definition().priority, armed.definition().latching, status)
        };
        let alarms = evaluator.armed().alarms().iter().map(alarm).collect();
        let retired =
            standing.of_pump(pump.as_ref()).filter(|(key, _)| evaluator.armed().index_of(&key.alarm).is_none());
        let alarm = |(key, status): (&AlarmKey, &Status)| {
            Alarm::new(key.clone(), status.priority().unwrap_or(Priority::Low), false, status.clone())
        };
        let retired = retired.map(alarm).collect();
        Self { pump, evaluator, alarms, retired, findings: Vec::new() }
    }

    /// Ends the replay of readings after a restart: alarms whose rows and timers differ continue with what the rows say,
    /// and those that are no longer defined return.
    pub fn finish_replay(&mut self, now: Timestamp, output: &mut Vec<Output>) {
        self.evaluator.resume(now);
        self.follow_rows();
        self.retire(now, output);
        self.explain_again(now, output);
    }

    /// Returns after how long [`Self::tick`] is needed, in milliseconds, because a delay is over then; none if no delay
    /// runs.
    pub fn due_in_ms(&self) -> Option<i64> {
        self.evaluator.due_in_ms()
    }

    /// The evaluator, for its counts and its checkpoint.
    pub fn evaluator(&self) -> &LimitEvaluator {
        &self.evaluator
    }

    /// The evaluator, to set the baseline.
    pub fn evaluator_mut(&mut self) -> &mut LimitEvaluator {
        &mut self.evaluator
    }

    /// All alarms, with those that are no longer defined and still stand.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.iter().chain(&self.retired)
    }

    /// Evaluates one accepted reading. `state` is the pump's operating state at that time. Appends what is to be stored.
    pub fn evaluate(&mut self, reading: &Reading, state: OperatingState, output: &mut Vec<Output>) {
        self.evaluator.evaluate(reading, state, &mut self.findings);
        if !self.findings.is_empty() {
            self.take_findings(reading.received, output);
        }
    }

    /// Takes whether an external condition holds, from the model or from the node's health.
    pub fn observe_external(&mut self, external: External, holds: bool, now: Timestamp, output: &mut Vec<Output>) {
        self.evaluator.observe_external(external, holds, now, &mut self.findings);
        self.take_findings(now, output);
    }

    /// Lets time pass. To be called at least every ten seconds or so.
    pub fn tick(&mut self, now: Timestamp, output: &mut Vec<Output>) {
        self.evaluator.tick(now, &mut self.findings);
        self.take_findings(now, output);
        for index in 0..self.alarms.len() {
            self.signal(index, Signal::Tick, now, output);
        }
        for alarm in &mut self.retired {
            output.extend(alarm.observe(Signal::Tick, now).map(Output::Row));
        }
        self.retired.retain(|alarm| alarm.state() != State::Normal);
    }

    /// Does what a user commands. Appends the rows: that of the command first. They have to be durable before the user
    /// gets a response.
    pub fn command(
        &mut self,
        id: &AlarmId,
        command: Command,
        user: &str,
        now: Timestamp,
        output: &mut Vec<Output>,
    ) -> Result<(), CommandError> {
        if let Some(index) = self.evaluator.armed().index_of(id) {
            return self.change(index, now, output, |alarm| alarm.command(command, user, now).map(Some));
        }
        let Some(alarm) = self.retired.iter_mut().find(|alarm| alarm.key().alarm == *id) else {
            return Err(CommandError::Unknown(id.to_string()));
        };
        output.push(Output::Row(alarm.command(command, user, now)?));
        self.retired.retain(|alarm| alarm.state() != State::Normal);
        Ok(())
    }

    /// Begins or ends planned work, which suppresses all alarms of the pump by design.
    pub fn plan_work(&mut self, work: &str, is_planned: bool, now: Timestamp, output: &mut Vec<Output>) {
        for index in 0..self.alarms.len() {
            let why = Suppression::PlannedWork { work: work.to_owned() };
            let signal = if is_planned { Signal::Suppress(why) } else { Signal::Unsuppress(why) };
            self.signal(index, signal, now, output);
        }
        if !is_planned {
            for alarm in &mut self.retired {
                let why = Suppression::PlannedWork { work: work.to_owned() };
                output.extend(alarm.observe(Signal::Unsuppress(why), now).map(Output::Row));
            }
            self.retired.retain(|alarm| alarm.state() != State::Normal);
        }
    }

    /// Uses other definitions from now on. Alarms of the same id keep their states and timers. The condition of one that is
    /// no longer defined is over; it stays until nothing of it is left to acknowledge or reset.
    pub fn rearm(&mut self, armed: ArmedAlarms, now: Timestamp, output: &mut Vec<Output>) {
        self.evaluator.rearm(armed);
        let mut before: Vec<Alarm> = self.alarms.drain(..).chain(self.retired.drain(..)).collect();
        for armed in self.evaluator.armed().alarms() {
            let (id, definition) = (armed.id(), armed.definition());
            let known = before.iter().position(|alarm| alarm.key().alarm == *id);
            let alarm = match known {
                Some(index) => {
                    let mut alarm = before.swap_remove(index);
                    alarm.redefine(definition.priority, definition.latching);
                    alarm
                }
                None => {
                    let key = AlarmKey { pump: self.pump.clone(), alarm: id.clone() };
                    Alarm::new(key, definition.priority, definition.latching, Status::default())
                }
            };
            self.alarms.push(alarm);
        }
        self.retired = before;
        self.follow_rows();
        self.retire(now, output);
        self.explain_again(now, output);
    }

    /// Sets the timers to what the rows say.
    fn follow_rows(&mut self) {
        for (index, alarm) in self.alarms.iter().enumerate() {
            let is_suppressed = alarm.status().suppressions().contains(&Suppression::OperatingState);
            self.evaluator.set_facts(index, alarm.status().holds(), is_suppressed);
            self.evaluator.count_from(alarm.status().evaluation());
        }
    }

    /// Ends the conditions of alarms that are no longer defined, and forgets those of which nothing is left.
    fn retire(&mut self, now: Timestamp, output: &mut Vec<Output>) {
        for alarm in &mut self.retired {
            output.extend(alarm.observe(Signal::Return(Evidence::at(now)), now).map(Output::Row));
            let reasons: Vec<Suppression> = alarm.status().suppressions().iter().cloned().collect();
            for why in reasons {
                output.extend(alarm.observe(Signal::Unsuppress(why), now).map(Output::Row));
            }
        }
        self.retired.retain(|alarm| alarm.state() != State::Normal);
    }

    fn take_findings(&mut self, now: Timestamp, output: &mut Vec<Output>) {
        let mut findings = std::mem::take(&mut self.findings);
        for finding in findings.drain(..) {
            match finding {
                Finding::Signal { alarm, signal } => self.signal(alarm, signal, now, output),
                Finding::Past(excursion) => output.push(Output::Past(excursion)),
            }
        }
        self.findings = findings;
    }

    fn signal(&mut self, index: usize, signal: Signal, now: Timestamp, output: &mut Vec<Output>) {
        // A signal is never refused.
        let _ = self.change::<CommandError>(index, now, output, |alarm| Ok(alarm.observe(signal, now)));
    }

    /// Changes one alarm, and lets it explain others, or no longer.
    fn change<E>(
        &mut self,
        index: usize,
        now: Timestamp,
        output: &mut Vec<Output>,
        change: impl FnOnce(&mut Alarm) -> Result<Option<Transition>, E>,
    ) -> Result<(), E> {
        let Some(alarm) = self.alarms.get_mut(index) else { return Ok(()) };
        let explained = alarm.explains_up_to();
        let Some(row) = change(alarm)? else { return Ok(()) };
        output.push(Output::Row(row));
        let explains = alarm.explains_up_to();
        if explains != explained {
            self.explain(index, explains, now, output);
        }
        Ok(())
    }

    /// Lets an alarm explain those of at most this priority; none at all.
    fn explain(&mut self, index: usize, up_to: Option<Priority>, now: Timestamp, output: &mut Vec<Output>) {
        let armed = self.evaluator.armed().clone();
        let Some(leader) = armed.alarms().get(index) else { return };
        for &explained in leader.explains() {
            let why = Suppression::ExplainedBy { alarm: leader.id().clone() };
            let Some(alarm) = self.alarms.get_mut(explained) else { continue };
            let is_explained = up_to.is_some_and(|up_to| alarm.priority() <= up_to);
            let signal = if is_explained { Signal::Suppress(why) } else { Signal::Unsuppress(why) };
            output.extend(alarm.observe(signal, now).map(Output::Row));
        }
    }

    /// Brings the explanations in line with other definitions.
    fn explain_again(&mut self, now: Timestamp, output: &mut Vec<Output>) {
        let armed = self.evaluator.armed().clone();
        let mut reasons: Vec<BTreeSet<Suppression>> = vec![BTreeSet::new(); self.alarms.len()];
        for (leader, alarm) in armed.alarms().iter().zip(&self.alarms) {
            for &explained in leader.explains() {
                let priority = self.alarms.get(explained).map(Alarm::priority);
                let is_explained = alarm.explains_up_to().is_some_and(|up_to| priority <= Some(up_to));
                if let (true, Some(reasons)) = (is_explained, reasons.get_mut(explained)) {
                    reasons.insert(Suppression::ExplainedBy { alarm: leader.id().clone() });
                }
            }
        }
        for (alarm, reasons) in self.alarms.iter_mut().zip(reasons) {
            let is_outdated =
                |why: &&Suppression| matches!(why, Suppression::ExplainedBy { .. }) && !reasons.contains(*why);
            let outdated: Vec<Suppression> =
                alarm.status().suppressions().iter().filter(is_outdated).cloned().collect();
            for why in outdated {
                output.extend(alarm.observe(Signal::Unsuppress(why), now).map(Output::Row));
            }
            for why in reasons {
                output.extend(alarm.observe(Signal::Suppress(why), now).map(Output::Row));
            }
        }
    }
}

#[cfg(test)]
mod tests;
