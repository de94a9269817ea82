//! Decides which readings of a plan are due by the node's clock. They are readings of simulated pumps, or of a
//! recording. Does no I/O.

use volute_data::Row;
use volute_plant::{Draft, Profile, PumpId, Timestamp, TimestampSource};

use super::{
    fault_cycle::{BACKFILL_MS, FaultCycle},
    plan::{Plan, PumpPlan, Speed, demo_pumps},
    progress::{FaultPhase, PumpProgress, RecordingProgress, SimulationProgress, Source},
};

/// Milliseconds between the sending of two rows at normal speed, or the profile's interval if that is shorter.
const ROW_INTERVAL_MS: i64 = 1_000;
/// The maximum number of rows of a recording that are due per call.
const MAX_ROWS_PER_CALL: usize = 300;

/// Plays one plan.
pub(super) struct Player {
    profile: Profile,
    source: Source,
    speed: Speed,
    started: Timestamp,
    stopped: bool,
    /// Whether the player waits for [`Player::begin`]. No reading is due while it waits.
    waiting: bool,
    content: Content,
}

enum Content {
    Pumps(Vec<FaultCycle>),
    Recording(Recording),
}

/// A recording that is played. The recorded times are shifted so that no row has a timestamp later than when it is
/// sent. The distances between timestamps stay as they were recorded, so a window spans the same time as in the
/// recording, however fast the rows are sent.
///
/// An example: five rows that were recorded a minute apart, sent one per second from 12:00:00 on:
///
/// | sent at | 12:00:00 | 12:00:01 | 12:00:02 | 12:00:03 | 12:00:04 |
/// | --- | --- | --- | --- | --- | --- |
/// | timestamp | 11:56:04 | 11:57:04 | 11:58:04 | 11:59:04 | 12:00:04 |
struct Recording {
    pump: PumpId,
    rows: Vec<Row>,
    sent: usize,
    /// Milliseconds between the sending of two rows.
    row_interval_ms: f64,
    /// Added to the recorded time of each row.
    shift_ms: i64,
}

impl Recording {
    fn new(pump: PumpId, rows: Vec<Row>, row_interval_ms: f64, started: Timestamp) -> Self {
        // No row may have a timestamp later than when it is sent.
        let sent_at = |index: usize| started.plus_ms((index as f64 * row_interval_ms) as i64);
        let shift_ms = rows.iter().enumerate().map(|(index, row)| sent_at(index).since_ms(row.at)).min().unwrap_or(0);
        Self { pump, rows, sent: 0, row_interval_ms, shift_ms }
    }

    /// Appends the rows that are due this long after the start.
    fn due(&mut self, profile: &Profile, elapsed_ms: i64, drafts: &mut Vec<Draft>) {
        let due = (elapsed_ms as f64 / self.row_interval_ms) as usize + 1;
        let due = due.min(self.rows.len()).min(self.sent + MAX_ROWS_PER_CALL);
        for row in self.rows.iter().take(due).skip(self.sent) {
            let (pump, stamp) = (Some(self.pump.clone()), TimestampSource::Device(row.at.plus_ms(self.shift_ms)));
            drafts.push(Draft { pump, profile: profile.clone(), timestamp: stamp, samples: row.samples.clone() });
        }
        self.sent = due.max(self.sent);
    }

    fn progress(&self) -> PumpProgress {
        let seconds = |rows: usize| rows as f64 * self.row_interval_ms / 1e3;
        let last = self.sent.checked_sub(1).and_then(|last| self.rows.get(last));
        PumpProgress {
            pump: self.pump.clone(),
            fault: None,
            severity: None,
            phase: last
                .and_then(|row| row.normal)
                .map(|normal| if normal { FaultPhase::Normal } else { FaultPhase::Broken }),
            growth: 0.0,
            elapsed_s: seconds(self.sent),
            total_s: Some(seconds(self.rows.len())),
            cycle: 1,
        }
    }
}

impl Player {
    /// Plays `plan` from `now` on. `last` holds the time of the newest stored reading of each pump of the plan.
    ///
    /// For simulated pumps the ten minutes before `now` are backfilled, starting after the newest stored reading.
    pub(super) fn new(profile: &Profile, plan: Plan, speed: Speed, now: Timestamp, last: &[Option<Timestamp>]) -> Self {
        let cycles = |plans: Vec<PumpPlan>| {
            let spread_ms = profile.interval_ms() / plans.len().max(1) as i64;
            let mut cycles = Vec::new();
            for (index, plan) in plans.into_iter().enumerate() {
                // Spread over the interval, so that the pumps do not all send at the same time.
                let backfill_from = now.plus_ms(index as i64 * spread_ms - BACKFILL_MS);
                let from = last.get(index).copied().flatten().map_or(backfill_from, |last| last.max(backfill_from));
                cycles.push(FaultCycle::new(plan, speed, from, now));
            }
            Content::Pumps(cycles)
        };
        let (source, content) = match plan {
            Plan::Demo => (Source::Demo, cycles(demo_pumps())),
            Plan::Pumps(plans) => (Source::Pumps, cycles(plans)),
            Plan::Recording { pump, rows } => {
                let row_interval_ms = profile.interval_ms().min(ROW_INTERVAL_MS) as f64 / speed.times();
                (Source::Recording, Content::Recording(Recording::new(pump, rows, row_interval_ms, now)))
            }
        };
        Self { profile: profile.clone(), source, speed, started: now, stopped: false, waiting: false, content }
    }

    /// Returns whether it plays a recording.
    pub(super) fn is_recording(&self) -> bool {
        self.source == Source::Recording
    }

    /// Returns the pumps that it plays.
    pub(super) fn pumps(&self) -> impl Iterator<Item = PumpId> {
        self.progress().pumps.into_iter().map(|progress| progress.pump)
    }

    /// Returns whether no more readings will be due.
    pub(super) fn is_over(&self) -> bool {
        !self.progress().running
    }

    /// Waits until [`Self::begin`], while the pump's baseline is learned.
    pub(super) fn wait(&mut self) {
        self.waiting = true;
    }

    /// Starts now if it was waiting.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.waiting, false) {
            return;
        }
        if let Content::Recording(recording) = &mut self.content {
            recording.shift_ms += now.since_ms(self.started);
        }
        self.started = now;
    }

    /// Stops: no more readings will be due.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Returns the readings that are due by `now` and were not returned before.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if self.stopped || self.waiting {
            return drafts;
        }
        match &mut self.content {
            Content::Pumps(cycles) => cycles.iter_mut().for_each(|cycle| cycle.due(&self.profile, now, &mut drafts)),
            Content::Recording(recording) => recording.due(&self.profile, now.since_ms(self.started), &mut drafts),
        }
        drafts
    }

    /// Returns what is played, and the progress.
    pub(super) fn progress(&self) -> SimulationProgress {
        let (pumps, recording) = match &self.content {
            Content::Pumps(cycles) => (cycles.iter().map(FaultCycle::progress).collect(), None),
            Content::Recording(recording) => {
                let progress = RecordingProgress { rows: recording.rows.len(), sent: recording.sent };
                (vec![recording.progress()], Some(progress))
            }
        };
        let is_over = recording.is_some_and(|recording| recording.sent == recording.rows);
        SimulationProgress {
            running: !self.stopped && !is_over,
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
        match draft.timestamp {
            TimestampSource::Device(at) => at,
            TimestampSource::Received => panic!("simulated readings have a timestamp"),
        }
    }

    fn pump(name: &str, fault: Option<Fault>) -> PumpPlan {
        let severity = Severity::new(1.0).expect("fine");
        let fault = fault.map(|fault| (fault, severity, 60.0));
        PumpPlan { pump: name.parse().expect("a name"), fault, seed: 7 }
    }

    /// Returns the drafts that are due from second `from` to second `end`, with a call every 100 ms.
    fn until(player: &mut Player, from: i64, end: i64) -> Vec<Draft> {
        (from * 10..=end * 10).flat_map(|tenth| player.due(at(0).plus_ms(tenth * 100))).collect()
    }

    #[test]
    fn each_pump_is_backfilled_and_then_reads_once_per_interval() {
        let plan = Plan::Pumps(vec![pump("A", None), pump("B", None)]);
        let mut player = Player::new(&profile(), plan, Speed::NORMAL, at(0), &[None, Some(at(-100))]);
        let drafts = until(&mut player, 0, 20);
        for (name, first, count) in [("A", at(-599), 620), ("B", at(-99), 120)] {
            let of: Vec<&Draft> =
                drafts.iter().filter(|draft| draft.pump.as_ref().is_some_and(|pump| pump.as_str() == name)).collect();
            assert_eq!((of.len(), time(of[0])), (count, first), "{name}");
            assert!(of.windows(2).all(|two| time(two[1]).since_ms(time(two[0])) == 1000), "{name}");
            assert!(of.iter().all(|draft| draft.samples.len() == 2));
        }
        assert!(player.due(at(20)).is_empty(), "no reading is returned twice");
        player.stop();
        assert!(player.due(at(40)).is_empty() && !player.progress().running);
    }

    #[test]
    fn a_fault_starts_after_the_backfill_and_repeats() {
        let plan = Plan::Pumps(vec![pump("A", Some(Fault::Unbalance))]);
        let mut player = Player::new(&profile(), plan, Speed::NORMAL, at(0), &[None]);
        let mut phases = Vec::new();
        for second in 0..700 {
            player.due(at(second));
            let now = player.progress().pumps[0].clone();
            let state = (now.cycle, now.phase.expect("simulated"));
            if phases.last() != Some(&state) {
                phases.push(state);
            }
        }
        use FaultPhase::{Broken, Normal, Recovering};
        let round = |n| [(n, Normal), (n, Broken), (n, Recovering)];
        assert_eq!(phases[..8], [&[(0, Normal)][..], &round(1), &[(1, Normal)], &round(2)].concat()[..8]);
    }

    #[test]
    fn after_a_long_pause_only_ten_minutes_are_backfilled() {
        let plan = Plan::Pumps(vec![pump("A", None)]);
        let mut player = Player::new(&profile(), plan, Speed::NORMAL, at(0), &[Some(at(0))]);
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
    fn a_recording_plays_once_at_its_speed_and_keeps_its_distances() {
        for (speed, seconds, step_s) in [(1.0, 100, 1), (10.0, 10, 1), (1.0, 100, 60), (10.0, 10, 60), (50.0, 2, 3_600)]
        {
            let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: rows(100, step_s) };
            let mut player = Player::new(&profile(), plan, Speed::new(speed).expect("fine"), at(0), &[None]);
            let half = until(&mut player, 0, seconds / 2);
            let progress = player.progress();
            assert!((50..=56).contains(&half.len()), "{}", half.len());
            assert_eq!((progress.running, progress.pumps[0].phase), (true, Some(FaultPhase::Normal)));
            let drafts = [half, until(&mut player, seconds / 2, seconds)].concat();
            let values: Vec<f64> = drafts.iter().filter_map(|draft| draft.samples[0].value()).collect();
            assert_eq!(values, (0..100).map(f64::from).collect::<Vec<_>>());
            assert!(drafts.windows(2).all(|two| time(&two[1]).since_ms(time(&two[0])) == step_s * 1_000));
            assert_eq!(time(&drafts[99]), at(0).plus_ms((99_000.0 / speed) as i64), "{speed} {step_s}");
            let progress = player.progress();
            assert_eq!((progress.running, progress.pumps[0].phase), (false, Some(FaultPhase::Broken)));
            assert_eq!(progress.recording, Some(RecordingProgress { rows: 100, sent: 100 }));
        }
    }

    #[test]
    fn a_waiting_recording_starts_with_begin() {
        let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: rows(100, 60) };
        let mut player = Player::new(&profile(), plan, Speed::NORMAL, at(0), &[None]);
        player.wait();
        assert!(until(&mut player, 0, 50).is_empty() && player.progress().running);
        player.begin(at(50));
        let drafts = until(&mut player, 50, 150);
        assert_eq!((drafts.len(), time(&drafts[99])), (100, at(149)));
        player.begin(at(200));
        assert!(player.due(at(200)).is_empty(), "it starts once");
    }

    #[test]
    fn gaps_are_kept_but_not_waited_for_and_no_timestamp_is_in_the_future() {
        let mut with_gap = rows(100, 60);
        with_gap.iter_mut().skip(50).for_each(|row| row.at = row.at.plus_ms(7_200_000));
        // These rows were recorded almost at the same time.
        with_gap
            .iter_mut()
            .skip(90)
            .for_each(|row| row.at = at(-1_000_000 + 90 * 60 + 7_200).plus_ms(row.at.millis() % 7));
        let plan = Plan::Recording { pump: "R".parse().expect("a name"), rows: with_gap };
        let mut player = Player::new(&profile(), plan, Speed::NORMAL, at(0), &[None]);
        let mut times = Vec::new();
        for second in 0..100 {
            let drafts = player.due(at(second));
            assert_eq!(drafts.len(), 1, "one row per second");
            assert!(time(&drafts[0]) <= at(second), "{second}");
            times.push(time(&drafts[0]));
        }
        assert_eq!(times[50].since_ms(times[49]), 60_000 + 7_200_000);
    }
}
