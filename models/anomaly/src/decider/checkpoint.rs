//! The stored state of a decider, so that detections after a restart are the same as without one.
//!
//! It has what the decider has learned from scores since its baseline, and nothing that is in the baseline. As JSON it has some
//! hundred bytes per pump for the fused detector, and more for the conditional one. Every number is restored bit for bit. Does not
//! store the state; the pump's checkpoint in `volute-actors` does, together with the time of the last window that is in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Decider, Fused, FusedPhase, State,
    conditional::{ConditionalCheckpoint, ConditionalDecider, DeciderState},
    unfit_checkpoint::{UnfitCheckpoint, VERSION},
};
use crate::{Baseline, Detector, levels::LevelTracker};

/// The stored state of a decider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeciderCheckpoint {
    version: u32,
    /// The id of the decider's baseline.
    baseline: String,
    /// None if the detector has no state.
    fused: Option<FusedCheckpoint>,
    /// The state of [`Detector::Conditional`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conditional: Option<Box<ConditionalCheckpoint>>,
}

/// The stored state of [`Detector::Fused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FusedCheckpoint {
    /// The tracked level of each channel.
    levels: Vec<f64>,
    /// The anchor of each tracked level.
    #[serde(rename = "homes")]
    anchors: Vec<f64>,
    phase: FusedPhase,
}

impl Decider {
    /// Returns its state after its last decision. [`Decider::with_checkpoint`] continues from it.
    ///
    /// The conditional detector tests steps ahead of its decisions. For it, `step_state` is the state after the step that was
    /// decided on last ([`Decider::step_state`]). `None` is right only if every step that was taken is decided.
    pub fn checkpoint(&self, step_state: Option<DeciderState>) -> DeciderCheckpoint {
        let (mut fused, mut conditional) = (None, None);
        match &self.state {
            State::LstmAutoencoder => {}
            State::Fused(Fused { tracker, phase }) => {
                fused = Some(FusedCheckpoint {
                    levels: tracker.levels().to_vec(),
                    anchors: tracker.anchors().to_vec(),
                    phase: phase.clone(),
                });
            }
            State::Conditional(decider) => {
                let state = step_state.unwrap_or_else(|| decider.state().clone());
                conditional = Some(Box::new(decider.checkpoint(state)));
            }
        }
        DeciderCheckpoint { version: VERSION, baseline: self.baseline.id.clone(), fused, conditional }
    }

    /// Creates a decider that continues from a stored state. Its decisions are the same, bit for bit, as those of the decider
    /// that stored it.
    ///
    /// Refuses a state of another baseline or version, or one that does not fit the baseline.
    pub fn with_checkpoint(baseline: Arc<Baseline>, checkpoint: DeciderCheckpoint) -> Result<Decider, UnfitCheckpoint> {
        let DeciderCheckpoint { version, baseline: found, fused, conditional } = checkpoint;
        if version != VERSION {
            return Err(UnfitCheckpoint::Version { found: version });
        }
        if found != baseline.id {
            return Err(UnfitCheckpoint::Baseline { found, expected: baseline.id.clone() });
        }
        let state = match (baseline.detector, fused, conditional) {
            (Detector::LstmAutoencoder, None, None) => State::LstmAutoencoder,
            (Detector::Fused, Some(fused), None) => State::Fused(fused.restore(&baseline)?),
            (Detector::Conditional, None, Some(checkpoint)) => {
                State::Conditional(Box::new(ConditionalDecider::restore(&baseline, *checkpoint)?))
            }
            _ => return Err(UnfitCheckpoint::Shape("it is of another detector")),
        };
        Ok(Decider { model: baseline.model_name(), baseline, state })
    }

    /// Whether an episode is open. Always false if the detector has no state.
    pub fn in_episode(&self) -> bool {
        match &self.state {
            State::LstmAutoencoder => false,
            State::Fused(Fused { phase, .. }) => matches!(phase, FusedPhase::Episode(_)),
            State::Conditional(decider) => decider.in_episode(),
        }
    }
}

impl FusedCheckpoint {
    fn restore(self, baseline: &Baseline) -> Result<Fused, UnfitCheckpoint> {
        let FusedCheckpoint { levels, anchors, phase } = self;
        let fits = |numbers: &[f64]| numbers.len() == baseline.channels.len() && numbers.iter().all(|n| n.is_finite());
        if !fits(&levels) || !fits(&anchors) {
            return Err(UnfitCheckpoint::Shape("the levels are not one finite number per channel"));
        }
        match &phase {
            FusedPhase::Episode(episode) if !fits(&episode.change) || !episode.peak.is_finite() => {
                return Err(UnfitCheckpoint::Shape("the episode is not one finite number per channel"));
            }
            // Relearning ends when `done` becomes equal to `relearn_steps`: from a number that is not smaller it would never end.
            FusedPhase::Relearning { done, .. } if *done >= baseline.tuning.relearn_steps => {
                return Err(UnfitCheckpoint::Shape("the levels are relearned already"));
            }
            FusedPhase::Relearning { paused: Some(paused), .. }
                if ![&paused.episode.change, &paused.levels, &paused.anchors]
                    .into_iter()
                    .all(|numbers| fits(numbers))
                    || !paused.episode.peak.is_finite() =>
            {
                return Err(UnfitCheckpoint::Shape("the paused episode is not one finite number per channel"));
            }
            _ => {}
        }
        let tracker = LevelTracker::at(&baseline.channels, &baseline.tuning, levels, anchors);
        Ok(Fused { tracker, phase })
    }
}

#[cfg(test)]
mod tests;
