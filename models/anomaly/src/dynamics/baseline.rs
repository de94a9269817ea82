//! What is usual for the measures of one pump, and how far they may be off.
//!
//! Each channel of a window has two *measures*: the error of its reconstruction, and how much it changes (`measure.rs`). Averages
//! of a measure with two time constants (`averages.rs`) are compared by their logarithms, so that twice as much and half as
//! much are equally far from usual. There is a limit above and one below. Each is the largest of
//!
//! - twice the largest distance from the median in commissioning, upwards or downwards,
//! - five standard deviations, because the largest of few windows says little, and
//! - 0.1, which is about 10 %.
//!
//! Example: the average of the flow's change has the median 0.90 spreads and was between 0.75 and 1.05 spreads. The standard
//! deviation of its logarithm is 0.05. The limits are 2 ln(1.05 / 0.90) = 0.31 above and 2 ln(0.90 / 0.75) = 0.36 below, so the
//! average may be between 0.63 and 1.23 spreads.

use serde::{Deserialize, Serialize};

use super::{
    averages::{Averages, TIME_CONSTANT_COUNT, TIME_CONSTANTS},
    error::{DYNAMICS_VERSION, DynamicsError},
    measure::{Measure, WindowDynamics},
    window::DYNAMICS_WINDOW,
};
use crate::{hex::sha256, quantile::median};

/// A limit is this many times the largest distance in commissioning. Chosen.
const LARGEST_FACTOR: f64 = 2.0;
/// A limit is at least this many standard deviations. Chosen.
const DEVIATIONS: f64 = 5.0;
/// A limit is at least this, in logarithms: a change by 10 % is never anomalous. Chosen.
const MIN_LIMIT: f64 = 0.1;
/// A time constant is used if commissioning has this many times the readings that an average over it contains. Statistics: the standard
/// deviation of ten independent averages is known to about 25 %.
const PERIODS_TO_LEARN: f64 = 20.0;
/// The share of commissioning, the newest, on which it is tried whether a measure would raise false alarms.
const HELD_BACK: f64 = 1.0 / 3.0;
/// The fewest windows in which a channel has measures, as a share of all. Chosen.
const MIN_MEASURED: f64 = 0.5;

/// Whether a measure of a channel has a vote, that is, counts in the score. It has if it would have raised no false alarm in the
/// last third of commissioning, with limits from the first two thirds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Vote {
    /// It counts: its largest score in the last third was this, at most 1.
    Earned(f64),
    /// It does not count: its largest score in the last third was this, above 1.
    Refused(f64),
    /// It does not count: the channel has no measures in most windows.
    NotMeasured,
}

/// What is usual for the dynamics of one pump. Unlike a network it belongs to one pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsBaseline {
    version: u32,
    /// The first 12 hex digits of a SHA-256 over the rest.
    id: String,
    /// The id of its network.
    network: String,
    /// The number of windows that it was learned from.
    windows: usize,
    /// One per channel of the profile.
    channels: Vec<ChannelBaseline>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelBaseline {
    error: MeasureBaseline,
    change: MeasureBaseline,
}

/// One measure of one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasureBaseline {
    vote: Vote,
    /// One per time constant; `None` if commissioning was too short for it.
    limits: [Option<Limit>; TIME_CONSTANT_COUNT],
}

/// The usual logarithm of an average, and how far above and below it may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    usual: f64,
    above: f64,
    below: f64,
}

/// A measure's distance from what is usual, over its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Excess {
    pub score: f64,
    pub is_high: bool,
}

impl DynamicsBaseline {
    /// The fewest windows to learn from.
    pub(crate) const MIN_WINDOWS: usize = windows_for(TIME_CONSTANTS[0]);

    /// Learns from the windows of a pump's commissioning, in order, as a [`super::DynamicsScorer`] with this network measured them.
    pub fn learn(
        network: &str,
        channels: usize,
        windows: &[WindowDynamics],
    ) -> Result<DynamicsBaseline, DynamicsError> {
        if windows.len() < Self::MIN_WINDOWS {
            return Err(DynamicsError::TooFew { found: windows.len(), expected: Self::MIN_WINDOWS });
        }
        if let Some(window) = windows.iter().find(|window| window.len() != channels) {
            return Err(DynamicsError::Channels { found: window.len(), expected: channels });
        }
        let learn = |channel: usize| {
            let learn = |measure: Measure| {
                let values: Vec<Option<f64>> = windows
                    .iter()
                    .map(|window| window[channel].as_ref().map(|measured| measure.of(measured)))
                    .collect();
                MeasureBaseline::learn(&values)
            };
            ChannelBaseline { error: learn(Measure::Error), change: learn(Measure::Change) }
        };
        let channels = (0..channels).map(learn).collect();
        let (id, network) = (String::new(), network.to_owned());
        let mut baseline =
            DynamicsBaseline { version: DYNAMICS_VERSION, id, network, windows: windows.len(), channels };
        baseline.id = baseline.expected_id();
        Ok(baseline)
    }

    /// Returns its id, which follows from its content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the id of the network that it is valid for.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Returns the number of channels of the profile.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Returns the number of windows that it was learned from.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// Returns whether a measure of a channel counts; `None` for a channel that does not exist.
    pub fn vote(&self, channel: usize, measure: Measure) -> Option<Vote> {
        self.channels.get(channel).map(|baseline| baseline.of(measure).vote)
    }

    /// Refuses a stored baseline of another version, network or number of channels, or whose content was changed.
    pub fn check(&self, network: &str, channels: usize) -> Result<(), DynamicsError> {
        if self.version != DYNAMICS_VERSION {
            return Err(DynamicsError::Version { found: self.version });
        }
        if self.network != network {
            return Err(DynamicsError::Id { found: self.network.clone(), expected: network.to_owned() });
        }
        if self.channels.len() != channels {
            return Err(DynamicsError::Channels { found: self.channels.len(), expected: channels });
        }
        let expected = self.expected_id();
        if self.id != expected {
            return Err(DynamicsError::Id { found: self.id.clone(), expected });
        }
        let is_valid = |baseline: &ChannelBaseline| Measure::ALL.iter().all(|measure| baseline.of(*measure).is_valid());
        if self.channels.iter().all(is_valid) { Ok(()) } else { Err(DynamicsError::Shape) }
    }

    /// Returns how far a measure of a channel is off, with the time constant for which this is most; `None` if the measure is not used or has
    /// no average yet.
    pub(super) fn excess(&self, channel: usize, measure: Measure, averages: &Averages) -> Option<Excess> {
        let baseline = self.channels.get(channel)?.of(measure);
        matches!(baseline.vote, Vote::Earned(_)).then(|| baseline.excess(averages))?
    }

    fn expected_id(&self) -> String {
        let DynamicsBaseline { version, id: _, network, windows, channels } = self;
        // `Debug` prints every number exactly.
        sha256(format!("{version} {network} {windows} {channels:?}").as_bytes())[..12].to_owned()
    }
}

impl ChannelBaseline {
    fn of(&self, measure: Measure) -> &MeasureBaseline {
        match measure {
            Measure::Error => &self.error,
            Measure::Change => &self.change,
        }
    }
}

impl MeasureBaseline {
    /// Learns from the values of commissioning, `None` where there is none.
    fn learn(values: &[Option<f64>]) -> MeasureBaseline {
        let measured = values.iter().flatten().count();
        if (measured as f64) < MIN_MEASURED * values.len() as f64 {
            return MeasureBaseline { vote: Vote::NotMeasured, limits: [None; TIME_CONSTANT_COUNT] };
        }
        let (first, held_back) = values.split_at(values.len() - (values.len() as f64 * HELD_BACK) as usize);
        let mut averages = Averages::default();
        let tried = MeasureBaseline { vote: Vote::Earned(0.0), limits: limits(first, values.len(), &mut averages) };
        let mut largest: f64 = 0.0;
        for value in held_back.iter().flatten() {
            averages.add(*value);
            largest = largest.max(tried.excess(&averages).map_or(0.0, |excess| excess.score));
        }
        let vote = if largest > 1.0 { Vote::Refused(largest) } else { Vote::Earned(largest) };
        MeasureBaseline { vote, limits: limits(values, values.len(), &mut Averages::default()) }
    }

    fn excess(&self, averages: &Averages) -> Option<Excess> {
        let of_time_constant = |index: usize| {
            let Limit { usual, above, below } = self.limits[index]?;
            let distance = averages.log(index)? - usual;
            let is_high = distance > 0.0;
            Some(Excess { score: if is_high { distance / above } else { -distance / below }, is_high })
        };
        (0..TIME_CONSTANT_COUNT).filter_map(of_time_constant).max_by(|a, b| a.score.total_cmp(&b.score))
    }

    fn is_valid(&self) -> bool {
        let is_valid = |limit: &Limit| limit.usual.is_finite() && limit.above > 0.0 && limit.below > 0.0;
        self.limits.iter().flatten().all(is_valid)
    }
}

/// Returns the limits for each time constant from values in order. `averages` are empty at first and have all values afterwards. `windows`:
/// the number of windows of the whole commissioning.
fn limits(values: &[Option<f64>], windows: usize, averages: &mut Averages) -> [Option<Limit>; TIME_CONSTANT_COUNT] {
    let mut logs: [Vec<f64>; TIME_CONSTANT_COUNT] = Default::default();
    for value in values.iter().flatten() {
        averages.add(*value);
        for (index, logs) in logs.iter_mut().enumerate() {
            logs.extend(averages.log(index));
        }
    }
    let mut limits = [None; TIME_CONSTANT_COUNT];
    for ((limit, logs), time_constant) in limits.iter_mut().zip(&logs).zip(TIME_CONSTANTS) {
        if windows >= windows_for(time_constant) && !logs.is_empty() {
            *limit = Some(Limit::of(logs));
        }
    }
    limits
}

impl Limit {
    /// Returns the limit from the logarithms of normal averages, of which there is at least one.
    fn of(logs: &[f64]) -> Limit {
        let usual = median(logs.iter().copied());
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / logs.len() as f64;
        let (mut above, mut below): (f64, f64) = (0.0, 0.0);
        for log in logs {
            above = above.max(log - usual);
            below = below.max(usual - log);
        }
        let limit = |largest: f64| (LARGEST_FACTOR * largest).max(DEVIATIONS * variance.sqrt()).max(MIN_LIMIT);
        Limit { usual, above: limit(above), below: limit(below) }
    }
}

/// Returns the fewest windows for a time constant.
const fn windows_for(time_constant: f64) -> usize {
    // An average with this time constant contains about twice as many windows, and the first window begins 29 steps
    // before its last.
    (PERIODS_TO_LEARN * (2.0 * time_constant + DYNAMICS_WINDOW as f64 - 1.0)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_module() {
        let logs: Vec<f64> = [0.75, 0.89, 0.90, 0.90, 0.91, 1.05].map(f64::ln).to_vec();
        let limit = Limit::of(&logs);
        let round = |value: f64| (100.0 * value).round() / 100.0;
        assert_eq!(round(limit.usual.exp()), 0.9);
        let spread: Vec<f64> = logs.iter().cycle().take(6).copied().chain([0.9f64.ln(); 60]).collect();
        let limit = Limit::of(&spread);
        assert_eq!((round(limit.above), round(limit.below)), (0.31, 0.36));
        assert_eq!((round((limit.usual - limit.below).exp()), round((limit.usual + limit.above).exp())), (0.63, 1.23));
    }

    #[test]
    fn few_windows_are_not_trusted_and_a_constant_has_a_limit() {
        let limit = Limit::of(&[0.0, 0.1, -0.1]);
        assert!((limit.above - 5.0 * (0.02f64 / 3.0).sqrt()).abs() < 1e-9 && limit.above == limit.below);
        assert_eq!(Limit::of(&[1.0; 9]), Limit { usual: 1.0, above: 0.1, below: 0.1 });
    }

    #[test]
    fn longer_time_constants_need_a_longer_commissioning() {
        assert_eq!(TIME_CONSTANTS.map(windows_for), [1_180, 2_980]);
        let values =
            |count: usize| -> Vec<Option<f64>> { (0..count).map(|index| Some(1.0 + (index % 7) as f64)).collect() };
        let known = |count| MeasureBaseline::learn(&values(count)).limits.map(|limit| limit.is_some());
        assert_eq!([known(2_979), known(2_980)], [[true, false], [true, true]]);
    }
}
