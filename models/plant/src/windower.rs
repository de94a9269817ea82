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
//! - a value that a sensor cannot have sent ends a hold: the sensor is broken, and its last good value does not hide that. It
//!   stands in for `fill_steps`, the bad one's step the first of them, as it does for any channel;
//! - after more than `gap_ms` without a reading of any channel, a new window starts, and nothing is held over it. Where all of a
//!   pump's channels hold, silence is no gap before the first of them has held for long enough;
//! - of several readings in one step, the last good value of each channel counts; of parts of one reading, which have one
//!   time, the first;
//! - a sensor's zero that has drifted below a range that begins at 0 counts as 0;
//! - a window with a missing value in it is not scored, and neither is one of a pump that stands, starts or stops
//!   (`operating.rs`).
//!
//! An example of a channel that is reported when it changes, `hold_s = 60`, among others once a second (`fill_steps` is 5):
//!
//! ```text
//! second    0    1 .. 5   6 .. 60     61         100   101   102    103 .. 105   106
//! sent      7    -        -           -          8     bad   -      -            -
//! step has  7    7        7           missing    8     8     8      8            missing
//! is held   -    -        yes         -          -     -     -      -            -
//! ```
//!
//! A window knows which of its channels were held ([`Window::held`]): that such a channel stands still says nothing of its sensor.

mod rows;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use self::rows::Rows;
use crate::{
    MAX_CHANNELS, OperatingState, Profile, PumpId, Reading, Sample, Timestamp,
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
        let gap_ms = (10 * interval_ms).max(15_000).max(1_000 * profile.all_hold_s());
        Self { interval_ms, len: Self::LEN, slack_steps, fill_steps: 5, gap_ms }
    }

    /// So many of its last readings bring a new windower to where a pump's own one was.
    pub fn recall_readings(profile: &Profile) -> usize {
        let settle = profile.settle_ms() / profile.interval_ms() + 1;
        Self::LEN + usize::try_from(settle).unwrap_or_default().max(Self::LEN)
    }

    /// For how many steps each channel's last value may stand in.
    pub(crate) fn holds(&self, profile: &Profile) -> Vec<i64> {
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
    /// The channels of which some value was held for longer than `fill_steps`, as their `hold_s` says.
    pub held: ChannelSet,
}

/// Some of a profile's channels, by their places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelSet(u64);

impl ChannelSet {
    /// With a channel more.
    pub fn with(self, channel: usize) -> Self {
        debug_assert!(channel < MAX_CHANNELS);
        Self(self.0 | 1 << channel)
    }

    /// Those of both.
    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a channel is one of them.
    pub fn contains(self, channel: usize) -> bool {
        channel < MAX_CHANNELS && self.0 & 1 << channel != 0
    }
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
    /// The channels that were held in each of them.
    held: VecDeque<ChannelSet>,
    /// Per channel: for how many steps its last value may stand in.
    holds: Arc<[i64]>,
    /// Per channel: its last good value.
    last_good: Vec<Option<LastGood>>,
    waiting: BTreeMap<i64, Waiting>,
    newest: i64,
    /// The runs since the last one that settled, and the steps of the longest of them.
    short_runs: (u32, i64),
}

/// A channel's last good value.
#[derive(Debug, Clone, Copy)]
struct LastGood {
    step: i64,
    at: Timestamp,
    value: f64,
    /// The last step that it may stand in.
    until: i64,
}

/// A reading that waits for a missing one before it, or several of one step.
#[derive(Debug)]
struct Waiting {
    /// The last of them.
    reading: Reading,
    /// Per channel: what counts of them, and its time.
    samples: Vec<(Timestamp, Sample)>,
}

impl Waiting {
    fn new(reading: Reading) -> Self {
        Self { samples: reading.samples.iter().map(|&sample| (reading.at, sample)).collect(), reading }
    }

    /// Takes in another reading of the same step. Of one time, the first counts.
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
            self.reading = self.reading.with(&reading.samples);
        } else if reading.at > self.reading.at {
            self.reading = reading;
        }
    }
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
            held: VecDeque::new(),
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
            if step == last.index {
                self.add_to_last(last, &reading);
            }
            return Vec::new();
        }
        self.newest = self.newest.max(step);
        if self.waiting.is_empty() && self.last.is_none_or(|last| step == last.index + 1) {
            // Nearly all: they do not have to wait.
            return vec![self.place(step, Waiting::new(reading))];
        }
        match self.waiting.get_mut(&step) {
            Some(others) => others.add(reading),
            None => drop(self.waiting.insert(step, Waiting::new(reading))),
        }
        self.release(|newest, missing, slack| newest - missing >= slack)
    }

    /// The reading that gets no place of its own if this one is pushed now: this one, or one that waits and gives way to it.
    pub fn displaced_by(&self, reading: &Reading) -> Option<Reading> {
        let step = self.rules.step(reading.at);
        if self.last.is_some_and(|last| step <= last.index) {
            return Some(reading.clone());
        }
        match self.waiting.get(&step).map(|others| &others.reading) {
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
            let Some((_, waiting)) = self.waiting.pop_first() else { break };
            placed.push(self.place(step, waiting));
        }
        placed
    }

    fn place(&mut self, step: i64, Waiting { reading, samples }: Waiting) -> Placed {
        let gap = self.last.is_some_and(|last| reading.at.since_ms(last.at) > self.rules.gap_ms);
        if gap {
            self.steps.clear();
            self.held.clear();
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
        self.remember_good(step, samples.into_iter());
        self.append(Step { index: step, at: reading.at });
        Placed { window: self.window(&reading), reading }
    }

    /// Another reading of the last step, or another part of the same one.
    fn add_to_last(&mut self, last: Step, reading: &Reading) {
        self.remember_good(last.index, reading.samples.iter().map(|&sample| (reading.at, sample)));
        self.steps.replace_newest(filled(&self.last_good, last.index));
        self.held.pop_back();
        self.held.push_back(self.held_now(last.index));
        self.last = Some(Step { at: last.at.max(reading.at), ..last });
        self.phase = self.gate.next(self.before, last.index, self.steps.newest());
    }

    /// Takes note of what was sent for a step. Of several good values the last one counts, and the first of one time. A bad one
    /// ends a hold, but for a good one in its own step.
    fn remember_good(&mut self, step: i64, samples: impl Iterator<Item = (Timestamp, Sample)>) {
        let channels = self.profile.channels().iter().zip(self.holds.iter()).zip(&mut self.last_good);
        for ((at, sample), ((channel, hold), last_good)) in samples.zip(channels) {
            let known = last_good.as_mut().filter(|known| known.step == step);
            match (sample, known) {
                (Sample::Good(_), Some(known)) if known.at >= at => {}
                (Sample::Good(value), _) => {
                    *last_good = Some(LastGood { step, at, value: channel.meant(value), until: step + hold });
                }
                (Sample::Bad(_), None) => {
                    if let Some(known) = last_good {
                        known.until = known.until.min(step - 1 + self.rules.fill_steps);
                    }
                }
                _ => {}
            }
        }
    }

    fn append(&mut self, step: Step) {
        self.steps.push(filled(&self.last_good, step.index));
        if self.held.len() == self.rules.len {
            self.held.pop_front();
        }
        self.held.push_back(self.held_now(step.index));
        self.last = Some(step);
        self.before = self.phase;
        self.phase = self.gate.next(self.before, step.index, self.steps.newest());
        self.count_run(step.index);
    }

    /// The channels whose value stands in for longer than for any channel.
    fn held_now(&self, step: i64) -> ChannelSet {
        let held = |known: &Option<LastGood>| {
            known.is_some_and(|known| step - known.step > self.rules.fill_steps && step <= known.until)
        };
        let channels = self.last_good.iter().enumerate().filter(|(_, known)| held(known));
        channels.fold(ChannelSet::default(), |held, (channel, _)| held.with(channel))
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
        let held = self.held.iter().fold(ChannelSet::default(), |all, &step| all.union(step));
        Ok(Window { pump: reading.pump.clone(), at: reading.at, values: self.steps.in_order(), held })
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
fn filled(last_good: &[Option<LastGood>], step: i64) -> impl Iterator<Item = f64> {
    last_good.iter().map(move |known| known.filter(|known| step <= known.until).map_or(f64::NAN, |known| known.value))
}

#[cfg(test)]
mod tests;
