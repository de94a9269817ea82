//! The demo: simulated pumps start automatically, a fault is detected, and the simulation can be controlled.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Node, NodeConfig, volute};

const START: &str = "/api/start-simulation";
const STOP: &str = "/api/stop-simulation";

fn start(node: &Node, body: &Value) -> (u16, Value) {
    let response = node.post_to(START, "application/json", &body.to_string());
    (response.status, response.body)
}

/// A recording in the original system's form, with a number for each channel of the profile.
fn recording(rows: usize) -> String {
    let header = "timestamp,Motor_RPM,Bearing_Temperature_C,Oil_Pressure_bar,Vibration_mm_s,Flow_Rate_L_min,\
                  Suction_Pressure_bar,Discharge_Pressure_bar,Motor_Current_A,Casing_Temperature_C,\
                  Ambient_Temperature_C,machine_status\n";
    let row =
        |i: usize| format!("2024-01-01 00:{:02}:{:02},2950,{i},2.4,1.9,1100,0.4,6,28,45,28,NORMAL\n", i / 60, i % 60);
    (0..rows).map(row).fold(header.to_owned(), |text, row| text + &row)
}

#[test]
fn six_pumps_have_a_past_and_continue() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    // The simulated past is for training. Readings after it are scored.
    let scored = |pump: &Value| pump["trend"]["t"].as_array().is_some_and(|t| !t.is_empty());
    let pumps = node.wait_until("/api/pumps", |pumps| {
        pumps["items"].as_array().is_some_and(|items| items.len() == 6 && items.iter().all(scored))
    });
    assert!(pumps["items"].as_array().expect("pumps").iter().all(|pump| pump["pump_id"].as_str().is_some()));
    let node_data = node.get_ok("/api/node");
    assert_eq!((&node_data["demo"], &node_data["pumps"]), (&json!(true), &json!(6)));

    let live = node.get_ok("/api/live-data?pump_id=P-103");
    let simulation = &live["simulation"];
    assert_eq!((&simulation["running"], &simulation["source"]), (&json!(true), &json!("stories")));
    assert_eq!((&simulation["pump"]["pump_id"], &simulation["pump"]["fault"]), (&json!("P-103"), &json!("cavitation")));
    let first = live["timestamp"].clone();
    node.wait_until("/api/live-data?pump_id=P-103", |live| live["timestamp"] != first);
    assert!(node.terminate().success());
}

#[test]
fn requested_fault_is_detected_and_ends_with_the_simulation() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let pumps = json!([{"pump_id": "A", "fault": "dry_run", "severity": 1.0}, {"pump_id": "B"}]);
    let (status, started) = start(&node, &json!({"speed": 4, "pumps": pumps}));
    assert_eq!((status, &started["source"], &started["pumps"][1]["fault"]), (200, &json!("pumps"), &Value::Null));
    let pumps = node.wait_until("/api/pumps", |pumps| {
        let items = pumps["items"].as_array().expect("pumps");
        items.iter().any(|pump| pump["pump_id"] == "A" && pump["status"] == "ANOMALY")
    });
    let sick = pumps["items"].as_array().expect("pumps").iter().find(|pump| pump["pump_id"] == "A").expect("A");
    assert!(sick["top_channel"].is_string() && sick["loss"].as_f64() > sick["threshold"].as_f64(), "{sick}");

    let stopped = node.post_to(STOP, "application/json", "");
    assert_eq!((stopped.status, &stopped.body["running"]), (200, &json!(false)));
    let live = node.get_ok("/api/live-data?pump_id=A");
    assert_eq!(live["simulation"]["running"], json!(false));
}

#[test]
fn recording_is_played_as_a_separate_pump() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let csv = recording(120);
    let started = node.post_to(&format!("{START}?speed=60"), "text/csv", &csv);
    assert_eq!((started.status, &started.body["pumps"][0]["pump_id"]), (200, &json!("recording-1")), "{started:?}");
    node.wait_until("/api/pumps", |pumps| {
        pumps["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|pump| pump["pump_id"] == "recording-1" && !pump["age_ms"].is_null()))
    });
    let live = node.wait_until("/api/live-data?pump_id=recording-1", |live| {
        live["simulation"]["recording"] == json!({"rows": 120, "sent": 120})
            && live["totals"]["pump"]["readings"] == 120
    });
    assert_eq!(
        (&live["simulation"]["running"], &live["simulation"]["pump"]["phase"]),
        (&json!(false), &json!("NORMAL"))
    );
    let rows = node.all_items("/api/sensor-history?pump_id=recording-1&limit=1000");
    assert_eq!(rows.len(), 120, "{:?}", rows.first());

    let again = node.post_to(&format!("{START}?pump_id=recording-1"), "text/csv", &csv);
    assert_eq!((again.status, &again.body["field"]), (400, &json!("pump_id")));
    let broken = node.post_to(START, "text/csv", &csv.replace("2950", "fast"));
    assert_eq!(broken.status, 400);
    assert!(broken.body["detail"].as_str().expect("why").contains("Motor_RPM: \"fast\""), "{broken:?}");
    let dotted = "timestamp,Motor_RPM\n13.02.2026 10:14:33,2950\n13.02.2026 10:14:34,2950\n";
    let rejected = node.post_to(START, "text/csv", dotted);
    let why = rejected.body["detail"].as_str().expect("why");
    assert!(rejected.status == 400 && why.contains("is read with time_format '%d.%m.%Y %H:%M:%S'"), "{rejected:?}");
    let format = "time_format=%25d.%25m.%25Y%20%25H:%25M:%25S";
    let zone = node.post_to(&format!("{START}?{format}&time_zone=Berlin"), "text/csv", dotted);
    assert_eq!((zone.status, &zone.body["field"]), (400, &json!("time_zone")), "{zone:?}");
    let response = node.post_to(&format!("{START}?pump_id=D&{format}&time_zone=Europe/Berlin"), "text/csv", dotted);
    assert_eq!(response.status, 200, "{response:?}");
    let notes = response.body["notes"][0].as_str().expect("a note");
    assert!(notes.starts_with("channels without a column, taken as missing: Bearing_Temperature_C"), "{response:?}");
    let next = node.post_to(START, "text/csv", &csv);
    assert_eq!(next.body["pumps"][0]["pump_id"], json!("recording-2"));
}

#[test]
fn upload_reports_notes_or_why_it_is_rejected() {
    let data = tempfile::tempdir().expect("a directory");
    let begin = NodeConfig::demo(&data);
    let node = begin.node();
    let rows = |rows: &str| -> String {
        let rows = rows.split(' ').map(|row| format!("2026-03-09 10:14:{row}\n"));
        format!("timestamp,Motor_RPM,Oil_Pressure_bar\n{}", rows.collect::<String>())
    };
    for (number, (csv, expected)) in [
        (rows("33,1,2 33,1,2 34,1,2"), "left out: line 3: "),
        (rows("33,1,2 34,1,2 33,1,2"), "left out: line 4: "),
        (rows("33,1,2 33,1,3 34,1,2"), "Oil_Pressure_bar is 3, and 2 in line 2"),
        (rows("33,1,2 34,1,2 33,1,3"), "Oil_Pressure_bar is 3, and 2 in line 2"),
        (rows("33,1, 33,,2 34,1,2"), "1 row holds further channels"),
        (rows("33,1,2 34,1,Bad"), "taken as missing: line 3: Oil_Pressure_bar"),
    ]
    .into_iter()
    .enumerate()
    {
        let response = node.post_to(&format!("{START}?pump_id=U-{number}"), "text/csv", &csv);
        let notes = response.body["notes"].as_array().cloned().unwrap_or_default();
        let has = notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains(expected)));
        assert!(response.status == 200 && has, "{expected}: {response:?}");
    }
    for (query, csv, expected) in [
        ("", "timestamp,Motor_RPM\n".to_owned(), "no row is below the header"),
        ("", "\u{1f}\u{1}".to_owned(), "not text"),
        ("", "{\"a\": 1}".to_owned(), "JSON"),
        ("", "timestamp,Motor_RPM [%]\n2026-03-09 10:14:33,1\n".to_owned(), "ignore_units takes"),
        ("?pump_id=V", "timestamp,pump_id,Motor_RPM\n2026-03-09 10:14:33,W,1\n".to_owned(), "file_pump 'W'"),
        ("", "timestamp,Motor_RPM,quality\n2026-03-09 10:14:33,1,0\n".to_owned(), "good_quality names"),
        (
            "",
            (0..30)
                .map(|n| format!("2026-{:02}-{:02} 10:14:33,1\n", 1 + n / 14, 1 + 2 * (n % 14)))
                .fold("timestamp,Motor_RPM\n".to_owned(), |text, row| text + &row),
            "at most 24 h",
        ),
    ] {
        let response = node.post_to(&format!("{START}{query}"), "text/csv", &csv);
        let why = response.body["detail"].as_str().unwrap_or_default();
        assert!(response.status == 400 && why.contains(expected), "{expected}: {response:?}");
    }
    let named = "Wann,Drehzahl [%],pump_id,q\n2026-03-09 10:14:33,1,W,9\n2026-03-09 10:14:34,1,V,9\n";
    let query =
        "pump_id=V&file_pump=W&ignore_units=true&good_quality=9&column=Wann=timestamp,Drehzahl%20[%25]=Motor_RPM";
    let response = node.post_to(&format!("{START}?{query}"), "text/csv", named);
    assert_eq!((response.status, &response.body["recording"]["rows"]), (200, &json!(1)), "{response:?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn simulation_and_metrics_continue_after_a_panic() {
    let data = tempfile::tempdir().expect("a directory");
    let faults = "metrics-write=1*panic(injected)";
    let begin = NodeConfig::demo(&data).with_env("FAILPOINTS", faults);
    let node = begin.node();
    begin.inject("simulation", "1*panic(injected)");
    // The actor panics on this command, and its simulation ends.
    assert_eq!(node.post_to(STOP, "application/json", "").body["running"], json!(false));
    for kind in ["simulation", "metrics"] {
        node.wait_until(&format!("/api/actors?stage={kind}"), |actors| {
            let actor = &actors["items"][0];
            actor["failures"] == 1 && actor["state"] == "running" && actor["last_error"] == "injected"
        });
    }
    assert_eq!(start(&node, &json!({"speed": 4, "pumps": [{"pump_id": "A"}]})).0, 200);
    node.wait_until("/api/pumps", |pumps| {
        let items = pumps["items"].as_array().expect("a list");
        items.iter().any(|pump| pump["pump_id"] == "A" && pump["status"] != "STALE")
    });
    node.wait_until("/api/actors?stage=metrics", |actors| actors["items"][0]["processed"].as_u64() > Some(0));
    assert!(node.terminate().success());
}

#[test]
fn invalid_simulation_is_rejected_by_name() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    for (body, field) in [
        (json!({"speed": 0.5}), "speed"),
        (json!({"pumps": [{"pump_id": "A", "fault": "rust"}]}), "pumps[0].fault"),
        (json!({"pumps": [{"pump_id": "A", "fault": "sensor_stuck", "channel": "Nose"}]}), "pumps[0].channel"),
    ] {
        let (status, problem) = start(&node, &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
        assert!(problem["allowed"].as_str().is_some_and(|allowed| !allowed.is_empty()));
    }
    assert_eq!(node.post_to(START, "application/xml", "<a/>").status, 415);
    assert_eq!(node.post_to(START, "application/json", "{").status, 400);
    // A pump is registered shortly before its first reading.
    node.wait_until("/api/pumps", |pumps| {
        pumps["items"].as_array().is_some_and(|items| {
            items.iter().any(|pump| pump["pump_id"] == "P-101" && pump["last_reading_at"].is_string())
        })
    });
    assert_eq!(node.get_ok("/api/live-data?pump_id=P-101")["simulation"]["source"], json!("stories"), "it continues");
}

#[test]
fn only_a_demo_simulates_and_has_its_own_data_folder() {
    let data = tempfile::tempdir().expect("a directory");
    let real = NodeConfig::new(&data, "centrifugal");
    let node = real.node();
    for path in [START, STOP] {
        let refused = node.post_to(path, "application/json", "{}");
        assert_eq!((refused.status, &refused.body["title"]), (403, &json!("This node is not a demo")));
        assert!(refused.body["detail"].as_str().expect("why").contains("volute serve --demo"));
    }
    assert_eq!(node.get_ok("/api/node")["demo"], json!(false));
    assert!(node.terminate().success());

    let folder = real.data.to_str().expect("text");
    let output = volute().args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir", folder]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds the readings of real pumps"));
}

#[test]
fn pages_and_api_have_separate_paths() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::new(&data, "centrifugal").node();
    // A debug build reads the bundle from the disk, and explains what to do if there is none. A release contains it.
    // The content of the pages is tested in a browser (`web/dashboard/e2e`).
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dashboard/dist/index.html");
    let (status, content_type, part) = match cfg!(debug_assertions) && !bundle.exists() {
        true => (503, "text/plain; charset=utf-8", "npm run build"),
        false => (200, "text/html", "<div id=\"app\">"),
    };
    for path in ["/", "/pumps/P-101"] {
        let page = node.get(path);
        assert_eq!((page.status, page.content_type.as_str()), (status, content_type), "{path}: {page:?}");
        assert!(page.body.as_str().is_some_and(|text| text.contains(part)), "{path}: {page:?}");
    }
    for path in ["/pumps", "/assets/nothing.js", "/api/nothing"] {
        let response = node.get(path);
        assert_eq!((response.status, response.content_type.as_str()), (404, "application/problem+json"), "{path}");
    }
}

#[test]
fn without_a_body_the_demo_recording_replaces_the_simulation() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let ended = |pumps: &Value| -> Vec<(String, bool)> {
        let items = pumps["items"].as_array().expect("pumps").iter();
        items.map(|pump| (pump["pump_id"].to_string(), pump["simulation_ended"] == true)).collect()
    };
    let all = |pumps: &Value, names: usize| ended(pumps).len() == names;
    let before = node.wait_until("/api/pumps", |pumps| all(pumps, 6));
    assert!(ended(&before).iter().all(|(_, ended)| !ended), "{before}");
    let started = node.post_to(&format!("{START}?speed=60"), "application/json", "");
    assert_eq!((started.status, &started.body["recording"]["rows"]), (200, &json!(2000)), "{started:?}");
    let after = node.wait_until("/api/pumps", |pumps| all(pumps, 7));
    for (pump, ended) in ended(&after) {
        assert_eq!(ended, pump != "\"recording-1\"", "{pump}");
    }
}

#[test]
fn pump_is_not_live_after_its_recording_ended_or_was_replaced() {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let own = || node.get("/api/live-data?pump_id=P-101").status == 200;
    crate::support::wait_until("the demo's own pump", || {
        if own() { Ok(()) } else { Err("no reading of it has arrived yet") }
    });
    // Rows at intervals of 1 min, 1 h and 2 s. Only a silence of three intervals would be too long.
    let rows = |every_s: u32| -> String {
        let header = recording(0);
        let row = |n: u32| {
            let s = n * every_s;
            let (day, hour) = (1 + s / 86_400, s / 3_600 % 24);
            format!(
                "2024-01-{day:02} {hour:02}:{:02}:{:02},2950,40,2.4,1.9,1100,0.4,6,28,45,28,NORMAL\n",
                s / 60 % 60,
                s % 60
            )
        };
        (0..120).map(row).fold(header, |text, row| text + &row)
    };
    let mut gave_way = None;
    for (id, every_s, rows_a_second) in
        [("minutes", 60, 60), ("hours", 3_600, 60), ("slowly", 60, 1), ("seconds", 2, 60)]
    {
        let path = format!("{START}?pump_id={id}&speed={rows_a_second}");
        let started = node.post_to(&path, "text/csv", &rows(every_s));
        assert_eq!(started.status, 200, "{started:?}");
        let live = format!("/api/live-data?pump_id={id}");
        let is_live = || node.get(&live).status == 200;
        crate::support::wait_until(&live, || if is_live() { Ok(()) } else { Err("no reading of it has arrived yet") });
        // The previous pump, whose recording has not been played to its end.
        if let Some(before) = gave_way.take() {
            node.wait_until(&format!("/api/live-data?pump_id={before}"), |live| live["status"] == "STALE");
        }
        if rows_a_second == 1 {
            gave_way = Some(id);
            continue;
        }
        let ended = node.wait_until(&live, |live| {
            assert!(live["clock"].is_null(), "a recording is in the past, so no clock is behind: {live}");
            live["status"] == "STALE"
        });
        assert_eq!(ended["simulation"]["recording"], json!({"rows": 120, "sent": 120}), "{ended}");
        let pumps = node.get_ok("/api/pumps");
        let pump = pumps["items"].as_array().expect("pumps").iter().find(|pump| pump["pump_id"] == id).expect("it");
        assert_eq!((&pump["status"], &pump["simulation_ended"]), (&json!("STALE"), &json!(true)), "{pump}");
    }
    // Also for the demo's own pumps, which these simulations have replaced.
    node.wait_until("/api/live-data?pump_id=P-101", |live| live["status"] == "STALE");
    // A post for such a pump makes it live again.
    let mut item = crate::support::ten_values();
    item["pump_id"] = json!("minutes");
    assert_eq!(node.post(&item).status, 200);
    node.wait_until("/api/live-data?pump_id=minutes", |live| live["status"] != "STALE");
}
