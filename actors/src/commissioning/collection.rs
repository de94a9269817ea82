//! How much normal running a pump has shown, and which windows are of normal running. Pure.
//!
//! Normal is a window, so of a pump that runs and has settled, whose values are all within their alarm limits. The same
//! rule chooses the windows that are counted and those that are learned from. What is counted is stored once a minute of
//! running: after a crash at most that minute is gathered again.

use std::sync::Arc;

use volute_anomaly::MIN_WINDOWS;
use volute_data::CommissioningRecord;
use volute_plant::{Profile, Reading, Timestamp, Window, WindowRules, Windower};

/// How far a commissioning is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CollectionProgress {
    /// There is enough, and the baseline is being learned.
    pub is_complete: bool,
    /// Normal running so far.
    pub running_ms: i64,
    /// Normal running that it takes.
    pub needed_ms: i64,
    /// What went wrong the last time, for people.
    pub trouble: Option<Arc<str>>,
}

/// How much running may be counted before it is stored.
const KEEP_EVERY_MS: i64 = 60_000;

/// One pump's commissioning.
#[derive(Debug)]
pub(crate) struct BaselineCollection {
    needed_ms: i64,
    record: CommissioningRecord,
    /// What is stored of it.
    kept: Option<CommissioningRecord>,
    trouble: Option<Arc<str>>,
}

impl BaselineCollection {
    /// A commissioning of which nothing is stored.
    pub(crate) fn new(needed_ms: i64, record: CommissioningRecord) -> Self {
        Self { needed_ms, record, kept: None, trouble: None }
    }

    /// One that is stored, and goes on.
    pub(crate) fn stored(needed_ms: i64, record: CommissioningRecord) -> Self {
        Self { kept: Some(record.clone()), ..Self::new(needed_ms, record) }
    }

    /// Counts a window in.
    pub(crate) fn take(&mut self, profile: &Profile, window: &Window) {
        if self.record.to.is_some() || !is_normal(profile, window) {
            return;
        }
        let rules = WindowRules::for_profile(profile);
        let span_ms = (rules.len as i64 - 1) * rules.interval_ms;
        self.record.from.get_or_insert(window.at.plus_ms(-span_ms));
        self.record.running_ms += rules.interval_ms;
        if self.record.running_ms >= self.needed_ms {
            self.record.to = Some(window.at.plus_ms(1));
        }
    }

    /// The stretch to learn from, once there is enough.
    pub(crate) fn complete(&self) -> Option<(Timestamp, Timestamp)> {
        self.record.from.zip(self.record.to)
    }

    /// Whether no window was counted in yet.
    pub(crate) fn is_slight(&self, profile: &Profile) -> bool {
        self.record.running_ms < WindowRules::LEN as i64 * profile.interval_ms()
    }

    /// Why the pump is commissioned.
    pub(crate) fn why(&self) -> &str {
        &self.record.why
    }

    /// What is to be stored now, if anything is.
    pub(crate) fn due(&self) -> Option<&CommissioningRecord> {
        let (kept_ms, kept_to) = self.kept.as_ref().map_or((0, None), |kept| (kept.running_ms, kept.to));
        let due = self.record.to != kept_to || self.record.running_ms - kept_ms >= KEEP_EVERY_MS;
        due.then_some(&self.record)
    }

    /// That is stored.
    pub(crate) fn persisted(&mut self, record: CommissioningRecord) {
        self.kept = Some(record);
    }

    /// Learning failed and is tried again.
    pub(crate) fn fail(&mut self, trouble: &str) {
        self.trouble = Some(trouble.into());
    }

    /// What was gathered does not do: begins anew with the next reading.
    pub(crate) fn start_over(&mut self, trouble: &str) {
        let CommissioningRecord { why, asked, .. } = self.record.clone();
        self.record = CommissioningRecord { why, asked, from: None, to: None, running_ms: 0 };
        self.fail(trouble);
    }

    /// Returns how far it is.
    pub(crate) fn progress(&self) -> CollectionProgress {
        CollectionProgress {
            is_complete: self.record.to.is_some(),
            running_ms: self.record.running_ms.min(self.needed_ms),
            needed_ms: self.needed_ms,
            trouble: self.trouble.clone(),
        }
    }
}

/// How much running it takes: what is asked for, but never less than any baseline needs.
pub(crate) fn needed_ms(profile: &Profile, running_ms: i64) -> i64 {
    let least = (MIN_WINDOWS + WindowRules::LEN) as i64 * profile.interval_ms();
    running_ms.max(least)
}

/// Finds the windows of normal running in a pump's readings, which come oldest first.
pub(crate) struct NormalWindows<'a> {
    profile: &'a Profile,
    windower: Windower,
}

impl<'a> NormalWindows<'a> {
    pub(crate) fn new(profile: &'a Profile) -> Self {
        Self { profile, windower: Windower::new(profile) }
    }

    /// Takes the next reading in; none: there are no more. Returns the windows that are complete with it.
    pub(crate) fn take(&mut self, next: Option<Reading>) -> impl Iterator<Item = Window> + use<'a> {
        let placed = match next {
            Some(reading) if reading.late => Vec::new(),
            Some(reading) => self.windower.push(reading),
            None => self.windower.flush(),
        };
        let profile = self.profile;
        placed.into_iter().filter_map(|placed| placed.window.ok()).filter(|window| is_normal(profile, window))
    }
}

/// Whether every value is within its channel's alarm limits.
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
        CommissioningRecord { why: "new".into(), asked: false, from: None, to: None, running_ms: 0 }
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
    fn with_enough_running_there_is_a_stretch_to_learn_from() {
        let mut collection = BaselineCollection::new(3000, record());
        for s in [100, 101] {
            collection.take(&profile(), &window(s, 50.0));
            assert_eq!(collection.complete(), None);
        }
        collection.take(&profile(), &window(500, 50.0));
        let stretch = (at(71), at(500).plus_ms(1));
        assert_eq!(collection.complete(), Some(stretch), "from the first reading of the first window");
        collection.take(&profile(), &window(501, 50.0));
        assert_eq!(collection.complete(), Some(stretch), "what comes later is not counted");
        collection.start_over("too few windows");
        collection.take(&profile(), &window(900, 50.0));
        assert_eq!((collection.complete(), collection.record.from), (None, Some(at(871))));
    }

    #[test]
    fn it_is_stored_once_a_minute_of_running_and_when_it_is_complete() {
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
    fn fewer_windows_than_any_baseline_needs_are_never_enough() {
        assert_eq!(needed_ms(&profile(), 1), 130_000);
        assert_eq!(needed_ms(&profile(), 3_600_000), 3_600_000);
    }

    proptest! {
        /// What is counted live is what is learned from afterwards.
        #[test]
        fn the_windows_that_count_are_the_windows_that_teach(
            values in prop::collection::vec(prop_oneof![9 => Just(50.0), 1 => Just(90.0)], 40..200),
            holes in prop::collection::btree_set(1_i64..200, 0..10),
        ) {
            let profile = profile();
            let numbered = values.iter().zip(0..).filter(|(_, s)| !holes.contains(s));
            let readings: Vec<Reading> = numbered.map(|(value, s)| reading(s, *value)).collect();
            let mut collection = BaselineCollection::new(i64::MAX, record());
            let mut windower = Windower::new(&profile);
            let mut placed: Vec<_> = readings.iter().flat_map(|reading| windower.push(reading.clone())).collect();
            placed.extend(windower.flush());
            for window in placed.iter().filter_map(|placed| placed.window.as_ref().ok()) {
                collection.take(&profile, window);
            }
            let mut normal = NormalWindows::new(&profile);
            let all = readings.into_iter().map(Some).chain([None]);
            let teaching: usize = all.map(|next| normal.take(next).count()).sum();
            prop_assert_eq!(collection.record.running_ms, teaching as i64 * 1000);
        }
    }
}
