//! Several profiles on one node: the readings of each pump are parsed, evaluated against limits, scored and shown by its own
//! profile and model: live, after a kill, and while profiles are added.

mod changes;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, output, run, volute};

/// A profile with one channel, an interval of 5 min and a rule.
const BEARING: &str = r#"
name = "bearing"
title = "A bearing, logged every 5 minutes"
interval_ms = 300000
[[channels]]
name = "Tb"
quantity = "bearing_temperature"
unit = "°C"
plausible = [-40, 200]
resolution = 0.1
limits = { high_warning = 80, high_alarm = 90 }
[[rules]]
name = "hot-bearing"
title = "Hot bearing"
severity = "critical"
quantity = "bearing_temperature"
above = 90
cost = { amount = 900, currency = "EUR" }
advice = "Check the lubrication."
"#;

/// 2026-03-09T10:00:00Z.
const BEGIN_S: i64 = 1_773_050_400;

/// A kind of pump in this test: its pump's name, the interval of its readings, and its channels' mean values.
struct PumpKind {
    profile: &'static str,
    pump: &'static str,
    step_s: i64,
    channels: &'static [(&'static str, f64)],
}

const KINDS: [PumpKind; 3] = [
    PumpKind {
        profile: "centrifugal",
        pump: "P-7",
        step_s: 1,
        channels: &[
            ("Motor_RPM", 1480.0),
            ("Bearing_Temperature_C", 44.0),
            ("Oil_Pressure_bar", 4.1),
            ("Vibration_mm_s", 2.0),
            ("Flow_Rate_L_min", 130.0),
            ("Suction_Pressure_bar", 1.7),
            ("Discharge_Pressure_bar", 6.0),
            ("Motor_Current_A", 17.5),
            ("Casing_Temperature_C", 45.0),
            ("Ambient_Temperature_C", 27.0),
        ],
    },
    PumpKind {
        profile: "skab",
        pump: "bed-1",
        step_s: 1,
        channels: &[
            ("Accelerometer1RMS", 0.2),
            ("Accelerometer2RMS", 0.3),
            ("Current", 2.0),
            ("Pressure", 0.4),
            ("Temperature", 70.0),
            ("Thermocouple", 25.0),
            ("Voltage", 230.0),
            ("Volume Flow RateRMS", 32.0),
        ],
    },
    PumpKind { profile: "bearing", pump: "B-3", step_s: 300, channels: &[("Tb", 50.0)] },
];

impl PumpKind {
    /// Returns values close to their means.
    fn values(&self, step: i64) -> impl Iterator<Item = (&'static str, f64)> {
        let wave = 1.0 + 0.01 * (step as f64 * 0.7).sin();
        self.channels.iter().map(move |(name, mean)| (*name, mean * wave))
    }

    fn item(&self, step: i64) -> Value {
        let mut item = json!({"pump_id": self.pump, "timestamp": BEGIN_S + step * self.step_s});
        for (name, value) in self.values(step) {
            item[name] = json!(value);
        }
        item
    }

    fn live(&self) -> String {
        format!("/api/live-data?pump_id={}", self.pump)
    }

    /// Posts the readings of these steps. The first one names the profile.
    fn post(&self, node: &Node, steps: std::ops::Range<i64>) {
        let mut items: Vec<Value> = steps.map(|step| self.item(step)).collect();
        items[0]["profile"] = json!(self.profile);
        let response = node.post(&json!(items));
        assert_eq!((response.status, &response.body["accepted"]), (200, &json!(items.len())), "{response:?}");
    }

    /// Trains a model with a baseline on 300 such steps.
    fn train(&self, folder: &TempDir) -> String {
        self.train_for(folder, "conditional")
    }

    fn train_for(&self, folder: &TempDir, detector: &str) -> String {
        let path = |name: String| folder.path().join(name).to_str().expect("text").to_owned();
        let names: Vec<&str> = self.channels.iter().map(|(name, _)| *name).collect();
        let mut csv = format!("timestamp,{},machine_status\n", names.join(","));
        for step in 0..300 {
            let values: Vec<String> = self.values(step).map(|(_, value)| value.to_string()).collect();
            writeln!(csv, "{},{},NORMAL", BEGIN_S + step * self.step_s, values.join(",")).expect("written");
        }
        let (recording, profile, model) =
            (path(format!("{}.csv", self.pump)), path("bearing.toml".into()), path(format!("{}-model", self.pump)));
        fs::write(&recording, csv).expect("written");
        fs::write(&profile, BEARING).expect("written");
        let profile = if self.profile == "bearing" { &profile } else { self.profile };
        run(&[
            "train",
            "--profile",
            profile,
            "--csv",
            &recording,
            "--epochs",
            "2",
            "--detector",
            detector,
            "--out",
            &model,
        ]);
        model
    }
}

fn add(store: &Path, profile: &str, model: Option<&str>) -> (bool, String) {
    let mut command = volute();
    command.args(["profiles", "add", profile, "--data-dir", store.to_str().expect("text")]);
    command.args(model.into_iter().flat_map(|model| ["--model", model]));
    let printed = output(&mut command);
    (printed.status.success(), String::from_utf8_lossy(&[printed.stdout, printed.stderr].concat()).into_owned())
}

/// Whether the last reading was judged.
fn is_judged(live: &Value) -> bool {
    live["totals"]["pump"]["scored"].as_u64() > Some(0) && live["judged_at"] == live["timestamp"]
}

#[test]
fn three_profiles_on_one_node_each_with_its_model_live_and_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let [centrifugal, skab, bearing] = KINDS.each_ref();
    let models = KINDS.each_ref().map(|kind| kind.train(&data));
    let start = NodeConfig::new(&data, "centrifugal").with_model(Path::new(&models[0]));
    let node = start.node();

    // Items with an unknown profile are rejected one by one, with the list of known ones.
    let mut item = skab.item(0);
    item["profile"] = json!("skab");
    let refused = node.post(&json!([item]));
    let rejected = &refused.body["rejected"][0];
    assert_eq!(
        (refused.status, &rejected["field"], &rejected["allowed"]),
        (400, &json!("profile"), &json!("centrifugal"))
    );

    // Two profiles are added while the node runs.
    let toml = data.path().join("bearing.toml");
    for (profile, model) in [("skab", &models[1]), (toml.to_str().expect("text"), &models[2])] {
        let (added, printed) = add(&start.data, profile, Some(model));
        assert!(added, "{printed}");
    }
    let kinds = node.get_ok("/api/profiles");
    let names: Vec<&str> =
        kinds["items"].as_array().expect("a list").iter().filter_map(|k| k["name"].as_str()).collect();
    assert_eq!(names, ["bearing", "centrifugal", "skab"], "{kinds}");

    for kind in [centrifugal, skab, bearing] {
        kind.post(&node, 0..40);
        let live = node.wait_until(&kind.live(), is_judged);
        assert_eq!(live["status"], json!("NORMAL"), "{}: {live}", kind.profile);
        assert_eq!(live["channels"].as_object().map_or(0, serde_json::Map::len), kind.channels.len(), "{live}");
    }
    // Each pump has the model and the channels of its profile.
    let models_used: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            // A detection is shown before it is stored.
            let history = format!("/api/anomaly-history?pump_id={}", kind.pump);
            node.wait_until(&history, |page| !page["items"][0].is_null())["items"][0]["model"].clone()
        })
        .collect();
    assert!(models_used[0] != models_used[1] && models_used[1] != models_used[2], "{models_used:?}");
    let fleet = node.get_ok("/api/pumps");
    let profiles: Vec<(&Value, &Value)> =
        fleet["items"].as_array().expect("a list").iter().map(|pump| (&pump["pump_id"], &pump["profile"])).collect();
    let expected = json!(["B-3", "bearing", "P-7", "centrifugal", "bed-1", "skab"]);
    let expected: Vec<(&Value, &Value)> =
        expected.as_array().expect("a list").chunks(2).map(|pair| (&pair[0], &pair[1])).collect();
    assert_eq!(profiles, expected);

    // After a kill the node has all profiles, and continues.
    node.kill();
    let node = start.node();
    for kind in [centrifugal, skab, bearing] {
        let mut items: Vec<Value> = (40..45).map(|step| kind.item(step)).collect();
        // The profile of a known pump is optional in an item.
        items[0]["profile"] = json!(kind.profile);
        assert_eq!(node.post(&json!(items)).body["accepted"], json!(5), "{}", kind.profile);
        node.wait_until(&kind.live(), |live| is_judged(live) && live["status"] == "NORMAL");
    }

    // Rules are those of the profile.
    let mut hot = bearing.item(45);
    hot["Tb"] = json!(95.0);
    assert_eq!(node.post(&json!([hot])).status, 200);
    node.wait_until("/api/maintenance-events?status=active", |events| events["items"][0]["rule"] == "hot-bearing");

    // A known pump keeps its profile.
    let mut other = skab.item(46);
    other["profile"] = json!("centrifugal");
    let refused = node.post(&json!([other]));
    assert_eq!((refused.status, &refused.body["rejected"][0]["allowed"]), (400, &json!("skab")), "{refused:?}");
}

#[test]
fn profile_with_the_same_channels_is_assigned_and_the_pump_is_commissioned_again() {
    let data = tempfile::tempdir().expect("a directory");
    let model = KINDS[2].train(&data);
    let hotter = BEARING.replace("\"bearing\"", "\"furnace-bearing\"").replace("above = 90", "above = 150");
    let file = data.path().join("furnace.toml");
    fs::write(&file, hotter).expect("written");
    let start = NodeConfig::new(&data, data.path().join("bearing.toml").to_str().expect("text").to_owned().leak())
        .with_model(Path::new(&model));
    let node = start.node();
    let (added, printed) = add(&start.data, file.to_str().expect("text"), None);
    assert!(added, "{printed}");
    let (added, printed) = add(&start.data, "skab", None);
    assert!(added, "{printed}");

    let bearing = &KINDS[2];
    bearing.post(&node, 0..40);
    node.wait_until(&bearing.live(), |live| live["status"] == "NORMAL");
    let mut hot = bearing.item(40);
    hot["Tb"] = json!(95.0);
    assert_eq!(node.post(&json!([hot])).status, 200);
    node.wait_until("/api/maintenance-events?status=active", |events| events["items"][0]["rule"] == "hot-bearing");

    let assign = |profile: &str| node.send_json("PUT", "/api/pumps/B-3/profile", &json!({"profile": profile}));
    let (unknown, other) = (assign("gear"), assign("skab"));
    assert_eq!((unknown.status, other.status), (404, 409), "{unknown:?} {other:?}");
    let before = node.get_ok("/api/pumps/B-3/baselines");
    assert_eq!(assign("bearing").status, 200, "it has this profile already");
    assert_eq!(node.get_ok("/api/pumps/B-3/baselines"), before, "so nothing changes");
    let assigned = assign("furnace-bearing");
    assert_eq!((assigned.status, &assigned.body["profile"]), (200, &json!("furnace-bearing")), "{assigned:?}");

    // The event belongs to the other profile's rule. With this profile 95 °C is not a fault, so the event is resolved.
    let items: Vec<Value> = (41..46)
        .map(|step| {
            let mut item = bearing.item(step);
            item["Tb"] = json!(95.0);
            item
        })
        .collect();
    assert_eq!(node.post(&json!(items)).status, 200);
    node.wait_until("/api/maintenance-events", |events| events["items"][0]["status"] == "resolved");
    // This profile has no model, so the pump is not scored. With its old profile it is commissioned again.
    node.wait_until(&bearing.live(), |live| live["status"] == "UNKNOWN");
    assert_eq!(assign("bearing").status, 200);
    bearing.post(&node, 46..90);
    let live = node.wait_until(&bearing.live(), |live| live["status"] == "LEARNING");
    assert_eq!(live["learning"]["phase"], json!("gathering"), "{live}");
    node.kill();
    let node = start.node();
    let pumps = node.get_ok("/api/pumps");
    assert_eq!(pumps["items"][0]["profile"], json!("bearing"), "{pumps}");
}

#[test]
fn invalid_profile_is_rejected_with_a_reason() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let file = data.path().join("mine.toml");
    for (text, expected) in [
        ("name = 3".to_owned(), "mine.toml"),
        (BEARING.replace("\"bearing\"", "\"../bearing\""), "allowed: 1 to 64"),
        (BEARING.replace("\"bearing\"", "\"centrifugal\""), "centrifugal is the profile of the node's configuration"),
    ] {
        fs::write(&file, text).expect("written");
        let (added, words) = add(&start.data, file.to_str().expect("text"), None);
        assert!(!added && words.contains(expected), "{words}");
    }
    let kinds = node.get_ok("/api/profiles");
    assert_eq!(kinds["items"].as_array().map(Vec::len), Some(1), "{kinds}");
    assert_eq!(node.get("/api/profiles/gear").status, 404);
    assert_eq!(node.get_ok("/api/profiles/centrifugal")["name"], json!("centrifugal"));
}

#[test]
fn a_profile_keeps_its_name_and_units_and_a_node_starts_only_with_the_profiles_of_its_pumps() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let (mut node, file) = (start.node(), data.path().join("mine.toml"));
    let write = |text: &str| fs::write(&file, text).expect("written");
    write(BEARING);
    assert!(add(&start.data, file.to_str().expect("text"), None).0);
    let reading = |profile: &str| json!([{"pump_id": "B-3", "profile": profile, "Tb": 50.0}]);
    assert_eq!(node.post(&reading("bearing")).body["accepted"], json!(1));

    // A profile with the same name and other limits, and one whose name differs only in case.
    let looser = BEARING.replace("high_alarm = 90", "high_alarm = 95");
    let shouted = BEARING.replace("\"bearing\"", "\"BEARING\"");
    for (name, text) in [("bearing", &looser), ("BEARING", &shouted)] {
        let refused = node.send_json("PUT", &format!("/api/profiles/{name}"), &profile_body(text, None));
        assert_eq!(
            (refused.status, &refused.body["type"]),
            (409, &json!("urn:volute:problem:profile-taken")),
            "{refused:?}"
        );
    }
    let centrifugal = include_str!("../../config/profiles/centrifugal.toml");
    let refused = node.send_json("PUT", "/api/profiles/centrifugal", &profile_body(centrifugal, None));
    assert_eq!((refused.status, &refused.body["type"]), (409, &json!("urn:volute:problem:profile-configured")));
    let same = node.send_json("PUT", "/api/profiles/bearing", &profile_body(BEARING, None));
    assert_eq!(same.status, 200, "{same:?}");

    // The same channels in another unit.
    write(&BEARING.replace("\"bearing\"", "\"fahrenheit\"").replace("°C", "°F"));
    assert!(add(&start.data, file.to_str().expect("text"), None).0);
    let assigned = node.send_json("PUT", "/api/pumps/B-3/profile", &json!({"profile": "fahrenheit"}));
    assert_eq!(assigned.status, 409, "{assigned:?}");

    // Without the profile of its pump the node does not start, and says what to do.
    node.kill();
    let stored = start.data.join("profiles/bearing.toml");
    fs::remove_file(&stored).expect("removed");
    let log = data.path().join("node.log");
    let start = start.with_log(&log);
    assert_eq!(start.run_to_exit().code(), Some(1));
    let said = fs::read_to_string(&log).expect("a log");
    assert!(said.contains("have the profile bearing, which this node does not have"), "{said}");
    write(BEARING);
    let (added, printed) = add(&start.data, file.to_str().expect("text"), None);
    assert!(added, "{printed}");
    node = start.node();
    assert_eq!(node.post(&reading("bearing")).body["accepted"], json!(1));
}

#[test]
fn an_import_adds_the_profile_that_it_names() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let (profile, recording) = (data.path().join("bearing.toml"), data.path().join("tb.csv"));
    fs::write(&profile, BEARING).expect("written");
    fs::write(&recording, "timestamp,Tb\n2026-03-09T10:00:00Z,44.5\n2026-03-09T10:05:00Z,44.6\n").expect("written");
    let [profile, recording, store] = [&profile, &recording, &start.data].map(|path| path.to_str().expect("text"));
    let args = ["import", recording, "--pump", "B-9", "--profile", profile, "--data-dir", store];
    assert!(run(&args).contains("the profile bearing is added"));
    let again = run(&args);
    assert!(!again.contains("is added"), "{again}");
    let node = start.node();
    assert_eq!(node.get_ok("/api/pumps/B-9/profile")["name"], json!("bearing"));
}

/// The body of a request that adds a profile: the profile's text, and the files of a model's folder if there is a
/// model.
fn profile_body(profile: &str, model: Option<&str>) -> Value {
    let Some(folder) = model else { return json!({"profile": profile}) };
    let manifest = fs::read_to_string(format!("{folder}/manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let weights = output(Command::new("base64").args(["-w0", &format!("{folder}/model.safetensors")]));
    assert!(weights.status.success(), "{weights:?}");
    json!({"profile": profile, "model": {
        "manifest": manifest, "weights": String::from_utf8(weights.stdout).expect("text"),
    }})
}

/// All files of the added profiles with their content.
fn profile_files(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut folders, mut files) = (vec![store.join("profiles")], Vec::new());
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), fs::read(&path).expect("a file"))),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn profile_is_added_over_http_and_its_pump_is_scored_also_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let bearing = &KINDS[2];
    let folder = bearing.train(&data);
    let start = NodeConfig::new(&data, "centrifugal").with_env("VOLUTE__SERVER__MAX_BODY_BYTES", "400000");
    let node = start.node();
    let put = |node: &Node, name: &str, body: &Value| node.send_json("PUT", &format!("/api/profiles/{name}"), body);
    let whole = profile_body(BEARING, Some(&folder));

    // Errors name the field, the value and the allowed values. Nothing is written.
    let changed = |change: fn(&mut Value)| {
        let mut body = whole.clone();
        change(&mut body);
        body
    };
    let climbing = BEARING.replace("\"bearing\"", "\"../bearing\"");
    let slow = BEARING.replace("300000", "1");
    for (name, body, status, field) in [
        ("bearing", changed(|kind| kind["model"]["weights"] = json!("no base64!")), 400, "model.weights"),
        ("bearing", changed(|kind| kind["model"]["weights"] = json!("AAAA")), 400, "model.weights"),
        ("bearing", changed(|kind| kind["model"]["manifest"]["weights_sha256"] = json!("0")), 400, "model.manifest.id"),
        ("bearing", changed(|kind| kind["model"]["manifest"]["units"] = json!("many")), 400, "model.manifest"),
        ("bearing", changed(|kind| kind["model"] = json!("/models/bearing")), 400, "model"),
        ("bearing", json!({"profile": slow}), 400, "profile.interval_ms"),
        ("..%2Fbearing", profile_body(&climbing, Some(&folder)), 400, "profile.name"),
        ("bearing", profile_body(&climbing, None), 400, "profile.name"),
        ("skab", whole.clone(), 400, "profile.name"),
        ("centrifugal", json!({"profile": BEARING.replace("\"bearing\"", "\"centrifugal\"")}), 409, "name"),
    ] {
        let refused = put(&node, name, &body);
        assert_eq!((refused.status, &refused.body["field"]), (status, &json!(field)), "{refused:?}");
        assert!(refused.body.get("value").is_some() && refused.body["allowed"].is_string(), "{refused:?}");
        assert!(refused.body.to_string().len() < 3_000, "only the beginning of the value: {refused:?}");
        assert!(!start.data.join("profiles").exists(), "{field}");
    }
    // Each is in the audit log, repeated ones counted in one entry.
    let recorded = |entry: &Value| entry["outcome"].as_str().is_some_and(|why| why.contains("model.weights"));
    assert!(node.all_items("/api/audit-log?action=add-profile").iter().any(recorded), "a refused model");
    let large = json!({"profile": BEARING, "model": {"manifest": {}, "weights": "A".repeat(400_000)}});
    let refused = put(&node, "bearing", &large);
    assert_eq!((refused.status, &refused.body["type"]), (413, &json!("urn:volute:problem:too-large")));
    let refused = node.send_as("PUT", "/api/profiles/bearing", "text/plain", &whole.to_string());
    assert_eq!(refused.status, 415, "a page of another site could send it unasked: {refused:?}");
    assert!(!start.data.join("profiles").exists());

    let added = put(&node, "bearing", &whole);
    let model = &whole["model"]["manifest"]["id"];
    assert_eq!((added.status, &added.body["name"], &added.body["model"]), (201, &json!("bearing"), model), "{added:?}");
    let files = profile_files(&start.data);
    assert_eq!(files.len(), 3, "{:?}", files.iter().map(|(path, _)| path).collect::<Vec<_>>());
    // Sending it again, with its model and without, changes nothing. Another profile with this name is rejected.
    for same in [&whole, &profile_body(BEARING, None)] {
        let again = put(&node, "bearing", same);
        assert_eq!((again.status, &again.body["model"]), (200, model), "{again:?}");
    }
    let other = put(&node, "bearing", &profile_body(&BEARING.replace("300000", "60000"), None));
    assert_eq!((other.status, &other.body["type"]), (409, &json!("urn:volute:problem:profile-taken")), "{other:?}");
    assert!(profile_files(&start.data) == files, "a rejected profile writes nothing");
    let entries = node.all_items("/api/audit-log?action=add-profile");
    let done: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "done").collect();
    assert_eq!((done.len(), &done[0]["object"]), (3, &json!("bearing")), "{entries:?}");
    assert!(entries.len() > done.len(), "rejected commands are recorded as well: {entries:?}");

    bearing.post(&node, 0..40);
    // Scores come from the model's network, whose id is the end of the model's id.
    let network = model.as_str().and_then(|id| id.rsplit('-').next()).expect("an id");
    let judged = |live: &Value| {
        live["status"] == "NORMAL" && live["model"].as_str().is_some_and(|detector| detector.contains(network))
    };
    node.wait_until(&bearing.live(), |live| is_judged(live) && judged(live));
    node.kill();
    let node = start.node();
    assert_eq!(&node.get_ok("/api/profiles/bearing")["model"], model);
    bearing.post(&node, 40..45);
    node.wait_until(&bearing.live(), |live| is_judged(live) && judged(live));
}

#[test]
fn profiles_are_added_before_the_first_start_and_used_by_their_pumps() {
    let data = tempfile::tempdir().expect("a directory");
    let bearing = &KINDS[2];
    let (file, log) = (data.path().join("bearing.toml"), data.path().join("log"));
    let start = NodeConfig::new(&data, "centrifugal").with_log(&log);
    fs::write(&file, "name = 3").expect("written");
    let (added, printed) = add(&start.data, file.to_str().expect("text"), None);
    assert!(!added && !start.data.exists(), "an invalid profile creates no folder: {printed}");
    fs::write(&file, BEARING).expect("written");
    for profile in ["skab", file.to_str().expect("text")] {
        let (added, printed) = add(&start.data, profile, None);
        assert!(added, "{printed}");
    }
    let store = start.data.to_str().expect("text");
    let list = || run(&["profiles", "list", "--data-dir", store]);
    let names = |list: &str| list.lines().filter_map(|line| line.split("  ").next().map(str::to_owned)).collect();
    let stopped: Vec<String> = names(&list());
    assert_eq!(stopped, ["bearing", "centrifugal", "skab"], "by name, as the running node lists them");

    let node = start.node();
    let running: Vec<String> = names(&list());
    assert_eq!(running, stopped);
    bearing.post(&node, 0..3);
    for (pump, profile, expected) in [
        (
            bearing.pump,
            "gear",
            "volute: this node has no profile gear; it has: bearing, centrifugal, skab. Add it with `volute profiles add ./gear.toml`\n",
        ),
        ("nobody", "skab", "nobody"),
    ] {
        let refused = output(volute().args(["pumps", "set-profile", pump, profile, "--data-dir", store]));
        let printed = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && printed.contains(expected), "{printed}");
        assert!(!printed.contains("only while the node runs"), "{printed}");
    }
    let refused = output(volute().args(["pumps", "settings", "nobody", "--data-dir", store]));
    assert!(!refused.status.success());
    node.terminate();
    let log = fs::read_to_string(&log).expect("a log");
    let about_nobody: Vec<&str> = log.lines().filter(|line| line.contains("there is no pump nobody")).collect();
    assert!(!about_nobody.is_empty() && about_nobody.iter().all(|line| line.contains("INFO")), "{log}");
    let last = log.lines().last().expect("a line");
    assert!(last.contains("the node has stopped"), "{log}");
    let refused = output(volute().args(["pumps", "set-profile", bearing.pump, "skab", "--data-dir", store]));
    let printed = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && printed.contains("only while the node runs"), "{printed}");

    let settings = run(&["pumps", "settings", bearing.pump, "--data-dir", store]);
    assert!(settings.contains("interval  5 min (from the profile)"), "{settings}");
    run(&["pumps", "set-hold", bearing.pump, "600", "--channel", "Tb", "--data-dir", store]);
    let settings = run(&["pumps", "settings", bearing.pump, "--data-dir", store]);
    assert!(settings.contains("(600 s) of Tb"), "{settings}");
    let mut other = volute();
    other.args(["pumps", "set-hold", bearing.pump, "600", "--channel", "Motor_RPM", "--data-dir", store]);
    let refused = output(&mut other);
    let printed = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && printed.contains("the profile has Tb"), "{printed}");
}

/// An alarm of a profile's file is checked before anything uses it, is armed for its pumps, and gives way to a pump's own.
#[test]
fn a_profile_defines_alarms_and_a_pump_overrides_them() {
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let path = data.path().join("bearing.toml");
    let write = |alarm: &str| fs::write(&path, format!("{BEARING}\n[[alarms]]\n{alarm}")).expect("written");
    let alarm = "id = \"tb-sum\"\ntitle = \"Twice as hot\"\npriority = \"critical\"\non_delay_s = 0\n\
                 condition = { kind = \"expression\", expression = \"Tb * 2\", when = \"above\", limit = 150 }\n";
    let toml = path.to_str().expect("text");

    for (wrong, said) in [
        (alarm.replace("Tb * 2", "Q * 2"), "alarms.tb-sum.condition.expression"),
        (alarm.replace("\"critical\"", "\"urgent\""), "alarms[0].priority = \"\\\"urgent\\\"\""),
        (alarm.replace("on_delay_s = 0", "on_delay_s = -5"), "alarms.tb-sum.on_delay_s = \"-5\"; allowed: 0 to 86400"),
    ] {
        write(&wrong);
        let (added, printed) = add(&start.data, toml, None);
        assert!(!added && printed.contains(said), "{printed}");
        let checked = output(volute().args(["check-config", "--profile", toml]));
        let printed = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.code() == Some(2) && printed.contains(said), "{printed}");
    }
    write(alarm);
    assert!(output(volute().args(["check-config", "--profile", toml])).status.success());
    let node = start.node();
    let refused =
        node.send_json("PUT", "/api/profiles/bearing", &json!({"profile": format!("{BEARING}[[alarms]]\nid = 3")}));
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("profile.alarms[0].id")), "{refused:?}");
    assert!(add(&start.data, toml, None).0);

    let now_ms = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        i64::try_from(now.as_millis()).expect("a time")
    };
    let post = |value: f64| {
        let item = json!({"pump_id": "B-1", "profile": "bearing", "timestamp": now_ms(), "Tb": value});
        assert_eq!(node.post(&json!([item])).body["accepted"], 1);
    };
    post(60.0);
    let definitions = node.get_ok("/api/pumps/B-1/alarms");
    let all = definitions["alarms"].as_array().expect("a list");
    assert!(all.iter().any(|one| one["id"] == "tb-sum" && one["priority"] == "critical"), "{definitions}");
    assert_eq!((&definitions["own"], &definitions["removed"]), (&json!([]), &json!([])));
    post(76.0);
    let list = node.wait_until("/api/alarms?pump_id=B-1", |list| list["items"][0]["alarm"] == "tb-sum");
    assert_eq!((&list["items"][0]["value"], &list["items"][0]["limit"]), (&json!(152.0), &json!(150.0)), "{list}");

    // The pump's own takes the place of the profile's, and without it the profile's is there again.
    let own = json!({"id": "tb-sum", "title": "Twice as hot", "priority": "low",
        "condition": {"kind": "expression", "expression": "Tb * 2", "when": "above", "limit": 190}});
    let set = node.send_json("PUT", "/api/pumps/B-1/alarms", &json!({"alarms": [own]}));
    let shown = set.body["alarms"].as_array().expect("a list").iter().find(|one| one["id"] == "tb-sum").cloned();
    assert_eq!((set.status, &shown.expect("the pump's own")["priority"]), (200, &json!("low")), "{set:?}");
    let set = node.send_json("PUT", "/api/pumps/B-1/alarms", &json!({"alarms": []}));
    let shown = set.body["alarms"].as_array().expect("a list").iter().find(|one| one["id"] == "tb-sum").cloned();
    assert_eq!(shown.expect("the profile's")["priority"], "critical");
}
