//! A restart changes no detection: a pump's state survives a kill and a stop bit for bit.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, run, skab};

const DETECTIONS: &str = "/api/anomaly-history?pump_id=pump-1&limit=10000";
/// During an episode the loss is the anomaly score plus this (`1 - quiet`), so that the episode ends at a lower score than the
/// score at which it begins.
const DEADBAND: f64 = 0.65;
const EVENTS: &str = "/api/maintenance-events?pump_id=pump-1";

/// How a node is ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    Stopped,
}

impl End {
    fn of(self, node: Node) {
        match self {
            Self::Killed => node.kill(),
            Self::Stopped => assert!(node.terminate().success()),
        }
    }
}

/// A recording, and a model trained on its first rows.
struct Pump {
    dir: TempDir,
    profile: &'static str,
    header: String,
    rows: Vec<String>,
    model: PathBuf,
}

impl Pump {
    fn new(profile: &'static str, csv: &Path, learned_rows: &str, detector: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let model = dir.path().join("model");
        let (csv, out) = (csv.to_str().expect("text"), model.to_str().expect("text"));
        let words = ["--rows", learned_rows, "--epochs", "25", "--detector", detector];
        run(&[&["train", "--profile", profile, "--csv", csv, "--out", out], &words[..]].concat());
        let text = std::fs::read_to_string(csv).expect("the recording");
        let mut lines = text.lines().map(str::to_owned);
        Self { dir, profile, header: lines.next().expect("a header"), rows: lines.collect(), model }
    }

    /// A simulated healthy pump, with the detector whose episodes end by a fixed deadband.
    fn simulated() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let csv = dir.path().join("pump.csv");
        let out = csv.to_str().expect("text");
        run(&["simulate", "--seed", "1", "--rows", "1200", "--load", "steady", "--out", out]);
        Self::new("centrifugal", &csv, "600", "fused")
    }

    fn start(&self, name: &str) -> NodeConfig {
        let start = NodeConfig::new(&self.dir, self.profile).with_model(&self.model);
        NodeConfig { data: self.dir.path().join(name), ..start }
    }

    /// Replays these rows to the node. They are durable when this returns, but not necessarily scored.
    fn replay(&self, node: &Node, rows: std::ops::Range<usize>) {
        let part = self.dir.path().join("part.csv");
        let lines = [std::slice::from_ref(&self.header), &self.rows[rows]].concat();
        std::fs::write(&part, lines.join("\n") + "\n").expect("written");
        let part = part.to_str().expect("text");
        run(&["replay", "--profile", self.profile, "--csv", part, "--url", &node.url, "--speed", "0", "--batch", "7"]);
    }

    /// Increases a channel's value in row `n`.
    fn raise(&mut self, n: usize, channel: &str, by: f64) {
        let index = self.header.split(',').position(|name| name == channel).expect("a channel");
        let mut fields: Vec<String> = self.rows[n].split(',').map(str::to_owned).collect();
        fields[index] = (fields[index].parse::<f64>().expect("a number") + by).to_string();
        self.rows[n] = fields.join(",");
    }

    /// Waits until a row is scored, and returns the live data. The pump must not be learning.
    fn wait_until_scored(&self, node: &Node, row: usize) -> Value {
        let time = self.time(row);
        node.wait_until("/api/live-data?pump_id=pump-1", |live| {
            assert_ne!(live["status"], "LEARNING", "{live}");
            live["judged_at"].as_str().is_some_and(|judged| judged.starts_with(&time))
        })
    }

    /// Returns all detections up to this row, the last one that was posted; oldest first.
    fn detections(&self, node: &Node, row: usize) -> Vec<Value> {
        let path = format!("{DETECTIONS}&from={}Z", self.time(row));
        node.wait_until(&path, |page| page["items"].as_array().is_some_and(|items| !items.is_empty()));
        node.all_items(&format!("{DETECTIONS}&from=2020-01-01T00:00:00Z"))
    }

    /// Returns the time of a row, truncated to seconds.
    fn time(&self, row: usize) -> String {
        self.rows[row][..19].replace(' ', "T")
    }

    /// Checks that the detections are the same with these restarts as without any.
    fn assert_same_detections_over(&self, ends: &[(usize, End)]) {
        let node = self.start("steady").node();
        self.replay(&node, 0..self.rows.len());
        let last = self.rows.len() - 1;
        let steady = self.detections(&node, last);
        assert!(steady.len() > self.rows.len() / 2, "{} detections of {} rows", steady.len(), self.rows.len());
        let anomalies = steady.iter().filter(|detection| detection["is_anomaly"] == true).count();
        assert!(anomalies > 100 && anomalies < steady.len() - 100, "{anomalies} of {}", steady.len());
        node.kill();

        let start = self.start("interrupted");
        let mut node = start.node();
        let mut from = 0;
        for &(to, end) in ends {
            self.replay(&node, from..to);
            end.of(node);
            node = start.node();
            from = to;
        }
        self.replay(&node, from..self.rows.len());
        let interrupted = self.detections(&node, last);
        for (a, b) in steady.iter().zip(&interrupted) {
            assert_eq!(a, b, "{ends:?}");
        }
        assert_eq!(steady.len(), interrupted.len());
    }
}

/// The kills do not wait for anything, so windows are in flight at each of them. They are scored after it.
#[test]
fn real_pump_has_the_same_detections_over_kills() {
    let Some(skab) = skab() else { return };
    let pump = Pump::new("skab", &skab.join("other/12.csv"), "400", "conditional");
    let cuts = [20, 137, 391, 405, 520, 655, 656, 702, 811, 903, 1000];
    pump.assert_same_detections_over(&cuts.map(|row| (row, End::Killed)));
}

#[test]
fn real_pump_has_the_same_detections_over_stops_and_kills() {
    let Some(skab) = skab() else { return };
    let pump = Pump::new("skab", &skab.join("valve1/3.csv"), "400", "conditional");
    let cuts = [300, 577, 640, 700, 845, 951, 990, 1100];
    let ends = [End::Stopped, End::Killed].into_iter().cycle();
    pump.assert_same_detections_over(&cuts.into_iter().zip(ends).collect::<Vec<_>>());
}

#[test]
fn healthy_pump_is_scored_at_once_without_an_alarm() {
    let pump = Pump::simulated();
    let start = pump.start("healthy");
    let mut node = start.node();
    let mut from = 0;
    for (to, end) in [(300, End::Stopped), (400, End::Killed), (450, End::Stopped), (452, End::Killed)] {
        pump.replay(&node, from..to);
        end.of(node);
        node = start.node();
        pump.replay(&node, to..to + 1);
        let live = pump.wait_until_scored(&node, to);
        assert_eq!(live["status"], "NORMAL", "{live}");
        from = to + 1;
    }
    let detections = pump.detections(&node, from - 1);
    let mut times: Vec<&str> = detections.iter().map(|one| one["timestamp"].as_str().expect("a time")).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), detections.len(), "no reading is judged twice");
    let from_30 = (29..from).all(|row| times.iter().any(|time| time.starts_with(&pump.time(row))));
    assert!(from_30, "each reading from the thirtieth on is judged");
    let alarms: Vec<&Value> = detections.iter().filter(|detection| detection["is_anomaly"] == true).collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}

#[test]
fn open_episode_stays_open_and_is_reported_once() {
    let mut pump = Pump::simulated();
    for row in 300..420 {
        pump.raise(row, "Vibration_mm_s", 8.0);
    }
    let start = pump.start("hot");
    let mut node = start.node();
    pump.replay(&node, 0..310);
    let open = node.wait_until(EVENTS, |events| events["items"].as_array().is_some_and(|events| !events.is_empty()));
    let (opened, rule) = (open["items"][0]["opened_at"].clone(), open["items"][0]["rule"].clone());
    let mut from = 310;
    for (to, end) in [(330, End::Killed), (331, End::Stopped), (360, End::Killed), (400, End::Stopped)] {
        pump.replay(&node, from..to);
        end.of(node);
        node = start.node();
        let events = node.get_ok(EVENTS);
        let events = events["items"].as_array().expect("a list");
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (&events[0]["opened_at"], &events[0]["rule"], &events[0]["status"]),
            (&opened, &rule, &json!("active"))
        );
        from = to;
    }
    pump.replay(&node, from..420);
    let detections = pump.detections(&node, 419);
    assert_eq!(detections.len(), 420 - 29);
    let during = &detections[301 - 29..];
    assert!(during.iter().all(|detection| detection["is_anomaly"] == true), "no window is skipped");
    let events = node.all_items(&format!("{EVENTS}&limit=100"));
    assert_eq!(events.len(), 1, "{events:?}");
}

/// The anomaly score is too low to begin an episode and too high to end one: if the state were lost, the pump would be
/// normal.
#[test]
fn episode_below_the_start_threshold_stays_open() {
    let mut pump = Pump::simulated();
    for row in 300..420 {
        pump.raise(row, "Vibration_mm_s", if row < 320 { 0.7 } else { 0.2 });
    }
    let start = pump.start("mild");
    let mut node = start.node();
    let mut from = 0;
    for (to, end) in [(340, End::Killed), (341, End::Stopped), (380, End::Killed)] {
        pump.replay(&node, from..to);
        end.of(node);
        node = start.node();
        from = to;
    }
    pump.replay(&node, from..420);
    let detections = pump.detections(&node, 419);
    assert_eq!(detections.len(), 420 - 29);
    for detection in &detections[340 - 29..] {
        let loss = detection["loss"].as_f64().expect("a number");
        assert!(1.0 < loss && loss - DEADBAND < 1.0, "the episode could have begun here: {detection}");
        assert_eq!(detection["is_anomaly"], true, "{detection}");
    }
}

/// The node starts without the database, which has the pump's state. The state is restored once the database opens.
#[cfg(feature = "failpoints")]
#[test]
fn episode_stays_open_if_the_database_opens_later() {
    let mut pump = Pump::simulated();
    for row in 300..pump.rows.len() {
        pump.raise(row, "Vibration_mm_s", if row < 320 { 0.7 } else { 0.2 });
    }
    let start = pump.start("later");
    let node = start.node();
    pump.replay(&node, 0..340);
    pump.detections(&node, 339);
    node.kill();
    let node = start.with_env("FAILPOINTS", "database-open=2*return(broken on purpose)").node();
    let judged = (340..pump.rows.len()).find(|&row| {
        pump.replay(&node, row..row + 1);
        let live = node.get_ok("/api/live-data?pump_id=pump-1");
        assert_ne!(live["status"], "LEARNING", "{live}");
        live["judged_at"].as_str().is_some_and(|judged| judged.starts_with(&pump.time(row)))
    });
    let judged = judged.expect("it is scored before the recording ends");
    let detections = pump.detections(&node, judged);
    let last = detections.last().expect("one");
    let loss = last["loss"].as_f64().expect("a number");
    assert!(1.0 < loss && loss - DEADBAND < 1.0, "it could have begun here: {last}");
    assert_eq!(last["is_anomaly"], true, "{last}");
}
