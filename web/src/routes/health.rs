//! `GET /healthz` and `/readyz`: what machines ask about the node itself.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::Health;

use crate::{node::Node, problem::ApiError, responses::NotReady};

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthResponse {
    /// `alive`, `ready`, or `degraded`: it takes readings, and something else is out of order.
    status: &'static str,
    /// What is out of order; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether the process answers. Nothing else is asked.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "It does", body = HealthResponse)))]
pub(crate) async fn healthz() -> web::Json<HealthResponse> {
    web::Json(HealthResponse { status: "alive", reason: None })
}

/// Whether the node can take readings.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    responses((status = 200, description = "It can", body = HealthResponse), NotReady)
)]
pub(crate) async fn readyz(node: web::Data<Node>) -> Result<web::Json<HealthResponse>, ApiError> {
    match node.engine.health() {
        Health { ready: true, reason: None } => Ok(web::Json(HealthResponse { status: "ready", reason: None })),
        Health { ready: true, reason } => Ok(web::Json(HealthResponse { status: "degraded", reason })),
        Health { ready: false, reason } => {
            Err(ApiError::NotReady(reason.unwrap_or_else(|| "no reason was given".into())))
        }
    }
}
