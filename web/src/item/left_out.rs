//! What of a post's items was left out, while their other values were taken: values that are no numbers, and fields that
//! the profile does not know.
//!
//! A post has up to 10,000 items, and a broken gateway sends the same nonsense in each. So of either kind [`LISTED`] are
//! kept, cut to what shows what they are, and the rest is counted.

use std::collections::BTreeMap;

use serde_json::Value;
use volute_actors::LISTED;

/// How much of a value or a name is shown, in characters.
const SHOWN_CHARS: usize = 200;

/// What was left out of a post's items.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LeftOut {
    /// Values that are no numbers: the first [`LISTED`], in the order of the items.
    pub(crate) not_numbers: Vec<NotANumber>,
    /// How many more there are.
    pub(crate) not_numbers_unlisted: usize,
    /// Unknown fields by name: the first [`LISTED`] names.
    pub(crate) unknown: BTreeMap<String, UnknownField>,
    /// How many more fields there are, of other names.
    pub(crate) unknown_unlisted: usize,
}

/// A channel's value that is no number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NotANumber {
    /// The item's place in the post, from 0.
    pub(crate) index: usize,
    /// The channel's name in the profile.
    pub(crate) channel: String,
    /// The value as sent; of a long one its beginning, as text.
    pub(crate) value: Value,
    /// Why it is none.
    pub(crate) why: &'static str,
}

/// A field that means nothing to this node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnknownField {
    /// How often it is in the post.
    pub(crate) count: usize,
    /// The first item that has it, from 0.
    pub(crate) index: usize,
    /// What it holds there; of a long value its beginning, as text.
    pub(crate) value: Value,
}

impl LeftOut {
    pub(super) fn not_a_number(&mut self, index: usize, channel: &str, value: &Value, why: &'static str) {
        if self.not_numbers.len() < LISTED {
            self.not_numbers.push(NotANumber { index, channel: channel.to_owned(), value: shown(value), why });
        } else {
            self.not_numbers_unlisted += 1;
        }
    }

    pub(super) fn unknown_field(&mut self, index: usize, name: &str, value: &Value) {
        let name = cut(name);
        if let Some(known) = self.unknown.get_mut(name) {
            known.count += 1;
        } else if self.unknown.len() < LISTED {
            self.unknown.insert(name.to_owned(), UnknownField { count: 1, index, value: shown(value) });
        } else {
            self.unknown_unlisted += 1;
        }
    }
}

/// A value as it is shown to its sender.
pub(crate) fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if cut(&text).len() < text.len() { cut(&text).into() } else { value.clone() }
        }
        simple => simple.clone(),
    }
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS).map_or(text, |(end, _)| &text[..end])
}
