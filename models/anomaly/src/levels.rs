//! Tracks the level of each channel of a pump: the value that counts as usual.
//!
//! While a pump is normal, the *tracked levels* follow the channels slowly, so that slow drift is not an anomaly. Each stays
//! within a distance of its *anchor*, the level that was learned in commissioning or after an episode. The distance is a factor
//! (`max_drift_factor`) times the channel's furthest drift in commissioning. So endless drift is an anomaly.
//!
//! Does not decide when a pump is normal; see `decider.rs`.

use crate::{ChannelBaseline, ChannelScore, Tuning};

/// The tracked levels of one pump, in its own scale.
#[derive(Debug, Clone)]
pub(crate) struct LevelTracker {
    levels: Vec<f64>,
    /// One per channel: the tracked level stays within the maximum drift of its anchor.
    anchors: Vec<f64>,
    max_drifts: Vec<f64>,
    /// The share of its distance to a new value by which a level moves.
    share: f64,
}

impl LevelTracker {
    /// Starts at the levels of commissioning.
    pub(crate) fn new(channels: &[ChannelBaseline], tuning: &Tuning) -> LevelTracker {
        let anchors: Vec<f64> = channels.iter().map(|channel| channel.level).collect();
        let max_drifts = channels.iter().map(|channel| tuning.max_drift_factor * channel.reach).collect();
        LevelTracker { levels: anchors.clone(), anchors, max_drifts, share: 1.0 / tuning.tracking_steps }
    }

    /// Returns a tracker that gets only every `every`th step, and moves its levels with each as far as `every` steps would.
    pub(crate) fn with_stride(self, every: usize) -> LevelTracker {
        let every = i32::try_from(every).unwrap_or(i32::MAX);
        let share = if every == 1 { self.share } else { 1.0 - (1.0 - self.share).powi(every) };
        LevelTracker { share, ..self }
    }

    /// Continues from these levels and anchors, one of each per channel.
    pub(crate) fn at(
        channels: &[ChannelBaseline],
        tuning: &Tuning,
        levels: Vec<f64>,
        anchors: Vec<f64>,
    ) -> LevelTracker {
        LevelTracker { levels, anchors, ..LevelTracker::new(channels, tuning) }
    }

    /// Returns the anchors, one per channel.
    pub(crate) fn anchors(&self) -> &[f64] {
        &self.anchors
    }

    /// Returns the tracked levels, one per channel.
    pub(crate) fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// Moves the levels towards one step of a normal pump.
    pub(crate) fn update(&mut self, scores: &[ChannelScore]) {
        self.update_unbounded(scores);
        for ((level, anchor), max_drift) in self.levels.iter_mut().zip(&self.anchors).zip(&self.max_drifts) {
            *level = level.clamp(anchor - max_drift, anchor + max_drift);
        }
    }

    /// Moves the levels towards one step, without a limit on the drift. Commissioning finds the furthest drift with it.
    pub(crate) fn update_unbounded(&mut self, scores: &[ChannelScore]) {
        for (level, score) in self.levels.iter_mut().zip(scores) {
            *level += self.share * (score.short - *level);
        }
    }

    /// Relearns the levels from the `nth` step, counted from 1: levels and anchors become the mean of the steps so far.
    pub(crate) fn relearn(&mut self, scores: &[ChannelScore], nth: u32) {
        for ((level, anchor), score) in self.levels.iter_mut().zip(&mut self.anchors).zip(scores) {
            *level += (score.short - *level) / f64::from(nth);
            *anchor = *level;
        }
    }
}
