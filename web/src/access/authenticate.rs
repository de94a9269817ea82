//! Determines who sends a request.
//!
//! | The request has | Principal |
//! | --- | --- |
//! | `Authorization: Bearer vpt_…` | the pump token; if it is not valid, 401, whoever sends it |
//! | the session's cookie, valid | the user |
//! | neither | anonymous; what it may do depends on the address and on whether the node has users |
//!
//! A client is *local* if its address is a loopback address and no proxy says that it forwards the request. A process
//! of another machine behind a proxy on this one is therefore not local: the proxy says so (`Forwarded`,
//! `X-Forwarded-For`, `Via`), or it is one of `server.behind_proxy`, whose clients are never local without such a
//! header either (`forwarded.rs`).

use std::net::IpAddr;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{AUTHORIZATION, FORWARDED, HeaderMap, HeaderName, VIA, X_FORWARDED_FOR},
};
use volute_access::{Credential, LookupError, Principal};

use super::{Access, SessionCookie};
use crate::problem::ApiError;

/// Headers that a proxy adds.
const PROXY_HEADERS: [HeaderName; 4] = [FORWARDED, X_FORWARDED_FOR, VIA, HeaderName::from_static("x-real-ip")];

/// Returns who sends the request. Fails if the token that it has is not valid.
pub(super) fn authenticate(access: &Access, request: &ServiceRequest, now_ms: i64) -> Result<Principal, ApiError> {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let principal =
            bearer(header.as_bytes()).ok_or(LookupError::Unknown).and_then(|token| access.token(&token, now_ms));
        return principal.map_err(|error| ApiError::Unauthenticated { reason: error.to_string() });
    }
    let session = session_credential(request.request(), SessionCookie::for_request(request.request()));
    if let Some(Ok(principal)) = session.map(|session| access.session(&session, now_ms)) {
        return Ok(principal);
    }
    let peer = request.peer_addr();
    let is_local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) && !is_forwarded(request.headers());
    Ok(Principal::Anonymous { peer, rights: access.local_rights(is_local) })
}

/// Returns the credential in the session's cookie, whether or not it is valid.
pub(crate) fn session_credential(request: &HttpRequest, cookie: SessionCookie) -> Option<Credential> {
    Credential::parse(request.cookie(cookie.name())?.value())
}

/// Returns who sends a request that was let in.
pub(crate) fn who(request: &HttpRequest) -> Principal {
    let known = request.extensions().get::<Principal>().cloned();
    known.unwrap_or_else(|| Principal::Anonymous {
        peer: request.peer_addr(),
        rights: volute_access::LocalRights::Nothing,
    })
}

/// Returns which person sends a request, in the form of the audit log: a user by name, whatever the session. Without users
/// nobody has a name, so all clients of one address count as the same person.
pub(crate) fn person(request: &HttpRequest) -> String {
    match who(request) {
        Principal::Anonymous { peer: Some(peer), .. } => peer.ip().to_canonical().to_string(),
        principal => principal.to_string(),
    }
}

/// Returns the address of the client that sends a request.
pub(crate) fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

fn bearer(header: &[u8]) -> Option<Credential> {
    let (scheme, credential) = str::from_utf8(header).ok()?.split_once(' ')?;
    Credential::parse(credential.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    PROXY_HEADERS.iter().any(|name| headers.contains_key(name))
}
