//! Parses the bytes of a post into validated items: JSON or NDJSON, one entry per item, in order.
//!
//! [`parse_item`] validates a single item. This module handles what depends on the bytes: where they stop being JSON, numbers
//! that JSON does not have ([`non_finite`]), and posts of too many items. It knows nothing of HTTP, so that it can be fuzzed
//! alone (`tests/fuzz`). Channels may be in a nested object: the item
//! `{"ts": 1773051273000, "values": {"Q": 850.5}}` is the same as `{"ts": 1773051273000, "Q": 850.5}`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use volute_actors::{MAX_LISTED, MAX_POST_ITEMS};
use volute_plant::Draft;

use crate::{
    invalid_value::InvalidValue,
    item::{IgnoredFields, PostProfiles, Profiles, parse_item, profile_named_in},
    non_finite,
};

/// The most items in one post: the most that the engine accepts at once. The limit also bounds the response, in which a
/// rejected item can take a hundred times its bytes.
pub(crate) const MAX_ITEMS: usize = MAX_POST_ITEMS;

/// The field in which some gateways send the channels.
const VALUES_FIELD: &str = "values";
/// The byte order mark that some programs send before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How much of an invalid line is repeated in its error, in characters.
pub(super) const MAX_SHOWN_CHARS: usize = 200;

/// The items of a post, each a validated draft or its error.
pub(crate) type Items = Vec<Result<Draft, InvalidValue>>;

/// Why a post has no items: it is an error of the whole post.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is UTF-16.
    Utf16,
    /// It is not JSON from this place on, counted from 1.
    NotJson { line: usize, column: usize, reason: String },
    /// It has no item.
    NoItems,
    /// It has more than [`MAX_ITEMS`] items.
    TooManyItems,
}

/// The format of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One object, or an array of objects.
    Json,
    /// An object per line.
    NdJson,
}

impl Format {
    /// Parses the items in `bytes`. Also returns the values and fields of them that were ignored.
    ///
    /// Invalid JSON is an error of the whole post; an invalid line of NDJSON only rejects that line.
    pub(crate) fn items(self, bytes: &[u8], profiles: &dyn Profiles) -> Result<(Items, IgnoredFields), BodyError> {
        if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
            return Err(BodyError::Utf16);
        }
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let (mut rejected, mut ignored) = (0, IgnoredFields::default());
        // A rejection is many times larger than its item, so only the rejections that the response lists keep their texts.
        let mut drop_unlisted = |item: Result<Draft, InvalidValue>| {
            item.map_err(|rejection| {
                rejected += 1;
                if rejected > MAX_LISTED { rejection.unlisted() } else { rejection }
            })
        };
        let entries: Vec<Result<Json, InvalidLine>> = match self {
            Self::Json => parse_json(bytes)?.into_iter().take(MAX_ITEMS + 1).map(Ok).collect(),
            Self::NdJson => lines(bytes).take(MAX_ITEMS + 1).map(|(number, line)| parse_line(number, line)).collect(),
        };
        // The profile of a new pump may be named by any of its items.
        let named = entries.iter().flatten().filter_map(|entry| match entry {
            Json::Object(fields) => profile_named_in(fields),
            _ => None,
        });
        let profiles = &PostProfiles::new(profiles, named);
        let items: Items = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| {
                let entry = entry.map_err(InvalidValue::from);
                drop_unlisted(entry.and_then(|entry| parse_entry(index, entry, profiles, &mut ignored)))
            })
            .collect();
        match items.len() {
            0 => Err(BodyError::NoItems),
            n if n > MAX_ITEMS => Err(BodyError::TooManyItems),
            _ => Ok((items, ignored)),
        }
    }
}

fn parse_json(bytes: &[u8]) -> Result<Vec<Json>, BodyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::NoItems);
    }
    match parse(bytes) {
        Ok(Json::Array(items)) => Ok(items),
        Ok(one) => Ok(vec![one]),
        Err(JsonError { line, column, reason }) => {
            // A second value on a line of its own suggests NDJSON.
            let lines = line > 1 && reason == "trailing characters";
            let hint = if lines { "; one object per line is sent as application/x-ndjson" } else { "" };
            let reason = format!("{reason} at line {line} column {column}{hint}");
            Err(BodyError::NotJson { line, column, reason })
        }
    }
}

/// Why bytes are not JSON, and where: line and column, from 1.
struct JsonError {
    line: usize,
    column: usize,
    reason: String,
}

/// Parses JSON that may contain numbers that JSON does not have.
fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    let json_error = |error: serde_json::Error, column| {
        let reason = if error.is_eof() {
            "it ends too early,".to_owned()
        } else {
            // The position is reported separately.
            error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
        };
        JsonError { line: error.line(), column, reason }
    };
    let error = match serde_json::from_slice(bytes) {
        Ok(json) => return Ok(json),
        Err(error) => error,
    };
    match non_finite::quote_non_finite(bytes) {
        None => {
            let column = error.column();
            Err(json_error(error, column))
        }
        Some(quoted) => serde_json::from_slice(&quoted.bytes).map_err(|error| {
            let column = quoted.original_column(error.line(), error.column());
            json_error(error, column)
        }),
    }
}

/// Returns the lines that are not blank, with their numbers from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = bytes.split(|&byte| byte == b'\n').zip(1..).map(|(line, number)| (number, line.trim_ascii()));
    numbered.filter(|(_, line)| !line.is_empty())
}

/// A line that is not JSON.
struct InvalidLine<'a> {
    line: &'a [u8],
    /// Its number, from 1.
    number: usize,
    error: JsonError,
}

impl From<InvalidLine<'_>> for InvalidValue {
    fn from(InvalidLine { line, number, error: JsonError { column, reason, .. } }: InvalidLine<'_>) -> Self {
        let shown: String = String::from_utf8_lossy(line).chars().take(MAX_SHOWN_CHARS).collect();
        // The parser sees a single line, so the line number comes from here.
        let reason = format!("not JSON: {reason} at line {number} column {column}");
        Self::new("", shown.into(), "one JSON object per line", &reason)
    }
}

fn parse_line(number: usize, line: &[u8]) -> Result<Json, InvalidLine<'_>> {
    parse(line).map_err(|error| InvalidLine { line, number, error })
}

fn parse_entry(
    index: usize,
    item: Json,
    profiles: &dyn Profiles,
    ignored: &mut IgnoredFields,
) -> Result<Draft, InvalidValue> {
    match item {
        Json::Object(fields) => parse_item(profiles, index, &fields, ignored),
        other => {
            let allowed = "an object of channels and numbers";
            Err(InvalidValue::new("", other.into(), allowed, "an item must be a JSON object"))
        }
    }
}

/// JSON that keeps repeated fields, which [`Value`] does not.
#[derive(Debug)]
enum Json {
    /// The object's fields, and those of its object [`VALUES_FIELD`].
    Object(Vec<(String, Value)>),
    /// The first items, at most one more than a post may have.
    Array(Vec<Json>),
    Scalar(Value),
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Object(fields) => fields.into_iter().collect(),
            Json::Array(items) => items.into_iter().map(Value::from).collect(),
            Json::Scalar(value) => value,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name != VALUES_FIELD {
                fields.push((name, map.next_value()?));
                continue;
            }
            match map.next_value()? {
                Json::Object(values) => fields.extend(values),
                other => fields.push((name, other.into())),
            }
        }
        Ok(Json::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while items.len() <= MAX_ITEMS {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(Json::Array(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Array(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Scalar(Value::Null))
    }
}
