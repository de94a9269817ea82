//! `/api/pumps/{id}/settings`: settings of one pump that override its profile.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_data::{AuditAction, PumpSettings};
use volute_plant::{HOLD_RANGE_S, INTERVAL_RANGE_MS, Profile, PumpId};

use crate::{
    audit::AuditedCommand,
    decode::{FromNumber, Number, from_value},
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    store_context::StoreContext,
};

/// The settings of a pump; null: as in its profile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The time between two of its readings, in milliseconds: the step of its windows.
    #[schema(required)]
    interval_ms: Option<i64>,
    /// How long the last value of a channel remains valid while no new one is sent, in seconds; for all channels.
    #[schema(required)]
    hold_s: Option<i64>,
    /// The hold time of single channels in seconds, by name; takes precedence over `hold_s`.
    channel_hold_s: BTreeMap<String, i64>,
    /// Why it was set, for people; empty if nothing is set.
    why: String,
}

impl SettingsResponse {
    fn new(pump_id: PumpId, settings: PumpSettings) -> Self {
        let PumpSettings { interval_ms, hold_s, channel_hold_s, why } = settings;
        Self { pump_id, interval_ms, hold_s, channel_hold_s, why }
    }
}

/// The settings of a pump. Fields that are absent or null are as in its profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PumpSettingsRequest, example = json!({"interval_ms": 60000, "channel_hold_s": {"Vibration_mm_s": 300}}))]
pub(crate) struct SettingsSchema {
    /// The time between two of its readings, in milliseconds, 100 to 86400000.
    #[schema(value_type = Option<i64>)]
    interval_ms: Option<Number<IntervalMs>>,
    /// How long the last value of a channel remains valid while no new one is sent, in seconds, 0 to 86400; for pumps that
    /// report only changes.
    #[schema(value_type = Option<i64>)]
    hold_s: Option<Number<HoldS>>,
    /// The hold time of single channels in seconds, by name; for pumps that report some channels only when they change.
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    channel_hold_s: Option<BTreeMap<String, Option<Number<HoldS>>>>,
}

/// An allowed interval of a pump, in milliseconds.
struct IntervalMs(i64);

impl FromNumber for IntervalMs {
    const ALLOWED: &'static str = "a whole number from 100 to 86400000, or null";

    fn from_number(number: &Value) -> Option<Self> {
        number.as_i64().filter(|ms| INTERVAL_RANGE_MS.contains(ms)).map(Self)
    }
}

/// An allowed hold time of a value, in seconds.
struct HoldS(i64);

impl FromNumber for HoldS {
    const ALLOWED: &'static str = "a whole number from 0 to 86400, or null";

    fn from_number(number: &Value) -> Option<Self> {
        number.as_i64().filter(|seconds| HOLD_RANGE_S.contains(seconds)).map(Self)
    }
}

/// The settings of a pump.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/settings",
    tag = "commissioning",
    params(("id" = String, Path, description = "The pump's id")),
    responses((status = 200, description = "The settings", body = SettingsResponse), Invalid, NotFound, Unavailable)
)]
pub(crate) async fn get(
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> Result<web::Json<SettingsResponse>, ApiError> {
    store.check_known(&pump)?;
    let settings = store.queries.pump_settings(&pump).await?;
    Ok(web::Json(SettingsResponse::new(pump, settings)))
}

/// Replaces the settings of a pump.
///
/// If the interval changes, the pump's baseline cannot be used any more, and the pump is `LEARNING` until it has a new one. If
/// the old baseline was learned from stored readings, the new one is learned from the stored readings of the same time range.
/// The change is durable when the response is sent.
#[utoipa::path(
    put,
    path = "/api/pumps/{id}/settings",
    tag = "commissioning",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = SettingsSchema, description = "The settings"),
    responses(
        (status = 200, description = "The settings are set", body = SettingsResponse),
        Invalid, NotFound, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn set(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<SettingsResponse>, ApiError> {
    let settings = parse(&body, &node.engine.profile_of(&pump)).map_err(ApiError::Invalid)?;
    let (engine, of, set) = (node.engine.clone(), pump.clone(), settings.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::SetPump, pump.as_str());
    let command = command.detail(&settings.summary());
    command.execute(async move { engine.set_pump_settings(&of, set).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(SettingsResponse::new(pump, settings)))
}

fn parse(body: &Value, profile: &Profile) -> Result<PumpSettings, InvalidValue> {
    let SettingsSchema { interval_ms, hold_s, channel_hold_s } = from_value(body, "field")?;
    let mut holds = BTreeMap::new();
    for (name, hold_s) in channel_hold_s.unwrap_or_default() {
        if profile.index_of(&name).is_none() {
            let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
            let (field, value) = (format!("channel_hold_s.{name}"), body["channel_hold_s"][&name].clone());
            return Err(InvalidValue::new(&field, value, allowed, "no such channel"));
        }
        if let Some(Number(HoldS(hold_s))) = hold_s {
            holds.insert(name, hold_s);
        }
    }
    let interval_ms = interval_ms.map(|Number(IntervalMs(ms))| ms);
    let hold_s = hold_s.map(|Number(HoldS(seconds))| seconds);
    let is_set = interval_ms.is_some() || hold_s.is_some() || !holds.is_empty();
    let why = if is_set { "as asked" } else { "" };
    Ok(PumpSettings { interval_ms, hold_s, channel_hold_s: holds, why: why.into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn the_allowed_ranges_match_their_texts() {
        let allowed = |range: &std::ops::RangeInclusive<i64>| {
            format!("a whole number from {} to {}, or null", range.start(), range.end())
        };
        assert_eq!(
            (IntervalMs::ALLOWED, HoldS::ALLOWED),
            (allowed(&INTERVAL_RANGE_MS).as_str(), allowed(&HOLD_RANGE_S).as_str())
        );
    }

    #[test]
    fn settings_are_validated() {
        for (body, interval_ms, hold_s, of_q) in [
            (json!({}), None, None, None),
            (json!({"interval_ms": 60_000}), Some(60_000), None, None),
            (json!({"interval_ms": null, "hold_s": 600, "channel_hold_s": null}), None, Some(600), None),
            (json!({"interval_ms": 100, "hold_s": 86_400}), Some(100), Some(86_400), None),
            (json!({"channel_hold_s": {"Q": 30, "Tb": null}}), None, None, Some(30)),
        ] {
            let settings = parse(&body, &profile()).expect("settings");
            assert_eq!((settings.interval_ms, settings.hold_s), (interval_ms, hold_s), "{body}");
            let is_set = interval_ms.is_some() || hold_s.is_some() || of_q.is_some();
            assert_eq!(settings.why.is_empty(), !is_set, "{body}");
            assert_eq!(
                settings.channel_hold_s.into_iter().collect::<Vec<_>>(),
                of_q.map_or(vec![], |s| vec![("Q".to_owned(), s)])
            );
        }
        for (body, field) in [
            (json!([]), ""),
            (json!({"interval": 1}), "interval"),
            (json!({"interval_ms": 99}), "interval_ms"),
            (json!({"interval_ms": 86_400_001}), "interval_ms"),
            (json!({"interval_ms": 172_800_000}), "interval_ms"),
            (json!({"interval_ms": "1 min"}), "interval_ms"),
            (json!({"hold_s": -1}), "hold_s"),
            (json!({"hold_s": 1.5}), "hold_s"),
            (json!({"channel_hold_s": 60}), "channel_hold_s"),
            (json!({"channel_hold_s": {"Q": 86_401}}), "channel_hold_s.Q"),
            (json!({"channel_hold_s": {"nothing": 60}}), "channel_hold_s.nothing"),
        ] {
            assert_eq!(parse(&body, &profile()).expect_err("refused").field, field, "{body}");
        }
    }
}
