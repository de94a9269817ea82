//! The order of readings, and current readings: the order within a post does not matter, a current reading is shown and
//! its limits are evaluated whatever came before it, and items with the same time are one reading.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, field_sample, now_ms, ten_values};

const HISTORY: &str = "/api/sensor-history?limit=10000&from=2026-01-01T00:00:00Z&pump_id=";

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The ten values at this second after 10:00.
fn at(pump: &str, second: u32) -> Value {
    let mut item = ten_values();
    item["pump_id"] = json!(pump);
    item["timestamp"] = json!(format!("2026-03-09T10:{:02}:{:02}Z", second / 60, second % 60));
    item
}

/// The numbers of accepted, duplicate, late and rejected items.
fn counts(response: &Value) -> [u64; 4] {
    let count = |name: &str| response[name].as_u64().expect("a number");
    let rejected = response["rejected"].as_array().expect("a list").len() as u64;
    [count("accepted"), count("duplicate"), count("late"), rejected]
}

fn late(node: &Node, pump: &str) -> usize {
    node.all_items(&format!("{HISTORY}{pump}")).iter().filter(|item| item["late"] == true).count()
}

#[test]
fn post_with_the_newest_item_first_loses_nothing() {
    let Some(post) = field_sample("02_newest_first.json") else { return };
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let response = node.post_as("application/json", &post);
    assert_eq!((response.status, counts(&response.body)), (200, [10, 0, 0, 0]), "{response:?}");
    assert_eq!(node.all_items(&format!("{HISTORY}P-1")).len(), 10);
    assert_eq!(late(&node, "P-1"), 0);
}

#[test]
fn no_item_is_late_whatever_the_order_within_its_post() {
    let data = data();
    let node = NodeConfig::new(&data, "centrifugal").node();
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
        let response = node.post(&json!(items));
        assert_eq!((response.status, counts(&response.body)), (200, [40, 0, 0, 0]), "{pump}: {response:?}");
        assert_eq!(late(&node, pump), 0, "{pump}");
    }
    // All pumps mixed, the newest reading first, and one invalid item. Its index is its position in the post.
    let mut items: Vec<Value> =
        (3000..3020).rev().flat_map(|second| table.iter().map(move |(pump, _)| at(pump, second))).collect();
    items.insert(7, json!({"pump_id": "buffers", "Motor_RPM": true}));
    let response = node.post(&json!(items));
    assert_eq!((response.status, counts(&response.body)), (207, [100, 0, 0, 1]), "{response:?}");
    assert_eq!(response.body["rejected"][0]["index"], 7);
}

/// A node that takes readings of the last minute as current, as by default.
fn start(data: &TempDir) -> NodeConfig {
    NodeConfig::new(data, "centrifugal").with_env("VOLUTE__INGEST__CURRENT_WITHIN_S", "60")
}

fn of(pump: &str, at_ms: i64, temperature: f64) -> Value {
    let mut item = ten_values();
    item["pump_id"] = json!(pump);
    item["timestamp"] = json!(at_ms);
    item["Bearing_Temperature_C"] = json!(temperature);
    item
}

fn time(at_ms: i64) -> String {
    volute_plant::Timestamp::from_millis(at_ms).expect("a time").to_string()
}

fn pump(node: &Node, id: &str) -> Value {
    let pumps = node.get_ok("/api/pumps");
    let found = pumps["items"].as_array().expect("a list").iter().find(|pump| pump["pump_id"] == id);
    found.cloned().expect("it is registered")
}

#[test]
fn one_reading_ahead_of_time_does_not_block_later_ones() {
    let data = data();
    let node = start(&data).node();
    let begin_ms = now_ms() - 20_000;
    let send = |ms: i64| {
        let response = node.post(&of("P-1", ms, 60.0));
        node.wait_until("/api/live-data?pump_id=P-1", |live| live["timestamp"] == time(ms));
        counts(&response.body)
    };
    assert_eq!(send(begin_ms), [1, 0, 0, 0]);
    assert_eq!(send(now_ms() + 25_000), [1, 0, 0, 0], "this far ahead is allowed");
    assert_eq!(send(begin_ms + 1000), [0, 0, 1, 0]);
    assert_eq!(send(begin_ms + 2000), [0, 0, 1, 0]);
    for second in 3..10 {
        assert_eq!(send(begin_ms + second * 1000), [1, 0, 0, 0], "second {second}");
    }
    let shown = pump(&node, "P-1");
    assert_eq!((&shown["late"]["count"], &shown["clock"]), (&json!(2), &Value::Null), "{shown}");
    assert!(shown["late"]["reason"].as_str().expect("text").contains("too late for their window"), "{shown}");
    let late = node.post(&of("P-1", begin_ms + 4500, 60.0)).body["late_reason"].clone();
    assert_eq!(late, shown["late"]["reason"]);
    let again = node.post(&of("P-1", begin_ms + 3000, 60.0));
    assert_eq!(counts(&again.body), [0, 1, 0, 0], "a stored reading is a duplicate in any order");
}

#[test]
fn pump_has_windows_again_once_its_clock_is_right() {
    let data = data();
    // It counts windows in commissioning.
    let start = start(&data).with_env("VOLUTE__COMMISSIONING__DETECTOR", "fused");
    let node = start.with_model(Path::new("models/pretrained/centrifugal")).node();
    let now = now_ms();
    let post = |from_ms: i64, count: i64| {
        let times = (0..count).map(|n| from_ms + n * 1000);
        // One post per reading, as a gateway sends them.
        times.map(|at_ms| counts(&node.post(&of("P-1", at_ms, 60.0)).body)).collect::<Vec<_>>()
    };
    assert_eq!(post(now + 20_000, 5), [[1, 0, 0, 0]; 5], "all in the window");
    let mut expected = [[1, 0, 0, 0]; 12];
    expected[..2].fill([0, 0, 1, 0]);
    assert_eq!(post(now - 20_000, 12), expected);
    node.wait_until("/api/live-data?pump_id=P-1", |live| live["learning"]["have"] == 10);
}

#[cfg(feature = "failpoints")]
#[test]
fn pump_status_reports_its_clock() {
    const HOUR_MS: i64 = 3_600_000;
    let data = data();
    let start = start(&data);
    let node = start.node();
    let note = |id: &str| pump(&node, id)["clock"]["note"].as_str().unwrap_or("right").to_owned();
    let wait_until = |id: &str, words: &str| {
        let live = node.wait_until(&format!("/api/live-data?pump_id={id}"), |live| match words {
            "right" => live["clock"].is_null(),
            words => live["clock"]["note"].as_str().is_some_and(|note| note.contains(words)),
        });
        assert!(note(id).contains(words));
        live
    };
    assert_eq!(node.post(&of("P-1", now_ms(), 60.0)).status, 200);
    wait_until("P-1", "right");
    let refused = node.post(&of("P-1", now_ms() + 540_000, 60.0));
    assert_eq!(refused.status, 400, "{refused:?}");
    let message = refused.body["rejected"][0]["message"].as_str().expect("text");
    assert!(message.contains("the device's clock is 9 min ahead"), "{message}");
    wait_until("P-1", "some of its readings came 9 min ahead within the last minute and were refused");
    // If current readings arrive as well, older ones are a backlog.
    assert_eq!(node.post(&of("P-5", now_ms(), 60.0)).status, 200);
    assert_eq!(counts(&node.post(&of("P-5", now_ms() - 2 * HOUR_MS, 60.0)).body), [0, 0, 1, 0]);
    wait_until("P-5", "right");
    // 1 min later, several readings have wrong times.
    start.inject("clock", "return(61000)");
    let now_ms = || now_ms() + 61_000;
    assert_eq!(node.post(&of("P-1", now_ms() + 540_000, 60.0)).status, 400);
    wait_until("P-1", "its clock is 9 min ahead: its readings are refused");
    assert_eq!(counts(&node.post(&of("P-5", now_ms() - 2 * HOUR_MS, 60.0)).body), [0, 0, 1, 0]);
    wait_until("P-5", "its clock jumped back 2 h");
    assert_eq!(node.post(&of("P-5", now_ms(), 60.0)).status, 200);
    wait_until("P-5", "right");
    // From the first reading on.
    assert_eq!(counts(&node.post(&of("P-2", now_ms() - 2 * HOUR_MS, 60.0)).body), [1, 0, 0, 0]);
    let live = wait_until("P-2", "its clock is 2 h behind");
    assert_eq!(live["status"], "UNKNOWN", "it sends, so it is not stale: {live}");
    assert!(live["status_reason"].as_str().expect("text").contains("2 h behind"), "{live}");
    assert!(live["clock"]["offset_ms"].as_i64().is_some_and(|ms| ms <= -2 * HOUR_MS), "{live}");
    let backlog: Vec<Value> = (0..60).map(|minute| of("P-3", now_ms() - (2 * 60 - minute) * 60_000, 60.0)).collect();
    assert_eq!(counts(&node.post(&json!(backlog)).body), [60, 0, 0, 0]);
    wait_until("P-3", "its newest reading is 61 min old");
    // A pump without any stored reading is not registered.
    assert_eq!(node.post(&of("P-4", now_ms() + 540_000, 60.0)).status, 400);
    // The ingress withdraws it while the response is on its way.
    let refused = ["is stored; the last one that it sent was refused", "timestamp: the device's clock is 9 min ahead"];
    crate::support::wait_until("P-4 is unknown, and why", || {
        let unknown = node.get("/api/live-data?pump_id=P-4");
        let detail = unknown.body["detail"].as_str().unwrap_or_default().to_owned();
        let is_explained = unknown.status == 404 && refused.iter().all(|text| detail.contains(text));
        if is_explained { Ok(()) } else { Err(unknown) }
    });
    let never = node.get("/api/live-data?pump_id=P-6");
    let detail = never.body["detail"].as_str().expect("a sentence");
    assert!(never.status == 404 && detail.contains("its readings may have been refused"), "{never:?}");
}

#[test]
fn limits_are_evaluated_for_current_readings_only() {
    let data = data();
    let node = start(&data).node();
    let now = now_ms();
    // Hours of a hot bearing that arrive late: in order, with one step, and out of order.
    let old: Vec<Value> = (0..100).map(|n| of("old", now - 3_600_000 + n * 1000, 120.0)).collect();
    assert_eq!(counts(&node.post(&json!(old)).body), [100, 0, 0, 0]);
    assert_eq!(node.post(&json!([of("old", now, 60.0), of("old", now - 61_500, 120.0)])).status, 200);
    for (id, items) in [
        ("late", json!([of("late", now, 60.0)])),
        ("late", json!([of("late", now - 20_000, 120.0)])),
        ("step", json!([of("step", now / 1000 * 1000, 60.0), of("step", now / 1000 * 1000 + 1, 120.0)])),
        ("passed", json!([of("passed", now, 60.0)])),
        ("passed", json!([of("passed", now - 1000, 120.0)])),
        ("part", json!([{"pump_id": "part", "timestamp": now, "Motor_RPM": 1480}])),
        ("part", json!([{"pump_id": "part", "timestamp": now, "Bearing_Temperature_C": 120}])),
        ("in-order", json!([of("in-order", now, 120.0)])),
    ] {
        assert_eq!(node.post(&items).status, 200, "{id}");
    }
    let hot = ["in-order", "late", "part", "passed", "step"];
    let events = node.wait_until("/api/maintenance-events", |events| {
        events["items"].as_array().is_some_and(|events| events.len() >= hot.len())
    });
    let mut pumps: Vec<&str> = events["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["pump_id"].as_str().expect("a name"))
        .collect();
    pumps.sort_unstable();
    assert_eq!(pumps, hot, "{events}");
}

#[test]
fn old_reading_is_not_live_after_a_restart() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    let now = now_ms();
    assert_eq!(node.post(&of("P-1", now, 60.0)).status, 200);
    node.wait_until("/api/live-data?pump_id=P-1", |live| live["timestamp"] == time(now));
    node.kill();
    let node = start.node();
    assert_eq!(counts(&node.post(&of("P-1", now - 3_600_000, 70.0)).body), [0, 0, 1, 0]);
    let live = node.wait_until("/api/live-data?pump_id=P-1", |live| live["totals"]["pump"]["readings"] == 1);
    assert_eq!((&live["timestamp"], &live["status"]), (&json!(time(now)), &json!("UNKNOWN")), "{live}");
    assert_eq!(live["channels"]["Bearing_Temperature_C"]["value"], 60.0, "{live}");
}

/// A reading may have a later time than the last current one, and still not be the pump's latest state.
#[cfg(feature = "failpoints")]
#[test]
fn last_shown_reading_is_live_after_a_restart() {
    let data = data();
    let (hour, now) = (3_600_000, now_ms());
    // The node's clock is 1 h behind while it receives current readings of two pumps, and right for the others.
    let start = start(&data).with_env("FAILPOINTS", &format!("clock=return({})", -hour));
    let node = start.node();
    assert_eq!(counts(&node.post(&of("LATE", now - hour, 61.0)).body), [1, 0, 0, 0]);
    assert_eq!(counts(&node.post(&of("AHEAD", now - hour + 25_000, 60.0)).body), [1, 0, 0, 0]);
    assert_eq!(node.post(&of("AHEAD", now - hour, 61.0)).status, 200);
    start.inject("clock", "off");
    let late = node.post(&of("LATE", now_ms() - 600_000, 70.0));
    assert_eq!(late.status, 200, "{late:?}");
    let shown = |node: &Node| {
        for pump in ["LATE", "AHEAD"] {
            let live = node
                .wait_until(&format!("/api/live-data?pump_id={pump}"), |live| live["timestamp"] == time(now - hour));
            assert_eq!(live["channels"]["Bearing_Temperature_C"]["value"], 61.0, "{live}");
            let row = node.get_ok("/api/pumps");
            assert!(row["items"].as_array().is_some_and(|rows| rows.len() == 2), "{row}");
        }
    };
    shown(&node);
    node.kill();
    let node = start.with_env("FAILPOINTS", "").node();
    shown(&node);
    assert_eq!(node.post(&of("LATE", now_ms() - 500_000, 71.0)).status, 200);
    shown(&node);
}

#[test]
fn items_of_single_tags_are_one_reading() {
    let Some(post) = field_sample("01_one_item_a_tag.json") else { return };
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let history = |node: &Node, pump: &str| node.all_items(&format!("{HISTORY}{pump}"));
    let values = |item: &Value| item["values"].as_object().expect("values").values().filter(|v| v.is_number()).count();
    let response = node.post_as("application/json", &post);
    assert_eq!((response.status, counts(&response.body)), (200, [10, 0, 0, 0]), "{response:?}");
    assert_eq!(history(&node, "P-1").iter().map(values).collect::<Vec<_>>(), [10]);
    assert_eq!(counts(&node.post_as("application/json", &post).body), [0, 10, 0, 0]);
    // Another value of one tag: only that item is rejected.
    let changed = post.replace("\"Oil_Pressure_bar\": 2.4", "\"Oil_Pressure_bar\": 2.5");
    let response = node.post_as("application/json", &changed);
    assert_eq!((response.status, counts(&response.body)), (207, [0, 9, 0, 1]), "{response:?}");
    assert!(
        response.body["rejected"][0]["message"].as_str().expect("text").contains("Oil_Pressure_bar"),
        "{response:?}"
    );

    // One post per tag, of two times alternately, with a kill in between. An item may have known and new values.
    let items: Vec<Value> = serde_json::from_str(&post).expect("JSON");
    let of_time = |item: &Value, second: u32| {
        let mut item = item.clone();
        item["pump_id"] = json!("P-2");
        item["timestamp"] = json!(format!("2026-03-09T10:00:0{second}Z"));
        item
    };
    for item in &items[..5] {
        for second in [1, 2] {
            assert_eq!(counts(&node.post(&of_time(item, second)).body), [1, 0, 0, 0], "{item}");
        }
    }
    let (once, mut both) = (of_time(&items[0], 1), of_time(&items[5], 1));
    both["Motor_RPM"] = once["Motor_RPM"].clone();
    assert_eq!(counts(&node.post(&both).body), [1, 0, 0, 0]);
    assert_eq!(counts(&node.post(&once).body), [0, 1, 0, 0]);
    node.kill();
    let node = start.node();
    assert_eq!(history(&node, "P-2").iter().map(values).collect::<Vec<_>>(), [6, 5]);
    for item in &items {
        node.post(&json!([of_time(item, 1), of_time(item, 2)]));
    }
    let all = history(&node, "P-2");
    assert_eq!(all.iter().map(values).collect::<Vec<_>>(), [10, 10]);

    // Items without a time are one reading too, at the time of receipt. Two values of one tag cannot be distinguished.
    let unstamped = |item: &Value| {
        let mut item = item.clone();
        item["pump_id"] = json!("P-3");
        item.as_object_mut().expect("an object").remove("timestamp");
        item
    };
    let mut lot: Vec<Value> = items.iter().map(unstamped).collect();
    assert_eq!(counts(&node.post(&json!(lot)).body), [10, 0, 0, 0]);
    assert_eq!(history(&node, "P-3").iter().map(values).collect::<Vec<_>>(), [10]);
    lot.push(lot[0].clone());
    assert_eq!(counts(&node.post(&json!(lot)).body), [0, 0, 0, 11]);
}

/// The first parts are already in a block when the others arrive.
#[cfg(feature = "failpoints")]
#[test]
fn tag_that_arrives_after_the_flush_joins_its_reading() {
    let data = data();
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let begin_ms = now_ms() - 10_000;
    let item = |ms: i64, tag: &str| json!({"pump_id": "P-1", "timestamp": ms, tag: 50.0});
    let all = |tag: &str| (0..10).map(|n| item(begin_ms + n * 1000, tag)).collect::<Value>();
    assert_eq!(counts(&node.post(&all("Motor_RPM")).body), [10, 0, 0, 0]);
    start.inject("clock", "return(600000)");
    node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
    assert_eq!(node.post(&all("Flow_Rate_L_min")).body["rejected"], json!([]));
    let history = |node: &Node| node.all_items(&format!("{HISTORY}P-1"));
    let whole = |node: &Node| {
        let items = history(node);
        let both = |item: &Value| item["values"]["Motor_RPM"] == 50.0 && item["values"]["Flow_Rate_L_min"] == 50.0;
        assert!(items.len() == 10 && items.iter().all(both), "{items:?}");
    };
    whole(&node);
    node.kill();
    let node = start.node();
    whole(&node);
    let again = node.post(&all("Flow_Rate_L_min"));
    assert_eq!(counts(&again.body), [0, 10, 0, 0]);
    start.inject("clock", "return(1200000)");
    node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
    whole(&node);
    assert_eq!(node.get_ok("/api/store")["problems"], json!([]));
}
