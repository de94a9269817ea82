//! Commissioning: a pump learns its own baseline, also over a kill; baseline versions, replaced models, and two pumps
//! with one model.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use volute_simulator::{Fault, FaultRun, Severity};

use crate::support::{Node, NodeConfig, SimulatedPump, run};

/// The paths of a pump.
trait Paths {
    fn live(&self) -> String;
    fn baselines(&self) -> String;
    fn until_in_use(&self, node: &Node, version: u32) -> Value;
}

impl Paths for SimulatedPump {
    fn live(&self) -> String {
        format!("/api/live-data?pump_id={}", self.name)
    }

    fn baselines(&self) -> String {
        format!("/api/pumps/{}/baselines", self.name)
    }

    /// Waits until a version is in use, and returns the baselines.
    fn until_in_use(&self, node: &Node, version: u32) -> Value {
        node.wait_until(&self.baselines(), |known| known["in_use"] == json!(version))
    }
}

/// Trains a model on several pumps, so that it has no baseline.
fn model(data: &TempDir, seed: &str) -> PathBuf {
    let path = |name: String| data.path().join(name).to_str().expect("text").to_owned();
    let recordings: Vec<String> = ["1", "2", "3"].map(|pump| path(format!("{pump}-{seed}.csv"))).into();
    for (recording, pump) in recordings.iter().zip(["1", "2", "3"]) {
        run(&["simulate", "--seed", pump, "--rows", "300", "--out", recording]);
    }
    let out = path(format!("model-{seed}"));
    let mut words = vec!["train", "--each-its-own-pump", "--epochs", "2", "--seed", seed, "--out", &out, "--csv"];
    words.extend(recordings.iter().map(String::as_str));
    run(&words);
    out.into()
}

fn start(data: &TempDir, model: &Path, hours: &str) -> NodeConfig {
    NodeConfig::new(data, "centrifugal").with_model(model).with_env("VOLUTE__COMMISSIONING__HOURS", hours)
}

fn commission(node: &Node, pump: &SimulatedPump, body: &Value) -> (u16, Value) {
    let path = format!("/api/pumps/{}/commission", pump.name);
    let response = node.post_to(&path, "application/json", &body.to_string());
    (response.status, response.body)
}

fn activate(node: &Node, pump: &SimulatedPump, version: &str) -> (u16, Value) {
    let path = format!("{}/{version}/activate", pump.baselines());
    let response = node.post_to(&path, "application/json", "");
    (response.status, response.body)
}

#[cfg(feature = "failpoints")]
#[test]
fn commissioning_job_that_panics_is_retried() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data, &model(&data, "1"), "0.1").with_env("FAILPOINTS", "commissioning=2*panic(injected)");
    let node = start.node();
    let mut pump = SimulatedPump::new("P-1", 3);
    pump.post(&node, 450);
    pump.until_in_use(&node, 1);
    let actors = node.get_ok("/api/actors?stage=commissioning");
    let commissioning = &actors["items"][0];
    assert_eq!((&commissioning["failures"], &commissioning["state"]), (&json!(2), &json!("running")), "{actors}");
    let letters = node.get_ok("/api/dead-letters")["items"].clone();
    let letter = &letters[0];
    assert_eq!((&letter["actor"], &letter["message"]), (&json!("commissioning"), &json!("CommissionJob")), "{letters}");
    assert_eq!((&letter["pump_id"], &letter["error"]), (&json!("P-1"), &json!("injected")), "{letters}");
    pump.post(&node, 60);
    node.wait_until(&pump.live(), |live| live["status"] == "NORMAL");
}

#[test]
fn pump_learns_its_baseline_over_a_kill_and_is_scored_with_it() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data, &model(&data, "1"), "0.1");
    let node = start.node();
    let mut pump = SimulatedPump::new("P-1", 3);

    pump.post(&node, 150);
    let mut hot = pump.items(1);
    hot[0]["Bearing_Temperature_C"] = json!(95.0);
    assert_eq!(node.post(&json!(hot)).status, 200);
    node.wait_until("/api/maintenance-events?pump_id=P-1", |events| {
        events["items"].as_array().is_some_and(|e| !e.is_empty())
    });
    pump.post(&node, 49);
    // The hot reading is not counted.
    let live = node.wait_until(&pump.live(), |live| live["learning"]["running_h"] == json!(199.0 / 3600.0));
    assert_eq!((&live["status"], &live["learning"]["phase"]), (&json!("LEARNING"), &json!("gathering")));
    assert_eq!((&live["learning"]["needed_h"], &live["totals"]["pump"]["scored"]), (&json!(0.1), &json!(0)));
    assert_eq!(node.get_ok(&pump.baselines())["in_use"], json!(null));

    node.kill();
    let node = start.node();
    pump.post(&node, 10);
    let live = node.wait_until(&pump.live(), |live| live["learning"]["of"] == "commissioning");
    let again = live["learning"]["running_h"].as_f64().expect("hours") * 3600.0;
    assert!((180.0..210.0).contains(&again), "at most 1 min is collected again: {again}");
    pump.post(&node, 300);
    let known = pump.until_in_use(&node, 1);
    let version = &known["versions"][0];
    assert_eq!((&version["version"], &version["network"]), (&json!(1), &known["network"]));
    assert!(version["windows"].as_u64().is_some_and(|windows| windows >= 300), "{version}");
    let flow = version["spans"].as_array().expect("spans").iter().find(|span| span["channel"] == "Flow_Rate_L_min");
    assert!(flow.is_some_and(|flow| flow["unit"] == "L/min" && flow["min"].as_f64() < flow["max"].as_f64()));

    pump.post(&node, 60);
    let live = node.wait_until(&pump.live(), |live| live["status"] == "NORMAL");
    assert_eq!(live["model"], version["model"], "a detection has its network and baseline");
    let severity = Severity::new(1.0).expect("0 to 1");
    pump.simulator.set_fault_run(Some(FaultRun::within(Fault::Cavitation, severity, 240.0)));
    pump.post(&node, 120);
    node.wait_until(&pump.live(), |live| live["totals"]["pump"]["anomalies"].as_u64() > Some(0));
}

#[test]
fn baseline_versions_are_listed_activated_and_relearned() {
    let data = tempfile::tempdir().expect("a directory");
    let (first, second) = (model(&data, "1"), model(&data, "2"));
    let node = start(&data, &first, "0.05").node();
    let (mut a, mut b) = (SimulatedPump::new("A", 11), SimulatedPump::new("B", 12));
    for pump in [&mut a, &mut b] {
        pump.post(&node, 240);
    }
    let (of_a, of_b) = (a.until_in_use(&node, 1), b.until_in_use(&node, 1));
    let spans = |known: &Value| known["versions"][0]["spans"].clone();
    assert_eq!(of_a["network"], of_b["network"], "pumps of different size share one network");
    assert_ne!(spans(&of_a), spans(&of_b));

    let stretch = |to: &str| json!({"from": "2026-03-02T10:00:00Z", "to": to});
    let (status, known) = commission(&node, &a, &stretch("2026-03-02T10:03:00Z"));
    assert_eq!((status, &known["in_use"], &known["versions"][1]["version"]), (200, &json!(2), &json!(1)), "{known}");
    let (status, problem) = commission(&node, &a, &stretch("2026-03-02T10:01:00Z"));
    assert_eq!((status, &problem["title"]), (422, &json!("There are not enough readings")), "{problem}");
    assert_eq!(node.get_ok(&a.baselines())["in_use"], json!(2), "and nothing has changed");
    assert_eq!(commission(&node, &a, &json!({"from": "2026-03-02T10:00:00Z"})).0, 400);
    assert_eq!(activate(&node, &a, "1").1["in_use"], json!(1));
    assert_eq!((activate(&node, &a, "9").0, activate(&node, &a, "x").0), (404, 400));
    assert_eq!(node.get("/api/pumps/nobody/baselines").status, 404);

    let (status, known) = commission(&node, &a, &json!({}));
    assert_eq!((status, &known["in_use"]), (200, &json!(null)));
    a.post(&node, 50);
    node.wait_until(&a.live(), |live| live["status"] == "LEARNING" && live["learning"]["phase"] == "gathering");
    a.post(&node, 200);
    let known = a.until_in_use(&node, 3);
    assert_eq!(known["versions"][0]["why"], json!("learned again, as asked"));

    assert!(node.terminate().success());
    let node = start(&data, &second, "0.05").node();
    let known = a.until_in_use(&node, 4);
    assert_eq!(known["versions"][0]["network"], known["network"], "learned from the same readings for another network");
    assert_eq!(known["versions"][0]["from"], known["versions"][1]["from"]);
    assert_eq!(known["versions"][1]["usable"], json!(false));
    let (status, problem) = activate(&node, &a, "3");
    assert_eq!((status, &problem["title"]), (409, &json!("This version cannot be used")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("for the network")), "{problem}");
    b.until_in_use(&node, 2);
}

#[test]
fn model_is_replaced_kept_and_restored() {
    let data = tempfile::tempdir().expect("a directory");
    let path = |name: &str| data.path().join(name).to_str().expect("text").to_owned();
    let (csv, out) = (path("pump.csv"), path("model"));
    run(&["simulate", "--seed", "1", "--rows", "600", "--load", "steps", "--out", &csv]);
    let train = |epochs: &str, seed: &str, more: &[&str]| {
        let words = ["train", "--csv", &csv, "--out", &out, "--epochs", epochs, "--seed", seed];
        let printed = run(&[&words[..], more].concat());
        printed.lines().next().expect("a line").to_owned()
    };
    let in_use = || -> Vec<String> {
        let list = run(&["models", &out]);
        let used = list.lines().filter(|line| line.contains("in use"));
        used.map(|line| line.split(' ').next().expect("a name").to_owned()).collect()
    };
    let good = train("12", "1", &[]);
    assert_eq!(in_use(), std::slice::from_ref(&good));
    let worse = train("1", "2", &[]);
    assert_eq!(in_use(), std::slice::from_ref(&good), "a worse one is kept as well");
    assert!(run(&["models", &out]).contains("not better: on "));
    let replaced = train("1", "3", &["--replace", "always"]);
    assert_eq!(in_use(), std::slice::from_ref(&replaced));
    let better = train("12", "4", &[]);
    assert_eq!(in_use(), std::slice::from_ref(&better), "a better one replaces it");
    for model in [&worse, &good] {
        run(&["models", &out, "--use", model.rsplit('-').next().expect("an id")]);
        assert_eq!(in_use(), std::slice::from_ref(model));
    }
    let list = run(&["models", &out]);
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!([good, worse, replaced, better].iter().all(|model| list.contains(model.as_str())), "{list}");
    let unknown = crate::support::volute().args(["models", &out, "--use", "nothing"]).output().expect("it runs");
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn model_of_one_pump_has_a_baseline_and_no_model_means_none() {
    let data = tempfile::tempdir().expect("a directory");
    let (csv, out) = (data.path().join("one.csv"), data.path().join("one"));
    let (csv, dir) = (csv.to_str().expect("text"), out.to_str().expect("text"));
    run(&["simulate", "--seed", "5", "--rows", "300", "--out", csv]);
    run(&["train", "--csv", csv, "--epochs", "2", "--out", dir]);
    let mut pump = SimulatedPump::new("P-1", 5);
    let node = NodeConfig::new(&data, "centrifugal").with_model(&out).node();
    pump.post(&node, 40);
    let known = node.get_ok(&pump.baselines());
    assert_eq!((&known["in_use"], &known["versions"][0]["why"]), (&json!(0), &json!("learned with the model")));
    assert_eq!(commission(&node, &pump, &json!({})).1["in_use"], json!(null), "a requested commissioning comes first");
    assert_eq!(activate(&node, &pump, "0").1["in_use"], json!(0));
    assert!(node.terminate().success());

    let node = NodeConfig::new(&data, "centrifugal").node();
    let refused = node.get(&pump.baselines());
    assert_eq!((refused.status, &refused.body["title"]), (409, &json!("No model is loaded")));
}
