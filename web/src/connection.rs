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
//! Two things about a request's body are seen or done here, for only here are the bytes of the wire:
//! - A chunk that is too large, or none ([`Framing`]). Nothing from there on is passed on, and whoever reads the body is told.
//! - `100 Continue`, which actix sends to everybody who expects it, before the request is looked at. It is held back until
//!   somebody reads the body ([`Connection::invite`]): a request that is refused is answered without it, and its body is
//!   never sent. A handler has to do that when it is first polled, as all do that read a body; otherwise `100 Continue` is
//!   not sent, and the client sends its body after a while by itself, as RFC 9110 asks of it.
//!
//! Does not handle the rest of a request's body; see `body_budget.rs`.

use std::{
    cell::{Cell, RefCell},
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

use crate::framing::{Framing, Trouble};

/// How long a connection may be without its first request where places are short.
const SHORT_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a connection that takes no more requests is kept, for its client to read the last answer.
const SPENT: Duration = Duration::from_secs(1);
/// How often a connection is looked at.
const CHECK: Duration = Duration::from_secs(5);
/// What the kernel holds of an answer that it has not sent yet, about.
const UNSENT_BYTES: u32 = 128 << 10;

/// What actix writes to who expects to be asked for the body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How much of what is not passed on is read at a time.
const DISCARD_READS: usize = 16;

/// All connections of a server, and their limits.
#[derive(Debug)]
pub(crate) struct Connections {
    keep_alive: Duration,
    write_timeout: Duration,
    limit: usize,
    max_body_bytes: usize,
    open: AtomicUsize,
}

/// What a request in progress and its connection's [`Socket`] know of each other.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: Cell<usize>,
    /// It has had a request.
    asked: Cell<bool>,
    idle_since: Cell<Instant>,
    /// How many requests have begun to be answered.
    begun: Cell<u64>,
    framing: RefCell<Framing>,
    /// What cannot be taken of the body of a request, and of which one.
    trouble: Cell<Option<(u64, Trouble)>>,
    body: Cell<Expected>,
}

/// Whether a client waits to be asked for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It sends it unasked.
    Unasked,
    /// It waits; nobody has read the body.
    Waiting,
    /// Somebody reads it.
    Invited,
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
    pub(crate) fn new(limit: usize, keep_alive: Duration, write_timeout: Duration, max_body_bytes: usize) -> Self {
        Self { keep_alive, write_timeout, limit, max_body_bytes, open: AtomicUsize::new(0) }
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
    fn new(max_body_bytes: usize) -> Self {
        Self {
            requests: Cell::new(0),
            asked: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            begun: Cell::new(0),
            framing: RefCell::new(Framing::new(max_body_bytes)),
            trouble: Cell::new(None),
            body: Cell::new(Expected::Unasked),
        }
    }

    /// The next request's client waits to be asked for its body.
    pub(crate) fn expect(&self) {
        self.body.set(Expected::Waiting);
    }

    /// Somebody reads the request's body.
    pub(crate) fn invite(&self) {
        if self.body.get() == Expected::Waiting {
            self.body.set(Expected::Invited);
        }
    }

    /// Whether what follows on the connection may be a body that nobody has asked for, or is none that can be read.
    pub(crate) fn is_spent(&self) -> bool {
        self.body.get() == Expected::Waiting || self.trouble().is_some()
    }

    /// What cannot be taken of the body of the request that is being answered. It is found before the task that answers is
    /// polled, so nobody has to be woken for it.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.get().filter(|(request, _)| *request == self.begun.get()).map(|(_, trouble)| trouble)
    }

    /// Follows bytes that were read: how many of them are passed on.
    fn follow(&self, bytes: &[u8]) -> usize {
        let mut framing = self.framing.borrow_mut();
        match framing.follow(bytes) {
            Ok(()) => bytes.len(),
            Err((at, trouble)) => {
                self.trouble.set(Some((framing.requests(), trouble)));
                at
            }
        }
    }

    pub(crate) fn begin(self: &Rc<Self>) -> InProgress {
        self.requests.set(self.requests.get() + 1);
        self.begun.set(self.begun.get() + 1);
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
        let connection = Rc::new(Connection::new(connections.max_body_bytes));
        Self { io, connection, connections, check }
    }

    pub(crate) fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Whether the client has been idle for too long. Where not, the task is woken when that may be.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let most_idle = self.connections.most_idle(self.connection.asked.get());
        let most = if self.connection.is_spent() { most_idle.min(SPENT) } else { most_idle };
        let soon = tokio::time::Instant::now() + most;
        if most < CHECK && self.check.deadline() > soon {
            self.check.as_mut().reset(soon);
        }
        while self.check.as_mut().poll(cx).is_ready() {
            if self.connection.idle_for().is_some_and(|idle| idle >= most) {
                return true;
            }
            self.check.as_mut().reset(tokio::time::Instant::now() + CHECK.min(most));
        }
        false
    }
}

impl Socket {
    /// Reads what is not passed on to anybody. Ends where nobody is answered any more.
    fn poll_discard(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        for _ in 0..DISCARD_READS {
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

impl Drop for Socket {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.connection.trouble.get().is_some() {
            return self.poll_discard(cx, buffer);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buffer)? {
            Poll::Ready(()) => {
                let read = buffer.filled().len() - before;
                let passed = self.connection.follow(&buffer.filled()[before..]);
                buffer.set_filled(before + passed);
                // Nothing read would be the end of what the client sends.
                if read > 0 && passed == 0 { self.poll_discard(cx, buffer) } else { Poll::Ready(Ok(())) }
            }
            Poll::Pending if self.poll_expired(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.body.get() == Expected::Waiting
            && let Some(rest) = bytes.strip_prefix(CONTINUE)
        {
            // Nobody has read the body: the client is not asked for it.
            if rest.is_empty() {
                return Poll::Ready(Ok(bytes.len()));
            }
            let written = Pin::new(&mut self.io).poll_write(cx, rest)?;
            return written.map(|written| Ok(CONTINUE.len() + written));
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
            let connections = Connections::new(limit, keep_alive, write, 0);
            connections.open.store(open, Ordering::Relaxed);
            assert_eq!(connections.most_idle(false), most, "{open} of {limit}");
            assert_eq!(connections.most_idle(true), keep_alive, "{open} of {limit}");
        }
    }

    #[test]
    fn a_connection_with_a_request_in_progress_is_not_idle() {
        let connection = Rc::new(Connection::new(0));
        assert!(connection.idle_for().is_some());
        let (one, two) = (connection.begin(), connection.begin());
        drop(one);
        assert_eq!(connection.idle_for(), None);
        drop(two);
        assert!(connection.idle_for().is_some());
    }
}
