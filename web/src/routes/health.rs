//! `GET /healthz`, `/readyz` and `/api/openapi.json`: what machines ask about the node itself.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{openapi::NotReady, openapi::openapi, problem::ApiError, server::Node};

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthData {
    /// `alive` or `ready`.
    status: &'static str,
}

/// Whether the process answers. Nothing else is asked.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, description = "It does", body = HealthData)))]
pub(crate) async fn healthz() -> web::Json<HealthData> {
    web::Json(HealthData { status: "alive" })
}

/// Whether the node can take readings.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    responses((status = 200, description = "It can", body = HealthData), NotReady)
)]
pub(crate) async fn readyz(node: web::Data<Node>) -> Result<web::Json<HealthData>, ApiError> {
    let health = node.engine.health();
    if health.ready {
        return Ok(web::Json(HealthData { status: "ready" }));
    }
    Err(ApiError::NotReady(health.reason.unwrap_or_else(|| "no reason was given".into())))
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
