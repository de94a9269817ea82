//! `/api/profiles` and `/api/pumps/{id}/profile`: the kinds of pumps (profile and model) of this node, and the profile of a
//! pump.
//!
//! A kind is added with PUT under its name, so a client that does not know whether it exists can send it again.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{AssignProfileError, KindParts};
use volute_data::{AuditAction, Completeness};
use volute_plant::{ProfileError, PumpId};

use crate::{
    audit::AuditedCommand,
    decode::{from_value, not_allowed},
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    item::ignored::truncated,
    list::List,
    new_kinds::{AddedKind, NewKind, NewModel},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{
        Conflict, DiskFull, Invalid, NameTaken, NotFound, ProfileInUse, Slow, TooLarge, TooMany, Unavailable,
        UnknownProfile, Unsupported,
    },
    wire::ProfileResponse,
};

/// The maximum length of a parser's error in a response, in characters. The error may repeat what was sent.
const MAX_SHOWN_CHARS: usize = 200;

/// A kind of pump: a profile and its model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindResponse {
    /// The profile.
    #[serde(flatten)]
    profile: ProfileResponse,
    /// The id of the model that scores the windows of its pumps; null if they are not scored.
    #[schema(required)]
    model: Option<String>,
    /// Why the profile cannot be read, for people; null if it can be read. Until a damaged profile is added again, only the
    /// names of its channels are known, and the readings of its pumps are stored and shown but not evaluated.
    #[schema(required)]
    damage: Option<String>,
}

/// A profile that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedProfileResponse {
    /// The profile's name.
    profile: String,
}

/// The profile of a pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssignedProfileResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The profile's name.
    profile: String,
}

/// The profile to assign to a pump.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AssignProfileRequest, example = json!({"profile": "skab"}))]
pub(crate) struct AssignSchema {
    /// The profile's name.
    profile: String,
}

/// A kind of pump to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddProfileRequest)]
pub(crate) struct AddProfileSchema {
    /// The profile, as the text of its file (TOML).
    profile: String,
    /// The model that scores its pumps' windows; absent or null: the model that the kind has already, or none.
    model: Option<ModelSchema>,
}

/// The two files of a model.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object of manifest and weights")]
#[schema(as = AddProfileModel)]
pub(crate) struct ModelSchema {
    /// `manifest.json`.
    #[schema(value_type = Object)]
    manifest: Value,
    /// `model.safetensors`, in base64 (RFC 4648, with padding).
    #[schema(value_type = String)]
    weights: Base64,
}

/// Bytes in base64.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Base64(Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        BASE64_STANDARD.decode(text).map(Self).map_err(|_| not_allowed("base64 (RFC 4648), with padding"))
    }
}

impl From<KindParts> for KindResponse {
    fn from(kind: KindParts) -> Self {
        let model = kind.model.as_ref().map(|model| model.id().to_string());
        let damage = kind.damage.map(|why| why.to_string());
        Self { profile: ProfileResponse::from(&kind.profile), model, damage }
    }
}

/// All kinds of pumps of this node, by name, in one page.
#[utoipa::path(
    get,
    path = "/api/profiles",
    tag = "live",
    responses((status = 200, description = "All kinds", body = List<KindResponse>), Invalid, Unavailable)
)]
pub(crate) async fn profiles(node: web::Data<Node>, _: Query<NoParameters>) -> web::Json<List<KindResponse>> {
    web::Json(List::single_page(
        node.engine.kinds().into_iter().map(KindResponse::from).collect(),
        Completeness::Complete,
    ))
}

/// One kind of pump.
#[utoipa::path(
    get,
    path = "/api/profiles/{name}",
    tag = "live",
    params(("name" = String, Path, description = "The profile's name")),
    responses((status = 200, description = "The kind", body = KindResponse), Invalid, NotFound, Unavailable)
)]
pub(crate) async fn profile_named(
    node: web::Data<Node>,
    _: Query<NoParameters>,
    name: web::Path<String>,
) -> Result<web::Json<KindResponse>, ApiError> {
    let kinds = node.engine.kinds();
    let known = || kinds.iter().map(|kind| kind.profile.name().to_owned()).collect::<Vec<_>>().join(", ");
    match kinds.iter().find(|kind| kind.profile.name() == name.as_str()) {
        Some(kind) => Ok(web::Json(kind.clone().into())),
        None => Err(AssignProfileError::UnknownProfile { name: name.into_inner(), known: known() }.into()),
    }
}

/// The kind of one pump. For an unknown pump, the node's default kind.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/profile",
    tag = "live",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    responses((status = 200, description = "The pump's kind", body = KindResponse), Invalid, Unavailable)
)]
pub(crate) async fn profile_of_pump(
    node: web::Data<Node>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> web::Json<KindResponse> {
    web::Json(node.engine.kind_parts_of(&pump).into())
}

/// Adds a kind of pump: a profile, and optionally its model.
///
/// The request is validated completely before anything is written, and the kind is on disk when the response is sent. From
/// then on, posts may name it. The same profile may be sent again with another model. When the response is sent, all pumps of
/// the profile use that model, and learn their baselines again. A profile that cannot be read is repaired by sending it again.
/// A different profile under the same name is refused (409). The body may have at most `server.max_body_bytes` (8 MiB by
/// default); a larger model is added with `volute profiles add` on the node's machine.
#[utoipa::path(
    put,
    path = "/api/profiles/{name}",
    tag = "commissioning",
    params(("name" = String, Path, description = "The profile's name, as in its text")),
    request_body(content = AddProfileSchema, description = "The kind"),
    responses(
        (status = 201, description = "The kind is added", body = KindResponse),
        (status = 200, description = "The profile existed; it is repaired if it could not be read, and its model is replaced if one was sent", body = KindResponse),
        Invalid, NameTaken, Slow, TooLarge, Unsupported, TooMany, DiskFull, Unavailable
    )
)]
pub(crate) async fn add_profile(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    name: web::Path<String>,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let command = AuditedCommand::new(&node, &request, AuditAction::AddProfile, &name).detail(&audit_detail(&body));
    let kinds = node.kinds.clone();
    let work = async move {
        let new = parse_kind(&name, &body).map_err(ApiError::Invalid)?;
        kinds.add(new).await.map_err(ApiError::from)
    };
    let AddedKind { kind, is_new } = command.execute(work).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(KindResponse::from(kind)))
}

/// Removes a kind of pump: a profile that was added, and its model.
///
/// Refused (409) while a pump has the profile, and for the profile of the node's configuration. It is deleted from the disk
/// when the response is sent.
#[utoipa::path(
    delete,
    path = "/api/profiles/{name}",
    tag = "commissioning",
    params(("name" = String, Path, description = "The profile's name")),
    responses(
        (status = 200, description = "The kind is removed", body = RemovedProfileResponse),
        Invalid, UnknownProfile, ProfileInUse, Unavailable
    )
)]
pub(crate) async fn remove_profile(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    name: web::Path<String>,
) -> Result<web::Json<RemovedProfileResponse>, ApiError> {
    let (kinds, profile) = (node.kinds.clone(), name.into_inner());
    let command = AuditedCommand::new(&node, &request, AuditAction::RemoveProfile, &profile);
    let name = profile.clone();
    command.execute(async move { kinds.remove(name).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(RemovedProfileResponse { profile }))
}

/// Parses the body, whose text must be a profile of this name. Whether the model fits the profile is checked when the kind
/// is added.
fn parse_kind(name: &str, body: &Value) -> Result<NewKind, InvalidValue> {
    // A refused value may be megabytes long.
    let sent = from_value(body, "field").map_err(|error| InvalidValue { value: truncated(&error.value), ..error })?;
    let AddProfileSchema { profile, model } = sent;
    let parsed = volute_alarm::load_profile(&profile).map_err(|error| invalid_profile(&profile, &error))?;
    if parsed.name() != name {
        let value = truncated(&parsed.name().into());
        return Err(InvalidValue::new("profile.name", value, name, "another name than in the path"));
    }
    let files = |ModelSchema { manifest, weights: Base64(weights) }: ModelSchema| NewModel {
        manifest: manifest.to_string().into_bytes(),
        weights,
    };
    Ok(NewKind { profile, model: model.map(files) })
}

/// Converts the error of a text that is not a profile. It names the key or the line.
fn invalid_profile(text: &str, error: &ProfileError) -> InvalidValue {
    match error {
        ProfileError::Value { key, value, allowed } => {
            let value = truncated(&value.as_str().into());
            InvalidValue::unspecific(&format!("profile.{key}"), value, allowed.as_str())
        }
        ProfileError::Toml(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let reason: String = error.message().chars().take(MAX_SHOWN_CHARS).collect();
            let value = truncated(&text.into());
            InvalidValue::new("profile", value, "a profile in TOML", &format!("{reason} at line {line}"))
        }
    }
}

/// Returns the details for the audit log: the id of the model, if there is one.
fn audit_detail(body: &Value) -> String {
    match &body["model"]["manifest"]["id"] {
        Value::String(id) => format!("with the model {}", truncated(&id.as_str().into()).as_str().unwrap_or_default()),
        _ => "without a model".to_owned(),
    }
}

/// Assigns another profile with the same channels to a pump.
///
/// The pump's stored data are kept. Its limits and rules are those of the new profile, and it is commissioned again: until
/// that is done it is `LEARNING`. Posts for the pump are refused meanwhile (503, to be sent again). The change is durable
/// when the response is sent.
#[utoipa::path(
    put,
    path = "/api/pumps/{id}/profile",
    tag = "commissioning",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = AssignSchema, description = "The profile"),
    responses(
        (status = 200, description = "The profile is assigned", body = AssignedProfileResponse),
        Invalid, NotFound, Conflict, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn assign_profile(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<AssignedProfileResponse>, ApiError> {
    let AssignSchema { profile } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (engine, of, name) = (node.engine.clone(), pump.clone(), profile.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::AssignProfile, pump.as_str()).detail(&profile);
    command.execute(async move { engine.assign_profile(&of, &name).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(AssignedProfileResponse { pump_id: pump, profile }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SMALL: &str = "name = \"small\"\ntitle = \"A bearing\"\ninterval_ms = 1000\n[[channels]]\nname = \"Tb\"\n\
        quantity = \"bearing_temperature\"\nunit = \"°C\"\nplausible = [0, 200]\nresolution = 0.1\n";

    #[test]
    fn a_kind_is_parsed_with_and_without_a_model() {
        let without_model = parse_kind("small", &json!({"profile": SMALL, "model": null})).expect("a kind");
        assert_eq!((without_model.profile.as_str(), without_model.model.is_none()), (SMALL, true));
        let body = json!({"profile": SMALL, "model": {"manifest": {"id": "m-1", "p99": 0.1}, "weights": "AAH/"}});
        let NewModel { manifest, weights } = parse_kind("small", &body).expect("a kind").model.expect("a model");
        assert_eq!((manifest.as_slice(), weights.as_slice()), (&br#"{"id":"m-1","p99":0.1}"#[..], &[0, 1, 255][..]));
        assert_eq!(audit_detail(&body), "with the model m-1");
    }

    #[test]
    fn errors_name_the_invalid_field() {
        let model = |weights: &str| json!({"profile": SMALL, "model": {"manifest": {}, "weights": weights}});
        let slow = SMALL.replace("1000", "1");
        let longest = "*".repeat(100_000);
        for (name, body, field, allowed) in [
            ("small", json!([]), "", "an object"),
            ("small", json!({"model": null}), "profile", "a value"),
            ("small", json!({"profile": SMALL, "path": "/etc/passwd"}), "path", "profile, model"),
            ("small", json!({"profile": "name = 3"}), "profile", "a profile in TOML"),
            ("small", json!({"profile": slow}), "profile.interval_ms", "100 to 86400000"),
            ("other", json!({"profile": SMALL}), "profile.name", "other"),
            ("../small", json!({"profile": SMALL}), "profile.name", "../small"),
            (
                "small",
                json!({"profile": SMALL, "model": "/models/small"}),
                "model",
                "an object of manifest and weights",
            ),
            ("small", model("AAH"), "model.weights", "base64"),
            ("small", model(&longest), "model.weights", "base64"),
        ] {
            let error = parse_kind(name, &body).expect_err(field);
            assert_eq!(error.field, field, "{error:?}");
            assert!(error.allowed.contains(allowed), "{error:?}");
            assert!(error.value.to_string().len() < 1000, "{field}: the value is truncated");
        }
    }
}
