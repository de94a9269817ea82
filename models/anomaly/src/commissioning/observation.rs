//! Collects the statistics of a pump's healthy running, window by window.
//!
//! The windows are read twice, so that a year of them need not be in memory. The first pass, [`Survey`], counts them and
//! finds the channels' ranges. The second pass, [`StatisticsCollector`], keeps what a baseline is computed from, for at
//! most [`MAX_LEVEL_WINDOWS`] windows. Of a day at one reading per second it keeps every window. Of a year it keeps every 122nd;
//! each of them then moves the tracked levels as far as 122 windows would.
//!
//! Does not select the windows; the caller does.

use volute_plant::{Profile, Timestamp, Window};

use std::collections::VecDeque;

use super::{CommissioningError, HealthyStatistics, MIN_WINDOWS, step::HealthyStep};
use crate::{
    ChannelScore, Detector, LearnedFrom, Model, Scaler, ScoreError, Scorer, TimedSamples,
    scaler::Extremes,
    score::{self, ScoreInput},
};

/// The most windows that the network scores. If there are more, only every second, third and so on is scored.
const MAX_SCORED_WINDOWS: usize = 20_000;

/// The most windows whose levels are kept: three days at one per second (83 MB for ten channels). If there are more, only every
/// second, third and so on is kept.
pub const MAX_LEVEL_WINDOWS: usize = 259_200;

/// The most steps that are kept, the newest of all: three days at one a second.
const MAX_STEPS: usize = 259_200;

/// Windows per scoring call.
const SCORE_BATCH: usize = 512;

/// The first pass over a pump's windows: counts them and finds the range of each channel.
#[derive(Debug)]
pub struct Survey<'a> {
    profile: &'a Profile,
    detector: Detector,
    max_levels: usize,
    found: usize,
    /// The lowest and highest values in the windows.
    extremes: Extremes,
    steps: usize,
    /// The lowest and highest values in the steps, for a pump that has no windows because a channel is always missing.
    step_extremes: Extremes,
}

/// The second pass over the same windows, in the pump's own scale.
#[derive(Debug)]
pub struct StatisticsCollector {
    scorer: Scorer,
    scaler: Scaler,
    /// Every `score_stride`th window is scored, and the levels of every `level_stride`th are kept.
    score_stride: usize,
    level_stride: usize,
    found: usize,
    time_range: Option<(Timestamp, Timestamp)>,
    scaled: Vec<f32>,
    batch: Vec<Window>,
    levels: Vec<ChannelScore>,
    errors: Vec<ChannelScore>,
    losses: Vec<f64>,
    steps: VecDeque<TimedSamples>,
    /// Whether steps are kept. A window-based detector does not need them, and a day of them takes twenty megabytes.
    keeps_steps: bool,
}

impl<'a> Survey<'a> {
    /// Creates a survey without windows.
    pub fn new(profile: &'a Profile, detector: Detector) -> Survey<'a> {
        let extremes = Extremes::new(profile.channels().len());
        Survey {
            profile,
            detector,
            max_levels: MAX_LEVEL_WINDOWS,
            found: 0,
            step_extremes: extremes.clone(),
            extremes,
            steps: 0,
        }
    }

    /// Adds a step.
    pub fn take(&mut self, step: &HealthyStep) {
        self.steps += 1;
        self.step_extremes.include_samples(&step.samples.samples);
        if let Some(window) = &step.window {
            self.found += 1;
            self.extremes.include(window);
        }
    }

    /// Returns the number of windows so far.
    pub fn windows(&self) -> usize {
        self.found
    }

    /// Learns the pump's scaler and starts the second pass.
    pub fn collect(self, model: &Model) -> Result<StatisticsCollector, CommissioningError> {
        let Survey { profile, detector, max_levels, found, extremes, steps, step_extremes } = self;
        let is_enough = match detector {
            Detector::LstmAutoencoder | Detector::Fused => found >= MIN_WINDOWS,
            // If there are too few steps, the fit returns the error.
            Detector::Conditional => steps > 0,
        };
        if !is_enough {
            return Err(CommissioningError::TooFew { found });
        }
        let extremes = if found == 0 { step_extremes } else { extremes };
        let level_stride = found.div_ceil(max_levels).max(1);
        Ok(StatisticsCollector {
            scorer: Scorer::new(model),
            scaler: extremes.scaler(profile.channels())?,
            score_stride: found.div_ceil(MAX_SCORED_WINDOWS).max(1),
            level_stride,
            found: 0,
            time_range: None,
            scaled: Vec::new(),
            batch: Vec::with_capacity(SCORE_BATCH),
            levels: Vec::with_capacity(found.div_ceil(level_stride) * profile.channels().len()),
            errors: Vec::new(),
            losses: Vec::new(),
            steps: VecDeque::new(),
            keeps_steps: detector == Detector::Conditional,
        })
    }
}

impl StatisticsCollector {
    /// Adds a step. They come oldest first.
    pub fn take(&mut self, step: HealthyStep) -> Result<(), CommissioningError> {
        let HealthyStep { samples, window } = step;
        if self.keeps_steps {
            if self.steps.len() == MAX_STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back(samples);
        }
        window.map_or(Ok(()), |window| self.take_window(window))
    }

    fn take_window(&mut self, window: Window) -> Result<(), CommissioningError> {
        let number = self.found;
        self.found += 1;
        self.time_range = Some((self.time_range.map_or(window.at, |(from, _)| from), window.at));
        if number.is_multiple_of(self.level_stride) {
            self.scaled.clear();
            self.scaler.scale(&window.values, &mut self.scaled);
            score::add_levels(&self.scaled, self.scaler.spans().len(), &mut self.levels);
        }
        if number.is_multiple_of(self.score_stride) {
            self.batch.push(window);
            if self.batch.len() == SCORE_BATCH {
                self.score()?;
            }
        }
        Ok(())
    }

    /// Returns the stride of the windows whose levels are kept; 1: all windows.
    pub fn stride(&self) -> usize {
        self.level_stride
    }

    /// Returns the statistics.
    pub fn finish(mut self) -> Result<HealthyStatistics, CommissioningError> {
        self.score()?;
        let StatisticsCollector {
            scorer, scaler, level_stride, found, time_range, levels, errors, losses, steps, ..
        } = self;
        let ends = steps.front().zip(steps.back()).map(|(first, last)| (first.at, last.at));
        let (from, to) = time_range.or(ends).ok_or(CommissioningError::TooFew { found })?;
        let learned = LearnedFrom { from, to, windows: found, scored: losses.len(), own_network: false };
        let network = scorer.model().network_id().to_owned();
        let steps = steps.into();
        let dynamics = scorer.model().dynamics().cloned();
        Ok(HealthyStatistics {
            network,
            dynamics,
            scaler,
            stride: level_stride,
            levels,
            errors,
            losses,
            steps,
            learned,
        })
    }

    fn score(&mut self) -> Result<(), ScoreError> {
        let inputs: Vec<ScoreInput> =
            self.batch.iter().map(|window| ScoreInput::window(window, &self.scaler)).collect();
        for (loss, channels) in self.scorer.score(&inputs)?.views() {
            self.losses.push(loss);
            self.errors.extend_from_slice(channels);
        }
        self.batch.clear();
        Ok(())
    }
}

impl HealthyStatistics {
    /// Collects the statistics of steps, oldest first. `steps` is called twice, so that they need not be in memory.
    pub fn of<I: Iterator<Item = HealthyStep>>(
        model: &Model,
        profile: &Profile,
        detector: Detector,
        steps: impl Fn() -> I,
    ) -> Result<HealthyStatistics, CommissioningError> {
        HealthyStatistics::collect(Survey::new(profile, detector), model, steps)
    }

    fn collect<I: Iterator<Item = HealthyStep>>(
        mut survey: Survey,
        model: &Model,
        steps: impl Fn() -> I,
    ) -> Result<HealthyStatistics, CommissioningError> {
        steps().for_each(|step| survey.take(&step));
        let mut collector = survey.collect(model)?;
        steps().try_for_each(|step| collector.take(step))?;
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Baseline, Commissioning, Detector,
        testing::{model, profile, waves},
    };

    /// With a stride of ten, as for a very long commissioning, the baseline is nearly the same.
    #[test]
    fn too_many_windows_are_thinned_evenly() {
        let (profile, windows) = (profile(2), waves(2, 4000));
        let collect = |max_levels: usize| {
            let survey = Survey { max_levels, ..Survey::new(&profile, Detector::Fused) };
            HealthyStatistics::collect(survey, model(), || HealthyStep::of_windows(&profile, windows.iter().cloned()))
                .expect("statistics")
        };
        let (all, thinned) = (collect(4000), collect(400));
        assert_eq!((all.stride, all.levels.len()), (1, 2 * 4000));
        assert_eq!((thinned.stride, thinned.levels.len()), (10, 2 * 400), "the limit holds");
        assert_eq!((&thinned.scaler, &thinned.learned), (&all.scaler, &all.learned));
        let settings = Commissioning { detector: Detector::Fused, ..Commissioning::default() };
        let [all, thinned] = [all, thinned].map(|of| Baseline::of(&profile, &of, &settings).expect("a baseline"));
        let learned = Baseline::learn(model(), &profile, &windows, &settings);
        assert_eq!(all, learned.expect("a baseline"), "the same baseline if all windows are kept");
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.2;
        for (a, b) in all.channels.iter().zip(&thinned.channels) {
            assert!(close(a.short_spread, b.short_spread) && close(a.long_spread, b.long_spread), "{a:?} {b:?}");
            assert_eq!((a.error, a.error_spread), (b.error, b.error_spread), "scores are the same");
        }
        let (a, b) = (all.thresholds, thinned.thresholds);
        assert!(close(a.short, b.short) && close(a.long, b.long) && a.error == b.error, "{a:?} {b:?}");
    }
}
