//! The alarms of one pump: the fourth of a pump's state machines, around [`volute_alarm::PumpAlarms`]. Does no I/O: the
//! caller passes the time, stores the returned documents in order, and shows the standing alarms.
//!
//! Every durable reading is evaluated here, before and independently of windows and scores. An example:
//!
//! 1. [`Alarms::evaluate`] receives the readings of a post. Nearly always nothing changes, and nothing is stored.
//! 2. The bearing has been above its limit for a minute: the alarm is raised. The transition and the alarm's new status
//!    are two documents of one record ([`Alarms::take_documents`]).
//! 3. [`Alarms::command`] acknowledges the alarm. Its documents are stored, and only then the user gets a response.
//! 4. Once a minute the evaluator's timers are stored ([`Alarms::checkpoint`]), after all documents before.
//! 5. After a restart [`Alarms::begin`] continues with the stored statuses and timers, and evaluates the readings since the
//!    checkpoint again. A reading that has raised an alarm already raises none again.
//!
//! If the stored alarms cannot be read at the start, readings are only stored. They are evaluated when the alarms have been
//! read. So no acknowledgement is lost because the database was unavailable.
//!
//! Readings that are played from a recording count as taken when they are received, because their own times are in the
//! past.

use std::{collections::BTreeSet, sync::Arc};

use volute_alarm::{
    AlarmId, ArmedAlarms, ChannelSpread, Command, CommandError, External, Output, PumpAlarms, Standing, State, Status,
    Suppression, Transition,
};
use volute_data::{AlarmCheckpoint, AlarmRecord, Document, StoredAlarms};
use volute_plant::{OperatingState, Profile, PumpId, Reading, Timestamp, Windower};

use crate::alarms::{StandingAlarm, standing_alarm};

/// Milliseconds between two checkpoints of a pump.
const CHECKPOINT_INTERVAL_MS: u16 = 60_000;

/// The alarms of one pump.
pub(super) struct Alarms {
    pump: PumpId,
    /// None until the stored alarms are read.
    alarms: Option<PumpAlarms>,
    /// Reused, so that a reading that changes nothing allocates nothing.
    output: Vec<Output>,
    /// The time of receipt of the newest evaluated reading.
    evaluated_until: Option<Timestamp>,
    /// The interval in which the last checkpoint was stored. Intervals of [`CHECKPOINT_INTERVAL_MS`] are numbered.
    last_stored_interval: Option<i64>,
    /// The active planned work that suppresses the alarms; none if the suppressions of all alarms have to be checked.
    suppressing_work: Option<BTreeSet<String>>,
    /// Shifts the intervals of this pump, so that pumps do not all store their checkpoints at the same time.
    offset_ms: i64,
}

/// What the alarms continue with.
#[derive(Default)]
pub(super) struct RecoveredAlarms {
    pub stored: StoredAlarms,
    /// The stored readings that were received since the checkpoint, oldest receipt first.
    pub readings: Vec<Reading>,
}

/// What has changed: documents to store, and rows to publish.
#[derive(Default)]
pub(super) struct AlarmChanges {
    pub documents: Vec<Document>,
    pub rows: Vec<Transition>,
}

impl Alarms {
    pub(super) fn new(pump: PumpId) -> Self {
        let offset_ms = i64::from(pump.hash_slot(CHECKPOINT_INTERVAL_MS));
        Self {
            pump,
            alarms: None,
            output: Vec::new(),
            evaluated_until: None,
            last_stored_interval: None,
            suppressing_work: None,
            offset_ms,
        }
    }

    /// Returns whether readings are evaluated.
    pub(super) fn is_ready(&self) -> bool {
        self.alarms.is_some()
    }

    /// Begins with what is stored.
    pub(super) fn begin(&mut self, profile: &Profile, armed: ArmedAlarms, recovered: RecoveredAlarms, now: Timestamp) {
        let RecoveredAlarms { stored: StoredAlarms { statuses, checkpoint, .. }, readings } = recovered;
        let mut standing = Standing::default();
        for record in statuses.into_values() {
            standing.insert(record.key, record.status);
        }
        let evaluator = checkpoint.map(|checkpoint| checkpoint.evaluator);
        let mut alarms = PumpAlarms::restore(Some(self.pump.clone()), armed, evaluator, &standing);
        // The operating state at each of these readings.
        let mut windower = Windower::new(profile);
        for reading in readings {
            self.evaluated_until = self.evaluated_until.max(Some(reading.received));
            if !reading.late {
                windower.push(reading.clone());
            }
            alarms.evaluate(&reading, windower.operating_state(), &mut self.output);
        }
        alarms.finish_replay(now, &mut self.output);
        self.alarms = Some(alarms);
    }

    /// Uses other definitions from now on.
    pub(super) fn rearm(&mut self, armed: ArmedAlarms, now: Timestamp) {
        if let Some(alarms) = &mut self.alarms {
            alarms.rearm(armed, now, &mut self.output);
            self.suppressing_work = None;
        }
    }

    /// Uses this baseline for deviations from now on.
    pub(super) fn set_baseline(&mut self, baseline: Option<Arc<[ChannelSpread]>>) {
        if let Some(alarms) = &mut self.alarms {
            alarms.evaluator_mut().set_baseline(baseline);
        }
    }

    /// Evaluates a durable reading. `state` is the pump's operating state at that time.
    pub(super) fn evaluate(&mut self, reading: &Reading, is_played: bool, state: OperatingState) {
        let Some(alarms) = &mut self.alarms else { return };
        self.evaluated_until = self.evaluated_until.max(Some(reading.received));
        if is_played {
            let played = Reading { at: reading.received, ..reading.clone() };
            return alarms.evaluate(&played, state, &mut self.output);
        }
        alarms.evaluate(reading, state, &mut self.output);
    }

    /// Takes whether the model detects an anomaly.
    pub(super) fn observe_model(&mut self, is_anomaly: bool, now: Timestamp) {
        if let Some(alarms) = &mut self.alarms {
            alarms.observe_external(External::ModelAnomaly, is_anomaly, now, &mut self.output);
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if let Some(alarms) = &mut self.alarms {
            alarms.tick(now, &mut self.output);
        }
    }

    /// Returns after how long [`Self::tick`] is needed, in milliseconds, because a delay is over then; none if no delay
    /// runs.
    pub(super) fn due_in_ms(&self) -> Option<i64> {
        self.alarms.as_ref()?.due_in_ms()
    }

    /// Does what a user commands. The changes have to be durable before the user gets a response.
    pub(super) fn command(
        &mut self,
        alarm: &AlarmId,
        command: Command,
        user: &str,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        match &mut self.alarms {
            Some(alarms) => alarms.command(alarm, command, user, now, &mut self.output),
            None => Err(CommandError::Unknown(alarm.to_string())),
        }
    }

    /// Suppresses all alarms of the pump by design while any of this planned work is active. Ends the suppression by work
    /// that is not, also if the alarms have it since before a restart. Does nothing if the active work is as before.
    pub(super) fn suppress_by_work(&mut self, active: BTreeSet<String>, now: Timestamp) {
        let Some(alarms) = &mut self.alarms else { return };
        if self.suppressing_work.as_ref() == Some(&active) {
            return;
        }
        let suppressions = alarms.alarms().flat_map(|alarm| alarm.status().suppressions());
        let works = suppressions.filter_map(|suppression| match suppression {
            Suppression::PlannedWork { work } => Some(work.clone()),
            Suppression::OperatingState | Suppression::ExplainedBy { .. } => None,
        });
        let over: BTreeSet<String> = works.filter(|work| !active.contains(work)).collect();
        // First the works that begin, so that an alarm is not announced between two works.
        active.iter().for_each(|work| alarms.plan_work(work, true, now, &mut self.output));
        over.iter().for_each(|work| alarms.plan_work(work, false, now, &mut self.output));
        self.suppressing_work = Some(active);
    }

    /// Removes and returns the changes since the last call; none if there are none.
    pub(super) fn take_changes(&mut self) -> Option<AlarmChanges> {
        if self.output.is_empty() {
            return None;
        }
        let mut changes = AlarmChanges::default();
        for output in std::mem::take(&mut self.output) {
            match output {
                Output::Row(row) => {
                    changes.documents.push(Document::of(&row));
                    changes.rows.push(row);
                }
                Output::Past(excursion) => changes.documents.push(Document::of(&excursion)),
            }
        }
        let mut stored: Vec<&AlarmId> = changes.rows.iter().map(|row| &row.alarm).collect();
        stored.sort();
        stored.dedup();
        let records: Vec<Document> = stored
            .into_iter()
            .filter_map(|alarm| self.record(alarm, &changes.rows))
            .map(|r| Document::of(&r))
            .collect();
        changes.documents.extend(records);
        Some(changes)
    }

    /// Returns the status of an alarm to store, after its newest row.
    fn record(&self, id: &AlarmId, rows: &[Transition]) -> Option<AlarmRecord> {
        let alarms = self.alarms.as_ref()?;
        let row = rows.iter().rev().find(|row| row.alarm == *id)?;
        let alarm = alarms.alarms().find(|alarm| alarm.key().alarm == *id);
        let title = definition(alarms, id).map_or_else(|| id.to_string(), |definition| definition.title.clone());
        // An alarm that is no longer defined is dropped with its last row, which ends in the normal state.
        let status = alarm.map_or_else(Status::default, |alarm| alarm.status().clone());
        Some(AlarmRecord { key: row.key(), title, priority: row.priority, at: row.at, status })
    }

    /// Returns the evaluator's state if it is time to store it.
    pub(super) fn checkpoint(&mut self) -> Option<Document> {
        let (alarms, at) = (self.alarms.as_ref()?, self.evaluated_until?);
        let interval = (at.millis() + self.offset_ms).div_euclid(i64::from(CHECKPOINT_INTERVAL_MS));
        if self.last_stored_interval.replace(interval) == Some(interval) {
            return None;
        }
        let evaluator = alarms.evaluator().checkpoint();
        Some(Document::of(&AlarmCheckpoint { pump: self.pump.clone(), at, evaluator }))
    }

    /// Returns the evaluator's state when the node stops; none if nothing was evaluated.
    pub(super) fn last_checkpoint(&mut self) -> Option<Document> {
        self.last_stored_interval = None;
        self.checkpoint()
    }

    /// Returns the alarms that are not normal.
    pub(super) fn standing(&self) -> Vec<StandingAlarm> {
        let Some(alarms) = &self.alarms else { return Vec::new() };
        let not_normal = alarms.alarms().filter(|alarm| alarm.state() != State::Normal);
        not_normal.map(|alarm| standing_alarm(alarm, definition(alarms, &alarm.key().alarm))).collect()
    }
}

fn definition<'a>(alarms: &'a PumpAlarms, id: &AlarmId) -> Option<&'a volute_alarm::AlarmDefinition> {
    let armed = alarms.evaluator().armed();
    armed.index_of(id).and_then(|index| armed.alarms().get(index)).map(|armed| armed.definition())
}

#[cfg(test)]
mod tests {
    use volute_alarm::{AlarmDefinition, Condition, Priority};
    use volute_plant::Sample;

    use super::*;

    const PROFILE: &str = r#"
        name = "small"
        title = "A pump for tests"
        interval_ms = 1000
        [[channels]]
        name = "Tb"
        quantity = "bearing_temperature"
        unit = "°C"
        plausible = [-40, 200]
        resolution = 0.1
    "#;

    fn profile() -> Profile {
        Profile::from_toml(PROFILE).expect("a profile")
    }

    fn armed() -> ArmedAlarms {
        let condition = Condition::High { channel: "Tb".into(), limit: 93.0 };
        let definition = AlarmDefinition {
            on_delay_s: Some(5.0),
            off_delay_s: Some(5.0),
            ..AlarmDefinition::new(AlarmId::from_text("hot"), "Bearing hot", Priority::High, condition)
        };
        ArmedAlarms::compile(&profile(), &[definition]).expect("valid")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + second * 1_000).expect("a time")
    }

    fn reading(second: i64, value: f64) -> Reading {
        let pump = "P-1".parse().expect("an id");
        Reading { pump, at: at(second), received: at(second), late: false, samples: [Sample::Good(value)].into() }
    }

    fn evaluate(alarms: &mut Alarms, seconds: std::ops::Range<i64>, value: f64) {
        for second in seconds {
            alarms.evaluate(&reading(second, value), false, OperatingState::Running);
        }
    }

    fn begun(recovered: RecoveredAlarms) -> Alarms {
        let mut alarms = Alarms::new("P-1".parse().expect("an id"));
        alarms.begin(&profile(), armed(), recovered, at(0));
        alarms
    }

    /// Returns what a restart finds: the newest status and checkpoint among the documents.
    fn stored(documents: &[Document]) -> StoredAlarms {
        let records = documents.iter().filter_map(|document| document.read::<AlarmRecord>()?.ok());
        StoredAlarms {
            statuses: records.map(|record| (record.key.alarm.clone(), record)).collect(),
            checkpoint: documents.iter().rev().find_map(|document| document.read::<AlarmCheckpoint>()?.ok()),
            rules: None,
        }
    }

    fn states(alarms: &Alarms) -> Vec<State> {
        alarms.standing().iter().map(|alarm| alarm.state).collect()
    }

    #[test]
    fn a_row_and_the_status_after_it_are_stored_together() {
        let mut alarms = begun(RecoveredAlarms::default());
        evaluate(&mut alarms, 0..10, 80.0);
        assert!(alarms.take_changes().is_none(), "nothing happens");
        evaluate(&mut alarms, 10..20, 95.0);
        let AlarmChanges { documents, rows } = alarms.take_changes().expect("raised");
        assert_eq!(rows.iter().map(|row| (row.to, row.announces)).collect::<Vec<_>>(), [(State::Unacknowledged, true)]);
        let tables: Vec<&str> = documents.iter().map(Document::table).collect();
        assert_eq!(tables, ["alarm_transition", "alarm"]);
        let record = documents[1].read::<AlarmRecord>().expect("a status").expect("readable");
        assert_eq!((record.title.as_str(), record.status.state()), ("Bearing hot", State::Unacknowledged));
        assert!(alarms.take_changes().is_none(), "taken once");
    }

    /// The node is killed after each of these readings in turn: in the end the same alarm stands, with one occurrence.
    #[test]
    fn a_kill_at_any_moment_neither_loses_nor_repeats_an_alarm() {
        let value = |second: i64| if second < 10 { 80.0 } else { 95.0 };
        for killed_at in 1..30 {
            for has_lost_rows in [false, true] {
                let mut alarms = begun(RecoveredAlarms::default());
                let mut documents = Vec::new();
                for second in 0..killed_at {
                    evaluate(&mut alarms, second..second + 1, value(second));
                    let changes = alarms.take_changes().unwrap_or_default();
                    // The rows of the last reading may not be durable yet; the reading is.
                    if !(has_lost_rows && second == killed_at - 1) {
                        documents.extend(changes.documents);
                        documents.extend(alarms.checkpoint());
                    }
                }
                let stored = stored(&documents);
                let since = stored.checkpoint.as_ref().map(|checkpoint| checkpoint.at);
                let readings = (0..killed_at).map(|second| reading(second, value(second)));
                let readings = readings.filter(|reading| since.is_none_or(|since| reading.received >= since)).collect();
                let mut alarms = begun(RecoveredAlarms { stored, readings });
                evaluate(&mut alarms, killed_at..30, value(29));
                let standing = alarms.standing();
                assert_eq!(states(&alarms), [State::Unacknowledged], "killed after {killed_at} s");
                assert_eq!(standing[0].occurrence, 1, "killed after {killed_at} s, {has_lost_rows}");
            }
        }
    }

    #[test]
    fn an_acknowledgement_survives_a_restart() {
        let mut alarms = begun(RecoveredAlarms::default());
        evaluate(&mut alarms, 0..20, 95.0);
        let id = AlarmId::from_text("hot");
        let acknowledge = Command::Acknowledge { up_to: 1, comment: None };
        alarms.command(&id, acknowledge.clone(), "user ada", at(21)).expect("allowed");
        let mut documents = alarms.take_changes().expect("rows").documents;
        documents.extend(alarms.checkpoint());
        let mut alarms = begun(RecoveredAlarms { stored: stored(&documents), readings: Vec::new() });
        assert_eq!(states(&alarms), [State::Acknowledged]);
        assert!(alarms.command(&id, acknowledge, "user ada", at(22)).is_err(), "it is acknowledged already");
        evaluate(&mut alarms, 30..60, 80.0);
        assert_eq!(states(&alarms), Vec::<State>::new(), "it is over");
    }

    #[test]
    fn nothing_is_evaluated_before_what_is_stored_is_read() {
        let mut alarms = Alarms::new("P-1".parse().expect("an id"));
        evaluate(&mut alarms, 0..20, 95.0);
        assert!(!alarms.is_ready() && alarms.take_changes().is_none() && alarms.checkpoint().is_none());
        let readings = (0..20).map(|second| reading(second, 95.0)).collect();
        alarms.begin(&profile(), armed(), RecoveredAlarms { stored: StoredAlarms::default(), readings }, at(20));
        assert_eq!(states(&alarms), [State::Unacknowledged], "they are evaluated then");
    }

    #[test]
    fn played_readings_raise_although_they_are_of_the_past() {
        let mut alarms = begun(RecoveredAlarms::default());
        for second in 0..20 {
            let played = Reading { at: at(second - 86_400), ..reading(second, 95.0) };
            alarms.evaluate(&played, true, OperatingState::Running);
        }
        assert_eq!(states(&alarms), [State::Unacknowledged]);
    }

    #[test]
    fn planned_work_suppresses_and_ends_also_after_a_restart() {
        let work = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        let mut alarms = begun(RecoveredAlarms::default());
        alarms.suppress_by_work(work(&["w1"]), at(0));
        evaluate(&mut alarms, 0..20, 95.0);
        assert_eq!(states(&alarms), [State::Suppressed], "nobody is disturbed");
        alarms.suppress_by_work(work(&["w2"]), at(20));
        let rows = alarms.take_changes().expect("rows");
        assert!(rows.rows.iter().all(|row| !row.announces), "no gap between two works");
        let mut documents = rows.documents;
        documents.extend(alarms.last_checkpoint());
        assert!(alarms.take_changes().is_none());
        alarms.suppress_by_work(work(&["w2"]), at(21));
        assert!(alarms.take_changes().is_none(), "nothing is stored while nothing changes");
        // The work ends while the node is down.
        let mut alarms = begun(RecoveredAlarms { stored: stored(&documents), readings: Vec::new() });
        assert_eq!(states(&alarms), [State::Suppressed]);
        alarms.suppress_by_work(BTreeSet::new(), at(30));
        evaluate(&mut alarms, 30..40, 95.0);
        assert_eq!(states(&alarms), [State::Unacknowledged], "it holds, so it is announced");
    }

    #[test]
    fn a_checkpoint_is_due_once_a_minute_and_at_the_end() {
        let mut alarms = begun(RecoveredAlarms::default());
        let mut count = 0;
        for second in 0..300 {
            evaluate(&mut alarms, second..second + 1, 80.0);
            count += usize::from(alarms.checkpoint().is_some());
        }
        assert!((5..=6).contains(&count), "{count}");
        assert!(alarms.checkpoint().is_none() && alarms.last_checkpoint().is_some());
    }
}
