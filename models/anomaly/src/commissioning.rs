//! Commissioning: learns a pump's baseline from windows of its healthy running. The network is not changed.
//!
//! What is learned, in this order:
//!
//! 1. The scaler: each channel's lowest and highest value. All further numbers are scaled by it (1 is the range of the channel).
//! 2. Levels: the *short level* of a window is the mean of its last 5 steps, the *long level* that of its last 15. The channel's
//!    level is the median of its short levels. A *tracked level* follows the short levels slowly; here it may drift without a
//!    limit, and its furthest distance from the median is `reach`. The *spreads* are the root mean square distances of the
//!    short and of the long levels from the tracked level.
//! 3. Reconstruction errors: each channel's median, and the root mean square of the errors' distance above it.
//! 4. Stuck limits: how small the mean absolute change from step to step must be for a channel to count as stuck.
//! 5. Thresholds: a *deviation* is a distance from normal in spreads. Each window's deviations, times the channels' weights, are
//!    combined into a Euclidean norm. The threshold is a margin times a high quantile of these norms.
//!
//! For the conditional detector it also learns the conditional baseline (`conditional.rs`) and the dynamics (`dynamics.rs`), from
//! the steps instead of the windows.
//!
//! Does not select the healthy windows; the caller does.

mod observation;
mod step;

use volute_plant::{Profile, Window};

pub use observation::{MAX_LEVEL_WINDOWS, StatisticsCollector, Survey};
pub use step::HealthyStep;

use crate::{
    Baseline, ChannelBaseline, ChannelScore, Commissioning, ConditionalBaseline, ConditionalFitError, ConditionalState,
    Detector, DynamicsBaseline, DynamicsError, DynamicsNetwork, DynamicsScorer, LearnedFrom, Model, ResidualHistory,
    ResidualWindow, Scaler, ScalerError, ScoreError, Thresholds, TimedSamples, Tuning, WindowDynamics,
    deviation::{deviation, norm},
    levels::LevelTracker,
    quantile::{median, quantile},
    tuning::{MAX_DEVIATION, TAIL_WINDOWS},
};

/// The fewest windows for commissioning: with fewer, a 95th percentile is too uncertain.
pub const MIN_WINDOWS: usize = 100;

/// The dynamics are learned from at most this many steps, the newest: a day at one step per second.
const MAX_DYNAMICS_STEPS: usize = 86_400;
/// Windows of residuals per scoring call.
const DYNAMICS_BATCH: usize = 512;

/// The fewest steps of normal running for the conditional detector. With fewer, its fit is too uncertain to find anything.
const MIN_CONDITIONAL_STEPS: usize = 60;

/// Returns the fewest steps of normal running that a detector's baseline is learned from: for a window-based detector,
/// those that end a window.
pub fn min_steps(detector: Detector) -> usize {
    match detector {
        Detector::LstmAutoencoder | Detector::Fused => MIN_WINDOWS,
        Detector::Conditional => MIN_CONDITIONAL_STEPS,
    }
}

/// The baseline cannot be learned.
#[derive(Debug, thiserror::Error)]
pub enum CommissioningError {
    /// Too few windows.
    #[error("{found} windows of normal running; expected: at least {MIN_WINDOWS}")]
    TooFew {
        /// Number of windows.
        found: usize,
    },
    /// The values are too far apart for arithmetic.
    #[error("the windows cannot be scaled: {0}")]
    Scaler(#[from] ScalerError),
    /// A window does not have the model's size, or is not finite.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// What is normal given the operating point cannot be learned.
    #[error(transparent)]
    Conditional(#[from] ConditionalFitError),
    /// The dynamics cannot be learned.
    #[error(transparent)]
    Dynamics(#[from] DynamicsError),
}

impl Model {
    /// Returns the same model with a baseline of the pump that it was trained on, learned from the pump's healthy steps, oldest
    /// first. Steps are more than the windows: near gaps and missing values there are steps, but no windows.
    pub fn with_own_baseline<S: Iterator<Item = HealthyStep>>(
        &self,
        profile: &Profile,
        steps: impl Fn() -> S,
    ) -> Result<Model, CommissioningError> {
        let settings = Commissioning { own_network: true, ..self.manifest().recipe.commissioning() };
        let statistics = HealthyStatistics::of(self, profile, settings.detector, steps)?;
        Ok(self.with_baseline(Baseline::of(profile, &statistics, &settings)?))
    }
}

impl Baseline {
    /// Learns a pump's baseline from its windows, oldest first, all of healthy running.
    pub fn learn(
        model: &Model,
        profile: &Profile,
        windows: &[Window],
        settings: &Commissioning,
    ) -> Result<Baseline, CommissioningError> {
        let steps = || HealthyStep::of_windows(profile, windows.iter().cloned());
        Baseline::of(profile, &HealthyStatistics::of(model, profile, settings.detector, steps)?, settings)
    }

    /// Computes a pump's baseline from the statistics of its healthy running.
    pub fn of(
        profile: &Profile,
        statistics: &HealthyStatistics,
        settings: &Commissioning,
    ) -> Result<Baseline, CommissioningError> {
        let conditional = match settings.detector {
            Detector::Conditional => Some(ConditionalBaseline::learn(profile, &statistics.steps)?),
            Detector::LstmAutoencoder | Detector::Fused => None,
        };
        let mut channels = initial_channels(profile, &statistics.scaler, settings);
        let levels = statistics.level_norms(&mut channels, &settings.tuning);
        let errors = statistics.error_norms(&mut channels);
        statistics.learn_stuck_limits(&mut channels, &settings.tuning, &min_spreads(profile, &statistics.scaler));
        if settings.detector == Detector::Conditional && statistics.learned.windows < DynamicsBaseline::MIN_WINDOWS {
            // Windows overlap, so these are too few to know how little a channel may change. The dynamics have the same minimum.
            channels.iter_mut().for_each(|channel| channel.stuck_below = 0.0);
        }
        let mut losses = statistics.losses.clone();
        losses.sort_by(f64::total_cmp);
        let error_margin =
            if settings.own_network { settings.tuning.error_margin_own } else { settings.tuning.error_margin };
        let mut baseline = Baseline {
            id: String::new(),
            network: statistics.network.clone(),
            interval_ms: Some(profile.interval_ms()),
            detector: settings.detector,
            tuning: settings.tuning,
            scaler: statistics.scaler.clone(),
            loss_threshold: if losses.is_empty() { f64::MAX } else { quantile(&losses, settings.threshold_quantile) },
            channels,
            thresholds: Thresholds {
                short: threshold(
                    levels.short,
                    statistics.learned.windows,
                    settings.tuning.level_margin,
                    &settings.tuning,
                ),
                long: threshold(
                    levels.long,
                    statistics.learned.windows,
                    settings.tuning.level_margin,
                    &settings.tuning,
                ),
                error: threshold(errors, statistics.losses.len(), error_margin, &settings.tuning),
            },
            dynamics: match &conditional {
                Some(conditional) => statistics.learn_dynamics(conditional)?,
                None => None,
            },
            conditional,
            learned: LearnedFrom { own_network: settings.own_network, ..statistics.learned.clone() },
        };
        baseline.id = baseline.expected_id();
        Ok(baseline)
    }
}

/// The statistics of a pump's healthy running, in its own scale, from which its baseline is computed.
#[derive(Debug, Clone)]
pub struct HealthyStatistics {
    network: String,
    /// The model's network of residuals.
    dynamics: Option<DynamicsNetwork>,
    scaler: Scaler,
    /// Every `stride`th window is in `levels`.
    stride: usize,
    /// The levels and mean changes of the channels: one row of channels per window. The errors are 0.
    levels: Vec<ChannelScore>,
    /// The complete scores of the windows that the network scored: one row of channels per window.
    errors: Vec<ChannelScore>,
    losses: Vec<f64>,
    /// The newest steps, including those in which the pump does not run; empty for a window-based detector.
    steps: Vec<TimedSamples>,
    learned: LearnedFrom,
}

/// The norms of the windows' weighted level deviations.
struct LevelNorms {
    short: Vec<f64>,
    long: Vec<f64>,
}

impl HealthyStatistics {
    /// Returns the pump's scaler.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// Returns the newest steps, oldest first; none for a window-based detector.
    pub fn steps(&self) -> &[TimedSamples] {
        &self.steps
    }

    /// Learns the dynamics of the residuals. `None` without a network of residuals, or if there are too few windows.
    fn learn_dynamics(&self, conditional: &ConditionalBaseline) -> Result<Option<DynamicsBaseline>, DynamicsError> {
        let Some(network) = &self.dynamics else { return Ok(None) };
        let newest = &self.steps[self.steps.len().saturating_sub(MAX_DYNAMICS_STEPS)..];
        let measured = measure_residuals(network, conditional, newest)?;
        match DynamicsBaseline::learn(network.id(), network.channels(), &measured) {
            Ok(baseline) => Ok(Some(baseline)),
            Err(DynamicsError::TooFew { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn width(&self) -> usize {
        self.scaler.spans().len()
    }

    /// Learns the channels' levels and spreads. Returns the norm of every window's deviations.
    fn level_norms(&self, channels: &mut [ChannelBaseline], tuning: &Tuning) -> LevelNorms {
        if self.levels.is_empty() {
            return LevelNorms { short: Vec::new(), long: Vec::new() };
        }
        let rows = || self.levels.chunks_exact(self.width());
        for (index, channel) in channels.iter_mut().enumerate() {
            channel.level = median(rows().map(|row| row[index].short));
        }
        let mut tracker = LevelTracker::new(channels, tuning).with_stride(self.stride);
        let (mut short, mut long) = (vec![0.0; self.width()], vec![0.0; self.width()]);
        for row in rows() {
            for (index, (score, level)) in row.iter().zip(tracker.levels()).enumerate() {
                short[index] += (score.short - level).powi(2);
                long[index] += (score.long - level).powi(2);
            }
            tracker.update_unbounded(row);
            for (channel, level) in channels.iter_mut().zip(tracker.levels()) {
                channel.reach = channel.reach.max((level - channel.level).abs());
            }
        }
        let count = (self.levels.len() / self.width()) as f64;
        for (index, channel) in channels.iter_mut().enumerate() {
            channel.short_spread = channel.short_spread.max((short[index] / count).sqrt());
            channel.long_spread = channel.long_spread.max((long[index] / count).sqrt());
        }
        let mut tracker = LevelTracker::new(channels, tuning).with_stride(self.stride);
        let mut norms = LevelNorms { short: Vec::new(), long: Vec::new() };
        for row in rows() {
            let norm_of = |spread: fn(&ChannelBaseline) -> f64, level: fn(&ChannelScore) -> f64| {
                let parts = channels.iter().zip(row).zip(tracker.levels());
                norm(parts.map(|((channel, score), followed)| {
                    channel.level_weight * deviation(level(score) - followed, spread(channel))
                }))
            };
            norms.short.push(norm_of(|channel| channel.short_spread, |score| score.short));
            norms.long.push(norm_of(|channel| channel.long_spread, |score| score.long));
            tracker.update_unbounded(row);
        }
        norms
    }

    /// Learns the channels' reconstruction errors. Returns the norm of every scored window's deviations.
    fn error_norms(&self, channels: &mut [ChannelBaseline]) -> Vec<f64> {
        if self.errors.is_empty() {
            return Vec::new();
        }
        let rows = || self.errors.chunks_exact(self.width());
        for (index, channel) in channels.iter_mut().enumerate() {
            channel.error = median(rows().map(|row| row[index].error));
            let excess = rows().map(|row| (row[index].error - channel.error).max(0.0).powi(2));
            channel.error_spread = channel.error_spread.max((excess.sum::<f64>() / self.losses.len() as f64).sqrt());
        }
        let norm_of = |row: &[ChannelScore]| {
            norm(channels.iter().zip(row).map(|(channel, score)| channel.error_weight * channel.error_deviation(score)))
        };
        rows().map(norm_of).collect()
    }

    /// Learns the mean change from step to step below which each channel is stuck. Its logarithm is about normally distributed.
    fn learn_stuck_limits(&self, channels: &mut [ChannelBaseline], tuning: &Tuning, min_spreads: &[f64]) {
        if self.levels.is_empty() {
            return;
        }
        for (index, channel) in channels.iter_mut().enumerate() {
            let logarithms = || self.levels.chunks_exact(self.width()).map(|row| row[index].mean_change.ln());
            let (count, mean) = ((self.levels.len() / self.width()) as f64, median(logarithms()));
            let spread = (logarithms().map(|ln| (ln - mean).powi(2)).sum::<f64>() / count).sqrt();
            // A channel may be nearly constant for a while although it is healthy, such as the speed of a drive at its limit. So
            // the limit is below the smallest mean change in commissioning.
            // A channel with a coarse resolution is sometimes constant for a whole window. Its spread is then infinite, and it
            // never counts as stuck.
            let least = logarithms().fold(f64::INFINITY, f64::min);
            let below = (mean - tuning.stuck_spreads * spread).min(least - 1.0).exp();
            // The smallest spread is half a step of the resolution. A channel that changes by less than that per reading, on
            // average, is too coarse to count as stuck.
            let can_be_stuck = mean.exp() > min_spreads[index] && below.is_finite();
            channel.stuck_below = if can_be_stuck { below } else { 0.0 };
        }
    }
}

/// Returns the measures of the windows of residuals of these steps, in order. Measures the windows in batches, because a day of
/// windows takes a hundred megabytes.
fn measure_residuals(
    network: &DynamicsNetwork,
    conditional: &ConditionalBaseline,
    steps: &[TimedSamples],
) -> Result<Vec<WindowDynamics>, DynamicsError> {
    let (mut scorer, mut history) = (DynamicsScorer::new(network), ResidualHistory::new(network.channels()));
    let (mut batch, mut measured): (Vec<ResidualWindow>, _) = (Vec::new(), Ok(Vec::new()));
    let mut score = |batch: &mut Vec<ResidualWindow>| {
        if let Ok(all) = &mut measured {
            match scorer.score(batch) {
                Ok(scored) => all.extend(scored),
                Err(error) => measured = Err(error),
            }
        }
        batch.clear();
    };
    ConditionalState::after_observing(conditional, steps, |_, residuals| {
        match residuals {
            Some(residuals) => batch.extend(history.push(residuals)),
            None => history.interrupt(),
        }
        if batch.len() == DYNAMICS_BATCH {
            score(&mut batch);
        }
    });
    score(&mut batch);
    measured
}

/// Returns the smallest spread of each channel: half its resolution, scaled. So the deviation of a channel that was constant in
/// commissioning is counted in half steps of its resolution.
fn min_spreads(profile: &Profile, scaler: &Scaler) -> Vec<f64> {
    let pairs = profile.channels().iter().zip(scaler.spans());
    pairs.map(|(c, span)| (0.5 * c.resolution / (span.max - span.min)).clamp(f64::MIN_POSITIVE, 0.5)).collect()
}

/// Returns channel baselines that have their weights and smallest spreads; everything else is 0.
fn initial_channels(profile: &Profile, scaler: &Scaler, settings: &Commissioning) -> Vec<ChannelBaseline> {
    let weights = &settings.tuning.weights;
    let initial = |(channel, min_spread): (&volute_plant::Channel, f64)| ChannelBaseline {
        level: 0.0,
        reach: 0.0,
        short_spread: min_spread,
        long_spread: min_spread,
        error: 0.0,
        error_spread: min_spread,
        stuck_below: 0.0,
        level_weight: weights.of_level(channel.quantity),
        error_weight: weights.of_error(channel.quantity),
    };
    profile.channels().iter().zip(min_spreads(profile, scaler)).map(initial).collect()
}

/// Returns the threshold for deviations, from the norms of healthy windows. `windows`: the number of healthy windows; there may be
/// norms of some of them only.
fn threshold(mut norms: Vec<f64>, windows: usize, margin: f64, tuning: &Tuning) -> f64 {
    if norms.is_empty() {
        return MAX_DEVIATION;
    }
    norms.sort_by(f64::total_cmp);
    let tail = 1.0 - TAIL_WINDOWS.min(windows) as f64 / windows as f64;
    let by_margin = margin * quantile(&norms, tuning.quantile);
    let by_tail = tuning.tail_margin * quantile(&norms, tail);
    // If nothing ever changed in commissioning, the smallest meaningful threshold applies.
    by_margin.max(by_tail).clamp(1e-3, MAX_DEVIATION)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Scorer,
        score::ScoreInput,
        testing::{model, profile, waves},
    };

    fn learn(windows: &[Window]) -> Result<Baseline, CommissioningError> {
        Baseline::learn(
            model(),
            &profile(2),
            windows,
            &Commissioning { detector: Detector::Fused, ..Commissioning::default() },
        )
    }

    #[test]
    fn a_baseline_is_reproducible_and_records_its_source() {
        let windows = waves(2, 200);
        let baseline = learn(&windows).expect("a baseline");
        assert_eq!(learn(&windows).expect("a baseline"), baseline);
        assert_eq!((baseline.learned.windows, baseline.learned.scored), (200, 200));
        assert_eq!((baseline.learned.from, baseline.learned.to), (windows[0].at, windows[199].at));
        assert_eq!(baseline.check(model().id(), &profile(2)), Ok(()));
        assert!(baseline.model_name().contains(model().network_id()) && baseline.model_name().ends_with(&baseline.id));
        let text = serde_json::to_string(&baseline).expect("JSON");
        let parsed: Baseline = serde_json::from_str(&text).expect("a baseline");
        assert_eq!((parsed.expected_id(), &parsed), (baseline.id.clone(), &baseline), "no bit is lost in storage");
    }

    #[test]
    fn nearly_all_commissioning_windows_are_normal() {
        let windows = waves(2, 400);
        let baseline = Arc::new(learn(&windows).expect("a baseline"));
        let mut decider = crate::Decider::new(baseline.clone());
        let inputs: Vec<ScoreInput> =
            windows.iter().map(|window| ScoreInput::window(window, &baseline.scaler)).collect();
        let mut scorer = Scorer::new(model());
        let scores: Vec<_> = scorer.score(&inputs).expect("scores").iter().collect();
        let pairs = windows.iter().zip(&scores);
        let anomalous = pairs.filter(|(window, score)| {
            decider.decide(&window.pump, window.at, None, Some(score)).is_some_and(|detection| detection.is_anomaly)
        });
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
    fn too_few_or_wrong_windows_are_refused() {
        assert!(matches!(learn(&[]), Err(CommissioningError::TooFew { found: 0 })));
        assert!(matches!(learn(&waves(2, 99)), Err(CommissioningError::TooFew { found: 99 })));
        assert!(matches!(learn(&waves(3, 120)), Err(CommissioningError::Score(ScoreError::Size { .. }))));
        let baseline = learn(&waves(2, 120)).expect("a baseline");
        assert!(baseline.check("lstm-autoencoder-000000000000", &profile(2)).is_err(), "another network's");
        assert!(baseline.check(model().id(), &profile(3)).is_err(), "another profile's");
        let changed = Baseline { loss_threshold: 1e9, ..baseline };
        assert!(changed.check(model().id(), &profile(2)).is_err(), "changed by hand");
    }
}
