//! Who may do what, on the running node: every route with every role, pump tokens, the first minute, and what a kill
//! must not undo.

mod edges;
mod kills;
mod limits;
mod single_sign_on;

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use volute_access::{Permission, Role};
use volute_plant::{Clock, SystemClock};
use volute_web::{RouteAccess, RouteRow, route_table};

use crate::support::{Node, NodeConfig, RawResponse, receive, run, send, ten_values, volute};

const PASSWORD: &str = "pumps never sleep";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of a node, with a cookie or a token.
pub(crate) struct Client<'a> {
    node: &'a Node,
    /// A header with the credential; empty if there is none.
    pub(crate) credential: String,
}

impl Client<'_> {
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> RawResponse {
        let body = body.map(Value::to_string).unwrap_or_default();
        let address = self.node.address();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.credential,
            body.len()
        );
        receive(&mut send(self.node, request, TIMEOUT))
    }

    pub(crate) fn status(&self, method: &str, path: &str, body: Option<&Value>) -> u16 {
        self.request(method, path, body).status
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let response = self.request(method, path, Some(body));
        assert_eq!(response.status, 200, "{method} {path}: {}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }
}

fn anonymous(node: &Node) -> Client<'_> {
    Client { node, credential: String::new() }
}

pub(crate) fn with_token<'a>(node: &'a Node, token: &str) -> Client<'a> {
    Client { node, credential: format!("Authorization: Bearer {token}\r\n") }
}

/// Returns the client of the session that a response begins.
fn with_cookie_of<'a>(node: &'a Node, response: &RawResponse) -> Client<'a> {
    assert_eq!(response.status, 200, "{}", response.body);
    let head = &response.head;
    let cookie = head.lines().find_map(|line| line.to_lowercase().starts_with("set-cookie: ").then(|| &line[12..]));
    let cookie = cookie.unwrap_or_else(|| panic!("a cookie: {head}"));
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    Client { node, credential: format!("Cookie: {}\r\n", cookie.split(';').next().expect("a part")) }
}

/// A node's data directory, and the commands on it.
pub(crate) struct Plant {
    _folder: TempDir,
    pub(crate) start: NodeConfig,
}

impl Plant {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let start = NodeConfig::new(&folder, "centrifugal");
        Self { _folder: folder, start }
    }

    pub(crate) fn data(&self) -> &PathBuf {
        &self.start.data
    }

    fn volute(&self, args: &[&str]) -> String {
        let dir = self.data().to_str().expect("UTF-8");
        run(&[args, &["--data-dir", dir]].concat())
    }

    /// Adds a user on the node's machine, who then sets a password.
    pub(crate) fn user<'a>(&self, node: &'a Node, name: &str, role: Role) -> Client<'a> {
        let printed = self.volute(&["user", "add", name, "--role", role.as_str()]);
        set_up(node, &link_in(&printed))
    }

    pub(crate) fn token(&self, args: &[&str]) -> String {
        let printed = self.volute(&[&["token", "add"], args].concat());
        printed.lines().last().expect("a line").to_owned()
    }
}

/// Returns the token of the set-up link in a text.
fn link_in(text: &str) -> String {
    text.trim_end().rsplit_once("/setup#").expect("a link").1.to_owned()
}

fn set_up<'a>(node: &'a Node, link: &str) -> Client<'a> {
    let body = json!({"token": link, "password": PASSWORD});
    with_cookie_of(node, &anonymous(node).request("POST", "/api/setup", Some(&body)))
}

/// Logs a user of [`Plant::user`] in once more.
pub(crate) fn second_session<'a>(node: &'a Node, name: &str) -> Client<'a> {
    with_cookie_of(node, &login(node, name, PASSWORD))
}

fn login(node: &Node, name: &str, password: &str) -> RawResponse {
    anonymous(node).request("POST", "/api/login", Some(&json!({"name": name, "password": password})))
}

pub(crate) fn item(pump: &str) -> Value {
    let mut item = ten_values();
    item["pump_id"] = pump.into();
    item
}

/// Returns a path of a route that exists or is not found, and whose request changes nothing that another one needs.
fn path_of(row: &RouteRow) -> String {
    row.path.replace("{id}", "nothing").replace("{version}", "9").replace("{name}", "nobody").replace("{work}", "none")
}

/// Sends a request without a valid body, so that it does nothing if it is let in, and returns whether it was.
fn is_let_in(client: &Client<'_>, row: &RouteRow) -> bool {
    // The response of a stream does not end; its head is enough.
    let response = client.request(row.method, &path_of(row), None);
    match response.status {
        401 => !["not-logged-in"].iter().any(|kind| response.body.contains(kind)),
        403 => !["urn:volute:problem:not-allowed"].iter().any(|kind| response.body.contains(kind)),
        status => {
            assert!(status < 500 || status == 503, "{} {}: {status}", row.method, row.path);
            true
        }
    }
}

#[test]
fn every_route_lets_in_exactly_whom_the_table_says() {
    let plant = Plant::new();
    let start = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never");
    let node = start.node();
    let users: Vec<(Role, Client<'_>)> =
        Role::ALL.into_iter().map(|role| (role, plant.user(&node, role.as_str(), role))).collect();
    let token = plant.token(&["gateway-1", "--pump", "P-1"]);
    let token = with_token(&node, &token);
    let ended = plant.user(&node, "ended", Role::Admin);
    plant.volute(&["user", "disable", "ended"]);
    let revoked = plant.token(&["gateway-2", "--pump", "P-1"]);
    plant.volute(&["token", "revoke", &revoked[4..20]]);
    let revoked = with_token(&node, &revoked);

    let table = route_table();
    assert!(table.len() > 40, "{}", table.len());
    // A logout last: it ends the session.
    for row in table.iter().filter(|row| row.path != "/api/logout") {
        let name = format!("{} {}", row.method, row.path);
        let is_public = row.access == RouteAccess::Public;
        for (role, client) in &users {
            let may = match row.access {
                RouteAccess::Public | RouteAccess::User => true,
                RouteAccess::Needs(permission) => role.may(permission),
            };
            assert_eq!(is_let_in(client, row), may, "{name} as {}", role.as_str());
        }
        assert_eq!(is_let_in(&anonymous(&node), row), is_public, "{name} without a login");
        assert_eq!(is_let_in(&ended, row), is_public, "{name} of a disabled user");
        let ingests = row.access == RouteAccess::Needs(Permission::Ingest);
        assert_eq!(is_let_in(&token, row), is_public || ingests, "{name} with a pump token");
        assert_eq!(is_let_in(&revoked, row), is_public, "{name} with a revoked token");
    }
    for (role, client) in &users {
        assert_eq!(client.status("POST", "/api/logout", None), 200, "{}", role.as_str());
        assert_eq!(client.status("GET", "/api/pumps", None), 401, "{} has logged out", role.as_str());
    }
}

#[test]
fn every_path_of_the_description_is_in_the_table_and_says_what_it_needs() {
    let plant = Plant::new();
    let node = plant.start.node();
    let document = node.get_ok("/api/openapi.json");
    let mut described = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let row = route_table().into_iter().find(|row| row.path == path && row.method.to_lowercase() == *method);
            let row = row.unwrap_or_else(|| panic!("{method} {path} is not in the table"));
            let is_public = row.access == RouteAccess::Public;
            assert_eq!(operation["security"].as_array().map(Vec::is_empty), Some(is_public), "{method} {path}");
            assert!(operation["responses"].get("421").is_some());
            for status in ["401", "403"] {
                assert!(is_public || operation["responses"].get(status).is_some(), "{method} {path} {status}");
            }
            described += 1;
        }
    }
    assert_eq!(described, route_table().len());
}

#[test]
fn a_node_on_loopback_is_open_until_it_has_a_user() {
    let plant = Plant::new();
    let node = plant.start.node();
    let session = node.get_ok("/api/session");
    assert_eq!((&session["secured"], &session["kind"]), (&json!(false), &json!("anonymous")));
    assert_eq!(session["set_up_with"], "volute user add NAME --role admin");
    assert_eq!(node.post(&item("P-1")).status, 200);
    assert_eq!(node.get("/api/audit-log").status, 200);
    // A proxy on this machine forwards requests of others.
    let address = node.address();
    let forwarded = |extra: &str| {
        let request = format!("GET /api/pumps HTTP/1.1\r\nHost: {address}\r\n{extra}\r\n");
        receive(&mut send(&node, request, TIMEOUT)).status
    };
    assert_eq!(
        (forwarded(""), forwarded("X-Forwarded-For: 10.0.0.7\r\n"), forwarded("Via: 1.1 proxy\r\n")),
        (200, 401, 401)
    );

    let ada = plant.user(&node, "Ada", Role::Engineer);
    for (path, status) in [("/api/pumps", 401), ("/api/audit-log", 401), ("/api/session", 200), ("/healthz", 200)] {
        assert_eq!(node.get(path).status, status, "{path}");
    }
    let session = ada.json("GET", "/api/session", &json!(null));
    assert_eq!(
        (&session["secured"], &session["name"], &session["role"]),
        (&json!(true), &json!("ada"), &json!("engineer"))
    );
    assert_eq!(ada.status("GET", "/api/pumps", None), 200);
    assert_eq!(node.post(&item("P-1")).status, 200, "a pump on this machine posts as before");
    assert_eq!(node.post(&item("P-2")).status, 200, "and registers");

    let response = node.get("/api/pumps");
    assert_eq!(response.body["type"], "urn:volute:problem:not-logged-in", "{response:?}");
}

#[test]
fn a_token_posts_readings_of_its_pumps_only() {
    let plant = Plant::new();
    let node = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never").node();
    assert_eq!(node.post(&item("P-3")).status, 200, "open until there is a user");
    plant.user(&node, "ada", Role::Admin);
    assert_eq!(node.post(&item("P-3")).status, 401);
    let plain = plant.token(&["gw", "--pump", "P-1", "--pump", "P-3"]);
    let registering = plant.token(&["gw", "--pump", "P-1", "--register"]);
    let post = |token: &str, items: Value| with_token(&node, token).request("POST", "/api/ingest", Some(&items));

    assert_eq!(post(&plain, item("P-3")).status, 200);
    let foreign = post(&plain, json!([item("P-2"), item("P-9")]));
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert!(foreign.body.contains("foreign-pumps"), "{}", foreign.body);
    let mixed = post(&plain, json!([item("P-2"), item("P-3")]));
    assert_eq!(mixed.status, 207, "{}", mixed.body);
    assert!(mixed.body.contains("the token is for other pumps"), "{}", mixed.body);

    assert_eq!(post(&plain, item("P-1")).status, 400, "it may not register a pump");
    assert_eq!(post(&registering, item("P-1")).status, 200);
    assert_eq!(post(&plain, item("P-1")).status, 200, "the pump is registered now");

    let third = volute()
        .args(["token", "add", "gw", "--pump", "P-1", "--data-dir", plant.data().to_str().expect("UTF-8")])
        .output()
        .expect("it runs");
    assert!(!third.status.success(), "two tokens of a gateway at a time");
    let listed = plant.volute(&["token", "list"]);
    assert_eq!(listed.lines().filter(|line| line.contains("  valid  ")).count(), 2, "{listed}");
    assert!(listed.contains("used 20") && !listed.contains(&plain[21..]), "its last use, and no secret: {listed}");
    assert_eq!(post("vpt_0123456789abcdef_nonsense", item("P-3")).status, 401);
}

#[test]
fn what_is_revoked_stays_revoked_after_a_kill() {
    let plant = Plant::new();
    let node = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never").node();
    let ada = plant.user(&node, "ada", Role::Admin);
    let eve = plant.user(&node, "eve", Role::Viewer);
    let new = |name: &str| json!({"name": name, "pumps": ["P-1"], "register": true});
    let (kept, revoked) = (ada.json("POST", "/api/tokens", &new("a")), ada.json("POST", "/api/tokens", &new("b")));
    let revoked_path = format!("/api/tokens/{}", revoked["id"].as_str().expect("an id"));
    assert_eq!(ada.status("DELETE", &revoked_path, None), 200);
    assert_eq!(ada.status("PATCH", "/api/users/eve", Some(&json!({"disabled": true}))), 200);
    let (ada, eve) = (ada.credential, eve.credential);
    node.kill();

    let node = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never").node();
    let client = |credential: &str| Client { node: &node, credential: credential.to_owned() };
    assert_eq!(client(&ada).status("GET", "/api/users", None), 200, "the session continues");
    assert_eq!(client(&eve).status("GET", "/api/pumps", None), 401);
    assert_eq!(login(&node, "eve", PASSWORD).status, 401);
    let post = |token: &Value| {
        with_token(&node, token["token"].as_str().expect("a token")).status("POST", "/api/ingest", Some(&item("P-1")))
    };
    assert_eq!((post(&kept), post(&revoked)), (200, 401));
    let (again, _) = (login(&node, "ada", PASSWORD), ());
    let again = with_cookie_of(&node, &again);
    assert_ne!(again.credential, ada, "a login has a new id");

    // Who did it is in the log.
    let log = again.request("GET", "/api/audit-log?action=revoke-token", None).body;
    assert!(log.contains("\"who\":\"user ada\""), "{log}");
    assert!(!log.contains("vpt_"), "{log}");
}

#[cfg(feature = "failpoints")]
#[test]
fn sessions_and_tokens_expire() {
    const DAY_MS: i64 = 86_400_000;
    let plant = Plant::new();
    let start = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never");
    let node = start.node();
    let ada = plant.user(&node, "ada", Role::Admin).credential;
    let (day, week) =
        (["--pump", "P-1", "--register", "--expires-days", "1"], ["--pump", "P-1", "--expires-days", "7"]);
    let day = plant.token(&[&["day"], &day[..]].concat());
    let week = plant.token(&[&["week"], &week[..]].concat());
    let statuses = |node: &Node| {
        let post = |token: &str| with_token(node, token).status("POST", "/api/ingest", Some(&item("P-1")));
        let session = Client { node, credential: ada.clone() };
        [session.status("GET", "/api/users", None), post(&day), post(&week)]
    };
    assert_eq!(statuses(&node), [200, 200, 200]);
    node.kill();
    let node = start.with_env("FAILPOINTS", &format!("clock=return({})", DAY_MS + 60_000)).node();
    assert_eq!(statuses(&node), [401, 401, 200], "a session that was not used for 12 hours, and the token of a day");
}

#[test]
fn users_are_added_while_the_node_is_stopped() {
    let plant = Plant::new();
    let printed = plant.volute(&["user", "add", "ada", "--role", "admin"]);
    assert_eq!(plant.volute(&["user", "list"]), "ada  admin  no password yet\n");
    let node = plant.start.node();
    assert_eq!(node.get("/api/pumps").status, 401);
    let link = link_in(&printed);
    assert!(node.get_ok("/api/session")["secured"].as_bool().expect("a flag"));
    set_up(&node, &link);
    let again = json!({"token": link, "password": PASSWORD});
    assert_eq!(anonymous(&node).status("POST", "/api/setup", Some(&again)), 401, "a link works once");
    assert_eq!(login(&node, "ada", "something else!").status, 401);
    let ada = with_cookie_of(&node, &login(&node, "ada", PASSWORD));
    assert_eq!(ada.status("POST", "/api/password", Some(&json!({"current": PASSWORD, "new": "short"}))), 400);
    let changed =
        ada.request("POST", "/api/password", Some(&json!({"current": PASSWORD, "new": "pumps rarely sleep"})));
    let changed = with_cookie_of(&node, &changed);
    assert_eq!((ada.status("GET", "/api/pumps", None), changed.status("GET", "/api/pumps", None)), (401, 200));
    assert_eq!(plant.volute(&["user", "list"]), "ada  admin  active\n");
    let log = changed.request("GET", "/api/audit-log?action=set-password", None).body;
    let entries = serde_json::from_str::<Value>(&log).expect("JSON")["items"].clone();
    let of = |entry: &Value| ["who", "object", "outcome"].map(|field| entry[field].as_str().expect("text").to_owned());
    let [change, again, set_up] = [&entries[0], &entries[2], &entries[3]].map(of);
    assert_eq!(change, ["user ada", "ada", "done"], "{log}");
    assert!(set_up[1..] == ["ada", "done"] && again[2].contains("used already"), "{log}");
}

#[test]
fn only_additions_create_a_data_directory_and_they_say_where() {
    let plant = Plant::new();
    let dir = plant.data().join("new");
    let output = |args: &[&str]| volute().args(args).arg("--data-dir").arg(&dir).output().expect("it runs");
    let listed = output(&["user", "list"]);
    let text = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(!listed.status.success() && text.contains("has never been used by a node") && !dir.exists(), "{text}");
    let added = output(&["user", "add", "ada", "--role", "admin"]);
    let text = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(added.status.success() && text.contains(dir.to_str().expect("UTF-8")), "{text}");
    let again = output(&["user", "add", "bob", "--role", "admin"]);
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && !text.contains("No node has used"), "the directory is known: {text}");
}

#[test]
fn a_login_asks_for_the_code_of_a_second_factor() {
    let plant = Plant::new();
    let node = plant.start.node();
    let ada = plant.user(&node, "ada", Role::Viewer);
    let begun = ada.json("POST", "/api/second-factor", &json!({"password": PASSWORD}));
    let secret = totp_rs::Secret::try_from_base32(begun["secret"].as_str().expect("text")).expect("base 32");
    let totp = totp_rs::Builder::new().with_secret(secret).build().expect("a second factor");
    let now = u64::try_from(SystemClock.now().millis()).expect("after 1970") / 1000;
    let code = |second: u64| totp.generate(second).to_string();
    assert_eq!(ada.status("POST", "/api/second-factor/confirm", Some(&json!({"code": "00000"}))), 401);
    ada.json("POST", "/api/second-factor/confirm", &json!({"code": code(now)}));

    let without = login(&node, "ada", PASSWORD);
    assert!(without.status == 401 && without.body.contains("code-needed"), "{}", without.body);
    let with = |code: String| {
        let body = json!({"name": "ada", "password": PASSWORD, "code": code});
        anonymous(&node).request("POST", "/api/login", Some(&body))
    };
    assert_eq!(with(code(now)).status, 401, "it was used");
    // A code of the next step is accepted, because clocks differ.
    let session = with_cookie_of(&node, &with(code(now + 30)));
    assert_eq!(session.json("GET", "/api/session", &json!(null))["second_factor"], true);
    session.json("POST", "/api/second-factor/remove", &json!({"password": PASSWORD}));
    assert_eq!(login(&node, "ada", PASSWORD).status, 200);
}

#[test]
fn failed_logins_lock_out() {
    let plant = Plant::new();
    let node = plant.start.node();
    plant.user(&node, "ada", Role::Admin);
    let statuses: Vec<u16> = (0..8).map(|_| login(&node, "ada", "wrong").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429, 429]);
    let locked = login(&node, "ada", PASSWORD);
    assert_eq!(locked.status, 429, "also with the right password");
    assert!(locked.head.to_lowercase().contains("retry-after: "), "{}", locked.head);
}
