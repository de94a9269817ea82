//! Supervision: the node's actors fail, one kind after the other, by injected faults. No acknowledged reading is lost
//! or duplicated, and the actors recover. An actor that fails permanently is reported, and can be restarted by a user.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, NodeConfig, try_post, wait_until},
};

const PUMPS: [&str; 2] = ["pump-a", "pump-b"];
/// A post has the readings of this many seconds.
const STEP_S: u32 = 5;
const SECONDS: u32 = 400;
/// The seconds in which the bearing is hot.
const HOT_SECONDS: std::ops::Range<u32> = 200..300;

fn item(pump: &str, second: u32) -> Value {
    let mut item = normal(second);
    item["pump_id"] = json!(pump);
    if HOT_SECONDS.contains(&second) {
        item["Bearing_Temperature_C"] = json!(95.0);
    }
    item
}

/// Posts the readings of these seconds of all pumps in parallel, and repeats each post until it is acknowledged.
fn post_all(node: &Node, seconds: std::ops::Range<u32>) {
    thread::scope(|scope| {
        for pump in PUMPS {
            let (url, seconds) = (&node.url, seconds.clone());
            scope.spawn(move || {
                for first in seconds.step_by(STEP_S as usize) {
                    let items: Vec<Value> = (first..first + STEP_S).map(|second| item(pump, second)).collect();
                    let body = json!(items).to_string();
                    wait_until("it is acknowledged", || {
                        let response = try_post(url, "application/json", &body).expect("the node is there");
                        if response.status == 200 && response.body["durable"] == true {
                            return Ok(());
                        }
                        assert_eq!(response.status, 503, "{response:?}");
                        Err(response)
                    });
                }
            });
        }
    });
}

/// Checks that each reading is stored exactly once.
fn assert_whole(node: &Node, seconds: u32) {
    for pump in PUMPS {
        let path = format!("/api/sensor-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let stored: Vec<String> =
            node.all_items(&path).iter().map(|item| item["timestamp"].as_str().expect("a time").to_owned()).collect();
        let distinct: BTreeSet<&String> = stored.iter().collect();
        assert_eq!((stored.len(), distinct.len()), (seconds as usize, seconds as usize), "{pump}");
    }
}

fn actors(node: &Node) -> BTreeMap<String, Value> {
    let actors = node.get_ok("/api/actors");
    let items = actors["items"].as_array().expect("a list").iter();
    items.map(|actor| (actor["id"].as_str().expect("an id").to_owned(), actor.clone())).collect()
}

/// A node without a limit on failures.
fn start(data: &TempDir, faults: &str) -> NodeConfig {
    let start = NodeConfig::new(data, "centrifugal").with_env("VOLUTE__ENGINE__RESTARTS", "1000000");
    start.with_env("VOLUTE__ENGINE__RESTART_WINDOW_S", "1").with_env("FAILPOINTS", faults)
}

#[test]
fn panics_in_every_kind_of_actor_lose_no_acknowledged_reading() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let kinds = ["gate", "pump", "inference", "recorder", "maintenance", "live"];
    let thrice = ["15*off->1*panic(injected)"; 3].join("->");
    let mut faults: Vec<String> = kinds.iter().map(|kind| format!("{kind}={thrice}")).collect();
    // A batch panics, then one of its windows. With two workers these might be different batches.
    faults.push("score=9*off->2*panic(poison)".into());
    let start = start(&data, &faults.join(";")).with_env("VOLUTE__ENGINE__INFERENCE_WORKERS", "1");
    let node = start.with_model(&model).node();

    post_all(&node, 0..SECONDS);
    assert_whole(&node, SECONDS);
    for kind in kinds {
        let failures: u64 =
            actors(&node).values().filter(|a| a["kind"] == kind).filter_map(|a| a["failures"].as_u64()).sum();
        assert!(failures >= 3, "{kind} failed {failures} times");
    }
    node.wait_until("/api/actors", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["state"] == "running"))
    });
    node.get_ok("/readyz");

    let letters = node.get_ok("/api/dead-letters");
    let letters = letters["items"].as_array().expect("a list");
    for kind in kinds {
        let broke = |letter: &&Value| letter["actor"].as_str().is_some_and(|id| id.starts_with(kind));
        assert!(letters.iter().any(|letter| broke(&letter) && letter["error"] == "injected"), "{kind}: {letters:?}");
    }
    let poison = letters.iter().find(|letter| letter["message"] == "Window").expect("a window was dropped");
    assert!(poison["error"].as_str().expect("text").ends_with("Z: poison"), "{poison}");
    assert!(PUMPS.iter().any(|pump| poison["pump_id"] == *pump), "{poison}");

    // Scoring works as before, and there is exactly one event for each pump.
    let scored = node.get_ok("/api/live-data?pump_id=pump-a")["totals"]["node"]["scored"].as_u64().expect("a number");
    post_all(&node, SECONDS..SECONDS + 100);
    node.wait_until("/api/live-data?pump_id=pump-a", |live| {
        live["totals"]["node"]["scored"].as_u64() >= Some(scored + 100)
    });
    for pump in PUMPS {
        let events = format!("/api/maintenance-events?pump_id={pump}");
        let events = node.wait_until(&events, |events| events["items"][0]["status"] == "resolved");
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
        let path = format!("/api/anomaly-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let detections = node.all_items(&path);
        let distinct: BTreeSet<String> =
            detections.iter().map(|detection| detection["timestamp"].to_string()).collect();
        assert_eq!(distinct.len(), detections.len(), "no duplicate detection");
    }
    assert!(node.terminate().success(), "a clean exit");
}

#[test]
fn panics_at_any_moment_lose_no_acknowledged_reading() {
    let rounds = if std::env::var_os("VOLUTE_LONG").is_some() { 50 } else { 2 };
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let kinds = ["gate", "pump", "inference", "recorder", "maintenance", "live", "keeper", "score"];
    let faults: Vec<String> = kinds.iter().map(|kind| format!("{kind}=3%panic(injected)")).collect();
    for _ in 0..rounds {
        let data = tempfile::tempdir().expect("a directory");
        let node = start(&data, &faults.join(";")).with_model(&model).node();
        post_all(&node, 0..SECONDS);
        assert_whole(&node, SECONDS);
        assert!(node.terminate().success(), "a clean exit");
        assert_whole(&NodeConfig::new(&data, "centrifugal").node(), SECONDS);
    }
}

#[test]
fn any_actor_is_restarted_under_load_without_loss() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let node = start(&data, "").with_model(&model).node();
    post_all(&node, 0..10);
    let ids: Vec<String> = actors(&node).into_keys().collect();
    for kind in ["gate", "recorder", "keeper", "maintenance", "live", "metrics", "commissioning", "inference/0"] {
        assert!(ids.iter().any(|id| id == kind), "{kind}: {ids:?}");
    }
    thread::scope(|scope| {
        scope.spawn(|| post_all(&node, 10..SECONDS));
        for _ in 0..3 {
            for id in &ids {
                let before = actors(&node)[id]["restarts"].as_u64();
                let path = format!("/api/actors/{}/restart", id.replace('/', "%2F"));
                let response = node.post_to(&path, "application/json", "");
                assert_eq!((response.status, &response.body["restarted"]), (200, &json!([id])), "{response:?}");
                node.wait_until("/api/actors", |actors| {
                    let items = actors["items"].as_array().expect("a list");
                    items.iter().any(|a| a["id"] == **id && a["restarts"].as_u64() > before && a["state"] == "running")
                });
            }
        }
    });
    assert_whole(&node, SECONDS);
    assert!(actors(&node).values().all(|actor| actor["failures"] == 0), "a restart is not a failure");
    let pumps = node.post_to("/api/actors/pumps/restart", "application/json", "");
    assert_eq!(pumps.body["restarted"], json!(["pump/pump-a", "pump/pump-b"]));
    assert_eq!(node.post_to("/api/actors/nobody/restart", "application/json", "").status, 404);
    assert!(node.terminate().success(), "a clean exit");
}

#[test]
fn recorder_that_stays_down_is_reported_and_can_be_restarted() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "recorder=6*panic(broken for good)").node();
    let post = |second| node.post(&json!([item("pump-a", second)]));
    node.assert_unavailable_until("/readyz", &item("pump-a", 0), |health| health.status != 200);
    let reason = node.get("/readyz").body["detail"].as_str().expect("text").to_owned();
    assert!(reason.contains("recorder"), "{reason}");
    assert_eq!(post(0).status, 503);
    let failed = node.get_ok("/api/actors?state=failed");
    assert_eq!((&failed["ready"], &failed["items"][0]["id"]), (&json!(false), &json!("recorder")));
    assert_eq!(failed["items"][0]["last_error"], "broken for good");

    assert_eq!(node.post_to("/api/actors/recorder/restart", "application/json", "").status, 200);
    node.wait_until("/api/actors", |actors| actors["ready"] == true);
    assert_eq!(post(0).status, 200);
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-a&from=2026-01-01T00:00:00Z").len(), 1);
}

#[cfg(feature = "failpoints")]
#[test]
fn failed_inference_worker_leaves_its_work_to_the_others() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start = NodeConfig::new(&data, "centrifugal").with_model(&model).with_env("VOLUTE__ENGINE__RESTARTS", "1");
    let start = start.with_env("VOLUTE__ENGINE__INFERENCE_WORKERS", "2");
    let node = start.node();
    let scored = |live: &Value| live["totals"]["node"]["scored"].as_u64().expect("a number");
    let mut second = 0;
    let mut post = |seconds: u32| {
        post_all(&node, second..second + seconds);
        second += seconds;
    };
    post(100);
    node.wait_until("/api/live-data?pump_id=pump-a", |live| scored(live) > 100);
    let failures = |actors: &Value| -> u64 {
        let items = actors["items"].as_array().expect("a list").iter();
        items.filter_map(|actor| actor["failures"].as_u64()).sum()
    };
    // With two workers, one of them has failed twice after at most three panics.
    let mut panics = 0;
    while node.get_ok("/api/actors?state=failed")["items"].as_array().is_some_and(Vec::is_empty) {
        panics += 1;
        assert!(panics <= 3, "none is down after three panics");
        start.inject("inference", "1*panic(broken)");
        post(5);
        node.wait_until("/api/actors?stage=inference", |actors| failures(actors) == panics);
    }
    node.get_ok("/readyz");
    assert!(node.get_ok("/api/actors")["reason"].as_str().expect("a text").contains("inference/"));
    let before = scored(&node.get_ok("/api/live-data?pump_id=pump-a"));
    post(100);
    node.wait_until("/api/live-data?pump_id=pump-a", |live| scored(live) >= before + 200);
    let failed = node.get_ok("/api/actors?state=failed")["items"].as_array().cloned().expect("a list");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(node.post_to("/api/actors/inference/restart", "application/json", "").status, 200);
    node.wait_until("/api/actors", |actors| actors["reason"].is_null());
    assert_whole(&node, second);
}

#[test]
fn posts_for_a_failed_pump_are_rejected_and_others_accepted() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "pump=6*panic(broken for good)").node();
    node.assert_unavailable_until("/api/actors", &item("pump-a", 0), |actors| actors.body["reason"].is_string());
    let refused = node.post(&json!([item("pump-a", 0)]));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("10")));
    assert_eq!(node.post(&json!([item("pump-b", 0)])).status, 200);
    node.get_ok("/readyz");
    let failed = node.get_ok("/api/actors?state=failed&stage=pumps");
    assert_eq!((failed["items"].as_array().map(Vec::len), &failed["items"][0]["id"]), (Some(1), &json!("pump/pump-a")));
    assert_eq!(node.post_to("/api/actors/pump%2Fpump-a/restart", "application/json", "").status, 200);
    node.wait_until("/api/actors", |actors| actors["reason"].is_null());
    assert_eq!(node.post(&json!([item("pump-a", 0)])).status, 200);
}

#[test]
fn too_many_stuck_threads_end_the_process() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data, "live=sleep(3600000)").with_env("VOLUTE__ENGINE__STUCK_AFTER_S", "1");
    let node = start.node();
    // Each of these readings blocks the live feed once. The posted readings are durable nevertheless.
    let items: Vec<Value> = (0..5).map(|second| item("pump-a", second)).collect();
    assert_eq!(node.post(&json!(items)).status, 200);
    assert_eq!(node.wait_for_exit().code(), Some(1));
    let node = NodeConfig::new(&data, "centrifugal").node();
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-a&from=2026-01-01T00:00:00Z").len(), 5);
}

/// The number of batches of readings that the pumps have processed.
#[cfg(feature = "failpoints")]
fn judged(actors: &Value) -> u64 {
    let latencies = actors["latencies"].as_array().expect("a list");
    let gate = latencies.iter().find(|latency| latency["of"] == "gate").expect("the ingress's");
    gate["buckets"].as_array().expect("a list").iter().filter_map(|bucket| bucket["count"].as_u64()).sum()
}

#[cfg(feature = "failpoints")]
#[test]
fn reading_stored_during_a_restart_of_its_pump_is_acknowledged() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let mut unstamped = normal(0);
    unstamped["pump_id"] = json!("pump-a");
    unstamped.as_object_mut().expect("an object").remove("timestamp");
    assert_eq!(node.post(&unstamped).status, 200);
    let before = node.get_ok("/api/actors");
    start.inject("journal-sync", "pause");
    let response = thread::scope(|scope| {
        let under_way = scope.spawn(|| node.post(&unstamped));
        node.wait_until("/api/actors", |actors| judged(actors) > judged(&before));
        let restarted = node.post_to("/api/actors/pumps/restart", "application/json", "");
        assert_eq!(restarted.body["restarted"], json!(["pump/pump-a"]));
        let restarts = |actors: &Value| {
            let pump = actors["items"].as_array()?.iter().find(|actor| actor["id"] == "pump/pump-a")?;
            pump["restarts"].as_u64()
        };
        node.wait_until("/api/actors", |actors| restarts(actors) > restarts(&before));
        start.inject("journal-sync", "off");
        under_way.join().expect("answered")
    });
    // If it were sent again, it would be stored twice.
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
    assert_eq!(node.all_items("/api/sensor-history?pump_id=pump-a").len(), 2);
    assert!(node.terminate().success());
}
