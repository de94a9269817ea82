//! From a post's bytes to checked items: JSON or NDJSON, one entry per item, in order.
//!
//! What a single item may hold is told by [`parse_item`]. Here is what only the bytes
//! can tell: where they stop being JSON, numbers that JSON does not have ([`bare`]), a post of too many items. An item whose
//! channels are in an object of their own (`{"ts": 1773051273000, "values": {"Q": 850.5}}`) has them as if they were its own.

use std::fmt;

use actix_web::{HttpMessage, HttpRequest, http::header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use volute_actors::{LARGEST_POST, LISTED};
use volute_plant::Draft;

use crate::{
    bare,
    body_budget::Coding,
    invalid_value::InvalidValue,
    item::{LeftOut, PostProfiles, Profiles, parse_item},
    problem::ApiError,
};

/// The most items in one post: what the engine lets in at once. A rejected item can cost a hundred times its bytes in the
/// answer.
pub(crate) const MAX_ITEMS: usize = LARGEST_POST;

/// The field in which some gateways put the channels.
const VALUES: &str = "values";
/// What some programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How much of a broken line is shown to its sender, in characters.
const SHOWN_CHARS: usize = 200;

/// The items of a post, each a checked draft or why it is not one.
pub(crate) type Items = Vec<Result<Draft, InvalidValue>>;

/// How a post's items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One object, or an array of objects.
    Json,
    /// An object per line.
    NdJson,
}

impl Format {
    /// Told by the request's headers. A `Content-Type` has to be there. JSON may come as `text/plain`, which a page of
    /// another site may send unasked: such requests are refused before (`origin.rs`).
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        Coding::of(request)?;
        let kind = request.mime_type().ok().flatten();
        if let Some(charset) = kind.as_ref().and_then(|kind| kind.get_param("charset"))
            && charset != "utf-8"
            && charset != "us-ascii"
        {
            return Err(ApiError::Charset { sent: charset.as_str().to_owned() });
        }
        match kind.as_ref().map(|kind| kind.essence_str()) {
            Some("application/json" | "text/plain") => Ok(Self::Json),
            Some("application/x-ndjson") => Ok(Self::NdJson),
            _ => Err(media_type(request, "application/json, or application/x-ndjson")),
        }
    }

    /// The items in `bytes`, and what was left out of them.
    ///
    /// Broken JSON is an error of the whole post; a broken line of NDJSON is a rejection of that line.
    pub(crate) fn items(self, bytes: &[u8], profiles: &dyn Profiles) -> Result<(Items, LeftOut), ApiError> {
        if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
            return Err(ApiError::Charset { sent: "utf-16".into() });
        }
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let profiles = &PostProfiles::new(profiles);
        let (mut rejected, mut left_out) = (0, LeftOut::default());
        // A rejection is many times its item, so what will not be listed is not kept either.
        let mut shorten = |item: Result<Draft, InvalidValue>| {
            item.map_err(|rejection| {
                rejected += 1;
                if rejected > LISTED { InvalidValue::unlisted() } else { rejection }
            })
        };
        let mut items = Vec::new();
        match self {
            Self::Json => {
                for (index, item) in whole(bytes)?.into_iter().take(MAX_ITEMS + 1).enumerate() {
                    items.push(shorten(draft(index, item, profiles, &mut left_out)));
                }
            }
            Self::NdJson => {
                for (index, (number, line)) in lines(bytes).take(MAX_ITEMS + 1).enumerate() {
                    let item = ndjson(number, line).and_then(|item| draft(index, item, profiles, &mut left_out));
                    items.push(shorten(item));
                }
            }
        }
        match items.len() {
            0 => Err(ApiError::NoItems),
            n if n > MAX_ITEMS => Err(ApiError::TooManyItems { limit: MAX_ITEMS }),
            _ => Ok((items, left_out)),
        }
    }
}

/// A body whose form is not one of those that are `allowed`.
pub(crate) fn media_type(request: &HttpRequest, allowed: &'static str) -> ApiError {
    let sent = request.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    ApiError::MediaType { sent: sent.unwrap_or_default(), allowed }
}

fn whole(bytes: &[u8]) -> Result<Vec<Json>, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::NoItems);
    }
    match parse(bytes) {
        Ok(Json::Array(items)) => Ok(items),
        Ok(one) => Ok(vec![one]),
        Err(NoJson { line, column, reason }) => {
            // What stands behind one whole value, on a line of its own, is likely the next one.
            let lines = line > 1 && reason == "trailing characters";
            let hint = if lines { "; one object per line is sent as application/x-ndjson" } else { "" };
            let reason = format!("{reason} at line {line} column {column}{hint}");
            Err(ApiError::NotJson { line, column, reason })
        }
    }
}

/// Why bytes are no JSON, and where: line and column, from 1.
struct NoJson {
    line: usize,
    column: usize,
    reason: String,
}

/// JSON, or what is JSON but for numbers that JSON does not have.
fn parse(bytes: &[u8]) -> Result<Json, NoJson> {
    let told = |error: serde_json::Error, column| {
        let reason = error.to_string();
        // Its place is told besides.
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        NoJson { line: error.line(), column, reason }
    };
    let error = match serde_json::from_slice(bytes) {
        Ok(json) => return Ok(json),
        Err(error) => error,
    };
    match bare::quoted(bytes) {
        None => {
            let column = error.column();
            Err(told(error, column))
        }
        Some(quoted) => serde_json::from_slice(&quoted.bytes).map_err(|error| {
            let column = quoted.column_as_sent(error.line(), error.column());
            told(error, column)
        }),
    }
}

/// Lines that are not blank, with their numbers from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = bytes.split(|&byte| byte == b'\n').zip(1..).map(|(line, number)| (number, line.trim_ascii()));
    numbered.filter(|(_, line)| !line.is_empty())
}

fn ndjson(number: usize, line: &[u8]) -> Result<Json, InvalidValue> {
    parse(line).map_err(|NoJson { column, reason, .. }| {
        let shown: String = String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).collect();
        // The parser sees one line only; its place in the post is known here.
        let reason = format!("not JSON: {reason} at line {number} column {column}");
        InvalidValue::new("", shown.into(), "one JSON object per line", &reason)
    })
}

fn draft(index: usize, item: Json, profiles: &dyn Profiles, left_out: &mut LeftOut) -> Result<Draft, InvalidValue> {
    match item {
        Json::Object(fields) => parse_item(profiles, index, &fields, left_out),
        other => {
            let allowed = "an object of channels and numbers";
            Err(InvalidValue::new("", other.into(), allowed, "an item must be a JSON object"))
        }
    }
}

/// JSON that remembers what [`Value`] forgets: fields that came twice.
#[derive(Debug)]
enum Json {
    /// Its fields, and those of its [`VALUES`].
    Object(Vec<(String, Value)>),
    /// At most one item more than a post may have.
    Array(Vec<Json>),
    Other(Value),
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Object(fields) => fields.into_iter().collect(),
            Json::Array(items) => items.into_iter().map(Value::from).collect(),
            Json::Other(value) => value,
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
            if name != VALUES {
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
        Ok(Json::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;
    use serde_json::json;
    use volute_plant::Sample;

    use super::*;
    use crate::channels::tests::profile;

    fn json(bytes: &[u8]) -> Result<Items, ApiError> {
        Format::Json.items(bytes, &profile()).map(|(items, _)| items)
    }

    fn ndjson(bytes: &[u8]) -> Items {
        Format::NdJson.items(bytes, &profile()).expect("lines").0
    }

    #[test]
    fn the_header_tells_the_form() {
        let of = |name, value| Format::of(&TestRequest::default().insert_header((name, value)).to_http_request());
        for (sent, format) in [
            ("application/json", Format::Json),
            ("Application/JSON; charset=utf-8", Format::Json),
            ("application/json;charset=\"UTF-8\"", Format::Json),
            ("text/plain", Format::Json),
            ("text/plain;charset=UTF-8", Format::Json),
            ("application/x-ndjson", Format::NdJson),
        ] {
            assert_eq!(of("content-type", sent).expect(sent), format);
        }
        let none = Format::of(&TestRequest::default().to_http_request());
        assert!(
            matches!(none, Err(ApiError::MediaType { sent, .. }) if sent.is_empty()),
            "a page of any site can leave it out"
        );
        for (sent, charset) in [("application/json; charset=utf-16", "utf-16"), ("text/plain;charset=latin1", "latin1")]
        {
            assert!(matches!(of("content-type", sent), Err(ApiError::Charset { sent }) if sent == charset), "{sent}");
        }
        for bad in ["multipart/form-data", "application/x-www-form-urlencoded", "json", "*/*"] {
            assert!(matches!(of("content-type", bad), Err(ApiError::MediaType { sent, .. }) if sent == bad), "{bad}");
        }
        for bad in ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "identity, gzip", ""] {
            assert!(matches!(of("content-encoding", bad), Err(ApiError::ContentEncoding { sent }) if sent == bad));
        }
        for coding in ["identity", "gzip", "GZIP", "x-gzip"] {
            let coded = TestRequest::default().insert_header(("content-encoding", coding));
            let coded = coded.insert_header(("content-type", "application/json")).to_http_request();
            assert_eq!(Format::of(&coded).expect(coding), Format::Json);
        }
    }

    #[test]
    fn an_object_is_one_item_and_an_array_as_many_as_it_has() {
        assert_eq!(json(br#"{"Tb": 1, "Q": 2}"#).expect("one").len(), 1);
        let items = json(br#" [{"Tb": 1}, 7, [{"Tb": 1}], null, {"Tb": "x"}, {"Q": 2}] "#).expect("six");
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, false, true]);
        let shown = items[2].as_ref().expect_err("an array is no item");
        assert_eq!(shown.value, json!([{"Tb": 1}]));
    }

    #[test]
    fn nothing_is_no_post() {
        for empty in ["", " \r\n\t ", "[]"] {
            assert!(matches!(json(empty.as_bytes()), Err(ApiError::NoItems)), "{empty:?}");
        }
        for empty in ["", "\n\r\n  \n"] {
            let items = Format::NdJson.items(empty.as_bytes(), &profile());
            assert!(matches!(items, Err(ApiError::NoItems)), "{empty:?}");
        }
    }

    #[test]
    fn broken_json_is_told_with_its_place() {
        let deep = "[".repeat(100_000);
        for (body, place) in [
            (&b"{\"Tb\": 1,\n \"Q\": }"[..], (2, 7)),
            (b"{\"Tb\": NaNs}", (1, 8)),
            (b"{\"Tb\": NaN,\n \"Q\": NaN, \"Q\": }", (2, 17)),
            (b"{\"Tb\": 1} {\"Tb\": 2}", (1, 11)),
            (b"{\"Tb\": \"\xff\"}", (1, 9)),
            (b"{\"Tb\": 1", (1, 8)),
            (deep.as_bytes(), (1, 128)),
        ] {
            let text = String::from_utf8_lossy(&body[..body.len().min(40)]);
            match json(body) {
                Err(ApiError::NotJson { line, column, .. }) => assert_eq!((line, column), place, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_costs_its_channel_in_all_forms() {
        for bare in ["NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "1e999", "-nan(ind)", "1.#QNAN"] {
            let item = format!(r#"{{"Tb": {bare}, "Q": 120.5}}"#);
            let clean = r#"{"Tb": 20, "Q": 120.5, "note": "NaN, {\"Q\": NaN}"}"#;
            for (format, body) in [
                (Format::Json, item.clone()),
                (Format::Json, format!("[{item}, {clean}]")),
                (Format::Json, format!("\u{feff}[{item},\n{clean}]")),
                (Format::NdJson, format!("{item}\n{clean}\n")),
                (Format::NdJson, format!("\u{feff}{item}\n{clean}\n")),
            ] {
                let (items, left_out) = format.items(body.as_bytes(), &profile()).expect(&body);
                let samples = |place: usize| items[place].as_ref().expect("taken").samples.to_vec();
                assert_eq!(samples(0), [Sample::Missing, Sample::Good(120.5)], "{body}");
                assert_eq!(left_out.not_numbers[0].value, json!(bare), "{body}");
                assert_eq!(left_out.not_numbers.len(), 1, "{body}");
                if items.len() > 1 {
                    assert_eq!(samples(1), [Sample::Good(20.0), Sample::Good(120.5)], "{body}");
                    assert_eq!(left_out.unknown["note"].value, json!("NaN, {\"Q\": NaN}"), "as it was sent");
                }
            }
        }
        let items = json(br#"{"pump_id": NaN, "Q": 1}"#).expect("one");
        assert_eq!(items[0].as_ref().expect_err("no pump").field, "pump_id");
    }

    #[test]
    fn channels_may_be_in_an_object_of_their_own() {
        for body in [
            r#"{"ts": 1773051273000, "values": {"Tb": 20, "Q": 120.5}}"#,
            r#"{"values": {"Tb": "20", "Q": 120.5}, "ts": 1773051273000}"#,
            r#"{"ts": 1773051273000, "Tb": 20, "values": {"q": 120.5}}"#,
            r#"{"values": {"ts": 1773051273000, "Tb": 20, "Q": 120.5}}"#,
        ] {
            let items = json(body.as_bytes()).expect(body);
            let draft = items[0].as_ref().expect(body);
            assert_eq!(draft.samples[..], [Sample::Good(20.0), Sample::Good(120.5)], "{body}");
            assert_eq!(draft.stamp.device().map(|at| at.millis()), Some(1_773_051_273_000), "{body}");
        }
        let (items, left_out) =
            Format::Json.items(br#"{"Q": 1, "values": [1]}"#, &profile()).expect("a list is no object of channels");
        assert!(items[0].is_ok() && left_out.unknown.contains_key("values"));
        let twice = json(br#"{"Q": 1, "values": {"Q": 2}}"#).expect("one");
        assert_eq!(twice[0].as_ref().expect_err("which one?").field, "Q");
    }

    #[test]
    fn utf_16_is_told_so() {
        for bytes in [&b"\xFF\xFE{\0"[..], b"\xFE\xFF\0{"] {
            assert!(matches!(json(bytes), Err(ApiError::Charset { .. })));
        }
    }

    #[test]
    fn a_field_that_comes_twice_rejects_its_item_only() {
        let items =
            json(br#"[{"Tb": 1, "Tb": 2}, {"Tb": 1}, {"pump_id": "a", "Tb": 1, "pump_id": "b"}]"#).expect("three");
        let fields: Vec<_> = items.iter().map(|item| item.as_ref().err().map(|no| no.field.as_str())).collect();
        assert_eq!(fields, [Some("Tb"), None, Some("pump_id")]);
    }

    #[test]
    fn a_broken_line_rejects_itself_with_its_number() {
        let items = ndjson(b"{\"Tb\": 1}\r\n\n{\"Tb\": }\n{\"Tb\": 2} {}\n\xff\n{\"Q\": 3}");
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, true]);
        let message = |place: usize| &items[place].as_ref().expect_err("broken").message;
        assert!(message(1).contains("expected value at line 3 column 8;"), "{}", message(1));
        assert!(message(2).contains("trailing characters at line 4 column 11;"), "{}", message(2));
        assert!(message(3).contains("line 5 column 1;"), "{}", message(3));
        let long = ndjson(&[b'"'; 5000]);
        assert_eq!(long[0].as_ref().expect_err("broken").value.as_str().map(str::len), Some(SHOWN_CHARS));
    }

    #[test]
    fn only_rejections_that_are_listed_are_kept() {
        for items in [
            json(format!("[{}]", ["0"; LISTED + 5].join(",")).as_bytes()).expect("items"),
            ndjson(&b"0\n".repeat(LISTED + 5)),
        ] {
            let said = items.iter().filter(|item| item.as_ref().is_err_and(|no| !no.message.is_empty())).count();
            assert_eq!((items.len(), said), (LISTED + 5, LISTED));
            assert!(items.iter().all(Result::is_err));
        }
    }

    #[test]
    fn a_post_has_an_end() {
        let array = |n: usize| format!("[{}]", vec!["0"; n].join(","));
        assert_eq!(json(array(MAX_ITEMS).as_bytes()).expect("just enough").len(), MAX_ITEMS);
        for n in [MAX_ITEMS + 1, 3 * MAX_ITEMS] {
            assert!(matches!(json(array(n).as_bytes()), Err(ApiError::TooManyItems { .. })));
        }
        let lines = "0\n".repeat(MAX_ITEMS + 1);
        assert!(matches!(Format::NdJson.items(lines.as_bytes(), &profile()), Err(ApiError::TooManyItems { .. })));
    }

    proptest! {
        #[test]
        fn numbers_arrive_to_the_last_bit(value in -40.0..200.0_f64) {
            let body = format!(r#"{{"Tb": {value:?}}}"#);
            let items = json(body.as_bytes()).expect("JSON");
            let Ok(Draft { samples, .. }) = &items[0] else { panic!("{items:?}") };
            prop_assert!(matches!(samples[0], Sample::Good(v) if v.to_bits() == value.to_bits()));
        }

        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in [Format::Json, Format::NdJson] {
                if let Ok((items, _)) = format.items(&bytes, &profile()) {
                    prop_assert!(!items.is_empty());
                }
            }
        }

        /// Joined by newlines and split again, items are what they were; blank lines count for nothing.
        #[test]
        fn lines_are_items(flows in prop::collection::vec(0_u32..5000, 1..20), blank in "[ \r\t\n]{0,3}") {
            let lines: Vec<_> = flows.iter().map(|flow| format!("{blank}{{\"Q\": {flow}}}{blank}")).collect();
            let items = ndjson(lines.join("\n").as_bytes());
            let found: Vec<_> = items.iter().map(|item| item.as_ref().expect("an item").samples[1]).collect();
            let sent: Vec<_> = flows.iter().map(|&flow| Sample::Good(flow.into())).collect();
            prop_assert_eq!(found, sent);
        }
    }
}
