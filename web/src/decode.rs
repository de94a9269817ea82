//! Reads a JSON value into a type. What cannot be read is refused with the field, what it holds and what it may hold.
//!
//! The struct that derives `Deserialize` is all that there is to say about a body or a query: what is optional, what else is
//! refused (`deny_unknown_fields`), and the types that check the values. For
//! `struct Start { speed: Option<Speed>, pumps: Option<Vec<Pump>> }`:
//!
//! ```text
//! {"spede": 1}                                spede: no such field; allowed: speed, pumps
//! {"speed": 99}                               speed: not allowed here; allowed: 1 to 60
//! {"pumps": [{"pump_id": "A", "seed": -1}]}   pumps[0].seed: not allowed here; allowed: a whole number from 0
//! ```
//!
//! The path is serde's way to the error (`serde_path_to_error`), the value is looked up by it. What is allowed is the end of
//! the error's text, after `; allowed: `, as the errors of this workspace's `FromStr` have it, or after `, expected `, as serde
//! has it.

use std::fmt::Display;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::invalid_value::InvalidValue;

/// Why a value is refused where there is no better reason.
const NOT_ALLOWED: &str = "not allowed here";

/// The value as a `T`. `what` is what one of its fields is called in a refusal: a field, a parameter.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, InvalidValue> {
    // Serde would take an array for a struct, too.
    if !value.is_object() {
        return Err(InvalidValue::new("", value.clone(), "an object", "not an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let field = if error.path().iter().len() == 0 { String::new() } else { error.path().to_string() };
        refusal(field, held(value, error.path()), &error.inner().to_string(), what)
    })
}

/// What a type's parser says of a text that it refuses: `why`, and what is `allowed`.
pub(crate) fn refused(allowed: impl Display) -> String {
    format!("{NOT_ALLOWED}; allowed: {allowed}")
}

/// A number in a body of which its type says what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Value", bound = "T: FromNumber")]
pub(crate) struct Number<T: FromNumber>(pub(crate) T);

/// What a [`Number`] may be of.
pub(crate) trait FromNumber: Sized {
    /// What may be sent, for error messages.
    const ALLOWED: &'static str;

    /// The number of this JSON; none where it is no number, or not allowed.
    fn from_number(number: &Value) -> Option<Self>;
}

impl<T: FromNumber> TryFrom<Value> for Number<T> {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        T::from_number(&value).map(Self).ok_or_else(|| refused(T::ALLOWED))
    }
}

fn refusal(field: String, held: Value, error: &str, what: &str) -> InvalidValue {
    if let Some(name) = error.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        return InvalidValue::new(&field, Value::Null, "a value", "missing");
    }
    let ours = error.rsplit_once("; allowed: ");
    let serdes = error.rsplit_once(", expected ");
    // The value, which may be any text, stands before both: the later one is no part of it.
    let (why, allowed) = match (ours, serdes) {
        (Some((why, allowed)), serdes) if serdes.is_none_or(|(before, _)| before.len() < why.len()) => {
            (why, allowed.to_owned())
        }
        (_, Some((_, allowed))) if allowed.contains('`') => (NOT_ALLOWED, quoted(allowed)),
        (_, Some((_, allowed))) => (NOT_ALLOWED, allowed.to_owned()),
        (_, None) => (error, String::new()),
    };
    if error.starts_with("unknown field ") {
        let allowed = if allowed.is_empty() { format!("no {what}") } else { allowed };
        return InvalidValue::new(&field, held, allowed, &format!("no such {what}"));
    }
    InvalidValue::new(&field, held, allowed, why)
}

/// The names in backticks.
fn quoted(names: &str) -> String {
    names.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// What is at a path.
fn held(value: &Value, path: &Path) -> Value {
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
    fn a_refusal_names_field_value_and_what_is_allowed() {
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
            let no = from_value::<Outer>(&value, "field").expect_err(field);
            assert_eq!((no.field.as_str(), &no.value, no.allowed.as_str()), (field, &held, allowed), "{value}");
        }
        let no = from_value::<Nothing>(&json!({"x": 1}), "parameter").expect_err("refused");
        assert_eq!(no.message, "x: no such parameter; allowed: no parameter");
    }
}
