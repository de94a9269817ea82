//! A profile as it goes over the wire.

use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::{Channel, Profile, Quantity};

/// A kind of pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileResponse {
    /// Its short name.
    name: String,
    /// Its name for people.
    title: String,
    /// Time between two readings, in milliseconds.
    interval_ms: i64,
    /// Its channels, in the order of every object and column of channels.
    channels: Vec<ChannelResponse>,
}

/// One sensor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelResponse {
    /// Its wire name.
    name: String,
    /// What it measures.
    #[schema(value_type = String)]
    quantity: Quantity,
    /// The unit of its values.
    unit: String,
    /// The lowest and the highest value that a working sensor can send.
    plausible: [f64; 2],
    /// The smallest step that means anything, in the unit.
    resolution: f64,
    limits: LimitsResponse,
}

/// Alarm limits, in the channel's unit; null where none is watched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsResponse {
    /// Below this: alarm.
    #[schema(required)]
    low_alarm: Option<f64>,
    /// Below this: warning.
    #[schema(required)]
    low_warning: Option<f64>,
    /// Above this: warning.
    #[schema(required)]
    high_warning: Option<f64>,
    /// Above this: alarm.
    #[schema(required)]
    high_alarm: Option<f64>,
}

impl From<&Profile> for ProfileResponse {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name().to_owned(),
            title: profile.title().to_owned(),
            interval_ms: profile.interval_ms(),
            channels: profile.channels().iter().map(ChannelResponse::from).collect(),
        }
    }
}

impl From<&Channel> for ChannelResponse {
    fn from(channel: &Channel) -> Self {
        let limits = channel.limits;
        Self {
            name: channel.name.clone(),
            quantity: channel.quantity,
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
