//! Follows where the requests of a connection and their bodies begin and end, before actix reads them.
//!
//! actix looks at a chunk only when its bytes come: of one that announces a terabyte and sends nothing it says nothing until
//! the body is too slow, and where a chunk's size is no number it closes the connection without an answer. Here both are seen
//! as soon as the size is read, so that the body can be answered 413 or 400.
//!
//! An example, with bodies of at most 8 MiB. A connection brings
//!
//! ```text
//! POST /api/ingest HTTP/1.1␍␊Transfer-Encoding: chunked␍␊␍␊     the head: a chunked body follows
//! 5␍␊[1,2,␍␊                                                    five bytes of it
//! ffffffffff␍␊                                                  too large: nothing from here on is passed to actix
//! ```
//!
//! A head is parsed by the parser that actix uses. What that does not understand, and what is no plain request (`CONNECT`, an
//! upgrade), is not followed any further: it passes as it is, and actix answers it.
//!
//! Does not read bodies (`body_budget.rs`), and does not answer anything.

use httparse::{EMPTY_HEADER, Request};

/// The largest head that is followed; actix takes no larger one.
const MAX_HEAD_BYTES: usize = 128 << 10;
/// The most fields of a head that is followed.
const MAX_FIELDS: usize = 128;

/// What cannot be taken of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its chunks announce more than a body may have.
    TooLarge,
    /// Something else stands where a chunk has to begin or to end.
    Broken,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    limit: u64,
    /// How many heads were read.
    requests: u64,
    /// What the chunks of the body announced so far.
    announced: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// Before its size.
    First,
    /// In its size.
    Size(u64),
    /// Behind its size.
    Space(u64),
    /// In what may stand behind the size.
    Extension(u64),
    /// The line feed that ends the size's line.
    SizeLf(u64),
    /// So many bytes are left of it.
    Data(u64),
    /// The line's end behind its bytes.
    DataCr,
    DataLf,
    /// The lines behind the last chunk. The line so far is empty, or is not.
    Trailer {
        is_empty: bool,
    },
}

#[derive(Debug)]
enum State {
    /// In a head; what has come of it.
    Head(Vec<u8>),
    /// So many bytes of a body are left.
    Body(u64),
    Chunked(Chunk),
    /// Not followed any further.
    Lost,
}

impl Framing {
    /// For bodies of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: State::Head(Vec::new()), limit: limit as u64, requests: 0, announced: 0 }
    }

    /// How many requests have begun.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Follows bytes that were read. Where a body cannot be taken: how many of these bytes are before that, and why.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), (usize, Trouble)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let used = match &mut self.state {
                State::Lost => return Ok(()),
                State::Head(_) => self.head(rest),
                State::Body(left) => {
                    let used = shorter(*left, rest.len());
                    *left -= used as u64;
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                    used
                }
                State::Chunked(Chunk::Data(left)) => {
                    let used = shorter(*left, rest.len());
                    *left -= used as u64;
                    if *left == 0 {
                        self.state = State::Chunked(Chunk::DataCr);
                    }
                    used
                }
                State::Chunked(chunk) => {
                    let next = chunk.step(rest[0]).ok_or((at, Trouble::Broken))?;
                    self.note(next).map_err(|trouble| (at, trouble))?;
                    1
                }
            };
            at += used;
        }
        Ok(())
    }

    /// What follows within a chunked body, or behind it.
    fn note(&mut self, next: Option<Chunk>) -> Result<(), Trouble> {
        let Some(next) = next else {
            self.state = State::Head(Vec::new());
            return Ok(());
        };
        if let Chunk::Size(size) = next
            && size > self.limit.saturating_sub(self.announced)
        {
            return Err(Trouble::TooLarge);
        }
        if let Chunk::Data(size) = next {
            self.announced = self.announced.saturating_add(size);
        }
        self.state = State::Chunked(next);
        Ok(())
    }

    /// Bytes of a head; how many of them are.
    fn head(&mut self, bytes: &[u8]) -> usize {
        let State::Head(head) = &mut self.state else { return 0 };
        for (place, &byte) in bytes.iter().enumerate() {
            // Empty lines before a request count for nothing.
            if head.is_empty() && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            head.push(byte);
            if byte == b'\n' && (head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n")) {
                let head = std::mem::take(head);
                self.requests += 1;
                self.announced = 0;
                self.state = behind(&head);
                return place + 1;
            }
        }
        if head.len() > MAX_HEAD_BYTES {
            self.state = State::Lost;
        }
        bytes.len()
    }
}

/// What stands behind a head.
fn behind(head: &[u8]) -> State {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    if !request.parse(head).is_ok_and(|parsed| parsed.is_complete()) || request.method == Some("CONNECT") {
        return State::Lost;
    }
    let mut state = State::Head(Vec::new());
    for field in request.headers.iter() {
        let text = str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("upgrade") {
            return State::Lost;
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            state = State::Chunked(Chunk::First);
        } else if field.name.eq_ignore_ascii_case("content-length") && !matches!(state, State::Chunked(_)) {
            match text.parse() {
                Ok(0) => {}
                Ok(length) => state = State::Body(length),
                Err(_) => return State::Lost,
            }
        }
    }
    state
}

impl Chunk {
    /// What follows the next byte; within, none is the end of the body. Outside, none is a byte that may not be here.
    fn step(self, byte: u8) -> Option<Option<Self>> {
        let next = match (self, byte) {
            (Self::First, _) => Self::Size(hex(byte)?),
            (Self::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                Self::Size(size.saturating_mul(16).saturating_add(hex(byte)?))
            }
            (Self::Size(size) | Self::Space(size), b' ' | b'\t') => Self::Space(size),
            (Self::Size(size) | Self::Space(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::Space(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => Self::Extension(size),
            (Self::SizeLf(0), b'\n') => Self::Trailer { is_empty: true },
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::First,
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

fn shorter(left: u64, bytes: usize) -> usize {
    usize::try_from(left).map_or(bytes, |left| left.min(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "POST /api/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Sends `text` in pieces of each size; what is said of it, and how many requests it has.
    fn follow(text: &str) -> (Result<(), (usize, Trouble)>, u64) {
        let whole = follow_in(text, text.len());
        for piece in [1, 2, 3, 7] {
            assert_eq!(follow_in(text, piece), whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    fn follow_in(text: &str, piece: usize) -> (Result<(), (usize, Trouble)>, u64) {
        let mut framing = Framing::new(1000);
        for (n, bytes) in text.as_bytes().chunks(piece).enumerate() {
            if let Err((at, trouble)) = framing.follow(bytes) {
                return (Err((n * piece + at, trouble)), framing.requests());
            }
        }
        (Ok(()), framing.requests())
    }

    #[test]
    fn requests_are_followed_from_one_to_the_next() {
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
            assert_eq!(follow(&text), (Ok(()), requests), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_seen_at_its_first_byte() {
        for (body, at, trouble) in [
            ("ffffffffff\r\n", 2, Trouble::TooLarge),
            ("fffffffffffffffffffffffffff\r\n", 2, Trouble::TooLarge),
            ("3e9\r\n", 2, Trouble::TooLarge),
            ("3e7\r\n", 5 + 999 + 2 + 1, Trouble::TooLarge),
            ("zz\r\n", 0, Trouble::Broken),
            ("\r\n", 0, Trouble::Broken),
            ("-1\r\n", 0, Trouble::Broken),
            ("0x5\r\n", 1, Trouble::Broken),
            ("2\n", 1, Trouble::Broken),
            ("2 3\r\n", 2, Trouble::Broken),
            ("2;\u{7}\r\n", 2, Trouble::Broken),
            ("2\r\n[]]\r\n", 5, Trouble::Broken),
            ("2\r\n[]\r3\r\n", 6, Trouble::Broken),
        ] {
            // A second chunk of 16 is more than what is left beside 999.
            let more = if body == "3e7\r\n" { format!("{}\r\n10\r\n", "x".repeat(999)) } else { String::new() };
            let text = format!("{CHUNKED}{body}{more}");
            assert_eq!(follow(&text), (Err((CHUNKED.len() + at, trouble)), 1), "{body:?}");
        }
    }
}
