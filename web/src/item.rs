//! From the fields of a posted JSON object to a draft of a reading: what is unambiguous is taken, nothing is guessed.
//!
//! - A field is a channel by its name, or by the same letters and digits in other case or with other separators
//!   (`motor-rpm`, `Motor RPM` and `MotorRPM` are `Motor_RPM`) where that is one channel only.
//! - The pump is named by `pump_id`, or else by `pump`, or else by `device`; the time by `timestamp`, or else by `ts`,
//!   `time` or `datetime`. They are found in any case, too.
//! - `profile` names the profile of a pump that is new, where that is not the node's default one ([`Profiles`]).
//! - Any other field is left out and listed ([`LeftOut`]).
//! - A channel's value is a number, or a text that is one (`"61.5"`). Any other value is missing and listed; it costs
//!   nothing but its channel. `null` is missing and no more: so a client says that there is none.
//! - An item in which no channel has a number is rejected: it would make a pump look alive of which nothing is known.
//! - A pump or a time that cannot be read rejects its item: taken without it, its values would be another pump's, or
//!   another time's.
//!
//! An example: `{"Pump": "P-7", "ts": 1773051273, "motor_rpm": "1480", "Oil_Pressure_bar": "Bad Input", "quality": "GOOD"}`
//! is a draft of P-7 at 2026-03-09T10:14:33Z with the one number 1480. Left out are the value of `Oil_Pressure_bar` and the
//! field `quality`.
//!
//! Does not handle bytes, arrays and NDJSON (`body.rs`), nor whether the item is new, late or a duplicate
//! ([`volute_plant::Admission`]).

pub(crate) mod left_out;
pub(crate) mod number;
mod profiles;
#[cfg(test)]
mod tests;

use serde_json::Value;
use volute_actors::UnfitProfile;
use volute_plant::{Draft, Profile, PumpId, PumpIdError, Sample, Timestamp, TimestampSource, alike};

use self::number::{is_no_number, parse_number};
pub(crate) use self::{
    left_out::{LeftOut, NotANumber, UnknownField},
    profiles::{PostProfiles, Profiles},
};
use crate::invalid_value::InvalidValue;

/// The fields that name a pump, the first that is there wins.
const PUMP_FIELDS: [&str; 3] = ["pump_id", "pump", "device"];
/// The field that names the profile of a pump that is new.
const PROFILE_FIELD: &str = "profile";
/// The fields that say the time, the first that is there wins.
const TIME_FIELDS: [&str; 4] = ["timestamp", "ts", "time", "datetime"];

/// Checks one item against the profile of its pump: `fields` as sent, `index` its place in the post.
///
/// A number outside a channel's plausible range does not reject the item: the sensor is broken, not the client.
pub(crate) fn parse_item(
    profiles: &dyn Profiles,
    index: usize,
    fields: &[(String, Value)],
    left_out: &mut LeftOut,
) -> Result<Draft, InvalidValue> {
    let profile = &profile_of(profiles, fields)?;
    let named = Named::find(profile, fields)?;
    let (pump, stamp) = (parse_pump(named.pump)?, parse_stamp(named.time)?);
    let mut samples = vec![Sample::Missing; profile.channels().len()];
    let mut first_bad = None;
    for (place, field) in named.channels.iter().enumerate() {
        let Some((name, value)) = field else { continue };
        match parse_number(value) {
            Ok(Some(number)) => samples[place] = profile.channels()[place].sample(number),
            Ok(None) => {}
            Err(why) => {
                first_bad.get_or_insert((name, value));
                left_out.not_a_number(index, &profile.channels()[place].name, value, why);
            }
        }
    }
    for (name, value) in named.unknown {
        left_out.unknown_field(index, name, value);
    }
    if samples.iter().all(|sample| sample.value().is_none()) {
        let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
        let mut reason = "an item must have at least one channel with a number".to_owned();
        if let Some((name, value)) = first_bad {
            reason.push_str(&format!(": {name} holds {}", left_out::shown(value)));
        }
        return Err(InvalidValue::new("", fields.iter().cloned().collect(), allowed, &reason));
    }
    Ok(Draft { pump, profile: profile.clone(), stamp, samples: samples.into() })
}

type Field = (String, Value);

/// The profile by which an item is read: what its pump is of, or what it names. A pump that cannot be read has none; that is
/// said when its field has its turn.
fn profile_of(profiles: &dyn Profiles, fields: &[Field]) -> Result<Profile, InvalidValue> {
    let find = |name: &str| fields.iter().find(|(known, value)| alike(name, known) && !value.is_null());
    let pump = PUMP_FIELDS.iter().find_map(|name| find(name));
    let pump: Option<PumpId> = pump.and_then(|(_, value)| value.as_str()?.parse().ok());
    let Some((name, value)) = find(PROFILE_FIELD) else {
        return profiles
            .of(pump.as_ref(), None)
            .map_err(|UnfitProfile { allowed, why }| InvalidValue::new("", Value::Null, allowed, &why));
    };
    let Some(named) = value.as_str() else {
        return Err(InvalidValue::new(name, value.clone(), "the name of a profile", "no text"));
    };
    let profile = profiles.of(pump.as_ref(), Some(named));
    profile.map_err(|UnfitProfile { allowed, why }| InvalidValue::new(name, value.clone(), allowed, &why))
}

/// An item's fields by what they mean.
struct Named<'a> {
    pump: Option<&'a Field>,
    time: Option<&'a Field>,
    /// By the channels' places in the profile.
    channels: Vec<Option<&'a Field>>,
    unknown: Vec<&'a Field>,
}

impl<'a> Named<'a> {
    /// A field that is there twice rejects the item: it is not known which one is meant.
    fn find(profile: &Profile, fields: &'a [Field]) -> Result<Self, InvalidValue> {
        let mut channels = vec![None; profile.channels().len()];
        let (mut pump, mut time) = ([None; PUMP_FIELDS.len()], [None; TIME_FIELDS.len()]);
        let mut others = Vec::new();
        for field in fields {
            let (name, _) = field;
            if let Some(place) = profile.index_of(name) {
                put(&mut channels[place], field)?;
            } else if let Some(rank) = PUMP_FIELDS.iter().position(|known| alike(known, name)) {
                put(&mut pump[rank], field)?;
            } else if alike(PROFILE_FIELD, name) {
                // Found before: it says by which profile all this is read.
            } else if let Some(rank) = TIME_FIELDS.iter().position(|known| alike(known, name)) {
                put(&mut time[rank], field)?;
            } else {
                others.push(field);
            }
        }
        let mut unknown = Vec::new();
        for field in others {
            // The channel's own name goes before one that is like it.
            match profile.like(&field.0).map(|place| &mut channels[place]) {
                Some(channel @ None) => *channel = Some(field),
                _ => unknown.push(field),
            }
        }
        Ok(Self { pump: first(&pump, &mut unknown), time: first(&time, &mut unknown), channels, unknown })
    }
}

fn put<'a>(place: &mut Option<&'a Field>, field: &'a Field) -> Result<(), InvalidValue> {
    match place.replace(field) {
        None => Ok(()),
        Some(_) => {
            Err(InvalidValue::new(&field.0, field.1.clone(), "each field once", "the item has this field twice"))
        }
    }
}

/// The first that is there and not null; the others are fields like any other.
fn first<'a>(found: &[Option<&'a Field>], unknown: &mut Vec<&'a Field>) -> Option<&'a Field> {
    let mut said = found.iter().flatten().copied().filter(|(_, value)| !value.is_null());
    let first = said.next();
    unknown.extend(said);
    first
}

fn parse_pump(field: Option<&Field>) -> Result<Option<PumpId>, InvalidValue> {
    let Some((name, value)) = field else { return Ok(None) };
    // What a program makes of a number that it does not have is no pump.
    let text = value.as_str().filter(|text| !is_no_number(text));
    let pump =
        text.ok_or_else(|| "no pump id".to_owned()).and_then(|text| text.parse().map_err(|no: PumpIdError| no.why()));
    pump.map(Some).map_err(|why| InvalidValue::new(name, value.clone(), PumpId::ALLOWED, &why))
}

fn parse_stamp(field: Option<&Field>) -> Result<TimestampSource, InvalidValue> {
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
