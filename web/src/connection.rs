//! A client's connection: the stream that the HTTP dispatcher reads and writes, ended where the client takes too long.
//!
//! actix limits how long the first request's head may take and how long a connection may be idle between two requests.
//! What it leaves open is limited here:
//! - A client that does not read. The kernel ends the connection when nothing of what was sent has been acknowledged, or
//!   taken, for `write_timeout` (`TCP_USER_TIMEOUT`), and holds little that is not sent yet (`TCP_NOTSENT_LOWAT`).
//! - A client that sends the head of a later request byte by byte, or a body that nobody reads, and so is neither idle nor
//!   asking for anything. Its next request has to begin within `keep_alive`, as an idle one's has.
//! - Connections that say nothing and keep others out. Where more than three quarters of the places are taken, those that
//!   have asked for nothing yet are closed after [`SHORT_KEEP_ALIVE`]. Who has asked before keeps the full time.
//!
//! An example: a client posts, is answered, and sends `POST /` and nothing more. actix stops its keep-alive timer at the
//! first byte. [`Socket::poll_read`] finds no request in progress since the answer ended, and after `keep_alive` says that
//! the client has closed its side, which makes actix close the connection.
//!
//! Does not handle a request's body; see `body_budget.rs`.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long a connection may be without its first request where places are short.
const SHORT_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How often a connection is looked at.
const CHECK: Duration = Duration::from_secs(5);
/// What the kernel holds of an answer that it has not sent yet, about.
const UNSENT_BYTES: u32 = 128 << 10;

/// All connections of a server, and their limits.
#[derive(Debug)]
pub(crate) struct Connections {
    keep_alive: Duration,
    write_timeout: Duration,
    limit: usize,
    open: AtomicUsize,
}

/// What a request in progress and its connection's [`Socket`] know of each other.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: Cell<usize>,
    /// It has had a request.
    asked: Cell<bool>,
    idle_since: Cell<Instant>,
}

/// A request in progress, until its answer is sent or given up.
#[derive(Debug)]
pub(crate) struct InProgress(Rc<Connection>);

/// A connection's stream.
pub(crate) struct Socket {
    io: TcpStream,
    connection: Rc<Connection>,
    connections: Arc<Connections>,
    check: Pin<Box<Sleep>>,
}

impl Connections {
    pub(crate) fn new(limit: usize, keep_alive: Duration, write_timeout: Duration) -> Self {
        Self { keep_alive, write_timeout, limit, open: AtomicUsize::new(0) }
    }

    /// How long a connection may be without a request in progress, whether or not it has had one.
    fn most_idle(&self, asked: bool) -> Duration {
        let open = self.open.load(Ordering::Relaxed);
        if !asked && open.saturating_mul(4) > self.limit.saturating_mul(3) {
            self.keep_alive.min(SHORT_KEEP_ALIVE)
        } else {
            self.keep_alive
        }
    }
}

impl Connection {
    fn new() -> Self {
        Self { requests: Cell::new(0), asked: Cell::new(false), idle_since: Cell::new(Instant::now()) }
    }

    pub(crate) fn begin(self: &Rc<Self>) -> InProgress {
        self.requests.set(self.requests.get() + 1);
        self.asked.set(true);
        InProgress(Rc::clone(self))
    }

    /// How long there has been no request in progress; none where there is one.
    fn idle_for(&self) -> Option<Duration> {
        (self.requests.get() == 0).then(|| self.idle_since.get().elapsed())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}

impl Socket {
    pub(crate) fn new(io: TcpStream, connections: Arc<Connections>) -> Self {
        let socket = SockRef::from(&io);
        let limits = socket
            .set_tcp_user_timeout(Some(connections.write_timeout))
            .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_BYTES));
        if let Err(error) = limits {
            tracing::warn!(%error, "a connection whose client does not read cannot be limited");
        }
        connections.open.fetch_add(1, Ordering::Relaxed);
        let check = Box::pin(sleep(CHECK.min(connections.keep_alive)));
        Self { io, connection: Rc::new(Connection::new()), connections, check }
    }

    pub(crate) fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Whether the client has been idle for too long. Where not, the task is woken when that may be.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        while self.check.as_mut().poll(cx).is_ready() {
            let most = self.connections.most_idle(self.connection.asked.get());
            if self.connection.idle_for().is_some_and(|idle| idle >= most) {
                return true;
            }
            self.check.as_mut().reset(tokio::time::Instant::now() + CHECK.min(most));
        }
        false
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        // Nothing read is the end of what the client sends.
        if read.is_pending() && self.poll_expired(cx) { Poll::Ready(Ok(())) } else { read }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_places_are_short_those_that_ask_for_nothing_make_room() {
        let (long, write) = (Duration::from_secs(75), Duration::from_secs(30));
        for (open, limit, keep_alive, most) in [
            (0, 4, long, long),
            (3, 4, long, long),
            (4, 4, long, SHORT_KEEP_ALIVE),
            (301, 400, long, SHORT_KEEP_ALIVE),
            (300, 400, long, long),
            (4, 4, Duration::from_secs(1), Duration::from_secs(1)),
        ] {
            let connections = Connections::new(limit, keep_alive, write);
            connections.open.store(open, Ordering::Relaxed);
            assert_eq!(connections.most_idle(false), most, "{open} of {limit}");
            assert_eq!(connections.most_idle(true), keep_alive, "{open} of {limit}");
        }
    }

    #[test]
    fn a_connection_with_a_request_in_progress_is_not_idle() {
        let connection = Rc::new(Connection::new());
        assert!(connection.idle_for().is_some());
        let (one, two) = (connection.begin(), connection.begin());
        drop(one);
        assert_eq!(connection.idle_for(), None);
        drop(two);
        assert!(connection.idle_for().is_some());
    }
}
