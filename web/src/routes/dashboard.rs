//! The dashboard's pages and files.
//!
//! A release carries the bundle inside the binary; a debug build reads `web/dashboard/dist` at every
//! request. Which page a path shows is the browser's business: every page is the same file.

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

/// Nothing from elsewhere, nothing inline, and no frame around it.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Asked for again each time; the answer is short where it has not changed.
const REVALIDATED: &str = "no-cache";
/// A file under `assets/` has its content's hash in its name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A page, or why there is none.
pub(crate) async fn page(request: HttpRequest) -> HttpResponse {
    match Bundle::get("index.html") {
        Some(file) => answer(&request, &file, REVALIDATED),
        None => HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(
            "This is a debug build, and the dashboard is not built.\n\
             Build it, then load this page again:\n\n  cd web/dashboard && npm ci && npm run build\n",
        ),
    }
}

/// A file of the bundle beside the page.
pub(crate) async fn icon(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    file(&request, "favicon.svg", REVALIDATED)
}

/// A file under `assets/`.
pub(crate) async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    if name.contains(['/', '\\']) {
        return Err(ApiError::NoRoute { path: request.path().to_owned() });
    }
    file(&request, &format!("assets/{name}"), FOR_EVER)
}

fn file(request: &HttpRequest, path: &str, kept: &'static str) -> Result<HttpResponse, ApiError> {
    let file = Bundle::get(path).ok_or_else(|| ApiError::NoRoute { path: request.path().to_owned() })?;
    Ok(answer(request, &file, kept))
}

fn answer(request: &HttpRequest, file: &EmbeddedFile, kept: &'static str) -> HttpResponse {
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak, since the bytes depend on the coding that the client takes.
    let tag = format!("W/\"{hash}\"");
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CACHE_CONTROL, kept))
        .insert_header((ETAG, tag))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    if known {
        return answer.finish();
    }
    answer.content_type(file.metadata.mimetype()).body(file.data.to_vec())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, body::to_bytes, test};

    use super::*;

    fn made(bytes: &'static [u8]) -> EmbeddedFile {
        use rust_embed::Metadata;
        let metadata = Metadata::__rust_embed_new([7; 32], None, None, "text/html");
        EmbeddedFile { data: bytes.into(), metadata }
    }

    #[actix_web::test]
    async fn a_file_is_sent_once_and_then_known() {
        let request = test::TestRequest::get().to_http_request();
        let first = answer(&request, &made(b"<!doctype html>"), REVALIDATED);
        let tag = first.headers().get(ETAG).expect("a tag").clone();
        let header = |name| first.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((first.status().as_u16(), header(CACHE_CONTROL)), (200, "no-cache"));
        assert!(header(CONTENT_SECURITY_POLICY).starts_with("default-src 'self';"));
        assert_eq!(to_bytes(first.into_body()).await.expect("a body"), &b"<!doctype html>"[..]);

        let again = test::TestRequest::get().insert_header((IF_NONE_MATCH, tag)).to_http_request();
        let second = answer(&again, &made(b"<!doctype html>"), REVALIDATED);
        assert_eq!(second.status(), 304);
        assert!(to_bytes(second.into_body()).await.expect("a body").is_empty());
    }

    #[actix_web::test]
    async fn what_the_bundle_lacks_is_not_found() {
        let app = test::init_service(App::new().configure(crate::routes::configure)).await;
        for path in ["/assets/nothing.js", "/assets/..%2findex.html"] {
            let answer = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.status(), 404, "{path}");
        }
    }
}
