//! Turns the steps and scores of one pump into detections. Live pumps and evaluations use the same decider.
//!
//! A [`Decider`] is the detector of one pump. Its caller does the following with each step:
//!
//! 1. [`Decider::push_step`] takes the step as soon as it arrives. For a *step-based* detector (`conditional`) it returns a
//!    [`StepResult`]: how far the step is from normal. For a *window-based* detector (`fused`, `lstm-autoencoder`) it does nothing.
//! 2. The window that ends with the step is scored by the network, which may take seconds.
//! 3. [`Decider::decide`] takes the step's result and the window's score, and returns the [`Detection`]: anomalous or not. A
//!    step-based detector can do so without a score.
//!
//! So while windows are scored, a step-based detector has taken steps on which nothing is decided yet.
//!
//! **The fused detector.** The score of a window has three numbers for each channel: its short level (the mean of the last 5
//! steps), its long level (of the last 15 steps) and its reconstruction error. Each is compared with the pump's normal. The
//! *deviation* is the distance from normal in *spreads*: how far the number usually lies from normal, learned in commissioning. It
//! is limited to 50 and multiplied by the channel's weight. The short levels' deviations of all channels are one vector; its
//! Euclidean norm, divided by its threshold, is an anomaly score. Long levels and errors give two more. The fourth is the
//! `stuck_score`: how little a channel changes compared with its own normal. The window's anomaly score is the highest of the
//! four.
//!
//! In normal running the levels that count as normal follow the channels slowly (*tracked levels*, `levels.rs`). If the anomaly
//! score is above 1, an *episode* starts, and the tracked levels stay where they are. An episode ends in one of two ways:
//!
//! - The anomaly score falls below `quiet`.
//! - The levels return: less than the share `returned` (15 %) of the episode's greatest change is left, measured in the direction
//!   of that change. A pump seldom returns to exactly the levels that it had, so its new levels are then learned (*relearning*,
//!   45 steps).
//!
//! The normal reconstruction errors are never adapted, so that abnormal behaviour is not learned as normal. An intermittent fault
//! is not learned either: if half of the change returns during relearning, the episode continues, and the tracked levels are
//! those from before the relearning.
//!
//! **The reported loss** is the value that was decided on, so a window is anomalous exactly if its loss is above its
//! threshold. For the fused detector the threshold is 1. With the default tuning (an episode ends after `clear_after` = 2
//! windows below `quiet` = 0.35):
//!
//! | phase | anomaly score | loss | |
//! | --- | --- | --- | --- |
//! | normal | 0.8 | 0.8 | the anomaly score |
//! | an episode starts | 2.0 | 2.65 | the score plus the deadband, 1 - `quiet`: an episode ends lower than it starts |
//! | | 0.5 | 1.15 | not quiet yet |
//! | | 0.3 | 1.15 | quiet, but only the first such window: the loss of the window before is reported |
//! | it ends | 0.3 | 0.95 | |
//! | or it ends | 6.0 | 1.0 | little is left of its greatest change: the loss is limited to the threshold |
//! | relearning: new levels are learned | 4.0 | 1.0 | the loss is limited to the threshold |
//! | the change returns during relearning | 4.0 | 4.65 | the episode continues |
//!
//! **The conditional detector** is step-based; see `decider/conditional.rs`. Its loss has the same deadband.
//!
//! Does not raise alarms. Does not name faults.

mod checkpoint;
mod conditional;
mod deadband;
mod step;
mod unfit_checkpoint;

use std::{mem, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::{Detection, PumpId, Timestamp};

use self::{
    conditional::ConditionalDecider,
    deadband::{THRESHOLD, with_deadband},
};
use crate::{
    Baseline, ChannelBaseline, ChannelScore, Detector, Score, Thresholds, TimedSamples,
    deviation::{deviation, norm},
    levels::LevelTracker,
};

pub use checkpoint::DeciderCheckpoint;
pub use conditional::{DeciderState, StepResult};
pub use step::StepInput;
pub use unfit_checkpoint::UnfitCheckpoint;

/// During relearning, an episode continues if this share of its greatest change has returned and its peak score was at
/// least [`MIN_RESUMABLE_SCORE`]. An episode with a lower peak may have been a false alarm.
const RESUME_SHARE: f64 = 0.5;
const MIN_RESUMABLE_SCORE: f64 = 1.5;

/// The decider of one pump. Takes the pump's steps and scores in their order.
#[derive(Debug, Clone)]
pub struct Decider {
    model: Arc<str>,
    baseline: Arc<Baseline>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// This detector has no state.
    LstmAutoencoder,
    Fused(Fused),
    Conditional(Box<ConditionalDecider>),
}

/// The state of the fused detector.
#[derive(Debug, Clone)]
struct Fused {
    tracker: LevelTracker,
    phase: FusedPhase,
}

/// Stored in this form: a change of it needs a new version of [`DeciderCheckpoint`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum FusedPhase {
    /// Normal. `above`: number of successive windows above the threshold so far.
    Normal {
        above: usize,
    },
    Episode(Episode),
    /// New levels are being learned after an episode that ended at other levels than it began. `done`: steps so far.
    #[serde(rename = "settling")]
    Relearning {
        done: u32,
        /// The episode that has ended. It continues if its change returns. `None` in a state that an older version stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused: Option<Box<ResumableEpisode>>,
    },
}

/// An episode that has ended, kept during relearning, and the levels that its change was measured from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumableEpisode {
    episode: Episode,
    levels: Vec<f64>,
    /// Each level stays within its maximum drift of its anchor ([`LevelTracker`]).
    #[serde(rename = "homes")]
    anchors: Vec<f64>,
}

/// A run of anomalous windows. Stored in this form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Episode {
    /// The highest anomaly score.
    #[serde(rename = "worst")]
    peak: f64,
    /// The weighted deviations of the long levels in the window with the highest score: the episode's greatest change.
    change: Vec<f64>,
    /// Whether the highest score is that of a stuck channel. Such an episode ends only when the score falls below `quiet`.
    stuck: bool,
    /// Number of successive windows that were back to normal.
    #[serde(rename = "back")]
    normal_windows: usize,
    /// The loss of the last window that was not back to normal. Later windows report it until the episode ends.
    #[serde(default, rename = "held")]
    held_loss: f64,
}

impl Decider {
    /// Creates the decider of a pump without any step yet.
    pub fn new(baseline: Arc<Baseline>) -> Decider {
        let state = match (baseline.detector, &baseline.conditional) {
            (Detector::Conditional, Some(conditional)) => {
                State::Conditional(Box::new(ConditionalDecider::new(&baseline, conditional)))
            }
            (Detector::LstmAutoencoder, _) => State::LstmAutoencoder,
            // `Baseline::check` refuses a baseline for the conditional detector that lacks its conditional part.
            (Detector::Fused | Detector::Conditional, _) => State::Fused(Fused {
                tracker: LevelTracker::new(&baseline.channels, &baseline.tuning),
                phase: FusedPhase::Normal { above: 0 },
            }),
        };
        Decider { model: baseline.model_name(), baseline, state }
    }

    /// Creates the decider of a pump that was just commissioned, after the steps that its baseline was learned from.
    pub fn after(baseline: Arc<Baseline>, steps: &[TimedSamples]) -> Decider {
        let mut decider = Decider::new(baseline);
        if let (State::Conditional(state), Some(conditional)) = (&mut decider.state, &decider.baseline.conditional) {
            **state = ConditionalDecider::after(&decider.baseline, conditional, steps);
        }
        decider
    }

    /// Takes a step. Returns its result, which [`Decider::decide`] needs. `None` for a window-based detector, for a pump
    /// that does not run or has not settled, while no channel can be tested yet, and for a step that is not later than the one
    /// before.
    pub fn push_step(&mut self, step: &StepInput) -> Option<StepResult> {
        match (&mut self.state, &self.baseline.conditional) {
            (State::Conditional(state), Some(conditional)) => state.push_step(conditional, step),
            _ => None,
        }
    }

    /// Whether its detector gives a result for each step when it arrives, before the score of the step's window is known.
    pub fn is_step_based(&self) -> bool {
        matches!(self.state, State::Conditional(_))
    }

    /// Returns the state after the last step that [`Decider::push_step`] took, for [`Decider::checkpoint`].
    pub fn step_state(&self) -> Option<DeciderState> {
        match &self.state {
            State::Conditional(state) => Some(state.state().clone()),
            State::LstmAutoencoder | State::Fused(_) => None,
        }
    }

    /// Returns its baseline.
    pub fn baseline(&self) -> &Arc<Baseline> {
        &self.baseline
    }

    /// Decides on the step of `pump` at `at`, from its result by [`Decider::push_step`] and from the score of the window that ends
    /// with it. A window-based detector needs the score, and a step-based one the result; without it there is no
    /// detection.
    ///
    /// The window is anomalous exactly if the loss of the detection is above its threshold. For [`Detector::LstmAutoencoder`]
    /// the loss is that of the reconstruction. For [`Detector::Fused`] it is the loss of the module's table, and for
    /// [`Detector::Conditional`] the largest of its anomaly scores, with the same deadband; for both the threshold is 1.
    pub fn decide(
        &mut self,
        pump: &PumpId,
        at: Timestamp,
        step: Option<&StepResult>,
        score: Option<&Score>,
    ) -> Option<Detection> {
        let baseline = &*self.baseline;
        let (loss, threshold, parts) = match &mut self.state {
            State::LstmAutoencoder => {
                let score = score?;
                let parts = score.channels.iter().map(|channel| channel.error).collect();
                (score.loss, baseline.loss_threshold, parts)
            }
            State::Conditional(conditional) => {
                let (loss, parts) = conditional.decide(baseline, step?, score);
                (loss, THRESHOLD, parts)
            }
            State::Fused(fused) => {
                let score = score?;
                fused.resume(baseline, &score.channels);
                let anomaly = AnomalyScore::of(baseline, fused.tracker.levels(), &score.channels);
                (fused.advance(baseline, &anomaly, &score.channels), THRESHOLD, anomaly.parts)
            }
        };
        let (pump, model, is_anomaly) = (pump.clone(), self.model.clone(), loss > threshold);
        Some(Detection { pump, at, loss, threshold, is_anomaly, contributions: shares(parts).into(), model })
    }
}

impl Fused {
    /// Continues a paused episode whose change returns during relearning. The levels learned since the pause are discarded:
    /// they were affected by the fault.
    fn resume(&mut self, baseline: &Baseline, scores: &[ChannelScore]) {
        let FusedPhase::Relearning { paused: Some(paused), .. } = &mut self.phase else { return };
        let now = change(baseline, &paused.levels, scores, |score| score.short);
        let resumes = paused.episode.peak >= MIN_RESUMABLE_SCORE
            && remaining_share(&paused.episode.change, &now) >= RESUME_SHARE
            && AnomalyScore::of(baseline, &paused.levels, scores).value > THRESHOLD;
        if resumes {
            let ResumableEpisode { episode, levels, anchors } = mem::take(paused.as_mut());
            self.tracker = LevelTracker::at(&baseline.channels, &baseline.tuning, levels, anchors);
            self.phase = FusedPhase::Episode(Episode { normal_windows: 0, held_loss: 0.0, ..episode });
        }
    }

    /// Processes one window. Returns its loss, which is above [`THRESHOLD`] if the window is anomalous.
    fn advance(&mut self, baseline: &Baseline, anomaly: &AnomalyScore, scores: &[ChannelScore]) -> f64 {
        let tuning = &baseline.tuning;
        if let FusedPhase::Relearning { done, .. } = &mut self.phase {
            *done += 1;
            self.tracker.relearn(scores, *done);
            if *done == tuning.relearn_steps {
                self.phase = FusedPhase::Normal { above: 0 };
            }
            return anomaly.value.min(THRESHOLD);
        }
        let mut loss = anomaly.value.min(THRESHOLD);
        if let FusedPhase::Normal { above } = &mut self.phase {
            *above = if anomaly.value > THRESHOLD { *above + 1 } else { 0 };
            if *above >= tuning.raise_after {
                self.phase = FusedPhase::Episode(Episode::default());
            }
        }
        if let FusedPhase::Episode(episode) = &mut self.phase {
            let levels = self.tracker.levels();
            if anomaly.value > episode.peak {
                let change = change(baseline, levels, scores, |score| score.long);
                *episode = Episode { peak: anomaly.value, change, stuck: anomaly.stuck, ..*episode };
            }
            // The deadband: an episode ends at a lower score than it starts.
            let with_deadband = with_deadband(anomaly.value, tuning.quiet);
            let below_quiet = with_deadband <= THRESHOLD;
            let share = remaining_share(&episode.change, &change(baseline, levels, scores, |score| score.short));
            let returned = !episode.stuck && share < tuning.returned;
            let is_back_to_normal = below_quiet || returned;
            episode.normal_windows = if is_back_to_normal { episode.normal_windows + 1 } else { 0 };
            if !is_back_to_normal || episode.held_loss <= THRESHOLD {
                episode.held_loss = with_deadband.max(THRESHOLD.next_up());
            }
            if episode.normal_windows < tuning.clear_after {
                return episode.held_loss;
            }
            loss = with_deadband.min(THRESHOLD);
            self.phase = if below_quiet || tuning.relearn_steps == 0 {
                FusedPhase::Normal { above: 0 }
            } else {
                let (levels, anchors) = (self.tracker.levels().to_vec(), self.tracker.anchors().to_vec());
                FusedPhase::Relearning {
                    done: 0,
                    paused: Some(Box::new(ResumableEpisode { episode: mem::take(episode), levels, anchors })),
                }
            };
        }
        self.tracker.update(scores);
        loss
    }
}

/// How far a window is from normal.
struct AnomalyScore {
    /// The highest of its scores; 1 is the threshold.
    value: f64,
    /// Each channel's contribution before it is normalised: its squared deviation in its own spreads, or its stuck score. For
    /// reconstruction errors it also grows with the deviation of the channel's level. The channels' weights are not applied:
    /// they decide whether there is an anomaly, not which sensor shows it.
    parts: Vec<f64>,
    /// Whether the score is that of a stuck channel.
    stuck: bool,
}

impl AnomalyScore {
    fn of(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore]) -> AnomalyScore {
        let Thresholds { short, long, error } = baseline.thresholds;
        let channels = &baseline.channels;
        let errors: Vec<f64> =
            channels.iter().zip(scores).map(|(channel, score)| channel.error_deviation(score)).collect();
        let short_deviations =
            level_deviations(baseline, levels, scores, |score| score.short, |channel| channel.short_spread);
        let long_deviations =
            level_deviations(baseline, levels, scores, |score| score.long, |channel| channel.long_spread);
        let stuck: Vec<f64> = channels.iter().zip(scores).map(|(channel, score)| channel.stuck_score(score)).collect();
        // A wrong sensor makes other channels badly reconstructed too, but only its own level deviates.
        let attribute = |error: &f64, level: &f64| error * (1.0 + level * level).sqrt();
        let attributed: Vec<f64> =
            errors.iter().zip(&long_deviations).map(|(error, level)| attribute(error, level)).collect();
        let mut max = AnomalyScore { value: stuck.iter().copied().fold(0.0, f64::max), parts: stuck, stuck: true };
        for (threshold, weight, deviations, attributed) in [
            (error, (|channel| channel.error_weight) as fn(&ChannelBaseline) -> f64, &errors, &attributed),
            (long, |channel| channel.level_weight, &long_deviations, &long_deviations),
            (short, |channel| channel.level_weight, &short_deviations, &short_deviations),
        ] {
            let value = norm(channels.iter().zip(deviations).map(|(channel, z)| weight(channel) * z)) / threshold;
            if value >= max.value {
                let parts = attributed.iter().map(|deviation| deviation * deviation).collect();
                max = AnomalyScore { value, parts, stuck: false };
            }
        }
        max
    }
}

/// Returns how far each channel is from its tracked level, in spreads.
fn level_deviations(
    baseline: &Baseline,
    levels: &[f64],
    scores: &[ChannelScore],
    value: fn(&ChannelScore) -> f64,
    spread: fn(&ChannelBaseline) -> f64,
) -> Vec<f64> {
    let parts = baseline.channels.iter().zip(scores).zip(levels);
    parts.map(|((channel, score), level)| deviation(value(score) - level, spread(channel))).collect()
}

/// Returns how far each channel is from its tracked level, in long spreads, times its weight.
fn change(baseline: &Baseline, levels: &[f64], scores: &[ChannelScore], value: fn(&ChannelScore) -> f64) -> Vec<f64> {
    let deviations = level_deviations(baseline, levels, scores, value, |channel| channel.long_spread);
    baseline.channels.iter().zip(deviations).map(|(channel, deviation)| channel.level_weight * deviation).collect()
}

/// Returns how much of a change is left in its own direction: 1 at its greatest, 0 when it is gone.
fn remaining_share(change: &[f64], now: &[f64]) -> f64 {
    let along: f64 = change.iter().zip(now).map(|(a, b)| a * b).sum();
    let whole: f64 = change.iter().map(|part| part * part).sum();
    if whole > 0.0 { along / whole } else { 1.0 }
}

/// Returns each part's share of the sum, equal shares if the sum is 0. Rounded to four decimals, which is precise enough
/// and halves the stored size.
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

    /// A channel's level in commissioning, its spread, and a mean change well above that of a stuck value.
    const NORMAL: f64 = 0.5;
    const SPREAD: f64 = 0.1;
    const MOVING: f64 = 0.2;

    /// Two channels of equal weight. The threshold is at five spreads of one of them.
    fn baseline() -> Arc<Baseline> {
        let channel = ChannelBaseline {
            level: NORMAL,
            // The furthest drift from the level in commissioning.
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
        ChannelScore { error: 0.05, short: level, long: level, mean_change: MOVING }
    }

    struct Pump {
        decider: Decider,
        second: usize,
    }

    impl Pump {
        fn new() -> Pump {
            Pump { decider: Decider::new(baseline()), second: 0 }
        }

        fn decide(&mut self, channels: [ChannelScore; 2]) -> Detection {
            self.second += 1;
            let window = window(self.second, Vec::new());
            let score = Score { loss: 0.05, channels: channels.into(), dynamics: None };
            self.decider.decide(&window.pump, window.at, None, Some(&score)).expect("a detection")
        }

        /// Decides on `seconds` windows at these levels. Returns the last detection.
        fn hold(&mut self, seconds: usize, levels: [f64; 2]) -> Detection {
            let mut last = self.decide(levels.map(at));
            for _ in 1..seconds {
                last = self.decide(levels.map(at));
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
            let channels = [ChannelScore { error: 0.3, ..at(NORMAL) }, ChannelScore { error: 0.1, ..at(NORMAL) }];
            let detection = decider
                .decide(&window.pump, window.at, None, Some(&Score { loss, channels: channels.into(), dynamics: None }))
                .expect("a detection");
            assert_eq!(detection.is_anomaly, anomalous, "a loss of {loss}");
            assert_eq!((&detection.model, detection.threshold, detection.at), (&name, threshold, window.at));
            assert!((detection.contributions[0] - 0.75).abs() < 1e-9, "{detection:?}");
        }
    }

    #[test]
    fn a_fault_that_pauses_is_not_learned_as_normal() {
        // In spreads from normal: the fault, and the level after a pause of `windows` windows; whether it is detected.
        for (what, fault, after, windows, is_detected) in [
            ("it returns in full", 8.0, 8.0, 10, true),
            ("by half", 8.0, 5.5, 10, true),
            ("at the first window after the pause", 8.0, 8.0, 2, true),
            ("in the last window of relearning", 8.0, 8.0, 46, true),
            ("a small part of it is no fault", 8.0, 3.5, 10, false),
            ("in the opposite direction it is not resumed", 8.0, -8.0, 10, false),
            ("its peak was too low", 7.0, 8.0, 10, false),
        ] {
            let mut pump = Pump::new();
            pump.hold(100, [NORMAL; 2]);
            assert!(pump.hold(20, [NORMAL, NORMAL + fault * SPREAD]).is_anomaly, "{what}");
            // The other channel is not quite normal, so that the episode does not end as quiet.
            let other = NORMAL + 2.0 * SPREAD;
            assert!(!pump.hold(windows, [other, NORMAL + 0.9 * SPREAD]).is_anomaly, "{what}");
            let back = pump.hold(1, [other, NORMAL + after * SPREAD]);
            assert_eq!(back.is_anomaly, is_detected, "{what}: {back:?}");
            if is_detected {
                // The levels are those from before the fault, so that healthy windows are normal once the fault is over.
                pump.hold(100, [NORMAL; 2]);
                assert!(!pump.hold(1, [NORMAL; 2]).is_anomaly, "{what}");
            }
        }
    }

    #[test]
    fn a_deviating_channel_is_named_and_its_return_ends_the_episode() {
        let mut pump = Pump::new();
        assert!(!pump.hold(100, [NORMAL; 2]).is_anomaly);
        let deviating = pump.hold(1, [NORMAL, NORMAL + 8.0 * SPREAD]);
        assert!(
            deviating.is_anomaly && deviating.loss > deviating.threshold && deviating.contributions[1] > 0.9,
            "{deviating:?}"
        );
        assert!(pump.hold(1_000, [NORMAL, NORMAL + 8.0 * SPREAD]).is_anomaly, "a lasting fault is not tracked");
        assert!(pump.hold(1, [NORMAL; 2]).is_anomaly, "one window is not enough");
        assert!(!pump.hold(1, [NORMAL; 2]).is_anomaly);
    }

    #[test]
    fn new_levels_after_an_episode_are_learned() {
        let mut pump = Pump::new();
        pump.hold(100, [NORMAL; 2]);
        assert!(pump.hold(50, [NORMAL, NORMAL + 20.0 * SPREAD]).is_anomaly);
        // A tenth of the change is left: two spreads, which is not quiet.
        let back = [NORMAL, NORMAL + 2.0 * SPREAD];
        assert!(!pump.hold(2 + 45, back).is_anomaly);
        assert!(!pump.hold(100, back).is_anomaly);
        assert!(pump.hold(1, [NORMAL, NORMAL + 8.0 * SPREAD]).is_anomaly, "six spreads from its new level");
    }

    #[test]
    fn the_loss_is_the_decided_value() {
        let (near, far) = (baseline().tuning.quiet, 2.0);
        // Normal windows are followed a little, which changes a loss in its third digit.
        let at_score = |anomaly: f64| [NORMAL, NORMAL + anomaly * 5.0 * SPREAD];
        let mut pump = Pump::new();
        for (what, anomaly, loss, anomalous) in [
            ("normal", 0.8, 0.8, false),
            ("an episode starts", far, far + 0.65, true),
            ("not quiet yet", 0.5, 1.15, true),
            ("quiet, but not for long enough", near - 0.05, 1.15, true),
            ("it ends", near - 0.05, 0.95, false),
            ("normal again", 0.8, 0.8, false),
            ("a new episode", 9.5, 10.15, true),
            ("little is left of the change, but not for long enough", 1.2, 10.15, true),
            ("it ends at other levels, above the threshold", 1.2, 1.0, false),
            ("new levels are learned", 1.3, 1.0, false),
        ] {
            let detection = pump.hold(1, at_score(anomaly));
            assert!((detection.loss - loss).abs() < 0.05, "{what}: {detection:?}");
            assert_eq!((detection.is_anomaly, detection.threshold), (anomalous, 1.0), "{what}");
        }
    }

    #[test]
    fn slow_drift_is_followed_up_to_the_drift_of_commissioning() {
        let mut pump = Pump::new();
        let reach = baseline().tuning.max_drift_factor * 0.3;
        let drift = |pump: &mut Pump, from: f64, to: f64| -> bool {
            let steps = 20_000;
            let level = |step: usize| from + (to - from) * step as f64 / f64::from(steps);
            (0..steps as usize).any(|step| pump.hold(1, [NORMAL, level(step)]).is_anomaly)
        };
        assert!(!drift(&mut pump, NORMAL, NORMAL + reach));
        assert!(drift(&mut pump, NORMAL + reach, NORMAL + reach + 7.0 * SPREAD));
    }

    #[test]
    fn a_badly_reconstructed_channel_is_anomalous_at_any_level() {
        let mut pump = Pump::new();
        let bad = pump.decide([ChannelScore { error: 0.2, ..at(NORMAL) }, at(NORMAL)]);
        assert!(bad.is_anomaly && bad.contributions[0] > 0.99, "{bad:?}");
        let good = [ChannelScore { error: 0.0, ..at(NORMAL) }, at(NORMAL)];
        assert_eq!(pump.decide(good).loss, bad.loss, "one window does not end an episode");
        let good = pump.decide(good);
        assert!(!good.is_anomaly && good.loss < 1.0, "less error than usual is no fault: {good:?}");
    }

    #[test]
    fn a_stuck_channel_is_anomalous_until_it_changes() {
        let mut pump = Pump::new();
        let stuck = ChannelScore { mean_change: 0.0, ..at(NORMAL) };
        let first = pump.decide([at(NORMAL), stuck]);
        assert!(first.is_anomaly && first.contributions[1] > 0.9, "{first:?}");
        for _ in 0..100 {
            assert!(pump.decide([at(NORMAL), stuck]).is_anomaly, "a normal level does not end it");
        }
        assert!(!pump.hold(2, [NORMAL; 2]).is_anomaly);
    }

    proptest! {
        /// For any scores, the contributions sum to 1 and the loss is finite.
        #[test]
        fn any_scores_give_a_valid_detection(
            scores in prop::collection::vec([(-1e6..1e6_f64, 0.0..1e6_f64), (-1e6..1e6_f64, 0.0..1e6_f64)], 1..60),
        ) {
            let mut pump = Pump::new();
            for channels in scores {
                let channel = |(level, error)| ChannelScore { error, short: level, long: level, mean_change: error };
                let detection = pump.decide(channels.map(channel));
                prop_assert!((detection.contributions.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(detection.loss.is_finite() && detection.loss >= 0.0);
            }
        }
    }
}
