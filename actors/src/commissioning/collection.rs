//! Counts a pump's normal running, and selects the windows of normal running from which its baseline is learned. Does
//! no I/O.
//!
//! A window is normal if all its values are within their alarm limits. (A pump has windows only while it runs and has
//! *settled*: it has run for the profile's `settle_s` since its start.) The same rule selects the windows that are
//! counted and those that a baseline is learned from. What a pump does during planned work is neither counted nor learned
//! from. The progress is stored once per minute of normal running, so after
//! a crash at most one minute has to be collected again.
//!
//! For a step-based detector (`conditional`), steps are counted instead of windows, so that a pump with a
//! channel that is always missing is commissioned too. Its baseline is usable after an hour. It is then *refined*:
//! learned again from all healthy running so far, until it was learned from a day ([`volute_anomaly::RefinementSchedule`]).
//! The progress of a refinement is not stored. After a restart, counting continues from the running of the baseline in
//! use.
//!
//! An example at one reading per second, with 3 s of normal running needed: the windows that end at 100 s, 101 s and
//! 500 s are normal. The training range starts with the first reading of the first window, at 71 s, and includes the
//! reading at 500 s. Later windows are not counted.

use std::sync::Arc;

use volute_anomaly::{Baseline, Detector, HealthyStep, RefinementSchedule, min_steps};
use volute_data::CommissioningRecord;
use volute_plant::{Limit, Profile, Reading, StepRow, Timestamp, Window, WindowConfig, WindowedReading, Windower};

/// The progress of a commissioning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CollectionProgress {
    /// There is enough normal running, and the baseline is being learned.
    pub is_complete: bool,
    /// Normal running so far, in milliseconds.
    pub running_ms: i64,
    /// Normal running needed, in milliseconds.
    pub needed_ms: i64,
    /// Why the last attempt failed, as text for users.
    pub last_error: Option<Arc<str>>,
}

/// Milliseconds of normal running after which the progress is stored.
const PERSIST_INTERVAL_MS: i64 = 60_000;

/// How much normal running a baseline needs, and how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CollectionGoal {
    /// The normal running needed, in milliseconds.
    pub needed_ms: i64,
    pub counted: Counted,
}

/// What is counted as normal running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Windows,
    Steps,
}

/// The normal running collected for one pump's baseline.
#[derive(Debug)]
pub(crate) struct BaselineCollection {
    goal: CollectionGoal,
    /// Whether the pump has a baseline already, which is to be refined.
    is_refinement: bool,
    record: CommissioningRecord,
    /// The progress that is stored.
    persisted: Option<CommissioningRecord>,
    /// Whether a whole window of normal running was counted since the start.
    has_window: bool,
    last_error: Option<Arc<str>>,
}

impl BaselineCollection {
    /// Creates a collection of which nothing is stored.
    pub(crate) fn new(goal: CollectionGoal, record: CommissioningRecord) -> Self {
        Self { goal, is_refinement: false, record, persisted: None, has_window: false, last_error: None }
    }

    /// Continues a collection that is stored.
    pub(crate) fn stored(goal: CollectionGoal, record: CommissioningRecord) -> Self {
        Self { persisted: Some(record.clone()), ..Self::new(goal, record) }
    }

    /// Returns the collection with which a baseline is refined. None if the baseline was learned from enough running
    /// already.
    pub(crate) fn refining(baseline: &Baseline) -> Option<Self> {
        let learned = baseline.conditional.as_ref()?.learned();
        let next_s = RefinementSchedule::next_s(learned.running_s)?;
        let goal = CollectionGoal { needed_ms: (next_s * 1e3) as i64, counted: Counted::Steps };
        let record = CommissioningRecord {
            reason: format!("refined after {} of running", format_hours(next_s)),
            requested: false,
            from: Some(learned.from),
            to: None,
            running_ms: (learned.running_s * 1e3) as i64,
        };
        Some(Self { is_refinement: true, ..Self::new(goal, record) })
    }

    /// Whether the pump has a baseline already, which is to be refined.
    pub(crate) fn is_refinement(&self) -> bool {
        self.is_refinement
    }

    /// Counts a step if it (or its window, if windows are counted) is of normal running and more is needed. Returns
    /// whether it is of normal running.
    pub(crate) fn take(&mut self, profile: &Profile, at: Timestamp, row: &StepRow, window: Option<&Window>) -> bool {
        let is_normal = match self.goal.counted {
            Counted::Windows => window.is_some_and(|window| is_normal(profile, &window.values)),
            Counted::Steps => row.state.has_settled() && is_normal(profile, &row.values),
        };
        if is_normal && self.record.to.is_none() {
            self.count(profile, at);
            self.has_window |= window.is_some();
        }
        is_normal
    }

    fn count(&mut self, profile: &Profile, at: Timestamp) {
        let config = WindowConfig::for_profile(profile);
        let span_ms = (config.len as i64 - 1) * config.interval_ms;
        self.record.from.get_or_insert(at.plus_ms(-span_ms));
        self.record.running_ms += config.interval_ms;
        if self.record.running_ms >= self.goal.needed_ms {
            self.record.to = Some(at.plus_ms(1));
        }
    }

    /// Returns the range of readings to learn from, once there is enough normal running.
    pub(crate) fn training_range(&self) -> Option<(Timestamp, Timestamp)> {
        self.record.from.zip(self.record.to)
    }

    /// Returns whether the pump has not run normally for a whole window. That is so if less normal running was counted
    /// than one window is long. It is also so if no window was complete: steps of readings that are too far apart are
    /// counted, but have no window.
    pub(crate) fn is_below_one_window(&self, profile: &Profile) -> bool {
        !self.has_window || self.record.running_ms < WindowConfig::LEN as i64 * profile.interval_ms()
    }

    /// Returns why the pump is commissioned.
    pub(crate) fn reason(&self) -> &str {
        &self.record.reason
    }

    /// Returns the progress if it is to be stored now.
    pub(crate) fn due(&self) -> Option<&CommissioningRecord> {
        if self.is_refinement {
            return None;
        }
        let (persisted_ms, persisted_to) =
            self.persisted.as_ref().map_or((0, None), |persisted| (persisted.running_ms, persisted.to));
        let due = self.record.to != persisted_to || self.record.running_ms - persisted_ms >= PERSIST_INTERVAL_MS;
        due.then_some(&self.record)
    }

    /// Marks this progress as stored.
    pub(crate) fn persisted(&mut self, record: CommissioningRecord) {
        self.persisted = Some(record);
    }

    /// Sets the text that says why the last attempt failed.
    pub(crate) fn record_error(&mut self, error: &str) {
        self.last_error = Some(error.into());
    }

    /// Discards what was collected, and starts over with the next reading.
    pub(crate) fn start_over(&mut self, error: &str) {
        let CommissioningRecord { reason, requested, .. } = self.record.clone();
        self.record = CommissioningRecord { reason, requested, from: None, to: None, running_ms: 0 };
        self.record_error(error);
    }

    /// Returns the progress.
    pub(crate) fn progress(&self) -> CollectionProgress {
        CollectionProgress {
            is_complete: self.record.to.is_some(),
            running_ms: self.record.running_ms.min(self.goal.needed_ms),
            needed_ms: self.goal.needed_ms,
            last_error: self.last_error.clone(),
        }
    }
}

/// Milliseconds of running from which a step-based detector learns its first baseline.
const FIRST_STEPS_MS: i64 = 3_600_000;

/// Returns the normal running needed by a detector: the configured time, but at least what every baseline needs. A
/// step-based detector needs an hour at most, since its baseline is refined later.
pub(crate) fn goal(profile: &Profile, detector: Detector, running_ms: i64) -> CollectionGoal {
    let min_ms = |steps: usize| steps as i64 * profile.interval_ms();
    match detector {
        Detector::LstmAutoencoder | Detector::Fused => CollectionGoal {
            needed_ms: running_ms.max(min_ms(min_steps(detector) + WindowConfig::LEN)),
            counted: Counted::Windows,
        },
        Detector::Conditional => CollectionGoal {
            needed_ms: running_ms.min(FIRST_STEPS_MS).max(min_ms(min_steps(detector))),
            counted: Counted::Steps,
        },
    }
}

/// Selects the steps of a pump's readings from which a baseline is learned, oldest first. Leaves out steps of a running
/// pump with values beyond the alarm limits.
pub(crate) struct HealthySteps<'a> {
    profile: &'a Profile,
    windower: Windower,
}

impl<'a> HealthySteps<'a> {
    pub(crate) fn new(profile: &'a Profile) -> Self {
        Self { profile, windower: Windower::new(profile) }
    }

    /// Takes the next reading, or none after the last one. Returns the steps that the reading completes, each with its
    /// window if the whole window is normal.
    pub(crate) fn take(&mut self, next: Option<Reading>) -> impl Iterator<Item = HealthyStep> + use<'a> {
        let windowed = match next {
            Some(reading) if reading.late => Vec::new(),
            Some(reading) => self.windower.push(reading),
            None => self.windower.flush(),
        };
        let profile = self.profile;
        windowed.into_iter().filter_map(|WindowedReading { reading, step, window, .. }| {
            // Steps of a pump that does not run are selected although its values may be below limits. They show how the
            // pump cools.
            if step.state.has_settled() && !is_normal(profile, &step.values) {
                return None;
            }
            let window = window.ok().filter(|window| is_normal(profile, &window.values));
            Some(HealthyStep::new(profile, reading.at, &step, window))
        })
    }
}

/// Returns whether every value that is not missing is within its channel's alarm limits.
fn is_normal(profile: &Profile, values: &[f64]) -> bool {
    let channels = profile.channels();
    values.chunks_exact(channels.len()).all(|row| {
        row.iter().zip(channels).all(|(&value, channel)| {
            // A missing value is NaN, which is beyond no limit.
            !channel.limits.beyond(value).is_some_and(Limit::is_alarm)
        })
    })
}

/// Returns seconds as "12 h" or "0.5 h".
fn format_hours(seconds: f64) -> String {
    format!("{} h", (seconds / 360.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use volute_plant::{Sample, StepState};

    use super::*;

    fn profile() -> Profile {
        let text = r#"
            name = "small"
            title = "A pump for tests"
            interval_ms = 1000
            [[channels]]
            name = "Tb"
            quantity = "bearing_temperature"
            unit = "°C"
            plausible = [0, 200]
            resolution = 0.1
            limits = { low_alarm = 10, high_alarm = 85 }
        "#;
        Profile::from_toml(text).expect("the test profile is valid")
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + s * 1000).expect("a time")
    }

    fn record() -> CommissioningRecord {
        CommissioningRecord { reason: "new".into(), requested: false, from: None, to: None, running_ms: 0 }
    }

    fn reading(s: i64, value: f64) -> Reading {
        let pump = "P-1".parse().expect("a name");
        Reading { pump, at: at(s), received: at(s), samples: [Sample::Good(value)].into(), late: false }
    }

    fn window(s: i64, value: f64) -> Window {
        let mut values = vec![50.0; 30];
        values[29] = value;
        Window { pump: "P-1".parse().expect("a name"), at: at(s), values: values.into(), held: Default::default() }
    }

    fn windows_ms(needed_ms: i64) -> CollectionGoal {
        CollectionGoal { needed_ms, counted: Counted::Windows }
    }

    fn row(state: StepState) -> StepRow {
        StepRow { values: [50.0].into(), held: Default::default(), state }
    }

    fn take(collection: &mut BaselineCollection, window: &Window) -> bool {
        collection.take(&profile(), window.at, &row(StepState::Running), Some(window))
    }

    #[test]
    fn only_running_within_the_alarm_limits_counts() {
        for (value, counted) in [(9.9, 0), (10.0, 1000), (85.0, 1000), (85.1, 0)] {
            let mut collection = BaselineCollection::new(windows_ms(60_000), record());
            take(&mut collection, &window(100, value));
            assert_eq!(collection.record.running_ms, counted, "{value}");
        }
    }

    #[test]
    fn enough_running_gives_a_training_range() {
        let mut collection = BaselineCollection::new(windows_ms(3000), record());
        for s in [100, 101] {
            take(&mut collection, &window(s, 50.0));
            assert_eq!(collection.training_range(), None);
        }
        take(&mut collection, &window(500, 50.0));
        let range = (at(71), at(500).plus_ms(1));
        assert_eq!(collection.training_range(), Some(range), "from the first reading of the first window");
        take(&mut collection, &window(501, 50.0));
        assert_eq!(collection.training_range(), Some(range), "later windows are not counted");
        collection.start_over("too few windows");
        take(&mut collection, &window(900, 50.0));
        assert_eq!((collection.training_range(), collection.record.from), (None, Some(at(871))));
    }

    #[test]
    fn progress_is_due_once_a_minute_of_running_and_when_complete() {
        let mut collection = BaselineCollection::new(windows_ms(150_000), record());
        let mut stored = Vec::new();
        for s in 1..=200 {
            take(&mut collection, &window(s, 50.0));
            if let Some(record) = collection.due().cloned() {
                stored.push(s);
                collection.persisted(record);
            }
        }
        assert_eq!(stored, [60, 120, 150]);
    }

    #[test]
    fn at_least_the_windows_that_every_baseline_needs_are_collected() {
        let needed = |detector, running_ms| goal(&profile(), detector, running_ms).needed_ms;
        assert_eq!(needed(Detector::Fused, 1), 130_000);
        assert_eq!(needed(Detector::Fused, 7_200_000), 7_200_000);
        assert_eq!(needed(Detector::Conditional, 1), 60_000);
        assert_eq!(needed(Detector::Conditional, 86_400_000), 3_600_000, "the first baseline, which is refined");
    }

    proptest! {
        /// The windows counted live are those that a baseline is learned from.
        #[test]
        fn counted_windows_are_the_training_windows(
            values in prop::collection::vec(prop_oneof![9 => Just(50.0), 1 => Just(90.0)], 40..200),
            holes in prop::collection::btree_set(1_i64..200, 0..10),
        ) {
            let profile = profile();
            let numbered = values.iter().zip(0..).filter(|(_, s)| !holes.contains(s));
            let readings: Vec<Reading> = numbered.map(|(value, s)| reading(s, *value)).collect();
            let mut collection = BaselineCollection::new(windows_ms(i64::MAX), record());
            let mut windower = Windower::new(&profile);
            let mut windowed: Vec<_> = readings.iter().flat_map(|reading| windower.push(reading.clone())).collect();
            windowed.extend(windower.flush());
            for WindowedReading { reading, step, window, .. } in &windowed {
                collection.take(&profile, reading.at, step, window.as_ref().ok());
            }
            let mut healthy = HealthySteps::new(&profile);
            let inputs = readings.into_iter().map(Some).chain([None]);
            let windows = inputs.flat_map(|next| healthy.take(next)).filter(|step| step.window.is_some());
            let training = windows.count();
            prop_assert_eq!(collection.record.running_ms, training as i64 * 1000);
        }
    }
}
