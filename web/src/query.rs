//! Query parameters as typed structs.
//!
//! A route defines its parameters once, as a struct: the API's description is generated from it (`IntoParams`), and [`Query`]
//! parses a request's parameters into it. Errors for unknown, repeated and invalid parameters name the parameter. For
//! `struct Page { limit: Option<Limit>, cursor: Option<Cursor> }`:
//!
//! ```text
//! ?limt=5             limt: no such parameter; allowed: limit, cursor
//! ?limit=1&limit=2    limit: given more than once; allowed: one value
//! ?limit=0            limit: '0' is not allowed; allowed: 1 to 10000
//! ```
//!
//! This module also has the types of parameters that several routes share. Those of lists are in `list.rs`.

use std::{
    fmt::Display,
    future::{Ready, ready},
    slice,
    str::FromStr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value, map::Entry};
use volute_plant::{Profile, PumpId, Timestamp, TimestampError};

use crate::{
    decode::{from_value, not_allowed},
    invalid_value::InvalidValue,
    problem::ApiError,
};

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> Query<T> {
    /// Parses a query string.
    pub(crate) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut fields = Map::new();
        for (name, value) in pairs(query)? {
            match fields.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(value.into())),
                Entry::Occupied(mut entry) => match entry.get_mut() {
                    Value::Array(values) => values.push(value.into()),
                    first => *first = Value::Array(vec![first.take(), value.into()]),
                },
            }
        }
        from_value(&Value::Object(fields), "parameter")
            .map(Self)
            .map_err(|error| ApiError::Invalid(single_value_expected(error)))
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()))
    }
}

/// Returns the names and values of a query string, decoded.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    match web::Query::<Vec<(String, String)>>::from_query(query) {
        Ok(pairs) => Ok(pairs.into_inner()),
        Err(error) => Err(ApiError::invalid("", query, "name=value pairs joined by &", &error.to_string())),
    }
}

/// Converts the error of a repeated parameter, which is an array here, into one that names its second value.
fn single_value_expected(error: InvalidValue) -> InvalidValue {
    match error.value.get(1) {
        Some(second) if error.allowed == "a string" => {
            InvalidValue::new(&error.field, second.clone(), "one value", "given more than once")
        }
        _ => error,
    }
}

/// The parameters of a route that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// A parameter, or a field of a body, that is parsed by its type's `FromStr`. The error of `FromStr` must name what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A pump's id. The `Deserialize` of `PumpId` is for stored data: it also accepts ids that are no longer allowed.
pub(crate) type PumpParam = Parsed<PumpId>;

/// A time, as text or in seconds to nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TimeParam(pub(crate) Timestamp);

impl TryFrom<String> for TimeParam {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        // A `+` that is not percent-encoded is decoded as a space: `10:14:33+05:30` arrives as `10:14:33 05:30`.
        text.parse().or_else(|_| text.replace(' ', "+").parse()).map(Self)
    }
}

/// The start (inclusive) and the end (exclusive) of a time range; both are optional. The end is not before the start.
pub(crate) type TimeRange = (Option<Timestamp>, Option<Timestamp>);

/// Parses the parameters `from` and `to`.
pub(crate) fn time_range(from: Option<TimeParam>, to: Option<TimeParam>) -> Result<TimeRange, ApiError> {
    if let (Some(TimeParam(from)), Some(TimeParam(to))) = (from, to)
        && to < from
    {
        return Err(ApiError::invalid("to", &to.to_string(), format!("{from} or later"), "before from"));
    }
    Ok((from.map(|from| from.0), to.map(|to| to.0)))
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Flag(pub(crate) bool);

impl TryFrom<String> for Flag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| not_allowed("true, false"))
    }
}

/// Parameter `channel`: channels' names, repeated or separated by commas.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum ChannelsParam {
    Once(String),
    Repeated(Vec<String>),
}

impl ChannelsParam {
    /// Returns the indices of the channels in the profile, in ascending order; all channels if the parameter is absent.
    pub(crate) fn indices(named: Option<&Self>, profile: &Profile) -> Result<Vec<usize>, ApiError> {
        let all = 0..profile.channels().len();
        let texts = match named {
            None => return Ok(all.collect()),
            Some(Self::Once(text)) => slice::from_ref(text),
            Some(Self::Repeated(texts)) => texts,
        };
        let mut selected = vec![false; profile.channels().len()];
        for name in texts.iter().flat_map(|text| text.split(',')) {
            let Some(index) = profile.index_of(name) else {
                let allowed = profile.channel_names().collect::<Vec<_>>().join(", ");
                return Err(ApiError::invalid("channel", name, allowed, "no such channel"));
            };
            selected[index] = true;
        }
        Ok(all.filter(|&index| selected[index]).collect())
    }
}

/// Returns the text if it is one of `names`.
pub(crate) fn one_of(text: String, names: &[&str]) -> Result<String, String> {
    if names.contains(&text.as_str()) { Ok(text) } else { Err(not_allowed(names.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channels::tests::profile, list::Limit};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct All {
        limit: Option<Limit>,
        channel: Option<ChannelsParam>,
        from: Option<TimeParam>,
        to: Option<TimeParam>,
        only_anomalies: Option<Flag>,
        pump_id: Option<PumpParam>,
    }

    fn parse(query: &str) -> Result<All, ApiError> {
        Query::parse(query).map(|Query(all)| all)
    }

    fn invalid_field<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (String, String) {
        match result {
            Err(ApiError::Invalid(error)) => (error.field, error.value.as_str().expect("text").to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_unknown_and_repeated_parameters() {
        assert_eq!(invalid_field(parse("limit=1&limt=2")), ("limt".into(), "2".into()));
        assert_eq!(invalid_field(parse("limit=1&limit=2")), ("limit".into(), "2".into()));
        assert_eq!(invalid_field(parse("limit=1&limit=2&limit=3")), ("limit".into(), "2".into()));
        assert!(matches!(parse("limt=1&limt=2"), Err(ApiError::Invalid(error)) if error.field == "limt"));
        assert_eq!(invalid_field(Query::<NoParameters>::parse("a=1")), ("a".into(), "1".into()));
        assert!(parse("channel=a&channel=b&limit=3").is_ok_and(|all| all.limit.is_some()));
        let message = |query| match parse(query) {
            Err(error) => error.to_string(),
            Ok(all) => panic!("{all:?}"),
        };
        let names = "limit, channel, from, to, only_anomalies, pump_id";
        assert_eq!(message("limt=2"), format!("limt: no such parameter; allowed: {names}"));
        assert_eq!(message("limit=1&limit=2"), "limit: given more than once; allowed: one value");
        assert_eq!(message("limit=0"), "limit: '0' is not allowed; allowed: 1 to 10000");
    }

    #[test]
    fn times_are_text_or_numbers() {
        for text in [
            "2026-03-09T10:14:33Z",
            "2026-03-09T15:44:33%2B05:30",
            "2026-03-09T15:44:33+05:30",
            "1773051273000",
            "1773051273",
        ] {
            let all = parse(&format!("from={text}")).expect(text);
            assert_eq!(all.from.map(|at| at.0.millis()), Some(1_773_051_273_000), "{text}");
        }
        for bad in ["", "yesterday", "17730512", "2026-03-09", "99999999999999999999"] {
            assert_eq!(invalid_field(parse(&format!("to={bad}")).map(|all| all.to)), ("to".into(), bad.into()));
        }
    }

    #[test]
    fn flags_and_names_are_checked() {
        let flag = |query| parse(query).map(|all| all.only_anomalies.is_some_and(|flag| flag.0));
        assert!(!flag("").expect("absent") && flag("only_anomalies=true").expect("true"));
        assert_eq!(invalid_field(flag("only_anomalies=1")), ("only_anomalies".into(), "1".into()));
        let pump = |query: &str| parse(query).map(|all| all.pump_id.map(|pump| pump.0));
        for (query, id) in [("P-1", "P-1"), ("a%20b", "a b"), ("a+b", "a b"), ("%2BA%26B", "+A&B"), ("Fo%CC%88", "Fö")]
        {
            let pump = pump(&format!("pump_id={query}")).expect(query);
            assert_eq!(pump.as_ref().map(PumpId::as_str), Some(id), "{query}");
        }
        assert_eq!(invalid_field(pump("pump_id=a%0Ab")), ("pump_id".into(), "a\nb".into()));
        assert_eq!(invalid_field(pump("pump_id=..")), ("pump_id".into(), "..".into()));
    }

    #[test]
    fn channels_are_repeated_or_listed_and_returned_in_profile_order() {
        let profile = profile();
        let channels = |query| ChannelsParam::indices(parse(query).expect(query).channel.as_ref(), &profile);
        for (query, expected) in
            [("", vec![0, 1]), ("channel=Q", vec![1]), ("channel=Q,Tb", vec![0, 1]), ("channel=Q&channel=Q", vec![1])]
        {
            assert_eq!(channels(query).expect(query), expected, "{query}");
        }
        assert_eq!(invalid_field(channels("channel=Tb,Torque")), ("channel".into(), "Torque".into()));
        assert_eq!(invalid_field(channels("channel=")), ("channel".into(), String::new()));
    }
}
