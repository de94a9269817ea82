//! Each limit of a client, hit once, and the audit log of refused requests.

use serde_json::{Value, json};
use volute_access::Role;

use super::{Client, Plant, anonymous, item, with_token};
use crate::support::{Node, RawResponse, receive, send};

/// Sends a request until it is refused, and returns how often it was not, and the refusal.
fn until_refused(client: &Client<'_>, method: &str, path: &str, body: Option<&Value>) -> (usize, RawResponse) {
    for count in 0..1_000 {
        let response = client.request(method, path, body);
        if response.status == 429 {
            return (count, response);
        }
        assert!(response.status < 500, "{} {}", response.status, response.body);
    }
    panic!("1,000 requests were not refused");
}

/// Checks that a refusal names the limit, its value, its key, and when to try again.
fn assert_names(refused: &RawResponse, key: &str, value: u64) {
    let problem: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(problem["type"], "urn:volute:problem:limit-exceeded", "{problem}");
    assert_eq!((&problem["field"], &problem["value"]), (&json!(key), &json!(value)), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(key)), "{problem}");
    let head = refused.head.to_lowercase();
    let retry = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("a header");
    assert!(retry.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{retry}");
}

/// The refused requests in the audit log: who, object, outcome.
fn refusals(admin: &Client<'_>) -> Vec<[String; 3]> {
    let log: Value =
        serde_json::from_str(&admin.request("GET", "/api/audit-log?action=request", None).body).expect("JSON");
    let items = log["items"].as_array().expect("a list");
    let texts = |item: &Value| ["who", "object", "outcome"].map(|field| item[field].as_str().expect(field).to_owned());
    items.iter().map(texts).collect()
}

#[test]
fn each_limit_is_applied_and_recorded() {
    let plant = Plant::new();
    let limits = [
        ("VOLUTE__LIMITS__REQUESTS_PER_S_PER_TOKEN", "2"),
        ("VOLUTE__LIMITS__REQUESTS_PER_S_PER_USER", "3"),
        ("VOLUTE__LIMITS__COMMANDS_PER_MINUTE", "4"),
        ("VOLUTE__LIMITS__STREAMS_PER_CLIENT", "1"),
        ("VOLUTE__LIMITS__RESTART_PAUSE_S", "3600"),
    ];
    let start = limits.into_iter().fold(plant.start.clone(), |start, (key, value)| start.with_env(key, value));
    let node = start.node();
    let admin = plant.user(&node, "ada", Role::Admin);
    let engineer = plant.user(&node, "eve", Role::Engineer);
    let viewer = plant.user(&node, "vic", Role::Viewer);
    let token = plant.token(&["gateway-1", "--pump", "P-1", "--register"]);

    let restart = "/api/actors/live/restart";
    assert_eq!(admin.status("POST", restart, None), 200);
    let again = admin.request("POST", restart, None);
    assert_eq!(again.status, 429, "{}", again.body);
    assert_names(&again, "limits.restart_pause_s", 3_600);
    assert_eq!(admin.status("POST", "/api/actors/metrics/restart", None), 200, "another actor");

    let (posts, refused) = until_refused(&with_token(&node, &token), "POST", "/api/ingest", Some(&item("P-1")));
    assert!(posts >= 20, "{posts}");
    assert_names(&refused, "limits.requests_per_s_per_token", 2);
    let (commands, refused) = until_refused(&engineer, "PATCH", "/api/pumps/P-1", Some(&json!({"name": "Feed"})));
    assert_eq!(commands, 4);
    assert_names(&refused, "limits.commands_per_minute", 4);
    let _stream = send(&node, request_of_stream(&viewer), super::TIMEOUT);
    let second = wait_for_refusal_of_stream(&viewer);
    assert_names(&second, "limits.streams_per_client", 1);
    let (reads, refused) = until_refused(&viewer, "GET", "/api/pumps", None);
    assert!(reads >= 20, "{reads}");
    assert_names(&refused, "limits.requests_per_s_per_user", 3);

    for _ in 0..2_000 {
        assert_eq!(anonymous(&node).status("POST", "/api/ingest", Some(&item("P-2"))), 200, "local, without a token");
    }

    let recorded = refusals(&admin);
    for [who, object, outcome] in [
        ["user eve", "PATCH /api/pumps/{id}", "429 limit-exceeded (limits.commands_per_minute)"],
        ["user vic", "GET /api/pumps", "429 limit-exceeded (limits.requests_per_s_per_user)"],
        ["user vic", "GET /api/stream", "429 limit-exceeded (limits.streams_per_client)"],
    ] {
        let found = recorded.iter().any(|entry| entry.each_ref().map(String::as_str) == [who, object, outcome]);
        assert!(found, "{who} {object} {outcome}: {recorded:?}");
    }
}

fn request_of_stream(client: &Client<'_>) -> String {
    let address = client.node.address();
    format!("GET /api/stream HTTP/1.1\r\nHost: {address}\r\n{}\r\n", client.credential)
}

/// The first stream may not have been opened yet.
fn wait_for_refusal_of_stream(client: &Client<'_>) -> RawResponse {
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = send(client.node, request_of_stream(client), super::TIMEOUT);
        let response = receive(&mut stream);
        if response.status == 429 {
            return response;
        }
        open.push(stream);
    }
    panic!("two streams more than allowed are open");
}

#[test]
fn connections_and_bodies_of_a_client_are_limited() {
    let plant = Plant::new();
    let start = plant.start.clone().with_env("VOLUTE__LIMITS__CONNECTIONS_PER_ADDRESS", "20");
    let node = start.with_env("VOLUTE__LIMITS__BODY_MIB_PER_MINUTE", "1").node();
    let _admin = plant.user(&node, "ada", Role::Admin);
    let token = plant.token(&["gateway-1", "--pump", "P-1", "--register"]);
    let mut large = item("P-1");
    large["comment"] = "x".repeat(300 << 10).into();
    let (posts, refused) = until_refused(&with_token(&node, &token), "POST", "/api/ingest", Some(&large));
    assert_eq!(posts, 3, "of 300 KiB in 1 MiB");
    assert_names(&refused, "limits.body_mib_per_minute", 1);

    let request = |node: &Node| {
        let address = node.address();
        send(node, format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n"), super::TIMEOUT)
    };
    let mut open = Vec::new();
    let refused = loop {
        let mut connection = request(&node);
        let response = receive(&mut connection);
        if response.status == 429 {
            break response;
        }
        open.push(connection);
        assert!(open.len() <= 20, "more connections than allowed are open");
    };
    assert_names(&refused, "limits.connections_per_address", 20);
    assert!(refused.head.to_lowercase().contains("connection: close"), "{}", refused.head);
    drop(open);
    node.wait_until("/healthz", |health| health.is_object());
}

#[test]
fn ten_thousand_refused_requests_are_few_entries_that_name_their_kind() {
    let plant = Plant::new();
    let start = plant.start.clone().with_env("VOLUTE__LIMITS__COMMANDS_PER_MINUTE", "100000");
    let start = start.with_env("VOLUTE__LIMITS__REQUESTS_PER_S_PER_USER", "10000");
    let node = start.node();
    let admin = plant.user(&node, "ada", Role::Admin);
    let viewer = plant.user(&node, "vic", Role::Viewer);
    for n in 0..2_500 {
        assert_eq!(anonymous(&node).status("GET", "/api/pumps", None), 401);
        assert_eq!(with_token(&node, "vpt_nothing").status("POST", "/api/ingest", Some(&item("P-1"))), 401);
        assert_eq!(viewer.status("POST", &format!("/api/actors/nobody-{n}/restart"), None), 403);
        assert_eq!(admin.status("POST", &format!("/api/actors/nobody-{n}/restart"), None), 404);
    }
    let credential = admin.credential;
    assert!(node.terminate().success(), "a clean exit");
    let node = start.node();
    let admin = Client { node: &node, credential };
    let log: Value =
        serde_json::from_str(&admin.request("GET", "/api/audit-log?limit=10000", None).body).expect("JSON");
    let entries = log["items"].as_array().expect("a list");
    assert!(entries.len() < 60, "{} entries", entries.len());
    let count = |object: &str, outcome: &str| -> u64 {
        let of = |entry: &&Value| {
            (object.is_empty() || entry["object"] == object)
                && entry["outcome"].as_str().is_some_and(|text| text.starts_with(outcome))
        };
        let count = |entry: &Value| match entry["detail"].as_str().and_then(|text| text.split_once(" more from ")) {
            Some((count, _)) => count.parse().expect("a count"),
            None => 1,
        };
        entries.iter().filter(of).map(count).sum()
    };
    assert_eq!(count("GET /api/pumps", "401 not-logged-in"), 2_500);
    assert_eq!(count("POST /api/ingest", "401 not-logged-in"), 2_500);
    assert_eq!(count("POST /api/actors/{id}/restart", "403 not-allowed"), 2_500);
    assert_eq!(count("", "there is no actor") + count("", "refused, for various reasons"), 2_500);
}
