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
//! reconstruction errors keep their place in either case, so that what is abnormal is not learned as normal. A fault that comes
//! and goes is not learned either: where half of the change is back while the new levels are still being learned, the episode goes
//! on, from the levels that were before it.
//!
//! **The loss that is shown** is the number that was decided on, so a window is anomalous exactly where its loss is above
//! its threshold. For the fused detector the threshold is 1, and with the default tuning (an episode ends after
//! `clear_after` = 2 windows below `quiet` = 0.35):
//!
//! | phase | strain | loss | |
//! | --- | --- | --- | --- |
//! | normal | 0.8 | 0.8 | the strain |
//! | an episode begins | 2.0 | 2.65 | the strain and the deadband, 1 - `quiet`: an episode ends lower than it begins |
//! | | 0.5 | 1.15 | not quiet yet |
//! | | 0.3 | 1.15 | quiet, but the first such window: the one before still counts |
//! | it ends | 0.3 | 0.95 | |
//! | or it ends | 6.0 | 1.0 | little is left of its greatest change: it counts for no more than the threshold |
//! | new levels are learned | 4.0 | 1.0 | likewise |
//! | the change is back meanwhile | 4.0 | 4.65 | the episode goes on: it had paused |

mod memory;

use std::{mem, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{Detection, PumpId, Timestamp};

use crate::{
    Baseline, ChannelBaseline, ChannelScore, Detector, Score, Thresholds,
    deviation::{deviation, length},
    levels::Follower,
};

pub use memory::{DeciderMemory, MemoryError};

/// Where the fused detector's loss becomes anomalous.
const THRESHOLD: f64 = 1.0;

/// An episode that has ended goes on where this share of its greatest change is back, if its greatest strain was this: one that
/// was hardly above the threshold may have been a false alarm, and is not held on to.
const RESUMED: f64 = 0.5;
const PLAIN: f64 = 1.5;

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

/// At rest as it is here: a change of it is a new version of [`DeciderMemory`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Phase {
    /// Normal, after so many windows above the threshold.
    Normal {
        above: usize,
    },
    Episode(Episode),
    /// After an episode that ended elsewhere; so many steps are done.
    Settling {
        done: u32,
        /// What was before, in case the episode only paused. None in a memory of before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused: Option<Box<Paused>>,
    },
}

/// An episode that has ended, for as long as the levels are learned anew, and the levels that it was measured from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paused {
    episode: Episode,
    levels: Vec<f64>,
    homes: Vec<f64>,
}

/// A run of anomalous windows; at rest as it is here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Episode {
    worst: f64,
    /// The weighted deviations of the long levels in the worst window: what has changed.
    change: Vec<f64>,
    /// Whether a stuck channel made the worst window: such an episode does not end with a level.
    stuck: bool,
    back: usize,
    /// The loss of the last window that was not back to normal: those after it are shown with it until the episode ends.
    #[serde(default)]
    held: f64,
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
    /// The window is anomalous exactly where the loss of the detection is above its threshold: the reconstruction's for
    /// [`Detector::LstmAutoencoder`], and what [`Detector::Fused`] decided on, with a threshold of 1.
    pub fn decide(&mut self, pump: &PumpId, at: Timestamp, score: &Score) -> Detection {
        let baseline = &*self.baseline;
        let (loss, threshold, parts) = match &mut self.state {
            State::Loss => {
                let parts = score.channels.iter().map(|channel| channel.error).collect();
                (score.loss, baseline.loss_threshold, parts)
            }
            State::Fused(fused) => {
                fused.resume(baseline, &score.channels);
                let strain = Strain::of(baseline, fused.follower.levels(), &score.channels);
                (fused.advance(baseline, &strain, &score.channels), THRESHOLD, strain.parts)
            }
        };
        let (pump, model, is_anomaly) = (pump.clone(), self.model.clone(), loss > threshold);
        Detection { pump, at, loss, threshold, is_anomaly, contributions: shares(parts).into(), model }
    }
}

impl Fused {
    /// Goes on with an episode whose change is back while the levels are still learned anew: it had only paused, and what
    /// was learned since is of a pump half broken.
    fn resume(&mut self, baseline: &Baseline, scores: &[ChannelScore]) {
        let Phase::Settling { paused: Some(paused), .. } = &mut self.phase else { return };
        let now = change(baseline, &paused.levels, scores, |score| score.short);
        let is_back = paused.episode.worst >= PLAIN
            && left(&paused.episode.change, &now) >= RESUMED
            && Strain::of(baseline, &paused.levels, scores).size > THRESHOLD;
        if is_back {
            let Paused { episode, levels, homes } = mem::take(paused.as_mut());
            self.follower = Follower::at(&baseline.channels, &baseline.tuning, levels, homes);
            self.phase = Phase::Episode(Episode { back: 0, held: 0.0, ..episode });
        }
    }

    /// Takes one window in. Returns its loss, which is above [`THRESHOLD`] where the window is anomalous.
    fn advance(&mut self, baseline: &Baseline, strain: &Strain, scores: &[ChannelScore]) -> f64 {
        let tuning = &baseline.tuning;
        if let Phase::Settling { done, .. } = &mut self.phase {
            *done += 1;
            self.follower.settle(scores, *done);
            if *done == tuning.settle_steps {
                self.phase = Phase::Normal { above: 0 };
            }
            return strain.size.min(THRESHOLD);
        }
        let mut loss = strain.size.min(THRESHOLD);
        if let Phase::Normal { above } = &mut self.phase {
            *above = if strain.size > THRESHOLD { *above + 1 } else { 0 };
            if *above >= tuning.raise_after {
                self.phase = Phase::Episode(Episode::default());
            }
        }
        if let Phase::Episode(episode) = &mut self.phase {
            let levels = self.follower.levels();
            if strain.size > episode.worst {
                let change = change(baseline, levels, scores, |score| score.long);
                *episode = Episode { worst: strain.size, change, stuck: strain.stuck, ..*episode };
            }
            // An episode ends lower than it begins.
            let with_deadband = strain.size - tuning.quiet + THRESHOLD;
            let quiet = with_deadband <= THRESHOLD;
            let left = left(&episode.change, &change(baseline, levels, scores, |score| score.short));
            let returned = !episode.stuck && left < tuning.returned;
            let back = quiet || returned;
            episode.back = if back { episode.back + 1 } else { 0 };
            if !back || episode.held <= THRESHOLD {
                episode.held = with_deadband.max(THRESHOLD.next_up());
            }
            if episode.back < tuning.clear_after {
                return episode.held;
            }
            loss = with_deadband.min(THRESHOLD);
            self.phase = if quiet || tuning.settle_steps == 0 {
                Phase::Normal { above: 0 }
            } else {
                let (levels, homes) = (self.follower.levels().to_vec(), self.follower.homes().to_vec());
                Phase::Settling {
                    done: 0,
                    paused: Some(Box::new(Paused { episode: mem::take(episode), levels, homes })),
                }
            };
        }
        self.follower.follow(scores);
        loss
    }
}

/// How far a window is from what is normal.
struct Strain {
    /// The greatest of its strains; 1 is the threshold.
    size: f64,
    /// What each channel has to do with that: the square of how many of its own spreads it is off, for reconstruction
    /// errors also of how far out of place it is. Not weighted: what raises an alarm and which sensor is to blame are
    /// two questions.
    parts: Vec<f64>,
    /// Whether it is a channel's stillness.
    stuck: bool,
}

impl Strain {
    fn of(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore]) -> Strain {
        let Thresholds { short, long, error } = baseline.thresholds;
        let channels = &baseline.channels;
        let errors: Vec<f64> = channels.iter().zip(scores).map(|(channel, score)| channel.above(score)).collect();
        let shorts = out_of_place(baseline, levels, scores, |score| score.short, |channel| channel.short_spread);
        let longs = out_of_place(baseline, levels, scores, |score| score.long, |channel| channel.long_spread);
        let stuck: Vec<f64> = channels.iter().zip(scores).map(|(channel, score)| channel.stuck(score)).collect();
        // A lying sensor makes others look badly reconstructed too, but only itself out of place.
        let blame = |error: &f64, place: &f64| error * (1.0 + place * place).sqrt();
        let blamed: Vec<f64> = errors.iter().zip(&longs).map(|(error, place)| blame(error, place)).collect();
        let mut worst = Strain { size: stuck.iter().copied().fold(0.0, f64::max), parts: stuck, stuck: true };
        for (threshold, weight, deviations, blamed) in [
            (error, (|channel| channel.error_weight) as fn(&ChannelBaseline) -> f64, &errors, &blamed),
            (long, |channel| channel.level_weight, &longs, &longs),
            (short, |channel| channel.level_weight, &shorts, &shorts),
        ] {
            let size = length(channels.iter().zip(deviations).map(|(channel, z)| weight(channel) * z)) / threshold;
            if size >= worst.size {
                let parts = blamed.iter().map(|deviation| deviation * deviation).collect();
                worst = Strain { size, parts, stuck: false };
            }
        }
        worst
    }
}

/// How far each channel is from the level that was followed, in spreads.
fn out_of_place(
    baseline: &Baseline,
    levels: &[f64],
    scores: &[ChannelScore],
    value: fn(&ChannelScore) -> f64,
    spread: fn(&ChannelBaseline) -> f64,
) -> Vec<f64> {
    let parts = baseline.channels.iter().zip(scores).zip(levels);
    parts.map(|((channel, score), level)| deviation(value(score) - level, spread(channel))).collect()
}

/// The same in the long spreads, weighted.
fn change(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore], value: fn(&ChannelScore) -> f64) -> Vec<f64> {
    let deviations = out_of_place(baseline, levels, scores, value, |channel| channel.long_spread);
    baseline.channels.iter().zip(deviations).map(|(channel, deviation)| channel.level_weight * deviation).collect()
}

/// How much of a change is left in its own direction: 1 at its greatest, 0 where it is gone.
fn left(change: &[f64], now: &[f64]) -> f64 {
    let along: f64 = change.iter().zip(now).map(|(a, b)| a * b).sum();
    let whole: f64 = change.iter().map(|part| part * part).sum();
    if whole > 0.0 { along / whole } else { 1.0 }
}

/// Each part's share of their sum, equal where it is 0; to four decimals, which is as much as a share can mean, and half
/// of what it would take at rest.
fn shares(parts: Vec<f64>) -> Vec<f64> {
    let (total, count): (f64, f64) = (parts.iter().sum(), parts.len() as f64);
    let share = |part: f64| if total > 0.0 { part / total } else { 1.0 / count };
    parts.into_iter().map(|part| (share(part) * 1e4).round() / 1e4).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{model, window};

    /// The level at which a channel stands in commissioning, its spread, and a liveliness well above stuck.
    const HOME: f64 = 0.5;
    const SPREAD: f64 = 0.1;
    const LIVELY: f64 = 0.2;

    /// Two channels of equal weight. The threshold is at five spreads of one of them.
    fn baseline() -> Arc<Baseline> {
        let channel = ChannelBaseline {
            level: HOME,
            reach: 0.3,
            short_spread: SPREAD,
            long_spread: SPREAD,
            error: 0.05,
            error_spread: 0.01,
            stuck_below: 0.05,
            level_weight: 1.0,
            error_weight: 1.0,
        };
        let mut baseline = Baseline::clone(model().baseline().expect("one pump's"));
        baseline.detector = Detector::Fused;
        baseline.channels = vec![channel; 2];
        baseline.thresholds = Thresholds { short: 5.0, long: 5.0, error: 5.0 };
        Arc::new(baseline)
    }

    fn at(level: f64) -> ChannelScore {
        ChannelScore { error: 0.05, short: level, long: level, liveliness: LIVELY }
    }

    struct Pump {
        decider: Decider,
        second: usize,
    }

    impl Pump {
        fn new() -> Pump {
            Pump { decider: Decider::new(baseline()), second: 0 }
        }

        fn say(&mut self, channels: [ChannelScore; 2]) -> Detection {
            self.second += 1;
            let window = window(self.second, Vec::new());
            let score = Score { loss: 0.05, channels: channels.into() };
            self.decider.decide(&window.pump, window.at, &score)
        }

        /// The last of `seconds` at these levels.
        fn stay(&mut self, seconds: usize, levels: [f64; 2]) -> Detection {
            let mut last = self.say(levels.map(at));
            for _ in 1..seconds {
                last = self.say(levels.map(at));
            }
            last
        }
    }

    #[test]
    fn above_the_recipes_threshold_is_anomalous_and_at_it_is_not() {
        let mut baseline = Baseline::clone(&baseline());
        baseline.detector = Detector::LstmAutoencoder;
        let (name, threshold) = (baseline.model_name(), baseline.loss_threshold);
        let mut decider = Decider::new(Arc::new(baseline));
        let window = window(3, Vec::new());
        for (loss, anomalous) in [(0.0, false), (threshold, false), (threshold.next_up(), true), (1e6, true)] {
            let channels = [ChannelScore { error: 0.3, ..at(HOME) }, ChannelScore { error: 0.1, ..at(HOME) }];
            let detection = decider.decide(&window.pump, window.at, &Score { loss, channels: channels.into() });
            assert_eq!(detection.is_anomaly, anomalous, "a loss of {loss}");
            assert_eq!((&detection.model, detection.threshold, detection.at), (&name, threshold, window.at));
            assert!((detection.contributions[0] - 0.75).abs() < 1e-9, "{detection:?}");
        }
    }

    #[test]
    fn a_fault_that_pauses_is_not_learned_as_normal() {
        // In spreads from home: the fault, and what comes after a pause of so many windows; whether it is seen.
        for (what, fault, after, windows, seen) in [
            ("it comes back as it was", 8.0, 8.0, 10, true),
            ("by half", 8.0, 5.5, 10, true),
            ("at the first window after the pause", 8.0, 8.0, 2, true),
            ("with the last of the settling", 8.0, 8.0, 46, true),
            ("a little of it is no fault", 8.0, 3.5, 10, false),
            ("the other way is for the settling", 8.0, -8.0, 10, false),
            ("it was hardly one", 7.0, 8.0, 10, false),
        ] {
            let mut pump = Pump::new();
            pump.stay(100, [HOME; 2]);
            assert!(pump.stay(20, [HOME, HOME + fault * SPREAD]).is_anomaly, "{what}");
            // The other channel is not quite at home, so that the episode does not end as if nothing had been.
            let other = HOME + 2.0 * SPREAD;
            assert!(!pump.stay(windows, [other, HOME + 0.9 * SPREAD]).is_anomaly, "{what}");
            let back = pump.stay(1, [other, HOME + after * SPREAD]);
            assert_eq!(back.is_anomaly, seen, "{what}: {back:?}");
            if seen {
                // The levels are those of before the fault, so that health is normal again once it is over for good.
                pump.stay(100, [HOME; 2]);
                assert!(!pump.stay(1, [HOME; 2]).is_anomaly, "{what}");
            }
        }
    }

    #[test]
    fn a_channel_that_leaves_is_named_and_its_return_ends_the_episode() {
        let mut pump = Pump::new();
        assert!(!pump.stay(100, [HOME; 2]).is_anomaly);
        let gone = pump.stay(1, [HOME, HOME + 8.0 * SPREAD]);
        assert!(gone.is_anomaly && gone.loss > gone.threshold && gone.contributions[1] > 0.9, "{gone:?}");
        assert!(pump.stay(1_000, [HOME, HOME + 8.0 * SPREAD]).is_anomaly, "a fault that stays is not followed");
        assert!(pump.stay(1, [HOME; 2]).is_anomaly, "one window is not enough");
        assert!(!pump.stay(1, [HOME; 2]).is_anomaly);
    }

    #[test]
    fn a_pump_that_comes_back_to_elsewhere_is_learned_there_and_judged_there() {
        let mut pump = Pump::new();
        pump.stay(100, [HOME; 2]);
        assert!(pump.stay(50, [HOME, HOME + 20.0 * SPREAD]).is_anomaly);
        // A tenth of the change is left: two spreads, which is not quiet.
        let back = [HOME, HOME + 2.0 * SPREAD];
        assert!(!pump.stay(2 + 45, back).is_anomaly);
        assert!(!pump.stay(100, back).is_anomaly);
        assert!(pump.stay(1, [HOME, HOME + 8.0 * SPREAD]).is_anomaly, "six spreads from where it now stands");
    }

    #[test]
    fn the_loss_is_what_was_decided_on() {
        let (near, far) = (baseline().tuning.quiet, 2.0);
        // Normal windows are followed a little, which changes a loss in its third digit.
        let at_strain = |strain: f64| [HOME, HOME + strain * 5.0 * SPREAD];
        let mut pump = Pump::new();
        for (what, strain, loss, anomalous) in [
            ("normal", 0.8, 0.8, false),
            ("it begins", far, far + 0.65, true),
            ("not quiet yet", 0.5, 1.15, true),
            ("quiet, but not for long enough", near - 0.05, 1.15, true),
            ("it ends", near - 0.05, 0.95, false),
            ("normal again", 0.8, 0.8, false),
            ("it begins again", 9.5, 10.15, true),
            ("little is left of the change, but not for long enough", 1.2, 10.15, true),
            ("it ends elsewhere, above the threshold", 1.2, 1.0, false),
            ("new levels are learned", 1.3, 1.0, false),
        ] {
            let detection = pump.stay(1, at_strain(strain));
            assert!((detection.loss - loss).abs() < 0.05, "{what}: {detection:?}");
            assert_eq!((detection.is_anomaly, detection.threshold), (anomalous, 1.0), "{what}");
        }
    }

    #[test]
    fn slow_drift_is_followed_as_far_as_commissioning_has_seen_and_no_further() {
        let mut pump = Pump::new();
        let reach = baseline().tuning.follow_reach * 0.3;
        let drift = |pump: &mut Pump, from: f64, to: f64| -> bool {
            let steps = 20_000;
            let level = |step: usize| from + (to - from) * step as f64 / f64::from(steps);
            (0..steps as usize).any(|step| pump.stay(1, [HOME, level(step)]).is_anomaly)
        };
        assert!(!drift(&mut pump, HOME, HOME + reach));
        assert!(drift(&mut pump, HOME + reach, HOME + reach + 7.0 * SPREAD));
    }

    #[test]
    fn a_badly_reconstructed_channel_is_anomalous_wherever_it_stands() {
        let mut pump = Pump::new();
        let bad = pump.say([ChannelScore { error: 0.2, ..at(HOME) }, at(HOME)]);
        assert!(bad.is_anomaly && bad.contributions[0] > 0.99, "{bad:?}");
        let good = [ChannelScore { error: 0.0, ..at(HOME) }, at(HOME)];
        assert_eq!(pump.say(good).loss, bad.loss, "one window ends nothing");
        let good = pump.say(good);
        assert!(!good.is_anomaly && good.loss < 1.0, "less error than usual is no fault: {good:?}");
    }

    #[test]
    fn a_channel_that_is_dead_still_is_anomalous_until_it_lives() {
        let mut pump = Pump::new();
        let dead = ChannelScore { liveliness: 0.0, ..at(HOME) };
        let first = pump.say([at(HOME), dead]);
        assert!(first.is_anomaly && first.contributions[1] > 0.9, "{first:?}");
        for _ in 0..100 {
            assert!(pump.say([at(HOME), dead]).is_anomaly, "it stands at home, and that ends nothing");
        }
        assert!(!pump.stay(2, [HOME; 2]).is_anomaly);
    }

    proptest! {
        /// Whatever a pump says, shares are shares and the strain is a number.
        #[test]
        fn no_window_breaks_it(
            said in prop::collection::vec([(-1e6..1e6_f64, 0.0..1e6_f64), (-1e6..1e6_f64, 0.0..1e6_f64)], 1..60),
        ) {
            let mut pump = Pump::new();
            for channels in said {
                let channel = |(level, error)| ChannelScore { error, short: level, long: level, liveliness: error };
                let detection = pump.say(channels.map(channel));
                prop_assert!((detection.contributions.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(detection.loss.is_finite() && detection.loss >= 0.0);
            }
        }
    }
}
