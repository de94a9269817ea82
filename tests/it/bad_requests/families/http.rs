//! Requests that are bad as HTTP, or that access refuses.

use rand::RngExt;
use volute_web::RouteAccess;

use super::{BadRequest, Context, complete, incomplete, item, path_with};

pub fn lengths(context: &mut Context<'_>) -> BadRequest {
    let body = item();
    let no_numbers =
        ["-1", "+5", "0x10", "1e3", "99999999999999999999", "18446744073709551615", "9000000", "a", "", "5 5", "5, 5"];
    let length = match context.below(3) {
        0 => (body.len() + 1 + context.below(1_000)).to_string(),
        1 => context.below(body.len()).to_string(),
        _ => context.pick(&no_numbers).to_owned(),
    };
    incomplete(context.raw_post(&format!("Content-Length: {length}\r\n"), &body))
}

pub fn chunking(context: &mut Context<'_>) -> BadRequest {
    let item = item();
    let size = context.pick(&["zz", "-5", "0x5", "5 5", "", "ffffffffffffffff", "800001", "5;", "5\n", ";x", "+5"]);
    let good = [format!("{:x}\r\n", item.len()).as_bytes(), &item, b"\r\n"].concat();
    let body: Vec<u8> = match context.below(4) {
        0 => [size.as_bytes(), b"\r\n[1,2]\r\n0\r\n\r\n"].concat(),
        1 => [&good[..], size.as_bytes(), b"\r\n"].concat(),
        2 => [b"2\r\n[]garbage\r\n0\r\n\r\n".as_slice(), &good].concat(),
        _ => good[..context.below(good.len())].to_vec(),
    };
    incomplete(context.raw_post("Transfer-Encoding: chunked\r\n", &body))
}

/// Requests whose end two servers may see in different places.
pub fn smuggling(context: &mut Context<'_>) -> BadRequest {
    let hidden = format!("GET /api/users HTTP/1.1\r\nHost: {}\r\n\r\n", context.host);
    let header = context.pick(&[
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 7\r\n",
        "Content-Length: 6, 7\r\n",
        "Content-Length: 6\r\n Content-Length: 7\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\tchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "X: a\r\n\tContent-Length: 6\r\n",
        "X: a\rContent-Length: 6\r\n",
        "X: a\nContent-Length: 6\r\n",
        "Content_Length: 6\r\nContent-Length: 0\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARA\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 3\r\n",
    ]);
    incomplete(context.raw_post(header, format!("0\r\n\r\n{hidden}").as_bytes()))
}

/// Paths to files, and to routes under another name; without a credential.
pub fn traversal(context: &mut Context<'_>) -> BadRequest {
    let up = context.pick(&[
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "%252e%252e%252f",
        "..;/",
        "%c0%ae%c0%ae/",
        "./",
        "//",
    ]);
    let target = context.pick(&["etc/passwd", "Cargo.toml", "store/access", "api/users", "proc/self/environ", "%00"]);
    let base = context.pick(&["/", "/assets/", "/pumps/", "/api/", "/api/profiles/", "/api/pumps/", "/api/actors/"]);
    let path = format!("{base}{}{target}", up.repeat(1 + context.below(12)));
    context.request("GET", &path, "", b"")
}

pub fn wrong_methods(context: &mut Context<'_>) -> BadRequest {
    let row = context.route(|_| true);
    let long = "A".repeat(1 + context.below(300));
    let method = context.pick(&[
        "TRACE",
        "CONNECT",
        "OPTIONS",
        "PROPFIND",
        "get",
        "Post",
        "PRI",
        "QUERY",
        "G ET",
        "",
        "GET\t",
        "DEL\u{fc}",
        long.as_str(),
    ]);
    context.request(method, &path_with(&row, "nothing"), &context.credential_for(&row), b"")
}

pub fn oversized_headers(context: &mut Context<'_>) -> BadRequest {
    let size = [8_000, 17_000, 70_000, 140_000, 300_000][context.below(5)];
    let long = "a".repeat(size);
    match context.below(5) {
        0 => context.request("GET", &format!("/api/pumps?cursor={long}"), &context.credentials.cookie, b""),
        1 => context.request("GET", "/api/pumps", &format!("X-Long: {long}\r\n"), b""),
        2 => {
            let many: String = (0..size / 60).map(|n| format!("X-{n}: {n}\r\n")).collect();
            context.request("GET", "/api/pumps", &many, b"")
        }
        3 => context.request("GET", "/api/pumps", &format!("Cookie: volute-session={long}\r\n"), b""),
        _ => context.request("POST", "/api/ingest", &format!("{long}: 1\r\nAuthorization: Bearer {long}\r\n"), b"{}"),
    }
}

pub fn bad_credentials(context: &mut Context<'_>) -> BadRequest {
    let random: String = (0..43).map(|_| char::from(context.random.random_range(b'a'..=b'z'))).collect();
    let real = context.credentials.token.clone();
    let session = context.credentials.cookie.trim().trim_start_matches("Cookie: ").to_owned();
    let other = if real.ends_with('A') { 'B' } else { 'A' };
    let flipped = format!("{}{other}", &real[..real.len() - 1]);
    let header = match context.below(14) {
        0 => format!("Authorization: Bearer vpt_{random}_{random}\r\n"),
        1 => format!("Authorization: Bearer {flipped}{other}\r\n"),
        2 => format!("Authorization: Bearer {}\r\n", &real[..context.below(real.len())]),
        3 => format!("Authorization: Basic {random}\r\n"),
        4 => "Authorization: Bearer\r\n".to_owned(),
        5 => format!("Authorization: {real}\r\n"),
        6 => format!("Authorization: Bearer {flipped}\r\nAuthorization: Bearer {random}\r\n"),
        7 => format!("Authorization: Bearer {flipped}, Bearer {flipped}\r\n"),
        8 => format!("Cookie: volute-session={random}\r\n"),
        9 => format!("Cookie: volute-session={random}; volute-session={random}\r\n"),
        10 => format!("Cookie: {}\r\n", &session[..session.len() - 2]),
        11 => format!("Cookie: {}\r\n", "a=b; ".repeat(200)),
        12 => "Cookie: volute-session=\"\u{1}\"; =; ;\r\n".to_owned(),
        _ => format!("Cookie: volute-session=%00{random}\r\n"),
    };
    let row = context.route(|row| row.access != RouteAccess::Public);
    let headers = format!("Content-Type: application/json\r\n{header}");
    context.request(row.method, &path_with(&row, "nothing"), &headers, b"")
}

pub fn control_characters(context: &mut Context<'_>) -> BadRequest {
    let code = [0_u8, 1, 7, 8, 11, 27, 127][context.below(7)];
    let character = char::from(code);
    let cookie = context.credentials.cookie.clone();
    match context.below(5) {
        0 => context.request("GET", &format!("/api/pumps{character}"), "", b""),
        1 => context.request("GET", &format!("/api/pumps/%{code:02x}/settings"), &cookie, b""),
        2 => context.request("GET", "/api/pumps", &format!("X: a{character}b\r\n"), b""),
        3 => context.request("GET", "/api/pumps", &format!("X{character}: a\r\n"), b""),
        _ => {
            let body = format!("{{\"pump_id\": \"P{character}\", \"Motor_RPM\": 1}}");
            context.post("application/json", body.as_bytes())
        }
    }
}

pub fn wrong_hosts(context: &mut Context<'_>) -> BadRequest {
    let own = context.host.to_owned();
    let host = match context.below(11) {
        0 => "Host: rebound.evil.example\r\n".to_owned(),
        1 => String::new(),
        2 => format!("Host: {own}\r\nHost: evil.example\r\n"),
        3 => format!("Host: evil.example\r\nHost: {own}\r\n"),
        4 => "Host: \r\n".to_owned(),
        5 => "Host: localhost@evil.example\r\n".to_owned(),
        6 => "Host: evil.example:5000\r\n".to_owned(),
        7 => "Host: localhost:99999\r\n".to_owned(),
        8 => "Host: local host\r\n".to_owned(),
        9 => "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n".to_owned(),
        _ => "Host: [::1\r\n".to_owned(),
    };
    let row = context.route(|_| true);
    let path = path_with(&row, "nothing");
    let target = if context.below(5) == 0 { format!("http://evil.example{path}") } else { path };
    let head = format!(
        "{} {target} HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
        row.method
    );
    complete(head.into_bytes())
}

/// Requests that change something, as pages of other sites send them.
pub fn foreign_pages(context: &mut Context<'_>) -> BadRequest {
    let row = context.route(|row| row.method != "GET");
    let page = context.pick(&[
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost.evil.example\r\n",
        "Origin: file://\r\n",
        "Origin: \r\n",
        "Origin: http://evil.example, http://localhost\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: \u{1}\r\n",
    ]);
    let headers = format!("Content-Type: application/json\r\n{page}{}", context.credential_for(&row));
    context.request(row.method, &path_with(&row, "nothing"), &headers, b"{}")
}

pub fn no_http(context: &mut Context<'_>) -> BadRequest {
    let bytes = match context.below(12) {
        0 => b"GET /api/pumps\r\n\r\n".to_vec(),
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec(),
        3 => b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        4 => b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
        5 => b"\r\n\r\n\r\n\r\nno HTTP\r\n\r\n".to_vec(),
        6 => b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(),
        7 => b"GET / HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        8 => b"GET / FTP/1.1\r\n\r\n".to_vec(),
        9 => b"POST http:///api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_vec(),
        10 => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => (0..1 + context.below(500)).map(|_| context.random.random()).collect(),
    };
    incomplete(bytes)
}
