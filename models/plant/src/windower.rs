//! Turns readings into windows: orders them, resamples them to the model's step, fills short holes, and starts anew after
//! gaps.
//!
//! Live pumps and evaluations use the same windower. It has no clock and no timer; its owner calls [`Windower::flush`]
//! when a pump has become silent.
//!
//! The rules (`t` is a reading's time, its step is `floor(t / interval)`):
//! - A reading whose step directly follows the last one gets its window at once: readings in order are not delayed.
//! - After a missing step, readings wait until the newest one is `slack_steps` past the missing step.
//! - A hole is filled with each channel's last good value, for at most `fill_steps` or for as long as the channel's
//!   `hold_s`. After that the channel is missing.
//! - A bad value ends a hold: the sensor is broken, and its last good value must not hide that. The last good value then
//!   stays for `fill_steps`, counted from the bad value's step, as for any channel.
//! - After more than `gap_ms` without a reading, a new window starts, and no value is held over the gap. If all channels
//!   of a pump have a `hold_s`, silence is a gap only after the shortest of them.
//! - Of several readings in one step, the last good value of each channel counts. Of parts of one reading, which have the
//!   same time, the first counts.
//! - A drifted zero, a value just below a range that starts at 0, counts as 0.
//! - A window with a missing value is not scored, and neither is one of a pump that is off, starting or stopping
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
//! A window has the set of channels that were held in it ([`Window::held`]): if such a channel does not change, that says
//! nothing about its sensor.

mod config;
mod rows;
mod window;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use self::rows::Rows;
pub use self::{
    config::WindowConfig,
    window::{ChannelSet, NoWindow, StepRow, StepState, Window, WindowedReading},
};
use crate::{
    OperatingState, Profile, Reading, Sample, Timestamp,
    operating::{OperatingStateClassifier, Phase},
};

/// The windower of one pump.
#[derive(Debug)]
pub struct Windower {
    profile: Profile,
    config: WindowConfig,
    classifier: OperatingStateClassifier,
    /// The phase before the last step.
    phase_before: Phase,
    /// The phase after it.
    phase: Phase,
    /// The values of the last steps, without holes between them; NaN where missing.
    steps: Rows,
    /// The newest of these steps.
    last: Option<LastStep>,
    /// The channels that were held in each of the last steps.
    held: VecDeque<ChannelSet>,
    /// Per channel: for how many steps its last value may be used.
    holds: Arc<[i64]>,
    /// Per channel: its last good value.
    last_good: Vec<Option<LastGood>>,
    pending: BTreeMap<i64, PendingStep>,
    newest: i64,
    /// Number of runs since the last one that settled, and the steps of the longest of them.
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

/// The readings of a step that wait for a missing one before it.
#[derive(Debug)]
struct PendingStep {
    /// The last reading of the step.
    reading: Reading,
    /// Per channel: the sample that counts, and its time.
    samples: Vec<(Timestamp, Sample)>,
}

impl PendingStep {
    fn new(reading: Reading) -> Self {
        Self { samples: reading.samples.iter().map(|&sample| (reading.at, sample)).collect(), reading }
    }

    /// Adds another reading of the same step. Of several with the same time, the first counts.
    fn add(&mut self, reading: Reading) {
        for ((known_at, known), &sample) in self.samples.iter_mut().zip(reading.samples.iter()) {
            let counts = match (*known, sample) {
                (Sample::Good(_), Sample::Good(_)) => reading.at > *known_at,
                (_, Sample::Good(_)) => true,
                (known, sample) => known.value().is_none() && sample.value().is_some(),
            };
            if counts {
                (*known_at, *known) = (reading.at, sample);
            }
        }
        if reading.at == self.reading.at {
            self.reading = self.reading.merged_with(&reading.samples);
        } else if reading.at > self.reading.at {
            self.reading = reading;
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct LastStep {
    index: i64,
    at: Timestamp,
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
            phase_before: Phase::On { since: None },
            phase: Phase::On { since: None },
            steps: Rows::new(config.len, channels),
            held: VecDeque::new(),
            last: None,
            holds: config.holds(profile).into(),
            last_good: vec![None; channels],
            pending: BTreeMap::new(),
            newest: i64::MIN,
            short_runs: (0, 0),
        }
    }

    /// Adds a reading. Returns the readings that now have their final place, in order.
    ///
    /// A reading whose step is already placed returns nothing; its values are added to the last step if it belongs to that
    /// one.
    pub fn push(&mut self, reading: Reading) -> Vec<WindowedReading> {
        let step = self.config.step(reading.at);
        if let Some(last) = self.last
            && step <= last.index
        {
            if step == last.index {
                self.add_to_last(last, &reading);
            }
            return Vec::new();
        }
        self.newest = self.newest.max(step);
        if self.pending.is_empty() && self.last.is_none_or(|last| step == last.index + 1) {
            // The usual case: the reading need not wait.
            return vec![self.place(step, PendingStep::new(reading))];
        }
        match self.pending.get_mut(&step) {
            Some(step) => step.add(reading),
            None => drop(self.pending.insert(step, PendingStep::new(reading))),
        }
        self.release(|newest, missing, slack| newest - missing >= slack)
    }

    /// Returns the reading that gets no window of its own if this one is pushed now: this one, or a pending one of the same
    /// step that it replaces.
    pub fn displaced_by(&self, reading: &Reading) -> Option<Reading> {
        let step = self.config.step(reading.at);
        if self.last.is_some_and(|last| step <= last.index) {
            return Some(reading.clone());
        }
        match self.pending.get(&step).map(|step| &step.reading) {
            Some(other) if other.at > reading.at => Some(reading.clone()),
            Some(other) if other.at < reading.at => Some(other.clone()),
            _ => None,
        }
    }

    /// Whether a time is so far behind the newest that a reading of it is too late for its window.
    pub fn is_past(&self, at: Timestamp) -> bool {
        self.newest.saturating_sub(self.config.step(at)) >= self.config.slack_steps
    }

    /// Empties the window, for a pump whose times went back. Returns the pending readings.
    pub fn restart(&mut self) -> Vec<WindowedReading> {
        let placed = self.flush();
        *self = Self::new(&self.profile);
        placed
    }

    /// Places all pending readings, without waiting for missing ones any longer.
    pub fn flush(&mut self) -> Vec<WindowedReading> {
        self.release(|_, _, _| true)
    }

    /// Returns the number of runs that ended before the pump had settled, since the last one that settled, and the steps of
    /// the longest of them.
    pub fn short_runs(&self) -> (u32, i64) {
        self.short_runs
    }

    /// Whether readings wait for a missing one.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Places pending readings up to the first missing step for which `stop_waiting(newest, missing, slack)` is false.
    fn release(&mut self, stop_waiting: impl Fn(i64, i64, i64) -> bool) -> Vec<WindowedReading> {
        let mut placed = Vec::new();
        while let Some((&step, _)) = self.pending.first_key_value() {
            let expected = self.last.map_or(step, |last| last.index + 1);
            if step > expected && !stop_waiting(self.newest, step - 1, self.config.slack_steps) {
                break;
            }
            let Some((_, pending)) = self.pending.pop_first() else { break };
            placed.push(self.place(step, pending));
        }
        placed
    }

    fn place(&mut self, step: i64, PendingStep { reading, samples }: PendingStep) -> WindowedReading {
        let gap = self.last.is_some_and(|last| reading.at.since_ms(last.at) > self.config.gap_ms);
        if gap {
            self.steps.clear();
            self.held.clear();
            self.last = None;
            self.last_good.fill(None);
        }
        if let Some(last) = self.last {
            // Steps further back than a window are not in it.
            let first = (last.index + 1).max(step - i64::try_from(self.config.len).unwrap_or(i64::MAX));
            for missing in first..step {
                self.append(LastStep { index: missing, at: last.at });
            }
        }
        self.update_last_good(step, samples.into_iter());
        self.append(LastStep { index: step, at: reading.at });
        let step = self.step_row();
        WindowedReading { window: self.window(&reading, step.state), step, reading }
    }

    /// Adds another reading of the last step, or another part of the same reading.
    fn add_to_last(&mut self, last: LastStep, reading: &Reading) {
        self.update_last_good(last.index, reading.samples.iter().map(|&sample| (reading.at, sample)));
        self.steps.replace_newest(filled(&self.last_good, last.index));
        self.held.pop_back();
        self.held.push_back(self.held_channels(last.index));
        self.last = Some(LastStep { at: last.at.max(reading.at), ..last });
        self.phase = self.classifier.next(self.phase_before, last.index, self.steps.newest());
    }

    /// Records the samples of a step. Of several good values the last one counts, and the first of one time. A bad value ends
    /// a hold, unless its own step has a good one.
    fn update_last_good(&mut self, step: i64, samples: impl Iterator<Item = (Timestamp, Sample)>) {
        let channels = self.profile.channels().iter().zip(self.holds.iter()).zip(&mut self.last_good);
        for ((at, sample), ((channel, hold), last_good)) in samples.zip(channels) {
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

    fn append(&mut self, step: LastStep) {
        self.steps.push(filled(&self.last_good, step.index));
        if self.held.len() == self.config.len {
            self.held.pop_front();
        }
        self.held.push_back(self.held_channels(step.index));
        self.last = Some(step);
        self.phase_before = self.phase;
        self.phase = self.classifier.next(self.phase_before, step.index, self.steps.newest());
        self.count_run(step.index);
    }

    /// Returns the channels whose value is held for longer than `fill_steps`.
    fn held_channels(&self, step: i64) -> ChannelSet {
        let held = |known: &Option<LastGood>| {
            known.is_some_and(|known| step - known.step > self.config.fill_steps && step <= known.until)
        };
        let channels = self.last_good.iter().enumerate().filter(|(_, known)| held(known));
        channels.fold(ChannelSet::default(), |held, (channel, _)| held.with(channel))
    }

    /// Counts a run that ended before the pump settled, and resets the count when a run has settled.
    fn count_run(&mut self, step: i64) {
        let stopped = matches!(self.phase, Phase::Off | Phase::CoastingDown { .. });
        match self.phase_before {
            Phase::On { since: Some(since) }
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
        if let Some((state, have)) = state.not_running() {
            return Err(NoWindow::NotRunning { state, have, need: self.classifier.settle_steps() });
        }
        // If no channel shows whether the pump runs, those channels are missing.
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

    /// Returns the operating state in the newest step.
    fn state(&self) -> StepState {
        let newest = self.steps.newest();
        let Some(last) = self.last else { return StepState::Unknown };
        if self.classifier.has_no_values(newest) {
            return StepState::Unknown;
        }
        let before = self.steps.newest_first().skip(1).take(self.classifier.fall_steps());
        match self.classifier.state(self.phase, last.index) {
            (OperatingState::Running, ..) if self.classifier.is_falling(newest, before) => StepState::Stopping,
            (OperatingState::Running, ..) => StepState::Running,
            (OperatingState::Starting, have, need) => StepState::Starting { have, need },
            (OperatingState::Stopping, ..) => StepState::Stopping,
            (OperatingState::Off, ..) => StepState::Off,
        }
    }
}

/// Returns each channel's last good value; NaN if it is too old for this step.
fn filled(last_good: &[Option<LastGood>], step: i64) -> impl Iterator<Item = f64> {
    last_good.iter().map(move |known| known.filter(|known| step <= known.until).map_or(f64::NAN, |known| known.value))
}

#[cfg(test)]
mod tests;
