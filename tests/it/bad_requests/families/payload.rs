//! Bad bodies and parameters.

use std::sync::LazyLock;

use rand::RngExt;
use volute_web::RouteRow;

use super::{BadRequest, Context, gzip_of_zeros, item, path_with};
use crate::support::{gzip, url_encoded};

/// An item with some bytes changed, inserted or left out.
pub fn malformed_json(context: &mut Context<'_>) -> BadRequest {
    let mut body = item();
    for _ in 0..1 + context.below(4) {
        let at = context.below(body.len());
        match context.below(4) {
            0 => body.truncate(at.max(1)),
            1 => body[at] = b"{}[,\"\\:"[context.below(7)],
            2 => drop(body.remove(at)),
            _ => body.insert(at, context.random.random_range(0x20..0x7f)),
        }
        if body.is_empty() {
            body.push(b'{');
        }
    }
    // Whatever the changes did, it is not JSON.
    body.extend(context.pick(&["}", "]", ",", "{", "\"", "nul"]).as_bytes());
    let content_type = context.pick(&["application/json", "application/x-ndjson", "text/plain"]);
    context.post(content_type, &body)
}

pub fn nesting(context: &mut Context<'_>) -> BadRequest {
    let depth = [3, 100, 126, 127, 128, 129, 1_000, 20_000][context.below(8)];
    let (open, close) = [("[", "]"), ("{\"values\":", "}"), ("{\"a\":[", "]}")][context.below(3)];
    let inner = context.pick(&["1", "", "{}", "{\"Motor_RPM\": 1}"]);
    let closed = if context.below(3) == 0 { depth / 2 } else { depth };
    let body = format!("{}{inner}{}", open.repeat(depth), close.repeat(closed));
    match context.below(3) {
        0 => context.post("application/json", body.as_bytes()),
        1 => {
            let body = format!("{{\"Motor_RPM\": 1, \"x\": {body}, \"pump_id\": 7}}");
            context.post("application/json", body.as_bytes())
        }
        _ => {
            let row = context.route(|row| matches!(row.method, "POST" | "PUT" | "PATCH"));
            command(context, &row, "nothing", body.as_bytes())
        }
    }
}

const NUMBERS: [&str; 22] = [
    "1e999",
    "-1e999",
    "1e-999",
    "007",
    "0x10",
    ".5",
    "5.",
    "+5",
    "1,5",
    "NaN",
    "-Infinity",
    "1_000",
    "١٢",
    "-0",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e308",
    "0.1e",
    "--1",
    "1e+",
    "4294967296",
];

pub fn numbers(context: &mut Context<'_>) -> BadRequest {
    let number = context.pick(&NUMBERS);
    if context.below(2) == 0 {
        let digits = format!("{number}{}", "0".repeat([0, 0, 400, 20_000][context.below(4)]));
        let body = format!("{{\"pump_id\": \"P-9\", \"timestamp\": {digits}, \"Motor_RPM\": {digits}}}");
        return context.post("application/json", body.as_bytes());
    }
    let parameter = context.pick(&["limit", "from", "to", "resolution", "max_points", "seconds", "cursor"]);
    let row = context.route(|row| row.method == "GET");
    let path = format!("{}?{parameter}={}", path_with(&row, &url_encoded(number)), url_encoded(number));
    context.request("GET", &path, &context.credential_for(&row), b"")
}

pub fn encodings(context: &mut Context<'_>) -> BadRequest {
    let text = String::from_utf8(item()).expect("UTF-8");
    let wide = |big: bool| -> Vec<u8> {
        let mark = if big { [0xFE, 0xFF] } else { [0xFF, 0xFE] };
        let units = text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
        mark.into_iter().chain(units).collect()
    };
    let body = match context.below(4) {
        0 => wide(true),
        1 => wide(false),
        2 => [b"\xEF\xBB\xBF\xEF\xBB\xBF", text.as_bytes()].concat(),
        _ => text.replace("P-1", "P\u{fc}").chars().map(|character| character as u32 as u8).collect(),
    };
    let charset = context.pick(&["", "; charset=utf-16", "; charset=latin1", "; charset=utf-7", "; charset=\"", ";;="]);
    let coding = context.pick(&["", "br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "x", "identity, gzip", "\u{1}"]);
    let coding = if coding.is_empty() { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
    let headers = format!("Content-Type: application/json{charset}\r\n{coding}{}", context.token_header());
    context.request("POST", "/api/ingest", &headers, &body)
}

/// 9 MiB are above the largest body; 64 MiB are far above.
static BOMBS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [9 << 20, 64 << 20].map(gzip_of_zeros));

pub fn compressed(context: &mut Context<'_>) -> BadRequest {
    let whole = gzip(&item());
    let body = match context.below(24) {
        // Few, because each costs the time of 8 MiB.
        0 => BOMBS[context.below(2)].clone(),
        1..5 => whole[..context.below(whole.len())].to_vec(),
        5..9 => {
            let mut flipped = whole.clone();
            let at = context.below(flipped.len());
            flipped[at] ^= 1 << context.below(8);
            flipped.extend(b"behind it");
            flipped
        }
        9..13 => gzip(&whole),
        13..17 => [&whole[..], &gzip(b"[]")].concat(),
        17..20 => gzip(&b"[".repeat(100_000)),
        _ => (0..200).map(|_| context.random.random()).collect(),
    };
    let headers = format!("Content-Type: application/json\r\nContent-Encoding: gzip\r\n{}", context.token_header());
    context.request("POST", "/api/ingest", &headers, &body)
}

const INJECTIONS: [&str; 20] = [
    "' OR 1=1 --",
    "\"; REMOVE TABLE pump; --",
    "pump:`x` RETURN 1",
    "1; DELETE user",
    "⟨x⟩",
    "$auth",
    "type::record('user')",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "%s%n%x",
    "; cat /etc/passwd",
    "| id",
    "`id`",
    "$(id)",
    "\r\nSet-Cookie: a=b",
    "..",
    "*",
    "\u{202e}txt",
    "null",
];

/// A text in one parameter of any route: of the path, of the query, or of the body.
pub fn injection(context: &mut Context<'_>) -> BadRequest {
    let text = context.pick(&INJECTIONS);
    let encoded = url_encoded(text);
    if context.below(3) == 0 {
        let row =
            context.route(|row| matches!(row.method, "POST" | "PUT" | "PATCH" | "DELETE") && row.path.contains('{'));
        let field = context.pick(&["name", "profile", "interval_s", "role", "password", "code", "pumps", "text"]);
        let body = serde_json::json!({ field: text, "unknown": text }).to_string();
        return command(context, &row, &encoded, body.as_bytes());
    }
    let row = context.route(|row| row.method == "GET");
    let parameter = context.pick(&[
        "pump_id",
        "from",
        "to",
        "limit",
        "cursor",
        "order",
        "channel",
        "status",
        "severity",
        "action",
        "who",
        "resolution",
        "anomalies_only",
        "state",
    ]);
    let path = match context.below(3) {
        0 => path_with(&row, &encoded),
        1 => format!("{}?{parameter}={encoded}", path_with(&row, "P-1")),
        _ => format!("{}?{encoded}={encoded}&{parameter}={encoded}&{parameter}=x", path_with(&row, "P-1")),
    };
    context.request("GET", &path, &context.credential_for(&row), b"")
}

pub fn wrong_content_types(context: &mut Context<'_>) -> BadRequest {
    let row = context.route(|row| row.method == "POST");
    let content_type = context.pick(&[
        "text/html",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/xml",
        "json",
        "*/*",
        "application/json, text/plain",
        "application/jsonp",
        "",
        ";",
        "application/",
        "a/b/c",
        "text/css;charset=\u{fc}",
    ]);
    let path = path_with(&row, "nothing");
    let credential = context.credential_for(&row);
    let header = if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    context.request("POST", &path, &format!("{header}{credential}"), b"{\"name\": 1}")
}

pub fn bad_utf8(context: &mut Context<'_>) -> BadRequest {
    let sequences: [&[u8]; 6] = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"];
    let bad = context.pick(&sequences);
    let percent: String = bad.iter().map(|byte| format!("%{byte:02X}")).collect();
    match context.below(4) {
        0 => {
            let body = [b"{\"pump_id\": \"".as_slice(), bad, b"\", \"Motor_RPM\": 1}"].concat();
            context.post("application/json", &body)
        }
        1 => {
            let row = context.route(|row| row.method == "GET" && row.path.contains('{'));
            context.request("GET", &path_with(&row, &percent), &context.credential_for(&row), b"")
        }
        2 => {
            let row = context.route(|row| row.method == "GET" && !row.path.contains('{'));
            let path = format!("{}?pump_id={percent}&{percent}=1", row.path);
            context.request("GET", &path, &context.credential_for(&row), b"")
        }
        _ => {
            let row = context.route(|row| matches!(row.method, "POST" | "PUT" | "PATCH"));
            let body = [b"{\"name\": \"".as_slice(), bad, b"\"}"].concat();
            command(context, &row, "nothing", &body)
        }
    }
}

/// A command with a JSON body, sent with what lets it pass to its handler.
fn command(context: &Context<'_>, row: &RouteRow, parameter: &str, body: &[u8]) -> BadRequest {
    let headers = format!("Content-Type: application/json\r\n{}", context.credential_for(row));
    context.request(row.method, &path_with(row, parameter), &headers, body)
}
