//! `PATCH /api/pumps/{id}`: the display name of a pump.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_data::AuditAction;
use volute_plant::{PumpId, PumpName};

use crate::{
    audit::AuditedCommand,
    decode::{from_value, not_allowed},
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// A pump and its display name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedPump {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its display name; null if it has none.
    #[schema(value_type = Option<String>, required)]
    name: Option<PumpName>,
}

/// What to change of a pump.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PumpRequest, example = json!({"name": "Feed pump 3"}))]
pub(crate) struct PumpSchema {
    /// The display name, 1 to 80 visible characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, required)]
    name: NameChange,
}

/// A change of a pump's display name.
#[derive(Default, Deserialize)]
#[serde(try_from = "Value")]
enum NameChange {
    /// The field is absent, which is an error.
    #[default]
    Absent,
    Set(PumpName),
    Clear,
}

impl TryFrom<Value> for NameChange {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::Clear),
            Value::String(text) => match text.parse::<PumpName>() {
                Ok(name) => Ok(Self::Set(name)),
                Err(error) => Err(format!("{}; allowed: {}", error.why(), allowed())),
            },
            _ => Err(not_allowed(allowed())),
        }
    }
}

/// Returns the allowed names, for error messages.
fn allowed() -> String {
    format!("{}; or null", PumpName::ALLOWED)
}

/// Sets or removes the display name of a pump.
///
/// The name is shown beside the id. Posts, requests and files still identify the pump by its id. The change is durable when the
/// response is sent.
#[utoipa::path(
    patch,
    path = "/api/pumps/{id}",
    tag = "live",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = PumpSchema, description = "The display name"),
    responses(
        (status = 200, description = "The name is set or removed", body = NamedPump),
        Invalid, NotFound, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn name(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<NamedPump>, ApiError> {
    let name = parse(&body).map_err(ApiError::Invalid)?;
    let detail = name.as_ref().map_or_else(|| "no name".to_owned(), |name| format!("name {:?}", name.as_str()));
    let (engine, named_pump, new_name) = (node.engine.clone(), pump.clone(), name.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::NamePump, pump.as_str()).detail(&detail);
    let naming = async move {
        match engine.name_pump(&named_pump, new_name).await? {
            true => Ok(()),
            false => Err(ApiError::UnknownPump(named_pump)),
        }
    };
    command.execute(naming).await?;
    Ok(web::Json(NamedPump { pump_id: pump, name }))
}

fn parse(body: &Value) -> Result<Option<PumpName>, InvalidValue> {
    match from_value::<PumpSchema>(body, "field")?.name {
        NameChange::Set(name) => Ok(Some(name)),
        NameChange::Clear => Ok(None),
        NameChange::Absent => Err(InvalidValue::new("name", Value::Null, allowed(), "missing")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_visible_text_or_null() {
        for (body, name) in [
            (json!({"name": "Feed pump 3"}), Some("Feed pump 3")),
            (json!({"name": " Kühl\u{a0}wasser  *"}), Some("Kühl wasser *")),
            (json!({"name": null}), None),
        ] {
            assert_eq!(parse(&body).expect("a name").as_ref().map(PumpName::as_str), name, "{body}");
        }
        for (body, field) in [
            (json!([]), ""),
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": 3}), "name"),
            (json!({"name": "a\nb"}), "name"),
            (json!({"name": "a\u{202e}b"}), "name"),
            (json!({"name": "x".repeat(81)}), "name"),
            (json!({"name": "a", "pump_id": "b"}), "pump_id"),
        ] {
            assert_eq!(parse(&body).expect_err("refused").field, field, "{body}");
        }
    }
}
