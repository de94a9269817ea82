//! A profile as it is sent.

use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::{Channel, Profile, Quantity};

/// A profile: the channels of a kind of pump, and the interval of its readings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileResponse {
    /// Its short name.
    name: String,
    /// Its display name.
    title: String,
    /// The time between two readings, in milliseconds.
    interval_ms: i64,
    /// Its channels. All objects and columns of channels have this order.
    channels: Vec<ChannelResponse>,
}

/// A channel: the values of one sensor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelResponse {
    /// Its wire name.
    name: String,
    /// The measured quantity; `unknown` if the profile cannot be read.
    #[schema(value_type = String)]
    quantity: ShownQuantity,
    /// The unit of its values.
    unit: String,
    /// The lowest and the highest value that a working sensor can send, in the unit.
    plausible: [f64; 2],
    /// The smallest significant difference between two values, in the unit.
    resolution: f64,
    limits: LimitsResponse,
}

/// A quantity, or that it is not known.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ShownQuantity {
    Known(Quantity),
    Unknown(&'static str),
}

/// Alarm limits, in the channel's unit; null for limits that are not set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsResponse {
    /// A value below this raises an alarm.
    #[schema(required)]
    low_alarm: Option<f64>,
    /// A value below this raises a warning.
    #[schema(required)]
    low_warning: Option<f64>,
    /// A value above this raises a warning.
    #[schema(required)]
    high_warning: Option<f64>,
    /// A value above this raises an alarm.
    #[schema(required)]
    high_alarm: Option<f64>,
}

impl From<&Profile> for ProfileResponse {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name().to_owned(),
            title: profile.title().to_owned(),
            interval_ms: profile.interval_ms(),
            channels: profile.channels().iter().map(|channel| ChannelResponse::new(profile, channel)).collect(),
        }
    }
}

impl ChannelResponse {
    fn new(profile: &Profile, channel: &Channel) -> Self {
        let limits = channel.limits;
        let quantity = match profile.is_stand_in() {
            true => ShownQuantity::Unknown("unknown"),
            false => ShownQuantity::Known(channel.quantity),
        };
        Self {
            name: channel.name.clone(),
            quantity,
            unit: channel.unit.clone(),
            plausible: channel.plausible,
            resolution: channel.resolution,
            limits: LimitsResponse {
                low_alarm: limits.low_alarm,
                low_warning: limits.low_warning,
                high_warning: limits.high_warning,
                high_alarm: limits.high_alarm,
            },
        }
    }
}
