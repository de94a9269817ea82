//! What browsers and service managers look at: the stream, readiness, the API's own document, the node's figures.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::{Value, json};
use volute_data::{Range, Store, StoreSettings};
use volute_plant::{Clock, SystemClock};

use crate::{
    ingest::at,
    support::{PATIENCE, Start},
};

/// Reads the stream until an event of this name, and answers its data.
fn event(lines: &mut impl Iterator<Item = String>, name: &str) -> Value {
    let wanted = format!("event: {name}");
    for line in lines.by_ref() {
        if line == wanted {
            let data = lines.next().expect("data");
            return serde_json::from_str(data.strip_prefix("data: ").expect(&data)).expect("JSON");
        }
    }
    panic!("the stream ended without {wanted}")
}

#[test]
fn a_posted_reading_arrives_on_the_stream_in_columns() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").node();
    let address = node.url.strip_prefix("http://").expect("http");
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(socket, "GET /api/stream?pump_id=pump-1 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
    let mut lines = BufReader::new(socket).lines().map(|line| line.expect("a line"));
    let alive = lines.by_ref().find(|line| line.starts_with(": ")).expect("a sign of life");
    assert_eq!(alive, ": alive");

    node.post(&json!([
        at(0, json!({"pump_id": "pump-2"})),
        at(1, json!({"Motor_RPM": 1500.5, "Oil_Pressure_bar": null}))
    ]));
    let reading = event(&mut lines, "reading");
    assert_eq!((&reading["pump"], &reading["t"]), (&json!("pump-1"), &json!([1_773_050_401_000_u64])));
    let channels = reading["channels"].as_array().expect("channels");
    assert_eq!((channels.len(), &channels[0], &channels[2]), (10, &json!("Motor_RPM"), &json!("Oil_Pressure_bar")));
    assert_eq!((&reading["values"][0], &reading["values"][2]), (&json!([1500.5]), &json!([null])));
    assert!(node.terminate().success(), "an open stream does not hold the stop");
}

#[test]
fn the_node_says_that_it_is_ready_and_what_it_answers() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").node();
    assert_eq!((node.get("/healthz").status, node.get("/readyz").status), (200, 200));
    let document = node.ok("/api/openapi.json");
    for path in ["/api/ingest", "/api/live-data", "/api/sensor-history", "/api/anomaly-history", "/api/stream"] {
        assert!(document["paths"][path].is_object(), "{path} is described");
    }
    node.post(&at(0, json!({})));
    let pumps = node.until("/api/pumps", |pumps| pumps["items"][0]["last_reading_at"].is_string());
    assert_eq!(pumps["items"][0]["pump_id"], "pump-1");
}

#[test]
fn the_nodes_figures_are_stored() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    assert!(start.node().terminate().success());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let metrics = runtime.block_on(async {
        let store = Store::open(&start.data, &StoreSettings::default(), SystemClock.now()).await.expect("opened");
        let metrics = store.metrics(&Range::default()).await.expect("read").rows;
        store.close().await.expect("closed");
        metrics
    });
    assert!(metrics[0].figures["resident_bytes"] > 1e6, "{metrics:?}");
    assert_eq!(metrics[0].figures["accepted"], 0.0);
}
