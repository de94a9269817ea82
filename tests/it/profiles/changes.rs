//! Profiles that change while pumps have them: damaged and repaired, with another model, and removed.

use super::*;

/// Returns what `volute profiles` with these arguments prints, and whether it succeeded.
fn profiles(store: &Path, args: &[&str]) -> (bool, String) {
    let mut command = volute();
    command.arg("profiles").args(args).args(["--data-dir", store.to_str().expect("text")]);
    let printed = output(&mut command);
    (printed.status.success(), String::from_utf8_lossy(&[printed.stdout, printed.stderr].concat()).into_owned())
}

fn damage_of(node: &Node, profile: &str) -> Option<String> {
    let kind = node.get_ok(&format!("/api/profiles/{profile}"));
    assert!(kind.get("damage").is_some(), "{kind}");
    kind["damage"].as_str().map(str::to_owned)
}

#[test]
fn a_damaged_profile_stops_no_other_and_its_readings_are_stored_until_it_is_repaired() {
    let data = tempfile::tempdir().expect("a directory");
    let (bearing, log) = (&KINDS[2], data.path().join("node.log"));
    // Its windows are counted.
    let model = bearing.train_for(&data, "fused");
    let start = NodeConfig::new(&data, "centrifugal").with_log(&log);
    let toml = data.path().join("bearing.toml");
    let toml = toml.to_str().expect("text");
    let node = start.node();
    assert!(add(&start.data, toml, Some(&model)).0);
    bearing.post(&node, 0..40);
    node.wait_until(&bearing.live(), |live| live["totals"]["pump"]["scored"] == 11);
    let mut hot = bearing.item(40);
    hot["Tb"] = json!(95.0);
    assert_eq!(node.post(&json!([hot])).status, 200);
    node.wait_until("/api/maintenance-events?status=active", |events| events["items"][0]["rule"] == "hot-bearing");
    node.kill();

    let stored = start.data.join("profiles/bearing.toml");
    fs::write(&stored, &BEARING[..200]).expect("written");
    fs::write(start.data.join("profiles/gear.toml"), [0xff; 100]).expect("written");
    let node = start.node();
    let ready = node.get_ok("/readyz");
    let reason = ready["reason"].as_str().expect("a reason");
    assert!(ready["status"] == "degraded" && reason.contains("bearing (profiles/bearing.toml: "), "{ready}");
    assert!(reason.contains("gear (profiles/gear.toml: ") && reason.contains("volute profiles add"), "{ready}");
    assert!(damage_of(&node, "bearing").is_some_and(|why| why.contains("not a profile")));
    assert_eq!(damage_of(&node, "centrifugal"), None);
    let (_, listed) = profiles(&start.data, &["list"]);
    assert!(listed.contains("bearing  cannot be used: profiles/bearing.toml"), "{listed}");
    let written = fs::read_to_string(&log).expect("a log");
    assert!(written.contains("a profile cannot be used") && written.contains("profile=\"bearing\""), "{written}");

    // Its pumps' readings are stored and shown, also those of a new pump. The open event stays as it is.
    KINDS[0].post(&node, 0..3);
    bearing.post(&node, 41..46);
    assert_eq!(node.post(&json!({"pump_id": "B-4", "profile": "bearing", "Tb": 999.5})).status, 200);
    let live = node.wait_until(&bearing.live(), |live| live["status"] == "UNKNOWN");
    assert!(live["status_reason"].as_str().is_some_and(|why| why.contains("its profile cannot be used")), "{live}");
    let own = node.get_ok("/api/pumps/B-3/profile");
    assert_eq!((&own["channels"][0]["name"], &own["channels"][0]["quantity"]), (&json!("Tb"), &json!("unknown")));
    let history = node.all_items("/api/sensor-history?pump_id=B-3");
    assert_eq!(history.len(), 46, "no reading is lost");
    let events = node.get_ok("/api/maintenance-events?status=active");
    assert_eq!(events["items"][0]["rule"], json!("hot-bearing"), "{events}");

    // No pump is registered with the profile `gear`, so its channels are not known. Items of a new pump are to be sent again.
    let new = json!({"pump_id": "G-1", "profile": "gear", "Torque": 7});
    let deferred = node.post(&new);
    assert_eq!((deferred.status, &deferred.body["type"]), (503, &json!("urn:volute:problem:deferred")), "{deferred:?}");
    let mixed = node.post(&json!([new, {"pump_id": "B-4", "Tb": 51.0}]));
    assert_eq!((mixed.status, &mixed.body["accepted"]), (207, &json!(1)), "{mixed:?}");
    assert_eq!(mixed.body["send_again"], json!([{"from": 0, "to": 0, "retry_after_s": 10}]));
    let removed = node.send("DELETE", "/api/profiles/gear");
    assert_eq!((removed.status, start.data.join("profiles/gear.toml").exists()), (200, false), "{removed:?}");

    // The damaged profile cannot be replaced by one with other channels, and cannot be removed.
    let other = BEARING.replace("\"Tb\"", "\"Tc\"");
    let refused = node.send_json("PUT", "/api/profiles/bearing", &profile_body(&other, None));
    let body = &refused.body;
    assert_eq!((refused.status, &body["field"], &body["value"]), (400, &json!("profile.channels"), &json!("Tc")));
    assert_eq!((node.send("DELETE", "/api/profiles/bearing").status, &body["allowed"]), (409, &json!("Tb")));

    let assigned = node.send_json("PUT", "/api/pumps/P-7/profile", &json!({"profile": "bearing"}));
    assert_eq!((assigned.status, &assigned.body["type"]), (409, &json!("urn:volute:problem:profile-damaged")));

    let (added, printed) = add(&start.data, toml, None);
    assert!(added, "{printed}");
    assert_eq!((node.get_ok("/readyz")["status"].as_str(), damage_of(&node, "bearing")), (Some("ready"), None));
    bearing.post(&node, 46..52);
    node.wait_until(&bearing.live(), |live| live["status"] == "NORMAL");
    // The repaired profile has its model again. All windows are scored now, also those of the readings that were only stored:
    // 52 readings make 23 windows.
    let page = "/api/anomaly-history?pump_id=B-3&limit=100";
    node.wait_until(page, |page| page["items"].as_array().map(Vec::len) == Some(23));
    node.wait_until("/api/maintenance-events", |events| events["items"][0]["status"] == "resolved");
    node.terminate();

    // A damaged profile of a stopped node is listed and repaired in the same way.
    fs::write(&stored, "").expect("written");
    let (_, listed) = profiles(&start.data, &["list"]);
    assert!(listed.contains("bearing  cannot be used"), "{listed}");
    let (added, printed) = add(&start.data, toml, None);
    assert!(added, "{printed}");
    let node = start.node();
    assert_eq!(node.get_ok("/readyz")["status"], json!("ready"));
}

#[test]
fn another_model_is_used_by_all_pumps_of_its_profile_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let bearing = &KINDS[2];
    let first = bearing.train(&data);
    let path = |name: &str| data.path().join(name).to_str().expect("text").to_owned();
    let (toml, recording, second) = (path("bearing.toml"), path("B-3.csv"), path("second"));
    run(&["train", "--profile", &toml, "--csv", &recording, "--epochs", "2", "--seed", "7", "--out", &second]);
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    assert!(add(&start.data, &toml, Some(&first)).0);
    bearing.post(&node, 0..40);
    let judged_by = |node: &Node| node.all_items("/api/anomaly-history?pump_id=B-3")[0]["model"].clone();
    node.wait_until(&bearing.live(), is_judged);
    node.wait_until("/api/anomaly-history?pump_id=B-3", |page| page["items"].as_array().map(Vec::len) >= Some(11));
    let before = judged_by(&node);

    let (added, printed) = add(&start.data, &toml, Some(&second));
    assert!(added, "{printed}");
    bearing.post(&node, 40..44);
    node.wait_until(&bearing.live(), |live| is_judged(live) && live["status"] == "NORMAL");
    let kind = node.get_ok("/api/pumps/B-3/profile");
    let network = kind["model"].as_str().and_then(|id| id.rsplit('-').next()).expect("a model").to_owned();
    let judged = |page: &Value| page["items"][0]["model"].as_str().is_some_and(|model| model.contains(&network));
    node.wait_until("/api/anomaly-history?pump_id=B-3", judged);
    assert_ne!(judged_by(&node), before, "without a restart");

    // Posts during a change are completed or deferred, and none is lost: every reading is stored once.
    let mut step = 44;
    for model in [&first, &second, &first] {
        let changing = std::thread::scope(|scope| {
            let change = scope.spawn(|| add(&start.data, &toml, Some(model)));
            while !change.is_finished() || step % 10 != 0 {
                let response = node.post(&json!([bearing.item(step)]));
                match response.status {
                    200 => step += 1,
                    _ => assert_eq!(response.body["type"], json!("urn:volute:problem:deferred"), "{response:?}"),
                }
            }
            change.join().expect("added")
        });
        assert!(changing.0, "{}", changing.1);
    }
    let history = node.all_items("/api/sensor-history?pump_id=B-3");
    assert_eq!(history.len() as i64, step);
    let last = node.get_ok("/api/profiles/bearing")["model"].clone();
    assert_eq!(node.get_ok("/api/pumps/B-3/profile")["model"], last);
}

#[test]
fn a_profile_is_removed_only_if_no_pump_has_it() {
    let data = tempfile::tempdir().expect("a directory");
    let bearing = &KINDS[2];
    let model = bearing.train(&data);
    let toml = data.path().join("bearing.toml");
    let toml = toml.to_str().expect("text");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    assert!(add(&start.data, toml, Some(&model)).0);
    bearing.post(&node, 0..3);
    for (name, status, kind, said) in [
        ("bearing", 409, "profile-in-use", "a pump has the profile bearing: B-3; remove it"),
        ("centrifugal", 409, "profile-configured", "the profile of the node's configuration"),
        ("gear", 404, "unknown-profile", "no profile gear; it has: bearing, centrifugal"),
        ("..%2Fjournal", 404, "unknown-profile", "no profile ../journal"),
    ] {
        let refused = node.send("DELETE", &format!("/api/profiles/{name}"));
        let body = &refused.body;
        assert_eq!((refused.status, &body["type"]), (status, &json!(format!("urn:volute:problem:{kind}"))));
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{refused:?}");
        let (removed, printed) = profiles(&start.data, &["remove", &name.replace("%2F", "/")]);
        assert!(!removed && printed.contains(said), "{printed}");
    }
    assert_eq!(node.send("DELETE", "/api/pumps/B-3").status, 200);
    let removed = node.send("DELETE", "/api/profiles/bearing");
    assert_eq!((removed.status, &removed.body["profile"]), (200, &json!("bearing")), "{removed:?}");
    assert!(profile_files(&start.data).is_empty());
    assert_eq!(node.get("/api/profiles/bearing").status, 404);
    let refused = node.post(&json!({"pump_id": "B-5", "profile": "bearing", "Tb": 50.0}));
    assert_eq!((refused.status, &refused.body["rejected"][0]["allowed"]), (400, &json!("centrifugal")));

    // The command removes a profile, too. After that another profile may have the name.
    let warmer = data.path().join("warmer.toml");
    fs::write(&warmer, BEARING.replace("high_alarm = 90", "high_alarm = 95")).expect("written");
    assert!(add(&start.data, warmer.to_str().expect("text"), None).0);
    assert_eq!(profiles(&start.data, &["remove", "bearing"]), (true, "the profile bearing is removed\n".to_owned()));
    assert!(add(&start.data, toml, Some(&model)).0);
    assert_eq!(node.post(&json!({"pump_id": "B-5", "profile": "bearing", "Tb": 50.0})).status, 200);
    let entries = node.all_items("/api/audit-log?action=remove-profile");
    let done = entries.iter().filter(|entry| entry["outcome"] == "done" && entry["object"] == "bearing").count();
    assert_eq!((done, entries.len() > done), (2, true), "refusals are recorded as well: {entries:?}");

    // The command also refuses while the node is stopped.
    node.kill();
    let (removed, printed) = profiles(&start.data, &["remove", "bearing"]);
    assert!(!removed && printed.contains("a pump has the profile bearing: B-5"), "{printed}");
    let (removed, printed) = profiles(&start.data, &["remove", "gear"]);
    assert!(!removed && printed.contains("no profile gear"), "{printed}");
    assert!(add(&start.data, "skab", None).0);
    let (removed, printed) = profiles(&start.data, &["remove", "skab"]);
    assert!(removed && printed.starts_with("the profile skab is removed\n"), "{printed}");
    let node = start.node();
    let names: Vec<Value> = node.all_items("/api/profiles").iter().map(|kind| kind["name"].clone()).collect();
    assert_eq!(names, [json!("bearing"), json!("centrifugal")]);
    let stopped = |action: &str| {
        let entries = node.all_items(&format!("/api/audit-log?action={action}"));
        entries.iter().filter(|entry| entry["object"] == "skab" && entry["outcome"] == "done").count()
    };
    assert_eq!((stopped("add-profile"), stopped("remove-profile")), (1, 1), "of the stopped node as well");
}

#[test]
fn a_profile_is_added_removed_and_posted_to_at_the_same_time() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__INGEST__NEW_PUMPS_BURST", "100000");
    let node = start.node();
    let put = || node.send_json("PUT", "/api/profiles/bearing", &profile_body(BEARING, None));
    assert_eq!(put().status, 201);
    let registered = std::thread::scope(|scope| {
        let posts = scope.spawn(|| {
            let accepted = |n: &usize| {
                let item = json!({"pump_id": format!("B-{n}"), "profile": "bearing", "Tb": 50.0});
                let response = node.post(&item);
                let rejected = response.body["rejected"][0]["field"] == "profile";
                assert!(response.status == 200 || rejected, "{response:?}");
                response.status == 200
            };
            // Each post is of a new pump. The pump is removed at once, so that the profile can be removed.
            (0..60)
                .filter(accepted)
                .inspect(|n| assert_eq!(node.send("DELETE", &format!("/api/pumps/B-{n}")).status, 200))
                .count()
        });
        let changes = [1, 2].map(|_| {
            scope.spawn(|| {
                for _ in 0..40 {
                    let removed = node.send("DELETE", "/api/profiles/bearing").status;
                    assert!([200, 404, 409].contains(&removed), "{removed}");
                    let added = put().status;
                    assert!([200, 201].contains(&added), "{added}");
                }
            })
        });
        changes.into_iter().for_each(|change| change.join().expect("no response is another"));
        posts.join().expect("no response is another")
    });
    assert!(registered > 0, "the profile was there at times");
    let last = json!({"pump_id": "last", "profile": "bearing", "Tb": 50.0});
    assert_eq!(node.post(&last).status, 200);
    assert_eq!(node.send("DELETE", "/api/profiles/bearing").status, 409);
    node.kill();
    let node = start.node();
    assert_eq!(node.get_ok("/api/pumps/last/profile")["name"], json!("bearing"), "no pump is without its profile");
}

#[test]
fn a_new_pump_gets_the_profile_that_any_item_or_a_replay_names() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let (node, toml, csv) = (start.node(), data.path().join("bearing.toml"), data.path().join("tb.csv"));
    fs::write(&toml, BEARING).expect("written");
    let toml = toml.to_str().expect("text");
    assert!(add(&start.data, toml, None).0);
    let items = json!([
        {"pump_id": "B-3", "timestamp": BEGIN_S, "Tb": 50.0},
        {"pump_id": "B-3", "timestamp": BEGIN_S + 300, "Tb": 50.1, "profile": "bearing"},
        {"pump_id": "B-3", "timestamp": BEGIN_S + 600, "Tb": 50.2, "profile": "centrifugal"},
        {"pump_id": "B-3", "timestamp": BEGIN_S + 900, "Tb": 50.3},
    ]);
    let response = node.post(&items);
    assert_eq!((response.status, &response.body["accepted"]), (207, &json!(3)), "{response:?}");
    let rejected = &response.body["rejected"];
    assert_eq!((&rejected[0]["index"], &rejected[0]["field"]), (&json!(2), &json!("profile")), "{response:?}");
    assert_eq!((&rejected[0]["allowed"], &rejected[1]), (&json!("bearing"), &json!(null)));
    assert_eq!(node.get_ok("/api/pumps/B-3/profile")["name"], json!("bearing"));

    fs::write(&csv, "timestamp,Tb\n2026-03-09T10:00:00Z,44.5\n2026-03-09T10:05:00Z,44.6\n").expect("written");
    let csv = csv.to_str().expect("text");
    let replay = ["replay", "--csv", csv, "--url", &node.url, "--speed", "0", "--pump", "B-9"];
    run(&[&replay[..], &["--profile", toml]].concat());
    assert_eq!(node.get_ok("/api/pumps/B-9/profile")["name"], json!("bearing"));
}

#[test]
fn the_list_of_a_stopped_node_is_that_of_the_running_one() {
    let data = tempfile::tempdir().expect("a directory");
    let kind = &KINDS[0];
    let model = kind.train(&data);
    let start = NodeConfig::new(&data, "centrifugal").with_model(Path::new(&model));
    assert!(add(&start.data, "skab", None).0);
    let node = start.node();
    let (_, running) = profiles(&start.data, &["list"]);
    assert!(running.lines().any(|line| line.starts_with("centrifugal ") && line.contains("model ")), "{running}");
    node.terminate();
    let (_, stopped) = profiles(&start.data, &["list", "--model", &model]);
    assert_eq!(stopped, running);
    let (listed, printed) = profiles(&start.data, &["list", "--model", "./nowhere"]);
    assert!(!listed && printed.contains("nowhere"), "as the node would not start: {printed}");
}

#[test]
fn a_node_with_another_default_profile_gets_that_of_its_pumps_while_it_is_stopped() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    KINDS[0].post(&node, 0..3);
    node.terminate();
    let log = data.path().join("node.log");
    let other = NodeConfig::new(&data, "skab").with_log(&log);
    assert_eq!(other.run_to_exit().code(), Some(1));
    let said = fs::read_to_string(&log).expect("a log");
    assert!(said.contains("have the profile centrifugal") && said.contains("volute profiles add"), "{said}");
    let (added, printed) = add(&start.data, "centrifugal", None);
    assert!(added, "{printed}");
    let node = other.node();
    assert_eq!(node.get_ok("/api/pumps/P-7/profile")["name"], json!("centrifugal"));
    KINDS[0].post(&node, 3..5);
}
