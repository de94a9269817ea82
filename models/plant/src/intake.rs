//! From a posted JSON object to a draft of a reading: every field checked, nothing guessed.
//!
//! Deliberately absent: reading bytes, arrays and NDJSON (the web's business), and whether the item is
//! new, late or a duplicate ([`crate::Admission`]'s).

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Profile, PumpId, Sample, Timestamp};

/// Where a draft's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// The device said it.
    Device(Timestamp),
    /// The device said none; the node's receive time stands in.
    Received,
}

impl Stamp {
    /// The time that the device said, if it did.
    pub fn device(self) -> Option<Timestamp> {
        match self {
            Self::Device(at) => Some(at),
            Self::Received => None,
        }
    }
}

/// A checked item, before it is known whether it is new.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The pump it names; none means the node's default pump.
    pub pump: Option<PumpId>,
    /// Its time.
    pub stamp: Stamp,
    /// One sample per channel of the profile: [`Sample::Good`], [`Sample::Bad`] or [`Sample::Missing`].
    pub samples: Arc<[Sample]>,
}

/// Why an item was not taken: the field, what it held, and what it may hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rejection {
    /// The field's name; empty where the item as a whole is wrong.
    pub field: String,
    /// What the field held, as sent.
    pub value: Value,
    /// What it may hold.
    pub allowed: String,
    /// The whole as a sentence.
    pub message: String,
}

impl Rejection {
    /// A rejection of `field`, which held `value`, for `reason`.
    pub fn new(field: &str, value: Value, allowed: impl Into<String>, reason: &str) -> Self {
        let allowed = allowed.into();
        let message = if field.is_empty() {
            format!("{reason}; allowed: {allowed}")
        } else {
            format!("{field}: {reason}; allowed: {allowed}")
        };
        Self { field: field.into(), value, allowed, message }
    }
}

/// Checks one item against the profile.
///
/// An unknown field, a wrong type, a bad name or time rejects the item. A number outside a channel's
/// plausible range does not: the sensor is broken, not the client. `null` or absence is a missing value.
pub fn parse_item(profile: &Profile, item: &Value) -> Result<Draft, Rejection> {
    let Value::Object(fields) = item else {
        return Err(Rejection::new(
            "",
            item.clone(),
            "an object of channels and numbers",
            "an item must be a JSON object",
        ));
    };
    let pump = parse_pump(fields)?;
    let stamp = parse_stamp(fields)?;
    let mut samples = vec![Sample::Missing; profile.channels().len()];
    for (name, value) in fields {
        if name == "pump_id" || name == "timestamp" {
            continue;
        }
        let Some(index) = profile.index_of(name) else {
            let allowed = profile.channel_names().chain(["pump_id", "timestamp"]).collect::<Vec<_>>().join(", ");
            return Err(Rejection::new(name, value.clone(), allowed, "no such channel in this pump's profile"));
        };
        samples[index] = parse_sample(profile, index, value)?;
    }
    if samples.iter().all(|s| s.value().is_none()) {
        let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
        return Err(Rejection::new("", item.clone(), allowed, "an item must have at least one channel with a number"));
    }
    Ok(Draft { pump, stamp, samples: samples.into() })
}

fn parse_pump(fields: &Map<String, Value>) -> Result<Option<PumpId>, Rejection> {
    match fields.get("pump_id") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(|text| text.parse().ok()) {
            Some(pump) => Ok(Some(pump)),
            None => Err(Rejection::new("pump_id", value.clone(), PumpId::ALLOWED, "not a pump name")),
        },
    }
}

fn parse_stamp(fields: &Map<String, Value>) -> Result<Stamp, Rejection> {
    let parsed = match fields.get("timestamp") {
        None | Some(Value::Null) => return Ok(Stamp::Received),
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Number(number)) => number.as_i64().and_then(|ms| Timestamp::from_millis(ms).ok()),
        Some(_) => None,
    };
    parsed.map(Stamp::Device).ok_or_else(|| {
        let value = fields.get("timestamp").cloned().unwrap_or_default();
        Rejection::new("timestamp", value, Timestamp::ALLOWED, "not a time")
    })
}

fn parse_sample(profile: &Profile, index: usize, value: &Value) -> Result<Sample, Rejection> {
    let channel = &profile.channels()[index];
    match value {
        Value::Null => Ok(Sample::Missing),
        Value::Number(number) => {
            let value = number.as_f64().filter(|v| v.is_finite());
            let value = value.ok_or_else(|| not_a_number(&channel.name, number.clone().into()))?;
            Ok(channel.sample(value))
        }
        other => Err(not_a_number(&channel.name, other.clone())),
    }
}

fn not_a_number(channel: &str, value: Value) -> Rejection {
    Rejection::new(channel, value, "a finite number, or null where there is no value", "not a number")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{ZERO_BAND, tests::small};

    #[test]
    fn a_wild_sensor_does_not_blind_the_others() {
        let draft = parse_item(&small(), &json!({"Tb": 900, "Q": 120.5})).expect("accepted");
        assert_eq!(&*draft.samples, &[Sample::Bad(900.0), Sample::Good(120.5)]);
        assert_eq!((draft.pump, draft.stamp), (None, Stamp::Received));
    }

    #[test]
    fn absent_and_null_are_missing() {
        let draft =
            parse_item(&small(), &json!({"Tb": null, "Q": 1, "pump_id": "P-1", "timestamp": 1773051273000_i64}));
        let draft = draft.expect("accepted");
        assert_eq!(&*draft.samples, &[Sample::Missing, Sample::Good(1.0)]);
        assert!(matches!(draft.stamp, Stamp::Device(at) if at.millis() == 1_773_051_273_000));
    }

    #[test]
    fn bad_items_name_field_value_and_what_is_allowed() {
        let table = [
            (json!({"Tb": "hot", "Q": 1}), "Tb", json!("hot"), "a finite number"),
            (json!({"Tb": true}), "Tb", json!(true), "a finite number"),
            (json!({"Tb": 1, "Torque": 5}), "Torque", json!(5), "Tb, Q, pump_id, timestamp"),
            (json!({"Tb": 1, "pump_id": "a b"}), "pump_id", json!("a b"), "1 to 64"),
            (json!({"Tb": 1, "pump_id": 7}), "pump_id", json!(7), "1 to 64"),
            (json!({"Tb": 1, "timestamp": "today"}), "timestamp", json!("today"), "RFC 3339"),
            (json!({"Tb": 1, "timestamp": 1773051273}), "timestamp", json!(1773051273), "milliseconds"),
            (json!({}), "", json!({}), "Tb, Q"),
            (json!({"Tb": null}), "", json!({"Tb": null}), "Tb, Q"),
            (json!([1]), "", json!([1]), "an object"),
        ];
        for (item, field, value, allowed) in table {
            let rejection = parse_item(&small(), &item).expect_err(&item.to_string());
            assert_eq!((rejection.field.as_str(), &rejection.value), (field, &value), "{item}");
            assert!(rejection.allowed.contains(allowed), "{item}: {}", rejection.allowed);
            assert!(rejection.message.contains(&rejection.allowed) && rejection.message.contains(field), "{item}");
        }
    }

    #[test]
    fn times_and_names_have_ends() {
        let ok = |item: Value| parse_item(&small(), &item).is_ok();
        let year_2000 = 946_684_800_000_i64;
        let year_2200 = 7_258_118_400_000_i64;
        for (timestamp, allowed) in [
            (json!(year_2000), true),
            (json!(year_2000 - 1), false),
            (json!(year_2200 - 1), true),
            (json!(year_2200), false),
            (json!(1_773_051_273_000.5), false),
            (json!(u64::MAX), false),
            (json!("2000-01-01T00:00:00Z"), true),
            (json!("1999-12-31T23:59:59.999Z"), false),
            (json!("2199-12-31T23:59:59.999Z"), true),
            (json!("2200-01-01T00:00:00Z"), false),
            (json!("2026-03-09T10:14:33"), false),
            (json!(true), false),
            (json!(null), true),
        ] {
            assert_eq!(ok(json!({"Q": 1, "timestamp": timestamp})), allowed, "{timestamp}");
        }
        for (name, allowed) in [("P".repeat(64), true), ("P".repeat(65), false), (String::new(), false)] {
            assert_eq!(ok(json!({"Q": 1, "pump_id": name})), allowed, "{name:?}");
        }
        let unnamed = parse_item(&small(), &json!({"Q": 1, "pump_id": null})).expect("accepted");
        assert_eq!((unnamed.pump, unnamed.stamp, unnamed.stamp.device()), (None, Stamp::Received, None));
    }

    #[test]
    fn a_value_at_the_end_of_the_plausible_range_is_good_and_one_beyond_it_is_bad() {
        let profile = small();
        for (index, channel) in profile.channels().iter().enumerate() {
            let [low, high] = channel.plausible;
            // A zero may have drifted.
            let low = if low == 0.0 { -ZERO_BAND * high } else { low };
            for (value, good) in [(low, true), (high, true), (low.next_down(), false), (high.next_up(), false)] {
                let draft = parse_item(&profile, &json!({&channel.name: value})).expect("accepted");
                let expected = if good { Sample::Good(value) } else { Sample::Bad(value) };
                assert_eq!(draft.samples[index], expected, "{} {value}", channel.name);
                assert_eq!(draft.samples.iter().filter(|sample| sample.value().is_some()).count(), 1);
            }
        }
    }
}
