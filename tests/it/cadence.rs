//! Recordings and feeds with a regular interval from 1 s to 1 h: training, evaluation, live scoring, import and replay.

use std::{fmt::Write, fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Node, NodeConfig, output, run, shared_input, volute};

const HEADER: &str = "timestamp,Motor_RPM,Bearing_Temperature_C,Oil_Pressure_bar,Vibration_mm_s,Flow_Rate_L_min,\
    Suction_Pressure_bar,Discharge_Pressure_bar,Motor_Current_A,Casing_Temperature_C,Ambient_Temperature_C,machine_status\n";
/// Mean and noise of each channel of a healthy pump, and its shift in broken rows.
const CHANNELS: [(f64, f64, f64); 10] = [
    (1480.0, 12.0, -75.0),
    (44.0, 1.4, 40.0),
    (4.1, 0.12, -1.4),
    (2.0, 0.3, 5.0),
    (130.0, 5.8, -40.0),
    (1.7, 0.08, -0.7),
    (6.0, 0.2, -1.8),
    (17.5, 0.8, 7.0),
    (45.0, 1.6, 20.0),
    (27.0, 2.0, 2.0),
];
/// Steps of a window. A row with a broken row among these last steps cannot be expected to be normal.
const WINDOW_STEPS: usize = 30;

/// A generated recording in the original system's form.
struct GeneratedRecording {
    name: &'static str,
    step_s: f64,
    /// The maximum deviation of a row's time from its regular time.
    jitter_s: f64,
    /// One row in this many is missing; 0: none is.
    missing_every: usize,
    every: &'static str,
}

const GENERATED: [GeneratedRecording; 5] = [
    GeneratedRecording { name: "10s.csv", step_s: 10.0, jitter_s: 0.0, missing_every: 0, every: "10 s" },
    GeneratedRecording { name: "5min.csv", step_s: 300.0, jitter_s: 0.0, missing_every: 0, every: "5 min" },
    GeneratedRecording { name: "15min.csv", step_s: 900.0, jitter_s: 0.0, missing_every: 0, every: "15 min" },
    GeneratedRecording { name: "1h.csv", step_s: 3_600.0, jitter_s: 0.0, missing_every: 0, every: "1 h" },
    GeneratedRecording { name: "jittered.csv", step_s: 60.0, jitter_s: 8.0, missing_every: 23, every: "1 min" },
];

impl GeneratedRecording {
    /// Writes 1,400 rows. Rows 700 to 760, some single rows, and a few rows after row 1,000 are broken.
    fn write(&self, folder: &Path) {
        let mut noise = Noise(0x5eed ^ self.step_s as u64);
        let mut text = HEADER.to_owned();
        for row in 0..1_400_usize {
            let late_s = self.jitter_s * noise.next();
            let broken =
                (700..760).contains(&row) || (1_000..1_007).contains(&row) || matches!(row, 850 | 1_100 | 1_101);
            let values =
                CHANNELS.map(|(mean, spread, moved)| mean + spread * noise.normal() + if broken { moved } else { 0.0 });
            if self.missing_every > 0 && row % self.missing_every == 7 {
                continue;
            }
            let ms = 1_714_521_600_000 + (1e3 * (self.step_s * row as f64 + late_s)) as i64;
            let at = volute_plant::Timestamp::from_millis(ms).expect("a time").to_string();
            text += &at[..19].replace('T', " ");
            values.iter().for_each(|value| write!(text, ",{value}").expect("written"));
            text += if broken { ",BROKEN\n" } else { ",NORMAL\n" };
        }
        fs::write(folder.join(self.name), text).expect("written");
    }
}

/// A pseudorandom generator with a fixed seed.
struct Noise(u64);

impl Noise {
    /// Returns a number from -1 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Returns an approximately normally distributed number with a standard deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next() / 2.0).sum()
    }
}

/// Writes the generated recordings to a folder, and copies the plant's recording if present. Returns names and
/// intervals.
fn recordings(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let mut names: Vec<_> = GENERATED.iter().map(|recording| (recording.name, recording.every)).collect();
    GENERATED.iter().for_each(|recording| recording.write(folder));
    if let Some(original) = shared_input("field").map(|field| field.join("original_form.csv")) {
        fs::copy(original, folder.join("original_form.csv")).expect("copied");
        names.push(("original_form.csv", "1 min"));
    }
    names
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Whether each row of a recording is BROKEN.
fn broken(csv: &Path) -> Vec<bool> {
    let text = fs::read_to_string(csv).expect("the recording");
    text.lines().skip(1).map(|line| line.ends_with("BROKEN")).collect()
}

#[test]
fn model_is_trained_at_the_recordings_interval() {
    let folder = tempfile::tempdir().expect("a directory");
    for (name, every) in recordings(folder.path()) {
        let (csv, out) = (folder.path().join(name), folder.path().join(format!("model-{name}")));
        let printed = run(&["train", "--csv", text(&csv), "--epochs", "1", "--out", text(&out)]);
        assert!(printed.contains(&format!("for readings every {every}\n")), "{name}: {printed}");
        let manifest = fs::read_to_string(out.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        assert_eq!(manifest["interval_ms"], manifest["baseline"]["interval_ms"], "{name}");
    }
    // All recordings in a folder must have the same interval, as the node uses it.
    let (minutes, hours) = (folder.path().join("jittered.csv"), folder.path().join("model-1h.csv"));
    let refused = output(volute().args(["train", "--csv", text(&minutes), "--epochs", "1", "--out", text(&hours)]));
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        printed.contains("holds a model for readings every 1 h, and this one would be for readings every 1 min"),
        "{printed}"
    );
    let listed = run(&["models", text(&hours)]);
    assert!(listed.contains("in use"), "{listed}");
}

/// Every run of 5 or more broken rows is detected. Of the NORMAL rows whose window has no broken row, at most 2 % are
/// called anomalous.
#[test]
fn evaluation_detects_every_broken_run_and_few_normal_rows() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    fs::create_dir(&data).expect("a directory");
    let names = recordings(&data);
    let arguments = ["evaluate", "--data", text(&data), "--out", text(&out), "--epochs", "8", "--format", "json"];
    let report: Value = serde_json::from_str(&run(&arguments)).expect("JSON");
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), names.len());
    for (name, _) in names {
        let detected = &runs.iter().find(|run| run["run"] == name).expect(name)["stretches"];
        assert!(detected["of"].as_u64() >= Some(2) && detected["of"] == detected["found"], "{name}: {detected}");
        let broken = broken(&data.join(name));
        let predictions = fs::read_to_string(out.join(name)).expect("predictions");
        // The predictions begin after the training rows.
        let decided = predictions.lines().skip(1).zip(400..);
        let clear = |row: usize| !broken[row - WINDOW_STEPS.min(row)..=row].contains(&true);
        let normal: Vec<bool> = decided.filter(|(_, row)| clear(*row)).map(|(line, _)| line.ends_with(",1")).collect();
        let false_alarms = normal.iter().filter(|anomaly| **anomaly).count();
        assert!(normal.len() > 500 && false_alarms * 50 <= normal.len(), "{name}: {false_alarms} of {}", normal.len());
    }
}

/// Plays a recording in the demo: its pump has the recording's interval, each window a detection, and the broken runs
/// are detected.
fn assert_scored_in_the_demo(csv: &Path, rows: usize, interval_ms: i64) {
    let data = tempfile::tempdir().expect("a directory");
    let node = NodeConfig::demo(&data).node();
    let text = fs::read_to_string(csv).expect("the recording");
    let started = node.post_to("/api/start-simulation?speed=60&pump_id=R", "text/csv", &text);
    assert_eq!(started.status, 200, "{started:?}");
    // The replay begins once its pump can be scored.
    node.wait_until("/api/pumps", |pumps| {
        let pumps = pumps["items"].as_array().expect("pumps");
        pumps.iter().any(|pump| pump["pump_id"] == "R" && !pump["age_ms"].is_null())
    });
    let live = node.wait_until("/api/live-data?pump_id=R", |live| {
        live["simulation"]["recording"]["sent"] == rows && live["totals"]["pump"]["readings"] == rows
    });
    // The first readings have no complete window, and may have no detection.
    let detections = node.wait_until("/api/anomaly-history?pump_id=R&limit=10000", |page| {
        // They are stored in their order.
        let is_last = |detection: &Value| detection["timestamp"] == live["timestamp"];
        page["items"].as_array().is_some_and(|items| items.iter().any(is_last))
    });
    let detections = detections["items"].as_array().expect("detections").clone();
    // A pump whose simulation has ended is stale.
    assert!(matches!(live["status"].as_str(), Some("NORMAL" | "ANOMALY" | "STALE")), "{}", live["status"]);
    let readings = node.all_items("/api/sensor-history?pump_id=R&limit=10000&from=2020-01-01T00:00:00Z");
    let at =
        |row: &Value| row["timestamp"].as_str().expect("a time").parse::<volute_plant::Timestamp>().expect("a time");
    assert_eq!(readings.len(), rows);
    let (first, last) = (at(&readings[0]), at(&readings[rows - 1]));
    assert_eq!(last.since_ms(first), (rows as i64 - 1) * interval_ms, "the interval of its rows is unchanged");

    let broken = broken(csv);
    let anomalous: Vec<Option<bool>> = readings
        .iter()
        .map(|row| detections.iter().find(|v| v["timestamp"] == row["timestamp"]).map(|v| v["is_anomaly"] == true))
        .collect();
    assert!(anomalous[WINDOW_STEPS - 1..].iter().all(Option::is_some), "a detection for every window");
    let (mut stretches, mut detected) = (0, 0);
    for stretch in (0..rows).collect::<Vec<_>>().chunk_by(|a, b| broken[*a] == broken[*b]) {
        if broken[stretch[0]] && stretch.len() >= 5 {
            stretches += 1;
            detected += usize::from(stretch.iter().any(|row| anomalous[*row] == Some(true)));
        }
    }
    assert!(stretches >= 2 && detected == stretches, "{detected} of {stretches} stretches");
    let clear = (WINDOW_STEPS..rows).filter(|row| !broken[row - WINDOW_STEPS..=*row].contains(&true));
    let normal: Vec<bool> = clear.map(|row| anomalous[row] == Some(true)).collect();
    let false_alarms = normal.iter().filter(|anomaly| **anomaly).count();
    eprintln!(
        "{}: {detected} of {stretches} stretches, {false_alarms} false alarms of {}",
        csv.display(),
        normal.len()
    );
    assert!(false_alarms * 50 <= normal.len(), "{false_alarms} of {}", normal.len());
}

#[test]
fn demo_scores_every_window_of_the_original_recording() {
    let Some(field) = shared_input("field") else { return };
    assert_scored_in_the_demo(&field.join("original_form.csv"), 2_000, 60_000);
}

#[test]
fn demo_scores_a_recording_with_hourly_rows() {
    let folder = tempfile::tempdir().expect("a directory");
    GENERATED[3].write(folder.path());
    assert_scored_in_the_demo(&folder.path().join("1h.csv"), 1_400, 3_600_000);
}

/// Readings of a healthy pump at intervals of `every_ms`, the last one `ago_ms` ago.
fn readings(pump: &str, count: usize, every_ms: i64, ago_ms: i64, noise: &mut Noise) -> Vec<Value> {
    let now = volute_plant::Clock::now(&volute_plant::SystemClock).millis() - ago_ms;
    let names: Vec<&str> = HEADER.trim_end().split(',').skip(1).take(CHANNELS.len()).collect();
    (1..=count as i64)
        .map(|n| {
            let mut item = json!({"pump_id": pump, "timestamp": now - (count as i64 - n) * every_ms});
            for (name, (mean, spread, _)) in names.iter().zip(CHANNELS) {
                item[name] = json!(mean + spread * noise.normal());
            }
            item
        })
        .collect()
}

fn put(node: &Node, path: &str, body: &Value) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let mut response =
        config.build().new_agent().put(format!("{}{path}", node.url)).send_json(body).expect("a response");
    (response.status().as_u16(), response.body_mut().read_json().expect("JSON"))
}

/// A pump that posts every 10 s on a node with a 1 s profile automatically gets windows with 10 s steps, is
/// commissioned with them, and keeps its interval over a restart. A user may set another interval, or the profile's
/// again.
#[test]
fn feed_sparser_than_the_profile_is_scored_at_its_own_interval() {
    let data = tempfile::tempdir().expect("a directory");
    let begin = NodeConfig::new(&data, "centrifugal")
        .with_model(Path::new("models/pretrained/centrifugal"))
        .with_env("VOLUTE__COMMISSIONING__HOURS", "0.1");
    let node = begin.node();
    let mut noise = Noise(11);
    for items in readings("P-1", 200, 10_000, 60_000, &mut noise).chunks(40) {
        assert_eq!(node.post(&json!(items)).status, 200);
    }
    let live = "/api/live-data?pump_id=P-1";
    node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 1);
    assert_eq!(node.post(&json!(readings("P-1", 4, 10_000, 0, &mut noise))).status, 200);
    let judged = node.wait_until(live, |live| live["status"] == "NORMAL" || live["status"] == "ANOMALY");
    let feed = &judged["feed"];
    assert_eq!((&feed["interval_ms"], &feed["own_interval"]), (&json!(10_000), &json!(true)), "{judged}");
    assert_eq!((&feed["readings_every_ms"], &feed["advice"]), (&json!(10_000), &Value::Null), "{feed}");
    assert!(node.terminate().success());

    let node = begin.node();
    assert_eq!(node.post(&json!(readings("P-1", 1, 10_000, 0, &mut noise))).status, 200);
    let again = node.wait_until(live, |live| !live["feed"].is_null());
    assert_eq!((&again["feed"]["interval_ms"], &again["feed"]["own_interval"]), (&json!(10_000), &json!(true)));
    assert_eq!(node.get_ok("/api/pumps/P-1/baselines")["in_use"], 1, "the baseline belongs to that interval");

    let settings = "/api/pumps/P-1/settings";
    let (status, set) = put(&node, settings, &json!({"interval_ms": 20_000}));
    assert_eq!((status, &set["interval_ms"]), (200, &json!(20_000)), "{set}");
    assert_eq!(node.get_ok("/api/pumps/P-1/baselines")["in_use"], Value::Null, "a baseline belongs to one interval");
    let (status, refused) = put(&node, settings, &json!({"interval_ms": 5}));
    assert_eq!((status, &refused["field"]), (400, &json!("interval_ms")), "{refused}");
    assert_eq!(put(&node, "/api/pumps/nobody/settings", &json!({})).0, 404);
    let folder = begin.data.to_str().expect("text");
    let printed = run(&["pumps", "set-interval", "P-1", "60000", "--data-dir", folder]);
    assert_eq!(printed, "the interval of P-1 is 1 min\n");
    let log = node.wait_until("/api/audit-log", |log| {
        let done = |item: &&Value| item["action"] == "set-pump" && item["outcome"] == "done";
        log["items"].as_array().is_some_and(|items| items.iter().filter(done).count() == 2)
    });
    assert!(
        log["items"].as_array().expect("entries").iter().any(|item| item["detail"] == "interval_ms 60000"),
        "{log}"
    );
    assert!(node.terminate().success());
    // Without a running node, and back to the profile's interval.
    let printed = run(&["pumps", "set-interval", "P-1", "--data-dir", folder]);
    assert_eq!(printed, "the interval of P-1 is that of its profile\n");
    let refused = output(volute().args(["pumps", "set-interval", "P-2", "--data-dir", folder]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no pump P-2"));
}

#[test]
fn recording_without_an_interval_is_reported_with_advice() {
    let folder = tempfile::tempdir().expect("a directory");
    let csv = folder.path().join("by-exception.csv");
    let mut noise = Noise(7);
    let (mut text_of, mut ms) = (HEADER.to_owned(), 1_714_521_600_000_i64);
    for _ in 0..900 {
        ms += 2_000 + (200_000.0 * noise.next().powi(2)) as i64;
        let at = volute_plant::Timestamp::from_millis(ms).expect("a time");
        writeln!(text_of, "{at},1480,44,4.1,2,130,1.7,6,17.5,45,27,NORMAL").expect("written");
    }
    fs::write(&csv, text_of).expect("written");
    let out = folder.path().join("model");
    let train = |more: &[&str]| {
        let output =
            output(volute().args(["train", "--csv", text(&csv), "--epochs", "1", "--out", text(&out)]).args(more));
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (trained, printed) = train(&[]);
    assert!(!trained && printed.contains("the rows are irregular") && printed.contains("--interval-ms"), "{printed}");
    let (trained, printed) = train(&["--interval-ms", "200000"]);
    assert!(trained, "{printed}");
    let (_, printed) = train(&["--interval-ms", "5"]);
    assert!(printed.contains("milliseconds from 100 to 86400000"), "{printed}");
}

/// An import reports the interval of its rows, and how to score such a pump: with the printed command, or
/// automatically.
#[test]
fn import_reports_the_interval_of_its_rows_and_how_to_score_it() {
    let data = tempfile::tempdir().expect("a directory");
    let folder = data.path().join("store dir");
    let dir = text(&folder);
    let generate = |name: &'static str, step_s: f64, jitter_s: f64| {
        let recording = GeneratedRecording { name, step_s, jitter_s, missing_every: 0, every: "" };
        recording.write(data.path());
        data.path().join(name)
    };
    let (seconds, minutes) = (generate("1s.csv", 1.0, 0.0), generate("min.csv", 60.0, 4.0));
    let days = data.path().join("2d.csv");
    let row = |n: i64| {
        let at = volute_plant::Timestamp::from_millis(1_714_521_600_000 + n * 172_800_000).expect("a time");
        format!("{at},1480,44,4.1,2,130,1.7,6,17.5,45,27,NORMAL\n")
    };
    fs::write(&days, (0..100).fold(HEADER.to_owned(), |text, n| text + &row(n))).expect("written");
    let import = |file: &Path, pump: &str, more: &[&str]| {
        run(&[&["import", text(file), "--pump", pump, "--data-dir", dir], more].concat())
    };
    let printed = import(&seconds, "seconds", &[]);
    assert!(printed.contains("the file has one row every 1 s\n") && !printed.contains("set-interval"), "{printed}");
    let command = format!("  volute pumps set-interval minutes 60000 --data-dir '{dir}'\n");
    for more in [&["--dry-run"][..], &[]] {
        let printed = import(&minutes, "minutes", more);
        assert!(
            printed.contains("the file has one row every 1 min\nthe interval of minutes is 1 s (from the profile)"),
            "{printed}"
        );
        assert!(printed.ends_with(&command), "{printed}");
    }
    // The printed command as a shell runs it.
    let words: Vec<&str> = command.split_whitespace().skip(1).take(4).collect();
    assert_eq!(run(&[&words[..], &["--data-dir", dir]].concat()), "the interval of minutes is 1 min\n");
    let printed = import(&minutes, "minutes", &[]);
    assert!(printed.ends_with("the file has one row every 1 min\n"), "{printed}");
    // Automatically; a dry run sets nothing.
    let printed = import(&minutes, "others", &["--interval-ms", "60000", "--dry-run"]);
    assert!(printed.ends_with("the interval of others would be 1 min\n"), "{printed}");
    let printed = import(&minutes, "others", &["--interval-ms", "60000"]);
    assert!(printed.ends_with("the interval of others is 1 min\n"), "{printed}");
    assert!(
        run(&["pumps", "settings", "others", "--data-dir", dir]).starts_with("interval  1 min (set for this pump)")
    );
    // No supported interval is that long.
    let printed = import(&days, "days", &[]);
    assert!(
        printed.contains("the file has one row every 48 h\n") && printed.contains("an interval is at most 24 h"),
        "{printed}"
    );
    assert!(!printed.contains("set-interval"), "{printed}");
    let model = data.path().join("model");
    let train = ["train", "--csv", text(&days), "--epochs", "1", "--out", text(&model)];
    let refused = output(volute().args(train));
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && printed.contains("48 h") && printed.contains("24 h"), "{printed}");
}
