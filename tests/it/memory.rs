//! Memory use depends on the configuration, not on the machine.

use serde_json::{Value, json};

use crate::support::{EPOCH_MS, NodeConfig, ten_values, wait_until};

const PUMPS: u64 = 20;

/// The readings of 10 s of every pump.
fn body(second: u64) -> Value {
    let item = |n: u64| {
        let mut item = ten_values();
        item["pump_id"] = json!(format!("pump-{}", n % PUMPS));
        item["timestamp"] = json!(EPOCH_MS + (second + n / PUMPS) * 1000);
        // Different values, so that compression does not save memory.
        item["Flow_Rate_L_min"] = json!(1200.0 + ((second * 31 + n * 17) % 100) as f64);
        item
    };
    (0..10 * PUMPS).map(item).collect()
}

#[test]
fn caches_stay_within_their_limits_under_load() {
    // By default, SurrealKV would use gigabytes for its caches on a usual machine.
    let minutes = if std::env::var_os("VOLUTE_LONG").is_some() { 600 } else { 12 };
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal")
        .with_env("VOLUTE__STORE__BLOCK_CACHE_MIB", "8")
        .with_env("VOLUTE__STORE__MEMTABLE_MIB", "8")
        .with_env("VOLUTE__STORE__BACKLOG_MIB", "48");
    let node = start.node();
    let before = node.resident_mib();
    let mut highest = before;
    for second in (0..minutes * 60).step_by(10) {
        // These pumps are much faster than real ones, so the backlog limit is reached. A rejected post is sent again.
        wait_until("the post is accepted", || {
            let response = node.post(&body(second));
            if response.status == 200 {
                return Ok(());
            }
            assert_eq!(response.status, 503, "{response:?}");
            Err(response)
        });
        highest = highest.max(node.resident_mib());
    }
    println!("resident: {before} MiB before, {highest} MiB at most, {} readings", minutes * 60 * PUMPS);
    // Caches, memtables in three states, the backlog, and the same again for data in flight.
    assert!(highest < before + 8 + 3 * 8 + 2 * 48 + 64, "{before} MiB before, {highest} MiB at most");
    assert!(highest > before, "the load is measured");
}
