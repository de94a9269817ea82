//! The clients: posters, readers of the stream, and clients that never finish their requests.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use volute_plant::{Clock, SystemClock};

/// The time after which a post without a response counts as cut off.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The responses to posts.
#[derive(Default)]
pub struct Posted {
    /// The time from when a post was due until its response, for posts that were taken.
    pub latencies: Vec<Duration>,
    /// The statuses of posts that were not taken.
    pub others: Vec<u16>,
}

/// Posts a reading per interval on one connection, the first at `first`. A post that is late delays those after it, and its
/// delay counts as theirs.
pub async fn post_readings(
    address: String,
    token: String,
    pump: String,
    first: Instant,
    interval: Duration,
    time: Duration,
) -> io::Result<Posted> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut posted, mut due) = (Posted::default(), first);
    while due < first + time {
        sleep_until(due).await;
        let now_ms = SystemClock.now().millis();
        let body = format!(
            "{{\"pump_id\":\"{pump}\",\"timestamp\":{now_ms},\"Motor_RPM\":1480.5,\"Bearing_Temperature_C\":62.5,\
             \"Oil_Pressure_bar\":2.1,\"Vibration_mm_s\":2.3,\"Flow_Rate_L_min\":1200.5,\"Motor_Current_A\":42.5}}"
        );
        let request = format!(
            "POST /api/ingest HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{token}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let status = timeout(TIMEOUT, async {
            stream.write_all(request.as_bytes()).await?;
            read_response(&mut stream).await
        });
        match status.await?? {
            200 => posted.latencies.push(due.elapsed()),
            other => posted.others.push(other),
        }
        due += interval;
    }
    Ok(posted)
}

/// Reads a response with its body, and returns its status.
async fn read_response(stream: &mut TcpStream) -> io::Result<u16> {
    let mut response = Vec::new();
    loop {
        if let Some(head) = response.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&response[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if response.len() >= head + 4 + length.unwrap_or(0) {
                let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
                return status.ok_or_else(|| io::Error::other(text));
            }
        }
        if stream.read_buf(&mut response).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads the live stream until `ended`, and returns the number of bytes.
pub async fn read_stream(address: String, cookie: String, ended: Arc<AtomicBool>) -> io::Result<usize> {
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!("GET /api/stream HTTP/1.1\r\nHost: {address}\r\n{cookie}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut chunk) = (0, vec![0; 64 << 10]);
    while !ended.load(Ordering::Relaxed) {
        match timeout(Duration::from_millis(500), stream.read(&mut chunk)).await {
            Ok(read) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if bytes == 0 && !chunk.starts_with(b"HTTP/1.1 200") => {
                    return Err(io::Error::other(String::from_utf8_lossy(&chunk[..300]).into_owned()));
                }
                read => bytes += read,
            },
            Err(_elapsed) => {}
        }
    }
    Ok(bytes)
}

/// Where a request stops.
#[derive(Clone, Copy)]
pub enum Half {
    /// Nothing is sent.
    Silent,
    /// The head is sent byte by byte.
    Head,
    /// The body is sent byte by byte, on a route that needs no login.
    Body,
}

/// Holds a request open until `ended`: sends a byte per second, and connects again when the node closes the connection.
/// Returns the number of connections.
pub async fn hold_open(address: String, half: Half, ended: Arc<AtomicBool>) -> usize {
    let mut connections = 0;
    while !ended.load(Ordering::Relaxed) {
        // While the node accepts no more connections, the kernel lets the client wait.
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(5), TcpStream::connect(&address)).await {
            connections += 1;
            let _closed = send_slowly(stream, &address, half, &ended).await;
        }
        sleep(Duration::from_millis(200)).await;
    }
    connections
}

/// Returns when the node has closed the connection.
async fn send_slowly(mut stream: TcpStream, address: &str, half: Half, ended: &AtomicBool) -> io::Result<()> {
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    );
    if matches!(half, Half::Body) {
        stream.write_all(head.as_bytes()).await?;
    }
    let mut bytes = head.bytes().chain(std::iter::repeat(b' '));
    let mut chunk = [0; 512];
    while !ended.load(Ordering::Relaxed) {
        if !matches!(half, Half::Silent) {
            stream.write_all(&[bytes.next().unwrap_or(b' ')]).await?;
        }
        match timeout(Duration::from_secs(1), stream.read(&mut chunk)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_elapsed) => {}
        }
    }
    Ok(())
}
