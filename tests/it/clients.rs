//! Clients that misbehave: that open and say nothing, send slowly, read nothing, or are pages of other sites. None of them
//! holds the node, and none of them costs the others anything.

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
    support::{self, EPOCH_MS, Node, RawResponse, Start, receive, ten_values},
};

/// The longest that an answer or the end of a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection on which something was sent.
fn send(node: &Node, bytes: impl AsRef<[u8]>) -> TcpStream {
    support::send(node, bytes, PATIENCE)
}

/// Waits until the node has closed the connection.
fn ended(stream: &mut TcpStream) {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(_) => {}
            // A reset is an end, too.
            Err(error) => return assert!(!is_timeout(&error), "it is still open"),
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
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

/// Readings of a pump from this second on.
fn readings(pump: &str, seconds: std::ops::Range<u64>) -> Value {
    let item = |second: u64| {
        let mut item = ten_values();
        (item["pump_id"], item["timestamp"]) = (json!(pump), json!(EPOCH_MS + second * 1000));
        item
    };
    seconds.map(item).collect()
}

#[test]
fn clients_that_say_nothing_leave_the_store_its_descriptors() {
    const LIMIT: u32 = 512;
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_descriptors(LIMIT);
    let node = start.node();
    let before = node.open_files();
    let mut pump = send(&node, post(&readings("P-1", 0..10), ""));
    assert_eq!(receive(&mut pump).status, 200);

    // More than there can be: those beyond the limit wait in the kernel.
    let idle: Vec<TcpStream> = (0..LIMIT).map(|_| TcpStream::connect(node.address()).expect("connected")).collect();
    until("they are not taken in", || node.open_files() > before + 60);
    for round in 1..200 {
        pump.write_all(post(&readings("P-1", round * 10..round * 10 + 10), "").as_bytes()).expect("sent");
        let RawResponse { status, body, .. } = receive(&mut pump);
        assert_eq!(status, 200, "{body}");
        let open = node.open_files();
        assert!(open < LIMIT as usize - 40, "{open} of {LIMIT} are open: too few are left for the store");
    }
    drop(idle);
    let store = node.until("/api/store", |store| store["state"] == "ok");
    assert_eq!(store["journal"]["state"], "ok");
    node.kill();
    let node = start.node();
    assert_eq!(node.all("/api/sensor-history?pump_id=P-1&limit=1000").len(), 2000, "all that was acknowledged");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_journal_without_a_descriptor_refuses_and_takes_again() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "journal-create=return(descriptors)");
    let node = start.node();
    let refused = node.post(&at(0, json!({})));
    assert_eq!((refused.status, refused.retry_after.is_some()), (503, true), "{refused:?}");
    assert_eq!(node.ok("/api/store")["journal"]["state"], "shortage");
    start.inject("journal-create", "off");
    assert_eq!(node.post(&at(0, json!({}))).status, 200);
    assert_eq!(node.ok("/api/store")["journal"]["state"], "ok");
}

#[test]
fn headers_alone_hold_no_room_and_a_body_that_stops_is_given_up() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal")
        .with_env("VOLUTE__SERVER__REQUEST_TIMEOUT_S", "2")
        .with_env("VOLUTE__SERVER__MAX_BODY_BYTES", "1048576")
        .with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_BYTES", "2097152");
    let node = start.node();
    let head = "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[";
    let mut slow: Vec<TcpStream> = (0..20).map(|_| send(&node, head)).collect();
    for second in 0..20 {
        assert_eq!(node.post(&at(second, json!({}))).status, 200, "20 headers hold no room");
    }
    for stream in &mut slow {
        let RawResponse { status, body, .. } = receive(stream);
        assert_eq!(status, 408, "{body}");
        assert!(body.contains("2048 bytes"), "{body}");
    }
    let large = "POST /api/pumps/pump-1/commission HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(receive(&mut send(&node, large)).status, 413, "from the header");
}

#[test]
fn small_chunked_posts_take_the_room_that_they_need() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal")
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
fn answers_that_nobody_reads_are_bounded_and_given_up() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal")
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
    let mut deaf = Vec::new();
    for _ in 0..60 {
        let mut stream = send(&node, ask);
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("the beginning of an answer");
        statuses.push(String::from_utf8_lossy(&first[9..]).into_owned());
        deaf.push(stream);
    }
    let held = node.resident_mib();
    println!("{before} MiB before, {held} MiB with 60 answers of {size} bytes");
    assert!(
        statuses.iter().any(|status| status == "200") && statuses.iter().any(|status| status == "503"),
        "{statuses:?}"
    );
    // All of them together are far beyond that.
    assert!(60 * size > 90 << 20, "{size}");
    assert!(held < before + 60, "{before} MiB before, {held} MiB after");
    assert_eq!(node.post(&at(0, json!({}))).status, 200, "posts have room of their own");
    until("they are still connected", || node.open_files() <= files + 1);
    assert_eq!(node.get("/api/sensor-history?pump_id=P-1&limit=5000").status, 200, "the room is free again");
    drop(deaf);
}

#[test]
fn a_request_that_never_comes_whole_ends_with_the_keep_alive() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("VOLUTE__SERVER__KEEP_ALIVE_S", "1").node();
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Idle; in the head of a second request; in a body that the first answer did not wait for.
    let unread = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (request, more) in [(whole, ""), (whole, "GET /healthz HT"), (unread, "5\r\nhello\r\n")] {
        let mut stream = send(&node, request);
        assert!(matches!(receive(&mut stream).status, 200 | 405));
        stream.write_all(more.as_bytes()).expect("sent");
        ended(&mut stream);
    }
}

#[test]
fn streams_that_nobody_reads_free_their_places_and_do_not_hold_the_stop() {
    let data = tempfile::tempdir().expect("a directory");
    let log = data.path().join("log");
    let start = Start::new(&data, "centrifugal")
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
    let deaf = [open(), open()];
    assert!(deaf.iter().all(|(status, _)| *status == 200));
    assert_eq!(open().0, 503, "both places are taken");
    let mut next = Vec::new();
    until("no place was freed", || {
        feed();
        let (status, stream) = open();
        next.push(stream);
        status == 200
    });
    // Those that came last do not read either.
    for _ in 0..10 {
        feed();
    }
    assert!(node.terminate().success());
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("drained stage=\"web\"") && !log.contains("not drained"), "{log}");
}

#[test]
fn requests_that_are_no_http_do_not_fill_the_log() {
    const BAD: usize = 300;
    let data = tempfile::tempdir().expect("a directory");
    let log = data.path().join("log");
    let node = Start::new(&data, "centrifugal").with_log(&log).node();
    for _ in 0..BAD {
        let mut stream = send(&node, "no HTTP at all\r\n\r\n");
        assert_eq!(receive(&mut stream).status, 400);
        ended(&mut stream);
    }
    let (mut written, mut counted) = (0, 0);
    until("not all are accounted for", || {
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
fn pages_of_other_sites_are_refused() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_env("VOLUTE__SERVER__ALLOWED_HOSTS", "volute.example");
    let node = start.node();
    let address = node.address().to_owned();
    let ask = |method: &str, path: &str, host: &str, more: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{more}\r\n");
        let RawResponse { status, body, .. } = receive(&mut send(&node, request));
        (status, body)
    };
    let (status, body) = ask("GET", "/api/pumps", "rebound.evil.example", "");
    assert_eq!(status, 421, "{body}");
    assert!(body.contains("server.allowed_hosts"), "it says what to set: {body}");
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
    assert_eq!(node.ok("/api/audit-log")["items"], json!([]), "nothing was done");
    let own = format!("Origin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(ask("POST", restart, &address, &own).0, 200);
    assert_eq!(ask("POST", restart, "volute.example", "Origin: https://volute.example\r\n").0, 200, "behind a proxy");

    let body = at(0, json!({})).to_string();
    let bare = format!("POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let RawResponse { status, body: answer, .. } = receive(&mut send(&node, &bare));
    assert_eq!(status, 415, "{answer}");
    assert!(answer.contains("send Content-Type: application/json"), "{answer}");
    let bare = "POST /api/pumps/pump-1/commission HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(receive(&mut send(&node, bare)).status, 415);
}

#[test]
fn long_lists_of_rejected_items_are_cut() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").node();
    let mut items = readings("P-1", 0..1).as_array().expect("one").clone();
    items.extend((0..10_000 - 1).map(|_| json!(0)));
    let answer = node.post(&json!(items));
    assert_eq!((answer.status, answer.body["rejected"].as_array().map(Vec::len)), (207, Some(100)));
    assert_eq!((&answer.body["rejected_not_listed"], &answer.body["accepted"]), (&json!(9_899), &json!(1)));
    let wild = |second| at(second, json!({"Bearing_Temperature_C": 5000.0}));
    let answer = node.post(&(0..150).map(wild).collect());
    assert_eq!((&answer.body["accepted"], &answer.body["bad_channels_not_listed"]), (&json!(150), &json!(50)));
}
