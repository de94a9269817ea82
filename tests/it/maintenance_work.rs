//! What people do about maintenance events, planned work, and the shift handover: on the running node, over kills.

use serde_json::{Value, json};
use volute_access::Role;
use volute_plant::Timestamp;

use crate::{
    access::{Client, Plant, second_session},
    support::{Node, NodeConfig, Response, now_ms, ten_values, url_encoded, wait_until},
};

const BEARING: &str = "Bearing_Temperature_C";
/// A pump whose id needs to be encoded.
const PUMP: &str = "P-101A/B 5%";

fn time(ms: i64) -> String {
    Timestamp::from_millis(ms).expect("a time").to_string()
}

fn reading(pump: &str, at_ms: i64, bearing: f64) -> Value {
    let mut item = ten_values();
    item["pump_id"] = json!(pump);
    item["timestamp"] = json!(at_ms);
    item[BEARING] = json!(bearing);
    item
}

fn post(node: &Node, items: &Value) {
    let response = node.post(items);
    assert_eq!(response.status, 200, "{response:?}");
}

fn get(client: &Client<'_>, path: &str) -> Value {
    let response = client.request("GET", path, None);
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    serde_json::from_str(&response.body).expect("JSON")
}

/// Waits for the only event of the pump in this state, and returns it.
fn wait_for_event(mut list: impl FnMut() -> Value, state: &str) -> Value {
    let mut event = Value::Null;
    wait_until("the event", || {
        let page = list();
        let found = page["items"].as_array().expect("a list").iter().find(|event| event["status"] == state);
        event = found.cloned().unwrap_or_default();
        if event.is_null() { Err(page) } else { Ok(()) }
    });
    event
}

/// The path of an event.
fn path_of(event: &Value) -> String {
    format!("/api/maintenance-events/{}", url_encoded(event["id"].as_str().expect("an id")))
}

#[test]
fn an_event_is_planned_approved_done_and_reopened() {
    let plant = Plant::new();
    let node = plant.start.node();
    let [asha, ravi] = ["asha", "ravi"].map(|name| plant.user(&node, name, Role::Engineer));
    let hari = plant.user(&node, "hari", Role::PlantHead);
    let meera = plant.user(&node, "meera", Role::Manager);
    let guest = plant.user(&node, "guest", Role::Viewer);
    let begin = now_ms() - 200_000;
    post(&node, &reading(PUMP, begin, 95.0));
    let list = || get(&guest, "/api/maintenance-events?status=active");
    let event = wait_for_event(list, "active");
    let path = path_of(&event);
    let work = &event["work"];
    assert_eq!((&work["status"], &work["allowed"]), (&json!("open"), &json!(["acknowledge", "plan", "finish"])));

    let act = |client: &Client<'_>, action: &str, body: Value| {
        let response = client.request("POST", &format!("{path}/{action}"), Some(&body));
        let body: Value = serde_json::from_str(&response.body).expect("JSON");
        (response.status, body)
    };
    let expect = |client: &Client<'_>, action: &str, body: Value, status: &str| {
        let (code, body) = act(client, action, body);
        assert_eq!((code, &body["work"]["status"]), (200, &json!(status)), "{action}: {body}");
    };
    let plan = |owner: &str| json!({"on": time(now_ms() + 86_400_000), "owner": owner});
    assert_eq!(act(&guest, "acknowledge", json!({})).0, 403, "a viewer only looks");
    expect(&asha, "acknowledge", json!({"comment": "going there"}), "acknowledged");
    let (code, again) = act(&ravi, "acknowledge", json!({}));
    assert_eq!((code, &again["allowed"]), (409, &json!("plan, finish")), "{again}");
    let (code, bad) = act(&asha, "plan", json!({"on": time(now_ms()), "owner": " "}));
    assert_eq!((code, &bad["field"]), (400, &json!("owner")), "{bad}");
    let (code, bad) = act(&asha, "plan", json!({"on": "1980-01-01T00:00:00Z", "owner": "ravi"}));
    assert_eq!((code, &bad["field"]), (400, &json!("on")), "{bad}");
    expect(&asha, "plan", plan("ravi"), "planned");
    expect(&asha, "submit", json!({}), "submitted");
    assert_eq!(act(&asha, "approve", json!({})).0, 403, "an engineer may not approve");
    let (code, bad) = act(&meera, "reject", json!({}));
    assert_eq!((code, &bad["field"]), (400, &json!("comment")), "{bad}");
    expect(&meera, "reject", json!({"comment": "not before Friday"}), "rejected");
    expect(&hari, "plan", plan("ravi"), "planned");
    expect(&hari, "submit", json!({}), "submitted");
    for session in [&hari, &second_session(&node, "hari")] {
        let (code, own) = act(session, "approve", json!({}));
        assert_eq!((code, own["type"].as_str()), (409, Some("urn:volute:problem:own-plan")), "{own}");
    }
    expect(&meera, "approve", json!({"comment": "fine"}), "approved");

    // The rule's next update of the event keeps what people did.
    post(&node, &reading(PUMP, begin + 15_000, 99.0));
    wait_until("the new peak", || {
        let event = get(&guest, &path);
        if event["peak"] == 99.0 { Ok(()) } else { Err(event) }
    });
    assert_eq!(get(&guest, &path)["work"]["status"], "approved");
    // The pump recovers: the event is resolved, and people still finish it.
    post(&node, &json!([reading(PUMP, begin + 50_000, 60.0), reading(PUMP, begin + 120_000, 60.0)]));
    wait_for_event(|| get(&guest, "/api/maintenance-events?status=resolved"), "resolved");
    let finding = json!({"finding": {"kind": "failure_mode", "mode": "bearing_wear"}, "comment": "inner ring"});
    expect(&ravi, "finish", finding, "done");
    assert_eq!(get(&guest, &path)["work"]["finding"], json!({"kind": "failure_mode", "mode": "bearing_wear"}));
    expect(&asha, "reopen", json!({"comment": "hot again"}), "reopened");

    let whole = get(&guest, &path);
    let history = whole["work"]["history"].as_array().expect("a list");
    let by: Vec<&str> = history.iter().map(|change| change["by"].as_str().expect("text")).collect();
    let people =
        ["asha", "asha", "asha", "meera", "hari", "hari", "meera", "ravi", "asha"].map(|name| format!("user {name}"));
    assert_eq!(by, people, "{whole}");
    assert_eq!(history[3]["comment"], "not before Friday");
    let listed = get(&guest, "/api/maintenance-events");
    assert_eq!(listed["items"][0]["work"]["history"].as_array().map(Vec::len), Some(5), "{listed}");
    let audit = get(&meera, "/api/audit-log?action=approve-event");
    let outcomes: Vec<&str> =
        audit["items"].as_array().expect("a list").iter().map(|entry| entry["who"].as_str().expect("text")).collect();
    assert!(outcomes.contains(&"user meera") && outcomes.contains(&"user hari"), "done and refused: {audit}");

    let unknown = path.replace("bearing", "nothing");
    assert_eq!(asha.status("GET", &unknown, None), 404, "{unknown}");
    assert_eq!(asha.status("POST", &format!("{unknown}/acknowledge"), Some(&json!({}))), 404);
    assert_eq!(asha.status("GET", "/api/maintenance-events/nothing", None), 400);
}

/// An event says what it is based on, also after its severity was raised and the node was killed.
#[test]
fn an_event_has_its_evidence_and_what_its_rule_recommends() {
    let data = tempfile::tempdir().expect("a directory");
    let config = NodeConfig::new(&data, "centrifugal");
    let node = config.node();
    let begin = now_ms() - 50_000;
    post(&node, &reading(PUMP, begin, 99.0));
    let event = wait_for_event(|| node.get_ok("/api/maintenance-events"), "active");
    assert_eq!((&event["evidence"], &event["severity"]), (&json!(null), &json!("high")), "only in the event: {event}");
    assert_eq!(event["recommendation"]["cost_now"], event["cost"], "{event}");
    let path = path_of(&event);
    let hot: Vec<Value> = (1..30).map(|second| reading(PUMP, begin + second * 1_000, 99.0)).collect();
    post(&node, &json!(hot));
    node.wait_until("/api/alarms?priority=high", |alarms| alarms["items"][0]["holds"] == true);
    post(&node, &reading(PUMP, begin + 35_000, 120.0));
    wait_until("the severity", || {
        let event = node.get_ok(&path);
        if event["severity"] == "critical" { Ok(()) } else { Err(event) }
    });
    let whole = node.get_ok(&path);
    drop(node);
    let node = config.node();
    assert_eq!(node.get_ok(&path), whole, "after a kill");
    let evidence = whole["evidence"].as_array().expect("a list");
    let of = |field: &str| evidence.iter().map(|one| one[field].clone()).collect::<Vec<_>>();
    assert_eq!(
        (of("severity"), of("value")),
        (vec![json!("high"), json!("critical")], vec![json!(99.0), json!(120.0)])
    );
    assert_eq!((of("limit"), of("channel")), (vec![json!(85.0), json!(110.0)], vec![json!(BEARING), json!(BEARING)]));
    assert_eq!(evidence[1]["values"].as_array().map(Vec::len), Some(10), "all channels: {whole}");
    assert_eq!(evidence[1]["at"], time(begin + 35_000));
    assert_eq!(evidence[0]["alarms"], json!([]), "no alarm stood when it was opened");
    let alarm = &evidence[1]["alarms"][0];
    assert_eq!(
        (&alarm["priority"], &alarm["limit"], &alarm["value"]),
        (&json!("high"), &json!(93.0), &json!(99.0)),
        "{whole}"
    );
    let recommended = &whole["recommendation"];
    assert_eq!(recommended["from"], "rule bearing-overheating of the profile centrifugal, at severity critical");
    assert_eq!((&recommended["cost_now"]["amount"], &whole["cost"]["amount"]), (&json!(22000.0), &json!(22000.0)));
    assert_eq!(recommended["cost_if_it_fails"], json!({"amount": 90000.0, "currency": "INR"}));
    assert_eq!(recommended["failure_mode"], "bearing_wear");
    assert!(recommended["actions"][0].as_str().is_some_and(|action| action.contains("standby")), "{recommended}");
    assert_eq!(recommended["spare_parts"].as_array().map(Vec::len), Some(3));
}

/// An action that was answered is there after a kill, also one on a resolved event, and nothing is repeated.
#[test]
fn actions_survive_kills() {
    let data = tempfile::tempdir().expect("a directory");
    let config = NodeConfig::new(&data, "centrifugal");
    let mut node = config.node();
    let begin = now_ms() - 200_000;
    post(&node, &reading("P-1", begin, 95.0));
    let event = wait_for_event(|| node.get_ok("/api/maintenance-events"), "active");
    let path = path_of(&event);
    for round in 1..=10 {
        if round == 6 {
            post(&node, &json!([reading("P-1", begin + 50_000, 60.0), reading("P-1", begin + 120_000, 60.0)]));
            wait_for_event(|| node.get_ok("/api/maintenance-events"), "resolved");
        }
        let comment = format!("round {round}");
        let plan = json!({"on": time(now_ms()), "owner": "ravi", "comment": comment});
        let done = node.send_json("POST", &format!("{path}/plan"), &plan);
        assert_eq!(done.status, 200, "{done:?}");
        node.kill();
        node = config.node();
        let known = node.wait_until("/api/maintenance-events?limit=10", |list| list.get("incomplete").is_none());
        assert_eq!(known["items"].as_array().map(Vec::len), Some(1), "{known}");
        let whole = node.get_ok(&path);
        let history = whole["work"]["history"].as_array().expect("a list");
        assert_eq!((history.len(), &history[round - 1]["comment"]), (round, &json!(comment)), "{whole}");
    }
    let submitted = node.send_json("POST", &format!("{path}/submit"), &json!({}));
    assert_eq!(submitted.status, 200, "{submitted:?}");
    let own = node.send_json("POST", &format!("{path}/approve"), &json!({}));
    assert_eq!(own.status, 409, "without users all clients of a machine are one person: {own:?}");
}

const HOT: &str = "bearing-temperature-c-high-high";

fn set_own_alarm(node: &Node, pump: &str) {
    let alarm = json!({
        "id": HOT, "title": "Bearing hot", "priority": "high", "on_delay_s": 0, "off_delay_s": 0,
        "condition": {"kind": "high_high", "channel": BEARING, "limit": 93}
    });
    let set = node.send_json("PUT", &format!("/api/pumps/{pump}/alarms"), &json!({"alarms": [alarm]}));
    assert_eq!(set.status, 200, "{set:?}");
}

fn alarm_state(node: &Node, pump: &str) -> Value {
    let list = node.get_ok(&format!("/api/alarms?pump_id={pump}"));
    let alarms = list["items"].as_array().expect("a list");
    alarms.iter().find(|alarm| alarm["alarm"] == HOT).map_or(Value::Null, |alarm| alarm["state"].clone())
}

fn wait_for_state(node: &Node, pump: &str, state: &str) {
    wait_until(state, || {
        let found = alarm_state(node, pump);
        if found == state { Ok(()) } else { Err(found) }
    });
}

fn plan_work(node: &Node, pump: &str, body: &Value) -> Response {
    node.send_json("POST", &format!("/api/pumps/{pump}/planned-work"), body)
}

#[test]
fn planned_work_suppresses_alarms_until_it_is_ended() {
    let data = tempfile::tempdir().expect("a directory");
    let config = NodeConfig::new(&data, "centrifugal");
    let node = config.node();
    let begin = now_ms() - 50_000;
    post(&node, &reading("P-1", begin, 60.0));
    set_own_alarm(&node, "P-1");
    for (body, field) in [
        (json!({"until": time(now_ms() - 1_000), "why": "new bearing"}), "until"),
        (json!({"until": time(now_ms() + 40 * 86_400_000), "why": "new bearing"}), "until"),
        (json!({"until": time(now_ms() + 1_000_000)}), "why"),
    ] {
        let refused = plan_work(&node, "P-1", &body);
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!(field)), "{refused:?}");
    }
    let hour = json!({"until": time(now_ms() + 3_600_000), "why": "new bearing"});
    assert_eq!(plan_work(&node, "P-9", &hour).status, 404);
    let first = plan_work(&node, "P-1", &hour);
    assert_eq!((first.status, &first.body["status"]), (200, &json!("active")), "{first:?}");
    let second = plan_work(&node, "P-1", &hour);
    post(&node, &reading("P-1", begin + 1_000, 95.0));
    assert_eq!(alarm_state(&node, "P-1"), "suppressed");
    node.kill();

    let node = config.node();
    wait_for_state(&node, "P-1", "suppressed");
    let listed =
        node.wait_until("/api/planned-work?pump_id=P-1", |list| list["items"].as_array().is_some_and(|i| i.len() == 2));
    assert_eq!(listed["items"][0]["why"], "new bearing");
    let end = |work: &Response| {
        let id = work.body["id"].as_str().expect("an id");
        node.send_json("POST", &format!("/api/pumps/P-1/planned-work/{id}/end"), &json!({}))
    };
    let ended = end(&first);
    assert_eq!((ended.status, &ended.body["status"]), (200, &json!("over")), "{ended:?}");
    assert_eq!(alarm_state(&node, "P-1"), "suppressed", "the other work lasts");
    assert_eq!(end(&first).status, 404, "it is over");
    assert_eq!(end(&second).status, 200);
    assert_eq!(alarm_state(&node, "P-1"), "unacknowledged", "it holds, so it is announced now");
    let handover = node.get_ok("/api/handover");
    let parts = &handover["handover"];
    let count = |part: &str, id: &str| {
        let items = parts[part]["items"].as_array().expect("a list").iter();
        items.filter(|item| item["id"] == id).count()
    };
    let works = ["alarms_raised", "alarms_standing"].map(|part| count(part, HOT));
    assert_eq!((works, parts["planned_work"]["items"].as_array().map(Vec::len)), ([1, 1], Some(2)), "{handover}");
}

#[cfg(feature = "failpoints")]
#[test]
fn planned_work_begins_and_ends_by_itself_also_over_a_kill() {
    const HOUR_MS: i64 = 3_600_000;
    let data = tempfile::tempdir().expect("a directory");
    let config = NodeConfig::new(&data, "centrifugal");
    let node = config.node();
    let now = now_ms();
    post(&node, &reading("P-1", now - 50_000, 60.0));
    set_own_alarm(&node, "P-1");
    let work = |from: i64, until: i64| {
        let body = json!({"from": time(now + from), "until": time(now + until), "why": "new seal"});
        let planned = plan_work(&node, "P-1", &body);
        assert_eq!((planned.status, &planned.body["status"]), (200, &json!("planned")), "{planned:?}");
    };
    work(HOUR_MS, 2 * HOUR_MS);
    work(5 * HOUR_MS, 6 * HOUR_MS);
    config.inject("clock", &format!("return({})", HOUR_MS + 60_000));
    post(&node, &reading("P-1", now + HOUR_MS + 60_000, 95.0));
    assert_eq!(alarm_state(&node, "P-1"), "suppressed", "it is raised while the work lasts");
    config.inject("clock", &format!("return({})", 2 * HOUR_MS + 60_000));
    wait_for_state(&node, "P-1", "unacknowledged");
    let alarms = json!({"alarms": [{"pump_id": "P-1", "alarm": HOT, "occurrence": 1}]});
    let acknowledged = node.send_json("POST", "/api/alarms/acknowledge", &alarms);
    assert_eq!(acknowledged.status, 200, "{acknowledged:?}");
    config.inject("clock", &format!("return({})", 5 * HOUR_MS + 60_000));
    wait_for_state(&node, "P-1", "suppressed");
    node.kill();
    // Killed while it lasts, and started when it is over.
    let node = config.with_env("FAILPOINTS", &format!("clock=return({})", 6 * HOUR_MS + 60_000)).node();
    wait_for_state(&node, "P-1", "acknowledged");
    let open = node.get_ok("/api/planned-work");
    assert_eq!(open["items"], json!([]));
    let all = node.get_ok(&format!("/api/planned-work?since={}", url_encoded(&time(now))));
    let statuses: Vec<&Value> = all["items"].as_array().expect("a list").iter().map(|work| &work["status"]).collect();
    assert_eq!(statuses, ["over", "over"], "{all}");
}

#[test]
fn the_handover_begins_where_the_user_last_looked() {
    let plant = Plant::new();
    let node = plant.start.node();
    let [asha, ravi] = ["asha", "ravi"].map(|name| plant.user(&node, name, Role::Engineer));
    post(&node, &reading("P-1", now_ms() - 50_000, 95.0));
    let event = wait_for_event(|| get(&asha, "/api/maintenance-events"), "active");
    let acknowledge = format!("{}/acknowledge", path_of(&event));
    asha.json("POST", &acknowledge, &json!({"comment": "going there"}));
    let part = |client: &Client<'_>, part: &str| {
        let handover = get(client, "/api/handover");
        let items = handover["handover"][part]["items"].as_array().expect("a list").clone();
        items.iter().map(|item| item["text"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let changed = part(&ravi, "events_changed");
    assert!(changed.len() == 1 && changed[0].ends_with("acknowledged: going there"), "{changed:?}");
    assert_eq!(part(&ravi, "events_opened").len(), 1);
    let commands = part(&ravi, "commands");
    assert_eq!(commands, ["acknowledge event \"Bearing overheating\": going there"], "no login");

    let until = get(&ravi, "/api/handover")["until"].clone();
    let seen = ravi.json("POST", "/api/handover/seen", &json!({"until": until}));
    assert_eq!(seen["seen_until"], until);
    assert_eq!(part(&ravi, "events_changed"), Vec::<String>::new(), "he has seen it");
    assert_eq!(part(&asha, "events_changed").len(), 1, "she has not");
    let handover = get(&ravi, "/api/handover");
    assert_eq!((&handover["since"], &handover["last_seen"]), (&until, &until));
    assert_eq!(ravi.status("POST", "/api/handover/seen", Some(&json!({"until": time(now_ms() + 600_000)}))), 400);
    assert_eq!(ravi.status("GET", "/api/handover?since=2020-01-01T00:00:00Z", None), 400);
    let (name, ravi) = ("ravi", ravi.credential.clone());
    node.kill();

    let node = plant.start.node();
    let known = second_session(&node, name);
    assert_ne!(known.credential, ravi);
    assert_eq!(get(&known, "/api/handover")["last_seen"], until, "it survives a kill and belongs to the user");
}
