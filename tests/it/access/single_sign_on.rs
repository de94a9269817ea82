//! Logins at an identity provider, which the test starts: who gets in with which role, and every way in which a login, its
//! token or the provider can be wrong.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};
use volute_access::Role;
use volute_plant::{Clock, SystemClock};

use super::{Client, PASSWORD, Plant, TIMEOUT, anonymous, login};
use crate::support::{
    Node, NodeConfig, RawResponse,
    issuer::{CLIENT_ID, CLIENT_SECRET, Signer, TestIssuer},
    output, receive, send, volute, wait_until,
};

const PUBLIC_URL: &str = "http://volute.plant.example:8443";

/// A login on its way: what the browser has after the provider has sent it back.
struct Returning {
    /// The callback's path and query.
    target: String,
    /// The login cookie.
    cookie: String,
}

/// Returns how to start a node with logins at a provider.
fn with_issuer(plant: &Plant, issuer: &str) -> NodeConfig {
    let file = plant.data().with_file_name("client-secret");
    fs::write(&file, format!("{CLIENT_SECRET}\n")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
    let roles = r#"{staff="viewer","plant engineers"="engineer",it="admin"}"#;
    plant
        .start
        .clone()
        .with_env("VOLUTE__SERVER__PUBLIC_URL", PUBLIC_URL)
        .with_env("VOLUTE__ACCESS__OIDC__ISSUER", issuer)
        .with_env("VOLUTE__ACCESS__OIDC__CLIENT_ID", CLIENT_ID)
        .with_env("VOLUTE__ACCESS__OIDC__CLIENT_SECRET_FILE", file.to_str().expect("UTF-8"))
        .with_env("VOLUTE__ACCESS__OIDC__NAME", "Plant")
        .with_env("VOLUTE__ACCESS__OIDC__ROLES", roles)
}

fn header<'a>(response: &'a RawResponse, name: &str) -> Vec<&'a str> {
    let named = |line: &'a str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name));
    response.head.lines().filter_map(named).map(|(_, value)| value).collect()
}

fn location(response: &RawResponse) -> &str {
    assert_eq!(response.status, 303, "{} {}", response.head, response.body);
    header(response, "location")[0]
}

/// Returns the value of the cookie that a response sets.
fn cookie<'a>(response: &'a RawResponse, name: &str) -> Option<&'a str> {
    let of =
        |text: &'a str| text.strip_prefix(name)?.strip_prefix('=')?.split(';').next().filter(|value| !value.is_empty());
    header(response, "set-cookie").into_iter().find_map(of)
}

fn get(node: &Node, target: &str, cookies: &str) -> RawResponse {
    let credential = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    Client { node, credential }.request("GET", target, None)
}

/// Begins a login, and logs in at the provider.
fn begin(node: &Node, next: &str) -> Returning {
    let begun = get(node, &format!("/api/oidc/login?next={next}"), "");
    let set = header(&begun, "set-cookie")[0];
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Max-Age=600"), "{set}");
    let cookie = format!("volute-oidc={}", cookie(&begun, "volute-oidc").expect("a login cookie"));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .build()
        .into();
    let back = agent.get(location(&begun)).call().expect("the provider responds");
    let back = back.headers().get("location").expect("a redirect").to_str().expect("text").to_owned();
    let target = back.strip_prefix(PUBLIC_URL).expect("the address of the configuration, not that of the request");
    Returning { target: target.to_owned(), cookie }
}

fn complete(node: &Node, returning: &Returning) -> RawResponse {
    get(node, &returning.target, &returning.cookie)
}

/// Logs in at the provider, and returns the client of the session.
fn sign_on(node: &Node) -> Client<'_> {
    let response = complete(node, &begin(node, "/"));
    assert_eq!(location(&response), "/");
    let session = cookie(&response, "volute-session").unwrap_or_else(|| panic!("a session: {}", response.head));
    Client { node, credential: format!("Cookie: volute-session={session}\r\n") }
}

/// Checks that a login is refused with this word, and begins no session.
fn assert_refused(response: &RawResponse, word: &str, what: &str) {
    assert_eq!(location(response), format!("/login#sign-on={word}"), "{what}");
    assert_eq!(cookie(response, "volute-session"), None, "{what}");
}

fn session(client: &Client<'_>) -> Value {
    serde_json::from_str(&client.request("GET", "/api/session", None).body).expect("JSON")
}

#[test]
fn the_groups_give_the_role_at_each_login() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let log = plant.data().with_file_name("log");
    let node = with_issuer(&plant, &issuer.url).with_log(&log).node();
    let before = session(&anonymous(&node));
    assert_eq!(before["secured"], true, "before the first user, too");
    assert_eq!(before["single_sign_on"], json!({"name": "Plant", "unavailable": false}));
    assert!(issuer.state().requests.is_empty(), "the provider is asked when somebody logs in");

    issuer.log_in_as("7f3a", "Ada.L@plant.example", &["cleaners", "staff", "plant engineers"]);
    let returning = begin(&node, "/pumps/P-1");
    let response = complete(&node, &returning);
    assert_eq!(location(&response), "/pumps/P-1");
    let cookies = header(&response, "set-cookie");
    let of_session = cookies.iter().find(|cookie| cookie.starts_with("volute-session=")).expect("a session");
    assert!(of_session.contains("SameSite=Strict") && of_session.contains("HttpOnly"), "{of_session}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("volute-oidc=;")), "the login cookie ends: {cookies:?}");
    let ada =
        Client { node: &node, credential: format!("Cookie: {}\r\n", of_session.split(';').next().expect("a part")) };
    let described = session(&ada);
    assert_eq!([&described["name"], &described["role"]], ["ada.l@plant.example", "engineer"]);

    issuer.log_in_as("7f3a", "Ada.L@plant.example", &["it"]);
    let again = sign_on(&node);
    assert_eq!(session(&again)["role"], "admin");
    let users = again.json("GET", "/api/users", &json!(null));
    let external = json!({"issuer": issuer.url, "subject": "7f3a"});
    assert_eq!([&users["items"][0]["external"], &users["items"][0]["has_password"]], [&external, &json!(false)]);
    assert_eq!(users["items"].as_array().map(Vec::len), Some(1));
    let listed = plant.volute(&["user", "list"]);
    assert_eq!(listed, format!("ada.l@plant.example  admin  active  logs in at {}\n", issuer.url));
    let entries = again.request("GET", "/api/audit-log?action=login", None).body;
    assert!(entries.contains("single sign-on, role engineer") && entries.contains("role admin"), "{entries}");

    assert_eq!(login(&node, "ada.l@plant.example", PASSWORD).status, 401, "there is no password");
    for (method, path, body) in [
        ("POST", "/api/users/ada.l@plant.example/reset", json!(null)),
        ("PATCH", "/api/users/ada.l@plant.example", json!({"role": "viewer"})),
    ] {
        assert_eq!(again.status(method, path, Some(&body)), 409, "the provider decides: {path}");
    }
    assert_eq!(again.status("POST", "/api/logout", None), 200);
    assert_eq!(again.status("GET", "/api/users", None), 401);
    let log = fs::read_to_string(log).expect("a log");
    for secret in [CLIENT_SECRET, "code-0", of_session.split(['=', ';']).nth(1).expect("a value")] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_token_that_is_not_for_this_login_lets_nobody_in() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let node = with_issuer(&plant, &issuer.url).node();
    let now_s = SystemClock.now().millis() / 1000;
    for (claim, value) in [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!([CLIENT_ID, "another-client"])),
        ("azp", json!("another-client")),
        ("iss", json!("https://another.example")),
        ("exp", json!(now_s - 120)),
        ("exp", Value::Null),
        ("iat", json!(now_s + 600)),
        ("sub", Value::Null),
    ] {
        issuer.state().claims = HashMap::from([(claim, value.clone())]);
        assert_refused(&complete(&node, &begin(&node, "/")), "not-confirmed", &format!("{claim} {value}"));
    }
    issuer.state().claims.clear();
    for algorithm in ["none", "HS256", "RS256", "ES384"] {
        issuer.state().algorithm = Some(algorithm);
        assert_refused(&complete(&node, &begin(&node, "/")), "not-confirmed", algorithm);
    }
    issuer.state().algorithm = None;
    issuer.state().signer = Signer::p256();
    assert_refused(&complete(&node, &begin(&node, "/")), "not-confirmed", "another key under the same name");
    issuer.state().key_id = "key-2";
    assert_refused(&complete(&node, &begin(&node, "/")), "not-confirmed", "a key that is not published");
    assert_eq!(plant.volute(&["user", "list"]), "", "nobody was added");
    assert!(node.get("/api/pumps").status == 401);
}

#[test]
fn a_login_is_completed_once_and_by_the_browser_that_began_it() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let node = with_issuer(&plant, &issuer.url).node();
    let (own, other) = (begin(&node, "/"), begin(&node, "/"));
    assert_refused(&get(&node, &own.target, ""), "not-begun", "without the login cookie");
    assert_refused(&complete(&node, &own), "not-begun", "the state was used up by that");
    assert_refused(&get(&node, &begin(&node, "/").target, &other.cookie), "not-begun", "in another browser");
    let wrong = other.target.replace("&state=", "&state=x");
    assert_refused(&get(&node, &wrong, &other.cookie), "not-begun", "another state");
    assert_refused(&get(&node, "/api/oidc/callback?code=code-0", &other.cookie), "not-begun", "no state");
    assert_refused(&get(&node, "/api/oidc/callback", ""), "not-begun", "nothing");
    assert_eq!(location(&complete(&node, &other)), "/", "what failed has not touched this login");
    assert_refused(&complete(&node, &other), "not-begun", "the whole callback again");
    // The code of a login that was completed, in another login.
    let code = |returning: &Returning| returning.target.split(['=', '&']).nth(1).expect("a code").to_owned();
    let next = begin(&node, "/");
    let replayed = next.target.replace(&code(&next), &code(&other));
    assert_refused(&get(&node, &replayed, &next.cookie), "not-confirmed", "a code again");
    // The code of one login in another one: its PKCE verifier does not fit.
    let (one, two) = (begin(&node, "/"), begin(&node, "/"));
    let swapped = one.target.replace(&code(&one), &code(&two));
    assert_refused(&get(&node, &swapped, &one.cookie), "not-confirmed", "the code of another login");
    let denied = begin(&node, "/");
    let target = denied.target.replace("code=", "error=access_denied&was=");
    assert_refused(&get(&node, &target, &denied.cookie), "denied", "the provider refuses");
    let mixed = begin(&node, "/");
    let target = format!("{}&iss=https%3A%2F%2Fanother.example", mixed.target);
    assert_refused(&get(&node, &target, &mixed.cookie), "not-confirmed", "the code of another issuer");
    for foreign in ["https://evil.example", "//evil.example", "/api/logout"] {
        assert_eq!(location(&complete(&node, &begin(&node, foreign))), "/", "{foreign}");
    }
    let request =
        format!("GET /api/oidc/login HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: cross-site\r\n\r\n", node.address());
    assert_eq!(receive(&mut send(&node, request, TIMEOUT)).status, 403, "from a page of another site");
}

#[test]
fn keys_are_replaced_while_the_node_runs() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let node = with_issuer(&plant, &issuer.url).node();
    sign_on(&node);
    let fetched = |path: &str| issuer.state().requests.iter().filter(|request| *request == path).count();
    assert_eq!((fetched("/keys"), fetched("/.well-known/openid-configuration")), (1, 1));
    sign_on(&node);
    assert_eq!(fetched("/keys"), 1, "they are kept");
    for (name, signer) in [("key-2", Signer::rsa()), ("key-2", Signer::p256())] {
        {
            let mut state = issuer.state();
            state.published = vec![(name, signer.public())];
            (state.key_id, state.signer) = (name, signer);
        }
        sign_on(&node);
    }
    assert_eq!((fetched("/keys"), fetched("/.well-known/openid-configuration")), (3, 1));
}

#[test]
fn who_has_no_role_or_is_disabled_stays_out() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let node = with_issuer(&plant, &issuer.url).node();
    let admin = plant.user(&node, "ada", Role::Admin);
    let attempt = || complete(&node, &begin(&node, "/"));
    for groups in [&[][..], &["cleaners"], &["Staff"], &["staff,it"]] {
        issuer.log_in_as("1", "bob", groups);
        assert_refused(&attempt(), "no-role", &format!("{groups:?}"));
    }
    issuer.log_in_as("7f3a", "bob", &[]);
    issuer.state().claims.insert("groups", Value::Null);
    assert_refused(&attempt(), "no-role", "no claim, and none at the userinfo endpoint");
    issuer.state().user_info = Some(json!({"sub": "7f3a", "groups": ["staff"]}));
    sign_on(&node);
    issuer.state().user_info = Some(json!({"sub": "another", "groups": ["it"]}));
    assert_refused(&attempt(), "not-confirmed", "the claims of another user");

    issuer.log_in_as("2", "ada", &["it"]);
    assert_refused(&attempt(), "name-taken", "a local user has the name");
    issuer.log_in_as("2", "eve", &["it"]);
    let eve = sign_on(&node);
    for name in ["", "Eve Smith", "../etc"] {
        issuer.log_in_as("3", name, &["it"]);
        assert_refused(&attempt(), "no-name", name);
    }
    issuer.log_in_as("3", "eve", &["it"]);
    assert_refused(&attempt(), "name-taken", "another account has the name");

    admin.json("PATCH", "/api/users/eve", &json!({"disabled": true}));
    assert_eq!(eve.status("GET", "/api/pumps", None), 401, "the session ends");
    issuer.log_in_as("2", "eve", &["it"]);
    assert_refused(&attempt(), "disabled", "the provider lets her in, this node does not");
    plant.volute(&["user", "enable", "eve"]);
    assert_eq!(session(&sign_on(&node))["role"], "admin");
    assert_eq!(admin.status("PATCH", "/api/users/ada", Some(&json!({"disabled": false}))), 400, "a local user");
    let log = admin.request("GET", "/api/audit-log?action=login", None).body;
    assert!(log.contains("no group of bob has a role on this node"), "{log}");
}

#[test]
fn a_provider_that_is_down_keeps_no_local_user_out() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    issuer.state().is_down = true;
    let node = with_issuer(&plant, &issuer.url).node();
    let ada = plant.user(&node, "ada", Role::Admin);
    assert_refused(&get(&node, "/api/oidc/login", ""), "unavailable", "down");
    assert_eq!(session(&anonymous(&node))["single_sign_on"]["unavailable"], true);
    assert_eq!(login(&node, "ada", PASSWORD).status, 200);
    assert_eq!(ada.status("GET", "/api/pumps", None), 200);
    issuer.state().is_down = false;
    wait_until("the next attempt", || {
        let response = get(&node, "/api/oidc/login", "");
        if location(&response).starts_with(&issuer.url) { Ok(()) } else { Err(response.head) }
    });
    assert_eq!(session(&anonymous(&node))["single_sign_on"]["unavailable"], false);
    let returning = begin(&node, "/");
    issuer.state().is_down = true;
    assert_refused(&complete(&node, &returning), "unavailable", "down between the two");
    assert!(node.get("/api/openapi.json").status == 401 && node.get("/healthz").status == 200);
}

#[test]
fn huge_responses_are_cut_off() {
    for path in ["/.well-known/openid-configuration", "/keys", "/token"] {
        let (plant, issuer) = (Plant::new(), TestIssuer::start());
        let node = with_issuer(&plant, &issuer.url).node();
        issuer.state().huge = Some(path);
        let response = match path {
            "/token" => complete(&node, &begin(&node, "/")),
            _ => get(&node, "/api/oidc/login", ""),
        };
        assert_refused(&response, "unavailable", path);
    }
}

#[test]
fn without_a_provider_there_are_no_such_logins() {
    let plant = Plant::new();
    let node = plant.start.node();
    assert_eq!(session(&anonymous(&node))["single_sign_on"], Value::Null);
    for path in ["/api/oidc/login", "/api/oidc/callback?code=a&state=b"] {
        let response = get(&node, path, "");
        assert!(response.status == 404 && response.body.contains("no-single-sign-on"), "{}", response.body);
    }
}

#[test]
fn a_logout_leads_to_the_provider_where_that_is_configured() {
    let (plant, issuer) = (Plant::new(), TestIssuer::start());
    let node = with_issuer(&plant, &issuer.url).with_env("VOLUTE__ACCESS__OIDC__END_ISSUER_SESSION", "true").node();
    let local = plant.user(&node, "local", Role::Viewer);
    let ended = sign_on(&node).json("POST", "/api/logout", &json!(null));
    let back = "post_logout_redirect_uri=http%3A%2F%2Fvolute.plant.example%3A8443%2Flogin";
    assert_eq!(ended["continue_at"], format!("{}/logout?client_id={CLIENT_ID}&{back}", issuer.url));
    assert_eq!(local.json("POST", "/api/logout", &json!(null))["continue_at"], Value::Null);
}

#[test]
fn the_secret_is_in_a_file_of_its_owner_and_is_not_shown() {
    let plant = Plant::new();
    let start = with_issuer(&plant, "https://id.plant.example");
    let envs = || start.env.iter().map(|(key, value)| (*key, value.as_str()));
    let shown = output(volute().arg("check-config").envs(envs()));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned() + &String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && text.contains("client-secret") && !text.contains(CLIENT_SECRET), "{text}");
    let file = plant.data().with_file_name("client-secret");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
    let log = plant.data().with_file_name("log");
    assert!(!start.with_log(&log).run_to_exit().success());
    let log = fs::read_to_string(log).expect("a log");
    assert!(log.contains("chmod 600") && !log.contains(CLIENT_SECRET), "{log}");
}
