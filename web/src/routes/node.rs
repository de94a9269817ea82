//! `GET /api/node`: which node this is.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::PumpId;

use crate::{
    openapi::{Invalid, Unavailable},
    problem::ApiError,
    query::Params,
    server::Node,
};

/// Which node this is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeData {
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
    responses((status = 200, description = "The node", body = NodeData), Invalid, Unavailable)
)]
pub(crate) async fn node(node: web::Data<Node>, request: HttpRequest) -> Result<web::Json<NodeData>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    let (engine, profile) = (&node.engine, node.engine.profile());
    Ok(web::Json(NodeData {
        version: env!("CARGO_PKG_VERSION"),
        profile: profile.name().to_owned(),
        profile_title: profile.title().to_owned(),
        model: engine.model().map(|model| model.id().to_string()),
        started_at: node.started_at.to_string(),
        now: engine.now().to_string(),
        demo: node.simulation.is_some(),
        default_pump: engine.default_pump().clone(),
        pumps: engine.store().pumps().len(),
    }))
}
