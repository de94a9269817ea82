//! The 19 families of bad requests.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::IndexedRandom};
use volute_web::{RouteAccess, RouteRow, route_table};

use crate::support::{gzip, ten_values};

mod http;
mod payload;

pub type Random = Xoshiro256PlusPlus;

/// A request as bytes.
pub struct BadRequest {
    pub bytes: Vec<u8>,
    /// Whether the node may wait for more bytes: then the stream must end.
    pub is_incomplete: bool,
}

/// The credentials with which requests reach what is behind the checks of access.
pub struct Credentials {
    /// A header with the cookie of an admin.
    pub cookie: String,
    pub token: String,
}

/// What a family needs to make a request.
pub struct Context<'a> {
    pub random: Random,
    pub host: &'a str,
    pub credentials: &'a Credentials,
}

/// A kind of bad requests.
pub struct Family {
    pub name: &'static str,
    make: fn(&mut Context<'_>) -> BadRequest,
}

/// All families.
#[rustfmt::skip]
pub const FAMILIES: [Family; 19] = [
    Family { name: "malformed JSON", make: payload::malformed_json },
    Family { name: "nesting", make: payload::nesting },
    Family { name: "numbers", make: payload::numbers },
    Family { name: "encodings", make: payload::encodings },
    Family { name: "lengths", make: http::lengths },
    Family { name: "chunking", make: http::chunking },
    Family { name: "smuggling", make: http::smuggling },
    Family { name: "gzip", make: payload::compressed },
    Family { name: "traversal", make: http::traversal },
    Family { name: "injection", make: payload::injection },
    Family { name: "wrong methods", make: http::wrong_methods },
    Family { name: "wrong content types", make: payload::wrong_content_types },
    Family { name: "oversized headers", make: http::oversized_headers },
    Family { name: "bad credentials", make: http::bad_credentials },
    Family { name: "bad UTF-8", make: payload::bad_utf8 },
    Family { name: "control characters", make: http::control_characters },
    Family { name: "wrong hosts", make: http::wrong_hosts },
    Family { name: "foreign pages", make: http::foreign_pages },
    Family { name: "no HTTP", make: http::no_http },
];

/// Returns the request with this number, and the name of its family.
pub fn request(number: u64, host: &str, credentials: &Credentials) -> (&'static str, BadRequest) {
    let family = &FAMILIES[number as usize % FAMILIES.len()];
    let mut context = Context { random: Random::seed_from_u64(number), host, credentials };
    (family.name, (family.make)(&mut context))
}

impl Context<'_> {
    pub fn pick<'t, T: ?Sized>(&mut self, choices: &[&'t T]) -> &'t T {
        choices.choose(&mut self.random).expect("a choice")
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    /// Returns a row of the API with whose requests an admin's session and the node go on: without the stream, whose
    /// response does not end, the logout, and the log-in and set-up, which have a family of their own.
    pub fn route(&mut self, wanted: impl Fn(&RouteRow) -> bool) -> RouteRow {
        let left_out = ["/api/stream", "/api/logout"];
        let rows: Vec<RouteRow> =
            route_table().into_iter().filter(|row| !left_out.contains(&row.path) && wanted(row)).collect();
        *rows.choose(&mut self.random).expect("a row")
    }

    /// Returns the header that lets a request pass to the handler of the row.
    pub fn credential_for(&self, row: &RouteRow) -> String {
        match row.access {
            RouteAccess::Needs(volute_access::Permission::Ingest) => self.token_header(),
            _ => self.credentials.cookie.clone(),
        }
    }

    pub fn token_header(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.credentials.token)
    }

    /// Returns a complete request whose connection ends with the response. `headers` end with a line break each.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> BadRequest {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        complete([head.as_bytes(), body].concat())
    }

    /// Returns a post with the token, whose head ends with `headers`.
    pub fn raw_post(&self, headers: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST /api/ingest HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n{}{headers}\r\n",
            self.host,
            self.token_header()
        );
        [head.as_bytes(), body].concat()
    }

    /// Returns a post of a body with the token.
    pub fn post(&self, content_type: &str, body: &[u8]) -> BadRequest {
        let headers = format!("Content-Type: {content_type}\r\n{}", self.token_header());
        self.request("POST", "/api/ingest", &headers, body)
    }
}

pub fn complete(bytes: Vec<u8>) -> BadRequest {
    BadRequest { bytes, is_incomplete: false }
}

/// Returns a request that the node may wait to be continued.
pub fn incomplete(bytes: Vec<u8>) -> BadRequest {
    BadRequest { bytes, is_incomplete: true }
}

/// Returns a path of the row with this text as each of its parameters.
pub fn path_with(row: &RouteRow, parameter: &str) -> String {
    ["{id}", "{version}", "{name}"].iter().fold(row.path.to_owned(), |path, name| path.replace(name, parameter))
}

/// An item of a pump that the token may post for, as bytes.
fn item() -> Vec<u8> {
    let mut item = ten_values();
    item["pump_id"] = "P-1".into();
    item.to_string().into_bytes()
}

/// Compresses zeros.
fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    gzip(&vec![b'0'; bytes])
}
