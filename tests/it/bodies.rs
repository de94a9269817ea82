//! The forms of a post's body: compressed, chunked, after `Expect: 100-continue`, from another site's page; and invalid
//! ones.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    ingest::at,
    support::{self, Node, NodeConfig, RawResponse, gzip, receive, ten_values},
};

/// The node closes a connection whose body stops after 10 s. Responses must come before that.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(9);

const POST: &str = "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fn node(data: &tempfile::TempDir) -> Node {
    NodeConfig::new(data, "centrifugal").node()
}

/// Sends bytes on a new connection.
fn send(node: &Node, bytes: impl AsRef<[u8]>) -> TcpStream {
    support::send(node, bytes, RESPONSE_TIMEOUT)
}

/// Reads until the node closes the connection.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        // A reset also closes the connection.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it is still open ({error}) after {:?}", String::from_utf8_lossy(&text)),
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn gzip_is_the_only_content_encoding() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let item = |second| at(second, json!({})).to_string().into_bytes();
    for (second, coding, body) in [
        (0, "gzip", gzip(&item(0))),
        (1, "x-gzip", gzip(&item(1))),
        (2, "GZIP", gzip(&item(2))),
        (3, "identity", item(3)),
    ] {
        let response = node.post_bytes("application/json", coding, &body);
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{second} {coding}: {response:?}");
    }
    let bom = [b"\xEF\xBB\xBF", item(4).as_slice(), b"\n", &item(5)].concat();
    let response = node.post_bytes("application/x-ndjson", "gzip", &gzip(&bom));
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(2)), "{response:?}");

    let whole = gzip(&item(6));
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    for (what, body) in [
        ("half", &whole[..whole.len() / 2]),
        ("all but the last byte", &whole[..whole.len() - 1]),
        ("nothing", b""),
        ("another sum", &flipped),
        ("no gzip", &item(6)),
        ("something behind it", &[&whole[..], b"[]"].concat()),
    ] {
        let response = node.post_bytes("application/json", "gzip", body);
        assert_eq!(
            (response.status, &response.body["type"]),
            (400, &json!("urn:volute:problem:broken-body")),
            "{what}"
        );
        assert!(response.body["detail"].as_str().expect("text").contains("gzip"), "{what}: {response:?}");
    }
    for coding in ["br", "deflate", "zstd", "gzip, gzip", "compress", "none"] {
        let response = node.post_bytes("application/json", coding, &whole);
        assert_eq!(
            (response.status, &response.body["allowed"]),
            (415, &json!("gzip, identity")),
            "{coding}: {response:?}"
        );
        assert_eq!(response.body["value"], coding);
    }
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-1").len(), 6, "and nothing else");
}

/// 512 MiB of zeros are 0.5 MB in gzip, and less than 1 kB in gzip twice.
#[test]
fn gzip_bomb_is_rejected_without_using_memory() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..512).for_each(|_| encoder.write_all(&zeros).expect("memory"));
        encoder.finish().expect("memory")
    };
    let twice = gzip(&bomb);
    node.post(&ten_values());
    let before = node.resident_mib();
    let mut highest = before;
    for _ in 0..4 {
        let response = node.post_bytes("application/json", "gzip", &bomb);
        assert_eq!((response.status, &response.body["type"]), (413, &json!("urn:volute:problem:too-large")));
        assert!(response.body["detail"].as_str().expect("text").contains("8388608 bytes"), "{response:?}");
        highest = highest.max(node.resident_mib());
    }
    assert_eq!(node.post_bytes("application/json", "gzip", &twice).status, 400, "the decompressed body is not JSON");
    highest = highest.max(node.resident_mib());
    assert!(highest < before + 100, "{before} MiB before, {highest} MiB at most");
}

#[test]
fn json_as_plain_text_is_accepted_except_from_other_sites() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    for (second, kind) in [(0, "text/plain"), (1, "text/plain;charset=UTF-8"), (2, "Text/Plain; charset=us-ascii")] {
        let response = node.post_as(kind, &at(second, json!({})).to_string());
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{kind}");
    }
    assert_eq!(node.post_as("text/plain;charset=latin1", &at(3, json!({})).to_string()).status, 415);
    // A page can send this without a preflight request. The node does not read the body.
    for origin in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let head = format!(
            "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n{origin}Content-Length: 500\r\n\r\n"
        );
        let RawResponse { status, body, .. } = receive(&mut send(&node, head.as_bytes()));
        assert_eq!(status, 403, "{origin}: {body}");
        assert!(body.contains("urn:volute:problem:foreign-page"), "{body}");
    }
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-1").len(), 3);
}

#[test]
fn expect_continue_is_answered_only_if_the_body_would_be_accepted() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let expect = "Expect: 100-continue\r\nContent-Length: 100\r\n";
    let post = |host: &str, kind: &str, more: &str| {
        format!("POST /api/ingest HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{more}\r\n")
    };
    let mut streams = Vec::new();
    for (what, head, expected) in [
        ("its type", post("localhost", "text/csv", expect), 415),
        ("no type", format!("POST /api/ingest HTTP/1.1\r\nHost: localhost\r\n{expect}\r\n"), 415),
        ("its coding", post("localhost", "application/json", &format!("{expect}Content-Encoding: br\r\n")), 415),
        ("its charset", post("localhost", "application/json;charset=utf-16", expect), 415),
        ("its page", post("localhost", "application/json", &format!("{expect}Origin: https://evil.example\r\n")), 403),
        ("its host", post("evil.example", "application/json", expect), 421),
        ("its size", post("localhost", "application/json", "Expect: 100-continue\r\nContent-Length: 9000000\r\n"), 413),
        ("no such path", format!("POST /api/nothing HTTP/1.1\r\nHost: localhost\r\n{expect}\r\n"), 404),
        ("its method", format!("PUT /api/ingest HTTP/1.1\r\nHost: localhost\r\n{expect}\r\n"), 405),
        ("a path without a body", format!("GET /api/pumps HTTP/1.1\r\nHost: localhost\r\n{expect}\r\n"), 200),
        ("chunks", post("localhost", "text/csv", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), 415),
    ] {
        let mut stream = send(&node, head.as_bytes());
        let RawResponse { head, body, .. } = receive(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{what}: {head}: {body}");
        assert!(head.to_lowercase().contains("connection: close"), "{what}: {head}");
        streams.push(stream);
    }
    for mut stream in streams {
        assert_eq!(read_to_end(&mut stream), "", "and nothing more");
    }

    let body = at(0, json!({})).to_string();
    let lengths = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let chunks = "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n".to_owned();
    for (more, body) in [(lengths, body.clone()), (chunks, format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))] {
        let mut stream = send(&node, post("localhost", "application/json", &more).as_bytes());
        assert_eq!(receive(&mut stream).head, "HTTP/1.1 100 Continue");
        stream.write_all(body.as_bytes()).expect("sent");
        let RawResponse { status, body: text, .. } = receive(&mut stream);
        assert_eq!(status, 200, "{text}");
        // On the same connection, without `Expect`.
        stream.write_all(format!("{POST}Content-Length: 2\r\n\r\n[]").as_bytes()).expect("sent");
        assert_eq!(receive(&mut stream).status, 400);
    }
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-1").len(), 1);
}

#[test]
fn invalid_chunk_is_answered_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let item = at(0, json!({})).to_string();
    let first = format!("{:x}\r\n{item}\r\n", item.len());
    let mut streams = Vec::new();
    for (body, expected) in [
        ("ffffffffff\r\n", 413),
        ("ffffffffffffffffffffffffffffffff\r\n", 413),
        ("800001\r\n", 413),
        ("zz\r\n", 400),
        ("-5\r\n", 400),
        ("0x5\r\n[1,2,", 400),
        ("5 5\r\n[1,2,", 400),
        ("\r\n", 400),
        ("2\r\n[]garbage\r\n", 400),
    ] {
        for before in ["", first.as_str()] {
            let mut stream = send(&node, format!("{POST}Transfer-Encoding: chunked\r\n\r\n{before}").as_bytes());
            stream.write_all(body.as_bytes()).expect("sent");
            let RawResponse { head, body: text, .. } = receive(&mut stream);
            assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{body:?}: {head}: {text}");
            assert!(text.contains("urn:volute:problem:"), "{body:?}: {text}");
            streams.push(stream);
        }
    }
    for mut stream in streams {
        assert_eq!(read_to_end(&mut stream), "", "and nothing more");
    }
    assert_eq!(node.get_ok("/api/pumps")["items"], json!([]), "none of it is stored");
    // One body ends before its last chunk, and one is complete.
    let mut half = send(&node, format!("{POST}Transfer-Encoding: chunked\r\n\r\n{first}").as_bytes());
    half.shutdown(Shutdown::Write).expect("shut");
    let text = read_to_end(&mut half);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{text}");
    let mut stream =
        send(&node, format!("{POST}Transfer-Encoding: chunked\r\n\r\n{first}0\r\nDate: x\r\n\r\n").as_bytes());
    assert_eq!(receive(&mut stream).status, 200);
    stream.write_all(format!("{POST}Transfer-Encoding: chunked\r\n\r\n{first}0\r\n\r\n").as_bytes()).expect("sent");
    let RawResponse { status, body, .. } = receive(&mut stream);
    assert_eq!((status, body.contains("\"duplicate\":1")), (200, true), "the connection stays open");
    let refused =
        format!("POST /api/nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{first}0\r\n\r\n");
    stream.write_all(format!("{refused}{POST}Content-Length: 2\r\n\r\n[]").as_bytes()).expect("sent");
    assert_eq!(receive(&mut stream).status, 404);
}

/// Posts an unusual item. Returns the status, and the number of accepted items, the invalid field or the problem.
fn post_unusual(node: &Node, kind: &str, body: &str) -> (u16, Value) {
    let response = node.post_as(kind, body);
    assert!(response.status < 500, "{body:.100}: {response:?}");
    let taken = |key: &str| response.body[key].as_u64();
    let outcome = match taken("accepted").zip(taken("late")) {
        Some((0, 0)) => response.body["rejected"][0]["field"].clone(),
        Some((accepted, late)) => json!(accepted + late),
        None => response.body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).into(),
    };
    (response.status, outcome)
}

#[test]
fn unusual_posts_are_accepted_if_unambiguous_or_rejected_with_a_reason() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let deep = format!(r#"{{"Motor_RPM": 1, "x": {}1{}}}"#, "[".repeat(300), "]".repeat(300));
    let long = format!(r#"{{"Motor_RPM": 1{}}}"#, "0".repeat(10_000));
    // Notations of numbers.
    let numbers = [
        (r#"{"Motor_RPM": 1e999, "Flow_Rate_L_min": 1}"#, 200, json!(1)),
        (r#"{"Motor_RPM": 1e999}"#, 400, json!("")),
        (r#"{"Motor_RPM": -0}"#, 200, json!(1)),
        (r#"{"Motor_RPM": -0.0e-5}"#, 200, json!(1)),
        (r#"{"Motor_RPM": 1e-999}"#, 200, json!(1)),
        (r#"{"Motor_RPM": 123456789012345678901234567890}"#, 200, json!(1)),
        (long.as_str(), 400, json!("")),
        (r#"{"Motor_RPM": "1e3"}"#, 200, json!(1)),
        (r#"{"Motor_RPM": "0x10", "Flow_Rate_L_min": 1}"#, 200, json!(1)),
        (r#"{"Motor_RPM": "١٢", "Flow_Rate_L_min": 1}"#, 200, json!(1)),
        (r#"{"Motor_RPM": 0x10}"#, 400, json!("not-json")),
        (r#"{"Motor_RPM": 007}"#, 400, json!("not-json")),
        (r#"{"Motor_RPM": .5}"#, 400, json!("not-json")),
        (r#"{"Motor_RPM": 1,5}"#, 400, json!("not-json")),
    ];
    // Nesting of channels.
    let shapes = [
        (r#"{"Motor_RPM": 1, "Motor_RPM": 1}"#, 400, json!("Motor_RPM")),
        (r#"{"values": {"Motor_RPM": 1}, "Motor_RPM": 2}"#, 400, json!("Motor_RPM")),
        (r#"{"values": {"Motor_RPM": 1}, "Flow_Rate_L_min": 2}"#, 200, json!(1)),
        (r#"{"values": {"Motor_RPM": 1}, "values": {"Flow_Rate_L_min": 2}}"#, 200, json!(1)),
        (r#"{"values": null, "Motor_RPM": 1}"#, 200, json!(1)),
        (r#"{"values": {}}"#, 400, json!("")),
        (r#"[[1773051273, 1480.0], [1773051274, 1481.0]]"#, 400, json!("")),
        (r#"[[{"Motor_RPM": 1}]]"#, 400, json!("")),
        (r#"{"Motor_RPM": [1, 2]}"#, 400, json!("")),
        (r#"{"Motor_RPM": {"value": 1}}"#, 400, json!("")),
        (r#""{\"Motor_RPM\": 1}""#, 400, json!("")),
        ("NaN", 400, json!("")),
        ("null", 400, json!("")),
        ("{}", 400, json!("")),
        ("[]", 400, json!("no-items")),
        (deep.as_str(), 400, json!("not-json")),
    ];
    // Nearly JSON, and not JSON.
    let forms = [
        ("{\"Motor_RPM\": 1}\n{\"Motor_RPM\": 2}\n", 400, json!("not-json")),
        ("pump,id=P-1 Motor_RPM=1480 1773051273000000000", 400, json!("not-json")),
        ("timestamp,Motor_RPM\n2026-03-09T10:14:33Z,1480\n", 400, json!("not-json")),
        ("Motor_RPM=1480&Flow_Rate_L_min=1200", 400, json!("not-json")),
        ("<pump><Motor_RPM>1480</Motor_RPM></pump>", 400, json!("not-json")),
        ("{'Motor_RPM': 1}", 400, json!("not-json")),
        ("{\"Motor_RPM\": 1,}", 400, json!("not-json")),
        ("{\"Motor_RPM\": 1} // fine", 400, json!("not-json")),
        ("{\"Motor_RPM\": 1}\0\0\0\0", 400, json!("not-json")),
        ("{\"\\ud800\": 1, \"Motor_RPM\": 1}", 400, json!("not-json")),
        ("\u{feff}\u{feff}{\"Motor_RPM\": 1}", 400, json!("not-json")),
        ("\u{feff}{\"Motor_RPM\": 1}\r\n", 200, json!(1)),
    ];
    for (body, status, outcome) in numbers.into_iter().chain(shapes).chain(forms) {
        for kind in ["application/json", "text/plain"] {
            assert_eq!(post_unusual(&node, kind, body), (status, outcome.clone()), "{body:.100}");
        }
    }
    let lines = node.post_as("application/json", "{\"Motor_RPM\": 1}\n{\"Motor_RPM\": 2}\n");
    assert!(lines.body["detail"].as_str().expect("text").contains("application/x-ndjson"), "{lines:?}");
    for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "text/csv"]
    {
        assert_eq!(post_unusual(&node, kind, "Motor_RPM=1"), (415, json!("unsupported-media-type")), "{kind}");
    }
}

#[test]
fn times_are_accepted_in_every_unambiguous_form() {
    let data = tempfile::tempdir().expect("a directory");
    let node = node(&data);
    let clear = [
        (r#""1773051273""#, "2026-03-09T10:14:33.000Z"),
        (r#""1773051274000""#, "2026-03-09T10:14:34.000Z"),
        (r#""1773051275000000""#, "2026-03-09T10:14:35.000Z"),
        (r#""1773051276000000000""#, "2026-03-09T10:14:36.000Z"),
        (r#""1773051277.25""#, "2026-03-09T10:14:37.250Z"),
        ("1773051278000000000", "2026-03-09T10:14:38.000Z"),
        ("1.773051279e12", "2026-03-09T10:14:39.000Z"),
        (r#""2026-03-09t10:14:40z""#, "2026-03-09T10:14:40.000Z"),
        (r#""2026-03-09T10:14:41.5-00:00""#, "2026-03-09T10:14:41.500Z"),
        (r#""2026-03-09 10:14:42utc""#, "2026-03-09T10:14:42.000Z"),
        // A leap second is read as the first second of the next minute.
        (r#""2016-12-31T23:59:60Z""#, "2017-01-01T00:00:00.000Z"),
        (r#""2016-12-31T23:59:60.5Z""#, "2017-01-01T00:00:00.500Z"),
    ];
    for (ts, at) in clear {
        let body = format!(r#"{{"ts": {ts}, "Motor_RPM": 1}}"#);
        assert_eq!(post_unusual(&node, "application/json", &body), (200, json!(1)), "{ts}");
        let stored = node.all_items("/api/sensor-history?pump_id=pump-1&limit=1000");
        assert!(stored.iter().any(|reading| reading["timestamp"] == at), "{ts}: {stored:?}");
    }
    let unclear = [
        r#""2026-03-09T24:00:00Z""#,
        r#""2026-02-30T00:00:00Z""#,
        r#""2026-03-09T10:14:61Z""#,
        r#""2026-03-09""#,
        r#""09/03/2026 10:14:33Z""#,
        r#""10:14:33Z""#,
        r#""2026-W11-1T10:14:33Z""#,
        r#""now""#,
        "\"\"",
        "\" \"",
        "0",
        "-1773051273",
        "1e300",
        "true",
        "[1773051273]",
        r#"{"$date": 1773051273000}"#,
    ];
    for ts in unclear {
        let body = format!(r#"{{"ts": {ts}, "Motor_RPM": 1}}"#);
        assert_eq!(post_unusual(&node, "application/json", &body), (400, json!("ts")), "{ts}");
    }
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-1&limit=1000").len(), clear.len());
}
