//! Dynamics: finds faults that change no average of a channel, such as flow that hunts (swings around its usual value), noise that
//! doubles, a sensor that is stuck or slow.
//!
//! A *residual* is the value of a channel less its prediction by the conditional detector, divided by its *spread*, the standard
//! deviation of the residuals in commissioning ([`crate::ConditionalResult::residuals`]). So residuals have no unit, and one
//! network that was trained on the residuals of some pumps serves all pumps of the profile. A *window* has the residuals of 30
//! successive readings. Each channel of a window has two measures:
//!
//! - its *error*: the mean absolute difference between its residuals and their reconstruction by an LSTM autoencoder. The mean
//!   difference is subtracted first, because a residual that is constantly off is reconstructed badly, and is tested by the
//!   conditional detector already;
//! - its *change*: the mean absolute change from one reading to the next. It needs no network.
//!
//! The network reconstructs what a healthy pump does, such as a step of the load. So the error is usually small, and a slow swing
//! makes it larger. The change does not show slow swings, but is the better measure for noise and for a sensor that is stuck or
//! slow.
//!
//! Example: a pump whose load changes every two minutes, at one reading per second.
//!
//! 1. [`ResidualHistory`] collects residuals. From the 30th reading on, each reading completes a [`ResidualWindow`].
//! 2. [`DynamicsScorer`] measures the window. The flow's error is 0.35 spreads, its change is 0.20 spreads.
//! 3. [`DynamicsBaseline`] has learned that averages of the flow's error over 60 windows are usually 0.31, and were at most 22 %
//!    above that in commissioning. The limit is twice that distance, in logarithms: 49 % above.
//! 4. The flow begins to hunt by 2 %. Two minutes later the average in [`DynamicsState`] is 0.48, 55 % above the usual one. The
//!    score, the distance over the limit in logarithms, is 1.1: an episode begins, and the flow is named.
//!
//! A measure may be too small as well as too large: a sensor that becomes quiet is as suspect as one that becomes noisy. At speeds
//! outside of those of commissioning there are no windows.
//!
//! A measure of a channel is used only if it raises no false alarm in commissioning: limits that are learned from the first two
//! thirds must not be exceeded in the last third ([`Vote`]).
//!
//! A pure library: no I/O, no clock, no threads. Does not compute residuals, select healthy windows, or test averages of values.
//! Does not see faults that change neither measure, such as two channels that no longer move together. `BENCHMARKS.md` has the
//! results, with and without the network.

mod averages;
mod baseline;
mod error;
mod measure;
mod network;
mod state;
mod train;
mod window;

#[cfg(test)]
mod tests;

pub use baseline::{DynamicsBaseline, Vote};
pub use error::{DYNAMICS_VERSION, DynamicsError};
pub use measure::{ChannelDynamics, Measure, WindowDynamics};
pub(crate) use network::shape as residual_shape;
pub use network::{DynamicsNetwork, DynamicsScorer};
pub use state::{DynamicsResult, DynamicsState, Suspect};
pub use train::{DynamicsTrainError, DynamicsTraining, ResidualRun};
pub use window::{DYNAMICS_WINDOW, ResidualHistory, ResidualWindow};
