//! The anomaly model of Volute: an LSTM autoencoder that learns what normal windows look like.
//!
//! [`train`] makes a [`Model`] of normal windows of one or many pumps: one network for all pumps of a profile. What is
//! normal for one pump is its [`Baseline`], learned in commissioning without touching the network. A [`Scorer`] says how
//! badly windows are reconstructed, of whatever pumps, in one batch; a [`Decider`], one for each pump, makes detections
//! of its [`Score`]s. A window's score is the same bit for bit in whatever batch it is scored, so an evaluation and a
//! live node agree.
//!
//! Deliberately absent: making windows of readings (`volute-plant`), choosing the normal ones, threads and
//! queues (the engine's), and what a fault is called (`volute-diagnosis`). candle is known to one module, which learns;
//! another, the fused kernel, scores without it.

mod baseline;
#[doc(hidden)]
pub mod bench;
mod channel_score;
mod commissioning;
mod decider;
mod deviation;
mod files;
mod held_back;
mod hex;
mod kernel;
mod levels;
mod model;
mod network;
mod quantile;
mod recipe;
mod scaler;
mod score;
mod train;
mod tuning;
mod weights;

#[cfg(test)]
mod testing;

pub use baseline::{Baseline, BaselineError, ChannelBaseline, Learned, Thresholds};
pub use channel_score::{ChannelScore, LONG_STEPS, SHORT_STEPS};
pub use commissioning::{CommissioningError, MIN_WINDOWS, MOST_LEVELS, Observation, Observed, Survey};
pub use decider::{Decider, DeciderMemory, MemoryError};
pub use files::{Mismatch, ModelError};
pub use held_back::HeldBack;
pub use model::{ARCHITECTURE, FORMAT_VERSION, LossQuantiles, Manifest, Metrics, Model, Provenance};
pub use network::NetworkError;
pub use recipe::{Commissioning, Recipe, RecipeError};
pub use scaler::{Scaler, ScalerError, Span};
pub use score::{Score, ScoreError, Scorer, Scores, Task};
pub use train::{Epoch, TrainError, train};
pub use tuning::{Detector, Tuning, UnknownDetector, Weighting};
