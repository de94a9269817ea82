//! From scores to detections, for one pump.
//!
//! Used alike by a live pump and by an evaluation. Deliberately absent: alarms, and what a fault is called.
//!
//! **The fused detector.** A window deviates in its channels' short and long levels and in their reconstruction errors,
//! each counted in the spreads that commissioning has seen, weighted and capped. The length of each of the three vectors
//! over its threshold is a strain, and so is a channel's stillness where it is hardly alive any more; a window's strain is
//! the greatest. Above 1 an episode begins, and the levels are no
//! longer followed. It ends when the strain is quiet again, or when of the greatest change little is left in its own
//! direction: a pump seldom comes back to exactly where it was, so what it then shows is learned as its new levels. The
//! reconstruction errors keep their place in either case, so that what is abnormal is not learned as normal.

use std::sync::Arc;

use volute_plant::{Detection, PumpId, Timestamp};

use crate::{
    Baseline, ChannelBaseline, Detector, Score, Thresholds,
    baseline::length,
    levels::{Follower, deviation},
    score::ChannelScore,
};

/// One pump's decider: takes the pump's scores in the order of its windows.
#[derive(Debug, Clone)]
pub struct Decider {
    model: Arc<str>,
    baseline: Arc<Baseline>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// The recipe has no memory.
    Loss,
    Fused(Fused),
}

/// The fused detector's memory.
#[derive(Debug, Clone)]
struct Fused {
    follower: Follower,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Normal, after so many windows above the threshold.
    Normal {
        above: usize,
    },
    Episode(Episode),
    /// After an episode that ended elsewhere; so many steps are done.
    Settling {
        done: u32,
    },
}

/// A run of anomalous windows.
#[derive(Debug, Clone)]
struct Episode {
    worst: f64,
    /// The weighted deviations of the long levels in the worst window: what has changed.
    change: Vec<f64>,
    /// Whether a stuck channel made the worst window: such an episode does not end with a level.
    stuck: bool,
    back: usize,
}

impl Decider {
    /// A decider that has seen nothing yet.
    pub fn new(baseline: Arc<Baseline>) -> Decider {
        let state = match baseline.detector {
            Detector::LstmAutoencoder => State::Loss,
            Detector::Fused => State::Fused(Fused {
                follower: Follower::new(&baseline.channels, &baseline.tuning),
                phase: Phase::Normal { above: 0 },
            }),
        };
        Decider { model: baseline.model_name(), baseline, state }
    }

    /// What it goes by.
    pub fn baseline(&self) -> &Arc<Baseline> {
        &self.baseline
    }

    /// Decides on the window of `pump` that ended at `at`.
    ///
    /// The loss and the threshold of the detection are the reconstruction's for [`Detector::LstmAutoencoder`], and the
    /// strain and 1 for [`Detector::Fused`], whose episodes may outlast the crossing of the threshold.
    pub fn decide(&mut self, pump: &PumpId, at: Timestamp, score: &Score) -> Detection {
        let baseline = &*self.baseline;
        let (loss, threshold, is_anomaly, parts) = match &mut self.state {
            State::Loss => {
                let parts = score.channels.iter().map(|channel| channel.error).collect();
                (score.loss, baseline.loss_threshold, score.loss > baseline.loss_threshold, parts)
            }
            State::Fused(fused) => {
                let strain = Strain::of(baseline, fused.follower.levels(), &score.channels);
                (strain.size, 1.0, fused.advance(baseline, &strain, &score.channels), strain.parts)
            }
        };
        let (pump, model) = (pump.clone(), self.model.clone());
        Detection { pump, at, loss, threshold, is_anomaly, contributions: shares(parts).into(), model }
    }
}

impl Fused {
    /// Takes one window in. Answers whether it is anomalous.
    fn advance(&mut self, baseline: &Baseline, strain: &Strain, scores: &[ChannelScore]) -> bool {
        let tuning = &baseline.tuning;
        if let Phase::Settling { done } = &mut self.phase {
            *done += 1;
            self.follower.settle(scores, *done);
            if *done == tuning.settle_steps {
                self.phase = Phase::Normal { above: 0 };
            }
            return false;
        }
        if let Phase::Normal { above } = &mut self.phase {
            *above = if strain.size > 1.0 { *above + 1 } else { 0 };
            if *above >= tuning.raise_after {
                self.phase = Phase::Episode(Episode { worst: 0.0, change: Vec::new(), stuck: false, back: 0 });
            }
        }
        if let Phase::Episode(episode) = &mut self.phase {
            let levels = self.follower.levels();
            if strain.size > episode.worst {
                let change = change(baseline, levels, scores, |score| score.long);
                *episode = Episode { worst: strain.size, change, stuck: strain.stuck, ..*episode };
            }
            let quiet = strain.size < tuning.quiet;
            let left = left(&episode.change, &change(baseline, levels, scores, |score| score.short));
            let returned = !episode.stuck && left < tuning.returned;
            episode.back = if quiet || returned { episode.back + 1 } else { 0 };
            if episode.back < tuning.clear_after {
                return true;
            }
            self.phase = if quiet || tuning.settle_steps == 0 {
                Phase::Normal { above: 0 }
            } else {
                Phase::Settling { done: 0 }
            };
        }
        self.follower.follow(scores);
        false
    }
}

/// How far a window is from what is normal.
struct Strain {
    /// The greatest of its strains; 1 is the threshold.
    size: f64,
    /// What each channel has to do with that: the square of how many of its own spreads it is off. Not weighted: what
    /// raises an alarm and which sensor is to blame are two questions.
    parts: Vec<f64>,
    /// Whether it is a channel's stillness.
    stuck: bool,
}

impl Strain {
    fn of(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore]) -> Strain {
        let Thresholds { short, long, error } = baseline.thresholds;
        let channels = &baseline.channels;
        let of_level = |value: fn(&ChannelScore) -> f64, spread: fn(&ChannelBaseline) -> f64| -> Vec<f64> {
            let parts = channels.iter().zip(scores).zip(levels);
            parts.map(|((channel, score), level)| deviation(value(score) - level, spread(channel))).collect()
        };
        let errors: Vec<f64> = channels.iter().zip(scores).map(|(channel, score)| channel.above(score)).collect();
        let shorts = of_level(|score| score.short, |channel| channel.short_spread);
        let longs = of_level(|score| score.long, |channel| channel.long_spread);
        let stuck: Vec<f64> = channels.iter().zip(scores).map(|(channel, score)| channel.stuck(score)).collect();
        let mut worst = Strain { size: stuck.iter().copied().fold(0.0, f64::max), parts: stuck, stuck: true };
        for (threshold, weight, deviations) in [
            (error, (|channel| channel.error_weight) as fn(&ChannelBaseline) -> f64, errors),
            (long, |channel| channel.level_weight, longs),
            (short, |channel| channel.level_weight, shorts),
        ] {
            let size = length(channels.iter().zip(&deviations).map(|(channel, z)| weight(channel) * z)) / threshold;
            if size >= worst.size {
                let parts = deviations.into_iter().map(|deviation| deviation * deviation).collect();
                worst = Strain { size, parts, stuck: false };
            }
        }
        worst
    }
}

/// The weighted deviations of levels, in the long spreads.
fn change(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore], of: fn(&ChannelScore) -> f64) -> Vec<f64> {
    let parts = baseline.channels.iter().zip(scores).zip(levels);
    parts.map(|((c, score), level)| c.level_weight * deviation(of(score) - level, c.long_spread)).collect()
}

/// How much of a change is left in its own direction: 1 at its greatest, 0 where it is gone.
fn left(change: &[f64], now: &[f64]) -> f64 {
    let along: f64 = change.iter().zip(now).map(|(a, b)| a * b).sum();
    let whole: f64 = change.iter().map(|part| part * part).sum();
    if whole > 0.0 { along / whole } else { 1.0 }
}

/// Each part's share of their sum, equal where it is 0.
fn shares(parts: Vec<f64>) -> Vec<f64> {
    let (total, count): (f64, f64) = (parts.iter().sum(), parts.len() as f64);
    parts.into_iter().map(|part| if total > 0.0 { part / total } else { 1.0 / count }).collect()
}
