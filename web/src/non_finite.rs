//! Quotes numbers that JSON does not have, such as `NaN`, `-Infinity` and `1e999`, so that a body with them can be parsed.
//!
//! Many languages write a non-finite float as such a bare word, which no JSON parser accepts. If a body is not JSON, its bare
//! words are quoted and it is parsed again: `{"Q": NaN, "note": "NaN"}` becomes `{"Q": "NaN", "note": "NaN"}`. Text that is
//! quoted already is not changed. A body that is JSON never gets here.
//!
//! Does not interpret the words; an item (`item.rs`) handles them as text.

use crate::item::number::is_non_finite;

/// A body whose bare words are quoted.
pub(crate) struct QuotedBody {
    pub(crate) bytes: Vec<u8>,
    /// The indices in `bytes` of the quotes that were added.
    quotes: Vec<usize>,
}

/// Returns `bytes` with the bare words quoted, or none if there is no bare word.
pub(crate) fn quote_non_finite(bytes: &[u8]) -> Option<QuotedBody> {
    let mut quoted = QuotedBody { bytes: Vec::with_capacity(bytes.len()), quotes: Vec::new() };
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => string_len(rest),
            _ if is_word_byte(first) => rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len()),
            _ => rest.iter().position(|&byte| byte == b'"' || is_word_byte(byte)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        if is_word_byte(first) && std::str::from_utf8(token).is_ok_and(is_non_finite) {
            quoted.push_quoted(token);
        } else {
            quoted.bytes.extend_from_slice(token);
        }
        rest = after;
    }
    (!quoted.quotes.is_empty()).then_some(quoted)
}

impl QuotedBody {
    fn push_quoted(&mut self, word: &[u8]) {
        for part in [b"\"", word, b"\""] {
            if part == b"\"" {
                self.quotes.push(self.bytes.len());
            }
            self.bytes.extend_from_slice(part);
        }
    }

    /// Converts a column of `bytes` to the column of the body as sent. Lines and columns count from 1.
    pub(crate) fn original_column(&self, line: usize, column: usize) -> usize {
        let ends = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1);
        let start = std::iter::once(0).chain(ends).nth(line.saturating_sub(1)).unwrap_or_default();
        let before = self.quotes.iter().filter(|&&quote| quote >= start && quote < start + column).count();
        column - before
    }
}

/// Returns the length of the quoted string at the start of `bytes`, including its quotes.
fn string_len(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (index, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    bytes.len()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'#' | b'(' | b')')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_words_outside_of_strings_are_quoted() {
        for (sent, expected) in [
            (r#"{"a":NaN}"#, r#"{"a":"NaN"}"#),
            (r#"[NaN, -Infinity,Infinity ,nan]"#, r#"["NaN", "-Infinity","Infinity" ,"nan"]"#),
            (r#"{"a":-nan(ind),"b":1.#QNAN,"c":1e999}"#, r#"{"a":"-nan(ind)","b":"1.#QNAN","c":"1e999"}"#),
            (r#"{"NaN":inf,"b":"NaN \" NaN \\","c":1}"#, r#"{"NaN":"inf","b":"NaN \" NaN \\","c":1}"#),
        ] {
            let quoted = quote_non_finite(sent.as_bytes()).expect(sent);
            assert_eq!(String::from_utf8_lossy(&quoted.bytes), expected);
        }
        for none in
            [r#"{"a":1.5e3,"b":true,"c":null,"d":"NaN"}"#, r#""NaN"#, "Bad", "NaNs", "", r#""\"#, "Banane NaNaN"]
        {
            assert!(quote_non_finite(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn columns_are_those_of_the_body_as_sent() {
        let quoted = quote_non_finite(b"{\"a\": NaN,\n\"b\": NaN, \"c\": }").expect("two words");
        for (line, column, sent) in [(1, 6, 6), (1, 12, 10), (2, 18, 16), (2, 3, 3)] {
            assert_eq!(quoted.original_column(line, column), sent, "{line}:{column}");
        }
    }

    proptest! {
        /// Without the added quotes the bytes are those that were sent.
        #[test]
        fn removing_the_added_quotes_restores_the_body(text in r#"([a-zN."\\ ]|NaN|inf|1e999|,|\n){0,40}"#) {
            if let Some(quoted) = quote_non_finite(text.as_bytes()) {
                let original = quoted.bytes.iter().enumerate().filter(|(index, _)| !quoted.quotes.contains(index));
                prop_assert_eq!(original.map(|(_, byte)| *byte).collect::<Vec<_>>(), text.into_bytes());
            }
        }
    }
}
