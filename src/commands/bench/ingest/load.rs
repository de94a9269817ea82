//! The load: posts that are sent when they are due, over keep-alive connections, and when each was answered.

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

/// Usual values of the default profile's channels, and by how much each moves.
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
/// A connection that was not used for so long is made anew.
const IDLE: Duration = Duration::from_secs(2);
/// An answer that comes within this comes at once.
const AT_ONCE: Duration = Duration::from_millis(100);
/// So many answers at once, in a row, are calm.
const CALM: u32 = 5;
/// The longest that is waited for that.
const GIVE_UP: Duration = Duration::from_secs(120);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Host and port.
    pub address: String,
    pub pumps: usize,
    pub posts_per_s: f64,
    /// Readings in a post.
    pub batch: usize,
    pub connections: usize,
}

/// How a load went.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// From when a post was due to its answer, in microseconds; of those answered 200.
    pub latencies_us: Vec<u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Readings in posts answered 200.
    pub readings: u64,
    /// How long it took until the last answer.
    pub took: Duration,
}

/// A post that is due.
struct Due {
    number: u64,
    at: Instant,
    /// The same by the calendar, in milliseconds since 1970.
    at_ms: u64,
    /// Whether it is measured.
    counts: bool,
}

impl Load {
    /// Sends for as long as both, and waits for the answers. What is sent in `warm_up` does not count; `begin` is called
    /// when it is over.
    pub(super) async fn run<T: Send + 'static>(
        plan: &Plan,
        [warm_up, time]: [Duration; 2],
        begin: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Self, T)> {
        let posts = |time: Duration| (time.as_secs_f64() * plan.posts_per_s).ceil() as u64;
        let (first, posts) = (posts(warm_up), posts(warm_up + time));
        let (mut begin, mut begun) = (Some(begin), None);
        let plan = Arc::new(plan.clone());
        // As many as there are: an open loop never waits for who is behind.
        let (queue, due) = mpsc::unbounded_channel();
        let due = Arc::new(Mutex::new(due));
        let clients: Vec<_> =
            (0..plan.connections).map(|_| tokio::spawn(client(Arc::clone(&plan), Arc::clone(&due)))).collect();
        let (start, start_ms) = (Instant::now(), now_ms());
        for number in 0..posts {
            let counts = number >= first;
            if counts && let Some(begin) = begin.take() {
                begun = Some((Instant::now(), tokio::task::spawn_blocking(begin)));
            }
            let at = start + Duration::from_secs_f64(number as f64 / plan.posts_per_s);
            // A timer has a millisecond's grain; what is due within it is sent at once.
            if at > Instant::now() + Duration::from_millis(1) {
                sleep_until(at).await;
            }
            let at_ms = start_ms + (number as f64 / plan.posts_per_s * 1000.0) as u64;
            if queue.send(Due { number, at, at_ms, counts }).is_err() {
                break;
            }
        }
        drop(queue);
        let mut load = Self::default();
        for client in clients {
            let part = client.await.context("a connection")??;
            load.latencies_us.extend(part.latencies_us);
            load.readings += part.readings;
            for (status, count) in part.statuses {
                *load.statuses.entry(status).or_default() += count;
            }
        }
        let (since, before) = begun.context("nothing was measured")?;
        load.took = since.elapsed();
        Ok((load, before.await?))
    }
}

/// Takes the next post that is due whenever it is free.
async fn client(plan: Arc<Plan>, queue: Arc<Mutex<mpsc::UnboundedReceiver<Due>>>) -> Result<Load> {
    let mut stream = connect(&plan.address).await?;
    let (mut load, mut body, mut buffer) = (Load::default(), String::new(), Vec::new());
    let mut used = Instant::now();
    loop {
        let due = queue.lock().await.recv().await;
        let Some(Due { number, at, at_ms, counts }) = due else { break };
        if used.elapsed() > IDLE {
            // A node closes connections that say nothing for some seconds.
            stream = connect(&plan.address).await?;
        }
        fill(&mut body, &plan, number, at_ms);
        let status = post(&mut stream, &plan.address, &body, &mut buffer).await?;
        used = Instant::now();
        if !counts {
            continue;
        }
        *load.statuses.entry(status).or_default() += 1;
        if status == 200 {
            load.readings += plan.batch as u64;
            load.latencies_us.push(u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }
    Ok(load)
}

/// From the end of a load until posts of one reading are acknowledged at once again, [`CALM`] of them in a row.
pub(super) async fn recovery(address: &str) -> Result<Duration> {
    let (start, mut stream, mut buffer, mut body) =
        (Instant::now(), connect(address).await?, Vec::new(), String::new());
    let plan = Plan { address: address.to_owned(), pumps: 1, posts_per_s: 1.0, batch: 1, connections: 1 };
    let (mut calm, mut calm_since) = (0, start);
    for number in 0.. {
        let sent = Instant::now();
        fill(&mut body, &plan, number, now_ms());
        let status = post(&mut stream, address, &body, &mut buffer).await?;
        if status != 200 || sent.elapsed() > AT_ONCE {
            (calm, calm_since) = (0, Instant::now());
        } else {
            calm += 1;
        }
        if calm == CALM || start.elapsed() > GIVE_UP {
            break;
        }
        sleep_until(sent + AT_ONCE).await;
    }
    Ok(calm_since - start)
}

/// Sends a post, and reads its answer's status.
async fn post(stream: &mut TcpStream, address: &str, body: &str, buffer: &mut Vec<u8>) -> Result<u16> {
    let length = body.len();
    let head = "POST /api/ingest HTTP/1.1\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Host: {address}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    read_answer(stream, buffer).await
}

async fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What comes before a pump's number, from 0 on, in its name.
pub(super) const PUMP: &str = "P-";

/// A post's readings: the pumps take turns, and each reading's time is when its post was due.
fn fill(body: &mut String, plan: &Plan, number: u64, at_ms: u64) {
    body.clear();
    body.push('[');
    for n in 0..plan.batch as u64 {
        let reading = number * plan.batch as u64 + n;
        let (pump, turn) = (reading % plan.pumps as u64, reading / plan.pumps as u64);
        // Several of one pump in one post are a millisecond apart.
        let at_ms = at_ms + n / plan.pumps as u64;
        let _ = write!(body, "{}{{\"pump_id\":\"{PUMP}{pump}\",\"timestamp\":{at_ms}", if n > 0 { "," } else { "" });
        for (place, (name, usual, swing)) in CHANNELS.iter().enumerate() {
            let phase = (turn as f64 * 0.7 + pump as f64 * 1.3 + place as f64 * 2.1).sin();
            let _ = write!(body, ",\"{name}\":{:.2}", usual + swing * phase);
        }
        body.push('}');
    }
    body.push(']');
}

/// Reads one answer off the connection; its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await?;
        if read == 0 {
            bail!("the node closed the connection");
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(head) = answer.parse(buffer)? {
            let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = length
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .context("an answer without a length")?;
            let status = answer.code.context("an answer without a status")?;
            if buffer.len() >= head + length {
                return Ok(status);
            }
        }
        if buffer.len() > MAX_ANSWER_BYTES {
            bail!("an answer of more than {MAX_ANSWER_BYTES} bytes");
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
