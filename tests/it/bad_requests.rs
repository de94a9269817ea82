//! Many bad requests of 19 families to a node with users and tokens: none gets a 5xx, the memory does not grow, the log is
//! short, and the node works afterwards.
//!
//! The same seed makes the same requests. Each is sent on a connection of its own; a request that would wait for more of its
//! bytes is followed by the end of the stream. The long form (`VOLUTE_LONG=1`) sends 100,000 requests; the figures are in
//! `web/BENCHMARKS.md`. Does not guess passwords (each guess costs an argon2id hash by design); see `access`.

mod families;

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use volute_access::Role;

use crate::{
    access::{Plant, item, with_token},
    support::{Node, wait_until},
};
use families::{BadRequest, Credentials, FAMILIES};

/// The time after which a request without a response, and without the end of its connection, fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 8;
/// The log may have this many bytes per request on average.
const MAX_LOG_BYTES_PER_REQUEST: u64 = 40;
/// The most memory by which the node may grow after the warm-up, in MiB. Without a leak a debug build grows by up to 25,
/// because its allocator keeps a heap for each thread; a leak of 1 KiB a request is 100 MiB in the long form.
const MAX_GROWTH_MIB: u64 = 48;

/// The end of the 503 that a debug build sends for a page while the dashboard is not built.
const NO_DASHBOARD: &str = "npm ci && npm run build\n";

/// What came back: the number of responses by family and status. Without a response the status is 0.
type Outcomes = BTreeMap<(&'static str, u16), usize>;

/// Sends a request, and returns the status of the response; 0 if the node closed the connection without one, or if it is a
/// page of a dashboard that is not built.
fn status_of(node: &Node, request: &BadRequest) -> Result<u16, String> {
    let mut stream = TcpStream::connect(node.address()).map_err(|error| format!("not connected: {error}"))?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(|error| error.to_string())?;
    // The node may have refused the request before it is sent completely.
    let _sent = stream.write_all(&request.bytes);
    if request.is_incomplete {
        let _ended = stream.shutdown(Shutdown::Write);
    }
    let mut response = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => response.extend_from_slice(&chunk[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => return Err(format!("no end of the response: {error}")),
        }
        // The status is all that counts, and not every connection is closed by the node.
        if response.windows(4).any(|end| end == b"\r\n\r\n") && !response.starts_with(b"HTTP/1.1 503") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&response);
    if text.is_empty() || text.ends_with(NO_DASHBOARD) {
        return Ok(0);
    }
    let status = text.strip_prefix("HTTP/1.1 ").or(text.strip_prefix("HTTP/1.0 "));
    status.and_then(|rest| rest.get(..3)?.parse().ok()).ok_or_else(|| format!("no HTTP: {text:?}"))
}

/// Sends the requests with these numbers, from several threads. Panics with the first request that gets a 5xx or hangs.
fn send_all(node: &Node, credentials: &Credentials, numbers: std::ops::Range<u64>) -> Outcomes {
    let outcomes = Mutex::new(Outcomes::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (outcomes, numbers) = (&outcomes, numbers.clone());
            scope.spawn(move || {
                let mut own = Outcomes::new();
                for number in numbers.skip(client).step_by(CLIENTS) {
                    let (family, request) = families::request(number, node.address(), credentials);
                    let shown = || String::from_utf8_lossy(&request.bytes).chars().take(600).collect::<String>();
                    match status_of(node, &request) {
                        Ok(status) if status < 500 => *own.entry((family, status)).or_default() += 1,
                        outcome => panic!("request {number} of the family {family}: {outcome:?}: {:?}", shown()),
                    }
                }
                let mut all = outcomes.lock().expect("not poisoned");
                for (key, count) in own {
                    *all.entry(key).or_default() += count;
                }
            });
        }
    });
    outcomes.into_inner().expect("not poisoned")
}

#[test]
fn bad_requests_get_no_5xx_and_use_up_nothing() {
    let (warm_up, requests) = match std::env::var_os("VOLUTE_LONG") {
        Some(_) => (10_000, 100_000),
        None => (500, 2_000),
    };
    let mut plant = Plant::new();
    let log = plant.data().with_extension("log");
    plant.start = plant.start.clone().with_env("VOLUTE__INGEST__ANONYMOUS", "never").with_log(&log);
    let node = plant.start.node();
    let admin = plant.user(&node, "ada", Role::Admin);
    let token = plant.token(&["gateway", "--pump", "P-1", "--register"]);
    let post = || with_token(&node, &token).status("POST", "/api/ingest", Some(&item("P-1")));
    assert_eq!(post(), 200);
    let credentials = Credentials { cookie: admin.credential.clone(), token: token.clone() };

    send_all(&node, &credentials, 0..warm_up);
    let (memory, files, logged) = (node.resident_mib(), node.open_files(), fs::metadata(&log).expect("a log").len());
    let start = Instant::now();
    let outcomes = send_all(&node, &credentials, warm_up..warm_up + requests);
    let elapsed = start.elapsed();
    let (memory_after, logged_after) = (node.resident_mib(), fs::metadata(&log).expect("a log").len());
    let log_bytes = (logged_after - logged) / requests;
    println!(
        "{requests} requests in {elapsed:.1?}, {memory} MiB before, {memory_after} MiB after, {log_bytes} bytes of log each"
    );
    for family in FAMILIES {
        let of_family: BTreeMap<u16, usize> =
            outcomes.iter().filter(|((name, _), _)| *name == family.name).map(|((_, s), n)| (*s, *n)).collect();
        println!("  {:22} {of_family:?}", family.name);
        assert!(of_family.values().sum::<usize>() > 0, "{}", family.name);
        let refused: usize = of_family.iter().filter(|(status, _)| (400..500).contains(*status)).map(|(_, n)| n).sum();
        assert!(refused > 0, "no request of the family {} was refused: {of_family:?}", family.name);
    }
    assert_eq!(outcomes.values().sum::<usize>() as u64, requests);
    assert!(memory_after < memory + MAX_GROWTH_MIB, "{memory} MiB before, {memory_after} MiB after");
    assert!(log_bytes < MAX_LOG_BYTES_PER_REQUEST, "{log_bytes} bytes of log for each request");

    assert_eq!(post(), 200, "posts are taken");
    assert_eq!(admin.status("GET", "/api/pumps", None), 200, "the session is valid");
    assert_eq!(node.get("/readyz").body["status"], "ready");
    wait_until("the connections are closed", || {
        let open = node.open_files();
        if open <= files + 8 { Ok(()) } else { Err((files, open)) }
    });
    let pumps = admin.request("GET", "/api/pumps", None).body;
    assert_eq!(
        pumps.matches("\"pump_id\"").count().max(pumps.matches("\"id\"").count()),
        1,
        "no pump was registered: {pumps}"
    );
    let users = admin.request("GET", "/api/users", None).body;
    assert_eq!(users.matches("\"role\"").count(), 1, "no user was added: {users}");
}
