//! `GET /api/node`: which node this is.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::PumpId;

use crate::{
    node::Node,
    query::{NoParameters, Query},
    responses::{Invalid, Unavailable},
    stored::Stored,
};

/// Which node this is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeResponse {
    /// The program's version.
    version: &'static str,
    /// The name of the kind of pump that it watches.
    profile: String,
    /// That kind's name for people.
    profile_title: String,
    /// The model that judges; null if there is none.
    #[schema(required)]
    model: Option<String>,
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// Its time now.
    #[schema(format = DateTime)]
    now: String,
    /// Whether it is a demo: then every reading is, or may be, simulated.
    demo: bool,
    /// The pump of readings that name none.
    #[schema(value_type = String)]
    default_pump: PumpId,
    /// Registered pumps.
    pumps: usize,
}

/// Which node this is, what it watches, and whether it is a demo.
#[utoipa::path(
    get,
    path = "/api/node",
    tag = "node",
    responses((status = 200, description = "The node", body = NodeResponse), Invalid, Unavailable)
)]
pub(crate) async fn node(
    node: web::Data<Node>,
    stored: web::Data<Stored>,
    _: Query<NoParameters>,
) -> web::Json<NodeResponse> {
    let (engine, profile) = (&node.engine, &stored.profile);
    web::Json(NodeResponse {
        version: env!("CARGO_PKG_VERSION"),
        profile: profile.name().to_owned(),
        profile_title: profile.title().to_owned(),
        model: engine.model().map(|model| model.id().to_string()),
        started_at: node.started_at.to_string(),
        now: engine.now().to_string(),
        demo: node.simulation.is_some(),
        default_pump: stored.default_pump.clone(),
        pumps: stored.queries.pumps().len(),
    })
}
