//! From bytes to lines to cells, whatever the encoding and the ends of lines.
//!
//! A UTF-16 file is found by its byte-order mark or by its zero bytes; what is neither that nor UTF-8 is taken as
//! Windows-1252, whose letters differ in units and names only. A line ends with `\n`, `\r\n` or `\r`.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// How much of a file tells its encoding.
const SAMPLE: u64 = 64 << 10;
/// The longest line, with its end.
const MAX_LINE: usize = 1 << 20;

/// The text as UTF-8, without a byte-order mark. Bytes that are no text become the replacement character.
pub(crate) fn decoded<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut sample = Vec::new();
    source.by_ref().take(SAMPLE).read_to_end(&mut sample)?;
    let encoding = guess(&sample);
    let decoder = DecodeReaderBytesBuilder::new()
        .encoding(encoding)
        .bom_override(true)
        .strip_bom(true)
        .build(Cursor::new(sample).chain(source));
    Ok(Box::new(BufReader::new(decoder)))
}

/// The encoding where no byte-order mark says it; none: UTF-8.
fn guess(sample: &[u8]) -> Option<&'static Encoding> {
    if sample.starts_with(&[0xff, 0xfe]) || sample.starts_with(&[0xfe, 0xff]) {
        return None;
    }
    // A header is ASCII for the most part: every other byte of it is zero in UTF-16. A block of zeros is not that.
    let start = &sample[..sample.len().min(64)];
    let zeros = |first: usize| start.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let most = start.len() / 2 * 3 / 4;
    if most > 0 && zeros(1) >= most && zeros(0) < most {
        return Some(UTF_16LE);
    }
    if most > 0 && zeros(0) >= most && zeros(1) < most {
        return Some(UTF_16BE);
    }
    match std::str::from_utf8(sample) {
        Ok(_) => None,
        // Cut off within a letter at the sample's end.
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some(WINDOWS_1252),
    }
}

/// Reads a text line by line.
pub(super) struct Lines<'a> {
    source: Box<dyn BufRead + 'a>,
    bytes: Vec<u8>,
    /// The last byte was a `\r`: a `\n` that follows belongs to it.
    after_return: bool,
    /// The number of the line that was read last, from 1.
    pub number: u64,
    /// Whether that line had an end; the last of a file that was cut off has none.
    pub ended: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: Box<dyn BufRead + 'a>) -> Self {
        Self { source, bytes: Vec::new(), after_return: false, number: 0, ended: true }
    }

    /// The next line without its end.
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
            if self.bytes.len() > MAX_LINE {
                let text = format!("line {} is longer than {MAX_LINE} bytes", self.number + 1);
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

    /// The cell at this place without the blanks around it; empty behind the last one.
    pub(super) fn cell(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        let end = self.ends.get(index).copied().unwrap_or(self.text.len());
        let cell = trim(&self.text[start..end]);
        // A quote behind a blank is not one to RFC 4180.
        cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).map_or(cell, trim)
    }

    /// Leaves out what is in the cell at this place, and behind it.
    pub(super) fn cut(&mut self, index: usize) {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        self.text.truncate(start);
        self.ends.iter_mut().for_each(|end| *end = (*end).min(start));
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.cell(index))
    }
}

/// Without blanks, zero bytes (what a logger that lost power leaves) and a stray byte-order mark.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '\0' | '\u{feff}'))
}

/// Splits lines into cells, with quotes as RFC 4180 has them.
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

    /// The line's cells; none where a quote is not closed in it.
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
        let mut lines = Lines::new(decoded(bytes).expect("decoded"));
        std::iter::from_fn(|| lines.next().expect("read")).collect()
    }

    #[test]
    fn encodings_are_told_apart() {
        let text = "timestamp,Tb [°C]\n2026-03-09 10:14:33,40.5\n";
        let expected = ["timestamp,Tb [°C]", "2026-03-09 10:14:33,40.5"];
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
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
    fn a_line_may_end_in_three_ways() {
        assert_eq!(lines(b"a\nb\r\nc\rd\r\n\ne"), ["a", "b", "c", "d", "", "e"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn a_line_that_does_not_end_is_refused() {
        let endless = io::repeat(b'1').take(3 << 20);
        let error = Lines::new(decoded(endless).expect("decoded")).next().expect_err("too long");
        assert_eq!(error.to_string(), "line 1 is longer than 1048576 bytes");
    }

    #[test]
    fn quotes_hold_delimiters() {
        let mut splitter = Splitter::new(b',');
        let cells = |record: &Record| record.cells().map(str::to_owned).collect::<Vec<_>>();
        let record = splitter.split(r#" "a" ,"12,5","say ""no""",,"#).expect("closed");
        assert_eq!(cells(&record), ["a", "12,5", r#"say "no""#, "", ""]);
        assert_eq!(splitter.split("\"a,b"), None);
        assert_eq!(cells(&splitter.split("c,d").expect("closed")), ["c", "d"], "the next line is not touched");
        assert_eq!(record.cell(9), "");
    }
}
