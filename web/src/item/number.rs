//! A channel's number in JSON, and what other programs write where they have none.

use serde_json::Value;

/// A channel's number; none where it is null. Otherwise why it is none.
pub(crate) fn parse_number(value: &Value) -> Result<Option<f64>, &'static str> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return Err(why_no_number(text)),
        },
        Value::Bool(_) => return Err("true or false, and no number"),
        Value::Array(_) => return Err("a list, and no number"),
        Value::Object(_) => return Err("an object, and no number"),
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err("not a finite number"),
    }
}

fn why_no_number(text: &str) -> &'static str {
    if text.trim().is_empty() {
        "an empty text"
    } else if text.contains(',') && text.trim().replace(',', ".").parse::<f64>().is_ok() {
        "a comma in a number may stand before the fraction or between thousands; send a point, and no thousands' separator"
    } else if is_no_number(text) {
        "not a finite number"
    } else {
        "a text that is no number"
    }
}

/// Whether `text` is what some program writes for a number that is none or too large: `NaN`, `-Infinity`, `1e999`,
/// `-nan(ind)`, `1.#QNAN`.
pub(crate) fn is_no_number(text: &str) -> bool {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return !number.is_finite();
    }
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text).to_ascii_lowercase();
    matches!(bare.as_str(), "nan(ind)" | "nan(snan)" | "1.#qnan" | "1.#snan" | "1.#ind" | "1.#inf" | "1.#nan")
}
