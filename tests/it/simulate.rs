//! Simulated recordings: reproducible, and readable by the other commands.

use std::{fs, path::Path};

use crate::support::run;

/// Runs `volute simulate` with these flags, and returns the recording.
fn simulate(folder: &Path, name: &str, flags: &str) -> String {
    let path = folder.join(name);
    let mut args = vec!["simulate", "--out", path.to_str().expect("text")];
    args.extend(flags.split(' '));
    run(&args);
    fs::read_to_string(&path).expect("written")
}

#[test]
fn same_flags_give_the_same_bytes_and_another_seed_different_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = "--fault cavitation --load starts --rows 900 --seed 7";
    let first = simulate(folder.path(), "a.csv", flags);
    assert_eq!(simulate(folder.path(), "b.csv", flags), first);
    assert_ne!(simulate(folder.path(), "c.csv", &flags.replace('7', "8")), first);
}

#[test]
fn recording_has_the_original_form_with_state_and_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        simulate(folder.path(), "a.csv", "--fault sensor_dropout --channel Flow_Rate_L_min --severity 1 --rows 300");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0][0], &lines[0][11..]), (301, "timestamp", &["machine_status", "fault"][..]));
    assert_eq!((lines[1][0], lines[300][0]), ("2026-03-02T09:00:00.000Z", "2026-03-02T09:04:59.000Z"));
    let flow = lines[0].iter().position(|name| *name == "Flow_Rate_L_min").expect("the channel");
    for line in &lines[1..] {
        assert_eq!(line[flow].is_empty(), !line[12].is_empty(), "{line:?}");
        assert!(line[11] == "NORMAL" || line[12] == "sensor_dropout", "{line:?}");
    }
    let mut states: Vec<&str> = lines[1..].iter().map(|line| line[11]).collect();
    states.dedup();
    assert_eq!(states, ["NORMAL", "BROKEN", "RECOVERING", "NORMAL"]);
}

#[test]
fn model_is_trained_on_simulated_recordings() {
    let folder = tempfile::tempdir().expect("a folder");
    simulate(folder.path(), "a.csv", "--fault unbalance --rows 600");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (csv, model) = (path("a.csv"), path("model"));
    let printed = run(&["train", "--csv", &csv, "--epochs", "1", "--threshold-quantile", "0.999", "--out", &model]);
    assert!(printed.contains("written to"), "{printed}");
    let manifest = fs::read_to_string(folder.path().join("model/manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"threshold_quantile\": 0.999"), "{manifest}");
}

#[test]
fn plot_has_a_strip_for_each_channel_and_shades_for_states() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("a.svg");
    simulate(folder.path(), "a.csv", &format!("--fault dry_run --rows 600 --plot {}", svg.display()));
    let svg = fs::read_to_string(svg).expect("drawn");
    for text in
        ["Motor_RPM (rpm)", "Ambient_Temperature_C (°C)", "BROKEN", "RECOVERING", "minutes since the first reading"]
    {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.matches("<polyline").count() >= 10);
}
