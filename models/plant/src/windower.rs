//! From readings to windows: put in order, resampled to the model's step, short holes filled, gaps kept out.
//!
//! The one windower of the product: a live pump and an evaluation use it alike. It has no clock and no
//! timer; whoever owns it calls [`Windower::flush`] when a pump has gone quiet.
//!
//! The rules (`t` is a reading's time, a step is `floor(t / interval)`):
//! - a reading whose step directly follows the last one is placed at once: order costs no delay;
//! - before a hole, readings wait until the newest is `slack_steps` past the last missing step;
//! - a hole is filled with the last good values, each for at most `fill_steps`; then it is missing;
//! - after more than `gap_ms` without a reading, a new window starts;
//! - of several readings in one step, the last one counts;
//! - a window with a missing value in it is not scored, and neither is one of a pump that stands, starts or stops
//!   (`operating.rs`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    OperatingState, Profile, PumpId, Reading, Timestamp,
    operating::{FALL_STEPS, OperatingGate, Phase},
};

/// The lengths a windower works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// One step, in milliseconds.
    pub interval_ms: i64,
    /// Steps in a window.
    pub len: usize,
    /// How many steps a missing reading is waited for.
    pub slack_steps: i64,
    /// How many steps a value may stand in for the missing ones after it.
    pub fill_steps: i64,
    /// The longest silence that a window may span.
    pub gap_ms: i64,
}

impl WindowRules {
    /// Steps in a window: the recipe's 30.
    pub const LEN: usize = 30;

    /// The product's rules for a profile.
    pub fn for_profile(profile: &Profile) -> Self {
        let interval_ms = profile.interval_ms();
        Self { interval_ms, len: Self::LEN, slack_steps: 3, fill_steps: 5, gap_ms: (10 * interval_ms).max(15_000) }
    }

    /// So many of its last readings bring a new windower to where a pump's own one was.
    pub fn recall_readings(profile: &Profile) -> usize {
        let settle = profile.settle_ms() / profile.interval_ms() + 1;
        Self::LEN + usize::try_from(settle).unwrap_or_default().max(Self::LEN)
    }

    /// The step that a time falls into.
    pub fn step(&self, at: Timestamp) -> i64 {
        at.millis().div_euclid(self.interval_ms)
    }
}

/// What the model looks at: the last steps up to one reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Whose window it is.
    pub pump: PumpId,
    /// The time of its last reading.
    pub at: Timestamp,
    /// Row by row, oldest first: `len` rows of one finite number per channel, in the channels' units.
    pub values: Arc<[f64]>,
}

/// Why a reading has no window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWindow {
    /// The pump stands, starts or stops: the model knows only pumps that run.
    NotRunning {
        /// What it does instead.
        state: OperatingState,
        /// Steps that it has run since its start.
        have: usize,
        /// Steps that it runs before it is judged.
        need: usize,
    },
    /// Not enough steps since the start or the last gap.
    Filling {
        /// Steps so far.
        have: usize,
        /// Steps in a window.
        need: usize,
    },
    /// Channels (by their index) without a value somewhere in the window.
    Missing {
        /// Their places in the profile.
        channels: Vec<usize>,
    },
}

/// A reading that has got its place, and its window if it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The reading.
    pub reading: Reading,
    /// The window that ends with it.
    pub window: Result<Window, NoWindow>,
}

/// One pump's windower.
#[derive(Debug)]
pub struct Windower {
    rules: WindowRules,
    channels: usize,
    gate: OperatingGate,
    /// What was known before the last step.
    before: Phase,
    /// What is known after it.
    phase: Phase,
    steps: VecDeque<Step>,
    /// Per channel: the step of its last good value, and the value.
    last_good: Vec<Option<(i64, f64)>>,
    waiting: BTreeMap<i64, Reading>,
    newest: i64,
}

#[derive(Debug)]
struct Step {
    index: i64,
    at: Timestamp,
    /// NaN where missing.
    values: Box<[f64]>,
}

impl Windower {
    /// An empty windower for pumps of this profile.
    pub fn new(profile: &Profile) -> Self {
        let channels = profile.channels().len();
        Self {
            rules: WindowRules::for_profile(profile),
            channels,
            gate: OperatingGate::new(profile, WindowRules::LEN),
            before: Phase::On { since: None },
            phase: Phase::On { since: None },
            steps: VecDeque::new(),
            last_good: vec![None; channels],
            waiting: BTreeMap::new(),
            newest: i64::MIN,
        }
    }

    /// Takes a reading and answers with those that have now got their place, in order.
    ///
    /// A reading whose step has passed changes nothing.
    pub fn push(&mut self, reading: Reading) -> Vec<Placed> {
        let step = self.rules.step(reading.at);
        if let Some(last) = self.steps.back()
            && step <= last.index
        {
            if step == last.index && reading.at > last.at {
                self.replace_last(&reading);
            }
            return Vec::new();
        }
        self.newest = self.newest.max(step);
        match self.waiting.get(&step) {
            Some(other) if other.at >= reading.at => {}
            _ => drop(self.waiting.insert(step, reading)),
        }
        self.release(|newest, missing, slack| newest - missing >= slack)
    }

    /// Places everything that still waits for a missing reading: it is not waited for any longer.
    pub fn flush(&mut self) -> Vec<Placed> {
        self.release(|_, _, _| true)
    }

    /// Whether readings wait for a missing one.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn release(&mut self, given_up: impl Fn(i64, i64, i64) -> bool) -> Vec<Placed> {
        let mut placed = Vec::new();
        while let Some((&step, _)) = self.waiting.first_key_value() {
            let expected = self.steps.back().map_or(step, |last| last.index + 1);
            if step > expected && !given_up(self.newest, step - 1, self.rules.slack_steps) {
                break;
            }
            let Some((_, reading)) = self.waiting.pop_first() else { break };
            placed.push(self.place(step, reading));
        }
        placed
    }

    fn place(&mut self, step: i64, reading: Reading) -> Placed {
        let gap = self.steps.back().is_some_and(|last| reading.at.since_ms(last.at) > self.rules.gap_ms);
        if gap {
            self.steps.clear();
            self.last_good.fill(None);
        }
        if let Some(last) = self.steps.back() {
            let (first_missing, at) = (last.index + 1, last.at);
            for missing in first_missing..step {
                let values = self.filled_at(missing);
                self.append(Step { index: missing, at, values });
            }
        }
        self.remember_good(step, &reading);
        let values = self.filled_at(step);
        self.append(Step { index: step, at: reading.at, values });
        Placed { window: self.window(&reading), reading }
    }

    fn replace_last(&mut self, reading: &Reading) {
        let Some(mut last) = self.steps.pop_back() else { return };
        self.remember_good(last.index, reading);
        last.values = self.filled_at(last.index);
        last.at = reading.at;
        self.phase = self.gate.next(self.before, last.index, &last.values);
        self.steps.push_back(last);
    }

    fn remember_good(&mut self, step: i64, reading: &Reading) {
        for (sample, last_good) in reading.samples.iter().zip(&mut self.last_good) {
            if let Some(value) = sample.good() {
                *last_good = Some((step, value));
            }
        }
    }

    fn filled_at(&self, step: i64) -> Box<[f64]> {
        let fill_steps = self.rules.fill_steps;
        let fill = |last_good: &Option<(i64, f64)>| match last_good {
            Some((since, value)) if step - since <= fill_steps => *value,
            _ => f64::NAN,
        };
        self.last_good.iter().map(fill).collect()
    }

    fn append(&mut self, step: Step) {
        if self.steps.len() == self.rules.len {
            self.steps.pop_front();
        }
        self.before = self.phase;
        self.phase = self.gate.next(self.before, step.index, &step.values);
        self.steps.push_back(step);
    }

    fn window(&self, reading: &Reading) -> Result<Window, NoWindow> {
        self.running()?;
        let missing: Vec<usize> =
            (0..self.channels).filter(|&c| self.steps.iter().any(|step| step.values[c].is_nan())).collect();
        if !missing.is_empty() {
            return Err(NoWindow::Missing { channels: missing });
        }
        if self.steps.len() < self.rules.len {
            return Err(NoWindow::Filling { have: self.steps.len(), need: self.rules.len });
        }
        let values = self.steps.iter().flat_map(|step| step.values.iter().copied()).collect();
        Ok(Window { pump: reading.pump.clone(), at: reading.at, values })
    }

    /// A pump of which nothing says whether it runs is not off: what is missing is said instead.
    fn running(&self) -> Result<(), NoWindow> {
        let Some(last) = self.steps.back() else { return Ok(()) };
        let (state, have, need) = self.gate.state(self.phase, last.index);
        if self.gate.is_blind(&last.values) {
            return Ok(());
        }
        let before = self.steps.iter().rev().skip(1).take(FALL_STEPS).map(|step| &*step.values);
        match state {
            OperatingState::Running if self.gate.falls(&last.values, before) => {
                Err(NoWindow::NotRunning { state: OperatingState::Stopping, have: 0, need })
            }
            OperatingState::Running => Ok(()),
            _ => Err(NoWindow::NotRunning { state, have, need }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Sample,
        profile::tests::{small, speed_only},
    };

    const START: i64 = 1_773_051_273_000;

    fn reading(ms: i64, flow: Sample) -> Reading {
        let at = Timestamp::from_millis(START + ms).expect("a time");
        let samples = [Sample::Good(40.0), flow].into();
        Reading { pump: "P-1".parse().expect("a name"), at, received: at, samples, late: false }
    }

    fn run(windower: &mut Windower, seconds: impl IntoIterator<Item = i64>) -> Vec<Placed> {
        seconds.into_iter().flat_map(|s| windower.push(reading(s * 1000, Sample::Good(s as f64)))).collect()
    }

    fn last_flows(placed: &Placed) -> Vec<f64> {
        placed.window.as_ref().expect("a window").values.chunks(2).map(|row| row[1]).collect()
    }

    #[test]
    fn the_thirtieth_reading_has_the_first_window() {
        let placed = run(&mut Windower::new(&small()), 0..31);
        assert_eq!(placed.len(), 31);
        assert_eq!(placed[28].window, Err(NoWindow::Filling { have: 29, need: 30 }));
        assert_eq!(last_flows(&placed[29]), (0..30).map(f64::from).collect::<Vec<_>>());
        assert_eq!(last_flows(&placed[30]), (1..31).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_short_hole_is_filled_once_its_readings_are_given_up() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..35);
        // 35 is missing: 36 and 37 wait, 38 gives it up.
        assert!(run(&mut windower, [36, 37]).is_empty());
        assert!(windower.is_waiting());
        let placed = run(&mut windower, [38]);
        assert_eq!(placed.iter().map(|p| p.reading.at.millis() - START).collect::<Vec<_>>(), [36_000, 37_000, 38_000]);
        assert_eq!(last_flows(&placed[2])[25..], [34.0, 34.0, 36.0, 37.0, 38.0]);
    }

    #[test]
    fn a_quiet_pump_is_flushed() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..30);
        assert!(run(&mut windower, [32]).is_empty());
        assert_eq!(windower.flush().len(), 1);
        assert!(!windower.is_waiting());
    }

    #[test]
    fn no_window_spans_a_gap() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..40);
        assert!(run(&mut windower, [55]).is_empty(), "54 may still come");
        let placed = windower.flush();
        assert_eq!(placed[0].window, Err(NoWindow::Filling { have: 1, need: 30 }));
    }

    #[test]
    fn a_value_stands_in_for_five_steps_and_then_blinds_until_it_has_left_the_window() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..40);
        let mut placed = Vec::new();
        for s in 40..46 {
            placed.extend(windower.push(reading(s * 1000, Sample::Missing)));
        }
        assert!(placed[..5].iter().all(|p| p.window.is_ok()));
        assert_eq!(placed[5].window, Err(NoWindow::Missing { channels: vec![1] }));
        let back = run(&mut windower, 46..76);
        assert!(back[..29].iter().all(|p| p.window == Err(NoWindow::Missing { channels: vec![1] })));
        assert!(back[29].window.is_ok());
    }

    #[test]
    fn a_bad_value_is_missing_to_the_model() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..29);
        let placed = windower.push(reading(29_000, Sample::Bad(9e9)));
        assert_eq!(last_flows(&placed[0])[28..], [28.0, 28.0]);
    }

    #[test]
    fn of_two_readings_in_a_step_the_last_counts() {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..29);
        windower.push(reading(29_000, Sample::Good(1.0)));
        assert!(windower.push(reading(29_400, Sample::Good(2.0))).is_empty());
        assert!(windower.push(reading(29_200, Sample::Good(3.0))).is_empty());
        assert_eq!(last_flows(&run(&mut windower, [30])[0])[28..], [2.0, 30.0]);
    }

    /// A reading of the motor of the tests, whose speed alone says whether it runs, a second each.
    fn turn(windower: &mut Windower, second: i64, rpm: Sample) -> Vec<Placed> {
        let mut reading = reading(second * 1000, Sample::Missing);
        reading.samples = [rpm, Sample::Good(30.0)].into();
        windower.push(reading)
    }

    fn one_of_speed() -> Windower {
        Windower::new(&speed_only())
    }

    fn not_running(state: OperatingState, have: usize) -> Result<Window, NoWindow> {
        Err(NoWindow::NotRunning { state, have, need: 30 })
    }

    #[test]
    fn a_pump_that_stands_or_starts_has_no_window_until_every_step_of_it_runs() {
        let mut windower = one_of_speed();
        let (runs, stands) = (Sample::Good(2950.0), Sample::Good(0.0));
        (0..40).for_each(|s| drop(turn(&mut windower, s, runs)));
        assert_eq!(turn(&mut windower, 40, stands)[0].window, not_running(OperatingState::Off, 0));
        for s in 41..70 {
            let placed = turn(&mut windower, s, runs);
            assert_eq!(placed[0].window, not_running(OperatingState::Starting, s as usize - 40));
        }
        assert!(turn(&mut windower, 70, runs)[0].window.is_ok());
    }

    #[test]
    fn a_restart_is_known_over_a_gap_and_a_pump_that_ran_on_only_fills_its_window() {
        let runs = Sample::Good(2950.0);
        for (before, expected) in [
            (Sample::Good(0.0), not_running(OperatingState::Starting, 1)),
            (runs, Err(NoWindow::Filling { have: 1, need: 30 })),
        ] {
            let mut windower = one_of_speed();
            (0..40).for_each(|s| drop(turn(&mut windower, s, before)));
            assert!(turn(&mut windower, 70, runs).is_empty(), "69 may still come");
            assert_eq!(windower.flush()[0].window, expected);
        }
    }

    #[test]
    fn a_pump_that_says_no_speed_is_not_off_but_lacks_a_channel() {
        for unknown in [Sample::Missing, Sample::Bad(-7.0)] {
            let mut windower = one_of_speed();
            (0..40).for_each(|s| drop(turn(&mut windower, s, Sample::Good(0.0))));
            for s in 40..45 {
                assert_eq!(turn(&mut windower, s, unknown)[0].window, not_running(OperatingState::Off, 0), "filled");
            }
            let placed = turn(&mut windower, 45, unknown);
            assert_eq!(placed[0].window, Err(NoWindow::Missing { channels: vec![0] }));
        }
    }

    #[test]
    fn of_two_readings_in_a_step_the_last_says_whether_it_runs() {
        let mut windower = one_of_speed();
        (0..40).for_each(|s| drop(turn(&mut windower, s, Sample::Good(2950.0))));
        turn(&mut windower, 40, Sample::Good(0.0));
        let mut late = reading(40_500, Sample::Good(30.0));
        late.samples = [Sample::Good(2950.0), Sample::Good(30.0)].into();
        assert!(windower.push(late).is_empty());
        assert!(turn(&mut windower, 41, Sample::Good(2950.0))[0].window.is_ok());
    }

    proptest! {
        /// Any stream whose readings are at most two steps out of order gives the ordered stream's windows.
        #[test]
        fn disorder_within_the_slack_changes_nothing(
            holes in prop::collection::btree_set(1_i64..80, 0..12),
            jitter in prop::collection::vec(0.0..1.99, 80),
        ) {
            let ordered: Vec<i64> = (0..80).filter(|s| !holes.contains(s)).collect();
            let mut shuffled = ordered.clone();
            // The first reading opens the window, so it has to come first.
            shuffled[1..].sort_by(|a, b| {
                let key = |s: &i64| -> f64 { *s as f64 + jitter[*s as usize] };
                key(a).total_cmp(&key(b))
            });
            let all = |order: Vec<i64>| {
                let mut windower = Windower::new(&small());
                let mut placed = run(&mut windower, order);
                placed.extend(windower.flush());
                placed
            };
            prop_assert_eq!(all(shuffled), all(ordered));
        }
    }
}
