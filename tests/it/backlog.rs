//! Posts with an hour of one pump's readings: taken in parts, with one response that lists the items not taken.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, NodeConfig, Response, StopOnDrop, gzip, ten_values, try_post, wait_until},
};

/// The maximum number of items of a post.
const MAX_ITEMS: usize = 10_000;
/// The number of items of one part.
const PART_ITEMS: usize = 500;

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A node with the default limit for current readings.
fn start(data: &TempDir) -> NodeConfig {
    NodeConfig::new(data, "centrifugal").with_env("VOLUTE__INGEST__CURRENT_WITHIN_S", "60")
}

/// The current time in milliseconds, truncated to seconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("some time") * 1000
}

/// Readings at intervals of 1 s, the last one 2 min ago.
fn backlog(pump: &str, count: usize) -> Vec<Value> {
    let begin_ms = now_ms() - 120_000 - 1000 * count as i64;
    let item = |n: usize| json!({"pump_id": pump, "timestamp": begin_ms + 1000 * n as i64, "Motor_RPM": n});
    (0..count).map(item).collect()
}

/// The numbers of accepted, duplicate, late and rejected items.
fn counts(response: &Response) -> [usize; 4] {
    let count = |key: &str| response.body[key].as_u64().and_then(|n| n.try_into().ok()).expect("a count");
    let listed = response.body["rejected"].as_array().map(Vec::len).expect("a list");
    [count("accepted"), count("duplicate"), count("late"), listed + count("rejected_not_listed")]
}

/// The stored values of a pump by time. Each value is the index of its reading in the backlog.
fn stored(node: &Node, pump: &str) -> Vec<usize> {
    let mut readings = node.all_items(&format!("/api/sensor-history?pump_id={pump}&limit=1000"));
    readings.sort_by(|a, b| a["timestamp"].as_str().cmp(&b["timestamp"].as_str()));
    let value = |reading: &Value| reading["values"]["Motor_RPM"].as_f64().expect("a number") as usize;
    readings.iter().map(value).collect()
}

/// The indexes of the items to send again.
fn indexes_to_resend(response: &Response) -> Vec<usize> {
    let mut indexes = Vec::new();
    for range in response.body["send_again"].as_array().expect("a list") {
        let end = |key: &str| range[key].as_u64().and_then(|n| usize::try_from(n).ok()).expect("an index");
        indexes.extend(end("from")..=end("to"));
    }
    indexes
}

/// Waits until a part of a pump's backlog is durable.
fn wait_for_first_part(node: &Node, pump: &str) {
    node.wait_until("/api/pumps", |pumps| pumps["items"].to_string().contains(&format!("\"{pump}\"")));
}

#[test]
fn post_with_10_000_readings_is_accepted_in_any_order_and_encoding() {
    let data = data();
    let node = start(&data).node();
    for (pump, newest_first, form) in
        [("plain", false, "json"), ("reversed", true, "json"), ("gzip", false, "gzip"), ("lines", true, "lines")]
    {
        let mut items: Vec<Value> = backlog(pump, MAX_ITEMS);
        for item in &mut items {
            let rpm = item["Motor_RPM"].clone();
            item.as_object_mut().expect("an object").extend(ten_values().as_object().expect("an object").clone());
            item["Motor_RPM"] = rpm;
        }
        if newest_first {
            items.reverse();
        }
        let text = json!(items).to_string();
        let post = || match form {
            "gzip" => node.post_bytes("application/json", "gzip", &gzip(text.as_bytes())),
            "lines" => {
                let lines: Vec<String> = items.iter().map(Value::to_string).collect();
                node.post_as("application/x-ndjson", &lines.join("\n"))
            }
            _ => node.post_as("application/json", &text),
        };
        let first = post();
        assert_eq!(
            (first.status, counts(&first)),
            (200, [MAX_ITEMS, 0, 0, 0]),
            "{pump}: {:.300}",
            first.body.to_string()
        );
        let second = post();
        assert_eq!((second.status, counts(&second)), (200, [0, MAX_ITEMS, 0, 0]), "{pump}");
        assert_eq!(stored(&node, pump), (0..MAX_ITEMS).collect::<Vec<_>>(), "{pump}");
    }
    let many: Vec<Value> = backlog("many", MAX_ITEMS + 1);
    let refused = node.post(&json!(many));
    assert_eq!((refused.status, &refused.body["type"]), (413, &json!("urn:volute:problem:too-large")));
    assert!(refused.body["detail"].as_str().expect("text").contains("allowed: at most 10000"), "{refused:?}");
}

/// Each reading has two items, one for each of its tags.
#[test]
fn parts_of_a_post_count_as_one_post() {
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__MAX_IN_FLIGHT_READINGS_PER_PUMP", "10").node();
    let begin_ms = now_ms() - 600_000;
    let tag = |n: i64, channel: &str| json!({"pump_id": "P-1", "ts": begin_ms + 1000 * (n / 2), channel: n / 2});
    let mut items: Vec<Value> =
        (0..400).map(|n| tag(n, if n % 2 == 0 { "Motor_RPM" } else { "Flow_Rate_L_min" })).collect();
    items.reverse();
    // An item without a time is the newest reading. Then an invalid time, and another pump.
    items.push(json!({"pump_id": "P-1", "Motor_RPM": 200}));
    items.push(json!({"pump_id": "P-1", "ts": "soon", "Motor_RPM": 1}));
    items.push(json!({"pump_id": "P-2", "ts": begin_ms, "Motor_RPM": 1}));
    let response = node.post(&json!(items));
    assert_eq!((response.status, counts(&response)), (207, [402, 0, 0, 1]), "{response:?}");
    assert_eq!((&response.body["rejected"][0]["index"], &response.body["send_again"]), (&json!(401), &json!([])));
    assert_eq!(stored(&node, "P-1"), (0..=200).collect::<Vec<_>>());
}

#[test]
fn items_not_taken_within_the_time_limit_are_listed() {
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__BACKLOG_TIMEOUT_S", "0").node();
    let items = backlog("P-1", 2000);
    // Every second item is of another pump.
    let mut mixed = Vec::new();
    for (n, item) in items.iter().enumerate() {
        mixed.push(item.clone());
        if n < PART_ITEMS {
            let mut other = item.clone();
            other["pump_id"] = json!("P-2");
            mixed.push(other);
        }
    }
    let response = node.post(&json!(mixed));
    assert_eq!(
        (response.status, counts(&response)),
        (207, [2 * PART_ITEMS, 0, 0, 1500]),
        "{:.600}",
        response.body.to_string()
    );
    assert_eq!(indexes_to_resend(&response), (2 * PART_ITEMS..2500).collect::<Vec<_>>());
    let first = &response.body["rejected"][0];
    assert_eq!((&first["index"], &first["retry_after_s"]), (&json!(2 * PART_ITEMS), &json!(1)));
    assert!(first["message"].as_str().expect("text").contains("ingest.backlog_timeout_s"), "{first}");
    assert_eq!(response.body["rejected_not_listed"], 1400);

    // Sending exactly these items again in any order stores all of them, without duplicates.
    let mut rest: Vec<Value> = indexes_to_resend(&response).into_iter().map(|index| mixed[index].clone()).collect();
    let mut posts = 0;
    while !rest.is_empty() {
        rest.reverse();
        let response = node.post(&json!(rest));
        assert_eq!(counts(&response)[1..3], [0, 0], "{posts}: neither a duplicate nor late");
        rest = indexes_to_resend(&response).into_iter().map(|index| rest[index].clone()).collect();
        posts += 1;
        assert!(posts < 10, "no progress");
    }
    assert_eq!(posts, 2, "a post that fits is not split");
    assert_eq!(stored(&node, "P-1"), (0..2000).collect::<Vec<_>>());
    assert_eq!(stored(&node, "P-2"), (0..PART_ITEMS).collect::<Vec<_>>());
}

#[test]
fn kill_during_a_backlog_keeps_the_stored_parts() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    // Fails after the first part.
    start.inject("journal-sync", "4*off->return(kill)");
    let items = json!(backlog("P-1", MAX_ITEMS));
    assert!(try_post(&node.url, "application/json", &items.to_string()).is_none(), "the node exits during the post");
    drop(node);
    let node = start.node();
    let stored_values = stored(&node, "P-1");
    assert!(!stored_values.is_empty() && stored_values.len() < MAX_ITEMS, "{}", stored_values.len());
    assert_eq!(stored_values, (0..stored_values.len()).collect::<Vec<_>>(), "the earliest readings");
    let response = node.post(&items);
    assert_eq!(
        (response.status, counts(&response)),
        (200, [MAX_ITEMS - stored_values.len(), stored_values.len(), 0, 0])
    );
    assert_eq!(stored(&node, "P-1"), (0..MAX_ITEMS).collect::<Vec<_>>());
}

#[test]
fn journal_failure_during_a_backlog_rejects_the_remaining_items() {
    for (failure, retry_after_s) in [("return(broken)", 1), ("return(full)", 10)] {
        let data = data();
        let start = start(&data);
        let node = start.node();
        start.inject("journal-write", &format!("4*off->{failure}"));
        let items = backlog("P-1", MAX_ITEMS);
        let response = node.post(&json!(items));
        let [accepted, duplicate, late, rejected] = counts(&response);
        assert_eq!((response.status, duplicate, late), (207, 0, 0), "{:.600}", response.body.to_string());
        assert!(accepted > 0 && accepted + rejected == MAX_ITEMS, "{accepted} {rejected}");
        assert_eq!(indexes_to_resend(&response), (accepted..MAX_ITEMS).collect::<Vec<_>>());
        assert_eq!(response.body["rejected"][0]["retry_after_s"], retry_after_s, "{}", response.body["rejected"][0]);
        node.kill();
        let node = start.node();
        let stored_values = stored(&node, "P-1");
        assert!(
            stored_values.len() >= accepted && stored_values.len() < MAX_ITEMS,
            "{} of {accepted}",
            stored_values.len()
        );
        let rest: Vec<Value> = indexes_to_resend(&response).into_iter().map(|index| items[index].clone()).collect();
        let response = node.post(&json!(rest));
        assert_eq!((response.status, counts(&response)[3]), (200, 0));
        assert_eq!(stored(&node, "P-1"), (0..MAX_ITEMS).collect::<Vec<_>>());
    }
}

#[test]
fn during_a_backlog_live_readings_are_accepted_and_a_second_backlog_is_rejected() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "4*off->pause");
    let items = backlog("P-1", MAX_ITEMS);
    thread::scope(|scope| {
        let posted = scope.spawn(|| node.post(&json!(items)));
        wait_for_first_part(&node, "P-1");
        let second = node.post(&json!(items));
        assert_eq!((second.status, second.retry_after.as_deref()), (429, Some("1")), "{second:?}");
        let at_ms = now_ms();
        let live = move |n: i64| json!({"pump_id": "P-1", "timestamp": at_ms + n, "Motor_RPM": MAX_ITEMS as i64 + n});
        let node = &node;
        let answers: Vec<_> = (0..3).map(|n| scope.spawn(move || node.post(&live(n)))).collect();
        let other = scope.spawn(|| node.post(&json!({"pump_id": "P-2", "Motor_RPM": 1})));
        start.inject("journal-sync", "off");
        let response = posted.join().expect("answered");
        assert_eq!((response.status, counts(&response)), (200, [MAX_ITEMS, 0, 0, 0]), "none of it is late");
        for response in answers {
            let response = response.join().expect("answered");
            assert_eq!((response.status, counts(&response)), (200, [1, 0, 0, 0]), "{response:?}");
        }
        assert_eq!(other.join().expect("answered").status, 200);
    });
    let live = node.wait_until("/api/live-data?pump_id=P-1", |live| {
        live["channels"]["Motor_RPM"]["value"].as_f64() >= Some(MAX_ITEMS as f64)
    });
    assert!(live["age_ms"].as_i64().is_some_and(|age| age < 60_000), "{live}");
    assert_eq!(stored(&node, "P-1").len(), MAX_ITEMS + 3);
    assert_eq!(node.get_ok("/api/live-data?pump_id=P-1")["totals"]["node"]["refused_pump"], 1);
}

/// Another client posts live readings of the pump as fast as possible during the backlog.
#[test]
fn live_readings_stay_current_during_a_backlog() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(5)");
    let items = backlog("P-1", MAX_ITEMS);
    let ended = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        let _ended = StopOnDrop(&ended);
        let live = scope.spawn(|| {
            let mut taken = 0;
            let begun_ms = now_ms();
            while !ended.load(Ordering::Relaxed) {
                let at_ms = begun_ms + taken;
                let response = node.post(&json!({"pump_id": "P-1", "timestamp": at_ms, "Flow_Rate_L_min": 1200}));
                assert_eq!((response.status, counts(&response)), (200, [1, 0, 0, 0]), "{response:?}");
                taken += 1;
            }
            taken
        });
        let response = node.post(&json!(items));
        let [accepted, duplicate, late, rejected] = counts(&response);
        assert_eq!((accepted + late, duplicate, rejected), (MAX_ITEMS, 0, 0), "readings before a live one are late");
        ended.store(true, Ordering::Relaxed);
        live.join().expect("every reading is accepted")
    });
    let all = node.all_items("/api/sensor-history?pump_id=P-1&limit=1000");
    assert_eq!(all.len(), MAX_ITEMS + usize::try_from(taken).expect("some"));
}

#[test]
fn response_after_a_stop_during_a_backlog_is_exact() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(20)");
    let items = backlog("P-1", MAX_ITEMS);
    let (response, node) = thread::scope(|scope| {
        let url = node.url.clone();
        let items = json!(items).to_string();
        let posted = scope.spawn(move || try_post(&url, "application/json", &items));
        wait_for_first_part(&node, "P-1");
        let pid = node.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        (posted.join().expect("it ends").expect("the client gets a response"), node)
    });
    assert!(node.wait_for_exit().success(), "a clean exit");
    assert!([200, 207].contains(&response.status), "{response:?}");
    let [accepted, duplicate, late, rejected] = counts(&response);
    assert_eq!((accepted + rejected, duplicate, late), (MAX_ITEMS, 0, 0));
    assert_eq!(indexes_to_resend(&response), (accepted..MAX_ITEMS).collect::<Vec<_>>());
    assert_eq!(stored(&start.node(), "P-1"), (0..accepted).collect::<Vec<_>>(), "exactly the accepted readings");
}

#[test]
fn removal_of_the_pump_ends_its_backlog() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(50)");
    let items = backlog("P-1", MAX_ITEMS);
    thread::scope(|scope| {
        let posted = scope.spawn(|| node.post(&json!(items)));
        wait_for_first_part(&node, "P-1");
        let removed = node.send("DELETE", "/api/pumps/P-1");
        assert_eq!(removed.status, 200, "{removed:?}");
        let response = posted.join().expect("answered");
        let [accepted, .., rejected] = counts(&response);
        assert_eq!((response.status, accepted + rejected), (207, MAX_ITEMS), "{:.600}", response.body.to_string());
        assert_eq!(indexes_to_resend(&response), (accepted..MAX_ITEMS).collect::<Vec<_>>());
        let message = response.body["rejected"][0]["message"].as_str().expect("text");
        assert!(message.contains("the pump is being removed"), "{message}");
    });
    start.inject("journal-sync", "off");
    wait_until("the name is free", || {
        let response = node.post(&json!(items));
        if response.status == 200 { Ok(()) } else { Err(response.status) }
    });
    assert_eq!(stored(&node, "P-1").len(), MAX_ITEMS);
}

/// Readings at intervals of 1 min: more past minutes than may wait for the database.
#[test]
fn items_beyond_the_limit_of_past_minutes_are_to_be_sent_again() {
    let data = data();
    let start = start(&data).with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "700");
    let node = start.node();
    start.inject("database-write", "return(worn out)");
    let begin_ms = now_ms() - 3000 * 60_000;
    let item = |n: i64| json!({"pump_id": "P-1", "timestamp": begin_ms + n * 60_000, "Motor_RPM": n});
    let mut items: Vec<Value> = (0..2500).map(item).collect();
    // Neither of these is a past minute: the first is current, and the second is rejected permanently.
    items.push(json!({"pump_id": "P-1", "timestamp": now_ms(), "Vibration_mm_s": 9.9}));
    items.push(json!({"pump_id": "P-1", "timestamp": now_ms() + 15 * 60_000, "Motor_RPM": 1}));
    let response = node.post(&json!(items));
    assert_eq!((response.status, counts(&response)), (207, [1001, 0, 0, 1501]), "{:.600}", response.body.to_string());
    assert_eq!(response.body["send_again"], json!([{"from": 1000, "to": 2499, "retry_after_s": 10}]));
    let rejected = response.body["rejected"].as_array().expect("a list");
    let message = |item: Option<&Value>| item.and_then(|item| item["message"].as_str()).expect("text").to_owned();
    assert!(message(rejected.first()).contains("ingest.past_minutes_per_pump"), "{rejected:?}");
    let ahead = message(rejected.iter().find(|item| item["index"] == 2501));
    assert!(ahead.contains("the device's clock is 15 min ahead"), "{ahead}");
    node.wait_until("/api/maintenance-events?pump_id=P-1", |events| {
        events["items"].as_array().is_some_and(|all| all.len() == 1)
    });
}

/// Scoring is slow. The backlog waits for it, so no window is skipped.
#[test]
fn every_window_of_a_backlog_is_scored_without_an_alarm() {
    let data = data();
    let model = train_on_normal(&data);
    let start = start(&data)
        .with_model(&model)
        .with_env("VOLUTE__ENGINE__QUEUED_WINDOWS_PER_PUMP", "600")
        .with_env("VOLUTE__INGEST__BACKLOG_TIMEOUT_S", "3600");
    let node = start.node();
    start.inject("score", "sleep(2)");
    // The bearing is hot in the last half hour.
    let item = |second: u32| {
        let mut item = normal(second);
        if second >= 1800 {
            item["Bearing_Temperature_C"] = json!(120.0);
        }
        item
    };
    let response = node.post(&(0..3600).map(item).collect());
    assert_eq!((response.status, counts(&response)), (200, [3600, 0, 0, 0]));
    let live = node.wait_until("/api/live-data", |live| live["totals"]["node"]["scored"] == 3600 - 29);
    assert_eq!(live["totals"]["node"]["skipped"], 0, "{live}");
    assert!(live["totals"]["node"]["anomalies"].as_u64() > Some(1000), "{live}");
    assert_eq!(node.get_ok("/api/maintenance-events")["items"], json!([]));
}

#[test]
fn many_parallel_backlogs_keep_memory_bounded() {
    let clients = if std::env::var_os("VOLUTE_LONG").is_some() { 200 } else { 30 };
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__MAX_BACKLOG_READINGS", "30000").node();
    let before = node.resident_mib();
    let highest = thread::scope(|scope| {
        for client in 0..clients {
            let node = &node;
            scope.spawn(move || {
                let items = json!(backlog(&format!("P-{client}"), MAX_ITEMS)).to_string();
                wait_until("the post is accepted", || {
                    let response = node.post_as("application/json", &items);
                    if response.status == 200 {
                        return Ok(());
                    }
                    // The journal's backlog is the limit here, as these pumps are much faster than real ones.
                    assert!([429, 503].contains(&response.status), "{response:?}");
                    Err(response.status)
                });
            });
        }
        let mut highest = before;
        let mut pumps = 0;
        while pumps < clients {
            highest = highest.max(node.resident_mib());
            pumps = node.get_ok("/api/pumps")["items"].as_array().map_or(0, Vec::len);
        }
        highest
    });
    let highest = highest.max(node.resident_mib());
    println!("resident: {before} MiB before, {highest} MiB at most");
    assert!(highest < before + 250, "{before} MiB before, {highest} MiB at most");
    assert!(
        node.get_ok("/api/live-data?pump_id=P-0")["totals"]["node"]["accepted"].as_u64()
            >= Some(clients as u64 * 10_000)
    );
}
