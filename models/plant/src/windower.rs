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
        if self.waiting.is_empty() && self.steps.back().is_none_or(|last| step == last.index + 1) {
            // Nearly all: they do not have to wait.
            return vec![self.place(step, reading)];
        }
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
mod tests;
