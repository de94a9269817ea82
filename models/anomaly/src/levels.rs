//! The level that each channel of a pump is followed at.
//!
//! While a pump is normal its channels' levels are followed slowly, so that drift is no fault, but never further than
//! commissioning has seen them wander, times a factor, so that drift without end is one. Deliberately absent: when a
//! pump is normal (`decider.rs`).

use crate::{ChannelBaseline, ChannelScore, Tuning};

/// One pump's followed levels, in its own scale.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    levels: Vec<f64>,
    /// Where they may be followed around.
    homes: Vec<f64>,
    reaches: Vec<f64>,
    share: f64,
}

impl Follower {
    /// Starts where commissioning found the channels.
    pub(crate) fn new(channels: &[ChannelBaseline], tuning: &Tuning) -> Follower {
        let homes: Vec<f64> = channels.iter().map(|channel| channel.level).collect();
        let reaches = channels.iter().map(|channel| tuning.follow_reach * channel.reach).collect();
        Follower { levels: homes.clone(), homes, reaches, share: 1.0 / tuning.follow_steps }
    }

    /// The same where only every `every`th step is seen: one of its steps goes as far as `every` steps would.
    pub(crate) fn striding(self, every: usize) -> Follower {
        let every = i32::try_from(every).unwrap_or(i32::MAX);
        let share = if every == 1 { self.share } else { 1.0 - (1.0 - self.share).powi(every) };
        Follower { share, ..self }
    }

    /// Goes on from these levels, followed around these homes: one of each per channel.
    pub(crate) fn at(channels: &[ChannelBaseline], tuning: &Tuning, levels: Vec<f64>, homes: Vec<f64>) -> Follower {
        Follower { levels, homes, ..Follower::new(channels, tuning) }
    }

    /// Where they are followed around, one per channel.
    pub(crate) fn homes(&self) -> &[f64] {
        &self.homes
    }

    /// One per channel.
    pub(crate) fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// One step of a pump that is normal.
    pub(crate) fn follow(&mut self, scores: &[ChannelScore]) {
        self.follow_freely(scores);
        for ((level, home), reach) in self.levels.iter_mut().zip(&self.homes).zip(&self.reaches) {
            *level = level.clamp(home - reach, home + reach);
        }
    }

    /// The same without bounds: it is how the bounds are found.
    pub(crate) fn follow_freely(&mut self, scores: &[ChannelScore]) {
        for (level, score) in self.levels.iter_mut().zip(scores) {
            *level += self.share * (score.short - *level);
        }
    }

    /// The `nth` step, from 1, of learning new levels: they become the mean of all steps so far, and the new home.
    pub(crate) fn settle(&mut self, scores: &[ChannelScore], nth: u32) {
        for ((level, home), score) in self.levels.iter_mut().zip(&mut self.homes).zip(scores) {
            *level += (score.short - *level) / f64::from(nth);
            *home = *level;
        }
    }
}
