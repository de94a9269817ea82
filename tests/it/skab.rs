//! The main use on a real pump's recordings: train, serve, replay and detect the anomaly. An evaluation and a live node
//! have the same detections.

use std::{collections::HashMap, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, run, skab};

/// Enough to learn these recordings, and few enough for a test.
const EPOCHS: &str = "25";

/// Trains on the first 400 rows of a recording, starts a node, and replays the recording.
fn live(data: &TempDir, csv: &Path) -> Node {
    let (csv, model) = (csv.to_str().expect("text"), data.path().join("model"));
    let out = model.to_str().expect("text");
    run(&["train", "--profile", "skab", "--csv", csv, "--rows", "400", "--epochs", EPOCHS, "--out", out]);
    let node = NodeConfig::new(data, "skab").with_model(&model).node();
    run(&["replay", "--profile", "skab", "--csv", csv, "--url", &node.url, "--speed", "0", "--batch", "7"]);
    node
}

/// Waits until the node has scored all readings, and returns the detections by time, truncated to seconds.
fn detections(node: &Node, expected: usize) -> HashMap<String, Value> {
    let path = "/api/anomaly-history?pump_id=pump-1&limit=10000";
    node.wait_until(path, |page| page["items"].as_array().map_or(0, Vec::len) >= expected);
    let key = |item: &Value| item["timestamp"].as_str().expect("a time")[..19].replace('T', " ");
    node.all_items(path).into_iter().map(|item| (key(&item), item)).collect()
}

fn rows(csv: &Path) -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(csv).expect("the recording");
    let separator = if text.lines().next().expect("a header").contains(';') { ';' } else { ',' };
    let mut lines = text.lines().map(|line| line.split(separator).map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

fn share_above(labelled: &[&Value]) -> f64 {
    let above = labelled.iter().filter(|d| d["is_anomaly"] == true).count();
    above as f64 / labelled.len() as f64
}

/// Checks that each row is stored once, and that the score is over its threshold in most of the labelled anomaly, and
/// not before it.
fn assert_anomaly_is_detected(name: &str) {
    let Some(skab) = skab() else { return };
    let data = tempfile::tempdir().expect("a directory");
    let csv = skab.join(name);
    let node = live(&data, &csv);
    let rows = rows(&csv);

    let stored = node.all_items("/api/sensor-history?pump_id=pump-1&limit=500&from=2020-01-01T00:00:00Z");
    let times: Vec<String> =
        stored.iter().map(|r| r["timestamp"].as_str().expect("a time")[..19].replace('T', " ")).collect();
    let recorded: Vec<String> = rows.iter().map(|row| row["datetime"].clone()).collect();
    assert_eq!(times, recorded, "every row once, in order");
    for (row, reading) in rows.iter().zip(&stored) {
        for (channel, value) in reading["values"].as_object().expect("values") {
            assert_eq!(value.as_f64(), Some(number(&row[channel])), "{channel} at {}", row["datetime"]);
        }
    }

    let detections = detections(&node, rows.len() * 9 / 10);
    let of_label = |label: f64| -> Vec<&Value> {
        let rows = rows.iter().filter(|row| number(&row["anomaly"]) == label);
        rows.filter_map(|row| detections.get(&row["datetime"])).collect()
    };
    let (anomalous, normal) = (of_label(1.0), of_label(0.0));
    assert!(share_above(&anomalous) > 0.5, "{name}: {:.2} of the anomaly is seen", share_above(&anomalous));
    assert!(
        share_above(&anomalous) > share_above(&normal),
        "{name}: more windows are anomalous in the anomaly than outside"
    );
    for detection in anomalous {
        let shares = detection["contributions"].as_object().expect("contributions").values();
        let sum: f64 = shares.map(|share| share.as_f64().expect("a number")).sum();
        // Both are rounded to four decimals.
        assert!((sum - 1.0).abs() < 1e-3, "{detection}");
        // An episode may last longer than the score is over the threshold, so both are checked.
        assert_eq!(detection["threshold"], 1.0, "{detection}");
        assert!(detection["model"].as_str().expect("a name").starts_with("conditional-"), "{detection}");
    }
}

#[test]
fn valve1_3() {
    assert_anomaly_is_detected("valve1/3.csv");
}

#[test]
fn valve1_4() {
    assert_anomaly_is_detected("valve1/4.csv");
}

#[test]
fn other_3() {
    assert_anomaly_is_detected("other/3.csv");
}

/// `other/12` has 17 gaps, so that order, filling and delayed windows are tested as well.
#[test]
fn evaluation_and_live_node_have_bit_identical_detections() {
    let Some(skab) = skab() else { return };
    let data = tempfile::tempdir().expect("a directory");
    let csv = skab.join("other/12.csv");
    let node = live(&data, &csv);

    let (runs, out) = (data.path().join("runs"), data.path().join("predictions"));
    std::fs::create_dir_all(runs.join("other")).expect("a directory");
    std::fs::copy(&csv, runs.join("other/12.csv")).expect("copied");
    let (runs, out_text) = (runs.to_str().expect("text"), out.to_str().expect("text"));
    run(&["evaluate", "--profile", "skab", "--data", runs, "--out", out_text, "--epochs", EPOCHS]);

    let predictions = rows(&out.join("other/12.csv"));
    let scored: Vec<_> = predictions.iter().filter(|row| !row["score"].is_empty()).collect();
    assert!(scored.len() > 500, "{} rows are scored", scored.len());
    let detections = detections(&node, scored.len());
    for prediction in scored {
        let live = detections.get(&prediction["datetime"]).unwrap_or_else(|| panic!("none at {prediction:?}"));
        assert_eq!(live["loss"].as_f64(), Some(number(&prediction["score"])), "{prediction:?}");
        assert_eq!(live["threshold"].as_f64(), Some(number(&prediction["threshold"])));
        assert_eq!(live["is_anomaly"] == true, prediction["anomaly"] == "1");
    }
}
