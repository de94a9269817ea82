//! Why a draft is refused.
//!
//! An example: a reading of 2019 is rejected with the field `timestamp`, the value `2019-03-09T10:14:33.000Z`, and the
//! allowed values: a time that is not older than the node keeps readings. Does not cover items that cannot become a
//! draft: the crate that parses them rejects these, with the value in its own format.

/// Why a draft is refused: the field, its value, and the allowed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The field's name; empty if the item as a whole is invalid.
    pub field: String,
    /// The field's value, as text; none if the field is absent or the item as a whole is invalid.
    pub value: Option<String>,
    /// The allowed values.
    pub allowed: String,
    /// The whole rejection as a sentence.
    pub message: String,
}

impl Rejection {
    /// Creates a rejection of `field`, with the value `value`, for `reason`.
    pub fn new(field: &str, value: Option<String>, allowed: impl Into<String>, reason: &str) -> Self {
        let allowed = allowed.into();
        let message = if field.is_empty() {
            format!("{reason}; allowed: {allowed}")
        } else {
            format!("{field}: {reason}; allowed: {allowed}")
        };
        Self { field: field.into(), value, allowed, message }
    }

    /// Creates a rejection without details, for an item that the response only counts.
    pub fn unlisted() -> Self {
        Self { field: String::new(), value: None, allowed: String::new(), message: String::new() }
    }
}
