//! Pump ids are plants' tags with any letters and signs. Each is accepted, shown, queried, exported and removed
//! separately, over a restart and a kill.

use serde_json::{Value, json};
use volute_plant::PumpId;

use crate::{
    ingest::at,
    support::{Node, NodeConfig, field_sample, run, url_encoded},
};

/// Tags that need escaping in URLs, keys, files or logs. Some are prefixes of others.
const TAGS: [&str; 34] = [
    "10 PAC20 AP001",
    "10 PAC20 AP001 ",
    "P",
    "P/2",
    "P/",
    "P-101A/B",
    "a/../b",
    "a",
    "a%2F..%2Fb",
    "%",
    "%2F",
    "%252F",
    "100%",
    "=10.PAC20.AP001-M01",
    "+A1",
    "-M1",
    "@A1",
    "Pumpe #3",
    "P&T?x=1;y",
    "O'Brien",
    "'; DELETE pump; --",
    "⟨P⟩",
    "`P`",
    "a\\b",
    "\"P\"",
    "<b>P</b>",
    "a,b",
    "{id}",
    "**",
    "p",
    "Förderpumpe 3",
    "冷却泵2",
    "משאבה 5",
    "🚰",
];

fn start(data: &tempfile::TempDir) -> NodeConfig {
    NodeConfig::new(data, "centrifugal").with_env("VOLUTE__INGEST__NEW_PUMPS_BURST", "1000")
}

/// The ids of the tags in order. Two tags are spellings of the same id.
fn ids() -> Vec<String> {
    let mut ids: Vec<String> = TAGS.iter().map(|tag| tag.trim().to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn listed(node: &Node) -> Vec<String> {
    let pumps = node.get_ok("/api/pumps");
    let id = |pump: &Value| pump["pump_id"].as_str().expect("an id").to_owned();
    pumps["items"].as_array().expect("a list").iter().map(id).collect()
}

/// The stored speeds of a pump. Each pump has its own speed.
fn speeds(node: &Node, id: &str) -> Vec<f64> {
    let rows = node.all_items(&format!("/api/sensor-history?pump_id={}", url_encoded(id)));
    let speed = |row: &Value| {
        assert_eq!(row["pump_id"], id);
        row["values"]["Motor_RPM"].as_f64().expect("a number")
    };
    rows.iter().rev().map(speed).collect()
}

fn speed(index: usize) -> f64 {
    1000.0 + index as f64
}

fn assert_all_are_there(node: &Node) {
    assert_eq!(listed(node), ids());
    for (index, id) in ids().iter().enumerate() {
        assert_eq!(speeds(node, id), [speed(index)], "{id}");
        let live = node.get_ok(&format!("/api/live-data?pump_id={}", url_encoded(id)));
        assert_eq!(live["pump_id"], json!(id));
        assert_eq!(node.get(&format!("/pumps/{}", url_encoded(id))).status, node.get("/").status, "its page");
    }
}

#[test]
fn every_tag_is_accepted_queried_and_removed_separately() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    let item = |(index, id): (usize, &String)| at(0, json!({"pump_id": id, "Motor_RPM": speed(index)}));
    let post: Vec<Value> = ids().iter().enumerate().map(item).collect();
    let response = node.post(&json!(post));
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(post.len())), "{response:?}");
    let index = ids().iter().position(|id| id == "10 PAC20 AP001").expect("it is there");
    let again = node.post(&at(0, json!({"pump_id": "\u{a0}10  PAC20 AP001", "Motor_RPM": speed(index)})));
    assert_eq!((again.status, &again.body["duplicate"]), (200, &json!(1)), "{again:?}");
    assert_eq!(listed(&node), ids(), "no second pump with the same tag");
    node.kill();

    let node = start.node();
    let (dir, exports) = (start.data.to_str().expect("text"), data.path().join("exports"));
    std::fs::create_dir(&exports).expect("a folder");
    for (index, id) in ids().iter().enumerate() {
        let path = format!("/api/pumps/{}", url_encoded(id));
        let set = node.send_json("PUT", &format!("{path}/settings"), &json!({"hold_s": 60}));
        assert_eq!((set.status, &set.body["pump_id"]), (200, &json!(id)), "{set:?}");
        let restart =
            node.send_json("POST", &format!("/api/actors/{}/restart", url_encoded(&format!("pump/{id}"))), &json!({}));
        assert_eq!((restart.status, &restart.body["restarted"]), (200, &json!([format!("pump/{id}")])));
        let file = exports.join(format!("{}.csv", id.parse::<PumpId>().expect("an id").file_stem()));
        run(&["export", &format!("--pump={id}"), "--out", exports.to_str().expect("text"), "--data-dir", dir]);
        assert!(std::fs::read_to_string(file).expect("a file").contains(&format!(",{}", speed(index))), "{id}");
    }
    assert_eq!(node.terminate().code(), Some(0));
    let node = start.node();
    assert_all_are_there(&node);

    for (index, id) in ids().iter().enumerate() {
        let removed = node.send("DELETE", &format!("/api/pumps/{}", url_encoded(id)));
        assert_eq!((removed.status, &removed.body["pump_id"]), (200, &json!(id)), "{removed:?}");
        assert_eq!(listed(&node), ids()[index + 1..], "no other pump");
        for (index, other) in ids().iter().enumerate().skip(index + 1) {
            assert_eq!(speeds(&node, other), [speed(index)], "{other} after {id} was removed");
        }
    }
    node.kill();
    assert_eq!(listed(&start.node()), [""; 0]);
}

#[test]
fn tag_of_a_plant_is_accepted() {
    let Some(post) = field_sample("06_pump_name.json") else { return };
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    let response = node.post_as("application/json", &post);
    assert_eq!((response.status, &response.body["accepted"]), (200, &json!(1)), "{response:?}");
    node.kill();
    let node = start.node();
    assert_eq!(listed(&node), ["10PAC20 AP001"]);
    assert_eq!(node.all_items("/api/sensor-history?pump_id=10PAC20+AP001").len(), 1);
    assert_eq!(node.send("DELETE", "/api/pumps/10PAC20%20AP001").status, 200);
    assert_eq!(listed(&node), [""; 0]);
}

#[test]
fn invalid_tag_is_rejected_everywhere() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    for bad in ["..", "*", "P\u{202e}1", "P\u{200d}1", "P\n1", "\u{301}", &"x".repeat(65)] {
        assert_eq!(node.post(&at(0, json!({"pump_id": bad}))).status, 400, "{bad:?}");
        let id = url_encoded(bad).replace('.', "%2E");
        for path in [format!("/api/live-data?pump_id={id}"), format!("/api/stream?pump_id={id}")] {
            let refused = node.get(&path);
            assert_eq!((refused.status, &refused.body["field"]), (400, &json!("pump_id")), "{path}");
        }
    }
    let refused = node.send("DELETE", "/api/pumps/P%E2%80%AE1");
    assert_eq!(
        (refused.status, &refused.body["field"], &refused.body["value"]),
        (400, &json!("id"), &json!("P\u{202e}1"))
    );
    assert!(refused.body["detail"].as_str().expect("text").contains("U+202E"), "{refused:?}");
    let not_utf8 = node.send("DELETE", "/api/pumps/F%F6rderpumpe");
    assert_eq!((not_utf8.status, &not_utf8.body["field"]), (400, &json!("id")), "{not_utf8:?}");
    assert_eq!(listed(&node), [""; 0]);
}

/// One tag in two posts, with different Unicode normal forms.
#[test]
fn two_spellings_of_a_tag_are_one_pump_and_case_matters() {
    let data = tempfile::tempdir().expect("a directory");
    let node = start(&data).node();
    for (second, pump) in ["Fo\u{308}rderpumpe 3", " F\u{f6}rderpumpe\u{a0}3"].into_iter().enumerate() {
        assert_eq!(node.post(&at(second as u32, json!({"pump_id": pump}))).status, 200);
    }
    assert_eq!(node.post(&at(0, json!({"pump_id": "f\u{f6}rderpumpe 3"}))).status, 200);
    assert_eq!(listed(&node), ["F\u{f6}rderpumpe 3", "f\u{f6}rderpumpe 3"]);
    assert_eq!(
        node.all_items("/api/sensor-history?pump_id=Fo%CC%88rderpumpe%203").len(),
        2,
        "queried in either spelling"
    );
}

fn name(node: &Node, id: &str) -> Value {
    let live = node.get_ok(&format!("/api/live-data?pump_id={}", url_encoded(id)));
    let pumps = node.get_ok("/api/pumps");
    let row = pumps["items"].as_array().expect("a list").iter().find(|pump| pump["pump_id"] == id).expect("listed");
    assert_eq!(row["name"], live["name"], "{id}");
    live["name"].clone()
}

fn set_name(node: &Node, id: &str, body: &Value) -> u16 {
    node.send_json("PATCH", &format!("/api/pumps/{}", url_encoded(id)), body).status
}

#[test]
fn display_name_survives_restarts_and_is_removed_with_the_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    for id in ["P-101A/B", "P-101A"] {
        assert_eq!(node.post(&at(0, json!({"pump_id": id}))).status, 200);
    }
    assert_eq!(name(&node, "P-101A/B"), Value::Null);
    let response = node.send_json("PATCH", "/api/pumps/P-101A%2FB", &json!({"name": "  K\u{fc}hlwasser \u{a0}3"}));
    assert_eq!((response.status, &response.body), (200, &json!({"pump_id": "P-101A/B", "name": "K\u{fc}hlwasser 3"})));
    assert_eq!(set_name(&node, "nobody", &json!({"name": "x"})), 404);
    for bad in [json!({}), json!({"name": ""}), json!({"name": "a\u{202e}b"}), json!({"nom": "x"}), json!("x")] {
        assert_eq!(set_name(&node, "P-101A/B", &bad), 400, "{bad}");
    }
    node.kill();

    let node = start.node();
    assert_eq!((name(&node, "P-101A/B"), name(&node, "P-101A")), (json!("K\u{fc}hlwasser 3"), Value::Null));
    let dir = start.data.to_str().expect("text");
    run(&["pumps", "rename", "P-101A", "Feed pump", "--data-dir", dir]);
    let list = run(&["pumps", "list", "--data-dir", dir]);
    assert!(
        list.contains("P-101A  Feed pump  centrifugal") && list.contains("P-101A/B  K\u{fc}hlwasser 3  "),
        "{list}"
    );
    let audit = node.get_ok("/api/audit-log?action=name-pump");
    let noted = |item: &Value| [item["object"].clone(), item["detail"].clone(), item["outcome"].clone()];
    let noted: Vec<[Value; 3]> = audit["items"].as_array().expect("a list").iter().map(noted).collect();
    assert!(noted.contains(&[json!("P-101A/B"), json!("name \"K\u{fc}hlwasser 3\""), json!("done")]), "{noted:?}");
    assert!(noted.iter().any(|[object, _, outcome]| object == "nobody" && outcome != "done"), "{noted:?}");

    assert_eq!(node.send("DELETE", "/api/pumps/P-101A%2FB").status, 200);
    assert_eq!(node.terminate().code(), Some(0));
    run(&["pumps", "rename", "P-101A", "--data-dir", dir]);
    let node = start.node();
    assert_eq!(name(&node, "P-101A"), Value::Null);
    node.wait_until("/api/pumps", |_| node.post(&at(9, json!({"pump_id": "P-101A/B"}))).status == 200);
    assert_eq!(name(&node, "P-101A/B"), Value::Null, "a new pump of this id has not the old one's name");
}

#[cfg(feature = "failpoints")]
#[test]
fn display_names_are_shown_without_the_database() {
    let data = tempfile::tempdir().expect("a directory");
    let start = start(&data);
    let node = start.node();
    assert_eq!(node.post(&at(0, json!({"pump_id": "P-1"}))).status, 200);
    assert_eq!(set_name(&node, "P-1", &json!({"name": "Feed pump 3"})), 200);
    assert_eq!(node.terminate().code(), Some(0));
    let node = start.clone().with_env("FAILPOINTS", "database-open=return(broken on purpose)").node();
    let pumps = node.get_ok("/api/pumps");
    assert_eq!(pumps["items"][0]["name"], "Feed pump 3", "{pumps}");
    assert_eq!(set_name(&node, "P-1", &json!({"name": "another"})), 503, "a command waits for the database");
}
