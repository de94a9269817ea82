//! Checks the origin of a request: that it is meant for this node, and that no page of another site has sent it.
//!
//! A browser lets any page send requests to any address. A page whose host name resolves to the node's address (DNS rebinding)
//! can also read the responses. Both are detected by headers that a page cannot set:
//! - `Host` must be an IP address, a name of this machine, or one of `server.allowed_hosts`. A rebound name is none of
//!   these. Otherwise the response is 421.
//! - A request that changes something, or that opens one of the limited live streams, must come from a page of the node itself
//!   or from no page: `Origin` must name the host of the request or an allowed host, and `Sec-Fetch-Site` must be
//!   `same-origin` or `none`. Otherwise the response is 403. If the client uses HTTPS, a page that was loaded without it is
//!   another site, because anybody on the network could have written it. A client without HTTPS may come from either: an
//!   unlisted proxy may have TLS.
//!
//! An example: a script of http://evil.example posts to http://192.168.1.20:5000/api/actors/recorder/restart. The browser
//! sends `Host: 192.168.1.20:5000`, which is allowed, and `Origin: http://evil.example`, which is not: the response is 403.
//!
//! Does not authenticate users; see `access/authenticate.rs`.

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
/// Paths that are checked although they change nothing: the numbers of live streams, and of logins that have begun, are
/// limited.
const LIMITED_PATHS: [&str; 2] = ["/api/stream", "/api/oidc/login"];

/// The host names of a node, in lower case, each with or without a port.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// The names of this machine: allowed in `Host`; in `Origin` only if it is also the request's host.
    own: Vec<String>,
    /// The names in the configuration: allowed in `Host` and in `Origin`.
    allowed: Vec<String>,
}

impl Hosts {
    /// Collects the names of this machine, and those that the configuration allows.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let mut own = vec!["localhost".to_owned()];
        let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        if !name.is_empty() {
            own.push(format!("{name}.local"));
            own.push(name);
        }
        Self { own, allowed: allowed.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Refuses a request for another host, and a request from a page of another site that does more than read.
    /// `https` says whether the client uses HTTPS.
    pub(crate) fn check(&self, request: &ServiceRequest, https: bool) -> Result<(), ApiError> {
        let headers = request.headers();
        let target = request.uri().authority().map(|authority| authority.as_str().to_ascii_lowercase());
        let hosts: Vec<String> = headers.get_all(HOST).map(|value| text(value.as_bytes())).chain(target).collect();
        if let Some(host) = hosts.iter().find(|host| !self.is_known(host)) {
            return Err(ApiError::UnknownHost { host: host.clone() });
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if is_read && !LIMITED_PATHS.contains(&request.path()) {
            return Ok(());
        }
        self.check_page(headers, &hosts, https)
    }

    fn is_known(&self, host: &str) -> bool {
        let name = name(host);
        // A fully qualified name may end with a dot: `localhost.` is `localhost`.
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let is_address = IpAddr::from_str(address).is_ok();
        is_address || name.ends_with(".localhost") || self.own.iter().any(|own| own == name) || self.is_allowed(host)
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == host || allowed == name(host))
    }

    /// Refuses requests from pages of other sites. Clients other than browsers send neither header.
    fn check_page(&self, headers: &HeaderMap, hosts: &[String], https: bool) -> Result<(), ApiError> {
        for origin in headers.get_all(ORIGIN) {
            let origin = text(origin.as_bytes());
            let (scheme, from) = origin.split_once("://").unwrap_or_default();
            // A browser omits the default port of the scheme; other clients may send it.
            let port = if scheme == "https" { ":443" } else { ":80" };
            let without_port = |host: &str| host.strip_suffix(port).unwrap_or(host).to_owned();
            let is_own = !from.is_empty()
                && (scheme == "https" || !https)
                && (hosts.iter().any(|host| without_port(host) == without_port(from)) || self.is_allowed(from));
            if !is_own {
                return Err(ApiError::CrossSite { header: "Origin", value: origin });
            }
        }
        for site in headers.get_all(SEC_FETCH_SITE) {
            let site = text(site.as_bytes());
            if !matches!(site.as_str(), "same-origin" | "none") {
                return Err(ApiError::CrossSite { header: "Sec-Fetch-Site", value: site });
            }
        }
        Ok(())
    }
}

/// Returns a host without its port.
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
        check_over(false, method, path, headers)
    }

    fn check_over(https: bool, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), ApiError> {
        let mut request = TestRequest::default().method(method).uri(path);
        for header in headers {
            request = request.append_header(*header);
        }
        hosts().check(&request.to_srv_request(), https)
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
        assert!(matches!(two, Err(ApiError::UnknownHost { .. })), "every Host header is checked");
        let target = check(Method::GET, "http://evil.example/api/pumps", &[("host", "localhost")]);
        assert!(
            matches!(target, Err(ApiError::UnknownHost { .. })),
            "the host in the request target is checked, too: {target:?}"
        );
    }

    #[test]
    fn a_page_of_another_site_may_only_read() {
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
                assert!(matches!(refused, Err(ApiError::CrossSite { .. })), "{method} {path} {headers:?}: {refused:?}");
            }
            check(Method::GET, "/api/pumps", &headers)
                .expect("reading is allowed; the browser does not show the response to the page");
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
            check(Method::POST, "/api/ingest", &headers).expect("a page of the node, or no page");
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

    #[test]
    fn over_https_a_page_without_it_is_another_site() {
        for (host, origin, own) in [
            ("plant-7:5000", "https://plant-7:5000", true),
            ("plant-7:5000", "http://plant-7:5000", false),
            ("plant-7", "https://plant-7", true),
            ("plant-7", "https://plant-7:443", true),
            ("plant-7:443", "https://plant-7", true),
            ("plant-7", "http://plant-7", false),
            ("127.0.0.1:5000", "https://volute.example", true),
            ("127.0.0.1:5000", "http://volute.example", false),
            ("plant-7:5000", "wss://plant-7:5000", false),
        ] {
            let headers = [("host", host), ("origin", origin)];
            let checked = check_over(true, Method::POST, "/api/ingest", &headers);
            assert_eq!(checked.is_ok(), own, "{origin} at {host}: {checked:?}");
        }
        check_over(true, Method::POST, "/api/ingest", &[("host", "plant-7")]).expect("no page");
    }
}
