//! Reads the bodies of requests: at a minimum rate, within a limit for each body and a memory budget for all of them.
//!
//! A body reserves memory from the budget as its bytes arrive, so a client cannot reserve memory by its headers alone. A parsed
//! body takes a multiple of its bytes, so the reservation is held until the response is made.
//!
//! An example, with a minimum rate of 1,024 bytes/s and a window of 10 s: a client sends `Content-Length: 4000000` and 2,000
//! bytes. It reserves 2 KiB. In the first 10 s it must send 10,240 bytes or the complete body; as it does not, it gets a 408
//! and the 2 KiB are released.
//!
//! An error in the framing of a chunked body, which the connection detects (`framing.rs`), is returned as soon as it is
//! detected.
//!
//! A gzip body is decompressed as it arrives, a few KiB at a time. The limit and the budget apply to the decompressed bytes: a
//! small body that expands to gigabytes is refused as soon as it exceeds the limit.

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
use volute_actors::{IngestError, Queue};

use crate::{connection::ConnectionState, framing::FramingError, problem::ApiError};

/// The maximum time for a body, whatever its rate.
const MAX_BODY_DURATION: Duration = Duration::from_secs(60);
/// The most memory that is allocated for a body before it arrives.
const MAX_PREALLOCATED_BYTES: usize = 64 << 10;

/// The memory budget of all bodies, the limit of one body, and the minimum rate.
pub(crate) struct BodyBudget {
    free_kib: Arc<Semaphore>,
    limit_bytes: usize,
    window: Duration,
    bytes_per_window: u64,
    stopping: watch::Receiver<bool>,
}

/// A body and its reservation from the budget.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The `Content-Encoding` of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Identity,
    Gzip,
}

/// Collects a body's bytes and reserves memory for them.
struct BudgetedBuffer<'a> {
    budget: &'a BodyBudget,
    bytes: BytesMut,
    permit: Option<OwnedSemaphorePermit>,
    /// The error of the last write. `Write` can only return an I/O error.
    error: Option<ApiError>,
}

/// Decodes a body's bytes as they arrive.
enum BodyDecoder<'a> {
    Plain(BudgetedBuffer<'a>),
    Gzip(Box<MultiGzDecoder<BudgetedBuffer<'a>>>),
}

/// The deadline of a body that must arrive with at least `min_bytes` per window.
#[derive(Debug)]
struct RateDeadline {
    window: Duration,
    min_bytes: u64,
    window_ends: Instant,
    bytes_in_window: u64,
    body_ends: Instant,
}

impl BodyBudget {
    /// Creates a budget of `budget_bytes`, counted in whole KiB. A body may have at most `limit_bytes`, and must arrive with at
    /// least `bytes_per_s`, measured over each `window`.
    pub(crate) fn new(
        (budget_bytes, limit_bytes): (usize, usize),
        (window, bytes_per_s): (Duration, u64),
        stopping: watch::Receiver<bool>,
    ) -> Self {
        // A single body always fits.
        let kib = (budget_bytes >> 10).max((limit_bytes >> 10) + 1).min(Semaphore::MAX_PERMITS);
        let bytes_per_window = bytes_per_s.saturating_mul(window.as_secs());
        Self { free_kib: Arc::new(Semaphore::new(kib)), limit_bytes, window, bytes_per_window, stopping }
    }

    /// Reads a complete body.
    pub(crate) async fn read(&self, request: &HttpRequest, mut payload: web::Payload) -> Result<Body, ApiError> {
        let content_length =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if content_length.is_some_and(|bytes: usize| bytes > self.limit_bytes) {
            return Err(self.too_large());
        }
        let mut stopping = self.stopping.clone();
        let mut rate = RateDeadline::new(Instant::now(), self.window, self.bytes_per_window);
        let mut decoder = BodyDecoder::new(self, ContentCoding::of(request)?, content_length.unwrap_or_default());
        let connection = request.conn_data::<Rc<ConnectionState>>();
        connection.inspect(|connection| connection.allow_continue());
        let framing_error = || connection.and_then(|connection| connection.framing_error());
        loop {
            let chunk = tokio::select! {
                biased;
                error = poll_fn(|_| framing_error().map_or(Poll::Pending, Poll::Ready)) => return Err(self.framing_error(error)),
                chunk = timeout_at(rate.deadline().into(), payload.next()) => chunk,
                _ = stopping.wait_for(|stopping| *stopping) => return Err(IngestError::Stopping.into()),
            };
            let Some(chunk) = chunk.map_err(|_| self.too_slow())? else { break };
            let chunk = chunk.map_err(|error| ApiError::UnreadableBody(error.to_string()))?;
            decoder.take(&chunk)?;
            rate.record(Instant::now(), chunk.len());
        }
        let BudgetedBuffer { bytes, permit, .. } = decoder.finish()?;
        Ok(Body { bytes: bytes.freeze(), _permit: permit })
    }

    /// Extends the reservation to `bytes` if it is smaller.
    fn reserve(&self, permit: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
        let held_kib = permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing_kib = u32::try_from((bytes >> 10) + 1)
            .unwrap_or(u32::MAX)
            .saturating_sub(u32::try_from(held_kib).unwrap_or(u32::MAX));
        if missing_kib == 0 {
            return Ok(());
        }
        let added = Arc::clone(&self.free_kib).try_acquire_many_owned(missing_kib);
        let added = added.map_err(|_| IngestError::Busy { queue: Queue::Bodies, retry_after_s: 1 })?;
        match permit {
            Some(permit) => permit.merge(added),
            None => *permit = Some(added),
        }
        Ok(())
    }

    fn too_large(&self) -> ApiError {
        ApiError::BodyTooLarge { limit_bytes: self.limit_bytes }
    }

    fn framing_error(&self, error: FramingError) -> ApiError {
        match error {
            FramingError::TooLarge => self.too_large(),
            FramingError::Malformed => ApiError::UnreadableBody(
                "a chunk's size is not a hexadecimal number, or a chunk is longer or shorter than its size".into(),
            ),
        }
    }

    fn too_slow(&self) -> ApiError {
        ApiError::SlowBody {
            bytes: self.bytes_per_window,
            window_s: self.window.as_secs(),
            limit_s: MAX_BODY_DURATION.as_secs(),
        }
    }
}

impl ContentCoding {
    /// Returns the coding that the headers name.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(sent) = request.headers().get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let sent = String::from_utf8_lossy(sent.as_bytes()).into_owned();
        match sent.trim().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            _ => Err(ApiError::UnsupportedEncoding { sent }),
        }
    }
}

impl<'a> BodyDecoder<'a> {
    fn new(budget: &'a BodyBudget, coding: ContentCoding, content_length: usize) -> Self {
        let bytes = BytesMut::with_capacity(content_length.min(MAX_PREALLOCATED_BYTES));
        let buffer = BudgetedBuffer { budget, bytes, permit: None, error: None };
        match coding {
            ContentCoding::Identity => Self::Plain(buffer),
            ContentCoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(buffer))),
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        match self {
            Self::Plain(buffer) => buffer.take(chunk),
            Self::Gzip(decoder) => {
                let written = decoder.write_all(chunk);
                written.map_err(|error| decode_error(decoder.get_mut().error.take(), &error))
            }
        }
    }

    fn finish(self) -> Result<BudgetedBuffer<'a>, ApiError> {
        match self {
            Self::Plain(buffer) => Ok(buffer),
            Self::Gzip(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|error| decode_error(decoder.get_mut().error.take(), &error))?;
                decoder.finish().map_err(|error| decode_error(None, &error))
            }
        }
    }
}

/// Returns why a gzip body is refused: the error of the buffer, else that it is not valid gzip.
fn decode_error(buffer_error: Option<ApiError>, error: &io::Error) -> ApiError {
    buffer_error.unwrap_or_else(|| ApiError::UnreadableBody(format!("it is not complete gzip: {error}")))
}

impl BudgetedBuffer<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let total = self.bytes.len() + bytes.len();
        if total > self.budget.limit_bytes {
            return Err(self.budget.too_large());
        }
        self.budget.reserve(&mut self.permit, total)?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Write for BudgetedBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::Error::other("refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RateDeadline {
    fn new(now: Instant, window: Duration, min_bytes: u64) -> Self {
        Self { window, min_bytes, window_ends: now + window, bytes_in_window: 0, body_ends: now + MAX_BODY_DURATION }
    }

    /// Returns the time at which the body is refused as too slow if no more bytes arrive.
    fn deadline(&self) -> Instant {
        self.window_ends.min(self.body_ends)
    }

    /// Records bytes that arrived. Once the window has `min_bytes`, the next window begins.
    fn record(&mut self, now: Instant, bytes: usize) {
        self.bytes_in_window = self.bytes_in_window.saturating_add(bytes as u64);
        if self.bytes_in_window >= self.min_bytes {
            (self.bytes_in_window, self.window_ends) = (0, now + self.window);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8 << 10;

    fn budget(budget_bytes: usize) -> BodyBudget {
        BodyBudget::new((budget_bytes, LIMIT), (Duration::from_secs(10), 1024), watch::Sender::new(false).subscribe())
    }

    fn is_full(outcome: &Result<(), ApiError>) -> bool {
        matches!(outcome, Err(ApiError::Ingest(IngestError::Busy { queue: Queue::Bodies, .. })))
    }

    #[test]
    fn memory_is_reserved_as_bytes_arrive_and_released() {
        let budget = budget(10 << 10);
        let (mut one, mut two) = (None, None);
        // Ten bodies of which little was sent reserve little, whatever their headers say.
        let mut small: [Option<OwnedSemaphorePermit>; 10] = Default::default();
        for permit in &mut small {
            budget.reserve(permit, 300).expect("it fits");
            budget.reserve(permit, 1000).expect("it is reserved already");
        }
        assert!(is_full(&budget.reserve(&mut one, 1)));
        drop(small);
        budget.reserve(&mut one, 5 << 10).expect("it fits");
        budget.reserve(&mut two, 2 << 10).expect("it fits");
        assert!(is_full(&budget.reserve(&mut two, 4 << 10)));
        drop(one);
        budget.reserve(&mut two, 8 << 10).expect("the whole budget but 1 KiB");
        assert_eq!(budget.free_kib.available_permits(), 1);
    }

    #[test]
    fn a_single_body_always_fits() {
        let budget = budget(1 << 10);
        budget.reserve(&mut None, LIMIT).expect("it fits");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    /// Returns the decoded bytes of `coded`, sent in pieces of `piece` bytes, and the KiB that they reserve.
    fn decoded(budget: &BodyBudget, coded: &[u8], piece: usize) -> Result<(Vec<u8>, usize), ApiError> {
        let mut decoder = BodyDecoder::new(budget, ContentCoding::Gzip, coded.len());
        for chunk in coded.chunks(piece) {
            decoder.take(chunk)?;
        }
        let buffer = decoder.finish()?;
        Ok((buffer.bytes.to_vec(), buffer.permit.map_or(0, |permit| permit.num_permits())))
    }

    #[test]
    fn gzip_is_decompressed_within_the_limit_and_the_budget() {
        let budget = budget(10 << 10);
        let text = b"{\"Tb\": 61.5}\n".repeat(500);
        for piece in [1, 7, 1000, 1 << 20] {
            let (bytes, kib) = decoded(&budget, &gzip(&text), piece).expect("it is complete");
            assert_eq!((bytes == text, kib), (true, (text.len() >> 10) + 1));
        }
        let two = [gzip(b"[1,"), gzip(b"2]")].concat();
        assert_eq!(decoded(&budget, &two, 5).expect("two members").0, b"[1,2]");
        assert!(matches!(decoded(&budget, &gzip(&vec![0; LIMIT]), 100), Ok((bytes, _)) if bytes.len() == LIMIT));
        // 64 MiB of zeros are 64 KiB on the wire.
        let bomb = gzip(&vec![0; 64 << 20]);
        for piece in [100, bomb.len()] {
            assert!(matches!(decoded(&budget, &bomb, piece), Err(ApiError::BodyTooLarge { limit_bytes: LIMIT })));
        }
        let mut other = None;
        budget.reserve(&mut other, 7 << 10).expect("it fits");
        let full = decoded(&budget, &gzip(&vec![0; LIMIT]), 100).map(drop);
        assert!(is_full(&full), "{full:?}");
        drop(other);
        assert_eq!(budget.free_kib.available_permits(), 10, "everything is released");
    }

    #[test]
    fn incomplete_or_invalid_gzip_is_refused() {
        let budget = budget(10 << 10);
        let complete = gzip(b"{\"Tb\": 61.5}");
        let mut flipped = complete.clone();
        let last = flipped.len() - 5;
        flipped[last] ^= 1;
        for bad in [
            &complete[..complete.len() - 1],
            &complete[..5],
            b"",
            b"{\"Tb\": 61.5}",
            &flipped,
            &[&complete[..], b"{}"].concat(),
        ] {
            let refused = decoded(&budget, bad, 4);
            assert!(matches!(refused, Err(ApiError::UnreadableBody(_))), "{bad:?}: {refused:?}");
        }
    }

    #[test]
    fn a_body_has_a_minimum_rate_and_a_maximum_time() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut rate = RateDeadline::new(start, Duration::from_secs(10), 10_000);
        rate.record(at(2), 9_999);
        assert_eq!(rate.deadline(), at(10), "not enough for the first window");
        rate.record(at(9), 1);
        assert_eq!(rate.deadline(), at(19));
        rate.record(at(10), 4_000_000);
        assert_eq!(rate.deadline(), at(20), "a burst does not extend the deadline beyond one window");
        rate.record(at(55), 10_000);
        assert_eq!(rate.deadline(), at(60), "the maximum time of 60 s");
    }
}
