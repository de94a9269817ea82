//! A value that is not allowed: the field, what it held as it was sent, and what it may hold.
//!
//! It is what a query, a body or one item of a post is refused with. Does not handle how it is sent: as problem details
//! (`problem.rs`), or as an entry of the answer to a post (`routes/ingest.rs`).

use serde_json::Value;
use volute_plant::Rejection;

/// Why a request, or one item of a post, was not taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InvalidValue {
    /// The field's name; empty where the whole is wrong.
    pub(crate) field: String,
    /// What the field held, as sent.
    pub(crate) value: Value,
    /// What it may hold.
    pub(crate) allowed: String,
    /// All of this as a sentence.
    pub(crate) message: String,
}

impl InvalidValue {
    /// `field` held `value`, which is not allowed for `reason`.
    pub(crate) fn new(field: &str, value: Value, allowed: impl Into<String>, reason: &str) -> Self {
        Self { value, ..Rejection::new(field, None, allowed, reason).into() }
    }

    /// One that no answer lists: it is only counted.
    pub(crate) fn unlisted() -> Self {
        Rejection::unlisted().into()
    }
}

/// What was said inside is a text, or null where there was none.
impl From<Rejection> for InvalidValue {
    fn from(Rejection { field, value, allowed, message }: Rejection) -> Self {
        Self { field, value: value.map_or(Value::Null, Value::String), allowed, message }
    }
}
