//! A value that is not allowed: the field, its value as sent, and the allowed values.
//!
//! This is the error of a query, a body or one item of a post. Does not handle how the error is sent: as problem details
//! (`problem.rs`), or as an entry of the response to a post (`routes/ingest.rs`).

use serde_json::Value;
use volute_plant::Rejection;

/// The maximum length of a value in a message, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// Why a request, or one item of a post, was not accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InvalidValue {
    /// The field's name; empty if the request or item as a whole is invalid.
    pub(crate) field: String,
    /// The field's value as sent.
    pub(crate) value: Value,
    /// The allowed values.
    pub(crate) allowed: String,
    /// The error as a sentence, for people.
    pub(crate) message: String,
    /// Seconds after which the same value may be sent again; none if it will not be accepted.
    pub(crate) retry_after_s: Option<u64>,
}

impl InvalidValue {
    /// Creates the error for `field` with `value`, which is not allowed because of `reason`.
    pub(crate) fn new(field: &str, value: Value, allowed: impl Into<String>, reason: &str) -> Self {
        Self { value, ..Rejection::new(field, None, allowed, reason).into() }
    }

    /// Creates the error for a value that is not allowed, without a more specific reason.
    pub(crate) fn unspecific(field: &str, value: Value, allowed: impl Into<String>) -> Self {
        let shown: String = match &value {
            Value::String(text) => format!("'{}'", shortened(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            other => shortened(&other.to_string()),
        };
        Self::new(field, value, allowed, &format!("{shown} is not allowed"))
    }

    /// Returns the error without its texts, for an error that the response counts and does not list. Keeps `retry_after_s`.
    pub(crate) fn unlisted(self) -> Self {
        Self { retry_after_s: self.retry_after_s, ..Rejection::unlisted().into() }
    }
}

/// Returns the first [`MAX_SHOWN_CHARS`] characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The value becomes a JSON string, or null if the rejection has none.
impl From<Rejection> for InvalidValue {
    fn from(Rejection { field, value, allowed, message }: Rejection) -> Self {
        let value = value.map_or(Value::Null, Value::String);
        Self { field, value, allowed, message, retry_after_s: None }
    }
}
