//! A decider's memory at rest, so that a pump is judged after a restart as if there had been none.
//!
//! It holds what the scores have made of a decider and nothing that its baseline says already: some hundred bytes per
//! pump as JSON, which gives every number back bit for bit. Deliberately absent: when it is stored, and up to which
//! window it holds (the engine's).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Decider, Fused, Phase, State};
use crate::{Baseline, Detector, levels::Follower};

/// The form that is written; others are refused.
const VERSION: u32 = 1;

/// What a decider remembers of its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeciderMemory {
    version: u32,
    /// The id of the baseline that it was judged by.
    baseline: String,
    /// None where the detector has no memory.
    fused: Option<FusedMemory>,
}

/// What [`Detector::Fused`] remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FusedMemory {
    /// Where each channel's level is followed, and around what.
    levels: Vec<f64>,
    homes: Vec<f64>,
    phase: Phase,
}

/// A memory is not for this decider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Another version of the program wrote it.
    #[error("a memory of version {found}; expected: {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is of windows that were judged by another baseline.
    #[error("a memory of the baseline {found}; expected: {expected}")]
    Baseline {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// It holds what no decider of this baseline can remember.
    #[error("a memory whose {0}")]
    Shape(&'static str),
}

impl Decider {
    /// What it remembers now: with it, [`Decider::with_memory`] goes on from here.
    pub fn memory(&self) -> DeciderMemory {
        let fused = match &self.state {
            State::Loss => None,
            State::Fused(Fused { follower, phase }) => Some(FusedMemory {
                levels: follower.levels().to_vec(),
                homes: follower.homes().to_vec(),
                phase: phase.clone(),
            }),
        };
        DeciderMemory { version: VERSION, baseline: self.baseline.id.clone(), fused }
    }

    /// A decider that goes on where the one whose memory it is left off. It decides as that one would have, bit for bit.
    ///
    /// Refuses a memory of another baseline, of another version, or of a shape that this baseline's cannot have.
    pub fn with_memory(baseline: Arc<Baseline>, memory: DeciderMemory) -> Result<Decider, MemoryError> {
        let DeciderMemory { version, baseline: found, fused } = memory;
        if version != VERSION {
            return Err(MemoryError::Version { found: version });
        }
        if found != baseline.id {
            return Err(MemoryError::Baseline { found, expected: baseline.id.clone() });
        }
        let state = match (baseline.detector, fused) {
            (Detector::LstmAutoencoder, None) => State::Loss,
            (Detector::Fused, Some(fused)) => State::Fused(fused.wake(&baseline)?),
            _ => return Err(MemoryError::Shape("detector is another")),
        };
        Ok(Decider { model: baseline.model_name(), baseline, state })
    }

    /// Whether an episode is open. Never where the detector has no memory.
    pub fn in_episode(&self) -> bool {
        matches!(&self.state, State::Fused(Fused { phase: Phase::Episode(_), .. }))
    }
}

impl FusedMemory {
    fn wake(self, baseline: &Baseline) -> Result<Fused, MemoryError> {
        let FusedMemory { levels, homes, phase } = self;
        let fits = |numbers: &[f64]| numbers.len() == baseline.channels.len() && numbers.iter().all(|n| n.is_finite());
        if !fits(&levels) || !fits(&homes) {
            return Err(MemoryError::Shape("levels are not one finite number per channel"));
        }
        match &phase {
            Phase::Episode(episode) if !fits(&episode.change) || !episode.worst.is_finite() => {
                return Err(MemoryError::Shape("episode is not one finite number per channel"));
            }
            // From beyond its end a settling would never end.
            Phase::Settling { done, .. } if *done >= baseline.tuning.settle_steps => {
                return Err(MemoryError::Shape("settling is over"));
            }
            Phase::Settling { paused: Some(paused), .. }
                if ![&paused.episode.change, &paused.levels, &paused.homes]
                    .into_iter()
                    .all(|numbers| fits(numbers))
                    || !paused.episode.worst.is_finite() =>
            {
                return Err(MemoryError::Shape("paused episode is not one finite number per channel"));
            }
            _ => {}
        }
        let follower = Follower::at(&baseline.channels, &baseline.tuning, levels, homes);
        Ok(Fused { follower, phase })
    }
}

#[cfg(test)]
mod tests;
