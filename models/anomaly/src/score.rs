//! Scores windows: how badly the network reconstructs each channel, which level the channel has, and how much it changes.
//!
//! Stateless: a window's score depends on the network, the pump's scaler and the window only, bit for bit, so that an
//! evaluation and a live node agree. Does not decide whether a score is an anomaly; see `decider.rs`.

use std::sync::Arc;

use volute_plant::{PumpId, Timestamp, Window};

use crate::{
    Baseline, Detector, DynamicsError, DynamicsScorer, Model, ResidualWindow, Scaler, WindowDynamics,
    channel_score::{ChannelScore, LONG_STEPS, SHORT_STEPS},
    kernel::Kernel,
    network::NetworkError,
    weights::Weights,
};

/// Windows per pass through the network. Larger batches do not fit into the processor's cache, and are not faster.
const BATCH: usize = 32;

/// A window to be scored, with the scaler of its pump.
#[derive(Debug, Clone, Copy)]
pub struct ScoreInput<'a> {
    /// The window.
    pub window: &'a Window,
    /// The scaler of its pump.
    pub scaler: &'a Scaler,
    /// What a network reconstructs of it.
    pub network: NetworkInput<'a>,
}

/// The input of the network that a window is scored with. A model has two networks: one for windows of values, and one
/// for windows of residuals (values less their predictions).
#[derive(Debug, Clone, Copy)]
pub enum NetworkInput<'a> {
    /// The scaled values of the window.
    Window,
    /// The residuals of the same steps, if there are any. The window's own values are not reconstructed: its errors and its
    /// loss are 0.
    Residuals(Option<&'a ResidualWindow>),
}

impl<'a> ScoreInput<'a> {
    /// Returns the input for the network of values.
    pub fn window(window: &'a Window, scaler: &'a Scaler) -> ScoreInput<'a> {
        ScoreInput { window, scaler, network: NetworkInput::Window }
    }

    /// Returns the input that the baseline's detector needs.
    pub fn of(window: &'a Window, baseline: &'a Baseline, residuals: Option<&'a ResidualWindow>) -> ScoreInput<'a> {
        let network = match baseline.detector {
            Detector::Conditional => NetworkInput::Residuals(residuals),
            Detector::LstmAutoencoder | Detector::Fused => NetworkInput::Window,
        };
        ScoreInput { window, scaler: &baseline.scaler, network }
    }

    fn residuals(&self) -> Option<&'a ResidualWindow> {
        match self.network {
            NetworkInput::Window => None,
            NetworkInput::Residuals(residuals) => residuals,
        }
    }
}

/// The score of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Mean absolute error of the reconstruction over all scaled values: 0.01 is one percent of the channels' ranges. 0 if
    /// the values were not reconstructed.
    pub loss: f64,
    /// One per channel, in the profile's order.
    pub channels: Arc<[ChannelScore]>,
    /// The measures of the residuals, if they were reconstructed.
    pub dynamics: Option<WindowDynamics>,
}

/// The scores of one call, in the order of its windows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    width: usize,
    losses: Vec<f64>,
    channels: Vec<ChannelScore>,
    /// One per window; empty if no residuals were reconstructed.
    dynamics: Vec<Option<WindowDynamics>>,
}

impl Scores {
    /// Returns the number of scores.
    pub fn len(&self) -> usize {
        self.losses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// Returns each window's loss and channels, without copying.
    pub fn views(&self) -> impl Iterator<Item = (f64, &[ChannelScore])> {
        self.losses.iter().copied().zip(self.channels.chunks_exact(self.width.max(1)))
    }

    /// Returns each score as an owned value.
    pub fn iter(&self) -> impl Iterator<Item = Score> {
        let score = |(number, (loss, channels)): (usize, (f64, &[ChannelScore]))| {
            let dynamics = self.dynamics.get(number).cloned().flatten();
            Score { loss, channels: channels.into(), dynamics }
        };
        self.views().enumerate().map(score)
    }
}

/// A window cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// It does not have the size of the model's windows.
    #[error("the window of {pump} at {at} holds {found} values; expected: {expected}")]
    Size {
        /// The pump.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// Values in the window.
        found: usize,
        /// Values in a window of the model: readings times channels.
        expected: usize,
    },
    /// Its scaler is for another number of channels.
    #[error("the scaler of {pump} is for {found} channels; expected: {expected}")]
    Scaler {
        /// The pump of the scaler.
        pump: PumpId,
        /// Channels of the scaler.
        found: usize,
        /// Channels of the model.
        expected: usize,
    },
    /// It has an infinite or NaN value.
    #[error("the window of {pump} at {at} holds {value} in channel {channel}; expected: finite numbers")]
    NotFinite {
        /// The pump.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// The channel's index in the profile.
        channel: usize,
        /// Its value.
        value: f64,
    },
    /// The network's output is not finite, because its weights are too large.
    #[error("the loss of the window of {pump} at {at} is not finite")]
    Loss {
        /// The pump.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
    },
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The residuals are not of the model's profile.
    #[error(transparent)]
    Residuals(#[from] DynamicsError),
}

/// Scores windows with one model. It has its own weights and buffers; each worker has one scorer.
#[derive(Debug)]
pub struct Scorer {
    model: Model,
    autoencoder: Autoencoder,
    dynamics: Option<DynamicsScorer>,
}

impl Scorer {
    /// Creates a scorer with its own copy of the weights, so that workers share nothing.
    pub fn new(model: &Model) -> Scorer {
        let dynamics = model.dynamics().map(DynamicsScorer::new);
        Scorer { model: model.clone(), autoencoder: Autoencoder::new(model.weights()), dynamics }
    }

    /// Returns its model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Scores windows, of any pumps of the model's profile. Returns one score per window, in their order.
    ///
    /// A score does not depend on the other windows of the call. A window that cannot be scored fails the whole call.
    /// The buffers are reused from call to call; only windows with residuals need new memory.
    pub fn score(&mut self, inputs: &[ScoreInput]) -> Result<&Scores, ScoreError> {
        self.autoencoder.score(inputs)?;
        if let Some(scorer) = &mut self.dynamics {
            let residuals: Vec<&ResidualWindow> = inputs.iter().filter_map(ScoreInput::residuals).collect();
            if !residuals.is_empty() {
                let mut measured = scorer.score(&residuals)?.into_iter();
                let of_input = |input: &ScoreInput| input.residuals().and_then(|_| measured.next());
                self.autoencoder.scores.dynamics = inputs.iter().map(of_input).collect();
            }
        }
        Ok(&self.autoencoder.scores)
    }

    /// Reconstructs this number of windows of constant values in batches, like [`Scorer::score`]. For callers that measure the
    /// duration, and so that the buffers have grown before the first real window.
    pub fn warm_up(&mut self, windows: usize) {
        self.autoencoder.warm_up(windows);
    }
}

/// One network with its buffers.
#[derive(Debug)]
pub(crate) struct Autoencoder {
    kernel: Kernel,
    scaled: Vec<f32>,
    scores: Scores,
}

impl Autoencoder {
    pub(crate) fn new(weights: &Weights) -> Autoencoder {
        let (kernel, scores) = (Kernel::new(weights), Scores::default());
        Autoencoder { kernel, scaled: Vec::new(), scores: Scores { width: weights.shape().channels, ..scores } }
    }

    fn warm_up(&mut self, windows: usize) {
        let size = self.kernel.shape().window_size();
        for batch in (0..windows).step_by(BATCH) {
            self.scaled.clear();
            self.scaled.resize((windows - batch).min(BATCH) * size, 0.5);
            self.kernel.reconstruct(&self.scaled);
        }
    }

    pub(crate) fn score(&mut self, inputs: &[ScoreInput]) -> Result<&Scores, ScoreError> {
        let shape = self.kernel.shape();
        for input in inputs {
            check(input, shape.window_size(), shape.channels)?;
        }
        self.scores.losses.clear();
        self.scores.channels.clear();
        self.scores.dynamics.clear();
        let is_reconstructed = |input: &ScoreInput| matches!(input.network, NetworkInput::Window);
        for same in inputs.chunk_by(|a, b| is_reconstructed(a) == is_reconstructed(b)) {
            for batch in same.chunks(BATCH) {
                self.score_batch(batch, is_reconstructed(&batch[0]))?;
            }
        }
        Ok(&self.scores)
    }

    /// Scores at most [`BATCH`] windows. `is_reconstructed`: whether the network reconstructs their values.
    fn score_batch(&mut self, batch: &[ScoreInput], is_reconstructed: bool) -> Result<(), ScoreError> {
        let shape = self.kernel.shape();
        self.scaled.clear();
        for input in batch {
            input.scaler.scale(&input.window.values, &mut self.scaled);
        }
        let reconstructed = if is_reconstructed { self.kernel.reconstruct(&self.scaled) } else { &self.scaled };
        let scaled = self.scaled.chunks_exact(shape.window_size());
        for (input, (scaled, reconstruction)) in
            batch.iter().zip(scaled.zip(reconstructed.chunks_exact(shape.window_size())))
        {
            let first = self.scores.channels.len();
            let loss = score_window(scaled, reconstruction, shape.channels, &mut self.scores.channels);
            let held = |(channel, _): &(usize, &mut ChannelScore)| input.window.held.contains(*channel);
            let channels = self.scores.channels[first..].iter_mut().enumerate();
            channels.filter(held).for_each(|(_, score)| score.mean_change = f64::INFINITY);
            if !loss.is_finite() {
                return Err(ScoreError::Loss { pump: input.window.pump.clone(), at: input.window.at });
            }
            self.scores.losses.push(loss);
        }
        Ok(())
    }
}

fn check(
    ScoreInput { window, scaler, network: _ }: &ScoreInput,
    size: usize,
    channels: usize,
) -> Result<(), ScoreError> {
    let Window { pump, at, values, held: _ } = window;
    if values.len() != size {
        return Err(ScoreError::Size { pump: pump.clone(), at: *at, found: values.len(), expected: size });
    }
    if scaler.spans().len() != channels {
        return Err(ScoreError::Scaler { pump: pump.clone(), found: scaler.spans().len(), expected: channels });
    }
    if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(ScoreError::NotFinite { pump: pump.clone(), at: *at, channel: index % channels, value });
    }
    Ok(())
}

/// Appends the channels' scores of a scaled window, given its reconstruction. Returns the loss.
fn score_window(scaled: &[f32], reconstructed: &[f32], channels: usize, scores: &mut Vec<ChannelScore>) -> f64 {
    let first = scores.len();
    add_levels(scaled, channels, scores);
    let scores = &mut scores[first..];
    for (row, reconstruction) in scaled.chunks_exact(channels).zip(reconstructed.chunks_exact(channels)) {
        for (score, (value, reconstruction)) in scores.iter_mut().zip(row.iter().zip(reconstruction)) {
            score.error += f64::from((value - reconstruction).abs());
        }
    }
    let total: f64 = scores.iter().map(|score| score.error).sum();
    let steps = (scaled.len() / channels) as f64;
    scores.iter_mut().for_each(|score| score.error /= steps);
    total / scaled.len() as f64
}

/// Appends the levels and mean changes of a scaled window's channels, with errors of 0.
pub(crate) fn add_levels(scaled: &[f32], channels: usize, scores: &mut Vec<ChannelScore>) {
    let first = scores.len();
    scores.resize(first + channels, ChannelScore::default());
    let scores = &mut scores[first..];
    let steps = scaled.len() / channels;
    let (short, long) = (SHORT_STEPS.min(steps), LONG_STEPS.min(steps));
    for (step, row) in scaled.chunks_exact(channels).enumerate() {
        for (score, &value) in scores.iter_mut().zip(row) {
            if steps - step <= short {
                score.short += f64::from(value) / short as f64;
            }
            if steps - step <= long {
                score.long += f64::from(value) / long as f64;
            }
        }
    }
    let changes = (steps - 1).max(1) as f64;
    for (before, after) in scaled.chunks_exact(channels).zip(scaled.chunks_exact(channels).skip(1)) {
        for (score, (before, after)) in scores.iter_mut().zip(before.iter().zip(after)) {
            score.mean_change += f64::from((after - before).abs()) / changes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;
    use crate::{
        testing::{profile, waves, window},
        weights::Shape,
    };

    fn autoencoder(channels: usize, units: usize, seed: u64) -> (Autoencoder, Scaler) {
        let shape = Shape { channels, len: 30, units };
        let weights = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let scaler = Scaler::learn(profile(channels).channels(), waves(channels, 100)).expect("a scaler");
        (Autoencoder::new(&weights), scaler)
    }

    fn scores(autoencoder: &mut Autoencoder, scaler: &Scaler, windows: &[Window]) -> Result<Vec<Score>, ScoreError> {
        let inputs: Vec<ScoreInput> = windows.iter().map(|window| ScoreInput::window(window, scaler)).collect();
        Ok(autoencoder.score(&inputs)?.iter().collect())
    }

    #[test]
    fn a_score_is_the_same_in_any_batch() {
        for (channels, units) in [(10, 64), (8, 64), (1, 64), (1, 1), (2, 3), (3, 2), (17, 20)] {
            let (mut autoencoder, scaler) = autoencoder(channels, units, 7);
            let windows = waves(channels, 100);
            let mut in_batches = |size| -> Vec<Score> {
                let batches = windows.chunks(size);
                batches.flat_map(|batch| scores(&mut autoencoder, &scaler, batch).expect("scores")).collect()
            };
            let alone = in_batches(1);
            for size in [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100] {
                assert!(in_batches(size) == alone, "{channels} channels, {units} units, batches of {size}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// For any size of the network and any other windows, extreme values included.
        #[test]
        fn other_windows_do_not_matter(
            channels in 1_usize..12, units in 1_usize..70, size in 1_usize..40, wild in -1e9..1e9, seed: u64,
        ) {
            let (mut autoencoder, scaler) = autoencoder(channels, units, seed);
            let mut windows = waves(channels, size);
            windows.push(window(size, vec![wild; 30 * channels]));
            let together = scores(&mut autoencoder, &scaler, &windows).expect("scores");
            for (window, score) in windows.iter().zip(&together) {
                let alone = scores(&mut autoencoder, &scaler, std::slice::from_ref(window)).expect("a score");
                prop_assert_eq!(&alone[0], score);
            }
        }

        /// The loss is the mean of the channels' errors, and a level is the mean of a window's last rows.
        #[test]
        fn a_score_is_computed_from_its_channels(
            values in prop::collection::vec(-1e3_f32..1e3, 30 * 3), others in prop::collection::vec(-1e3_f32..1e3, 30 * 3),
        ) {
            let mut scores = Vec::new();
            let loss = score_window(&values, &others, 3, &mut scores);
            prop_assert!((scores.iter().map(|s| s.error).sum::<f64>() / 3.0 - loss).abs() < 1e-9);
            for (channel, score) in scores.iter().enumerate() {
                let mean = |steps: usize| {
                    let last = values.chunks(3).skip(30 - steps).map(|row| f64::from(row[channel]));
                    last.sum::<f64>() / steps as f64
                };
                prop_assert!((score.short - mean(SHORT_STEPS)).abs() < 1e-9);
                prop_assert!((score.long - mean(LONG_STEPS)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn each_pump_has_its_own_scaler() {
        let (mut autoencoder, scaler) = autoencoder(2, 8, 3);
        let mut wider: Vec<crate::Span> = scaler.clone().into();
        wider[0].max += 100.0;
        let wider = Scaler::try_from(wider).expect("a scaler");
        let windows = waves(2, 2);
        let inputs = [ScoreInput::window(&windows[0], &scaler), ScoreInput::window(&windows[0], &wider)];
        let mixed: Vec<Score> = autoencoder.score(&inputs).expect("scores").iter().collect();
        assert_eq!(mixed[..1], scores(&mut autoencoder, &scaler, &windows[..1]).expect("a score"));
        assert_eq!(mixed[1..], scores(&mut autoencoder, &wider, &windows[..1]).expect("a score"));
        assert_ne!(mixed[0], mixed[1]);
    }

    #[test]
    fn invalid_windows_are_refused_by_name() {
        let (mut autoencoder, scaler) = autoencoder(2, 8, 3);
        let mut refuse = |values: Vec<f64>, scaler: &Scaler| {
            let windows = [window(0, values)];
            scores(&mut autoencoder, scaler, &windows).expect_err("must be refused")
        };
        assert!(matches!(refuse(vec![1.0; 58], &scaler), ScoreError::Size { found: 58, expected: 60, .. }));
        let mut values = vec![1.0; 60];
        values[7] = f64::NAN;
        assert!(matches!(refuse(values, &scaler), ScoreError::NotFinite { channel: 1, .. }));
        let none = Scaler::try_from(Vec::new()).expect("no spans");
        assert!(matches!(refuse(vec![1.0; 60], &none), ScoreError::Scaler { found: 0, expected: 2, .. }));
    }
}
