//! A post with an hour of one pump: it is taken in parts, answered once, and what is not taken is named item by item.

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
    support::{Answer, Node, Start, StopOnDrop, gzip, ten_values, try_post, until},
};

/// The most items of a post, and how many of them are taken at a time.
const MOST: usize = 10_000;
const PART: usize = 500;

fn data() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A node that takes for current what it would take for current in a plant.
fn start(data: &TempDir) -> Start {
    Start::new(data, "centrifugal").with_env("VOLUTE__INGEST__CURRENT_WITHIN_S", "60")
}

/// The milliseconds of now, without what is below a second.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("some time") * 1000
}

/// One reading a second, the last one two minutes ago.
fn backlog(pump: &str, count: usize) -> Vec<Value> {
    let begin_ms = now_ms() - 120_000 - 1000 * count as i64;
    let item = |n: usize| json!({"pump_id": pump, "timestamp": begin_ms + 1000 * n as i64, "Motor_RPM": n});
    (0..count).map(item).collect()
}

/// Accepted, duplicate, late, rejected.
fn counts(answer: &Answer) -> [usize; 4] {
    let count = |key: &str| answer.body[key].as_u64().and_then(|n| n.try_into().ok()).expect("a count");
    let listed = answer.body["rejected"].as_array().map(Vec::len).expect("a list");
    [count("accepted"), count("duplicate"), count("late"), listed + count("rejected_not_listed")]
}

/// The readings of a pump at rest, by time; their values are their places in its backlog.
fn stored(node: &Node, pump: &str) -> Vec<usize> {
    let mut readings = node.all(&format!("/api/sensor-history?pump_id={pump}&limit=1000"));
    readings.sort_by(|a, b| a["timestamp"].as_str().cmp(&b["timestamp"].as_str()));
    let value = |reading: &Value| reading["values"]["Motor_RPM"].as_f64().expect("a number") as usize;
    readings.iter().map(value).collect()
}

/// The places that are to be sent again.
fn again(answer: &Answer) -> Vec<usize> {
    let mut places = Vec::new();
    for range in answer.body["send_again"].as_array().expect("a list") {
        let end = |key: &str| range[key].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a place");
        places.extend(end("from")..=end("to"));
    }
    places
}

/// Waits until some of a pump's backlog is durable.
fn begun(node: &Node, pump: &str) {
    node.until("/api/pumps", |pumps| pumps["items"].to_string().contains(&format!("\"{pump}\"")));
}

#[test]
fn ten_thousand_readings_of_a_pump_are_taken_in_one_post_whatever_their_order_and_form() {
    let data = data();
    let node = start(&data).node();
    for (pump, newest_first, form) in
        [("plain", false, "json"), ("reversed", true, "json"), ("gzip", false, "gzip"), ("lines", true, "lines")]
    {
        let mut items: Vec<Value> = backlog(pump, MOST);
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
        assert_eq!((first.status, counts(&first)), (200, [MOST, 0, 0, 0]), "{pump}: {:.300}", first.body.to_string());
        let second = post();
        assert_eq!((second.status, counts(&second)), (200, [0, MOST, 0, 0]), "{pump}");
        assert_eq!(stored(&node, pump), (0..MOST).collect::<Vec<_>>(), "{pump}");
    }
    let many: Vec<Value> = backlog("many", MOST + 1);
    let refused = node.post(&json!(many));
    assert_eq!((refused.status, &refused.body["type"]), (413, &json!("urn:volute:problem:too-large")));
    assert!(refused.body["detail"].as_str().expect("text").contains("allowed: up to 10000"), "{refused:?}");
}

/// Each reading comes in two items, one for each of its tags.
#[test]
fn the_parts_of_a_post_are_one_post() {
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__BURST_READINGS_PER_PUMP", "10").node();
    let begin_ms = now_ms() - 600_000;
    let tag = |n: i64, channel: &str| json!({"pump_id": "P-1", "ts": begin_ms + 1000 * (n / 2), channel: n / 2});
    let mut items: Vec<Value> =
        (0..400).map(|n| tag(n, if n % 2 == 0 { "Motor_RPM" } else { "Flow_Rate_L_min" })).collect();
    items.reverse();
    // Without a time: the newest. And one that no pump can have, and one of another pump.
    items.push(json!({"pump_id": "P-1", "Motor_RPM": 200}));
    items.push(json!({"pump_id": "P-1", "ts": "soon", "Motor_RPM": 1}));
    items.push(json!({"pump_id": "P-2", "ts": begin_ms, "Motor_RPM": 1}));
    let answer = node.post(&json!(items));
    assert_eq!((answer.status, counts(&answer)), (207, [402, 0, 0, 1]), "{answer:?}");
    assert_eq!((&answer.body["rejected"][0]["index"], &answer.body["send_again"]), (&json!(401), &json!([])));
    assert_eq!(stored(&node, "P-1"), (0..=200).collect::<Vec<_>>());
}

#[test]
fn when_the_time_is_up_the_rest_is_named_item_by_item() {
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__BACKLOG_ANSWER_S", "0").node();
    let items = backlog("P-1", 2000);
    // Every second item is another pump's.
    let mut mixed = Vec::new();
    for (n, item) in items.iter().enumerate() {
        mixed.push(item.clone());
        if n < PART {
            let mut other = item.clone();
            other["pump_id"] = json!("P-2");
            mixed.push(other);
        }
    }
    let answer = node.post(&json!(mixed));
    assert_eq!((answer.status, counts(&answer)), (207, [2 * PART, 0, 0, 1500]), "{:.600}", answer.body.to_string());
    assert_eq!(again(&answer), (2 * PART..2500).collect::<Vec<_>>());
    let first = &answer.body["rejected"][0];
    assert_eq!((&first["index"], &first["retry_after_s"]), (&json!(2 * PART), &json!(1)));
    assert!(first["message"].as_str().expect("text").contains("ingest.backlog_answer_s"), "{first}");
    assert_eq!(answer.body["rejected_not_listed"], 1400);

    // Who sends exactly these, and in whatever order, is done in the end, and nothing is twice there.
    let mut rest: Vec<Value> = again(&answer).into_iter().map(|place| mixed[place].clone()).collect();
    let mut posts = 0;
    while !rest.is_empty() {
        rest.reverse();
        let answer = node.post(&json!(rest));
        assert_eq!(counts(&answer)[1..3], [0, 0], "{posts}: neither a duplicate nor late");
        rest = again(&answer).into_iter().map(|place| rest[place].clone()).collect();
        posts += 1;
        assert!(posts < 10, "it makes no progress");
    }
    assert_eq!(posts, 2, "what has room at once has no parts");
    assert_eq!(stored(&node, "P-1"), (0..2000).collect::<Vec<_>>());
    assert_eq!(stored(&node, "P-2"), (0..PART).collect::<Vec<_>>());
}

#[test]
fn a_kill_in_the_middle_loses_nothing_that_was_told_and_tells_nothing_that_is_lost() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    // So it is not the first part.
    start.inject("journal-sync", "4*off->return(kill)");
    let items = json!(backlog("P-1", MOST));
    assert!(try_post(&node.url, "application/json", &items.to_string()).is_none(), "it ends in the middle");
    drop(node);
    let node = start.node();
    let kept = stored(&node, "P-1");
    assert!(!kept.is_empty() && kept.len() < MOST, "{}", kept.len());
    assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>(), "the first by time");
    let answer = node.post(&items);
    assert_eq!((answer.status, counts(&answer)), (200, [MOST - kept.len(), kept.len(), 0, 0]));
    assert_eq!(stored(&node, "P-1"), (0..MOST).collect::<Vec<_>>());
}

#[test]
fn a_journal_that_fails_in_the_middle_costs_the_rest_only() {
    for (failure, retry_after_s) in [("return(broken)", 1), ("return(full)", 10)] {
        let data = data();
        let start = start(&data);
        let node = start.node();
        start.inject("journal-write", &format!("4*off->{failure}"));
        let items = backlog("P-1", MOST);
        let answer = node.post(&json!(items));
        let [accepted, duplicate, late, rejected] = counts(&answer);
        assert_eq!((answer.status, duplicate, late), (207, 0, 0), "{:.600}", answer.body.to_string());
        assert!(accepted > 0 && accepted + rejected == MOST, "{accepted} {rejected}");
        assert_eq!(again(&answer), (accepted..MOST).collect::<Vec<_>>());
        assert_eq!(answer.body["rejected"][0]["retry_after_s"], retry_after_s, "{}", answer.body["rejected"][0]);
        node.kill();
        let node = start.node();
        let kept = stored(&node, "P-1");
        assert!(kept.len() >= accepted && kept.len() < MOST, "{} of {accepted}", kept.len());
        let rest: Vec<Value> = again(&answer).into_iter().map(|place| items[place].clone()).collect();
        let answer = node.post(&json!(rest));
        assert_eq!((answer.status, counts(&answer)[3]), (200, 0));
        assert_eq!(stored(&node, "P-1"), (0..MOST).collect::<Vec<_>>());
    }
}

#[test]
fn beside_a_backlog_live_readings_are_taken_and_a_second_backlog_is_not() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "4*off->pause");
    let items = backlog("P-1", MOST);
    thread::scope(|scope| {
        let posted = scope.spawn(|| node.post(&json!(items)));
        begun(&node, "P-1");
        let second = node.post(&json!(items));
        assert_eq!((second.status, second.retry_after.as_deref()), (429, Some("1")), "{second:?}");
        let at_ms = now_ms();
        let live = move |n: i64| json!({"pump_id": "P-1", "timestamp": at_ms + n, "Motor_RPM": MOST as i64 + n});
        let node = &node;
        let answers: Vec<_> = (0..3).map(|n| scope.spawn(move || node.post(&live(n)))).collect();
        let other = scope.spawn(|| node.post(&json!({"pump_id": "P-2", "Motor_RPM": 1})));
        start.inject("journal-sync", "off");
        let answer = posted.join().expect("answered");
        assert_eq!((answer.status, counts(&answer)), (200, [MOST, 0, 0, 0]), "none of it is late");
        for answer in answers {
            let answer = answer.join().expect("answered");
            assert_eq!((answer.status, counts(&answer)), (200, [1, 0, 0, 0]), "{answer:?}");
        }
        assert_eq!(other.join().expect("answered").status, 200);
    });
    let live = node.until("/api/live-data?pump_id=P-1", |live| {
        live["channels"]["Motor_RPM"]["value"].as_f64() >= Some(MOST as f64)
    });
    assert!(live["age_ms"].as_i64().is_some_and(|age| age < 60_000), "{live}");
    assert_eq!(stored(&node, "P-1").len(), MOST + 3);
    assert_eq!(node.ok("/api/live-data?pump_id=P-1")["totals"]["node"]["refused_pump"], 1);
}

/// All the while somebody posts the pump's live readings, as fast as it goes.
#[test]
fn live_readings_of_the_pump_stay_current_while_its_backlog_comes_in() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(5)");
    let items = backlog("P-1", MOST);
    let ended = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        let _ended = StopOnDrop(&ended);
        let live = scope.spawn(|| {
            let mut taken = 0;
            let begun_ms = now_ms();
            while !ended.load(Ordering::Relaxed) {
                let at_ms = begun_ms + taken;
                let answer = node.post(&json!({"pump_id": "P-1", "timestamp": at_ms, "Flow_Rate_L_min": 1200}));
                assert_eq!((answer.status, counts(&answer)), (200, [1, 0, 0, 0]), "{answer:?}");
                taken += 1;
            }
            taken
        });
        let answer = node.post(&json!(items));
        let [accepted, duplicate, late, rejected] = counts(&answer);
        assert_eq!((accepted + late, duplicate, rejected), (MOST, 0, 0), "behind a live reading it is late");
        ended.store(true, Ordering::Relaxed);
        live.join().expect("every one was taken")
    });
    let all = node.all("/api/sensor-history?pump_id=P-1&limit=1000");
    assert_eq!(all.len(), MOST + usize::try_from(taken).expect("some"));
}

#[test]
fn a_stop_in_the_middle_tells_what_is_stored() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(20)");
    let items = backlog("P-1", MOST);
    let (answer, node) = thread::scope(|scope| {
        let url = node.url.clone();
        let items = json!(items).to_string();
        let posted = scope.spawn(move || try_post(&url, "application/json", &items));
        begun(&node, "P-1");
        let pid = node.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        (posted.join().expect("it ends").expect("who asked is answered"), node)
    });
    assert!(node.end().success(), "an orderly end");
    assert!([200, 207].contains(&answer.status), "{answer:?}");
    let [accepted, duplicate, late, rejected] = counts(&answer);
    assert_eq!((accepted + rejected, duplicate, late), (MOST, 0, 0));
    assert_eq!(again(&answer), (accepted..MOST).collect::<Vec<_>>());
    assert_eq!(stored(&start.node(), "P-1"), (0..accepted).collect::<Vec<_>>(), "neither more nor less");
}

#[test]
fn a_pump_that_is_removed_in_the_middle_takes_no_more() {
    let data = data();
    let start = start(&data);
    let node = start.node();
    start.inject("journal-sync", "sleep(50)");
    let items = backlog("P-1", MOST);
    thread::scope(|scope| {
        let posted = scope.spawn(|| node.post(&json!(items)));
        begun(&node, "P-1");
        let removed = node.send("DELETE", "/api/pumps/P-1");
        assert_eq!(removed.status, 200, "{removed:?}");
        let answer = posted.join().expect("answered");
        let [accepted, .., rejected] = counts(&answer);
        assert_eq!((answer.status, accepted + rejected), (207, MOST), "{:.600}", answer.body.to_string());
        assert_eq!(again(&answer), (accepted..MOST).collect::<Vec<_>>());
        let message = answer.body["rejected"][0]["message"].as_str().expect("text");
        assert!(message.contains("the pump is being removed"), "{message}");
    });
    start.inject("journal-sync", "off");
    until("its name is free", || {
        let answer = node.post(&json!(items));
        if answer.status == 200 { Ok(()) } else { Err(answer.status) }
    });
    assert_eq!(stored(&node, "P-1").len(), MOST);
}

/// A minute each: more of them than may wait for the database.
#[test]
fn where_minutes_of_the_past_have_no_room_the_rest_is_to_be_sent_again() {
    let data = data();
    let start = start(&data).with_env("VOLUTE__INGEST__PAST_MINUTES_PER_PUMP", "700");
    let node = start.node();
    start.inject("database-write", "return(worn out)");
    let begin_ms = now_ms() - 3000 * 60_000;
    let item = |n: i64| json!({"pump_id": "P-1", "timestamp": begin_ms + n * 60_000, "Motor_RPM": n});
    let mut items: Vec<Value> = (0..2500).map(item).collect();
    // Neither of these needs room: one is current, and one is refused for good.
    items.push(json!({"pump_id": "P-1", "timestamp": now_ms(), "Vibration_mm_s": 9.9}));
    items.push(json!({"pump_id": "P-1", "timestamp": now_ms() + 15 * 60_000, "Motor_RPM": 1}));
    let answer = node.post(&json!(items));
    assert_eq!((answer.status, counts(&answer)), (207, [1001, 0, 0, 1501]), "{:.600}", answer.body.to_string());
    assert_eq!(answer.body["send_again"], json!([{"from": 1000, "to": 2499, "retry_after_s": 10}]));
    let rejected = answer.body["rejected"].as_array().expect("a list");
    let message = |item: Option<&Value>| item.and_then(|item| item["message"].as_str()).expect("text").to_owned();
    assert!(message(rejected.first()).contains("ingest.past_minutes_per_pump"), "{rejected:?}");
    let ahead = message(rejected.iter().find(|item| item["index"] == 2501));
    assert!(ahead.contains("its clock is 15 min ahead"), "{ahead}");
    node.until("/api/maintenance-events?pump_id=P-1", |events| {
        events["items"].as_array().is_some_and(|all| all.len() == 1)
    });
}

/// The scoring is slow: the backlog waits for it, so no window is skipped.
#[test]
fn every_window_of_an_hours_backlog_is_scored_and_none_is_an_alarm() {
    let data = data();
    let model = train_on_normal(&data);
    let start = start(&data)
        .with_model(&model)
        .with_env("VOLUTE__ENGINE__QUEUED_WINDOWS_PER_PUMP", "600")
        .with_env("VOLUTE__INGEST__BACKLOG_ANSWER_S", "3600");
    let node = start.node();
    start.inject("score", "sleep(2)");
    // In its last half hour the bearing is hot.
    let item = |second: u32| {
        let mut item = normal(second);
        if second >= 1800 {
            item["Bearing_Temperature_C"] = json!(120.0);
        }
        item
    };
    let answer = node.post(&(0..3600).map(item).collect());
    assert_eq!((answer.status, counts(&answer)), (200, [3600, 0, 0, 0]));
    let live = node.until("/api/live-data", |live| live["totals"]["node"]["scored"] == 3600 - 29);
    assert_eq!(live["totals"]["node"]["skipped"], 0, "{live}");
    assert!(live["totals"]["node"]["anomalies"].as_u64() > Some(1000), "{live}");
    assert_eq!(node.ok("/api/maintenance-events")["items"], json!([]));
}

#[test]
fn many_clients_with_a_backlog_each_do_not_fill_the_memory() {
    let clients = if std::env::var_os("VOLUTE_LONG").is_some() { 200 } else { 30 };
    let data = data();
    let node = start(&data).with_env("VOLUTE__INGEST__MAX_BACKLOG_READINGS", "30000").node();
    let before = node.resident_mib();
    let highest = thread::scope(|scope| {
        for client in 0..clients {
            let node = &node;
            scope.spawn(move || {
                let items = json!(backlog(&format!("P-{client}"), MOST)).to_string();
                until("it is taken", || {
                    let answer = node.post_as("application/json", &items);
                    if answer.status == 200 {
                        return Ok(());
                    }
                    // The journal's own backlog is what bounds in the end: the pumps are far faster than real ones.
                    assert!([429, 503].contains(&answer.status), "{answer:?}");
                    Err(answer.status)
                });
            });
        }
        let mut highest = before;
        let mut pumps = 0;
        while pumps < clients {
            highest = highest.max(node.resident_mib());
            pumps = node.ok("/api/pumps")["items"].as_array().map_or(0, Vec::len);
        }
        highest
    });
    let highest = highest.max(node.resident_mib());
    println!("resident: {before} MiB before, {highest} MiB at most");
    assert!(highest < before + 250, "{before} MiB before, {highest} MiB at most");
    assert!(
        node.ok("/api/live-data?pump_id=P-0")["totals"]["node"]["accepted"].as_u64() >= Some(clients as u64 * 10_000)
    );
}
