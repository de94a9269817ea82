//! A client's connection: the stream that the HTTP dispatcher reads and writes, with the timeouts that actix does not have.
//!
//! actix limits the time for the head of the first request, and how long a connection may be idle between two requests. This
//! module also limits:
//! - A client that does not read. The kernel closes the connection if none of the sent data is acknowledged or accepted for
//!   `write_timeout` (`TCP_USER_TIMEOUT`), and buffers little unsent data (`TCP_NOTSENT_LOWAT`).
//! - A client that sends the head of a later request byte by byte, or a body that no handler reads. For actix this connection
//!   is not idle, although no request is in progress. The next request must begin within `keep_alive`, as on an idle
//!   connection.
//! - More connections of one address than `limits.connections_per_address`. The first request of a further one is refused
//!   (429), and the connection is closed, after at most a second if it sends none.
//! - Connections without a request that keep other clients out. If more than three quarters of the allowed connections are
//!   open, those that have not had a request are closed after [`SHORT_KEEP_ALIVE`]. Those that have had one keep the full time.
//!
//! An example: a client posts, gets its response, sends `POST /` and nothing more. actix stops its keep-alive timer at the
//! first byte. [`Socket::poll_read`] sees that no request has been in progress since the response ended. After `keep_alive` it
//! reports that the client has closed its side, and actix closes the connection.
//!
//! Two aspects of a request's body are also handled here, because only this module sees the bytes on the wire:
//! - A chunk that is too large or malformed ([`Framing`]). The bytes from there on are discarded, and the reader of the body
//!   gets the error.
//! - `100 Continue`, which actix sends to each client that expects it, before the request is examined. It is withheld until
//!   a handler reads the body ([`ConnectionState::allow_continue`]): a request that is refused gets its response without it, and
//!   the client does not send the body. A handler must start to read when it is first polled, as all handlers that read a body
//!   do. Otherwise `100 Continue` is not sent, and the client sends its body after a delay that it chooses (RFC 9110).
//!
//! A connection counts from the moment it is accepted, so that TLS handshakes count too. A handshake may take as long as the
//! head of a request, and no longer than a connection without a request may be idle.
//!
//! Does not handle other properties of a request's body; see `body_budget.rs`.

use std::{
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
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
use tokio_rustls::TlsAcceptor;

use crate::{
    framing::{Framing, FramingError},
    limits::{Concurrent, LimitExceeded, Place, network},
    transport::Transport,
};

/// How long a connection may be without its first request while most of the allowed connections are open.
const SHORT_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a connection that accepts no more requests stays open, so that its client can read the last response.
const LINGER: Duration = Duration::from_secs(1);
/// How often the idle time of a connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// About how many unsent bytes of a connection the kernel buffers. Further writes wait.
const MAX_UNSENT_BYTES: u32 = 128 << 10;

/// What actix writes to a client that expects `100 Continue`.
const CONTINUE_RESPONSE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How many times bytes are read and discarded before the task yields.
const MAX_DISCARD_READS: usize = 16;

/// The limits of all connections of a server, and how many are open.
pub(crate) struct Connections {
    limits: ConnectionLimits,
    /// Accepts TLS connections, if the server has TLS.
    tls: Option<TlsAcceptor>,
    open: AtomicUsize,
    per_address: Concurrent<IpAddr>,
}

/// The limits of all connections of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// The most connections at once.
    pub(crate) max_connections: usize,
    /// The most connections of one address at once.
    pub(crate) per_address: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) write_timeout: Duration,
    /// How long a TLS handshake may take.
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_body_bytes: usize,
}

/// Counts a connection as open.
struct OpenConnection(Arc<Connections>);

/// The state that the requests of a connection share with its [`Socket`].
#[derive(Debug)]
pub(crate) struct ConnectionState {
    in_progress: Cell<usize>,
    /// Whether the connection has had a request.
    had_request: Cell<bool>,
    idle_since: Cell<Instant>,
    /// How many requests were started.
    requests_started: Cell<u64>,
    framing: RefCell<Framing>,
    /// The error in the framing of a body, and the number of its request.
    framing_error: Cell<Option<(u64, FramingError)>>,
    continue_state: Cell<ContinueState>,
    /// The limit that the connection exceeds.
    exceeded: Option<LimitExceeded>,
}

/// Whether the client waits for `100 Continue` before it sends its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContinueState {
    /// It does not wait.
    NotExpected,
    /// It waits, and no handler has read the body.
    Withheld,
    /// A handler reads the body.
    Allowed,
}

/// Marks a request as in progress until its response is sent or dropped.
#[derive(Debug)]
pub(crate) struct RequestInProgress(Rc<ConnectionState>);

/// A connection's stream.
pub(crate) struct Socket {
    io: Transport,
    connection: Rc<ConnectionState>,
    open: OpenConnection,
    check_timer: Pin<Box<Sleep>>,
    /// Its place among those of its address.
    _place: Option<Place<IpAddr>>,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits, tls: Option<TlsAcceptor>) -> Self {
        let (open, per_address) = (AtomicUsize::new(0), Concurrent::new(limits.per_address));
        Self { limits, tls, open, per_address }
    }

    fn exceeded(&self) -> LimitExceeded {
        let (key, what) = ("limits.connections_per_address", "connections from one address");
        LimitExceeded { key, what, value: self.limits.per_address as u64, retry_after_s: 1 }
    }

    /// Returns how long a connection may be without a request in progress.
    fn idle_timeout(&self, had_request: bool) -> Duration {
        let ConnectionLimits { max_connections, keep_alive, .. } = self.limits;
        let open = self.open.load(Ordering::Relaxed);
        if !had_request && open.saturating_mul(4) > max_connections.saturating_mul(3) {
            keep_alive.min(SHORT_KEEP_ALIVE)
        } else {
            keep_alive
        }
    }
}

impl OpenConnection {
    fn new(connections: Arc<Connections>) -> Self {
        connections.open.fetch_add(1, Ordering::Relaxed);
        Self(connections)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionState {
    fn new(max_body_bytes: usize, exceeded: Option<LimitExceeded>) -> Self {
        Self {
            exceeded,
            in_progress: Cell::new(0),
            had_request: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            requests_started: Cell::new(0),
            framing: RefCell::new(Framing::new(max_body_bytes)),
            framing_error: Cell::new(None),
            continue_state: Cell::new(ContinueState::NotExpected),
        }
    }

    /// Records that the client of the next request waits for `100 Continue`.
    pub(crate) fn expect_continue(&self) {
        self.continue_state.set(ContinueState::Withheld);
    }

    /// Records that a handler reads the request's body, so that `100 Continue` is sent.
    pub(crate) fn allow_continue(&self) {
        if self.continue_state.get() == ContinueState::Withheld {
            self.continue_state.set(ContinueState::Allowed);
        }
    }

    /// Returns whether the connection must be closed after this response: the client may still send a body that no handler
    /// reads, or the framing is invalid.
    pub(crate) fn must_close(&self) -> bool {
        let is_open = self.continue_state.get() != ContinueState::Withheld && self.framing_error().is_none();
        !is_open || self.exceeded.is_some()
    }

    /// Returns the limit that the connection exceeds. Its requests are refused, and it is closed.
    pub(crate) fn limit_exceeded(&self) -> Option<LimitExceeded> {
        self.exceeded.clone()
    }

    /// Returns the framing error of the current request's body. It is detected before the task of the request is polled, so no
    /// task needs to be woken for it.
    pub(crate) fn framing_error(&self) -> Option<FramingError> {
        self.framing_error.get().filter(|(request, _)| *request == self.requests_started.get()).map(|(_, error)| error)
    }

    /// Tracks bytes that were read. Returns how many of them are passed to actix.
    fn track(&self, bytes: &[u8]) -> usize {
        let mut framing = self.framing.borrow_mut();
        match framing.track(bytes) {
            Ok(()) => bytes.len(),
            Err((at, error)) => {
                self.framing_error.set(Some((framing.requests(), error)));
                at
            }
        }
    }

    pub(crate) fn begin_request(self: &Rc<Self>) -> RequestInProgress {
        self.in_progress.set(self.in_progress.get() + 1);
        self.requests_started.set(self.requests_started.get() + 1);
        self.had_request.set(true);
        RequestInProgress(Rc::clone(self))
    }

    /// Returns how long no request has been in progress; none while one is.
    fn idle_for(&self) -> Option<Duration> {
        (self.in_progress.get() == 0).then(|| self.idle_since.get().elapsed())
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.in_progress.set(self.0.in_progress.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}

impl Socket {
    /// Makes the stream of an accepted connection, after its TLS handshake if the server has TLS.
    pub(crate) async fn accept(io: TcpStream, connections: Arc<Connections>) -> io::Result<Self> {
        let open = OpenConnection::new(connections);
        let ConnectionLimits { keep_alive, write_timeout, handshake_timeout, max_body_bytes, .. } = open.0.limits;
        let socket = SockRef::from(&io);
        let limits = socket
            .set_tcp_user_timeout(Some(write_timeout))
            .and_then(|()| socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES));
        if let Err(error) = limits {
            tracing::warn!(%error, "a connection whose client does not read cannot be limited");
        }
        let peer = io.peer_addr().ok().map(|peer| network(peer.ip()));
        let place = peer.and_then(|peer| open.0.per_address.take(peer));
        let exceeded = (peer.is_some() && place.is_none()).then(|| open.0.exceeded());
        let limit = handshake_timeout.min(open.0.idle_timeout(false));
        let io = Transport::accept(io, open.0.tls.as_ref(), limit).await?;
        let check_timer = Box::pin(sleep(CHECK_INTERVAL.min(keep_alive)));
        let connection = Rc::new(ConnectionState::new(max_body_bytes, exceeded));
        Ok(Self { io, connection, open, check_timer, _place: place })
    }

    pub(crate) fn connection(&self) -> Rc<ConnectionState> {
        Rc::clone(&self.connection)
    }

    /// Returns whether the client has been idle for too long. If not, the task is woken when it is time to check again.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let idle_timeout = self.open.0.idle_timeout(self.connection.had_request.get());
        let timeout = if self.connection.must_close() { idle_timeout.min(LINGER) } else { idle_timeout };
        let deadline = tokio::time::Instant::now() + timeout;
        if timeout < CHECK_INTERVAL && self.check_timer.deadline() > deadline {
            self.check_timer.as_mut().reset(deadline);
        }
        while self.check_timer.as_mut().poll(cx).is_ready() {
            if self.connection.idle_for().is_some_and(|idle| idle >= timeout) {
                return true;
            }
            self.check_timer.as_mut().reset(tokio::time::Instant::now() + CHECK_INTERVAL.min(timeout));
        }
        false
    }
}

impl Socket {
    /// Reads and discards bytes. Ends when the client closes its side or the connection expires.
    fn poll_discard(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        for _ in 0..MAX_DISCARD_READS {
            let filled = buffer.filled().len();
            let ended = match Pin::new(&mut self.io).poll_read(cx, buffer)? {
                Poll::Ready(()) => buffer.filled().len() == filled,
                Poll::Pending if self.poll_expired(cx) => true,
                Poll::Pending => return Poll::Pending,
            };
            buffer.set_filled(filled);
            if ended {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.connection.framing_error.get().is_some() {
            return self.poll_discard(cx, buffer);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buffer)? {
            Poll::Ready(()) => {
                let read = buffer.filled().len() - before;
                let accepted = self.connection.track(&buffer.filled()[before..]);
                buffer.set_filled(before + accepted);
                // Zero bytes would mean that the client has closed its side.
                if read > 0 && accepted == 0 { self.poll_discard(cx, buffer) } else { Poll::Ready(Ok(())) }
            }
            Poll::Pending if self.poll_expired(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.continue_state.get() == ContinueState::Withheld
            && let Some(rest) = bytes.strip_prefix(CONTINUE_RESPONSE)
        {
            // No handler has read the body: `100 Continue` is withheld.
            if rest.is_empty() {
                return Poll::Ready(Ok(bytes.len()));
            }
            let written = Pin::new(&mut self.io).poll_write(cx, rest)?;
            return written.map(|written| Ok(CONTINUE_RESPONSE.len() + written));
        }
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
    fn connections_without_a_request_are_closed_early_when_most_are_open() {
        let long = Duration::from_secs(75);
        for (open, max_connections, keep_alive, timeout) in [
            (0, 4, long, long),
            (3, 4, long, long),
            (4, 4, long, SHORT_KEEP_ALIVE),
            (301, 400, long, SHORT_KEEP_ALIVE),
            (300, 400, long, long),
            (4, 4, Duration::from_secs(1), Duration::from_secs(1)),
        ] {
            let limits = ConnectionLimits {
                max_connections,
                per_address: max_connections,
                keep_alive,
                write_timeout: Duration::from_secs(30),
                handshake_timeout: Duration::from_secs(10),
                max_body_bytes: 0,
            };
            let connections = Connections::new(limits, None);
            connections.open.store(open, Ordering::Relaxed);
            assert_eq!(connections.idle_timeout(false), timeout, "{open} of {max_connections}");
            assert_eq!(connections.idle_timeout(true), keep_alive, "{open} of {max_connections}");
        }
    }

    #[test]
    fn a_connection_with_a_request_in_progress_is_not_idle() {
        let connection = Rc::new(ConnectionState::new(0, None));
        assert!(connection.idle_for().is_some());
        let (one, two) = (connection.begin_request(), connection.begin_request());
        drop(one);
        assert_eq!(connection.idle_for(), None);
        drop(two);
        assert!(connection.idle_for().is_some());
    }
}
