//! A simulated pump whose readings are posted to a node, one per second.

use serde_json::{Map, Value, json};
use volute_plant::{Profile, Timestamp};
use volute_simulator::{Design, LoadPlan, Simulator};

use super::Node;

/// A pump of the profile `centrifugal` under a steady load.
pub struct SimulatedPump {
    pub name: &'static str,
    pub simulator: Simulator,
    profile: Profile,
}

impl SimulatedPump {
    pub fn new(name: &'static str, seed: u64) -> Self {
        let start: Timestamp = "2026-03-02T10:00:00Z".parse().expect("a time");
        let simulator = Simulator::new(Design::drawn(seed), LoadPlan::Steady, seed, start);
        Self { name, profile: volute::profiles::load("centrifugal").expect("built in"), simulator }
    }

    /// Returns the next readings, at intervals of 1 s.
    pub fn items(&mut self, seconds: usize) -> Vec<Value> {
        let mut items = Vec::new();
        for _ in 0..seconds {
            let step = self.simulator.step(1.0);
            let mut item = Map::new();
            item.insert("pump_id".into(), json!(self.name));
            item.insert("timestamp".into(), json!(step.at.millis()));
            for (channel, sample) in self.profile.channel_names().zip(step.samples(&self.profile)) {
                item.insert(channel.to_owned(), json!(sample.value()));
            }
            items.push(Value::Object(item));
        }
        items
    }

    /// Posts the next readings.
    pub fn post(&mut self, node: &Node, seconds: usize) {
        let items = self.items(seconds);
        post_all(node, &items);
    }
}

/// Posts items, 100 at a time.
pub fn post_all(node: &Node, items: &[Value]) {
    for items in items.chunks(100) {
        assert_eq!(node.post(&json!(items)).status, 200);
    }
}
