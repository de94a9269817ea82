//! Where a request comes from: whether it is meant for this node, and whether a page of another site has sent it.
//!
//! A browser lets any page send requests to any address, and a page whose name is made to point at the node's address
//! (DNS rebinding) may read the answers, too. Both are told by headers that a page cannot set:
//! - `Host` has to be an IP address, a name of this machine, or one of `server.allowed_hosts`. A rebound name is none of
//!   these. Otherwise 421.
//! - What changes something, and what takes a place (a live stream), has to come from a page of the node itself or from
//!   no page: `Origin` has to name the host that the request is for, or an allowed one, and `Sec-Fetch-Site` has to be
//!   `same-origin` or `none`. Otherwise 403.
//!
//! An example: https://evil.example has a script post to http://192.168.1.20:5000/api/actors/recorder/restart. The browser
//! sends `Host: 192.168.1.20:5000`, which is fine, and `Origin: https://evil.example`, which is not.
//!
//! Does not handle who a person is: there are no users yet.

use std::{net::IpAddr, str::FromStr};

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method,
        header::{HOST, HeaderMap, HeaderName, ORIGIN},
    },
};

use crate::problem::ApiError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A path that takes one of few places, though it changes nothing.
const STREAM: &str = "/api/stream";

/// The names under which a node is reached, in lower case, each with a port or without.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// Those of this machine: fine as a host, and no more than that.
    own: Vec<String>,
    /// Those that the configuration names. Pages of theirs are the node's own, too.
    allowed: Vec<String>,
}

impl Hosts {
    /// The machine's own names, and those that the configuration allows.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let mut own = vec!["localhost".to_owned()];
        // As uname(2) has it. Without it the name is only missing here.
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() {
            own.push(format!("{name}.local"));
            own.push(name);
        }
        Self { own, allowed: allowed.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Refuses a request that is for another host, or is sent by a page of another site and more than a question.
    pub(crate) fn check(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let headers = request.headers();
        let target = request.uri().authority().map(|authority| authority.as_str().to_ascii_lowercase());
        let hosts: Vec<String> = headers.get_all(HOST).map(|value| text(value.as_bytes())).chain(target).collect();
        if let Some(host) = hosts.iter().find(|host| !self.knows(host)) {
            return Err(ApiError::UnknownHost { host: host.clone() });
        }
        let asks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if asks && request.path() != STREAM {
            return Ok(());
        }
        self.check_page(headers, &hosts)
    }

    fn knows(&self, host: &str) -> bool {
        let name = name(host);
        // The dot that ends a full name: `localhost.` is `localhost`.
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let is_address = IpAddr::from_str(address).is_ok();
        is_address || name.ends_with(".localhost") || self.own.iter().any(|own| own == name) || self.allows(host)
    }

    fn allows(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == host || allowed == name(host))
    }

    /// Refuses what a page of another site sends. Whoever is no browser sends neither header.
    fn check_page(&self, headers: &HeaderMap, hosts: &[String]) -> Result<(), ApiError> {
        for origin in headers.get_all(ORIGIN) {
            let origin = text(origin.as_bytes());
            let (scheme, from) = origin.split_once("://").unwrap_or_default();
            // A browser leaves out the scheme's own port, a client of another kind may not.
            let port = if scheme == "https" { ":443" } else { ":80" };
            let plain = |host: &str| host.strip_suffix(port).unwrap_or(host).to_owned();
            let is_own = !from.is_empty() && (hosts.iter().any(|host| plain(host) == plain(from)) || self.allows(from));
            if !is_own {
                return Err(ApiError::ForeignPage { header: "Origin", value: origin });
            }
        }
        for site in headers.get_all(SEC_FETCH_SITE) {
            let site = text(site.as_bytes());
            if !matches!(site.as_str(), "same-origin" | "none") {
                return Err(ApiError::ForeignPage { header: "Sec-Fetch-Site", value: site });
            }
        }
        Ok(())
    }
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn hosts() -> Hosts {
        Hosts {
            own: vec!["localhost".into(), "plant-7".into()],
            allowed: vec!["volute.example".into(), "gate:8443".into()],
        }
    }

    fn check(method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), ApiError> {
        let mut request = TestRequest::default().method(method).uri(path);
        for header in headers {
            request = request.append_header(*header);
        }
        hosts().check(&request.to_srv_request())
    }

    #[test]
    fn a_host_is_an_address_or_a_known_name() {
        for known in [
            "127.0.0.1:5000",
            "192.168.1.20",
            "[::1]:5000",
            "[fe80::1]",
            "localhost:5000",
            "LOCALHOST",
            "localhost.",
            "localhost.:5000",
            "plant-7.:5000",
            "volute.localhost",
            "plant-7:5000",
            "volute.example",
            "volute.example:443",
            "gate:8443",
        ] {
            check(Method::GET, "/api/pumps", &[("host", known)]).expect(known);
        }
        check(Method::GET, "/api/pumps", &[]).expect("HTTP/1.0 has no host");
        for unknown in [
            "evil.example:5000",
            "localhost.evil.example",
            "localhost..",
            ".",
            "gate",
            "gate:80",
            "",
            "127.0.0.1.evil.example",
            "[::1",
            "a:b",
        ] {
            let refused = check(Method::GET, "/api/pumps", &[("host", unknown)]);
            assert!(matches!(refused, Err(ApiError::UnknownHost { .. })), "{unknown}: {refused:?}");
        }
        let two = check(Method::GET, "/", &[("host", "localhost"), ("host", "evil.example")]);
        assert!(matches!(two, Err(ApiError::UnknownHost { .. })), "each of them");
        let target = check(Method::GET, "http://evil.example/api/pumps", &[("host", "localhost")]);
        assert!(matches!(target, Err(ApiError::UnknownHost { .. })), "the target's, too: {target:?}");
    }

    #[test]
    fn a_page_of_another_site_may_ask_and_no_more() {
        let host = ("host", "127.0.0.1:5000");
        let foreign: [&[(&str, &str)]; 8] = [
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://127.0.0.1:8080")],
            &[("origin", "http://localhost:5000")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://127.0.0.1:5000"), ("origin", "https://evil.example")],
        ];
        for headers in foreign {
            let headers: Vec<_> = headers.iter().copied().chain([host]).collect();
            for (method, path) in [
                (Method::POST, "/api/ingest"),
                (Method::POST, "/api/actors/recorder/restart"),
                (Method::PUT, "/x"),
                (Method::PATCH, "/x"),
                (Method::DELETE, "/api/pumps/P"),
                (Method::GET, "/api/stream"),
            ] {
                let refused = check(method.clone(), path, &headers);
                assert!(
                    matches!(refused, Err(ApiError::ForeignPage { .. })),
                    "{method} {path} {headers:?}: {refused:?}"
                );
            }
            check(Method::GET, "/api/pumps", &headers).expect("it may ask; the browser keeps the answer from it");
        }
        let own: [&[(&str, &str)]; 5] = [
            &[],
            &[("origin", "http://127.0.0.1:5000"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://127.0.0.1:5000")],
            &[("origin", "https://volute.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ];
        for headers in own {
            let headers: Vec<_> = headers.iter().copied().chain([host]).collect();
            check(Method::POST, "/api/ingest", &headers).expect("the node's own page, or none");
        }
        for (host, origin, own) in [
            ("localhost:80", "http://localhost", true),
            ("localhost", "http://localhost:80", true),
            ("localhost:443", "https://localhost", true),
            ("localhost:443", "http://localhost", false),
            ("localhost:80", "https://localhost", false),
            ("localhost:5000", "http://localhost", false),
            ("localhost:80", "http://localhost.evil.example", false),
        ] {
            let checked = check(Method::POST, "/api/ingest", &[("host", host), ("origin", origin)]);
            assert_eq!(checked.is_ok(), own, "{origin} at {host}");
        }
    }
}
