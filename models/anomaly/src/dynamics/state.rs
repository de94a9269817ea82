//! The live dynamics of one pump: takes the *measures* of its windows (`measure.rs`) in order and tests each.
//!
//! The score of a window is the largest distance of an averaged measure from its usual value, over its limit (`baseline.rs`). An
//! episode begins with a score above 1. It ends when the score has been below 0.85 for 30 windows: the last window then has no
//! reading in common with the last window that was anomalous.

use serde::{Deserialize, Serialize};

use super::{
    averages::Averages,
    baseline::DynamicsBaseline,
    error::{DYNAMICS_VERSION, DynamicsError},
    measure::{ChannelDynamics, Measure, WindowDynamics},
};

/// It ends after this many quiet windows.
const QUIET_WINDOWS: u32 = 30;

/// The state of one pump. Stored in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsState {
    version: u32,
    /// The id of its baseline.
    baseline: String,
    /// One per channel of the profile.
    channels: Vec<ChannelState>,
    /// The quiet windows so far of an open episode; `None` if none is open.
    episode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelState {
    error: Averages,
    change: Averages,
}

/// The result for one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicsResult {
    /// The largest distance of a measure from what is usual, over its limit: above 1 is anomalous. 0 while nothing can be tested.
    pub score: f64,
    /// The channel and the measure with that distance; `None` while nothing can be tested.
    pub suspect: Option<Suspect>,
    /// Whether an episode is open.
    pub in_episode: bool,
}

/// The channel with the largest score, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// Its index in the profile.
    pub channel: usize,
    /// The measure with the score.
    pub measure: Measure,
    /// Whether the measure is larger than usual. A smaller one indicates a sensor that is stuck or slow.
    pub is_high: bool,
}

impl DynamicsState {
    /// An episode can only end below this score. Chosen.
    pub(crate) const QUIET: f64 = 0.85;

    /// Creates the state of a pump without any window yet.
    pub fn new(baseline: &DynamicsBaseline) -> DynamicsState {
        DynamicsState {
            version: DYNAMICS_VERSION,
            baseline: baseline.id().to_owned(),
            channels: vec![ChannelState::default(); baseline.channels()],
            episode: None,
        }
    }

    /// Refuses a stored state that is not of this baseline. Only a state that was checked may be used.
    pub fn check(&self, baseline: &DynamicsBaseline) -> Result<(), DynamicsError> {
        if self.version != DYNAMICS_VERSION {
            return Err(DynamicsError::Version { found: self.version });
        }
        if self.baseline != baseline.id() {
            let (found, expected) = (self.baseline.clone(), baseline.id().to_owned());
            return Err(DynamicsError::Id { found, expected });
        }
        let is_valid = |channel: &ChannelState| channel.error.is_valid() && channel.change.is_valid();
        if self.channels.len() != baseline.channels() || !self.channels.iter().all(is_valid) {
            return Err(DynamicsError::Shape);
        }
        Ok(())
    }

    /// Whether an episode is open.
    pub fn in_episode(&self) -> bool {
        self.episode.is_some()
    }

    /// Tests a window, by its measures of each channel of the profile. A channel without measures keeps its averages and is not
    /// tested.
    pub fn step(&mut self, baseline: &DynamicsBaseline, window: &WindowDynamics) -> DynamicsResult {
        let (mut score, mut suspect) = (0.0, None);
        for (channel, (state, measured)) in self.channels.iter_mut().zip(window).enumerate() {
            let Some(measured) = measured else { continue };
            for measure in Measure::ALL {
                let averages = state.add(measure, measured);
                let Some(excess) = baseline.excess(channel, measure, averages) else { continue };
                if suspect.is_none() || excess.score > score {
                    score = excess.score;
                    suspect = Some(Suspect { channel, measure, is_high: excess.is_high });
                }
            }
        }
        self.advance(score);
        DynamicsResult { score, suspect, in_episode: self.in_episode() }
    }

    fn advance(&mut self, score: f64) {
        self.episode = match self.episode {
            None => (score > 1.0).then_some(0),
            Some(_) if score >= Self::QUIET => Some(0),
            Some(quiet) => (quiet + 1 < QUIET_WINDOWS).then_some(quiet + 1),
        };
    }
}

impl ChannelState {
    fn add(&mut self, measure: Measure, measured: &ChannelDynamics) -> &Averages {
        let averages = match measure {
            Measure::Error => &mut self.error,
            Measure::Change => &mut self.change,
        };
        averages.add(measure.of(measured));
        averages
    }
}
