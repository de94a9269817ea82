//! How badly a window is reconstructed, and which channels are to blame.
//!
//! Stateless: a window's score depends on nothing but the model and the window, bit for bit, so that an
//! evaluation and a live node agree. Deliberately absent: whether a score is an anomaly (`decider.rs`).

use std::{borrow::Borrow, sync::Arc};

use volute_plant::{PumpId, Timestamp, Window};

use crate::{Model, Scaler, kernel::Kernel, network::NetworkError, weights::Weights};

/// Windows that go through the network together: more are not faster, and stay in no cache.
const BATCH: usize = 32;

/// What the network made of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The mean absolute error over the scaled window: 0.01 is one percent of the training spans.
    pub loss: f64,
    /// Each channel's share of the loss, in the profile's order; sums to 1, equal where the loss is 0.
    pub contributions: Arc<[f64]>,
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
    pub fn new(model: &Model) -> Result<Scorer, ScoreError> {
        let autoencoder = Autoencoder::new(model.weights(), model.manifest().scaler.clone())?;
        Ok(Scorer { model: model.clone(), autoencoder })
    }

    /// The model it scores with.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Scores windows, of any pumps of the model's profile, in their order.
    ///
    /// Each score is the same whatever the other windows are; one window that cannot be scored fails all.
    pub fn score(&mut self, windows: &[Window]) -> Result<Vec<Score>, ScoreError> {
        self.autoencoder.score(windows)
    }
}

/// A scaler and a network: all that a score depends on.
#[derive(Debug)]
pub(crate) struct Autoencoder {
    scaler: Scaler,
    kernel: Kernel,
    scaled: Vec<f32>,
}

impl Autoencoder {
    pub(crate) fn new(weights: &Weights, scaler: Scaler) -> Result<Autoencoder, NetworkError> {
        Ok(Autoencoder { scaler, kernel: Kernel::new(weights), scaled: Vec::new() })
    }

    pub(crate) fn score<W: Borrow<Window>>(&mut self, windows: &[W]) -> Result<Vec<Score>, ScoreError> {
        let shape = self.kernel.shape();
        for window in windows {
            check(window.borrow(), shape.window_size(), shape.channels)?;
        }
        let mut scores = Vec::with_capacity(windows.len());
        for batch in windows.chunks(BATCH) {
            self.scaled.clear();
            for window in batch {
                self.scaler.scale(&window.borrow().values, &mut self.scaled);
            }
            let reconstructed = self.kernel.reconstruct(&self.scaled);
            let scaled = self.scaled.chunks_exact(shape.window_size());
            let pairs = scaled.zip(reconstructed.chunks_exact(shape.window_size()));
            for (window, (scaled, reconstructed)) in batch.iter().zip(pairs) {
                let Window { pump, at, .. } = window.borrow();
                let score = compare(scaled, reconstructed, shape.channels);
                if !score.loss.is_finite() {
                    return Err(ScoreError::Loss { pump: pump.clone(), at: *at });
                }
                scores.push(score);
            }
        }
        Ok(scores)
    }
}

fn check(window: &Window, size: usize, channels: usize) -> Result<(), ScoreError> {
    let Window { pump, at, values } = window;
    if values.len() != size {
        return Err(ScoreError::Size { pump: pump.clone(), at: *at, found: values.len(), expected: size });
    }
    if let Some((place, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(ScoreError::NotFinite { pump: pump.clone(), at: *at, channel: place % channels, value });
    }
    Ok(())
}

/// The score of a scaled window against its reconstruction.
fn compare(scaled: &[f32], reconstructed: &[f32], channels: usize) -> Score {
    let mut errors = vec![0.0; channels];
    for (row, other) in scaled.chunks_exact(channels).zip(reconstructed.chunks_exact(channels)) {
        for (error, (value, other)) in errors.iter_mut().zip(row.iter().zip(other)) {
            *error += (f64::from(*value) - f64::from(*other)).abs();
        }
    }
    let total: f64 = errors.iter().sum();
    let share = |error: f64| if total > 0.0 { error / total } else { 1.0 / channels as f64 };
    Score { loss: total / scaled.len() as f64, contributions: errors.into_iter().map(share).collect() }
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

    fn autoencoder(channels: usize, units: usize, seed: u64) -> Autoencoder {
        let shape = Shape { channels, len: 30, units };
        let weights = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let scaler = Scaler::learn(profile(channels).channels(), &waves(channels, 100)).expect("a scaler");
        Autoencoder::new(&weights, scaler).expect("a network")
    }

    #[test]
    fn a_score_is_the_same_in_any_company() {
        for (channels, units) in [(10, 64), (8, 64), (1, 64), (1, 1), (2, 3), (3, 2), (17, 20)] {
            let mut autoencoder = autoencoder(channels, units, 7);
            let windows = waves(channels, 100);
            let alone: Vec<Score> = windows.iter().flat_map(|w| autoencoder.score(&[w]).expect("a score")).collect();
            for size in [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100] {
                let together: Vec<Score> =
                    windows.chunks(size).flat_map(|batch| autoencoder.score(batch).expect("scores")).collect();
                assert!(together == alone, "{channels} channels, {units} units, batches of {size}");
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
            let mut autoencoder = autoencoder(channels, units, seed);
            let mut windows = waves(channels, size);
            windows.push(window(size, vec![wild; 30 * channels]));
            let together = autoencoder.score(&windows).expect("scores");
            for (window, score) in windows.iter().zip(&together) {
                prop_assert_eq!(&autoencoder.score(&[window]).expect("a score")[0], score);
            }
        }

        #[test]
        fn contributions_are_shares(errors in prop::collection::vec(0.0_f32..1e6, 3 * 4)) {
            let score = compare(&errors, &[0.0; 12], 3);
            prop_assert!((score.contributions.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(score.contributions.iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }

    #[test]
    fn the_loss_is_the_mean_error_and_a_share_is_a_channels_part_of_it() {
        let score = compare(&[1.0, 0.0, 0.0, 2.0], &[0.0, 0.0, 0.0, -1.0], 2);
        assert_eq!((score.loss, &score.contributions[..]), (1.0, &[0.25, 0.75][..]));
        assert_eq!(compare(&[0.5; 8], &[0.5; 8], 4).contributions[..], [0.25; 4], "no error: equal shares");
    }

    #[test]
    fn what_cannot_be_scored_is_named() {
        let mut autoencoder = autoencoder(2, 3, 1);
        let short = autoencoder.score(&[window(0, vec![0.0; 58])]).expect_err("29 readings");
        assert!(matches!(short, ScoreError::Size { found: 58, expected: 60, .. }), "{short}");
        let mut values = vec![0.0; 60];
        values[5] = f64::INFINITY;
        let infinite = autoencoder.score(&[window(0, values)]).expect_err("infinity");
        assert!(matches!(infinite, ScoreError::NotFinite { channel: 1, .. }), "{infinite}");
        assert!(autoencoder.score::<Window>(&[]).expect("nothing to score").is_empty());
    }
}
