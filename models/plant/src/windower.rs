//! Turns readings into windows: orders them, assigns them to steps of the model's interval, fills short holes, and
//! restarts after gaps.
//!
//! Live pumps and evaluations use the same windower. It has no clock and no timer; its owner calls [`Windower::flush`]
//! when a pump has become silent.
//!
//! The rules, with the lengths of [`WindowConfig`]:
//! - A reading belongs to the nearest step. The steps follow the times at which the device sends
//!   (`windower/rhythm.rs`).
//! - A reading whose step directly follows the last one gets its window at once: readings in order are not delayed.
//! - After a missing step, readings wait until the newest one is `slack_steps` past the missing step.
//! - A hole is a step in which a channel has no good value. It is filled with the channel's last good value, for at
//!   most `fill_steps` steps, or for `hold_s` if the channel has one (the value is then *held*). After that the channel
//!   is missing.
//! - A bad value ends a hold: the sensor is broken, and its last good value must not hide that. The last good value is
//!   then used for `fill_steps` steps only, the step of the bad value included.
//! - After more than `gap_ms` without a reading, a new window starts, and no value is held over the gap. If all
//!   channels of a pump have a `hold_s`, silence is a gap only after the shortest `hold_s`.
//! - Of several readings in one step, the last good value of each channel counts. Of parts of one reading, which have
//!   the same time, the first counts. One reading gets the step's window: the one that begins the step, or the latest
//!   of those that waited together.
//! - A drifted zero, a value just below a range that starts at 0, counts as 0.
//! - A window with a missing value is not scored, and neither is a window of a pump that is off, starting or stopping
//!   (`operating.rs`).
//!
//! An example of a channel that is reported on change, `hold_s = 60`, next to others that are sent once a second
//! (`fill_steps` is 5):
//!
//! ```text
//! second       0    1 .. 5   6 .. 60     61         100   101   102    103 .. 105   106
//! sent         7    -        -           -          8     bad   -      -            -
//! step's value 7    7        7           missing    8     8     8      8            missing
//! held         -    -        yes         -          -     -     -      -            -
//! ```
//!
//! [`Window::held`] is the set of channels that were held in the window. If the value of such a channel does not
//! change, that does not mean that its sensor is stuck.

mod config;
mod rhythm;
mod rows;
mod window;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

pub use self::{
    config::WindowConfig,
    window::{ChannelSet, NoWindow, StepRow, StepState, Window, WindowedReading},
};
use self::{rhythm::Rhythm, rows::Rows};
use crate::{
    OperatingState, Profile, Reading, Sample, Timestamp,
    operating::{OperatingStateClassifier, RunPhase},
};

/// The windower of one pump.
#[derive(Debug)]
pub struct Windower {
    profile: Profile,
    config: WindowConfig,
    classifier: OperatingStateClassifier,
    /// The phase before the newest step.
    phase_before: RunPhase,
    /// The phase after the newest step.
    phase: RunPhase,
    /// The values of the last steps, one row for each step; NaN where missing.
    steps: Rows,
    /// The number of the newest step.
    last: Option<i64>,
    rhythm: Rhythm,
    /// The channels that were held in each of the last steps; see [`StepRow::held`].
    held: VecDeque<ChannelSet>,
    /// Per channel: for how many steps its last good value may be used.
    holds: Arc<[i64]>,
    /// Per channel: its last good value.
    last_good: Vec<Option<LastGood>>,
    /// The readings that wait for a missing one before them.
    pending: BTreeMap<Timestamp, Reading>,
    /// The latest time of all readings.
    newest: Option<Timestamp>,
    /// The number of runs that ended before the pump had settled, since the last run that settled, and the steps of the
    /// longest of them.
    short_runs: (u32, i64),
}

/// A channel's last good value.
#[derive(Debug, Clone, Copy)]
struct LastGood {
    step: i64,
    at: Timestamp,
    value: f64,
    /// The last step that it may be used for.
    until: i64,
}

impl Windower {
    /// Creates an empty windower for pumps of this profile.
    pub fn new(profile: &Profile) -> Self {
        let channels = profile.channels().len();
        let config = WindowConfig::for_profile(profile);
        Self {
            profile: profile.clone(),
            config,
            classifier: OperatingStateClassifier::new(profile, WindowConfig::LEN),
            phase_before: RunPhase::On { since: None },
            phase: RunPhase::On { since: None },
            steps: Rows::new(config.len, channels),
            held: VecDeque::new(),
            last: None,
            rhythm: Rhythm::new(config.interval_ms),
            holds: config.holds(profile).into(),
            last_good: vec![None; channels],
            pending: BTreeMap::new(),
            newest: None,
            short_runs: (0, 0),
        }
    }

    /// Adds a reading. Returns the readings that now have a step, in order, each with the window that ends with the step
    /// or the reason why there is none.
    ///
    /// Returns nothing for a reading whose step has begun already. If that is the newest step, the reading's values are
    /// added to it.
    pub fn push(&mut self, reading: Reading) -> Vec<WindowedReading> {
        self.newest = self.newest.max(Some(reading.at));
        let step = self.step(reading.at);
        if let Some(last) = self.last
            && step <= last
        {
            if step == last {
                self.add_to_last(last, &reading);
            }
            return Vec::new();
        }
        if self.pending.is_empty() && self.last.is_none_or(|last| step == last + 1) {
            // The usual case: the reading need not wait.
            self.begin_step(step, reading.at);
            return vec![self.add_step(step, Vec::new(), reading)];
        }
        match self.pending.get_mut(&reading.at) {
            // Of parts of one reading, the first counts.
            Some(known) => *known = known.merged_with(&reading.samples),
            None => drop(self.pending.insert(reading.at, reading)),
        }
        self.release(|newest, missing, slack| newest - missing >= slack)
    }

    /// Whether the step of this time has begun already, so that a reading of this time would get no window.
    pub fn step_has_begun(&self, at: Timestamp) -> bool {
        self.last.is_some_and(|last| self.step(at) <= last)
    }

    /// Whether a time is so far behind the newest that a reading of it is too late for its window.
    pub fn is_too_late(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| self.config.is_too_late(at, newest))
    }

    /// Empties the window, for a pump whose times went back. Returns the readings that were pending.
    pub fn restart(&mut self) -> Vec<WindowedReading> {
        let windowed = self.flush();
        *self = Self::new(&self.profile);
        windowed
    }

    /// Assigns all pending readings to steps, without waiting for missing ones.
    pub fn flush(&mut self) -> Vec<WindowedReading> {
        self.release(|_, _, _| true)
    }

    /// Returns the number of runs that ended before the pump had settled, since the last run that settled, and the
    /// steps of the longest of them.
    pub fn short_runs(&self) -> (u32, i64) {
        self.short_runs
    }

    /// Whether readings wait for a missing reading.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Assigns pending readings to steps, up to the first missing step for which `stop_waiting(newest, missing, slack)`
    /// is false.
    fn release(&mut self, stop_waiting: impl Fn(i64, i64, i64) -> bool) -> Vec<WindowedReading> {
        let mut windowed = Vec::new();
        while let (Some((&at, _)), Some(newest)) = (self.pending.first_key_value(), self.newest) {
            let step = self.step(at);
            let is_after_missing = self.last.is_some_and(|last| step > last + 1);
            if is_after_missing && !stop_waiting(self.step(newest), step - 1, self.config.slack_steps) {
                break;
            }
            let Some((_, mut reading)) = self.pending.pop_first() else { break };
            self.begin_step(step, at);
            let mut displaced = Vec::new();
            while let Some((&at, _)) = self.pending.first_key_value()
                && self.step(at) == step
                && let Some((_, next)) = self.pending.pop_first()
            {
                self.rhythm.record(at.millis(), step);
                displaced.push(std::mem::replace(&mut reading, next));
            }
            windowed.push(self.add_step(step, displaced, reading));
        }
        windowed
    }

    /// Returns the step of a time. Steps are numbered in the order of time; the first number is arbitrary.
    fn step(&self, at: Timestamp) -> i64 {
        let at_ms = at.millis();
        let (Some(last), Some(newest_ms)) = (self.last, self.rhythm.newest_ms()) else {
            return self.rhythm.step(at_ms);
        };
        if self.is_after_gap(at) {
            return last + (at_ms - newest_ms) / self.config.interval_ms;
        }
        let step = self.rhythm.step(at_ms);
        if at_ms > newest_ms { step.max(last) } else { step.min(last) }
    }

    fn is_after_gap(&self, at: Timestamp) -> bool {
        self.rhythm.newest_ms().is_some_and(|newest_ms| at.millis() - newest_ms > self.config.gap_ms)
    }

    /// Records the first reading of a new step. After a gap, earlier steps and values are discarded; the phase stays.
    fn begin_step(&mut self, step: i64, at: Timestamp) {
        if self.is_after_gap(at) {
            self.steps.clear();
            self.held.clear();
            self.last = None;
            self.last_good.fill(None);
            self.rhythm = Rhythm::new(self.config.interval_ms);
        }
        self.rhythm.record(at.millis(), step);
    }

    /// Adds a new step with its readings, which are in the order of their times.
    fn add_step(&mut self, step: i64, displaced: Vec<Reading>, reading: Reading) -> WindowedReading {
        if let Some(last) = self.last {
            // Missing steps that are older than a window need no row.
            let first = (last + 1).max(step - i64::try_from(self.config.len).unwrap_or(i64::MAX));
            (first..step).for_each(|missing| self.append(missing));
        }
        for reading in displaced.iter().chain([&reading]) {
            self.update_last_good(step, reading);
        }
        self.append(step);
        let row = self.step_row();
        WindowedReading { window: self.window(&reading, row.state), step: row, displaced, reading }
    }

    /// Adds another reading of the newest step, or another part of the same reading.
    fn add_to_last(&mut self, last: i64, reading: &Reading) {
        self.rhythm.record(reading.at.millis(), last);
        self.update_last_good(last, reading);
        self.steps.replace_newest(filled(&self.last_good, last));
        self.held.pop_back();
        self.held.push_back(self.held_channels(last));
        self.phase = self.classifier.next(self.phase_before, last, self.steps.newest());
    }

    /// Records the samples of a reading in this step. Of several good values in a step the latest counts; of two with
    /// the same time the first recorded one. A bad value ends a hold, unless its own step has a good one.
    fn update_last_good(&mut self, step: i64, reading: &Reading) {
        let at = reading.at;
        let channels = self.profile.channels().iter().zip(self.holds.iter()).zip(&mut self.last_good);
        for (&sample, ((channel, hold), last_good)) in reading.samples.iter().zip(channels) {
            let known = last_good.as_mut().filter(|known| known.step == step);
            match (sample, known) {
                (Sample::Good(_), Some(known)) if known.at >= at => {}
                (Sample::Good(value), _) => {
                    *last_good = Some(LastGood { step, at, value: channel.model_value(value), until: step + hold });
                }
                (Sample::Bad(_), None) => {
                    if let Some(known) = last_good {
                        known.until = known.until.min(step - 1 + self.config.fill_steps);
                    }
                }
                _ => {}
            }
        }
    }

    fn append(&mut self, step: i64) {
        self.steps.push(filled(&self.last_good, step));
        if self.held.len() == self.config.len {
            self.held.pop_front();
        }
        self.held.push_back(self.held_channels(step));
        self.last = Some(step);
        self.phase_before = self.phase;
        self.phase = self.classifier.next(self.phase_before, step, self.steps.newest());
        self.count_run(step);
    }

    /// Returns the channels that are held in this step; see [`StepRow::held`].
    fn held_channels(&self, step: i64) -> ChannelSet {
        let held = |known: &Option<LastGood>| {
            known.is_some_and(|known| step - known.step > self.config.fill_steps && step <= known.until)
        };
        let channels = self.last_good.iter().enumerate().filter(|(_, known)| held(known));
        channels.fold(ChannelSet::default(), |held, (channel, _)| held.with(channel))
    }

    /// Counts a run that ended before the pump settled, and resets the count when a run has settled.
    fn count_run(&mut self, step: i64) {
        let stopped = matches!(self.phase, RunPhase::Off | RunPhase::CoastingDown { .. });
        match self.phase_before {
            RunPhase::On { since: Some(since) }
                if stopped && self.classifier.state(self.phase_before, step - 1).0 != OperatingState::Running =>
            {
                let (count, longest) = self.short_runs;
                self.short_runs = (count.saturating_add(1), longest.max(step - since));
            }
            _ if !stopped && self.classifier.state(self.phase, step).0 == OperatingState::Running => {
                self.short_runs = (0, 0)
            }
            _ => {}
        }
    }

    /// Returns the newest step.
    fn step_row(&self) -> StepRow {
        StepRow {
            values: self.steps.newest().into(),
            held: self.held.back().copied().unwrap_or_default(),
            state: self.state(),
        }
    }

    fn window(&self, reading: &Reading, state: StepState) -> Result<Window, NoWindow> {
        if let Some(reason) = self.not_running(state) {
            return Err(reason);
        }
        let missing = self.steps.channels_with_nan();
        if !missing.is_empty() {
            return Err(NoWindow::Missing { channels: missing });
        }
        if self.steps.len() < self.config.len {
            return Err(NoWindow::Filling { have: self.steps.len(), need: self.config.len });
        }
        let held = self.held.iter().fold(ChannelSet::default(), |all, &step| all.union(step));
        Ok(Window { pump: reading.pump.clone(), at: reading.at, values: self.steps.in_order(), held })
    }

    /// Returns the operating state in the newest step. A pump of which nothing is known counts as running.
    pub fn operating_state(&self) -> OperatingState {
        match self.state() {
            StepState::Off => OperatingState::Off,
            StepState::Starting { .. } => OperatingState::Starting,
            StepState::Stopping => OperatingState::Stopping,
            StepState::Running | StepState::Unknown => OperatingState::Running,
        }
    }

    /// Returns the operating state in the newest step.
    fn state(&self) -> StepState {
        let newest = self.steps.newest();
        let Some(last) = self.last else { return StepState::Unknown };
        if self.classifier.has_no_values(newest) {
            return StepState::Unknown;
        }
        let need = self.classifier.settle_steps();
        match self.classifier.state(self.phase, last) {
            (OperatingState::Off, ..) => return StepState::Off,
            (OperatingState::Stopping, ..) => return StepState::Stopping,
            (OperatingState::Starting, have, _) if have < need => return StepState::Starting { have, need },
            (OperatingState::Starting | OperatingState::Running, ..) => {}
        }
        let before = self.steps.newest_first().skip(1).take(self.classifier.fall_steps());
        if self.classifier.is_falling(newest, before) { StepState::Stopping } else { StepState::Running }
    }

    /// Returns why there is no window, if the pump is off or stopping, or has not run for long enough since its start.
    /// If no value shows whether the pump runs, the result is none, and the channels count as missing.
    fn not_running(&self, step: StepState) -> Option<NoWindow> {
        let (state, have, need) = self.classifier.state(self.phase, self.last?);
        match (step, state) {
            (StepState::Unknown, _) => None,
            (StepState::Stopping, OperatingState::Running) => {
                Some(NoWindow::NotRunning { state: OperatingState::Stopping, have: 0, need })
            }
            (_, OperatingState::Running) => None,
            (_, state) => Some(NoWindow::NotRunning { state, have, need }),
        }
    }
}

/// Returns each channel's last good value; NaN if it may not be used in this step.
fn filled(last_good: &[Option<LastGood>], step: i64) -> impl Iterator<Item = f64> {
    last_good.iter().map(move |known| known.filter(|known| step <= known.until).map_or(f64::NAN, |known| known.value))
}

#[cfg(test)]
mod tests;
