//! What the windower returns for a reading: the row of its step, and the window that ends with it.

use std::sync::Arc;

use crate::{MAX_CHANNELS, OperatingState, PumpId, Reading, Timestamp};

/// The input of the model: the last steps of a pump up to one reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The pump.
    pub pump: PumpId,
    /// The time of its last reading.
    pub at: Timestamp,
    /// Step by step, oldest first: [`WindowConfig::LEN`](crate::WindowConfig::LEN) rows of one finite number per channel,
    /// in the channels' units.
    pub values: Arc<[f64]>,
    /// The channels that were held in at least one step of the window; see [`StepRow::held`].
    pub held: ChannelSet,
}

/// A set of channels of a profile, by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelSet(u64);

impl ChannelSet {
    /// Returns the set with another channel.
    pub fn with(self, channel: usize) -> Self {
        debug_assert!(channel < MAX_CHANNELS);
        Self(self.0 | 1 << channel)
    }

    /// Returns the union of both sets.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a channel is in the set.
    pub fn contains(self, channel: usize) -> bool {
        channel < MAX_CHANNELS && self.0 & 1 << channel != 0
    }
}

/// Why a reading has no window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWindow {
    /// The pump is off, starting or stopping: the model knows only running pumps.
    NotRunning {
        /// The pump's state.
        state: OperatingState,
        /// Steps that it has run since its start.
        have: usize,
        /// Steps that it must run before it is scored.
        need: usize,
    },
    /// There are not enough steps since the first reading or the last gap.
    Filling {
        /// Steps so far.
        have: usize,
        /// Steps in a window.
        need: usize,
    },
    /// Some channels have no value in some step of the window.
    Missing {
        /// Their indexes in the profile.
        channels: Vec<usize>,
    },
}

/// The values of a pump in one step, whether or not there is a window that ends with it.
///
/// An example, of a pump with a speed, a temperature that is reported on change and was sent 20 steps ago, and a flow
/// whose sensor is broken: `values` is `[2950.0, 41.5, NaN]`, `held` has the temperature, `state` is running.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// One number per channel, in the channels' units: the value of this step, or else the channel's last good value
    /// while that may be used; NaN where missing.
    pub values: Arc<[f64]>,
    /// The channels whose value is older than `fill_steps` (5 steps) and is used because of their `hold_s`.
    pub held: ChannelSet,
    /// Whether the pump runs.
    pub state: StepState,
}

/// Rows are equal if they have the same numbers, with NaN in the same channels, and the same held channels and state.
impl PartialEq for StepRow {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
        self.values.len() == other.values.len()
            && self.values.iter().zip(other.values.iter()).all(same)
            && (self.held, self.state) == (other.held, other.state)
    }
}

/// Whether a pump runs in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// No channel that shows whether the pump runs has a value.
    Unknown,
    /// It does not run.
    Off,
    /// It has not settled: it has run for less than `settle_s` since its start.
    Starting {
        /// Steps that it has run since its start.
        have: usize,
        /// Steps after which it has settled.
        need: usize,
    },
    /// It runs. Its window may still have steps from before it settled ([`NoWindow::NotRunning`]). A pump whose profile
    /// has no channel that shows whether it runs is always in this state.
    Running,
    /// Its motor is off, and the shaft still turns.
    Stopping,
}

impl StepState {
    /// Whether the pump runs and has settled. True if its channels do not show whether it runs.
    pub fn has_settled(self) -> bool {
        matches!(self, Self::Running | Self::Unknown)
    }
}

/// A reading in its final order, with the row of its step and its window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowedReading {
    /// The reading.
    pub reading: Reading,
    /// Earlier readings of its step that waited with it, and have no window of their own.
    pub displaced: Vec<Reading>,
    /// The values of its step, and whether the pump runs. In later windows the step may have other values, if another
    /// reading of the same step arrives.
    pub step: StepRow,
    /// The window that ends with it, or why there is none.
    pub window: Result<Window, NoWindow>,
}
