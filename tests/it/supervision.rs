//! The node's actors break, one kind after the other, by injected faults: nothing that was acknowledged is lost, nothing is
//! there twice, and they run again. One that breaks for good is said to, and can be restarted by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, Start, try_post, until},
};

const PUMPS: [&str; 2] = ["pump-a", "pump-b"];
/// What one post holds, in seconds of a pump's time.
const STEP: u32 = 5;
const SECONDS: u32 = 400;
/// In these a bearing is hot.
const HOT: std::ops::Range<u32> = 200..300;

fn item(pump: &str, second: u32) -> Value {
    let mut item = normal(second);
    item["pump_id"] = json!(pump);
    if HOT.contains(&second) {
        item["Bearing_Temperature_C"] = json!(95.0);
    }
    item
}

/// Posts a stretch of each pump's time, all of them at once, and each post until it is acknowledged.
fn post_all(node: &Node, seconds: std::ops::Range<u32>) {
    thread::scope(|scope| {
        for pump in PUMPS {
            let (url, seconds) = (&node.url, seconds.clone());
            scope.spawn(move || {
                for first in seconds.step_by(STEP as usize) {
                    let items: Vec<Value> = (first..first + STEP).map(|second| item(pump, second)).collect();
                    let body = json!(items).to_string();
                    until("it is acknowledged", || {
                        let answer = try_post(url, "application/json", &body).expect("the node is there");
                        if answer.status == 200 && answer.body["durable"] == true {
                            return Ok(());
                        }
                        assert_eq!(answer.status, 503, "{answer:?}");
                        Err(answer)
                    });
                }
            });
        }
    });
}

/// Every reading is stored, once.
fn assert_whole(node: &Node, seconds: u32) {
    for pump in PUMPS {
        let path = format!("/api/sensor-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let stored: Vec<String> =
            node.all(&path).iter().map(|item| item["timestamp"].as_str().expect("a time").to_owned()).collect();
        let distinct: BTreeSet<&String> = stored.iter().collect();
        assert_eq!((stored.len(), distinct.len()), (seconds as usize, seconds as usize), "{pump}");
    }
}

fn actors(node: &Node) -> BTreeMap<String, Value> {
    let actors = node.ok("/api/actors");
    let items = actors["items"].as_array().expect("a list").iter();
    items.map(|actor| (actor["id"].as_str().expect("an id").to_owned(), actor.clone())).collect()
}

/// A node that bears any number of failures.
fn start(data: &TempDir, faults: &str) -> Start {
    let start = Start::new(data, "centrifugal").with_env("VOLUTE__ENGINE__RESTARTS", "1000000");
    start.with_env("VOLUTE__ENGINE__RESTART_WINDOW_S", "1").with_env("FAILPOINTS", faults)
}

#[test]
fn panics_in_every_kind_of_actor_lose_nothing_that_was_acknowledged() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let kinds = ["gate", "pump", "inference", "recorder", "maintenance", "live"];
    let thrice = ["15*off->1*panic(injected)"; 3].join("->");
    let mut faults: Vec<String> = kinds.iter().map(|kind| format!("{kind}={thrice}")).collect();
    // A batch panics, then one of its windows. With two workers it might be two batches.
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
    node.until("/api/actors", |actors| {
        actors["items"].as_array().is_some_and(|items| items.iter().all(|actor| actor["state"] == "running"))
    });
    node.ok("/readyz");

    let letters = node.ok("/api/dead-letters");
    let letters = letters["items"].as_array().expect("a list");
    for kind in kinds {
        let broke = |letter: &&Value| letter["actor"].as_str().is_some_and(|id| id.starts_with(kind));
        assert!(letters.iter().any(|letter| broke(&letter) && letter["error"] == "injected"), "{kind}: {letters:?}");
    }
    let poison = letters.iter().find(|letter| letter["message"] == "Window").expect("one was given up");
    assert!(poison["error"].as_str().expect("text").ends_with("Z: poison"), "{poison}");
    assert!(PUMPS.iter().any(|pump| poison["pump_id"] == *pump), "{poison}");

    // It judges as before, and found one matter, once, on each pump.
    let scored = node.ok("/api/live-data?pump_id=pump-a")["totals"]["node"]["scored"].as_u64().expect("a number");
    post_all(&node, SECONDS..SECONDS + 100);
    node.until("/api/live-data?pump_id=pump-a", |live| live["totals"]["node"]["scored"].as_u64() >= Some(scored + 100));
    for pump in PUMPS {
        let events = format!("/api/maintenance-events?pump_id={pump}");
        let events = node.until(&events, |events| events["items"][0]["status"] == "resolved");
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
        let path = format!("/api/anomaly-history?pump_id={pump}&limit=10000&from=2026-01-01T00:00:00Z");
        let verdicts = node.all(&path);
        let distinct: BTreeSet<String> = verdicts.iter().map(|verdict| verdict["timestamp"].to_string()).collect();
        assert_eq!(distinct.len(), verdicts.len(), "no verdict twice");
    }
    assert!(node.terminate().success(), "an orderly end");
}

#[test]
fn panics_at_any_moment_lose_nothing_that_was_acknowledged() {
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
        assert!(node.terminate().success(), "an orderly end");
        assert_whole(&Start::new(&data, "centrifugal").node(), SECONDS);
    }
}

#[test]
fn any_actor_can_be_restarted_under_load_and_nothing_is_lost() {
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
                let answer = node.post_to(&path, "application/json", "");
                assert_eq!((answer.status, &answer.body["restarted"]), (200, &json!([id])), "{answer:?}");
                node.until("/api/actors", |actors| {
                    let items = actors["items"].as_array().expect("a list");
                    items.iter().any(|a| a["id"] == **id && a["restarts"].as_u64() > before && a["state"] == "running")
                });
            }
        }
    });
    assert_whole(&node, SECONDS);
    assert!(actors(&node).values().all(|actor| actor["failures"] == 0), "a restart is no failure");
    let pumps = node.post_to("/api/actors/pumps/restart", "application/json", "");
    assert_eq!(pumps.body["restarted"], json!(["pump/pump-a", "pump/pump-b"]));
    assert_eq!(node.post_to("/api/actors/nobody/restart", "application/json", "").status, 404);
    assert!(node.terminate().success(), "an orderly end");
}

#[test]
fn a_recorder_that_stays_down_is_said_to_and_can_be_restarted() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "recorder=6*panic(broken for good)").node();
    let post = |second| node.post(&json!([item("pump-a", second)]));
    node.refuses_until("/readyz", &item("pump-a", 0), |health| health.status != 200);
    let reason = node.get("/readyz").body["detail"].as_str().expect("text").to_owned();
    assert!(reason.contains("recorder"), "{reason}");
    assert_eq!(post(0).status, 503);
    let failed = node.ok("/api/actors?state=failed");
    assert_eq!((&failed["ready"], &failed["items"][0]["id"]), (&json!(false), &json!("recorder")));
    assert_eq!(failed["items"][0]["last_error"], "broken for good");

    assert_eq!(node.post_to("/api/actors/recorder/restart", "application/json", "").status, 200);
    node.until("/api/actors", |actors| actors["ready"] == true);
    assert_eq!(post(0).status, 200);
    assert_eq!(node.all("/api/sensor-history?pump_id=pump-a&from=2026-01-01T00:00:00Z").len(), 1);
}

#[cfg(feature = "failpoints")]
#[test]
fn an_inference_worker_that_stays_down_leaves_its_work_to_the_others() {
    let data = tempfile::tempdir().expect("a directory");
    let model = train_on_normal(&data);
    let start = Start::new(&data, "centrifugal").with_model(&model).with_env("VOLUTE__ENGINE__RESTARTS", "1");
    let start = start.with_env("VOLUTE__ENGINE__INFERENCE_WORKERS", "2");
    let node = start.node();
    let scored = |live: &Value| live["totals"]["node"]["scored"].as_u64().expect("a number");
    let mut second = 0;
    let mut post = |seconds: u32| {
        post_all(&node, second..second + seconds);
        second += seconds;
    };
    post(100);
    node.until("/api/live-data?pump_id=pump-a", |live| scored(live) > 100);
    let failures = |actors: &Value| -> u64 {
        let items = actors["items"].as_array().expect("a list").iter();
        items.filter_map(|actor| actor["failures"].as_u64()).sum()
    };
    // With two workers, one has failed twice after three panics at the latest.
    let mut panics = 0;
    while node.ok("/api/actors?state=failed")["items"].as_array().is_some_and(Vec::is_empty) {
        panics += 1;
        assert!(panics <= 3, "none is down after three panics");
        start.inject("inference", "1*panic(broken)");
        post(5);
        node.until("/api/actors?stage=inference", |actors| failures(actors) == panics);
    }
    node.ok("/readyz");
    assert!(node.ok("/api/actors")["reason"].as_str().expect("it is told").contains("inference/"));
    let before = scored(&node.ok("/api/live-data?pump_id=pump-a"));
    post(100);
    node.until("/api/live-data?pump_id=pump-a", |live| scored(live) >= before + 200);
    let failed = node.ok("/api/actors?state=failed")["items"].as_array().cloned().expect("a list");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(node.post_to("/api/actors/inference/restart", "application/json", "").status, 200);
    node.until("/api/actors", |actors| actors["reason"].is_null());
    assert_whole(&node, second);
}

#[test]
fn a_pump_that_stays_down_is_refused_and_the_others_are_not() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "pump=6*panic(broken for good)").node();
    node.refuses_until("/api/actors", &item("pump-a", 0), |actors| actors.body["reason"].is_string());
    let refused = node.post(&json!([item("pump-a", 0)]));
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("10")));
    assert_eq!(node.post(&json!([item("pump-b", 0)])).status, 200);
    node.ok("/readyz");
    let failed = node.ok("/api/actors?state=failed&stage=pumps");
    assert_eq!((failed["items"].as_array().map(Vec::len), &failed["items"][0]["id"]), (Some(1), &json!("pump/pump-a")));
    assert_eq!(node.post_to("/api/actors/pump%2Fpump-a/restart", "application/json", "").status, 200);
    node.until("/api/actors", |actors| actors["reason"].is_null());
    assert_eq!(node.post(&json!([item("pump-a", 0)])).status, 200);
}

#[test]
fn too_many_stuck_threads_end_the_process() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data, "live=sleep(3600000)").with_env("VOLUTE__ENGINE__WEDGED_AFTER_S", "1");
    let node = start.node();
    // Each of these readings gets the live feed stuck once; what is posted is durable all the same.
    let items: Vec<Value> = (0..5).map(|second| item("pump-a", second)).collect();
    assert_eq!(node.post(&json!(items)).status, 200);
    assert_eq!(node.end().code(), Some(1));
    let node = Start::new(&data, "centrifugal").node();
    assert_eq!(node.all("/api/sensor-history?pump_id=pump-a&from=2026-01-01T00:00:00Z").len(), 5);
}

/// How many lots of readings their pumps have judged.
#[cfg(feature = "failpoints")]
fn judged(actors: &Value) -> u64 {
    let latencies = actors["latencies"].as_array().expect("a list");
    let gate = latencies.iter().find(|latency| latency["of"] == "gate").expect("the gate's");
    gate["buckets"].as_array().expect("a list").iter().filter_map(|bucket| bucket["count"].as_u64()).sum()
}

#[cfg(feature = "failpoints")]
#[test]
fn what_is_stored_while_its_pump_is_restarted_is_acknowledged() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    let mut unstamped = normal(0);
    unstamped["pump_id"] = json!("pump-a");
    unstamped.as_object_mut().expect("an object").remove("timestamp");
    assert_eq!(node.post(&unstamped).status, 200);
    let before = node.ok("/api/actors");
    start.inject("journal-sync", "pause");
    let answer = thread::scope(|scope| {
        let under_way = scope.spawn(|| node.post(&unstamped));
        node.until("/api/actors", |actors| judged(actors) > judged(&before));
        let restarted = node.post_to("/api/actors/pumps/restart", "application/json", "");
        assert_eq!(restarted.body["restarted"], json!(["pump/pump-a"]));
        let restarts = |actors: &Value| {
            let pump = actors["items"].as_array()?.iter().find(|actor| actor["id"] == "pump/pump-a")?;
            pump["restarts"].as_u64()
        };
        node.until("/api/actors", |actors| restarts(actors) > restarts(&before));
        start.inject("journal-sync", "off");
        under_way.join().expect("answered")
    });
    // Sent again, it would be there twice.
    assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(1)), "{answer:?}");
    assert_eq!(node.all("/api/sensor-history?pump_id=pump-a").len(), 2);
    assert!(node.terminate().success());
}
