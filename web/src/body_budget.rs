//! The bodies of requests: read at a least pace, within a limit for each and a budget for all.
//!
//! A body takes its room from the budget as its bytes arrive, so that nobody holds room by what a header says. Parsed, a
//! body is a multiple of its bytes, so its room is given back with the answer.
//!
//! An example, with 1,024 bytes a second: a client says `Content-Length: 4000000` and sends 2,000 bytes. It holds 2 KiB. In
//! the first 10 s it would have had to send 10,240 bytes or all there is; it is answered 408, and the room is free.
//!
//! What the connection has found wrong with a chunked body (`framing.rs`) is answered as soon as it is found.
//!
//! A body in gzip is taken out as it arrives, some KiB at a time, and what comes out has the same limit and takes the same
//! room: a small body that becomes gigabytes is refused when it is past the limit.

use std::{
    future::poll_fn,
    io::{self, Write},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web::{self, Bytes, BytesMut},
};
use flate2::write::MultiGzDecoder;
use futures::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout_at,
};
use volute_actors::{Queue, Refusal};

use crate::{connection::Connection, framing::Trouble, problem::ApiError};

/// How long a body may take, however fast it comes.
const LONGEST: Duration = Duration::from_secs(60);
/// No more than this is made ready for a body before it comes.
const AHEAD_BYTES: usize = 64 << 10;

/// How much room there is for bodies, and how fast they have to come.
pub(crate) struct BodyBudget {
    room: Arc<Semaphore>,
    limit_bytes: usize,
    window: Duration,
    bytes_per_window: u64,
    stopping: watch::Receiver<bool>,
}

/// A body, and its room.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// How a body is coded on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
}

/// Where a body's bytes go; it takes room for them.
struct Sink<'a> {
    budget: &'a BodyBudget,
    bytes: BytesMut,
    room: Option<OwnedSemaphorePermit>,
    /// Why it takes no more.
    refused: Option<ApiError>,
}

/// What takes a body's bytes as they are on the wire.
enum Inlet<'a> {
    Plain(Sink<'a>),
    Gzip(Box<MultiGzDecoder<Sink<'a>>>),
}

/// How fast a body has to come: in every window so many bytes.
#[derive(Debug)]
struct Pace {
    window: Duration,
    least: u64,
    window_ends: Instant,
    in_window: u64,
    ends: Instant,
}

impl BodyBudget {
    /// Room for `room_bytes` in whole KiB. A body has at most `limit_bytes`, and has to come with `bytes_per_s` in every
    /// `window`.
    pub(crate) fn new(
        (room_bytes, limit_bytes): (usize, usize),
        (window, bytes_per_s): (Duration, u64),
        stopping: watch::Receiver<bool>,
    ) -> Self {
        // One body always fits where there is no other.
        let kib = (room_bytes >> 10).max((limit_bytes >> 10) + 1).min(Semaphore::MAX_PERMITS);
        let bytes_per_window = bytes_per_s.saturating_mul(window.as_secs());
        Self { room: Arc::new(Semaphore::new(kib)), limit_bytes, window, bytes_per_window, stopping }
    }

    /// All of a body.
    pub(crate) async fn read(&self, request: &HttpRequest, mut payload: web::Payload) -> Result<Body, ApiError> {
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: usize| bytes > self.limit_bytes) {
            return Err(self.too_large());
        }
        let mut stopping = self.stopping.clone();
        let mut pace = Pace::new(Instant::now(), self.window, self.bytes_per_window);
        let mut inlet = Inlet::new(self, Coding::of(request)?, announced.unwrap_or_default());
        let connection = request.conn_data::<Rc<Connection>>();
        connection.inspect(|connection| connection.invite());
        let trouble = || connection.and_then(|connection| connection.trouble());
        loop {
            let chunk = tokio::select! {
                biased;
                trouble = poll_fn(|_| trouble().map_or(Poll::Pending, Poll::Ready)) => return Err(self.refused(trouble)),
                chunk = timeout_at(pace.deadline().into(), payload.next()) => chunk,
                _ = stopping.wait_for(|stopping| *stopping) => return Err(Refusal::Stopping.into()),
            };
            let Some(chunk) = chunk.map_err(|_| self.too_slow())? else { break };
            let chunk = chunk.map_err(|error| ApiError::Body(error.to_string()))?;
            inlet.take(&chunk)?;
            pace.note(Instant::now(), chunk.len());
        }
        let Sink { bytes, room, .. } = inlet.end()?;
        Ok(Body { bytes: bytes.freeze(), _room: room })
    }

    /// Takes more room, if `bytes` need it.
    fn grow(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from((bytes >> 10) + 1)
            .unwrap_or(u32::MAX)
            .saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.room).try_acquire_many_owned(missing);
        let more = more.map_err(|_| Refusal::Busy { queue: Queue::Bodies, retry_after_s: 1 })?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }

    fn too_large(&self) -> ApiError {
        ApiError::TooLarge { limit_bytes: self.limit_bytes }
    }

    fn refused(&self, trouble: Trouble) -> ApiError {
        match trouble {
            Trouble::TooLarge => self.too_large(),
            Trouble::Broken => {
                ApiError::Body("a chunk's size is no hexadecimal number, or it does not end where it should".into())
            }
        }
    }

    fn too_slow(&self) -> ApiError {
        ApiError::SlowBody { bytes: self.bytes_per_window, window_s: self.window.as_secs(), limit_s: LONGEST.as_secs() }
    }
}

impl Coding {
    /// As the headers say.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(sent) = request.headers().get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let sent = String::from_utf8_lossy(sent.as_bytes()).into_owned();
        match sent.trim().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            _ => Err(ApiError::ContentEncoding { sent }),
        }
    }
}

impl<'a> Inlet<'a> {
    fn new(budget: &'a BodyBudget, coding: Coding, announced: usize) -> Self {
        let bytes = BytesMut::with_capacity(announced.min(AHEAD_BYTES));
        let sink = Sink { budget, bytes, room: None, refused: None };
        match coding {
            Coding::Identity => Self::Plain(sink),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        match self {
            Self::Plain(sink) => sink.take(chunk),
            Self::Gzip(decoder) => {
                let taken = decoder.write_all(chunk);
                taken.map_err(|error| refusal(decoder.get_mut().refused.take(), &error))
            }
        }
    }

    fn end(self) -> Result<Sink<'a>, ApiError> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|error| refusal(decoder.get_mut().refused.take(), &error))?;
                decoder.finish().map_err(|error| refusal(None, &error))
            }
        }
    }
}

/// Why a body in gzip is not taken: no room, or it is none.
fn refusal(refused: Option<ApiError>, error: &io::Error) -> ApiError {
    refused.unwrap_or_else(|| ApiError::Body(format!("it is no whole gzip: {error}")))
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let wanted = self.bytes.len() + bytes.len();
        if wanted > self.budget.limit_bytes {
            return Err(self.budget.too_large());
        }
        self.budget.grow(&mut self.room, wanted)?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(refused) => {
                self.refused = Some(refused);
                Err(io::Error::other("refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pace {
    fn new(now: Instant, window: Duration, least: u64) -> Self {
        Self { window, least, window_ends: now + window, in_window: 0, ends: now + LONGEST }
    }

    /// When the body is too slow, if nothing more comes.
    fn deadline(&self) -> Instant {
        self.window_ends.min(self.ends)
    }

    /// Notes bytes that came. With enough of them the next window begins.
    fn note(&mut self, now: Instant, bytes: usize) {
        self.in_window = self.in_window.saturating_add(bytes as u64);
        if self.in_window >= self.least {
            (self.in_window, self.window_ends) = (0, now + self.window);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8 << 10;

    fn budget(room_bytes: usize) -> BodyBudget {
        BodyBudget::new((room_bytes, LIMIT), (Duration::from_secs(10), 1024), watch::Sender::new(false).subscribe())
    }

    fn is_full(outcome: &Result<(), ApiError>) -> bool {
        matches!(outcome, Err(ApiError::Refused(Refusal::Busy { queue: Queue::Bodies, .. })))
    }

    #[test]
    fn room_is_taken_as_bytes_come_and_given_back() {
        let budget = budget(10 << 10);
        let (mut one, mut two) = (None, None);
        // Ten that have sent little hold little, whatever their headers say.
        let mut small: [Option<OwnedSemaphorePermit>; 10] = Default::default();
        for room in &mut small {
            budget.grow(room, 300).expect("room");
            budget.grow(room, 1000).expect("the same");
        }
        assert!(is_full(&budget.grow(&mut one, 1)));
        drop(small);
        budget.grow(&mut one, 5 << 10).expect("room");
        budget.grow(&mut two, 2 << 10).expect("room");
        assert!(is_full(&budget.grow(&mut two, 4 << 10)));
        drop(one);
        budget.grow(&mut two, 8 << 10).expect("all of it");
        assert_eq!(budget.room.available_permits(), 1);
    }

    #[test]
    fn one_body_always_fits_where_there_is_no_other() {
        let budget = budget(1 << 10);
        budget.grow(&mut None, LIMIT).expect("room");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    /// What comes out of `coded`, sent in pieces of `piece` bytes, and the KiB of room it takes.
    fn sent(budget: &BodyBudget, coded: &[u8], piece: usize) -> Result<(Vec<u8>, usize), ApiError> {
        let mut inlet = Inlet::new(budget, Coding::Gzip, coded.len());
        for chunk in coded.chunks(piece) {
            inlet.take(chunk)?;
        }
        let sink = inlet.end()?;
        Ok((sink.bytes.to_vec(), sink.room.map_or(0, |room| room.num_permits())))
    }

    #[test]
    fn gzip_is_taken_out_within_the_limit_and_the_budget() {
        let budget = budget(10 << 10);
        let text = b"{\"Tb\": 61.5}\n".repeat(500);
        for piece in [1, 7, 1000, 1 << 20] {
            let (bytes, kib) = sent(&budget, &gzip(&text), piece).expect("it is whole");
            assert_eq!((bytes == text, kib), (true, (text.len() >> 10) + 1));
        }
        let two = [gzip(b"[1,"), gzip(b"2]")].concat();
        assert_eq!(sent(&budget, &two, 5).expect("two members").0, b"[1,2]");
        assert!(matches!(sent(&budget, &gzip(&vec![0; LIMIT]), 100), Ok((bytes, _)) if bytes.len() == LIMIT));
        // 64 MiB of nothing are 64 KiB on the wire.
        let bomb = gzip(&vec![0; 64 << 20]);
        for piece in [100, bomb.len()] {
            assert!(matches!(sent(&budget, &bomb, piece), Err(ApiError::TooLarge { limit_bytes: LIMIT })));
        }
        let mut other = None;
        budget.grow(&mut other, 7 << 10).expect("room");
        let full = sent(&budget, &gzip(&vec![0; LIMIT]), 100).map(drop);
        assert!(is_full(&full), "{full:?}");
        drop(other);
        assert_eq!(budget.room.available_permits(), 10, "all room is free again");
    }

    #[test]
    fn what_is_no_whole_gzip_is_refused() {
        let budget = budget(10 << 10);
        let whole = gzip(b"{\"Tb\": 61.5}");
        let mut flipped = whole.clone();
        let last = flipped.len() - 5;
        flipped[last] ^= 1;
        for bad in
            [&whole[..whole.len() - 1], &whole[..5], b"", b"{\"Tb\": 61.5}", &flipped, &[&whole[..], b"{}"].concat()]
        {
            let refused = sent(&budget, bad, 4);
            assert!(matches!(refused, Err(ApiError::Body(_))), "{bad:?}: {refused:?}");
        }
    }

    #[test]
    fn a_body_has_to_come_at_a_pace_and_has_an_end() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut pace = Pace::new(start, Duration::from_secs(10), 10_000);
        pace.note(at(2), 9_999);
        assert_eq!(pace.deadline(), at(10), "not enough for the first window");
        pace.note(at(9), 1);
        assert_eq!(pace.deadline(), at(19));
        pace.note(at(10), 4_000_000);
        assert_eq!(pace.deadline(), at(20), "much at once buys no time");
        pace.note(at(55), 10_000);
        assert_eq!(pace.deadline(), at(60), "and there is an end");
    }
}
