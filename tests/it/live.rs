//! Endpoints for browsers and service managers: the event stream, readiness, the OpenAPI document, the node's metrics.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::{Value, json};
use volute_data::{PageRange, Store, StoreSettings};
use volute_plant::{Clock, SystemClock};

use crate::{
    ingest::at,
    support::{NodeConfig, TIMEOUT},
};

/// Reads the stream up to an event with this name, and returns its data.
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
fn posted_reading_is_streamed_in_columns() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    let address = node.url.strip_prefix("http://").expect("http");
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(TIMEOUT)).expect("set");
    write!(socket, "GET /api/stream?pump_id=pump-1 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
    let mut lines = BufReader::new(socket).lines().map(|line| line.expect("a line"));
    let alive = lines.by_ref().find(|line| line.starts_with(": ")).expect("a heartbeat");
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
    assert!(node.terminate().success(), "an open stream does not delay the stop");
}

#[test]
fn readiness_and_openapi_document_are_served() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    assert_eq!((node.get("/healthz").status, node.get("/readyz").status), (200, 200));
    let document = node.get_ok("/api/openapi.json");
    for path in ["/api/ingest", "/api/live-data", "/api/sensor-history", "/api/anomaly-history", "/api/stream"] {
        assert!(document["paths"][path].is_object(), "{path} is described");
    }
    node.post(&at(0, json!({})));
    let pumps = node.wait_until("/api/pumps", |pumps| pumps["items"][0]["last_reading_at"].is_string());
    assert_eq!(pumps["items"][0]["pump_id"], "pump-1");
}

#[test]
fn node_metrics_are_stored() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    assert!(start.node().terminate().success());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let metrics = runtime.block_on(async {
        let store = Store::open(&start.data, &StoreSettings::default(), SystemClock.now()).await.expect("opened");
        let metrics = store.metrics(&PageRange::default()).await.expect("read").rows;
        store.close().await.expect("closed");
        metrics
    });
    assert!(metrics[0].figures["resident_bytes"] > 1e6, "{metrics:?}");
    assert_eq!(metrics[0].figures["accepted"], 0.0);
}
