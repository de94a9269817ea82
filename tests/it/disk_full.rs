//! A node with a full disk reports it, acknowledges nothing that is not stored, and recovers once there is free space.
//!
//! Runs on a small file system in memory, each time with another amount of free space. Mounting it needs root; without
//! root the test is skipped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{EPOCH_MS, Node, NodeConfig, skip, ten_values};

const SIZE_KIB: u64 = 24 << 10;

/// A separate file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE_KIB}k"), "volute-test"])
            .arg(at)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    /// Fills the disk up to this much free space.
    fn fill(&self, left_kib: u64) {
        let free = free_kib(&self.0);
        let block = vec![7_u8; 1024];
        let mut ballast = Vec::new();
        for _ in 0..free.saturating_sub(left_kib) {
            ballast.extend_from_slice(&block);
        }
        // A write that does not fit leaves no free space at all.
        let _ = fs::write(self.0.join("ballast"), ballast);
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn free_kib(at: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-k"]).arg(at).output().expect("df runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number")
}

/// Posts batches of 50 until one is rejected. Returns the status of the rejection, and collects the acknowledged
/// readings.
fn post_until_rejected(node: &Node, next: &mut u64, acknowledged: &mut BTreeSet<u64>) -> u16 {
    loop {
        let times: Vec<u64> = (*next..*next + 50).map(|n| EPOCH_MS + n * 1000).collect();
        *next += 50;
        let response = node.post(&times.iter().map(item).collect::<Value>());
        if response.status != 200 {
            return response.status;
        }
        acknowledged.extend(times);
        assert!(acknowledged.len() < 400_000, "the disk did not become full");
    }
}

/// A reading of this time, in milliseconds since 1970.
fn item(at: &u64) -> Value {
    let mut item = ten_values();
    item["timestamp"] = json!(at);
    item
}

fn stored(node: &Node) -> Vec<u64> {
    let items = node.all_items("/api/sensor-history?limit=10000&from=2026-01-01T00:00:00Z");
    let time = |item: &Value| {
        let time: volute_plant::Timestamp = item["timestamp"].as_str().expect("text").parse().expect("a time");
        time.millis() as u64
    };
    items.iter().map(time).collect()
}

#[test]
fn full_disk_acknowledges_nothing_falsely_and_recovers() {
    let points = if std::env::var_os("VOLUTE_LONG").is_some() { 50 } else { 4 };
    for point in 0..points {
        let dir = tempfile::tempdir().expect("a directory");
        let Some(disk) = SmallDisk::mount(dir.path()) else {
            return skip("a file system cannot be mounted here: it takes root");
        };
        let start = NodeConfig::new(&dir, "centrifugal");
        let node = start.node();
        let (mut next, mut acknowledged) = (0, BTreeSet::new());
        // The pump is registered and stored before the disk is full.
        let first = EPOCH_MS - 1000;
        assert_eq!(node.post(&item(&first)).status, 200);
        acknowledged.insert(first);
        // From a few pages to a few MiB, a different amount each time.
        disk.fill(4 + point * 97 % 2048);
        let status = post_until_rejected(&node, &mut next, &mut acknowledged);
        assert_eq!(status, 507, "point {point}");
        let store = node.get_ok("/api/store");
        assert_eq!((&store["state"], &store["journal"]["state"]), (&json!("failed"), &json!("full")), "{store}");
        node.get_ok("/api/live-data");

        // Every second time the node is killed while the disk is full.
        let node = if point % 2 == 0 {
            disk.free();
            node
        } else {
            node.kill();
            disk.free();
            start.node()
        };
        for second in [next, next + 1] {
            let at = EPOCH_MS + second * 1000;
            assert_eq!(node.post(&item(&at)).status, 200, "point {point}: there is room again");
            acknowledged.insert(at);
        }
        node.wait_until("/api/store", |store| store["state"] == "ok");
        let stored = stored(&node);
        let distinct: BTreeSet<u64> = stored.iter().copied().collect();
        assert_eq!(distinct.len(), stored.len(), "point {point}: nothing is stored twice");
        let lost: Vec<_> = acknowledged.difference(&distinct).collect();
        assert!(lost.is_empty(), "point {point}: acknowledged and lost: {lost:?}");
    }
}
