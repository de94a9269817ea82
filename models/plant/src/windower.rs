//! From readings to windows: put in order, resampled to the model's step, short holes filled, gaps kept out.
//!
//! The one windower of the product: a live pump and an evaluation use it alike. It has no clock and no
//! timer; whoever owns it calls [`Windower::flush`] when a pump has gone quiet.
//!
//! The rules (`t` is a reading's time, a step is `floor(t / interval)`):
//! - a reading whose step directly follows the last one is placed at once: order costs no delay;
//! - before a hole, readings wait until the newest is `slack_steps` past the last missing step;
//! - a hole is filled with the last good values, each for at most `fill_steps`, or for as long as its channel's `hold_s` says;
//!   then it is missing;
//! - after more than `gap_ms` without a reading, a new window starts;
//! - of several readings in one step, the last one counts; parts of one reading, which have one time, count together;
//! - a sensor's zero that has drifted below a range that begins at 0 counts as 0;
//! - a window with a missing value in it is not scored, and neither is one of a pump that stands, starts or stops
//!   (`operating.rs`).

mod rows;

use std::{collections::BTreeMap, sync::Arc};

use self::rows::Rows;
use crate::{
    OperatingState, Profile, PumpId, Reading, Timestamp,
    operating::{OperatingGate, Phase},
};

/// The lengths a windower works with. They are counted in steps, so that they are right for readings once a second and once
/// an hour alike; waiting alone has an end in time:
///
/// | interval | window | waits for a missing reading | fills | gap | settles for `settle_s` = 600 |
/// | --- | --- | --- | --- | --- | --- |
/// | 1 s | 30 s | 3 steps, 3 s | 5 s | 15 s | 600 steps |
/// | 10 s | 5 min | 3 steps, 30 s | 50 s | 100 s | 60 steps |
/// | 1 min | 30 min | not at all | 5 min | 10 min | 30 steps: a whole window |
/// | 1 h | 30 h | not at all | 5 h | 10 h | 30 steps: a whole window |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// One step, in milliseconds.
    pub interval_ms: i64,
    /// Steps in a window.
    pub len: usize,
    /// How many steps a missing reading is waited for; 1: not at all.
    pub slack_steps: i64,
    /// How many steps a value may stand in for the missing ones after it.
    pub fill_steps: i64,
    /// The longest silence that a window may span.
    pub gap_ms: i64,
}

/// The longest that a missing reading is waited for.
const LONGEST_WAIT_MS: i64 = 60_000;

impl WindowRules {
    /// Steps in a window: the recipe's 30.
    pub const LEN: usize = 30;

    /// The product's rules for a profile.
    pub fn for_profile(profile: &Profile) -> Self {
        let interval_ms = profile.interval_ms();
        // What is out of order is so by seconds: an hour's verdict does not wait for two more hours.
        let slack_steps = (LONGEST_WAIT_MS / interval_ms).clamp(1, 3);
        // While all of a pump's values hold there is no gap.
        let held_ms = profile.channels().iter().map(|channel| 1_000 * channel.hold_s.unwrap_or(0)).min().unwrap_or(0);
        let gap_ms = (10 * interval_ms).max(15_000).max(held_ms);
        Self { interval_ms, len: Self::LEN, slack_steps, fill_steps: 5, gap_ms }
    }

    /// So many of its last readings bring a new windower to where a pump's own one was.
    pub fn recall_readings(profile: &Profile) -> usize {
        let settle = profile.settle_ms() / profile.interval_ms() + 1;
        Self::LEN + usize::try_from(settle).unwrap_or_default().max(Self::LEN)
    }

    /// For how many steps each channel's last value may stand in.
    fn holds(&self, profile: &Profile) -> Vec<i64> {
        let held = |channel: &crate::Channel| 1_000 * channel.hold_s.unwrap_or(0) / self.interval_ms;
        profile.channels().iter().map(|channel| held(channel).max(self.fill_steps)).collect()
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
    profile: Profile,
    rules: WindowRules,
    gate: OperatingGate,
    /// What was known before the last step.
    before: Phase,
    /// What is known after it.
    phase: Phase,
    /// The values of the last steps, one right after the other; NaN where missing.
    steps: Rows,
    /// The newest of these steps.
    last: Option<Step>,
    /// Per channel: for how many steps its last value may stand in.
    holds: Arc<[i64]>,
    /// Per channel: the step of its last good value, and the value.
    last_good: Vec<Option<(i64, f64)>>,
    waiting: BTreeMap<i64, Reading>,
    newest: i64,
    /// The runs since the last one that settled, and the steps of the longest of them.
    short_runs: (u32, i64),
}

#[derive(Debug, Clone, Copy)]
struct Step {
    index: i64,
    at: Timestamp,
}

impl Windower {
    /// An empty windower for pumps of this profile.
    pub fn new(profile: &Profile) -> Self {
        let channels = profile.channels().len();
        let rules = WindowRules::for_profile(profile);
        Self {
            profile: profile.clone(),
            rules,
            gate: OperatingGate::new(profile, WindowRules::LEN),
            before: Phase::On { since: None },
            phase: Phase::On { since: None },
            steps: Rows::new(rules.len, channels),
            last: None,
            holds: rules.holds(profile).into(),
            last_good: vec![None; channels],
            waiting: BTreeMap::new(),
            newest: i64::MIN,
            short_runs: (0, 0),
        }
    }

    /// Takes a reading and answers with those that have now got their place, in order.
    ///
    /// A reading whose step has passed changes nothing.
    pub fn push(&mut self, reading: Reading) -> Vec<Placed> {
        let step = self.rules.step(reading.at);
        if let Some(last) = self.last
            && step <= last.index
        {
            if step == last.index && reading.at >= last.at {
                self.replace_last(&reading);
            }
            return Vec::new();
        }
        self.newest = self.newest.max(step);
        if self.waiting.is_empty() && self.last.is_none_or(|last| step == last.index + 1) {
            // Nearly all: they do not have to wait.
            return vec![self.place(step, reading)];
        }
        match self.waiting.get_mut(&step) {
            Some(other) if other.at > reading.at => {}
            Some(other) if other.at == reading.at => *other = other.with(&reading.samples),
            _ => drop(self.waiting.insert(step, reading)),
        }
        self.release(|newest, missing, slack| newest - missing >= slack)
    }

    /// The reading that gets no place of its own if this one is pushed now: this one, or one that waits and gives way to it.
    pub fn displaced_by(&self, reading: &Reading) -> Option<Reading> {
        let step = self.rules.step(reading.at);
        if self.last.is_some_and(|last| step <= last.index) {
            return Some(reading.clone());
        }
        match self.waiting.get(&step) {
            Some(other) if other.at > reading.at => Some(reading.clone()),
            Some(other) if other.at < reading.at => Some(other.clone()),
            _ => None,
        }
    }

    /// Whether a time is so far behind the newest that it cannot get a place any more.
    pub fn has_passed(&self, at: Timestamp) -> bool {
        self.newest.saturating_sub(self.rules.step(at)) >= self.rules.slack_steps
    }

    /// Begins anew, with an empty window, for a pump whose times go back. Returns those that waited.
    pub fn restart(&mut self) -> Vec<Placed> {
        let placed = self.flush();
        *self = Self::new(&self.profile);
        placed
    }

    /// Places everything that still waits for a missing reading: it is not waited for any longer.
    pub fn flush(&mut self) -> Vec<Placed> {
        self.release(|_, _, _| true)
    }

    /// How many runs have ended before the pump had settled, since the last one that did; and the steps of the longest.
    pub fn short_runs(&self) -> (u32, i64) {
        self.short_runs
    }

    /// Whether readings wait for a missing one.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn release(&mut self, given_up: impl Fn(i64, i64, i64) -> bool) -> Vec<Placed> {
        let mut placed = Vec::new();
        while let Some((&step, _)) = self.waiting.first_key_value() {
            let expected = self.last.map_or(step, |last| last.index + 1);
            if step > expected && !given_up(self.newest, step - 1, self.rules.slack_steps) {
                break;
            }
            let Some((_, reading)) = self.waiting.pop_first() else { break };
            placed.push(self.place(step, reading));
        }
        placed
    }

    fn place(&mut self, step: i64, reading: Reading) -> Placed {
        let gap = self.last.is_some_and(|last| reading.at.since_ms(last.at) > self.rules.gap_ms);
        if gap {
            self.steps.clear();
            self.last = None;
            self.last_good.fill(None);
        }
        if let Some(last) = self.last {
            // What lies further back than a window is not in it.
            let first = (last.index + 1).max(step - i64::try_from(self.rules.len).unwrap_or(i64::MAX));
            for missing in first..step {
                self.append(Step { index: missing, at: last.at });
            }
        }
        self.remember_good(step, &reading);
        self.append(Step { index: step, at: reading.at });
        Placed { window: self.window(&reading), reading }
    }

    /// A later reading of the last step, or another part of the same one, which changes no value that is known.
    fn replace_last(&mut self, reading: &Reading) {
        let Some(Step { index, at }) = self.last else { return };
        if reading.at > at {
            self.remember_good(index, reading);
        } else {
            let known: Vec<_> = self.last_good.clone();
            self.remember_good(index, reading);
            let before = known.into_iter().zip(&mut self.last_good);
            before
                .filter(|(known, _)| known.is_some_and(|(step, _)| step == index))
                .for_each(|(known, now)| *now = known);
        }
        self.steps.replace_newest(filled(&self.last_good, index, &self.holds));
        self.last = Some(Step { index, at: reading.at });
        self.phase = self.gate.next(self.before, index, self.steps.newest());
    }

    fn remember_good(&mut self, step: i64, reading: &Reading) {
        let channels = self.profile.channels().iter().zip(&mut self.last_good);
        for (sample, (channel, last_good)) in reading.samples.iter().zip(channels) {
            if let Some(value) = sample.good() {
                *last_good = Some((step, channel.meant(value)));
            }
        }
    }

    fn append(&mut self, step: Step) {
        self.steps.push(filled(&self.last_good, step.index, &self.holds));
        self.last = Some(step);
        self.before = self.phase;
        self.phase = self.gate.next(self.before, step.index, self.steps.newest());
        self.count_run(step.index);
    }

    fn count_run(&mut self, step: i64) {
        let stopped = matches!(self.phase, Phase::Off | Phase::RunningDown { .. });
        match self.before {
            Phase::On { since: Some(since) }
                if stopped && self.gate.state(self.before, step - 1).0 != OperatingState::Running =>
            {
                let (count, longest) = self.short_runs;
                self.short_runs = (count.saturating_add(1), longest.max(step - since));
            }
            _ if !stopped && self.gate.state(self.phase, step).0 == OperatingState::Running => self.short_runs = (0, 0),
            _ => {}
        }
    }

    fn window(&self, reading: &Reading) -> Result<Window, NoWindow> {
        self.running()?;
        let missing = self.steps.channels_with_nan();
        if !missing.is_empty() {
            return Err(NoWindow::Missing { channels: missing });
        }
        if self.steps.len() < self.rules.len {
            return Err(NoWindow::Filling { have: self.steps.len(), need: self.rules.len });
        }
        Ok(Window { pump: reading.pump.clone(), at: reading.at, values: self.steps.in_order() })
    }

    /// A pump of which nothing says whether it runs is not off: what is missing is said instead.
    fn running(&self) -> Result<(), NoWindow> {
        let Some(last) = self.last else { return Ok(()) };
        let (state, have, need) = self.gate.state(self.phase, last.index);
        let newest = self.steps.newest();
        if self.gate.is_blind(newest) {
            return Ok(());
        }
        match state {
            OperatingState::Running
                if self.gate.falls(newest, self.steps.newest_first().skip(1).take(self.gate.fall_steps())) =>
            {
                Err(NoWindow::NotRunning { state: OperatingState::Stopping, have: 0, need })
            }
            OperatingState::Running => Ok(()),
            _ => Err(NoWindow::NotRunning { state, have, need }),
        }
    }
}

/// Each channel's last good value, where it is not too old for this step.
fn filled(last_good: &[Option<(i64, f64)>], step: i64, holds: &[i64]) -> impl Iterator<Item = f64> {
    last_good.iter().zip(holds).map(move |(last_good, hold)| match last_good {
        Some((since, value)) if step - since <= *hold => *value,
        _ => f64::NAN,
    })
}

#[cfg(test)]
mod tests;
