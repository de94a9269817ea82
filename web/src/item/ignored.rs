//! The values and fields of a post that were ignored while the other values of their items were accepted: values that are not
//! numbers, and fields that the profile does not have.
//!
//! A post has up to 10,000 items, and a faulty gateway sends the same invalid values in each. So at most [`MAX_LISTED`] values
//! and as many fields are kept, each truncated. Further ones are counted.

use std::collections::BTreeMap;

use serde_json::Value;
use volute_actors::MAX_LISTED;

/// How much of a value or a name is kept, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// The values and fields of a post that were ignored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct IgnoredFields {
    /// Values that are not numbers: the first [`MAX_LISTED`], in the order of the items.
    pub(crate) non_numeric: Vec<NonNumericValue>,
    /// The number of further values that are not numbers.
    pub(crate) non_numeric_unlisted: usize,
    /// Unknown fields by name: the first [`MAX_LISTED`] names.
    pub(crate) unknown: BTreeMap<String, UnknownField>,
    /// How often fields with further names occurred.
    pub(crate) unknown_unlisted: usize,
}

/// A channel's value that is not a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NonNumericValue {
    /// The item's index in the post.
    pub(crate) index: usize,
    /// The channel's name in the profile.
    pub(crate) channel: String,
    /// The value as sent; a long one is truncated, as text.
    pub(crate) value: Value,
    /// Why it is not a number.
    pub(crate) why: &'static str,
}

/// A field that the profile does not have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnknownField {
    /// How often it occurs in the post.
    pub(crate) count: usize,
    /// The first item that has it, from 0.
    pub(crate) index: usize,
    /// Its value there; a long one is truncated, as text.
    pub(crate) value: Value,
}

impl IgnoredFields {
    pub(super) fn add_non_numeric(&mut self, index: usize, channel: &str, value: &Value, why: &'static str) {
        if self.non_numeric.len() < MAX_LISTED {
            self.non_numeric.push(NonNumericValue { index, channel: channel.to_owned(), value: truncated(value), why });
        } else {
            self.non_numeric_unlisted += 1;
        }
    }

    pub(super) fn add_unknown(&mut self, index: usize, name: &str, value: &Value) {
        let name = truncate_text(name);
        if let Some(known) = self.unknown.get_mut(name) {
            known.count += 1;
        } else if self.unknown.len() < MAX_LISTED {
            self.unknown.insert(name.to_owned(), UnknownField { count: 1, index, value: truncated(value) });
        } else {
            self.unknown_unlisted += 1;
        }
    }
}

/// Returns a value as it is shown in a response: a long one truncated, as text.
pub(crate) fn truncated(value: &Value) -> Value {
    match value {
        Value::String(text) => truncate_text(text).into(),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if truncate_text(&text).len() < text.len() { truncate_text(&text).into() } else { value.clone() }
        }
        simple => simple.clone(),
    }
}

/// Returns the first characters of a text.
fn truncate_text(text: &str) -> &str {
    text.char_indices().nth(MAX_SHOWN_CHARS).map_or(text, |(end, _)| &text[..end])
}
