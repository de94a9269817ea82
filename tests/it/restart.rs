//! A restart changes no verdict: what is remembered of a pump outlives a kill and a stop, bit for bit.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Node, Start, run, skab};

const DETECTIONS: &str = "/api/anomaly-history?pump_id=pump-1&limit=10000";
/// In an episode the loss is the strain and this, so that an episode ends lower than it begins (`1 - quiet`).
const DEADBAND: f64 = 0.65;
const EVENTS: &str = "/api/maintenance-events?pump_id=pump-1";

/// How a node ends.
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

/// A recording, and a model of its first rows.
struct Pump {
    dir: TempDir,
    profile: &'static str,
    header: String,
    rows: Vec<String>,
    model: PathBuf,
}

impl Pump {
    fn new(profile: &'static str, csv: &Path, learned_rows: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let model = dir.path().join("model");
        let (csv, out) = (csv.to_str().expect("text"), model.to_str().expect("text"));
        run(&["train", "--profile", profile, "--csv", csv, "--rows", learned_rows, "--epochs", "25", "--out", out]);
        let text = std::fs::read_to_string(csv).expect("the recording");
        let mut lines = text.lines().map(str::to_owned);
        Self { dir, profile, header: lines.next().expect("a header"), rows: lines.collect(), model }
    }

    /// A healthy pump, simulated.
    fn simulated() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let csv = dir.path().join("pump.csv");
        let out = csv.to_str().expect("text");
        run(&["simulate", "--seed", "1", "--rows", "1200", "--load", "steady", "--out", out]);
        Self::new("centrifugal", &csv, "600")
    }

    fn start(&self, name: &str) -> Start {
        let start = Start::new(&self.dir, self.profile).with_model(&self.model);
        Start { data: self.dir.path().join(name), ..start }
    }

    /// Has the node take in these rows; durable when it returns, but not necessarily judged.
    fn replay(&self, node: &Node, rows: std::ops::Range<usize>) {
        let part = self.dir.path().join("part.csv");
        let lines = [std::slice::from_ref(&self.header), &self.rows[rows]].concat();
        std::fs::write(&part, lines.join("\n") + "\n").expect("written");
        let part = part.to_str().expect("text");
        run(&["replay", "--profile", self.profile, "--csv", part, "--url", &node.url, "--speed", "0", "--batch", "7"]);
    }

    /// Row `n` with so much more in a channel.
    fn raise(&mut self, n: usize, channel: &str, by: f64) {
        let place = self.header.split(',').position(|name| name == channel).expect("a channel");
        let mut fields: Vec<String> = self.rows[n].split(',').map(str::to_owned).collect();
        fields[place] = (fields[place].parse::<f64>().expect("a number") + by).to_string();
        self.rows[n] = fields.join(",");
    }

    /// Waits until a row is judged, and answers what is shown then. The pump must not be learned meanwhile.
    fn until_judged(&self, node: &Node, row: usize) -> Value {
        let time = self.time(row);
        node.until("/api/live-data?pump_id=pump-1", |live| {
            assert_ne!(live["status"], "LEARNING", "{live}");
            live["judged_at"].as_str().is_some_and(|judged| judged.starts_with(&time))
        })
    }

    /// All detections up to that of this row, the last that the node was told; oldest first.
    fn detections(&self, node: &Node, row: usize) -> Vec<Value> {
        let path = format!("{DETECTIONS}&from={}Z", self.time(row));
        node.until(&path, |page| page["items"].as_array().is_some_and(|items| !items.is_empty()));
        node.all(&format!("{DETECTIONS}&from=2020-01-01T00:00:00Z"))
    }

    /// When a row was recorded, to the second.
    fn time(&self, row: usize) -> String {
        self.rows[row][..19].replace(' ', "T")
    }

    /// The same detections with these ends as without any.
    fn is_judged_alike_over(&self, ends: &[(usize, End)]) {
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

/// Nothing is waited for before an end, so windows are on their way at each kill; they are decided after it.
#[test]
fn a_real_pump_is_judged_alike_over_kills() {
    let Some(skab) = skab() else { return };
    let pump = Pump::new("skab", &skab.join("other/12.csv"), "400");
    let cuts = [20, 137, 391, 405, 520, 655, 656, 702, 811, 903, 1000];
    pump.is_judged_alike_over(&cuts.map(|row| (row, End::Killed)));
}

#[test]
fn a_real_pump_is_judged_alike_over_stops_and_kills() {
    let Some(skab) = skab() else { return };
    let pump = Pump::new("skab", &skab.join("valve1/3.csv"), "400");
    let cuts = [300, 577, 640, 700, 845, 951, 990, 1100];
    let ends = [End::Stopped, End::Killed].into_iter().cycle();
    pump.is_judged_alike_over(&cuts.into_iter().zip(ends).collect::<Vec<_>>());
}

#[test]
fn a_healthy_pump_is_judged_at_once_and_without_an_alarm() {
    let pump = Pump::simulated();
    let start = pump.start("healthy");
    let mut node = start.node();
    let mut from = 0;
    for (to, end) in [(300, End::Stopped), (400, End::Killed), (450, End::Stopped), (452, End::Killed)] {
        pump.replay(&node, from..to);
        end.of(node);
        node = start.node();
        pump.replay(&node, to..to + 1);
        let live = pump.until_judged(&node, to);
        assert_eq!(live["status"], "NORMAL", "{live}");
        from = to + 1;
    }
    let detections = pump.detections(&node, from - 1);
    assert_eq!(detections.len(), from - 29, "each reading from the thirtieth on is judged, once");
    let alarms: Vec<&Value> = detections.iter().filter(|detection| detection["is_anomaly"] == true).collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}

#[test]
fn an_open_episode_stays_open_and_is_told_once() {
    let mut pump = Pump::simulated();
    for row in 300..420 {
        pump.raise(row, "Vibration_mm_s", 8.0);
    }
    let start = pump.start("hot");
    let mut node = start.node();
    pump.replay(&node, 0..310);
    let open = node.until(EVENTS, |events| events["items"].as_array().is_some_and(|events| !events.is_empty()));
    let (opened, rule) = (open["items"][0]["opened_at"].clone(), open["items"][0]["rule"].clone());
    let mut from = 310;
    for (to, end) in [(330, End::Killed), (331, End::Stopped), (360, End::Killed), (400, End::Stopped)] {
        pump.replay(&node, from..to);
        end.of(node);
        node = start.node();
        let events = node.ok(EVENTS);
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
    assert!(during.iter().all(|detection| detection["is_anomaly"] == true), "no window of it is let go");
    let events = node.all(&format!("{EVENTS}&limit=100"));
    assert_eq!(events.len(), 1, "{events:?}");
}

/// Its strain is too little to begin an episode and too much to end one, so a pump that has forgotten would call it normal.
#[test]
fn an_episode_that_could_not_begin_anew_stays_open() {
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

/// What a pump goes by is in the database, and so it starts without; its memory waits until that is known.
#[cfg(feature = "failpoints")]
#[test]
fn an_episode_stays_open_where_the_database_comes_back_later() {
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
        let live = node.ok("/api/live-data?pump_id=pump-1");
        assert_ne!(live["status"], "LEARNING", "{live}");
        live["judged_at"].as_str().is_some_and(|judged| judged.starts_with(&pump.time(row)))
    });
    let judged = judged.expect("it is judged before the recording ends");
    let detections = pump.detections(&node, judged);
    let last = detections.last().expect("one");
    let loss = last["loss"].as_f64().expect("a number");
    assert!(1.0 < loss && loss - DEADBAND < 1.0, "it could have begun here: {last}");
    assert_eq!(last["is_anomaly"], true, "{last}");
}
