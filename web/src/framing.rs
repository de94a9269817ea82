//! Tracks where the requests of a connection and their bodies begin and end, before actix reads them.
//!
//! actix examines a chunk only when its bytes arrive. For a chunk that announces a terabyte and sends nothing, it reports
//! nothing until the body is too slow; if a chunk's size is not a number, it closes the connection without a response. This
//! module detects both as soon as the size is read, so that the request gets a 413 or a 400.
//!
//! An example, with bodies of at most 8 MiB. A connection sends
//!
//! ```text
//! POST /api/ingest HTTP/1.1␍␊Transfer-Encoding: chunked␍␊␍␊     the head: a chunked body follows
//! 5␍␊[1,2,␍␊                                                    a chunk of five bytes
//! ffffffffff␍␊                                                  too large: nothing from here on is passed to actix
//! ```
//!
//! Heads are parsed by the same parser that actix uses. If it does not understand a head, or the request is not a plain one
//! (`CONNECT`, an upgrade), the connection is not tracked any further: its bytes are passed on unchanged, and actix responds.
//!
//! Does not read bodies (see `body_budget.rs`) and does not send responses.

use httparse::{EMPTY_HEADER, Request};

/// The largest head that is tracked; actix accepts no larger one.
const MAX_HEAD_BYTES: usize = 128 << 10;
/// The most header fields of a request that is tracked.
const MAX_FIELDS: usize = 128;

/// Why a chunked body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// The sizes of its chunks exceed the limit of a body.
    TooLarge,
    /// A byte that is not allowed where a chunk begins or ends.
    Malformed,
}

/// Tracks the position of a connection's bytes in its requests; see the module.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    limit: u64,
    /// The number of heads that were read.
    requests: u64,
    /// The total size of the body's chunks so far.
    declared_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// Before the size of a chunk.
    Start,
    /// In the size; its value so far.
    Size(u64),
    /// In the whitespace after the size.
    AfterSize(u64),
    /// In the chunk extension after the size.
    Extension(u64),
    /// Before the line feed that ends the size's line.
    SizeLf(u64),
    /// In the chunk's data; the number of bytes that remain.
    Data(u64),
    /// Before the carriage return after the data.
    DataCr,
    /// Before the line feed after the data.
    DataLf,
    /// In the trailer after the last chunk, and whether the current line is empty so far.
    Trailer { is_empty: bool },
}

#[derive(Debug)]
enum State {
    /// In a head; its bytes so far.
    Head(Vec<u8>),
    /// In a body with a length; the number of bytes that remain.
    Body(u64),
    Chunked(Chunk),
    /// Not tracked any further.
    Untracked,
}

impl Framing {
    /// Creates the tracker of a new connection, for bodies of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: State::Head(Vec::new()), limit: limit as u64, requests: 0, declared_bytes: 0 }
    }

    /// Returns the number of requests that have begun.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Tracks bytes that were read. An error has the index of the byte at which a body is refused, and the reason.
    pub(crate) fn track(&mut self, bytes: &[u8]) -> Result<(), (usize, FramingError)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let used = match &mut self.state {
                State::Untracked => return Ok(()),
                State::Head(_) => self.head(rest),
                State::Body(remaining) => {
                    let used = capped_len(*remaining, rest.len());
                    *remaining -= used as u64;
                    if *remaining == 0 {
                        self.state = State::Head(Vec::new());
                    }
                    used
                }
                State::Chunked(Chunk::Data(remaining)) => {
                    let used = capped_len(*remaining, rest.len());
                    *remaining -= used as u64;
                    if *remaining == 0 {
                        self.state = State::Chunked(Chunk::DataCr);
                    }
                    used
                }
                State::Chunked(chunk) => {
                    let next = chunk.step(rest[0]).ok_or((at, FramingError::Malformed))?;
                    self.enter(next).map_err(|error| (at, error))?;
                    1
                }
            };
            at += used;
        }
        Ok(())
    }

    /// Enters the next state of a chunked body. `None` means that the body has ended.
    fn enter(&mut self, next: Option<Chunk>) -> Result<(), FramingError> {
        let Some(next) = next else {
            self.state = State::Head(Vec::new());
            return Ok(());
        };
        if let Chunk::Size(size) = next
            && size > self.limit.saturating_sub(self.declared_bytes)
        {
            return Err(FramingError::TooLarge);
        }
        if let Chunk::Data(size) = next {
            self.declared_bytes = self.declared_bytes.saturating_add(size);
        }
        self.state = State::Chunked(next);
        Ok(())
    }

    /// Reads bytes of a head. Returns how many of them belong to it.
    fn head(&mut self, bytes: &[u8]) -> usize {
        let State::Head(head) = &mut self.state else { return 0 };
        for (index, &byte) in bytes.iter().enumerate() {
            // Empty lines before a request are ignored.
            if head.is_empty() && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            head.push(byte);
            if byte == b'\n' && (head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n")) {
                let head = std::mem::take(head);
                self.requests += 1;
                self.declared_bytes = 0;
                self.state = state_after(&head);
                return index + 1;
            }
        }
        if head.len() > MAX_HEAD_BYTES {
            self.state = State::Untracked;
        }
        bytes.len()
    }
}

/// Returns the state after a head: what follows it.
fn state_after(head: &[u8]) -> State {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    if !request.parse(head).is_ok_and(|parsed| parsed.is_complete()) || request.method == Some("CONNECT") {
        return State::Untracked;
    }
    let mut state = State::Head(Vec::new());
    for field in request.headers.iter() {
        let text = str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("upgrade") {
            return State::Untracked;
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            state = State::Chunked(Chunk::Start);
        } else if field.name.eq_ignore_ascii_case("content-length") && !matches!(state, State::Chunked(_)) {
            match text.parse() {
                Ok(0) => {}
                Ok(length) => state = State::Body(length),
                Err(_) => return State::Untracked,
            }
        }
    }
    state
}

impl Chunk {
    /// Returns the state after `byte`; `Some(None)` at the end of the body, `None` for a byte that is not allowed.
    fn step(self, byte: u8) -> Option<Option<Self>> {
        let next = match (self, byte) {
            (Self::Start, _) => Self::Size(hex(byte)?),
            (Self::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                Self::Size(size.saturating_mul(16).saturating_add(hex(byte)?))
            }
            (Self::Size(size) | Self::AfterSize(size), b' ' | b'\t') => Self::AfterSize(size),
            (Self::Size(size) | Self::AfterSize(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::AfterSize(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => Self::Extension(size),
            (Self::SizeLf(0), b'\n') => Self::Trailer { is_empty: true },
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::Trailer { is_empty: true }, b'\n') => return Some(None),
            (Self::Trailer { .. }, b'\n') => Self::Trailer { is_empty: true },
            (Self::Trailer { is_empty }, b'\r') => Self::Trailer { is_empty },
            (Self::Trailer { .. }, _) => Self::Trailer { is_empty: false },
            _ => return None,
        };
        Some(Some(next))
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn capped_len(remaining: u64, bytes: usize) -> usize {
    usize::try_from(remaining).map_or(bytes, |remaining| remaining.min(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "POST /api/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Tracks `text` in pieces of several sizes. Returns the result and the number of requests.
    fn track(text: &str) -> (Result<(), (usize, FramingError)>, u64) {
        let at_once = track_in_pieces(text, text.len());
        for piece in [1, 2, 3, 7] {
            assert_eq!(track_in_pieces(text, piece), at_once, "{text:?} in pieces of {piece}");
        }
        at_once
    }

    fn track_in_pieces(text: &str, piece: usize) -> (Result<(), (usize, FramingError)>, u64) {
        let mut framing = Framing::new(1000);
        for (n, bytes) in text.as_bytes().chunks(piece).enumerate() {
            if let Err((at, error)) = framing.track(bytes) {
                return (Err((n * piece + at, error)), framing.requests());
            }
        }
        (Ok(()), framing.requests())
    }

    #[test]
    fn consecutive_requests_are_tracked() {
        for (text, requests) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 1),
            ("\r\n\r\nGET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n".into(), 2),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nzz\r\n\rGET / HTTP/1.1\r\n\r\n".into(), 2),
            (
                format!(
                    "{CHUNKED}5\r\n[1,2,\r\n3;a=\"b\"\r\n3]\n\r\n0\r\n\r\n{CHUNKED}2 \r\n[]\r\n0\r\nDate: x\r\n\r\n"
                ),
                2,
            ),
            (format!("{CHUNKED}3E8\r\n{}\r\n0\r\n\r\n", "g".repeat(1000)), 1),
            (format!("{CHUNKED}3"), 1),
            ("nonsense\r\n\r\nmore of it\r\n\r\n".into(), 1),
            ("CONNECT / HTTP/1.1\r\n\r\nzzzz\r\n\r\n".into(), 1),
            ("GET / HTTP/1.1\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n\r\n".into(), 1),
        ] {
            assert_eq!(track(&text), (Ok(()), requests), "{text:?}");
        }
    }

    #[test]
    fn an_invalid_chunk_is_detected_at_its_first_byte() {
        for (body, at, error) in [
            ("ffffffffff\r\n", 2, FramingError::TooLarge),
            ("fffffffffffffffffffffffffff\r\n", 2, FramingError::TooLarge),
            ("3e9\r\n", 2, FramingError::TooLarge),
            ("3e7\r\n", 5 + 999 + 2 + 1, FramingError::TooLarge),
            ("zz\r\n", 0, FramingError::Malformed),
            ("\r\n", 0, FramingError::Malformed),
            ("-1\r\n", 0, FramingError::Malformed),
            ("0x5\r\n", 1, FramingError::Malformed),
            ("2\n", 1, FramingError::Malformed),
            ("2 3\r\n", 2, FramingError::Malformed),
            ("2;\u{7}\r\n", 2, FramingError::Malformed),
            ("2\r\n[]]\r\n", 5, FramingError::Malformed),
            ("2\r\n[]\r3\r\n", 6, FramingError::Malformed),
        ] {
            // After a chunk of 999 bytes, one of 16 bytes exceeds the limit of 1000.
            let more = if body == "3e7\r\n" { format!("{}\r\n10\r\n", "x".repeat(999)) } else { String::new() };
            let text = format!("{CHUNKED}{body}{more}");
            assert_eq!(track(&text), (Err((CHUNKED.len() + at, error)), 1), "{body:?}");
        }
    }
}
