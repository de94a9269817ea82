//! What is checked of every request and response, whoever sends it: host, origin, content type, headers, the size of bodies.

use volute_access::Role;
use volute_web::{RouteAccess, route_table};

use super::{Plant, TIMEOUT, path_of};
use crate::support::{receive, send, volute};

#[test]
fn every_route_checks_the_host_and_the_origin() {
    let plant = Plant::new();
    let node = plant.start.node();
    let address = node.address();
    let status = |method: &str, path: &str, headers: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
        receive(&mut send(&node, request, TIMEOUT)).status
    };
    let pages = ["/", "/login", "/setup", "/pumps/x", "/assets/x.js", "/favicon.svg", "/nothing"];
    let pages = pages.map(|path| ("GET", path.to_owned()));
    // Routes for users alone ask for a login first.
    let routes = route_table().into_iter().filter(|row| row.access != RouteAccess::User);
    for (method, path) in routes.map(|row| (row.method, path_of(&row))).chain(pages) {
        assert_eq!(status(method, &path, "Host: evil.example\r\n"), 421, "{method} {path}");
        if method == "GET" {
            continue;
        }
        for foreign in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
        ] {
            let headers = format!("Host: {address}\r\nContent-Type: application/json\r\n{foreign}");
            assert_eq!(status(method, &path, &headers), 403, "{method} {path} {foreign}");
        }
        if method == "POST" {
            let headers = format!("Host: {address}\r\n");
            assert_eq!(status(method, &path, &headers), 415, "{method} {path} without a content type");
        }
    }
}

#[test]
fn every_response_has_the_security_headers() {
    let plant = Plant::new();
    let node = plant.start.node();
    let address = node.address();
    for path in ["/", "/api/pumps", "/api/nothing", "/healthz", "/api/stream"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let head = receive(&mut send(&node, request, TIMEOUT)).head.to_lowercase();
        for header in [
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(header), "{path}: {header}: {head}");
        }
    }
}

#[test]
fn a_stream_ends_with_its_session() {
    use std::io::Read;

    let plant = Plant::new();
    let node = plant.start.clone().with_env("VOLUTE__LIVE__HEARTBEAT_S", "1").node();
    let ada = plant.user(&node, "ada", Role::Viewer);
    let request =
        format!("GET /api/stream HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n", node.address(), ada.credential);
    let mut stream = send(&node, request, TIMEOUT);
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("it begins");
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(ada.status("POST", "/api/logout", None), 200);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it ends");
}

#[test]
fn a_login_takes_a_short_body_only() {
    let plant = Plant::new();
    let node = plant.start.node();
    for path in ["/api/login", "/api/setup"] {
        for (length, status) in [("Content-Length: 4097\r\n", 413), ("Transfer-Encoding: chunked\r\n", 413)] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{length}\r\n",
                node.address()
            );
            assert_eq!(receive(&mut send(&node, head, TIMEOUT)).status, status, "{path} {length}");
        }
    }
}

#[test]
fn an_address_for_other_machines_needs_a_user() {
    let plant = Plant::new();
    let serve = |expected: &str| {
        let dir = plant.data().to_str().expect("UTF-8");
        let output = volute().args(["serve", "--listen", "0.0.0.0:0", "--data-dir", dir]).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expected), "{text}");
    };
    serve("volute user add");
}
