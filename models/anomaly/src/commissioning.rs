//! Commissioning: a pump's baseline, learned from windows of healthy running; the network is never touched.
//!
//! Does not say which windows are normal; that is the caller's.

mod observation;

use volute_plant::{Profile, Window};

pub use observation::{MOST_LEVELS, Observation, Survey};

use crate::{
    Baseline, ChannelBaseline, ChannelScore, Commissioning, Learned, Model, Scaler, ScalerError, ScoreError,
    Thresholds, Tuning,
    deviation::{deviation, length},
    levels::Follower,
    quantile::{median, quantile},
    tuning::{FURTHEST_SPREADS, TAIL},
};

/// The fewest windows that a pump is commissioned with: of fewer, a 95th percentile is a guess.
pub const MIN_WINDOWS: usize = 100;

/// There is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum CommissioningError {
    /// Too little to learn from.
    #[error("{found} windows of normal running; expected: at least {MIN_WINDOWS}")]
    TooFew {
        /// Windows given.
        found: usize,
    },
    /// Values too far apart for arithmetic.
    #[error("the windows cannot be scaled: {0}")]
    Scaler(#[from] ScalerError),
    /// A window that is not of the model's size, or not finite.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl Baseline {
    /// Learns what is normal for one pump from its windows, oldest first, all of them of healthy running.
    pub fn learn(
        model: &Model,
        profile: &Profile,
        windows: &[Window],
        how: &Commissioning,
    ) -> Result<Baseline, CommissioningError> {
        Ok(Baseline::of(profile, &Observed::of(model, profile, || windows.iter().cloned())?, how))
    }

    /// Learns what is normal for one pump from what was observed of it.
    pub fn of(profile: &Profile, observed: &Observed, how: &Commissioning) -> Baseline {
        let mut channels = channels(profile, &observed.scaler, how);
        let levels = observed.level_lengths(&mut channels, &how.tuning);
        let errors = observed.error_lengths(&mut channels);
        observed.liveliness(&mut channels, &how.tuning, &least_spreads(profile, &observed.scaler));
        let mut losses = observed.losses.clone();
        losses.sort_by(f64::total_cmp);
        let error_margin = if how.own_network { how.tuning.error_margin_own } else { how.tuning.error_margin };
        let mut baseline = Baseline {
            id: String::new(),
            network: observed.network.clone(),
            interval_ms: Some(profile.interval_ms()),
            detector: how.detector,
            tuning: how.tuning,
            scaler: observed.scaler.clone(),
            loss_threshold: quantile(&losses, how.threshold_quantile),
            channels,
            thresholds: Thresholds {
                short: threshold(levels.short, observed.learned.windows, how.tuning.level_margin, &how.tuning),
                long: threshold(levels.long, observed.learned.windows, how.tuning.level_margin, &how.tuning),
                error: threshold(errors, observed.losses.len(), error_margin, &how.tuning),
            },
            learned: Learned { own_network: how.own_network, ..observed.learned.clone() },
        };
        baseline.id = baseline.expected_id();
        baseline
    }
}

/// What was observed of a pump while it was healthy, in its own scale: all that a baseline is made of.
#[derive(Debug, Clone)]
pub struct Observed {
    network: String,
    scaler: Scaler,
    /// Every so many windows are in `levels`.
    every: usize,
    /// One row of channels per window.
    levels: Vec<ChannelScore>,
    /// The same for the windows that were scored, with their errors.
    errors: Vec<ChannelScore>,
    losses: Vec<f64>,
    learned: Learned,
}

/// The windows' weighted deviations.
struct LevelLengths {
    short: Vec<f64>,
    long: Vec<f64>,
}

impl Observed {
    /// The pump's scaler.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    fn width(&self) -> usize {
        self.scaler.spans().len()
    }

    /// Learns the channels' levels and spreads, and answers with every window's deviation from them.
    fn level_lengths(&self, channels: &mut [ChannelBaseline], tuning: &Tuning) -> LevelLengths {
        let rows = || self.levels.chunks_exact(self.width());
        for (place, channel) in channels.iter_mut().enumerate() {
            channel.level = median(rows().map(|row| row[place].short));
        }
        let mut follower = Follower::new(channels, tuning).striding(self.every);
        let (mut short, mut long) = (vec![0.0; self.width()], vec![0.0; self.width()]);
        for row in rows() {
            for (place, (score, level)) in row.iter().zip(follower.levels()).enumerate() {
                short[place] += (score.short - level).powi(2);
                long[place] += (score.long - level).powi(2);
            }
            follower.follow_freely(row);
            for (channel, level) in channels.iter_mut().zip(follower.levels()) {
                channel.reach = channel.reach.max((level - channel.level).abs());
            }
        }
        let count = (self.levels.len() / self.width()) as f64;
        for (place, channel) in channels.iter_mut().enumerate() {
            channel.short_spread = channel.short_spread.max((short[place] / count).sqrt());
            channel.long_spread = channel.long_spread.max((long[place] / count).sqrt());
        }
        let mut follower = Follower::new(channels, tuning).striding(self.every);
        let mut lengths = LevelLengths { short: Vec::new(), long: Vec::new() };
        for row in rows() {
            let of = |spread: fn(&ChannelBaseline) -> f64, level: fn(&ChannelScore) -> f64| {
                let parts = channels.iter().zip(row).zip(follower.levels());
                length(parts.map(|((channel, score), followed)| {
                    channel.level_weight * deviation(level(score) - followed, spread(channel))
                }))
            };
            lengths.short.push(of(|channel| channel.short_spread, |score| score.short));
            lengths.long.push(of(|channel| channel.long_spread, |score| score.long));
            follower.follow_freely(row);
        }
        lengths
    }

    /// Learns the channels' errors, and answers with every scored window's deviation from them.
    fn error_lengths(&self, channels: &mut [ChannelBaseline]) -> Vec<f64> {
        let rows = || self.errors.chunks_exact(self.width());
        for (place, channel) in channels.iter_mut().enumerate() {
            channel.error = median(rows().map(|row| row[place].error));
            let above = rows().map(|row| (row[place].error - channel.error).max(0.0).powi(2));
            channel.error_spread = channel.error_spread.max((above.sum::<f64>() / self.losses.len() as f64).sqrt());
        }
        let of = |row: &[ChannelScore]| {
            length(channels.iter().zip(row).map(|(channel, score)| channel.error_weight * channel.above(score)))
        };
        rows().map(of).collect()
    }

    /// Learns how still the channels may be: liveliness is a mean of many changes, so its logarithm is about normal.
    fn liveliness(&self, channels: &mut [ChannelBaseline], tuning: &Tuning, least: &[f64]) {
        for (place, channel) in channels.iter_mut().enumerate() {
            let logarithms = || self.levels.chunks_exact(self.width()).map(|row| row[place].liveliness.ln());
            let (count, mean) = ((self.levels.len() / self.width()) as f64, median(logarithms()));
            let spread = (logarithms().map(|ln| (ln - mean).powi(2)).sum::<f64>() / count).sqrt();
            // A channel of coarse steps is quite still now and then, and then has an infinite spread: it cannot be stuck.
            let below = (mean - tuning.stuck_spreads * spread).exp();
            // Twice the least spread is one step of the resolution: below one step in two readings all is coarse.
            let fine = mean.exp() > least[place] && below.is_finite();
            channel.stuck_below = if fine { below } else { 0.0 };
        }
    }
}

/// The least that a spread may be: what half a resolution is in the pump's own scale, so that a channel that stood still
/// in commissioning counts in steps that mean something.
fn least_spreads(profile: &Profile, scaler: &Scaler) -> Vec<f64> {
    let pairs = profile.channels().iter().zip(scaler.spans());
    pairs.map(|(c, span)| (0.5 * c.resolution / (span.max - span.min)).clamp(f64::MIN_POSITIVE, 0.5)).collect()
}

/// Channels of which nothing is known but their weights and their least spreads.
fn channels(profile: &Profile, scaler: &Scaler, how: &Commissioning) -> Vec<ChannelBaseline> {
    let weights = &how.tuning.weights;
    let unknown = |(channel, least): (&volute_plant::Channel, f64)| ChannelBaseline {
        level: 0.0,
        reach: 0.0,
        short_spread: least,
        long_spread: least,
        error: 0.0,
        error_spread: least,
        stuck_below: 0.0,
        level_weight: weights.of_level(channel.quantity),
        error_weight: weights.of_error(channel.quantity),
    };
    profile.channels().iter().zip(least_spreads(profile, scaler)).map(unknown).collect()
}

/// The threshold for deviations of which these were normal, of so many windows in all.
fn threshold(mut lengths: Vec<f64>, windows: usize, margin: f64, tuning: &Tuning) -> f64 {
    lengths.sort_by(f64::total_cmp);
    let tail = 1.0 - TAIL.min(windows) as f64 / windows as f64;
    let by_margin = margin * quantile(&lengths, tuning.quantile);
    let by_tail = tuning.tail_margin * quantile(&lengths, tail);
    // Where nothing ever moved, a deviation of one spread in one channel is the least that means something.
    by_margin.max(by_tail).clamp(1e-3, FURTHEST_SPREADS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Scorer,
        score::Task,
        testing::{model, profile, waves},
    };

    fn learn(windows: &[Window]) -> Result<Baseline, CommissioningError> {
        Baseline::learn(model(), &profile(2), windows, &Commissioning::default())
    }

    #[test]
    fn a_baseline_is_the_same_for_the_same_windows_and_says_what_it_is_of() {
        let windows = waves(2, 200);
        let baseline = learn(&windows).expect("a baseline");
        assert_eq!(learn(&windows).expect("a baseline"), baseline);
        assert_eq!((baseline.learned.windows, baseline.learned.scored), (200, 200));
        assert_eq!((baseline.learned.from, baseline.learned.to), (windows[0].at, windows[199].at));
        assert_eq!(baseline.check(model().id(), 2), Ok(()));
        assert!(baseline.model_name().contains(model().network_id()) && baseline.model_name().ends_with(&baseline.id));
        let text = serde_json::to_string(&baseline).expect("JSON");
        let back: Baseline = serde_json::from_str(&text).expect("a baseline");
        assert_eq!((back.expected_id(), &back), (baseline.id.clone(), &baseline), "not a bit is lost at rest");
    }

    #[test]
    fn its_own_windows_are_normal_but_for_a_few() {
        let windows = waves(2, 400);
        let baseline = Arc::new(learn(&windows).expect("a baseline"));
        let mut decider = crate::Decider::new(baseline.clone());
        let tasks: Vec<Task> = windows.iter().map(|window| Task { window, scaler: &baseline.scaler }).collect();
        let mut scorer = Scorer::new(model());
        let scores: Vec<_> = scorer.score(&tasks).expect("scores").iter().collect();
        let pairs = windows.iter().zip(&scores);
        let anomalous = pairs.filter(|(window, score)| decider.decide(&window.pump, window.at, score).is_anomaly);
        assert!(anomalous.count() <= 4);
    }

    #[test]
    fn a_constant_channel_counts_in_its_resolution_and_cannot_be_stuck() {
        let mut windows = waves(2, 200);
        for window in &mut windows {
            window.values = window.values.iter().enumerate().map(|(i, v)| if i % 2 == 1 { 7.0 } else { *v }).collect();
        }
        let baseline = learn(&windows).expect("a baseline");
        let constant = &baseline.channels[1];
        assert_eq!((constant.level, constant.stuck_below), (0.0, 0.0));
        assert_eq!((constant.short_spread, constant.long_spread), (0.5, 0.5), "half a resolution, in spans of one");
        assert!(
            [baseline.thresholds.short, baseline.thresholds.long, baseline.thresholds.error].iter().all(|t| *t > 0.0)
        );
    }

    #[test]
    fn too_little_or_wrong_is_refused() {
        assert!(matches!(learn(&[]), Err(CommissioningError::TooFew { found: 0 })));
        assert!(matches!(learn(&waves(2, 99)), Err(CommissioningError::TooFew { found: 99 })));
        assert!(matches!(learn(&waves(3, 120)), Err(CommissioningError::Score(ScoreError::Size { .. }))));
        let baseline = learn(&waves(2, 120)).expect("a baseline");
        assert!(baseline.check("lstm-autoencoder-000000000000", 2).is_err(), "another network's");
        assert!(baseline.check(model().id(), 3).is_err(), "another profile's");
        let changed = Baseline { loss_threshold: 1e9, ..baseline };
        assert!(changed.check(model().id(), 2).is_err(), "changed by hand");
    }
}
