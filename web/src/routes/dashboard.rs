//! The dashboard's pages and files.
//!
//! A release embeds the bundle into the binary; a debug build reads `web/dashboard/dist` at each request. All pages are the
//! same file: the browser selects the page by the path.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY},
    web,
};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::ApiError;

#[derive(RustEmbed)]
#[folder = "dashboard/dist/"]
#[allow_missing = true]
struct Bundle;

/// No content from other origins, no inline scripts or styles, no embedding in frames.
const SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The browser revalidates the file at each use; the response is short if it has not changed.
const REVALIDATE: &str = "no-cache";
/// Files under `assets/` have a hash of their content in their names.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Sends a page, or the reason why the bundle is missing.
pub(crate) async fn page(request: HttpRequest) -> HttpResponse {
    match Bundle::get("index.html") {
        Some(file) => respond(&request, &file, REVALIDATE),
        None => HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(
            "This is a debug build, and the dashboard is not built.\n\
             Build it, then load this page again:\n\n  cd web/dashboard && npm ci && npm run build\n",
        ),
    }
}

/// Sends the icon.
pub(crate) async fn icon(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    file(&request, "favicon.svg", REVALIDATE)
}

/// Sends a file under `assets/`.
pub(crate) async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    if name.contains(['/', '\\']) {
        return Err(ApiError::NoRoute { path: request.path().to_owned() });
    }
    file(&request, &format!("assets/{name}"), IMMUTABLE)
}

fn file(request: &HttpRequest, path: &str, cache_control: &'static str) -> Result<HttpResponse, ApiError> {
    let file = Bundle::get(path).ok_or_else(|| ApiError::NoRoute { path: request.path().to_owned() })?;
    Ok(respond(request, &file, cache_control))
}

fn respond(request: &HttpRequest, file: &EmbeddedFile, cache_control: &'static str) -> HttpResponse {
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak, since the bytes depend on the coding that the client accepts.
    let tag = format!("W/\"{hash}\"");
    let unchanged = request.headers().get(IF_NONE_MATCH).is_some_and(|etag| etag.as_bytes() == tag.as_bytes());
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((CACHE_CONTROL, cache_control))
        .insert_header((ETAG, tag))
        .insert_header((CONTENT_SECURITY_POLICY, SECURITY_POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    if unchanged {
        return response.finish();
    }
    response.content_type(file.metadata.mimetype()).body(file.data.to_vec())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, body::to_bytes, test};

    use super::*;

    fn embedded(bytes: &'static [u8]) -> EmbeddedFile {
        use rust_embed::Metadata;
        let metadata = Metadata::__rust_embed_new([7; 32], None, None, "text/html");
        EmbeddedFile { data: bytes.into(), metadata }
    }

    #[actix_web::test]
    async fn an_unchanged_file_is_not_sent_again() {
        let request = test::TestRequest::get().to_http_request();
        let first = respond(&request, &embedded(b"<!doctype html>"), REVALIDATE);
        let tag = first.headers().get(ETAG).expect("a tag").clone();
        let header = |name| first.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((first.status().as_u16(), header(CACHE_CONTROL)), (200, "no-cache"));
        assert!(header(CONTENT_SECURITY_POLICY).starts_with("default-src 'self';"));
        assert_eq!(to_bytes(first.into_body()).await.expect("a body"), &b"<!doctype html>"[..]);

        let again = test::TestRequest::get().insert_header((IF_NONE_MATCH, tag)).to_http_request();
        let second = respond(&again, &embedded(b"<!doctype html>"), REVALIDATE);
        assert_eq!(second.status(), 304);
        assert!(to_bytes(second.into_body()).await.expect("a body").is_empty());
    }

    #[actix_web::test]
    async fn a_file_that_is_not_in_the_bundle_is_not_found() {
        let app = test::init_service(App::new().configure(crate::routes::configure)).await;
        for path in ["/assets/nothing.js", "/assets/..%2findex.html"] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status(), 404, "{path}");
        }
    }
}
