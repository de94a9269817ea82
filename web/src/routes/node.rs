//! `GET /api/node`: the node's version, profile and model.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::PumpId;

use crate::{
    node::Node,
    query::{NoParameters, Query},
    responses::{Invalid, Unavailable},
    store_context::StoreContext,
};

/// The node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeResponse {
    /// The program's version.
    version: &'static str,
    /// The name of its default profile.
    profile: String,
    /// The display name of its default profile.
    profile_title: String,
    /// The model that scores windows; null if there is none.
    #[schema(required)]
    model: Option<String>,
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// Its current time.
    #[schema(format = DateTime)]
    now: String,
    /// Whether it is a demo node, whose readings may be simulated.
    demo: bool,
    /// The pump of readings that name no pump.
    #[schema(value_type = String)]
    default_pump: PumpId,
    /// The number of registered pumps.
    pumps: usize,
}

/// The node: its version, its default profile, its model, and whether it is a demo.
#[utoipa::path(
    get,
    path = "/api/node",
    tag = "node",
    responses((status = 200, description = "The node", body = NodeResponse), Invalid, Unavailable)
)]
pub(crate) async fn node(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
) -> web::Json<NodeResponse> {
    let (engine, profile) = (&node.engine, &store.profile);
    web::Json(NodeResponse {
        version: env!("CARGO_PKG_VERSION"),
        profile: profile.name().to_owned(),
        profile_title: profile.title().to_owned(),
        model: engine.model().map(|model| model.id().to_string()),
        started_at: node.started_at.to_string(),
        now: engine.now().to_string(),
        demo: node.simulation.is_some(),
        default_pump: store.default_pump.clone(),
        pumps: store.queries.pumps().len(),
    })
}
