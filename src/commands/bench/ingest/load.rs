//! Generates the load: sends posts when they are due, over keep-alive connections, and measures when each is
//! acknowledged.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::{Instant, sleep_until},
};

/// The default profile's channels: name, typical value, and amplitude.
const CHANNELS: [(&str, f64, f64); 10] = [
    ("Motor_RPM", 1480.0, 4.0),
    ("Bearing_Temperature_C", 62.5, 0.5),
    ("Oil_Pressure_bar", 2.1, 0.02),
    ("Vibration_mm_s", 2.3, 0.2),
    ("Flow_Rate_L_min", 1200.0, 10.0),
    ("Suction_Pressure_bar", 1.2, 0.02),
    ("Discharge_Pressure_bar", 5.8, 0.05),
    ("Motor_Current_A", 42.0, 0.4),
    ("Casing_Temperature_C", 55.0, 0.4),
    ("Ambient_Temperature_C", 28.0, 0.2),
];
/// A connection that was idle for longer is replaced.
const MAX_IDLE: Duration = Duration::from_secs(2);
/// The latency within which a node counts as recovered.
const RECOVERED_LATENCY: Duration = Duration::from_millis(100);
/// The number of consecutive posts within [`RECOVERED_LATENCY`] after which the node counts as recovered.
const RECOVERED_POSTS: u32 = 5;
/// The longest time to wait for the recovery.
const MAX_RECOVERY_WAIT: Duration = Duration::from_secs(120);
/// The maximum size of a response.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The parameters of a load.
#[derive(Debug, Clone)]
pub(super) struct LoadPlan {
    /// Host and port.
    pub address: String,
    pub pumps: usize,
    pub posts_per_s: f64,
    /// Readings per post.
    pub batch: usize,
    pub connections: usize,
}

/// The result of a load.
#[derive(Debug, Default)]
pub(super) struct LoadResult {
    /// The times from when a post was due until its response, in microseconds, for posts with status 200.
    pub latencies_us: Vec<u64>,
    /// The number of responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Readings in posts with status 200.
    pub readings: u64,
    /// The time from the end of the warm-up until the last response.
    pub elapsed: Duration,
}

/// A post with its due time.
struct ScheduledPost {
    number: u64,
    due: Instant,
    /// The due time in milliseconds since 1970.
    due_ms: u64,
    /// Whether it is due after the warm-up.
    is_measured: bool,
}

impl LoadResult {
    /// Sends posts for the warm-up and the measured time, and waits for all responses. Posts of the warm-up are not
    /// measured. Calls `begin` at the end of the warm-up, and returns its result as well.
    pub(super) async fn run<T: Send + 'static>(
        plan: &LoadPlan,
        [warm_up, time]: [Duration; 2],
        begin: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Self, T)> {
        let posts = |time: Duration| (time.as_secs_f64() * plan.posts_per_s).ceil() as u64;
        let (first_measured, posts) = (posts(warm_up), posts(warm_up + time));
        let (mut begin, mut begun) = (Some(begin), None);
        let plan = Arc::new(plan.clone());
        // Unbounded, because an open loop never waits for slow responses.
        let (queue, scheduled) = mpsc::unbounded_channel();
        let scheduled = Arc::new(Mutex::new(scheduled));
        let clients: Vec<_> =
            (0..plan.connections).map(|_| tokio::spawn(client(Arc::clone(&plan), Arc::clone(&scheduled)))).collect();
        let (start, start_ms) = (Instant::now(), now_ms());
        for number in 0..posts {
            let is_measured = number >= first_measured;
            if is_measured && let Some(begin) = begin.take() {
                begun = Some((Instant::now(), tokio::task::spawn_blocking(begin)));
            }
            let due = start + Duration::from_secs_f64(number as f64 / plan.posts_per_s);
            // Timers have a resolution of 1 ms; a post that is due sooner is sent at once.
            if due > Instant::now() + Duration::from_millis(1) {
                sleep_until(due).await;
            }
            let due_ms = start_ms + (number as f64 / plan.posts_per_s * 1000.0) as u64;
            if queue.send(ScheduledPost { number, due, due_ms, is_measured }).is_err() {
                break;
            }
        }
        drop(queue);
        let mut result = Self::default();
        for client in clients {
            let part = client.await.context("a connection")??;
            result.latencies_us.extend(part.latencies_us);
            result.readings += part.readings;
            for (status, count) in part.statuses {
                *result.statuses.entry(status).or_default() += count;
            }
        }
        let (begin_time, begin_result) = begun.context("the rate is too low: no post was due in the measured time")?;
        result.elapsed = begin_time.elapsed();
        Ok((result, begin_result.await?))
    }
}

/// Sends scheduled posts over one connection, one after the other.
async fn client(plan: Arc<LoadPlan>, queue: Arc<Mutex<mpsc::UnboundedReceiver<ScheduledPost>>>) -> Result<LoadResult> {
    let mut stream = connect(&plan.address).await?;
    let (mut result, mut body, mut buffer) = (LoadResult::default(), String::new(), Vec::new());
    let mut last_used = Instant::now();
    loop {
        let scheduled = queue.lock().await.recv().await;
        let Some(ScheduledPost { number, due, due_ms, is_measured }) = scheduled else { break };
        if last_used.elapsed() > MAX_IDLE {
            // A node closes connections that are idle for some seconds.
            stream = connect(&plan.address).await?;
        }
        write_body(&mut body, &plan, number, due_ms);
        let status = post(&mut stream, &plan.address, &body, &mut buffer).await?;
        last_used = Instant::now();
        if !is_measured {
            continue;
        }
        *result.statuses.entry(status).or_default() += 1;
        if status == 200 {
            result.readings += plan.batch as u64;
            result.latencies_us.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }
    Ok(result)
}

/// Returns the time from the end of a load until the first of [`RECOVERED_POSTS`] consecutive posts of one reading that
/// are each acknowledged within [`RECOVERED_LATENCY`].
pub(super) async fn recovery(address: &str) -> Result<Duration> {
    let (start, mut stream, mut buffer, mut body) =
        (Instant::now(), connect(address).await?, Vec::new(), String::new());
    let plan = LoadPlan { address: address.to_owned(), pumps: 1, posts_per_s: 1.0, batch: 1, connections: 1 };
    let (mut fast_posts, mut fast_since) = (0, start);
    for number in 0.. {
        let sent = Instant::now();
        write_body(&mut body, &plan, number, now_ms());
        let status = post(&mut stream, address, &body, &mut buffer).await?;
        if status != 200 || sent.elapsed() > RECOVERED_LATENCY {
            (fast_posts, fast_since) = (0, Instant::now());
        } else {
            fast_posts += 1;
        }
        if fast_posts == RECOVERED_POSTS || start.elapsed() > MAX_RECOVERY_WAIT {
            break;
        }
        sleep_until(sent + RECOVERED_LATENCY).await;
    }
    Ok(fast_since - start)
}

/// Sends a post, and returns the status of the response.
async fn post(stream: &mut TcpStream, address: &str, body: &str, buffer: &mut Vec<u8>) -> Result<u16> {
    let length = body.len();
    let head = "POST /api/ingest HTTP/1.1\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Host: {address}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    read_response(stream, buffer).await
}

async fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The prefix of a pump's id; its number follows, from 0.
pub(super) const PUMP_PREFIX: &str = "P-";

/// Writes the body of a post. The readings are of the pumps in turn, and have the due time of the post.
fn write_body(body: &mut String, plan: &LoadPlan, number: u64, due_ms: u64) {
    body.clear();
    body.push('[');
    for n in 0..plan.batch as u64 {
        let reading = number * plan.batch as u64 + n;
        let (pump, turn) = (reading % plan.pumps as u64, reading / plan.pumps as u64);
        // Readings of the same pump in one post are 1 ms apart.
        let at_ms = due_ms + n / plan.pumps as u64;
        let _ =
            write!(body, "{}{{\"pump_id\":\"{PUMP_PREFIX}{pump}\",\"timestamp\":{at_ms}", if n > 0 { "," } else { "" });
        for (index, (name, typical, amplitude)) in CHANNELS.iter().enumerate() {
            let phase = (turn as f64 * 0.7 + pump as f64 * 1.3 + index as f64 * 2.1).sin();
            let _ = write!(body, ",\"{name}\":{:.2}", typical + amplitude * phase);
        }
        body.push('}');
    }
    body.push(']');
}

/// Reads one response from the connection, and returns its status.
async fn read_response(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await?;
        if read == 0 {
            bail!("the node closed the connection");
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(head) = response.parse(buffer)? {
            let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = length
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .context("a response without a Content-Length")?;
            let status = response.code.context("a response without a status")?;
            if buffer.len() >= head + length {
                return Ok(status);
            }
        }
        if buffer.len() > MAX_RESPONSE_BYTES {
            bail!("a response of more than {MAX_RESPONSE_BYTES} bytes");
        }
    }
}

/// Returns the current time in milliseconds since 1970.
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
