//! The audit log: each command that a user gives over the API or the command line is recorded once with its outcome,
//! also if the node is killed.

use serde_json::{Value, json};

use crate::{
    engine::{normal, train_on_normal},
    support::{Node, NodeConfig, run, volute},
};

const LOG: &str = "/api/audit-log";

/// Sends a command, and returns the response's status.
fn send_command(node: &Node, path: &str, body: &str) -> u16 {
    node.post_to(path, "application/json", body).status
}

/// Waits until the log has this many entries, and returns them.
fn wait_for_entries(node: &Node, count: usize) -> Vec<Value> {
    let log = node.wait_until(LOG, |log| log["items"].as_array().is_some_and(|items| items.len() >= count));
    assert_eq!((&log["next_cursor"], log.get("incomplete")), (&Value::Null, None));
    log["items"].as_array().expect("a list").clone()
}

/// The action, object, outcome and detail of each entry, sorted.
fn summaries(entries: &[Value]) -> Vec<[&str; 4]> {
    let fields = ["action", "object", "outcome", "detail"];
    let mut summaries: Vec<_> =
        entries.iter().map(|entry| fields.map(|field| entry[field].as_str().expect(field))).collect();
    summaries.sort_unstable();
    summaries
}

#[test]
fn commands_are_recorded_once_with_their_outcome_over_kills() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_model(&train_on_normal(&data));
    let node = start.node();
    assert_eq!(node.post(&json!([normal(0)])).status, 200);
    for (path, body, status) in [
        ("/api/actors/gate/restart", "", 200),
        ("/api/actors/recorder/restart", "", 200),
        ("/api/actors/nobody/restart", "", 404),
        ("/api/pumps/pump-1/baselines/9/activate", "", 404),
        ("/api/pumps/pump-1/commission", "", 200),
        ("/api/start-simulation", "{}", 403),
        // Invalid requests are not commands.
        ("/api/pumps/pump-1/commission", "{", 400),
        ("/api/pumps/pump-1/baselines/x/activate", "", 400),
        ("/api/ingest", "{", 400),
    ] {
        assert_eq!(send_command(&node, path, body), status, "{path} {body}");
    }
    let entries = wait_for_entries(&node, 6);
    assert_eq!(
        summaries(&entries),
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

    assert_eq!(node.all_items("/api/audit-log?limit=2"), entries, "page by page");
    let restarts: Vec<Value> = entries.iter().filter(|entry| entry["action"] == "restart").cloned().collect();
    assert_eq!(node.all_items("/api/audit-log?action=restart&limit=1"), restarts);
    let before = node.get_ok(&format!("/api/audit-log?to={}", times[5]));
    assert_eq!(before["items"], json!([]), "no command before the first");

    node.kill();
    let node = start.node();
    assert_eq!(node.get_ok(LOG)["items"], json!(entries));
    assert_eq!(send_command(&node, "/api/actors/live/restart", ""), 200);
    let more = wait_for_entries(&node, 7);
    assert_eq!(more[1..], entries, "and the new one first");

    node.kill();
    let node = start.node();
    assert_eq!(node.get_ok(LOG)["items"], json!(more));
    assert!(node.terminate().success(), "a clean exit");
    assert_eq!(start.node().get_ok(LOG)["items"], json!(more));
}

#[test]
fn restart_of_a_stage_records_its_actors() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    for pump in ["A", "B"] {
        let mut item = normal(0);
        item["pump_id"] = json!(pump);
        assert_eq!(node.post(&item).status, 200);
    }
    assert_eq!(send_command(&node, "/api/actors/pumps/restart", ""), 200);
    assert_eq!(send_command(&node, "/api/actors/pump%2FA/restart", ""), 200);
    let expected = [["restart", "pump/A", "done", ""], ["restart", "pumps", "done", "pump/A, pump/B"]];
    assert_eq!(summaries(&wait_for_entries(&node, 2)), expected);
}

#[cfg(feature = "failpoints")]
#[test]
fn commands_while_the_recorder_is_down_are_recorded_later() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").with_env("FAILPOINTS", "recorder=6*panic(broken for good)").node();
    node.assert_unavailable_until("/readyz", &json!([normal(0)]), |health| health.status != 200);
    assert_eq!(send_command(&node, "/api/actors/live/restart", ""), 200);
    assert_eq!(node.get_ok(LOG)["items"], json!([]), "not stored yet");
    assert_eq!(send_command(&node, "/api/actors/recorder/restart", ""), 200);
    let expected = [["restart", "live", "done", ""], ["restart", "recorder", "done", ""]];
    assert_eq!(summaries(&wait_for_entries(&node, 2)), expected);
}

#[test]
fn simulation_commands_are_recorded() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    assert_eq!(node.get_ok(LOG)["items"], json!([]), "the demo starts without a command");
    let plan = json!({"speed": 2, "pumps": [{"pump_id": "A"}, {"pump_id": "B"}]}).to_string();
    assert_eq!(send_command(&node, "/api/start-simulation", &plan), 200);
    assert_eq!(send_command(&node, "/api/start-simulation", "{\"speed\": 0}"), 400);
    assert_eq!(send_command(&node, "/api/stop-simulation", ""), 200);
    let expected =
        [["start-simulation", "simulation", "done", "speed 2: A, B"], ["stop-simulation", "simulation", "done", ""]];
    assert_eq!(summaries(&wait_for_entries(&node, 2)), expected);
}

#[test]
fn command_line_commands_to_a_running_node_are_recorded() {
    let data = tempfile::tempdir().expect("a directory");
    let backups = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    assert_eq!(node.post(&json!([normal(0)])).status, 200);
    let at = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (dir, repository, file) = (at(&start.data), at(backups.path()), at(&backups.path().join("pump-1.csv")));
    let export = ["export", "--pump", "pump-1", "--out", &file, "--data-dir", &dir];
    run(&["backup", &repository, "--data-dir", &dir]);
    run(&export);
    let again = volute().args(export).output().expect("it runs");
    assert!(!again.status.success(), "the file is there already");

    let entries = wait_for_entries(&node, 3);
    let [ref backup, ref refused, ref done] = summaries(&entries)[..] else { panic!("{entries:?}") };
    assert_eq!(backup, &["backup", repository.as_str(), "done", ""]);
    assert_eq!(done, &["export", "pump-1", "done", file.as_str()]);
    let [action, pump, why, detail] = refused;
    assert_eq!(([*action, *pump], *detail), (["export", "pump-1"], file.as_str()));
    assert!(why.contains("already"), "{why}");
    assert!(
        entries.iter().all(|entry| entry["who"].as_str().is_some_and(|who| who.starts_with("uid "))),
        "{entries:?}"
    );
    assert_eq!(node.all_items("/api/audit-log?action=export").len(), 2);
}

/// The number of rejections that an entry counts.
fn rejections(entry: &Value) -> u64 {
    let detail = entry["detail"].as_str().expect("text");
    detail.split_once(" more from ").map_or(1, |(count, _)| count.parse().expect("a count"))
}

#[test]
fn thousands_of_rejected_commands_are_counted_in_few_entries() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let reject = |path: &str| {
        let response = agent
            .post(format!("{}{path}", node.url))
            .header("content-type", "application/json")
            .send("")
            .expect("a response");
        assert!([404, 409].contains(&response.status().as_u16()), "{path}: {}", response.status());
    };
    for n in 0..1000 {
        reject("/api/actors/nobody/restart");
        reject(&format!("/api/actors/nobody-{n}/restart"));
        reject("/api/pumps/pump-9/commission");
    }
    assert_eq!(send_command(&node, "/api/actors/live/restart", ""), 200);
    // Each client has its own entries for at most four objects of an action: `nobody` and three more.
    let entries = wait_for_entries(&node, 6);
    assert_eq!(entries.len(), 6, "four rejected restarts, a rejected commissioning, and the accepted restart");
    assert_eq!(entries.iter().filter(|entry| entry["outcome"] == "done").count(), 1);

    assert!(node.terminate().success(), "a clean exit");
    let log = start.node().get_ok(LOG);
    let entries = log["items"].as_array().expect("a list");
    assert!(entries.len() < 6 + 7, "{} entries", entries.len());
    let of = |action: &str| {
        let refused = |entry: &&Value| entry["action"] == action && entry["outcome"] != "done";
        entries.iter().filter(refused).map(rejections).sum::<u64>()
    };
    assert_eq!((of("restart"), of("commission")), (2000, 1000));
}

/// The fields of the newest entry of an action.
fn newest(node: &Node, action: &str) -> Value {
    node.get_ok(&format!("/api/audit-log?action={action}&limit=1"))["items"][0].clone()
}

#[test]
fn commands_are_recorded_with_their_request_and_what_they_change() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    assert_eq!(node.post(&json!([normal(0)])).status, 200);
    let name = |name: Value| node.send_json("PATCH", "/api/pumps/pump-1", &json!({ "name": name })).status;
    assert_eq!((name(json!("Feed")), name(json!("Boiler feed"))), (200, 200));
    let entry = newest(&node, "name-pump");
    assert_eq!((&entry["before"], &entry["after"]), (&json!("Feed"), &json!("Boiler feed")));
    assert_eq!(entry["peer"], entry["who"], "nobody has logged in");
    assert!(entry["request_id"].is_string() && entry["origin"].is_null(), "{entry}");
    assert_eq!(name(json!("Boiler feed")), 200);
    let same = newest(&node, "name-pump");
    assert_eq!((&same["before"], &same["after"]), (&Value::Null, &Value::Null), "it changed nothing");
    assert_ne!(same["request_id"], entry["request_id"]);

    let settings = json!({"interval_ms": 2000});
    assert_eq!(node.send_json("PUT", "/api/pumps/pump-1/settings", &settings).status, 200);
    let entry = newest(&node, "set-pump");
    assert_eq!((&entry["before"], &entry["after"]), (&Value::Null, &json!("interval_ms 2000, hold_s as the profile")));
    let refused = node.send_json("PUT", "/api/profiles/small", &json!({"profile": "name = 1"}));
    assert_eq!(refused.status, 400);
    let entry = newest(&node, "add-profile");
    assert_ne!(entry["outcome"], "done", "{entry}");
    let dir = start.data.to_str().expect("UTF-8");
    run(&["pumps", "rename", "pump-1", "Feed", "--data-dir", dir]);
    let entry = newest(&node, "name-pump");
    assert_eq!((&entry["before"], &entry["after"]), (&json!("Boiler feed"), &json!("Feed")));
    assert!(entry["who"].as_str().is_some_and(|who| who.starts_with("uid ")) && entry["peer"].is_null(), "{entry}");
    assert!(node.terminate().success(), "a clean exit");
    run(&["pumps", "rename", "pump-1", "Boiler feed", "--data-dir", dir]);
    let entry = newest(&start.node(), "name-pump");
    assert_eq!((&entry["before"], &entry["after"]), (&json!("Feed"), &json!("Boiler feed")));
}

#[test]
fn audit_log_is_verified_after_kills_while_the_node_runs_and_when_it_is_stopped() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let dir = start.data.to_str().expect("UTF-8").to_owned();
    let verify = |more: &[&str]| volute().args([&["audit", "verify", "--data-dir", &dir], more].concat()).output();
    let verify = |more: &[&str]| {
        let output = verify(more).expect("it runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"), output.stderr)
    };
    let mut heads = Vec::new();
    for round in 1..=3 {
        let node = start.node();
        for _ in 0..5 {
            assert_eq!(send_command(&node, "/api/actors/live/restart", ""), 200);
        }
        let (intact, printed, _) = verify(&[]);
        assert!(intact && printed.starts_with(&format!("{} entries in the chain, from 2", 5 * round)), "{printed}");
        heads.push(printed.trim_end().rsplit_once("the head is ").expect("a head").1.to_owned());
        node.kill();
    }
    for head in &heads {
        let (intact, printed, _) = verify(&["--expect", head]);
        assert!(intact && printed.starts_with("15 entries in the chain"), "{printed}");
    }
    let (number, _) = heads[0].split_once(':').expect("a number");
    let (intact, _, error) = verify(&["--expect", &format!("{number}:{}", "5d".repeat(32))]);
    assert!(!intact && String::from_utf8_lossy(&error).contains("is not the one that was expected"));
    // Database and journal of an earlier day are put back; the head is still in its file.
    let node = start.node();
    assert!(node.terminate().success(), "a clean exit");
    let day = tempfile::tempdir().expect("a directory");
    let names = ["database", "journal"];
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let status = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().expect("it runs");
        assert!(status.success());
    };
    names.iter().for_each(|name| copy(&start.data.join(name), &day.path().join(name)));
    let node = start.node();
    assert_eq!(send_command(&node, "/api/actors/live/restart", ""), 200);
    assert!(node.terminate().success(), "a clean exit");
    for name in names {
        std::fs::remove_dir_all(start.data.join(name)).expect("removed");
        copy(&day.path().join(name), &start.data.join(name));
    }
    let (intact, printed, error) = verify(&[]);
    let error = String::from_utf8_lossy(&error);
    assert!(!intact && error.contains("entries 16 to 16 were removed"), "{printed} {error}");
}
