//! The anomaly model of Volute: an LSTM autoencoder that learns to reconstruct windows of healthy running.
//!
//! A *window* is the last 30 steps of a pump, one row of channel values per step; a *profile* describes the channels of
//! one kind of pump (`volute-plant`). How a detection is made:
//!
//! 1. [`train`] trains a [`Model`] on normal windows of one or many pumps: one network for all pumps of a profile.
//! 2. *Commissioning* learns a pump's [`Baseline`] from windows of its healthy running: its scaler, the usual levels of
//!    its channels and their spreads, and its thresholds. The network is not changed.
//! 3. A [`Scorer`] scales windows by their pumps' baselines, reconstructs them in one batch, and returns how far each
//!    channel's reconstruction is off, and which level the channel has ([`Score`]).
//! 4. A [`Decider`], one per pump, turns the pump's scores into detections.
//!
//! A window's score is the same, bit for bit, in any batch, so an evaluation and a live node agree.
//!
//! The default detector first predicts each channel from the pump's operating point (speed, load, ambient temperature).
//! `conditional.rs` tests averages of the *residuals*, the values less their predictions. `dynamics.rs` tests how the residuals
//! move: it finds faults that change no average, such as a flow that swings.
//!
//! Does not make windows from readings (`volute-plant`), select normal windows, or use threads and queues
//! (`volute-actors`). Only one module uses candle: the training (`network.rs`). Scoring runs on a kernel of this crate.

mod baseline;
#[doc(hidden)]
pub mod bench;
mod channel_score;
mod commissioning;
mod conditional;
mod decider;
mod deviation;
mod dynamics;
mod files;
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
mod validation;
mod weights;

#[cfg(test)]
mod testing;

pub use baseline::{Baseline, BaselineError, ChannelBaseline, LearnedFrom, Thresholds};
pub use channel_score::{ChannelScore, LONG_STEPS, SHORT_STEPS};
pub use commissioning::{
    CommissioningError, HealthyStatistics, HealthyStep, MAX_LEVEL_WINDOWS, MIN_WINDOWS, StatisticsCollector, Survey,
    min_steps,
};
pub use conditional::{
    CONDITIONAL_VERSION, ChannelDeviation, ConditionalBaseline, ConditionalFitError, ConditionalLearnedFrom,
    ConditionalMemoryError, ConditionalResult, ConditionalState, RESIDUAL_LIMIT, RefinementSchedule, TimedSamples,
};
pub use decider::{Decider, DeciderCheckpoint, DeciderState, StepInput, StepResult, UnfitCheckpoint};
pub use dynamics::{
    ChannelDynamics, DYNAMICS_VERSION, DYNAMICS_WINDOW, DynamicsBaseline, DynamicsError, DynamicsNetwork,
    DynamicsResult, DynamicsScorer, DynamicsState, DynamicsTrainError, DynamicsTraining, Measure, ResidualHistory,
    ResidualRun, ResidualWindow, Suspect, Vote, WindowDynamics,
};
pub use files::{MANIFEST, Mismatch, ModelError, WEIGHTS};
pub use model::{ARCHITECTURE, FORMAT_VERSION, LossQuantiles, Manifest, Metrics, Model, Provenance};
pub use network::NetworkError;
pub use recipe::{Commissioning, Recipe, RecipeError};
pub use scaler::{Scaler, ScalerError, Span};
pub use score::{NetworkInput, Score, ScoreError, ScoreInput, Scorer, Scores};
pub use train::{Epoch, TrainError, train};
pub use tuning::{Detector, Tuning, UnknownDetector, Weighting};
pub use validation::ValidationSet;
