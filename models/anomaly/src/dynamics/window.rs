//! Collects a pump's residuals (values less their predictions by the conditional detector) and cuts windows of 30 steps from
//! them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The number of steps in a window.
pub const DYNAMICS_WINDOW: usize = 30;

/// The residuals of a pump's last steps, at most 30. Stored in this form. If it is not restored after a restart, it is complete
/// again after 30 steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualHistory {
    channels: usize,
    /// At most [`DYNAMICS_WINDOW`] rows of one value per channel.
    values: VecDeque<Option<f32>>,
}

/// The residuals of 30 successive steps.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualWindow {
    channels: usize,
    /// Row by row; NaN if missing.
    values: Box<[f32]>,
}

impl ResidualHistory {
    /// Creates the history of a pump without any reading yet.
    pub fn new(channels: usize) -> ResidualHistory {
        ResidualHistory { channels, values: VecDeque::new() }
    }

    /// Whether a stored history fits a profile with this many channels. Only one that fits may be used.
    pub fn is_valid(&self, channels: usize) -> bool {
        let rows_are_whole = self.values.len().checked_rem(channels) == Some(0);
        self.channels == channels && rows_are_whole && self.values.len() <= DYNAMICS_WINDOW * channels
    }

    /// Adds a step's residuals, one per channel of the profile, and returns the window that ends with it; `None` until there
    /// are 30 steps. A row of another length counts as an interruption.
    pub fn push(&mut self, residuals: &[Option<f64>]) -> Option<ResidualWindow> {
        if residuals.len() != self.channels || self.channels == 0 {
            self.interrupt();
            return None;
        }
        let size = DYNAMICS_WINDOW * self.channels;
        if self.values.len() >= size {
            self.values.drain(..self.channels);
        }
        self.values
            .extend(residuals.iter().map(|value| value.filter(|value| value.is_finite()).map(|value| value as f32)));
        let values = || self.values.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
        (self.values.len() == size).then(|| ResidualWindow { channels: self.channels, values: values() })
    }

    /// Removes all residuals: after a gap or a stop, and while the pump runs at a speed outside of those of commissioning
    /// ([`crate::ConditionalResult::outside_known_range`]), where its residuals say little.
    pub fn interrupt(&mut self) {
        self.values.clear();
    }
}

impl ResidualWindow {
    /// Returns the number of channels of the profile.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the residuals row by row; NaN where one is missing.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}
