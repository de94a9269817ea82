//! Converts the fields of a posted JSON object into a draft of a reading. Accepts what is unambiguous and guesses nothing.
//!
//! - A field is a channel if it has the channel's name, or the same letters and digits in other case or with other separators
//!   (`motor-rpm`, `Motor RPM` and `MotorRPM` are `Motor_RPM`), and no other channel matches.
//! - The pump is the field `pump_id`, else `pump`, else `device`; the time is `timestamp`, else `ts`, `time` or `datetime`.
//!   Case and separators do not matter here either.
//! - `profile` names the profile of a new pump, if it is not the node's default one ([`Profiles`]). The first item of the post
//!   that names one for the pump decides for all of the pump's items.
//! - Any other field is ignored, and listed in the response ([`IgnoredFields`]).
//! - A channel's value is a number, or text that is a number (`"61.5"`). With any other value the channel is missing, and the
//!   value is listed in the response; the other channels are not affected. `null` is missing and not listed: clients send it
//!   for "no value".
//! - An item without a number in any channel is rejected: it would show a pump as live although nothing is known about it.
//! - An item whose pump or time is invalid is rejected: without it, the values would be attributed to another pump or another
//!   time.
//!
//! An example: `{"Pump": "P-7", "ts": 1773051273, "motor_rpm": "1480", "Oil_Pressure_bar": "Bad Input", "quality": "GOOD"}`
//! becomes a draft of P-7 at 2026-03-09T10:14:33Z with the single number 1480. The value of `Oil_Pressure_bar` and the field
//! `quality` are ignored and listed.
//!
//! Does not handle bytes, arrays and NDJSON (see `body.rs`), nor whether the item is new, late or a duplicate
//! (see [`volute_plant::Admission`]).

pub(crate) mod ignored;
pub(crate) mod number;
mod profiles;
#[cfg(test)]
mod tests;

use serde_json::Value;
use volute_actors::UnfitProfile;
use volute_plant::{Draft, Profile, PumpId, PumpIdError, Sample, Timestamp, TimestampSource, names_match};

use self::number::{is_non_finite, parse_number};
pub(crate) use self::{
    ignored::{IgnoredFields, NonNumericValue, UnknownField},
    profiles::{PostProfiles, Profiles},
};
use crate::invalid_value::InvalidValue;

/// The fields that name a pump; the first one present is used.
const PUMP_FIELDS: [&str; 3] = ["pump_id", "pump", "device"];
/// The field that names the profile of a new pump.
const PROFILE_FIELD: &str = "profile";
/// The fields that hold the time; the first one present is used.
const TIME_FIELDS: [&str; 4] = ["timestamp", "ts", "time", "datetime"];

/// Parses one item by the profile of its pump. `fields` are as sent; `index` is the item's index in the post.
///
/// A number outside a channel's plausible range does not reject the item: the sensor is faulty, not the client.
pub(crate) fn parse_item(
    profiles: &dyn Profiles,
    index: usize,
    fields: &[(String, Value)],
    ignored: &mut IgnoredFields,
) -> Result<Draft, InvalidValue> {
    let profile = &profile_of(profiles, fields)?;
    let named = ItemFields::classify(profile, fields)?;
    let (pump, timestamp) = (parse_pump(named.pump)?, parse_timestamp(named.time)?);
    let mut samples = vec![Sample::Missing; profile.channels().len()];
    let mut first_invalid = None;
    for (channel, field) in named.channels.iter().enumerate() {
        let Some((name, value)) = field else { continue };
        match parse_number(value) {
            Ok(Some(number)) => samples[channel] = profile.channels()[channel].sample(number),
            Ok(None) => {}
            Err(why) => {
                first_invalid.get_or_insert((name, value));
                ignored.add_non_numeric(index, &profile.channels()[channel].name, value, why);
            }
        }
    }
    for (name, value) in named.unknown {
        ignored.add_unknown(index, name, value);
    }
    if samples.iter().all(|sample| sample.value().is_none()) {
        let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
        let mut reason = "an item must have at least one channel with a number".to_owned();
        if let Some((name, value)) = first_invalid {
            reason.push_str(&format!(": {name} holds {}", ignored::truncated(value)));
        }
        return Err(InvalidValue::new("", fields.iter().cloned().collect(), allowed, &reason));
    }
    Ok(Draft { pump, profile: profile.clone(), timestamp, samples: samples.into() })
}

type Field = (String, Value);

/// Returns the first field of this name that is not null.
fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|(known, value)| names_match(name, known) && !value.is_null())
}

/// Returns the pump that an item names. An invalid one is ignored here; its error is reported when its field is parsed.
fn find_pump(fields: &[Field]) -> Option<PumpId> {
    let (_, value) = PUMP_FIELDS.iter().find_map(|name| find(fields, name))?;
    value.as_str()?.parse().ok()
}

/// Returns the profile that an item names, with the pump that it names; none if it names no profile, or an invalid pump.
pub(crate) fn profile_named_in(fields: &[Field]) -> Option<(Option<PumpId>, String)> {
    let (_, value) = find(fields, PROFILE_FIELD)?;
    let pump = find_pump(fields);
    if pump.is_none() && PUMP_FIELDS.iter().any(|name| find(fields, name).is_some()) {
        return None;
    }
    Some((pump, value.as_str()?.to_owned()))
}

/// Returns the profile of an item: that of its pump, or the one that it names.
fn profile_of(profiles: &dyn Profiles, fields: &[Field]) -> Result<Profile, InvalidValue> {
    let pump = find_pump(fields);
    let Some((name, value)) = find(fields, PROFILE_FIELD) else {
        return profiles.of(pump.as_ref(), None).map_err(|unfit| unfit_profile("", Value::Null, unfit));
    };
    let Some(named) = value.as_str() else {
        return Err(InvalidValue::new(name, value.clone(), "the name of a profile", "not text"));
    };
    let profile = profiles.of(pump.as_ref(), Some(named));
    profile.map_err(|unfit| unfit_profile(name, value.clone(), unfit))
}

fn unfit_profile(
    field: &str,
    value: Value,
    UnfitProfile { allowed, reason, retry_after_s }: UnfitProfile,
) -> InvalidValue {
    InvalidValue { retry_after_s, ..InvalidValue::new(field, value, allowed, &reason) }
}

/// An item's fields by their meaning.
struct ItemFields<'a> {
    pump: Option<&'a Field>,
    time: Option<&'a Field>,
    /// By the channels' index in the profile.
    channels: Vec<Option<&'a Field>>,
    unknown: Vec<&'a Field>,
}

impl<'a> ItemFields<'a> {
    /// Assigns each field its meaning. A repeated field rejects the item: it is not known which one is meant.
    fn classify(profile: &Profile, fields: &'a [Field]) -> Result<Self, InvalidValue> {
        let mut channels = vec![None; profile.channels().len()];
        let (mut pump, mut time) = ([None; PUMP_FIELDS.len()], [None; TIME_FIELDS.len()]);
        let mut unmatched = Vec::new();
        for field in fields {
            let (name, _) = field;
            if let Some(channel) = profile.index_of(name) {
                set_once(&mut channels[channel], field)?;
            } else if let Some(rank) = PUMP_FIELDS.iter().position(|known| names_match(known, name)) {
                set_once(&mut pump[rank], field)?;
            } else if names_match(PROFILE_FIELD, name) {
                // Used by `profile_of`.
            } else if let Some(rank) = TIME_FIELDS.iter().position(|known| names_match(known, name)) {
                set_once(&mut time[rank], field)?;
            } else {
                unmatched.push(field);
            }
        }
        let mut unknown = Vec::new();
        for field in unmatched {
            // A field with the exact name of the channel takes precedence over a similar one.
            match profile.index_of_similar(&field.0).map(|channel| &mut channels[channel]) {
                Some(slot @ None) => *slot = Some(field),
                _ => unknown.push(field),
            }
        }
        Ok(Self {
            pump: first_present(&pump, &mut unknown),
            time: first_present(&time, &mut unknown),
            channels,
            unknown,
        })
    }
}

fn set_once<'a>(slot: &mut Option<&'a Field>, field: &'a Field) -> Result<(), InvalidValue> {
    match slot.replace(field) {
        None => Ok(()),
        Some(_) => {
            Err(InvalidValue::new(&field.0, field.1.clone(), "each field once", "the item has this field twice"))
        }
    }
}

/// Returns the first field that is present and not null. The others are added to the unknown fields.
fn first_present<'a>(candidates: &[Option<&'a Field>], unknown: &mut Vec<&'a Field>) -> Option<&'a Field> {
    let mut present = candidates.iter().flatten().copied().filter(|(_, value)| !value.is_null());
    let first = present.next();
    unknown.extend(present);
    first
}

fn parse_pump(field: Option<&Field>) -> Result<Option<PumpId>, InvalidValue> {
    let Some((name, value)) = field else { return Ok(None) };
    // Clients write `NaN` or `-Infinity` for a value that they do not have. It is not a pump id.
    let text = value.as_str().filter(|text| !is_non_finite(text));
    let pump = text
        .ok_or_else(|| "not a valid pump id".to_owned())
        .and_then(|text| text.parse().map_err(|error: PumpIdError| error.why()));
    pump.map(Some).map_err(|why| InvalidValue::new(name, value.clone(), PumpId::ALLOWED, &why))
}

fn parse_timestamp(field: Option<&Field>) -> Result<TimestampSource, InvalidValue> {
    let Some((name, value)) = field else { return Ok(TimestampSource::Received) };
    let parsed = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Timestamp::from_epoch(whole).ok(),
            (None, Some(number)) => Timestamp::from_epoch_fraction(number).ok(),
            (None, None) => None,
        },
        _ => None,
    };
    parsed.map(TimestampSource::Device).ok_or_else(|| {
        let reason = match value {
            Value::String(text) if Timestamp::lacks_offset(text) => {
                "a time without its offset from UTC, so its hour is not known; add Z where it is UTC, or +01:00 and the like"
            }
            _ => "not a time",
        };
        InvalidValue::new(name, value.clone(), Timestamp::ALLOWED, reason)
    })
}
