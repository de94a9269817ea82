//! What is between a client and the node: TLS and its certificate, proxies, and the modes of files.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use volute_plant::{Clock, SystemClock};
use volute_web::self_signed;

use crate::support::{
    Node, NodeConfig, RawResponse, TIMEOUT, output, receive, run, send, ten_values, volute, wait_until,
};

const PASSWORD: &str = "pumps never sleep";

type TlsConnection = StreamOwned<ClientConnection, TcpStream>;

/// A folder with a data directory, certificates and files.
struct Site {
    folder: TempDir,
    start: NodeConfig,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let start = NodeConfig::new(&folder, "centrifugal");
        Self { folder, start }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn volute(&self, args: &[&str]) -> String {
        run(&[args, &["--data-dir", self.start.data.to_str().expect("UTF-8")]].concat())
    }

    /// Adds a user, and returns the token of the set-up link and the URL before it.
    fn add_user(&self, name: &str) -> (String, String) {
        let printed = self.volute(&["user", "add", name, "--role", "admin"]);
        let (url, token) = printed.trim_end().rsplit_once("/setup#").expect("a link");
        (url.rsplit_once(char::is_whitespace).map_or(url, |(_, url)| url).to_owned(), token.to_owned())
    }

    /// Starts a node with a certificate in files, which are written first.
    fn node_with(&self, pem: &str) -> Node {
        self.put(pem, pem);
        self.start
            .clone()
            .with_env("VOLUTE__SERVER__TLS", self.path("tls.pem").to_str().expect("UTF-8"))
            .with_env("VOLUTE__SERVER__TLS_KEY", self.path("key.pem").to_str().expect("UTF-8"))
            .node()
    }

    fn put(&self, chain: &str, key: &str) {
        fs::write(self.path("tls.pem"), chain).expect("written");
        fs::write(self.path("key.pem"), key).expect("written");
    }
}

/// Returns a new key with a certificate for localhost.
fn pem() -> String {
    self_signed(&["localhost".to_owned()], &[], SystemClock.now()).expect("made")
}

fn hang_up(node: &Node) {
    let pid = node.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs").success());
}

/// Connects as a client that trusts nothing but this certificate, and would prefer HTTP/2.
fn connect(node: &Node, trusted: &str) -> io::Result<TlsConnection> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate")).expect("added");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(node.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    while client.is_handshaking() {
        client.complete_io(&mut stream)?;
    }
    assert_eq!(client.alpn_protocol(), Some(b"http/1.1".as_slice()));
    Ok(StreamOwned::new(client, stream))
}

/// Sends a request with more headers, and returns the response.
fn exchange(stream: &mut (impl Read + Write), line: &str, headers: &str, body: Option<&Value>) -> RawResponse {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    receive(stream)
}

fn header<'a>(response: &'a RawResponse, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name));
    response.head.lines().find_map(of).map(|(_, value)| value)
}

#[test]
fn a_user_logs_in_by_https_with_a_certificate_of_the_nodes_own() {
    let site = Site::new();
    let start = site.start.clone().with_env("VOLUTE__SERVER__TLS", "self-signed");
    let node = start.node();
    assert!(node.url.starts_with("https://"), "{}", node.url);
    let certificate = fs::read_to_string(start.data.join("tls/self-signed.pem")).expect("there");
    let mut stream = connect(&node, &certificate).expect("connected");
    let session = exchange(&mut stream, "GET /api/session", "", None);
    assert_eq!((session.status, header(&session, "strict-transport-security")), (200, None), "{}", session.head);

    let (url, token) = site.add_user("ada");
    assert_eq!(url, node.url);
    let body = json!({"token": token, "password": PASSWORD});
    let set_up = exchange(&mut stream, "POST /api/setup", "Origin: https://localhost\r\n", Some(&body));
    assert_eq!(set_up.status, 200, "{}", set_up.body);
    let cookie = header(&set_up, "set-cookie").expect("a cookie").to_owned();
    assert!(cookie.starts_with("__Host-volute-session=") && cookie.contains("; Secure"), "{cookie}");
    let value = cookie.split(';').next().expect("a value");
    let pumps = |cookie: &str, stream: &mut TlsConnection| {
        exchange(stream, "GET /api/pumps", &format!("Cookie: {cookie}\r\n"), None).status
    };
    assert_eq!(pumps(value, &mut stream), 200);
    let plain_name = value.replace("__Host-", "");
    assert_eq!(pumps(&plain_name, &mut stream), 401, "another host could have set a cookie of this name");
    let foreign =
        exchange(&mut stream, "POST /api/logout", &format!("Origin: http://localhost\r\nCookie: {value}\r\n"), None);
    assert_eq!(foreign.status, 403, "a page without HTTPS: {}", foreign.body);

    let hint = receive(&mut send(&node, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", TIMEOUT));
    assert!(hint.status == 400 && hint.body.contains("https://"), "{hint:?}");

    let recording = site.path("run.csv");
    let file = recording.to_str().expect("UTF-8");
    run(&["simulate", "--rows", "3", "--out", file]);
    let own = start.data.join("tls/self-signed.pem");
    let trusting = ["--certificate", own.to_str().expect("UTF-8")];
    let replay = ["replay", "--csv", file, "--speed", "0", "--url", &node.url.replace("127.0.0.1", "localhost")];
    let refused = output(volute().args(replay));
    assert!(!refused.status.success(), "it trusts nobody whom it does not know");
    let posted = run(&[&replay[..], &trusting].concat());
    assert!(posted.contains("accepted"), "{posted}");

    drop(node);
    let node = start.node();
    connect(&node, &certificate).expect("the same certificate after a restart");
}

#[cfg(feature = "failpoints")]
#[test]
fn an_own_certificate_that_has_expired_is_replaced() {
    let site = Site::new();
    let start = site.start.clone().with_env("VOLUTE__SERVER__TLS", "self-signed");
    let read = || fs::read_to_string(start.data.join("tls/self-signed.pem")).expect("there");
    drop(start.node());
    let first = read();
    let days_later = format!("clock=return({})", 398_i64 * 86_400_000);
    drop(start.clone().with_env("FAILPOINTS", &days_later).node());
    assert_ne!(read(), first);
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
    let site = Site::new();
    let (first, second) = (pem(), pem());
    let node = site.node_with(&first);
    let mut early = connect(&node, &first).expect("the first");
    assert!(connect(&node, &second).is_err(), "it is not used yet");
    let response = exchange(&mut early, "GET /readyz", "", None);
    assert!(response.body.contains("\"ready\""), "{}", response.body);
    assert!(header(&response, "strict-transport-security").is_some(), "{}", response.head);

    site.put(&second, &second);
    hang_up(&node);
    wait_until("the second certificate", || connect(&node, &second).map(drop));
    assert_eq!(exchange(&mut early, "GET /healthz", "", None).status, 200, "connections stay");

    for (chain, key, reason) in [
        (first.as_str(), second.as_str(), "does not belong"),
        ("", second.as_str(), "no certificate"),
        (first.as_str(), "nonsense", "no private key"),
    ] {
        site.put(chain, key);
        hang_up(&node);
        wait_until(reason, || {
            let response = exchange(&mut early, "GET /readyz", "", None);
            match response.status == 200 && response.body.contains("degraded") && response.body.contains(reason) {
                true => Ok(()),
                false => Err(response),
            }
        });
        connect(&node, &second).expect("the last good one");
        let store = exchange(&mut early, "GET /api/store", "", None);
        assert!(store.body.contains(reason), "{}", store.body);
    }
    site.put(&first, &first);
    wait_until("the first certificate, without a signal", || connect(&node, &first).map(drop));
    let response = exchange(&mut early, "GET /readyz", "", None);
    assert!(response.body.contains("\"ready\""), "{}", response.body);
}

#[test]
fn a_handshake_that_does_not_go_on_ends() {
    let site = Site::new();
    let start = site.start.clone().with_env("VOLUTE__SERVER__REQUEST_TIMEOUT_S", "1");
    let node = start.with_env("VOLUTE__SERVER__TLS", "self-signed").node();
    for sent in [&[][..], &[22_u8], &[22, 3, 1, 0, 200, 1]] {
        let mut stream = send(&node, sent, TIMEOUT);
        let mut received = Vec::new();
        // The end, or a reset: not a timeout of this side.
        match stream.read_to_end(&mut received) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{sent:?}"),
        }
    }
}

#[test]
fn an_address_for_other_machines_needs_tls() {
    let site = Site::new();
    let dir = site.start.data.to_str().expect("UTF-8");
    let serve = |address: &str, variables: &[(&str, &str)]| {
        let mut command = volute();
        command.args(["serve", "--listen", address, "--data-dir", dir]).envs(variables.iter().copied());
        let output = output(&mut command);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    let open = serve("0.0.0.0:0", &[]);
    assert!(open.contains("user add") && open.contains("server.tls"), "{open}");
    site.add_user("ada");
    let text = serve("0.0.0.0:0", &[]);
    assert!(!text.contains("user add") && text.contains("server.tls") && text.contains("behind_proxy"), "{text}");
    let missing = serve("127.0.0.1:0", &[("VOLUTE__SERVER__TLS", "./nothing.pem")]);
    assert!(missing.contains("./nothing.pem"), "{missing}");
    for (key, value) in [("TLS", "on"), ("BEHIND_PROXY", "proxy.example"), ("BEHIND_PROXY", "0.0.0.0/0")] {
        let text = serve("127.0.0.1:0", &[(&format!("VOLUTE__SERVER__{key}"), value)]);
        assert!(text.contains(value) && text.contains("allowed"), "{text}");
    }
}

#[test]
fn a_configuration_shows_where_the_key_is_and_not_the_key() {
    let site = Site::new();
    let pem = pem();
    site.put(&pem, &pem);
    let (chain, key) = (site.path("tls.pem"), site.path("key.pem"));
    let mut command = volute();
    command.args(["check-config"]).env("VOLUTE__SERVER__TLS", &chain).env("VOLUTE__SERVER__TLS_KEY", &key);
    let output = output(&mut command);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains(key.to_str().expect("UTF-8")), "{text}");
    let secret = pem.lines().nth(1).expect("a line");
    assert!(!text.contains(secret), "{text}");
}

#[test]
fn only_a_listed_proxy_says_who_the_client_is() {
    let site = Site::new();
    for (proxies, expected) in [("127.0.0.1", "\"peer\":\"203.0.113.9\""), ("10.0.0.1", "\"peer\":\"127.0.0.1:")] {
        let node = site.start.clone().with_env("VOLUTE__SERVER__BEHIND_PROXY", proxies).node();
        let (_, token) = site.add_user(&format!("user-of-{}", proxies.replace('.', "-")));
        let mut stream = send(&node, "", TIMEOUT);
        let body = json!({"token": token, "password": PASSWORD});
        let set_up = exchange(&mut stream, "POST /api/setup", "X-Forwarded-For: 203.0.113.9\r\n", Some(&body));
        assert_eq!(set_up.status, 200, "{}", set_up.body);
        let name = serde_json::from_str::<Value>(&set_up.body).expect("JSON")["name"].clone();
        let login = json!({"name": name, "password": PASSWORD});
        // A client that sends a header of its own: the proxy appends to it.
        let headers = "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
        let response = exchange(&mut stream, "POST /api/login", headers, Some(&login));
        let cookie = header(&response, "set-cookie").expect("a cookie").to_owned();
        let is_listed = proxies == "127.0.0.1";
        assert_eq!(cookie.starts_with("__Host-"), is_listed, "{cookie}");
        assert_eq!(cookie.contains("Secure"), is_listed, "{cookie}");
        let headers = format!("{headers}Cookie: {}\r\n", cookie.split(';').next().expect("a value"));
        let log = exchange(&mut stream, "GET /api/audit-log?action=login", &headers, None);
        assert!(log.body.contains(expected), "{expected}: {}", log.body);
    }
}

#[test]
fn clients_of_a_listed_proxy_are_locked_out_one_by_one_and_are_never_local() {
    let site = Site::new();
    let node = site.start.clone().with_env("VOLUTE__SERVER__BEHIND_PROXY", "127.0.0.1").node();
    site.add_user("ada");
    let mut stream = send(&node, "", TIMEOUT);
    let mut login = |from: &str| {
        let body = json!({"name": "ada", "password": "not the password"});
        exchange(&mut stream, "POST /api/login", &format!("X-Forwarded-For: {from}\r\n"), Some(&body)).status
    };
    for attempt in 1..=6 {
        assert_eq!(login("203.0.113.9"), 401, "{attempt}");
    }
    assert_eq!(login("203.0.113.9"), 429);
    assert_eq!(login("203.0.113.10"), 401, "another client of the same proxy");
    assert_eq!(login("198.51.100.1, 203.0.113.9"), 429, "what the client sent does not help it");

    let mut item = ten_values();
    item["pump_id"] = "P-1".into();
    for headers in
        ["", "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-For: nonsense\r\n", "Forwarded: for=\"[::1]\"\r\n"]
    {
        // The node closes a connection whose body it has not read.
        let mut stream = send(&node, "", TIMEOUT);
        let response = exchange(&mut stream, "POST /api/ingest", headers, Some(&item));
        assert_eq!(response.status, 401, "{headers:?}: {}", response.body);
    }
}

/// Returns the paths below a folder, the folder itself first.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("read") {
            all.extend(tree(&entry.expect("an entry").path()));
        }
    }
    all
}

#[test]
fn nobody_else_can_open_what_is_stored_backed_up_or_exported() {
    let site = Site::new();
    let (repository, exported) = (site.path("backups"), site.path("P-1.csv"));
    let node = site.start.clone().with_env("VOLUTE__SERVER__TLS", "self-signed").node();
    let certificate = fs::read_to_string(site.start.data.join("tls/self-signed.pem")).expect("there");
    let mut item = ten_values();
    item["pump_id"] = "P-1".into();
    let mut stream = connect(&node, &certificate).expect("connected");
    assert_eq!(exchange(&mut stream, "POST /api/ingest", "", Some(&item)).status, 200);
    site.add_user("ada");
    site.volute(&["token", "add", "gateway", "--pump", "P-1"]);
    site.volute(&["backup", repository.to_str().expect("UTF-8")]);
    site.volute(&["export", "--pump", "P-1", "--out", exported.to_str().expect("UTF-8")]);
    let restored = site.path("restored");
    run(&["restore", repository.to_str().expect("UTF-8"), "--data-dir", restored.to_str().expect("UTF-8")]);
    let mut count = 0;
    // The database gives its log a mode of its own, in a folder that only the owner can open.
    let log = site.start.data.join("database/wal");
    for path in [&site.start.data, &repository, &exported, &restored].into_iter().flat_map(|path| tree(path)) {
        // A running node removes files.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if path.starts_with(&log) {
            continue;
        }
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        count += 1;
    }
    assert!(count > 20, "{count}");
}
