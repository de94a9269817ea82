//! Decodes bytes to text, and splits text into lines and cells.
//!
//! UTF-16 is detected by its byte-order mark or by its zero bytes. A file that is neither UTF-16 nor UTF-8 is read as
//! Windows-1252: other 8-bit encodings differ from it only in letters of units and names. A line ends with `\n`, `\r\n`
//! or `\r`.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// The encoding is detected from this many bytes at the start of a file.
const SAMPLE_BYTES: u64 = 64 << 10;
/// The longest accepted line.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Decodes a file to UTF-8 without a byte-order mark. Invalid bytes become the replacement character.
pub(crate) fn decode<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut sample = Vec::new();
    source.by_ref().take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let encoding = guess_encoding(&sample);
    let decoder = DecodeReaderBytesBuilder::new()
        .encoding(encoding)
        .bom_override(true)
        .strip_bom(true)
        .build(Cursor::new(sample).chain(source));
    Ok(Box::new(BufReader::new(decoder)))
}

/// Returns the encoding of a file without a byte-order mark; none for UTF-8, or if there is a mark.
fn guess_encoding(sample: &[u8]) -> Option<&'static Encoding> {
    if sample.starts_with(&[0xff, 0xfe]) || sample.starts_with(&[0xfe, 0xff]) {
        return None;
    }
    // A header is mostly ASCII, so in UTF-16 every other byte is zero. In a block of zero bytes, every byte is zero.
    let start = &sample[..sample.len().min(64)];
    let zeros = |first: usize| start.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let threshold = start.len() / 2 * 3 / 4;
    if threshold > 0 && zeros(1) >= threshold && zeros(0) < threshold {
        return Some(UTF_16LE);
    }
    if threshold > 0 && zeros(0) >= threshold && zeros(1) < threshold {
        return Some(UTF_16BE);
    }
    match std::str::from_utf8(sample) {
        Ok(_) => None,
        // The sample ends within a character.
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some(WINDOWS_1252),
    }
}

/// Reads a text line by line.
pub(super) struct Lines<'a> {
    source: Box<dyn BufRead + 'a>,
    bytes: Vec<u8>,
    /// The last byte was `\r`: a `\n` that follows belongs to the same line end.
    after_return: bool,
    /// The number of the line that was read last, from 1 on.
    pub number: u64,
    /// Whether that line had a line end. The last line of a truncated file has none.
    pub ended: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: Box<dyn BufRead + 'a>) -> Self {
        Self { source, bytes: Vec::new(), after_return: false, number: 0, ended: true }
    }

    /// Returns the next line without its line end.
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        self.bytes.clear();
        self.ended = false;
        while !self.ended {
            let mut buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let mut skipped = 0;
            if std::mem::take(&mut self.after_return) && buffer[0] == b'\n' {
                (buffer, skipped) = (&buffer[1..], 1);
            }
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            self.bytes.extend_from_slice(&buffer[..end.unwrap_or(buffer.len())]);
            if let Some(end) = end {
                self.ended = true;
                self.after_return = buffer[end] == b'\r';
            }
            let used = skipped + end.map_or(buffer.len(), |end| end + 1);
            self.source.consume(used);
            if self.bytes.len() > MAX_LINE_BYTES {
                let text = format!("line {} is longer than {MAX_LINE_BYTES} bytes", self.number + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        if !self.ended && self.bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(String::from_utf8_lossy(&self.bytes).into_owned()))
    }
}

/// The cells of one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    text: String,
    ends: Vec<usize>,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the cell at this index, trimmed; empty after the last one.
    pub(super) fn cell(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        let end = self.ends.get(index).copied().unwrap_or(self.text.len());
        let cell = trim(&self.text[start..end]);
        // RFC 4180 does not accept a quote after a blank.
        cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).map_or(cell, trim)
    }

    /// Empties the cell at this index and all cells after it.
    pub(super) fn clear_from(&mut self, index: usize) {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        self.text.truncate(start);
        self.ends.iter_mut().for_each(|end| *end = (*end).min(start));
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.cell(index))
    }
}

/// Trims blanks, zero bytes (a logger leaves them after a power failure) and stray byte-order marks.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '\0' | '\u{feff}'))
}

/// Splits lines into cells, with quotes according to RFC 4180.
pub(super) struct Splitter {
    core: csv_core::Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Self {
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { core, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Returns the line's cells; none if a quote is not closed within the line.
    pub(super) fn split(&mut self, line: &str) -> Option<Record> {
        self.core.reset();
        self.bytes.resize(line.len() + 1, 0);
        self.ends.resize(line.len() + 2, 0);
        let (mut read, mut written, mut cells) = (0, 0, 0);
        for input in [line.as_bytes(), b"\n"] {
            let (result, taken, out, ends) =
                self.core.read_record(input, &mut self.bytes[written..], &mut self.ends[cells..]);
            (read, written, cells) = (read + taken, written + out, cells + ends);
            if let csv_core::ReadRecordResult::Record = result {
                let text = String::from_utf8_lossy(&self.bytes[..written]).into_owned();
                return Some(Record { text, ends: self.ends[..cells].to_vec() });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(decode(bytes).expect("decoded"));
        std::iter::from_fn(|| lines.next().expect("read")).collect()
    }

    #[test]
    fn encodings_are_detected() {
        let text = "timestamp,Tb [°C]\n2026-03-09 10:14:33,40.5\n";
        let expected = ["timestamp,Tb [°C]", "2026-03-09 10:14:33,40.5"];
        let utf_16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let (little, big) = (utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes));
        let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
        for (name, bytes) in [
            ("UTF-8", text.as_bytes().to_vec()),
            ("UTF-8 with a mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            ("UTF-16 LE with a mark", [b"\xff\xfe".as_slice(), &little].concat()),
            ("UTF-16 BE with a mark", [b"\xfe\xff".as_slice(), &big].concat()),
            ("UTF-16 LE", little),
            ("UTF-16 BE", big),
            ("Windows-1252", latin),
        ] {
            assert_eq!(lines(&bytes), expected, "{name}");
        }
    }

    #[test]
    fn three_kinds_of_line_ends_are_accepted() {
        assert_eq!(lines(b"a\nb\r\nc\rd\r\n\ne"), ["a", "b", "c", "d", "", "e"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn line_that_is_too_long_is_rejected() {
        let endless = io::repeat(b'1').take(3 << 20);
        let error = Lines::new(decode(endless).expect("decoded")).next().expect_err("too long");
        assert_eq!(error.to_string(), "line 1 is longer than 1048576 bytes");
    }

    #[test]
    fn delimiters_within_quotes_do_not_split() {
        let mut splitter = Splitter::new(b',');
        let cells = |record: &Record| record.cells().map(str::to_owned).collect::<Vec<_>>();
        let record = splitter.split(r#" "a" ,"12,5","say ""no""",,"#).expect("closed");
        assert_eq!(cells(&record), ["a", "12,5", r#"say "no""#, "", ""]);
        assert_eq!(splitter.split("\"a,b"), None);
        assert_eq!(cells(&splitter.split("c,d").expect("closed")), ["c", "d"], "the next line is not affected");
        assert_eq!(record.cell(9), "");
    }
}
