//! `/api/pumps/{id}/settings`: what is set for one pump alone, in place of what its profile says.

use actix_web::{HttpMessage, HttpRequest, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_data::{AuditAction, PumpSettings};
use volute_plant::{HOLDS_S, INTERVALS_MS, PumpId, Rejection};

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
}

/// What is to be set for a pump alone. What is absent or null is as its profile says.
#[derive(ToSchema)]
#[schema(as = PumpSettingsRequest, example = json!({"interval_ms": 60000}))]
#[expect(dead_code, reason = "it describes what `parse` takes")]
pub(crate) struct SettingsShape {
    /// The time between two of its readings, in milliseconds, 100 to 3600000.
    interval_ms: Option<i64>,
    /// How long the last value of each of its channels holds where no new one is sent, in seconds, 0 to 86400: of a pump that
    /// reports only what has changed.
    hold_s: Option<i64>,
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
    let settings = parse(&read_json(&node, &request, payload).await?).map_err(ApiError::Invalid)?;
    let said = |value: Option<i64>| value.map_or_else(|| "as the profile".to_owned(), |value| value.to_string());
    let detail =
        format!("interval_ms {}, hold_s {}", said(settings.interval_ms), said(settings.hold_ms.map(|ms| ms / 1_000)));
    let (engine, of, set) = (node.engine.clone(), pump.clone(), settings.clone());
    let order = Order::new(&node, &request, AuditAction::SetPump, pump.as_str()).detail(&detail);
    order.carry_out(async move { engine.set_pump_settings(&of, set).await.map_err(ApiError::from) }).await?;
    let PumpSettings { interval_ms, hold_ms, .. } = settings;
    Ok(web::Json(SettingsData { pump_id: pump, interval_ms, hold_s: hold_ms.map(|ms| ms / 1_000) }))
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

fn parse(body: &Value) -> Result<PumpSettings, Rejection> {
    let shape = "an object with interval_ms and hold_s, both optional";
    let Value::Object(fields) = body else { return Err(Rejection::new("", body.clone(), shape, "not an object")) };
    if let Some((name, value)) = fields.iter().find(|(name, _)| !["interval_ms", "hold_s"].contains(&name.as_str())) {
        return Err(Rejection::new(name, value.clone(), "interval_ms, hold_s", "no such field"));
    }
    let number = |name: &str, allowed: &std::ops::RangeInclusive<i64>| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().filter(|number| allowed.contains(number)).map(Some).ok_or_else(|| {
            let allowed = format!("a whole number from {} to {}, or null", allowed.start(), allowed.end());
            Rejection::new(name, value.clone(), allowed, "not allowed here")
        }),
    };
    let (interval_ms, hold_s) = (number("interval_ms", &INTERVALS_MS)?, number("hold_s", &HOLDS_S)?);
    Ok(PumpSettings { interval_ms, hold_ms: hold_s.map(|s| 1_000 * s), why: "as asked".into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_set_is_checked() {
        for (body, interval_ms, hold_ms) in [
            (json!({}), None, None),
            (json!({"interval_ms": 60_000}), Some(60_000), None),
            (json!({"interval_ms": null, "hold_s": 600}), None, Some(600_000)),
            (json!({"interval_ms": 100, "hold_s": 86_400}), Some(100), Some(86_400_000)),
        ] {
            let settings = parse(&body).expect("settings");
            assert_eq!((settings.interval_ms, settings.hold_ms), (interval_ms, hold_ms), "{body}");
        }
        for (body, field) in [
            (json!([]), ""),
            (json!({"interval": 1}), "interval"),
            (json!({"interval_ms": 99}), "interval_ms"),
            (json!({"interval_ms": 3_600_001}), "interval_ms"),
            (json!({"interval_ms": "1 min"}), "interval_ms"),
            (json!({"hold_s": -1}), "hold_s"),
            (json!({"hold_s": 1.5}), "hold_s"),
        ] {
            assert_eq!(parse(&body).expect_err("refused").field, field, "{body}");
        }
    }
}
