//! How badly a window is reconstructed, channel by channel, and where its channels stand.
//!
//! Stateless: a window's score depends on nothing but the network, the pump's scaler and the window, bit for bit, so
//! that an evaluation and a live node agree. Deliberately absent: whether a score is an anomaly (`decider.rs`).

use std::sync::Arc;

use volute_plant::{PumpId, Timestamp, Window};

use crate::{
    Model, Scaler,
    channel_score::{ChannelScore, LONG_STEPS, SHORT_STEPS},
    kernel::Kernel,
    network::NetworkError,
    weights::Weights,
};

/// Windows that go through the network together: more are not faster, and stay in no cache.
const BATCH: usize = 32;

/// A window to be scored, with the scaler of its pump.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The window.
    pub window: &'a Window,
    /// What scales its values.
    pub scaler: &'a Scaler,
}

/// What there is to say of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The mean absolute error over the scaled window: 0.01 is one percent of the spans.
    pub loss: f64,
    /// In the profile's order.
    pub channels: Arc<[ChannelScore]>,
}

/// The scores of one call, in the order of its windows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    width: usize,
    losses: Vec<f64>,
    channels: Vec<ChannelScore>,
}

impl Scores {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.losses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// Each window's loss and its channels, without a copy.
    pub fn views(&self) -> impl Iterator<Item = (f64, &[ChannelScore])> {
        self.losses.iter().copied().zip(self.channels.chunks_exact(self.width.max(1)))
    }

    /// Each score, to keep.
    pub fn iter(&self) -> impl Iterator<Item = Score> {
        self.views().map(|(loss, channels)| Score { loss, channels: channels.into() })
    }
}

/// The window cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// It has another size than the model's windows.
    #[error("the window of {pump} at {at} holds {found} values; expected: {expected}")]
    Size {
        /// Whose window it is.
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
        /// Whose scaler it is.
        pump: PumpId,
        /// Channels of the scaler.
        found: usize,
        /// Channels of the model.
        expected: usize,
    },
    /// It holds infinity or NaN.
    #[error("the window of {pump} at {at} holds {value} in channel {channel}; expected: finite numbers")]
    NotFinite {
        /// Whose window it is.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// The channel's place in the profile.
        channel: usize,
        /// What it holds.
        value: f64,
    },
    /// The network's answer is not finite: its weights are far out.
    #[error("the loss of the window of {pump} at {at} is not finite")]
    Loss {
        /// Whose window it is.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
    },
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Scores windows with one model. Owns its buffers: one for each worker.
#[derive(Debug)]
pub struct Scorer {
    model: Model,
    autoencoder: Autoencoder,
}

impl Scorer {
    /// A scorer with weights of its own, so that workers share nothing.
    pub fn new(model: &Model) -> Scorer {
        Scorer { model: model.clone(), autoencoder: Autoencoder::new(model.weights()) }
    }

    /// The model it scores with.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Scores windows, of any pumps of the model's profile, in their order. Allocates nothing once its buffers have
    /// grown to the largest call.
    ///
    /// Each score is the same whatever the other windows are; one window that cannot be scored fails all.
    pub fn score(&mut self, tasks: &[Task]) -> Result<&Scores, ScoreError> {
        self.autoencoder.score(tasks)
    }

    /// Reconstructs so many blank windows as [`Scorer::score`] would, for somebody to see how long it takes.
    pub fn rehearse(&mut self, windows: usize) {
        self.autoencoder.rehearse(windows);
    }
}

/// A network and its buffers.
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

    fn rehearse(&mut self, windows: usize) {
        let size = self.kernel.shape().window_size();
        for batch in (0..windows).step_by(BATCH) {
            self.scaled.clear();
            self.scaled.resize((windows - batch).min(BATCH) * size, 0.5);
            self.kernel.reconstruct(&self.scaled);
        }
    }

    pub(crate) fn score(&mut self, tasks: &[Task]) -> Result<&Scores, ScoreError> {
        let shape = self.kernel.shape();
        for task in tasks {
            check(task, shape.window_size(), shape.channels)?;
        }
        self.scores.losses.clear();
        self.scores.channels.clear();
        for batch in tasks.chunks(BATCH) {
            self.scaled.clear();
            for task in batch {
                task.scaler.scale(&task.window.values, &mut self.scaled);
            }
            let reconstructed = self.kernel.reconstruct(&self.scaled);
            let scaled = self.scaled.chunks_exact(shape.window_size());
            for (task, (scaled, other)) in batch.iter().zip(scaled.zip(reconstructed.chunks_exact(shape.window_size())))
            {
                let first = self.scores.channels.len();
                let loss = compare(scaled, other, shape.channels, &mut self.scores.channels);
                let held = |(channel, _): &(usize, &mut ChannelScore)| task.window.held.contains(*channel);
                let channels = self.scores.channels[first..].iter_mut().enumerate();
                channels.filter(held).for_each(|(_, score)| score.liveliness = f64::INFINITY);
                if !loss.is_finite() {
                    return Err(ScoreError::Loss { pump: task.window.pump.clone(), at: task.window.at });
                }
                self.scores.losses.push(loss);
            }
        }
        Ok(&self.scores)
    }
}

fn check(Task { window, scaler }: &Task, size: usize, channels: usize) -> Result<(), ScoreError> {
    let Window { pump, at, values, held: _ } = window;
    if values.len() != size {
        return Err(ScoreError::Size { pump: pump.clone(), at: *at, found: values.len(), expected: size });
    }
    if scaler.spans().len() != channels {
        return Err(ScoreError::Scaler { pump: pump.clone(), found: scaler.spans().len(), expected: channels });
    }
    if let Some((place, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(ScoreError::NotFinite { pump: pump.clone(), at: *at, channel: place % channels, value });
    }
    Ok(())
}

/// Appends what a scaled window says of its channels, given its reconstruction. Answers with the loss.
fn compare(scaled: &[f32], reconstructed: &[f32], channels: usize, scores: &mut Vec<ChannelScore>) -> f64 {
    let first = scores.len();
    levels(scaled, channels, scores);
    let scores = &mut scores[first..];
    for (row, other) in scaled.chunks_exact(channels).zip(reconstructed.chunks_exact(channels)) {
        for (score, (value, other)) in scores.iter_mut().zip(row.iter().zip(other)) {
            score.error += f64::from((value - other).abs());
        }
    }
    let total: f64 = scores.iter().map(|score| score.error).sum();
    let steps = (scaled.len() / channels) as f64;
    scores.iter_mut().for_each(|score| score.error /= steps);
    total / scaled.len() as f64
}

/// Appends where a scaled window's channels stand and how lively they are, with no error.
pub(crate) fn levels(scaled: &[f32], channels: usize, scores: &mut Vec<ChannelScore>) {
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
            score.liveliness += f64::from((after - before).abs()) / changes;
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
        let tasks: Vec<Task> = windows.iter().map(|window| Task { window, scaler }).collect();
        Ok(autoencoder.score(&tasks)?.iter().collect())
    }

    #[test]
    fn a_score_is_the_same_in_any_company() {
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

        /// Whatever the network's size and the company, wild values among it included.
        #[test]
        fn company_does_not_matter(
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

        /// The loss is the mean of the channels' errors, and a level the mean of a window's last rows.
        #[test]
        fn a_score_is_made_of_its_channels(
            values in prop::collection::vec(-1e3_f32..1e3, 30 * 3), others in prop::collection::vec(-1e3_f32..1e3, 30 * 3),
        ) {
            let mut scores = Vec::new();
            let loss = compare(&values, &others, 3, &mut scores);
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
    fn each_pump_is_scaled_by_its_own() {
        let (mut autoencoder, scaler) = autoencoder(2, 8, 3);
        let mut wider: Vec<crate::Span> = scaler.clone().into();
        wider[0].max += 100.0;
        let wider = Scaler::try_from(wider).expect("a scaler");
        let windows = waves(2, 2);
        let tasks = [Task { window: &windows[0], scaler: &scaler }, Task { window: &windows[0], scaler: &wider }];
        let mixed: Vec<Score> = autoencoder.score(&tasks).expect("scores").iter().collect();
        assert_eq!(mixed[..1], scores(&mut autoencoder, &scaler, &windows[..1]).expect("a score"));
        assert_eq!(mixed[1..], scores(&mut autoencoder, &wider, &windows[..1]).expect("a score"));
        assert_ne!(mixed[0], mixed[1]);
    }

    #[test]
    fn what_cannot_be_scored_is_refused_and_named() {
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
