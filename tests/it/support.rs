//! Starts nodes as separate processes, and sends them requests.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;
#[cfg(feature = "failpoints")]
use volute::control::{self, Request};

pub mod issuer;
mod simulated_pump;
#[cfg(feature = "failpoints")]
pub mod sinks;
mod socket;

pub use simulated_pump::{SimulatedPump, post_all};
pub use socket::{RawResponse, receive, send};

/// The time after which a wait fails. On a slow machine the demo takes two minutes to learn its pumps.
pub const TIMEOUT: Duration = Duration::from_secs(300);
/// The time after which a command fails. An evaluation by a debug build takes long.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1800);

/// 2026-03-09T10:00:00Z: the first timestamp of tests that count in milliseconds. It may be long ago, as nodes under
/// test accept readings of any age (see [`volute`]).
pub const EPOCH_MS: u64 = 1_773_050_400_000;

/// A running node on its own port. Killed when dropped.
pub struct Node {
    child: Child,
    pub url: String,
}

/// How to start a node.
#[derive(Clone)]
pub struct NodeConfig {
    pub data: PathBuf,
    pub profile: &'static str,
    pub model: Option<PathBuf>,
    pub demo: bool,
    pub env: Vec<(&'static str, String)>,
    /// The soft and hard limit of its file descriptors.
    pub descriptors: Option<u32>,
    /// The file that it logs to.
    pub log: Option<PathBuf>,
}

/// A response with its body parsed as JSON, or as a string.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl NodeConfig {
    pub fn new(data: &TempDir, profile: &'static str) -> Self {
        Self {
            data: data.path().join("store"),
            profile,
            model: None,
            demo: false,
            env: Vec::new(),
            descriptors: None,
            log: None,
        }
    }

    pub fn with_model(mut self, model: &Path) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// A demo node, which has its own profile and model.
    pub fn demo(data: &TempDir) -> Self {
        Self { demo: true, ..Self::new(data, "centrifugal") }
    }

    pub fn with_env(mut self, key: &'static str, value: &str) -> Self {
        self.env.push((key, value.to_owned()));
        self
    }

    /// Limits the node's file descriptors, so that it cannot raise the limit.
    pub fn with_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Appends the log to a file.
    pub fn with_log(mut self, file: &Path) -> Self {
        self.log = Some(file.to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.descriptors {
            Some(limit) => limited(limit),
            None => volute(),
        };
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data);
        match self.demo {
            true => command.arg("--demo"),
            false => command.args(["--profile", self.profile]),
        };
        if let Some(model) = &self.model {
            command.arg("--model").arg(model);
        }
        command.envs(self.env.iter().map(|(key, value)| (*key, value.as_str())));
        let log = match &self.log {
            Some(file) => File::options().create(true).append(true).open(file).expect("a file").into(),
            None => Stdio::inherit(),
        };
        command.stderr(log);
        command
    }

    /// Starts a node that exits during its start, and waits for the exit.
    pub fn run_to_exit(&self) -> ExitStatus {
        let child = self.command().stdout(Stdio::null()).spawn().expect("the node starts");
        Node { child, url: String::new() }.wait_for_exit()
    }

    /// Starts the node and waits until it prints its address.
    pub fn node(&self) -> Node {
        let mut child = self.command().stdout(Stdio::piped()).spawn().expect("the node starts");
        let stdout = child.stdout.take().expect("piped");
        let mut node = Node { child, url: String::new() };
        let line = run_within(TIMEOUT, move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("a line");
            line
        });
        let line = line.expect("the node prints its address, or exits");
        node.url = line.trim().strip_prefix("Volute listens on ").expect(&line).to_owned();
        node
    }
}

#[cfg(feature = "failpoints")]
impl NodeConfig {
    /// Sets the action of a failpoint in the running node.
    pub fn inject(&self, point: &str, action: &str) {
        self.try_inject(point, action).expect("the node answers");
    }

    /// Like [`inject`](Self::inject), for an action that may end the node before it responds.
    pub fn try_inject(&self, point: &str, action: &str) -> Result<Value, control::ControlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let request = Request::Failpoint { point: point.to_owned(), action: action.to_owned() };
        runtime.block_on(control::send_request::<Value>(&self.data, &request))
    }
}

impl Node {
    pub fn get(&self, path: &str) -> Response {
        into_response(agent().get(format!("{}{path}", self.url)).call())
    }

    /// Sends a GET request that must succeed with 200, and returns the body.
    pub fn get_ok(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.body
    }

    pub fn post(&self, body: &Value) -> Response {
        self.post_as("application/json", &body.to_string())
    }

    pub fn post_as(&self, content_type: &str, body: &str) -> Response {
        self.post_to("/api/ingest", content_type, body)
    }

    pub fn post_to(&self, path: &str, content_type: &str, body: &str) -> Response {
        try_post_to(&format!("{}{path}", self.url), content_type, body).expect("a response")
    }

    /// Posts a body that is already encoded.
    pub fn post_bytes(&self, content_type: &str, coding: &str, body: &[u8]) -> Response {
        let request = agent().post(format!("{}/api/ingest", self.url)).header("content-type", content_type);
        into_response(request.header("content-encoding", coding).send(body))
    }

    /// Sends a request without a body.
    pub fn send(&self, method: &str, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        let request = ureq::http::Request::builder().method(method).uri(url).body(()).expect("a request");
        into_response(agent().run(request))
    }

    /// Sends a request with a JSON body.
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Response {
        self.send_as(method, path, "application/json", &body.to_string())
    }

    /// Sends a request with a body of the given content type.
    pub fn send_as(&self, method: &str, path: &str, content_type: &str, body: &str) -> Response {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("content-type", content_type).body(body.to_owned()).expect("a request");
        into_response(agent().run(request))
    }

    /// Returns all items of a list, read page by page.
    pub fn all_items(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get_ok(&format!("{path}{cursor}"));
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => {
                    let next = format!("&cursor={next}");
                    assert_ne!(next, cursor, "{path}: a page that refers to itself");
                    cursor = next;
                }
                None => return items,
            }
        }
    }

    /// Repeats a GET request until `done` returns true, and returns the body.
    pub fn wait_until(&self, path: &str, mut done: impl FnMut(&Value) -> bool) -> Value {
        let mut body = Value::Null;
        wait_until(path, || {
            body = self.get_ok(path);
            if done(&body) { Ok(()) } else { Err(body.clone()) }
        });
        body
    }

    /// Repeats a GET request until `done` returns true. Before that, posts of `item` must be rejected with 503.
    pub fn assert_unavailable_until(&self, path: &str, item: &Value, done: impl Fn(&Response) -> bool) {
        wait_until(path, || {
            let response = self.get(path);
            if done(&response) {
                return Ok(());
            }
            assert_eq!(self.post(item).status, 503);
            Err(response)
        });
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The resident memory in MiB, from `/proc`.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// The number of open files, including sockets.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("Linux").count()
    }

    /// The address, as `127.0.0.1:5000`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").expect("an address").1
    }

    /// Waits until the node exits.
    pub fn wait_for_exit(mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the node's exit", || {
            status = self.child.try_wait().expect("a status");
            status.map(drop).ok_or("it runs")
        });
        status.expect("it ended")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Sends SIGTERM and waits until the node exits.
    pub fn terminate(self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        self.wait_for_exit()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Repeats `check` until it returns `Ok`. Panics with the last error after [`TIMEOUT`].
pub fn wait_until<E: std::fmt::Debug>(what: &str, mut check: impl FnMut() -> Result<(), E>) {
    let deadline = Instant::now() + TIMEOUT;
    while let Err(reason) = check() {
        assert!(Instant::now() < deadline, "{what}: not within {TIMEOUT:?}: {reason:?}");
        thread::yield_now();
    }
}

/// Runs `work` on its own thread. Returns none if it takes longer than `time`, or panics.
fn run_within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(time).ok()
}

/// Sets the flag when dropped, so that a test's background threads end however the test ends.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The time of this machine, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

/// Chooses numbers that look random: a linear congruential generator (constants from Numerical Recipes).
pub struct Random(pub u32);

impl Random {
    /// Returns a number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % end
    }
}

/// Reports that a test cannot run here. `./scripts/test` counts the printed line as a skipped test. With
/// `VOLUTE_STRICT` set, on machines that have everything the tests need, the test fails instead.
pub fn skip(why: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("VOLUTE_STRICT").is_none(), "{name} cannot run: {why}");
    // Not with eprintln!, whose output is captured if a test passes. The line break before it begins a new line.
    io::stderr().write_all(format!("\nskipped: {name}: {why}\n").as_bytes()).expect("written");
}

/// Posts a body. Returns none if the node does not respond.
pub fn try_post(url: &str, content_type: &str, body: &str) -> Option<Response> {
    try_post_to(&format!("{url}/api/ingest"), content_type, body)
}

/// Requests an address. Returns none if there is no response.
pub fn try_get(url: &str) -> Option<Response> {
    agent().get(url).call().ok().and_then(read)
}

/// Sends a body to an address. Returns none if there is no response.
pub fn try_post_to(url: &str, content_type: &str, body: &str) -> Option<Response> {
    match agent().post(url).header("content-type", content_type).send(body) {
        Ok(response) => read(response),
        Err(_) => None,
    }
}

/// The binary without configuration from the environment: the one that was built for the tests, or `VOLUTE_TEST_BIN`, for
/// example a release build. It keeps readings for 100 years, and takes them as current
/// for that long: tests post readings with fixed times, and must not fail once these are older than the default limits.
/// Tests of retention and of current readings set the limits themselves.
pub fn volute() -> Command {
    let built = || env!("CARGO_BIN_EXE_volute").into();
    let mut command = Command::new(std::env::var_os("VOLUTE_TEST_BIN").unwrap_or_else(built));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("VOLUTE__")) {
        command.env_remove(key);
    }
    for key in ["READINGS", "AGGREGATES", "DETECTIONS"] {
        command.env(format!("VOLUTE__RETENTION__{key}_DAYS"), "36500");
    }
    command.env("VOLUTE__INGEST__CURRENT_WITHIN_S", "4000000000");
    // Tests restart actors again and again.
    command.env("VOLUTE__LIMITS__RESTART_PAUSE_S", "0");
    // The free space on this machine's disk must not affect tests.
    command.env("VOLUTE__STORE__WARN_FREE_PERCENT", "0");
    command
}

/// The binary with a limit on its file descriptors.
fn limited(descriptors: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $0 && exec \"$@\"", &descriptors.to_string()]).arg(volute().get_program());
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("VOLUTE__")) {
        command.env_remove(key);
    }
    command.env("VOLUTE__STORE__WARN_FREE_PERCENT", "0");
    command
}

/// Runs a command of the binary that must succeed, and returns its output.
pub fn run(args: &[&str]) -> String {
    let output = output(volute().args(args));
    assert!(output.status.success(), "volute {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command, and returns its output and status. Kills it after [`COMMAND_TIMEOUT`].
pub fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    match run_within(COMMAND_TIMEOUT, move || child.wait_with_output().expect("it ends")) {
        Some(output) => output,
        None => {
            let _ended = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            panic!("{command:?} did not end within {COMMAND_TIMEOUT:?}")
        }
    }
}

/// The folder with SKAB's recordings of a real pump; skips the test if it is absent.
pub fn skab() -> Option<PathBuf> {
    shared_input("skab")
}

/// A folder of inputs beside the repository; skips the test if it is absent.
pub fn shared_input(name: &str) -> Option<PathBuf> {
    let dir = std::path::absolute(format!("../shared/{name}")).expect("a directory");
    if dir.is_dir() {
        return Some(dir);
    }
    skip(&format!("{} is absent", dir.display()));
    None
}

/// A request body as sent by a plant's gateway; skips the test if the file is absent.
pub fn field_sample(name: &str) -> Option<String> {
    let file = std::path::absolute("../shared/field").expect("a directory").join(name);
    if file.is_file() {
        return Some(std::fs::read_to_string(&file).expect("text"));
    }
    skip(&format!("{} is absent", file.display()));
    None
}

/// Percent-encodes a text for a URL's path or query.
pub fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(part).collect()
}

/// The body in the original system's guide: the ten values without a time or a pump.
pub fn ten_values() -> Value {
    json!({
        "Motor_RPM": 1480.0, "Bearing_Temperature_C": 62.5, "Oil_Pressure_bar": 2.1, "Vibration_mm_s": 2.3,
        "Flow_Rate_L_min": 1200.0, "Suction_Pressure_bar": 1.2, "Discharge_Pressure_bar": 5.8,
        "Motor_Current_A": 42.0, "Casing_Temperature_C": 55.0, "Ambient_Temperature_C": 28.0
    })
}

/// Compresses with gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

fn into_response(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Response {
    read(result.expect("a response")).expect("a whole response")
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Option<Response> {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    let mut text = String::new();
    response.body_mut().as_reader().read_to_string(&mut text).ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(Response { status, content_type, retry_after, body })
}
