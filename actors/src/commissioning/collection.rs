//! Counts a pump's normal running and selects the windows of normal running. Pure.
//!
//! A window is normal if all its values are within their alarm limits. (A pump only has windows while it runs and has
//! settled.) The same rule selects the windows that are counted and those that a baseline is learned from. The progress is
//! stored once per minute of normal running, so after a crash at most one minute has to be collected again.
//!
//! An example at one reading per second, with 3 s of normal running needed: the windows that end at 100 s, 101 s and 500 s are
//! normal. The training range starts with the first reading of the first window, at 71 s, and includes the reading at 500 s.
//! Later windows are not counted.

use std::sync::Arc;

use volute_anomaly::MIN_WINDOWS;
use volute_data::CommissioningRecord;
use volute_plant::{Profile, Reading, Timestamp, Window, WindowConfig, Windower};

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

/// The normal running collected for one pump's baseline.
#[derive(Debug)]
pub(crate) struct BaselineCollection {
    needed_ms: i64,
    record: CommissioningRecord,
    /// The progress that is stored.
    persisted: Option<CommissioningRecord>,
    last_error: Option<Arc<str>>,
}

impl BaselineCollection {
    /// Creates a collection of which nothing is stored.
    pub(crate) fn new(needed_ms: i64, record: CommissioningRecord) -> Self {
        Self { needed_ms, record, persisted: None, last_error: None }
    }

    /// Continues a collection that is stored.
    pub(crate) fn stored(needed_ms: i64, record: CommissioningRecord) -> Self {
        Self { persisted: Some(record.clone()), ..Self::new(needed_ms, record) }
    }

    /// Counts a window if it is normal and more running is needed.
    pub(crate) fn take(&mut self, profile: &Profile, window: &Window) {
        if self.record.to.is_some() || !is_normal(profile, window) {
            return;
        }
        let config = WindowConfig::for_profile(profile);
        let span_ms = (config.len as i64 - 1) * config.interval_ms;
        self.record.from.get_or_insert(window.at.plus_ms(-span_ms));
        self.record.running_ms += config.interval_ms;
        if self.record.running_ms >= self.needed_ms {
            self.record.to = Some(window.at.plus_ms(1));
        }
    }

    /// Returns the range of readings to learn from, once there is enough normal running.
    pub(crate) fn training_range(&self) -> Option<(Timestamp, Timestamp)> {
        self.record.from.zip(self.record.to)
    }

    /// Returns whether less normal running was counted than one window is long.
    pub(crate) fn is_below_one_window(&self, profile: &Profile) -> bool {
        self.record.running_ms < WindowConfig::LEN as i64 * profile.interval_ms()
    }

    /// Returns why the pump is commissioned.
    pub(crate) fn why(&self) -> &str {
        &self.record.reason
    }

    /// Returns the progress if it is to be stored now.
    pub(crate) fn due(&self) -> Option<&CommissioningRecord> {
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
        let CommissioningRecord { reason: why, requested: asked, .. } = self.record.clone();
        self.record = CommissioningRecord { reason: why, requested: asked, from: None, to: None, running_ms: 0 };
        self.record_error(error);
    }

    /// Returns the progress.
    pub(crate) fn progress(&self) -> CollectionProgress {
        CollectionProgress {
            is_complete: self.record.to.is_some(),
            running_ms: self.record.running_ms.min(self.needed_ms),
            needed_ms: self.needed_ms,
            last_error: self.last_error.clone(),
        }
    }
}

/// Returns the normal running needed, in milliseconds: the configured time, but at least what every baseline needs.
pub(crate) fn needed_ms(profile: &Profile, running_ms: i64) -> i64 {
    let min_ms = (MIN_WINDOWS + WindowConfig::LEN) as i64 * profile.interval_ms();
    running_ms.max(min_ms)
}

/// Selects the windows of normal running from a pump's readings, oldest first.
pub(crate) struct NormalWindows<'a> {
    profile: &'a Profile,
    windower: Windower,
}

impl<'a> NormalWindows<'a> {
    pub(crate) fn new(profile: &'a Profile) -> Self {
        Self { profile, windower: Windower::new(profile) }
    }

    /// Takes the next reading, or none after the last one. Returns the normal windows that it completes.
    pub(crate) fn take(&mut self, next: Option<Reading>) -> impl Iterator<Item = Window> + use<'a> {
        let windowed = match next {
            Some(reading) if reading.late => Vec::new(),
            Some(reading) => self.windower.push(reading),
            None => self.windower.flush(),
        };
        let profile = self.profile;
        windowed.into_iter().filter_map(|windowed| windowed.window.ok()).filter(|window| is_normal(profile, window))
    }
}

/// Returns whether every value is within its channel's alarm limits.
fn is_normal(profile: &Profile, window: &Window) -> bool {
    let channels = profile.channels();
    window.values.chunks_exact(channels.len()).all(|row| {
        row.iter().zip(channels).all(|(&value, channel)| {
            let limits = &channel.limits;
            limits.low_alarm.is_none_or(|low| value >= low) && limits.high_alarm.is_none_or(|high| value <= high)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use volute_plant::Sample;

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

    #[test]
    fn only_running_within_the_alarm_limits_counts() {
        for (value, counted) in [(9.9, 0), (10.0, 1000), (85.0, 1000), (85.1, 0)] {
            let mut collection = BaselineCollection::new(60_000, record());
            collection.take(&profile(), &window(100, value));
            assert_eq!(collection.record.running_ms, counted, "{value}");
        }
    }

    #[test]
    fn enough_running_gives_a_training_range() {
        let mut collection = BaselineCollection::new(3000, record());
        for s in [100, 101] {
            collection.take(&profile(), &window(s, 50.0));
            assert_eq!(collection.training_range(), None);
        }
        collection.take(&profile(), &window(500, 50.0));
        let range = (at(71), at(500).plus_ms(1));
        assert_eq!(collection.training_range(), Some(range), "from the first reading of the first window");
        collection.take(&profile(), &window(501, 50.0));
        assert_eq!(collection.training_range(), Some(range), "later windows are not counted");
        collection.start_over("too few windows");
        collection.take(&profile(), &window(900, 50.0));
        assert_eq!((collection.training_range(), collection.record.from), (None, Some(at(871))));
    }

    #[test]
    fn progress_is_due_once_a_minute_of_running_and_when_complete() {
        let mut collection = BaselineCollection::new(150_000, record());
        let mut stored = Vec::new();
        for s in 1..=200 {
            collection.take(&profile(), &window(s, 50.0));
            if let Some(record) = collection.due().cloned() {
                stored.push(s);
                collection.persisted(record);
            }
        }
        assert_eq!(stored, [60, 120, 150]);
    }

    #[test]
    fn at_least_the_windows_that_every_baseline_needs_are_collected() {
        assert_eq!(needed_ms(&profile(), 1), 130_000);
        assert_eq!(needed_ms(&profile(), 3_600_000), 3_600_000);
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
            let mut collection = BaselineCollection::new(i64::MAX, record());
            let mut windower = Windower::new(&profile);
            let mut windowed: Vec<_> = readings.iter().flat_map(|reading| windower.push(reading.clone())).collect();
            windowed.extend(windower.flush());
            for window in windowed.iter().filter_map(|windowed| windowed.window.as_ref().ok()) {
                collection.take(&profile, window);
            }
            let mut normal = NormalWindows::new(&profile);
            let inputs = readings.into_iter().map(Some).chain([None]);
            let training: usize = inputs.map(|next| normal.take(next).count()).sum();
            prop_assert_eq!(collection.record.running_ms, training as i64 * 1000);
        }
    }
}
