//! `GET /api/openapi.json`: sends the API's description, which `openapi.rs` makes from the table of routes.

use actix_web::{HttpResponse, http::header::ContentType, web};

/// The API's description, as JSON.
pub(crate) struct ApiDescription(pub(crate) String);

/// The API's description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "node",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi_json(description: web::Data<ApiDescription>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(description.0.clone())
}
