//! What is sent when: simulated pumps or a recording, by the node's clock. Pure.

use volute_data::Row;
use volute_plant::{Draft, Profile, PumpId, Timestamp, TimestampSource};

use super::{
    fault_cycle::{FaultCycle, PAST_MS},
    plan::{Plan, PumpPlan, Speed, stories},
    progress::{Phase, PumpProgress, RecordingProgress, SimulationProgress, Source},
};

/// A recording's rows are sent this far apart, or an interval where that is less, at the usual speed.
const ROW_MS: i64 = 1_000;
/// The most rows of a recording that are sent at once.
const MOST_ROWS_AT_ONCE: usize = 300;

/// Plays one plan.
pub(super) struct Player {
    profile: Profile,
    source: Source,
    speed: Speed,
    started: Timestamp,
    stopped: bool,
    /// Nothing is sent before [`Player::begin`].
    waiting: bool,
    what: What,
}

enum What {
    Pumps(Vec<FaultCycle>),
    Recording(Recording),
}

/// A recording that is played: its rows keep the distances in time that they were recorded with, and the last one falls on the
/// time at which it is sent, or before it. So a window spans what it spanned when it was recorded, however fast it is played.
///
/// Five rows, a minute apart, from 12:00:00 on, a row a second:
///
/// | sent at | 12:00:00 | 12:00:01 | 12:00:02 | 12:00:03 | 12:00:04 |
/// | --- | --- | --- | --- | --- | --- |
/// | its time | 11:56:04 | 11:57:04 | 11:58:04 | 11:59:04 | 12:00:04 |
struct Recording {
    pump: PumpId,
    rows: Vec<Row>,
    sent: usize,
    /// Between the sending of two rows.
    pace_ms: f64,
    /// Added to a row's time.
    shift_ms: i64,
}

impl Recording {
    fn new(pump: PumpId, rows: Vec<Row>, pace_ms: f64, started: Timestamp) -> Self {
        // No row may be of a time that has not come when it is sent.
        let sent_at = |index: usize| started.plus_ms((index as f64 * pace_ms) as i64);
        let shift_ms = rows.iter().enumerate().map(|(index, row)| sent_at(index).since_ms(row.at)).min().unwrap_or(0);
        Self { pump, rows, sent: 0, pace_ms, shift_ms }
    }

    /// The rows that have come due, so long after the start.
    fn due(&mut self, profile: &Profile, elapsed_ms: i64, drafts: &mut Vec<Draft>) {
        let due = (elapsed_ms as f64 / self.pace_ms) as usize + 1;
        let due = due.min(self.rows.len()).min(self.sent + MOST_ROWS_AT_ONCE);
        for row in self.rows.iter().take(due).skip(self.sent) {
            let (pump, stamp) = (Some(self.pump.clone()), TimestampSource::Device(row.at.plus_ms(self.shift_ms)));
            drafts.push(Draft { pump, profile: profile.clone(), stamp, samples: row.samples.clone() });
        }
        self.sent = due.max(self.sent);
    }

    fn progress(&self) -> PumpProgress {
        let seconds = |rows: usize| rows as f64 * self.pace_ms / 1e3;
        let last = self.sent.checked_sub(1).and_then(|last| self.rows.get(last));
        PumpProgress {
            pump: self.pump.clone(),
            fault: None,
            severity: None,
            phase: last.and_then(|row| row.normal).map(|normal| if normal { Phase::Normal } else { Phase::Broken }),
            growth: 0.0,
            elapsed_s: seconds(self.sent),
            total_s: Some(seconds(self.rows.len())),
            cycle: 1,
        }
    }
}

impl Player {
    /// Plays `plan` from `now` on; `last` has the time of each planned pump's newest stored reading.
    ///
    /// Simulated pumps come with a past of ten minutes, as far as they have none yet.
    pub(super) fn new(profile: &Profile, plan: Plan, speed: Speed, now: Timestamp, last: &[Option<Timestamp>]) -> Self {
        let courses = |plans: Vec<PumpPlan>| {
            let spread_ms = profile.interval_ms() / plans.len().max(1) as i64;
            let mut courses = Vec::new();
            for (place, plan) in plans.into_iter().enumerate() {
                // Spread over the interval, so that the pumps do not all speak at once.
                let past = now.plus_ms(place as i64 * spread_ms - PAST_MS);
                let from = last.get(place).copied().flatten().map_or(past, |last| last.max(past));
                courses.push(FaultCycle::new(plan, speed, from, now));
            }
            What::Pumps(courses)
        };
        let (source, what) = match plan {
            Plan::Stories => (Source::Stories, courses(stories())),
            Plan::Pumps(plans) => (Source::Pumps, courses(plans)),
            Plan::Recording { pump, rows } => {
                let pace_ms = profile.interval_ms().min(ROW_MS) as f64 / speed.times();
                (Source::Recording, What::Recording(Recording::new(pump, rows, pace_ms, now)))
            }
        };
        Self { profile: profile.clone(), source, speed, started: now, stopped: false, waiting: false, what }
    }

    /// Whether it is a recording.
    pub(super) fn is_recording(&self) -> bool {
        self.source == Source::Recording
    }

    /// Whose readings come.
    pub(super) fn pumps(&self) -> impl Iterator<Item = PumpId> {
        self.progress().pumps.into_iter().map(|progress| progress.pump)
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        !self.progress().running
    }

    /// Sends nothing until it begins: what is normal for its pump is being learned.
    pub(super) fn wait(&mut self) {
        self.waiting = true;
    }

    /// Begins now, where it waited.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.waiting, false) {
            return;
        }
        if let What::Recording(recording) = &mut self.what {
            recording.shift_ms += now.since_ms(self.started);
        }
        self.started = now;
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// What has come due by `now` and was not handed out before.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if self.stopped || self.waiting {
            return drafts;
        }
        match &mut self.what {
            What::Pumps(courses) => courses.iter_mut().for_each(|course| course.due(&self.profile, now, &mut drafts)),
            What::Recording(recording) => recording.due(&self.profile, now.since_ms(self.started), &mut drafts),
        }
        drafts
    }

    /// What is played, and how far.
    pub(super) fn progress(&self) -> SimulationProgress {
        let (pumps, recording) = match &self.what {
            What::Pumps(courses) => (courses.iter().map(FaultCycle::progress).collect(), None),
            What::Recording(recording) => {
                let progress = RecordingProgress { rows: recording.rows.len(), sent: recording.sent };
                (vec![recording.progress()], Some(progress))
            }
        };
        let over = recording.is_some_and(|recording| recording.sent == recording.rows);
        SimulationProgress {
            running: !self.stopped && !over,
            source: Some(self.source),
            speed: self.speed.times(),
            started_at: Some(self.started),
            recording,
            pumps,
        }
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::Sample;
    use volute_simulator::{Fault, Severity};

    use super::*;

    fn profile() -> Profile {
        let text = r#"
            name = "small"
            title = "A pump for tests"
            interval_ms = 1000
            [[channels]]
            name = "Vib"
            quantity = "vibration"
            unit = "mm/s"
            plausible = [0, 100]
            resolution = 0.01
            [[channels]]
            name = "Q"
            quantity = "flow"
            unit = "L/min"
            plausible = [0, 20000]
            resolution = 0.1
        "#;
        Profile::from_toml(text).expect("the test profile is valid")
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + s * 1000).expect("a time")
    }

    fn time(draft: &Draft) -> Timestamp {
        match draft.stamp {
            TimestampSource::Device(at) => at,
            TimestampSource::Received => panic!("simulated readings say their time"),
        }
    }

    fn pump(name: &str, fault: Option<Fault>) -> PumpPlan {
        let severity = Severity::new(1.0).expect("fine");
        let fault = fault.map(|fault| (fault, severity, 60.0));
        PumpPlan { pump: name.parse().expect("a name"), fault, seed: 7 }
    }

    /// All drafts until `end`, looked for every 100 ms.
    fn until(player: &mut Player, from: i64, end: i64) -> Vec<Draft> {
        (from * 10..=end * 10).flat_map(|tenth| player.due(at(0).plus_ms(tenth * 100))).collect()
    }

    #[test]
    fn every_pump_has_a_past_and_then_one_reading_an_interval() {
        let plan = Plan::Pumps(vec![pump("A", None), pump("B", None)]);
        let mut player = Player::new(&profile(), plan, Speed::USUAL, at(0), &[None, Some(at(-100))]);
        let drafts = until(&mut player, 0, 20);
        for (name, first, count) in [("A", at(-599), 620), ("B", at(-99), 120)] {
            let of: Vec<&Draft> =
                drafts.iter().filter(|draft| draft.pump.as_ref().is_some_and(|pump| pump.as_str() == name)).collect();
            assert_eq!((of.len(), time(of[0])), (count, first), "{name}");
            assert!(of.windows(2).all(|two| time(two[1]).since_ms(time(two[0])) == 1000), "{name}");
            assert!(of.iter().all(|draft| draft.samples.len() == 2));
        }
        assert!(player.due(at(20)).is_empty(), "nothing comes twice");
        player.stop();
        assert!(player.due(at(40)).is_empty() && !player.progress().running);
    }

    #[test]
    fn a_fault_comes_after_the_past_and_comes_again() {
        let plan = Plan::Pumps(vec![pump("A", Some(Fault::Unbalance))]);
        let mut player = Player::new(&profile(), plan, Speed::USUAL, at(0), &[None]);
        let mut phases = Vec::new();
        for second in 0..700 {
            player.due(at(second));
            let now = player.progress().pumps[0].clone();
            let seen = (now.cycle, now.phase.expect("simulated"));
            if phases.last() != Some(&seen) {
                phases.push(seen);
            }
        }
        use Phase::{Broken, Normal, Recovering};
        let round = |n| [(n, Normal), (n, Broken), (n, Recovering)];
        assert_eq!(phases[..8], [&[(0, Normal)][..], &round(1), &[(1, Normal)], &round(2)].concat()[..8]);
    }

    #[test]
    fn after_a_long_sleep_the_past_is_not_made_up() {
        let plan = Plan::Pumps(vec![pump("A", None)]);
        let mut player = Player::new(&profile(), plan, Speed::USUAL, at(0), &[Some(at(0))]);
        let drafts = until(&mut player, 9_000, 9_001);
        assert_eq!((drafts.len(), time(&drafts[0])), (601, at(8_401)));
    }

    fn rows(count: i64, step_s: i64) -> Vec<Row> {
        let row = |n: i64| Row {
            at: at(step_s * n - 1_000_000),
            samples: [Sample::Good(n as f64), Sample::Missing].into(),
            normal: Some(n < 60),
            anomaly: None,
            recorded_at: String::new(),
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_recording_comes_once_at_its_speed_with_its_own_distances_and_ends_now() {
        for (speed, seconds, step_s) in [(1.0, 100, 1), (10.0, 10, 1), (1.0, 100, 60), (10.0, 10, 60), (50.0, 2, 3_600)]
        {
            let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: rows(100, step_s) };
            let mut player = Player::new(&profile(), plan, Speed::new(speed).expect("fine"), at(0), &[None]);
            let half = until(&mut player, 0, seconds / 2);
            let progress = player.progress();
            assert!((50..=56).contains(&half.len()), "{}", half.len());
            assert_eq!((progress.running, progress.pumps[0].phase), (true, Some(Phase::Normal)));
            let drafts = [half, until(&mut player, seconds / 2, seconds)].concat();
            let values: Vec<f64> = drafts.iter().filter_map(|draft| draft.samples[0].value()).collect();
            assert_eq!(values, (0..100).map(f64::from).collect::<Vec<_>>());
            assert!(drafts.windows(2).all(|two| time(&two[1]).since_ms(time(&two[0])) == step_s * 1_000));
            assert_eq!(time(&drafts[99]), at(0).plus_ms((99_000.0 / speed) as i64), "{speed} {step_s}");
            let progress = player.progress();
            assert_eq!((progress.running, progress.pumps[0].phase), (false, Some(Phase::Broken)));
            assert_eq!(progress.recording, Some(RecordingProgress { rows: 100, sent: 100 }));
        }
    }

    #[test]
    fn a_recording_that_waits_begins_when_it_is_told() {
        let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: rows(100, 60) };
        let mut player = Player::new(&profile(), plan, Speed::USUAL, at(0), &[None]);
        player.wait();
        assert!(until(&mut player, 0, 50).is_empty() && player.progress().running);
        player.begin(at(50));
        let drafts = until(&mut player, 50, 150);
        assert_eq!((drafts.len(), time(&drafts[99])), (100, at(149)));
        player.begin(at(200));
        assert!(player.due(at(200)).is_empty(), "it begins once");
    }

    #[test]
    fn a_hole_of_a_recording_is_kept_and_not_waited_for_and_no_row_is_of_the_future() {
        let mut holey = rows(100, 60);
        holey.iter_mut().skip(50).for_each(|row| row.at = row.at.plus_ms(7_200_000));
        // These came all at once.
        holey
            .iter_mut()
            .skip(90)
            .for_each(|row| row.at = at(-1_000_000 + 90 * 60 + 7_200).plus_ms(row.at.millis() % 7));
        let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: holey };
        let mut player = Player::new(&profile(), plan, Speed::USUAL, at(0), &[None]);
        let mut times = Vec::new();
        for second in 0..100 {
            let drafts = player.due(at(second));
            assert_eq!(drafts.len(), 1, "a row a second");
            assert!(time(&drafts[0]) <= at(second), "{second}");
            times.push(time(&drafts[0]));
        }
        assert_eq!(times[50].since_ms(times[49]), 60_000 + 7_200_000);
    }
}
