//! The body of a post: its format by the headers, and its items ([`items`]).

mod items;

use actix_web::{HttpMessage, HttpRequest, http::header::CONTENT_TYPE};

use self::items::{BodyError, MAX_ITEMS};
pub(crate) use self::items::{Format, Items};
use crate::{body_budget::ContentCoding, problem::ApiError};

impl Format {
    /// Returns the format that the headers name. A `Content-Type` is required. JSON may be sent as `text/plain`, which a page
    /// of another site can send without a preflight request; such requests are refused earlier (`origin.rs`).
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        ContentCoding::of(request)?;
        let mime = request.mime_type().ok().flatten();
        if let Some(charset) = mime.as_ref().and_then(|mime| mime.get_param("charset"))
            && charset != "utf-8"
            && charset != "us-ascii"
        {
            return Err(ApiError::UnsupportedCharset { sent: charset.as_str().to_owned() });
        }
        match mime.as_ref().map(|mime| mime.essence_str()) {
            Some("application/json" | "text/plain") => Ok(Self::Json),
            Some("application/x-ndjson") => Ok(Self::NdJson),
            _ => Err(unsupported_media_type(
                request,
                "application/json or text/plain with JSON, or application/x-ndjson",
            )),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Utf16 => Self::UnsupportedCharset { sent: "utf-16".into() },
            BodyError::NotJson { line, column, reason } => Self::NotJson { line, column, reason },
            BodyError::NoItems => Self::NoItems,
            BodyError::TooManyItems => Self::TooManyItems { limit: MAX_ITEMS },
        }
    }
}

/// Returns the error for a body whose `Content-Type` is not one of `allowed`.
pub(crate) fn unsupported_media_type(request: &HttpRequest, allowed: &'static str) -> ApiError {
    let sent = request.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    ApiError::UnsupportedMediaType { sent: sent.unwrap_or_default(), allowed }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use volute_actors::MAX_LISTED;
    use volute_plant::{Draft, Sample};

    use super::{items::MAX_SHOWN_CHARS, *};
    use crate::channels::tests::profile;

    fn json(bytes: &[u8]) -> Result<Items, ApiError> {
        Ok(Format::Json.items(bytes, &profile()).map(|(items, _)| items)?)
    }

    fn ndjson(bytes: &[u8]) -> Items {
        Format::NdJson.items(bytes, &profile()).expect("lines").0
    }

    #[test]
    fn the_headers_determine_the_format() {
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
        let named = ["application/json", "text/plain", "application/x-ndjson"];
        assert!(
            matches!(&none, Err(error) if named.iter().all(|name| error.to_string().contains(name))),
            "all types that are accepted are named"
        );
        assert!(
            matches!(none, Err(ApiError::UnsupportedMediaType { sent, .. }) if sent.is_empty()),
            "a page of any site can leave it out"
        );
        for (sent, charset) in [("application/json; charset=utf-16", "utf-16"), ("text/plain;charset=latin1", "latin1")]
        {
            assert!(
                matches!(of("content-type", sent), Err(ApiError::UnsupportedCharset { sent }) if sent == charset),
                "{sent}"
            );
        }
        for bad in ["multipart/form-data", "application/x-www-form-urlencoded", "json", "*/*"] {
            assert!(
                matches!(of("content-type", bad), Err(ApiError::UnsupportedMediaType { sent, .. }) if sent == bad),
                "{bad}"
            );
        }
        for bad in ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "identity, gzip", ""] {
            assert!(matches!(of("content-encoding", bad), Err(ApiError::UnsupportedEncoding { sent }) if sent == bad));
        }
        for coding in ["identity", "gzip", "GZIP", "x-gzip"] {
            let coded = TestRequest::default().insert_header(("content-encoding", coding));
            let coded = coded.insert_header(("content-type", "application/json")).to_http_request();
            assert_eq!(Format::of(&coded).expect(coding), Format::Json);
        }
    }

    #[test]
    fn an_object_is_one_item_and_an_array_has_one_item_per_element() {
        assert_eq!(json(br#"{"Tb": 1, "Q": 2}"#).expect("one").len(), 1);
        let items = json(br#" [{"Tb": 1}, 7, [{"Tb": 1}], null, {"Tb": "x"}, {"Q": 2}] "#).expect("six");
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, false, true]);
        let shown = items[2].as_ref().expect_err("an array is not an item");
        assert_eq!(shown.value, json!([{"Tb": 1}]));
    }

    #[test]
    fn an_empty_post_is_refused() {
        for empty in ["", " \r\n\t ", "[]"] {
            assert!(matches!(json(empty.as_bytes()), Err(ApiError::NoItems)), "{empty:?}");
        }
        for empty in ["", "\n\r\n  \n"] {
            let items = Format::NdJson.items(empty.as_bytes(), &profile());
            assert!(matches!(items, Err(BodyError::NoItems)), "{empty:?}");
        }
    }

    #[test]
    fn an_error_in_json_has_its_line_and_column() {
        let deep = "[".repeat(100_000);
        for (body, position) in [
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
                Err(ApiError::NotJson { line, column, .. }) => assert_eq!((line, column), position, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_is_missing_in_all_formats() {
        for word in ["NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "1e999", "-nan(ind)", "1.#QNAN"] {
            let item = format!(r#"{{"Tb": {word}, "Q": 120.5}}"#);
            let clean = r#"{"Tb": 20, "Q": 120.5, "note": "NaN, {\"Q\": NaN}"}"#;
            for (format, body) in [
                (Format::Json, item.clone()),
                (Format::Json, format!("[{item}, {clean}]")),
                (Format::Json, format!("\u{feff}[{item},\n{clean}]")),
                (Format::NdJson, format!("{item}\n{clean}\n")),
                (Format::NdJson, format!("\u{feff}{item}\n{clean}\n")),
            ] {
                let (items, ignored) = format.items(body.as_bytes(), &profile()).expect(&body);
                let samples = |index: usize| items[index].as_ref().expect("accepted").samples.to_vec();
                assert_eq!(samples(0), [Sample::Missing, Sample::Good(120.5)], "{body}");
                assert_eq!(ignored.non_numeric[0].value, json!(word), "{body}");
                assert_eq!(ignored.non_numeric.len(), 1, "{body}");
                if items.len() > 1 {
                    assert_eq!(samples(1), [Sample::Good(20.0), Sample::Good(120.5)], "{body}");
                    assert_eq!(ignored.unknown["note"].value, json!("NaN, {\"Q\": NaN}"), "as it was sent");
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
            assert_eq!(draft.timestamp.device().map(|at| at.millis()), Some(1_773_051_273_000), "{body}");
        }
        let (items, ignored) = Format::Json
            .items(br#"{"Q": 1, "values": [1]}"#, &profile())
            .expect("an array is not an object of channels");
        assert!(items[0].is_ok() && ignored.unknown.contains_key("values"));
        let twice = json(br#"{"Q": 1, "values": {"Q": 2}}"#).expect("one");
        assert_eq!(twice[0].as_ref().expect_err("twice").field, "Q");
    }

    #[test]
    fn utf_16_is_refused_as_a_charset() {
        for bytes in [&b"\xFF\xFE{\0"[..], b"\xFE\xFF\0{"] {
            assert!(matches!(json(bytes), Err(ApiError::UnsupportedCharset { .. })));
        }
    }

    #[test]
    fn a_repeated_field_rejects_only_its_item() {
        let items =
            json(br#"[{"Tb": 1, "Tb": 2}, {"Tb": 1}, {"pump_id": "a", "Tb": 1, "pump_id": "b"}]"#).expect("three");
        let fields: Vec<_> = items.iter().map(|item| item.as_ref().err().map(|error| error.field.as_str())).collect();
        assert_eq!(fields, [Some("Tb"), None, Some("pump_id")]);
    }

    #[test]
    fn an_invalid_line_is_rejected_with_its_number() {
        let items = ndjson(b"{\"Tb\": 1}\r\n\n{\"Tb\": }\n{\"Tb\": 2} {}\n\xff\n{\"Q\": 3}");
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, true]);
        let message = |index: usize| &items[index].as_ref().expect_err("broken").message;
        assert!(message(1).contains("expected value at line 3 column 8;"), "{}", message(1));
        assert!(message(2).contains("trailing characters at line 4 column 11;"), "{}", message(2));
        assert!(message(3).contains("line 5 column 1;"), "{}", message(3));
        let long = ndjson(&[b'"'; 5000]);
        assert_eq!(long[0].as_ref().expect_err("broken").value.as_str().map(str::len), Some(MAX_SHOWN_CHARS));
    }

    #[test]
    fn json_that_ends_too_early_has_its_own_message() {
        let Err(error) = json(b"[{\"Tb\": 1}") else { panic!("not JSON") };
        assert_eq!(error.to_string(), "the body is not JSON: it ends too early, at line 1 column 10");
        let error = ApiError::not_json(serde_json::from_str::<Value>("{").expect_err("not JSON"));
        assert_eq!(error.to_string(), "the body is not JSON: it ends too early, at line 1 column 1");
        let lines = ndjson(b"{\"Tb\": 1}\n{\"Tb\"");
        let message = &lines[1].as_ref().expect_err("not JSON").message;
        assert!(message.starts_with("not JSON: it ends too early, at line 2 column "), "{message}");
    }

    #[test]
    fn only_listed_rejections_are_kept() {
        for items in [
            json(format!("[{}]", ["0"; MAX_LISTED + 5].join(",")).as_bytes()).expect("items"),
            ndjson(&b"0\n".repeat(MAX_LISTED + 5)),
        ] {
            let listed =
                items.iter().filter(|item| item.as_ref().is_err_and(|error| !error.message.is_empty())).count();
            assert_eq!((items.len(), listed), (MAX_LISTED + 5, MAX_LISTED));
            assert!(items.iter().all(Result::is_err));
        }
    }

    #[test]
    fn a_post_has_a_maximum_number_of_items() {
        let array = |n: usize| format!("[{}]", vec!["0"; n].join(","));
        assert_eq!(json(array(MAX_ITEMS).as_bytes()).expect("just enough").len(), MAX_ITEMS);
        for n in [MAX_ITEMS + 1, 3 * MAX_ITEMS] {
            assert!(matches!(json(array(n).as_bytes()), Err(ApiError::TooManyItems { .. })));
        }
        let lines = "0\n".repeat(MAX_ITEMS + 1);
        assert!(matches!(Format::NdJson.items(lines.as_bytes(), &profile()), Err(BodyError::TooManyItems)));
    }

    proptest! {
        #[test]
        fn numbers_are_parsed_exactly(value in -40.0..200.0_f64) {
            let body = format!(r#"{{"Tb": {value:?}}}"#);
            let items = json(body.as_bytes()).expect("JSON");
            let Ok(Draft { samples, .. }) = &items[0] else { panic!("{items:?}") };
            prop_assert!(matches!(samples[0], Sample::Good(v) if v.to_bits() == value.to_bits()));
        }

        #[test]
        fn the_parser_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in [Format::Json, Format::NdJson] {
                if let Ok((items, _)) = format.items(&bytes, &profile()) {
                    prop_assert!(!items.is_empty());
                }
            }
        }

        /// Items that are joined by newlines are parsed as separate items; blank lines are ignored.
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
