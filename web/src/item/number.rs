//! Parses a channel's number, and recognizes what programs send instead of a number.

use serde_json::Value;

/// Parses a channel's number; none for null. An error says why the value is not a number.
pub(crate) fn parse_number(value: &Value) -> Result<Option<f64>, &'static str> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return Err(non_numeric_reason(text)),
        },
        Value::Bool(_) => return Err("a boolean, not a number"),
        Value::Array(_) => return Err("an array, not a number"),
        Value::Object(_) => return Err("an object, not a number"),
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err("not a finite number"),
    }
}

fn non_numeric_reason(text: &str) -> &'static str {
    if text.trim().is_empty() {
        "empty text"
    } else if text.contains(',') && text.trim().replace(',', ".").parse::<f64>().is_ok() {
        "a comma may be a decimal or a thousands separator; send a decimal point, and no thousands separators"
    } else if is_non_finite(text) {
        "not a finite number"
    } else {
        "text that is not a number"
    }
}

/// Returns whether `text` is what a program writes for a non-finite or too large number: `NaN`, `-Infinity`, `1e999`,
/// `-nan(ind)`, `1.#QNAN`.
pub(crate) fn is_non_finite(text: &str) -> bool {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return !number.is_finite();
    }
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text).to_ascii_lowercase();
    matches!(bare.as_str(), "nan(ind)" | "nan(snan)" | "1.#qnan" | "1.#snan" | "1.#ind" | "1.#inf" | "1.#nan")
}
