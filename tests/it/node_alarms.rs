//! Alarms of the node itself: they are in the list of all alarms, people command them, and they survive kills.

use serde_json::{Value, json};

use crate::support::{Node, NodeConfig, Response, now_ms};

/// Waits until the node's alarm is in this state, and returns it.
fn wait_for(node: &Node, alarm: &str, state: &str) -> Value {
    let of_node = |list: &Value| {
        let items = list["items"].as_array().expect("a list");
        items.iter().find(|one| one["pump_id"].is_null() && one["alarm"] == alarm && one["state"] == state).cloned()
    };
    of_node(&node.wait_until("/api/alarms", |list| of_node(list).is_some())).expect("it was found")
}

fn command(node: &Node, what: &str, alarm: &str, more: &Value) -> Response {
    let mut body = json!({"alarms": [{"alarm": alarm, "occurrence": 1}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    node.send_json("POST", &format!("/api/alarms/{what}"), &body)
}

#[test]
fn a_full_disk_is_an_alarm_that_is_acknowledged_and_shelved_over_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    // No disk is ever completely free.
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__STORE__WARN_FREE_PERCENT", "100");
    let node = start.node();
    let raised = wait_for(&node, "node-disk", "unacknowledged");
    assert_eq!(
        (&raised["priority"], &raised["occurrence"], &raised["holds"]),
        (&json!("high"), &json!(1), &json!(true))
    );
    assert!(raised["help"].as_str().is_some_and(|help| help.contains("the disk is almost full")), "{raised}");
    let of_pump = node.get_ok("/api/alarms?pump_id=P-1");
    assert_eq!(of_pump["items"], json!([]), "it is no pump's");

    let done = command(&node, "acknowledge", "node-disk", &json!({"comment": "new disk ordered"}));
    assert_eq!((done.status, &done.body["results"][0]["pump_id"]), (200, &json!(null)), "{done:?}");
    let again = command(&node, "acknowledge", "node-disk", &json!({}));
    assert_eq!(again.status, 409, "{again:?}");
    let unknown = command(&node, "acknowledge", "node-nothing", &json!({}));
    assert_eq!(unknown.status, 404, "{unknown:?}");
    node.kill();

    let node = start.node();
    assert_eq!(wait_for(&node, "node-disk", "acknowledged")["occurrence"], 1, "not raised again");
    let until = volute_plant::Timestamp::from_millis(now_ms() + 3_600_000).expect("a time").to_string();
    let body =
        json!({"alarms": [{"pump_id": null, "alarm": "node-disk"}], "comment": "comes tomorrow", "until": until});
    assert_eq!(node.send_json("POST", "/api/alarms/shelve", &body).status, 200);
    node.kill();

    let node = start.node();
    assert_eq!(wait_for(&node, "node-disk", "shelved")["shelved"]["reason"], "comes tomorrow");
    let rows = node.get_ok("/api/alarm-transitions?alarm=node-disk");
    let causes: Vec<&Value> = rows["items"].as_array().expect("rows").iter().map(|row| &row["cause"]).collect();
    assert_eq!(causes, ["shelved", "acknowledged", "raised"], "{rows}");
    assert!(rows["items"].as_array().expect("rows").iter().all(|row| row["pump_id"].is_null()), "{rows}");
    let audit = node.all_items("/api/audit-log?action=shelve-alarm");
    assert_eq!(audit[0]["object"], "node node-disk", "{audit:?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_database_that_is_away_at_the_start_is_shown_and_stored_once_it_is_back() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__STORE__WARN_FREE_PERCENT", "0");
    // Whether the node has users is known from an earlier start.
    assert!(start.node().terminate().success());
    let away = start.clone().with_env("FAILPOINTS", "database-open=return(broken on purpose)");
    let node = away.node();
    let shown = wait_for(&node, "node-database", "unacknowledged");
    assert!(shown["help"].as_str().is_some_and(|help| help.contains("broken on purpose")), "{shown}");
    assert_eq!(shown["allowed"], json!([]), "what people did before is not known yet");
    assert_eq!(command(&node, "acknowledge", "node-database", &json!({})).status, 503);
    away.inject("database-open", "off");
    node.wait_until("/api/store", |store| store["state"] == "ok");
    node.wait_until("/api/alarms", |list| list["items"].as_array().is_some_and(Vec::is_empty));
}

#[cfg(feature = "failpoints")]
#[test]
fn a_part_that_is_out_of_order_is_an_alarm_until_it_is_restarted() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__STORE__WARN_FREE_PERCENT", "0")
        .with_env("VOLUTE__ENGINE__RESTARTS", "1");
    let node = start.node();
    start.inject("metrics-write", "panic");
    let raised = wait_for(&node, "node-actor", "unacknowledged");
    assert!(raised["help"].as_str().is_some_and(|help| help.starts_with("Now: out of order: metrics.")), "{raised}");
    start.inject("metrics-write", "off");
    assert_eq!(node.post_to("/api/actors/metrics/restart", "application/json", "").status, 200);
    assert_eq!(command(&node, "acknowledge", "node-actor", &json!({})).status, 200);
    node.wait_until("/api/actors?stage=metrics", |actors| actors["items"][0]["state"] == "running");
}
