//! `GET /healthz` and `/readyz`: health checks for orchestrators and load balancers.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::Health;

use crate::{node::Node, problem::ApiError, responses::NotReady};

/// The health of the node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthResponse {
    /// `alive`, `ready`, or `degraded`: it accepts readings, and something else does not work.
    status: &'static str,
    /// What does not work; absent if everything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether the process responds. Nothing else is checked.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "The process responds", body = HealthResponse)))]
pub(crate) async fn healthz() -> web::Json<HealthResponse> {
    web::Json(HealthResponse { status: "alive", reason: None })
}

/// Whether the node can accept readings.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    responses((status = 200, description = "The node can accept readings", body = HealthResponse), NotReady)
)]
pub(crate) async fn readyz(node: web::Data<Node>) -> Result<web::Json<HealthResponse>, ApiError> {
    match node.engine.health() {
        Health { ready: true, reason } => {
            let reason = reason.or_else(|| node.certificate_problem());
            let status = if reason.is_none() { "ready" } else { "degraded" };
            Ok(web::Json(HealthResponse { status, reason }))
        }
        Health { ready: false, reason } => {
            Err(ApiError::NotReady(reason.unwrap_or_else(|| "the reason is not known".into())))
        }
    }
}
