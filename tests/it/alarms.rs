//! Alarms of a node: every accepted reading is evaluated, commands are durable, and nothing is lost by a kill.

use serde_json::{Value, json};

use crate::support::{Node, NodeConfig, Response, now_ms};

pub const BEARING: &str = "Bearing_Temperature_C";
/// The alarm of the profile's limit of 93 °C.
pub const HOT: &str = "bearing-temperature-c-high-high";

/// A pump with one channel that sends a value per second, at present.
struct Pump {
    name: &'static str,
    at_ms: i64,
}

impl Pump {
    /// A pump whose readings are of the last `seconds` seconds: all of them are current.
    fn new(name: &'static str, seconds: i64) -> Self {
        Self { name, at_ms: now_ms() - seconds * 1_000 }
    }

    fn items(&mut self, count: usize, value: f64) -> Vec<Value> {
        let mut items = Vec::new();
        for _ in 0..count {
            self.at_ms += 1_000;
            items.push(json!({"pump_id": self.name, "timestamp": self.at_ms, BEARING: value}));
        }
        items
    }

    fn post(&mut self, node: &Node, count: usize, value: f64) {
        let response = node.post(&json!(self.items(count, value)));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(count)), "{response:?}");
    }
}

/// Alarms without delays, so that tests need not wait.
pub fn set_own_alarm(node: &Node, pump: &str) -> Response {
    let alarm = json!({
        "id": HOT, "title": "Bearing hot", "priority": "high", "on_delay_s": 0, "off_delay_s": 0,
        "condition": {"kind": "high_high", "channel": BEARING, "limit": 93}
    });
    node.send_json("PUT", &format!("/api/pumps/{pump}/alarms"), &json!({"alarms": [alarm]}))
}

fn alarm(node: &Node, pump: &str) -> Option<Value> {
    in_list(&node.get_ok(&format!("/api/alarms?pump_id={pump}")))
}

/// Returns the alarm in a list of one pump's alarms.
pub fn in_list(list: &Value) -> Option<Value> {
    list["items"].as_array()?.iter().find(|alarm| alarm["alarm"] == HOT).cloned()
}

fn history(pump: &str) -> String {
    format!("/api/alarm-transitions?pump_id={pump}&alarm={HOT}&limit=1000")
}

/// How many items of a post were taken: those in order, and late ones.
fn taken(response: &Response) -> u64 {
    let count = |field: &str| response.body[field].as_u64().expect("a number");
    count("accepted") + count("late")
}

fn command(node: &Node, what: &str, pump: &str, more: &Value) -> Response {
    let mut body = json!({"alarms": [{"pump_id": pump, "alarm": HOT}]});
    for (name, value) in more.as_object().expect("an object") {
        match name.as_str() {
            "occurrence" => body["alarms"][0][name] = value.clone(),
            _ => body[name] = value.clone(),
        }
    }
    node.send_json("POST", &format!("/api/alarms/{what}"), &body)
}

fn start(data: &tempfile::TempDir) -> NodeConfig {
    NodeConfig::new(data, "centrifugal")
}

#[test]
fn alarm_is_raised_acknowledged_and_returns() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    let mut pump = Pump::new("P-1", 50);
    pump.post(&node, 1, 70.0);
    let set = set_own_alarm(&node, "P-1");
    assert_eq!((set.status, &set.body["own"]), (200, &json!([HOT])), "{set:?}");
    assert_eq!(alarm(&node, "P-1"), None);

    pump.post(&node, 2, 95.0);
    let raised = alarm(&node, "P-1").expect("raised with the response");
    assert_eq!(
        (&raised["state"], &raised["occurrence"], &raised["priority"], &raised["value"], &raised["limit"]),
        (&json!("unacknowledged"), &json!(1), &json!("high"), &json!(95.0), &json!(93.0)),
        "{raised}"
    );
    let fleet = node.get_ok("/api/pumps");
    assert_eq!(fleet["items"][0]["alarms"]["highest_unacknowledged"], "high", "{fleet}");

    let done = command(&node, "acknowledge", "P-1", &json!({"occurrence": 1, "comment": "on my way"}));
    assert_eq!((done.status, &done.body["results"][0]["done"]), (200, &json!(true)), "{done:?}");
    assert_eq!(alarm(&node, "P-1").expect("it stands")["state"], "acknowledged");
    let again = command(&node, "acknowledge", "P-1", &json!({"occurrence": 1}));
    assert_eq!((again.status, again.body["type"].as_str()), (409, Some("urn:volute:problem:alarm-state")), "{again:?}");
    assert!(again.body["detail"].as_str().is_some_and(|text| text.contains("allowed: shelve")), "{again:?}");

    pump.post(&node, 1, 70.0);
    assert_eq!(alarm(&node, "P-1"), None, "it is over and was acknowledged");
    let rows = node.wait_until(&history("P-1"), |page| page["items"].as_array().is_some_and(|i| i.len() == 3));
    let causes: Vec<&Value> = rows["items"].as_array().expect("rows").iter().map(|row| &row["cause"]).collect();
    assert_eq!(causes, ["returned", "acknowledged", "raised"], "{rows}");
    assert_eq!(rows["items"][1]["comment"], "on my way");
    let audit = node.all_items("/api/audit-log?action=acknowledge-alarm");
    assert_eq!(audit.len(), 2, "both are audited: {audit:?}");
}

#[test]
fn every_accepted_reading_is_evaluated_whatever_happens_to_its_window() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    let mut pump = Pump::new("P-1", 50);
    pump.post(&node, 1, 70.0);
    assert_eq!(set_own_alarm(&node, "P-1").status, 200);
    pump.post(&node, 20, 70.0);
    // A second reading within one step has no window of its own, and is evaluated too.
    let item = json!({"pump_id": "P-1", "timestamp": pump.at_ms + 100, BEARING: 95.0});
    assert_eq!(taken(&node.post(&item)), 1);
    assert_eq!(alarm(&node, "P-1").expect("raised")["occurrence"], 1);
    // A late reading of another pump that is current raises; an old one is recorded and raises nothing.
    let mut other = Pump::new("P-2", 50);
    other.post(&node, 1, 70.0);
    assert_eq!(set_own_alarm(&node, "P-2").status, 200);
    let old: Vec<Value> = (0..60)
        .map(|second| json!({"pump_id": "P-2", "timestamp": other.at_ms - 3_600_000 + second * 1_000, BEARING: 96.0}))
        .collect();
    assert_eq!(taken(&node.post(&json!(old))), 60);
    assert_eq!(alarm(&node, "P-2"), None, "nobody can act on what was an hour ago");
    let late = json!({"pump_id": "P-2", "timestamp": other.at_ms - 500, BEARING: 96.0});
    assert_eq!(taken(&node.post(&late)), 1);
    let live = node.get_ok("/api/live-data?pump_id=P-2");
    let totals = &live["totals"]["node"];
    let count = |field: &str| totals[field].as_u64().expect("a number");
    assert_eq!(count("evaluated"), count("accepted") + count("late"), "{totals}");
}

/// A command that was answered is there after a kill, at any moment, and nothing is repeated.
#[test]
fn commands_survive_kills() {
    let data = tempfile::tempdir().expect("a directory");
    let config = start(&data);
    let mut node = config.node();
    let mut pump = Pump::new("P-1", 50);
    pump.post(&node, 1, 70.0);
    assert_eq!(set_own_alarm(&node, "P-1").status, 200);
    for round in 1..=20 {
        pump.at_ms = pump.at_ms.max(now_ms() - 20_000);
        pump.post(&node, 1, 95.0);
        let raised = alarm(&node, "P-1").expect("raised");
        assert_eq!((&raised["state"], &raised["occurrence"]), (&json!("unacknowledged"), &json!(round)), "{raised}");
        let comment = format!("round {round}");
        let done = command(&node, "acknowledge", "P-1", &json!({"occurrence": round, "comment": comment}));
        assert_eq!(done.status, 200, "{done:?}");
        node.kill();
        node = config.node();
        let known = node.wait_until("/api/alarms?pump_id=P-1", |list| {
            list["items"].as_array().is_some_and(|items| items.iter().any(|alarm| alarm["alarm"] == HOT))
        });
        let known = known["items"].as_array().expect("alarms").iter().find(|alarm| alarm["alarm"] == HOT).cloned();
        let known = known.expect("the alarm");
        assert_eq!((&known["state"], &known["acknowledged_up_to"]), (&json!("acknowledged"), &json!(round)), "{known}");
        pump.post(&node, 1, 70.0);
        assert_eq!(alarm(&node, "P-1"), None, "round {round}");
    }
    // The rows of the last reading are stored within milliseconds of its response.
    let all = |page: &Value| page["items"].as_array().is_some_and(|rows| rows.len() >= 60);
    let rows = node.wait_until(&history("P-1"), all)["items"].as_array().expect("rows").clone();
    let comments = rows.iter().filter(|row| row["cause"] == "acknowledged" && row["comment"].is_string()).count();
    assert_eq!((rows.len(), comments), (60, 20), "raised, acknowledged and returned once per round");
}

#[test]
fn shelving_and_out_of_service_need_a_reason() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    let mut pump = Pump::new("P-1", 50);
    pump.post(&node, 1, 70.0);
    assert_eq!(set_own_alarm(&node, "P-1").status, 200);
    let until = volute_plant::Timestamp::from_millis(now_ms() + 3_600_000).expect("a time").to_string();
    let refused = command(&node, "shelve", "P-1", &json!({"until": until}));
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("comment")), "{refused:?}");
    let refused = command(&node, "shelve", "P-1", &json!({"until": "2020-01-01T00:00:00Z", "comment": "new bearing"}));
    assert_eq!(refused.status, 400, "{refused:?}");
    let shelved = command(&node, "shelve", "P-1", &json!({"until": until, "comment": "new bearing at 1"}));
    assert_eq!(shelved.status, 200, "{shelved:?}");
    pump.post(&node, 2, 95.0);
    let hidden = alarm(&node, "P-1").expect("shelved");
    assert_eq!((&hidden["state"], &hidden["shelved"]["reason"]), (&json!("shelved"), &json!("new bearing at 1")));
    assert_eq!(command(&node, "unshelve", "P-1", &json!({})).status, 200);
    assert_eq!(alarm(&node, "P-1").expect("it stands")["state"], "unacknowledged", "it holds, so it is announced");
    let out = command(&node, "take-out-of-service", "P-1", &json!({"comment": "sensor broken"}));
    assert_eq!(out.status, 200, "{out:?}");
    assert_eq!(alarm(&node, "P-1").expect("out of service")["out_of_service"]["reason"], "sensor broken");
    for (what, pump, status) in [("acknowledge", "nobody", 404), ("reset", "P-1", 409), ("unshelve", "P-1", 409)] {
        let refused = command(&node, what, pump, &json!({"occurrence": 1}));
        assert_eq!(refused.status, status, "{what}: {refused:?}");
    }
}

#[test]
fn definition_is_checked_and_tried_before_it_is_armed() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    let mut pump = Pump::new("P-1", 3_000);
    for value in [70.0, 95.0, 70.0, 96.0, 70.0] {
        pump.post(&node, 100, value);
    }
    let definition = |channel: &str| {
        json!({"id": "warm", "title": "Warm", "priority": "low", "on_delay_s": 10, "off_delay_s": 10,
               "condition": {"kind": "high", "channel": channel, "limit": 90}})
    };
    let tried = node.send_json("POST", "/api/pumps/P-1/alarms/try", &json!({"alarm": definition(BEARING)}));
    assert_eq!(tried.status, 200, "{tried:?}");
    let trial = &tried.body["trial"];
    assert_eq!((&trial["raised"], &trial["readings"]), (&json!(2), &json!(500)), "{trial}");
    let refused = node.send_json("POST", "/api/pumps/P-1/alarms/try", &json!({"alarm": definition("Bearing")}));
    assert_eq!((refused.status, &refused.body["value"]), (400, &json!("Bearing")), "{refused:?}");
    assert!(refused.body["allowed"].as_str().is_some_and(|text| text.contains(BEARING)), "{refused:?}");
    let refused = node.send_json("PUT", "/api/pumps/P-1/alarms", &json!({"alarms": [definition("Bearing")]}));
    assert_eq!(refused.status, 400, "{refused:?}");
    let metrics = node.get_ok("/api/alarm-metrics");
    assert_eq!(metrics["metrics"]["announcements"], 0, "{metrics}");
}

/// Readings that come too late for an alarm raise none. What they show is in the list of the past, page by page.
#[test]
fn the_past_is_learned_from_late_readings() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    let mut current = Pump::new("P-1", 30);
    current.post(&node, 2, 70.0);
    // Two excursions of the last hours, each in a post of its own.
    for hours in [3, 2] {
        let mut old = Pump::new("P-1", hours * 3_600);
        for (count, value) in [(5, 70.0), (40, 96.0), (5, 70.0)] {
            assert_eq!(node.post(&json!(old.items(count, value))).status, 200);
        }
    }
    let path = format!("/api/pumps/P-1/past-excursions?alarm={HOT}");
    let learned = node.wait_until(&path, |page| page["items"].as_array().is_some_and(|items| items.len() == 2));
    let newest = &learned["items"][0];
    assert_eq!((&newest["peak"], &newest["limit"], &newest["readings"]), (&json!(96.0), &json!(93.0), &json!(40)));
    assert_eq!(newest["would_have_raised"], true, "39 s, and the on-delay is 20 s: {newest}");
    assert_eq!(alarm(&node, "P-1"), None, "nobody can act on it");
    node.kill();

    let node = start.node();
    assert_eq!(node.get_ok(&path)["items"], learned["items"], "after a kill");
    let paged = node.all_items(&format!("{path}&limit=1"));
    assert_eq!(json!(paged), learned["items"], "page by page");
    assert_eq!(node.get("/api/pumps/nobody/past-excursions").status, 404);
    assert_eq!(node.get("/api/pumps/P-1/past-excursions?alarm=Hot!").status, 400);
}

/// The node is killed as soon as it has answered, and the pump sends nothing more.
#[test]
fn a_past_excursion_is_learned_although_the_node_is_killed_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    Pump::new("P-1", 30).post(&node, 2, 70.0);
    let mut old = Pump::new("P-1", 1_200);
    assert_eq!(taken(&node.post(&json!(old.items(40, 96.0)))), 40);
    node.kill();
    let node = start.node();
    let path = format!("/api/pumps/P-1/past-excursions?alarm={HOT}");
    let learned = node.wait_until(&path, |page| page["items"].as_array().is_some_and(|items| !items.is_empty()));
    let items = learned["items"].as_array().expect("a list");
    assert_eq!((items.len(), &items[0]["readings"]), (1, &json!(40)), "{learned}");
}

/// Pumps send one hot reading each and fall silent, and the node is killed as soon as it has answered.
#[test]
fn a_kill_loses_neither_the_alarm_nor_the_event_of_a_silent_pump() {
    const PUMPS: usize = 40;
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    let begin_ms = now_ms() - 30_000;
    let post = |at_ms: i64, value: f64| {
        let item = |pump| json!({"pump_id": format!("P-{pump}"), "timestamp": at_ms, BEARING: value});
        let response = node.post(&json!((0..PUMPS).map(item).collect::<Vec<_>>()));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(PUMPS)), "{response:?}");
    };
    post(begin_ms, 70.0);
    for pump in 0..PUMPS {
        assert_eq!(set_own_alarm(&node, &format!("P-{pump}")).status, 200);
    }
    post(begin_ms + 1_000, 112.0);
    node.kill();
    let node = start.node();
    let of_all = |page: &Value, key: &str, wanted: &str| {
        let items = page["items"].as_array().expect("a list").iter();
        items.filter(|item| item[key] == wanted).count() == PUMPS
    };
    node.wait_until("/api/alarms", |page| of_all(page, "alarm", HOT));
    node.wait_until("/api/maintenance-events?limit=1000", |page| of_all(page, "rule", "bearing-overheating"));
}

/// Of two people who change the alarms that both have loaded, the second one is told.
#[test]
fn nobody_overwrites_the_rules_that_somebody_else_has_changed() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    Pump::new("P-1", 30).post(&node, 1, 70.0);
    let path = "/api/pumps/P-1/alarms";
    let loaded = node.get_ok(path);
    assert_eq!(loaded["version"], 0);
    assert_eq!(loaded["in_use"][HOT]["on_delay_s"], 20.0, "a third of a temperature's: {}", loaded["in_use"][HOT]);
    let alarm = |limit: f64| {
        json!([{"id": "warm", "title": "Warm", "priority": "low",
                "condition": {"kind": "high", "channel": BEARING, "limit": limit}}])
    };
    let set = |limit: f64, version: Option<u64>| {
        let mut body = json!({"alarms": alarm(limit)});
        if let Some(version) = version {
            body["version"] = json!(version);
        }
        node.send_json("PUT", path, &body)
    };
    let first = set(80.0, Some(0));
    assert_eq!((first.status, &first.body["version"]), (200, &json!(1)), "{first:?}");
    let second = set(85.0, Some(0));
    assert_eq!((second.status, second.body["type"].as_str()), (409, Some("urn:volute:problem:other-version")));
    assert!(second.body["detail"].as_str().is_some_and(|text| text.contains("load them again")), "{second:?}");
    assert_eq!(node.get_ok(path)["alarms"].to_string(), first.body["alarms"].to_string(), "nothing is changed");
    assert_eq!(set(85.0, Some(1)).body["version"], 2);
    assert_eq!(set(86.0, None).body["version"], 3, "without a version they are changed in any case");

    let body = json!({"alarms": alarm(80.0), "removed": ["bearing-temperature-c-high", "nothing"]});
    let refused = node.send_json("PUT", path, &body);
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("removed[1]")), "{refused:?}");
    let mut wide = json!({"alarms": alarm(80.0)});
    wide["alarms"][0]["deadband"] = json!(500);
    let refused = node.send_json("PUT", path, &wide);
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("alarms.warm.deadband")), "{refused:?}");
    node.kill();
    let node = start.node();
    assert_eq!(node.get_ok(path)["version"], 3, "after a kill");
}

#[test]
fn lists_and_metrics_say_what_they_do_not_have() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    for name in ["P-1", "P-2", "P-3"] {
        let mut pump = Pump::new(name, 50);
        pump.post(&node, 1, 70.0);
        assert_eq!(set_own_alarm(&node, name).status, 200);
        pump.post(&node, 1, 95.0);
    }
    let high = "/api/alarms?priority=high&state=unacknowledged";
    let of_pumps =
        |list: &Value| list["items"].as_array().expect("a list").iter().filter(|one| !one["pump_id"].is_null()).count();
    assert_eq!(of_pumps(&node.wait_until(high, |list| of_pumps(list) == 3)), 3);
    assert_eq!(node.get_ok(high).get("incomplete"), None);
    let cut = node.get_ok(&format!("{high}&limit=2"));
    assert_eq!(cut["items"].as_array().map(Vec::len), Some(2));
    let reason = cut["incomplete"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("less urgent alarms are left out by the limit"), "{reason}");
    assert_eq!(node.get("/api/alarms?limit=0").status, 400);

    let metrics = node.get_ok("/api/alarm-metrics");
    let reason = metrics["incomplete"]["reason"].as_str().expect("the node is younger than a week");
    assert!(
        reason.starts_with("the node watches pumps since") && metrics["incomplete"]["since"] == metrics["from"],
        "{metrics}"
    );
}
