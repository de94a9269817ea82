//! Kills the node while tokens are added and revoked: nothing that was acknowledged is lost, and nothing that was revoked
//! comes back.

use std::{
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use volute_access::Role;

use super::{Client, Plant, item, with_token};
use crate::support::{Node, wait_until};

/// What the node has acknowledged.
#[derive(Default)]
struct Ledger {
    /// Valid tokens: the id and the text.
    valid: Vec<(String, String)>,
    /// Revoked tokens.
    revoked: Vec<String>,
}

impl Ledger {
    fn len(&self) -> usize {
        self.valid.len() + 2 * self.revoked.len()
    }
}

/// Adds tokens, and revokes every second one, until the node is gone.
fn change_tokens(url: &str, cookie: &str, first: usize, ledger: &Mutex<Ledger>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for number in first.. {
        let new = json!({"name": format!("gateway-{number}"), "pumps": ["P-1"], "register": true}).to_string();
        let added = agent.post(format!("{url}/api/tokens")).header("cookie", cookie).content_type("application/json");
        let Some(token) = added.send(new).ok().and_then(acknowledged) else { return };
        let text = |field: &str| token[field].as_str().expect("text").to_owned();
        let (id, token) = (text("id"), text("token"));
        if number % 2 == 0 {
            ledger.lock().expect("not poisoned").valid.push((id, token));
            continue;
        }
        let revoked = agent.delete(format!("{url}/api/tokens/{id}")).header("cookie", cookie).call();
        // Without a response it may be revoked or not.
        if revoked.ok().and_then(acknowledged).is_none() {
            return;
        }
        ledger.lock().expect("not poisoned").revoked.push(token);
    }
}

/// Returns the body of a response with status 200.
fn acknowledged(mut response: ureq::http::Response<ureq::Body>) -> Option<Value> {
    let text = response.body_mut().read_to_string().ok()?;
    if response.status() != 200 {
        return None;
    }
    serde_json::from_str(&text).ok()
}

/// Checks tokens of the ledger, from this index on in each list.
fn check(node: &Node, ledger: &Ledger, from: (usize, usize)) {
    let post = |token: &str| with_token(node, token).status("POST", "/api/ingest", Some(&item("P-1")));
    for (id, token) in ledger.valid.iter().skip(from.0) {
        assert_eq!(post(token), 200, "{id} was acknowledged");
    }
    for token in ledger.revoked.iter().skip(from.1) {
        assert_eq!(post(token), 401, "{} was revoked", &token[4..20]);
    }
}

#[test]
fn kills_lose_no_token_and_bring_none_back() {
    let kills = if std::env::var_os("VOLUTE_LONG").is_some() { 300 } else { 8 };
    let plant = Plant::new();
    let mut node = plant.start.node();
    let ada = plant.user(&node, "ada", Role::Admin).credential;
    let cookie = ada.trim().strip_prefix("Cookie: ").expect("a cookie").to_owned();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for kill in 0..kills {
        let (so_far, from) = {
            let ledger = ledger.lock().expect("not poisoned");
            (ledger.len(), (ledger.valid.len(), ledger.revoked.len()))
        };
        let (url, cookie, shared) = (node.url.clone(), cookie.clone(), ledger.clone());
        let client = thread::spawn(move || change_tokens(&url, &cookie, kill * 10_000, &shared));
        wait_until("changes are acknowledged", || {
            let more = ledger.lock().expect("not poisoned").len() - so_far;
            if more > 4 + kill % 7 { Ok(()) } else { Err(more) }
        });
        let pid = node.pid().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().expect("kill runs").success());
        client.join().expect("the client ends with the node");
        node.wait_for_exit();
        node = plant.start.node();
        check(&node, &ledger.lock().expect("not poisoned"), from);
    }
    check(&node, &ledger.lock().expect("not poisoned"), (0, 0));
    let session = Client { node: &node, credential: ada };
    assert_eq!(session.status("GET", "/api/users", None), 200, "the session was acknowledged, too");
}
