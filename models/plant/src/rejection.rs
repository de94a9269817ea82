//! Why a draft is not taken.
//!
//! An example: a reading of 2019 is rejected with the field `timestamp`, the value `2019-03-09T10:14:33.000Z`, and what is
//! allowed: a time that is not older than the node keeps readings. Does not handle items of which no draft can be made: those
//! are rejected at the edge that reads them, with the value in that edge's own form.

/// Why a draft was not taken: the field, what it held, and what it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The field's name; empty where the item as a whole is wrong.
    pub field: String,
    /// What the field held, as a text; none where the field is absent, or the item as a whole is meant.
    pub value: Option<String>,
    /// What it may hold.
    pub allowed: String,
    /// The whole as a sentence.
    pub message: String,
}

impl Rejection {
    /// A rejection of `field`, which held `value`, for `reason`.
    pub fn new(field: &str, value: Option<String>, allowed: impl Into<String>, reason: &str) -> Self {
        let allowed = allowed.into();
        let message = if field.is_empty() {
            format!("{reason}; allowed: {allowed}")
        } else {
            format!("{field}: {reason}; allowed: {allowed}")
        };
        Self { field: field.into(), value, allowed, message }
    }

    /// One that no answer lists: it is only counted.
    pub fn unlisted() -> Self {
        Self { field: String::new(), value: None, allowed: String::new(), message: String::new() }
    }
}
