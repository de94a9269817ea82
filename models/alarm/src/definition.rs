//! Alarm definitions as people write them, in TOML (a profile) and in JSON (the API).
//!
//! An example:
//!
//! ```toml
//! [[alarms]]
//! id = "bearing-hot"
//! title = "Bearing hot"
//! condition = { kind = "high", channel = "Bearing_Temperature_C", limit = 93 }
//! priority = "high"
//! on_delay_s = 60
//! off_delay_s = 60
//! deadband = 1
//! holds_in = ["starting", "running", "stopping"]
//! latching = false
//! help = "Check the oil level and the cooling. Stop the pump if it still rises."
//! explained_by = ["pump-stale"]
//! ```
//!
//! Only `id`, `title`, `condition` and `priority` must be given; `defaults.rs` has the rest by quantity. Limits and
//! deadbands are in the channel's unit. Does not check a definition against a profile; see `armed.rs`.

use serde::{Deserialize, Serialize};

use crate::{AlarmId, Priority, StateSet, VibrationCategory, ZoneBoundary};

/// One alarm of a kind of pump, or of one pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmDefinition {
    /// Unique among the pump's alarms.
    pub id: AlarmId,
    /// What is wrong, for the operator.
    pub title: String,
    /// When it is raised.
    pub condition: Condition,
    /// How urgent it is.
    pub priority: Priority,
    /// How long the condition must hold before the alarm is raised, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delay_s: Option<f64>,
    /// How long the condition must be over before the alarm returns, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_delay_s: Option<f64>,
    /// How far the value must go back beyond the limit before the condition is over, in the unit of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadband: Option<f64>,
    /// In which operating states of the pump it holds. In the others it is suppressed by design.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_in: Option<StateSet>,
    /// Whether it stays after its condition is over until a person resets it.
    #[serde(default)]
    pub latching: bool,
    /// What to do about it, for the operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Alarms of the same pump that explain this one: while one of them stands, this one is suppressed by design.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explained_by: Vec<AlarmId>,
}

/// When an alarm is raised. Limits are in the channel's unit, and a value at the limit is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A channel is above a limit.
    High {
        /// The channel.
        channel: String,
        /// Raised above this.
        limit: f64,
    },
    /// A channel is above a second, more urgent limit.
    HighHigh {
        /// The channel.
        channel: String,
        /// Raised above this.
        limit: f64,
    },
    /// A channel is below a limit.
    Low {
        /// The channel.
        channel: String,
        /// Raised below this.
        limit: f64,
    },
    /// A channel is below a second, more urgent limit.
    LowLow {
        /// The channel.
        channel: String,
        /// Raised below this.
        limit: f64,
    },
    /// A channel changes quickly.
    RateOfChange {
        /// The channel.
        channel: String,
        /// Raised above this change, in the channel's unit per minute.
        limit_per_min: f64,
        /// The shortest time over which the change is measured, in seconds. It is at most about twice as long.
        over_s: f64,
        /// Which changes count.
        #[serde(default)]
        direction: Direction,
    },
    /// A channel is far from the pump's own usual level. Only for a pump with a baseline.
    Deviation {
        /// The channel.
        channel: String,
        /// Raised above this distance from the level, up or down, in spreads of the baseline.
        limit_spreads: f64,
    },
    /// An expression over channels is beyond a limit.
    Expression {
        /// Arithmetic over channels; see [`crate::Expression`].
        expression: String,
        /// Which side of the limit raises.
        when: Side,
        /// The limit, in the expression's unit.
        limit: f64,
    },
    /// A vibration velocity is above a zone's boundary by ISO 10816-7.
    VibrationZone {
        /// The channel, a vibration in mm/s RMS.
        channel: String,
        /// The pump's category.
        category: VibrationCategory,
        /// The pump's rated power, in kW.
        power_kw: f64,
        /// The boundary.
        boundary: ZoneBoundary,
    },
    /// Nothing was received for a while.
    NoData {
        /// The channel that has no value; none: nothing at all is received from the pump.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        /// Raised after this time, in seconds.
        after_s: f64,
    },
    /// A channel sends values that a working sensor cannot send.
    BadQuality {
        /// The channel.
        channel: String,
    },
    /// The model detects an anomaly.
    ModelAnomaly {},
    /// A part of the node is not healthy.
    NodeHealth {
        /// The part.
        part: NodePart,
    },
}

/// Which changes count for a rate of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Up and down.
    #[default]
    Either,
    /// Up only.
    Rising,
    /// Down only.
    Falling,
}

/// Which side of a limit raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// A part of the node that can be out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodePart {
    /// The disk is nearly full.
    Disk,
    /// The database does not respond.
    Database,
    /// The journal cannot write.
    Journal,
    /// A part of the program failed and stays down.
    Actor,
}

impl NodePart {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Disk, Self::Database, Self::Journal, Self::Actor];

    /// Returns its name in definitions and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Database => "database",
            Self::Journal => "journal",
            Self::Actor => "actor",
        }
    }
}

impl AlarmDefinition {
    /// Creates a definition with the defaults for everything else.
    pub fn new(id: AlarmId, title: impl Into<String>, priority: Priority, condition: Condition) -> Self {
        Self {
            id,
            title: title.into(),
            condition,
            priority,
            on_delay_s: None,
            off_delay_s: None,
            deadband: None,
            holds_in: None,
            latching: false,
            help: String::new(),
            explained_by: Vec::new(),
        }
    }
}

impl Condition {
    /// The channel that it is about, if it is about one.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::High { channel, .. }
            | Self::HighHigh { channel, .. }
            | Self::Low { channel, .. }
            | Self::LowLow { channel, .. }
            | Self::RateOfChange { channel, .. }
            | Self::Deviation { channel, .. }
            | Self::VibrationZone { channel, .. }
            | Self::BadQuality { channel } => Some(channel),
            Self::NoData { channel, .. } => channel.as_deref(),
            Self::Expression { .. } | Self::ModelAnomaly {} | Self::NodeHealth { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
