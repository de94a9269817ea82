//! Simulated recordings: reproducible, and readable by the other commands.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{output, run, volute};

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
fn existing_file_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let (csv, svg) = (folder.path().join("a.csv"), folder.path().join("a.svg"));
    for existing in [&csv, &svg] {
        fs::write(existing, "mine").expect("written");
        let mut simulate = volute();
        let refused = output(simulate.args(["simulate", "--rows", "60", "--out"]).arg(&csv).arg("--plot").arg(&svg));
        let printed = String::from_utf8_lossy(&refused.stderr);
        let expected = format!("{} already exists; it is not overwritten", existing.display());
        assert!(refused.status.code() == Some(1) && printed.contains(&expected), "{printed}");
        assert_eq!(fs::read_to_string(existing).expect("read"), "mine");
        assert_eq!(folder.path().read_dir().expect("read").count(), 1);
        fs::remove_file(existing).expect("removed");
    }
}

#[test]
fn model_and_its_folder_report_the_same_validation_error() {
    let folder = tempfile::tempdir().expect("a folder");
    simulate(folder.path(), "a.csv", "--rows 300");
    simulate(folder.path(), "few.csv", "--rows 20");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (csv, few, model) = (path("a.csv"), path("few.csv"), path("model"));
    let trained = run(&["train", "--csv", &csv, "--epochs", "1", "--out", &model]);
    let error = |printed: &str| {
        let rest = printed.split("validation error").nth(1).expect(printed).to_owned();
        rest.split_whitespace().next().expect("a number").parse::<f64>().expect("a number")
    };
    assert_eq!(error(&trained), error(&run(&["models", &model])));
    assert!(!trained.contains("validation loss"), "{trained}");

    let refused = output(volute().args(["train", "--csv", &few, "--epochs", "1", "--out", &path("none")]));
    let printed = String::from_utf8_lossy(&refused.stderr);
    let expected = "20 rows make no window: a window is 30 steps of 1 s; give at least 30 rows in one file";
    assert!(refused.status.code() == Some(1) && printed.contains(expected), "{printed}");
    assert!(!printed.contains("gap") && !printed.contains("missing values"), "{printed}");
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

/// Runs `volute evaluate --simulated --plant variable-speed` with these flags, and returns the figures.
fn evaluate_variable_speed(flags: &str) -> Value {
    let mut args = vec!["evaluate", "--simulated", "--plant", "variable-speed", "--epochs", "1", "--format", "json"];
    args.extend(flags.split(' '));
    serde_json::from_str(&run(&args)).expect("JSON")
}

#[test]
fn variable_speed_pumps_are_evaluated_with_networks_of_their_own_and_of_others() {
    let flags = "--pumps 1 --days 6 --commissioning-hours 0.5,4 --season-k 15 --jobs 1";
    for network in ["--network own", "--network shared --training-pumps 2"] {
        let figures = evaluate_variable_speed(&format!("{network} {flags}"));
        let [short, long] = &figures["commissioning"].as_array().expect("a list")[..] else { panic!("{figures:#}") };
        assert_eq!((&short["commissioning_hours"], &short["scored_pumps"]), (&json!(0.5), &json!(0)), "{short:#}");
        assert_eq!(long["scored_pumps"], 1, "{long:#}");
        let days: Vec<f64> = (0..2).map(|half| long["halves"][half]["pump_days"].as_f64().expect("days")).collect();
        assert!((days[0] - (3.0 - 4.5 / 24.0)).abs() < 0.1 && (days[1] - 3.0).abs() < 0.1, "{days:?}");
        let faults = long["faults"].as_array().expect("faults");
        assert_eq!(faults.len(), 5);
        assert!(faults.iter().all(|fault| fault["trials"] == 3), "{faults:#?}");
    }
}

#[test]
fn same_seed_gives_the_same_figures_of_a_standby_pump() {
    let flags = "--network own --pumps 1 --days 9 --standby --commissioning-hours 4 --healthy-only";
    let figures = evaluate_variable_speed(flags);
    assert_eq!(figures, evaluate_variable_speed(flags));
    let first = figures["commissioning"][0]["last_first_detection_days"].as_f64().expect("commissioned");
    assert!(first > 1.0, "four hours of running take some days: {first}");
    assert_eq!(figures["commissioning"][0]["faults"], json!([]));
}

#[test]
fn flags_of_the_variable_speed_plant_need_it() {
    for flags in ["--model M --season-k 3", "--network own", "--model M --seeds 2", "--healthy-only"] {
        let output = volute().args(["evaluate", "--simulated"]).args(flags.split(' ')).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--plant variable-speed"), "{flags}: {output:?}");
    }
}

#[test]
fn damage_changes_the_figures_and_a_wrong_channel_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("made");
    simulate(&data, "a.csv", "--fault unbalance --rows 900");
    let (data, out) = (data.to_str().expect("text"), folder.path().join("out"));
    let args = |damage| {
        let out = out.to_str().expect("text");
        vec!["evaluate", "--data", data, "--out", out, "--epochs", "1", "--format", "json", "--damage", damage]
    };
    let figures = |damage| -> Value { serde_json::from_str(&run(&args(damage))).expect("JSON") };
    let undamaged = figures("dropout=0");
    let damage = "dropout=0.05,noise.Flow_Rate_L_min=30,drift.Motor_RPM=30,jitter=0.3";
    let damaged = figures(damage);
    assert_eq!(damaged, figures(damage));
    assert_ne!(damaged["pooled"][0], undamaged["pooled"][0]);
    let output = volute().args(args("noise.Flow=3")).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("Flow_Rate_L_min"), "{error}");
}
