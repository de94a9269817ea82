//! `/api/profiles` and `/api/pumps/{id}/profile`: the kinds of pumps that this node watches, and which of them a pump is.
//!
//! A kind is put under its name, so that sending it again is safe: whoever does not know whether it is there sends it.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{AssignRefusal, KindParts};
use volute_data::{AuditAction, Reach};
use volute_plant::{Profile, ProfileError, PumpId};

use crate::{
    audit::AuditedCommand,
    decode::{from_value, refused},
    extract::{JsonBody, PumpPath},
    invalid_value::InvalidValue,
    item::left_out::shown,
    list::List,
    new_kinds::{AddedKind, NewKind, NewModel},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Conflict, DiskFull, Invalid, NameTaken, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    wire::ProfileResponse,
};

/// How much is repeated of why a text is no profile, in characters: it may hold what was sent.
const SHOWN_CHARS: usize = 200;

/// A kind of pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindResponse {
    /// What its pumps measure.
    #[serde(flatten)]
    profile: ProfileResponse,
    /// The id of the model that scores their windows; none: they are not judged.
    #[schema(required)]
    model: Option<String>,
}

/// Which profile a pump is of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssignedResponse {
    /// Which pump.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The profile's name.
    profile: String,
}

/// Which profile a pump is to be of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AssignProfileRequest, example = json!({"profile": "skab"}))]
pub(crate) struct AssignSchema {
    /// The profile's name.
    profile: String,
}

/// A kind of pump that is to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddProfileRequest)]
pub(crate) struct AddProfileSchema {
    /// The profile, as the text of its file (TOML).
    profile: String,
    /// What scores its pumps' windows; absent or null: the model that the kind has already, or none.
    model: Option<ModelSchema>,
}

/// The two files of a model's folder.
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
        BASE64_STANDARD.decode(text).map(Self).map_err(|_| refused("base64 (RFC 4648), with padding"))
    }
}

impl From<KindParts> for KindResponse {
    fn from(kind: KindParts) -> Self {
        let model = kind.model.as_ref().map(|model| model.id().to_string());
        Self { profile: ProfileResponse::from(&kind.profile), model }
    }
}

/// Every kind of pump that this node watches, by name, in one page.
#[utoipa::path(
    get,
    path = "/api/profiles",
    tag = "live",
    responses((status = 200, description = "Every kind", body = List<KindResponse>), Invalid, Unavailable)
)]
pub(crate) async fn profiles(node: web::Data<Node>, _: Query<NoParameters>) -> web::Json<List<KindResponse>> {
    web::Json(List::whole(node.engine.kinds().into_iter().map(KindResponse::from).collect(), Reach::Whole))
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
        None => Err(AssignRefusal::UnknownProfile { name: name.into_inner(), known: known() }.into()),
    }
}

/// The kind of one pump. A pump that the node does not know would be of the kind of those that name none.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/profile",
    tag = "live",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
    responses((status = 200, description = "The pump's kind", body = KindResponse), Invalid, Unavailable)
)]
pub(crate) async fn profile_of_pump(
    node: web::Data<Node>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> web::Json<KindResponse> {
    web::Json(node.engine.kind_parts_of(&pump).into())
}

/// Adds a kind of pump: a profile, and its model if there is one.
///
/// Nothing of it is written before all of it is checked, and it is on the disk when it is answered. Posts may name it from then
/// on. The same profile may be put again, with another model: pumps that come from now on have that one, and the others after a
/// restart. Another profile under the same name is refused (409). The body has `server.max_body_bytes` (8 MiB) at most; a larger
/// model is added with `volute profiles add` on the node's machine.
#[utoipa::path(
    put,
    path = "/api/profiles/{name}",
    tag = "commissioning",
    params(("name" = String, Path, description = "The profile's name, which is in its text, too")),
    request_body(content = AddProfileSchema, description = "The kind"),
    responses(
        (status = 201, description = "It is added", body = KindResponse),
        (status = 200, description = "The profile was there; its model is replaced where one was sent", body = KindResponse),
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
    let new = parse_kind(&name, &body).map_err(ApiError::Invalid)?;
    let command = AuditedCommand::new(&node, &request, AuditAction::AddProfile, &name).detail(&in_words(&body));
    let kinds = node.kinds.clone();
    let work = async move {
        let added = web::block(move || kinds.add(&new)).await;
        let added = added.map_err(|error| ApiError::NotReady(format!("the profile was not added: {error}")))?;
        added.map_err(ApiError::from)
    };
    let AddedKind { kind, is_new } = command.carry_out(work).await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(KindResponse::from(kind)))
}

/// What is sent, if its text is a profile of this name. Whether the model is one for it, is checked where it is added.
fn parse_kind(name: &str, body: &Value) -> Result<NewKind, InvalidValue> {
    // What is refused may be megabytes long.
    let sent = from_value(body, "field").map_err(|no| InvalidValue { value: shown(&no.value), ..no })?;
    let AddProfileSchema { profile, model } = sent;
    let parsed = Profile::from_toml(&profile).map_err(|error| no_profile(&profile, &error))?;
    if parsed.name() != name {
        let value = shown(&parsed.name().into());
        return Err(InvalidValue::new("profile.name", value, name, "another name than in the path"));
    }
    let files = |ModelSchema { manifest, weights: Base64(weights) }: ModelSchema| NewModel {
        manifest: manifest.to_string().into_bytes(),
        weights,
    };
    Ok(NewKind { profile, model: model.map(files) })
}

/// A text that is no profile: which key of it, or in which line.
fn no_profile(text: &str, error: &ProfileError) -> InvalidValue {
    match error {
        ProfileError::Value { key, value, allowed } => {
            let value = shown(&value.as_str().into());
            InvalidValue::new(&format!("profile.{key}"), value, *allowed, "not allowed here")
        }
        ProfileError::Toml(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let reason: String = error.message().chars().take(SHOWN_CHARS).collect();
            let shown = shown(&text.into());
            InvalidValue::new("profile", shown, "a profile in TOML", &format!("{reason} at line {line}"))
        }
    }
}

/// What is added, for the audit log: of a model that was taken, its id.
fn in_words(body: &Value) -> String {
    match &body["model"]["manifest"]["id"] {
        Value::String(id) => format!("with the model {}", shown(&id.as_str().into()).as_str().unwrap_or_default()),
        _ => "without a model".to_owned(),
    }
}

/// Assigns another profile to a pump, of the same channels.
///
/// What is stored of it stays, its limits and rules are the other's, and it is commissioned anew: until that is done it is
/// `LEARNING`. Posts for the pump are refused meanwhile (503, to be sent again). It is durable when it is answered.
#[utoipa::path(
    put,
    path = "/api/pumps/{id}/profile",
    tag = "commissioning",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
    request_body(content = AssignSchema, description = "Which profile"),
    responses(
        (status = 200, description = "It is assigned", body = AssignedResponse),
        Invalid, NotFound, Conflict, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn assign_profile(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    JsonBody { json: body, .. }: JsonBody,
) -> Result<web::Json<AssignedResponse>, ApiError> {
    let AssignSchema { profile } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (engine, of, name) = (node.engine.clone(), pump.clone(), profile.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::AssignProfile, pump.as_str()).detail(&profile);
    command.carry_out(async move { engine.assign_profile(&of, &name).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(AssignedResponse { pump_id: pump, profile }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SMALL: &str = "name = \"small\"\ntitle = \"A bearing\"\ninterval_ms = 1000\n[[channels]]\nname = \"Tb\"\n\
        quantity = \"bearing_temperature\"\nunit = \"°C\"\nplausible = [0, 200]\nresolution = 0.1\n";

    #[test]
    fn a_kind_is_read_with_and_without_its_model() {
        let bare = parse_kind("small", &json!({"profile": SMALL, "model": null})).expect("a kind");
        assert_eq!((bare.profile.as_str(), bare.model.is_none()), (SMALL, true));
        let body = json!({"profile": SMALL, "model": {"manifest": {"id": "m-1", "p99": 0.1}, "weights": "AAH/"}});
        let NewModel { manifest, weights } = parse_kind("small", &body).expect("a kind").model.expect("a model");
        assert_eq!((manifest.as_slice(), weights.as_slice()), (&br#"{"id":"m-1","p99":0.1}"#[..], &[0, 1, 255][..]));
        assert_eq!(in_words(&body), "with the model m-1");
    }

    #[test]
    fn what_is_no_kind_is_told_by_its_field() {
        let model = |weights: &str| json!({"profile": SMALL, "model": {"manifest": {}, "weights": weights}});
        let slow = SMALL.replace("1000", "1");
        let longest = "*".repeat(100_000);
        for (name, body, field, allowed) in [
            ("small", json!([]), "", "an object"),
            ("small", json!({"model": null}), "profile", "a value"),
            ("small", json!({"profile": SMALL, "path": "/etc/passwd"}), "path", "profile, model"),
            ("small", json!({"profile": "name = 3"}), "profile", "a profile in TOML"),
            ("small", json!({"profile": slow}), "profile.interval_ms", "100 to 3600000"),
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
            let no = parse_kind(name, &body).expect_err(field);
            assert_eq!(no.field, field, "{no:?}");
            assert!(no.allowed.contains(allowed), "{no:?}");
            assert!(no.value.to_string().len() < 1000, "{field}: as much of it as shows what it is");
        }
    }
}
