//! The id of a request: in the header `X-Request-Id` of its response, in its log line, and in its audit entries.
//!
//! It is the time at which the node started, in seconds, and the number of the request since then, both in hexadecimal
//! digits, as `69a5c1e0-2f`. So it is unique for a node, unless the node starts twice within a second. An id that the
//! client sends is not used: an audit entry must not depend on what its sender claims.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{HeaderName, ORIGIN},
};
use volute_data::RequestOrigin;
use volute_plant::Timestamp;

/// The header with the id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives requests their ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    start_s: i64,
    next: AtomicU64,
}

/// The id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestIds {
    /// Creates the ids of a node that starts at this time.
    pub(crate) fn new(started_at: Timestamp) -> Self {
        Self { start_s: started_at.millis() / 1_000, next: AtomicU64::new(1) }
    }

    /// Gives the request an id, and returns it.
    pub(crate) fn assign(&self, request: &ServiceRequest) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = RequestId(format!("{:x}-{number:x}", self.start_s));
        request.extensions_mut().insert(id.clone());
        id
    }
}

impl RequestId {
    /// Returns the id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns where a request comes from, for the audit log.
pub(crate) fn origin_of(request: &HttpRequest) -> RequestOrigin {
    let origin = request.headers().get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
    RequestOrigin {
        // Of a client behind a proxy only the address is known.
        peer: request.peer_addr().map(|peer| match peer.port() {
            0 => peer.ip().to_string(),
            _ => peer.to_string(),
        }),
        origin,
        id: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn each_request_has_another_id_with_which_it_is_recorded() {
        let ids = RequestIds::new(Timestamp::from_millis(1_773_051_273_999).expect("a time"));
        let request = || TestRequest::default().insert_header((ORIGIN, "http://localhost")).to_srv_request();
        let (first, second) = (request(), request());
        assert_eq!((ids.assign(&first).as_str(), ids.assign(&second).as_str()), ("69ae9d89-1", "69ae9d89-2"));
        let RequestOrigin { peer, origin, id } = origin_of(second.request());
        assert_eq!((peer, origin.as_deref(), id.as_deref()), (None, Some("http://localhost"), Some("69ae9d89-2")));
    }
}
