//! Misbehaving clients: idle connections, slow senders, clients that do not read, pages of other sites. None of them
//! blocks the node or other clients.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    ingest::at,
    support::{self, EPOCH_MS, Node, NodeConfig, RawResponse, receive, ten_values},
};

/// The time after which waiting for a response or the end of a connection fails.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Sends bytes on a new connection.
fn send(node: &Node, bytes: impl AsRef<[u8]>) -> TcpStream {
    support::send(node, bytes, TIMEOUT)
}

/// Waits until the node has closed the connection.
fn wait_for_close(stream: &mut TcpStream) {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(_) => {}
            // A reset also closes the connection.
            Err(error) => return assert!(!is_timeout(&error), "it is still open"),
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Waits until a condition holds; `what` is the panic message.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

fn post(body: &Value, more: &str) -> String {
    let body = body.to_string();
    format!(
        "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Readings of a pump at these seconds.
fn readings(pump: &str, seconds: std::ops::Range<u64>) -> Value {
    let item = |second: u64| {
        let mut item = ten_values();
        (item["pump_id"], item["timestamp"]) = (json!(pump), json!(EPOCH_MS + second * 1000));
        item
    };
    seconds.map(item).collect()
}

#[test]
fn idle_clients_leave_file_descriptors_to_the_store() {
    const LIMIT: u32 = 512;
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_descriptors(LIMIT);
    let node = start.node();
    let before = node.open_files();
    let mut pump = send(&node, post(&readings("P-1", 0..10), ""));
    assert_eq!(receive(&mut pump).status, 200);

    // More connections than the limit allows. The others wait in the kernel.
    let idle: Vec<TcpStream> = (0..LIMIT).map(|_| TcpStream::connect(node.address()).expect("connected")).collect();
    wait_until("the connections are not accepted", || node.open_files() > before + 60);
    for round in 1..200 {
        pump.write_all(post(&readings("P-1", round * 10..round * 10 + 10), "").as_bytes()).expect("sent");
        let RawResponse { status, body, .. } = receive(&mut pump);
        assert_eq!(status, 200, "{body}");
        let open = node.open_files();
        assert!(open < LIMIT as usize - 40, "{open} of {LIMIT} are open: too few are left for the store");
    }
    drop(idle);
    let store = node.wait_until("/api/store", |store| store["state"] == "ok");
    assert_eq!(store["journal"]["state"], "ok");
    node.kill();
    let node = start.node();
    assert_eq!(node.all_items("/api/sensor-history?pump_id=P-1&limit=1000").len(), 2000, "all that was acknowledged");
}

#[cfg(feature = "failpoints")]
#[test]
fn journal_without_a_file_descriptor_rejects_and_recovers() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "journal-create=return(descriptors)");
    let node = start.node();
    let refused = node.post(&at(0, json!({})));
    assert_eq!((refused.status, refused.retry_after.is_some()), (503, true), "{refused:?}");
    assert_eq!(node.get_ok("/api/store")["journal"]["state"], "shortage");
    start.inject("journal-create", "off");
    assert_eq!(node.post(&at(0, json!({}))).status, 200);
    assert_eq!(node.get_ok("/api/store")["journal"]["state"], "ok");
}

#[test]
fn headers_reserve_no_memory_and_stalled_bodies_time_out() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__SERVER__REQUEST_TIMEOUT_S", "2")
        .with_env("VOLUTE__SERVER__MAX_BODY_BYTES", "1048576")
        .with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_BYTES", "2097152");
    let node = start.node();
    let head = "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[";
    let mut slow: Vec<TcpStream> = (0..20).map(|_| send(&node, head)).collect();
    for second in 0..20 {
        assert_eq!(node.post(&at(second, json!({}))).status, 200, "20 headers reserve no memory");
    }
    for stream in &mut slow {
        let RawResponse { status, body, .. } = receive(stream);
        assert_eq!(status, 408, "{body}");
        assert!(body.contains("2048 bytes"), "{body}");
    }
    let large = "POST /api/pumps/pump-1/commission HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(receive(&mut send(&node, large)).status, 413, "from the header");
}

#[test]
fn small_chunked_posts_reserve_only_their_size() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__SERVER__MAX_BODY_BYTES", "65536")
        .with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_BYTES", "66560");
    let node = start.node();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let client = |n: u64| {
            let node = &node;
            move || {
                let head = "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                let mut stream = send(node, "");
                let mut one = |second: u64| {
                    let body = readings(&format!("P-{n}"), second..second + 1).to_string();
                    let request = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                    stream.write_all(request.as_bytes()).expect("sent");
                    receive(&mut stream).status
                };
                (0..20).map(&mut one).collect::<Vec<u16>>()
            }
        };
        let clients: Vec<_> = (0..32).map(|n| scope.spawn(client(n))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("posted")).collect()
    });
    assert_eq!(statuses, [200; 640]);
}

#[test]
fn unread_responses_are_bounded_and_time_out() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__SERVER__WRITE_TIMEOUT_S", "10")
        .with_env("VOLUTE__SERVER__MAX_IN_FLIGHT_RESPONSE_BYTES", "8388608");
    let node = start.node();
    for post in 0..5 {
        assert_eq!(node.post(&readings("P-1", post * 1000..post * 1000 + 1000)).status, 200);
    }
    let ask = "GET /api/sensor-history?pump_id=P-1&limit=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let size = node.get("/api/sensor-history?pump_id=P-1&limit=5000").body.to_string().len() as u64;
    let (before, files) = (node.resident_mib(), node.open_files());
    let mut statuses = Vec::new();
    let mut unread = Vec::new();
    for _ in 0..60 {
        let mut stream = send(&node, ask);
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("the beginning of a response");
        statuses.push(String::from_utf8_lossy(&first[9..]).into_owned());
        unread.push(stream);
    }
    let held = node.resident_mib();
    println!("{before} MiB before, {held} MiB with 60 responses of {size} bytes");
    assert!(
        statuses.iter().any(|status| status == "200") && statuses.iter().any(|status| status == "503"),
        "{statuses:?}"
    );
    // The 60 responses together are far larger than the memory that they may hold.
    assert!(60 * size > 90 << 20, "{size}");
    assert!(held < before + 60, "{before} MiB before, {held} MiB after");
    assert_eq!(node.post(&at(0, json!({}))).status, 200, "posts have their own limit");
    wait_until("the clients are still connected", || node.open_files() <= files + 1);
    assert_eq!(node.get("/api/sensor-history?pump_id=P-1&limit=5000").status, 200, "the memory is released");
    drop(unread);
}

#[test]
fn incomplete_request_ends_with_the_keep_alive_timeout() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__SERVER__KEEP_ALIVE_S", "1").node();
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Idle; within the head of a second request; within a body for which the first response did not wait.
    let unread = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (request, more) in [(whole, ""), (whole, "GET /healthz HT"), (unread, "5\r\nhello\r\n")] {
        let mut stream = send(&node, request);
        assert!(matches!(receive(&mut stream).status, 200 | 405));
        stream.write_all(more.as_bytes()).expect("sent");
        wait_for_close(&mut stream);
    }
}

#[test]
fn unread_streams_are_closed_and_do_not_delay_the_stop() {
    let data = tempfile::tempdir().expect("a directory");
    let log = data.path().join("log");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__LIVE__MAX_SUBSCRIBERS", "2")
        .with_env("VOLUTE__LIVE__FRAME_MS", "10")
        .with_env("VOLUTE__SERVER__WRITE_TIMEOUT_S", "1")
        .with_env("VOLUTE__SERVER__SHUTDOWN_TIMEOUT_S", "20")
        .with_log(&log);
    let node = start.node();
    let ask = "GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let open = || {
        let mut stream = send(&node, ask);
        let RawResponse { status, .. } = receive(&mut stream);
        (status, stream)
    };
    let mut posts = 0;
    let mut feed = || {
        assert_eq!(node.post(&readings("P-1", posts * 1000..posts * 1000 + 1000)).status, 200);
        posts += 1;
    };
    let unread = [open(), open()];
    assert!(unread.iter().all(|(status, _)| *status == 200));
    assert_eq!(open().0, 503, "both streams are in use");
    let mut next = Vec::new();
    wait_until("no stream was closed", || {
        feed();
        let (status, stream) = open();
        next.push(stream);
        status == 200
    });
    // The newest clients do not read either.
    for _ in 0..10 {
        feed();
    }
    assert!(node.terminate().success());
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("drained stage=\"web\"") && !log.contains("not drained"), "{log}");
}

#[test]
fn invalid_http_requests_do_not_fill_the_log() {
    const BAD: usize = 300;
    let data = tempfile::tempdir().expect("a directory");
    let log = data.path().join("log");
    let node = NodeConfig::new(&data, "centrifugal").with_log(&log).node();
    for _ in 0..BAD {
        let mut stream = send(&node, "no HTTP at all\r\n\r\n");
        assert_eq!(receive(&mut stream).status, 400);
        wait_for_close(&mut stream);
    }
    let (mut written, mut counted) = (0, 0);
    wait_until("not all requests are counted", || {
        let text = fs::read_to_string(&log).expect("a log");
        let lines = || text.lines().filter(|line| line.contains("stream error"));
        let count = |line: &str| line.split("count=").nth(1)?.split(' ').next()?.parse::<usize>().ok();
        counted = lines().filter_map(count).sum();
        written = lines().filter(|line| count(line).is_none()).count();
        written + counted >= BAD
    });
    assert_eq!(written + counted, BAD);
    assert!(written <= BAD / 5, "{written} lines for {BAD} requests");
}

#[test]
fn pages_of_other_sites_are_rejected() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__SERVER__ALLOWED_HOSTS", "volute.example");
    let node = start.node();
    let address = node.address().to_owned();
    let ask = |method: &str, path: &str, host: &str, more: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n{more}\r\n"
        );
        let RawResponse { status, body, .. } = receive(&mut send(&node, request));
        (status, body)
    };
    let (status, body) = ask("GET", "/api/pumps", "rebound.evil.example", "");
    assert_eq!(status, 421, "{body}");
    assert!(body.contains("server.allowed_hosts"), "the setting is named: {body}");
    for known in [address.as_str(), "volute.example", "localhost"] {
        assert_eq!(ask("GET", "/api/pumps", known, "").0, 200, "{known}");
    }
    let restart = "/api/actors/metrics/restart";
    for foreign in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        for path in [restart, "/api/pumps/pump-1/commission", "/api/start-simulation", "/api/ingest"] {
            assert_eq!(ask("POST", path, &address, foreign).0, 403, "{path} {foreign}");
        }
        assert_eq!(ask("GET", "/api/stream", &address, foreign).0, 403, "{foreign}");
    }
    let has = |log: &Value, outcome: &str| {
        log["items"].as_array().is_some_and(|items| items.iter().any(|entry| entry["outcome"] == outcome))
    };
    let recorded = |log: &Value| has(log, "421 unknown-host") && has(log, "403 foreign-page");
    let log = node.wait_until("/api/audit-log", recorded);
    let entries = log["items"].as_array().expect("a list");
    assert!(entries.iter().all(|entry| entry["action"] == "request"), "nothing has changed: {entries:?}");
    let own = format!("Origin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(ask("POST", restart, &address, &own).0, 200);
    assert_eq!(ask("POST", restart, "volute.example", "Origin: https://volute.example\r\n").0, 200, "behind a proxy");

    let body = at(0, json!({})).to_string();
    let bare = format!("POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let RawResponse { status, body: response, .. } = receive(&mut send(&node, &bare));
    assert_eq!(status, 415, "{response}");
    assert!(response.contains("send Content-Type: application/json"), "{response}");
    let bare = "POST /api/pumps/pump-1/commission HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(receive(&mut send(&node, bare)).status, 415);
}

#[test]
fn long_lists_of_rejected_items_are_truncated() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    let mut items = readings("P-1", 0..1).as_array().expect("one").clone();
    items.extend((0..10_000 - 1).map(|_| json!(0)));
    let response = node.post(&json!(items));
    assert_eq!((response.status, response.body["rejected"].as_array().map(Vec::len)), (207, Some(100)));
    assert_eq!((&response.body["rejected_not_listed"], &response.body["accepted"]), (&json!(9_899), &json!(1)));
    let wild = |second| at(second, json!({"Bearing_Temperature_C": 5000.0}));
    let response = node.post(&(0..150).map(wild).collect());
    assert_eq!((&response.body["accepted"], &response.body["bad_channels_not_listed"]), (&json!(150), &json!(50)));
}
