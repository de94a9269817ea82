//! The order in which readings come: inside a post it does not matter.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, Start, field, ten_values};

const HISTORY: &str = "/api/sensor-history?limit=10000&from=2026-01-01T00:00:00Z&pump_id=";

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Ten values at a second of the tenth hour.
fn at(pump: &str, second: u32) -> Value {
    let mut item = ten_values();
    item["pump_id"] = json!(pump);
    item["timestamp"] = json!(format!("2026-03-09T10:{:02}:{:02}Z", second / 60, second % 60));
    item
}

/// Accepted, duplicate, late and rejected.
fn counts(answer: &Value) -> [u64; 4] {
    let count = |name: &str| answer[name].as_u64().expect("a number");
    let rejected = answer["rejected"].as_array().expect("a list").len() as u64;
    [count("accepted"), count("duplicate"), count("late"), rejected]
}

fn late(node: &Node, pump: &str) -> usize {
    node.all(&format!("{HISTORY}{pump}")).iter().filter(|item| item["late"] == true).count()
}

#[test]
fn a_gateways_post_with_the_newest_first_loses_nothing() {
    let Some(post) = field("02_newest_first.json") else { return };
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let answer = node.post_as("application/json", &post);
    assert_eq!((answer.status, counts(&answer.body)), (200, [10, 0, 0, 0]), "{answer:?}");
    assert_eq!(node.all(&format!("{HISTORY}P-1")).len(), 10);
    assert_eq!(late(&node, "P-1"), 0);
}

#[test]
fn in_whatever_order_a_post_has_its_items_none_is_later_than_its_post() {
    let data = data();
    let node = Start::new(&data, "centrifugal").node();
    let backwards: Vec<u32> = (0..40).rev().collect();
    let buffers: Vec<u32> = (20..40).chain(0..20).collect();
    let newest_then_order: Vec<u32> = [39].into_iter().chain(0..39).collect();
    let scattered: Vec<u32> = (0..40).map(|n| n * 17 % 40).collect();
    let by_minute: Vec<u32> = (0..40).map(|n| (39 - n) * 60).collect();
    let table = [
        ("backwards", backwards),
        ("buffers", buffers),
        ("newest", newest_then_order),
        ("scattered", scattered),
        ("minutes", by_minute),
    ];
    for (pump, seconds) in &table {
        let items: Vec<Value> = seconds.iter().map(|&second| at(pump, second)).collect();
        let answer = node.post(&json!(items));
        assert_eq!((answer.status, counts(&answer.body)), (200, [40, 0, 0, 0]), "{pump}: {answer:?}");
        assert_eq!(late(&node, pump), 0, "{pump}");
    }
    // All pumps mixed, the newest first, with one item that is no reading: an index is the place in the post.
    let mut items: Vec<Value> =
        (3000..3020).rev().flat_map(|second| table.iter().map(move |(pump, _)| at(pump, second))).collect();
    items.insert(7, json!({"pump_id": "buffers", "Motor_RPM": true}));
    let answer = node.post(&json!(items));
    assert_eq!((answer.status, counts(&answer.body)), (207, [100, 0, 0, 1]), "{answer:?}");
    assert_eq!(answer.body["rejected"][0]["index"], 7);
}
