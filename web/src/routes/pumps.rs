//! `GET /api/pumps` and `/api/profile`: which pumps there are, and what kind they are of.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::LivePump;
use volute_data::{PumpRecord, Store, StoreError};
use volute_plant::{Channel, Profile, PumpId};

use crate::{
    list::List,
    openapi::{Invalid, Unavailable},
    problem::ApiError,
    query::Params,
    routes::live::PumpStatus,
    server::Node,
};

/// How many pumps' last readings are looked up at once.
const LOOKUPS: usize = 16;

/// A registered pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PumpData {
    /// Its name.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its profile's name.
    profile: String,
    /// When it was first heard of.
    #[schema(format = DateTime)]
    registered_at: String,
    status: PumpStatus,
    /// How long ago its latest reading was received, in milliseconds; null if not since the node started.
    #[schema(required)]
    age_ms: Option<i64>,
    /// Its latest reading's time by the device's clock.
    #[schema(format = DateTime, required)]
    last_reading_at: Option<String>,
}

/// A kind of pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileData {
    /// Its short name.
    name: String,
    /// Its name for people.
    title: String,
    /// Time between two readings, in milliseconds.
    interval_ms: i64,
    /// Its channels, in the order of every object and column of channels.
    channels: Vec<ChannelData>,
}

/// One sensor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelData {
    /// Its wire name.
    name: String,
    /// The unit of its values.
    unit: String,
    /// The lowest and the highest value that a working sensor can send.
    plausible: [f64; 2],
    /// The smallest step that means anything, in the unit.
    resolution: f64,
    limits: LimitsData,
}

/// Alarm limits, in the channel's unit; null where none is watched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsData {
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

/// Every registered pump, by name, in one page.
#[utoipa::path(
    get,
    path = "/api/pumps",
    tag = "live",
    responses((status = 200, description = "Every pump", body = List<PumpData>), Invalid, Unavailable)
)]
pub(crate) async fn pumps(node: web::Data<Node>, request: HttpRequest) -> Result<web::Json<List<PumpData>>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    let store = node.engine.store();
    let mut live: BTreeMap<PumpId, LivePump> =
        node.engine.live_all().await.into_iter().map(|live| (live.pump.clone(), live)).collect();
    let rows = store.pumps().await?.into_iter().map(|record| {
        let live = live.remove(&record.id);
        async move {
            match live {
                Some(live) => Ok(PumpData::heard(record, &live)),
                None => PumpData::at_rest(record, store).await,
            }
        }
    });
    let mut items: Vec<PumpData> = stream::iter(rows).buffered(LOOKUPS).try_collect().await?;
    items.sort_by(|a, b| a.pump_id.cmp(&b.pump_id));
    Ok(web::Json(List { items, next_cursor: None }))
}

/// The kind of pump that this node watches.
#[utoipa::path(
    get,
    path = "/api/profile",
    tag = "live",
    responses((status = 200, description = "The profile", body = ProfileData), Invalid)
)]
pub(crate) async fn profile(node: web::Data<Node>, request: HttpRequest) -> Result<web::Json<ProfileData>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    Ok(web::Json(ProfileData::from(node.engine.profile())))
}

impl PumpData {
    fn heard(record: PumpRecord, live: &LivePump) -> Self {
        Self {
            pump_id: record.id,
            profile: record.profile,
            registered_at: record.registered_at.to_string(),
            status: PumpStatus::of(&live.status),
            age_ms: live.age_ms,
            last_reading_at: live.latest.as_ref().map(|(reading, _)| reading.at.to_string()),
        }
    }

    /// Not heard since the node started.
    async fn at_rest(record: PumpRecord, store: &Store) -> Result<Self, StoreError> {
        let last = store.latest_readings(&record.id, 1).await?.pop();
        Ok(Self {
            pump_id: record.id,
            profile: record.profile,
            registered_at: record.registered_at.to_string(),
            status: PumpStatus::Stale,
            age_ms: None,
            last_reading_at: last.map(|reading| reading.at.to_string()),
        })
    }
}

impl From<&Profile> for ProfileData {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name().to_owned(),
            title: profile.title().to_owned(),
            interval_ms: profile.interval_ms(),
            channels: profile.channels().iter().map(ChannelData::from).collect(),
        }
    }
}

impl From<&Channel> for ChannelData {
    fn from(channel: &Channel) -> Self {
        let limits = channel.limits;
        Self {
            name: channel.name.clone(),
            unit: channel.unit.clone(),
            plausible: channel.plausible,
            resolution: channel.resolution,
            limits: LimitsData {
                low_alarm: limits.low_alarm,
                low_warning: limits.low_warning,
                high_warning: limits.high_warning,
                high_alarm: limits.high_alarm,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn a_profile_is_told_with_its_channels() {
        let told = serde_json::to_value(ProfileData::from(&profile())).expect("JSON");
        assert_eq!(
            (&told["name"], &told["title"], &told["interval_ms"]),
            (&json!("small"), &json!("A pump for tests"), &json!(1000))
        );
        let limits = json!({"low_alarm": null, "low_warning": null, "high_warning": 80.0, "high_alarm": null});
        let bearing =
            json!({"name": "Tb", "unit": "°C", "plausible": [-40.0, 200.0], "resolution": 0.1, "limits": limits});
        assert_eq!((&told["channels"][0], &told["channels"][1]["name"]), (&bearing, &json!("Q")));
    }
}
