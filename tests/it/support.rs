//! A node as a process of its own, and what tests say to it.

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
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
#[cfg(feature = "failpoints")]
use volute::control::{self, Request};

mod socket;

pub use socket::{RawResponse, receive, send};

/// The longest that anything is waited for: on a slow machine the demo takes two minutes to learn its pumps.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// The longest that a command may take: an evaluation, by a debug build.
const COMMAND_PATIENCE: Duration = Duration::from_secs(1800);

/// 2026-03-09T10:00:00Z: where tests begin to post, if they count in milliseconds. Nodes under test keep readings of any
/// year ([`volute`]), so it may be long ago.
pub const EPOCH_MS: u64 = 1_773_050_400_000;

/// A running node on a port of its own. Killed when dropped.
pub struct Node {
    child: Child,
    pub url: String,
}

/// How to start a node.
#[derive(Clone)]
pub struct Start {
    pub data: PathBuf,
    pub profile: &'static str,
    pub model: Option<PathBuf>,
    pub demo: bool,
    pub env: Vec<(&'static str, String)>,
    /// The soft and hard limit on its file descriptors.
    pub descriptors: Option<u32>,
    /// The file that it logs to.
    pub log: Option<PathBuf>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Start {
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

    /// A demo, which brings its own profile and model.
    pub fn demo(data: &TempDir) -> Self {
        Self { demo: true, ..Self::new(data, "centrifugal") }
    }

    pub fn with_env(mut self, key: &'static str, value: &str) -> Self {
        self.env.push((key, value.to_owned()));
        self
    }

    /// With no more file descriptors than these, and no way to raise that.
    pub fn with_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// With its log in a file.
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

    /// Starts a node that ends while it starts, and waits for that.
    pub fn ends(&self) -> ExitStatus {
        let child = self.command().stdout(Stdio::null()).spawn().expect("the node starts");
        Node { child, url: String::new() }.end()
    }

    /// Starts the node and waits until it says where it listens.
    pub fn node(&self) -> Node {
        let mut child = self.command().stdout(Stdio::piped()).spawn().expect("the node starts");
        let stdout = child.stdout.take().expect("piped");
        let mut node = Node { child, url: String::new() };
        let line = within(PATIENCE, move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("a line");
            line
        });
        let line = line.expect("it says where it listens, or ends");
        node.url = line.trim().strip_prefix("Volute listens on ").expect(&line).to_owned();
        node
    }
}

#[cfg(feature = "failpoints")]
impl Start {
    /// Sets what happens at a point of the node that runs there.
    pub fn inject(&self, point: &str, action: &str) {
        self.try_inject(point, action).expect("told");
    }

    /// Likewise where the node may be gone before it answers.
    pub fn try_inject(&self, point: &str, action: &str) -> Result<Value, control::ControlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let request = Request::Failpoint { point: point.to_owned(), action: action.to_owned() };
        runtime.block_on(control::tell::<Value>(&self.data, &request))
    }
}

impl Node {
    pub fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("{}{path}", self.url)).call())
    }

    /// The body of a GET that must be answered 200.
    pub fn ok(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    pub fn post(&self, body: &Value) -> Answer {
        self.post_as("application/json", &body.to_string())
    }

    pub fn post_as(&self, content_type: &str, body: &str) -> Answer {
        self.post_to("/api/ingest", content_type, body)
    }

    pub fn post_to(&self, path: &str, content_type: &str, body: &str) -> Answer {
        try_post_to(&format!("{}{path}", self.url), content_type, body).expect("an answer")
    }

    /// A post whose body is coded already.
    pub fn post_bytes(&self, content_type: &str, coding: &str, body: &[u8]) -> Answer {
        let request = agent().post(format!("{}/api/ingest", self.url)).header("content-type", content_type);
        answer(request.header("content-encoding", coding).send(body))
    }

    /// A request without a body.
    pub fn send(&self, method: &str, path: &str) -> Answer {
        let url = format!("{}{path}", self.url);
        let request = ureq::http::Request::builder().method(method).uri(url).body(()).expect("a request");
        answer(agent().run(request))
    }

    /// A request with a body of JSON.
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_as(method, path, "application/json", &body.to_string())
    }

    /// A request with a body of some type.
    pub fn send_as(&self, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("content-type", content_type).body(body.to_owned()).expect("a request");
        answer(agent().run(request))
    }

    /// Every item of a list, page by page.
    pub fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.ok(&format!("{path}{cursor}"));
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => {
                    let next = format!("&cursor={next}");
                    assert_ne!(next, cursor, "{path}: a page that leads to itself");
                    cursor = next;
                }
                None => return items,
            }
        }
    }

    /// Asks again until `done`.
    pub fn until(&self, path: &str, mut done: impl FnMut(&Value) -> bool) -> Value {
        let mut body = Value::Null;
        until(path, || {
            body = self.ok(path);
            if done(&body) { Ok(()) } else { Err(body.clone()) }
        });
        body
    }

    /// Posts this, which is refused with 503 each time, until the answer at `path` is so.
    pub fn refuses_until(&self, path: &str, item: &Value, done: impl Fn(&Answer) -> bool) {
        until(path, || {
            let answer = self.get(path);
            if done(&answer) {
                return Ok(());
            }
            assert_eq!(self.post(item).status, 503);
            Err(answer)
        });
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in MiB, as proc(5) tells it.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// How many files, sockets included, it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("Linux").count()
    }

    /// Where it listens, as `127.0.0.1:5000`.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("an address")
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> ExitStatus {
        let mut status = None;
        until("the node's end", || {
            status = self.child.try_wait().expect("it can be asked");
            status.map(drop).ok_or("it runs")
        });
        status.expect("it ended")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// SIGTERM, and the end that follows.
    pub fn terminate(self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        self.end()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries again until there is no reason any more why it is not so; for ever only in appearance.
pub fn until<E: std::fmt::Debug>(what: &str, mut so: impl FnMut() -> Result<(), E>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(reason) = so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}: {reason:?}");
        thread::yield_now();
    }
}

/// What `work` gives, on a thread of its own; nothing where it takes longer, or panics.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(time).ok()
}

/// Set when it is dropped: what runs beside a test ends, however the test does.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says that a test cannot run here. `./scripts/test` counts the line as a test that was skipped and did not pass; with
/// `VOLUTE_STRICT` set, where everything that tests need is at hand, it is a failure.
pub fn skip(why: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("VOLUTE_STRICT").is_none(), "{name} cannot run: {why}");
    // Not by eprintln!, which is kept back where a test passes; and on a line of its own.
    io::stderr().write_all(format!("\nskipped: {name}: {why}\n").as_bytes()).expect("written");
}

/// Posts, and answers with nothing where the node is gone.
pub fn try_post(url: &str, content_type: &str, body: &str) -> Option<Answer> {
    try_post_to(&format!("{url}/api/ingest"), content_type, body)
}

fn try_post_to(url: &str, content_type: &str, body: &str) -> Option<Answer> {
    match agent().post(url).header("content-type", content_type).send(body) {
        Ok(response) => read(response),
        Err(_) => None,
    }
}

/// The binary, with no configuration from outside. It keeps readings for 100 years, and takes them for current as long: tests
/// post some of fixed times, and must not fail once those are older than the default. Tests of retention, and of what is
/// current, set it themselves.
pub fn volute() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_volute"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("VOLUTE__")) {
        command.env_remove(key);
    }
    for key in ["READINGS", "AGGREGATES", "DETECTIONS"] {
        command.env(format!("VOLUTE__RETENTION__{key}_DAYS"), "36500");
    }
    command.env("VOLUTE__INGEST__CURRENT_WITHIN_S", "4000000000");
    // How full this machine's disk is says nothing of the program.
    command.env("VOLUTE__STORE__WARN_FREE_PERCENT", "0");
    command
}

/// The binary, below a limit on its file descriptors.
fn limited(descriptors: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $0 && exec \"$@\"", &descriptors.to_string()]).arg(volute().get_program());
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("VOLUTE__")) {
        command.env_remove(key);
    }
    command.env("VOLUTE__STORE__WARN_FREE_PERCENT", "0");
    command
}

/// Runs a command of the binary that must succeed; answers what it printed.
pub fn run(args: &[&str]) -> String {
    let output = output(volute().args(args));
    assert!(output.status.success(), "volute {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What a command prints, and how it ends; it may not take for ever.
pub fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    match within(COMMAND_PATIENCE, move || child.wait_with_output().expect("it ends")) {
        Some(output) => output,
        None => {
            let _ended = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            panic!("{command:?} did not end within {COMMAND_PATIENCE:?}")
        }
    }
}

/// The recordings of a real pump, where they are at hand.
pub fn skab() -> Option<PathBuf> {
    shared("skab")
}

/// A folder of inputs beside the repository, where it is at hand.
pub fn shared(name: &str) -> Option<PathBuf> {
    let dir = std::path::absolute(format!("../shared/{name}")).expect("a directory");
    if dir.is_dir() {
        return Some(dir);
    }
    skip(&format!("{} is absent", dir.display()));
    None
}

/// A file of the inputs that plants' gateways are known to send, where they are at hand.
pub fn field(name: &str) -> Option<String> {
    let file = std::path::absolute("../shared/field").expect("a directory").join(name);
    if file.is_file() {
        return Some(std::fs::read_to_string(&file).expect("text"));
    }
    skip(&format!("{} is absent", file.display()));
    None
}

/// A text as a part of a URL's path, or as the value of a parameter.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(part).collect()
}

/// The body of the original's guide: ten values, nothing else.
pub fn ten_values() -> Value {
    json!({
        "Motor_RPM": 1480.0, "Bearing_Temperature_C": 62.5, "Oil_Pressure_bar": 2.1, "Vibration_mm_s": 2.3,
        "Flow_Rate_L_min": 1200.0, "Suction_Pressure_bar": 1.2, "Discharge_Pressure_bar": 5.8,
        "Motor_Current_A": 42.0, "Casing_Temperature_C": 55.0, "Ambient_Temperature_C": 28.0
    })
}

/// What gzip makes of it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    read(result.expect("an answer")).expect("a whole answer")
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Option<Answer> {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    let mut text = String::new();
    response.body_mut().as_reader().read_to_string(&mut text).ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(Answer { status, content_type, retry_after, body })
}
