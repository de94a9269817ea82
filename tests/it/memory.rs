//! Memory is what the configuration says, not what the machine has.

use serde_json::{Value, json};

use crate::support::{EPOCH_MS, Start, ten_values, until};

const PUMPS: u64 = 20;

/// A post of ten seconds of every pump.
fn body(second: u64) -> Value {
    let item = |n: u64| {
        let mut item = ten_values();
        item["pump_id"] = json!(format!("pump-{}", n % PUMPS));
        item["timestamp"] = json!(EPOCH_MS + (second + n / PUMPS) * 1000);
        // Different each time, so that nothing is compressed away.
        item["Flow_Rate_L_min"] = json!(1200.0 + ((second * 31 + n * 17) % 100) as f64);
        item
    };
    (0..10 * PUMPS).map(item).collect()
}

#[test]
fn caches_keep_to_their_bounds_under_load() {
    // Left alone, SurrealKV would take gigabytes for its caches on a machine like the usual ones.
    let minutes = if std::env::var_os("VOLUTE_LONG").is_some() { 600 } else { 12 };
    let data = tempfile::tempdir().expect("a directory");
    let start = Start::new(&data, "centrifugal")
        .with_env("VOLUTE__STORE__BLOCK_CACHE_MIB", "8")
        .with_env("VOLUTE__STORE__MEMTABLE_MIB", "8")
        .with_env("VOLUTE__STORE__BACKLOG_MIB", "48");
    let node = start.node();
    let before = node.resident_mib();
    let mut highest = before;
    for second in (0..minutes * 60).step_by(10) {
        // The pumps are far faster than real ones, so the backlog is what bounds: a refused post is sent again.
        until("it is taken", || {
            let answer = node.post(&body(second));
            if answer.status == 200 {
                return Ok(());
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            Err(answer)
        });
        highest = highest.max(node.resident_mib());
    }
    println!("resident: {before} MiB before, {highest} MiB at most, {} readings", minutes * 60 * PUMPS);
    // Caches, memtables in three states, the backlog and as much again for what is on its way.
    assert!(highest < before + 8 + 3 * 8 + 2 * 48 + 64, "{before} MiB before, {highest} MiB at most");
    assert!(highest > before, "the load was seen");
}
