//! The command line: output, streams and exit codes.

use std::{
    fs,
    process::{Command, Output},
};

/// Runs the program with `env` as its only environment.
fn volute(args: &[&str], env: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_volute"));
    command.args(args).env_clear().envs(env.iter().copied()).current_dir(folder.path());
    command.output().expect("the program runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn check_config_prints_every_value_with_its_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plant.toml");
    fs::write(&file, "[ingest]\nmax_pumps = 12\n").expect("written");
    let file = file.to_str().expect("text");
    let output = volute(
        &["check-config", "--config", file, "--model", "m"],
        &[("VOLUTE__STORE__LINGER_MS", "9"), ("VOLUTE_LONG", "1")],
    );
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(0), ""));
    let shown = stdout(&output);
    for (assignment, origin) in [
        ("max_pumps = 12", format!("file:{file}")),
        ("linger_ms = 9", "env:VOLUTE__STORE__LINGER_MS".into()),
        ("dir = \"m\"", "flag:--model".into()),
        ("listen = \"127.0.0.1:5000\"", "default".into()),
    ] {
        let line = shown.lines().find(|line| line.starts_with(assignment)).expect(assignment);
        assert!(line.ends_with(&format!(" # {origin}")), "{line}");
    }
}

#[test]
fn all_invalid_keys_are_listed_at_once_with_exit_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plant.toml");
    fs::write(&file, "[server]\nlisen = \"0.0.0.0:5000\"\n[store]\nlinger_ms = 50\n").expect("written");
    let file = file.to_str().expect("text");
    for command in ["check-config", "serve"] {
        let output = volute(
            &[command, "--config", file, "--profile", "gear"],
            &[("VOLUTE__LIVE__FRAME_MS", "fast"), ("VOLUTE__STOER__DIR", "/x")],
        );
        assert_eq!((code(&output), stdout(&output).as_str()), (Some(2), ""), "{command}");
        let printed = stderr(&output);
        for part in [
            "5 keys are wrong".into(),
            format!("server.lisen = \"0.0.0.0:5000\" (file:{file}): no such key; did you mean server.listen?"),
            format!("store.linger_ms = 50 (file:{file}): allowed: a whole number from 0 to 20"),
            "live.frame_ms = \"fast\" (env:VOLUTE__LIVE__FRAME_MS): allowed: a whole number from 10".into(),
            "stoer.dir = \"/x\" (env:VOLUTE__STOER__DIR): no such key; did you mean store.dir?".into(),
            "model.profile = \"gear\" (flag:--profile): allowed: centrifugal, skab, or a path to a profile".into(),
        ] {
            assert!(printed.contains(&part), "{printed}\nsays {part}");
        }
    }
}

#[test]
fn mistyped_log_levels_and_variables_are_reported() {
    for command in ["check-config", "serve"] {
        let output = volute(
            &[command],
            &[("VOLUTE__LOG__FILTER", "loud"), ("VOLUTE_SERVER_LISTEN", "0.0.0.0:80"), ("VOLUTE_BIN", "x")],
        );
        assert_eq!((code(&output), stdout(&output).as_str()), (Some(2), ""), "{command}");
        let printed = stderr(&output);
        for part in [
            "2 keys are wrong",
            "log.filter = \"loud\" (env:VOLUTE__LOG__FILTER): allowed: error, warn, info, debug or trace",
            "(env:VOLUTE_SERVER_LISTEN): no such variable; did you mean VOLUTE__SERVER__LISTEN?",
        ] {
            assert!(printed.contains(part), "{printed}\nsays {part}");
        }
    }
}

#[test]
fn wrong_values_are_reported_with_what_is_allowed() {
    let range = ["--from", "2026-11-02T00:00:00Z", "--to", "2026-11-01T00:00:00Z"];
    for (args, expected) in [
        (&["replay", "--csv", "a.csv", "--batch", "20000"][..], "allowed: a whole number from 1 to 10000"),
        (&["train", "--csv", "a.csv", "--out", "m", "--epochs", "0"], "allowed: a whole number from 1"),
        (&["train", "--csv", "a.csv", "--out", "m", "--every", "x"], "allowed: a whole number from 1"),
        (&["simulate", "--out", "a.csv", "--seed", "-1"], "'-1'"),
        (&["simulate", "--out", "a.csv", "--seed=x"], "allowed: a whole number from 0"),
        (&["simulate", "--out", "a.csv", "--severity", "1.5"], "allowed: a number from 0 to 1"),
        (
            &["evaluate", "--data", "d", "--out", "o", "--seeds", "0"],
            "'0' for '--seeds <N>': allowed: a whole number from 1",
        ),
        (&["evaluate", "--data", "d", "--out", "o", "--cross-validate", "x"], "allowed: a whole number from 1"),
        (&["evaluate", "--data", "d", "--out", "o", "--jobs=-2"], "allowed: a whole number from 1"),
        (&["evaluate", "--simulated", "--pumps", "1.5"], "allowed: a whole number from 1"),
        (&["evaluate", "--simulated", "--days", "0"], "allowed: a whole number from 1"),
        (&["evaluate", "--simulated", "--training-pumps", "many"], "allowed: a whole number from 1"),
        (&["evaluate", "--simulated", "--season-k", "warm"], "allowed: a finite number"),
        (&["evaluate", "--simulated", "--hot-day-k", "inf"], "allowed: a finite number"),
        (&["train", "--csv", "a.csv", "--out", "m", "--profile", "centrifugall"], "did you mean centrifugal?"),
        (
            &["export", "--pump", "P", "--out", "a.csv", range[0], range[1], range[2], range[3]],
            "--from 2026-11-02T00:00:00.000Z is not before --to 2026-11-01T00:00:00.000Z",
        ),
        (&["export", "--pump", "P", "--out", "a.csv", range[0], range[1], range[2], range[1]], "is not before --to"),
    ] {
        let output = volute(args, &[]);
        let printed = stderr(&output);
        assert!(code(&output) == Some(2) && printed.contains(expected), "{args:?}: {printed}");
        assert!(!printed.contains("invalid digit") && !printed.contains("non-zero"), "{printed}");
        assert!(!printed.contains("invalid float"), "{printed}");
    }
}

#[test]
fn folder_without_a_manifest_is_no_model_folder() {
    for args in [
        &["serve", "--listen", "127.0.0.1:0", "--model", "./config"][..],
        &["evaluate", "--simulated", "--model", "./config"],
    ] {
        let output = volute(args, &[]);
        let expected = "./config is not a model folder: it has no manifest.json";
        assert!(code(&output) == Some(1) && stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn replay_asks_the_node_before_it_waits_for_the_first_post() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = folder.path().join("a.csv");
    fs::write(&csv, "timestamp,Motor_RPM\n2026-03-09 10:14:33,1\n2026-03-10 10:14:33,1\n").expect("written");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let url = format!("http://127.0.0.1:{port}");
    // The post is due after a day: without the question the command would wait for it.
    let output = volute(&["replay", "--csv", csv.to_str().expect("text"), "--batch", "2", "--url", &url], &[]);
    let printed = stderr(&output);
    assert!(code(&output) == Some(1) && printed.contains("does not respond"), "{printed}");
    assert!(!printed.contains("posting"), "{printed}");
}

#[test]
fn missing_configuration_file_exits_with_2() {
    let output = volute(&["check-config", "--config", "absent.toml"], &[]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("absent.toml cannot be read"), "{}", stderr(&output));
}

#[test]
fn failure_prints_its_cause_once() {
    let output = volute(&["replay", "--csv", "absent.csv"], &[]);
    assert_eq!(stderr(&output).matches("absent.csv").count(), 1, "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("os error").count(), 1, "{}", stderr(&output));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["serve", "train", "simulate", "evaluate", "replay", "check-config", "bench"] {
        let output = volute(&[command, "--help"], &[]);
        assert_eq!(code(&output), Some(0));
        let help = stdout(&output);
        assert!(help.contains("Example") && help.contains(&format!("volute {command}")), "{help}");
    }
    let output = volute(&["--help"], &[]);
    assert!(code(&output) == Some(0) && stdout(&output).contains("Exit codes:"));
}

#[test]
fn invalid_usage_exits_with_2_and_failure_with_1() {
    for (args, expected) in [
        (&["fly"][..], 2),
        (&[], 2),
        (&["replay", "--csv", "run.csv", "--speed", "fast"], 2),
        (&["train", "--profile", "gear", "--csv", "a.csv", "--out", "m"], 2),
        (&["replay", "--csv", "absent.csv"], 1),
    ] {
        let output = volute(args, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (Some(expected), ""), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}
