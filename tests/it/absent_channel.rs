//! A channel that a pump never sends: the pump is judged on its other channels.

use serde_json::{Value, json};

use crate::support::{NodeConfig, SimulatedPump, post_all};

const ABSENT: &str = "Motor_Current_A";
const FLOW: &str = "Flow_Rate_L_min";
const HISTORY: &str = "/api/anomaly-history?pump_id=P-1&only_anomalies=true&limit=10000&from=2026-03-01T00:00:00Z";

fn items(pump: &mut SimulatedPump, seconds: usize) -> Vec<Value> {
    let mut items = pump.items(seconds);
    for item in &mut items {
        assert!(item.as_object_mut().expect("an item").remove(ABSENT).is_some());
    }
    items
}

#[test]
fn lost_flow_of_a_pump_without_a_current_sensor_is_found_in_two_minutes() {
    let data = tempfile::tempdir().expect("a directory");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/pretrained/centrifugal");
    let config = NodeConfig::new(&data, "centrifugal").with_model(model.as_ref());
    let node = config.with_env("VOLUTE__COMMISSIONING__HOURS", "0.5").node();
    let mut pump = SimulatedPump::new("P-1", 3);
    post_all(&node, &items(&mut pump, 2_700));
    node.wait_until("/api/pumps/P-1/baselines", |known| known["in_use"] == 1);

    post_all(&node, &items(&mut pump, 300));
    let live = node.wait_until("/api/live-data?pump_id=P-1", |live| live["status"] == "NORMAL");
    let reason = live["status_reason"].as_str().expect("a reason");
    assert!(reason.contains("Motor_Current_A is missing: judged on 9 of 10 channels"), "{reason}");
    assert_eq!(node.all_items(HISTORY), Vec::<Value>::new(), "no false alarm");

    let mut low = items(&mut pump, 120);
    for item in &mut low {
        let flow = item[FLOW].as_f64().expect("a flow");
        item[FLOW] = json!(0.9 * flow);
    }
    post_all(&node, &low);
    node.wait_until("/api/live-data?pump_id=P-1", |live| live["totals"]["pump"]["anomalies"].as_u64() > Some(0));
    let first = node.all_items(HISTORY)[0].clone();
    let share = |channel: &str| first["contributions"][channel].as_f64().expect("a share");
    assert!(share(FLOW) > 0.5, "the flow is named: {first}");
    assert!(share(ABSENT).abs() < f64::EPSILON, "what is not measured is not named: {first}");
}
