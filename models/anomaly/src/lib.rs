//! The anomaly model of Volute: an LSTM autoencoder that learns what normal windows look like.
//!
//! [`train`] makes a [`Model`] of normal windows; a [`Scorer`] says how badly the model reconstructs a
//! window and which channels are to blame; a [`Decider`], one for each pump, makes [`Score`]s detections. A
//! window's score is the same bit for bit in whatever batch it is scored, so an evaluation and a live
//! node agree.
//!
//! Deliberately absent: making windows of readings (`volute-plant`), choosing the normal ones, threads and
//! queues (the engine's), and what a fault is called (`volute-diagnosis`). candle is known to one module, which learns; another, the fused kernel,
//! scores without it.

#[doc(hidden)]
pub mod bench;
mod decider;
mod files;
mod kernel;
mod model;
mod network;
mod recipe;
mod scaler;
mod score;
mod train;
mod weights;

#[cfg(test)]
mod testing;

pub use decider::Decider;
pub use files::{Mismatch, ModelError};
pub use model::{DETECTOR, FORMAT_VERSION, LossQuantiles, Manifest, Metrics, Model, Provenance};
pub use network::NetworkError;
pub use recipe::{Recipe, RecipeError};
pub use scaler::{Scaler, ScalerError, Span};
pub use score::{Score, ScoreError, Scorer};
pub use train::{Epoch, MIN_WINDOWS, TrainError, train};
