//! `volute import --original`: imports the recordings, tables and events of the original system.

use std::{fs, path::Path};

use serde_json::json;
use tempfile::TempDir;
use volute_plant::{Clock, SystemClock, Timestamp};

use crate::support::{NodeConfig, run, shared_input, volute};

const CHANNELS: &str = "motor_rpm,bearing_temperature_c,oil_pressure_bar,vibration_mm_s,flow_rate_l_min,\
                        suction_pressure_bar,discharge_pressure_bar,motor_current_a,casing_temperature_c,ambient_temperature_c";
const VALUES: &str = "2950,61.5,2.4,2.1,850.5,0.4,6.2,42.5,48.1,21.3";

/// A minute of yesterday in a database's notation.
fn minute(number: i64) -> String {
    let day_ms = 86_400_000;
    let at = SystemClock.now().millis() / day_ms * day_ms - day_ms + number * 60_000;
    Timestamp::from_millis(at).expect("a time").to_string().replace('T', " ").replace('Z', "000")
}

/// Imports a folder. Returns whether the command succeeded, and its output.
fn import(data: &TempDir, flags: &[&str]) -> (bool, String) {
    let (dir, store) = (data.path().join("old"), data.path().join("store"));
    let output = volute()
        .args(["import", "--original"])
        .arg(dir)
        .arg("--data-dir")
        .arg(store)
        .args(flags)
        .output()
        .expect("it runs");
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8"))
}

#[track_caller]
fn assert_output(result: &(bool, String), is_success: bool, parts: &[&str]) {
    assert_eq!(result.0, is_success, "{}", result.1);
    for part in parts {
        assert!(result.1.contains(part), "{part:?} is in:\n{}", result.1);
    }
}

fn write(data: &TempDir, name: &str, text: &str) {
    let dir = data.path().join("old");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join(name), text).expect("written");
}

/// Writes a table with readings of two pumps, a recording of a third one, two events, and an unrelated table.
fn write_history(data: &TempDir) {
    let row = |number: i64, pump: &str| format!("{number},{},{pump},{VALUES}\n", minute(number));
    let table: String = (0..10).map(|number| row(number, if number % 2 == 0 { "old-1" } else { "old-2" })).collect();
    write(data, "sensor_readings.csv", &format!("id,created_at,pump_id,{CHANNELS}\n{table}"));
    let recorded: String = (20..25).map(|number| format!("{},{VALUES},NORMAL\n", minute(number))).collect();
    write(data, "recording.csv", &format!("timestamp,{CHANNELS},machine_status\n{recorded}"));
    let events = format!(
        "id,timestamp,severity,description,estimated_cost,status,pump_id\n\
         1,{},high,\"Bearing replaced, seal checked\",15000,completed,old-1\n2,{},low,Oil low,500.5,active,\n",
        minute(3),
        minute(4)
    );
    write(data, "maintenance_events.csv", &events);
    write(data, "system_metrics.csv", "timestamp,cpu\n2026-03-09 10:14:33,0.5\n");
}

fn events(data: &TempDir) -> Vec<serde_json::Value> {
    let start = NodeConfig::new(data, "centrifugal");
    let node = start.node();
    let events = node.all_items("/api/maintenance-events?limit=1000");
    let rows = node.all_items("/api/sensor-history?pump_id=old-1&limit=1000");
    assert_eq!(rows.len(), 5, "imported readings are shown");
    assert!(node.terminate().success());
    events
}

#[test]
fn original_history_is_imported_once_and_names_its_source() {
    let data = tempfile::tempdir().expect("a directory");
    write_history(&data);
    let no_pump = import(&data, &["--dry-run"]);
    assert_output(
        &no_pump,
        false,
        &["recording.csv: no column pump_id", "line 3: no pump is named: say it with --pump"],
    );
    let dry = import(&data, &["--pump", "P", "--dry-run"]);
    let left_out = "left out, not a recording";
    assert_output(
        &dry,
        true,
        &["5 readings of old-1 would be stored", "5 readings of P would be", "2 events would be", left_out],
    );
    assert!(!data.path().join("store").exists(), "a dry run creates no store");
    let first = import(&data, &["--pump", "P"]);
    assert_output(
        &first,
        true,
        &["5 readings of old-1 stored", "5 readings of old-2 stored", "5 readings of P stored", "2 events stored"],
    );
    let shown = events(&data);
    let event = shown.iter().find(|event| event["pump_id"] == "old-1").expect("an event");
    for (field, value) in [
        ("source", json!("imported: maintenance_events.csv")),
        ("title", json!("Bearing replaced, seal checked")),
        ("severity", json!("high")),
        ("status", json!("resolved")),
        ("cost", json!({"amount": 15000.0, "currency": "INR"})),
        ("peak", json!(null)),
        ("limit", json!(null)),
        ("model", json!(null)),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    let again = import(&data, &["--pump", "P"]);
    assert_output(&again, true, &["0 readings of old-1 stored", "5 rows left out: they are stored already"]);
    assert_output(&again, true, &["0 events stored", "2 events left out: they are stored already"]);
    let after = events(&data);
    assert_eq!(after, shown, "no event is duplicated");
    assert!(
        after.iter().any(|event| event["advice"].as_str().is_some_and(|text| text.contains("active"))),
        "{after:?}"
    );
}

#[test]
fn mapping_names_files_and_columns() {
    let data = tempfile::tempdir().expect("a directory");
    write(&data, "werte.csv", &format!("wann,drehzahl,Torque\n{},2950,1\n", minute(1)));
    write(&data, "ereignisse.csv", &format!("wann;wie;was\n{};dringend;Lager\n", minute(1)));
    let mapping = data.path().join("mapping.toml");
    let text = "[sensor_readings]\nfile = \"werte.csv\"\ncolumns = { wann = \"timestamp\", drehzahl = \"Motor_RPM\" }\n\
                [maintenance_events]\nfile = \"ereignisse.csv\"\nopened = \"wann\"\nseverity = \"wie\"\ntitle = \"was\"\n\
                currency = \"EUR\"\nseverities = { dringend = \"critical\" }\n";
    fs::write(&mapping, text).expect("written");
    let mapping = mapping.to_str().expect("UTF-8");
    let result = import(&data, &["--pump", "P", "--mapping", mapping]);
    assert_output(&result, true, &["1 readings of P stored", "1 events stored", "not used: \"Torque\""]);
    for (text, expected) in [
        ("[sensor_reading]\n", "unknown field `sensor_reading`"),
        ("[sensor_readings]\nfile = \"x.csv\"\n", "x.csv is named in the mapping, and is not there"),
        (
            "[maintenance_events]\nfile = \"ereignisse.csv\"\nopened = \"wann\"\nseverity = \"wie\"\ncost = \"preis\"\n",
            "column \"preis\" of the mapping",
        ),
    ] {
        fs::write(mapping, text).expect("written");
        assert_output(&import(&data, &["--pump", "P", "--mapping", mapping]), false, &[expected]);
    }
}

#[test]
fn error_in_one_file_stores_nothing_of_the_others() {
    let data = tempfile::tempdir().expect("a directory");
    write_history(&data);
    write(&data, "another.csv", "timestamp,Motor_RPM\n13.02.2026 10:14:33,2950\n");
    write(&data, "maintenance_events.csv", "timestamp,severity\nyesterday,odd\n");
    let result = import(&data, &["--pump", "P"]);
    assert_output(
        &result,
        false,
        &["nothing is stored", "--time-format '%d.%m.%Y %H:%M:%S'", "the severity: \"odd\"", "\"yesterday\""],
    );
    let store = data.path().join("store");
    assert_eq!(run(&["pumps", "list", "--data-dir", store.to_str().expect("UTF-8")]), "", "no pump is registered");
    let empty = tempfile::tempdir().expect("a directory");
    write(&empty, "notes.csv", "a,b\n1,2\n");
    assert_output(&import(&empty, &["--pump", "P"]), false, &["has neither a recording, nor sensor_readings.csv"]);
}

#[test]
fn original_recording_is_imported_completely() {
    let Some(folder) = shared_input("field") else { return };
    let data = tempfile::tempdir().expect("a directory");
    let text = fs::read_to_string(Path::new(&folder).join("original_form.csv")).expect("read");
    write(&data, "original_form.csv", &text);
    let labels = "the labels of 2000 rows are not stored";
    assert_output(
        &import(&data, &["--pump", "P"]),
        true,
        &["2000 readings of P stored", labels, "2000 times have no offset"],
    );
    assert_output(&import(&data, &["--pump", "P"]), true, &["2000 rows left out: they are stored already"]);
}
