//! Live feeds of different intervals, on the real program with a moved clock: the interval that a pump gets, when it is
//! stale, the advice and the result of following it, and held values.

use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{Node, NodeConfig, output, run, volute};

/// Each channel's name, mean and variation in normal running.
const CHANNELS: [(&str, f64, f64); 10] = [
    ("Motor_RPM", 1480.0, 12.0),
    ("Bearing_Temperature_C", 44.0, 1.4),
    ("Oil_Pressure_bar", 4.1, 0.12),
    ("Vibration_mm_s", 2.0, 0.3),
    ("Flow_Rate_L_min", 130.0, 5.8),
    ("Suction_Pressure_bar", 1.7, 0.08),
    ("Discharge_Pressure_bar", 6.0, 0.2),
    ("Motor_Current_A", 17.5, 0.8),
    ("Casing_Temperature_C", 45.0, 1.6),
    ("Ambient_Temperature_C", 27.0, 2.0),
];
const MINUTE: i64 = 60_000;

/// A node whose clock is moved to the simulated time of the plant, so that tests do not wait.
struct Plant {
    node: Node,
    start: NodeConfig,
    /// The plant's time, in milliseconds since 1970.
    now: i64,
    /// How far it is ahead of the machine's time, in milliseconds.
    ahead: i64,
    noise: u64,
}

impl Plant {
    fn start(data: &TempDir) -> Self {
        // It needs whole windows, so a value that is missing shows.
        let start = NodeConfig::new(data, "centrifugal")
            .with_model(Path::new("models/pretrained/centrifugal"))
            .with_env("VOLUTE__COMMISSIONING__DETECTOR", "fused")
            .with_env("VOLUTE__COMMISSIONING__HOURS", "0.1");
        let node = start.node();
        let now = volute_plant::Clock::now(&volute_plant::SystemClock).millis();
        Self { node, start, now, ahead: 0, noise: 7 }
    }

    /// Advances the time.
    fn advance(&mut self, ms: i64) {
        (self.now, self.ahead) = (self.now + ms, self.ahead + ms);
        self.start.inject("clock", &format!("return({})", self.ahead));
    }

    /// Returns a pseudorandom number from -1 to 1.
    fn random(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Returns the sensor values of a running pump at a time.
    fn item(&mut self, pump: &str, at: i64) -> Map<String, Value> {
        let mut item = Map::new();
        item.insert("pump_id".to_owned(), json!(pump));
        item.insert("timestamp".to_owned(), json!(at));
        for (name, mean, spread) in CHANNELS {
            let normal: f64 = (0..12).map(|_| self.random() / 2.0).sum();
            item.insert(name.to_owned(), json!(mean + spread * normal));
        }
        item
    }

    /// Returns readings up to now, at intervals of `every_ms`.
    fn items(&mut self, pump: &str, count: i64, every_ms: i64) -> Vec<Value> {
        let first = self.now - (count - 1) * every_ms;
        (0..count).map(|n| Value::Object(self.item(pump, first + n * every_ms))).collect()
    }

    fn post(&self, items: &[Value]) {
        for items in items.chunks(100) {
            let response = self.node.post(&json!(items));
            assert_eq!((response.status, &response.body["rejected"]), (200, &json!([])), "{response:?}");
        }
    }

    fn live(&self, pump: &str) -> Value {
        self.node.get_ok(&format!("/api/live-data?pump_id={pump}"))
    }

    fn wait_until(&self, pump: &str, done: impl FnMut(&Value) -> bool) -> Value {
        self.node.wait_until(&format!("/api/live-data?pump_id={pump}"), done)
    }

    fn put(&self, pump: &str, body: &Value) -> Value {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let url = format!("{}/api/pumps/{pump}/settings", self.node.url);
        let mut response = config.build().new_agent().put(url).send_json(body).expect("a response");
        assert_eq!(response.status().as_u16(), 200);
        response.body_mut().read_json().expect("JSON")
    }
}

#[test]
fn pump_with_10_minute_posts_is_stale_by_its_own_interval() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    for post in 0..12 {
        let items = plant.items("P-1", 1, 1);
        plant.post(&items);
        plant.wait_until("P-1", |live| live["totals"]["pump"]["readings"] == post + 1);
        plant.advance(10 * MINUTE - 1_000);
        let live = plant.live("P-1");
        // The interval of a pump that posted once is unknown.
        assert_eq!(live["status"] == "STALE", post == 0, "before post {post}: {live}");
        plant.advance(1_000);
    }
    let (gap, live) = (10 * MINUTE, plant.live("P-1"));
    let stale_after_ms = live["feed"]["stale_after_ms"].as_i64().expect("a time");
    assert!((3 * gap..4 * gap).contains(&stale_after_ms), "{live}");
    assert_eq!(live["feed"]["posts_every_ms"], gap, "{live}");
    // It has been silent for 10 min already.
    plant.advance(stale_after_ms - gap - 60_000);
    assert_ne!(plant.live("P-1")["status"], "STALE");
    plant.advance(62_000);
    let live = plant.live("P-1");
    assert_eq!(live["status"], "STALE", "{live}");
    // Also after a restart, where the interval is known from the stored readings.
    let Plant { node, start, ahead, .. } = plant;
    assert!(node.terminate().success());
    let again = start.with_env("FAILPOINTS", &format!("clock=return({ahead})"));
    let mut plant = Plant { node: again.node(), start: again, now: plant.now, ahead, noise: 1 };
    let items = plant.items("P-1", 1, 1);
    plant.post(&items);
    plant.wait_until("P-1", |live| !live["feed"].is_null());
    plant.advance(25 * MINUTE);
    assert_ne!(plant.live("P-1")["status"], "STALE");
}

/// The feeds: a buffered minute that is sent reading by reading, tags with separate times, jitter, lost posts.
#[test]
fn every_regular_feed_gets_its_interval_and_windows() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    for (pump, every_ms, own) in [
        ("1s", 1_000, false),
        ("0.9s", 900, false),
        ("1.1s", 1_100, false),
        ("7s", 7_000, true),
        ("1min", MINUTE, true),
        ("15min", 15 * MINUTE, true),
        ("1h", 60 * MINUTE, true),
    ] {
        let mut items = Vec::new();
        for (n, item) in plant.items(pump, 48, every_ms).into_iter().enumerate() {
            let (jitter, mut item) = ((0.1 * every_ms as f64 * plant.random()) as i64, item);
            if n < 47 {
                item["timestamp"] = json!(item["timestamp"].as_i64().expect("a time") + jitter);
            }
            if n % 17 != 9 {
                items.push(item);
            }
        }
        plant.post(&items);
        let live = plant.wait_until(pump, |live| !live["feed"]["readings_every_ms"].is_null());
        let live = if own { plant.wait_until(pump, |live| live["feed"]["own_interval"] == true) } else { live };
        let interval_ms = live["feed"]["interval_ms"].as_i64().expect("an interval");
        let expected = if own { every_ms } else { 1_000 };
        assert!((interval_ms - expected).abs() * 50 <= expected, "{pump}: {live}");
        // The next current reading has a window: commissioning counts normal running, and the window does not stay at the
        // first of 30 steps.
        plant.advance(every_ms);
        let items = plant.items(pump, 1, 1);
        plant.post(&items);
        plant.wait_until(pump, |live| live["learning"]["of"] == "commissioning");
    }
}

#[test]
fn scans_buffers_and_two_gateways_do_not_change_the_interval() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    // One item per tag, at intervals of 15 ms, once a minute.
    let mut tags = Vec::new();
    for scan in 0..40 {
        let at = plant.now - (39 - scan) * MINUTE - 200;
        let whole = plant.item("tags", at);
        for (n, (name, ..)) in CHANNELS.iter().enumerate() {
            tags.push(json!({"pump_id": "tags", "timestamp": at + 15 * n as i64, *name: whole[*name]}));
        }
    }
    plant.post(&tags);
    let live = plant.wait_until("tags", |live| live["feed"]["own_interval"] == true);
    assert_eq!((&live["feed"]["interval_ms"], &live["feed"]["advice"]), (&json!(MINUTE), &Value::Null), "{live}");
    // 60 readings once a minute: the interval is that of the readings, and a silence of 1 min is usual.
    for minute in 1..=6 {
        plant.advance(MINUTE);
        let items = plant.items("buffer", 60, 1_000);
        plant.post(&items);
        plant.wait_until("buffer", |live| live["totals"]["pump"]["readings"] == 60 * minute);
    }
    let live = plant.wait_until("buffer", |live| live["feed"]["stale_after_ms"].as_i64() >= Some(3 * MINUTE));
    let feed = &live["feed"];
    assert_eq!((&feed["readings_every_ms"], &feed["own_interval"]), (&json!(1_000), &json!(false)), "{live}");
    assert_eq!(live["learning"]["of"], "commissioning", "{live}");
    plant.advance(59_000);
    assert_eq!(plant.live("buffer")["status"], "LEARNING");
    // Two gateways, with intervals of 1 s and 10 s.
    let mut items = plant.items("two", 120, 1_000);
    items.extend((0..12).map(|n| Value::Object(plant.item("two", plant.now - n * 10_000 - 400))));
    items.sort_by_key(|item| item["timestamp"].as_i64());
    plant.post(&items);
    let live = plant.wait_until("two", |live| live["learning"]["of"] == "commissioning");
    assert_eq!(live["feed"]["own_interval"], false, "{live}");
}

/// A pump that is scored once a second posts only once a minute at night. The node advises a new interval, a user sets
/// it, and the pump learns its baseline again from windows with the new steps. Then the advice is gone.
#[test]
fn feed_that_becomes_sparse_gets_advice_and_relearns_at_the_new_interval() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    let items = plant.items("P-1", 600, 1_000);
    plant.post(&items);
    plant.node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 1);
    plant.advance(2_000);
    let items = plant.items("P-1", 2, 1_000);
    plant.post(&items);
    let judged = |live: &Value| live["status"] == "NORMAL" || live["status"] == "ANOMALY";
    let live = plant.wait_until("P-1", judged);
    assert_eq!(live["feed"]["advice"], Value::Null, "{live}");

    // The interval of a dense feed is checked at every eighth reading.
    for _ in 0..28 {
        plant.advance(MINUTE);
        let items = plant.items("P-1", 1, 1);
        plant.post(&items);
    }
    let live = plant.wait_until("P-1", |live| live["feed"]["advised_interval_ms"] == MINUTE);
    let advice = live["feed"]["advice"].as_str().expect("advice");
    assert!(advice.contains("reads every 1 min") && advice.contains("learned again"), "{advice}");
    assert_eq!(
        (&live["feed"]["own_interval"], &live["status"]),
        (&json!(false), &json!("UNKNOWN")),
        "nothing is set unasked"
    );
    let row = plant.node.get_ok("/api/pumps")["items"][0].clone();
    assert_eq!(row["feed"]["advice"], live["feed"]["advice"]);
    assert_eq!(plant.node.get_ok("/api/pumps/P-1/settings")["interval_ms"], Value::Null);

    // Other settings are unchanged, and the baseline of the old interval is not used.
    let set = plant.put("P-1", &json!({"interval_ms": MINUTE, "channel_hold_s": {"Ambient_Temperature_C": 600}}));
    assert_eq!((&set["interval_ms"], &set["channel_hold_s"]["Ambient_Temperature_C"]), (&json!(MINUTE), &json!(600)));
    assert_eq!(plant.node.get_ok("/api/pumps/P-1/settings"), set);
    let known = plant.node.get_ok("/api/pumps/P-1/baselines");
    assert_eq!((&known["in_use"], known["versions"].as_array().map(Vec::len)), (&Value::Null, Some(1)), "{known}");
    plant.advance(MINUTE);
    let items = plant.items("P-1", 1, 1);
    plant.post(&items);
    let live = plant.wait_until("P-1", |live| live["status"] == "LEARNING");
    assert_eq!(live["feed"]["advice"], Value::Null, "{live}");

    // 2.5 h later.
    plant.advance(150 * MINUTE);
    let items = plant.items("P-1", 150, MINUTE);
    plant.post(&items);
    plant.node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 2);
    plant.advance(MINUTE);
    let items = plant.items("P-1", 1, 1);
    plant.post(&items);
    plant.wait_until("P-1", judged);
    // A denser feed needs no change: in the morning the pump posts once a second again.
    plant.advance(120_000);
    let items = plant.items("P-1", 119, 1_000);
    plant.post(&items);
    let live = plant.wait_until("P-1", |live| live["feed"]["readings_every_ms"] == 1_000);
    assert!(live["feed"]["advice"].is_null() && judged(&live), "{live}");
}

#[test]
fn pump_running_3_minutes_an_hour_reports_why_it_is_not_scored() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    for hour in 0..5 {
        let mut items = plant.items("P-1", 200, 1_000);
        for (second, item) in items.iter_mut().enumerate() {
            if !(10..190).contains(&second) {
                (item["Motor_RPM"], item["Motor_Current_A"]) = (json!(0), json!(0));
            }
        }
        plant.post(&items);
        plant.wait_until("P-1", |live| live["totals"]["pump"]["readings"] == 200 * (hour + 1));
        plant.advance(60 * MINUTE - 200_000);
        // The pump is silent for 1 h each time, which is usual once it has happened a few times.
        assert!(hour < 3 || plant.live("P-1")["status"] != "STALE", "{}", plant.live("P-1"));
        plant.advance(200_000);
    }
    let feed = plant.live("P-1")["feed"].clone();
    let advice = feed["advice"].as_str().expect("advice");
    assert!(
        advice.contains("runs were all shorter than it takes to settle (10 min; the longest was 3 min)"),
        "{advice}"
    );
    assert_eq!(
        (&feed["readings_every_ms"], &feed["own_interval"], &feed["advised_interval_ms"]),
        (&json!(1_000), &json!(false), &Value::Null),
        "{feed}"
    );
}

/// Nine channels are sent every second, and the vibration every 20 to 200 s.
#[test]
fn pump_with_one_channel_by_exception_completes_learning_and_is_scored() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    let mut next = 0;
    let mut by_exception = |plant: &mut Plant, count: i64| {
        let mut items = plant.items("P-1", count, 1_000);
        for item in &mut items {
            if next > 0 {
                item.as_object_mut().expect("an item").remove("Vibration_mm_s");
                next -= 1;
            } else {
                next = 19 + (90.0 * (1.0 + plant.random())) as i64;
            }
        }
        items
    };
    let items = by_exception(&mut plant, 300);
    plant.post(&items);
    let live = plant.wait_until("P-1", |live| live["status"] == "UNKNOWN" && live["totals"]["pump"]["readings"] == 300);
    let reason = live["status_reason"].as_str().expect("a reason");
    assert!(
        reason.contains("Vibration_mm_s") && reason.contains("volute pumps set-hold"),
        "it says what to do: {reason}"
    );

    let folder = plant.start.data.to_str().expect("text").to_owned();
    let set =
        |more: &[&str]| output(volute().args(["pumps", "set-hold", "P-1"]).args(more).args(["--data-dir", &folder]));
    let refused = set(&["300", "--channel", "Vibration"]);
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && printed.contains("there is no channel Vibration; the profile has"),
        "{printed}"
    );
    assert!(!set(&["86401"]).status.success(), "a day at most");
    let done = set(&["300", "--channel", "Vibration_mm_s"]);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "Vibration_mm_s's last value of P-1 holds for 5 min\n");
    let printed = run(&["pumps", "settings", "P-1", "--data-dir", &folder]);
    assert!(
        printed.contains("interval  1 s (from the profile)") && printed.contains("5 min (300 s) of Vibration_mm_s"),
        "{printed}"
    );

    plant.advance(900_000);
    let items = by_exception(&mut plant, 900);
    plant.post(&items);
    plant.node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 1);
    plant.advance(60_000);
    let items = by_exception(&mut plant, 60);
    plant.post(&items);
    let live = plant.wait_until("P-1", |live| live["status"] == "NORMAL");
    assert_eq!(live["feed"]["advice"], Value::Null, "{live}");
    // A held value is not a measured one.
    let rows = plant.node.all_items("/api/sensor-history?pump_id=P-1&limit=10000&from=2020-01-01T00:00:00Z");
    let held = |row: &&Value| row["values"]["Vibration_mm_s"].is_null() && row["quality"]["Vibration_mm_s"] == "filled";
    let newest: Vec<&Value> = rows.iter().rev().take(900).collect();
    assert!(newest.iter().filter(|row| held(row)).count() > 700, "{}", newest[0]);

    // The channel is silent for longer than it is held, and then sends an implausible value.
    plant.advance(400_000);
    let mut items = plant.items("P-1", 400, 1_000);
    items.iter_mut().for_each(|item| drop(item.as_object_mut().expect("an item").remove("Vibration_mm_s")));
    plant.post(&items);
    plant.wait_until("P-1", |live| live["status"] == "UNKNOWN");
    let channel = &plant.live("P-1")["channels"]["Vibration_mm_s"];
    assert_eq!((&channel["value"], &channel["quality"]), (&Value::Null, &json!("missing")), "{channel}");
}

/// All channels are reported by exception: each item has one channel, and at times the pump is silent for 1 min.
#[test]
fn pump_with_all_channels_by_exception_is_scored_on_held_values() {
    let data = tempfile::tempdir().expect("a directory");
    let mut plant = Plant::start(&data);
    let first = plant.items("P-1", 1, 1);
    plant.post(&first);
    plant.node.wait_until("/api/pumps", |pumps| pumps["items"].as_array().is_some_and(|pumps| pumps.len() == 1));
    plant.put("P-1", &json!({"interval_ms": 10_000, "hold_s": 900}));
    let (mut at, mut items) = (plant.now, Vec::new());
    for n in 0..900_usize {
        at += 2_000 + (15_000.0 * (1.0 + plant.random()).powi(2)) as i64;
        let whole = plant.item("P-1", at);
        let (name, ..) = CHANNELS[(n * 7) % 10];
        items.push(json!({"pump_id": "P-1", "timestamp": at, name: whole[name]}));
    }
    plant.advance(at - plant.now);
    plant.post(&items);
    plant.node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 1);
    plant.advance(20_000);
    let items = plant.items("P-1", 1, 1);
    plant.post(&items);
    let live = plant.wait_until("P-1", |live| live["status"] == "NORMAL" || live["status"] == "ANOMALY");
    assert_eq!(live["feed"]["advice"], Value::Null, "{live}");
    // A silence of 15 min is usual for values that are held for that long.
    plant.advance(880_000);
    assert_ne!(plant.live("P-1")["status"], "STALE");
    plant.advance(600_000);
    assert_eq!(plant.live("P-1")["status"], "STALE");
}
