//! Pump profiles. A profile describes one kind of pump as data: its channels, the interval of its readings, and its
//! rules.
//!
//! A profile is read from TOML (`config/profiles/*.toml`). The caller reads the file.

use std::{collections::HashSet, fmt, ops::RangeInclusive, sync::Arc};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    Limits, Quantity, Rule, Sample,
    label::{LengthLimits, normalize},
    rule::InvalidRule,
    spelling::names_match,
};

/// One sensor of a profile.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name in posted items and in the API.
    pub name: String,
    /// What it measures.
    pub quantity: Quantity,
    /// The unit of its values, as displayed.
    pub unit: String,
    /// Lowest and highest value that a working sensor can send. If the range starts at 0, a value below 0 by at most
    /// [`ZERO_BAND`] times the highest value is a drifted zero: it is plausible, is stored as sent, and is 0 in the
    /// model's windows.
    pub plausible: [f64; 2],
    /// The smallest meaningful change, in the unit.
    pub resolution: f64,
    /// Alarm limits.
    #[serde(default)]
    pub limits: Limits,
    /// The pump runs while the channel is above this, in the unit. Absent: the channel does not show whether the pump
    /// runs.
    pub running_above: Option<f64>,
    /// How long its last value is used while no new one is sent, in seconds. For a sensor that is reported only on
    /// change. Absent: five intervals.
    pub hold_s: Option<i64>,
}

/// How far below 0 a working sensor may read if its range starts at 0, as a share of the highest value. NAMUR NE 43
/// lets a 4 to 20 mA transmitter read down to 3.8 mA, and defines lower currents as a fault.
pub const ZERO_BAND: f64 = 0.0125;

impl Channel {
    /// Returns a number that the sensor sent, with its quality.
    pub fn sample(&self, value: f64) -> Sample {
        if self.is_plausible(value) { Sample::Good(value) } else { Sample::Bad(value) }
    }

    /// Whether a working sensor can have sent `value`.
    pub fn is_plausible(&self, value: f64) -> bool {
        let [low, high] = self.plausible;
        let lowest = if low == 0.0 { -ZERO_BAND * high } else { low };
        (lowest..=high).contains(&value)
    }

    /// Returns the value that the model gets for a plausible value: 0 for a drifted zero.
    pub(crate) fn model_value(&self, value: f64) -> f64 {
        value.max(self.plausible[0])
    }
}

/// A kind of pump. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Profile(Arc<ProfileData>);

#[derive(Clone, PartialEq)]
struct ProfileData {
    name: String,
    title: String,
    interval_ms: i64,
    settle_ms: i64,
    channels: Vec<Channel>,
    rules: Vec<Rule>,
    alarms: Vec<toml::Table>,
    hash: String,
    /// See [`Profile::placeholder`].
    is_stand_in: bool,
}

/// The text is not a valid profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not TOML, or has a key that profiles do not have.
    #[error("the profile cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A key has an invalid value.
    #[error("{key} = {value:?}; allowed: {allowed}")]
    Value {
        /// The key, such as `channels.Motor_RPM.plausible`.
        key: String,
        /// The value in the file.
        value: String,
        /// The allowed values.
        allowed: String,
    },
}

/// The most channels of a pump. A minute with a reading in each of its 60,000 milliseconds has to fit into a stored
/// block, which holds 4,194,304 samples.
pub const MAX_CHANNELS: usize = 64;

/// Allowed values of a channel's `hold_s`, in seconds.
pub const HOLD_RANGE_S: RangeInclusive<i64> = 0..=86_400;

/// Allowed times between two readings of a pump, in milliseconds: a tenth of a second to a day. With one reading a day,
/// a window is 30 days long, and a baseline, which needs at least 100 windows, needs 130 days of stored readings.
pub const INTERVAL_RANGE_MS: RangeInclusive<i64> = 100..=86_400_000;

/// The longest `settle_s` (how long a pump must run after a start before it is scored), in seconds: one hour, or 30
/// intervals if they are longer.
const MAX_SETTLE_S: i64 = 3_600;
const MAX_SETTLE_STEPS: i64 = 30;

/// The interval of a stand-in profile, in milliseconds.
const STAND_IN_INTERVAL_MS: i64 = 1_000;
/// The resolution of a stand-in profile's channels: as many decimals as a page can show for any quantity.
const STAND_IN_RESOLUTION: f64 = 0.01;

/// Fields of a posted item and columns of a recording that cannot be channel names, however they are spelled.
const RESERVED_NAMES: [&str; 9] =
    ["pump_id", "pump", "device", "profile", "timestamp", "ts", "time", "datetime", "machine_status"];
/// The longest title, of a profile or of a rule.
const TITLE_LENGTHS: LengthLimits = LengthLimits { max_chars: 120, max_bytes: 480 };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: String,
    title: String,
    interval_ms: i64,
    #[serde(default = "default_settle_s")]
    settle_s: i64,
    channels: Vec<Channel>,
    #[serde(default)]
    rules: Vec<Rule>,
    /// Checked by `volute-alarm`, which knows alarms.
    #[serde(default)]
    alarms: Vec<toml::Table>,
}

/// The `settle_s` of a profile without one.
fn default_settle_s() -> i64 {
    60
}

impl Profile {
    /// Parses and validates a profile, except for its alarms: `volute_alarm::load_profile` checks these too.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let file: ProfileFile = toml::from_str(text)?;
        validate(&file)?;
        let hash = hash(file.interval_ms, &file.channels);
        let ProfileFile { name, title, interval_ms, settle_s, channels, rules, alarms } = file;
        let (settle_ms, is_stand_in) = (1_000 * settle_s, false);
        let data = ProfileData { name, title, interval_ms, settle_ms, channels, rules, alarms, hash, is_stand_in };
        Ok(Self(Arc::new(data)))
    }

    /// Returns a stand-in for a profile that cannot be read, so that readings of its pumps can be stored. Only the
    /// channels' names are known. Every number is plausible, and there are no units, limits and rules.
    pub fn placeholder(name: &str, channels: &[String]) -> Self {
        let channel = |name: &String| Channel {
            name: name.clone(),
            // Not shown, and no rule or model selects a channel by it.
            quantity: Quantity::Voltage,
            unit: String::new(),
            plausible: [f64::MIN, f64::MAX],
            resolution: STAND_IN_RESOLUTION,
            limits: Limits::default(),
            running_above: None,
            hold_s: None,
        };
        let channels: Vec<Channel> = channels.iter().map(channel).collect();
        let (interval_ms, settle_ms) = (STAND_IN_INTERVAL_MS, 1_000 * default_settle_s());
        let hash = hash(interval_ms, &channels);
        let (name, title, is_stand_in) = (name.to_owned(), name.to_owned(), true);
        let (rules, alarms) = (Vec::new(), Vec::new());
        Self(Arc::new(ProfileData { name, title, interval_ms, settle_ms, channels, rules, alarms, hash, is_stand_in }))
    }

    /// Returns whether this is a stand-in for a profile that cannot be read; see [`Profile::placeholder`].
    pub fn is_stand_in(&self) -> bool {
        self.0.is_stand_in
    }

    /// Returns whether both profiles are equal in everything that a profile's file contains. A profile is never equal
    /// to its stand-in.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    /// Returns the profile's short name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the profile's display name.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Returns the time between two readings, in milliseconds. It is also the length of one step of a window.
    pub fn interval_ms(&self) -> i64 {
        self.0.interval_ms
    }

    /// Returns the profile with another interval, for a pump that posts more or less often than the profile says. The
    /// hash changes, since a model for one interval cannot be used for another. None if the interval is not in
    /// [`INTERVAL_RANGE_MS`].
    pub fn with_interval(&self, interval_ms: i64) -> Option<Self> {
        if interval_ms == self.0.interval_ms {
            return Some(self.clone());
        }
        let hash = hash(interval_ms, &self.0.channels);
        let changed = || Self(Arc::new(ProfileData { interval_ms, hash, ..ProfileData::clone(&self.0) }));
        INTERVAL_RANGE_MS.contains(&interval_ms).then(changed)
    }

    /// Returns the profile with this `hold_s`, in [`HOLD_RANGE_S`], for all channels.
    pub fn with_hold(&self, hold_s: i64) -> Self {
        (0..self.channels().len()).fold(self.clone(), |profile, channel| profile.with_channel_hold(channel, hold_s))
    }

    /// Returns the profile with this `hold_s` for one channel, by its index.
    pub fn with_channel_hold(&self, channel: usize, hold_s: i64) -> Self {
        let mut inner = ProfileData::clone(&self.0);
        if let Some(channel) = inner.channels.get_mut(channel) {
            channel.hold_s = Some(hold_s);
        }
        Self(Arc::new(inner))
    }

    /// Returns the shortest `hold_s` of the channels, in seconds; 0 for a channel without one.
    pub fn min_hold_s(&self) -> i64 {
        self.channels().iter().map(|channel| channel.hold_s.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Returns how long a pump must run after a start before it is scored, in milliseconds.
    pub fn settle_ms(&self) -> i64 {
        self.0.settle_ms
    }

    /// Returns the channels, in the order of every reading, window and model of this profile.
    pub fn channels(&self) -> &[Channel] {
        &self.0.channels
    }

    /// Returns the channels' names, in order.
    pub fn channel_names(&self) -> impl Iterator<Item = &str> {
        self.0.channels.iter().map(|c| c.name.as_str())
    }

    /// Returns the index of a channel by its name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.channels.iter().position(|c| c.name == name)
    }

    /// Returns the index of the only channel whose name has the same letters and digits as `name`, regardless of case,
    /// spaces, dashes and underscores.
    pub fn index_of_similar(&self, name: &str) -> Option<usize> {
        let mut indexes = (0..self.0.channels.len()).filter(|&index| names_match(&self.0.channels[index].name, name));
        let first = indexes.next();
        first.filter(|_| indexes.next().is_none())
    }

    /// Returns whether both profiles have the same channels, quantities and units, in the same order.
    pub fn has_channels_of(&self, other: &Profile) -> bool {
        let same = |(a, b): (&Channel, &Channel)| (&a.name, a.quantity, &a.unit) == (&b.name, b.quantity, &b.unit);
        self.0.channels.len() == other.0.channels.len() && self.0.channels.iter().zip(&other.0.channels).all(same)
    }

    /// Returns whether the channels of both profiles have the same names, in the same order. Cheap for clones of one
    /// profile.
    pub fn has_channel_names_of(&self, other: &Profile) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.channel_names().eq(other.channel_names())
    }

    /// Returns the alarms of the profile's file, as tables. `volute_alarm::profile_alarms` parses them.
    pub fn alarm_tables(&self) -> &[toml::Table] {
        &self.0.alarms
    }

    /// Returns the maintenance rules.
    pub fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    /// Returns the SHA-256, in hex, of what a model depends on: the interval, and the names, quantities and units of
    /// the channels in order. Limits, ranges, resolutions, rules, `running_above` and `settle_s` may change without a
    /// new model.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, {} channels, {})", self.0.name, self.0.channels.len(), &self.0.hash[..8])
    }
}

fn validate(file: &ProfileFile) -> Result<(), ProfileError> {
    if !INTERVAL_RANGE_MS.contains(&file.interval_ms) {
        return invalid("interval_ms".into(), file.interval_ms.to_string(), "100 to 86400000");
    }
    let max_settle_s = MAX_SETTLE_S.max(MAX_SETTLE_STEPS * file.interval_ms / 1_000);
    if !(1..=max_settle_s).contains(&file.settle_s) {
        return invalid(
            "settle_s".into(),
            file.settle_s.to_string(),
            "1 to 3600, or up to 30 intervals if that is longer",
        );
    }
    let count = file.channels.len();
    if !(1..=MAX_CHANNELS).contains(&count) {
        return invalid("channels".into(), count.to_string(), "1 to 64 channels");
    }
    validate_title("title".into(), &file.title)?;
    validate_channels(&file.channels)?;
    validate_rules(file)
}

/// Validates a title. Titles are printed to terminals and shown in lists, so they must not contain line breaks or
/// control characters.
fn validate_title(key: String, title: &str) -> Result<(), ProfileError> {
    match normalize(title, TITLE_LENGTHS) {
        Ok(_) => Ok(()),
        Err(_) => {
            let shown: String = title.chars().take(TITLE_LENGTHS.max_chars).collect();
            invalid(key, shown, "1 to 120 characters that can all be seen")
        }
    }
}

/// Validates the limits: in ascending order, and within the plausible range. A limit outside that range would be
/// violated always or never.
fn validate_limits(channel: &Channel) -> Result<(), ProfileError> {
    let Limits { low_alarm, low_warning, high_warning, high_alarm } = channel.limits;
    let [low, high] = channel.plausible;
    let mut previous = low;
    let named = [
        ("low_alarm", low_alarm),
        ("low_warning", low_warning),
        ("high_warning", high_warning),
        ("high_alarm", high_alarm),
    ];
    for (name, limit) in named.into_iter().filter_map(|(name, limit)| Some((name, limit?))) {
        if !(limit >= previous && limit <= high) {
            let allowed = "a number within the plausible range; low_alarm, low_warning, high_warning, high_alarm in \
                           ascending order";
            return invalid(format!("channels.{}.limits.{name}", channel.name), limit.to_string(), allowed);
        }
        previous = limit;
    }
    Ok(())
}

fn invalid(key: String, value: String, allowed: &'static str) -> Result<(), ProfileError> {
    Err(ProfileError::Value { key, value, allowed: allowed.to_owned() })
}

fn validate_channels(channels: &[Channel]) -> Result<(), ProfileError> {
    let mut names = HashSet::new();
    for channel in channels {
        let key = |part: &str| format!("channels.{}.{part}", channel.name);
        let name = channel.name.as_str();
        let is_reserved = RESERVED_NAMES.iter().any(|reserved| names_match(reserved, name));
        if name.is_empty() || is_reserved || !names.insert(name) {
            let allowed =
                "a unique name, not pump_id, pump, device, profile, timestamp, ts, time, datetime or machine_status";
            return invalid(key("name"), name.into(), allowed);
        }
        let [low, high] = channel.plausible;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return invalid(key("plausible"), format!("[{low}, {high}]"), "two numbers, the lower first");
        }
        if !(channel.resolution.is_finite() && channel.resolution > 0.0) {
            return invalid(key("resolution"), channel.resolution.to_string(), "a number above 0");
        }
        validate_limits(channel)?;
        if let Some(hold_s) = channel.hold_s
            && !HOLD_RANGE_S.contains(&hold_s)
        {
            return invalid(key("hold_s"), hold_s.to_string(), "0 to 86400");
        }
        let shows_running = matches!(channel.quantity, Quantity::RotationalSpeed | Quantity::Current | Quantity::Power);
        if let Some(above) = channel.running_above
            && !(shows_running && above > 0.0 && above < high)
        {
            let allowed = "above 0 and below the plausible range's end, on a channel of speed, current or power";
            return invalid(key("running_above"), above.to_string(), allowed);
        }
    }
    Ok(())
}

fn validate_rules(file: &ProfileFile) -> Result<(), ProfileError> {
    let mut rule_names = HashSet::new();
    for rule in &file.rules {
        let key = |part: &str| format!("rules.{}.{part}", rule.name);
        if rule.name.is_empty() || !rule_names.insert(rule.name.as_str()) {
            return invalid(key("name"), rule.name.clone(), "a unique name");
        }
        validate_title(key("title"), &rule.title)?;
        if let Err(InvalidRule { key: part, value, allowed }) = rule.check() {
            return invalid(key(&part), value, allowed);
        }
        if !file.channels.iter().any(|c| c.quantity == rule.quantity) {
            return invalid(key("quantity"), format!("{:?}", rule.quantity), "a quantity that one of the channels has");
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
