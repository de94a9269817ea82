//! `/api/pumps/{id}/settings`: what is set for one pump alone, in place of what its profile says.

use std::{collections::BTreeMap, ops::RangeInclusive};

use actix_web::{HttpMessage, HttpRequest, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_data::{AuditAction, PumpSettings};
use volute_plant::{HOLDS_S, INTERVALS_MS, Profile, PumpId, Rejection};

use crate::{
    audit::Order,
    body::media_type,
    openapi::{Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    problem::ApiError,
    query::{Params, parse_pump},
    server::Node,
};

/// What is set for a pump alone; null: as its profile says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsData {
    /// Which pump.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The time between two of its readings, in milliseconds: the steps of its windows.
    #[schema(required)]
    interval_ms: Option<i64>,
    /// How long the last value of each of its channels holds where no new one is sent, in seconds.
    #[schema(required)]
    hold_s: Option<i64>,
    /// The same of single channels, by name; goes before `hold_s`.
    channel_hold_s: BTreeMap<String, i64>,
    /// Who set it, for people; empty where nothing is set.
    why: String,
}

impl SettingsData {
    fn new(pump_id: PumpId, settings: PumpSettings) -> Self {
        let PumpSettings { interval_ms, hold_s, channel_hold_s, why } = settings;
        Self { pump_id, interval_ms, hold_s, channel_hold_s, why }
    }
}

/// What is to be set for a pump alone. What is absent or null is as its profile says.
#[derive(ToSchema)]
#[schema(as = PumpSettingsRequest, example = json!({"interval_ms": 60000, "channel_hold_s": {"Vibration_mm_s": 300}}))]
#[expect(dead_code, reason = "it describes what `parse` takes")]
pub(crate) struct SettingsShape {
    /// The time between two of its readings, in milliseconds, 100 to 3600000.
    interval_ms: Option<i64>,
    /// How long the last value of each of its channels holds where no new one is sent, in seconds, 0 to 86400: of a pump that
    /// reports only what has changed.
    hold_s: Option<i64>,
    /// The same of single channels, by name: of a pump some of whose channels are reported when they change.
    channel_hold_s: Option<BTreeMap<String, i64>>,
}

/// What is set for one pump alone.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/settings",
    tag = "commissioning",
    params(("id" = String, Path, description = "Which pump")),
    responses((status = 200, description = "What is set", body = SettingsData), Invalid, NotFound, Unavailable)
)]
pub(crate) async fn get(
    node: web::Data<Node>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<web::Json<SettingsData>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    let pump = parse_pump("id", &id)?;
    let store = node.engine.store();
    if !store.is_registered(&pump) {
        return Err(ApiError::UnknownPump(pump));
    }
    let settings = store.pump_settings(&pump).await?;
    Ok(web::Json(SettingsData::new(pump, settings)))
}

/// Sets what holds for one pump alone.
///
/// Where its interval changes, its baseline is of another one and is not used any more: it is learned anew, from the same stretch
/// of readings where there is one, and until then the pump is `LEARNING`. It is durable when it is answered.
#[utoipa::path(
    put,
    path = "/api/pumps/{id}/settings",
    tag = "commissioning",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
    request_body(content = SettingsShape, description = "What is to be set"),
    responses(
        (status = 200, description = "It is set", body = SettingsData),
        Invalid, NotFound, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn set(
    node: web::Data<Node>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<SettingsData>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    let pump = parse_pump("id", &id)?;
    let body = read_json(&node, &request, payload).await?;
    let settings = parse(&body, node.engine.profile()).map_err(ApiError::Invalid)?;
    let (engine, of, set) = (node.engine.clone(), pump.clone(), settings.clone());
    let order = Order::new(&node, &request, AuditAction::SetPump, pump.as_str()).detail(&in_words(&settings));
    order.carry_out(async move { engine.set_pump_settings(&of, set).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(SettingsData::new(pump, settings)))
}

/// A body that must be JSON, and must say so.
pub(crate) async fn read_json(node: &Node, request: &HttpRequest, payload: web::Payload) -> Result<Value, ApiError> {
    let body = node.read_body(request, payload).await?;
    let is_json = request.mime_type().ok().flatten().is_some_and(|kind| kind.essence_str() == "application/json");
    match is_json {
        true => serde_json::from_slice(&body.bytes).map_err(ApiError::not_json),
        false => Err(media_type(request, "application/json")),
    }
}

/// Settings in short, for the audit log.
fn in_words(settings: &PumpSettings) -> String {
    let said = |value: Option<i64>| value.map_or_else(|| "as the profile".to_owned(), |value| value.to_string());
    let mut words = format!("interval_ms {}, hold_s {}", said(settings.interval_ms), said(settings.hold_s));
    for (channel, hold_s) in &settings.channel_hold_s {
        words += &format!(", hold_s of {channel} {hold_s}");
    }
    words
}

fn parse(body: &Value, profile: &Profile) -> Result<PumpSettings, Rejection> {
    const FIELDS: [&str; 3] = ["interval_ms", "hold_s", "channel_hold_s"];
    let shape = "an object with interval_ms, hold_s and channel_hold_s, all optional";
    let Value::Object(fields) = body else { return Err(Rejection::new("", body.clone(), shape, "not an object")) };
    if let Some((name, value)) = fields.iter().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        return Err(Rejection::new(name, value.clone(), FIELDS.join(", "), "no such field"));
    }
    let field = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let interval_ms = number("interval_ms", field("interval_ms"), &INTERVALS_MS)?;
    let hold_s = number("hold_s", field("hold_s"), &HOLDS_S)?;
    let channel_hold_s = channel_holds(field("channel_hold_s"), profile)?;
    Ok(PumpSettings { interval_ms, hold_s, channel_hold_s, why: "as asked".into() })
}

fn channel_holds(value: &Value, profile: &Profile) -> Result<BTreeMap<String, i64>, Rejection> {
    let channels = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(channels) => channels,
        other => {
            let allowed = "an object of channels' names and seconds, or null";
            return Err(Rejection::new("channel_hold_s", other.clone(), allowed, "not allowed here"));
        }
    };
    let mut holds = BTreeMap::new();
    for (name, value) in channels {
        let field = format!("channel_hold_s.{name}");
        if profile.index_of(name).is_none() {
            let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
            return Err(Rejection::new(&field, value.clone(), allowed, "no such channel"));
        }
        if let Some(hold_s) = number(&field, value, &HOLDS_S)? {
            holds.insert(name.clone(), hold_s);
        }
    }
    Ok(holds)
}

/// A whole number that is allowed, or null.
fn number(field: &str, value: &Value, allowed: &RangeInclusive<i64>) -> Result<Option<i64>, Rejection> {
    if value.is_null() {
        return Ok(None);
    }
    value.as_i64().filter(|number| allowed.contains(number)).map(Some).ok_or_else(|| {
        let allowed = format!("a whole number from {} to {}, or null", allowed.start(), allowed.end());
        Rejection::new(field, value.clone(), allowed, "not allowed here")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::tests::profile;

    #[test]
    fn what_is_set_is_checked() {
        for (body, interval_ms, hold_s, of_q) in [
            (json!({}), None, None, None),
            (json!({"interval_ms": 60_000}), Some(60_000), None, None),
            (json!({"interval_ms": null, "hold_s": 600, "channel_hold_s": null}), None, Some(600), None),
            (json!({"interval_ms": 100, "hold_s": 86_400}), Some(100), Some(86_400), None),
            (json!({"channel_hold_s": {"Q": 30, "Tb": null}}), None, None, Some(30)),
        ] {
            let settings = parse(&body, &profile()).expect("settings");
            assert_eq!((settings.interval_ms, settings.hold_s), (interval_ms, hold_s), "{body}");
            assert_eq!(
                settings.channel_hold_s.into_iter().collect::<Vec<_>>(),
                of_q.map_or(vec![], |s| vec![("Q".to_owned(), s)])
            );
        }
        for (body, field) in [
            (json!([]), ""),
            (json!({"interval": 1}), "interval"),
            (json!({"interval_ms": 99}), "interval_ms"),
            (json!({"interval_ms": 3_600_001}), "interval_ms"),
            (json!({"interval_ms": 7_200_000}), "interval_ms"),
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
