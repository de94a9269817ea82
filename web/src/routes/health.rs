//! `GET /healthz`, `/readyz` and `/api/openapi.json`: what machines ask about the node itself.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::Health;

use crate::{openapi::NotReady, openapi::openapi, problem::ApiError, server::Node};

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthData {
    /// `alive`, `ready`, or `degraded`: it takes readings, and something else is out of order.
    status: &'static str,
    /// What is out of order; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether the process answers. Nothing else is asked.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "It does", body = HealthData)))]
pub(crate) async fn healthz() -> web::Json<HealthData> {
    web::Json(HealthData { status: "alive", reason: None })
}

/// Whether the node can take readings.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    responses((status = 200, description = "It can", body = HealthData), NotReady)
)]
pub(crate) async fn readyz(node: web::Data<Node>) -> Result<web::Json<HealthData>, ApiError> {
    match node.engine.health() {
        Health { ready: true, reason: None } => Ok(web::Json(HealthData { status: "ready", reason: None })),
        Health { ready: true, reason } => Ok(web::Json(HealthData { status: "degraded", reason })),
        Health { ready: false, reason } => {
            Err(ApiError::NotReady(reason.unwrap_or_else(|| "no reason was given".into())))
        }
    }
}

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "node",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok().json(openapi())
}
