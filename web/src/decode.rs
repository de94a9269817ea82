//! Deserializes a JSON value into a type. An error names the field, its value, and which values are allowed.
//!
//! The struct that derives `Deserialize` defines a body or a query completely: which fields are optional, that others are
//! refused (`deny_unknown_fields`), and, by its types, which values are allowed. For `struct Start { speed: Option<Speed>,
//! pumps: Option<Vec<Pump>> }`:
//!
//! ```text
//! {"spede": 1}                                spede: no such field; allowed: speed, pumps
//! {"speed": 99}                               speed: 99 is not allowed; allowed: 1 to 60
//! {"pumps": [{"pump_id": "A", "seed": -1}]}   pumps[0].seed: -1 is not allowed; allowed: a whole number from 0
//! ```
//!
//! The path to the error comes from serde (`serde_path_to_error`), and the value is looked up by that path. The allowed values
//! are the end of the error's text: after `; allowed: `, as in the errors of this workspace's `FromStr` implementations, or
//! after `, expected `, as in serde's own errors.

use std::fmt::Display;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::invalid_value::InvalidValue;

/// The reason in a parser's error that has no specific reason: the message is then made by [`InvalidValue::unspecific`].
const NOT_ALLOWED: &str = "not allowed";

/// Deserializes `value`. `what` is the word for one of its fields in an error: `field` or `parameter`.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, InvalidValue> {
    // Serde would also accept an array for a struct.
    if !value.is_object() {
        return Err(InvalidValue::new("", value.clone(), "an object", "not an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let field = if error.path().iter().len() == 0 { String::new() } else { error.path().to_string() };
        invalid_value(field, value_at(value, error.path()), &error.inner().to_string(), what)
    })
}

/// Returns the error text of a parser that refuses a value.
pub(crate) fn not_allowed(allowed: impl Display) -> String {
    format!("{NOT_ALLOWED}; allowed: {allowed}")
}

/// A number in a body, checked by its type.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Value", bound = "T: FromNumber")]
pub(crate) struct Number<T: FromNumber>(pub(crate) T);

/// A type that a [`Number`] can hold.
pub(crate) trait FromNumber: Sized {
    /// The allowed values, for error messages.
    const ALLOWED: &'static str;

    /// Converts JSON; none if it is not a number or not allowed.
    fn from_number(number: &Value) -> Option<Self>;
}

impl<T: FromNumber> TryFrom<Value> for Number<T> {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        T::from_number(&value).map(Self).ok_or_else(|| not_allowed(T::ALLOWED))
    }
}

fn invalid_value(field: String, value: Value, error: &str, what: &str) -> InvalidValue {
    if let Some(name) = error.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        return InvalidValue::new(&field, Value::Null, "a value", "missing");
    }
    let own_format = error.rsplit_once("; allowed: ");
    let serde_format = error.rsplit_once(", expected ");
    // The value, which may be any text, precedes both markers, so the last marker is not part of it.
    let (why, allowed) = match (own_format, serde_format) {
        (Some((why, allowed)), serde_format) if serde_format.is_none_or(|(before, _)| before.len() < why.len()) => {
            (why, allowed.to_owned())
        }
        (_, Some((_, allowed))) if allowed.contains('`') => (NOT_ALLOWED, backticked(allowed)),
        (_, Some((_, allowed))) => (NOT_ALLOWED, allowed.to_owned()),
        (_, None) => (error, String::new()),
    };
    if error.starts_with("unknown field ") {
        let allowed = if allowed.is_empty() { format!("no {what}") } else { allowed };
        return InvalidValue::new(&field, value, allowed, &format!("no such {what}"));
    }
    if why == NOT_ALLOWED {
        return InvalidValue::unspecific(&field, value, allowed);
    }
    InvalidValue::new(&field, value, allowed, why)
}

/// Returns the names in backticks, separated by commas.
fn backticked(names: &str) -> String {
    names.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// Returns the value at a path.
fn value_at(value: &Value, path: &Path) -> Value {
    let mut at = Some(value);
    for segment in path {
        at = match segment {
            Segment::Seq { index } => at.and_then(|value| value.get(index)),
            Segment::Map { key } => at.and_then(|value| value.get(key)),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
    }
    at.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use volute_plant::Timestamp;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only that it is read matters")]
    struct Outer {
        state: Option<State>,
        inner: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    #[expect(dead_code, reason = "only that it is read matters")]
    struct Inner {
        at: Timestamp,
        seed: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        On,
        Off,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn an_error_names_the_field_the_value_and_the_allowed_values() {
        for (value, field, held, allowed) in [
            (json!([]), "", json!([]), "an object"),
            (json!({"stat": 1}), "stat", json!(1), "state, inner"),
            (json!({", expected `": 1}), ", expected `", json!(1), "state, inner"),
            (json!({"state": "on; allowed: x"}), "state", json!("on; allowed: x"), "on, off"),
            (json!({"inner": [{"at": "1773051273000"}, 7]}), "inner[1]", json!(7), "an object"),
            (json!({"inner": [{"at": "1773051273000", "seed": 300}]}), "inner[0].seed", json!(300), "u8"),
            (json!({"inner": [{"at": "1773051273000", "sead": 1}]}), "inner[0].sead", json!(1), "at, seed"),
            (json!({"inner": [{"at": "soon"}]}), "inner[0].at", json!("soon"), Timestamp::ALLOWED),
            (json!({"inner": [{}]}), "inner[0].at", json!(null), "a value"),
        ] {
            let error = from_value::<Outer>(&value, "field").expect_err(field);
            assert_eq!(
                (error.field.as_str(), &error.value, error.allowed.as_str()),
                (field, &held, allowed),
                "{value}"
            );
        }
        for (value, expected) in [
            (json!({"state": "onn"}), "state: 'onn' is not allowed; allowed: on, off"),
            (json!({"inner": [7]}), "inner[0]: 7 is not allowed; allowed: an object"),
            (json!({"inner": [[]]}), "inner[0]: a list is not allowed; allowed: an object"),
        ] {
            assert_eq!(from_value::<Outer>(&value, "field").expect_err(expected).message, expected);
        }
        let long = from_value::<Outer>(&json!({"state": "x".repeat(9_000)}), "field").expect_err("long");
        assert!(long.message.len() < 200, "{}", long.message);
        let error = from_value::<Nothing>(&json!({"x": 1}), "parameter").expect_err("refused");
        assert_eq!(error.message, "x: no such parameter; allowed: no parameter");
    }
}
