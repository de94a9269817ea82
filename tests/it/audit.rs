//! What people order, over the API or with a command on the same machine, is noted, done or refused, and each order once, whatever happens to the node.

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, Start, run, volute},
};

const LOG: &str = "/api/audit-log";

/// Gives an order, and answers the status.
fn order(node: &Node, path: &str, body: &str) -> u16 {
    node.post_to(path, "application/json", body).status
}

/// Waits for so many entries, and answers them.
fn until(node: &Node, count: usize) -> Vec<Value> {
    let log = node.until(LOG, |log| log["items"].as_array().is_some_and(|items| items.len() >= count));
    assert_eq!((&log["next_cursor"], log.get("incomplete")), (&Value::Null, None));
    log["items"].as_array().expect("a list").clone()
}

/// Each entry's action, object, outcome and detail, in alphabetical order.
fn told(entries: &[Value]) -> Vec<[&str; 4]> {
    let fields = ["action", "object", "outcome", "detail"];
    let mut told: Vec<_> =
        entries.iter().map(|entry| fields.map(|field| entry[field].as_str().expect(field))).collect();
    told.sort_unstable();
    told
}

#[test]
fn orders_are_noted_done_or_refused_and_are_there_once_after_kills() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal").with_model(&train_on_normal(&data));
    let node = start.node();
    assert_eq!(node.post(&json!([normal(0)])).status, 200);
    for (path, body, status) in [
        ("/api/actors/gate/restart", "", 200),
        ("/api/actors/recorder/restart", "", 200),
        ("/api/actors/nobody/restart", "", 404),
        ("/api/pumps/pump-1/baselines/9/activate", "", 404),
        ("/api/pumps/pump-1/commission", "", 200),
        ("/api/start-simulation", "{}", 403),
        // These are no orders.
        ("/api/pumps/pump-1/commission", "{", 400),
        ("/api/pumps/pump-1/baselines/x/activate", "", 400),
        ("/api/ingest", "{", 400),
    ] {
        assert_eq!(order(&node, path, body), status, "{path} {body}");
    }
    let entries = until(&node, 6);
    assert_eq!(
        told(&entries),
        [
            ["activate-baseline", "pump-1", "pump-1 has no version 9 of its baseline", "version 9"],
            ["commission", "pump-1", "done", "from now on"],
            ["restart", "gate", "done", ""],
            ["restart", "nobody", "there is no actor and no stage \"nobody\"", ""],
            ["restart", "recorder", "done", ""],
            [
                "start-simulation",
                "simulation",
                "this node watches real pumps: only a demo (volute serve --demo) simulates",
                "",
            ],
        ]
    );
    assert!(entries.iter().all(|entry| entry["who"].as_str().is_some_and(|who| who.starts_with("127.0.0.1:"))));
    let times: Vec<&str> = entries.iter().filter_map(|entry| entry["at"].as_str()).collect();
    assert!(times.len() == 6 && times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");

    assert_eq!(node.all("/api/audit-log?limit=2"), entries, "page by page");
    let restarts: Vec<Value> = entries.iter().filter(|entry| entry["action"] == "restart").cloned().collect();
    assert_eq!(node.all("/api/audit-log?action=restart&limit=1"), restarts);
    let before = node.ok(&format!("/api/audit-log?to={}", times[5]));
    assert_eq!(before["items"], json!([]), "nothing was ordered before the first");

    node.kill();
    let node = start.node();
    assert_eq!(node.ok(LOG)["items"], json!(entries));
    assert_eq!(order(&node, "/api/actors/live/restart", ""), 200);
    let more = until(&node, 7);
    assert_eq!(more[1..], entries, "and the new one first");

    node.kill();
    let node = start.node();
    assert_eq!(node.ok(LOG)["items"], json!(more));
    assert!(node.terminate().success(), "an orderly end");
    assert_eq!(start.node().ok(LOG)["items"], json!(more));
}

#[test]
fn a_restart_of_a_whole_stage_says_of_whom() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").node();
    for pump in ["A", "B"] {
        let mut item = normal(0);
        item["pump_id"] = json!(pump);
        assert_eq!(node.post(&item).status, 200);
    }
    assert_eq!(order(&node, "/api/actors/pumps/restart", ""), 200);
    assert_eq!(order(&node, "/api/actors/pump%2FA/restart", ""), 200);
    let expected = [["restart", "pump/A", "done", ""], ["restart", "pumps", "done", "pump/A, pump/B"]];
    assert_eq!(told(&until(&node, 2)), expected);
}

#[cfg(feature = "failpoints")]
#[test]
fn what_is_ordered_while_the_recorder_is_out_of_order_is_noted_all_the_same() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::new(&data, "centrifugal").with_env("FAILPOINTS", "recorder=6*panic(broken for good)").node();
    node.refuses_until("/readyz", &json!([normal(0)]), |health| health.status != 200);
    assert_eq!(order(&node, "/api/actors/live/restart", ""), 200);
    assert_eq!(node.ok(LOG)["items"], json!([]), "it waits");
    assert_eq!(order(&node, "/api/actors/recorder/restart", ""), 200);
    let expected = [["restart", "live", "done", ""], ["restart", "recorder", "done", ""]];
    assert_eq!(told(&until(&node, 2)), expected);
}

#[test]
fn the_demos_controls_are_noted() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Start::demo(&data).node();
    assert_eq!(node.ok(LOG)["items"], json!([]), "it starts by itself, so nobody did that");
    let plan = json!({"speed": 2, "pumps": [{"pump_id": "A"}, {"pump_id": "B"}]}).to_string();
    assert_eq!(order(&node, "/api/start-simulation", &plan), 200);
    assert_eq!(order(&node, "/api/start-simulation", "{\"speed\": 0}"), 400);
    assert_eq!(order(&node, "/api/stop-simulation", ""), 200);
    let expected =
        [["start-simulation", "simulation", "done", "speed 2: A, B"], ["stop-simulation", "simulation", "done", ""]];
    assert_eq!(told(&until(&node, 2)), expected);
}

#[test]
fn commands_that_the_running_node_carries_out_are_noted_too() {
    let data = tempfile::tempdir().expect("a directory");
    let backups = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    assert_eq!(node.post(&json!([normal(0)])).status, 200);
    let at = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (dir, repository, file) = (at(&start.data), at(backups.path()), at(&backups.path().join("pump-1.csv")));
    let export = ["export", "--pump", "pump-1", "--out", &file, "--data-dir", &dir];
    run(&["backup", &repository, "--data-dir", &dir]);
    run(&export);
    let again = volute().args(export).output().expect("it runs");
    assert!(!again.status.success(), "the file is there already");

    let entries = until(&node, 3);
    let [ref backup, ref refused, ref done] = told(&entries)[..] else { panic!("{entries:?}") };
    assert_eq!(backup, &["backup", repository.as_str(), "done", ""]);
    assert_eq!(done, &["export", "pump-1", "done", file.as_str()]);
    let [action, pump, why, detail] = refused;
    assert_eq!(([*action, *pump], *detail), (["export", "pump-1"], file.as_str()));
    assert!(why.contains("already"), "{why}");
    assert!(
        entries.iter().all(|entry| entry["who"].as_str().is_some_and(|who| who.starts_with("uid "))),
        "{entries:?}"
    );
    assert_eq!(node.all("/api/audit-log?action=export").len(), 2);
}

/// How many refusals an entry stands for.
fn refusals(entry: &Value) -> u64 {
    let detail = entry["detail"].as_str().expect("text");
    detail.split_once(" more from ").map_or(1, |(count, _)| count.parse().expect("a count"))
}

#[test]
fn thousands_of_refused_orders_are_few_entries_whose_counts_add_up() {
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal");
    let node = start.node();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let refused = |path: &str| {
        let answer = agent
            .post(format!("{}{path}", node.url))
            .header("content-type", "application/json")
            .send("")
            .expect("an answer");
        assert!([404, 409].contains(&answer.status().as_u16()), "{path}: {}", answer.status());
    };
    for n in 0..1000 {
        refused("/api/actors/nobody/restart");
        refused(&format!("/api/actors/nobody-{n}/restart"));
        refused("/api/pumps/pump-9/commission");
    }
    assert_eq!(order(&node, "/api/actors/live/restart", ""), 200);
    // Four kinds of a client and action are told apart: the restarts of `nobody` and of three more.
    let entries = until(&node, 6);
    assert_eq!(entries.len(), 6, "four refused restarts, a refused commissioning, and what was done");
    assert_eq!(entries.iter().filter(|entry| entry["outcome"] == "done").count(), 1);

    assert!(node.terminate().success(), "an orderly end");
    let log = start.node().ok(LOG);
    let entries = log["items"].as_array().expect("a list");
    assert!(entries.len() < 6 + 7, "{} entries", entries.len());
    let of = |action: &str| {
        let refused = |entry: &&Value| entry["action"] == action && entry["outcome"] != "done";
        entries.iter().filter(refused).map(refusals).sum::<u64>()
    };
    assert_eq!((of("restart"), of("commission")), (2000, 1000));
}
