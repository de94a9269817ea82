//! What kind of pump this is: its channels, its interval and its rules, as data.
//!
//! A profile is read from TOML (`config/profiles/*.toml`). Deliberately absent: finding the file.

use std::{collections::HashSet, fmt, ops::RangeInclusive, sync::Arc};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Quantity, Rule, Sample, spelling::alike};

/// Alarm limits in the channel's unit; an absent one is not watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Below this: alarm.
    pub low_alarm: Option<f64>,
    /// Below this: warning.
    pub low_warning: Option<f64>,
    /// Above this: warning.
    pub high_warning: Option<f64>,
    /// Above this: alarm.
    pub high_alarm: Option<f64>,
}

/// One sensor of a profile.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The wire name.
    pub name: String,
    /// What it measures.
    pub quantity: Quantity,
    /// The unit of its values, as shown.
    pub unit: String,
    /// Lowest and highest value that a working sensor can send. Where the lowest is 0, a value up to [`ZERO_BAND`] of the
    /// highest below it is a sensor's zero that has drifted: plausible, stored as sent, and 0 to the model.
    pub plausible: [f64; 2],
    /// The smallest step that means anything, in the unit.
    pub resolution: f64,
    /// Alarm limits.
    #[serde(default)]
    pub limits: Limits,
    /// The pump runs while the channel is above this, in the unit. Absent: the channel says nothing of that.
    pub running_above: Option<f64>,
    /// How long its last value holds where no new one is sent, in seconds: of a sensor that is reported only when it changes.
    /// Absent: for five steps of the interval.
    pub hold_s: Option<i64>,
}

/// How far below a range that begins at 0 a working sensor may say 0, as a share of the range: NAMUR NE 43 has a
/// transmitter of 4 to 20 mA say down to 3.8 mA, and takes less for a fault.
pub const ZERO_BAND: f64 = 0.0125;

impl Channel {
    /// A number that the sensor sent, with its quality.
    pub fn sample(&self, value: f64) -> Sample {
        if self.is_plausible(value) { Sample::Good(value) } else { Sample::Bad(value) }
    }

    /// Whether a working sensor can have sent `value`.
    pub fn is_plausible(&self, value: f64) -> bool {
        let [low, high] = self.plausible;
        let lowest = if low == 0.0 { -ZERO_BAND * high } else { low };
        (lowest..=high).contains(&value)
    }

    /// What a plausible value means: below a range that begins at 0, 0.
    pub(crate) fn meant(&self, value: f64) -> f64 {
        value.max(self.plausible[0])
    }
}

/// A kind of pump. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Profile(Arc<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    name: String,
    title: String,
    interval_ms: i64,
    settle_ms: i64,
    channels: Vec<Channel>,
    rules: Vec<Rule>,
    hash: String,
}

/// The text is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or a key that profiles do not have.
    #[error("the profile cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A key with a value that makes no sense.
    #[error("{key} = {value:?}; allowed: {allowed}")]
    Value {
        /// The key, as `channels.Motor_RPM.plausible`.
        key: String,
        /// What the file says.
        value: String,
        /// What it may say.
        allowed: &'static str,
    },
}

/// The most channels of a pump. A minute with a reading at each of its 60,000 milliseconds has to fit into a stored block,
/// which has room for 4,194,304 samples.
pub const MAX_CHANNELS: usize = 64;

/// How long a channel's last value may hold, in seconds.
pub const HOLDS_S: RangeInclusive<i64> = 0..=86_400;

/// What the time between two readings of a pump may be, in milliseconds.
pub const INTERVALS_MS: RangeInclusive<i64> = 100..=3_600_000;

/// The keys of an item that are not channels.
const RESERVED: [&str; 4] = ["pump_id", "timestamp", "datetime", "machine_status"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    interval_ms: i64,
    #[serde(default = "settle_s")]
    settle_s: i64,
    channels: Vec<Channel>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// How long a pump settles where its profile does not say.
fn settle_s() -> i64 {
    60
}

impl Profile {
    /// Reads and checks a profile.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let file: File = toml::from_str(text)?;
        check(&file)?;
        let hash = hash(file.interval_ms, &file.channels);
        let File { name, title, interval_ms, settle_s, channels, rules } = file;
        Ok(Self(Arc::new(Inner { name, title, interval_ms, settle_ms: 1_000 * settle_s, channels, rules, hash })))
    }

    /// The profile's short name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The profile's name for people.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Time between two readings, in milliseconds; also the step of its model's windows.
    pub fn interval_ms(&self) -> i64 {
        self.0.interval_ms
    }

    /// The same kind of pump with another time between two readings: of a pump that posts at a cadence of its own. A model of the
    /// one is none of the other, so the hash is another. None where it is not one of [`INTERVALS_MS`].
    pub fn with_interval(&self, interval_ms: i64) -> Option<Self> {
        if interval_ms == self.0.interval_ms {
            return Some(self.clone());
        }
        let hash = hash(interval_ms, &self.0.channels);
        let with = || Self(Arc::new(Inner { interval_ms, hash, ..Inner::clone(&self.0) }));
        INTERVALS_MS.contains(&interval_ms).then(with)
    }

    /// The same kind of pump, the last value of each of whose channels holds for so many seconds, of [`HOLDS_S`], where no new one
    /// is sent.
    pub fn with_hold(&self, hold_s: i64) -> Self {
        (0..self.channels().len()).fold(self.clone(), |profile, channel| profile.with_channel_hold(channel, hold_s))
    }

    /// The same of one channel, by its place.
    pub fn with_channel_hold(&self, channel: usize, hold_s: i64) -> Self {
        let mut inner = Inner::clone(&self.0);
        if let Some(channel) = inner.channels.get_mut(channel) {
            channel.hold_s = Some(hold_s);
        }
        Self(Arc::new(inner))
    }

    /// For how long the values of all channels hold, in seconds: that of the channel whose value holds the shortest.
    pub fn all_hold_s(&self) -> i64 {
        self.channels().iter().map(|channel| channel.hold_s.unwrap_or(0)).min().unwrap_or(0)
    }

    /// How long a pump runs after a start until it is judged, in milliseconds.
    pub fn settle_ms(&self) -> i64 {
        self.0.settle_ms
    }

    /// The channels, in the order of every reading, window and model of this profile.
    pub fn channels(&self) -> &[Channel] {
        &self.0.channels
    }

    /// The channels' wire names, in order.
    pub fn channel_names(&self) -> impl Iterator<Item = &str> {
        self.0.channels.iter().map(|c| c.name.as_str())
    }

    /// The place of a channel in every reading.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.channels.iter().position(|c| c.name == name)
    }

    /// The place of the one channel whose name has the letters and digits of `name`, in whatever case and with whatever
    /// spaces, dashes and underscores between them.
    pub fn like(&self, name: &str) -> Option<usize> {
        let mut places = (0..self.0.channels.len()).filter(|&place| alike(&self.0.channels[place].name, name));
        let first = places.next();
        first.filter(|_| places.next().is_none())
    }

    /// The maintenance rules.
    pub fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    /// SHA-256, in hex, of what a model depends on: the interval and the ordered channels' names,
    /// quantities and units. Limits, ranges, resolutions, rules and what tells that a pump runs may change without a new
    /// model.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, {} channels, {})", self.0.name, self.0.channels.len(), &self.0.hash[..8])
    }
}

fn check(file: &File) -> Result<(), ProfileError> {
    if !INTERVALS_MS.contains(&file.interval_ms) {
        return fail("interval_ms".into(), file.interval_ms.to_string(), "100 to 3600000");
    }
    if !(1..=3_600).contains(&file.settle_s) {
        return fail("settle_s".into(), file.settle_s.to_string(), "1 to 3600");
    }
    let count = file.channels.len();
    if !(1..=MAX_CHANNELS).contains(&count) {
        return fail("channels".into(), count.to_string(), "1 to 64 channels");
    }
    check_channels(&file.channels)?;
    check_rules(file)
}

fn fail(key: String, value: String, allowed: &'static str) -> Result<(), ProfileError> {
    Err(ProfileError::Value { key, value, allowed })
}

fn check_channels(channels: &[Channel]) -> Result<(), ProfileError> {
    let mut names = HashSet::new();
    for channel in channels {
        let key = |part: &str| format!("channels.{}.{part}", channel.name);
        let name = channel.name.as_str();
        if name.is_empty() || RESERVED.contains(&name) || !names.insert(name) {
            return fail(
                key("name"),
                name.into(),
                "a name of its own, not pump_id, timestamp, datetime or machine_status",
            );
        }
        let [low, high] = channel.plausible;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return fail(key("plausible"), format!("[{low}, {high}]"), "two numbers, the lower first");
        }
        if !(channel.resolution.is_finite() && channel.resolution > 0.0) {
            return fail(key("resolution"), channel.resolution.to_string(), "a number above 0");
        }
        if let Some(hold_s) = channel.hold_s
            && !HOLDS_S.contains(&hold_s)
        {
            return fail(key("hold_s"), hold_s.to_string(), "0 to 86400");
        }
        let tells = matches!(channel.quantity, Quantity::RotationalSpeed | Quantity::Current);
        if let Some(above) = channel.running_above
            && !(tells && above > 0.0 && above < high)
        {
            let allowed = "above 0 and below the plausible range's end, on a channel of speed or current";
            return fail(key("running_above"), above.to_string(), allowed);
        }
    }
    Ok(())
}

fn check_rules(file: &File) -> Result<(), ProfileError> {
    let mut rule_names = HashSet::new();
    for rule in &file.rules {
        let key = |part: &str| format!("rules.{}.{part}", rule.name);
        if rule.name.is_empty() || !rule_names.insert(rule.name.as_str()) {
            return fail(key("name"), rule.name.clone(), "a name of its own");
        }
        if !rule.above.is_finite() {
            return fail(key("above"), rule.above.to_string(), "a number");
        }
        if !file.channels.iter().any(|c| c.quantity == rule.quantity) {
            return fail(key("quantity"), format!("{:?}", rule.quantity), "a quantity that one of the channels has");
        }
    }
    Ok(())
}

fn hash(interval_ms: i64, channels: &[Channel]) -> String {
    let mut sha = Sha256::new();
    sha.update(format!("interval_ms={interval_ms}\n"));
    for channel in channels {
        sha.update(format!("{}\t{:?}\t{}\n", channel.name, channel.quantity, channel.unit));
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests;
