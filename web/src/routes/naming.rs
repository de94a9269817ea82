//! `PATCH /api/pumps/{id}`: what people call a pump, beside its id.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_data::AuditAction;
use volute_plant::{PumpId, PumpName};

use crate::{
    audit::AuditedCommand,
    decode::{from_value, refused},
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// A pump and its name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedPump {
    /// Which pump.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its name for people; null: it has none.
    #[schema(value_type = Option<String>, required)]
    name: Option<PumpName>,
}

/// What is to be changed of a pump.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PumpRequest, example = json!({"name": "Feed pump 3"}))]
pub(crate) struct PumpSchema {
    /// Its name for people, 1 to 80 characters that can all be seen; null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, required)]
    name: NameChange,
}

/// What becomes of a pump's name.
#[derive(Default, Deserialize)]
#[serde(try_from = "Value")]
enum NameChange {
    /// Nothing is said of it, which is refused.
    #[default]
    Absent,
    Give(PumpName),
    TakeAway,
}

impl TryFrom<Value> for NameChange {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::TakeAway),
            Value::String(text) => match text.parse::<PumpName>() {
                Ok(name) => Ok(Self::Give(name)),
                Err(no) => Err(format!("{}; allowed: {}", no.why(), allowed())),
            },
            _ => Err(refused(allowed())),
        }
    }
}

/// What a name may be, for error messages.
fn allowed() -> String {
    format!("{}; or null", PumpName::ALLOWED)
}

/// Names a pump for people, or takes its name away.
///
/// The name is shown beside the id, and by the id the pump is known everywhere: a post, a question and a file name it by
/// that. It is durable when it is answered.
#[utoipa::path(
    patch,
    path = "/api/pumps/{id}",
    tag = "live",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
    request_body(content = PumpSchema, description = "The name"),
    responses(
        (status = 200, description = "It is named", body = NamedPump),
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
    let (engine, of, given) = (node.engine.clone(), pump.clone(), name.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::NamePump, pump.as_str()).detail(&detail);
    let naming = async move {
        match engine.name_pump(&of, given).await? {
            true => Ok(()),
            false => Err(ApiError::UnknownPump(of)),
        }
    };
    command.carry_out(naming).await?;
    Ok(web::Json(NamedPump { pump_id: pump, name }))
}

fn parse(body: &Value) -> Result<Option<PumpName>, InvalidValue> {
    match from_value::<PumpSchema>(body, "field")?.name {
        NameChange::Give(name) => Ok(Some(name)),
        NameChange::TakeAway => Ok(None),
        NameChange::Absent => Err(InvalidValue::new("name", Value::Null, allowed(), "missing")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_text_that_can_be_seen_or_null() {
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
