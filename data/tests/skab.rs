//! Reads the SKAB recordings of a real pump, if they are available (`../shared/skab` beside the repository).

#![allow(clippy::expect_used, reason = "clippy.toml allows it in tests, and not in their helpers")]

use std::{
    io::{self, Write},
    path::PathBuf,
    thread,
};

use volute_data::{Dialect, read_recording};
use volute_plant::Profile;

const SKAB: &str = include_str!("skab.toml");

/// Returns the folder of the recordings. Without it, prints a line that `./scripts/test` counts as a skipped test and
/// returns none, or panics if `VOLUTE_STRICT` is set.
fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from("../../shared/skab");
    if folder.is_dir() {
        return Some(folder);
    }
    let name = thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("VOLUTE_STRICT").is_none(), "{name} cannot run: {} is absent", folder.display());
    // Not by `eprintln!`, whose output is hidden if the test passes.
    io::stderr().write_all(format!("\nskipped: {name}: {} is absent\n", folder.display()).as_bytes()).expect("written");
    None
}

#[test]
fn a_labelled_run_is_read() {
    let Some(folder) = folder() else { return };
    let profile = Profile::from_toml(SKAB).expect("a profile");
    let run = read_recording(&folder.join("other/1.csv"), &profile, &Dialect::default()).expect("a recording");
    assert!(run.rows.len() > 700, "{} rows", run.rows.len());
    assert_eq!(run.rows[0].recorded_at, "2020-03-01 15:44:06");
    assert_eq!(run.rows[0].samples[0].good(), Some(0.0820647));
    assert_eq!(run.rows[0].samples[7].good(), Some(76.0197));
    assert_eq!(run.sha256.len(), 64);
    for label in [true, false] {
        assert!(run.rows.iter().any(|row| row.anomaly == Some(label) && row.normal.is_none()), "{label}");
    }
}

#[test]
fn every_run_is_read_and_in_order() {
    let Some(folder) = folder() else { return };
    let profile = Profile::from_toml(SKAB).expect("a profile");
    for group in ["anomaly-free", "other", "valve1", "valve2"] {
        for entry in folder.join(group).read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            let rows =
                read_recording(&path, &profile, &Dialect::default()).unwrap_or_else(|error| panic!("{error}")).rows;
            assert!(rows.windows(2).all(|pair| pair[0].at < pair[1].at), "{}", path.display());
            assert_eq!(rows[0].anomaly.is_none(), group == "anomaly-free", "{}", path.display());
        }
    }
}
