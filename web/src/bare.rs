//! Numbers that JSON does not have: `NaN`, `-Infinity`, `1e999`.
//!
//! Many languages write a float that is no number as such a bare word, and no JSON parser takes it. Where a body is no
//! JSON, these words are put into quotes, and it is parsed once more: `{"Q": NaN, "note": "NaN"}` becomes
//! `{"Q": "NaN", "note": "NaN"}`. What stands in quotes already stays as it is. A body that is JSON never comes here.
//!
//! Does not handle what the words mean; for an item (`item.rs`) they are texts like any other.

use crate::item::number::is_no_number;

/// A body whose bare words are in quotes.
pub(crate) struct Quoted {
    pub(crate) bytes: Vec<u8>,
    /// The quotes that were put in, by their places in `bytes`.
    quotes: Vec<usize>,
}

/// `bytes` with the bare words in quotes; none where there is no such word.
pub(crate) fn quoted(bytes: &[u8]) -> Option<Quoted> {
    let mut quoted = Quoted { bytes: Vec::with_capacity(bytes.len()), quotes: Vec::new() };
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => text_length(rest),
            _ if is_word(first) => rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len()),
            _ => rest.iter().position(|&byte| byte == b'"' || is_word(byte)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        if is_word(first) && std::str::from_utf8(token).is_ok_and(is_no_number) {
            quoted.quote(token);
        } else {
            quoted.bytes.extend_from_slice(token);
        }
        rest = after;
    }
    (!quoted.quotes.is_empty()).then_some(quoted)
}

impl Quoted {
    fn quote(&mut self, word: &[u8]) {
        for part in [b"\"", word, b"\""] {
            if part == b"\"" {
                self.quotes.push(self.bytes.len());
            }
            self.bytes.extend_from_slice(part);
        }
    }

    /// A column of the bytes as sent, for one of these; both from 1.
    pub(crate) fn column_as_sent(&self, line: usize, column: usize) -> usize {
        let ends = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
        let start = std::iter::once(0).chain(ends).nth(line.saturating_sub(1)).unwrap_or_default();
        let before = self.quotes.iter().filter(|&&quote| quote >= start && quote < start + column).count();
        column - before
    }
}

/// The length of the text in quotes at the beginning of `bytes`.
fn text_length(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (place, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    bytes.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'#' | b'(' | b')')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_words_outside_of_quotes_are_put_into_quotes() {
        for (sent, expected) in [
            (r#"{"a":NaN}"#, r#"{"a":"NaN"}"#),
            (r#"[NaN, -Infinity,Infinity ,nan]"#, r#"["NaN", "-Infinity","Infinity" ,"nan"]"#),
            (r#"{"a":-nan(ind),"b":1.#QNAN,"c":1e999}"#, r#"{"a":"-nan(ind)","b":"1.#QNAN","c":"1e999"}"#),
            (r#"{"NaN":inf,"b":"NaN \" NaN \\","c":1}"#, r#"{"NaN":"inf","b":"NaN \" NaN \\","c":1}"#),
        ] {
            let quoted = quoted(sent.as_bytes()).expect(sent);
            assert_eq!(String::from_utf8_lossy(&quoted.bytes), expected);
        }
        for none in
            [r#"{"a":1.5e3,"b":true,"c":null,"d":"NaN"}"#, r#""NaN"#, "Bad", "NaNs", "", r#""\"#, "Banane NaNaN"]
        {
            assert!(quoted(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn columns_are_those_of_what_was_sent() {
        let quoted = quoted(b"{\"a\": NaN,\n\"b\": NaN, \"c\": }").expect("two words");
        for (line, column, sent) in [(1, 6, 6), (1, 12, 10), (2, 18, 16), (2, 3, 3)] {
            assert_eq!(quoted.column_as_sent(line, column), sent, "{line}:{column}");
        }
    }

    proptest! {
        /// Without the quotes it is what was sent.
        #[test]
        fn nothing_is_lost(text in r#"([a-zN."\\ ]|NaN|inf|1e999|,|\n){0,40}"#) {
            if let Some(quoted) = quoted(text.as_bytes()) {
                let kept = quoted.bytes.iter().enumerate().filter(|(place, _)| !quoted.quotes.contains(place));
                prop_assert_eq!(kept.map(|(_, byte)| *byte).collect::<Vec<_>>(), text.into_bytes());
            }
        }
    }
}
