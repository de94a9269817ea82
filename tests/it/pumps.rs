//! Registration and removal of pumps: the limit of new pumps, posts that register none, and removed pumps that stay
//! removed after kills, restarts and failures.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
};
#[cfg(feature = "failpoints")]
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    engine::normal,
    ingest::at,
    support::{EPOCH_MS, Node, NodeConfig, Response, run, ten_values, volute},
};

/// The names of the node's pumps.
fn names(node: &Node) -> Vec<String> {
    let pumps = node.get_ok("/api/pumps");
    let name = |pump: &Value| pump["pump_id"].as_str().expect("a name").to_owned();
    pumps["items"].as_array().expect("a list").iter().map(name).collect()
}

fn of(pump: &str, second: u32) -> Value {
    at(0, json!({"pump_id": pump, "timestamp": EPOCH_MS + u64::from(second) * 1000}))
}

/// Readings of this many new pumps with a common name prefix.
fn new_pumps(prefix: &str, count: u32) -> Value {
    json!((0..count).map(|n| of(&format!("{prefix}-{n:05}"), 0)).collect::<Vec<_>>())
}

fn remove(node: &Node, pump: &str) -> Response {
    node.send("DELETE", &format!("/api/pumps/{pump}"))
}

fn times(node: &Node, pump: &str) -> Vec<u64> {
    let time = |row: &Value| row["timestamp"].as_str().expect("a time").to_owned();
    let rows = node.all_items(&format!("/api/sensor-history?pump_id={pump}"));
    let millis = |at: String| at.parse::<volute_plant::Timestamp>().expect("a time").millis() as u64;
    // The newest is first in the response.
    rows.iter().rev().map(time).map(millis).collect()
}

/// Repeats a post until the pump's removal is complete. Until then the node asks to send it again.
fn post_when_free(node: &Node, item: &Value) {
    for _ in 0..100_000 {
        let response = node.post(item);
        if response.status == 200 {
            return;
        }
        assert_eq!((response.status, response.retry_after.as_deref()), (503, Some("10")), "{response:?}");
        assert_eq!(response.body["type"], "urn:volute:problem:being-removed");
    }
    panic!("the name is never free");
}

#[test]
fn two_posts_cannot_register_all_pumps() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__NEW_PUMPS_BURST", "50");
    let node = start.with_env("VOLUTE__INGEST__NEW_PUMPS_PER_MINUTE", "1").node();
    let some = node.post(&new_pumps("a", 60));
    assert_eq!((some.status, &some.body["accepted"]), (207, &json!(50)));
    let rejected = &some.body["rejected"][0];
    assert_eq!(
        (&rejected["index"], &rejected["field"]),
        (&json!(50), &json!("pump_id")),
        "the first names are registered"
    );
    assert!(rejected["message"].as_str().expect("text").contains("ingest.new_pumps_per_minute"), "{rejected}");
    assert!(rejected["retry_after_s"].as_u64().is_some_and(|wait| (1..=60).contains(&wait)), "{rejected}");

    let first = node.post(&new_pumps("a", 10_000));
    let again = &first.body["send_again"];
    assert_eq!((first.status, &first.body["duplicate"], again.as_array().map(Vec::len)), (207, &json!(50), Some(1)));
    assert_eq!(
        (&again[0]["from"], &again[0]["to"]),
        (&json!(50), &json!(9_999)),
        "however many items are to be sent again"
    );
    let second = node.post(&new_pumps("b", 10_000));
    assert_eq!(second.status, 429, "{second:?}");
    let retry_after: u64 = second.retry_after.expect("a time").parse().expect("seconds");
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert_eq!(names(&node).len(), 50);

    let mixed = node.post(&json!([of("a-00000", 1), of("b-00000", 0)]));
    assert_eq!((mixed.status, &mixed.body["accepted"]), (207, &json!(1)), "a known pump is accepted");
    let overflows = node.get_ok("/api/actors")["overflows"].clone();
    let new = overflows.as_array().expect("a list").iter().find(|of| of["queue"] == "new pumps of one client");
    assert_eq!(new.expect("it is listed")["count"], 1);
}

#[test]
fn rejected_post_registers_no_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_PUMPS", "1").node();
    let future = json!({"pump_id": "A", "timestamp": "2199-01-01T00:00:00Z", "Motor_RPM": 1480});
    let wrong = json!({"pump_id": "B", "Motor_RPM": "fast"});
    for post in [&future, &wrong, &json!([future, wrong])] {
        assert_eq!(node.post(post).status, 400, "{post}");
        assert_eq!(names(&node), [""; 0]);
    }
    assert_eq!(node.get_ok("/api/actors?stage=pumps")["items"], json!([]));
    assert_eq!(node.post(&of("C", 0)).status, 200, "the only slot is free");
    assert_eq!((names(&node), node.post(&of("D", 0)).status), (vec!["C".to_owned()], 400));
    node.kill();
    assert_eq!(names(&NodeConfig::new(&data, "centrifugal").node()), ["C"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn post_rejected_by_a_full_disk_registers_no_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__MAX_PUMPS", "1");
    let node = start.node();
    start.inject("journal-write", "return(full)");
    for pump in ["A", "B"] {
        assert_eq!(node.post(&of(pump, 0)).status, 507, "{pump}");
    }
    start.inject("journal-write", "off");
    assert_eq!(node.post(&of("C", 0)).status, 200, "the only slot is free");
    assert_eq!(names(&node), ["C"]);
    node.kill();
    assert_eq!(names(&start.node()), ["C"]);
}

#[test]
fn failed_or_empty_import_registers_no_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let (dir, file) = (data.path().join("store"), data.path().join("rows.csv"));
    let (dir, file) = (dir.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let channels: Vec<String> = ten_values().as_object().expect("an object").keys().cloned().collect();
    let header = format!("timestamp,{}\n", channels.join(","));
    let row = |time: &str| format!("{time}{}\n", ",1".repeat(channels.len()));
    let time = |second: i64| volute_plant::Timestamp::from_millis(EPOCH_MS as i64 + second * 1000).expect("a time");
    let good: String = (0..11_000).map(|second| row(&time(second).to_string())).collect();
    let import = || volute().args(["import", file, "--pump", "A", "--data-dir", dir]).output().expect("it runs");
    for rows in [
        String::new(),
        format!("2026-03-09T10:00:00Z{}\n", ",".repeat(channels.len())),
        format!("{good}{}", row("2199-01-01T00:00:00Z")),
        format!("{good}{}", row("yesterday")),
    ] {
        std::fs::write(file, format!("{header}{rows}")).expect("written");
        let import = import();
        assert!(!import.status.success(), "{rows:.60} {}", String::from_utf8_lossy(&import.stderr));
        assert_eq!(run(&["pumps", "list", "--data-dir", dir]), "", "{rows:.60}");
    }
    std::fs::write(file, format!("{header}{good}")).expect("written");
    assert!(import().status.success());
    assert!(run(&["pumps", "list", "--data-dir", dir]).starts_with("A  centrifugal  since "));
}

#[test]
fn removed_pump_is_gone_and_its_name_can_be_reused() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    for pump in ["A", "B"] {
        let hot = |second| at(second, json!({"pump_id": pump, "Motor_RPM": 2950, "Bearing_Temperature_C": 120}));
        assert_eq!(node.post(&json!((0..90).map(hot).collect::<Vec<_>>())).status, 200);
    }
    let events =
        node.wait_until("/api/maintenance-events", |events| events["items"].as_array().is_some_and(|e| e.len() == 2));
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "one alarm of each");
    let address = node.url.strip_prefix("http://").expect("http");
    let mut socket = TcpStream::connect(address).expect("connected");
    write!(socket, "GET /api/stream?events=fleet HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("asked");
    let mut lines = BufReader::new(socket).lines().map(|line| line.expect("a line"));
    assert!(lines.any(|line| line == ": alive"));

    assert_eq!(remove(&node, "Z").status, 404);
    assert_eq!(remove(&node, "a%0Ab").status, 400);
    let response = remove(&node, "A");
    assert_eq!((response.status, &response.body), (200, &json!({"pump_id": "A"})));
    assert!(lines.any(|line| line == "event: removed"), "browsers are notified");
    assert_eq!(lines.next().as_deref(), Some(r#"data: {"pump":"A"}"#));

    let gone = |node: &Node| {
        assert_eq!(names(node), ["B"]);
        for path in ["/api/live-data?pump_id=A", "/api/sensor-history?pump_id=A", "/api/anomaly-history?pump_id=A"] {
            assert_eq!(node.get(path).status, 404, "{path}");
        }
        let pumps_of = |list: &Value, field: &str| -> Vec<String> {
            let items = list["items"].as_array().expect("a list");
            items.iter().map(|item| item[field].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(pumps_of(&node.get_ok("/api/maintenance-events"), "pump_id"), ["B"]);
        assert_eq!(pumps_of(&node.get_ok("/api/actors?stage=pumps"), "id"), ["pump/B"]);
        assert_eq!(times(node, "B").len(), 90, "the other pump is complete");
    };
    gone(&node);
    let audit =
        node.wait_until("/api/audit-log?action=remove-pump", |log| log["items"].as_array().map(Vec::len) == Some(2));
    let outcome = |n: usize| (audit["items"][n]["object"].clone(), audit["items"][n]["outcome"].clone());
    assert_eq!(outcome(0), (json!("A"), json!("done")));
    assert_eq!(outcome(1).0, "Z", "rejected commands are recorded as well");

    node.kill();
    let node = start.node();
    gone(&node);
    assert_eq!(remove(&node, "A").status, 404);
    post_when_free(&node, &of("A", 1000));
    let new = [EPOCH_MS + 1_000_000];
    assert_eq!((names(&node), times(&node, "A")), (vec!["A".to_owned(), "B".to_owned()], new.to_vec()));

    assert!(node.terminate().success(), "a clean exit");
    let node = start.node();
    assert_eq!((times(&node, "A"), times(&node, "B").len()), (new.to_vec(), 90));
}

/// The process is killed while rows of the removed pump are still in the database.
#[cfg(feature = "failpoints")]
#[test]
fn kill_between_removal_and_deletion_restores_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let held = start.clone().with_env("FAILPOINTS", "purge=return");
    let node = held.node();
    for pump in ["A", "B"] {
        let items = (0..300).map(|second| of(pump, second)).collect::<Vec<_>>();
        assert_eq!(node.post(&json!(items)).status, 200);
    }
    // Moves the clock so that all minutes are due.
    held.inject("clock", "return(600000)");
    node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
    assert_eq!(remove(&node, "A").status, 200);
    for _ in 0..2 {
        let response = node.post(&of("A", 0));
        assert_eq!((response.status, response.retry_after.as_deref()), (503, Some("10")), "{response:?}");
        let mixed = node.post(&json!([of("A", 0), of("B", 0)]));
        assert_eq!((mixed.status, &mixed.body["rejected"][0]["field"]), (207, &json!("pump_id")), "{mixed:?}");
    }
    node.kill();

    let node = held.node();
    assert_eq!(names(&node), ["B"]);
    assert_eq!(node.get("/api/sensor-history?pump_id=A").status, 404);
    assert_eq!(node.post(&of("A", 0)).status, 503, "the name is not free yet");
    node.kill();

    let node = start.node();
    post_when_free(&node, &of("A", 7));
    assert_eq!((times(&node, "A").len(), times(&node, "B").len()), (1, 300));
    node.kill();
    let node = start.node();
    assert_eq!((times(&node, "A"), times(&node, "B").len()), (vec![EPOCH_MS + 7000], 300));
}

/// Two clients post continuously while the pump is removed. Readings acknowledged to posts that begin after the
/// removal's response are kept, although all unflushed readings are flushed before the old rows are deleted from the
/// database.
#[cfg(feature = "failpoints")]
#[test]
fn posts_during_a_removal_are_answered_correctly() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "purge=return");
    let node = start.node();
    let (removed, refused, done) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let client = |offset: u32| {
        let mut acknowledged = Vec::new();
        for n in 0..20_000 {
            let after = removed.load(Ordering::SeqCst);
            let second = 2 * n + offset;
            let response = node.post(&of("A", second));
            match response.status {
                200 if after => acknowledged.push(EPOCH_MS + u64::from(second) * 1000),
                200 => {}
                503 => {
                    assert!(response.retry_after.is_some(), "{response:?}");
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                _ => panic!("{response:?}"),
            }
            if acknowledged.len() >= 10 {
                done.fetch_add(1, Ordering::SeqCst);
                return acknowledged;
            }
        }
        panic!("the name is never free")
    };
    let acknowledged = thread::scope(|scope| {
        let clients = [scope.spawn(|| client(0)), scope.spawn(|| client(1))];
        while node.get("/api/live-data?pump_id=A").status != 200 {
            thread::yield_now();
        }
        assert_eq!(remove(&node, "A").status, 200);
        removed.store(true, Ordering::SeqCst);
        let is_done = || refused.load(Ordering::SeqCst) >= 50 || done.load(Ordering::SeqCst) == 2;
        node.wait_until("/api/store", |_| is_done());
        start.inject("clock", "return(600000)");
        node.wait_until("/api/store", |store| store["waiting"]["readings"] == 0);
        start.inject("purge", "off");
        clients.into_iter().flat_map(|client| client.join().expect("no client panicked")).collect::<Vec<u64>>()
    });
    post_when_free(&node, &of("A", 1_000_000));
    node.kill();
    let node = NodeConfig::new(&data, "centrifugal").node();
    let stored = times(&node, "A");
    assert!(acknowledged.iter().all(|at| stored.contains(at)), "{acknowledged:?} of {stored:?}");
}

#[test]
fn pump_is_removed_by_a_command_with_and_without_a_running_node() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    for pump in ["A", "B", "C"] {
        assert_eq!(node.post(&of(pump, 0)).status, 200);
    }
    let dir = start.data.to_str().expect("UTF-8").to_owned();
    let list = || run(&["pumps", "list", "--data-dir", &dir]);
    let no = |pump: &str| {
        let output = volute().args(["pumps", "remove", pump, "--data-dir", &dir]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(list().lines().count(), 3);
    assert_eq!(run(&["pumps", "remove", "A", "--data-dir", &dir]), "A is removed\n");
    assert!(no("Z").contains("no pump Z"));
    assert_eq!(names(&node), ["B", "C"]);
    assert!(node.terminate().success());

    assert_eq!(run(&["pumps", "remove", "B", "--data-dir", &dir]), "B is removed\n");
    assert!(no("Z").contains("no pump Z"));
    assert!(list().starts_with("C  centrifugal  since ") && list().lines().count() == 1, "{}", list());
    let node = start.node();
    assert_eq!(names(&node), ["C"]);
    let log = node.get_ok("/api/audit-log?action=remove-pump");
    let done = |entry: &&Value| entry["outcome"] == "done";
    let entries: Vec<&Value> = log["items"].as_array().expect("a list").iter().filter(done).collect();
    let objects: Vec<&Value> = entries.iter().map(|entry| &entry["object"]).collect();
    assert_eq!(objects, ["B", "A"]);
    assert!(entries.iter().all(|entry| entry["who"].as_str().is_some_and(|who| who.starts_with("uid "))));
    assert!(Path::new(&dir).join("pumps").exists());
    assert_eq!(node.post(&of("B", 0)).status, 200, "all of it was deleted, so the name is free");
}

#[test]
fn simulated_pump_cannot_be_removed() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let pumps = node.wait_until("/api/pumps", |pumps| pumps["items"].as_array().is_some_and(|pumps| pumps.len() == 6));
    let pump = pumps["items"][0]["pump_id"].as_str().expect("a name");
    let response = remove(&node, pump);
    assert_eq!(
        (response.status, &response.body["type"]),
        (409, &json!("urn:volute:problem:simulated-pump")),
        "{response:?}"
    );
    assert_eq!(names(&node).len(), 6);
    assert_eq!(node.post_to("/api/stop-simulation", "application/json", "").status, 200);
    assert_eq!(remove(&node, pump).status, 200);
    assert_eq!(names(&node).len(), 5);
}

/// A pump with a baseline and an open episode: both are removed with it.
#[test]
fn baseline_of_a_removed_pump_is_not_reused() {
    let data = tempfile::tempdir().expect("a directory");
    let model = crate::engine::train_on_normal(&data);
    let node = NodeConfig::new(&data, "centrifugal").with_model(&model).node();
    let items: Vec<Value> = (0..120).map(normal).collect();
    assert_eq!(node.post(&json!(items)).status, 200);
    node.wait_until("/api/anomaly-history", |list| list["items"].as_array().is_some_and(|items| items.len() >= 60));
    let stretch = json!({"from": "2026-03-09T10:00:00Z", "to": "2026-03-09T10:02:00Z"}).to_string();
    let commissioned = node.post_to("/api/pumps/pump-1/commission", "application/json", &stretch);
    let learned = commissioned.status == 200;
    assert_eq!(remove(&node, "pump-1").status, 200);
    post_when_free(&node, &normal(500));
    let baselines = node.get_ok("/api/pumps/pump-1/baselines");
    let versions = baselines["versions"].as_array().expect("a list");
    assert!(versions.iter().all(|version| version["version"] == 0), "learned: {learned}; {baselines}");
    assert_eq!(node.all_items("/api/anomaly-history?pump_id=pump-1").len(), 0);
}

#[cfg(feature = "failpoints")]
#[test]
fn removal_that_cannot_be_stored_changes_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    assert_eq!(node.post(&of("A", 0)).status, 200);
    start.inject("journal-write", "return(full)");
    assert_eq!(remove(&node, "A").status, 507);
    assert_eq!(names(&node), ["A"]);
    start.inject("journal-write", "off");
    assert_eq!(node.post(&of("A", 1)).status, 200, "it has an actor again");
    assert_eq!(times(&node, "A").len(), 2);
    assert_eq!(remove(&node, "A").status, 200);
    node.kill();
    assert_eq!(names(&start.node()), [""; 0]);
}
