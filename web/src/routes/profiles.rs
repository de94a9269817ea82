//! `/api/profiles` and `/api/pumps/{id}/profile`: the kinds of pumps that this node watches, and which of them a pump is.
//!
//! A kind is added with `volute profiles add`.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_actors::{AssignRefusal, KindParts};
use volute_data::{AuditAction, Reach};
use volute_plant::PumpId;

use crate::{
    audit::AuditedCommand,
    decode::from_value,
    extract::{JsonBody, PumpPath},
    list::List,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Conflict, Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
    wire::ProfileResponse,
};

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
    let (profile, model) = (node.engine.profile_of(&pump), node.engine.model_of(&pump));
    web::Json(KindParts { profile, model }.into())
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
    JsonBody(body): JsonBody,
) -> Result<web::Json<AssignedResponse>, ApiError> {
    let AssignSchema { profile } = from_value(&body, "field").map_err(ApiError::Invalid)?;
    let (engine, of, name) = (node.engine.clone(), pump.clone(), profile.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::AssignProfile, pump.as_str()).detail(&profile);
    command.carry_out(async move { engine.assign_profile(&of, &name).await.map_err(ApiError::from) }).await?;
    Ok(web::Json(AssignedResponse { pump_id: pump, profile }))
}
