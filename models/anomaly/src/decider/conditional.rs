//! The conditional detector's part of the decider. Each step has a result when it arrives. The detection is made later: when the
//! score of the window that ends with the step has arrived, or when it is certain that there will be none.
//!
//! A detection combines three anomaly scores: of the step's result (levels given the operating point, `conditional.rs` of the
//! crate), of the window's *stuck* channels (those that do not change), and of the window's *dynamics* (how residuals move,
//! `dynamics.rs`). The largest is the step's.
//!
//! An example: a pump at one reading per second, whose vibration sensor freezes while the pump runs at constant speed.
//!
//! 1. [`ConditionalDecider::push_step`] takes each step in order. The frozen vibration is at a usual level, so its anomaly score
//!    stays below 1.
//! 2. [`ConditionalDecider::decide`] takes the step's result and the score of its window. In the 30 steps of the window the
//!    vibration has not changed at all. Its `stuck_score` is 4: the window is anomalous, and the vibration has the whole
//!    contribution.
//! 3. When the sensor changes again the stuck score falls below `quiet` (0.35 with the default tuning), and after
//!    `clear_after` (2) such windows the window is normal.
//!
//! The score also has the measures of the window's *residuals* (values less their predictions), which the network of residuals
//! reconstructs ([`crate::DynamicsState`]). They show a flow that hunts around its usual level.
//!
//! A step may have no score, because a channel is missing or the workers are overloaded. Then its result alone decides.
//!
//! While windows wait for their scores, later steps have been taken already: the state of the steps is ahead of the decisions. A
//! checkpoint needs the state after the step that was decided on last. [`ConditionalDecider::state`] returns it when that step is
//! taken, and the caller keeps it until then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    deadband::{THRESHOLD, with_deadband},
    step::StepInput,
    unfit_checkpoint::UnfitCheckpoint,
};
use crate::{
    Baseline, ConditionalBaseline, ConditionalResult, ConditionalState, DynamicsResult, DynamicsState, ResidualHistory,
    ResidualWindow, Score, TimedSamples,
};

/// How far one step is from normal, given the operating point and the other channels.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    result: ConditionalResult,
    residuals: Option<ResidualWindow>,
}

impl StepResult {
    /// Whether an episode is open after the step.
    pub fn in_episode(&self) -> bool {
        self.result.in_episode
    }

    /// Whether the pump runs at a speed outside of those of commissioning, or did so minutes ago. It is then tested less strictly.
    pub fn outside_known_range(&self) -> bool {
        self.result.outside_known_range
    }

    /// Returns the residuals of the last steps, for the network of residuals.
    pub fn take_residuals(&mut self) -> Option<ResidualWindow> {
        self.residuals.take()
    }
}

/// The state of the conditional detector of one pump.
#[derive(Debug, Clone)]
pub(super) struct ConditionalDecider {
    steps: DeciderState,
    stuck: StuckPhase,
    dynamics: Option<DynamicsState>,
}

/// The state after the last step that was taken, which is ahead of the decisions. Stored in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeciderState {
    conditional: ConditionalState,
    residuals: ResidualHistory,
}

/// Whether a channel is stuck. Stored in this form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StuckPhase {
    is_stuck: bool,
    /// Successive windows without a stuck channel.
    normal_windows: usize,
}

/// The stored state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionalCheckpoint {
    steps: DeciderState,
    stuck: StuckPhase,
    dynamics: Option<DynamicsState>,
}

impl ConditionalDecider {
    pub(super) fn new(baseline: &Baseline, conditional: &ConditionalBaseline) -> ConditionalDecider {
        ConditionalDecider::with_state(baseline, ConditionalState::new(conditional))
    }

    /// Starts after the steps that the baseline was learned from.
    pub(super) fn after(
        baseline: &Baseline,
        conditional: &ConditionalBaseline,
        steps: &[TimedSamples],
    ) -> ConditionalDecider {
        ConditionalDecider::with_state(baseline, ConditionalState::after(conditional, steps))
    }

    fn with_state(baseline: &Baseline, conditional: ConditionalState) -> ConditionalDecider {
        let residuals = ResidualHistory::new(baseline.channels.len());
        let dynamics = baseline.dynamics.as_ref().map(DynamicsState::new);
        ConditionalDecider { steps: DeciderState { conditional, residuals }, stuck: StuckPhase::default(), dynamics }
    }

    /// Takes a step. Returns its result; `None` if the pump does not run or has not settled, if no channel can be tested
    /// yet, or if the step is not later than the one before.
    pub(super) fn push_step(&mut self, conditional: &ConditionalBaseline, step: &StepInput) -> Option<StepResult> {
        let samples = step.samples();
        let DeciderState { conditional: state, residuals } = &mut self.steps;
        if !step.is_settled {
            state.observe(conditional, step.at, &samples);
            residuals.interrupt();
            return None;
        }
        let Some(result) = state.step(conditional, step.at, &samples) else {
            residuals.interrupt();
            return None;
        };
        let mut window = None;
        if result.outside_known_range {
            residuals.interrupt();
        } else if self.dynamics.is_some() {
            window = residuals.push(&result.residuals);
        }
        // The first steps after a start or a gap are too few to test any channel.
        let has_levels = result.channels.iter().any(Option::is_some);
        has_levels.then_some(StepResult { result, residuals: window })
    }

    /// Returns the state after the last step that [`Self::push_step`] took.
    pub(super) fn state(&self) -> &DeciderState {
        &self.steps
    }

    pub(super) fn in_episode(&self) -> bool {
        self.stuck.is_stuck
            || self.steps.conditional.in_episode()
            || self.dynamics.as_ref().is_some_and(DynamicsState::in_episode)
    }

    /// Returns a step's loss, and each channel's contribution before it is normalised.
    pub(super) fn decide(
        &mut self,
        baseline: &Baseline,
        StepResult { result, .. }: &StepResult,
        score: Option<&Score>,
    ) -> (f64, Vec<f64>) {
        let stuck = score.map_or_else(Vec::new, |score| stuck_scores(baseline, score));
        let most_stuck = stuck.iter().copied().fold(0.0, f64::max);
        if !stuck.is_empty() {
            self.stuck.advance(baseline, most_stuck);
        }
        let dynamics = self.decide_dynamics(baseline, score);
        // The loss of an anomalous step is always above the threshold, also near the end of an episode (`deadband.rs`).
        let above = THRESHOLD.next_up();
        let mut loss = match result.in_episode {
            true => with_deadband(result.anomaly_score, ConditionalState::QUIET).max(above),
            false => result.anomaly_score.min(THRESHOLD),
        };
        let mut parts = result.explains.clone();
        // If both a level and a stuck channel are anomalous, the contributions are those of the larger loss. But a stuck input is
        // always named, because a frozen input makes the levels of the other channels deviate.
        if self.stuck.is_stuck {
            let of_stuck = with_deadband(most_stuck, baseline.tuning.quiet).max(above);
            let is_input = |(channel, stuck): (usize, &f64)| {
                *stuck == most_stuck
                    && baseline.conditional.as_ref().is_some_and(|conditional| !conditional.is_output(channel))
            };
            if !result.in_episode || of_stuck > loss || stuck.iter().enumerate().any(is_input) {
                parts = stuck;
            }
            loss = loss.max(of_stuck);
        }
        if let Some(DynamicsResult { score, suspect: Some(suspect), in_episode: true }) = dynamics {
            let of_dynamics = with_deadband(score, DynamicsState::QUIET).max(above);
            if loss <= THRESHOLD || of_dynamics > loss {
                parts.fill(0.0);
                if let Some(part) = parts.get_mut(suspect.channel) {
                    *part = 1.0;
                }
            }
            loss = loss.max(of_dynamics);
        }
        (loss, parts)
    }

    fn decide_dynamics(&mut self, baseline: &Baseline, score: Option<&Score>) -> Option<DynamicsResult> {
        let (baseline, state) = (baseline.dynamics.as_ref()?, self.dynamics.as_mut()?);
        Some(state.step(baseline, score?.dynamics.as_ref()?))
    }

    pub(super) fn checkpoint(&self, steps: DeciderState) -> ConditionalCheckpoint {
        ConditionalCheckpoint { steps, stuck: self.stuck, dynamics: self.dynamics.clone() }
    }

    pub(super) fn restore(
        baseline: &Arc<Baseline>,
        checkpoint: ConditionalCheckpoint,
    ) -> Result<ConditionalDecider, UnfitCheckpoint> {
        let conditional =
            baseline.conditional.as_ref().ok_or(UnfitCheckpoint::Shape("the baseline has no conditional part"))?;
        let ConditionalCheckpoint { steps, stuck, dynamics } = checkpoint;
        steps.conditional.check(conditional)?;
        if !steps.residuals.is_valid(baseline.channels.len()) {
            return Err(UnfitCheckpoint::Shape("the residuals are not one row of channels after the other"));
        }
        let dynamics = match (&baseline.dynamics, dynamics) {
            (Some(baseline), Some(state)) => {
                state.check(baseline)?;
                Some(state)
            }
            (baseline, _) => baseline.as_ref().map(DynamicsState::new),
        };
        Ok(ConditionalDecider { steps, stuck, dynamics })
    }
}

/// Returns the stuck score of each channel; 0 for a speed that an inverter holds.
fn stuck_scores(baseline: &Baseline, score: &Score) -> Vec<f64> {
    let is_set = |index| baseline.conditional.as_ref().is_some_and(|conditional| conditional.is_set_speed(index));
    let channels = baseline.channels.iter().zip(score.channels.iter()).enumerate();
    channels.map(|(index, (channel, score))| if is_set(index) { 0.0 } else { channel.stuck_score(score) }).collect()
}

impl StuckPhase {
    fn advance(&mut self, baseline: &Baseline, most_stuck: f64) {
        if most_stuck > THRESHOLD {
            *self = StuckPhase { is_stuck: true, normal_windows: 0 };
        } else if self.is_stuck {
            self.normal_windows = if most_stuck < baseline.tuning.quiet { self.normal_windows + 1 } else { 0 };
            self.is_stuck = self.normal_windows < baseline.tuning.clear_after;
        }
    }
}

#[cfg(test)]
mod tests;
