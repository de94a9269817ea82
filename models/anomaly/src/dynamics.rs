//! Dynamics: finds what leaves every level where it is. Flow that hunts, noise that doubles, a sensor that is stuck or slow.
//!
//! It judges windows of the conditional detector's residuals ([`crate::ConditionalResult::residuals`]), which have no unit: 1 is
//! the channel's spread in commissioning. So one network, trained on the residuals of some pumps, serves all others of the
//! profile. Each channel of a window gets two measures:
//!
//! - its *error*: how far the LSTM autoencoder's reconstruction is off, as a mean of absolute values, after the mean error of the
//!   window is subtracted. Levels are judged elsewhere, and a level that is off is reconstructed badly;
//! - its *change*: the mean absolute change from one reading to the next. It needs no network.
//!
//! The network follows what a healthy pump does, such as a step of the load, so what is left is small, and a slow swing is seen
//! against it. The change is blind for slow swings and the better measure for noise and for a sensor that is stuck or slow.
//!
//! An example, a pump whose load is changed every two minutes, at one reading per second:
//!
//! 1. [`ResidualHistory`] collects residuals; from the 30th on, each reading gives a [`ResidualWindow`].
//! 2. [`DynamicsScorer`] scores it. The flow's error is 0.35, its change is 0.20.
//! 3. [`DynamicsBaseline`] knows that averages of the flow's error over 60 windows are usually 0.31, and in commissioning were
//!    never more than 22 % above that. Its limit is twice that distance, in logarithms: 49 %.
//! 4. The flow begins to hunt by 2 %. Two minutes later [`DynamicsState`] has an average of 0.48, 55 % above the usual: the score is
//!    1.1, an episode begins, and the flow is named.
//!
//! Windows are not judged outside of the known range. Both sides count: a sensor that becomes quiet is as suspect as one that becomes noisy.
//!
//! A measure of a channel has a vote only if it earned it: limits that are learned from the first two thirds of commissioning must
//! not be exceeded in the last third ([`Vote`]).
//!
//! A pure library: no I/O, no clock, no threads. Does not compute residuals, select healthy windows, or judge levels. Does not
//! see faults that change neither measure, such as two channels that no longer move together. Measured in `BENCHMARKS.md`, with
//! what the network adds and where it adds nothing.

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
